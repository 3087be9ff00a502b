/* Expressions: parsing as a whole, and what others ask of them (expression.h). */
#include "debugger/expression/expression.h"

#include <string.h>

#include "core/error.h"
#include "debugger/expression/expression_tree.h"
#include "util/endian.h"

enum { NODES_MAX = 1000, PRINTED_MAX = 1 << 20 };

/* ---- parsing ---- */

Node *node_new(Parse *p, NodeKind kind, const Type *type, Node *a, Node *b)
{
    if (p->e->nodes->len >= NODES_MAX)
        return parse_error(p, "too long");
    Node *n = g_new0(Node, 1);
    *n = (Node){ .kind = kind, .type = type, .a = a, .b = b };
    g_ptr_array_add(p->e->nodes, n);
    return n;
}

Node *node_number(Parse *p, uint64_t number, const Type *type)
{
    Node *n = node_new(p, NODE_NUMBER, type, NULL, NULL);
    if (n)
        n->number = number;
    return n;
}

const Type *parse_pointer_type(Parse *p, const Type *to)
{
    Type *t = g_new0(Type, 1);
    *t = (Type){ .kind = TYPE_POINTER, .size = 8, .target = to };
    if (to->file)
        t->size = dwarf_pointer_size(to->file);
    g_ptr_array_add(p->e->types, t);
    return t;
}

/* "expected ')' at 'xyz'", "... at the end" */
void *parse_error(Parse *p, const char *format, ...)
{
    va_list args;
    if (p->failed)
        return NULL;
    p->failed = true;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    parse_blanks(p);
    bool says_where = g_str_has_suffix(what, "before") || g_str_has_suffix(what, " at");
    const char *joint = says_where ? "" : " at";
    if (p->at == p->start && !says_where)
        error_set(p->err, "%s", what);
    else if (*p->at)
        error_set(p->err, "'%s': %s%s '%.40s'", p->start, what, joint, p->at);
    else
        error_set(p->err, "'%s': %s%s the end", p->start, what, joint);
    return NULL;
}

void parse_blanks(Parse *p) { p->at += strspn(p->at, " \t"); }

bool parse_accept(Parse *p, const char *token)
{
    const char *at = p->at + strspn(p->at, " \t");
    if (!g_str_has_prefix(at, token))
        return false;
    p->at = at + strlen(token);
    return true;
}

bool parse_expect(Parse *p, const char *token)
{
    if (parse_accept(p, token))
        return true;
    parse_error(p, "expected '%s'", token);
    return false;
}

static void variable_free(Node *n)
{
    dwarf_variable_free(n->variable);
    g_free(n);
}

static Expression *expression_new(const Frame *frame)
{
    Expression *e = g_new0(Expression, 1);
    e->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)variable_free);
    e->types = g_ptr_array_new_with_free_func(g_free);
    e->files = g_ptr_array_new_with_free_func((GDestroyNotify)dwarf_file_unref);
    if (frame) {
        e->frame = *frame;
        e->has_frame = true;
    }
    return e;
}

void expression_free(Expression *e)
{
    if (!e)
        return;
    g_ptr_array_free(e->nodes, TRUE);
    g_ptr_array_free(e->types, TRUE);
    g_ptr_array_free(e->files, TRUE);
    g_free(e);
}

/* A type alone is for sizeof, ptype and whatis. */
static Node *parse_whole(Parse *p)
{
    const Type *t = parse_type(p);
    if (t || p->failed)
        return t ? node_new(p, NODE_TYPE, t, NULL, NULL) : NULL;
    return parse_expression(p);
}

Expression *expression_parse_in(Debugger *d, Cpu *cpu, const Frame *frame, const char *text, const char **end,
                                GError **err)
{
    Parse p = { .debugger = d, .cpu = cpu, .start = text, .at = text, .e = expression_new(frame), .err = err };
    p.e->root = parse_whole(&p);
    if (p.e->root && !end) {
        parse_blanks(&p);
        if (*p.at)
            p.e->root = parse_error(&p, "unexpected");
    }
    if (!p.e->root) {
        expression_free(p.e);
        return NULL;
    }
    while (p.at > text && g_ascii_isspace(p.at[-1])) /* they were looked behind for an operator */
        p.at--;
    if (end)
        *end = p.at;
    return p.e;
}

Expression *expression_parse_prefix(Debugger *d, Cpu *cpu, const char *text, const char **end, GError **err)
{
    return expression_parse_in(d, cpu, NULL, text, end, err);
}

Expression *expression_parse(Debugger *d, Cpu *cpu, const char *text, GError **err)
{
    return expression_parse_in(d, cpu, NULL, text, NULL, err);
}

/* ---- what it is ---- */

static Work work_of(const Expression *e, Cpu *cpu, GError **err)
{
    return (Work){ .cpu = cpu, .frame = e->has_frame ? &e->frame : NULL, .err = err };
}

gboolean expression_value(const Expression *e, Cpu *cpu, uint64_t *v, GError **err)
{
    Work w = work_of(e, cpu, err);
    return node_value(&w, e->root, v);
}

/* What is too large or no scalar is printed from its bytes. */
static gboolean print_place(const Work *w, Debugger *d, const Node *n, char format, GString *out)
{
    uint64_t size = type_size(n->type);
    Place place;
    if (!node_place(w, n, &place))
        return FALSE;
    if (size > PRINTED_MAX)
        return error_set(w->err, "%" G_GUINT64_FORMAT " bytes are too many to print", size);
    g_autofree uint8_t *bytes = g_malloc0(size + 1);
    if (!place_read(w, &place, bytes, size))
        return FALSE;
    value_print(d, w->cpu, n->type, bytes, size, format, out);
    return TRUE;
}

gboolean expression_print(const Expression *e, Cpu *cpu, char format, GString *out, GError **err)
{
    Work w = work_of(e, cpu, err);
    const Node *n = e->root;
    Debugger *d = debugger_of(cpu->machine);
    uint8_t bytes[8];
    uint64_t v;
    if (node_is_place(n) && !type_is_scalar(n->type) && type_strip(n->type)->kind != TYPE_FUNCTION)
        return print_place(&w, d, n, format, out);
    if (!node_value(&w, n, &v))
        return FALSE;
    st64le(bytes, v);
    value_print(d, cpu, n->type, bytes, sizeof bytes, format, out);
    return TRUE;
}

gboolean expression_assign(const Expression *e, Cpu *cpu, uint64_t v, GError **err)
{
    Work w = work_of(e, cpu, err);
    Place place;
    if (e->root->kind == NODE_FLAG) {
        CpuRegister flags;
        if (!cpu_register_find(cpu, "rflags", &flags))
            return error_set(err, "the flags cannot be changed");
        uint64_t bit = UINT64_C(1) << e->root->number, old = cpu_register_get(cpu, &flags);
        return cpu_register_set(cpu, &flags, v ? old | bit : old & ~bit, err);
    }
    if (!node_is_place(e->root) || !type_is_scalar(e->root->type))
        return error_set(err, "only a register, or a number or pointer in memory can be assigned to");
    return node_place(&w, e->root, &place) && place_write(&w, &place, e->root->type, v);
}

gboolean expression_place(const Expression *e, Cpu *cpu, uint64_t *la, uint64_t *size, GError **err)
{
    Work w = work_of(e, cpu, err);
    Place place;
    if (!node_is_place(e->root))
        return error_set(err, "a number, which lies nowhere: u32[ADDRESS] is a place in memory");
    if (!node_place(&w, e->root, &place))
        return FALSE;
    if (place.kind != PLACE_MEMORY)
        return error_set(err, place.kind == PLACE_PHYSICAL ? "in physical memory, not at a linear address"
                                                           : "in a register, not in memory");
    *la = place.address;
    *size = type_size(e->root->type);
    return TRUE;
}

gboolean expression_print_type(const Expression *e, bool whole, GString *out, GError **err)
{
    (void)err;
    if (whole)
        type_define(e->root->type, out);
    else
        type_declare(e->root->type, NULL, out);
    return TRUE;
}
