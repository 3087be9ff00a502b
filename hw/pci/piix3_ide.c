/*
 * The IDE function of the PIIX3, function 1 of its slot: two channels at their ISA places, and bus masters (Intel
 * 82371SB datasheet, sections 2.3, 2.7 and 3.5).
 */
#include "hw/pci/piix3_ide.h"

#include <string.h>

#include "core/error.h"
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

static void attach(Piix3Ide *p, unsigned unit, IdeKind kind, BlockBackend *block, const char *model, const char *serial)
{
    g_autofree char *usual = g_strdup_printf("MY%05u", unit + 1);

    ide_drive_attach(drive_at(p, unit), kind, block, model, serial ? serial : usual);
}

void piix3_ide_attach(Piix3Ide *p, unsigned unit, BlockBackend *block)
{
    attach(p, unit, block_is_cdrom(block) ? IDE_CDROM : IDE_DISK, block, NULL, NULL);
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
    machine_provide(dev->machine, "ide", p);
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

    machine_provide(dev->machine, "ide", NULL);
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

/* ---- drives by -device: only a drive's properties; its state is the controller's ---- */

typedef struct IdeDriveDevice {
    Device dev;
    BlockBackend *drive;
    char *bus, *serial, *model;
    uint32_t unit;
} IdeDriveDevice;

#define UNIT_FREE UINT32_MAX

/* Channels that bus= allows: both without it. */
static gboolean parse_bus(const IdeDriveDevice *d, unsigned *first, unsigned *last, GError **err)
{
    *first = 0;
    *last = CHANNELS - 1;
    if (!d->bus)
        return TRUE;
    if (!g_str_has_prefix(d->bus, "ide.") || d->bus[4] < '0' || d->bus[4] > '1' || d->bus[5])
        return error_set(err, "device '%s': there is no bus '%s'; the IDE buses are ide.0 and ide.1", d->dev.id,
                         d->bus);
    *first = *last = d->bus[4] - '0';
    return TRUE;
}

/* The first place 0..3 that is free and fits bus= and unit=. */
static gboolean find_place(const IdeDriveDevice *d, Piix3Ide *p, unsigned *place, GError **err)
{
    unsigned first, last;

    if (!parse_bus(d, &first, &last, err))
        return FALSE;
    if (d->unit != UNIT_FREE && d->unit > 1)
        return error_set(err, "device '%s': unit is 0 (master) or 1 (slave), not %u", d->dev.id, d->unit);
    for (*place = 2 * first; *place < 2 * last + 2; ++*place) {
        if ((d->unit == UNIT_FREE || *place % 2 == d->unit) && !ide_drive_present(drive_at(p, *place)))
            return TRUE;
    }
    return error_set(err, "device '%s': no such place is free on the IDE buses", d->dev.id);
}

/* The place that has this drive, when the board put it there; or NULL. */
static IdeDrive *find_user(Piix3Ide *p, const BlockBackend *block)
{
    for (unsigned unit = 0; unit < PIIX3_IDE_DRIVES; unit++) {
        if (drive_at(p, unit)->block == block)
            return drive_at(p, unit);
    }
    return NULL;
}

static gboolean check_drive(const IdeDriveDevice *d, Piix3Ide *p, IdeKind kind, GError **err)
{
    if (!d->drive)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", d->dev.id);
    if (find_user(p, d->drive))
        return error_set(err, "device '%s': drive '%s' is on the IDE bus already; give its -drive if=none",
                         d->dev.id, block_id(d->drive));
    if (kind == IDE_DISK && !block_inserted(d->drive))
        return error_set(err, "device '%s': drive '%s' has no image, which a disk needs", d->dev.id,
                         block_id(d->drive));
    return TRUE;
}

static gboolean drive_device_create(Device *dev, IdeKind kind, GError **err)
{
    IdeDriveDevice *d = (IdeDriveDevice *)dev;
    Piix3Ide *p = machine_find(dev->machine, "ide");
    unsigned place = 0;

    if (!p)
        return error_set(err, "device '%s' (%s) needs an IDE controller, which this machine does not have", dev->id,
                         dev->type->name);
    if (!check_drive(d, p, kind, err) || !find_place(d, p, &place, err))
        return FALSE;
    attach(p, place, kind, d->drive, d->model, d->serial);
    return TRUE;
}

static gboolean hd_create(Device *dev, GError **err) { return drive_device_create(dev, IDE_DISK, err); }
static gboolean cd_create(Device *dev, GError **err) { return drive_device_create(dev, IDE_CDROM, err); }

static const Property drive_properties[] = {
    PROPERTY(IdeDriveDevice, drive, "drive", PROP_DRIVE, 0, "the -drive that holds the data"),
    PROPERTY(IdeDriveDevice, bus, "bus", PROP_STRING, 0, "ide.0 (primary) or ide.1; otherwise one with a free place"),
    PROPERTY(IdeDriveDevice, unit, "unit", PROP_U32, UNIT_FREE, "0: master, 1: slave; otherwise one that is free"),
    PROPERTY(IdeDriveDevice, serial, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY(IdeDriveDevice, model, "model", PROP_STRING, 0, "name of the model"),
    PROPERTY_END
};

static const StateField drive_state[] = { STATE_END };

#define DRIVE_TYPE(variable, name_, description_, create_)                                                             \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = description_, .bus = "ide", .size = sizeof(IdeDriveDevice), .user = true,        \
        .properties = drive_properties, .create = create_, .state = drive_state,                                       \
    }

DRIVE_TYPE(ide_hd_type, "ide-hd", "IDE disk", hd_create);
DRIVE_TYPE(ide_cd_type, "ide-cd", "IDE CD-ROM", cd_create);
