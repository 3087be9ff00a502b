/* The flags record (record.h). */
#include "tcg/record.h"

#include "cpu/flags.h"

static void settle_image(Cpu *cpu, uint64_t image)
{
    uint32_t f = image >> 8 & (F_CF | F_PF | F_AF | F_ZF | F_SF);
    set_flags_arith(cpu, f | (image & 1 ? F_OF : 0));
}

/* The shifts as in cpu/shift.c: OF is defined for a count of 1 only, but given as processors do. */
static void settle_shl(Cpu *cpu, uint64_t a, unsigned count, unsigned n)
{
    uint64_t r = a << count;
    bool cf = count <= n && (a >> (n - count) & 1);
    set_flags_logic(cpu, r, n);
    set_cf_of_af(cpu, cf, cf ^ (r >> (n - 1) & 1), false);
}

static void settle_shr(Cpu *cpu, uint64_t a, unsigned count, unsigned n)
{
    a &= bit_mask(n);
    set_flags_logic(cpu, a >> count, n);
    set_cf_of_af(cpu, a >> (count - 1) & 1, a >> (n - 1) & 1, false);
}

static void settle_sar(Cpu *cpu, uint64_t a, unsigned count, unsigned n)
{
    int64_t v = sign_extend(a, n);
    set_flags_logic(cpu, v >> count, n);
    set_cf_of_af(cpu, v >> (count - 1) & 1, false, false);
}

static void settle_imul(Cpu *cpu, uint64_t a, uint64_t b, unsigned n)
{
    __int128 product = (__int128)sign_extend(a, n) * sign_extend(b, n);
    int64_t low = sign_extend(product, n);
    set_flags_logic(cpu, low, n);
    set_cf_of_af(cpu, product != low, product != low, false);
}

/* CF and OF: whether the upper half says more than the lower one (SDM vol. 2, MUL, IMUL); the others are undefined. */
static void settle_wide(Cpu *cpu, uint64_t high, uint64_t expected, unsigned n)
{
    bool more = (high ^ expected) & bit_mask(n);
    set_flags_logic(cpu, high, n);
    set_cf_of_af(cpu, more, more, false);
}

static void settle_base(Cpu *cpu, const RecompiledState *r)
{
    unsigned n = 8u << (r->kind & 3), count = r->b & (n == 64 ? 63 : 31);
    switch (r->kind >> 2) {
    case FLAGS_IMAGE: settle_image(cpu, r->a); break;
    case FLAGS_LOGIC: set_flags_logic(cpu, r->a, n); break;
    case FLAGS_ADD: set_flags_add(cpu, r->a - r->b, r->b, r->a, n); break;
    case FLAGS_SUB: set_flags_sub(cpu, r->a + r->b, r->b, r->a, n); break;
    case FLAGS_CMP: set_flags_sub(cpu, r->a, r->b, r->a - r->b, n); break;
    case FLAGS_SHL: settle_shl(cpu, r->a, count, n); break;
    case FLAGS_SHR: settle_shr(cpu, r->a, count, n); break;
    case FLAGS_SAR: settle_sar(cpu, r->a, count, n); break;
    case FLAGS_IMUL: settle_imul(cpu, r->a, r->b, n); break;
    case FLAGS_MULW: settle_wide(cpu, r->a, 0, n); break;
    case FLAGS_IMULW: settle_wide(cpu, r->a, (uint64_t)(sign_extend(r->b, n) >> 63), n); break;
    default: break;
    }
}

/* All flags but CF from an INC or DEC. */
static void settle_top(Cpu *cpu, const RecompiledState *r)
{
    bool cf = flag_cf(cpu);
    unsigned n = 8u << (r->top_kind & 3);
    if (r->top_kind >> 2 == FLAGS_TOP_INC)
        set_flags_add(cpu, r->top - 1, 1, r->top, n);
    else
        set_flags_sub(cpu, r->top + 1, 1, r->top, n);
    set_cf_of_af(cpu, cf, flag_of(cpu), flag_af(cpu));
}

void flags_record_settle(Cpu *cpu)
{
    RecompiledState *r = &cpu->rec;
    settle_base(cpu, r);
    if (r->cf_known)
        set_cf_of_af(cpu, r->cf, flag_of(cpu), flag_af(cpu));
    if (r->top_kind)
        settle_top(cpu, r);
    r->kind = r->top_kind = r->cf_known = 0;
}
