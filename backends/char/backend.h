/*
 * Inside backends/char: what all kinds of character back ends share.  Each kind is a file with a CharKind; char.c holds
 * the list, the notation and the way of bytes between file descriptor and front end, mux.c the sharing by two.
 */
#ifndef MYNA_BACKENDS_CHAR_BACKEND_H
#define MYNA_BACKENDS_CHAR_BACKEND_H

#include "backends/char/char.h"
#include "core/machine.h"

/* What "kind:..." or "kind,key=value" said. */
typedef struct CharSettings {
    char *path, *host, *port;
    char *address;           /* HOST:PORT, as in "tcp:HOST:PORT" */
    bool server, wait, append;
    bool mux, signal;
} CharSettings;

typedef struct CharKind {
    const char *name;        /* before the colon, or as -chardev's first word */
    const char *implied;     /* key of what stands after the colon; NULL: nothing may stand there */
    bool whole;              /* all behind the colon is one value, commas included */
    const char *help;
    gboolean (*open)(CharBackend *c, const CharSettings *settings, GError **err);
} CharKind;

typedef struct CharMux CharMux;

struct CharBackend {
    Machine *machine;
    char *id;
    const char *kind;        /* its name, as the user wrote it: "stdio"; of a second half "mux" */
    bool mux_wanted;         /* mon:... or mux=on */
    const CharFrontend *frontend;
    void *opaque;
    bool opened;             /* the host's side is there */
    bool interactive;        /* a person types: input that nobody takes is dropped, so that Ctrl-A always works */
    int input, output;       /* file descriptors, or -1 */
    int patience;            /* milliseconds to wait for a full output; -1: for ever */
    bool stalled;            /* the output was full for so long: do not wait again until it drains */
    GSource *source;         /* watches input while the front end has room */
    GSource *draining;       /* watches output that did not take all of char_write_some() */
    void *state;             /* of the kind, freed by close */
    void (*hung_up)(CharBackend *c);  /* the peer went away; NULL: stop reading */
    void (*close)(CharBackend *c);    /* NULL: nothing to do */
    void (*share_keys)(CharBackend *c); /* Ctrl-C and the like become input (mux); NULL: they are */
    CharMux *mux;            /* of the first half */
    CharBackend *first;      /* of the second half: who does the work */
};

extern const CharKind char_kind_stdio, char_kind_pty, char_kind_unix, char_kind_tcp, char_kind_socket;

/* The host's side came or went: tells the front end, and starts or stops reading. */
void char_opened(CharBackend *c);
void char_closed(CharBackend *c);

void char_unwatch_output(CharBackend *c);

/* Bytes that the front end of c itself takes now; hands it some of these. */
unsigned char_frontend_room(const CharBackend *c);
void char_frontend_receive(CharBackend *c, const uint8_t *data, unsigned size);
void char_frontend_event(CharBackend *c, int event);

/* mux.c: input for the first half goes through these. */
unsigned char_mux_room(const CharMux *mux);
void char_mux_receive(CharMux *mux, const uint8_t *data, unsigned size);
void char_mux_flush(CharMux *mux);
void char_mux_free(CharMux *mux);

/* A new back end without a kind, in the machine's list. */
CharBackend *char_register(Machine *m, const char *id);

#endif
