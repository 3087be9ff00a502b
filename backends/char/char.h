/*
 * Character back ends: the host's half of a serial port, console or monitor.
 *
 * A back end moves bytes between one front end (a device) and the host.  Everything runs in the main loop's thread with
 * the machine lock held, or in a CPU thread that holds the lock (writes).
 */
#ifndef MYNA_BACKENDS_CHAR_H
#define MYNA_BACKENDS_CHAR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Machine Machine;
typedef struct CharBackend CharBackend;

/* What the front end offers; any may be NULL. */
typedef struct CharFrontend {
    unsigned (*can_receive)(void *opaque);                             /* bytes it can take now */
    void (*receive)(void *opaque, const uint8_t *data, unsigned size); /* at most what can_receive said */
    void (*event)(void *opaque, int event);                            /* CHAR_* */
    void (*writable)(void *opaque);                                    /* char_write_some() may go on */
} CharFrontend;

/* CHAR_HIDDEN: the other half of a mux has the keys now; CHAR_OPENED again: this one. */
enum { CHAR_OPENED, CHAR_CLOSED, CHAR_BREAK, CHAR_HIDDEN };

/*
 * Makes a back end from QEMU's -serial/-monitor notation: stdio, mon:stdio, file:PATH, pty, null, none, vc, unix:PATH,
 * tcp:HOST:PORT,...; or -chardev's key=value form in `options` (NULL otherwise).  `id` is its name.  Owned by the
 * machine, freed with it.  NULL with *err.
 */
CharBackend *char_new(Machine *m, const char *id, const char *spec, GError **err);
CharBackend *char_find(Machine *m, const char *id);

/* The machine's back ends in the order they were made; NULL behind the last.  Whether the host's side is there. */
CharBackend *char_nth(Machine *m, unsigned n);
const char *char_id(const CharBackend *c);
bool char_is_open(const CharBackend *c);

/* One front end a back end (mon:stdio and Ctrl-A C have two, behind char_mux). */
void char_connect(CharBackend *c, const CharFrontend *ops, void *opaque);

/* Writes all bytes, blocking shortly if the host does; a dead peer swallows them. NULL back end: nothing happens. */
void char_write(CharBackend *c, const void *data, unsigned size);

/*
 * Writes what the host takes at once, and returns how much that was.  When it was not all, the front end's writable()
 * is called once it takes more.  Without a peer all is taken.  Main loop's thread.
 */
unsigned char_write_some(CharBackend *c, const void *data, unsigned size);

/* The front end can take bytes again: can_receive grew. */
void char_accept_input(CharBackend *c);

/*
 * Makes two front ends share c: Ctrl-A C switches between first and second, Ctrl-A X quits, Ctrl-A H helps, Ctrl-A B
 * sends a break, Ctrl-A Ctrl-A sends Ctrl-A (QEMU's mux).  Returns the second's back end; c stays the first's.
 */
CharBackend *char_mux(CharBackend *c);

/* Whether mon:... or mux=on asked for it. */
bool char_wants_mux(const CharBackend *c);

/* The size of the terminal that a person sits at; false when there is none, or nothing is known about it. */
bool char_terminal_size(const CharBackend *c, unsigned *rows, unsigned *columns);

/* Whether what is written goes anywhere at all: not of null, nor of vc where there is no window. */
bool char_has_output(const CharBackend *c);

/* Whether bytes go to a file or pipe as they are, so that lines end in "\n" and not in "\r\n". */
bool char_is_stream(const CharBackend *c);

/* Ctrl-C and the like become input, where they were signals to the process. */
void char_take_keys(CharBackend *c);

/* "stdio"; and whether a front end is there: for the monitor. */
const char *char_kind_name(const CharBackend *c);
bool char_is_connected(const CharBackend *c);

/* Prints the kinds (`-chardev help`). */
void char_list_kinds(void);

/* Frees one before the machine ends; its front end may ask for it.  NULL: nothing happens. */
void char_free(CharBackend *c);

void char_free_all(Machine *m);

#endif
