/* Types as C declares and defines them (type.h). */
#include <inttypes.h>

#include "debugger/symbols/type.h"

enum { DEPTH_MAX = 16 };

static void declare(const Type *t, const char *inner, unsigned depth, GString *out);

static const char *keyword(const Type *t)
{
    switch (t->kind) {
    case TYPE_STRUCT: return "struct ";
    case TYPE_UNION: return "union ";
    case TYPE_ENUM: return "enum ";
    default: return "";
    }
}

static void append_base(const Type *t, GString *out)
{
    g_string_append_printf(out, "%s%s", keyword(t), t->name ? t->name : *keyword(t) ? "{...}" : "<unnamed type>");
}

static void append_parameters(const Type *t, unsigned depth, GString *out)
{
    const GArray *parameters = type_members(t);
    guint count = parameters ? parameters->len : 0;
    g_string_append_c(out, '(');
    for (guint k = 0; k < count; k++) {
        if (k)
            g_string_append(out, ", ");
        declare(g_array_index(parameters, TypeMember, k).type, "", depth, out);
    }
    g_string_append_printf(out, "%s)", t->variadic ? count ? ", ..." : "..." : count ? "" : "void");
}

static bool is_postfix(const Type *t) { return t->kind == TYPE_ARRAY || t->kind == TYPE_FUNCTION; }

/* C's declarators go from the inside out: `inner` is what has been declared of it so far. */
static void declare(const Type *t, const char *inner, unsigned depth, GString *out)
{
    g_autoptr(GString) next = g_string_new(NULL);
    if (!depth) {
        g_string_append(out, "...");
        return;
    }
    switch (t->kind) {
    case TYPE_POINTER:
        g_string_printf(next, is_postfix(type_target(t)) ? "(*%s)" : "*%s", inner);
        break;
    case TYPE_ARRAY:
        g_string_printf(next, t->unbounded ? "%s[]" : "%s[%" PRIu64 "]", inner, t->count);
        break;
    case TYPE_FUNCTION:
        g_string_append(next, inner);
        append_parameters(t, depth - 1, next);
        break;
    case TYPE_QUALIFIER:
        if (type_target(t)->kind != TYPE_POINTER) { /* "const char", but "char *const" */
            g_string_append_printf(out, "%s ", t->name);
            declare(type_target(t), inner, depth - 1, out);
            return;
        }
        g_string_printf(next, "%s%s%s", t->name, *inner ? " " : "", inner);
        break;
    default:
        append_base(t, out);
        if (*inner)
            g_string_append_printf(out, " %s", inner);
        return;
    }
    declare(type_target(t), next->str, depth - 1, out);
}

void type_declare(const Type *t, const char *name, GString *out) { declare(t, name ? name : "", DEPTH_MAX, out); }

/* ---- definitions ---- */

static void define(const Type *t, const char *name, unsigned indent, GString *out);

static void define_members(const Type *t, unsigned indent, GString *out)
{
    const GArray *members = type_members(t);
    for (guint k = 0; members && k < members->len; k++) {
        const TypeMember *m = &g_array_index(members, TypeMember, k);
        const Type *base = m->type;
        g_string_append_printf(out, "%*s", (int)indent + 4, "");
        if (type_is_record(base) && !base->name && base->kind != TYPE_TYPEDEF && base->kind != TYPE_QUALIFIER)
            define(base, m->name, indent + 4, out);
        else
            type_declare(base, m->name, out);
        if (m->bits)
            g_string_append_printf(out, " : %u", m->bits);
        g_string_append(out, ";\n");
    }
    if (!members || !members->len)
        g_string_append_printf(out, "%*s%s\n", (int)indent + 4, "", t->size ? "<no data fields>" : "<incomplete type>");
}

static void define_constants(const Type *t, GString *out)
{
    const GArray *constants = type_members(t);
    int64_t next = 0;
    for (guint k = 0; constants && k < constants->len; k++) {
        const TypeMember *m = &g_array_index(constants, TypeMember, k);
        g_string_append_printf(out, "%s%s", k ? ", " : "", m->name);
        if (m->value != next)
            g_string_append_printf(out, " = %" PRId64, m->value);
        next = (int64_t)((uint64_t)m->value + 1);
    }
}

static void define(const Type *t, const char *name, unsigned indent, GString *out)
{
    g_string_append_printf(out, "%s%s%s{", keyword(t), t->name ? t->name : "", t->name ? " " : "");
    if (t->kind == TYPE_ENUM) {
        define_constants(t, out);
    } else if (indent > 4 * DEPTH_MAX) {
        g_string_append(out, "...");
    } else {
        g_string_append_c(out, '\n');
        define_members(t, indent, out);
        g_string_append_printf(out, "%*s", (int)indent, "");
    }
    g_string_append_c(out, '}');
    if (name)
        g_string_append_printf(out, " %s", name);
}

/* A pointer to a structure shows the structure, as gdb's ptype does. */
void type_define(const Type *t, GString *out)
{
    g_autoptr(GString) stars = g_string_new(NULL);
    const Type *base = type_strip(t);
    while (base->kind == TYPE_POINTER && stars->len < DEPTH_MAX && type_is_record(type_target(base))) {
        g_string_append_c(stars, '*');
        base = type_strip(type_target(base));
    }
    if (type_is_record(base) || base->kind == TYPE_ENUM)
        define(base, stars->len ? stars->str : NULL, 0, out);
    else
        type_declare(base, NULL, out);
}
