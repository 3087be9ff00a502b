/*
 * Image formats that are not raw, recognised by their magic numbers: taken for raw they would show a guest the wrong
 * disk, and a guest's writes would destroy them.
 */
#include <string.h>

#include "backends/block/image.h"
#include "util/bits.h"

typedef struct Magic {
    const char *format;
    int offset;         /* negative: from the end of the file */
    const char *bytes;
    unsigned length;
} Magic;

#define MAGIC(format, offset, bytes) { format, offset, bytes, sizeof(bytes) - 1 }

static const Magic magics[] = {
    MAGIC("qcow2", 0, "QFI\xfb"),
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

static bool magic_matches(const Magic *magic, int fd, uint64_t size)
{
    char bytes[32];
    uint64_t back = magic->offset < 0 ? -(int64_t)magic->offset : 0;

    if (size < MAX(back, 512))
        return false;
    return !file_read(fd, back ? size - back : (uint64_t)magic->offset, bytes, magic->length) &&
           !memcmp(bytes, magic->bytes, magic->length);
}

const char *format_probe(int fd, uint64_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
        if (magic_matches(&magics[i], fd, size))
            return magics[i].format;
    }
    return NULL;
}
