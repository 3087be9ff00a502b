/*
 * The driver that plays nothing, and records silence.
 */
#include "backends/audio/backend.h"

typedef struct NoneOptions {
    AudioOptions common;
} NoneOptions;

static const OptionField none_fields[] = {
    AUDIO_OPTIONS_FIELDS(NoneOptions), OPTION_FIELD_IGNORED("out.buffer-length"), OPTION_FIELD_END,
};

static gboolean none_open(AudioBackend *a, const void *settings, GError **err)
{
    (void)a, (void)settings, (void)err;
    return TRUE;
}

const AudioKind audio_kind_none = {
    .name = "none", .help = "plays nothing", .settings_size = sizeof(NoneOptions), .fields = none_fields,
    .open = none_open,
};
