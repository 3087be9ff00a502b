/*
 * What a card's monitor says of itself: an EDID that prefers a mode (VESA E-EDID standard, release A, structure 1.4,
 * with one extension block of CTA-861).
 */
#ifndef MYNA_HW_DISPLAY_EDID_H
#define MYNA_HW_DISPLAY_EDID_H

#include <stdint.h>

enum { EDID_SIZE = 256, EDID_WIDTH_MIN = 320, EDID_HEIGHT_MIN = 200, EDID_MAX = 4088 };

/*
 * The mode width x height (at most 4095) at 60 Hz is preferred; others, up to 3840 x 2160, are named that fit into
 * `memory` bytes.
 */
void edid_make(uint8_t edid[EDID_SIZE], unsigned width, unsigned height, uint64_t memory);

/*
 * Makes a viewer's size one that the monitor may prefer: a width that is a multiple of 8, 640 x 480 at least, and so
 * small that two pictures of 32 bits a dot fit into `memory` (Linux's drivers take no mode beyond that).
 */
void edid_fit(unsigned *width, unsigned *height, uint64_t memory);

#endif
