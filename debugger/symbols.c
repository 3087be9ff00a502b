/* Symbols (symbols.h). */
#include "debugger/symbols.h"

#include <inttypes.h>
#include <string.h>

typedef struct Symbol {
    uint64_t address;
    const char *name; /* in a file's text */
} Symbol;

struct Symbols {
    GArray *all;      /* of Symbol, by address */
    GPtrArray *texts;
};

Symbols *symbols_new(void)
{
    Symbols *s = g_new0(Symbols, 1);
    s->all = g_array_new(FALSE, FALSE, sizeof(Symbol));
    s->texts = g_ptr_array_new_with_free_func(g_free);
    return s;
}

void symbols_free(Symbols *s)
{
    if (!s)
        return;
    g_array_free(s->all, TRUE);
    g_ptr_array_free(s->texts, TRUE);
    g_free(s);
}

bool symbols_find(const Symbols *s, const char *name, uint64_t *address)
{
    for (guint k = 0; k < s->all->len; k++) {
        const Symbol *y = &g_array_index(s->all, Symbol, k);
        if (!strcmp(y->name, name)) {
            *address = y->address;
            return true;
        }
    }
    return false;
}

const char *symbols_name(const Symbols *s, uint64_t address, uint64_t *distance)
{
    const Symbol *best = NULL;
    for (guint k = 0; k < s->all->len; k++) {
        const Symbol *y = &g_array_index(s->all, Symbol, k);
        if (y->address <= address && (!best || y->address > best->address))
            best = y;
    }
    if (best)
        *distance = address - best->address;
    return best ? best->name : NULL;
}

GArray *symbols_line_addresses(Symbols *s, const char *file, unsigned line)
{
    (void)s, (void)file, (void)line;
    return g_array_new(FALSE, FALSE, sizeof(uint64_t));
}

void symbols_print(const Symbols *s, uint64_t address, GString *out)
{
    uint64_t distance;
    const char *name = symbols_name(s, address, &distance);
    if (name)
        g_string_append_printf(out, distance ? " <%s+0x%" PRIx64 ">" : " <%s>", name, distance);
}
