/* Running units twice (verify.h). */
#include "tcg/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "tcg/log.h"

/* Bytes noted around a memory operand, and below and above the stack pointer. */
#define OPERAND_BELOW 8
#define OPERAND_BYTES 72
#define STACK_BELOW 64
#define STACK_BYTES 80
#define NOTES_AN_INSN 6
#define NOTES_MAX (IR_MAX_INSNS * NOTES_AN_INSN * 2)
#define ROUNDS 4

/* Bytes of RAM within one page that an instruction may write. */
typedef struct Note {
    uint64_t la;
    uint8_t *host;
    unsigned size;
    uint8_t before[STACK_BYTES], interpreted[STACK_BYTES];
} Note;

/* What a unit can change besides memory. */
typedef struct State {
    uint64_t gpr[16], rip;
    uint64_t cc_z, cc_sp, cc_aux;
    uint32_t flags, mxcsr; /* all of EFLAGS */
    Fpu fpu;
    uint64_t vec[32][8];
    uint64_t opmask[8];
} State;

struct Verify {
    State before, interpreted;
    Note note[NOTES_MAX];
    unsigned notes, rounds;
    uint32_t undefined;   /* flags that the path leaves undefined */
    uint8_t reach[ROW_COUNT]; /* REACH_*, by row */
    uint64_t runs, compared;
    const Block *running; /* in host code */
    bool failed;
};

/* What memory a row's instructions reach besides ModRM's. */
enum { REACH_OFFSET = 1, REACH_SI = 2, REACH_DI = 4, REACH_PUSH = 8 };

static uint8_t find_reach(const InsnRow *row)
{
    bool pushes = g_str_has_prefix(row->mnemonic, "push") || g_str_has_prefix(row->mnemonic, "call");
    return (strchr(row->operands, 'O') ? REACH_OFFSET : 0) | (strchr(row->operands, 'X') ? REACH_SI : 0) |
           (strchr(row->operands, 'Y') ? REACH_DI : 0) | (pushes ? REACH_PUSH : 0);
}

Verify *verify_new(void)
{
    Verify *v = g_new0(Verify, 1);
    for (unsigned row = 0; row < ROW_COUNT; row++)
        v->reach[row] = find_reach(&insn_rows[row]);
    return v;
}

void verify_free(Verify *v) { g_free(v); }
uint64_t verify_compared(const Verify *v) { return v->compared; }

/* ---- which instructions ---- */

/* A bit string in memory: its address depends on the bit's number too. */
static bool is_bit_string(const Insn *i, const InsnRow *row)
{
    return i->mem && row->mnemonic[0] == 'b' && row->mnemonic[1] == 't' && !strcmp(row->operands, "Ev,Gv");
}

/* Whether all that the instruction does can be noted and undone. */
static bool can_be_undone(const Insn *i)
{
    if (i->row >= insn_row_count)
        return false;
    const InsnRow *row = &insn_rows[i->row];
    if (row->attr & (A_NOUSER | A_PRIV | A_SERIAL | A_REP | A_END))
        return false;
    bool large = !strcmp(row->operands, "M") || !strcmp(row->mnemonic, "enter");
    return !large && !g_str_has_prefix(row->mnemonic, "maskmov") && !g_str_has_prefix(row->mnemonic, "vmaskmovdqu") &&
           !strstr(row->encoding, "vsib") && !is_bit_string(i, row);
}

bool verify_cut(IrUnit *u)
{
    unsigned keep = 0;
    while (keep < u->insns && can_be_undone(&u->block->insn[keep]))
        keep++;
    if (keep < u->insns) {
        while (u->op[u->count - 1].code != IR_INSN || u->op[u->count - 1].imm != keep)
            u->count--;
        IrOp *exit = &u->op[u->count - 1];
        *exit = (IrOp){ .code = IR_EXIT, .dst = IR_NONE, .a = IR_NONE, .b = IR_NONE, .imm = u->insn_offset[keep] };
        u->insns = keep;
    }
    u->block->count = u->insns;
    return keep > 0;
}

uint64_t verify_loops(const IrUnit *u)
{
    uint64_t loops = 0;
    unsigned insn = 0;
    for (unsigned k = 0; k < u->count; k++) {
        const IrOp *op = &u->op[k];
        if (op->code == IR_INSN)
            insn = op->imm;
        else if ((op->code == IR_JCC || op->code == IR_EXIT) && op->imm == (int64_t)u->page_offset)
            loops |= BIT(insn);
    }
    return loops;
}

/* ---- state ---- */

static void save(State *s, const Cpu *cpu)
{
    memcpy(s->gpr, cpu->gpr, sizeof s->gpr);
    s->rip = cpu->rip;
    s->cc_z = cpu->cc_z;
    s->cc_sp = cpu->cc_sp;
    s->cc_aux = cpu->cc_aux;
    s->flags = cpu_eflags(cpu);
    s->mxcsr = cpu->mxcsr;
    s->fpu = cpu->fpu;
    memcpy(s->vec, cpu->vec, sizeof s->vec);
    memcpy(s->opmask, cpu->opmask, sizeof s->opmask);
}

static void restore(Cpu *cpu, const State *s)
{
    memcpy(cpu->gpr, s->gpr, sizeof s->gpr);
    cpu->rip = s->rip;
    cpu->cc_z = s->cc_z;
    cpu->cc_sp = s->cc_sp;
    cpu->cc_aux = s->cc_aux;
    cpu->eflags = s->flags & ~(F_ARITH | EFLAGS_FIXED);
    cpu->mxcsr = s->mxcsr;
    cpu->fpu = s->fpu;
    memcpy(cpu->vec, s->vec, sizeof s->vec);
    memcpy(cpu->opmask, s->opmask, sizeof s->opmask);
}

/* ---- memory ---- */

/* Host address of the RAM at a linear address, or NULL; *device: something else is there. */
static uint8_t *find_ram(Cpu *cpu, uint64_t la, bool *device)
{
    const TlbEntry *e = &cpu->tlb_data[tlb_index(la)];
    uint64_t page = la & GUEST_PAGE_MASK;
    Translation t;
    if (e->host && (e->read | TLB_SLOW) == (page | TLB_SLOW))
        return (uint8_t *)(e->host + (uintptr_t)(la - page));
    if (!mmu_walk(cpu, la, &t))
        return NULL;
    if ((t.gpa & GUEST_PAGE_MASK) == cpu->intc_page) {
        *device = true;
        return NULL;
    }
    AsTarget target = as_lookup(cpu->machine->memory, t.gpa);
    *device |= !target.host;
    return target.host;
}

/* Notes size bytes at la; false when no RAM is there, and the run cannot be done again. */
static bool note(Verify *v, Cpu *cpu, uint64_t la, unsigned below, unsigned size)
{
    bool device = false;
    uint64_t mask = cpu->code_size == SZ64 ? ~UINT64_C(0) : 0xffffffff;
    find_ram(cpu, la & mask, &device);
    if (device)
        return false;
    for (uint64_t at = la - below, end = at + size; at != end;) {
        unsigned n = MIN(end - at, GUEST_PAGE_SIZE - (at & ~GUEST_PAGE_MASK));
        bool ignored;
        uint8_t *host = find_ram(cpu, at & mask, &ignored);
        if (host) {
            Note *w = &v->note[v->notes++];
            w->la = at & mask;
            w->host = host;
            w->size = n;
            memcpy(w->before, host, n);
        }
        at += n;
    }
    return true;
}

/* Notes what the instruction at hand may write, and sees to it that it reads no device. */
static bool note_operands(Verify *v, Cpu *cpu, const Insn *i)
{
    unsigned reach = v->reach[i->row];
    uint64_t base = cpu->seg[i->seg].base;
    bool ok = true;
    if (cpu->code_size == SZ64 && i->seg < SEG_FS)
        base = 0;
    if (i->mem)
        ok = note(v, cpu, base + insn_ea(cpu, i), OPERAND_BELOW, OPERAND_BYTES);
    if (reach & REACH_OFFSET)
        ok &= note(v, cpu, base + i->imm, 0, 8);
    if (reach & REACH_SI)
        ok &= note(v, cpu, base + cpu->gpr[R_SI], 0, 8);
    if (reach & REACH_DI)
        ok &= note(v, cpu, cpu->gpr[R_DI], 0, 8);
    if (reach & REACH_PUSH)
        ok &= note(v, cpu, cpu->gpr[R_SP], STACK_BELOW, STACK_BYTES);
    return ok;
}

/* Only bytes that were changed are written: others may be written by a device meanwhile. */
static void put_back(uint8_t *host, const uint8_t *want, unsigned size)
{
    if (!memcmp(host, want, size))
        return;
    for (unsigned k = 0; k < size; k++)
        if (host[k] != want[k])
            host[k] = want[k];
}

static void undo_memory(Verify *v)
{
    for (unsigned k = 0; k < v->notes; k++)
        memcpy(v->note[k].interpreted, v->note[k].host, v->note[k].size);
    for (unsigned k = v->notes; k-- > 0;)
        put_back(v->note[k].host, v->note[k].before, v->note[k].size);
}

static void redo_memory(Verify *v)
{
    for (unsigned k = 0; k < v->notes; k++)
        put_back(v->note[k].host, v->note[k].interpreted, v->note[k].size);
}

/* Lets the next access to what was noted miss the TLB, or the micro TLB alone, or neither. */
static void forget_pages(const Verify *v, Cpu *cpu)
{
    if (v->runs % 3 == 0)
        return;
    micro_tlb_drop(&cpu->micro);
    if (v->runs % 3 == 1)
        return;
    for (unsigned k = 0; k < v->notes; k++) {
        unsigned index = tlb_index(v->note[k].la);
        cpu->tlb_data[index].read = cpu->tlb_data[index].write = tlb_invalid_tag(index);
    }
}

/* ---- the interpreter's run ---- */

/* The manual leaves some flags open; a shift by 0 leaves all as they are. */
static void follow_undefined(Verify *v, const InsnRow *row)
{
    bool may_write_nothing = row->flags_written && !(row->flags_written & ~row->flags_read);
    if (!may_write_nothing)
        v->undefined &= ~row->flags_written;
    v->undefined |= row->flags_undefined & F_ARITH;
}

typedef enum Step { STEP_ON, STEP_LEFT, STEP_UNSURE } Step;

static Step interpret_insn(Verify *v, Cpu *cpu, const Insn *i)
{
    const InsnRow *row = &insn_rows[i->row];
    uint64_t next = next_rip(cpu, i);
    unsigned key = cpu->key;
    bool sure = note_operands(v, cpu, i) && !(row->flags_read & ~row->flags_written & v->undefined);
    cpu->insn_end = i + 1;
    cpu->insn_count++;
    i->fn(cpu, i);
    if (!i->jump)
        cpu->rip = next;
    follow_undefined(v, row);
    if (!cpu->insn_end || cpu->key != key || cpu->shadow)
        return STEP_UNSURE;
    if (i->jump && cpu->rip != next)
        return sure ? STEP_LEFT : STEP_UNSURE;
    return sure && !(i->jump && i->imm == 0) ? STEP_ON : STEP_UNSURE;
}

/* From the unit's beginning to where it is left, by instruction *last.  false: this way cannot be gone again. */
static bool interpret_round(Verify *v, Cpu *cpu, const Block *unit, unsigned *last)
{
    bool sure = true;
    for (unsigned k = 0; k < unit->count; k++) {
        uint64_t next = next_rip(cpu, &unit->insn[k]);
        Step step = interpret_insn(v, cpu, &unit->insn[k]);
        *last = k;
        sure &= step != STEP_UNSURE;
        if (step == STEP_LEFT || !cpu->insn_end || cpu->shadow || cpu->rip != next)
            break;
    }
    return sure && unit->key != BLOCK_DEAD;
}

/* All rounds of a loop; v->rounds is how many. */
static bool interpret(Verify *v, Cpu *cpu, const Block *unit)
{
    uint64_t loops = ((const UnitCode *)unit->recompiled)->loops;
    unsigned wanted = 1 + v->runs % ROUNDS, last = 0;
    v->notes = v->undefined = v->rounds = 0;
    cpu->code->current = NULL;
    while (interpret_round(v, cpu, unit, &last)) {
        v->rounds++;
        bool around = cpu->rip == v->before.rip && (loops >> last & 1);
        if (!around || v->rounds == wanted || v->notes + unit->count * NOTES_AN_INSN > NOTES_MAX)
            return true;
    }
    return false;
}

/* ---- comparison ---- */

typedef struct Report {
    const Verify *v;
    const State *host;
    GString *out;
} Report;

static void compare(Report *r, const char *name, unsigned n, uint64_t before, uint64_t interpreted, uint64_t host)
{
    g_autofree char *text = g_strdup_printf(name, n);
    if (interpreted != host)
        g_string_append_printf(r->out, "  %-8s before %016" PRIx64 "  interpreter %016" PRIx64 "  recompiled %016"
                               PRIx64 "\n", text, before, interpreted, host);
}

#define COMPARE(name, n, field) compare(r, name, n, r->v->before.field, r->v->interpreted.field, r->host->field)

static void compare_float(Report *r)
{
    for (unsigned k = 0; k < 8; k++) {
        COMPARE("fpr%u", k, fpu.reg[k].mant);
        COMPARE("fpr%u exp", k, fpu.reg[k].sexp);
    }
    COMPARE("fcw", 0, fpu.control);
    COMPARE("fsw", 0, fpu.status);
    COMPARE("top", 0, fpu.top);
    COMPARE("ftw", 0, fpu.tags);
    COMPARE("fop", 0, fpu.opcode);
    COMPARE("fip", 0, fpu.ip);
    COMPARE("fdp", 0, fpu.dp);
    COMPARE("mxcsr", 0, mxcsr);
    for (unsigned k = 0; k < 32 * 8; k++)
        COMPARE("vector %03o", k, vec[k / 8][k % 8]);
    for (unsigned k = 0; k < 8; k++)
        COMPARE("k%u", k, opmask[k]);
}

static void compare_registers(Report *r)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    uint32_t defined = ~r->v->undefined;
    for (unsigned k = 0; k < 16; k++)
        COMPARE(names[k], 0, gpr[k]);
    COMPARE("rip", 0, rip);
    compare(r, "eflags", 0, r->v->before.flags & defined, r->v->interpreted.flags & defined, r->host->flags & defined);
}

/* Whether a note before note k has this byte too. */
static bool noted_before(const Verify *v, unsigned k, const uint8_t *host)
{
    for (unsigned j = 0; j < k; j++)
        if (host >= v->note[j].host && host < v->note[j].host + v->note[j].size)
            return true;
    return false;
}

static void compare_memory(Report *r)
{
    for (unsigned k = 0; k < r->v->notes; k++) {
        const Note *w = &r->v->note[k];
        for (unsigned n = 0; n < w->size; n++)
            if (w->host[n] != w->interpreted[n] && !noted_before(r->v, k, &w->host[n]))
                g_string_append_printf(r->out, "  [%016" PRIx64 "]  before %02x  interpreter %02x  recompiled %02x\n",
                                       w->la + n, w->before[n], w->interpreted[n], w->host[n]);
    }
}

static bool same_everywhere(const Verify *v, const State *host)
{
    const State *i = &v->interpreted;
    if (memcmp(i->gpr, host->gpr, sizeof i->gpr) || i->rip != host->rip ||
        ((i->flags ^ host->flags) & ~v->undefined) || memcmp(i->vec, host->vec, sizeof i->vec) ||
        memcmp(i->opmask, host->opmask, sizeof i->opmask) || i->mxcsr != host->mxcsr || memcmp(&i->fpu, &host->fpu, sizeof i->fpu))
        return false;
    for (unsigned k = 0; k < v->notes; k++)
        if (memcmp(v->note[k].host, v->note[k].interpreted, v->note[k].size))
            return false;
    return true;
}

/* Lines for all that differs; none when nothing does but padding. */
static GString *find_differences(const Verify *v, const State *host)
{
    Report r = { v, host, g_string_new(NULL) };
    compare_registers(&r);
    compare_float(&r);
    compare_memory(&r);
    return r.out;
}

static void print_state(const char *title, const State *s, GString *out)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15" };
    g_string_append_printf(out, "%s:\n", title);
    for (unsigned k = 0; k < 16; k++)
        g_string_append_printf(out, "  %s=%016" PRIx64 "%s", names[k], s->gpr[k], k % 4 == 3 ? "\n" : "");
    g_string_append_printf(out, "  rip=%016" PRIx64 "  eflags=%08x  mxcsr=%08x  fsw=%04x\n", s->rip, s->flags, s->mxcsr,
                           s->fpu.status | s->fpu.top << 11);
}

static void print_guest_code(Cpu *cpu, const Block *unit, uint64_t la, GString *out)
{
    g_string_append(out, "guest code:\n");
    for (unsigned k = 0; k < unit->count; k++) {
        uint8_t bytes[15];
        unsigned len = MIN(unit->insn[k].len, sizeof bytes);
        g_string_append_printf(out, "  %3u  0x%08" PRIx64 ":  ", k, la);
        if (cpu_read_linear(cpu, la, bytes, len))
            cpu_disassemble(unit->key & KEY_SIZE, la, bytes, len, out);
        g_string_append_c(out, '\n');
        la += len;
    }
}

/* The unit is translated once more, for its operations and the places of its instructions in the host code. */
static void print_translation(Engine *e, Block *unit, GString *out)
{
    UnitCode *code = unit->recompiled;
    if (!engine_translate(e, unit))
        return;
    g_string_append(out, "operations:\n");
    ir_print(&e->ir, out);
    UnitCode *again = e->backend->compile(e->back, &e->ir);
    g_string_append(out, "host code:\n");
    host_code_print(again ? &e->ir : NULL, again ? again : code, out);
    g_free(again);
}

/* The first difference: all there is to know of it, and the machine ends. */
static void fail(Engine *e, Cpu *cpu, Block *unit, const State *host, const char *differences)
{
    Verify *v = e->verify;
    static const char *const how[3] = { "", ", with an empty micro TLB", ", by slow paths" };
    g_autoptr(GString) out = g_string_new(NULL);
    v->failed = true;
    g_string_append_printf(out, "verify: recompiled code differs from the interpreter, at %016" PRIx64 " (run %" PRIu64
                           "%s)\n%s", v->before.rip, v->runs, how[v->runs % 3], differences);
    print_state("before", &v->before, out);
    print_state("interpreter", &v->interpreted, out);
    print_state("recompiled", host, out);
    print_guest_code(cpu, unit, v->before.rip, out);
    print_translation(e, unit, out);
    fputs(out->str, stderr);
    restore(cpu, &v->interpreted);
    redo_memory(v);
    machine_quit(cpu->machine, 1);
}

void verify_unwound(Engine *e, Cpu *cpu)
{
    Verify *v = e->verify;
    State host;
    if (!v->running)
        return;
    g_autofree char *text = g_strdup_printf("  only recompiled code raises an exception (vector %u, error %#x)\n",
                                            cpu->fault.vector, cpu->fault.error);
    save(&host, cpu);
    Block *unit = (Block *)v->running;
    v->running = NULL;
    cpu->fault.raised = false;
    fail(e, cpu, unit, &host, text);
}

/* An event keeps host code from running, or a loop from going round as often as it should: then its state stands. */
static bool was_cut_short(const Verify *v, const Cpu *cpu, const State *host)
{
    return atomic_load(&cpu->attention) && host->rip == v->before.rip;
}

static void run_host_code(Engine *e, Cpu *cpu, Block *unit)
{
    Verify *v = e->verify;
    const UnitCode *code = unit->recompiled;
    State host;
    v->running = unit;
    cpu->rec.went_elsewhere = false;
    cpu->rec.budget = (int64_t)(v->rounds + 1) * unit->count - 1; /* the next round does not begin */
    engine_enter(e, cpu, code->entry);
    v->running = NULL;
    save(&host, cpu);
    if (was_cut_short(v, cpu, &host) || cpu->rec.went_elsewhere)
        return;
    v->compared++;
    if (same_everywhere(v, &host))
        return;
    GString *differences = find_differences(v, &host);
    if (differences->len)
        fail(e, cpu, unit, &host, differences->str);
    g_string_free(differences, TRUE);
}

void verify_run(Engine *e, Cpu *cpu, Block *unit)
{
    Verify *v = e->verify;
    save(&v->before, cpu);
    if (!interpret(v, cpu, unit) || v->failed)
        return;
    save(&v->interpreted, cpu);
    undo_memory(v);
    restore(cpu, &v->before);
    v->runs++;
    forget_pages(v, cpu);
    run_host_code(e, cpu, unit);
}
