/*
 * Devices: types, properties, instances.  See docs/new-device.md for the way from nothing to a working device.
 *
 * A device type is one const struct in the device's only file; machines/devices.c lists all types.  An instance is
 * allocated with the type's size, has its properties set by name (from -device or by a board), and is then created.
 */
#ifndef MYNA_CORE_DEVICE_H
#define MYNA_CORE_DEVICE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state.h"

typedef struct Machine Machine;
typedef struct Device Device;

typedef enum PropertyType {
    PROP_BOOL,   /* bool: on, off, yes, no, true, false */
    PROP_U8, PROP_U16, PROP_U32, PROP_U64, /* decimal or 0x hexadecimal */
    PROP_SIZE,   /* uint64_t bytes with suffix */
    PROP_STRING, /* char *, owned by the device; from here on not numbers */
    PROP_CHAR,   /* struct CharBackend *: a chardev by name (backends/char) */
    PROP_DRIVE,  /* struct BlockBackend *: a drive by name (backends/block) */
    PROP_NET,    /* struct NetBackend *: a network by name (backends/net) */
    PROP_AUDIO,  /* struct AudioBackend *: where its sound goes, by name (backends/audio); several devices may share one */
    PROP_MAC,    /* uint8_t[6]: 52:54:00:12:34:56; all zero when it was not given */
} PropertyType;

typedef struct Property {
    const char *name;
    PropertyType type;
    size_t offset;
    uint64_t initial;    /* default of numbers and booleans */
    uint64_t min, max;   /* of numbers; max 0: as wide as the type */
    const char *help;
} Property;

#define PROPERTY(T, field, option, type_, default_, help_)                                                             \
    { .name = option, .type = type_, .offset = offsetof(T, field), .initial = default_, .help = help_ }
#define PROPERTY_END { .name = NULL }

typedef struct DeviceType {
    const char *name;               /* as in -device NAME: QEMU's name where QEMU has the device */
    const char *description;        /* one line */
    const char *bus;                /* "isa", "pci", or "system" (placed by boards only) */
    size_t size;                    /* of the instance struct, whose first member is a Device */
    bool user;                      /* may be added by -device */
    const Property *properties;     /* ends with PROPERTY_END; NULL: none */
    gboolean (*create)(Device *dev, GError **err); /* regions, timers, lines; properties are set by now */
    void (*reset)(Device *dev);     /* to power-on state; called after create of all devices, and on machine reset */
    void (*destroy)(Device *dev);   /* frees what create made; not the struct; may be NULL */
    const StateField *state;        /* every field that a guest can change */
    void (*pre_save)(Device *dev);  /* brings fields up to date; may be NULL */
    gboolean (*post_load)(Device *dev, GError **err); /* recomputes what follows from fields; may be NULL */
} DeviceType;

struct Device {
    const DeviceType *type;
    Machine *machine;
    char *id;                       /* unique: the user's id=, or TYPE or TYPE.N */
};

/* An instance in its default properties, attached to the machine but not yet created; id may be NULL. */
Device *device_new(Machine *m, const DeviceType *type, const char *id);

/* Sets a property from text; FALSE with *err naming device, property, allowed values and the nearest known name. */
gboolean device_set(Device *dev, const char *property, const char *value, GError **err);

/* Creates it.  On failure the device is removed and freed. */
gboolean device_create(Device *dev, GError **err);

/* The two above in one, for boards: properties as name, value pairs of strings, ended by NULL. */
Device *device_add(Machine *m, const DeviceType *type, const char *id, GError **err, ...) G_GNUC_NULL_TERMINATED;

/* Destroys, detaches and frees. */
void device_remove(Device *dev);

/* All devices of a machine in order of creation (of Device *), owned by the machine; by id; first of a type or NULL. */
GPtrArray *machine_devices(Machine *m);
Device *device_find(Machine *m, const char *id);
Device *device_first(Machine *m, const DeviceType *type);

/* "uint32", "str", "chardev": as help shows it. */
const char *property_type_name(PropertyType type);

/* "  name = value", for the monitor. */
void device_property_print(const Device *dev, const Property *p, GString *out);

/* Prints a type's properties (`-device NAME,help`). */
void device_type_help(const DeviceType *type);

#endif
