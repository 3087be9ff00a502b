/* The intermediate representation: its table, its text, its rules (ir.h). */
#include "tcg/ir.h"

#include <inttypes.h>
#include <string.h>

const IrInfo ir_info[IR_CODES] = {
#define IR(id, text, operands, reads, writes, effects) [IR_##id] = { text, operands, reads, writes, effects },
#include "tcg/ir_ops.def"
#undef IR
};

static const uint32_t condition_flags[8] = {
    F_OF, F_CF, F_ZF, F_CF | F_ZF, F_SF, F_PF, F_SF | F_OF, F_ZF | F_SF | F_OF,
};

uint32_t ir_reads(const IrOp *op)
{
    uint32_t reads = ir_info[op->code].reads;
    return reads & F_COND ? condition_flags[op->cc >> 1] : reads;
}

unsigned ir_effects(const IrOp *op)
{
    bool shift = op->code >= IR_SHL && op->code <= IR_ROR;
    return shift && op->b == IR_IMM ? 0 : ir_info[op->code].effects;
}

static bool pops_register(const IrOp *op, unsigned n)
{
    for (unsigned k = 0; k < op->from; k++)
        if (ir_group_register(op, k) == n)
            return true;
    return false;
}

bool ir_writes_register(const IrOp *op, unsigned n)
{
    switch (op->code) {
    case IR_PUSHES: return n == R_SP;
    case IR_POPS: return n == R_SP || pops_register(op, n);
    case IR_CALL: return true;
    case IR_MULW: case IR_IMULW: case IR_DIVW: case IR_IDIVW: return n == R_AX || n == R_DX;
    case IR_CWD: return n == R_DX;
    case IR_CMPXCHG: return n == R_AX || op->dst == n;
    case IR_XCHG: case IR_XADD: return op->a == n || op->dst == n;
    case IR_MULX: return op->b == n || op->dst == n;
    default: return op->dst == n || (ir_is_h(op->dst) && (op->dst & 3) == n);
    }
}

/* ---- text ---- */

static void print_arg(IrArg x, const IrOp *op, GString *out)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    static const char *const high[4] = { "ah", "ch", "dh", "bh" };
    if (ir_is_g(x))
        g_string_append(out, names[x]);
    else if (ir_is_h(x))
        g_string_append(out, high[x & 3]);
    else if (ir_is_x(x))
        g_string_append_printf(out, "xmm%u", ir_number(x));
    else if (ir_is_t(x))
        g_string_append_printf(out, "t%u", ir_number(x));
    else if (ir_is_m(x) && op->at)
        g_string_append_printf(out, "[t%u + %u]", ir_number(x), op->at);
    else if (ir_is_m(x))
        g_string_append_printf(out, "[t%u]", ir_number(x));
    else
        g_string_append_printf(out, "%#" PRIx64, (uint64_t)op->imm);
}

static void print_mem(const IrMem *m, const IrOp *op, GString *out)
{
    if (m->seg == SEG_FS || m->seg == SEG_GS)
        g_string_append(out, m->seg == SEG_FS ? "fs:" : "gs:");
    g_string_append_c(out, '{');
    if (m->base == R_IP)
        g_string_append(out, "page");
    else if (m->base != R_NONE)
        print_arg(m->base, op, out);
    if (m->index != R_NONE) {
        g_string_append(out, m->base == R_NONE ? "" : " + ");
        print_arg(m->index, op, out);
        g_string_append_printf(out, " * %u", 1u << m->scale);
    }
    g_string_append_printf(out, " %c %#x}", m->disp < 0 ? '-' : '+', m->disp < 0 ? -(unsigned)m->disp : (unsigned)m->disp);
}

static void print_op(const IrOp *op, GString *out)
{
    static const char *const cc[16] = { "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le",
                                        "g" };
    const IrInfo *info = &ir_info[op->code];
    IrArg args[3] = { op->dst, op->a, op->b };
    const char *comma = " ";
    g_string_append_printf(out, "    %s%s%s.%u", op->lock ? "lock " : "", info->text, info->reads & F_COND ? cc[op->cc] : "",
                           op->size * 8);
    for (unsigned k = 0; k < 3; k++) {
        if (info->operands[k] == '-')
            continue;
        g_string_append(out, comma);
        if (info->operands[k] == 'm')
            print_mem(&op->mem, op, out);
        else
            print_arg(args[k], op, out);
        comma = ", ";
    }
    if (op->code == IR_PUSHES || op->code == IR_POPS)
        for (unsigned k = 0; k < op->from; k++, comma = ", ") {
            unsigned reg = ir_group_register(op, k);
            g_string_append(out, comma);
            if (reg == R_SP && op->code == IR_PUSHES)
                g_string_append(out, "imm");
            else
                print_arg(ir_g(reg), op, out);
        }
    if (op->code == IR_JCC || op->code == IR_EXIT || op->code == IR_PC || op->code == IR_FENCE ||
        (op->code >= IR_VSET && op->code <= IR_FCMP))
        g_string_append_printf(out, "%s%#" PRIx64, comma, (uint64_t)op->imm);
    if (op->flags_next)
        g_string_append(out, "  ; flags");
    if (op->flags_seen)
        g_string_append_printf(out, "  ; flags to %u", op->last);
    g_string_append_c(out, '\n');
}

void ir_print(const IrUnit *u, GString *out)
{
    for (unsigned k = 0; k < u->count; k++) {
        const IrOp *op = &u->op[k];
        if (op->code == IR_INSN)
            g_string_append_printf(out, "  +%#x %s\n", u->insn_offset[op->imm],
                                   insn_rows[u->block->insn[op->imm].row].id);
        else
            print_op(op, out);
    }
}

/* ---- rules ---- */

typedef struct Validator {
    bool defined[IR_TEMPS]; /* temporaries with a value */
    bool changed;           /* the instruction has changed guest state */
    bool left;              /* the unit has been left for good */
} Validator;

static bool arg_defined(const Validator *v, IrArg x)
{
    if (ir_is_t(x) || ir_is_m(x))
        return ir_number(x) < IR_TEMPS && v->defined[ir_number(x)];
    return ir_is_g(x) || (ir_is_h(x) && ir_number(x) < 4) || x == IR_IMM;
}

static const char *check_operand(Validator *v, char kind, IrArg x)
{
    switch (kind) {
    case '-': return x == IR_NONE ? NULL : "an operand where there is none";
    case 'm': return NULL;
    case 't': return ir_is_t(x) && ir_number(x) < IR_TEMPS ? NULL : "no temporary";
    case 'd': return ir_is_t(x) || (x != IR_IMM && arg_defined(v, x)) ? NULL : "no place to write to";
    case 'u': return x != IR_IMM && arg_defined(v, x) ? NULL : "no place to read and write";
    case 'o': return ir_is_x(x) || x == IR_NONE ? NULL : check_operand(v, 'v', x);
    case 'D': return ir_is_x(x) ? NULL : check_operand(v, 'd', x);
    case 'U': return ir_is_x(x) ? NULL : check_operand(v, 'u', x);
    case 'V': return ir_is_x(x) ? NULL : check_operand(v, 'v', x);
    default: return arg_defined(v, x) ? NULL : "a value that is not defined";
    }
}

static const char *check_op(Validator *v, const IrOp *op)
{
    const IrInfo *info = &ir_info[op->code];
    IrArg args[3] = { op->dst, op->a, op->b };
    if (v->left)
        return "an operation after the end";
    if ((ir_effects(op) & E_CHECK) && v->changed)
        return "a check after a change";
    for (unsigned k = 1; k < 4; k++) {
        const char *wrong = check_operand(v, info->operands[k % 3], args[k % 3]); /* results last */
        if (wrong)
            return wrong;
    }
    if (ir_is_t(op->dst))
        v->defined[ir_number(op->dst)] = true;
    else if (op->dst != IR_NONE)
        v->changed = true;
    return NULL;
}

static void enter_insn(Validator *v)
{
    memset(v->defined, 0, sizeof v->defined);
    v->changed = false;
}

const char *ir_validate(const IrUnit *u)
{
    static _Thread_local char text[120];
    Validator v = { .left = false };
    for (unsigned k = 0; k < u->count; k++) {
        const IrOp *op = &u->op[k];
        const char *wrong = op->code >= IR_CODES ? "no such operation" : NULL;
        if (op->code == IR_INSN && !v.left)
            enter_insn(&v);
        else if (!wrong)
            wrong = check_op(&v, op);
        if (wrong) {
            const char *name = op->code < IR_CODES ? ir_info[op->code].text : "?";
            g_snprintf(text, sizeof text, "operation %u (%s): %s", k, name, wrong);
            return text;
        }
        v.left = op->code == IR_EXIT || op->code == IR_JUMP || op->code == IR_NEXT;
    }
    return v.left ? NULL : "no end";
}
