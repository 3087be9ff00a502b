/* Where two outcomes of a case differ, within what the manual defines (case.h). */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpu/fault.h"
#include "tests/cpu/case.h"

typedef struct Report {
    char *text;
    unsigned size, used;
    bool equal;
} Report;

static void differ(Report *r, const char *what, uint64_t want, uint64_t got)
{
    r->equal = false;
    if (r->used < r->size)
        r->used += snprintf(r->text + r->used, r->size - r->used, " %s want %" PRIx64 " got %" PRIx64, what, want, got);
}

static void check(Report *r, const char *what, uint64_t want, uint64_t got)
{
    if (want != got)
        differ(r, what, want, got);
}

static bool starts_with_any(const char *id, const char *const *list)
{
    for (; *list; list++)
        if (g_str_has_prefix(id, *list))
            return true;
    return false;
}

/* Results that the architecture only bounds. */
static bool is_transcendental(const char *id)
{
    static const char *const list[] = { "FSIN", "FCOS", "FPTAN", "FPATAN", "F2XM1", "FYL2X", NULL };
    return starts_with_any(id, list);
}
static bool is_approximation(const char *id)
{
    static const char *const list[] = { "RCPPS", "RCPSS", "RSQRT", "VRCPPS", "VRCPSS", "VRSQRTPS", "VRSQRTSS", NULL };
    return starts_with_any(id, list);
}
/* They store instruction and data pointers, which processors keep or not (SDM vol. 1 8.1.8). */
static bool stores_pointers(const char *id)
{
    static const char *const list[] = { "FSTENV", "FNSTENV", "FSAVE", "FNSAVE", NULL };
    return starts_with_any(id, list);
}

/* Large areas: where in the page the processor noticed is its own affair. */
static bool is_area(const char *id)
{
    static const char *const list[] = { "FRSTOR", "FLDENV", "MASKMOV", "VMASKMOVDQU", NULL };
    return stores_pointers(id) || starts_with_any(id, list);
}

/* Processors keep or drop what was done before the page fault: the manual leaves it open. */
static bool is_partial_on_fault(const char *id)
{
    static const char *const list[] = { "POPA", NULL };
    return starts_with_any(id, list);
}

/* MXCSR.MM, which only AMD's processors have; AMD's MASKMOVQ has set TOP and tags when it faults. */
/* Whether a call pushes before it looks at its target: AMD's do, Intel's do not (SDM vol. 2, CALL). */
static bool is_order_of_call(const char *id, const Outcome *want, const Outcome *got)
{
    return g_str_has_prefix(id, "CALL_") && got->vector == EXC_GP && (want->vector == EXC_PF || want->vector == EXC_SS);
}

static bool is_vendors_own(const Case *c, const char *id, const Outcome *want, const Outcome *got)
{
    return ((c->in.mxcsr | got->out.mxcsr) & ~want->out.mxcsr & BIT(17)) ||
           (g_str_has_prefix(id, "MASKMOVQ") && want->vector == EXC_PF);
}

/* Linux reports a page fault on a kernel address as if the page were there. */
static uint32_t comparable_error(const Outcome *o)
{
    return o->vector == EXC_PF && o->address >> 63 ? o->error | PF_P : o->error;
}

static void check_general(Report *r, const Registers *want, const Registers *got)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    for (unsigned k = 0; k < 16; k++)
        check(r, names[k], want->gpr[k], got->gpr[k]);
    check(r, "rip", want->rip, got->rip);
}

static bool floats_near(uint64_t a, uint64_t b)
{
    for (unsigned shift = 0; shift < 64; shift += 32) {
        float x, y;
        uint32_t p = a >> shift, q = b >> shift;
        memcpy(&x, &p, 4);
        memcpy(&y, &q, 4);
        if (p != q && !(x / y > 0.999f && x / y < 1.001f))
            return false;
    }
    return true;
}

static void check_vectors(Report *r, const char *id, const Registers *want, const Registers *got)
{
    char name[16];
    for (unsigned k = 0; k < 32 * 8; k++) {
        snprintf(name, sizeof name, "v%u.%u", k / 8, k % 8);
        uint64_t a = want->vec[k / 8][k % 8], b = got->vec[k / 8][k % 8];
        if (a != b && !(is_approximation(id) && floats_near(a, b)))
            differ(r, name, a, b);
    }
    for (unsigned k = 0; k < 8; k++) {
        snprintf(name, sizeof name, "k%u", k);
        check(r, name, want->opmask[k], got->opmask[k]);
    }
    check(r, "mxcsr", want->mxcsr, got->mxcsr);
}

/* Neighbours, or next to that, in the 64-bit significand, across a power of two too. */
static bool within_ulp(const Registers *a, const Registers *b, unsigned k)
{
    unsigned __int128 x = (unsigned __int128)a->st_sexp[k] << 63 | (a->st_mant[k] & ~BIT(63));
    unsigned __int128 y = (unsigned __int128)b->st_sexp[k] << 63 | (b->st_mant[k] & ~BIT(63));
    return x - y + 2 <= 4;
}

static void check_x87(Report *r, const char *id, const Registers *want, const Registers *got)
{
    char name[16];
    for (unsigned k = 0; k < 8; k++) {
        bool same = want->st_mant[k] == got->st_mant[k] && want->st_sexp[k] == got->st_sexp[k];
        if (same || (is_transcendental(id) && within_ulp(want, got, k)))
            continue;
        snprintf(name, sizeof name, "R%u.mant", k);
        differ(r, name, want->st_mant[k], got->st_mant[k]);
        snprintf(name, sizeof name, "R%u.sexp", k);
        differ(r, name, want->st_sexp[k], got->st_sexp[k]);
    }
    uint16_t ignore = is_transcendental(id) ? 0x0220 : 0; /* C1 and inexact follow the last bit */
    check(r, "fcw", want->fcw, got->fcw);
    check(r, "fsw", want->fsw & ~ignore, got->fsw & ~ignore);
    check(r, "tags", want->tags, got->tags);
}

static void check_data(Report *r, const Outcome *want, const Outcome *got)
{
    for (unsigned k = 0; k < DATA_SIZE; k++)
        if (want->data[k] != got->data[k]) {
            char name[24];
            snprintf(name, sizeof name, "data[%04x]", k);
            differ(r, name, want->data[k], got->data[k]);
            return;
        }
}

bool outcome_equal(const Case *c, const Outcome *want, const Outcome *got, char *text, unsigned size)
{
    const InsnRow *row = &insn_rows[c->row];
    Report r = { .text = text, .size = size, .equal = true };
    text[0] = 0;
    if (is_vendors_own(c, row->id, want, got) || is_order_of_call(row->id, want, got))
        return true;
    check(&r, "vector", want->vector, got->vector);
    check(&r, "error", comparable_error(want), comparable_error(got));
    uint64_t cr2_mask = is_area(row->id) ? ~UINT64_C(0xfff) : ~UINT64_C(0);
    check(&r, "cr2", want->address & cr2_mask, got->address & cr2_mask);
    if (want->vector == EXC_PF && is_partial_on_fault(row->id))
        return r.equal;
    check_general(&r, &want->out, &got->out);
    uint32_t flags = (F_ARITH | F_DF) & ~(want->vector == NO_FAULT ? c->undefined : c->undefined_midway);
    check(&r, "eflags", want->out.eflags & flags, got->out.eflags & flags);
    check_vectors(&r, row->id, &want->out, &got->out);
    check_x87(&r, row->id, &want->out, &got->out);
    if (!stores_pointers(row->id))
        check_data(&r, want, got);
    return r.equal;
}
