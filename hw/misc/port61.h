/* System control port B (61h): the speaker's gate, and what can be read of the timer. */
#ifndef MYNA_HW_PORT61_H
#define MYNA_HW_PORT61_H

#include "core/device.h"

extern const DeviceType port61_type; /* needs an 8254 created before it */

#endif
