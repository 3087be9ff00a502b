/*
 * Intel High Definition Audio controller ("High Definition Audio Specification" 1.0a, chapter 3), as in ICH6 and ICH9: four
 * streams in and four out.  Registers, command and response rings, interrupts; streams are in hda_stream.c.
 */
#include "hw/audio/hda.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/audio/hda_internal.h"
#include "hw/pci/pci_msi.h"
#include "util/endian.h"

enum { BAR_SIZE = 0x4000, ALIASES = 0x2000, RING = 256, WALL_HZ = 24000000 };
/* Registers by the aligned word that they stand in (3.3). */
enum {
    GCAP = 0x00, PAYLOAD = 0x04, GCTL = 0x08, WAKEEN = 0x0c, GSTS = 0x10, STRMPAY = 0x18, INTCTL = 0x20, INTSTS = 0x24,
    WALCLK = 0x30, SSYNC = 0x38, CORBLBASE = 0x40, CORBUBASE = 0x44, CORBWP = 0x48, CORBCTL = 0x4c, RIRBLBASE = 0x50,
    RIRBUBASE = 0x54, RIRBWP = 0x58, RIRBCTL = 0x5c, ICOI = 0x60, ICII = 0x64, ICIS = 0x68, DPLBASE = 0x70, DPUBASE = 0x74,
    STREAMS_AT = 0x80, STREAM_SIZE = 0x20, STREAM_LPIB = 4
};
/* Four streams each way, none bidirectional, 64-bit addresses; version 1.0. */
#define GCAP_VALUE (0x4401u | 0x0100u << 16)
#define PAYLOAD_VALUE (0x003cu | 0x001du << 16)
enum { GCTL_CRST = 1, GCTL_WRITABLE = 0x103 };
enum { RING_RESET = 0x8000, RING_SIZES = 0x42 }; /* 256 entries, and nothing else */
enum { CORB_CMEIE = 1, CORB_RUN = 2, RIRB_RINTCTL = 1, RIRB_DMAEN = 2, RIRB_OIC = 4, RIRB_RINTFL = 1, RIRB_OIS = 4 };
enum { ICS_BUSY = 1, ICS_VALID = 2 };
#define INT_GLOBAL 0x80000000u
#define INT_CONTROLLER 0x40000000u

/* ---- interrupts (3.3.14, 3.3.15) ---- */

static uint32_t causes(const Hda *s)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < HDA_STREAMS; i++)
        v |= (uint32_t)hda_stream_interrupts(&s->stream[i]) << i;
    if (((s->rirb_sts & RIRB_RINTFL) && (s->rirb_ctl & RIRB_RINTCTL)) ||
        ((s->rirb_sts & RIRB_OIS) && (s->rirb_ctl & RIRB_OIC)) || (s->corb_sts & s->corb_ctl & CORB_CMEIE) ||
        (s->statests & s->wakeen))
        v |= INT_CONTROLLER;
    return v;
}

static uint32_t interrupt_status(const Hda *s)
{
    uint32_t v = causes(s);
    return v & s->intctl ? v | INT_GLOBAL : v;
}

/* A message goes out for each cause that is new. */
void hda_update_irq(Hda *s)
{
    uint32_t v = s->intctl & INT_GLOBAL ? causes(s) & s->intctl : 0;
    if (msi_enabled(&s->pci)) {
        if (v & ~s->seen)
            msi_notify(&s->pci, 0);
    } else {
        pci_set_irq(&s->pci, v != 0);
    }
    s->seen = v;
}

/* ---- commands ---- */

/* Command: address 31:28, node 27:20, verb 19:0 (7.3).  An address where nobody is gives no response. */
static bool command_run(Hda *s, uint32_t command, uint32_t *response)
{
    unsigned address = command >> 28;
    HdaCodec *c = address < HDA_CODECS ? s->codec[address] : NULL;
    if (!c)
        return false;
    *response = c->ops->command(c, command >> 20 & 0xff, command & 0xfffff);
    return true;
}

static void response_put(Hda *s, uint32_t response, unsigned address)
{
    uint8_t entry[8];
    if (!(s->rirb_ctl & RIRB_DMAEN))
        return;
    s->rirb_wp = (s->rirb_wp + 1) % RING;
    st32le(entry, response);
    st32le(entry + 4, address);
    pci_dma_write(&s->pci, ((uint64_t)s->rirb_high << 32 | s->rirb_low) + s->rirb_wp * 8, entry, sizeof entry);
    s->rirb_count++;
}

/* An interrupt comes after so many responses, or when there are no more (3.3.27). */
static void responses_finish(Hda *s, bool more)
{
    unsigned at = s->rirb_count_at & 0xff ? s->rirb_count_at & 0xff : RING;
    if (!s->rirb_count || (more && s->rirb_count < at))
        return;
    s->rirb_count = 0;
    s->rirb_sts |= RIRB_RINTFL;
}

static void corb_run(Hda *s)
{
    for (unsigned i = 0; i < RING && (s->corb_ctl & CORB_RUN) && s->corb_rp != s->corb_wp; i++) {
        uint8_t entry[4];
        uint32_t command, response;
        s->corb_rp = (s->corb_rp + 1) % RING;
        pci_dma_read(&s->pci, ((uint64_t)s->corb_high << 32 | s->corb_low) + s->corb_rp * 4, entry, sizeof entry);
        command = ld32le(entry);
        if (command_run(s, command, &response))
            response_put(s, response, command >> 28);
        responses_finish(s, s->corb_rp != s->corb_wp);
    }
}

static void immediate_run(Hda *s)
{
    s->ics &= ~(ICS_BUSY | ICS_VALID);
    if (command_run(s, s->ic, &s->ir))
        s->ics |= ICS_VALID;
}

/* ---- what codecs say ---- */

unsigned hda_volume(const Hda *s, const HdaStream *st, unsigned side)
{
    unsigned most = 0;
    for (unsigned i = 0; i < HDA_CODECS; i++) {
        HdaCodec *c = s->codec[i];
        unsigned v = c && st->ctl >> 20 & 15 ? c->ops->volume(c, st->recording, st->ctl >> 20 & 15, side) : 0;
        most = MAX(most, v);
    }
    return most;
}

void hda_codec_changed(HdaCodec *c)
{
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        audio_voice_sync(&c->hda->stream[i].voice);
        hda_stream_apply_volume(&c->hda->stream[i]);
    }
}

static Hda *controller_find(Machine *m, const char *bus)
{
    g_autofree char *slot = bus ? g_strconcat("hda:", bus, NULL) : g_strdup("hda");
    return machine_find(m, slot);
}

/* The codec's own back end is the controller's from now on, which moves the streams. */
gboolean hda_codec_attach(HdaCodec *c, const HdaCodecOps *ops, GError **err)
{
    Hda *s = controller_find(c->dev.machine, c->bus);
    if (!s && c->bus)
        return error_set(err, "device '%s': there is no HDA controller with the bus '%s'", c->dev.id, c->bus);
    if (!s)
        return error_set(err, "device '%s' needs an HDA controller before it: -device intel-hda", c->dev.id);
    for (unsigned i = 0; c->address == UINT32_MAX && i < HDA_CODECS; i++)
        c->address = s->codec[i] ? UINT32_MAX : i;
    if (c->address >= HDA_CODECS)
        return error_set(err, "device '%s': an HDA controller has room for %d codecs, at cad=0 to %d", c->dev.id, HDA_CODECS,
                         HDA_CODECS - 1);
    if (s->codec[c->address])
        return error_set(err, "device '%s': cad=%u is '%s' already", c->dev.id, c->address, s->codec[c->address]->dev.id);
    c->hda = s;
    c->ops = ops;
    s->codec[c->address] = c;
    for (unsigned i = 0; c->backend && i < HDA_STREAMS; i++) {
        hda_stream_exit(&s->stream[i]);
        hda_stream_attach(&s->stream[i], c->backend);
    }
    return TRUE;
}

void hda_codec_detach(HdaCodec *c)
{
    if (c->hda)
        c->hda->codec[c->address] = NULL;
}

/* ---- registers ---- */

static void controller_reset(Hda *s)
{
    for (unsigned i = 0; i < HDA_STREAMS; i++)
        hda_stream_reset(&s->stream[i]);
    for (unsigned i = 0; i < HDA_CODECS; i++) {
        if (s->codec[i])
            s->codec[i]->ops->reset(s->codec[i]);
    }
    s->gctl = s->intctl = s->ssync = s->corb_low = s->corb_high = s->rirb_low = s->rirb_high = s->ic = s->ir = 0;
    s->position_low = s->position_high = s->seen = 0;
    s->wakeen = s->statests = s->corb_wp = s->corb_rp = s->rirb_wp = s->rirb_count_at = s->rirb_count = s->ics = 0;
    s->corb_ctl = s->corb_sts = s->rirb_ctl = s->rirb_sts = 0;
    s->wall_start = clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL);
}

static int64_t wall_clock(const Hda *s)
{
    int64_t since = clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) - s->wall_start;
    return muldiv64(since, WALL_HZ, NS_PER_SECOND);
}

/* Out of reset, codecs ask to be enumerated (4.3). */
static void write_gctl(Hda *s, uint32_t v, uint32_t mask)
{
    uint32_t was = s->gctl;
    v = ((was & ~mask) | (v & mask)) & GCTL_WRITABLE & ~2u; /* a flush is done as soon as it is asked for */
    if (!(v & GCTL_CRST)) {
        if (was & GCTL_CRST)
            controller_reset(s);
        return;
    }
    s->gctl = v;
    for (unsigned i = 0; !(was & GCTL_CRST) && i < HDA_CODECS; i++)
        s->statests |= s->codec[i] ? 1 << i : 0;
}

static void set(uint32_t *reg, uint32_t v, uint32_t mask)
{
    *reg = (*reg & ~mask) | (v & mask);
}

static void set16(uint16_t *reg, uint32_t v, uint32_t mask)
{
    *reg = (*reg & ~mask) | (v & mask);
}

/* Write pointer below, read pointer above, whose reset bit is read back until it is cleared (3.3.21). */
static void write_corb_pointers(Hda *s, uint32_t v, uint32_t mask)
{
    set16(&s->corb_wp, v, mask & 0xff);
    if (mask & v & 0x80000000u)
        s->corb_rp = RING_RESET;
    else if (mask & 0x80000000u)
        s->corb_rp &= ~RING_RESET;
}

static void write_corb_control(Hda *s, uint32_t v, uint32_t mask)
{
    if (mask & 0xff)
        s->corb_ctl = v & (CORB_RUN | CORB_CMEIE);
    s->corb_sts &= ~((v & mask) >> 8 & 1);
}

static void write_rirb_pointers(Hda *s, uint32_t v, uint32_t mask)
{
    if (v & mask & RING_RESET)
        s->rirb_wp = s->rirb_count = 0;
    set16(&s->rirb_count_at, v >> 16, mask >> 16 & 0xff);
}

static void write_rirb_control(Hda *s, uint32_t v, uint32_t mask)
{
    if (mask & 0xff)
        s->rirb_ctl = v & (RIRB_RINTCTL | RIRB_DMAEN | RIRB_OIC);
    s->rirb_sts &= ~((v & mask) >> 8 & (RIRB_RINTFL | RIRB_OIS));
}

static void write_immediate(Hda *s, uint32_t v, uint32_t mask)
{
    s->ics &= ~(v & mask & ICS_VALID);
    if (v & mask & ICS_BUSY)
        immediate_run(s);
}

static void write_register(Hda *s, unsigned reg, uint32_t v, uint32_t mask)
{
    switch (reg) {
    case WAKEEN:
        set16(&s->wakeen, v, mask & 0x7fff);
        s->statests &= ~((v & mask) >> 16);
        break;
    case INTCTL: set(&s->intctl, v, mask & (INT_GLOBAL | INT_CONTROLLER | 0xff)); break;
    case SSYNC: set(&s->ssync, v, mask & 0xff); break;
    case CORBLBASE: set(&s->corb_low, v, mask & ~0x7fu); break;
    case CORBUBASE: set(&s->corb_high, v, mask); break;
    case CORBWP: write_corb_pointers(s, v, mask); break;
    case CORBCTL: write_corb_control(s, v, mask); break;
    case RIRBLBASE: set(&s->rirb_low, v, mask & ~0x7fu); break;
    case RIRBUBASE: set(&s->rirb_high, v, mask); break;
    case RIRBWP: write_rirb_pointers(s, v, mask); break;
    case RIRBCTL: write_rirb_control(s, v, mask); break;
    case ICOI: set(&s->ic, v, mask); break;
    case ICIS: write_immediate(s, v, mask); break;
    case DPLBASE: set(&s->position_low, v, mask & ~0x7eu); break;
    case DPUBASE: set(&s->position_high, v, mask); break;
    }
}

uint64_t hda_position_base(const Hda *s)
{
    return s->position_low & 1 ? (uint64_t)s->position_high << 32 | (s->position_low & ~1u) : 0;
}

static uint32_t read_register(const Hda *s, unsigned reg)
{
    switch (reg) {
    case GCAP: return GCAP_VALUE;
    case PAYLOAD: return PAYLOAD_VALUE;
    case GCTL: return s->gctl;
    case WAKEEN: return s->wakeen | (uint32_t)s->statests << 16;
    case STRMPAY: return PAYLOAD_VALUE;
    case INTCTL: return s->intctl;
    case INTSTS: return interrupt_status(s);
    case WALCLK: return wall_clock(s);
    case SSYNC: return s->ssync;
    case CORBLBASE: return s->corb_low;
    case CORBUBASE: return s->corb_high;
    case CORBWP: return s->corb_wp | (uint32_t)s->corb_rp << 16;
    case CORBCTL: return s->corb_ctl | s->corb_sts << 8 | RING_SIZES << 24;
    case RIRBLBASE: return s->rirb_low;
    case RIRBUBASE: return s->rirb_high;
    case RIRBWP: return s->rirb_wp | (uint32_t)s->rirb_count_at << 16;
    case RIRBCTL: return s->rirb_ctl | s->rirb_sts << 8 | RING_SIZES << 24;
    case ICOI: return s->ic;
    case ICII: return s->ir;
    case ICIS: return s->ics;
    case DPLBASE: return s->position_low;
    case DPUBASE: return s->position_high;
    default: return 0;
    }
}

/* The stream whose registers those are, or NULL. */
static HdaStream *stream_at(Hda *s, unsigned offset)
{
    unsigned n = (offset - STREAMS_AT) / STREAM_SIZE;
    return offset >= STREAMS_AT && n < HDA_STREAMS ? &s->stream[n] : NULL;
}

static void hda_sync(Hda *s)
{
    for (unsigned i = 0; i < HDA_STREAMS; i++)
        audio_voice_sync(&s->stream[i].voice);
}

/* Above 2000h there are only the wall clock and the positions again (3.3.44, 3.3.45). */
static uint32_t read_aligned(Hda *s, unsigned offset)
{
    unsigned reg = offset % ALIASES;
    HdaStream *st = stream_at(s, reg);
    if (offset >= ALIASES && reg != WALCLK && !(st && reg % STREAM_SIZE == STREAM_LPIB))
        return 0;
    return st ? hda_stream_read(st, (reg - STREAMS_AT) % STREAM_SIZE) : read_register(s, reg);
}

static uint64_t hda_read(void *opaque, uint64_t offset, unsigned size)
{
    Hda *s = opaque;
    hda_sync(s);
    return read_aligned(s, offset & ~3u) >> 8 * (offset & 3) & (UINT32_MAX >> (32 - 8 * size));
}

/* In reset there is only the bit that ends it. */
static void hda_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Hda *s = opaque;
    unsigned shift = 8 * (offset & 3), reg = offset & ~3u;
    uint32_t mask = UINT32_MAX >> (32 - 8 * size) << shift, v = (uint32_t)value << shift;
    HdaStream *st = stream_at(s, reg);
    hda_sync(s);
    if (reg == GCTL)
        write_gctl(s, v, mask);
    else if (!(s->gctl & GCTL_CRST))
        return;
    else if (st)
        hda_stream_write(st, (reg - STREAMS_AT) % STREAM_SIZE, v, mask);
    else
        write_register(s, reg, v, mask);
    corb_run(s);
    for (unsigned i = 0; i < HDA_STREAMS; i++)
        audio_voice_update(&s->stream[i].voice);
    hda_update_irq(s);
}

static const RegionOps hda_ops = { hda_read, hda_write, 1, 4 };

/* ---- the device ---- */

static void provide(Hda *s, Hda *as)
{
    Device *dev = &s->pci.dev;
    g_autofree char *slot = g_strdup_printf("hda:%s.0", dev->id);
    Hda *first = machine_find(dev->machine, "hda");
    machine_provide(dev->machine, slot, as);
    if (!first || first == s)
        machine_provide(dev->machine, "hda", as);
}

static gboolean hda_create(Device *dev, GError **err)
{
    Hda *s = (Hda *)dev;
    bool ich9 = dev->type == &ich9_intel_hda_type;
    PciId id = {.vendor = 0x8086, .device = ich9 ? 0x293e : 0x2668, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                .class_code = 0x040300, .revision = ich9 ? 3 : 1, .interrupt_pin = 1};

    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    s->pci.config[0x40] = 1;      /* HDCTL: HD Audio, not AC'97 */
    s->pci.writable[0x44] = 0x07; /* TCSEL, traffic class */
    if (s->msi)
        msi_init(&s->pci, 1);
    s->region = region_new_io("intel-hda", BAR_SIZE, &hda_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEMORY, s->region);
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        hda_stream_init(&s->stream[i], s, i);
        hda_stream_attach(&s->stream[i], NULL);
    }
    provide(s, s);
    return TRUE;
}

static void hda_destroy(Device *dev)
{
    Hda *s = (Hda *)dev;

    for (unsigned i = 0; i < HDA_CODECS; i++) {
        if (s->codec[i])
            s->codec[i]->hda = NULL;
    }
    for (unsigned i = 0; i < HDA_STREAMS; i++)
        hda_stream_exit(&s->stream[i]);
    provide(s, NULL);
    pci_device_exit(&s->pci);
    region_free(s->region);
}

static void hda_reset(Device *dev)
{
    Hda *s = (Hda *)dev;

    controller_reset(s);
    pci_device_reset(&s->pci);
}

static gboolean hda_post_load(Device *dev, GError **err)
{
    Hda *s = (Hda *)dev;

    if (s->corb_wp >= RING || (s->corb_rp & ~RING_RESET) >= RING || s->rirb_wp >= RING || s->rirb_count > RING)
        return error_set(err, "device '%s': the saved rings are not those of an HDA controller", dev->id);
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        if (!hda_stream_restored(&s->stream[i], err))
            return FALSE;
        hda_stream_apply_volume(&s->stream[i]);
    }
    pci_device_restored(&s->pci);
    return TRUE;
}

static const Property hda_properties[] = {
    PROPERTY(Hda, msi, "msi", PROP_BOOL, true, "message-signalled interrupts"), PCI_ADDR_PROPERTY(Hda), PROPERTY_END
};

static const StateField hda_state[] = {
    STATE_STRUCT(Hda, pci, pci_device_state), STATE_STRUCT_ARRAY(Hda, stream, hda_stream_state), STATE_U32(Hda, gctl),
    STATE_U32(Hda, intctl), STATE_U32(Hda, ssync), STATE_U32(Hda, corb_low), STATE_U32(Hda, corb_high),
    STATE_U32(Hda, rirb_low), STATE_U32(Hda, rirb_high), STATE_U32(Hda, ic), STATE_U32(Hda, ir), STATE_U32(Hda, position_low),
    STATE_U32(Hda, position_high), STATE_U16(Hda, wakeen), STATE_U16(Hda, statests), STATE_U16(Hda, corb_wp),
    STATE_U16(Hda, corb_rp), STATE_U16(Hda, rirb_wp), STATE_U16(Hda, rirb_count_at), STATE_U16(Hda, ics),
    STATE_U8(Hda, corb_ctl), STATE_U8(Hda, corb_sts), STATE_U8(Hda, rirb_ctl), STATE_U8(Hda, rirb_sts),
    STATE_U16(Hda, rirb_count), STATE_U32(Hda, seen), STATE_U64(Hda, wall_start), STATE_END
};

#define HDA_TYPE(name_, description_)                                                                                  \
    {                                                                                                                  \
        .name = name_, .description = description_, .bus = "pci", .size = sizeof(Hda), .user = true,                   \
        .properties = hda_properties, .create = hda_create, .reset = hda_reset, .destroy = hda_destroy,                \
        .state = hda_state, .post_load = hda_post_load,                                                                \
    }

const DeviceType intel_hda_type = HDA_TYPE("intel-hda", "Intel HD Audio controller (ICH6)");
const DeviceType ich9_intel_hda_type = HDA_TYPE("ich9-intel-hda", "Intel HD Audio controller (ICH9)");
