/*
 * Intel 82801AA (ICH) AC'97 controller ("Intel 82801AA (ICH) and 82801AB (ICH0) I/O Controller Hub" data sheet, order
 * 290655, chapter 13), with the codec of ac97_codec.h on its link.
 *
 * Three DMA engines (PCM in, PCM out, microphone) go through rings of 32 buffer descriptors.  Each has a voice: what is
 * due of it is moved buffer by buffer, so that position and interrupts are those of the virtual time.
 */
#include "hw/audio/ac97.h"

#include <string.h>

#include "backends/audio/audio.h"
#include "core/error.h"
#include "core/machine.h"
#include "hw/audio/ac97_codec.h"
#include "hw/pci/pci.h"
#include "util/endian.h"

enum { NAM_SIZE = 0x100, NABM_SIZE = 0x40, DESCRIPTORS = 32, DESCRIPTOR_SIZE = 8, SAMPLE_SIZE = 2 };
enum { BOX_PI, BOX_PO, BOX_MC, BOXES, BOX_SIZE = 0x10 };
enum { BDBAR = 0x0, CIV = 0x4, LVI = 0x5, SR = 0x6, PICB = 0x8, PIV = 0xa, CR = 0xb };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };
enum { SR_DCH = 0x01, SR_CELV = 0x02, SR_LVBCI = 0x04, SR_BCIS = 0x08, SR_FIFOE = 0x10, SR_CLEARED = 0x1c };
enum { CR_RPBM = 0x01, CR_RR = 0x02, CR_LVBIE = 0x04, CR_FEIE = 0x08, CR_IOCE = 0x10, CR_KEPT = 0x1c };
enum { CNT_WRITABLE = 0x3f, CNT_WARM = 0x04 };
enum { STA_PIINT = 0x20, STA_POINT = 0x40, STA_MINT = 0x80, STA_CODEC_READY = 0x100 };
enum { FLAG_IOC = 0x8000, FLAG_BUP = 0x4000 };

typedef struct Ac97 Ac97;

typedef struct Box {
    Ac97 *owner;
    unsigned number;
    AudioVoice voice;
    /* saved */
    uint32_t bdbar, address; /* address: of the next sample */
    uint16_t left, flags;    /* samples of the buffer that are still to be moved, and its descriptor's upper half */
    uint8_t civ, lvi, piv, sr, cr;
} Box;

struct Ac97 {
    PciDevice pci;
    AudioBackend *backend;
    Region *nam, *nabm;
    Box box[BOXES];
    Ac97Codec codec;
    uint32_t glob_cnt;
    bool cas;
};

/* ---- interrupts ---- */

static bool box_interrupts(const Box *b)
{
    return ((b->sr & SR_LVBCI) && (b->cr & CR_LVBIE)) || ((b->sr & SR_BCIS) && (b->cr & CR_IOCE)) ||
           ((b->sr & SR_FIFOE) && (b->cr & CR_FEIE));
}

static uint32_t ac97_status(const Ac97 *s)
{
    static const uint32_t bits[BOXES] = {STA_PIINT, STA_POINT, STA_MINT};
    uint32_t v = STA_CODEC_READY;
    for (unsigned i = 0; i < BOXES; i++)
        v |= box_interrupts(&s->box[i]) ? bits[i] : 0;
    return v;
}

static void ac97_update_irq(Ac97 *s)
{
    pci_set_irq(&s->pci, (ac97_status(s) & (STA_PIINT | STA_POINT | STA_MINT)) != 0);
}

/* ---- the descriptor ring (13.2.1 to 13.2.9) ---- */

static void box_fetch(Box *b)
{
    uint8_t d[DESCRIPTOR_SIZE];
    pci_dma_read(&b->owner->pci, b->bdbar + b->civ * DESCRIPTOR_SIZE, d, sizeof d);
    b->address = ld32le(d) & ~1u;
    b->left = ld16le(d + 4);
    b->flags = ld16le(d + 6);
}

static void box_next(Box *b)
{
    b->civ = b->piv;
    b->piv = (b->piv + 1) % DESCRIPTORS;
    box_fetch(b);
}

/* The buffer is done: its interrupt, and the next one, or a halt behind the last valid one. */
static void box_complete(Box *b)
{
    if (b->flags & FLAG_IOC)
        b->sr |= SR_BCIS;
    if (b->civ == b->lvi) {
        b->sr |= SR_LVBCI | SR_DCH | SR_CELV;
        audio_voice_run(&b->voice, false);
    } else {
        box_next(b);
    }
    ac97_update_irq(b->owner);
}

/* Buffers of no length are passed over; a ring has no more than 32 of them before the last valid one. */
static bool box_ready(Box *b)
{
    for (unsigned i = 0; i <= DESCRIPTORS && !b->left && !(b->sr & SR_DCH); i++)
        box_complete(b);
    return b->left && !(b->sr & SR_DCH);
}

/* Moves `samples` between a voice's frames and the buffers; how many it could. */
static unsigned box_move(Box *b, uint8_t *data, unsigned samples)
{
    unsigned done = 0;
    while (done < samples && box_ready(b)) {
        unsigned now = MIN(samples - done, b->left);
        if (b->number == BOX_PO)
            pci_dma_read(&b->owner->pci, b->address, data + done * SAMPLE_SIZE, now * SAMPLE_SIZE);
        else
            pci_dma_write(&b->owner->pci, b->address, data + done * SAMPLE_SIZE, now * SAMPLE_SIZE);
        b->address += now * SAMPLE_SIZE;
        b->left -= MIN(now, b->left); /* a buffer that lies over these registers may have changed it */
        done += now;
        if (!b->left)
            box_complete(b);
    }
    return done;
}

static unsigned box_channels(const Box *b)
{
    return b->number == BOX_MC ? 1 : 2;
}

static unsigned box_transfer(void *opaque, uint8_t *frames, unsigned count)
{
    Box *b = opaque;
    return box_move(b, frames, count * box_channels(b)) / box_channels(b);
}

/* The end of the buffer. */
static unsigned box_wanted(void *opaque)
{
    const Box *b = opaque;
    return MAX(1, (b->left + box_channels(b) - 1) / box_channels(b));
}

static const AudioVoiceOps play_ops = {.transfer = box_transfer, .wanted = box_wanted};
static const AudioVoiceOps record_ops = {.recording = true, .transfer = box_transfer, .wanted = box_wanted};

/* ---- what the codec says ---- */

static void ac97_apply_rates(Ac97 *s)
{
    const uint32_t rates[BOXES] = {ac97_codec_input_rate(&s->codec), ac97_codec_output_rate(&s->codec),
                                   ac97_codec_microphone_rate(&s->codec)};
    for (unsigned i = 0; i < BOXES; i++) {
        AudioSettings a = {.rate = rates[i], .format = AUDIO_S16, .channels = box_channels(&s->box[i])};
        audio_voice_set(&s->box[i].voice, &a);
    }
}

static void ac97_apply_volume(Ac97 *s)
{
    audio_voice_set_volume(&s->box[BOX_PO].voice, ac97_codec_volume(&s->codec, 0), ac97_codec_volume(&s->codec, 1));
}

/* ---- a box's registers ---- */

static void box_reset(Box *b)
{
    audio_voice_run(&b->voice, false);
    b->bdbar = b->address = 0;
    b->left = b->flags = 0;
    b->civ = b->lvi = b->piv = b->cr = 0;
    b->sr = SR_DCH;
}

/* From a stop the engine goes on where it was; the first time it fetches its first buffer. */
static void box_start(Box *b)
{
    b->sr &= ~(SR_DCH | SR_CELV);
    if (!b->left) {
        b->piv = (b->civ + 1) % DESCRIPTORS;
        box_fetch(b);
    }
    audio_voice_run(&b->voice, true);
}

/* Reset is for an engine that is stopped (13.2.8: "the bit should be set only when the run bit is 0"). */
static void box_write_control(Box *b, uint8_t v)
{
    if (v & CR_RR) {
        box_reset(b);
        return;
    }
    bool was = b->cr & CR_RPBM;
    b->cr = v & (CR_KEPT | CR_RPBM);
    if (!was && (v & CR_RPBM)) {
        box_start(b);
    } else if (was && !(v & CR_RPBM)) {
        audio_voice_run(&b->voice, false);
        b->sr |= SR_DCH;
    }
}

/* A new last buffer lets an engine go on that has halted behind the old one. */
static void box_write_lvi(Box *b, uint8_t v)
{
    b->lvi = v % DESCRIPTORS;
    if (!(b->cr & CR_RPBM) || !(b->sr & SR_DCH))
        return;
    b->sr &= ~(SR_DCH | SR_CELV);
    box_next(b);
    audio_voice_run(&b->voice, true);
}

static void box_write(Box *b, unsigned reg, uint8_t v)
{
    switch (reg) {
    case BDBAR: case BDBAR + 1: case BDBAR + 2: case BDBAR + 3:
        b->bdbar = (b->bdbar & ~(0xffu << 8 * reg)) | (uint32_t)v << 8 * reg;
        b->bdbar &= ~7u;
        break;
    case LVI: box_write_lvi(b, v); break;
    case SR: b->sr &= ~(v & SR_CLEARED); break;
    case CR: box_write_control(b, v); break;
    }
}

static void box_read(const Box *b, uint8_t out[BOX_SIZE])
{
    memset(out, 0, BOX_SIZE);
    st32le(out + BDBAR, b->bdbar);
    out[CIV] = b->civ;
    out[LVI] = b->lvi;
    out[SR] = b->sr;
    st16le(out + PICB, b->left);
    out[PIV] = b->piv;
    out[CR] = b->cr;
}

/* ---- ports ---- */

static void ac97_sync(Ac97 *s)
{
    for (unsigned i = 0; i < BOXES; i++)
        audio_voice_sync(&s->box[i].voice);
}

static uint64_t nabm_read(void *opaque, uint64_t offset, unsigned size)
{
    Ac97 *s = opaque;
    uint8_t all[NABM_SIZE + 4] = {0};
    ac97_sync(s);
    for (unsigned i = 0; i < BOXES; i++)
        box_read(&s->box[i], all + i * BOX_SIZE);
    st32le(all + GLOB_CNT, s->glob_cnt);
    st32le(all + GLOB_STA, ac97_status(s));
    all[CAS] = s->cas;
    s->cas = s->cas || (offset <= CAS && offset + size > CAS);
    return ld32le(all + offset) & (UINT32_MAX >> (32 - 8 * size));
}

/* The cold reset bit is 0 while the codec is reset; the warm one is back at 0 when it is done (13.2.10). */
static void write_global(Ac97 *s, unsigned byte, uint8_t v)
{
    s->glob_cnt = (s->glob_cnt & ~(0xffu << 8 * byte)) | (uint32_t)v << 8 * byte;
    s->glob_cnt &= CNT_WRITABLE & ~CNT_WARM;
}

static void nabm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Ac97 *s = opaque;
    ac97_sync(s);
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        unsigned at = offset + i;
        if (at >= GLOB_CNT && at < GLOB_CNT + 4)
            write_global(s, at - GLOB_CNT, value);
        else if (at / BOX_SIZE < BOXES)
            box_write(&s->box[at / BOX_SIZE], at % BOX_SIZE, value);
        else if (at == CAS)
            s->cas = s->cas && (value & 1);
    }
    for (unsigned i = 0; i < BOXES; i++)
        audio_voice_update(&s->box[i].voice);
    ac97_update_irq(s);
}

/* An access to the codec ends what the semaphore was taken for (13.2.12). */
static uint64_t nam_read(void *opaque, uint64_t offset, unsigned size)
{
    Ac97 *s = opaque;
    (void)size;
    s->cas = false;
    return offset < AC97_CODEC_BYTES ? ac97_codec_read(&s->codec, offset) : 0xffff; /* there is no second codec */
}

static void nam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Ac97 *s = opaque;
    (void)size;
    s->cas = false;
    if (offset >= AC97_CODEC_BYTES)
        return;
    ac97_sync(s);
    ac97_codec_write(&s->codec, offset, value);
    ac97_apply_rates(s);
    ac97_apply_volume(s);
}

static const RegionOps nabm_ops = { nabm_read, nabm_write, 1, 4 };
static const RegionOps nam_ops = { nam_read, nam_write, 2, 2 };

/* ---- the device ---- */

static const char *const box_names[BOXES] = {"ac97.pi", "ac97.po", "ac97.mc"};

static gboolean ac97_create(Device *dev, GError **err)
{
    static const PciId id = {.vendor = 0x8086, .device = 0x2415, .subsystem_vendor = 0x8086, .class_code = 0x040100,
                             .revision = 0x01, .interrupt_pin = 1};
    Ac97 *s = (Ac97 *)dev;

    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->nam = region_new_io("ac97-nam", NAM_SIZE, &nam_ops, s);
    s->nabm = region_new_io("ac97-nabm", NABM_SIZE, &nabm_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, s->nam);
    pci_add_bar(&s->pci, 1, PCI_BAR_IO, s->nabm);
    for (unsigned i = 0; i < BOXES; i++) {
        Box *b = &s->box[i];
        b->owner = s;
        b->number = i;
        audio_voice_init(&b->voice, dev->machine, s->backend, box_names[i], i == BOX_PO ? &play_ops : &record_ops, b);
    }
    return TRUE;
}

static void ac97_destroy(Device *dev)
{
    Ac97 *s = (Ac97 *)dev;

    for (unsigned i = 0; i < BOXES; i++)
        audio_voice_exit(&s->box[i].voice);
    pci_device_exit(&s->pci);
    region_free(s->nam);
    region_free(s->nabm);
}

static void ac97_reset(Device *dev)
{
    Ac97 *s = (Ac97 *)dev;

    for (unsigned i = 0; i < BOXES; i++)
        box_reset(&s->box[i]);
    s->glob_cnt = 0;
    s->cas = false;
    ac97_codec_reset(&s->codec);
    ac97_apply_rates(s);
    ac97_apply_volume(s);
    pci_device_reset(&s->pci);
}

static gboolean ac97_post_load(Device *dev, GError **err)
{
    Ac97 *s = (Ac97 *)dev;

    for (unsigned i = 0; i < BOXES; i++) {
        Box *b = &s->box[i];
        if (b->civ >= DESCRIPTORS || b->lvi >= DESCRIPTORS || b->piv >= DESCRIPTORS ||
            b->voice.settings.format != AUDIO_S16 || b->voice.settings.channels != box_channels(b))
            return error_set(err, "device '%s': the saved state of engine %u is not one of an AC'97 controller", dev->id, i);
        if (!audio_voice_restored(&b->voice, err))
            return FALSE;
    }
    ac97_apply_volume(s);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const Property ac97_properties[] = {
    PROPERTY(Ac97, backend, "audiodev", PROP_AUDIO, 0, "where sound goes (-audiodev); else the first one"),
    PCI_ADDR_PROPERTY(Ac97), PROPERTY_END
};

static const StateField box_state[] = {
    STATE_U32(Box, bdbar), STATE_U32(Box, address), STATE_U16(Box, left), STATE_U16(Box, flags), STATE_U8(Box, civ),
    STATE_U8(Box, lvi), STATE_U8(Box, piv), STATE_U8(Box, sr), STATE_U8(Box, cr),
    STATE_STRUCT(Box, voice, audio_voice_state), STATE_END
};

static const StateField ac97_state[] = {
    STATE_STRUCT(Ac97, pci, pci_device_state), STATE_STRUCT_ARRAY(Ac97, box, box_state),
    STATE_STRUCT(Ac97, codec, ac97_codec_state), STATE_U32(Ac97, glob_cnt), STATE_BOOL(Ac97, cas), STATE_END
};

const DeviceType ac97_type = {
    .name = "AC97",
    .description = "Intel 82801AA AC'97 audio",
    .bus = "pci",
    .size = sizeof(Ac97),
    .user = true,
    .properties = ac97_properties,
    .create = ac97_create,
    .reset = ac97_reset,
    .destroy = ac97_destroy,
    .state = ac97_state,
    .post_load = ac97_post_load,
};
