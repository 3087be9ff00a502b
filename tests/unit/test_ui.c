/*
 * What faces have in common (ui/): views of screens, typing and layouts, pictures, films, the table of displays.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <zlib.h>

#include "core/machine.h"
#include "hw/display/console.h"
#include "ui/avi.h"
#include "ui/banner.h"
#include "ui/keymap.h"
#include "ui/picture.h"
#include "ui/record.h"
#include "ui/typing.h"
#include "ui/ui.h"
#include "ui/view.h"
#include "util/endian.h"

/* ---- a machine with a screen and a keyboard that note all ---- */

typedef struct Fixture {
    Machine *m;
    Console console;
    unsigned updates;
    unsigned mark_from, mark_count; /* lines that the next update changes */
    uint32_t color;
    GString *keys;                  /* "+04 -04 ..." */
    unsigned leds;
} Fixture;

static void update(void *opaque, bool all)
{
    Fixture *f = opaque;
    Surface *s = &f->console.surface;
    (void)all;
    f->updates++;
    for (unsigned y = f->mark_from; y < f->mark_from + f->mark_count; y++)
        for (unsigned x = 0; x < s->width; x++)
            s->pixels[y * s->width + x] = f->color + x + y;
    console_mark_lines(&f->console, f->mark_from, f->mark_count);
    f->mark_count = 0;
}

static void key(void *opaque, unsigned usage, bool down)
{
    Fixture *f = opaque;
    g_string_append_printf(f->keys, "%c%02x ", down ? '+' : '-', usage);
}

static const ConsoleOps console_ops = { .update = update };
static const InputSink keyboard = { .name = "keyboard", .key = key };

static void set_up(Fixture *f)
{
    GError *err = NULL;
    memset(f, 0, sizeof *f);
    f->m = machine_new(1 << 20, &err);
    g_assert_no_error(err);
    f->keys = g_string_new(NULL);
    f->console = (Console){ .ops = &console_ops, .opaque = f };
    console_announce(&f->console, f->m);
    console_resize(&f->console, 64, 48);
    input_add(f->m, &keyboard, f, true);
    machine_lock(f->m);
}

static void tear_down(Fixture *f)
{
    display_close_all(f->m);
    record_end(f->m);
    typing_free(f->m);
    input_remove(f->m, f);
    console_withdraw(&f->console, f->m);
    machine_unlock(f->m);
    machine_free(f->m);
    g_string_free(f->keys, TRUE);
}

/* Until *count has grown, or for that many milliseconds. */
static void wait_for(Fixture *f, const unsigned *count, unsigned ms)
{
    unsigned before = *count;
    int64_t end = g_get_monotonic_time() + ms * 1000;
    while (*count == before && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(f->m->context, FALSE))
            g_usleep(1000);
}

/* ---- views ---- */

typedef struct Seen {
    unsigned sizes, cursors, rounds, width, height;
    GString *lines; /* "0+48 " */
} Seen;

static void seen_size(void *opaque, unsigned width, unsigned height)
{
    Seen *s = opaque;
    s->sizes++;
    s->width = width;
    s->height = height;
}

static void seen_lines(void *opaque, unsigned y, unsigned count)
{
    g_string_append_printf(((Seen *)opaque)->lines, "%u+%u ", y, count);
}

static void seen_cursor(void *opaque, const ConsoleCursor *c)
{
    (void)c;
    ((Seen *)opaque)->cursors++;
}

static void seen_done(void *opaque) { ((Seen *)opaque)->rounds++; }

static const ViewOps seen_ops = { seen_size, seen_lines, seen_cursor, seen_done };

static void expect_round(Fixture *f, Seen *s, const char *lines)
{
    g_string_truncate(s->lines, 0);
    wait_for(f, &s->rounds, 2000);
    g_assert_cmpstr(s->lines->str, ==, lines);
}

static void test_view(void)
{
    Fixture f;
    Seen s = { .lines = g_string_new(NULL) };
    set_up(&f);
    View *v = view_new(f.m, 0, &seen_ops, &s);
    expect_round(&f, &s, "0+48 ");
    g_assert_cmpuint(s.sizes, ==, 1);
    g_assert_cmpuint(s.width, ==, 64);
    f.mark_from = 3;
    f.mark_count = 2;
    expect_round(&f, &s, "3+2 ");
    g_assert_cmpuint(s.cursors, ==, 1);
    console_move_cursor(&f.console, 5, 6, true);
    expect_round(&f, &s, "");
    g_assert_cmpuint(s.cursors, ==, 2);
    view_hurry(v, true);
    expect_round(&f, &s, "0+48 ");
    console_resize(&f.console, 32, 16);
    expect_round(&f, &s, "0+16 ");
    g_assert_cmpuint(s.sizes, ==, 3);
    g_assert_cmpuint(s.height, ==, 16);
    view_free(v);
    g_string_free(s.lines, TRUE);
    tear_down(&f);
}

/* Fewer looks while nothing changes, none while nobody sees it. */
static void test_view_idle(void)
{
    Fixture f;
    Seen s = { .lines = g_string_new(NULL) };
    unsigned never = 0;
    set_up(&f);
    View *v = view_new(f.m, 0, &seen_ops, &s);
    wait_for(&f, &never, 1200);
    unsigned before = f.updates;
    g_assert_cmpuint(before, >=, 3);
    wait_for(&f, &never, 400);
    g_assert_cmpuint(f.updates - before, <=, 8); /* of 12 at the full rate */
    view_show(v, false);
    before = f.updates;
    wait_for(&f, &never, 200);
    g_assert_cmpuint(f.updates, ==, before);
    view_show(v, true);
    wait_for(&f, &f.updates, 2000);
    g_assert_cmpuint(f.updates, ==, before + 1);
    view_choose(v, 1); /* there is no such screen */
    wait_for(&f, &never, 100);
    g_assert_null(view_console(v));
    view_free(v);
    g_string_free(s.lines, TRUE);
    tear_down(&f);
}

/* ---- keys ---- */

static char *strokes_of(const char *layout, uint32_t character)
{
    KeyStroke s[STROKES_MAX];
    GString *text = g_string_new(NULL);
    unsigned count = layout_strokes(layout_find(layout, NULL), character, s);
    for (unsigned n = 0; n < count; n++)
        g_string_append_printf(text, "%s%s%s%s%02x", n ? " " : "", s[n].modifiers & STROKE_CTRL ? "C" : "",
                               s[n].modifiers & STROKE_SHIFT ? "S" : "", s[n].modifiers & STROKE_ALTGR ? "G" : "",
                               s[n].key);
    return g_string_free(text, FALSE);
}

static void test_layouts(void)
{
    static const struct { const char *layout, *character, *strokes; } rows[] = {
        { "us", "a", "04" }, { "us", "A", "S04" }, { "us", "<", "S36" }, { "us", "|", "S31" }, { "us", "\n", "28" },
        { "us", "\t", "2b" }, { "us", "\003", "C06" }, { "us", "é", "" }, { "us", " ", "2c" },
        { "us", "\xc2\xa0", "2c" }, { "en-us", "~", "S35" }, { "uk", "£", "S20" }, { "gb", "#", "31" },
        { "uk", "@", "S34" }, { "uk", "\\", "64" }, { "de", "z", "1c" }, { "de", "y", "1d" }, { "de", "ß", "2d" },
        { "de", "@", "G14" }, { "de", "{", "G24" }, { "de", "<", "64" }, { "de", "^", "35 2c" },
        { "de", "é", "2e 08" }, { "de", "È", "S2e S08" }, { "de", "Ü", "S2f" }, { "de", "€", "G08" },
        { "de", "\\", "G2d" }, { "de", "°", "S35" }, { "de", "\003", "C06" }, { "fr", "a", "14" },
        { "fr", "1", "S1e" }, { "fr", "é", "1f" }, { "fr", "ê", "2f 08" }, { "fr", "Ë", "S2f S08" },
        { "fr", "m", "33" }, { "fr", ".", "S36" }, { "fr", "@", "G27" }, { "fr", "\001", "C14" }, { "es", "ñ", "33" },
        { "es", "á", "34 04" }, { "es", "¿", "S2e" }, { "es", "`", "2f 2c" }, { "es", "~", "G21" },
        { "it", "è", "2f" }, { "it", "€", "G08" }, { "it", "[", "G2f" }, { "sv", "å", "2f" }, { "se", "~", "G30 2c" },
        { "sv", "}", "G27" }, { "da", "ø", "34" }, { "no", "ø", "33" }, { "fi", "€", "G08" }, { "pt-br", "/", "87" },
        { "pt", "ã", "31 04" }, { "pl", "ą", "G04" }, { "pl", "<", "S36" }, { "cz", "ř", "22" },
        { "cz", "Ř", "S2e S15" }, { "hu", "ű", "31" }, { "tr", "ı", "0c" }, { "tr", "i", "34" },
        { "de-ch", "~", "G2e 2c" }, { "ch", "ç", "S21" },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
        g_autofree char *strokes = strokes_of(rows[n].layout, g_utf8_get_char(rows[n].character));
        if (strcmp(strokes, rows[n].strokes))
            g_error("%s '%s': %s, not %s", rows[n].layout, rows[n].character, strokes, rows[n].strokes);
    }
}

/* Every layout has all of ASCII, and no two keys for one of its characters without need. */
static void test_layouts_complete(void)
{
    for (unsigned n = 0; layout_nth(n); n++)
        for (uint32_t c = ' '; c < 0x7f; c++) {
            KeyStroke s[STROKES_MAX];
            if (!layout_strokes(layout_nth(n), c, s))
                g_error("%s lacks '%c'", layout_name(layout_nth(n)), c);
        }
    GError *err = NULL;
    g_assert_null(layout_find("dee", &err));
    g_assert_cmpstr(err->message, ==, "-k: unknown layout 'dee' (did you mean 'de'?); known: us, uk, de, de-ch, fr, "
                    "fr-be, fr-ca, fr-ch, es, it, pt, pt-br, sv, da, no, fi, pl, cz, hu, tr");
    g_error_free(err);
}

static void test_codes(void)
{
    g_assert_cmpuint(key_of_sdl(4), ==, 4);
    g_assert_cmpuint(key_of_sdl(0xe7), ==, 0xe7);
    g_assert_cmpuint(key_of_sdl(257), ==, KEY_RIGHT_ALT);
    g_assert_cmpuint(key_of_sdl(0), ==, 0);
    g_assert_cmpuint(key_of_sdl(500), ==, 0);
    for (unsigned code = 1; code <= 0x58; code++) /* 54h: system request; 55h: none */
        g_assert_true((key_of_xt(code) != 0) == (code != 0x55));
    g_assert_cmpuint(key_of_xt(0x1e), ==, 4);
    g_assert_cmpuint(key_of_xt(0x9c), ==, 0x58);
    g_assert_cmpuint(key_of_xt(0xe01c), ==, 0x58);
    g_assert_cmpuint(key_of_xt(0xc6), ==, 0x48);
    g_assert_cmpuint(key_of_xt(0xb7), ==, 0x46);
    g_assert_cmpuint(key_of_xt(0x12345), ==, 0);
    g_assert_cmpuint(key_of_keysym(0xff0d), ==, 0x28);
    g_assert_cmpuint(key_of_keysym(0xffc9), ==, 0x45);
    g_assert_cmpuint(key_of_keysym(0xffb5), ==, 0x5d);
    g_assert_cmpuint(key_of_keysym('a'), ==, 0);
    g_assert_cmpuint(character_of_keysym('a'), ==, 'a');
    g_assert_cmpuint(character_of_keysym(0x20ac), ==, 0x20ac);
    g_assert_cmpuint(character_of_keysym(0x10020ac), ==, 0x20ac);
    g_assert_cmpuint(character_of_keysym(0x1b1), ==, 0x105); /* aogonek */
    g_assert_cmpuint(character_of_keysym(0xfe51), ==, 0x301);
    g_assert_cmpuint(character_of_keysym(0xff0d), ==, 0);
    g_assert_cmpuint(character_of_keysym(0xffffffff), ==, 0);
}

static void run_clock(Fixture *f, unsigned ms)
{
    for (unsigned n = 0; n < ms; n++) {
        clock_set(f->m->clocks, clock_now(f->m->clocks, MYNA_CLOCK_VIRTUAL) + 1000000);
        clock_fire_due(f->m->clocks);
    }
}

static void test_typing(void)
{
    Fixture f;
    unsigned left_out;
    GError *err = NULL;
    set_up(&f);
    g_assert_true(typing_text(f.m, "aB\r\nж", &left_out, &err));
    g_assert_cmpuint(left_out, ==, 1);
    run_clock(&f, 100);
    g_assert_cmpstr(f.keys->str, ==, "+04 -04 +e1 +05 -05 -e1 +28 -28 ");
    g_string_truncate(f.keys, 0);
    layout_set(f.m, layout_find("fr", NULL));
    input_set_leds(f.m, &f, INPUT_CAPS_LOCK); /* turns the letters around, and only these */
    g_assert_true(typing_text(f.m, "a1Q", &left_out, &err));
    run_clock(&f, 100);
    g_assert_cmpstr(f.keys->str, ==, "+e1 +14 -14 -e1 +e1 +1e -1e -e1 +04 -04 ");
    g_string_truncate(f.keys, 0);
    g_assert_false(typing_text(f.m, "\xff", NULL, &err));
    g_assert_cmpstr(err->message, ==, "this is no text (UTF-8)");
    g_clear_error(&err);
    g_assert_true(typing_text(f.m, "aaaa", NULL, &err));
    g_assert_cmpstr(f.keys->str, ==, "+e1 +14 ");
    typing_stop(f.m);
    run_clock(&f, 100);
    g_assert_cmpstr(f.keys->str, ==, "+e1 +14 -14 -e1 ");
    g_autofree char *much = g_strnfill(TYPING_TEXT_MAX, 'x');
    g_assert_true(typing_text(f.m, much, NULL, &err));
    g_assert_false(typing_text(f.m, "abc", NULL, &err));
    g_clear_error(&err);
    typing_stop(f.m);
    g_assert_true(typing_text(f.m, "b", NULL, &err));
    tear_down(&f);
}

/* ---- pictures ---- */

/* Checks a PNG chunk by chunk; returns the lines' bytes, newly allocated. */
static uint8_t *png_lines(const uint8_t *png, gsize size, unsigned *width, unsigned *height)
{
    static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', 13, 10, 26, 10 };
    uint8_t *lines = NULL;
    gsize at = 8;
    g_assert_cmpmem(png, 8, signature, 8);
    while (at < size) {
        uint32_t length = ld32be(png + at);
        g_assert_cmpuint(crc32(0, png + at + 4, length + 4), ==, ld32be(png + at + 8 + length));
        if (!memcmp(png + at + 4, "IHDR", 4)) {
            *width = ld32be(png + at + 8);
            *height = ld32be(png + at + 12);
        } else if (!memcmp(png + at + 4, "IDAT", 4)) {
            uLongf room = (3 * *width + 1) * *height;
            lines = g_malloc(room);
            g_assert_cmpint(uncompress(lines, &room, png + at + 8, length), ==, Z_OK);
            g_assert_cmpuint(room, ==, (3 * *width + 1) * *height);
        }
        at += 12 + length;
    }
    g_assert_cmpuint(at, ==, size);
    return lines;
}

static void check_png(const Fixture *f, const uint8_t *png, gsize size)
{
    unsigned width = 0, height = 0;
    g_autofree uint8_t *lines = png_lines(png, size, &width, &height);
    const Surface *s = &f->console.surface;
    g_assert_cmpuint(width, ==, s->width);
    g_assert_cmpuint(height, ==, s->height);
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            const uint8_t *dot = lines + y * (3 * width + 1) + 1 + 3 * x;
            g_assert_cmphex((uint32_t)dot[0] << 16 | dot[1] << 8 | dot[2], ==, s->pixels[y * width + x]);
        }
}

static void test_picture(void)
{
    Fixture f;
    GError *err = NULL;
    g_autofree char *folder = g_dir_make_tmp("myna-ui-XXXXXX", NULL), *data = NULL;
    g_autofree char *png = g_build_filename(folder, "a.PNG", NULL), *ppm = g_build_filename(folder, "a", NULL);
    gsize size;
    set_up(&f);
    f.mark_count = 48;
    f.color = 0x123456;
    g_assert_true(picture_write(&f.console, png, PICTURE_BY_NAME, &err));
    g_assert_true(g_file_get_contents(png, &data, &size, NULL));
    check_png(&f, (uint8_t *)data, size);
    g_assert_true(picture_write(&f.console, ppm, PICTURE_BY_NAME, &err));
    g_clear_pointer(&data, g_free);
    g_assert_true(g_file_get_contents(ppm, &data, &size, NULL));
    g_assert_true(g_str_has_prefix(data, "P6\n64 48\n255\n"));
    g_assert_false(picture_write(&f.console, "/nowhere/x.png", PICTURE_BY_NAME, &err));
    g_assert_true(g_str_has_prefix(err->message, "screendump: "));
    g_clear_error(&err);
    g_unlink(png);
    g_unlink(ppm);
    g_rmdir(folder);
    tear_down(&f);
}

static void test_banner(void)
{
    Banner b = banner_make("I\n~\303\251", 2);
    g_assert_cmpuint(b.width, ==, (3 * 6 + 16) * 2);
    g_assert_cmpuint(b.height, ==, (2 * 10 + 16) * 2);
    unsigned ink = 0;
    for (unsigned n = 0; n < 8 * 6 * 4; n++) /* the first character's cell */
        ink += b.pixels[(16 + n / 12) * b.width + 16 + n % 12] == 0xfff4f4f0;
    g_assert_cmpuint(ink, ==, (3 + 5 + 3) * 4);
    banner_clear(&b);
    g_assert_null(b.pixels);
}

/* ---- films ---- */

static void test_avi(void)
{
    GError *err = NULL;
    g_autofree char *folder = g_dir_make_tmp("myna-ui-XXXXXX", NULL), *data = NULL;
    g_autofree char *path = g_build_filename(folder, "a.avi", NULL);
    gsize size;
    Avi *a = avi_create(path, "MPNG", 640, 400, 25, &err);
    g_assert_no_error(err);
    g_assert_true(avi_frame(a, (const uint8_t *)"abc", 3));
    g_assert_true(avi_frame(a, NULL, 0));
    g_assert_true(avi_frame(a, (const uint8_t *)"defg", 4));
    g_assert_true(avi_close(a, &err));
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    const uint8_t *d = (const uint8_t *)data;
    g_assert_cmpmem(d, 4, "RIFF", 4);
    g_assert_cmpuint(ld32le(d + 4), ==, size - 8);
    g_assert_cmpmem(d + 8, 8, "AVI LIST", 8);
    unsigned movie = 20 + ld32le(d + 16);
    g_assert_cmpmem(d + movie, 4, "LIST", 4);
    g_assert_cmpmem(d + movie + 8, 8, "movi00dc", 8);
    g_assert_cmpmem(d + movie + 20, 4, "abc", 4);
    unsigned index = movie + 8 + ld32le(d + movie + 4);
    g_assert_cmpmem(d + index, 4, "idx1", 4);
    g_assert_cmpuint(ld32le(d + index + 4), ==, 48);
    g_assert_cmpuint(size, ==, index + 8 + 48);
    unsigned last = movie + 8 + ld32le(d + index + 8 + 32 + 8);
    g_assert_cmpmem(d + last + 8, 4, "defg", 4);
    g_assert_cmpuint(ld32le(d + 32 + 16), ==, 3); /* frames in avih */
    g_assert_null(avi_create("/nowhere/x.avi", "MPNG", 1, 1, 25, &err));
    g_clear_error(&err);
    g_unlink(path);
    g_rmdir(folder);
}

/* 2 s of the guest's clock are 50 frames, of which as many are pictures as there were changes. */
static void test_record(void)
{
    Fixture f;
    GError *err = NULL;
    g_autofree char *folder = g_dir_make_tmp("myna-ui-XXXXXX", NULL), *data = NULL;
    g_autofree char *path = g_build_filename(folder, "a.avi", NULL);
    gsize size;
    unsigned pictures = 0;
    set_up(&f);
    g_assert_false(record_stop(f.m, &err));
    g_clear_error(&err);
    g_assert_true(record_start(f.m, 0, path, &err));
    g_assert_false(record_start(f.m, 0, path, &err));
    g_clear_error(&err);
    run_clock(&f, 1000);
    f.mark_count = 10;
    f.color = 0xabcdef;
    run_clock(&f, 999);
    g_assert_true(record_stop(f.m, &err));
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    const uint8_t *d = (const uint8_t *)data;
    g_assert_cmpuint(ld32le(d + 32 + 16), ==, 50);
    unsigned at = 20 + ld32le(d + 16) + 12;
    for (; !memcmp(d + at, "00dc", 4); at += 8 + (ld32le(d + at + 4) + 1) / 2 * 2)
        if (ld32le(d + at + 4) && ++pictures > 1)
            check_png(&f, d + at + 8, ld32le(d + at + 4));
    g_assert_cmpuint(pictures, ==, 3); /* the last one again at the end */
    g_assert_false(record_start(f.m, 1, path, &err));
    g_assert_cmpstr(err->message, ==, "record_screen: this machine has no screen 1");
    g_clear_error(&err);
    g_unlink(path);
    g_rmdir(folder);
    tear_down(&f);
}

/* ---- displays ---- */

static void test_displays(void)
{
    Fixture f;
    GError *err = NULL;
    const char *id;
    g_autoptr(GString) about = g_string_new(NULL);
    set_up(&f);
    g_assert_true(display_open(f.m, "none", &err));
    g_assert_false(display_nth(f.m, 0, &id, about));
    g_assert_false(display_open(f.m, "nonsense,x=1", &err));
    g_assert_true(g_str_has_prefix(err->message, "-display: unknown display 'nonsense'"));
    g_clear_error(&err);
    g_assert_false(display_close(f.m, "none", &err));
    g_clear_error(&err);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ui/view", test_view);
    g_test_add_func("/ui/view-idle", test_view_idle);
    g_test_add_func("/ui/layouts", test_layouts);
    g_test_add_func("/ui/layouts-complete", test_layouts_complete);
    g_test_add_func("/ui/codes", test_codes);
    g_test_add_func("/ui/typing", test_typing);
    g_test_add_func("/ui/picture", test_picture);
    g_test_add_func("/ui/banner", test_banner);
    g_test_add_func("/ui/avi", test_avi);
    g_test_add_func("/ui/record", test_record);
    g_test_add_func("/ui/displays", test_displays);
    return g_test_run();
}
