/*
 * One check for several accesses.
 *
 * Instructions that follow each other and each only load, or each only store, at small distances off the same base
 * register become one: a single REF covers all their bytes, and their operands lie at `at` from it.  When it fails, the
 * slow path does all of them one after the other.  Block copies by vectors and the filling of structures look so.
 */
#include "tcg/ir.h"

/* Bytes that one check may cover. */
#define MERGED_BYTES 64

/* An instruction that is a check and a move. */
typedef struct Access {
    const IrOp *ref, *use;
} Access;

static bool is_move(const IrOp *op) { return op->code == IR_MOV || op->code == IR_VSET || op->code == IR_AVX; }

static bool reads(const IrOp *ref) { return ref->code == IR_REF_R || ref->code == IR_REF_X; }
static bool aligned(const IrOp *ref) { return ref->code == IR_REF_X || ref->code == IR_REF_XW; }

/* Whether the instruction that begins with operation k is one. */
static bool find_access(const IrUnit *u, unsigned k, Access *x)
{
    if (k + 3 >= u->count || u->op[k].code != IR_INSN || u->op[k + 3].code != IR_INSN)
        return false;
    *x = (Access){ &u->op[k + 1], &u->op[k + 2] };
    if (x->ref->code < IR_REF_R || x->ref->code > IR_REF_XW || !is_move(x->use) || x->ref->mem.index != R_NONE)
        return false;
    if (reads(x->ref))
        return x->use->a == ir_m(0) && !ir_is_h(x->use->dst);
    return x->use->dst == ir_m(0) && !ir_is_h(x->use->a);
}

static bool same_base(const IrMem *a, const IrMem *b)
{
    return a->base == b->base && a->seg == b->seg && a->bits == b->bits;
}

/* How many accesses from operation k on go together; *low and *bytes: what they cover. */
static unsigned count_group(const IrUnit *u, unsigned k, int32_t *low, unsigned *bytes)
{
    Access first = { NULL, NULL }, x;
    unsigned n = 0;
    int64_t from = 0, to = 0;
    for (; find_access(u, k, &x); k += 3, n++) {
        const IrMem *m = &x.ref->mem;
        if (!n)
            first = x;
        if (x.ref->code != first.ref->code || !same_base(m, &first.ref->mem) ||
            (aligned(x.ref) && (x.ref->from != first.ref->from || (m->disp - first.ref->mem.disp) % x.ref->from)))
            break;
        int64_t low_now = n ? MIN(from, m->disp) : m->disp, end = (int64_t)m->disp + x.ref->size;
        int64_t high_now = n ? MAX(to, end) : end;
        if (high_now - low_now > MERGED_BYTES)
            break;
        from = low_now;
        to = high_now;
        if (reads(x.ref) && m->base < R_NONE && ir_writes_register(x.use, m->base)) {
            n++;
            break;
        }
    }
    *low = from;
    *bytes = to - from;
    return n;
}

/* Moves a group of n to place `to`: the first INSN, its REF widened, and the moves. */
static unsigned write_group(IrUnit *u, unsigned to, unsigned k, unsigned n, int32_t low, unsigned bytes)
{
    IrOp insn = u->op[k], ref = u->op[k + 1];
    ref.mem.disp = low;
    ref.size = (bytes & (bytes - 1)) == 0 ? bytes : (bytes + 7) & ~7u; /* what a check can be for */
    u->span[insn.imm] = n;
    u->op[to++] = insn;
    unsigned place = to++;
    for (unsigned j = 0; j < n; j++) {
        IrOp use = u->op[k + 3 * j + 2];
        use.at = u->op[k + 3 * j + 1].mem.disp - low;
        use.part = j;
        u->op[to++] = use;
    }
    u->op[place] = ref;
    return to;
}

void ir_merge_checks(IrUnit *u)
{
    unsigned to = 0;
    for (unsigned k = 0; k < u->count;) {
        int32_t low;
        unsigned bytes, n = u->op[k].code == IR_INSN ? count_group(u, k, &low, &bytes) : 0;
        if (n >= 2) {
            to = write_group(u, to, k, n, low, bytes);
            k += 3 * n;
        } else {
            u->op[to++] = u->op[k++];
        }
    }
    u->count = to;
}
