/* Expressions of the monitor (expression.h). */
#include "debugger/expression.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "cpu/registers.h"
#include "debugger/symbols.h"

/* A sum of terms; a term is a number or a register, added or subtracted. */
typedef struct Term {
    bool minus, is_register;
    CpuRegister reg;
    uint64_t value;
} Term;

struct Expression {
    GArray *terms; /* of Term */
};

static const char *parse_word(Debugger *d, Cpu *cpu, const char *p, Term *t, GError **err)
{
    bool dollar = *p == '$';
    size_t n = strcspn(p + dollar, "+- \t,");
    g_autofree char *name = g_strndup(p + dollar, n);
    t->is_register = cpu_register_find(cpu, !strcmp(name, "pc") ? "rip" : name, &t->reg);
    if (!t->is_register && (dollar || !symbols_find(debugger_symbols(d), name, &t->value))) {
        error_set(err, "'%s' is neither a number nor a register nor a symbol", name);
        return NULL;
    }
    return p + dollar + n;
}

static const char *parse_term(Debugger *d, Cpu *cpu, const char *p, Term *t, GError **err)
{
    char *end;
    if (!g_ascii_isdigit(*p))
        return parse_word(d, cpu, p, t, err);
    t->value = strtoull(p, &end, 0);
    return end;
}

Expression *expression_parse_prefix(Debugger *d, Cpu *cpu, const char *text, const char **end, GError **err)
{
    Expression *e = g_new0(Expression, 1);
    e->terms = g_array_new(FALSE, TRUE, sizeof(Term));
    for (const char *p = text; ; p++) {
        Term t = { .minus = p > text && p[-1] == '-' };
        p = parse_term(d, cpu, p + strspn(p, " \t"), &t, err);
        if (!p) {
            expression_free(e);
            return NULL;
        }
        g_array_append_val(e->terms, t);
        *end = p;
        p += strspn(p, " \t");
        if (*p != '+' && *p != '-')
            return e;
    }
}

Expression *expression_parse(Debugger *d, Cpu *cpu, const char *text, GError **err)
{
    const char *end;
    Expression *e = expression_parse_prefix(d, cpu, text, &end, err);
    if (e && end[strspn(end, " \t")]) {
        error_set(err, "'%s': unexpected '%s'", text, end);
        expression_free(e);
        return NULL;
    }
    return e;
}

void expression_free(Expression *e)
{
    if (!e)
        return;
    g_array_free(e->terms, TRUE);
    g_free(e);
}

gboolean expression_place(const Expression *e, Cpu *cpu, uint64_t *la, uint64_t *size, GError **err)
{
    (void)e, (void)cpu, (void)la, (void)size;
    return error_set(err, "not an object in memory");
}

gboolean expression_value(const Expression *e, Cpu *cpu, uint64_t *v, GError **err)
{
    (void)err;
    *v = 0;
    for (guint k = 0; k < e->terms->len; k++) {
        const Term *t = &g_array_index(e->terms, Term, k);
        uint64_t x = t->is_register ? cpu_register_get(cpu, &t->reg) : t->value;
        if (t->is_register && !strcmp(t->reg.name, "rip"))
            x += cpu->seg[SEG_CS].base;
        *v += t->minus ? -x : x;
    }
    return TRUE;
}
