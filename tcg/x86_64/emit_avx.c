/*
 * VEX and EVEX instructions (emit.h): the host's own one, on the registers of the same numbers.
 *
 * A unit that has vector instructions of these kinds keeps as much of each register as the guest's operating system has
 * enabled: 32 bytes, or 64 with AVX-512.  On a host without AVX-512 the upper halves of ZMM registers stay in memory,
 * where VEX instructions clear them; EVEX ones are left to the interpreter's functions.
 */
#include <string.h>

#include "cpu/decode.h"
#include "tcg/x86_64/emit.h"
#include "tcg/x86_64/encode.h"

static bool is_vector(const Insn *i) { return insn_rows[i->row].attr & (A_AVX | A_AVX512); }

static bool is_avx(const IrOp *op)
{
    return (op->code >= IR_AVX && op->code <= IR_FAVX_FLAGS) || op->code == IR_VZEROUPPER;
}

/* What the guest has enabled, by the key of the unit's blocks. */
static bool guest_has_avx512(const Emit *e) { return !(e->u->block->key & KEY_AVX512_UD); }


unsigned avx_width(const Emit *e)
{
    unsigned insn = 0;
    for (unsigned k = 0; k < e->u->count; k++) {
        const IrOp *op = &e->u->op[k];
        if (op->code == IR_INSN)
            insn = op->imm;
        if (is_avx(op) && is_vector(&e->u->block->insn[insn + op->part]) && e->be->has_avx)
            return guest_has_avx512(e) && e->be->has_avx512 ? 64 : 32;
    }
    return 16;
}

static void add_opmask(VectorUse *use, const Insn *i, char where, bool written)
{
    unsigned n = where == 'g' ? i->reg : where == 'h' ? i->vreg : i->rm;
    if (i->mem && (where == 'e' || where == 'm'))
        return;
    if (written)
        use->opmask_writes |= 1u << n;
    else
        use->opmask_reads |= 1u << n;
}

static void add_vector(VectorUse *use, const Insn *i, char letter, bool written)
{
    unsigned n = letter == 'V' ? i->reg : letter == 'H' ? i->vreg : letter == 'L' ? i->imm >> 4 & 15 : i->rm;
    if (letter == 'W' && i->mem)
        return;
    if (written)
        use->writes |= 1u << n;
    else
        use->reads |= 1u << n;
}

VectorUse avx_use(const Insn *i)
{
    const InsnRow *row = &insn_rows[i->row];
    VectorUse use = { 0 };
    bool compares = row->flags_written & F_ARITH;
    for (const char *o = row->operands; *o; o += strcspn(o, ","), o += *o == ',') {
        bool written = o == row->operands && !compares;
        if (o[0] == 'K')
            add_opmask(&use, i, o[1], written);
        else if (strchr("VHWUL", o[0]))
            add_vector(&use, i, o[0], written);
    }
    if (is_vector(i) && i->mask)
        use.opmask_reads |= 1u << i->mask;
    if (is_vector(i) && ((i->mask && !i->zero) || (row->attr & A_ACCUM)))
        use.reads |= use.writes;
    return use;
}

/* ---- registers ---- */

static void load_operands(Emit *e, const VectorUse *use)
{
    xmm_load(e, use->reads & ~e->xmm.valid);
    opmask_load(e, use->opmask_reads & ~e->xmm.opmask_valid);
    e->xmm.valid |= use->reads | use->writes;
    e->xmm.dirty |= use->writes;
    e->xmm.opmask_valid |= use->opmask_reads | use->opmask_writes;
    e->xmm.opmask_dirty |= use->opmask_writes;
}

/* The host register of a general one that is written: its own, or `scratch`. */
static AsmReg result_register(IrArg x, AsmReg scratch)
{
    return host_of_guest[x] == A_NONE ? scratch : host_of_guest[x];
}

static void write_result(Emit *e, IrArg x, AsmReg scratch)
{
    if (ir_is_g(x) && host_of_guest[x] == A_NONE)
        emit_write(e, x, 8, scratch);
}

/* ---- instructions ---- */

/* A row as the host encodes it. */
typedef struct HostRow {
    const Pattern *p;
    uint32_t op;
} HostRow;

static HostRow host_row(const Insn *i)
{
    static const uint32_t prefixes[] = { [PREFIX_66] = OP_66, [PREFIX_F3] = OP_F3, [PREFIX_F2] = OP_F2 };
    HostRow h = { .p = insn_row_pattern(i->row) };
    bool w = h.p->y_size ? i->osz == SZ64 : h.p->w == 1;
    h.op = prefixes[h.p->prefix] | h.p->opcode | (w ? OP_W : 0);
    if (h.p->encoding == ENC_VEX)
        h.op |= (h.p->map - MAP_VEX_0F + 1) << OP_MAP_SHIFT;
    return h;
}

static unsigned evex_map(const Pattern *p)
{
    return p->map >= MAP_EVEX_5 ? p->map - MAP_EVEX_5 + 5 : p->map - MAP_EVEX_0F + 1;
}

static void put_host(Emit *e, const Insn *i, const HostRow *h, unsigned reg, unsigned vvvv, const AsmMem *rm)
{
    bool imm = h->p->imm != IMM_NONE, done;
    if (h->p->encoding == ENC_VEX) {
        done = put_vex(&e->a, h->op, i->vl, reg, vvvv, rm, imm);
    } else {
        bool b = i->broadcast || i->rounding;
        unsigned length = i->rounding & ROUNDING_STATIC ? i->rounding & 3 : i->vl;
        EvexBits bits = { .map = evex_map(h->p), .length = length, .mask = i->mask, .zero = i->zero, .b = b };
        done = put_evex(&e->a, h->op, bits, reg, vvvv, rm);
    }
    if (done && imm)
        put8(&e->a, i->imm);
}

/*
 * The three register fields.  A general register without a host register of its own is read to T1 when vvvv names it, to T0
 * when ModRM.rm does; a result goes through T1 (MULX's lower one through T0), which it may share with a source.
 */
static void emit_fields(Emit *e, const Insn *i, const HostRow *h)
{
    const IrOp *op = e->op;
    const Pattern *p = h->p;
    bool mulx = op->code == IR_MULX, group = p->modrm_mask & 0x38;
    unsigned vvvv = i->vreg, reg = group ? (p->modrm_value >> 3 & 7) : i->reg;
    AsmMem rm = asm_reg(i->rm);
    if (mulx)
        vvvv = result_register(op->b, H_T0);
    else if (p->vvvv_general)
        vvvv = op->b == IR_NONE ? result_register(op->dst, H_T1) : emit_read(e, op->b, 8, H_T1);
    if (i->mem)
        rm = asm_mem(H_T0, op->at);
    else if (p->rm_general)
        rm = asm_reg(op->a == IR_NONE ? result_register(op->dst, H_T1) : emit_read(e, op->a, 8, H_T0));
    if (p->reg_general)
        reg = result_register(op->dst, H_T1);
    put_host(e, i, h, reg, vvvv, &rm);
    if (mulx)
        write_result(e, op->b, H_T0);
    write_result(e, op->dst, H_T1);
}

static bool host_can(const Emit *e, const Insn *i, const Pattern *p)
{
    if (is_vector(i) && !(insn_rows[i->row].attr & A_AVX512 ? e->be->has_avx512 : e->be->has_avx))
        return false;
    return host_has_row(e, i) && (p->encoding != ENC_EVEX || e->be->has_avx512);
}

/* VEX instructions clear their result up to the whole of a register, also what the host has not got. */
static void clear_in_memory(Emit *e, uint32_t set)
{
    if (!guest_has_avx512(e) || e->width == 64)
        return;
    for (unsigned n = 0; n < 16; n++)
        for (unsigned q = 4; q < 8 && (set & ~e->xmm.cleared) >> n & 1; q++)
            asm_mov_mi(&e->a, 64, asm_mem(H_CPU, offsetof(Cpu, vec) + n * sizeof(Vec) + q * 8), 0);
    e->xmm.cleared |= set;
}

/* What the host lacks takes the slow path each time. */
void emit_avx(Emit *e)
{
    const Insn *i = &e->u->block->insn[e->insn + e->op->part];
    HostRow h = host_row(i);
    VectorUse use = avx_use(i);
    if (!host_can(e, i, h.p)) {
        asm_jmp(&e->a, emit_slow(e));
        flags_clobber(e);
        e->xmm.cleared = 0;
    } else {
        if (e->op->code == IR_FAVX || e->op->code == IR_FAVX_FLAGS)
            check_mxcsr(e);
        load_operands(e, &use);
        emit_fields(e, i, &h);
        clear_in_memory(e, use.writes);
    }
    if (ir_info[e->op->code].writes)
        flags_produced_image(e);
}

/* What is loaded stays loaded, but for the upper parts, which are zero there and in memory. */
void emit_vzeroupper(Emit *e)
{
    if (!e->be->has_avx) {
        asm_jmp(&e->a, emit_slow(e));
        flags_clobber(e);
        return;
    }
    xmm_store(e, &e->xmm);
    asm_call_abs(&e->a, e->be->thunks.zero_upper, A_NONE);
    asm_vzeroupper(&e->a);
}
