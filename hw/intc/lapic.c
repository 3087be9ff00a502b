/*
 * The local APIC: xAPIC and x2APIC, timer with TSC deadline (SDM vol. 3A chapter 11).
 *
 * Interrupts arrive as messages (apic_bus_deliver), from the local vector table, or from the 8259 by LINT0.  The INTR
 * line to the CPU is up while a vector above the processor priority waits, or the 8259 does in ExtINT mode; the CPU
 * then asks acknowledge() for the vector.
 */
#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/intc/apic.h"
#include "util/bits.h"

/* Register numbers: MMIO offset / 16, and MSR - 800h. */
enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a, REG_EOI = 0x0b, REG_RRD = 0x0c,
    REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28,
    REG_ICR = 0x30, REG_ICR_HIGH = 0x31, REG_LVT = 0x32, REG_LVT_LAST = 0x37, REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39, REG_TIMER_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
};
/* Local vector table entries from REG_LVT on. */
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_MASKED BIT(16)
#define LVT_PENDING BIT(12)
#define SVR_ENABLE BIT(8)
#define BASE_BSP BIT(8)
#define BASE_X2APIC BIT(10)
#define BASE_ENABLE BIT(11)
#define BASE_DEFAULT UINT64_C(0xfee00000)
#define ICR_PENDING BIT(12)

enum { ESR_SEND_ILLEGAL = 0x20, ESR_RECEIVE_ILLEGAL = 0x40, ESR_ILLEGAL_REGISTER = 0x80 };
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800
#define MAX_APICS 256

struct Lapic {
    Device dev;
    ApicBus *bus;
    const CpuPort *port;
    bool boot_cpu;
    int (*pic_acknowledge)(void *);
    void *pic;
    uint32_t id;             /* as CPUID reports it; x2APIC mode knows no other */
    uint8_t xapic_id;        /* what the guest made of it */
    uint64_t base;
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending, divide;
    uint32_t isr[8], tmr[8], irr[8];
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    uint32_t timer_initial;
    int64_t timer_start;     /* virtual time at which the count began */
    bool counting;           /* the count is on its way down to 0 */
    uint64_t tsc_deadline;
    bool lint0_level;
    Timer *timer;
};

struct ApicBus {
    Machine *machine;
    Lapic *apics[MAX_APICS];
    unsigned count;
    Region *msi;
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
};

static bool apic_enabled(const Lapic *a) { return a->base & BASE_ENABLE; }
static bool software_enabled(const Lapic *a) { return apic_enabled(a) && (a->svr & SVR_ENABLE); }
static bool is_x2apic(const Lapic *a) { return (a->base & (BASE_ENABLE | BASE_X2APIC)) == (BASE_ENABLE | BASE_X2APIC); }

/* x2APIC's logical id follows from the id (SDM vol. 3A 11.12.10.2). */
static uint32_t logical_id(const Lapic *a)
{
    return is_x2apic(a) ? (a->id >> 4) << 16 | 1u << (a->id & 15) : a->ldr;
}

static bool vector_test(const uint32_t *set, unsigned v) { return set[v / 32] >> (v % 32) & 1; }
static void vector_set(uint32_t *set, unsigned v) { set[v / 32] |= 1u << (v % 32); }
static void vector_clear(uint32_t *set, unsigned v) { set[v / 32] &= ~(1u << (v % 32)); }

static int vector_highest(const uint32_t *set)
{
    for (int k = 7; k >= 0; k--)
        if (set[k])
            return k * 32 + 31 - __builtin_clz(set[k]);
    return -1;
}

/* Processor priority: SDM vol. 3A 11.8.3.1. */
static uint32_t processor_priority(const Lapic *a)
{
    int isr = vector_highest(a->isr);
    uint32_t isr_class = isr < 0 ? 0 : isr & 0xf0;
    return (a->tpr & 0xf0) >= isr_class ? a->tpr : isr_class;
}

static int deliverable_vector(const Lapic *a)
{
    int irr = vector_highest(a->irr);
    return software_enabled(a) && irr >= 0 && (unsigned)(irr & 0xf0) > (processor_priority(a) & 0xf0) ? irr : -1;
}

/* The 8259 reaches the CPU through an LVT entry in ExtINT mode, or directly past a disabled APIC. */
static bool extint_wanted(const Lapic *a)
{
    if (!a->lint0_level)
        return false;
    uint32_t lvt = a->lvt[LVT_LINT0];
    return !apic_enabled(a) || (!(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT);
}

static void update_intr(Lapic *a)
{
    if (a->port)
        a->port->intr(a->port->cpu, deliverable_vector(a) >= 0 || extint_wanted(a));
}

static void accept_vector(Lapic *a, uint8_t vector, bool level);
static void reset_registers(Lapic *a);

static void raise_error(Lapic *a, uint32_t bit)
{
    bool fresh = !(a->esr_pending & bit);
    a->esr_pending |= bit;
    if (fresh && !(a->lvt[LVT_ERROR] & LVT_MASKED) && (a->lvt[LVT_ERROR] & 0xff) >= 16)
        accept_vector(a, a->lvt[LVT_ERROR], false);
}

static void accept_vector(Lapic *a, uint8_t vector, bool level)
{
    if (vector < 16) {
        raise_error(a, ESR_RECEIVE_ILLEGAL);
        return;
    }
    vector_set(a->irr, vector);
    if (level)
        vector_set(a->tmr, vector);
    else
        vector_clear(a->tmr, vector);
    update_intr(a);
}

/* INIT reaches the APIC too: all but its id, base and mode (SDM vol. 3A 11.4.7.3). */
static void accept_init(Lapic *a)
{
    reset_registers(a);
    update_intr(a);
    a->port->init(a->port->cpu);
}

static void accept_message(Lapic *a, const ApicMessage *msg)
{
    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (software_enabled(a))
            accept_vector(a, msg->vector, msg->level);
        break;
    case APIC_SMI: a->port->smi(a->port->cpu); break;
    case APIC_NMI: a->port->nmi(a->port->cpu); break;
    case APIC_INIT: accept_init(a); break;
    case APIC_SIPI: a->port->sipi(a->port->cpu, msg->vector); break;
    default: break;
    }
}

/* Logical destinations: SDM vol. 3A 11.6.2.2. */
static bool matches_logical(const Lapic *a, uint32_t destination)
{
    uint32_t ldr = logical_id(a);
    if (is_x2apic(a))
        return destination == 0xffffffff || (ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff));
    if (a->dfr >> 28 == 0xf)
        return (ldr >> 24) & destination & 0xff;
    return (destination >> 4 & 15) == (ldr >> 28) && (ldr >> 24 & destination & 15);
}

static uint32_t physical_id(const Lapic *a) { return is_x2apic(a) ? a->id : a->xapic_id; }

static bool is_addressed(const Lapic *a, const ApicMessage *msg)
{
    if (!a->port || !apic_enabled(a))
        return false;
    if (!msg->logical) {
        uint32_t broadcast = is_x2apic(a) ? 0xffffffff : 0xff;
        return msg->destination == broadcast || msg->destination == 0xffffffff || msg->destination == physical_id(a);
    }
    return matches_logical(a, msg->destination);
}

/* Of several, the one that runs at the lowest priority takes it. */
static void deliver_lowest(ApicBus *bus, const ApicMessage *msg)
{
    Lapic *best = NULL;
    for (unsigned k = 0; k < bus->count; k++) {
        Lapic *a = bus->apics[k];
        if (is_addressed(a, msg) && software_enabled(a) &&
            (!best || processor_priority(a) < processor_priority(best)))
            best = a;
    }
    if (best)
        accept_message(best, msg);
}

void apic_bus_deliver(ApicBus *bus, const ApicMessage *msg)
{
    if (msg->mode == APIC_LOWEST) {
        deliver_lowest(bus, msg);
        return;
    }
    for (unsigned k = 0; k < bus->count; k++)
        if (is_addressed(bus->apics[k], msg))
            accept_message(bus->apics[k], msg);
}

void apic_bus_set_eoi(ApicBus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque)
{
    bus->eoi = eoi;
    bus->eoi_opaque = opaque;
}

/* MSI: address and data as in SDM vol. 3A 11.11. */
static void msi_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    ApicBus *bus = opaque;
    (void)size;
    ApicMessage msg = { .destination = offset >> 12 & 0xff, .logical = offset >> 2 & 1, .mode = value >> 8 & 7,
                        .vector = value, .level = value >> 15 & 1 };
    apic_bus_deliver(bus, &msg);
}

/* Nothing answers reads: a CPU with its APIC off sees all ones. */
static uint64_t msi_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return UINT64_MAX;
}

static const RegionOps msi_ops = { .read = msi_read, .write = msi_write, .min_size = 4, .max_size = 4 };

ApicBus *apic_bus_new(Machine *m)
{
    ApicBus *bus = g_new0(ApicBus, 1);
    bus->machine = m;
    bus->msi = region_new_io("msi", 0x100000, &msi_ops, bus);
    machine_provide(m, "apic", bus);
    return bus;
}

void apic_bus_free(ApicBus *bus)
{
    if (!bus)
        return;
    region_free(bus->msi);
    g_free(bus);
}

Region *apic_bus_msi_region(ApicBus *bus) { return bus->msi; }

/* Timer: the bus clock is 1 GHz, one tick a nanosecond, before the divider. */

static unsigned divider(const Lapic *a)
{
    unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);
    return code == 7 ? 1 : 2u << code;
}

static unsigned timer_mode(const Lapic *a) { return a->lvt[LVT_TIMER] >> 17 & 3; }

static int64_t virtual_now(const Lapic *a) { return clock_now(a->dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

static int64_t timer_period(const Lapic *a) { return (int64_t)a->timer_initial * divider(a); }

/* Time into the current period, which may have ended with its interrupt still on the way. */
static int64_t timer_gone(const Lapic *a)
{
    int64_t gone = virtual_now(a) - a->timer_start;
    return timer_mode(a) == TIMER_PERIODIC ? gone % timer_period(a) : gone;
}

static uint32_t timer_current(const Lapic *a)
{
    if (!a->counting)
        return 0;
    int64_t left = timer_period(a) - timer_gone(a);
    return left <= 0 ? 0 : (left + divider(a) - 1) / divider(a);
}

/* Counts on from `left` ticks before 0. */
static void timer_count_from(Lapic *a, uint32_t left)
{
    a->counting = a->timer_initial != 0;
    a->timer_start = virtual_now(a) - (int64_t)(a->timer_initial - left) * divider(a);
    if (a->counting)
        timer_arm(a->timer, a->timer_start + timer_period(a));
    else
        timer_cancel(a->timer);
}

/* Periods shorter than this would keep the host busy with nothing else. */
#define SHORTEST_PERIOD 20000

static void timer_rearm_periodic(Lapic *a)
{
    int64_t now = virtual_now(a), period = timer_period(a);
    int64_t gone = (now - a->timer_start) / period;
    a->timer_start += gone * period;
    timer_arm(a->timer, MAX(a->timer_start + period, now + SHORTEST_PERIOD));
}

static void timer_fired(void *opaque)
{
    Lapic *a = opaque;
    uint32_t lvt = a->lvt[LVT_TIMER];
    a->tsc_deadline = 0;
    if (timer_mode(a) != TIMER_PERIODIC)
        a->counting = false;
    else if (a->counting)
        timer_rearm_periodic(a);
    if (!(lvt & LVT_MASKED) && software_enabled(a))
        accept_vector(a, lvt & 0xff, false);
}

/* A count that is over fires now, before something changes that its interrupt depends on. */
static void timer_settle(Lapic *a)
{
    if (a->counting && timer_mode(a) == TIMER_ONE_SHOT && timer_gone(a) >= timer_period(a)) {
        timer_cancel(a->timer);
        timer_fired(a);
    }
}

/*
 * The count goes on when the mode changes between one-shot and periodic, and a count that is over stays so; to and from
 * TSC deadline everything is disarmed (SDM vol. 3A 11.5.4.1).
 */
static void timer_mode_changed(Lapic *a, uint32_t left)
{
    a->tsc_deadline = 0;
    if (a->counting && timer_mode(a) != TIMER_DEADLINE) {
        timer_count_from(a, left);
        return;
    }
    a->counting = false;
    timer_cancel(a->timer);
}

static void write_lvt_timer(Lapic *a, uint32_t v)
{
    unsigned old_mode = timer_mode(a);
    timer_settle(a);
    uint32_t left = timer_current(a);
    a->lvt[LVT_TIMER] = v;
    if (timer_mode(a) == old_mode)
        return;
    if (timer_mode(a) == TIMER_DEADLINE || old_mode == TIMER_DEADLINE)
        a->timer_initial = 0;
    timer_mode_changed(a, left);
}

static void write_timer_initial(Lapic *a, uint32_t v)
{
    if (timer_mode(a) == TIMER_DEADLINE)
        return;
    a->timer_initial = v;
    timer_count_from(a, v);
}

static void write_timer_divide(Lapic *a, uint32_t v)
{
    timer_settle(a);
    uint32_t left = timer_current(a);
    a->divide = v & 0xb;
    if (a->counting)
        timer_count_from(a, left);
}

/* A time that has already come fires at once. */
static void write_deadline(Lapic *a, uint64_t v)
{
    if (timer_mode(a) != TIMER_DEADLINE)
        return;
    a->tsc_deadline = v;
    timer_cancel(a->timer);
    if (v && v <= (uint64_t)virtual_now(a))
        timer_fired(a);
    else if (v)
        timer_arm(a->timer, MIN(v, INT64_MAX));
}

static void write_lvt(Lapic *a, unsigned n, uint32_t v)
{
    static const uint32_t writable[LVT_COUNT] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };
    v &= writable[n];
    if (!(a->svr & SVR_ENABLE))
        v |= LVT_MASKED;
    if (n == LVT_TIMER)
        write_lvt_timer(a, v);
    else
        a->lvt[n] = v;
    update_intr(a);
}

static void write_svr(Lapic *a, uint32_t v)
{
    a->svr = v & 0x1ff;
    if (!(v & SVR_ENABLE))
        for (unsigned k = 0; k < LVT_COUNT; k++)
            a->lvt[k] |= LVT_MASKED;
    update_intr(a);
}

static void end_of_interrupt(Lapic *a)
{
    int vector = vector_highest(a->isr);
    if (vector < 0)
        return;
    vector_clear(a->isr, vector);
    if (vector_test(a->tmr, vector) && a->bus->eoi)
        a->bus->eoi(a->bus->eoi_opaque, vector);
    update_intr(a);
}

/* Interprocessor interrupts: SDM vol. 3A 11.6.1. */
static void send_ipi(Lapic *a)
{
    uint32_t low = a->icr;
    ApicMessage msg = { .destination = is_x2apic(a) ? a->icr >> 32 : a->icr >> 56, .logical = low >> 11 & 1,
                        .mode = low >> 8 & 7, .vector = low };
    bool level_off = (low >> 15 & 1) && !(low >> 14 & 1);
    if (msg.mode == APIC_INIT && level_off)
        return; /* INIT de-assert does nothing on processors since the Pentium 4 */
    if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16) {
        raise_error(a, ESR_SEND_ILLEGAL);
        return;
    }
    unsigned shorthand = low >> 18 & 3;
    if (shorthand == 0) {
        apic_bus_deliver(a->bus, &msg);
        return;
    }
    for (unsigned k = 0; k < a->bus->count; k++) {
        Lapic *to = a->bus->apics[k];
        if (to->port && apic_enabled(to) && (shorthand == 1 ? to == a : shorthand == 2 || to != a))
            accept_message(to, &msg);
    }
}

static uint32_t read_register(Lapic *a, unsigned reg)
{
    if (reg >= REG_ISR && reg < REG_ISR + 8)
        return a->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + 8)
        return a->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + 8)
        return a->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg <= REG_LVT_LAST)
        return a->lvt[reg - REG_LVT];
    switch (reg) {
    case REG_ID: return is_x2apic(a) ? a->id : (uint32_t)a->xapic_id << 24;
    case REG_VERSION: return 0x14 | (LVT_COUNT - 1) << 16;
    case REG_TPR: return a->tpr;
    case REG_APR: return 0;
    case REG_PPR: return processor_priority(a);
    case REG_EOI:
    case REG_RRD: return 0;
    case REG_LDR: return logical_id(a);
    case REG_DFR: return a->dfr;
    case REG_SVR: return a->svr;
    case REG_ESR: return a->esr;
    case REG_ICR: return a->icr;
    case REG_ICR_HIGH: return a->icr >> 32;
    case REG_TIMER_INITIAL: return a->timer_initial;
    case REG_TIMER_CURRENT: return timer_current(a);
    case REG_TIMER_DIVIDE: return a->divide;
    default: raise_error(a, ESR_ILLEGAL_REGISTER); return 0;
    }
}

static void write_register(Lapic *a, unsigned reg, uint32_t v)
{
    if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
        write_lvt(a, reg - REG_LVT, v);
        return;
    }
    switch (reg) {
    case REG_ID: a->xapic_id = v >> 24; break;
    case REG_TPR:
        a->tpr = v & 0xff;
        update_intr(a);
        break;
    case REG_EOI: end_of_interrupt(a); break;
    case REG_LDR: a->ldr = v & 0xff000000; break;
    case REG_DFR: a->dfr = v | 0x0fffffff; break;
    case REG_SVR: write_svr(a, v); break;
    case REG_ESR:
        a->esr = a->esr_pending;
        a->esr_pending = 0;
        break;
    case REG_ICR:
        a->icr = (a->icr & ~UINT64_C(0xffffffff)) | (v & ~ICR_PENDING);
        send_ipi(a);
        break;
    case REG_ICR_HIGH: a->icr = (a->icr & 0xffffffff) | (uint64_t)(v & 0xff000000) << 32; break;
    case REG_TIMER_INITIAL: write_timer_initial(a, v); break;
    case REG_TIMER_DIVIDE: write_timer_divide(a, v); break;
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_RRD:
    case REG_TIMER_CURRENT: break;
    default: raise_error(a, ESR_ILLEGAL_REGISTER); break;
    }
}

/* MMIO: 32-bit registers at 16-byte steps; other accesses are undefined (read as part of the register, or dropped). */
static uint32_t intc_mmio_read(void *opaque, uint32_t offset, unsigned size)
{
    Lapic *a = opaque;
    if (is_x2apic(a))
        return 0xffffffff;
    if (offset & 0xf ? (offset & 0xf) >= 4 : size > 4)
        return 0;
    return read_register(a, offset >> 4) >> ((offset & 3) * 8);
}

static void intc_mmio_write(void *opaque, uint32_t offset, uint32_t v, unsigned size)
{
    Lapic *a = opaque;
    if (is_x2apic(a) || (offset & 0xf) || size != 4) {
        log_guest_error("local APIC: write of %u bytes at offset 0x%x", size, offset);
        return;
    }
    write_register(a, offset >> 4, v);
}

static int intc_acknowledge(void *opaque)
{
    Lapic *a = opaque;
    int vector = deliverable_vector(a);
    if (vector < 0) {
        if (extint_wanted(a) && a->pic_acknowledge)
            return a->pic_acknowledge(a->pic);
        int pending = software_enabled(a) ? vector_highest(a->irr) : -1;
        update_intr(a);
        return pending < 0 ? -1 : (int)(a->svr & 0xff); /* spurious: the priority rose meanwhile */
    }
    vector_clear(a->irr, vector);
    vector_set(a->isr, vector);
    update_intr(a);
    return vector;
}

static uint8_t intc_tpr_read(void *opaque) { return ((Lapic *)opaque)->tpr >> 4; }

static void intc_tpr_write(void *opaque, uint8_t class)
{
    Lapic *a = opaque;
    a->tpr = class << 4;
    update_intr(a);
}

static uint64_t intc_base_read(void *opaque) { return ((Lapic *)opaque)->base; }

static void reset_registers(Lapic *a)
{
    a->tpr = a->ldr = a->esr = a->esr_pending = a->divide = 0;
    a->dfr = 0xffffffff;
    a->svr = 0xff;
    a->icr = 0;
    memset(a->isr, 0, sizeof a->isr);
    memset(a->tmr, 0, sizeof a->tmr);
    memset(a->irr, 0, sizeof a->irr);
    for (unsigned k = 0; k < LVT_COUNT; k++)
        a->lvt[k] = LVT_MASKED;
    a->timer_initial = 0;
    a->counting = false;
    a->tsc_deadline = 0;
    timer_cancel(a->timer);
}

/* Transitions: SDM vol. 3A 11.12.5. */
static bool intc_base_write(void *opaque, uint64_t v)
{
    Lapic *a = opaque;
    unsigned from = a->base >> 10 & 3, to = v >> 10 & 3;
    if ((v & 0x2ff) || (v >> 52) || to == 1)
        return false;
    if ((from == 3 && to == 2) || (from == 0 && to == 3))
        return false;
    a->base = (v & ~BASE_BSP) | (a->boot_cpu ? BASE_BSP : 0);
    if (!(to & 2) && (from & 2)) {
        reset_registers(a);
        a->xapic_id = a->id;
    }
    if (to == 3 && from != 3)
        a->icr &= 0xffffffff;
    update_intr(a);
    return true;
}

static bool x2apic_read(Lapic *a, unsigned reg, uint64_t *v)
{
    if (reg == REG_ICR) {
        *v = a->icr;
        return true;
    }
    bool known = (reg >= REG_ID && reg <= REG_VERSION) || reg == REG_TPR || reg == REG_PPR || reg == REG_LDR ||
                 (reg >= REG_SVR && reg <= REG_ESR) || (reg >= REG_LVT && reg <= REG_TIMER_CURRENT) ||
                 reg == REG_TIMER_DIVIDE;
    if (!known)
        return false;
    *v = read_register(a, reg);
    return true;
}

/* Reserved bits of x2APIC registers give #GP (SDM vol. 3A 11.12.1.2). */
static bool x2apic_write(Lapic *a, unsigned reg, uint64_t v)
{
    static const struct { uint8_t reg; uint32_t writable; } registers[] = {
        { REG_TPR, 0xff }, { REG_EOI, 0 }, { REG_SVR, 0x11ff }, { REG_ESR, 0 }, { REG_LVT + LVT_TIMER, 0x710ff },
        { REG_LVT + LVT_THERMAL, 0x117ff }, { REG_LVT + LVT_PERF, 0x117ff }, { REG_LVT + LVT_LINT0, 0x1f7ff },
        { REG_LVT + LVT_LINT1, 0x1f7ff }, { REG_LVT + LVT_ERROR, 0x110ff }, { REG_TIMER_INITIAL, 0xffffffff },
        { REG_TIMER_DIVIDE, 0xb },
    };
    if (reg == REG_ICR) {
        if (v & 0xfff32000)
            return false;
        a->icr = v;
        send_ipi(a);
        return true;
    }
    if (reg == REG_SELF_IPI) {
        if (v >> 8)
            return false;
        accept_vector(a, v, false);
        return true;
    }
    for (unsigned k = 0; k < ARRAY_SIZE(registers); k++)
        if (registers[k].reg == reg) {
            if (v & ~(uint64_t)registers[k].writable)
                return false;
            write_register(a, reg, v);
            return true;
        }
    return false;
}

static bool intc_msr_read(void *opaque, uint32_t index, uint64_t *v)
{
    Lapic *a = opaque;
    if (index == MSR_TSC_DEADLINE) {
        *v = timer_mode(a) == TIMER_DEADLINE ? a->tsc_deadline : 0;
        return true;
    }
    return is_x2apic(a) && index - MSR_X2APIC < 0x100 && x2apic_read(a, index - MSR_X2APIC, v);
}

static bool intc_msr_write(void *opaque, uint32_t index, uint64_t v)
{
    Lapic *a = opaque;
    if (index == MSR_TSC_DEADLINE) {
        write_deadline(a, v);
        return true;
    }
    return is_x2apic(a) && index - MSR_X2APIC < 0x100 && x2apic_write(a, index - MSR_X2APIC, v);
}

const IntcOps lapic_intc_ops = {
    .acknowledge = intc_acknowledge, .tpr_read = intc_tpr_read, .tpr_write = intc_tpr_write,
    .base_read = intc_base_read, .base_write = intc_base_write, .msr_read = intc_msr_read,
    .msr_write = intc_msr_write, .mmio_read = intc_mmio_read, .mmio_write = intc_mmio_write,
};

static void lint0_set(void *opaque, int n, int level)
{
    Lapic *a = opaque;
    (void)n;
    bool rising = level && !a->lint0_level;
    uint32_t lvt = a->lvt[LVT_LINT0];
    a->lint0_level = level;
    if (rising && software_enabled(a) && !(lvt & LVT_MASKED)) {
        unsigned mode = lvt >> 8 & 7;
        if (mode == APIC_FIXED)
            accept_vector(a, lvt & 0xff, lvt >> 15 & 1);
        else if (mode == APIC_NMI)
            a->port->nmi(a->port->cpu);
    }
    update_intr(a);
}

IrqLine lapic_lint0(Lapic *a) { return (IrqLine){ lint0_set, a, 0 }; }

void lapic_connect(Lapic *a, const CpuPort *port, bool boot_cpu, int (*pic_acknowledge)(void *), void *pic)
{
    a->port = port;
    a->boot_cpu = boot_cpu;
    a->pic_acknowledge = pic_acknowledge;
    a->pic = pic;
}

void lapic_dump_vectors(const Lapic *a, GString *out)
{
    const struct { const char *name; const uint32_t *set; } sets[] = { { "ISR", a->isr }, { "IRR", a->irr } };
    for (unsigned s = 0; s < 2; s++) {
        g_string_append_printf(out, "%s     ", sets[s].name);
        for (unsigned v = 0; v < 256; v++)
            if (vector_test(sets[s].set, v))
                g_string_append_printf(out, " %u%s", v, vector_test(a->tmr, v) ? "(level)" : "");
        g_string_append_c(out, '\n');
    }
}

void lapic_dump(Lapic *a, GString *out)
{
    static const char *const names[LVT_COUNT] = { "LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR" };
    g_string_append_printf(out, "dumping local APIC state for CPU %u\n\n", a->id);
    for (unsigned k = 0; k < LVT_COUNT; k++)
        g_string_append_printf(out, "%-8s 0x%08x %s vec %u\n", names[k], a->lvt[k],
                               a->lvt[k] & LVT_MASKED ? "masked" : "unmasked", a->lvt[k] & 0xff);
    g_string_append_printf(out, "Timer    DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n", a->divide,
                           divider(a), a->timer_initial, timer_current(a));
    g_string_append_printf(out, "SPIV     0x%08x APIC %s, spurious vec %u\n", a->svr,
                           a->svr & SVR_ENABLE ? "enabled" : "disabled", a->svr & 0xff);
    g_string_append_printf(out, "ICR      0x%016" PRIx64 "\nESR      0x%08x\nTPR 0x%02x PPR 0x%02x\n", a->icr, a->esr,
                           a->tpr, processor_priority(a));
    lapic_dump_vectors(a, out);
}

static gboolean lapic_create(Device *dev, GError **err)
{
    Lapic *a = (Lapic *)dev;
    (void)err;
    a->bus = machine_find(dev->machine, "apic");
    a->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, a);
    if (a->bus && a->bus->count < MAX_APICS)
        a->bus->apics[a->bus->count++] = a;
    return TRUE;
}

static void lapic_reset(Device *dev)
{
    Lapic *a = (Lapic *)dev;
    a->base = BASE_DEFAULT | BASE_ENABLE | (a->boot_cpu ? BASE_BSP : 0);
    a->lint0_level = false;
    a->xapic_id = a->id;
    reset_registers(a);
    /* The boot processor's firmware-less start has the 8259 connected, as virtual wire mode does. */
    if (a->boot_cpu)
        a->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    update_intr(a);
}

static void lapic_destroy(Device *dev) { timer_free(((Lapic *)dev)->timer); }

static gboolean lapic_post_load(Device *dev, GError **err)
{
    (void)err;
    update_intr((Lapic *)dev);
    return TRUE;
}

static const StateField lapic_state[] = {
    STATE_U8(Lapic, xapic_id), STATE_U64(Lapic, base), STATE_U32(Lapic, tpr), STATE_U32(Lapic, ldr),
    STATE_U32(Lapic, dfr), STATE_U32(Lapic, svr), STATE_U32(Lapic, esr), STATE_U32(Lapic, esr_pending),
    STATE_U32(Lapic, divide), STATE_ARRAY_U32(Lapic, isr), STATE_ARRAY_U32(Lapic, tmr), STATE_ARRAY_U32(Lapic, irr),
    STATE_U64(Lapic, icr), STATE_ARRAY_U32(Lapic, lvt), STATE_U32(Lapic, timer_initial), STATE_U64(Lapic, timer_start),
    STATE_BOOL(Lapic, counting), STATE_U64(Lapic, tsc_deadline), STATE_BOOL(Lapic, lint0_level),
    STATE_TIMER(Lapic, timer), STATE_END
};

static const Property lapic_properties[] = {
    PROPERTY(Lapic, id, "id", PROP_U32, 0, "APIC id"),
    PROPERTY_END
};

const DeviceType lapic_type = {
    .name = "apic", .description = "local APIC", .bus = "system", .size = sizeof(Lapic),
    .properties = lapic_properties, .create = lapic_create, .reset = lapic_reset, .destroy = lapic_destroy,
    .state = lapic_state, .post_load = lapic_post_load,
};
