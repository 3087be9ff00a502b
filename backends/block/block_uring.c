/*
 * The engine for files of the host: io_uring(7).  One ring for all drives of a machine; it is used under the machine lock
 * alone.  The kernel tells of completions by an eventfd, which the main loop watches.
 *
 * Only what is read, written or flushed as it is in a file goes this way.  A transfer that ends short, as at the end of a
 * file, or that the kernel gives back, is done again by the threads, which know how to go on.
 */
#include "config.h"

#include "backends/block/block_internal.h"

#ifdef CONFIG_LIBURING
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ENTRIES = 256, MAX_BUFFERS = 1024 /* IOV_MAX */ };
#define MAX_SIZE (UINT64_C(1) << 30)
/* From here on the kernel's workers copy what its cache has: at once it would be the submitting CPU's thread. */
#define ASYNC_SIZE (UINT64_C(128) << 10)

struct BlockUring {
    BlockList *list;
    struct io_uring ring;
    unsigned in_flight;   /* submitted and not taken */
    unsigned queued;      /* of these, not yet handed over */
    int event;
    gpointer tag;
};

/* ---- submitting ---- */

/* O_DIRECT needs all of it aligned; and a block that is only partly written must not be written by others meanwhile. */
static bool is_aligned(const BlockRequest *r)
{
    unsigned alignment = r->backend->alignment;

    if (alignment == 1)
        return true;
    if (r->offset % alignment || (r->operation == OP_WRITE && alignment > 512))
        return false;
    for (unsigned k = 0; k < r->count; k++) {
        if ((uintptr_t)r->iov[k].iov_base % alignment || r->iov[k].iov_len % alignment)
            return false;
    }
    return true;
}

/* A write to the first sector of what was only guessed to be raw is looked at first (raw.c). */
static bool is_for_ring(const BlockRequest *r)
{
    if (r->operation == OP_FLUSH)
        return true;
    return (r->operation == OP_READ || r->operation == OP_WRITE) && r->size <= MAX_SIZE && r->count <= MAX_BUFFERS &&
           !(r->operation == OP_WRITE && r->offset < 512 && r->backend->image->guessed) && is_aligned(r);
}

static void prepare(struct io_uring_sqe *e, BlockRequest *r)
{
    int fd = r->backend->fd;

    switch (r->operation) {
    case OP_READ: io_uring_prep_readv(e, fd, r->iov, r->count, r->offset); break;
    case OP_WRITE: io_uring_prep_writev2(e, fd, r->iov, r->count, r->offset, r->through ? RWF_DSYNC : 0); break;
    default: io_uring_prep_fsync(e, fd, IORING_FSYNC_DATASYNC); break;
    }
    io_uring_sqe_set_data(e, r);
    if (r->size >= ASYNC_SIZE)
        io_uring_sqe_set_flags(e, IOSQE_ASYNC);
}

/* Where the host's cache has all of it, a read takes one system call and no way through the ring and the main loop. */
bool block_uring_read_cached(BlockRequest *r)
{
    if (r->operation != OP_READ || r->size >= ASYNC_SIZE || r->count > MAX_BUFFERS || r->backend->alignment != 1)
        return false;
    ssize_t n = preadv2(r->backend->fd, r->iov, r->count, r->offset, RWF_NOWAIT);
    return n > 0 && (uint64_t)n == r->size;
}

void block_uring_flush(BlockUring *u)
{
    int n = u->queued ? io_uring_submit(&u->ring) : 0;

    if (n > 0)
        u->queued -= MIN((unsigned)n, u->queued);
    if (u->queued) /* the kernel lacks memory for the moment: the main loop tries again */
        g_source_set_ready_time(u->list->source, g_get_monotonic_time() + 1000);
}

/* The ring has twice as many places for completions as for what is in flight, so that none is lost. */
bool block_uring_submit(BlockUring *u, BlockRequest *r)
{
    struct io_uring_sqe *e = u->in_flight < ENTRIES && is_for_ring(r) ? io_uring_get_sqe(&u->ring) : NULL;

    if (!e)
        return false;
    prepare(e, r);
    u->in_flight++;
    u->queued++;
    return true;
}

/* ---- completions ---- */

static bool is_whole(const BlockRequest *r, int result)
{
    return r->operation == OP_FLUSH ? !result : result >= 0 && (uint64_t)result == r->size;
}

/* Errors that say more of the way than of the data. */
static bool is_given_back(int result)
{
    return result == -EAGAIN || result == -EINTR || result == -ECANCELED || result == -EOPNOTSUPP || result == -EINVAL;
}

/* True: it is done; else the threads go on with it. */
static bool complete(BlockUring *u, BlockRequest *r, int result)
{
    if (is_whole(r, result))
        r->status = 0;
    else if (result < 0 && !is_given_back(result))
        r->status = result;
    else {
        block_threads_submit(u->list->threads, r);
        return false;
    }
    return true;
}

BlockRequest *block_uring_take(BlockUring *u)
{
    RequestQueue done = { 0 };
    struct io_uring_cqe *e;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&u->ring, head, e) {
        BlockRequest *r = io_uring_cqe_get_data(e);
        if (complete(u, r, e->res))
            request_push(&done, r);
        n++;
    }
    io_uring_cq_advance(&u->ring, n);
    u->in_flight -= n;
    return done.first;
}

bool block_uring_wait(BlockUring *u)
{
    struct io_uring_cqe *e;

    block_uring_flush(u);
    if (!u->in_flight)
        return false;
    while (io_uring_wait_cqe(&u->ring, &e) == -EINTR)
        ;
    return true;
}

/* ---- life ---- */

static bool watch(BlockUring *u)
{
    u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->event < 0 || io_uring_register_eventfd(&u->ring, u->event)) {
        if (u->event >= 0)
            close(u->event);
        return false;
    }
    u->tag = g_source_add_unix_fd(u->list->source, u->event, G_IO_IN);
    return true;
}

void block_uring_heard(BlockUring *u)
{
    uint64_t count;
    if (g_source_query_unix_fd(u->list->source, u->tag) && read(u->event, &count, sizeof count) < 0)
        return; /* taken already */
}

BlockUring *block_uring_new(BlockList *list)
{
    BlockUring *u = g_new0(BlockUring, 1);

    u->list = list;
    if (io_uring_queue_init(ENTRIES, &u->ring, 0)) {
        g_free(u);
        return NULL;
    }
    if (watch(u))
        return u;
    io_uring_queue_exit(&u->ring);
    g_free(u);
    return NULL;
}

void block_uring_free(BlockUring *u)
{
    g_source_remove_unix_fd(u->list->source, u->tag);
    io_uring_queue_exit(&u->ring);
    close(u->event);
    g_free(u);
}
#else
BlockUring *block_uring_new(BlockList *list) { (void)list; return NULL; }
void block_uring_free(BlockUring *u) { (void)u; }
bool block_uring_read_cached(BlockRequest *r) { (void)r; return false; }
bool block_uring_submit(BlockUring *u, BlockRequest *r) { (void)u, (void)r; return false; }
void block_uring_flush(BlockUring *u) { (void)u; }
BlockRequest *block_uring_take(BlockUring *u) { (void)u; return NULL; }
bool block_uring_wait(BlockUring *u) { (void)u; return false; }
void block_uring_heard(BlockUring *u) { (void)u; }
#endif
