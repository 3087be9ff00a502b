/*
 * Sound as the command line has it (machines/sound.h): QEMU's two notations.
 *
 *   -audiodev DRIVER,id=ID,...           a back end, for -device CARD,audiodev=ID
 *   -audio DRIVER,model=MODEL[,PROP]...  a back end and its device; without a model the back end alone
 */
#include "machines/sound.h"

#include <string.h>

#include "backends/audio/audio.h"
#include "core/error.h"
#include "core/options.h"
#include "machines/board.h"

/* What -audio's model= stands for: one device, or a controller and what is on it. */
typedef struct Model {
    const char *name, *help;
    const char *controller;  /* NULL: none is needed */
    const char *device;      /* which has the property audiodev */
} Model;

static const Model models[] = {
    {"ac97", "Intel 82801AA AC'97, PCI", NULL, "AC97"},
    {"adlib", "Yamaha YMF262 (OPL3) synthesizer, ISA", NULL, "adlib"},
    {"hda", "Intel HD Audio with output and input, PCI", "intel-hda", "hda-duplex"},
    {"sb16", "Creative Sound Blaster 16, ISA", NULL, "sb16"},
};

static bool have_type(const DeviceType *const *types, const char *name)
{
    while (*types && strcmp((*types)->name, name))
        types++;
    return *types != NULL;
}

void sound_list_models(const DeviceType *const *types)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        if (have_type(types, models[i].device))
            g_print("%-9s %s\n", models[i].name, models[i].help);
    }
}

static const Model *model_find(const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(models) + 1] = {NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        if (!strcmp(models[i].name, name))
            return &models[i];
        names[i] = models[i].name;
    }
    error_unknown(err, "-audio", "model", name, names);
    return NULL;
}

/* The back end's id is audio0 and on, as often as -audio is given. */
static char *audio_id(unsigned n)
{
    return g_strdup_printf("audio%u", n);
}

static gboolean audio_open_nth(Machine *m, const char *argument, unsigned n, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(argument, "driver");
    g_autofree char *model = option_pairs_take(pairs, "model"), *id = audio_id(n);
    if (model && !model_find(model, err))
        return FALSE;
    if (!option_pairs_get(pairs, "id"))
        option_pairs_add(pairs, "id", id);
    g_autofree char *rest = option_pairs_format(pairs);
    return audio_open(m, rest, err);
}

gboolean sound_open(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->audiodevs->len; i++) {
        if (!audio_open(m, o->audiodevs->pdata[i], err))
            return FALSE;
    }
    for (guint i = 0; i < o->audios->len; i++) {
        if (!audio_open_nth(m, o->audios->pdata[i], i, err))
            return FALSE;
    }
    return TRUE;
}

static gboolean audio_device_create(Machine *m, const Options *o, const char *argument, unsigned n, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(argument, "driver");
    g_autofree char *id = audio_id(n);
    const char *given = option_pairs_get(pairs, "id"), *name = option_pairs_get(pairs, "model");
    if (!name)
        return TRUE;
    const Model *model = model_find(name, err);
    g_autofree char *device = model ? g_strdup_printf("%s,audiodev=%s", model->device, given ? given : id) : NULL;
    return model && (!model->controller || board_add_user_device(m, o, model->controller, err)) &&
           board_add_user_device(m, o, device, err);
}

gboolean sound_devices_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->audios->len; i++) {
        if (!audio_device_create(m, o, o->audios->pdata[i], i, err))
            return FALSE;
    }
    return TRUE;
}
