/*
 * Callers by frame pointers: at the frame pointer lies the caller's, and above it the return address.  Code of 16 bits
 * may have been called far: CS lies above that then, and FLAGS where it was an interrupt.
 *
 * At a function's first and last instructions the chain does not hold this frame yet, or any more.
 */
#include <string.h>

#include "debugger/unwind/unwind_internal.h"

/* Where a function's frame stands, by the instruction that comes next. */
typedef enum Place {
    PLACE_BODY,      /* the chain holds */
    PLACE_ENTRY,     /* the return address is at the stack pointer */
    PLACE_PUSHED,    /* the caller's frame pointer is, and the return address above it */
} Place;

static bool begins(const uint8_t *p, unsigned have, const char *with, unsigned size)
{
    return have >= size && !memcmp(p, with, size);
}
#define BEGINS(p, have, with) begins(p, have, with, sizeof with - 1)

static Place find_place(Unwinder *u, const Frame *f)
{
    uint8_t code[8];
    unsigned have = sizeof code;
    while (have && !debugger_read(u->cpu, f->pc, code, have))
        have--;
    const uint8_t *p = code;
    if (BEGINS(p, have, "\xf3\x0f\x1e")) /* ENDBR64, ENDBR32 */
        p += 4, have -= MIN(have, 4u);
    if (have && *p == 0x66) /* operands of the other size */
        p++, have--;
    if (!have)
        return PLACE_ENTRY; /* it was called where nothing is */
    if (*p == 0x55 || *p == 0xc3 || *p == 0xc2 || *p == 0xcb || *p == 0xca || *p == 0xc8) /* PUSH BP; RET; ENTER */
        return PLACE_ENTRY;
    if (*p == 0x48)
        p++, have--;
    return BEGINS(p, have, "\x89\xe5") || BEGINS(p, have, "\x8b\xec") ? PLACE_PUSHED : PLACE_BODY; /* MOV BP, SP */
}

/* The linear address of a code segment by its selector: of real mode and virtual-8086 mode, or the frame's own. */
static bool find_code_base(const Unwinder *u, const Frame *f, uint16_t cs, uint64_t *base)
{
    *base = f->cs_base;
    if (!u->cpu->protected_mode)
        *base = (uint64_t)cs << 4;
    return !u->cpu->protected_mode || (cs & ~3) == (f->cs & ~3);
}

/* What lies at the return address: a near one, or of 16-bit code also a far one or that of INT. */
static Unwound take_return(Unwinder *u, const Frame *f, uint64_t at, Frame *caller)
{
    unsigned word = frame_word(f);
    uint64_t ip, cs, base;
    if (!unwind_read(u, f, at, word, &ip))
        return UNWOUND_UNREADABLE;
    frame_set_caller(caller, FRAME_POINTER, ip, at + word);
    if (unwind_behind_call(u, f, ip))
        return UNWOUND_CALLER;
    if (f->code_size != SZ64 && unwind_read(u, f, at + word, word, &cs) && find_code_base(u, f, cs, &base)) {
        Frame far = *caller;
        far.cs = cs;
        far.cs_base = base;
        frame_set_caller(&far, FRAME_POINTER, ip, at + 2 * word);
        if (unwind_behind_call(u, &far, ip)) {
            *caller = far;
            return UNWOUND_CALLER;
        }
    }
    return ip ? UNWOUND_NOTHING : UNWOUND_OUTERMOST;
}

Unwound unwind_by_pointer(Unwinder *u, const Frame *f, Frame *caller)
{
    Place place = f->exact ? find_place(u, f) : PLACE_BODY;
    unsigned word = frame_word(f);
    uint64_t sp = f->reg[DWARF_RSP] & f->sp_mask, bp = f->reg[DWARF_RBP] & f->sp_mask, saved;
    if (place == PLACE_ENTRY)
        return take_return(u, f, sp, caller);
    if (place == PLACE_PUSHED)
        bp = sp;
    else if (!bp && f->kind == FRAME_POINTER) /* how a program starts */
        return UNWOUND_OUTERMOST;
    if (bp < sp || !(f->known >> DWARF_RBP & 1)) /* it is something else's, or the stack was changed */
        return UNWOUND_NOTHING;
    if (!unwind_read(u, f, bp, word, &saved))
        return f->kind == FRAME_POINTER ? UNWOUND_UNREADABLE : UNWOUND_NOTHING;
    frame_set(caller, DWARF_RBP, saved);
    return take_return(u, f, bp + word, caller);
}
