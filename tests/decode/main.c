/*
 * decode-check [--strings N] [--mode 16|32|64] [--seed N] [--all] DIFFERENCES
 *
 * Compares Myna's decoder, with every feature, with capstone's on random strings: whether they are an instruction,
 * which, and how long.  Differences that the list DIFFERENCES (rules.h) does not explain are printed, by kinds, each
 * with one string; then `N passed, N failed` by code sizes.  --all lists the rules that explained nothing, too.
 *
 * On an x86-64 host the strings that begin like VEX and EVEX instructions, which capstone 4 knows badly, are executed,
 * too: the processor must raise #UD for the same ones, and make the others as long.  They do nothing but compute and
 * access memory, of which there is none but tests/cpu's data pages where they can reach.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#ifdef CONFIG_CAPSTONE

#include <capstone/capstone.h>

#include "cpu/fault.h"
#include "cpu/features.h"
#include "tests/cpu/case.h"
#include "tests/decode/rules.h"
#include "util/bits.h"

void insn_undefined(Cpu *cpu, const Insn *i);

/* What one decoder says of a string: no name when it is no instruction. */
typedef struct Verdict {
    const char *name;
    unsigned length, number; /* number: row, or capstone's id */
} Verdict;

/* Differences of one kind. */
typedef struct Finding {
    char *key;
    uint64_t count;
    uint8_t example[STRING_SIZE];
} Finding;

typedef struct Check {
    const InsnDecoder *decoder;
    csh capstone;
    cs_insn *insn;
    unsigned size;
    Rules *rules;
    uint8_t *names;         /* [row][id]: 0 not known yet, 1 the same name, 2 not */
    unsigned ids;
    GHashTable *findings;   /* by key */
    GHashTable *known[4];   /* mnemonics of the table: legacy, VEX, EVEX, XOP */
    bool native;            /* the host's processor can be asked */
    uint64_t same, neither, explained, unexplained, executed;
} Check;

/* "rep movs" is MOVS. */
static const char *plain_name(const char *mnemonic)
{
    const char *blank = strchr(mnemonic, ' ');
    return blank && g_str_has_prefix(mnemonic, "rep") ? blank + 1 : mnemonic;
}

static Verdict ask_myna(const Check *c, const uint8_t *bytes)
{
    Insn i;
    int length = insn_decode(c->decoder, c->size, bytes, STRING_SIZE, &i);
    if (length <= 0 || i.row == INSN_ROW_BAD || i.fn == insn_undefined)
        return (Verdict){ 0 };
    return (Verdict){ plain_name(insn_rows[i.row].mnemonic), length, i.row };
}

static Verdict ask_capstone(const Check *c, const uint8_t *bytes)
{
    size_t left = STRING_SIZE;
    uint64_t address = 0x1000;
    if (!cs_disasm_iter(c->capstone, &bytes, &left, &address, c->insn))
        return (Verdict){ 0 };
    return (Verdict){ cs_insn_name(c->capstone, c->insn->id), c->insn->size, c->insn->id };
}

static bool same_name(Check *c, const Verdict *a, const Verdict *b)
{
    uint8_t *known = &c->names[a->number * c->ids + b->number];
    if (!*known)
        *known = !strcmp(a->name, b->name) || rules_same_name(c->rules, a->name, b->name) ? 1 : 2;
    return *known == 1;
}

static unsigned encoding_of(const Facts *f)
{
    return f->bits & FACT_VEX ? 1 : f->bits & FACT_EVEX ? 2 : f->bits & FACT_XOP ? 3 : 0;
}

/* Whether the table has an instruction that capstone names so, in an encoding of that kind. */
static bool is_known(const Check *c, const Facts *f, const char *name)
{
    GHashTable *names = c->known[encoding_of(f)];
    GHashTableIter it;
    gpointer key;
    if (g_hash_table_contains(names, name))
        return true;
    g_hash_table_iter_init(&it, names);
    while (g_hash_table_iter_next(&it, &key, NULL))
        if (rules_same_name(c->rules, key, name))
            return true;
    return false;
}

static void note_finding(Check *c, enum DifferenceKind kind, const Facts *f, const Verdict *a, const Verdict *b,
                         const char *whose, const uint8_t *bytes)
{
    static const char *const encodings[] = { "legacy", "VEX", "EVEX", "XOP" };
    g_autofree char *key = g_strdup_printf("%s %s map %u opcode %02X: %s %u, %s %s %u", difference_kinds[kind],
                                           encodings[encoding_of(f)], f->map, f->opcode, a->name ? a->name : "-",
                                           a->length, whose, b->name ? b->name : "-", b->length);
    Finding *found = g_hash_table_lookup(c->findings, key);
    if (!found) {
        found = g_new0(Finding, 1);
        found->key = g_strdup(key);
        memcpy(found->example, bytes, STRING_SIZE);
        g_hash_table_insert(c->findings, found->key, found);
    }
    found->count++;
}

static void compare(Check *c, const uint8_t *bytes)
{
    Verdict a = ask_myna(c, bytes), b = ask_capstone(c, bytes);
    enum DifferenceKind kind = !b.name ? DIFFERENCE_MYNA : !a.name ? DIFFERENCE_CAPSTONE : DIFFERENCE_LENGTH;
    if (!a.name && !b.name) {
        c->neither++;
        return;
    }
    if (a.name && b.name && !same_name(c, &a, &b)) {
        kind = DIFFERENCE_NAME;
    } else if (a.name && b.name && a.length == b.length) {
        c->same++;
        return;
    }
    Facts f = string_facts(bytes, c->size);
    const char *myna = a.name ? a.name : "-", *capstone = b.name ? b.name : "-";
    if (rules_allow(c->rules, kind, &f, myna, capstone) ||
        (kind == DIFFERENCE_CAPSTONE && !is_known(c, &f, capstone) &&
         rules_allow(c->rules, DIFFERENCE_ABSENT, &f, myna, capstone))) {
        c->explained++;
        return;
    }
    c->unexplained++;
    note_finding(c, kind, &f, &a, &b, "capstone", bytes);
}

/* ---- the processor ---- */

/* False when it has no opinion: #GP comes of operands as well as of more than 15 bytes. */
static bool ask_processor(const Check *c, const uint8_t *bytes, Verdict *v)
{
    static Outcome o;
    Case k = { .size = c->size, .length = STRING_SIZE };
    memcpy(k.code, bytes, STRING_SIZE);
    for (unsigned r = 0; r < 16; r++)
        k.in.gpr[r] = DATA_BASE + DATA_SIZE / 2;
    k.in.rip = INSN_AT;
    k.in.eflags = F_TF | 0x202; /* one step */
    k.in.fcw = 0x37f;
    k.in.mxcsr = 0x1f80;
    native_run(&k, &o);
    v->length = o.vector == EXC_DB ? o.out.rip - INSN_AT : 0;
    v->name = o.vector == EXC_UD ? NULL : "an instruction";
    return o.vector != EXC_GP;
}

/* Not: what raises #UD by its operands, which our functions see to; what the host lacks; jumps. */
static bool is_comparable(const Verdict *a)
{
    const InsnRow *row = &insn_rows[a->number];
    return !a->name || (native_has(row->feature) && !strstr(row->encoding, "vsib") && !(row->attr & (A_JUMP | A_END)));
}

static void compare_with_processor(Check *c, const uint8_t *bytes)
{
    Facts f = string_facts(bytes, c->size);
    Verdict a = ask_myna(c, bytes), b = { 0 };
    if (!(f.bits & (FACT_VEX | FACT_EVEX)) || !is_comparable(&a))
        return;
    c->executed++;
    if (!ask_processor(c, bytes, &b))
        return;
    enum DifferenceKind kind = !b.name ? DIFFERENCE_MYNA : !a.name ? DIFFERENCE_PROCESSOR : DIFFERENCE_LENGTH;
    if (!a.name == !b.name && (!b.length || a.length == b.length))
        return;
    if (!a.name && rules_allow(c->rules, kind, &f, "-", b.name)) {
        c->explained++;
        return;
    }
    c->unexplained++;
    note_finding(c, kind, &f, &a, &b, "processor", bytes);
}

static int by_count(const void *a, const void *b)
{
    const Finding *x = *(Finding *const *)a, *y = *(Finding *const *)b;
    return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->key, y->key);
}

static void print_findings(const Check *c)
{
    guint n;
    g_autofree Finding **list = (Finding **)g_hash_table_get_keys_as_array(c->findings, &n);
    for (unsigned k = 0; k < n; k++)
        list[k] = g_hash_table_lookup(c->findings, list[k]);
    qsort(list, n, sizeof *list, by_count);
    for (unsigned k = 0; k < MIN(n, 60); k++) {
        printf("  %" PRIu64 " times %s, e.g.", list[k]->count, list[k]->key);
        for (unsigned at = 0; at < STRING_SIZE; at++)
            printf(" %02x", list[k]->example[at]);
        printf("\n");
    }
    if (n > 60)
        printf("  and %u kinds more\n", n - 60);
}

static bool check_mode(Check *c, unsigned size, uint64_t strings, uint64_t seed)
{
    static const cs_mode modes[3] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
    Random r = random_for(seed << 2 | size);
    uint8_t bytes[STRING_SIZE];
    c->size = size;
    c->same = c->neither = c->explained = c->unexplained = c->executed = 0;
    c->findings = g_hash_table_new(g_str_hash, g_str_equal);
    if (cs_open(CS_ARCH_X86, modes[size], &c->capstone) != CS_ERR_OK)
        return false;
    c->insn = cs_malloc(c->capstone);
    for (uint64_t n = 0; n < strings; n++) {
        string_make(c->decoder, &r, size, bytes);
        compare(c, bytes);
        if (c->native && size != SZ16)
            compare_with_processor(c, bytes);
    }
    printf("%u-bit code: %" PRIu64 " strings: the same %" PRIu64 ", no instruction %" PRIu64 ", explained %" PRIu64
           "; executed %" PRIu64 "; unexplained %" PRIu64 "\n", 16u << size, strings, c->same, c->neither, c->explained, c->executed, c->unexplained);
    print_findings(c);
    cs_free(c->insn, 1);
    cs_close(&c->capstone);
    return !c->unexplained;
}

static void note_known(Check *c)
{
    for (unsigned e = 0; e < 4; e++)
        c->known[e] = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned row = 0; row < insn_row_count; row++) {
        const char *encoding = insn_rows[row].encoding;
        unsigned e = g_str_has_prefix(encoding, "VEX") ? 1 : g_str_has_prefix(encoding, "EVEX") ? 2
                     : g_str_has_prefix(encoding, "XOP") ? 3 : 0;
        g_hash_table_add(c->known[e], (char *)plain_name(insn_rows[row].mnemonic));
    }
}

static Check *check_new(const char *list)
{
    Check *c = g_new0(Check, 1);
    uint64_t features[FEAT_WORDS];
    memset(features, 0xff, sizeof features);
    for (unsigned f = FEAT_ONLY_8086; f <= FEAT_NO_FPU; f++)
        features[f / 64] &= ~BIT(f % 64);
    c->decoder = insn_decoder_new(features);
    c->rules = rules_read(list);
    c->ids = X86_INS_ENDING;
    c->names = g_malloc0((size_t)(insn_row_count + 1) * c->ids);
    note_known(c);
    return c;
}

int main(int argc, char **argv)
{
    gint64 strings = 1000000, seed = 1;
    int mode = 0, passed = 0, failed = 0;
    gboolean all = FALSE;
    GOptionEntry entries[] = {
        { "strings", 0, 0, G_OPTION_ARG_INT64, &strings, "strings for each code size", "N" },
        { "mode", 0, 0, G_OPTION_ARG_INT, &mode, "one code size only", "16|32|64" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random numbers", "N" },
        { "all", 0, 0, G_OPTION_ARG_NONE, &all, "list rules that explained nothing", NULL },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("DIFFERENCES");
    g_autoptr(GError) err = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &err) || argc != 2) {
        fprintf(stderr, "decode-check: %s\n", err ? err->message : "name the list of known differences");
        return 1;
    }
    Check *c = check_new(argv[1]);
    c->native = native_start();
    for (unsigned size = SZ16; size <= SZ64; size++)
        if (!mode || mode == 16 << size)
            *(check_mode(c, size, strings, seed) ? &passed : &failed) += 1;
    if (all)
        rules_print_unused(c->rules);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#else

int main(void)
{
    printf("Built without capstone: nothing to compare with.\n0 passed, 0 failed\n");
    return 0;
}

#endif
