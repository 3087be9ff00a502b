/*
 * Lines of text as a picture, which faces lay over the screen: what keys there are, what has happened.
 */
#ifndef MYNA_UI_BANNER_H
#define MYNA_UI_BANNER_H

#include <stdint.h>

typedef struct Banner {
    unsigned width, height;
    uint32_t *pixels; /* 0xAARRGGBB, colours not multiplied by alpha */
} Banner;

/* ASCII, lines separated by "\n"; each dot of the font becomes scale x scale (1 to 8).  At most 100 x 50. */
Banner banner_make(const char *text, unsigned scale);
void banner_clear(Banner *b);

#endif
