/*
 * CPU models: the table behind -cpu, and parsing of what follows the name.
 *
 * A model never offers what Myna does not emulate.  What it emulates is read off the instruction table (a feature that
 * some row needs), plus the features that are not instructions (system_features).
 */
#include "cpu/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "cpu/cpu.h"

/*
 * The default.  GenuineIntel, because then CPUID leaf 15h tells Linux the TSC's and the APIC timer's frequency, which
 * saves both calibrations at boot; of a model number that no Intel processor has, so that no kernel looks for that
 * processor's own registers and errata.  ARCH_CAPABILITIES says what is true here (msr.c), so a kernel needs neither
 * page-table isolation nor retpolines; invariant TSC and TSC_ADJUST make the TSC its clock source without a watchdog.
 * Left out though emulated: XSAVE (without AVX it holds no more than FXSAVE and costs more), PCID (the soft TLB holds
 * one address space), SMAP (two switches of the TLB for each copy to or from user space).
 */
const char cpu_model_default[] = "myna64";

#define FLAGS_486 "fpu vme pse"
#define FLAGS_PENTIUM FLAGS_486 " de tsc msr mce cx8 apic mmx"
#define FLAGS_P6 FLAGS_PENTIUM " pae sep mtrr pge mca cmov pat pse36 fxsr"
#define FLAGS_SSE2 FLAGS_P6 " sse sse2 clflush"
#define FLAGS_64 FLAGS_SSE2 " lm nx syscall hypervisor"
#define FLAGS_CORE2 FLAGS_64 " pni ssse3 cx16 lahf-lm"
#define FLAGS_NEHALEM FLAGS_CORE2 " sse4.1 sse4.2 popcnt"
#define FLAGS_K10 FLAGS_64 " pni cx16 lahf-lm popcnt abm 3dnowprefetch"
#define FLAGS_SAFE " arch-capabilities spec-ctrl bhi-ctrl"
#define FLAGS_V1 FLAGS_64 FLAGS_SAFE
#define FLAGS_V2 FLAGS_NEHALEM FLAGS_SAFE
#define FLAGS_MYNA                                                                                                     \
    FLAGS_V2 " x2apic tsc-deadline tsc-adjust invtsc arat rdtscp rdpid aes pclmulqdq sha-ni movbe bmi1 bmi2 adx abm "  \
             "3dnowprefetch rdrand rdseed erms fsrm fsgsbase smep umip invpcid pdpe1gb"

typedef struct ModelDef {
    const char *name, *description;
    enum CpuVendor vendor;
    uint16_t family;
    uint8_t model, stepping;
    uint32_t level, xlevel;
    const char *flags; /* NULL: all that is emulated */
    const char *model_id;
} ModelDef;

enum { VIRTUAL_FAMILY = 6, VIRTUAL_MODEL = 0x7f, VIRTUAL_LEVEL = 0x16 };
#define XLEVEL_32 0x80000004u
#define XLEVEL_64 0x80000008u

static const ModelDef models[] = {
    { "myna64", "the default: x86-64-v2 and what makes guests fast", VENDOR_INTEL, VIRTUAL_FAMILY, VIRTUAL_MODEL, 1,
      VIRTUAL_LEVEL, XLEVEL_64, FLAGS_MYNA, "Myna Virtual CPU" },
    { "max", "every feature that Myna emulates", VENDOR_INTEL, VIRTUAL_FAMILY, VIRTUAL_MODEL, 1, VIRTUAL_LEVEL,
      XLEVEL_64, NULL, "Myna Virtual CPU (max)" },
    { "x86-64-v1", "the x86-64 baseline of the psABI", VENDOR_INTEL, VIRTUAL_FAMILY, VIRTUAL_MODEL, 1, VIRTUAL_LEVEL,
      XLEVEL_64, FLAGS_V1, "Myna Virtual CPU (x86-64-v1)" },
    { "x86-64-v2", "x86-64-v2 of the psABI: up to SSE4.2", VENDOR_INTEL, VIRTUAL_FAMILY, VIRTUAL_MODEL, 1,
      VIRTUAL_LEVEL, XLEVEL_64, FLAGS_V2, "Myna Virtual CPU (x86-64-v2)" },
    { "qemu64", "like QEMU's model of that name", VENDOR_AMD, 15, 107, 1, 0xd, 0x8000000a,
      FLAGS_64 " pni cx16 lahf-lm", "Myna Virtual CPU (qemu64)" },
    { "qemu32", "like QEMU's model of that name", VENDOR_INTEL, 6, 6, 3, 4, XLEVEL_32, FLAGS_SSE2 " pni hypervisor",
      "Myna Virtual CPU (qemu32)" },
    { "kvm64", "like QEMU's model of that name", VENDOR_INTEL, 15, 6, 1, 0xd, XLEVEL_64, FLAGS_64 " pni cx16",
      "Myna Virtual CPU (kvm64)" },
    { "486", "Intel 80486", VENDOR_INTEL, 4, 8, 0, 1, 0, FLAGS_486, "" },
    { "pentium", "Intel Pentium MMX", VENDOR_INTEL, 5, 4, 3, 1, 0, FLAGS_PENTIUM, "" },
    { "pentium2", "Intel Pentium II", VENDOR_INTEL, 6, 5, 2, 2, 0, FLAGS_P6, "" },
    { "pentium3", "Intel Pentium III", VENDOR_INTEL, 6, 7, 3, 3, 0, FLAGS_P6 " sse", "" },
    { "coreduo", "Intel Core Duo", VENDOR_INTEL, 6, 14, 8, 10, XLEVEL_64, FLAGS_SSE2 " pni nx",
      "Intel Core Duo (Myna)" },
    { "core2duo", "Intel Core 2 Duo", VENDOR_INTEL, 6, 15, 11, 10, XLEVEL_64, FLAGS_CORE2, "Intel Core 2 Duo (Myna)" },
    { "Nehalem", "Intel Core i7 9xx", VENDOR_INTEL, 6, 26, 3, 11, XLEVEL_64, FLAGS_NEHALEM, "Intel Nehalem (Myna)" },
    { "Westmere", "Intel Westmere", VENDOR_INTEL, 6, 44, 1, 11, XLEVEL_64, FLAGS_NEHALEM " aes pclmulqdq arat",
      "Intel Westmere (Myna)" },
    { "Opteron_G1", "AMD Opteron 240", VENDOR_AMD, 15, 6, 1, 5, XLEVEL_64, FLAGS_64 " pni", "AMD Opteron 240 (Myna)" },
    { "Opteron_G2", "AMD Opteron 22xx", VENDOR_AMD, 15, 6, 1, 5, XLEVEL_64, FLAGS_64 " pni cx16 lahf-lm",
      "AMD Opteron 22xx (Myna)" },
    { "Opteron_G3", "AMD Opteron 23xx, without SSE4A", VENDOR_AMD, 16, 2, 3, 5, XLEVEL_64, FLAGS_K10 " rdtscp",
      "AMD Opteron 23xx (Myna)" },
    { "phenom", "AMD Phenom 9550, without 3DNow! and SSE4A", VENDOR_AMD, 16, 2, 3, 5, 0x8000001a,
      FLAGS_K10 " rdtscp pdpe1gb", "AMD Phenom 9550 (Myna)" },
};

static const struct { const char *alias, *name; } aliases[] = {
    { "x86-64", "x86-64-v1" }, { "base", "x86-64-v1" },
};

/* Features by option name. */
typedef struct FeatureName {
    const char *option;
    uint16_t feature;
    uint32_t leaf;
} FeatureName;

#define FEATURE_NAME(name, option, leaf, subleaf, reg, bit) { option, FEAT_##name, leaf },
static const FeatureName feature_names[] = { FEATURES(FEATURE_NAME) };

static const struct { const char *alias, *option; } feature_aliases[] = {
    { "sse3", "pni" }, { "lzcnt", "abm" }, { "cmpxchg8b", "cx8" }, { "cmpxchg16b", "cx16" }, { "sha", "sha-ni" },
    { "prefetchw", "3dnowprefetch" }, { "xd", "nx" }, { "ibrs", "spec-ctrl" }, { "pclmuldq", "pclmulqdq" },
};

/* Names that users may know from elsewhere, of what is not emulated: told apart from misspellings. */
static const char *const not_emulated[] = {
    "3dnow", "3dnowext", "amx-bf16", "amx-int8", "amx-tile", "avx", "avx-vnni", "avx2", "avx512bw", "avx512cd",
    "avx512dq", "avx512er", "avx512f", "avx512ifma", "avx512pf", "avx512vbmi", "avx512vl", "avx512-vnni",
    "cldemote", "clzero", "ds", "ds-cpl", "dtes64", "est", "f16c", "fma", "fma4", "gfni", "hle", "la57", "lam",
    "lwp", "misalignsse", "mmxext", "movdir64b", "movdiri", "mpx", "npt", "osvw", "pbe", "pdcm", "perfctr-core",
    "pks", "pku", "rtm", "serialize", "shstk", "skinit", "smx", "ssbd", "sse4a", "stibp", "svm", "tbm", "tm", "tm2",
    "tsx-ctrl", "vaes", "vmx", "vpclmulqdq", "waitpkg", "wbnoinvd", "xop",
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
    { FEAT_PCLMULQDQ, FEAT_SSE2 }, { FEAT_SHA, FEAT_SSE2 },       { FEAT_XSAVE, FEAT_FXSR },
    { FEAT_XSAVEOPT, FEAT_XSAVE }, { FEAT_XSAVEC, FEAT_XSAVE },   { FEAT_XGETBV1, FEAT_XSAVE },
    { FEAT_XSAVES, FEAT_XSAVEC },  { FEAT_XSAVEERPTR, FEAT_FXSR }, { FEAT_FXSR_OPT, FEAT_FXSR },
    { FEAT_FXSR_OPT, FEAT_LM },
    { FEAT_PSE36, FEAT_PSE },      { FEAT_NX, FEAT_PAE },         { FEAT_NX, FEAT_MSR },
    { FEAT_SYSCALL, FEAT_MSR },    { FEAT_SEP, FEAT_MSR },        { FEAT_MTRR, FEAT_MSR },
    { FEAT_PAT, FEAT_MSR },        { FEAT_MCA, FEAT_MCE },        { FEAT_MCA, FEAT_MSR },
    { FEAT_LM, FEAT_PAE },         { FEAT_LM, FEAT_SYSCALL },     { FEAT_LM, FEAT_CX8 },
    { FEAT_LM, FEAT_SSE2 },        { FEAT_LM, FEAT_CMOV },        { FEAT_PDPE1GB, FEAT_LM },
    { FEAT_PCID, FEAT_LM },        { FEAT_FSGSBASE, FEAT_LM },    { FEAT_CX16, FEAT_LM },
    { FEAT_LAHF_LM, FEAT_LM },     { FEAT_X2APIC, FEAT_APIC },    { FEAT_X2APIC, FEAT_MSR },
    { FEAT_TSC_DEADLINE, FEAT_APIC }, { FEAT_TSC_DEADLINE, FEAT_TSC }, { FEAT_TSC_ADJUST, FEAT_TSC },
    { FEAT_INVTSC, FEAT_TSC },     { FEAT_RDTSCP, FEAT_TSC },     { FEAT_RDPRU, FEAT_TSC },
    { FEAT_SPEC_CTRL, FEAT_MSR },  { FEAT_ARCH_CAPABILITIES, FEAT_MSR },
    { FEAT_BHI_CTRL, FEAT_SPEC_CTRL }, { FEAT_LA57, FEAT_LM },     { FEAT_PKU, FEAT_LM },
    { FEAT_PKS, FEAT_LM },         { FEAT_PKS, FEAT_MSR },
};

/*
 * Only on request: AMD's own, and MONITOR, since MWAIT cannot wait for another CPU's store and an idle guest would
 * keep the host busy with it.
 */
static const uint16_t by_request_only[] = { FEAT_RDPRU, FEAT_TOPOEXT, FEAT_MONITOR, FEAT_FXSR_OPT, FEAT_XSAVEERPTR };

static bool set_has(const uint64_t *set, unsigned f) { return set[f / 64] >> (f % 64) & 1; }

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

static void emulated_features(uint64_t *set)
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

static const FeatureName *find_feature(const char *name)
{
    for (unsigned k = 0; k < ARRAY_SIZE(feature_aliases); k++)
        if (same_option(feature_aliases[k].alias, name))
            name = feature_aliases[k].option;
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++)
        if (same_option(feature_names[k].option, name))
            return &feature_names[k];
    return NULL;
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
    static const uint16_t always[] = { FEAT_BASE, FEAT_I186, FEAT_I286, FEAT_I386, FEAT_I486, FEAT_CPUID, FEAT_SMM };
    for (unsigned k = 0; k < ARRAY_SIZE(always); k++)
        set_put(m->features, always[k], true);
    set_put(m->features, FEAT_NOPL, m->family >= 6);
    set_put(m->features, FEAT_UD0, m->family >= 6);
}

static void add_def_flags(Parse *p, const char *flags)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    for (char **w = words; *w; w++) {
        const FeatureName *f = find_feature(*w);
        if (f && set_has(p->emulated, f->feature))
            set_put(p->model->features, f->feature, true);
    }
}

static void add_all_flags(Parse *p)
{
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++)
        if (set_has(p->emulated, feature_names[k].feature))
            set_put(p->model->features, feature_names[k].feature, true);
    for (unsigned k = 0; k < ARRAY_SIZE(by_request_only); k++)
        set_put(p->model->features, by_request_only[k], false);
}

static void set_vendor(CpuModel *m, const char *id)
{
    g_strlcpy(m->vendor_id, id, sizeof m->vendor_id);
    m->vendor = !strcmp(id, "GenuineIntel")                                    ? VENDOR_INTEL
                : !strcmp(id, "AuthenticAMD") || !strcmp(id, "HygonGenuine") ? VENDOR_AMD
                                                                               : VENDOR_OTHER;
}

static const ModelDef *find_model(const char *name, GError **err)
{
    const char *names[ARRAY_SIZE(models)];
    for (unsigned k = 0; k < ARRAY_SIZE(aliases); k++)
        if (!g_ascii_strcasecmp(name, aliases[k].alias))
            name = aliases[k].name;
    for (unsigned k = 0; k < ARRAY_SIZE(models); k++) {
        names[k] = models[k].name;
        if (!g_ascii_strcasecmp(name, models[k].name))
            return &models[k];
    }
    if (!g_ascii_strcasecmp(name, "host")) {
        error_set(err, "-cpu host: there is no host CPU to show to the guest; 'max' has all that Myna emulates");
        return NULL;
    }
    const char *near = nearest_name(name, names, ARRAY_SIZE(names));
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
    set_vendor(m, def->vendor == VENDOR_AMD ? "AuthenticAMD" : "GenuineIntel");
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
    const FeatureName *f = find_feature(name);
    bool known = f || option_in(not_emulated, ARRAY_SIZE(not_emulated), name);
    if (!known)
        return option_in(ignored, ARRAY_SIZE(ignored), name) || unknown_option(p, name);
    if (!f || !set_has(p->emulated, f->feature))
        return !on || error_set(p->err, "-cpu %s: the feature '%s' is not emulated by Myna", p->model->name, name);
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

/* "name=value": a number, a text, or a feature with on or off. */
static bool parse_assignment(Parse *p, const char *name, const char *value)
{
    static const char *const on[] = { "on", "yes", "true", "y" }, *const off[] = { "off", "no", "false", "n" };
    if (!strcmp(name, "vendor") || !strcmp(name, "model-id"))
        return set_text(p, name, value);
    if (option_in(value_options, ARRAY_SIZE(value_options), name))
        return set_number(p, name, value);
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
            if (!set_has(m->features, a) || set_has(m->features, b))
                continue;
            if (set_has(p->requested, a))
                return error_set(p->err, "-cpu %s: the feature '%s' needs '%s', which is off", m->name,
                                 feature_option(a), feature_option(b));
            set_put(m->features, a, false);
            changed = true;
        }
    }
    return true;
}

/* A feature that was asked for must be visible: raise the highest leaf to the one that shows it. */
static void raise_levels(Parse *p)
{
    CpuModel *m = p->model;
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++) {
        uint32_t leaf = feature_names[k].leaf;
        if (!set_has(m->features, feature_names[k].feature))
            continue;
        if (leaf >> 31)
            m->xlevel = MAX(m->xlevel, leaf);
        else
            m->level = MAX(m->level, leaf);
    }
    if (set_has(m->features, FEAT_TOPOEXT))
        m->xlevel = MAX(m->xlevel, 0x8000001e);
}

/* Widths follow from the features, unless phys-bits was given. */
static void set_widths(CpuModel *m)
{
    bool lm = set_has(m->features, FEAT_LM), pae = set_has(m->features, FEAT_PAE);
    m->linear_bits = set_has(m->features, FEAT_LA57) ? 57 : lm ? 48 : 32;
    if (!m->physical_bits)
        m->physical_bits = lm ? 40 : pae ? 36 : 32;
}

static bool parse_spec(Parse *p, char **parts)
{
    const ModelDef *def = find_model(parts[0], p->err);
    if (!def)
        return false;
    start_from(p, def);
    for (char **part = parts + 1; *part; part++)
        if (!parse_part(p, *part))
            return false;
    add_generation(p->model);
    if (!resolve_dependencies(p))
        return false;
    raise_levels(p);
    set_widths(p->model);
    return true;
}

CpuModel *cpu_model_parse(const char *spec, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(spec, ",", -1);
    Parse p = { .model = g_new0(CpuModel, 1), .err = err };
    emulated_features(p.emulated);
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
    cpu->linear_bits = cpu->max_linear_bits = model->linear_bits;
}

void cpu_model_list(void)
{
    printf("CPU models (-cpu NAME[,+feature|,-feature|,option=value]...; -cpu NAME,help lists features):\n");
    for (unsigned k = 0; k < ARRAY_SIZE(models); k++)
        printf("  %-12s %s\n", models[k].name, models[k].description);
    for (unsigned k = 0; k < ARRAY_SIZE(aliases); k++)
        printf("  %-12s alias of %s\n", aliases[k].alias, aliases[k].name);
}

static void print_features(const char *title, const uint64_t *set)
{
    unsigned column = 80;
    printf("%s", title);
    for (unsigned k = 0; k < ARRAY_SIZE(feature_names); k++) {
        const char *name = feature_names[k].option;
        if (!set_has(set, feature_names[k].feature))
            continue;
        if (column + strlen(name) > 78)
            column = printf("\n ") - 1;
        column += printf(" %s", name);
    }
    printf("\n");
}

void cpu_model_list_flags(const char *name)
{
    GError *err = NULL;
    uint64_t others[FEAT_WORDS];
    CpuModel *m = cpu_model_parse(name, &err);
    if (!m) {
        fprintf(stderr, "myna: %s\n", err->message);
        g_error_free(err);
        return;
    }
    emulated_features(others);
    for (unsigned w = 0; w < FEAT_WORDS; w++)
        others[w] &= ~m->features[w];
    printf("CPU model %s: %s family %u model %u stepping %u\n", m->name, m->vendor_id, m->family, m->model,
           m->stepping);
    print_features("Features:", m->features);
    print_features("Can be added:", others);
    cpu_model_free(m);
}
