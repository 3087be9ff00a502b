/*
 * Sound: the host's half of a sound device (-audiodev), and the voices that devices play and record with.
 *
 * A device has an AudioVoice for each stream.  While a voice runs, its frames become due in the virtual clock's time, at its
 * own rate and exactly: frame n at start + n / rate.  The back end then calls transfer(), in which the device moves its
 * data (DMA), its position and its interrupts.  It does so
 *
 *   - at least each period of the back end (10 ms),
 *   - at the very nanosecond at which the frame is due that the device has asked for by wanted(): its next interrupt,
 *   - when the device calls audio_voice_sync(), before the guest sees a position or changes anything.
 *
 * So what a guest sees depends on the virtual clock alone, never on the host: the device neither waits for it nor drops
 * anything.  What a driver (SDL, a file) makes of the mixed sound is its own affair.
 *
 * Everything here is called with the machine lock held; transfer() and wanted() are too.
 */
#ifndef MYNA_BACKENDS_AUDIO_H
#define MYNA_BACKENDS_AUDIO_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

typedef struct Machine Machine;
typedef struct AudioBackend AudioBackend;

enum { AUDIO_RATE_MIN = 1000, AUDIO_RATE_MAX = 192000, AUDIO_CHANNELS_MAX = 8 };
enum { AUDIO_FRAME_MAX = 4 * AUDIO_CHANNELS_MAX }; /* bytes */

/* Samples in memory, little-endian.  S20 and S24 are the low bits of four bytes; those left-justified there are S32. */
typedef enum AudioFormat {
    AUDIO_U8, AUDIO_S8, AUDIO_U16, AUDIO_S16, AUDIO_S20, AUDIO_S24, AUDIO_S32, AUDIO_FORMAT_COUNT
} AudioFormat;

typedef struct AudioSettings {
    uint32_t rate;           /* frames a second, AUDIO_RATE_MIN..AUDIO_RATE_MAX; brought into that range */
    uint8_t format;          /* AudioFormat */
    uint8_t channels;        /* 1..8; front left and right are the first; brought into that range */
    bool centre_first;       /* then centre, low frequencies, rear and side pairs; else the rear pair, centre, low, sides */
} AudioSettings;

typedef struct AudioVoiceOps {
    bool recording;
    /*
     * `count` frames (at least 1) are due: the device gives them, or a recording one takes them.  Returns how many it
     * had; the rest is silence.  count is not more than wanted() has said.  It may stop its voice, or set it.
     */
    unsigned (*transfer)(void *opaque, uint8_t *frames, unsigned count);
    /* With which frame from now on something happens that the guest notices (1: the next one); 0, or NULL: none. */
    unsigned (*wanted)(void *opaque);
} AudioVoiceOps;

/* A voice stands in its device's struct; its fields are audio.c's. */
typedef struct AudioVoice {
    AudioBackend *backend;
    const AudioVoiceOps *ops;
    void *opaque;
    const char *name;        /* "ac97.po": for `info audio` */
    struct AudioStream *stream; /* the host's side: what waits to be mixed */
    bool transferring;       /* within ops->transfer() */
    /* saved */
    bool running;
    AudioSettings settings;
    int64_t start;           /* virtual time of frame 0 */
    uint64_t frames;         /* transferred since */
    int64_t paced;           /* virtual time before which no frame that wanted() names is transferred for that */
} AudioVoice;

extern const StateField audio_voice_state[]; /* STATE_STRUCT(T, voice, audio_voice_state) */

/*
 * In create() and destroy().  a is the property's (PROP_AUDIO); NULL: the machine's first, or one that plays nothing.
 * name and ops are kept, not copied.  The voice is stopped, 48 kHz stereo, at full volume.
 */
void audio_voice_init(AudioVoice *v, Machine *m, AudioBackend *a, const char *name, const AudioVoiceOps *ops,
                      void *opaque);
void audio_voice_exit(AudioVoice *v);

/* Format and rate; what was due before is transferred as it was.  A running voice goes on from the present moment. */
void audio_voice_set(AudioVoice *v, const AudioSettings *settings);

/* Starts (frame 0 is due one frame's time later) and stops; transfers first what is due.  No change: nothing happens. */
void audio_voice_run(AudioVoice *v, bool run);

/*
 * Of a voice that plays, for what is transferred from now on; AUDIO_VOLUME_FULL leaves it as it is, 0 mutes.  Not saved:
 * set it again in post_load().
 */
enum { AUDIO_VOLUME_FULL = 0x10000 };
void audio_voice_set_volume(AudioVoice *v, unsigned left, unsigned right);

/* AUDIO_VOLUME_FULL less so many quarters of a decibel (more, if negative: at most by 24 dB); 0 from 96 dB on. */
unsigned audio_volume_from_attenuation(int quarter_decibels);

/* Transfers all that is due now. */
void audio_voice_sync(AudioVoice *v);

/* wanted() has changed, other than by a transfer. */
void audio_voice_update(AudioVoice *v);

/* In post_load(), when the fields are restored; FALSE with *err if they are not those of a voice. */
gboolean audio_voice_restored(AudioVoice *v, GError **err);

/* ---- back ends ---- */

/* Opens what -audiodev says ("wav,id=snd,path=..."); *err is one line.  Owned by the machine. */
gboolean audio_open(Machine *m, const char *text, GError **err);
AudioBackend *audio_find(Machine *m, const char *id);
AudioBackend *audio_nth(Machine *m, unsigned n); /* in the order they were opened; NULL behind the last */
void audio_close_all(Machine *m);                /* after all voices are gone */

/* Prints the drivers (`-audiodev help`). */
void audio_list_drivers(void);

/* For `info audio`: driver, voices, underruns. */
void audio_describe(const AudioBackend *a, GString *out);

/* Bytes of one frame. */
unsigned audio_frame_size(const AudioSettings *settings);

#endif
