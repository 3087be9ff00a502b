/*
 * backends/9p: the server by itself, as a client sees it that may be Linux or may mean harm: each message, what a read-only share
 * refuses, the models of security, ways out of the share, a save in the middle, locks, and the queue of threads.
 */
#include "backends/9p/server.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/9p/fsdev.h"
#include "backends/9p/message.h"
#include "backends/9p/queue.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

enum { TSTATFS = 8, TLOPEN = 12, TLCREATE = 14, TSYMLINK = 16, TMKNOD = 18, TRENAME = 20, TREADLINK = 22, TGETATTR = 24,
       TSETATTR = 26, TXATTRWALK = 30, TXATTRCREATE = 32, TREADDIR = 40, TFSYNC = 50, TLOCK = 52, TGETLOCK = 54, TLINK = 70,
       TMKDIR = 72, TRENAMEAT = 74, TUNLINKAT = 76, TVERSION = 100, TAUTH = 102, TATTACH = 104, TFLUSH = 108, TWALK = 110,
       TREAD = 116, TWRITE = 118, TCLUNK = 120, TREMOVE = 122 };
enum { MSIZE = 64 * 1024 };

typedef struct Fixture {
    char *directory, *outside;  /* directory/share is what is shared; directory/outside is not */
    Share *share;
    P9Server *server;
    uint8_t message[MSIZE], answer[MSIZE];
    P9Reader r;                 /* the last answer, behind its header */
} Fixture;

static char *host(Fixture *f, const char *name)
{
    return g_build_filename(f->directory, "share", name, NULL);
}

static void put_file(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = host(f, name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_file(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = host(f, name), *found = NULL;
    g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, text);
}

/*
 * One message; fields by letters: b 1 byte, w 2, d 4, q 8 (uint64_t), s a string, x bytes (pointer, unsigned).  The error of the
 * answer, or 0.
 */
static int talk(Fixture *f, uint8_t type, const char *fields, ...)
{
    P9Writer w = { f->message, sizeof f->message, P9_HEADER_SIZE, false };
    va_list ap;

    va_start(ap, fields);
    for (; *fields; fields++) {
        switch (*fields) {
        case 'b': p9_put8(&w, va_arg(ap, unsigned)); break;
        case 'w': p9_put16(&w, va_arg(ap, unsigned)); break;
        case 'd': p9_put32(&w, va_arg(ap, unsigned)); break;
        case 'q': p9_put64(&w, va_arg(ap, uint64_t)); break;
        case 's': p9_put_string(&w, va_arg(ap, const char *)); break;
        default: {
            const void *data = va_arg(ap, const void *);
            unsigned size = va_arg(ap, unsigned);
            memcpy(p9_room(&w, size), data, size);
        }
        }
    }
    va_end(ap);
    g_assert_false(w.full);
    st32le(f->message, w.pos);
    f->message[4] = type;
    st16le(f->message + 5, 0x1234);
    size_t n = p9_server_handle(f->server, f->message, w.pos, f->answer, sizeof f->answer);
    g_assert_cmpuint(n, >=, P9_HEADER_SIZE);
    g_assert_cmpuint(ld32le(f->answer), ==, n);
    g_assert_cmpuint(ld16le(f->answer + 5), ==, 0x1234);
    f->r = (P9Reader) { f->answer, n, P9_HEADER_SIZE, false };
    if (f->answer[4] == 7)
        return p9_get32(&f->r);
    g_assert_cmpuint(f->answer[4], ==, type + 1);
    return 0;
}

#define OK(...) g_assert_cmpint(talk(f, __VA_ARGS__), ==, 0)
#define FAILS(error, ...) g_assert_cmpint(talk(f, __VA_ARGS__), ==, error)

static void connect_client(Fixture *f)
{
    OK(TVERSION, "ds", MSIZE, "9P2000.L");
    g_assert_cmpuint(p9_get32(&f->r), ==, MSIZE);
    OK(TATTACH, "ddssd", 0u, UINT32_MAX, "root", "", 0u);
}

static void open_share(Fixture *f)
{
    GError *err = NULL;
    g_autofree char *path = host(f, "");
    f->share = share_new(path, &err);
    g_assert_no_error(err);
    f->share->readonly = false;
    f->server = p9_server_new(f->share);
    connect_client(f);
}

static void fixture_up(Fixture *f, gconstpointer by_component)
{
    f->directory = g_dir_make_tmp("myna-9p-XXXXXX", NULL);
    g_autofree char *share = host(f, ""), *folder = host(f, "folder");
    f->outside = g_build_filename(f->directory, "outside", NULL);
    g_assert_cmpint(g_mkdir(share, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(f->outside, 0755), ==, 0);
    g_autofree char *secret = g_build_filename(f->outside, "secret", NULL);
    g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
    put_file(f, "hello", "hello, world");
    put_file(f, "folder/inner", "inner");
    open_share(f);
    f->share->by_component |= GPOINTER_TO_INT(by_component);
}

static void remove_tree(const char *path)
{
    char *argv[] = { (char *)"rm", (char *)"-rf", (char *)path, NULL };
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    p9_server_unref(f->server);
    share_free(f->share);
    remove_tree(f->directory);
    g_free(f->directory);
    g_free(f->outside);
}

/* A fid of a path of names below fid 0. */
static int walk_to(Fixture *f, unsigned fid, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    guint n = g_strv_length(names);
    int error = talk(f, TWALK, "ddw", 0u, fid, 0u);
    for (guint k = 0; k < n && !error; k++)
        error = talk(f, TWALK, "ddws", fid, fid, 1u, names[k]);
    if (error)
        talk(f, TCLUNK, "d", fid);
    return error;
}

static mode_t mode_of(Fixture *f, unsigned fid)
{
    OK(TGETATTR, "dq", fid, UINT64_C(0x7ff));
    g_assert_cmpuint(p9_get64(&f->r), ==, 0x7ff);
    p9_take(&f->r, 13);
    return p9_get32(&f->r);
}

static int read_text(Fixture *f, unsigned fid, char *text, size_t size)
{
    int error = talk(f, TREAD, "dqd", fid, UINT64_C(0), (unsigned)size - 1);
    if (error)
        return error;
    uint32_t n = p9_get32(&f->r);
    memcpy(text, p9_take(&f->r, n), n);
    text[n] = 0;
    return 0;
}

/* ---- what the protocol says ---- */

static void test_version(Fixture *f, gconstpointer unused)
{
    g_autofree char *name = NULL;
    (void)unused;

    OK(TVERSION, "ds", UINT32_MAX, "9P2000.L");
    g_assert_cmpuint(p9_get32(&f->r), ==, P9_MSIZE_MAX);
    name = p9_get_string(&f->r);
    g_assert_cmpstr(name, ==, "9P2000.L");
    FAILS(EBADF, TGETATTR, "dq", 0u, UINT64_C(0x7ff)); /* it begins anew */
    FAILS(EMSGSIZE, TVERSION, "ds", 4095u, "9P2000.L");
    OK(TVERSION, "ds", 8192u, "9P2000.u");
    p9_get32(&f->r);
    g_free(name);
    name = p9_get_string(&f->r);
    g_assert_cmpstr(name, ==, "unknown");
    FAILS(EPROTO, TATTACH, "ddssd", 0u, UINT32_MAX, "root", "", 0u);
}

static void test_attach(Fixture *f, gconstpointer unused)
{
    (void)unused;
    FAILS(EINVAL, TATTACH, "ddssd", 0u, UINT32_MAX, "root", "", 0u);
    FAILS(ENOENT, TATTACH, "ddssd", 1u, UINT32_MAX, "root", "/other", 0u);
    FAILS(ENOENT, TAUTH, "dssd", 1u, "root", "", 0u);
    OK(TATTACH, "ddssd", 1u, UINT32_MAX, "root", "/", 0u);
    g_assert_cmpuint(p9_get8(&f->r), ==, 0x80);
    OK(TFLUSH, "w", 7u);
    FAILS(EOPNOTSUPP, 112, "d", 0u); /* Topen, which .L does not have */
}

static void test_walk(Fixture *f, gconstpointer unused)
{
    (void)unused;
    OK(TWALK, "ddwss", 0u, 1u, 2u, "folder", "inner");
    g_assert_cmpuint(p9_get16(&f->r), ==, 2);
    g_assert_cmpuint(p9_get8(&f->r), ==, 0x80);
    p9_take(&f->r, 12);
    g_assert_cmpuint(p9_get8(&f->r), ==, 0);
    OK(TWALK, "ddwss", 0u, 2u, 2u, "folder", "missing");
    g_assert_cmpuint(p9_get16(&f->r), ==, 1);
    FAILS(EBADF, TCLUNK, "d", 2u); /* only a whole walk makes one */
    FAILS(ENOENT, TWALK, "ddws", 0u, 2u, 1u, "missing");
    FAILS(ENOTDIR, TWALK, "ddws", 1u, 2u, 1u, "x");
    FAILS(EINVAL, TWALK, "ddw", 0u, 1u, 0u); /* taken */
    FAILS(EBADF, TWALK, "ddw", 9u, 2u, 0u);
    FAILS(EPROTO, TWALK, "ddw", 0u, 2u, 17u);
    FAILS(ENOENT, TWALK, "ddws", 0u, 2u, 1u, "folder/inner");
    FAILS(ENOENT, TWALK, "ddws", 0u, 2u, 1u, "");
    OK(TCLUNK, "d", 1u);
    FAILS(EBADF, TCLUNK, "d", 1u);
}

static void test_read(Fixture *f, gconstpointer unused)
{
    char text[64];
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    FAILS(EBADF, TREAD, "dqd", 1u, UINT64_C(0), 10u);
    OK(TLOPEN, "dd", 1u, 0u);
    FAILS(EBADF, TLOPEN, "dd", 1u, 0u);
    g_assert_cmpint(read_text(f, 1, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "hello, world");
    OK(TREAD, "dqd", 1u, UINT64_C(7), 3u);
    g_assert_cmpuint(p9_get32(&f->r), ==, 3);
    g_assert_cmpmem(p9_take(&f->r, 3), 3, "wor", 3);
    OK(TREAD, "dqd", 1u, UINT64_C(100), 3u);
    g_assert_cmpuint(p9_get32(&f->r), ==, 0);
    OK(TREAD, "dqd", 1u, UINT64_C(0), UINT32_MAX);
    FAILS(EINVAL, TREAD, "dqd", 1u, UINT64_MAX, 3u);
    FAILS(EBADF, TWRITE, "dqdx", 1u, UINT64_C(0), 1u, "x", 1u);
}

static void test_create_and_write(Fixture *f, gconstpointer unused)
{
    (void)unused;
    OK(TWALK, "ddw", 0u, 1u, 0u);
    OK(TLCREATE, "dsddd", 1u, "new", 2u | 0100 | 0200, 0640u, 0u);
    g_assert_cmpuint(mode_of(f, 1), ==, S_IFREG | 0640);
    OK(TWRITE, "dqdx", 1u, UINT64_C(2), 3u, "abc", 3u);
    g_assert_cmpuint(p9_get32(&f->r), ==, 3);
    OK(TWRITE, "dqdx", 1u, UINT64_C(0), 2u, "..", 2u);
    OK(TFSYNC, "dd", 1u, 0u);
    OK(TFSYNC, "dd", 1u, 1u);
    assert_file(f, "new", "..abc");
    FAILS(EPROTO, TWRITE, "dqdx", 1u, UINT64_C(0), 200u, "..", 2u); /* fewer bytes than it says */
    OK(TWALK, "ddw", 0u, 2u, 0u);
    FAILS(EEXIST, TLCREATE, "dsddd", 2u, "new", 2u | 0100 | 0200, 0640u, 0u);
    OK(TLCREATE, "dsddd", 2u, "new", 1u | 0100 | 01000, 0640u, 0u);
    assert_file(f, "new", "");
    OK(TWALK, "ddw", 0u, 3u, 0u);
    FAILS(EINVAL, TLCREATE, "dsddd", 3u, "..", 2u | 0100, 0640u, 0u);
    FAILS(EINVAL, TLCREATE, "dsddd", 3u, "a/b", 2u | 0100, 0640u, 0u);
}

static void test_attributes(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = host(f, "hello");
    struct stat st;
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    /* mode and size; then times */
    OK(TSETATTR, "dddddqqqqq", 1u, 1u | 8u, 0600u, 0u, 0u, UINT64_C(5), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    assert_file(f, "hello", "hello");
    OK(TSETATTR, "dddddqqqqq", 1u, 0x10u | 0x20u | 0x80u | 0x100u, 0u, 0u, 0u, UINT64_C(0), UINT64_C(1000), UINT64_C(5),
       UINT64_C(2000), UINT64_C(6));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(st.st_atim.tv_sec, ==, 1000);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, 6);
    OK(TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    p9_take(&f->r, 8 + 13 + 4 + 4 + 4 + 8 + 8);
    g_assert_cmpuint(p9_get64(&f->r), ==, 5);
    p9_take(&f->r, 8 + 8 + 8 + 8);
    g_assert_cmpuint(p9_get64(&f->r), ==, 2000);
    g_assert_cmpuint(p9_get64(&f->r), ==, 6);
    FAILS(EFBIG, TSETATTR, "dddddqqqqq", 1u, 8u, 0u, 0u, 0u, UINT64_MAX, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    OK(TSTATFS, "d", 1u);
    g_assert_cmpuint(p9_get32(&f->r), ==, 0x01021997);
}

/* All entries of an open folder, by reads of so many bytes. */
static unsigned list_folder(Fixture *f, unsigned fid, unsigned count, GHashTable *names)
{
    uint64_t offset = 0;
    unsigned n = 0;

    for (;;) {
        OK(TREADDIR, "dqd", fid, offset, count);
        uint32_t size = p9_get32(&f->r);
        g_assert_cmpuint(size, <=, count);
        if (!size)
            return n;
        for (size_t end = f->r.pos + size; f->r.pos < end; n++) {
            p9_take(&f->r, 13);
            offset = p9_get64(&f->r);
            p9_get8(&f->r);
            g_assert_true(g_hash_table_add(names, p9_get_string(&f->r)));
        }
        g_assert_false(f->r.bad);
    }
}

static void test_readdir(Fixture *f, gconstpointer unused)
{
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) again = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    (void)unused;

    for (unsigned k = 0; k < 300; k++) {
        g_autofree char *name = g_strdup_printf("folder/file-with-a-name-%u", k);
        put_file(f, name, "");
    }
    g_assert_cmpint(walk_to(f, 1, "folder"), ==, 0);
    FAILS(EBADF, TREADDIR, "dqd", 1u, UINT64_C(0), 1000u);
    OK(TLOPEN, "dd", 1u, 0200000u);
    g_assert_cmpuint(list_folder(f, 1, 200, all), ==, 303);
    g_assert_cmpuint(list_folder(f, 1, 60000, again), ==, 303);
    g_assert_true(g_hash_table_contains(all, "file-with-a-name-299"));
    g_assert_true(g_hash_table_contains(all, ".."));
    FAILS(EINVAL, TREADDIR, "dqd", 1u, UINT64_C(0), 10u);
    FAILS(EISDIR, TREAD, "dqd", 1u, UINT64_C(0), 10u);
}

static void test_names(Fixture *f, gconstpointer unused)
{
    g_autofree char *target = NULL;
    (void)unused;

    OK(TMKDIR, "dsdd", 0u, "dir", 0750u, 0u);
    FAILS(EEXIST, TMKDIR, "dsdd", 0u, "dir", 0750u, 0u);
    g_assert_cmpint(walk_to(f, 1, "dir"), ==, 0);
    g_assert_cmpuint(mode_of(f, 1), ==, S_IFDIR | 0750);
    OK(TSYMLINK, "dssd", 1u, "link", "../hello", 0u);
    g_assert_cmpint(walk_to(f, 2, "dir/link"), ==, 0);
    g_assert_true(S_ISLNK(mode_of(f, 2)));
    OK(TREADLINK, "d", 2u);
    target = p9_get_string(&f->r);
    g_assert_cmpstr(target, ==, "../hello");
    FAILS(ELOOP, TLOPEN, "dd", 2u, 0u);
    g_assert_cmpint(walk_to(f, 3, "hello"), ==, 0);
    FAILS(EINVAL, TREADLINK, "d", 3u);
    OK(TLINK, "dds", 1u, 3u, "hard");
    assert_file(f, "dir/hard", "hello, world");
    OK(TMKNOD, "dsdddd", 1u, "fifo", S_IFIFO | 0600u, 0u, 0u, 0u);
    FAILS(EPERM, TMKNOD, "dsdddd", 1u, "mem", S_IFCHR | 0600u, 1u, 1u, 0u);
    g_assert_cmpint(walk_to(f, 4, "dir/fifo"), ==, 0);
    FAILS(ENXIO, TLOPEN, "dd", 4u, 0u); /* and does not wait for a writer */
    FAILS(ENOTEMPTY, TUNLINKAT, "dsd", 0u, "dir", 0x200u);
    FAILS(EISDIR, TUNLINKAT, "dsd", 0u, "dir", 0u);
    OK(TUNLINKAT, "dsd", 1u, "fifo", 0u);
    FAILS(ENOENT, TGETATTR, "dq", 4u, UINT64_C(0x7ff));
    OK(TREMOVE, "d", 2u);
    FAILS(EBADF, TCLUNK, "d", 2u);
    OK(TUNLINKAT, "dsd", 1u, "hard", 0u);
    OK(TREMOVE, "d", 1u);
    FAILS(EBUSY, TREMOVE, "d", 0u);
}

static void test_rename(Fixture *f, gconstpointer unused)
{
    char text[64];
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "folder"), ==, 0);
    g_assert_cmpint(walk_to(f, 2, "folder/inner"), ==, 0);
    g_assert_cmpint(walk_to(f, 3, "hello"), ==, 0);
    OK(TRENAMEAT, "dsds", 0u, "folder", 0u, "moved");
    /* The fids have gone with it. */
    OK(TLOPEN, "dd", 2u, 0u);
    g_assert_cmpint(read_text(f, 2, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "inner");
    OK(TRENAME, "dds", 3u, 1u, "inner"); /* over the open file */
    assert_file(f, "moved/inner", "hello, world");
    g_assert_cmpint(read_text(f, 2, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "inner");
    OK(TGETATTR, "dq", 3u, UINT64_C(0x7ff));
    FAILS(EINVAL, TRENAMEAT, "dsds", 0u, "moved", 0u, "..");
    FAILS(EINVAL, TRENAMEAT, "dsds", 0u, "..", 0u, "x");
    FAILS(EINVAL, TRENAMEAT, "dsds", 0u, "moved", 1u, "below"); /* into itself */
    FAILS(EBUSY, TRENAME, "dds", 0u, 1u, "x");
}

/* Names that begin alike are not one beneath the other. */
static void test_rename_sibling(Fixture *f, gconstpointer unused)
{
    (void)unused;
    put_file(f, "ab", "ab");
    put_file(f, "a", "a");
    g_assert_cmpint(walk_to(f, 1, "ab"), ==, 0);
    OK(TRENAMEAT, "dsds", 0u, "a", 0u, "c");
    OK(TGETATTR, "dq", 1u, UINT64_C(0x7ff));
}

/* An open file lives on without a name; a new one of that name is not it. */
static void test_unlinked(Fixture *f, gconstpointer unused)
{
    char text[64];
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    g_assert_cmpint(walk_to(f, 2, "hello"), ==, 0);
    OK(TLOPEN, "dd", 1u, 2u);
    OK(TUNLINKAT, "dsd", 0u, "hello", 0u);
    put_file(f, "hello", "another");
    g_assert_cmpint(read_text(f, 1, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "hello, world");
    OK(TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    FAILS(ENOENT, TGETATTR, "dq", 2u, UINT64_C(0x7ff));
    FAILS(ENOENT, TLOPEN, "dd", 2u, 0u);
}

static void test_xattr(Fixture *f, gconstpointer unused)
{
    char text[64];
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    OK(TWALK, "ddw", 1u, 2u, 0u);
    OK(TXATTRCREATE, "dsqd", 2u, "user.colour", UINT64_C(5), 0u);
    OK(TWRITE, "dqdx", 2u, UINT64_C(0), 3u, "gre", 3u);
    FAILS(ENOSPC, TWRITE, "dqdx", 2u, UINT64_C(3), 3u, "en!", 3u);
    OK(TWRITE, "dqdx", 2u, UINT64_C(3), 2u, "en", 2u);
    if (talk(f, TCLUNK, "d", 2u) == EOPNOTSUPP) {
        g_test_skip("the temporary folder's file system has no extended attributes");
        return;
    }
    OK(TXATTRWALK, "dds", 1u, 3u, "user.colour");
    g_assert_cmpuint(p9_get64(&f->r), ==, 5);
    g_assert_cmpint(read_text(f, 3, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "green");
    FAILS(EBADF, TWALK, "ddw", 3u, 4u, 0u);
    OK(TXATTRWALK, "dds", 1u, 4u, "");
    g_assert_cmpuint(p9_get64(&f->r), ==, sizeof "user.colour");
    FAILS(ENODATA, TXATTRWALK, "dds", 1u, 5u, "user.missing");
    OK(TWALK, "ddw", 1u, 6u, 0u);
    FAILS(EOPNOTSUPP, TXATTRCREATE, "dsqd", 6u, "security.capability", UINT64_C(20), 0u);
    FAILS(E2BIG, TXATTRCREATE, "dsqd", 6u, "user.big", UINT64_C(65537), 0u);
    OK(TXATTRCREATE, "dsqd", 6u, "user.colour", UINT64_C(0), 0u);
    OK(TCLUNK, "d", 6u);
    FAILS(ENODATA, TXATTRWALK, "dds", 1u, 5u, "user.colour");
    OK(TWALK, "ddw", 1u, 7u, 0u);
    OK(TXATTRCREATE, "dsqd", 7u, "user.short", UINT64_C(8), 0u);
    FAILS(EINVAL, TCLUNK, "d", 7u);
}

/* type, start, length, process: the status */
static unsigned lock(Fixture *f, unsigned fid, unsigned type, uint64_t start, uint64_t length, unsigned process)
{
    OK(TLOCK, "dbdqqds", fid, type, 0u, start, length, process, "guest");
    return p9_get8(&f->r);
}

static unsigned test_lock_of(Fixture *f, unsigned fid, unsigned type, uint64_t start, uint64_t length, unsigned process)
{
    OK(TGETLOCK, "dbqqds", fid, type, start, length, process, "guest");
    return p9_get8(&f->r);
}

static void test_locks(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned fid = 1; fid <= 2; fid++) {
        g_assert_cmpint(walk_to(f, fid, "hello"), ==, 0);
        FAILS(EBADF, TLOCK, "dbdqqds", fid, 1u, 0u, UINT64_C(0), UINT64_C(0), 1u, "guest");
        OK(TLOPEN, "dd", fid, 2u);
    }
    g_assert_cmpuint(lock(f, 1, 1, 0, 100, 11), ==, 0);
    g_assert_cmpuint(lock(f, 2, 1, 50, 100, 12), ==, 1);
    g_assert_cmpuint(lock(f, 2, 1, 100, 100, 12), ==, 0);
    g_assert_cmpuint(test_lock_of(f, 2, 0, 0, 0, 12), ==, 1);
    g_assert_cmpuint(p9_get64(&f->r), ==, 0);
    g_assert_cmpuint(p9_get64(&f->r), ==, 100);
    g_assert_cmpuint(p9_get32(&f->r), ==, 11);
    /* A hole in the middle is another's to take. */
    g_assert_cmpuint(lock(f, 1, 2, 40, 20, 11), ==, 0);
    g_assert_cmpuint(lock(f, 2, 1, 40, 20, 12), ==, 0);
    g_assert_cmpuint(lock(f, 2, 0, 39, 1, 12), ==, 1);
    g_assert_cmpuint(lock(f, 2, 0, 60, 1, 12), ==, 1);
    /* Both read. */
    g_assert_cmpuint(lock(f, 1, 0, 0, 40, 11), ==, 0);
    g_assert_cmpuint(lock(f, 2, 0, 0, 40, 12), ==, 0);
    FAILS(EINVAL, TLOCK, "dbdqqds", 1u, 3u, 0u, UINT64_C(0), UINT64_C(0), 1u, "guest");
    /* To the end, and past what can be counted. */
    g_assert_cmpuint(lock(f, 1, 1, UINT64_MAX - 1, UINT64_MAX, 11), ==, 0);
    g_assert_cmpuint(test_lock_of(f, 2, 1, UINT64_MAX, 1, 12), ==, 1);
    OK(TCLUNK, "d", 1u);
    g_assert_cmpuint(test_lock_of(f, 2, 1, 0, 0, 12), ==, 2);
}

/* ---- read-only, and the models of security ---- */

static void test_readonly(Fixture *f, gconstpointer unused)
{
    char text[64];
    (void)unused;

    f->share->readonly = true;
    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    FAILS(EROFS, TLOPEN, "dd", 1u, 1u);
    FAILS(EROFS, TLOPEN, "dd", 1u, 2u);
    FAILS(EROFS, TLOPEN, "dd", 1u, 01000u);
    FAILS(EROFS, TLCREATE, "dsddd", 0u, "x", 0101u, 0644u, 0u);
    FAILS(EROFS, TSYMLINK, "dssd", 0u, "x", "y", 0u);
    FAILS(EROFS, TMKNOD, "dsdddd", 0u, "x", S_IFREG | 0600u, 0u, 0u, 0u);
    FAILS(EROFS, TMKDIR, "dsdd", 0u, "x", 0755u, 0u);
    FAILS(EROFS, TLINK, "dds", 0u, 1u, "x");
    FAILS(EROFS, TRENAME, "dds", 1u, 0u, "x");
    FAILS(EROFS, TRENAMEAT, "dsds", 0u, "hello", 0u, "x");
    FAILS(EROFS, TUNLINKAT, "dsd", 0u, "hello", 0u);
    FAILS(EROFS, TXATTRCREATE, "dsqd", 1u, "user.x", UINT64_C(1), 0u);
    FAILS(EROFS, TSETATTR, "dddddqqqqq", 1u, 1u, 0600u, 0u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    OK(TLOPEN, "dd", 1u, 0u);
    FAILS(EROFS, TWRITE, "dqdx", 1u, UINT64_C(0), 1u, "x", 1u);
    g_assert_cmpint(read_text(f, 1, text, sizeof text), ==, 0);
    FAILS(EROFS, TREMOVE, "d", 1u);
    assert_file(f, "hello", "hello, world");
}

/* No program with the rights of who runs Myna. */
static void test_no_setuid(Fixture *f, gconstpointer unused)
{
    (void)unused;
    OK(TWALK, "ddw", 0u, 1u, 0u);
    OK(TLCREATE, "dsddd", 1u, "new", 0301u, 06755u, 0u);
    g_assert_cmpuint(mode_of(f, 1), ==, S_IFREG | 0755);
    OK(TSETATTR, "dddddqqqqq", 1u, 1u, 04711u, 0u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    g_assert_cmpuint(mode_of(f, 1), ==, S_IFREG | 0711);
}

static void test_mapped(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = host(f, "null"), *target = NULL;
    struct stat st;
    uint8_t v[4];
    (void)unused;

    f->share->security = SHARE_MAPPED;
    if (talk(f, TMKNOD, "dsdddd", 0u, "null", S_IFCHR | 0666u, 1u, 300u, 7u) == EOPNOTSUPP) {
        g_test_skip("the temporary folder's file system has no extended attributes");
        return;
    }
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_true(S_ISREG(st.st_mode));
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    g_assert_cmpint(getxattr(path, "user.virtfs.gid", v, 4), ==, 4);
    g_assert_cmpuint(ld32le(v), ==, 7);
    g_assert_cmpint(walk_to(f, 1, "null"), ==, 0);
    OK(TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    p9_take(&f->r, 8 + 13);
    g_assert_cmpuint(p9_get32(&f->r), ==, S_IFCHR | 0666);
    p9_take(&f->r, 4);
    g_assert_cmpuint(p9_get32(&f->r), ==, 7);
    p9_get64(&f->r);
    g_assert_cmpuint(p9_get64(&f->r), ==, 1 << 8 | (300 & 0xff) | (300 >> 8) << 20);
    FAILS(ENXIO, TLOPEN, "dd", 1u, 0u);
    OK(TXATTRWALK, "dds", 1u, 2u, "");
    g_assert_cmpuint(p9_get64(&f->r), ==, 0); /* its attributes are not the guest's to see */
    FAILS(ENODATA, TXATTRWALK, "dds", 1u, 3u, "user.virtfs.uid");
    FAILS(EOPNOTSUPP, TXATTRCREATE, "dsqd", 1u, "user.virtfs.uid", UINT64_C(4), 0u);
    OK(TSYMLINK, "dssd", 0u, "link", "/etc/passwd", 0u);
    g_assert_cmpint(walk_to(f, 4, "link"), ==, 0);
    g_assert_true(S_ISLNK(mode_of(f, 4)));
    OK(TREADLINK, "d", 4u);
    target = p9_get_string(&f->r);
    g_assert_cmpstr(target, ==, "/etc/passwd");
    OK(TMKDIR, "dsdd", 0u, "dir", 0750u, 0u);
    g_assert_cmpint(walk_to(f, 5, "dir"), ==, 0);
    OK(TSETATTR, "dddddqqqqq", 5u, 1u | 2u, 02777u, 42u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    g_assert_cmpuint(mode_of(f, 5), ==, S_IFDIR | 02777);
    g_assert_cmpuint(p9_get32(&f->r), ==, 42);
}

static void test_id_map(void)
{
    GError *err = NULL;
    IdMap map = { 0 };
    uint32_t id;

    g_assert_cmpuint(id_to_guest(&map, 1000), ==, 1000);
    g_assert_true(id_to_host(&map, 7, &id) && id == 7);
    g_assert_true(id_map_parse("uid-map", "0:1000+1000:5000:10", &map, &err));
    g_assert_cmpuint(id_to_guest(&map, 1000), ==, 0);
    g_assert_cmpuint(id_to_guest(&map, 5009), ==, 1009);
    g_assert_cmpuint(id_to_guest(&map, 5010), ==, 65534);
    g_assert_true(id_to_host(&map, 1003, &id) && id == 5003);
    g_assert_false(id_to_host(&map, 1, &id));
    static const char *const wrong[] = { "", "1", "1:2:0", "a:b", "1:2:3:4", "0:4294967294:2", "-1:2", "1:2+" };
    for (unsigned k = 0; k < ARRAY_SIZE(wrong); k++) {
        g_assert_false(id_map_parse("uid-map", wrong[k], &map, &err));
        g_clear_error(&err);
    }
}

static void test_mapped_ids(Fixture *f, gconstpointer unused)
{
    (void)unused;
    f->share->uids = (IdMap) { .range = { { 0, getuid(), 1 } }, .count = 1 };
    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    mode_of(f, 1);
    g_assert_cmpuint(p9_get32(&f->r), ==, 0);
    f->share->uids.range[0].host = getuid() + 1;
    mode_of(f, 1);
    g_assert_cmpuint(p9_get32(&f->r), ==, 65534);
    /* Given to nobody that the host knows: not an error with `none`, but one where it should have been done. */
    OK(TSETATTR, "dddddqqqqq", 1u, 2u, 0u, 77u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    f->share->security = SHARE_PASSTHROUGH;
    FAILS(EPERM, TSETATTR, "dddddqqqqq", 1u, 2u, 0u, 77u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
}

/* ---- ways out ---- */

static void test_dotdot(Fixture *f, gconstpointer unused)
{
    (void)unused;
    OK(TGETATTR, "dq", 0u, UINT64_C(0x7ff));
    p9_get64(&f->r);
    p9_take(&f->r, 5);
    uint64_t root = p9_get64(&f->r);
    OK(TWALK, "ddwssss", 0u, 1u, 4u, "..", "..", "folder", "..");
    g_assert_cmpuint(p9_get16(&f->r), ==, 4);
    for (unsigned k = 0; k < 4; k++) {
        p9_take(&f->r, 5);
        g_assert_true((p9_get64(&f->r) == root) == (k != 2));
    }
    FAILS(ENOENT, TWALK, "ddwss", 1u, 2u, 2u, "../outside", "secret");
    OK(TWALK, "ddwss", 1u, 2u, 2u, "..", "outside");
    g_assert_cmpuint(p9_get16(&f->r), ==, 1);
    static const char *const names[] = { "..", "../outside/x", "/tmp/x", ".", "", "folder/.." };
    for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
        FAILS(EINVAL, TMKDIR, "dsdd", 0u, names[k], 0755u, 0u);
        FAILS(EINVAL, TSYMLINK, "dssd", 0u, names[k], "t", 0u);
        FAILS(EINVAL, TMKNOD, "dsdddd", 0u, names[k], S_IFREG | 0600u, 0u, 0u, 0u);
        FAILS(EINVAL, TUNLINKAT, "dsd", 0u, names[k], 0u);
        FAILS(EINVAL, TRENAMEAT, "dsds", 0u, "hello", 0u, names[k]);
        FAILS(EINVAL, TLINK, "dds", 0u, 1u, names[k]);
    }
    /* `..` in the list of the top is the top. */
    OK(TLOPEN, "dd", 1u, 0200000u);
    OK(TREADDIR, "dqd", 1u, UINT64_C(0), 60000u);
    for (size_t end = p9_get32(&f->r) + f->r.pos; f->r.pos < end;) {
        p9_take(&f->r, 5);
        uint64_t path = p9_get64(&f->r);
        p9_take(&f->r, 9);
        g_autofree char *name = p9_get_string(&f->r);
        g_assert_true((path == root) == (!strcmp(name, ".") || !strcmp(name, "..")));
    }
}

static void test_links_out(Fixture *f, gconstpointer unused)
{
    g_autofree char *absolute = host(f, "absolute"), *relative = host(f, "relative"), *file = host(f, "file");
    g_autofree char *secret = g_build_filename(f->outside, "secret", NULL), *hard = host(f, "hard"), *kept = NULL;
    (void)unused;

    g_assert_cmpint(symlink(f->outside, absolute), ==, 0);
    g_assert_cmpint(symlink("../outside", relative), ==, 0);
    g_assert_cmpint(symlink(secret, file), ==, 0);
    static const char *const names[] = { "absolute", "relative" };
    for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
        OK(TWALK, "ddwss", 0u, 1u, 2u, names[k], "secret");
        g_assert_cmpuint(p9_get16(&f->r), ==, 1); /* the link itself, no further */
        OK(TWALK, "ddws", 0u, 1u, 1u, names[k]);
        FAILS(ENOTDIR, TWALK, "ddws", 1u, 2u, 1u, "secret");
        g_assert_cmpint(talk(f, TMKDIR, "dsdd", 1u, "x", 0755u, 0u), !=, 0);
        g_assert_cmpint(talk(f, TLCREATE, "dsddd", 1u, "secret", 01101u, 0644u, 0u), !=, 0);
        g_assert_cmpint(talk(f, TUNLINKAT, "dsd", 1u, "secret", 0u), !=, 0);
        g_assert_cmpint(talk(f, TRENAMEAT, "dsds", 1u, "secret", 0u, "stolen"), !=, 0);
        FAILS(ELOOP, TLOPEN, "dd", 1u, 0200000u);
        OK(TCLUNK, "d", 1u);
    }
    /* A file by a link: not opened, not created through, not truncated, not given away. */
    g_assert_cmpint(walk_to(f, 1, "file"), ==, 0);
    FAILS(ELOOP, TLOPEN, "dd", 1u, 01001u);
    OK(TWALK, "ddw", 0u, 2u, 0u);
    FAILS(ELOOP, TLCREATE, "dsddd", 2u, "file", 01101u, 0644u, 0u);
    FAILS(ELOOP, TSETATTR, "dddddqqqqq", 1u, 8u, 0u, 0u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    FAILS(EOPNOTSUPP, TSETATTR, "dddddqqqqq", 1u, 1u, 0u, 0u, 0u, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    /* A hard link of a link is the link. */
    OK(TLINK, "dds", 0u, 1u, "hard");
    g_assert_true(g_file_test(hard, G_FILE_TEST_IS_SYMLINK));
    g_assert_true(g_file_get_contents(secret, &kept, NULL, NULL));
    g_assert_cmpstr(kept, ==, "secret");
}

/* A folder that is moved out of the share by the host takes nobody along. */
static void test_moved_away(Fixture *f, gconstpointer unused)
{
    g_autofree char *folder = host(f, "folder"), *away = g_build_filename(f->outside, "folder", NULL);
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "folder"), ==, 0);
    g_assert_cmpint(g_rename(folder, away), ==, 0);
    FAILS(ENOENT, TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    FAILS(ENOENT, TWALK, "ddws", 1u, 2u, 1u, "inner");
    OK(TWALK, "ddwss", 1u, 2u, 2u, "..", "secret");
    g_assert_cmpuint(p9_get16(&f->r), ==, 1); /* to the share's folder */
}

enum { SWAPS = 10000 };

typedef struct Swapper {
    char *folder, *spare, *link;
    gint stop;
    unsigned swaps;
} Swapper;

/* The folder is a link to outside every second moment. */
static gpointer swap_all_the_time(gpointer data)
{
    Swapper *w = data;
    while (w->swaps < SWAPS || !g_atomic_int_get(&w->stop)) {
        g_assert_cmpint(g_rename(w->folder, w->spare), ==, 0);
        g_assert_cmpint(symlink(w->link, w->folder), ==, 0);
        g_assert_cmpint(g_unlink(w->folder), ==, 0);
        g_assert_cmpint(g_rename(w->spare, w->folder), ==, 0);
        w->swaps++;
        g_atomic_int_set(&w->stop, w->swaps >= SWAPS);
    }
    return NULL;
}

static void test_swapped(Fixture *f, gconstpointer unused)
{
    Swapper w = { host(f, "folder"), host(f, "spare"), f->outside, 0, 0 };
    g_autofree char *made = g_build_filename(f->outside, "made", NULL), *inner = g_build_filename(f->outside, "inner", NULL);
    unsigned reads = 0;
    char text[64];
    (void)unused;

    g_assert_true(g_file_set_contents(inner, "secret", -1, NULL));
    GThread *thread = g_thread_new("swapper", swap_all_the_time, &w);
    while (!g_atomic_int_get(&w.stop)) {
        if (!talk(f, TWALK, "ddwss", 0u, 1u, 2u, "folder", "inner") && p9_get16(&f->r) == 2) {
            if (!talk(f, TLOPEN, "dd", 1u, 0u) && !read_text(f, 1, text, sizeof text)) {
                g_assert_cmpstr(text, ==, "inner");
                reads++;
            }
            OK(TCLUNK, "d", 1u);
        }
        if (!talk(f, TWALK, "ddws", 0u, 2u, 1u, "folder")) {
            if (!talk(f, TLCREATE, "dsddd", 2u, "made", 0101u, 0644u, 0u))
                reads++;
            OK(TCLUNK, "d", 2u);
        }
    }
    g_thread_join(thread);
    g_assert_cmpuint(w.swaps, >=, SWAPS);
    g_assert_cmpuint(reads, >, 0);
    g_assert_false(g_file_test(made, G_FILE_TEST_EXISTS));
    g_free(w.folder);
    g_free(w.spare);
}

/* ---- bounds ---- */

static void test_malformed(Fixture *f, gconstpointer unused)
{
    uint8_t m[64], answer[64];
    (void)unused;

    /* Shorter than a header; a length that is not the message's; no room for an answer. */
    memset(m, 0, sizeof m);
    g_assert_cmpuint(p9_server_handle(f->server, m, 6, answer, sizeof answer), ==, 0);
    st32le(m, 100);
    m[4] = TCLUNK;
    g_assert_cmpuint(p9_server_handle(f->server, m, 20, answer, sizeof answer), ==, 11);
    g_assert_cmpuint(ld32le(answer + 7), ==, EPROTO);
    g_assert_cmpuint(p9_server_handle(f->server, m, 20, answer, 10), ==, 0);
    st32le(m, 11);
    m[4] = TSTATFS;
    g_assert_cmpuint(p9_server_handle(f->server, m, 11, answer, 40), ==, 11);
    g_assert_cmpuint(ld32le(answer + 7), ==, ENOBUFS);
    /* A string with a NUL in it. */
    FAILS(EPROTO, TWALK, "ddwwx", 0u, 1u, 1u, 3u, "a\0b", 3u);
    FAILS(EPROTO, TMKDIR, "dwxdd", 0u, 3u, "a\0b", 3u, 0755u, 0u);
}

static void test_fids_bounded(Fixture *f, gconstpointer unused)
{
    unsigned n = 1;
    (void)unused;

    for (int error = 0; !error; n++) {
        error = talk(f, TWALK, "ddw", 0u, n, 0u);
        if (error)
            g_assert_cmpint(error, ==, ENFILE);
    }
    g_assert_cmpuint(n, ==, P9_FIDS_MAX + 1);
    OK(TCLUNK, "d", 1u);
    OK(TWALK, "ddw", 0u, 1u, 0u);
    OK(TVERSION, "ds", MSIZE, "9P2000.L");
}

static void test_deep(Fixture *f, gconstpointer unused)
{
    g_autofree char *name = g_strnfill(200, 'n');
    int error = 0;
    unsigned depth = 0;
    (void)unused;

    OK(TWALK, "ddw", 0u, 1u, 0u);
    for (; !error && depth < 100; depth++) {
        error = talk(f, TMKDIR, "dsdd", 1u, name, 0755u, 0u);
        if (!error)
            error = talk(f, TWALK, "ddws", 1u, 1u, 1u, name);
    }
    g_assert_cmpint(error, ==, ENAMETOOLONG);
    g_assert_cmpuint(depth, >=, 20);
}

static void test_random(Fixture *f, gconstpointer unused)
{
    static const uint8_t types[] = { TSTATFS, TLOPEN, TLCREATE, TSYMLINK, TMKNOD, TRENAME, TREADLINK, TGETATTR, TSETATTR,
                                     TXATTRWALK, TXATTRCREATE, TREADDIR, TFSYNC, TLOCK, TGETLOCK, TLINK, TMKDIR, TRENAMEAT,
                                     TUNLINKAT, TATTACH, TFLUSH, TWALK, TREAD, TWRITE, TCLUNK, TREMOVE };
    GRand *rand = g_rand_new_with_seed(9);
    (void)unused;

    for (unsigned n = 0; n < 30000; n++) {
        size_t size = P9_HEADER_SIZE + g_rand_int(rand) % 60;
        for (size_t k = P9_HEADER_SIZE; k < size; k++)
            f->message[k] = g_rand_int(rand) % 4 ? g_rand_int(rand) % 4 : g_rand_int(rand);
        st32le(f->message, size);
        f->message[4] = types[g_rand_int(rand) % ARRAY_SIZE(types)];
        size_t length = p9_server_handle(f->server, f->message, size, f->answer, sizeof f->answer);
        g_assert_cmpuint(length, >=, P9_HEADER_SIZE);
        g_assert_cmpuint(length, <=, MSIZE);
    }
    g_rand_free(rand);
}

/* ---- saving ---- */

static void save_and_load(Fixture *f)
{
    g_autoptr(GByteArray) saved = g_byte_array_new();
    GError *err = NULL;

    p9_server_save(f->server, saved);
    P9Server *other = p9_server_new(f->share);
    g_assert_true(p9_server_load(other, saved->data, saved->len, &err));
    g_assert_no_error(err);
    p9_server_unref(f->server);
    f->server = other;
    /* What is not whole is refused. */
    for (guint n = 0; n < saved->len; n++) {
        other = p9_server_new(f->share);
        g_assert_false(p9_server_load(other, saved->data, n, &err));
        g_clear_error(&err);
        p9_server_unref(other);
    }
}

static void test_save(Fixture *f, gconstpointer unused)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    char text[64];
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    OK(TLOPEN, "dd", 1u, 02u | 01000u); /* truncated once, not again */
    OK(TWRITE, "dqdx", 1u, UINT64_C(0), 4u, "kept", 4u);
    g_assert_cmpint(walk_to(f, 2, "folder"), ==, 0);
    OK(TLOPEN, "dd", 2u, 0200000u);
    OK(TREADDIR, "dqd", 2u, UINT64_C(0), 60u);
    g_assert_cmpint(walk_to(f, 3, "folder/inner"), ==, 0);
    OK(TWALK, "ddw", 1u, 4u, 0u);
    OK(TXATTRCREATE, "dsqd", 4u, "user.half", UINT64_C(4), 0u);
    OK(TWRITE, "dqdx", 4u, UINT64_C(0), 2u, "ha", 2u);
    g_assert_cmpuint(lock(f, 1, 1, 5, 10, 77), ==, 0);
    save_and_load(f);
    g_assert_cmpint(read_text(f, 1, text, sizeof text), ==, 0);
    g_assert_cmpstr(text, ==, "kept");
    OK(TWRITE, "dqdx", 1u, UINT64_C(4), 4u, " on ", 4u);
    g_assert_cmpuint(list_folder(f, 2, 100, names), ==, 3);
    OK(TLOPEN, "dd", 3u, 0u);
    OK(TWRITE, "dqdx", 4u, UINT64_C(2), 2u, "lf", 2u);
    g_assert_cmpuint(lock(f, 1, 1, 0, 6, 78), ==, 1);
    OK(TREAD, "dqd", 3u, UINT64_C(0), 100u);
}

/* A file that is gone when the machine comes back. */
static void test_save_gone(Fixture *f, gconstpointer unused)
{
    g_autofree char *hello = host(f, "hello");
    (void)unused;

    g_assert_cmpint(walk_to(f, 1, "hello"), ==, 0);
    OK(TLOPEN, "dd", 1u, 2u);
    g_unlink(hello);
    save_and_load(f);
    FAILS(EBADF, TREAD, "dqd", 1u, UINT64_C(0), 10u);
    FAILS(ENOENT, TGETATTR, "dq", 1u, UINT64_C(0x7ff));
    OK(TCLUNK, "d", 1u);
    OK(TGETATTR, "dq", 0u, UINT64_C(0x7ff));
}

/* A path in a saved file is not believed. */
static void test_load_escape(Fixture *f, gconstpointer unused)
{
    static const char *const paths[] = { "../outside/secret", "/etc/passwd", "folder/../../outside/secret", "a//b", "folder/" };
    GError *err = NULL;
    (void)unused;

    for (unsigned k = 0; k < ARRAY_SIZE(paths); k++) {
        uint8_t data[100];
        P9Writer w = { data, sizeof data, 0, false };
        p9_put32(&w, MSIZE);
        p9_put32(&w, 1);
        p9_put32(&w, 0);
        p9_put32(&w, 0);
        p9_put8(&w, 1);
        p9_put32(&w, 0);
        p9_put8(&w, 1);
        p9_put_string(&w, paths[k]);
        p9_put32(&w, 0);
        P9Server *s = p9_server_new(f->share);
        g_assert_false(p9_server_load(s, data, w.pos, &err));
        g_clear_error(&err);
        p9_server_unref(s);
    }
}

/* ---- the queue ---- */

typedef struct Answers {
    unsigned count, tags[64];
    uint8_t types[64];
} Answers;

static void take_answer(void *opaque, void *tag, const uint8_t *answer, size_t size)
{
    Answers *a = opaque;
    g_assert_cmpuint(size, >=, P9_HEADER_SIZE);
    a->types[a->count] = answer[4];
    a->tags[a->count++] = GPOINTER_TO_UINT(tag);
}

static void submit(P9Queue *q, unsigned tag, uint8_t type, const uint8_t *body, size_t size)
{
    uint8_t *m = g_malloc0(P9_HEADER_SIZE + size);
    st32le(m, P9_HEADER_SIZE + size);
    m[4] = type;
    st16le(m + 5, tag);
    if (size)
        memcpy(m + P9_HEADER_SIZE, body, size);
    p9_queue_submit(q, m, P9_HEADER_SIZE + size, 1000, GUINT_TO_POINTER(tag));
}

static void test_queue(Fixture *f, gconstpointer unused)
{
    static const uint8_t version[] = { 0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L' };
    static const uint8_t attach[] = { 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t fid[] = { 0, 0, 0, 0 };
    Machine *m = machine_new(MiB, NULL);
    Answers a = { 0 };
    (void)unused;

    machine_lock(m);
    P9Queue *q = p9_queue_new(m, f->share, take_answer, &a);
    submit(q, 1, TVERSION, version, sizeof version);
    p9_queue_drain(q);
    submit(q, 2, TATTACH, attach, sizeof attach);
    p9_queue_drain(q);
    g_assert_cmpuint(a.count, ==, 2);
    g_assert_cmpuint(a.types[1], ==, TATTACH + 1);
    a.count = 0;
    /* A flush comes after what it is for. */
    for (unsigned k = 0; k < 20; k++) {
        uint8_t old[2] = { 100 + k, 0 };
        submit(q, 100 + k, TSTATFS, fid, sizeof fid);
        submit(q, 200 + k, TFLUSH, old, sizeof old);
    }
    p9_queue_drain(q);
    g_assert_cmpuint(a.count, ==, 40);
    for (unsigned k = 0, seen = 0; k < 40; k++) {
        if (a.tags[k] < 200)
            seen |= 1u << (a.tags[k] - 100);
        else
            g_assert_true(seen >> (a.tags[k] - 200) & 1);
    }
    /* A reset takes the session away, and what is under way with it. */
    a.count = 0;
    for (unsigned k = 0; k < 20; k++)
        submit(q, k, TSTATFS, fid, sizeof fid);
    p9_queue_reset(q);
    submit(q, 50, TSTATFS, fid, sizeof fid);
    p9_queue_drain(q);
    g_assert_cmpuint(a.count, ==, 1);
    g_assert_cmpuint(a.types[0], ==, 7);
    p9_queue_free(q);
    machine_unlock(m);
    machine_free(m);
}

/* Several threads at one session: what is counted is counted right, and nothing hangs (with TSan: no race). */
typedef struct Client { Fixture *f; unsigned first; } Client;

static gpointer work_along(gpointer data)
{
    Client *c = data;
    Fixture *own = g_new0(Fixture, 1);

    *own = (Fixture) { .directory = c->f->directory, .share = c->f->share, .server = c->f->server };
    for (unsigned n = 0; n < 300; n++) {
        g_autofree char *name = g_strdup_printf("f%u", n % 7);
        talk(own, TWALK, "ddw", 0u, c->first, 0u);
        talk(own, TLCREATE, "dsddd", c->first, name, 0102u, 0644u, 0u);
        talk(own, TWRITE, "dqdx", c->first, UINT64_C(0), 4u, "text", 4u);
        talk(own, TRENAMEAT, "dsds", 0u, name, 0u, "target");
        talk(own, TWALK, "ddws", 0u, c->first + 1, 1u, "target");
        talk(own, TUNLINKAT, "dsd", 0u, "target", 0u);
        talk(own, TCLUNK, "d", c->first + 1);
        talk(own, TCLUNK, "d", c->first);
        talk(own, TCLUNK, "d", 500u + n % 3);
        talk(own, TWALK, "ddw", 0u, 500u + n % 3, 0u);
        talk(own, TLOPEN, "dd", 500u + n % 3, 0200000u);
        talk(own, TREADDIR, "dqd", 500u + n % 3, UINT64_C(0), 1000u);
    }
    g_free(own);
    return NULL;
}

static void test_threads(Fixture *f, gconstpointer unused)
{
    Client client[4];
    GThread *thread[4];
    (void)unused;

    for (unsigned k = 0; k < 4; k++) {
        client[k] = (Client) { f, 10 * (k + 1) };
        thread[k] = g_thread_new("client", work_along, &client[k]);
    }
    for (unsigned k = 0; k < 4; k++)
        g_thread_join(thread[k]);
    OK(TGETATTR, "dq", 0u, UINT64_C(0x7ff));
}

/* ---- -fsdev ---- */

static void assert_refused(Machine *m, const char *text, const char *words)
{
    GError *err = NULL;
    g_assert_false(fsdev_open(m, text, &err));
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(err->message, words));
    g_assert_null(strchr(err->message, '\n'));
    g_clear_error(&err);
}

static void test_fsdev(Fixture *f, gconstpointer unused)
{
    Machine *m = machine_new(MiB, NULL);
    g_autofree char *path = host(f, ""), *text = g_strdup_printf("local,id=a,path=%s", path), *fsdev = NULL, *device = NULL;
    g_autofree char *mapped = g_strdup_printf("local,id=b,path=%s,readonly=off,security_model=mapped-xattr,uid-map=0:1000", path);
    GError *err = NULL;
    (void)unused;

    g_assert_true(fsdev_open(m, text, &err));
    g_assert_true(fsdev_find(m, "a")->readonly);
    g_assert_cmpint(fsdev_find(m, "a")->security, ==, SHARE_NONE);
    g_assert_true(fsdev_open(m, mapped, &err));
    g_assert_false(fsdev_find(m, "b")->readonly);
    g_assert_cmpint(fsdev_find(m, "b")->security, ==, SHARE_MAPPED);
    g_assert_cmpuint(fsdev_find(m, "b")->uids.count, ==, 1);
    assert_refused(m, text, "already one");
    assert_refused(m, "local,path=/tmp", "id=");
    assert_refused(m, "local,id=c", "path=");
    assert_refused(m, "local,id=c,path=/no/such/folder", "/no/such/folder");
    assert_refused(m, "local,id=c,path=/etc/passwd", "/etc/passwd");
    assert_refused(m, "proxy,id=c,path=/tmp", "local");
    assert_refused(m, "local,id=c,path=/tmp,security_model=mappd", "mapped");
    assert_refused(m, "local,id=c,path=/tmp,uid-map=x", "GUEST:HOST");
    g_assert_true(fsdev_split_virtfs("local,path=/a,,b,mount_tag=t,readonly=off", 3, &fsdev, &device, &err));
    g_assert_cmpstr(fsdev, ==, "local,id=virtfs3,path=/a,,b,readonly=off");
    g_assert_cmpstr(device, ==, "virtio-9p-pci,fsdev=virtfs3,mount_tag=t");
    g_clear_pointer(&fsdev, g_free);
    g_clear_pointer(&device, g_free);
    g_assert_false(fsdev_split_virtfs("local,path=/a", 0, &fsdev, &device, &err));
    g_assert_nonnull(strstr(err->message, "mount_tag="));
    g_clear_error(&err);
    fsdev_close_all(m);
    machine_free(m);
}

#define ADD(name, fn) g_test_add("/9p/" name, Fixture, NULL, fixture_up, fn, fixture_down)
#define ADD_BOTH(name, fn)                                                                                             \
    do {                                                                                                               \
        ADD(name, fn);                                                                                                 \
        g_test_add("/9p/by-component/" name, Fixture, GINT_TO_POINTER(1), fixture_up, fn, fixture_down);              \
    } while (0)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("version", test_version);
    ADD("attach", test_attach);
    ADD_BOTH("walk", test_walk);
    ADD_BOTH("read", test_read);
    ADD("create-and-write", test_create_and_write);
    ADD("attributes", test_attributes);
    ADD("readdir", test_readdir);
    ADD_BOTH("names", test_names);
    ADD("rename", test_rename);
    ADD("rename-sibling", test_rename_sibling);
    ADD("unlinked", test_unlinked);
    ADD("xattr", test_xattr);
    ADD("locks", test_locks);
    ADD("readonly", test_readonly);
    ADD("no-setuid", test_no_setuid);
    ADD("mapped", test_mapped);
    g_test_add_func("/9p/id-map", test_id_map);
    ADD("mapped-ids", test_mapped_ids);
    ADD_BOTH("dotdot", test_dotdot);
    ADD_BOTH("links-out", test_links_out);
    ADD_BOTH("moved-away", test_moved_away);
    ADD_BOTH("swapped", test_swapped);
    ADD("malformed", test_malformed);
    ADD("fids-bounded", test_fids_bounded);
    ADD_BOTH("deep", test_deep);
    ADD("random", test_random);
    ADD("save", test_save);
    ADD("save-gone", test_save_gone);
    ADD("load-escape", test_load_escape);
    ADD("queue", test_queue);
    ADD("threads", test_threads);
    ADD("fsdev", test_fsdev);
    return g_test_run();
}
