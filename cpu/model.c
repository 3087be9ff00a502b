/*
 * CPU models: what -cpu names (model_table.c), and parsing of what follows the name.
 *
 * A model never offers what Myna does not emulate.  What it emulates is read off the instruction table (a feature that
 * some row needs), plus the features that are not instructions (system_features).
 */
#include "cpu/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "cpu/cpu.h"
#include "cpu/model_internal.h"

#define FEATURE_NAME(name, option, leaf, subleaf, reg, bit) { option, FEAT_##name, leaf },
const FeatureName feature_names[] = { FEATURES(FEATURE_NAME) };
const unsigned feature_name_count = ARRAY_SIZE(feature_names);

static const struct { const char *alias, *option; } feature_aliases[] = {
    { "sse3", "pni" }, { "lzcnt", "abm" }, { "cmpxchg8b", "cx8" }, { "cmpxchg16b", "cx16" }, { "sha", "sha-ni" },
    { "prefetchw", "3dnowprefetch" }, { "xd", "nx" }, { "ibrs", "spec-ctrl" }, { "pclmuldq", "pclmulqdq" },
    { "ffxsr", "fxsr-opt" }, { "i64", "lm" }, { "tsc-offset", "tsc-adjust" }, { "avx512-ifma", "avx512ifma" },
    { "avx512-vbmi", "avx512vbmi" }, { "avx512-vbmi2", "avx512vbmi2" }, { "avx512-vnni", "avx512vnni" },
    { "avx512-bitalg", "avx512bitalg" }, { "avx512vpopcntdq", "avx512-vpopcntdq" }, { "avx512bf16", "avx512-bf16" },
    { "avx512fp16", "avx512-fp16" }, { "avx512vp2intersect", "avx512-vp2intersect" }, { "avxvnni", "avx-vnni" },
    { "avxifma", "avx-ifma" }, { "cet-ss", "shstk" }, { "cet-ibt", "ibt" }, { "osxsave", "xsave" },
};

/* Names that users may know from elsewhere, of what no feature here stands for: told apart from misspellings. */
static const char *const other_names[] = {
    "3dnow-prefetch", "acpi", "amd-no-ssb", "amd-psfd", "amd-ssbd", "amd-stibp", "amx-bf16", "amx-fp16", "amx-int8",
    "amx-tile", "auto-ibrs", "avx10", "avx512-4fmaps", "avx512-4vnniw", "avx512er", "avx512pf", "bus-lock-detect",
    "cldemote", "cmp-legacy", "core-capability", "cr8legacy", "ds", "ds-cpl", "dtes64", "est", "extapic", "fb-clear",
    "fsrc", "fsrs", "fzrm", "hle", "ht", "ia64", "ibpb", "ibrs-all", "ibs", "intel-pt", "kvmclock", "lam", "lwp",
    "mds-no", "md-clear", "mpx", "no-nested-data-bp", "null-sel-clr-base", "osvw", "pbe", "pdcm", "perfctr-core",
    "perfctr-nb", "phe", "pn", "pschange-mc-no", "rdctl-no", "rsba", "rtm", "sgx", "skinit", "skip-l1dfl-vmentry",
    "smx", "split-lock-detect", "ssb-no", "ssbd", "stibp", "stibp-always-on", "svme-addr-chk", "taa-no", "tce", "tm",
    "tm2", "topology", "tsx-ctrl", "tsx-ldtrk", "virt-ssbd", "wdt", "xfd", "xtpr",
};

/* Options of QEMU that change nothing here. */
static const char *const ignored[] = { "check", "enforce", "host-phys-bits", "migratable" };

/* Options that take a value. */
static const char *const value_options[] = {
    "vendor", "family", "model", "stepping", "model-id", "phys-bits", "level", "xlevel",
};

/* What is emulated though no instruction needs it. */
static const uint16_t system_features[] = {
    FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_PAE, FEAT_MCE, FEAT_APIC, FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_PAT, FEAT_PSE36,
    FEAT_SS, FEAT_PCID, FEAT_X2APIC, FEAT_TSC_DEADLINE, FEAT_HYPERVISOR, FEAT_ARAT, FEAT_TSC_ADJUST, FEAT_SMEP,
    FEAT_ERMS, FEAT_UMIP, FEAT_FSRM, FEAT_XGETBV1, FEAT_NX, FEAT_PDPE1GB, FEAT_INVTSC, FEAT_SPEC_CTRL,
    FEAT_BHI_CTRL, FEAT_ARCH_CAPABILITIES, FEAT_TOPOEXT, FEAT_FXSR_OPT, FEAT_XSAVEERPTR, FEAT_LA57, FEAT_PKS,
    FEAT_AVX512VL, FEAT_MISALIGNSSE, FEAT_MMXEXT,
    FEAT_NPT, FEAT_LBRV, FEAT_NRIP_SAVE, FEAT_TSC_SCALE, FEAT_VMCB_CLEAN, FEAT_FLUSHBYASID, FEAT_DECODEASSISTS,
    FEAT_PAUSEFILTER, FEAT_PFTHRESHOLD, FEAT_V_VMSAVE_VMLOAD, FEAT_VGIF, FEAT_VNMI,
};

/* Every row of the instruction table brings its feature. */
static const struct { uint16_t feature; const char *mnemonic; } row_features[] = {
#define INSN(id, mnemonic, encoding, operands, feature, fr, fw, fu, attr, sem) { FEAT_##feature, mnemonic },
#include "cpu/table/all.def"
#undef INSN
};

/*
 * Features of which some instructions stand apart from the rest (fences, XGETBV, those with another encoding) count as
 * emulated only when this one is there too.
 */
static const struct { uint16_t feature; const char *mnemonic; } witnesses[] = {
    { FEAT_MMX, "emms" }, { FEAT_SSE, "addps" }, { FEAT_SSE2, "addpd" }, { FEAT_XSAVE, "xsave" },
    { FEAT_BMI1, "andn" }, { FEAT_BMI2, "bzhi" },
};

/* a needs b: switching b off takes a along, asking for a alone is an error. */
static const struct { uint16_t a, b; } dependencies[] = {
    { FEAT_FXSR, FEAT_FPU },       { FEAT_MMX, FEAT_FPU },        { FEAT_SSE, FEAT_FXSR },
    { FEAT_SSE2, FEAT_SSE },       { FEAT_SSE3, FEAT_SSE2 },      { FEAT_SSSE3, FEAT_SSE3 },
    { FEAT_SSE41, FEAT_SSSE3 },    { FEAT_SSE42, FEAT_SSE41 },    { FEAT_AES, FEAT_SSE2 },
    { FEAT_PCLMULQDQ, FEAT_SSE2 }, { FEAT_SHA, FEAT_SSE2 },       { FEAT_GFNI, FEAT_SSE2 },
    { FEAT_SSE4A, FEAT_SSE3 },     { FEAT_MISALIGNSSE, FEAT_SSE },
    { FEAT_3DNOW, FEAT_MMX },      { FEAT_3DNOWEXT, FEAT_3DNOW }, { FEAT_3DNOWEXT, FEAT_MMXEXT },
    { FEAT_MMXEXT, FEAT_MMX },     { FEAT_FXSR_OPT, FEAT_FXSR },
    { FEAT_XSAVE, FEAT_FXSR },     { FEAT_XSAVEOPT, FEAT_XSAVE }, { FEAT_XSAVEC, FEAT_XSAVE },
    { FEAT_XGETBV1, FEAT_XSAVE },  { FEAT_XSAVES, FEAT_XSAVEC },  { FEAT_XSAVES, FEAT_MSR },
    { FEAT_XSAVEERPTR, FEAT_FXSR }, { FEAT_FXSR_OPT, FEAT_LM },
    { FEAT_AVX, FEAT_XSAVE },      { FEAT_AVX, FEAT_SSE42 },      { FEAT_AVX2, FEAT_AVX },
    { FEAT_FMA, FEAT_AVX },        { FEAT_F16C, FEAT_AVX },       { FEAT_XOP, FEAT_AVX },
    { FEAT_FMA4, FEAT_AVX },       { FEAT_TBM, FEAT_AVX },        { FEAT_VAES, FEAT_AVX },
    { FEAT_VAES, FEAT_AES },       { FEAT_VPCLMULQDQ, FEAT_AVX }, { FEAT_VPCLMULQDQ, FEAT_PCLMULQDQ },
    { FEAT_AVXVNNI, FEAT_AVX2 },   { FEAT_AVXIFMA, FEAT_AVX2 },
    { FEAT_AVXVNNIINT8, FEAT_AVX2 }, { FEAT_AVXVNNIINT16, FEAT_AVX2 },
    { FEAT_AVXNECONVERT, FEAT_AVX2 },
    { FEAT_SHA512, FEAT_AVX2 },    { FEAT_SM3, FEAT_AVX },        { FEAT_SM4, FEAT_AVX2 },
    { FEAT_AVX512F, FEAT_AVX2 },   { FEAT_AVX512F, FEAT_FMA },    { FEAT_AVX512F, FEAT_F16C },
    { FEAT_AVX512BW, FEAT_AVX512F }, { FEAT_AVX512CD, FEAT_AVX512F }, { FEAT_AVX512DQ, FEAT_AVX512F },
    { FEAT_AVX512VL, FEAT_AVX512F }, { FEAT_AVX512IFMA, FEAT_AVX512F }, { FEAT_AVX512VNNI, FEAT_AVX512F },
    { FEAT_AVX512VPOPCNTDQ, FEAT_AVX512F }, { FEAT_AVX512VP2INTERSECT, FEAT_AVX512F },
    { FEAT_AVX512VBMI, FEAT_AVX512BW }, { FEAT_AVX512VBMI2, FEAT_AVX512BW }, { FEAT_AVX512BITALG, FEAT_AVX512BW },
    { FEAT_AVX512BF16, FEAT_AVX512BW }, { FEAT_AVX512FP16, FEAT_AVX512BW }, { FEAT_AVX512FP16, FEAT_AVX512VL },
    { FEAT_PSE36, FEAT_PSE },      { FEAT_NX, FEAT_PAE },         { FEAT_NX, FEAT_MSR },
    { FEAT_SYSCALL, FEAT_MSR },    { FEAT_SEP, FEAT_MSR },        { FEAT_MTRR, FEAT_MSR },
    { FEAT_PAT, FEAT_MSR },        { FEAT_MCA, FEAT_MCE },        { FEAT_MCA, FEAT_MSR },
    { FEAT_LM, FEAT_PAE },         { FEAT_LM, FEAT_SYSCALL },     { FEAT_LM, FEAT_CX8 },
    { FEAT_LM, FEAT_SSE2 },        { FEAT_LM, FEAT_CMOV },        { FEAT_PDPE1GB, FEAT_LM },
    { FEAT_PCID, FEAT_LM },        { FEAT_FSGSBASE, FEAT_LM },    { FEAT_CX16, FEAT_LM },
    { FEAT_CMPCCXADD, FEAT_LM },
    { FEAT_LAHF_LM, FEAT_LM },     { FEAT_LA57, FEAT_LM },        { FEAT_PKU, FEAT_LM },
    { FEAT_PKU, FEAT_XSAVE },      { FEAT_PKS, FEAT_LM },         { FEAT_PKS, FEAT_MSR },
    { FEAT_SHSTK, FEAT_MSR },      { FEAT_IBT, FEAT_MSR },
    { FEAT_X2APIC, FEAT_APIC },    { FEAT_X2APIC, FEAT_MSR },
    { FEAT_TSC_DEADLINE, FEAT_APIC }, { FEAT_TSC_DEADLINE, FEAT_TSC }, { FEAT_TSC_ADJUST, FEAT_TSC },
    { FEAT_INVTSC, FEAT_TSC },     { FEAT_RDTSCP, FEAT_TSC },     { FEAT_RDPRU, FEAT_TSC },
    { FEAT_WAITPKG, FEAT_TSC },
    { FEAT_WRMSRNS, FEAT_MSR },    { FEAT_MSRLIST, FEAT_MSR },    { FEAT_MSRLIST, FEAT_LM },
    { FEAT_SPEC_CTRL, FEAT_MSR },  { FEAT_ARCH_CAPABILITIES, FEAT_MSR },
    { FEAT_BHI_CTRL, FEAT_SPEC_CTRL },
    { FEAT_SVM, FEAT_MSR },        { FEAT_SVM, FEAT_PAE },        { FEAT_NPT, FEAT_SVM },
    { FEAT_LBRV, FEAT_SVM },       { FEAT_SVM_LOCK, FEAT_SVM },   { FEAT_NRIP_SAVE, FEAT_SVM },
    { FEAT_TSC_SCALE, FEAT_SVM },  { FEAT_VMCB_CLEAN, FEAT_SVM }, { FEAT_FLUSHBYASID, FEAT_SVM },
    { FEAT_DECODEASSISTS, FEAT_SVM }, { FEAT_PAUSEFILTER, FEAT_SVM }, { FEAT_PFTHRESHOLD, FEAT_PAUSEFILTER },
    { FEAT_AVIC, FEAT_SVM },       { FEAT_V_VMSAVE_VMLOAD, FEAT_NPT }, { FEAT_VGIF, FEAT_SVM },
    { FEAT_VNMI, FEAT_SVM },
};

/*
 * Only on request: AMD's own on other vendors' processors, and MONITOR and MONITORX, since MWAIT cannot wait for
 * another CPU's store and an idle guest would keep the host busy with it.
 */
static const struct { uint16_t feature; bool vendor_has_it; } by_request_only[] = {
    { FEAT_RDPRU, true }, { FEAT_TOPOEXT, true }, { FEAT_MONITOR, false }, { FEAT_FXSR_OPT, true },
    { FEAT_XSAVEERPTR, true }, { FEAT_SVM, true }, { FEAT_MONITORX, false },
};

static void set_put(uint64_t *set, unsigned f, bool on)
{
    set[f / 64] = on ? set[f / 64] | BIT(f % 64) : set[f / 64] & ~BIT(f % 64);
}

static bool has_row(unsigned feature, const char *mnemonic)
{
    for (unsigned k = 0; k < ARRAY_SIZE(row_features); k++)
        if (row_features[k].feature == feature && !strcmp(row_features[k].mnemonic, mnemonic))
            return true;
    return false;
}

void features_emulated(uint64_t *set)
{
    memset(set, 0, FEAT_WORDS * sizeof *set);
    for (unsigned k = 0; k < ARRAY_SIZE(row_features); k++)
        set_put(set, row_features[k].feature, true);
    for (unsigned k = 0; k < ARRAY_SIZE(system_features); k++)
        set_put(set, system_features[k], true);
    for (unsigned k = 0; k < ARRAY_SIZE(witnesses); k++)
        if (!has_row(witnesses[k].feature, witnesses[k].mnemonic))
            set_put(set, witnesses[k].feature, false);
}

/* Option names are compared with '_' and '.' as '-', as QEMU's users write any of them. */
static bool same_option(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char ca = *a == '_' || *a == '.' ? '-' : g_ascii_tolower(*a);
        char cb = *b == '_' || *b == '.' ? '-' : g_ascii_tolower(*b);
        if (ca != cb)
            return false;
    }
    return *a == *b;
}

static bool option_in(const char *const *list, unsigned n, const char *name)
{
    for (unsigned k = 0; k < n; k++)
        if (same_option(list[k], name))
            return true;
    return false;
}

const FeatureName *feature_find(const char *name)
{
    for (unsigned k = 0; k < ARRAY_SIZE(feature_aliases); k++)
        if (same_option(feature_aliases[k].alias, name))
            name = feature_aliases[k].option;
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++)
        if (same_option(feature_names[k].option, name))
            return &feature_names[k];
    return NULL;
}

bool feature_name_known(const char *name)
{
    return feature_find(name) || option_in(other_names, ARRAY_SIZE(other_names), name);
}

static const char *feature_option(unsigned feature)
{
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++)
        if (feature_names[k].feature == feature)
            return feature_names[k].option;
    return "?";
}

/* A model while its options are read. */
typedef struct Parse {
    CpuModel *model;
    uint64_t emulated[FEAT_WORDS], requested[FEAT_WORDS];
    GError **err;
} Parse;

/* The features of a generation that CPUID has no bits for. */
static void add_generation(CpuModel *m)
{
    static const struct { uint16_t feature; uint8_t family; } generations[] = {
        { FEAT_BASE, 0 }, { FEAT_I186, 1 }, { FEAT_I286, 2 }, { FEAT_I386, 3 },
        { FEAT_I486, 4 }, { FEAT_SMM, 4 },  { FEAT_NOPL, 6 }, { FEAT_UD0, 6 },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(generations); k++)
        set_put(m->features, generations[k].feature, m->family >= generations[k].family);
    set_put(m->features, FEAT_CPUID, m->level > 0);
}

/* And what later ones, or those with an FPU, have no more. */
static void add_old_ways(CpuModel *m)
{
    bool fpu = feature_set_has(m->features, FEAT_FPU);
    set_put(m->features, FEAT_ONLY_8086, m->family < 1);
    set_put(m->features, FEAT_UNTIL_186, m->family < 2);
    set_put(m->features, FEAT_UNTIL_286, m->family < 3);
    set_put(m->features, FEAT_ONLY_286, m->family == 2);
    set_put(m->features, FEAT_NO_CPUID, m->level == 0);
    set_put(m->features, FEAT_I387, fpu && m->family >= 3);
    set_put(m->features, FEAT_ESC, !fpu || m->family < 3);
    set_put(m->features, FEAT_NO_FPU, !fpu);
}

bool feature_by_request(const CpuModel *model, unsigned feature)
{
    for (unsigned k = 0; k < ARRAY_SIZE(by_request_only); k++)
        if (by_request_only[k].feature == feature)
            return !by_request_only[k].vendor_has_it || model->vendor != VENDOR_AMD;
    return false;
}

static void add_flag(Parse *p, const FeatureName *f)
{
    if (feature_set_has(p->emulated, f->feature) && !feature_by_request(p->model, f->feature))
        set_put(p->model->features, f->feature, true);
}

static void add_def_flags(Parse *p, const char *flags)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    for (char **w = words; *w; w++) {
        const FeatureName *f = feature_find(*w);
        if (f)
            add_flag(p, f);
    }
}

static void add_all_flags(Parse *p)
{
    for (unsigned k = 0; k < feature_name_count; k++)
        add_flag(p, &feature_names[k]);
}

static void set_vendor(CpuModel *m, const char *id)
{
    g_strlcpy(m->vendor_id, id, sizeof m->vendor_id);
    m->vendor = !*id || !strcmp(id, "GenuineIntel")                            ? VENDOR_INTEL
                : !strcmp(id, "AuthenticAMD") || !strcmp(id, "HygonGenuine") ? VENDOR_AMD
                                                                               : VENDOR_OTHER;
}

static const ModelDef *find_exactly(const char *name)
{
    for (unsigned k = 0; k < model_count; k++)
        if (!g_ascii_strcasecmp(name, model_table[k].name))
            return &model_table[k];
    for (unsigned k = 0; k < model_alias_count; k++)
        if (!g_ascii_strcasecmp(name, model_aliases[k].alias))
            return find_exactly(model_aliases[k].name);
    return NULL;
}

/*
 * QEMU's versions and variants of a named processor, which differ in work-arounds for errata and in TSX: "Haswell-v4",
 * "Skylake-Client-noTSX-IBRS".
 */
static const ModelDef *find_variant(const char *name)
{
    static const char *const suffixes[] = { "-IBRS", "-noTSX", "-IBPB" };
    g_autofree char *base = g_strdup(name);
    char *dash = strrchr(base, '-');
    if (dash && g_ascii_tolower(dash[1]) == 'v' && g_ascii_isdigit(dash[2]) && !dash[3])
        *dash = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(suffixes); k++) {
        dash = strrchr(base, '-');
        if (dash && !g_ascii_strcasecmp(dash, suffixes[k]))
            *dash = 0;
    }
    const ModelDef *def = find_exactly(base);
    return def && def->group != MODELS_OWN ? def : NULL;
}

const ModelDef *model_find(const char *name, GError **err)
{
    const ModelDef *def = find_exactly(name);
    if (!def)
        def = find_variant(name);
    if (def)
        return def;
    if (!g_ascii_strcasecmp(name, "host")) {
        error_set(err, "-cpu host: there is no host CPU to show to the guest; 'max' has all that Myna emulates");
        return NULL;
    }
    g_autofree const char **names = g_new(const char *, model_count);
    for (unsigned k = 0; k < model_count; k++)
        names[k] = model_table[k].name;
    const char *near = nearest_name(name, names, model_count);
    if (near)
        error_set(err, "-cpu: unknown CPU model '%s'; did you mean '%s'? (-cpu help lists them)", name, near);
    else
        error_set(err, "-cpu: unknown CPU model '%s' (-cpu help lists them)", name);
    return NULL;
}

static void start_from(Parse *p, const ModelDef *def)
{
    CpuModel *m = p->model;
    g_strlcpy(m->name, def->name, sizeof m->name);
    set_vendor(m, def->vendor);
    m->family = def->family;
    m->model = def->model;
    m->stepping = def->stepping;
    m->level = def->level;
    m->xlevel = def->xlevel;
    g_strlcpy(m->model_id, def->model_id, sizeof m->model_id);
    if (def->flags)
        add_def_flags(p, def->flags);
    else
        add_all_flags(p);
}

static bool unknown_option(Parse *p, const char *name)
{
    const char *names[ARRAY_SIZE(feature_names) + ARRAY_SIZE(value_options)];
    unsigned n = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++)
        names[n++] = feature_names[k].option;
    for (unsigned k = 0; k < ARRAY_SIZE(value_options); k++)
        names[n++] = value_options[k];
    const char *near = nearest_name(name, names, n);
    if (near)
        return error_set(p->err, "-cpu %s: unknown feature '%s'; did you mean '%s'?", p->model->name, name, near);
    return error_set(p->err, "-cpu %s: unknown feature '%s' (-cpu %s,help lists them)", p->model->name, name,
                     p->model->name);
}

static bool set_feature(Parse *p, const char *name, bool on)
{
    const FeatureName *f = feature_find(name);
    if (!feature_name_known(name))
        return option_in(ignored, ARRAY_SIZE(ignored), name) || unknown_option(p, name);
    if (!f || !feature_set_has(p->emulated, f->feature))
        return !on || error_set(p->err, "-cpu %s: the feature '%s' is not emulated by Myna", p->model->name, name);
    if (on && !p->model->level && f->feature != FEAT_FPU)
        return error_set(p->err, "-cpu %s: the feature '%s' needs CPUID, which this processor has not", p->model->name,
                         f->option);
    set_put(p->model->features, f->feature, on);
    set_put(p->requested, f->feature, on);
    return true;
}

static bool parse_number(Parse *p, const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    *out = g_ascii_strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end && *out >= min && *out <= max)
        return true;
    return error_set(p->err, "-cpu %s: %s=%s is not a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                     p->model->name, name, text, min, max);
}

static bool set_text(Parse *p, const char *name, const char *value)
{
    CpuModel *m = p->model;
    bool vendor = !strcmp(name, "vendor");
    if (vendor && strlen(value) != sizeof m->vendor_id - 1)
        return error_set(p->err, "-cpu %s: vendor=%s must have 12 characters, e.g. GenuineIntel or AuthenticAMD",
                         m->name, value);
    if (!vendor && strlen(value) >= sizeof m->model_id)
        return error_set(p->err, "-cpu %s: model-id is longer than 48 characters", m->name);
    if (vendor)
        set_vendor(m, value);
    else
        g_strlcpy(m->model_id, value, sizeof m->model_id);
    return true;
}

static bool set_number(Parse *p, const char *name, const char *value)
{
    static const struct { const char *name; size_t offset; uint64_t min, max; } numbers[] = {
        { "family", offsetof(CpuModel, family), 4, 15 + 255 },
        { "model", offsetof(CpuModel, model), 0, 255 },
        { "stepping", offsetof(CpuModel, stepping), 0, 15 },
        { "level", offsetof(CpuModel, level), 1, 0xff },
        { "xlevel", offsetof(CpuModel, xlevel), 0x80000000, 0x800000ff },
    };
    CpuModel *m = p->model;
    uint64_t v;
    if (!strcmp(name, "phys-bits")) {
        if (!parse_number(p, name, value, 32, 52, &v))
            return false;
        m->physical_bits = v;
        return true;
    }
    for (unsigned k = 0; k < ARRAY_SIZE(numbers); k++)
        if (!strcmp(name, numbers[k].name)) {
            if (!parse_number(p, name, value, numbers[k].min, numbers[k].max, &v))
                return false;
            uint32_t v32 = v;
            memcpy((char *)m + numbers[k].offset, &v32, sizeof v32);
            return true;
        }
    return unknown_option(p, name);
}

static bool has_cpuid_for(Parse *p, const char *name)
{
    return p->model->level || error_set(p->err, "-cpu %s: %s= needs CPUID, which this processor has not",
                                        p->model->name, name);
}

/* "name=value": a number, a text, or a feature with on or off. */
static bool parse_assignment(Parse *p, const char *name, const char *value)
{
    static const char *const on[] = { "on", "yes", "true", "y" }, *const off[] = { "off", "no", "false", "n" };
    if (!strcmp(name, "vendor") || !strcmp(name, "model-id"))
        return has_cpuid_for(p, name) && set_text(p, name, value);
    if (option_in(value_options, ARRAY_SIZE(value_options), name))
        return has_cpuid_for(p, name) && set_number(p, name, value);
    bool is_on = option_in(on, ARRAY_SIZE(on), value);
    if (!is_on && !option_in(off, ARRAY_SIZE(off), value))
        return error_set(p->err, "-cpu %s: %s=%s must be on or off", p->model->name, name, value);
    return set_feature(p, name, is_on);
}

static bool parse_part(Parse *p, const char *part)
{
    const char *equals = strchr(part, '=');
    if (part[0] == '+' || part[0] == '-')
        return set_feature(p, part + 1, part[0] == '+');
    if (!equals)
        return part[0] ? set_feature(p, part, true)
                       : error_set(p->err, "-cpu %s: an empty option (two commas, or one at the end)", p->model->name);
    g_autofree char *name = g_strndup(part, equals - part);
    return parse_assignment(p, name, equals + 1);
}

static bool resolve_dependencies(Parse *p)
{
    CpuModel *m = p->model;
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned k = 0; k < ARRAY_SIZE(dependencies); k++) {
            unsigned a = dependencies[k].a, b = dependencies[k].b;
            if (!feature_set_has(m->features, a) || feature_set_has(m->features, b))
                continue;
            if (feature_set_has(p->requested, a))
                return error_set(p->err, "-cpu %s: the feature '%s' needs '%s', which is off", m->name,
                                 feature_option(a), feature_option(b));
            set_put(m->features, a, false);
            changed = true;
        }
    }
    return true;
}

/* SSE's instructions on MMX registers, which the K7 has without SSE. */
static void add_mmx2(CpuModel *m)
{
    set_put(m->features, FEAT_MMX2, feature_set_has(m->features, FEAT_SSE) || feature_set_has(m->features, FEAT_MMXEXT));
}

/* A feature that was asked for must be visible: raise the highest leaf to the one that shows it. */
static void raise_levels(Parse *p)
{
    CpuModel *m = p->model;
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++) {
        uint32_t leaf = feature_names[k].leaf;
        if (!feature_set_has(m->features, feature_names[k].feature))
            continue;
        if (leaf >> 31)
            m->xlevel = MAX(m->xlevel, leaf);
        else
            m->level = MAX(m->level, leaf);
    }
    if (feature_set_has(m->features, FEAT_TOPOEXT))
        m->xlevel = MAX(m->xlevel, 0x8000001e);
}

/* Widths follow from the features, unless phys-bits was given. */
static void set_widths(CpuModel *m)
{
    bool lm = feature_set_has(m->features, FEAT_LM), pae = feature_set_has(m->features, FEAT_PAE);
    m->linear_bits = feature_set_has(m->features, FEAT_LA57) ? 57 : lm ? 48 : 32;
    if (!m->physical_bits)
        m->physical_bits = lm ? 40 : pae ? 36 : m->family >= 3 ? 32 : m->family == 2 ? 24 : 20;
}

static bool parse_spec(Parse *p, char **parts)
{
    const ModelDef *def = model_find(parts[0], p->err);
    if (!def)
        return false;
    start_from(p, def);
    for (char **part = parts + 1; *part; part++)
        if (!parse_part(p, *part))
            return false;
    add_generation(p->model);
    if (!resolve_dependencies(p))
        return false;
    add_old_ways(p->model);
    add_mmx2(p->model);
    raise_levels(p);
    set_widths(p->model);
    return true;
}

CpuModel *cpu_model_parse(const char *spec, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(spec, ",", -1);
    Parse p = { .model = g_new0(CpuModel, 1), .err = err };
    features_emulated(p.emulated);
    if (!parts[0])
        error_set(err, "-cpu: no model named (-cpu help lists them)");
    else if (parse_spec(&p, parts))
        return p.model;
    cpu_model_free(p.model);
    return NULL;
}

void cpu_model_free(CpuModel *model) { g_free(model); }

void cpu_model_apply(Cpu *cpu, const CpuModel *model)
{
    memcpy(cpu->features, model->features, sizeof cpu->features);
    cpu->physical_bits = model->physical_bits;
    cpu->legacy_rip_mask = model->family < 2 ? 0xffff : 0xffffffff;
    cpu->linear_bits = cpu->max_linear_bits = model->linear_bits;
}
