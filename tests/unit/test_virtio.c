/*
 * Virtio's core: hw/virtio/virtio.c, virtio_queue.c with both kinds of rings, and virtio_pci.c, as a driver sees
 * them.  The device under test answers a request with its own bytes, each plus one, at once or when the test says so.
 */
#include "virtio_driver.h"

#define BIT_(n) (UINT64_C(1) << (n))
#define V1 BIT_(VIRTIO_F_VERSION_1)

typedef struct Echo {
    VirtioDevice virtio;
    bool hold;               /* requests stay until echo_release() */
    bool soon;               /* the test flushes, by virtqueue_flush_soon() */
    GPtrArray *held;         /* VirtElement * */
    unsigned popped, resets;
    uint8_t config[8];
} Echo;

static void echo_answer(VirtElement *e)
{
    VirtQueue *q = e->queue;
    uint64_t n = MIN(e->out.size, e->in.size);
    g_autofree uint8_t *bytes = g_malloc(n + 1);

    dma_to_buffer(&e->out, 0, bytes, n);
    for (unsigned k = 0; k < n; k++)
        bytes[k]++;
    dma_from_buffer(&e->in, 0, bytes, n);
    virtqueue_push(q, e, n);
}

static void echo_notify(VirtioDevice *v, VirtQueue *q)
{
    Echo *s = (Echo *)v;
    VirtElement *e;

    while ((e = virtqueue_pop(q))) {
        s->popped++;
        if (s->hold)
            g_ptr_array_add(s->held, e);
        else
            echo_answer(e);
    }
    if (!s->soon)
        virtqueue_flush(q);
}

/* Answers a request that is held, the k-th. */
static void echo_release(Echo *s, unsigned k)
{
    VirtElement *e = s->held->pdata[k];
    VirtQueue *q = e->queue;
    g_ptr_array_remove_index(s->held, k);
    echo_answer(e);
    virtqueue_flush(q);
}

static void echo_release_all(Echo *s)
{
    while (s->held->len)
        echo_release(s, 0);
}

static void echo_config_read(VirtioDevice *v, uint8_t *c) { memcpy(c, ((Echo *)v)->config, 8); }

static void echo_config_write(VirtioDevice *v, const uint8_t *c, unsigned offset, unsigned size)
{
    memcpy(((Echo *)v)->config + offset, c + offset, size);
}

static void echo_driver_reset(VirtioDevice *v) { ((Echo *)v)->resets++; }
static void echo_drain(VirtioDevice *v) { echo_release_all((Echo *)v); }

static const VirtioType echo_virtio = {
    .id = VIRTIO_ID_NET, .class_code = 0x020000, .config_size = 8, .features = BIT_(3),
    .config_read = echo_config_read,
    .config_write = echo_config_write, .notify = echo_notify, .reset = echo_driver_reset, .drain = echo_drain,
};

static gboolean echo_create(Device *dev, GError **err)
{
    Echo *s = (Echo *)dev;
    s->held = g_ptr_array_new();
    return virtio_init(&s->virtio, &echo_virtio, 2, DRIVER_RING, err);
}

static void echo_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void echo_destroy(Device *dev)
{
    Echo *s = (Echo *)dev;
    echo_release_all(s);
    g_ptr_array_unref(s->held);
    virtio_exit(&s->virtio);
}

static void echo_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }
static gboolean echo_post_load(Device *dev, GError **err) { return virtio_post_load((VirtioDevice *)dev, err); }

static const Property echo_properties[] = { VIRTIO_PROPERTIES(Echo), PROPERTY_END };
static const StateField echo_state[] = { STATE_STRUCT(Echo, virtio, virtio_state), STATE_BYTES(Echo, config),
                                         STATE_END };
static const DeviceType echo_type = {
    .name = "virtio-echo", .bus = "pci", .size = sizeof(Echo), .properties = echo_properties, .create = echo_create,
    .reset = echo_reset, .destroy = echo_destroy, .state = echo_state, .pre_save = echo_pre_save,
    .post_load = echo_post_load,
};

/* ---- fixture ---- */

static Echo *up_with(Driver *d, const char *property, const char *value)
{
    GError *err = NULL;
    driver_machine_up(d);
    Device *dev = device_add(d->m, &echo_type, NULL, &err, "addr", "0x18", "packed", "on", property, value, NULL);
    g_assert_no_error(err);
    machine_reset(d->m);
    driver_map(d);
    return (Echo *)dev;
}

static Echo *up(Driver *d) { return up_with(d, NULL, NULL); }

/* A request of `size` bytes in the slot's buffers: out and in, each in two segments. */
static void add_echo(Driver *d, unsigned slot, unsigned size)
{
    uint64_t out = BUFFERS_AT + slot * 0x4000, in = out + 0x2000;
    unsigned cut = size / 3;
    Segment s[] = { { out, cut, false }, { out + cut, size - cut, false }, { in, cut, true },
                    { in + cut, size - cut, true } };

    for (unsigned k = 0; k < size; k++) {
        mwrite(d, out + k, slot * 31 + k * 7, 1);
        mwrite(d, in + k, 0xee, 1);
    }
    mwrite(d, in + size, 0x55, 1);
    driver_add(d, 0, slot, s, 4);
}

static void expect_echo(Driver *d, unsigned slot, unsigned size)
{
    uint64_t in = BUFFERS_AT + slot * 0x4000 + 0x2000;
    for (unsigned k = 0; k < size; k++)
        g_assert_cmphex(mread(d, in + k, 1), ==, (uint8_t)(slot * 31 + k * 7 + 1));
    g_assert_cmphex(mread(d, in + size, 1), ==, 0x55); /* and no more than was there */
}

static void expect_works(Driver *d)
{
    unsigned slot;
    uint32_t length;
    add_echo(d, 3, 100);
    driver_kick(d, 0);
    settle(d);
    g_assert_true(driver_used(d, 0, &slot, &length));
    g_assert_cmpuint(slot, ==, 3);
    g_assert_cmpuint(length, ==, 100);
    expect_echo(d, 3, 100);
}

/* ---- identity, capabilities ---- */

static void test_identity(void)
{
    static const struct { const char *property; unsigned device, revision, subsystem, bar0, bar4; } cases[] = {
        { NULL, 0x1000, 0, 1, 1, 0xc },
        { "disable-legacy", 0x1041, 1, 0x1100, 0, 0xc },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        Driver d;
        up_with(&d, cases[k].property, "on");
        g_assert_cmphex(config_read(&d, 0, 2), ==, 0x1af4);
        g_assert_cmphex(config_read(&d, 2, 2), ==, cases[k].device);
        g_assert_cmphex(config_read(&d, 8, 1), ==, cases[k].revision);
        g_assert_cmphex(config_read(&d, 9, 4) & 0xffffff, ==, 0x020000);
        g_assert_cmphex(config_read(&d, 0x2e, 2), ==, cases[k].subsystem);
        g_assert_cmphex(config_read(&d, 0x10, 1) & 15, ==, cases[k].bar0);
        g_assert_cmphex(config_read(&d, 0x20, 1) & 15, ==, cases[k].bar4);
        driver_machine_down(&d);
    }
}

/* Both interfaces off, or packed rings in the old one: a line says what is wrong. */
static void test_properties(void)
{
    static const char *const bad[][2] = { { "disable-legacy", "on" }, { "vectors", "129" }, { "packed", "on" } };
    for (unsigned k = 0; k < G_N_ELEMENTS(bad); k++) {
        Driver d;
        GError *err = NULL;
        driver_machine_up(&d);
        Device *dev = device_add(d.m, &echo_type, "e", &err, "disable-modern", k == 1 ? "off" : "on", bad[k][0],
                                 bad[k][1], NULL);
        g_assert_null(dev);
        g_assert_true(g_str_has_prefix(err->message, "e: "));
        g_clear_error(&err);
        driver_machine_down(&d);
    }
}

/*
 * 4.1.4: each structure once, within BAR 4; and the window of 4.1.4.9, through which the status is read and written.
 */
static void test_capabilities(void)
{
    Driver d;
    unsigned seen = 0, window = 0;
    up(&d);
    g_assert_cmphex(config_read(&d, PCI_STATUS, 2) & 0x10, ==, 0x10);
    for (unsigned at = config_read(&d, PCI_CAPABILITIES, 1); at; at = config_read(&d, at + 1, 1)) {
        if (config_read(&d, at, 1) != PCI_CAP_VENDOR)
            continue;
        unsigned type = config_read(&d, at + 3, 1);
        seen |= 1 << type;
        if (type == 5)
            window = at;
        else
            g_assert_cmphex(config_read(&d, at + 4, 1), ==, 4);
        if (type == 2)
            g_assert_cmpuint(config_read(&d, at + 16, 4), ==, 4);
    }
    g_assert_cmphex(seen, ==, 0x3e);
    driver_set_status(&d, 1);
    config_write(&d, window + 4, 4, 1);
    config_write(&d, window + 8, 20, 4);
    config_write(&d, window + 12, 1, 4);
    g_assert_cmphex(config_read(&d, window + 16, 1), ==, 1);
    config_write(&d, window + 16, 3, 1);
    g_assert_cmphex(driver_status(&d), ==, 3);
    config_write(&d, window + 12, 3, 4); /* no size of an access */
    config_write(&d, window + 16, 0, 1);
    g_assert_cmphex(driver_status(&d), ==, 3);
    driver_machine_down(&d);
}

/* ---- features, configuration ---- */

static void test_features(void)
{
    Driver d;
    Echo *s = up(&d);
    uint64_t all = BIT_(3) | BIT_(VIRTIO_F_INDIRECT_DESC) | BIT_(VIRTIO_F_EVENT_IDX) | BIT_(VIRTIO_F_RING_PACKED) | V1;

    g_assert_cmphex(driver_offered(&d), ==, all);
    driver_agree(&d, BIT_(3)); /* without VERSION_1 the modern interface refuses (6.1) */
    g_assert_cmphex(driver_status(&d), ==, 3);
    driver_agree(&d, V1 | BIT_(3) | BIT_(9)); /* what is not offered is not agreed */
    g_assert_cmphex(driver_status(&d), ==, 11);
    g_assert_cmphex(s->virtio.features, ==, V1 | BIT_(3));
    mwrite(&d, COMMON + 8, 0, 4);
    mwrite(&d, COMMON + 12, 0, 4); /* too late */
    g_assert_cmphex(s->virtio.features, ==, V1 | BIT_(3));
    d.legacy = true;
    g_assert_cmphex(driver_offered(&d), ==, (uint32_t)all | BIT_(VIRTIO_F_ANY_LAYOUT));
    driver_machine_down(&d);
}

static void test_config(void)
{
    Driver d;
    Echo *s = up(&d);

    mwrite(&d, DEVICE_CONFIG + 2, 0x1234, 2);
    g_assert_cmphex(mread(&d, DEVICE_CONFIG, 4), ==, 0x12340000);
    g_assert_cmphex(mread(&d, DEVICE_CONFIG + 8, 4), ==, 0xffffffff);
    g_assert_cmphex(as_read(d.m->ports, BAR0_AT + 20 + 2, 2), ==, 0x1234);
    driver_enable_msix(&d, 3); /* moves it by the two vectors (4.1.4.10) */
    g_assert_cmphex(as_read(d.m->ports, BAR0_AT + 24 + 2, 2), ==, 0x1234);
    driver_start(&d, V1, 2);
    mwrite(&d, COMMON + 16, 0, 2);
    unsigned generation = mread(&d, COMMON + 21, 1);
    virtio_config_changed(&s->virtio);
    g_assert_cmpuint(mread(&d, COMMON + 21, 1), ==, generation + 1);
    g_assert_cmpuint(d.msi[0], ==, 1);
    g_assert_cmpuint(mread(&d, COMMON + 18, 2), ==, 2);
    mwrite(&d, COMMON + 22, 7, 2);
    g_assert_cmpuint(mread(&d, COMMON + 24, 2), ==, 0); /* no such queue (4.1.4.3) */
    driver_machine_down(&d);
}

/* ---- traffic ---- */

typedef struct Kind {
    const char *name;
    bool legacy, indirect;
    uint64_t features;
} Kind;

static const Kind kinds[] = {
    { "legacy", true, false, 0 },
    { "legacy-event", true, true, BIT_(VIRTIO_F_INDIRECT_DESC) | BIT_(VIRTIO_F_EVENT_IDX) },
    { "split", false, false, V1 },
    { "split-indirect", false, true, V1 | BIT_(VIRTIO_F_INDIRECT_DESC) },
    { "split-event", false, false, V1 | BIT_(VIRTIO_F_EVENT_IDX) },
    { "packed", false, false, V1 | BIT_(VIRTIO_F_RING_PACKED) },
    { "packed-indirect", false, true, V1 | BIT_(VIRTIO_F_RING_PACKED) | BIT_(VIRTIO_F_INDIRECT_DESC) },
    { "packed-event", false, false, V1 | BIT_(VIRTIO_F_RING_PACKED) | BIT_(VIRTIO_F_EVENT_IDX) },
};

static void start(Driver *d, const Kind *k)
{
    d->legacy = k->legacy;
    d->indirect = k->indirect;
    driver_start(d, k->features, 2);
}

static void take_answers(Driver *d, unsigned *sizes, unsigned *left)
{
    unsigned slot;
    uint32_t length;
    while (driver_used(d, 0, &slot, &length)) {
        g_assert_cmpuint(slot, <, SLOTS);
        g_assert_cmpuint(length, ==, sizes[slot]);
        expect_echo(d, slot, length);
        sizes[slot] = 0;
        --*left;
    }
}

static void save_and_restore(Driver *d)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(d->m);

    machine_reset(d->m);
    machine_load(d->m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    GByteArray *again = machine_save(d->m);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
    g_byte_array_unref(again);
    g_byte_array_unref(saved);
    settle(d);
}

/* Requests of random sizes that end in random order, several rounds of the ring, with saves in between. */
static void test_traffic(gconstpointer data)
{
    const Kind *kind = data;
    unsigned sizes[SLOTS] = { 0 }, left = 0;
    Driver d;
    Echo *s = up(&d);

    start(&d, kind);
    for (unsigned round = 0; round < 600; round++) {
        unsigned slot = g_test_rand_int_range(0, SLOTS);
        s->hold = g_test_rand_bit();
        if (!sizes[slot]) {
            sizes[slot] = g_test_rand_int_range(3, 300);
            add_echo(&d, slot, sizes[slot]);
            driver_kick(&d, 0);
            left++;
        }
        if (s->held->len && g_test_rand_bit())
            echo_release(s, g_test_rand_int_range(0, s->held->len));
        if (round % 50 == 49)
            save_and_restore(&d);
        if (g_test_rand_bit())
            take_answers(&d, sizes, &left);
    }
    echo_release_all(s);
    take_answers(&d, sizes, &left);
    g_assert_cmpuint(left, ==, 0);
    g_assert_false(s->virtio.broken);
    driver_machine_down(&d);
}

/* What is available when the machine is saved, and has not been seen yet, is served after the restore. */
static void test_save_unseen(void)
{
    unsigned slot;
    uint32_t length;
    Driver d;
    up(&d);

    driver_start(&d, V1, 2);
    add_echo(&d, 5, 64); /* no notification */
    save_and_restore(&d);
    g_assert_true(driver_used(&d, 0, &slot, &length));
    g_assert_cmpuint(slot, ==, 5);
    expect_echo(&d, 5, 64);
    driver_machine_down(&d);
}

/* A saved machine with nonsense in it is refused, or harmless. */
static void test_save_broken(void)
{
    Driver d;
    Echo *s = up(&d);

    driver_start(&d, V1 | BIT_(VIRTIO_F_RING_PACKED), 2);
    s->hold = true;
    add_echo(&d, 1, 10);
    GByteArray *saved = machine_save(d.m);
    for (unsigned round = 0; round < 300; round++) {
        g_autofree uint8_t *bad = g_memdup2(saved->data, saved->len);
        GError *err = NULL;
        for (unsigned k = 0; k < 4; k++)
            bad[g_test_rand_int_range(0, saved->len)] ^= 1 << g_test_rand_int_range(0, 8);
        if (machine_load(d.m, bad, saved->len, &err)) {
            driver_kick(&d, 0);
            settle(&d);
            echo_release_all(s);
        }
        g_clear_error(&err);
        machine_reset(d.m);
    }
    g_byte_array_unref(saved);
    driver_machine_down(&d);
}

/* A feature that the device does not offer any more is refused with a line that says so. */
static void test_save_features(void)
{
    Driver d;
    GError *err = NULL;
    Echo *s = up(&d);

    driver_start(&d, V1 | BIT_(VIRTIO_F_RING_PACKED), 2);
    GByteArray *saved = machine_save(d.m);
    s->virtio.features_offered &= ~BIT_(VIRTIO_F_RING_PACKED);
    g_assert_false(machine_load(d.m, saved->data, saved->len, &err));
    g_assert_nonnull(strstr(err->message, "0x400000000"));
    g_clear_error(&err);
    g_byte_array_unref(saved);
    driver_machine_down(&d);
}

/* ---- interrupts and notifications ---- */

static void test_intx(void)
{
    Driver d;
    up(&d);
    d.legacy = true;
    driver_start(&d, 0, 2);
    add_echo(&d, 0, 8);
    driver_kick(&d, 0);
    g_assert_cmpint(d.intx, ==, 1);
    g_assert_cmphex(as_read(d.m->ports, BAR0_AT + 19, 1), ==, 1); /* and acknowledges */
    g_assert_cmpint(d.intx, ==, 0);
    g_assert_cmphex(as_read(d.m->ports, BAR0_AT + 19, 1), ==, 0);
    driver_machine_down(&d);
}

/* 2.7.7: the flag; 2.8.14: the same of packed rings. */
static void test_suppress(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver d;
        up(&d);
        driver_enable_msix(&d, 3);
        driver_start(&d, V1 | (packed ? BIT_(VIRTIO_F_RING_PACKED) : 0), 2);
        add_echo(&d, 0, 8);
        driver_kick(&d, 0);
        g_assert_cmpuint(d.msi[1], ==, 1);
        mwrite(&d, d.queue[0].avail + (packed ? 2 : 0), 1, 2);
        add_echo(&d, 1, 8);
        driver_kick(&d, 0);
        g_assert_cmpuint(d.msi[1], ==, 1);
        g_assert_cmpuint(d.msi[2], ==, 0);
        driver_machine_down(&d);
    }
}

/* 2.7.7.2, 2.8.10: an interrupt when the index that the driver gave has been passed, and not before. */
static void test_event_index(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver d;
        up(&d);
        driver_enable_msix(&d, 3);
        driver_start(&d, V1 | BIT_(VIRTIO_F_EVENT_IDX) | (packed ? BIT_(VIRTIO_F_RING_PACKED) : 0), 2);
        DriverQueue *q = &d.queue[0];
        if (packed) {
            mwrite(&d, q->avail, 2 * 4 | 0x8000, 2); /* the place of the third request, each of which takes 4 */
            mwrite(&d, q->avail + 2, 2, 2);
        } else {
            mwrite(&d, q->avail + 4 + 2 * q->size, 2, 2);
        }
        for (unsigned n = 0; n < 5; n++) {
            add_echo(&d, n, 8);
            driver_kick(&d, 0);
            g_assert_cmpuint(d.msi[1], ==, n >= 2);
        }
        driver_machine_down(&d);
    }
}

/* The device says where it wants to be notified when it has found nothing: behind all that it has taken. */
static void test_notify_index(void)
{
    Driver d;
    Echo *s = up(&d);

    driver_start(&d, V1 | BIT_(VIRTIO_F_EVENT_IDX), 2);
    DriverQueue *q = &d.queue[0];
    for (unsigned n = 0; n < 3; n++)
        add_echo(&d, n, 8);
    driver_kick(&d, 0);
    g_assert_cmpuint(mread(&d, q->used + 4 + 8 * q->size, 2), ==, 3);
    virtqueue_set_notify(&s->virtio.queue[0], false);
    add_echo(&d, 3, 8);
    driver_kick(&d, 0);
    g_assert_cmpuint(mread(&d, q->used + 4 + 8 * q->size, 2), ==, 3);
    driver_start(&d, V1, 2);
    virtqueue_set_notify(&s->virtio.queue[0], false);
    g_assert_cmpuint(mread(&d, q->used, 2), ==, 1);
    virtqueue_set_notify(&s->virtio.queue[0], true);
    g_assert_cmpuint(mread(&d, q->used, 2), ==, 0);
    driver_machine_down(&d);
}

/* Answers that are pushed are not seen before the flush, and then together. */
static void test_batch(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        unsigned slot;
        uint32_t length;
        Driver d;
        Echo *s = up(&d);
        driver_enable_msix(&d, 3);
        driver_start(&d, V1 | (packed ? BIT_(VIRTIO_F_RING_PACKED) : 0), 2);
        s->hold = true;
        for (unsigned n = 0; n < 4; n++)
            add_echo(&d, n, 8);
        driver_kick(&d, 0);
        for (unsigned n = 0; n < 3; n++) {
            VirtElement *e = s->held->pdata[0];
            g_ptr_array_remove_index(s->held, 0);
            echo_answer(e);
            virtqueue_flush_soon(&s->virtio.queue[0]);
            g_assert_false(driver_used(&d, 0, &slot, &length));
        }
        settle(&d);
        for (unsigned n = 0; n < 3; n++)
            g_assert_true(driver_used(&d, 0, &slot, &length));
        g_assert_false(driver_used(&d, 0, &slot, &length));
        g_assert_cmpuint(d.msi[1], ==, 1);
        driver_machine_down(&d);
    }
}

/* One request is made and answered, while others may be. */
static void answer_one(Driver *d, Echo *s, unsigned slot)
{
    add_echo(d, slot, 8);
    driver_kick(d, 0);
    virtqueue_flush_soon(&s->virtio.queue[0]);
}

static void expect_seen(Driver *d, unsigned answers, unsigned messages)
{
    unsigned slot;
    uint32_t length;

    while (driver_used(d, 0, &slot, &length))
        answers--;
    g_assert_cmpuint(answers, ==, 0);
    g_assert_cmpuint(d->msi[1], ==, messages);
}

/* A CPU that is at work is interrupted when it would sleep, for all that was answered; one that sleeps, at once. */
static void test_idle(void)
{
    Driver d;
    Echo *s = up(&d);

    s->soon = true;
    driver_enable_msix(&d, 3);
    driver_start(&d, V1, 2);
    idle_cpu_busy(d.m);
    answer_one(&d, s, 0);
    answer_one(&d, s, 1);
    expect_seen(&d, 2, 0);
    idle_cpu_idle(d.m);
    expect_seen(&d, 0, 1);
    answer_one(&d, s, 2);
    expect_seen(&d, 1, 2);
    driver_machine_down(&d);
}

/* It does not wait for ever; and where that brought no second one, the next are seen at once. */
static void test_impatient(void)
{
    Driver d;
    Echo *s = up(&d);

    s->soon = true;
    driver_enable_msix(&d, 3);
    driver_start(&d, V1, 2);
    clock_start(d.m->clocks);
    idle_cpu_busy(d.m);
    for (unsigned n = 0; n < 2; n++)
        answer_one(&d, s, n);
    expect_seen(&d, 2, 0);
    while (!d.msi[1])
        settle(&d);
    answer_one(&d, s, 2);
    expect_seen(&d, 1, 1);
    while (d.msi[1] == 1)
        settle(&d);
    answer_one(&d, s, 3);
    expect_seen(&d, 1, 3);
    driver_machine_down(&d);
}

/* ---- unpop, turns ---- */

static void test_unpop(void)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        Driver d;
        Echo *s = up(&d);
        driver_start(&d, V1 | (packed ? BIT_(VIRTIO_F_RING_PACKED) : 0), 2);
        VirtQueue *q = &s->virtio.queue[0];
        for (unsigned n = 0; n < 100; n++) { /* across the end of the ring */
            add_echo(&d, 3, 100);
            VirtElement *e = virtqueue_pop(q);
            virtqueue_unpop(q, e);
            driver_kick(&d, 0);
            unsigned slot;
            uint32_t length;
            g_assert_true(driver_used(&d, 0, &slot, &length));
            expect_echo(&d, 3, 100);
        }
        driver_machine_down(&d);
    }
}

/* Without an end to the requests a device is not kept in notify(), but is called again. */
static void endless_notify(VirtioDevice *v, VirtQueue *q)
{
    Echo *s = (Echo *)v;
    VirtElement *e;
    while ((e = virtqueue_pop(q))) {
        s->popped++;
        virtqueue_unpop(q, e);
    }
}

static void test_turns(void)
{
    Driver d;
    Echo *s = up(&d);
    VirtioType type = echo_virtio;

    type.notify = endless_notify;
    driver_start(&d, V1, 2);
    s->virtio.type = &type;
    add_echo(&d, 0, 8);
    driver_kick(&d, 0);
    unsigned once = s->popped;
    g_assert_cmpuint(once, <=, 8 * DRIVER_RING);
    clock_fire_due(d.m->clocks);
    g_assert_cmpuint(s->popped, >=, 2 * once);
    driver_machine_down(&d);
}

/* ---- reset ---- */

/* The status stays until the last request has ended (2.4.2, 4.1.4.3.1), and its answer is not written any more. */
static void test_reset_in_flight(void)
{
    Driver d;
    Echo *s = up(&d);

    driver_start(&d, V1, 2);
    s->hold = true;
    add_echo(&d, 0, 8);
    add_echo(&d, 1, 8);
    driver_kick(&d, 0);
    g_assert_cmpuint(s->held->len, ==, 2);
    driver_set_status(&d, 0);
    g_assert_cmphex(driver_status(&d), ==, 15);
    driver_set_status(&d, 0);
    g_assert_cmpuint(s->resets, ==, 2 + 1); /* power-on, driver_start(), now */
    echo_release(s, 1);
    g_assert_cmphex(driver_status(&d), ==, 15);
    echo_release(s, 0);
    g_assert_cmphex(driver_status(&d), ==, 0);
    g_assert_cmpuint(mread(&d, d.queue[0].used + 2, 2), ==, 0);
    s->hold = false;
    driver_start(&d, V1, 2);
    expect_works(&d);
    driver_machine_down(&d);
}

/* Legacy drivers do not wait: the device does; and page 0 is a reset too. */
static void test_reset_legacy(void)
{
    Driver d;
    Echo *s = up(&d);

    d.legacy = true;
    for (unsigned k = 0; k < 2; k++) {
        driver_start(&d, 0, 2);
        s->hold = true;
        add_echo(&d, 0, 8);
        driver_kick(&d, 0);
        if (k)
            as_write(d.m->ports, BAR0_AT + 8, 0, 4);
        else
            driver_set_status(&d, 0);
        g_assert_cmphex(driver_status(&d), ==, 0);
        g_assert_cmpuint(s->held->len, ==, 0);
        s->hold = false;
    }
    driver_start(&d, 0, 2);
    expect_works(&d);
    driver_machine_down(&d);
}

/* Old drivers notify before DRIVER_OK, and expect an answer. */
static void test_legacy_early(void)
{
    Driver d;
    up(&d);
    d.legacy = true;
    driver_agree(&d, 0);
    driver_setup_queue(&d, 0);
    expect_works(&d);
    driver_machine_down(&d);
}

/* A modern device does nothing as long as it may not be a bus master, and then what has waited. */
static void test_master(void)
{
    Driver d;
    Echo *s = up(&d);

    driver_start(&d, V1, 2);
    config_write(&d, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
    add_echo(&d, 0, 8);
    driver_kick(&d, 0);
    g_assert_cmpuint(s->popped, ==, 0);
    config_write(&d, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    settle(&d);
    g_assert_cmpuint(s->popped, ==, 1);
    driver_machine_down(&d);
}

/* ---- what drivers must not do ---- */

typedef void Breaker(Driver *d, DriverQueue *q);

static void show(Driver *d, DriverQueue *q, const Segment *s, unsigned flags, unsigned next)
{
    if (d->packed) {
        packed_descriptor(d, q->desc, s, 0);
        packed_flags(d, q->desc, flags | (s->write ? 2 : 0), true);
    } else {
        split_descriptor(d, q->desc, s, flags, next);
        split_show(d, q, 0);
    }
}

static const Segment some = { BUFFERS_AT, 16, false };

static void break_head(Driver *d, DriverQueue *q) { split_show(d, q, q->size); }
static void break_index(Driver *d, DriverQueue *q) { mwrite(d, q->avail + 2, q->size + 1, 2); }
static void break_loop(Driver *d, DriverQueue *q) { show(d, q, &some, 1, 0); }
static void break_next(Driver *d, DriverQueue *q) { show(d, q, &some, 1, q->size); }
static void break_table_size(Driver *d, DriverQueue *q) { show(d, q, &(Segment){ TABLES_AT, 24, false }, 4, 0); }
static void break_table_empty(Driver *d, DriverQueue *q) { show(d, q, &(Segment){ TABLES_AT, 0, false }, 4, 0); }

static void break_table_table(Driver *d, DriverQueue *q)
{
    split_descriptor(d, TABLES_AT, &(Segment){ TABLES_AT, 16, false }, 4, 0);
    mwrite(d, TABLES_AT + (d->packed ? 14 : 12), 4, 2);
    show(d, q, &(Segment){ TABLES_AT, 16, false }, 4, 0);
}

static void break_table_next(Driver *d, DriverQueue *q)
{
    split_descriptor(d, TABLES_AT, &some, 1, 1);
    show(d, q, &(Segment){ TABLES_AT, 16, false }, 4, 0);
}

static void break_huge_table(Driver *d, DriverQueue *q)
{
    show(d, q, &(Segment){ BUFFERS_AT, 0xfffffff0, false }, 4, 0);
}

static void break_order(Driver *d, DriverQueue *q)
{
    Segment s[] = { { BUFFERS_AT, 16, true }, { BUFFERS_AT, 16, false } };
    driver_add(d, 0, 0, s, 2);
    (void)q;
}

static void break_registers(Driver *d, DriverQueue *q) { show(d, q, &(Segment){ 0xf0000000, 4 << 20, false }, 0, 0); }
static void break_size(Driver *d, DriverQueue *q) { show(d, q, &(Segment){ 0xf0000000, 0xffffffff, true }, 0, 0); }

static void break_chain(Driver *d, DriverQueue *q)
{
    for (unsigned k = 0; k < q->size; k++) {
        packed_descriptor(d, q->desc + 16 * k, &some, 0);
        packed_flags(d, q->desc + 16 * k, 1, true);
    }
}

static void test_break(void)
{
    static const struct { Breaker *go; bool split, packed; } cases[] = {
        { break_head, true, false }, { break_index, true, false }, { break_loop, true, false },
        { break_next, true, false }, { break_table_size, true, true }, { break_table_empty, true, true },
        { break_table_table, true, true }, { break_table_next, true, false }, { break_huge_table, false, true },
        { break_order, true, true }, { break_registers, true, true }, { break_size, true, true },
        { break_chain, false, true },
    };
    for (unsigned n = 0; n < 2 * G_N_ELEMENTS(cases); n++) {
        bool packed = n % 2;
        if (!(packed ? cases[n / 2].packed : cases[n / 2].split))
            continue;
        uint64_t features = V1 | BIT_(VIRTIO_F_INDIRECT_DESC) | (packed ? BIT_(VIRTIO_F_RING_PACKED) : 0);
        Driver d;
        Echo *s = up(&d);
        driver_enable_msix(&d, 3);
        driver_start(&d, features, 2);
        mwrite(&d, COMMON + 16, 0, 2);
        cases[n / 2].go(&d, &d.queue[0]);
        driver_kick(&d, 0);
        g_assert_true(s->virtio.broken);
        g_assert_cmphex(driver_status(&d), ==, 0x4f); /* DEVICE_NEEDS_RESET, and an interrupt says so (2.1.1) */
        g_assert_cmpuint(d.msi[0], ==, 1);
        g_assert_cmpuint(s->popped, ==, 0);
        driver_start(&d, features, 2);
        expect_works(&d);
        driver_machine_down(&d);
    }
}

/* Rings that are nowhere, in ROM's or registers' place, or over the end of RAM. */
static void test_break_ring(void)
{
    static const uint64_t places[] = { 0xf0000000, NOTIFY, RAM_BYTES - 64, UINT64_MAX - 4095 };
    for (unsigned n = 0; n < 3 * G_N_ELEMENTS(places); n++) {
        Driver d;
        Echo *s = up(&d);
        driver_agree(&d, V1);
        driver_setup_queue(&d, 1);
        mwrite(&d, COMMON + 22, 0, 2);
        uint64_t at[3] = { RING_AT, RING_AT + 0x1000, RING_AT + 0x2000 };
        at[n % 3] = places[n / 3];
        for (unsigned k = 0; k < 3; k++)
            mwrite(&d, COMMON + 32 + 8 * k, at[k], 8);
        mwrite(&d, COMMON + 28, 1, 2);
        driver_set_status(&d, 15);
        driver_kick(&d, 0);
        g_assert_true(s->virtio.broken);
        driver_start(&d, V1, 2);
        expect_works(&d);
        driver_machine_down(&d);
    }
}

/* A buffer that is the device's own registers: it neither notifies nor resets itself. */
static void test_own_registers(void)
{
    static const uint64_t places[] = { NOTIFY, COMMON + 20 };
    for (unsigned k = 0; k < 2; k++) {
        Driver d;
        Echo *s = up(&d);
        Segment segments[] = { { BUFFERS_AT, 2, false }, { places[k], 2, true } };
        driver_start(&d, V1, 2);
        mwrite(&d, BUFFERS_AT, 0xffff, 2); /* plus one: 0 */
        driver_request(&d, 0, segments, 2);
        g_assert_cmpuint(s->popped, ==, 1);
        g_assert_cmphex(driver_status(&d), ==, 15);
        driver_machine_down(&d);
    }
}

/* Nor do messages of MSI-X that go there. */
static void test_own_message(void)
{
    static const uint64_t places[] = { NOTIFY, COMMON + 20 };
    for (unsigned k = 0; k < 2; k++) {
        Driver d;
        Echo *s = up(&d);
        driver_enable_msix(&d, 3);
        driver_start(&d, V1, 2);
        mwrite(&d, MSIX_TABLE + 16, places[k], 8);
        mwrite(&d, MSIX_TABLE + 24, 0, 8);
        for (unsigned n = 0; n < 5; n++)
            add_echo(&d, n, 8);
        driver_kick(&d, 0);
        g_assert_cmpuint(s->popped, ==, 5);
        g_assert_cmphex(driver_status(&d), ==, 15);
        driver_machine_down(&d);
    }
}

/* Features, sizes and places are fixed while a queue is in use, whatever is written. */
static void test_fixed(void)
{
    Driver d;
    Echo *s = up(&d);

    driver_start(&d, V1, 2);
    mwrite(&d, COMMON + 22, 0, 2);
    mwrite(&d, COMMON + 24, 2, 2);
    mwrite(&d, COMMON + 32, 0, 8);
    mwrite(&d, COMMON + 28, 0, 2);
    as_write(d.m->ports, BAR0_AT + 4, 0, 4);
    g_assert_cmpuint(mread(&d, COMMON + 24, 2), ==, DRIVER_RING);
    g_assert_cmphex(s->virtio.features, ==, V1);
    expect_works(&d);
    driver_agree(&d, V1);
    mwrite(&d, COMMON + 22, 0, 2);
    mwrite(&d, COMMON + 24, 3, 2); /* a split ring's size is a power of 2 */
    g_assert_cmpuint(mread(&d, COMMON + 24, 2), ==, DRIVER_RING);
    mwrite(&d, COMMON + 24, 2 * DRIVER_RING, 2);
    g_assert_cmpuint(mread(&d, COMMON + 24, 2), ==, DRIVER_RING);
    driver_machine_down(&d);
}

/* ---- abuse ---- */

static void random_ring(Driver *d)
{
    for (unsigned k = 0; k < 40; k++) {
        uint64_t at = RING_AT + (g_test_rand_int_range(0, 4) ? 16 * g_test_rand_int_range(0, 20) :
                                 g_test_rand_int_range(0, 0x3000));
        uint64_t v = g_test_rand_bit() ? (unsigned)g_test_rand_int_range(0, 0x30) : (uint32_t)g_test_rand_int();
        mwrite(d, at, g_test_rand_bit() ? BUFFERS_AT : v, 8);
        mwrite(d, at + 8, v & 0xffff, 4);
        mwrite(d, at + 12, v & 0x8087, 2);
        mwrite(d, at + 14, g_test_rand_int_range(0, 0x10000) & 0x8087, 2);
    }
    mwrite(d, d->queue[0].avail + 2, g_test_rand_int_range(0, 40), 2);
}

static void random_register(Driver *d)
{
    unsigned size = 1 << g_test_rand_int_range(0, 3);
    uint64_t v = (uint32_t)g_test_rand_int() >> g_test_rand_int_range(0, 32);
    switch (g_test_rand_int_range(0, 6)) {
    case 0: mwrite(d, COMMON + g_test_rand_int_range(0, 64), v, size); break;
    case 1: mwrite(d, MODERN + g_test_rand_int_range(0, 0x4000), v, size); break;
    case 2: as_write(d->m->ports, BAR0_AT + g_test_rand_int_range(0, 64), v, size); break;
    case 3: mread(d, MODERN + g_test_rand_int_range(0, 0x4000), size); break;
    case 4: config_write(d, g_test_rand_int_range(0x40, 0x100 - size), v, size); break;
    default: as_read(d->m->ports, BAR0_AT + g_test_rand_int_range(0, 64), size); break;
    }
}

/* Whatever is in rings and registers: no crash, no hang, and a reset makes all well. */
static void test_random(void)
{
    Driver d;
    Echo *s = up(&d);

    for (unsigned round = 0; round < 400; round++) {
        const Kind *kind = &kinds[g_test_rand_int_range(0, G_N_ELEMENTS(kinds))];
        s->hold = g_test_rand_bit();
        driver_map(&d);
        start(&d, kind);
        for (unsigned k = 0; k < 10; k++) {
            random_ring(&d);
            driver_kick(&d, g_test_rand_int_range(0, 3));
            if (round % 2)
                random_register(&d);
            if (g_test_rand_bit())
                echo_release_all(s);
            settle(&d);
        }
        echo_release_all(s);
        d.legacy = true; /* a reset that waits */
        driver_set_status(&d, 0);
    }
    machine_reset(d.m);
    driver_map(&d);
    s->hold = d.indirect = d.legacy = false;
    driver_start(&d, V1, 2);
    expect_works(&d);
    driver_machine_down(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio/identity", test_identity);
    g_test_add_func("/virtio/properties", test_properties);
    g_test_add_func("/virtio/capabilities", test_capabilities);
    g_test_add_func("/virtio/features", test_features);
    g_test_add_func("/virtio/config", test_config);
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        g_autofree char *name = g_strconcat("/virtio/traffic/", kinds[k].name, NULL);
        g_test_add_data_func(name, &kinds[k], test_traffic);
    }
    g_test_add_func("/virtio/save/unseen", test_save_unseen);
    g_test_add_func("/virtio/save/broken", test_save_broken);
    g_test_add_func("/virtio/save/features", test_save_features);
    g_test_add_func("/virtio/intx", test_intx);
    g_test_add_func("/virtio/suppress", test_suppress);
    g_test_add_func("/virtio/event-index", test_event_index);
    g_test_add_func("/virtio/notify-index", test_notify_index);
    g_test_add_func("/virtio/batch", test_batch);
    g_test_add_func("/virtio/idle", test_idle);
    g_test_add_func("/virtio/impatient", test_impatient);
    g_test_add_func("/virtio/unpop", test_unpop);
    g_test_add_func("/virtio/turns", test_turns);
    g_test_add_func("/virtio/reset/in-flight", test_reset_in_flight);
    g_test_add_func("/virtio/reset/legacy", test_reset_legacy);
    g_test_add_func("/virtio/legacy-early", test_legacy_early);
    g_test_add_func("/virtio/master", test_master);
    g_test_add_func("/virtio/break", test_break);
    g_test_add_func("/virtio/break-ring", test_break_ring);
    g_test_add_func("/virtio/own-registers", test_own_registers);
    g_test_add_func("/virtio/own-message", test_own_message);
    g_test_add_func("/virtio/fixed", test_fixed);
    g_test_add_func("/virtio/random", test_random);
    return g_test_run();
}
