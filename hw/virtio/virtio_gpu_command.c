/* Commands of a virtio graphics card (virtio_gpu_private.h): Virtual I/O Device 1.2, 5.7.6.7 to 5.7.6.10. */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/display/edid.h"
#include "hw/virtio/virtio_gpu_private.h"

enum {
    CMD_DISPLAY_INFO = 0x100, CMD_CREATE_2D = 0x101, CMD_UNREF = 0x102, CMD_SET_SCANOUT = 0x103, CMD_FLUSH = 0x104,
    CMD_TRANSFER = 0x105, CMD_ATTACH = 0x106, CMD_DETACH = 0x107, CMD_EDID = 0x10a, CMD_UPDATE_CURSOR = 0x300,
    CMD_MOVE_CURSOR = 0x301
};
enum { FLAG_FENCE = 1 };
enum { /* the header of commands and answers */
    HEAD_TYPE = 0, HEAD_FLAGS = 4, HEAD_FENCE = 8, HEAD_CONTEXT = 16, HEAD_SIZE = 24
};
enum { MODE_SIZE = 24, EDID_ROOM = 1024 };
enum { REQUEST_MAX = 64, ANSWER_MAX = HEAD_SIZE + 8 + EDID_ROOM, PIECE_SIZE = 16, PIECES_READ = 256 };

typedef struct Command {
    Gpu *gpu;
    VirtElement *e;
    uint8_t request[REQUEST_MAX];
    uint8_t answer[ANSWER_MAX];
    uint32_t answer_size;
} Command;

static uint32_t word(const Command *c, unsigned at) { return ld32le(c->request + HEAD_SIZE + at); }

static GpuRect rectangle(const Command *c)
{
    return (GpuRect){ word(c, 0), word(c, 4), word(c, 8), word(c, 12) };
}

static GpuScanout *scanout(const Command *c, uint32_t n)
{
    return n < c->gpu->max_outputs ? &c->gpu->scanout[n] : NULL;
}

/* ---- screens ---- */

static GpuAnswer do_display_info(Command *c)
{
    uint8_t *mode = c->answer + HEAD_SIZE;

    for (unsigned n = 0; n < c->gpu->max_outputs; n++, mode += MODE_SIZE) {
        const GpuScanout *s = &c->gpu->scanout[n];
        if (!s->connected)
            continue;
        st32le(mode + 8, s->width);
        st32le(mode + 12, s->height);
        st32le(mode + 16, 1); /* enabled */
    }
    c->answer_size = HEAD_SIZE + GPU_SCANOUTS_MAX * MODE_SIZE;
    return GPU_OK_DISPLAY_INFO;
}

static GpuAnswer do_edid(Command *c)
{
    const GpuScanout *s = scanout(c, word(c, 0));

    if (!s)
        return GPU_WRONG;
    st32le(c->answer + HEAD_SIZE, EDID_SIZE);
    edid_make(c->answer + HEAD_SIZE + 8, s->width, s->height, UINT64_MAX);
    c->answer_size = HEAD_SIZE + 8 + EDID_ROOM;
    return GPU_OK_EDID;
}

static GpuAnswer do_set_scanout(Command *c)
{
    GpuRect rect = rectangle(c);
    GpuScanout *s = scanout(c, word(c, 16));
    uint32_t id = word(c, 20);

    if (!s)
        return GPU_NO_SCANOUT;
    if (id) {
        const GpuResource *r = gpu_resource(c->gpu, id);
        if (!r)
            return GPU_NO_RESOURCE;
        if (!gpu_resource_has(r, &rect))
            return GPU_WRONG;
    }
    gpu_scanout_show(s, id, &rect);
    return GPU_OK;
}

static GpuAnswer do_flush(Command *c)
{
    GpuRect rect = rectangle(c);
    const GpuResource *r = gpu_resource(c->gpu, word(c, 16));

    if (!r)
        return GPU_NO_RESOURCE;
    if (!gpu_resource_has(r, &rect))
        return GPU_WRONG;
    gpu_scanouts_flush(c->gpu, r->id, &rect);
    return GPU_OK;
}

/* ---- resources ---- */

static GpuAnswer do_create(Command *c)
{
    return gpu_resource_create(c->gpu, word(c, 0), word(c, 4), word(c, 8), word(c, 12));
}

static GpuAnswer do_unref(Command *c)
{
    GpuResource *r = gpu_resource(c->gpu, word(c, 0));

    if (!r)
        return GPU_NO_RESOURCE;
    for (unsigned n = 0; n < c->gpu->max_outputs; n++)
        if (c->gpu->scanout[n].resource == r->id)
            gpu_scanout_show(&c->gpu->scanout[n], 0, NULL);
    gpu_resource_free(c->gpu, r);
    return GPU_OK;
}

static GpuAnswer do_transfer(Command *c)
{
    GpuRect rect = rectangle(c);
    GpuResource *r = gpu_resource(c->gpu, word(c, 24));

    if (!r)
        return GPU_NO_RESOURCE;
    if (!r->pieces)
        return GPU_UNSPECIFIED;
    if (!gpu_resource_has(r, &rect))
        return GPU_WRONG;
    gpu_resource_transfer(c->gpu, r, &rect, ld64le(c->request + HEAD_SIZE + 16));
    return GPU_OK;
}

/* What follows the command: addresses and lengths. */
static GArray *read_pieces(const Command *c, uint32_t count)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(GpuPiece));
    uint8_t bytes[PIECES_READ * PIECE_SIZE];
    uint64_t at = HEAD_SIZE + 8;

    while (pieces->len < count) {
        unsigned n = MIN(count - pieces->len, PIECES_READ);
        dma_to_buffer(&c->e->out, at, bytes, n * PIECE_SIZE);
        for (unsigned k = 0; k < n; k++) {
            GpuPiece p = { ld64le(bytes + k * PIECE_SIZE), ld32le(bytes + k * PIECE_SIZE + 8) };
            g_array_append_val(pieces, p);
        }
        at += n * PIECE_SIZE;
    }
    return pieces;
}

static GpuAnswer do_attach(Command *c)
{
    GpuResource *r = gpu_resource(c->gpu, word(c, 0));
    uint32_t count = word(c, 4);

    if (!r)
        return GPU_NO_RESOURCE;
    if (r->pieces || c->e->out.size < HEAD_SIZE + 8 + (uint64_t)count * PIECE_SIZE)
        return GPU_UNSPECIFIED;
    c->gpu->turn -= (int64_t)count * 256; /* looking one up takes as long as moving so many bytes */
    return gpu_resource_attach(c->gpu, r, read_pieces(c, count));
}

static GpuAnswer do_detach(Command *c)
{
    GpuResource *r = gpu_resource(c->gpu, word(c, 0));

    if (!r || !r->pieces)
        return GPU_NO_RESOURCE;
    gpu_resource_detach(c->gpu, r);
    return GPU_OK;
}

/* ---- the pointer (5.7.6.10): screen, x, y, -, picture, its pointing dot ---- */

static GpuAnswer do_update_cursor(Command *c)
{
    GpuScanout *s = scanout(c, word(c, 0));
    const GpuResource *r = gpu_resource(c->gpu, word(c, 16));

    if (!s)
        return GPU_NO_SCANOUT;
    if (word(c, 16) && !r)
        return GPU_NO_RESOURCE;
    if (r && (r->width != GPU_CURSOR_SIDE || r->height != GPU_CURSOR_SIDE))
        return GPU_WRONG;
    gpu_cursor_define(s, r, word(c, 20), word(c, 24));
    gpu_cursor_move(s, word(c, 4), word(c, 8));
    return GPU_OK;
}

static GpuAnswer do_move_cursor(Command *c)
{
    GpuScanout *s = scanout(c, word(c, 0));

    if (!s)
        return GPU_NO_SCANOUT;
    gpu_cursor_move(s, word(c, 4), word(c, 8));
    return GPU_OK;
}

/* ---- all ---- */

static const struct { uint32_t type, size; GpuAnswer (*fn)(Command *c); } commands[] = {
    { CMD_DISPLAY_INFO, HEAD_SIZE, do_display_info }, { CMD_CREATE_2D, HEAD_SIZE + 16, do_create },
    { CMD_UNREF, HEAD_SIZE + 8, do_unref }, { CMD_SET_SCANOUT, HEAD_SIZE + 24, do_set_scanout },
    { CMD_FLUSH, HEAD_SIZE + 24, do_flush }, { CMD_TRANSFER, HEAD_SIZE + 32, do_transfer },
    { CMD_ATTACH, HEAD_SIZE + 8, do_attach }, { CMD_DETACH, HEAD_SIZE + 8, do_detach },
    { CMD_EDID, HEAD_SIZE + 8, do_edid }, { CMD_UPDATE_CURSOR, HEAD_SIZE + 32, do_update_cursor },
    { CMD_MOVE_CURSOR, HEAD_SIZE + 32, do_move_cursor },
};

static GpuAnswer run(Command *c, uint32_t type, uint64_t size)
{
    for (unsigned n = 0; n < ARRAY_SIZE(commands); n++)
        if (commands[n].type == type)
            return size < commands[n].size ? GPU_WRONG : commands[n].fn(c);
    return GPU_UNSPECIFIED;
}

/* All is done when it is answered, so a fence, which asks for that (5.7.6.7), is only to be named in the answer. */
static void put_head(Command *c, GpuAnswer type)
{
    uint32_t flags = ld32le(c->request + HEAD_FLAGS) & FLAG_FENCE;

    st32le(c->answer + HEAD_TYPE, type);
    st32le(c->answer + HEAD_FLAGS, flags);
    if (flags)
        memcpy(c->answer + HEAD_FENCE, c->request + HEAD_FENCE, HEAD_SIZE - HEAD_FENCE);
}

uint32_t gpu_command(Gpu *g, VirtElement *e)
{
    Command c = { .gpu = g, .e = e, .answer_size = HEAD_SIZE };
    uint64_t size = dma_to_buffer(&e->out, 0, c.request, sizeof c.request);

    if (size < HEAD_SIZE) {
        log_guest_error("%s: a command of %u bytes", g->virtio.pci.dev.id, (unsigned)size);
        return 0;
    }
    uint32_t type = ld32le(c.request + HEAD_TYPE);
    GpuAnswer answer = run(&c, type, size);
    if (answer >= GPU_UNSPECIFIED)
        log_guest_error("%s: command 0x%x is answered by error 0x%x", g->virtio.pci.dev.id, type, answer);
    put_head(&c, answer);
    return dma_from_buffer(&e->in, 0, c.answer, MIN(c.answer_size, e->in.size));
}
