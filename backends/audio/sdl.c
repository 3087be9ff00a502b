/*
 * SDL 2: not built in yet.
 */
#include "backends/audio/backend.h"
const AudioKind audio_kind_sdl = { .name = "sdl", .help = "not built in (configure did not find SDL 2)" };
