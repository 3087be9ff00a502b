/* A CPU's life, its lines from the board, and its view for debuggers and snapshots (cpu.h). */
#include "cpu/cpu.h"

#include <string.h>

#include "core/machine.h"
#include "core/state.h"
#include "cpu/code.h"
#include "cpu/flags.h"
#include "cpu/group.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/stops.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/trace.h"

/* A CPU with its port to the board. */
typedef struct CpuBox {
    Cpu cpu;
    CpuPort port;
    uint64_t saved_eflags; /* whole EFLAGS image in snapshots */
} CpuBox;

void cpu_post_event(Cpu *cpu, unsigned events)
{
    atomic_fetch_or(&cpu->events, events);
    g_mutex_lock(&cpu->wait->lock);
    atomic_store(&cpu->attention, 1);
    g_cond_signal(&cpu->wait->cond);
    g_mutex_unlock(&cpu->wait->lock);
}

/* The CPU clears `quiet` before it looks at its events: one of the two sees the other's store. */
void cpu_post_lazily(Cpu *cpu, unsigned events)
{
    atomic_fetch_or(&cpu->events, events);
    if (!atomic_load(&cpu->quiet))
        cpu_post_event(cpu, events);
}

static void port_intr(void *opaque, int level)
{
    Cpu *cpu = opaque;
    if (!level)
        atomic_fetch_and(&cpu->events, ~(unsigned)EVENT_INTR);
    else if (!(atomic_load(&cpu->events) & EVENT_INTR))
        cpu_post_event(cpu, EVENT_INTR);
}

static void port_nmi(void *opaque)
{
    Cpu *cpu = opaque;
    cpu_post_event(cpu, atomic_load(&cpu->events) & EVENT_NMI ? EVENT_NMI_2 : EVENT_NMI);
}

static void port_smi(void *opaque)
{
    if (cpu_has(opaque, FEAT_SMM))
        cpu_post_event(opaque, EVENT_SMI);
}

static void port_init(void *opaque) { cpu_post_event(opaque, EVENT_INIT); }
static void port_power_off(void *opaque) { cpu_post_event(opaque, EVENT_POWER_OFF); }
static void port_reset(void *opaque) { cpu_post_event(opaque, EVENT_RESET); }

static const uint8_t io_registers[IO_REGISTERS] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI };

static bool port_io_get(void *opaque, uint32_t r[IO_REGISTERS])
{
    const Cpu *cpu = opaque;
    if (atomic_load_explicit(&cpu->thread, memory_order_relaxed) != g_thread_self())
        return false;
    for (unsigned n = 0; n < IO_REGISTERS; n++)
        r[n] = cpu->gpr[io_registers[n]];
    return true;
}

static void port_io_set(void *opaque, const uint32_t r[IO_REGISTERS])
{
    for (unsigned n = 0; n < IO_REGISTERS; n++)
        set_reg32(opaque, io_registers[n], r[n]);
}

static void port_sipi(void *opaque, uint8_t vector)
{
    Cpu *cpu = opaque;
    __atomic_store_n(&cpu->sipi_vector, vector, __ATOMIC_RELAXED);
    cpu_post_event(cpu, EVENT_SIPI);
}

static void update_gpa_mask(Cpu *cpu)
{
    bool a20 = __atomic_load_n(&cpu->a20_enabled, __ATOMIC_RELAXED);
    cpu->gpa_mask = cpu_has(cpu, FEAT_UNTIL_186) ? bit_mask(20) : a20 ? ~UINT64_C(0) : ~BIT(20);
}

/* The gate masks line A20 of every physical address (SDM vol. 3A 9.7.12.4). */
static void port_a20(void *opaque, bool enabled)
{
    Cpu *cpu = opaque;
    if (__atomic_exchange_n(&cpu->a20_enabled, enabled, __ATOMIC_RELAXED) != enabled)
        cpu_post_event(cpu, EVENT_MEMORY);
}

static void memory_changed(void *opaque) { cpu_post_lazily(opaque, EVENT_MEMORY); }

void cpu_follow_memory(Cpu *cpu)
{
    update_gpa_mask(cpu);
    cpu->ram_window.size = 0;
    tlb_flush_worlds(cpu);
}

/* Bits 61:48 of the empty slots' tag are neither all 0 nor all 1 together with the sign: not canonical in any mode. */
static void clear_micro_tlb(MicroTlb *m)
{
    m->nowhere = BIT(62) | ((uint64_t)g_random_int() << 16 & bit_mask(48) & GUEST_PAGE_MASK);
    for (unsigned k = 0; k < MICRO_SIZE; k++)
        m->slot[k] = (MicroEntry){ m->nowhere, (uintptr_t)m->scratch };
}

static void clear_tlbs(Cpu *cpu)
{
    clear_micro_tlb(&cpu->micro);
    for (unsigned mode = 0; mode < TLB_COUNT; mode++)
        for (unsigned k = 0; k < TLB_SIZE; k++)
            cpu->tlb[mode].entry[k] = (TlbEntry){ tlb_invalid_tag(k), tlb_invalid_tag(k), tlb_invalid_tag(k), 0 };
}

Cpu *cpu_new(Machine *machine, const CpuModel *model, unsigned index, uint32_t apic_id)
{
    CpuBox *box = g_aligned_alloc0(1, sizeof *box, 64);
    Cpu *cpu = &box->cpu;
    cpu->machine = machine;
    cpu->model = model;
    cpu->index = index;
    cpu->apic_id = apic_id;
    cpu->quiet = true;
    cpu->wait = &cpu->own_wait;
    g_mutex_init(&cpu->wait->lock);
    g_cond_init(&cpu->wait->cond);
    cpu_model_apply(cpu, model);
    cpu->gpr[R_SIXTEEN] = 16;
    cpu->a20_enabled = true;
    update_gpa_mask(cpu);
    cpu->decoder = insn_decoder_new(cpu->features);
    clear_tlbs(cpu);
    group_join(cpu);
    stops_join(cpu);
    trace_join(cpu);
    cpu->code = code_cache_new(cpu);
    as_add_listener(machine->memory, memory_changed, cpu);
    ram_add_dirty_listener(machine->pool, memory_changed, cpu);
    box->port = (CpuPort){ .cpu = cpu, .intr = port_intr, .nmi = port_nmi, .smi = port_smi, .init = port_init,
                           .sipi = port_sipi, .a20 = port_a20, .reset = port_reset, .power_off = port_power_off,
                           .io_get = port_io_get, .io_set = port_io_set };
    cpu_reset(cpu);
    return cpu;
}

void cpu_free(Cpu *cpu)
{
    if (!cpu)
        return;
    ram_remove_dirty_listener(cpu->machine->pool, memory_changed, cpu);
    as_remove_listener(cpu->machine->memory, memory_changed, cpu);
    code_cache_free(cpu->code);
    stops_leave(cpu);
    trace_leave(cpu);
    group_leave(cpu);
    insn_decoder_free(cpu->decoder);
    g_mutex_clear(&cpu->own_wait.lock);
    g_cond_clear(&cpu->own_wait.cond);
    g_aligned_free((CpuBox *)cpu);
}

const CpuPort *cpu_port(Cpu *cpu) { return &((CpuBox *)cpu)->port; }

void cpu_set_intc(Cpu *cpu, const IntcOps *ops, void *opaque)
{
    cpu->intc = ops;
    cpu->intc_opaque = opaque;
    cpu_update_intc(cpu);
}

#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_X2APIC BIT(10)

void cpu_update_intc(Cpu *cpu)
{
    uint64_t base = cpu->intc && cpu->intc->base_read ? cpu->intc->base_read(cpu->intc_opaque) : 0;
    bool mapped = (base & APIC_BASE_ENABLE) && !(base & APIC_BASE_X2APIC);
    cpu->intc_page = mapped ? base & bit_mask(cpu->physical_bits) & GUEST_PAGE_MASK : ~UINT64_C(0);
    tlb_flush_worlds(cpu);
}

void cpu_reset(Cpu *cpu)
{
    cpu_reset_state(cpu, false);
    cpu->run_state = cpu->index == 0 ? CPU_RUNNING : CPU_WAIT_SIPI;
    atomic_fetch_and(&cpu->events, EVENT_INTR | EVENT_STOP);
    cpu->fault.raised = cpu->fault.delivering = false;
    cpu->dr6_pending = 0;
    cpu->shadow = 0;
    code_flush(cpu->code);
    tlb_flush_worlds(cpu);
    cpu->ram_window.size = 0;
    cpu_update_intc(cpu);
    cpu_update_mode(cpu);
    cpu_request_attention(cpu);
}

bool cpu_read_linear(Cpu *cpu, uint64_t la, void *buf, size_t size)
{
    uint8_t *to = buf;
    while (size) {
        Translation t;
        size_t n = MIN(size, GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK));
        if (!mmu_walk(cpu, la, &t))
            return false;
        as_read_bytes(cpu->machine->memory, t.gpa, to, n);
        la += n;
        to += n;
        size -= n;
    }
    return true;
}

static bool all_mapped(Cpu *cpu, uint64_t la, size_t size)
{
    Translation t;
    for (uint64_t at = la & GUEST_PAGE_MASK; at - (la & GUEST_PAGE_MASK) < size + (la & ~GUEST_PAGE_MASK);
         at += GUEST_PAGE_SIZE)
        if (!mmu_walk(cpu, at, &t))
            return false;
    return true;
}

bool cpu_write_linear(Cpu *cpu, uint64_t la, const void *buf, size_t size)
{
    const uint8_t *from = buf;
    if (!all_mapped(cpu, la, size))
        return false;
    while (size) {
        Translation t;
        size_t n = MIN(size, GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK));
        if (!mmu_walk(cpu, la, &t))
            return false;
        as_load_bytes(cpu->machine->memory, t.gpa, from, n);
        la += n;
        from += n;
        size -= n;
    }
    return true;
}

static const StateField segment_state[] = {
    STATE_U64(Segment, base), STATE_U32(Segment, limit), STATE_U16(Segment, sel), STATE_U16(Segment, attr), STATE_END
};
static const StateField table_state[] = { STATE_U64(TablePtr, base), STATE_U32(TablePtr, limit), STATE_END };
static const StateField float80_state[] = { STATE_U64(Float80, mant), STATE_U16(Float80, sexp), STATE_END };
static const StateField fpu_state[] = {
    STATE_STRUCT_ARRAY(Fpu, reg, float80_state), STATE_U16(Fpu, control), STATE_U16(Fpu, status), STATE_U8(Fpu, top),
    STATE_U8(Fpu, tags), STATE_U16(Fpu, opcode), STATE_U64(Fpu, ip), STATE_U64(Fpu, dp), STATE_U16(Fpu, cs),
    STATE_U16(Fpu, ds), STATE_END
};
static const StateField vec_state[] = { STATE_ARRAY_U64(Vec, q), STATE_END };
static const StateField mtrr_state[] = {
    STATE_U64(MtrrState, def_type), STATE_ARRAY_U64(MtrrState, fixed), STATE_ARRAY_U64(MtrrState, base),
    STATE_ARRAY_U64(MtrrState, mask), STATE_END
};

static const StateField svm_host_state[] = {
    STATE_STRUCT_ARRAY(SvmHost, seg, segment_state), STATE_STRUCT(SvmHost, gdtr, table_state),
    STATE_STRUCT(SvmHost, idtr, table_state), STATE_U64(SvmHost, cr0), STATE_U64(SvmHost, cr3), STATE_U64(SvmHost, cr4),
    STATE_U64(SvmHost, efer), STATE_U64(SvmHost, rip), STATE_U64(SvmHost, rsp), STATE_U64(SvmHost, rax),
    STATE_U64(SvmHost, pat), STATE_U64(SvmHost, debug_ctl), STATE_ARRAY_U64(SvmHost, branch), STATE_ARRAY_U64(SvmHost, cet),
    STATE_U32(SvmHost, eflags), STATE_END
};
static const StateField svm_state[] = {
    STATE_BOOL(SvmState, guest), STATE_BOOL(SvmState, gif), STATE_BOOL(SvmState, guest_in_smm),
    STATE_U64(SvmState, vm_cr), STATE_U64(SvmState, hsave_pa), STATE_U64(SvmState, tsc_ratio),
    STATE_U64(SvmState, vmcb), STATE_ARRAY_U32(SvmState, intercept), STATE_U64(SvmState, iopm),
    STATE_U64(SvmState, msrpm), STATE_U64(SvmState, tsc_offset), STATE_U64(SvmState, nested_cr3),
    STATE_U32(SvmState, asid), STATE_U32(SvmState, int_ctl), STATE_U32(SvmState, virt_ext),
    STATE_U8(SvmState, int_vector), STATE_BOOL(SvmState, nested_enabled), STATE_U16(SvmState, pause_count),
    STATE_U16(SvmState, pause_threshold), STATE_U16(SvmState, pauses_left), STATE_U64(SvmState, last_pause),
    STATE_U64(SvmState, event), STATE_STRUCT(SvmState, host, svm_host_state), STATE_END
};

const StateField cpu_state_fields[] = {
    STATE_ARRAY_U64(Cpu, gpr_named), STATE_U64(Cpu, rip), STATE_U64(CpuBox, saved_eflags),
    STATE_STRUCT_ARRAY(Cpu, seg, segment_state), STATE_STRUCT(Cpu, gdtr, table_state),
    STATE_STRUCT(Cpu, idtr, table_state), STATE_U64(Cpu, cr0), STATE_U64(Cpu, cr2), STATE_U64(Cpu, cr3),
    STATE_U64(Cpu, cr4), STATE_U64(Cpu, cr8), STATE_ARRAY_U64(Cpu, dr), STATE_U64(Cpu, efer), STATE_U64(Cpu, xcr0),
    STATE_ARRAY_U64(Cpu, pdpte), STATE_STRUCT(Cpu, fpu, fpu_state), STATE_STRUCT_ARRAY(Cpu, vec, vec_state),
    STATE_ARRAY_U64(Cpu, opmask), STATE_U32(Cpu, mxcsr), STATE_U32(Cpu, pkru), STATE_U64(Cpu, star),
    STATE_U64(Cpu, lstar), STATE_U64(Cpu, cstar), STATE_U64(Cpu, sfmask), STATE_U64(Cpu, kernel_gs_base),
    STATE_U64(Cpu, sysenter_cs), STATE_U64(Cpu, sysenter_esp), STATE_U64(Cpu, sysenter_eip), STATE_U64(Cpu, tsc_aux),
    STATE_U64(Cpu, tsc_offset), STATE_U64(Cpu, tsc_adjust), STATE_U64(Cpu, pat), STATE_U64(Cpu, misc_enable),
    STATE_U64(Cpu, spec_ctrl), STATE_U64(Cpu, hwcr), STATE_U64(Cpu, monitor_gpa), STATE_U64(Cpu, smbase),
    STATE_U64(Cpu, feature_control), STATE_U64(Cpu, debug_ctl), STATE_U64(Cpu, ssp), STATE_U64(Cpu, pkrs),
    STATE_U64(Cpu, u_cet), STATE_U64(Cpu, s_cet), STATE_ARRAY_U64(Cpu, pl_ssp), STATE_U64(Cpu, interrupt_ssp_table),
    STATE_U64(Cpu, mcg_status), STATE_ARRAY_U64(Cpu, mc_bank), STATE_U64(Cpu, xss), STATE_U64(Cpu, umwait_control),
    STATE_ARRAY_U64(Cpu, perf_evtsel), STATE_ARRAY_U64(Cpu, perf_ctr), STATE_STRUCT(Cpu, mtrr, mtrr_state),
    STATE_ARRAY_U64(Cpu, branch), STATE_STRUCT(Cpu, svm, svm_state), STATE_U8(Cpu, run_state),
    STATE_U8(Cpu, shadow), STATE_BOOL(Cpu, in_smm), STATE_BOOL(Cpu, nmi_blocked), STATE_BOOL(Cpu, smm_nmi_blocked),
    STATE_U8(Cpu, sipi_vector), STATE_U64(Cpu, dr6_pending), STATE_U32(Cpu, events), STATE_BOOL(Cpu, a20_enabled),
    STATE_END
};

void cpu_pre_save(Cpu *cpu) { ((CpuBox *)cpu)->saved_eflags = cpu_eflags(cpu); }

void cpu_post_load(Cpu *cpu)
{
    uint32_t eflags = ((CpuBox *)cpu)->saved_eflags;
    cpu->eflags = eflags & ~(F_ARITH | EFLAGS_FIXED);
    set_flags_arith(cpu, eflags);
    update_gpa_mask(cpu);
    svm_post_load(cpu);
    code_flush(cpu->code);
    tlb_flush_worlds(cpu);
    cpu_update_mode(cpu);
    cpu_request_attention(cpu);
}
