/*
 * virtio-9p against a driver in this test: its tag, messages and answers in pieces, a save with files open and messages
 * on the way, resets, and drivers that do what none should.  The protocol itself is tested in test_9p.c.
 */
#include "hw/virtio/virtio_9p.h"

#include <glib/gstdio.h>

#include "backends/9p/fsdev.h"
#include "backends/9p/message.h"
#include "backends/9p/server.h"
#include "tests/unit/virtio_split_driver.h"

enum {
    TLOPEN = 12, TGETATTR = 24, TVERSION = 100, TATTACH = 104, TFLUSH = 108, TWALK = 110, TREAD = 116, TWRITE = 118
};
enum { SLOT = 16384, SLOTS = 32 };

typedef struct Fixture {
    Driver d;
    char *directory;
    uint64_t out, in;  /* SLOTS of each */
    unsigned next;
    uint8_t answer[SLOT];
    P9Reader r;
} Fixture;

/* ---- the machine ---- */

static void make(Fixture *f)
{
    GError *err = NULL;
    g_autofree char *text = g_strdup_printf("local,id=f,path=%s,readonly=off", f->directory);

    driver_machine(&f->d);
    g_assert_true(fsdev_open(f->d.m, text, &err));
    Device *dev = device_add(f->d.m, &virtio_9p_type, "share", &err, "fsdev", "f", "mount_tag", "home", NULL);
    g_assert_no_error(err);
    driver_attach(&f->d, dev);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->directory = g_dir_make_tmp("myna-virtio-9p-XXXXXX", NULL);
    g_autofree char *name = g_build_filename(f->directory, "file", NULL);
    g_assert_true(g_file_set_contents(name, "0123456789", -1, NULL));
    make(f);
}

static void machine_end(Driver *d)
{
    driver_remove_devices(d);
    fsdev_close_all(d->m);
    driver_exit(d);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    g_autofree char *name = g_build_filename(f->directory, "file", NULL);
    (void)unused;
    machine_end(&f->d);
    g_unlink(name);
    g_rmdir(f->directory);
    g_free(f->directory);
}

static void start(Fixture *f)
{
    f->d.next_free = 4096;
    driver_negotiate(&f->d, BIT(0));
    driver_queue(&f->d, 0, 0);
    f->out = driver_alloc(&f->d, SLOTS * SLOT);
    f->in = driver_alloc(&f->d, SLOTS * SLOT);
    f->next = 0;
    driver_ok(&f->d);
}

/* ---- messages: fields as in test_9p.c ---- */

static unsigned submit(Fixture *f, uint8_t type, const char *fields, ...)
{
    uint8_t message[SLOT];
    P9Writer w = { message, sizeof message, P9_HEADER_SIZE, false };
    unsigned slot = f->next++ % SLOTS;
    va_list ap;

    va_start(ap, fields);
    for (; *fields; fields++) {
        switch (*fields) {
        case 'w': p9_put16(&w, va_arg(ap, unsigned)); break;
        case 'd': p9_put32(&w, va_arg(ap, unsigned)); break;
        case 'q': p9_put64(&w, va_arg(ap, uint64_t)); break;
        default: p9_put_string(&w, va_arg(ap, const char *));
        }
    }
    va_end(ap);
    st32le(message, w.pos);
    message[4] = type;
    st16le(message + 5, slot);
    as_write_bytes(f->d.m->memory, f->out + slot * SLOT, message, w.pos);
    /* The answer's header and the rest in two pieces, as Linux has it for large reads. */
    driver_add(&f->d, 0, (DriverPiece[]) { { f->out + slot * SLOT, w.pos }, { f->in + slot * SLOT, 11 },
                                           { f->in + slot * SLOT + 11, SLOT - 11 } }, 1, 2);
    return slot;
}

/* Waits for the next answer; its slot. */
static unsigned receive(Fixture *f)
{
    uint32_t written = 0;

    while (!driver_take(&f->d, 0, NULL, &written)) {
        driver_settle(&f->d);
        g_usleep(100);
    }
    g_assert_cmpuint(written, >=, P9_HEADER_SIZE);
    /* The tag says whose it is. */
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        as_read_bytes(f->d.m->memory, f->in + slot * SLOT, f->answer, written);
        if (ld32le(f->answer) == written && ld16le(f->answer + 5) == slot) {
            driver_write(&f->d, f->in + slot * SLOT, 0, 4);
            f->r = (P9Reader) { f->answer, written, P9_HEADER_SIZE, false };
            return slot;
        }
    }
    g_assert_not_reached();
}

#define TALK(f, ...)                                                                                                   \
    do {                                                                                                               \
        unsigned slot_ = submit(f, __VA_ARGS__);                                                                       \
        driver_kick(&(f)->d, 0);                                                                                       \
        g_assert_cmpuint(receive(f), ==, slot_);                                                                       \
    } while (0)

static void mount(Fixture *f)
{
    TALK(f, TVERSION, "ds", 8192u, "9P2000.L");
    g_assert_cmpuint(f->answer[4], ==, TVERSION + 1);
    TALK(f, TATTACH, "ddssd", 0u, UINT32_MAX, "root", "", 0u);
    g_assert_cmpuint(f->answer[4], ==, TATTACH + 1);
}

static void open_file(Fixture *f, unsigned fid)
{
    TALK(f, TWALK, "ddws", 0u, fid, 1u, "file");
    TALK(f, TLOPEN, "dd", fid, 2u);
    g_assert_cmpuint(f->answer[4], ==, TLOPEN + 1);
}

/* ---- tests ---- */

static void test_identity(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmpuint(driver_config(&f->d, PCI_DEVICE_ID, 2), ==, 0x1009);
    g_assert_true(driver_negotiate(&f->d, 0) & 1);
    g_assert_cmpuint(driver_common(&f->d, 18, 2), ==, 1);
    g_assert_cmpuint(driver_device_config(&f->d, 0, 2), ==, 4);
    g_assert_cmpuint(driver_device_config(&f->d, 2, 4), ==, ld32le("home"));
}

static void test_read(Fixture *f, gconstpointer unused)
{
    (void)unused;
    start(f);
    mount(f);
    open_file(f, 1);
    TALK(f, TREAD, "dqd", 1u, UINT64_C(2), 5u);
    g_assert_cmpuint(p9_get32(&f->r), ==, 5);
    g_assert_cmpmem(p9_take(&f->r, 5), 5, "23456", 5);
    g_assert_cmpuint(f->d.interrupts, >, 0);
}

static void test_many(Fixture *f, gconstpointer unused)
{
    unsigned seen = 0;
    (void)unused;

    start(f);
    mount(f);
    open_file(f, 1);
    f->next = 0;
    for (unsigned k = 0; k < 10; k++)
        submit(f, TREAD, "dqd", 1u, (uint64_t)k, 1u);
    driver_kick(&f->d, 0);
    for (unsigned k = 0; k < 10; k++) {
        unsigned slot = receive(f);
        g_assert_cmpuint(p9_get32(&f->r), ==, 1);
        g_assert_cmpuint(p9_get8(&f->r), ==, '0' + slot);
        seen |= 1u << slot;
    }
    g_assert_cmpuint(seen, ==, 0x3ff);
}

/* A save with a file open and messages on the way: their answers are in the guest's memory, and it goes on. */
static void test_save(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    Fixture to = { .directory = f->directory };
    (void)unused;

    start(f);
    mount(f);
    open_file(f, 1);
    f->next = 0;
    for (unsigned k = 0; k < 10; k++)
        submit(f, TREAD, "dqd", 1u, (uint64_t)k, 1u);
    driver_kick(&f->d, 0);
    GByteArray *saved = machine_save(f->d.m);
    make(&to);
    g_assert_true(machine_load(to.d.m, saved->data, saved->len, &err));
    g_assert_no_error(err);
    memcpy(to.d.queue, f->d.queue, sizeof to.d.queue);
    to.out = f->out;
    to.in = f->in;
    for (unsigned k = 0; k < 10; k++) {
        unsigned slot = receive(&to);
        g_assert_cmpuint(p9_get32(&to.r), ==, 1);
        g_assert_cmpuint(p9_get8(&to.r), ==, '0' + slot);
    }
    to.next = 20;
    TALK(&to, TREAD, "dqd", 1u, UINT64_C(7), 10u);
    g_assert_cmpuint(p9_get32(&to.r), ==, 3);
    /* A saved session that is cut is not taken. */
    saved->data[saved->len - 40] ^= 0xff;
    machine_load(to.d.m, saved->data, saved->len - 30, &err);
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_byte_array_unref(saved);
    machine_end(&to.d);
}

/* What was on the way at a reset writes nothing any more, and the new session knows nothing of the old. */
static void test_reset(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned round = 0; round < 50; round++) {
        start(f);
        mount(f);
        open_file(f, 1);
        for (unsigned k = 0; k < 20; k++)
            submit(f, TREAD, "dqd", 1u, UINT64_C(0), 10u);
        driver_kick(&f->d, 0);
        if (round & 1)
            driver_settle(&f->d);
        driver_common_write(&f->d, 20, 0, 1);
        g_assert_cmpuint(driver_status(&f->d), ==, 0);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            driver_write(&f->d, f->in + slot * SLOT, 0, 8);
        driver_settle(&f->d);
        g_usleep(200);
        driver_settle(&f->d);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            g_assert_cmpuint(driver_read(&f->d, f->in + slot * SLOT, 8), ==, 0);
    }
    start(f);
    TALK(f, TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    g_assert_cmpuint(f->answer[4], ==, 7);
}

/* No room, no message, a message of an answer's kind: each comes back. */
static void test_harm(Fixture *f, gconstpointer unused)
{
    uint32_t written = 1;
    (void)unused;

    start(f);
    mount(f);
    driver_write(&f->d, f->out, 11, 4);
    driver_write(&f->d, f->out + 4, TGETATTR, 1);
    driver_add(&f->d, 0, (DriverPiece[]) { { f->out, 11 }, { f->in, 5 } }, 1, 1);
    driver_add(&f->d, 0, (DriverPiece[]) { { f->out, 3 }, { f->in, 100 } }, 1, 1);
    driver_add(&f->d, 0, (DriverPiece[]) { { f->out, 11 } }, 1, 0);
    driver_add(&f->d, 0, (DriverPiece[]) { { f->in, 100 } }, 0, 1);
    driver_kick(&f->d, 0);
    for (unsigned k = 0; k < 4; k++) {
        while (!driver_take(&f->d, 0, NULL, &written))
            driver_settle(&f->d);
        g_assert_cmpuint(written, ==, 0);
    }
    TALK(f, TGETATTR, "dq", 0u, UINT64_C(0x7ff));
    g_assert_cmpuint(f->answer[4], ==, TGETATTR + 1);
}

static void test_random(Fixture *f, gconstpointer unused)
{
    static const uint8_t types[] = { TLOPEN, TGETATTR, TVERSION, TATTACH, TFLUSH, TWALK, TREAD, TWRITE };
    GRand *rand = g_rand_new_with_seed(3);
    (void)unused;

    for (unsigned round = 0; round < 40; round++) {
        start(f);
        mount(f);
        for (unsigned k = 0; k < 100; k++) {
            unsigned slot = g_rand_int(rand) % SLOTS, size = g_rand_int(rand) % 80;
            uint8_t message[80];
            for (unsigned n = 0; n < sizeof message; n++)
                message[n] = g_rand_int(rand) % 3;
            st32le(message, size);
            message[4] = types[g_rand_int(rand) % ARRAY_SIZE(types)];
            as_write_bytes(f->d.m->memory, f->out + slot * SLOT, message, sizeof message);
            driver_add(&f->d, 0, (DriverPiece[]) { { f->out + slot * SLOT, size },
                                                   { f->in + slot * SLOT, g_rand_int(rand) % 200 } }, 1, 1);
            driver_kick(&f->d, 0);
            if (!(g_rand_int(rand) % 20))
                driver_write(&f->d, f->d.part[COMMON_CFG] + g_rand_int(rand) % 60, g_rand_int(rand), 4);
            driver_settle(&f->d);
        }
    }
    start(f);
    mount(f);
    open_file(f, 1);
    g_rand_free(rand);
}

static void refuse(const char *fsdev, const char *tag, const char *words)
{
    GError *err = NULL;
    Driver d;

    driver_machine(&d);
    g_assert_true(fsdev_open(d.m, "local,id=f,path=/", &err));
    g_assert_null(device_add(d.m, &virtio_9p_type, "share", &err, "fsdev", fsdev, "mount_tag", tag, NULL));
    if (!strstr(err->message, words))
        g_error("%s", err->message);
    g_clear_error(&err);
    machine_end(&d);
}

static void test_mistakes(void)
{
    refuse("g", "tag", "no share 'g'");
    refuse("", "tag", "fsdev=");
    refuse("f", "", "mount_tag=");
    refuse("f", "a-tag-that-is-longer-than-thirty-two-bytes", "32");
}

#define ADD(name, fn) g_test_add("/virtio-9p/" name, Fixture, NULL, fixture_up, fn, fixture_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("identity", test_identity);
    ADD("read", test_read);
    ADD("many", test_many);
    ADD("save", test_save);
    ADD("reset", test_reset);
    ADD("harm", test_harm);
    ADD("random", test_random);
    g_test_add_func("/virtio-9p/mistakes", test_mistakes);
    return g_test_run();
}
