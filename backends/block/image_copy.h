/*
 * Work on whole images, for myna-img and the monitor: copying, comparing, committing, rebasing.  All block; none needs
 * the machine lock.  They give 0 or a negative errno, with what failed in the ImageWork.
 */
#ifndef MYNA_BACKENDS_BLOCK_IMAGE_COPY_H
#define MYNA_BACKENDS_BLOCK_IMAGE_COPY_H

#include "backends/block/image.h"

typedef struct ImageWork {
    void (*progress)(void *opaque, uint64_t done, uint64_t total); /* bytes; NULL: nobody listens */
    void *opaque;
    bool *cancel;         /* set by another thread: -ECANCELED; NULL: never */
    /* What a failure was about. */
    const Image *failed;
    uint64_t failed_at;
    bool failed_writing;
} ImageWork;

typedef struct ImageCopy {
    uint64_t at;          /* in the target, where the source's beginning goes */
    bool top_only;        /* leaves out what the source leaves to its backing image: the target has that one too */
    bool compress;
    bool zeroed;          /* the target is new: it reads as zeros, and zeros need not be written */
    bool salvage;         /* what cannot be read becomes zeros */
    uint64_t sparse;      /* so many zeros in a row become a hole; 0: all is written */
    uint64_t lost;        /* bytes that could not be read */
} ImageCopy;

/* Copies all of `from`; holes stay holes. */
int image_copy(Image *from, Image *to, ImageCopy *c, ImageWork *w);
/*
 * Writes to `base` what `top` and the images between them have.  `top`'s chain ends above base, which is an image of its
 * own, open for writing.  A base that is too small is made larger.
 */
int image_commit(Image *top, Image *base, ImageWork *w);
/* Gives `top` all it needs to read the same over `backing` (NULL: over none) as over the one it has. */
int image_rebase(Image *top, Image *backing, ImageWork *w);
/*
 * Finds the first difference; *at == the larger size: there is none.  strict: also of what is allocated, *status is true
 * then when it is not the content that differs.  What the shorter one lacks counts as zeros.
 */
int image_compare(Image *a, Image *b, bool strict, uint64_t *at, bool *status, ImageWork *w);
bool buffer_is_zero(const void *buf, uint64_t size);

#endif
