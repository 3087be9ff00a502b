/*
 * What a VNC viewer sends, cut into whole messages of the RFB protocol and checked, before libvncserver sees any of
 * it.
 *
 * libvncserver reads a message piece by piece and waits for each, and knows many messages that nobody needs here (file
 * transfer, scaling, chat).  So only whole messages of the kinds below pass, and with values that it can do something
 * with: a viewer that sends half a message is never waited for.  RFC 6143 has the messages of types 0 to 6; the others
 * are of the community's RFB specification (rfbproto): xvp 250, SetDesktopSize 251, QEMU's 255.
 *
 * No state besides the struct, and no thread: whoever calls has it for himself.
 */
#ifndef MYNA_UI_VNC_FILTER_H
#define MYNA_UI_VNC_FILTER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum VncPhase { VNC_VERSION, VNC_SECURITY, VNC_RESPONSE, VNC_INIT, VNC_MESSAGES } VncPhase;

typedef struct VncFilter {
    bool password;      /* the server wants VNC authentication, else none */
    bool lossy;         /* pictures may lose detail for speed */
    bool shared_only;   /* who wants to be the only viewer is turned away */
    bool power;         /* xvp passes */
    VncPhase phase;
    unsigned minor;     /* of the viewer's protocol version 3.minor */
    uint64_t skip;      /* bytes of a message still to be dropped */
} VncFilter;

enum {
    VNC_CUT_TEXT_MAX = 256 * 1024, /* longer clipboard texts are dropped */
    VNC_ENCODINGS_MAX = 1024,      /* in one SetEncodings */
};

/*
 * Pseudo-encodings, and QEMU's message, that libvncserver does not know.  SetDesktopSize comes out as a message of
 * that type too, as libvncserver loses memory with each: VNC_MESSAGE_QEMU, VNC_DESKTOP_SIZE, width and height (16
 * bits), whether it is laid out as one screen of that size, and zeros.
 */
enum {
    VNC_ENCODING_POINTER_MOTION = -257, VNC_ENCODING_EXTENDED_KEY = -258, VNC_ENCODING_LED = -261,
    VNC_ENCODING_VMWARE_LED = 0x574d5668,
    VNC_MESSAGE_QEMU = 255, VNC_QEMU_KEY = 0, VNC_DESKTOP_SIZE = 1, VNC_QEMU_SIZE = 12,
};

/*
 * Takes whole messages off data[0..size) and appends what passes to out.  *used: bytes that are done with.  NULL, or
 * what is wrong, upon which the viewer is to be cut off.
 */
const char *vnc_filter(VncFilter *f, const uint8_t *data, gsize size, GByteArray *out, gsize *used);

#endif
