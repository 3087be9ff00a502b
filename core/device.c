/*
 * Devices: instances, and properties from text.
 */
#include "core/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "util/bits.h"

/* How a type of property is shown in help, and how wide its number is. */
static const struct {
    const char *shown;
    unsigned bits;       /* 0: not a number */
} property_types[] = {
    [PROP_BOOL] = { "bool", 0 },     [PROP_U8] = { "uint8", 8 },    [PROP_U16] = { "uint16", 16 },
    [PROP_U32] = { "uint32", 32 },   [PROP_U64] = { "uint64", 64 }, [PROP_SIZE] = { "size", 64 },
    [PROP_STRING] = { "str", 0 },    [PROP_CHAR] = { "chardev", 0 }, [PROP_DRIVE] = { "drive", 0 },
    [PROP_NET] = { "netdev", 0 },    [PROP_AUDIO] = { "audiodev", 0 }, [PROP_MAC] = { "macaddr", 0 },
};

#define for_each_property(p, type_) for (const Property *p = (type_)->properties; p && p->name; p++)

const char *property_type_name(PropertyType type)
{
    return property_types[type].shown;
}

static void *property_field(Device *dev, const Property *p)
{
    return (uint8_t *)dev + p->offset;
}

/* --- values in the instance -------------------------------------------------------------------------------------- */

static void property_put_number(Device *dev, const Property *p, uint64_t v)
{
    void *field = property_field(dev, p);
    bool truth = v != 0;
    uint16_t v16 = v;
    uint32_t v32 = v;

    switch (p->type) {
    case PROP_BOOL: memcpy(field, &truth, sizeof truth); break;
    case PROP_U8: *(uint8_t *)field = v; break;
    case PROP_U16: memcpy(field, &v16, sizeof v16); break;
    case PROP_U32: memcpy(field, &v32, sizeof v32); break;
    default: memcpy(field, &v, sizeof v); break;
    }
}

static void *property_get_pointer(const Device *dev, const Property *p)
{
    void *v;
    memcpy(&v, (const uint8_t *)dev + p->offset, sizeof v);
    return v;
}

static void property_put_pointer(Device *dev, const Property *p, void *v)
{
    memcpy(property_field(dev, p), &v, sizeof v);
}

static bool property_is_backend(const Property *p)
{
    return p->type == PROP_CHAR || p->type == PROP_DRIVE || p->type == PROP_NET || p->type == PROP_AUDIO;
}

static bool property_is_pointer(const Property *p)
{
    return p->type == PROP_STRING || property_is_backend(p);
}

static bool property_is_number(const Property *p)
{
    return !property_is_pointer(p) && p->type != PROP_MAC;
}

static uint64_t property_get_number(const Device *dev, const Property *p)
{
    const void *field = (const uint8_t *)dev + p->offset;
    uint16_t v16;
    uint32_t v32;
    uint64_t v;
    switch (p->type) {
    case PROP_BOOL:
    case PROP_U8: return *(const uint8_t *)field;
    case PROP_U16: memcpy(&v16, field, sizeof v16); return v16;
    case PROP_U32: memcpy(&v32, field, sizeof v32); return v32;
    default: memcpy(&v, field, sizeof v); return v;
    }
}

void device_property_print(const Device *dev, const Property *p, GString *out)
{
    if (property_is_pointer(p)) {
        const void *pointer = property_get_pointer(dev, p);
        if (p->type == PROP_STRING)
            g_string_append_printf(out, "  %s = \"%s\"\n", p->name, pointer ? (const char *)pointer : "");
        else
            g_string_append_printf(out, "  %s = %s\n", p->name, pointer ? "connected" : "none");
        return;
    }
    if (p->type == PROP_MAC) {
        const uint8_t *mac = (const uint8_t *)dev + p->offset;
        g_string_append_printf(out, "  %s = %02x:%02x:%02x:%02x:%02x:%02x\n", p->name, mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
        return;
    }
    g_string_append_printf(out, "  %s = %" PRIu64 " (0x%" PRIx64 ")\n", p->name, property_get_number(dev, p),
                           property_get_number(dev, p));
}

/* --- setting from text ------------------------------------------------------------------------------------------- */

static uint64_t property_max(const Property *p)
{
    return p->max ? p->max : bit_mask(property_types[p->type].bits);
}

static gboolean set_bool(Device *dev, const Property *p, const char *value, GError **err)
{
    static const char *const words[2][3] = { { "off", "no", "false" }, { "on", "yes", "true" } };

    for (unsigned truth = 0; truth < 2; truth++) {
        for (unsigned i = 0; i < ARRAY_SIZE(words[truth]); i++) {
            if (!strcmp(value, words[truth][i])) {
                property_put_number(dev, p, truth);
                return TRUE;
            }
        }
    }
    return error_set(err, "device '%s': property '%s' takes on or off, not '%s'", dev->id, p->name, value);
}

/* A whole decimal or 0x hexadecimal number. */
static bool parse_number(const char *text, uint64_t *v)
{
    bool hex = text[0] == '0' && g_ascii_toupper(text[1]) == 'X';
    const char *digits = hex ? text + 2 : text;
    char *end;

    if (!g_ascii_isxdigit(*digits))
        return false;
    errno = 0;
    *v = g_ascii_strtoull(digits, &end, hex ? 16 : 10);
    return !*end && end != digits && errno != ERANGE;
}

static gboolean set_number(Device *dev, const Property *p, const char *value, GError **err)
{
    uint64_t v;

    if (!parse_number(value, &v) || v < p->min || v > property_max(p))
        return error_set(err, "device '%s': property '%s' takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
                         dev->id, p->name, p->min, property_max(p), value);
    property_put_number(dev, p, v);
    return TRUE;
}

static gboolean set_size(Device *dev, const Property *p, const char *value, GError **err)
{
    g_autofree char *what = g_strdup_printf("device '%s': property '%s'", dev->id, p->name);
    guint64 v;

    if (!parse_size(what, value, 1, &v, err))
        return FALSE;
    if (v < p->min || v > property_max(p)) {
        g_autofree char *min = g_format_size_full(p->min, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *max = g_format_size_full(property_max(p), G_FORMAT_SIZE_IEC_UNITS);
        return error_set(err, "%s takes a size from %s to %s, not '%s'", what, min, max, value);
    }
    property_put_number(dev, p, v);
    return TRUE;
}

static gboolean set_string(Device *dev, const Property *p, const char *value)
{
    g_free(property_get_pointer(dev, p));
    property_put_pointer(dev, p, g_strdup(value));
    return TRUE;
}

/* The nearest of the machine's slots "PREFIXname", as that name; NULL when none is near. */
static const char *nearest_slot(Machine *m, const char *prefix, const char *given)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, m->slots);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (g_str_has_prefix(key, prefix))
            g_ptr_array_add(names, (char *)key + strlen(prefix));
    }
    return nearest_name(given, (const char *const *)names->pdata, names->len);
}

static gboolean set_mac(Device *dev, const Property *p, const char *value, GError **err)
{
    g_autofree char *what = g_strdup_printf("device '%s': property '%s'", dev->id, p->name);

    return parse_mac(what, value, property_field(dev, p), err);
}

/* Back ends provide themselves to the machine as "chardev:ID", "drive:ID", "netdev:ID" and "audiodev:ID". */
static gboolean set_backend(Device *dev, const Property *p, const char *value, GError **err)
{
    const char *kind = property_types[p->type].shown;
    g_autofree char *prefix = g_strdup_printf("%s:", kind);
    void *backend = machine_find_backend(dev->machine, kind, value);
    const char *nearest;

    if (backend) {
        property_put_pointer(dev, p, backend);
        return TRUE;
    }
    nearest = nearest_slot(dev->machine, prefix, value);
    if (nearest)
        return error_set(err, "device '%s': property '%s': there is no %s '%s'; did you mean '%s'?", dev->id, p->name,
                         kind, value, nearest);
    return error_set(err, "device '%s': property '%s': there is no %s '%s'; -%s ...,id=%s makes one", dev->id, p->name,
                     kind, value, kind, value);
}

/* Tells of an unknown property: the nearest one, or all. */
static gboolean fail_unknown(const Device *dev, const char *property, GError **err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *all = NULL;
    const char *nearest;

    for_each_property(p, dev->type)
        g_ptr_array_add(names, (char *)p->name);
    if (!names->len)
        return error_set(err, "device '%s': no property '%s'; %s has none", dev->id, property, dev->type->name);
    nearest = nearest_name(property, (const char *const *)names->pdata, names->len);
    if (nearest)
        return error_set(err, "device '%s': no property '%s'; did you mean '%s'?", dev->id, property, nearest);
    g_ptr_array_add(names, NULL);
    all = g_strjoinv(", ", (char **)names->pdata);
    return error_set(err, "device '%s': no property '%s'; %s has: %s", dev->id, property, dev->type->name, all);
}

static const Property *property_find(const DeviceType *type, const char *name)
{
    for_each_property(p, type) {
        if (!strcmp(p->name, name))
            return p;
    }
    return NULL;
}

gboolean device_set(Device *dev, const char *property, const char *value, GError **err)
{
    const Property *p = property_find(dev->type, property);

    if (!p)
        return fail_unknown(dev, property, err);
    value = value ? value : "on"; /* -device NAME,property */
    switch (p->type) {
    case PROP_BOOL: return set_bool(dev, p, value, err);
    case PROP_SIZE: return set_size(dev, p, value, err);
    case PROP_STRING: return set_string(dev, p, value);
    case PROP_MAC: return set_mac(dev, p, value, err);
    case PROP_CHAR:
    case PROP_DRIVE:
    case PROP_NET:
    case PROP_AUDIO: return set_backend(dev, p, value, err);
    default: return set_number(dev, p, value, err);
    }
}

/* --- instances --------------------------------------------------------------------------------------------------- */

/* TYPE, or TYPE.N with the first N that is free. */
static char *device_default_id(Machine *m, const DeviceType *type)
{
    char *id = g_strdup(type->name);

    for (unsigned n = 1; device_find(m, id); n++) {
        g_free(id);
        id = g_strdup_printf("%s.%u", type->name, n);
    }
    return id;
}

Device *device_new(Machine *m, const DeviceType *type, const char *id)
{
    Device *dev = g_malloc0(type->size);

    dev->type = type;
    dev->machine = m;
    dev->id = id ? g_strdup(id) : device_default_id(m, type);
    for_each_property(p, type) {
        if (property_is_number(p))
            property_put_number(dev, p, p->initial);
    }
    return dev;
}

static void device_free(Device *dev)
{
    for_each_property(p, dev->type) {
        if (p->type == PROP_STRING)
            g_free(property_get_pointer(dev, p));
    }
    g_free(dev->id);
    g_free(dev);
}

/* The device that uses a back end by another property than `own`, or NULL. */
static Device *backend_user(Device *dev, const Property *own, const void *backend)
{
    GPtrArray *devices = dev->machine->devices;

    for (unsigned i = 0; i <= devices->len; i++) {
        Device *other = i < devices->len ? devices->pdata[i] : dev;
        for_each_property(p, other->type) {
            if (p->type == own->type && !(other == dev && p == own) && property_get_pointer(other, p) == backend)
                return other;
        }
    }
    return NULL;
}

/* A back end has one front end, save that sounds are mixed. */
static gboolean device_check_backends(Device *dev, GError **err)
{
    for_each_property(p, dev->type) {
        if (!property_is_backend(p) || p->type == PROP_AUDIO)
            continue;
        void *backend = property_get_pointer(dev, p);
        Device *user = backend ? backend_user(dev, p, backend) : NULL;
        if (user)
            return error_set(err, "device '%s': property '%s': this %s is already used by device '%s'", dev->id,
                             p->name, property_types[p->type].shown, user->id);
    }
    return TRUE;
}

static gboolean device_check(Device *dev, GError **err)
{
    const Device *same = device_find(dev->machine, dev->id);

    if (same)
        return error_set(err, "device '%s': there is already a device of this id (%s); give each its own id=",
                         dev->id, same->type->name);
    return device_check_backends(dev, err);
}

gboolean device_create(Device *dev, GError **err)
{
    GPtrArray *devices = dev->machine->devices;

    if (!device_check(dev, err)) {
        device_free(dev);
        return FALSE;
    }
    g_ptr_array_add(devices, dev);
    if (dev->type->create(dev, err))
        return TRUE;
    g_ptr_array_remove(devices, dev);
    device_free(dev);
    return FALSE;
}

Device *device_add(Machine *m, const DeviceType *type, const char *id, GError **err, ...)
{
    Device *dev = device_new(m, type, id);
    const char *name;
    gboolean ok = TRUE;
    va_list args;

    va_start(args, err);
    while (ok && (name = va_arg(args, const char *))) {
        const char *value = va_arg(args, const char *);
        ok = device_set(dev, name, value, err);
    }
    va_end(args);
    if (!ok) {
        device_free(dev);
        return NULL;
    }
    return device_create(dev, err) ? dev : NULL;
}

void device_remove(Device *dev)
{
    if (g_ptr_array_remove(dev->machine->devices, dev) && dev->type->destroy)
        dev->type->destroy(dev);
    device_free(dev);
}

GPtrArray *machine_devices(Machine *m)
{
    return m->devices;
}

Device *device_find(Machine *m, const char *id)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (!strcmp(dev->id, id))
            return dev;
    }
    return NULL;
}

Device *device_first(Machine *m, const DeviceType *type)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (dev->type == type)
            return dev;
    }
    return NULL;
}

/* --- help -------------------------------------------------------------------------------------------------------- */

/* Sizes by their unit; other numbers in hexadecimal, small ones the same in both. */
static char *property_default(const Property *p)
{
    static const char suffix[] = "\0KMGT";
    unsigned unit = 0;
    uint64_t v = p->initial;

    if (p->type == PROP_BOOL)
        return g_strdup(v ? "on" : "off");
    if (p->type != PROP_SIZE)
        return g_strdup_printf(v < 10 ? "%" PRIu64 : "0x%" PRIx64, v);
    for (; v && v % KiB == 0 && unit < 4; unit++)
        v /= KiB;
    return g_strdup_printf("%" PRIu64 "%.1s", v, suffix + unit);
}

void device_type_help(const DeviceType *type)
{
    unsigned width = 0;

    if (!type->properties || !type->properties->name) {
        printf("There are no options for %s.\n", type->name);
        return;
    }
    printf("%s options:\n", type->name);
    for_each_property(p, type)
        width = MAX(width, strlen(p->name) + strlen(property_types[p->type].shown));
    for_each_property(p, type) {
        const char *shown = property_types[p->type].shown;
        int pad = width - strlen(p->name) - strlen(shown);
        printf("  %s=<%s>%*s  - %s", p->name, shown, pad, "", p->help ? p->help : "");
        if (property_is_number(p)) {
            g_autofree char *initial = property_default(p);
            printf(" (default: %s)", initial);
        }
        putchar('\n');
    }
}
