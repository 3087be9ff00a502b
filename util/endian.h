/*
 * Loads and stores of guest values with an explicit byte order, at any alignment, on any host.
 * This is the only place where memory is read as another type than it was written.
 */
#ifndef MYNA_UTIL_ENDIAN_H
#define MYNA_UTIL_ENDIAN_H

#include <stdint.h>
#include <string.h>

#define HOST_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#if HOST_BIG_ENDIAN
#define le16(x) __builtin_bswap16(x)
#define le32(x) __builtin_bswap32(x)
#define le64(x) __builtin_bswap64(x)
#define be16(x) (x)
#define be32(x) (x)
#define be64(x) (x)
#else
#define le16(x) (x)
#define le32(x) (x)
#define le64(x) (x)
#define be16(x) __builtin_bswap16(x)
#define be32(x) __builtin_bswap32(x)
#define be64(x) __builtin_bswap64(x)
#endif

#define ENDIAN_ACCESS(bits)                                                                                            \
    static inline uint##bits##_t ld##bits##le(const void *p)                                                           \
    {                                                                                                                  \
        uint##bits##_t v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                                       \
        return le##bits(v);                                                                                            \
    }                                                                                                                  \
    static inline void st##bits##le(void *p, uint##bits##_t v)                                                         \
    {                                                                                                                  \
        v = le##bits(v);                                                                                               \
        memcpy(p, &v, sizeof v);                                                                                       \
    }                                                                                                                  \
    static inline uint##bits##_t ld##bits##be(const void *p)                                                           \
    {                                                                                                                  \
        uint##bits##_t v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                                       \
        return be##bits(v);                                                                                            \
    }                                                                                                                  \
    static inline void st##bits##be(void *p, uint##bits##_t v)                                                         \
    {                                                                                                                  \
        v = be##bits(v);                                                                                               \
        memcpy(p, &v, sizeof v);                                                                                       \
    }

ENDIAN_ACCESS(16)
ENDIAN_ACCESS(32)
ENDIAN_ACCESS(64)
#undef ENDIAN_ACCESS

static inline uint8_t ld8(const void *p) { return *(const uint8_t *)p; }
static inline void st8(void *p, uint8_t v) { *(uint8_t *)p = v; }

/* A little-endian value of size 1, 2, 4 or 8 bytes. */
static inline uint64_t ldle(const void *p, unsigned size)
{
    switch (size) {
    case 1: return ld8(p);
    case 2: return ld16le(p);
    case 4: return ld32le(p);
    default: return ld64le(p);
    }
}

static inline void stle(void *p, uint64_t v, unsigned size)
{
    switch (size) {
    case 1: st8(p, v); break;
    case 2: st16le(p, v); break;
    case 4: st32le(p, v); break;
    default: st64le(p, v); break;
    }
}

#endif
