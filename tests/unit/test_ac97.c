/*
 * The AC'97 controller and its codec (hw/audio/ac97.c), by the 82801AA's data sheet and "Audio Codec '97" 2.2.
 */
#include "hw/audio/ac97.h"
#include "sound_bench.h"

enum { NAM = SOUND_PORTS, NABM = SOUND_PORTS + 0x100, PI = 0x00, PO = 0x10, MC = 0x20 };
enum { BDBAR = 0x0, CIV = 0x4, LVI = 0x5, SR = 0x6, PICB = 0x8, PIV = 0xa, CR = 0xb, GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };
enum { DCH = 1, CELV = 2, LVBCI = 4, BCIS = 8, RUN = 1, RESET = 2, LVBIE = 4, IOCE = 0x10 };
enum { RING_AT = 0x1000, DATA_AT = 0x10000, IOC = 0x80000000u, BUFFER = 4800 /* frames */ };

static uint32_t nabm(Sound *s, unsigned at, unsigned size) { return as_read(s->b.m->ports, NABM + at, size); }
static void nabm_put(Sound *s, unsigned at, uint32_t v, unsigned size) { as_write(s->b.m->ports, NABM + at, v, size); }
static uint16_t nam(Sound *s, unsigned at) { return as_read(s->b.m->ports, NAM + at, 2); }
static void nam_put(Sound *s, unsigned at, uint16_t v) { as_write(s->b.m->ports, NAM + at, v, 2); }

static void ac97_up(Sound *s)
{
    sound_up(s);
    sound_add(s, &ac97_type);
    sound_config(s, PCI_BAR0, NAM, 4);
    sound_config(s, PCI_BAR0 + 4, NABM, 4);
    nabm_put(s, GLOB_CNT, 2, 4);
    nam_put(s, 0x02, 0);
    nam_put(s, 0x18, 0x0808);
}

/* Buffers of a tenth of a second of 1 kHz, one after another, each with an interrupt. */
static void ring_make(Sound *s, unsigned buffers)
{
    for (unsigned i = 0; i < 32; i++) {
        st32le(sound_ram(s, RING_AT + 8 * i), DATA_AT + i % buffers * BUFFER * 4);
        st32le(sound_ram(s, RING_AT + 8 * i + 4), IOC | 2 * BUFFER);
    }
    for (unsigned i = 0; i < buffers; i++)
        sine_put(sound_ram(s, DATA_AT + i * BUFFER * 4), BUFFER, 1000, 48000, 0.5);
}

static void engine_start(Sound *s, unsigned box, unsigned lvi)
{
    nabm_put(s, box + BDBAR, RING_AT, 4);
    nabm_put(s, box + LVI, lvi, 1);
    nabm_put(s, box + CR, RUN | LVBIE | IOCE, 1);
}

static void test_identity(void)
{
    Sound s;
    ac97_up(&s);
    g_assert_cmphex(pci_bus_config_read(s.pci, 1u << 31 | SOUND_SLOT << 11, 4), ==, 0x24158086);
    g_assert_cmphex(pci_bus_config_read(s.pci, 1u << 31 | SOUND_SLOT << 11 | 8, 4) >> 8, ==, 0x040100);
    g_assert_cmphex(nabm(&s, GLOB_STA, 4) & 0x100, ==, 0x100);
    g_assert_cmphex(nabm(&s, PO + SR, 2), ==, DCH);
    g_assert_cmphex((uint32_t)nam(&s, 0x7c) << 16 | nam(&s, 0x7e), ==, 0x83847600);
    sound_down(&s);
}

/* The semaphore is taken by a read, and given back by an access to the codec (13.2.12). */
static void test_semaphore(void)
{
    Sound s;
    ac97_up(&s);
    g_assert_cmpuint(nabm(&s, CAS, 1), ==, 0);
    g_assert_cmpuint(nabm(&s, CAS, 1), ==, 1);
    nam(&s, 0);
    g_assert_cmpuint(nabm(&s, CAS, 1), ==, 0);
    sound_down(&s);
}

/* Reset values, bits that are not there, rates without and with VRA. */
static void test_codec(void)
{
    Sound s;
    ac97_up(&s);
    nam_put(&s, 0, 0);
    g_assert_cmphex(nam(&s, 0x02), ==, 0x8000);
    g_assert_cmphex(nam(&s, 0x18), ==, 0x8808);
    g_assert_cmphex(nam(&s, 0x26) & 15, ==, 15);
    nam_put(&s, 0x02, 0x2a3f);
    g_assert_cmphex(nam(&s, 0x02), ==, 0x1f1f);
    nam_put(&s, 0x2c, 22050);
    g_assert_cmpuint(nam(&s, 0x2c), ==, 48000);
    nam_put(&s, 0x2a, 1);
    nam_put(&s, 0x2c, 22050);
    g_assert_cmpuint(nam(&s, 0x2c), ==, 22050);
    nam_put(&s, 0x2c, 100);
    g_assert_cmpuint(nam(&s, 0x2c), ==, 8000);
    nam_put(&s, 0x2a, 0);
    g_assert_cmpuint(nam(&s, 0x2c), ==, 48000);
    nam_put(&s, 0x7c, 0x1234);
    g_assert_cmphex(nam(&s, 0x7c), ==, 0x8384);
    sound_down(&s);
}

/* A tune through the ring: position and interrupts at their frame, and what is heard. */
static void test_play(void)
{
    Sound s;
    ac97_up(&s);
    ring_make(&s, 4);
    run_to(&s.b, 1000);
    engine_start(&s, PO, 31);
    g_assert_cmpuint(nabm(&s, PO + PIV, 1), ==, 1);
    for (unsigned i = 1; i <= 8; i++) {
        int64_t end = 1000 + i * NS_PER_SECOND / 10;
        sound_run(&s, end - 1);
        g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, i - 1);
        g_assert_cmpuint(nabm(&s, PO + PICB, 2), ==, 2);
        g_assert_cmpint(s.irq, ==, 0);
        sound_run(&s, end);
        g_assert_cmpint(s.irq, ==, 1);
        g_assert_cmpint(s.edge_time, ==, end);
        g_assert_cmphex(nabm(&s, PO + SR, 2), ==, BCIS);
        g_assert_cmphex(nabm(&s, GLOB_STA, 4) & 0x40, ==, 0x40);
        nabm_put(&s, PO + SR, BCIS, 2);
        g_assert_cmpint(s.irq, ==, 0);
        g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, i);
        /* 100 frames on, without any event: the position is exact whenever it is read */
        at(&s.b, end + 100 * NS_PER_SECOND / 48000 + 1);
        g_assert_cmpuint(nabm(&s, PO + CIV, 4) & 0xff, ==, i);
        g_assert_cmpuint(nabm(&s, PO + PICB, 4) & 0xffff, ==, 2 * (BUFFER - 100));
    }
    assert_tone(&s, 0, 4800, 28800, 1000, 0.5, 0.001);
    assert_tone(&s, 1, 4800, 28800, 2000, 0.5, 0.001);
    assert_nothing_missed(&s);
    sound_down(&s);
}

/* Behind the last valid buffer the engine halts, and goes on when there is another. */
static void test_last_valid(void)
{
    Sound s;
    ac97_up(&s);
    ring_make(&s, 4);
    engine_start(&s, PO, 1);
    sound_run(&s, SECOND(1));
    g_assert_cmphex(nabm(&s, PO + SR, 2), ==, DCH | CELV | LVBCI | BCIS);
    g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, 1);
    g_assert_cmpuint(nabm(&s, PO + PICB, 2), ==, 0);
    assert_tone(&s, 0, 960, 7680, 1000, 0.5, 0.001);
    nabm_put(&s, PO + SR, LVBCI | BCIS, 2);
    g_assert_cmpint(s.irq, ==, 0);
    nabm_put(&s, PO + LVI, 2, 1);
    g_assert_cmphex(nabm(&s, PO + SR, 2), ==, 0);
    g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, 2);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 10);
    g_assert_cmphex(nabm(&s, PO + SR, 2), ==, DCH | CELV | LVBCI | BCIS);
    nabm_put(&s, PO + CR, 0, 1);
    nabm_put(&s, PO + CR, RESET, 1);
    g_assert_cmphex(nabm(&s, PO + CIV, 4), ==, DCH << 16);
    sound_down(&s);
}

/* Paused, it stands; then it goes on where it was. */
static void test_pause(void)
{
    Sound s;
    ac97_up(&s);
    ring_make(&s, 4);
    engine_start(&s, PO, 31);
    sound_run(&s, NS_PER_SECOND / 20);
    nabm_put(&s, PO + CR, LVBIE | IOCE, 1);
    g_assert_cmphex(nabm(&s, PO + SR, 2), ==, DCH);
    sound_run(&s, SECOND(1));
    g_assert_cmpuint(nabm(&s, PO + PICB, 2), ==, BUFFER);
    nabm_put(&s, PO + CR, RUN | LVBIE | IOCE, 1);
    g_assert_cmpuint(nabm(&s, PO + PICB, 2), ==, BUFFER);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 20);
    g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, 1);
    g_assert_cmpint(s.edge_time, ==, SECOND(1) + NS_PER_SECOND / 20);
    sound_down(&s);
}

/* Rates by VRA, volumes in steps of 1.5 dB, mute. */
static void test_rate_and_volume(void)
{
    Sound s;
    ac97_up(&s);
    ring_make(&s, 4);
    nam_put(&s, 0x2a, 1);
    nam_put(&s, 0x2c, 24000);
    nam_put(&s, 0x02, 0x0400); /* left -6 dB */
    engine_start(&s, PO, 31);
    sound_run(&s, SECOND(1));
    g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, 5);
    assert_tone(&s, 0, 4800, 24000, 500, 0.5 * 0.5012, 0.002);
    assert_tone(&s, 1, 4800, 24000, 1000, 0.5, 0.002);
    nam_put(&s, 0x18, 0x8808);
    sound_run(&s, SECOND(1) + NS_PER_SECOND / 5);
    assert_silence(&s, 48000 + 2000, 4800);
    sound_down(&s);
}

/* Line in and the microphone, which is mono. */
static void test_record(void)
{
    Sound s;
    ac97_up(&s);
    for (unsigned i = 0; i < 32; i++) {
        st32le(sound_ram(&s, RING_AT + 8 * i), DATA_AT + i * 4096);
        st32le(sound_ram(&s, RING_AT + 8 * i + 4), IOC | 2048);
    }
    s.hears = true;
    engine_start(&s, PI, 31);
    sound_run(&s, NS_PER_SECOND / 4);
    g_assert_cmpuint(nabm(&s, PI + CIV, 1), ==, 12000 / 1024);
    g_assert_cmphex(nabm(&s, GLOB_STA, 4) & 0x20, ==, 0x20);
    int16_t *frames = g_new(int16_t, 2 * 10000);
    for (unsigned i = 0; i < 20000; i++)
        frames[i] = ld16le(sound_ram(&s, DATA_AT + 2 * i));
    g_assert_cmpfloat(tone_of_frames(frames + 2 * 2400, 2, 4800, 1000, 48000), >, 0.2);
    g_free(frames);
    nabm_put(&s, PI + CR, 0, 1);
    engine_start(&s, MC, 31);
    sound_run(&s, NS_PER_SECOND / 2);
    g_assert_cmpuint(nabm(&s, MC + CIV, 1), ==, 12000 / 2048);
    g_assert_cmphex(nabm(&s, GLOB_STA, 4) & 0x80, ==, 0x80);
    sound_down(&s);
}

/* Empty descriptors are passed over, and a ring of nothing else ends. */
static void test_empty(void)
{
    Sound s;
    ac97_up(&s);
    ring_make(&s, 1);
    for (unsigned i = 1; i < 31; i++)
        st32le(sound_ram(&s, RING_AT + 8 * i + 4), 0);
    engine_start(&s, PO, 31);
    sound_run(&s, NS_PER_SECOND / 10);
    sound_run(&s, NS_PER_SECOND / 10 + 1000000);
    g_assert_cmpuint(nabm(&s, PO + CIV, 1), ==, 31);
    memset(sound_ram(&s, RING_AT), 0, 256);
    nabm_put(&s, PO + CR, RESET, 1);
    engine_start(&s, PO, 30);
    sound_run(&s, SECOND(1));
    g_assert_cmphex(nabm(&s, PO + SR, 2) & (DCH | CELV), ==, DCH | CELV);
    sound_down(&s);
}

static void test_save(void)
{
    Sound one, two;
    ac97_up(&one);
    ring_make(&one, 4);
    nam_put(&one, 0x2a, 1);
    nam_put(&one, 0x2c, 44100);
    engine_start(&one, PO, 31);
    st32le(sound_ram(&one, RING_AT + 8 * 31), 0x100000);
    engine_start(&one, MC, 31);
    nabm_put(&one, MC + CR, RESET, 1);
    nabm_put(&one, MC + BDBAR, RING_AT + 8 * 31, 4);
    nabm_put(&one, MC + CR, RUN | IOCE, 1);
    sound_run(&one, 333333333);
    ac97_up(&two);
    assert_goes_on_alike(&one, &two, SECOND(1));
    g_assert_cmpuint(nabm(&two, PO + PICB, 2), ==, nabm(&one, PO + PICB, 2));
    assert_tone(&two, 0, heard_count(&two) - 9600, 4410, 918.75, 0.5, 0.2);
    assert_nothing_missed(&two);
    sound_down(&one);
    sound_down(&two);
}

/* Anything written anywhere, with rings of anything, and time that passes. */
static void test_abuse(void)
{
    for (unsigned seed = 0; seed < 40; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Sound s, other;
        ac97_up(&s);
        for (unsigned i = 0; i < 256; i++)
            *sound_ram(&s, RING_AT + i) = g_rand_int(rand);
        for (unsigned i = 0; i < 400; i++) {
            unsigned size = 1u << g_rand_int_range(rand, 0, 3), port = g_rand_int_range(rand, 0, 0x140);
            uint32_t v = g_rand_boolean(rand) ? g_rand_int(rand) : (uint32_t)g_rand_int_range(rand, 0, 0x20);
            if (g_rand_int_range(rand, 0, 4))
                as_write(s.b.m->ports, NAM + port, (port & 0xf) == 0 && port >= 0x100 ? RING_AT : v, size);
            else
                as_read(s.b.m->ports, NAM + port, size);
            if (i % 8 == 0)
                sound_run(&s, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(rand, 0, 20000000));
        }
        ac97_up(&other);
        assert_goes_on_alike(&s, &other, clock_now(s.b.m->clocks, MYNA_CLOCK_VIRTUAL) + 50000000);
        sound_down(&s);
        sound_down(&other);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ac97/identity", test_identity);
    g_test_add_func("/ac97/semaphore", test_semaphore);
    g_test_add_func("/ac97/codec", test_codec);
    g_test_add_func("/ac97/play", test_play);
    g_test_add_func("/ac97/last-valid", test_last_valid);
    g_test_add_func("/ac97/pause", test_pause);
    g_test_add_func("/ac97/rate-and-volume", test_rate_and_volume);
    g_test_add_func("/ac97/record", test_record);
    g_test_add_func("/ac97/empty", test_empty);
    g_test_add_func("/ac97/save", test_save);
    g_test_add_func("/ac97/abuse", test_abuse);
    return g_test_run();
}
