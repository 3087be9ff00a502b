/* Random bytes for what the guest sees (RDRAND, virtio-rng, ...): the one way by which they enter a machine. */
#ifndef MYNA_CORE_RANDOM_H
#define MYNA_CORE_RANDOM_H

#include <stddef.h>

/* Fills buf with size bytes from the host's random number generator. */
void random_bytes(void *buf, size_t size);

#endif
