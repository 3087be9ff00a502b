/* The engine for every image: threads that do what blocks (block_internal.h). They never take the machine lock. */
#include "backends/block/block_internal.h"

enum { MAX_THREADS = 16 };

struct BlockThreads {
    BlockList *list;
    GMutex mutex;             /* of all below */
    GCond more, finished;
    RequestQueue todo, done;
    GThread *thread[MAX_THREADS];
    unsigned count, idle;
    bool ending;
};

static int carry_out(const BlockRequest *r)
{
    Image *image = r->backend->image;

    switch (r->operation) {
    case OP_READ: return image_readv(image, r->offset, r->iov, r->count);
    case OP_WRITE: return image_writev(image, r->offset, r->iov, r->count);
    case OP_ZERO: return image_write_zeroes(image, r->offset, r->size, r->may_unmap);
    case OP_DISCARD: return image_discard(image, r->offset, r->size);
    case OP_FLUSH: return image_flush(image);
    }
    return -EINVAL;
}

/* The next one, or NULL when there will be none; the mutex is held. */
static BlockRequest *next(BlockThreads *t)
{
    t->idle++;
    while (!t->todo.first && !t->ending)
        g_cond_wait(&t->more, &t->mutex);
    t->idle--;
    return request_pop(&t->todo);
}

/* The main loop is woken by the first of those that it will take together. */
static void finish(BlockThreads *t, BlockRequest *r)
{
    bool first = !t->done.first;

    request_push(&t->done, r);
    g_cond_signal(&t->finished);
    if (first)
        g_source_set_ready_time(t->list->source, 0);
}

static gpointer work(gpointer opaque)
{
    BlockThreads *t = opaque;
    BlockRequest *r;

    g_mutex_lock(&t->mutex);
    while ((r = next(t))) {
        g_mutex_unlock(&t->mutex);
        r->status = carry_out(r);
        if (!r->status && r->through)
            r->status = image_flush(r->backend->image);
        g_mutex_lock(&t->mutex);
        finish(t, r);
    }
    g_mutex_unlock(&t->mutex);
    return NULL;
}

void block_threads_submit(BlockThreads *t, BlockRequest *r)
{
    g_mutex_lock(&t->mutex);
    request_push(&t->todo, r);
    if (t->idle)
        g_cond_signal(&t->more);
    else if (t->count < MAX_THREADS)
        t->thread[t->count++] = g_thread_new("myna disks", work, t);
    g_mutex_unlock(&t->mutex);
}

BlockRequest *block_threads_take(BlockThreads *t)
{
    g_mutex_lock(&t->mutex);
    BlockRequest *r = request_take_all(&t->done);
    g_mutex_unlock(&t->mutex);
    return r;
}

void block_threads_wait(BlockThreads *t)
{
    g_mutex_lock(&t->mutex);
    while (!t->done.first)
        g_cond_wait(&t->finished, &t->mutex);
    g_mutex_unlock(&t->mutex);
}

BlockThreads *block_threads_new(BlockList *list)
{
    BlockThreads *t = g_new0(BlockThreads, 1);

    t->list = list;
    g_mutex_init(&t->mutex);
    g_cond_init(&t->more);
    g_cond_init(&t->finished);
    return t;
}

void block_threads_free(BlockThreads *t)
{
    g_mutex_lock(&t->mutex);
    t->ending = true;
    g_cond_broadcast(&t->more);
    g_mutex_unlock(&t->mutex);
    for (unsigned i = 0; i < t->count; i++)
        g_thread_join(t->thread[i]);
    g_mutex_clear(&t->mutex);
    g_cond_clear(&t->more);
    g_cond_clear(&t->finished);
    g_free(t);
}
