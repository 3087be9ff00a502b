/* Known differences (rules.h). */
#include "tests/decode/rules.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const difference_kinds[] = { "name", "length", "myna", "capstone", "absent", "processor", NULL };

typedef struct Rule {
    bool same;
    enum DifferenceKind kind;
    uint32_t needs, excludes; /* FACT_* */
    int opcode, reg, map;     /* -1: any */
    bool mandatory;           /* some prefix of 66, F2, F3 */
    char *myna, *capstone;
    unsigned line;
    uint64_t used;
} Rule;

struct Rules {
    GArray *rules;
};

static const struct { const char *word; uint32_t fact; } fact_words[] = {
    { "16", FACT_16 }, { "32", FACT_32 }, { "64", FACT_64 }, { "66", FACT_66 }, { "67", FACT_67 }, { "F2", FACT_F2 },
    { "F3", FACT_F3 }, { "LOCK", FACT_LOCK }, { "seg", FACT_SEGMENT }, { "REX", FACT_REX }, { "LEGACY", FACT_LEGACY },
    { "VEX", FACT_VEX }, { "EVEX", FACT_EVEX }, { "XOP", FACT_XOP }, { "0F", FACT_TWO }, { "W", FACT_W },
    { "R", FACT_R }, { "X", FACT_X }, { "B", FACT_BASE_B }, { "mem", FACT_MEMORY }, { "SIB", FACT_SIB },
    { "L", FACT_L }, { "L2", FACT_L2 }, { "L3", FACT_LL3 }, { "vvvv", FACT_VVVV }, { "k", FACT_K }, { "z", FACT_Z },
    { "b", FACT_B }, { "R'", FACT_RHIGH }, { "V'", FACT_VHIGH }, { "apart", FACT_APART },
};

static void G_GNUC_NORETURN bad_line(const char *file, unsigned line, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", file, line, what);
    exit(1);
}

static bool parse_fact(Rule *r, const char *w)
{
    bool negated = w[0] == '!';
    w += negated;
    if (g_str_has_prefix(w, "op="))
        r->opcode = strtol(w + 3, NULL, 16);
    else if (g_str_has_prefix(w, "reg="))
        r->reg = strtol(w + 4, NULL, 10);
    else if (g_str_has_prefix(w, "map="))
        r->map = strtol(w + 4, NULL, 10);
    else if (!strcmp(w, "pp"))
        r->mandatory = true;
    else {
        for (unsigned k = 0; k < G_N_ELEMENTS(fact_words); k++)
            if (!strcmp(w, fact_words[k].word)) {
                *(negated ? &r->excludes : &r->needs) |= fact_words[k].fact;
                return true;
            }
        return !strcmp(w, "-");
    }
    return !negated;
}

static int kind_of(const char *word)
{
    for (int k = 0; difference_kinds[k]; k++)
        if (!strcmp(word, difference_kinds[k]))
            return k;
    return -1;
}

/* allow KIND FACTS MYNA CAPSTONE : reason */
static const char *parse_allow(Rule *r, char **words)
{
    if (g_strv_length(words) < 7 || strcmp(words[5], ":"))
        return "not of the form: allow KIND FACTS MYNA CAPSTONE : reason";
    int kind = kind_of(words[1]);
    if (kind < 0)
        return "no such kind of difference";
    g_auto(GStrv) facts = g_strsplit(words[2], ",", -1);
    for (char **f = facts; *f; f++)
        if (!parse_fact(r, *f))
            return "unknown fact";
    r->kind = kind;
    r->myna = g_strdup(words[3]);
    r->capstone = g_strdup(words[4]);
    return NULL;
}

static void add_rule(Rules *rules, const char *file, unsigned line, char **words)
{
    Rule r = { .line = line, .opcode = -1, .reg = -1, .map = -1 };
    if (!strcmp(words[0], "same")) {
        r.same = true;
        for (char **w = words + 2; words[1] && *w; w++) {
            r.myna = g_strdup(words[1]);
            r.capstone = g_strdup(*w);
            g_array_append_val(rules->rules, r);
        }
        return;
    }
    const char *error = strcmp(words[0], "allow") ? "neither `same` nor `allow`" : parse_allow(&r, words);
    if (error)
        bad_line(file, line, error);
    g_array_append_val(rules->rules, r);
}

static char **split_words(const char *text)
{
    GPtrArray *words = g_ptr_array_new();
    g_auto(GStrv) parts = g_strsplit_set(text, " \t", -1);
    for (char **p = parts; *p; p++)
        if (**p)
            g_ptr_array_add(words, g_strdup(*p));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

Rules *rules_read(const char *file)
{
    Rules *r = g_new0(Rules, 1);
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    if (!g_file_get_contents(file, &text, NULL, &err)) {
        fprintf(stderr, "decode-check: %s\n", err->message);
        exit(1);
    }
    r->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned n = 0; lines[n]; n++) {
        g_auto(GStrv) words = split_words(lines[n]);
        if (words[0] && words[0][0] != '#')
            add_rule(r, file, n + 1, words);
    }
    return r;
}

static bool name_matches(const char *pattern, const char *name)
{
    return !strcmp(pattern, name) || (strpbrk(pattern, "*?") && g_pattern_match_simple(pattern, name));
}

bool rules_same_name(const Rules *r, const char *myna, const char *capstone)
{
    for (unsigned k = 0; k < r->rules->len; k++) {
        const Rule *rule = &g_array_index(r->rules, Rule, k);
        if (rule->same && name_matches(rule->myna, myna) && name_matches(rule->capstone, capstone))
            return true;
    }
    return false;
}

static bool facts_match(const Rule *r, const Facts *f)
{
    return (f->bits & r->needs) == r->needs && !(f->bits & r->excludes) && (r->opcode < 0 || r->opcode == f->opcode) &&
           (r->reg < 0 || r->reg == (f->modrm >> 3 & 7)) && (r->map < 0 || r->map == f->map) &&
           (!r->mandatory || f->bits & (FACT_66 | FACT_F2 | FACT_F3));
}

bool rules_allow(Rules *r, enum DifferenceKind kind, const Facts *f, const char *myna, const char *capstone)
{
    for (unsigned k = 0; k < r->rules->len; k++) {
        Rule *rule = &g_array_index(r->rules, Rule, k);
        if (!rule->same && rule->kind == kind && facts_match(rule, f) && name_matches(rule->myna, myna) &&
            name_matches(rule->capstone, capstone)) {
            rule->used++;
            return true;
        }
    }
    return false;
}

void rules_print_unused(const Rules *r)
{
    for (unsigned k = 0; k < r->rules->len; k++) {
        const Rule *rule = &g_array_index(r->rules, Rule, k);
        if (!rule->same && !rule->used)
            printf("  line %u explained nothing\n", rule->line);
    }
}
