/*
 * Formats of samples: a voice's frames to stereo floats of -1..1, and back.
 *
 * More than two channels are mixed down as ITU-R BS.775 does, table 2: centre and surround by 0.7071, low frequencies left
 * out.
 */
#include <math.h>

#include "backends/audio/backend.h"
#include "util/endian.h"

typedef struct Format {
    uint8_t bytes, bits;
    bool is_unsigned;
} Format;

static const Format formats[AUDIO_FORMAT_COUNT] = {
    [AUDIO_U8] = {1, 8, true},    [AUDIO_S8] = {1, 8, false},   [AUDIO_U16] = {2, 16, true}, [AUDIO_S16] = {2, 16, false},
    [AUDIO_S20] = {4, 20, false}, [AUDIO_S24] = {4, 24, false}, [AUDIO_S32] = {4, 32, false},
};

unsigned audio_frame_size(const AudioSettings *s)
{
    return formats[s->format % AUDIO_FORMAT_COUNT].bytes * s->channels;
}

/* The sample's bits at the top of a word, signed. */
static float sample_get(const Format *f, const uint8_t *p)
{
    uint32_t v = f->bytes == 1 ? p[0] : f->bytes == 2 ? ld16le(p) : ld32le(p);
    v <<= 32 - f->bits;
    if (f->is_unsigned)
        v ^= 0x80000000u;
    return (int32_t)v * (1.0f / 2147483648.0f);
}

static void sample_put(const Format *f, float x, uint8_t *p)
{
    double scaled = floor(x * (double)(UINT64_C(1) << (f->bits - 1)) + 0.5), limit = UINT64_C(1) << (f->bits - 1);
    uint32_t v = (uint32_t)(int64_t)(scaled >= limit ? limit - 1 : scaled < -limit ? -limit : scaled);
    if (f->is_unsigned)
        v ^= 1u << (f->bits - 1);
    if (f->bytes == 1)
        p[0] = v;
    else if (f->bytes == 2)
        st16le(p, v);
    else
        st32le(p, v);
}

/* What a channel adds to left and right. */
typedef struct Gain {
    float left, right;
} Gain;

#define HALF_POWER 0.70710678f
static const Gain front_left = {1, 0}, front_right = {0, 1}, middle = {HALF_POWER, HALF_POWER}, low = {0, 0},
                  left_behind = {HALF_POWER, 0}, right_behind = {0, HALF_POWER};

/* Channel 2 and on; three channels are a pair and the centre, in both orders. */
static const Gain *const rear_pair_first[] = {&left_behind, &right_behind, &middle, &low, &left_behind, &right_behind};
static const Gain *const centre_first[] = {&middle, &low, &left_behind, &right_behind, &left_behind, &right_behind};

static const Gain *channel_gain(const AudioSettings *s, unsigned channel)
{
    if (channel < 2)
        return channel ? &front_right : &front_left;
    if (s->channels == 3)
        return &middle;
    if (s->channels == 4) /* a pair in front and one behind, always */
        return channel == 2 ? &left_behind : &right_behind;
    return (s->centre_first ? centre_first : rear_pair_first)[channel - 2];
}

void audio_to_float(const AudioSettings *s, const uint8_t *frames, unsigned count, float *out)
{
    const Format *f = &formats[s->format];
    for (unsigned i = 0; i < count; i++, out += 2) {
        out[0] = sample_get(f, frames);
        out[1] = s->channels > 1 ? sample_get(f, frames + f->bytes) : out[0];
        for (unsigned c = 2; c < s->channels; c++) {
            const Gain *gain = channel_gain(s, c);
            float x = sample_get(f, frames + c * f->bytes);
            out[0] += gain->left * x;
            out[1] += gain->right * x;
        }
        frames += f->bytes * s->channels;
    }
}

/* One channel gets the mean of both; those behind the second get nothing. */
void audio_from_float(const AudioSettings *s, const float *in, unsigned count, uint8_t *frames)
{
    const Format *f = &formats[s->format];
    for (unsigned i = 0; i < count; i++, in += 2) {
        for (unsigned c = 0; c < s->channels; c++, frames += f->bytes)
            sample_put(f, s->channels == 1 ? (in[0] + in[1]) / 2 : c < 2 ? in[c] : 0, frames);
    }
}

void audio_to_s16(const float *in, unsigned samples, int16_t *out)
{
    for (unsigned i = 0; i < samples; i++) {
        float x = floorf(in[i] * 32768.0f + 0.5f);
        out[i] = x > 32767.0f ? 32767 : x < -32768.0f ? -32768 : (int16_t)x;
    }
}
