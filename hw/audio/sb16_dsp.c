/*
 * Commands of the Sound Blaster 16's DSP, version 4.05 ("Sound Blaster Series Hardware Programming Guide", chapter 6).  Not
 * there: ADPCM, MIDI, and the advanced signal processor.
 */
#include <string.h>

#include "core/log.h"
#include "hw/audio/sb16_internal.h"

enum {
    DIRECT_OUT = 0x10, OUT_8 = 0x14, OUT_8_AUTO = 0x1c, DIRECT_IN = 0x20, IN_8 = 0x24, IN_8_AUTO = 0x2c, TIME_CONSTANT = 0x40,
    OUTPUT_RATE = 0x41, INPUT_RATE = 0x42, BLOCK_SIZE = 0x48, SILENCE = 0x80, OUT_HIGH_AUTO = 0x90, OUT_HIGH = 0x91,
    IN_HIGH_AUTO = 0x98, IN_HIGH = 0x99, INPUT_MONO = 0xa0, INPUT_STEREO = 0xa8, DMA_16 = 0xb0, DMA_8 = 0xc0, PAUSE_8 = 0xd0,
    SPEAKER_ON = 0xd1, SPEAKER_OFF = 0xd3, CONTINUE_8 = 0xd4, PAUSE_16 = 0xd5, CONTINUE_16 = 0xd6, SPEAKER_STATUS = 0xd8,
    END_16 = 0xd9, END_8 = 0xda, IDENTIFY = 0xe0, VERSION = 0xe1, COPYRIGHT = 0xe3, WRITE_TEST = 0xe4, READ_TEST = 0xe8,
    INTERRUPT_8 = 0xf2, INTERRUPT_16 = 0xf3
};
enum { ASP_MODE = 0x04, ASP_CODEC = 0x05, ASP_SET = 0x0e, ASP_GET = 0x0f, SELF_TEST = 0xf8 };
enum { COMMAND_INPUT = 0x08, COMMAND_AUTO = 0x04, MODE_STEREO = 0x20, MODE_SIGNED = 0x10 };
enum { RATE_MIN = 5000, RATE_MAX = 45000, RESET_ANSWER = 0xaa };
/* The level of command 10h is sampled at this rate, and left when it has not changed for so long. */
enum { DIRECT_RATE = 48000, DIRECT_IDLE = DIRECT_RATE / 5 };

/* ---- answers ---- */

static void answer_put(Sb16 *s, uint8_t v)
{
    if (s->answer_count < SB16_ANSWERS)
        s->answer[s->answer_count++] = v;
}

/* An empty buffer gives what it gave last. */
uint8_t sb16_dsp_read(Sb16 *s)
{
    if (!s->answer_count)
        return s->answer_last;
    s->answer_last = s->answer[0];
    memmove(s->answer, s->answer + 1, --s->answer_count);
    return s->answer_last;
}

static void answer_copyright(Sb16 *s)
{
    static const char text[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";
    for (unsigned i = 0; i < sizeof text; i++)
        answer_put(s, text[i]);
}

/* ---- transfers ---- */

/* The time constant is that of samples, a rate that of frames (6, commands 40h and 41h). */
static uint32_t frame_rate(const Sb16 *s, bool stereo)
{
    if (s->rate)
        return CLAMP(s->rate, RATE_MIN, RATE_MAX);
    return 1000000 / (256 - s->time_constant) / (stereo ? 2 : 1);
}

/* The commands of earlier cards: 8 bits, unsigned, stereo by the mixer's switch. */
static void start_old(Sb16 *s, bool recording, bool repeats, uint32_t samples)
{
    bool stereo = recording ? s->input_stereo : sb16_mixer_is_stereo(&s->mixer);
    Sb16Transfer t = {.engine = SB16_ENGINE_8, .recording = recording, .repeats = repeats, .stereo = stereo,
                      .samples = samples, .rate = frame_rate(s, stereo)};
    sb16_engine_start(&s->engine[SB16_ENGINE_8], &t);
}

static void start_new(Sb16 *s, unsigned engine)
{
    uint8_t mode = s->parameters[0];
    Sb16Transfer t = {.engine = engine, .recording = s->command & COMMAND_INPUT, .repeats = s->command & COMMAND_AUTO,
                      .is_signed = mode & MODE_SIGNED, .stereo = mode & MODE_STEREO,
                      .samples = (s->parameters[1] | s->parameters[2] << 8) + 1u, .rate = frame_rate(s, mode & MODE_STEREO)};
    sb16_engine_start(&s->engine[engine], &t);
}

static void start_silence(Sb16 *s, uint32_t samples)
{
    Sb16Transfer t = {.engine = SB16_ENGINE_8, .silent = true, .samples = samples, .rate = frame_rate(s, false)};
    sb16_engine_start(&s->engine[SB16_ENGINE_8], &t);
}

/* ---- the converter by hand ---- */

static unsigned direct_transfer(void *opaque, uint8_t *frames, unsigned count)
{
    Sb16 *s = opaque;
    memset(frames, s->direct_level, count);
    s->direct_idle += count;
    if (s->direct_idle >= DIRECT_IDLE)
        audio_voice_run(&s->direct, false);
    return count;
}

const AudioVoiceOps sb16_direct_ops = {.transfer = direct_transfer};

static void direct_write(Sb16 *s, uint8_t level)
{
    AudioSettings a = {.rate = DIRECT_RATE, .format = AUDIO_U8, .channels = 1};
    audio_voice_sync(&s->direct);
    s->direct_level = level;
    s->direct_idle = 0;
    audio_voice_set(&s->direct, &a);
    audio_voice_run(&s->direct, true);
}

/* ---- commands ---- */

static unsigned parameters_needed(uint8_t command)
{
    switch (command) {
    case DIRECT_OUT: case TIME_CONSTANT: case IDENTIFY: case WRITE_TEST: case ASP_MODE: case ASP_GET: return 1;
    case OUT_8: case IN_8: case OUTPUT_RATE: case INPUT_RATE: case BLOCK_SIZE: case SILENCE: case ASP_CODEC:
    case ASP_SET: return 2;
    default: return (command & 0xf0) == DMA_16 || (command & 0xf0) == DMA_8 ? 3 : 0;
    }
}

static uint32_t two_bytes(const Sb16 *s)
{
    return s->parameters[0] | s->parameters[1] << 8;
}

static void start_high_speed(Sb16 *s, bool recording, bool repeats)
{
    s->high_speed = true;
    start_old(s, recording, repeats, s->block + 1u);
}

static bool run_transfer(Sb16 *s)
{
    switch (s->command) {
    case OUT_8: start_old(s, false, false, two_bytes(s) + 1); return true;
    case IN_8: start_old(s, true, false, two_bytes(s) + 1); return true;
    case OUT_8_AUTO: start_old(s, false, true, s->block + 1u); return true;
    case IN_8_AUTO: start_old(s, true, true, s->block + 1u); return true;
    case OUT_HIGH_AUTO: start_high_speed(s, false, true); return true;
    case OUT_HIGH: start_high_speed(s, false, false); return true;
    case IN_HIGH_AUTO: start_high_speed(s, true, true); return true;
    case IN_HIGH: start_high_speed(s, true, false); return true;
    case SILENCE: start_silence(s, two_bytes(s) + 1); return true;
    case PAUSE_8: sb16_engine_pause(&s->engine[SB16_ENGINE_8], true); return true;
    case PAUSE_16: sb16_engine_pause(&s->engine[SB16_ENGINE_16], true); return true;
    case CONTINUE_8: sb16_engine_pause(&s->engine[SB16_ENGINE_8], false); return true;
    case CONTINUE_16: sb16_engine_pause(&s->engine[SB16_ENGINE_16], false); return true;
    case END_8: s->engine[SB16_ENGINE_8].ending = true; return true;
    case END_16: s->engine[SB16_ENGINE_16].ending = true; return true;
    }
    if ((s->command & 0xf0) != DMA_8 && (s->command & 0xf0) != DMA_16)
        return false;
    start_new(s, (s->command & 0xf0) == DMA_16 ? SB16_ENGINE_16 : SB16_ENGINE_8);
    return true;
}

static void run_other(Sb16 *s)
{
    uint8_t first = s->parameters[0];
    switch (s->command) {
    case DIRECT_OUT: direct_write(s, first); break;
    case DIRECT_IN: answer_put(s, 0x80); break;
    case TIME_CONSTANT: s->time_constant = first; s->rate = 0; break;
    case OUTPUT_RATE: case INPUT_RATE: s->rate = first << 8 | s->parameters[1]; break;
    case BLOCK_SIZE: s->block = two_bytes(s); break;
    case INPUT_MONO: s->input_stereo = false; break;
    case INPUT_STEREO: s->input_stereo = true; break;
    case SPEAKER_ON: s->speaker = true; break; /* a Sound Blaster 16 has no such switch, only its state */
    case SPEAKER_OFF: s->speaker = false; break;
    case SPEAKER_STATUS: answer_put(s, s->speaker ? 0xff : 0); break;
    case IDENTIFY: answer_put(s, ~first); break;
    case VERSION: answer_put(s, s->version >> 8); answer_put(s, s->version); break;
    case COPYRIGHT: answer_copyright(s); break;
    case WRITE_TEST: s->test = first; break;
    case READ_TEST: answer_put(s, s->test); break;
    case ASP_GET: case SELF_TEST: answer_put(s, 0); break;
    case INTERRUPT_8: sb16_raise(s, SB16_ENGINE_8); break;
    case INTERRUPT_16: sb16_raise(s, SB16_ENGINE_16); break;
    case ASP_MODE: case ASP_CODEC: case ASP_SET: break;
    default: log_guest_error("sb16: DSP command 0x%02x is not there", s->command);
    }
}

/* A high-speed transfer hears nothing but a reset. */
void sb16_dsp_write(Sb16 *s, uint8_t v)
{
    if (s->high_speed)
        return;
    if (!s->needed) {
        s->command = v;
        s->given = 0;
        s->needed = parameters_needed(v);
    } else if (s->given < sizeof s->parameters) {
        s->parameters[s->given++] = v;
        s->needed--;
    }
    if (!s->needed && !run_transfer(s))
        run_other(s);
}

/* Ends transfers; after power-on the rest is as the guide has it (2.3.1). */
void sb16_dsp_reset(Sb16 *s)
{
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        sb16_engine_stop(&s->engine[i]);
    audio_voice_run(&s->direct, false);
    s->command = s->given = s->needed = s->answer_count = s->time_constant = 0;
    s->rate = s->block = 0;
    s->high_speed = s->speaker = s->input_stereo = false;
    answer_put(s, RESET_ANSWER);
}
