/* Fields of 9P messages (message.h). */
#include "backends/9p/message.h"

#include <string.h>

#include "util/endian.h"

const uint8_t *p9_take(P9Reader *r, size_t size)
{
    if (r->bad || size > r->size - r->pos) {
        r->bad = true;
        return NULL;
    }
    r->pos += size;
    return r->data + r->pos - size;
}

static uint64_t get(P9Reader *r, unsigned size)
{
    const uint8_t *p = p9_take(r, size);
    return p ? ldle(p, size) : 0;
}

uint8_t p9_get8(P9Reader *r) { return get(r, 1); }
uint16_t p9_get16(P9Reader *r) { return get(r, 2); }
uint32_t p9_get32(P9Reader *r) { return get(r, 4); }
uint64_t p9_get64(P9Reader *r) { return get(r, 8); }

char *p9_get_string(P9Reader *r)
{
    unsigned size = p9_get16(r);
    const uint8_t *p = p9_take(r, size);
    if (p && memchr(p, 0, size))
        r->bad = true;
    return g_strndup(p && !r->bad ? (const char *)p : "", p ? size : 0);
}

uint8_t *p9_room(P9Writer *w, size_t size)
{
    if (w->full || size > w->size - w->pos) {
        w->full = true;
        return NULL;
    }
    w->pos += size;
    return w->data + w->pos - size;
}

static void put(P9Writer *w, uint64_t v, unsigned size)
{
    uint8_t *p = p9_room(w, size);
    if (p)
        stle(p, v, size);
}

void p9_put8(P9Writer *w, uint8_t v) { put(w, v, 1); }
void p9_put16(P9Writer *w, uint16_t v) { put(w, v, 2); }
void p9_put32(P9Writer *w, uint32_t v) { put(w, v, 4); }
void p9_put64(P9Writer *w, uint64_t v) { put(w, v, 8); }

void p9_put_string(P9Writer *w, const char *s)
{
    size_t size = strlen(s);
    if (size > UINT16_MAX) {
        w->full = true;
        return;
    }
    p9_put16(w, size);
    uint8_t *p = p9_room(w, size);
    if (p)
        memcpy(p, s, size);
}
