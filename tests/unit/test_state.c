/*
 * core/state.c: round trips of every type of field, and what is said of streams that do not fit.
 */
#include "core/state.h"

#include <string.h>

#include "core/clock.h"
#include "core/error.h"

typedef enum Colour { RED, GREEN = 70000 } Colour;

typedef struct Inner {
    uint16_t counts[2][3];
    bool on;
} Inner;

typedef struct Channel {
    uint8_t mode;
    Inner inner;
} Channel;

typedef struct Thing {
    int untouched;
    bool flag;
    int8_t s8;
    uint16_t u16;
    Colour colour;
    int64_t s64;
    uint64_t array64[2];
    uint32_t array32[3];
    bool bools[2];
    uint8_t raw[5];
    Timer *timer, *no_timer;
    Channel channel[2];
    Inner single;
    uint8_t *fixed;
    uint8_t *queue;
    uint32_t queue_length;
    GByteArray *array;
} Thing;

static const StateField inner_state[] = {
    STATE_ARRAY_U16(Inner, counts), STATE_BOOL(Inner, on), STATE_END
};
static const StateField channel_state[] = {
    STATE_U8(Channel, mode), STATE_STRUCT(Channel, inner, inner_state), STATE_END
};
static const StateField thing_state[] = {
    STATE_BOOL(Thing, flag), STATE_U8(Thing, s8), STATE_U16(Thing, u16), STATE_U32(Thing, colour),
    STATE_U64(Thing, s64), STATE_ARRAY_U64(Thing, array64), STATE_ARRAY_U32(Thing, array32),
    STATE_ARRAY_BOOL(Thing, bools), STATE_BYTES(Thing, raw), STATE_TIMER(Thing, timer), STATE_TIMER(Thing, no_timer),
    STATE_STRUCT_ARRAY(Thing, channel, channel_state), STATE_STRUCT(Thing, single, inner_state),
    STATE_BUFFER(Thing, fixed, 100), STATE_VBUFFER(Thing, queue, queue_length, 16), STATE_BYTE_ARRAY(Thing, array, 40),
    STATE_END
};

static Clocks *clocks;

static void no_action(void *opaque)
{
    (void)opaque;
}

static Thing *thing_new(void)
{
    Thing *t = g_new0(Thing, 1);
    t->timer = timer_new(clocks, MYNA_CLOCK_VIRTUAL, no_action, NULL);
    t->fixed = g_malloc0(100);
    t->queue = g_malloc0(16);
    t->array = g_byte_array_new();
    return t;
}

static void thing_free(Thing *t)
{
    timer_free(t->timer);
    g_free(t->fixed);
    g_free(t->queue);
    g_byte_array_unref(t->array);
    g_free(t);
}

static Thing *thing_filled(void)
{
    Thing *t = thing_new();

    t->flag = true;
    t->s8 = -3;
    t->u16 = 0xbeef;
    t->colour = GREEN;
    t->s64 = -5;
    t->array64[1] = UINT64_C(0x1122334455667788);
    t->array32[2] = 7;
    t->bools[1] = true;
    memcpy(t->raw, "12345", 5);
    timer_arm(t->timer, 123456789);
    t->channel[0].mode = 8;
    t->channel[1].mode = 9;
    t->channel[1].inner.counts[1][2] = 0x1234;
    t->single.on = true;
    memset(t->fixed, 0x5a, 100);
    memcpy(t->queue, "queue", 5);
    t->queue_length = 5;
    g_byte_array_append(t->array, (const uint8_t *)"array", 5);
    return t;
}

static char *thing_text(const Thing *t)
{
    GString *out = g_string_new(NULL);
    state_dump(thing_state, t, 0, out);
    return g_string_free(out, FALSE);
}

static void assert_equal(const Thing *a, const Thing *b)
{
    g_autofree char *text_a = thing_text(a), *text_b = thing_text(b);
    g_assert_cmpstr(text_a, ==, text_b);
    g_assert_cmpmem(a->fixed, 100, b->fixed, 100);
    g_assert_cmpmem(a->queue, a->queue_length, b->queue, b->queue_length);
}

static void test_round_trip(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    Thing *a = thing_filled(), *b = thing_new();
    size_t pos = 3;

    g_byte_array_append(out, (const uint8_t *)"xyz", 3);
    state_save(thing_state, a, out);
    size_t end = out->len;
    g_byte_array_append(out, (const uint8_t *)"tail", 4);
    b->untouched = 42;
    b->queue_length = 16;
    g_byte_array_append(b->array, (const uint8_t *)"what was there", 14);
    g_assert_true(state_load(thing_state, b, "thing", out->data, out->len, &pos, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(pos, ==, end);
    assert_equal(a, b);
    g_assert_cmpint(b->untouched, ==, 42);
    g_assert_cmpint(b->s8, ==, -3);
    g_assert_cmpint(b->s64, ==, -5);
    g_assert_cmpint(b->colour, ==, GREEN);
    g_assert_cmpuint(b->queue_length, ==, 5);
    g_assert_cmpint(timer_deadline(b->timer), ==, 123456789);

    /* A timer that was off becomes off. */
    timer_cancel(a->timer);
    g_byte_array_set_size(out, 0);
    state_save(thing_state, a, out);
    pos = 0;
    g_assert_true(state_load(thing_state, b, "thing", out->data, out->len, &pos, NULL));
    g_assert_false(timer_armed(b->timer));
    thing_free(a);
    thing_free(b);
}

/* The bytes are the same on every host. */
static void test_form(void)
{
    static const StateField fields[] = { STATE_U16(Thing, u16), STATE_ARRAY_U32(Thing, array32), STATE_END };
    static const char expected[] = "\3u16\3\1\0\0\0\xef\xbe"
                                   "\7array32\4\3\0\0\0" "\0\0\0\0" "\0\0\0\0" "\7\0\0\0"; /* and its 0: the end */
    g_autoptr(GByteArray) out = g_byte_array_new();
    Thing *t = thing_filled();

    state_save(fields, t, out);
    g_assert_cmpmem(out->data, out->len, expected, sizeof expected);
    thing_free(t);
}

/* Every prefix of a stream fails with a line of its own, and nothing is read beyond the end. */
static void test_truncated(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Thing *a = thing_filled(), *b = thing_new();

    state_save(thing_state, a, out);
    for (size_t size = 0; size < out->len; size++) {
        g_autofree uint8_t *part = g_memdup2(out->data, size ? size : 1); /* for the sanitizer: exactly so large */
        g_autoptr(GError) error = NULL;
        size_t pos = 0;
        g_assert_false(state_load(thing_state, b, "thing", part, size, &pos, &error));
        g_assert_nonnull(error);
        g_assert_true(g_str_has_prefix(error->message, "thing: the saved state ends "));
        g_assert_cmpuint(pos, <=, size);
    }
    thing_free(a);
    thing_free(b);
}

typedef struct Other {
    uint8_t first;
    uint16_t second;
    Inner part[2];
    uint8_t *buffer;
    uint32_t length;
    GByteArray *array;
} Other;

static const StateField inner_u8_state[] = { STATE_BOOL(Inner, on), STATE_END };
static const StateField two[] = { STATE_U8(Other, first), STATE_U16(Other, second), STATE_END };
static const StateField only_first[] = { STATE_U8(Other, first), STATE_END };
static const StateField only_second[] = { STATE_U16(Other, second), STATE_END };
static const StateField second_first[] = { STATE_U16(Other, second), STATE_U8(Other, first), STATE_END };
static const StateField first_twice[] = {
    { .name = "first", .type = STATE_TYPE_U8, .offset = 0, .size = 1, .count = 2 }, STATE_END
};
static const StateField second_bytes[] = {
    { .name = "second", .type = STATE_TYPE_BYTES, .offset = offsetof(Other, second), .size = 1, .count = 2 }, STATE_END
};
static const StateField parts[] = { STATE_STRUCT_ARRAY(Other, part, inner_state), STATE_END };
static const StateField parts_less[] = { STATE_STRUCT_ARRAY(Other, part, inner_u8_state), STATE_END };
static const StateField large[] = { STATE_VBUFFER(Other, buffer, length, 8), STATE_END };
static const StateField small[] = { STATE_VBUFFER(Other, buffer, length, 4), STATE_END };
static const StateField long_array[] = { STATE_BYTE_ARRAY(Other, array, 8), STATE_END };
static const StateField short_array[] = { STATE_BYTE_ARRAY(Other, array, 4), STATE_END };
static const StateField fixed[] = { STATE_BUFFER(Other, buffer, 8), STATE_END };

static void test_mismatches(void)
{
    static const struct {
        const StateField *saved, *loaded;
        const char *message;
    } cases[] = {
        { only_first, two, "o: the saved state lacks field 'second'" },
        { only_second, two, "o: the saved state lacks field 'first' (it has 'second' there)" },
        { second_first, two, "o: the saved state lacks field 'first' (it has 'second' there)" },
        { two, only_first, "o: the saved state has a field 'second' that is not known here" },
        { first_twice, two, "o: field 'first' has 2 elements in the saved state, not 1" },
        { second_bytes, only_second, "o: field 'second' is of type bytes in the saved state, not u16" },
        { parts, parts_less, "o: the saved state lacks field 'part[0].on' (it has 'counts' there)" },
        { parts_less, parts, "o: the saved state lacks field 'part[0].counts' (it has 'on' there)" },
        { large, small, "o: field 'buffer' has 8 elements in the saved state, not at most 4" },
        { long_array, short_array, "o: field 'array' has 5 elements in the saved state, not at most 4" },
        { small, fixed, "o: field 'buffer' has 4 elements in the saved state, not 8" },
    };
    uint8_t bytes[8] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(GByteArray) array = g_byte_array_new_take((guint8 *)g_strdup("array"), 5);
        Other o = { .buffer = bytes, .length = 99, .array = array }; /* a length beyond the buffer is cut */
        size_t pos = 0;
        state_save(cases[i].saved, &o, out);
        g_assert_false(state_load(cases[i].loaded, &o, "o", out->data, out->len, &pos, &error));
        g_assert_error(error, MYNA_ERROR, 0);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

/* Random damage gives errors, never more. */
static void test_damage(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Thing *a = thing_filled(), *b = thing_new();
    unsigned failures = 0;

    state_save(thing_state, a, out);
    for (unsigned i = 0; i < 20000; i++) {
        g_autofree uint8_t *copy = g_memdup2(out->data, out->len);
        size_t pos = 0;
        for (int n = g_test_rand_int_range(1, 4); n; n--)
            copy[g_test_rand_int_range(0, out->len)] ^= 1 << g_test_rand_int_range(0, 8);
        failures += !state_load(thing_state, b, "thing", copy, out->len, &pos, NULL);
        g_assert_cmpuint(b->queue_length, <=, 16);
        g_assert_cmpuint(b->array->len, <=, 40);
        for (unsigned k = 0; k < 2; k++)
            g_assert_cmpint(*(uint8_t *)&b->bools[k], <=, 1);
    }
    g_assert_cmpuint(failures, >, 1000);
    thing_free(a);
    thing_free(b);
}

static void test_dump(void)
{
    Thing *t = thing_filled();
    g_autofree char *text = thing_text(t);

    g_assert_cmpstr(text, ==,
                    "flag = true\n"
                    "s8 = 0xfd\n"
                    "u16 = 0xbeef\n"
                    "colour = 0x11170\n"
                    "s64 = 0xfffffffffffffffb\n"
                    "array64 = 0x0 0x1122334455667788\n"
                    "array32 = 0x0 0x0 0x7\n"
                    "bools = false true\n"
                    "raw = 31 32 33 34 35\n"
                    "timer = 123456789 ns\n"
                    "no_timer = off\n"
                    "channel[0]:\n"
                    "    mode = 0x8\n"
                    "    inner:\n"
                    "        counts = 0x0 0x0 0x0 0x0 0x0 0x0\n"
                    "        on = false\n"
                    "channel[1]:\n"
                    "    mode = 0x9\n"
                    "    inner:\n"
                    "        counts = 0x0 0x0 0x0 0x0 0x0 0x1234\n"
                    "        on = false\n"
                    "single:\n"
                    "    counts = 0x0 0x0 0x0 0x0 0x0 0x0\n"
                    "    on = true\n"
                    "fixed = 100 bytes, sha1 5d0a81d75188d5fcfb6b4e1bd88dac7c7077384a\n"
                    "queue = 71 75 65 75 65\n"
                    "array = 61 72 72 61 79\n");
    thing_free(t);
}

static void test_empty(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    Other o = { 0 }; /* without its buffer */
    size_t pos = 0;

    state_save(large, &o, out);
    g_assert_true(state_load(large, &o, "o", out->data, out->len, &pos, NULL));
    g_byte_array_set_size(out, 0);
    state_save(NULL, &o, out); /* a device without state */
    pos = 0;
    g_assert_true(state_load(NULL, &o, "o", out->data, out->len, &pos, NULL));
    g_assert_cmpuint(pos, ==, 1);
}

int main(int argc, char **argv)
{
    GRecMutex lock;
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_rec_mutex_init(&lock);
    clocks = clocks_new(NULL, &lock);
    g_test_add_func("/state/round-trip", test_round_trip);
    g_test_add_func("/state/form", test_form);
    g_test_add_func("/state/truncated", test_truncated);
    g_test_add_func("/state/mismatches", test_mismatches);
    g_test_add_func("/state/damage", test_damage);
    g_test_add_func("/state/dump", test_dump);
    g_test_add_func("/state/empty", test_empty);
    failed = g_test_run();
    clocks_free(clocks);
    return failed;
}
