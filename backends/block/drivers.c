/*
 * The list of image drivers, and which one a file's content asks for.  Formats that are known only by their magic numbers
 * are listed too: taken for raw they would show a guest the wrong disk, and a guest's writes would destroy them.
 */
#include "backends/block/drivers.h"

#include <string.h>

#include "util/bits.h"

const ImageDriver *const image_drivers[] = {
    &image_driver_file,
    &image_driver_nbd,
    &image_driver_raw,
    &image_driver_qcow2,
    &image_driver_vdi,
    &image_driver_vhdx,
    &image_driver_vmdk,
    &image_driver_vpc,
    NULL,
};

const ImageDriver *image_driver_find(const char *name)
{
    for (const ImageDriver *const *d = image_drivers; *d; d++)
        if (!strcmp((*d)->name, name))
            return *d;
    return NULL;
}

enum { HEAD = 4096 };

const ImageDriver *image_driver_probe(Image *lower)
{
    uint8_t head[HEAD] = { 0 };
    size_t n = MIN(lower->size, HEAD);

    if (image_read(lower, 0, head, n))
        n = 0;
    for (const ImageDriver *const *d = image_drivers; *d; d++)
        if ((*d)->probe && (*d)->probe(lower, head, n, lower->size))
            return *d;
    return &image_driver_raw;
}

/* ---- formats without a driver ---- */

typedef struct Magic {
    const char *format;
    int offset;         /* negative: from the end of the file */
    const char *bytes;
    unsigned length;
} Magic;

#define MAGIC(format, offset, bytes) { format, offset, bytes, sizeof(bytes) - 1 }

static const Magic magics[] = {
    MAGIC("qcow", 0, "QFI\xfb"), /* version 1; the later ones have a driver */
    MAGIC("qed", 0, "QED\0"),
    MAGIC("vmdk", 0, "KDMV"),
    MAGIC("vmdk", 0, "COWD"),
    MAGIC("vmdk", 0, "# Disk DescriptorFile"),
    MAGIC("vhdx", 0, "vhdxfile"),
    MAGIC("vpc", 0, "conectix"),
    MAGIC("vpc", -512, "conectix"),
    MAGIC("vdi", 64, "\x7f\x10\xda\xbe"),
    MAGIC("parallels", 0, "WithoutFreeSpace"),
    MAGIC("parallels", 0, "WithouFreSpacExt"),
    MAGIC("bochs", 0, "Bochs Virtual HD Image"),
    MAGIC("cloop", 0, "#!/bin/sh\n#V2.0 Format\n"),
    MAGIC("dmg", -512, "koly"),
};

static bool magic_matches(const Magic *magic, Image *lower)
{
    char bytes[32];
    uint64_t back = magic->offset < 0 ? -(int64_t)magic->offset : 0;

    if (lower->size < MAX(back, 512))
        return false;
    return !image_read(lower, back ? lower->size - back : (uint64_t)magic->offset, bytes, magic->length) &&
           !memcmp(bytes, magic->bytes, magic->length);
}

static const char *head_magic(const uint8_t *head, size_t n)
{
    for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
        const Magic *m = &magics[i];
        if (m->offset >= 0 && m->offset + m->length <= n && !memcmp(head + m->offset, m->bytes, m->length))
            return m->format;
    }
    return NULL;
}

const char *image_head_format(Image *lower, const uint8_t *head, size_t n)
{
    for (const ImageDriver *const *d = image_drivers; *d; d++) {
        if ((*d)->probe && (*d)->probe(lower, head, n, lower->size))
            return (*d)->name;
    }
    return head_magic(head, n);
}

const char *image_unknown_format(Image *lower)
{
    for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
        if (magic_matches(&magics[i], lower))
            return magics[i].format;
    }
    return NULL;
}
