/* Names of types in expressions: casts, sizeof, ptype (expression.h). */
#include <string.h>

#include "debugger/expression/expression_tree.h"
#include "debugger/symbols/symbols.h"

static size_t word_length(const char *at)
{
    size_t n = 0;
    if (g_ascii_isdigit(*at))
        return 0;
    while (g_ascii_isalnum(at[n]) || at[n] == '_')
        n++;
    return n;
}

static char *next_word(Parse *p)
{
    parse_blanks(p);
    return g_strndup(p->at, word_length(p->at));
}

static bool is_one_of(const char *word, const char *const *list)
{
    return g_strv_contains(list, word);
}

static const char *const qualifiers[] = { "const", "volatile", "restrict", NULL };
static const char *const basics[] = { "unsigned", "signed", "long", "short", "int", "char", "_Bool", "bool", "float",
                                      "double", "void", NULL };
static const char *const tags[] = { "struct", "union", "enum", NULL };

static void skip_qualifiers(Parse *p)
{
    for (;;) {
        g_autofree char *word = next_word(p);
        if (!is_one_of(word, qualifiers))
            return;
        p->at += strlen(word);
    }
}

/* "unsigned long int", in any order. */
static const Type *parse_basic(Parse *p)
{
    unsigned longs = 0, shorts = 0, is_signed = 0, is_unsigned = 0;
    g_autofree char *base = g_strdup("int");
    for (;;) {
        g_autofree char *word = next_word(p);
        if (is_one_of(word, qualifiers)) {
            p->at += strlen(word);
            continue;
        }
        if (!is_one_of(word, basics))
            break;
        p->at += strlen(word);
        if (!strcmp(word, "long"))
            longs++;
        else if (!strcmp(word, "short"))
            shorts++;
        else if (!strcmp(word, "signed"))
            is_signed++;
        else if (!strcmp(word, "unsigned"))
            is_unsigned++;
        else {
            g_free(base);
            base = g_steal_pointer(&word);
        }
    }
    const char *sign = is_unsigned ? "unsigned " : is_signed && !strcmp(base, "char") ? "signed " : "";
    const char *size = shorts ? "short" : longs > 1 ? "long long" : longs ? "long" : base;
    g_autofree char *name = g_strconcat(sign, strcmp(base, "int") ? base : size, NULL);
    const Type *t = type_basic(name);
    return t ? t : parse_error(p, "there is no type '%s'", name);
}

static const Type *find_type(Parse *p, const char *tag, const char *name)
{
    DwarfFile *f;
    uint64_t scope = parse_scope(p);
    for (unsigned k = 0; (f = symbols_dwarf(debugger_symbols(p->debugger), k)); k++) {
        const Type *t = dwarf_type(f, tag, name, scope);
        if (!t)
            continue;
        if (!g_ptr_array_find(p->e->files, f, NULL))
            g_ptr_array_add(p->e->files, dwarf_file_ref(f));
        return t;
    }
    return NULL;
}

static const Type *parse_tagged(Parse *p, const char *tag)
{
    p->at += strlen(tag);
    g_autofree char *name = next_word(p);
    const Type *t = *name ? find_type(p, tag, name) : NULL;
    if (!t)
        return parse_error(p, "there is no '%s %s' in the DWARF data that is loaded,", tag, name);
    p->at += strlen(name);
    return t;
}

/* Registers, symbols and memory of that name come first: "u8[rip]", a variable called "list". */
static bool means_value(Parse *p, const char *name)
{
    CpuRegister r;
    uint64_t address;
    const char *next = p->at + strlen(name);
    return next[strspn(next, " \t")] == '[' || !strcmp(name, "pc") || cpu_register_find(p->cpu, name, &r) ||
           symbols_find(debugger_symbols(p->debugger), name, &address) || parse_is_variable(p, name);
}

static const Type *parse_base(Parse *p)
{
    g_autofree char *word = next_word(p);
    if (!*word)
        return NULL;
    if (is_one_of(word, basics))
        return parse_basic(p);
    if (is_one_of(word, tags))
        return parse_tagged(p, word);
    if (means_value(p, word))
        return NULL;
    const Type *t = type_basic(word);
    if (!t)
        t = find_type(p, "typedef", word);
    if (t)
        p->at += strlen(word);
    return t;
}

const Type *parse_type(Parse *p)
{
    const char *before = p->at;
    skip_qualifiers(p);
    const Type *t = parse_base(p);
    if (!t) {
        p->at = p->failed ? p->at : before;
        return NULL;
    }
    skip_qualifiers(p);
    while (parse_accept(p, "*")) {
        t = parse_pointer_type(p, t);
        skip_qualifiers(p);
    }
    return t;
}
