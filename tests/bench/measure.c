/*
 * measure SECONDS COMMAND...: starts an emulator whose standard output is a guest's serial port, and times the guest's
 * lines as they arrive, by the host's clock and by the processor time that the emulator has used so far.  Prints
 *
 *   up WALL CPU                          the guest runs: seconds since the start
 *   row NAME OPERATIONS WALL CPU         the seconds of a row
 *   clock GUEST WALL                     the seconds from `up` to the end, by either clock
 *   done WALL CPU PEAK                   the guest said so; after the end, PEAK: resident memory in KiB
 *
 * and on standard error the output's end if the guest did not come to its own.  After SECONDS the command is killed.
 */
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

typedef struct Moment {
    double wall, cpu;
} Moment;

typedef struct Run {
    pid_t pid;
    double began;
    double up, guest_up; /* when the guest came up, by either clock */
    bool done;
    char row[64];     /* that runs */
    Moment row_began;
    char tail[4096];  /* of the output, for when it goes wrong */
    size_t tail_length;
} Run;

static double seconds(struct timespec t) { return (double)t.tv_sec + (double)t.tv_nsec * 1e-9; }

static double clock_seconds(clockid_t id)
{
    struct timespec t = { 0 };
    clock_gettime(id, &t);
    return seconds(t);
}

/* Where processes have no clock of their own for others, cpu is 0. */
static Moment moment(const Run *run)
{
    Moment m = { clock_seconds(CLOCK_MONOTONIC) - run->began, 0 };
#if defined _POSIX_CPUTIME && _POSIX_CPUTIME >= 0
    clockid_t id;
    if (!clock_getcpuclockid(run->pid, &id))
        m.cpu = clock_seconds(id);
#endif
    return m;
}

static void line_take(Run *run, const char *line, Moment at)
{
    double rounds, operations, us = 0;
    char name[64];
    const char *text = strstr(line, "BENCH ");
    if (!text)
        return;
    if (!strncmp(text, "BENCH up", 8)) {
        sscanf(text, "BENCH up %lf", &us);
        printf("up %.6f %.6f\n", at.wall, at.cpu);
        run->up = at.wall;
        run->guest_up = us * 1e-6;
    } else if (!strncmp(text, "BENCH done", 10)) {
        if (sscanf(text, "BENCH done %lf", &us) == 1)
            printf("clock %.6f %.6f\n", us * 1e-6 - run->guest_up, at.wall - run->up);
        run->done = true;
    } else if (sscanf(text, "BENCH start %63s", name) == 1) {
        strcpy(run->row, name);
        run->row_began = at;
    } else if (sscanf(text, "BENCH end %63s %lf %lf", name, &rounds, &operations) == 3 &&
               !strcmp(name, run->row)) {
        printf("row %s %.0f %.6f %.6f\n", name, rounds * operations, at.wall - run->row_began.wall,
               at.cpu - run->row_began.cpu);
    }
}

static void tail_keep(Run *run, const char *text, size_t n)
{
    size_t room = sizeof run->tail - 1;
    if (run->tail_length + n > room) {
        size_t drop = run->tail_length + n - room;
        memmove(run->tail, run->tail + drop, run->tail_length - drop);
        run->tail_length -= drop;
    }
    memcpy(run->tail + run->tail_length, text, n);
    run->tail_length += n;
}

/* Lines until the output ends or the time is over. */
static void output_read(Run *run, int fd, double limit)
{
    char line[1024], chunk[512];
    size_t length = 0;
    for (;;) {
        double left = limit - moment(run).wall;
        struct pollfd p = { fd, POLLIN, 0 };
        if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) < 0)
            return;
        ssize_t n = p.revents ? read(fd, chunk, sizeof chunk) : 0;
        if (p.revents && n <= 0)
            return;
        Moment at = moment(run);
        for (ssize_t k = 0; k < n; k++) {
            if (length < sizeof line - 1)
                line[length++] = chunk[k];
            if (chunk[k] == '\n') {
                line[length] = 0;
                line_take(run, line, at);
                length = 0;
            }
        }
        tail_keep(run, chunk, (size_t)n);
    }
}

/* Standard input is empty; standard output and error come through the pipe. */
static int start(Run *run, char **command)
{
    int out[2];
    if (pipe(out))
        return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    run->began = clock_seconds(CLOCK_MONOTONIC);
    int failed = posix_spawnp(&run->pid, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    return failed ? -1 : out[0];
}

static long peak_kib(const struct rusage *usage)
{
#ifdef __APPLE__
    return usage->ru_maxrss / 1024;
#else
    return usage->ru_maxrss;
#endif
}

int main(int argc, char **argv)
{
    static Run run;
    struct rusage usage;
    int status;
    if (argc < 3) {
        fprintf(stderr, "usage: measure SECONDS COMMAND...\n");
        return 2;
    }
    int fd = start(&run, argv + 2);
    if (fd < 0) {
        perror(argv[2]);
        return 2;
    }
    output_read(&run, fd, atof(argv[1]));
    if (!run.done)
        kill(run.pid, SIGKILL);
    close(fd);
    wait4(run.pid, &status, 0, &usage);
    if (!run.done) {
        fprintf(stderr, "%.*s\nmeasure: the guest did not come to its end\n", (int)run.tail_length, run.tail);
        return 1;
    }
    printf("done %.6f %.6f %ld\n", moment(&run).wall,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6, peak_kib(&usage));
    return 0;
}
