/*
 * Change of rate: band-limited interpolation (J. O. Smith, "Digital Audio Resampling", CCRMA) by a sinc under a Kaiser
 * window, in a table of PHASES positions between two input frames, linear between these.  Towards a lower rate the
 * filter is stretched, so that what the lower rate cannot hold is gone before.
 */
#include <math.h>
#include <string.h>

#include "backends/audio/backend.h"

enum { PHASES = 256, TAPS = 32, TAPS_MAX = 256 };
#define PASS_BAND 0.92        /* of half the lower rate */
#define KAISER_BETA 8.0       /* 80 dB */

/* The modified Bessel function of the first kind and order 0, by its series. */
static double bessel_i0(double x)
{
    double sum = 1, term = 1;
    for (unsigned k = 1; term > 1e-9 * sum; k++) {
        term *= x / (2 * k) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

/* The filter's value `x` input frames from its middle. */
static double filter_value(double x, double cutoff, double half_width)
{
    double edge = x / half_width, angle = G_PI * x * cutoff;
    if (fabs(edge) >= 1)
        return 0;
    double sinc = fabs(angle) < 1e-9 ? 1 : sin(angle) / angle;
    return cutoff * sinc * bessel_i0(KAISER_BETA * sqrt(1 - edge * edge)) / bessel_i0(KAISER_BETA);
}

/* Each phase adds up to 1, so that silence at any level stays where it is. */
static void phase_normalise(float *phase, unsigned taps)
{
    double sum = 0;
    for (unsigned i = 0; i < taps; i++)
        sum += phase[i];
    for (unsigned i = 0; i < taps; i++)
        phase[i] /= sum;
}

static void filter_make(Resampler *r)
{
    double cutoff = PASS_BAND * MIN(1.0, (double)r->to / r->from);
    r->filter = g_new(float, (PHASES + 1) * r->taps);
    for (unsigned p = 0; p <= PHASES; p++) {
        float *phase = r->filter + p * r->taps;
        for (unsigned i = 0; i < r->taps; i++)
            phase[i] = filter_value(i - (r->taps / 2 - 1.0) - (double)p / PHASES, cutoff, r->taps / 2.0);
        phase_normalise(phase, r->taps);
    }
}

void resampler_set(Resampler *r, uint32_t from, uint32_t to)
{
    if (r->from == from && r->to == to)
        return;
    resampler_clear(r);
    r->from = from;
    r->to = to;
    r->taps = from == to ? 1 : from < to ? TAPS : MIN(TAPS_MAX, TAPS * ((from + to - 1) / to));
    if (from != to)
        filter_make(r);
}

void resampler_clear(Resampler *r)
{
    g_free(r->filter);
    memset(r, 0, sizeof *r);
}

static void frame_make(const Resampler *r, const float *in, float result[2])
{
    float place = (float)r->fraction * PHASES / r->to;
    unsigned p = MIN((unsigned)place, PHASES - 1);
    const float *phase = r->filter + p * r->taps, *next = phase + r->taps;
    float x = place - p, left = 0, right = 0;
    for (unsigned i = 0; i < r->taps; i++) {
        float c = phase[i] + (next[i] - phase[i]) * x;
        left += c * in[2 * i];
        right += c * in[2 * i + 1];
    }
    result[0] = left;
    result[1] = right;
}

unsigned resampler_mix(Resampler *r, const float *in, unsigned in_count, unsigned *used, float *out, unsigned count)
{
    unsigned at = 0, made = 0;
    for (; made < count && at + r->taps <= in_count; made++) {
        float frame[2];
        if (r->filter)
            frame_make(r, in + 2 * at, frame);
        else
            memcpy(frame, in + 2 * at, sizeof frame);
        out[2 * made] += frame[0];
        out[2 * made + 1] += frame[1];
        uint64_t next = (uint64_t)r->fraction + r->from;
        at += next / r->to;
        r->fraction = next % r->to;
    }
    *used = MIN(at, in_count);
    return made;
}
