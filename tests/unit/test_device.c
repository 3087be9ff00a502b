/*
 * core/device.c: properties from text with their exact errors, ids, creation and removal, help.
 */
#include "core/device.h"

#include <string.h>

#include "core/machine.h"

typedef struct Gadget {
    Device dev;
    bool flag, other;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64, size;
    char *text;
    void *chardev, *drive, *drive2;
    GString *trace;
} Gadget;

static GString *trace;

static gboolean gadget_create(Device *dev, GError **err)
{
    Gadget *g = (Gadget *)dev;

    (void)err;
    g->trace = trace;
    g_string_append_printf(trace, "+%s ", dev->id);
    return TRUE;
}

static void gadget_destroy(Device *dev)
{
    g_string_append_printf(((Gadget *)dev)->trace, "-%s ", dev->id);
}

static gboolean broken_create(Device *dev, GError **err)
{
    g_set_error(err, 1, 2, "device '%s': broken", dev->id);
    return FALSE;
}

static const Property gadget_properties[] = {
    PROPERTY(Gadget, flag, "flag", PROP_BOOL, true, "a flag"),
    PROPERTY(Gadget, u8, "irq", PROP_U8, 4, "interrupt line"),
    PROPERTY(Gadget, u16, "u16", PROP_U16, 0, "sixteen bits"),
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Gadget, u32), .initial = 0xf4, .min = 4, .max = 0xffff,
      .help = "I/O port" },
    PROPERTY(Gadget, u64, "u64", PROP_U64, 0, "sixty-four bits"),
    { .name = "vgamem", .type = PROP_SIZE, .offset = offsetof(Gadget, size), .initial = 16 << 20, .min = 1 << 20,
      .max = 256 << 20, .help = "video memory" },
    PROPERTY(Gadget, text, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY(Gadget, chardev, "chardev", PROP_CHAR, 0, "host's end of the line"),
    PROPERTY(Gadget, drive, "drive", PROP_DRIVE, 0, "disk image"),
    PROPERTY(Gadget, drive2, "drive2", PROP_DRIVE, 0, "another"),
    PROPERTY_END
};

static const Property port_properties[] = {
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Gadget, u32), .initial = 0xf4, .help = "I/O port" },
    PROPERTY_END
};

static const DeviceType gadget_type = { .name = "gadget", .size = sizeof(Gadget), .properties = gadget_properties,
                                        .create = gadget_create, .destroy = gadget_destroy };
static const DeviceType plain_type = { .name = "plain", .size = sizeof(Gadget), .create = gadget_create };
static const DeviceType port_type = { .name = "port", .size = sizeof(Gadget), .properties = port_properties };
static const DeviceType broken_type = { .name = "broken", .size = sizeof(Gadget), .properties = gadget_properties,
                                        .create = broken_create };

typedef struct Fixture {
    Machine *m;
    int backend[3];
} Fixture;

static void fixture_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->m = machine_new(1 << 20, NULL);
    machine_provide(f->m, "chardev:serial0", &f->backend[0]);
    machine_provide(f->m, "drive:disk0", &f->backend[1]);
    machine_provide(f->m, "drive:disk1", &f->backend[2]);
    trace = g_string_new(NULL);
}

static void fixture_down(Fixture *f, gconstpointer data)
{
    (void)data;
    machine_free(f->m);
    g_string_free(trace, TRUE);
}

static void test_defaults(Fixture *f, gconstpointer data)
{
    Gadget *g = (Gadget *)device_add(f->m, &gadget_type, NULL, NULL, NULL);
    (void)data;

    g_assert_true(g->flag);
    g_assert_cmpuint(g->u8, ==, 4);
    g_assert_cmpuint(g->u32, ==, 0xf4);
    g_assert_cmpuint(g->size, ==, 16 << 20);
    g_assert_null(g->text);
    g_assert_null(g->chardev);
}

static void test_values(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Gadget *g = (Gadget *)device_add(f->m, &gadget_type, "me", &error, "flag", "off", "irq", "255", "u16", "0xFFFF",
                                     "iobase", "0x3f8", "u64", "18446744073709551615", "vgamem", "64M", "serial",
                                     "first", "serial", "a b", "chardev", "serial0", "drive", "disk1", NULL);
    (void)data;

    g_assert_no_error(error);
    g_assert_false(g->flag);
    g_assert_false(g->other);
    g_assert_cmpuint(g->u8, ==, 255);
    g_assert_cmpuint(g->u16, ==, 0xffff);
    g_assert_cmpuint(g->u32, ==, 0x3f8);
    g_assert_true(g->u64 == UINT64_MAX);
    g_assert_cmpuint(g->size, ==, 64 << 20);
    g_assert_cmpstr(g->text, ==, "a b");
    g_assert_true(g->chardev == &f->backend[0]);
    g_assert_true(g->drive == &f->backend[2]);
    g_assert_true(device_set(&g->dev, "flag", NULL, NULL)); /* -device gadget,flag */
    g_assert_true(g->flag);
    g_assert_true(device_set(&g->dev, "flag", "no", NULL) && !g->flag);
    g_assert_true(device_set(&g->dev, "flag", "true", NULL) && g->flag);
}

static void test_errors(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *property, *value, *message;
    } cases[] = {
        { "flag", "maybe", "property 'flag' takes on or off, not 'maybe'" },
        { "irq", "256", "property 'irq' takes a number from 0 to 255, not '256'" },
        { "irq", "-1", "property 'irq' takes a number from 0 to 255, not '-1'" },
        { "irq", "", "property 'irq' takes a number from 0 to 255, not ''" },
        { "irq", "0x", "property 'irq' takes a number from 0 to 255, not '0x'" },
        { "irq", "1x", "property 'irq' takes a number from 0 to 255, not '1x'" },
        { "irq", " 1", "property 'irq' takes a number from 0 to 255, not ' 1'" },
        { "irq", "a", "property 'irq' takes a number from 0 to 255, not 'a'" },
        { "irq", NULL, "property 'irq' takes a number from 0 to 255, not 'on'" },
        { "iobase", "3", "property 'iobase' takes a number from 4 to 65535, not '3'" },
        { "iobase", "0x10000", "property 'iobase' takes a number from 4 to 65535, not '0x10000'" },
        { "u64", "18446744073709551616",
          "property 'u64' takes a number from 0 to 18446744073709551615, not '18446744073709551616'" },
        { "vgamem", "5X", "property 'vgamem': '5X' is not a size: it takes a whole number with an optional suffix B, "
                          "K, M, G or T" },
        { "vgamem", "16777216T", "property 'vgamem': '16777216T' is too large: sizes are less than 2^64 bytes" },
        { "chardev", "serial1", "property 'chardev': there is no chardev 'serial1'; did you mean 'serial0'?" },
        { "drive", "serial0", "property 'drive': there is no drive 'serial0'; -drive ...,id=serial0 makes one" },
        { "iobsae", "1", "no property 'iobsae'; did you mean 'iobase'?" },
        { "completely-else", "1", "no property 'completely-else'; gadget has: flag, irq, u16, iobase, u64, vgamem, "
                                  "serial, chardev, drive, drive2" },
    };
    Device *dev = device_new(f->m, &gadget_type, "g0"), *plain = device_new(f->m, &plain_type, NULL);
    (void)data;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *expected = g_strconcat("device 'g0': ", cases[i].message, NULL);
        g_assert_false(device_set(dev, cases[i].property, cases[i].value, &error));
        g_assert_cmpstr(error->message, ==, expected);
    }
    g_autoptr(GError) size_error = NULL, none_error = NULL;
    g_assert_false(device_set(dev, "vgamem", "512K", &size_error));
    g_assert_true(strstr(size_error->message, "takes a size from 1.0") != NULL);
    g_assert_false(device_set(plain, "x", "1", &none_error));
    g_assert_cmpstr(none_error->message, ==, "device 'plain': no property 'x'; plain has none");
    g_assert_false(device_set(dev, "x", "1", NULL));
    device_remove(dev); /* not created: only freed */
    device_remove(plain);
    g_assert_cmpstr(trace->str, ==, "");
}

static void assert_add_fails(Machine *m, const DeviceType *type, const char *id, const char *property,
                             const char *value, const char *message)
{
    g_autoptr(GError) error = NULL;
    guint before = machine_devices(m)->len;

    g_assert_null(device_add(m, type, id, &error, property, value, NULL));
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpuint(machine_devices(m)->len, ==, before);
}

static void test_ids(Fixture *f, gconstpointer data)
{
    Device *a = device_add(f->m, &gadget_type, NULL, NULL, NULL);
    Device *b = device_add(f->m, &gadget_type, NULL, NULL, NULL);
    Device *c = device_add(f->m, &gadget_type, NULL, NULL, NULL);
    Device *d = device_add(f->m, &plain_type, "mine", NULL, NULL);
    (void)data;

    g_assert_cmpstr(a->id, ==, "gadget");
    g_assert_cmpstr(b->id, ==, "gadget.1");
    g_assert_cmpstr(c->id, ==, "gadget.2");
    g_assert_true(device_find(f->m, "mine") == d);
    g_assert_null(device_find(f->m, "yours"));
    g_assert_true(device_first(f->m, &gadget_type) == a);
    g_assert_true(device_first(f->m, &plain_type) == d);
    g_assert_null(device_first(f->m, &port_type));
    assert_add_fails(f->m, &plain_type, "mine", NULL, NULL,
                     "device 'mine': there is already a device of this id (plain); give each its own id=");
    assert_add_fails(f->m, &broken_type, "bad", "serial", "abc", "device 'bad': broken");
    assert_add_fails(f->m, &broken_type, NULL, "irq", "x",
                     "device 'broken': property 'irq' takes a number from 0 to 255, not 'x'");
    device_remove(b);
    g_assert_cmpuint(machine_devices(f->m)->len, ==, 3);
    g_assert_cmpstr(trace->str, ==, "+gadget +gadget.1 +gadget.2 +mine -gadget.1 ");
}

static void test_print(Fixture *f, gconstpointer data)
{
    typedef struct Tiny {
        Device dev;
        uint8_t last[sizeof(void *)]; /* the property is its last byte */
    } Tiny;
    static const Property tiny_properties[] = {
        { .name = "last", .type = PROP_U8, .offset = offsetof(Tiny, last) + sizeof(void *) - 1, .initial = 200 },
        PROPERTY_END
    };
    static const DeviceType tiny_type = { .name = "tiny", .size = sizeof(Tiny), .properties = tiny_properties };
    g_autoptr(GString) out = g_string_new(NULL);
    Device *dev = device_new(f->m, &gadget_type, NULL), *tiny = device_new(f->m, &tiny_type, NULL);
    (void)data;

    device_set(dev, "serial", "abc", NULL);
    device_set(dev, "drive", "disk0", NULL);
    for (const Property *p = gadget_properties; p->name; p++)
        device_property_print(dev, p, out);
    device_property_print(tiny, tiny_properties, out); /* nothing beyond the struct is read */
    g_assert_cmpstr(out->str, ==,
                    "  flag = 1 (0x1)\n  irq = 4 (0x4)\n  u16 = 0 (0x0)\n  iobase = 244 (0xf4)\n  u64 = 0 (0x0)\n"
                    "  vgamem = 16777216 (0x1000000)\n  serial = \"abc\"\n  chardev = none\n  drive = connected\n"
                    "  drive2 = none\n  last = 200 (0xc8)\n");
    device_remove(dev);
    device_remove(tiny);
}

static void test_one_front_end(Fixture *f, gconstpointer data)
{
    Device *first = device_add(f->m, &gadget_type, "first", NULL, "drive", "disk0", "chardev", "serial0", NULL);
    (void)data;

    g_assert_nonnull(first);
    assert_add_fails(f->m, &gadget_type, "second", "drive2", "disk0",
                     "device 'second': property 'drive2': this drive is already used by device 'first'");
    assert_add_fails(f->m, &gadget_type, "second", "chardev", "serial0",
                     "device 'second': property 'chardev': this chardev is already used by device 'first'");
    g_autoptr(GError) error = NULL;
    g_assert_null(device_add(f->m, &gadget_type, "both", &error, "drive", "disk1", "drive2", "disk1", NULL));
    g_assert_cmpstr(error->message, ==, "device 'both': property 'drive': this drive is already used by device 'both'");
    device_remove(first);
    g_assert_nonnull(device_add(f->m, &gadget_type, "second", NULL, "drive2", "disk0", NULL));
}

static void test_help(Fixture *f, gconstpointer data)
{
    (void)f;
    (void)data;
    if (g_test_subprocess()) {
        device_type_help(&gadget_type);
        device_type_help(&port_type);
        device_type_help(&plain_type);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stdout("*gadget options:\n"
                              "  flag=<bool>        - a flag (default: on)\n"
                              "  irq=<uint8>        - interrupt line (default: 4)\n"
                              "  u16=<uint16>       - sixteen bits (default: 0)\n"
                              "  iobase=<uint32>    - I/O port (default: 0xf4)\n"
                              "  u64=<uint64>       - sixty-four bits (default: 0)\n"
                              "  vgamem=<size>      - video memory (default: 16M)\n"
                              "  serial=<str>       - serial number\n"
                              "  chardev=<chardev>  - host's end of the line\n"
                              "  drive=<drive>      - disk image\n"
                              "  drive2=<drive>     - another\n"
                              "port options:\n"
                              "  iobase=<uint32>  - I/O port (default: 0xf4)\n"
                              "There are no options for plain.\n*");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*fn)(Fixture *, gconstpointer);
    } tests[] = {
        { "/device/defaults", test_defaults }, { "/device/values", test_values },
        { "/device/errors", test_errors },     { "/device/ids", test_ids },
        { "/device/one-front-end", test_one_front_end }, { "/device/print", test_print },
        { "/device/help", test_help },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_up, tests[i].fn, fixture_down);
    return g_test_run();
}
