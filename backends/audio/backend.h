/*
 * Inside backends/audio: what all drivers share.  Each driver is a file with an AudioKind.  audio.c holds the list and the
 * notation, voice.c the time of voices, mix.c the way from a voice's frames to the driver's, resample.c the change of
 * rate, convert.c the formats.
 */
#ifndef MYNA_BACKENDS_AUDIO_BACKEND_H
#define MYNA_BACKENDS_AUDIO_BACKEND_H

#include "backends/audio/audio.h"
#include "core/machine.h"
#include "core/options.h"

/* What every -audiodev may say: the first member of a driver's settings, and the first rows of its table. */
typedef struct AudioOptions {
    char *driver, *id, *format;
    unsigned timer_period;   /* microseconds */
    unsigned frequency, channels; /* out.* */
} AudioOptions;

extern const char *const audio_formats[]; /* that out.format may be: drivers are given 16-bit samples */

#define AUDIO_OPTIONS_FIELDS(T)                                                                                        \
    OPTION_FIELD(T, common.driver, "driver", OPTION_STRING), OPTION_FIELD(T, common.id, "id", OPTION_STRING),          \
        OPTION_FIELD(T, common.timer_period, "timer-period", OPTION_UNSIGNED),                                        \
        OPTION_FIELD(T, common.frequency, "out.frequency", OPTION_UNSIGNED),                                          \
        OPTION_FIELD(T, common.channels, "out.channels", OPTION_UNSIGNED),                                            \
        OPTION_CHOICE(T, common.format, "out.format", audio_formats), OPTION_FIELD_IGNORED("out.voices"),             \
        OPTION_FIELD_IGNORED("out.mixing-engine"), OPTION_FIELD_IGNORED("out.fixed-settings"),                        \
        OPTION_FIELD_IGNORED("in.frequency"), OPTION_FIELD_IGNORED("in.channels"),                                    \
        OPTION_FIELD_IGNORED("in.format"), OPTION_FIELD_IGNORED("in.voices"),                                         \
        OPTION_FIELD_IGNORED("in.mixing-engine"), OPTION_FIELD_IGNORED("in.fixed-settings"),                          \
        OPTION_FIELD_IGNORED("in.buffer-length")

typedef struct AudioKind {
    const char *name;        /* -audiodev's first word */
    const char *help;
    size_t settings_size;
    const OptionField *fields;
    /* close() is called also when this fails.  NULL: it is not built in; help says why. */
    gboolean (*open)(AudioBackend *a, const void *settings, GError **err);
    void (*close)(AudioBackend *a);
    /* Stereo frames at the back end's rate, those of the virtual time that has passed since the last call; NULL: drops. */
    void (*write)(AudioBackend *a, const int16_t *frames, unsigned count);
    /* So many frames of silence went by while nothing played; NULL: nothing to do. */
    void (*silence)(AudioBackend *a, uint64_t count);
    /* Voices play, or the last one has stopped, or the machine is paused; NULL: nothing to do. */
    void (*set_active)(AudioBackend *a, bool active);
    /* Stereo frames that were recorded, as many as there are; NULL: silence. */
    unsigned (*read)(AudioBackend *a, int16_t *frames, unsigned count);
    /* Somebody records, or no longer does; NULL: nothing to do. */
    void (*set_recording)(AudioBackend *a, bool recording);
    void (*describe)(const AudioBackend *a, GString *out); /* for `info audio`; NULL: no more to say */
} AudioKind;

extern const AudioKind audio_kind_none, audio_kind_wav, audio_kind_sdl;

struct AudioBackend {
    Machine *machine;
    char *id;
    const AudioKind *kind;
    void *state;             /* of the kind */
    uint32_t rate;           /* of its frames, stereo */
    int64_t period;          /* nanoseconds */
    Timer *timer;
    GPtrArray *voices;       /* AudioVoice * */
    uint64_t done;           /* output frames since the clock's start that the driver has got */
    bool active;             /* something is heard */
    bool driver_active, recording; /* as the driver was told */
    bool paused;             /* the machine is */
    bool restored;           /* from a saved state: the timer is to be armed for what that has */
    bool implied;            /* nobody asked for it: it goes with its last voice */
    MachineListener listener;
};

/* A back end of a kind, also one that no table lists (tests); NULL with *err.  Owned by the machine. */
AudioBackend *audio_backend_new(Machine *m, const AudioKind *kind, const void *settings, GError **err);

/* mix.c: output frames of all voices up to a time, to the driver; what the driver is told of voices that come and go. */
void audio_mix(AudioBackend *a, int64_t now);
void audio_mix_update(AudioBackend *a);
void audio_mix_skip_silence(AudioBackend *a); /* nothing was heard up to now */
void audio_mix_rebase(AudioBackend *a); /* the clock was set: nothing is due */
int64_t audio_mix_next(const AudioBackend *a); /* virtual time of the next audio_mix(); INT64_MAX: none */

/* For a voice: a, or the first one, or one that is made for it; and when it is gone. */
AudioBackend *audio_or_default(Machine *m, AudioBackend *a);
void audio_let_go(AudioBackend *a);

/* voice.c: arms the back end's timer for the next thing that happens; the timer's function. */
void audio_schedule(AudioBackend *a);
void audio_timer_fired(void *opaque);

/* A voice's frames on their way to the output, or from the input (mix.c). */
typedef struct AudioStream AudioStream;
AudioStream *audio_stream_new(bool recording);
void audio_stream_free(AudioStream *s);
void audio_stream_put(AudioVoice *v, const AudioSettings *as, const uint8_t *frames, unsigned count);
void audio_stream_get(AudioVoice *v, uint8_t *frames, unsigned count);
void audio_stream_begin(AudioVoice *v);
void audio_stream_end(AudioVoice *v);
uint64_t audio_stream_missed(const AudioVoice *v); /* frames that were due and not there: none, if all is well */
void audio_stream_set_volume(AudioVoice *v, float left, float right);

/* convert.c: between a voice's frames and stereo floats of -1..1. */
void audio_to_float(const AudioSettings *s, const uint8_t *frames, unsigned count, float *out);
void audio_from_float(const AudioSettings *s, const float *in, unsigned count, uint8_t *frames);
void audio_to_s16(const float *in, unsigned samples, int16_t *out); /* saturates */

/*
 * resample.c: a change of rate by a windowed sinc, for stereo.  Output frame k stands at input position k * from / to,
 * exactly; the filter needs `taps` input frames around it.
 */
typedef struct Resampler {
    uint32_t from, to;       /* rates; 0: none yet */
    uint32_t fraction;       /* position behind the first frame of the window, in 1 / to */
    unsigned taps;
    float *filter;           /* (phases + 1) * taps */
} Resampler;

void resampler_set(Resampler *r, uint32_t from, uint32_t to);
void resampler_clear(Resampler *r);
/*
 * Adds up to `count` frames to out; in has in_count frames.  *used is how many of them are no longer
 * needed; returns the frames made, fewer when in comes to its end.
 */
unsigned resampler_mix(Resampler *r, const float *in, unsigned in_count, unsigned *used, float *out, unsigned count);

#endif
