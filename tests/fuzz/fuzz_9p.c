/*
 * libFuzzer's target for the 9P server: the input is messages one after the other, each with its length before it (two bytes), to a server
 * of a share in a temporary folder.  Whatever they are: no crash, an answer within its room, nothing outside of the folder, and a
 * saved server that can be loaded.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/server.h"
#include "util/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 8192 };

typedef struct Target {
    char *directory, *folder, *outside;
    Share *share;
    unsigned runs;
} Target;

static void run(const char *program, const char *option, const char *path)
{
    char *argv[] = { (char *)program, (char *)option, (char *)path, NULL };
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* What there is to begin with: a file, a folder, and links that lead out. */
static void fill(Target *t)
{
    g_autofree char *file = g_build_filename(t->folder, "a", NULL), *folder = g_build_filename(t->folder, "b", NULL);
    g_autofree char *link = g_build_filename(t->folder, "c", NULL);

    run("rm", "-rf", t->folder);
    g_assert_cmpint(g_mkdir(t->folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "abc", 3, NULL));
    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    g_assert_cmpint(symlink("../outside", link), ==, 0);
}

static void target_make(Target *t)
{
    GError *err = NULL;
    g_autofree char *secret = NULL;

    t->directory = g_dir_make_tmp("myna-fuzz-9p-XXXXXX", &err);
    g_assert_no_error(err);
    t->folder = g_build_filename(t->directory, "share", NULL);
    t->outside = g_build_filename(t->directory, "outside", NULL);
    secret = g_build_filename(t->outside, "secret", NULL);
    g_assert_cmpint(g_mkdir(t->outside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
}

static void check_outside(Target *t)
{
    g_autoptr(GDir) dir = g_dir_open(t->outside, 0, NULL), above = g_dir_open(t->directory, 0, NULL);
    g_autofree char *secret = g_build_filename(t->outside, "secret", NULL), *text = NULL;
    unsigned names = 0;

    g_assert_cmpstr(g_dir_read_name(dir), ==, "secret");
    g_assert_null(g_dir_read_name(dir));
    while (g_dir_read_name(above))
        names++;
    g_assert_cmpuint(names, ==, 2);
    g_assert_true(g_file_get_contents(secret, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "secret");
}

static void begin(P9Server *s)
{
    static const uint8_t version[] = "\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0" "9P2000.L";
    static const uint8_t attach[] = "\x17\0\0\0\x68\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0";
    uint8_t answer[ROOM];

    g_assert_cmpuint(p9_server_handle(s, version, sizeof version - 1, answer, ROOM), ==, 21);
    g_assert_cmpuint(p9_server_handle(s, attach, sizeof attach, answer, ROOM), ==, 20);
}

/* A message gets its right length in the header: the rest is of more interest. */
static void give(P9Server *s, const uint8_t *data, size_t size)
{
    uint8_t message[256], answer[ROOM];

    size = MIN(size, sizeof message);
    memcpy(message, data, size);
    if (size >= 4)
        st32le(message, size);
    g_assert_cmpuint(p9_server_handle(s, message, size, answer, ROOM), <=, ROOM);
}

static void check_save(const Target *t, P9Server *s)
{
    g_autoptr(GByteArray) saved = g_byte_array_new();
    P9Server *other = p9_server_new(t->share);

    p9_server_save(s, saved);
    g_assert_cmpuint(saved->len, <=, P9_SAVED_MAX);
    g_assert_true(p9_server_load(other, saved->data, saved->len, NULL));
    p9_server_unref(other);
}

/* The bytes as a saved server: an error, or a server that works. */
static void give_saved(const Target *t, const uint8_t *data, size_t size)
{
    P9Server *s = p9_server_new(t->share);
    if (p9_server_load(s, data, size, NULL))
        give(s, data, size);
    p9_server_unref(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Target t;

    if (!t.directory)
        target_make(&t);
    if (t.runs++ % 64 == 0) {
        if (t.share)
            share_free(t.share);
        fill(&t);
        t.share = share_new(t.folder, NULL);
    }
    if (!size)
        return 0;
    t.share->readonly = data[0] & 1;
    t.share->security = (data[0] >> 1 & 3) % 3;
    t.share->by_component = data[0] >> 3 & 1;
    if (data[0] >> 4 == 0)
        give_saved(&t, data + 1, size - 1);
    P9Server *s = p9_server_new(t.share);
    begin(s);
    for (size_t at = 1; at < size;) {
        size_t n = MIN(data[at], size - at - 1);
        give(s, data + at + 1, n);
        at += 1 + n;
    }
    check_save(&t, s);
    p9_server_unref(s);
    check_outside(&t);
    return 0;
}
