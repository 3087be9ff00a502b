/*
 * Integer instructions: arithmetic and logic, data movement, exchange, conversion, single flags.
 * SDM vol. 2 for each; shifts, multiplication, bits, BCD, branches, stack and strings have their own files.
 *
 * Functions are named after the operands: add_EvGv_m32 is ADD m32, r32.  A size macro makes each for one operand
 * width n, with the operand letter t (b or v) and the suffixes of its register and memory forms.
 */
#include "cpu/integer.h"

#include "core/machine.h"
#include "cpu/group.h"
#include "util/guest_atomic.h"

/* A split lock: the host's own, or one that excludes other split locks alone. */
static bool split_replace(Cpu *cpu, uint8_t *host, uint64_t old, uint64_t v, unsigned size)
{
    if (HOST_SPLIT_CAS)
        return split_cas(host, le64(old), le64(v), size);
    g_mutex_lock(&cpu->group->split_lock);
    bool same = ldle(host, size) == old;
    if (same)
        stle(host, v, size);
    g_mutex_unlock(&cpu->group->split_lock);
    return same;
}

bool locked_replace(Cpu *cpu, uint8_t *host, uint64_t old, uint64_t v, unsigned size)
{
    unsigned at = (uintptr_t)host & 7;
    if (at + size > 8)
        return split_replace(cpu, host, old, v, size);
    /* The quadword around the operand; its other bytes must not have changed either, or the caller tries again. */
    uint64_t *quad = (uint64_t *)(void *)(host - at);
    uint64_t raw = __atomic_load_n(quad, __ATOMIC_RELAXED), q = le64(raw);
    if (bits_extract(q, at * 8, size * 8) != (old & bit_mask(size * 8)))
        return false;
    uint64_t new_raw = le64(bits_deposit(q, at * 8, size * 8, v));
    return __atomic_compare_exchange_n(quad, &raw, new_raw, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool is_ram(Cpu *cpu, uint64_t gpa)
{
    return (gpa & GUEST_PAGE_MASK) != cpu->intc_page && as_lookup(cpu->machine->memory, gpa).host;
}

/* Across pages, or a device: a device's registers may read otherwise each time, so they are not compared. */
static bool replace_elsewhere(Cpu *cpu, const MemRef *ref, uint64_t old, uint64_t v, unsigned size)
{
    if (ref->first == size || !is_ram(cpu, ref->gpa[0]) || !is_ram(cpu, ref->gpa[1])) {
        mem_commit_slow(cpu, ref, v, size);
        return true;
    }
    g_mutex_lock(&cpu->group->split_lock);
    bool same = mem_rmw_again(cpu, ref, size) == old;
    if (same)
        mem_commit_slow(cpu, ref, v, size);
    g_mutex_unlock(&cpu->group->split_lock);
    return same;
}

bool mem_finish_slow(Cpu *cpu, const MemRef *ref, uint64_t old, uint64_t v, unsigned size)
{
    if (!ref->ram)
        return replace_elsewhere(cpu, ref, old, v, size);
    if (!locked_replace(cpu, ref->ram, old, v, size))
        return false;
    mem_commit_noted(cpu, ref, size);
    return true;
}

/* Makes all sizes of a family: M(op, bits, operand type, suffix of register form, of memory form). */
#define FOR_SIZES_V(M, op) M(op, 16, v, _r16, _m16) M(op, 32, v, _r32, _m32) M(op, 64, v, _r64, _m64)
#define FOR_SIZES(M, op) M(op, 8, b, _r, _m) FOR_SIZES_V(M, op)

/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST.  `a` is the destination, `b` the source, c the carry flag; results may have
 * rubbish above bit n-1.
 */
static inline uint64_t add_result(uint64_t a, uint64_t b, bool c) { (void)c; return a + b; }
static inline uint64_t adc_result(uint64_t a, uint64_t b, bool c) { return a + b + c; }
static inline uint64_t sub_result(uint64_t a, uint64_t b, bool c) { (void)c; return a - b; }
static inline uint64_t sbb_result(uint64_t a, uint64_t b, bool c) { return a - b - c; }
static inline uint64_t and_result(uint64_t a, uint64_t b, bool c) { (void)c; return a & b; }
static inline uint64_t or_result(uint64_t a, uint64_t b, bool c) { (void)c; return a | b; }
static inline uint64_t xor_result(uint64_t a, uint64_t b, bool c) { (void)c; return a ^ b; }
#define cmp_result sub_result
#define test_result and_result

static inline void logic_flags(Cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned n)
{
    (void)a;
    (void)b;
    set_flags_logic(cpu, r, n);
}
#define add_flags set_flags_add
#define adc_flags set_flags_add
#define sub_flags set_flags_sub
#define sbb_flags set_flags_sub
#define cmp_flags set_flags_sub
#define and_flags logic_flags
#define or_flags logic_flags
#define xor_flags logic_flags
#define test_flags logic_flags

/*
 * The forms that write their destination.  LOCK has a function of its own: it may have to try again, with the carry
 * flag as it was.
 */
#define ALU_SIZE(op, n, t, R, M)                                                                                       \
    static inline uint##n##_t op##_values##n(Cpu *cpu, uint##n##_t a, uint##n##_t b)                                   \
    {                                                                                                                  \
        uint64_t r = op##_result(a, b, flag_cf(cpu));                                                                  \
        op##_flags(cpu, a, b, r, n);                                                                                   \
        return r;                                                                                                      \
    }                                                                                                                  \
    static __attribute__((noinline)) void op##_locked##n(Cpu *cpu, const Insn *i, uint##n##_t b)                       \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i), r;                                                                              \
        bool c = flag_cf(cpu);                                                                                         \
        uint##n##_t a;                                                                                                 \
        MemRef ref;                                                                                                    \
        do {                                                                                                           \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
            r = op##_result(a, b, c);                                                                                  \
        } while (!mem_finish##n(cpu, &ref, a, r, true));                                                               \
        op##_flags(cpu, a, b, r, n);                                                                                   \
    }                                                                                                                  \
    static inline void op##_memory##n(Cpu *cpu, const Insn *i, uint##n##_t b)                                          \
    {                                                                                                                  \
        MemRef ref;                                                                                                    \
        if (unlikely(i->lock)) {                                                                                       \
            op##_locked##n(cpu, i, b);                                                                                 \
            return;                                                                                                    \
        }                                                                                                              \
        uint##n##_t a = mem_rmw##n(cpu, i->seg, insn_ea(cpu, i), &ref);                                                \
        mem_commit##n(cpu, &ref, op##_values##n(cpu, a, b));                                                           \
    }                                                                                                                  \
    static void op##_E##t##G##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        set_reg##n(cpu, i->rm, op##_values##n(cpu, reg##n(cpu, i->rm), reg##n(cpu, i->reg)));                          \
    }                                                                                                                  \
    static void op##_E##t##G##t##M(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, reg##n(cpu, i->reg)); }           \
    static void op##_G##t##E##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, op##_values##n(cpu, reg##n(cpu, i->reg), reg##n(cpu, i->rm)));                         \
    }                                                                                                                  \
    static void op##_G##t##E##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        uint##n##_t b = mem_read##n(cpu, i->seg, insn_ea(cpu, i));                                                     \
        set_reg##n(cpu, i->reg, op##_values##n(cpu, reg##n(cpu, i->reg), b));                                          \
    }                                                                                                                  \
    static void op##_E##t##I##R(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        set_reg##n(cpu, i->rm, op##_values##n(cpu, reg##n(cpu, i->rm), i->imm));                                       \
    }                                                                                                                  \
    static void op##_E##t##I##M(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, i->imm); }                           \
    static void op##_AI_##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        set_reg##n(cpu, R_AX, op##_values##n(cpu, reg##n(cpu, R_AX), i->imm));                                         \
    }

/* The forms that set flags only. */
#define COMPARE_SIZE(op, n, t, R, M)                                                                                   \
    static inline void op##_values##n(Cpu *cpu, uint##n##_t a, uint##n##_t b)                                          \
    {                                                                                                                  \
        op##_flags(cpu, a, b, op##_result(a, b, false), n);                                                            \
    }                                                                                                                  \
    static inline uint##n##_t op##_memory##n(Cpu *cpu, const Insn *i)                                                  \
    {                                                                                                                  \
        return mem_read##n(cpu, i->seg, insn_ea(cpu, i));                                                              \
    }                                                                                                                  \
    static void op##_E##t##G##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        op##_values##n(cpu, reg##n(cpu, i->rm), reg##n(cpu, i->reg));                                                  \
    }                                                                                                                  \
    static void op##_E##t##G##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        op##_values##n(cpu, op##_memory##n(cpu, i), reg##n(cpu, i->reg));                                              \
    }                                                                                                                  \
    static void op##_E##t##I##R(Cpu *cpu, const Insn *i) { op##_values##n(cpu, reg##n(cpu, i->rm), i->imm); }          \
    static void op##_E##t##I##M(Cpu *cpu, const Insn *i) { op##_values##n(cpu, op##_memory##n(cpu, i), i->imm); }      \
    static void op##_AI_##n(Cpu *cpu, const Insn *i) { op##_values##n(cpu, reg##n(cpu, R_AX), i->imm); }

/* CMP Gv,Ev. */
#define COMPARE_GE_SIZE(op, n, t, R, M)                                                                                \
    static void op##_G##t##E##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        op##_values##n(cpu, reg##n(cpu, i->reg), reg##n(cpu, i->rm));                                                  \
    }                                                                                                                  \
    static void op##_G##t##E##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        op##_values##n(cpu, reg##n(cpu, i->reg), op##_memory##n(cpu, i));                                              \
    }

#define ALU_ROWS(op)                                                                                                   \
    SEM_RM(op##_EbGb)                                                                                                  \
    SEM_RM_SZ(op##_EvGv)                                                                                               \
    SEM_RM(op##_EbI)                                                                                                   \
    SEM_RM_SZ(op##_EvI)                                                                                                \
    const Sem sem_##op##_ALIb = { { op##_AI_8, op##_AI_8, op##_AI_8 }, { NULL } };                                     \
    const Sem sem_##op##_rAXIz = { { op##_AI_16, op##_AI_32, op##_AI_64 }, { NULL } };
#define ALU_GE_ROWS(op)                                                                                                \
    SEM_RM(op##_GbEb)                                                                                                  \
    SEM_RM_SZ(op##_GvEv)

#define ALU(op)                                                                                                        \
    FOR_SIZES(ALU_SIZE, op)                                                                                            \
    ALU_ROWS(op)                                                                                                       \
    ALU_GE_ROWS(op)
ALU(add)
ALU(or)
ALU(adc)
ALU(sbb)
ALU(and)
ALU(sub)
ALU(xor)
FOR_SIZES(COMPARE_SIZE, cmp)
FOR_SIZES(COMPARE_GE_SIZE, cmp)
ALU_ROWS(cmp)
ALU_GE_ROWS(cmp)
FOR_SIZES(COMPARE_SIZE, test)
ALU_ROWS(test)

/* INC and DEC leave CF alone. */
static inline uint64_t inc_value(Cpu *cpu, uint64_t a, unsigned n)
{
    bool cf = flag_cf(cpu);
    set_flags_add(cpu, a, 1, a + 1, n);
    replace_cf(cpu, cf);
    return a + 1;
}
static inline uint64_t dec_value(Cpu *cpu, uint64_t a, unsigned n)
{
    bool cf = flag_cf(cpu);
    set_flags_sub(cpu, a, 1, a - 1, n);
    replace_cf(cpu, cf);
    return a - 1;
}
static inline uint64_t neg_value(Cpu *cpu, uint64_t a, unsigned n)
{
    set_flags_sub(cpu, 0, a, -a, n);
    return -a;
}
static inline uint64_t not_value(Cpu *cpu, uint64_t a, unsigned n)
{
    (void)cpu;
    (void)n;
    return ~a;
}
#define inc_result(a) ((a) + 1)
#define dec_result(a) ((a) - 1)
#define neg_result(a) (-(a))
#define not_result(a) (~(a))

#define UNARY_SIZE(op, n, t, R, M)                                                                                     \
    static void op##_E##t##R(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        set_reg##n(cpu, i->rm, op##_value(cpu, reg##n(cpu, i->rm), n));                                                \
    }                                                                                                                  \
    static __attribute__((noinline)) void op##_locked##n(Cpu *cpu, const Insn *i)                                      \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##n##_t a;                                                                                                 \
        MemRef ref;                                                                                                    \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, op##_result((uint64_t)a), true));                                          \
        op##_value(cpu, a, n);                                                                                         \
    }                                                                                                                  \
    static void op##_E##t##M(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        MemRef ref;                                                                                                    \
        if (unlikely(i->lock)) {                                                                                       \
            op##_locked##n(cpu, i);                                                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        uint##n##_t a = mem_rmw##n(cpu, i->seg, insn_ea(cpu, i), &ref);                                                \
        mem_commit##n(cpu, &ref, op##_value(cpu, a, n));                                                               \
    }
#define UNARY(op)                                                                                                      \
    FOR_SIZES(UNARY_SIZE, op)                                                                                          \
    SEM_RM(op##_Eb)                                                                                                    \
    SEM_RM_SZ(op##_Ev)
UNARY(inc)
UNARY(dec)
UNARY(neg)
UNARY(not)

#define UNARY_Z(op, n)                                                                                                 \
    static void op##_Zv_##n(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, op##_value(cpu, reg##n(cpu, i->reg), n));                                              \
    }
UNARY_Z(inc, 16)
UNARY_Z(inc, 32)
UNARY_Z(dec, 16)
UNARY_Z(dec, 32)
const Sem sem_inc_Zv = { { inc_Zv_16, inc_Zv_32, NULL }, { NULL } };
const Sem sem_dec_Zv = { { dec_Zv_16, dec_Zv_32, NULL }, { NULL } };

/* ADCX and ADOX: additions whose carry goes through one flag and which leave all others alone. */
static inline bool adcx_carry(const Cpu *cpu) { return flag_cf(cpu); }
static inline bool adox_carry(const Cpu *cpu) { return flag_of(cpu); }
#define adcx_set_carry replace_cf
#define adox_set_carry replace_of
#define ADX_SIZE(op, n, t, R, M)                                                                                       \
    static inline void op##_values##n(Cpu *cpu, const Insn *i, uint##n##_t b)                                          \
    {                                                                                                                  \
        uint##n##_t a = reg##n(cpu, i->reg), s, r;                                                                     \
        bool carry = __builtin_add_overflow(a, b, &s);                                                                 \
        carry |= __builtin_add_overflow(s, (uint##n##_t)op##_carry(cpu), &r);                                          \
        set_reg##n(cpu, i->reg, r);                                                                                    \
        op##_set_carry(cpu, carry);                                                                                    \
    }                                                                                                                  \
    static void op##_GyEy##R(Cpu *cpu, const Insn *i) { op##_values##n(cpu, i, reg##n(cpu, i->rm)); }                  \
    static void op##_GyEy##M(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        op##_values##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                             \
    }
#define ADX(op)                                                                                                        \
    ADX_SIZE(op, 32, y, _r32, _m32)                                                                                    \
    ADX_SIZE(op, 64, y, _r64, _m64)                                                                                    \
    const Sem sem_##op##_GyEy = { { NULL, op##_GyEy_r32, op##_GyEy_r64 }, { NULL, op##_GyEy_m32, op##_GyEy_m64 } };
ADX(adcx)
ADX(adox)

/* MOV */
#define MOV_SIZE(op, n, t, R, M)                                                                                       \
    static void op##_E##t##G##t##R(Cpu *cpu, const Insn *i) { set_reg##n(cpu, i->rm, reg##n(cpu, i->reg)); }           \
    static void op##_E##t##G##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        mem_write##n(cpu, i->seg, insn_ea(cpu, i), reg##n(cpu, i->reg));                                               \
    }                                                                                                                  \
    static void op##_G##t##E##t##R(Cpu *cpu, const Insn *i) { set_reg##n(cpu, i->reg, reg##n(cpu, i->rm)); }           \
    static void op##_G##t##E##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                            \
    }                                                                                                                  \
    static void op##_E##t##I##R(Cpu *cpu, const Insn *i) { set_reg##n(cpu, i->rm, i->imm); }                           \
    static void op##_E##t##I##M(Cpu *cpu, const Insn *i) { mem_write##n(cpu, i->seg, insn_ea(cpu, i), i->imm); }       \
    static void op##_ZI_##n(Cpu *cpu, const Insn *i) { set_reg##n(cpu, i->reg, i->imm); }                              \
    static void op##_AO_##n(Cpu *cpu, const Insn *i) { set_reg##n(cpu, R_AX, mem_read##n(cpu, i->seg, i->imm)); }      \
    static void op##_OA_##n(Cpu *cpu, const Insn *i) { mem_write##n(cpu, i->seg, i->imm, reg##n(cpu, R_AX)); }
FOR_SIZES(MOV_SIZE, mov)
SEM_RM(mov_EbGb)
SEM_RM_SZ(mov_EvGv)
SEM_RM(mov_GbEb)
SEM_RM_SZ(mov_GvEv)
SEM_RM(mov_EbI)
SEM_RM_SZ(mov_EvI)
#define MOV_FIXED(name, f)                                                                                             \
    const Sem sem_mov_b_##name = { { f##_8, f##_8, f##_8 }, { NULL } };                                                \
    const Sem sem_mov_v_##name = { { f##_16, f##_32, f##_64 }, { NULL } };
MOV_FIXED(ZI, mov_ZI)
MOV_FIXED(AO, mov_AO)
MOV_FIXED(OA, mov_OA)

/* MOVZX, MOVSX, MOVSXD: to `to` bits from the unsigned or signed type of `from` bits. */
#define EXTEND(name, to, from, type)                                                                                   \
    static void name##_r##to(Cpu *cpu, const Insn *i) { set_reg##to(cpu, i->reg, (type)reg##from(cpu, i->rm)); }       \
    static void name##_m##to(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        set_reg##to(cpu, i->reg, (type)mem_read##from(cpu, i->seg, insn_ea(cpu, i)));                                  \
    }
#define EXTEND_SIZES(name, from, type)                                                                                 \
    EXTEND(name, 16, from, type)                                                                                       \
    EXTEND(name, 32, from, type)                                                                                       \
    EXTEND(name, 64, from, type)                                                                                       \
    SEM_RM_SZ(name)
EXTEND_SIZES(movzx_GvEb, 8, uint8_t)
EXTEND_SIZES(movzx_GvEw, 16, uint16_t)
EXTEND_SIZES(movsx_GvEb, 8, int8_t)
EXTEND_SIZES(movsx_GvEw, 16, int16_t)
EXTEND(movsxd, 16, 16, int16_t)
EXTEND(movsxd, 32, 32, int32_t)
EXTEND(movsxd, 64, 32, int32_t)
SEM_RM_SZ(movsxd)

/* LEA: no memory access, no segment. */
static void lea_16(Cpu *cpu, const Insn *i) { set_reg16(cpu, i->reg, insn_ea(cpu, i)); }
static void lea_32(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, insn_ea(cpu, i)); }
static void lea_64(Cpu *cpu, const Insn *i) { set_reg64(cpu, i->reg, insn_ea(cpu, i)); }
SEM_SZ(lea)

static void nop(Cpu *cpu, const Insn *i)
{
    (void)cpu;
    (void)i;
}
SEM_1(nop)

/* XCHG with memory is always locked (SDM vol. 3A 9.1.2.1). */
#define XCHG_SIZE(op, n, t, R, M)                                                                                      \
    static void xchg_E##t##G##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        uint##n##_t a = reg##n(cpu, i->rm);                                                                            \
        set_reg##n(cpu, i->rm, reg##n(cpu, i->reg));                                                                   \
        set_reg##n(cpu, i->reg, a);                                                                                    \
    }                                                                                                                  \
    static void xchg_E##t##G##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##n##_t a;                                                                                                 \
        MemRef ref;                                                                                                    \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, reg##n(cpu, i->reg), true));                                               \
        set_reg##n(cpu, i->reg, a);                                                                                    \
    }
FOR_SIZES(XCHG_SIZE, xchg)
SEM_RM(xchg_EbGb)
SEM_RM_SZ(xchg_EvGv)

#define XCHG_Z(n)                                                                                                      \
    static void xchg_ZvA_##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        uint##n##_t a = reg##n(cpu, i->reg);                                                                           \
        set_reg##n(cpu, i->reg, reg##n(cpu, R_AX));                                                                    \
        set_reg##n(cpu, R_AX, a);                                                                                      \
    }
XCHG_Z(16)
XCHG_Z(32)
XCHG_Z(64)
SEM_SZ(xchg_ZvA)

/* XADD: when both operands are the same register the sum wins. */
#define XADD_SIZE(op, n, t, R, M)                                                                                      \
    static void xadd_E##t##G##t##R(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        uint##n##_t a = reg##n(cpu, i->rm), b = reg##n(cpu, i->reg);                                                   \
        set_reg##n(cpu, i->reg, a);                                                                                    \
        set_reg##n(cpu, i->rm, add_values##n(cpu, a, b));                                                              \
    }                                                                                                                  \
    static void xadd_E##t##G##t##M(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##n##_t a, b = reg##n(cpu, i->reg);                                                                        \
        MemRef ref;                                                                                                    \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, a + b, i->lock));                                                          \
        add_values##n(cpu, a, b);                                                                                      \
        set_reg##n(cpu, i->reg, a);                                                                                    \
    }
FOR_SIZES(XADD_SIZE, xadd)
SEM_RM(xadd_EbGb)
SEM_RM_SZ(xadd_EvGv)

/*
 * CMPXCHG: memory is written in any case.  A register is only written when equal, and the accumulator only when not
 * (a 32-bit one then loses its upper half), as processors do.
 */
#define CMPXCHG_SIZE(op, n, t, R, M)                                                                                   \
    static void cmpxchg_E##t##G##t##R(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        uint##n##_t a = reg##n(cpu, i->rm), acc = reg##n(cpu, R_AX);                                                   \
        cmp_values##n(cpu, acc, a);                                                                                    \
        if (a == acc)                                                                                                  \
            set_reg##n(cpu, i->rm, reg##n(cpu, i->reg));                                                               \
        else                                                                                                           \
            set_reg##n(cpu, R_AX, a);                                                                                  \
    }                                                                                                                  \
    static void cmpxchg_E##t##G##t##M(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##n##_t a, acc = reg##n(cpu, R_AX), b = reg##n(cpu, i->reg);                                               \
        MemRef ref;                                                                                                    \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, a == acc ? b : a, i->lock));                                               \
        cmp_values##n(cpu, acc, a);                                                                                    \
        if (a != acc)                                                                                                  \
            set_reg##n(cpu, R_AX, a);                                                                                  \
    }
FOR_SIZES(CMPXCHG_SIZE, cmpxchg)
SEM_RM(cmpxchg_EbGb)
SEM_RM_SZ(cmpxchg_EvGv)

/* CMPXCHG8B and 16B change ZF only; the accumulator pair is written when not equal. */
static void cmpxchg8b(Cpu *cpu, const Insn *i)
{
    uint64_t ea = insn_ea(cpu, i), a;
    uint64_t acc = (uint64_t)reg32(cpu, R_DX) << 32 | reg32(cpu, R_AX);
    uint64_t b = (uint64_t)reg32(cpu, R_CX) << 32 | reg32(cpu, R_BX);
    MemRef ref;
    do
        a = mem_rmw64(cpu, i->seg, ea, &ref);
    while (!mem_finish64(cpu, &ref, a, a == acc ? b : a, i->lock));
    set_zf(cpu, a == acc);
    if (a != acc) {
        set_reg32(cpu, R_AX, a);
        set_reg32(cpu, R_DX, a >> 32);
    }
}
SEM_1(cmpxchg8b)

/* Two quadwords in guest memory. */
typedef struct Pair {
    uint64_t lo, hi;
} Pair;

/* locked_replace for 16 aligned bytes; atomic where the host's compiler can (x86 with -mcx16, arm64), else a split lock. */
static bool locked_replace_pair(Cpu *cpu, uint8_t *host, Pair old, Pair v)
{
#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16
    uint64_t from[2] = { le64(old.lo), le64(old.hi) }, to[2] = { le64(v.lo), le64(v.hi) };
    unsigned __int128 raw, new_raw;
    (void)cpu;
    memcpy(&raw, from, sizeof raw);
    memcpy(&new_raw, to, sizeof new_raw);
    return __sync_bool_compare_and_swap((unsigned __int128 *)(void *)host, raw, new_raw);
#else
    g_mutex_lock(&cpu->group->split_lock);
    bool same = ld64le(host) == old.lo && ld64le(host + 8) == old.hi;
    if (same) {
        st64le(host, v.lo);
        st64le(host + 8, v.hi);
    }
    g_mutex_unlock(&cpu->group->split_lock);
    return same;
#endif
}

/* The operand is 16-byte aligned, so both halves are on one page and the second cannot fault. */
static bool cmpxchg16b_try(Cpu *cpu, const Insn *i, Pair acc, Pair *a)
{
    MemRef lo, hi;
    a->lo = mem_rmw64(cpu, i->seg, insn_ea(cpu, i), &lo);
    a->hi = mem_rmw64(cpu, i->seg, insn_ea_at(cpu, i, 8), &hi);
    bool equal = a->lo == acc.lo && a->hi == acc.hi;
    Pair v = equal ? (Pair){ cpu->gpr[R_BX], cpu->gpr[R_CX] } : *a;
    uint8_t *bytes = lo.host ? lo.host : lo.ram;
    if (i->lock && bytes) {
        bool done = locked_replace_pair(cpu, bytes, *a, v);
        if (done && !lo.host)
            mem_commit_noted(cpu, &lo, 16);
        return done;
    }
    mem_commit64(cpu, &lo, v.lo);
    mem_commit64(cpu, &hi, v.hi);
    return true;
}

static void cmpxchg16b(Cpu *cpu, const Insn *i)
{
    Pair acc = { cpu->gpr[R_AX], cpu->gpr[R_DX] }, a;
    if (segment_linear(cpu, i->seg, insn_ea(cpu, i), 16, true) & 15)
        cpu_raise_gp(cpu);
    while (!cmpxchg16b_try(cpu, i, acc, &a))
        continue;
    bool equal = a.lo == acc.lo && a.hi == acc.hi;
    set_zf(cpu, equal);
    if (!equal) {
        cpu->gpr[R_AX] = a.lo;
        cpu->gpr[R_DX] = a.hi;
    }
}
SEM_1(cmpxchg16b)

/* CBW CWDE CDQE; CWD CDQ CQO */
static void cbw_16(Cpu *cpu, const Insn *i) { (void)i; set_reg16(cpu, R_AX, (int8_t)cpu->gpr[R_AX]); }
static void cbw_32(Cpu *cpu, const Insn *i) { (void)i; set_reg32(cpu, R_AX, (int16_t)cpu->gpr[R_AX]); }
static void cbw_64(Cpu *cpu, const Insn *i) { (void)i; set_reg64(cpu, R_AX, (int32_t)cpu->gpr[R_AX]); }
SEM_SZ(cbw)

static void cwd_16(Cpu *cpu, const Insn *i) { (void)i; set_reg16(cpu, R_DX, (int16_t)cpu->gpr[R_AX] >> 15); }
static void cwd_32(Cpu *cpu, const Insn *i) { (void)i; set_reg32(cpu, R_DX, (int32_t)cpu->gpr[R_AX] >> 31); }
static void cwd_64(Cpu *cpu, const Insn *i) { (void)i; set_reg64(cpu, R_DX, (int64_t)cpu->gpr[R_AX] >> 63); }
SEM_SZ(cwd)

/* BSWAP of a 16-bit register is undefined; processors clear it. */
static void bswap_16(Cpu *cpu, const Insn *i) { set_reg16(cpu, i->reg, 0); }
static void bswap_32(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, __builtin_bswap32(reg32(cpu, i->reg))); }
static void bswap_64(Cpu *cpu, const Insn *i) { set_reg64(cpu, i->reg, __builtin_bswap64(reg64(cpu, i->reg))); }
SEM_SZ(bswap)

#define MOVBE(n)                                                                                                       \
    static void movbe_GM_##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, __builtin_bswap##n(mem_read##n(cpu, i->seg, insn_ea(cpu, i))));                        \
    }                                                                                                                  \
    static void movbe_MG_##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        mem_write##n(cpu, i->seg, insn_ea(cpu, i), __builtin_bswap##n(reg##n(cpu, i->reg)));                           \
    }
MOVBE(16)
MOVBE(32)
MOVBE(64)
SEM_SZ(movbe_GM)
SEM_SZ(movbe_MG)

/* XLAT: AL indexes a table at rBX. */
static void xlat(Cpu *cpu, const Insn *i)
{
    uint64_t ea = (cpu->gpr[R_BX] + reg8(cpu, R_AX)) & address_mask(i->asz);
    set_reg8(cpu, R_AX, mem_read8(cpu, i->seg, ea));
}
SEM_1(xlat)

/* Flags as a whole or one by one. */
enum { FLAGS_IN_AH = F_SF | F_ZF | F_AF | F_PF | F_CF, AH = 16 + 4 };

static void lahf(Cpu *cpu, const Insn *i)
{
    (void)i;
    set_reg8(cpu, AH, (flags_arith(cpu) & FLAGS_IN_AH) | EFLAGS_FIXED);
}
static void sahf(Cpu *cpu, const Insn *i)
{
    (void)i;
    set_flags_arith(cpu, (reg8(cpu, AH) & FLAGS_IN_AH) | (flag_of(cpu) ? F_OF : 0));
}
static void clc(Cpu *cpu, const Insn *i) { (void)i; replace_cf(cpu, false); }
static void stc(Cpu *cpu, const Insn *i) { (void)i; replace_cf(cpu, true); }
static void cmc(Cpu *cpu, const Insn *i) { (void)i; replace_cf(cpu, !flag_cf(cpu)); }
static void cld(Cpu *cpu, const Insn *i) { (void)i; cpu->eflags &= ~F_DF; }
static void std(Cpu *cpu, const Insn *i) { (void)i; cpu->eflags |= F_DF; }
/* SALC (undocumented): AL = CF ? FF : 0. */
static void salc(Cpu *cpu, const Insn *i) { (void)i; set_reg8(cpu, R_AX, -flag_cf(cpu)); }
SEM_1(lahf)
SEM_1(sahf)
SEM_1(clc)
SEM_1(stc)
SEM_1(cmc)
SEM_1(cld)
SEM_1(std)
SEM_1(salc)

/* SETcc and CMOVcc.  CMOVcc always reads its source, and a 32-bit one always clears the upper half. */
#define SETCC(cc, number)                                                                                              \
    static void set##cc##_r(Cpu *cpu, const Insn *i) { set_reg8(cpu, i->rm, condition(cpu, number)); }                 \
    static void set##cc##_m(Cpu *cpu, const Insn *i)                                                                   \
    {                                                                                                                  \
        mem_write8(cpu, i->seg, insn_ea(cpu, i), condition(cpu, number));                                              \
    }                                                                                                                  \
    SEM_RM(set##cc)
CONDITIONS(SETCC)

#define CMOV_SIZE(cc, number, n)                                                                                       \
    static void cmov##cc##_r##n(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        set_reg##n(cpu, i->reg, reg##n(cpu, condition(cpu, number) ? i->rm : i->reg));                                 \
    }                                                                                                                  \
    static void cmov##cc##_m##n(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        uint##n##_t v = mem_read##n(cpu, i->seg, insn_ea(cpu, i));                                                     \
        set_reg##n(cpu, i->reg, condition(cpu, number) ? v : reg##n(cpu, i->reg));                                     \
    }
#define CMOVCC(cc, number)                                                                                             \
    CMOV_SIZE(cc, number, 16)                                                                                          \
    CMOV_SIZE(cc, number, 32)                                                                                          \
    CMOV_SIZE(cc, number, 64)                                                                                          \
    SEM_RM_SZ(cmov##cc)
CONDITIONS(CMOVCC)
