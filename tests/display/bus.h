/*
 * What the display cases stand on: ports and memory of a machine.  Three things are behind it: a machine of devices
 * without a processor (tests/unit/test_vga_modes.c), a bare guest (tests/guest/display.c), and the model (model.h).
 */
#ifndef MYNA_TESTS_DISPLAY_BUS_H
#define MYNA_TESTS_DISPLAY_BUS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Bus Bus;

/* size: 1, 2 or 4 bytes; little-endian. */
void bus_out(Bus *b, unsigned port, unsigned value, unsigned size);
unsigned bus_in(Bus *b, unsigned port, unsigned size);
void bus_write(Bus *b, uint32_t address, uint32_t value, unsigned size);
uint32_t bus_read(Bus *b, uint32_t address, unsigned size);

/* Many bytes at an offset in the linear frame buffer. */
void bus_write_frame(Bus *b, uint32_t offset, const uint8_t *bytes, unsigned size);

#endif
