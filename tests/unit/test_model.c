/* -cpu: names, features, dependencies and error messages (cpu/model.c). */
#include <glib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/model_internal.h"

static bool model_has(const CpuModel *m, unsigned f) { return m->features[f / 64] >> (f % 64) & 1; }

static CpuModel *parse_ok(const char *spec)
{
    GError *err = NULL;
    CpuModel *m = cpu_model_parse(spec, &err);
    g_assert_no_error(err);
    g_assert_nonnull(m);
    return m;
}

static void assert_has(const char *spec, unsigned feature, bool expected)
{
    CpuModel *m = parse_ok(spec);
    g_assert_cmpint(model_has(m, feature), ==, expected);
    cpu_model_free(m);
}

static void assert_error(const char *spec, const char *message)
{
    GError *err = NULL;
    g_assert_null(cpu_model_parse(spec, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, message);
    g_error_free(err);
}

static void test_models(void)
{
    for (unsigned k = 0; k < model_count; k++) {
        CpuModel *m = parse_ok(model_table[k].name);
        g_assert_cmpstr(m->name, ==, model_table[k].name);
        g_assert_cmpuint(strlen(model_table[k].model_id), <=, 48);
        cpu_model_free(m);
    }
    cpu_model_free(parse_ok(cpu_model_default));
    assert_has("486", FEAT_TSC, false);
    assert_has("486", FEAT_NOPL, false);
    assert_has("pentium2", FEAT_SEP, true);
    assert_has("qemu32", FEAT_LM, false);
    assert_has("qemu64", FEAT_LM, true);
    assert_has("x86-64-v2", FEAT_X2APIC, false);
    assert_has("max", FEAT_SMAP, true);
    assert_has("max", FEAT_MONITOR, false);
    assert_has("max", FEAT_MONITORX, false);
    assert_has("EPYC,+monitorx", FEAT_MONITORX, true);
    assert_has("max", FEAT_TOPOEXT, false);
    assert_has("EPYC", FEAT_TOPOEXT, true);
    assert_has("phenom", FEAT_MONITOR, false);
    assert_has("phenom,+monitor", FEAT_MONITOR, true);
}

/* Generations before CPUID: each has what the one before has. */
static void test_generations(void)
{
    static const struct { const char *name; uint16_t has, has_not; } generations[] = {
        { "8086", FEAT_BASE, FEAT_I186 }, { "186", FEAT_I186, FEAT_I286 },   { "286", FEAT_I286, FEAT_I386 },
        { "386", FEAT_I386, FEAT_I486 },  { "486sx", FEAT_I486, FEAT_CPUID }, { "486dx", FEAT_FPU, FEAT_CPUID },
        { "486", FEAT_CPUID, FEAT_NOPL }, { "pentium3", FEAT_NOPL, FEAT_LM },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(generations); k++) {
        assert_has(generations[k].name, generations[k].has, true);
        assert_has(generations[k].name, generations[k].has_not, false);
    }
    assert_has("386", FEAT_FPU, false);
    assert_has("386,+fpu", FEAT_FPU, true);
}

/* Every flag of every model is a known name, and none stands there twice. */
static void test_flags(void)
{
    for (unsigned k = 0; k < model_count; k++) {
        if (!model_table[k].flags)
            continue;
        g_auto(GStrv) words = g_strsplit(model_table[k].flags, " ", -1);
        for (char **w = words; *w; w++) {
            if (**w && !feature_name_known(*w))
                g_error("model %s: unknown flag '%s'", model_table[k].name, *w);
            for (char **other = words; other < w; other++)
                if (**w && !strcmp(*w, *other))
                    g_error("model %s: '%s' twice", model_table[k].name, *w);
        }
    }
}

/* No model loses a feature that is emulated to a dependency that its flags do not name. */
static void test_consistency(void)
{
    uint64_t emulated[FEAT_WORDS];
    features_emulated(emulated);
    for (unsigned k = 0; k < model_count; k++) {
        if (!model_table[k].flags)
            continue;
        CpuModel *m = parse_ok(model_table[k].name);
        g_auto(GStrv) words = g_strsplit(model_table[k].flags, " ", -1);
        for (char **w = words; *w; w++) {
            const FeatureName *f = feature_find(*w);
            if (!f || feature_by_request(m, f->feature) || model_has(m, f->feature))
                continue;
            g_autofree char *spec = g_strdup_printf("%s,+%s", m->name, *w);
            GError *err = NULL;
            CpuModel *more = cpu_model_parse(spec, &err);
            g_assert_null(more);
            if (!strstr(err->message, "is not emulated by Myna") && feature_set_has(emulated, f->feature)) {
                /* what it needs is missing because that is not emulated */
                const char *needed = strstr(err->message, "' needs '");
                g_assert_nonnull(needed);
                g_autofree char *name = g_strndup(needed + 9, strcspn(needed + 9, "'"));
                g_assert_true(g_strv_contains((const char *const *)words, name));
            }
            g_error_free(err);
        }
        cpu_model_free(m);
    }
}

static void assert_level(const char *name, unsigned wanted)
{
    static const char *const flags[] = {
        "lm,cmov,cx8,fpu,fxsr,mmx,sse,sse2,syscall", "cx16,lahf-lm,popcnt,sse3,sse4.1,sse4.2,ssse3",
        "avx,avx2,bmi1,bmi2,f16c,fma,lzcnt,movbe,xsave", "avx512f,avx512bw,avx512cd,avx512dq,avx512vl",
    };
    const ModelDef *def = model_find(name, NULL);
    uint64_t emulated[FEAT_WORDS];
    bool all = true;
    unsigned level = 0;
    features_emulated(emulated);
    g_auto(GStrv) words = g_strsplit(def->flags, " ", -1);
    for (unsigned k = 0; k < wanted; k++) {
        g_auto(GStrv) needed = g_strsplit(flags[k], ",", -1);
        for (char **n = needed; *n; n++) {
            const FeatureName *f = feature_find(*n);
            g_assert_true(g_strv_contains((const char *const *)words, f->option));
            all &= feature_set_has(emulated, f->feature);
        }
        level += all;
    }
    CpuModel *m = parse_ok(name);
    g_assert_cmpuint(cpu_model_level(m), ==, level);
    cpu_model_free(m);
}

/* The levels of the psABI: the models' flags, and what of them is emulated. */
static void test_psabi(void)
{
    assert_level("x86-64-v1", 1);
    assert_level("x86-64-v2", 2);
    assert_level("x86-64-v3", 3);
    assert_level("x86-64-v4", 4);
    assert_level(cpu_model_default, 3);
    assert_level("Nehalem", 2);
    assert_level("Haswell", 3);
    assert_level("Skylake-Server", 4);
    assert_level("EPYC", 3);
    assert_level("EPYC-Genoa", 4);
}

static void assert_alias(const char *alias, const char *name)
{
    CpuModel *m = parse_ok(alias);
    g_assert_cmpstr(m->name, ==, name);
    cpu_model_free(m);
}

static void test_aliases(void)
{
    for (unsigned k = 0; k < model_alias_count; k++)
        assert_alias(model_aliases[k].alias, model_aliases[k].name);
    assert_alias("i386", "80386");
    assert_alias("haswell", "Haswell");
    assert_alias("Haswell-v4", "Haswell");
    assert_alias("Skylake-Client-noTSX-IBRS", "Skylake-Client");
    assert_alias("EPYC-IBPB", "EPYC");
    assert_error("Haswell-v44", "-cpu: unknown CPU model 'Haswell-v44' (-cpu help lists them)");
    assert_error("x86-64-v9", "-cpu: unknown CPU model 'x86-64-v9'; did you mean 'x86-64-v1'? (-cpu help lists them)");
}

/* Each of a list's words stands between `from` and `to` in the text. */
static void assert_between(const char *text, const char *from, const char *to, const char *list)
{
    const char *start = strstr(text, from);
    g_assert_nonnull(start);
    const char *end = to ? strstr(start, to) : start + strlen(start);
    g_assert_nonnull(end);
    g_autofree char *part = g_strndup(start, end - start);
    g_auto(GStrv) found = g_strsplit_set(part, " \n", -1);
    g_auto(GStrv) words = g_strsplit(list, " ", -1);
    for (char **w = words; *w; w++)
        g_assert_true(g_strv_contains((const char *const *)found, *w));
}

static void test_help(void)
{
    GError *err = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    cpu_model_list(out);
    assert_between(out->str, "Myna's own:", "Intel:", "myna64 max x86-64-v3");
    assert_between(out->str, "Intel:", "AMD and Hygon:", "Penryn SapphireRapids");
    assert_between(out->str, "AMD and Hygon:", "32 bits and less:", "Opteron_G5 EPYC-Genoa Dhyana");
    assert_between(out->str, "32 bits and less:", "Other names", "8086 80286 486sx pentium");
    assert_between(out->str, "Other names", NULL, "8088=8086");

    g_string_truncate(out, 0);
    g_assert_true(cpu_model_list_flags("Haswell,-aes", out, &err));
    g_assert_no_error(err);
    assert_between(out->str, "CPU model Haswell", "Features:", "GenuineIntel 60");
    assert_between(out->str, "Features:", "The processor has", "sse4.2 pcid lm");
    assert_between(out->str, "The processor has, Myna does not:", "Can be added:", "hle rtm");
    assert_between(out->str, "Can be added:", NULL, "aes sha-ni");
    g_string_truncate(out, 0);
    g_assert_true(cpu_model_list_flags("8086", out, &err));
    assert_between(out->str, "CPU model 8086", "Features:", "16 CPUID");
    assert_between(out->str, "Features:", "The processor has", "none");
    g_assert_false(cpu_model_list_flags("nehalme", out, &err));
    g_error_free(err);
}

static void test_features(void)
{
    assert_has("qemu64,+x2apic,+tsc-deadline", FEAT_TSC_DEADLINE, true);
    assert_has("qemu64,-pcid,+invpcid", FEAT_INVPCID, true);
    assert_has("qemu64,+pcid", FEAT_PCID, true);
    assert_has("max,pcid=off", FEAT_PCID, false);
    assert_has("qemu64,umip=on", FEAT_UMIP, true);
    assert_has("qemu64,umip", FEAT_UMIP, true);
    assert_has("qemu64,+tsc_deadline", FEAT_TSC_DEADLINE, true);
    assert_has("max,-avx,-vmx", FEAT_LM, true);
    assert_has("max,host-phys-bits,migratable=no", FEAT_LM, true);
}

static void test_identity(void)
{
    CpuModel *m = parse_ok("qemu64,vendor=GenuineIntel,family=6,model=0x1a,stepping=3,model-id=Some CPU,phys-bits=36");
    g_assert_cmpint(m->vendor, ==, VENDOR_INTEL);
    g_assert_cmpstr(m->vendor_id, ==, "GenuineIntel");
    g_assert_cmpuint(m->family, ==, 6);
    g_assert_cmpuint(m->model, ==, 26);
    g_assert_cmpuint(m->stepping, ==, 3);
    g_assert_cmpstr(m->model_id, ==, "Some CPU");
    g_assert_cmpuint(m->physical_bits, ==, 36);
    g_assert_cmpuint(m->linear_bits, ==, 48);
    cpu_model_free(m);
}

/* Taking a feature away takes what needs it along, unless that was asked for. */
static void test_dependencies(void)
{
    assert_has("max,-apic", FEAT_X2APIC, false);
    assert_has("max,-apic", FEAT_TSC_DEADLINE, false);
    assert_has("max,-lm", FEAT_PDPE1GB, false);
    assert_error("max,-apic,+x2apic", "-cpu max: the feature 'x2apic' needs 'apic', which is off");
    assert_error("qemu32,+pdpe1gb", "-cpu qemu32: the feature 'pdpe1gb' needs 'lm', which is off");
}

/* Combinations that cannot be: without b no a, and asking for it is refused. */
static void test_pairs(void)
{
    static const struct { const char *a, *b; } pairs[] = {
        { "avx", "xsave" }, { "avx2", "avx" }, { "fma", "avx" }, { "f16c", "avx" }, { "vaes", "avx" }, { "vaes", "aes" },
        { "vpclmulqdq", "pclmulqdq" }, { "gfni", "sse2" }, { "avx512f", "avx2" }, { "avx512f", "fma" },
        { "avx512bw", "avx512f" }, { "avx512vl", "avx512f" }, { "avx512dq", "avx512f" }, { "avx512cd", "avx512f" },
        { "avx512ifma", "avx512f" }, { "avx512vbmi", "avx512bw" }, { "avx512vbmi2", "avx512bw" },
        { "avx512-bf16", "avx512bw" }, { "avx512-fp16", "avx512vl" }, { "avx-vnni", "avx2" }, { "xop", "avx" },
        { "avx-vnni-int8", "avx2" }, { "avx-vnni-int16", "avx2" }, { "sha512", "avx2" }, { "sm3", "avx" }, { "sm4", "avx2" },
        { "avx-ne-convert", "avx2" }, { "cmpccxadd", "lm" }, { "wrmsrns", "msr" }, { "msrlist", "lm" },
        { "xsaves", "xsavec" }, { "xsaveopt", "xsave" }, { "pku", "xsave" }, { "pks", "lm" }, { "la57", "lm" },
        { "sse4a", "sse3" }, { "3dnow", "mmx" }, { "3dnowext", "3dnow" }, { "npt", "svm" }, { "vgif", "svm" },
        { "svm", "pae" }, { "lm", "sse2" }, { "sse4.2", "sse4.1" }, { "aes", "sse2" }, { "shstk", "msr" },
        { "pcid", "lm" }, { "mca", "mce" }, { "bhi-ctrl", "spec-ctrl" }, { "tsc-deadline", "apic" },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(pairs); k++) {
        GError *err = NULL;
        g_autofree char *without = g_strdup_printf("max,-%s", pairs[k].b);
        assert_has(without, feature_find(pairs[k].a)->feature, false);
        g_autofree char *refused = g_strdup_printf("max,-%s,+%s", pairs[k].b, pairs[k].a);
        g_assert_null(cpu_model_parse(refused, &err));
        g_assert_null(strchr(err->message, '\n'));
        g_error_free(err);
    }
}

/* A feature in a leaf above the model's highest raises it. */
static void test_levels(void)
{
    CpuModel *m = parse_ok("core2duo,+smep");
    g_assert_cmpuint(m->level, >=, 10);
    cpu_model_free(m);
    m = parse_ok("pentium3,+smep,+nx");
    g_assert_cmpuint(m->level, ==, 7);
    g_assert_cmpuint(m->xlevel, ==, 0x80000001);
    cpu_model_free(m);
}

static void test_errors(void)
{
    assert_error("nehalme", "-cpu: unknown CPU model 'nehalme'; did you mean 'Nehalem'? (-cpu help lists them)");
    assert_error("z80-turbo-plus", "-cpu: unknown CPU model 'z80-turbo-plus' (-cpu help lists them)");
    assert_error("", "-cpu: no model named (-cpu help lists them)");
    assert_error("host", "-cpu host: there is no host CPU to show to the guest; 'max' has all that Myna emulates");
    assert_error("max,+amx-tile", "-cpu max: the feature 'amx-tile' is not emulated by Myna");
    assert_error("max,vmx=on", "-cpu max: the feature 'vmx' is not emulated by Myna");
    assert_error("386,+sse", "-cpu 80386: the feature 'sse' needs CPUID, which this processor has not");
    assert_error("8086,family=6", "-cpu 8086: family= needs CPUID, which this processor has not");
    assert_error("max,+smepp", "-cpu max: unknown feature 'smepp'; did you mean 'smep'?");
    assert_error("max,-nosuchthing", "-cpu max: unknown feature 'nosuchthing' (-cpu max,help lists them)");
    assert_error("max,smep=maybe", "-cpu max: smep=maybe must be on or off");
    assert_error("max,family=abc", "-cpu max: family=abc is not a number from 4 to 270");
    assert_error("max,stepping=16", "-cpu max: stepping=16 is not a number from 0 to 15");
    assert_error("max,phys-bits=64", "-cpu max: phys-bits=64 is not a number from 32 to 52");
    assert_error("max,vendor=Intel",
                 "-cpu max: vendor=Intel must have 12 characters, e.g. GenuineIntel or AuthenticAMD");
    assert_error("max,", "-cpu max: an empty option (two commas, or one at the end)");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/models", test_models);
    g_test_add_func("/model/generations", test_generations);
    g_test_add_func("/model/flags", test_flags);
    g_test_add_func("/model/consistency", test_consistency);
    g_test_add_func("/model/psabi", test_psabi);
    g_test_add_func("/model/aliases", test_aliases);
    g_test_add_func("/model/help", test_help);
    g_test_add_func("/model/features", test_features);
    g_test_add_func("/model/identity", test_identity);
    g_test_add_func("/model/dependencies", test_dependencies);
    g_test_add_func("/model/pairs", test_pairs);
    g_test_add_func("/model/levels", test_levels);
    g_test_add_func("/model/errors", test_errors);
    return g_test_run();
}
