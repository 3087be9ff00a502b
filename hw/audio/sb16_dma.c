/*
 * The Sound Blaster 16's engines for DMA: blocks of samples, each with an interrupt at its end ("Sound Blaster Series Hardware
 * Programming Guide", chapter 3).
 *
 * A frame that is due is asked for from the DMA controller.  What that does not give, since its channel is masked or at
 * its end, the card waits for: the block gets longer, nothing is lost.
 */
#include "core/error.h"
#include "core/machine.h"
#include "hw/audio/sb16_internal.h"

static AudioVoice *engine_voice(Sb16Engine *e)
{
    return e->recording ? &e->record : &e->play;
}

void sb16_engine_sync(Sb16Engine *e)
{
    audio_voice_sync(&e->play);
    audio_voice_sync(&e->record);
}

/* The last sample of the block was moved. */
static void block_finish(Sb16Engine *e)
{
    sb16_raise(e->card, e->number);
    if (e->repeats && !e->ending) {
        e->left = e->block;
    } else {
        e->active = false;
        e->card->high_speed = false;
        audio_voice_run(engine_voice(e), false);
    }
}

/* The controller's: moves what is wanted now. */
static unsigned dma_transfer(void *opaque, unsigned channel, unsigned pos, unsigned size)
{
    Sb16 *s = opaque;
    Sb16Engine *e = &s->engine[channel >= 4 ? SB16_ENGINE_16 : SB16_ENGINE_8];
    unsigned now = MIN(size, e->wanted);
    if (!now || !e->data)
        return pos;
    now = e->recording ? isa_dma_write(s->bus->dma, channel, e->data, pos, now)
                       : isa_dma_read(s->bus->dma, channel, e->data, pos, now);
    e->data += now;
    e->wanted -= MIN(now, e->wanted);
    return pos + now;
}

static void dma_sync(void *opaque)
{
    Sb16 *s = opaque;
    for (unsigned i = 0; i < SB16_ENGINES; i++)
        sb16_engine_sync(&s->engine[i]);
}

const IsaDmaOps sb16_dma_ops = {.transfer = dma_transfer, .sync = dma_sync};

/* A channel that starts over at its end gives the rest when it is asked again. */
static unsigned engine_move(Sb16Engine *e, uint8_t *data, unsigned size)
{
    int channel = sb16_dma_channel(e->card, e->number);
    unsigned before = size + 1;
    e->data = data;
    e->wanted = size;
    while (channel >= 0 && e->wanted && e->wanted < before) {
        before = e->wanted;
        isa_dma_request(e->card->bus->dma, channel, 1);
    }
    if (channel >= 0)
        isa_dma_request(e->card->bus->dma, channel, 0);
    e->data = NULL;
    return size - e->wanted;
}

static unsigned engine_transfer(void *opaque, uint8_t *frames, unsigned count)
{
    Sb16Engine *e = opaque;
    unsigned frame = audio_frame_size(&engine_voice(e)->settings), size = count * frame, done = 0;
    while (done < size && e->active && engine_voice(e)->running) {
        unsigned now = MIN(size - done, e->left), moved = e->silent ? now : engine_move(e, frames + done, now);
        e->left -= MIN(moved, e->left);
        done += moved;
        if (!e->left)
            block_finish(e);
        if (moved < now)
            break;
    }
    return e->silent ? 0 : done / frame;
}

static unsigned engine_wanted(void *opaque)
{
    Sb16Engine *e = opaque;
    unsigned frame = audio_frame_size(&engine_voice(e)->settings);
    return MAX(1, (e->left + frame - 1) / frame);
}

static const AudioVoiceOps play_ops = {.transfer = engine_transfer, .wanted = engine_wanted};
static const AudioVoiceOps record_ops = {.recording = true, .transfer = engine_transfer, .wanted = engine_wanted};

void sb16_engine_stop(Sb16Engine *e)
{
    audio_voice_run(&e->play, false);
    audio_voice_run(&e->record, false);
    e->active = e->repeats = e->ending = e->silent = false;
    e->left = 0;
}

/* A new command takes the place of the one under way at once. */
void sb16_engine_start(Sb16Engine *e, const Sb16Transfer *t)
{
    bool words = e->number == SB16_ENGINE_16;
    AudioSettings a = {.rate = t->rate, .channels = t->stereo ? 2 : 1,
                       .format = words ? (t->is_signed ? AUDIO_S16 : AUDIO_U16) : t->is_signed ? AUDIO_S8 : AUDIO_U8};
    sb16_engine_sync(e);
    if (e->recording != t->recording)
        audio_voice_run(engine_voice(e), false);
    e->recording = t->recording;
    e->repeats = t->repeats;
    e->silent = t->silent;
    e->ending = false;
    e->active = true;
    e->block = e->left = t->samples << words;
    audio_voice_set(engine_voice(e), &a);
    audio_voice_run(engine_voice(e), true);
    audio_voice_update(engine_voice(e));
}

void sb16_engine_pause(Sb16Engine *e, bool pause)
{
    audio_voice_run(engine_voice(e), e->active && !pause);
}

void sb16_engine_init(Sb16Engine *e, Sb16 *s, unsigned number)
{
    static const char *const names[SB16_ENGINES][2] = {{"sb16.play8", "sb16.record8"}, {"sb16.play16", "sb16.record16"}};
    e->card = s;
    e->number = number;
    audio_voice_init(&e->play, s->dev.machine, s->backend, names[number][0], &play_ops, e);
    audio_voice_init(&e->record, s->dev.machine, s->backend, names[number][1], &record_ops, e);
}

void sb16_engine_exit(Sb16Engine *e)
{
    audio_voice_exit(&e->play);
    audio_voice_exit(&e->record);
}

gboolean sb16_engine_restored(Sb16Engine *e, GError **err)
{
    enum { BLOCK_MAX = 0x20000 };
    if (e->block > BLOCK_MAX || e->left > BLOCK_MAX || (e->active && (!e->left || !e->block)) ||
        (e->recording ? e->play.running : e->record.running))
        return error_set(err, "sb16: the saved state of engine %u is not one of a Sound Blaster", e->number);
    return audio_voice_restored(&e->play, err) && audio_voice_restored(&e->record, err);
}

const StateField sb16_engine_state[] = {
    STATE_STRUCT(Sb16Engine, play, audio_voice_state), STATE_STRUCT(Sb16Engine, record, audio_voice_state),
    STATE_BOOL(Sb16Engine, recording), STATE_BOOL(Sb16Engine, repeats), STATE_BOOL(Sb16Engine, ending),
    STATE_BOOL(Sb16Engine, silent), STATE_BOOL(Sb16Engine, active), STATE_U32(Sb16Engine, block),
    STATE_U32(Sb16Engine, left), STATE_END
};
