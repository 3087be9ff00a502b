/*
 * System control port B, 61h (PIIX3 data sheet, "NMI Status and Control Register"): gate of timer channel 2, speaker data,
 * refresh toggle and the timer's output; and the speaker, which that output moves while the data bit is set.
 *
 * Programs play more than square waves: they toggle the data bit, or let the timer make pulses of changing width.  So each
 * of the voice's frames is the mean of the output's level over its time, exact to a tick of the timer.
 */
#include "hw/misc/port61.h"

#include "backends/audio/audio.h"
#include "core/error.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "hw/timer/i8254.h"
#include "util/endian.h"

enum { SPEAKER_CHANNEL = 2 };
enum { GATE2 = 0x01, DATA = 0x02, WRITABLE = 0x0f, REFRESH = 0x10, OUT2 = 0x20 };
/* Memory is refreshed each 18 ticks of the timer's clock (15 us), and the bit turns over each time. */
enum { REFRESH_TICKS = 18 };
/* Four times what is heard, so that what is above is averaged out; the voice ends when nothing changes for a while. */
enum { RATE = 192000, IDLE_FRAMES = RATE / 10, LOUDNESS = 8192 };

typedef struct Port61 {
    Device dev;
    Region *region;
    Device *pit;
    AudioBackend *backend;
    AudioVoice voice;
    uint8_t control;
    uint32_t idle;           /* frames since the last change */
    int64_t start;           /* virtual time at which the voice was started */
    uint64_t frames;         /* since then */
} Port61;

/* ---- the speaker ---- */

static int64_t frame_tick(const Port61 *s, uint64_t frame)
{
    int64_t time = s->start + frame / RATE * NS_PER_SECOND + frame % RATE * NS_PER_SECOND / RATE;
    return muldiv64(time, I8254_HZ, NS_PER_SECOND);
}

/* Up and down around the middle, where the speaker rests. */
static int16_t speaker_level(Port61 *s, int64_t from, int64_t to)
{
    if (!(s->control & DATA) || to <= from)
        return 0;
    int64_t high = i8254_high_ticks(s->pit, from, to), low = to - from - high;
    return CLAMP((high - low) * LOUDNESS / (to - from), -LOUDNESS, LOUDNESS);
}

static unsigned speaker_transfer(void *opaque, uint8_t *out, unsigned count)
{
    Port61 *s = opaque;
    for (unsigned i = 0; i < count; i++, s->frames++)
        st16le(out + 2 * i, speaker_level(s, frame_tick(s, s->frames), frame_tick(s, s->frames + 1)));
    s->idle = (s->control & (GATE2 | DATA)) == (GATE2 | DATA) ? 0 : s->idle + count;
    if (s->idle >= IDLE_FRAMES)
        audio_voice_run(&s->voice, false);
    return count;
}

static const AudioVoiceOps speaker_ops = {.transfer = speaker_transfer};

static void speaker_sync(void *opaque)
{
    audio_voice_sync(&((Port61 *)opaque)->voice);
}

static void speaker_changed(Port61 *s)
{
    s->idle = 0;
    if (s->voice.running)
        return;
    s->start = clock_now(s->dev.machine->clocks, MYNA_CLOCK_VIRTUAL);
    s->frames = 0;
    audio_voice_run(&s->voice, true);
}

/* ---- the port ---- */

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    Port61 *s = opaque;
    uint8_t v = s->control;
    (void)offset, (void)size;

    if (i8254_ticks(s->pit) / REFRESH_TICKS & 1)
        v |= REFRESH;
    if (i8254_output(s->pit, SPEAKER_CHANNEL))
        v |= OUT2;
    return v;
}

/* The gate may be used for timing alone; only with the data bit is there anything to hear. */
static void port61_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Port61 *s = opaque;
    uint8_t before = s->control;
    (void)offset, (void)size;

    speaker_sync(s);
    s->control = value & WRITABLE;
    i8254_set_gate(s->pit, SPEAKER_CHANNEL, value & GATE2);
    if ((before | s->control) & DATA && (before ^ s->control) & (GATE2 | DATA))
        speaker_changed(s);
}

static const RegionOps port61_ops = { port61_read, port61_write, 1, 1 };

static gboolean port61_create(Device *dev, GError **err)
{
    Port61 *s = (Port61 *)dev;
    IsaBus *bus = isa_bus_find(dev, err);
    AudioSettings settings = {.rate = RATE, .format = AUDIO_S16, .channels = 1};

    if (!bus)
        return FALSE;
    s->pit = machine_find(dev->machine, "i8254");
    if (!s->pit)
        return error_set(err, "device '%s' (%s) needs an 8254 timer, which this machine does not have", dev->id,
                         dev->type->name);
    s->region = isa_ports_add(dev, bus, 0x61, 1, &port61_ops, s);
    audio_voice_init(&s->voice, dev->machine, s->backend, "pcspk", &speaker_ops, s);
    audio_voice_set(&s->voice, &settings);
    i8254_set_listener(s->pit, speaker_sync, s);
    return TRUE;
}

/* The timer may have gone before. */
static void port61_destroy(Device *dev)
{
    Port61 *s = (Port61 *)dev;

    isa_ports_remove(dev, s->region);
    if (machine_find(dev->machine, "i8254") == s->pit)
        i8254_set_listener(s->pit, NULL, NULL);
    audio_voice_exit(&s->voice);
}

static void port61_reset(Device *dev)
{
    Port61 *s = (Port61 *)dev;

    audio_voice_run(&s->voice, false);
    s->control = 0; /* the timer resets its gates itself */
    s->idle = 0;
    s->start = 0;
    s->frames = 0;
}

static gboolean port61_post_load(Device *dev, GError **err)
{
    Port61 *s = (Port61 *)dev;
    const AudioSettings *a = &s->voice.settings;

    if (a->rate != RATE || a->format != AUDIO_S16 || a->channels != 1 || s->start < 0 ||
        s->start > clock_now(dev->machine->clocks, MYNA_CLOCK_VIRTUAL) || s->frames > (uint64_t)INT64_MAX / NS_PER_SECOND)
        return error_set(err, "device '%s': its saved state is not one of a speaker", dev->id);
    return audio_voice_restored(&s->voice, err);
}

static const Property port61_properties[] = {
    PROPERTY(Port61, backend, "audiodev", PROP_AUDIO, 0, "where the speaker sounds (-audiodev); else the first one"),
    PROPERTY_END
};

static const StateField port61_state[] = {
    STATE_U8(Port61, control), STATE_STRUCT(Port61, voice, audio_voice_state), STATE_U32(Port61, idle),
    STATE_U64(Port61, start), STATE_U64(Port61, frames), STATE_END
};

const DeviceType port61_type = {
    .name = "isa-pcspk",
    .description = "system control port B (speaker, refresh)",
    .bus = "isa",
    .size = sizeof(Port61),
    .properties = port61_properties,
    .create = port61_create,
    .reset = port61_reset,
    .destroy = port61_destroy,
    .state = port61_state,
    .post_load = port61_post_load,
};
