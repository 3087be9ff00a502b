/* Binary search in sorted arrays. */
#ifndef MYNA_UTIL_SEARCH_H
#define MYNA_UTIL_SEARCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * How many elements, of `size` bytes each, have a key of at most `key`: the last of them is the one before that place.  Their keys
 * are uint64_t at `offset` and rise.
 */
static inline unsigned search_upper(const void *array, unsigned count, size_t size, size_t offset, uint64_t key)
{
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        uint64_t k;
        memcpy(&k, (const char *)array + middle * size + offset, sizeof k);
        if (k <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
