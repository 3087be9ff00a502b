/* The machine that programs run in (vm.h): memory map, tables, fault handlers, the log. */
#include "tests/fuzz/vm.h"

#include <string.h>

#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/system.h"
#include "tcg/tcg.h"
#include "util/bits.h"
#include "util/endian.h"

/* Guest-physical memory; the supervisor's part is mapped at the same linear addresses. */
enum {
    TABLES = 0x1000, GDT = 0x20000, IDT = 0x21000, TSS = 0x22000, HANDLERS = 0x23000, STACK_END = 0x25000,
    CODE_GPA = 0x30000, DATA_GPA = 0x40000, RAM_BYTES = 0x100000, DEVICE_GPA = 0x200000,
};
#define FRAME_END STACK_END
#define HANDLER_BYTES 16
#define END_PORT 0x3f
#define MAX_FAULTS 300
#define MAX_ACCESSES 3000
/* Programs take far less than a millisecond; those that do not end are of no use, but only the interpreter may say so. */
#define PATIENCE_INTERPRETED 100000
#define PATIENCE_RECOMPILED 5000000

struct Vm {
    Machine *machine;
    Cpu *cpu;
    uint8_t *ram;
    const Program *program;
    GArray *events;
    uint64_t tables_used, interpreted;
    unsigned pass, faults, accesses;
    bool timed_out, gave_up;
};

/* ---- the log ---- */

static uint64_t hash_memory(const Vm *vm)
{
    uint64_t h[4] = { 1, 2, 3, 4 };
    const uint8_t *p = vm->ram + CODE_GPA, *end = vm->ram + DATA_GPA + DATA_PAGES * 4096;
    for (; p < end; p += 32)
        for (unsigned k = 0; k < 4; k++)
            h[k] = (h[k] ^ ld64le(p + k * 8)) * UINT64_C(0x9e3779b97f4a7c15) + (h[k] >> 29);
    return h[0] ^ h[1] << 1 ^ h[2] << 2 ^ h[3] << 3;
}

/* Whether the code is another than patches make it. */
static bool code_is_damaged(const Vm *vm)
{
    const Program *p = vm->program;
    uint8_t image[CODE_BYTES];
    if (!memcmp(vm->ram + CODE_GPA, p->image, CODE_BYTES))
        return false;
    memcpy(image, p->image, CODE_BYTES);
    for (unsigned k = 0; k < p->count; k++) {
        const Item *i = &p->item[k];
        uint32_t last = p->item[i->target].offset + p->item[i->target].length - 1;
        if (i->fix == FIX_PATCH && !i->dropped)
            image[last] = vm->ram[CODE_GPA + last];
    }
    return memcmp(vm->ram + CODE_GPA, image, CODE_BYTES);
}

static Event *add_event(Vm *vm, unsigned what)
{
    Event e;
    memset(&e, 0, sizeof e);
    e.what = what;
    e.pass = vm->pass;
    e.damaged = !vm->program->strict && code_is_damaged(vm);
    g_array_append_val(vm->events, e);
    return &g_array_index(vm->events, Event, vm->events->len - 1);
}

/* ---- faults ---- */

/* Nothing counts from here: the stop comes at some instruction near by. */
static void give_up(Vm *vm)
{
    vm->gave_up = true;
    cpu_post_event(vm->cpu, EVENT_STOP);
}

/* Traps have the next instruction's address already. */
static bool is_trap(unsigned vector) { return vector == EXC_DB || vector == EXC_BP || vector == EXC_OF; }

/* The flags are defined again behind an instruction that was left out. */
static uint32_t fresh_flags(const Vm *vm, uint32_t flags)
{
    Random r = random_for(vm->faults);
    return (flags & ~F_ARITH) | (random_next(&r) & F_ARITH);
}

static void save_state(Vm *vm, Event *e)
{
    const Fpu *fpu = &vm->cpu->fpu;
    registers_save(vm->cpu, &e->r);
    e->fip = fpu->ip;
    e->fdp = fpu->dp;
    e->fcs = fpu->cs;
    e->fds = fpu->ds;
}

static void on_fault(Vm *vm, unsigned vector)
{
    const Program *p = vm->program;
    bool has_error = vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
    uint8_t *frame = vm->ram + FRAME_END - 40;
    if (vm->gave_up)
        return;
    Event *e = add_event(vm, EVENT_FAULT);
    e->vector = vector;
    e->error = has_error ? ld64le(frame - 8) : 0;
    e->cr2 = vector == EXC_PF ? vm->cpu->cr2 : 0;
    save_state(vm, e);
    e->r.rip = ld64le(frame);
    e->r.eflags = ld64le(frame + 16);
    e->r.gpr[R_SP] = ld64le(frame + 24);
    e->memory = hash_memory(vm);
    const Item *i = program_item_at(p, e->r.rip - p->code);
    e->undefined = p->strict || is_trap(vector) ? 0 : i ? i->undefined : F_ARITH;
    if (is_trap(vector) && !p->strict)
        e->undefined = F_ARITH;
    if (++vm->faults > MAX_FAULTS || (!i && vector != EXC_DB)) {
        give_up(vm);
        return;
    }
    if (is_trap(vector))
        return;
    const Item *next = program_next(p, i);
    if (!next) {
        give_up(vm);
        return;
    }
    st64le(frame, p->code + next->offset);
    st64le(frame + 16, fresh_flags(vm, e->r.eflags));
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vm *vm = opaque;
    (void)value, (void)size;
    if (offset == END_PORT)
        cpu_post_event(vm->cpu, EVENT_STOP);
    else
        on_fault(vm, offset);
}

/* ---- the device: each access is written down, so that none may be made twice ---- */

static void device_accessed(Vm *vm, unsigned what, uint64_t offset, uint64_t value, unsigned size)
{
    if (vm->gave_up)
        return;
    Event *e = add_event(vm, what);
    e->vector = offset;
    e->error = size;
    e->cr2 = value;
    if (++vm->accesses % 5 == 0)
        cpu_request_attention(vm->cpu);
    if (vm->accesses > MAX_ACCESSES)
        give_up(vm);
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    Vm *vm = opaque;
    Random r = random_for(vm->pass << 12 | offset);
    uint64_t value = random_next(&r) & bit_mask(size * 8);
    device_accessed(vm, EVENT_READ, offset, value, size);
    return value;
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    device_accessed(opaque, EVENT_WRITE, offset, value, size);
}

/* ---- tables ---- */

static void map_page(Vm *vm, uint64_t la, uint64_t gpa, unsigned flags)
{
    uint64_t table = TABLES;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint8_t *entry = vm->ram + table + (la >> shift & 511) * 8;
        if (!ld64le(entry)) {
            st64le(entry, vm->tables_used | 7);
            vm->tables_used += 0x1000;
        }
        table = ld64le(entry) & ~UINT64_C(0xfff);
    }
    st64le(vm->ram + table + (la >> 12 & 511) * 8, gpa | flags);
}

/* Where a page of the data area is: neighbours are not. */
static uint64_t data_gpa(unsigned page)
{
    if (page == PAGE_DEVICE)
        return DEVICE_GPA;
    if (page >= PAGE_CODE_ALIAS)
        return CODE_GPA + (page - PAGE_CODE_ALIAS) * 4096;
    return DATA_GPA + (page * 5 % DATA_PAGES) * 4096;
}

static void make_page_tables(Vm *vm, const Program *p)
{
    unsigned rights = 3 | (p->user || !p->smap ? 4 : 0);
    memset(vm->ram + TABLES, 0, GDT - TABLES);
    vm->tables_used = TABLES + 0x1000;
    for (uint64_t at = GDT; at < STACK_END; at += 4096) /* only the stack is written, and not by programs' pointers */
        map_page(vm, at, at, at >= STACK_END - 4096 ? 3 : 1);
    for (unsigned k = 0; k < CODE_PAGES; k++)
        map_page(vm, p->code + k * 4096, CODE_GPA + k * 4096, rights);
    for (unsigned k = 0; k < DATA_PAGES; k++) {
        unsigned flags = k == PAGE_ABSENT ? 0 : k == PAGE_READ_ONLY ? rights & ~2u : k == PAGE_OTHERS ? rights ^ 4 : rights;
        map_page(vm, p->data + k * 4096, data_gpa(k), flags);
    }
}

static void write_gate(Vm *vm, unsigned vector)
{
    uint8_t *gate = vm->ram + IDT + vector * 16;
    uint32_t offset = HANDLERS + vector * HANDLER_BYTES;
    bool for_user = vector == EXC_BP || vector == EXC_OF;
    st64le(gate, (offset & 0xffff) | 8u << 16 | UINT64_C(1) << 32 | (uint64_t)(for_user ? 0xee : 0x8e) << 40 |
                 (uint64_t)(offset >> 16) << 48);
    st64le(gate + 8, 0);
}

/* OUT vector, AL; drop the error code; IRETQ.  An error code lies beneath the frame, whose place is fixed. */
static void write_handler(Vm *vm, unsigned vector)
{
    uint8_t *h = vm->ram + HANDLERS + vector * HANDLER_BYTES;
    bool has_error = vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
    static const uint8_t drop[] = { 0x48, 0x8d, 0x64, 0x24, 0x08 }, back[] = { 0x48, 0xcf };
    *h++ = 0xe6;
    *h++ = vector;
    if (has_error) {
        memcpy(h, drop, sizeof drop);
        h += sizeof drop;
    }
    memcpy(h, back, sizeof back);
}

enum { SEL_CODE0 = 8, SEL_DATA0 = 0x10, SEL_CODE32 = 0x1b, SEL_DATA3 = 0x23, SEL_CODE64 = 0x2b, SEL_CODE32_0 = 0x30, SEL_TSS = 0x38 };

static void make_tables(Vm *vm)
{
    static const uint64_t gdt[] = {
        0, UINT64_C(0x00af9b000000ffff), UINT64_C(0x00cf93000000ffff), UINT64_C(0x00cffb000000ffff),
        UINT64_C(0x00cff3000000ffff), UINT64_C(0x00affb000000ffff), UINT64_C(0x00cf9b000000ffff),
        UINT64_C(0x00008b0000000067) | (uint64_t)(TSS & 0xffffff) << 16, 0,
    };
    for (unsigned k = 0; k < ARRAY_SIZE(gdt); k++)
        st64le(vm->ram + GDT + k * 8, gdt[k]);
    for (unsigned v = 0; v < 32; v++) {
        write_gate(vm, v);
        write_handler(vm, v);
    }
    for (unsigned ist = 0; ist < 7; ist++)
        st64le(vm->ram + TSS + 36 + ist * 8, STACK_END);
}

/* ---- the CPU ---- */

static Segment segment(uint16_t sel, uint16_t attr)
{
    return (Segment){ .sel = sel, .limit = 0xffffffff,
                      .attr = attr | SA_P | SA_S | SA_ACCESSED | SA_WRITABLE | SA_G | ((sel & 3) ? SA_DPL : 0) };
}

static void load_segments(Vm *vm, const Program *p)
{
    Cpu *cpu = vm->cpu;
    uint16_t code = p->size == SZ64 ? p->user ? SEL_CODE64 : SEL_CODE0 : p->user ? SEL_CODE32 : SEL_CODE32_0;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = segment(p->user ? SEL_DATA3 : SEL_DATA0, SA_DB);
    cpu->seg[SEG_CS] = segment(code, SA_CODE | (p->size == SZ64 ? SA_L : SA_DB));
    cpu->seg[SEG_TR] = (Segment){ .sel = SEL_TSS, .base = TSS, .limit = 0x67, .attr = SA_P | 11 };
    cpu->seg[SEG_FS].base = p->fs;
    cpu->seg[SEG_GS].base = p->gs;
    cpu->gdtr = (TablePtr){ GDT, 0xfff };
    cpu->idtr = (TablePtr){ IDT, 0x1ff };
}

static void load_control(Vm *vm, const Program *p)
{
    Cpu *cpu = vm->cpu;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG | (p->align ? CR0_AM : 0);
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE | (p->smap ? CR4_SMAP : 0);
    cpu->xcr0 = XCR0_X87 | XCR0_AVX512_STATE;
    cpu->cr3 = TABLES;
    cpu->cr2 = 0;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->dr[0] = p->data + 4096 + 256;
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400 | (p->watch ? 0xd0001 : 0); /* writes of the four bytes there */
}

static void load_registers(Vm *vm, const Program *p)
{
    Cpu *cpu = vm->cpu;
    Registers in;
    program_registers(p, vm->pass, &in);
    registers_load(cpu, &in);
    cpu->fpu.ip = cpu->fpu.dp = cpu->fpu.opcode = cpu->fpu.cs = cpu->fpu.ds = 0;
    cpu->eflags = (in.eflags & ~(F_ARITH | EFLAGS_FIXED)) | (p->align ? EFLAGS_AC : 0);
    set_flags_arith(cpu, in.eflags);
}

static void prepare_pass(Vm *vm, const Program *p, unsigned pass)
{
    Cpu *cpu = vm->cpu;
    vm->pass = pass;
    vm->faults = 0;
    cpu->run_state = CPU_RUNNING;
    cpu->shadow = 0;
    cpu->fault.raised = cpu->fault.delivering = false;
    cpu->dr6_pending = 0;
    cpu->insn_end = NULL;
    atomic_store(&cpu->events, 0);
    load_segments(vm, p);
    load_control(vm, p);
    load_registers(vm, p);
    cpu_update_mode(cpu);
    if (pass % 3 == 0)
        tlb_flush_all(cpu);
}

/* ---- running ---- */

static struct Watchdog {
    GMutex lock;
    Vm *vm;
    gint64 deadline;
} watchdog;

static gpointer watch(gpointer unused)
{
    (void)unused;
    for (;;) {
        g_usleep(20000);
        g_mutex_lock(&watchdog.lock);
        if (watchdog.vm && g_get_monotonic_time() > watchdog.deadline) {
            watchdog.vm->timed_out = true;
            cpu_post_event(watchdog.vm->cpu, EVENT_STOP);
        }
        g_mutex_unlock(&watchdog.lock);
    }
    return NULL;
}

static void set_watchdog(Vm *vm)
{
    g_mutex_lock(&watchdog.lock);
    watchdog.vm = vm;
    watchdog.deadline = g_get_monotonic_time() + (vm->cpu->code->engine ? PATIENCE_RECOMPILED : PATIENCE_INTERPRETED);
    g_mutex_unlock(&watchdog.lock);
}

static void fill_data(Vm *vm, const Program *p)
{
    Random r = random_for(p->seed ^ 0xdada);
    for (unsigned k = 0; k < DATA_PAGES * 4096; k += 8)
        st64le(vm->ram + DATA_GPA + k, p->x87 ? random_lane(&r) : random_next(&r) >> (k & 0x30));
}

static void run_pass(Vm *vm, const Program *p, unsigned pass)
{
    prepare_pass(vm, p, pass);
    uint64_t before = vm->cpu->insn_count;
    cpu_run(vm->cpu);
    vm->interpreted += vm->cpu->insn_count - before;
    Event *e = add_event(vm, EVENT_END);
    if (vm->gave_up)
        return;
    save_state(vm, e);
    e->r.eflags = cpu_eflags(vm->cpu);
    e->memory = hash_memory(vm);
    e->cr2 = vm->cpu->cr2;
}

bool vm_run(Vm *vm, const Program *p)
{
    vm->program = p;
    vm->accesses = 0;
    vm->timed_out = vm->gave_up = false;
    g_array_set_size(vm->events, 0);
    memcpy(vm->ram + CODE_GPA, p->image, CODE_BYTES);
    fill_data(vm, p);
    make_page_tables(vm, p);
    code_flush(vm->cpu->code);
    tlb_flush_all(vm->cpu);
    set_watchdog(vm);
    for (unsigned pass = 0; pass < p->passes && !vm->gave_up && !vm->timed_out; pass++)
        run_pass(vm, p, pass);
    g_mutex_lock(&watchdog.lock);
    watchdog.vm = NULL;
    g_mutex_unlock(&watchdog.lock);
    return !vm->timed_out;
}

Vm *vm_new(unsigned hot)
{
    static const RegionOps port_ops = { port_read, port_write, 1, 4 }, device_ops = { device_read, device_write, 1, 8 };
    g_autoptr(GError) err = NULL;
    Vm *vm = g_new0(Vm, 1);
    vm->machine = machine_new(RAM_BYTES, NULL);
    vm->events = g_array_new(FALSE, FALSE, sizeof(Event));
    Region *ram = region_new_ram(vm->machine->pool, "ram", RAM_BYTES, NULL);
    region_add(as_root(vm->machine->memory), 0, ram, 0);
    region_add(as_root(vm->machine->memory), DEVICE_GPA, region_new_io("device", DEVICE_BYTES, &device_ops, vm), 0);
    region_add(as_root(vm->machine->ports), 0, region_new_io("faults", END_PORT + 1, &port_ops, vm), 0);
    vm->ram = region_host(ram);
    vm->cpu = cpu_new(vm->machine, cpu_model_parse("max", NULL), 0, 0);
    if (hot && !tcg_attach(vm->cpu, &(TcgConfig){ .hot_after = hot, .code_bytes = 16u << 20, .narrow = hot > 1 }, &err))
        g_error("%s", err->message);
    cpu_reset(vm->cpu);
    vm->cpu->parallel = hot == 1; /* LOCK has code of its own where there are other CPUs */
    make_tables(vm);
    static gsize once;
    if (g_once_init_enter(&once)) {
        g_thread_unref(g_thread_new("watchdog", watch, NULL));
        g_once_init_leave(&once, 1);
    }
    return vm;
}

const InsnDecoder *vm_decoder(const Vm *vm) { return vm->cpu->decoder; }
const GArray *vm_events(const Vm *vm) { return vm->events; }
const uint8_t *vm_code(const Vm *vm) { return vm->ram + CODE_GPA; }
const uint8_t *vm_data(const Vm *vm, unsigned page) { return page == PAGE_DEVICE ? NULL : vm->ram + data_gpa(page); }
uint64_t vm_interpreted(const Vm *vm) { return vm->interpreted; }
