/*
 * Atomic access to little-endian guest values in host memory.  The address must be aligned to the size.
 */
#ifndef MYNA_UTIL_GUEST_ATOMIC_H
#define MYNA_UTIL_GUEST_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "util/endian.h"

/* Loads that another thread's store cannot tear. */
static inline uint32_t atomic_ld32le(const void *p) { return le32(__atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED)); }
static inline uint64_t atomic_ld64le(const void *p) { return le64(__atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)); }

/* A store that other threads see whole, after all that this thread wrote before it. */
static inline void atomic_st32le(void *p, uint32_t v) { __atomic_store_n((uint32_t *)p, le32(v), __ATOMIC_RELEASE); }

/* Stores `desired` if the value is still `expected`; false when it has changed. */
static inline bool atomic_cas32le(void *p, uint32_t expected, uint32_t desired)
{
    expected = le32(expected);
    return __atomic_compare_exchange_n((uint32_t *)p, &expected, le32(desired), false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}
static inline bool atomic_cas64le(void *p, uint64_t expected, uint64_t desired)
{
    expected = le64(expected);
    return __atomic_compare_exchange_n((uint64_t *)p, &expected, le64(desired), false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

#endif
