/*
 * The characters of text modes, in Unicode.
 */
#ifndef MYNA_UI_CP437_H
#define MYNA_UI_CP437_H

#include <stdint.h>

/* Also of codes below 20h, which are pictures on the screen. */
extern const uint16_t cp437_unicode[256];

#endif
