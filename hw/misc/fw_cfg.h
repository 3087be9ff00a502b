/*
 * fw_cfg: how a board hands data to firmware (QEMU docs/specs/fw_cfg: ports 0x510, 0x511, DMA at 0x514).
 */
#ifndef MYNA_HW_FW_CFG_H
#define MYNA_HW_FW_CFG_H

#include "core/device.h"

enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20, FW_CFG_ACPI_TABLES = 0x8000, FW_CFG_SMBIOS = 0x8001,
    FW_CFG_E820 = 0x8003,
};

typedef struct FwCfg FwCfg; /* an instance of fw_cfg_type; machine_find(m, "fw_cfg") */
extern const DeviceType fw_cfg_type;

/* Adds an item: the bytes are copied.  A second call with the same key replaces the first. */
void fw_cfg_add(FwCfg *f, uint16_t key, const void *data, size_t size);
void fw_cfg_add_u16(FwCfg *f, uint16_t key, uint16_t v);
void fw_cfg_add_u32(FwCfg *f, uint16_t key, uint32_t v);
void fw_cfg_add_u64(FwCfg *f, uint16_t key, uint64_t v);

/* Adds a file, e.g. "etc/acpi/tables"; at most 55 characters.  The guest may write it when writable. */
void fw_cfg_add_file(FwCfg *f, const char *name, const void *data, size_t size);

#endif
