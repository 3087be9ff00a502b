/*
 * Yamaha YMF262 (opl3.h): registers, timers, channels.  Register numbers and bits are those of the "YMF262 Application
 * Manual".
 */
#include "hw/audio/opl3.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/audio/opl3_internal.h"
#include "util/endian.h"

/* 14.31818 MHz / 288. */
enum { RATE = 49716, SILENT_FRAMES = RATE / 4 };
enum { TEST = 0x01, TIMER_1 = 0x02, TIMER_2 = 0x03, TIMER_CONTROL = 0x04, NOTE_SELECT = 0x08, FOUR_OPERATORS = 0x104, NEW = 0x105,
       RHYTHM = 0xbd };
enum { AM_MULT = 0x20, LEVEL = 0x40, ATTACK_DECAY = 0x60, SUSTAIN_RELEASE = 0x80, FNUM = 0xa0, KEY_BLOCK = 0xb0, OUTPUT = 0xc0,
       WAVE = 0xe0, HALF = 0x100 };
enum { WAVE_SELECT = 0x20, KEY_ON = 0x20, RHYTHM_ON = 0x20, DEEP_TREMOLO = 0x80, DEEP_VIBRATO = 0x40 };
enum { CONTROL_RESET = 0x80, CONTROL_MASK_1 = 0x40, CONTROL_START_1 = 0x01, STATUS_IRQ = 0x80, STATUS_TIMER_1 = 0x40 };
enum { OPERATORS_PER_HALF = 18, CHANNELS_PER_HALF = 9, RHYTHM_FIRST = 6 };
/* Operators of the rhythm section, and their bits in register BDh. */
enum { BASS_1 = 12, HIHAT = 13, TOM = 14, BASS_2 = 15, SNARE = 16, CYMBAL = 17 };
#define TIMER_TICK INT64_C(80000) /* nanoseconds; timer 2: four times that */

/* ---- where things are ---- */

/* The first operator of a channel; the second is three further. */
static unsigned channel_operator(unsigned channel)
{
    unsigned in_half = channel % CHANNELS_PER_HALF;
    return channel / CHANNELS_PER_HALF * OPERATORS_PER_HALF + in_half / 3 * 6 + in_half % 3;
}

static unsigned operator_channel(unsigned op)
{
    unsigned in_half = op % OPERATORS_PER_HALF;
    return op / OPERATORS_PER_HALF * CHANNELS_PER_HALF + in_half / 6 * 3 + in_half % 3;
}

/* Offset of an operator's registers from those of operator 0: six, and two that are not there. */
static unsigned operator_register(unsigned op)
{
    unsigned in_half = op % OPERATORS_PER_HALF;
    return op / OPERATORS_PER_HALF * HALF + in_half / 6 * 8 + in_half % 6;
}

static unsigned channel_register(unsigned channel)
{
    return channel / CHANNELS_PER_HALF * HALF + channel % CHANNELS_PER_HALF;
}

static bool is_new(const Opl3 *s)
{
    return s->reg[NEW] & 1;
}

/* Whether channel c is the first of a pair with four operators, or the second (register 104h). */
static bool starts_pair(const Opl3 *s, unsigned c)
{
    unsigned in_half = c % CHANNELS_PER_HALF, bit = c / CHANNELS_PER_HALF * 3 + in_half;
    return is_new(s) && in_half < 3 && s->reg[FOUR_OPERATORS] >> bit & 1;
}

static bool ends_pair(const Opl3 *s, unsigned c)
{
    unsigned in_half = c % CHANNELS_PER_HALF;
    return in_half >= 3 && in_half < 6 && starts_pair(s, c - 3);
}

/* An OPL2 has four waveforms, if they are switched on. */
static unsigned wave_of(const Opl3 *s, unsigned reg)
{
    if (is_new(s))
        return s->reg[WAVE + reg] & 7;
    return s->reg[TEST] & WAVE_SELECT ? s->reg[WAVE + reg] & 3 : 0;
}

/* The second channel of a pair sounds at the pitch of the first. */
static OplTone tone_of(const Opl3 *s, unsigned op)
{
    unsigned reg = operator_register(op), channel = operator_channel(op);
    unsigned at = channel_register(ends_pair(s, channel) ? channel - 3 : channel);
    return (OplTone){
        .am_mult = s->reg[AM_MULT + reg], .level = s->reg[LEVEL + reg], .attack_decay = s->reg[ATTACK_DECAY + reg],
        .sustain_release = s->reg[SUSTAIN_RELEASE + reg], .wave = wave_of(s, reg),
        .fnum = s->reg[FNUM + at] | (s->reg[KEY_BLOCK + at] & 3) << 8, .block = s->reg[KEY_BLOCK + at] >> 2 & 7,
        .note_select = s->reg[NOTE_SELECT] & 0x40, .deep_vibrato = s->reg[RHYTHM] & DEEP_VIBRATO,
        .deep_tremolo = s->reg[RHYTHM] & DEEP_TREMOLO, .counter = s->counter,
    };
}

/* ---- a frame ---- */

static void operator_run(Opl3 *s, unsigned n, const OplTone *t, int phase)
{
    OplOperator *op = &s->op[n];
    op->previous = op->out;
    op->out = opl_operator_level(op, t, s->tables, phase);
    opl_operator_envelope(op, t);
}

/* One operator, its phase moved by another's output; what comes out. */
static int modulated(Opl3 *s, unsigned n, int by)
{
    OplTone t = tone_of(s, n);
    operator_run(s, n, &t, opl_operator_phase(&s->op[n], &t) + by);
    return s->op[n].out;
}

/* The first operator of a channel is moved by its own last two outputs. */
static int with_feedback(Opl3 *s, unsigned n, unsigned channel)
{
    unsigned feedback = s->reg[OUTPUT + channel_register(channel)] >> 1 & 7;
    return modulated(s, n, feedback ? (s->op[n].out + s->op[n].previous) >> (9 - feedback) : 0);
}

static bool adds(const Opl3 *s, unsigned channel)
{
    return s->reg[OUTPUT + channel_register(channel)] & 1;
}

static int two_operators(Opl3 *s, unsigned channel)
{
    unsigned n = channel_operator(channel);
    int first = with_feedback(s, n, channel);
    return adds(s, channel) ? first + modulated(s, n + 3, 0) : modulated(s, n + 3, first);
}

/* The four ways in which four operators are joined, by the bits of both channels. */
static int four_operators(Opl3 *s, unsigned channel)
{
    unsigned n = channel_operator(channel), m = channel_operator(channel + 3);
    int one = with_feedback(s, n, channel), sum = 0;
    int two = modulated(s, n + 3, adds(s, channel) ? 0 : one);
    if (adds(s, channel)) {
        int three = modulated(s, m, two), four = modulated(s, m + 3, adds(s, channel + 3) ? 0 : three);
        sum = one + four + (adds(s, channel + 3) ? three : 0);
    } else {
        bool apart = adds(s, channel + 3);
        int three = modulated(s, m, apart ? 0 : two);
        sum = modulated(s, m + 3, three) + (apart ? two : 0);
    }
    return sum;
}

/*
 * Hi-hat, snare and cymbal take their phase from bits of the hi-hat's and the cymbal's, and of the noise; all five drums are
 * twice as loud as a note.
 */
static int drums(Opl3 *s)
{
    unsigned noise = s->noise & 1;
    OplTone hihat = tone_of(s, HIHAT), tom = tone_of(s, TOM), snare = tone_of(s, SNARE), cymbal = tone_of(s, CYMBAL);
    unsigned h = opl_operator_phase(&s->op[HIHAT], &hihat), c = opl_operator_phase(&s->op[CYMBAL], &cymbal);
    unsigned metal = ((h >> 2 ^ h >> 7) | (h >> 3 ^ c >> 5) | (c >> 3 ^ c >> 5)) & 1, half = h >> 8 & 1;
    operator_run(s, HIHAT, &hihat, metal << 9 | (metal ^ noise ? 0xd0 : 0x34));
    operator_run(s, CYMBAL, &cymbal, metal << 9 | 0x80);
    opl_operator_phase(&s->op[SNARE], &snare);
    operator_run(s, SNARE, &snare, half << 9 | (half ^ noise) << 8);
    operator_run(s, TOM, &tom, opl_operator_phase(&s->op[TOM], &tom));
    int bass = with_feedback(s, BASS_1, RHYTHM_FIRST);
    bass = modulated(s, BASS_2, adds(s, RHYTHM_FIRST) ? 0 : bass);
    return 2 * (bass + s->op[HIHAT].out + s->op[CYMBAL].out + s->op[SNARE].out + s->op[TOM].out);
}

/* Where a channel is heard: by bits 4 and 5, or on both sides if it is an OPL2. */
static void channel_add(const Opl3 *s, unsigned channel, int level, int sum[2])
{
    unsigned sides = is_new(s) ? s->reg[OUTPUT + channel_register(channel)] >> 4 & 3 : 3;
    sum[0] += sides & 1 ? level : 0;
    sum[1] += sides & 2 ? level : 0;
}

static bool channel_is_off(const Opl3 *s, unsigned channel)
{
    unsigned n = channel_operator(channel);
    return s->op[n].stage == OPL_OFF && s->op[n + 3].stage == OPL_OFF;
}

static bool frame_make(Opl3 *s, int sum[2])
{
    bool rhythm = s->reg[RHYTHM] & RHYTHM_ON, any = rhythm;
    sum[0] = sum[1] = 0;
    for (unsigned c = 0; c < OPL3_CHANNELS; c++) {
        if ((rhythm && c >= RHYTHM_FIRST && c < CHANNELS_PER_HALF) || ends_pair(s, c))
            continue;
        bool four = starts_pair(s, c);
        if (channel_is_off(s, c) && !(four && !channel_is_off(s, c + 3)))
            continue;
        channel_add(s, c, four ? four_operators(s, c) : two_operators(s, c), sum);
        any = true;
    }
    if (rhythm)
        channel_add(s, RHYTHM_FIRST, drums(s), sum);
    s->noise = s->noise >> 1 | ((s->noise ^ s->noise >> 14) & 1) << 22;
    s->counter++;
    return any;
}

static unsigned opl3_transfer(void *opaque, uint8_t *frames, unsigned count)
{
    Opl3 *s = opaque;
    for (unsigned i = 0; i < count; i++) {
        int sum[2];
        s->silent = frame_make(s, sum) ? 0 : s->silent + 1;
        st16le(frames + 4 * i, CLAMP(sum[0], INT16_MIN, INT16_MAX));
        st16le(frames + 4 * i + 2, CLAMP(sum[1], INT16_MIN, INT16_MAX));
    }
    if (s->silent >= SILENT_FRAMES)
        audio_voice_run(&s->voice, false);
    return count;
}

static const AudioVoiceOps opl3_ops = {.transfer = opl3_transfer};

/* ---- timers: nothing counts, what has passed is computed ---- */

static int64_t opl3_now(const Opl3 *s)
{
    return clock_now(s->machine->clocks, MYNA_CLOCK_VIRTUAL);
}

static int64_t timer_period(const Opl3 *s, unsigned n)
{
    return (256 - s->reg[n ? TIMER_2 : TIMER_1]) * TIMER_TICK * (n ? 4 : 1);
}

/* Whether it has gone over since its flag was cleared. */
static bool timer_flag(const Opl3 *s, unsigned n)
{
    int64_t period = timer_period(s, n), start = s->timer_start[n];
    if (start < 0 || s->reg[TIMER_CONTROL] & CONTROL_MASK_1 >> n)
        return false;
    return (opl3_now(s) - start) / period > (MAX(s->timer_cleared[n], start) - start) / period;
}

static void write_timer_control(Opl3 *s, uint8_t v)
{
    int64_t now = opl3_now(s);
    if (v & CONTROL_RESET) {
        s->timer_cleared[0] = s->timer_cleared[1] = now;
        return;
    }
    s->reg[TIMER_CONTROL] = v;
    for (unsigned n = 0; n < 2; n++) {
        if (!(v & CONTROL_START_1 << n))
            s->timer_start[n] = -1;
        else if (s->timer_start[n] < 0)
            s->timer_start[n] = s->timer_cleared[n] = now;
    }
}

uint8_t opl3_read(Opl3 *s)
{
    uint8_t v = 0, chip = is_new(s) ? 0 : 0x06; /* an OPL2 has two of its lowest bits set */
    for (unsigned n = 0; n < 2; n++)
        v |= timer_flag(s, n) ? STATUS_TIMER_1 >> n : 0;
    return v ? v | chip | STATUS_IRQ : chip;
}

/* ---- registers ---- */

static void operator_key(Opl3 *s, unsigned n, unsigned key, bool on)
{
    OplTone t = tone_of(s, n);
    opl_operator_key(&s->op[n], &t, key, on);
}

/* The key of a pair's first channel is that of its four operators. */
static void channel_key(Opl3 *s, unsigned channel, bool on)
{
    if (ends_pair(s, channel))
        return;
    for (unsigned c = channel; c <= channel + 3; c += 3) {
        operator_key(s, channel_operator(c), OPL_KEY_NOTE, on);
        operator_key(s, channel_operator(c) + 3, OPL_KEY_NOTE, on);
        if (!starts_pair(s, channel))
            break;
    }
}

static void write_rhythm(Opl3 *s, uint8_t v)
{
    static const struct { uint8_t bit, op; } keys[] = {{0x10, BASS_1}, {0x10, BASS_2}, {0x08, SNARE}, {0x04, TOM},
                                                       {0x02, CYMBAL}, {0x01, HIHAT}};
    s->reg[RHYTHM] = v;
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        operator_key(s, keys[i].op, OPL_KEY_DRUM, v & RHYTHM_ON && v & keys[i].bit);
}

static void register_write(Opl3 *s, unsigned reg, uint8_t v)
{
    if (reg == TIMER_CONTROL) {
        write_timer_control(s, v);
        return;
    }
    audio_voice_sync(&s->voice);
    if (reg == RHYTHM) {
        write_rhythm(s, v);
    } else {
        s->reg[reg] = v;
        if ((reg & 0xf0) == KEY_BLOCK && (reg & 15) < CHANNELS_PER_HALF)
            channel_key(s, reg / HALF * CHANNELS_PER_HALF + (reg & 15), v & KEY_ON);
    }
    s->silent = 0;
    audio_voice_run(&s->voice, true);
}

/* The second half is there in the new mode only, but for the register that chooses it. */
void opl3_write(Opl3 *s, unsigned port, uint8_t v)
{
    if (!(port & 1))
        s->index = v | (port & 2 && (is_new(s) || v == (NEW & 0xff)) ? HALF : 0);
    else
        register_write(s, s->index, v);
}

/* ---- its life ---- */

void opl3_reset(Opl3 *s)
{
    audio_voice_run(&s->voice, false);
    memset(s->reg, 0, sizeof s->reg);
    memset(s->op, 0, sizeof s->op);
    for (unsigned i = 0; i < OPL3_OPERATORS; i++) {
        s->op[i].stage = OPL_OFF;
        s->op[i].envelope = OPL_ENVELOPE_MAX;
    }
    s->index = 0;
    s->counter = s->silent = 0;
    s->noise = OPL_NOISE_START;
    s->timer_start[0] = s->timer_start[1] = -1;
    s->timer_cleared[0] = s->timer_cleared[1] = 0;
}

void opl3_init(Opl3 *s, Machine *m, AudioBackend *a, const char *name)
{
    AudioSettings settings = {.rate = RATE, .format = AUDIO_S16, .channels = 2};
    s->machine = m;
    s->tables = opl_tables_new();
    audio_voice_init(&s->voice, m, a, name, &opl3_ops, s);
    audio_voice_set(&s->voice, &settings);
}

void opl3_exit(Opl3 *s)
{
    audio_voice_exit(&s->voice);
    g_clear_pointer(&s->tables, g_free);
}

gboolean opl3_restored(Opl3 *s, GError **err)
{
    const AudioSettings *a = &s->voice.settings;
    bool ok = s->index < OPL3_REGISTERS && a->rate == RATE && a->format == AUDIO_S16 && a->channels == 2;
    for (unsigned i = 0; i < OPL3_OPERATORS; i++)
        ok = ok && s->op[i].envelope <= OPL_ENVELOPE_MAX && s->op[i].stage < OPL_STAGES;
    return ok ? audio_voice_restored(&s->voice, err) : error_set(err, "opl3: the saved state is not one of an OPL3");
}

static const StateField operator_state[] = {
    STATE_U32(OplOperator, phase), STATE_U16(OplOperator, envelope), STATE_U8(OplOperator, stage), STATE_U8(OplOperator, keys),
    STATE_U16(OplOperator, out), STATE_U16(OplOperator, previous), STATE_END
};

const StateField opl3_state[] = {
    STATE_STRUCT(Opl3, voice, audio_voice_state), STATE_ARRAY_U8(Opl3, reg), STATE_U16(Opl3, index),
    STATE_STRUCT_ARRAY(Opl3, op, operator_state), STATE_U32(Opl3, counter), STATE_U32(Opl3, noise), STATE_U32(Opl3, silent),
    STATE_ARRAY_U64(Opl3, timer_start), STATE_ARRAY_U64(Opl3, timer_cleared), STATE_END
};
