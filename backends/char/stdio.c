/*
 * The process's standard input and output as a character back end.
 *
 * A terminal is put into raw mode, and back into its own at exit, when the process is stopped (SIGTSTP), and again into
 * raw mode when it goes on in the foreground.  There is one terminal and one set of signal handlers in a process: hence
 * the state of this file, which the handlers read.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "backends/char/backend.h"
#include "core/error.h"

static struct {
    CharBackend *user;     /* who has it */
    bool tty;              /* standard input is a terminal, and `own` and `raw` are set */
    bool handlers;         /* signal handlers and the exit function are installed */
    struct termios own, raw;
} terminal;

static bool terminal_in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* In the background, tcsetattr would stop the process. */
static void terminal_set(const struct termios *t)
{
    if (terminal.tty && terminal_in_foreground())
        tcsetattr(STDIN_FILENO, TCSADRAIN, t);
}

static void terminal_restore(void)
{
    if (terminal.user)
        terminal_set(&terminal.own);
}

static void on_stop(int signal)
{
    (void)signal;
    int saved = errno;
    terminal_restore();
    kill(getpid(), SIGSTOP);
    errno = saved;
}

static void on_continue(int signal)
{
    (void)signal;
    int saved = errno;
    if (terminal.user)
        terminal_set(&terminal.raw);
    errno = saved;
}

static void terminal_guard(void)
{
    if (terminal.handlers)
        return;
    terminal.handlers = true;
    atexit(terminal_restore);
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction go_on = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    sigaction(SIGTSTP, &stop, NULL);
    sigaction(SIGCONT, &go_on, NULL);
}

/* Bytes as they are, but output lines still get their carriage return; Ctrl-C and Ctrl-Z act when `signals`. */
static void terminal_raw(bool signals)
{
    terminal.raw = terminal.own;
    terminal.raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    terminal.raw.c_oflag |= OPOST;
    terminal.raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        terminal.raw.c_lflag &= ~ISIG;
    terminal.raw.c_cflag = (terminal.raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
    terminal.raw.c_cc[VMIN] = 1;
    terminal.raw.c_cc[VTIME] = 0;
    terminal_set(&terminal.raw);
}

static void stdio_share_keys(CharBackend *c)
{
    (void)c;
    if (terminal.tty)
        terminal_raw(false);
}

static void stdio_close(CharBackend *c)
{
    (void)c;
    terminal_restore();
    terminal.user = NULL;
    terminal.tty = false;
}

static gboolean stdio_open(CharBackend *c, const CharSettings *s, GError **err)
{
    if (terminal.user)
        return error_set(err, "char device '%s': stdio is in use by '%s' already; mon:stdio shares it with the monitor",
                         c->id, terminal.user->id);
    terminal.user = c;
    terminal.tty = tcgetattr(STDIN_FILENO, &terminal.own) == 0;
    if (terminal.tty) {
        terminal_guard();
        terminal_raw(s->signal);
    }
    c->input = STDIN_FILENO;
    c->output = STDOUT_FILENO;
    c->interactive = terminal.tty;
    c->close = stdio_close;
    c->share_keys = stdio_share_keys;
    c->opened = true;
    return TRUE;
}

const CharKind char_kind_stdio = {"stdio", NULL, false, "standard input and output of the emulator", stdio_open};
