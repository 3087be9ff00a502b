/*
 * Drives: the list of a machine, and transfers.  A transfer is done by a thread of a pool, waits in a queue, and is
 * reported by the main loop, under the machine lock (block.h).
 */
#include "backends/block/block.h"

#include <errno.h>
#include <string.h>

#include "backends/block/image.h"
#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"

enum { MAX_THREADS = 8 };

typedef struct BlockList BlockList;

struct BlockBackend {
    BlockList *list;
    char *id;
    char *file;         /* name of the image, or NULL */
    bool cdrom, readonly;
    bool shared;        /* other drives may read the file too */
    char *device;       /* who uses it, or NULL */
    const BlockUser *user;
    void *user_opaque;
    bool no_write_cache, tray_open, locked;
    Image *image;       /* NULL: no medium */
    unsigned in_flight; /* transfers not yet reported; under list->mutex */
    bool failed;        /* the user has been told of an error; under the machine lock */
};

/* What a machine's drives share: the machine's slot "block". */
struct BlockList {
    Machine *machine;
    GPtrArray *backends; /* BlockBackend * */
    GThreadPool *pool;
    GMutex mutex;
    GQueue done;         /* Request *, to be reported */
    GCond more_done;
    GSource *source;     /* its ready time is set when `done` has something */
};

typedef enum Operation { OP_READ, OP_WRITE, OP_ZERO, OP_DISCARD, OP_FLUSH } Operation;

typedef struct Request {
    BlockBackend *backend;
    Operation operation;
    uint64_t offset, size;
    struct iovec one;         /* of a single buffer */
    const struct iovec *iov;  /* NULL: `one` */
    unsigned count;
    bool may_unmap;
    BlockDone *done;
    void *opaque;
    int status;
} Request;

typedef struct DoneSource {
    GSource base;
    BlockList *list;
} DoneSource;

/* ---- transfers ---- */

static void request_finish(Request *r)
{
    BlockList *list = r->backend->list;

    g_mutex_lock(&list->mutex);
    g_queue_push_tail(&list->done, r);
    g_cond_broadcast(&list->more_done);
    g_mutex_unlock(&list->mutex);
    g_source_set_ready_time(list->source, 0);
}

/* In a thread of the pool. */
static void request_work(gpointer data, gpointer unused)
{
    Request *r = data;
    Image *image = r->backend->image;
    (void)unused;

    switch (r->operation) {
    case OP_READ: r->status = image_readv(image, r->offset, r->iov, r->count); break;
    case OP_WRITE: r->status = image_writev(image, r->offset, r->iov, r->count); break;
    case OP_ZERO: r->status = image_write_zeroes(image, r->offset, r->size, r->may_unmap); break;
    case OP_DISCARD: r->status = image_discard(image, r->offset, r->size); break;
    case OP_FLUSH: r->status = image_flush(image); break;
    }
    if (!r->status && r->backend->no_write_cache && (r->operation == OP_WRITE || r->operation == OP_ZERO))
        r->status = image_flush(image);
    request_finish(r);
}

/* One line about the first error of a drive: the guest gets the others. */
static void tell_error(Request *r)
{
    static const char *const words[] = { [OP_READ] = "reading", [OP_WRITE] = "writing", [OP_ZERO] = "zeroing",
                                         [OP_DISCARD] = "discarding", [OP_FLUSH] = "flushing" };
    BlockBackend *b = r->backend;

    if (b->failed || r->status >= 0 || !b->image || r->status == -EINVAL || r->status == -EROFS)
        return;
    b->failed = true;
    log_user("drive '%s': %s failed: %s; the guest gets an error", b->id, words[r->operation], g_strerror(-r->status));
}

static Request *done_take(BlockList *list)
{
    g_mutex_lock(&list->mutex);
    Request *r = g_queue_pop_head(&list->done);
    if (r)
        r->backend->in_flight--;
    g_mutex_unlock(&list->mutex);
    return r;
}

static void done_report(BlockList *list)
{
    Request *r;

    machine_lock(list->machine);
    while ((r = done_take(list))) {
        tell_error(r);
        r->done(r->opaque, r->status);
        g_free(r);
    }
    machine_unlock(list->machine);
}

static gboolean done_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    (void)fn;
    (void)data;
    g_source_set_ready_time(source, -1);
    done_report(((DoneSource *)source)->list);
    return G_SOURCE_CONTINUE;
}

/* An error that is known at once, or 0. */
static int request_check(const Request *r)
{
    const BlockBackend *b = r->backend;

    if (!b->image)
        return -ENXIO;
    if (r->operation != OP_READ && r->operation != OP_FLUSH && b->readonly)
        return -EROFS;
    if (r->offset > block_size(b) || r->size > block_size(b) - r->offset)
        return -EINVAL;
    return 0;
}

static void submit(Request request)
{
    Request *r = g_new(Request, 1);
    BlockList *list = request.backend->list;

    *r = request;
    if (!r->iov) {
        r->iov = &r->one;
        r->count = 1;
    }
    r->status = request_check(r);
    g_mutex_lock(&list->mutex);
    r->backend->in_flight++;
    g_mutex_unlock(&list->mutex);
    if (r->status)
        request_finish(r);
    else
        g_thread_pool_push(list->pool, r, NULL);
}

static uint64_t iov_size(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;
    for (unsigned k = 0; k < count; k++)
        size += iov[k].iov_len;
    return size;
}

void block_read(BlockBackend *b, uint64_t offset, void *buf, uint64_t size, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_READ, .offset = offset, .size = size, .one = { buf, size },
                       .done = done, .opaque = opaque });
}

void block_write(BlockBackend *b, uint64_t offset, const void *buf, uint64_t size, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_WRITE, .offset = offset, .size = size, .one = { (void *)buf, size },
                       .done = done, .opaque = opaque });
}

void block_readv(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_READ, .offset = offset, .size = iov_size(iov, count), .iov = iov,
                       .count = count, .done = done, .opaque = opaque });
}

void block_writev(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_WRITE, .offset = offset, .size = iov_size(iov, count), .iov = iov,
                       .count = count, .done = done, .opaque = opaque });
}

void block_write_zeroes(BlockBackend *b, uint64_t offset, uint64_t size, bool may_unmap, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_ZERO, .offset = offset, .size = size, .may_unmap = may_unmap,
                       .done = done, .opaque = opaque });
}

void block_discard(BlockBackend *b, uint64_t offset, uint64_t size, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_DISCARD, .offset = offset, .size = size, .done = done,
                       .opaque = opaque });
}

void block_flush(BlockBackend *b, BlockDone *done, void *opaque)
{
    submit((Request) { .backend = b, .operation = OP_FLUSH, .done = done, .opaque = opaque });
}

/* Waits until something is to be reported; false when nothing of this drive is under way. */
static bool wait_for_done(BlockBackend *b)
{
    BlockList *list = b->list;

    g_mutex_lock(&list->mutex);
    while (b->in_flight && g_queue_is_empty(&list->done))
        g_cond_wait(&list->more_done, &list->mutex);
    bool under_way = b->in_flight;
    g_mutex_unlock(&list->mutex);
    return under_way;
}

/* The pool's threads never take the machine lock, so waiting for them with it is safe. */
void block_drain(BlockBackend *b)
{
    while (wait_for_done(b))
        done_report(b->list);
}

void block_drain_all(Machine *m)
{
    BlockBackend *b;
    for (unsigned n = 0; (b = block_nth(m, n)); n++)
        block_drain(b);
}

int block_read_now(BlockBackend *b, uint64_t offset, void *buf, uint64_t size)
{
    Request r = { .backend = b, .operation = OP_READ, .offset = offset, .size = size };
    int status = request_check(&r);

    return status ? status : image_read(b->image, offset, buf, size);
}

/* ---- the list ---- */

static void backend_free(gpointer p)
{
    BlockBackend *b = p;

    if (b->image)
        image_close(b->image);
    g_free(b->id);
    g_free(b->file);
    g_free(b->device);
    g_free(b);
}

static GSourceFuncs done_source_funcs = { .dispatch = done_dispatch };

static BlockList *list_new(Machine *m)
{
    BlockList *list = g_new0(BlockList, 1);

    list->machine = m;
    list->backends = g_ptr_array_new_with_free_func(backend_free);
    list->pool = g_thread_pool_new(request_work, NULL, MAX_THREADS, FALSE, NULL);
    g_mutex_init(&list->mutex);
    g_cond_init(&list->more_done);
    g_queue_init(&list->done);
    list->source = g_source_new(&done_source_funcs, sizeof(DoneSource));
    ((DoneSource *)list->source)->list = list;
    g_source_set_name(list->source, "myna disks");
    g_source_attach(list->source, m->context);
    machine_provide(m, "block", list);
    return list;
}

/* Devices find a drive in the machine's slot "drive:ID" (core/device.c). */
static void slot_set(Machine *m, const char *id, BlockBackend *b)
{
    g_autofree char *slot = g_strconcat("drive:", id, NULL);
    machine_provide(m, slot, b);
}

BlockBackend *block_find(Machine *m, const char *id)
{
    g_autofree char *slot = g_strconcat("drive:", id, NULL);
    return machine_find(m, slot);
}

BlockBackend *block_nth(Machine *m, unsigned n)
{
    BlockList *list = machine_find(m, "block");
    return list && n < list->backends->len ? g_ptr_array_index(list->backends, n) : NULL;
}

/* The drive that has a file open already, or NULL. */
static BlockBackend *find_user(Machine *m, const char *file)
{
    BlockList *list = machine_find(m, "block");

    for (unsigned i = 0; list && i < list->backends->len; i++) {
        BlockBackend *b = list->backends->pdata[i];
        if (b->image && image_is_same(b->image, file))
            return b;
    }
    return NULL;
}

static bool may_share(const BlockOptions *o)
{
    return o->readonly || o->snapshot;
}

/* The lock would keep this drive out as well; but the user's mistake is within one command line. */
static gboolean check_user(Machine *m, const BlockOptions *o, GError **err)
{
    BlockBackend *user = find_user(m, o->file);

    if (!user || (user->shared && may_share(o)))
        return TRUE;
    return error_set(err, "drive '%s': '%s' is already used by drive '%s'; only drives with readonly=on or snapshot=on "
                     "can share a file", o->id, o->file, user->id);
}

static Image *open_image(const BlockOptions *o, GError **err)
{
    g_autofree char *who = g_strdup_printf("drive '%s'", o->id);
    return image_open(&(ImageOptions){ .who = who, .file = o->file, .format = o->format, .readonly = o->readonly,
                                       .snapshot = o->snapshot, .cdrom = o->cdrom }, err);
}

BlockBackend *block_open(Machine *m, const BlockOptions *options, GError **err)
{
    BlockOptions o = *options;
    Image *image = NULL;

    o.readonly |= o.cdrom;
    if (block_find(m, o.id)) {
        error_set(err, "drive '%s': there is already a drive of this id; give each its own id=", o.id);
        return NULL;
    }
    if (o.file && (!check_user(m, &o, err) || !(image = open_image(&o, err))))
        return NULL;
    BlockBackend *b = g_new0(BlockBackend, 1);
    b->list = machine_find(m, "block") ?: list_new(m);
    b->id = g_strdup(o.id);
    b->file = g_strdup(o.file);
    b->cdrom = o.cdrom;
    b->readonly = o.readonly;
    b->shared = may_share(&o);
    b->image = image;
    g_ptr_array_add(b->list->backends, b);
    slot_set(m, b->id, b);
    return b;
}

void block_close_all(Machine *m)
{
    BlockList *list = machine_find(m, "block");

    if (!list)
        return;
    for (unsigned i = 0; i < list->backends->len; i++) {
        BlockBackend *b = list->backends->pdata[i];
        block_drain(b);
        slot_set(m, b->id, NULL);
    }
    machine_provide(m, "block", NULL);
    g_thread_pool_free(list->pool, FALSE, TRUE);
    g_source_destroy(list->source);
    g_source_unref(list->source);
    g_ptr_array_unref(list->backends);
    g_mutex_clear(&list->mutex);
    g_cond_clear(&list->more_done);
    g_free(list);
}

/* ---- who uses it ---- */

gboolean block_attach(BlockBackend *b, const char *device, const BlockUser *user, void *opaque, GError **err)
{
    if (b->device)
        return error_set(err, "%s: drive '%s' is used by '%s' already; each drive belongs to one device", device, b->id,
                         b->device);
    b->device = g_strdup(device);
    b->user = user;
    b->user_opaque = opaque;
    return TRUE;
}

void block_detach(BlockBackend *b)
{
    block_drain(b);
    g_clear_pointer(&b->device, g_free);
    b->user = NULL;
}

const char *block_user(const BlockBackend *b) { return b->device; }

void block_set_write_cache(BlockBackend *b, bool on) { b->no_write_cache = !on; }
bool block_write_cache(const BlockBackend *b) { return !b->no_write_cache; }
void block_set_tray(BlockBackend *b, bool open) { b->tray_open = open; }
void block_set_locked(BlockBackend *b, bool locked) { b->locked = locked; }
bool block_tray_open(const BlockBackend *b) { return b->tray_open; }
bool block_locked(const BlockBackend *b) { return b->locked; }

/* ---- what a device asks ---- */

const char *block_format(const BlockBackend *b) { return b->image ? b->image->driver->name : NULL; }
bool block_can_discard(const BlockBackend *b) { return b->image && b->image->discard && b->image->driver->discard; }

const char *block_id(const BlockBackend *b)
{
    return b->id;
}

const char *block_file(const BlockBackend *b)
{
    return b->file;
}

uint64_t block_size(const BlockBackend *b)
{
    return b->image ? b->image->size : 0;
}

bool block_readonly(const BlockBackend *b)
{
    return b->readonly;
}

bool block_inserted(const BlockBackend *b)
{
    return b->image != NULL;
}

bool block_is_cdrom(const BlockBackend *b)
{
    return b->cdrom;
}
