/*
 * What `-cpu help` and `-cpu NAME,help` print.
 */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/model_internal.h"

/* The levels of the x86-64 psABI (section 3.1.1): each has all of those below. */
static const char *const level_flags[] = {
    "lm cmov cx8 fpu fxsr mmx sse sse2 syscall",
    "cx16 lahf-lm popcnt pni sse4.1 sse4.2 ssse3",
    "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
    "avx512f avx512bw avx512cd avx512dq avx512vl",
};

static bool has_all(const CpuModel *m, const char *flags)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    for (char **w = words; *w; w++)
        if (!feature_set_has(m->features, feature_find(*w)->feature))
            return false;
    return true;
}

unsigned cpu_model_level(const CpuModel *m)
{
    unsigned level = 0;
    while (level < ARRAY_SIZE(level_flags) && has_all(m, level_flags[level]))
        level++;
    return level;
}

/* "x86-64-v2", or how wide it is. */
static const char *level_name(const CpuModel *m)
{
    static const char *const names[] = { "32 bits", "x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4" };
    return m->family < 3 ? "16 bits" : names[cpu_model_level(m)];
}

static void list_group(GString *out, ModelGroup group)
{
    for (unsigned k = 0; k < model_count; k++) {
        const ModelDef *def = &model_table[k];
        if (def->group != group)
            continue;
        CpuModel *m = cpu_model_parse(def->name, NULL);
        g_string_append_printf(out, "  %-19s %-10s %s\n", def->name, level_name(m), def->description);
        cpu_model_free(m);
    }
}

enum { LINE_WIDTH = 100 };

/* Words separated by blanks, in lines below a title. */
typedef struct WordList {
    GString *out;
    unsigned column;
} WordList;

static void word_add(WordList *list, const char *word)
{
    if (list->column + 1 + strlen(word) > LINE_WIDTH) {
        g_string_append(list->out, "\n ");
        list->column = 1;
    }
    g_string_append_printf(list->out, " %s", word);
    list->column += 1 + strlen(word);
}

static WordList words_begin(GString *out, const char *title)
{
    g_string_append(out, title);
    return (WordList){ out, LINE_WIDTH + 1 };
}

void cpu_model_list(GString *out)
{
    static const char *const titles[MODEL_GROUPS] = { "Myna's own", "Intel", "AMD and Hygon", "32 bits and less" };
    g_string_append(out, "CPU models: -cpu NAME[,+feature|,-feature|,option=value]...; "
                         "-cpu NAME,help lists a model's features\n");
    for (unsigned group = 0; group < MODEL_GROUPS; group++) {
        g_string_append_printf(out, "\n%s:\n", titles[group]);
        list_group(out, group);
    }
    g_string_append(out, "\nOther names (QEMU's -v1 .. -v9, -IBRS, -IBPB and -noTSX may follow a processor's name):");
    WordList list = words_begin(out, "");
    for (unsigned k = 0; k < model_alias_count; k++) {
        g_autofree char *pair = g_strdup_printf("%s=%s", model_aliases[k].alias, model_aliases[k].name);
        word_add(&list, pair);
    }
    g_string_append_c(out, '\n');
}

static void words_end(const WordList *list)
{
    g_string_append(list->out, list->column > LINE_WIDTH ? " none\n" : "\n");
}

static void list_features(GString *out, const char *title, const uint64_t *set)
{
    WordList list = words_begin(out, title);
    for (unsigned k = 0; k < feature_name_count; k++)
        if (feature_set_has(set, feature_names[k].feature))
            word_add(&list, feature_names[k].option);
    words_end(&list);
}

/* What the processor has and its model here has not. */
static void list_missing(GString *out, const ModelDef *def)
{
    g_auto(GStrv) words = g_strsplit(def->flags, " ", -1);
    CpuModel *m = cpu_model_parse(def->name, NULL);
    WordList list = words_begin(out, "The processor has, Myna does not:");
    for (char **w = words; *w; w++) {
        const FeatureName *f = feature_find(*w);
        if (**w && (!f || (!feature_set_has(m->features, f->feature) && !feature_by_request(m, f->feature))))
            word_add(&list, *w);
    }
    words_end(&list);
    cpu_model_free(m);
}

static void list_identity(GString *out, const CpuModel *m, const ModelDef *def)
{
    g_string_append_printf(out, "CPU model %s: %s\n", m->name, def->description);
    if (!m->level) {
        g_string_append_printf(out, "  %s, no CPUID\n", level_name(m));
        return;
    }
    g_string_append_printf(out, "  %s, %s family %u model %u stepping %u, CPUID up to leaf 0x%x", level_name(m),
                           m->vendor_id, m->family, m->model, m->stepping, m->level);
    if (m->xlevel)
        g_string_append_printf(out, " and 0x%x", m->xlevel);
    g_string_append_c(out, '\n');
}

bool cpu_model_list_flags(const char *spec, GString *out, GError **err)
{
    uint64_t others[FEAT_WORDS];
    g_autofree char *name = g_strndup(spec, strcspn(spec, ","));
    CpuModel *m = cpu_model_parse(spec, err);
    if (!m)
        return false;
    const ModelDef *def = model_find(name, NULL);
    features_emulated(others);
    for (unsigned w = 0; w < FEAT_WORDS; w++)
        others[w] &= ~m->features[w];
    list_identity(out, m, def);
    list_features(out, "Features:", m->features);
    if (def->flags)
        list_missing(out, def);
    if (m->level)
        list_features(out, "Can be added:", others);
    cpu_model_free(m);
    return true;
}
