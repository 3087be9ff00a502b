/* Making VMDK images (vmdk.h): descriptor, extents with all their grain tables, and names as VMware's programs give them. */
#include "backends/block/vmdk_create.h"

#include <inttypes.h>
#include <string.h>

#include "backends/block/format.h"
#include "backends/block/vmdk.h"
#include "core/error.h"
#include "core/options.h"
#include "core/random.h"
#include "util/bits.h"
#include "util/endian.h"

#define GRAIN (64 * KiB)
#define SPLIT (2 * GiB)
#define SPARSE_MAX (2048 * GiB)

enum { ENTRIES = 512, DESCRIPTOR_AT = 1, DESCRIPTOR_SECTORS = 20 };

enum { MONOLITHIC_SPARSE, MONOLITHIC_FLAT, SPLIT_SPARSE, SPLIT_FLAT, STREAM_OPTIMIZED };

static const char *const subformats[] = { "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse",
                                          "twoGbMaxExtentFlat", "streamOptimized", NULL };
static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };

typedef struct Plan {
    const ImageCreate *c;
    uint64_t size;
    unsigned subformat, adapter;
    bool zero_grains;
    char *hardware;  /* version */
} Plan;

static bool is_split(const Plan *p) { return p->subformat == SPLIT_SPARSE || p->subformat == SPLIT_FLAT; }
static bool is_flat(const Plan *p) { return p->subformat == MONOLITHIC_FLAT || p->subformat == SPLIT_FLAT; }

/* ---- the descriptor ---- */

/* What the guest's BIOS would say of such a disk; programs of VMware read it. */
static void add_database(const Plan *p, GString *text)
{
    bool ide = p->adapter == 0;
    unsigned heads = ide ? 16 : 255;
    uint64_t cylinders = p->size / ((uint64_t)heads * 63 * VMDK_SECTOR);

    g_string_append_printf(text, "\n# The Disk Data Base\n#DDB\n\n"
                           "ddb.virtualHWVersion = \"%s\"\n"
                           "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                           "ddb.geometry.heads = \"%u\"\n"
                           "ddb.geometry.sectors = \"63\"\n"
                           "ddb.adapterType = \"%s\"\n",
                           p->hardware ? p->hardware : "4", MIN(cylinders, ide ? 16383 : 65535), heads,
                           adapters[p->adapter]);
}

static char *make_descriptor(const Plan *p, const char *extents)
{
    uint32_t cid;
    GString *text = g_string_new(NULL);

    random_bytes(&cid, sizeof cid);
    g_string_printf(text, "%s\nversion=1\nCID=%08" PRIx32 "\nparentCID=ffffffff\ncreateType=\"%s\"\n\n"
                    "# Extent description\n%s", VMDK_TEXT, cid & 0x7fffffff, subformats[p->subformat], extents);
    add_database(p, text);
    return g_string_free(text, FALSE);
}

/* ---- extents ---- */

typedef struct Layout { /* in sectors */
    uint64_t tables, directory_size, table_size, redundant, directory, overhead;
} Layout;

static Layout lay_out(uint64_t size)
{
    Layout l = { .tables = (size + ENTRIES * GRAIN - 1) / (ENTRIES * GRAIN), .table_size = ENTRIES * 4 / VMDK_SECTOR };

    l.directory_size = (l.tables * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR;
    l.redundant = DESCRIPTOR_AT + DESCRIPTOR_SECTORS;
    l.directory = l.redundant + l.directory_size + l.tables * l.table_size;
    l.overhead = align_up(l.directory + l.directory_size + l.tables * l.table_size, GRAIN / VMDK_SECTOR);
    return l;
}

static void make_header(const Plan *p, const Layout *l, uint64_t size, bool descriptor, uint8_t *h)
{
    bool stream = p->subformat == STREAM_OPTIMIZED;

    memcpy(h, VMDK_MAGIC, 4);
    st32le(h + VMDK_VERSION, stream ? 3 : p->zero_grains ? 2 : 1);
    st32le(h + VMDK_FLAGS, VMDK_FLAG_NEWLINES | (p->zero_grains ? VMDK_FLAG_ZERO_GRAINS : 0) |
           (stream ? VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS : VMDK_FLAG_REDUNDANT));
    st64le(h + VMDK_CAPACITY, size / VMDK_SECTOR);
    st64le(h + VMDK_GRAIN, GRAIN / VMDK_SECTOR);
    st64le(h + VMDK_DESCRIPTOR, descriptor ? DESCRIPTOR_AT : 0);
    st64le(h + VMDK_DESCRIPTOR_SIZE, descriptor ? DESCRIPTOR_SECTORS : 0);
    st32le(h + VMDK_ENTRIES, ENTRIES);
    st64le(h + VMDK_REDUNDANT, l->redundant);
    st64le(h + VMDK_DIRECTORY, l->directory);
    st64le(h + VMDK_OVERHEAD, l->overhead);
    memcpy(h + VMDK_NEWLINES, "\n \r\n", 4);
    st16le(h + VMDK_COMPRESSION, stream);
}

/* A directory whose tables follow it: zeros, as the file is. */
static int write_directory(Image *file, const Layout *l, uint64_t at)
{
    g_autofree uint8_t *directory = g_malloc0(l->directory_size * VMDK_SECTOR);

    for (uint64_t k = 0; k < l->tables; k++)
        st32le(directory + k * 4, at + l->directory_size + k * l->table_size);
    return image_write(file, at * VMDK_SECTOR, directory, l->directory_size * VMDK_SECTOR);
}

/* With a descriptor within, when there is one. */
static gboolean create_sparse(const Plan *p, const char *file, uint64_t size, const char *descriptor, GError **err)
{
    Layout l = lay_out(size);
    uint8_t header[VMDK_SECTOR] = { 0 };
    Image *i = create_file(p->c, file, l.overhead * VMDK_SECTOR, err);

    if (!i)
        return FALSE;
    make_header(p, &l, size, descriptor, header);
    int status = image_write(i, 0, header, sizeof header);
    if (!status && descriptor)
        status = image_write(i, DESCRIPTOR_AT * VMDK_SECTOR, descriptor, strlen(descriptor));
    if (!status)
        status = write_directory(i, &l, l.redundant);
    if (!status)
        status = write_directory(i, &l, l.directory);
    return create_end(p->c, i, status, err);
}

static char *stem(const char *file)
{
    return g_str_has_suffix(file, ".vmdk") ? g_strndup(file, strlen(file) - 5) : g_strdup(file);
}

/* "disk-flat.vmdk", "disk-s001.vmdk", "disk-f001.vmdk" beside "disk.vmdk". */
static char *extent_name(const Plan *p, unsigned n)
{
    g_autofree char *base = stem(p->c->file);

    return is_split(p) ? g_strdup_printf("%s-%c%03u.vmdk", base, is_flat(p) ? 'f' : 's', n)
                       : g_strdup_printf("%s-flat.vmdk", base);
}

static gboolean create_extent(const Plan *p, const char *name, uint64_t size, GString *lines, GError **err)
{
    g_autofree char *base = g_path_get_basename(name);

    g_string_append_printf(lines, "RW %" PRIu64 " %s \"%s\"%s\n", size / VMDK_SECTOR, is_flat(p) ? "FLAT" : "SPARSE", base,
                           is_flat(p) ? " 0" : "");
    return is_flat(p) ? file_create(p->c->who, name, size, err) : create_sparse(p, name, size, NULL, err);
}

static gboolean create_with_extents(const Plan *p, GError **err)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    uint64_t part = is_split(p) ? SPLIT : p->size;
    unsigned n = 1;

    for (uint64_t at = 0; at < p->size; at += part) {
        g_autofree char *name = extent_name(p, n++);
        if (!create_extent(p, name, MIN(part, p->size - at), lines, err))
            return FALSE;
    }
    g_autofree char *descriptor = make_descriptor(p, lines->str);
    Image *i = create_file(p->c, p->c->file, 0, err);
    return i && create_end(p->c, i, image_write(i, 0, descriptor, strlen(descriptor)), err);
}

static gboolean create_monolithic(const Plan *p, GError **err)
{
    g_autofree char *base = g_path_get_basename(p->c->file);
    g_autofree char *line = g_strdup_printf("RW %" PRIu64 " SPARSE \"%s\"\n", p->size / VMDK_SECTOR, base);
    g_autofree char *descriptor = make_descriptor(p, line);

    if (strlen(descriptor) > DESCRIPTOR_SECTORS * VMDK_SECTOR)
        return error_set(err, "%s: the name of '%s' is too long for a VMDK image", p->c->who, p->c->file);
    return create_sparse(p, p->c->file, p->size, descriptor, err);
}

/* ---- options ---- */

static gboolean check_plan(const Plan *p, GError **err)
{
    g_autofree char *base = g_path_get_basename(p->c->file);

    if (!p->size || p->size / SPLIT >= VMDK_EXTENTS_MAX || (!is_split(p) && !is_flat(p) && p->size > SPARSE_MAX))
        return error_set(err, "%s: a VMDK image of this kind has from 512 bytes to %s", p->c->who,
                         is_split(p) || is_flat(p) ? "8 TiB" : "2 TiB");
    if (strpbrk(base, "\"\n"))
        return error_set(err, "%s: '%s' cannot be named in a VMDK descriptor", p->c->who, base);
    if (p->hardware && strspn(p->hardware, "0123456789") != strlen(p->hardware))
        return error_set(err, "%s: option hwversion: '%s' is no number", p->c->who, p->hardware);
    return TRUE;
}

gboolean vmdk_create(const ImageCreate *c, GError **err)
{
    Plan p = { .c = c, .size = align_up(c->size, VMDK_SECTOR) };

    if (!create_check_no_backing(c, "VMDK", err) || !create_take_word(c, "subformat", subformats, &p.subformat, err) ||
        !create_take_word(c, "adapter_type", adapters, &p.adapter, err) ||
        !create_take_bool(c, "zeroed_grain", &p.zero_grains, err))
        return FALSE;
    p.hardware = c->options ? option_pairs_take(c->options, "hwversion") : NULL;
    gboolean ok = check_plan(&p, err) &&
                  (is_split(&p) || is_flat(&p) ? create_with_extents(&p, err) : create_monolithic(&p, err));
    g_free(p.hardware);
    return ok;
}
