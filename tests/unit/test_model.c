/* -cpu: names, features, dependencies and error messages (cpu/model.c). */
#include <glib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/model.h"

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
    static const char *const names[] = {
        "486", "pentium", "pentium2", "pentium3", "coreduo", "core2duo", "Nehalem", "Westmere", "Opteron_G1",
        "Opteron_G2", "Opteron_G3", "phenom", "qemu32", "qemu64", "kvm64", "x86-64-v1", "x86-64", "x86-64-v2", "max",
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(names); k++)
        cpu_model_free(parse_ok(names[k]));
    cpu_model_free(parse_ok(cpu_model_default));
    assert_has("486", FEAT_TSC, false);
    assert_has("486", FEAT_NOPL, false);
    assert_has("pentium2", FEAT_SEP, true);
    assert_has("qemu32", FEAT_LM, false);
    assert_has("qemu64", FEAT_LM, true);
    assert_has("x86-64-v2", FEAT_X2APIC, false);
    assert_has("max", FEAT_SMAP, true);
    assert_has("max", FEAT_MONITOR, false);
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
    assert_error("max,+vmx", "-cpu max: the feature 'vmx' is not emulated by Myna");
    assert_error("max,amx-tile=on", "-cpu max: the feature 'amx-tile' is not emulated by Myna");
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
    g_test_add_func("/model/features", test_features);
    g_test_add_func("/model/identity", test_identity);
    g_test_add_func("/model/dependencies", test_dependencies);
    g_test_add_func("/model/levels", test_levels);
    g_test_add_func("/model/errors", test_errors);
    return g_test_run();
}
