/* Which faces there are, and which are open (ui.h): the machine's slot "displays". */
#include "config.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "hw/display/console.h"
#include "ui/ui.h"

typedef struct DisplayRow {
    const char *name;
    const DisplayType *type; /* NULL: "none", or not built in */
    const char *needs;       /* not built in: the package of Debian that is missing; else NULL */
} DisplayRow;

static const DisplayRow display_rows[] = {
    { .name = "none" },
#ifdef CONFIG_SDL2
    { .name = "sdl", .type = &sdl_display },
#else
    { .name = "sdl", .needs = "libsdl2-dev" },
#endif
#ifdef CONFIG_CURSES
    { .name = "curses", .type = &curses_display },
#else
    { .name = "curses", .needs = "libncurses-dev" },
#endif
#ifdef CONFIG_VNC
    { .name = "vnc", .type = &vnc_display },
#else
    { .name = "vnc", .needs = "libvncserver-dev" },
#endif
};

typedef struct Display {
    const DisplayType *type;
    void *opaque;
    char *id;
    GSource *closing; /* or NULL */
    Machine *machine;
} Display;

/* ---- names ---- */

void display_list(void)
{
    g_print("Displays:\n");
    for (unsigned n = 0; n < G_N_ELEMENTS(display_rows); n++) {
        const DisplayRow *r = &display_rows[n];
        if (!r->needs)
            g_print("%-10s %s\n", r->name, r->type ? r->type->help : "nothing");
    }
}

/* How long the name is, with which text begins. */
static gsize name_length(const char *text) { return strcspn(text, "=,"); }

static const DisplayRow *row_find(const char *text, GError **err)
{
    const char *names[G_N_ELEMENTS(display_rows) + 1] = { NULL };
    g_autofree char *name = g_strndup(text, name_length(text));
    for (unsigned n = 0, known = 0; n < G_N_ELEMENTS(display_rows); n++) {
        const DisplayRow *r = &display_rows[n];
        if (!r->needs)
            names[known++] = r->name;
        if (strcmp(r->name, name))
            continue;
        if (!r->needs)
            return r;
        error_set(err, "-display %s: is not built in: it needs %s when configure runs", name, r->needs);
        return NULL;
    }
    error_unknown(err, "-display", "display", name, names);
    return NULL;
}

gboolean display_check(const char *text, GError **err) { return row_find(text, err) != NULL; }

/* ---- what is open ---- */

static void display_free(gpointer data)
{
    Display *d = data;
    if (d->closing) {
        g_source_destroy(d->closing);
        g_source_unref(d->closing);
    }
    d->type->close(d->opaque);
    g_free(d->id);
    g_free(d);
}

/* NULL: none was ever open. */
static GPtrArray *displays_of(Machine *m) { return machine_find(m, "displays"); }

static void displays_add(Machine *m, Display *d)
{
    GPtrArray *all = displays_of(m);
    if (!all) {
        all = g_ptr_array_new_with_free_func(display_free);
        machine_provide(m, "displays", all);
    }
    g_ptr_array_add(all, d);
}

static Display *find_by_id(const GPtrArray *all, const char *id)
{
    for (unsigned n = 0; all && n < all->len; n++) {
        Display *d = g_ptr_array_index(all, n);
        if (!strcmp(d->id, id))
            return d;
    }
    return NULL;
}

static char *free_id(const GPtrArray *all, const char *name)
{
    char *id = g_strdup(name);
    for (unsigned n = 1; find_by_id(all, id); n++) {
        g_free(id);
        id = g_strdup_printf("%s.%u", name, n);
    }
    return id;
}

gboolean display_open(Machine *m, const char *text, GError **err)
{
    const DisplayRow *r = row_find(text, err);
    if (!r || !r->type)
        return r != NULL;
    const char *options = text + name_length(text);
    void *opaque = r->type->open(m, *options ? options + 1 : "", err);
    if (!opaque)
        return FALSE;
    Display *d = g_new0(Display, 1);
    *d = (Display){ .type = r->type, .opaque = opaque, .id = free_id(displays_of(m), r->name), .machine = m };
    displays_add(m, d);
    return TRUE;
}

void display_open_default(Machine *m)
{
#ifdef CONFIG_SDL2
    g_autoptr(GError) err = NULL;
    if ((g_getenv("WAYLAND_DISPLAY") || g_getenv("DISPLAY")) && console_nth(m, 0) && !display_open(m, "sdl", &err))
        log_user("%s; going on without a window (-display none)", err->message);
#else
    (void)m;
#endif
}

gboolean display_close(Machine *m, const char *id, GError **err)
{
    Display *d = find_by_id(displays_of(m), id);
    if (!d)
        return error_set(err, "there is no display '%s': 'info displays' lists those that are open", id);
    g_ptr_array_remove(displays_of(m), d);
    return TRUE;
}

static gboolean close_now(gpointer opaque)
{
    Display *d = opaque;
    Machine *m = d->machine;
    machine_lock(m);
    g_ptr_array_remove(displays_of(m), d);
    machine_unlock(m);
    return G_SOURCE_REMOVE;
}

void display_close_later(Machine *m, void *opaque)
{
    GPtrArray *all = displays_of(m);
    for (unsigned n = 0; all && n < all->len; n++) {
        Display *d = g_ptr_array_index(all, n);
        if (d->opaque != opaque || d->closing)
            continue;
        d->closing = g_idle_source_new();
        g_source_set_callback(d->closing, close_now, d, NULL);
        g_source_attach(d->closing, m->context);
    }
}

void display_close_all(Machine *m)
{
    GPtrArray *all = machine_find(m, "displays");
    if (!all)
        return;
    g_ptr_array_unref(all);
    machine_provide(m, "displays", NULL);
}

bool display_nth(Machine *m, unsigned n, const char **id, GString *about)
{
    const GPtrArray *all = displays_of(m);
    if (!all || n >= all->len)
        return false;
    const Display *d = g_ptr_array_index(all, n);
    *id = d->id;
    if (d->type->describe)
        d->type->describe(d->opaque, about);
    return true;
}
