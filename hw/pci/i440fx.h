/* The i440FX host bridge (Intel 82441FX datasheet). */
#ifndef MYNA_HW_PCI_I440FX_H
#define MYNA_HW_PCI_I440FX_H

#include "hw/pci/pci.h"

extern const DeviceType i440fx_type;
typedef struct I440fx I440fx;

/*
 * Tells the bridge what lies under C0000h..FFFFFh (ram: the machine's low RAM region; rom: an alias of the BIOS's last
 * 128 KiB, or NULL) and what SMRAM at A0000h hides (both before the first reset).
 */
void i440fx_set_memory(I440fx *host, Region *ram, Region *rom);

/* SMRAM's visibility follows SMM of the CPU: called by the board on entry to and exit from SMM. */
void i440fx_set_smm(I440fx *host, bool in_smm);

#endif
