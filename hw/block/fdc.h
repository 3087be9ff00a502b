/*
 * The floppy controller of a PC: an Intel 82077AA (datasheet, order 290166) at ports 3f0-3f5 and 3f7, interrupt 6, DMA
 * channel 2, with two drives.
 */
#ifndef MYNA_HW_BLOCK_FDC_H
#define MYNA_HW_BLOCK_FDC_H

#include "core/device.h"

extern const DeviceType isa_fdc_type;

/* A drive's kind as CMOS byte 10h has it: 0 none, 1 360 KB, 2 1.2 MB, 3 720 KB, 4 1.44 MB, 5 2.88 MB. */
uint8_t fdc_drive_type(const Device *dev, unsigned unit);

#endif
