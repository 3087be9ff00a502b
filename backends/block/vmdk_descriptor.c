/* VMDK's descriptor (vmdk.h): lines of the form KEY=VALUE, of extents, and comments. */
#include <string.h>

#include "backends/block/vmdk.h"
#include "core/error.h"

static void line_free(gpointer p)
{
    VmdkLine *line = p;

    g_free(line->type);
    g_free(line->file);
    g_free(line);
}

void vmdk_descriptor_clear(VmdkDescriptor *d)
{
    g_free(d->type);
    g_free(d->parent);
    if (d->lines)
        g_ptr_array_unref(d->lines);
    *d = (VmdkDescriptor){ 0 };
}

/* A value without the quotation marks around it; to be freed. */
static char *unquote(const char *value)
{
    g_autofree char *copy = g_strstrip(g_strdup(value));
    size_t n = strlen(copy);

    return n >= 2 && copy[0] == '"' && copy[n - 1] == '"' ? g_strndup(copy + 1, n - 2) : g_steal_pointer(&copy);
}

static bool is_extent(const char *text)
{
    return g_str_has_prefix(text, "RW ") || g_str_has_prefix(text, "RDONLY ") || g_str_has_prefix(text, "NOACCESS ");
}

/* RW 4192256 SPARSE "disk-s001.vmdk", RW 63 FLAT "disk-flat.vmdk" 0, RW 63 ZERO */
static gboolean parse_extent(VmdkDescriptor *d, const char *text, GError **err)
{
    g_auto(GStrv) quoted = g_strsplit(text, "\"", 3);
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(quoted[0]), " \t", -1);
    guint64 sectors = 0, offset = 0;

    if (g_strv_length(words) != 3 || !g_ascii_string_to_unsigned(words[1], 10, 0, INT64_MAX / VMDK_SECTOR, &sectors, NULL))
        return error_set(err, "an extent is ACCESS SECTORS TYPE \"FILE\" [OFFSET]");
    bool zero = !strcmp(words[2], "ZERO");
    if (!zero && g_strv_length(quoted) != 3)
        return error_set(err, "an extent of type %s needs a file name in quotation marks", words[2]);
    if (!zero && *g_strstrip(quoted[2]) &&
        !g_ascii_string_to_unsigned(quoted[2], 10, 0, INT64_MAX / VMDK_SECTOR, &offset, NULL))
        return error_set(err, "'%s' is no offset in sectors", quoted[2]);
    if (d->lines->len >= VMDK_EXTENTS_MAX)
        return error_set(err, "more than %d extents are not supported", VMDK_EXTENTS_MAX);
    VmdkLine *line = g_new0(VmdkLine, 1);
    *line = (VmdkLine){ .sectors = sectors, .offset = offset, .type = g_strdup(words[2]),
                        .file = zero ? NULL : g_strdup(quoted[1]), .readonly = strcmp(words[0], "RW") };
    g_ptr_array_add(d->lines, line);
    return TRUE;
}

/* CID is changed in its place: that takes all of its eight digits. */
static void parse_value(VmdkDescriptor *d, const char *key, const char *value, int64_t value_at)
{
    g_autofree char *text = unquote(value);

    if (!g_ascii_strcasecmp(key, "CID")) {
        d->cid = g_ascii_strtoull(text, NULL, 16);
        d->cid_at = strspn(value, "0123456789abcdefABCDEF") == 8 ? value_at : -1;
    } else if (!g_ascii_strcasecmp(key, "parentCID")) {
        d->parent_cid = g_ascii_strtoull(text, NULL, 16);
    } else if (!g_ascii_strcasecmp(key, "createType")) {
        g_free(d->type);
        d->type = g_steal_pointer(&text);
    } else if (!g_ascii_strcasecmp(key, "parentFileNameHint")) {
        g_free(d->parent);
        d->parent = g_steal_pointer(&text);
    }
}

static gboolean parse_line(VmdkDescriptor *d, const char *line, int64_t at, GError **err)
{
    const char *equals = strchr(line, '=');

    if (is_extent(line))
        return parse_extent(d, line, err);
    if (*line == '#' || !equals)
        return TRUE;
    g_autofree char *key = g_strstrip(g_strndup(line, equals - line));
    parse_value(d, key, equals + 1, at + (equals + 1 - line));
    return TRUE;
}

gboolean vmdk_descriptor_parse(const char *name, const char *text, VmdkDescriptor *d, GError **err)
{
    int64_t at = 0;

    *d = (VmdkDescriptor){ .type = g_strdup(""), .parent_cid = VMDK_NO_PARENT, .cid_at = -1,
                           .lines = g_ptr_array_new_with_free_func(line_free) };
    for (int number = 1; text[at]; number++) {
        size_t length = strcspn(text + at, "\n");
        g_autofree char *line = g_strndup(text + at, length);
        if (!parse_line(d, line, at, err)) {
            g_prefix_error(err, "'%s': VMDK descriptor, line %d: ", name, number);
            return FALSE;
        }
        at += length + (text[at + length] == '\n');
    }
    return TRUE;
}
