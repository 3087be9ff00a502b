/* The table of registers by name (registers.h). */
#include "cpu/registers_internal.h"

#define ROW(name, group, bits, kind, feature, index)                                                                   \
    { name, REGISTER_##group, bits, REGISTER_WHICH(KIND_##kind, FEAT_##feature), index }

#define EIGHT(row) row(0) row(1) row(2) row(3) row(4) row(5) row(6) row(7)
#define SECOND_EIGHT(row) row(8) row(9) row(10) row(11) row(12) row(13) row(14) row(15)
#define SECOND_SIXTEEN(row)                                                                                            \
    row(16) row(17) row(18) row(19) row(20) row(21) row(22) row(23)                                                    \
    row(24) row(25) row(26) row(27) row(28) row(29) row(30) row(31)

/* 64-bit names are there on every CPU, for layouts that are the same in all modes. */
#define GENERAL(name, n) ROW(name, GENERAL, 64, GPR, BASE, n)
#define GENERAL_NUMBERED(n) ROW("r" #n, GENERAL, 64, GPR, LM, n),
#define PARTS(a, n)                                                                                                    \
    ROW("e" a "x", PART, 32, GPR, BASE, n), ROW(a "x", PART, 16, GPR, BASE, n), ROW(a "l", PART, 8, GPR, BASE, n),     \
    ROW(a "h", PART, 8, GPR, BASE, 16 + n),
#define PARTS_INDEX(a, n)                                                                                              \
    ROW("e" a, PART, 32, GPR, BASE, n), ROW(a, PART, 16, GPR, BASE, n), ROW(a "l", PART, 8, GPR, LM, n),
#define PARTS_NUMBERED(n)                                                                                              \
    ROW("r" #n "d", PART, 32, GPR, LM, n), ROW("r" #n "w", PART, 16, GPR, LM, n), ROW("r" #n "b", PART, 8, GPR, LM, n),

#define SEGMENT(name, feature, seg)                                                                                    \
    ROW(name, SEGMENT, 16, SELECTOR, feature, seg), ROW(name "_base", SEGMENT, 64, BASE, feature, seg),                \
    ROW(name "_limit", SEGMENT, 32, LIMIT, feature, seg), ROW(name "_attr", SEGMENT, 16, ATTR, feature, seg),
#define TABLE(name, n)                                                                                                 \
    ROW(name "_base", SEGMENT, 64, TABLE_BASE, I286, n), ROW(name "_limit", SEGMENT, 16, TABLE_LIMIT, I286, n),

#define DEBUG(n) ROW("dr" #n, DEBUG, 64, DR, I386, n)
#define FPU(name, bits, n) ROW(name, X87, bits, FPU, FPU, FPU_##n)
#define ST(n) ROW("st" #n, X87, 80, ST, FPU, n),
#define MM(n) ROW("mm" #n, X87, 64, MM, MMX, n),
#define XMM(n) ROW("xmm" #n, VECTOR, 128, VECTOR, SSE, n),
#define XMM_LONG(n) ROW("xmm" #n, VECTOR, 128, VECTOR, LM, n),
#define XMM_HIGH(n) ROW("xmm" #n, VECTOR, 128, VECTOR, AVX512F, n),
#define YMM(n) ROW("ymm" #n, VECTOR, 256, VECTOR, AVX, n),
#define YMM_HIGH(n) ROW("ymm" #n, VECTOR, 256, VECTOR, AVX512F, n),
#define ZMM(n) ROW("zmm" #n, VECTOR, 512, VECTOR, AVX512F, n),
#define MASK(n) ROW("k" #n, MASK, 64, MASK, AVX512F, n),
#define MSR(name, n) ROW("msr_" name, MSR, 64, MSR, BASE, n)

static const CpuRegister rows[] = {
    GENERAL("rax", R_AX), GENERAL("rbx", R_BX), GENERAL("rcx", R_CX), GENERAL("rdx", R_DX), GENERAL("rsi", R_SI),
    GENERAL("rdi", R_DI), GENERAL("rbp", R_BP), GENERAL("rsp", R_SP), SECOND_EIGHT(GENERAL_NUMBERED)
    GENERAL("rip", R_IP), ROW("rflags", GENERAL, 64, FLAGS, BASE, 0),

    PARTS("a", R_AX) PARTS("b", R_BX) PARTS("c", R_CX) PARTS("d", R_DX)
    PARTS_INDEX("si", R_SI) PARTS_INDEX("di", R_DI) PARTS_INDEX("bp", R_BP) PARTS_INDEX("sp", R_SP)
    SECOND_EIGHT(PARTS_NUMBERED)
    ROW("eip", PART, 32, GPR, BASE, R_IP), ROW("ip", PART, 16, GPR, BASE, R_IP),
    ROW("eflags", PART, 32, FLAGS, BASE, 0), ROW("flags", PART, 16, FLAGS, BASE, 0),

    SEGMENT("cs", BASE, SEG_CS) SEGMENT("ss", BASE, SEG_SS) SEGMENT("ds", BASE, SEG_DS) SEGMENT("es", BASE, SEG_ES)
    SEGMENT("fs", I386, SEG_FS) SEGMENT("gs", I386, SEG_GS) SEGMENT("ldtr", I286, SEG_LDTR) SEGMENT("tr", I286, SEG_TR)
    TABLE("gdtr", TABLE_GDT) TABLE("idtr", TABLE_IDT)

    ROW("cr0", CONTROL, 64, CR, I286, 0), ROW("cr2", CONTROL, 64, CR, I386, 2), ROW("cr3", CONTROL, 64, CR, I386, 3),
    ROW("cr4", CONTROL, 64, CR, CPUID, 4), ROW("cr8", CONTROL, 64, CR, LM, 8),
    ROW("efer", CONTROL, 64, EFER, CPUID, 0), ROW("xcr0", CONTROL, 64, XCR0, XSAVE, 0),
    ROW("cpl", CONTROL, 8, CPL, BASE, 0), ROW("ssp", CONTROL, 64, SSP, SHSTK, 0),
    ROW("pkru", CONTROL, 32, PKRU, PKU, 0),
    DEBUG(0), DEBUG(1), DEBUG(2), DEBUG(3), DEBUG(6), DEBUG(7),

    EIGHT(ST) FPU("fctrl", 16, CONTROL), FPU("fstat", 16, STATUS), FPU("ftag", 16, TAG),
    FPU("fiseg", 16, IP_SELECTOR), FPU("fioff", 64, IP), FPU("foseg", 16, DP_SELECTOR), FPU("fooff", 64, DP),
    FPU("fop", 16, OPCODE), EIGHT(MM)
    EIGHT(XMM) SECOND_EIGHT(XMM_LONG) SECOND_SIXTEEN(XMM_HIGH)
    ROW("mxcsr", VECTOR, 32, MXCSR, SSE, 0),
    EIGHT(YMM) SECOND_EIGHT(YMM) SECOND_SIXTEEN(YMM_HIGH)
    EIGHT(ZMM) SECOND_EIGHT(ZMM) SECOND_SIXTEEN(ZMM) EIGHT(MASK)

    MSR("tsc", 0x10), MSR("apic_base", 0x1b), MSR("feature_control", 0x3a), MSR("tsc_adjust", 0x3b),
    MSR("spec_ctrl", 0x48), MSR("mtrr_cap", 0xfe), MSR("arch_capabilities", 0x10a), MSR("sysenter_cs", 0x174),
    MSR("sysenter_esp", 0x175), MSR("sysenter_eip", 0x176), MSR("mcg_cap", 0x179), MSR("mcg_status", 0x17a),
    MSR("misc_enable", 0x1a0), MSR("debugctl", 0x1d9), MSR("lastbranch_from", 0x1db), MSR("lastbranch_to", 0x1dc),
    MSR("lastint_from", 0x1dd), MSR("lastint_to", 0x1de), MSR("pat", 0x277), MSR("mtrr_def_type", 0x2ff),
    MSR("u_cet", 0x6a0), MSR("s_cet", 0x6a2), MSR("pl0_ssp", 0x6a4), MSR("pl1_ssp", 0x6a5), MSR("pl2_ssp", 0x6a6),
    MSR("pl3_ssp", 0x6a7), MSR("interrupt_ssp_table", 0x6a8), MSR("tsc_deadline", 0x6e0), MSR("pkrs", 0x6e1),
    MSR("xss", 0xda0), MSR("efer", 0xc0000080), MSR("star", 0xc0000081), MSR("lstar", 0xc0000082),
    MSR("cstar", 0xc0000083), MSR("sfmask", 0xc0000084), MSR("fs_base", 0xc0000100), MSR("gs_base", 0xc0000101),
    MSR("kernel_gs_base", 0xc0000102), MSR("tsc_aux", 0xc0000103), MSR("hwcr", 0xc0010015), MSR("vm_cr", 0xc0010114),
    MSR("vm_hsave_pa", 0xc0010117),
};

const CpuRegister *const cpu_registers = rows;
const unsigned cpu_register_count = G_N_ELEMENTS(rows);
