/*
 * The way between a VNC viewer and libvncserver, which waits for whoever it reads from or writes to.
 *
 * libvncserver gets one end of a socket pair, and a thread moves bytes between the other end and the viewer: to
 * libvncserver only what the filter (vnc_filter.h) passes, in whole messages; to the viewer as fast as that takes it,
 * from a buffer as large as a picture.  So libvncserver never waits for a viewer, and the main loop does not.  The
 * thread touches nothing of the machine.  It cuts a viewer off that says what is wrong, that does not finish its
 * opening in time, or that asks for more than the buffer holds while it reads nothing.
 */
#ifndef MYNA_UI_VNC_RELAY_H
#define MYNA_UI_VNC_RELAY_H

#include "ui/vnc_filter.h"

typedef struct VncRelay VncRelay;

enum { VNC_OPENING_MS = 10000 }; /* within which the opening has to be through */

/*
 * Takes over the viewer's socket, and starts.  *inner: libvncserver's end, owned by the caller; it becomes readable
 * when the viewer has opened, or gone.  NULL with errno, and peer closed: no socket or thread is to be had.
 */
VncRelay *vnc_relay_new(int peer, const VncFilter *filter, int *inner);

/* Bytes that the viewer has not taken yet.  Any thread. */
unsigned vnc_relay_pending(const VncRelay *r);

/* What the viewer did wrong; NULL: nothing.  Any thread. */
const char *vnc_relay_wrong(VncRelay *r);

/* The caller is done with it and has closed `inner`: what is written is still sent, if the viewer takes it soon. */
void vnc_relay_leave(VncRelay *r);

#endif
