/* Commands about the memory that a guest lends back to the host. */
#include "core/error.h"
#include "debugger/commands/command.h"
#include "hw/virtio/virtio_balloon.h"
#include "util/bits.h"

static Device *find_balloon(MonitorCommand *c)
{
    Device *balloon = device_first(c->machine, &virtio_balloon_type);
    if (!balloon)
        g_string_append(c->out, "this machine has no balloon; -device virtio-balloon-pci gives it one\n");
    return balloon;
}

static void command_balloon(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    guint64 bytes;
    Device *balloon = find_balloon(c);

    if (!balloon)
        return;
    if (!parse_size("balloon", c->arguments, MiB, &bytes, &err))
        g_string_append_printf(c->out, "%s\nusage: balloon SIZE (in MiB, or with a suffix)\n", err->message);
    else if (!bytes)
        g_string_append(c->out, "balloon: a guest without memory does not run: give it at least 1 MiB\n");
    else
        virtio_balloon_set(balloon, bytes);
}

static void info_balloon(MonitorCommand *c)
{
    static const struct { unsigned stat; const char *name; } sizes[] = {
        { BALLOON_TOTAL, "total" }, { BALLOON_FREE, "free" }, { BALLOON_AVAILABLE, "available" },
        { BALLOON_CACHES, "disk caches" }, { BALLOON_SWAP_IN, "swapped in" }, { BALLOON_SWAP_OUT, "swapped out" },
    }, counts[] = {
        { BALLOON_MAJOR_FAULTS, "major faults" }, { BALLOON_MINOR_FAULTS, "minor faults" },
    };
    Device *balloon = find_balloon(c);
    BalloonInfo info;

    if (!balloon)
        return;
    virtio_balloon_query(balloon, &info);
    g_string_append_printf(c->out, "balloon: actual=%" G_GUINT64_FORMAT ", target=%" G_GUINT64_FORMAT " MiB\n",
                           info.actual / MiB, info.target / MiB);
    for (unsigned k = 0; k < G_N_ELEMENTS(sizes); k++)
        if (info.stats[sizes[k].stat] != UINT64_MAX)
            g_string_append_printf(c->out, "  %s: %" G_GUINT64_FORMAT " MiB\n", sizes[k].name,
                                   info.stats[sizes[k].stat] / MiB);
    for (unsigned k = 0; k < G_N_ELEMENTS(counts); k++)
        if (info.stats[counts[k].stat] != UINT64_MAX)
            g_string_append_printf(c->out, "  %s: %" G_GUINT64_FORMAT "\n", counts[k].name,
                                   info.stats[counts[k].stat]);
}

const CommandRow balloon_commands[] = {
    { .name = "balloon", .arguments = "SIZE", .help = "how much RAM the guest is to make do with (MiB)",
      .run = command_balloon },
    { .name = NULL },
};

const CommandRow balloon_info[] = {
    { .name = "balloon", .arguments = "", .help = "RAM that the guest has, and what it says of it",
      .run = info_balloon },
    { .name = NULL },
};
