/* Symbols of all loaded files (symbols.h). */
#include "debugger/symbols/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "debugger/symbols/dwarf.h"
#include "debugger/symbols/source.h"
#include "debugger/symbols/symbols_file.h"

struct Symbols {
    GPtrArray *files;   /* SymbolFile * */
    unsigned changes;
    Source *source;
};

Symbols *symbols_new(void)
{
    Symbols *s = g_new0(Symbols, 1);
    s->files = g_ptr_array_new_with_free_func((GDestroyNotify)symbol_file_free);
    s->source = source_new();
    return s;
}

void symbols_free(Symbols *s)
{
    if (!s)
        return;
    g_ptr_array_free(s->files, TRUE);
    source_free(s->source);
    g_free(s);
}

Source *symbols_source(Symbols *s) { return s->source; }
unsigned symbols_changes(const Symbols *s) { return s->changes; }

static const SymbolFile *file_at(const Symbols *s, guint n) { return n < s->files->len ? s->files->pdata[n] : NULL; }

/* ---- files ---- */

static bool is_elf(const char *path)
{
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is = fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "\177ELF", 4);
    if (fd >= 0)
        close(fd);
    return is;
}

static gboolean read_text(SymbolFile *f, GError **err)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;
    gsize size;
    if (!g_file_get_contents(f->path, &text, &size, &why))
        return error_set(err, "%s: cannot be read: %s", f->path, why->message);
    return symbols_read_text(f, text, size, err);
}

static gboolean read_file(SymbolFile *f, const GHashTable *sections, GError **err)
{
    struct stat st;
    if (stat(f->path, &st))
        return error_set(err, "%s: %s", f->path, g_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, "%s: not a regular file", f->path);
    bool elf = is_elf(f->path);
    if (!(elf ? symbols_read_elf(f, sections, err) : read_text(f, err)))
        return FALSE;
    if (!f->all->len)
        return error_set(err, "%s: no symbols in it", f->path);
    symbol_file_finish(f);
    if (elf)
        f->dwarf = dwarf_file_new(f->path, f->offset, sections);
    return TRUE;
}

gboolean symbols_load_sections(Symbols *s, const char *path, int64_t offset, const GHashTable *sections,
                               unsigned *count, GError **err)
{
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    SymbolFile *f = symbol_file_new(full, offset);
    if (!read_file(f, sections, err)) {
        symbol_file_free(f);
        return FALSE;
    }
    symbols_unload(s, full);
    g_ptr_array_add(s->files, f);
    s->changes++;
    if (count)
        *count = f->all->len;
    return TRUE;
}

gboolean symbols_load(Symbols *s, const char *path, int64_t offset, unsigned *count, GError **err)
{
    return symbols_load_sections(s, path, offset, NULL, count, err);
}

void symbols_load_elf(Symbols *s, const char *path)
{
    if (is_elf(path))
        symbols_load(s, path, 0, NULL, NULL);
}

bool symbols_unload(Symbols *s, const char *path)
{
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    for (guint k = 0; k < s->files->len; k++) {
        if (strcmp(file_at(s, k)->path, full))
            continue;
        s->changes++;
        g_ptr_array_remove_index(s->files, k);
        return true;
    }
    return false;
}

void symbols_unload_all(Symbols *s)
{
    g_ptr_array_set_size(s->files, 0);
    s->changes++;
}

void symbols_list_files(const Symbols *s, GString *out)
{
    for (guint k = 0; k < s->files->len; k++) {
        const SymbolFile *f = file_at(s, k);
        g_string_append(out, f->path);
        if (f->offset)
            g_string_append_printf(out, " at 0x%" PRIx64, (uint64_t)f->offset);
        g_string_append_printf(out, ": %u symbols%s\n", f->all->len, f->dwarf ? ", DWARF" : "");
    }
}

bool symbols_file(const Symbols *s, unsigned n, const char **path, int64_t *offset)
{
    const SymbolFile *f = file_at(s, n);
    if (f) {
        *path = f->path;
        *offset = f->offset;
    }
    return f;
}

DwarfFile *symbols_dwarf(const Symbols *s, unsigned n)
{
    for (guint k = 0; k < s->files->len; k++)
        if (file_at(s, k)->dwarf && !n--)
            return file_at(s, k)->dwarf;
    return NULL;
}

/* ---- names ---- */

bool symbols_find(const Symbols *s, const char *name, uint64_t *address)
{
    const Symbol *best = NULL;
    for (guint k = 0; k < s->files->len; k++) {
        const Symbol *y = symbol_file_find(file_at(s, k), name);
        if (y && (!best || y->rank > best->rank))
            best = y;
    }
    if (best)
        *address = best->address;
    return best;
}

static const Symbol *symbol_at(const Symbols *s, uint64_t address)
{
    const Symbol *best = NULL;
    for (guint k = 0; k < s->files->len; k++) {
        const Symbol *y = symbol_file_at(file_at(s, k), address);
        if (y && (!best || y->address > best->address))
            best = y;
    }
    return best;
}

const char *symbols_name(const Symbols *s, uint64_t address, uint64_t *distance)
{
    const Symbol *y = symbol_at(s, address);
    if (y)
        *distance = address - y->address;
    return y ? y->name : NULL;
}

bool symbols_bounds(const Symbols *s, uint64_t address, uint64_t *first, uint64_t *end)
{
    const Symbol *y = symbol_at(s, address);
    if (y) {
        *first = y->address;
        *end = y->end;
    }
    return y;
}

void symbols_print(const Symbols *s, uint64_t address, GString *out)
{
    uint64_t distance;
    const char *name = symbols_name(s, address, &distance);
    if (name)
        g_string_append_printf(out, distance ? " <%s+0x%" PRIx64 ">" : " <%s>", name, distance);
}

/* Whether a name is among those already found, which are sorted file by file only. */
static bool has_name(const GPtrArray *names, const char *name)
{
    for (guint k = names->len; k-- > 0;)
        if (!strcmp(names->pdata[k], name))
            return true;
    return false;
}

GPtrArray *symbols_complete(const Symbols *s, const char *prefix, unsigned max)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (guint k = 0; k < s->files->len; k++) {
        const SymbolFile *f = file_at(s, k);
        const Symbol *y;
        for (guint at = symbol_file_first(f, prefix); names->len < max && (y = symbol_file_by_name(f, at)); at++) {
            if (!g_str_has_prefix(y->name, prefix))
                break;
            if (!has_name(names, y->name))
                g_ptr_array_add(names, g_strdup(y->name));
        }
    }
    return names;
}

void symbols_each(const Symbols *s, const char *prefix, SymbolsFn *fn, void *opaque)
{
    for (guint k = 0; k < s->files->len; k++) {
        const SymbolFile *f = file_at(s, k);
        const Symbol *y;
        for (guint at = symbol_file_first(f, prefix); (y = symbol_file_by_name(f, at)); at++) {
            if (!g_str_has_prefix(y->name, prefix))
                break;
            fn(opaque, y->name, y->address, y->end - y->address);
        }
    }
}

/* ---- lines ---- */

GArray *symbols_line_addresses(Symbols *s, const char *file, unsigned line)
{
    DwarfFile *f;
    GArray *all = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (unsigned k = 0; (f = symbols_dwarf(s, k)); k++)
        dwarf_line_addresses(f, file, line, all);
    return all;
}

bool symbols_line(Symbols *s, uint64_t address, const char **file, unsigned *line)
{
    DwarfFile *f;
    for (unsigned k = 0; (f = symbols_dwarf(s, k)); k++)
        if (dwarf_line(f, address, file, line))
            return true;
    return false;
}

uint64_t symbols_behind_prologue(Symbols *s, uint64_t function)
{
    DwarfFile *f;
    uint64_t behind;
    for (unsigned k = 0; (f = symbols_dwarf(s, k)); k++)
        if (dwarf_behind_prologue(f, function, &behind))
            return behind;
    return function;
}
