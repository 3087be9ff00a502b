/*
 * What follows from the architectural registers: privilege, code and stack width, which segments need no checks, how
 * instructions decode (state.h).
 */
#include "core/log.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/state.h"
#include "cpu/stops.h"
#include "cpu/system.h"
#include "cpu/trace.h"

static unsigned current_cpl(const Cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PE))
        return 0;
    return cpu->eflags & EFLAGS_VM ? 3 : cpu->seg[SEG_CS].sel & 3;
}

static unsigned current_code_size(const Cpu *cpu)
{
    uint16_t attr = cpu->seg[SEG_CS].attr;
    if (cpu->long_mode && (attr & SA_L))
        return SZ64;
    return attr & SA_DB ? SZ32 : SZ16;
}

/* Outside 64-bit mode: base 0, limit 4 GiB, present, and (in protected mode) writable expand-up data. */
static bool segment_flat(const Cpu *cpu, const Segment *s)
{
    if (s->base != 0 || s->limit != 0xffffffff)
        return false;
    if (!cpu->protected_mode)
        return true;
    return (s->attr & (SA_P | SA_S | SA_CODE | SA_DOWN | SA_WRITABLE)) == (SA_P | SA_S | SA_WRITABLE);
}

static uint32_t flat_segments(const Cpu *cpu)
{
    uint32_t flat = 0;
    if (cpu->code_size == SZ64)
        return 1 << SEG_ES | 1 << SEG_CS | 1 << SEG_SS | 1 << SEG_DS | (cpu->seg[SEG_FS].base == 0) << SEG_FS |
               (cpu->seg[SEG_GS].base == 0) << SEG_GS;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        if (s != SEG_CS && segment_flat(cpu, &cpu->seg[s]))
            flat |= 1u << s;
    return flat;
}

/* SDM vol. 1 14.3, 15.2.1: which vector state the operating system has enabled. */
static unsigned vector_key(const Cpu *cpu)
{
    uint64_t enabled = cpu->cr4 & CR4_OSXSAVE ? cpu->xcr0 : 0;
    return ((enabled & XCR0_AVX_STATE) == XCR0_AVX_STATE ? 0 : KEY_AVX_UD) |
           ((enabled & XCR0_AVX512_STATE) == XCR0_AVX512_STATE ? 0 : KEY_AVX512_UD);
}

/* Shadow stacks and indirect branch tracking as this privilege has them (SDM vol. 1 17.2.2, 17.3.2). */
static unsigned cet_key(const Cpu *cpu)
{
    if (likely(!(cpu->cr4 & CR4_CET)) || !cpu->protected_mode)
        return 0;
    uint64_t cet = cpu->cpl == 3 ? cpu->u_cet : cpu->s_cet;
    return (cet & CET_SH_STK_EN ? KEY_SHSTK : 0) | (cet & CET_ENDBR_EN ? KEY_IBT : 0);
}

static unsigned decode_key(const Cpu *cpu)
{
    unsigned key = cpu->code_size;
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        key |= KEY_X87_NM;
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        key |= KEY_WAIT_NM;
    if (cpu->cr0 & CR0_EM)
        key |= KEY_SIMD_UD;
    if (cpu->cr0 & CR0_TS)
        key |= KEY_SIMD_NM;
    if (!(cpu->cr4 & CR4_OSFXSR))
        key |= KEY_SSE_UD;
    if (!cpu->protected_mode)
        key |= KEY_REAL;
    if (cpu->svm.guest)
        key |= KEY_GUEST;
    key |= vector_key(cpu);
    const unsigned data = 1 << SEG_ES | 1 << SEG_SS | 1 << SEG_DS;
    if (cpu->code_flat && (cpu->flat & data) == data && cpu->sp_mask != 0xffff)
        key |= KEY_FLAT;
    return key | cet_key(cpu) | mmu_data_mode(cpu) << KEY_TLB;
}

static bool awaits_endbranch(const Cpu *cpu)
{
    return (cpu->key & KEY_IBT) && ((cpu->cpl == 3 ? cpu->u_cet : cpu->s_cet) & CET_TRACKER);
}

static unsigned step_mode(const Cpu *cpu)
{
    return (cpu->eflags & F_TF ? STEP_TF : 0) | (cpu->eflags & EFLAGS_RF ? STEP_RF : 0) |
           (debug_code_armed(cpu) ? STEP_CODE_BP : 0) | (log_enabled(LOG_EXEC | LOG_CPU) ? STEP_LOG : 0) |
           (cpu->debug_ctl & DEBUG_CTL_LBR ? STEP_BRANCH : 0) | (awaits_endbranch(cpu) ? STEP_IBT : 0) |
           (stops_stepping(cpu) ? STEP_DEBUG : 0) |
           (cpu->traced_steps ? STEP_TRACE : 0);
}

void cpu_update_mode(Cpu *cpu)
{
    const Segment *cs = &cpu->seg[SEG_CS];
    cpu->long_mode = cpu->efer & EFER_LMA;
    cpu->linear_bits = cpu->cr4 & CR4_LA57 ? 57 : MIN(cpu->max_linear_bits, 48);
    cpu->protected_mode = (cpu->cr0 & CR0_PE) && !(cpu->eflags & EFLAGS_VM);
    cpu->cpl = current_cpl(cpu);
    cpu->code_size = current_code_size(cpu);
    cpu->rip_mask = cpu->code_size == SZ64 ? ~UINT64_C(0) : cpu->legacy_rip_mask;
    cpu->sp_mask = cpu->code_size == SZ64 ? ~UINT64_C(0) : cpu->seg[SEG_SS].attr & SA_DB ? 0xffffffff : 0xffff;
    cpu->flat = flat_segments(cpu);
    cpu->code_flat = cpu->code_size == SZ64 || (cs->base == 0 && cs->limit == 0xffffffff);
    cpu->key = decode_key(cpu);
    mmu_update_jump_tag(cpu);
    cpu->step_mode = step_mode(cpu);
    cpu->tlb_data = cpu->tlb[tlb_number(cpu, mmu_data_mode(cpu))].entry;
    if (stops_wanted(cpu, STOP_MODE))
        stops_note_mode(cpu);
}

/* The way that data is accessed, and all that follows from it. */
static void update_data_mode(Cpu *cpu)
{
    unsigned mode = mmu_data_mode(cpu);
    cpu->key = (cpu->key & ~(3u << KEY_TLB)) | mode << KEY_TLB;
    mmu_update_jump_tag(cpu);
    cpu->tlb_data = cpu->tlb[tlb_number(cpu, mode)].entry;
}

void cpu_update_level(Cpu *cpu)
{
    cpu->cpl = cpu->seg[SEG_CS].sel & 3;
    if (unlikely(cpu->cr4 & CR4_CET)) {
        cpu->key = (cpu->key & ~(KEY_SHSTK | KEY_IBT)) | cet_key(cpu);
        cpu->step_mode = step_mode(cpu);
    }
    update_data_mode(cpu);
}

/* In 64-bit mode only whether the base of FS or GS is 0 follows from a segment. */
void cpu_update_segment(Cpu *cpu, unsigned seg)
{
    if (unlikely(cpu->code_size != SZ64))
        cpu_update_mode(cpu);
    else if (seg >= SEG_FS)
        cpu->flat = (cpu->flat & ~(1u << seg)) | (uint32_t)(cpu->seg[seg].base == 0) << seg;
}

/* An interrupt that comes later asks for attention itself. */
static bool interrupt_waits(const Cpu *cpu)
{
    return atomic_load_explicit(&cpu->events, memory_order_acquire) & (EVENT_INTR | EVENT_VIRTUAL);
}

void cpu_set_eflags_slow(Cpu *cpu, uint32_t old)
{
    uint32_t changed = old ^ cpu->eflags;
    if (changed & EFLAGS_VM)
        cpu_update_mode(cpu);
    if (changed & EFLAGS_AC)
        update_data_mode(cpu);
    if (changed & (F_TF | EFLAGS_RF))
        cpu->step_mode = step_mode(cpu);
    if ((changed & cpu->eflags & F_IF) && interrupt_waits(cpu))
        cpu_request_attention(cpu);
}
