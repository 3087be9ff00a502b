/*
 * image-io [-f FORMAT] FILE COMMAND...: what a guest would do to an image, for tests/disk: "write OFFSET LENGTH BYTE",
 * "zero OFFSET LENGTH", "unmap OFFSET LENGTH" (zeros whose place may go), "discard OFFSET LENGTH", "pack OFFSET LENGTH
 * BYTE" (compressed), "flush", "kill" (the process ends as by kill -9).  Each is one argument.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "backends/block/image.h"

static int write_bytes(Image *i, uint64_t offset, uint64_t length, unsigned byte, bool packed)
{
    g_autofree uint8_t *buf = g_malloc(length + 1);

    memset(buf, byte, length);
    if (!packed)
        return image_write(i, offset, buf, length);
    return i->driver->write_compressed ? i->driver->write_compressed(i, offset, buf, length) : -1;
}

static int run(Image *i, const char *command)
{
    char word[16];
    guint64 offset = 0, length = 0;
    unsigned byte = 0;
    int n = sscanf(command, "%15s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %u", word, &offset, &length, &byte);

    if (n == 4 && (!strcmp(word, "write") || !strcmp(word, "pack")))
        return write_bytes(i, offset, length, byte, !strcmp(word, "pack"));
    if (n == 3 && (!strcmp(word, "zero") || !strcmp(word, "unmap")))
        return image_write_zeroes(i, offset, length, !strcmp(word, "unmap"));
    if (n == 3 && !strcmp(word, "discard"))
        return image_discard(i, offset, length);
    if (n == 1 && !strcmp(word, "flush"))
        return image_flush(i);
    if (n == 1 && !strcmp(word, "kill"))
        return raise(SIGKILL);
    return -1;
}

int main(int argc, char **argv)
{
    GError *err = NULL;
    int first = argc > 3 && !strcmp(argv[1], "-f") ? 3 : 1;
    ImageOptions o = { .who = "image-io", .file = argv[first], .format = first == 3 ? argv[2] : NULL, .discard = true };
    Image *i = argc > first ? image_open(&o, &err) : NULL;
    int status = 0;

    if (!i) {
        fprintf(stderr, "%s\n", err ? err->message : "usage: image-io [-f FORMAT] FILE COMMAND...");
        return 1;
    }
    for (int n = first + 1; n < argc && !status; n++) {
        status = run(i, argv[n]);
        if (status)
            fprintf(stderr, "image-io: %s: %s\n", argv[n], g_strerror(-status));
    }
    image_close(i);
    return status != 0;
}
