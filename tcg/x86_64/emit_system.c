/* CLI, STI, SWAPGS (emit.h). */
#include "tcg/x86_64/emit.h"

static void check_cpl0(Emit *e, AsmLabel *slow)
{
    asm_alu_mi(&e->a, A_CMP, 8, CPU_FIELD(cpl), 0);
    asm_jcc(&e->a, A_NE, slow);
    flags_clobber(e);
}

void emit_cli(Emit *e)
{
    check_cpl0(e, emit_slow(e));
    asm_alu_mi(&e->a, A_AND, 32, CPU_FIELD(eflags), ~(int64_t)F_IF);
}

/* An interrupt that waits takes the slow path; one that comes now asks for attention. */
void emit_sti(Emit *e)
{
    AsmLabel *slow = emit_slow(e);
    check_cpl0(e, slow);
    asm_test_mi(&e->a, 32, CPU_FIELD(events), EVENT_INTR | EVENT_VIRTUAL);
    asm_jcc(&e->a, A_NZ, slow);
    asm_alu_mi(&e->a, A_OR, 32, CPU_FIELD(eflags), F_IF);
}

/* Not marked flat, a segment has its base added whatever that is. */
void emit_swapgs(Emit *e)
{
    Asm *a = &e->a;
    AsmMem base = asm_mem(H_CPU, offsetof(Cpu, seg[SEG_GS].base));
    check_cpl0(e, emit_slow(e));
    asm_mov_rm(a, 64, H_T0, base);
    asm_mov_rm(a, 64, H_T1, CPU_FIELD(kernel_gs_base));
    asm_mov_mr(a, 64, base, H_T1);
    asm_mov_mr(a, 64, CPU_FIELD(kernel_gs_base), H_T0);
    asm_alu_mi(a, A_AND, 32, CPU_FIELD(flat), ~(1 << SEG_GS));
}
