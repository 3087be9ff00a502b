/* Commands about sound: info audio. */
#include "backends/audio/audio.h"
#include "debugger/commands/command.h"

static void info_audio(MonitorCommand *c)
{
    const AudioBackend *a;
    for (unsigned k = 0; (a = audio_nth(c->machine, k)); k++)
        audio_describe(a, c->out);
    if (!audio_nth(c->machine, 0))
        g_string_append(c->out, "this machine has no sound\n");
}

const CommandRow sound_info[] = {
    { .name = "audio", .arguments = "", .help = "where sound goes, what plays, and what was missed", .run = info_audio },
    { .name = NULL },
};
