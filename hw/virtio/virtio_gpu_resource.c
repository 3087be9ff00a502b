/* Pictures of a virtio graphics card (virtio_gpu_private.h): Virtual I/O Device 1.2, 5.7.6.8. */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio_gpu_private.h"

/* What a resource, and a piece of its backing, takes beside its pixels. */
enum { CHARGE_RESOURCE = 512, CHARGE_PIECE = 128, PIECES_MAX = 16384 };

/* The names say the bytes in the order of memory. */
static const GpuFormat formats[GPU_FORMATS] = {
    { .number = 1, .blue = 0, .green = 1, .red = 2, .alpha = 3, .has_alpha = true },   /* B8G8R8A8 */
    { .number = 2, .blue = 0, .green = 1, .red = 2, .alpha = 3 },                      /* B8G8R8X8 */
    { .number = 3, .alpha = 0, .red = 1, .green = 2, .blue = 3, .has_alpha = true },   /* A8R8G8B8 */
    { .number = 4, .alpha = 0, .red = 1, .green = 2, .blue = 3 },                      /* X8R8G8B8 */
    { .number = 67, .red = 0, .green = 1, .blue = 2, .alpha = 3, .has_alpha = true },  /* R8G8B8A8 */
    { .number = 68, .alpha = 0, .blue = 1, .green = 2, .red = 3 },                     /* X8B8G8R8 */
    { .number = 121, .alpha = 0, .blue = 1, .green = 2, .red = 3, .has_alpha = true }, /* A8B8G8R8 */
    { .number = 134, .red = 0, .green = 1, .blue = 2, .alpha = 3 },                    /* R8G8B8X8 */
};

static const GpuFormat *format_of(uint32_t number)
{
    for (unsigned n = 0; n < GPU_FORMATS; n++)
        if (formats[n].number == number)
            return &formats[n];
    return NULL;
}

GpuResource *gpu_resource(const Gpu *g, uint32_t id)
{
    return g_hash_table_lookup(g->resources, GUINT_TO_POINTER(id));
}

static uint64_t stride_of(const GpuResource *r) { return (uint64_t)r->width * GPU_PIXEL; }

bool gpu_resource_has(const GpuResource *r, const GpuRect *part)
{
    return part->width && part->height && part->x < r->width && part->width <= r->width - part->x &&
           part->y < r->height && part->height <= r->height - part->y;
}

/* ---- life ---- */

static bool charge(Gpu *g, GpuResource *r, uint64_t bytes)
{
    if (bytes > g->max_hostmem - g->hostmem) {
        log_guest_error("%s: more than max_hostmem=%" G_GUINT64_FORMAT " bytes of pictures", g->virtio.pci.dev.id,
                        g->max_hostmem);
        return false;
    }
    g->hostmem += bytes;
    r->charge += bytes;
    return true;
}

static void uncharge(Gpu *g, GpuResource *r, uint64_t bytes)
{
    g->hostmem -= bytes;
    r->charge -= bytes;
}

GpuAnswer gpu_resource_create(Gpu *g, uint32_t id, uint32_t number, uint32_t width, uint32_t height)
{
    const GpuFormat *format = format_of(number);

    if (!id || gpu_resource(g, id))
        return GPU_NO_RESOURCE;
    if (!format || !width || !height || width > GPU_SIDE_MAX || height > GPU_SIDE_MAX)
        return GPU_WRONG;
    GpuResource *r = g_new0(GpuResource, 1);
    *r = (GpuResource){ .id = id, .width = width, .height = height, .format = format };
    if (charge(g, r, stride_of(r) * height + CHARGE_RESOURCE))
        r->pixels = g_try_malloc0(stride_of(r) * height);
    if (!r->pixels) {
        uncharge(g, r, r->charge);
        g_free(r);
        return GPU_NO_MEMORY;
    }
    dma_init(&r->backing, pci_memory(&g->virtio.pci), false);
    g_hash_table_insert(g->resources, GUINT_TO_POINTER(id), r);
    return GPU_OK;
}

void gpu_resource_free(Gpu *g, GpuResource *r)
{
    gpu_resource_detach(g, r);
    uncharge(g, r, r->charge);
    g_hash_table_remove(g->resources, GUINT_TO_POINTER(r->id));
    dma_clear(&r->backing);
    g_free(r->pixels);
    g_free(r);
}

void gpu_resources_free(Gpu *g)
{
    g_autoptr(GList) all = g_hash_table_get_values(g->resources);
    for (const GList *l = all; l; l = l->next)
        gpu_resource_free(g, l->data);
}

/* ---- backing ---- */

static bool pieces_add(GpuResource *r)
{
    for (unsigned n = 0; n < r->pieces->len; n++) {
        const GpuPiece *p = &g_array_index(r->pieces, GpuPiece, n);
        if (!dma_add(&r->backing, p->gpa, p->size))
            return false;
    }
    return true;
}

GpuAnswer gpu_resource_attach(Gpu *g, GpuResource *r, GArray *pieces)
{
    if (pieces->len > PIECES_MAX || !charge(g, r, (uint64_t)pieces->len * CHARGE_PIECE)) {
        g_array_unref(pieces);
        return GPU_NO_MEMORY;
    }
    r->pieces = pieces;
    r->backing_charge = (uint64_t)pieces->len * CHARGE_PIECE;
    if (pieces_add(r) && charge(g, r, r->backing.buffered)) {
        r->backing_charge += r->backing.buffered;
        return GPU_OK;
    }
    log_guest_error("%s: memory of picture %u is too large, or not RAM", g->virtio.pci.dev.id, r->id);
    gpu_resource_detach(g, r);
    return GPU_UNSPECIFIED;
}

void gpu_resource_detach(Gpu *g, GpuResource *r)
{
    if (!r->pieces)
        return;
    uncharge(g, r, r->backing_charge);
    dma_clear(&r->backing);
    dma_init(&r->backing, pci_memory(&g->virtio.pci), false);
    g_clear_pointer(&r->pieces, g_array_unref);
}

/* ---- transfer ---- */

/* A place in the backing, which moves forwards only. */
typedef struct Walk {
    const DmaList *list;
    unsigned piece;
    uint64_t start;   /* of the piece */
} Walk;

/* What is behind the end stays as it is. */
static void walk_copy(Walk *w, uint64_t offset, uint8_t *to, uint64_t size)
{
    while (size && w->piece < w->list->count) {
        const struct iovec *v = &w->list->iov[w->piece];
        if (offset - w->start >= v->iov_len) {
            w->start += v->iov_len;
            w->piece++;
            continue;
        }
        uint64_t at = offset - w->start, n = MIN(size, v->iov_len - at);
        memcpy(to, (const uint8_t *)v->iov_base + at, n);
        offset += n;
        to += n;
        size -= n;
    }
}

void gpu_resource_transfer(Gpu *g, GpuResource *r, const GpuRect *part, uint64_t offset)
{
    Walk w = { .list = &r->backing };
    uint64_t stride = stride_of(r), line = (uint64_t)part->width * GPU_PIXEL;
    uint8_t *to = r->pixels + part->y * stride + (uint64_t)part->x * GPU_PIXEL;

    g->turn -= line * part->height;
    if (offset >= r->backing.size)
        return;
    if (line == stride) {
        walk_copy(&w, offset, to, stride * part->height);
        return;
    }
    for (uint32_t y = 0; y < part->height; y++)
        walk_copy(&w, offset + y * stride, to + y * stride, line);
}

void gpu_resource_pixels(const GpuResource *r, uint32_t x, uint32_t y, uint32_t width, uint32_t *to)
{
    const GpuFormat *f = r->format;
    const uint8_t *p = r->pixels + y * stride_of(r) + (uint64_t)x * GPU_PIXEL;
    uint32_t mask = f->has_alpha ? UINT32_MAX : 0xffffff;

    if (f->red == 2 && f->alpha == 3) { /* what drivers use */
        for (uint32_t n = 0; n < width; n++)
            to[n] = ld32le(p + n * GPU_PIXEL) & mask;
        return;
    }
    for (uint32_t n = 0; n < width; n++, p += GPU_PIXEL)
        to[n] = ((uint32_t)p[f->alpha] << 24 | (uint32_t)p[f->red] << 16 | (uint32_t)p[f->green] << 8 | p[f->blue]) &
                mask;
}

/* ---- saving ----
 *
 * A picture is its id, format, width, height and number of pieces (or NO_BACKING), the pieces, and the pixels.
 */

enum { HEAD_SIZE = 20, PIECE_SIZE = 12 };
#define NO_BACKING UINT32_MAX

static void resource_save(const GpuResource *r, GByteArray *out)
{
    uint8_t head[HEAD_SIZE], piece[PIECE_SIZE];

    st32le(head, r->id);
    st32le(head + 4, r->format->number);
    st32le(head + 8, r->width);
    st32le(head + 12, r->height);
    st32le(head + 16, r->pieces ? r->pieces->len : NO_BACKING);
    g_byte_array_append(out, head, sizeof head);
    for (unsigned n = 0; r->pieces && n < r->pieces->len; n++) {
        const GpuPiece *p = &g_array_index(r->pieces, GpuPiece, n);
        st64le(piece, p->gpa);
        st32le(piece + 8, p->size);
        g_byte_array_append(out, piece, sizeof piece);
    }
    g_byte_array_append(out, r->pixels, stride_of(r) * r->height);
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
    uint32_t x = ((const GpuResource *)a)->id, y = ((const GpuResource *)b)->id;
    return (x > y) - (x < y);
}

/* In the order of ids: the same state is saved as the same bytes. */
void gpu_resources_save(const Gpu *g, GByteArray *out)
{
    g_autoptr(GList) all = g_list_sort(g_hash_table_get_values(g->resources), compare_ids);
    for (const GList *l = all; l; l = l->next)
        resource_save(l->data, out);
}

typedef struct Reader {
    const uint8_t *at;
    uint64_t left;
} Reader;

static const uint8_t *take(Reader *in, uint64_t size)
{
    if (size > in->left)
        return NULL;
    in->at += size;
    in->left -= size;
    return in->at - size;
}

static GArray *pieces_load(Reader *in, uint32_t count)
{
    const uint8_t *bytes = take(in, (uint64_t)count * PIECE_SIZE);
    if (!bytes)
        return NULL;
    GArray *pieces = g_array_sized_new(FALSE, FALSE, sizeof(GpuPiece), count);
    for (uint32_t n = 0; n < count; n++, bytes += PIECE_SIZE) {
        GpuPiece p = { ld64le(bytes), ld32le(bytes + 8) };
        g_array_append_val(pieces, p);
    }
    return pieces;
}

static bool resource_load(Gpu *g, Reader *in)
{
    const uint8_t *head = take(in, HEAD_SIZE);
    if (!head || gpu_resource_create(g, ld32le(head), ld32le(head + 4), ld32le(head + 8), ld32le(head + 12)) != GPU_OK)
        return false;
    GpuResource *r = gpu_resource(g, ld32le(head));
    if (ld32le(head + 16) != NO_BACKING) {
        GArray *pieces = pieces_load(in, ld32le(head + 16));
        if (!pieces || gpu_resource_attach(g, r, pieces) != GPU_OK)
            return false;
    }
    const uint8_t *pixels = take(in, stride_of(r) * r->height);
    if (pixels)
        memcpy(r->pixels, pixels, stride_of(r) * r->height);
    return pixels;
}

gboolean gpu_resources_load(Gpu *g, const GByteArray *saved, GError **err)
{
    Reader in = { saved->data, saved->len };

    gpu_resources_free(g);
    while (in.left)
        if (!resource_load(g, &in))
            return error_set(err, "%s: the saved state has a picture that cannot be, or needs a larger max_hostmem",
                             g->virtio.pci.dev.id);
    return TRUE;
}
