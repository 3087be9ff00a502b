/*
 * The editor of libedit: what its two halves share.
 *
 * libedit blocks, and wants a terminal.  It runs in a thread of its own (monitor_libedit.c) on the slave side of a
 * pseudo terminal; the main loop's half (monitor_edit.c) copies what comes out of the master side to the back end.  All
 * that is shown, commands' output too, goes through that terminal, so that it is in order.  Keys go from one half to
 * the other in memory: a terminal in between would act on some.
 */
#ifndef MYNA_DEBUGGER_MONITOR_EDIT_H
#define MYNA_DEBUGGER_MONITOR_EDIT_H

#include "debugger/monitor/monitor_parts.h"

/* What the thread asks the main loop for. */
typedef enum EditRequestKind { EDIT_LINE, EDIT_INTERRUPT, EDIT_COMPLETE, EDIT_MORE_KEYS } EditRequestKind;

typedef struct EditRequest {
    EditRequestKind kind;
    char *text;           /* the line; or, to complete, up to the cursor */
    GPtrArray *names;     /* answer to EDIT_COMPLETE, with start, as of command_complete() */
    gsize start;
    bool answered;        /* of EDIT_COMPLETE, whose thread waits and owns the request; others are the main loop's */
} EditRequest;

struct Editor {
    /* The main loop's. */
    Monitor *mon;         /* NULL: ended */
    CharBackend *c;       /* where output goes; NULL: nobody is there */
    Machine *machine;
    GThread *thread;
    int master;
    GSource *pump;        /* output of the master side */
    GSource *requests;

    /* Set before the thread starts. */
    int slave[2];         /* to read, to write */
    const char *terminal; /* its kind; NULL: as $TERM */
    bool dumb;            /* without escape sequences */
    GPtrArray *history;   /* char *, oldest first */

    /* Both halves', with the lock; the condition says that something of it changed. */
    GMutex lock;
    GCond changed;
    GByteArray *keys;
    GString *output;      /* to be shown */
    GQueue asked;         /* EditRequest * */
    bool ready;           /* a line is wanted */
    bool quit, hidden, redraw, resized, color;
    bool full;            /* of keys: the main loop waits for the thread to take them */
};

/* The thread: until e->quit. */
void *libedit_thread(void *editor);

#endif
