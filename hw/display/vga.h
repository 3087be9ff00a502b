/*
 * The standard VGA: a PCI card with the IBM VGA's registers and memory, and the Bochs VBE extension with a linear frame
 * buffer (device "VGA", QEMU docs/specs/standard-vga).
 *
 *   vga.c         the devices: PCI functions, registers in memory
 *   vga_card.c    what all cards with a VGA have: memory, option ROM, ports, state
 *   vga_ports.c   the IBM registers at 3B0h..3DFh, retrace timing
 *   vga_memory.c  the window A0000h..BFFFFh onto the four planes
 *   vbe.c         the Bochs VBE registers
 *   vga_draw.c    what is on the screen: graphics; vga_text.c: text
 *   edid.c        what the monitor says of itself, and ddc.c its wires
 *   vga_start.c   text mode for machines that start without a video BIOS
 *
 * The console is announced as the machine's next (console.h).
 */
#ifndef MYNA_HW_DISPLAY_VGA_H
#define MYNA_HW_DISPLAY_VGA_H

#include "core/device.h"

extern const DeviceType vga_type, secondary_vga_type, bochs_display_type;

/*
 * Sets up 80 x 25 text as a video BIOS does, with the 8 x 16 font of the card's ROM (no romfile: the text is in memory
 * but without shape).  For boards after a reset, when no firmware will run.
 */
void vga_start_text(Device *vga);

#endif
