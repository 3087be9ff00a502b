/*
 * The instruction table and the decoded instruction.
 *
 * Overview.  Every instruction stands once, as a row of one of the table files cpu/table/NAME.def:
 *
 *   INSN(ADD_EbGb, "add", "00 /r", "Eb,Gb", BASE, 0, F_ARITH, 0, A_LOCK, add_EbGb)
 *
 * that is: identifier, mnemonic, encoding, operands, CPUID feature, flags read, flags written (defined), flags left
 * undefined, attributes, semantics.  The same rows make the decoder (decode.c), the interpreter (interp.c), CPUID
 * gating, the listing of `-d in_asm`, and the generated tests (tests/cpu).
 *
 * Encoding: words, separated by blanks.
 *   NP 66 F3 F2   mandatory prefix (NP: none of the three).  Rows without one of these words accept any; 66 is then
 *                 the operand size, and F2/F3 are a repeat prefix or ignored.
 *   0F 0F38 0F3A  opcode map; without such a word, the one-byte map
 *   0F0F          3DNow!, whose opcode byte stands behind the operands
 *   XX            opcode byte (0F too, when nothing follows it: the 8086's).  XX+r: register in its low three bits (eight opcodes).
 *   /r  /0../7    a ModRM byte follows; with a digit, its reg field must be that
 *   YY  YY+i      (after the opcode) the ModRM byte must be YY, or YY..YY+7: x87 and system opcodes in register form
 *   W0 W1         REX.W must be so          no64 only64  validity by mode       o16 o32 o64  by operand size
 *   rm, m         (mod=3 only, memory only) only needed when the operands do not say it (R/N/U/M do)
 *   noB           not with REX.B
 * Vector encodings begin with VEX, EVEX or XOP, and have one of NP 66 F3 F2 and a map (EVEX also MAP5, MAP6; XOP MAP8,
 * MAP9, MAPA):
 *   L0 L1 L2 L12  vector length 128, 256, 512 bits, or the two longer ones; absent: VEX 128 and 256, EVEX all three
 *   LIG           scalar: the length is ignored
 *   k kz ks k!    EVEX.aaa: merging; merging and zeroing; zeroing with a register destination only; must not be k0
 *   er sae nob    EVEX.b between registers: rounding control; exceptions suppressed; neither.  The length is then
 *                 512 bits
 *   b16 b32 b64   EVEX.b with memory: an element of so many bits for all lanes
 *   v1 v2 v4 v8   size of the memory operand: the vector length, a half, a quarter, an eighth of it (absent: v1).  For
 *                 EVEX it is also the unit of an 8-bit displacement
 *   n1..n32 dup   the same: so many bytes; as MOVDDUP has it
 *   vsib          the index register is a vector
 *   anymod        ModRM.mod is ignored: a register whatever it says (MOV to and from CRn, DRn)
 * A more exact row wins over a less exact one, whatever their order; a row whose CPUID feature the model lacks is not
 * there at all, so that e.g. F3 0F BC is TZCNT with BMI1 and BSF without.
 *
 * Operands: the notation of Intel SDM vol. 2D appendix A.2, e.g. "Ev,Iz": E ModRM.rm (register or memory), M memory
 * only, R general register by ModRM.rm only, G register by ModRM.reg, Z register in the opcode's low three bits (our
 * letter), I immediate, J relative, A far pointer, O moffs, S segment register, C D control and debug register, P Q N
 * MMX (reg; rm; rm register only), V W U vector (reg; rm; rm register only), H vector and B general register by vvvv,
 * L vector by the immediate's upper half, Kg Kh Ke Ku Km opmask (reg; vvvv; rm; register only; memory), X Y string, ST and ST(i) as "st0" "sti", or
 * a fixed register or constant in lower case: al ax eax rax (rax: by operand size) cl dx 1 es cs ....
 * Types: b w d q, v (16/32/64 by operand size), z (16/32), y (32/64), p (16:16/32/64 far pointer), dq (128 bits),
 * s (descriptor table pointer), t (80 bits), and so on; Ib sign-extends where the row has A_SX, else it is
 * zero-extended; Iz is sign-extended to 64 bits.
 */
#ifndef MYNA_CPU_INSN_H
#define MYNA_CPU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Cpu Cpu;
typedef struct Insn Insn;

/*
 * A semantic function: does what the instruction does.  On entry cpu->rip is the address of the instruction itself.
 * Unless the row has A_JUMP the caller advances cpu->rip by i->len afterwards; an A_JUMP function sets cpu->rip
 * itself in every case (taken or not).  It raises a fault by cpu_raise() (fault.h), which does not return; before that
 * no architectural state may have been changed, beyond what the manual says for that instruction.
 */
typedef void InsnFn(Cpu *cpu, const Insn *i);

/* Operand or address size. */
enum { SZ16, SZ32, SZ64 };

/* The semantics of a row: one function for each form (register or memory in ModRM.rm) and operand size. */
typedef struct Sem {
    InsnFn *reg[3];
    InsnFn *mem[3];
} Sem;

/* One function for all forms; one for register and one for memory; one for each size; one for each of the six. */
#define SEM_1(name) const Sem sem_##name = { { name, name, name }, { name, name, name } };
#define SEM_RM(name) const Sem sem_##name = { { name##_r, name##_r, name##_r }, { name##_m, name##_m, name##_m } };
#define SEM_SZ(name) const Sem sem_##name = { { name##_16, name##_32, name##_64 }, { name##_16, name##_32, name##_64 } };
#define SEM_RM_SZ(name)                                                                                                \
    const Sem sem_##name = { { name##_r16, name##_r32, name##_r64 }, { name##_m16, name##_m32, name##_m64 } };

/* Pseudo registers in Insn.base and Insn.index: always 0; the instruction's own address; always 16. */
enum { R_NONE = 16, R_IP = 17, R_SIXTEEN = 18 };

/* Repeat prefix in Insn.rep. */
enum { REP_NONE, REP_F3, REP_F2 };

/* Insn.rounding: what MXCSR says; the same without exceptions; without, and rounding as bits 0 and 1 say. */
enum { ROUNDING_MXCSR = 0, ROUNDING_SAE = 1, ROUNDING_STATIC = 4 };

struct Insn {
    InsnFn *fn;
    int64_t imm;      /* immediate, relative offset, moffs address or far pointer's offset */
    int32_t disp;     /* displacement of a memory operand (ready for use: see insn_ea) */
    uint16_t row : 15; /* index into insn_rows[] */
    uint16_t jump : 1; /* the row has A_JUMP */
    uint8_t len;      /* bytes, 1..15 */
    uint8_t reg;      /* ModRM.reg with REX.R, or the opcode's register; byte registers AH..BH are 16+4 .. 16+7 */
    uint8_t rm;       /* ModRM.rm with REX.B when it is a register (bytes as above); 0 for memory */
    uint8_t base;     /* memory operand: 0..15, R_NONE or R_IP */
    uint8_t index;    /* memory operand: 0..15 or R_NONE (R_SIXTEEN) */
    uint8_t scale;    /* shift of the index, 0..3 */
    uint8_t seg;      /* segment of the memory operand (SEG_*), override included; string source segment */
    uint8_t osz : 2;  /* operand size SZ* */
    uint8_t asz : 2;  /* address size SZ* */
    uint8_t rep : 2;  /* REP_* */
    uint8_t lock : 1;
    uint8_t mem : 1;  /* ModRM.rm is memory */
    union {
        uint16_t imm2;            /* second immediate: selector of a far pointer, level of ENTER; JMP and CALL Ev: NOTRACK */
        struct {                  /* VEX, EVEX and XOP */
            uint16_t vreg : 5;    /* vvvv: a vector, general or opmask register */
            uint16_t vl : 2;      /* vector length: 128, 256, 512 bits */
            uint16_t mask : 3;    /* opmask register, 0: all lanes */
            uint16_t zero : 1;    /* other lanes become 0; else they stay */
            uint16_t broadcast : 1; /* the memory operand is one element, for all lanes */
            uint16_t rounding : 3; /* ROUNDING_* */
        };
    };
};

/* Flag columns of a row. */
enum {
    F_CF = 0x0001, F_PF = 0x0004, F_AF = 0x0010, F_ZF = 0x0040, F_SF = 0x0080, F_TF = 0x0100, F_IF = 0x0200,
    F_DF = 0x0400, F_OF = 0x0800,
    F_ARITH = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF,
    F_SYSTEM = F_TF | F_IF | F_DF, /* and IOPL, NT, RF, VM, AC, VIF, VIP, ID */
    F_X87 = 1 << 24,               /* x87 condition codes C0..C3 */
};

/* Attributes of a row. */
enum {
    A_LOCK = 1 << 0,   /* LOCK is allowed when the destination is memory */
    A_JUMP = 1 << 1,   /* sets cpu->rip itself; ends a block */
    A_END = 1 << 2,    /* ends a block: may change mode, mappings, or whether interrupts are taken */
    A_D64 = 1 << 3,    /* operand size defaults to 64 bits in 64-bit mode (66 gives 16) */
    A_F64 = 1 << 4,    /* operand size is 64 bits in 64-bit mode, whatever the prefixes */
    A_SX = 1 << 5,     /* an Ib immediate is sign-extended */
    A_REP = 1 << 6,    /* string instruction: REP makes it repeat; may stop part-way for an interrupt */
    A_X87 = 1 << 7,    /* #NM when CR0.EM or CR0.TS */
    A_WAIT = 1 << 8,   /* #NM when CR0.MP and CR0.TS */
    A_MMX = 1 << 9,    /* #UD when CR0.EM, #NM when CR0.TS */
    A_SSE = 1 << 10,   /* #UD when CR0.EM or not CR4.OSFXSR, #NM when CR0.TS */
    A_PRIV = 1 << 11,  /* #GP(0) when CPL > 0: checked by the function, named here for tests and listings */
    A_SERIAL = 1 << 12, /* serialising */
    A_NOUSER = 1 << 13, /* cannot be compared with a host processor in user mode (result depends on the machine) */
    A_BYTE = 1 << 14,  /* ModRM.rm/reg are byte registers for both operands (set by the decoder from operands) */
    A_FENCE = 1 << 15, /* orders memory */
    A_PROT = 1 << 16,  /* #UD in real and virtual-8086 mode */
    A_AVX = 1 << 18,   /* a VEX vector instruction: #UD unless AVX state is enabled, #NM when CR0.TS */
    A_AVX512 = 1 << 19, /* EVEX and opmask instructions: the same with AVX-512 state */
    A_FP = 1 << 20,    /* of A_AVX and A_AVX512: computes under MXCSR */
    A_SHADOW = 1 << 17, /* interrupts wait for the instruction that follows, which may stand in the same unit */
    /* Of VEX and EVEX rows, for the recompiler (tcg/lower_avx.c). */
    A_CALL = 1 << 21,   /* always a call of the row's function */
    A_ACCUM = 1 << 22,  /* the first operand is read too, whatever the opmask */
    A_ALIGN = 1 << 23,  /* memory must be aligned to the operand's size */
    A_PACKED = 1 << 25, /* the opmask says how much memory is accessed */
    A_INTERCEPT = 1 << 24, /* a hypervisor may intercept it (svm_intercept.c) */
};

/* Everything of a row; the strings are those of the table file. */
typedef struct InsnRow {
    const char *id, *mnemonic, *encoding, *operands;
    uint16_t feature; /* FEAT_*, features.h */
    uint32_t flags_read, flags_written, flags_undefined;
    uint32_t attr;
    const Sem *sem;
} InsnRow;

extern const InsnRow insn_rows[];
extern const unsigned insn_row_count;

/* Bits of the decode key: what, besides the bytes, decides the meaning of an instruction. */
enum {
    KEY_SIZE = 3,          /* SZ16, SZ32, SZ64: default code size */
    KEY_X87_NM = 1 << 2,   /* x87 instructions raise #NM */
    KEY_WAIT_NM = 1 << 3,  /* WAIT raises #NM */
    KEY_SIMD_UD = 1 << 4,  /* CR0.EM: MMX and SSE raise #UD */
    KEY_SSE_UD = 1 << 5,   /* CR4.OSFXSR clear: SSE raises #UD */
    KEY_SIMD_NM = 1 << 6,  /* CR0.TS: MMX and SSE raise #NM */
    KEY_REAL = 1 << 7,     /* real or virtual-8086 mode */
    KEY_AVX_UD = 1 << 11,  /* CR4.OSXSAVE or XCR0's SSE and AVX bits clear: VEX vector instructions raise #UD */
    KEY_AVX512_UD = 1 << 12, /* XCR0's opmask and ZMM bits clear: EVEX and opmask instructions raise #UD */
    KEY_GUEST = 1 << 14,   /* in a hypervisor's guest: rows with A_INTERCEPT ask for intercepts first */
    KEY_DECODE = 0xff | KEY_AVX_UD | KEY_AVX512_UD | KEY_GUEST,
    /* What else decides the meaning of recompiled code (not of the decoded instruction): */
    KEY_TLB = 8,           /* shift: which of the TLB_* modes data accesses go through, two bits */
    KEY_FLAT = 1 << 10,    /* CS, SS, DS and ES need no base and no check; the stack pointer has 32 bits or more */
    KEY_SHSTK = 1 << 13,   /* shadow stacks are in use at this privilege */
    KEY_IBT = 1 << 15,     /* indirect branches are tracked at this privilege */
};

typedef struct InsnDecoder InsnDecoder;

/*
 * A decoder for a CPU model: rows whose feature is not in `features` (an array of FEAT_WORDS words, features.h) do not
 * exist.  The decoder is immutable afterwards and may be shared by threads.  Owned by the caller, freed by
 * insn_decoder_free.
 */
InsnDecoder *insn_decoder_new(const uint64_t *features);
void insn_decoder_free(InsnDecoder *d);

/* Results of insn_decode below 1. */
enum { DECODE_MORE = 0, DECODE_TOO_LONG = -1 };

/* The rows behind the real ones: of undefined instructions, and of a debugger's marks (code.h), which have no bytes. */
#define INSN_ROW_BAD insn_row_count
#define INSN_ROW_MARK (insn_row_count + 1)

/*
 * Decodes the instruction at bytes[0..size).  `key` is made of KEY_* bits.  Returns its length and fills *out;
 * DECODE_MORE when it goes on past `size`; DECODE_TOO_LONG when it is longer than 15 bytes (a #GP, SDM vol. 3A 6.15).
 * An undefined instruction decodes to one whose function raises #UD (or #NM by the key); its length is then what
 * was looked at.
 */
int insn_decode(const InsnDecoder *d, unsigned key, const uint8_t *bytes, size_t size, Insn *out);

/* What a row with A_INTERCEPT decodes to in a guest: asks the hypervisor's intercepts, then does the row's own. */
void insn_in_guest(Cpu *cpu, const Insn *i);

/* Whether the row ends a block. */
static inline bool insn_row_ends(const InsnRow *row) { return row->attr & (A_JUMP | A_END); }

#endif
