/*
 * backends/block: raw images, odd sizes, snapshots, read-only drives, locks, and what is said of mistakes.
 */
#include "backends/block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/machine.h"
#include "util/bits.h"

typedef struct Fixture {
    Machine *m;
    char *directory, *file;
    int calls, status;
} Fixture;

static void file_put(const char *name, const void *data, size_t size)
{
    GError *err = NULL;
    g_file_set_contents(name, data, size, &err);
    g_assert_no_error(err);
}

/* Byte n of a pattern; each 512 bytes differ. */
static uint8_t pattern(uint64_t n)
{
    return n * 7 + (n >> 9) * 13 + 1;
}

static void pattern_put(const char *name, size_t size)
{
    g_autofree uint8_t *data = g_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(i);
    file_put(name, data, size);
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->m = machine_new(16 * MiB, NULL);
    f->directory = g_dir_make_tmp("myna-block-XXXXXX", NULL);
    f->file = g_build_filename(f->directory, "disk.img", NULL);
    pattern_put(f->file, 64 * KiB);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    block_close_all(f->m);
    machine_free(f->m);
    g_chmod(f->file, 0600);
    g_remove(f->file);
    g_rmdir(f->directory);
    g_free(f->file);
    g_free(f->directory);
}

static BlockBackend *open_ok(Fixture *f, const BlockOptions *options)
{
    GError *err = NULL;
    BlockBackend *b = block_open(f->m, options, &err);
    g_assert_no_error(err);
    g_assert_nonnull(b);
    return b;
}

/* The message of an open that must fail. */
static char *open_error(Fixture *f, const BlockOptions *options)
{
    GError *err = NULL;
    g_assert_null(block_open(f->m, options, &err));
    g_assert_nonnull(err);
    char *text = g_strdup(err->message);
    g_error_free(err);
    g_assert_null(strchr(text, '\n'));
    return text;
}

#define assert_mentions(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            g_error("\"%s\" does not mention \"%s\"", text, part);                                                     \
    } while (0)

static void done(void *opaque, int status)
{
    Fixture *f = opaque;
    f->calls++;
    f->status = status;
}

static int do_read(Fixture *f, BlockBackend *b, uint64_t offset, void *buf, uint64_t size)
{
    f->calls = 0;
    block_read(b, offset, buf, size, done, f);
    g_assert_cmpint(f->calls, ==, 0);
    block_drain(b);
    g_assert_cmpint(f->calls, ==, 1);
    return f->status;
}

static int do_write(Fixture *f, BlockBackend *b, uint64_t offset, const void *buf, uint64_t size)
{
    f->calls = 0;
    block_write(b, offset, buf, size, done, f);
    block_drain(b);
    g_assert_cmpint(f->calls, ==, 1);
    return f->status;
}

/* ---- reading and writing ---- */

static void test_read_write(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file });
    uint8_t buf[1536], ones[1024];
    (void)unused;

    g_assert_cmpstr(block_id(b), ==, "a");
    g_assert_true(block_find(f->m, "a") == b);
    g_assert_true(machine_find(f->m, "drive:a") == b);
    g_assert_null(block_find(f->m, "b"));
    g_assert_cmpuint(block_size(b), ==, 64 * KiB);
    g_assert_true(block_inserted(b) && !block_readonly(b) && !block_is_cdrom(b));
    g_assert_cmpint(do_read(f, b, 1000, buf, sizeof buf), ==, 0);
    for (unsigned i = 0; i < sizeof buf; i++)
        g_assert_cmpuint(buf[i], ==, pattern(1000 + i));
    memset(ones, 0xff, sizeof ones);
    g_assert_cmpint(do_write(f, b, 1024, ones, sizeof ones), ==, 0);
    g_assert_cmpint(block_read_now(b, 512, buf, 1536), ==, 0);
    g_assert_cmpuint(buf[511], ==, pattern(1023));
    g_assert_cmpmem(buf + 512, 1024, ones, 1024);
    block_flush(b, done, f);
    block_drain(b);
    g_assert_cmpint(f->status, ==, 0);
    block_close_all(f->m);

    g_autofree char *data = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f->file, &data, &size, NULL));
    g_assert_cmpuint(size, ==, 64 * KiB);
    g_assert_cmpmem(data + 1024, 1024, ones, 1024);
    g_assert_cmpuint((uint8_t)data[2048], ==, pattern(2048));
}

static void test_bounds(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file });
    uint8_t buf[512];
    (void)unused;

    g_assert_cmpint(do_read(f, b, 64 * KiB - 512, buf, 512), ==, 0);
    g_assert_cmpint(do_read(f, b, 64 * KiB - 511, buf, 512), ==, -EINVAL);
    g_assert_cmpint(do_read(f, b, 64 * KiB, buf, 0), ==, 0);
    g_assert_cmpint(do_read(f, b, UINT64_MAX - 100, buf, 512), ==, -EINVAL);
    g_assert_cmpint(do_write(f, b, 64 * KiB, buf, 512), ==, -EINVAL);
    g_assert_cmpint(block_read_now(b, 64 * KiB, buf, 1), ==, -EINVAL);
}

static void count_done(void *opaque, int status)
{
    g_assert_cmpint(status, ==, 0);
    ++*(int *)opaque;
}

/* Completions come from the main loop as well, without anyone draining. */
static void test_main_loop(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file });
    uint8_t buf[32][512];
    int calls = 0;
    (void)unused;

    for (unsigned i = 0; i < 32; i++)
        block_read(b, i * 512, buf[i], 512, count_done, &calls);
    g_assert_cmpint(calls, ==, 0);
    while (calls < 32)
        g_main_context_iteration(f->m->context, TRUE);
    for (unsigned i = 0; i < 32 * 512; i++)
        g_assert_cmpuint(buf[i / 512][i % 512], ==, pattern(i));
}

/* What a file lacks of its last sector is zeros; a write there makes the sector whole. */
static void test_odd_size(Fixture *f, gconstpointer unused)
{
    uint8_t buf[1024];
    struct stat st;
    (void)unused;

    pattern_put(f->file, 1000);
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file });
    g_assert_cmpuint(block_size(b), ==, 1024);
    memset(buf, 0xee, sizeof buf);
    g_assert_cmpint(do_read(f, b, 512, buf, 512), ==, 0);
    g_assert_cmpuint(buf[487], ==, pattern(999));
    for (unsigned i = 488; i < 512; i++)
        g_assert_cmpuint(buf[i], ==, 0);
    stat(f->file, &st);
    g_assert_cmpint(st.st_size, ==, 1000);
    g_assert_cmpint(do_write(f, b, 512, buf, 512), ==, 0);
    stat(f->file, &st);
    g_assert_cmpint(st.st_size, ==, 1024);
    block_close_all(f->m);

    b = open_ok(f, &(BlockOptions) { .id = "c", .file = f->file, .cdrom = true });
    g_assert_cmpuint(block_size(b), ==, 2048);
    g_assert_true(block_is_cdrom(b) && block_readonly(b));
    block_close_all(f->m);

    pattern_put(f->file, 0);
    b = open_ok(f, &(BlockOptions) { .id = "e", .file = f->file });
    g_assert_cmpuint(block_size(b), ==, 0);
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, -EINVAL);
}

static void test_empty(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "cd", .cdrom = true });
    uint8_t buf[512];
    (void)unused;

    g_assert_false(block_inserted(b));
    g_assert_cmpuint(block_size(b), ==, 0);
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, -ENXIO);
    g_assert_cmpint(block_read_now(b, 0, buf, 512), ==, -ENXIO);
}

/* ---- what is not written ---- */

static void assert_file_untouched(Fixture *f)
{
    g_autofree uint8_t *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(f->file, (char **)&data, &size, NULL));
    g_assert_cmpuint(size, ==, 64 * KiB);
    for (gsize i = 0; i < size; i++)
        g_assert_cmpuint(data[i], ==, pattern(i));
}

static void test_readonly(Fixture *f, gconstpointer unused)
{
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file, .readonly = true });
    uint8_t buf[512] = { 1, 2, 3 };
    (void)unused;

    g_assert_true(block_readonly(b));
    g_assert_cmpint(do_write(f, b, 0, buf, 512), ==, -EROFS);
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, 0);
    g_assert_cmpuint(buf[1], ==, pattern(1));
    assert_file_untouched(f);
}

/* Random writes against a copy in memory: any alignment, across clusters. */
static void test_snapshot(Fixture *f, gconstpointer unused)
{
    enum { SIZE = 64 * KiB - 512 };
    static uint8_t model[SIZE], buf[SIZE];
    GRand *random = g_rand_new_with_seed(4711);
    (void)unused;

    pattern_put(f->file, SIZE); /* the last cluster is not whole */
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file, .snapshot = true });
    for (unsigned i = 0; i < SIZE; i++)
        model[i] = pattern(i);
    for (unsigned round = 0; round < 200; round++) {
        unsigned offset = g_rand_int_range(random, 0, SIZE), size = g_rand_int_range(random, 0, 10000);
        size = round == 100 ? SIZE - offset : MIN(size, SIZE - offset);
        for (unsigned i = 0; i < size; i++)
            model[offset + i] = g_rand_int(random);
        g_assert_cmpint(do_write(f, b, offset, model + offset, size), ==, 0);
        offset = g_rand_int_range(random, 0, SIZE);
        g_assert_cmpint(do_read(f, b, offset, buf, SIZE - offset), ==, 0);
        g_assert_cmpmem(buf, SIZE - offset, model + offset, SIZE - offset);
    }
    g_rand_free(random);
    block_flush(b, done, f);
    block_drain(b);
    g_assert_cmpint(f->status, ==, 0);
    block_close_all(f->m);

    g_autofree uint8_t *data = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(f->file, (char **)&data, &size, NULL));
    g_assert_cmpuint(size, ==, SIZE);
    for (gsize i = 0; i < size; i++)
        g_assert_cmpuint(data[i], ==, pattern(i));
}

/* A snapshot needs no right to write. */
static void test_snapshot_of_readonly_file(Fixture *f, gconstpointer unused)
{
    uint8_t buf[512] = { 9 };
    (void)unused;

    g_chmod(f->file, 0400);
    BlockBackend *b = open_ok(f, &(BlockOptions) { .id = "a", .file = f->file, .snapshot = true });
    g_assert_false(block_readonly(b));
    g_assert_cmpint(do_write(f, b, 0, buf, 512), ==, 0);
    g_assert_cmpint(do_read(f, b, 0, buf, 512), ==, 0);
    g_assert_cmpuint(buf[0], ==, 9);
    assert_file_untouched(f);
}

/* ---- locks ---- */

/* Another process opens the file, and says whether it could. */
static bool child_can_open(Fixture *f, bool readonly, bool snapshot)
{
    const char *argv[] = { "/proc/self/exe", "--open", f->file, readonly ? "r" : snapshot ? "s" : "w", NULL };
    int wait_status = 0;
    GError *err = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &wait_status, &err);
    g_assert_no_error(err);
    g_assert_true(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) <= 1);
    return WEXITSTATUS(wait_status) == 0;
}

static int child_main(const char *file, const char *how)
{
    Machine *m = machine_new(16 * MiB, NULL);
    BlockOptions o = { .id = "x", .file = file, .readonly = *how == 'r', .snapshot = *how == 's' };
    bool ok = block_open(m, &o, NULL) != NULL;

    block_close_all(m);
    machine_free(m);
    return ok ? 0 : 1;
}

static void test_locks(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_true(child_can_open(f, false, false));
    open_ok(f, &(BlockOptions) { .id = "w", .file = f->file });
    g_assert_false(child_can_open(f, false, false));
    g_assert_false(child_can_open(f, true, false));
    g_assert_false(child_can_open(f, false, true));
    block_close_all(f->m);
    g_assert_true(child_can_open(f, false, false));
    open_ok(f, &(BlockOptions) { .id = "r", .file = f->file, .readonly = true });
    g_assert_false(child_can_open(f, false, false));
    g_assert_true(child_can_open(f, true, false));
    g_assert_true(child_can_open(f, false, true));
}

/* Two drives on one command line: the message names the first one. */
static void test_same_file(Fixture *f, gconstpointer unused)
{
    (void)unused;
    open_ok(f, &(BlockOptions) { .id = "one", .file = f->file });
    g_autofree char *text = open_error(f, &(BlockOptions) { .id = "two", .file = f->file });
    assert_mentions(text, "drive 'two'");
    assert_mentions(text, "drive 'one'");
    block_close_all(f->m);
    open_ok(f, &(BlockOptions) { .id = "one", .file = f->file, .snapshot = true });
    open_ok(f, &(BlockOptions) { .id = "two", .file = f->file, .snapshot = true });
    open_ok(f, &(BlockOptions) { .id = "three", .file = f->file, .readonly = true });
}

/* The message names the process that has the image; here this one, by a lock that no drive knows of. */
static void test_lock_holder(Fixture *f, gconstpointer unused)
{
#ifdef F_OFD_SETLK
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(f->file, O_RDWR);
    (void)unused;

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    g_autofree char *text = open_error(f, &(BlockOptions) { .id = "a", .file = f->file });
    g_autofree char *who = g_strdup_printf("process %ld", (long)getpid());
    assert_mentions(text, f->file);
    assert_mentions(text, who);
    close(fd);
#else
    (void)f;
    (void)unused;
    g_test_skip("no locks of open file descriptions here");
#endif
}

/* ---- mistakes ---- */

static void test_formats(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *bytes;
        unsigned length, at;
        const char *format, *mention; /* one that is known by its magic only is told so */
    } cases[] = {
        { "QFI\xfb\0\0\0\3", 8, 0, "qcow2", "qcow2" }, { "\x7f\x10\xda\xbe", 4, 64, "vdi", "VDI" },
        { "QED\0", 4, 0, "qed", "format=raw" },           { "WithoutFreeSpace", 16, 0, "parallels", "format=raw" },
    };
    (void)unused;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        char data[2048] = { 0 };
        memcpy(data + cases[i].at, cases[i].bytes, cases[i].length);
        file_put(f->file, data, sizeof data);
        g_autofree char *text = open_error(f, &(BlockOptions) { .id = "a", .file = f->file });
        assert_mentions(text, cases[i].mention);
        open_ok(f, &(BlockOptions) { .id = "a", .file = f->file, .format = "raw" });
        block_close_all(f->m);
    }
    g_autofree char *text = open_error(f, &(BlockOptions) { .id = "a", .file = f->file, .format = "qed" });
    assert_mentions(text, "'qed' is not supported");
}

static void test_mistakes(Fixture *f, gconstpointer unused)
{
    g_autofree char *missing = g_build_filename(f->directory, "missing.img", NULL);
    g_autofree char *fifo = g_build_filename(f->directory, "pipe", NULL);
    (void)unused;

    g_autofree char *text1 = open_error(f, &(BlockOptions) { .id = "a", .file = missing });
    assert_mentions(text1, missing);
    assert_mentions(text1, "No such file");
    g_autofree char *text2 = open_error(f, &(BlockOptions) { .id = "a", .file = f->directory });
    assert_mentions(text2, "is a directory");
    g_autofree char *text3 = open_error(f, &(BlockOptions) { .id = "a", .file = f->directory, .readonly = true });
    assert_mentions(text3, "is a directory");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_autofree char *text4 = open_error(f, &(BlockOptions) { .id = "a", .file = fifo, .readonly = true });
    assert_mentions(text4, "neither a regular file nor a block device");
    g_remove(fifo);
    open_ok(f, &(BlockOptions) { .id = "a", .file = f->file });
    g_autofree char *text5 = open_error(f, &(BlockOptions) { .id = "a" });
    assert_mentions(text5, "already a drive of this id");
    if (getuid() == 0) /* root may write everything */
        return;
    block_close_all(f->m);
    g_chmod(f->file, 0400);
    g_autofree char *text6 = open_error(f, &(BlockOptions) { .id = "a", .file = f->file });
    assert_mentions(text6, "snapshot=on or readonly=on");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--open"))
        return child_main(argv[2], argv[3]);
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/block/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("read-write", test_read_write);
    TEST("bounds", test_bounds);
    TEST("main-loop", test_main_loop);
    TEST("odd-size", test_odd_size);
    TEST("empty", test_empty);
    TEST("readonly", test_readonly);
    TEST("snapshot", test_snapshot);
    TEST("snapshot-of-readonly-file", test_snapshot_of_readonly_file);
    TEST("locks", test_locks);
    TEST("same-file", test_same_file);
    TEST("lock-holder", test_lock_holder);
    TEST("formats", test_formats);
    TEST("mistakes", test_mistakes);
    return g_test_run();
}
