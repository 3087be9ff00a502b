/*
 * Hardware task switching with 16- and 32-bit TSSs (SDM vol. 3A chapter 7), and the I/O permission bitmap (SDM vol. 1
 * 19.5.2).
 */
#include "core/log.h"
#include "cpu/cet.h"
#include "cpu/control_stack.h"
#include "cpu/flags.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/trace.h"

#include <inttypes.h>

enum {
    TASK_FLAGS = F_ARITH | F_SYSTEM | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM | EFLAGS_AC | EFLAGS_VIF |
                 EFLAGS_VIP | EFLAGS_ID,
    TSS_CR3 = 0x1c, TSS_TRAP = 0x64, TSS_IO_MAP = 0x66, /* 32-bit TSS only */
    DR7_LOCAL = 0x155, /* L0..L3 and LE */
};

/* Where the fields of a TSS are (SDM vol. 3A figures 7-2 and 7-10); those of a kind follow each other. */
typedef struct TssLayout {
    uint8_t size;                    /* of a field */
    uint8_t ip, flags, gpr, seg, ldt;
    uint8_t segments;                /* ES CS SS DS, or with FS GS */
    uint8_t last;                    /* least limit */
} TssLayout;

static const TssLayout *tss_layout(uint16_t attr)
{
    static const TssLayout tss16 = { 2, 0x0e, 0x10, 0x12, 0x22, 0x2a, 4, 0x2b };
    static const TssLayout tss32 = { 4, 0x20, 0x24, 0x28, 0x48, 0x60, 6, 0x67 };
    return attr & SYS_32 ? &tss32 : &tss16;
}

/* What a task switch loads. */
typedef struct TaskImage {
    uint32_t cr3, ip, flags, gpr[8];
    uint16_t sel[6], ldt;
    bool trap;
} TaskImage;

/* The new TSS's descriptor, with the checks that are made in the old task. */
static void read_new_tss(Cpu *cpu, const TaskSwitch *t, Descriptor *d)
{
    uint32_t error = selector_error(t->sel, t->ext);
    unsigned wrong = t->kind == TASK_IRET ? EXC_TS : EXC_GP;
    if ((t->sel & 4) || !descriptor_read(cpu, t->sel, false, d))
        control_fail(cpu, wrong, error, "TSS selector 0x%04x is not in the GDT", t->sel);
    uint16_t attr = descriptor_attr(d);
    unsigned type = attr_system_type(attr) & ~(unsigned)SYS_32;
    if (type != (t->kind == TASK_IRET ? SYS_TSS16_BUSY : SYS_TSS16))
        control_fail(cpu, wrong, error, "TSS 0x%04x has type 0x%x", t->sel, attr_system_type(attr));
    if (!(attr & SA_P))
        control_fail(cpu, EXC_NP, error, "TSS 0x%04x is not present", t->sel);
    if (descriptor_limit(d) < tss_layout(attr)->last)
        control_fail(cpu, EXC_TS, error, "TSS 0x%04x has limit 0x%x", t->sel, descriptor_limit(d));
}

/* Page faults on the new TSS belong to the old task. */
static void probe_tss(Cpu *cpu, uint64_t base, const TssLayout *l)
{
    linear_read_system(cpu, base, 1);
    linear_read_system(cpu, base + l->last, 1);
}

static void save_task(Cpu *cpu, const TaskSwitch *t)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    const TssLayout *l = tss_layout(tr->attr);
    linear_write_system(cpu, tr->base + l->ip, t->rip & bit_mask(l->size * 8), l->size);
    uint32_t flags = t->kind == TASK_IRET ? t->flags & ~EFLAGS_NT : t->flags;
    linear_write_system(cpu, tr->base + l->flags, flags & bit_mask(l->size * 8), l->size);
    for (unsigned k = 0; k < 8; k++)
        linear_write_system(cpu, tr->base + l->gpr + k * l->size, cpu->gpr[k] & bit_mask(l->size * 8), l->size);
    for (unsigned k = 0; k < l->segments; k++)
        linear_write_system(cpu, tr->base + l->seg + k * l->size, cpu->seg[k].sel, 2);
}

static void mark_old_free(Cpu *cpu)
{
    Descriptor old;
    if (descriptor_read(cpu, cpu->seg[SEG_TR].sel & ~7, false, &old))
        descriptor_set_busy(cpu, &old, false);
}

/* Back link and busy bits (SDM vol. 3A table 7-2). */
static void link_tasks(Cpu *cpu, const TaskSwitch *t, Descriptor *d)
{
    bool nested = t->kind == TASK_CALL || t->kind == TASK_INTERRUPT;
    if (nested)
        linear_write_system(cpu, descriptor_base(d), cpu->seg[SEG_TR].sel, 2);
    else
        mark_old_free(cpu);
    if (t->kind != TASK_IRET)
        descriptor_set_busy(cpu, d, true);
}

static TaskImage read_task(Cpu *cpu, uint64_t base, const TssLayout *l)
{
    TaskImage image = { .ip = linear_read_system(cpu, base + l->ip, l->size),
                        .flags = linear_read_system(cpu, base + l->flags, l->size),
                        .ldt = linear_read_system(cpu, base + l->ldt, 2) };
    for (unsigned k = 0; k < 8; k++)
        image.gpr[k] = linear_read_system(cpu, base + l->gpr + k * l->size, l->size);
    for (unsigned k = 0; k < l->segments; k++)
        image.sel[k] = linear_read_system(cpu, base + l->seg + k * l->size, 2);
    if (l->size == 4) {
        image.cr3 = linear_read_system(cpu, base + TSS_CR3, 4);
        image.trap = linear_read_system(cpu, base + TSS_TRAP, 2) & 1;
    }
    return image;
}

/* The registers, with all segments but selectors still unusable: what follows faults in the new task. */
static void load_registers(Cpu *cpu, const TaskImage *image)
{
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~(uint64_t)DR7_LOCAL;
    for (unsigned k = 0; k < 8; k++)
        cpu->gpr[k] = image->gpr[k];
    cpu->rip = image->ip;
    cpu->seg[SEG_LDTR] = (Segment){ .sel = image->ldt };
    cpu_set_eflags(cpu, image->flags, TASK_FLAGS);
    for (unsigned k = 0; k < ARRAY_SIZE(image->sel); k++)
        if (cpu_v86(cpu))
            segment_load_v86(cpu, k, image->sel[k]);
        else
            cpu->seg[k] = (Segment){ .sel = image->sel[k] };
    cpu_update_mode(cpu);
}

static void load_task_ldt(Cpu *cpu, uint16_t sel, unsigned ext)
{
    Descriptor d;
    if (selector_null(sel))
        return;
    if ((sel & 4) || !descriptor_read(cpu, sel, false, &d) || attr_system_type(descriptor_attr(&d)) != SYS_LDT ||
        !(descriptor_attr(&d) & SA_P))
        control_fail(cpu, EXC_TS, selector_error(sel, ext), "LDT selector 0x%04x of the new task is invalid", sel);
    segment_from_descriptor(&cpu->seg[SEG_LDTR], sel, &d);
}

static void load_task_code(Cpu *cpu, uint16_t sel, unsigned ext)
{
    Descriptor d;
    uint32_t error = selector_error(sel, ext);
    unsigned cpl = sel & 3;
    if (selector_null(sel) || !descriptor_read(cpu, sel, false, &d))
        control_fail(cpu, EXC_TS, error, "CS selector 0x%04x of the new task is beyond its table", sel);
    uint16_t attr = descriptor_attr(&d);
    if (!attr_is_code(attr) || (attr_is_conforming(attr) ? attr_dpl(attr) > cpl : attr_dpl(attr) != cpl))
        control_fail(cpu, EXC_TS, error, "CS selector 0x%04x of the new task is no code for its level", sel);
    if (!(attr & SA_P))
        control_fail(cpu, EXC_NP, error, "CS 0x%04x of the new task is not present", sel);
    descriptor_set_accessed(cpu, &d);
    segment_from_descriptor(&cpu->seg[SEG_CS], sel, &d);
}

static void load_task_data(Cpu *cpu, unsigned seg, uint16_t sel, unsigned ext)
{
    Descriptor d;
    uint32_t error = selector_error(sel, ext);
    if (selector_null(sel))
        return;
    if (!descriptor_read(cpu, sel, false, &d))
        control_fail(cpu, EXC_TS, error, "data selector 0x%04x of the new task is beyond its table", sel);
    uint16_t attr = descriptor_attr(&d);
    bool reachable = attr_is_conforming(attr) || (attr_dpl(attr) >= cpu->cpl && attr_dpl(attr) >= (sel & 3u));
    if (!attr_is_readable(attr) || !reachable)
        control_fail(cpu, EXC_TS, error, "data selector 0x%04x of the new task is invalid", sel);
    if (!(attr & SA_P))
        control_fail(cpu, EXC_NP, error, "data segment 0x%04x of the new task is not present", sel);
    descriptor_set_accessed(cpu, &d);
    segment_from_descriptor(&cpu->seg[seg], sel, &d);
}

static void load_task_segments(Cpu *cpu, const TaskImage *image, unsigned ext)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    load_task_code(cpu, image->sel[SEG_CS], ext);
    cpu_update_mode(cpu);
    stack_segment_read(cpu, image->sel[SEG_SS], cpu->cpl, EXC_TS, ext, &cpu->seg[SEG_SS]);
    for (unsigned k = 0; k < sizeof data; k++)
        load_task_data(cpu, data[k], image->sel[data[k]], ext);
    cpu_update_mode(cpu);
}

static void push_task_error(Cpu *cpu, const TaskSwitch *t, unsigned size)
{
    ControlStack s = control_stack_current(cpu, t->ext);
    control_stack_reserve(cpu, &s, 1, size);
    control_stack_push(cpu, &s, t->error, size);
    control_stack_commit(cpu, &s);
}

/* Everything after the commit point (SDM vol. 3A 7.3, steps 11 to 14). */
static void enter_task(Cpu *cpu, const TaskSwitch *t, const TaskImage *image, const TssLayout *l,
                       const ShadowTask *shadow)
{
    load_registers(cpu, image);
    if (l->size == 4 && (cpu->cr0 & CR0_PG))
        cr3_write(cpu, image->cr3);
    load_task_ldt(cpu, image->ldt, t->ext);
    if (!cpu_v86(cpu))
        load_task_segments(cpu, image, t->ext);
    shadow_task_enter(cpu, t->kind, shadow, selector_error(t->sel, t->ext));
    if (t->kind != TASK_IRET)
        cet_track_far(cpu);
    if (t->has_error)
        push_task_error(cpu, t, l->size);
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        control_fail(cpu, EXC_GP, t->ext, "EIP 0x%" PRIx64 " of the new task is beyond its code segment", cpu->rip);
    if (image->trap) {
        cpu->dr6_pending |= BIT(15);
        cpu_request_attention(cpu);
    }
}

void task_switch_run(Cpu *cpu, const TaskSwitch *t)
{
    Descriptor d;
    read_new_tss(cpu, t, &d);
    if (unlikely(cpu->svm.guest))
        svm_intercept_task_switch(cpu, t->sel, t->kind, t->has_error, t->error);
    const TssLayout *l = tss_layout(descriptor_attr(&d));
    uint64_t base = descriptor_base(&d);
    if (log_enabled(LOG_PCALL))
        log_printf(LOG_PCALL, "task switch from %04x to %04x\n", cpu->seg[SEG_TR].sel, t->sel);
    probe_tss(cpu, base, l);
    save_task(cpu, t);
    link_tasks(cpu, t, &d);
    TaskImage image = read_task(cpu, base, l);
    if (t->kind == TASK_CALL || t->kind == TASK_INTERRUPT)
        image.flags |= EFLAGS_NT;
    ShadowTask shadow = shadow_task_leave(cpu, t->kind, image.flags & EFLAGS_VM ? 3 : image.sel[SEG_CS] & 3, t->rip);
    uint64_t number = trace_event(cpu, TRACE_TASK, 0, false, 0, t->sel);
    segment_from_descriptor(&cpu->seg[SEG_TR], t->sel, &d);
    cpu->seg[SEG_TR].attr |= SYS_BUSY;
    enter_task(cpu, t, &image, l, &shadow);
    stops_note(cpu, STOP_TASK, t->sel, 0, 0, t->sel, 0);
    trace_event_done(cpu, number);
}

void task_switch(Cpu *cpu, uint16_t sel, enum TaskSwitchKind kind, uint64_t next_rip, bool has_error, uint32_t error)
{
    TaskSwitch t = { .kind = kind, .sel = sel, .has_error = has_error, .error = error, .rip = next_rip,
                     .flags = cpu_eflags(cpu), .ext = kind == TASK_INTERRUPT };
    task_switch_run(cpu, &t);
}

/* Whether the TSS has a bitmap that allows the ports; two bytes are read whatever the size. */
static bool io_map_allows(Cpu *cpu, uint16_t port, unsigned size)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    if (!(tr->attr & SA_P) || !(tr->attr & SYS_32) || tr->limit < TSS_IO_MAP + 1)
        return false;
    uint32_t offset = linear_read_system(cpu, tr->base + TSS_IO_MAP, 2) + port / 8;
    if (offset + 1 > tr->limit)
        return false;
    return !(linear_read_system(cpu, tr->base + offset, 2) >> (port & 7) & bit_mask(size));
}

void io_check(Cpu *cpu, uint16_t port, unsigned size)
{
    if (likely(cpu_real_mode(cpu)) || (!cpu_v86(cpu) && cpu->cpl <= cpu_iopl(cpu)))
        return;
    if (!io_map_allows(cpu, port, size))
        cpu_raise_gp(cpu);
}
