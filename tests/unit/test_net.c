/*
 * Networks (backends/net): the way of frames between two cards that the test plays itself.
 */
#include "backends/net/net.h"

#include <string.h>

#include "bench.h"
#include "core/error.h"

typedef struct Card {
    NetBackend *net;
    bool full;            /* has no room */
    bool link;
    GPtrArray *frames;    /* GByteArray * */
} Card;

static bool card_can_receive(void *opaque)
{
    return !((Card *)opaque)->full;
}

static void card_receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Card *c = opaque;
    GByteArray *a = g_byte_array_new();
    (void)offload;
    g_byte_array_set_size(a, net_iov_size(iov, count));
    net_iov_copy(iov, count, 0, a->data, a->len);
    g_ptr_array_add(c->frames, a);
}

static void card_link_changed(void *opaque, bool up)
{
    ((Card *)opaque)->link = up;
}

static const NetUser card_ops = {card_can_receive, card_receive, card_link_changed};

static void card_init(Card *c, Machine *m, const char *spec, const char *id)
{
    GError *err = NULL;
    *c = (Card){.link = true, .frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref)};
    net_open(m, spec, &err);
    g_assert_no_error(err);
    c->net = net_find(m, id);
    g_assert_nonnull(c->net);
    net_attach(c->net, id, &card_ops, c, &err);
    g_assert_no_error(err);
}

static void card_exit(Card *c)
{
    net_detach(c->net);
    g_ptr_array_unref(c->frames);
}

static void card_send(Card *c, const void *data, size_t size)
{
    struct iovec iov[2] = {{(void *)data, size / 2}, {(uint8_t *)data + size / 2, size - size / 2}};
    net_send(c->net, iov, 2, NULL);
}

static const GByteArray *card_frame(const Card *c, unsigned n)
{
    g_assert_cmpuint(n, <, c->frames->len);
    return c->frames->pdata[n];
}

static void assert_frame(const Card *c, unsigned n, const void *data, size_t size)
{
    g_assert_cmpmem(card_frame(c, n)->data, card_frame(c, n)->len, data, size);
}

/* ---- hubs ---- */

static void test_hub(void)
{
    Bench b;
    CpuPort port;
    Card c[4];
    bench_init(&b, &port);
    card_init(&c[0], b.m, "hubport,id=a,hubid=1", "a");
    card_init(&c[1], b.m, "hubport,id=b,hubid=1", "b");
    card_init(&c[2], b.m, "hubport,id=c,hubid=2", "c");
    card_init(&c[3], b.m, "hubport,id=d,hubid=1", "d");
    card_send(&c[0], "hello, everybody", 16);
    g_assert_cmpuint(c[0].frames->len, ==, 0);
    g_assert_cmpuint(c[2].frames->len, ==, 0);
    assert_frame(&c[1], 0, "hello, everybody", 16);
    assert_frame(&c[3], 0, "hello, everybody", 16);
    for (unsigned i = 0; i < 4; i++)
        card_exit(&c[i]);
    net_close_all(b.m);
    bench_exit(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/hub", test_hub);
    return g_test_run();
}
