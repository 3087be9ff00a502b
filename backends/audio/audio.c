/*
 * Back ends of sound: list, notation, description (audio.h).
 */
#include "backends/audio/audio.h"

#include <inttypes.h>
#include <string.h>

#include "backends/audio/backend.h"
#include "core/error.h"

enum { DEFAULT_RATE = 48000, DEFAULT_PERIOD = 10000, PERIOD_MIN = 1000, PERIOD_MAX = 100000 };

const char *const audio_formats[] = {"s16", NULL};

static const char *const format_names[AUDIO_FORMAT_COUNT] = {
    [AUDIO_U8] = "u8",   [AUDIO_S8] = "s8",   [AUDIO_U16] = "u16", [AUDIO_S16] = "s16",
    [AUDIO_S20] = "s20", [AUDIO_S24] = "s24", [AUDIO_S32] = "s32",
};

/* ---- the list: in the machine's slot "audiodevs"; devices find one in "audiodev:ID" (core/device.c) ---- */

static GPtrArray *backends_of(Machine *m)
{
    return machine_find(m, "audiodevs");
}

AudioBackend *audio_find(Machine *m, const char *id) { return machine_find_backend(m, "audiodev", id); }

AudioBackend *audio_nth(Machine *m, unsigned n)
{
    GPtrArray *all = backends_of(m);
    return all && n < all->len ? all->pdata[n] : NULL;
}

static void backend_free(gpointer p)
{
    AudioBackend *a = p;
    machine_unlisten(a->machine, &a->listener);
    audio_mix_skip_silence(a);
    if (a->kind->close)
        a->kind->close(a);
    machine_provide_backend(a->machine, "audiodev", a->id, NULL);
    timer_free(a->timer);
    g_ptr_array_unref(a->voices);
    g_free(a->id);
    g_free(a);
}

static void backend_remove(AudioBackend *a)
{
    GPtrArray *all = backends_of(a->machine);
    Machine *m = a->machine;
    g_ptr_array_remove(all, a);
    if (all->len)
        return;
    g_ptr_array_unref(all);
    machine_provide(m, "audiodevs", NULL);
}

void audio_close_all(Machine *m)
{
    AudioBackend *a;
    while ((a = audio_nth(m, 0)))
        backend_remove(a);
}

static void run_state_changed(void *opaque, const MachineEvent *e)
{
    AudioBackend *a = opaque;
    if (e->kind != MACHINE_RUN_STATE)
        return;
    a->paused = a->machine->run_state != RUN_RUNNING;
    audio_mix_update(a);
}

static AudioBackend *backend_make(Machine *m, const AudioKind *kind, const AudioOptions *o)
{
    AudioBackend *a = g_new0(AudioBackend, 1);
    a->machine = m;
    a->id = g_strdup(o->id);
    a->kind = kind;
    a->rate = o->frequency ? o->frequency : DEFAULT_RATE;
    a->period = (o->timer_period ? o->timer_period : DEFAULT_PERIOD) * INT64_C(1000);
    a->voices = g_ptr_array_new();
    a->timer = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, audio_timer_fired, a);
    a->listener = (MachineListener){run_state_changed, a};
    machine_listen(m, &a->listener);
    audio_mix_rebase(a);
    if (!backends_of(m))
        machine_provide(m, "audiodevs", g_ptr_array_new_with_free_func(backend_free));
    g_ptr_array_add(backends_of(m), a);
    machine_provide_backend(m, "audiodev", a->id, a);
    return a;
}

static gboolean options_check(Machine *m, const AudioOptions *o, GError **err)
{
    if (!o->id || !*o->id)
        return error_set(err, "-audiodev: the back end needs an id (id=NAME)");
    if (audio_find(m, o->id))
        return error_set(err, "-audiodev: the id '%s' is used twice; give each back end its own", o->id);
    if (o->frequency && (o->frequency < 8000 || o->frequency > AUDIO_RATE_MAX))
        return error_set(err, "-audiodev '%s': out.frequency takes 8000 to %d, not %u", o->id, AUDIO_RATE_MAX,
                         o->frequency);
    if (o->channels > 2)
        return error_set(err, "-audiodev '%s': out.channels takes 1 or 2, not %u", o->id, o->channels);
    if (o->timer_period && (o->timer_period < PERIOD_MIN || o->timer_period > PERIOD_MAX))
        return error_set(err, "-audiodev '%s': timer-period takes %d to %d microseconds, not %u", o->id, PERIOD_MIN,
                         PERIOD_MAX, o->timer_period);
    return TRUE;
}

AudioBackend *audio_backend_new(Machine *m, const AudioKind *kind, const void *settings, GError **err)
{
    if (!options_check(m, settings, err))
        return NULL;
    AudioBackend *a = backend_make(m, kind, settings);
    if (kind->open(a, settings, err))
        return a;
    backend_remove(a);
    return NULL;
}

/* ---- notation ---- */

static const AudioKind *const kinds[] = {&audio_kind_none, &audio_kind_sdl, &audio_kind_wav, NULL};

static const AudioKind *kind_find(const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(kinds)] = {NULL};
    for (unsigned i = 0; kinds[i]; i++) {
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
        names[i] = kinds[i]->name;
    }
    error_unknown(err, "-audiodev", "driver", name, names);
    return NULL;
}

gboolean audio_open(Machine *m, const char *text, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(text, "driver");
    const char *name = option_pairs_get(pairs, "driver");
    const AudioKind *kind = kind_find(name ? name : "", err);
    if (!kind)
        return FALSE;
    if (!kind->open)
        return error_set(err, "-audiodev %s: %s", kind->name, kind->help);
    g_autofree char *what = g_strdup_printf("-audiodev %s", kind->name);
    g_autofree void *settings = g_malloc0(kind->settings_size);
    gboolean ok = option_fields_parse(what, text, "driver", kind->fields, settings, err) &&
                  audio_backend_new(m, kind, settings, err);
    option_fields_clear(kind->fields, settings);
    return ok;
}

void audio_list_drivers(void)
{
    for (unsigned i = 0; kinds[i]; i++)
        g_print("%-9s %s\n", kinds[i]->name, kinds[i]->help);
}

/* ---- for voices ---- */

AudioBackend *audio_or_default(Machine *m, AudioBackend *a)
{
    static const AudioOptions nothing = {.id = (char *)"none"};
    if (a || audio_nth(m, 0))
        return a ? a : audio_nth(m, 0);
    a = backend_make(m, &audio_kind_none, &nothing);
    a->implied = true;
    return a;
}

void audio_let_go(AudioBackend *a)
{
    if (a->implied && !a->voices->len)
        backend_remove(a);
}

/* ---- description ---- */

static void voice_describe(const AudioVoice *v, GString *out)
{
    const AudioSettings *s = &v->settings;
    g_string_append_printf(out, "  %s: %s, %u Hz, %s, %u channel%s%s\n", v->name,
                           v->ops->recording ? "records" : "plays",
                           s->rate, format_names[s->format], s->channels, s->channels > 1 ? "s" : "",
                           v->running ? "" : ", stopped");
    if (audio_stream_missed(v))
        g_string_append_printf(out, "    %" PRIu64 " frames missed\n", audio_stream_missed(v));
}

void audio_describe(const AudioBackend *a, GString *out)
{
    g_string_append_printf(out, "%s: driver=%s, %u Hz, %s", a->id, a->kind->name, a->rate,
                           a->implied ? "as no -audiodev was given" : a->active ? "playing" : "silent");
    if (a->kind->describe)
        a->kind->describe(a, out);
    g_string_append_c(out, '\n');
    for (unsigned i = 0; i < a->voices->len; i++)
        voice_describe(a->voices->pdata[i], out);
}
