/* Inside the HDA controller: hda.c has registers, command rings and interrupts, hda_stream.c the streams. */
#ifndef MYNA_HW_AUDIO_HDA_INTERNAL_H
#define MYNA_HW_AUDIO_HDA_INTERNAL_H

#include "hw/audio/hda.h"
#include "hw/pci/pci.h"

enum { HDA_STREAMS_IN = 4, HDA_STREAMS_OUT = 4, HDA_STREAMS = HDA_STREAMS_IN + HDA_STREAMS_OUT };

/* Section 3.3.35 and on; saved but for the first four. */
typedef struct HdaStream {
    Hda *hda;
    unsigned number;
    bool recording;
    AudioVoice voice;
    uint32_t ctl, lpib, cbl, bdl_low, bdl_high;
    uint16_t lvi, fmt;
    uint8_t sts;
    uint64_t address;        /* of the entry's next byte */
    uint32_t left;           /* bytes of the entry; 0: none is fetched */
    uint16_t entry;
    bool interrupts;         /* at the entry's end */
} HdaStream;

struct Hda {
    PciDevice pci;
    Region *region;
    bool msi;                /* property */
    HdaCodec *codec[HDA_CODECS];
    /* saved */
    HdaStream stream[HDA_STREAMS];
    uint32_t gctl, intctl, ssync, corb_low, corb_high, rirb_low, rirb_high, ic, ir, position_low, position_high;
    uint16_t wakeen, statests, corb_wp, corb_rp, rirb_wp, rirb_count_at, ics;
    uint8_t corb_ctl, corb_sts, rirb_ctl, rirb_sts;
    uint16_t rirb_count;     /* responses since the last interrupt */
    uint32_t seen;           /* interrupt causes that a message was sent for */
    int64_t wall_start;      /* virtual time of wall clock 0 */
};

/* hda.c */
void hda_update_irq(Hda *s);
unsigned hda_volume(const Hda *s, const HdaStream *st, unsigned side);
/* Where positions go, or 0 (3.3.32). */
uint64_t hda_position_base(const Hda *s);

/* hda_stream.c */
void hda_stream_init(HdaStream *st, Hda *s, unsigned number);
void hda_stream_attach(HdaStream *st, AudioBackend *a);
void hda_stream_exit(HdaStream *st);
void hda_stream_reset(HdaStream *st);
void hda_stream_apply_volume(HdaStream *st);
bool hda_stream_interrupts(const HdaStream *st);
uint32_t hda_stream_read(HdaStream *st, unsigned reg);
void hda_stream_write(HdaStream *st, unsigned reg, uint32_t v, uint32_t mask);
gboolean hda_stream_restored(HdaStream *st, GError **err);
extern const StateField hda_stream_state[];

#endif
