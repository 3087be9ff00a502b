/* virtio-gpu-pci and virtio-vga as a driver sees them (Virtual I/O Device 1.2, 5.7), and what viewers see of them. */
#include "hw/display/console.h"
#include "hw/virtio/virtio_gpu.h"
#include "virtio_driver.h"

#define V1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
enum { EDID = 2, HEAD = 24 };
enum {
    GET_DISPLAY_INFO = 0x100, CREATE_2D = 0x101, UNREF = 0x102, SET_SCANOUT = 0x103, FLUSH = 0x104, TRANSFER = 0x105,
    ATTACH = 0x106, DETACH = 0x107, GET_EDID = 0x10a, UPDATE_CURSOR = 0x300, MOVE_CURSOR = 0x301
};
enum {
    OK = 0x1100, OK_DISPLAY_INFO = 0x1101, OK_EDID = 0x1104, UNSPECIFIED = 0x1200, NO_MEMORY = 0x1201,
    NO_SCANOUT = 0x1202, NO_RESOURCE = 0x1203, WRONG = 0x1205
};
enum { REQUEST_AT = BUFFERS_AT, ANSWER_AT = BUFFERS_AT + 0x10000, PIXELS_AT = 0x400000 };
enum { BGRX = 2, BGRA = 1 };

typedef struct Gpu {
    Driver d;
    Device *device;
} Gpu;

/* ---- fixture ---- */

static void up_with(Gpu *g, const DeviceType *type, const char *property, const char *value)
{
    GError *err = NULL;
    driver_machine_up(&g->d);
    g->device = device_add(g->d.m, type, NULL, &err, "addr", "0x18", property, value, NULL);
    g_assert_no_error(err);
    machine_reset(g->d.m);
    driver_map(&g->d);
    driver_start(&g->d, V1 | EDID, 2);
}

static void up(Gpu *g) { up_with(g, &virtio_gpu_type, NULL, NULL); }
static void down(Gpu *g) { driver_machine_down(&g->d); }

static Console *console(Gpu *g) { return console_nth(g->d.m, 0); }

static void save_into(Gpu *from, Gpu *to)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(from->d.m);
    machine_load(to->d.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    memcpy(to->d.queue, from->d.queue, sizeof to->d.queue);
    settle(&to->d);
}

static void save_and_restore(Gpu *g)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(g->d.m);
    machine_reset(g->d.m);
    machine_load(g->d.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    settle(&g->d);
}

/* ---- commands ---- */

/* A command of words behind its header, with a fence; returns the answer's type. */
static uint32_t command(Gpu *g, unsigned queue, uint32_t type, const uint32_t *words, unsigned n)
{
    uint64_t fence = UINT64_C(0x1122334455667788);
    Segment s[] = { { REQUEST_AT, HEAD + 4 * n, false }, { ANSWER_AT, 2048, true } };

    mwrite(&g->d, REQUEST_AT, type, 4);
    mwrite(&g->d, REQUEST_AT + 4, 1, 4);
    mwrite(&g->d, REQUEST_AT + 8, fence, 8);
    mwrite(&g->d, REQUEST_AT + 16, 0x55, 8);
    for (unsigned k = 0; k < n; k++)
        mwrite(&g->d, REQUEST_AT + HEAD + 4 * k, words[k], 4);
    mwrite(&g->d, ANSWER_AT, 0, 8);
    g_assert_cmpuint(driver_request(&g->d, queue, s, 2), >=, HEAD);
    g_assert_cmphex(mread(&g->d, ANSWER_AT + 4, 4), ==, 1);
    g_assert_cmphex(mread(&g->d, ANSWER_AT + 8, 8), ==, fence);
    g_assert_cmphex(mread(&g->d, ANSWER_AT + 16, 4), ==, 0x55);
    return mread(&g->d, ANSWER_AT, 4);
}

#define COMMAND(g, type, ...)                                                                                         \
    command(g, 0, type, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)
#define CURSOR(g, type, ...)                                                                                          \
    command(g, 1, type, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static uint32_t create(Gpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
    return COMMAND(g, CREATE_2D, id, format, width, height);
}
static uint32_t show(Gpu *g, uint32_t n, uint32_t id, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    return COMMAND(g, SET_SCANOUT, x, y, w, h, n, id);
}
static uint32_t flush(Gpu *g, uint32_t id, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    return COMMAND(g, FLUSH, x, y, w, h, id, 0);
}
static uint32_t transfer(Gpu *g, uint32_t id, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint64_t offset)
{
    return COMMAND(g, TRANSFER, x, y, w, h, (uint32_t)offset, (uint32_t)(offset >> 32), id, 0);
}
static uint32_t attach(Gpu *g, uint32_t id, uint32_t gpa, uint32_t size)
{
    return COMMAND(g, ATTACH, id, 1, gpa, 0, size, 0);
}

static uint32_t pixel(Gpu *g, unsigned x, unsigned y)
{
    const Surface *s = &console(g)->surface;
    g_assert_cmpuint(x, <, s->width);
    g_assert_cmpuint(y, <, s->height);
    return s->pixels[y * s->width + x];
}

static void expect_size(Gpu *g, unsigned width, unsigned height)
{
    console_update(console(g), false);
    g_assert_cmpuint(console(g)->surface.width, ==, width);
    g_assert_cmpuint(console(g)->surface.height, ==, height);
}

static void fill(Gpu *g, uint64_t at, unsigned pixels, uint32_t first)
{
    for (unsigned n = 0; n < pixels; n++)
        mwrite(&g->d, at + 4 * n, first + n, 4);
}

/* ---- tests ---- */

static void test_identity(void)
{
    Gpu g;
    up_with(&g, &virtio_gpu_type, "max_outputs", "3");
    g_assert_cmphex(config_read(&g.d, 0, 4), ==, 0x10501af4);
    g_assert_cmphex(config_read(&g.d, 9, 4) & 0xffffff, ==, 0x038000);
    g_assert_cmpuint(mread(&g.d, DEVICE_CONFIG + 8, 4), ==, 3);
    g_assert_cmpuint(mread(&g.d, DEVICE_CONFIG + 12, 4), ==, 0);
    g_assert_cmphex(driver_offered(&g.d) & 0x1f, ==, EDID);
    g_assert_nonnull(console_nth(g.d.m, 2));
    g_assert_null(console_nth(g.d.m, 3));
    down(&g);
}

/* 5.7.6.8: sizes, and a viewer's wish, of which an event tells. */
static void test_display_info(void)
{
    Gpu g;
    up_with(&g, &virtio_gpu_type, "max_outputs", "2");
    driver_enable_msix(&g.d, 3);
    mwrite(&g.d, COMMON + 16, 0, 2);
    g_assert_cmphex(command(&g, 0, GET_DISPLAY_INFO, NULL, 0), ==, OK_DISPLAY_INFO);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 8, 4), ==, 1280);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 12, 4), ==, 800);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 16, 4), ==, 1);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 24 + 16, 4), ==, 0); /* nobody looks at the second */

    unsigned messages = g.d.msi[0];
    g_assert_true(console_fit(console(&g), 1111, 777));
    g_assert_true(console_fit(console_nth(g.d.m, 1), 640, 480));
    g_assert_cmpuint(g.d.msi[0], ==, messages + 2);
    console_fit(console(&g), 1111, 777); /* no news */
    g_assert_cmpuint(g.d.msi[0], ==, messages + 2);
    g_assert_cmphex(mread(&g.d, DEVICE_CONFIG, 4), ==, 1);
    mwrite(&g.d, DEVICE_CONFIG + 4, 1, 4);
    g_assert_cmphex(mread(&g.d, DEVICE_CONFIG, 4), ==, 0);
    command(&g, 0, GET_DISPLAY_INFO, NULL, 0);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 8, 4), ==, 1111);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 24 + 8, 4), ==, 640);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 24 + 16, 4), ==, 1);

    g_assert_cmphex(COMMAND(&g, GET_EDID, 0, 0), ==, OK_EDID);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD, 4), ==, 256);
    uint8_t edid[128], sum = 0;
    as_read_bytes(g.d.m->memory, ANSWER_AT + HEAD + 8, edid, sizeof edid);
    for (unsigned n = 0; n < sizeof edid; n++)
        sum += edid[n];
    g_assert_cmphex(sum, ==, 0);
    g_assert_cmpuint(edid[56] | edid[58] >> 4 << 8, ==, 1111);
    g_assert_cmpuint(edid[59] | edid[61] >> 4 << 8, ==, 777);
    g_assert_cmphex(COMMAND(&g, GET_EDID, 2, 0), ==, WRONG);
    save_and_restore(&g);
    command(&g, 0, GET_DISPLAY_INFO, NULL, 0);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 12, 4), ==, 777);
    console_fit(console_nth(g.d.m, 1), 0, 0); /* the viewer has gone */
    command(&g, 0, GET_DISPLAY_INFO, NULL, 0);
    g_assert_cmpuint(mread(&g.d, ANSWER_AT + HEAD + 24 + 16, 4), ==, 0);
    down(&g);
}

/* A picture in two pieces of memory, a part of it on the screen, and nothing drawn that was not flushed. */
static void test_picture(void)
{
    Gpu g;
    up(&g);
    expect_size(&g, 640, 480);
    g_assert_cmphex(create(&g, 7, BGRX, 100, 50), ==, OK);
    fill(&g, PIXELS_AT, 3000, 0xff000000);
    fill(&g, PIXELS_AT + 0x10000, 2000, 0xff000000 + 3000);
    g_assert_cmphex(COMMAND(&g, ATTACH, 7, 2, PIXELS_AT, 0, 12000, 0, PIXELS_AT + 0x10000, 0, 8000, 0), ==, OK);
    g_assert_cmphex(show(&g, 0, 7, 10, 20, 80, 30), ==, OK);
    expect_size(&g, 80, 30);
    g_assert_cmphex(pixel(&g, 0, 0), ==, 0);
    g_assert_cmphex(transfer(&g, 7, 0, 0, 100, 50, 0), ==, OK);
    console_update(console(&g), false);
    g_assert_cmphex(pixel(&g, 0, 0), ==, 0); /* not flushed */
    g_assert_cmphex(flush(&g, 7, 0, 0, 100, 50), ==, OK);
    console_update(console(&g), false);
    for (unsigned y = 0; y < 30; y++)
        for (unsigned x = 0; x < 80; x++)
            g_assert_cmphex(pixel(&g, x, y), ==, (y + 20) * 100 + x + 10);

    /* A small part: its lines are drawn, no others. */
    fill(&g, PIXELS_AT + 0x10000, 2000, 0x00aa0000);
    g_assert_cmphex(transfer(&g, 7, 50, 30, 3, 2, 12000 + 200), ==, OK); /* as Linux: offset of the first pixel */
    uint64_t before = console_update(console(&g), false);
    g_assert_cmphex(flush(&g, 7, 50, 30, 3, 2), ==, OK);
    console_update(console(&g), false);
    for (unsigned y = 0; y < 30; y++)
        g_assert_true((console(&g)->line_serial[y] > before) == (y == 10 || y == 11));
    g_assert_cmphex(pixel(&g, 39, 10), ==, 3049);
    g_assert_cmphex(pixel(&g, 40, 10), ==, 0xaa0000 + 50);
    g_assert_cmphex(pixel(&g, 42, 11), ==, 0xaa0000 + 152);
    g_assert_cmphex(pixel(&g, 43, 11), ==, 3153);
    before = console_update(console(&g), false);
    g_assert_cmphex(flush(&g, 7, 0, 0, 10, 50), ==, OK); /* beside what is shown */
    console_update(console(&g), false);
    g_assert_cmpuint(console(&g)->line_serial[0], <=, before);

    g_assert_cmphex(COMMAND(&g, UNREF, 7, 0), ==, OK);
    expect_size(&g, 640, 480);
    g_assert_cmphex(pixel(&g, 40, 10), ==, 0);
    down(&g);
}

/* Byte orders of the eight formats. */
static void test_formats(void)
{
    static const struct { uint32_t format; uint8_t bytes[4]; } cases[] = {
        { 1, { 0x33, 0x22, 0x11, 0x44 } }, { 2, { 0x33, 0x22, 0x11, 0x44 } }, { 3, { 0x44, 0x11, 0x22, 0x33 } },
        { 4, { 0x44, 0x11, 0x22, 0x33 } }, { 67, { 0x11, 0x22, 0x33, 0x44 } }, { 68, { 0x44, 0x33, 0x22, 0x11 } },
        { 121, { 0x44, 0x33, 0x22, 0x11 } }, { 134, { 0x11, 0x22, 0x33, 0x44 } },
    };
    Gpu g;
    up(&g);
    for (unsigned n = 0; n < G_N_ELEMENTS(cases); n++) {
        g_assert_cmphex(create(&g, 1 + n, cases[n].format, 16, 16), ==, OK);
        g_assert_cmphex(attach(&g, 1 + n, PIXELS_AT, 1024), ==, OK);
        as_write_bytes(g.d.m->memory, PIXELS_AT, cases[n].bytes, 4);
        g_assert_cmphex(transfer(&g, 1 + n, 0, 0, 16, 16, 0), ==, OK);
        g_assert_cmphex(show(&g, 0, 1 + n, 0, 0, 16, 16), ==, OK);
        expect_size(&g, 16, 16);
        g_assert_cmphex(pixel(&g, 0, 0), ==, 0x112233);
    }
    g_assert_cmphex(create(&g, 100, 5, 16, 16), ==, WRONG);
    down(&g);
}

static void test_errors(void)
{
    Gpu g;
    up(&g);
    g_assert_cmphex(create(&g, 0, BGRX, 16, 16), ==, NO_RESOURCE);
    g_assert_cmphex(create(&g, 1, BGRX, 0, 16), ==, WRONG);
    g_assert_cmphex(create(&g, 1, BGRX, 16, 0xffffffff), ==, WRONG);
    g_assert_cmphex(create(&g, 1, BGRX, 16, 16), ==, OK);
    g_assert_cmphex(create(&g, 1, BGRX, 16, 16), ==, NO_RESOURCE);
    g_assert_cmphex(transfer(&g, 1, 0, 0, 16, 16, 0), ==, UNSPECIFIED); /* no backing */
    g_assert_cmphex(COMMAND(&g, DETACH, 1, 0), ==, NO_RESOURCE);
    g_assert_cmphex(attach(&g, 1, PIXELS_AT, 1024), ==, OK);
    g_assert_cmphex(attach(&g, 1, PIXELS_AT, 1024), ==, UNSPECIFIED);
    g_assert_cmphex(COMMAND(&g, ATTACH, 1, 9, 0, 0), ==, UNSPECIFIED); /* pieces that are not there */
    g_assert_cmphex(transfer(&g, 1, 0, 0, 17, 16, 0), ==, WRONG);
    g_assert_cmphex(transfer(&g, 1, 1, 0, 0xffffffff, 16, 0), ==, WRONG);
    g_assert_cmphex(transfer(&g, 1, 0, 16, 16, 1, 0), ==, WRONG);
    g_assert_cmphex(transfer(&g, 1, 0, 0, 16, 16, UINT64_MAX - 3), ==, OK); /* nothing there */
    g_assert_cmphex(transfer(&g, 1, 0, 0, 16, 16, 1000), ==, OK);           /* less there */
    g_assert_cmphex(flush(&g, 1, 0, 0, 0, 0), ==, WRONG);
    g_assert_cmphex(flush(&g, 2, 0, 0, 16, 16), ==, NO_RESOURCE);
    g_assert_cmphex(show(&g, 1, 1, 0, 0, 16, 16), ==, NO_SCANOUT);
    g_assert_cmphex(show(&g, 0, 2, 0, 0, 16, 16), ==, NO_RESOURCE);
    g_assert_cmphex(show(&g, 0, 1, 8, 8, 16, 16), ==, WRONG);
    g_assert_cmphex(COMMAND(&g, UNREF, 2, 0), ==, NO_RESOURCE);
    g_assert_cmphex(command(&g, 0, 0x10c, NULL, 0), ==, UNSPECIFIED);
    g_assert_cmphex(command(&g, 0, CREATE_2D, NULL, 0), ==, WRONG); /* too short */
    g_assert_cmphex(CURSOR(&g, UPDATE_CURSOR, 0, 0, 0, 0, 1, 0, 0, 0), ==, WRONG); /* not 64 x 64 */
    g_assert_cmphex(CURSOR(&g, UPDATE_CURSOR, 5, 0, 0, 0, 0, 0, 0, 0), ==, NO_SCANOUT);
    g_assert_cmphex(CURSOR(&g, MOVE_CURSOR, 5, 0, 0, 0, 0, 0, 0, 0), ==, NO_SCANOUT);
    g_assert_cmphex(CURSOR(&g, UPDATE_CURSOR, 0, 0, 0, 0, 9, 0, 0, 0), ==, NO_RESOURCE);
    Segment s[] = { { REQUEST_AT, 10, false }, { ANSWER_AT, 10, true } };
    g_assert_cmpuint(driver_request(&g.d, 0, s, 2), ==, 0); /* no header: no answer */
    s[0].size = HEAD;
    mwrite(&g.d, REQUEST_AT, GET_DISPLAY_INFO, 4);
    g_assert_cmpuint(driver_request(&g.d, 0, s, 2), ==, 10); /* as much as there is room for */
    down(&g);
}

/* Neither pictures nor the lists of their memory exceed max_hostmem. */
static void test_hostmem(void)
{
    Gpu g;
    unsigned n = 0;
    up_with(&g, &virtio_gpu_type, "max_hostmem", "1M");
    g_assert_cmphex(create(&g, 1, BGRX, 512, 512), ==, NO_MEMORY); /* as much, and its own */
    g_assert_cmphex(create(&g, 1, BGRX, 512, 500), ==, OK);
    g_assert_cmphex(create(&g, 2, BGRX, 512, 500), ==, NO_MEMORY);
    g_assert_cmphex(COMMAND(&g, UNREF, 1, 0), ==, OK);
    while (create(&g, ++n, BGRX, 1, 1) == OK)
        ;
    g_assert_cmpuint(n, >, 1000);
    g_assert_cmpuint(n, <, 2500);
    g_assert_cmphex(attach(&g, 1, PIXELS_AT, 4), ==, NO_MEMORY);
    g_assert_cmphex(COMMAND(&g, UNREF, 2, 0), ==, OK);
    g_assert_cmphex(attach(&g, 1, PIXELS_AT, 4), ==, OK);
    driver_start(&g.d, V1 | EDID, 2);
    g_assert_cmphex(create(&g, 1, BGRX, 256, 256), ==, OK);
    /* What is not RAM is copied: at most 1 MiB of it, and it counts. */
    g_assert_cmphex(COMMAND(&g, ATTACH, 1, 1, 0xf0000000, 0, 800 << 10, 0), ==, UNSPECIFIED);
    g_assert_cmphex(COMMAND(&g, ATTACH, 1, 1, 0xf0000000, 0, 256 << 10, 0), ==, OK);
    g_assert_cmphex(transfer(&g, 1, 0, 0, 256, 256, 0), ==, OK);
    g_assert_cmphex(create(&g, 2, BGRX, 512, 256), ==, NO_MEMORY);
    g_assert_cmphex(COMMAND(&g, DETACH, 1, 0), ==, OK);
    g_assert_cmphex(create(&g, 2, BGRX, 512, 256), ==, OK);
    g_assert_cmphex(COMMAND(&g, ATTACH, 1, 1, 0, 0, 0xffffffff, 0), ==, UNSPECIFIED);
    down(&g);
}

/* 5.7.6.10; colours come multiplied by alpha, viewers have them as they are. */
static void test_cursor(void)
{
    Gpu g, other;
    up(&g);
    up(&other);
    g_assert_cmphex(create(&g, 9, BGRA, 64, 64), ==, OK);
    g_assert_cmphex(attach(&g, 9, PIXELS_AT, 64 * 64 * 4), ==, OK);
    mwrite(&g.d, PIXELS_AT, 0xff102030, 4);
    mwrite(&g.d, PIXELS_AT + 4, 0x80402000, 4);
    g_assert_cmphex(transfer(&g, 9, 0, 0, 64, 64, 0), ==, OK);
    g_assert_cmphex(CURSOR(&g, UPDATE_CURSOR, 0, 100, 50, 0, 9, 3, 4, 0), ==, OK);
    const ConsoleCursor *c = &console(&g)->cursor;
    g_assert_true(c->on);
    g_assert_cmpuint(c->width, ==, 64);
    g_assert_cmphex(c->pixels[0], ==, 0xff102030);
    g_assert_cmphex(c->pixels[1], ==, 0x807f3f00);
    g_assert_cmpint(c->hot_x, ==, 3);
    g_assert_cmpint(c->x, ==, 103);
    g_assert_cmpint(c->y, ==, 54);
    g_assert_cmphex(CURSOR(&g, MOVE_CURSOR, 0, (uint32_t)-10, 60, 0, 0, 0, 0, 0), ==, OK);
    g_assert_cmpint(c->x, ==, -7);
    g_assert_cmphex(COMMAND(&g, UNREF, 9, 0), ==, OK); /* the picture was copied */
    save_into(&g, &other);
    c = &console(&other)->cursor;
    g_assert_true(c->on);
    g_assert_cmphex(c->pixels[1], ==, 0x807f3f00);
    g_assert_cmpint(c->x, ==, -7);
    g_assert_cmpint(c->y, ==, 64);
    g_assert_cmphex(CURSOR(&g, UPDATE_CURSOR, 0, 1, 2, 0, 0, 0, 0, 0), ==, OK);
    g_assert_false(console(&g)->cursor.on);
    down(&g);
    down(&other);
}

static void test_state(void)
{
    Gpu a, b;
    up_with(&a, &virtio_gpu_type, "max_outputs", "2");
    up_with(&b, &virtio_gpu_type, "max_outputs", "2");
    create(&a, 5, BGRX, 64, 32);
    fill(&a, PIXELS_AT, 64 * 32, 0x112200);
    attach(&a, 5, PIXELS_AT, 64 * 32 * 4);
    transfer(&a, 5, 0, 0, 64, 32, 0);
    create(&a, 0xfffffff0, BGRX, 16, 16);
    show(&a, 0, 5, 8, 8, 32, 16);
    show(&a, 1, 0xfffffff0, 0, 0, 16, 16);
    create(&b, 5, BGRX, 500, 500); /* what was there goes */
    create(&b, 6, BGRX, 500, 500);
    show(&b, 0, 5, 0, 0, 500, 500);
    fill(&a, PIXELS_AT, 64 * 32, 0x445500); /* of which nothing was transferred */
    save_into(&a, &b);
    expect_size(&b, 32, 16);
    g_assert_cmphex(pixel(&b, 0, 0), ==, 0x112200 + 8 * 64 + 8);
    g_assert_cmphex(flush(&b, 6, 0, 0, 1, 1), ==, NO_RESOURCE);
    g_assert_cmphex(transfer(&b, 5, 0, 0, 64, 32, 0), ==, OK); /* the backing is known */
    g_assert_cmphex(flush(&b, 5, 0, 0, 64, 32), ==, OK);
    console_update(console(&b), false);
    g_assert_cmphex(pixel(&b, 0, 0), ==, 0x445500 + 8 * 64 + 8);
    machine_reset(b.d.m);
    expect_size(&b, 640, 480);
    down(&a);
    down(&b);
}

/* A saved state that was changed by hand is refused, or makes sense. */
static void test_state_damage(void)
{
    Gpu a, b;
    unsigned refused = 0;
    up(&a);
    up(&b);
    create(&a, 5, BGRX, 16, 8);
    attach(&a, 5, PIXELS_AT, 16 * 8 * 4);
    show(&a, 0, 5, 8, 0, 8, 8);
    GByteArray *out = g_byte_array_new();
    virtio_gpu_type.pre_save(a.device);
    state_save(virtio_gpu_type.state, a.device, out);
    for (unsigned n = 0; n < 3000; n++) {
        g_autofree uint8_t *copy = g_memdup2(out->data, out->len);
        GError *err = NULL;
        size_t pos = 0;
        for (int k = g_test_rand_int_range(1, 3); k; k--) /* most of it is rings and MSI-X, in front */
            copy[g_test_rand_int_range(n % 2 ? out->len - 900 : 0, out->len)] ^= 1 << g_test_rand_int_range(0, 8);
        if (!state_load(virtio_gpu_type.state, b.device, "gpu", copy, out->len, &pos, &err) ||
            !virtio_gpu_type.post_load(b.device, &err)) {
            g_assert_nonnull(err);
            g_clear_error(&err);
            refused++;
            machine_reset(b.d.m);
        }
        console_update(console(&b), false);
    }
    g_assert_cmpuint(refused, >, 100);
    g_byte_array_unref(out);
    down(&a);
    down(&b);
}

/* Megabytes at once: the device takes a turn's worth, saves what is left in the queue, and goes on. */
static void test_turns(void)
{
    Gpu g;
    unsigned slot, answers = 0;
    uint32_t length;
    up(&g);
    g_assert_cmphex(create(&g, 1, BGRX, 1024, 1024), ==, OK);
    g_assert_cmphex(attach(&g, 1, PIXELS_AT, 4 << 20), ==, OK);
    const uint32_t words[] = { 0, 0, 1024, 1024, 0, 0, 1, 0 };
    mwrite(&g.d, REQUEST_AT, TRANSFER, 4);
    for (unsigned k = 0; k < 8; k++)
        mwrite(&g.d, REQUEST_AT + HEAD + 4 * k, words[k], 4);
    Segment s[] = { { REQUEST_AT, HEAD + 32, false }, { ANSWER_AT, HEAD, true } };
    for (unsigned n = 0; n < 8; n++)
        driver_add(&g.d, 0, n, s, 2);
    driver_kick(&g.d, 0);
    while (driver_used(&g.d, 0, &slot, &length))
        answers++;
    g_assert_cmpuint(answers, ==, 4);
    save_and_restore(&g);
    settle(&g.d);
    while (driver_used(&g.d, 0, &slot, &length))
        answers++;
    g_assert_cmpuint(answers, ==, 8);
    down(&g);
}

/* A VGA until the driver shows something, and again when it stops. */
static void test_vga(void)
{
    Gpu g, other;
    up_with(&g, &virtio_vga_type, "vgamem_mb", "1");
    up_with(&other, &virtio_vga_type, "vgamem_mb", "1");
    g_assert_cmphex(config_read(&g.d, 9, 4) & 0xffffff, ==, 0x030000);
    as_write(g.d.m->ports, 0x1ce, 1, 2);
    as_write(g.d.m->ports, 0x1cf, 320, 2);
    as_write(g.d.m->ports, 0x1ce, 2, 2);
    as_write(g.d.m->ports, 0x1cf, 200, 2);
    as_write(g.d.m->ports, 0x1ce, 3, 2);
    as_write(g.d.m->ports, 0x1cf, 32, 2);
    as_write(g.d.m->ports, 0x1ce, 4, 2);
    as_write(g.d.m->ports, 0x1cf, 0x41, 2);
    as_write(g.d.m->ports, 0x3c0, 0x20, 1);
    config_write(&g.d, PCI_BAR0, 0xd0000000, 4);
    mwrite(&g.d, 0xd0000000 + 4 * 321, 0x00abcdef, 4);
    expect_size(&g, 320, 200);
    g_assert_cmphex(pixel(&g, 1, 1), ==, 0xabcdef);
    save_into(&g, &other);
    expect_size(&other, 320, 200);
    g_assert_cmphex(pixel(&other, 1, 1), ==, 0xabcdef);
    create(&g, 1, BGRX, 320, 200);
    show(&g, 0, 1, 0, 0, 320, 200);
    expect_size(&g, 320, 200);
    g_assert_cmphex(pixel(&g, 1, 1), ==, 0);
    show(&g, 0, 0, 0, 0, 0, 0);
    expect_size(&g, 320, 200);
    g_assert_cmphex(pixel(&g, 1, 1), ==, 0xabcdef);
    g_assert_null(console_nth(g.d.m, 1));
    down(&g);
    down(&other);
}

/* Random commands of random sizes, of which most make sense in part. */
static uint32_t random_word(void)
{
    static const uint32_t odd[] = { 0, 1, 2, 16, 64, 100, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, PIXELS_AT };
    unsigned small = g_test_rand_int_range(0, 20);
    return g_test_rand_int_range(0, 3) ? small : odd[g_test_rand_int_range(0, G_N_ELEMENTS(odd))];
}

static void random_command(Gpu *g)
{
    static const uint32_t types[] = {
        0x100, 0x101, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106, 0x107, 0x108, 0x10a, 0x300, 0x301
    };
    unsigned size = g_test_rand_int_range(1, 120), room = g_test_rand_int_range(1, 500);
    Segment s[] = { { REQUEST_AT, size, false }, { ANSWER_AT, room, true } };
    for (unsigned k = 0; k < 24; k++)
        mwrite(&g->d, REQUEST_AT + HEAD + 4 * k, random_word(), 4);
    mwrite(&g->d, REQUEST_AT, types[g_test_rand_int_range(0, G_N_ELEMENTS(types))], 4);
    driver_request(&g->d, g_test_rand_int_range(0, 2), s, 2);
}

static void test_random(void)
{
    Gpu g;
    up_with(&g, &virtio_gpu_type, "max_outputs", "16");
    for (unsigned n = 0; n < 20000; n++) {
        random_command(&g);
        if (n % 16 == 0)
            console_update(console_nth(g.d.m, n / 16 % 16), n % 32 == 0);
        if (n % 500 == 0)
            save_and_restore(&g);
        if (n % 777 == 0)
            console_fit(console_nth(g.d.m, n % 16), n, n / 2);
        if (n % 5000 == 0)
            driver_start(&g.d, V1 | EDID, 2);
    }
    driver_start(&g.d, V1 | EDID, 2);
    g_assert_cmphex(create(&g, 1, BGRX, 16, 16), ==, OK);
    down(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu/identity", test_identity);
    g_test_add_func("/virtio-gpu/display-info", test_display_info);
    g_test_add_func("/virtio-gpu/picture", test_picture);
    g_test_add_func("/virtio-gpu/formats", test_formats);
    g_test_add_func("/virtio-gpu/errors", test_errors);
    g_test_add_func("/virtio-gpu/hostmem", test_hostmem);
    g_test_add_func("/virtio-gpu/cursor", test_cursor);
    g_test_add_func("/virtio-gpu/state", test_state);
    g_test_add_func("/virtio-gpu/state-damage", test_state_damage);
    g_test_add_func("/virtio-gpu/turns", test_turns);
    g_test_add_func("/virtio-gpu/vga", test_vga);
    g_test_add_func("/virtio-gpu/random", test_random);
    return g_test_run();
}
