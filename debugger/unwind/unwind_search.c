/* The last resort: the stack is searched for what could be a return address (unwind.h). */
#include "cpu/mmu.h"
#include "debugger/unwind/unwind_internal.h"

/* So many words are looked at: a kernel's frames are small. */
#define SEARCH_WORDS 512

/* Whether code could lie there: of no smaller privilege than the frame's own. */
static bool is_code(Unwinder *u, const Frame *f, uint64_t ip)
{
    Translation t;
    uint64_t la = f->code_size == SZ64 ? ip : (uint32_t)(f->cs_base + ip);
    return mmu_walk(u->cpu, la, &t) && t.executable && (!f->user || t.user);
}

Unwound unwind_by_search(Unwinder *u, const Frame *f, Frame *caller)
{
    unsigned word = frame_word(f);
    uint64_t sp = f->reg[DWARF_RSP], ip;
    for (unsigned k = 0; k < SEARCH_WORDS; k++, sp += word) {
        if (!unwind_read(u, f, sp, word, &ip))
            return k ? UNWOUND_NOTHING : UNWOUND_UNREADABLE;
        if (ip && is_code(u, f, ip) && unwind_behind_call(u, f, ip)) {
            frame_set_caller(caller, FRAME_GUESS, ip, sp + word);
            return UNWOUND_CALLER;
        }
    }
    return UNWOUND_NOTHING;
}
