/*
 * Sound Blaster 16, OPL3 and PC speaker (hw/audio/sb16*.c, opl3*.c, hw/misc/port61.c).
 */
#include "hw/audio/adlib.h"
#include "hw/audio/sb16.h"
#include "hw/misc/port61.h"
#include "sound_bench.h"

enum { BASE = 0x220, MIXER = BASE + 4, RESET = BASE + 6, READ = BASE + 0xa, WRITE = BASE + 0xc, STATUS = BASE + 0xe,
       ACK_16 = BASE + 0xf, FM = 0x388 };
enum { DATA_AT = 0x20000, LINE = 5, FRAMES = 4800 };

/* ---- Sound Blaster ---- */

static void dsp(Sound *s, unsigned count, ...)
{
    va_list args;
    va_start(args, count);
    for (unsigned i = 0; i < count; i++)
        out(&s->b, WRITE, va_arg(args, int));
    va_end(args);
}

static uint8_t mixer(Sound *s, uint8_t index)
{
    out(&s->b, MIXER, index);
    return in(&s->b, MIXER + 1);
}

static void mixer_put(Sound *s, uint8_t index, uint8_t v)
{
    out(&s->b, MIXER, index);
    out(&s->b, MIXER + 1, v);
}

static void sb16_up(Sound *s)
{
    sound_up(s);
    sound_add(s, &i8237_type);
    sound_add(s, &sb16_type);
}

/* Channel 1 (bytes) or 5 (words), from memory or to it, over and over if `again`; count in units of the channel. */
static void dma_program(Sound *s, unsigned channel, unsigned count, bool again, bool to_memory)
{
    unsigned wide = channel >= 4, base = wide ? 0xc0 : 0, n = channel & 3, at = DATA_AT >> wide;
    out(&s->b, base + (0xa << wide), 4 | n);
    out(&s->b, base + (0xc << wide), 0);
    out(&s->b, base + (0xb << wide), 0x40 | (again ? 0x10 : 0) | (to_memory ? 4 : 8) | n);
    out(&s->b, base + (2 * n << wide), at);
    out(&s->b, base + (2 * n << wide), at >> 8);
    out(&s->b, wide ? 0x8b : 0x83, DATA_AT >> 16);
    out(&s->b, base + ((2 * n + 1) << wide), (count - 1) & 0xff);
    out(&s->b, base + ((2 * n + 1) << wide), (count - 1) >> 8);
    out(&s->b, base + (0xa << wide), n);
}

static unsigned dma_count(Sound *s, unsigned channel)
{
    unsigned wide = channel >= 4, base = wide ? 0xc0 : 0, at = base + ((2 * (channel & 3) + 1) << wide);
    out(&s->b, base + (0xc << wide), 0);
    unsigned low = in(&s->b, at);
    return low | in(&s->b, at) << 8;
}

static void bytes_fill(Sound *s, unsigned count, double hz, double rate)
{
    for (unsigned i = 0; i < count; i++)
        *sound_ram(s, DATA_AT + i) = 128 + lrint(100 * sin(2 * G_PI * hz * i / rate));
}

static void test_identity(void)
{
    Sound s;
    sb16_up(&s);
    out(&s.b, RESET, 1);
    g_assert_cmphex(in(&s.b, STATUS) & 0x80, ==, 0);
    out(&s.b, RESET, 0);
    g_assert_cmphex(in(&s.b, STATUS) & 0x80, ==, 0x80);
    g_assert_cmphex(in(&s.b, READ), ==, 0xaa);
    g_assert_cmphex(in(&s.b, STATUS) & 0x80, ==, 0);
    dsp(&s, 1, 0xe1);
    g_assert_cmpuint(in(&s.b, READ), ==, 4);
    g_assert_cmpuint(in(&s.b, READ), ==, 5);
    dsp(&s, 2, 0xe0, 0x5a);
    g_assert_cmphex(in(&s.b, READ), ==, 0xa5);
    dsp(&s, 3, 0xe4, 0x77, 0xe8);
    g_assert_cmphex(in(&s.b, READ), ==, 0x77);
    dsp(&s, 2, 0xd1, 0xd8);
    g_assert_cmphex(in(&s.b, READ), ==, 0xff);
    dsp(&s, 1, 0xe3);
    g_assert_cmpuint(in(&s.b, READ), ==, 'C');
    sound_down(&s);
}

/* Commands F2 and F3 raise the line; each has its own acknowledgement, and its bit in the mixer. */
static void test_interrupts(void)
{
    Sound s;
    sb16_up(&s);
    dsp(&s, 1, 0xf2);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    g_assert_cmphex(mixer(&s, 0x82), ==, 1);
    dsp(&s, 1, 0xf3);
    g_assert_cmphex(mixer(&s, 0x82), ==, 3);
    in(&s.b, STATUS);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    in(&s.b, ACK_16);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    mixer_put(&s, 0x80, 8);
    dsp(&s, 1, 0xf2);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    g_assert_cmpint(s.b.level[10], ==, 1);
    sound_down(&s);
}

/* The Pro's registers are views of the CT1745's (guide, chapter 4). */
static void test_mixer(void)
{
    Sound s;
    sb16_up(&s);
    mixer_put(&s, 0x22, 0xa7);
    g_assert_cmphex(mixer(&s, 0x30), ==, 0xa8);
    g_assert_cmphex(mixer(&s, 0x31), ==, 0x78);
    mixer_put(&s, 0x32, 0xff);
    mixer_put(&s, 0x33, 0x08);
    g_assert_cmphex(mixer(&s, 0x04), ==, 0xf0);
    g_assert_cmphex(mixer(&s, 0x80) & 15, ==, 2);
    g_assert_cmphex(mixer(&s, 0x81), ==, 0x22);
    mixer_put(&s, 0, 0);
    g_assert_cmphex(mixer(&s, 0x3c), ==, 0x1f);
    sound_down(&s);
}

/* One block of bytes: the interrupt comes with its last sample, and then there is silence. */
static void test_single(void)
{
    Sound s;
    sb16_up(&s);
    bytes_fill(&s, 10000, 500, 10000);
    dma_program(&s, 1, 10000, false, false);
    run_to(&s.b, 1000);
    dsp(&s, 2, 0x40, 256 - 100); /* 10 kHz */
    dsp(&s, 3, 0x14, 9999 & 0xff, 9999 >> 8);
    int64_t end = 1000 + SECOND(1);
    sound_run(&s, end / 2 + 1000);
    g_assert_cmpuint(dma_count(&s, 1), ==, 9999 - 5000);
    sound_run(&s, end - 1);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    sound_run(&s, end);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    g_assert_cmphex(in(&s.b, 8) & 2, ==, 2);
    in(&s.b, STATUS);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    assert_tone(&s, 0, 4800, 38400, 500, 100 / 128.0, 0.005);
    sound_run(&s, SECOND(2));
    g_assert_cmpint(s.b.edges[LINE], ==, 1);
    g_assert_false(s.back->active);
    assert_nothing_missed(&s);
    sound_down(&s);
}

/* Words, stereo, signed, block after block; pause, continue, and the end after the block under way. */
static void test_auto(void)
{
    Sound s;
    sb16_up(&s);
    sine_put(sound_ram(&s, DATA_AT), 2 * 2205, 1000, 22050, 0.5);
    dma_program(&s, 5, 4 * 2205, true, false);
    dsp(&s, 3, 0x41, 22050 >> 8, 22050 & 0xff);
    dsp(&s, 4, 0xb6, 0x30, 4409 & 0xff, 4409 >> 8); /* 2205 frames a block */
    for (unsigned i = 1; i <= 6; i++) {
        sound_run(&s, i * NS_PER_SECOND / 10 - 1);
        g_assert_cmpint(s.b.level[LINE], ==, 0);
        sound_run(&s, i * NS_PER_SECOND / 10);
        g_assert_cmpint(s.b.level[LINE], ==, 1);
        g_assert_cmphex(mixer(&s, 0x82), ==, 2);
        g_assert_cmpuint(dma_count(&s, 5), ==, i & 1 ? 2 * 2205 - 1 : 4 * 2205 - 1);
        in(&s.b, ACK_16);
    }
    assert_tone(&s, 0, 4800, 19200, 1000, 0.5, 0.005);
    assert_tone(&s, 1, 4800, 19200, 2000, 0.5, 0.005);
    dsp(&s, 1, 0xd5);
    sound_run(&s, SECOND(1));
    g_assert_cmpint(s.b.edges[LINE], ==, 6);
    dsp(&s, 1, 0xd6);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 20);
    dsp(&s, 1, 0xd9);
    sound_run(&s, SECOND(3));
    g_assert_cmpint(s.b.edges[LINE], ==, 7);
    g_assert_false(s.back->active);
    assert_nothing_missed(&s);
    sound_down(&s);
}

/* High speed, stereo by the Pro's switch: rate of samples, and no ear for commands but a reset. */
static void test_high_speed(void)
{
    Sound s;
    sb16_up(&s);
    bytes_fill(&s, 8820, 500, 44100);
    dma_program(&s, 1, 8820, true, false);
    mixer_put(&s, 0x0e, 2);
    dsp(&s, 2, 0x40, 256 - 25); /* 40 kHz of samples: 20 kHz of frames */
    dsp(&s, 3, 0x48, 3999 & 0xff, 3999 >> 8);
    dsp(&s, 1, 0x90);
    sound_run(&s, NS_PER_SECOND / 10);
    g_assert_cmpint(s.b.edges[LINE], ==, 1);
    dsp(&s, 1, 0xd0);
    in(&s.b, STATUS);
    sound_run(&s, NS_PER_SECOND / 5);
    g_assert_cmpint(s.b.edges[LINE], ==, 2);
    out(&s.b, RESET, 1);
    out(&s.b, RESET, 0);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    sound_run(&s, SECOND(1));
    g_assert_cmpint(s.b.edges[LINE], ==, 2);
    sound_down(&s);
}

/* A DMA channel that is masked makes the card wait: the block is as long as it was. */
static void test_stall(void)
{
    Sound s;
    sb16_up(&s);
    bytes_fill(&s, 1000, 500, 10000);
    dma_program(&s, 1, 1000, false, false);
    out(&s.b, 0x0a, 5);
    dsp(&s, 3, 0x41, 10000 >> 8, 10000 & 0xff);
    dsp(&s, 4, 0xc0, 0, 999 & 0xff, 999 >> 8);
    sound_run(&s, SECOND(1));
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    out(&s.b, 0x0a, 1);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 20);
    g_assert_cmpuint(dma_count(&s, 1), ==, 499);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 10);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    sound_down(&s);
}

/* Command 80h counts, and moves nothing; command 10h is heard as it is written. */
static void test_silence_and_direct(void)
{
    Sound s;
    sb16_up(&s);
    dsp(&s, 3, 0x41, 10000 >> 8, 10000 & 0xff);
    dsp(&s, 3, 0x80, 999 & 0xff, 999 >> 8);
    sound_run(&s, NS_PER_SECOND / 10 - 1);
    g_assert_cmpint(s.b.level[LINE], ==, 0);
    sound_run(&s, NS_PER_SECOND / 10);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    g_array_set_size(s.heard, 0);
    for (unsigned i = 0; i < 1000; i++) { /* 1 kHz, ten steps a period */
        sound_run(&s, NS_PER_SECOND / 10 + i * INT64_C(100000));
        dsp(&s, 2, 0x10, (int)(128 + lrint(100 * sin(2 * G_PI * i / 10))));
    }
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 480, 3840, 1000), 100 / 128.0, 0.03);
    sound_run(&s, SECOND(1));
    g_assert_false(s.back->active);
    sound_down(&s);
}

static void test_record(void)
{
    Sound s;
    sb16_up(&s);
    s.hears = true;
    dma_program(&s, 1, 8000, true, true);
    dsp(&s, 3, 0x42, 16000 >> 8, 16000 & 0xff);
    dsp(&s, 4, 0xce, 0x10, 3999 & 0xff, 3999 >> 8);
    sound_run(&s, NS_PER_SECOND / 2);
    g_assert_cmpint(s.b.level[LINE], ==, 1);
    int16_t *frames = g_new(int16_t, 8000);
    for (unsigned i = 0; i < 8000; i++)
        frames[i] = (int8_t)*sound_ram(&s, DATA_AT + i) * 256;
    g_assert_cmpfloat(tone_of_frames(frames + 1600, 1, 4800, 1000, 16000), >, 0.25);
    g_free(frames);
    sound_down(&s);
}

static void test_places(void)
{
    g_autoptr(GError) err = NULL;
    Sound s;
    sound_up(&s);
    g_assert_null(device_add(s.b.m, &sb16_type, NULL, &err, "irq", "6", NULL));
    g_assert_nonnull(strstr(err->message, "5, 7, 9 or 10"));
    g_clear_error(&err);
    g_assert_null(device_add(s.b.m, &sb16_type, NULL, &err, "dma16", "4", NULL));
    g_clear_error(&err);
    sound_down(&s);
}

/* ---- OPL3 ---- */

static void fm(Sound *s, unsigned reg, uint8_t v)
{
    out(&s->b, FM + (reg >> 8) * 2, reg);
    out(&s->b, FM + (reg >> 8) * 2 + 1, v);
}

/* An operator that is at once as loud as can be, and stays there. */
static void operator_set(Sound *s, unsigned offset, uint8_t multiple, uint8_t level, uint8_t wave)
{
    fm(s, 0x20 + offset, 0x20 | multiple);
    fm(s, 0x40 + offset, level);
    fm(s, 0x60 + offset, 0xf0);
    fm(s, 0x80 + offset, 0x0f);
    fm(s, 0xe0 + offset, wave);
}

/*
 * Channel 0: 440 Hz (F-number 580, block 4: 580 * 2^(4-20) * 49716), both operators apart, of which only the second is
 * heard.
 */
static void note(Sound *s, uint8_t wave)
{
    fm(s, 0x105, 1);
    operator_set(s, 0, 1, 0x3f, 0);
    operator_set(s, 3, 1, 0, wave);
    fm(s, 0xc0, 0x31);
    fm(s, 0xa0, 580 & 0xff);
    fm(s, 0xb0, 0x20 | 4 << 2 | 580 >> 8);
}

#define NOTE_HZ (580 * 49716.0 / 65536)

static void adlib_up(Sound *s)
{
    sound_up(s);
    sound_add(s, &adlib_type);
}

/* Each waveform's harmonics, computed from its definition: level 4084 / 32768 at its peak. */
static void test_waveforms(void)
{
    static const double first[8] = { 1, 0.5, 0, 0.5 * 0.5, 0, 0, 4 / G_PI, 0 };
    static const double second[8] = { 0, 0, 0.4244, 0, 0.5, 0, 0, 0 };
    for (unsigned w = 0; w < 7; w++) {
        Sound s;
        adlib_up(&s);
        note(&s, w);
        sound_run(&s, SECOND(1));
        double peak = 4084 / 32768.0;
        if (w != 3 && w != 4 && w != 5)
            g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 43200, NOTE_HZ), first[w] * peak, 0.02 * peak);
        if (w == 0 || w == 2 || w == 4)
            g_assert_cmpfloat_with_epsilon(heard_tone(&s, 1, 4800, 43200, 2 * NOTE_HZ), second[w] * peak, 0.02 * peak);
        g_assert_cmpfloat(heard_rms(&s, 0, 4800, 43200), >, 0.2 * peak);
        sound_down(&s);
    }
}

/* Total level in steps of 0.75 dB, factors of the frequency, and sides. */
static void test_levels(void)
{
    Sound s;
    adlib_up(&s);
    note(&s, 0);
    fm(&s, 0x43, 8); /* -6 dB */
    fm(&s, 0x23, 0x22);
    fm(&s, 0xc0, 0x11); /* left */
    sound_run(&s, SECOND(1) / 2);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 19200, 2 * NOTE_HZ), 0.5 * 4084 / 32768, 0.003);
    g_assert_cmpfloat(heard_rms(&s, 1, 4800, 19200), ==, 0);
    sound_down(&s);
}

/* Decay at rate 4, at this pitch 4 * 4 + 2; release at rate 8 is sixteen times as fast, and then the voice ends. */
static void test_envelope(void)
{
    Sound s;
    adlib_up(&s);
    fm(&s, 0x105, 1);
    operator_set(&s, 0, 1, 0x3f, 0);
    operator_set(&s, 3, 1, 0, 0);
    fm(&s, 0x63, 0xf4);
    fm(&s, 0x83, 0xf8);
    fm(&s, 0xc0, 0x31);
    fm(&s, 0xa0, 580 & 0xff);
    fm(&s, 0xb0, 0x20 | 4 << 2 | 580 >> 8);
    sound_run(&s, SECOND(1));
    double early = heard_tone(&s, 0, 4800, 4800, NOTE_HZ), late = heard_tone(&s, 0, 28800, 4800, NOTE_HZ);
    double per_second = 20 * log10(early / late) * 2;
    /* six of eight times 0.1875 dB, each 2^8 frames */
    g_assert_cmpfloat_with_epsilon(per_second, 49716 / 256.0 * 0.75 * 0.1875, 1);
    fm(&s, 0xb0, 4 << 2 | 580 >> 8);
    sound_run(&s, SECOND(3));
    g_assert_false(s.back->active);
    sound_down(&s);
}

/* Sidebands of FM: with a modulator at the same pitch, harmonics appear that were not there. */
static void test_modulation(void)
{
    Sound s;
    adlib_up(&s);
    note(&s, 0);
    fm(&s, 0xc0, 0x30);
    sound_run(&s, SECOND(1) / 2);
    g_assert_cmpfloat(heard_tone(&s, 0, 4800, 19200, 3 * NOTE_HZ), <, 0.002);
    fm(&s, 0x40, 0x10);
    sound_run(&s, SECOND(1));
    g_assert_cmpfloat(heard_tone(&s, 0, 28800, 19200, 3 * NOTE_HZ), >, 0.01);
    fm(&s, 0xc0, 0x3e); /* and more by feedback */
    sound_run(&s, SECOND(2));
    g_assert_cmpfloat(heard_rms(&s, 0, 57600, 28800), >, 0.05);
    sound_down(&s);
}

/* Four operators: of channels 0 and 3, all added, the last at three times the pitch. */
static void test_four_operators(void)
{
    Sound s;
    adlib_up(&s);
    fm(&s, 0x105, 1);
    fm(&s, 0x104, 1);
    operator_set(&s, 0, 1, 0, 0);
    operator_set(&s, 3, 1, 0x3f, 0);
    operator_set(&s, 8, 1, 0x3f, 0);
    operator_set(&s, 11, 3, 0, 0);
    fm(&s, 0xc0, 0x31);
    fm(&s, 0xc3, 0x01);
    fm(&s, 0xa0, 580 & 0xff);
    fm(&s, 0xb0, 0x20 | 4 << 2 | 580 >> 8);
    sound_run(&s, SECOND(1) / 2);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 19200, NOTE_HZ), 4084 / 32768.0, 0.004);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 19200, 3 * NOTE_HZ), 4084 / 32768.0, 0.004);
    sound_down(&s);
}

/* Each drum is heard by itself, and only while its key is down. */
static void test_rhythm(void)
{
    for (unsigned drum = 0; drum < 5; drum++) {
        static const uint8_t offsets[6] = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15 };
        Sound s;
        adlib_up(&s);
        for (unsigned i = 0; i < 6; i++)
            operator_set(&s, offsets[i], 1, 0, 0);
        for (unsigned c = 6; c < 9; c++) {
            fm(&s, 0xa0 + c, 0x40);
            fm(&s, 0xb0 + c, 4 << 2 | 1);
        }
        fm(&s, 0xbd, 0x20);
        sound_run(&s, SECOND(1) / 4);
        g_assert_cmpfloat(heard_rms(&s, 0, 0, 10000), ==, 0);
        fm(&s, 0xbd, 0x20 | 1 << drum);
        sound_run(&s, SECOND(1) / 2);
        g_assert_cmpfloat(heard_rms(&s, 0, 14400, 9600), >, 0.02);
        g_assert_cmpfloat(heard_rms(&s, 1, 14400, 9600), >, 0.02);
        sound_down(&s);
    }
}

/* How programs find an AdLib: timer 1 of FFh goes over after 80 us (YM3812 manual). */
static void test_timers(void)
{
    Sound s;
    adlib_up(&s);
    fm(&s, 4, 0x60);
    fm(&s, 4, 0x80);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0);
    fm(&s, 2, 0xff);
    fm(&s, 4, 0x21);
    at(&s.b, 79999);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0);
    at(&s.b, 80000);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0xc0);
    fm(&s, 4, 0x80);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0);
    at(&s.b, 160000);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0xc0);
    fm(&s, 4, 0x60);
    fm(&s, 3, 0xfe);
    fm(&s, 4, 0x42);
    at(&s.b, 160000 + 639999);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0);
    at(&s.b, 160000 + 640000);
    g_assert_cmphex(in(&s.b, FM) & 0xe0, ==, 0xa0);
    g_assert_cmphex(in(&s.b, FM) & 6, ==, 6);
    fm(&s, 0x105, 1);
    g_assert_cmphex(in(&s.b, FM) & 6, ==, 0);
    sound_down(&s);
}

/* ---- the speaker ---- */

static void speaker_up(Sound *s)
{
    sound_up(s);
    sound_add(s, &i8254_type);
    sound_add(s, &port61_type);
}

static void pit_load(Sound *s, uint8_t control, unsigned count)
{
    out(&s->b, 0x43, control);
    out(&s->b, 0x42, count);
    out(&s->b, 0x42, count >> 8);
}

static void test_beep(void)
{
    Sound s;
    speaker_up(&s);
    pit_load(&s, 0xb6, 1193);
    out(&s.b, 0x61, 3);
    sound_run(&s, SECOND(1) / 2);
    out(&s.b, 0x61, 0);
    sound_run(&s, SECOND(2));
    double hz = 1193182.0 / 1193;
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 14400, hz), 0.25 * 4 / G_PI, 0.005);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 1, 4800, 14400, 3 * hz), 0.25 * 4 / G_PI / 3, 0.005);
    g_assert_false(s.back->active);
    g_assert_cmpuint(heard_count(&s), <, 31200);
    assert_nothing_missed(&s);
    sound_down(&s);
}

/* The gate alone is silent; the data bit alone is heard as it is toggled. */
static void test_toggle(void)
{
    Sound s;
    speaker_up(&s);
    out(&s.b, 0x61, 1);
    sound_run(&s, SECOND(1) / 10);
    g_assert_cmpuint(heard_count(&s), ==, 0);
    for (unsigned i = 0; i < 400; i++) {
        out(&s.b, 0x61, i & 1 ? 0 : 2);
        sound_run(&s, SECOND(1) / 10 + (i + 1) * INT64_C(1000000)); /* 500 Hz */
    }
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 9600, 500), 0.25 * 2 / G_PI, 0.005);
    sound_down(&s);
}

/* Speech by pulses: their width, set 8000 times a second, is the level that is heard. */
static void test_pulses(void)
{
    Sound s;
    speaker_up(&s);
    out(&s.b, 0x43, 0x90);
    out(&s.b, 0x61, 3);
    for (unsigned i = 0; i < 4000; i++) {
        out(&s.b, 0x42, 74 + lrint(50 * sin(2 * G_PI * i / 16))); /* 500 Hz, of 149 ticks */
        sound_run(&s, (i + 1) * INT64_C(125000));
    }
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 9600, 500), 0.25 * 100 / 149.0, 0.01);
    sound_down(&s);
}

/* ---- all ---- */

static void all_up(Sound *s)
{
    sound_up(s);
    sound_add(s, &i8237_type);
    sound_add(s, &i8254_type);
    sound_add(s, &port61_type);
    sound_add(s, &sb16_type);
}

static void test_save(void)
{
    Sound one, two;
    all_up(&one);
    note(&one, 0);
    fm(&one, 0x23, 0xe1);
    pit_load(&one, 0xb6, 1193);
    out(&one.b, 0x61, 3);
    sine_put(sound_ram(&one, DATA_AT), 2205, 1000, 22050, 0.25);
    dma_program(&one, 5, 2 * 2205, true, false);
    mixer_put(&one, 0x30, 0xf0);
    dsp(&one, 3, 0x41, 22050 >> 8, 22050 & 0xff);
    dsp(&one, 4, 0xb6, 0x30, 999 & 0xff, 999 >> 8);
    dsp(&one, 2, 0x10, 0x90);
    dsp(&one, 2, 0xc6, 0x20);
    sound_run(&one, 333333333);
    all_up(&two);
    assert_goes_on_alike(&one, &two, SECOND(1));
    g_assert_cmpuint(dma_count(&two, 5), ==, dma_count(&one, 5));
    g_assert_cmpfloat(heard_tone(&two, 0, heard_count(&two) - 9600, 4800, 1000), >, 0.1);
    assert_nothing_missed(&two);
    sound_down(&one);
    sound_down(&two);
}

static void test_abuse(void)
{
    static const uint16_t ranges[][2] = { { BASE, 16 }, { FM, 4 }, { 0x40, 4 }, { 0x61, 1 }, { 0x00, 16 },
                                          { 0xc0, 32 }, { WRITE, 1 }, { WRITE, 1 }, { MIXER, 2 } };
    for (unsigned seed = 0; seed < 20; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Sound s, other;
        all_up(&s);
        for (unsigned i = 0; i < 800; i++) {
            const uint16_t *r = ranges[g_rand_int_range(rand, 0, G_N_ELEMENTS(ranges))];
            unsigned port = r[0] + g_rand_int_range(rand, 0, r[1]);
            if (g_rand_int_range(rand, 0, 4))
                out(&s.b, port, g_rand_int(rand));
            else
                in(&s.b, port);
            if (i % 8 == 0)
                sound_run(&s, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(rand, 0, 2000000));
        }
        all_up(&other);
        assert_goes_on_alike(&s, &other, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + 20000000);
        sound_down(&s);
        sound_down(&other);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sb16/identity", test_identity);
    g_test_add_func("/sb16/interrupts", test_interrupts);
    g_test_add_func("/sb16/mixer", test_mixer);
    g_test_add_func("/sb16/single", test_single);
    g_test_add_func("/sb16/auto", test_auto);
    g_test_add_func("/sb16/high-speed", test_high_speed);
    g_test_add_func("/sb16/stall", test_stall);
    g_test_add_func("/sb16/silence-and-direct", test_silence_and_direct);
    g_test_add_func("/sb16/record", test_record);
    g_test_add_func("/sb16/places", test_places);
    g_test_add_func("/opl3/waveforms", test_waveforms);
    g_test_add_func("/opl3/levels", test_levels);
    g_test_add_func("/opl3/envelope", test_envelope);
    g_test_add_func("/opl3/modulation", test_modulation);
    g_test_add_func("/opl3/four-operators", test_four_operators);
    g_test_add_func("/opl3/rhythm", test_rhythm);
    g_test_add_func("/opl3/timers", test_timers);
    g_test_add_func("/speaker/beep", test_beep);
    g_test_add_func("/speaker/toggle", test_toggle);
    g_test_add_func("/speaker/pulses", test_pulses);
    g_test_add_func("/sb16/save", test_save);
    g_test_add_func("/sb16/abuse", test_abuse);
    return g_test_run();
}
