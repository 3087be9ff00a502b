/* Saved machines with a few bits turned over, for tests that nothing is taken which would do harm. */
#ifndef MYNA_TESTS_UNIT_DAMAGED_STATE_H
#define MYNA_TESTS_UNIT_DAMAGED_STATE_H

#include "core/machine.h"

/* Loads `saved` with so many bits turned over at random; whether it was taken all the same. */
static inline bool load_damaged(Machine *m, const GByteArray *saved, unsigned flips, GRand *random)
{
    g_autoptr(GError) err = NULL;
    g_autofree uint8_t *bad = g_memdup2(saved->data, saved->len);
    for (unsigned n = 0; n < flips; n++)
        bad[g_rand_int_range(random, 0, saved->len)] ^= 1 << g_rand_int_range(random, 0, 8);
    return machine_load(m, bad, saved->len, &err);
}

#endif
