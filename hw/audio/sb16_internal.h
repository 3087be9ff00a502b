/*
 * Inside the Sound Blaster 16: sb16.c has ports, mixer and interrupt lines, sb16_dsp.c the commands, sb16_dma.c the two
 * engines that move samples.
 */
#ifndef MYNA_HW_AUDIO_SB16_INTERNAL_H
#define MYNA_HW_AUDIO_SB16_INTERNAL_H

#include "backends/audio/audio.h"
#include "core/device.h"
#include "hw/audio/opl3.h"
#include "hw/audio/sb16_mixer.h"
#include "hw/isa.h"

typedef struct Sb16 Sb16;

/* Samples of 8 bits and of 16 have an engine each; both may run. */
enum { SB16_ENGINE_8, SB16_ENGINE_16, SB16_ENGINES };

typedef struct Sb16Engine {
    Sb16 *card;
    unsigned number;
    AudioVoice play, record;
    /* within a transfer: what is to be moved */
    uint8_t *data;
    unsigned wanted;
    /* saved */
    bool recording, repeats, ending, silent, active; /* silent: no DMA (command 80h); active: started, perhaps paused */
    uint32_t block, left;    /* bytes: of a block, and of the one under way until its interrupt */
} Sb16Engine;

enum { SB16_ANSWERS = 64 };

struct Sb16 {
    Device dev;
    IsaBus *bus;
    Region *ports, *fm_ports;
    AudioBackend *backend;
    uint32_t iobase, irq, dma8, dma16, version; /* properties */
    AudioVoice direct;       /* what is written to the converter by command 10h */
    /* saved */
    Opl3 opl3;
    Sb16Engine engine[SB16_ENGINES];
    Sb16Mixer mixer;
    uint8_t mixer_index, irq_select, dma_select, irq_status;
    uint8_t command, parameters[3], given, needed; /* a command under way, and its parameters so far */
    uint8_t answer[SB16_ANSWERS], answer_count, answer_last;
    uint8_t time_constant, test, direct_level;
    uint16_t rate, block;    /* rate: 0, the time constant holds */
    uint32_t direct_idle;    /* frames since the level was written last */
    bool resetting, speaker, high_speed, input_stereo;
};

/* What a transfer is to be like. */
typedef struct Sb16Transfer {
    unsigned engine;
    bool recording, repeats, is_signed, stereo, silent;
    uint32_t samples;
    uint32_t rate;           /* frames a second */
} Sb16Transfer;

/* sb16_dma.c */
void sb16_engine_init(Sb16Engine *e, Sb16 *s, unsigned number);
void sb16_engine_exit(Sb16Engine *e);
void sb16_engine_start(Sb16Engine *e, const Sb16Transfer *t);
void sb16_engine_stop(Sb16Engine *e);
void sb16_engine_pause(Sb16Engine *e, bool pause);
void sb16_engine_sync(Sb16Engine *e);
gboolean sb16_engine_restored(Sb16Engine *e, GError **err);
extern const IsaDmaOps sb16_dma_ops;
extern const StateField sb16_engine_state[];

/* sb16_dsp.c */
void sb16_dsp_reset(Sb16 *s);
void sb16_dsp_write(Sb16 *s, uint8_t v);
uint8_t sb16_dsp_read(Sb16 *s);
extern const AudioVoiceOps sb16_direct_ops;

/* sb16.c */
void sb16_raise(Sb16 *s, unsigned engine);
int sb16_dma_channel(const Sb16 *s, unsigned engine); /* -1: none is selected */

#endif
