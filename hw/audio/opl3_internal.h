/* Inside the OPL3: opl3.c has registers, timers and channels, opl3_operator.c phase, envelope and waveform of an operator. */
#ifndef MYNA_HW_AUDIO_OPL3_INTERNAL_H
#define MYNA_HW_AUDIO_OPL3_INTERNAL_H

#include "hw/audio/opl3.h"

/* The chip's two read-only memories: a quarter of a sine as logarithm, and powers of 2; 256 is a factor of 2. */
typedef struct OplTables {
    uint16_t log_sine[256], power[256];
} OplTables;

enum { OPL_KEY_NOTE = 1, OPL_KEY_DRUM = 2 };
enum { OPL_ATTACK, OPL_DECAY, OPL_SUSTAIN, OPL_RELEASE, OPL_OFF, OPL_STAGES };
enum { OPL_ENVELOPE_MAX = 511, OPL_NOISE_START = 1 };

/* What an operator's frame is made from: its registers, and its channel's tone. */
typedef struct OplTone {
    uint8_t am_mult, level, attack_decay, sustain_release, wave; /* registers 20h, 40h, 60h, 80h, E0h */
    uint16_t fnum;
    uint8_t block;
    bool note_select, deep_vibrato, deep_tremolo; /* registers 08h and BDh */
    uint32_t counter;
} OplTone;

OplTables *opl_tables_new(void);

/* Phase, 0..1023, of this frame; it then goes on. */
unsigned opl_operator_phase(OplOperator *op, const OplTone *t);
/* The envelope goes on by a frame. */
void opl_operator_envelope(OplOperator *op, const OplTone *t);
/* Level, -4095..4095, at a phase (of which the lower ten bits count). */
int opl_operator_level(const OplOperator *op, const OplTone *t, const OplTables *tables, int phase);
void opl_operator_key(OplOperator *op, const OplTone *t, unsigned key, bool on);

#endif
