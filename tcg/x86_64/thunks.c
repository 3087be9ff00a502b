/* Code that is made once: entering and leaving recompiled code, and its calls to C (emit.h). */
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

/* C code runs with the host's own MXCSR; the guest's is stored where vector code has loaded it. */
static void restore_mxcsr(Asm *a, AsmLabel *ordinary_mxcsr)
{
    AsmLabel done = { 0 };
    asm_alu_mi(a, A_CMP, 8, REC_FIELD(mxcsr_here), 0);
    asm_jcc8(a, A_E, &done);
    asm_stmxcsr(a, CPU_FIELD(mxcsr));
    asm_ldmxcsr(a, asm_mem_label(ordinary_mxcsr));
    asm_mov_mi(a, 8, REC_FIELD(mxcsr_here), 0);
    asm_bind(a, &done);
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

static void write_leave(Asm *a, AsmLabel *stored, AsmLabel *mxcsr)
{
    store_guest(a);
    asm_bind(a, stored);
    restore_mxcsr(a, mxcsr);
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

static void write_call(Asm *a, uint64_t function, AsmLabel *stored, AsmLabel *mxcsr)
{
    AsmLabel leave = { 0 };
    store_guest(a);
    restore_mxcsr(a, mxcsr);
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

/* Calls C with T0 as its second argument, and goes on where it says. */
static void write_goto(Asm *a, uint64_t function, AsmLabel *mxcsr)
{
    store_guest(a);
    restore_mxcsr(a, mxcsr);
    asm_mov_rr(a, 64, A_RSI, H_T0);
    call_c(a, function);
    asm_mov_rr(a, 64, H_T0, A_RAX);
    load_guest(a);
    asm_jmp_r(a, H_T0);
}

/* The image that C returns becomes the host's flags; T0 and T1 are kept. */
static void write_flags(Asm *a, uint64_t function, AsmLabel *mxcsr)
{
    store_guest(a);
    restore_mxcsr(a, mxcsr);
    asm_alu_ri(a, A_SUB, 64, A_RSP, 8);
    call_c(a, function);
    asm_alu_ri(a, A_ADD, 64, A_RSP, 8);
    asm_mov_mr(a, 64, REC_FIELD(spill[0]), A_RAX);
    load_guest(a);
    asm_push_m(a, REC_FIELD(spill[0]));
    asm_popfq(a);
    asm_ret(a);
}

static uint64_t begin(Asm *a)
{
    asm_align(a, 16);
    return asm_here(a);
}

bool thunks_write(X86Backend *be, Asm *a)
{
    static const uint32_t ordinary = 0x1f80;
    AsmLabel stored = { 0 }, mxcsr = { 0 };
    Thunks *t = &be->thunks;
    asm_bind(a, &mxcsr);
    asm_data(a, &ordinary, sizeof ordinary);
    t->enter = begin(a);
    write_enter(a);
    t->leave = begin(a);
    write_leave(a, &stored, &mxcsr);
    t->leave_at = begin(a);
    write_leave_at(a, &stored);
    t->call = begin(a);
    write_call(a, (uintptr_t)be->calls.call, &stored, &mxcsr);
    t->exit = begin(a);
    write_goto(a, (uintptr_t)be->calls.exit, &mxcsr);
    t->next = begin(a);
    write_goto(a, (uintptr_t)be->calls.next, &mxcsr);
    t->unknown = begin(a); /* the address is in next_page, whole */
    asm_mov_rm(a, 64, H_T0, REC_FIELD(next_page));
    t->far = asm_here(a);
    asm_mov_mr(a, 64, CPU_FIELD(rip), H_T0);
    asm_jmp_abs(a, t->next, A_NONE);
    t->flags = begin(a);
    write_flags(a, (uintptr_t)be->calls.flags, &mxcsr);
    return asm_ok(a);
}
