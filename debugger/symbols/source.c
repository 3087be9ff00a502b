/* Text of source files (source.h). */
#include "debugger/symbols/source.h"

#include <string.h>

enum { FILE_MAX = 64 << 20 };

Source *source_new(void)
{
    Source *s = g_new0(Source, 1);
    s->folders = g_ptr_array_new_with_free_func(g_free);
    s->substitutions = g_ptr_array_new_with_free_func(g_free);
    return s;
}

void source_free(Source *s)
{
    g_ptr_array_free(s->folders, TRUE);
    g_ptr_array_free(s->substitutions, TRUE);
    g_free(s->file);
    g_free(s->folder);
    g_free(s);
}

void source_add_folder(Source *s, const char *folder)
{
    if (folder)
        g_ptr_array_insert(s->folders, 0, g_strdup(folder));
    else
        g_ptr_array_set_size(s->folders, 0);
}

void source_substitute(Source *s, const char *from, const char *to)
{
    for (guint k = s->substitutions->len; k >= 2; k -= 2)
        if (!strcmp(s->substitutions->pdata[k - 2], from))
            g_ptr_array_remove_range(s->substitutions, k - 2, 2);
    if (!to)
        return;
    g_ptr_array_add(s->substitutions, g_strdup(from));
    g_ptr_array_add(s->substitutions, g_strdup(to));
}

/* ---- where ---- */

static char *if_file(char *path)
{
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

static char *find_substituted(const Source *s, const char *path)
{
    char *found = NULL;
    for (guint k = 0; k + 1 < s->substitutions->len && !found; k += 2) {
        const char *from = s->substitutions->pdata[k];
        if (g_str_has_prefix(path, from))
            found = if_file(g_strconcat(s->substitutions->pdata[k + 1], path + strlen(from), NULL));
    }
    return found;
}

/* Under a folder: the whole path, then without its first part, and so on. */
static char *find_under(const char *folder, const char *path)
{
    for (const char *tail = path; tail; tail = strchr(tail, '/')) {
        tail += strspn(tail, "/");
        char *found = if_file(g_build_filename(folder, tail, NULL));
        if (found)
            return found;
    }
    return NULL;
}

char *source_find(const Source *s, const char *file, const char *folder)
{
    bool relative = folder && !g_path_is_absolute(file);
    g_autofree char *path = relative ? g_build_filename(folder, file, NULL) : g_strdup(file);
    char *found = find_substituted(s, path);
    for (guint k = 0; k < s->folders->len && !found; k++)
        found = find_under(s->folders->pdata[k], path);
    return found ? found : if_file(g_strdup(path));
}

/* ---- what ---- */

static void append_lines(const char *text, unsigned first, unsigned last, GString *out)
{
    unsigned number = 1;
    for (const char *p = text; *p && number <= last; number++) {
        size_t n = strcspn(p, "\n");
        if (number >= first)
            g_string_append_printf(out, "%u\t%.*s\n", number, (int)MIN(n, 1000u), p);
        p += n + (p[n] == '\n');
    }
}

static void note(Source *s, const char *file, const char *folder, unsigned first, unsigned last)
{
    char *file_copy = g_strdup(file), *folder_copy = g_strdup(folder); /* they may be the ones that go now */
    g_free(s->file);
    g_free(s->folder);
    s->file = file_copy;
    s->folder = folder_copy;
    s->first = first;
    s->last = last;
}

bool source_list(Source *s, const char *file, const char *folder, unsigned first, unsigned last, GString *out)
{
    g_autofree char *path = source_find(s, file, folder), *text = NULL;
    size_t before = out->len;
    gsize size;
    note(s, file, folder, first, last);
    if (!path || !g_file_get_contents(path, &text, &size, NULL) || size > FILE_MAX) {
        g_string_append_printf(out, "%u to %u in %s: its text is not there ('directory FOLDER' says where to look)\n",
                               first, last, s->file);
        return true;
    }
    append_lines(text, first, last, out);
    return out->len > before;
}
