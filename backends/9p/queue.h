/*
 * Messages for a 9P server, carried out by threads: the device that hands them over does not wait for the host's files.
 *
 * Called with the machine lock held; answers come in the main loop's thread with it held, never before the submitting call has
 * returned, in any order.  A Tflush is answered after the message that it is for (flush(5)).
 */
#ifndef MYNA_BACKENDS_9P_QUEUE_H
#define MYNA_BACKENDS_9P_QUEUE_H

#include "backends/9p/server.h"

typedef struct Machine Machine;
typedef struct P9Queue P9Queue;

/* The answer; size 0: there was no room for one, or the message was none. */
typedef void P9Done(void *opaque, void *tag, const uint8_t *answer, size_t size);

P9Queue *p9_queue_new(Machine *m, const Share *share, P9Done *done, void *opaque);
/* Waits for the threads. */
void p9_queue_free(P9Queue *q);

/* `message` (g_malloc) becomes the queue's; `room`: bytes that there are for the answer; `tag` comes back with it. */
void p9_queue_submit(P9Queue *q, uint8_t *message, size_t size, size_t room, void *tag);

/* Forgets what is under way: no answers come.  The server is another one, without fids. */
void p9_queue_reset(P9Queue *q);

/* Waits until nothing is under way, and gives the answers.  Main loop's thread. */
void p9_queue_drain(P9Queue *q);

/* The server's state (server.h), when nothing is under way. */
void p9_queue_save(P9Queue *q, GByteArray *out);
gboolean p9_queue_load(P9Queue *q, const uint8_t *data, size_t size, GError **err);

#endif
