/*
 * System management mode: entry and RSM (SDM vol. 3C chapter 32; AMD APM vol. 2 chapter 10).
 *
 * CPUs with long mode use the AMD64 save area (APM vol. 2 table 10-1, revision 20064h), others the 32-bit one of the
 * P6 family (SDM table 32-1 and the parts of it that firmware knows, revision 20000h).  Each layout is a table of
 * places, walked in one direction to save and in the other to restore.
 */
#include "core/log.h"
#include "core/machine.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/trace.h"

#define AREA 0x8000 /* of the save area's offsets, and of the handler's entry point, from SMBASE */
#define REVISION_32 0x20000u /* bit 17: SMBASE can be relocated */
#define REVISION_64 0x20064u

/* Places of the scalar registers, as offset from SMBASE + AREA. */
typedef struct SmmField {
    uint16_t place;
    uint8_t size;
    size_t offset; /* in Cpu, a uint64_t */
} SmmField;

#define GPR(place, size, n) { place, size, offsetof(Cpu, gpr) + (n) * sizeof(uint64_t) }
#define REG(place, size, field) { place, size, offsetof(Cpu, field) }

static const SmmField fields_32[] = {
    REG(0x7ffc, 4, cr0),   REG(0x7ff8, 4, cr3),   GPR(0x7fec, 4, R_DI),  GPR(0x7fe8, 4, R_SI),  GPR(0x7fe4, 4, R_BP),
    GPR(0x7fe0, 4, R_SP),  GPR(0x7fdc, 4, R_BX),  GPR(0x7fd8, 4, R_DX),  GPR(0x7fd4, 4, R_CX),  GPR(0x7fd0, 4, R_AX),
    REG(0x7ff0, 4, rip),   REG(0x7fcc, 4, dr[6]), REG(0x7fc8, 4, dr[7]), REG(0x7f14, 4, cr4),
    REG(0x7f74, 4, gdtr.base), REG(0x7f58, 4, idtr.base),
};
static const SmmField fields_64[] = {
    GPR(0x7ff8, 8, R_AX),  GPR(0x7ff0, 8, R_CX),  GPR(0x7fe8, 8, R_DX),  GPR(0x7fe0, 8, R_BX),  GPR(0x7fd8, 8, R_SP),
    GPR(0x7fd0, 8, R_BP),  GPR(0x7fc8, 8, R_SI),  GPR(0x7fc0, 8, R_DI),  GPR(0x7fb8, 8, R_8),   GPR(0x7fb0, 8, R_9),
    GPR(0x7fa8, 8, R_10),  GPR(0x7fa0, 8, R_11),  GPR(0x7f98, 8, R_12),  GPR(0x7f90, 8, R_13),  GPR(0x7f88, 8, R_14),
    GPR(0x7f80, 8, R_15),  REG(0x7f78, 8, rip),   REG(0x7f68, 8, dr[6]), REG(0x7f60, 8, dr[7]), REG(0x7f58, 8, cr0),
    REG(0x7f50, 8, cr3),   REG(0x7f48, 8, cr4),   REG(0x7ed0, 8, efer),  REG(0x7f18, 8, ssp),
    REG(0x7e68, 8, gdtr.base), REG(0x7e88, 8, idtr.base),
};

/* Places that both directions and both layouts need by name. */
typedef struct SmmLayout {
    const SmmField *fields;
    unsigned field_count;
    uint32_t revision;
    uint16_t eflags, gdt_limit, idt_limit, smbase, auto_halt;
} SmmLayout;

static const SmmLayout layout_32 = {
    fields_32, ARRAY_SIZE(fields_32), REVISION_32,
    .eflags = 0x7ff4, .gdt_limit = 0x7f70, .idt_limit = 0x7f54, .smbase = 0x7ef8, .auto_halt = 0x7f02,
};
static const SmmLayout layout_64 = {
    fields_64, ARRAY_SIZE(fields_64), REVISION_64,
    .eflags = 0x7f70, .gdt_limit = 0x7e64, .idt_limit = 0x7e84, .smbase = 0x7f00, .auto_halt = 0x7ec9,
};
enum { REVISION_PLACE = 0x7efc };

/* Selector, attributes, limit and base of a segment. */
typedef struct SegmentPlaces {
    uint16_t sel, attr, limit, base;
} SegmentPlaces;

static SegmentPlaces segment_places_32(unsigned s)
{
    if (s == SEG_TR)
        return (SegmentPlaces){ 0x7fc4, 0x7f5c, 0x7f60, 0x7f64 };
    if (s == SEG_LDTR)
        return (SegmentPlaces){ 0x7fc0, 0x7f78, 0x7f7c, 0x7f80 };
    uint16_t cache = s < SEG_DS ? 0x7f84 + s * 12 : 0x7f2c + (s - SEG_DS) * 12;
    return (SegmentPlaces){ 0x7fa8 + s * 4, cache, cache + 4, cache + 8 };
}

static SegmentPlaces segment_places_64(unsigned s)
{
    static const uint16_t place[SEG_COUNT] = { 0x7e00, 0x7e10, 0x7e20, 0x7e30, 0x7e40, 0x7e50, 0x7e70, 0x7e90 };
    return (SegmentPlaces){ place[s], place[s] + 2, place[s] + 4, place[s] + 8 };
}

static bool is_wide(const Cpu *cpu) { return cpu_has(cpu, FEAT_LM); }
static const SmmLayout *layout_of(const Cpu *cpu) { return is_wide(cpu) ? &layout_64 : &layout_32; }

static void area_write(Cpu *cpu, uint16_t place, uint64_t v, unsigned size)
{
    as_write(cpu->machine->memory, (cpu->smbase + AREA + place) & cpu->gpa_mask, v, size);
}

static uint64_t area_read(Cpu *cpu, uint16_t place, unsigned size)
{
    return as_read(cpu->machine->memory, (cpu->smbase + AREA + place) & cpu->gpa_mask, size);
}

/* The 32-bit area keeps attributes where a descriptor has them, the AMD64 one shifted down by 8 as we do. */
static void save_segment(Cpu *cpu, unsigned s)
{
    const Segment *seg = &cpu->seg[s];
    bool wide = is_wide(cpu);
    SegmentPlaces p = wide ? segment_places_64(s) : segment_places_32(s);
    area_write(cpu, p.sel, seg->sel, wide ? 2 : 4);
    area_write(cpu, p.attr, wide ? seg->attr : (uint32_t)seg->attr << 8, wide ? 2 : 4);
    area_write(cpu, p.limit, seg->limit, 4);
    area_write(cpu, p.base, seg->base, wide ? 8 : 4);
}

static void restore_segment(Cpu *cpu, unsigned s)
{
    bool wide = is_wide(cpu);
    SegmentPlaces p = wide ? segment_places_64(s) : segment_places_32(s);
    cpu->seg[s] = (Segment){
        .sel = area_read(cpu, p.sel, 2),
        .attr = (wide ? area_read(cpu, p.attr, 2) : area_read(cpu, p.attr, 4) >> 8) & 0xf0ff,
        .limit = area_read(cpu, p.limit, 4),
        .base = area_read(cpu, p.base, wide ? 8 : 4),
    };
}

static uint64_t *field_of(Cpu *cpu, const SmmField *f) { return (uint64_t *)((char *)cpu + f->offset); }

static void save_state(Cpu *cpu, bool halted)
{
    const SmmLayout *l = layout_of(cpu);
    for (unsigned k = 0; k < l->field_count; k++)
        area_write(cpu, l->fields[k].place, *field_of(cpu, &l->fields[k]), l->fields[k].size);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        save_segment(cpu, s);
    area_write(cpu, l->eflags, cpu_eflags(cpu), 4);
    if (is_wide(cpu))
        area_write(cpu, l->eflags + 4, 0, 4);
    area_write(cpu, l->gdt_limit, cpu->gdtr.limit, is_wide(cpu) ? 2 : 4);
    area_write(cpu, l->idt_limit, cpu->idtr.limit, is_wide(cpu) ? 2 : 4);
    area_write(cpu, l->smbase, cpu->smbase, 4);
    area_write(cpu, l->auto_halt, halted, is_wide(cpu) ? 1 : 2);
    area_write(cpu, REVISION_PLACE, l->revision, 4);
}

void smm_set(Cpu *cpu, bool in_smm)
{
    Machine *m = cpu->machine;
    machine_lock(m);
    cpu->in_smm = in_smm; /* with the lock: the board looks at all CPUs */
    if (m->smm_changed)
        m->smm_changed(m->smm_opaque, in_smm);
    machine_unlock(m);
    cpu->ram_window.size = 0;
}

/* Flat segments of 4 GiB at base 0; CS at SMBASE (SDM vol. 3C 32.5.1, table 32-4). */
static void load_handler_segments(Cpu *cpu)
{
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (Segment){ .limit = 0xffffffff, .attr = SA_G | SA_P | SA_S | SA_WRITABLE | SA_ACCESSED };
    cpu->seg[SEG_CS].sel = cpu->smbase >> 4;
    cpu->seg[SEG_CS].base = cpu->smbase;
}

void smm_enter(Cpu *cpu)
{
    bool halted = cpu->run_state == CPU_HALTED;
    stops_note(cpu, STOP_SMI, 0, 0, 0, true, false);
    uint64_t number = trace_event(cpu, TRACE_SMI, 0, false, 0, 0);
    smm_set(cpu, true);
    save_state(cpu, halted);
    svm_enter_smm(cpu);
    cpu->smm_nmi_blocked = cpu->nmi_blocked;
    cpu->nmi_blocked = true;
    cpu->run_state = CPU_RUNNING;
    cpu->shadow = 0;
    load_handler_segments(cpu);
    cpu->rip = AREA;
    cpu->eflags = 0;
    set_flags_arith(cpu, 0);
    cpu->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    cpu->cr4 = 0;
    cpu->efer = 0;
    cpu->dr[7] = 0x400;
    tlb_flush_worlds(cpu);
    cpu_update_mode(cpu);
    trace_event_done(cpu, number);
}

/* What RSM refuses (SDM vol. 3C 32.7): it shuts the processor down. */
static bool restored_state_valid(const Cpu *cpu)
{
    if ((cpu->cr0 & CR0_PG) && !(cpu->cr0 & CR0_PE))
        return false;
    if ((cpu->cr0 & CR0_NW) && !(cpu->cr0 & CR0_CD))
        return false;
    if ((cpu->cr4 & CR4_CET) && !(cpu->cr0 & CR0_WP))
        return false;
    if (cpu->cr0 >> 32 || (cpu->cr4 & ~cr4_allowed(cpu)) || (cpu->efer & ~efer_allowed(cpu)))
        return false;
    bool lma = cpu->efer & EFER_LMA;
    if (lma != ((cpu->efer & EFER_LME) && (cpu->cr0 & CR0_PG)))
        return false;
    return !lma || ((cpu->cr4 & CR4_PAE) && !(cpu->eflags & EFLAGS_VM));
}

static void restore_state(Cpu *cpu)
{
    const SmmLayout *l = layout_of(cpu);
    for (unsigned k = 0; k < l->field_count; k++)
        *field_of(cpu, &l->fields[k]) = area_read(cpu, l->fields[k].place, l->fields[k].size);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        restore_segment(cpu, s);
    uint32_t eflags = area_read(cpu, l->eflags, 4) & 0x3f7fd7;
    cpu->eflags = eflags & ~(F_ARITH | EFLAGS_FIXED);
    set_flags_arith(cpu, eflags);
    cpu->gdtr.limit = area_read(cpu, l->gdt_limit, 2);
    cpu->idtr.limit = area_read(cpu, l->idt_limit, 2);
    cpu->run_state = area_read(cpu, l->auto_halt, 1) & 1 ? CPU_HALTED : CPU_RUNNING;
    cpu->smbase = area_read(cpu, l->smbase, 4);
    cpu->cr0 |= CR0_ET;
}

static void shut_down(Cpu *cpu)
{
    cpu->run_state = CPU_SHUTDOWN;
    log_guest_error("CPU %u: RSM found an invalid saved state (CR0 %#" G_GINT64_MODIFIER "x, CR4 %#" G_GINT64_MODIFIER
                    "x); shutdown", cpu->index, cpu->cr0, cpu->cr4);
    machine_request_reset(cpu->machine, "invalid saved state at RSM");
}

void smm_leave(Cpu *cpu)
{
    stops_note(cpu, STOP_SMI, 0, 0, 0, false, true);
    restore_state(cpu);
    cpu->nmi_blocked = cpu->smm_nmi_blocked;
    cpu->shadow = 0;
    smm_set(cpu, false);
    svm_leave_smm(cpu);
    tlb_flush_worlds(cpu);
    bool pae = (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA);
    if (!restored_state_valid(cpu) || (pae && !mmu_load_pdptes(cpu, cpu->cr3)))
        shut_down(cpu);
    cpu_update_mode(cpu);
    cpu_request_attention(cpu); /* for a halt to go on, and for an SMI or NMI that waited */
}
