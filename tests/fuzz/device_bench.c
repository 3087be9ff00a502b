#include "tests/fuzz/device_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/9p/fsdev.h"
#include "hw/acpi/piix4_pm.h"
#include "hw/isa/piix3.h"
#include "hw/misc/fw_cfg.h"
#include "hw/misc/i8237.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/piix3_ide.h"
#include "hw/timer/hpet.h"
#include "hw/usb/usb_storage.h"
#include "machines/devices.h"
#include "util/bits.h"

enum { MEDIUM_BYTES = 1440 * 1024, POOL_BYTES = 32 << 20, APIC_MSRS = 0x1000 };
enum { FIRST_PORT = 0xc000, FIRST_MEMORY = 0xe0000000, APIC_AT = 0xfee00000, MSRS_AT = 0xfed80000 };

/* Who makes a bus that is neither ISA nor PCI: a device of the bus gets the first; each gets a device of each kind. */
static const struct { const char *bus, *controller; } controllers[] = {
    { "ide", "piix3-ide" }, { "ide", "ahci" }, { "ide", "ich9-ahci" }, { "scsi", "virtio-scsi-pci" },
    { "virtio-serial-bus", "virtio-serial-pci" }, { "usb", "qemu-xhci" }, { "usb", "piix3-usb-uhci" },
    { "HDA", "intel-hda" },
};

/* Devices that do nothing without another. */
static const struct { const char *name, *needs; } needs[] = {
    { "isa-pcspk", "isa-pit" }, { "ioapic", "apic" }, { "PIIX3", "isa-i8259" }, { "vmmouse", "i8042" },
    { "vmmouse", "vmport" },
};

/* Properties that are not to have their defaults; any: of each device that has it. */
static const struct { const char *name, *property, *value; } settings[] = {
    { "mc146818rtc", "clock", "vm" }, { "mc146818rtc", "base", "2001-02-03" }, { "any", "vgamem_mb", "1" },
    { "virtio-9p-pci", "fsdev", "share" }, { "virtio-9p-pci", "mount_tag", "tag" }, { "any", "packed", "on" },
    { "virtio-balloon-pci", "free-page-reporting", "on" }, { "virtio-serial-pci", "max_ports", "4" },
    { "virtserialport", "name", "port" }, { "nvme", "max_ioqpairs", "4" }, { "any", "max_hostmem", "4M" },
    { "any", "max_outputs", "2" },
};

const DeviceType *device_bench_type(const char *name)
{
    for (unsigned n = 0; device_types[n]; n++)
        if (!strcmp(device_types[n]->name, name))
            return device_types[n];
    return NULL;
}

void device_bench_list(void)
{
    for (unsigned n = 0; device_types[n]; n++)
        printf("%s\n", device_types[n]->name);
}

/* ---- back ends ---- */

/* Files in memory, empty again: drives' media, and behind them another one for each. */
static const char *medium_path(unsigned n)
{
    static int fd[2 * DEVICE_BENCH_DRIVES];
    static char path[2 * DEVICE_BENCH_DRIVES][32];

    if (!fd[n]) {
        fd[n] = memfd_create("medium", 0);
        g_snprintf(path[n], sizeof path[n], "/proc/self/fd/%d", fd[n]);
    }
    if (fd[n] < 0 || ftruncate(fd[n], 0) || ftruncate(fd[n], MEDIUM_BYTES))
        g_error("cannot make a file in memory");
    return path[n];
}

static char *new_drive(DeviceBench *b, bool cdrom)
{
    GError *err = NULL;
    unsigned n = b->drive_count++;
    char *id = g_strdup_printf("drive%u", n);

    g_assert_cmpuint(n, <, DEVICE_BENCH_DRIVES);
    b->drives[n] = block_open(b->m, &(BlockOptions){ .id = id, .file = medium_path(n), .format = "raw", .cdrom = cdrom,
                                                     .discard = true, .no_lock = true }, &err);
    g_assert_no_error(err);
    return id;
}

void device_bench_change_medium(DeviceBench *b, unsigned drive, bool insert, bool force)
{
    BlockBackend *d = b->drives[drive % b->drive_count];
    const char *path = medium_path(DEVICE_BENCH_DRIVES + drive % b->drive_count);

    if (!block_removable(d))
        return;
    if (insert)
        block_change(d, path, "raw", false, force, NULL);
    else
        block_eject(d, force, NULL);
}

void device_bench_resize(DeviceBench *b, unsigned drive, uint64_t size)
{
    block_resize(b->drives[drive % b->drive_count], size, NULL);
}

static bool peer_can_receive(void *opaque) { return opaque != NULL; }

static void peer_receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    (void)opaque, (void)offload;
    g_assert_cmpuint(net_iov_size(iov, count), <=, NET_FRAME_MAX + 64);
}

static const NetUser peer = { .can_receive = peer_can_receive, .receive = peer_receive };

static char *new_network(DeviceBench *b)
{
    GError *err = NULL;

    if (!b->peer) {
        net_open(b->m, "hubport,id=card,hubid=0", &err);
        g_assert_no_error(err);
        net_open(b->m, "hubport,id=peer,hubid=0", &err);
        g_assert_no_error(err);
        b->peer = net_find(b->m, "peer");
        net_attach(b->peer, "peer", &peer, b, &err);
        g_assert_no_error(err);
    }
    return g_strdup("card");
}

static char *new_chars(DeviceBench *b)
{
    GError *err = NULL;
    unsigned n = 0;
    while (char_nth(b->m, n))
        n++;
    char *id = g_strdup_printf("chars%u", n);

    b->chars = char_new(b->m, id, "null", &err);
    g_assert_no_error(err);
    return id;
}

static void shared_folder_remove(void);

/* An empty folder that the guest may not write to. */
static const char *shared_folder(void)
{
    static char folder[] = "/tmp/myna-fuzz-XXXXXX";

    if (g_str_has_suffix(folder, "XXXXXX")) {
        if (!mkdtemp(folder))
            g_error("cannot make a folder in /tmp");
        atexit(shared_folder_remove);
    }
    return folder;
}

static void shared_folder_remove(void)
{
    rmdir(shared_folder());
}

static void new_share(DeviceBench *b)
{
    g_autofree char *text = g_strdup_printf("local,id=share,path=%s,readonly=on", shared_folder());
    GError *err = NULL;

    fsdev_open(b->m, text, &err);
    g_assert_no_error(err);
}

/* ---- the board ---- */

static void line_set(void *opaque, int n, int level)
{
    ((DeviceBench *)opaque)->level[n] = level;
}

static void cpu_level(void *cpu, int level) { (void)cpu, (void)level; }
static void cpu_edge(void *cpu) { (void)cpu; }
static void cpu_sipi(void *cpu, uint8_t vector) { (void)cpu, (void)vector; }
static void cpu_a20(void *cpu, bool enabled) { (void)cpu, (void)enabled; }

/* Registers of the CPU, which are in memory; zero is the number that VMware's port wants in EAX (hw/input/vmport.h). */
enum { REGISTERS_AT = 0x1f000, VMPORT_MAGIC = 0x564d5868 };

static bool cpu_io_get(void *cpu, uint32_t r[IO_REGISTERS])
{
    for (unsigned n = 0; n < IO_REGISTERS; n++)
        r[n] = as_read(((DeviceBench *)cpu)->m->memory, REGISTERS_AT + 4 * n, 4);
    r[IO_EAX] ^= VMPORT_MAGIC;
    return true;
}

static void cpu_io_set(void *cpu, const uint32_t r[IO_REGISTERS])
{
    for (unsigned n = 0; n < IO_REGISTERS; n++)
        as_write(((DeviceBench *)cpu)->m->memory, REGISTERS_AT + 4 * n, n == IO_EAX ? r[n] ^ VMPORT_MAGIC : r[n], 4);
}

static void ranges_moved(void *opaque)
{
    ((DeviceBench *)opaque)->moved = true;
}

static void board_up(DeviceBench *b)
{
    GError *err = NULL;
    Machine *m = b->m = machine_new(POOL_BYTES, &err);

    g_assert_no_error(err);
    m->no_shutdown = true;
    m->types = device_types;
    m->cpu_count = 1;
    m->ram_size = DEVICE_BENCH_RAM;
    b->cpu = (CpuPort){ .cpu = b, .intr = cpu_level, .nmi = cpu_edge, .smi = cpu_edge, .init = cpu_edge, .sipi = cpu_sipi,
                        .a20 = cpu_a20, .reset = cpu_edge, .power_off = cpu_edge,
                        .io_get = cpu_io_get, .io_set = cpu_io_set };
    m->cpu_ports[0] = &b->cpu;
    b->ram = region_new_ram(m->pool, "ram", DEVICE_BENCH_RAM, &err);
    g_assert_no_error(err);
    region_add(as_root(m->memory), 0, b->ram, 0);
    for (unsigned n = 0; n < DEVICE_BENCH_LINES; n++)
        b->gsi[n] = (IrqLine){ line_set, b, n };
    b->isa = (IsaBus){ .memory = m->memory, .ports = m->ports };
    memcpy(b->isa.irq, b->gsi, sizeof b->isa.irq);
    machine_provide(m, "isa", &b->isa);
    machine_provide(m, "gsi", b->gsi);
    b->apic = apic_bus_new(m);
    region_add(as_root(m->memory), APIC_AT, apic_bus_msi_region(b->apic), 0);
    b->pci = pci_bus_new(m, m->memory, m->ports);
    pci_bus_set_lines(b->pci, (IrqLine[4]){ b->gsi[16], b->gsi[17], b->gsi[18], b->gsi[19] });
    as_add_listener(m->memory, ranges_moved, b);
    as_add_listener(m->ports, ranges_moved, b);
}

/* A local APIC as its processor sees it: the page, behind it the MSRs from IA32_APIC_BASE on, and INTA. */
static uint64_t local_apic_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t v = 0;

    if (offset < RAM_PAGE_SIZE)
        return lapic_intc_ops.mmio_read(opaque, offset, size);
    switch (offset / 8 % 8) {
    case 0: return lapic_intc_ops.acknowledge(opaque);
    case 1: return lapic_intc_ops.tpr_read(opaque);
    case 2: return lapic_intc_ops.base_read(opaque);
    case 3: lapic_intc_ops.msr_read(opaque, 0x6e0, &v); return v;
    default: lapic_intc_ops.msr_read(opaque, 0x800 + offset % 0x100, &v); return v;
    }
}

static void local_apic_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    if (offset < RAM_PAGE_SIZE) {
        lapic_intc_ops.mmio_write(opaque, offset, v, size);
        return;
    }
    switch (offset / 8 % 8) {
    case 1: lapic_intc_ops.tpr_write(opaque, v & 15); break;
    case 2: lapic_intc_ops.base_write(opaque, v); break;
    case 3: lapic_intc_ops.msr_write(opaque, 0x6e0, v); break;
    default: lapic_intc_ops.msr_write(opaque, 0x800 + offset % 0x100, v); break;
    }
}

static const RegionOps local_apic_ops = { local_apic_read, local_apic_write, 1, 8 };

/* What boards connect by functions of a device's own. */
static void connect(DeviceBench *b, Device *dev)
{
    const DeviceType *type = dev->type;

    if (type == &lapic_type) {
        lapic_connect((Lapic *)dev, &b->cpu, true, NULL, NULL);
        b->local_apic = region_new_io("local-apic", RAM_PAGE_SIZE + APIC_MSRS, &local_apic_ops, dev);
        region_add(as_root(b->m->memory), MSRS_AT, b->local_apic, 0);
    } else if (type == &ioapic_type) {
        region_add(as_root(b->m->memory), 0xfec00000, ioapic_region((IoApic *)dev), 0);
    } else if (type == &hpet_type) {
        region_add(as_root(b->m->memory), HPET_BASE, hpet_region((Hpet *)dev), 0);
        hpet_set_lines((Hpet *)dev, b->gsi);
    } else if (type == &i440fx_type) {
        i440fx_set_memory((I440fx *)dev, b->ram, NULL);
    } else if (type == &piix3_type) {
        piix3_set_isa_lines((Piix3 *)dev, b->isa.irq);
    } else if (type == &piix4_pm_type) {
        piix4_pm_connect((Piix4Pm *)dev, &b->cpu, b->gsi[9]);
    } else if (type == &fw_cfg_type) {
        fw_cfg_add_file((FwCfg *)dev, "etc/file", "what a file holds", 17);
        fw_cfg_add_u32((FwCfg *)dev, FW_CFG_NB_CPUS, 1);
    }
}

/* ---- devices ---- */

static void set(Device *dev, const char *property, const char *value)
{
    GError *err = NULL;
    device_set(dev, property, value, &err);
    g_assert_no_error(err);
}

static void set_backend(DeviceBench *b, Device *dev, const Property *p)
{
    bool cdrom = g_str_has_suffix(dev->type->name, "-cd");
    bool drive = p->type == PROP_DRIVE || (dev->type == &usb_storage_type && !strcmp(p->name, "drive"));
    g_autofree char *id = drive ? new_drive(b, cdrom) : p->type == PROP_NET ? new_network(b)
                          : p->type == PROP_CHAR ? new_chars(b) : NULL;
    if (id)
        set(dev, p->name, id);
}

static void set_properties(DeviceBench *b, Device *dev)
{
    for (const Property *p = dev->type->properties; p && p->name; p++) {
        set_backend(b, dev, p);
        for (unsigned n = 0; n < G_N_ELEMENTS(settings); n++)
            if (!strcmp(settings[n].property, p->name) &&
                (!strcmp(settings[n].name, "any") || !strcmp(settings[n].name, dev->type->name)))
                set(dev, p->name, settings[n].value);
    }
}

static Device *add(DeviceBench *b, const DeviceType *type, const char *bus)
{
    GError *err = NULL;
    Device *dev = device_new(b->m, type, NULL);

    set_properties(b, dev);
    if (bus)
        set(dev, "bus", bus);
    device_create(dev, &err);
    g_assert_no_error(err);
    connect(b, dev);
    return dev;
}

/* What must be there before a device of that type; and the controller of its bus. */
static void add_needed(DeviceBench *b, const DeviceType *type)
{
    if (!strcmp(type->bus, "isa") && type != &i8237_type)
        add(b, &i8237_type, NULL);
    for (unsigned n = 0; n < G_N_ELEMENTS(needs); n++)
        if (!strcmp(needs[n].name, type->name))
            add(b, device_bench_type(needs[n].needs), NULL);
}

static void add_controller(DeviceBench *b, const DeviceType *type)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(controllers); n++)
        if (!strcmp(controllers[n].bus, type->bus)) {
            add(b, device_bench_type(controllers[n].controller), NULL);
            return;
        }
}

/* The SATA ports of an adapter have buses of their own. */
static void add_to_bus(DeviceBench *b, const char *bus)
{
    bool sata = strstr(b->dev->type->name, "ahci");

    for (unsigned n = 0, place = 0; device_types[n]; n++) {
        g_autofree char *name = sata ? g_strdup_printf("%s.%u", b->dev->id, place) : NULL;
        if (!strcmp(device_types[n]->bus, bus)) {
            add(b, device_types[n], name);
            place++;
        }
    }
}

static void add_controlled(DeviceBench *b)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(controllers); n++)
        if (!strcmp(controllers[n].controller, b->dev->type->name))
            add_to_bus(b, controllers[n].bus);
}

/* ---- what there is to access ---- */

static void place_bar(DeviceBench *b, unsigned devfn, unsigned n, const PciBar *bar, uint64_t *port, uint64_t *memory)
{
    uint64_t *next = bar->flags & PCI_BAR_IO ? port : memory;
    uint64_t at = align_up(*next, region_size(bar->region));

    *next = at + region_size(bar->region);
    pci_bus_config_write(b->pci, 1u << 31 | devfn << 8 | (n == 6 ? PCI_ROM_BAR : PCI_BAR0 + 4 * n), at | (n == 6), 4);
    if (bar->flags & PCI_BAR_MEMORY64)
        pci_bus_config_write(b->pci, 1u << 31 | devfn << 8 | (PCI_BAR0 + 4 * n + 4), at >> 32, 4);
}

void device_bench_map(DeviceBench *b)
{
    uint64_t port = FIRST_PORT, memory = FIRST_MEMORY;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const PciDevice *pci = pci_bus_device(b->pci, devfn);
        for (unsigned n = 0; pci && n < G_N_ELEMENTS(pci->bar); n++)
            if (pci->bar[n].region)
                place_bar(b, devfn, n, &pci->bar[n], &port, &memory);
        if (pci)
            pci_bus_config_write(b->pci, 1u << 31 | devfn << 8 | PCI_COMMAND,
                                 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
        if (pci && pci->dev.type == &piix3_ide_type)
            piix3_ide_enable((Piix3Ide *)pci);
        if (pci && pci->dev.type == &piix4_pm_type)
            piix4_pm_enable((Piix4Pm *)pci);
    }
}

static void find_in(DeviceBench *b, AddressSpace *as, uint64_t end)
{
    for (uint64_t at = 0; at < end;) {
        AsTarget t = as_lookup(as, at);
        DeviceRange range = { as, at, MIN(t.room, end - at) };
        if (t.region && t.region != b->ram) {
            g_array_append_val(b->all, range);
            if (b->foreign && !g_hash_table_contains(b->foreign, t.region))
                g_array_append_val(b->own, range);
        }
        at += range.size;
    }
}

void device_bench_find_ranges(DeviceBench *b)
{
    if (!b->moved)
        return;
    b->moved = false;
    g_array_set_size(b->own, 0);
    g_array_set_size(b->all, 0);
    find_in(b, b->m->ports, 1 << 16);
    find_in(b, b->m->memory, UINT64_C(1) << 52);
}

static void note_foreign(DeviceBench *b)
{
    b->moved = true;
    device_bench_find_ranges(b);
    b->foreign = g_hash_table_new(NULL, NULL);
    for (guint n = 0; n < b->all->len; n++) {
        const DeviceRange *r = &g_array_index(b->all, DeviceRange, n);
        g_hash_table_add(b->foreign, as_lookup(r->as, r->at).region);
    }
}

/* ---- all of it ---- */

void device_bench_up(DeviceBench *b, const DeviceType *type)
{
    memset(b, 0, sizeof *b);
    b->own = g_array_new(FALSE, FALSE, sizeof(DeviceRange));
    b->all = g_array_new(FALSE, FALSE, sizeof(DeviceRange));
    board_up(b);
    if (!strcmp(type->name, "virtio-9p-pci"))
        new_share(b);
    add_needed(b, type);
    note_foreign(b);
    add_controller(b, type);
    b->dev = add(b, type, NULL);
    add_controlled(b);
    machine_reset(b->m);
    device_bench_map(b);
}

void device_bench_down(DeviceBench *b)
{
    while (b->m->devices->len)
        device_remove(b->m->devices->pdata[b->m->devices->len - 1]);
    if (b->local_apic) {
        region_remove(b->local_apic);
        region_free(b->local_apic);
    }
    if (b->peer) {
        net_detach(b->peer);
        net_close_all(b->m);
    }
    block_close_all(b->m);
    char_free_all(b->m);
    fsdev_close_all(b->m);
    as_remove_listener(b->m->memory, ranges_moved, b);
    as_remove_listener(b->m->ports, ranges_moved, b);
    region_remove(apic_bus_msi_region(b->apic));
    apic_bus_free(b->apic);
    pci_bus_free(b->pci);
    region_remove(b->ram);
    region_free(b->ram);
    machine_free(b->m);
    g_hash_table_unref(b->foreign);
    g_array_unref(b->own);
    g_array_unref(b->all);
}
