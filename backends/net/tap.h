/*
 * Inside backends/net: tap interfaces. tap.c moves frames, tap_open.c gets the descriptor: by /dev/net/tun, or from a
 * helper that has the right to.
 */
#ifndef MYNA_BACKENDS_NET_TAP_H
#define MYNA_BACKENDS_NET_TAP_H

#include "backends/net/backend.h"

typedef struct TapSettings {
    NetSettings common;
    char *ifname, *script, *downscript, *fd, *bridge, *helper;
    bool vnet_hdr;
} TapSettings;

/* A descriptor that is non-blocking, and the interface's name; -1 with *err, which says what would help. */
int tap_open_interface(const NetBackend *n, const TapSettings *s, char **name, GError **err);
int tap_open_given(const NetBackend *n, const TapSettings *s, char **name, GError **err);
int tap_open_helper(const NetBackend *n, const TapSettings *s, char **name, GError **err);

/* script= and downscript= with the interface's name; "no": none. */
gboolean tap_run_script(const NetBackend *n, const char *script, const char *name, GError **err);

#endif
