/* Making random programs (program.h). */
#include <glib.h>
#include <string.h>

#include "cpu/state.h"
#include "tests/cpu/case.h"
#include "tests/cpu/encode.h"
#include "tests/fuzz/program.h"
#include "util/endian.h"

/* Kinds of rows, to be chosen from with different weights. */
enum { KIND_FLAGS, KIND_MOVE, KIND_INTEGER, KIND_SSE, KIND_AVX, KIND_OLD_FP, KIND_STRING, KIND_PUSH, KIND_POP, KIND_X87, KINDS };

typedef struct Generator {
    Program *p;
    const InsnDecoder *d;
    Random r;
    EncodeWish wish;
    unsigned loops;      /* nested now */
    uint16_t saved;      /* registers in use as loop counters */
} Generator;

typedef struct RowList {
    uint16_t row[4096];
    unsigned count;
} RowList;

static RowList lists[KINDS];

static bool starts_with_any(const char *id, const char *const *list)
{
    for (; *list; list++)
        if (g_str_has_prefix(id, *list))
            return true;
    return false;
}

static int kind_of(unsigned row)
{
    static const char *const flags[] = {
        "ADD_", "ADC_", "SBB_", "SUB_", "CMP_", "TEST_", "AND_", "OR_", "XOR_", "INC_", "DEC_", "NEG_", "BT", "SET", "CMOV", "SHL_",
        "SHR_", "SAR_", "ROL_", "ROR_", "RCL_", "RCR_", "SHLD", "SHRD", "MUL_", "IMUL_", "DIV_", "IDIV_", "CMPXCHG_",
        "XADD_", "CLC", "STC", "CMC", "LAHF", "SAHF", "BSF", "BSR", "POPCNT", "SALC", NULL,
    };
    static const char *const moves[] = { "MOV_", "MOVZX", "MOVSX", "LEA", "PUSH_", "POP_", "XCHG", "BSWAP", "CWD", "CDQ", "CBW",
                                         "CDQE", "CWDE", "CQO", "NOT_", "CRC32", "MOVBE", NULL };
    const InsnRow *i = &insn_rows[row];
    if (strstr(i->id, "INS") || strstr(i->id, "OUTS")) /* ports are the harness's */
        return -1;
    if (i->attr & A_REP)
        return KIND_STRING;
    if (i->attr & (A_JUMP | A_NOUSER | A_END | A_PRIV) || row_excluded(row))
        return -1;
    if (i->attr & (A_AVX | A_AVX512))
        return KIND_AVX;
    if (i->attr & (A_X87 | A_MMX | A_WAIT))
        return KIND_OLD_FP;
    if (i->attr & A_SSE || !strncmp(i->id, "AES", 3))
        return KIND_SSE;
    return starts_with_any(i->id, flags) ? KIND_FLAGS : starts_with_any(i->id, moves) ? KIND_MOVE : KIND_INTEGER;
}

/* What an x87 instruction does to the stack's depth; those that load, reset or turn the stack are taken to do nothing. */
static int depth_change(const char *id)
{
    static const char *const pushes[] = { "FLD1", "FLDL", "FLDPI", "FLDZ", "FLD_", "FILD", "FBLD", "FPTAN", "FSINCOS", "FXTRACT",
                                          NULL };
    static const char *const pops[] = { "FYL2X", "FPATAN", NULL };
    size_t n = strcspn(id, "_0123456789");
    if (starts_with_any(id, pushes))
        return 1;
    if (starts_with_any(id, pops))
        return -1;
    if (!strncmp(id, "FNOP", n) || g_str_has_suffix(id, "CSTP"))
        return 0;
    return n < 2 || id[n - 1] != 'P' ? 0 : id[n - 2] == 'P' ? -2 : -1;
}

static void sort_x87_row(unsigned row)
{
    int change = depth_change(insn_rows[row].id);
    unsigned kind = change > 0 ? KIND_PUSH : change == -1 ? KIND_POP : KIND_X87;
    lists[kind].row[lists[kind].count++] = row;
}

static void sort_rows(void)
{
    if (lists[0].count)
        return;
    for (unsigned row = 0; row < insn_row_count; row++) {
        int kind = kind_of(row);
        if (kind >= 0 && lists[kind].count < ARRAY_SIZE(lists[kind].row))
            lists[kind].row[lists[kind].count++] = row;
        if (kind == KIND_OLD_FP && insn_rows[row].attr & A_X87)
            sort_x87_row(row);
    }
}

/* ---- items ---- */

static Item *add_item(Generator *g, const uint8_t *bytes, unsigned length)
{
    Program *p = g->p;
    Item *i = &p->item[p->count++];
    Insn insn;
    *i = (Item){ .length = length, .row = INSN_ROW_BAD };
    memcpy(i->code, bytes, length);
    if (insn_decode(g->d, p->size, bytes, length, &insn) > 0)
        i->row = insn.row;
    return i;
}

#define ADD_BYTES(g, ...) add_item(g, (const uint8_t[]){ __VA_ARGS__ }, sizeof (const uint8_t[]){ __VA_ARGS__ })

static bool wide_now(Generator *g) { return g->p->size == SZ64 && random_chance(&g->r, 50); }
static unsigned value_register(Generator *g)
{
    unsigned n, limit = g->p->size == SZ64 ? 16 : 8;
    do
        n = random_below(&g->r, limit);
    while (!(g->wish.values >> n & 1));
    return n;
}

/* Undefined flags become defined before an item that must not see them. */
static void settle_flags(Generator *g)
{
    unsigned n = value_register(g) & 7;
    ADD_BYTES(g, 0x39, 0xc0 | n << 3 | (value_register(g) & 7)); /* CMP */
}

static uint32_t undefined_now(Program *p)
{
    uint32_t u = 0;
    for (unsigned k = 0; k < p->count; k++) {
        const InsnRow *row = &insn_rows[p->item[k].row];
        if (p->item[k].joins)
            u = 0;
        if (p->item[k].row < insn_row_count)
            u = (p->item[k].weak ? u : u & ~row->flags_written) | (row->flags_undefined & F_ARITH);
    }
    return u;
}

static void settle_if(Generator *g, uint32_t mask)
{
    if (!g->p->strict && (undefined_now(g->p) & mask))
        settle_flags(g);
}

/* A row whose count may be 0, and which then leaves the flags. */
static bool is_weak(const char *id)
{
    static const char *const list[] = { "SHL", "SHR", "SAR", "ROL", "ROR", "RCL", "RCR", "REP", NULL };
    return starts_with_any(id, list);
}

/* Places in the data area: most in plain memory. */
static uint32_t data_place(Random *r)
{
    static const uint8_t pages[] = { 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 7, 9, 7, 9, PAGE_READ_ONLY, PAGE_ABSENT, PAGE_DEVICE,
                                     PAGE_OTHERS };
    uint32_t page = pages[random_below(r, sizeof pages)];
    if (random_chance(r, 12))
        return page * 4096 + (random_chance(r, 50) ? random_below(r, 16) : 4095 - random_below(r, 16));
    uint32_t at = random_below(r, 4096);
    return page * 4096 + (random_chance(r, 60) ? at & ~15u : at);
}

static void add_row(Generator *g, unsigned row)
{
    Encoded e;
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        if (!encode_row(g->d, &g->r, row, g->p->size, &g->wish, &e))
            continue;
        if (g->p->x87 && strstr(insn_rows[row].operands, "sti") && e.insn.rm > 3 && random_chance(&g->r, 90))
            continue; /* mostly empty */
        settle_if(g, insn_rows[row].flags_read);
        Item *i = add_item(g, e.code, e.length);
        i->weak = is_weak(insn_rows[row].id);
        if (e.disp_at) {
            i->fix = FIX_DATA;
            i->fix_at = e.disp_at;
            i->place = data_place(&g->r);
        }
        return;
    }
}

static void add_of_kind(Generator *g, unsigned kind)
{
    const RowList *list = &lists[kind];
    if (kind == KIND_STRING && random_chance(&g->r, 80) && !(g->saved & 2)) {
        uint8_t move[] = { 0xb9, random_below(&g->r, 20), 0, 0, 0 };
        add_item(g, move, sizeof move);
    }
    add_row(g, list->row[random_below(&g->r, list->count)]);
}

/* ---- templates ---- */

static void add_any(Generator *g);

/* MOV of a fresh value, small or large. */
static void add_constant(Generator *g)
{
    unsigned n = value_register(g);
    uint64_t v = random_integer(&g->r);
    uint8_t b[11];
    unsigned at = 0;
    bool wide = wide_now(g);
    if (g->p->size == SZ64)
        b[at++] = 0x40 | wide << 3 | n >> 3;
    b[at++] = 0xb8 | (n & 7);
    stle(b + at, v, wide ? 8 : 4);
    add_item(g, b, at + (wide ? 8 : 4));
}

/* Counts of shifts, 0 among them. */
static void add_count(Generator *g)
{
    static const uint8_t counts[] = { 0, 0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 5 };
    if (!(g->saved & 2))
        ADD_BYTES(g, 0xb1, counts[random_below(&g->r, sizeof counts)]);
}

/* MOV to the stack pointer: somewhere safe. */
static void add_stack(Generator *g)
{
    uint64_t at = g->p->data + 2 * 4096 + 2048 + (random_below(&g->r, 128) & ~7u);
    uint8_t b[10] = { 0x48, 0xbc };
    if (g->p->size == SZ64) {
        st64le(b + 2, at);
        add_item(g, b, 10);
    } else {
        b[0] = 0xbc;
        st32le(b + 1, at);
        add_item(g, b, 5);
    }
}

/* PUSHF and POPF, of flags that do no harm. */
static void add_flags_transfer(Generator *g)
{
    if (random_chance(&g->r, 50)) {
        uint8_t push[5] = { 0x68 };
        st32le(push + 1, (random_next(&g->r) & (F_ARITH | (random_chance(&g->r, 20) ? F_DF : 0))) | 0x3202);
        add_item(g, push, 5);
        ADD_BYTES(g, 0x9d);
    } else {
        settle_if(g, F_ARITH);
        ADD_BYTES(g, 0x9c);
        if (random_chance(&g->r, 70)) { /* POP of a value */
            unsigned n = value_register(g) & 7;
            ADD_BYTES(g, 0x58 | (n == 4 ? 0 : n));
        }
    }
}

/* A forward branch over some items. */
static void add_forward(Generator *g)
{
    settle_if(g, F_ARITH);
    unsigned at = g->p->count, what = random_below(&g->r, 100);
    Item *i = what < 80 ? ADD_BYTES(g, 0x70 | random_below(&g->r, 16), 0) : what < 95 ? ADD_BYTES(g, 0xeb, 0)
                                                                                       : ADD_BYTES(g, 0xe3, 0);
    i->fix = what < 95 ? FIX_BRANCH : FIX_BRANCH_8;
    i->joins = true;
    for (unsigned n = random_below(&g->r, 5); n; n--)
        add_any(g);
    settle_if(g, F_ARITH);
    Item *end = ADD_BYTES(g, 0x90);
    end->joins = true;
    g->p->item[at].target = end - g->p->item;
}

/* The jump back at a loop's end, with the counter in register n. */
static void add_way_back(Generator *g, unsigned n, unsigned target)
{
    unsigned kind = random_below(&g->r, 10);
    uint8_t prefix = n >= 8 ? 0x41 : 0x40, low = n & 7;
    Item *i;
    if (kind == 0 && n == R_CX) {
        i = ADD_BYTES(g, 0xe2, 0); /* LOOP */
        i->fix = FIX_BRANCH_8;
    } else {
        bool dec = kind < 6;
        if (g->p->size == SZ32)
            dec ? ADD_BYTES(g, 0xff, 0xc8 | low) : ADD_BYTES(g, 0x83, 0xe8 | low, 1);
        else
            dec ? ADD_BYTES(g, prefix, 0xff, 0xc8 | low) : ADD_BYTES(g, prefix, 0x83, 0xe8 | low, 1);
        i = ADD_BYTES(g, kind == 1 || kind == 7 ? 0x75 : 0x7f, 0); /* JNZ, JG */
        i->fix = FIX_BRANCH;
    }
    i->joins = true;
    i->target = target;
}

/* A counter that nothing in the loop writes (but for instructions with fixed operands); items in between. */
static void add_loop(Generator *g)
{
    static const uint8_t candidates[] = { R_CX, R_BX, R_BP, R_SI, R_DI, R_8, R_9, R_11, R_12, R_13, R_14, R_15 };
    unsigned n = candidates[random_below(&g->r, g->p->size == SZ64 ? sizeof candidates : 5)];
    uint16_t values = g->wish.values;
    if (g->loops == 2 || !(values >> n & 1))
        return;
    uint8_t move[] = { n >= 8 ? 0x41 : 0x40, 0xb8 | (n & 7), 1 + random_below(&g->r, g->loops ? 4 : 9), 0, 0, 0 };
    unsigned skip = g->p->size == SZ32;
    add_item(g, move + skip, sizeof move - skip);
    g->loops++;
    g->saved |= 1u << n;
    g->wish.values &= ~(1u << n);
    settle_if(g, F_ARITH);
    Item *head = ADD_BYTES(g, 0x90);
    head->joins = true;
    unsigned target = head - g->p->item;
    for (unsigned k = 1 + random_below(&g->r, 8); k; k--)
        add_any(g);
    settle_if(g, F_ARITH);
    add_way_back(g, n, target);
    g->loops--;
    g->saved &= ~(1u << n);
    g->wish.values = values;
}

/* CALL of a few items that end in RET. */
static void add_call(Generator *g)
{
    settle_if(g, F_ARITH);
    if (random_chance(&g->r, 40))
        add_stack(g);
    unsigned skip, call = g->p->count;
    ADD_BYTES(g, 0xe8, 0, 0, 0, 0)->fix = FIX_BRANCH;
    g->p->item[call].joins = true;
    skip = g->p->count;
    ADD_BYTES(g, 0xeb, 0)->fix = FIX_BRANCH;
    g->p->item[skip].joins = true;
    g->p->item[call].target = g->p->count;
    ADD_BYTES(g, 0x90)->joins = true;
    for (unsigned n = random_below(&g->r, 4); n; n--)
        add_any(g);
    settle_if(g, F_ARITH);
    Item *ret = random_chance(&g->r, 70) ? ADD_BYTES(g, 0xc3) : ADD_BYTES(g, 0xc2, random_below(&g->r, 3) * 8, 0);
    ret->joins = true;
    g->p->item[skip].target = g->p->count;
    ADD_BYTES(g, 0x90)->joins = true;
}

/* LEA or MOV of an item's address, and an indirect jump or call there; or by way of the stack. */
static void add_indirect(Generator *g)
{
    settle_if(g, F_ARITH);
    unsigned at = g->p->count, n = value_register(g) & 7, how = random_below(&g->r, 3);
    if (n == 4 || (g->saved >> n & 1) || !(g->wish.values >> n & 1))
        return;
    Item *i;
    if (g->p->size == SZ64)
        i = ADD_BYTES(g, 0x48, 0x8d, 0x05 | n << 3, 0, 0, 0, 0), i->fix_at = 3;
    else
        i = ADD_BYTES(g, 0xb8 | n, 0, 0, 0, 0), i->fix_at = 1;
    i->fix = FIX_ADDRESS;
    if (how == 0) {
        ADD_BYTES(g, 0xff, 0xe0 | n);
    } else if (how == 1) {
        ADD_BYTES(g, 0xff, 0xd0 | n);
    } else {
        ADD_BYTES(g, 0x50 | n);
        ADD_BYTES(g, 0xc3);
    }
    g->p->item[g->p->count - 1].joins = true;
    for (unsigned k = random_below(&g->r, 3); k; k--)
        add_any(g);
    settle_if(g, F_ARITH);
    g->p->item[at].target = g->p->count;
    ADD_BYTES(g, 0x90)->joins = true;
}

/* A store into the immediate at the end of another item, before or behind; which one is chosen at the end. */
static void add_patch(Generator *g)
{
    Item *i = ADD_BYTES(g, 0xc6, 0x05, 0, 0, 0, 0, random_next(&g->r));
    i->fix = FIX_PATCH;
    i->fix_at = 2;
    i->alias = random_chance(&g->r, 30);
}

/* Flags asked for right after something that may fault, or in a chain. */
static void add_chain(Generator *g)
{
    for (unsigned n = 2 + random_below(&g->r, 5); n; n--)
        add_of_kind(g, KIND_FLAGS);
}

/* Instructions that load, reset or turn the stack. */
static bool unsettles_x87(unsigned row)
{
    static const char *const list[] = { "FNINIT", "FNSAVE", "FRSTOR", "FLDENV", "FNSTENV", "FLDCW", "FFREE", "FDECSTP", "FINCSTP",
                                        "EMMS", NULL };
    return starts_with_any(insn_rows[row].id, list);
}

/* x87 instructions that most often leave the stack as deep as it was; it has five registers when the program starts. */
static void add_x87(Generator *g)
{
    int depth = 0;
    for (unsigned n = 1 + random_below(&g->r, 10); n; n--) {
        unsigned what = random_below(&g->r, 100);
        const RowList *list = &lists[what < 30 && depth < 2 ? KIND_PUSH : what > 75 && depth > -1 ? KIND_POP : KIND_X87];
        unsigned row = list->row[random_below(&g->r, list->count)];
        if (unsettles_x87(row) && random_chance(&g->r, 90))
            continue;
        add_row(g, row);
        depth += depth_change(insn_rows[row].id);
    }
    while (depth && random_chance(&g->r, 90)) {
        const RowList *list = &lists[depth < 0 ? KIND_PUSH : KIND_POP];
        add_row(g, list->row[random_below(&g->r, list->count)]);
        depth += depth < 0 ? 1 : -1;
    }
}

static void add_any(Generator *g)
{
    if (g->p->count > MAX_ITEMS - 60)
        return;
    if (g->p->x87 && random_chance(&g->r, 40)) {
        add_x87(g);
        return;
    }
    unsigned what = random_below(&g->r, 1000);
    if (what < 370)
        add_of_kind(g, KIND_FLAGS);
    else if (what < 530)
        add_of_kind(g, KIND_MOVE);
    else if (what < 580)
        add_of_kind(g, KIND_INTEGER);
    else if (what < 640)
        add_of_kind(g, KIND_SSE);
    else if (what < 690)
        add_of_kind(g, KIND_AVX);
    else if (what < 710)
        add_of_kind(g, KIND_OLD_FP);
    else if (what < 730)
        add_of_kind(g, KIND_STRING);
    else if (what < 760)
        add_constant(g);
    else if (what < 780)
        add_count(g);
    else if (what < 790)
        add_stack(g);
    else if (what < 810)
        add_flags_transfer(g);
    else if (what < 870)
        add_forward(g);
    else if (what < 900)
        add_loop(g);
    else if (what < 930)
        add_call(g);
    else if (what < 945)
        add_indirect(g);
    else if (what < 960)
        add_patch(g);
    else
        add_chain(g);
}

/* ---- the program ---- */

static bool patchable(const Item *i)
{
    static const char *const suffixes[] = { "Ib", "Iz", "Iv", NULL };
    const char *operands = i->row < insn_row_count ? insn_rows[i->row].operands : "";
    if (i->fix != FIX_NONE || !strncmp(operands, "Ib", 2) || i->code[0] == 0xb9 || i->code[0] == 0xc2)
        return false;
    for (const char *const *s = suffixes; *s; s++)
        if (g_str_has_suffix(operands, *s))
            return true;
    return false;
}

/* Patches get their targets; without one they become a NOP. */
static void aim_patches(Generator *g)
{
    Program *p = g->p;
    for (unsigned k = 0; k < p->count; k++) {
        Item *i = &p->item[k];
        if (i->fix != FIX_PATCH)
            continue;
        unsigned near = random_chance(&g->r, 60) ? k : random_below(&g->r, p->count), n;
        for (n = 0; n < p->count && !patchable(&p->item[(near + n) % p->count]); n++)
            ;
        i->target = (near + n) % p->count;
        if (n == p->count)
            *i = (Item){ .code = { 0x90 }, .length = 1, .row = INSN_ROW_BAD, .joins = i->joins };
    }
}

static uint16_t some_registers(Random *r, uint16_t from, unsigned count)
{
    uint16_t mask = 0;
    while (count && (from & ~mask)) {
        unsigned n = random_below(r, 16);
        if ((from & ~mask) >> n & 1) {
            mask |= 1u << n;
            count--;
        }
    }
    return mask;
}

static void choose_surroundings(Generator *g)
{
    static const uint64_t bases[] = { UINT64_C(0x20000000), UINT64_C(0x7fff00000000), UINT64_C(0xffff880000000000),
                                      UINT64_C(0xffffffff80000000), UINT64_C(0x7fff8000) };
    Program *p = g->p;
    Random *r = &g->r;
    p->size = random_chance(r, 65) ? SZ64 : SZ32;
    p->user = random_chance(r, 60);
    p->smap = random_chance(r, 20);
    p->align = p->user && random_chance(r, 5);
    p->watch = random_chance(r, 5);
    p->code = p->size == SZ32 || random_chance(r, 50) ? bases[0] : bases[random_below(r, 5)];
    p->data = p->code + 0x10000;
    p->fs = p->data + random_below(r, 64) * 8;
    p->gs = p->data + random_below(r, 8192);
    p->start = random_chance(r, 50) ? random_below(r, 4096) : 4096 - random_below(r, 200);
    p->passes = 10;
    uint16_t pointers = p->size == SZ64 ? 0xffe8 : 0x00e8; /* all but rSP, rAX, rCX, rDX */
    p->bases = some_registers(r, pointers, p->size == SZ64 ? 4 : 2);
    p->indexes = some_registers(r, pointers & ~p->bases, p->size == SZ64 ? 2 : 1);
    g->wish = (EncodeWish){ .values = ~(p->bases | p->indexes | 1u << R_SP), .bases = p->bases | (random_chance(r, 10) ? 1u << R_SP : 0),
                            .indexes = p->indexes, .indexed = 20, .absolute = p->code < BIT(31) || p->size == SZ64 ? 12 : 0,
                            .segment = 4, .memory = 20 + random_below(r, 50) };
}

void program_generate(Program *p, const InsnDecoder *d, uint64_t seed, bool strict)
{
    Generator g = { .p = p, .d = d, .r = random_for(seed) };
    sort_rows();
    do {
        memset(p, 0, sizeof *p);
        p->seed = seed;
        p->strict = strict;
        p->x87 = seed % 8 == 7;
        choose_surroundings(&g);
        unsigned length = 4 + random_below(&g.r, random_chance(&g.r, 20) ? 120 : 40);
        while (p->count < length)
            add_any(&g);
        settle_if(&g, F_ARITH);
        ADD_BYTES(&g, 0xe6, 0x3f)->joins = true; /* OUT: the end */
        aim_patches(&g);
    } while (!program_lay_out(p));
}

/* ---- from bytes ---- */

static void add_bytes(Generator *g, const uint8_t *bytes, size_t size)
{
    Insn insn;
    for (size_t at = 0; at < size && g->p->count < MAX_ITEMS - 4; at += insn.len) {
        if (insn_decode(g->d, g->p->size, bytes + at, size - at, &insn) <= 0)
            return;
        if (insn.row == INSN_ROW_BAD || kind_of(insn.row) < 0)
            continue;
        settle_if(g, insn_rows[insn.row].flags_read);
        add_item(g, bytes + at, insn.len)->weak = is_weak(insn_rows[insn.row].id);
    }
}

bool program_from_bytes(Program *p, const InsnDecoder *d, const uint8_t *bytes, size_t size)
{
    if (size < 3)
        return false;
    uint64_t seed = bytes[0] | bytes[1] << 8;
    Generator g = { .p = p, .d = d, .r = random_for(seed) };
    memset(p, 0, sizeof *p);
    p->seed = seed;
    choose_surroundings(&g);
    p->user = true; /* faults find a stack, whatever becomes of rSP */
    p->passes = 2;
    add_bytes(&g, bytes + 2, size - 2);
    settle_if(&g, F_ARITH);
    ADD_BYTES(&g, 0xe6, 0x3f)->joins = true; /* OUT: the end */
    return program_lay_out(p);
}

/* ---- registers ---- */

static void random_vectors(const Program *p, Random *r, Registers *in)
{
    for (unsigned k = 0; k < 32 * 8; k++)
        in->vec[k / 8][k % 8] = random_lane(r);
    for (unsigned k = 0; k < 8; k++)
        in->opmask[k] = random_next(r);
    for (unsigned k = 0; k < 8; k++)
        random_extended(r, &in->st_mant[k], &in->st_sexp[k]);
    in->fcw = random_chance(r, 80) ? 0x37f : 0x340 | (random_next(r) & 0xc3f);
    in->fsw = random_below(r, 8) << 11;
    in->tags = random_chance(r, 50) ? 0x0f : random_next(r);
    if (p->x87 && random_chance(r, 90)) {
        unsigned top = in->fsw >> 11;
        in->tags = (uint8_t)(0x1f << top | 0x1f >> (8 - top));
        in->fcw = 0x7f | (random_chance(r, 70) ? 0x300 : random_next(r) & 0xf00);
    }
    in->mxcsr = (random_chance(r, 80) ? 0x1f80 : random_next(r) & 0x1f80) | (random_next(r) & 0x6000) |
                (random_chance(r, 20) ? random_next(r) & 0x8040 : 0);
}

void program_registers(const Program *p, unsigned pass, Registers *in)
{
    Random r = random_for(p->seed ^ (uint64_t)(pass + 1) << 48);
    *in = (Registers){ .rip = p->code + p->start };
    for (unsigned k = 0; k < 16; k++) {
        uint32_t place = data_place(&r);
        uint64_t value = random_integer(&r);
        if (p->bases >> k & 1)
            value = p->data + place;
        else if (p->indexes >> k & 1)
            value = random_chance(&r, 50) ? value & 63 : -(value & 63);
        in->gpr[k] = p->size == SZ64 ? value : k < 8 ? (uint32_t)value : 0;
    }
    in->gpr[R_SP] = p->data + 2 * 4096 + 2048;
    if (random_chance(&r, 10))
        in->gpr[R_SP] = p->data + (random_chance(&r, 50) ? 9 * 4096 + 16 : data_place(&r));
    random_vectors(p, &r, in);
    if (p->size != SZ64)
        memset(in->vec[8], 0, sizeof in->vec - 8 * sizeof in->vec[0]);
    in->eflags = (random_next(&r) & F_ARITH) | 0x3002 | (random_chance(&r, 8) ? F_DF : 0);
}
