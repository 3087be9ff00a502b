/*
 * The x86-64 back end: a unit's operations to host code.
 *
 * Host registers.  RBP is the Cpu.  Twelve guest registers live in host registers throughout, eight of them and R8 to
 * R11 in the ones of the same name, so that CL, rDX:rAX and the like need no moves; RSP and RBP are in R12 and R13; the
 * others (R12 to R15) stay in Cpu.gpr.  R14 and R15 are the temporaries T0 and T1; REF also needs R15.
 *
 * Flags stay in the host's flags as long as nothing destroys them (Flags.host).  What they would be is known besides as
 * a recipe: a kind and operands of the flags record (tcg/record.h) that are still in registers.  Slow paths and exits
 * store the recipe; a reader that comes too late for the host's flags gets them by repeating the comparison.
 *
 * Files: emit.c (the unit, slow paths, exits), emit_alu.c (integer operations), emit_flags.c (recipes), thunks.c
 * (entering and leaving, calls to C), backend.c (memory, links).
 */
#ifndef MYNA_TCG_X86_64_EMIT_H
#define MYNA_TCG_X86_64_EMIT_H

#include "tcg/backend.h"
#include "tcg/x86_64/asm.h"
#include "util/execmem.h"

#define H_CPU A_RBP
#define H_T0 A_R14
#define H_T1 A_R15

/* Where a guest register lives: a host register, or A_NONE: in Cpu.gpr. */
extern const uint8_t host_of_guest[16];

#define CPU_FIELD(field) asm_mem(H_CPU, offsetof(Cpu, field))
#define REC_FIELD(field) asm_mem(H_CPU, offsetof(Cpu, rec) + offsetof(RecompiledState, field))

/* Sizes of accesses: powers of two to 16, then multiples of 8 to 64. */
#define MICRO_SIZES 11
static inline unsigned micro_size(unsigned bytes) { return bytes < 16 ? (unsigned)__builtin_ctz(bytes) : 2 + bytes / 8; }
static inline unsigned micro_bytes(unsigned k) { return k < 4 ? 1u << k : (k - 2) * 8; }

/* Addresses of code made once (thunks.c). */
typedef struct Thunks {
    uint64_t enter;    /* (cpu, code) by the C calling convention */
    uint64_t leave;    /* back to the caller of enter; registers are live */
    uint64_t leave_at; /* the same, with RIP at page offset R15 */
    uint64_t call;     /* semantic function of the instruction R14 at page offset R15; returns */
    uint64_t call_next; /* the same for one that ends the unit; goes on at cpu->rip */
    uint64_t exit;     /* UnitExit R14 */
    uint64_t next;     /* go on at cpu->rip */
    uint64_t elsewhere; /* the same behind a slow path, where the unit cannot go on */
    uint64_t far;      /* go on at linear address R14, from the place R15 (EngineCalls.far) */
    uint64_t unknown;  /* JumpEntry.host; R15: the entry's place */
    uint64_t micro[TLB_COUNT][2][MICRO_SIZES]; /* [write][micro_size()]: fills micro TLB slot R15 for address R14, which becomes the
                                        host pointer; the flags say "above" where the slow path must do it; returns */
    uint64_t zero_upper; /* what VZEROUPPER does to Cpu.vec; XMM0 is loaded from it afterwards */
    uint64_t slots_full; /* EngineCalls.slots_full; keeps R15; returns */
    uint64_t mxcsr;    /* loads the guest's if it masks all exceptions, else "not equal"; changes R15; returns */
    uint64_t x87;      /* the same for the FPU's control and status words */
    uint64_t flags;    /* settles the record and brings the flags to the host's; all registers kept; returns */
} Thunks;

typedef struct X86Backend {
    ExecMem *mem;
    size_t used, fixed;  /* bytes; those of the thunks */
    Thunks thunks;
    EngineCalls calls;
    bool counted;
    bool has_rorx, has_avx, has_avx512; /* AVX-512: F, BW, DQ and VL */
    uint64_t features[FEAT_WORDS]; /* of the host */
} X86Backend;

/* Writes the thunks at the start of the code memory; false when it is too small. */
bool thunks_write(X86Backend *be, Asm *a);

/* An operand of a recipe. */
typedef struct RecipeArg {
    enum { ARG_NONE, ARG_SLOT /* stored in the record already */, ARG_REG, ARG_IMM } where;
    uint8_t reg; /* guest register */
    int32_t imm;
} RecipeArg;

/* What is known of the guest's flags at a point of the code. */
typedef struct Flags {
    bool recorded;     /* kind, a and b of the record in memory are right */
    bool unseen;       /* nobody will ask */
    uint8_t kind;      /* FLAGS_KIND, unless recorded */
    RecipeArg a, b;
    uint8_t top_kind;  /* INC or DEC on top, not in the record yet; 0: none */
    RecipeArg top;
    enum { CF_PLAIN, CF_CLEAR, CF_SET, CF_SLOT } cf; /* CF by itself, not in the record yet (SLOT: but for cf_known) */
    uint32_t host;     /* F_* that the host's flags hold */
    uint32_t kept;     /* of these: what `kept_insn` put there, before `host_insn` added the others */
    unsigned host_insn, kept_insn;
} Flags;

/* What is known of the FPU at a point of the code (emit_x87.c). */
typedef struct X87State {
    bool known;       /* TOP and tags are as below, and the host's control and status words the guest's */
    bool lost;        /* no use trying */
    bool used;        /* FSW is stale in memory */
    bool moved;       /* TOP or tags are */
    uint8_t top, tags;
    uint8_t depth, host[8]; /* what is on the host's stack, by physical register of the guest's */
    uint8_t dirty;    /* physical registers that are stale in memory */
    enum { C1_MEMORY, C1_HOST, C1_CLEAR } c1; /* where C1 is right */
    int16_t ip, ds;   /* page offset for FIP, segment for FDS, not in memory yet; or -1 */
} X87State;

/* What is known of vector registers at a point of the code (emit_sse.c), and of the FPU. */
typedef struct XmmState {
    uint32_t valid; /* bit n: host register n is guest register n, as wide as Emit.width says */
    uint32_t dirty; /* and Cpu.vec may be older */
    uint32_t cleared; /* bit n: the upper half of ZMM n, which a narrower host leaves in Cpu.vec, is zero there */
    uint8_t opmask_valid, opmask_dirty; /* the same of opmasks */
    bool mxcsr;     /* the host's MXCSR is the guest's, which masks all exceptions */
    X87State x87;
} XmmState;

/* The slow path of an instruction. */
typedef struct SlowPath {
    AsmLabel enter, resume;
    bool used;
    bool wants_flags; /* what follows expects them in the host's */
    Flags flags;      /* at the instruction's start */
    XmmState before, after; /* there, and where it resumes */
} SlowPath;

/* The part of a REF for a page that is not in its slot of the micro TLB. */
typedef struct MicroMiss {
    AsmLabel enter, resume;
    uint16_t slot;
    uint8_t insn, size;
    bool write;
    bool keep_t1;
} MicroMiss;

/* An exit whose code is out of line: the record is stored, then it goes on at `target`. */
typedef struct Edge {
    AsmLabel label;
    Flags flags;
    XmmState xmm;
    int64_t target;
    unsigned insn;
} Edge;

/* Where an instruction finds that the guest's MXCSR or x87 control word is not loaded. */
typedef struct StateCheck {
    AsmLabel enter, back;
    unsigned insn;
    uint64_t thunk;
} StateCheck;

typedef struct Emit {
    Asm a;
    X86Backend *be;
    IrUnit *u;
    UnitCode *code;
    const IrOp *op;       /* being emitted */
    unsigned k;           /* its index */
    unsigned insn;        /* instruction that it belongs to */
    bool checked;         /* the instruction has a slow path */
    bool fused;           /* FIND has left its result in registers for JUMP */
    Flags flags;
    XmmState xmm;
    SlowPath slow[IR_MAX_INSNS];
    Edge edge[IR_MAX_INSNS + 1];
    unsigned edges;
    MicroMiss miss[IR_MAX_OPS / 2];
    unsigned misses;
    StateCheck check[IR_MAX_INSNS];
    unsigned checks;
    AsmLabel loop, loop_stub; /* where a jump to the own entry goes that keeps vector registers; leaves from there */
    XmmState loop_xmm;    /* what is known there; nothing valid: there is no such place */
    AsmLabel entry, entry_stub;
    unsigned data_mode;   /* which TLB */
    unsigned width;       /* bytes that the unit keeps of a vector register: 16, 32 or 64 */
} Emit;

/* ---- emit.c ---- */

/* Where the slow path of the current instruction begins. */
AsmLabel *emit_slow(Emit *e);

void emit_jcc(Emit *e);

/* ---- operands (emit_alu.c) ---- */

/* A register or memory operand of the host for a register, temporary or memory operand. */
AsmMem emit_place(const Emit *e, IrArg x);
/* A register that holds the operand's low `size` bytes; `scratch` if it has none of its own. */
AsmReg emit_read(Emit *e, IrArg x, unsigned size, AsmReg scratch);
/* Stores the low `size` bytes of a host register, by the rules for guest registers. */
void emit_write(Emit *e, IrArg x, unsigned size, AsmReg from);

void emit_integer(Emit *e);

/* ---- vector registers (emit_sse.c) ---- */

void emit_vector(Emit *e);
/* The out-of-line part of a StateCheck. */
void emit_check(Emit *e, StateCheck *c);

/* Stores what is dirty, loads a set of registers; without touching flags. */
void xmm_store(Emit *e, XmmState *x);
void xmm_load(Emit *e, uint32_t set);
void opmask_load(Emit *e, uint8_t set);
/* After a semantic function: makes true what the code to go on at assumes, or goes on elsewhere. */
void xmm_resume(Emit *e, const XmmState *after, bool wants_flags);
/* Vector registers and opmasks that a unit uses, as valid, and those that it writes, as dirty. */
XmmState xmm_unit_use(const Emit *e);
/* Where the guest's MXCSR is not loaded, goes and loads it. */
void check_mxcsr(Emit *e);

/* ---- VEX and EVEX (emit_avx.c) ---- */

void emit_avx(Emit *e);
void emit_vzeroupper(Emit *e);
/* What an instruction does to vector registers and opmasks: which must be loaded, and which change. */
typedef struct VectorUse {
    uint32_t reads, writes;
    uint8_t opmask_reads, opmask_writes;
} VectorUse;
VectorUse avx_use(const Insn *i);
/* Bytes of vector registers that a unit must keep. */
unsigned avx_width(const Emit *e);

/* ---- x87 (emit_x87.c) ---- */

void emit_x87(Emit *e);
/* Whether x87_store() has anything to do. */
bool x87_pending(const X87State *x);
/* Stores what memory lacks and leaves the host's stack empty; changes T1 and the flags. */
void x87_store(Emit *e, X87State *x);
/* After the semantic function of a row, or (ROW_COUNT) before anything. */
void x87_forget(X87State *x, unsigned row);
/* After a semantic function: as xmm_resume(). */
void x87_resume(Emit *e, const X87State *after);

/* Whether the host has what a row of the table needs. */
static inline bool host_has_row(const Emit *e, const Insn *i)
{
    unsigned feature = insn_rows[i->row].feature;
    return e->be->features[feature / 64] >> (feature % 64) & 1;
}

/* ---- emit_system.c ---- */

void emit_cli(Emit *e);
void emit_sti(Emit *e);
void emit_swapgs(Emit *e);

/* ---- flags (emit_flags.c) ---- */

/* Stores the record. */
void flags_store(Emit *e, Flags *f);
/* Brings the flags in `mask` to the host's. */
void flags_to_host(Emit *e, uint32_t mask);
/* The host's flags are lost. */
static inline void flags_clobber(Emit *e) { e->flags.host = 0; }

/* Whether guest register n keeps its value until the current operation's flags were last asked for. */
bool flags_operand_survives(const Emit *e, unsigned n);
/* A register operand as it is after the operation; stores it to the record if it does not survive. */
RecipeArg flags_keep_a(Emit *e, IrArg x);
RecipeArg flags_keep_b(Emit *e, IrArg x);
/* The same before an operation that overwrites its dst. */
RecipeArg flags_save_a(Emit *e, IrArg x);
RecipeArg flags_save_b(Emit *e, IrArg x);
/* A value in a host register, stored to the record. */
RecipeArg flags_slot_a(Emit *e, AsmReg value);
RecipeArg flags_slot_b(Emit *e, AsmReg value);

/* After a full producer: its recipe; or none, by an image of the host's flags. */
void flags_produced(Emit *e, unsigned kind, RecipeArg a, RecipeArg b);
void flags_produced_image(Emit *e);
void flags_produced_unseen(Emit *e);
/* After an operation that wrote CF alone, which is in the host's flags; `others`: the host's other flags are intact. */
void flags_produced_cf(Emit *e, uint32_t others);
void flags_produced_cf_constant(Emit *e, bool cf);
/* After an INC or DEC with its result in a register or (stored) memory. */
void flags_produced_top(Emit *e, unsigned kind, IrArg result);
/* Before a partial producer that has a slow path, which works on the record. */
void flags_before_partial(Emit *e);

static inline unsigned size_log2(unsigned size) { return __builtin_ctz(size); }

#endif
