/*
 * VNC servers (`-vnc`, `-display vnc=`), beside opening and closing them, which is ui/ui.h.
 *
 * All under the machine lock, in the main loop's thread.
 */
#ifndef MYNA_UI_VNC_H
#define MYNA_UI_VNC_H

#include "core/machine.h"

/* What `info vnc` and QMP's query-vnc tell. */
typedef struct VncPeer {
    const char *family; /* "ipv4", "ipv6", "unix" */
    char *host, *service; /* of a unix socket: the path, and "" */
} VncPeer;

typedef struct VncInfo {
    const char *auth;   /* "none", "vnc" */
    GArray *listening;  /* VncPeer */
    GArray *viewers;    /* VncPeer, of those that have opened */
} VncInfo;

/* Of the nth server, to be freed by vnc_info_free(); NULL behind the last.  Without VNC built in there is none. */
VncInfo *vnc_info_nth(Machine *m, unsigned n);
void vnc_info_free(VncInfo *info);

/* Whether there is a server. */
bool vnc_info_is_open(Machine *m);

/*
 * Sets the password that viewers have to know from now on, of all servers that were opened with password=on; NULL:
 * none lets them in.  Those that are connected stay, unless `disconnect`.  FALSE with *err: there is no such server.
 */
gboolean vnc_set_password(Machine *m, const char *password, bool disconnect, GError **err);

/* Until when it is good, in seconds since 1970; 0: for ever; 1 is over already. */
gboolean vnc_expire_password(Machine *m, int64_t when, GError **err);

/* QEMU's notation of that time: "now", "never", "+SECONDS" from now, or SECONDS since 1970; false: none of them. */
bool vnc_parse_time(const char *text, int64_t *when);

#endif
