/* AVI files (avi.h): RIFF 'AVI ' { LIST hdrl { avih, LIST strl { strh, strf } }, LIST movi { 00dc... }, idx1 }. */
#include "ui/avi.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "util/endian.h"

enum { CHUNK = 8, LIST = 12, MAIN_SIZE = 56, STREAM_SIZE = 56, FORMAT_SIZE = 40, INDEX_ENTRY = 16 };
enum { STREAM_LIST = LIST + CHUNK + STREAM_SIZE + CHUNK + FORMAT_SIZE,
       HEADER_LIST = LIST + CHUNK + MAIN_SIZE + STREAM_LIST, MOVIE = LIST + HEADER_LIST, HEADER_SIZE = MOVIE + LIST };
enum { HAS_INDEX = 0x10, KEY_FRAME = 0x10 };
#define SIZE_LIMIT INT64_C(0x7f000000) /* many readers take sizes as signed 32-bit numbers */

struct Avi {
    FILE *file;
    char *path;
    int64_t size;
    GByteArray *index;
    uint8_t header[HEADER_SIZE];
    uint32_t largest;
    int failure; /* errno; 0: none */
};

static uint8_t *put_chunk(uint8_t *at, const char *type, uint32_t size)
{
    memcpy(at, type, 4);
    st32le(at + 4, size);
    return at + CHUNK;
}

static uint8_t *put_list(uint8_t *at, const char *type, uint32_t whole, const char *form)
{
    put_chunk(at, type, whole - CHUNK);
    memcpy(at + CHUNK, form, 4);
    return at + LIST;
}

/* "avih"; what depends on the frames is put by avi_close(). */
static uint8_t *put_main(uint8_t *at, unsigned width, unsigned height, unsigned rate)
{
    at = put_chunk(at, "avih", MAIN_SIZE);
    st32le(at, 1000000 / rate); /* microseconds for each frame */
    st32le(at + 12, HAS_INDEX);
    st32le(at + 24, 1);         /* streams */
    st32le(at + 32, width);
    st32le(at + 36, height);
    return at + MAIN_SIZE;
}

static uint8_t *put_stream(uint8_t *at, const char *codec, unsigned width, unsigned height, unsigned rate)
{
    at = put_chunk(at, "strh", STREAM_SIZE);
    memcpy(at, "vids", 4);
    memcpy(at + 4, codec, 4);
    st32le(at + 20, 1);          /* scale: the rate is rate / scale */
    st32le(at + 24, rate);
    st32le(at + 40, UINT32_MAX); /* quality: any */
    st16le(at + 52, width);
    st16le(at + 54, height);
    at = put_chunk(at + STREAM_SIZE, "strf", FORMAT_SIZE);
    st32le(at, FORMAT_SIZE);     /* BITMAPINFOHEADER */
    st32le(at + 4, width);
    st32le(at + 8, height);
    st16le(at + 12, 1);          /* planes */
    st16le(at + 14, 24);         /* bits a dot */
    memcpy(at + 16, codec, 4);
    st32le(at + 20, width * height * 3);
    return at + FORMAT_SIZE;
}

static bool put(Avi *a, const void *data, size_t size)
{
    if (!a->failure && size && fwrite(data, 1, size, a->file) != size)
        a->failure = errno;
    a->size += size;
    return !a->failure;
}

Avi *avi_create(const char *path, const char *codec, unsigned width, unsigned height, unsigned rate, GError **err)
{
    FILE *file = g_fopen(path, "wb");
    if (!file) {
        error_set(err, "cannot create '%s': %s", path, g_strerror(errno));
        return NULL;
    }
    Avi *a = g_new0(Avi, 1);
    *a = (Avi){ .file = file, .path = g_strdup(path), .index = g_byte_array_new() };
    uint8_t *at = put_list(a->header, "RIFF", 0, "AVI ");
    at = put_main(put_list(at, "LIST", HEADER_LIST, "hdrl"), width, height, rate);
    at = put_stream(put_list(at, "LIST", STREAM_LIST, "strl"), codec, width, height, rate);
    put_list(at, "LIST", 0, "movi");
    put(a, a->header, sizeof a->header);
    return a;
}

bool avi_frame(Avi *a, const uint8_t *data, uint32_t size)
{
    static const uint8_t zero[1] = { 0 };
    uint8_t head[CHUNK], entry[INDEX_ENTRY];
    if (a->size + size + a->index->len + 64 > SIZE_LIMIT)
        return false;
    put_chunk(entry, "00dc", KEY_FRAME);
    st32le(entry + 8, a->size - MOVIE - CHUNK); /* from the list's form on */
    st32le(entry + 12, size);
    g_byte_array_append(a->index, entry, sizeof entry);
    put_chunk(head, "00dc", size);
    put(a, head, sizeof head);
    put(a, data, size);
    a->largest = MAX(a->largest, size);
    return put(a, zero, size & 1); /* chunks begin at even places */
}

/* The numbers that are known at the end only. */
static void complete(Avi *a)
{
    uint8_t head[CHUNK];
    uint32_t frames = a->index->len / INDEX_ENTRY;
    enum { AVIH = LIST + LIST + CHUNK, STRH = AVIH + MAIN_SIZE + LIST + CHUNK };
    st32le(a->header + MOVIE + 4, a->size - MOVIE - CHUNK);
    put_chunk(head, "idx1", a->index->len);
    put(a, head, sizeof head);
    put(a, a->index->data, a->index->len);
    st32le(a->header + 4, a->size - CHUNK);
    st32le(a->header + AVIH + 16, frames);
    st32le(a->header + AVIH + 28, a->largest);
    st32le(a->header + STRH + 32, frames);
    st32le(a->header + STRH + 36, a->largest);
    if (!a->failure && fseek(a->file, 0, SEEK_SET))
        a->failure = errno;
    put(a, a->header, sizeof a->header);
}

gboolean avi_close(Avi *a, GError **err)
{
    complete(a);
    if (fclose(a->file) && !a->failure)
        a->failure = errno;
    int failure = a->failure;
    if (failure)
        error_set(err, "cannot write '%s': %s", a->path, g_strerror(failure));
    g_byte_array_unref(a->index);
    g_free(a->path);
    g_free(a);
    return !failure;
}
