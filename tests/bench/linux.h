/* The workloads of the Linux guest: work_NAME(n) does n times what rows.def says of an iteration. */
#ifndef MYNA_BENCH_LINUX_H
#define MYNA_BENCH_LINUX_H

#include <stdint.h>

/* Results go here, so that the compiler must compute them. */
extern volatile uint64_t sink;

#define LINUX_ROW(name, operations, text) void work_##name(long n);
#include "tests/bench/rows.def"

static inline uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

#endif
