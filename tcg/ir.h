/*
 * The intermediate representation: what decoded instructions become before they become host code.
 *
 * Overview of tcg/.  A block that has become hot (cpu/code.h) grows into a unit, up to IR_MAX_INSNS instructions that
 * follow each other, with conditional jumps out of it.  lower*.c turns its instructions into operations of ir_ops.def;
 * liveness.c finds out which flags anybody will see; a back end (backend.h, one folder for each host) assigns host
 * registers and writes code; tcg.c is the engine that the CPU knows, links units and drops them.
 *
 * Exactness rests on one rule: an instruction checks everything that may stop it (E_CHECK) before it changes
 * anything, and when a check fails its slow path calls the instruction's semantic function, from the beginning, and
 * goes on behind it.  TLB misses, devices, faults, code that is overwritten, watchpoints, odd operands: all are slow
 * paths of the same form.  An instruction without a lowering is a CALL of that function.
 *
 * Values.  An operand is a guest register, the second byte of one (AH), a vector register (its low 128 bits), a
 * temporary, the memory that a temporary points to, or the immediate.  Temporaries live within one instruction:
 * nothing but guest state crosses from one to the next.
 */
#ifndef MYNA_TCG_IR_H
#define MYNA_TCG_IR_H

#include <glib.h>

#include "cpu/code.h"

#define IR_MAX_INSNS 64
#define IR_MAX_OPS (IR_MAX_INSNS * 8)
#define IR_TEMPS 2

typedef enum IrCode {
#define IR(id, text, operands, reads, writes, effects) IR_##id,
#include "tcg/ir_ops.def"
#undef IR
    IR_CODES
} IrCode;

/* Effects of an operation. */
enum { E_CHECK = 1, E_EXIT = 2, E_CALL = 4 };

/* In the flags columns: the flags of the condition. */
#define F_COND 0x10000

/* Operands. */
typedef uint8_t IrArg;
enum { IR_G = 0, IR_H = 0x10, IR_T = 0x20, IR_M = 0x40, IR_X = 0x60, IR_IMM = 0x80, IR_NONE = 0xff };
static inline IrArg ir_g(unsigned n) { return IR_G + n; }
static inline IrArg ir_t(unsigned n) { return IR_T + n; }
static inline IrArg ir_m(unsigned n) { return IR_M + n; }
static inline IrArg ir_x(unsigned n) { return IR_X + n; }
static inline bool ir_is_g(IrArg x) { return x < IR_H; }
static inline bool ir_is_h(IrArg x) { return (x & 0xf0) == IR_H; }
static inline bool ir_is_t(IrArg x) { return (x & 0xf0) == IR_T; }
static inline bool ir_is_m(IrArg x) { return (x & 0xf0) == IR_M; }
static inline bool ir_is_x(IrArg x) { return (x & 0xf0) == IR_X; }
static inline unsigned ir_number(IrArg x) { return x & 15; }

/* A memory operand: seg base + base + (index << scale) + disp, cut to `bits`.  base: a register, R_NONE or R_IP. */
typedef struct IrMem {
    uint8_t base, index, scale;
    uint8_t seg;  /* SEG_FS or SEG_GS: its base is added; else flat */
    uint8_t bits; /* 32 or 64 */
    int32_t disp; /* with R_IP: of the page that executes */
} IrMem;

typedef struct IrOp {
    uint8_t code;    /* IrCode */
    uint8_t size;    /* bytes of the operation: 1, 2, 4, 8, 16 */
    uint8_t from;    /* bytes of the source of an extension; REF_X and REF_XW: the alignment */
    uint8_t cc;      /* condition, as Jcc numbers them */
    IrArg dst, a, b;
    bool lock;
    uint8_t part;    /* which of the instructions of its INSN it belongs to */
    int16_t at;      /* an M operand's place behind where the temporary points to */
    bool far;        /* EXIT to an instruction that begins in this page, but does not end there */
    /* What liveness.c finds: */
    bool flags_seen; /* some flag that is written here may be seen later, beyond `flags_next` */
    bool flags_next; /* flags are read right behind, by operations with nothing between them that changes flags */
    uint16_t last;   /* index of the last operation that may see them */
    int64_t imm;
    IrMem mem;
} IrOp;

typedef struct IrUnit {
    Block *block;            /* is_unit */
    bool code64;
    bool kept;               /* branches to other pages are written down (cpu/trace.h) */
    bool traced;             /* every branch that is taken is written down (cpu/trace.h) */
    bool parallel;           /* there are other CPUs: LOCK counts.  Set before lowering */
    unsigned page_offset;    /* of the first instruction */
    unsigned count, insns;   /* operations, instructions */
    uint8_t x87_top, x87_tags; /* the guest's when it is compiled, which it probably has whenever it runs */
    uint16_t insn_offset[IR_MAX_INSNS + 1]; /* of each instruction, in the page; the last: of what follows */
    uint8_t span[IR_MAX_INSNS]; /* instructions that an INSN stands for, itself included */
    uint32_t host_offset[IR_MAX_INSNS], slow_offset[IR_MAX_INSNS]; /* by the back end: of its code and slow path, or 0 */
    IrOp op[IR_MAX_OPS];
} IrUnit;

typedef struct IrInfo {
    const char *text, *operands;
    uint32_t reads, writes;
    unsigned effects;
} IrInfo;

extern const IrInfo ir_info[IR_CODES];

/* Flags that an operation reads: those of its condition where the table says so. */
uint32_t ir_reads(const IrOp *op);

/* E_* of an operation: those of the table, but for shifts by an immediate, which check nothing. */
unsigned ir_effects(const IrOp *op);

/* Guest register k of PUSHES or POPS, at most IR_GROUP_MAX; R_SP: instruction k pushes its immediate. */
enum { IR_GROUP_MAX = 8 };
static inline unsigned ir_group_register(const IrOp *op, unsigned k) { return op->imm >> (4 * k) & 15; }

/* Whether the operation writes guest register n. */
bool ir_writes_register(const IrOp *op, unsigned n);

/* Appends the operations as text, one a line (-d op). */
void ir_print(const IrUnit *u, GString *out);

/*
 * Checks what the table and the rules above demand; NULL when all is well, else a description of the first breach, in
 * static storage of the calling thread.  Debug builds call it after each pass.
 */
const char *ir_validate(const IrUnit *u);

/* Translates a unit's decoded instructions; `block->key` has KEY_FLAT. */
void ir_lower(IrUnit *u, Block *block);

/* Makes one check of several that are off the same base. */
void ir_merge_checks(IrUnit *u);

/* Finds out which flags may be seen, and until when. */
void ir_find_live_flags(IrUnit *u);

#endif
