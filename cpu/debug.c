/*
 * Debug registers and breakpoints (SDM vol. 3B chapter 18).
 *
 * Data breakpoints make pages of the soft TLB slow (debug_page_watched), and the slow path asks here; hits are kept in
 * dr6_pending and become a #DB trap after the instruction.
 */
#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "cpu/system.h"

enum { DR7_GD = 1 << 13 };
enum { DR6_BD = 1 << 13 };
#define DR6_ONES UINT64_C(0xffff0ff0)     /* bits that read as 1, among them BLD and RTM, which are not offered */
#define DR6_WRITABLE UINT64_C(0x0000e00f)
#define DR7_ONES UINT64_C(0x00000400)
#define DR7_WRITABLE UINT64_C(0xffff23ff)

/* R/Wn of DR7. */
enum { BREAK_EXECUTE, BREAK_WRITE, BREAK_IO, BREAK_ACCESS };

static bool breakpoint_enabled(const Cpu *cpu, unsigned n) { return cpu->dr[7] >> (n * 2) & 3; }
static unsigned breakpoint_kind(const Cpu *cpu, unsigned n) { return cpu->dr[7] >> (16 + n * 4) & 3; }

static unsigned breakpoint_size(const Cpu *cpu, unsigned n)
{
    static const uint8_t size[4] = { 1, 2, 8, 4 };
    return size[cpu->dr[7] >> (18 + n * 4) & 3];
}

/* Whether breakpoint n's bytes, aligned to their size, overlap [start, start+size). */
static bool breakpoint_overlaps(const Cpu *cpu, unsigned n, uint64_t start, uint64_t size)
{
    uint64_t length = breakpoint_size(cpu, n), first = align_down(cpu->dr[n], length);
    return first - start < size || start - first < length;
}

static bool is_data_breakpoint(const Cpu *cpu, unsigned n, bool write)
{
    unsigned kind = breakpoint_kind(cpu, n);
    return breakpoint_enabled(cpu, n) && (kind == BREAK_ACCESS || (kind == BREAK_WRITE && write));
}

bool debug_code_armed(const Cpu *cpu)
{
    for (unsigned n = 0; n < 4; n++)
        if (breakpoint_enabled(cpu, n) && breakpoint_kind(cpu, n) == BREAK_EXECUTE)
            return true;
    return false;
}

bool debug_page_watched(const Cpu *cpu, uint64_t la)
{
    if (likely(!(cpu->dr[7] & 0xff)))
        return false;
    for (unsigned n = 0; n < 4; n++)
        if (is_data_breakpoint(cpu, n, true) && breakpoint_overlaps(cpu, n, la & GUEST_PAGE_MASK, GUEST_PAGE_SIZE))
            return true;
    return false;
}

/* Remembers the hits, and has the run loop look after this instruction. */
static void note_hits(Cpu *cpu, unsigned hits)
{
    if (!hits)
        return;
    cpu->dr6_pending |= hits;
    cpu->insn_end = NULL;
    cpu_request_attention(cpu);
}

void debug_check_data(Cpu *cpu, uint64_t la, unsigned size, bool write)
{
    unsigned hits = 0;
    if (likely(!(cpu->dr[7] & 0xff)))
        return;
    for (unsigned n = 0; n < 4; n++)
        if (is_data_breakpoint(cpu, n, write) && breakpoint_overlaps(cpu, n, la, size))
            hits |= 1u << n;
    note_hits(cpu, hits);
}

void debug_check_io(Cpu *cpu, uint16_t port, unsigned size)
{
    unsigned hits = 0;
    if (likely(!(cpu->dr[7] & 0xff)) || !(cpu->cr4 & CR4_DE))
        return;
    for (unsigned n = 0; n < 4; n++)
        if (breakpoint_enabled(cpu, n) && breakpoint_kind(cpu, n) == BREAK_IO &&
            breakpoint_overlaps(cpu, n, port, size))
            hits |= 1u << n;
    note_hits(cpu, hits);
}

/* Of DR6, the breakpoint bits tell of this #DB alone, the others add up (SDM vol. 3B 18.2.3). */
void debug_take_pending(Cpu *cpu)
{
    cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(15)) | cpu->dr6_pending;
    cpu->dr6_pending = 0;
}

void debug_note_branch(Cpu *cpu, uint64_t from)
{
    cpu->branch[0] = from;
    cpu->branch[1] = cpu->rip;
}

/* The last branch before it is kept; #DB ends recording (AMD APM vol. 2 13.1.1.6). */
void debug_note_interrupt(Cpu *cpu, unsigned vector, uint64_t from)
{
    cpu->branch[2] = cpu->branch[0];
    cpu->branch[3] = cpu->branch[1];
    debug_note_branch(cpu, from);
    if (vector == EXC_DB) {
        cpu->debug_ctl &= ~(uint64_t)DEBUG_CTL_LBR;
        cpu_update_mode(cpu);
    }
}

/*
 * What any MOV DR checks, in the processor's order: DR4 and DR5 are DR6 and DR7 unless CR4.DE, then privilege, then
 * general detect (SDM vol. 3B 18.2.2, 18.2.4; delivery of the #DB clears GD).  Returns the register's number without
 * the aliases.
 */
static unsigned check_access(Cpu *cpu, unsigned n)
{
    if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)))
        cpu_raise_ud(cpu);
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
    if (cpu->dr[7] & DR7_GD) {
        cpu->dr[6] |= DR6_BD;
        cpu_raise(cpu, EXC_DB);
    }
    return n == 4 || n == 5 ? n + 2 : n;
}

uint64_t dr_read(Cpu *cpu, unsigned n) { return cpu->dr[check_access(cpu, n)]; }

void dr_set(Cpu *cpu, unsigned n, uint64_t v)
{
    uint64_t old = cpu->dr[n];
    if (v == old)
        return;
    switch (n) {
    case 6: cpu->dr[6] = (v & DR6_WRITABLE) | DR6_ONES; return;
    case 7: cpu->dr[7] = (v & DR7_WRITABLE) | DR7_ONES; break;
    default: cpu->dr[n] = v; break;
    }
    if (old == cpu->dr[n] || (n < 4 && !breakpoint_enabled(cpu, n)))
        return;
    tlb_flush_all(cpu); /* which pages are watched has changed */
    cpu_update_mode(cpu);
}

void dr_write(Cpu *cpu, unsigned n, uint64_t v)
{
    n = check_access(cpu, n);
    if (n >= 6 && v >> 32)
        cpu_raise_gp(cpu);
    dr_set(cpu, n, v);
}
