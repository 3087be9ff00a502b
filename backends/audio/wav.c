/*
 * A WAV file (Microsoft/IBM, "Multimedia Programming Interface and Data Specifications 1.0", chapter 3).
 *
 * Frame n of the file is what sounds n / rate seconds after the machine's start, also while nothing plays: that is a hole
 * in the file, which takes no room.  The header is made good each second, so that a file is whole but for the last second
 * whatever ends the emulator.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/audio/backend.h"
#include "core/error.h"
#include "core/log.h"
#include "util/endian.h"

enum { HEADER_SIZE = 44, SAMPLE_SIZE = 2 };
#define DATA_MAX (UINT32_MAX - HEADER_SIZE - 4)

typedef struct WavOptions {
    AudioOptions common;
    char *path;
} WavOptions;

static const OptionField wav_fields[] = {
    AUDIO_OPTIONS_FIELDS(WavOptions), OPTION_FIELD_IGNORED("out.buffer-length"),
    OPTION_FIELD(WavOptions, path, "path", OPTION_STRING), OPTION_FIELD_END,
};

typedef struct Wav {
    int fd;
    char *path;
    unsigned channels;
    uint64_t size;           /* bytes of data */
    uint64_t said;           /* in the header */
    bool full;               /* no more is written: no room, or the format's end */
} Wav;

static void wav_fail(Wav *w, const char *why)
{
    log_user("sound file '%s': %s; it ends here", w->path, why);
    w->full = true;
}

static void wav_put(Wav *w, uint64_t offset, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    while (size && !w->full) {
        ssize_t n = pwrite(w->fd, p, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            wav_fail(w, n < 0 ? g_strerror(errno) : "nothing is written");
            return;
        }
        p += n;
        offset += n;
        size -= n;
    }
}

static void wav_write_header(AudioBackend *a)
{
    Wav *w = a->state;
    uint8_t h[HEADER_SIZE] = "RIFF\0\0\0\0WAVEfmt ";
    unsigned frame = SAMPLE_SIZE * w->channels;
    st32le(h + 4, w->size + HEADER_SIZE - 8);
    st32le(h + 16, 16);               /* bytes of the format */
    st16le(h + 20, 1);                /* WAVE_FORMAT_PCM */
    st16le(h + 22, w->channels);
    st32le(h + 24, a->rate);
    st32le(h + 28, a->rate * frame);
    st16le(h + 32, frame);
    st16le(h + 34, 8 * SAMPLE_SIZE);
    memcpy(h + 36, "data", 4);
    st32le(h + 40, w->size);
    wav_put(w, 0, h, sizeof h);
    w->said = w->size;
}

/* So many bytes are there now. */
static void wav_grow(AudioBackend *a, uint64_t bytes)
{
    Wav *w = a->state;
    w->size += bytes;
    if (w->size - w->said >= (uint64_t)a->rate * SAMPLE_SIZE * w->channels)
        wav_write_header(a);
}

static uint64_t wav_room(AudioBackend *a, uint64_t bytes)
{
    Wav *w = a->state;
    if (!w->full && w->size + bytes > DATA_MAX)
        wav_fail(w, "a WAV file holds 4 GiB");
    return w->full ? 0 : bytes;
}

static void wav_write(AudioBackend *a, const int16_t *frames, unsigned count)
{
    Wav *w = a->state;
    g_autofree uint8_t *bytes = g_malloc(count * w->channels * SAMPLE_SIZE);
    unsigned samples = count * w->channels;
    for (unsigned i = 0; i < samples; i++)
        st16le(bytes + SAMPLE_SIZE * i, w->channels == 2 ? frames[i] : (frames[2 * i] + frames[2 * i + 1]) / 2);
    if (!wav_room(a, SAMPLE_SIZE * samples))
        return;
    wav_put(w, HEADER_SIZE + w->size, bytes, SAMPLE_SIZE * samples);
    wav_grow(a, SAMPLE_SIZE * samples);
}

static void wav_silence(AudioBackend *a, uint64_t count)
{
    Wav *w = a->state;
    uint64_t bytes = count * w->channels * SAMPLE_SIZE;
    if (!wav_room(a, bytes))
        return;
    if (ftruncate(w->fd, HEADER_SIZE + w->size + bytes) < 0)
        wav_fail(w, g_strerror(errno));
    else
        wav_grow(a, bytes);
}

static gboolean wav_open(AudioBackend *a, const void *settings, GError **err)
{
    const WavOptions *o = settings;
    const char *path = o->path ? o->path : "myna.wav";
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set(err, "-audiodev wav: cannot write '%s': %s", path, g_strerror(errno));
    Wav *w = g_new0(Wav, 1);
    w->fd = fd;
    w->path = g_strdup(path);
    w->channels = o->common.channels ? o->common.channels : 2;
    a->state = w;
    wav_write_header(a);
    return TRUE;
}

static void wav_close(AudioBackend *a)
{
    Wav *w = a->state;
    if (!w)
        return;
    wav_write_header(a);
    close(w->fd);
    g_free(w->path);
    g_free(w);
}

static void wav_describe(const AudioBackend *a, GString *out)
{
    const Wav *w = a->state;
    g_string_append_printf(out, ", path=%s, %.1f s", w->path,
                           (double)w->size / (SAMPLE_SIZE * w->channels) / a->rate);
}

const AudioKind audio_kind_wav = {
    .name = "wav", .help = "a file (path=FILE, out.frequency=HZ, out.channels=1|2)", .settings_size = sizeof(WavOptions),
    .fields = wav_fields, .open = wav_open, .close = wav_close, .write = wav_write, .silence = wav_silence,
    .describe = wav_describe,
};
