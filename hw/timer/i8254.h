/*
 * The 8254 interval timer of a PC.  Channel 0 drives ISA line 0; channel 2 is reached by port 61h.
 */
#ifndef MYNA_HW_I8254_H
#define MYNA_HW_I8254_H

#include "core/device.h"

#define I8254_HZ 1193182

extern const DeviceType i8254_type; /* machine_find(m, "i8254") is its Device */

/* Ticks of the 1.193182 MHz clock since the machine's start. */
int64_t i8254_ticks(Device *dev);

/* Level of a channel's output now; sets a channel's gate. */
bool i8254_output(Device *dev, unsigned channel);
void i8254_set_gate(Device *dev, unsigned channel, bool level);

/* At how many ticks of [from, to), none of which is in the future, channel 2's output was high. */
int64_t i8254_high_ticks(Device *dev, int64_t from, int64_t to);

/* fn is called before channel 2 changes: whoever listens to it does so up to now.  NULL: nobody. */
typedef void I8254ListenerFn(void *opaque);
void i8254_set_listener(Device *dev, I8254ListenerFn *fn, void *opaque);

#endif
