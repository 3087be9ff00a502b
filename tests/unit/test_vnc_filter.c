/*
 * ui/vnc_filter.c: messages of RFC 6143 pass whole, however they arrive; what libvncserver could not cope with does
 * not.
 */
#include "ui/vnc_filter.h"

#include <string.h>

#include "util/endian.h"

typedef struct Stream {
    VncFilter filter;
    GByteArray *in, *out;
    const char *wrong;
} Stream;

static Stream stream_new(VncFilter filter) { return (Stream){ filter, g_byte_array_new(), g_byte_array_new(), NULL }; }

static void stream_free(Stream *s)
{
    g_byte_array_unref(s->in);
    g_byte_array_unref(s->out);
}

static void stream_filter(Stream *s)
{
    gsize used;
    s->wrong = vnc_filter(&s->filter, s->in->data, s->in->len, s->out, &used);
    g_assert_cmpuint(used, <=, s->in->len);
    if (used)
        g_byte_array_remove_range(s->in, 0, used);
}

/* Sends bytes one by one, or together. */
static void stream_send(Stream *s, const void *data, gsize size, bool one_by_one)
{
    for (gsize n = 0; n < size && !s->wrong; n += one_by_one ? 1 : size) {
        g_byte_array_append(s->in, (const uint8_t *)data + n, one_by_one ? 1 : size);
        stream_filter(s);
    }
}

static void assert_passed(Stream *s, const void *data, gsize size)
{
    g_assert_cmpstr(s->wrong, ==, NULL);
    g_assert_cmpmem(s->out->data, s->out->len, data, size);
    g_byte_array_set_size(s->out, 0);
}

static Stream opened(VncFilter filter)
{
    Stream s = stream_new(filter);
    stream_send(&s, "RFB 003.008\n\1\1", 14, false);
    g_assert_cmpstr(s.wrong, ==, NULL);
    g_assert_cmpint(s.filter.phase, ==, VNC_MESSAGES);
    g_byte_array_set_size(s.out, 0);
    return s;
}

/* ---- opening ---- */

static void test_opening(void)
{
    static const struct {
        bool password;
        const char *sent;
        unsigned size;
        const char *passed; /* NULL: what was sent */
    } good[] = {
        { false, "RFB 003.008\n\1\0", 14, NULL }, { false, "RFB 003.007\n\1\1", 14, NULL },
        { false, "RFB 003.003\n\1", 13, NULL }, { false, "RFB 003.005\n\1", 13, "RFB 003.003\n\1" },
        { false, "RFB 003.889\n\1", 13, NULL }, { false, "RFB 003.012\n\1\1", 14, "RFB 003.008\n\1\1" },
        { true, "RFB 003.008\n\2" "0123456789abcdef\1", 30, NULL },
        { true, "RFB 003.003\n0123456789abcdef\1", 29, NULL },
        { true, "RFB 003.889\n\2" "0123456789abcdef\1", 30, NULL },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(good); n++) {
        for (unsigned way = 0; way < 2; way++) {
            Stream s = stream_new((VncFilter){ .password = good[n].password });
            stream_send(&s, good[n].sent, good[n].size, way);
            g_assert_cmpint(s.filter.phase, ==, VNC_MESSAGES);
            assert_passed(&s, good[n].passed ? good[n].passed : good[n].sent, good[n].size);
            stream_free(&s);
        }
    }
}

static void test_bad_opening(void)
{
    static const struct {
        VncFilter filter;
        const char *sent;
        unsigned size;
    } bad[] = {
        { { 0 }, "GET / HTTP/1.1\r\n", 16 }, { { 0 }, "RFB 004.000\n", 12 }, { { 0 }, "RFB 003.00x\n", 12 },
        { { 0 }, "RFB 003.0081", 12 }, { { 0 }, "RFB 003.008\n\2", 13 }, { { 0 }, "RFB 003.008\n\0", 13 },
        { { .password = true }, "RFB 003.008\n\1", 13 }, /* no way around the password */
        { { .password = true }, "RFB 003.889\n\1", 13 }, { { .shared_only = true }, "RFB 003.008\n\1\0", 14 },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(bad); n++) {
        Stream s = stream_new(bad[n].filter);
        stream_send(&s, bad[n].sent, bad[n].size, true);
        g_assert_nonnull(s.wrong);
        g_assert_cmpint(s.filter.phase, !=, VNC_MESSAGES);
        stream_free(&s);
    }
}

/* ---- messages ---- */

static void test_messages(void)
{
    static const struct {
        const char *bytes;
        unsigned size;
    } rows[] = {
        { "\0\0\0\0\40\30\0\1\0\377\0\377\0\377\20\10\0\0\0\0", 20 },    /* SetPixelFormat, 32 bits */
        { "\0\0\0\0\20\20\0\1\0\37\0\77\0\37\13\5\0\0\0\0", 20 },         /* 5:6:5 */
        { "\0\0\0\0\10\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },             /* a colour map */
        { "\2\0\0\2\0\0\0\20\0\0\0\0", 12 },                              /* SetEncodings: ZRLE, Raw */
        { "\3\1\0\0\0\0\4\0\3\0", 10 }, { "\4\1\0\0\0\0\377\15", 8 }, { "\5\0\0\1\0\2", 6 },
        { "\6\0\0\0\0\0\0\3abc", 11 }, { "\6\0\0\0\0\0\0\0", 8 },
        { "\377\0\0\1\0\0\0a\0\0\0\36", 12 },                             /* QEMU's extended key event */
    };
    Stream s = opened((VncFilter){ 0 });
    for (unsigned way = 0; way < 2; way++) {
        for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
            stream_send(&s, rows[n].bytes, rows[n].size, way);
            assert_passed(&s, rows[n].bytes, rows[n].size);
        }
    }
    stream_free(&s);
}

static void test_bad_messages(void)
{
    static const struct {
        const char *bytes;
        unsigned size;
    } rows[] = {
        { "\0\0\0\0\30\30\0\1\0\377\0\377\0\377\20\10\0\0\0\0", 20 },     /* 24 bits per pixel */
        { "\0\0\0\0\0\30\0\1\0\377\0\377\0\377\20\10\0\0\0\0", 20 },      /* 0 */
        { "\0\0\0\0\40\30\0\1\0\376\0\377\0\377\20\10\0\0\0\0", 20 },     /* a maximum of 254 */
        { "\0\0\0\0\40\30\0\1\0\0\0\377\0\377\20\10\0\0\0\0", 20 },       /* of 0 */
        { "\0\0\0\0\40\30\0\1\0\377\0\377\0\377\31\10\0\0\0\0", 20 },     /* a shift of 25 */
        { "\0\0\0\0\40\30\0\1\0\377\0\377\0\377\377\10\0\0\0\0", 20 },    /* of 255 */
        { "\0\0\0\0\20\20\0\1\377\377\0\77\0\37\1\5\0\0\0\0", 20 },
        { "\0\0\0\0\20\20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },             /* a colour map of 16 bits */
        { "\2\0\377\377", 4 },                                            /* 65535 encodings */
        { "\1\0\0\0\0\0", 6 }, { "\7\0\0\0", 4 }, { "\10\0\0\0", 4 }, { "\13\0\0\0", 4 }, { "\17\0\0\0", 4 },
        { "\372\0\1\2", 4 },                                              /* xvp that nobody offered */
        { "\377\1\0\0", 4 }, { "\310", 1 },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
        for (unsigned way = 0; way < 2; way++) {
            Stream s = opened((VncFilter){ 0 });
            stream_send(&s, rows[n].bytes, rows[n].size, way);
            g_assert_nonnull(s.wrong);
            g_assert_cmpuint(s.out->len, ==, 0);
            stream_free(&s);
        }
    }
}

/* Unknown ones and repetitions go; lossy ones and xvp pass where they are wanted. */
static void test_encodings(void)
{
    static const int32_t sent[] = { 7, 7, 16, -24, 9, 0x7fffffff, -309, -223, 7, -257, -224, -1 };
    static const int32_t plain[] = { 7, 16, -223, -257, -224 }, all[] = { 7, 16, -24, -309, -223, -257, -224 };
    for (unsigned loose = 0; loose < 2; loose++) {
        const int32_t *wanted = loose ? all : plain;
        unsigned count = loose ? G_N_ELEMENTS(all) : G_N_ELEMENTS(plain);
        uint8_t message[4 + sizeof sent] = { 2, 0, 0, G_N_ELEMENTS(sent) };
        Stream s = opened((VncFilter){ .lossy = loose, .power = loose });
        for (unsigned n = 0; n < G_N_ELEMENTS(sent); n++)
            st32be(message + 4 + 4 * n, sent[n]);
        stream_send(&s, message, sizeof message, false);
        g_assert_cmpstr(s.wrong, ==, NULL);
        g_assert_cmpuint(s.out->len, ==, 4 + 4 * count);
        g_assert_cmpuint(ld16be(s.out->data + 2), ==, count);
        for (unsigned n = 0; n < count; n++)
            g_assert_cmpint((int32_t)ld32be(s.out->data + 4 + 4 * n), ==, wanted[n]);
        stream_free(&s);
    }
}

/* SetDesktopSize: one screen of the whole size, or another layout. */
static void test_desktop_size(void)
{
    static const struct {
        const char *bytes;
        unsigned size;
        bool good;
    } rows[] = {
        { "\373\0\4\0\3\0\1\0" "\0\0\0\1\0\0\0\0\4\0\3\0\0\0\0\0", 24, true },
        { "\373\0\4\0\3\0\1\0" "\0\0\0\1\0\1\0\0\4\0\3\0\0\0\0\0", 24, false },
        { "\373\0\4\0\3\0\1\0" "\0\0\0\1\0\0\0\0\4\0\2\0\0\0\0\0", 24, false },
        { "\373\0\4\0\3\0\2\0" "\0\0\0\1\0\0\0\0\4\0\3\0\0\0\0\0" "\0\0\0\2\0\0\0\0\4\0\3\0\0\0\0\0", 40, false },
        { "\373\0\4\0\3\0\0\0", 8, false },
    };
    Stream s = opened((VncFilter){ 0 });
    for (unsigned way = 0; way < 2; way++) {
        for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
            const uint8_t want[VNC_QEMU_SIZE] = { VNC_MESSAGE_QEMU, VNC_DESKTOP_SIZE, 4, 0, 3, 0, rows[n].good };
            stream_send(&s, rows[n].bytes, rows[n].size, way);
            assert_passed(&s, want, sizeof want);
        }
    }
    stream_free(&s);
}

/* A long text, and the extended clipboard's (a negative length), go by; the message behind them passes. */
static void test_cut_text(void)
{
    static const int32_t lengths[] = { VNC_CUT_TEXT_MAX + 1, -1, -100000, 10 * 1024 * 1024 };
    g_autofree uint8_t *text = g_malloc0(10 * 1024 * 1024);
    for (unsigned n = 0; n < G_N_ELEMENTS(lengths); n++) {
        Stream s = opened((VncFilter){ 0 });
        uint8_t head[8] = { 6 };
        st32be(head + 4, lengths[n]);
        stream_send(&s, head, sizeof head, true);
        stream_send(&s, text, ABS(lengths[n]), false);
        g_assert_cmpuint(s.in->len, ==, 0);
        stream_send(&s, "\5\0\0\1\0\2", 6, false);
        assert_passed(&s, "\5\0\0\1\0\2", 6);
        stream_free(&s);
    }
}

/* Whatever is sent, what passes is whole messages of known types, and nothing is read beyond what there is. */
static void test_random(void)
{
    static const uint8_t types[] = { 0, 1, 2, 3, 4, 5, 6, 7, 250, 251, 255 };
    GRand *r = g_rand_new_with_seed(7);
    for (unsigned round = 0; round < 20000; round++) {
        Stream s = round % 4 ? opened((VncFilter){ .lossy = round & 8 })
                             : stream_new((VncFilter){ .password = round & 8 });
        for (unsigned chunk = 0; chunk < 8 && !s.wrong; chunk++) {
            uint8_t data[64];
            unsigned size = g_rand_int_range(r, 1, sizeof data);
            for (unsigned n = 0; n < size; n++)
                data[n] = g_rand_int(r) & (g_rand_int(r) & 1 ? 0xff : 3);
            data[0] = types[g_rand_int_range(r, 0, G_N_ELEMENTS(types))];
            g_autofree uint8_t *exact = g_memdup2(data, size); /* so that a read beyond is seen */
            stream_send(&s, exact, size, false);
        }
        if (s.out->len && s.filter.phase == VNC_MESSAGES && round % 4)
            g_assert_true(s.out->data[0] <= 6 || s.out->data[0] == 250 || s.out->data[0] == 255);
        stream_free(&s);
    }
    g_rand_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vnc/filter/opening", test_opening);
    g_test_add_func("/vnc/filter/bad-opening", test_bad_opening);
    g_test_add_func("/vnc/filter/messages", test_messages);
    g_test_add_func("/vnc/filter/bad-messages", test_bad_messages);
    g_test_add_func("/vnc/filter/encodings", test_encodings);
    g_test_add_func("/vnc/filter/desktop-size", test_desktop_size);
    g_test_add_func("/vnc/filter/cut-text", test_cut_text);
    g_test_add_func("/vnc/filter/random", test_random);
    return g_test_run();
}
