/* Messages of a VNC viewer, cut and checked (vnc_filter.h); sections are those of RFC 6143. */
#include "ui/vnc_filter.h"

#include <string.h>

#include "util/endian.h"

enum {
    SET_PIXEL_FORMAT = 0, SET_ENCODINGS = 2, UPDATE_REQUEST = 3, KEY_EVENT = 4, POINTER_EVENT = 5, CUT_TEXT = 6,
    XVP = 250, SET_DESKTOP_SIZE = 251,
};

enum { NONE = 1, VNC_AUTHENTICATION = 2, APPLE = 889 };


/* ---- opening (7.1, 7.3) ---- */

/* "RFB 003.008\n": versions that are none of 3.3, 3.7, 3.8 count as 3.3, and Apple's as 3.8 (7.1.1). */
static const char *pass_version(VncFilter *f, const uint8_t *data, GByteArray *out)
{
    char text[13] = "";
    memcpy(text, data, 12);
    if (memcmp(text, "RFB 003.", 8) || !g_ascii_isdigit(text[8]) || !g_ascii_isdigit(text[9]) ||
        !g_ascii_isdigit(text[10]) || text[11] != '\n')
        return "no protocol version 3";
    unsigned minor = g_ascii_strtoull(text + 8, NULL, 10);
    f->minor = minor == APPLE || minor == 7 || minor == 8 ? minor : minor > 8 ? 8 : 3;
    g_snprintf(text, sizeof text, "RFB 003.%03u\n", f->minor);
    g_byte_array_append(out, (const uint8_t *)text, 12);
    f->phase = f->minor != 3 ? VNC_SECURITY : f->password ? VNC_RESPONSE : VNC_INIT;
    return NULL;
}

/* libvncserver has one list of types for all servers of a process: what another one allows must not pass here. */
static const char *pass_security(VncFilter *f, const uint8_t *data, GByteArray *out)
{
    if (data[0] != (f->password ? VNC_AUTHENTICATION : NONE))
        return "a security type that was not offered";
    g_byte_array_append(out, data, 1);
    /* Apple's viewer sends no ClientInit then, as libvncserver knows. */
    f->phase = f->password ? VNC_RESPONSE : f->minor == APPLE ? VNC_MESSAGES : VNC_INIT;
    return NULL;
}

static const char *pass_response(VncFilter *f, const uint8_t *data, GByteArray *out)
{
    g_byte_array_append(out, data, 16);
    f->phase = VNC_INIT;
    return NULL;
}

static const char *pass_init(VncFilter *f, const uint8_t *data, GByteArray *out)
{
    if (f->shared_only && !data[0])
        return "wants to be the only viewer, which share=force-shared forbids";
    g_byte_array_append(out, data, 1);
    f->phase = VNC_MESSAGES;
    return NULL;
}

typedef struct Opening {
    gsize size;
    const char *(*pass)(VncFilter *f, const uint8_t *data, GByteArray *out);
} Opening;

static const Opening openings[] = {
    [VNC_VERSION] = { 12, pass_version }, [VNC_SECURITY] = { 1, pass_security },
    [VNC_RESPONSE] = { 16, pass_response }, [VNC_INIT] = { 1, pass_init },
};

/* ---- messages (7.5) ---- */

/* A colour's maximum 2^n - 1 and shift within the pixel (7.4). */
static bool colour_fits(unsigned max, unsigned shift, unsigned bits)
{
    return max && !(max & (max + 1)) && shift < bits && (uint64_t)max << shift <= (UINT64_C(1) << bits) - 1;
}

static const char *check_pixel_format(const uint8_t *f)
{
    unsigned bits = f[0];
    if (bits != 8 && bits != 16 && bits != 32)
        return "bits per pixel other than 8, 16, 32";
    if (!f[3])
        return bits == 8 ? NULL : "a colour map of more than 8 bits";
    return colour_fits(ld16be(f + 4), f[10], bits) && colour_fits(ld16be(f + 6), f[11], bits) &&
           colour_fits(ld16be(f + 8), f[12], bits) ? NULL : "a pixel format whose colours do not fit the pixel";
}

/* Raw, CopyRect, RRE, Hextile, Zlib, Tight, ZRLE; cursor shapes, sizes, lights; those of vnc_filter.h. */
static bool encoding_known(int32_t e)
{
    static const int32_t known[] = {
        0, 1, 2, 5, 6, 7, 16, -223, -224, -232, -239, -240, -308, VNC_ENCODING_POINTER_MOTION,
        VNC_ENCODING_EXTENDED_KEY, VNC_ENCODING_LED, VNC_ENCODING_VMWARE_LED,
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(known); n++)
        if (known[n] == e)
            return true;
    return e >= -256 && e <= -247; /* compression levels */
}

/* JPEG quality levels: Tight is lossless without one. */
static bool encoding_passes(const VncFilter *f, int32_t e)
{
    return encoding_known(e) || (f->lossy && e >= -32 && e <= -23) || (f->power && e == -309);
}

/* Those that are known, each once. */
static void pass_encodings(const VncFilter *f, const uint8_t *data, unsigned count, GByteArray *out)
{
    guint start = out->len;
    unsigned passed = 0;
    g_byte_array_append(out, data, 4);
    for (unsigned n = 0; n < count; n++) {
        const uint8_t *e = data + 4 + 4 * n;
        unsigned same = 0;
        while (same < passed && memcmp(out->data + start + 4 + 4 * same, e, 4))
            same++;
        if (same < passed || !encoding_passes(f, (int32_t)ld32be(e)))
            continue;
        g_byte_array_append(out, e, 4);
        passed++;
    }
    st16be(out->data + start + 2, passed);
}

/* One screen of the whole size (rfbproto, SetDesktopSize): id, x, y, width, height, flags. */
static void pass_desktop_size(const uint8_t *data, GByteArray *out)
{
    uint8_t m[VNC_QEMU_SIZE] = { VNC_MESSAGE_QEMU, VNC_DESKTOP_SIZE };
    memcpy(m + 2, data + 2, 4);
    m[6] = data[6] == 1 && ld16be(data + 2) && ld16be(data + 4) && !ld32be(data + 12) &&
           !memcmp(data + 16, data + 2, 4);
    g_byte_array_append(out, m, sizeof m);
}

static const char *wrong_message(uint8_t type, const uint8_t *data, gsize size)
{
    if (type == VNC_MESSAGE_QEMU && size >= 2 && data[1] != VNC_QEMU_KEY)
        return "a QEMU message that was not offered";
    return "a message of a type that was not offered";
}

/* Length of the message that begins here; 0: unknown as yet, or with *wrong. */
static gsize message_length(const VncFilter *f, const uint8_t *data, gsize size, const char **wrong)
{
    switch (data[0]) {
    case SET_PIXEL_FORMAT: return 20;
    case SET_ENCODINGS:
        if (size >= 4 && ld16be(data + 2) > VNC_ENCODINGS_MAX)
            break;
        return size < 4 ? 0 : 4 + 4 * ld16be(data + 2);
    case UPDATE_REQUEST: return 10;
    case KEY_EVENT: return 8;
    case POINTER_EVENT: return 6;
    case CUT_TEXT: return 8;
    case XVP:
        if (!f->power)
            break;
        return 4;
    case SET_DESKTOP_SIZE: return size < 7 ? 0 : 8 + 16 * data[6];
    case VNC_MESSAGE_QEMU:
        if (size < 2)
            return 0;
        if (data[1] == VNC_QEMU_KEY)
            return VNC_QEMU_SIZE;
        break;
    default: break;
    }
    *wrong = data[0] == SET_ENCODINGS ? "more encodings than there are" : wrong_message(data[0], data, size);
    return 0;
}

/*
 * Of ClientCutText the head is here, and the text when it is not too long.  A negative length: the extended form
 * (rfbproto).
 */
static gsize cut_text_length(VncFilter *f, const uint8_t *data, bool *drop)
{
    int64_t length = (int32_t)ld32be(data + 4);
    *drop = length < 0 || length > VNC_CUT_TEXT_MAX;
    f->skip = *drop ? ABS(length) : 0;
    return *drop ? 8 : 8 + length;
}

static const char *pass_message(VncFilter *f, const uint8_t *data, gsize length, GByteArray *out)
{
    const char *wrong = data[0] == SET_PIXEL_FORMAT ? check_pixel_format(data + 4) : NULL;
    if (wrong)
        return wrong;
    if (data[0] == SET_ENCODINGS)
        pass_encodings(f, data, ld16be(data + 2), out);
    else if (data[0] == SET_DESKTOP_SIZE)
        pass_desktop_size(data, out);
    else
        g_byte_array_append(out, data, length);
    return NULL;
}

/* One message; *used 0: it is not whole. */
static const char *take_message(VncFilter *f, const uint8_t *data, gsize size, GByteArray *out, gsize *used)
{
    const char *wrong = NULL;
    bool drop = false;
    gsize length = message_length(f, data, size, &wrong);
    if (length && length <= size && data[0] == CUT_TEXT)
        length = cut_text_length(f, data, &drop);
    if (wrong || !length || length > size)
        return wrong;
    *used = length;
    return drop ? NULL : pass_message(f, data, length, out);
}

static const char *take_opening(VncFilter *f, const uint8_t *data, gsize size, GByteArray *out, gsize *used)
{
    const Opening *o = &openings[f->phase];
    if (size < o->size)
        return NULL;
    *used = o->size;
    return o->pass(f, data, out);
}

const char *vnc_filter(VncFilter *f, const uint8_t *data, gsize size, GByteArray *out, gsize *used)
{
    const char *wrong = NULL;
    gsize step = 1;
    for (*used = 0; *used < size && step && !wrong; *used += step) {
        step = MIN(f->skip, size - *used);
        f->skip -= step;
        if (step)
            continue;
        wrong = (f->phase == VNC_MESSAGES ? take_message : take_opening)(f, data + *used, size - *used, out, &step);
    }
    return wrong;
}
