/*
 * The mixer CT1745 ("Sound Blaster Series Hardware Programming Guide", Creative 1994, chapter 4), with the registers of the
 * Sound Blaster Pro's CT1345 that are other views of its own.
 */
#ifndef MYNA_HW_AUDIO_SB16_MIXER_H
#define MYNA_HW_AUDIO_SB16_MIXER_H

#include "core/state.h"

enum { SB16_MIXER_REGISTERS = 256 };
/* Registers that the card itself serves. */
enum { SB16_MIXER_RESET = 0x00, SB16_MIXER_IRQ = 0x80, SB16_MIXER_DMA = 0x81, SB16_MIXER_IRQ_STATUS = 0x82 };
/* What a source's volume stands in: register of the left side. */
enum { SB16_SOURCE_VOICE = 0x32, SB16_SOURCE_FM = 0x34 };

typedef struct Sb16Mixer {
    uint8_t reg[SB16_MIXER_REGISTERS];
} Sb16Mixer;

extern const StateField sb16_mixer_state[];

void sb16_mixer_reset(Sb16Mixer *m);
uint8_t sb16_mixer_read(const Sb16Mixer *m, uint8_t index);
void sb16_mixer_write(Sb16Mixer *m, uint8_t index, uint8_t v);

/* AUDIO_VOLUME_FULL times the gain of a source on one side, 0 or 1, all in all. */
unsigned sb16_mixer_volume(const Sb16Mixer *m, unsigned source, unsigned side);
/* The Sound Blaster Pro's stereo switch. */
bool sb16_mixer_is_stereo(const Sb16Mixer *m);

#endif
