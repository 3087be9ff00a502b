/*
 * x87: exceptions and the register stack; loads, stores, constants and moves (SDM vol. 1 8.3.1 to 8.3.4 and 8.5,
 * vol. 2: FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, FXCH, FCMOVcc, FLD constants).
 */
#include "core/irq.h"
#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/fp_internal.h"
#include "cpu/x87_internal.h"

/* --- exceptions --- */

void fpu_ferr(Cpu *cpu)
{
    IrqLine *line = cpu->machine ? machine_find(cpu->machine, "ferr") : NULL;
    if (!line)
        return;
    machine_lock(cpu->machine);
    irq_raise(line);
    machine_unlock(cpu->machine);
}

/*
 * With CR0.NE clear the processor freezes until an interrupt comes (SDM vol. 3A 2.5).  If FERR# brought one that can
 * be taken it comes first, with this instruction to be done again; else the instruction goes on, as under IGNNE#.
 */
void fpu_report(Cpu *cpu)
{
    if (cpu->cr0 & CR0_NE)
        cpu_raise(cpu, EXC_MF);
    fpu_ferr(cpu);
    if (atomic_load(&cpu->events) & EVENT_INTR && cpu->eflags & F_IF && !cpu->shadow)
        cpu_unwind(cpu);
}

/*
 * FOP is written for unmasked exceptions only, as on processors with fopcode compatibility (SDM vol. 1 8.1.9): the low
 * three bits of the opcode and ModRM, found behind the prefixes.
 */
static void note_opcode(Cpu *cpu)
{
    uint8_t bytes[15] = { 0 };
    if (!cpu_read_linear(cpu, cpu->seg[SEG_CS].base + cpu->rip, bytes, cpu->insn ? cpu->insn->len : 0))
        return;
    for (unsigned n = 0; n < sizeof bytes - 1; n++)
        if ((bytes[n] & 0xf8) == 0xd8) {
            cpu->fpu.opcode = (bytes[n] & 7) << 8 | bytes[n + 1];
            return;
        }
}

bool fpu_raise_unmasked(Cpu *cpu, unsigned flags, bool rounded_up, bool to_memory)
{
    Fpu *f = &cpu->fpu;
    unsigned unmasked = flags & ~f->control;
    unsigned before = FP_INVALID | FP_DENORMAL | FP_DIVZERO;
    /* Found before the computation: what would have come of it does not show. */
    if (unmasked & before)
        flags &= before;
    if (!(flags & FP_INEXACT))
        rounded_up = false;
    f->status = (f->status & ~FSW_C1) | flags | FSW_ES | FSW_B | (rounded_up ? FSW_C1 : 0);
    note_opcode(cpu);
    if (to_memory)
        before |= FP_OVERFLOW | FP_UNDERFLOW;
    return !(unmasked & before);
}

bool fpu_stack_fault(Cpu *cpu, unsigned c1)
{
    Fpu *f = &cpu->fpu;
    bool masked = f->control & FP_INVALID;
    f->status = (f->status & ~FSW_C1) | FP_INVALID | FSW_SF | c1;
    if (!masked) {
        f->status |= FSW_ES | FSW_B;
        note_opcode(cpu);
    }
    return masked;
}

bool fpu_underflow(Cpu *cpu, unsigned n)
{
    bool masked = fpu_stack_fault(cpu, 0);
    if (masked)
        st_set(cpu, n, F80_DEFAULT_NAN);
    return masked;
}

/* --- loads --- */

/*
 * Pushes a value whose conversion may have raised something.  Only an unmasked #IA keeps it off the stack, not #D (as
 * on AMD's processors).
 */
static inline void push_converted(Cpu *cpu, Float80 v, const FpEnv *e)
{
    if (unlikely(!st_empty(cpu, 7)) || likely(!e->flags))
        fpu_push(cpu, v);
    else if (fpu_raise(cpu, e) || !(e->flags & FP_INVALID))
        st_push(cpu, v);
}

static void fld_m32(Cpu *cpu, const Insn *i)
{
    FpEnv e = { .x87 = true };
    uint32_t v = fpu_enter_load32(cpu, i);
    push_converted(cpu, f32_to_f80(v, &e), &e);
}
SEM_1(fld_m32)

static void fld_m64(Cpu *cpu, const Insn *i)
{
    FpEnv e = { .x87 = true };
    uint64_t v = fpu_enter_load64(cpu, i);
    push_converted(cpu, f64_to_f80(v, &e), &e);
}
SEM_1(fld_m64)

static Float80 read_m80(Cpu *cpu, const Insn *i, uint64_t ea)
{
    uint8_t *p = cpu->flat >> i->seg & 1 ? tlb_read_hit(cpu, ea, 10) : NULL, bytes[10];
    if (unlikely(!p))
        mem_read_bytes(cpu, i->seg, ea, p = bytes, 10);
    return f80_load(p);
}

static void fld_m80(Cpu *cpu, const Insn *i)
{
    fpu_check(cpu);
    uint64_t ea = insn_ea(cpu, i);
    Float80 v = read_m80(cpu, i, ea);
    fpu_track_operand(cpu, i, ea);
    fpu_push(cpu, v);
}
SEM_1(fld_m80)

static void fld_sti(Cpu *cpu, const Insn *i)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, i->rm))) {
        if (fpu_stack_fault(cpu, 0))
            st_push(cpu, F80_DEFAULT_NAN);
        return;
    }
    fpu_push(cpu, *st(cpu, i->rm));
}
SEM_1(fld_sti)

#define FILD(bits, convert)                                                                                            \
    static void fild_m##bits(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        FpEnv e = { .x87 = true };                                                                                     \
        int##bits##_t v = fpu_enter_load##bits(cpu, i);                                                                \
        fpu_push(cpu, convert(v, &e));                                                                                 \
    }                                                                                                                  \
    SEM_1(fild_m##bits)
FILD(16, f80_from_i32)
FILD(32, f80_from_i32)
FILD(64, f80_from_i64)

/*
 * The constants of FLD1 to FLDZ, by the opcode's low three bits: cut to 64 bits, and whether the nearest is one more.
 * Rounding control applies to those that are not exact (SDM vol. 1 8.3.2).
 */
static const struct {
    uint64_t mant;
    uint16_t sexp;
    bool exact, nearest_up;
} constants[7] = {
    { UINT64_C(0x8000000000000000), 0x3fff, true, false },  /* 1 */
    { UINT64_C(0xd49a784bcd1b8afe), 0x4000, false, false }, /* log2(10) */
    { UINT64_C(0xb8aa3b295c17f0bb), 0x3fff, false, true },  /* log2(e) */
    { UINT64_C(0xc90fdaa22168c234), 0x4000, false, true },  /* pi */
    { UINT64_C(0x9a209a84fbcff798), 0x3ffd, false, true },  /* log10(2) */
    { UINT64_C(0xb17217f7d1cf79ab), 0x3ffe, false, true },  /* ln(2) */
    { 0, 0, true, false },                                  /* 0 */
};

static void push_constant(Cpu *cpu, unsigned n)
{
    fpu_enter(cpu);
    unsigned rounding = cpu->fpu.control >> 10 & 3;
    bool up = rounding == FP_UP || (rounding == FP_NEAREST && constants[n].nearest_up);
    fpu_push(cpu, (Float80){ constants[n].mant + (up && !constants[n].exact), constants[n].sexp });
}

#define FLD_CONSTANT(name, n)                                                                                          \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        (void)i;                                                                                                       \
        push_constant(cpu, n);                                                                                         \
    }                                                                                                                  \
    SEM_1(name)
FLD_CONSTANT(fld1, 0)
FLD_CONSTANT(fldl2t, 1)
FLD_CONSTANT(fldl2e, 2)
FLD_CONSTANT(fldpi, 3)
FLD_CONSTANT(fldlg2, 4)
FLD_CONSTANT(fldln2, 5)
FLD_CONSTANT(fldz, 6)

/* --- stores --- */

/*
 * A store of a converted ST(0), with what its type has in place of an unrepresentable value; `convert` sees v and e.
 * An unmasked exception of the conversion leaves memory and stack alone (the operand is checked all the same, and a
 * page fault comes first); an unmasked #P does not.
 */
#define STORE_AND_POP(name, bits, indefinite, convert, pop)                                                            \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        fpu_check(cpu);                                                                                                \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        Float80 v = *st(cpu, 0);                                                                                       \
        if (unlikely(st_empty(cpu, 0))) {                                                                              \
            if (cpu->fpu.control & FP_INVALID)                                                                         \
                mem_write##bits(cpu, i->seg, ea, indefinite);                                                          \
            else                                                                                                       \
                mem_probe_write(cpu, i->seg, ea, bits / 8);                                                            \
            fpu_track_operand(cpu, i, ea);                                                                             \
            if (fpu_stack_fault(cpu, 0) && pop)                                                                        \
                st_pop(cpu);                                                                                           \
            return;                                                                                                    \
        }                                                                                                              \
        FpEnv e = fpu_env(cpu);                                                                                        \
        uint##bits##_t r = convert;                                                                                    \
        bool stores = fpu_stores(cpu, e.flags);                                                                        \
        if (likely(stores))                                                                                            \
            mem_write##bits(cpu, i->seg, ea, r);                                                                       \
        else                                                                                                           \
            mem_probe_write(cpu, i->seg, ea, bits / 8);                                                                \
        fpu_track_operand(cpu, i, ea);                                                                                 \
        fpu_raise_store(cpu, &e);                                                                                      \
        if (pop && stores)                                                                                             \
            st_pop(cpu);                                                                                               \
    }                                                                                                                  \
    SEM_1(name)

STORE_AND_POP(fst_m32, 32, 0xffc00000, f80_to_f32(v, &e), false)
STORE_AND_POP(fstp_m32, 32, 0xffc00000, f80_to_f32(v, &e), true)
STORE_AND_POP(fst_m64, 64, UINT64_C(0xfff8) << 48, f80_to_f64(v, &e), false)
STORE_AND_POP(fstp_m64, 64, UINT64_C(0xfff8) << 48, f80_to_f64(v, &e), true)
STORE_AND_POP(fist_m16, 16, 0x8000, f80_to_i16(v, e.rounding, &e), false)
STORE_AND_POP(fistp_m16, 16, 0x8000, f80_to_i16(v, e.rounding, &e), true)
STORE_AND_POP(fist_m32, 32, BIT(31), f80_to_i32(v, e.rounding, &e), false)
STORE_AND_POP(fistp_m32, 32, BIT(31), f80_to_i32(v, e.rounding, &e), true)
STORE_AND_POP(fistp_m64, 64, BIT(63), f80_to_i64(v, e.rounding, &e), true)
STORE_AND_POP(fisttp_m16, 16, 0x8000, f80_to_i16(v, FP_ZERO, &e), true)
STORE_AND_POP(fisttp_m32, 32, BIT(31), f80_to_i32(v, FP_ZERO, &e), true)
STORE_AND_POP(fisttp_m64, 64, BIT(63), f80_to_i64(v, FP_ZERO, &e), true)

static void write_m80(Cpu *cpu, const Insn *i, uint64_t ea, Float80 v)
{
    uint8_t *p = cpu->flat >> i->seg & 1 ? tlb_write_hit(cpu, ea, 10) : NULL, bytes[10];
    f80_store(likely(p != NULL) ? p : bytes, v);
    if (unlikely(!p))
        mem_write_bytes(cpu, i->seg, ea, bytes, 10);
}

/* Pops after an empty or full ST(0) went to memory as v; without a store when the stack fault is unmasked. */
static void store_m80_and_pop(Cpu *cpu, const Insn *i, Float80 v, bool empty)
{
    uint64_t ea = insn_ea(cpu, i);
    if (!empty || cpu->fpu.control & FP_INVALID)
        write_m80(cpu, i, ea, v);
    else
        mem_probe_write(cpu, i->seg, ea, 10);
    fpu_track_operand(cpu, i, ea);
    if (empty && !fpu_stack_fault(cpu, 0))
        return;
    cpu->fpu.status &= ~FSW_C1;
    st_pop(cpu);
}

/* No conversion, and so no exception but the stack's. */
static void fstp_m80(Cpu *cpu, const Insn *i)
{
    fpu_check(cpu);
    bool empty = st_empty(cpu, 0);
    store_m80_and_pop(cpu, i, empty ? F80_DEFAULT_NAN : *st(cpu, 0), empty);
}
SEM_1(fstp_m80)

/* --- packed decimal --- */

/* Eighteen digits and a sign; what digits above 9 mean is undefined, each counts as its value. */
static void fbld(Cpu *cpu, const Insn *i)
{
    fpu_check(cpu);
    uint64_t ea = insn_ea(cpu, i);
    Float80 packed = read_m80(cpu, i, ea);
    fpu_track_operand(cpu, i, ea);
    uint64_t v = (packed.sexp >> 4 & 15) * 10 + (packed.sexp & 15);
    for (int shift = 60; shift >= 0; shift -= 4)
        v = v * 10 + (packed.mant >> shift & 15);
    FpEnv e = { .x87 = true };
    Float80 r = f80_from_i64(v, &e);
    r.sexp |= packed.sexp & 0x8000;
    fpu_push(cpu, r);
}
SEM_1(fbld)

#define BCD_INDEFINITE ((Float80){ UINT64_C(0xc) << 60, 0xffff })
#define BCD_LIMIT INT64_C(1000000000000000000)

static Float80 to_packed(int64_t v, bool negative)
{
    uint64_t magnitude = v < 0 ? -v : v;
    Float80 r = { 0, negative ? 0x8000 : 0 };
    for (unsigned shift = 0; shift < 64; shift += 4, magnitude /= 10)
        r.mant |= magnitude % 10 << shift;
    r.sexp |= magnitude / 10 << 4 | magnitude % 10;
    return r;
}

static void fbstp(Cpu *cpu, const Insn *i)
{
    fpu_check(cpu);
    if (unlikely(st_empty(cpu, 0))) {
        store_m80_and_pop(cpu, i, BCD_INDEFINITE, true);
        return;
    }
    FpEnv e = fpu_env(cpu);
    uint64_t ea = insn_ea(cpu, i);
    int64_t v = f80_to_i64(*st(cpu, 0), e.rounding, &e);
    if (v <= -BCD_LIMIT || v >= BCD_LIMIT) {
        e.flags = FP_INVALID;
        e.rounded_up = false;
    }
    bool stores = fpu_stores(cpu, e.flags), negative = st(cpu, 0)->sexp >> 15;
    if (stores)
        write_m80(cpu, i, ea, e.flags & FP_INVALID ? BCD_INDEFINITE : to_packed(v, negative));
    else
        mem_probe_write(cpu, i->seg, ea, 10);
    fpu_track_operand(cpu, i, ea);
    fpu_raise_store(cpu, &e);
    if (stores)
        st_pop(cpu);
}
SEM_1(fbstp)

/* --- between registers --- */

static void store_sti(Cpu *cpu, const Insn *i, bool pop)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0))) {
        if (!fpu_underflow(cpu, i->rm))
            return;
    } else {
        cpu->fpu.status &= ~FSW_C1;
        st_set(cpu, i->rm, *st(cpu, 0));
    }
    if (pop)
        st_pop(cpu);
}

static void fst_sti(Cpu *cpu, const Insn *i) { store_sti(cpu, i, false); }
SEM_1(fst_sti)
static void fstp_sti(Cpu *cpu, const Insn *i) { store_sti(cpu, i, true); }
SEM_1(fstp_sti)

/* The alias of FSTP at D9 D8 only pops an empty ST(0), without an exception. */
static void fstp_sti_quiet(Cpu *cpu, const Insn *i)
{
    fpu_enter(cpu);
    cpu->fpu.status &= ~FSW_C1;
    if (likely(!st_empty(cpu, 0)))
        st_set(cpu, i->rm, *st(cpu, 0));
    st_pop(cpu);
}
SEM_1(fstp_sti_quiet)

static void fxch(Cpu *cpu, const Insn *i)
{
    fpu_enter(cpu);
    bool empty0 = st_empty(cpu, 0), empty_i = st_empty(cpu, i->rm);
    if (unlikely(empty0 || empty_i)) {
        if (!fpu_stack_fault(cpu, 0))
            return;
        if (empty0)
            st_set(cpu, 0, F80_DEFAULT_NAN);
        if (empty_i)
            st_set(cpu, i->rm, F80_DEFAULT_NAN);
    }
    cpu->fpu.status &= ~FSW_C1;
    Float80 v = *st(cpu, 0);
    *st(cpu, 0) = *st(cpu, i->rm);
    *st(cpu, i->rm) = v;
}
SEM_1(fxch)

/* C1 stays, but for a stack underflow. */
static inline void move_if(Cpu *cpu, const Insn *i, bool wanted)
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || st_empty(cpu, i->rm))) {
        fpu_underflow(cpu, 0);
        return;
    }
    if (wanted)
        *st(cpu, 0) = *st(cpu, i->rm);
}

/* cc is the condition code of Jcc. */
#define FCMOV(name, cc)                                                                                                \
    static void name(Cpu *cpu, const Insn *i) { move_if(cpu, i, condition(cpu, cc)); }                                 \
    SEM_1(name)
FCMOV(fcmovb, 2)
FCMOV(fcmovnb, 3)
FCMOV(fcmove, 4)
FCMOV(fcmovne, 5)
FCMOV(fcmovbe, 6)
FCMOV(fcmovnbe, 7)
FCMOV(fcmovu, 10)
FCMOV(fcmovnu, 11)

/* --- the stack itself --- */

static void ffree(Cpu *cpu, const Insn *i)
{
    fpu_enter(cpu);
    cpu->fpu.status &= ~FSW_C1;
    cpu->fpu.tags &= ~(1u << st_number(cpu, i->rm));
}
SEM_1(ffree)

static void ffreep(Cpu *cpu, const Insn *i)
{
    ffree(cpu, i);
    st_pop(cpu);
}
SEM_1(ffreep)

static void rotate(Cpu *cpu, unsigned by)
{
    fpu_enter(cpu);
    cpu->fpu.status &= ~FSW_C1;
    cpu->fpu.top = st_number(cpu, by);
}

static void fincstp(Cpu *cpu, const Insn *i)
{
    (void)i;
    rotate(cpu, 1);
}
SEM_1(fincstp)

static void fdecstp(Cpu *cpu, const Insn *i)
{
    (void)i;
    rotate(cpu, 7);
}
SEM_1(fdecstp)
