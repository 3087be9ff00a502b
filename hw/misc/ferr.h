/* The coprocessor error latch of a PC/AT: FERR# to interrupt 13, cleared by port F0h. */
#ifndef MYNA_HW_FERR_H
#define MYNA_HW_FERR_H

#include "core/device.h"

/* Its input, FERR# of the boot processor, is the IrqLine in the slot "ferr". */
extern const DeviceType ferr_type;

#endif
