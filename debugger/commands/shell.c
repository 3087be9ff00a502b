/* Running a shell command as a filter (shell.h). */
#include "debugger/commands/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 10
#define OUTPUT_MAX (16u << 20)

typedef struct Filter {
    GPid pid;
    int in, out;          /* of the child; -1: closed */
    const GString *input;
    gsize written;
    GString *output;
    gsize before;         /* length of output at the start */
    gint64 deadline;      /* monotonic microseconds */
} Filter;

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* In the child: a group of its own, so that all of it can be ended; the emulator ignores SIGPIPE, others need it. */
static void set_up_child(gpointer data)
{
    (void)data;
    setpgid(0, 0);
    dup2(STDOUT_FILENO, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
}

static void feed(Filter *f)
{
    ssize_t n = write(f->in, f->input->str + f->written, f->input->len - f->written);
    if (n > 0)
        f->written += n;
    if (f->written == f->input->len || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_end(&f->in);
}

static void drain(Filter *f)
{
    char buf[4096];
    ssize_t n = read(f->out, buf, sizeof buf);
    if (n > 0)
        g_string_append_len(f->output, buf, n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(&f->out);
}

static int milliseconds_left(const Filter *f)
{
    return MAX((f->deadline - g_get_monotonic_time()) / 1000, 0);
}

/* Why it has to be ended, or NULL. */
static const char *excess(const Filter *f)
{
    if (f->output->len - f->before > OUTPUT_MAX)
        return "wrote more than 16 MiB";
    return milliseconds_left(f) ? NULL : "took longer than 10 seconds";
}

static void pump(Filter *f)
{
    while (f->out >= 0 && !excess(f)) {
        struct pollfd p[2] = { { .fd = f->out, .events = POLLIN }, { .fd = f->in, .events = POLLOUT } };
        if (poll(p, 2, milliseconds_left(f)) <= 0)
            continue;
        if (p[0].revents)
            drain(f);
        if (f->in >= 0 && p[1].revents)
            feed(f);
    }
}

static bool has_ended(const Filter *f)
{
    return waitpid(f->pid, NULL, WNOHANG) != 0;
}

/* Its output has ended: so will it, or be ended. */
static void reap(Filter *f, const char *command)
{
    const char *why;
    bool ended = has_ended(f);
    while (!ended && !(why = excess(f))) {
        g_usleep(1000);
        ended = has_ended(f);
    }
    if (ended)
        return;
    kill(-f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    g_string_append_printf(f->output, "'%s' %s: ended\n", command, why);
}

void shell_filter(const char *command, const GString *input, GString *out)
{
    char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)command, NULL };
    Filter f = { .input = input, .output = out, .before = out->len,
                 .deadline = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC };
    g_autoptr(GError) err = NULL;
    if (!g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, set_up_child, NULL, &f.pid, &f.in,
                                  &f.out, NULL, &err)) {
        g_string_append_printf(out, "%s\n", err->message);
        return;
    }
    fcntl(f.in, F_SETFL, O_NONBLOCK);
    fcntl(f.out, F_SETFL, O_NONBLOCK);
    pump(&f);
    close_end(&f.in);
    close_end(&f.out);
    reap(&f, command);
}
