/* savevm and loadvm: the whole machine's state (core/machine.h) in a file. */
#include "backends/block/block.h"
#include "core/error.h"
#include "debugger/commands/command.h"

/* The only word of the line; NULL after a line about it.  Newly allocated. */
static char *file_argument(MonitorCommand *c, const char *command)
{
    const char *rest = c->arguments;
    char *file = command_word(&rest);

    if (file && !*rest)
        return file;
    g_string_append_printf(c->out, "usage: %s FILE\n", command);
    g_free(file);
    return NULL;
}

/* A file that is there stays as it was until the new one is complete.  The guest's memory is for its owner only. */
static gboolean state_write(Machine *m, const char *file, GError **err)
{
    g_autoptr(GByteArray) state = NULL;

    if (!block_sync_for_save(m, err))
        return FALSE;
    if (!(state = machine_save(m)))
        return error_set(err, "nothing was saved");
    return g_file_set_contents_full(file, (const char *)state->data, state->len,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, err);
}

static void command_savevm(MonitorCommand *c)
{
    g_autofree char *file = file_argument(c, "savevm");
    g_autoptr(GError) err = NULL;

    if (file && !state_write(c->machine, file, &err))
        g_string_append_printf(c->out, "savevm: %s\n", err->message);
}

/* What is no file (/dev/zero, a pipe) may have no end. */
static gboolean state_read(const char *file, char **data, gsize *size, GError **err)
{
    if (g_file_test(file, G_FILE_TEST_EXISTS) && !g_file_test(file, G_FILE_TEST_IS_REGULAR))
        return error_set(err, "'%s' is no regular file", file);
    return g_file_get_contents(file, data, size, err);
}

/* A state that does not fit, or a damaged one, may be loaded in part before that shows: the machine becomes what it was. */
static gboolean state_take(Machine *m, const char *data, gsize size, GError **err)
{
    g_autoptr(GByteArray) before = machine_save(m);

    if (machine_load(m, (const uint8_t *)data, size, err))
        return TRUE;
    if (before && machine_load(m, before->data, before->len, NULL))
        return FALSE;
    g_prefix_error(err, "the machine was reset: ");
    machine_reset(m);
    return FALSE;
}

static void command_loadvm(MonitorCommand *c)
{
    g_autofree char *file = file_argument(c, "loadvm"), *data = NULL;
    g_autoptr(GError) err = NULL;
    gsize size;

    if (!file)
        return;
    if (!state_read(file, &data, &size, &err))
        g_string_append_printf(c->out, "loadvm: %s\n", err->message);
    else if (!state_take(c->machine, data, size, &err))
        g_string_append_printf(c->out, "loadvm: %s: %s\n", file, err->message);
}

const CommandRow save_commands[] = {
    { .name = "loadvm", .arguments = "FILE", .help = "make the machine what savevm has written to a file",
      .run = command_loadvm, .completes = COMPLETE_FILE, .paused = true,
      .more = "The machine must have the same devices and memory, and the images of its drives the content that they\n"
              "had then.\n" },
    { .name = "savevm", .arguments = "FILE", .help = "write the machine's state to a file", .run = command_savevm,
      .completes = COMPLETE_FILE, .paused = true,
      .more = "The images of its drives are not in it: what the guest writes to them afterwards does not fit it.\n" },
    { .name = NULL },
};
