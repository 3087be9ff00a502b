/* Messages for a 9P server, carried out by threads (queue.h). */
#include "backends/9p/queue.h"

#include "core/machine.h"
#include "util/endian.h"

enum { THREADS_MAX = 8, P9_TFLUSH = 108 };

typedef struct Job {
    P9Queue *queue;
    P9Server *server;
    uint8_t *message, *answer;
    size_t size, room, length;
    void *tag;
    bool forgotten;      /* its answer is for nobody; under the machine lock */
    GSList *flushes;     /* Job *, Tflushes that wait for this one */
} Job;

struct P9Queue {
    Machine *machine;
    const Share *share;
    P9Server *server;
    P9Done *reply;
    void *opaque;
    GThreadPool *pool;
    GList *jobs;         /* Job *, not yet reported; under the machine lock */
    GMutex mutex;
    GCond more_done;
    GQueue done;         /* Job *, to be reported */
    GSource *source;     /* its ready time is set when `done` has something */
};

typedef struct DoneSource {
    GSource base;
    P9Queue *queue;
} DoneSource;

static void job_free(Job *j)
{
    p9_server_unref(j->server);
    g_free(j->message);
    g_free(j->answer);
    g_free(j);
}

/* In a thread of the pool. */
static void job_work(gpointer data, gpointer unused)
{
    Job *j = data;
    P9Queue *q = j->queue;
    (void)unused;

    j->room = MIN(j->room, P9_MSIZE_MAX);
    j->answer = g_malloc(j->room);
    j->length = p9_server_handle(j->server, j->message, j->size, j->answer, j->room);
    g_mutex_lock(&q->mutex);
    g_queue_push_tail(&q->done, j);
    g_cond_broadcast(&q->more_done);
    g_mutex_unlock(&q->mutex);
    g_source_set_ready_time(q->source, 0);
}

static Job *done_take(P9Queue *q)
{
    g_mutex_lock(&q->mutex);
    Job *j = g_queue_pop_head(&q->done);
    g_mutex_unlock(&q->mutex);
    return j;
}

static void job_start(Job *j)
{
    g_thread_pool_push(j->queue->pool, j, NULL);
}

static void job_report(Job *j)
{
    P9Queue *q = j->queue;

    q->jobs = g_list_remove(q->jobs, j);
    if (!j->forgotten)
        q->reply(q->opaque, j->tag, j->answer, j->length);
    g_slist_foreach(j->flushes, (GFunc)(void (*)(void))job_start, NULL);
    g_slist_free(j->flushes);
    job_free(j);
}

static void done_report(P9Queue *q)
{
    Job *j;

    machine_lock(q->machine);
    while ((j = done_take(q)))
        job_report(j);
    machine_unlock(q->machine);
}

static gboolean done_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    (void)fn, (void)data;
    g_source_set_ready_time(source, -1);
    done_report(((DoneSource *)source)->queue);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs done_source_funcs = { .dispatch = done_dispatch };

P9Queue *p9_queue_new(Machine *m, const Share *share, P9Done *done, void *opaque)
{
    P9Queue *q = g_new0(P9Queue, 1);

    *q = (P9Queue) { .machine = m, .share = share, .server = p9_server_new(share), .reply = done, .opaque = opaque };
    q->pool = g_thread_pool_new(job_work, NULL, THREADS_MAX, FALSE, NULL);
    g_mutex_init(&q->mutex);
    g_cond_init(&q->more_done);
    g_queue_init(&q->done);
    q->source = g_source_new(&done_source_funcs, sizeof(DoneSource));
    ((DoneSource *)q->source)->queue = q;
    g_source_set_name(q->source, "myna 9p");
    g_source_attach(q->source, m->context);
    return q;
}

void p9_queue_free(P9Queue *q)
{
    p9_queue_reset(q);
    p9_queue_drain(q);
    g_thread_pool_free(q->pool, FALSE, TRUE);
    g_source_destroy(q->source);
    g_source_unref(q->source);
    p9_server_unref(q->server);
    g_mutex_clear(&q->mutex);
    g_cond_clear(&q->more_done);
    g_free(q);
}

/* The job that a Tflush is for, or NULL. */
static Job *find_flushed(P9Queue *q, const Job *flush)
{
    if (flush->size < P9_HEADER_SIZE + 2 || flush->message[4] != P9_TFLUSH)
        return NULL;
    for (GList *l = q->jobs; l; l = l->next) {
        Job *j = l->data;
        if (j != flush && !j->forgotten && j->size >= P9_HEADER_SIZE && j->message[4] != P9_TFLUSH &&
            ld16le(j->message + 5) == ld16le(flush->message + P9_HEADER_SIZE))
            return j;
    }
    return NULL;
}

void p9_queue_submit(P9Queue *q, uint8_t *message, size_t size, size_t room, void *tag)
{
    Job *j = g_new0(Job, 1);

    *j = (Job) { .queue = q, .server = p9_server_ref(q->server), .message = message, .size = size, .room = room, .tag = tag };
    q->jobs = g_list_prepend(q->jobs, j);
    Job *flushed = find_flushed(q, j);
    if (flushed)
        flushed->flushes = g_slist_append(flushed->flushes, j);
    else
        job_start(j);
}

void p9_queue_reset(P9Queue *q)
{
    for (GList *l = q->jobs; l; l = l->next)
        ((Job *)l->data)->forgotten = true;
    p9_server_unref(q->server);
    q->server = p9_server_new(q->share);
}

/* The threads never take the machine lock, so waiting for them with it is safe. */
void p9_queue_drain(P9Queue *q)
{
    while (q->jobs) {
        g_mutex_lock(&q->mutex);
        while (g_queue_is_empty(&q->done))
            g_cond_wait(&q->more_done, &q->mutex);
        g_mutex_unlock(&q->mutex);
        done_report(q);
    }
}

void p9_queue_save(P9Queue *q, GByteArray *out)
{
    p9_server_save(q->server, out);
}

gboolean p9_queue_load(P9Queue *q, const uint8_t *data, size_t size, GError **err)
{
    p9_queue_reset(q);
    return p9_server_load(q->server, data, size, err);
}
