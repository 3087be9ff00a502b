/* A unit: operations one by one, then slow paths and exits, out of line (emit.h). */
#include "tcg/x86_64/emit.h"

#include "cpu/trace.h"
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

/*
 * Which slot of the micro TLB an access has.  Accesses off one base register in a unit share one; the stack has its own.
 * An equal part of the slots is for each TLB, half of these for writes.
 */
static unsigned micro_slot(const Emit *e, const IrMem *m, bool write)
{
    const unsigned part = MICRO_SIZE / TLB_COUNT / 2;
    uint32_t hash = 0;
    if (m->seg == SEG_FS || m->seg == SEG_GS)
        hash = 1 + m->seg;
    else if (m->base != R_SP || m->index != R_NONE)
        hash = ((uint32_t)e->u->block->pool_offset * 31 + m->base * 7 + m->index * 3 +
                (m->base >= R_NONE ? (uint32_t)m->disp >> GUEST_PAGE_BITS : 0)) * JUMP_HASH_FACTOR >> 16;
    return (e->data_mode * 2 + write) * part + hash % part;
}

static AsmMem micro_field(unsigned slot, size_t field)
{
    return asm_mem(H_CPU, offsetof(Cpu, micro) + offsetof(MicroTlb, slot) + slot * sizeof(MicroEntry) + field);
}

/* Whether the instruction goes on to use what T1 holds. */
static bool t1_is_live(const Emit *e)
{
    for (const IrOp *op = e->op + 1; op->code != IR_INSN && op < e->u->op + e->u->count; op++)
        if (op->a == ir_t(1) || op->b == ir_t(1) || op->a == ir_m(1) || op->dst == ir_m(1))
            return true;
        else if (op->dst == ir_t(1))
            return false;
    return false;
}

/* T0 = checked host pointer (cpu/tlb.h). */
static void check_access(Emit *e, const IrMem *m, bool write, unsigned size, unsigned align)
{
    Asm *a = &e->a;
    AsmLabel *slow = emit_slow(e);
    load_address(e, m, H_T0);
    add_segment(e, m);
    if (align) {
        asm_test_ri(a, 32, H_T0, align - 1);
        asm_jcc(a, A_NZ, slow);
    }
    MicroMiss *miss = &e->miss[e->misses++];
    *miss = (MicroMiss){ .slot = micro_slot(e, m, write), .insn = e->insn, .size = size, .write = write,
                         .keep_t1 = t1_is_live(e) };
    asm_alu_rm(a, A_SUB, 64, H_T0, micro_field(miss->slot, offsetof(MicroEntry, tag)));
    asm_alu_ri(a, A_CMP, 64, H_T0, GUEST_PAGE_SIZE - size);
    asm_jcc(a, A_A, &miss->enter);
    asm_alu_rm(a, A_ADD, 64, H_T0, micro_field(miss->slot, offsetof(MicroEntry, host)));
    asm_bind(a, &miss->resume);
    flags_clobber(e);
}

static void emit_ref(Emit *e, bool write, unsigned align)
{
    check_access(e, &e->op->mem, write, e->op->size, align);
}

static void move_sp(Emit *e, int by)
{
    asm_lea(&e->a, 64, host_of_guest[R_SP], asm_mem(host_of_guest[R_SP], by));
}

static void emit_pushes(Emit *e)
{
    const IrOp *op = e->op;
    int bytes = op->from * 8;
    IrMem m = { .base = R_SP, .index = R_NONE, .seg = SEG_SS, .disp = -bytes, .bits = 64 };
    check_access(e, &m, true, bytes, 0);
    for (unsigned k = 0; k < op->from; k++) {
        unsigned reg = ir_group_register(op, k);
        AsmMem place = asm_mem(H_T0, bytes - 8 - (int)k * 8);
        if (reg == R_SP)
            asm_mov_mi(&e->a, 64, place, (int32_t)e->u->block->insn[e->insn + k].imm);
        else
            asm_mov_mr(&e->a, 64, place, emit_read(e, ir_g(reg), 8, H_T1));
    }
    move_sp(e, -bytes);
}

static void emit_pops(Emit *e)
{
    const IrOp *op = e->op;
    IrMem m = { .base = R_SP, .index = R_NONE, .seg = SEG_SS, .bits = 64 };
    check_access(e, &m, false, op->from * 8, 0);
    for (unsigned k = 0; k < op->from; k++) {
        IrArg x = ir_g(ir_group_register(op, k));
        AsmMem place = emit_place(e, x);
        AsmReg to = place.kind == ASM_MEM_REG ? place.base : H_T1;
        asm_mov_rm(&e->a, 64, to, asm_mem(H_T0, (int)k * 8));
        if (to == H_T1)
            emit_write(e, x, 8, to);
    }
    move_sp(e, op->from * 8);
}

static void emit_micro_miss(Emit *e, MicroMiss *m)
{
    asm_bind(&e->a, &m->enter);
    if (m->keep_t1)
        asm_mov_mr(&e->a, 64, REC_FIELD(spill[2]), H_T1);
    asm_mov_ri(&e->a, 32, H_T1, m->slot * sizeof(MicroEntry));
    asm_call_abs(&e->a, e->be->thunks.micro[e->data_mode][m->write][micro_size(m->size)], A_NONE);
    if (m->keep_t1)
        asm_mov_rm(&e->a, 64, H_T1, REC_FIELD(spill[2]));
    asm_jcc(&e->a, A_A, &e->slow[m->insn].enter);
    asm_jmp(&e->a, &m->resume);
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

/* ---- going on elsewhere ---- */

static AsmMem jump_field(size_t field) { return asm_mem_index(H_CPU, H_T1, 1, offsetof(Cpu, jump) + field); }

/* T1 = offset of the jump cache's entry for the address in T0 (cpu/code.h); goes to `miss` if it is not that one's. */
static void probe_jump_cache(Emit *e, AsmLabel *miss)
{
    Asm *a = &e->a;
    _Static_assert(sizeof(JumpEntry) == 32, "the shift is made for it");
    asm_imul_rri(a, 32, H_T1, H_T0, (int32_t)JUMP_HASH_FACTOR);
    asm_shift_ri(a, A_SHR, 32, H_T1, 32 - JUMP_CACHE_BITS - 5);
    asm_alu_ri(a, A_AND, 32, H_T1, (int)(JUMP_CACHE_SIZE - 1) << 5);
    asm_alu_rm(a, A_CMP, 64, H_T0, jump_field(offsetof(JumpEntry, la)));
    asm_jcc(a, A_NE, miss);
    asm_mov_rm(a, 64, H_T0, CPU_FIELD(jump_tag));
    asm_alu_rm(a, A_CMP, 64, H_T0, jump_field(offsetof(JumpEntry, tag)));
    asm_jcc(a, A_NE, miss);
    flags_clobber(e);
}

static bool is_branch(const Emit *e, unsigned insn, int64_t target)
{
    return e->u->block->insn[insn].jump && target != e->u->insn_offset[insn + 1];
}

/* Where a branch stands, for its slot (cpu/trace.h). */
static uint32_t trace_place(const Emit *e, unsigned insn, int64_t target)
{
    return e->u->insn_offset[insn] | (uint32_t)e->u->block->insn[insn].row << TRACE_ROW_SHIFT |
           (is_branch(e, insn, target) ? 0 : TRACE_FALL);
}

static AsmMem slot_field(size_t field) { return asm_mem_index(H_CPU, H_T0, 4, offsetof(Cpu, trace_ring) + field); }

/* The next slot becomes T0's; nothing waits for these.  Flags are lost: in exact mode they say whether it was the last. */
static void write_slot(Emit *e, uint32_t from)
{
    AsmMem at = asm_mem(H_CPU, offsetof(Cpu, trace_ring) + offsetof(TraceRing, at));
    asm_movzx_rm(&e->a, 32, 8, H_T0, at);
    asm_mov_mi(&e->a, 32, slot_field(offsetof(TraceRing, from)), (int32_t)from);
    asm_unary_m(&e->a, A_INC, e->u->traced ? 8 : 32, at);
}

static void call_when_full(Emit *e)
{
    AsmLabel room = { 0 };
    if (!e->u->traced)
        return;
    asm_jcc8(&e->a, A_NZ, &room);
    asm_call_abs(&e->a, e->be->thunks.slots_full, A_NONE);
    asm_bind(&e->a, &room);
}

/* In exact mode: a branch within the page. */
static void trace_within(Emit *e, unsigned insn, int64_t target)
{
    if (!e->u->traced || !is_branch(e, insn, target))
        return;
    write_slot(e, trace_place(e, insn, target));
    asm_mov_mi(&e->a, 32, slot_field(offsetof(TraceRing, to)), TRACE_IN_PAGE | target);
    call_when_full(e);
}

static void trace_to_entry(Emit *e, uint32_t from)
{
    write_slot(e, from);
    asm_mov_mr(&e->a, 32, slot_field(offsetof(TraceRing, to)), H_T1);
    call_when_full(e);
}

/*
 * Goes to the entry's code.  Flags are lost.  The page is only stored when it is another one: what follows would wait
 * for a store that it need not wait for, from call to return to call.
 */
static void jump_to_entry(Emit *e, uint32_t from)
{
    AsmLabel same = { 0 };
    asm_mov_rm(&e->a, 64, H_T0, jump_field(offsetof(JumpEntry, la)));
    asm_alu_ri(&e->a, A_AND, 64, H_T0, -(int)GUEST_PAGE_SIZE);
    asm_alu_rm(&e->a, A_CMP, 64, H_T0, REC_FIELD(page));
    asm_jcc8(&e->a, A_E, &same);
    asm_mov_mr(&e->a, 64, REC_FIELD(page), H_T0);
    if (e->u->kept && !e->u->traced)
        trace_to_entry(e, from);
    asm_bind(&e->a, &same);
    if (e->u->traced)
        trace_to_entry(e, from);
    asm_jmp_m(&e->a, jump_field(offsetof(JumpEntry, host)));
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
    if (!e->fused)
        asm_mov_mr(&e->a, 64, REC_FIELD(next), H_T1);
}

static void emit_jump(Emit *e)
{
    flags_store(e, &e->flags);
    xmm_store(e, &e->xmm);
    if (!e->fused)
        asm_mov_rm(&e->a, 64, H_T1, REC_FIELD(next));
    jump_to_entry(e, trace_place(e, e->insn, -1));
}

/* The linear address of an offset in the page that executes. */
static void load_pc(Emit *e, AsmReg to, int64_t offset)
{
    asm_mov_rm(&e->a, 64, to, REC_FIELD(page));
    asm_lea(&e->a, e->u->code64 ? 64 : 32, to, asm_mem(to, offset));
}

/* To another page: by the jump cache, else by C. */
static void goto_far(Emit *e, unsigned insn, int64_t target)
{
    AsmLabel miss = { 0 };
    uint32_t from = trace_place(e, insn, target);
    load_pc(e, H_T0, target);
    probe_jump_cache(e, &miss);
    jump_to_entry(e, from);
    asm_bind(&e->a, &miss);
    load_pc(e, H_T0, target);
    asm_mov_ri(&e->a, 32, H_T1, from);
    asm_jmp_abs(&e->a, e->be->thunks.far, A_NONE);
}

static UnitExit *new_exit(Emit *e, int64_t target, uint8_t *field)
{
    UnitExit *x = &e->code->exit[e->code->exit_count++];
    *x = (UnitExit){ .unit = e->code, .field = field, .page_offset = target };
    return x;
}

static bool in_page(int64_t target) { return target >= 0 && target < (int64_t)GUEST_PAGE_SIZE; }

static bool is_own_entry(const Emit *e, int64_t target)
{
    return target == (int64_t)e->u->page_offset;
}

/* Whether a jump there keeps vector registers as they are. */
static bool keeps_xmm(const Emit *e, int64_t target)
{
    return is_own_entry(e, target) && (e->loop_xmm.valid | e->loop_xmm.opmask_valid);
}

/* Instruction `insn` goes to a place given as an offset in the page; the record is complete. */
static void emit_goto(Emit *e, unsigned insn, int64_t target)
{
    if (in_page(target))
        trace_within(e, insn, target);
    if (is_own_entry(e, target))
        asm_jmp(&e->a, keeps_xmm(e, target) ? &e->loop : &e->entry);
    else if (in_page(target))
        new_exit(e, target, asm_jmp_patchable(&e->a, ASM_NEXT));
    else
        goto_far(e, insn, target);
}

/* ---- conditional exits ---- */

static void jcc_to_edge(Emit *e)
{
    Edge *edge = &e->edge[e->edges++];
    *edge = (Edge){ .flags = e->flags, .xmm = e->xmm, .target = e->op->imm, .insn = e->insn };
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
    bool keeps = keeps_xmm(e, op->imm);
    if (in_page(op->imm) && op->imm <= e->u->insn_offset[e->insn]) {
        flags_store(e, &e->flags);
        if (!keeps)
            xmm_store(e, &e->xmm);
    }
    bool dirty = e->xmm.dirty | e->xmm.opmask_dirty;
    if (e->u->traced || !in_page(op->imm) || !record_complete(&e->flags) || (dirty && !keeps) || x87_pending(&e->xmm.x87))
        jcc_to_edge(e);
    else if (is_own_entry(e, op->imm))
        asm_jcc(&e->a, op->cc, keeps ? &e->loop : &e->entry);
    else
        new_exit(e, op->imm, asm_jcc_patchable(&e->a, op->cc, ASM_NEXT));
}

static void emit_edge(Emit *e, Edge *edge)
{
    asm_bind(&e->a, &edge->label);
    flags_store(e, &edge->flags);
    if (!keeps_xmm(e, edge->target))
        xmm_store(e, &edge->xmm);
    x87_store(e, &edge->xmm.x87);
    emit_goto(e, edge->insn, edge->target);
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

static void load_function(Emit *e, unsigned insn)
{
    asm_mov_ri(&e->a, 64, H_T0, (uintptr_t)&e->u->block->insn[insn]);
    asm_mov_ri(&e->a, 32, H_T1, e->u->insn_offset[insn]);
}

static void emit_call(Emit *e)
{
    flags_store(e, &e->flags);
    xmm_store(e, &e->xmm);
    x87_store(e, &e->xmm.x87);
    load_function(e, e->insn);
    e->flags = (Flags){ .recorded = true };
    e->xmm = (XmmState){ .x87 = e->xmm.x87 };
    x87_forget(&e->xmm.x87, e->u->block->insn[e->insn].row);
    if (e->op[1].code == IR_NEXT)
        asm_jmp_abs(&e->a, e->be->thunks.call_next, A_NONE);
    else
        asm_call_abs(&e->a, e->be->thunks.call, A_NONE);
}

/* A repeated instruction that is not done stays at its own address. */
static void emit_repeat(Emit *e)
{
    load_pc(e, H_T0, e->u->insn_offset[e->insn + 1]);
    asm_alu_rm(&e->a, A_CMP, 64, H_T0, CPU_FIELD(rip));
    asm_jcc_abs(&e->a, A_NE, e->be->thunks.next, A_NONE);
    flags_clobber(e);
}

static void emit_slow_path(Emit *e, unsigned insn)
{
    SlowPath *s = &e->slow[insn];
    e->u->slow_offset[insn] = asm_size(&e->a);
    asm_bind(&e->a, &s->enter);
    flags_store(e, &s->flags);
    xmm_store(e, &s->before);
    x87_store(e, &s->before.x87);
    if (e->u->block->insn[insn].jump) {
        load_function(e, insn);
        asm_jmp_abs(&e->a, e->be->thunks.call_next, A_NONE);
        return;
    }
    for (unsigned k = 0; k < e->u->span[insn]; k++) {
        load_function(e, insn + k);
        asm_call_abs(&e->a, e->be->thunks.call, A_NONE);
    }
    xmm_resume(e, &s->after, s->wants_flags);
    asm_jmp(&e->a, &s->resume);
}

/* ---- the unit ---- */

/* The slow path of the current instruction goes on here. */
static void resume_here(Emit *e)
{
    asm_bind(&e->a, &e->slow[e->insn].resume);
    e->slow[e->insn].after = e->xmm;
}

static void begin_insn(Emit *e)
{
    if (e->k > 0)
        resume_here(e);
    e->insn = e->op->imm;
    e->checked = false;
    if (e->u->block->insn[e->insn].jump && e->op[1].code != IR_JCC && x87_pending(&e->xmm.x87)) {
        x87_store(e, &e->xmm.x87);
        flags_clobber(e);
    }
    e->slow[e->insn].flags = e->flags;
    e->slow[e->insn].before = e->xmm;
    e->u->host_offset[e->insn] = asm_size(&e->a);
    e->u->slow_offset[e->insn] = 0;
    for (unsigned k = 1; k < e->u->span[e->insn]; k++)
        e->u->host_offset[e->insn + k] = e->u->slow_offset[e->insn + k] = UINT32_MAX; /* not by themselves */
}

static void emit_exit(Emit *e)
{
    flags_store(e, &e->flags);
    x87_store(e, &e->xmm.x87);
    if (!keeps_xmm(e, e->op->imm)) {
        xmm_store(e, &e->xmm);
        e->xmm = (XmmState){ 0 };
    }
    if (!e->u->block->insn[e->insn].jump)
        resume_here(e);
    if (e->op->far)
        goto_far(e, e->insn, e->op->imm);
    else
        emit_goto(e, e->insn, e->op->imm);
}

static void emit_op(Emit *e)
{
    switch (e->op->code) {
    case IR_INSN: begin_insn(e); break;
    case IR_REF_R: emit_ref(e, false, 0); break;
    case IR_REF_W: emit_ref(e, true, 0); break;
    case IR_REF_X: emit_ref(e, false, e->op->from); break;
    case IR_REF_XW: emit_ref(e, true, e->op->from); break;
    case IR_CLI: emit_cli(e); break;
    case IR_STI: emit_sti(e); break;
    case IR_SWAPGS: emit_swapgs(e); break;
    case IR_PUSHES: emit_pushes(e); break;
    case IR_POPS: emit_pops(e); break;
    case IR_LEA: emit_lea(e); break;
    case IR_PC: load_pc(e, ir_number(e->op->dst) ? H_T1 : H_T0, e->op->imm); break;
    case IR_CALL: emit_call(e); break;
    case IR_REPEAT: emit_repeat(e); break;
    case IR_JCC: emit_jcc(e); break;
    case IR_EXIT: emit_exit(e); break;
    case IR_FIND: emit_find(e); break;
    case IR_JUMP: emit_jump(e); break;
    case IR_NEXT: break; /* done by the CALL before it */
    case IR_VSET: case IR_VMOD: case IR_VMOD3: case IR_VTEST: case IR_VFIND: case IR_FSET: case IR_FMOD: case IR_FCMP:
    case IR_FENCE: emit_vector(e); break;
    case IR_AVX: case IR_AVX_FLAGS: case IR_FAVX: case IR_FAVX_FLAGS: case IR_MULX: emit_avx(e); break;
    case IR_VZEROUPPER: emit_vzeroupper(e); break;
    case IR_X87: case IR_X87_R: case IR_X87_W: case IR_X87_CMOV: case IR_X87_CMP: case IR_X87_SW: case IR_X87_CW:
    case IR_X87_LDCW: emit_x87(e); break;
    default: emit_integer(e); break;
    }
}

/* Every unit begins with a look at `attention`: there is no loop without one. */
static void emit_look(Emit *e, AsmLabel *leave)
{
    asm_alu_mi(&e->a, A_CMP, 32, CPU_FIELD(attention), 0);
    asm_jcc(&e->a, A_NE, leave);
    if (e->be->counted) {
        asm_alu_mi(&e->a, A_SUB, 64, REC_FIELD(budget), e->u->insns);
        asm_jcc(&e->a, A_S, leave);
    }
}

/* A unit that jumps to its own entry and calls nothing keeps its vector registers from one time to the next. */
static XmmState find_loop(const Emit *e)
{
    bool loops = false;
    for (unsigned k = 0; k < e->u->count; k++) {
        const IrOp *op = &e->u->op[k];
        loops |= (op->code == IR_JCC || op->code == IR_EXIT) && is_own_entry(e, op->imm);
        if (op->code == IR_CALL || op->code == IR_VZEROUPPER)
            return (XmmState){ 0 };
    }
    if (!loops || e->u->traced) /* it calls C */
        return (XmmState){ 0 };
    XmmState x = xmm_unit_use(e);
    x.x87 = e->xmm.x87;
    return x;
}

static void emit_entry(Emit *e)
{
    AsmLabel body = { 0 };
    asm_bind(&e->a, &e->entry);
    emit_look(e, &e->entry_stub);
    e->loop_xmm = find_loop(e);
    if (!(e->loop_xmm.valid | e->loop_xmm.opmask_valid))
        return;
    xmm_load(e, e->loop_xmm.valid);
    opmask_load(e, e->loop_xmm.opmask_valid);
    asm_jmp8(&e->a, &body);
    asm_bind(&e->a, &e->loop);
    emit_look(e, &e->loop_stub);
    asm_bind(&e->a, &body);
    e->xmm = e->loop_xmm;
}

static void emit_out_of_line(Emit *e)
{
    for (unsigned k = 0; k < e->edges; k++)
        emit_edge(e, &e->edge[k]);
    for (unsigned k = 0; k < e->misses; k++)
        emit_micro_miss(e, &e->miss[k]);
    for (unsigned k = 0; k < e->checks; k++)
        emit_check(e, &e->check[k]);
    for (unsigned k = 0; k < e->u->insns; k++)
        if (e->slow[k].used)
            emit_slow_path(e, k);
    for (unsigned k = 0; k < e->code->exit_count; k++)
        emit_exit_stub(e, &e->code->exit[k]);
    asm_bind(&e->a, &e->loop_stub);
    xmm_store(e, &e->loop_xmm);
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
    e->data_mode = (u->block->key >> KEY_TLB & 3) + (u->block->key & KEY_GUEST ? TLB_MODES : 0);
    e->width = avx_width(e);
    e->flags = (Flags){ .recorded = true };
    e->xmm.x87 = (X87State){ .top = u->x87_top, .tags = u->x87_tags, .ip = -1, .ds = -1 };
    e->code = g_malloc0(sizeof(UnitCode) + (u->insns + 2) * sizeof(UnitExit));
    e->code->block = u->block;
    asm_init(&e->a, at, room, (uintptr_t)execmem_to_exec(be->mem, at));
    e->code->entry = (const uint8_t *)(uintptr_t)asm_here(&e->a);
    emit_entry(e);
    for (e->k = 0; e->k < u->count; e->k++) {
        e->op = &u->op[e->k];
        emit_op(e);
    }
    e->code->line_size = asm_size(&e->a);
    emit_out_of_line(e);
    e->code->size = asm_size(&e->a);
    if (asm_ok(&e->a))
        return e->code;
    if (e->a.bad || !e->a.overflow)
        g_error("a unit at page offset %#x was not assembled", u->page_offset);
    g_free(e->code);
    return NULL;
}
