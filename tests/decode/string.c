/* Strings and their facts (string.h). */
#include "tests/decode/string.h"

#include <string.h>

#include "tests/cpu/encode.h"

/* ---- making ---- */

static void fill(Random *r, uint8_t *bytes, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        bytes[k] = random_next(r) >> 32;
}

static unsigned put_prefixes(Random *r, unsigned size, uint8_t *bytes)
{
    static const uint8_t legacy[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    unsigned n = 0;
    while (n < 4 && random_chance(r, 30))
        bytes[n++] = random_chance(r, 75) ? legacy[random_below(r, 4)] : legacy[random_below(r, sizeof legacy)];
    if (size == SZ64 && random_chance(r, 30))
        bytes[n++] = 0x40 | random_below(r, 16);
    return n;
}

static void put_evex(Random *r, uint8_t *p)
{
    static const uint8_t maps[] = { 1, 1, 2, 2, 2, 3, 3, 5, 6 };
    p[0] = 0x62;
    p[1] = (random_chance(r, 60) ? 0xf0 : random_next(r) & 0xf0) | maps[random_below(r, sizeof maps)];
    p[2] = random_next(r) | (random_chance(r, 50) ? 0x78 : 0) | 4;
    p[3] = random_next(r) | (random_chance(r, 70) ? 8 : 0);
    if (random_chance(r, 50))
        p[3] &= random_chance(r, 50) ? 0x68 : 0x78;
}

/* An opcode map chosen first, so that the rare ones are as frequent as others. */
static void make_structured(Random *r, unsigned size, uint8_t *bytes)
{
    fill(r, bytes, STRING_SIZE);
    uint8_t *p = bytes + put_prefixes(r, size, bytes);
    switch (random_below(r, 9)) {
    case 0: break;
    case 1:
    case 2: p[0] = 0x0f; break;
    case 3: p[0] = 0x0f, p[1] = 0x38; break;
    case 4: p[0] = 0x0f, p[1] = 0x3a; break;
    case 5: p[0] = 0xc5, p[1] |= size == SZ64 ? 0 : 0xc0; break;
    case 6: p[0] = 0xc4, p[1] = (random_chance(r, 60) ? 0xe0 : p[1] & 0xe0) | (1 + random_below(r, 3)); break;
    case 7: p[0] = 0x8f, p[1] = (random_chance(r, 60) ? 0xe0 : p[1] & 0xe0) | (8 + random_below(r, 3)); break;
    default: put_evex(r, p); break;
    }
}

/* Rows are made for 32-bit and 64-bit code; in 16-bit code the same bytes are as good as others. */
static bool make_of_row(const InsnDecoder *d, Random *r, unsigned size, uint8_t *bytes)
{
    Encoded e;
    if (!encode_row(d, r, random_below(r, insn_row_count), size == SZ16 ? SZ32 : size, &encode_anything, &e))
        return false;
    fill(r, bytes, STRING_SIZE);
    memcpy(bytes, e.code, e.length);
    for (unsigned flips = random_chance(r, 40) ? 1 + random_below(r, 3) : 0; flips; flips--)
        bytes[random_below(r, e.length)] ^= 1u << random_below(r, 8);
    return true;
}

void string_make(const InsnDecoder *d, Random *r, unsigned size, uint8_t *bytes)
{
    unsigned way = random_below(r, 10);
    if (way < 3 && make_of_row(d, r, size, bytes))
        return;
    if (way < 8)
        make_structured(r, size, bytes);
    else
        fill(r, bytes, STRING_SIZE);
}

/* ---- facts ---- */

static uint32_t prefix_fact(uint8_t b)
{
    switch (b) {
    case 0x66: return FACT_66;
    case 0x67: return FACT_67;
    case 0xf2: return FACT_F2;
    case 0xf3: return FACT_F3;
    case 0xf0: return FACT_LOCK;
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: return FACT_SEGMENT;
    default: return 0;
    }
}

static bool is_mandatory(uint8_t b) { return prefix_fact(b) & (FACT_66 | FACT_F2 | FACT_F3); }

/* REX counts just before the opcode; of F2 and F3 the last. */
static unsigned skip_prefixes(const uint8_t *b, unsigned size, Facts *f, uint8_t *rex)
{
    unsigned n = 0;
    for (*rex = 0; n < STRING_SIZE - 1; n++) {
        uint32_t fact = prefix_fact(b[n]);
        if (fact & (FACT_F2 | FACT_F3))
            f->bits &= ~(FACT_F2 | FACT_F3);
        bool is_rex = size == SZ64 && (b[n] & 0xf0) == 0x40;
        if (!is_rex && !fact)
            break;
        if (*rex || (fact && n && is_mandatory(b[n - 1])))
            f->bits |= FACT_APART;
        f->bits |= fact;
        *rex = is_rex ? b[n] : 0;
    }
    f->prefixes = n;
    return n;
}

static void read_legacy(const uint8_t *p, const uint8_t *end, uint8_t rex, Facts *f)
{
    f->bits |= FACT_LEGACY | (rex ? FACT_REX : 0) | (rex & 8 ? FACT_W : 0) | (rex & 4 ? FACT_R : 0) |
               (rex & 2 ? FACT_X : 0) | (rex & 1 ? FACT_BASE_B : 0);
    f->pp = f->bits & FACT_F2 ? 3 : f->bits & FACT_F3 ? 2 : f->bits & FACT_66 ? 1 : 0;
    if (p < end && *p == 0x0f) {
        f->map = 1;
        p++;
        if (p < end && (*p == 0x38 || *p == 0x3a))
            f->map = *p++ == 0x38 ? 2 : 3;
    }
    f->opcode = p < end ? *p++ : 0;
    f->modrm = p < end ? *p : 0;
}

/* The two bytes that VEX, EVEX and XOP have alike; two-byte VEX has but the second. */
static void read_vex(const uint8_t *p, bool two, Facts *f)
{
    uint8_t first = two ? p[1] | 0x60 : p[1], last = two ? p[1] & 0x7f : p[2];
    f->map = two ? 1 : p[1] & (p[0] == 0x62 ? 7 : 0x1f);
    f->pp = last & 3 ? (uint8_t[]){ 0, 1, 2, 3 }[last & 3] : 0;
    f->bits |= (last & 0x80 ? FACT_W : 0) | (last & 4 ? FACT_L : 0) | ((~last & 0x78) ? FACT_VVVV : 0) |
               (first & 0x80 ? 0 : FACT_R) | (first & 0x40 ? 0 : FACT_X) | (first & 0x20 ? 0 : FACT_BASE_B);
}

static void read_evex(const uint8_t *p, Facts *f)
{
    read_vex(p, false, f);
    f->bits &= ~FACT_L;
    f->bits |= (p[3] & 0x80 ? FACT_Z : 0) | (p[3] & 0x10 ? FACT_B : 0) | (p[3] & 7 ? FACT_K : 0) |
               (p[1] & 0x10 ? 0 : FACT_RHIGH) | (p[3] & 8 ? 0 : FACT_VHIGH);
    f->bits |= (p[3] & 0x60) == 0x60 ? FACT_LL3 : (p[3] & 0x60) == 0x40 ? FACT_L2 : p[3] & 0x60 ? FACT_L : 0;
}

/* C4, C5, 62 and 8F are such prefixes as SDM vol. 2A 2.3.5 and 2.7.1 and APM vol. 3 1.2.5 say. */
static bool read_vector(const uint8_t *p, const uint8_t *end, unsigned size, Facts *f)
{
    bool two = p[0] == 0xc5;
    unsigned length = two ? 2 : p[0] == 0x62 ? 4 : 3;
    if (end - p < length + 2 || (p[0] != 0xc4 && p[0] != 0xc5 && p[0] != 0x62 && p[0] != 0x8f))
        return false;
    if (p[0] == 0x8f ? (p[1] & 0x1f) < 8 : size != SZ64 && p[1] < 0xc0)
        return false;
    f->bits |= p[0] == 0x62 ? FACT_EVEX : p[0] == 0x8f ? FACT_XOP : FACT_VEX;
    if (p[0] == 0x62)
        read_evex(p, f);
    else
        read_vex(p, two, f);
    f->opcode = p[length];
    f->modrm = p[length + 1];
    return true;
}

Facts string_facts(const uint8_t *bytes, unsigned size)
{
    static const uint32_t sizes[] = { FACT_16, FACT_32, FACT_64 };
    Facts f = { .bits = sizes[size] };
    uint8_t rex;
    const uint8_t *p = bytes + skip_prefixes(bytes, size, &f, &rex), *end = bytes + STRING_SIZE;
    if (rex)
        f.bits |= FACT_REX;
    if (!read_vector(p, end, size, &f))
        read_legacy(p, end, rex, &f);
    f.bits |= f.map ? FACT_TWO : 0;
    f.bits |= f.modrm < 0xc0 ? FACT_MEMORY | ((f.modrm & 7) == 4 ? FACT_SIB : 0) : 0;
    return f;
}
