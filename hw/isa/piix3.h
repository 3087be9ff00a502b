/* The PIIX3 ISA bridge (Intel 82371SB datasheet). */
#ifndef MYNA_HW_ISA_PIIX3_H
#define MYNA_HW_ISA_PIIX3_H

#include "hw/pci/pci.h"

extern const DeviceType piix3_type;
typedef struct Piix3 Piix3;

/* The sixteen ISA interrupt lines that the PIRQ registers choose from. */
void piix3_set_isa_lines(Piix3 *p, const IrqLine isa[16]);

#endif
