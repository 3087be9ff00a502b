/* The stack machine of DWARF's location expressions (DWARF 5 section 2.5). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <string.h>

#include "core/error.h"
#include "debugger/debugger.h"
#include "debugger/symbols/dwarf_location.h"
#include "util/bits.h"
#include "util/endian.h"

enum { STACK = 64, STEPS_MAX = 1000 };

typedef struct Evaluation {
    DwarfContext *c;
    const Dwarf_Attribute *attribute;
    uint64_t stack[STACK];
    unsigned depth;
    DwarfPlace *out;
    bool done;               /* out is not an address on the stack */
} Evaluation;

static gboolean lost(Evaluation *e) { return error_set(e->c->err, "<optimized out>"); }

static gboolean push(Evaluation *e, uint64_t v)
{
    if (e->depth == STACK)
        return lost(e);
    e->stack[e->depth++] = v;
    return TRUE;
}

/* i386 numbers its registers otherwise: eax ecx edx ebx esp ebp esi edi eip (i386 psABI table 2.14). */
static unsigned register_number(const Evaluation *e, unsigned reg)
{
    static const uint8_t i386[9] = { DWARF_RAX, DWARF_RCX, DWARF_RDX, DWARF_RBX, DWARF_RSP, DWARF_RBP, DWARF_RSI,
                                     DWARF_RDI, DWARF_RA };
    if (e->c->file->pointer_size == 8)
        return reg;
    return reg < sizeof i386 ? i386[reg] : DWARF_REGISTERS;
}

static gboolean push_register(Evaluation *e, unsigned reg, int64_t offset)
{
    const Frame *f = e->c->frame;
    reg = register_number(e, reg);
    if (reg >= DWARF_REGISTERS || !(f->known >> reg & 1))
        return lost(e);
    uint64_t v = f->reg[reg] + (uint64_t)offset;
    return push(e, e->c->file->pointer_size == 4 ? (uint32_t)v : v);
}

static gboolean set_register(Evaluation *e, unsigned reg)
{
    e->out->kind = DWARF_PLACE_REGISTER;
    e->out->value = register_number(e, reg);
    e->done = true;
    return e->out->value < DWARF_RA || lost(e);
}

static gboolean push_frame_base(Evaluation *e, int64_t offset)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    DwarfPlace base;
    DwarfContext *c = e->c;
    uint64_t pc = dwarf_to_linked(c->file, frame_lookup_pc(c->frame));
    if (!c->has_function || c->depth > 2 || !dwarf_attr_integrate(&c->function, DW_AT_frame_base, &attribute) ||
        dwarf_getlocation_addr(&attribute, pc, &ops, &count, 1) != 1)
        return lost(e);
    c->depth++;
    gboolean ok = dwarf_locate(c, &attribute, ops, count, &base);
    c->depth--;
    if (!ok || base.kind == DWARF_PLACE_BYTES)
        return ok ? lost(e) : FALSE;
    if (base.kind == DWARF_PLACE_MEMORY)
        return push(e, base.value + (uint64_t)offset);
    return push(e, c->frame->reg[base.value] + (uint64_t)offset);
}

static gboolean push_cfa(Evaluation *e)
{
    uint64_t cfa;
    if (e->c->of_cfa || !dwarf_frame_address(e->c->file, e->c->cpu, e->c->frame, &cfa))
        return error_set(e->c->err, "where its frame is, is not known here");
    return push(e, cfa);
}

static gboolean dereference(Evaluation *e, unsigned size)
{
    uint8_t bytes[8] = { 0 };
    if (!e->depth || size > 8)
        return lost(e);
    uint64_t *top = &e->stack[e->depth - 1];
    if (!debugger_read(e->c->cpu, *top, bytes, size))
        return error_set(e->c->err, "cannot read memory at 0x%" G_GINT64_MODIFIER "x", *top);
    *top = ld64le(bytes);
    return TRUE;
}

static gboolean set_bytes(Evaluation *e, const void *bytes, size_t size)
{
    memset(e->out->bytes, 0, sizeof e->out->bytes);
    memcpy(e->out->bytes, bytes, MIN(size, sizeof e->out->bytes));
    e->out->kind = DWARF_PLACE_BYTES;
    e->done = true;
    return TRUE;
}

static gboolean set_stack_value(Evaluation *e)
{
    uint8_t bytes[8];
    if (!e->depth)
        return lost(e);
    st64le(bytes, e->stack[e->depth - 1]);
    return set_bytes(e, bytes, sizeof bytes);
}

static gboolean set_implicit_value(Evaluation *e, const Dwarf_Op *op)
{
    Dwarf_Block block;
    if (!e->attribute || dwarf_getlocation_implicit_value((Dwarf_Attribute *)e->attribute, op, &block))
        return lost(e);
    return set_bytes(e, block.data, block.length);
}

bool dwarf_op_address(const Dwarf_Attribute *attribute, const Dwarf_Op *op, Dwarf_Addr *linked)
{
    Dwarf_Attribute entry;
    *linked = op->number;
    return op->atom == DW_OP_addr ||
        ((op->atom == DW_OP_addrx || op->atom == DW_OP_GNU_addr_index) && attribute &&
         !dwarf_getlocation_attr((Dwarf_Attribute *)attribute, op, &entry) && !dwarf_formaddr(&entry, linked));
}

static gboolean push_address(Evaluation *e, const Dwarf_Op *op)
{
    Dwarf_Addr linked;
    return dwarf_op_address(e->attribute, op, &linked) ? push(e, dwarf_to_live(e->c->file, linked)) : lost(e);
}

static gboolean reorder(Evaluation *e, const Dwarf_Op *op)
{
    uint64_t *top = &e->stack[e->depth];
    unsigned need = op->atom == DW_OP_rot ? 3 : op->atom == DW_OP_pick ? op->number + 1 : op->atom == DW_OP_over ||
                    op->atom == DW_OP_swap ? 2 : 1;
    uint64_t v;
    if (op->number > STACK || e->depth < need)
        return lost(e);
    switch (op->atom) {
    case DW_OP_dup: return push(e, top[-1]);
    case DW_OP_drop: e->depth--; return TRUE;
    case DW_OP_over: return push(e, top[-2]);
    case DW_OP_pick: return push(e, top[-1 - (int)op->number]);
    case DW_OP_swap: v = top[-1]; top[-1] = top[-2]; top[-2] = v; return TRUE;
    default: v = top[-1]; top[-1] = top[-2]; top[-2] = top[-3]; top[-3] = v; return TRUE;
    }
}

static gboolean unary(Evaluation *e, const Dwarf_Op *op)
{
    if (!e->depth)
        return lost(e);
    uint64_t *top = &e->stack[e->depth - 1];
    switch (op->atom) {
    case DW_OP_abs: *top = (int64_t)*top < 0 ? -*top : *top; break;
    case DW_OP_neg: *top = -*top; break;
    case DW_OP_not: *top = ~*top; break;
    default: *top += op->number; break; /* DW_OP_plus_uconst */
    }
    return TRUE;
}

static uint64_t shifted_right(uint64_t a, uint64_t by, bool arithmetic)
{
    if (by > 63)
        return arithmetic && (int64_t)a < 0 ? UINT64_MAX : 0;
    return arithmetic ? (uint64_t)sign_extend(a >> by, 64 - by) : a >> by;
}

static gboolean binary(Evaluation *e, const Dwarf_Op *op)
{
    if (e->depth < 2)
        return lost(e);
    uint64_t b = e->stack[--e->depth], *a = &e->stack[e->depth - 1];
    switch (op->atom) {
    case DW_OP_plus: *a += b; break;
    case DW_OP_minus: *a -= b; break;
    case DW_OP_mul: *a *= b; break;
    case DW_OP_and: *a &= b; break;
    case DW_OP_or: *a |= b; break;
    case DW_OP_xor: *a ^= b; break;
    case DW_OP_shl: *a = b < 64 ? *a << b : 0; break;
    case DW_OP_shr: *a = shifted_right(*a, b, false); break;
    case DW_OP_shra: *a = shifted_right(*a, b, true); break;
    case DW_OP_div: *a = !b ? 0 : b == UINT64_MAX ? -*a : (uint64_t)((int64_t)*a / (int64_t)b); break;
    case DW_OP_mod: *a = b ? *a % b : 0; break;
    case DW_OP_eq: *a = *a == b; break;
    case DW_OP_ne: *a = *a != b; break;
    case DW_OP_lt: *a = (int64_t)*a < (int64_t)b; break;
    case DW_OP_le: *a = (int64_t)*a <= (int64_t)b; break;
    case DW_OP_gt: *a = (int64_t)*a > (int64_t)b; break;
    default: *a = (int64_t)*a >= (int64_t)b; break;
    }
    return TRUE;
}

static gboolean operate(Evaluation *e, const Dwarf_Op *op)
{
    unsigned atom = op->atom;
    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
        return push(e, atom - DW_OP_lit0);
    if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31)
        return set_register(e, atom - DW_OP_reg0);
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
        return push_register(e, atom - DW_OP_breg0, op->number);
    switch (atom) {
    case DW_OP_addr: case DW_OP_addrx: case DW_OP_GNU_addr_index: return push_address(e, op);
    case DW_OP_const1u: case DW_OP_const1s: case DW_OP_const2u: case DW_OP_const2s: case DW_OP_const4u:
    case DW_OP_const4s: case DW_OP_const8u: case DW_OP_const8s: case DW_OP_constu: case DW_OP_consts:
        return push(e, op->number);
    case DW_OP_regx: return set_register(e, MIN(op->number, 255u));
    case DW_OP_bregx: return push_register(e, MIN(op->number, 255u), op->number2);
    case DW_OP_fbreg: return push_frame_base(e, op->number);
    case DW_OP_call_frame_cfa: return push_cfa(e);
    case DW_OP_deref: return dereference(e, e->c->file->pointer_size);
    case DW_OP_deref_size: return dereference(e, MIN(op->number, 255u));
    case DW_OP_dup: case DW_OP_drop: case DW_OP_over: case DW_OP_pick: case DW_OP_swap: case DW_OP_rot:
        return reorder(e, op);
    case DW_OP_abs: case DW_OP_neg: case DW_OP_not: case DW_OP_plus_uconst: return unary(e, op);
    case DW_OP_plus: case DW_OP_minus: case DW_OP_mul: case DW_OP_and: case DW_OP_or: case DW_OP_xor: case DW_OP_shl:
    case DW_OP_shr: case DW_OP_shra: case DW_OP_div: case DW_OP_mod: case DW_OP_eq: case DW_OP_ne: case DW_OP_lt:
    case DW_OP_le: case DW_OP_gt: case DW_OP_ge:
        return binary(e, op);
    case DW_OP_stack_value: return set_stack_value(e);
    case DW_OP_implicit_value: return set_implicit_value(e, op);
    case DW_OP_nop: return TRUE;
    default: return lost(e); /* DW_OP_entry_value and others of which only the caller knows; values in pieces */
    }
}

/* Where a branch from operator k goes to; count: nowhere. */
static size_t branch_target(const Dwarf_Op *ops, size_t count, size_t k)
{
    uint64_t to = ops[k].offset + 3 + (uint64_t)(int64_t)(int16_t)ops[k].number;
    for (size_t n = 0; n < count; n++)
        if (ops[n].offset == to)
            return n;
    return count;
}

static gboolean run(Evaluation *e, const Dwarf_Op *ops, size_t count)
{
    size_t k = 0;
    for (unsigned steps = 0; k < count; steps++) {
        const Dwarf_Op *op = &ops[k];
        bool branches = op->atom == DW_OP_skip;
        if (steps == STEPS_MAX || e->done) /* something follows that says it is a part only */
            return lost(e);
        if (op->atom == DW_OP_bra)
            branches = e->depth && e->stack[--e->depth];
        else if (op->atom != DW_OP_skip && !operate(e, op))
            return FALSE;
        k = branches ? branch_target(ops, count, k) : k + 1;
    }
    return TRUE;
}

gboolean dwarf_locate(DwarfContext *c, const Dwarf_Attribute *attribute, const Dwarf_Op *ops, size_t count,
                      DwarfPlace *out)
{
    Evaluation e = { .c = c, .attribute = attribute, .out = out };
    memset(out, 0, sizeof *out);
    if (!count)
        return lost(&e);
    if (!run(&e, ops, count))
        return FALSE;
    if (e.done)
        return TRUE;
    if (!e.depth)
        return lost(&e);
    out->kind = DWARF_PLACE_MEMORY;
    out->value = e.stack[e.depth - 1];
    return TRUE;
}

#endif
