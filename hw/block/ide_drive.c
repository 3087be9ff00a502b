/* Places of ATA drives: the buses of IDE channels and AHCI ports, and the drives that -device puts there. */
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/block/ide.h"

/* ---- buses: a list in the machine's slot "ide-buses" ---- */

static GPtrArray *buses(Machine *m)
{
    return machine_find(m, "ide-buses");
}

void ide_bus_add(Machine *m, IdeBus *bus)
{
    if (!buses(m))
        machine_provide(m, "ide-buses", g_ptr_array_new());
    g_ptr_array_add(buses(m), bus);
}

void ide_bus_remove(Machine *m, IdeBus *bus)
{
    GPtrArray *list = buses(m);

    g_ptr_array_remove(list, bus);
    g_clear_pointer(&bus->name, g_free);
    if (!list->len) {
        machine_provide(m, "ide-buses", NULL);
        g_ptr_array_unref(list);
    }
}

/* ---- drives: only properties; the state is the controller's ---- */

typedef struct IdeDriveDevice {
    Device dev;
    BlockBackend *drive;
    char *bus, *serial, *model;
    uint32_t unit;
} IdeDriveDevice;

#define UNIT_FREE UINT32_MAX

static bool bus_matches(const IdeDriveDevice *d, const IdeBus *bus)
{
    return d->bus ? !strcmp(d->bus, bus->name) : bus->chosen;
}

static IdeDrive *place_in(const IdeDriveDevice *d, const IdeBus *bus)
{
    for (unsigned n = 0; n < bus->places; n++)
        if ((d->unit == UNIT_FREE || d->unit == n) && !ide_drive_present(bus->place[n]))
            return bus->place[n];
    return NULL;
}

static char *bus_names(Machine *m)
{
    GString *names = g_string_new(NULL);

    for (guint n = 0; n < buses(m)->len; n++)
        g_string_append_printf(names, "%s%s", n ? ", " : "", ((IdeBus *)buses(m)->pdata[n])->name);
    return g_string_free(names, FALSE);
}

static gboolean check_bus(const IdeDriveDevice *d, GError **err)
{
    GPtrArray *list = buses(d->dev.machine);

    if (!list)
        return error_set(err, "device '%s' (%s) needs an IDE or AHCI controller, which this machine does not have",
                         d->dev.id, d->dev.type->name);
    for (guint n = 0; n < list->len; n++)
        if (bus_matches(d, list->pdata[n]))
            return TRUE;
    g_autofree char *names = bus_names(d->dev.machine);
    return error_set(err, "device '%s': there is no bus '%s'; the buses for drives are %s", d->dev.id,
                     d->bus ? d->bus : "ide.0", names);
}

/* The first place that is free and fits bus= and unit=. */
static IdeDrive *find_place(const IdeDriveDevice *d, IdeBus **bus)
{
    GPtrArray *list = buses(d->dev.machine);
    IdeDrive *place = NULL;

    for (guint n = 0; n < list->len && !place; n++) {
        *bus = list->pdata[n];
        place = bus_matches(d, *bus) ? place_in(d, *bus) : NULL;
    }
    return place;
}

static gboolean check_drive(const IdeDriveDevice *d, IdeKind kind, GError **err)
{
    if (!d->drive)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", d->dev.id);
    if (block_user(d->drive))
        return error_set(err, "device '%s': drive '%s' is used by '%s' already; give its -drive if=none", d->dev.id,
                         block_id(d->drive), block_user(d->drive));
    if (kind == IDE_DISK && !block_inserted(d->drive))
        return error_set(err, "device '%s': drive '%s' has no image, which a disk needs", d->dev.id,
                         block_id(d->drive));
    if (d->unit != UNIT_FREE && d->unit > 1)
        return error_set(err, "device '%s': unit is 0 (master) or 1 (slave), not %u", d->dev.id, d->unit);
    return TRUE;
}

/* Serial numbers differ within a machine: MY00001 and on, in the order of the places. */
static char *usual_serial(Machine *m, const IdeDrive *place)
{
    unsigned number = 1;

    for (guint n = 0; n < buses(m)->len; n++) {
        const IdeBus *bus = buses(m)->pdata[n];
        for (unsigned k = 0; k < bus->places; k++, number++)
            if (bus->place[k] == place)
                return g_strdup_printf("MY%05u", number);
    }
    return g_strdup("MY00000");
}

static gboolean drive_device_create(Device *dev, IdeKind kind, GError **err)
{
    IdeDriveDevice *d = (IdeDriveDevice *)dev;
    IdeBus *bus = NULL;

    if (!check_drive(d, kind, err) || !check_bus(d, err))
        return FALSE;
    IdeDrive *place = find_place(d, &bus);
    if (!place)
        return error_set(err, "device '%s': no such place is free on the IDE buses", dev->id);
    g_autofree char *usual = usual_serial(dev->machine, place);
    if (!ide_drive_attach(place, kind, d->drive, d->model, d->serial ? d->serial : usual, dev->id, err))
        return FALSE;
    if (bus->attached)
        bus->attached(place);
    return TRUE;
}

static gboolean hd_create(Device *dev, GError **err) { return drive_device_create(dev, IDE_DISK, err); }
static gboolean cd_create(Device *dev, GError **err) { return drive_device_create(dev, IDE_CDROM, err); }

static const Property drive_properties[] = {
    PROPERTY(IdeDriveDevice, drive, "drive", PROP_DRIVE, 0, "the -drive that holds the data"),
    PROPERTY(IdeDriveDevice, bus, "bus", PROP_STRING, 0,
             "ide.0 (primary), ide.1, or ID.0 to ID.5 of an ich9-ahci; otherwise an IDE bus with a free place"),
    PROPERTY(IdeDriveDevice, unit, "unit", PROP_U32, UNIT_FREE, "0: master, 1: slave; otherwise one that is free"),
    PROPERTY(IdeDriveDevice, serial, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY(IdeDriveDevice, model, "model", PROP_STRING, 0, "name of the model"),
    PROPERTY_END
};

static const StateField drive_device_state[] = { STATE_END };

#define DRIVE_TYPE(variable, name_, description_, create_)                                                             \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = description_, .bus = "ide", .size = sizeof(IdeDriveDevice), .user = true,        \
        .properties = drive_properties, .create = create_, .state = drive_device_state,                                \
    }

DRIVE_TYPE(ide_hd_type, "ide-hd", "ATA disk, on IDE or AHCI", hd_create);
DRIVE_TYPE(ide_cd_type, "ide-cd", "ATAPI CD-ROM, on IDE or AHCI", cd_create);
