/*
 * FXSAVE and FXRSTOR, and the part of their area that XSAVE shares (SDM vol. 1 10.5, vol. 2 under each mnemonic).
 */
#include <string.h>

#include "cpu/access.h"
#include "cpu/model.h"
#include "cpu/simd_fp.h"
#include "cpu/x87.h"
#include "cpu/xsave.h"

enum { AREA_POINTERS = 6 /* FOP, FIP, FCS, FDP, FDS */ };

/*
 * AMD's processors have pointers only while an unmasked exception is pending (AMD APM vol. 2 11.4.4).  Otherwise Zen
 * saves zeros, which CPUID 80000008h EBX bit 2 tells, and those before it leave memory and registers alone.
 */
static bool has_pointers(const Cpu *cpu)
{
    return cpu->model->vendor != VENDOR_AMD || cpu->fpu.status & FSW_ES;
}

/* With REX.W the pointers have 64 bits and no selector. */
static void save_pointers(const Fpu *f, bool wide, uint8_t *area)
{
    st16le(area + 6, f->opcode);
    st64le(area + 8, wide ? f->ip : (uint32_t)f->ip | (uint64_t)f->cs << 32);
    st64le(area + 16, wide ? f->dp : (uint32_t)f->dp | (uint64_t)f->ds << 32);
}
static void load_pointers(Fpu *f, bool wide, const uint8_t *area)
{
    f->opcode = ld16le(area + 6) & 0x7ff;
    f->ip = wide ? ld64le(area + 8) : ld32le(area + 8);
    f->dp = wide ? ld64le(area + 16) : ld32le(area + 16);
    f->cs = wide ? 0 : ld16le(area + 12);
    f->ds = wide ? 0 : ld16le(area + 20);
}

void area_save_x87(Cpu *cpu, const Insn *i, uint64_t ea, uint8_t *area)
{
    const Fpu *f = &cpu->fpu;
    st16le(area, f->control);
    st16le(area + 2, fpu_status_word(f));
    st16le(area + 4, f->tags);
    if (likely(has_pointers(cpu)))
        save_pointers(f, i->osz == SZ64, area);
    else if (cpu_has(cpu, FEAT_XSAVEERPTR))
        memset(area + AREA_POINTERS, 0, AREA_MXCSR - AREA_POINTERS);
    else
        mem_read_bytes(cpu, i->seg, ea + AREA_POINTERS, area + AREA_POINTERS, AREA_MXCSR - AREA_POINTERS);
    for (unsigned n = 0; n < 8; n++) {
        const Float80 *r = &f->reg[(f->top + n) & 7];
        st64le(area + AREA_ST + 16 * n, r->mant);
        st64le(area + AREA_ST + 16 * n + 8, r->sexp);
    }
}

void area_load_x87(Cpu *cpu, const Insn *i, const uint8_t *area)
{
    Fpu *f = &cpu->fpu;
    fpu_set_control_word(f, ld16le(area));
    fpu_set_status_word(f, ld16le(area + 2));
    f->tags = area[4];
    if (has_pointers(cpu))
        load_pointers(f, i->osz == SZ64, area);
    for (unsigned n = 0; n < 8; n++)
        f->reg[(f->top + n) & 7] =
            (Float80){ .mant = ld64le(area + AREA_ST + 16 * n), .sexp = ld16le(area + AREA_ST + 16 * n + 8) };
}

void area_save_mxcsr(const Cpu *cpu, uint8_t *area)
{
    st32le(area + AREA_MXCSR, cpu->mxcsr);
    st32le(area + AREA_MXCSR + 4, mxcsr_valid(cpu));
}

void area_save_xmm(const Cpu *cpu, uint8_t *area)
{
    for (unsigned n = 0; n < area_vectors(cpu); n++) {
        st64le(area + AREA_XMM + 16 * n, cpu->vec[n].q[0]);
        st64le(area + AREA_XMM + 16 * n + 8, cpu->vec[n].q[1]);
    }
}

void area_load_xmm(Cpu *cpu, const uint8_t *area)
{
    for (unsigned n = 0; n < area_vectors(cpu); n++) {
        cpu->vec[n].q[0] = ld64le(area + AREA_XMM + 16 * n);
        cpu->vec[n].q[1] = ld64le(area + AREA_XMM + 16 * n + 8);
    }
}

uint64_t area_address(Cpu *cpu, const Insn *i, unsigned align, bool write)
{
    uint64_t ea = insn_ea(cpu, i);
    if (segment_linear(cpu, i->seg, ea, AREA_LEGACY, write) & (align - 1))
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
    uint64_t ea = area_address(cpu, i, 16, true);
    mem_probe_write(cpu, i->seg, ea, AREA_LEGACY);
    area_save_x87(cpu, i, ea, area);
    area_save_mxcsr(cpu, area);
    area_save_xmm(cpu, area);
    mem_write_bytes(cpu, i->seg, ea, area, AREA_XMM + (fxsave_has_xmm(cpu) ? 16 * area_vectors(cpu) : 0));
}
SEM_1(fxsave)

static void fxrstor(Cpu *cpu, const Insn *i)
{
    uint8_t area[AREA_LEGACY];
    uint64_t ea = area_address(cpu, i, 16, false);
    mem_read_bytes(cpu, i->seg, ea, area, AREA_LEGACY);
    uint32_t mxcsr = ld32le(area + AREA_MXCSR);
    if (mxcsr & ~mxcsr_valid(cpu))
        cpu_raise_gp(cpu);
    area_load_x87(cpu, i, area);
    cpu->mxcsr = mxcsr;
    if (fxsave_has_xmm(cpu))
        area_load_xmm(cpu, area);
}
SEM_1(fxrstor)
