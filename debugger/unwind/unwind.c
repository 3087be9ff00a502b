/* Backtraces: from frame to frame (unwind.h). */
#include <inttypes.h>

#include "debugger/unwind/unwind_internal.h"
#include "util/endian.h"

/* Stack pointers go up, but when a trace comes to another stack (an interrupt's): so often at most. */
#define MAX_STACKS 8

/* ---- frames ---- */

/* The CPU's numbers of registers in the order of DWARF's. */
static const uint8_t cpu_numbers[DWARF_RA] = { R_AX, R_DX, R_CX, R_BX, R_SI, R_DI, R_BP, R_SP,
                                               R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15 };

static uint64_t linear_code(const Frame *f, uint64_t ip)
{
    return f->code_size == SZ64 ? ip : (uint32_t)(f->cs_base + ip);
}

Frame frame_innermost(const Cpu *cpu)
{
    bool wide = cpu->code_size == SZ64;
    Frame f = { .kind = FRAME_INNERMOST, .cs = cpu->seg[SEG_CS].sel, .cs_base = wide ? 0 : cpu->seg[SEG_CS].base,
                .ss_base = wide ? 0 : cpu->seg[SEG_SS].base, .sp_mask = cpu->sp_mask, .code_size = cpu->code_size,
                .exact = true, .user = cpu->cpl == 3 };
    for (unsigned k = 0; k < DWARF_RA; k++)
        frame_set(&f, k, cpu->gpr[cpu_numbers[k]]);
    frame_set(&f, DWARF_RA, cpu->rip);
    f.pc = linear_code(&f, cpu->rip);
    return f;
}

bool frame_register(const Frame *f, unsigned number, uint64_t *v)
{
    static const uint8_t of_i386[] = { DWARF_RAX, DWARF_RCX, DWARF_RDX, DWARF_RBX, DWARF_RSP, DWARF_RBP, DWARF_RSI,
                                       DWARF_RDI, DWARF_RA };
    bool wide = f->code_size == SZ64;
    if (number >= (wide ? DWARF_REGISTERS : G_N_ELEMENTS(of_i386)))
        return false;
    if (!wide)
        number = of_i386[number];
    *v = wide ? f->reg[number] : (uint32_t)f->reg[number];
    return f->known >> number & 1;
}

void frame_set_caller(Frame *caller, FrameKind kind, uint64_t ip, uint64_t sp)
{
    caller->kind = kind;
    caller->exact = false;
    caller->known &= 1u << DWARF_RBP;
    caller->cfa = sp & caller->sp_mask;
    frame_set(caller, DWARF_RSP, caller->cfa);
    frame_set(caller, DWARF_RA, ip);
    caller->pc = linear_code(caller, ip);
}

bool unwind_read(Unwinder *u, const Frame *f, uint64_t offset, unsigned size, uint64_t *v)
{
    uint8_t bytes[8];
    u->at = f->code_size == SZ64 ? offset : (uint32_t)(f->ss_base + (offset & f->sp_mask));
    if (!debugger_read(u->cpu, u->at, bytes, size))
        return false;
    *v = ldle(bytes, size);
    return true;
}

/* ---- calls ---- */

/* Bytes of an instruction FF /digit with this ModRM byte (SDM vol. 2A 2.1.5). */
static unsigned modrm_length(uint8_t modrm, uint8_t sib, bool wide)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3)
        return 2;
    if (!wide)
        return 2 + (mod == 0 && rm == 6 ? 2 : mod);
    unsigned displacement = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5)))
        displacement = 4;
    return 2 + (rm == 4) + displacement;
}

/* Whether an indirect call, near (/2) or far (/3), is what the last bytes are. */
static bool ends_in_indirect_call(const uint8_t *end, unsigned have, bool wide)
{
    for (unsigned n = 2; n <= MIN(have, 7u); n++) {
        const uint8_t *p = end - n;
        unsigned digit = p[1] >> 3 & 7;
        if (p[0] == 0xff && (digit == 2 || digit == 3) && modrm_length(p[1], n > 2 ? p[2] : 0, wide) == n)
            return true;
    }
    return false;
}

bool unwind_behind_call(Unwinder *u, const Frame *f, uint64_t ip)
{
    uint8_t bytes[7];
    unsigned have = sizeof bytes;
    uint64_t end = linear_code(f, ip);
    while (have && !debugger_read(u->cpu, end - have, bytes + sizeof bytes - have, have))
        have--;
    const uint8_t *p = bytes + sizeof bytes;
    bool near = (have >= 5 && p[-5] == 0xe8) || (f->code_size == SZ16 && have >= 3 && p[-3] == 0xe8);
    bool far = f->code_size != SZ64 && ((have >= 5 && p[-5] == 0x9a) || (have >= 7 && p[-7] == 0x9a));
    bool trap = have >= 2 && p[-2] == 0xcd;
    return near || far || trap || ends_in_indirect_call(p, have, f->code_size != SZ16);
}

/* ---- the trace ---- */

/*
 * Linux's tables know their code best, assembly and patched instructions included, but only the registers that a trace
 * needs; DWARF's data say where the others are when they agree on the caller.
 */
static Unwound find_caller(Unwinder *u, const Frame *f, Frame *caller)
{
    Unwound by_orc = unwind_by_orc(u, f, caller);
    Frame other = *f;
    if (by_orc == UNWOUND_CALLER && !caller->exact && unwind_by_cfi(u, f, &other) == UNWOUND_CALLER &&
        other.pc == caller->pc && other.cfa == caller->cfa)
        *caller = other;
    if (by_orc != UNWOUND_NOTHING)
        return by_orc;
    static Unwound (*const ways[])(Unwinder *, const Frame *, Frame *) = {
        unwind_by_cfi, unwind_by_pointer, unwind_by_search
    };
    bool system_call = f->user && f->kind == FRAME_ORC; /* what called the kernel: no guesses behind it */
    Unwound found = UNWOUND_NOTHING;
    for (unsigned k = 0; found == UNWOUND_NOTHING && k < G_N_ELEMENTS(ways) - system_call; k++) {
        *caller = *f;
        found = ways[k](u, f, caller);
    }
    return system_call && found != UNWOUND_CALLER ? UNWOUND_OUTERMOST : found;
}

/* Whether the trace gets anywhere; stacks counts changes of stack. */
static bool moves(const Frame *f, const Frame *caller, unsigned *stacks)
{
    if (caller->reg[DWARF_RSP] > f->reg[DWARF_RSP])
        return true;
    return caller->user != f->user || (caller->kind == FRAME_ORC && ++*stacks <= MAX_STACKS);
}

/* Adds the caller of the last frame; false, with the reason where there is one, when it has none. */
static bool add_caller(Unwinder *u, Backtrace *b, unsigned *stacks)
{
    Frame f = g_array_index(b->frames, Frame, b->frames->len - 1), caller = f;
    caller.exact = false;
    switch (find_caller(u, &f, &caller)) {
    case UNWOUND_CALLER:
        if (moves(&f, &caller, stacks)) {
            g_array_append_val(b->frames, caller);
            return true;
        }
        b->why = g_strdup_printf("the stack does not go on from 0x%" PRIx64 ": it leads back to 0x%" PRIx64,
                                 f.reg[DWARF_RSP], caller.reg[DWARF_RSP]);
        return false;
    case UNWOUND_UNREADABLE:
        b->why = g_strdup_printf("cannot read the stack at 0x%" PRIx64, u->at);
        return false;
    case UNWOUND_NOTHING:
        b->why = g_strdup("nothing more on the stack looks like a return address");
        return false;
    default: return false;
    }
}

Backtrace *unwind(Debugger *d, Cpu *cpu, unsigned max)
{
    Unwinder u = { .debugger = d, .cpu = cpu };
    Backtrace *b = g_new0(Backtrace, 1);
    Frame innermost = frame_innermost(cpu);
    unsigned stacks = 0;
    b->frames = g_array_new(FALSE, FALSE, sizeof(Frame));
    g_array_append_val(b->frames, innermost);
    while (b->frames->len < MIN(max, UNWIND_MAX) && add_caller(&u, b, &stacks))
        ;
    orc_free(u.orc);
    cfi_free(u.cfi);
    return b;
}

void backtrace_free(Backtrace *b)
{
    if (!b)
        return;
    g_array_free(b->frames, TRUE);
    g_free(b->why);
    g_free(b);
}
