/*
 * The complete forms of memory access: segment checks, page crossing, alignment checks, devices, watched pages.
 * The inline forms in access.h come here when the soft TLB does not serve them at once.
 */
#include "cpu/access.h"

#include "core/machine.h"
#include "cpu/mmu.h"
#include "cpu/system.h"

static _Noreturn void raise_segment_fault(Cpu *cpu, unsigned seg)
{
    cpu_raise_error(cpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

/*
 * Before the 286 an operand that passes the end of its segment goes on at its start.  This stands for the linear
 * address of such an access of at most 8 bytes: no TLB has it, and as it is the last byte of a page it comes to the
 * functions for accesses that cross pages, which find base and offset in it.
 */
#define LA_WRAPS BIT(62)
static uint64_t wrapping_address(uint64_t base, uint64_t ea)
{
    return LA_WRAPS | base << 28 | ea << 12 | (GUEST_PAGE_SIZE - 1);
}

/* An access beyond the limit: a fault, or what older processors do instead. */
static uint64_t segment_overrun(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size)
{
    if (!cpu_has(cpu, FEAT_UNTIL_186))
        raise_segment_fault(cpu, seg);
    return size <= 8 ? wrapping_address(cpu->seg[seg].base, ea) : cpu->seg[seg].base + ea;
}

/* Type and limit in protected mode (SDM vol. 3A 5.3, 5.5). */
static bool protected_access_allowed(const Segment *s, uint64_t ea, unsigned size, bool write)
{
    uint16_t a = s->attr;
    if (!(a & SA_P))
        return false;
    if (a & SA_CODE ? write || !(a & SA_WRITABLE) : write && !(a & SA_WRITABLE))
        return false;
    uint64_t last = ea + size - 1;
    if (!(a & SA_CODE) && (a & SA_DOWN)) /* expand-down: valid above the limit */
        return ea > s->limit && last <= (a & SA_DB ? 0xffffffff : 0xffff);
    return last <= s->limit;
}

static uint64_t segment_linear64(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size)
{
    uint64_t la = seg >= SEG_FS ? ea + cpu->seg[seg].base : ea;
    if (unlikely(!cpu_canonical(cpu, la) || !cpu_canonical(cpu, la + size - 1)))
        raise_segment_fault(cpu, seg);
    return la;
}

uint64_t segment_linear(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, bool write)
{
    if (cpu->code_size == SZ64)
        return segment_linear64(cpu, seg, ea, size);
    const Segment *s = &cpu->seg[seg];
    bool allowed = cpu->protected_mode ? protected_access_allowed(s, ea, size, write) : ea + size - 1 <= s->limit;
    if (unlikely(!allowed))
        return segment_overrun(cpu, seg, ea, size);
    return (s->base + ea) & 0xffffffff;
}


/* A linear address within one page, checked for an access. */
typedef struct Spot {
    TlbEntry *entry;
    uint64_t gpa;
    uint8_t *host; /* NULL: not by host access alone */
} Spot;

static Spot find_spot(Cpu *cpu, unsigned mode, uint64_t la, bool write)
{
    unsigned index = tlb_index(la);
    TlbEntry *e = &cpu->tlb[tlb_number(cpu, mode)].entry[index];
    uint64_t tag = write ? e->write : e->read, page = la & GUEST_PAGE_MASK;
    Spot s = { .entry = e };
    if (tag != page && tag != (page ^ TLB_SLOW)) {
        s.gpa = mmu_translate(cpu, la, write ? MMU_WRITE : MMU_READ, mode);
        tag = write ? e->write : e->read;
    } else {
        s.gpa = cpu->tlb[tlb_number(cpu, mode)].gpa[index] | (la & ~GUEST_PAGE_MASK);
    }
    s.host = tag == page ? (uint8_t *)(e->host + (uintptr_t)(la - page)) : NULL;
    if (write && stops_wanted(cpu, STOP_DATA))
        stops_keep(cpu, la);
    return s;
}

/* #AC (SDM vol. 3A 6.15, interrupt 17): only in TLB_USER_ALIGN. */
static void check_alignment(Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    if (unlikely(mode == TLB_USER_ALIGN) && (la & (size - 1)))
        cpu_raise_error(cpu, EXC_AC, 0);
}

/* The local interrupt controller's page belongs to this CPU alone; everything else is on the bus. */
static uint64_t physical_read(Cpu *cpu, uint64_t gpa, unsigned size)
{
    if (likely((gpa & GUEST_PAGE_MASK) != cpu->intc_page))
        return as_read(cpu->machine->memory, gpa, size);
    machine_lock(cpu->machine);
    uint32_t v = cpu->intc->mmio_read(cpu->intc_opaque, gpa & ~GUEST_PAGE_MASK, size);
    machine_unlock(cpu->machine);
    return v;
}

static void physical_write(Cpu *cpu, uint64_t gpa, uint64_t v, unsigned size)
{
    if (likely((gpa & GUEST_PAGE_MASK) != cpu->intc_page)) {
        as_write(cpu->machine->memory, gpa, v, size);
        return;
    }
    machine_lock(cpu->machine);
    cpu->intc->mmio_write(cpu->intc_opaque, gpa & ~GUEST_PAGE_MASK, v, size);
    machine_unlock(cpu->machine);
}

static uint64_t read_spot(Cpu *cpu, const Spot *s, unsigned size)
{
    return s->host ? guest_load(cpu, s->host, size) : physical_read(cpu, s->gpa, size);
}

static void write_spot(Cpu *cpu, const Spot *s, uint64_t v, unsigned size)
{
    if (s->host)
        guest_store(cpu, s->host, v, size);
    else
        physical_write(cpu, s->gpa, v, size);
}

static unsigned room_in_page(uint64_t la) { return GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK); }

/* The address after a page's end: outside 64-bit code 4 GiB wraps to 0 (system structures may lie above it). */
static uint64_t wrap_linear(const Cpu *cpu, uint64_t la)
{
    return cpu->code_size != SZ64 && (la == BIT(32) || !cpu->long_mode) ? la & 0xffffffff : la;
}

/* The two parts of an access that crosses pages, or the end of a segment where that wraps. */
typedef struct Crossing {
    uint64_t la[2];
    unsigned first; /* bytes of the first part */
} Crossing;

static Crossing crossing_of(const Cpu *cpu, uint64_t la)
{
    if (unlikely(la & LA_WRAPS) && cpu->code_size != SZ64) {
        uint64_t base = la >> 28 & 0xfffff, ea = la >> 12 & 0xffff;
        return (Crossing){ { base + ea, base }, 0x10000 - ea };
    }
    unsigned first = room_in_page(la);
    return (Crossing){ { la, wrap_linear(cpu, la + first) }, first };
}

static uint64_t read_crossing(Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    uint64_t v = 0;
    Crossing c = crossing_of(cpu, la);
    Spot a = find_spot(cpu, mode, c.la[0], false), b = find_spot(cpu, mode, c.la[1], false);
    for (unsigned k = 0; k < size; k++) {
        Spot s = k < c.first ? a : b;
        unsigned at = k < c.first ? k : k - c.first;
        s.gpa += at;
        s.host = s.host ? s.host + at : NULL;
        v |= read_spot(cpu, &s, 1) << (k * 8);
    }
    return v;
}

static void write_crossing(Cpu *cpu, unsigned mode, uint64_t la, uint64_t v, unsigned size)
{
    Crossing c = crossing_of(cpu, la);
    Spot a = find_spot(cpu, mode, c.la[0], true), b = find_spot(cpu, mode, c.la[1], true);
    for (unsigned k = 0; k < size; k++) {
        Spot s = k < c.first ? a : b;
        unsigned at = k < c.first ? k : k - c.first;
        s.gpa += at;
        s.host = s.host ? s.host + at : NULL;
        write_spot(cpu, &s, v >> (k * 8) & 0xff, 1);
    }
}

static uint64_t read_linear(Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    if (unlikely(room_in_page(la) < size))
        return read_crossing(cpu, mode, la, size);
    Spot s = find_spot(cpu, mode, la, false);
    return read_spot(cpu, &s, size);
}

/* After a slow write the page may have become dirty and free of code: let the next one be fast. */
static void refresh_write_tag(Cpu *cpu, unsigned mode, const Spot *s, uint64_t la)
{
    TlbEntry *e = s->entry;
    uint64_t page = la & GUEST_PAGE_MASK;
    if (!e->host || mode == TLB_USER_ALIGN || e->read != page || e->write != (page ^ TLB_SLOW))
        return;
    RamPool *pool = cpu->machine->pool;
    uint64_t offset = e->host - (uintptr_t)pool->host;
    if (atomic_load_explicit(&pool->page_flags[offset >> RAM_PAGE_BITS], memory_order_relaxed) != PAGE_DIRTY_ALL)
        return;
    AsTarget t = as_lookup(cpu->machine->memory, s->gpa);
    if (!t.readonly)
        e->write = page;
}

static void write_linear(Cpu *cpu, unsigned mode, uint64_t la, uint64_t v, unsigned size)
{
    if (unlikely(room_in_page(la) < size)) {
        write_crossing(cpu, mode, la, v, size);
        return;
    }
    Spot s = find_spot(cpu, mode, la, true);
    write_spot(cpu, &s, v, size);
    if (!s.host)
        refresh_write_tag(cpu, mode, &s, la);
}

uint64_t mem_read_slow(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size)
{
    uint64_t la = segment_linear(cpu, seg, ea, size, false);
    const uint8_t *p = tlb_read_hit(cpu, la, size);
    if (likely(p != NULL))
        return guest_load(cpu, p, size);
    unsigned mode = mmu_data_mode(cpu);
    check_alignment(cpu, mode, la, size);
    uint64_t v = read_linear(cpu, mode, la, size);
    debug_watch(cpu, la, size, STOP_READ);
    return v;
}

void mem_write_slow(Cpu *cpu, unsigned seg, uint64_t ea, uint64_t v, unsigned size)
{
    uint64_t la = segment_linear(cpu, seg, ea, size, true);
    uint8_t *p = tlb_write_hit(cpu, la, size);
    if (likely(p != NULL)) {
        guest_store(cpu, p, v, size);
        return;
    }
    unsigned mode = mmu_data_mode(cpu);
    check_alignment(cpu, mode, la, size);
    write_linear(cpu, mode, la, v, size);
    debug_watch(cpu, la, size, STOP_WRITE);
}

/* Host address of size bytes of RAM within a page, whatever the TLB says of them, or NULL. */
static uint8_t *ram_at(Cpu *cpu, uint64_t gpa, unsigned size)
{
    if ((gpa & GUEST_PAGE_MASK) == cpu->intc_page)
        return NULL;
    AsTarget t = as_lookup(cpu->machine->memory, gpa);
    return t.readonly || t.room < size ? NULL : t.host;
}

uint64_t mem_rmw_again(Cpu *cpu, const MemRef *ref, unsigned size)
{
    uint64_t v = 0;
    if (ref->first == size)
        return physical_read(cpu, ref->gpa[0], size);
    for (unsigned k = 0; k < size; k++)
        v |= physical_read(cpu, k < ref->first ? ref->gpa[0] + k : ref->gpa[1] + k - ref->first, 1) << (k * 8);
    return v;
}

static uint64_t rmw_crossing(Cpu *cpu, unsigned mode, unsigned size, MemRef *ref)
{
    Crossing c = crossing_of(cpu, ref->la);
    ref->first = c.first;
    for (unsigned k = 0; k < 2; k++)
        ref->gpa[k] = find_spot(cpu, mode, c.la[k], true).gpa;
    return mem_rmw_again(cpu, ref, size);
}

uint64_t mem_rmw_slow(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, MemRef *ref)
{
    uint64_t la = segment_linear(cpu, seg, ea, size, true);
    ref->la = la;
    ref->host = tlb_write_hit(cpu, la, size);
    if (ref->host)
        return guest_load(cpu, ref->host, size);
    unsigned mode = mmu_data_mode(cpu);
    check_alignment(cpu, mode, la, size);
    unsigned room = room_in_page(la);
    ref->ram = NULL;
    if (room < size)
        return rmw_crossing(cpu, mode, size, ref);
    ref->first = size;
    Spot a = find_spot(cpu, mode, la, true);
    ref->gpa[0] = a.gpa;
    ref->host = a.host;
    if (!a.host)
        ref->ram = ram_at(cpu, a.gpa, size);
    const uint8_t *bytes = a.host ? a.host : ref->ram;
    return bytes ? guest_load(cpu, bytes, size) : physical_read(cpu, a.gpa, size);
}

/* After a write to the page of ref->gpa[0]. */
static void refresh_after(Cpu *cpu, const MemRef *ref)
{
    unsigned mode = mmu_data_mode(cpu);
    Spot s = { .entry = &cpu->tlb[tlb_number(cpu, mode)].entry[tlb_index(ref->la)], .gpa = ref->gpa[0] };
    refresh_write_tag(cpu, mode, &s, ref->la);
}

void mem_commit_slow(Cpu *cpu, const MemRef *ref, uint64_t v, unsigned size)
{
    if (ref->first == size) {
        physical_write(cpu, ref->gpa[0], v, size);
        refresh_after(cpu, ref);
    } else {
        for (unsigned k = 0; k < size; k++)
            physical_write(cpu, k < ref->first ? ref->gpa[0] + k : ref->gpa[1] + k - ref->first,
                     v >> (k * 8) & 0xff, 1);
    }
    debug_watch(cpu, ref->la, size, STOP_READ | STOP_WRITE);
}

void mem_commit_noted(Cpu *cpu, const MemRef *ref, unsigned size)
{
    RamPool *pool = cpu->machine->pool;
    ram_mark_written(pool, ref->ram - pool->host, size);
    refresh_after(cpu, ref);
    debug_watch(cpu, ref->la, size, STOP_READ | STOP_WRITE);
}

/* Bytes of a buffer and guest memory, page by page; la has been checked against the segment. */
static void copy_linear(Cpu *cpu, unsigned mode, uint64_t la, uint8_t *buf, unsigned size, bool write)
{
    guest_store_fence(cpu->parallel && write);
    while (size) {
        unsigned n = MIN(size, room_in_page(la));
        Spot s = find_spot(cpu, mode, la, write);
        if (s.host && write)
            memcpy(s.host, buf, n);
        else if (s.host)
            memcpy(buf, s.host, n);
        else if (write)
            as_write_bytes(cpu->machine->memory, s.gpa, buf, n);
        else
            as_read_bytes(cpu->machine->memory, s.gpa, buf, n);
        la = wrap_linear(cpu, la + n);
        buf += n;
        size -= n;
    }
    guest_load_fence(cpu->parallel && !write);
}

/* All pages of a span are checked before any byte moves. */
static uint64_t check_span(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, bool write)
{
    uint64_t la = segment_linear(cpu, seg, ea, size, write);
    unsigned mode = mmu_data_mode(cpu);
    for (uint64_t at = 0; at < size; at += room_in_page(la + at))
        find_spot(cpu, mode, wrap_linear(cpu, la + at), write);
    return la;
}

void mem_read_bytes(Cpu *cpu, unsigned seg, uint64_t ea, void *buf, unsigned size)
{
    uint64_t la = check_span(cpu, seg, ea, size, false);
    copy_linear(cpu, mmu_data_mode(cpu), la, buf, size, false);
    debug_watch(cpu, la, size, STOP_READ);
}

void mem_write_bytes(Cpu *cpu, unsigned seg, uint64_t ea, const void *buf, unsigned size)
{
    uint64_t la = check_span(cpu, seg, ea, size, true);
    copy_linear(cpu, mmu_data_mode(cpu), la, (uint8_t *)buf, size, true);
    debug_watch(cpu, la, size, STOP_WRITE);
}

void mem_probe_write(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size) { check_span(cpu, seg, ea, size, true); }

/* An aligned vector operand that is not gives #GP(0) whatever the segment (SDM vol. 1 10.4.1.1). */
static void check_vec_alignment(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, unsigned align, bool write)
{
    if (align && (segment_linear(cpu, seg, ea, size, write) & (align - 1)))
        cpu_raise_gp(cpu);
}

void mem_read_vec(Cpu *cpu, unsigned seg, uint64_t ea, uint64_t *q, unsigned size, unsigned align)
{
    uint8_t bytes[512];
    check_vec_alignment(cpu, seg, ea, size, align, false);
    mem_read_bytes(cpu, seg, ea, bytes, size);
    for (unsigned k = 0; k < size / 8; k++)
        q[k] = ld64le(bytes + k * 8);
    for (unsigned k = size & ~7u; k < size; k++)
        q[k / 8] = (k % 8 ? q[k / 8] : 0) | (uint64_t)bytes[k] << (k % 8 * 8);
}

void mem_write_vec(Cpu *cpu, unsigned seg, uint64_t ea, const uint64_t *q, unsigned size, unsigned align)
{
    uint8_t bytes[512];
    check_vec_alignment(cpu, seg, ea, size, align, true);
    for (unsigned k = 0; k < size; k++)
        bytes[k] = q[k / 8] >> (k % 8 * 8);
    mem_write_bytes(cpu, seg, ea, bytes, size);
}

/* Explicit accesses at CPL below 3 obey SMAP unless EFLAGS.AC is set. */
static unsigned mode_of_cpl(const Cpu *cpu, unsigned cpl)
{
    if (cpl == 3)
        return TLB_USER;
    return (cpu->cr4 & CR4_SMAP) && !(cpu->eflags & EFLAGS_AC) ? TLB_KERNEL_SMAP : TLB_KERNEL;
}

/* Implicit supervisor accesses obey SMAP whatever EFLAGS.AC (SDM vol. 3A 4.6.1). */
static unsigned system_mode(const Cpu *cpu) { return cpu->cr4 & CR4_SMAP ? TLB_KERNEL_SMAP : TLB_KERNEL; }

static uint64_t read_any(Cpu *cpu, unsigned mode, uint64_t la, unsigned size)
{
    la = cpu->long_mode ? la : la & 0xffffffff;
    uint64_t v = read_linear(cpu, mode, la, size);
    if (stops_wanted(cpu, STOP_DATA))
        stops_data(cpu, la, size, STOP_READ);
    return v;
}
static void write_any(Cpu *cpu, unsigned mode, uint64_t la, uint64_t v, unsigned size)
{
    la = cpu->long_mode ? la : la & 0xffffffff;
    write_linear(cpu, mode, la, v, size);
    if (stops_wanted(cpu, STOP_DATA))
        stops_data(cpu, la, size, STOP_WRITE);
}

uint64_t linear_read_system(Cpu *cpu, uint64_t la, unsigned size) { return read_any(cpu, system_mode(cpu), la, size); }
void linear_write_system(Cpu *cpu, uint64_t la, uint64_t v, unsigned size)
{
    write_any(cpu, system_mode(cpu), la, v, size);
}
uint64_t linear_read_cpl(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl)
{
    return read_any(cpu, mode_of_cpl(cpu, cpl), la, size);
}
void linear_write_cpl(Cpu *cpu, uint64_t la, uint64_t v, unsigned size, unsigned cpl)
{
    write_any(cpu, mode_of_cpl(cpu, cpl), la, v, size);
}

/* Bytes from ea to the end of the segment's limit, at most a page. */
static unsigned room_in_segment(const Cpu *cpu, unsigned seg, uint64_t ea)
{
    if (cpu->code_size == SZ64 || cpu->flat >> seg & 1)
        return GUEST_PAGE_SIZE;
    const Segment *s = &cpu->seg[seg];
    if ((s->attr & SA_DOWN) && !(s->attr & SA_CODE) && cpu->protected_mode)
        return 1;
    return MIN(s->limit - ea + 1, GUEST_PAGE_SIZE);
}

uint8_t *mem_host_span(Cpu *cpu, unsigned seg, uint64_t ea, bool write, unsigned *count)
{
    uint64_t la = segment_linear(cpu, seg, ea, 1, write);
    uint8_t *p = write ? tlb_write_hit(cpu, la, 1) : tlb_read_hit(cpu, la, 1);
    if (p)
        *count = MIN(room_in_page(la), room_in_segment(cpu, seg, ea));
    return p;
}
