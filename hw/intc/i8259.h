/*
 * The pair of 8259A interrupt controllers of a PC.
 *
 * Inputs are levels: a device raises its line and holds it until the guest has served it.  As the data sheet has it, a
 * request that falls before it is acknowledged is withdrawn, in edge mode too; so irq_pulse() is no way to raise one.
 */
#ifndef MYNA_HW_I8259_H
#define MYNA_HW_I8259_H

#include "core/device.h"
#include "core/irq.h"

extern const DeviceType i8259_type; /* machine_find(m, "i8259") is its Device */

/* Input n (0..15) of a pair, for boards that route ISA lines to it; 2 is the cascade and leads nowhere. */
IrqLine i8259_input(Device *dev, unsigned n);

/* Where the master's INT output goes: a CPU's INTR, or LINT0 of a local APIC. */
void i8259_connect(Device *dev, IrqLine intr);

/* INTA: the vector of the request to serve, a spurious one if all were withdrawn; never negative. */
int i8259_acknowledge(Device *dev);

/* Text for the monitor: what is requested, in service and masked. */
void i8259_dump(const Device *dev, GString *out);

#endif
