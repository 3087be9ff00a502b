/* linux WHAT: commands about a Linux guest. */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "debugger/commands/command.h"
#include "debugger/linux/linux.h"

/* One of them: `arguments` is what follows its name. */
typedef struct LinuxRow {
    const char *name;
    gboolean (*run)(MonitorCommand *c, const char *arguments, GError **err);
} LinuxRow;

static gboolean run_ps(MonitorCommand *c, const char *arguments, GError **err)
{
    bool threads = !strcmp(arguments, "-t");
    if (*arguments && !threads)
        return error_set(err, "linux ps: '%s': only -t, for threads, is known", arguments);
    g_autoptr(Linux) l = linux_open(c->debugger, err);
    return l && linux_print_tasks(l, threads, c->out, err);
}

static gboolean run_current(MonitorCommand *c, const char *arguments, GError **err)
{
    g_autoptr(Linux) l = linux_open(c->debugger, err);
    (void)arguments;
    return l && linux_print_current(l, c->out, err);
}

static gboolean run_dmesg(MonitorCommand *c, const char *arguments, GError **err)
{
    g_autoptr(Linux) l = linux_open(c->debugger, err);
    (void)arguments;
    return l && linux_print_log(l, c->out, err);
}

static gboolean run_mods(MonitorCommand *c, const char *arguments, GError **err)
{
    g_autoptr(Linux) l = linux_open(c->debugger, err);
    (void)arguments;
    return l && linux_print_modules(l, c->out, err);
}

static gboolean run_version(MonitorCommand *c, const char *arguments, GError **err)
{
    g_autoptr(Linux) l = linux_open(c->debugger, err);
    (void)arguments;
    if (!l || !linux_banner(l, c->out, err))
        return FALSE;
    g_string_append_c(c->out, '\n');
    return TRUE;
}

/* Loads a file's symbols beside all others, to look where the kernel is; then in its place. */
static gboolean run_symbols(MonitorCommand *c, const char *arguments, GError **err)
{
    g_autofree char *path = command_word(&arguments);
    unsigned count;
    int64_t slide;
    if (!path)
        return error_set(err, "usage: linux symbols FILE: the kernel's vmlinux or System.map");
    Symbols *unmoved = symbols_new();
    gboolean ok = symbols_load(unmoved, path, 0, &count, err) &&
                  linux_find_slide(debugger_cpu(c->debugger), unmoved, path, &slide, err);
    symbols_free(unmoved);
    if (!ok || !symbols_load(debugger_symbols(c->debugger), path, slide, &count, err))
        return FALSE;
    g_string_append_printf(c->out, "%s: %u symbols; the kernel was moved by 0x%" PRIx64 "\n", path, count,
                           (uint64_t)slide);
    return TRUE;
}

static const LinuxRow linux_rows[] = {
    { "current", run_current },
    { "dmesg", run_dmesg },
    { "mods", run_mods },
    { "ps", run_ps },
    { "symbols", run_symbols },
    { "version", run_version },
};

static void command_linux(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    g_autofree char *name = command_word(&rest);
    rest += strspn(rest, " \t");
    for (unsigned k = 0; name && k < G_N_ELEMENTS(linux_rows); k++)
        if (!strcmp(linux_rows[k].name, name)) {
            if (!linux_rows[k].run(c, rest, &err))
                g_string_append_printf(c->out, "%s\n", err->message);
            return;
        }
    g_string_append(c->out, "usage: linux current|dmesg|mods|ps|symbols|version ('help linux' says more)\n");
}

const CommandRow linux_commands[] = {
    { .name = "linux", .arguments = "WHAT", .help = "look into a Linux guest: processes, messages, modules",
      .run = command_linux, .paused = true,
      .more = "  linux symbols FILE   vmlinux or System.map of the kernel, wherever it was put (KASLR); comes first\n"
              "  linux version        what the kernel calls itself\n"
              "  linux ps [-t]        processes, with -t threads: * runs now, state, CPU, name, task_struct\n"
              "  linux current        what each CPU runs\n"
              "  linux dmesg          the kernel's messages\n"
              "  linux mods           modules: address, size, state, name\n" },
    { .name = NULL },
};
