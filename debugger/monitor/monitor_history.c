/* Lines typed before, in memory and in a file (monitor_parts.h). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "debugger/monitor/monitor_parts.h"

#define LINES_MAX 1000

static char *history_file(void)
{
    const char *state = g_getenv("XDG_STATE_HOME");
    if (state && g_path_is_absolute(state))
        return g_build_filename(state, "myna", "history", NULL);
    return g_build_filename(g_get_home_dir(), ".local", "state", "myna", "history", NULL);
}

static void forget_old(LineHistory *h)
{
    if (h->lines->len > LINES_MAX)
        g_ptr_array_remove_range(h->lines, 0, h->lines->len - LINES_MAX);
}

/* Writes the lines in memory anew: the file has grown long. */
static void rewrite(const LineHistory *h)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint k = 0; k < h->lines->len; k++)
        g_string_append_printf(text, "%s\n", (const char *)h->lines->pdata[k]);
    g_file_set_contents(h->file, text->str, text->len, NULL);
    chmod(h->file, 0600);
}

static void load(LineHistory *h)
{
    g_autofree char *text = NULL;
    if (!g_file_test(h->file, G_FILE_TEST_IS_REGULAR) || !g_file_get_contents(h->file, &text, NULL, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++)
        if (**l && g_utf8_validate(*l, -1, NULL))
            g_ptr_array_add(h->lines, g_strdup(*l));
    bool grown = h->lines->len > 2 * LINES_MAX;
    forget_old(h);
    if (grown)
        rewrite(h);
}

void line_history_init(LineHistory *h, bool kept)
{
    h->lines = g_ptr_array_new_with_free_func(g_free);
    h->file = kept ? history_file() : NULL;
    if (kept)
        load(h);
}

void line_history_clear(LineHistory *h)
{
    g_ptr_array_free(h->lines, TRUE);
    g_free(h->file);
}

/* One write with O_APPEND: several emulators may share the file. */
static void append(const LineHistory *h, const char *line)
{
    g_autofree char *folder = g_path_get_dirname(h->file), *text = g_strconcat(line, "\n", NULL);
    g_mkdir_with_parents(folder, 0700);
    int fd = open(h->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        g_debug("%s: %s", h->file, g_strerror(errno));
    close(fd);
}

void line_history_add(LineHistory *h, const char *line)
{
    const char *last = h->lines->len ? h->lines->pdata[h->lines->len - 1] : "";
    if (!line[strspn(line, " \t")] || !strcmp(line, last))
        return;
    g_ptr_array_add(h->lines, g_strdup(line));
    forget_old(h);
    if (h->file)
        append(h, line);
}
