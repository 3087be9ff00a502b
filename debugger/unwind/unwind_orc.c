/*
 * Callers by ORC, the tables that Linux itself unwinds by (CONFIG_UNWINDER_ORC): for each range of code, where the
 * caller's stack pointer is, and its RBP.  They lie in the kernel's memory, found by symbols; modules have their own.
 *
 * Facts are those of arch/x86/include/asm/orc_types.h and arch/x86/kernel/unwind_orc.c of Linux 6.1 and 6.6.
 */
#include <stdio.h>
#include <string.h>

#include "debugger/linux/linux.h"
#include "debugger/unwind/unwind_internal.h"
#include "util/bits.h"
#include "util/endian.h"

/* What an entry counts from (ORC_REG_*). */
enum { ORC_UNDEFINED, ORC_PREV_SP, ORC_DX, ORC_DI, ORC_BP, ORC_SP, ORC_R10, ORC_R13, ORC_BP_INDIRECT,
       ORC_SP_INDIRECT };

typedef enum OrcType { ORC_TYPE_UNDEFINED, ORC_TYPE_END, ORC_TYPE_CALL, ORC_TYPE_REGS, ORC_TYPE_REGS_PARTIAL } OrcType;

typedef struct Orc {
    int16_t sp_offset, bp_offset;
    unsigned sp_reg, bp_reg;
    OrcType type;
} Orc;

enum { ORC_SIZE = 6, ORC_MAX = 1 << 24 };

/* A table: addresses (relative to their own place, sorted), and an entry for each. */
typedef struct OrcTable {
    uint64_t ips, entries, count;
} OrcTable;

struct OrcTables {
    GArray *all;       /* of OrcTable */
    bool numbers_all;  /* Linux 6.4: the type of 3 bits has values for what bit `end` said before */
};

/* ---- where the tables are ---- */

static void add_table(OrcTables *o, uint64_t ips, uint64_t entries, uint64_t count)
{
    OrcTable t = { ips, entries, count };
    if (count && count <= ORC_MAX)
        g_array_append_val(o->all, t);
}

static bool find_kernel_table(OrcTables *o, const Symbols *s)
{
    uint64_t ips, end, entries;
    if (!symbols_find(s, "__start_orc_unwind_ip", &ips) || !symbols_find(s, "__stop_orc_unwind_ip", &end) ||
        !symbols_find(s, "__start_orc_unwind", &entries) || end < ips)
        return false;
    add_table(o, ips, entries, (end - ips) / 4);
    return o->all->len;
}

static void find_module_tables(OrcTables *o, Linux *l)
{
    g_autoptr(GArray) modules = linux_modules(l, NULL);
    for (guint k = 0; modules && k < modules->len; k++) {
        uint64_t object = g_array_index(modules, LinuxModule, k).object, ips, entries, count;
        if (linux_get_named(l, object, "module", "arch.orc_unwind_ip", &ips, NULL) &&
            linux_get_named(l, object, "module", "arch.orc_unwind", &entries, NULL) &&
            linux_get_named(l, object, "module", "arch.num_orcs", &count, NULL))
            add_table(o, ips, entries, count);
    }
}

/* By the version, where the kernel does not describe its types. */
static bool version_numbers_all(Cpu *cpu, const Symbols *s)
{
    char text[33] = "";
    unsigned major, minor;
    uint64_t banner;
    return symbols_find(s, "linux_banner", &banner) && linux_read(cpu, banner, text, sizeof text - 1) &&
           sscanf(text, "Linux version %u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 4));
}

static OrcTables *find_tables(Unwinder *u)
{
    const Symbols *s = debugger_symbols(u->debugger);
    OrcTables *o = g_new0(OrcTables, 1);
    o->all = g_array_new(FALSE, FALSE, sizeof(OrcTable));
    if (!find_kernel_table(o, s)) {
        orc_free(o);
        return NULL;
    }
    Linux *l = linux_open(u->debugger, NULL);
    BtfField f;
    if (l && linux_field(l, "orc_entry", "sp_reg", &f, NULL))
        o->numbers_all = !linux_field(l, "orc_entry", "end", &f, NULL);
    else
        o->numbers_all = version_numbers_all(u->cpu, s);
    if (l) {
        find_module_tables(o, l);
        linux_close(l);
    }
    return o;
}

void orc_free(OrcTables *o)
{
    if (!o)
        return;
    g_array_free(o->all, TRUE);
    g_free(o);
}

/* ---- finding an entry ---- */

static bool read_ip(Unwinder *u, const OrcTable *t, uint64_t n, uint64_t *ip)
{
    uint8_t b[4];
    uint64_t at = t->ips + 4 * n;
    *ip = linux_read(u->cpu, at, b, sizeof b) ? at + (int64_t)(int32_t)ld32le(b) : 0;
    return *ip;
}

/* The number of the last entry at or below pc; false when the table is not about it. */
static bool find_in_table(Unwinder *u, const OrcTable *t, uint64_t pc, uint64_t *n)
{
    uint64_t low = 0, high = t->count - 1, ip;
    if (!read_ip(u, t, low, &ip) || pc < ip || !read_ip(u, t, high, &ip) || pc >= ip)
        return false; /* the last entry ends the code */
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (!read_ip(u, t, middle, &ip))
            return false;
        *(ip <= pc ? &low : &high) = middle;
    }
    *n = low;
    return true;
}

static Orc decode(const OrcTables *o, const uint8_t *b)
{
    static const OrcType old_types[] = { ORC_TYPE_CALL, ORC_TYPE_REGS, ORC_TYPE_REGS_PARTIAL, ORC_TYPE_UNDEFINED };
    Orc e = { .sp_offset = ld16le(b), .bp_offset = ld16le(b + 2), .sp_reg = b[4] & 15, .bp_reg = b[4] >> 4 };
    if (o->numbers_all)
        e.type = b[5] & 7;
    else if (e.sp_reg == ORC_UNDEFINED)
        e.type = b[5] & 4 ? ORC_TYPE_END : ORC_TYPE_UNDEFINED;
    else
        e.type = old_types[b[5] & 3];
    return e;
}

static bool find_entry(Unwinder *u, uint64_t pc, Orc *e)
{
    if (!u->orc_known) {
        u->orc = find_tables(u);
        u->orc_known = true;
    }
    for (guint k = 0; u->orc && k < u->orc->all->len; k++) {
        const OrcTable *t = &g_array_index(u->orc->all, OrcTable, k);
        uint8_t bytes[ORC_SIZE];
        uint64_t n;
        if (!find_in_table(u, t, pc, &n) || !linux_read(u->cpu, t->entries + n * ORC_SIZE, bytes, sizeof bytes))
            continue;
        *e = decode(u->orc, bytes);
        return true;
    }
    return false;
}

/* ---- the caller ---- */

/* The stack pointer that an entry counts from, its offset added; nothing when its register is not known. */
static Unwound find_sp(Unwinder *u, const Frame *f, const Orc *e, uint64_t *sp)
{
    static const uint8_t registers[] = {
        [ORC_DX] = DWARF_RDX, [ORC_DI] = DWARF_RDI, [ORC_BP] = DWARF_RBP, [ORC_SP] = DWARF_RSP,
        [ORC_R10] = DWARF_R8 + 2, [ORC_R13] = DWARF_R8 + 5, [ORC_BP_INDIRECT] = DWARF_RBP,
        [ORC_SP_INDIRECT] = DWARF_RSP,
    };
    if (e->sp_reg <= ORC_PREV_SP || e->sp_reg > ORC_SP_INDIRECT || !(f->known >> registers[e->sp_reg] & 1))
        return UNWOUND_NOTHING;
    *sp = f->reg[registers[e->sp_reg]];
    if (e->sp_reg != ORC_SP_INDIRECT)
        *sp += e->sp_offset;
    if (e->sp_reg >= ORC_BP_INDIRECT && !unwind_read(u, f, *sp, 8, sp))
        return UNWOUND_UNREADABLE;
    if (e->sp_reg == ORC_SP_INDIRECT)
        *sp += e->sp_offset;
    return UNWOUND_CALLER;
}

static Unwound find_bp(Unwinder *u, const Frame *f, const Orc *e, uint64_t sp, Frame *caller)
{
    uint64_t at = (e->bp_reg == ORC_BP ? f->reg[DWARF_RBP] : sp) + e->bp_offset, bp;
    if (e->bp_reg != ORC_BP && e->bp_reg != ORC_PREV_SP)
        return UNWOUND_CALLER; /* unchanged */
    if (!unwind_read(u, f, at, 8, &bp))
        return UNWOUND_UNREADABLE;
    frame_set(caller, DWARF_RBP, bp);
    return UNWOUND_CALLER;
}

/* What the processor pushed: RIP, CS, RFLAGS, RSP, SS (SDM vol. 3A 6.14.2). */
static Unwound take_interrupted(Unwinder *u, const Frame *f, uint64_t at, Frame *caller)
{
    enum { USER_CS32 = 0x23 }; /* Linux's, for 32-bit programs */
    uint64_t ip, cs, sp;
    uint32_t known = f->exact ? f->known : 0; /* what the entry code has not changed yet */
    if (!unwind_read(u, f, at, 8, &ip) || !unwind_read(u, f, at + 8, 8, &cs) || !unwind_read(u, f, at + 24, 8, &sp))
        return UNWOUND_UNREADABLE;
    if (!ip)
        return UNWOUND_OUTERMOST; /* of a kernel thread: nothing was interrupted */
    caller->cs = cs;
    caller->user = (cs & 3) == 3;
    if (cs == USER_CS32) {
        caller->code_size = SZ32;
        caller->sp_mask = UINT32_MAX;
    }
    frame_set_caller(caller, FRAME_ORC, ip, sp);
    caller->known |= known;
    caller->exact = true;
    return UNWOUND_CALLER;
}

/* Linux's struct pt_regs: what its entry code pushed below that. */
static Unwound take_registers(Unwinder *u, const Frame *f, uint64_t at, Frame *caller)
{
    enum { PT_REGS_WORDS = 15, IRET_OFFSET = 16 * 8 };
    static const uint8_t order[PT_REGS_WORDS] = { 15, 14, 13, 12, DWARF_RBP, DWARF_RBX, 11, 10, 9, 8, DWARF_RAX,
                                                  DWARF_RCX, DWARF_RDX, DWARF_RSI, DWARF_RDI };
    Unwound found = take_interrupted(u, f, at + IRET_OFFSET, caller);
    for (unsigned k = 0; found == UNWOUND_CALLER && k < PT_REGS_WORDS; k++) {
        uint64_t v;
        if (!unwind_read(u, f, at + 8 * k, 8, &v))
            return UNWOUND_UNREADABLE;
        frame_set(caller, order[k], v);
    }
    return found;
}

static Unwound take_call(Unwinder *u, const Frame *f, uint64_t sp, Frame *caller)
{
    uint64_t ip;
    if (!unwind_read(u, f, sp - 8, 8, &ip))
        return UNWOUND_UNREADABLE;
    if (!ip)
        return UNWOUND_OUTERMOST;
    frame_set_caller(caller, FRAME_ORC, ip, sp);
    return UNWOUND_CALLER;
}

Unwound unwind_by_orc(Unwinder *u, const Frame *f, Frame *caller)
{
    uint64_t sp;
    Orc e;
    if (f->code_size != SZ64 || f->user || !find_entry(u, frame_lookup_pc(f), &e))
        return UNWOUND_NOTHING;
    if (e.type == ORC_TYPE_END)
        return UNWOUND_OUTERMOST;
    Unwound found = find_sp(u, f, &e, &sp);
    if (found != UNWOUND_CALLER)
        return found;
    switch (e.type) {
    case ORC_TYPE_CALL:
        found = find_bp(u, f, &e, sp, caller);
        return found == UNWOUND_CALLER ? take_call(u, f, sp, caller) : found;
    case ORC_TYPE_REGS: return take_registers(u, f, sp, caller);
    case ORC_TYPE_REGS_PARTIAL: return take_interrupted(u, f, sp, caller);
    default: return UNWOUND_NOTHING;
    }
}
