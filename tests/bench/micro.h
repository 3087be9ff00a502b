/* What micro.c and micro.S both know. */
#ifndef MYNA_BENCH_MICRO_H
#define MYNA_BENCH_MICRO_H

#define WINDOW 0x40000000       /* linear address of the pages of 4 KiB */
#define MISSING 0x42000000      /* a page that is not there */
#define VECTOR 0x82

#endif
