/*
 * An operator of the OPL3 (opl3.h): "YMF262 Application Manual", and for the two tables and the steps of the envelope what
 * was read out of the chip itself (M. Gambrell, O. Niemitalo, "OPLx decapsulated", 2008).
 */
#include <math.h>

#include "hw/audio/opl3_internal.h"

enum { AM = 0x80, VIBRATO = 0x40, SUSTAINED = 0x20, KEY_SCALE_RATE = 0x10 };
enum { PHASE_BITS = 19, INDEX_BITS = 10, LOG_SILENCE = 0x1000, RATE_INSTANT = 60 };
/* Tremolo is a triangle of 210 steps, 64 frames each (3.7 Hz); vibrato has 8 steps of 1024 frames (6.1 Hz). */
enum { TREMOLO_STEPS = 210, TREMOLO_FRAMES = 64, VIBRATO_FRAMES = 1024 };

OplTables *opl_tables_new(void)
{
    OplTables *t = g_new(OplTables, 1);
    for (unsigned i = 0; i < 256; i++) {
        t->log_sine[i] = lrint(-log2(sin((i + 0.5) * G_PI / 512)) * 256);
        t->power[i] = lrint((exp2((255 - i) / 256.0) - 1) * 1024) + 1024;
    }
    return t;
}

/* ---- phase ---- */

/* Vibrato shifts the frequency by up to 7 or 14 cents (register BDh, DVB). */
static unsigned vibrated(const OplTone *t)
{
    unsigned step = t->counter / VIBRATO_FRAMES % 8, range = t->fnum >> 7 & 7;
    if (!(t->am_mult & VIBRATO) || !(step & 3))
        return t->fnum;
    range >>= (step & 1) + !t->deep_vibrato;
    return step & 4 ? t->fnum - range : t->fnum + range;
}

/* Factors of register 20h, doubled. */
static unsigned multiple(unsigned mult)
{
    static const uint8_t twice[16] = {1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30};
    return twice[mult & 15];
}

unsigned opl_operator_phase(OplOperator *op, const OplTone *t)
{
    unsigned index = op->phase >> (PHASE_BITS - INDEX_BITS) & ((1 << INDEX_BITS) - 1);
    uint32_t step = (vibrated(t) << t->block >> 1) * multiple(t->am_mult) >> 1;
    op->phase = (op->phase + step) & ((1 << PHASE_BITS) - 1);
    return index;
}

/* ---- envelope ---- */

/* A rate of 0..15 and the key's scaling: 0..63 (section "Rate"). */
static unsigned effective_rate(const OplTone *t, unsigned rate)
{
    unsigned scale = t->block << 1 | (t->fnum >> (t->note_select ? 8 : 9) & 1);
    return rate ? MIN(63, 4 * rate + (t->am_mult & KEY_SCALE_RATE ? scale : scale >> 2)) : 0;
}

/* By how much the envelope moves in this frame: at each 2^n-th frame, by patterns of eight such. */
static unsigned envelope_step(const OplTone *t, unsigned rate)
{
    static const uint8_t patterns[4] = {0xaa, 0xba, 0xee, 0xfe}; /* bit n: in the nth it moves, or moves twice as far */
    unsigned high = rate >> 2, low = rate & 3, shift = high < 12 ? 12 - high : 0;
    if (!rate || t->counter & ((1u << shift) - 1))
        return 0;
    unsigned more = patterns[low] >> (t->counter >> shift & 7) & 1;
    if (high <= 12)
        return more;
    if (high == 15)
        return 4;
    return low ? (1u << (high - 13)) << more : 1u << (high - 13);
}

static void envelope_fall(OplOperator *op, unsigned step, unsigned until, unsigned next)
{
    op->envelope = MIN(OPL_ENVELOPE_MAX, op->envelope + step);
    if (op->envelope >= until)
        op->stage = next;
}

static void envelope_attack(OplOperator *op, unsigned step)
{
    op->envelope -= MIN(op->envelope, ((op->envelope + 1u) * step + 7) >> 3);
    if (!op->envelope)
        op->stage = OPL_DECAY;
}

static unsigned sustain_level(const OplTone *t)
{
    unsigned level = t->sustain_release >> 4;
    return (level == 15 ? 31 : level) << 4;
}

void opl_operator_envelope(OplOperator *op, const OplTone *t)
{
    unsigned attack = t->attack_decay >> 4, decay = t->attack_decay & 15, release = t->sustain_release & 15;
    switch (op->stage) {
    case OPL_ATTACK: envelope_attack(op, envelope_step(t, effective_rate(t, attack))); break;
    case OPL_DECAY: envelope_fall(op, envelope_step(t, effective_rate(t, decay)), sustain_level(t), OPL_SUSTAIN); break;
    case OPL_SUSTAIN: /* what is not sustained is released, as if the key had gone up */
        if (!(t->am_mult & SUSTAINED))
            envelope_fall(op, envelope_step(t, effective_rate(t, release)), OPL_ENVELOPE_MAX, OPL_OFF);
        break;
    case OPL_RELEASE:
        envelope_fall(op, envelope_step(t, effective_rate(t, release)), OPL_ENVELOPE_MAX, OPL_OFF);
        break;
    }
}

void opl_operator_key(OplOperator *op, const OplTone *t, unsigned key, bool on)
{
    bool was = op->keys;
    op->keys = on ? op->keys | key : op->keys & ~key;
    if (op->keys && !was) {
        op->phase = 0;
        op->stage = OPL_ATTACK;
        if (effective_rate(t, t->attack_decay >> 4) >= RATE_INSTANT) {
            op->envelope = 0;
            op->stage = OPL_DECAY;
        }
    } else if (!op->keys && was && op->stage != OPL_OFF) {
        op->stage = OPL_RELEASE;
    }
}

/* ---- level ---- */

/* Attenuation by pitch (register 40h, KSL): in eighths of an octave's 6 dB, at block 7. */
static unsigned key_scale_level(const OplTone *t)
{
    static const uint8_t by_fnum[16] = {0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};
    static const uint8_t shifts[4] = {0, 1, 2, 0}; /* none, 3, 1.5, 6 dB an octave */
    int level = (by_fnum[t->fnum >> 6 & 15] << 2) - ((8 - t->block) << 5);
    return t->level >> 6 && level > 0 ? level >> shifts[t->level >> 6] : 0;
}

static unsigned tremolo(const OplTone *t)
{
    unsigned step = t->counter / TREMOLO_FRAMES % TREMOLO_STEPS;
    if (!(t->am_mult & AM))
        return 0;
    return (step < TREMOLO_STEPS / 2 ? step : TREMOLO_STEPS - step) >> (t->deep_tremolo ? 2 : 4);
}

/* The logarithm of |sin| at a phase, 1024 the wave. */
static unsigned log_sine(const OplTables *tables, unsigned phase)
{
    return tables->log_sine[phase & 0x100 ? 0xff - (phase & 0xff) : phase & 0xff];
}

/* The eight waveforms (register E0h): logarithm, and whether it is the negative half. */
static unsigned waveform(const OplTables *tables, unsigned wave, unsigned phase, bool *negative)
{
    bool second = phase & 0x200, fourth = phase & 0x100;
    *negative = false;
    switch (wave) {
    case 0: *negative = second; return log_sine(tables, phase);
    case 1: return second ? LOG_SILENCE : log_sine(tables, phase);
    case 2: return log_sine(tables, phase);
    case 3: return fourth ? LOG_SILENCE : log_sine(tables, phase);
    case 4: *negative = !second && fourth; return second ? LOG_SILENCE : log_sine(tables, phase << 1);
    case 5: return second ? LOG_SILENCE : log_sine(tables, phase << 1);
    case 6: *negative = second; return 0;
    default: *negative = second; return (second ? ~phase & 0x1ff : phase & 0x1ff) << 3;
    }
}

int opl_operator_level(const OplOperator *op, const OplTone *t, const OplTables *tables, int phase)
{
    bool negative;
    unsigned attenuation = op->envelope + ((t->level & 0x3f) << 2) + key_scale_level(t) + tremolo(t);
    unsigned log = waveform(tables, t->wave & 7, (unsigned)phase & 0x3ff, &negative) + (MIN(attenuation, 511u) << 3);
    int level = log >> 8 < 13 ? tables->power[log & 0xff] << 1 >> (log >> 8) : 0;
    return negative ? -level : level;
}
