/* The two 8237A DMA controllers of a PC, which become the ISA bus's `dma`; their users see hw/isa.h. */
#ifndef MYNA_HW_I8237_H
#define MYNA_HW_I8237_H

#include "core/device.h"

extern const DeviceType i8237_type;

#endif
