/*
 * The `pc` board (machines/pc.h): processors, interrupt wiring, devices, and what it starts.
 */
#include "machines/pc.h"

#include <string.h>

#include "backends/block/block.h"
#include "backends/char/char.h"
#include "core/error.h"
#include "core/log.h"
#include "cpu/model.h"
#include "cpu/system.h"
#include "cpu/topology.h"
#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"
#include "hw/input/vmport.h"
#include "hw/intc/i8259.h"
#include "hw/misc/ferr.h"
#include "hw/misc/i8237.h"
#include "hw/misc/port61.h"
#include "hw/misc/port92.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "hw/usb/uhci.h"
#include "hw/usb/usb_hid.h"
#include "hw/usb/xhci.h"
#include "machines/networks.h"
#include "machines/sharing.h"
#include "machines/sound.h"
#include "tcg/tcg.h"
#include "util/bits.h"

/* ---- processors ---- */

/* Faces find the CPUs in the slots "cpu0" and on; snapshots have them by the same names. */
static void cpu_announce(Pc *pc, unsigned i, Cpu *cpu)
{
    char *name = g_strdup_printf("cpu%u", i);
    machine_provide(pc->m, name, cpu);
    g_free(name);
}

/* All processors run in one thread. */
static bool in_turn(const Pc *pc)
{
    return pc->cpu_count > 1 && !g_strcmp0(pc->o->accel.thread, "single");
}

static gboolean recompiler_attach(Pc *pc, GError **err)
{
    const AccelOptions *a = &pc->o->accel;
    TcgConfig config = {.code_bytes = a->tb_size, .hot_after = a->hot, .counted = in_turn(pc),
                        .verify = a->verify, .narrow = !a->avx512, .named = pc->o->perf_map};
    for (unsigned i = 0; i < pc->cpu_count; i++) {
        if (!tcg_attach(pc->cpus[i], &config, err))
            return FALSE;
    }
    return TRUE;
}

static gboolean cpus_create(Pc *pc, GError **err)
{
    pc->model = cpu_model_parse(pc->o->cpu ? pc->o->cpu : cpu_model_default, err);
    if (!pc->model)
        return FALSE;
    const SmpOptions *smp = &pc->o->smp;
    pc->cpu_count = pc->m->cpu_count = smp->cpus;
    pc->m->topology = (CpuTopology){.dies = smp->dies, .cores = smp->cores, .threads = smp->threads};
    if (topology_apic_id(pc->m, pc->cpu_count - 1) > PC_MAX_APIC_ID)
        return error_set(err, "-smp: APIC ids of %u dies, %u cores and %u threads would go beyond %u", smp->dies, smp->cores,
                         smp->threads, PC_MAX_APIC_ID);
    for (unsigned i = 0; i < pc->cpu_count; i++) {
        pc->cpus[i] = cpu_new(pc->m, pc->model, i, topology_apic_id(pc->m, i));
        pc->m->cpu_ports[i] = cpu_port(pc->cpus[i]);
        cpu_announce(pc, i, pc->cpus[i]);
    }
    return !pc->o->accel.recompile || recompiler_attach(pc, err);
}

/* ---- interrupts ---- */

static int pic_acknowledge(void *opaque)
{
    return i8259_acknowledge(opaque);
}

/* Line n goes to the PIC and to the I/O APIC, where pin 2 has the timer in place of the cascade. */
static void gsi_set(void *opaque, int n, int level)
{
    Pc *pc = opaque;
    if (n < (int)ARRAY_SIZE(pc->pic_in))
        irq_set(&pc->pic_in[n], level);
    irq_set(&pc->ioapic_in[n == 0 ? 2 : n], level);
}

/* Lines 0 and 8 of the ISA bus, which the HPET may take (IA-PC HPET specification 2.3.5, LEG_RT_CNF). */
static void legacy_timer_set(void *opaque, int n, int level)
{
    Pc *pc = opaque;
    if (n == 8 && level && pc->pm)
        piix4_pm_rtc_alarm(pc->pm);
    if (!pc->hpet_legacy)
        gsi_set(pc, n, level);
}

static void hpet_legacy_switched(void *opaque, bool on)
{
    Pc *pc = opaque;
    pc->hpet_legacy = on;
    gsi_set(pc, 0, 0);
    gsi_set(pc, 8, 0);
}

static void isa_create(Pc *pc)
{
    for (unsigned i = 0; i < PC_GSI_COUNT; i++)
        pc->gsi[i] = (IrqLine){gsi_set, pc, i};
    pc->isa.memory = pc->m->memory;
    pc->isa.ports = pc->m->ports;
    memcpy(pc->isa.irq, pc->gsi, sizeof pc->isa.irq);
    pc->isa.irq[0].fn = pc->isa.irq[8].fn = legacy_timer_set;
    machine_provide(pc->m, "isa", &pc->isa);
    machine_provide(pc->m, "gsi", pc->gsi);
}

/* A processor without a local APIC has the PIC on its INTR pin. */
static void pic_intr(void *opaque, int n, int level)
{
    const CpuPort *port = opaque;
    (void)n;
    port->intr(port->cpu, level);
}

static uint8_t no_tpr_read(void *opaque) { (void)opaque; return 0; }
static void no_tpr_write(void *opaque, uint8_t class) { (void)opaque, (void)class; }
static uint64_t no_base_read(void *opaque) { (void)opaque; return 0; }
static bool no_base_write(void *opaque, uint64_t v) { (void)opaque, (void)v; return false; }
static bool no_msr_read(void *opaque, uint32_t i, uint64_t *v) { (void)opaque, (void)i, (void)v; return false; }
static bool no_msr_write(void *opaque, uint32_t i, uint64_t v) { (void)opaque, (void)i, (void)v; return false; }

static const IntcOps pic_only_ops = {
    .acknowledge = pic_acknowledge, .tpr_read = no_tpr_read, .tpr_write = no_tpr_write, .base_read = no_base_read,
    .base_write = no_base_write, .msr_read = no_msr_read, .msr_write = no_msr_write,
};

static gboolean pic_create(Pc *pc, GError **err)
{
    pc->pic = board_add_device(pc->m, pc->o, &i8259_type, NULL, err, NULL);
    if (!pc->pic)
        return FALSE;
    for (unsigned i = 0; i < ARRAY_SIZE(pc->pic_in); i++)
        pc->pic_in[i] = i8259_input(pc->pic, i);
    return TRUE;
}

static gboolean lapic_create(Pc *pc, unsigned i, GError **err)
{
    char *id = g_strdup_printf("apic%u", i), *number = g_strdup_printf("%u", pc->cpus[i]->apic_id);
    Lapic *apic = (Lapic *)board_add_device(pc->m, pc->o, &lapic_type, id, err, "id", number, NULL);
    g_free(id);
    g_free(number);
    if (!apic)
        return FALSE;
    lapic_connect(apic, cpu_port(pc->cpus[i]), i == 0, pic_acknowledge, pc->pic);
    cpu_set_intc(pc->cpus[i], &lapic_intc_ops, apic);
    if (i == 0)
        i8259_connect(pc->pic, lapic_lint0(apic));
    return TRUE;
}

static gboolean ioapic_create(Pc *pc, GError **err)
{
    IoApic *io = (IoApic *)board_add_device(pc->m, pc->o, &ioapic_type, NULL, err, NULL);
    if (!io)
        return FALSE;
    region_add(as_root(pc->m->memory), 0xfec00000, ioapic_region(io), 0);
    for (unsigned i = 0; i < PC_GSI_COUNT; i++)
        pc->ioapic_in[i] = ioapic_line(io, i);
    return TRUE;
}

static gboolean apics_create(Pc *pc, GError **err)
{
    if (!cpu_has(pc->cpus[0], FEAT_APIC)) {
        i8259_connect(pc->pic, (IrqLine){pic_intr, (void *)cpu_port(pc->cpus[0]), 0});
        cpu_set_intc(pc->cpus[0], &pic_only_ops, pc->pic);
        return pc->cpu_count == 1 || error_set(err, "-smp: more than one processor needs -cpu with apic");
    }
    pc->apic_bus = apic_bus_new(pc->m);
    region_add(as_root(pc->m->memory), 0xfee00000, apic_bus_msi_region(pc->apic_bus), 0);
    for (unsigned i = 0; i < pc->cpu_count; i++) {
        if (!lapic_create(pc, i, err))
            return FALSE;
    }
    return ioapic_create(pc, err);
}

/* ---- devices ---- */

static gboolean add(Pc *pc, const DeviceType *type, GError **err)
{
    return board_add_device(pc->m, pc->o, type, NULL, err, NULL) != NULL;
}

static gboolean rtc_create(Pc *pc, GError **err)
{
    const RtcOptions *r = &pc->o->rtc;
    Device *rtc = board_add_device(pc->m, pc->o, &mc146818_type, NULL, err, "base", r->base ? r->base : "utc", "clock",
                                   r->clock ? r->clock : "host", NULL);
    if (rtc)
        pc_cmos_fill(pc, rtc);
    return rtc != NULL;
}

static gboolean hpet_create(Pc *pc, GError **err)
{
    if (!pc->o->machine.hpet || !pc->apic_bus)
        return TRUE;
    Hpet *h = (Hpet *)board_add_device(pc->m, pc->o, &hpet_type, NULL, err, NULL);
    if (!h)
        return FALSE;
    region_add(as_root(pc->m->memory), HPET_BASE, hpet_region(h), 0);
    hpet_set_lines(h, pc->gsi);
    pc->has_hpet = true;
    hpet_set_legacy_notify(h, hpet_legacy_switched, pc);
    return TRUE;
}

static gboolean speaker_create(Pc *pc, GError **err)
{
    const char *audiodev = pc->o->machine.pcspk_audiodev;
    return (audiodev ? board_add_device(pc->m, pc->o, &port61_type, NULL, err, "audiodev", audiodev, NULL)
                     : board_add_device(pc->m, pc->o, &port61_type, NULL, err, NULL)) != NULL;
}

static gboolean timers_create(Pc *pc, GError **err)
{
    return rtc_create(pc, err) && hpet_create(pc, err) &&
           (!pc->o->machine.pit || (add(pc, &i8254_type, err) && speaker_create(pc, err)));
}

/* VMware's port, and the pointer behind it, of which the PS/2 mouse tells. */
static gboolean vmport_create(Pc *pc, GError **err)
{
    g_autofree char *hz = g_strdup_printf("%" G_GUINT64_FORMAT, CPU_TSC_HZ);
    if (!g_strcmp0(pc->o->machine.vmport, "off"))
        return TRUE;
    return board_add_device(pc->m, pc->o, &vmport_type, NULL, err, "tsc-frequency", hz, NULL) &&
           (!pc->o->machine.i8042 || add(pc, &vmmouse_type, err));
}

static gboolean legacy_create(Pc *pc, GError **err)
{
    return add(pc, &i8237_type, err) && add(pc, &port92_type, err) && add(pc, &ferr_type, err) &&
           (!pc->o->machine.i8042 || add(pc, &i8042_type, err)) && vmport_create(pc, err);
}

/* A character back end for a device of that kind, and the device on it; "none" leaves the place empty. */
static gboolean char_device_create(Pc *pc, const char *type_name, const char *prefix, unsigned n, const char *spec,
                                   GError **err)
{
    if (!strcmp(spec, "none"))
        return TRUE;
    char *id = g_strdup_printf("%s%u", prefix, n), *index = g_strdup_printf("%u", n);
    const DeviceType *type = board_find_type(pc->o->types, prefix, type_name, err);
    const char *chardev = g_str_has_prefix(spec, "chardev:") ? spec + strlen("chardev:") : id;
    gboolean ok = type && char_new(pc->m, id, spec, err) &&
                  (strcmp(prefix, "serial")
                       ? board_add_device(pc->m, pc->o, type, id, err, "chardev", chardev, NULL)
                       : board_add_device(pc->m, pc->o, type, id, err, "chardev", chardev, "index", index, NULL));
    g_free(id);
    g_free(index);
    return ok;
}

static gboolean serials_create(Pc *pc, GError **err)
{
    const GPtrArray *serials = pc->o->serials;
    if (serials->len > PC_SERIAL_COUNT)
        return error_set(err, "-serial: given %u times; there are %u serial ports", serials->len, PC_SERIAL_COUNT);
    for (guint i = 0; i < serials->len; i++) {
        if (!char_device_create(pc, "isa-serial", "serial", i, g_ptr_array_index(serials, i), err))
            return FALSE;
    }
    pc->serial_count = serials->len;
    return TRUE;
}

/* Whether somebody is to sit before the screen, as far as the command line says. */
static bool has_viewer(const Options *o)
{
    bool any = !o->displays->len && !o->nographic;
    for (guint i = 0; i < o->displays->len; i++) {
        const char *name = g_ptr_array_index(o->displays, i);
        any |= strcmp(name, "none") && !g_str_has_prefix(name, "curses");
    }
    return any;
}

/* So that the pointer is where the user's is, without being asked for: a tablet, at a controller that rests with it. */
static gboolean tablet_create(Pc *pc, GError **err)
{
    if (!pc->o->machine.tablet || pc->o->nodefaults || !pc->vga || !has_viewer(pc->o))
        return TRUE;
    return board_add_device(pc->m, pc->o, &qemu_xhci_type, NULL, err, "addr", "232" /* 1d.0 */, NULL) &&
           board_add_device(pc->m, pc->o, &usb_tablet_type, NULL, err, NULL);
}

/* The USB function of the PIIX3, 2 of its slot; and the pointer. */
static gboolean usb_create(Pc *pc, GError **err)
{
    if (pc->o->machine.usb && !board_add_device(pc->m, pc->o, &piix3_uhci_type, NULL, err, "addr", "10", NULL))
        return FALSE;
    return tablet_create(pc, err);
}

static gboolean debugcons_create(Pc *pc, GError **err)
{
    for (guint i = 0; i < pc->o->debugcons->len; i++) {
        if (!char_device_create(pc, "isa-debugcon", "debugcon", i, g_ptr_array_index(pc->o->debugcons, i), err))
            return FALSE;
    }
    return TRUE;
}

/* ---- start ---- */

static gboolean user_devices_create(Pc *pc, GError **err)
{
    for (guint i = 0; i < pc->o->devices->len; i++) {
        if (!board_add_user_device(pc->m, pc->o, g_ptr_array_index(pc->o->devices, i), err))
            return FALSE;
    }
    return TRUE;
}

static gboolean objects_create(Pc *pc, GError **err)
{
    for (guint i = 0; i < pc->o->objects->len; i++) {
        const char *text = g_ptr_array_index(pc->o->objects, i);
        if (g_str_has_prefix(text, "throttle-group") ? !pc_throttle_group_create(pc, text, err)
                                                     : !networks_create_object(pc->m, text, err))
            return FALSE;
    }
    return TRUE;
}

static gboolean start_prepare(Pc *pc, GError **err)
{
    if (pc->o->kernel && !cpu_has(pc->cpus[0], FEAT_I386))
        return error_set(err, "-cpu %s: -kernel needs at least an 80386", pc->model->name);
    if (!pc->o->kernel && !pc->o->bios && !cpu_has(pc->cpus[0], FEAT_I486))
        return error_set(err, "-cpu %s: SeaBIOS needs at least a 486; -bios FILE gives this processor its own firmware",
                         pc->model->name);
    pc_acpi_create(pc);
    pc_smbios_create(pc);
    if (!pc->o->kernel) {
        gboolean ok = pc_firmware_load(pc, err);
        i440fx_set_memory(pc->bridge, pc->ram, pc->rom_low);
        return ok;
    }
    i440fx_set_memory(pc->bridge, pc->ram, NULL);
    if (pc->o->bios)
        log_user("warning: -bios is not used: -kernel starts without firmware");
    BootSource source = {
        .kernel = pc->o->kernel, .initrd = pc->o->initrd, .append = pc->o->append, .memory_map = pc->memory_map,
        .ram_below_4g = pc->ram_below_4g, .long_mode = cpu_has(pc->cpus[0], FEAT_LM), .serial_ports = pc->serial_count,
        .rsdp = pc_acpi_rsdp(pc), .text_screen = pc->vga != NULL,
    };
    pc->plan = boot_load(&source, err);
    return pc->plan != NULL;
}

/* After devices and processors are in their power-on state: firmware starts by itself, a kernel by its plan. */
static void pc_after_reset(void *opaque)
{
    Pc *pc = opaque;
    if (pc->m->waking) {
        pc_wake(pc);
        return;
    }
    if (!pc->plan)
        return;
    pc_chipset_start(pc);
    pc_processors_start(pc);
    pc_acpi_start(pc);
    pc_smbios_start(pc);
    pc_display_start(pc);
    boot_plan_apply(pc->plan, pc->m, pc->cpus[0]);
}

static gboolean parts_create(Pc *pc, GError **err)
{
    isa_create(pc);
    return sound_open(pc->m, pc->o, err) && cpus_create(pc, err) && pc_memory_create(pc, err) && pic_create(pc, err) && apics_create(pc, err) &&
           timers_create(pc, err) && legacy_create(pc, err) && pc_chipset_create(pc, err) && pc_display_create(pc, err) &&
           pc_fw_cfg_create(pc, err) && serials_create(pc, err) && debugcons_create(pc, err) && pc_drives_create(pc, err) &&
           networks_create(pc->m, pc->o, err) && objects_create(pc, err) && shares_open(pc->m, pc->o, err) &&
           usb_create(pc, err) && user_devices_create(pc, err) && sound_devices_create(pc->m, pc->o, err) &&
           virtfs_create(pc->m, pc->o, err) && start_prepare(pc, err);
}

static void cpu_before_save(void *cpu) { cpu_pre_save(cpu); }
static void cpu_after_load(void *cpu) { cpu_post_load(cpu); }

static void cpu_state_add(Pc *pc, unsigned i)
{
    char *name = g_strdup_printf("cpu%u", i);
    machine_add_state(pc->m, name, cpu_state_fields, pc->cpus[i], cpu_before_save, cpu_after_load);
    g_free(name);
}

/* In reverse of parts_create(); whatever of it was made. */
static void pc_destroy(void *opaque)
{
    Pc *pc = opaque;
    GPtrArray *devices = machine_devices(pc->m);
    cpu_threads_free(pc->threads);
    while (devices->len)
        device_remove(g_ptr_array_index(devices, devices->len - 1));
    if (pc->apic_bus) {
        region_remove(apic_bus_msi_region(pc->apic_bus));
        apic_bus_free(pc->apic_bus);
    }
    if (pc->pci_bus)
        pci_bus_free(pc->pci_bus);
    pc_memory_destroy(pc);
    for (unsigned i = 0; i < pc->cpu_count; i++) {
        cpu_announce(pc, i, NULL);
        cpu_free(pc->cpus[i]);
    }
    if (pc->model)
        cpu_model_free(pc->model);
    if (pc->acpi)
        acpi_free(pc->acpi);
    smbios_free(pc->smbios);
    boot_plan_free(pc->plan);
    g_free(pc);
}

static void *pc_create(Machine *m, const Options *o, GError **err)
{
    Pc *pc = g_new0(Pc, 1);
    pc->m = m;
    pc->o = o;
    machine_lock(m);
    gboolean ok = parts_create(pc, err);
    machine_unlock(m);
    if (!ok) {
        pc_destroy(pc);
        return NULL;
    }
    for (unsigned i = 0; i < pc->cpu_count; i++)
        cpu_state_add(pc, i);
    pc->threads = cpu_threads_new(m, pc->cpus, pc->cpu_count, in_turn(pc), pc_after_reset, pc);
    machine_reset(m);
    return pc;
}

const Board board_pc = {
    .name = "pc", .alias = "pc-i440fx", .description = "PC with i440FX memory map and ISA devices",
    .max_cpus = PC_MAX_CPUS, .max_ram = 64 * GiB, .create = pc_create, .destroy = pc_destroy,
};
