/*
 * Model-specific registers (SDM vol. 4; AMD APM vol. 2 appendix A; AMD BKDGs for the C001xxxx ones).
 *
 * An MSR is there when the feature or vendor that brings it is; everything else is #GP.  Plain registers are rows of
 * a table (where it is kept, which bits exist, what a value must fulfil); the others are small functions.
 */
#include "core/machine.h"
#include "cpu/cet.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/xsave.h"

uint64_t tsc_read(Cpu *cpu)
{
    _Static_assert(CPU_TSC_HZ == NS_PER_SECOND, "the TSC counts the virtual clock's nanoseconds");
    uint64_t tsc = (uint64_t)clock_now(cpu->machine->clocks, MYNA_CLOCK_VIRTUAL) + cpu->tsc_offset;
    return unlikely(cpu->svm.guest) ? svm_guest_tsc(cpu, tsc) : tsc;
}

/* A write to the TSC moves IA32_TSC_ADJUST by the same amount, and the other way round (SDM vol. 3B 18.17.3). */
static void tsc_move(Cpu *cpu, uint64_t delta)
{
    cpu->tsc_offset += delta;
    cpu->tsc_adjust += delta;
}

/* Special MSRs: one pair of functions for a range of indexes.  false: #GP. */
typedef bool MsrReadFn(Cpu *cpu, uint32_t index, uint64_t *v);
typedef bool MsrWriteFn(Cpu *cpu, uint32_t index, uint64_t v);

static bool read_tsc(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = tsc_read(cpu);
    return true;
}

static bool write_tsc(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    tsc_move(cpu, v - (uint64_t)clock_now(cpu->machine->clocks, MYNA_CLOCK_VIRTUAL) - cpu->tsc_offset);
    return true;
}

static bool read_tsc_adjust(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->tsc_adjust;
    return true;
}

static bool write_tsc_adjust(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    tsc_move(cpu, v - cpu->tsc_adjust);
    return true;
}

/* Through the local interrupt controller, under the machine lock. */
static bool intc_read(Cpu *cpu, uint32_t index, uint64_t *v)
{
    if (!cpu->intc)
        return false;
    machine_lock(cpu->machine);
    bool done = cpu->intc->msr_read(cpu->intc_opaque, index, v);
    machine_unlock(cpu->machine);
    return done;
}

static bool intc_write(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (!cpu->intc)
        return false;
    machine_lock(cpu->machine);
    bool done = cpu->intc->msr_write(cpu->intc_opaque, index, v);
    machine_unlock(cpu->machine);
    return done;
}

/* The controller knows virtual time only; 0 means disarmed on both sides, and a time already past fires at once. */
static bool read_tsc_deadline(Cpu *cpu, uint32_t index, uint64_t *v)
{
    if (!intc_read(cpu, index, v))
        return false;
    if (*v)
        *v += cpu->tsc_offset;
    return true;
}

static bool write_tsc_deadline(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (v) {
        int64_t when = v - cpu->tsc_offset;
        v = when > 0 ? when : 1;
    }
    return intc_write(cpu, index, v);
}

static bool read_apic_base(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    if (!cpu->intc)
        return false;
    machine_lock(cpu->machine);
    *v = cpu->intc->base_read(cpu->intc_opaque);
    machine_unlock(cpu->machine);
    return true;
}

static bool write_apic_base(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    uint64_t reserved = ~bit_mask(cpu->physical_bits) | 0x2ff | (cpu_has(cpu, FEAT_X2APIC) ? 0 : BIT(10));
    if (!cpu->intc || (v & reserved))
        return false;
    machine_lock(cpu->machine);
    bool done = cpu->intc->base_write(cpu->intc_opaque, v);
    if (done)
        cpu_update_intc(cpu);
    machine_unlock(cpu->machine);
    return done;
}

static bool read_efer(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->efer;
    return true;
}

/* LMA cannot be written; LME not while paging is on (SDM vol. 3A 2.2.1, 10.8.5). */
static bool write_efer(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (v & ~efer_allowed(cpu))
        return false;
    if (((v ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    efer_set(cpu, v);
    return true;
}

static bool read_segment_base(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = cpu->seg[index == 0xc0000100 ? SEG_FS : SEG_GS].base;
    return true;
}

static bool write_segment_base(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (!cpu_canonical_register(cpu, v))
        return false;
    unsigned seg = index == 0xc0000100 ? SEG_FS : SEG_GS;
    cpu->seg[seg].base = v;
    cpu_update_segment(cpu, seg);
    return true;
}

/* The rights of supervisor pages' protection keys. */
static bool read_pkrs(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->pkrs;
    return true;
}

static bool write_pkrs(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (v >> 32)
        return false;
    pkrs_set(cpu, v);
    return true;
}

/* CET (SDM vol. 4). */
static bool read_cet(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = index == 0x6a0 ? cpu->u_cet : cpu->s_cet;
    return true;
}

static bool write_cet(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (!cet_control_valid(cpu, v))
        return false;
    *(index == 0x6a0 ? &cpu->u_cet : &cpu->s_cet) = v;
    cpu_update_mode(cpu);
    return true;
}

static uint64_t *ssp_register(Cpu *cpu, uint32_t index)
{
    return index == 0x6a8 ? &cpu->interrupt_ssp_table : &cpu->pl_ssp[index - 0x6a4];
}

static bool read_ssp(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = *ssp_register(cpu, index);
    return index != 0x6a8 || cpu_has(cpu, FEAT_LM);
}

static bool write_ssp(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (index == 0x6a8 ? !cpu_has(cpu, FEAT_LM) || !cpu_canonical_register(cpu, v) : !cet_ssp_valid(cpu, v))
        return false;
    *ssp_register(cpu, index) = v;
    return true;
}

/* Memory types that PAT and MTRRs may name: UC, WC, WT, WP, WB, and in the PAT also UC-. */
static bool memory_type_valid(uint8_t type, bool pat)
{
    return (pat ? 0xf3 : 0x73) >> (type & 7) & 1 && type < 8;
}

static bool memory_types_valid(uint64_t v, bool pat)
{
    for (unsigned k = 0; k < 64; k += 8)
        if (!memory_type_valid(v >> k, pat))
            return false;
    return true;
}

static bool read_pat(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->pat;
    return true;
}

static bool write_pat(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (!memory_types_valid(v, true))
        return false;
    cpu->pat = v;
    return true;
}

static bool read_xss(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->xss;
    return true;
}

static bool write_xss(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (v & ~xss_supported(cpu))
        return false;
    cpu->xss = v;
    return true;
}

/* MTRRs: kept, checked, and without effect, since there is no cache (SDM vol. 3A 12.11). */
#define MTRR_VARIABLE 8u

static uint64_t *mtrr_fixed(Cpu *cpu, uint32_t index)
{
    switch (index) {
    case 0x250: return &cpu->mtrr.fixed[0];
    case 0x258:
    case 0x259: return &cpu->mtrr.fixed[index - 0x258 + 1];
    case 0x268 ... 0x26f: return &cpu->mtrr.fixed[index - 0x268 + 3];
    default: return NULL;
    }
}

static bool read_mtrr_fixed(Cpu *cpu, uint32_t index, uint64_t *v)
{
    const uint64_t *p = mtrr_fixed(cpu, index);
    if (p)
        *v = *p;
    return p != NULL;
}

static bool write_mtrr_fixed(Cpu *cpu, uint32_t index, uint64_t v)
{
    uint64_t *p = mtrr_fixed(cpu, index);
    if (!p || !memory_types_valid(v, false))
        return false;
    *p = v;
    return true;
}

static bool read_mtrr_variable(Cpu *cpu, uint32_t index, uint64_t *v)
{
    unsigned n = (index - 0x200) / 2;
    *v = index & 1 ? cpu->mtrr.mask[n] : cpu->mtrr.base[n];
    return true;
}

static bool write_mtrr_variable(Cpu *cpu, uint32_t index, uint64_t v)
{
    unsigned n = (index - 0x200) / 2;
    uint64_t reserved = ~bit_mask(cpu->physical_bits) | (index & 1 ? 0x7ff : 0xf00);
    if ((v & reserved) || (!(index & 1) && !memory_type_valid(v, false)))
        return false;
    *(index & 1 ? &cpu->mtrr.mask[n] : &cpu->mtrr.base[n]) = v;
    return true;
}

static bool read_mtrr_default(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->mtrr.def_type;
    return true;
}

static bool write_mtrr_default(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if ((v & ~UINT64_C(0xcff)) || !memory_type_valid(v, false))
        return false;
    cpu->mtrr.def_type = v;
    return true;
}

/* MCi_CTL, STATUS, ADDR, MISC of bank i at 400h + 4i (SDM vol. 3B 16.3.2). */
#define MC_BANKS ARRAY_SIZE(((Cpu *)0)->mc_bank)

static bool read_mc_bank(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = cpu->mc_bank[(index - 0x400) / 4][index % 4];
    return true;
}

/*
 * CTL takes all zeros or all ones, but for two bits that firmware and Linux clear alone (bank 0 bit 0, AMD's GART bit
 * 10); STATUS takes 0 only, unless HWCR.McStatusWrEn.
 */
static bool write_mc_bank(Cpu *cpu, uint32_t index, uint64_t v)
{
    if (index % 4 == 0 && v && ~(v | BIT(10) | BIT(0)))
        return false;
    if (index % 4 == 1 && v && !(cpu->model->vendor == VENDOR_AMD && (cpu->hwcr & BIT(18))))
        return false;
    cpu->mc_bank[(index - 0x400) / 4][index % 4] = v;
    return true;
}

/* Performance counters keep what is written and do not count: P6 and AMD K7 forms. */
static uint64_t *perf_register(Cpu *cpu, uint32_t index)
{
    switch (index) {
    case 0xc1 ... 0xc2: return &cpu->perf_ctr[index - 0xc1];
    case 0x186 ... 0x187: return &cpu->perf_evtsel[index - 0x186];
    case 0xc0010000 ... 0xc0010003: return &cpu->perf_evtsel[index - 0xc0010000];
    default: return &cpu->perf_ctr[index - 0xc0010004];
    }
}

static bool read_perf(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = *perf_register(cpu, index);
    return true;
}

static bool write_perf(Cpu *cpu, uint32_t index, uint64_t v)
{
    *perf_register(cpu, index) = v;
    return true;
}

/* IA32_MISC_ENABLE: of the read-only bits, a write may hold anything; all others without meaning are reserved. */
#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(3) | BIT(16) | BIT(18) | BIT(22) | BIT(23) | BIT(34))
#define MISC_ENABLE_READ_ONLY (BIT(7) | BIT(11) | BIT(12))

static bool read_misc_enable(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->misc_enable;
    return true;
}

static bool write_misc_enable(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (v & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY))
        return false;
    cpu->misc_enable = (v & MISC_ENABLE_WRITABLE) | (cpu->misc_enable & MISC_ENABLE_READ_ONLY);
    return true;
}

/* The microcode revision; writing 0 before CPUID, as the manual asks for (SDM vol. 3A 10.11.7.1), changes nothing. */
static bool read_microcode(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->model->vendor == VENDOR_INTEL ? BIT(32) : 0x01000065;
    return true;
}

/*
 * What holds of this CPU (SDM vol. 4, IA32_ARCH_CAPABILITIES).  Nothing here runs ahead of a permission check and
 * leaves traces of what it was not allowed to see, and the guest's indirect branches are looked up by their exact
 * target, so RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO and ITS_NO are true, and the kernel's remedies would only cost
 * time.
 */
#define ARCH_CAPABILITIES                                                                                              \
    (BIT(0) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(20) | BIT(24) | BIT(26) | \
     BIT(27) | BIT(62))

static bool read_arch_capabilities(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = ARCH_CAPABILITIES | (cpu_has(cpu, FEAT_SPEC_CTRL) ? BIT(1) : 0);
    return true;
}

/* IA32_PRED_CMD: only IBPB, which has nothing to do. */
static bool write_pred_cmd(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)cpu;
    (void)index;
    return !(v & ~UINT64_C(1));
}

static bool write_ignored(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)cpu;
    (void)index;
    (void)v;
    return true;
}

static bool read_zero(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)cpu;
    (void)index;
    *v = 0;
    return true;
}

static bool read_mcg_cap(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)cpu;
    (void)index;
    *v = MC_BANKS;
    return true;
}

/* Fixed and variable ranges, and write combining (SDM vol. 3A 12.11.1). */
static bool read_mtrr_cap(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)cpu;
    (void)index;
    *v = MTRR_VARIABLE | BIT(8) | BIT(10);
    return true;
}

/* LBR and BTF; recording branches means going step by step. */
static bool read_debug_ctl(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)index;
    *v = cpu->debug_ctl;
    return true;
}

static bool write_debug_ctl(Cpu *cpu, uint32_t index, uint64_t v)
{
    (void)index;
    if (v & ~UINT64_C(3))
        return false;
    cpu->debug_ctl = v;
    cpu_update_mode(cpu);
    cpu_request_attention(cpu);
    return true;
}

static bool read_branch(Cpu *cpu, uint32_t index, uint64_t *v)
{
    *v = cpu->branch[index - 0x1db];
    return true;
}

/* DE_CFG: LFENCE is dispatch-serialising, which is all of it that software looks at. */
static bool read_de_cfg(Cpu *cpu, uint32_t index, uint64_t *v)
{
    (void)cpu;
    (void)index;
    *v = BIT(1);
    return true;
}

/* Who has an MSR. */
enum { ANY, INTEL, AMD, P6 /* Intel family 6 without architectural counters */ };

typedef struct MsrRange {
    uint32_t first, last;
    uint16_t feature; /* FEAT_BASE: none needed */
    uint8_t who;
    MsrReadFn *read;   /* NULL: write-only */
    MsrWriteFn *write; /* NULL: read-only */
} MsrRange;

/* The busiest come first. */
static const MsrRange ranges[] = {
    { 0x6e0, 0x6e0, FEAT_TSC_DEADLINE, ANY, read_tsc_deadline, write_tsc_deadline },
    { 0x800, 0x8ff, FEAT_X2APIC, ANY, intc_read, intc_write },
    { 0xc0000100, 0xc0000101, FEAT_LM, ANY, read_segment_base, write_segment_base },
    { 0x000, 0x001, FEAT_MCE, INTEL, read_zero, NULL }, /* P5_MC_ADDR, P5_MC_TYPE */
    { 0x010, 0x010, FEAT_TSC, ANY, read_tsc, write_tsc },
    { 0x017, 0x017, FEAT_BASE, INTEL, read_zero, NULL }, /* PLATFORM_ID */
    { 0x01b, 0x01b, FEAT_APIC, ANY, read_apic_base, write_apic_base },
    { 0x02a, 0x02a, FEAT_BASE, INTEL, read_zero, write_ignored }, /* EBL_CR_POWERON */
    { 0x02f, 0x02f, FEAT_MSRLIST, ANY, read_zero, NULL }, /* IA32_BARRIER */
    { 0x03b, 0x03b, FEAT_TSC_ADJUST, ANY, read_tsc_adjust, write_tsc_adjust },
    { 0x049, 0x049, FEAT_SPEC_CTRL, ANY, NULL, write_pred_cmd },
    { 0x079, 0x079, FEAT_BASE, INTEL, NULL, write_ignored }, /* BIOS_UPDT_TRIG */
    { 0x08b, 0x08b, FEAT_BASE, ANY, read_microcode, write_ignored },
    { 0x0c1, 0x0c2, FEAT_MMX, P6, read_perf, write_perf },
    { 0x0fe, 0x0fe, FEAT_MTRR, ANY, read_mtrr_cap, NULL },
    { 0x10a, 0x10a, FEAT_ARCH_CAPABILITIES, ANY, read_arch_capabilities, NULL },
    { 0x179, 0x179, FEAT_MCA, ANY, read_mcg_cap, NULL },
    { 0x186, 0x187, FEAT_MMX, P6, read_perf, write_perf },
    { 0x1a0, 0x1a0, FEAT_BASE, INTEL, read_misc_enable, write_misc_enable },
    { 0x1d9, 0x1d9, FEAT_BASE, ANY, read_debug_ctl, write_debug_ctl },
    { 0x1db, 0x1de, FEAT_BASE, ANY, read_branch, NULL }, /* last branch, and the one before the last exception */
    { 0x200, 0x200 + MTRR_VARIABLE * 2 - 1, FEAT_MTRR, ANY, read_mtrr_variable, write_mtrr_variable },
    { 0x250, 0x26f, FEAT_MTRR, ANY, read_mtrr_fixed, write_mtrr_fixed },
    { 0x277, 0x277, FEAT_PAT, ANY, read_pat, write_pat },
    { 0x2ff, 0x2ff, FEAT_MTRR, ANY, read_mtrr_default, write_mtrr_default },
    { 0x6a0, 0x6a0, FEAT_SHSTK, ANY, read_cet, write_cet },
    { 0x6a0, 0x6a0, FEAT_IBT, ANY, read_cet, write_cet },
    { 0x6a2, 0x6a2, FEAT_SHSTK, ANY, read_cet, write_cet },
    { 0x6a2, 0x6a2, FEAT_IBT, ANY, read_cet, write_cet },
    { 0x6a4, 0x6a8, FEAT_SHSTK, ANY, read_ssp, write_ssp },
    { 0x6e1, 0x6e1, FEAT_PKS, ANY, read_pkrs, write_pkrs },
    { 0x400, 0x400 + MC_BANKS * 4 - 1, FEAT_MCA, ANY, read_mc_bank, write_mc_bank },
    { 0xda0, 0xda0, FEAT_XSAVES, ANY, read_xss, write_xss },
    { 0xc0000080, 0xc0000080, FEAT_NX, ANY, read_efer, write_efer },
    { 0xc0000080, 0xc0000080, FEAT_SYSCALL, ANY, read_efer, write_efer },
    { 0xc0000080, 0xc0000080, FEAT_LM, ANY, read_efer, write_efer },
    { 0xc0010000, 0xc0010007, FEAT_BASE, AMD, read_perf, write_perf },
    { 0xc0010010, 0xc0010010, FEAT_BASE, AMD, read_zero, write_ignored }, /* SYSCFG */
    { 0xc0010016, 0xc001001a, FEAT_BASE, AMD, read_zero, write_ignored }, /* IORRs, TOP_MEM */
    { 0xc001001d, 0xc001001d, FEAT_BASE, AMD, read_zero, write_ignored }, /* TOP_MEM2 */
    { 0xc001001f, 0xc001001f, FEAT_BASE, AMD, read_zero, write_ignored }, /* NB_CFG */
    { 0xc0010020, 0xc0010020, FEAT_BASE, AMD, NULL, write_ignored }, /* PATCH_LOADER */
    { 0xc0010055, 0xc0010055, FEAT_BASE, AMD, read_zero, write_ignored }, /* interrupt pending message */
    { 0xc0000104, 0xc0000104, FEAT_TSC_SCALE, ANY, svm_msr_read, svm_msr_write },
    { 0xc0010114, 0xc0010114, FEAT_SVM, ANY, svm_msr_read, svm_msr_write },
    { 0xc0010114, 0xc0010114, FEAT_BASE, AMD, svm_msr_read, NULL },
    { 0xc0010117, 0xc0010117, FEAT_SVM, ANY, svm_msr_read, svm_msr_write },
    { 0xc0011020, 0xc0011023, FEAT_BASE, AMD, read_zero, write_ignored }, /* LS_CFG, IC_CFG, DC_CFG, BU_CFG */
    { 0xc0011029, 0xc0011029, FEAT_BASE, AMD, read_de_cfg, write_ignored },
    { 0xc001102a, 0xc001102a, FEAT_BASE, AMD, read_zero, write_ignored }, /* BU_CFG2 */
};

/* What a plain register does with a value. */
enum Rule {
    STORE,     /* bits outside the mask: #GP */
    TRUNCATE,  /* bits outside the mask are dropped */
    CANONICAL, /* a linear address: #GP when not canonical */
    LINEAR,    /* the same on Intel; AMD stores anything (32-bit use only) */
    LOCKED,    /* read-only once bit 0 is set */
};

typedef struct PlainMsr {
    uint32_t index;
    uint16_t feature;
    uint8_t who;
    uint8_t rule;
    size_t offset; /* of a uint64_t in Cpu */
    uint64_t mask;
} PlainMsr;

#define AT(field) offsetof(Cpu, field)
static const PlainMsr plain[] = {
    { 0x03a, FEAT_BASE, INTEL, LOCKED, AT(feature_control), 1 },
    { 0x048, FEAT_SPEC_CTRL, ANY, STORE, AT(spec_ctrl), 1 | BIT(10) /* IBRS, BHI_DIS_S */ },
    { 0x0e1, FEAT_WAITPKG, ANY, STORE, AT(umwait_control), 0xfffffffd },
    { 0x174, FEAT_SEP, ANY, TRUNCATE, AT(sysenter_cs), 0xffffffff },
    { 0x175, FEAT_SEP, ANY, LINEAR, AT(sysenter_esp), ~UINT64_C(0) },
    { 0x176, FEAT_SEP, ANY, LINEAR, AT(sysenter_eip), ~UINT64_C(0) },
    { 0x17a, FEAT_MCA, ANY, STORE, AT(mcg_status), 7 },
    { 0xc0000081, FEAT_SYSCALL, ANY, STORE, AT(star), ~UINT64_C(0) },
    { 0xc0000082, FEAT_LM, ANY, CANONICAL, AT(lstar), ~UINT64_C(0) },
    { 0xc0000083, FEAT_LM, ANY, CANONICAL, AT(cstar), ~UINT64_C(0) },
    { 0xc0000084, FEAT_LM, ANY, TRUNCATE, AT(sfmask), 0xffffffff },
    { 0xc0000102, FEAT_LM, ANY, CANONICAL, AT(kernel_gs_base), ~UINT64_C(0) },
    { 0xc0000103, FEAT_RDTSCP, AMD, TRUNCATE, AT(tsc_aux), 0xffffffff },
    { 0xc0000103, FEAT_RDTSCP, ANY, STORE, AT(tsc_aux), 0xffffffff },
    { 0xc0000103, FEAT_RDPID, ANY, STORE, AT(tsc_aux), 0xffffffff },
    { 0xc0010015, FEAT_BASE, AMD, STORE, AT(hwcr), ~UINT64_C(0) },
};

static bool is_there(const Cpu *cpu, uint16_t feature, uint8_t who)
{
    const CpuModel *m = cpu->model;
    if (feature != FEAT_BASE && !cpu_has(cpu, feature))
        return false;
    switch (who) {
    case INTEL: return m->vendor == VENDOR_INTEL;
    case AMD: return m->vendor == VENDOR_AMD;
    case P6: return m->vendor == VENDOR_INTEL && m->family == 6 && m->level < 10;
    default: return true;
    }
}

static const PlainMsr *find_plain(const Cpu *cpu, uint32_t index)
{
    for (unsigned k = 0; k < ARRAY_SIZE(plain); k++)
        if (plain[k].index == index && is_there(cpu, plain[k].feature, plain[k].who))
            return &plain[k];
    return NULL;
}

static const MsrRange *find_range(const Cpu *cpu, uint32_t index)
{
    for (unsigned k = 0; k < ARRAY_SIZE(ranges); k++)
        if (index - ranges[k].first <= ranges[k].last - ranges[k].first && index >= ranges[k].first &&
            is_there(cpu, ranges[k].feature, ranges[k].who))
            return &ranges[k];
    return NULL;
}

static bool write_plain(Cpu *cpu, const PlainMsr *m, uint64_t v)
{
    uint64_t *p = (uint64_t *)((char *)cpu + m->offset);
    bool linear = m->rule == CANONICAL || (m->rule == LINEAR && cpu->model->vendor != VENDOR_AMD);
    if (linear && cpu_has(cpu, FEAT_LM) && !cpu_canonical_register(cpu, v))
        return false;
    if (m->rule == LOCKED && (*p & 1))
        return false;
    if (m->rule == TRUNCATE)
        v &= m->mask;
    if (v & ~m->mask)
        return false;
    *p = v;
    return true;
}

bool msr_read(Cpu *cpu, uint32_t index, uint64_t *v)
{
    const MsrRange *r = find_range(cpu, index);
    if (r)
        return r->read && r->read(cpu, index, v);
    const PlainMsr *m = find_plain(cpu, index);
    if (m)
        *v = *(const uint64_t *)((const char *)cpu + m->offset);
    return m != NULL;
}

bool msr_write(Cpu *cpu, uint32_t index, uint64_t v)
{
    const MsrRange *r = find_range(cpu, index);
    if (r)
        return r->write && r->write(cpu, index, v);
    const PlainMsr *m = find_plain(cpu, index);
    return m && write_plain(cpu, m, v);
}
