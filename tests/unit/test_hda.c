/*
 * Intel HD Audio (hw/audio/hda*.c), by the "High Definition Audio Specification" 1.0a.
 */
#include "hw/audio/hda.h"
#include "sound_bench.h"

enum { GCTL = 0x08, STATESTS = 0x0e, INTCTL = 0x20, INTSTS = 0x24, WALCLK = 0x30, CORBLBASE = 0x40, CORBWP = 0x48, CORBRP = 0x4a,
       CORBCTL = 0x4c, RIRBLBASE = 0x50, RIRBWP = 0x58, RINTCNT = 0x5a, RIRBCTL = 0x5c, RIRBSTS = 0x5d, IC = 0x60, IR = 0x64,
       ICS = 0x68, DPLBASE = 0x70, OUT0 = 0x100, IN0 = 0x80 };
enum { CTL = 0x00, STS = 0x03, LPIB = 0x04, CBL = 0x08, LVI = 0x0c, FMT = 0x12, BDPL = 0x18 };
enum { CORB_AT = 0x1000, RIRB_AT = 0x2000, BDL_AT = 0x3000, POSITIONS_AT = 0x4000, DATA_AT = 0x10000, BUFFER = 4800 };
enum { RUN = 2, IOCE = 4, BCIS = 4, TAG = 5, DAC = 2, PIN = 3, ADC = 4 };
enum { FORMAT_48K_S16_STEREO = 0x0011, FORMAT_44K1_S16_STEREO = 0x4011 };

static uint32_t get(Sound *s, unsigned at, unsigned size) { return as_read(s->b.m->memory, SOUND_MEMORY + at, size); }
static void put(Sound *s, unsigned at, uint32_t v, unsigned size) { as_write(s->b.m->memory, SOUND_MEMORY + at, v, size); }

/* By the immediate command registers (3.4.3). */
static uint32_t verb(Sound *s, unsigned node, uint32_t command)
{
    put(s, ICS, 2, 2);
    put(s, IC, node << 20 | command, 4);
    put(s, ICS, 1, 2);
    g_assert_cmphex(get(s, ICS, 2), ==, 2);
    return get(s, IR, 4);
}

static void hda_up(Sound *s, const DeviceType *codec)
{
    sound_up(s);
    sound_add(s, &intel_hda_type);
    bench_add(&s->b, codec, NULL, NULL);
    sound_config(s, PCI_BAR0, SOUND_MEMORY, 4);
    put(s, GCTL, 1, 4);
    put(s, INTCTL, 0xc00000ff, 4);
}

/* Four buffers of a tenth of a second; the converter listens to the stream's tag at full volume. */
static void stream_start(Sound *s, unsigned at, uint16_t format)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *entry = sound_ram(s, BDL_AT + 16 * i);
        st64le(entry, DATA_AT + i * BUFFER * 4);
        st32le(entry + 8, BUFFER * 4);
        st32le(entry + 12, 1);
        if (at == OUT0)
            sine_put(sound_ram(s, DATA_AT + i * BUFFER * 4), BUFFER, 1000, 48000, 0.5);
    }
    verb(s, DAC, 0x20000 | format);
    verb(s, DAC, 0x70600 | TAG << 4);
    verb(s, ADC, 0x70600 | TAG << 4);
    put(s, at + CBL, 4 * BUFFER * 4, 4);
    put(s, at + LVI, 3, 2);
    put(s, at + FMT, format, 2);
    put(s, at + BDPL, BDL_AT, 4);
    put(s, at + CTL, TAG << 20 | IOCE | RUN, 4);
}

static void test_identity(void)
{
    Sound s;
    hda_up(&s, &hda_duplex_type);
    g_assert_cmphex(pci_bus_config_read(s.pci, 1u << 31 | SOUND_SLOT << 11, 4), ==, 0x26688086);
    g_assert_cmphex(get(&s, 0, 2), ==, 0x4401);
    g_assert_cmphex(get(&s, 2, 2), ==, 0x0100);
    g_assert_cmphex(get(&s, STATESTS, 2), ==, 1);
    put(&s, STATESTS, 1, 2);
    g_assert_cmphex(get(&s, STATESTS, 2), ==, 0);
    put(&s, GCTL, 0, 4);
    put(&s, CORBLBASE, CORB_AT, 4);
    g_assert_cmphex(get(&s, CORBLBASE, 4), ==, 0);
    put(&s, GCTL, 1, 4);
    g_assert_cmphex(get(&s, STATESTS, 2), ==, 1);
    sound_down(&s);
}

/* The wall clock has 24 MHz from the end of a reset on, and is seen again at 2030h. */
static void test_wall_clock(void)
{
    Sound s;
    hda_up(&s, &hda_output_type);
    at(&s.b, SECOND(2));
    put(&s, GCTL, 0, 4);
    put(&s, GCTL, 1, 4);
    at(&s.b, SECOND(3));
    g_assert_cmpuint(get(&s, WALCLK, 4), ==, 24000000);
    g_assert_cmpuint(get(&s, 0x2000 + WALCLK, 4), ==, 24000000);
    sound_down(&s);
}

/* What each codec says that it is (7.3.4). */
static void test_codecs(void)
{
    static const struct { const DeviceType *type; unsigned widgets; } rows[] = {
        { &hda_output_type, 2 }, { &hda_duplex_type, 4 }, { &hda_micro_type, 4 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Sound s;
        hda_up(&s, rows[i].type);
        g_assert_cmphex(verb(&s, 0, 0xf0000) >> 16, ==, 0x1af4);
        g_assert_cmphex(verb(&s, 0, 0xf0004), ==, 0x00010001);
        g_assert_cmphex(verb(&s, 1, 0xf0005), ==, 1);
        g_assert_cmphex(verb(&s, 1, 0xf0004), ==, 0x00020000 | rows[i].widgets);
        g_assert_cmphex(verb(&s, DAC, 0xf0009) >> 20, ==, 0);
        g_assert_cmphex(verb(&s, PIN, 0xf0009) >> 20, ==, 4);
        g_assert_cmphex(verb(&s, PIN, 0xf0200), ==, DAC);
        g_assert_cmphex(verb(&s, DAC, 0xf000a), ==, 0x001a07ff);
        g_assert_cmphex(verb(&s, 2 + rows[i].widgets, 0xf0009), ==, 0);
        sound_down(&s);
    }
}

/* Gains and formats are kept, left and right apart (7.3.3.7). */
static void test_amplifier(void)
{
    Sound s;
    hda_up(&s, &hda_duplex_type);
    verb(&s, DAC, 0x3a010);
    verb(&s, DAC, 0x390a0);
    g_assert_cmphex(verb(&s, DAC, 0xba000), ==, 0x10);
    g_assert_cmphex(verb(&s, DAC, 0xb8000), ==, 0xa0);
    verb(&s, DAC, 0x3b07f);
    g_assert_cmphex(verb(&s, DAC, 0xb8000), ==, 74);
    verb(&s, DAC, 0x24011);
    g_assert_cmphex(verb(&s, DAC, 0xa0000), ==, 0x4011);
    verb(&s, PIN, 0x71c12);
    verb(&s, PIN, 0x71f34);
    g_assert_cmphex(verb(&s, PIN, 0xf1c00) & 0xff0000ff, ==, 0x34000012);
    sound_down(&s);
}

/* Commands by ring, their responses by ring, and the interrupt that says so (3.3.18 to 3.3.29). */
static void test_rings(void)
{
    Sound s;
    hda_up(&s, &hda_duplex_type);
    st32le(sound_ram(&s, CORB_AT + 4), 0x000f0000);
    st32le(sound_ram(&s, CORB_AT + 8), 0x100f0000); /* nobody is at address 1: no response */
    st32le(sound_ram(&s, CORB_AT + 12), 0x002f0009);
    put(&s, CORBLBASE, CORB_AT, 4);
    put(&s, RIRBLBASE, RIRB_AT, 4);
    put(&s, CORBRP, 0x8000, 2);
    g_assert_cmphex(get(&s, CORBRP, 2), ==, 0x8000);
    put(&s, CORBRP, 0, 2);
    put(&s, RIRBWP, 0x8000, 2);
    put(&s, RINTCNT, 1, 2);
    put(&s, RIRBCTL, 3, 1);
    put(&s, CORBCTL, 2, 1);
    put(&s, CORBWP, 3, 2);
    g_assert_cmphex(get(&s, CORBRP, 2), ==, 3);
    g_assert_cmphex(get(&s, RIRBWP, 2), ==, 2);
    g_assert_cmphex(ld32le(sound_ram(&s, RIRB_AT + 8)), ==, 0x1af40022);
    g_assert_cmphex(ld32le(sound_ram(&s, RIRB_AT + 16)), ==, 0x0000001d);
    g_assert_cmphex(get(&s, RIRBSTS, 1), ==, 1);
    g_assert_cmphex(get(&s, INTSTS, 4), ==, 0xc0000000);
    g_assert_cmpint(s.irq, ==, 1);
    put(&s, RIRBSTS, 1, 1);
    g_assert_cmpint(s.irq, ==, 0);
    g_assert_cmphex(get(&s, INTSTS, 4), ==, 0);
    sound_down(&s);
}

static void test_play(void)
{
    Sound s;
    hda_up(&s, &hda_output_type);
    run_to(&s.b, 777);
    put(&s, DPLBASE, POSITIONS_AT | 1, 4);
    stream_start(&s, OUT0, FORMAT_48K_S16_STEREO);
    for (unsigned i = 1; i <= 8; i++) {
        int64_t end = 777 + i * NS_PER_SECOND / 10;
        sound_run(&s, end - 1);
        g_assert_cmpint(s.irq, ==, 0);
        g_assert_cmpuint(get(&s, OUT0 + LPIB, 4), ==, (i % 4 ? i % 4 : 4) * BUFFER * 4 - 4);
        sound_run(&s, end);
        g_assert_cmpint(s.irq, ==, 1);
        g_assert_cmpint(s.edge_time, ==, end);
        g_assert_cmphex(get(&s, INTSTS, 4), ==, 0x80000010);
        g_assert_cmpuint(get(&s, OUT0 + LPIB, 4), ==, i % 4 * BUFFER * 4);
        g_assert_cmpuint(ld32le(sound_ram(&s, POSITIONS_AT + 8 * 4)), ==, i % 4 * BUFFER * 4);
        put(&s, OUT0 + STS, BCIS, 1);
        g_assert_cmpint(s.irq, ==, 0);
        at(&s.b, end + 100 * NS_PER_SECOND / 48000 + 1);
        g_assert_cmpuint(get(&s, 0x2004 + OUT0, 4), ==, i % 4 * BUFFER * 4 + 400);
    }
    assert_tone(&s, 0, 4800, 28800, 1000, 0.5, 0.001);
    assert_tone(&s, 1, 4800, 28800, 2000, 0.5, 0.001);
    assert_nothing_missed(&s);
    put(&s, OUT0 + CTL, 1, 1);
    g_assert_cmphex(get(&s, OUT0 + CTL, 4), ==, 1);
    g_assert_cmpuint(get(&s, OUT0 + LPIB, 4), ==, 0);
    sound_down(&s);
}

/* Rates and sizes by the format register (3.7.1): 96 kHz of 24 bits, left-justified, in one channel. */
static void test_format(void)
{
    Sound s;
    hda_up(&s, &hda_output_type);
    stream_start(&s, OUT0, 0x0830);
    for (unsigned i = 0; i < 4 * BUFFER; i++)
        st32le(sound_ram(&s, DATA_AT + 4 * i), (uint32_t)(int32_t)lrint(1e9 * sin(2 * G_PI * 1000 * i / 96000)));
    sound_run(&s, NS_PER_SECOND / 2);
    g_assert_cmpuint(get(&s, OUT0 + LPIB, 4), ==, 48000 * 4 % (4 * BUFFER * 4));
    assert_tone(&s, 0, 4800, 14400, 1000, 1e9 / 2147483648.0, 0.001);
    sound_down(&s);
}

/* Gain, mute, the pin's switch, and a converter that listens to another tag. */
static void test_volume(void)
{
    static const struct { unsigned node; uint32_t command; double left; } rows[] = {
        { DAC, 0x3a000 | (74 - 6), 0.5 * 0.5012 }, { DAC, 0x3a0ca, 0 }, { DAC, 0x3a04a, 0.5 }, { PIN, 0x70700, 0 },
        { PIN, 0x70740, 0.5 }, { DAC, 0x70600 | (TAG + 1) << 4, 0 },
    };
    Sound s;
    hda_up(&s, &hda_output_type);
    stream_start(&s, OUT0, FORMAT_48K_S16_STEREO);
    sound_run(&s, NS_PER_SECOND / 10);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        verb(&s, rows[i].node, rows[i].command);
        sound_run(&s, (i + 2) * NS_PER_SECOND / 10);
        g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, (i + 1) * 4800 + 480, 3840, 1000), rows[i].left, 0.001);
    }
    sound_down(&s);
}

static void test_record(void)
{
    Sound s;
    hda_up(&s, &hda_duplex_type);
    s.hears = true;
    stream_start(&s, IN0, FORMAT_44K1_S16_STEREO);
    sound_run(&s, NS_PER_SECOND / 4);
    g_assert_cmpuint(get(&s, IN0 + LPIB, 4), ==, 11025 * 4);
    int16_t *frames = g_new(int16_t, 2 * 11025);
    for (unsigned i = 0; i < 2 * 11025; i++)
        frames[i] = ld16le(sound_ram(&s, DATA_AT + 2 * i));
    g_assert_cmpfloat(tone_of_frames(frames + 2 * 2205, 2, 4410, 1000, 44100), >, 0.25);
    g_free(frames);
    sound_down(&s);
}

/* A list without a byte is a descriptor error, and no endless search. */
static void test_empty_list(void)
{
    Sound s;
    hda_up(&s, &hda_output_type);
    stream_start(&s, OUT0, FORMAT_48K_S16_STEREO);
    put(&s, OUT0 + CTL, 1, 1);
    put(&s, OUT0 + CTL, 0, 1);
    memset(sound_ram(&s, BDL_AT), 0, 64);
    put(&s, OUT0 + BDPL, BDL_AT, 4);
    put(&s, OUT0 + LVI, 3, 2);
    put(&s, OUT0 + CTL, TAG << 20 | 0x1e, 4);
    sound_run(&s, NS_PER_SECOND / 10);
    g_assert_cmphex(get(&s, OUT0 + STS, 1) & 0x10, ==, 0x10);
    g_assert_cmpint(s.irq, ==, 1);
    sound_down(&s);
}

static void test_places(void)
{
    g_autoptr(GError) err = NULL;
    Sound s;
    sound_up(&s);
    g_assert_null(device_add(s.b.m, &hda_output_type, NULL, &err, NULL));
    g_assert_nonnull(strstr(err->message, "-device intel-hda"));
    g_clear_error(&err);
    g_assert_nonnull(device_add(s.b.m, &ich9_intel_hda_type, "h", &err, NULL));
    g_assert_nonnull(device_add(s.b.m, &hda_output_type, "one", &err, "bus", "h.0", "cad", "3", "audiodev", "snd", NULL));
    g_assert_null(device_add(s.b.m, &hda_output_type, NULL, &err, "bus", "h.0", "cad", "3", NULL));
    g_assert_nonnull(strstr(err->message, "cad=3 is 'one'"));
    g_clear_error(&err);
    g_assert_null(device_add(s.b.m, &hda_output_type, NULL, &err, "bus", "x.0", NULL));
    g_clear_error(&err);
    g_assert_nonnull(device_add(s.b.m, &hda_micro_type, NULL, &err, NULL));
    sound_down(&s);
}

static void test_save(void)
{
    Sound one, two;
    hda_up(&one, &hda_duplex_type);
    stream_start(&one, OUT0, FORMAT_44K1_S16_STEREO);
    put(&one, DPLBASE, POSITIONS_AT | 1, 4);
    verb(&one, DAC, 0x3b044);
    sound_run(&one, 333333333);
    hda_up(&two, &hda_duplex_type);
    assert_goes_on_alike(&one, &two, SECOND(1));
    g_assert_cmpuint(get(&two, OUT0 + LPIB, 4), ==, get(&one, OUT0 + LPIB, 4));
    assert_tone(&two, 0, heard_count(&two) - 9600, 4410, 918.75, 0.25, 0.2);
    assert_nothing_missed(&two);
    sound_down(&one);
    sound_down(&two);
}

static void test_abuse(void)
{
    for (unsigned seed = 0; seed < 40; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Sound s, other;
        hda_up(&s, &hda_duplex_type);
        for (unsigned i = 0; i < 1024; i++)
            *sound_ram(&s, CORB_AT + i) = g_rand_int(rand) & (i % 4 == 3 ? 0x0f : 0xff);
        for (unsigned i = 0; i < 256; i++)
            *sound_ram(&s, BDL_AT + i) = g_rand_int(rand) & (i % 16 < 3 || i % 16 == 8 || i % 16 == 12 ? 0xff : 0);
        for (unsigned i = 0; i < 600; i++) {
            unsigned size = 1u << g_rand_int_range(rand, 0, 3), reg = g_rand_int_range(rand, 0, 0x190);
            uint32_t v = g_rand_boolean(rand) ? g_rand_int(rand) : (uint32_t)g_rand_int_range(rand, 0, 0x100);
            if (reg / 4 == GCTL / 4 && g_rand_int_range(rand, 0, 8))
                v |= 1;
            if ((reg & 0x1c) == BDPL || reg / 4 == CORBLBASE / 4)
                v = g_rand_boolean(rand) ? BDL_AT : CORB_AT;
            if (g_rand_int_range(rand, 0, 4))
                put(&s, reg, v, size);
            else
                get(&s, reg, size);
            if (i % 8 == 0)
                sound_run(&s, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(rand, 0, 10000000));
        }
        hda_up(&other, &hda_duplex_type);
        assert_goes_on_alike(&s, &other, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + 50000000);
        sound_down(&s);
        sound_down(&other);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hda/identity", test_identity);
    g_test_add_func("/hda/wall-clock", test_wall_clock);
    g_test_add_func("/hda/codecs", test_codecs);
    g_test_add_func("/hda/amplifier", test_amplifier);
    g_test_add_func("/hda/rings", test_rings);
    g_test_add_func("/hda/play", test_play);
    g_test_add_func("/hda/format", test_format);
    g_test_add_func("/hda/volume", test_volume);
    g_test_add_func("/hda/record", test_record);
    g_test_add_func("/hda/empty-list", test_empty_list);
    g_test_add_func("/hda/places", test_places);
    g_test_add_func("/hda/save", test_save);
    g_test_add_func("/hda/abuse", test_abuse);
    return g_test_run();
}
