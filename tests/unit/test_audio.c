/*
 * Voices in the virtual clock's time, and their way to a driver (backends/audio).
 */
#include <glib/gstdio.h>
#include <stdio.h>

#include "sound_bench.h"

/* ---- a device that plays a tone, or records ---- */

typedef struct Player {
    Sound *sound;
    AudioVoice voice;
    uint64_t frames;
    double hz, amplitude;
    unsigned every, left;    /* asks to be called at each so many frames, if not 0 */
    unsigned calls_on_time, calls_late;
    int64_t started;
    GArray *recorded;        /* int16_t, mono */
} Player;

static unsigned player_wanted(void *opaque)
{
    return ((Player *)opaque)->left;
}

static void player_event(Player *p, unsigned count)
{
    uint32_t rate = p->voice.settings.rate;
    int64_t now = clock_now(p->sound->b.m->clocks, MYNA_CLOCK_VIRTUAL);
    if (!p->every)
        return;
    g_assert_cmpuint(count, <=, p->left);
    p->left -= count;
    if (p->left)
        return;
    p->left = p->every;
    int64_t exact = p->started + (p->frames * NS_PER_SECOND + rate - 1) / rate;
    if (now == exact)
        p->calls_on_time++;
    else
        p->calls_late++;
}

static unsigned player_play(void *opaque, uint8_t *frames, unsigned count)
{
    Player *p = opaque;
    g_assert_cmpuint(count, >, 0);
    for (unsigned i = 0; i < count; i++) {
        double x = p->amplitude * sin(2 * G_PI * p->hz * (p->frames + i) / p->voice.settings.rate);
        st16le(frames + 4 * i, (int)lrint(32767 * x));
        st16le(frames + 4 * i + 2, (int)lrint(32767 * x));
    }
    p->frames += count;
    player_event(p, count);
    return count;
}

static unsigned player_record(void *opaque, uint8_t *frames, unsigned count)
{
    Player *p = opaque;
    for (unsigned i = 0; i < count; i++) {
        int16_t v = ld16le(frames + 2 * i);
        g_array_append_val(p->recorded, v);
    }
    p->frames += count;
    return count;
}

static const AudioVoiceOps play_ops = { .transfer = player_play, .wanted = player_wanted };
static const AudioVoiceOps record_ops = { .recording = true, .transfer = player_record };

static void player_up(Player *p, Sound *s, uint32_t rate, double hz)
{
    AudioSettings a = { .rate = rate, .format = AUDIO_S16, .channels = 2 };
    *p = (Player){ .sound = s, .hz = hz, .amplitude = 0.5 };
    audio_voice_init(&p->voice, s->b.m, NULL, "player", &play_ops, p);
    audio_voice_set(&p->voice, &a);
}

static void player_start(Player *p)
{
    p->started = clock_now(p->sound->b.m->clocks, MYNA_CLOCK_VIRTUAL);
    audio_voice_run(&p->voice, true);
}

/* ---- tests ---- */

/* However time passes, floor(time * rate) frames have been asked for, no more and no fewer. */
static void test_exact(void)
{
    static const uint32_t rates[] = { 5512, 8000, 11025, 22050, 44100, 48000, 49716, 96000, 192000 };
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
        Sound s;
        Player p;
        sound_up(&s);
        player_up(&p, &s, rates[i], 440);
        run_to(&s.b, 123456789);
        player_start(&p);
        for (int64_t t = 123456789; t < SECOND(8); t += g_rand_int_range(rand, 1, 300000000)) {
            run_to(&s.b, t);
            audio_voice_sync(&p.voice);
            g_assert_cmpuint(p.frames, ==, muldiv64(t - p.started, rates[i], NS_PER_SECOND));
        }
        audio_voice_exit(&p.voice);
        sound_down(&s);
    }
}

/* A device is called at the nanosecond at which the frame that it waits for is due. */
static void test_events(void)
{
    static const unsigned every[] = { 7, 441, 1000, 4096, 50000 };
    for (unsigned i = 0; i < G_N_ELEMENTS(every); i++) {
        Sound s;
        Player p;
        sound_up(&s);
        player_up(&p, &s, 44100, 440);
        p.every = p.left = every[i];
        run_to(&s.b, 5);
        player_start(&p);
        sound_run(&s, SECOND(3));
        g_assert_cmpuint(p.calls_late, ==, 0);
        g_assert_cmpuint(p.calls_on_time, ==, p.frames / every[i]);
        g_assert_cmpuint(p.calls_on_time, >, 1);
        audio_voice_exit(&p.voice);
        sound_down(&s);
    }
}

/* A guest that wants to be told of each frame cannot keep the host busy. */
static void test_event_flood(void)
{
    Sound s;
    Player p;
    unsigned fired = 0;
    sound_up(&s);
    player_up(&p, &s, 192000, 440);
    p.every = p.left = 1;
    player_start(&p);
    for (int64_t next; (next = timer_deadline(s.back->timer)) < SECOND(1); fired++)
        run_to(&s.b, next);
    g_assert_cmpuint(fired, <=, 20500);
    g_assert_cmpuint(p.calls_on_time + p.calls_late, ==, p.frames);
    audio_voice_exit(&p.voice);
    sound_down(&s);
}

/* What the host was too late for is not made up for without end. */
static void test_late(void)
{
    Sound s;
    Player p;
    sound_up(&s);
    player_up(&p, &s, 48000, 440);
    player_start(&p);
    sound_run(&s, SECOND(1));
    run_to(&s.b, SECOND(100000));
    g_assert_cmpuint(p.frames, <=, 48000 * 4);
    g_assert_cmpuint(heard_count(&s), <=, 48000 * 4);
    audio_voice_exit(&p.voice);
    sound_down(&s);
}

/* At any rate a tone comes out as it went in. */
static void test_resample(void)
{
    static const uint32_t rates[] = { 8000, 11025, 22050, 32000, 44100, 48000, 49716, 88200, 96000, 192000 };
    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
        Sound s;
        Player p;
        sound_up(&s);
        player_up(&p, &s, rates[i], 1000);
        player_start(&p);
        sound_run(&s, SECOND(1));
        assert_tone(&s, 0, 4800, 24000, 1000, 0.5, 0.001);
        assert_tone(&s, 1, 4800, 24000, 1000, 0.5, 0.001);
        g_assert_cmpuint(heard_count(&s), ==, SOUND_RATE);
        assert_nothing_missed(&s);
        audio_voice_exit(&p.voice);
        sound_down(&s);
    }
}

/* What the output's rate cannot hold is not heard as something else. */
static void test_alias(void)
{
    Sound s;
    Player p;
    sound_up(&s);
    player_up(&p, &s, 96000, 30000);
    player_start(&p);
    sound_run(&s, SECOND(1));
    g_assert_cmpfloat(heard_rms(&s, 0, 4800, 24000), <, 0.001);
    audio_voice_exit(&p.voice);
    sound_down(&s);
}

/* Two voices are added, and what is too loud is cut, not wrapped. */
static void test_mix(void)
{
    Sound s;
    Player one, two;
    sound_up(&s);
    player_up(&one, &s, 48000, 1000);
    player_up(&two, &s, 44100, 3000);
    one.amplitude = two.amplitude = 0.25;
    player_start(&one);
    player_start(&two);
    sound_run(&s, SECOND(1) / 2);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 14400, 1000), 0.25, 0.001);
    g_assert_cmpfloat_with_epsilon(heard_tone(&s, 0, 4800, 14400, 3000), 0.25, 0.001);
    one.amplitude = two.amplitude = 1;
    two.hz = 1000;
    g_array_set_size(s.heard, 0);
    sound_run(&s, SECOND(1));
    int most = 0;
    for (unsigned i = 0; i < s.heard->len; i++)
        most = MAX(most, abs(g_array_index(s.heard, int16_t, i)));
    g_assert_cmpint(most, >=, 32767);
    g_assert_cmpfloat(heard_tone(&s, 0, 4800, 14400, 1000), >, 0.7);
    audio_voice_exit(&one.voice);
    audio_voice_exit(&two.voice);
    sound_down(&s);
}

/* Volume is exact and by side; a voice that stops is heard to its end, and then nothing is. */
static void test_volume_and_end(void)
{
    Sound s;
    Player p;
    sound_up(&s);
    player_up(&p, &s, 44100, 1000);
    audio_voice_set_volume(&p.voice, AUDIO_VOLUME_FULL / 2, 0);
    player_start(&p);
    sound_run(&s, SECOND(1) / 2);
    assert_tone(&s, 0, 4800, 9600, 1000, 0.25, 0.001);
    g_assert_cmpfloat(heard_rms(&s, 1, 0, 24000), ==, 0);
    audio_voice_run(&p.voice, false);
    sound_run(&s, SECOND(1));
    g_assert_false(s.back->active);
    g_assert_false(timer_armed(s.back->timer));
    g_assert_cmpuint(heard_count(&s), >=, 24000);
    g_assert_cmpuint(heard_count(&s), <, 26000);
    g_assert_cmpuint(p.frames, ==, 22050);
    player_start(&p);
    g_assert_cmpuint(s.silent, ==, SOUND_RATE - heard_count(&s));
    audio_voice_exit(&p.voice);
    sound_down(&s);
}

/* A device that stops between two blocks and starts again at once is heard without a gap. */
static void test_restart(void)
{
    Sound s;
    Player p;
    int64_t t = 0;
    sound_up(&s);
    player_up(&p, &s, 22050, 500);
    player_start(&p);
    for (unsigned i = 0; i < 200; i++) {
        t += NS_PER_SECOND / 200;
        sound_run(&s, t);
        audio_voice_run(&p.voice, false);
        t += 1000;
        sound_run(&s, t);
        audio_voice_run(&p.voice, true);
    }
    g_assert_cmpfloat_with_epsilon(heard_rms(&s, 0, 4800, 38400), 0.5 / G_SQRT2, 0.005);
    assert_nothing_missed(&s);
    audio_voice_exit(&p.voice);
    sound_down(&s);
}

/* Samples of each format, and where each channel is heard. */
static void test_formats(void)
{
    static const struct { uint8_t format, bytes[4]; float value; } rows[] = {
        { AUDIO_U8, { 0x80 }, 0 },        { AUDIO_U8, { 0xc0 }, 0.5f },           { AUDIO_U8, { 0x00 }, -1 },
        { AUDIO_S8, { 0x40 }, 0.5f },     { AUDIO_S8, { 0x80 }, -1 },             { AUDIO_U16, { 0x00, 0x80 }, 0 },
        { AUDIO_U16, { 0x00, 0xc0 }, 0.5f }, { AUDIO_S16, { 0x00, 0xc0 }, -0.5f }, { AUDIO_S20, { 0, 0, 0x04, 0 }, 0.5f },
        { AUDIO_S20, { 0, 0, 0xfc, 0xff }, -0.5f }, { AUDIO_S24, { 0, 0, 0x40, 0 }, 0.5f },
        { AUDIO_S24, { 0, 0, 0x80, 0xff }, -1 }, { AUDIO_S32, { 0, 0, 0, 0x40 }, 0.5f }, { AUDIO_S32, { 0, 0, 0, 0x80 }, -1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        AudioSettings a = { .rate = 48000, .format = rows[i].format, .channels = 1 };
        uint8_t back[4] = { 0 };
        float out[2];
        audio_to_float(&a, rows[i].bytes, 1, out);
        g_assert_cmpfloat(out[0], ==, rows[i].value);
        g_assert_cmpfloat(out[1], ==, rows[i].value);
        audio_from_float(&a, out, 1, back);
        unsigned significant = rows[i].format == AUDIO_S20 ? 2 : rows[i].format == AUDIO_S24 ? 3 : audio_frame_size(&a);
        g_assert_cmpmem(back, significant, rows[i].bytes, significant);
    }
    const uint8_t surround[11] = { [5] = 0x40 };
    AudioSettings six = { .rate = 48000, .format = AUDIO_S8, .channels = 6 };
    for (unsigned c = 0; c < 6; c++) {
        static const float rear_first[6][2] = { { 0.5f, 0 }, { 0, 0.5f }, { 0.3535f, 0 }, { 0, 0.3535f }, { 0.3535f, 0.3535f },
                                               { 0, 0 } };
        float out[2];
        audio_to_float(&six, surround + 5 - c, 1, out);
        g_assert_cmpfloat_with_epsilon(out[0], rear_first[c][0], 0.001);
        g_assert_cmpfloat_with_epsilon(out[1], rear_first[c][1], 0.001);
    }
}

static void test_volume_steps(void)
{
    g_assert_cmpuint(audio_volume_from_attenuation(0), ==, AUDIO_VOLUME_FULL);
    g_assert_cmpuint(audio_volume_from_attenuation(24), ==, 32846);  /* -6 dB */
    g_assert_cmpuint(audio_volume_from_attenuation(80), ==, 6554);   /* -20 dB */
    g_assert_cmpuint(audio_volume_from_attenuation(-48), ==, 260904); /* +12 dB */
    g_assert_cmpuint(audio_volume_from_attenuation(384), ==, 0);
    g_assert_cmpuint(audio_volume_from_attenuation(-100000), ==, audio_volume_from_attenuation(-96));
}

/* What a driver hears is recorded at the voice's rate and in its time; one that has no ears gives silence. */
static void test_recording(void)
{
    for (unsigned deaf = 0; deaf < 2; deaf++) {
        AudioSettings a = { .rate = 16000, .format = AUDIO_S16, .channels = 1 };
        AudioOptions options = { .id = (char *)"deaf" };
        Sound s;
        Player p = { .recorded = g_array_new(FALSE, FALSE, sizeof(int16_t)) };
        sound_up(&s);
        s.hears = true;
        AudioBackend *other = audio_backend_new(s.b.m, &audio_kind_none, &options, NULL);
        audio_voice_init(&p.voice, s.b.m, deaf ? other : s.back, "recorder", &record_ops, &p);
        audio_voice_set(&p.voice, &a);
        audio_voice_run(&p.voice, true);
        for (int64_t t = 0; t <= SECOND(1); t += 5000000) {
            run_to(&s.b, t);
            audio_voice_sync(&p.voice);
        }
        g_assert_cmpuint(p.frames, ==, 16000);
        double tone = tone_of_frames((int16_t *)(void *)p.recorded->data + 8000, 1, 8000, 1000, 16000);
        if (deaf)
            g_assert_cmpfloat(tone, ==, 0);
        else /* the first harmonic of a square wave of 8000 / 32768 */
            g_assert_cmpfloat_with_epsilon(tone, 4 / G_PI * 8000 / 32768, 0.01);
        audio_voice_exit(&p.voice);
        g_array_unref(p.recorded);
        sound_down(&s);
    }
}

/* ---- the file ---- */

static uint32_t file_word(const char *data, unsigned at) { return ld32le((const uint8_t *)data + at); }

/* Frame n is what sounds at n / rate, and the header is right each second, also if nobody closes the file. */
static void test_wav(void)
{
    g_autofree char *dir = g_dir_make_tmp("myna-XXXXXX", NULL), *path = g_build_filename(dir, "a,b.wav", NULL), *data = NULL;
    g_autofree char *comma = g_build_filename(dir, "a,,b.wav", NULL);
    g_autofree char *text = g_strdup_printf("wav,id=w,out.frequency=44100,path=%s", comma);
    g_autoptr(GError) err = NULL;
    gsize size;
    Sound s;
    Player p;
    sound_up(&s);
    audio_open(s.b.m, text, &err);
    g_assert_no_error(err);
    player_up(&p, &s, 44100, 1000);
    audio_voice_exit(&p.voice);
    AudioSettings a = { .rate = 44100, .format = AUDIO_S16, .channels = 2 };
    audio_voice_init(&p.voice, s.b.m, audio_find(s.b.m, "w"), "player", &play_ops, &p);
    audio_voice_set(&p.voice, &a);
    run_to(&s.b, SECOND(1));
    player_start(&p);
    for (int64_t t = SECOND(1); t <= SECOND(1) * 7 / 2; t += 10000000)
        run_to(&s.b, t);
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpuint(file_word(data, 40), >=, 4 * 44100 * 2.4);
    g_assert_cmpuint(file_word(data, 40) + 44, <=, size);
    audio_voice_exit(&p.voice);
    run_to(&s.b, SECOND(4));
    sound_down(&s);
    g_free(data);
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpmem(data, 4, "RIFF", 4);
    g_assert_cmpmem(data + 8, 8, "WAVEfmt ", 8);
    g_assert_cmpuint(file_word(data, 4), ==, size - 8);
    g_assert_cmpuint(file_word(data, 20), ==, 2 << 16 | 1);
    g_assert_cmpuint(file_word(data, 24), ==, 44100);
    g_assert_cmpuint(file_word(data, 28), ==, 4 * 44100);
    g_assert_cmpuint(file_word(data, 40), ==, size - 44);
    g_assert_cmpuint(size, ==, 44 + 4 * 44100 * 4);
    int16_t *frames = g_new(int16_t, 2 * 44100 * 4);
    for (unsigned i = 0; i < 2 * 44100 * 4; i++)
        frames[i] = ld16le((uint8_t *)data + 44 + 2 * i);
    g_assert_cmpfloat(tone_of_frames(frames, 2, 44000, 1000, 44100), <, 0.0001);
    g_assert_cmpfloat_with_epsilon(tone_of_frames(frames + 2 * 44100, 2, 44100, 1000, 44100), 0.5, 0.001);
    g_free(frames);
    g_unlink(path);
    g_rmdir(dir);
}

/* A user's mistake is one line that says what is right. */
static void test_options(void)
{
    static const struct { const char *text, *part; } rows[] = {
        { "wave,id=a", "did you mean 'wav'" }, { "wav", "needs an id" }, { "none,id=snd", "used twice" },
        { "none,id=a,out.frequency=7", "8000 to 192000" }, { "none,id=a,out.channels=6", "1 or 2" },
        { "none,id=a,timer-period=5", "1000 to 100000" }, { "wav,id=a,path=/nonexistent/x.wav", "/nonexistent/x.wav" },
        { "none,id=a,out.format=f32", "f32" }, { "none,id=a,colour=red", "colour" },
    };
    Sound s;
    sound_up(&s);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_false(audio_open(s.b.m, rows[i].text, &err));
        g_assert_nonnull(strstr(err->message, rows[i].part));
        g_assert_null(strchr(err->message, '\n'));
    }
    g_autoptr(GString) text = g_string_new(NULL);
    audio_describe(s.back, text);
    g_assert_nonnull(strstr(text->str, "snd: driver=capture, 48000 Hz"));
    g_assert_null(audio_nth(s.b.m, 1));
    sound_down(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/audio/exact", test_exact);
    g_test_add_func("/audio/events", test_events);
    g_test_add_func("/audio/event-flood", test_event_flood);
    g_test_add_func("/audio/late", test_late);
    g_test_add_func("/audio/resample", test_resample);
    g_test_add_func("/audio/alias", test_alias);
    g_test_add_func("/audio/mix", test_mix);
    g_test_add_func("/audio/volume-and-end", test_volume_and_end);
    g_test_add_func("/audio/restart", test_restart);
    g_test_add_func("/audio/formats", test_formats);
    g_test_add_func("/audio/volume-steps", test_volume_steps);
    g_test_add_func("/audio/recording", test_recording);
    g_test_add_func("/audio/wav", test_wav);
    g_test_add_func("/audio/options", test_options);
    return g_test_run();
}
