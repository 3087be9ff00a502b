/* Names and numbers in expressions (expression.h). */
#include <string.h>

#include "core/error.h"
#include "debugger/expression/expression_tree.h"
#include "debugger/symbols/symbols.h"

/* ---- numbers ---- */

static bool digits_to_number(const char *digits, size_t n, unsigned base, uint64_t *v)
{
    *v = 0;
    for (size_t k = 0; k < n; k++) {
        int digit = g_ascii_xdigit_value(digits[k]);
        if (digit < 0 || (unsigned)digit >= base || *v > (UINT64_MAX - digit) / base)
            return false;
        *v = *v * base + digit;
    }
    return n;
}

/* 0x10 0b11 0o17 017 10h 10, and C's suffixes u and l, which change nothing in 64 bits. */
static bool word_to_number(const char *word, size_t n, uint64_t *v)
{
    int mark = n > 1 && word[0] == '0' ? word[1] | 0x20 : 0;
    if (n > 1 && (word[n - 1] | 0x20) == 'h')
        return digits_to_number(word, n - 1, 16, v);
    while (n > 1 && strchr("uUlL", word[n - 1]))
        n--;
    switch (mark) {
    case 'x': return digits_to_number(word + 2, n - 2, 16, v);
    case 'b': return digits_to_number(word + 2, n - 2, 2, v);
    case 'o': return digits_to_number(word + 2, n - 2, 8, v);
    default: return digits_to_number(word, n, word[0] == '0' ? 8 : 10, v);
    }
}

static int escaped(char c)
{
    static const char letters[] = "n\nt\tr\ra\ab\be\033" "0\0\\\\''\"\"";
    for (unsigned k = 0; k + 1 < sizeof letters; k += 2)
        if (letters[k] == c)
            return letters[k + 1];
    return -1;
}

static Node *parse_character(Parse *p)
{
    bool escape = p->at[1] == '\\';
    int value = escape ? escaped(p->at[2]) : (unsigned char)p->at[1];
    if (value < 0 || p->at[2 + escape] != '\'')
        return parse_error(p, "no character constant");
    p->at += 3 + escape;
    return node_number(p, value, &type_integer);
}

Node *parse_number(Parse *p)
{
    uint64_t v;
    size_t n = 0;
    if (*p->at == '\'')
        return parse_character(p);
    while (g_ascii_isalnum(p->at[n]) || p->at[n] == '_')
        n++;
    if (!word_to_number(p->at, n, &v))
        return parse_error(p, "no number (decimal, or 0x hexadecimal, 0b binary, 0o octal, at most 64 bits)");
    p->at += n;
    return node_number(p, v, v > INT64_MAX ? &type_number : &type_integer);
}

/* ---- registers ---- */

typedef struct Flag {
    char name[5];
    unsigned bit;
} Flag;

static const Flag flags[] = {
    { "cf", 0 }, { "pf", 2 }, { "af", 4 }, { "zf", 6 }, { "sf", 7 }, { "tf", 8 }, { "if", 9 }, { "df", 10 },
    { "of", 11 }, { "nt", 14 }, { "rf", 16 }, { "vm", 17 }, { "ac", 18 }, { "vif", 19 }, { "vip", 20 }, { "id", 21 },
};

/* "$cf"; without $ they are too short not to hide something. */
static Node *flag_node(Parse *p, const char *name)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(flags); k++)
        if (!g_ascii_strcasecmp(flags[k].name, name)) {
            Node *n = node_new(p, NODE_FLAG, &type_number, NULL, NULL);
            if (n)
                n->number = flags[k].bit;
            return n;
        }
    return NULL;
}

/* Wider ones are arrays of 64-bit lanes, x87's a floating-point number. */
static const Type *register_type(Parse *p, const CpuRegister *r)
{
    if (r->bits <= 64)
        return &type_number;
    Type *t = g_new0(Type, 1);
    if (r->bits == 80)
        *t = (Type){ .kind = TYPE_FLOAT, .name = "long double", .size = 10 };
    else
        *t = (Type){ .kind = TYPE_ARRAY, .target = &type_number, .count = r->bits / 64 };
    g_ptr_array_add(p->e->types, t);
    return t;
}

static Node *register_node(Parse *p, const char *name, bool dollar)
{
    CpuRegister r;
    if (!g_ascii_strcasecmp(name, "pc"))
        return node_new(p, NODE_PC, &type_number, NULL, NULL);
    if (dollar && !g_ascii_strcasecmp(name, "sp"))
        return node_new(p, NODE_SP, &type_number, NULL, NULL);
    if (!cpu_register_find(p->cpu, name, &r))
        return dollar ? flag_node(p, name) : NULL;
    Node *n = node_new(p, NODE_REGISTER, register_type(p, &r), NULL, NULL);
    if (n)
        n->reg = r;
    return n;
}

static Node *parse_dollar(Parse *p)
{
    size_t n = 1;
    while (g_ascii_isalnum(p->at[n]) || p->at[n] == '_')
        n++;
    g_autofree char *name = g_strndup(p->at + 1, n - 1);
    Node *node = register_node(p, name, true);
    if (!node)
        return parse_error(p, "there is no register or flag '$%s'", name);
    p->at += n;
    return node;
}

/* ---- symbols and variables ---- */

static Symbols *symbols_of(Parse *p) { return debugger_symbols(p->debugger); }

uint64_t parse_scope(Parse *p)
{
    if (p->e->has_frame)
        return frame_lookup_pc(&p->e->frame);
    return p->cpu ? cpu_linear_rip(p->cpu) : 0;
}

static Node *hold(Parse *p, DwarfFile *f, Node *n)
{
    if (n && !g_ptr_array_find(p->e->files, f, NULL))
        g_ptr_array_add(p->e->files, dwarf_file_ref(f));
    return n;
}

bool parse_is_variable(Parse *p, const char *name)
{
    DwarfFile *f;
    DwarfVariable *v = NULL;
    for (unsigned k = 0; !v && (f = symbols_dwarf(symbols_of(p), k)); k++)
        v = dwarf_local(f, name, parse_scope(p));
    dwarf_variable_free(v);
    return v;
}

/* A variable that is visible from the scope in a file's DWARF data, or a constant of an enumeration. */
static Node *local_node(Parse *p, DwarfFile *f, const char *name)
{
    DwarfVariable *v = dwarf_local(f, name, parse_scope(p));
    Node *n = v ? node_new(p, NODE_VARIABLE, dwarf_variable_type(v), NULL, NULL) : NULL;
    if (n)
        n->variable = v;
    else
        dwarf_variable_free(v);
    return hold(p, f, n);
}

static Node *find_local(Parse *p, const char *name)
{
    DwarfFile *f;
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(p), k)); k++) {
        Node *n = local_node(p, f, name);
        if (n)
            return n;
    }
    return NULL;
}

/* What a symbol is: a function, whose value is its address, or a variable that DWARF knows, or just an address. */
static Node *symbol_node(Parse *p, const char *name, uint64_t address)
{
    DwarfFile *f;
    Node *number = node_number(p, address, &type_number);
    for (unsigned k = 0; number && (f = symbols_dwarf(symbols_of(p), k)); k++) {
        const Type *t = dwarf_symbol_type(f, name, address, parse_scope(p));
        if (!t)
            continue;
        hold(p, f, number);
        if (type_strip(t)->kind == TYPE_FUNCTION)
            number->type = t;
        else
            number = node_new(p, NODE_MEMORY, t, number, NULL);
        break;
    }
    return number;
}

static Node *constant_node(Parse *p, const char *name)
{
    DwarfFile *f;
    int64_t value;
    for (unsigned k = 0; (f = symbols_dwarf(symbols_of(p), k)); k++) {
        const Type *t = dwarf_constant(f, name, parse_scope(p), &value);
        if (t)
            return hold(p, f, node_number(p, value, t));
    }
    return NULL;
}

static Node *named_node(Parse *p, const char *name)
{
    uint64_t address;
    Node *n = find_local(p, name);
    if (n || p->failed)
        return n;
    if (symbols_find(symbols_of(p), name, &address))
        return symbol_node(p, name, address);
    return constant_node(p, name);
}

/* ---- memory and functions ---- */

/* "u32" or "phys32" of a name; 0: neither. */
static const Type *memory_type(const char *name, NodeKind *kind)
{
    bool physical = g_str_has_prefix(name, "phys");
    g_autofree char *type = physical ? g_strconcat("u", name + 4, NULL) : g_strdup(name);
    *kind = physical ? NODE_PHYSICAL : NODE_MEMORY;
    bool is = strlen(type) <= 3 && (type[0] == 'u' || type[0] == 's') && g_ascii_isdigit(type[1]);
    return is ? type_basic(type) : NULL;
}

static Node *parse_brackets(Parse *p, const Type *type, NodeKind kind)
{
    bool before = p->in_choice;
    p->in_choice = false;
    Node *address = parse_expression(p);
    p->in_choice = before;
    return address && parse_expect(p, "]") ? parse_memory(p, address, type, kind) : NULL;
}

static Node *sum(Parse *p, int op, Node *a, Node *b)
{
    Node *n = a && b ? node_new(p, NODE_BINARY, &type_number, a, b) : NULL;
    if (n)
        n->op = op;
    return n;
}

/*
 * Linux's per-CPU variables are linked at offsets in a CPU's area; __per_cpu_offset has where each one's is
 * (include/linux/percpu-defs.h there).
 */
static Node *per_cpu_node(Parse *p, Node *variable, Node *cpu)
{
    uint64_t table;
    if (!symbols_find(symbols_of(p), "__per_cpu_offset", &table))
        return parse_error(p, "per-CPU variables need Linux's symbol __per_cpu_offset ('symbols FILE'), before");
    const Type *type = variable->kind == NODE_MEMORY ? variable->type : NULL;
    Node *offset = type ? variable->a : variable;
    Node *entry = sum(p, '+', node_number(p, table, &type_number), sum(p, '*', cpu, node_number(p, 8, &type_number)));
    Node *base = entry ? node_new(p, NODE_MEMORY, &type_unsigned_long, entry, NULL) : NULL;
    Node *address = sum(p, '+', base, offset);
    return address && type ? node_new(p, NODE_MEMORY, type, address, NULL) : address;
}

/* per_cpu(VARIABLE, CPU) and this_cpu(VARIABLE); at the parenthesis. */
static Node *parse_per_cpu(Parse *p, bool mine)
{
    bool before = p->in_choice;
    p->in_choice = false;
    Node *variable = parse_expect(p, "(") ? parse_expression(p) : NULL;
    Node *cpu = NULL;
    if (variable && mine)
        cpu = node_new(p, NODE_CPU, &type_number, NULL, NULL);
    else if (variable && parse_expect(p, ","))
        cpu = parse_expression(p);
    p->in_choice = before;
    return cpu && parse_expect(p, ")") ? per_cpu_node(p, variable, cpu) : NULL;
}

/* ---- names ---- */

static bool is_name_start(char c) { return g_ascii_isalpha(c) || c == '_' || c == '.'; }

/* 'name': a symbol or variable, never a register. */
static Node *parse_quoted(Parse *p)
{
    const char *end = strchr(p->at + 1, '\'');
    if (!end)
        return parse_error(p, "no closing ' of the name");
    g_autofree char *name = g_strndup(p->at + 1, end - p->at - 1);
    Node *n = named_node(p, name);
    if (!n)
        return parse_error(p, "there is no symbol '%s'", name);
    p->at = end + 1;
    return n;
}

static Node *unknown(Parse *p, const char *name)
{
    uint64_t v;
    bool hex = strlen(name) <= 16 && name[strspn(name, "0123456789abcdefABCDEF")] == 0;
    if (hex && digits_to_number(name, strlen(name), 16, &v))
        return parse_error(p, "there is no register or symbol '%s' (0x%s is the number)", name, name);
    const char *hint = symbols_changes(symbols_of(p)) ? "" : " ('symbols FILE' loads some)";
    return parse_error(p, "there is no register or symbol '%s'%s", name, hint);
}

/* Symbols may have dots (foo.isra.0), and so may expressions: the longest name that exists is meant. */
static Node *parse_dotted(Parse *p)
{
    size_t n = strcspn(p->at, " \t+-*/%&|^<>=!?:()[]{},;~'\"#\\");
    for (size_t length = n; length; length--) {
        if (length < n && p->at[length] != '.' && p->at[length] != '@')
            continue;
        g_autofree char *name = g_strndup(p->at, length);
        Node *node = named_node(p, name);
        if (node)
            p->at += length;
        if (node || p->failed)
            return node;
    }
    return NULL;
}

Node *parse_name(Parse *p)
{
    NodeKind kind;
    size_t n = 0;
    if (*p->at == '$')
        return parse_dollar(p);
    if (*p->at == '\'')
        return parse_quoted(p);
    if (!is_name_start(*p->at))
        return parse_error(p, "expected a number, register or symbol");
    while (g_ascii_isalnum(p->at[n]) || p->at[n] == '_')
        n++;
    g_autofree char *name = g_strndup(p->at, n);
    char next = p->at[n + strspn(p->at + n, " \t")];
    const Type *type = memory_type(name, &kind);
    bool function = next == '(' && (!strcmp(name, "per_cpu") || !strcmp(name, "this_cpu"));
    if (next == '[' && type) {
        p->at += n;
        return parse_accept(p, "[") ? parse_brackets(p, type, kind) : NULL;
    }
    if (function) {
        p->at += n;
        return parse_per_cpu(p, *name == 't');
    }
    Node *node = n ? register_node(p, name, false) : NULL;
    if (node) {
        p->at += n;
        return node;
    }
    node = parse_dotted(p);
    return node || p->failed ? node : unknown(p, name);
}
