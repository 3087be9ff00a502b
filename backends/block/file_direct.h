/* Transfers of files that are opened with O_DIRECT: of any alignment, by file.c. */
#ifndef MYNA_BACKENDS_BLOCK_FILE_DIRECT_H
#define MYNA_BACKENDS_BLOCK_FILE_DIRECT_H

#include "backends/block/image.h"

typedef struct DirectFile {
    int fd;
    unsigned alignment; /* that the host wants: a power of 2, 512 to 4096 */
    GRWLock lock;       /* writer: who writes a part of a block */
} DirectFile;

unsigned direct_find_alignment(int fd);

/* As file_read() and file_write(). */
int direct_read(DirectFile *f, uint64_t offset, void *buf, uint64_t size);
int direct_write(DirectFile *f, uint64_t offset, const void *buf, uint64_t size);

#endif
