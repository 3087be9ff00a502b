/*
 * The MC146818 real-time clock with its CMOS memory.  Drives ISA line 8.
 */
#ifndef MYNA_HW_MC146818_H
#define MYNA_HW_MC146818_H

#include "core/device.h"

extern const DeviceType mc146818_type; /* machine_find(m, "rtc") is its Device */

/* A byte of CMOS memory (14..127), for boards, which leave memory sizes and boot order there. */
void mc146818_set_cmos(Device *dev, unsigned index, uint8_t value);

/* Whether the guest has masked NMIs by bit 7 of port 70h. */
bool mc146818_nmi_masked(Device *dev);

#endif
