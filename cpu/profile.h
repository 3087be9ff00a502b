/*
 * A profile of what CPUs execute: samples of where a CPU is and who called, counted by call stack.
 *
 * Threads: CPUs' threads sample, several at a time; the rest is for when none runs.
 */
#ifndef MYNA_CPU_PROFILE_H
#define MYNA_CPU_PROFILE_H

#include "cpu/state.h"

#define PROFILE_MAX_FRAMES 64
#define PROFILE_MAX_STACKS 65536

typedef struct Profile Profile;

Profile *profile_new(void);
void profile_free(Profile *p);

/*
 * Counts where the CPU is now, in its own thread.  Callers are found by the chain of frame pointers in RAM, as far as
 * it goes up the stack; with more than PROFILE_MAX_STACKS different stacks, new ones are counted as an empty one.
 */
void profile_sample(Profile *p, Cpu *cpu);

/* Samples so far. */
uint64_t profile_samples(const Profile *p);

/* Each stack, the innermost frame first: linear addresses, of callers the return addresses. */
typedef void ProfileFn(void *opaque, const uint64_t *frames, unsigned count, uint64_t samples);
void profile_foreach(const Profile *p, ProfileFn *fn, void *opaque);

#endif
