/*
 * Voices in the virtual clock's time (audio.h): which frames are due, and when the next thing happens.
 */
#include <math.h>

#include "backends/audio/backend.h"
#include "core/error.h"

/* A host that is later than this (it was busy, or a debugger held it) goes on from there; the voice stands still so long. */
#define LATE_MAX (2 * NS_PER_SECOND)
/* Frames that a guest asks to be told of nearer together than this are told together, but for as many as go into a burst. */
#define EVENT_INTERVAL INT64_C(50000)
#define EVENT_BURST INT64_C(10000000)
enum { CHUNK = 1024 };

static int64_t voice_now(const AudioVoice *v)
{
    return clock_now(v->backend->machine->clocks, MYNA_CLOCK_VIRTUAL);
}

/* The first nanosecond at which `frames` of them are due. */
static int64_t voice_time(const AudioVoice *v, uint64_t frames)
{
    uint32_t rate = v->settings.rate;
    return v->start + frames / rate * NS_PER_SECOND + (frames % rate * NS_PER_SECOND + rate - 1) / rate;
}

static uint64_t voice_due(const AudioVoice *v, int64_t now)
{
    int64_t since = now - v->start;
    uint64_t all = since > 0 ? muldiv64(since, v->settings.rate, NS_PER_SECOND) : 0;
    return all > v->frames ? all - v->frames : 0;
}

/* Whole seconds are whole frames: they go from the one to the other, and numbers stay small. */
static void voice_fold(AudioVoice *v)
{
    uint64_t seconds = v->frames / v->settings.rate;
    v->frames %= v->settings.rate;
    v->start += seconds * NS_PER_SECOND;
}

static void voice_limit_lateness(AudioVoice *v, int64_t now)
{
    voice_fold(v);
    if (now - v->start > LATE_MAX + NS_PER_SECOND)
        v->start = now - LATE_MAX;
}

static void fill_silence(const AudioSettings *s, uint8_t *frames, unsigned count)
{
    static const float nothing[2 * CHUNK];
    audio_from_float(s, nothing, count, frames);
}

static void voice_play(AudioVoice *v, unsigned count)
{
    uint8_t frames[CHUNK * AUDIO_FRAME_MAX];
    AudioSettings before = v->settings;
    unsigned size = audio_frame_size(&before), got = v->ops->transfer(v->opaque, frames, count);
    got = MIN(got, count);
    fill_silence(&before, frames + got * size, count - got);
    audio_stream_put(v, &before, frames, count);
}

static void voice_record(AudioVoice *v, unsigned count)
{
    uint8_t frames[CHUNK * AUDIO_FRAME_MAX];
    audio_stream_get(v, frames, count);
    v->ops->transfer(v->opaque, frames, count);
}

static unsigned voice_wanted(const AudioVoice *v)
{
    return v->ops->wanted ? v->ops->wanted(v->opaque) : 0;
}

/* Within transfer() the device sees itself at the time of the frame: the clock, which may be late, is not asked. */
static bool voice_transfer_due(AudioVoice *v)
{
    int64_t now = voice_now(v);
    uint64_t due;
    bool any = false;
    voice_limit_lateness(v, now);
    v->transferring = true;
    for (; v->running && (due = voice_due(v, now)); any = true) {
        unsigned wanted = voice_wanted(v), count = MIN(due, CHUNK);
        count = wanted ? MIN(count, wanted) : count;
        v->frames += count;
        if (v->ops->recording)
            voice_record(v, count);
        else
            voice_play(v, count);
        if (count == wanted)
            v->paced = CLAMP(v->paced, now - EVENT_BURST, now) + EVENT_INTERVAL;
    }
    v->transferring = false;
    voice_fold(v);
    return any;
}

void audio_voice_sync(AudioVoice *v)
{
    if (v->running && !v->transferring && voice_transfer_due(v))
        audio_schedule(v->backend);
}

void audio_voice_update(AudioVoice *v)
{
    if (v->running && !v->transferring)
        audio_schedule(v->backend);
}

/* From the present moment, or within transfer() from the frame that was transferred last. */
static void voice_begin(AudioVoice *v)
{
    v->start = v->transferring ? voice_time(v, v->frames) : voice_now(v);
    v->frames = 0;
    v->paced = v->start - EVENT_BURST;
}

void audio_voice_set(AudioVoice *v, const AudioSettings *settings)
{
    AudioSettings s = *settings;
    s.rate = CLAMP(s.rate, AUDIO_RATE_MIN, AUDIO_RATE_MAX);
    s.channels = CLAMP(s.channels, 1, AUDIO_CHANNELS_MAX);
    s.format = MIN(s.format, AUDIO_FORMAT_COUNT - 1);
    if (s.rate == v->settings.rate && s.channels == v->settings.channels && s.format == v->settings.format &&
        s.centre_first == v->settings.centre_first)
        return;
    audio_voice_sync(v);
    voice_begin(v);
    v->settings = s;
    audio_voice_update(v);
}

void audio_voice_run(AudioVoice *v, bool run)
{
    if (v->running == run)
        return;
    audio_voice_sync(v);
    if (v->running == run) /* the device has stopped it in transfer() */
        return;
    if (run)
        voice_begin(v);
    v->running = run;
    if (run)
        audio_stream_begin(v);
    else
        audio_stream_end(v);
    audio_mix_update(v->backend);
    audio_schedule(v->backend);
}

void audio_voice_set_volume(AudioVoice *v, unsigned left, unsigned right)
{
    audio_stream_set_volume(v, (float)left / AUDIO_VOLUME_FULL, (float)right / AUDIO_VOLUME_FULL);
}

unsigned audio_volume_from_attenuation(int quarter_decibels)
{
    enum { NOTHING = 96 * 4, MOST = -24 * 4 };
    return quarter_decibels >= NOTHING ? 0 : lrint(AUDIO_VOLUME_FULL * pow(10, MAX(quarter_decibels, MOST) / -80.0));
}

gboolean audio_voice_restored(AudioVoice *v, GError **err)
{
    const AudioSettings *s = &v->settings;
    if (s->rate < AUDIO_RATE_MIN || s->rate > AUDIO_RATE_MAX || s->format >= AUDIO_FORMAT_COUNT || !s->channels ||
        s->channels > AUDIO_CHANNELS_MAX || v->frames > AUDIO_RATE_MAX || v->start < 0 || v->start > voice_now(v) ||
        v->paced < -EVENT_BURST || v->paced > voice_now(v) + EVENT_INTERVAL)
        return error_set(err, "voice '%s': its saved state is not one of a voice", v->name);
    audio_stream_end(v);
    audio_mix_rebase(v->backend);
    if (v->running)
        audio_stream_begin(v);
    audio_mix_update(v->backend);
    v->backend->restored = true;
    timer_arm(v->backend->timer, voice_now(v));
    return TRUE;
}

/* ---- the timer ---- */

void audio_schedule(AudioBackend *a)
{
    int64_t next = audio_mix_next(a);
    for (unsigned i = 0; i < a->voices->len; i++) {
        AudioVoice *v = a->voices->pdata[i];
        unsigned wanted = v->running && !v->transferring ? voice_wanted(v) : 0;
        if (wanted)
            next = MIN(next, MAX(voice_time(v, v->frames + wanted), v->paced));
    }
    if (next == INT64_MAX)
        timer_cancel(a->timer);
    else if (!timer_armed(a->timer) || timer_deadline(a->timer) != next)
        timer_arm(a->timer, next);
}

/* Voices do not come or go meanwhile: devices are added and removed by nobody's transfer(). */
void audio_timer_fired(void *opaque)
{
    AudioBackend *a = opaque;
    int64_t now = clock_now(a->machine->clocks, MYNA_CLOCK_VIRTUAL);
    if (a->restored) { /* other devices were not yet restored, and could not be asked */
        a->restored = false;
        audio_schedule(a);
        return;
    }
    for (unsigned i = 0; i < a->voices->len; i++) {
        AudioVoice *v = a->voices->pdata[i];
        if (v->running && !v->transferring)
            voice_transfer_due(v);
    }
    audio_mix(a, now);
    audio_schedule(a);
}

/* ---- its life ---- */

void audio_voice_init(AudioVoice *v, Machine *m, AudioBackend *a, const char *name, const AudioVoiceOps *ops, void *opaque)
{
    v->backend = audio_or_default(m, a);
    v->ops = ops;
    v->opaque = opaque;
    v->name = name;
    v->settings = (AudioSettings){.rate = 48000, .format = AUDIO_S16, .channels = 2};
    v->stream = audio_stream_new(ops->recording);
    g_ptr_array_add(v->backend->voices, v);
}

void audio_voice_exit(AudioVoice *v)
{
    AudioBackend *a = v->backend;
    v->running = false;
    g_ptr_array_remove(a->voices, v);
    audio_stream_free(v->stream);
    v->stream = NULL;
    audio_mix_update(a);
    audio_schedule(a);
    audio_let_go(a);
}

static const StateField settings_state[] = {
    STATE_U32(AudioSettings, rate), STATE_U8(AudioSettings, format), STATE_U8(AudioSettings, channels),
    STATE_BOOL(AudioSettings, centre_first), STATE_END
};

const StateField audio_voice_state[] = {
    STATE_BOOL(AudioVoice, running), STATE_STRUCT(AudioVoice, settings, settings_state), STATE_U64(AudioVoice, start),
    STATE_U64(AudioVoice, frames), STATE_U64(AudioVoice, paced), STATE_END
};
