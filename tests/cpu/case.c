/* Making cases: encodings and operands for a row of the table (case.h). */
#include "tests/cpu/case.h"

#include <glib.h>
#include <string.h>

#include "cpu/state.h"
#include "tests/cpu/encode.h"
#include "util/endian.h"

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
        { "BOUND", "signal hides the kind" }, { "UD", "no result" },
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

static bool build_code(const InsnDecoder *d, Random *r, Case *c, Insn *insn)
{
    Encoded e;
    if (!encode_row(d, r, c->row, c->size, &encode_anything, &e))
        return false;
    c->length = e.length;
    memcpy(c->code, e.code, e.length);
    *insn = e.insn;
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
    if (random_chance(r, 3))
        return DATA_BASE + DATA_SIZE - random_below(r, 40); /* may run into the unmapped page */
    if (random_chance(r, 10))
        return DATA_BASE + 4096 - random_below(r, 40);
    if (random_chance(r, 60))
        return DATA_BASE + 512 + (random_below(r, 7168) & ~UINT64_C(63)); /* aligned operands must work */
    return DATA_BASE + 512 + random_below(r, 7168);
}

/* The indices of a gather or scatter: small, but for a few that may lead out of the data. */
static void set_indices(Case *c, const Insn *i, Random *r)
{
    const char *kind = strstr(insn_rows[c->row].id, "TER");
    bool doublewords = kind ? kind[3] == 'D' : strstr(insn_rows[c->row].id, "GATHERD") != NULL;
    for (unsigned k = 0; k < 8; k++) {
        int32_t low = (int32_t)random_below(r, 128) - 64, high = (int32_t)random_below(r, 128) - 64;
        if (random_chance(r, 1))
            low = random_next(r);
        c->in.vec[i->index][k] = doublewords ? (uint32_t)low | (uint64_t)high << 32 : (uint64_t)(int64_t)low;
    }
}

static bool has_vector_index(const Case *c) { return strstr(insn_rows[c->row].encoding, "vsib") != NULL; }

/* Gives the base register of a memory operand the value that leads to `place`. */
static bool aim(Case *c, const Insn *i, Random *r, uint64_t place)
{
    uint64_t *gpr = c->in.gpr;
    if (!i->mem)
        return true;
    bool general_index = i->index < 16 && !has_vector_index(c);
    if (i->base >= 16 || (general_index && i->base == i->index))
        return false;
    if (has_vector_index(c))
        set_indices(c, i, r);
    if (general_index)
        gpr[i->index] = random_below(r, 2) ? random_below(r, 64) : -random_below(r, 64);
    gpr[i->base] = place - (general_index ? gpr[i->index] << i->scale : 0) - (int64_t)i->disp;
    if (i->asz == SZ32 && c->size == SZ64 && random_chance(r, 50))
        gpr[i->base] |= random_next(r) << 32;
    return true;
}

/* Registers that instructions use as implicit pointers and counters. */
static void set_implicit(Case *c, Random *r)
{
    const InsnRow *row = &insn_rows[c->row];
    uint64_t *gpr = c->in.gpr;
    gpr[R_SP] = random_place(r) & ~UINT64_C(7);
    if (random_chance(r, 50))
        gpr[R_BP] = random_place(r) & ~UINT64_C(7);
    if (strpbrk(row->operands, "XY") || !strncmp(row->id, "MASKMOV", 7) || !strcmp(row->id, "VMASKMOVDQU") || (row->attr & A_REP)) {
        gpr[R_SI] = random_place(r);
        gpr[R_DI] = random_place(r);
    }
    if (row->attr & A_REP)
        gpr[R_CX] = random_below(r, 40);
    if (!strcmp(row->id, "CLZERO"))
        gpr[R_AX] = random_place(r);
    if (!strncmp(row->id, "XLAT", 4))
        gpr[R_BX] = random_place(r);
}

static void set_registers(Case *c, Random *r)
{
    Registers *in = &c->in;
    for (unsigned k = 0; k < 16; k++)
        in->gpr[k] = random_integer(r);
    for (unsigned k = 0; k < 32 * 8; k++)
        in->vec[k / 8][k % 8] = random_lane(r);
    for (unsigned k = 0; k < 8; k++)
        in->opmask[k] = random_chance(r, 25) ? random_integer(r) : random_next(r);
    for (unsigned k = 0; k < 8; k++)
        random_extended(r, &in->st_mant[k], &in->st_sexp[k]);
    in->rip = INSN_AT;
    in->eflags = (random_next(r) & F_ARITH) | 0x202 | (random_chance(r, 25) ? F_DF : 0);
    in->fcw = 0x040 | (random_chance(r, 70) ? 0x3f : random_next(r) & 0x3f) | (random_chance(r, 60) ? 0x300 : random_next(r) & 0x300) | (random_next(r) & 0xc00);
    in->fsw = random_next(r) & 0x4700 & ~0x80;
    in->fsw |= random_below(r, 8) << 11;
    in->tags = random_chance(r, 60) ? 0xff : random_next(r);
    in->mxcsr = (random_chance(r, 75) ? 0x1f80 : random_next(r) & 0x1f80) | (random_next(r) & 0x6000) | (random_chance(r, 30) ? random_next(r) & 0x8040 : 0) |
                (random_chance(r, 30) ? random_next(r) & 0x3f : 0) | (random_chance(r, 15) ? BIT(17) : 0);
}

/* A 32-bit program has neither upper halves nor the other eight registers. */
static void narrow_registers(Case *c)
{
    for (unsigned k = 0; k < 16; k++)
        c->in.gpr[k] = k < 8 ? c->in.gpr[k] & 0xffffffff : 0;
    memset(c->in.vec[8], 0, sizeof c->in.vec - 8 * sizeof c->in.vec[0]);
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
        c->undefined = c->undefined_midway = insn_rows[row].flags_undefined;
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
        unsigned at = random_below(&r, DATA_SIZE - 16) & ~7u;
        st64le(data + at, mant);
        st16le(data + at + 8, sexp);
    }
}
