/*
 * A line of commands, taken apart.
 *
 *   CMD; CMD              one after the other
 *   CMD | SHELL COMMAND   the rest of the line is /bin/sh's, with the output as its input
 *   CMD > FILE  >> FILE   writes, or adds, the output to a file
 *
 * None of these within quotes; | and > not within parentheses or brackets, nor in "||", ">=" and "->", nor (but for a |
 * before the name of a program) where an expression of the user's may have them: after "if", and in print, set and the
 * like.  What follows `commands` is kept for later as it is.  # begins a comment line.
 */
#ifndef MYNA_DEBUGGER_COMMAND_LINE_H
#define MYNA_DEBUGGER_COMMAND_LINE_H

#include <glib.h>

typedef enum Sink { SINK_SCREEN, SINK_SHELL, SINK_FILE, SINK_APPEND } Sink;

typedef struct Statement {
    char *text;      /* the command and its arguments, without blanks around */
    Sink sink;
    char *target;    /* shell command or file name; NULL: none */
    char *place;     /* "FILE:LINE" of a script; NULL: typed */
    unsigned depth;  /* of scripts within scripts */
} Statement;

/* The statements of a line that are not empty, (Statement *) in order, added to the queue's end. */
void statements_parse(const char *line, GQueue *to);
void statement_free(Statement *s);

/* Hands what a statement printed on: to `out`, or to its target, whose output or error goes to `out`. */
void statement_deliver(const Statement *s, const GString *printed, GString *out);

#endif
