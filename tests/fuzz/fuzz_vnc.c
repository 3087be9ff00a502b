/*
 * libFuzzer on what a VNC viewer sends: the first byte says how the server is set up, the second how much comes at a
 * time. What passes the filter is messages of known types and their own length, as libvncserver reads them.
 */
#include "ui/vnc_filter.h"

#include <string.h>

#include "util/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gsize passed_length(const uint8_t *m, gsize left)
{
    switch (m[0]) {
    case 0: return 20;
    case 2: return left < 4 ? 0 : 4 + 4 * ld16be(m + 2);
    case 3: return 10;
    case 4: return 8;
    case 5: return 6;
    case 6: return left < 8 || ld32be(m + 4) > VNC_CUT_TEXT_MAX ? 0 : 8 + ld32be(m + 4);
    case 250: return 4;
    case 255: return VNC_QEMU_SIZE;
    default: return 0;
    }
}

/* Whole messages, one behind another. */
static void check(const GByteArray *out, gsize from)
{
    for (gsize at = from, length; at < out->len; at += length) {
        length = passed_length(out->data + at, out->len - at);
        g_assert(length && length <= out->len - at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    VncFilter f = { .password = data[0] & 1, .lossy = data[0] & 2, .shared_only = data[0] & 4, .power = data[0] & 8,
                    .phase = data[0] & 16 ? VNC_MESSAGES : VNC_VERSION };
    gsize chunk = data[1] + 1, used = 0;
    GByteArray *in = g_byte_array_new(), *out = g_byte_array_new();
    const char *wrong = NULL;
    for (gsize at = 2; at < size && !wrong; at += chunk) {
        bool messages = f.phase == VNC_MESSAGES;
        gsize before = out->len;
        g_byte_array_append(in, data + at, MIN(chunk, size - at));
        g_autofree uint8_t *exact = g_memdup2(in->data, in->len);
        wrong = vnc_filter(&f, exact, in->len, out, &used);
        g_assert(used <= in->len);
        if (used && !wrong)
            g_byte_array_remove_range(in, 0, used);
        if (messages)
            check(out, before);
    }
    g_byte_array_unref(in);
    g_byte_array_unref(out);
    return 0;
}
