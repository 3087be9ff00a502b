/*
 * The Cirrus Logic CL-GD5446 on PCI with 4 MiB of memory (device "cirrus-vga"): a VGA with packed frame buffers, a
 * pointer and a blitter (CL-GD5446 Technical Reference Manual, "TRM" in comments).
 *
 *   cirrus.c          the device: PCI function, linear frame buffer, registers in memory, state
 *   cirrus_regs.c     registers beyond the VGA's
 *   cirrus_memory.c   banks and extended write modes
 *   cirrus_blit.c     the blitter
 *   cirrus_pointer.c  the hardware cursor
 */
#ifndef MYNA_HW_DISPLAY_CIRRUS_H
#define MYNA_HW_DISPLAY_CIRRUS_H

#include "core/device.h"

extern const DeviceType cirrus_vga_type;

#endif
