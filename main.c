/*
 * Myna's entry: command line, machine, main loop, exit.
 */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/fsdev.h"
#include "backends/audio/audio.h"
#include "backends/block/block.h"
#include "backends/char/char.h"
#include "backends/net/net.h"
#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/options.h"
#include "debugger/commands/command.h"
#include "debugger/debugger.h"
#include "debugger/gdb/gdb.h"
#include "debugger/monitor/monitor.h"
#include "debugger/qmp/qmp.h"
#include "debugger/symbols/symbols.h"
#include "machines/board.h"
#include "machines/devices.h"
#include "machines/options.h"
#include "ui/keymap.h"
#include "ui/picture.h"
#include "ui/record.h"
#include "ui/typing.h"
#include "ui/ui.h"

/* ---- chardevs and monitors ---- */

/* "KIND,id=ID,...": the id names the back end. */
static gboolean chardev_create(Machine *m, const char *text, GError **err)
{
    GPtrArray *pairs = option_pairs_parse(text, "backend");
    const char *id = option_pairs_get(pairs, "id");
    gboolean ok = id ? char_new(m, id, text, err) != NULL : error_set(err, "-chardev %s: needs an id=", text);
    g_ptr_array_unref(pairs);
    return ok;
}

static gboolean chardevs_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->chardevs->len; i++) {
        if (!chardev_create(m, g_ptr_array_index(o->chardevs, i), err))
            return FALSE;
    }
    return TRUE;
}

/* A back end that others may have too gives its second half. */
static void monitor_start(Machine *m, CharBackend *c)
{
    monitor_attach(m, char_wants_mux(c) ? char_mux(c) : c);
}

/* -monitor CHARDEV */
static gboolean monitors_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->monitors->len; i++) {
        const char *spec = g_ptr_array_index(o->monitors, i);
        char *id = g_strdup_printf("monitor%u", i);
        CharBackend *c = strcmp(spec, "none") ? char_new(m, id, spec, err) : NULL;
        g_free(id);
        if (c)
            monitor_start(m, c);
        else if (strcmp(spec, "none"))
            return FALSE;
    }
    return TRUE;
}

/* QMP on char devices as -qmp has them. */
static gboolean qmps_create(Machine *m, const GPtrArray *specs, bool pretty, GError **err)
{
    const char *what = pretty ? "-qmp-pretty" : "-qmp";
    for (guint i = 0; i < specs->len; i++) {
        const char *spec = g_ptr_array_index(specs, i);
        g_autofree char *id = g_strdup_printf("%s%u", what + 1, i);
        if (!strcmp(spec, "none"))
            continue;
        CharBackend *c = char_new(m, id, spec, err);
        if (!c || !qmp_attach(m, char_wants_mux(c) ? char_mux(c) : c, pretty, what, err))
            return FALSE;
    }
    return TRUE;
}

/* -mon */
typedef struct MonOptions {
    char *chardev, *mode;
    bool pretty;
} MonOptions;

static const char *const mon_modes[] = {"readline", "control", NULL};
static const OptionField mon_fields[] = {
    OPTION_FIELD(MonOptions, chardev, "chardev", OPTION_STRING),
    OPTION_CHOICE(MonOptions, mode, "mode", mon_modes),
    OPTION_FIELD(MonOptions, pretty, "pretty", OPTION_BOOL),
    OPTION_FIELD_IGNORED("id"),
    OPTION_FIELD_END,
};

static gboolean mon_start(Machine *m, const MonOptions *o, GError **err)
{
    CharBackend *c = o->chardev ? char_find(m, o->chardev) : NULL;
    if (!c)
        return error_set(err, "-mon: there is no -chardev of the id '%s'", o->chardev ? o->chardev : "");
    if (!g_strcmp0(o->mode, "control"))
        return qmp_attach(m, char_wants_mux(c) ? char_mux(c) : c, o->pretty, "-mon", err);
    monitor_start(m, c);
    return TRUE;
}

static gboolean mons_create(Machine *m, const Options *o, GError **err)
{
    for (guint i = 0; i < o->mons->len; i++) {
        MonOptions mon = {0};
        gboolean ok = option_fields_parse("-mon", g_ptr_array_index(o->mons, i), "chardev", mon_fields, &mon, err) &&
                      mon_start(m, &mon, err);
        option_fields_clear(mon_fields, &mon);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

/* The other half of each mon:... serial port. */
static void serial_monitors_create(Machine *m, const Options *o)
{
    for (guint i = 0; i < o->serials->len; i++) {
        char *id = g_strdup_printf("serial%u", i);
        CharBackend *c = char_find(m, id);
        if (c && char_wants_mux(c))
            monitor_attach(m, char_mux(c));
        g_free(id);
    }
}

/* ---- process ---- */

static gboolean pid_file_write(const char *file, GError **err)
{
    char *text = g_strdup_printf("%ld\n", (long)getpid());
    gboolean ok = g_file_set_contents(file, text, -1, NULL);
    g_free(text);
    return ok || error_set(err, "-pidfile %s: cannot write it: %s", file, g_strerror(errno));
}

/* SIGINT, SIGTERM and SIGHUP end the machine in order. */
static gboolean on_signal(gpointer m)
{
    machine_quit_by_signal(m);
    return G_SOURCE_CONTINUE;
}

static void signals_watch(Machine *m)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        GSource *s = g_unix_signal_source_new(numbers[i]);
        g_source_set_callback(s, on_signal, m, NULL);
        g_source_attach(s, m->context);
        g_source_unref(s);
    }
}

/* ---- the run ---- */

static void triple_fault_configure(Machine *m, const Options *o)
{
    const char *what = o->action.triple_fault;
    if (what && !strcmp(what, "stop"))
        debugger_set_triple_fault(debugger_of(m), TRIPLE_FAULT_STOP);
    else if (what && !strcmp(what, "reset"))
        debugger_set_triple_fault(debugger_of(m), TRIPLE_FAULT_RESET);
}

/* Symbols of a kernel that is an ELF file, where somebody may ask for them; that it has none is no mistake. */
static void kernel_symbols_load(Machine *m, const Options *o)
{
    if (o->kernel && machine_find(m, "debugger"))
        symbols_load_elf(debugger_symbols(debugger_of(m)), o->kernel);
}

/* -display; without it a window, unless -nographic leaves the terminal. */
static gboolean displays_open(Machine *m, const Options *o, GError **err)
{
    if (o->layout)
        layout_set(m, o->layout);
    if (o->record_screen && !record_start(m, 0, o->record_screen, err))
        return FALSE;
    if (!o->displays->len && !o->nographic)
        display_open_default(m);
    for (guint i = 0; i < o->displays->len; i++) {
        if (!display_open(m, g_ptr_array_index(o->displays, i), err))
            return FALSE;
    }
    return TRUE;
}

/* screenshot: of what there is at the end; NULL: none. */
static void displays_close(Machine *m, const char *screenshot)
{
    g_autoptr(GError) err = NULL;
    machine_lock(m);
    Console *c = console_nth(m, 0);
    if (screenshot && !c)
        log_user("-screenshot-on-exit %s: this machine has no screen", screenshot);
    else if (screenshot && !picture_write(c, screenshot, PICTURE_BY_NAME, &err))
        log_user("-screenshot-on-exit: %s", err->message);
    record_end(m);
    display_close_all(m);
    machine_unlock(m);
}

static gboolean faces_create(Machine *m, const Options *o, GError **err)
{
    if (!monitors_create(m, o, err) || !mons_create(m, o, err) || !qmps_create(m, o->qmps, false, err) ||
        !qmps_create(m, o->pretty_qmps, true, err))
        return FALSE;
    serial_monitors_create(m, o);
    triple_fault_configure(m, o);
    if (o->gdb && !gdb_open(m, o->gdb, err))
        return FALSE;
    kernel_symbols_load(m, o);
    machine_lock(m);
    gboolean ok = displays_open(m, o, err);
    machine_unlock(m);
    return ok && (!o->pid_file || pid_file_write(o->pid_file, err));
}

/* -debug-script FILE */
static gboolean script_run(Machine *m, const Options *o, bool *waits, GError **err)
{
    if (!o->debug_script)
        return TRUE;
    machine_lock(m);
    gboolean ok = command_execute_file(m, o->debug_script, waits, err);
    machine_unlock(m);
    if (!ok)
        g_prefix_error(err, "-debug-script: ");
    return ok;
}

/* Makes board and faces, runs, takes all apart; the exit status is in *status. */
static gboolean machine_live(Machine *m, const Options *o, int *status, GError **err)
{
    signals_watch(m);
    if (!chardevs_create(m, o, err))
        return FALSE;
    void *board = o->board->create(m, o, err);
    if (!board)
        return FALSE;
    bool waits = false; /* for a stop: the script has let the machine run, or will */
    gboolean ok = faces_create(m, o, err) && script_run(m, o, &waits, err);
    if (ok) {
        debugger_rest(debugger_of(m));
        *status = machine_run(m, o->stopped || waits);
    }
    displays_close(m, ok ? o->screenshot_on_exit : NULL);
    gdb_free(m);
    o->board->destroy(board);
    if (o->pid_file)
        unlink(o->pid_file);
    return ok;
}

static gboolean run(const Options *o, int *status, GError **err)
{
    if ((o->log || o->log_file) && !log_configure(o->log ? o->log : "", o->log_file, err))
        return FALSE;
    if (o->log_filter && !log_set_filter(o->log_filter, err))
        return FALSE;
    if (!board_check_globals(o, err))
        return FALSE;
    Machine *m = machine_new(board_pool_size(o), err);
    if (!m)
        return FALSE;
    m->types = o->types;
    machine_provide(m, "name", o->name);
    m->no_reboot = o->no_reboot || !g_strcmp0(o->action.reboot, "shutdown");
    m->no_shutdown = o->no_shutdown || !g_strcmp0(o->action.shutdown, "pause");
    gboolean ok = machine_live(m, o, status, err);
    net_close_all(m);
    audio_close_all(m);
    fsdev_close_all(m);
    block_close_all(m);
    monitor_free_all(m);
    qmp_free_all(m);
    typing_free(m);
    debugger_free(m);
    char_free_all(m);
    machine_free(m);
    return ok;
}

int main(int argc, char **argv)
{
    GError *err = NULL;
    int status = 0;
    Options *o = options_parse(argc, argv, device_types, &err);
    if (o && !o->done)
        run(o, &status, &err);
    options_free(o);
    if (!err)
        return status;
    log_user("%s", err->message);
    g_error_free(err);
    return 1;
}
