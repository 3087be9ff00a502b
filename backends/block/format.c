/* What format drivers share (format.h). */
#include "backends/block/format.h"

#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "core/random.h"
#include "util/bits.h"

gboolean open_failed(const ImageOptions *o, GError **err)
{
    g_prefix_error(err, "%s: ", o->who);
    return FALSE;
}

static char *take(const ImageCreate *c, const char *key) { return c->options ? option_pairs_take(c->options, key) : NULL; }

gboolean create_take_bool(const ImageCreate *c, const char *key, bool *out, GError **err)
{
    g_autofree char *value = take(c, key);
    g_autofree char *what = g_strdup_printf("%s: option %s", c->who, key);

    return !value || parse_bool(what, value, out, err);
}

gboolean create_take_size(const ImageCreate *c, const char *key, uint64_t least, uint64_t most, uint64_t *out, GError **err)
{
    g_autofree char *value = take(c, key);
    g_autofree char *what = g_strdup_printf("%s: option %s", c->who, key);
    guint64 size;

    if (!value)
        return TRUE;
    if (!parse_size(what, value, 1, &size, err))
        return FALSE;
    if (!is_power_of_2(size) || size < least || size > most)
        return error_set(err, "%s: %s is no power of two from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, what, value,
                         (guint64)least, (guint64)most);
    *out = size;
    return TRUE;
}

gboolean create_take_word(const ImageCreate *c, const char *key, const char *const *words, unsigned *out, GError **err)
{
    g_autofree char *value = take(c, key);

    if (!value)
        return TRUE;
    for (unsigned k = 0; words[k]; k++) {
        if (!strcmp(words[k], value)) {
            *out = k;
            return TRUE;
        }
    }
    return error_unknown(err, c->who, key, value, words);
}

gboolean create_check_no_backing(const ImageCreate *c, const char *format, GError **err)
{
    return !c->backing || error_set(err, "%s: a %s image has no backing file here; qcow2 has", c->who, format);
}

Image *create_file(const ImageCreate *c, const char *file, uint64_t size, GError **err)
{
    return file_create(c->who, file, size, err)
        ? image_open_file(&(ImageOptions){ .who = c->who, .file = file }, err) : NULL;
}

gboolean create_end(const ImageCreate *c, Image *file, int status, GError **err)
{
    if (!status)
        status = image_flush(file);
    if (status)
        error_set(err, "%s: writing '%s': %s", c->who, file->file, g_strerror(-status));
    image_close(file);
    return !status;
}

void check_tell(ImageCheck *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (c->tell)
        c->tell(c->opaque, line);
}

void info_add(GPtrArray *pairs, const char *key, const char *format, ...)
{
    OptionPair *pair = g_new(OptionPair, 1);
    va_list arguments;

    va_start(arguments, format);
    *pair = (OptionPair){ g_strdup(key), g_strdup_vprintf(format, arguments) };
    va_end(arguments);
    g_ptr_array_add(pairs, pair);
}

void make_uuid(uint8_t uuid[16])
{
    random_bytes(uuid, 16);
    uuid[7] = (uuid[7] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}
