/* Transfers: checked, handed to an engine, reported; errors; waiting for them (block_internal.h). */
#include <errno.h>
#include <string.h>

#include "backends/block/block_internal.h"
#include "core/error.h"
#include "core/log.h"

typedef struct DoneSource {
    GSource base;
    BlockList *list;
} DoneSource;

/* ---- making and starting ---- */

static BlockRequest *request_new(BlockList *list)
{
    BlockRequest *r = list->spare;

    if (r)
        list->spare = r->next;
    return r ? r : g_new(BlockRequest, 1);
}

static void request_free(BlockRequest *r)
{
    BlockList *list = r->backend->list;

    r->next = list->spare;
    list->spare = r;
}

void block_requests_free(BlockList *list)
{
    for (BlockRequest *r = list->spare, *next; r; r = next) {
        next = r->next;
        g_free(r);
    }
}

void block_source_wake(BlockList *list) { g_source_set_ready_time(list->source, 0); }

static void finish_at_once(BlockRequest *r)
{
    BlockList *list = r->backend->list;

    request_push(&list->at_once, r);
    if (!list->plugs)
        block_source_wake(list);
}

/* An error that is known at once, or 0. */
static int request_check(const BlockRequest *r)
{
    const BlockBackend *b = r->backend;

    if (!b->image)
        return -ENXIO;
    if (r->operation != OP_READ && r->operation != OP_FLUSH && block_readonly(b))
        return -EROFS;
    if (r->offset > block_size(b) || r->size > block_size(b) - r->offset)
        return -EINVAL;
    return 0;
}

static bool is_zero(const BlockRequest *r)
{
    for (unsigned k = 0; k < r->count; k++) {
        const uint8_t *p = r->iov[k].iov_base;
        size_t n = r->iov[k].iov_len;
        if (n && (p[0] || memcmp(p, p + 1, n - 1)))
            return false;
    }
    return true;
}

/* detect-zeroes= */
static void look_for_zeroes(BlockRequest *r)
{
    const BlockOptions *o = &r->backend->options;

    if (r->operation == OP_WRITE && o->detect_zeroes && is_zero(r)) {
        r->operation = OP_ZERO;
        r->may_unmap = o->detect_zeroes == BLOCK_ZEROES_UNMAP;
    }
}

void block_hand_over(BlockList *list)
{
    if (list->plugs)
        return;
    if (list->uring)
        block_uring_flush(list->uring);
    if (list->at_once.first)
        block_source_wake(list);
}

void block_start(BlockRequest *r)
{
    BlockBackend *b = r->backend;

    look_for_zeroes(r);
    r->through = b->no_write_cache && !b->image->no_flush && (r->operation == OP_WRITE || r->operation == OP_ZERO);
    if (r->operation == OP_FLUSH ? b->image->no_flush : !r->size)
        finish_at_once(r);
    else if (b->fd >= 0 && block_uring_read_cached(r))
        finish_at_once(r);
    else if (b->fd >= 0 && block_uring_submit(b->list->uring, r))
        block_hand_over(b->list);
    else
        block_threads_submit(b->list->threads, r);
}

static void submit(BlockBackend *b, BlockRequest request)
{
    BlockRequest *r = request_new(b->list);

    *r = request;
    r->backend = b;
    if (!r->iov) {
        r->iov = &r->one;
        r->count = 1;
    }
    b->in_flight++;
    r->status = request_check(r);
    r->refused = r->status;
    if (r->status)
        finish_at_once(r);
    else if (b->throttle)
        throttle_start(r);
    else
        block_start(r);
}

void block_plug(BlockBackend *b) { b->list->plugs++; }

static uint64_t iov_size(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;
    for (unsigned k = 0; k < count; k++)
        size += iov[k].iov_len;
    return size;
}

void block_read(BlockBackend *b, uint64_t offset, void *buf, uint64_t size, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_READ, .offset = offset, .size = size, .one = { buf, size }, .done = done,
                              .opaque = opaque });
}

void block_write(BlockBackend *b, uint64_t offset, const void *buf, uint64_t size, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_WRITE, .offset = offset, .size = size, .one = { (void *)buf, size },
                              .done = done, .opaque = opaque });
}

void block_readv(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_READ, .offset = offset, .size = iov_size(iov, count), .iov = iov,
                              .count = count, .done = done, .opaque = opaque });
}

void block_writev(BlockBackend *b, uint64_t offset, const struct iovec *iov, unsigned count, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_WRITE, .offset = offset, .size = iov_size(iov, count), .iov = iov,
                              .count = count, .done = done, .opaque = opaque });
}

void block_write_zeroes(BlockBackend *b, uint64_t offset, uint64_t size, bool may_unmap, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_ZERO, .offset = offset, .size = size, .may_unmap = may_unmap, .done = done,
                              .opaque = opaque });
}

void block_discard(BlockBackend *b, uint64_t offset, uint64_t size, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_DISCARD, .offset = offset, .size = size, .done = done, .opaque = opaque });
}

void block_flush(BlockBackend *b, BlockDone *done, void *opaque)
{
    submit(b, (BlockRequest){ .operation = OP_FLUSH, .done = done, .opaque = opaque });
}

int block_read_now(BlockBackend *b, uint64_t offset, void *buf, uint64_t size)
{
    BlockRequest r = { .backend = b, .operation = OP_READ, .offset = offset, .size = size };
    int status = request_check(&r);

    return status ? status : image_read(b->image, offset, buf, size);
}

/* ---- errors ---- */

static const char *const operation_words[] = {
    [OP_READ] = "reading", [OP_WRITE] = "writing", [OP_ZERO] = "zeroing", [OP_DISCARD] = "discarding",
    [OP_FLUSH] = "flushing",
};

static BlockErrorAction choose_action(const BlockRequest *r)
{
    const BlockOptions *o = &r->backend->options;
    BlockErrorAction action = r->operation == OP_READ ? o->rerror : o->werror;

    if (action == BLOCK_ERROR_DEFAULT)
        action = r->operation == OP_READ ? BLOCK_ERROR_REPORT : BLOCK_ERROR_ENOSPC;
    if (action == BLOCK_ERROR_ENOSPC)
        action = r->status == -ENOSPC ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    return action;
}

/* One line about the first error of a drive that the guest gets, or each pause. */
static void tell_user(const BlockRequest *r, BlockErrorAction action)
{
    BlockBackend *b = r->backend;
    bool stops = action == BLOCK_ERROR_STOP;

    if (stops ? b->list->pause_wanted : b->told)
        return;
    b->told |= !stops;
    if (r->status == -EPERM && b->image->guessed) {
        log_user("drive '%s': the guest wanted to write another format's header to '%s', which is only taken for a raw "
                 "disk; refused: format=raw allows it", b->options.id, b->options.file);
        return;
    }
    log_user("drive '%s': %s at byte %" G_GUINT64_FORMAT " of '%s' failed: %s; %s", b->options.id,
             operation_words[r->operation], r->offset, b->options.file, g_strerror(-r->status),
             stops ? "the machine is paused, and tries again when it goes on ('c')"
             : action == BLOCK_ERROR_IGNORE ? "ignored" : "the guest gets an error");
}

/* Waits for the machine to go on; the guest does not hear of it. */
static void hold(BlockRequest *r)
{
    BlockBackend *b = r->backend;

    b->in_flight--;
    request_push(&b->held, r);
    b->list->pause_wanted = true;
    block_source_wake(b->list);
}

/* True: it is held. */
static bool handle_error(BlockRequest *r)
{
    BlockErrorAction action = choose_action(r);

    tell_user(r, action);
    block_tell(&(BlockEvent){ .kind = BLOCK_EVENT_ERROR, .drive = r->backend, .write = r->operation != OP_READ,
                              .action = action, .status = r->status });
    if (action == BLOCK_ERROR_IGNORE)
        r->status = 0;
    if (action == BLOCK_ERROR_STOP)
        hold(r);
    return action == BLOCK_ERROR_STOP;
}

void block_retry_held(BlockList *list)
{
    list->plugs++;
    for (unsigned i = 0; i < list->backends->len; i++) {
        BlockBackend *b = list->backends->pdata[i];
        for (BlockRequest *r = request_take_all(&b->held), *next; r; r = next) {
            next = r->next;
            b->in_flight++;
            block_start(r);
        }
    }
    list->plugs--;
    block_hand_over(list);
}

/* ---- reporting ---- */

static void request_report(BlockRequest *r)
{
    BlockDone *done = r->done;
    void *opaque = r->opaque;
    int status = r->status;

    r->backend->in_flight--;
    request_free(r);
    done(opaque, status);
}

static void move_all(RequestQueue *to, BlockRequest *r)
{
    for (BlockRequest *next; r; r = next) {
        next = r->next;
        request_push(to, r);
    }
}

/*
 * Tells devices of what needed no engine and, moved to `ready` before, of what engines have done.  They may start more, or
 * wait for what is in the queue, so each is taken from it for itself; what gets done meanwhile has its own turn.
 */
static void report_ready(BlockList *list)
{
    BlockRequest *r;

    list->plugs++;
    move_all(&list->ready, request_take_all(&list->at_once));
    while ((r = request_pop(&list->ready))) {
        if (r->status >= 0 || r->refused || !handle_error(r))
            request_report(r);
    }
    list->plugs--;
    block_hand_over(list);
}

/* All that is done by now. */
static void report(BlockList *list)
{
    machine_lock(list->machine);
    if (list->uring)
        move_all(&list->ready, block_uring_take(list->uring));
    move_all(&list->ready, block_threads_take(list->threads));
    report_ready(list);
    machine_unlock(list->machine);
}

/* What engines have done, errors of the host among it, is the main loop's. */
void block_unplug(BlockBackend *b)
{
    BlockList *list = b->list;

    list->plugs--;
    if (!list->plugs && list->at_once.first)
        report_ready(list);
    else
        block_hand_over(list);
}

static gboolean done_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    BlockList *list = ((DoneSource *)source)->list;
    (void)fn;
    (void)data;

    g_source_set_ready_time(source, -1);
    if (list->uring)
        block_uring_heard(list->uring);
    report(list);
    if (list->pause_wanted) {
        machine_pause(list->machine);
        list->pause_wanted = false;
    }
    if (list->eject_wanted)
        block_eject_pending(list);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs done_source_funcs = { .dispatch = done_dispatch };

void block_source_attach(BlockList *list)
{
    list->source = g_source_new(&done_source_funcs, sizeof(DoneSource));
    ((DoneSource *)list->source)->list = list;
    g_source_set_name(list->source, "myna disks");
    g_source_attach(list->source, list->machine->context);
}

/* ---- waiting ---- */

/* The engines never take the machine lock, so waiting for them with it is safe. */
static void wait_for_engine(BlockList *list)
{
    if (!list->at_once.first && !(list->uring && block_uring_wait(list->uring)))
        block_threads_wait(list->threads);
}

void block_wait(BlockBackend *b)
{
    b->draining++;
    throttle_release(b);
    while (b->in_flight) {
        if (!b->list->ready.first)
            wait_for_engine(b->list);
        report(b->list);
    }
    b->draining--;
}

/* A reset, or another medium, ends what waits for the machine to go on. */
void block_drain(BlockBackend *b)
{
    BlockRequest *r;

    block_wait(b);
    while ((r = request_pop(&b->held))) {
        b->in_flight++;
        request_report(r);
        block_wait(b);
    }
}

void block_drain_all(Machine *m)
{
    BlockBackend *b;
    for (unsigned n = 0; (b = block_nth(m, n)); n++)
        block_drain(b);
}

/* A completion may start a transfer of another drive. */
static bool is_busy(const BlockList *list)
{
    for (unsigned i = 0; i < list->backends->len; i++) {
        if (((BlockBackend *)list->backends->pdata[i])->in_flight)
            return true;
    }
    return false;
}

gboolean block_settle(Machine *m, bool give_up, GError **err)
{
    BlockList *list = block_list(m);

    while (list && is_busy(list)) {
        for (unsigned i = 0; i < list->backends->len; i++)
            block_wait(list->backends->pdata[i]);
    }
    if (give_up)
        block_drain_all(m);
    for (unsigned i = 0; list && i < list->backends->len; i++) {
        const BlockBackend *b = list->backends->pdata[i];
        if (b->held.first)
            return error_set(err, "drive '%s' has a transfer that failed (%s) and is tried again when the machine goes "
                             "on", b->options.id, g_strerror(-b->held.first->status));
    }
    return TRUE;
}

static void synced(void *opaque, int status) { *(int *)opaque = status; }

/* A flush that is held for another try would outlive this function: draining gives it up. */
static gboolean sync_image(BlockBackend *b, GError **err)
{
    int status = -EIO;

    if (b->options.snapshot && !b->options.readonly)
        return error_set(err, "drive '%s' has snapshot=on: what the guest has written to it ends with this process",
                         b->options.id);
    block_flush(b, synced, &status);
    block_drain(b);
    return !status || error_set(err, "drive '%s' cannot be flushed: %s", b->options.id, g_strerror(-status));
}

gboolean block_sync_for_save(Machine *m, GError **err)
{
    BlockBackend *b;

    if (!block_settle(m, false, err))
        return FALSE;
    for (unsigned n = 0; (b = block_nth(m, n)); n++) {
        if (b->image && !sync_image(b, err))
            return FALSE;
    }
    return TRUE;
}
