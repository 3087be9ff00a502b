/*
 * The protocol "nbd": a disk that a server exports (the NBD protocol, doc/proto.md of its project), by libnbd.
 *
 * The handle belongs to a thread of its own, which waits for the socket.  Whoever wants bytes hands libnbd a command, wakes
 * that thread, and waits until it says that the command is done: commands of several threads are under way at once.  A
 * server that does not answer for a minute counts as gone, and so does one that has closed the connection.
 */
#include "config.h"

#include <string.h>

#include "backends/block/drivers.h"
#include "core/error.h"

#ifdef CONFIG_LIBNBD
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/bits.h"

enum { CONNECT_SECONDS = 30, ANSWER_SECONDS = 60 };

typedef struct Nbd {
    Image image;
    struct nbd_handle *h;
    GThread *thread;
    int wake[2];            /* a pipe */
    bool stop;              /* atomic */
    GMutex mutex;           /* of commands; taken with libnbd's lock held, so libnbd is not called with it */
    GCond done;
    GMutex edges;           /* who writes parts of a block */
    uint64_t least, most;   /* a request's size, and what it is a multiple of */
    bool can_zero, can_trim, can_flush, can_map;
} Nbd;

/* On the stack of who waits for it. */
typedef struct Command {
    Nbd *n;
    bool finished;
    int status;
    uint32_t length, flags; /* of block status: the first extent */
} Command;

/* ---- the thread ---- */

static void wake(const Nbd *n)
{
    ssize_t written = write(n->wake[1], "", 1);
    (void)written; /* a full pipe wakes too */
}

static void notify(struct nbd_handle *h, short events)
{
    unsigned direction = nbd_aio_get_direction(h);

    if ((direction & LIBNBD_AIO_DIRECTION_READ) && (events & (POLLIN | POLLHUP | POLLERR)))
        nbd_aio_notify_read(h);
    else if ((direction & LIBNBD_AIO_DIRECTION_WRITE) && (events & (POLLOUT | POLLHUP | POLLERR)))
        nbd_aio_notify_write(h);
}

static gpointer serve(gpointer opaque)
{
    Nbd *n = opaque;
    char bytes[64];

    while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
        unsigned direction = nbd_aio_get_direction(n->h);
        bool alive = !nbd_aio_is_dead(n->h) && !nbd_aio_is_closed(n->h);
        struct pollfd fds[2] = { { .fd = n->wake[0], .events = POLLIN },
                                 { .fd = alive ? nbd_aio_get_fd(n->h) : -1,
                                   .events = (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                                             (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0) } };
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents && read(n->wake[0], bytes, sizeof bytes) < 0)
            continue;
        if (fds[1].revents)
            notify(n->h, fds[1].revents);
    }
    return NULL;
}

/* ---- commands ---- */

static int last_error(void)
{
    int e = nbd_get_errno();
    return e ? -e : -EIO;
}

static int completion(void *opaque, int *error)
{
    Command *c = opaque;
    Nbd *n = c->n;

    g_mutex_lock(&n->mutex);
    c->status = -*error;
    c->finished = true;
    g_cond_broadcast(&n->done);
    g_mutex_unlock(&n->mutex);
    return 1; /* libnbd forgets the command */
}

#define COMPLETION(c) ((nbd_completion_callback){ .callback = completion, .user_data = (c) })

/* libnbd has the caller's buffer until the command is done: who is tired of waiting cuts the connection, which ends it. */
static int wait_for(Command *c, int64_t cookie)
{
    Nbd *n = c->n;
    gint64 until = g_get_monotonic_time() + ANSWER_SECONDS * G_TIME_SPAN_SECOND;
    bool late = false;

    if (cookie < 0)
        return last_error();
    wake(n);
    g_mutex_lock(&n->mutex);
    while (!c->finished && !late)
        late = !g_cond_wait_until(&n->done, &n->mutex, until);
    if (!c->finished) {
        g_mutex_unlock(&n->mutex);
        shutdown(nbd_aio_get_fd(n->h), SHUT_RDWR);
        wake(n);
        g_mutex_lock(&n->mutex);
    }
    while (!c->finished)
        g_cond_wait(&n->done, &n->mutex);
    g_mutex_unlock(&n->mutex);
    return late ? -ETIMEDOUT : c->status;
}

/* ---- opening ---- */

static gboolean failed(const Image *i, const ImageOptions *o, const char *what, GError **err)
{
    const char *why = nbd_get_error();
    return error_set(err, "%s: '%s': %s: %s", o->who, i->file, what, why ? why : "unknown error");
}

static gboolean connect_server(Nbd *n, const ImageOptions *o, GError **err)
{
    gint64 until = g_get_monotonic_time() + CONNECT_SECONDS * G_TIME_SPAN_SECOND;

    if (nbd_add_meta_context(n->h, LIBNBD_CONTEXT_BASE_ALLOCATION) || nbd_aio_connect_uri(n->h, n->image.file))
        return failed(&n->image, o, "no connection to the NBD server", err);
    while (nbd_aio_is_connecting(n->h)) {
        gint64 left = (until - g_get_monotonic_time()) / 1000;
        if (left <= 0)
            return error_set(err, "%s: '%s': the NBD server did not answer within %d seconds", o->who, n->image.file,
                             CONNECT_SECONDS);
        if (nbd_poll(n->h, left) < 0)
            return failed(&n->image, o, "no connection to the NBD server", err);
    }
    return nbd_aio_is_ready(n->h) || failed(&n->image, o, "no connection to the NBD server", err);
}

static uint64_t block_size(struct nbd_handle *h, int which, uint64_t otherwise)
{
    int64_t size = nbd_get_block_size(h, which);
    return size > 0 && is_power_of_2(size) ? (uint64_t)size : otherwise;
}

static gboolean learn(Nbd *n, const ImageOptions *o, GError **err)
{
    int64_t size = nbd_get_size(n->h);

    if (size < 0)
        return failed(&n->image, o, "the NBD server does not tell a size", err);
    if (!n->image.readonly && nbd_is_read_only(n->h) != 0)
        return error_set(err, "%s: '%s' is exported for reading only; give readonly=on or snapshot=on", o->who,
                         n->image.file);
    n->image.size = size;
    n->least = block_size(n->h, LIBNBD_SIZE_MINIMUM, 1);
    n->most = MAX(MIN(block_size(n->h, LIBNBD_SIZE_MAXIMUM, 32 * MiB), 32 * MiB), n->least);
    n->can_zero = nbd_can_zero(n->h) > 0;
    n->can_trim = nbd_can_trim(n->h) > 0;
    n->can_flush = nbd_can_flush(n->h) > 0;
    n->can_map = nbd_can_meta_context(n->h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    return TRUE;
}

static gboolean nbd_open(Image *i, const ImageOptions *o, GError **err)
{
    Nbd *n = (Nbd *)i;

    g_mutex_init(&n->mutex);
    g_mutex_init(&n->edges);
    g_cond_init(&n->done);
    n->h = nbd_create();
    n->wake[0] = n->wake[1] = -1;
    if (!n->h || pipe2(n->wake, O_CLOEXEC | O_NONBLOCK))
        return error_set(err, "%s: '%s': no handle for a connection: %s", o->who, i->file, g_strerror(errno));
    if (!connect_server(n, o, err) || !learn(n, o, err))
        return FALSE;
    n->thread = g_thread_new("nbd", serve, n);
    return TRUE;
}

static void nbd_close_image(Image *i)
{
    Nbd *n = (Nbd *)i;

    __atomic_store_n(&n->stop, true, __ATOMIC_RELEASE);
    if (n->thread) {
        wake(n);
        g_thread_join(n->thread);
    }
    if (n->h) {
        if (nbd_aio_is_ready(n->h))
            nbd_shutdown(n->h, 0);
        nbd_close(n->h);
    }
    for (unsigned k = 0; k < 2; k++)
        if (n->wake[k] >= 0)
            close(n->wake[k]);
    g_mutex_clear(&n->mutex);
    g_mutex_clear(&n->edges);
    g_cond_clear(&n->done);
}

/* ---- bytes ---- */

static int read_blocks(Nbd *n, uint64_t offset, uint8_t *buf, uint64_t size)
{
    int status = 0;

    for (uint64_t k; size && !status; offset += k, buf += k, size -= k) {
        Command c = { .n = n };
        k = MIN(size, n->most);
        status = wait_for(&c, nbd_aio_pread(n->h, buf, k, offset, COMPLETION(&c), 0));
    }
    return status;
}

static int write_blocks(Nbd *n, uint64_t offset, const uint8_t *buf, uint64_t size)
{
    int status = 0;

    for (uint64_t k; size && !status; offset += k, buf += k, size -= k) {
        Command c = { .n = n };
        k = MIN(size, n->most);
        status = wait_for(&c, nbd_aio_pwrite(n->h, buf, k, offset, COMPLETION(&c), 0));
    }
    return status;
}

static bool is_whole(const Nbd *n, uint64_t offset, uint64_t size) { return !((offset | size) & (n->least - 1)); }

/* The blocks that [offset, offset + size) is part of; to be freed. */
static uint8_t *blocks_around(const Nbd *n, uint64_t offset, uint64_t size, uint64_t *start, uint64_t *length)
{
    *start = align_down(offset, n->least);
    *length = align_up(offset + size, n->least) - *start;
    return g_malloc(*length);
}

static int read_part(Nbd *n, uint64_t offset, void *buf, uint64_t size)
{
    uint64_t start, length;
    g_autofree uint8_t *blocks = blocks_around(n, offset, size, &start, &length);
    int status = read_blocks(n, start, blocks, length);

    if (!status)
        memcpy(buf, blocks + (offset - start), size);
    return status;
}

/* Bytes behind the end read as zeros, as a file's do. */
static int nbd_read(Image *i, uint64_t offset, void *buf, uint64_t size)
{
    Nbd *n = (Nbd *)i;
    uint64_t there = offset < i->size ? MIN(size, i->size - offset) : 0;

    memset((uint8_t *)buf + there, 0, size - there);
    if (!there)
        return 0;
    return is_whole(n, offset, there) ? read_blocks(n, offset, buf, there) : read_part(n, offset, buf, there);
}

static int write_part(Nbd *n, uint64_t offset, const void *buf, uint64_t size)
{
    uint64_t start, length;
    g_autofree uint8_t *blocks = blocks_around(n, offset, size, &start, &length);

    g_mutex_lock(&n->edges);
    int status = read_blocks(n, start, blocks, length);
    memcpy(blocks + (offset - start), buf, size);
    if (!status)
        status = write_blocks(n, start, blocks, length);
    g_mutex_unlock(&n->edges);
    return status;
}

static int nbd_write(Image *i, uint64_t offset, const void *buf, uint64_t size)
{
    Nbd *n = (Nbd *)i;

    if (offset > i->size || size > i->size - offset)
        return -ENOSPC;
    return is_whole(n, offset, size) ? write_blocks(n, offset, buf, size) : write_part(n, offset, buf, size);
}

static int nbd_write_zeroes(Image *i, uint64_t offset, uint64_t size, bool may_unmap)
{
    Nbd *n = (Nbd *)i;
    int status = 0;

    if (!n->can_zero || !is_whole(n, offset, size) || offset > i->size || size > i->size - offset)
        return -ENOTSUP;
    for (uint64_t k; size && !status; offset += k, size -= k) {
        Command c = { .n = n };
        k = MIN(size, GiB);
        status = wait_for(&c, nbd_aio_zero(n->h, k, offset, COMPLETION(&c), may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE));
    }
    return status;
}

static int nbd_discard(Image *i, uint64_t offset, uint64_t size)
{
    Nbd *n = (Nbd *)i;
    uint64_t end = align_down(MIN(offset + size, i->size), n->least);
    int status = 0;

    offset = align_up(offset, n->least);
    if (!i->discard || !n->can_trim)
        return 0;
    for (uint64_t k; offset < end && !status; offset += k) {
        Command c = { .n = n };
        k = MIN(end - offset, GiB);
        status = wait_for(&c, nbd_aio_trim(n->h, k, offset, COMPLETION(&c), 0));
    }
    return status;
}

static int nbd_flush_image(Image *i)
{
    Nbd *n = (Nbd *)i;
    Command c = { .n = n };

    if (i->readonly || i->no_flush || !n->can_flush)
        return 0;
    return wait_for(&c, nbd_aio_flush(n->h, COMPLETION(&c), 0));
}

/* Takes the first extent: pairs of length and flags, 1 a hole and 2 zeros ("base:allocation"). */
static int take_extent(void *opaque, const char *context, uint64_t offset, uint32_t *entries, size_t count, int *error)
{
    Command *c = opaque;
    (void)offset, (void)error;

    if (!strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) && count >= 2) {
        c->length = entries[0];
        c->flags = entries[1];
    }
    return 0;
}

static int nbd_map(Image *i, uint64_t offset, uint64_t size, ImageExtent *e)
{
    Nbd *n = (Nbd *)i;
    Command c = { .n = n };
    uint64_t start = align_down(offset, n->least), end = MIN(align_up(offset + size, n->least), i->size);

    *e = (ImageExtent){ .length = size, .allocated = true, .in_file = true, .at = offset };
    if (!n->can_map || start >= end)
        return 0;
    int status = wait_for(&c, nbd_aio_block_status(n->h, MIN(end - start, GiB), start,
                          (nbd_extent_callback){ .callback = take_extent, .user_data = &c }, COMPLETION(&c), 0));
    if (status || start + c.length <= offset) /* the server does not say */
        return status;
    e->length = MIN(size, start + c.length - offset);
    e->allocated = !(c.flags & LIBNBD_STATE_HOLE);
    e->zero = c.flags & LIBNBD_STATE_ZERO;
    return 0;
}
#else
typedef struct Nbd {
    Image image;
} Nbd;

static gboolean nbd_open(Image *i, const ImageOptions *o, GError **err)
{
    return error_set(err, "%s: '%s': this build has no NBD (configure found no libnbd)", o->who, i->file);
}

static void nbd_close_image(Image *i) { (void)i; }
#endif

bool image_is_nbd(const char *file)
{
    static const char *const schemes[] = { "nbd://", "nbd+unix://", "nbds://", "nbds+unix://", NULL };

    for (const char *const *s = schemes; *s; s++)
        if (g_str_has_prefix(file, *s))
            return true;
    return false;
}

const ImageDriver image_driver_nbd = {
    .name = "nbd",
    .description = "a disk that an NBD server exports",
    .protocol = true,
    .size = sizeof(Nbd),
    .open = nbd_open,
    .close = nbd_close_image,
#ifdef CONFIG_LIBNBD
    .read = nbd_read,
    .write = nbd_write,
    .write_zeroes = nbd_write_zeroes,
    .discard = nbd_discard,
    .flush = nbd_flush_image,
    .map = nbd_map,
#endif
};
