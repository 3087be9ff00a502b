/*
 * Callers by DWARF's call frame information (DWARF 5, 6.4) of the ELF files whose symbols are loaded: .debug_frame,
 * else .eh_frame; libdw reads them.
 */
#include "config.h"

#include "debugger/symbols/symbols.h"
#include "debugger/unwind/unwind_internal.h"

#ifdef CONFIG_LIBDW

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bits.h"
#include "util/endian.h"

typedef struct CfiFile {
    int fd;
    int64_t offset;
    Elf *elf;
    Dwarf *dwarf;
    Dwarf_CFI *debug_frame, *eh_frame; /* NULL: none; the first belongs to dwarf */
    bool wide;                         /* of 64 bits */
} CfiFile;

struct CfiFiles {
    GArray *all; /* of CfiFile */
};

/* ---- files ---- */

static void close_file(gpointer p)
{
    CfiFile *f = p;
    if (f->eh_frame)
        dwarf_cfi_end(f->eh_frame);
    if (f->dwarf)
        dwarf_end(f->dwarf);
    elf_end(f->elf);
    close(f->fd);
}

static void open_file(CfiFiles *c, const char *path, int64_t offset)
{
    CfiFile f = { .fd = open(path, O_RDONLY | O_CLOEXEC), .offset = offset };
    if (f.fd < 0)
        return;
    f.elf = elf_begin(f.fd, ELF_C_READ_MMAP, NULL);
    const char *ident = f.elf ? elf_getident(f.elf, NULL) : NULL;
    if (!ident || elf_kind(f.elf) != ELF_K_ELF) {
        elf_end(f.elf);
        close(f.fd);
        return;
    }
    f.wide = ident[EI_CLASS] == ELFCLASS64;
    f.dwarf = dwarf_begin_elf(f.elf, DWARF_C_READ, NULL);
    f.debug_frame = f.dwarf ? dwarf_getcfi(f.dwarf) : NULL;
    f.eh_frame = dwarf_getcfi_elf(f.elf);
    g_array_append_val(c->all, f);
}

static CfiFiles *open_files(const Symbols *s)
{
    CfiFiles *c = g_new0(CfiFiles, 1);
    const char *path;
    int64_t offset;
    elf_version(EV_CURRENT);
    c->all = g_array_new(FALSE, FALSE, sizeof(CfiFile));
    g_array_set_clear_func(c->all, close_file);
    for (unsigned k = 0; symbols_file(s, k, &path, &offset); k++)
        open_file(c, path, offset);
    return c;
}

void cfi_free(CfiFiles *c)
{
    if (!c)
        return;
    g_array_free(c->all, TRUE);
    g_free(c);
}

/* ---- expressions (DWARF 5, 2.5) ---- */

enum { STACK_SIZE = 32, MAX_OPS = 64 };

typedef struct Evaluation {
    Unwinder *u;
    const Frame *f;
    uint64_t cfa, stack[STACK_SIZE];
    unsigned depth;
    bool is_value;    /* the result is the value, not where it lies */
} Evaluation;

static uint64_t pop(Evaluation *e) { return e->depth ? e->stack[--e->depth] : 0; }

static bool push(Evaluation *e, uint64_t v)
{
    if (e->depth == STACK_SIZE)
        return false;
    e->stack[e->depth++] = v;
    return true;
}

static bool push_register(Evaluation *e, unsigned number, uint64_t plus)
{
    uint64_t v;
    return frame_register(e->f, number, &v) && push(e, v + plus);
}

static bool push_memory(Evaluation *e, unsigned size)
{
    uint64_t v;
    return size <= 8 && unwind_read(e->u, e->f, pop(e), size, &v) && push(e, v);
}

static bool evaluate_binary(Evaluation *e, unsigned atom)
{
    uint64_t b = pop(e), a = pop(e);
    switch (atom) {
    case DW_OP_and: return push(e, a & b);
    case DW_OP_or: return push(e, a | b);
    case DW_OP_xor: return push(e, a ^ b);
    case DW_OP_plus: return push(e, a + b);
    case DW_OP_minus: return push(e, a - b);
    case DW_OP_mul: return push(e, a * b);
    case DW_OP_shl: return push(e, b < 64 ? a << b : 0);
    case DW_OP_shr: return push(e, b < 64 ? a >> b : 0);
    case DW_OP_shra: return push(e, (int64_t)a >> MIN(b, 63u));
    case DW_OP_eq: return push(e, a == b);
    case DW_OP_ne: return push(e, a != b);
    case DW_OP_lt: return push(e, (int64_t)a < (int64_t)b);
    case DW_OP_le: return push(e, (int64_t)a <= (int64_t)b);
    case DW_OP_gt: return push(e, (int64_t)a > (int64_t)b);
    case DW_OP_ge: return push(e, (int64_t)a >= (int64_t)b);
    default: return false;
    }
}

static bool evaluate_op(Evaluation *e, const Dwarf_Op *op)
{
    unsigned atom = op->atom;
    uint64_t a;
    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
        return push(e, atom - DW_OP_lit0);
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
        return push_register(e, atom - DW_OP_breg0, op->number);
    if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31) {
        e->is_value = true;
        return push_register(e, atom - DW_OP_reg0, 0);
    }
    switch (atom) {
    case DW_OP_regx: e->is_value = true; return push_register(e, op->number, 0);
    case DW_OP_bregx: return push_register(e, op->number, op->number2);
    case DW_OP_addr: case DW_OP_const1u: case DW_OP_const2u: case DW_OP_const4u: case DW_OP_const8u: case DW_OP_constu:
    case DW_OP_const1s: case DW_OP_const2s: case DW_OP_const4s: case DW_OP_const8s: case DW_OP_consts:
        return push(e, op->number);
    case DW_OP_call_frame_cfa: return push(e, e->cfa);
    case DW_OP_plus_uconst: return push(e, pop(e) + op->number);
    case DW_OP_deref: return push_memory(e, frame_word(e->f));
    case DW_OP_deref_size: return push_memory(e, op->number);
    case DW_OP_dup: a = pop(e); return push(e, a) && push(e, a);
    case DW_OP_drop: pop(e); return true;
    case DW_OP_neg: return push(e, -pop(e));
    case DW_OP_not: return push(e, ~pop(e));
    case DW_OP_nop: return true;
    case DW_OP_stack_value: e->is_value = true; return true;
    default: return evaluate_binary(e, atom);
    }
}

static bool evaluate(Evaluation *e, const Dwarf_Op *ops, size_t count, uint64_t *v)
{
    e->depth = 0;
    e->is_value = false;
    for (size_t k = 0; k < count; k++)
        if (k == MAX_OPS || !evaluate_op(e, &ops[k]))
            return false;
    *v = pop(e);
    return true;
}

/* ---- the caller ---- */

/* How a register of the caller is found. */
typedef enum Rule { RULE_UNKNOWN, RULE_KNOWN, RULE_UNREADABLE } Rule;

static Rule find_register(Evaluation *e, Dwarf_Frame *df, unsigned number, uint64_t *v)
{
    Dwarf_Op memory[3], *ops;
    size_t count;
    if (dwarf_frame_register(df, number, memory, &ops, &count))
        return RULE_UNKNOWN;
    if (!count && ops) /* undefined */
        return RULE_UNKNOWN;
    if (!count) /* the same */
        return frame_register(e->f, number, v) ? RULE_KNOWN : RULE_UNKNOWN;
    if (!evaluate(e, ops, count, v))
        return RULE_UNREADABLE;
    if (!e->is_value && !unwind_read(e->u, e->f, *v, frame_word(e->f), v))
        return RULE_UNREADABLE;
    return RULE_KNOWN;
}

/* The Unwinder's number of a register by DWARF's for that size of code. */
static unsigned own_number(const Frame *f, unsigned number)
{
    static const uint8_t of_i386[] = { DWARF_RAX, DWARF_RCX, DWARF_RDX, DWARF_RBX, DWARF_RSP, DWARF_RBP, DWARF_RSI,
                                       DWARF_RDI, DWARF_RA };
    return f->code_size == SZ64 ? number : of_i386[number];
}

/* The ABI's registers that a function may change without saying so. */
static bool is_scratch(const Frame *f, unsigned own)
{
    uint32_t scratch = BIT(DWARF_RAX) | BIT(DWARF_RCX) | BIT(DWARF_RDX);
    if (f->code_size == SZ64)
        scratch |= BIT(DWARF_RSI) | BIT(DWARF_RDI) | BIT(8) | BIT(9) | BIT(10) | BIT(11);
    return scratch >> own & 1;
}

static Unwound take_frame(Evaluation *e, Dwarf_Frame *df, Frame *caller)
{
    unsigned ra, count = e->f->code_size == SZ64 ? DWARF_RA : 8;
    uint64_t v, ip;
    Dwarf_Op *ops;
    size_t op_count;
    bool interrupted = false;
    int number = dwarf_frame_info(df, NULL, NULL, &interrupted);
    if (number < 0 || dwarf_frame_cfa(df, &ops, &op_count) || !evaluate(e, ops, op_count, &e->cfa))
        return UNWOUND_NOTHING;
    ra = number;
    switch (find_register(e, df, ra, &ip)) {
    case RULE_UNKNOWN: return UNWOUND_OUTERMOST; /* how _start says that it has no caller */
    case RULE_UNREADABLE: return UNWOUND_UNREADABLE;
    default: break;
    }
    if (!ip)
        return UNWOUND_OUTERMOST;
    frame_set_caller(caller, FRAME_CFI, ip, e->cfa);
    caller->exact = interrupted;
    for (unsigned k = 0; k < count; k++) {
        unsigned own = own_number(e->f, k);
        Rule rule = find_register(e, df, k, &v);
        caller->known &= ~(1u << own);
        if (own == DWARF_RSP && rule != RULE_KNOWN)
            frame_set(caller, own, e->cfa);
        else if (rule == RULE_KNOWN && (!is_scratch(e->f, own) || interrupted))
            frame_set(caller, own, v);
    }
    return UNWOUND_CALLER;
}

static Unwound try_cfi(Unwinder *u, Dwarf_CFI *cfi, uint64_t address, const Frame *f, Frame *caller)
{
    Evaluation e = { .u = u, .f = f };
    Dwarf_Frame *df;
    if (!cfi || dwarf_cfi_addrframe(cfi, address, &df))
        return UNWOUND_NOTHING;
    Unwound found = take_frame(&e, df, caller);
    free(df);
    return found;
}

Unwound unwind_by_cfi(Unwinder *u, const Frame *f, Frame *caller)
{
    Unwound found = UNWOUND_NOTHING;
    if (f->code_size == SZ16)
        return found;
    if (!u->cfi)
        u->cfi = open_files(debugger_symbols(u->debugger));
    for (guint k = 0; found == UNWOUND_NOTHING && k < u->cfi->all->len; k++) {
        const CfiFile *file = &g_array_index(u->cfi->all, CfiFile, k);
        uint64_t address = frame_lookup_pc(f) - file->offset;
        if (file->wide != (f->code_size == SZ64))
            continue;
        found = try_cfi(u, file->debug_frame, address, f, caller);
        if (found == UNWOUND_NOTHING)
            found = try_cfi(u, file->eh_frame, address, f, caller);
    }
    return found;
}

#else

Unwound unwind_by_cfi(Unwinder *u, const Frame *f, Frame *caller)
{
    (void)u, (void)f, (void)caller;
    return UNWOUND_NOTHING; /* without libdw nobody reads it */
}

void cfi_free(CfiFiles *c) { (void)c; }

#endif
