/*
 * ACPI tables of the pc board (ACPI 6.4): RSDP, RSDT, FADT, FACS, MADT, HPET, DSDT.
 *
 * The tables are made position-independent, with a list of the pointers in them.  Without firmware the board puts them
 * into memory itself (acpi_install); with firmware they travel by fw_cfg, and the list becomes its loader script.
 */
#ifndef MYNA_MACHINES_ACPI_H
#define MYNA_MACHINES_ACPI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/memory.h"
#include "hw/misc/fw_cfg.h"

typedef struct AcpiConfig {
    const uint32_t *apic_ids;  /* of the CPUs */
    unsigned cpu_count;
    bool ioapic, hpet;
    unsigned serial_count;
    uint32_t pci_hole_start, pci_hole_end; /* 32-bit window for PCI memory: [start, end] */
} AcpiConfig;

typedef struct AcpiTables AcpiTables;

AcpiTables *acpi_build(const AcpiConfig *config);
void acpi_free(AcpiTables *t);

/* Bytes that acpi_install needs. */
size_t acpi_size(const AcpiTables *t);

/* Puts the tables at gpa, the RSDP first (which must be 16-byte aligned); returns the RSDP's address. */
uint64_t acpi_install(const AcpiTables *t, AddressSpace *memory, uint64_t gpa);

/* The waking vector that the guest left in the tables at gpa, or 0. */
uint32_t acpi_waking_vector(const AcpiTables *t, AddressSpace *memory, uint64_t gpa);

/* Adds etc/acpi/rsdp, etc/acpi/tables and etc/table-loader. */
void acpi_add_to_fw_cfg(const AcpiTables *t, FwCfg *f);

#endif
