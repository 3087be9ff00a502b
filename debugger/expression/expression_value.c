/* Values of expressions: only reads, in whichever thread (expression.h). */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "debugger/expression/expression_tree.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- operators ---- */

static uint64_t shift(const Node *n, uint64_t a, uint64_t by)
{
    bool is_signed = type_strip(n->type)->is_signed;
    if (by >= 64)
        return n->op == OP_SHR && is_signed && (int64_t)a < 0 ? UINT64_MAX : 0;
    if (n->op == OP_SHL)
        return a << by;
    return is_signed ? (uint64_t)sign_extend(a >> by, 64 - by) : a >> by;
}

/* As C's, with the overflow of the most negative number by -1 as processors' two's complement has it. */
static gboolean divide(const Work *w, const Node *n, uint64_t a, uint64_t b, uint64_t *v)
{
    bool is_signed = type_strip(n->type)->is_signed;
    if (!b)
        return error_set(w->err, "division by zero");
    if (is_signed && b == UINT64_MAX)
        *v = n->op == '/' ? -a : 0;
    else if (is_signed)
        *v = n->op == '/' ? (uint64_t)((int64_t)a / (int64_t)b) : (uint64_t)((int64_t)a % (int64_t)b);
    else
        *v = n->op == '/' ? a / b : a % b;
    return TRUE;
}

/* Whether a type is compared as unsigned: a signed one of fewer bits than the other is extended first, as C does. */
static bool is_unsigned(const Type *t, unsigned wide)
{
    t = type_strip(t);
    if (t->kind == TYPE_POINTER || t->kind == TYPE_FUNCTION)
        return true;
    return !t->is_signed && t->size >= wide;
}

static bool compare(const Node *n, uint64_t a, uint64_t b)
{
    const Type *s = type_strip(n->a->type), *t = type_strip(n->b->type);
    unsigned wide = MAX(MAX(s->size, t->size), 4u);
    bool plain = is_unsigned(s, wide) || is_unsigned(t, wide);
    if (plain && wide == 4) {
        a = (uint32_t)a;
        b = (uint32_t)b;
    }
    switch (n->op) {
    case OP_EQ: return a == b;
    case OP_NE: return a != b;
    case '<': return plain ? a < b : (int64_t)a < (int64_t)b;
    case '>': return plain ? a > b : (int64_t)a > (int64_t)b;
    case OP_LE: return plain ? a <= b : (int64_t)a <= (int64_t)b;
    default: return plain ? a >= b : (int64_t)a >= (int64_t)b;
    }
}

static gboolean operate(const Work *w, const Node *n, uint64_t a, uint64_t b, uint64_t *v)
{
    switch (n->op) {
    case '+': *v = a + b; break;
    case '-': *v = a - b; break;
    case '*': *v = a * b; break;
    case '&': *v = a & b; break;
    case '|': *v = a | b; break;
    case '^': *v = a ^ b; break;
    case OP_SHL: case OP_SHR: *v = shift(n, a, b); break;
    case '/': case '%': return divide(w, n, a, b, v);
    default: *v = compare(n, a, b); break;
    }
    return TRUE;
}

static gboolean binary_value(const Work *w, const Node *n, uint64_t *v)
{
    uint64_t a, b;
    if (!node_value(w, n->a, &a))
        return FALSE;
    if (n->op == OP_AND || n->op == OP_OR) {
        *v = n->op == OP_OR;
        if ((a != 0) == (n->op == OP_OR))
            return TRUE;
        if (!node_value(w, n->b, &b))
            return FALSE;
        *v = b != 0;
        return TRUE;
    }
    if (!node_value(w, n->b, &b))
        return FALSE;
    if (n->op == '/' || n->op == '%') { /* in the common type, as 32-bit unsigned numbers count differently there */
        a = type_fit(n->type, a);
        b = type_fit(n->type, b);
    }
    return operate(w, n, a, b, v);
}

static gboolean unary_value(const Work *w, const Node *n, uint64_t *v)
{
    if (!node_value(w, n->a, v))
        return FALSE;
    switch (n->op) {
    case '-': *v = -*v; break;
    case '~': *v = ~*v; break;
    case '!': *v = !*v; break;
    default: break;
    }
    return TRUE;
}

/* ---- segments ---- */

/* The base that a selector's descriptor has; 64-bit code takes no base from tables (SDM vol. 3A 3.4.4). */
static gboolean selector_base(const Work *w, uint64_t selector, uint64_t *base)
{
    Cpu *cpu = w->cpu;
    uint8_t bytes[8];
    const Segment *ldt = &cpu->seg[SEG_LDTR];
    TablePtr table = selector & 4 ? (TablePtr){ .base = ldt->base, .limit = ldt->limit } : cpu->gdtr;
    *base = 0;
    if (selector > 0xffff)
        return error_set(w->err, "0x%" PRIx64 " is no selector: it has more than 16 bits", selector);
    if (!cpu->protected_mode) {
        *base = selector << 4;
        return TRUE;
    }
    if (cpu->code_size == SZ64 || selector <= 3)
        return TRUE;
    uint64_t at = selector & ~UINT64_C(7);
    if (at + 7 > table.limit || ((selector & 4) && !(ldt->attr & SA_P)))
        return error_set(w->err, "selector 0x%" PRIx64 " is outside its descriptor table", selector);
    if (!debugger_read(cpu, table.base + at, bytes, sizeof bytes))
        return error_set(w->err, "the descriptor of selector 0x%" PRIx64 " is not mapped", selector);
    Descriptor d = { .w0 = ld32le(bytes), .w1 = ld32le(bytes + 4) };
    *base = descriptor_base(&d);
    return TRUE;
}

static uint64_t linear(const Cpu *cpu, uint64_t base, uint64_t offset)
{
    return cpu->code_size == SZ64 ? base + offset : (uint32_t)(base + offset);
}

/* In 64-bit code only FS and GS have a base. */
static gboolean segment_value(const Work *w, const Node *n, uint64_t *v)
{
    uint64_t selector, offset, base;
    const Cpu *cpu = w->cpu;
    if (!node_value(w, n->b, &offset))
        return FALSE;
    if (n->number < SEG_COUNT) {
        bool has_base = cpu->code_size != SZ64 || n->number >= SEG_FS;
        base = has_base ? cpu->seg[n->number].base : 0;
    } else if (!node_value(w, n->a, &selector) || !selector_base(w, selector, &base)) {
        return FALSE;
    }
    *v = linear(cpu, base, offset);
    return TRUE;
}

/* ---- all ---- */

static uint64_t stack_pointer(const Work *w)
{
    const Cpu *cpu = w->cpu;
    if (w->frame)
        return w->frame->reg[DWARF_RSP];
    return cpu->code_size == SZ64 ? cpu->gpr[R_SP] : linear(cpu, cpu->seg[SEG_SS].base, cpu->gpr[R_SP] & cpu->sp_mask);
}

static gboolean place_node_value(const Work *w, const Node *n, uint64_t *v)
{
    Place place;
    const Type *t = type_strip(n->type);
    if (!node_place(w, n, &place))
        return FALSE;
    if (type_is_scalar(t))
        return place_value(w, &place, t, v);
    if (place.kind == PLACE_REGISTER && !place.skip) {
        *v = cpu_register_get(w->cpu, &place.reg);
        return TRUE;
    }
    if (place.kind != PLACE_MEMORY || t->kind == TYPE_FLOAT)
        return error_set(w->err, t->kind == TYPE_FLOAT ? "a floating-point number can only be printed"
                                                       : "it has no address: it is not in memory");
    *v = place.address;
    return TRUE;
}

static gboolean address_value(const Work *w, const Node *n, uint64_t *v)
{
    Place place;
    if (!node_place(w, n->a, &place))
        return FALSE;
    if (place.kind == PLACE_REGISTER || place.kind == PLACE_BYTES)
        return error_set(w->err, "it has no address: it is not in memory");
    *v = place.address;
    return TRUE;
}

static gboolean raw_value(const Work *w, const Node *n, uint64_t *v)
{
    switch (n->kind) {
    case NODE_NUMBER: *v = n->number; return TRUE;
    case NODE_CPU: *v = w->cpu->index; return TRUE;
    case NODE_PC: *v = w->frame ? w->frame->pc : cpu_linear_rip(w->cpu); return TRUE;
    case NODE_SP: *v = stack_pointer(w); return TRUE;
    case NODE_FLAG: *v = cpu_eflags(w->cpu) >> n->number & 1; return TRUE;
    case NODE_TYPE: return error_set(w->err, "a type has no value: sizeof and ptype take one");
    case NODE_UNARY: return unary_value(w, n, v);
    case NODE_BINARY: return binary_value(w, n, v);
    case NODE_CONDITION: return node_value(w, n->a, v) && node_value(w, *v ? n->b : n->c, v);
    case NODE_CAST: return node_value(w, n->a, v);
    case NODE_SEGMENT: return segment_value(w, n, v);
    case NODE_ADDRESS: return address_value(w, n, v);
    default: return place_node_value(w, n, v);
    }
}

gboolean node_value(const Work *w, const Node *n, uint64_t *v)
{
    const Type *t = n->type;
    if (!raw_value(w, n, v))
        return FALSE;
    if (type_is_scalar(t))
        *v = type_fit(t, *v);
    return TRUE;
}
