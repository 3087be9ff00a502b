/* The high precision event timer (IA-PC HPET specification 1.0a). */
#ifndef MYNA_HW_TIMER_HPET_H
#define MYNA_HW_TIMER_HPET_H

#include "core/device.h"
#include "core/irq.h"
#include "core/memory.h"

#define HPET_BASE UINT64_C(0xfed00000)

extern const DeviceType hpet_type;
typedef struct Hpet Hpet;

/* The registers, mapped by the board at HPET_BASE. */
Region *hpet_region(Hpet *h);

/* Interrupt lines by I/O APIC pin (24); line 0 and 8 stand for the legacy timer and RTC in legacy replacement. */
void hpet_set_lines(Hpet *h, const IrqLine lines[24]);

/* Called when legacy replacement is switched: the PIT and RTC must leave lines 0 and 8 to the HPET. */
void hpet_set_legacy_notify(Hpet *h, void (*notify)(void *opaque, bool on), void *opaque);

#endif
