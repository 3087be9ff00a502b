/* Surfaces of consoles and their pictures as files (console.h; PPM: the netpbm format "P6"). */
#include "hw/display/console.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

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

void console_clear(Console *c)
{
    g_clear_pointer(&c->surface.pixels, g_free);
    g_clear_pointer(&c->line_serial, g_free);
    c->surface.width = c->surface.height = 0;
}

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
