/*
 * The inside of the virtio graphics card, shared by its files (virtio_gpu.h lists them).
 *
 * A resource is a picture in the host's memory.  The driver makes it, names the guest's memory that belongs to it
 * (backing), has parts of that copied (transfer), and says what of it is to be seen (flush) on screens that show it
 * (scanouts).  All the host's memory that a guest can make the device take is counted against max_hostmem.
 */
#ifndef MYNA_HW_VIRTIO_GPU_PRIVATE_H
#define MYNA_HW_VIRTIO_GPU_PRIVATE_H

#include "hw/display/console.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio_gpu.h"
#include "util/bits.h"
#include "util/endian.h"

enum { GPU_SCANOUTS_MAX = 16, GPU_SIDE_MAX = 16384, GPU_CURSOR_SIDE = 64, GPU_PIXEL = 4 /* bytes */ };
enum { GPU_FORMATS = 8 };

typedef enum GpuAnswer {
    GPU_OK = 0x1100, GPU_OK_DISPLAY_INFO = 0x1101, GPU_OK_EDID = 0x1104,
    GPU_UNSPECIFIED = 0x1200, GPU_NO_MEMORY = 0x1201, GPU_NO_SCANOUT = 0x1202, GPU_NO_RESOURCE = 0x1203,
    GPU_WRONG = 0x1205
} GpuAnswer;

typedef struct GpuRect {
    uint32_t x, y, width, height;
} GpuRect;

/* A piece of the guest's memory. */
typedef struct GpuPiece {
    uint64_t gpa;
    uint32_t size;
} GpuPiece;

/* Where the bytes of a pixel are, in the order of memory (5.7.6.8). */
typedef struct GpuFormat {
    uint32_t number;         /* VIRTIO_GPU_FORMAT_* */
    uint8_t red, green, blue, alpha;
} GpuFormat;

typedef struct GpuResource {
    uint32_t id, width, height;
    const GpuFormat *format;
    uint8_t *pixels;         /* width * height * GPU_PIXEL bytes as the guest has them */
    GArray *pieces;          /* GpuPiece, the backing; NULL: none */
    DmaList backing;         /* the same */
    uint64_t charge, backing_charge; /* bytes of max_hostmem; those of them for the backing */
} GpuResource;

typedef struct Gpu Gpu;

typedef struct GpuScanout {
    Gpu *gpu;
    Console *console, own;   /* own: unless it is a VGA's */
    /* what the guest knows of the screen */
    bool connected;
    uint32_t width, height;  /* that it prefers */
    /* what the guest shows */
    uint32_t resource;       /* its id, or 0 */
    GpuRect rect;            /* the part of it */
    GByteArray *cursor;      /* GPU_CURSOR_SIDE squared pixels 0xAARRGGBB, little-endian; or empty */
    uint32_t hot_x, hot_y, cursor_x, cursor_y;
    /* what is drawn */
    bool shown;              /* the surface has the resource, but for the lines in `changed` */
    uint8_t changed[GPU_SIDE_MAX / 8]; /* a bit for each line of rect */
} GpuScanout;

struct Gpu {
    VirtioDevice virtio;
    uint32_t max_outputs, xres, yres; /* properties */
    uint64_t max_hostmem;
    bool edid;
    uint32_t events;         /* events_read */
    GpuScanout scanout[GPU_SCANOUTS_MAX];
    GHashTable *resources;   /* GpuResource * by id */
    uint64_t hostmem;        /* what they take */
    GByteArray *saved;       /* the resources while a machine is saved or loaded */
    int64_t turn;            /* bytes that may yet be moved before others have theirs */
    /* What is on the first screen while the driver shows nothing there: a VGA, which has all of these; NULL: nothing. */
    const ConsoleOps *idle;
    void *idle_opaque;
};

/* ---- virtio_gpu.c ---- */

/* For create() and so on of both types; vga: the VGA's console for the first screen; NULL: it is no VGA. */
gboolean gpu_init(Gpu *g, Console *vga, GError **err);
void gpu_exit(Gpu *g);
void gpu_reset(Device *dev);
void gpu_pre_save(Device *dev);
gboolean gpu_post_load(Device *dev, GError **err);
void gpu_display_event(Gpu *g); /* the guest should ask for the screens again */

extern const StateField gpu_state[];

/* Both types begin with a Gpu. */
#define GPU_PROPERTIES                                                                                                \
    VIRTIO_PROPERTIES(Gpu),                                                                                           \
    { .name = "max_outputs", .type = PROP_U32, .offset = offsetof(Gpu, max_outputs), .initial = 1, .min = 1,          \
      .max = GPU_SCANOUTS_MAX, .help = "screens" },                                                                   \
    { .name = "xres", .type = PROP_U32, .offset = offsetof(Gpu, xres), .initial = 1280, .min = 320, .max = 4088,      \
      .help = "width that the monitor prefers" },                                                                     \
    { .name = "yres", .type = PROP_U32, .offset = offsetof(Gpu, yres), .initial = 800, .min = 200, .max = 4088,       \
      .help = "height that the monitor prefers" },                                                                    \
    { .name = "edid", .type = PROP_BOOL, .offset = offsetof(Gpu, edid), .initial = 1,                                 \
      .help = "offer what the monitor says of itself" },                                                              \
    { .name = "max_hostmem", .type = PROP_SIZE, .offset = offsetof(Gpu, max_hostmem), .initial = 256 << 20,           \
      .min = 1 << 20, .max = UINT64_C(2) << 30, .help = "memory for the guest's pictures" }

/* ---- virtio_gpu_command.c ---- */

/* Does what the element says and writes its answer; returns that one's size. */
uint32_t gpu_command(Gpu *g, VirtElement *e);

/* ---- virtio_gpu_resource.c ---- */

GpuResource *gpu_resource(const Gpu *g, uint32_t id); /* or NULL */
GpuAnswer gpu_resource_create(Gpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
void gpu_resource_free(Gpu *g, GpuResource *r);       /* no screen shows it any more */
void gpu_resources_free(Gpu *g);
/* The guest's memory of it; it has none yet.  `pieces` is the resource's in any case. */
GpuAnswer gpu_resource_attach(Gpu *g, GpuResource *r, GArray *pieces);
void gpu_resource_detach(Gpu *g, GpuResource *r);
/* Copies a part of it, which it has, from its backing, where the part's first pixel is at `offset`. */
void gpu_resource_transfer(Gpu *g, GpuResource *r, const GpuRect *part, uint64_t offset);
/* width pixels from (x, y) on as 0xAARRGGBB; without alpha the high byte is what is in its place. */
void gpu_resource_pixels(const GpuResource *r, uint32_t x, uint32_t y, uint32_t width, uint32_t *to);
bool gpu_resource_has(const GpuResource *r, const GpuRect *part);
void gpu_resources_save(const Gpu *g, GByteArray *out);
gboolean gpu_resources_load(Gpu *g, const GByteArray *in, GError **err);

/* ---- virtio_gpu_scanout.c ---- */

void gpu_scanouts_init(Gpu *g, Console *first);
void gpu_scanouts_exit(Gpu *g);
void gpu_scanouts_reset(Gpu *g);  /* nothing is shown */
/* id 0: nothing. */
void gpu_scanout_show(GpuScanout *s, uint32_t id, const GpuRect *rect);
/* A part of a resource has changed. */
void gpu_scanouts_flush(Gpu *g, uint32_t id, const GpuRect *part);
/* The picture of the pointer becomes that of a resource of GPU_CURSOR_SIDE squared; NULL: none. */
void gpu_cursor_define(GpuScanout *s, const GpuResource *r, uint32_t hot_x, uint32_t hot_y);
void gpu_cursor_move(GpuScanout *s, uint32_t x, uint32_t y);
gboolean gpu_scanouts_loaded(Gpu *g, GError **err);
extern const StateField gpu_scanout_state[];

#endif
