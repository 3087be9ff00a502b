/*
 * CPUID features.  FEATURES() lists each once: name in our code, name for `-cpu ...,+name`, and where CPUID reports it
 * (leaf, subleaf, register, bit).  Rows of the instruction table name the feature that they need; BASE is what the
 * 8086 has, I186 to I486 stand for the generations that CPUID does not tell apart.
 */
#ifndef MYNA_CPU_FEATURES_H
#define MYNA_CPU_FEATURES_H

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* F(NAME, "option name", leaf, subleaf, register, bit) */
#define FEATURES(F)                                                                                                    \
    F(FPU, "fpu", 1, 0, CPUID_EDX, 0)                                                                                  \
    F(VME, "vme", 1, 0, CPUID_EDX, 1)                                                                                  \
    F(DE, "de", 1, 0, CPUID_EDX, 2)                                                                                    \
    F(PSE, "pse", 1, 0, CPUID_EDX, 3)                                                                                  \
    F(TSC, "tsc", 1, 0, CPUID_EDX, 4)                                                                                  \
    F(MSR, "msr", 1, 0, CPUID_EDX, 5)                                                                                  \
    F(PAE, "pae", 1, 0, CPUID_EDX, 6)                                                                                  \
    F(MCE, "mce", 1, 0, CPUID_EDX, 7)                                                                                  \
    F(CX8, "cx8", 1, 0, CPUID_EDX, 8)                                                                                  \
    F(APIC, "apic", 1, 0, CPUID_EDX, 9)                                                                                \
    F(SEP, "sep", 1, 0, CPUID_EDX, 11)                                                                                 \
    F(MTRR, "mtrr", 1, 0, CPUID_EDX, 12)                                                                               \
    F(PGE, "pge", 1, 0, CPUID_EDX, 13)                                                                                 \
    F(MCA, "mca", 1, 0, CPUID_EDX, 14)                                                                                 \
    F(CMOV, "cmov", 1, 0, CPUID_EDX, 15)                                                                               \
    F(PAT, "pat", 1, 0, CPUID_EDX, 16)                                                                                 \
    F(PSE36, "pse36", 1, 0, CPUID_EDX, 17)                                                                             \
    F(CLFLUSH, "clflush", 1, 0, CPUID_EDX, 19)                                                                         \
    F(MMX, "mmx", 1, 0, CPUID_EDX, 23)                                                                                 \
    F(FXSR, "fxsr", 1, 0, CPUID_EDX, 24)                                                                               \
    F(SSE, "sse", 1, 0, CPUID_EDX, 25)                                                                                 \
    F(SSE2, "sse2", 1, 0, CPUID_EDX, 26)                                                                               \
    F(SS, "ss", 1, 0, CPUID_EDX, 27)                                                                                   \
    F(SSE3, "pni", 1, 0, CPUID_ECX, 0)                                                                                 \
    F(PCLMULQDQ, "pclmulqdq", 1, 0, CPUID_ECX, 1)                                                                      \
    F(MONITOR, "monitor", 1, 0, CPUID_ECX, 3)                                                                          \
    F(SSSE3, "ssse3", 1, 0, CPUID_ECX, 9)                                                                              \
    F(CX16, "cx16", 1, 0, CPUID_ECX, 13)                                                                               \
    F(PCID, "pcid", 1, 0, CPUID_ECX, 17)                                                                               \
    F(SSE41, "sse4.1", 1, 0, CPUID_ECX, 19)                                                                            \
    F(SSE42, "sse4.2", 1, 0, CPUID_ECX, 20)                                                                            \
    F(X2APIC, "x2apic", 1, 0, CPUID_ECX, 21)                                                                           \
    F(MOVBE, "movbe", 1, 0, CPUID_ECX, 22)                                                                             \
    F(POPCNT, "popcnt", 1, 0, CPUID_ECX, 23)                                                                           \
    F(TSC_DEADLINE, "tsc-deadline", 1, 0, CPUID_ECX, 24)                                                               \
    F(AES, "aes", 1, 0, CPUID_ECX, 25)                                                                                 \
    F(XSAVE, "xsave", 1, 0, CPUID_ECX, 26)                                                                             \
    F(RDRAND, "rdrand", 1, 0, CPUID_ECX, 30)                                                                           \
    F(HYPERVISOR, "hypervisor", 1, 0, CPUID_ECX, 31)                                                                   \
    F(ARAT, "arat", 6, 0, CPUID_EAX, 2)                                                                                \
    F(FSGSBASE, "fsgsbase", 7, 0, CPUID_EBX, 0)                                                                        \
    F(TSC_ADJUST, "tsc-adjust", 7, 0, CPUID_EBX, 1)                                                                    \
    F(BMI1, "bmi1", 7, 0, CPUID_EBX, 3)                                                                                \
    F(SMEP, "smep", 7, 0, CPUID_EBX, 7)                                                                                \
    F(BMI2, "bmi2", 7, 0, CPUID_EBX, 8)                                                                                \
    F(ERMS, "erms", 7, 0, CPUID_EBX, 9)                                                                                \
    F(INVPCID, "invpcid", 7, 0, CPUID_EBX, 10)                                                                         \
    F(RDSEED, "rdseed", 7, 0, CPUID_EBX, 18)                                                                           \
    F(ADX, "adx", 7, 0, CPUID_EBX, 19)                                                                                 \
    F(SMAP, "smap", 7, 0, CPUID_EBX, 20)                                                                               \
    F(CLFLUSHOPT, "clflushopt", 7, 0, CPUID_EBX, 23)                                                                   \
    F(CLWB, "clwb", 7, 0, CPUID_EBX, 24)                                                                               \
    F(SHA, "sha-ni", 7, 0, CPUID_EBX, 29)                                                                              \
    F(UMIP, "umip", 7, 0, CPUID_ECX, 2)                                                                                \
    F(RDPID, "rdpid", 7, 0, CPUID_ECX, 22)                                                                             \
    F(FSRM, "fsrm", 7, 0, CPUID_EDX, 4)                                                                                \
    F(SPEC_CTRL, "spec-ctrl", 7, 0, CPUID_EDX, 26)                                                                     \
    F(BHI_CTRL, "bhi-ctrl", 7, 2, CPUID_EDX, 4)                                                                        \
    F(ARCH_CAPABILITIES, "arch-capabilities", 7, 0, CPUID_EDX, 29)                                                     \
    F(XSAVEOPT, "xsaveopt", 0xd, 1, CPUID_EAX, 0)                                                                      \
    F(XSAVEC, "xsavec", 0xd, 1, CPUID_EAX, 1)                                                                          \
    F(XGETBV1, "xgetbv1", 0xd, 1, CPUID_EAX, 2)                                                                        \
    F(LAHF_LM, "lahf-lm", 0x80000001, 0, CPUID_ECX, 0)                                                                 \
    F(LZCNT, "abm", 0x80000001, 0, CPUID_ECX, 5)                                                                       \
    F(PREFETCHW, "3dnowprefetch", 0x80000001, 0, CPUID_ECX, 8)                                                         \
    F(TOPOEXT, "topoext", 0x80000001, 0, CPUID_ECX, 22)                                                                \
    F(SYSCALL, "syscall", 0x80000001, 0, CPUID_EDX, 11)                                                                \
    F(NX, "nx", 0x80000001, 0, CPUID_EDX, 20)                                                                          \
    F(PDPE1GB, "pdpe1gb", 0x80000001, 0, CPUID_EDX, 26)                                                                \
    F(RDTSCP, "rdtscp", 0x80000001, 0, CPUID_EDX, 27)                                                                  \
    F(LM, "lm", 0x80000001, 0, CPUID_EDX, 29)                                                                          \
    F(INVTSC, "invtsc", 0x80000007, 0, CPUID_EDX, 8)                                                                   \
    F(RDPRU, "rdpru", 0x80000008, 0, CPUID_EBX, 4)

#define FEATURE_ENUM(name, option, leaf, subleaf, reg, bit) FEAT_##name,
enum {
    FEAT_BASE, FEAT_I186, FEAT_I286, FEAT_I386, FEAT_I486, FEAT_CPUID, FEAT_SMM, FEAT_NOPL, FEAT_UD0,
    FEATURES(FEATURE_ENUM)
    FEAT_COUNT
};
#undef FEATURE_ENUM

#define FEAT_WORDS ((FEAT_COUNT + 63) / 64)

#endif
