/*
 * Drives, between the files of this folder:
 *
 *   block.c            the list of a machine's drives, what devices ask of one
 *   block_transfer.c   transfers: checked, handed to an engine, reported; waiting for them; errors
 *   block_threads.c    the engine for every image: threads that do what blocks
 *   block_uring.c      the engine for files of the host: io_uring
 *   block_throttle.c   limits of bytes and transfers in a second
 *   block_medium.c     another medium, another size, commit
 *
 * A transfer is a BlockRequest.  Under the machine lock it is made, checked, held back where a limit says so, and
 * submitted to an engine.  When the engine is done with it, it stands in a queue (`done` of the threads, or the ring's)
 * until the main loop takes all that has come and tells the devices.  A read that the host's cache has is done before it
 * reaches an engine, and told of by the last block_unplug().
 */
#ifndef MYNA_BACKENDS_BLOCK_INTERNAL_H
#define MYNA_BACKENDS_BLOCK_INTERNAL_H

#include <errno.h>

#include "backends/block/block.h"
#include "backends/block/image.h"
#include "core/machine.h"

typedef struct BlockList BlockList;
typedef struct BlockThreads BlockThreads;
typedef struct BlockUring BlockUring;
typedef struct BlockRequest BlockRequest;
typedef struct ThrottleGroup ThrottleGroup;

typedef enum BlockOperation { OP_READ, OP_WRITE, OP_ZERO, OP_DISCARD, OP_FLUSH } BlockOperation;

struct BlockRequest {
    BlockRequest *next;       /* in whatever queue it stands */
    BlockBackend *backend;
    BlockOperation operation;
    uint64_t offset, size;
    struct iovec one;         /* of a single buffer */
    const struct iovec *iov;
    unsigned count;
    bool may_unmap;
    bool through;             /* on stable storage when it is done */
    bool refused;             /* not the host's error, but the guest's mistake, or no medium */
    BlockDone *done;
    void *opaque;
    int status;
};

typedef struct RequestQueue {
    BlockRequest *first, **last; /* last: where the next one is linked; NULL: as `first` is */
} RequestQueue;

static inline void request_push(RequestQueue *q, BlockRequest *r)
{
    r->next = NULL;
    *(q->first ? q->last : &q->first) = r;
    q->last = &r->next;
}

static inline BlockRequest *request_pop(RequestQueue *q)
{
    BlockRequest *r = q->first;
    if (r)
        q->first = r->next;
    return r;
}

/* All of it; the queue is empty then. */
static inline BlockRequest *request_take_all(RequestQueue *q)
{
    BlockRequest *r = q->first;
    q->first = NULL;
    return r;
}

/* Under the machine lock, but for what engines read of a drive with transfers under way: image, options. */
struct BlockBackend {
    BlockList *list;
    BlockOptions options;     /* strings owned; of the medium that is in it: file, format, readonly */
    bool medium_readonly;     /* beside options.readonly */
    char *device;             /* who uses it, or NULL */
    const BlockUser *user;
    void *user_opaque;
    bool no_write_cache, tray_open, locked;
    bool eject_pending;       /* the user wants the medium out when the guest opens the tray */
    bool told;                /* the user has been told of an error */
    Image *image;             /* NULL: no medium */
    int fd;                   /* of an image whose bytes are those of a file, and aio= lets io_uring do it; else -1 */
    unsigned alignment;       /* image_alignment() */
    unsigned in_flight;       /* transfers not yet reported, those in `held` not counted */
    unsigned draining;        /* limits do not count */
    RequestQueue held;        /* failed, and waiting for the machine to go on */
    ThrottleGroup *throttle;  /* NULL: no limits */
    RequestQueue waiting[2];  /* for their turn: reading, writing */
    Timer *turn[2];
};

/* What a machine's drives share: the machine's slot "block". */
struct BlockList {
    Machine *machine;
    GPtrArray *backends;      /* BlockBackend * */
    BlockThreads *threads;
    BlockUring *uring;        /* NULL: not there */
    GSource *source;          /* ready when transfers are to be reported, or `pause_wanted`, `eject_wanted` */
    RequestQueue at_once;     /* what needs no engine */
    RequestQueue ready;       /* to be reported */
    BlockRequest *spare;      /* free ones */
    unsigned plugs;
    bool pause_wanted, eject_wanted;
    MachineListener listener;
    GPtrArray *groups;        /* ThrottleGroup * */
};

/* ---- block.c ---- */

BlockList *block_list(Machine *m); /* NULL: no drives yet */
BlockList *block_list_of(Machine *m); /* made if need be */
void block_tell(const BlockEvent *e);
/* The image of options, or NULL with *err; `instead_of`: that drive's own image is no obstacle to it. */
Image *block_open_image(Machine *m, const BlockOptions *o, const BlockBackend *instead_of, GError **err);
/* Puts an image, or none, in the place of the present one, which is closed; nothing is under way. */
void block_put_image(BlockBackend *b, Image *image);

/* ---- block_transfer.c ---- */

void block_start(BlockRequest *r);            /* to an engine: it is checked, and its turn has come */
void block_hand_over(BlockList *list);        /* what was started or done meanwhile, unless plugged */
void block_retry_held(BlockList *list);       /* the machine goes on */
gboolean block_settle(Machine *m, bool give_up, GError **err); /* Machine.settle */
void block_source_attach(BlockList *list);
void block_source_wake(BlockList *list);
void block_requests_free(BlockList *list);

/* Waits until nothing is under way; what is held stays so. */
void block_wait(BlockBackend *b);

/* ---- block_threads.c: what is done is found by block_threads_take() after the list's source was made ready ---- */

BlockThreads *block_threads_new(BlockList *list);
void block_threads_free(BlockThreads *t);     /* nothing may be under way */
void block_threads_submit(BlockThreads *t, BlockRequest *r);
BlockRequest *block_threads_take(BlockThreads *t);
void block_threads_wait(BlockThreads *t);     /* until take() gives something; something must be under way */

/* ---- block_uring.c ---- */

BlockUring *block_uring_new(BlockList *list); /* NULL: the host has none */
void block_uring_free(BlockUring *u);
/* Whether it was a read that could be done, and is, without waiting for a disk. */
bool block_uring_read_cached(BlockRequest *r);
/* False: there is no room, or the operation is none that goes this way. */
bool block_uring_submit(BlockUring *u, BlockRequest *r);
void block_uring_flush(BlockUring *u);        /* hands over what was submitted */
BlockRequest *block_uring_take(BlockUring *u);
void block_uring_heard(BlockUring *u);        /* in the source's dispatch: its event is taken note of */
bool block_uring_wait(BlockUring *u);         /* as block_threads_wait(); false: nothing is under way */

/* ---- block_throttle.c ---- */

/* FALSE with *err when the limits make no sense. */
gboolean throttle_attach(BlockBackend *b, const BlockOptions *o, GError **err);
void throttle_detach(BlockBackend *b);
void throttle_groups_free(BlockList *list);   /* those that no drive has */
void throttle_start(BlockRequest *r);         /* in its turn */
void throttle_release(BlockBackend *b);       /* starts all that wait */

/* ---- block_medium.c ---- */

void block_eject_pending(BlockList *list);    /* those whose tray the guest has opened */

#endif
