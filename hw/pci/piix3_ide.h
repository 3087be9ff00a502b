/* The IDE function of the PIIX3 (Intel 82371SB datasheet). */
#ifndef MYNA_HW_PCI_PIIX3_IDE_H
#define MYNA_HW_PCI_PIIX3_IDE_H

#include "backends/block/block.h"
#include "hw/pci/pci.h"

extern const DeviceType piix3_ide_type;

typedef struct Piix3Ide Piix3Ide;

enum { PIIX3_IDE_DRIVES = 4 };

/* Puts a drive into place 0..3: primary master, primary slave, secondary master, secondary slave. */
void piix3_ide_attach(Piix3Ide *p, unsigned unit, BlockBackend *block);

/* In firmware's place: lets both channels decode their ports. */
void piix3_ide_enable(Piix3Ide *p);

#endif
