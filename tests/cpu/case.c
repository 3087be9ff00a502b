/* Making cases: encodings and operands for a row of the table (case.h). */
#include "tests/cpu/case.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"
#include "util/endian.h"

/* xorshift64*: the same numbers on every host. */
typedef struct Random {
    uint64_t state;
} Random;

static uint64_t next(Random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t below(Random *r, uint64_t n) { return (next(r) >> 16) % n; }
static bool chance(Random *r, unsigned percent) { return below(r, 100) < percent; }

static Random random_for(uint64_t seed)
{
    Random r = { seed * UINT64_C(0x9e3779b97f4a7c15) + 0x1234567 };
    next(&r);
    next(&r);
    return r;
}

/* Integers with the interesting ones often. */
static uint64_t random_integer(Random *r)
{
    static const uint64_t corners[] = {
        0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
        0x80000000, 0xffffffff, UINT64_C(0x100000000), INT64_MAX, UINT64_C(0x8000000000000000), UINT64_MAX,
        UINT64_MAX - 1, UINT64_C(0x5555555555555555), UINT64_C(0xaaaaaaaaaaaaaaaa),
    };
    if (chance(r, 40))
        return corners[below(r, ARRAY_SIZE(corners))];
    return next(r) >> below(r, 64);
}

static uint32_t random_float(Random *r)
{
    static const uint32_t corners[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffa00000,
        1, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x4b000000, 0x4f000000, 0xcf000000, 0x3f000000, 0x40490fdb,
    };
    if (chance(r, 35))
        return corners[below(r, ARRAY_SIZE(corners))];
    if (chance(r, 60))
        return (next(r) & 0x807fffff) | (uint32_t)(107 + below(r, 40)) << 23;
    return next(r);
}

static uint64_t random_double(Random *r)
{
    static const uint64_t corners[] = {
        0, UINT64_C(1) << 63, UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000001),
        UINT64_C(0x7ff0000000000001), UINT64_C(0xfff4000000000000), 1, UINT64_C(0x800fffffffffffff),
        UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x4330000000000000),
        UINT64_C(0x43e0000000000000), UINT64_C(0xc3e0000000000000), UINT64_C(0x41dfffffffc00000),
        UINT64_C(0x3fe0000000000000), UINT64_C(0x400921fb54442d18),
    };
    if (chance(r, 35))
        return corners[below(r, ARRAY_SIZE(corners))];
    if (chance(r, 60))
        return (next(r) & UINT64_C(0x800fffffffffffff)) | (uint64_t)(983 + below(r, 80)) << 52;
    return next(r);
}

static void random_extended(Random *r, uint64_t *mant, uint16_t *sexp)
{
    static const struct { uint64_t mant; uint16_t sexp; } corners[] = {
        { 0, 0 }, { 0, 0x8000 }, { BIT(63), 0x3fff }, { BIT(63), 0xbfff }, { BIT(63), 0x7fff }, { BIT(63), 0xffff },
        { UINT64_C(3) << 62, 0x7fff }, { UINT64_C(3) << 62, 0xffff }, { BIT(63) | 1, 0x7fff }, { 1, 0 },
        { BIT(63), 0 }, { BIT(63), 1 }, { UINT64_MAX, 0x7ffe }, { UINT64_C(0xc90fdaa22168c235), 0x4000 },
        { BIT(62), 0x3fff }, { 0, 0x7fff }, { BIT(63), 0x4000 }, { BIT(63), 0x3ffe },
    };
    if (chance(r, 30)) {
        unsigned k = below(r, ARRAY_SIZE(corners));
        *mant = corners[k].mant;
        *sexp = corners[k].sexp;
    } else {
        *mant = next(r) | BIT(63);
        if (chance(r, 30))
            *mant &= ~bit_mask(below(r, 60));
        *sexp = chance(r, 75) ? (next(r) & 0x8000) | (0x3fff - 40 + below(r, 100)) : next(r);
    }
}

/* Vector lanes of every kind: the instruction may read them as integers or floats of any size. */
static uint64_t random_lane(Random *r)
{
    switch (below(r, 4)) {
    case 0: return random_integer(r);
    case 1: return next(r);
    case 2: return random_float(r) | (uint64_t)random_float(r) << 32;
    default: return random_double(r);
    }
}

const char *row_excluded(unsigned row)
{
    static const struct { const char *prefix, *why; } list[] = {
        { "INT_", "enters the kernel" },      { "INT3", "is how a case ends" },   { "INT1", "traps" },
        { "INTO", "traps" },                  { "SYSCALL", "enters the kernel" }, { "SYSENTER", "enters the kernel" },
        { "CPUID", "depends on the model" },  { "RDTSC", "time" },                { "RDRAND", "random" },
        { "RDSEED", "random" },               { "RDPMC", "counters" },            { "RDPID", "depends on the CPU" },
        { "RDPRU", "counters" },              { "WRFSBASE", "thread pointer" },   { "WRGSBASE", "base registers" },
        { "RDFSBASE", "thread pointer" },     { "RDGSBASE", "base registers" },   { "XGETBV", "depends on the model" },
        { "XSAVE", "depends on the model" },  { "XRSTOR", "depends on the model" }, { "SGDT", "tables" },
        { "SIDT", "tables" },                 { "SLDT", "tables" },               { "STR", "tables" },
        { "SMSW", "control registers" },      { "LAR", "tables" },                { "LSL", "tables" },
        { "VERR", "tables" },                 { "VERW", "tables" },               { "MONITOR", "not in user mode" },
        { "MWAIT", "not in user mode" },      { "FXSAVE", "pointers" },           { "FXRSTOR", "pointers" },
        { "CLZERO", "model" },                { "BOUND", "signal hides the kind" }, { "UD", "no result" },
    };
    if (insn_rows[row].attr & A_NOUSER)
        return "depends on the machine";
    for (unsigned k = 0; k < ARRAY_SIZE(list); k++)
        if (g_str_has_prefix(insn_rows[row].id, list[k].prefix))
            return list[k].why;
    /* Segment registers and far transfers: descriptor tables differ. */
    g_auto(GStrv) operands = g_strsplit(insn_rows[row].operands, ",", -1);
    static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };
    for (char **o = operands; *o; o++) {
        if ((*o)[0] == 'S' || (*o)[0] == 'A' || g_str_has_prefix(*o, "Mp"))
            return "descriptor tables";
        for (unsigned k = 0; k < ARRAY_SIZE(segments); k++)
            if (!strcmp(*o, segments[k]))
                return "descriptor tables";
    }
    return NULL;
}

/* An encoding being built. */
typedef struct Builder {
    Random *r;
    uint8_t mandatory, map, opcode, opcode_reg, modrm, modrm_mask;
    bool have_opcode, has_modrm, reg_only, mem_only;
    int w;
    char operands[64];
} Builder;

static bool is_hex_byte(const char *w) { return g_ascii_isxdigit(w[0]) && g_ascii_isxdigit(w[1]) && (!w[2] || w[2] == '+'); }

static void build_word(Builder *b, const char *w)
{
    bool may_be_opcode = b->map || b->have_opcode;
    if (!strcmp(w, "NP"))
        b->mandatory = 1;
    else if (!may_be_opcode && (!strcmp(w, "66") || !strcmp(w, "F3") || !strcmp(w, "F2")))
        b->mandatory = strtoul(w, NULL, 16);
    else if (!may_be_opcode && !strcmp(w, "0F"))
        b->map = 1;
    else if (!strcmp(w, "0F38"))
        b->map = 2;
    else if (!strcmp(w, "0F3A"))
        b->map = 3;
    else if (w[0] == '/' && g_ascii_isdigit(w[1])) {
        b->has_modrm = true;
        b->modrm |= (w[1] - '0') << 3;
        b->modrm_mask |= 0x38;
    } else if (!strcmp(w, "/r"))
        b->has_modrm = true;
    else if (!strcmp(w, "W0") || !strcmp(w, "W1"))
        b->w = w[1] - '0';
    else if (!strcmp(w, "m"))
        b->mem_only = true;
    else if (!strcmp(w, "rm"))
        b->reg_only = true;
    else if (is_hex_byte(w) && !b->have_opcode) {
        b->have_opcode = true;
        b->opcode = strtoul(w, NULL, 16);
        b->opcode_reg = w[2] == '+';
    } else if (is_hex_byte(w)) {
        b->has_modrm = true;
        b->modrm = strtoul(w, NULL, 16);
        b->modrm_mask = w[2] == '+' ? 0xf8 : 0xff;
    }
}

static void build_operands(Builder *b, const char *operands)
{
    for (const char *o = operands; *o;) {
        if (strchr("EMRGSCDPQNVWU", *o))
            b->has_modrm = true;
        if (strchr("RNU", *o))
            b->reg_only = true;
        if (*o == 'M')
            b->mem_only = true;
        o += strcspn(o, ",");
        o += *o == ',';
    }
}

static uint8_t build_modrm(Builder *b, unsigned size)
{
    uint8_t m = next(b->r);
    if (b->reg_only)
        m |= 0xc0;
    else if (b->mem_only && m >= 0xc0)
        m &= 0xbf;
    m = (m & ~b->modrm_mask) | (b->modrm & b->modrm_mask);
    /* An absolute address must lie in the data pages: avoid mod 0, rm 5 (and SIB base 5) in favour of a base. */
    if (m < 0x40 && (m & 7) == 5)
        m |= 0x80;
    (void)size;
    return m;
}

/* ModRM, SIB and displacement; the displacement is short enough for base registers to make up for it. */
static unsigned put_modrm(Builder *b, unsigned size, uint8_t *p)
{
    unsigned n = 0;
    uint8_t m = build_modrm(b, size);
    p[n++] = m;
    if (m >= 0xc0)
        return n;
    if ((m & 7) == 4) {
        uint8_t sib = next(b->r);
        if (m < 0x40 && (sib & 7) == 5)
            sib ^= 1;
        p[n++] = sib;
    }
    if (m >= 0x40 && m < 0x80) {
        p[n++] = next(b->r);
    } else if (m >= 0x80) {
        st32le(p + n, (uint32_t)below(b->r, 4096) - 2048);
        n += 4;
    }
    return n;
}

static void put_prefixes(Builder *b, unsigned size, const InsnRow *row, uint8_t *code, unsigned *n)
{
    if (row->attr & A_LOCK && chance(b->r, 10))
        code[(*n)++] = 0xf0;
    if (b->mandatory > 1)
        code[(*n)++] = b->mandatory;
    else if (!b->mandatory && !(row->attr & A_JUMP) && chance(b->r, 30)) /* processors differ on 66 near branches */
        code[(*n)++] = 0x66;
    if (size == SZ64 && chance(b->r, 5))
        code[(*n)++] = 0x67;
    if (size == SZ64 && (b->w == 1 || chance(b->r, 60))) {
        uint8_t rex = 0x40 | (next(b->r) & 15);
        if (b->w >= 0)
            rex = (rex & ~8) | b->w << 3;
        code[(*n)++] = rex;
    }
}

static void put_opcode(Builder *b, uint8_t *code, unsigned *n)
{
    if (b->map)
        code[(*n)++] = 0x0f;
    if (b->map > 1)
        code[(*n)++] = b->map == 2 ? 0x38 : 0x3a;
    code[(*n)++] = b->opcode | (b->opcode_reg ? below(b->r, 8) : 0);
}

/* The bytes of one instruction of the row; false when the decoder takes them for another row. */
static bool build_code(const InsnDecoder *d, Random *r, Case *c, Insn *insn)
{
    const InsnRow *row = &insn_rows[c->row];
    Builder b = { .r = r, .w = -1 };
    uint8_t code[32] = { 0 };
    unsigned n = 0;
    g_auto(GStrv) words = g_strsplit(row->encoding, " ", -1);
    for (char **w = words; *w; w++)
        if (**w)
            build_word(&b, *w);
    build_operands(&b, row->operands);
    put_prefixes(&b, c->size, row, code, &n);
    put_opcode(&b, code, &n);
    if (b.has_modrm)
        n += put_modrm(&b, c->size, code + n);
    for (unsigned k = n; k < sizeof code; k++)
        code[k] = chance(r, 50) ? random_integer(r) : next(r);
    int length = insn_decode(d, c->size, code, 15, insn);
    if (length <= 0 || insn->row != c->row)
        return false;
    c->length = length;
    memcpy(c->code, code, length);
    return true;
}

/* Relative branches stay within the code page: their displacement is cut to its low bits. */
static bool limit_branch(const InsnDecoder *d, Case *c, Insn *insn)
{
    const char *j = strchr(insn_rows[c->row].operands, 'J');
    if (!j)
        return true;
    unsigned bytes = j[1] == 'b' ? 1 : insn->osz == SZ16 && c->size != SZ64 ? 2 : 4;
    if (bytes == 2)
        return false; /* would truncate EIP below the code page */
    if (bytes == 4)
        st32le(c->code + c->length - 4, (int32_t)(insn->imm & 0xff) - 128);
    if (insn_decode(d, c->size, c->code, 15, insn) != c->length)
        return false;
    int64_t target = insn->imm + c->length;
    return target < 0 || target >= c->length; /* not into itself: that would never end */
}

static uint64_t random_place(Random *r)
{
    if (chance(r, 3))
        return DATA_BASE + DATA_SIZE - below(r, 40); /* may run into the unmapped page */
    if (chance(r, 10))
        return DATA_BASE + 4096 - below(r, 40);
    if (chance(r, 60))
        return DATA_BASE + 512 + (below(r, 7168) & ~UINT64_C(63)); /* aligned operands must work */
    return DATA_BASE + 512 + below(r, 7168);
}

/* Gives the base register of a memory operand the value that leads to `place`. */
static bool aim(Case *c, const Insn *i, Random *r, uint64_t place)
{
    uint64_t *gpr = c->in.gpr;
    if (!i->mem)
        return true;
    if (i->base >= 16 || i->base == i->index)
        return false;
    if (i->index < 16)
        gpr[i->index] = below(r, 2) ? below(r, 64) : -below(r, 64);
    gpr[i->base] = place - (i->index < 16 ? gpr[i->index] << i->scale : 0) - (int64_t)i->disp;
    if (i->asz == SZ32 && c->size == SZ64 && chance(r, 50))
        gpr[i->base] |= next(r) << 32;
    return true;
}

/* Registers that instructions use as implicit pointers and counters. */
static void set_implicit(Case *c, Random *r)
{
    const InsnRow *row = &insn_rows[c->row];
    uint64_t *gpr = c->in.gpr;
    gpr[R_SP] = random_place(r) & ~UINT64_C(7);
    if (chance(r, 50))
        gpr[R_BP] = random_place(r) & ~UINT64_C(7);
    if (strpbrk(row->operands, "XY") || !strncmp(row->id, "MASKMOV", 7) || (row->attr & A_REP)) {
        gpr[R_SI] = random_place(r);
        gpr[R_DI] = random_place(r);
    }
    if (row->attr & A_REP)
        gpr[R_CX] = below(r, 40);
    if (!strncmp(row->id, "XLAT", 4))
        gpr[R_BX] = random_place(r);
}

static void set_registers(Case *c, Random *r)
{
    Registers *in = &c->in;
    for (unsigned k = 0; k < 16; k++) {
        in->gpr[k] = random_integer(r);
        in->xmm[k][0] = random_lane(r);
        in->xmm[k][1] = random_lane(r);
    }
    for (unsigned k = 0; k < 8; k++)
        random_extended(r, &in->st_mant[k], &in->st_sexp[k]);
    in->rip = INSN_AT;
    in->eflags = (next(r) & F_ARITH) | 0x202 | (chance(r, 25) ? F_DF : 0);
    in->fcw = 0x040 | (chance(r, 70) ? 0x3f : next(r) & 0x3f) | (chance(r, 60) ? 0x300 : next(r) & 0x300) | (next(r) & 0xc00);
    in->fsw = next(r) & 0x4700 & ~0x80;
    in->fsw |= below(r, 8) << 11;
    in->tags = chance(r, 60) ? 0xff : next(r);
    in->mxcsr = (chance(r, 75) ? 0x1f80 : next(r) & 0x1f80) | (next(r) & 0x6000) | (chance(r, 30) ? next(r) & 0x8040 : 0) |
                (chance(r, 30) ? next(r) & 0x3f : 0);
}

/* A 32-bit program has neither upper halves nor the other eight registers. */
static void narrow_registers(Case *c)
{
    for (unsigned k = 0; k < 16; k++)
        c->in.gpr[k] = k < 8 ? c->in.gpr[k] & 0xffffffff : 0;
    for (unsigned k = 8; k < 16; k++)
        c->in.xmm[k][0] = c->in.xmm[k][1] = 0;
}

/* Bit strings reach far: keep the register offset within the data. */
static void limit_bit_offset(Case *c, const Insn *i)
{
    const InsnRow *row = &insn_rows[c->row];
    if (!strncmp(row->id, "BT", 2) && i->mem && strchr(row->operands, 'G'))
        c->in.gpr[i->reg] = (int64_t)(c->in.gpr[i->reg] & 0xfff) - 0x800;
}

bool case_make(const InsnDecoder *d, unsigned row, unsigned size, unsigned n, Case *c)
{
    Insn insn;
    *c = (Case){ .row = row, .size = size, .seed = ((uint64_t)row << 32 | n << 2 | size) };
    Random r = random_for(c->seed);
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        if (!build_code(d, &r, c, &insn) || !limit_branch(d, c, &insn))
            continue;
        if (insn.seg == SEG_FS || insn.seg == SEG_GS || insn.asz == SZ16)
            continue;
        set_registers(c, &r);
        set_implicit(c, &r);
        limit_bit_offset(c, &insn);
        if (!aim(c, &insn, &r, random_place(&r)))
            continue;
        if (size == SZ32)
            narrow_registers(c);
        return true;
    }
    return false;
}

void case_fill_data(const Case *c, uint8_t *data)
{
    Random r = random_for(c->seed ^ 0xdada);
    for (unsigned k = 0; k < DATA_SIZE; k += 8)
        st64le(data + k, random_lane(&r));
    for (unsigned k = 0; k < 64; k++) {
        uint64_t mant;
        uint16_t sexp;
        random_extended(&r, &mant, &sexp);
        unsigned at = below(&r, DATA_SIZE - 16) & ~7u;
        st64le(data + at, mant);
        st16le(data + at + 8, sexp);
    }
}
