/*
 * An AC'97 codec's mixer registers ("Audio Codec '97", revision 2.2, chapter 5): what the guest's volume keys and rate
 * settings come to.  The converters are the controller's voices.
 */
#ifndef MYNA_HW_AUDIO_AC97_CODEC_H
#define MYNA_HW_AUDIO_AC97_CODEC_H

#include "core/state.h"

enum { AC97_CODEC_BYTES = 0x80 };

typedef struct Ac97Codec {
    uint16_t reg[AC97_CODEC_BYTES / 2];
} Ac97Codec;

extern const StateField ac97_codec_state[];

void ac97_codec_reset(Ac97Codec *c);
uint16_t ac97_codec_read(const Ac97Codec *c, unsigned offset);
void ac97_codec_write(Ac97Codec *c, unsigned offset, uint16_t v);

/* Rates of the converters for output, input and microphone; volume of the output (left 0, right 1; AUDIO_VOLUME_FULL). */
uint32_t ac97_codec_output_rate(const Ac97Codec *c);
uint32_t ac97_codec_input_rate(const Ac97Codec *c);
uint32_t ac97_codec_microphone_rate(const Ac97Codec *c);
unsigned ac97_codec_volume(const Ac97Codec *c, unsigned side);

#endif
