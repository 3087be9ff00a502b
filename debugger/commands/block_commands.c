/* Commands about drives and their media: info block, change, eject, block_resize, commit. */
#include <inttypes.h>
#include <string.h>

#include "backends/block/block.h"
#include "core/error.h"
#include "debugger/commands/command.h"
#include "util/bits.h"

/* ---- info block ---- */

static void print_medium(const BlockBackend *b, GString *out)
{
    const char *protocol = block_protocol(b), *backing;

    g_string_append_printf(out, "%s (%s%s), %" PRIu64 " KiB\n", block_file(b), block_format(b),
                           block_readonly(b) ? ", read-only" : "", block_size(b) / KiB);
    g_string_append_printf(out, "    Cache mode:    %s%s\n", block_cache_mode(b),
                           block_can_discard(b) ? ", discarded blocks are given back" : "");
    if (protocol && strcmp(protocol, "file"))
        g_string_append_printf(out, "    Protocol:      %s\n", protocol);
    for (unsigned n = 0; (backing = block_backing(b, n)); n++)
        g_string_append_printf(out, "    Backing file:  %s (chain depth: %u)\n", backing, n + 1);
}

static void print_drive(const BlockBackend *b, GString *out)
{
    g_string_append_printf(out, "%s: ", block_id(b));
    if (block_inserted(b))
        print_medium(b, out);
    else
        g_string_append(out, "[not inserted]\n");
    g_string_append_printf(out, "    Attached to:   %s\n", block_user(b) ? block_user(b) : "nothing");
    if (block_removable(b) && block_user(b))
        g_string_append_printf(out, "    Removable device: %slocked, tray %s\n", block_locked(b) ? "" : "not ",
                               block_tray_open(b) ? "open" : "closed");
}

static void info_block(MonitorCommand *c)
{
    const BlockBackend *b;
    for (unsigned k = 0; (b = block_nth(c->machine, k)); k++)
        print_drive(b, c->out);
    if (!block_nth(c->machine, 0))
        g_string_append(c->out, "there are no drives (-drive)\n");
}

/* ---- changing ---- */

/* The drive that the next word names; NULL after a line about it. */
static BlockBackend *next_drive(MonitorCommand *c, const char *command, const char **rest)
{
    g_autofree char *id = command_word(rest);
    BlockBackend *b = id ? block_find(c->machine, id) : NULL;

    if (!id)
        g_string_append_printf(c->out, "%s: which drive? `info block` lists them\n", command);
    else if (!b)
        g_string_append_printf(c->out, "%s: there is no drive '%s'; `info block` lists them\n", command, id);
    return b;
}

static void print_error(MonitorCommand *c, const char *command, GError *err)
{
    g_string_append_printf(c->out, "%s: %s\n", command, err->message);
    g_error_free(err);
}

static bool take_flag(const char **rest, const char *flag)
{
    size_t n = strlen(flag);
    bool there = !strncmp(*rest, flag, n) && (!(*rest)[n] || (*rest)[n] == ' ');

    if (there)
        *rest += n + strspn(*rest + n, " ");
    return there;
}

static void command_change(MonitorCommand *c)
{
    const char *rest = c->arguments;
    bool force = take_flag(&rest, "-f");
    const char *vnc = rest;
    g_autofree char *first = command_word(&vnc);
    if (!g_strcmp0(first, "vnc")) {
        command_change_vnc(c, vnc);
        return;
    }
    BlockBackend *b = next_drive(c, "change", &rest);
    g_autofree char *file = command_word(&rest), *format = command_word(&rest), *how = command_word(&rest);
    GError *err = NULL;

    if (b && !file)
        g_string_append(c->out, "change: to which file?\n");
    else if (how && strcmp(how, "read-only") && strcmp(how, "retain"))
        g_string_append_printf(c->out, "change: '%s' is neither read-only nor retain\n", how);
    else if (b && !block_change(b, file, format, how && !strcmp(how, "read-only"), force, &err))
        print_error(c, "change", err);
}

static void command_eject(MonitorCommand *c)
{
    const char *rest = c->arguments;
    bool force = take_flag(&rest, "-f");
    BlockBackend *b = next_drive(c, "eject", &rest);
    GError *err = NULL;

    if (b && !block_eject(b, force, &err))
        print_error(c, "eject", err);
}

static void command_resize(MonitorCommand *c)
{
    const char *rest = c->arguments;
    BlockBackend *b = next_drive(c, "block_resize", &rest);
    g_autofree char *text = command_word(&rest);
    GError *err = NULL;
    guint64 size;

    if (b && !text)
        g_string_append(c->out, "block_resize: to which size? in MiB, or with a suffix\n");
    else if (b && (!parse_size("size", text, MiB, &size, &err) || !block_resize(b, size, &err)))
        print_error(c, "block_resize", err);
}

/* "all": those that have something to commit to. */
static void command_commit(MonitorCommand *c)
{
    const char *rest = c->arguments;
    bool all = !strcmp(rest, "all");
    BlockBackend *b = all ? block_nth(c->machine, 0) : next_drive(c, "commit", &rest);

    for (unsigned k = 1; b; b = all ? block_nth(c->machine, k++) : NULL) {
        GError *err = NULL;
        if ((!all || block_backing(b, 0)) && !block_commit(b, &err))
            print_error(c, "commit", err);
    }
}

const CommandRow block_commands[] = {
    { .name = "block_resize", .arguments = "DRIVE SIZE", .help = "gives a drive's image another size (MiB, or suffix)",
      .run = command_resize },
    { .name = "change", .arguments = "[-f] DRIVE FILE [FORMAT [read-only]]", .help = "puts another medium into a drive",
      .run = command_change,
      .more = "FORMAT is an image format, by default what the file looks like.  -f: also when the guest has locked the\n"
              "tray.\n"
              "change vnc password PASSWORD: as set_password vnc PASSWORD.\n" },
    { .name = "commit", .arguments = "DRIVE|all", .help = "writes an image's changes into its backing image",
      .run = command_commit },
    { .name = "eject", .arguments = "[-f] DRIVE", .help = "takes the medium out of a drive", .run = command_eject,
      .more = "-f: also when the guest has locked the tray; without it the guest is asked to open it.\n" },
    { .name = NULL },
};

const CommandRow block_info[] = {
    { .name = "block", .arguments = "", .help = "drives and their images", .run = info_block },
    { .name = NULL },
};
