/* A unit: operations one by one, then slow paths and exits, out of line (emit.h). */
#include "tcg/x86_64/emit.h"

#include "tcg/x86_64/unit.h"

const uint8_t host_of_guest[16] = {
    [R_AX] = A_RAX, [R_CX] = A_RCX, [R_DX] = A_RDX, [R_BX] = A_RBX, [R_SP] = A_R12, [R_BP] = A_R13, [R_SI] = A_RSI,
    [R_DI] = A_RDI, [R_8] = A_R8,   [R_9] = A_R9,   [R_10] = A_R10, [R_11] = A_R11, [R_12] = A_NONE, [R_13] = A_NONE,
    [R_14] = A_NONE, [R_15] = A_NONE,
};

AsmLabel *emit_slow(Emit *e)
{
    e->checked = true;
    e->slow[e->insn].used = true;
    return &e->slow[e->insn].enter;
}

/* ---- memory ---- */

/* A register of the address, fetched to `scratch` where it has none. */
static unsigned address_register(Emit *e, unsigned guest, AsmReg scratch)
{
    return guest >= R_NONE ? A_NONE : emit_read(e, ir_g(guest), 8, scratch);
}

/* base + index << scale + disp to `to`; may use T1.  Without touching flags. */
static void load_address(Emit *e, const IrMem *m, AsmReg to)
{
    Asm *a = &e->a;
    unsigned base = m->base == R_IP ? to : address_register(e, m->base, to);
    if (m->base == R_IP)
        asm_mov_rm(a, 64, to, REC_FIELD(page));
    unsigned index = address_register(e, m->index, base == to ? H_T1 : to);
    AsmMem sum = asm_mem_index(base, index, 1u << m->scale, m->disp);
    if (index == A_NONE && m->disp == 0 && base != A_NONE) {
        if (base != to || m->bits == 32)
            asm_mov_rr(a, m->bits, to, base);
    } else if (base == A_NONE && index == A_NONE) {
        asm_mov_ri(a, 64, to, m->bits == 32 ? (uint32_t)m->disp : (uint64_t)(int64_t)m->disp);
    } else {
        asm_lea(a, m->bits, to, sum);
    }
}

static void add_segment(Emit *e, const IrMem *m)
{
    if (m->seg == SEG_FS || m->seg == SEG_GS)
        asm_alu_rm(&e->a, A_ADD, 64, H_T0, asm_mem(H_CPU, offsetof(Cpu, seg[0]) + m->seg * sizeof(Segment) +
                                                          offsetof(Segment, base)));
}

/* T1 = offset of the TLB entry for the address in T0. */
static void load_tlb_offset(Emit *e)
{
    const unsigned shift = GUEST_PAGE_BITS - 5;
    _Static_assert(sizeof(TlbEntry) == 32, "the shift is made for it");
    if (e->be->has_rorx) {
        asm_rorx_rmi(&e->a, 32, H_T1, asm_reg(H_T0), shift);
    } else {
        asm_mov_rr(&e->a, 32, H_T1, H_T0);
        asm_shift_ri(&e->a, A_SHR, 32, H_T1, shift);
    }
    asm_alu_ri(&e->a, A_AND, 32, H_T1, (TLB_SIZE - 1) << 5);
}

static AsmMem tlb_field(const Emit *e, size_t field)
{
    return asm_mem_index(H_CPU, H_T1, 1, offsetof(Cpu, tlb) + e->data_mode * sizeof(Tlb) + offsetof(Tlb, entry) + field);
}

/* T0 = checked host pointer (cpu/tlb.h). */
static void emit_ref(Emit *e, bool write, unsigned align)
{
    Asm *a = &e->a;
    const IrOp *op = e->op;
    AsmLabel *slow = emit_slow(e);
    load_address(e, &op->mem, H_T0);
    add_segment(e, &op->mem);
    if (align) {
        asm_test_ri(a, 32, H_T0, align - 1);
        asm_jcc(a, A_NZ, slow);
    }
    load_tlb_offset(e);
    asm_alu_rm(a, A_SUB, 64, H_T0, tlb_field(e, write ? offsetof(TlbEntry, write) : offsetof(TlbEntry, read)));
    asm_alu_ri(a, A_CMP, 64, H_T0, GUEST_PAGE_SIZE - op->size);
    asm_jcc(a, A_A, slow);
    asm_alu_rm(a, A_ADD, 64, H_T0, tlb_field(e, offsetof(TlbEntry, host)));
    flags_clobber(e);
}

static void emit_lea(Emit *e)
{
    const IrOp *op = e->op;
    AsmMem place = emit_place(e, op->dst);
    AsmReg to = place.kind == ASM_MEM_REG ? place.base : H_T0;
    IrMem m = op->mem;
    bool overlaps = place.kind == ASM_MEM_REG && (m.base == R_IP || (m.index < R_NONE && host_of_guest[m.index] == A_NONE) ||
                                                  (m.base < R_NONE && host_of_guest[m.base] == A_NONE));
    if (overlaps)
        to = H_T0; /* `to` may be an operand itself */
    load_address(e, &m, to);
    if (op->size == 4 && m.bits == 64)
        asm_mov_rr(&e->a, 32, to, to);
    if (place.kind != ASM_MEM_REG || overlaps)
        emit_write(e, op->dst, op->size, to);
}

static void emit_pc(Emit *e)
{
    AsmReg to = ir_number(e->op->dst) ? H_T1 : H_T0;
    asm_mov_rm(&e->a, 64, to, REC_FIELD(page));
    asm_lea(&e->a, e->u->code64 ? 64 : 32, to, asm_mem(to, e->op->imm));
}

/* ---- going on elsewhere ---- */

static AsmMem jump_field(size_t field) { return asm_mem_index(H_CPU, H_T1, 1, offsetof(Cpu, jump) + field); }

/* T1 = offset of the jump cache's entry for the address in T0 (cpu/code.h); goes to `miss` if it is not that one's. */
static void probe_jump_cache(Emit *e, AsmLabel *miss)
{
    Asm *a = &e->a;
    _Static_assert(sizeof(JumpEntry) == 32, "the shift is made for it");
    asm_mov_rr(a, 32, H_T1, H_T0);
    asm_shift_ri(a, A_SHR, 32, H_T1, 11);
    asm_alu_rr(a, A_XOR, 32, H_T1, H_T0);
    asm_alu_ri(a, A_AND, 32, H_T1, JUMP_CACHE_SIZE - 1);
    asm_shift_ri(a, A_SHL, 32, H_T1, 5);
    asm_alu_rm(a, A_CMP, 64, H_T0, jump_field(offsetof(JumpEntry, la)));
    asm_jcc(a, A_NE, miss);
    asm_mov_mr(a, 64, REC_FIELD(next_page), H_T0);
    asm_mov_rm(a, 64, H_T0, CPU_FIELD(jump_tag));
    asm_alu_rm(a, A_CMP, 64, H_T0, jump_field(offsetof(JumpEntry, tag)));
    asm_jcc(a, A_NE, miss);
    flags_clobber(e);
}

static void enter_next_page(Emit *e)
{
    asm_mov_rm(&e->a, 64, H_T0, REC_FIELD(next_page));
    asm_alu_ri(&e->a, A_AND, 64, H_T0, -(int)GUEST_PAGE_SIZE);
    asm_mov_mr(&e->a, 64, REC_FIELD(page), H_T0);
}

static void emit_find(Emit *e)
{
    AsmLabel *slow = emit_slow(e);
    const IrOp *after = e->op + 1;
    flags_store(e, &e->flags);
    probe_jump_cache(e, slow);
    while (after->code == IR_LEA && host_of_guest[after->dst] != A_NONE)
        after++;
    e->fused = after->code == IR_JUMP;
    if (e->fused)
        return;
    asm_mov_rm(&e->a, 64, H_T1, jump_field(offsetof(JumpEntry, host)));
    asm_mov_mr(&e->a, 64, REC_FIELD(next), H_T1);
}

static void emit_jump(Emit *e)
{
    flags_store(e, &e->flags);
    enter_next_page(e);
    if (e->fused)
        asm_jmp_m(&e->a, jump_field(offsetof(JumpEntry, host)));
    else
        asm_jmp_m(&e->a, REC_FIELD(next));
}

/* To another page: by the jump cache, else by C.  What is not recompiled gets its address in next_page. */
static void goto_far(Emit *e, int64_t target)
{
    Asm *a = &e->a;
    AsmLabel miss = { 0 };
    asm_mov_rm(a, 64, H_T0, REC_FIELD(page));
    asm_lea(a, e->u->code64 ? 64 : 32, H_T0, asm_mem(H_T0, target));
    asm_mov_mr(a, 64, REC_FIELD(next_page), H_T0);
    probe_jump_cache(e, &miss);
    enter_next_page(e);
    asm_jmp_m(a, jump_field(offsetof(JumpEntry, host)));
    asm_bind(a, &miss);
    asm_mov_rm(a, 64, H_T0, REC_FIELD(next_page));
    asm_jmp_abs(a, e->be->thunks.far, H_T1);
}

static UnitExit *new_exit(Emit *e, int64_t target, uint8_t *field)
{
    UnitExit *x = &e->code->exit[e->code->exit_count++];
    *x = (UnitExit){ .unit = e->code, .field = field, .page_offset = target };
    return x;
}

static bool in_page(int64_t target) { return target >= 0 && target < (int64_t)GUEST_PAGE_SIZE; }

void emit_goto(Emit *e, int64_t target)
{
    if (target == (int64_t)e->u->page_offset)
        asm_jmp(&e->a, &e->entry);
    else if (in_page(target))
        new_exit(e, target, asm_jmp_patchable(&e->a, ASM_NEXT));
    else
        goto_far(e, target);
}

/* ---- conditional exits ---- */

static void jcc_to_edge(Emit *e)
{
    Edge *edge = &e->edge[e->edges++];
    *edge = (Edge){ .flags = e->flags, .target = e->op->imm };
    asm_jcc(&e->a, e->op->cc, &edge->label);
}

static bool record_complete(const Flags *f)
{
    return f->unseen || (f->recorded && !f->top_kind && f->cf == CF_PLAIN);
}

/* A loop's way back is taken more often than not: the record is stored before it, with moves that leave the flags. */
void emit_jcc(Emit *e)
{
    const IrOp *op = e->op;
    flags_to_host(e, ir_reads(op));
    if (in_page(op->imm) && op->imm <= e->u->insn_offset[e->insn])
        flags_store(e, &e->flags);
    if (!in_page(op->imm) || !record_complete(&e->flags))
        jcc_to_edge(e);
    else if (op->imm == (int64_t)e->u->page_offset)
        asm_jcc(&e->a, op->cc, &e->entry);
    else
        new_exit(e, op->imm, asm_jcc_patchable(&e->a, op->cc, ASM_NEXT));
}

static void emit_edge(Emit *e, Edge *edge)
{
    asm_bind(&e->a, &edge->label);
    flags_store(e, &edge->flags);
    emit_goto(e, edge->target);
}

/* The stub of an exit that is not linked. */
static void emit_exit_stub(Emit *e, UnitExit *x)
{
    x->stub = (const uint8_t *)(uintptr_t)asm_here(&e->a);
    if (x->field)
        asm_patch(x->field, (uintptr_t)execmem_to_exec(e->be->mem, x->field), (uintptr_t)x->stub);
    asm_mov_ri(&e->a, 64, H_T0, (uintptr_t)x);
    asm_jmp_abs(&e->a, e->be->thunks.exit, H_T1);
}

/* ---- calls of semantic functions ---- */

static void call_function(Emit *e, unsigned insn)
{
    asm_mov_ri(&e->a, 64, H_T0, (uintptr_t)&e->u->block->insn[insn]);
    asm_mov_ri(&e->a, 32, H_T1, e->u->insn_offset[insn]);
    asm_call_abs(&e->a, e->be->thunks.call, A_NONE);
}

static void emit_call(Emit *e)
{
    flags_store(e, &e->flags);
    call_function(e, e->insn);
    e->flags = (Flags){ .recorded = true };
}

/* A repeated instruction that is not done stays at its own address. */
static void emit_repeat(Emit *e)
{
    asm_mov_rm(&e->a, 64, H_T0, REC_FIELD(page));
    asm_lea(&e->a, e->u->code64 ? 64 : 32, H_T0, asm_mem(H_T0, e->u->insn_offset[e->insn + 1]));
    asm_alu_rm(&e->a, A_CMP, 64, H_T0, CPU_FIELD(rip));
    asm_jcc_abs(&e->a, A_NE, e->be->thunks.next, A_NONE);
    flags_clobber(e);
}

static void emit_slow_path(Emit *e, unsigned insn)
{
    SlowPath *s = &e->slow[insn];
    asm_bind(&e->a, &s->enter);
    flags_store(e, &s->flags);
    call_function(e, insn);
    if (e->u->block->insn[insn].jump) {
        asm_jmp_abs(&e->a, e->be->thunks.next, A_NONE);
        return;
    }
    if (s->wants_flags)
        asm_call_abs(&e->a, e->be->thunks.flags, A_NONE);
    asm_jmp(&e->a, &s->resume);
}

/* ---- the unit ---- */

static void begin_insn(Emit *e)
{
    if (e->k > 0)
        asm_bind(&e->a, &e->slow[e->insn].resume);
    e->insn = e->op->imm;
    e->checked = false;
    e->slow[e->insn].flags = e->flags;
}

static void emit_op(Emit *e)
{
    switch (e->op->code) {
    case IR_INSN: begin_insn(e); break;
    case IR_REF_R: emit_ref(e, false, 0); break;
    case IR_REF_W: emit_ref(e, true, 0); break;
    case IR_REF_X: emit_ref(e, false, 16); break;
    case IR_REF_XW: emit_ref(e, true, 16); break;
    case IR_LEA: emit_lea(e); break;
    case IR_PC: emit_pc(e); break;
    case IR_CALL: emit_call(e); break;
    case IR_REPEAT: emit_repeat(e); break;
    case IR_JCC: emit_jcc(e); break;
    case IR_EXIT:
        flags_store(e, &e->flags);
        if (!e->u->block->insn[e->insn].jump)
            asm_bind(&e->a, &e->slow[e->insn].resume);
        emit_goto(e, e->op->imm);
        break;
    case IR_FIND: emit_find(e); break;
    case IR_JUMP: emit_jump(e); break;
    case IR_NEXT: asm_jmp_abs(&e->a, e->be->thunks.next, A_NONE); break;
    default: emit_integer(e); break;
    }
}

/* Every unit begins with a look at `attention`: there is no loop without one. */
static void emit_entry(Emit *e)
{
    asm_bind(&e->a, &e->entry);
    asm_alu_mi(&e->a, A_CMP, 32, CPU_FIELD(attention), 0);
    asm_jcc(&e->a, A_NE, &e->entry_stub);
    if (e->be->counted) {
        asm_alu_mi(&e->a, A_SUB, 64, REC_FIELD(budget), e->u->insns);
        asm_jcc(&e->a, A_S, &e->entry_stub);
    }
}

static void emit_out_of_line(Emit *e)
{
    for (unsigned k = 0; k < e->edges; k++)
        emit_edge(e, &e->edge[k]);
    for (unsigned k = 0; k < e->u->insns; k++)
        if (e->slow[k].used)
            emit_slow_path(e, k);
    for (unsigned k = 0; k < e->code->exit_count; k++)
        emit_exit_stub(e, &e->code->exit[k]);
    e->code->entry_stub = (const uint8_t *)(uintptr_t)asm_here(&e->a);
    asm_bind(&e->a, &e->entry_stub);
    asm_mov_ri(&e->a, 32, H_T1, e->u->page_offset);
    asm_jmp_abs(&e->a, e->be->thunks.leave_at, A_NONE);
}

UnitCode *unit_emit(X86Backend *be, IrUnit *u, uint8_t *at, size_t room)
{
    static _Thread_local Emit emit;
    Emit *e = &emit;
    memset(e, 0, sizeof *e);
    e->be = be;
    e->u = u;
    e->data_mode = u->block->key >> KEY_TLB & 3;
    e->flags = (Flags){ .recorded = true };
    e->code = g_malloc0(sizeof(UnitCode) + (u->insns + 2) * sizeof(UnitExit));
    e->code->block = u->block;
    asm_init(&e->a, at, room, (uintptr_t)execmem_to_exec(be->mem, at));
    e->code->entry = (const uint8_t *)(uintptr_t)asm_here(&e->a);
    emit_entry(e);
    for (e->k = 0; e->k < u->count; e->k++) {
        e->op = &u->op[e->k];
        emit_op(e);
    }
    emit_out_of_line(e);
    e->code->size = asm_size(&e->a);
    if (asm_ok(&e->a))
        return e->code;
    if (e->a.bad || !e->a.overflow)
        g_error("a unit at page offset %#x was not assembled", u->page_offset);
    g_free(e->code);
    return NULL;
}
