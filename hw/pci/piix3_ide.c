/*
 * The IDE function of the PIIX3, function 1 of its slot: two channels at their ISA places, and bus masters (Intel
 * 82371SB datasheet, sections 2.3, 2.7 and 3.5).
 */
#include "hw/pci/piix3_ide.h"

#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/block/ide.h"
#include "hw/isa/isa_device.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CHANNELS = 2, IDETIM = 0x40, SIDETIM = 0x44, BAR_BUS_MASTER = 4 };
#define IDETIM_DECODE 0x80 /* bit 7 of the register's high byte: the channel's ports are decoded */

struct Piix3Ide {
    PciDevice pci;
    IdeChannel channel[CHANNELS];
    Region *command[CHANNELS], *control[CHANNELS], *bus_master;
    bool mapped[CHANNELS];
    IdeBus bus[CHANNELS];
};

static IdeDrive *drive_at(Piix3Ide *p, unsigned unit)
{
    return &p->channel[unit / 2].drive[unit % 2];
}

/* ---- ports ---- */

static uint64_t command_read(void *opaque, uint64_t offset, unsigned size) { return ide_read(opaque, offset, size); }

static void command_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    ide_write(opaque, offset, v, size);
}

static const RegionOps command_ops = { .read = command_read, .write = command_write, .min_size = 1, .max_size = 4 };

static uint64_t control_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset;
    (void)size;
    return ide_read_alternate(opaque);
}

static void control_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    (void)offset;
    (void)size;
    ide_write_control(opaque, v);
}

static const RegionOps control_ops = { .read = control_read, .write = control_write, .min_size = 1, .max_size = 1 };

static uint64_t bus_master_read(void *opaque, uint64_t offset, unsigned size)
{
    Piix3Ide *p = opaque;
    return ide_dma_read(&p->channel[offset / IDE_DMA_PORTS], offset % IDE_DMA_PORTS, size);
}

static void bus_master_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Piix3Ide *p = opaque;
    ide_dma_write(&p->channel[offset / IDE_DMA_PORTS], offset % IDE_DMA_PORTS, v, size);
}

static const RegionOps bus_master_ops = {
    .read = bus_master_read, .write = bus_master_write, .min_size = 1, .max_size = 4,
};

/* ---- configuration ---- */

static bool is_decoded(const Piix3Ide *p, unsigned n)
{
    return (ld16le(p->pci.config + PCI_COMMAND) & PCI_COMMAND_IO) &&
           (p->pci.config[IDETIM + 2 * n + 1] & IDETIM_DECODE);
}

static void update_mapping(Piix3Ide *p)
{
    static const uint16_t command_port[CHANNELS] = { 0x1f0, 0x170 }, control_port[CHANNELS] = { 0x3f6, 0x376 };
    Region *ports = as_root(p->pci.dev.machine->ports);

    for (unsigned n = 0; n < CHANNELS; n++) {
        bool on = is_decoded(p, n);
        if (on == p->mapped[n])
            continue;
        p->mapped[n] = on;
        if (on) {
            region_add(ports, command_port[n], p->command[n], 0);
            region_add(ports, control_port[n], p->control[n], 0);
        } else {
            region_remove(p->command[n]);
            region_remove(p->control[n]);
        }
    }
}

/* Bus mastering may just have been allowed: a transfer may wait for it. */
static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    Piix3Ide *p = (Piix3Ide *)pci;
    (void)offset;
    (void)size;

    update_mapping(p);
    for (unsigned n = 0; n < CHANNELS; n++)
        ide_dma_run(&p->channel[n]);
}

void piix3_ide_enable(Piix3Ide *p)
{
    p->pci.config[IDETIM + 1] |= IDETIM_DECODE;
    p->pci.config[IDETIM + 3] |= IDETIM_DECODE;
    update_mapping(p);
}

/* ---- drives ---- */

void piix3_ide_attach(Piix3Ide *p, unsigned unit, BlockBackend *block)
{
    g_autofree char *serial = g_strdup_printf("MY%05u", unit + 1);
    g_autofree char *device = g_strdup_printf("%s.%u", p->pci.dev.id, unit);
    GError *err = NULL;

    if (!ide_drive_attach(drive_at(p, unit), block_is_cdrom(block) ? IDE_CDROM : IDE_DISK, block, NULL, serial, device,
                          &err)) {
        log_user("%s", err->message); /* the board gives only drives that it has just opened */
        g_error_free(err);
    }
}

/* The channels are the buses ide.0 and ide.1. */
static void buses_create(Piix3Ide *p)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        p->bus[n] = (IdeBus) { .name = g_strdup_printf("ide.%u", n), .places = 2, .chosen = true,
                               .place = { &p->channel[n].drive[0], &p->channel[n].drive[1] } };
        ide_bus_add(p->pci.dev.machine, &p->bus[n]);
    }
}

/* ---- life ---- */

static void regions_create(Piix3Ide *p)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        p->command[n] = region_new_io("ide", 8, &command_ops, &p->channel[n]);
        p->control[n] = region_new_io("ide-control", 1, &control_ops, &p->channel[n]);
    }
    p->bus_master = region_new_io("ide-bus-master", CHANNELS * IDE_DMA_PORTS, &bus_master_ops, p);
    pci_add_bar(&p->pci, BAR_BUS_MASTER, PCI_BAR_IO, p->bus_master);
}

static gboolean piix3_ide_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180,
                              .subsystem_vendor = 0x1af4, .subsystem = 0x1100 };
    Piix3Ide *p = (Piix3Ide *)dev;
    IsaBus *isa = isa_bus_find(dev, err);

    if (p->pci.devfn < 0)
        p->pci.devfn = 1 << 3 | 1;
    if (!isa || !pci_device_init(&p->pci, &id, err))
        return FALSE;
    st16le(p->pci.writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    memset(p->pci.writable + IDETIM, 0xff, 4);
    p->pci.writable[SIDETIM] = 0xff;
    p->pci.config_written = config_written;
    for (unsigned n = 0; n < CHANNELS; n++)
        ide_channel_init(&p->channel[n], &p->pci, isa->irq[14 + n]);
    regions_create(p);
    buses_create(p);
    return TRUE;
}

static void piix3_ide_reset(Device *dev)
{
    Piix3Ide *p = (Piix3Ide *)dev;

    for (unsigned n = 0; n < CHANNELS; n++)
        ide_channel_reset(&p->channel[n]);
    pci_device_reset(&p->pci);
    st16le(p->pci.config + PCI_STATUS, 0x0280);
    memset(p->pci.config + IDETIM, 0, 5);
    update_mapping(p);
}

static void piix3_ide_destroy(Device *dev)
{
    Piix3Ide *p = (Piix3Ide *)dev;

    for (unsigned n = 0; n < CHANNELS; n++)
        ide_bus_remove(dev->machine, &p->bus[n]);
    st16le(p->pci.config + PCI_COMMAND, 0);
    update_mapping(p);
    pci_device_exit(&p->pci);
    region_free(p->bus_master);
    for (unsigned n = 0; n < CHANNELS; n++) {
        ide_channel_exit(&p->channel[n]);
        region_free(p->command[n]);
        region_free(p->control[n]);
    }
}

static void piix3_ide_pre_save(Device *dev)
{
    Piix3Ide *p = (Piix3Ide *)dev;

    for (unsigned n = 0; n < CHANNELS; n++)
        ide_channel_drain(&p->channel[n]);
}

static gboolean piix3_ide_post_load(Device *dev, GError **err)
{
    Piix3Ide *p = (Piix3Ide *)dev;

    for (unsigned n = 0; n < CHANNELS; n++) {
        if (!ide_channel_restored(&p->channel[n], dev->id, err))
            return FALSE;
    }
    pci_device_restored(&p->pci);
    update_mapping(p);
    return TRUE;
}

static const StateField piix3_ide_state[] = {
    STATE_STRUCT(Piix3Ide, pci, pci_device_state), STATE_STRUCT_ARRAY(Piix3Ide, channel, ide_channel_state), STATE_END
};

static const Property piix3_ide_properties[] = { PCI_ADDR_PROPERTY(Piix3Ide), PROPERTY_END };

const DeviceType piix3_ide_type = {
    .name = "piix3-ide", .description = "Intel 82371SB IDE controller", .bus = "system", .size = sizeof(Piix3Ide),
    .properties = piix3_ide_properties, .create = piix3_ide_create, .reset = piix3_ide_reset,
    .destroy = piix3_ide_destroy, .state = piix3_ide_state, .pre_save = piix3_ide_pre_save,
    .post_load = piix3_ide_post_load,
};
