/*
 * Inside ui/vnc*.c: a server, and the viewers it has.
 *
 * libvncserver runs in the main loop's thread, without a thread of its own: it is called when a viewer's message is
 * whole (vnc_relay.h), and to send what changed (vnc_send.c).  Pictures are encoded without the machine lock, from the
 * server's own copy of the screen; hooks that reach the machine take it.  Everything here belongs to the main loop's
 * thread.
 *
 *   vnc.c          options, server, what the monitor asks
 *   vnc_listen.c   addresses and listening sockets
 *   vnc_viewer.c   a viewer's coming and going, its messages
 *   vnc_picture.c  the copy of the screen, the pointer's picture
 *   vnc_input.c    keys and pointer of a viewer
 *   vnc_send.c     updates, and when they are sent; the protocol extension
 */
#ifndef MYNA_UI_VNC_INTERNAL_H
#define MYNA_UI_VNC_INTERNAL_H

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>

#include "core/machine.h"
#include "ui/view.h"
#include "ui/vnc.h"
#include "ui/vnc_filter.h"
#include "ui/vnc_relay.h"

enum { VNC_VIEWERS_MAX = 16 };

typedef struct VncServer VncServer;
typedef struct VncViewer VncViewer;

typedef struct VncOptions {
    char *address, *to, *share, *password_file;
    bool password, lossy, power;
    unsigned head;
} VncOptions;

struct VncServer {
    Machine *machine;
    VncOptions options;
    rfbScreenInfo *screen;
    View *view;
    uint32_t *pixels;        /* the screen's copy, screen->width * screen->height */
    GPtrArray *listeners;    /* VncListener * */
    GPtrArray *viewers;      /* VncViewer * */
    VncViewer *opening;      /* whom rfbNewClient() makes a client of */
    uint64_t cursor_serial;  /* of the pointer's picture that screen has */
    GSource *sender;         /* vnc_send.c */
    char *password;          /* NULL: none is set */
    int64_t expires;         /* seconds since 1970; 0: never */
    int64_t complained;      /* when a viewer's mistake was last told, µs */
};

struct VncViewer {
    VncServer *server;
    rfbClientPtr client;     /* NULL until it has opened */
    VncRelay *relay;
    GSource *source;         /* watches fd */
    int fd;                  /* libvncserver's end; its own once there is a client */
    VncPeer peer;
    /* What it understands, and what it was told last; -1: nothing. */
    bool motion, extended_keys, led, vmware_led;
    int told_absolute, told_leds;
    int64_t next;            /* no update before, µs, monotonic */
    /* Input. */
    uint32_t keysyms[256];   /* by key: the keysym that holds it; 0: not held, or held by its scan code */
    bool held[256];
    unsigned buttons, wheel; /* wheel: its bits of the last button mask */
};

/* ---- vnc_listen.c ---- */

/*
 * Listens as the address (":1", "localhost:1", "[::1]:1", "unix:PATH") says; `to`: the last number to try, or below 0.
 */
gboolean vnc_listen(VncServer *s, const char *address, int to, GError **err);
GPtrArray *vnc_listeners_new(void);

/* The address of a socket's own or other end. */
VncPeer vnc_peer_of(int fd, bool other);
void vnc_peer_clear(VncPeer *p);
void vnc_listener_peer(gpointer listener, VncPeer *p);

/* ---- vnc_viewer.c ---- */

/* A connection has come; takes fd over. */
void vnc_viewer_new(VncServer *s, int fd);
void vnc_viewer_close(VncViewer *v);

/* Frees those whom libvncserver has closed; after each call of it that may do so. */
void vnc_reap(VncServer *s);

/* ---- vnc_input.c ---- */

void vnc_input_hooks(rfbScreenInfo *screen);
/* A key by its scan code (QEMU's extended key event: set 1, 80h or E0xxh behind E0h) or else its keysym. */
void vnc_key(VncViewer *v, bool down, uint32_t keysym, uint32_t code);
/* Lets go of what the viewer holds. */
void vnc_input_release(VncViewer *v);

/* ---- vnc_picture.c ---- */

extern const ViewOps vnc_view_ops; /* opaque: the VncServer */
/* Makes the copy as large as the guest's screen is now, before a viewer is told of it. */
void vnc_picture_sync(VncServer *s);
bool vnc_picture_size(VncServer *s, unsigned width, unsigned height);
void vnc_cursor_default(VncServer *s);

/* ---- vnc_send.c ---- */

void vnc_sender_start(VncServer *s);
/* Something may be there to be sent. */
void vnc_send_soon(VncServer *s);
/* Tells a viewer that understands it of its pointer's kind and the keyboard's lights, if they changed; lock held. */
void vnc_tell_state(VncViewer *v);

/* The protocol extension of QEMU's pseudo-encodings and message; registered once in a process. */
extern rfbProtocolExtension vnc_extension;

#endif
