/*
 * The CPU models (docs/new-cpu-model.md).
 *
 * The flags of a named processor are those that QEMU's model of that name has, and what else every such processor has:
 * all of them, emulated or not.  What Myna does not emulate is left off when the model is chosen, and
 * `-cpu NAME,help` names it; so a model gains a feature the day the instructions come.
 */
#include "cpu/model_internal.h"

#include "util/bits.h"

/*
 * The default.  GenuineIntel, because then CPUID leaf 15h tells Linux the TSC's and the APIC timer's frequency, which
 * saves both calibrations at boot; of a model number that no Intel processor has, so that no kernel looks for that
 * processor's own registers and errata.  ARCH_CAPABILITIES says what is true here (msr.c), so a kernel needs neither
 * page-table isolation nor retpolines; invariant TSC and TSC_ADJUST make the TSC its clock source without a watchdog.
 * XSAVE comes with AVX, which distributions ask for (x86-64-v3).  Left out though emulated: PCID (the soft TLB holds
 * one address space), SMAP (two switches of the TLB for each copy to or from user space).
 */
const char cpu_model_default[] = "myna64";

/* ---- 32 bits ---- */
#define PENTIUM "fpu vme pse de tsc msr mce cx8 apic mmx"
#define P6 PENTIUM " pae sep mtrr pge mca cmov pat pse36 fxsr"
#define SSE2 P6 " sse sse2 clflush"

/* ---- x86-64, and the levels of the psABI ---- */
#define V1 SSE2 " lm nx syscall hypervisor"
#define V2 V1 " pni ssse3 cx16 lahf-lm sse4.1 sse4.2 popcnt"
#define V3 V2 " xsave avx avx2 bmi1 bmi2 f16c fma abm movbe"
#define AVX512 " avx512f avx512bw avx512cd avx512dq avx512vl"
#define V4 V3 AVX512
/* What spares a kernel the work-arounds for errata that are not emulated. */
#define SAFE " arch-capabilities spec-ctrl bhi-ctrl"
#define MYNA                                                                                                           \
    V3 SAFE " x2apic tsc-deadline tsc-adjust invtsc arat rdtscp rdpid aes pclmulqdq sha-ni adx 3dnowprefetch rdrand "  \
            "rdseed erms fsrm fsgsbase smep umip invpcid pdpe1gb xsaveopt xsavec xgetbv1"

/* ---- Intel ---- */
#define CONROE V1 " pni ssse3 lahf-lm"
#define PENRYN CONROE " cx16 sse4.1"
#define NEHALEM PENRYN " sse4.2 popcnt"
#define WESTMERE NEHALEM " aes pclmulqdq arat"
#define SANDYBRIDGE WESTMERE " avx rdtscp tsc-deadline x2apic xsave xsaveopt"
#define IVYBRIDGE SANDYBRIDGE " erms f16c fsgsbase rdrand smep"
#define HASWELL IVYBRIDGE " abm avx2 bmi1 bmi2 fma hle invpcid movbe pcid rtm"
#define BROADWELL HASWELL " 3dnowprefetch adx rdseed smap"
#define SKYLAKE BROADWELL " xgetbv1 xsavec xsaves"
#define SKYLAKE_SERVER SKYLAKE AVX512 " clflushopt clwb pdpe1gb pku"
#define CASCADELAKE SKYLAKE_SERVER " avx512vnni spec-ctrl ssbd arch-capabilities"
#define COOPERLAKE CASCADELAKE " avx512-bf16 stibp"
#define ICELAKE_SERVER                                                                                                 \
    CASCADELAKE " avx512-vpopcntdq avx512bitalg avx512ifma avx512vbmi avx512vbmi2 fsrm gfni la57 rdpid sha-ni stibp "  \
                "umip vaes vpclmulqdq wbnoinvd"
#define SAPPHIRERAPIDS                                                                                                 \
    ICELAKE_SERVER " amx-bf16 amx-int8 amx-tile avx-vnni avx512-bf16 avx512-fp16 bus-lock-detect cldemote fsrc fsrs "  \
                   "fzrm ibt bhi-ctrl movdir64b movdiri pks serialize shstk tsx-ldtrk waitpkg xfd"
#define GOLDMONT                                                                                                       \
    WESTMERE " rdtscp tsc-deadline x2apic xsave xsaveopt xsavec xsaves xgetbv1 3dnowprefetch arch-capabilities "       \
             "clflushopt erms fsgsbase monitor movbe mpx pdpe1gb rdrand rdseed sha-ni smap smep spec-ctrl ssbd"
#define TREMONT GOLDMONT " cldemote clwb core-capability gfni movdir64b movdiri rdpid split-lock-detect umip waitpkg"
#define KNIGHTSMILL                                                                                                    \
    IVYBRIDGE " abm avx2 bmi1 bmi2 fma movbe 3dnowprefetch adx rdseed avx512f avx512cd avx512er avx512pf "             \
              "avx512-vpopcntdq avx512-4vnniw avx512-4fmaps ss"

/* ---- AMD ---- */
#define SVM_15                                                                                                         \
    " svm npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists pause-filter pfthreshold"
#define SVM_17 SVM_15 " avic v-vmsave-vmload vgif"
#define K8 V1 " mmxext 3dnow 3dnowext fxsr-opt"
#define OPTERON_G1 V1 " pni"
#define OPTERON_G2 OPTERON_G1 " cx16 lahf-lm svm"
#define OPTERON_G3 OPTERON_G2 " abm misalignsse monitor popcnt rdtscp sse4a"
#define PHENOM OPTERON_G3 " 3dnow 3dnowext 3dnowprefetch fxsr-opt mmxext npt nrip-save lbrv svm-lock pdpe1gb osvw"
#define BULLDOZER                                                                                                      \
    OPTERON_G1 SVM_15 " cx16 lahf-lm 3dnowprefetch abm aes avx fma4 misalignsse pclmulqdq pdpe1gb popcnt rdtscp "      \
                      "sse4.1 sse4.2 sse4a ssse3 xop xsave"
#define PILEDRIVER BULLDOZER " f16c fma tbm bmi1"
#define ZEN_COMMON                                                                                                     \
    V3 SVM_17 " 3dnowprefetch adx arat clflushopt cr8legacy fsgsbase fxsr-opt misalignsse mmxext monitor osvw "        \
              "pdpe1gb rdrand rdseed rdtscp smap smep sse4a topoext xgetbv1 xsavec xsaveopt ibpb perfctr-core clzero " \
              "xsaveerptr xsaves"
#define ZEN ZEN_COMMON " aes pclmulqdq sha-ni"
#define ZEN2 ZEN " clwb rdpid rdpru umip wbnoinvd amd-stibp amd-ssbd"
#define ZEN3 ZEN2 " erms fsrm invpcid pcid pku vaes vpclmulqdq svme-addr-chk stibp-always-on"
#define ZEN4                                                                                                           \
    ZEN3 AVX512 " avx512-bf16 avx512-vpopcntdq avx512bitalg avx512ifma avx512vbmi avx512vbmi2 avx512vnni gfni la57 "   \
                "vnmi auto-ibrs"

enum { VIRTUAL_FAMILY = 6, VIRTUAL_MODEL = 0x7f, VIRTUAL_LEVEL = 0x16 };
#define XLEVEL_32 0x80000004u
#define XLEVEL_64 0x80000008u
#define XLEVEL_SVM 0x8000000au
#define XLEVEL_K10 0x8000001au
#define XLEVEL_ZEN 0x8000001eu

#define INTEL_ID "GenuineIntel"
#define AMD_ID "AuthenticAMD"
#define OWN(name, description, flags, id)                                                                              \
    { MODELS_OWN, name, description, INTEL_ID, VIRTUAL_FAMILY, VIRTUAL_MODEL, 1, VIRTUAL_LEVEL, XLEVEL_64, flags, id }
#define INTEL(name, description, family, model, stepping, level, xlevel, flags)                                        \
    { MODELS_INTEL, name, description, INTEL_ID, family, model, stepping, level, xlevel, flags, description }
#define AMD(name, description, family, model, stepping, level, xlevel, flags)                                          \
    { MODELS_AMD, name, description, AMD_ID, family, model, stepping, level, xlevel, flags, description }
/* The level is 1 where there is CPUID. */
#define OLD(name, description, vendor, family, model, stepping, level, flags)                                          \
    { MODELS_OLD, name, description, vendor, family, model, stepping, level, 0, flags, "" }

const ModelDef model_table[] = {
    OWN("myna64", "the default: x86-64-v3 and what makes guests fast", MYNA, "Myna Virtual CPU"),
    OWN("max", "every feature that Myna emulates", NULL, "Myna Virtual CPU (max)"),
    OWN("x86-64-v1", "the x86-64 baseline of the psABI", V1 SAFE, "Myna Virtual CPU (x86-64-v1)"),
    OWN("x86-64-v2", "up to SSE4.2", V2 SAFE, "Myna Virtual CPU (x86-64-v2)"),
    OWN("x86-64-v3", "up to AVX2 and FMA", V3 SAFE, "Myna Virtual CPU (x86-64-v3)"),
    OWN("x86-64-v4", "with AVX-512 F, BW, CD, DQ and VL", V4 SAFE, "Myna Virtual CPU (x86-64-v4)"),
    { MODELS_OWN, "qemu64", "like QEMU's model of that name", AMD_ID, 15, 107, 1, 0xd, XLEVEL_SVM,
      V1 " pni cx16 lahf-lm svm", "Myna Virtual CPU (qemu64)" },
    { MODELS_OWN, "qemu32", "like QEMU's model of that name", INTEL_ID, 6, 6, 3, 4, XLEVEL_32, SSE2 " pni hypervisor",
      "Myna Virtual CPU (qemu32)" },
    { MODELS_OWN, "kvm64", "like QEMU's model of that name", INTEL_ID, 15, 6, 1, 0xd, XLEVEL_64, V1 " pni cx16",
      "Myna Virtual CPU (kvm64)" },
    { MODELS_OWN, "kvm32", "like QEMU's model of that name", INTEL_ID, 15, 6, 1, 5, XLEVEL_64, SSE2 " pni hypervisor",
      "Myna Virtual CPU (kvm32)" },

    INTEL("pentium4", "Intel Pentium 4 (Willamette)", 15, 1, 2, 2, XLEVEL_32, SSE2),
    INTEL("n270", "Intel Atom N270", 6, 28, 2, 10, XLEVEL_64, SSE2 " pni nx ssse3 movbe monitor ss"),
    INTEL("coreduo", "Intel Core Duo T2600", 6, 14, 8, 10, XLEVEL_64, SSE2 " pni nx monitor ss"),
    INTEL("core2duo", "Intel Core 2 Duo T7700", 6, 15, 11, 10, XLEVEL_64, CONROE " cx16 monitor ss"),
    INTEL("Conroe", "Intel Core 2 (Conroe, Merom)", 6, 15, 3, 10, XLEVEL_64, CONROE),
    INTEL("Penryn", "Intel Core 2 (Penryn, 45 nm)", 6, 23, 3, 10, XLEVEL_64, PENRYN),
    INTEL("Nehalem", "Intel Core i7 9xx (Nehalem)", 6, 26, 3, 11, XLEVEL_64, NEHALEM),
    INTEL("Westmere", "Intel Xeon X56xx (Westmere)", 6, 44, 1, 11, XLEVEL_64, WESTMERE),
    INTEL("SandyBridge", "Intel Xeon E3-12xx (Sandy Bridge)", 6, 42, 1, 0xd, XLEVEL_64, SANDYBRIDGE),
    INTEL("IvyBridge", "Intel Xeon E3-12xx v2 (Ivy Bridge)", 6, 58, 9, 0xd, XLEVEL_64, IVYBRIDGE),
    INTEL("Haswell", "Intel Core (Haswell)", 6, 60, 4, 0xd, XLEVEL_64, HASWELL),
    INTEL("Broadwell", "Intel Core (Broadwell)", 6, 61, 2, 0xd, XLEVEL_64, BROADWELL),
    INTEL("Skylake-Client", "Intel Core (Skylake)", 6, 94, 3, 0xd, XLEVEL_64, SKYLAKE),
    INTEL("Skylake-Server", "Intel Xeon (Skylake)", 6, 85, 4, 0xd, XLEVEL_64, SKYLAKE_SERVER),
    INTEL("Cascadelake-Server", "Intel Xeon (Cascade Lake)", 6, 85, 6, 0xd, XLEVEL_64, CASCADELAKE),
    INTEL("Cooperlake", "Intel Xeon (Cooper Lake)", 6, 85, 10, 0xd, XLEVEL_64, COOPERLAKE),
    INTEL("Icelake-Server", "Intel Xeon (Ice Lake)", 6, 106, 0, 0x1b, XLEVEL_64, ICELAKE_SERVER),
    INTEL("SapphireRapids", "Intel Xeon (Sapphire Rapids)", 6, 143, 4, 0x20, XLEVEL_64, SAPPHIRERAPIDS),
    INTEL("Denverton", "Intel Atom C3000 (Denverton)", 6, 95, 1, 0x15, XLEVEL_64, GOLDMONT),
    INTEL("Snowridge", "Intel Atom P5000 (Snow Ridge)", 6, 134, 1, 0x1b, XLEVEL_64, TREMONT),
    INTEL("KnightsMill", "Intel Xeon Phi (Knights Mill)", 6, 133, 0, 0xd, XLEVEL_64, KNIGHTSMILL),

    AMD("k6-2", "AMD K6-2", 5, 8, 12, 1, 0x80000005, "fpu vme de pse tsc msr mce cx8 mmx syscall 3dnow"),
    AMD("athlon", "AMD Athlon", 6, 2, 3, 2, XLEVEL_64, P6 " sse sse2 3dnow 3dnowext mmxext"),
    AMD("athlon64", "AMD Athlon 64", 15, 12, 0, 1, XLEVEL_64, K8),
    AMD("Opteron_G1", "AMD Opteron 240 (K8)", 15, 6, 1, 5, XLEVEL_64, OPTERON_G1),
    AMD("Opteron_G2", "AMD Opteron 22xx (K8 Rev. F)", 15, 6, 1, 5, XLEVEL_SVM, OPTERON_G2),
    AMD("Opteron_G3", "AMD Opteron 23xx (K10)", 16, 2, 3, 5, XLEVEL_SVM, OPTERON_G3),
    AMD("phenom", "AMD Phenom 9550 (K10)", 16, 2, 3, 5, XLEVEL_K10, PHENOM),
    AMD("Opteron_G4", "AMD Opteron 62xx (Bulldozer)", 21, 1, 2, 0xd, XLEVEL_K10, BULLDOZER),
    AMD("Opteron_G5", "AMD Opteron 63xx (Piledriver)", 21, 2, 0, 0xd, XLEVEL_K10, PILEDRIVER),
    AMD("EPYC", "AMD EPYC 7001 (Zen)", 23, 1, 2, 0xd, XLEVEL_ZEN, ZEN),
    AMD("EPYC-Rome", "AMD EPYC 7002 (Zen 2)", 23, 49, 0, 0xd, XLEVEL_ZEN, ZEN2),
    AMD("EPYC-Milan", "AMD EPYC 7003 (Zen 3)", 25, 1, 1, 0xd, XLEVEL_ZEN, ZEN3),
    AMD("EPYC-Genoa", "AMD EPYC 9004 (Zen 4)", 25, 17, 0, 0xd, 0x80000022, ZEN4),
    { MODELS_AMD, "Dhyana", "Hygon Dhyana (Zen)", "HygonGenuine", 24, 0, 1, 0xd, XLEVEL_ZEN, ZEN_COMMON,
      "Hygon Dhyana" },

    OLD("8086", "Intel 8086, 1978", "", 0, 0, 0, 0, ""),
    OLD("80186", "Intel 80186", "", 1, 0, 0, 0, ""),
    OLD("80286", "Intel 80286: protected mode", "", 2, 0, 0, 0, ""),
    OLD("80386", "Intel 80386 DX: 32 bits, paging", "", 3, 0, 8, 0, ""),
    OLD("486sx", "Intel 80486 SX without FPU and CPUID", "", 4, 2, 2, 0, ""),
    OLD("486dx", "Intel 80486 DX without CPUID", "", 4, 0, 4, 0, "fpu"),
    OLD("486", "Intel 80486 DX4 with CPUID", INTEL_ID, 4, 8, 0, 1, "fpu vme pse"),
    OLD("pentium", "Intel Pentium MMX", INTEL_ID, 5, 4, 3, 1, PENTIUM),
    OLD("pentium2", "Intel Pentium II", INTEL_ID, 6, 5, 2, 2, P6),
    OLD("pentium3", "Intel Pentium III", INTEL_ID, 6, 7, 3, 3, P6 " sse"),
};
const unsigned model_count = ARRAY_SIZE(model_table);

const ModelAlias model_aliases[] = {
    { "base", "x86-64-v1" },        { "x86-64", "x86-64-v1" },      { "8088", "8086" },
    { "80188", "80186" },           { "i186", "80186" },            { "186", "80186" },
    { "i286", "80286" },            { "286", "80286" },             { "i386", "80386" },
    { "386", "80386" },             { "80486", "486" },             { "i486", "486" },
    { "Merom", "Conroe" },          { "Icelake-Client", "Icelake-Server" },
    /* Bochs' names */
    { "bx_generic", "max" },        { "pentium_mmx", "pentium" },   { "amd_k6_2_chomper", "k6-2" },
    { "p2_klamath", "pentium2" },   { "p3_katmai", "pentium3" },    { "p4_willamette", "pentium4" },
    { "athlon64_clawhammer", "athlon64" },                          { "athlon64_venice", "athlon64" },
    { "phenom_8650_toliman", "phenom" },                            { "zambezi", "Opteron_G4" },
    { "trinity_apu", "Opteron_G5" },                                { "ryzen", "EPYC" },
    { "atom_n270", "n270" },        { "core_duo_t2400_yonah", "coreduo" },
    { "core2_penryn_t9600", "Penryn" },                             { "corei5_lynnfield_750", "Nehalem" },
    { "corei5_arrandale_m520", "Westmere" },                        { "corei7_sandy_bridge_2600k", "SandyBridge" },
    { "corei7_ivy_bridge_3770k", "IvyBridge" },                     { "corei7_haswell_4770", "Haswell" },
    { "broadwell_ult", "Broadwell" },                               { "corei7_skylake_x", "Skylake-Server" },
    { "corei7_icelake_u", "Icelake-Server" },
};
const unsigned model_alias_count = ARRAY_SIZE(model_aliases);
