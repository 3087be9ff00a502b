/*
 * The mixer CT1745 (sb16_mixer.h); sections are those of the "Sound Blaster Series Hardware Programming Guide".
 */
#include "hw/audio/sb16_mixer.h"

#include <string.h>

#include "backends/audio/audio.h"

enum {
    PRO_VOICE = 0x04, PRO_MIC = 0x0a, PRO_OUTPUT = 0x0e, PRO_MASTER = 0x22, PRO_FM = 0x26, PRO_CD = 0x28, PRO_LINE = 0x2e,
    MASTER = 0x30, VOICE = 0x32, FM = 0x34, CD = 0x36, LINE = 0x38, MIC = 0x3a, SPEAKER = 0x3b, OUTPUT_SWITCHES = 0x3c,
    INPUT_LEFT = 0x3d, INPUT_RIGHT = 0x3e, OUTPUT_GAIN = 0x41, TREBLE = 0x44, BASS = 0x46, LAST = 0x47
};
enum { PRO_STEREO = 0x02, LEVEL_MAX = 31, QUARTERS_PER_STEP = 8, QUARTERS_PER_GAIN = 24 }; /* 2 dB, 6 dB */

/* Pairs of nibbles, left above, which are the upper bits of two registers (4.2). */
static unsigned pro_pair(uint8_t index)
{
    switch (index) {
    case PRO_VOICE: return VOICE;
    case PRO_MASTER: return MASTER;
    case PRO_FM: return FM;
    case PRO_CD: return CD;
    case PRO_LINE: return LINE;
    default: return 0;
    }
}

/*
 * The data sheet has -14 dB for master, voice and FM.  Those are at 0 dB here: programs for DOS leave them to a utility that
 * the card came with.
 */
void sb16_mixer_reset(Sb16Mixer *m)
{
    memset(m, 0, sizeof *m);
    memset(m->reg + MASTER, 0xf8, FM + 2 - MASTER);
    m->reg[OUTPUT_SWITCHES] = 0x1f;
    m->reg[INPUT_LEFT] = 0x15;
    m->reg[INPUT_RIGHT] = 0x0b;
    memset(m->reg + TREBLE, 0x80, 4);
}

uint8_t sb16_mixer_read(const Sb16Mixer *m, uint8_t index)
{
    unsigned pair = pro_pair(index);
    if (pair)
        return (m->reg[pair] & 0xf0) | m->reg[pair + 1] >> 4;
    return index == PRO_MIC ? m->reg[MIC] >> 5 : m->reg[index];
}

void sb16_mixer_write(Sb16Mixer *m, uint8_t index, uint8_t v)
{
    unsigned pair = pro_pair(index);
    if (index == SB16_MIXER_RESET) {
        sb16_mixer_reset(m);
    } else if (pair) {
        m->reg[pair] = (v & 0xf0) | 0x08;
        m->reg[pair + 1] = v << 4 | 0x08;
    } else if (index == PRO_MIC) {
        m->reg[MIC] = v << 5 | 0x18;
    } else if (index >= MASTER && index <= MIC) {
        m->reg[index] = v & 0xf8;
    } else if (index == PRO_OUTPUT || (index > MIC && index <= LAST)) {
        m->reg[index] = v;
    }
}

unsigned sb16_mixer_volume(const Sb16Mixer *m, unsigned source, unsigned side)
{
    unsigned level = m->reg[source + side] >> 3, master = m->reg[MASTER + side] >> 3, gain = m->reg[OUTPUT_GAIN + side] >> 6;
    int quarters = (2 * LEVEL_MAX - (int)(level + master)) * QUARTERS_PER_STEP - (int)gain * QUARTERS_PER_GAIN;
    return audio_volume_from_attenuation(quarters);
}

bool sb16_mixer_is_stereo(const Sb16Mixer *m)
{
    return m->reg[PRO_OUTPUT] & PRO_STEREO;
}

const StateField sb16_mixer_state[] = { STATE_ARRAY_U8(Sb16Mixer, reg), STATE_END };
