/*
 * Streams of the HDA controller: descriptors, and the way of their bytes through the buffer descriptor list
 * ("High Definition Audio Specification" 1.0a, 3.3.35 to 3.3.43, 3.6.2, 3.6.3).
 */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/audio/hda_internal.h"
#include "util/endian.h"

enum { CTL_SRST = 1, CTL_RUN = 2, CTL_IOCE = 4, CTL_FEIE = 8, CTL_DEIE = 0x10, CTL_STRM = 20, CTL_WRITABLE = 0xff001f };
enum { STS_BCIS = 4, STS_FIFOE = 8, STS_DESE = 0x10, STS_FIFORDY = 0x20, STS_CLEARED = 0x1c };
enum { REG_CTL = 0x00, REG_LPIB = 0x04, REG_CBL = 0x08, REG_LVI = 0x0c, REG_FIFO = 0x10, REG_BDL = 0x18, REG_BDU = 0x1c };
enum { ENTRY_SIZE = 16, ENTRIES = 256, FIFO_OUT = 191, FIFO_IN = 119 }; /* bytes less 1, as an ICH6 has them */
/* How old a position in memory may be, when the driver has asked for them there. */
enum { POSITIONS_PER_SECOND = 500 };

/* ---- format (3.7.1) ---- */

static AudioSettings format_decode(uint16_t fmt)
{
    static const uint8_t formats[8] = {AUDIO_U8, AUDIO_S16, AUDIO_S32, AUDIO_S32, AUDIO_S32, AUDIO_S16, AUDIO_S16, AUDIO_S16};
    uint32_t base = fmt & 0x4000 ? 44100 : 48000, times = (fmt >> 11 & 7) + 1, by = (fmt >> 8 & 7) + 1;
    unsigned channels = (fmt & 15) + 1;
    if (channels > AUDIO_CHANNELS_MAX)
        log_guest_error("hda: a stream of %u channels; there are %d at most", channels, AUDIO_CHANNELS_MAX);
    return (AudioSettings){.rate = base * MIN(times, 4) / by, .format = formats[fmt >> 4 & 7],
                           .channels = MIN(channels, AUDIO_CHANNELS_MAX)};
}

/* ---- the buffer descriptor list ---- */

static void entry_fetch(HdaStream *st)
{
    uint8_t d[ENTRY_SIZE];
    uint64_t list = (uint64_t)st->bdl_high << 32 | st->bdl_low;
    pci_dma_read(&st->hda->pci, list + st->entry * ENTRY_SIZE, d, sizeof d);
    st->address = ld64le(d);
    st->left = ld32le(d + 8);
    st->interrupts = ld32le(d + 12) & 1;
}

static void entry_finish(HdaStream *st)
{
    if (st->interrupts)
        st->sts |= STS_BCIS;
    st->entry = st->entry >= st->lvi ? 0 : st->entry + 1;
    entry_fetch(st);
}

/* An entry with bytes; a list of none but empty ones is a descriptor error, which stops the stream. */
static bool entry_ready(HdaStream *st)
{
    for (unsigned i = 0; i < ENTRIES && !st->left; i++)
        entry_finish(st);
    if (st->left)
        return true;
    log_guest_error("hda: stream %u: the descriptor list at 0x%x has no buffer", st->number, st->bdl_low);
    st->sts |= STS_DESE;
    audio_voice_run(&st->voice, false);
    return false;
}

static void position_advance(HdaStream *st, unsigned bytes)
{
    st->lpib += bytes;
    if (st->cbl && st->lpib >= st->cbl)
        st->lpib -= MIN(st->cbl, st->lpib);
}

static void position_write(HdaStream *st)
{
    uint64_t base = hda_position_base(st->hda);
    uint8_t bytes[4];
    st32le(bytes, st->lpib);
    if (base)
        pci_dma_write(&st->hda->pci, base + 8 * st->number, bytes, sizeof bytes);
}

static unsigned stream_move(HdaStream *st, uint8_t *data, unsigned size)
{
    unsigned done = 0;
    while (done < size && st->voice.running && entry_ready(st)) {
        unsigned now = MIN(size - done, st->left);
        if (st->cbl > st->lpib)
            now = MIN(now, st->cbl - st->lpib);
        if (st->recording)
            pci_dma_write(&st->hda->pci, st->address, data + done, now);
        else
            pci_dma_read(&st->hda->pci, st->address, data + done, now);
        st->address += now;
        st->left -= MIN(now, st->left);
        position_advance(st, now);
        done += now;
        if (!st->left)
            entry_finish(st);
    }
    return done;
}

static unsigned stream_transfer(void *opaque, uint8_t *frames, unsigned count)
{
    HdaStream *st = opaque;
    unsigned size = audio_frame_size(&st->voice.settings), done = stream_move(st, frames, count * size);
    position_write(st);
    hda_update_irq(st->hda);
    return done / size;
}

/* The entry's end, or sooner if the position is looked for in memory. */
static unsigned stream_wanted(void *opaque)
{
    const HdaStream *st = opaque;
    const AudioSettings *s = &st->voice.settings;
    unsigned size = audio_frame_size(s), frames = MAX(1, (st->left + size - 1) / size);
    return hda_position_base(st->hda) ? MIN(frames, MAX(1, s->rate / POSITIONS_PER_SECOND)) : frames;
}

static const AudioVoiceOps play_ops = {.transfer = stream_transfer, .wanted = stream_wanted};
static const AudioVoiceOps record_ops = {.recording = true, .transfer = stream_transfer, .wanted = stream_wanted};

/* ---- registers ---- */

bool hda_stream_interrupts(const HdaStream *st)
{
    return ((st->sts & STS_BCIS) && (st->ctl & CTL_IOCE)) || ((st->sts & STS_FIFOE) && (st->ctl & CTL_FEIE)) ||
           ((st->sts & STS_DESE) && (st->ctl & CTL_DEIE));
}

void hda_stream_apply_volume(HdaStream *st)
{
    if (!st->recording)
        audio_voice_set_volume(&st->voice, hda_volume(st->hda, st, 0), hda_volume(st->hda, st, 1));
}

void hda_stream_reset(HdaStream *st)
{
    audio_voice_run(&st->voice, false);
    st->ctl = st->lpib = st->cbl = st->bdl_low = st->bdl_high = st->left = 0;
    st->lvi = st->fmt = st->entry = 0;
    st->sts = 0;
    st->address = 0;
    st->interrupts = false;
}

static void stream_start(HdaStream *st)
{
    AudioSettings s = format_decode(st->fmt);
    if (!st->left)
        entry_fetch(st);
    audio_voice_set(&st->voice, &s);
    hda_stream_apply_volume(st);
    audio_voice_run(&st->voice, true);
}

/* Reset stays as it is written; a stream in reset has its other registers at their defaults (3.3.35). */
static void write_control(HdaStream *st, uint32_t v, uint32_t mask)
{
    uint32_t was = st->ctl;
    v = ((was & ~mask) | (v & mask)) & CTL_WRITABLE;
    if (v & CTL_SRST) {
        hda_stream_reset(st);
        st->ctl = CTL_SRST;
        return;
    }
    st->ctl = v;
    if ((v & CTL_RUN) && !(was & CTL_RUN))
        stream_start(st);
    else if (!(v & CTL_RUN))
        audio_voice_run(&st->voice, false);
    hda_stream_apply_volume(st);
}

static void set(uint32_t *reg, uint32_t v, uint32_t mask)
{
    *reg = (*reg & ~mask) | (v & mask);
}

static void set16(uint16_t *reg, uint32_t v, uint32_t mask)
{
    *reg = (*reg & ~mask) | (v & mask);
}

void hda_stream_write(HdaStream *st, unsigned reg, uint32_t v, uint32_t mask)
{
    switch (reg) {
    case REG_CTL:
        st->sts &= ~((v & mask) >> 24 & STS_CLEARED);
        if (mask & 0xffffff)
            write_control(st, v, mask & 0xffffff);
        break;
    case REG_CBL: set(&st->cbl, v, mask); break;
    case REG_LVI: set16(&st->lvi, v, mask & 0xff); break;
    case REG_FIFO: set16(&st->fmt, v >> 16, mask >> 16 & 0x7f7f); break;
    case REG_BDL: set(&st->bdl_low, v, mask & ~0x7fu); break;
    case REG_BDU: set(&st->bdl_high, v, mask); break;
    }
}

uint32_t hda_stream_read(HdaStream *st, unsigned reg)
{
    switch (reg) {
    case REG_CTL: return st->ctl | (uint32_t)(st->sts | (st->ctl & CTL_RUN ? STS_FIFORDY : 0)) << 24;
    case REG_LPIB: return st->lpib;
    case REG_CBL: return st->cbl;
    case REG_LVI: return st->lvi;
    case REG_FIFO: return (st->recording ? FIFO_IN : FIFO_OUT) | (uint32_t)st->fmt << 16;
    case REG_BDL: return st->bdl_low;
    case REG_BDU: return st->bdl_high;
    default: return 0;
    }
}

/* ---- its life ---- */

void hda_stream_attach(HdaStream *st, AudioBackend *a)
{
    static const char *const names[HDA_STREAMS] = {"hda.in0", "hda.in1", "hda.in2", "hda.in3",
                                                   "hda.out0", "hda.out1", "hda.out2", "hda.out3"};
    audio_voice_init(&st->voice, st->hda->pci.dev.machine, a, names[st->number], st->recording ? &record_ops : &play_ops, st);
}

void hda_stream_init(HdaStream *st, Hda *s, unsigned number)
{
    st->hda = s;
    st->number = number;
    st->recording = number < HDA_STREAMS_IN;
}

void hda_stream_exit(HdaStream *st)
{
    audio_voice_exit(&st->voice);
}

gboolean hda_stream_restored(HdaStream *st, GError **err)
{
    if (st->lvi >= ENTRIES || st->entry >= ENTRIES)
        return error_set(err, "hda: the saved state of stream %u is not one of a stream", st->number);
    return audio_voice_restored(&st->voice, err);
}

const StateField hda_stream_state[] = {
    STATE_STRUCT(HdaStream, voice, audio_voice_state), STATE_U32(HdaStream, ctl), STATE_U32(HdaStream, lpib),
    STATE_U32(HdaStream, cbl), STATE_U32(HdaStream, bdl_low), STATE_U32(HdaStream, bdl_high), STATE_U16(HdaStream, lvi),
    STATE_U16(HdaStream, fmt), STATE_U8(HdaStream, sts), STATE_U64(HdaStream, address), STATE_U32(HdaStream, left),
    STATE_U16(HdaStream, entry), STATE_BOOL(HdaStream, interrupts), STATE_END
};
