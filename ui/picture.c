/* Pictures of screens (picture.h). */
#include "ui/picture.h"

#include <zlib.h>

#include "core/error.h"
#include "util/endian.h"

enum { PNG_HEADER_SIZE = 13, PNG_RGB = 2 };

static void append32(GByteArray *to, uint32_t v)
{
    uint8_t bytes[4];
    st32be(bytes, v);
    g_byte_array_append(to, bytes, sizeof bytes);
}

/* A chunk: length, type, data, CRC of the latter two (section 5.3). */
static void append_chunk(GByteArray *to, const char *type, const uint8_t *data, uint32_t size)
{
    append32(to, size);
    g_byte_array_append(to, (const uint8_t *)type, 4);
    if (size)
        g_byte_array_append(to, data, size);
    append32(to, crc32(0, to->data + to->len - size - 4, size + 4));
}

/* Lines as PNG has them: the filter's number (0: none), then the dots' bytes. */
static uint8_t *lines_make(const uint32_t *pixels, unsigned width, unsigned height, gsize *size)
{
    *size = (1 + 3 * (gsize)width) * height;
    uint8_t *lines = g_malloc(*size + 1), *at = lines;
    for (unsigned y = 0; y < height; y++) {
        *at++ = 0;
        for (unsigned x = 0; x < width; x++, pixels++) {
            *at++ = *pixels >> 16;
            *at++ = *pixels >> 8;
            *at++ = *pixels;
        }
    }
    return lines;
}

GByteArray *picture_png(const uint32_t *pixels, unsigned width, unsigned height, int level)
{
    static const uint8_t signature[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    uint8_t header[PNG_HEADER_SIZE] = { [8] = 8, [9] = PNG_RGB };
    gsize size;
    g_autofree uint8_t *lines = lines_make(pixels, width, height, &size);
    uLongf packed_size = compressBound(size);
    g_autofree uint8_t *packed = g_malloc(packed_size);
    GByteArray *png = g_byte_array_new();
    compress2(packed, &packed_size, lines, size, level);
    st32be(header, width);
    st32be(header + 4, height);
    g_byte_array_append(png, signature, sizeof signature);
    append_chunk(png, "IHDR", header, sizeof header);
    append_chunk(png, "IDAT", packed, packed_size);
    append_chunk(png, "IEND", NULL, 0);
    return png;
}

static gboolean write_png(Console *c, const char *path, GError **err)
{
    g_autoptr(GError) failure = NULL;
    console_update(c, false);
    g_autoptr(GByteArray) png = picture_png(c->surface.pixels, c->surface.width, c->surface.height, 6);
    return g_file_set_contents(path, (const char *)png->data, png->len, &failure) ||
           error_set(err, "screendump: %s", failure->message);
}

gboolean picture_write(Console *c, const char *path, PictureFormat format, GError **err)
{
    g_autofree char *low = g_ascii_strdown(path, -1);
    if (format == PICTURE_PNG || (format == PICTURE_BY_NAME && g_str_has_suffix(low, ".png")))
        return write_png(c, path, err);
    return console_write_ppm(c, path, err);
}
