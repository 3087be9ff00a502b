/* Workloads that are about the processor and the kernel: calls, signals, processes, page faults, code that changes. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/linux.h"

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

void work_clock(long n)
{
    struct timespec t = { 0 };
    for (long k = 0; k < 64 * n; k++)
        clock_gettime(CLOCK_MONOTONIC, &t);
    sink = (uint64_t)t.tv_nsec;
}

void work_syscall(long n)
{
    for (long k = 0; k < 64 * n; k++)
        syscall(SYS_getuid);
}

static void on_signal(int number) { sink = (uint64_t)number; }

void work_signal(long n)
{
    signal(SIGUSR1, on_signal);
    for (long k = 0; k < 16 * n; k++)
        raise(SIGUSR1);
}

static void pass_on(int from, int to, long times)
{
    for (char c; times && read(from, &c, 1) == 1 && write(to, &c, 1) == 1; times--)
        ;
}

void work_pipe(long n)
{
    int a[2], b[2];
    must(!pipe(a) && !pipe(b), "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (!child) {
        pass_on(a[0], b[1], 16 * n);
        _exit(0);
    }
    must(write(a[1], "x", 1) == 1, "write");
    pass_on(b[0], a[1], 16 * n - 1);
    waitpid(child, NULL, 0);
    for (int k = 0; k < 2; k++) {
        close(a[k]);
        close(b[k]);
    }
}

void work_fork(long n)
{
    while (n--) {
        pid_t child = fork();
        must(child >= 0, "fork");
        if (!child)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

void work_exec(long n)
{
    while (n--) {
        pid_t child = fork();
        must(child >= 0, "fork");
        if (!child) {
            execl("/proc/self/exe", "init", "--exit", (char *)NULL);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
}

void work_fault(long n)
{
    enum { PAGE = 4096, SIZE = 256 * PAGE };
    while (n--) {
        char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(area != MAP_FAILED, "mmap");
        madvise(area, SIZE, MADV_NOHUGEPAGE);
        for (int at = 0; at < SIZE; at += PAGE)
            area[at] = 1;
        munmap(area, SIZE);
    }
}

void work_file(long n)
{
    static char data[4096];
    for (long k = 0; k < 16 * n; k++) {
        int fd = open("/tmp/bench-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
        must(fd >= 0, "open");
        must(write(fd, data, sizeof data) == sizeof data, "write");
        must(pread(fd, data, sizeof data, 0) == sizeof data, "read");
        close(fd);
        unlink("/tmp/bench-file");
    }
}

/* lea VALUE(%rdi), %rax; ret */
static size_t function_write(uint8_t *at, uint32_t value)
{
    static const uint8_t lea[] = { 0x48, 0x8d, 0x87 };
    memcpy(at, lea, sizeof lea);
    memcpy(at + 3, &value, sizeof value);
    at[7] = 0xc3;
    return 16;
}

/* 64 functions in a row, written and then called, over all of 64 KiB. */
void work_jit(long n)
{
    enum { SIZE = 65536 };
    static uint8_t *area;
    static size_t at;
    if (!area)
        area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(area != MAP_FAILED, "mmap");
    uint64_t sum = 0;
    while (n--) {
        uint8_t *first = area + at;
        for (int k = 0; k < 64; k++)
            at += function_write(area + at, (uint32_t)n);
        for (int k = 0; k < 64; k++)
            sum = ((uint64_t (*)(uint64_t))(first + 16 * k))(sum);
        at %= SIZE;
    }
    sink = sum;
}
