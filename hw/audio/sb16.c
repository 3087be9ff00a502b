/*
 * Creative Sound Blaster 16 (sb16.h; "Sound Blaster Series Hardware Programming Guide", Creative 1994): ports, the mixer's
 * choice of interrupt line and DMA channels, and the OPL3 at its ports and at 388h.
 */
#include "hw/audio/sb16.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/audio/sb16_internal.h"
#include "hw/isa/isa_device.h"

enum { PORTS = 16, FM_PORT = 0x388 };
enum { MIXER_INDEX = 4, MIXER_DATA = 5, DSP_RESET = 6, FM_LEFT = 8, DSP_READ = 0xa, DSP_WRITE = 0xc, DSP_STATUS = 0xe,
       ACKNOWLEDGE_16 = 0xf };
enum { DSP_HAS_DATA = 0x80, IRQ_STATUS_8 = 1, IRQ_STATUS_16 = 2, NO_IRQ = 0 };

/* ---- what the mixer selects (chapter 4, registers 80h and 81h) ---- */

static const uint8_t irq_lines[4] = {9, 5, 7, 10};

static int irq_line(const Sb16 *s)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(irq_lines); i++) {
        if (s->irq_select >> i & 1)
            return irq_lines[i];
    }
    return NO_IRQ;
}

/* Bits 0, 1, 3 are channels for bytes; 5, 6, 7 for words, which may also go over a channel for bytes: not here. */
int sb16_dma_channel(const Sb16 *s, unsigned engine)
{
    static const uint8_t channels[SB16_ENGINES][3] = {{0, 1, 3}, {5, 6, 7}};
    for (unsigned i = 0; s->bus->dma && i < 3; i++) {
        if (s->dma_select >> channels[engine][i] & 1)
            return channels[engine][i];
    }
    return -1;
}

static void update_irq(Sb16 *s)
{
    if (irq_line(s) != NO_IRQ)
        irq_set(&s->bus->irq[irq_line(s)], s->irq_status != 0);
}

void sb16_raise(Sb16 *s, unsigned engine)
{
    s->irq_status |= engine == SB16_ENGINE_16 ? IRQ_STATUS_16 : IRQ_STATUS_8;
    update_irq(s);
}

static void acknowledge(Sb16 *s, uint8_t which)
{
    s->irq_status &= ~which;
    update_irq(s);
}

static void select_irq(Sb16 *s, uint8_t v)
{
    if (irq_line(s) != NO_IRQ)
        irq_set(&s->bus->irq[irq_line(s)], 0);
    s->irq_select = v & 0x0f;
    update_irq(s);
}

/* A channel that is no longer used gets no user in its place: it moves nothing. */
static void use_channels(Sb16 *s)
{
    for (unsigned i = 0; i < SB16_ENGINES; i++) {
        int channel = sb16_dma_channel(s, i);
        if (channel >= 0)
            isa_dma_register(s->bus->dma, channel, &sb16_dma_ops, s);
    }
}

static void leave_channels(Sb16 *s)
{
    for (unsigned i = 0; i < SB16_ENGINES; i++) {
        int channel = sb16_dma_channel(s, i);
        if (channel >= 0)
            isa_dma_register(s->bus->dma, channel, NULL, NULL);
    }
}

static void select_dma(Sb16 *s, uint8_t v)
{
    leave_channels(s);
    s->dma_select = v & 0xeb;
    use_channels(s);
}

/* ---- mixer ---- */

static void apply_volume(Sb16 *s)
{
    unsigned left = sb16_mixer_volume(&s->mixer, SB16_SOURCE_VOICE, 0), right = sb16_mixer_volume(&s->mixer, SB16_SOURCE_VOICE, 1);
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        audio_voice_set_volume(&s->engine[i].play, left, right);
    audio_voice_set_volume(&s->direct, left, right);
    audio_voice_set_volume(&s->opl3.voice, sb16_mixer_volume(&s->mixer, SB16_SOURCE_FM, 0),
                           sb16_mixer_volume(&s->mixer, SB16_SOURCE_FM, 1));
}

static uint8_t mixer_read(const Sb16 *s)
{
    switch (s->mixer_index) {
    case SB16_MIXER_IRQ: return s->irq_select | 0xf0;
    case SB16_MIXER_DMA: return s->dma_select;
    case SB16_MIXER_IRQ_STATUS: return s->irq_status;
    default: return sb16_mixer_read(&s->mixer, s->mixer_index);
    }
}

static void mixer_write(Sb16 *s, uint8_t v)
{
    switch (s->mixer_index) {
    case SB16_MIXER_IRQ: select_irq(s, v); break;
    case SB16_MIXER_DMA: select_dma(s, v); break;
    case SB16_MIXER_IRQ_STATUS: break;
    default:
        sb16_mixer_write(&s->mixer, s->mixer_index, v);
        apply_volume(s);
    }
}

/* ---- ports ---- */

static void sync_all(Sb16 *s)
{
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        sb16_engine_sync(&s->engine[i]);
    audio_voice_sync(&s->direct);
    audio_voice_sync(&s->opl3.voice);
}

static uint64_t sb16_read(void *opaque, uint64_t offset, unsigned size)
{
    Sb16 *s = opaque;
    (void)size;
    sync_all(s);
    switch (offset) {
    case 0: case 2: case FM_LEFT: return opl3_read(&s->opl3);
    case MIXER_INDEX: return s->mixer_index;
    case MIXER_DATA: return mixer_read(s);
    case DSP_READ: return sb16_dsp_read(s);
    case DSP_WRITE: return 0x7f; /* always ready */
    case DSP_STATUS:
        acknowledge(s, IRQ_STATUS_8);
        return s->answer_count ? 0x7f | DSP_HAS_DATA : 0x7f;
    case ACKNOWLEDGE_16:
        acknowledge(s, IRQ_STATUS_16);
        return 0xff;
    default: return 0xff;
    }
}

/* 1, and then 0 (2.3.1). */
static void write_reset(Sb16 *s, uint8_t v)
{
    if (s->resetting && !(v & 1)) {
        sb16_dsp_reset(s);
        acknowledge(s, IRQ_STATUS_8 | IRQ_STATUS_16);
    }
    s->resetting = v & 1;
}

static void sb16_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Sb16 *s = opaque;
    (void)size;
    sync_all(s);
    switch (offset) {
    case 0: case 1: case 2: case 3: opl3_write(&s->opl3, offset, value); break;
    case FM_LEFT: case FM_LEFT + 1: opl3_write(&s->opl3, offset & 1, value); break;
    case MIXER_INDEX: s->mixer_index = value; break;
    case MIXER_DATA: mixer_write(s, value); break;
    case DSP_RESET: write_reset(s, value); break;
    case DSP_WRITE: sb16_dsp_write(s, value); break;
    }
}

static uint64_t fm_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return offset & 1 ? 0xff : opl3_read(&((Sb16 *)opaque)->opl3);
}

static void fm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    opl3_write(&((Sb16 *)opaque)->opl3, offset, value);
}

static const RegionOps sb16_ops = { sb16_read, sb16_write, 1, 1 };
static const RegionOps fm_ops = { fm_read, fm_write, 1, 1 };

/* ---- the device ---- */

static gboolean check_places(const Sb16 *s, GError **err)
{
    bool line = s->irq == 5 || s->irq == 7 || s->irq == 9 || s->irq == 10;
    bool channels = (s->dma8 == 0 || s->dma8 == 1 || s->dma8 == 3) && s->dma16 >= 5 && s->dma16 <= 7;
    if (!line)
        return error_set(err, "device '%s': irq takes 5, 7, 9 or 10, not %u", s->dev.id, s->irq);
    return channels || error_set(err, "device '%s': dma takes 0, 1 or 3, and dma16 takes 5, 6 or 7", s->dev.id);
}

static gboolean sb16_create(Device *dev, GError **err)
{
    Sb16 *s = (Sb16 *)dev;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus || !check_places(s, err))
        return FALSE;
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        sb16_engine_init(&s->engine[i], s, i);
    audio_voice_init(&s->direct, dev->machine, s->backend, "sb16.direct", &sb16_direct_ops, s);
    opl3_init(&s->opl3, dev->machine, s->backend, "sb16.fm");
    s->ports = isa_ports_add(dev, s->bus, s->iobase, PORTS, &sb16_ops, s);
    s->fm_ports = isa_ports_add(dev, s->bus, FM_PORT, OPL3_PORTS, &fm_ops, s);
    return TRUE;
}

static void sb16_destroy(Device *dev)
{
    Sb16 *s = (Sb16 *)dev;

    leave_channels(s);
    isa_ports_remove(dev, s->ports);
    isa_ports_remove(dev, s->fm_ports);
    opl3_exit(&s->opl3);
    audio_voice_exit(&s->direct);
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        sb16_engine_exit(&s->engine[i]);
}

static void sb16_reset(Device *dev)
{
    Sb16 *s = (Sb16 *)dev;

    s->irq_status = 0;
    sb16_dsp_reset(s);
    s->answer_count = s->answer_last = s->mixer_index = s->test = 0;
    s->resetting = false;
    s->direct_level = 0x80;
    s->direct_idle = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(irq_lines); i++) {
        if (irq_lines[i] == s->irq)
            select_irq(s, 1 << i);
    }
    select_dma(s, 1 << s->dma8 | 1 << s->dma16);
    sb16_mixer_reset(&s->mixer);
    opl3_reset(&s->opl3);
    apply_volume(s);
}

static gboolean sb16_post_load(Device *dev, GError **err)
{
    Sb16 *s = (Sb16 *)dev;

    if (s->given > sizeof s->parameters || s->needed > sizeof s->parameters || s->answer_count > SB16_ANSWERS ||
        (s->direct.running && audio_frame_size(&s->direct.settings) != 1))
        return error_set(err, "device '%s': its saved state is not one of a Sound Blaster", dev->id);
    use_channels(s);
    for (unsigned i = 0; i < SB16_ENGINES; i++) {
        if (!sb16_engine_restored(&s->engine[i], err))
            return FALSE;
    }
    if (!audio_voice_restored(&s->direct, err) || !opl3_restored(&s->opl3, err))
        return FALSE;
    apply_volume(s);
    return TRUE;
}

static const Property sb16_properties[] = {
    PROPERTY(Sb16, backend, "audiodev", PROP_AUDIO, 0, "where sound goes (-audiodev); else the first one"),
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Sb16, iobase), .initial = 0x220, .max = 0xfff0,
      .help = "first port" },
    PROPERTY(Sb16, irq, "irq", PROP_U32, 5, "interrupt line: 5, 7, 9 or 10"),
    PROPERTY(Sb16, dma8, "dma", PROP_U32, 1, "DMA channel of 8 bits: 0, 1 or 3"),
    PROPERTY(Sb16, dma16, "dma16", PROP_U32, 5, "DMA channel of 16 bits: 5, 6 or 7"),
    { .name = "version", .type = PROP_U32, .offset = offsetof(Sb16, version), .initial = 0x0405, .max = 0xffff,
      .help = "of the DSP" },
    PROPERTY_END
};

static const StateField sb16_state[] = {
    STATE_STRUCT_ARRAY(Sb16, engine, sb16_engine_state), STATE_STRUCT(Sb16, direct, audio_voice_state),
    STATE_STRUCT(Sb16, opl3, opl3_state), STATE_STRUCT(Sb16, mixer, sb16_mixer_state), STATE_U8(Sb16, mixer_index),
    STATE_U8(Sb16, irq_select), STATE_U8(Sb16, dma_select), STATE_U8(Sb16, irq_status), STATE_U8(Sb16, command),
    STATE_ARRAY_U8(Sb16, parameters), STATE_U8(Sb16, given), STATE_U8(Sb16, needed), STATE_ARRAY_U8(Sb16, answer),
    STATE_U8(Sb16, answer_count), STATE_U8(Sb16, answer_last), STATE_U8(Sb16, time_constant), STATE_U8(Sb16, test),
    STATE_U8(Sb16, direct_level), STATE_U16(Sb16, rate), STATE_U16(Sb16, block), STATE_U32(Sb16, direct_idle),
    STATE_BOOL(Sb16, resetting), STATE_BOOL(Sb16, speaker), STATE_BOOL(Sb16, high_speed), STATE_BOOL(Sb16, input_stereo),
    STATE_END
};

const DeviceType sb16_type = {
    .name = "sb16",
    .description = "Creative Sound Blaster 16",
    .bus = "isa",
    .size = sizeof(Sb16),
    .user = true,
    .properties = sb16_properties,
    .create = sb16_create,
    .reset = sb16_reset,
    .destroy = sb16_destroy,
    .state = sb16_state,
    .post_load = sb16_post_load,
};
