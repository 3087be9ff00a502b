/*
 * FXSAVE, FXRSTOR, and the XSAVE family (SDM vol. 1 10.5 and chapter 13, vol. 2 under each mnemonic).
 */
#include "cpu/access.h"
#include "cpu/simd_fp.h"
#include "cpu/x87.h"

/* State components, bits of XCR0 and of the masks made from it. */
enum { STATE_X87 = 1, STATE_SSE = 2, STATE_AVX = 4 };

/* The legacy region and the XSAVE header. */
enum {
    AREA_MXCSR = 24, AREA_ST = 32, AREA_XMM = 160, AREA_LEGACY = 512, AREA_XSTATE_BV = 512, AREA_XCOMP_BV = 520,
    AREA_EXTENDED = 576, AVX_SIZE = 256, AREA_MAX = AREA_EXTENDED + AVX_SIZE,
};
#define XCOMP_COMPACT BIT(63)

/* Registers that instructions can name in the current mode: the others are neither saved nor restored. */
static unsigned vector_registers(const Cpu *cpu) { return cpu_code64(cpu) ? 16 : 8; }
static unsigned xmm_end(const Cpu *cpu) { return AREA_XMM + 16 * vector_registers(cpu); }

/* x87: bytes 0..23 and 32..159.  With REX.W the pointers have 64 bits and no selector. */
static void x87_save(const Cpu *cpu, const Insn *i, uint8_t *area)
{
    const Fpu *f = &cpu->fpu;
    memset(area, 0, AREA_MXCSR);
    memset(area + AREA_ST, 0, AREA_XMM - AREA_ST);
    st16le(area, f->control);
    st16le(area + 2, fpu_status_word(f));
    area[4] = f->tags;
    st16le(area + 6, f->opcode);
    st64le(area + 8, i->osz == SZ64 ? f->ip : (uint32_t)f->ip | (uint64_t)f->cs << 32);
    st64le(area + 16, i->osz == SZ64 ? f->dp : (uint32_t)f->dp | (uint64_t)f->ds << 32);
    for (unsigned n = 0; n < 8; n++) {
        const Float80 *r = &f->reg[(f->top + n) & 7];
        st64le(area + AREA_ST + 16 * n, r->mant);
        st16le(area + AREA_ST + 16 * n + 8, r->sexp);
    }
}

static void x87_restore(Cpu *cpu, const Insn *i, const uint8_t *area)
{
    Fpu *f = &cpu->fpu;
    fpu_set_control_word(f, ld16le(area));
    fpu_set_status_word(f, ld16le(area + 2));
    f->tags = area[4];
    f->opcode = ld16le(area + 6) & 0x7ff;
    f->ip = i->osz == SZ64 ? ld64le(area + 8) : ld32le(area + 8);
    f->dp = i->osz == SZ64 ? ld64le(area + 16) : ld32le(area + 16);
    f->cs = i->osz == SZ64 ? 0 : ld16le(area + 12);
    f->ds = i->osz == SZ64 ? 0 : ld16le(area + 20);
    for (unsigned n = 0; n < 8; n++)
        f->reg[(f->top + n) & 7] =
            (Float80){ .mant = ld64le(area + AREA_ST + 16 * n), .sexp = ld16le(area + AREA_ST + 16 * n + 8) };
}

static void mxcsr_save(const Cpu *cpu, uint8_t *area)
{
    st32le(area + AREA_MXCSR, cpu->mxcsr);
    st32le(area + AREA_MXCSR + 4, MXCSR_VALID);
}

/* Quadwords 2 * half and 2 * half + 1 of each vector register: half 0 is XMM, half 1 the upper part of YMM. */
static void vectors_save(const Cpu *cpu, uint8_t *p, unsigned half)
{
    for (unsigned n = 0; n < vector_registers(cpu); n++, p += 16) {
        st64le(p, cpu->vec[n].q[2 * half]);
        st64le(p + 8, cpu->vec[n].q[2 * half + 1]);
    }
}
static void vectors_restore(Cpu *cpu, const uint8_t *p, unsigned half)
{
    for (unsigned n = 0; n < vector_registers(cpu); n++, p += 16) {
        cpu->vec[n].q[2 * half] = ld64le(p);
        cpu->vec[n].q[2 * half + 1] = ld64le(p + 8);
    }
}
static bool vectors_in_use(const Cpu *cpu, unsigned half)
{
    uint64_t any = 0;
    for (unsigned n = 0; n < vector_registers(cpu); n++)
        any |= cpu->vec[n].q[2 * half] | cpu->vec[n].q[2 * half + 1];
    return any != 0;
}

/* The area's offset, checked for alignment. */
static uint64_t area_address(Cpu *cpu, const Insn *i, unsigned size, bool write)
{
    uint64_t ea = insn_ea(cpu, i);
    unsigned align = size > AREA_LEGACY ? 64 : 16;
    if (segment_linear(cpu, i->seg, ea, size, write) & (align - 1))
        cpu_raise_gp(cpu);
    return ea;
}

/* XMM registers are left out without CR4.OSFXSR, and for the kernel with EFER.FFXSR (AMD APM vol. 2 11.4.4). */
static bool fxsave_has_xmm(const Cpu *cpu)
{
    return cpu->cr4 & CR4_OSFXSR && !(cpu->efer & EFER_FFXSR && cpu_code64(cpu) && !cpu->cpl);
}

static void fxsave(Cpu *cpu, const Insn *i)
{
    uint8_t area[AREA_LEGACY];
    uint64_t ea = area_address(cpu, i, AREA_LEGACY, true);
    unsigned size = fxsave_has_xmm(cpu) ? xmm_end(cpu) : AREA_XMM;
    mem_probe_write(cpu, i->seg, ea, AREA_LEGACY);
    x87_save(cpu, i, area);
    mxcsr_save(cpu, area);
    if (size > AREA_XMM)
        vectors_save(cpu, area + AREA_XMM, 0);
    mem_write_bytes(cpu, i->seg, ea, area, size);
}
SEM_1(fxsave)

static void fxrstor(Cpu *cpu, const Insn *i)
{
    uint8_t area[AREA_LEGACY];
    uint64_t ea = area_address(cpu, i, AREA_LEGACY, false);
    mem_read_bytes(cpu, i->seg, ea, area, AREA_LEGACY);
    uint32_t mxcsr = ld32le(area + AREA_MXCSR);
    if (mxcsr & ~MXCSR_VALID)
        cpu_raise_gp(cpu);
    x87_restore(cpu, i, area);
    cpu->mxcsr = mxcsr;
    if (fxsave_has_xmm(cpu))
        vectors_restore(cpu, area + AREA_XMM, 0);
}
SEM_1(fxrstor)

/* XSAVE and its kin check these themselves: no attribute of a row says the same. */
static void xsave_check(Cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise_ud(cpu);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
}

/* RFBM: what is asked for and enabled. */
static uint64_t requested_mask(const Cpu *cpu)
{
    return cpu->xcr0 & (reg32(cpu, R_AX) | (uint64_t)reg32(cpu, R_DX) << 32);
}

static bool x87_in_use(const Cpu *cpu)
{
    const Fpu *f = &cpu->fpu;
    uint64_t any = (f->control ^ FCW_INIT) | f->status | f->top | f->tags | f->opcode | f->ip | f->dp | f->cs | f->ds;
    for (unsigned n = 0; n < 8; n++)
        any |= f->reg[n].mant | f->reg[n].sexp;
    return any != 0;
}

/* XINUSE: components that are not in their initial state (SDM vol. 1 13.6). */
static uint64_t state_in_use(const Cpu *cpu)
{
    return (x87_in_use(cpu) ? STATE_X87 : 0) | (vectors_in_use(cpu, 0) ? STATE_SSE : 0) |
           (vectors_in_use(cpu, 1) ? STATE_AVX : 0);
}

static unsigned area_size(uint64_t mask) { return mask & STATE_AVX ? AREA_MAX : AREA_EXTENDED; }

/* Writes the components in `save` and MXCSR if asked; the area has been probed.  Bytes of others stay as they are. */
static void components_write(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t save, bool mxcsr)
{
    uint8_t area[AREA_MAX];
    if (save & STATE_X87) {
        x87_save(cpu, i, area);
        mem_write_bytes(cpu, i->seg, ea, area, AREA_MXCSR);
        mem_write_bytes(cpu, i->seg, ea + AREA_ST, area + AREA_ST, AREA_XMM - AREA_ST);
    }
    if (mxcsr) {
        mxcsr_save(cpu, area);
        mem_write_bytes(cpu, i->seg, ea + AREA_MXCSR, area + AREA_MXCSR, 8);
    }
    if (save & STATE_SSE) {
        vectors_save(cpu, area + AREA_XMM, 0);
        mem_write_bytes(cpu, i->seg, ea + AREA_XMM, area + AREA_XMM, xmm_end(cpu) - AREA_XMM);
    }
    if (save & STATE_AVX) {
        vectors_save(cpu, area + AREA_EXTENDED, 1);
        mem_write_bytes(cpu, i->seg, ea + AREA_EXTENDED, area + AREA_EXTENDED, 16 * vector_registers(cpu));
    }
}

/* XSAVE saves all that is asked for; XSAVEOPT leaves out what is in its initial state. */
static void xsave_standard(Cpu *cpu, const Insn *i, bool optimized)
{
    xsave_check(cpu);
    uint64_t rfbm = requested_mask(cpu), in_use = state_in_use(cpu);
    uint64_t ea = area_address(cpu, i, area_size(rfbm), true);
    mem_probe_write(cpu, i->seg, ea, area_size(rfbm));
    uint64_t old = mem_read64(cpu, i->seg, ea + AREA_XSTATE_BV);
    components_write(cpu, i, ea, optimized ? rfbm & in_use : rfbm, rfbm & (STATE_SSE | STATE_AVX));
    mem_write64(cpu, i->seg, ea + AREA_XSTATE_BV, (old & ~rfbm) | (rfbm & in_use));
}
static void xsave(Cpu *cpu, const Insn *i) { xsave_standard(cpu, i, false); }
SEM_1(xsave)
static void xsaveopt(Cpu *cpu, const Insn *i) { xsave_standard(cpu, i, true); }
SEM_1(xsaveopt)

/* The compacted form; AVX is the first extended component, so that it lies where the standard form has it. */
static void xsavec(Cpu *cpu, const Insn *i)
{
    xsave_check(cpu);
    uint64_t rfbm = requested_mask(cpu), save = rfbm & state_in_use(cpu);
    if (cpu->mxcsr != MXCSR_DEFAULT)
        save |= rfbm & STATE_SSE;
    uint64_t ea = area_address(cpu, i, area_size(rfbm), true);
    mem_probe_write(cpu, i->seg, ea, area_size(rfbm));
    components_write(cpu, i, ea, save, save & STATE_SSE);
    mem_write64(cpu, i->seg, ea + AREA_XSTATE_BV, save);
    mem_write64(cpu, i->seg, ea + AREA_XCOMP_BV, rfbm | XCOMP_COMPACT);
}
SEM_1(xsavec)

/* Header rules of XRSTOR (SDM vol. 1 13.8.1, 13.8.2): whether it may be loaded. */
static bool header_valid(const Cpu *cpu, const uint8_t *area)
{
    uint64_t present = ld64le(area + AREA_XSTATE_BV), layout = ld64le(area + AREA_XCOMP_BV), reserved = 0;
    for (unsigned n = AREA_XCOMP_BV + 8; n < AREA_EXTENDED; n += 8)
        reserved |= ld64le(area + n);
    if (!(layout & XCOMP_COMPACT))
        return !(present & ~cpu->xcr0) && !layout && !ld64le(area + AREA_XCOMP_BV + 8);
    if (!cpu_has(cpu, FEAT_XSAVEC))
        return false;
    layout &= ~XCOMP_COMPACT;
    return !(layout & ~cpu->xcr0) && !(present & ~layout) && !reserved;
}

/* A component that is asked for and not present becomes what a null area gives; x87 starts with its own FCW. */
static void components_restore(Cpu *cpu, const Insn *i, const uint8_t *area, uint64_t rfbm, uint64_t present)
{
    static const uint8_t initial[AREA_MAX] = { 0x7f, 0x03 };
    if (rfbm & STATE_X87)
        x87_restore(cpu, i, present & STATE_X87 ? area : initial);
    if (rfbm & STATE_SSE)
        vectors_restore(cpu, (present & STATE_SSE ? area : initial) + AREA_XMM, 0);
    if (rfbm & STATE_AVX)
        vectors_restore(cpu, (present & STATE_AVX ? area : initial) + AREA_EXTENDED, 1);
}

static void xrstor(Cpu *cpu, const Insn *i)
{
    uint8_t area[AREA_MAX];
    xsave_check(cpu);
    uint64_t rfbm = requested_mask(cpu), ea = area_address(cpu, i, area_size(rfbm), false);
    mem_read_bytes(cpu, i->seg, ea, area, area_size(rfbm));
    if (!header_valid(cpu, area))
        cpu_raise_gp(cpu);
    uint64_t present = ld64le(area + AREA_XSTATE_BV);
    bool compact = ld64le(area + AREA_XCOMP_BV) & XCOMP_COMPACT;
    uint32_t mxcsr = cpu->mxcsr;
    if (compact ? rfbm & present & STATE_SSE : rfbm & (STATE_SSE | STATE_AVX))
        mxcsr = ld32le(area + AREA_MXCSR);
    else if (rfbm & STATE_SSE)
        mxcsr = MXCSR_DEFAULT;
    if (mxcsr & ~MXCSR_VALID)
        cpu_raise_gp(cpu);
    cpu->mxcsr = mxcsr;
    components_restore(cpu, i, area, rfbm, present);
}
SEM_1(xrstor)
