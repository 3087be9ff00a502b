/* Surfaces of consoles and their pictures as files (console.h; PPM: the netpbm format "P6"). */
#include "hw/display/console.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/machine.h"

uint64_t console_update(Console *c, bool all)
{
    c->serial++;
    c->ops->update(c->opaque, all);
    return c->serial;
}

bool console_text(Console *c, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells)
{
    return c->ops->text && c->ops->text(c->opaque, columns, rows, cells, max_cells);
}

int console_text_cursor(Console *c) { return c->ops->text_cursor ? c->ops->text_cursor(c->opaque) : -1; }

void console_mark_lines(Console *c, unsigned y, unsigned count)
{
    for (unsigned end = MIN(y + count, c->surface.height); y < end; y++)
        c->line_serial[y] = c->serial;
}

bool console_resize(Console *c, unsigned width, unsigned height)
{
    Surface *s = &c->surface;
    if (s->pixels && s->width == width && s->height == height)
        return false;
    g_free(s->pixels);
    g_free(c->line_serial);
    s->width = width;
    s->height = height;
    s->pixels = g_new0(uint32_t, (gsize)width * height);
    c->line_serial = g_new0(uint64_t, height);
    c->size_serial = c->serial;
    console_mark_lines(c, 0, height);
    return true;
}

/* ---- the machine's consoles ---- */

Console *console_nth(Machine *m, unsigned n)
{
    g_autofree char *slot = g_strdup_printf("console%u", n);
    return machine_find(m, slot);
}

void console_announce(Console *c, Machine *m)
{
    unsigned n = 0;
    while (console_nth(m, n))
        n++;
    c->slot = g_strdup_printf("console%u", n);
    machine_provide(m, c->slot, c);
}

void console_withdraw(Console *c, Machine *m)
{
    if (c->slot)
        machine_provide(m, c->slot, NULL);
    g_clear_pointer(&c->slot, g_free);
    g_clear_pointer(&c->surface.pixels, g_free);
    g_clear_pointer(&c->line_serial, g_free);
    g_clear_pointer(&c->cursor.pixels, g_free);
    c->surface.width = c->surface.height = 0;
}

bool console_fit(Console *c, unsigned width, unsigned height)
{
    if (c->ops->fit)
        c->ops->fit(c->opaque, width, height);
    return c->ops->fit != NULL;
}

/* ---- the pointer's picture ---- */

void console_define_cursor(Console *c, unsigned width, unsigned height, int hot_x, int hot_y, const uint32_t *pixels)
{
    ConsoleCursor *cursor = &c->cursor;
    g_clear_pointer(&cursor->pixels, g_free);
    cursor->width = MIN(width, CURSOR_MAX);
    cursor->height = MIN(height, CURSOR_MAX);
    cursor->hot_x = hot_x;
    cursor->hot_y = hot_y;
    if (cursor->width && cursor->height)
        cursor->pixels = g_new(uint32_t, cursor->width * cursor->height);
    for (unsigned y = 0; cursor->pixels && y < cursor->height; y++)
        memcpy(cursor->pixels + y * cursor->width, pixels + y * width, cursor->width * sizeof *pixels);
    cursor->serial++;
}

void console_move_cursor(Console *c, int x, int y, bool on)
{
    c->cursor.x = x;
    c->cursor.y = y;
    if (c->cursor.on != on)
        c->cursor.serial++;
    c->cursor.on = on;
}

/* ---- pictures as files ---- */

static bool write_line(FILE *f, const uint32_t *pixels, unsigned width, uint8_t *rgb)
{
    for (unsigned x = 0; x < width; x++) {
        rgb[3 * x] = pixels[x] >> 16;
        rgb[3 * x + 1] = pixels[x] >> 8;
        rgb[3 * x + 2] = pixels[x];
    }
    return fwrite(rgb, 3, width, f) == width;
}

static bool write_picture(FILE *f, const Surface *s)
{
    g_autofree uint8_t *rgb = g_new(uint8_t, 3 * (gsize)s->width + 1);
    bool ok = fprintf(f, "P6\n%u %u\n255\n", s->width, s->height) > 0;
    for (unsigned y = 0; ok && y < s->height; y++)
        ok = write_line(f, s->pixels + (gsize)y * s->width, s->width, rgb);
    return ok;
}

gboolean console_write_ppm(Console *c, const char *path, GError **err)
{
    console_update(c, false);
    FILE *f = g_fopen(path, "wb");
    if (!f)
        return error_set(err, "screendump: cannot create '%s': %s", path, g_strerror(errno));
    bool ok = write_picture(f, &c->surface);
    int failure = errno;
    if (fclose(f) && ok) {
        ok = false;
        failure = errno;
    }
    return ok || error_set(err, "screendump: cannot write '%s': %s", path, g_strerror(failure));
}
