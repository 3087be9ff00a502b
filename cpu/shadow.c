/* Shadow stacks: access to their pages, near and far transfers (cet.h). */
#include "core/machine.h"
#include "cpu/access.h"
#include "cpu/cet.h"
#include "cpu/mmu.h"
#include "cpu/system.h"

/* Supervisor shadow-stack tokens (SDM vol. 1 17.2.3): the token's own address, and whether the stack is in use. */
enum { TOKEN_BUSY = 1 };

/* ---- pages ---- */

static uint64_t page_read(Cpu *cpu, const ShadowPage *p, uint64_t la, unsigned size)
{
    unsigned at = la & ~GUEST_PAGE_MASK;
    return p->host ? guest_load(cpu, p->host + at, size) : as_read(cpu->machine->memory, p->gpa | at, size);
}

/* Whether a store to the page needs no note of it: it is dirty already, and holds no code. */
static bool page_plain(Cpu *cpu, const ShadowPage *p)
{
    RamPool *pool = cpu->machine->pool;
    return p->host && atomic_load(&pool->page_flags[(uint64_t)(p->host - pool->host) >> RAM_PAGE_BITS]) == PAGE_DIRTY_ALL;
}

static void page_write(Cpu *cpu, const ShadowPage *p, uint64_t la, uint64_t v, unsigned size)
{
    unsigned at = la & ~GUEST_PAGE_MASK;
    if (likely(page_plain(cpu, p)))
        guest_store(cpu, p->host + at, v, size);
    else
        as_write(cpu->machine->memory, p->gpa | at, v, size);
}

/* A quadword need not be aligned to more than 4 bytes, so it may lie on two pages. */
static bool is_crossing(uint64_t la, unsigned size) { return (la & ~GUEST_PAGE_MASK) > GUEST_PAGE_SIZE - size; }

uint64_t shadow_load(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl)
{
    if (unlikely(is_crossing(la, size)))
        return shadow_load(cpu, la, 4, cpl) | shadow_load(cpu, la + 4, 4, cpl) << 32;
    ShadowPage p = mmu_shadow_page(cpu, la, false, cpl == 3);
    debug_watch(cpu, la, size, STOP_READ);
    return page_read(cpu, &p, la, size);
}

void shadow_check_store(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl)
{
    mmu_shadow_page(cpu, la, true, cpl == 3);
    if (unlikely(is_crossing(la, size)))
        mmu_shadow_page(cpu, la + 4, true, cpl == 3);
}

void shadow_store(Cpu *cpu, uint64_t la, uint64_t v, unsigned size, unsigned cpl)
{
    if (unlikely(is_crossing(la, size))) {
        shadow_check_store(cpu, la, size, cpl);
        shadow_store(cpu, la, (uint32_t)v, 4, cpl);
        shadow_store(cpu, la + 4, v >> 32, 4, cpl);
        return;
    }
    ShadowPage p = mmu_shadow_page(cpu, la, true, cpl == 3);
    page_write(cpu, &p, la, v, size);
    debug_watch(cpu, la, size, STOP_WRITE);
}

/* The address is a multiple of 8. */
bool shadow_exchange(Cpu *cpu, uint64_t la, uint64_t expected, uint64_t v, unsigned cpl)
{
    ShadowPage p = mmu_shadow_page(cpu, la, true, cpl == 3);
    debug_watch(cpu, la, 8, STOP_READ | STOP_WRITE);
    if (likely(page_plain(cpu, &p)))
        return atomic_cas64le(p.host + (la & ~GUEST_PAGE_MASK), expected, v);
    if (page_read(cpu, &p, la, 8) != expected)
        return false;
    page_write(cpu, &p, la, v, 8);
    return true;
}

/* ---- near transfers ---- */

void shadow_reserve(Cpu *cpu, unsigned size)
{
    shadow_check_store(cpu, shadow_address(cpu, cpu->ssp - size), size, cpu->cpl);
}

void shadow_push(Cpu *cpu, uint64_t v, unsigned size)
{
    uint64_t ssp = shadow_address(cpu, cpu->ssp - size);
    shadow_store(cpu, ssp, v, size, cpu->cpl);
    cpu->ssp = ssp;
}

void shadow_pop_return(Cpu *cpu, uint64_t rip, unsigned size)
{
    uint64_t ssp = shadow_address(cpu, cpu->ssp);
    if (shadow_load(cpu, ssp, size, cpu->cpl) != rip)
        cpu_raise_error(cpu, EXC_CP, CP_NEAR_RET);
    cpu->ssp = shadow_address(cpu, ssp + size);
}

/* ---- far transfers ---- */

/* Registers that keep a linear address keep a canonical one, though 32-bit code's SSP need not be. */
static uint64_t adjust(const Cpu *cpu, uint64_t ssp)
{
    return cpu->long_mode ? (uint64_t)sign_extend(ssp, cpu->max_linear_bits) : ssp;
}

void shadow_save_user(Cpu *cpu)
{
    if (shadow_in_use(cpu) && cpu->cpl == 3)
        cpu->pl_ssp[3] = adjust(cpu, cpu->ssp);
}

void shadow_leave_by_syscall(Cpu *cpu)
{
    if (shadow_in_use(cpu))
        cpu->pl_ssp[3] = adjust(cpu, cpu->ssp);
    if (shadow_enabled(cpu, 0))
        cpu->ssp = 0;
}

void shadow_return_to_user(Cpu *cpu)
{
    if (shadow_enabled(cpu, 3))
        cpu->ssp = cpu->pl_ssp[3];
}

void shadow_check_jump(Cpu *cpu, bool to64)
{
    if (shadow_in_use(cpu) && !to64 && cpu->ssp >> 32)
        cpu_raise_gp(cpu);
}

/*
 * Takes the stack whose token is at ssp.  The token and the frame of 24 bytes must lie in 32 aligned bytes, so that they
 * are on one page.
 */
static void acquire(Cpu *cpu, uint64_t ssp, bool to64, unsigned cpl)
{
    if ((ssp & 7) || (ssp & ~UINT64_C(31)) != ((ssp - 24) & ~UINT64_C(31)) || (!to64 && ssp >> 32))
        cpu_raise_gp(cpu);
    if (!shadow_exchange(cpu, ssp, ssp, ssp | TOKEN_BUSY, cpl))
        cpu_raise_gp(cpu);
}

static void release(Cpu *cpu, uint64_t ssp, unsigned cpl) { shadow_exchange(cpu, ssp, ssp | TOKEN_BUSY, ssp, cpl); }

/* CS, linear RIP and SSP of what is left. */
static uint64_t push_frame(Cpu *cpu, uint64_t ssp, uint64_t cs, uint64_t lip, uint64_t old, unsigned cpl)
{
    shadow_store(cpu, ssp - 8, cs, 8, cpl);
    shadow_store(cpu, ssp - 16, lip, 8, cpl);
    shadow_store(cpu, ssp - 24, old, 8, cpl);
    return ssp - 24;
}

static uint64_t current_lip(const Cpu *cpu, uint64_t rip)
{
    return cpu_code64(cpu) ? rip : (uint32_t)(cpu->seg[SEG_CS].base + rip);
}

/* The stack for level cpl: of the interrupt stack table, or by the level (SDM vol. 2 INT n, CALL). */
static uint64_t switched_ssp(Cpu *cpu, unsigned cpl, unsigned ist)
{
    return ist ? linear_read_system(cpu, cpu->interrupt_ssp_table + ist * 8, 8) : cpu->pl_ssp[cpl];
}

uint64_t shadow_enter(Cpu *cpu, unsigned cpl, bool inner, unsigned ist, bool to64, uint64_t rip)
{
    uint64_t ssp = cpu->ssp, cs = cpu->seg[SEG_CS].sel, lip = current_lip(cpu, rip);
    if (!shadow_enabled(cpu, cpl))
        return ssp;
    if (inner || ist) {
        ssp = switched_ssp(cpu, cpl, ist);
        acquire(cpu, ssp, to64, cpl);
        if (inner && cpu->cpl == 3)
            return ssp;
        return push_frame(cpu, ssp, cs, lip, cpu->ssp, cpl);
    }
    shadow_check_jump(cpu, to64);
    shadow_store(cpu, ssp - 4, 0, 4, cpl);
    return push_frame(cpu, ssp & ~UINT64_C(7), cs, lip, ssp, cpl);
}

/* The frame at ssp must be that of the target; returns the SSP in it. */
static uint64_t pop_frame(Cpu *cpu, uint64_t ssp, uint16_t sel, uint64_t lip)
{
    uint64_t cs = shadow_load(cpu, ssp + 16, 8, cpu->cpl), saved = shadow_load(cpu, ssp + 8, 8, cpu->cpl);
    uint64_t old = shadow_load(cpu, ssp, 8, cpu->cpl);
    if (cs != sel || saved != lip || (old & 3))
        cpu_raise_error(cpu, EXC_CP, CP_FAR_RET);
    return old;
}

uint64_t shadow_return(Cpu *cpu, uint16_t sel, bool to64, uint64_t lip, bool iret)
{
    unsigned cpl = sel & 3;
    bool was = shadow_in_use(cpu), outer = cpl != cpu->cpl;
    uint64_t ssp = cpu->ssp, next = ssp;
    if (was && (ssp & 7))
        cpu_raise_error(cpu, EXC_CP, CP_FAR_RET);
    if (was && (!outer || cpl != 3)) {
        next = pop_frame(cpu, ssp, sel, lip);
        ssp += 24;
    }
    if (outer && cpl == 3 && shadow_enabled(cpu, 3))
        next = cpu->pl_ssp[3];
    if (shadow_enabled(cpu, cpl) && (to64 ? !cpu_canonical(cpu, next) : next >> 32))
        cpu_raise_gp(cpu);
    if (was && (outer || (iret && cpu->long_mode && next != ssp)))
        release(cpu, ssp, cpu->cpl);
    return next;
}

void shadow_return_v86(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_CET) && (cpu->u_cet & (CET_SH_STK_EN | CET_ENDBR_EN)))
        cpu_raise_gp(cpu);
    if (!shadow_in_use(cpu))
        return;
    if (cpu->ssp & 7)
        cpu_raise_error(cpu, EXC_CP, CP_FAR_RET);
    release(cpu, cpu->ssp, cpu->cpl);
}

/* ---- task switches (SDM vol. 3A 7.3) ---- */

/* IRET leaves its stack for good; CALL and events hand over where they were, unless level 3 has a register for it. */
ShadowTask shadow_task_leave(Cpu *cpu, enum TaskSwitchKind kind, unsigned cpl, uint64_t rip)
{
    ShadowTask t = { .cs = cpu->seg[SEG_CS].sel, .lip = current_lip(cpu, rip), .ssp = cpu->ssp };
    if (!shadow_in_use(cpu) || kind == TASK_JUMP)
        return t;
    if (kind != TASK_IRET) {
        t.frame = cpu->cpl != 3 || cpl == 3;
        if (!t.frame)
            cpu->pl_ssp[3] = cpu->ssp;
        return t;
    }
    uint64_t ssp = cpu->ssp;
    t.frame = cpl == cpu->cpl || cpl < 3;
    if (t.frame) {
        t.cs = shadow_load(cpu, ssp + 16, 8, cpu->cpl);
        t.lip = shadow_load(cpu, ssp + 8, 8, cpu->cpl);
        t.ssp = shadow_load(cpu, ssp, 8, cpu->cpl);
        ssp += 24;
    }
    if (!(ssp & 7))
        release(cpu, ssp, cpu->cpl);
    cpu->ssp = 0;
    return t;
}

enum { TSS_SSP = 0x68 };

static void enter_new_stack(Cpu *cpu, const ShadowTask *t, uint32_t error)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    if (!(tr->attr & 8) || tr->limit < TSS_SSP + 3) /* a 16-bit TSS has no room for SSP */
        cpu_raise_error(cpu, EXC_TS, error);
    uint64_t ssp = linear_read_system(cpu, tr->base + TSS_SSP, 4);
    if ((ssp & 7) || !shadow_exchange(cpu, ssp, ssp, ssp | TOKEN_BUSY, cpu->cpl))
        cpu_raise_error(cpu, EXC_TS, error);
    cpu->ssp = t->frame ? push_frame(cpu, ssp, t->cs, t->lip, t->ssp, cpu->cpl) : ssp;
}

static void return_to_old_stack(Cpu *cpu, const ShadowTask *t)
{
    if (t->frame && (t->cs != cpu->seg[SEG_CS].sel || t->lip != current_lip(cpu, cpu->rip)))
        cpu_raise_error(cpu, EXC_CP, CP_FAR_RET);
    if (!shadow_in_use(cpu))
        return;
    uint64_t ssp = t->frame ? t->ssp : cpu->pl_ssp[3];
    if ((ssp & 3) || ssp >> 32)
        cpu_raise_error(cpu, EXC_CP, CP_FAR_RET);
    cpu->ssp = ssp;
}

void shadow_task_enter(Cpu *cpu, enum TaskSwitchKind kind, const ShadowTask *t, uint32_t error)
{
    if (cpu_v86(cpu) && shadow_enabled(cpu, 3))
        cpu_raise_error(cpu, EXC_TS, error);
    if (kind == TASK_IRET)
        return_to_old_stack(cpu, t);
    else if (shadow_in_use(cpu))
        enter_new_stack(cpu, t, error);
}
