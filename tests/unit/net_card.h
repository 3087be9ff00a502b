/*
 * A network card that the test plays itself: it keeps the frames that it gets.
 */
#ifndef MYNA_TESTS_UNIT_NET_CARD_H
#define MYNA_TESTS_UNIT_NET_CARD_H

#include <string.h>

#include "backends/net/net.h"
#include "bench.h"
#include "core/error.h"

typedef struct Frame {
    size_t size;
    NetOffload offload;
    uint8_t data[];
} Frame;

typedef struct Card {
    Machine *m;
    NetBackend *net;
    bool full;            /* has no room */
    bool link;
    GPtrArray *frames;    /* Frame * */
} Card;

static inline bool card_can_receive(void *opaque)
{
    return !((Card *)opaque)->full;
}

static inline void card_receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Card *c = opaque;
    size_t size = net_iov_size(iov, count);
    Frame *f = g_malloc(sizeof *f + size);
    g_assert_false(c->full);
    f->size = net_iov_copy(iov, count, 0, f->data, size);
    f->offload = *offload;
    g_ptr_array_add(c->frames, f);
}

static inline void card_link_changed(void *opaque, bool up)
{
    ((Card *)opaque)->link = up;
}

static const NetUser card_ops = {card_can_receive, card_receive, card_link_changed};

static inline NetBackend *network_open(Machine *m, const char *spec, const char *id)
{
    GError *err = NULL;
    net_open(m, spec, &err);
    g_assert_no_error(err);
    NetBackend *n = net_find(m, id);
    g_assert_nonnull(n);
    return n;
}

/* The card of a network that is there. */
static inline void card_attach(Card *c, Machine *m, NetBackend *n)
{
    GError *err = NULL;
    *c = (Card){.m = m, .net = n, .link = true, .frames = g_ptr_array_new_with_free_func(g_free)};
    net_attach(n, "card", &card_ops, c, &err);
    g_assert_no_error(err);
}

static inline void card_init(Card *c, Machine *m, const char *spec, const char *id)
{
    card_attach(c, m, network_open(m, spec, id));
}

static inline void card_exit(Card *c)
{
    net_detach(c->net);
    g_ptr_array_unref(c->frames);
}

/* In two pieces. */
static inline void card_send_offload(Card *c, const void *data, size_t size, const NetOffload *offload)
{
    struct iovec iov[2] = {{(void *)data, size / 2}, {(uint8_t *)data + size / 2, size - size / 2}};
    net_send(c->net, iov, 2, offload);
}

static inline void card_send(Card *c, const void *data, size_t size)
{
    card_send_offload(c, data, size, NULL);
}

static inline const Frame *card_frame(const Card *c, unsigned n)
{
    g_assert_cmpuint(n, <, c->frames->len);
    return c->frames->pdata[n];
}

static inline void assert_frame(const Card *c, unsigned n, const void *data, size_t size)
{
    g_assert_cmpmem(card_frame(c, n)->data, card_frame(c, n)->size, data, size);
}

/* Runs the main loop until the card has so many frames; ten seconds at most. */
static inline void card_wait(Card *c, unsigned frames)
{
    int64_t end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (c->frames->len < frames) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!g_main_context_iteration(c->m->context, FALSE))
            g_usleep(200);
    }
}

/* As much as the main loop has to do now. */
static inline void loop_idle(Machine *m)
{
    for (unsigned i = 0; i < 20; i++) {
        while (g_main_context_iteration(m->context, FALSE))
            continue;
        g_usleep(500);
    }
}

#endif
