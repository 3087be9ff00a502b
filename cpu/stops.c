/* Where a debugger wants a CPU to stop (stops.h). */
#include "cpu/stops.h"

#include <stdlib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/group.h"
#include "cpu/mmu.h"
#include "util/endian.h"
#include "util/search.h"

/* Points in the order of their first address; reach[n] is the last address of all up to n. */
typedef struct PointSet {
    StopPoint *point;
    uint64_t *reach;
    unsigned count;
} PointSet;

typedef struct StopList {
    PointSet set[STOP_KINDS][2]; /* the second: of physical addresses */
    uint32_t kinds;
    StopsFn *fn;
    void *opaque;
} StopList;

#define PENDING_MAX 4
#define KEPT_BYTES 64

/* Bytes as they were before a write. */
typedef struct Kept {
    uint64_t la;
    unsigned size;
    uint8_t bytes[KEPT_BYTES];
} Kept;

struct CpuStops {
    bool pass, step_interrupts, reset_due;
    uint8_t mode;              /* what STOP_MODE compares with */
    uint64_t steps;
    Kept kept[2];              /* an access may cross pages */
    unsigned kept_next;
    StopHit pending[PENDING_MAX];
};

/* ---- sets ---- */

static int compare_points(const void *a, const void *b)
{
    const StopPoint *p = a, *q = b;
    return p->first < q->first ? -1 : p->first > q->first;
}

static void set_fill(PointSet *set, StopKind kind, bool physical, const StopPoint *points, unsigned count)
{
    set->point = g_new(StopPoint, count + 1);
    set->reach = g_new(uint64_t, count + 1);
    set->count = 0;
    for (unsigned k = 0; k < count; k++)
        if (points[k].kind == kind && points[k].physical == physical)
            set->point[set->count++] = points[k];
    qsort(set->point, set->count, sizeof *set->point, compare_points);
    for (unsigned k = 0; k < set->count; k++)
        set->reach[k] = MAX(set->point[k].last, k ? set->reach[k - 1] : 0);
}

/* How many points begin at or below `last`: those that overlap [first, last] are among them, from the end downwards. */
static unsigned set_below(const PointSet *set, uint64_t last)
{
    return search_upper(set->point, set->count, sizeof *set->point, offsetof(StopPoint, first), last);
}

/* The next point that overlaps [first, last], of those below *at, or NULL. */
static const StopPoint *set_next(const PointSet *set, uint64_t first, unsigned *at)
{
    while (*at && set->reach[*at - 1] >= first)
        if (set->point[--*at].last >= first)
            return &set->point[*at];
    return NULL;
}

static const StopPoint *set_find(const PointSet *set, uint64_t first, uint64_t last)
{
    unsigned at = set_below(set, last);
    return set_next(set, first, &at);
}

static StopList *list_new(const StopPoint *points, unsigned count, StopsFn *fn, void *opaque)
{
    StopList *l = g_new0(StopList, 1);
    l->fn = fn;
    l->opaque = opaque;
    for (unsigned kind = 0; kind < STOP_KINDS; kind++)
        for (unsigned physical = 0; physical < 2; physical++) {
            set_fill(&l->set[kind][physical], kind, physical, points, count);
            if (l->set[kind][physical].count)
                l->kinds |= 1u << kind;
        }
    return l;
}

static void list_free(StopList *l)
{
    for (unsigned kind = 0; l && kind < STOP_KINDS; kind++)
        for (unsigned physical = 0; physical < 2; physical++) {
            g_free(l->set[kind][physical].point);
            g_free(l->set[kind][physical].reach);
        }
    g_free(l);
}

static const PointSet *points_of(const Cpu *cpu, StopKind kind, bool physical)
{
    return &cpu->group->stops->set[kind][physical];
}

/* ---- telling ---- */

static StopHit hit_here(const Cpu *cpu, StopKind kind)
{
    return (StopHit){ .kind = kind, .cs = cpu->seg[SEG_CS].sel, .rip = cpu->rip, .la = cpu_linear_rip(cpu) };
}

static void stop_all(Cpu *cpu)
{
    for (unsigned k = 0; k < cpu->group->count; k++)
        cpu_post_event(cpu->group->cpus[k], EVENT_STOP);
}

/* Whether the CPU is to stop; it has its request then. */
static bool tell(Cpu *cpu, const StopHit *hit)
{
    const StopList *l = cpu->group->stops;
    StopAnswer answer = l && l->fn ? l->fn(l->opaque, cpu, hit) : STOP_GO_ON;
    if (answer == STOP_ALL)
        stop_all(cpu);
    else if (answer == STOP_THIS)
        cpu_post_event(cpu, EVENT_HOLD);
    return answer != STOP_GO_ON;
}

bool stops_tell(Cpu *cpu)
{
    bool stops = false;
    for (unsigned k = 0; k < cpu->stops_pending; k++)
        stops |= tell(cpu, &cpu->stops->pending[k]);
    cpu->stops_pending = 0;
    return stops;
}

static void note(Cpu *cpu, const StopHit *hit)
{
    if (cpu->stops_pending == PENDING_MAX)
        return;
    cpu->stops->pending[cpu->stops_pending++] = *hit;
    cpu->insn_end = NULL;
    cpu_request_attention(cpu);
}

void stops_note_slow(Cpu *cpu, StopKind kind, uint64_t address, unsigned size, unsigned access, uint64_t value,
                     uint64_t old)
{
    const PointSet *set = points_of(cpu, kind, false);
    uint64_t last = address + (size ? size - 1 : 0);
    const StopPoint *p;
    for (unsigned at = set_below(set, last); (p = set_next(set, address, &at));) {
        if (access && !(p->access & access))
            continue;
        StopHit hit = hit_here(cpu, kind);
        hit.id = p->id;
        hit.address = address;
        hit.size = size;
        hit.access = access;
        hit.value = value;
        hit.old = old;
        note(cpu, &hit);
    }
}

void stops_note_interrupt(Cpu *cpu, unsigned vector, uint16_t cs, uint64_t from)
{
    unsigned before = cpu->stops_pending;
    stops_note_slow(cpu, STOP_INTERRUPT, vector, 0, 0, 0, 0);
    for (unsigned k = before; k < cpu->stops_pending; k++) {
        cpu->stops->pending[k].cs = cs;
        cpu->stops->pending[k].rip = from;
    }
}

/* ---- code ---- */

/* Points are met in the mark before the instruction; what belongs to the page, another linear address may not want. */
static bool meet(Cpu *cpu, bool physical, uint64_t address)
{
    const PointSet *set = points_of(cpu, STOP_CODE, physical);
    const StopPoint *p;
    bool stops = false;
    for (unsigned at = set_below(set, address); (p = set_next(set, address, &at));) {
        StopHit hit = hit_here(cpu, STOP_CODE);
        hit.id = p->id;
        hit.address = address;
        stops |= tell(cpu, &hit);
    }
    return stops;
}

void stops_mark(Cpu *cpu, const Insn *i)
{
    Translation t;
    (void)i;
    if (cpu->stops->pass || !stops_wanted(cpu, STOP_CODE))
        return;
    uint64_t la = cpu_linear_rip(cpu);
    bool stops = meet(cpu, false, la);
    if (points_of(cpu, STOP_CODE, true)->count && mmu_walk(cpu, la, &t))
        stops |= meet(cpu, true, t.gpa);
    if (stops)
        cpu->insn_end = NULL;
}

static bool mark_points(const PointSet *set, uint64_t page, uint64_t *marks)
{
    uint64_t end = page + GUEST_PAGE_SIZE - 1;
    const StopPoint *p;
    bool fresh = false;
    for (unsigned at = set_below(set, end); (p = set_next(set, page, &at));)
        for (uint64_t a = MAX(p->first, page), last = MIN(p->last, end); a <= last; a++) {
            uint64_t *word = &marks[(a - page) / 64];
            fresh |= !(*word >> (a & 63) & 1);
            *word |= BIT(a & 63);
        }
    return fresh;
}

bool stops_mark_page(const Cpu *cpu, uint64_t la, uint64_t gpa, uint64_t *marks)
{
    bool linear = mark_points(points_of(cpu, STOP_CODE, false), la & GUEST_PAGE_MASK, marks);
    return mark_points(points_of(cpu, STOP_CODE, true), gpa & GUEST_PAGE_MASK, marks) || linear;
}

/* ---- data ---- */

bool stops_page_watched(const Cpu *cpu, uint64_t la, uint64_t gpa)
{
    la &= GUEST_PAGE_MASK;
    gpa &= GUEST_PAGE_MASK;
    return set_find(points_of(cpu, STOP_DATA, false), la, la + GUEST_PAGE_SIZE - 1) ||
           set_find(points_of(cpu, STOP_DATA, true), gpa, gpa + GUEST_PAGE_SIZE - 1);
}

void stops_keep(Cpu *cpu, uint64_t la)
{
    Translation t;
    if (!mmu_walk(cpu, la, &t) || !stops_page_watched(cpu, la, t.gpa))
        return;
    Kept *k = &cpu->stops->kept[cpu->stops->kept_next++ & 1];
    k->la = la;
    k->size = MIN(KEPT_BYTES, GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK));
    AsTarget target = as_lookup(cpu->machine->memory, t.gpa);
    if (target.host && target.room >= k->size)
        memcpy(k->bytes, target.host, k->size);
    else
        k->size = 0; /* reading a device's register may have effects */
}

/* What stood at [la, la+size) before it was written; if that is not known, what stands there now. */
static uint64_t kept_value(const Cpu *cpu, uint64_t la, unsigned size, uint64_t now)
{
    for (unsigned n = 1; n <= 2; n++) { /* the later one first */
        const Kept *k = &cpu->stops->kept[(cpu->stops->kept_next - n) & 1];
        if (la - k->la < k->size && la - k->la + size <= k->size) {
            uint8_t bytes[8] = { 0 };
            memcpy(bytes, k->bytes + (la - k->la), size);
            return ld64le(bytes);
        }
    }
    return now;
}

/* RAM alone is read. */
static uint64_t value_at(Cpu *cpu, uint64_t la, unsigned size)
{
    Translation t;
    uint8_t bytes[8] = { 0 };
    if (!mmu_walk(cpu, la, &t))
        return 0;
    AsTarget target = as_lookup(cpu->machine->memory, t.gpa);
    if (target.host)
        memcpy(bytes, target.host, MIN(size, target.room));
    return ld64le(bytes);
}

/* An access of bytes [address, address+size), within a page, which lies at la. */
static void meet_data(Cpu *cpu, bool physical, uint64_t address, uint64_t la, unsigned size, unsigned access)
{
    const PointSet *set = points_of(cpu, STOP_DATA, physical);
    const StopPoint *p;
    for (unsigned at = set_below(set, address + size - 1); (p = set_next(set, address, &at));) {
        if (!(p->access & access))
            continue;
        uint64_t skip = p->first > address ? p->first - address : 0;
        StopHit hit = hit_here(cpu, STOP_DATA);
        hit.id = p->id;
        hit.address = address + skip;
        hit.size = MIN(MIN(size - skip, p->last - hit.address + 1), 8);
        hit.access = access;
        hit.value = value_at(cpu, la + skip, hit.size);
        hit.old = access & STOP_WRITE ? kept_value(cpu, la + skip, hit.size, hit.value) : hit.value;
        note(cpu, &hit);
    }
}

static void data_in_page(Cpu *cpu, uint64_t la, unsigned size, unsigned access)
{
    Translation t;
    meet_data(cpu, false, la, la, size, access);
    if (points_of(cpu, STOP_DATA, true)->count && mmu_walk(cpu, la, &t))
        meet_data(cpu, true, t.gpa, la, size, access);
}

void stops_data(Cpu *cpu, uint64_t la, unsigned size, unsigned access)
{
    while (size) {
        unsigned n = MIN(size, GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK));
        data_in_page(cpu, la, n, access);
        la += n;
        size -= n;
    }
}

/* ---- exceptions and modes ---- */

bool stops_exception(Cpu *cpu)
{
    unsigned vector = cpu_exception_due(cpu);
    const StopPoint *p = set_find(points_of(cpu, STOP_EXCEPTION, false), vector, vector);
    if (!p || cpu->stops->pass)
        return false;
    StopHit hit = hit_here(cpu, STOP_EXCEPTION);
    hit.id = p->id;
    hit.address = vector;
    hit.has_error = cpu->fault.has_error;
    hit.error = cpu->fault.error;
    hit.value = cpu->cr2;
    return tell(cpu, &hit);
}

bool stops_triple_fault(Cpu *cpu)
{
    if (!stops_wanted(cpu, STOP_TRIPLE_FAULT))
        return false;
    StopHit hit = hit_here(cpu, STOP_TRIPLE_FAULT);
    hit.id = points_of(cpu, STOP_TRIPLE_FAULT, false)->point[0].id;
    return cpu->stops->reset_due = tell(cpu, &hit);
}

bool stops_take_reset(Cpu *cpu)
{
    bool due = cpu->stops->reset_due;
    cpu->stops->reset_due = false;
    return due;
}

static unsigned current_mode(const Cpu *cpu)
{
    return cpu->code_size | !cpu_real_mode(cpu) << 2 | cpu_v86(cpu) << 3 | cpu->long_mode << 4;
}

void stops_note_mode(Cpu *cpu)
{
    unsigned mode = current_mode(cpu), old = cpu->stops->mode;
    cpu->stops->mode = mode;
    if (mode != old)
        stops_note_slow(cpu, STOP_MODE, 0, 0, 0, mode, old);
}

/* ---- steps ---- */

static void update_stepping(Cpu *cpu)
{
    cpu_update_mode(cpu);
    cpu_request_attention(cpu); /* an interrupt may have waited */
}

bool stops_stepping(const Cpu *cpu) { return cpu->stops->steps || cpu->stops->pass; }

bool stops_defer_interrupts(const Cpu *cpu)
{
    const struct CpuStops *s = cpu->stops;
    return cpu->run_state == CPU_RUNNING && (s->pass || (s->steps && !s->step_interrupts));
}

void stops_count(Cpu *cpu)
{
    struct CpuStops *s = cpu->stops;
    bool ends = s->steps == 1;
    s->pass = false;
    s->steps -= s->steps != 0;
    if (!stops_stepping(cpu))
        update_stepping(cpu);
    if (ends)
        tell(cpu, &(StopHit){ .kind = STOP_STEP, .cs = cpu->seg[SEG_CS].sel, .rip = cpu->rip,
                              .la = cpu_linear_rip(cpu) });
}

/* ---- for debuggers ---- */

void stops_step(Cpu *cpu, uint64_t count, bool interrupts)
{
    cpu->stops->steps = count;
    cpu->stops->step_interrupts = interrupts;
    update_stepping(cpu);
}

void stops_pass(Cpu *cpu)
{
    cpu->stops->pass = true;
    update_stepping(cpu);
}

void stops_hold(Cpu *cpu, bool held)
{
    if (held) {
        cpu_post_event(cpu, EVENT_HOLD);
        return;
    }
    atomic_fetch_and(&cpu->events, ~(unsigned)EVENT_HOLD);
    cpu_post_event(cpu, 0);
}

static void follow_list(Cpu *cpu)
{
    StopList *l = cpu->group->stops;
    cpu->stops_wanted = l ? l->kinds : 0;
    cpu->stops->mode = current_mode(cpu);
    code_forget_marks(cpu->code);
    tlb_flush_worlds(cpu);
}

void stops_set(Cpu *cpu, const StopPoint *points, unsigned count, StopsFn *fn, void *opaque)
{
    CpuGroup *g = cpu->group;
    list_free(g->stops);
    g->stops = count || fn ? list_new(points, count, fn, opaque) : NULL;
    for (unsigned k = 0; k < g->count; k++)
        follow_list(g->cpus[k]);
}

void stops_join(Cpu *cpu) { cpu->stops = g_new0(struct CpuStops, 1); }

void stops_leave(Cpu *cpu)
{
    if (cpu->group->count == 1) {
        list_free(cpu->group->stops);
        cpu->group->stops = NULL;
    }
    g_free(cpu->stops);
}
