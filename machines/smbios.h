/*
 * SMBIOS tables of the pc board (DMTF DSP0134, version 2.8): what firmware, processors and memory the machine has.
 *
 * Without firmware the board puts them into memory itself (smbios_install); with firmware they travel by fw_cfg.
 */
#ifndef MYNA_MACHINES_SMBIOS_H
#define MYNA_MACHINES_SMBIOS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/memory.h"
#include "hw/misc/fw_cfg.h"

#define SMBIOS_ANCHOR_SIZE 31

/* Words of the system's structure (type 1); NULL: Myna's own, or none. */
typedef struct SmbiosSystem {
    const char *manufacturer, *product, *version, *serial, *sku, *family;
} SmbiosSystem;

typedef struct SmbiosConfig {
    SmbiosSystem system;
    const char *version;       /* of the product, e.g. MYNA_VERSION */
    const uint8_t *uuid;       /* 16 bytes in the order of its text; NULL: the machine has none */
    unsigned sockets, cores, threads; /* of the machine, of a socket, of a socket */
    const char *cpu_vendor, *cpu_name; /* as CPUID gives them */
    uint32_t cpu_signature, cpu_features; /* CPUID leaf 1: EAX and EDX */
    bool cpu_long_mode;
    unsigned cpu_mhz;          /* 0: unknown */
    uint64_t ram_size, ram_below_4g;
} SmbiosConfig;

typedef struct SmbiosTables SmbiosTables;

SmbiosTables *smbios_build(const SmbiosConfig *config);
void smbios_free(SmbiosTables *t); /* NULL is allowed */

/* The structures one after the other, and the entry point for them at table_address. */
const uint8_t *smbios_bytes(const SmbiosTables *t, size_t *size);
void smbios_anchor(const SmbiosTables *t, uint32_t table_address, uint8_t anchor[SMBIOS_ANCHOR_SIZE]);

/* Bytes that smbios_install needs. */
size_t smbios_size(const SmbiosTables *t);

/* Puts the entry point at gpa, where kernels look for it: a multiple of 16 in F0000h..FFFFFh; the structures behind. */
void smbios_install(const SmbiosTables *t, AddressSpace *memory, uint64_t gpa);

/* Adds etc/smbios/smbios-tables and etc/smbios/smbios-anchor. */
void smbios_add_to_fw_cfg(const SmbiosTables *t, FwCfg *f);

#endif
