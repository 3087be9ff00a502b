/*
 * Yamaha YMF262 (OPL3) FM synthesizer, of which the YM3812 (OPL2) is a part ("YMF262 (OPL3) Application Manual", Yamaha;
 * "YM3812 Application Manual").  It stands in its card's struct; its voice plays while anything sounds.
 */
#ifndef MYNA_HW_AUDIO_OPL3_H
#define MYNA_HW_AUDIO_OPL3_H

#include "backends/audio/audio.h"

enum { OPL3_OPERATORS = 36, OPL3_CHANNELS = 18, OPL3_PORTS = 4, OPL3_REGISTERS = 0x200 };

/* What an operator is at, beside its registers. */
typedef struct OplOperator {
    uint32_t phase;          /* 19 bits: a wave */
    uint16_t envelope;       /* attenuation, 0..511 in steps of 0.1875 dB */
    uint8_t stage;           /* of its envelope */
    uint8_t keys;            /* what holds it: OPL_KEY_* */
    int16_t out, previous;   /* this frame's, and the one before's, for feedback */
} OplOperator;

typedef struct Opl3 {
    Machine *machine;
    AudioVoice voice;
    struct OplTables *tables;
    /* saved */
    uint8_t reg[OPL3_REGISTERS];
    uint16_t index;
    OplOperator op[OPL3_OPERATORS];
    uint32_t counter;        /* frames made */
    uint32_t noise;          /* shift register of 23 bits */
    uint32_t silent;         /* frames since anything sounded */
    int64_t timer_start[2], timer_cleared[2]; /* virtual time; a timer that does not run: -1 */
} Opl3;

extern const StateField opl3_state[]; /* STATE_STRUCT(T, opl3, opl3_state) */

void opl3_init(Opl3 *s, Machine *m, AudioBackend *a, const char *name);
void opl3_exit(Opl3 *s);
void opl3_reset(Opl3 *s);
gboolean opl3_restored(Opl3 *s, GError **err);

/* Ports 0..3: address and data, of each half; reads of any give the status. */
uint8_t opl3_read(Opl3 *s);
void opl3_write(Opl3 *s, unsigned port, uint8_t v);

#endif
