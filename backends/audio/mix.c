/*
 * From the voices' frames to the driver's: each voice's stream is resampled and added, and the sum is saturated.
 *
 * A stream's output lags behind its input by the resampler's filter, so that output frames that are due always have
 * the input they need.  A stream that starts is given so much silence beforehand.
 */
#include <string.h>

#include "backends/audio/backend.h"

enum { BLOCK = 1024, WAITING_MAX = 4 * AUDIO_RATE_MAX };
enum { RECORDED_MAX = 48000 }; /* frames that nobody has fetched are dropped, the oldest first */

struct AudioStream {
    bool recording, ending;
    float gain[2];
    Resampler resampler;
    GArray *waiting;         /* float, two each frame */
    uint64_t missed;         /* frames that were due and not there */
};

AudioStream *audio_stream_new(bool recording)
{
    AudioStream *s = g_new0(AudioStream, 1);
    s->recording = recording;
    s->gain[0] = s->gain[1] = 1;
    s->waiting = g_array_new(FALSE, TRUE, sizeof(float));
    return s;
}

void audio_stream_free(AudioStream *s)
{
    if (!s)
        return;
    resampler_clear(&s->resampler);
    g_array_unref(s->waiting);
    g_free(s);
}

void audio_stream_set_volume(AudioVoice *v, float left, float right)
{
    v->stream->gain[0] = left;
    v->stream->gain[1] = right;
}

uint64_t audio_stream_missed(const AudioVoice *v)
{
    return v->stream->missed;
}

static unsigned stream_count(const AudioStream *s)
{
    return s->waiting->len / 2;
}

static void stream_drop(AudioStream *s, unsigned frames)
{
    g_array_remove_range(s->waiting, 0, 2 * MIN(frames, stream_count(s)));
}

/* The last frame again, or silence: as a converter does that gets no more. */
static void stream_hold(AudioStream *s, unsigned frames)
{
    float last[2] = {0};
    if (s->waiting->len)
        memcpy(last, &g_array_index(s->waiting, float, s->waiting->len - 2), sizeof last);
    for (unsigned i = 0; i < frames; i++)
        g_array_append_vals(s->waiting, last, 2);
}

/* ---- time ---- */

static uint64_t output_at(const AudioBackend *a, int64_t time)
{
    return muldiv64(time, a->rate, NS_PER_SECOND);
}

static uint64_t output_now(const AudioBackend *a)
{
    return output_at(a, clock_now(a->machine->clocks, MYNA_CLOCK_VIRTUAL));
}

/* A clock that was set back has nothing due. */
static uint64_t output_due(const AudioBackend *a)
{
    uint64_t now = output_now(a);
    return now > a->done ? now - a->done : 0;
}

/* Nothing is made of what the driver does not want. */
static bool is_discarded(const AudioVoice *v)
{
    return !v->stream->recording && !v->backend->kind->write;
}

void audio_mix_rebase(AudioBackend *a)
{
    a->done = output_now(a);
}

int64_t audio_mix_next(const AudioBackend *a)
{
    if (!a->active && !a->recording)
        return INT64_MAX;
    return (clock_now(a->machine->clocks, MYNA_CLOCK_VIRTUAL) / a->period + 1) * a->period;
}

/* ---- playing ---- */

/* What must wait at least, so that the output that is due has it. */
static unsigned stream_lag(const AudioVoice *v)
{
    const Resampler *r = &v->stream->resampler;
    return r->taps + (r->from + r->to - 1) / r->to;
}

/* A stream that has ended only just goes on: the time between is filled up. */
void audio_stream_begin(AudioVoice *v)
{
    AudioStream *s = v->stream;
    AudioBackend *a = v->backend;
    s->ending = false;
    if (s->recording || is_discarded(v))
        return;
    resampler_set(&s->resampler, v->settings.rate, a->rate);
    uint64_t needed = stream_lag(v) + (a->active ? MIN(output_due(a), a->rate) * v->settings.rate / a->rate : 0);
    if (stream_count(s) < needed)
        stream_hold(s, needed - stream_count(s));
}

void audio_stream_end(AudioVoice *v)
{
    v->stream->ending = true;
    if (v->stream->recording)
        g_array_set_size(v->stream->waiting, 0);
}

void audio_stream_put(AudioVoice *v, const AudioSettings *as, const uint8_t *frames, unsigned count)
{
    AudioStream *s = v->stream;
    unsigned before = s->waiting->len;
    if (is_discarded(v) || stream_count(s) + count > WAITING_MAX)
        return;
    g_array_set_size(s->waiting, before + 2 * count);
    float *out = &g_array_index(s->waiting, float, before);
    audio_to_float(as, frames, count, out);
    for (unsigned i = 0; i < 2 * count; i++)
        out[i] *= s->gain[i & 1];
}

/* The rest of a stream that has ended is heard, and then it is empty. */
static void stream_finish(AudioStream *s, unsigned taps)
{
    static const float nothing[2];
    if (!s->ending)
        return;
    for (unsigned i = 0; i < taps; i++)
        g_array_append_vals(s->waiting, nothing, 2);
}

static void stream_mix(AudioVoice *v, float *out, unsigned count)
{
    AudioStream *s = v->stream;
    unsigned used, made;
    if (s->recording || is_discarded(v) || (!v->running && !stream_count(s)))
        return;
    resampler_set(&s->resampler, v->settings.rate, v->backend->rate);
    for (unsigned round = 0; count && round < 2; round++) {
        made = resampler_mix(&s->resampler, &g_array_index(s->waiting, float, 0), stream_count(s), &used, out, count);
        stream_drop(s, used);
        out += 2 * made;
        count -= made;
        if (count && !round)
            stream_finish(s, s->resampler.taps);
    }
    if (count && s->ending)
        g_array_set_size(s->waiting, 0);
    else
        s->missed += count;
}

static void mix_block(AudioBackend *a, unsigned count)
{
    float sum[2 * BLOCK] = {0};
    int16_t frames[2 * BLOCK];
    for (unsigned i = 0; i < a->voices->len; i++)
        stream_mix(a->voices->pdata[i], sum, count);
    audio_to_s16(sum, 2 * count, frames);
    if (a->kind->write)
        a->kind->write(a, frames, count);
}

void audio_mix(AudioBackend *a, int64_t now)
{
    uint64_t end = output_at(a, now), late_max = 2 * (uint64_t)a->rate;
    if (!a->active || end <= a->done)
        return;
    if (end - a->done > late_max) /* as voices, which are not played when they come so late */
        a->done = end - late_max;
    while (a->done < end) {
        unsigned count = MIN(end - a->done, BLOCK);
        mix_block(a, count);
        a->done += count;
    }
    audio_mix_update(a);
}

/* ---- coming and going ---- */

static bool voice_is_heard(const AudioVoice *v)
{
    return !v->stream->recording && (v->running || stream_count(v->stream));
}

static void count_voices(const AudioBackend *a, bool *playing, bool *recording)
{
    *playing = *recording = false;
    for (unsigned i = 0; i < a->voices->len; i++) {
        const AudioVoice *v = a->voices->pdata[i];
        *playing = *playing || voice_is_heard(v);
        *recording = *recording || (v->stream->recording && v->running);
    }
}

void audio_mix_skip_silence(AudioBackend *a)
{
    uint64_t due = output_due(a);
    if (due && a->kind->silence)
        a->kind->silence(a, due);
    a->done = output_now(a);
}

void audio_mix_update(AudioBackend *a)
{
    bool playing, recording, was_active = a->active;
    count_voices(a, &playing, &recording);
    if (playing && !was_active)
        audio_mix_skip_silence(a);
    a->active = playing;
    if (a->recording != recording && a->kind->set_recording)
        a->kind->set_recording(a, recording);
    a->recording = recording;
    if (a->driver_active != (playing && !a->paused) && a->kind->set_active)
        a->kind->set_active(a, playing && !a->paused);
    a->driver_active = playing && !a->paused;
}

/* ---- recording ---- */

/* What the driver has goes to all that record; false: it had nothing. */
static bool fetch_recorded(AudioBackend *a)
{
    int16_t frames[2 * BLOCK];
    float converted[2 * BLOCK];
    unsigned count = a->kind->read ? a->kind->read(a, frames, BLOCK) : 0;
    for (unsigned i = 0; i < 2 * count; i++)
        converted[i] = frames[i] / 32768.0f;
    for (unsigned i = 0; i < a->voices->len; i++) {
        AudioVoice *v = a->voices->pdata[i];
        AudioStream *s = v->stream;
        if (!s->recording || !v->running)
            continue;
        g_array_append_vals(s->waiting, converted, 2 * count);
        stream_drop(s, stream_count(s) > RECORDED_MAX ? stream_count(s) - RECORDED_MAX : 0);
    }
    return count != 0;
}

/* count is at most a BLOCK.  What is not there yet is silence. */
void audio_stream_get(AudioVoice *v, uint8_t *frames, unsigned count)
{
    AudioStream *s = v->stream;
    float result[2 * BLOCK] = {0};
    unsigned used;
    if (v->backend->kind->read) {
        for (unsigned had = 0; had < RECORDED_MAX && fetch_recorded(v->backend); had += BLOCK)
            continue;
        resampler_set(&s->resampler, v->backend->rate, v->settings.rate);
        s->missed += count - resampler_mix(&s->resampler, &g_array_index(s->waiting, float, 0), stream_count(s), &used,
                                           result, count);
        stream_drop(s, used);
    }
    audio_from_float(&v->settings, result, count, frames);
}
