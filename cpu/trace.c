/* What a CPU did last: branches and events (trace.h). */
#include "cpu/trace.h"

#include <inttypes.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/profile.h"
#include "cpu/rows.h"
#include "cpu/trace_file.h"

_Static_assert(ROW_COUNT <= TRACE_ROW_MASK, "a row's number fits into a slot");

void trace_join(Cpu *cpu)
{
    cpu->trace = g_new0(CpuTrace, 1);
    cpu->branches_kept = true;
    trace_clear(cpu);
}

void trace_leave(Cpu *cpu)
{
    trace_buffer_free(cpu->trace->file);
    g_free(cpu->trace);
}

static void clear_slots(Cpu *cpu)
{
    for (unsigned k = 0; k < TRACE_SLOTS; k++)
        cpu->trace_ring.to[k] = TRACE_EMPTY;
    cpu->trace_ring.at = 0;
}

void trace_clear(Cpu *cpu)
{
    CpuTrace *t = cpu->trace;
    clear_slots(cpu);
    t->branches = t->events = 0;
}

/* ---- branches: the two lists to one ---- */

#define ITEMS_MAX (TRACE_BRANCHES + TRACE_SLOTS)

/* From the newest to the oldest: a branch of C, a slot, or a mark. */
typedef struct Item {
    enum { ITEM_BRANCH, ITEM_SLOT, ITEM_MARK } what;
    TraceBranch branch;  /* of a slot: `to` alone */
    uint32_t from;       /* of a slot */
    uint64_t page;       /* of a mark */
} Item;

typedef struct Merge {
    Cpu *cpu;
    Item item[ITEMS_MAX];
    unsigned count;
    uint64_t branch, first;  /* of C: the number of those not taken yet, and of those overwritten */
    uint32_t slot;           /* likewise the number of slots not taken yet */
    uint32_t entry[TRACE_SLOTS]; /* entries of the jump cache that were others' before, the oldest change last */
    uint64_t la[TRACE_SLOTS];
    unsigned replaced;
} Merge;

static const TraceBranch *next_branch(const Merge *m)
{
    return m->branch > m->first ? &m->cpu->trace->branch[(m->branch - 1) % TRACE_BRANCHES] : NULL;
}

static void take_branch(Merge *m)
{
    m->item[m->count++] = (Item){ .what = ITEM_BRANCH, .branch = *next_branch(m) };
    m->branch--;
}

/* The address that an entry of the jump cache was for, at the point that the merge has come to. */
static uint64_t entry_address(const Merge *m, uint32_t entry)
{
    for (unsigned k = m->replaced; k-- > 0;)
        if (m->entry[k] == entry)
            return m->la[k];
    return m->cpu->jump[entry / sizeof(JumpEntry) % JUMP_CACHE_SIZE].la;
}

static void take_slot(Merge *m)
{
    const TraceRing *r = &m->cpu->trace_ring;
    unsigned k = --m->slot % TRACE_SLOTS;
    uint64_t page = m->cpu->trace->page[k];
    uint32_t to = r->to[k];
    switch (to & TRACE_WHAT) {
    case TRACE_MARK:
        m->item[m->count++] = (Item){ .what = ITEM_MARK, .page = page };
        break;
    case TRACE_REPLACED:
        m->entry[m->replaced] = to & ~TRACE_WHAT;
        m->la[m->replaced++] = page;
        break;
    default:
        m->item[m->count++] = (Item){ .what = ITEM_SLOT, .from = r->from[k], .branch.to = entry_address(m, to) };
    }
}

/* Slots are kept as far as the ring reaches back. */
static bool has_slot(const Merge *m)
{
    const TraceRing *r = &m->cpu->trace_ring;
    return r->at - m->slot < TRACE_SLOTS && r->to[(m->slot - 1) % TRACE_SLOTS] != TRACE_EMPTY;
}

static void collect(Merge *m)
{
    const CpuTrace *t = m->cpu->trace;
    bool slots = !t->exact; /* exact: they were drained */
    m->slot = m->cpu->trace_ring.at;
    m->branch = t->branches;
    m->first = t->branches > TRACE_BRANCHES ? t->branches - TRACE_BRANCHES : 0;
    for (const TraceBranch *b; (b = next_branch(m)) || (slots && has_slot(m));) {
        if (b && (int32_t)(b->slots - m->slot) >= 0)
            take_branch(m);
        else if (slots && has_slot(m))
            take_slot(m);
        else
            break;
    }
    unsigned known = m->count;
    while (next_branch(m))
        take_branch(m);
    if (m->count > known && known) /* slots among these were overwritten */
        m->item[known - 1].branch.flags |= TRACE_LOST;
}

static uint64_t page_of(uint64_t la) { return la & GUEST_PAGE_MASK; }

static TraceBranch slot_branch(uint32_t from, uint64_t to, uint64_t page, bool page_known)
{
    return (TraceBranch){ .from = page_known ? page | (from & ~GUEST_PAGE_MASK) : 0, .to = to,
                          .row = from >> TRACE_ROW_SHIFT & TRACE_ROW_MASK,
                          .flags = page_known ? 0 : TRACE_FROM_UNKNOWN };
}

/* From the oldest item to the newest; the page is known from the first mark or target on. */
static unsigned resolve(const Merge *m, TraceBranch *all)
{
    unsigned n = 0, flags = 0;
    uint64_t page = 0;
    bool page_known = false;
    for (unsigned k = m->count; k-- > 0;) {
        const Item *i = &m->item[k];
        flags |= i->branch.flags & TRACE_LOST;
        if (i->what == ITEM_BRANCH) {
            all[n] = i->branch;
        } else if (i->what == ITEM_SLOT) {
            all[n] = slot_branch(i->from, i->branch.to, page, page_known);
            flags |= TRACE_SKIPPED;
        }
        if (i->what == ITEM_BRANCH || (i->what == ITEM_SLOT && !(i->from & TRACE_FALL))) {
            all[n++].flags |= flags;
            flags = 0;
        }
        if (i->what != ITEM_BRANCH) {
            page = i->what == ITEM_MARK ? i->page : page_of(i->branch.to);
            page_known = true;
            flags |= TRACE_SKIPPED;
        }
    }
    return n;
}

static unsigned merge(Cpu *cpu, TraceBranch *all)
{
    Merge *m = g_new0(Merge, 1);
    m->cpu = cpu;
    collect(m);
    unsigned n = resolve(m, all);
    g_free(m);
    return n;
}

unsigned trace_branches(Cpu *cpu, TraceBranch *out, unsigned max)
{
    TraceBranch *all = g_new(TraceBranch, ITEMS_MAX);
    if (cpu->trace->exact)
        trace_settle(cpu);
    unsigned n = merge(cpu, all), given = MIN(n, max);
    memcpy(out, all + n - given, given * sizeof *out);
    g_free(all);
    return given;
}

/* ---- exact ---- */

/* With no slots before it: they are drained, or about to be cleared. */
static void append(CpuTrace *t, const TraceBranch *b)
{
    TraceBranch *to = &t->branch[t->branches++ % TRACE_BRANCHES];
    *to = *b;
    to->slots = 0;
}

static void append_exact(Cpu *cpu, const TraceBranch *b)
{
    append(cpu->trace, b);
    if (cpu->trace->file)
        trace_buffer_branch(cpu->trace->file, cpu, b);
}

static void drain_slot(Cpu *cpu, unsigned k)
{
    CpuTrace *t = cpu->trace;
    uint32_t what = cpu->trace_ring.to[k], from = cpu->trace_ring.from[k];
    if ((what & TRACE_WHAT) == TRACE_MARK) {
        t->drain_page = t->page[k];
        return;
    }
    bool within = (what & TRACE_WHAT) == TRACE_IN_PAGE;
    uint64_t to = within ? t->drain_page | (what & ~TRACE_WHAT) : cpu->jump[what / sizeof(JumpEntry) % JUMP_CACHE_SIZE].la;
    TraceBranch b = slot_branch(from, to, t->drain_page, true);
    t->drain_page = page_of(to);
    if (!(from & TRACE_FALL))
        append_exact(cpu, &b);
}

static void drain(Cpu *cpu, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        drain_slot(cpu, k);
    cpu->trace_ring.at = 0;
}

void trace_slots_full(Cpu *cpu) { drain(cpu, TRACE_SLOTS); }

void trace_branch_exact(Cpu *cpu, const TraceBranch *b)
{
    drain(cpu, cpu->trace_ring.at);
    append_exact(cpu, b);
}

void trace_settle(Cpu *cpu)
{
    CpuTrace *t = cpu->trace;
    if (t->exact) {
        drain(cpu, cpu->trace_ring.at);
        return;
    }
    TraceBranch *all = g_new(TraceBranch, ITEMS_MAX);
    unsigned n = merge(cpu, all);
    t->branches = 0;
    for (unsigned k = n - MIN(n, TRACE_BRANCHES); k < n; k++)
        append(t, &all[k]);
    clear_slots(cpu);
    g_free(all);
}

void trace_set_kept(Cpu *cpu, bool kept)
{
    CpuTrace *t = cpu->trace;
    if (cpu->branches_kept == kept || t->exact)
        return;
    clear_slots(cpu);
    t->branches = 0;
    cpu->branches_kept = kept;
    code_flush(cpu->code);
}

/* What was recompiled goes with the jump cache, and the slots before it. */
void trace_set_exact(Cpu *cpu, bool exact)
{
    trace_set_kept(cpu, true);
    if (cpu->trace->exact == exact)
        return;
    trace_settle(cpu);
    clear_slots(cpu);
    cpu->trace->exact = exact;
    code_flush(cpu->code);
}

void trace_set_steps(Cpu *cpu, bool steps)
{
    cpu->traced_steps = steps;
    cpu_update_mode(cpu);
}

/* ---- what a branch is ---- */

TraceKind trace_branch_kind(const TraceBranch *b)
{
    static const struct { const char *prefix; TraceKind kind; } kinds[] = {
        { "jmp", TRACE_JMP }, { "j", TRACE_JCC }, { "loop", TRACE_JCC }, { "call", TRACE_CALL }, { "ret", TRACE_RET },
        { "iret", TRACE_IRET }, { "int", TRACE_INT }, { "syscall", TRACE_SYSCALL }, { "sysenter", TRACE_SYSCALL },
        { "sysret", TRACE_SYSRET }, { "sysexit", TRACE_SYSRET },
    };
    if (b->flags & TRACE_BY_EVENT)
        return TRACE_INT;
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds) && b->row < insn_row_count; k++)
        if (g_str_has_prefix(insn_rows[b->row].mnemonic, kinds[k].prefix))
            return kinds[k].kind;
    return TRACE_OTHER;
}

const char *trace_branch_name(const TraceBranch *b, char buffer[24])
{
    if (!(b->flags & TRACE_BY_EVENT))
        return b->row < insn_row_count ? insn_rows[b->row].mnemonic : "?";
    g_snprintf(buffer, 24, "vector 0x%x", b->row);
    return buffer;
}

/* ---- events ---- */

/* Reading the clock costs as much as the rest: not where a guest's work is made of such events. */
static int64_t event_time(Cpu *cpu, TraceEventKind kind, unsigned vector)
{
    bool often = kind == TRACE_SOFTWARE || (kind == TRACE_EXCEPTION && vector == EXC_PF);
    return often ? 0 : clock_now(cpu->machine->clocks, MYNA_CLOCK_VIRTUAL);
}

uint64_t trace_event(Cpu *cpu, TraceEventKind kind, unsigned vector, bool has_error, uint32_t error, uint64_t value)
{
    CpuTrace *t = cpu->trace;
    TraceEvent *e = &t->event[t->events++ % TRACE_EVENTS];
    *e = (TraceEvent){
        .kind = kind, .vector = vector, .cpl = cpu->cpl, .has_error = has_error, .error = error, .value = value,
        .cs = cpu->seg[SEG_CS].sel, .rip = cpu->rip, .la = trace_linear(cpu, trace_linear_base(cpu), cpu->rip),
        .sp = cpu->gpr[R_SP] & cpu->sp_mask, .number = t->events,
        .time = event_time(cpu, kind, vector),
    };
    if (unlikely(t->file != NULL))
        trace_buffer_event(t->file, cpu, e);
    return t->events;
}

void trace_event_done(Cpu *cpu, uint64_t number)
{
    TraceEvent *e = &cpu->trace->event[(number - 1) % TRACE_EVENTS];
    if (e->number != number)
        return;
    e->delivered = true;
    e->to_cs = cpu->seg[SEG_CS].sel;
    e->to = trace_linear(cpu, trace_linear_base(cpu), cpu->rip);
    if (e->kind == TRACE_EXCEPTION || e->kind == TRACE_INTERRUPT || e->kind == TRACE_NMI)
        trace_branch(cpu, e->la, e->to, e->vector, TRACE_BY_EVENT);
}

unsigned trace_events(const Cpu *cpu, const TraceEvent **out, unsigned max)
{
    const CpuTrace *t = cpu->trace;
    unsigned n = MIN(MIN(t->events, TRACE_EVENTS), max);
    for (unsigned k = 0; k < n; k++)
        out[k] = &t->event[(t->events - n + k) % TRACE_EVENTS];
    return n;
}

const char *trace_event_name(const TraceEvent *e, char buffer[32])
{
    static const char *const formats[TRACE_EVENT_KINDS] = {
        [TRACE_EXCEPTION] = "exception %u", [TRACE_INTERRUPT] = "interrupt 0x%02x", [TRACE_SOFTWARE] = "int 0x%02x",
        [TRACE_NMI] = "NMI", [TRACE_SMI] = "SMI", [TRACE_INIT] = "INIT", [TRACE_TRIPLE_FAULT] = "triple fault",
    };
    static const char *const exceptions[32] = {
        "#DE", "#DB", NULL, "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS", "#NP", "#SS", "#GP", "#PF", NULL,
        "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    };
    if (e->kind == TRACE_EXCEPTION && e->vector < 32 && exceptions[e->vector])
        return exceptions[e->vector];
    if (e->kind == TRACE_TASK)
        g_snprintf(buffer, 32, "task 0x%04x", (unsigned)e->value);
    else if (e->kind == TRACE_VMEXIT)
        g_snprintf(buffer, 32, "VM exit 0x%" PRIx64, e->value);
    else
        g_snprintf(buffer, 32, formats[e->kind], e->vector);
    return buffer;
}

/* ---- instruction by instruction ---- */

void trace_sample(Cpu *cpu)
{
    if (cpu->trace->profile)
        profile_sample(cpu->trace->profile, cpu);
}

void trace_step(Cpu *cpu, uint64_t la)
{
    CpuTrace *t = cpu->trace;
    if (t->file)
        trace_buffer_insn(t->file, cpu, la);
    if (t->period && !--t->left) {
        t->left = t->period;
        trace_sample(cpu);
    }
}
