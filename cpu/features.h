/*
 * CPUID features.  FEATURES() lists each once: name in our code, name for `-cpu ...,+name`, and where CPUID reports it
 * (leaf, subleaf, register, bit).  Rows of the instruction table name the feature that they need; BASE is what the
 * 8086 has, I186 to I486 stand for the generations that CPUID does not tell apart, MMX2 for either of SSE and MMXEXT.
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
    F(VMX, "vmx", 1, 0, CPUID_ECX, 5)                                                                                  \
    F(SSSE3, "ssse3", 1, 0, CPUID_ECX, 9)                                                                              \
    F(FMA, "fma", 1, 0, CPUID_ECX, 12)                                                                                 \
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
    F(AVX, "avx", 1, 0, CPUID_ECX, 28)                                                                                 \
    F(F16C, "f16c", 1, 0, CPUID_ECX, 29)                                                                               \
    F(RDRAND, "rdrand", 1, 0, CPUID_ECX, 30)                                                                           \
    F(HYPERVISOR, "hypervisor", 1, 0, CPUID_ECX, 31)                                                                   \
    F(ARAT, "arat", 6, 0, CPUID_EAX, 2)                                                                                \
    F(FSGSBASE, "fsgsbase", 7, 0, CPUID_EBX, 0)                                                                        \
    F(TSC_ADJUST, "tsc-adjust", 7, 0, CPUID_EBX, 1)                                                                    \
    F(BMI1, "bmi1", 7, 0, CPUID_EBX, 3)                                                                                \
    F(AVX2, "avx2", 7, 0, CPUID_EBX, 5)                                                                                \
    F(SMEP, "smep", 7, 0, CPUID_EBX, 7)                                                                                \
    F(BMI2, "bmi2", 7, 0, CPUID_EBX, 8)                                                                                \
    F(ERMS, "erms", 7, 0, CPUID_EBX, 9)                                                                                \
    F(INVPCID, "invpcid", 7, 0, CPUID_EBX, 10)                                                                         \
    F(AVX512F, "avx512f", 7, 0, CPUID_EBX, 16)                                                                         \
    F(AVX512DQ, "avx512dq", 7, 0, CPUID_EBX, 17)                                                                       \
    F(RDSEED, "rdseed", 7, 0, CPUID_EBX, 18)                                                                           \
    F(ADX, "adx", 7, 0, CPUID_EBX, 19)                                                                                 \
    F(SMAP, "smap", 7, 0, CPUID_EBX, 20)                                                                               \
    F(AVX512IFMA, "avx512ifma", 7, 0, CPUID_EBX, 21)                                                                   \
    F(CLFLUSHOPT, "clflushopt", 7, 0, CPUID_EBX, 23)                                                                   \
    F(CLWB, "clwb", 7, 0, CPUID_EBX, 24)                                                                               \
    F(AVX512CD, "avx512cd", 7, 0, CPUID_EBX, 28)                                                                       \
    F(SHA, "sha-ni", 7, 0, CPUID_EBX, 29)                                                                              \
    F(AVX512BW, "avx512bw", 7, 0, CPUID_EBX, 30)                                                                       \
    F(AVX512VL, "avx512vl", 7, 0, CPUID_EBX, 31)                                                                       \
    F(AVX512VBMI, "avx512vbmi", 7, 0, CPUID_ECX, 1)                                                                    \
    F(UMIP, "umip", 7, 0, CPUID_ECX, 2)                                                                                \
    F(PKU, "pku", 7, 0, CPUID_ECX, 3)                                                                                  \
    F(WAITPKG, "waitpkg", 7, 0, CPUID_ECX, 5)                                                                          \
    F(AVX512VBMI2, "avx512vbmi2", 7, 0, CPUID_ECX, 6)                                                                  \
    F(SHSTK, "shstk", 7, 0, CPUID_ECX, 7)                                                                              \
    F(GFNI, "gfni", 7, 0, CPUID_ECX, 8)                                                                                \
    F(VAES, "vaes", 7, 0, CPUID_ECX, 9)                                                                                \
    F(VPCLMULQDQ, "vpclmulqdq", 7, 0, CPUID_ECX, 10)                                                                   \
    F(AVX512VNNI, "avx512vnni", 7, 0, CPUID_ECX, 11)                                                                   \
    F(AVX512BITALG, "avx512bitalg", 7, 0, CPUID_ECX, 12)                                                               \
    F(AVX512VPOPCNTDQ, "avx512-vpopcntdq", 7, 0, CPUID_ECX, 14)                                                        \
    F(LA57, "la57", 7, 0, CPUID_ECX, 16)                                                                               \
    F(RDPID, "rdpid", 7, 0, CPUID_ECX, 22)                                                                             \
    F(MOVDIRI, "movdiri", 7, 0, CPUID_ECX, 27)                                                                         \
    F(MOVDIR64B, "movdir64b", 7, 0, CPUID_ECX, 28)                                                                     \
    F(PKS, "pks", 7, 0, CPUID_ECX, 31)                                                                                 \
    F(FSRM, "fsrm", 7, 0, CPUID_EDX, 4)                                                                                \
    F(AVX512VP2INTERSECT, "avx512-vp2intersect", 7, 0, CPUID_EDX, 8)                                                   \
    F(SERIALIZE, "serialize", 7, 0, CPUID_EDX, 14)                                                                     \
    F(IBT, "ibt", 7, 0, CPUID_EDX, 20)                                                                                 \
    F(AVX512FP16, "avx512-fp16", 7, 0, CPUID_EDX, 23)                                                                  \
    F(SPEC_CTRL, "spec-ctrl", 7, 0, CPUID_EDX, 26)                                                                     \
    F(ARCH_CAPABILITIES, "arch-capabilities", 7, 0, CPUID_EDX, 29)                                                     \
    F(SHA512, "sha512", 7, 1, CPUID_EAX, 0)                                                                            \
    F(SM3, "sm3", 7, 1, CPUID_EAX, 1)                                                                                  \
    F(SM4, "sm4", 7, 1, CPUID_EAX, 2)                                                                                  \
    F(AVXVNNI, "avx-vnni", 7, 1, CPUID_EAX, 4)                                                                         \
    F(AVX512BF16, "avx512-bf16", 7, 1, CPUID_EAX, 5)                                                                   \
    F(CMPCCXADD, "cmpccxadd", 7, 1, CPUID_EAX, 7)                                                                      \
    F(WRMSRNS, "wrmsrns", 7, 1, CPUID_EAX, 19)                                                                         \
    F(AVXIFMA, "avx-ifma", 7, 1, CPUID_EAX, 23)                                                                        \
    F(MSRLIST, "msrlist", 7, 1, CPUID_EAX, 27)                                                                         \
    F(AVXVNNIINT8, "avx-vnni-int8", 7, 1, CPUID_EDX, 4)                                                                \
    F(AVXNECONVERT, "avx-ne-convert", 7, 1, CPUID_EDX, 5)                                                              \
    F(AVXVNNIINT16, "avx-vnni-int16", 7, 1, CPUID_EDX, 10)                                                             \
    F(BHI_CTRL, "bhi-ctrl", 7, 2, CPUID_EDX, 4)                                                                        \
    F(XSAVEOPT, "xsaveopt", 0xd, 1, CPUID_EAX, 0)                                                                      \
    F(XSAVEC, "xsavec", 0xd, 1, CPUID_EAX, 1)                                                                          \
    F(XGETBV1, "xgetbv1", 0xd, 1, CPUID_EAX, 2)                                                                        \
    F(XSAVES, "xsaves", 0xd, 1, CPUID_EAX, 3)                                                                          \
    F(LAHF_LM, "lahf-lm", 0x80000001, 0, CPUID_ECX, 0)                                                                 \
    F(SVM, "svm", 0x80000001, 0, CPUID_ECX, 2)                                                                         \
    F(LZCNT, "abm", 0x80000001, 0, CPUID_ECX, 5)                                                                       \
    F(SSE4A, "sse4a", 0x80000001, 0, CPUID_ECX, 6)                                                                     \
    F(MISALIGNSSE, "misalignsse", 0x80000001, 0, CPUID_ECX, 7)                                                         \
    F(PREFETCHW, "3dnowprefetch", 0x80000001, 0, CPUID_ECX, 8)                                                         \
    F(XOP, "xop", 0x80000001, 0, CPUID_ECX, 11)                                                                        \
    F(FMA4, "fma4", 0x80000001, 0, CPUID_ECX, 16)                                                                      \
    F(TBM, "tbm", 0x80000001, 0, CPUID_ECX, 21)                                                                        \
    F(TOPOEXT, "topoext", 0x80000001, 0, CPUID_ECX, 22)                                                                \
    F(MONITORX, "monitorx", 0x80000001, 0, CPUID_ECX, 29)                                                              \
    F(SYSCALL, "syscall", 0x80000001, 0, CPUID_EDX, 11)                                                                \
    F(NX, "nx", 0x80000001, 0, CPUID_EDX, 20)                                                                          \
    F(MMXEXT, "mmxext", 0x80000001, 0, CPUID_EDX, 22)                                                                  \
    F(FXSR_OPT, "fxsr-opt", 0x80000001, 0, CPUID_EDX, 25)                                                              \
    F(PDPE1GB, "pdpe1gb", 0x80000001, 0, CPUID_EDX, 26)                                                                \
    F(RDTSCP, "rdtscp", 0x80000001, 0, CPUID_EDX, 27)                                                                  \
    F(LM, "lm", 0x80000001, 0, CPUID_EDX, 29)                                                                          \
    F(3DNOWEXT, "3dnowext", 0x80000001, 0, CPUID_EDX, 30)                                                              \
    F(3DNOW, "3dnow", 0x80000001, 0, CPUID_EDX, 31)                                                                    \
    F(INVTSC, "invtsc", 0x80000007, 0, CPUID_EDX, 8)                                                                   \
    F(CLZERO, "clzero", 0x80000008, 0, CPUID_EBX, 0)                                                                   \
    F(XSAVEERPTR, "xsaveerptr", 0x80000008, 0, CPUID_EBX, 2)                                                           \
    F(RDPRU, "rdpru", 0x80000008, 0, CPUID_EBX, 4)                                                                     \
    F(WBNOINVD, "wbnoinvd", 0x80000008, 0, CPUID_EBX, 9)                                                               \
    F(NPT, "npt", 0x8000000a, 0, CPUID_EDX, 0)                                                                         \
    F(LBRV, "lbrv", 0x8000000a, 0, CPUID_EDX, 1)                                                                       \
    F(SVM_LOCK, "svm-lock", 0x8000000a, 0, CPUID_EDX, 2)                                                               \
    F(NRIP_SAVE, "nrip-save", 0x8000000a, 0, CPUID_EDX, 3)                                                             \
    F(TSC_SCALE, "tsc-scale", 0x8000000a, 0, CPUID_EDX, 4)                                                             \
    F(VMCB_CLEAN, "vmcb-clean", 0x8000000a, 0, CPUID_EDX, 5)                                                           \
    F(FLUSHBYASID, "flushbyasid", 0x8000000a, 0, CPUID_EDX, 6)                                                         \
    F(DECODEASSISTS, "decodeassists", 0x8000000a, 0, CPUID_EDX, 7)                                                     \
    F(PAUSEFILTER, "pause-filter", 0x8000000a, 0, CPUID_EDX, 10)                                                       \
    F(PFTHRESHOLD, "pfthreshold", 0x8000000a, 0, CPUID_EDX, 12)                                                        \
    F(AVIC, "avic", 0x8000000a, 0, CPUID_EDX, 13)                                                                      \
    F(V_VMSAVE_VMLOAD, "v-vmsave-vmload", 0x8000000a, 0, CPUID_EDX, 15)                                                \
    F(VGIF, "vgif", 0x8000000a, 0, CPUID_EDX, 16)                                                                      \
    F(VNMI, "vnmi", 0x8000000a, 0, CPUID_EDX, 25)

#define FEATURE_ENUM(name, option, leaf, subleaf, reg, bit) FEAT_##name,
enum {
    FEAT_BASE, FEAT_I186, FEAT_I286, FEAT_I386, FEAT_I387, FEAT_I486, FEAT_CPUID, FEAT_SMM, FEAT_NOPL, FEAT_UD0,
    FEAT_MMX2,
    /* What only old processors have (table/old.def).  ESC: x87 opcodes that mean nothing are ignored. */
    FEAT_ONLY_8086, FEAT_UNTIL_186, FEAT_UNTIL_286, FEAT_ONLY_286, FEAT_NO_CPUID, FEAT_ESC, FEAT_NO_FPU,
    FEATURES(FEATURE_ENUM)
    FEAT_COUNT
};
#undef FEATURE_ENUM

#define FEAT_WORDS ((FEAT_COUNT + 63) / 64)

#endif
