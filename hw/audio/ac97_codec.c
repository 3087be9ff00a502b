/*
 * An AC'97 codec's mixer registers (ac97_codec.h); sections are those of "Audio Codec '97", revision 2.2.
 */
#include "hw/audio/ac97_codec.h"

#include <string.h>

#include "backends/audio/audio.h"

enum {
    RESET = 0x00, MASTER = 0x02, HEADPHONE = 0x04, MONO = 0x06, TONE = 0x08, BEEP = 0x0a, PHONE = 0x0c, MIC = 0x0e,
    LINE = 0x10, CD = 0x12, VIDEO = 0x14, AUX = 0x16, PCM = 0x18, RECORD_SELECT = 0x1a, RECORD_GAIN = 0x1c,
    RECORD_GAIN_MIC = 0x1e, GENERAL = 0x20, POWER = 0x26, EXTENDED_ID = 0x28, EXTENDED_CONTROL = 0x2a,
    FRONT_RATE = 0x2c, INPUT_RATE = 0x32, MIC_RATE = 0x34, VENDOR_1 = 0x7c, VENDOR_2 = 0x7e,
};
enum { MUTE = 0x8000, LEVEL = 0x1f, PCM_0DB = 8 };
enum { POWER_READY = 0x0f, EXT_VRA = 1, EXT_VRM = 8, EXT_REVISION_22 = 0x0800, RATE_MIN = 8000, RATE_MAX = 48000 };
enum { QUARTERS_PER_STEP = 6 }; /* a step is 1.5 dB */

/* Register, its value after a reset (5.7), the bits that stay as written. */
typedef struct Row {
    uint8_t offset;
    uint16_t initial, writable;
} Row;

static const Row rows[] = {
    {MASTER, 0x8000, 0x9f1f},     {HEADPHONE, 0x8000, 0x9f1f},  {MONO, 0x8000, 0x801f},   {TONE, 0x0f0f, 0x0f0f},
    {BEEP, 0x0000, 0x801e},       {PHONE, 0x8008, 0x801f},      {MIC, 0x8008, 0x805f},    {LINE, 0x8808, 0x9f1f},
    {CD, 0x8808, 0x9f1f},         {VIDEO, 0x8808, 0x9f1f},      {AUX, 0x8808, 0x9f1f},    {PCM, 0x8808, 0x9f1f},
    {RECORD_SELECT, 0, 0x0707},   {RECORD_GAIN, 0x8000, 0x8f0f}, {RECORD_GAIN_MIC, 0x8000, 0x800f},
    {GENERAL, 0, 0x8380},         {POWER, POWER_READY, 0xff00},
    {EXTENDED_ID, EXT_VRA | EXT_VRM | EXT_REVISION_22, 0},      {EXTENDED_CONTROL, 0, EXT_VRA | EXT_VRM},
    {FRONT_RATE, RATE_MAX, 0xffff}, {INPUT_RATE, RATE_MAX, 0xffff}, {MIC_RATE, RATE_MAX, 0xffff},
    {VENDOR_1, 0x8384, 0},        {VENDOR_2, 0x7600, 0}, /* SigmaTel STAC9700 */
};

static const Row *row_find(unsigned offset)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].offset == offset)
            return &rows[i];
    }
    return NULL;
}

void ac97_codec_reset(Ac97Codec *c)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        c->reg[rows[i].offset / 2] = rows[i].initial;
}

uint16_t ac97_codec_read(const Ac97Codec *c, unsigned offset)
{
    return c->reg[offset % AC97_CODEC_BYTES / 2];
}

static uint16_t get(const Ac97Codec *c, unsigned offset)
{
    return c->reg[offset / 2];
}

/* A level with a sixth bit, which is not there, reads as the lowest (5.7.2). */
static uint16_t level_limit(uint16_t v)
{
    return v | (v & 0x2000 ? LEVEL << 8 : 0) | (v & 0x0020 ? LEVEL : 0);
}

/* Without variable rates the converters stay at 48 kHz (A.2.1); EXT_VRM is the microphone's. */
static void write_rate(Ac97Codec *c, unsigned offset, uint16_t v)
{
    if (get(c, EXTENDED_CONTROL) & (offset == MIC_RATE ? EXT_VRM : EXT_VRA))
        c->reg[offset / 2] = CLAMP(v, RATE_MIN, RATE_MAX);
}

static void write_extended(Ac97Codec *c, uint16_t v)
{
    c->reg[EXTENDED_CONTROL / 2] = v & (EXT_VRA | EXT_VRM);
    if (!(v & EXT_VRA))
        c->reg[FRONT_RATE / 2] = c->reg[INPUT_RATE / 2] = RATE_MAX;
    if (!(v & EXT_VRM))
        c->reg[MIC_RATE / 2] = RATE_MAX;
}

void ac97_codec_write(Ac97Codec *c, unsigned offset, uint16_t v)
{
    const Row *row = row_find(offset &= AC97_CODEC_BYTES - 2);
    if (offset == RESET) {
        ac97_codec_reset(c);
    } else if (offset == EXTENDED_CONTROL) {
        write_extended(c, v);
    } else if (offset == FRONT_RATE || offset == INPUT_RATE || offset == MIC_RATE) {
        write_rate(c, offset, v);
    } else if (row) {
        v = offset == MASTER || offset == HEADPHONE || offset == MONO ? level_limit(v) : v;
        c->reg[offset / 2] = (v & row->writable) | (row->initial & ~row->writable);
    }
}

/* Registers may have been restored from a changed file: rates are brought into their range by the voice. */
uint32_t ac97_codec_output_rate(const Ac97Codec *c) { return get(c, FRONT_RATE); }
uint32_t ac97_codec_input_rate(const Ac97Codec *c) { return get(c, INPUT_RATE); }
uint32_t ac97_codec_microphone_rate(const Ac97Codec *c) { return get(c, MIC_RATE); }

/* PCM out volume, which is 0 dB at 8 (5.7.6), and master volume (5.7.2). */
unsigned ac97_codec_volume(const Ac97Codec *c, unsigned side)
{
    unsigned shift = side ? 0 : 8, master = get(c, MASTER), pcm = get(c, PCM);
    if ((master | pcm) & MUTE)
        return 0;
    int steps = (master >> shift & LEVEL) + (pcm >> shift & LEVEL) - PCM_0DB;
    return audio_volume_from_attenuation(steps * QUARTERS_PER_STEP);
}

const StateField ac97_codec_state[] = { STATE_ARRAY_U16(Ac97Codec, reg), STATE_END };
