/*
 * The parts of a monitor: line editor, history, pager.
 *
 * There are two editors.  The plain one echoes, and knows a few keys: it serves programs and files, which send lines.
 * The one of libedit (CONFIG_LIBEDIT) is for people: at a terminal from the start, elsewhere (a socket may have a raw
 * terminal behind it, or not) from the first key on that only a person has.
 */
#ifndef MYNA_DEBUGGER_MONITOR_PARTS_H
#define MYNA_DEBUGGER_MONITOR_PARTS_H

#include "config.h"
#include "debugger/commands/command.h"
#include "debugger/monitor/monitor.h"

#define PROMPT "(myna)" /* and a blank */
#define LINE_MAX_SIZE 4096

enum { KEY_CTRL_A = 1, KEY_CTRL_C = 3, KEY_TAB = 9, KEY_CTRL_U = 0x15, KEY_ESCAPE = 0x1b, KEY_DELETE = 0x7f };

typedef struct Editor Editor;

/* A line is asked for by ready(), and comes by monitor_take_line(), after which the editor asks for no other. */
typedef struct EditorKind {
    Editor *(*make)(Monitor *mon);        /* NULL: it cannot be had */
    void (*receive)(Editor *e, const uint8_t *data, unsigned size); /* what was typed; at most room() */
    unsigned (*room)(Editor *e);
    /* Shows a text, lines ended by "\n": above the line that is being typed, if one is. */
    void (*show)(Editor *e, const char *text, gsize size);
    void (*ready)(Editor *e);
    void (*forget)(Editor *e);            /* drops what was typed ahead */
    void (*hide)(Editor *e, bool hidden); /* the mux shows the console; or this again, with the line that is typed */
    void (*end)(Editor *e, bool gone);    /* e is not used any more, and its client is gone, or hears its last words */
} EditorKind;

extern const EditorKind plain_editor;
#ifdef CONFIG_LIBEDIT
extern const EditorKind libedit_editor;
#endif

/* ---- history ---- */

typedef struct LineHistory {
    GPtrArray *lines;     /* char *, oldest first */
    char *file;           /* where it is kept; NULL: nowhere */
} LineHistory;

/* kept: read from, and added to, ${XDG_STATE_HOME:-~/.local/state}/myna/history. */
void line_history_init(LineHistory *h, bool kept);
void line_history_clear(LineHistory *h);
/* Not a blank line, nor the same twice on end. */
void line_history_add(LineHistory *h, const char *line);

/* ---- pager ---- */

typedef struct Pager {
    bool off;
    GString *rest;        /* not shown yet; NULL: "-- more --" does not stand there */
    unsigned shown;       /* lines of the screen since a key was pressed */
} Pager;

/* Shows a text, up to a screenful; pager_key: a key at "-- more --". */
void pager_show(Monitor *mon, const char *text, gsize size);
void pager_key(Monitor *mon, uint8_t key);
void pager_clear(Pager *p);

/* ---- the monitor, for its parts ---- */

struct Monitor {
    Machine *machine;
    CharBackend *c;
    const EditorKind *kind;
    Editor *editor;         /* NULL: nobody is there */
    DebuggerListener listener;
    LineHistory history;
    Pager pager;
    char *repeat;           /* what an empty line runs, or NULL */
    bool color;
    bool busy;              /* a line is being run: the editor is not ready */
    bool executing;         /* within command_execute() */
    bool receiving;         /* within the back end's call */
    GSource *hold;          /* the prompt waits a moment for the stop that a step brings soon */
};

/* A line was typed (without its end). */
void monitor_take_line(Monitor *mon, const char *line);
/* Ctrl-C with nothing typed. */
void monitor_interrupt(Monitor *mon);
/* Ctrl-C while a line is being run: acts at once, whatever was typed ahead. */
void monitor_break(Monitor *mon);
/* Puts text as it is, for editors. */
void monitor_write(Monitor *mon, const char *text, gsize size);
/* Has libedit go on, after `typed` and with what comes: a key came that the plain editor does not know. */
void monitor_edit(Monitor *mon, const GString *typed);
/* A line is asked for as soon as nothing is in the way. */
void monitor_try_ready(Monitor *mon);

#ifdef CONFIG_LIBEDIT
/* Lets the threads of all editors come to their ends. */
void libedit_editors_join(Machine *m);
#endif

#endif
