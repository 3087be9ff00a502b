/* virtio-rng, -serial and -balloon as a driver sees them (Virtual I/O Device 1.2, 5.3 to 5.5). */
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/char/char.h"
#include "hw/virtio/virtio_balloon.h"
#include "hw/virtio/virtio_rng.h"
#include "hw/virtio/virtio_serial.h"
#include "virtio_driver.h"

#define V1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

static Device *add(Driver *d, const DeviceType *type, const char *property, const char *value)
{
    GError *err = NULL;
    Device *dev = device_add(d->m, type, NULL, &err, property, value, NULL);
    g_assert_no_error(err);
    return dev;
}

static void save_and_restore(Driver *d)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(d->m);
    machine_reset(d->m);
    machine_load(d->m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    settle(d);
}

static void down(Driver *d)
{
    while (d->m->devices->len)
        device_remove(d->m->devices->pdata[d->m->devices->len - 1]);
    char_free_all(d->m);
    driver_machine_down(d);
}

/* ---- entropy ---- */

static void test_rng(void)
{
    Driver d;
    Segment s = { BUFFERS_AT, 64, true };
    driver_machine_up(&d);
    add(&d, &virtio_rng_type, "addr", "0x18");
    machine_reset(d.m);
    driver_map(&d);
    g_assert_cmphex(config_read(&d, 2, 2), ==, 0x1005);
    g_assert_cmphex(config_read(&d, 9, 4) & 0xffffff, ==, 0x00ff00);
    driver_start(&d, V1, 1);
    g_assert_cmpuint(driver_request(&d, 0, &s, 1), ==, 64);
    unsigned zeros = 0;
    for (unsigned n = 0; n < 64; n++)
        zeros += !mread(&d, BUFFERS_AT + n, 1);
    g_assert_cmpuint(zeros, <, 16);
    s.size = 1 << 20; /* as much as is given at once, however much is asked for */
    uint32_t length = driver_request(&d, 0, &s, 1);
    g_assert_cmpuint(length, >, 0);
    g_assert_cmpuint(length, <=, 65536);
    down(&d);
}

/* max-bytes in each period: the request waits for the next, also over a save. */
static void test_rng_quota(void)
{
    Driver d;
    Segment s = { BUFFERS_AT, 64, true };
    GError *err = NULL;
    unsigned slot;
    uint32_t length;
    driver_machine_up(&d);
    device_add(d.m, &virtio_rng_type, NULL, &err, "addr", "0x18", "max-bytes", "100", "period", "1000", NULL);
    g_assert_no_error(err);
    machine_reset(d.m);
    driver_map(&d);
    driver_start(&d, V1, 1);
    g_assert_cmpuint(driver_request(&d, 0, &s, 1), ==, 64);
    g_assert_cmpuint(driver_request(&d, 0, &s, 1), ==, 36);
    driver_add(&d, 0, 0, &s, 1);
    driver_kick(&d, 0);
    save_and_restore(&d);
    g_assert_false(driver_used(&d, 0, &slot, &length));
    clock_set(d.m->clocks, NS_PER_SECOND);
    settle(&d);
    g_assert_true(driver_used(&d, 0, &slot, &length));
    g_assert_cmpuint(length, ==, 64);
    down(&d);
}

/* ---- balloon ---- */

static void test_balloon(void)
{
    Driver d;
    BalloonInfo info;
    driver_machine_up(&d);
    Device *balloon = add(&d, &virtio_balloon_type, "addr", "0x18");
    machine_reset(d.m);
    driver_map(&d);
    driver_start(&d, V1 | 2, 3);
    virtio_balloon_set(balloon, 12 * MiB);
    g_assert_cmpuint(mread(&d, DEVICE_CONFIG, 4), ==, 4 * MiB / 4096);

    /* Four pages, three of them neighbours, and one that is not there. */
    const uint32_t pages[] = { 0x300, 0x301, 0x302, 0x310, 0xfffff };
    for (unsigned n = 0; n < 5; n++)
        mwrite(&d, BUFFERS_AT + 4 * n, pages[n], 4);
    mwrite(&d, 0x300000, 0x1122, 8);
    mwrite(&d, 0x302ff8, 0x1122, 8);
    mwrite(&d, 0x303000, 0x3344, 8);
    mwrite(&d, 0x310000, 0x1122, 8);
    ram_test_and_clear_dirty(d.m->pool, 0x300000, 0x20000, PAGE_DIRTY_ALL);
    Segment s = { BUFFERS_AT, 20, false };
    driver_request(&d, 0, &s, 1);
    if (sysconf(_SC_PAGESIZE) == 4096) { /* larger pages of the host cannot be given back in parts */
        g_assert_cmphex(mread(&d, 0x300000, 8), ==, 0);
        g_assert_cmphex(mread(&d, 0x302ff8, 8), ==, 0);
        g_assert_cmphex(mread(&d, 0x310000, 8), ==, 0);
        g_assert_true(ram_test_and_clear_dirty(d.m->pool, 0x300000, 0x1000, PAGE_DIRTY_SAVE));
    }
    g_assert_cmphex(mread(&d, 0x303000, 8), ==, 0x3344);
    g_assert_false(ram_test_and_clear_dirty(d.m->pool, 0x303000, 0x1000, PAGE_DIRTY_SAVE));
    driver_request(&d, 1, &s, 1);
    mwrite(&d, DEVICE_CONFIG + 4, 4, 4);
    virtio_balloon_query(balloon, &info);
    g_assert_cmpuint(info.actual, ==, RAM_BYTES - 4 * 4096);
    g_assert_cmpuint(info.target, ==, 12 * MiB);
    g_assert_cmphex(info.stats[BALLOON_FREE], ==, UINT64_MAX);
    save_and_restore(&d);
    virtio_balloon_query(balloon, &info);
    g_assert_cmpuint(info.actual, ==, RAM_BYTES - 4 * 4096);
    down(&d);
}

/* 5.5.6.3: one buffer, which is read when it comes and given back to ask for newer numbers. */
static void test_balloon_stats(void)
{
    Driver d;
    BalloonInfo info;
    unsigned slot;
    uint32_t length;
    driver_machine_up(&d);
    Device *balloon = add(&d, &virtio_balloon_type, "addr", "0x18");
    machine_reset(d.m);
    driver_map(&d);
    driver_start(&d, V1 | 2, 3);
    mwrite(&d, BUFFERS_AT, 4, 2);
    mwrite(&d, BUFFERS_AT + 2, 77777, 8);
    mwrite(&d, BUFFERS_AT + 10, 999, 2); /* a tag that is not known */
    Segment s = { BUFFERS_AT, 25, false };
    driver_add(&d, 2, 0, &s, 1);
    driver_kick(&d, 2);
    g_assert_false(driver_used(&d, 2, &slot, &length));
    save_and_restore(&d);
    virtio_balloon_query(balloon, &info);
    g_assert_cmpuint(info.stats[BALLOON_FREE], ==, 77777);
    g_assert_true(driver_used(&d, 2, &slot, &length));
    mwrite(&d, BUFFERS_AT + 2, 88888, 8);
    driver_add(&d, 2, 0, &s, 1);
    driver_kick(&d, 2);
    virtio_balloon_query(balloon, &info);
    g_assert_cmpuint(info.stats[BALLOON_FREE], ==, 88888);
    down(&d);
}

/* ---- serial ports ---- */

enum { CONTROL_IN = 2, CONTROL_OUT = 3 };
enum { DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };

typedef struct Serial {
    Driver d;
    char *directory, *path;
} Serial;

static void serial_up(Serial *k)
{
    GError *err = NULL;
    driver_machine_up(&k->d);
    k->directory = g_dir_make_tmp("myna-serial-XXXXXX", NULL);
    k->path = g_build_filename(k->directory, "out", NULL);
    g_autofree char *spec = g_strconcat("file:", k->path, NULL);
    g_assert_nonnull(char_new(k->d.m, "out", spec, &err));
    add(&k->d, &virtio_serial_type, "addr", "0x18");
    device_add(k->d.m, &virtconsole_type, NULL, &err, "chardev", "out", NULL);
    g_assert_no_error(err);
    device_add(k->d.m, &virtserialport_type, NULL, &err, "name", "org.test", NULL);
    g_assert_no_error(err);
    machine_reset(k->d.m);
    driver_map(&k->d);
}

static void serial_down(Serial *k)
{
    down(&k->d);
    g_unlink(k->path);
    g_rmdir(k->directory);
    g_free(k->path);
    g_free(k->directory);
}

/* Room for control messages. */
static void give_room(Serial *k, unsigned slots)
{
    for (unsigned n = 0; n < slots; n++) {
        Segment s = { BUFFERS_AT + 0x10000 + 256 * n, 256, true };
        driver_add(&k->d, CONTROL_IN, n, &s, 1);
    }
    driver_kick(&k->d, CONTROL_IN);
}

static void send_control(Serial *k, uint32_t port, unsigned event, unsigned value)
{
    Segment s = { BUFFERS_AT, 8, false };
    mwrite(&k->d, BUFFERS_AT, port, 4);
    mwrite(&k->d, BUFFERS_AT + 4, event, 2);
    mwrite(&k->d, BUFFERS_AT + 6, value, 2);
    driver_request(&k->d, CONTROL_OUT, &s, 1);
}

static void expect_control(Serial *k, uint32_t port, unsigned event, unsigned value)
{
    unsigned slot;
    uint32_t length;
    g_assert_true(driver_used(&k->d, CONTROL_IN, &slot, &length));
    uint64_t at = BUFFERS_AT + 0x10000 + 256 * slot;
    g_assert_cmpuint(length, >=, 8);
    g_assert_cmpuint(mread(&k->d, at, 4), ==, port);
    g_assert_cmpuint(mread(&k->d, at + 4, 2), ==, event);
    g_assert_cmpuint(mread(&k->d, at + 6, 2), ==, value);
    if (event == PORT_NAME) {
        char name[9];
        as_read_bytes(k->d.m->memory, at + 8, name, 9);
        g_assert_cmpstr(name, ==, "org.test");
        g_assert_cmpuint(length, ==, 8 + 9);
    }
}

static void expect_output(Serial *k, const char *text)
{
    g_autofree char *contents = NULL;
    settle(&k->d);
    g_assert_true(g_file_get_contents(k->path, &contents, NULL, NULL));
    g_assert_cmpstr(contents, ==, text);
}

static void write_text(Serial *k, unsigned queue, const char *text)
{
    unsigned n = strlen(text);
    Segment s[] = { { BUFFERS_AT + 0x1000, n / 2, false }, { BUFFERS_AT + 0x1000 + n / 2, n - n / 2, false } };
    as_write_bytes(k->d.m->memory, BUFFERS_AT + 0x1000, text, n);
    driver_request(&k->d, queue, s, 2);
}

static void test_serial(void)
{
    Serial k;
    serial_up(&k);
    g_assert_cmpuint(mread(&k.d, DEVICE_CONFIG + 4, 4), ==, 31);
    driver_start(&k.d, V1 | 2, 4);
    give_room(&k, 8);
    send_control(&k, 0, DEVICE_READY, 1);
    expect_control(&k, 0, PORT_ADD, 1);
    expect_control(&k, 1, PORT_ADD, 1);
    send_control(&k, 0, PORT_READY, 1);
    expect_control(&k, 0, CONSOLE_PORT, 1);
    send_control(&k, 1, PORT_READY, 1);
    save_and_restore(&k.d);
    unsigned slot;
    uint32_t length;
    give_room(&k, 0);
    /* The file is open, the port without a back end is not. */
    expect_control(&k, 0, PORT_OPEN, 1);
    expect_control(&k, 1, PORT_NAME, 1);
    g_assert_false(driver_used(&k.d, CONTROL_IN, &slot, &length));
    send_control(&k, 9, PORT_OPEN, 1); /* not there */
    write_text(&k, 1, "hello ");
    save_and_restore(&k.d);
    write_text(&k, 1, "world");
    expect_output(&k, "hello world");
    serial_down(&k);
}

/* Messages wait until there is room for them, also over a save. */
static void test_serial_room(void)
{
    Serial k;
    serial_up(&k);
    driver_start(&k.d, V1 | 2, 4);
    for (unsigned n = 0; n < 500; n++)
        send_control(&k, 0, DEVICE_READY, 1);
    give_room(&k, 1);
    expect_control(&k, 0, PORT_ADD, 1);
    save_and_restore(&k.d);
    give_room(&k, 1);
    expect_control(&k, 1, PORT_ADD, 1);
    give_room(&k, 1);
    unsigned slot;
    uint32_t length;
    g_assert_false(driver_used(&k.d, CONTROL_IN, &slot, &length));
    serial_down(&k);
}

/* 5.3.4: a character without queues; and a driver that knows one port only. */
static void test_serial_plain(void)
{
    Serial k;
    serial_up(&k);
    mwrite(&k.d, DEVICE_CONFIG + 8, '!', 1);
    expect_output(&k, "!");
    k.d.legacy = true;
    driver_start(&k.d, 0, 2);
    write_text(&k, 1, "plain");
    expect_output(&k, "!plain");
    serial_down(&k);
}

static void test_serial_properties(void)
{
    static const struct { const char *property, *value, *words; } cases[] = {
        { "nr", "1", "port 1 is taken" }, { "nr", "0", "port 0 is taken" }, { "nr", "31", "has ports 0 to 30" },
        { "bus", "x.0", "no bus 'x.0'" },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(cases); n++) {
        Serial k;
        GError *err = NULL;
        serial_up(&k);
        g_assert_null(device_add(k.d.m, &virtserialport_type, "p", &err, cases[n].property, cases[n].value, NULL));
        g_assert_nonnull(strstr(err->message, cases[n].words));
        g_clear_error(&err);
        serial_down(&k);
    }
}

/* What the host types goes to the port that is open, into as many buffers as it takes, and none is lost meanwhile. */
static void test_serial_receive(void)
{
    Driver d;
    GError *err = NULL;
    char path[] = "/tmp/myna-serial-XXXXXX";
    g_assert_nonnull(g_mkdtemp(path));
    g_autofree char *pipe = g_build_filename(path, "s", NULL);
    g_autofree char *spec = g_strdup_printf("unix:%s,server=on,wait=off", pipe);
    driver_machine_up(&d);
    g_assert_nonnull(char_new(d.m, "s", spec, &err));
    add(&d, &virtio_serial_type, "addr", "0x18");
    add(&d, &virtconsole_type, "chardev", "s");
    machine_reset(d.m);
    driver_map(&d);
    driver_start(&d, V1, 2);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_strlcpy(address.sun_path, pipe, sizeof address.sun_path);
    int host = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(host, (struct sockaddr *)&address, sizeof address), ==, 0);
    settle(&d);
    g_assert_cmpint(write(host, "0123456789", 10), ==, 10);
    settle(&d);
    for (unsigned n = 0; n < 3; n++) {
        Segment s = { BUFFERS_AT + 16 * n, 4, true };
        driver_add(&d, 0, n, &s, 1);
    }
    driver_kick(&d, 0);
    unsigned slot, got = 0;
    uint32_t length;
    while (got < 10) {
        if (driver_used(&d, 0, &slot, &length))
            got += length;
        else
            g_main_context_iteration(d.m->context, TRUE);
    }
    char text[11] = { 0 };
    for (unsigned n = 0; n < 10; n++)
        text[n] = mread(&d, BUFFERS_AT + 16 * (n / 4) + n % 4, 1);
    g_assert_cmpstr(text, ==, "0123456789");
    close(host);
    down(&d);
    g_unlink(pipe);
    g_rmdir(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-rng/bytes", test_rng);
    g_test_add_func("/virtio-rng/quota", test_rng_quota);
    g_test_add_func("/virtio-balloon/pages", test_balloon);
    g_test_add_func("/virtio-balloon/stats", test_balloon_stats);
    g_test_add_func("/virtio-serial/ports", test_serial);
    g_test_add_func("/virtio-serial/room", test_serial_room);
    g_test_add_func("/virtio-serial/plain", test_serial_plain);
    g_test_add_func("/virtio-serial/properties", test_serial_properties);
    g_test_add_func("/virtio-serial/receive", test_serial_receive);
    return g_test_run();
}
