/*
 * ui/vnc*.c with viewers of a few lines: the opening, pictures, sizes, keys, passwords; and viewers that mean harm,
 * who must neither stop the main loop nor leave anything behind.  tests/ui/run-vnc has a whole viewer.
 */
#include "config.h"

#include <glib.h>

#ifndef CONFIG_VNC
int main(void)
{
    g_print("1..0 # SKIP VNC is not built in\n");
    return 77;
}
#else
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/machine.h"
#include "hw/display/console.h"
#include "ui/ui.h"
#include "ui/vnc.h"
#include "util/endian.h"

typedef struct Fixture {
    Machine *m;
    Console console;
    char *folder, *path;
    unsigned fit_width, fit_height, key, keys_down;
    unsigned updates, x, y, buttons;
    int dz;
} Fixture;

/* ---- a machine with a screen and a keyboard ---- */

static void fake_update(void *opaque, bool all)
{
    (void)all;
    ((Fixture *)opaque)->updates++;
}

static void fake_fit(void *opaque, unsigned width, unsigned height)
{
    Fixture *f = opaque;
    f->fit_width = width;
    f->fit_height = height;
}

static const ConsoleOps console_ops = { .update = fake_update, .fit = fake_fit };

static void fake_key(void *opaque, unsigned usage, bool down)
{
    Fixture *f = opaque;
    f->key = usage;
    f->keys_down += down ? 1 : -1;
}

static const InputSink keyboard = { .name = "keyboard", .key = fake_key };

static void draw(Fixture *f, unsigned width, unsigned height, uint32_t seed)
{
    f->console.serial++;
    console_resize(&f->console, width, height);
    for (unsigned n = 0; n < width * height; n++)
        f->console.surface.pixels[n] = (n * 2654435761u ^ seed) & 0xffffff;
    console_mark_lines(&f->console, 0, height);
}

static void setup(Fixture *f, gconstpointer options)
{
    GError *err = NULL;
    f->m = machine_new(1 << 20, &err);
    g_assert_no_error(err);
    f->console.ops = &console_ops;
    f->console.opaque = f;
    console_announce(&f->console, f->m);
    draw(f, 64, 48, 1);
    input_add(f->m, &keyboard, f, true);
    f->folder = g_dir_make_tmp("myna-vnc-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "s", NULL);
    g_autofree char *display = g_strdup_printf("vnc=unix:%s%s", f->path, (const char *)options);
    machine_lock(f->m);
    g_assert_true(display_open(f->m, display, &err));
    machine_unlock(f->m);
    g_assert_no_error(err);
}

static void teardown(Fixture *f, gconstpointer options)
{
    (void)options;
    machine_lock(f->m);
    display_close_all(f->m);
    machine_unlock(f->m);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    input_remove(f->m, f);
    console_withdraw(&f->console, f->m);
    machine_free(f->m);
    g_assert_cmpint(rmdir(f->folder), ==, 0);
    g_free(f->folder);
    g_free(f->path);
}

/* ---- a viewer ---- */

static int viewer_connect(Fixture *f)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(a.sun_path, f->path, sizeof a.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    return fd;
}

static void turn(Fixture *f)
{
    while (g_main_context_iteration(f->m->context, FALSE))
        ;
    g_usleep(200);
}

static void put(int fd, const void *data, gsize size)
{
    g_assert_cmpint(send(fd, data, size, MSG_NOSIGNAL), ==, (gssize)size);
}

/* So many bytes, while the main loop turns; false: the server hung up. */
static bool get(Fixture *f, int fd, void *data, gsize size)
{
    for (gsize have = 0; have < size;) {
        gssize n = recv(fd, (char *)data + have, size - have, MSG_DONTWAIT);
        if (n > 0)
            have += n;
        else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            return false;
        turn(f);
    }
    return true;
}

/* Without a password, up to ServerInit. */
static int viewer_open(Fixture *f, unsigned width, unsigned height)
{
    uint8_t b[64];
    int fd = viewer_connect(f);
    g_assert_true(get(f, fd, b, 12));
    g_assert_cmpmem(b, 12, "RFB 003.008\n", 12);
    put(fd, "RFB 003.008\n", 12);
    g_assert_true(get(f, fd, b, 2));
    g_assert_cmpmem(b, 2, "\1\1", 2);
    put(fd, "\1\1", 2);
    g_assert_true(get(f, fd, b, 4 + 24 + 4));
    g_assert_cmpuint(ld32be(b), ==, 0);
    g_assert_cmpuint(ld16be(b + 4), ==, width);
    g_assert_cmpuint(ld16be(b + 6), ==, height);
    g_assert_cmpuint(ld32be(b + 24), ==, 4);
    put(fd, "\0\0\0\0\40\30\0\1\0\377\0\377\0\377\20\10\0\0\0\0", 20);
    return fd;
}

static void request(int fd, bool incremental, unsigned width, unsigned height)
{
    uint8_t b[10] = { 3, incremental };
    st16be(b + 6, width);
    st16be(b + 8, height);
    put(fd, b, sizeof b);
}

/* Raw rectangles until all of the picture has come; what it is. */
static uint32_t *picture(Fixture *f, int fd, unsigned width, unsigned height)
{
    uint32_t *all = g_new0(uint32_t, width * height);
    uint8_t b[12];
    unsigned left = width * height;
    while (left) {
        g_assert_true(get(f, fd, b, 4));
        g_assert_cmpuint(b[0], ==, 0);
        for (unsigned n = ld16be(b + 2); n; n--) {
            uint8_t r[12];
            g_assert_true(get(f, fd, r, 12));
            unsigned x = ld16be(r), y = ld16be(r + 2), w = ld16be(r + 4), h = ld16be(r + 6);
            g_assert_cmpuint(ld32be(r + 8), ==, 0);
            g_assert_true(x + w <= width && y + h <= height && w * h <= left);
            g_autofree uint8_t *data = g_malloc(4 * w * h + 1);
            g_assert_true(get(f, fd, data, 4 * w * h));
            for (unsigned k = 0; k < w * h; k++)
                all[(y + k / w) * width + x + k % w] = ld32le(data + 4 * k);
            left -= w * h;
        }
    }
    return all;
}

static void assert_picture(Fixture *f, int fd, bool incremental)
{
    unsigned width = f->console.surface.width, height = f->console.surface.height;
    request(fd, incremental, width, height);
    g_autofree uint32_t *seen = picture(f, fd, width, height);
    g_assert_cmpmem(seen, 4 * width * height, f->console.surface.pixels, 4 * width * height);
}

static unsigned viewers(Fixture *f)
{
    VncInfo *info = vnc_info_nth(f->m, 0);
    unsigned count = info->viewers->len;
    vnc_info_free(info);
    return count;
}

static void leave(Fixture *f, int fd)
{
    close(fd);
    for (unsigned n = 0; n < 20000 && viewers(f); n++)
        turn(f);
    g_assert_cmpuint(viewers(f), ==, 0);
}

/* ---- tests ---- */

static void test_pictures(Fixture *f, gconstpointer data)
{
    (void)data;
    int fd = viewer_open(f, 64, 48);
    assert_picture(f, fd, false);
    draw(f, 64, 48, 77);
    assert_picture(f, fd, true);
    leave(f, fd);
    unsigned updates = f->updates;
    for (unsigned n = 0; n < 500; n++)
        turn(f);
    g_assert_cmpuint(f->updates, ==, updates); /* nobody looks */
}

/* The rectangle says so first, and the picture follows. */
static void test_size(Fixture *f, gconstpointer data)
{
    uint8_t b[16], encodings[8] = { 2, 0, 0, 1 };
    (void)data;
    int fd = viewer_open(f, 64, 48);
    st32be(encodings + 4, -223);
    put(fd, encodings, sizeof encodings);
    assert_picture(f, fd, false);
    draw(f, 100, 30, 5);
    request(fd, true, 64, 48);
    g_assert_true(get(f, fd, b, 16));
    g_assert_cmpuint(ld16be(b + 8), ==, 100);
    g_assert_cmpuint(ld16be(b + 10), ==, 30);
    g_assert_cmpint((int32_t)ld32be(b + 12), ==, -223);
    leave(f, fd);
}

static void test_input(Fixture *f, gconstpointer data)
{
    (void)data;
    int fd = viewer_open(f, 64, 48);
    put(fd, "\4\1\0\0\0\0\0a", 8);
    put(fd, "\377\0\0\1\0\0\0\0\0\0\0\235", 12); /* the right Ctrl key by its scan code */
    for (unsigned n = 0; n < 20000 && f->keys_down < 2; n++)
        turn(f);
    g_assert_cmpuint(f->keys_down, ==, 2);
    g_assert_cmpuint(f->key, ==, 0xe4);
    leave(f, fd);
    g_assert_cmpuint(f->keys_down, ==, 0);
}

static void fake_position(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    Fixture *f = opaque;
    f->x = x;
    f->y = y;
    f->dz += dz;
    f->buttons = buttons;
}

static const InputSink tablet = { .name = "tablet", .position = fake_position };

/* Where the guest takes positions it gets them, and the viewer that asks is told (pointer motion change: x is 1). */
static void test_pointer(Fixture *f, gconstpointer data)
{
    uint8_t b[16], encodings[8] = { 2, 0, 0, 1 };
    (void)data;
    input_remove(f->m, f);
    input_add(f->m, &tablet, f, true);
    int fd = viewer_open(f, 64, 48);
    st32be(encodings + 4, -257);
    put(fd, encodings, sizeof encodings);
    g_assert_true(get(f, fd, b, sizeof b));
    g_assert_cmpuint(ld16be(b + 4), ==, 1);
    g_assert_cmpint((int32_t)ld32be(b + 12), ==, -257);
    put(fd, "\5\5\0\40\0\30", 6); /* the left and the right button */
    put(fd, "\5\20\0\40\0\30", 6); /* the wheel towards the user */
    put(fd, "\5\1\377\377\377\377", 6); /* outside */
    for (unsigned n = 0; n < 20000 && f->buttons != INPUT_LEFT; n++)
        turn(f);
    g_assert_cmpuint(f->buttons, ==, INPUT_LEFT);
    g_assert_cmpint(f->dz, ==, 1);
    g_assert_true(f->x >= INPUT_SCALE - INPUT_SCALE / 32 && f->x < INPUT_SCALE && f->y < INPUT_SCALE);
    leave(f, fd);
    g_assert_cmpuint(f->buttons, ==, 0);
}

static void test_fit(Fixture *f, gconstpointer data)
{
    uint8_t size[24] = { 251, 0, 0, 200, 0, 150, 1 };
    (void)data;
    int fd = viewer_open(f, 64, 48);
    st16be(size + 16, 200);
    st16be(size + 18, 150);
    put(fd, size, sizeof size);
    for (unsigned n = 0; n < 20000 && !f->fit_width; n++)
        turn(f);
    g_assert_cmpuint(f->fit_width, ==, 200);
    g_assert_cmpuint(f->fit_height, ==, 150);
    leave(f, fd);
}

/* None is set, or the response is wrong. */
static void test_password(Fixture *f, gconstpointer data)
{
    GError *err = NULL;
    (void)data;
    for (unsigned round = 0; round < 2; round++) {
        uint8_t b[16];
        int fd = viewer_connect(f);
        g_assert_true(get(f, fd, b, 12));
        put(fd, "RFB 003.008\n", 12);
        g_assert_true(get(f, fd, b, 2));
        g_assert_cmpmem(b, 2, "\1\2", 2);
        put(fd, "\2", 1);
        g_assert_true(get(f, fd, b, 16));
        put(fd, "0123456789abcdef", 16);
        g_assert_true(get(f, fd, b, 4));
        g_assert_cmpuint(ld32be(b), ==, 1);
        close(fd);
        g_assert_true(vnc_set_password(f->m, "secret", true, &err));
        g_assert_no_error(err);
    }
    int fd = viewer_connect(f);
    uint8_t b[16];
    g_assert_true(get(f, fd, b, 12));
    put(fd, "RFB 003.008\n\1\1", 14); /* without one, though it was not offered */
    g_assert_false(get(f, fd, b, 2) && get(f, fd, b, 4));
    close(fd);
}

/* Bytes at random, in the opening or after it; a viewer that behaves is served after each some. */
static void test_hostile(Fixture *f, gconstpointer data)
{
    static const uint8_t types[] = { 0, 2, 3, 4, 5, 6, 7, 8, 250, 251, 255 };
    GRand *r = g_rand_new_with_seed(3);
    (void)data;
    for (unsigned round = 0; round < 300; round++) {
        uint8_t b[256];
        unsigned size = g_rand_int_range(r, 1, sizeof b);
        int fd = round % 3 ? viewer_open(f, 64, 48) : viewer_connect(f);
        for (unsigned n = 0; n < size; n++)
            b[n] = g_rand_int(r) & (round & 4 ? 0xff : 7);
        b[0] = types[g_rand_int_range(r, 0, G_N_ELEMENTS(types))];
        put(fd, b, size);
        turn(f);
        close(fd);
        if (round % 50 == 0) {
            fd = viewer_open(f, 64, 48);
            assert_picture(f, fd, false);
            close(fd);
        }
        while (viewers(f))
            turn(f);
    }
    g_rand_free(r);
    g_assert_cmpuint(f->keys_down, ==, 0);
}

/* One that asks and takes nothing is asked for no patience by the others. */
static void test_greedy(Fixture *f, gconstpointer data)
{
    (void)data;
    draw(f, 1024, 768, 9);
    int greedy = viewer_open(f, 1024, 768);
    for (unsigned n = 0; n < 50; n++) {
        request(greedy, false, 1024, 768);
        turn(f);
    }
    int fd = viewer_open(f, 1024, 768);
    assert_picture(f, fd, false);
    close(greedy);
    leave(f, fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/vnc/pictures", Fixture, "", setup, test_pictures, teardown);
    g_test_add("/vnc/size", Fixture, "", setup, test_size, teardown);
    g_test_add("/vnc/input", Fixture, "", setup, test_input, teardown);
    g_test_add("/vnc/pointer", Fixture, "", setup, test_pointer, teardown);
    g_test_add("/vnc/fit", Fixture, "", setup, test_fit, teardown);
    g_test_add("/vnc/password", Fixture, ",password=on", setup, test_password, teardown);
    g_test_add("/vnc/hostile", Fixture, "", setup, test_hostile, teardown);
    g_test_add("/vnc/greedy", Fixture, "", setup, test_greedy, teardown);
    return g_test_run();
}
#endif
