/* CRC-32C (Castagnoli; RFC 3720, appendix B.4). */
#ifndef MYNA_UTIL_CRC32C_H
#define MYNA_UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of one piece: of "123456789" it is 0xe3069283.  More pieces: crc is the value so far, 0 before the first. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
