/*
 * SDL 2's audio device.
 *
 * The mixer writes in the virtual clock's time, the device reads in its own; a ring lies between.  It is kept near the
 * wanted length by leaving out or repeating one frame now and then (at most one in FRAMES_PER_STEP: 0.2%), which follows
 * the drift of the two clocks.  What the device does not find is an underrun: it is counted and silent, and the ring is
 * first filled again.  While nothing plays, or the machine is paused, the device is silent and nothing is counted.
 */
#include "backends/audio/backend.h"
#include "config.h"

#ifdef CONFIG_SDL2

#include <SDL.h>
#include <inttypes.h>
#include <string.h>

#include "core/error.h"

enum { DEFAULT_LATENCY = 60000, LATENCY_MIN = 20000, LATENCY_MAX = 1000000, FRAMES_PER_STEP = 512, SAMPLES = 2 };

typedef struct SdlOptions {
    AudioOptions common;
    unsigned latency;        /* microseconds */
} SdlOptions;

static const OptionField sdl_fields[] = {
    AUDIO_OPTIONS_FIELDS(SdlOptions), OPTION_FIELD(SdlOptions, latency, "out.buffer-length", OPTION_UNSIGNED),
    OPTION_FIELD_END,
};

/* Frames on their way from one thread to the other; guarded by SDL_LockAudioDevice(). */
typedef struct Ring {
    int16_t *frames;
    unsigned size, head, count; /* head: the oldest */
} Ring;

typedef struct Sdl {
    SDL_AudioDeviceID output, input; /* 0: none */
    Ring playing, recorded;
    unsigned wanted;         /* frames in the ring that plays */
    bool active, filling;    /* filling: the device is silent until there are `wanted` */
    uint64_t underruns, missed, dropped; /* times, frames, frames */
    unsigned since_step;
} Sdl;

static void ring_make(Ring *r, unsigned size)
{
    r->frames = g_new0(int16_t, SAMPLES * size);
    r->size = size;
}

static void ring_put(Ring *r, const int16_t *frame)
{
    unsigned at = (r->head + r->count) % r->size;
    if (r->count == r->size)
        return;
    memcpy(r->frames + SAMPLES * at, frame, SAMPLES * sizeof *frame);
    r->count++;
}

static unsigned ring_take(Ring *r, int16_t *frames, unsigned count)
{
    unsigned taken = MIN(count, r->count);
    for (unsigned i = 0; i < taken; i++, r->head = (r->head + 1) % r->size)
        memcpy(frames + SAMPLES * i, r->frames + SAMPLES * r->head, SAMPLES * sizeof *frames);
    r->count -= taken;
    return taken;
}

/* SDL's threads. */
static void output_wanted(void *opaque, Uint8 *stream, int bytes)
{
    Sdl *s = opaque;
    unsigned count = bytes / (SAMPLES * sizeof(int16_t)), got = 0;
    memset(stream, 0, bytes);
    if (s->filling && s->playing.count < s->wanted && s->active)
        return;
    s->filling = false;
    got = ring_take(&s->playing, (int16_t *)(void *)stream, count);
    if (got == count || !s->active)
        return;
    s->underruns++;
    s->missed += count - got;
    s->filling = true;
}

static void input_there(void *opaque, Uint8 *stream, int bytes)
{
    Sdl *s = opaque;
    const int16_t *frames = (const int16_t *)(void *)stream;
    for (unsigned i = 0; i < bytes / (SAMPLES * sizeof(int16_t)); i++)
        ring_put(&s->recorded, frames + SAMPLES * i);
}

/* How often this frame goes into the ring: 0, 1 or 2 times. */
static unsigned steps(Sdl *s)
{
    unsigned margin = s->wanted / 4;
    if (++s->since_step < FRAMES_PER_STEP || s->filling)
        return 1;
    if (s->playing.count > s->wanted + margin || s->playing.count + margin < s->wanted) {
        s->since_step = 0;
        return s->playing.count > s->wanted ? 0 : 2;
    }
    return 1;
}

static void sdl_write(AudioBackend *a, const int16_t *frames, unsigned count)
{
    Sdl *s = a->state;
    SDL_LockAudioDevice(s->output);
    for (unsigned i = 0; i < count; i++) {
        if (s->playing.count == s->playing.size)
            s->dropped++;
        for (unsigned n = steps(s); n; n--)
            ring_put(&s->playing, frames + SAMPLES * i);
    }
    SDL_UnlockAudioDevice(s->output);
}

static void sdl_set_active(AudioBackend *a, bool active)
{
    Sdl *s = a->state;
    SDL_LockAudioDevice(s->output);
    s->active = active;
    s->filling = s->filling || active;
    SDL_UnlockAudioDevice(s->output);
    SDL_PauseAudioDevice(s->output, 0);
}

static unsigned sdl_read(AudioBackend *a, int16_t *frames, unsigned count)
{
    Sdl *s = a->state;
    if (!s->input)
        return 0;
    SDL_LockAudioDevice(s->input);
    unsigned got = ring_take(&s->recorded, frames, count);
    SDL_UnlockAudioDevice(s->input);
    return got;
}

static SDL_AudioDeviceID device_open(AudioBackend *a, bool recording, SDL_AudioCallback callback)
{
    SDL_AudioSpec wanted = {.freq = a->rate, .format = AUDIO_S16SYS, .channels = SAMPLES, .samples = 512,
                            .callback = callback, .userdata = a->state};
    return SDL_OpenAudioDevice(NULL, recording, &wanted, NULL, 0);
}

/* A host without a microphone records silence. */
static void sdl_set_recording(AudioBackend *a, bool recording)
{
    Sdl *s = a->state;
    if (recording && !s->input)
        s->input = device_open(a, true, input_there);
    if (!s->input)
        return;
    SDL_LockAudioDevice(s->input);
    s->recorded.count = 0;
    SDL_UnlockAudioDevice(s->input);
    SDL_PauseAudioDevice(s->input, !recording);
}

static gboolean sdl_open(AudioBackend *a, const void *settings, GError **err)
{
    const SdlOptions *o = settings;
    unsigned latency = o->latency ? o->latency : DEFAULT_LATENCY;
    if (latency < LATENCY_MIN || latency > LATENCY_MAX)
        return error_set(err, "-audiodev sdl: out.buffer-length takes %d to %d microseconds, not %u", LATENCY_MIN, LATENCY_MAX,
                         latency);
    if (SDL_InitSubSystem(SDL_INIT_AUDIO) < 0)
        return error_set(err, "-audiodev sdl: %s; -audiodev none plays nothing", SDL_GetError());
    Sdl *s = g_new0(Sdl, 1);
    a->state = s;
    s->wanted = (uint64_t)latency * a->rate / 1000000;
    ring_make(&s->playing, 4 * s->wanted);
    ring_make(&s->recorded, 4 * s->wanted);
    s->output = device_open(a, false, output_wanted);
    return s->output || error_set(err, "-audiodev sdl: %s; -audiodev none plays nothing", SDL_GetError());
}

static void sdl_close(AudioBackend *a)
{
    Sdl *s = a->state;
    if (!s)
        return;
    if (s->output)
        SDL_CloseAudioDevice(s->output);
    if (s->input)
        SDL_CloseAudioDevice(s->input);
    SDL_QuitSubSystem(SDL_INIT_AUDIO);
    g_free(s->playing.frames);
    g_free(s->recorded.frames);
    g_free(s);
}

static void sdl_describe(const AudioBackend *a, GString *out)
{
    const Sdl *s = a->state;
    g_string_append_printf(out, ", %s, %u ms\n  underruns %" PRIu64 " (%" PRIu64 " frames missed), %" PRIu64 " frames dropped",
                           SDL_GetCurrentAudioDriver(), s->wanted * 1000 / a->rate, s->underruns, s->missed, s->dropped);
}

const AudioKind audio_kind_sdl = {
    .name = "sdl", .help = "the host's sound, by SDL (out.buffer-length=MICROSECONDS)", .settings_size = sizeof(SdlOptions),
    .fields = sdl_fields, .open = sdl_open, .close = sdl_close, .write = sdl_write, .set_active = sdl_set_active,
    .read = sdl_read, .set_recording = sdl_set_recording, .describe = sdl_describe,
};

#else

const AudioKind audio_kind_sdl = {
    .name = "sdl", .help = "the host's sound: not built in, as configure did not find SDL 2 (Debian: libsdl2-dev)",
};

#endif
