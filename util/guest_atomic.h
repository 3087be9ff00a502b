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

/*
 * The same at any address, also across the host's cache lines, where the host can (HOST_SPLIT_CAS): x86 alone, whose
 * recompiled code uses that too.  size: 2, 4 or 8.
 */
#if defined(__x86_64__) || defined(__i386__)
#define HOST_SPLIT_CAS 1
__attribute__((no_sanitize("alignment"))) static inline bool split_cas(void *p, uint64_t expected, uint64_t desired, unsigned size)
{
    switch (size) {
    case 2: return __sync_bool_compare_and_swap((uint16_t *)p, (uint16_t)expected, (uint16_t)desired);
    case 4: return __sync_bool_compare_and_swap((uint32_t *)p, (uint32_t)expected, (uint32_t)desired);
    default: return __sync_bool_compare_and_swap((uint64_t *)p, expected, desired);
    }
}
#else
#define HOST_SPLIT_CAS 0
static inline bool split_cas(void *p, uint64_t expected, uint64_t desired, unsigned size)
{
    (void)p, (void)expected, (void)desired, (void)size;
    return false;
}
#endif

/*
 * The order that x86 gives to plain loads and stores (TSO) on hosts that do not: a fence after each load and one before
 * each store, needed while several threads run CPUs.
 */
#if defined(__x86_64__) || defined(__i386__) || defined(__s390x__)
#define HOST_ORDERS_LIKE_X86 1
#else
#define HOST_ORDERS_LIKE_X86 0
#endif
static inline void guest_load_fence(bool parallel)
{
    if (!HOST_ORDERS_LIKE_X86 && parallel)
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
static inline void guest_store_fence(bool parallel)
{
    if (!HOST_ORDERS_LIKE_X86 && parallel)
        __atomic_thread_fence(__ATOMIC_RELEASE);
}

#endif
