/*
 * The state of one x86 CPU, shared by all engines (interpreter, recompiler, KVM).
 *
 * Architectural registers come first; then values derived from them, which cpu_update_mode() recomputes after any
 * change to CR0, CR4, EFER, EFLAGS.VM/AC, CS, SS or another segment; then what the engines keep.  All of it belongs
 * to the thread that runs the CPU, except the fields marked "atomic".
 */
#ifndef MYNA_CPU_STATE_H
#define MYNA_CPU_STATE_H

#include <glib.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu/features.h"
#include "cpu/insn.h"
#include "cpu/tlb.h"
#include "util/bits.h"

typedef struct Machine Machine;
typedef struct CpuModel CpuModel;
typedef struct CodeCache CodeCache;
typedef struct CpuGroup CpuGroup;

enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15 };

/* In the order of their encoding; SEG_LDTR and SEG_TR are kept in the same form. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* Segment attributes, as bits 8..15 and 20..23 of a descriptor's second word (SDM vol. 3A 3.4.5), shifted to bit 0. */
enum {
    SA_TYPE = 0xf, SA_ACCESSED = 0x1, SA_WRITABLE = 0x2 /* code: readable */, SA_DOWN = 0x4 /* code: conforming */,
    SA_CODE = 0x8, SA_S = 0x10, SA_DPL_SHIFT = 5, SA_DPL = 0x60, SA_P = 0x80,
    SA_AVL = 0x1000, SA_L = 0x2000, SA_DB = 0x4000, SA_G = 0x8000,
};

/* A segment register with its descriptor cache. */
typedef struct Segment {
    uint64_t base;
    uint32_t limit;  /* in bytes, G applied */
    uint16_t sel;
    uint16_t attr;   /* SA_*; SA_P clear: unusable (a null selector) */
} Segment;

typedef struct TablePtr {
    uint64_t base;
    uint32_t limit;
} TablePtr;

/* x87 extended precision: sign and exponent as in memory. */
typedef struct Float80 {
    uint64_t mant;
    uint16_t sexp;
} Float80;

/*
 * A vector register, in host order by quadwords: q[0] is bits 63:0.  Narrower lanes go through VEC_B, VEC_W and VEC_D,
 * which give the architectural lane on hosts of either byte order.
 */
typedef union Vec {
    uint64_t q[8];
    uint32_t d[16];
    uint16_t w[32];
    uint8_t b[64];
    double f64[8];
    float f32[16];
} __attribute__((aligned(64))) Vec;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define VEC_B(v, i) ((v).b[(i) ^ 7])
#define VEC_W(v, i) ((v).w[(i) ^ 3])
#define VEC_D(v, i) ((v).d[(i) ^ 1])
#define VEC_F32(v, i) ((v).f32[(i) ^ 1])
#else
#define VEC_B(v, i) ((v).b[i])
#define VEC_W(v, i) ((v).w[i])
#define VEC_D(v, i) ((v).d[i])
#define VEC_F32(v, i) ((v).f32[i])
#endif
#define VEC_Q(v, i) ((v).q[i])

/* x87 state; MMX register n is fpr[n].mant (physical, TOP does not matter). */
typedef struct Fpu {
    Float80 reg[8];    /* physical registers R0..R7 */
    uint16_t control;  /* FCW */
    uint16_t status;   /* FSW without TOP (bits 13:11 are 0) */
    uint8_t top;       /* 0..7 */
    uint8_t tags;      /* bit n: R n is not empty (the abridged tag word of FXSAVE) */
    uint16_t opcode;   /* FOP, 11 bits */
    uint64_t ip, dp;   /* FIP, FDP */
    uint16_t cs, ds;   /* FCS, FDS */
} Fpu;

enum { /* CR0 */
    CR0_PE = 1u << 0, CR0_MP = 1u << 1, CR0_EM = 1u << 2, CR0_TS = 1u << 3, CR0_ET = 1u << 4, CR0_NE = 1u << 5,
    CR0_WP = 1u << 16, CR0_AM = 1u << 18, CR0_NW = 1u << 29, CR0_CD = 1u << 30, CR0_PG = 1u << 31,
};
enum { /* CR4 */
    CR4_VME = 1u << 0, CR4_PVI = 1u << 1, CR4_TSD = 1u << 2, CR4_DE = 1u << 3, CR4_PSE = 1u << 4, CR4_PAE = 1u << 5,
    CR4_MCE = 1u << 6, CR4_PGE = 1u << 7, CR4_PCE = 1u << 8, CR4_OSFXSR = 1u << 9, CR4_OSXMMEXCPT = 1u << 10,
    CR4_UMIP = 1u << 11, CR4_LA57 = 1u << 12, CR4_VMXE = 1u << 13, CR4_SMXE = 1u << 14, CR4_FSGSBASE = 1u << 16,
    CR4_PCIDE = 1u << 17, CR4_OSXSAVE = 1u << 18, CR4_SMEP = 1u << 20, CR4_SMAP = 1u << 21, CR4_PKE = 1u << 22,
    CR4_CET = 1u << 23, CR4_PKS = 1u << 24,
};
enum { /* EFER */
    EFER_SCE = 1u << 0, EFER_LME = 1u << 8, EFER_LMA = 1u << 10, EFER_NXE = 1u << 11, EFER_SVME = 1u << 12,
    EFER_LMSLE = 1u << 13, EFER_FFXSR = 1u << 14,
};
enum { /* IA32_U_CET, IA32_S_CET; above them, the base of the legacy code page bitmap */
    CET_SH_STK_EN = 1 << 0, CET_WR_SHSTK_EN = 1 << 1, CET_ENDBR_EN = 1 << 2, CET_LEG_IW_EN = 1 << 3,
    CET_NO_TRACK_EN = 1 << 4, CET_SUPPRESS_DIS = 1 << 5, CET_SUPPRESS = 1 << 10, CET_TRACKER = 1 << 11,
};
enum { /* XCR0 and IA32_XSS: state components, SDM vol. 1 13.1 */
    XCR0_X87 = 1 << 0, XCR0_SSE = 1 << 1, XCR0_AVX = 1 << 2, XCR0_OPMASK = 1 << 5, XCR0_ZMM_HIGH = 1 << 6,
    XCR0_HIGH_ZMM = 1 << 7, XCR0_PKRU = 1 << 9, XSS_CET_USER = 1 << 11, XSS_CET_SUPERVISOR = 1 << 12,
    XCR0_AVX_STATE = XCR0_SSE | XCR0_AVX,
    XCR0_AVX512_STATE = XCR0_AVX_STATE | XCR0_OPMASK | XCR0_ZMM_HIGH | XCR0_HIGH_ZMM,
};
enum { /* EFLAGS above the arithmetic ones (F_* in insn.h) */
    EFLAGS_FIXED = 0x2, EFLAGS_IOPL_SHIFT = 12, EFLAGS_IOPL = 0x3000, EFLAGS_NT = 1 << 14, EFLAGS_RF = 1 << 16,
    EFLAGS_VM = 1 << 17, EFLAGS_AC = 1 << 18, EFLAGS_VIF = 1 << 19, EFLAGS_VIP = 1 << 20, EFLAGS_ID = 1 << 21,
};

/* Pending events, bits of Cpu.events. */
enum {
    EVENT_INTR = 1 << 0,     /* level of the INTR line (PIC or local APIC) */
    EVENT_NMI = 1 << 1,
    EVENT_SMI = 1 << 2,
    EVENT_INIT = 1 << 3,
    EVENT_SIPI = 1 << 4,     /* vector in Cpu.sipi_vector */
    EVENT_RESET = 1 << 5,
    EVENT_STOP = 1 << 6,     /* leave the run loop: the machine is paused or a debugger wants in */
    EVENT_MEMORY = 1 << 7,   /* the memory map or dirty tracking changed: drop the TLB */
    EVENT_CODE = 1 << 8,     /* another thread wrote to pages that hold code, or made a page code (group.h) */
    EVENT_POWER_OFF = 1 << 9,
    EVENT_NMI_2 = 1 << 10,   /* a second one: while none is being handled, two can be told apart */
    EVENT_VIRTUAL = 1 << 11, /* the VMCB has a virtual interrupt or NMI for the guest (svm.h) */
    EVENT_HOLD = 1 << 12,    /* a debugger holds this CPU alone: it stays in the run loop and executes nothing */
    EVENT_SAMPLE = 1 << 13,  /* a profile wants to know where the CPU is (trace.h) */
};

/* Interrupt shadows, bits of Cpu.shadow: in force for the one instruction that follows. */
enum { SHADOW_STI = 1, SHADOW_SS = 2 };

/* Why the run loop goes one instruction at a time, bits of Cpu.step_mode. */
enum {
    STEP_TF = 1,      /* EFLAGS.TF: #DB after each */
    STEP_RF = 2,      /* EFLAGS.RF: cleared after one */
    STEP_CODE_BP = 4, /* DR7 holds an enabled instruction breakpoint */
    STEP_LOG = 8,     /* -d exec or cpu: a line for each block */
    STEP_BRANCH = 16, /* DebugCtl.LBR: branches are recorded */
    STEP_IBT = 32,    /* the next instruction must be ENDBRANCH (cet.h) */
    STEP_DEBUG = 64,  /* a debugger counts instructions, or has one pass its mark (stops.h) */
    STEP_TRACE = 128, /* a trace or a profile by instructions (trace.h) */
};

enum { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN };

typedef struct MtrrState {
    uint64_t def_type, fixed[11], base[10], mask[10];
} MtrrState;

/* What VMRUN keeps of the host, for #VMEXIT to load again (AMD APM vol. 2 15.5.1). */
typedef struct SvmHost {
    Segment seg[4];          /* ES, CS, SS, DS */
    TablePtr gdtr, idtr;
    uint64_t cr0, cr3, cr4, efer, rip, rsp, rax, pat, debug_ctl, branch[4], cet[3];
    uint32_t eflags;
} SvmHost;

/* A guest-physical page translated, valid in one epoch of SvmState. */
typedef struct NestedEntry {
    uint64_t gpa, epoch, spa;
    bool write, exec;
} NestedEntry;
#define NESTED_TLB_SIZE 256

/* Secure virtual machines: svm.h. */
typedef struct SvmState {
    bool guest;              /* between VMRUN and #VMEXIT */
    bool nested;             /* there, with nested paging */
    bool gif;                /* the global interrupt flag */
    bool guest_in_smm;       /* SMM was entered from a guest, and RSM goes back to it */
    uint64_t vm_cr, hsave_pa, tsc_ratio; /* MSRs */
    /* Of the control area while a guest runs (svm_vmcb.h): */
    uint64_t vmcb;           /* where it is */
    uint32_t intercept[6];
    uint64_t iopm, msrpm, tsc_offset, nested_cr3;
    uint32_t asid, int_ctl, virt_ext;
    uint8_t int_vector;
    bool nested_enabled;
    uint16_t pause_count, pause_threshold, pauses_left;
    uint64_t last_pause;
    uint64_t event;          /* that is being delivered, in the form of EXITINTINFO; 0: none */
    SvmHost host;
    /* A change of worlds on the way to the run loop (svm_switch), never pending between instructions. */
    struct {
        uint8_t kind;        /* SVM_SWITCH_* */
        uint64_t code, info1, info2, next_rip;
    } change;
    bool looking;            /* a debugger's walk: fails quietly, and leaves no traces */
    struct SvmTables {       /* what a guest's translations depend on, at the last #VMEXIT */
        uint64_t vmcb, cr0, cr3, cr4, efer, nested_cr3, host_cr4, host_efer, asid, valid;
    } tables;
    uint64_t nested_epoch;
    NestedEntry nested_tlb[NESTED_TLB_SIZE];
} SvmState;

/* Blocks by linear address: valid while `tag` is the CPU's jump_tag.  Recompiled code reads it too. */
#define JUMP_CACHE_BITS 14
#define JUMP_CACHE_SIZE (1u << JUMP_CACHE_BITS)
typedef struct JumpEntry {
    uint64_t la, tag;
    const uint8_t *host;     /* where recompiled code goes for it (never NULL while there is a recompiler) */
    struct Block *block;
} JumpEntry;

/*
 * What recompiled code keeps in memory.  While `here` is set the arithmetic flags are not in cc_* but in the record:
 * flags of the last full producer `kind` with its operands a and b, CF by itself from `cf` when cf_known, and all but
 * CF of an INC or DEC with result `top` when top_kind is not 0 (tcg/flags.h).
 */
typedef struct RecompiledState {
    uint8_t kind, top_kind, cf, cf_known;
    bool here;
    bool mxcsr_here;         /* the host's MXCSR holds the guest's; Cpu.mxcsr is stale */
    bool went_elsewhere;     /* host code left its unit behind a slow path (verify=on asks) */
    bool x87_here;           /* the host's FCW and FSW (but C1 and TOP) are the guest's */
    uint64_t a, b, top;
    uint64_t page;           /* linear address of the page that is being executed */
    uint64_t next;           /* place in `jump` of the target of the jump under way */
    uint64_t spill[4];
    int64_t budget;          /* instructions left in this time slice, where they are counted */
    uint64_t host_sp;        /* stack pointer of the caller of recompiled code */
} RecompiledState;

/* Branches of recompiled code, which it writes itself: trace.h. */
#define TRACE_SLOTS 256
typedef struct TraceRing {
    uint32_t to[TRACE_SLOTS], from[TRACE_SLOTS];
    uint32_t at;             /* how many were written ever: the next one's place, modulo TRACE_SLOTS */
} TraceRing;

struct Cpu {
    /* General registers.  gpr[16] is always 0, gpr[17] is RIP, gpr[18] is always 16: an effective address is one sum. */
    union {
        uint64_t gpr[19];
        struct {
            uint64_t gpr_named[17];
            uint64_t rip; /* of the instruction in progress; the next one's between instructions */
        };
    };
    /* Arithmetic flags, lazily: see flags.h.  `eflags` holds all others, with the arithmetic ones 0. */
    uint64_t cc_z, cc_sp, cc_aux;
    uint32_t eflags;

    /* Derived, read by every memory access (cpu_update_mode). */
    uint32_t flat;           /* bit n: segment n has base 0 and no limit or type to check */
    TlbEntry *tlb_data;      /* the TLB of the current privilege and SMAP state */
    uint64_t sp_mask;        /* of the stack pointer: 0xffff, 0xffffffff or all */
    uint16_t key;            /* KEY_*: what decides how code is decoded and recompiled (insn.h) */
    uint8_t cpl;
    uint8_t code_size;       /* SZ16, SZ32, SZ64 */
    bool code_flat;          /* a fetch needs no base and no limit check */
    uint8_t step_mode;       /* STEP_*: run one instruction at a time, with checks around it */
    bool long_mode;          /* EFER.LMA */
    bool protected_mode;     /* CR0.PE and not EFLAGS.VM */
    uint64_t rip_mask;       /* legacy_rip_mask outside 64-bit mode, all ones within */

    Segment seg[SEG_COUNT];
    TablePtr gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[8];          /* 4 and 5 unused */
    uint64_t efer, xcr0;
    uint64_t pdpte[4];       /* loaded with CR3 under PAE paging, SDM vol. 3A 4.4.1 */

    Fpu fpu;
    Vec vec[32];
    uint64_t opmask[8];
    uint32_t mxcsr;
    uint32_t pkru;           /* written by pkru_set() only: the soft TLB follows it (mmu.h) */
    uint64_t ssp;            /* shadow stack pointer; only with CR4.CET and shadow stacks enabled at this level */

    /* MSRs, by name. */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t tsc_aux, tsc_offset, tsc_adjust;
    uint64_t pat, misc_enable, spec_ctrl, smbase, feature_control, debug_ctl;
    uint64_t mcg_status, mc_bank[4][4], xss, umwait_control, perf_evtsel[4], perf_ctr[4];
    uint64_t hwcr;           /* AMD */
    uint64_t pkrs;           /* IA32_PKRS */
    uint64_t u_cet, s_cet, pl_ssp[4], interrupt_ssp_table; /* CET: SDM vol. 1 chapter 17 */
    MtrrState mtrr;
    uint64_t branch[4];      /* last branch from and to, and the one before the last exception (DebugCtl.LBR) */
    SvmState svm;

    uint8_t run_state;       /* CPU_RUNNING ... */
    uint8_t shadow;          /* SHADOW_* */
    bool tf_trap;            /* single step: #DB is due after the instruction in progress (INT n, SYSCALL clear it) */
    bool in_smm;
    bool nmi_blocked;
    bool smm_nmi_blocked;    /* nmi_blocked at entry to SMM */
    uint8_t sipi_vector;
    uint64_t monitor_gpa;    /* armed by MONITOR, 0 when not */

    /* Exception raised, and being delivered: for double and triple faults and the report (fault.h). */
    struct {
        bool raised;          /* vector and error wait to be delivered */
        bool delivering;      /* an exception's delivery is under way: one more makes a double fault */
        bool has_error;
        uint8_t vector;       /* raised */
        uint8_t current;      /* being delivered */
        uint8_t chain_length;
        uint32_t error;
        uint64_t old_cr2;     /* from before a #PF that was raised */
        struct FaultRecord {
            uint8_t vector;
            bool has_error, external, software;
            uint32_t error;
            uint64_t cr2, rip, fetch; /* fetch: linear address of the instruction */
            uint16_t cs;
            char why[80];    /* what the delivery tripped over */
        } chain[6];
    } fault;

    uint32_t stops_wanted;   /* bit n: a debugger has points of StopKind n (stops.h) */
    uint8_t stops_pending;   /* hits that were not told yet */
    bool branches_kept;      /* branches are written down at all (trace.h) */
    bool traced_steps;       /* instructions are executed one at a time, each told to trace_step() */
    struct CpuStops *stops;
    uint64_t dr6_pending;    /* debug conditions met by the instruction in progress, raised after it */
    jmp_buf unwind;          /* where cpu_raise() goes */

    /* Engine. */
    const Insn *insn;        /* being executed (interpreter; valid while unwinding) */
    const Insn *insn_end;    /* end of the current block; set to NULL to leave it after this instruction */
    atomic_uint attention;   /* atomic: not 0 when the run loop must look at `events` */
    atomic_uint events;      /* atomic: EVENT_* */
    uint64_t insn_count;     /* instructions executed by the interpreter, by blocks */
    _Alignas(64) RecompiledState rec; /* what recompiled code uses most is in one line of the host's cache ... */
    uint64_t jump_epoch[4];  /* by code_kind(): rises when the mapping of some of that code may have changed */
    uint64_t jump_tag;       /* made of one of these and key: caches keyed by linear address check it */
    _Alignas(64) JumpEntry jump[JUMP_CACHE_SIZE]; /* ... and an entry of these is never in two */
    TraceRing trace_ring;
    struct CpuTrace *trace;  /* trace.h */
    struct CpuWait {         /* a halted CPU sleeps until attention is set */
        GMutex lock;
        GCond cond;
    } own_wait, *wait;       /* one for all CPUs that share a thread */
    _Alignas(64) Tlb tlb[TLB_COUNT]; /* by tlb_number() */
    MicroTlb micro;
    bool tlb_keyed;          /* some entry is in its TLB's `keyed`, or was since the micro TLB was dropped */
    struct RamWindow {       /* the range of RAM where a page was last found */
        uint64_t start, size;
        uint8_t *host;
    } ram_window;
    uint64_t walk_epoch;     /* rises with every flush */
    WalkCacheEntry walk_cache[WALK_CACHE_SIZE];
    CodePages code_pages[4]; /* by code_kind() */
    SystemPage system_page[SYSTEM_PAGES];
    ShadowPage shadow_page[2][SHADOW_PAGES]; /* of supervisor and user shadow stacks */
    CodeCache *code;
    InsnDecoder *decoder;
    GThread *_Atomic thread; /* that runs this CPU now, or NULL */
    CpuGroup *group;
    _Atomic uint64_t log_served; /* how far the group's log of code pages was served (group.h) */
    uint64_t awaited;        /* place in that log which others have to reach, or 0; under the group's lock */
    atomic_bool quiet;       /* executes nothing, and will serve its events before it does */
    bool parallel;           /* there are other CPUs */
    bool counted;            /* runs until rec.budget is used up: a time slice (thread=single) */
    unsigned pauses;         /* PAUSE instructions executed */

    Machine *machine;
    const CpuModel *model;
    const struct IntcOps *intc; /* the local interrupt controller, or NULL (core/cpuport.h) */
    void *intc_opaque;
    uint64_t intc_page;      /* GPA of its registers' page as this CPU sees it; all ones: none */
    uint64_t features[FEAT_WORDS];
    unsigned index;          /* 0.. */
    uint32_t apic_id;
    uint8_t physical_bits;   /* 32..52 */
    uint8_t linear_bits;     /* of linear addresses as paging has them now: 32, 48 or 57 */
    uint8_t max_linear_bits; /* of those that the CPU can have */
    bool a20_enabled;
    uint64_t legacy_rip_mask; /* 0xffffffff, or 0xffff before the 286 */
    uint64_t gpa_mask;       /* physical address lines that reach the bus (A20 gate; 20 before the 286) */
};

/* The TLB for a way of access (TLB_*) now; and the kind of code, supervisor's or user's, of a hypervisor or its guest. */
static inline unsigned tlb_number(const Cpu *cpu, unsigned mode) { return mode + cpu->svm.guest * TLB_MODES; }
static inline unsigned code_kind(const Cpu *cpu, bool user) { return user + cpu->svm.guest * 2; }

static inline bool cpu_has(const Cpu *cpu, unsigned feature)
{
    return cpu->features[feature / 64] >> (feature % 64) & 1;
}

/* Recomputes every derived field after a change to control registers, EFER, EFLAGS.VM/AC or a segment register. */
void cpu_update_mode(Cpu *cpu);

/* The same where only CPL (between 64-bit code segments) or EFLAGS.AC has changed; where only a segment has. */
void cpu_update_level(Cpu *cpu);
void cpu_update_segment(Cpu *cpu, unsigned seg);

static inline bool cpu_code64(const Cpu *cpu) { return cpu->code_size == SZ64; }
static inline bool cpu_real_mode(const Cpu *cpu) { return !(cpu->cr0 & CR0_PE); }
static inline bool cpu_v86(const Cpu *cpu) { return cpu->eflags & EFLAGS_VM; }
static inline unsigned cpu_iopl(const Cpu *cpu) { return (cpu->eflags & EFLAGS_IOPL) >> EFLAGS_IOPL_SHIFT; }

/* Whether all bits above the linear address width equal its top bit (SDM vol. 1 3.3.7.1). */
static inline bool cpu_canonical(const Cpu *cpu, uint64_t la)
{
    return sign_extend(la, cpu->linear_bits) == (int64_t)la;
}

/*
 * The same for addresses that registers keep: MSRs, bases of segments and descriptor tables, operands of INVPCID.  They
 * may be of five levels though CR4.LA57 is clear; what uses them then finds them not canonical.
 */
static inline bool cpu_canonical_register(const Cpu *cpu, uint64_t la)
{
    return sign_extend(la, cpu->max_linear_bits) == (int64_t)la;
}

/* Byte register n as Insn numbers them: 16+4..16+7 are AH CH DH BH. */
static inline uint8_t reg8(const Cpu *cpu, unsigned n)
{
    return n & 16 ? cpu->gpr[n & 3] >> 8 : cpu->gpr[n];
}
static inline void set_reg8(Cpu *cpu, unsigned n, uint8_t v)
{
    if (n & 16)
        cpu->gpr[n & 3] = (cpu->gpr[n & 3] & ~UINT64_C(0xff00)) | (uint64_t)v << 8;
    else
        cpu->gpr[n] = (cpu->gpr[n] & ~UINT64_C(0xff)) | v;
}
static inline uint16_t reg16(const Cpu *cpu, unsigned n) { return cpu->gpr[n]; }
static inline uint32_t reg32(const Cpu *cpu, unsigned n) { return cpu->gpr[n]; }
static inline uint64_t reg64(const Cpu *cpu, unsigned n) { return cpu->gpr[n]; }
static inline void set_reg16(Cpu *cpu, unsigned n, uint16_t v)
{
    cpu->gpr[n] = (cpu->gpr[n] & ~UINT64_C(0xffff)) | v;
}
/* A 32-bit result clears the upper half (SDM vol. 1 3.4.1.1). */
static inline void set_reg32(Cpu *cpu, unsigned n, uint32_t v) { cpu->gpr[n] = v; }
static inline void set_reg64(Cpu *cpu, unsigned n, uint64_t v) { cpu->gpr[n] = v; }

/* Address of the instruction after i, wrapped to the mode's width. */
static inline uint64_t next_rip(const Cpu *cpu, const Insn *i) { return (cpu->rip + i->len) & cpu->rip_mask; }

/* Makes the run loop look at its events soon (and a halted CPU wake up to do so: cpu_post_event); the CPU's own thread. */
static inline void cpu_request_attention(Cpu *cpu) { atomic_store_explicit(&cpu->attention, 1, memory_order_release); }

/* Follows a change of the local interrupt controller's base address. */
void cpu_update_intc(Cpu *cpu);

/* Follows a change of the memory map, the A20 gate or dirty tracking (EVENT_MEMORY). */
void cpu_follow_memory(Cpu *cpu);

/* Sets EVENT_* bits from any thread and wakes the CPU; the lazy form leaves it asleep and lets it serve them then. */
void cpu_post_event(Cpu *cpu, unsigned events);
void cpu_post_lazily(Cpu *cpu, unsigned events);

/* Others should run now: this CPU spins on what one of them will do (PAUSE). */
void cpu_yield(Cpu *cpu);

#endif
