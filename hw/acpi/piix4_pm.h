/* Power management function of the PIIX4 (Intel 82371AB datasheet). */
#ifndef MYNA_HW_ACPI_PIIX4_PM_H
#define MYNA_HW_ACPI_PIIX4_PM_H

#include "core/cpuport.h"
#include "hw/pci/pci.h"

extern const DeviceType piix4_pm_type;
typedef struct Piix4Pm Piix4Pm;

/* Where firmware and our ACPI tables put its I/O block. */
#define PIIX4_PM_BASE 0x600
#define PIIX4_PM_TIMER_PORT (PIIX4_PM_BASE + 8)

/* SLP_TYP values: soft off, and suspend to memory (datasheet section 7.1.3, PMCNTRL). */
enum { PIIX4_SLEEP_S5 = 0, PIIX4_SLEEP_S3 = 1 };

/* SMI to the boot processor; and the SCI, ISA line 9. */
void piix4_pm_connect(Piix4Pm *pm, const CpuPort *cpu, IrqLine sci);

/* Decodes the I/O block at PIIX4_PM_BASE with ACPI on, as firmware leaves it: for boots without firmware. */
void piix4_pm_enable(Piix4Pm *pm);

/* The power button (fixed ACPI event). */
void piix4_pm_power_button(Piix4Pm *pm);

/* RTC alarm wakes and sets its status bit. */
void piix4_pm_rtc_alarm(Piix4Pm *pm);

#endif
