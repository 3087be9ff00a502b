/* Code that is made once: entering and leaving recompiled code, and its calls to C (emit.h). */
#include "tcg/record.h"
#include "cpu/x87.h"
#include "tcg/x86_64/emit.h"

static const uint8_t callee_saved[] = { A_RBX, A_RBP, A_R12, A_R13, A_R14, A_R15 };

static void store_guest(Asm *a)
{
    for (unsigned r = 0; r < 16; r++)
        if (host_of_guest[r] != A_NONE)
            asm_mov_mr(a, 64, asm_mem(H_CPU, offsetof(Cpu, gpr) + r * 8), host_of_guest[r]);
}

static void load_guest(Asm *a)
{
    for (unsigned r = 0; r < 16; r++)
        if (host_of_guest[r] != A_NONE)
            asm_mov_rm(a, 64, host_of_guest[r], asm_mem(H_CPU, offsetof(Cpu, gpr) + r * 8));
}

/*
 * C code runs with the host's own MXCSR and FCW; the guest's MXCSR is stored where vector code has loaded it.  `ordinary`:
 * the host's two.
 */
static void restore_mxcsr(const X86Backend *be, Asm *a, AsmLabel *ordinary)
{
    AsmLabel done = { 0 }, x87_done = { 0 };
    if (be->has_avx)
        asm_vzeroupper(a); /* or every SSE instruction of C would carry the upper halves along */
    asm_alu_mi(a, A_CMP, 8, REC_FIELD(mxcsr_here), 0);
    asm_jcc8(a, A_E, &done);
    asm_stmxcsr(a, CPU_FIELD(mxcsr));
    asm_ldmxcsr(a, asm_mem_label(&ordinary[0]));
    asm_mov_mi(a, 8, REC_FIELD(mxcsr_here), 0);
    asm_bind(a, &done);
    asm_alu_mi(a, A_CMP, 8, REC_FIELD(x87_here), 0);
    asm_jcc8(a, A_E, &x87_done);
    asm_fldcw_m16(a, asm_mem_label(&ordinary[1]));
    asm_mov_mi(a, 8, REC_FIELD(x87_here), 0);
    asm_bind(a, &x87_done);
}

/* Recompiled code has the stack aligned to 16; C is called with the Cpu first. */
static void call_c(Asm *a, uint64_t function)
{
    asm_mov_rr(a, 64, A_RDI, H_CPU);
    asm_call_abs(a, function, A_RAX);
}

static void write_enter(Asm *a)
{
    for (unsigned k = 0; k < sizeof callee_saved; k++)
        asm_push_r(a, callee_saved[k]);
    asm_alu_ri(a, A_SUB, 64, A_RSP, 8);
    asm_mov_rr(a, 64, H_CPU, A_RDI);
    asm_mov_rr(a, 64, H_T0, A_RSI);
    load_guest(a);
    asm_jmp_r(a, H_T0);
}

static void write_leave(const X86Backend *be, Asm *a, AsmLabel *stored, AsmLabel *mxcsr)
{
    store_guest(a);
    asm_bind(a, stored);
    restore_mxcsr(be, a, mxcsr);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8);
    for (unsigned k = sizeof callee_saved; k-- > 0;)
        asm_pop_r(a, callee_saved[k]);
    asm_ret(a);
}

static void write_leave_at(Asm *a, AsmLabel *stored)
{
    store_guest(a);
    asm_alu_rm(a, A_ADD, 64, H_T1, REC_FIELD(page));
    asm_mov_mr(a, 64, CPU_FIELD(rip), H_T1);
    asm_jmp(a, stored);
}

static void write_call(const X86Backend *be, Asm *a, uint64_t function, AsmLabel *stored, AsmLabel *mxcsr)
{
    AsmLabel leave = { 0 };
    store_guest(a);
    restore_mxcsr(be, a, mxcsr);
    asm_mov_rr(a, 64, A_RSI, H_T0);
    asm_mov_rr(a, 32, A_RDX, H_T1);
    asm_alu_ri(a, A_SUB, 64, A_RSP, 8);
    call_c(a, function);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8);
    asm_test_rr(a, 8, A_RAX, A_RAX);
    asm_jcc(a, A_NZ, &leave);
    load_guest(a);
    asm_ret(a);
    asm_bind(a, &leave);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8); /* the return address */
    asm_jmp(a, stored);
}

/* Calls C with T0 and T1 as further arguments, and goes on where it says. */
static void write_goto(const X86Backend *be, Asm *a, uint64_t function, AsmLabel *mxcsr)
{
    store_guest(a);
    restore_mxcsr(be, a, mxcsr);
    asm_mov_rr(a, 64, A_RSI, H_T0);
    asm_mov_rr(a, 32, A_RDX, H_T1);
    call_c(a, function);
    asm_mov_rr(a, 64, H_T0, A_RAX);
    load_guest(a);
    asm_jmp_r(a, H_T0);
}

/* Vector registers are in Cpu.vec where it is called; R15 is kept in a spill, as all registers go. */
static void write_slots_full(const X86Backend *be, Asm *a, AsmLabel *mxcsr)
{
    asm_mov_mr(a, 64, REC_FIELD(spill[2]), H_T1);
    store_guest(a);
    restore_mxcsr(be, a, mxcsr);
    asm_alu_ri(a, A_SUB, 64, A_RSP, 8);
    call_c(a, (uintptr_t)be->calls.slots_full);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8);
    load_guest(a);
    asm_mov_rm(a, 64, H_T1, REC_FIELD(spill[2]));
    asm_ret(a);
}

/*
 * MXCSR's exception masks are bits 12 to 7 (SDM vol. 1 10.2.3): all must be set.  Bit 17 must not be, since it excuses
 * misaligned operands, and Intel's processors refuse to load it.
 */
static void write_mxcsr(Asm *a)
{
    AsmLabel unmasked = { 0 };
    asm_mov_rm(a, 32, H_T1, CPU_FIELD(mxcsr));
    asm_alu_ri(a, A_AND, 32, H_T1, 0x21f80);
    asm_alu_ri(a, A_CMP, 32, H_T1, 0x1f80);
    asm_jcc8(a, A_NE, &unmasked);
    asm_ldmxcsr(a, CPU_FIELD(mxcsr));
    asm_mov_mi(a, 8, REC_FIELD(mxcsr_here), 1);
    asm_bind(a, &unmasked);
    asm_ret(a);
}

/* The flags of a plain comparison or sum, from the record. */
static void write_flags_of(Asm *a, unsigned what, unsigned bits)
{
    asm_mov_rm(a, 64, H_T1, REC_FIELD(a));
    if (what == FLAGS_LOGIC) {
        asm_test_rr(a, bits, H_T1, H_T1);
    } else if (what == FLAGS_CMP) {
        asm_alu_rm(a, A_CMP, bits, H_T1, REC_FIELD(b));
    } else {
        asm_alu_rm(a, what == FLAGS_ADD ? A_SUB : A_ADD, bits, H_T1, REC_FIELD(b));
        asm_alu_rm(a, what == FLAGS_ADD ? A_ADD : A_SUB, bits, H_T1, REC_FIELD(b));
    }
    asm_mov_rm(a, 64, H_T1, REC_FIELD(spill[1]));
    asm_ret(a);
}

/* Common kinds by themselves, one comparison after the other (the commonest first); all others are left to C. */
static void write_flags_fast(Asm *a)
{
    static const uint8_t kinds[] = { FLAGS_KIND(FLAGS_CMP, 2), FLAGS_KIND(FLAGS_LOGIC, 2), FLAGS_KIND(FLAGS_CMP, 3),
                                     FLAGS_KIND(FLAGS_LOGIC, 3), FLAGS_KIND(FLAGS_SUB, 3), FLAGS_KIND(FLAGS_SUB, 2),
                                     FLAGS_KIND(FLAGS_CMP, 0), FLAGS_KIND(FLAGS_LOGIC, 0), FLAGS_KIND(FLAGS_ADD, 3),
                                     FLAGS_KIND(FLAGS_ADD, 2), FLAGS_KIND(FLAGS_CMP, 1), FLAGS_KIND(FLAGS_LOGIC, 1) };
    asm_mov_mr(a, 64, REC_FIELD(spill[1]), H_T1);
    asm_mov_rm(a, 32, H_T1, REC_FIELD(kind)); /* and what comes on top of it, which must be 0 */
    for (unsigned k = 0; k < sizeof kinds; k++) {
        AsmLabel other = { 0 };
        asm_alu_ri(a, A_CMP, 32, H_T1, kinds[k]);
        asm_jcc8(a, A_NE, &other);
        write_flags_of(a, kinds[k] >> 2, 8u << (kinds[k] & 3));
        asm_bind(a, &other);
    }
    asm_mov_rm(a, 64, H_T1, REC_FIELD(spill[1]));
}

/* By FLDENV, which takes all of FSW: its image of 28 bytes has FCW, FSW and the tags first (SDM vol. 1 figure 8-9). */
static void write_x87(Asm *a)
{
    AsmLabel unmasked = { 0 };
    const size_t env = offsetof(Cpu, rec.spill);
    asm_movzx_rm(a, 32, 16, H_T1, CPU_FIELD(fpu.status));
    asm_mov_mr(a, 64, asm_mem(H_CPU, env + 4), H_T1);
    asm_mov_mi(a, 32, asm_mem(H_CPU, env + 8), 0xffff);
    for (unsigned at = 12; at < 28; at += 4)
        asm_mov_mi(a, 32, asm_mem(H_CPU, env + at), 0);
    asm_movzx_rm(a, 32, 16, H_T1, CPU_FIELD(fpu.control));
    asm_mov_mr(a, 32, asm_mem(H_CPU, env), H_T1);
    asm_alu_ri(a, A_AND, 32, H_T1, FCW_MASKS);
    asm_alu_ri(a, A_CMP, 32, H_T1, FCW_MASKS);
    asm_jcc8(a, A_NE, &unmasked);
    asm_fldenv_m(a, asm_mem(H_CPU, env));
    asm_mov_mi(a, 8, REC_FIELD(x87_here), 1);
    asm_bind(a, &unmasked);
    asm_ret(a);
}

/* The image that C returns becomes the host's flags; T0 and T1 are kept, and MXCSR: there is no arithmetic in it. */
static void write_flags(Asm *a, uint64_t function)
{
    write_flags_fast(a);
    store_guest(a);
    asm_alu_ri(a, A_SUB, 64, A_RSP, 8);
    call_c(a, function);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8);
    asm_mov_mr(a, 64, REC_FIELD(spill[0]), A_RAX);
    load_guest(a);
    asm_push_m(a, REC_FIELD(spill[0]));
    asm_popfq(a);
    asm_ret(a);
}

/* The address in T0 is less the slot's tag; the slot's place, in bytes, is in T1. */
static AsmMem slot_field(size_t field)
{
    return asm_mem_index(H_CPU, H_T1, 1, offsetof(Cpu, micro) + offsetof(MicroTlb, slot) + field);
}

static AsmMem entry_field(unsigned mode, size_t field)
{
    return asm_mem_index(H_CPU, A_RAX, 1, offsetof(Cpu, tlb) + mode * sizeof(Tlb) + offsetof(Tlb, entry) + field);
}

/* RAX = place of the TLB's entry for the address in T0. */
static void find_tlb_entry(Asm *a)
{
    _Static_assert(sizeof(TlbEntry) == 32, "the shift is made for it");
    asm_mov_rr(a, 32, A_RAX, H_T0);
    asm_shift_ri(a, A_SHR, 32, A_RAX, GUEST_PAGE_BITS - 5);
    asm_alu_ri(a, A_AND, 32, A_RAX, (TLB_SIZE - 1) << 5);
}

/* Notes the slot in the list of filled ones. */
static void note_used(Asm *a)
{
    const size_t micro = offsetof(Cpu, micro);
    asm_mov_rm(a, 32, A_RCX, asm_mem(H_CPU, micro + offsetof(MicroTlb, used_count)));
    asm_mov_mr(a, 32, asm_mem_index(H_CPU, A_RCX, 4, micro + offsetof(MicroTlb, used)), H_T1);
    asm_alu_mi(a, A_ADD, 32, asm_mem(H_CPU, micro + offsetof(MicroTlb, used_count)), 1);
}

static void write_micro(Asm *a, unsigned mode, bool write, unsigned size)
{
    AsmLabel slow = { 0 }, empty = { 0 }, fill = { 0 };
    size_t tag = write ? offsetof(TlbEntry, write) : offsetof(TlbEntry, read);
    asm_push_r(a, A_RAX);
    asm_push_r(a, A_RCX);
    asm_mov_rm(a, 64, A_RCX, slot_field(offsetof(MicroEntry, tag)));
    asm_alu_rr(a, A_ADD, 64, H_T0, A_RCX);
    find_tlb_entry(a);
    asm_alu_rm(a, A_SUB, 64, H_T0, entry_field(mode, tag));
    asm_alu_ri(a, A_CMP, 64, H_T0, GUEST_PAGE_SIZE - size);
    asm_jcc8(a, A_A, &slow);
    asm_alu_rr(a, A_ADD, 64, A_RCX, A_RCX); /* overflows where the two top bits differ */
    asm_jcc8(a, A_O, &empty);
    asm_bind(a, &fill);
    asm_mov_rm(a, 64, A_RCX, entry_field(mode, tag));
    asm_mov_mr(a, 64, slot_field(offsetof(MicroEntry, tag)), A_RCX);
    asm_mov_rm(a, 64, A_RCX, entry_field(mode, offsetof(TlbEntry, host)));
    asm_mov_mr(a, 64, slot_field(offsetof(MicroEntry, host)), A_RCX);
    asm_alu_rr(a, A_ADD, 64, H_T0, A_RCX);
    asm_alu_rr(a, A_CMP, 32, H_T1, H_T1); /* not "above" */
    asm_bind(a, &slow);
    asm_pop_r(a, A_RCX);
    asm_pop_r(a, A_RAX);
    asm_ret(a);
    asm_bind(a, &empty);
    note_used(a);
    asm_jmp(a, &fill);
}

static void write_micro_thunks(Asm *a, Thunks *t)
{
    for (unsigned mode = 0; mode < TLB_COUNT; mode++)
        for (unsigned write = 0; write < 2; write++)
            for (unsigned size = 0; size < MICRO_SIZES; size++) {
                t->micro[mode][write][size] = asm_here(a);
                write_micro(a, mode, write, micro_bytes(size));
            }
}

/* VZEROUPPER on Cpu.vec: XMM0, which may be lost, is zero meanwhile. */
static void write_zero_upper(const X86Backend *be, Asm *a)
{
    const size_t vec = offsetof(Cpu, vec);
    if (!be->has_avx)
        return;
    asm_vex_rrm(a, S_PXOR, 0, 0, 0, asm_reg(0));
    for (unsigned n = 0; n < 16; n++) {
        asm_vex_rm(a, S_MOVUPS_ST, 1, 0, asm_mem(H_CPU, vec + n * sizeof(Vec) + 16));
        asm_vex_rm(a, S_MOVUPS_ST, 0, 0, asm_mem(H_CPU, vec + n * sizeof(Vec) + 48));
    }
    asm_vex_rm(a, S_MOVUPS, 0, 0, asm_mem(H_CPU, vec));
    asm_ret(a);
}

static uint64_t begin(Asm *a)
{
    asm_align(a, 16);
    return asm_here(a);
}

bool thunks_write(X86Backend *be, Asm *a)
{
    static const uint32_t host_mxcsr = 0x1f80;
    static const uint16_t host_fcw = FCW_INIT;
    AsmLabel stored = { 0 }, ordinary[2] = { 0 };
    Thunks *t = &be->thunks;
    asm_bind(a, &ordinary[0]);
    asm_data(a, &host_mxcsr, sizeof host_mxcsr);
    asm_bind(a, &ordinary[1]);
    asm_data(a, &host_fcw, sizeof host_fcw);
    t->enter = begin(a);
    write_enter(a);
    t->leave = begin(a);
    write_leave(be, a, &stored, ordinary);
    t->leave_at = begin(a);
    write_leave_at(a, &stored);
    t->call = begin(a);
    write_call(be, a, (uintptr_t)be->calls.call, &stored, ordinary);
    t->call_next = begin(a);
    write_goto(be, a, (uintptr_t)be->calls.call_next, ordinary);
    t->exit = begin(a);
    write_goto(be, a, (uintptr_t)be->calls.exit, ordinary);
    t->elsewhere = begin(a);
    asm_mov_mi(a, 8, REC_FIELD(went_elsewhere), 1);
    t->next = asm_here(a);
    write_goto(be, a, (uintptr_t)be->calls.next, ordinary);
    t->unknown = begin(a);
    asm_mov_rm(a, 64, H_T0, asm_mem_index(H_CPU, H_T1, 1, offsetof(Cpu, jump) + offsetof(JumpEntry, la)));
    asm_mov_mr(a, 64, CPU_FIELD(rip), H_T0);
    asm_jmp_abs(a, t->next, A_NONE);
    t->far = begin(a);
    write_goto(be, a, (uintptr_t)be->calls.far, ordinary);
    t->slots_full = begin(a);
    write_slots_full(be, a, ordinary);
    t->flags = begin(a);
    write_flags(a, (uintptr_t)be->calls.flags);
    t->zero_upper = begin(a);
    write_zero_upper(be, a);
    t->mxcsr = begin(a);
    write_mxcsr(a);
    t->x87 = begin(a);
    write_x87(a);
    write_micro_thunks(a, t);
    return asm_ok(a);
}
