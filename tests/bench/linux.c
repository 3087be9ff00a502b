/*
 * The benchmark's Linux guest: a static program that the kernel starts as /init.  The kernel's command line says what
 * to do: "rows=NAME,..." (all, none), "msecs=N", "scroll=1" (a process writes to the screen all the while) and "idle=N"
 * (a row of that name which sleeps for N seconds, last).  Each row is sized to about N milliseconds by the guest's clock,
 * then announced, run and reported; the host times what stands between the lines, so that a wrong clock flatters nobody:
 *
 *   BENCH up MICROSECONDS                        the guest's clock, here and at the end
 *   BENCH start NAME
 *   BENCH end NAME ROUNDS OPERATIONS-A-ROUND
 *   BENCH done MICROSECONDS
 *
 * `init NAME...` in a shell runs rows as well.  The workloads are in linux_cpu.c and linux_os.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/linux.h"

volatile uint64_t sink;

static const struct {
    const char *name;
    void (*work)(long n);
    unsigned operations;
} rows[] = {
#define LINUX_ROW(name, operations, text) { #name, work_##name, operations },
#include "tests/bench/rows.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_of(int row, long n)
{
    double began = now();
    rows[row].work(n);
    return now() - began;
}

/* The first time is not counted: some workloads make their data then. */
static long size_of_row(int row, double seconds)
{
    rows[row].work(1);
    for (long n = 1;;) {
        double took = time_of(row, n);
        if (took >= seconds / 4)
            return (long)((double)n * seconds / took) + 1;
        n = took < seconds / 64 ? n * 16 : (long)((double)n * seconds / 2 / took) + 1;
    }
}

/* A line is said when the serial port has it. */
static void say(void)
{
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
}

static void run_row(int row, double seconds)
{
    long n = size_of_row(row, seconds);
    printf("BENCH start %s\n", rows[row].name);
    say();
    rows[row].work(n);
    printf("BENCH end %s %ld %u\n", rows[row].name, n, rows[row].operations);
    say();
}

/* Whether a list of words, divided by commas, has that one. */
static int listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = list; *p; p += *p == ',') {
        if (!strncmp(p, name, length) && (!p[length] || p[length] == ','))
            return 1;
        p += strcspn(p, ",");
    }
    return 0;
}

static void run_listed(const char *list, double seconds)
{
    for (int row = 0; row < ROWS; row++)
        if (!strcmp(list, "all") || listed(list, rows[row].name))
            run_row(row, seconds);
}

/* Reads the kernel's command line into static memory; the value of KEY there, or what it is otherwise. */
static const char *argument(const char *key, const char *otherwise)
{
    static char line[4096];
    static char word[4096];
    int fd = open("/proc/cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    close(fd);
    line[n > 0 ? n : 0] = 0;
    strcpy(word, line);
    for (char *w = strtok(word, " \n"); w; w = strtok(NULL, " \n"))
        if (!strncmp(w, key, strlen(key)) && w[strlen(key)] == '=')
            return strdup(w + strlen(key) + 1);
    return otherwise;
}

/* A process that fills the screen with lines, each other than the one before, as fast as it goes. */
static void scroll(void)
{
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    if (fork())
        return;
    FILE *screen = fopen("/dev/tty0", "w");
    for (unsigned long n = 0; screen; n++)
        fprintf(screen, "%8lu the quick brown fox jumps over the lazy dog %08lx\n", n, n * 2654435761UL);
    _exit(1);
}

static void run_idle(unsigned seconds)
{
    printf("BENCH start idle\n");
    say();
    sleep(seconds);
    printf("BENCH end idle 1 1\n");
    say();
}

static void be_init(void)
{
    mkdir("/proc", 0755);
    mkdir("/tmp", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
    printf("BENCH up %.0f\n", now() * 1e6);
    say();
    if (atoi(argument("scroll", "0")))
        scroll();
    run_listed(argument("rows", "none"), atof(argument("msecs", "300")) / 1000);
    if (atoi(argument("idle", "0")))
        run_idle(atoi(argument("idle", "0")));
    printf("BENCH done %.0f\n", now() * 1e6);
    say();
    reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--exit")) /* the exec row starts this */
        return 0;
    if (getpid() == 1)
        be_init();
    for (int k = 1; k < argc; k++)
        run_listed(argv[k], 0.3);
    return 0;
}
