/*
 * A 9P2000.L server of one share for one client: bytes of a message in, bytes of the answer out.
 *
 * The protocol is the one of Linux's client (Documentation/filesystems/9p.rst; the messages as in diod's protocol.md and
 * include/net/9p/9p.h): 9P2000 with Linux's notions of files, flags and error numbers.
 *
 * A file that the client has walked to is a fid with a path; the file is opened anew, beneath the share, for each thing that is done to
 * it, until the client opens the fid.  So fids cost no descriptor, follow what the guest renames, and can be saved.
 */
#ifndef MYNA_BACKENDS_9P_SERVER_H
#define MYNA_BACKENDS_9P_SERVER_H

#include "backends/9p/share.h"

enum {
    P9_HEADER_SIZE = 7,               /* size[4] type[1] tag[2] */
    P9_MSIZE_MIN = 4096, P9_MSIZE_MAX = 512 * 1024,
    P9_FIDS_MAX = 65536,              /* then ENFILE, as when a client's paths come to P9_BYTES_MAX */
    P9_BYTES_MAX = 24 * 1024 * 1024,
    P9_SAVED_MAX = 32 * 1024 * 1024,  /* bytes of a saved server */
};

typedef struct P9Server P9Server;

/* A server in the state before Tversion; the share must outlive it. */
P9Server *p9_server_new(const Share *share);
P9Server *p9_server_ref(P9Server *s);
void p9_server_unref(P9Server *s);

/*
 * Carries a message out and writes the answer; returns its length, 0 when not even an error fits.  From any thread, several at once; may
 * wait for the host's files.  Tflush is answered at once: who runs several at once sees to what it stands for.
 */
size_t p9_server_handle(P9Server *s, const uint8_t *message, size_t size, uint8_t *answer, size_t room);

/* The fids and locks as bytes, at most P9_SAVED_MAX; no message may be under way. */
void p9_server_save(P9Server *s, GByteArray *out);
/*
 * Into a new server.  A file that is gone is a fid that gives ENOENT; bytes that no server wrote are an error, after which the server
 * must not be used.
 */
gboolean p9_server_load(P9Server *s, const uint8_t *data, size_t size, GError **err);

#endif
