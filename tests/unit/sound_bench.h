/*
 * A bench for sound devices: a machine with RAM, an ISA and a PCI bus, a DMA controller and a timer, whose sound goes into an
 * array; and what the tests measure on it.
 */
#ifndef MYNA_TESTS_UNIT_SOUND_BENCH_H
#define MYNA_TESTS_UNIT_SOUND_BENCH_H

#include <math.h>

#include "backends/audio/backend.h"
#include "bench.h"
#include "hw/misc/i8237.h"
#include "hw/pci/pci.h"
#include "hw/timer/i8254.h"
#include "util/endian.h"

enum { SOUND_RATE = 48000, SOUND_SLOT = 3, SOUND_MEMORY = 0x10000000, SOUND_PORTS = 0xc000, SOUND_RAM = 4 << 20 };

typedef struct Sound {
    Bench b;
    CpuPort port;
    Region *ram;
    PciBus *pci;
    AudioBackend *back;
    GArray *heard;          /* int16_t, stereo */
    bool hears;             /* else what is recorded is silence */
    uint64_t given;         /* frames to those that record */
    uint64_t silent;        /* frames that went by while nothing played */
    int irq;                /* of any PCI line */
    unsigned edges;
    int64_t edge_time;      /* of the last one */
} Sound;

/* ---- the driver: keeps what it gets, and gives a tone of 1 kHz to those that record ---- */

static inline gboolean capture_open(AudioBackend *a, const void *settings, GError **err)
{
    (void)a, (void)settings, (void)err;
    return TRUE;
}

static inline void capture_write(AudioBackend *a, const int16_t *frames, unsigned count)
{
    Sound *s = a->state;
    g_array_append_vals(s->heard, frames, 2 * count);
}

static inline void capture_silence(AudioBackend *a, uint64_t count)
{
    if (a->state)
        ((Sound *)a->state)->silent += count;
}

static inline unsigned capture_read(AudioBackend *a, int16_t *frames, unsigned count)
{
    Sound *s = a->state;
    uint64_t now = muldiv64(clock_now(s->b.m->clocks, MYNA_CLOCK_VIRTUAL), SOUND_RATE, NS_PER_SECOND);
    count = s->hears ? MIN(count, now - s->given) : 0;
    for (unsigned i = 0; i < count; i++, s->given++)
        frames[2 * i] = frames[2 * i + 1] = s->given % 48 < 24 ? 8000 : -8000;
    return count;
}

static const AudioKind capture_kind = {
    .name = "capture", .open = capture_open, .write = capture_write, .silence = capture_silence, .read = capture_read,
};

/* ---- the machine ---- */

static inline void sound_line(void *opaque, int line, int level)
{
    Sound *s = opaque;
    (void)line;
    if (level && !s->irq) {
        s->edges++;
        s->edge_time = clock_now(s->b.m->clocks, MYNA_CLOCK_VIRTUAL);
    }
    s->irq = level;
}

static inline void sound_up(Sound *s)
{
    static const AudioOptions options = { .id = (char *)"snd" };
    GError *err = NULL;

    memset(s, 0, sizeof *s);
    bench_init(&s->b, &s->port);
    s->ram = region_new_ram(s->b.m->pool, "ram", SOUND_RAM, &err);
    region_add(as_root(s->b.m->memory), 0, s->ram, 0);
    s->pci = pci_bus_new(s->b.m, s->b.m->memory, s->b.m->ports);
    const IrqLine line = { sound_line, s, 0 };
    pci_bus_set_lines(s->pci, (IrqLine[4]){ line, line, line, line });
    s->heard = g_array_new(FALSE, FALSE, sizeof(int16_t));
    s->back = audio_backend_new(s->b.m, &capture_kind, &options, &err);
    g_assert_no_error(err);
    s->back->state = s;
}

static inline void sound_down(Sound *s)
{
    GPtrArray *devices = machine_devices(s->b.m);

    while (devices->len)
        device_remove(devices->pdata[devices->len - 1]);
    audio_close_all(s->b.m);
    g_array_unref(s->heard);
    pci_bus_free(s->pci);
    region_remove(s->ram);
    region_free(s->ram);
    machine_free(s->b.m);
}

static inline void sound_config(Sound *s, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(s->pci, 1u << 31 | SOUND_SLOT << 11 | at, v, size);
}

static inline Device *sound_add(Sound *s, const DeviceType *type)
{
    bool pci = !strcmp(type->bus, "pci");
    Device *dev = bench_add(&s->b, type, pci ? "addr" : NULL, "24");
    if (pci)
        sound_config(s, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    return dev;
}

static inline uint8_t *sound_ram(Sound *s, uint32_t at) { return region_host(s->ram) + at; }

/* Lets time pass, stopping at each moment at which something happens. */
static inline void sound_run(Sound *s, int64_t until)
{
    for (;;) {
        int64_t next = timer_deadline(s->back->timer);
        if (next < 0 || next > until)
            break;
        run_to(&s->b, MAX(next, clock_now(s->b.m->clocks, MYNA_CLOCK_VIRTUAL)));
    }
    run_to(&s->b, until);
}

/* ---- measuring ---- */

static inline unsigned heard_count(const Sound *s) { return s->heard->len / 2; }

/* Amplitude of a frequency in frames [from, from + count) of one side (Goertzel), full scale 1. */
static inline double tone_of_frames(const int16_t *frames, unsigned step, unsigned count, double hz, double rate)
{
    double w = 2 * G_PI * hz / rate, c = 2 * cos(w), a = 0, b = 0;
    for (unsigned i = 0; i < count; i++) {
        double next = frames[i * step] / 32768.0 + c * a - b;
        b = a;
        a = next;
    }
    return 2 * sqrt(a * a + b * b - c * a * b) / count;
}

static inline double heard_tone(const Sound *s, unsigned side, unsigned from, unsigned count, double hz)
{
    g_assert_cmpuint(from + count, <=, heard_count(s));
    return tone_of_frames((const int16_t *)(void *)s->heard->data + 2 * from + side, 2, count, hz, SOUND_RATE);
}

static inline double heard_rms(const Sound *s, unsigned side, unsigned from, unsigned count)
{
    const int16_t *p = (const int16_t *)(void *)s->heard->data + 2 * from + side;
    double sum = 0;
    g_assert_cmpuint(from + count, <=, heard_count(s));
    for (unsigned i = 0; i < count; i++)
        sum += p[2 * i] / 32768.0 * (p[2 * i] / 32768.0);
    return sqrt(sum / count);
}

/* A tone of that amplitude, and hardly anything else: count is a multiple of its period. */
static inline void assert_tone(const Sound *s, unsigned side, unsigned from, unsigned count, double hz, double amplitude,
                               double tolerance)
{
    double tone = heard_tone(s, side, from, count, hz), rms = heard_rms(s, side, from, count);
    g_assert_cmpfloat_with_epsilon(tone, amplitude, amplitude * tolerance);
    g_assert_cmpfloat_with_epsilon(rms, amplitude / G_SQRT2, amplitude * tolerance);
}

static inline void assert_silence(const Sound *s, unsigned from, unsigned count)
{
    g_assert_cmpfloat(heard_rms(s, 0, from, count), ==, 0);
    g_assert_cmpfloat(heard_rms(s, 1, from, count), ==, 0);
}

/* A sine of 16 bits, stereo, for `seconds`; the right side an octave higher. */
static inline void sine_put(uint8_t *to, unsigned frames, double hz, double rate, double amplitude)
{
    for (unsigned i = 0; i < frames; i++) {
        st16le(to + 4 * i, (int)lrint(32767 * amplitude * sin(2 * G_PI * hz * i / rate)));
        st16le(to + 4 * i + 2, (int)lrint(32767 * amplitude * sin(4 * G_PI * hz * i / rate)));
    }
}

/* Nothing was missing on the way to the driver. */
static inline void assert_nothing_missed(const Sound *s)
{
    for (unsigned i = 0; i < s->back->voices->len; i++)
        g_assert_cmpuint(audio_stream_missed(s->back->voices->pdata[i]), ==, 0);
}

static inline void assert_same_devices(const Sound *one, const Sound *two)
{
    GPtrArray *first = machine_devices(one->b.m), *second = machine_devices(two->b.m);
    for (unsigned i = 0; i < first->len; i++) {
        Device *a = first->pdata[i], *b = second->pdata[i];
        g_autoptr(GString) was = g_string_new(a->id), is = g_string_new(b->id);
        state_dump(a->type->state, a, 0, was);
        state_dump(b->type->state, b, 0, is);
        g_assert_cmpstr(was->str, ==, is->str);
    }
}

/*
 * Saves the machine, restores it into another that the test has made alike, lets both go on, and compares what they are then.
 */
static inline void assert_goes_on_alike(Sound *one, Sound *two, int64_t until)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GByteArray) saved = machine_save(one->b.m);
    gboolean ok = machine_load(two->b.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_assert_true(ok);
    sound_run(one, until);
    sound_run(two, until);
    assert_same_devices(one, two);
    g_autoptr(GByteArray) first = machine_save(one->b.m), second = machine_save(two->b.m);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
}

#endif
