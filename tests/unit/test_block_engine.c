/*
 * backends/block: the engines (each test runs with io_uring and with threads), errors and what is done about them,
 * limits, media, cache modes.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block/block_internal.h"
#include "core/error.h"
#include "util/bits.h"

enum { SIZE = 1 * MiB };

typedef struct Fixture {
    Machine *m;
    char *directory, *file;
    BlockAio aio;
    int calls, status;
} Fixture;

static void fixture_up(Fixture *f, gconstpointer aio)
{
    g_autofree uint8_t *zeros = g_malloc0(SIZE);

    f->m = machine_new(16 * MiB, NULL);
    f->directory = g_dir_make_tmp("myna-block-XXXXXX", NULL);
    f->file = g_build_filename(f->directory, "disk.img", NULL);
    f->aio = GPOINTER_TO_UINT(aio);
    g_assert_true(g_file_set_contents(f->file, (char *)zeros, SIZE, NULL));
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    block_close_all(f->m);
    machine_free(f->m);
    g_remove(f->file);
    g_rmdir(f->directory);
    g_free(f->file);
    g_free(f->directory);
}

static BlockBackend *open_drive(Fixture *f, BlockOptions o)
{
    GError *err = NULL;

    o.id = o.id ? o.id : "a";
    o.aio = f->aio;
    BlockBackend *b = block_open(f->m, &o, &err);
    g_assert_no_error(err);
    return b;
}

static BlockBackend *open_raw(Fixture *f) { return open_drive(f, (BlockOptions){ .file = f->file, .format = "raw" }); }

static void done(void *opaque, int status)
{
    Fixture *f = opaque;
    f->calls++;
    f->status = status;
}

static int do_write(Fixture *f, BlockBackend *b, uint64_t offset, const void *buf, uint64_t size)
{
    f->calls = 0;
    block_write(b, offset, buf, size, done, f);
    block_drain(b);
    g_assert_cmpint(f->calls, ==, 1);
    return f->status;
}

static int do_read(Fixture *f, BlockBackend *b, uint64_t offset, void *buf, uint64_t size)
{
    f->calls = 0;
    block_read(b, offset, buf, size, done, f);
    block_drain(b);
    g_assert_cmpint(f->calls, ==, 1);
    return f->status;
}

static void loop_until(Fixture *f, int calls)
{
    while (f->calls < calls)
        g_main_context_iteration(f->m->context, TRUE);
}

/* What is ready at once, without waiting. */
static void loop_once(Fixture *f)
{
    for (unsigned k = 0; k < 20; k++)
        g_main_context_iteration(f->m->context, FALSE);
}

/* ---- engines ---- */

/* More at once than a ring has places, each with several buffers; read back by another cut. */
static void test_many(Fixture *f, gconstpointer unused)
{
    enum { COUNT = 2048, EACH = SIZE / COUNT };
    BlockBackend *b = open_raw(f);
    g_autofree uint8_t *data = g_malloc(SIZE), *back = g_malloc0(SIZE);
    g_autofree struct iovec *iov = g_new(struct iovec, COUNT * 3);
    (void)unused;

    for (unsigned i = 0; i < SIZE; i++)
        data[i] = i * 31 + (i >> 9) * 7;
    block_plug(b);
    for (unsigned k = 0; k < COUNT; k++) {
        uint8_t *at = data + k * EACH;
        struct iovec *v = iov + 3 * k;
        v[0] = (struct iovec){ at, 1 };
        v[1] = (struct iovec){ at + 1, 200 };
        v[2] = (struct iovec){ at + 201, EACH - 201 };
        block_writev(b, (uint64_t)k * EACH, v, 3, done, f);
    }
    g_assert_cmpint(f->calls, ==, 0);
    block_unplug(b);
    loop_until(f, COUNT);
    g_assert_cmpint(f->status, ==, 0);
    f->calls = 0;
    for (unsigned k = 0; k < SIZE / 4096; k++)
        block_read(b, k * 4096, back + k * 4096, 4096, done, f);
    loop_until(f, SIZE / 4096);
    g_assert_cmpmem(back, SIZE, data, SIZE);
}

/* What was just written is in the host's cache; a device may rely on `done` coming after block_read() in any case. */
static void test_cached(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_raw(f);
    uint8_t data[4096], back[4096] = { 0 };
    (void)unused;

    memset(data, 0x5a, sizeof data);
    block_write(b, 8192, data, sizeof data, done, f);
    loop_until(f, 1);
    block_read(b, 8192, back, sizeof back, done, f);
    g_assert_cmpint(f->calls, ==, 1);
    loop_until(f, 2);
    block_plug(b);
    block_plug(b);
    block_read(b, 8192, back, sizeof back, done, f);
    block_unplug(b);
    g_assert_cmpint(f->calls, ==, 2);
    block_unplug(b);
    loop_until(f, 3);
    g_assert_cmpmem(back, sizeof back, data, sizeof data);
}

/* The same over a temporary file: parts of clusters, written and read at once, lose nothing of each other. */
static void test_many_snapshot(Fixture *f, gconstpointer unused)
{
    enum { EACH = 1536, COUNT = SIZE / EACH };
    BlockBackend *b = open_drive(f, (BlockOptions){ .file = f->file, .format = "raw", .snapshot = true });
    g_autofree uint8_t *data = g_malloc(SIZE), *back = g_malloc0(SIZE), *aside = g_malloc(SIZE);
    (void)unused;

    for (unsigned i = 0; i < SIZE; i++)
        data[i] = i * 17 + (i >> 8) * 3;
    for (unsigned k = 0; k < COUNT; k++) {
        unsigned at = k * 7 % COUNT * EACH; /* each once: 7 does not divide COUNT */
        block_write(b, at, data + at, EACH, done, f);
        block_read(b, at, aside + at, EACH, done, f);
    }
    loop_until(f, 2 * COUNT);
    g_assert_cmpint(do_read(f, b, 0, back, COUNT * EACH), ==, 0);
    g_assert_cmpmem(back, COUNT * EACH, data, COUNT * EACH);
}

/* What a completion starts is done as well, and a drain within a completion does not lose others. */
typedef struct Chain {
    BlockBackend *b;
    uint8_t buf[512];
    unsigned left, others;
} Chain;

static void other_done(void *opaque, int status)
{
    g_assert_cmpint(status, ==, 0);
    ((Chain *)opaque)->others++;
}

static void link_done(void *opaque, int status)
{
    Chain *c = opaque;

    g_assert_cmpint(status, ==, 0);
    if (c->left == 5)
        block_drain(c->b);
    if (c->left--)
        block_read(c->b, 512 * c->left, c->buf, 512, link_done, c);
}

static void test_chain(Fixture *f, gconstpointer unused)
{
    Chain c = { .b = open_raw(f), .left = 10 };
    uint8_t buf[8][512];
    (void)unused;

    block_read(c.b, 0, c.buf, 512, link_done, &c);
    for (unsigned k = 0; k < 8; k++)
        block_read(c.b, k * 512, buf[k], 512, other_done, &c);
    block_drain(c.b);
    g_assert_cmpuint(c.others, ==, 8);
    g_assert_cmpint((int)c.left, ==, -1);
}

/* Transfers that overlap end with the bytes of one of them in each sector. */
static void test_overlap(Fixture *f, gconstpointer unused)
{
    enum { WRITERS = 16 };
    BlockBackend *b = open_raw(f);
    static uint8_t data[WRITERS][8192];
    uint8_t back[8192];
    (void)unused;

    for (unsigned k = 0; k < WRITERS; k++) {
        memset(data[k], k + 1, sizeof data[k]);
        block_write(b, 4096, data[k], sizeof data[k], done, f);
    }
    block_drain(b);
    g_assert_cmpint(f->calls, ==, WRITERS);
    g_assert_cmpint(do_read(f, b, 4096, back, sizeof back), ==, 0);
    for (unsigned k = 0; k < sizeof back; k++) {
        g_assert_cmpuint(back[k], >=, 1);
        g_assert_cmpuint(back[k], <=, WRITERS);
    }
}

typedef struct Order {
    unsigned written, at_flush;
} Order;

static void one_written(void *opaque, int status)
{
    g_assert_cmpint(status, ==, 0);
    ((Order *)opaque)->written++;
}

static void flushed(void *opaque, int status)
{
    Order *o = opaque;
    g_assert_cmpint(status, ==, 0);
    o->at_flush = o->written;
}

/* A flush that was begun after writes were completed finds their bytes in the file. */
static void test_flush(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_raw(f);
    uint8_t buf[512];
    Order o = { 0 };
    (void)unused;

    memset(buf, 0x5a, sizeof buf);
    for (unsigned k = 0; k < 8; k++)
        block_write(b, k * 512, buf, 512, one_written, &o);
    while (o.written < 8)
        g_main_context_iteration(f->m->context, TRUE);
    block_flush(b, flushed, &o);
    block_drain(b);
    g_assert_cmpuint(o.at_flush, ==, 8);
    for (unsigned through = 0; through < 2; through++) {
        block_set_write_cache(b, !through);
        g_assert_true(block_write_cache(b) == !through);
        g_assert_cmpstr(block_cache_mode(b), ==, through ? "writethrough" : "writeback");
        g_assert_cmpint(do_write(f, b, 8192, buf, 512), ==, 0);
    }
}

static uint64_t allocated(const Fixture *f)
{
    struct stat st;
    g_assert_cmpint(stat(f->file, &st), ==, 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Zeros and discarded blocks: read as zeros, and take no room where the file system can do that. */
static void test_zeroes(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_drive(f, (BlockOptions){ .file = f->file, .format = "raw", .discard = true,
                                                    .detect_zeroes = BLOCK_ZEROES_UNMAP });
    g_autofree uint8_t *buf = g_malloc(256 * KiB), *back = g_malloc(256 * KiB);
    (void)unused;

    memset(buf, 0xee, 256 * KiB);
    g_assert_cmpint(do_write(f, b, 0, buf, 256 * KiB), ==, 0);
    uint64_t before = allocated(f);
    memset(buf, 0, 128 * KiB);
    g_assert_cmpint(do_write(f, b, 0, buf, 128 * KiB), ==, 0);
    g_assert_cmpint(do_read(f, b, 0, back, 256 * KiB), ==, 0);
    g_assert_cmpmem(back, 256 * KiB, buf, 256 * KiB);
    block_write_zeroes(b, 128 * KiB, 64 * KiB, true, done, f);
    block_discard(b, 192 * KiB, 64 * KiB, done, f);
    block_drain(b);
    g_assert_cmpint(f->status, ==, 0);
    g_assert_cmpint(do_read(f, b, 0, back, 192 * KiB), ==, 0);
    for (unsigned i = 0; i < 192 * KiB; i++)
        g_assert_cmpuint(back[i], ==, 0);
    g_assert_cmpuint(allocated(f), <, before);
}

/* Random bytes at random places, against a copy. */
static void run_model(Fixture *f, BlockBackend *b, unsigned rounds)
{
    g_autofree uint8_t *model = g_malloc0(SIZE), *back = g_malloc(SIZE);
    GRand *random = g_rand_new_with_seed(99);

    for (unsigned round = 0; round < rounds; round++) {
        unsigned offset = g_rand_int_range(random, 0, SIZE);
        unsigned size = g_rand_int_range(random, 0, MIN(SIZE - offset, 9000) + 1);
        if (round % 3 == 0) {
            offset = offset / 512 * 512;
            size = size / 512 * 512;
        }
        for (unsigned i = 0; i < size; i++)
            model[offset + i] = g_rand_int(random);
        g_assert_cmpint(do_write(f, b, offset, model + offset, size), ==, 0);
        offset = g_rand_int_range(random, 0, SIZE);
        size = MIN(SIZE - offset, 20000);
        g_assert_cmpint(do_read(f, b, offset, back, size), ==, 0);
        g_assert_cmpmem(back, size, model + offset, size);
    }
    g_assert_cmpint(do_read(f, b, 0, back, SIZE), ==, 0);
    g_assert_cmpmem(back, SIZE, model, SIZE);
    g_rand_free(random);
}

static void test_direct(Fixture *f, gconstpointer unused)
{
    BlockOptions o = { .id = "a", .file = f->file, .format = "raw", .direct = true, .aio = f->aio };
    GError *err = NULL;
    BlockBackend *b = block_open(f->m, &o, &err);
    (void)unused;

    if (!b) {
        g_assert_nonnull(strstr(err->message, "O_DIRECT"));
        g_clear_error(&err);
        g_test_skip("the file system for temporary files has no O_DIRECT");
        return;
    }
    g_assert_cmpstr(block_cache_mode(b), ==, "none");
    run_model(f, b, 150);
}

/* The last block of a file that is no multiple of the host's blocks; it keeps its size. */
static void test_direct_end(Fixture *f, gconstpointer unused)
{
    uint8_t buf[512], back[1024];
    struct stat st;
    (void)unused;

    g_assert_cmpint(truncate(f->file, 9 * 512), ==, 0);
    BlockBackend *b = block_open(f->m, &(BlockOptions){ .id = "a", .file = f->file, .format = "raw", .direct = true,
                                                        .aio = f->aio }, NULL);
    if (!b) {
        g_test_skip("the file system for temporary files has no O_DIRECT");
        return;
    }
    memset(buf, 0x33, sizeof buf);
    g_assert_cmpint(do_write(f, b, 8 * 512, buf, 512), ==, 0);
    g_assert_cmpint(do_read(f, b, 7 * 512, back, 1024), ==, 0);
    g_assert_cmpmem(back + 512, 512, buf, 512);
    g_assert_cmpuint(back[511], ==, 0);
    g_assert_cmpint(stat(f->file, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 9 * 512);
}

static void test_model(Fixture *f, gconstpointer unused)
{
    (void)unused;
    run_model(f, open_raw(f), 300);
}

/* ---- raw, but only guessed ---- */

static void test_guard(Fixture *f, gconstpointer unused)
{
    uint8_t sector[1024] = "QFI\xfb\0\0\0\3", harmless[512] = "boot";
    BlockBackend *b = open_drive(f, (BlockOptions){ .file = f->file });
    struct iovec parts[2] = { { sector, 2 }, { sector + 2, 510 } };
    (void)unused;

    g_assert_cmpint(do_write(f, b, 0, harmless, 512), ==, 0);
    g_assert_cmpint(do_write(f, b, 0, sector, sizeof sector), ==, -EPERM);
    g_assert_cmpint(do_write(f, b, 1, sector + 1, 7), ==, 0);
    g_assert_cmpint(do_write(f, b, 0, "Q", 1), ==, -EPERM);
    f->calls = 0;
    block_writev(b, 0, parts, 2, done, f);
    block_drain(b);
    g_assert_cmpint(f->status, ==, -EPERM);
    g_assert_cmpint(do_write(f, b, 512, sector, 512), ==, 0);
    g_assert_cmpint(do_read(f, b, 0, sector, 4), ==, 0);
    g_assert_cmpmem(sector, 4, "bFI\xfb", 4);
    block_close_all(f->m);
    b = open_raw(f);
    g_assert_cmpint(do_write(f, b, 0, "QFI\xfb", 4), ==, 0);
}

/* ---- errors ---- */

/* An image that fails as it is told. */
typedef struct FailImage {
    Image image;
    int status;
    int tries;
} FailImage;

static int fail_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    FailImage *f = (FailImage *)i;
    (void)offset;
    memset(buf, 0x77, size);
    f->tries++;
    return f->status;
}

static int fail_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    FailImage *f = (FailImage *)i;
    (void)offset, (void)buf, (void)size;
    f->tries++;
    return f->status;
}

static int fail_flush(Image *i)
{
    FailImage *f = (FailImage *)i;
    f->tries++;
    return f->status;
}

static void fail_close(Image *i) { (void)i; }

static const ImageDriver fail_driver = {
    .name = "fail", .description = "fails", .size = sizeof(FailImage), .close = fail_close, .read = fail_read,
    .write = fail_write, .flush = fail_flush,
};

typedef struct Heard {
    BlockListener listener;
    unsigned errors, trays;
    BlockEvent last;
} Heard;

static void heard(void *opaque, const BlockEvent *e)
{
    Heard *h = opaque;
    *(e->kind == BLOCK_EVENT_ERROR ? &h->errors : &h->trays) += 1;
    h->last = *e;
}

static void listen_to(Fixture *f, Heard *h)
{
    *h = (Heard){ .listener = { .happened = heard, .opaque = h } };
    block_listen(f->m, &h->listener);
}

static FailImage *fail_open(Fixture *f, BlockOptions o, BlockBackend **b)
{
    FailImage *i = g_new0(FailImage, 1);

    i->image = (Image){ .driver = &fail_driver, .file = g_strdup("bad"), .size = SIZE };
    o.file = NULL;
    *b = open_drive(f, o);
    block_put_image(*b, &i->image);
    return i;
}

static void test_report(Fixture *f, gconstpointer unused)
{
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ .werror = BLOCK_ERROR_REPORT }, &b);
    uint8_t buf[512];
    Heard h;
    (void)unused;

    listen_to(f, &h);
    i->status = -EIO;
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, -EIO);
    g_assert_true(h.errors == 1 && !h.last.write && h.last.action == BLOCK_ERROR_REPORT && h.last.status == -EIO);
    i->status = -ENOSPC;
    g_assert_cmpint(do_write(f, b, 0, buf, 512), ==, -ENOSPC);
    g_assert_true(h.errors == 2 && h.last.write && h.last.drive == b && block_has_failed(b));
    /* The guest's own mistakes are no errors of the host. */
    g_assert_cmpint(do_read(f, b, SIZE, buf, 512), ==, -EINVAL);
    g_assert_cmpuint(h.errors, ==, 2);
    block_unlisten(f->m, &h.listener);
}

static void test_ignore(Fixture *f, gconstpointer unused)
{
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ .werror = BLOCK_ERROR_IGNORE, .rerror = BLOCK_ERROR_IGNORE }, &b);
    uint8_t buf[512];
    (void)unused;

    i->status = -EIO;
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, 0);
    g_assert_cmpint(do_write(f, b, 0, buf, 512), ==, 0);
}

/* The machine is paused, the guest hears nothing; on continue it is tried again, and may fail again. */
static void test_stop(Fixture *f, gconstpointer unused)
{
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ .werror = BLOCK_ERROR_STOP }, &b);
    uint8_t buf[512] = { 0 };
    Heard h;
    (void)unused;

    listen_to(f, &h);
    i->status = -EIO;
    machine_resume(f->m);
    block_write(b, 0, buf, 512, done, f);
    block_write(b, 512, buf, 512, done, f);
    while (f->m->run_state == RUN_RUNNING || i->tries < 2 || h.errors < 2)
        g_main_context_iteration(f->m->context, TRUE);
    g_assert_cmpint(f->calls, ==, 0);
    g_assert_cmpint(h.last.action, ==, BLOCK_ERROR_STOP);
    block_wait(b); /* what is held is not waited for */
    g_assert_null(machine_save(f->m));
    machine_resume(f->m);
    while (f->m->run_state == RUN_RUNNING || i->tries < 4 || h.errors < 4)
        g_main_context_iteration(f->m->context, TRUE);
    g_assert_cmpint(f->calls, ==, 0);
    i->status = 0;
    machine_resume(f->m);
    loop_until(f, 2);
    g_assert_cmpint(f->status, ==, 0);
    g_assert_cmpint(i->tries, ==, 6);
    g_assert_cmpint(f->m->run_state, ==, RUN_RUNNING);
    machine_pause(f->m);
    block_write(b, 0, buf, 512, done, f);
    g_autoptr(GByteArray) saved = machine_save(f->m); /* waits for it */
    g_assert_nonnull(saved);
    g_assert_cmpint(f->calls, ==, 3);

    /* What waits to be tried again is given up where another state replaces the machine's. */
    i->status = -EIO;
    machine_resume(f->m);
    block_write(b, 0, buf, 512, done, f);
    while (f->m->run_state == RUN_RUNNING)
        g_main_context_iteration(f->m->context, TRUE);
    g_assert_cmpint(f->calls, ==, 3);
    g_assert_true(machine_load(f->m, saved->data, saved->len, NULL));
    g_assert_cmpint(f->calls, ==, 4);
    g_assert_cmpint(f->status, ==, -EIO);
    block_unlisten(f->m, &h.listener);
}

/* A reset ends what is held: the guest that asked for it is gone. */
static void test_stop_drain(Fixture *f, gconstpointer unused)
{
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ .rerror = BLOCK_ERROR_STOP }, &b);
    uint8_t buf[512];
    (void)unused;

    i->status = -EIO;
    machine_resume(f->m);
    block_read(b, 0, buf, 512, done, f);
    while (f->m->run_state == RUN_RUNNING)
        g_main_context_iteration(f->m->context, TRUE);
    g_assert_cmpint(f->calls, ==, 0);
    block_drain(b);
    g_assert_cmpint(f->calls, ==, 1);
    g_assert_cmpint(f->status, ==, -EIO);
}

/* The default: a full disk pauses, other errors are the guest's. */
static void test_enospc(Fixture *f, gconstpointer unused)
{
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ 0 }, &b);
    uint8_t buf[512] = { 0 };
    (void)unused;

    machine_resume(f->m);
    i->status = -EIO;
    g_assert_cmpint(do_write(f, b, 0, buf, 512), ==, -EIO);
    g_assert_cmpint(f->m->run_state, ==, RUN_RUNNING);
    i->status = -ENOSPC;
    f->calls = 0;
    block_write(b, 0, buf, 512, done, f);
    while (f->m->run_state == RUN_RUNNING)
        g_main_context_iteration(f->m->context, TRUE);
    g_assert_cmpint(f->calls, ==, 0);
    i->status = 0;
    machine_resume(f->m);
    loop_until(f, 1);
    g_assert_cmpint(f->status, ==, 0);
}

/* ---- limits ---- */

static void wait_for_engines(Fixture *f, int calls)
{
    for (unsigned k = 0; k < 1000 && f->calls < calls; k++) {
        loop_once(f);
        if (f->calls < calls)
            g_usleep(1000);
    }
    g_assert_cmpint(f->calls, ==, calls);
}

static void go_to(Fixture *f, int64_t ns)
{
    clock_set(f->m->clocks, ns);
    clock_fire_due(f->m->clocks);
}

/* 20 in a second: two at once, a tenth of a second's worth, and one each twentieth after it. */
static void test_iops(Fixture *f, gconstpointer unused)
{
    BlockOptions o = { .file = f->file, .format = "raw", .throttle.limit[THROTTLE_IOPS_TOTAL].average = 20 };
    BlockBackend *b = open_drive(f, o);
    uint8_t buf[10][512];
    (void)unused;

    go_to(f, NS_PER_SECOND);
    for (unsigned k = 0; k < 10; k++)
        block_read(b, k * 512, buf[k], 512, done, f);
    wait_for_engines(f, 3); /* the bucket overflows by the third */
    go_to(f, NS_PER_SECOND + NS_PER_SECOND / 20 + 1000);
    wait_for_engines(f, 4);
    go_to(f, NS_PER_SECOND + 3 * (NS_PER_SECOND / 20) + 1000);
    wait_for_engines(f, 6);
    block_flush(b, done, f); /* has no limit */
    wait_for_engines(f, 7);
    block_drain(b);          /* nor has who waits for the end */
    g_assert_cmpint(f->calls, ==, 11);
}

/* Writing has a limit, reading none; bytes, with a burst of a second. */
static void test_bps(Fixture *f, gconstpointer unused)
{
    BlockOptions o = { .file = f->file, .format = "raw",
                       .throttle.limit[THROTTLE_BPS_WRITE] = { .average = 4096, .max = 16384 } };
    BlockBackend *b = open_drive(f, o);
    static uint8_t buf[4096];
    (void)unused;

    go_to(f, NS_PER_SECOND);
    for (unsigned k = 0; k < 8; k++)
        block_write(b, k * 4096, buf, 4096, done, f);
    wait_for_engines(f, 5);
    for (unsigned k = 0; k < 8; k++)
        block_read(b, k * 4096, buf, 4096, done, f);
    wait_for_engines(f, 13);
    go_to(f, 2 * NS_PER_SECOND + 1000);
    wait_for_engines(f, 14);
}

/* Two drives share a group's limit. */
static void test_group(Fixture *f, gconstpointer unused)
{
    BlockOptions o = { .id = "a", .file = f->file, .format = "raw", .readonly = true, .throttle_group = "g",
                       .throttle.limit[THROTTLE_IOPS_READ].average = 10 };
    BlockBackend *a = open_drive(f, o), *b;
    uint8_t buf[2][512];
    (void)unused;

    o.id = "b";
    b = open_drive(f, o);
    go_to(f, NS_PER_SECOND);
    for (unsigned k = 0; k < 3; k++) {
        block_read(a, 0, buf[0], 512, done, f);
        block_read(b, 0, buf[1], 512, done, f);
    }
    wait_for_engines(f, 2);
    go_to(f, 2 * NS_PER_SECOND);
    wait_for_engines(f, 4);
    block_drain_all(f->m);
    g_assert_cmpint(f->calls, ==, 6);
    BlockThrottle none = { .limit[THROTTLE_IOPS_READ].average = 1000000 };
    g_assert_true(block_throttle_group(f->m, "g", &none, NULL)); /* new limits count from now */
    go_to(f, 3 * NS_PER_SECOND);
    f->calls = 0;
    for (unsigned k = 0; k < 100; k++)
        block_read(a, 0, buf[0], 512, done, f);
    wait_for_engines(f, 100);
}

static void test_limit_mistakes(Fixture *f, gconstpointer unused)
{
    static const struct {
        BlockThrottle throttle;
        const char *part;
    } cases[] = {
        { { .limit[THROTTLE_IOPS_TOTAL].average = 1, .limit[THROTTLE_IOPS_WRITE].average = 1 }, "iops-write cannot" },
        { { .limit[THROTTLE_BPS_READ] = { .average = 100, .max = 99 } }, "throttling.bps-read-max" },
        { { .limit[THROTTLE_BPS_READ] = { .max = 99 } }, "needs the limit itself" },
    };
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        g_autoptr(GError) err = NULL;
        g_assert_null(block_open(f->m, &(BlockOptions){ .id = "x", .throttle = cases[k].throttle }, &err));
        g_assert_nonnull(strstr(err->message, cases[k].part));
    }
}

/* ---- media ---- */

typedef struct Tray {
    BlockBackend *b;
    unsigned changes, asked;
    bool resized;
} Tray;

static void tray_changed(void *opaque) { ((Tray *)opaque)->changes++; }
static void tray_resized(void *opaque) { ((Tray *)opaque)->resized = true; }

static void tray_eject(void *opaque, bool force)
{
    Tray *t = opaque;
    t->asked++;
    if (force || !block_locked(t->b))
        block_set_tray(t->b, true);
}

static const BlockUser tray_user = {
    .removable = true, .medium_changed = tray_changed, .eject_wanted = tray_eject, .resized = tray_resized,
};
static const BlockUser disk_user = { .medium_changed = tray_changed, .resized = tray_resized };

static void test_media(Fixture *f, gconstpointer unused)
{
    g_autofree char *other = g_build_filename(f->directory, "other.iso", NULL);
    BlockBackend *b = open_drive(f, (BlockOptions){ .id = "cd", .cdrom = true, .file = f->file, .format = "raw" });
    Tray t = { .b = b };
    GError *err = NULL;
    uint8_t buf[4];
    Heard h;
    (void)unused;

    listen_to(f, &h);
    g_assert_true(g_file_set_contents(other, "other", 5, NULL));
    g_assert_true(block_attach(b, "cd0", &tray_user, &t, NULL));
    g_assert_false(block_attach(b, "cd1", &tray_user, &t, &err));
    g_assert_nonnull(strstr(err->message, "'cd0'"));
    g_clear_error(&err);

    g_assert_true(block_change(b, other, NULL, false, false, &err));
    g_assert_true(t.changes == 1 && !block_tray_open(b) && h.trays == 2);
    g_assert_cmpstr(block_file(b), ==, other);
    g_assert_cmpuint(block_size(b), ==, 2048);
    g_assert_cmpint(do_read(f, b, 0, buf, 4), ==, 0);
    g_assert_cmpmem(buf, 4, "othe", 4);

    block_set_locked(b, true);
    g_assert_false(block_eject(b, false, &err)); /* the guest is asked, and opens later */
    g_assert_nonnull(strstr(err->message, "locked"));
    g_clear_error(&err);
    g_assert_true(block_inserted(b) && t.asked == 2);
    block_set_tray(b, true);
    g_assert_true(block_inserted(b));
    loop_once(f);
    g_assert_false(block_inserted(b));
    g_assert_cmpuint(t.changes, ==, 2);
    g_assert_null(block_file(b));

    block_set_tray(b, false);
    g_assert_true(block_change(b, f->file, "raw", false, true, &err));
    block_set_tray(b, true);  /* the guest's own eject leaves the medium in the tray */
    loop_once(f);
    g_assert_true(block_inserted(b));
    block_set_tray(b, false);
    g_assert_true(block_eject(b, true, &err));
    g_assert_false(block_inserted(b));
    block_unlisten(f->m, &h.listener);
    g_remove(other);
}

/* A mistake changes nothing; a fixed disk has no other medium. */
static void test_media_mistakes(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_raw(f);
    Tray t = { .b = b };
    GError *err = NULL;
    uint8_t buf[512];
    (void)unused;

    g_assert_false(block_change(b, "/nonexistent/x", NULL, false, false, &err));
    g_clear_error(&err);
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, 0);
    g_assert_true(block_change(b, f->file, "raw", true, false, &err)); /* the same file again */
    g_assert_true(block_readonly(b));
    g_assert_true(block_attach(b, "disk", &disk_user, &t, NULL));
    g_assert_false(block_eject(b, true, &err));
    g_assert_nonnull(strstr(err->message, "fixed disk"));
    g_clear_error(&err);
}

static void test_resize(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_raw(f);
    Tray t = { .b = b };
    GError *err = NULL;
    uint8_t buf[512];
    (void)unused;

    g_assert_true(block_attach(b, "disk", &disk_user, &t, NULL));
    g_assert_true(block_resize(b, 2 * SIZE, &err));
    g_assert_true(t.resized);
    g_assert_cmpuint(block_size(b), ==, 2 * SIZE);
    g_assert_cmpint(do_read(f, b, 2 * SIZE - 512, buf, 512), ==, 0);
    g_assert_false(block_resize(b, 1000, &err));
    g_assert_nonnull(strstr(err->message, "multiple of 512"));
    g_clear_error(&err);
}

static void test_commit(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_drive(f, (BlockOptions){ .file = f->file, .format = "raw", .snapshot = true });
    uint8_t buf[1024], back[1024];
    g_autofree char *content = NULL;
    GError *err = NULL;
    (void)unused;

    memset(buf, 0x44, sizeof buf);
    g_assert_cmpint(do_write(f, b, 3 * 4096 + 512, buf, sizeof buf), ==, 0);
    g_assert_cmpstr(block_format(b), ==, "raw");
    g_assert_true(block_commit(b, &err));
    g_assert_true(g_file_get_contents(f->file, &content, NULL, NULL));
    g_assert_cmpmem(content + 3 * 4096 + 512, 1024, buf, 1024);
    g_assert_cmpint(content[3 * 4096], ==, 0);
    g_assert_cmpint(do_read(f, b, 3 * 4096 + 512, back, sizeof back), ==, 0);
    g_assert_cmpmem(back, 1024, buf, 1024);
    memset(buf, 0x55, sizeof buf); /* a snapshot again: not in the file */
    g_assert_cmpint(do_write(f, b, 0, buf, sizeof buf), ==, 0);
    g_clear_pointer(&content, g_free);
    g_assert_true(g_file_get_contents(f->file, &content, NULL, NULL));
    g_assert_cmpint(content[0], ==, 0);
}

/* ---- before the machine is saved ---- */

static void test_sync(Fixture *f, gconstpointer unused)
{
    g_autofree char *expected = g_strdup_printf("drive 'a' cannot be flushed: %s", g_strerror(EIO));
    g_autoptr(GError) err = NULL;
    BlockBackend *b;
    FailImage *i = fail_open(f, (BlockOptions){ .werror = BLOCK_ERROR_STOP }, &b);
    (void)unused;

    i->status = -EIO; /* not held for another try */
    g_assert_false(block_sync_for_save(f->m, &err));
    g_assert_cmpstr(err->message, ==, expected);
    i->status = 0;
    g_assert_true(block_sync_for_save(f->m, NULL));
    g_assert_cmpint(i->tries, ==, 2);
}

/* An overlay that the process takes along with it; but not where nothing can be written, or no medium is. */
static void test_sync_snapshot(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) err = NULL;
    (void)unused;

    open_drive(f, (BlockOptions){ .id = "ro", .file = f->file, .format = "raw", .snapshot = true, .readonly = true });
    open_drive(f, (BlockOptions){ .id = "empty", .cdrom = true, .snapshot = true });
    g_assert_true(block_sync_for_save(f->m, NULL));
    open_drive(f, (BlockOptions){ .id = "s", .file = f->file, .format = "raw", .snapshot = true });
    g_assert_false(block_sync_for_save(f->m, &err));
    g_assert_cmpstr(err->message, ==,
                    "drive 's' has snapshot=on: what the guest has written to it ends with this process");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ONE(engine, name, function, aio)                                                                               \
    g_test_add("/block/" engine "/" name, Fixture, GUINT_TO_POINTER(aio), fixture_up, function, fixture_down)
#define TEST(name, function)                                                                                           \
    ONE("default", name, function, BLOCK_AIO_DEFAULT);                                                                 \
    ONE("threads", name, function, BLOCK_AIO_THREADS)
    TEST("many", test_many);
    TEST("cached", test_cached);
    TEST("many-snapshot", test_many_snapshot);
    TEST("chain", test_chain);
    TEST("overlap", test_overlap);
    TEST("flush", test_flush);
    TEST("zeroes", test_zeroes);
    TEST("model", test_model);
    TEST("direct", test_direct);
    TEST("direct-end", test_direct_end);
    TEST("guard", test_guard);
    ONE("errors", "report", test_report, 0);
    ONE("errors", "ignore", test_ignore, 0);
    ONE("errors", "stop", test_stop, 0);
    ONE("errors", "stop-drain", test_stop_drain, 0);
    ONE("errors", "enospc", test_enospc, 0);
    TEST("iops", test_iops);
    TEST("bps", test_bps);
    TEST("group", test_group);
    ONE("limits", "mistakes", test_limit_mistakes, 0);
    ONE("media", "change", test_media, 0);
    ONE("media", "mistakes", test_media_mistakes, 0);
    ONE("media", "resize", test_resize, 0);
    ONE("media", "commit", test_commit, 0);
    ONE("save", "sync", test_sync, 0);
    ONE("save", "snapshot", test_sync_snapshot, 0);
    return g_test_run();
}
