/* Random bytes from the host's kernel (getentropy(3), a face of getrandom(2)). */
#include "core/random.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <unistd.h>

/* getentropy() gives at most 256 bytes a call. */
#define CHUNK 256

void random_bytes(void *buf, size_t size)
{
    uint8_t *p = buf;
    while (size) {
        size_t n = MIN(size, CHUNK);
        if (getentropy(p, n) != 0)
            g_error("the host gives no random numbers: %s", g_strerror(errno));
        p += n;
        size -= n;
    }
}
