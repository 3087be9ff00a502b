/* QMP's commands about devices and back ends (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <inttypes.h>
#include <string.h>

#include "backends/char/char.h"
#include "backends/net/net.h"
#include "debugger/qmp/qmp_command.h"
#include "hw/display/console.h"
#include "hw/pci/pci.h"
#include "ui/picture.h"
#include "util/endian.h"

/* ---- back ends ---- */

static bool run_chardev(QmpCall *c)
{
    JsonArray *a = json_array_new();
    CharBackend *b;
    for (unsigned n = 0; (b = char_nth(c->machine, n)); n++) {
        JsonObject *o = json_object_new();
        json_object_set_boolean_member(o, "frontend-open", char_is_open(b));
        json_object_set_string_member(o, "filename", char_id(b));
        json_object_set_string_member(o, "label", char_id(b));
        json_array_add_object_element(a, o);
    }
    return qmp_return_array(c, a);
}

/* ---- networks ---- */

static const QmpArgument link_arguments[] = {
    { .name = "name", .type = QMP_STRING }, { .name = "up", .type = QMP_BOOL }, { .name = NULL },
};

static bool run_set_link(QmpCall *c)
{
    const char *name = qmp_string(c, "name", "");
    NetBackend *n = net_find_named(c->machine, name);
    if (!n) {
        c->error_class = "DeviceNotFound";
        return qmp_fail(c, "Device '%s' not found", name);
    }
    net_set_link(n, json_object_get_boolean_member(c->arguments, "up"));
    return true;
}

/* ---- PCI ---- */

static JsonObject *bar_object(const PciDevice *pci, unsigned n)
{
    const PciBar *bar = &pci->bar[n];
    JsonObject *o = json_object_new();
    bool io = bar->flags & PCI_BAR_IO;
    json_object_set_int_member(o, "bar", n);
    json_object_set_string_member(o, "type", io ? "io" : "memory");
    json_object_set_int_member(o, "address", bar->mapped ? (int64_t)bar->address : -1);
    json_object_set_int_member(o, "size", region_size(bar->region));
    if (!io) {
        json_object_set_boolean_member(o, "mem_type_64", (bar->flags & PCI_BAR_MEMORY64) != 0);
        json_object_set_boolean_member(o, "prefetch", (bar->flags & PCI_BAR_PREFETCH) != 0);
    }
    return o;
}

static JsonArray *bars_array(const PciDevice *pci)
{
    JsonArray *a = json_array_new();
    for (unsigned n = 0; n < G_N_ELEMENTS(pci->bar); n++)
        if (pci->bar[n].region)
            json_array_add_object_element(a, bar_object(pci, n));
    return a;
}

static JsonObject *pci_id_object(const uint8_t *config)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "vendor", ld16le(config + PCI_VENDOR_ID));
    json_object_set_int_member(o, "device", ld16le(config + PCI_DEVICE_ID));
    json_object_set_int_member(o, "subsystem-vendor", ld16le(config + PCI_SUBSYSTEM_VENDOR));
    json_object_set_int_member(o, "subsystem", ld16le(config + PCI_SUBSYSTEM));
    return o;
}

static JsonObject *pci_object(const PciDevice *pci)
{
    JsonObject *o = json_object_new(), *class = json_object_new();
    json_object_set_int_member(class, "class", ld16le(pci->config + PCI_CLASS + 1));
    json_object_set_string_member(class, "desc", pci->dev.type->description);
    json_object_set_int_member(o, "bus", 0);
    json_object_set_int_member(o, "slot", pci->devfn >> 3);
    json_object_set_int_member(o, "function", pci->devfn & 7);
    json_object_set_object_member(o, "class_info", class);
    json_object_set_object_member(o, "id", pci_id_object(pci->config));
    json_object_set_int_member(o, "irq", pci->config[PCI_IRQ_LINE]);
    json_object_set_int_member(o, "irq_pin", pci->config[PCI_IRQ_PIN]);
    json_object_set_string_member(o, "qdev_id", pci->dev.id);
    json_object_set_array_member(o, "regions", bars_array(pci));
    return o;
}

/* One object for each bus; there is one at most. */
static bool run_pci(QmpCall *c)
{
    JsonArray *a = json_array_new();
    PciBus *bus = machine_find(c->machine, "pci");
    if (bus) {
        JsonObject *o = json_object_new();
        JsonArray *devices = json_array_new();
        for (unsigned devfn = 0; devfn < 256; devfn++)
            if (pci_bus_device(bus, devfn))
                json_array_add_object_element(devices, pci_object(pci_bus_device(bus, devfn)));
        json_object_set_int_member(o, "bus", 0);
        json_object_set_array_member(o, "devices", devices);
        json_array_add_object_element(a, o);
    }
    return qmp_return_array(c, a);
}

/* ---- device types ---- */

static const DeviceType *find_type(const Machine *m, const char *name)
{
    for (const DeviceType *const *t = m->types; t && *t; t++)
        if (!strcmp((*t)->name, name))
            return *t;
    return NULL;
}

static JsonObject *property_object(const Property *p)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "name", p->name);
    json_object_set_string_member(o, "type", property_type_name(p->type));
    if (p->help)
        json_object_set_string_member(o, "description", p->help);
    if (p->type == PROP_BOOL)
        json_object_set_boolean_member(o, "default-value", p->initial != 0);
    else if (p->type < PROP_STRING)
        json_object_set_int_member(o, "default-value", p->initial);
    return o;
}

static bool run_list_properties(QmpCall *c)
{
    const char *name = qmp_string(c, "typename", "");
    const DeviceType *type = find_type(c->machine, name);
    JsonArray *a;
    if (!type) {
        c->error_class = "DeviceNotFound";
        return qmp_fail(c, "Device '%s' not found", name);
    }
    a = json_array_new();
    for (const Property *p = type->properties; p && p->name; p++)
        json_array_add_object_element(a, property_object(p));
    return qmp_return_array(c, a);
}

/* ---- doing something ---- */

/* The nth screen that a device of that id has, or of all with id NULL; NULL: there is none. */
static Console *console_of(Machine *m, const char *id, int64_t nth)
{
    const Device *dev = id ? device_find(m, id) : NULL;
    Console *console;
    for (unsigned n = 0; (console = console_nth(m, n)); n++)
        if ((!id || console->opaque == (const void *)dev) && nth-- == 0)
            return console;
    return NULL;
}

static bool run_screendump(QmpCall *c)
{
    g_autoptr(GError) err = NULL;
    const char *id = qmp_string(c, "device", NULL);
    PictureFormat format = strcmp(qmp_string(c, "format", "ppm"), "png") ? PICTURE_PPM : PICTURE_PNG;
    int64_t head = qmp_integer(c, "head", 0);
    Console *console = console_of(c->machine, id, head);
    if (id && !device_find(c->machine, id)) {
        c->error_class = "DeviceNotFound";
        return qmp_fail(c, "Device '%s' not found", id);
    }
    if (!console && id)
        return qmp_fail(c, "device '%s' has no screen of number %" PRId64, id, head);
    if (!console)
        return qmp_fail(c, "this machine has no screen of number %" PRId64, head);
    return picture_write(console, qmp_string(c, "filename", ""), format, &err) || qmp_fail_error(c, &err);
}

static bool run_nmi(QmpCall *c)
{
    for (unsigned k = 0; k < c->machine->cpu_count; k++) {
        const CpuPort *port = c->machine->cpu_ports[k];
        if (port)
            port->nmi(port->cpu);
    }
    return true;
}

static const QmpArgument type_arguments[] = {
    { "typename", QMP_STRING, false, NULL, NULL },
    { .name = NULL },
};

static const char *const picture_formats[] = { "ppm", "png", NULL };

static const QmpArgument screendump_arguments[] = {
    { "filename", QMP_STRING, false, NULL, NULL },
    { "device", QMP_STRING, true, NULL, NULL },
    { "head", QMP_INTEGER, true, NULL, NULL },
    { "format", QMP_STRING, true, picture_formats, NULL },
    { .name = NULL },
};

const QmpCommand qmp_hardware_commands[] = {
    { .name = "query-chardev", .run = run_chardev, .returns = "array" },
    { .name = "set_link", .run = run_set_link, .arguments = link_arguments },
    { .name = "query-pci", .run = run_pci, .returns = "array" },
    { .name = "device-list-properties", .run = run_list_properties, .arguments = type_arguments, .returns = "array" },
    { .name = "screendump", .run = run_screendump, .arguments = screendump_arguments },
    { .name = "inject-nmi", .run = run_nmi },
    { .name = NULL },
};
#endif
