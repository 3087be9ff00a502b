/*
 * Character back ends: notation, list, and the way of bytes between a file descriptor and a front end (char.h).
 */
#include "backends/char/char.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/char/backend.h"
#include "core/error.h"
#include "core/log.h"
#include "core/options.h"

/* ---- the list ---- */

static void backend_free(gpointer p)
{
    CharBackend *c = p;
    machine_provide_backend(c->machine, "chardev", c->id, NULL);
    if (c->source)
        g_source_destroy(c->source);
    char_unwatch_output(c);
    if (c->close)
        c->close(c);
    if (c->mux)
        char_mux_free(c->mux);
    g_free(c->id);
    g_free(c);
}

static GPtrArray *char_list(Machine *m)
{
    return machine_find(m, "char");
}

CharBackend *char_register(Machine *m, const char *id)
{
    if (!char_list(m))
        machine_provide(m, "char", g_ptr_array_new_with_free_func(backend_free));
    CharBackend *c = g_new0(CharBackend, 1);
    c->machine = m;
    c->id = g_strdup(id);
    c->input = c->output = c->patience = -1;
    g_ptr_array_add(char_list(m), c);
    machine_provide_backend(m, "chardev", id, c);
    return c;
}

CharBackend *char_find(Machine *m, const char *id) { return machine_find_backend(m, "chardev", id); }

CharBackend *char_nth(Machine *m, unsigned n)
{
    GPtrArray *list = char_list(m);
    return list && n < list->len ? g_ptr_array_index(list, n) : NULL;
}

const char *char_id(const CharBackend *c)
{
    return c->id;
}

bool char_is_open(const CharBackend *c)
{
    return c->first ? c->first->opened : c->opened;
}

void char_free(CharBackend *c)
{
    if (c)
        g_ptr_array_remove(char_list(c->machine), c);
}

void char_free_all(Machine *m)
{
    GPtrArray *list = char_list(m);
    if (!list)
        return;
    machine_provide(m, "char", NULL);
    g_ptr_array_unref(list);
}

/* ---- front end ---- */

unsigned char_frontend_room(const CharBackend *c)
{
    if (!c->frontend || !c->frontend->receive)
        return 0;
    return c->frontend->can_receive ? c->frontend->can_receive(c->opaque) : UINT_MAX;
}

void char_frontend_receive(CharBackend *c, const uint8_t *data, unsigned size)
{
    c->frontend->receive(c->opaque, data, size);
}

void char_frontend_event(CharBackend *c, int event)
{
    if (c->frontend && c->frontend->event)
        c->frontend->event(c->opaque, event);
}

/* ---- input ---- */

static unsigned input_room(const CharBackend *c)
{
    return c->mux ? char_mux_room(c->mux) : char_frontend_room(c);
}

static void input_receive(CharBackend *c, const uint8_t *data, unsigned size)
{
    if (c->mux)
        char_mux_receive(c->mux, data, size);
    else
        char_frontend_receive(c, data, size);
}

static void input_unwatch(CharBackend *c)
{
    if (!c->source)
        return;
    g_source_destroy(c->source);
    g_source_unref(c->source);
    c->source = NULL;
}

static void input_ended(CharBackend *c)
{
    input_unwatch(c);
    if (c->hung_up)
        c->hung_up(c);
    else
        c->input = -1;
}

/* Reads what the front end has room for; the watch goes when there is no room (char_accept_input brings it back). */
static void input_take(CharBackend *c)
{
    uint8_t buf[4096];
    unsigned room = MIN(input_room(c), sizeof buf);
    if (!room) {
        input_unwatch(c);
        return;
    }
    ssize_t n = read(c->input, buf, room);
    if (n > 0)
        input_receive(c, buf, n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        input_ended(c);
}

static gboolean input_ready(gint fd, GIOCondition condition, gpointer p)
{
    (void)fd, (void)condition;
    CharBackend *c = p;
    Machine *m = c->machine;
    machine_lock(m);
    if (c->source)
        input_take(c);
    machine_unlock(m);
    return G_SOURCE_CONTINUE; /* a watch that went was destroyed, which counts more */
}

static void input_watch(CharBackend *c)
{
    if (c->source || c->input < 0 || !c->opened || !input_room(c))
        return;
    c->source = g_unix_fd_source_new(c->input, G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_set_callback(c->source, G_SOURCE_FUNC(input_ready), c, NULL);
    g_source_attach(c->source, c->machine->context);
}

void char_accept_input(CharBackend *c)
{
    if (!c)
        return;
    CharBackend *first = c->first ? c->first : c;
    if (first->mux)
        char_mux_flush(first->mux);
    input_watch(first);
}

void char_connect(CharBackend *c, const CharFrontend *ops, void *opaque)
{
    if (!c)
        return;
    c->frontend = ops;
    c->opaque = opaque;
    if (c->opened)
        char_frontend_event(c, CHAR_OPENED);
    char_accept_input(c);
}

void char_opened(CharBackend *c)
{
    c->opened = true;
    c->stalled = false;
    char_frontend_event(c, CHAR_OPENED);
    input_watch(c);
}

void char_closed(CharBackend *c)
{
    input_unwatch(c);
    char_unwatch_output(c);
    c->opened = false;
    char_frontend_event(c, CHAR_CLOSED);
}

/* ---- kinds without a file of their own ---- */

static gboolean open_nothing(CharBackend *c, const CharSettings *settings, GError **err)
{
    (void)settings, (void)err;
    c->opened = true;
    return TRUE;
}

static void file_close(CharBackend *c)
{
    close(c->output);
}

static gboolean file_open(CharBackend *c, const CharSettings *s, GError **err)
{
    if (!s->path || !*s->path)
        return error_set(err, "char device '%s': file needs a path", c->id);
    int fd = open(s->path, O_WRONLY | O_CREAT | O_CLOEXEC | (s->append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0)
        return error_set(err, "char device '%s': cannot open %s: %s", c->id, s->path, g_strerror(errno));
    c->output = fd;
    c->close = file_close;
    c->opened = true;
    return TRUE;
}

static const CharKind kind_file = {"file", "path", true, "file:PATH: output to a file", file_open};
static const CharKind kind_null = {"null", NULL, false, "no input, output is dropped", open_nothing};
static const CharKind kind_none = {"none", NULL, false, "no device at all", open_nothing};
static const CharKind kind_vc = {"vc", NULL, false, "a text console of the window; like null without one",
                                 open_nothing};

static const CharKind *const kinds[] = {
    &char_kind_stdio, &kind_file, &char_kind_pty, &char_kind_unix, &char_kind_tcp, &char_kind_socket, &kind_null,
    &kind_none, &kind_vc, NULL,
};

/* ---- notation ---- */

static const OptionField fields[] = {
    OPTION_FIELD(CharSettings, path, "path", OPTION_STRING),
    OPTION_FIELD(CharSettings, host, "host", OPTION_STRING),
    OPTION_FIELD(CharSettings, port, "port", OPTION_STRING),
    OPTION_FIELD(CharSettings, address, "address", OPTION_STRING),
    OPTION_FIELD(CharSettings, server, "server", OPTION_BOOL),
    OPTION_FIELD(CharSettings, wait, "wait", OPTION_BOOL),
    OPTION_FIELD(CharSettings, append, "append", OPTION_BOOL),
    OPTION_FIELD(CharSettings, mux, "mux", OPTION_BOOL),
    OPTION_FIELD(CharSettings, signal, "signal", OPTION_BOOL),
    OPTION_FIELD_IGNORED("id"),
    OPTION_FIELD_IGNORED("nodelay"),
    OPTION_FIELD_END,
};

static const CharKind *kind_find(const char *what, const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(kinds) + 2];
    unsigned n = 0;
    for (const CharKind *const *k = kinds; *k; k++) {
        if (!strcmp((*k)->name, name))
            return *k;
        names[n++] = (*k)->name;
    }
    names[n++] = "chardev:ID";
    names[n] = NULL;
    error_unknown(err, what, "kind", name, names);
    return NULL;
}

/* Reads what follows the kind's name: ":value,key=value" or ",key=value". */
static gboolean settings_parse(const char *what, const CharKind *kind, const char *rest, CharSettings *s, GError **err)
{
    if (*rest != ':')
        return !*rest || option_fields_parse(what, rest + 1, NULL, fields, s, err);
    if (!kind->implied)
        return error_set(err, "%s: nothing may follow '%s:'", what, kind->name);
    if (!kind->whole)
        return option_fields_parse(what, rest + 1, kind->implied, fields, s, err);
    s->path = g_strdup(rest + 1);
    return TRUE;
}

static CharBackend *backend_open(Machine *m, const char *id, const CharKind *kind, const CharSettings *s, GError **err)
{
    CharBackend *c = char_register(m, id);
    c->kind = kind->name;
    c->mux_wanted = s->mux;
    if (kind->open(c, s, err)) {
        if (s->mux && c->share_keys)
            c->share_keys(c);
        return c;
    }
    g_ptr_array_remove(char_list(m), c);
    return NULL;
}

CharBackend *char_new(Machine *m, const char *id, const char *spec, GError **err)
{
    CharSettings s = {.wait = true, .signal = true};
    CharBackend *c = NULL;
    if (g_str_has_prefix(spec, "chardev:")) {
        c = char_find(m, spec + strlen("chardev:"));
        if (!c)
            error_set(err, "char device '%s': no -chardev has the id '%s'", id, spec + strlen("chardev:"));
        return c;
    }
    if (char_find(m, id)) {
        error_set(err, "char device '%s': the id is used twice", id);
        return NULL;
    }
    if (g_str_has_prefix(spec, "mon:")) {
        s.mux = true;
        spec += strlen("mon:");
    }
    char *what = g_strdup_printf("char device '%s'", id);
    char *name = g_strndup(spec, strcspn(spec, ":,"));
    const CharKind *kind = kind_find(what, name, err);
    if (kind && settings_parse(what, kind, spec + strlen(name), &s, err))
        c = backend_open(m, id, kind, &s, err);
    option_fields_clear(fields, &s);
    g_free(name);
    g_free(what);
    return c;
}

bool char_wants_mux(const CharBackend *c)
{
    return c->mux_wanted;
}

bool char_terminal_size(const CharBackend *c, unsigned *rows, unsigned *columns)
{
    struct winsize w;
    const CharBackend *first = c->first ? c->first : c;
    if (!first->interactive || ioctl(first->output, TIOCGWINSZ, &w))
        return false;
    *rows = w.ws_row ? w.ws_row : 24; /* zeros: nobody has set it */
    *columns = w.ws_col ? w.ws_col : 80;
    return true;
}

bool char_has_output(const CharBackend *c)
{
    const CharBackend *first = c->first ? c->first : c;
    return first->output >= 0;
}

bool char_is_stream(const CharBackend *c)
{
    const CharBackend *first = c->first ? c->first : c;
    return !first->interactive && !first->hung_up;
}

void char_take_keys(CharBackend *c)
{
    CharBackend *first = c->first ? c->first : c;
    if (first->share_keys)
        first->share_keys(first);
}

const char *char_kind_name(const CharBackend *c)
{
    return c->kind;
}

bool char_is_connected(const CharBackend *c)
{
    return c->frontend != NULL;
}

void char_list_kinds(void)
{
    for (const CharKind *const *k = kinds; *k; k++)
        g_print("%-8s %s\n", (*k)->name, (*k)->help);
}
