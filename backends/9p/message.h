/*
 * Reading and writing the fields of 9P messages (9P2000, intro(5): numbers are little-endian; a string has a 2-byte length before it and
 * no NUL in it).  What lies behind the end reads as zero and is noted, so that a caller checks once.
 */
#ifndef MYNA_BACKENDS_9P_MESSAGE_H
#define MYNA_BACKENDS_9P_MESSAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct P9Reader {
    const uint8_t *data;
    size_t size, pos;
    bool bad;        /* something was not there, or is no string */
} P9Reader;

typedef struct P9Writer {
    uint8_t *data;
    size_t size, pos;
    bool full;       /* something did not fit */
} P9Writer;

/* The next `size` bytes, or NULL. */
const uint8_t *p9_take(P9Reader *r, size_t size);
uint8_t p9_get8(P9Reader *r);
uint16_t p9_get16(P9Reader *r);
uint32_t p9_get32(P9Reader *r);
uint64_t p9_get64(P9Reader *r);
/* To be freed; never NULL ("" when bad). */
char *p9_get_string(P9Reader *r);

/* Room for `size` bytes, or NULL. */
uint8_t *p9_room(P9Writer *w, size_t size);
void p9_put8(P9Writer *w, uint8_t v);
void p9_put16(P9Writer *w, uint16_t v);
void p9_put32(P9Writer *w, uint32_t v);
void p9_put64(P9Writer *w, uint64_t v);
void p9_put_string(P9Writer *w, const char *s);

#endif
