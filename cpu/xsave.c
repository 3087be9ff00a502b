/*
 * XSAVE and its kin, XCR0 and IA32_XSS (SDM vol. 1 chapter 13, vol. 2 under each mnemonic).
 *
 * Overview.  x87 and SSE state lie in the legacy region, as FXSAVE has it (fxsave.c).  The other state components are
 * rows of a table, which says where their bytes are kept in Cpu and where they lie in an area: at fixed offsets in the
 * standard form, one after the other in the compacted one.  All of them start as zeros, so that XINUSE is found by
 * looking for anything else.
 */
#include "cpu/xsave.h"

#include <string.h>

#include "cpu/access.h"
#include "cpu/cet.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/simd_fp.h"
#include "cpu/system.h"
#include "cpu/x87.h"

enum { STATE_PKRU = 9, STATE_CET_USER = 11, STATE_CET_SUPERVISOR = 12 };
enum { LEGACY_STATE = XCR0_X87 | XCR0_SSE, EXTENDED_MAX = 2048 /* of the compacted form, without the header */ };
#define XCOMP_COMPACT BIT(63)

typedef struct Component {
    uint8_t bit;
    uint16_t size, narrow_size; /* narrow: what is moved outside 64-bit mode, which has eight vector registers */
    uint16_t offset;            /* in the standard form; 0: only the compacted form has it (supervisor state) */
    uint16_t place;             /* offset in Cpu of its first quadword */
    uint8_t run;                /* quadwords on end, in each of the vector registers that it is spread over */
} Component;

enum { YMM_RUN = 2, ZMM_RUN = 4 };

/* In the order of the compacted form.  None of these is aligned there (CPUID leaf 0Dh, ECX bit 1). */
static const Component components[] = {
    { 2, 256, 128, 576, offsetof(Cpu, vec[0].q[2]), YMM_RUN },
    { 5, 64, 64, 1088, offsetof(Cpu, opmask), 8 },
    { 6, 512, 256, 1152, offsetof(Cpu, vec[0].q[4]), ZMM_RUN },
    { 7, 1024, 0, 1664, offsetof(Cpu, vec[16]), 8 },
    { STATE_PKRU, 8, 8, 2688, offsetof(Cpu, pkru), 1 },
    { STATE_CET_USER, 16, 16, 0, offsetof(Cpu, u_cet), 1 }, /* the second is IA32_PL3_SSP */
    { STATE_CET_SUPERVISOR, 24, 24, 0, offsetof(Cpu, pl_ssp), 3 },
};

uint64_t xcr0_supported(const Cpu *cpu)
{
    if (!cpu_has(cpu, FEAT_XSAVE))
        return 0;
    return LEGACY_STATE | (cpu_has(cpu, FEAT_AVX) ? XCR0_AVX : 0) |
           (cpu_has(cpu, FEAT_AVX512F) ? XCR0_AVX512_STATE : 0) | (cpu_has(cpu, FEAT_PKU) ? XCR0_PKRU : 0);
}

uint64_t xss_supported(const Cpu *cpu)
{
    bool cet = cpu_has(cpu, FEAT_SHSTK) || cpu_has(cpu, FEAT_IBT);
    return cet && cpu_has(cpu, FEAT_XSAVES) ? XSS_CET_USER | XSS_CET_SUPERVISOR : 0;
}

static uint64_t state_supported(const Cpu *cpu) { return xcr0_supported(cpu) | xss_supported(cpu); }

static bool mask_has(uint64_t mask, const Component *c) { return mask >> c->bit & 1; }

static unsigned moved_size(const Cpu *cpu, const Component *c) { return cpu_code64(cpu) ? c->size : c->narrow_size; }

/* Quadword n.  Opmasks count as one run, as long as they are. */
static unsigned quad_place(const Component *c, unsigned n)
{
    if (c->bit == STATE_CET_USER && n)
        return offsetof(Cpu, pl_ssp[3]);
    return c->place + n / c->run * sizeof(Vec) + n % c->run * 8;
}
static uint64_t quad_read(const Cpu *cpu, const Component *c, unsigned n)
{
    return c->bit == STATE_PKRU ? cpu->pkru : *(const uint64_t *)((const char *)cpu + quad_place(c, n));
}
static void quad_write(Cpu *cpu, const Component *c, unsigned n, uint64_t v)
{
    if (c->bit == STATE_PKRU)
        pkru_set(cpu, v);
    else
        *(uint64_t *)((char *)cpu + quad_place(c, n)) = v;
}

/*
 * Vectors, which every switch of tasks moves, go by whole runs, whose length the compiler knows: the upper half of YMM
 * registers, and of ZMM ones.  The rest goes by quadwords.
 */
static inline __attribute__((always_inline)) void runs_save(const uint64_t *v, uint8_t *p, unsigned count, unsigned run)
{
    for (unsigned k = 0; k < count; k++, v += sizeof(Vec) / 8)
        for (unsigned n = 0; n < run; n++, p += 8)
            st64le(p, v[n]);
}
static inline __attribute__((always_inline)) void runs_load(uint64_t *v, const uint8_t *p, unsigned count, unsigned run)
{
    for (unsigned k = 0; k < count; k++, v += sizeof(Vec) / 8)
        for (unsigned n = 0; n < run; n++, p += 8)
            v[n] = ld64le(p);
}
static inline __attribute__((always_inline)) uint64_t runs_any(const uint64_t *v, unsigned count, unsigned run)
{
    uint64_t any = 0;
    for (unsigned k = 0; k < count; k++, v += sizeof(Vec) / 8)
        for (unsigned n = 0; n < run; n++)
            any |= v[n];
    return any;
}
static uint64_t *first_run(Cpu *cpu, const Component *c) { return (uint64_t *)((char *)cpu + c->place); }

static void component_save(Cpu *cpu, const Component *c, uint8_t *p)
{
    unsigned quads = moved_size(cpu, c) / 8u;
    if (c->run == YMM_RUN)
        runs_save(first_run(cpu, c), p, quads / YMM_RUN, YMM_RUN);
    else if (c->run == ZMM_RUN)
        runs_save(first_run(cpu, c), p, quads / ZMM_RUN, ZMM_RUN);
    else
        for (unsigned n = 0; n < quads; n++)
            st64le(p + 8 * n, quad_read(cpu, c, n));
}

/* p NULL: the initial state. */
static void component_load(Cpu *cpu, const Component *c, const uint8_t *p)
{
    static const uint8_t initial[1024];
    unsigned quads = moved_size(cpu, c) / 8u;
    p = p ? p : initial;
    if (c->run == YMM_RUN)
        runs_load(first_run(cpu, c), p, quads / YMM_RUN, YMM_RUN);
    else if (c->run == ZMM_RUN)
        runs_load(first_run(cpu, c), p, quads / ZMM_RUN, ZMM_RUN);
    else
        for (unsigned n = 0; n < quads; n++)
            quad_write(cpu, c, n, ld64le(p + 8 * n));
}

static bool component_in_use(Cpu *cpu, const Component *c)
{
    uint64_t any = 0;
    unsigned quads = moved_size(cpu, c) / 8u;
    if (c->run == YMM_RUN)
        return runs_any(first_run(cpu, c), quads / YMM_RUN, YMM_RUN);
    if (c->run == ZMM_RUN)
        return runs_any(first_run(cpu, c), quads / ZMM_RUN, ZMM_RUN);
    for (unsigned n = 0; n < quads; n++)
        any |= quad_read(cpu, c, n);
    return any != 0;
}

static bool x87_in_use(const Cpu *cpu)
{
    const Fpu *f = &cpu->fpu;
    uint64_t any = (f->control ^ FCW_INIT) | f->status | f->top | f->tags | f->opcode | f->ip | f->dp | f->cs | f->ds;
    for (unsigned n = 0; n < 8; n++)
        any |= f->reg[n].mant | f->reg[n].sexp;
    return any != 0;
}

/* XMM only: MXCSR counts where the manual says so. */
static bool sse_in_use(const Cpu *cpu)
{
    uint64_t any = 0;
    for (unsigned n = 0; n < area_vectors(cpu); n++)
        any |= cpu->vec[n].q[0] | cpu->vec[n].q[1];
    return any != 0;
}

/* XINUSE, as far as a mask asks for it: what is not in its initial state (SDM vol. 1 13.6). */
static uint64_t state_in_use(Cpu *cpu, uint64_t mask)
{
    uint64_t in_use = 0;
    if ((mask & XCR0_X87) && x87_in_use(cpu))
        in_use |= XCR0_X87;
    if ((mask & XCR0_SSE) && sse_in_use(cpu))
        in_use |= XCR0_SSE;
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++)
        if (mask_has(mask, &components[k]) && component_in_use(cpu, &components[k]))
            in_use |= BIT(components[k].bit);
    return in_use;
}

/* The same for the instructions that count an MXCSR of its own as SSE state. */
static uint64_t state_in_use_mxcsr(Cpu *cpu, uint64_t mask)
{
    return state_in_use(cpu, mask) | (cpu->mxcsr != MXCSR_DEFAULT ? mask & XCR0_SSE : 0);
}

/* Where a component lies when those of `layout` follow one another. */
static unsigned packed_offset(uint64_t layout, const Component *c)
{
    unsigned at = AREA_EXTENDED;
    for (const Component *before = components; before < c; before++)
        if (mask_has(layout, before))
            at += before->size;
    return at;
}

/* Intel's processors leave room for components that they lack, AMD's do not: software has to ask CPUID. */
static unsigned standard_offset(const Cpu *cpu, const Component *c)
{
    return cpu->model->vendor == VENDOR_AMD ? packed_offset(xcr0_supported(cpu), c) : c->offset;
}

/* With the header's XCOMP_BV, which is 0 in the standard form. */
static unsigned component_offset(const Cpu *cpu, const Component *c, uint64_t xcomp)
{
    return xcomp & XCOMP_COMPACT ? packed_offset(xcomp, c) : standard_offset(cpu, c);
}

unsigned xsave_area_size(const Cpu *cpu, uint64_t mask, bool compact)
{
    unsigned end = AREA_EXTENDED;
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++)
        if (mask_has(mask, &components[k]))
            end = MAX(end, component_offset(cpu, &components[k], compact ? mask | XCOMP_COMPACT : 0) +
                               components[k].size);
    return end;
}

void xsave_describe(const Cpu *cpu, unsigned bit, uint32_t out[4])
{
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (c->bit != bit || !mask_has(state_supported(cpu), c))
            continue;
        out[CPUID_EAX] = c->size;
        out[CPUID_EBX] = c->offset ? standard_offset(cpu, c) : 0;
        out[CPUID_ECX] = c->offset ? 0 : 1;
    }
}

/* XSAVE and its kin check these themselves: no attribute of a row says the same. */
static void xsave_check(Cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise_ud(cpu);
    if (cpu->cr0 & CR0_TS)
        cpu_raise(cpu, EXC_NM);
}

/* RFBM: what is asked for and enabled. */
static uint64_t requested_mask(const Cpu *cpu, uint64_t enabled)
{
    return enabled & (reg32(cpu, R_AX) | (uint64_t)reg32(cpu, R_DX) << 32);
}

/* The bytes that a save may touch: all can be written, or the fault comes before anything is. */
static void probe_area(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t save, uint64_t xcomp)
{
    mem_probe_write(cpu, i->seg, ea, AREA_EXTENDED);
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (mask_has(save, c) && moved_size(cpu, c))
            mem_probe_write(cpu, i->seg, ea + component_offset(cpu, c, xcomp), moved_size(cpu, c));
    }
}

/*
 * An area that lies in plain RAM within a page, as a kernel's mostly do, is written and read where it is: every switch of
 * tasks does both.  NULL: another way must be gone.
 */
static uint8_t *area_in_ram(Cpu *cpu, const Insn *i, uint64_t ea, unsigned size, bool write)
{
    unsigned room;
    uint8_t *p = mem_host_span(cpu, i->seg, ea, write, &room);
    return p && room >= size ? p : NULL;
}

/* The end of the components in a mask. */
static unsigned area_end(const Cpu *cpu, uint64_t mask, uint64_t xcomp)
{
    unsigned end = AREA_EXTENDED;
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++)
        if (mask_has(mask, &components[k]))
            end = MAX(end, component_offset(cpu, &components[k], xcomp) + components[k].size);
    return end;
}

static void save_in_ram(Cpu *cpu, const Insn *i, uint64_t ea, uint8_t *area, uint64_t save, bool mxcsr, uint64_t xcomp)
{
    if (save & XCR0_X87)
        area_save_x87(cpu, i, ea, area);
    if (mxcsr)
        area_save_mxcsr(cpu, area);
    if (save & XCR0_SSE)
        area_save_xmm(cpu, area);
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++)
        if (mask_has(save, &components[k]))
            component_save(cpu, &components[k], area + component_offset(cpu, &components[k], xcomp));
}

static void save_legacy(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t save, bool mxcsr)
{
    uint8_t area[AREA_LEGACY];
    if (save & XCR0_X87) {
        area_save_x87(cpu, i, ea, area);
        mem_write_bytes(cpu, i->seg, ea, area, AREA_MXCSR);
        mem_write_bytes(cpu, i->seg, ea + AREA_ST, area + AREA_ST, AREA_XMM - AREA_ST);
    }
    if (mxcsr) {
        area_save_mxcsr(cpu, area);
        mem_write_bytes(cpu, i->seg, ea + AREA_MXCSR, area + AREA_MXCSR, AREA_ST - AREA_MXCSR);
    }
    if (save & XCR0_SSE) {
        area_save_xmm(cpu, area);
        mem_write_bytes(cpu, i->seg, ea + AREA_XMM, area + AREA_XMM, 16 * area_vectors(cpu));
    }
}

/* Writes the components in `save`, and MXCSR if asked, or faults before.  Bytes of others stay as they are. */
static void save_state(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t save, bool mxcsr, uint64_t xcomp)
{
    uint8_t buffer[EXTENDED_MAX], *area = area_in_ram(cpu, i, ea, area_end(cpu, save, xcomp), true);
    if (likely(area != NULL)) {
        save_in_ram(cpu, i, ea, area, save, mxcsr, xcomp);
        return;
    }
    probe_area(cpu, i, ea, save, xcomp);
    save_legacy(cpu, i, ea, save, mxcsr);
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (!mask_has(save, c) || !moved_size(cpu, c))
            continue;
        component_save(cpu, c, buffer);
        mem_write_bytes(cpu, i->seg, ea + component_offset(cpu, c, xcomp), buffer, moved_size(cpu, c));
    }
}

/* XSAVE saves all that is asked for; XSAVEOPT leaves out what is in its initial state. */
static void xsave_standard(Cpu *cpu, const Insn *i, bool optimized)
{
    xsave_check(cpu);
    uint64_t rfbm = requested_mask(cpu, cpu->xcr0), in_use = state_in_use(cpu, rfbm);
    uint64_t save = optimized ? in_use : rfbm, ea = area_address(cpu, i, 64, true);
    uint64_t old = mem_read64(cpu, i->seg, ea + AREA_XSTATE_BV);
    save_state(cpu, i, ea, save, rfbm & XCR0_AVX_STATE, 0);
    mem_write64(cpu, i->seg, ea + AREA_XSTATE_BV, (old & ~rfbm) | in_use);
}
static void xsave(Cpu *cpu, const Insn *i) { xsave_standard(cpu, i, false); }
SEM_1(xsave)
static void xsaveopt(Cpu *cpu, const Insn *i) { xsave_standard(cpu, i, true); }
SEM_1(xsaveopt)

static void xsave_compacted(Cpu *cpu, const Insn *i, uint64_t rfbm)
{
    uint64_t save = state_in_use_mxcsr(cpu, rfbm), xcomp = rfbm | XCOMP_COMPACT;
    uint64_t ea = area_address(cpu, i, 64, true);
    save_state(cpu, i, ea, save, save & XCR0_SSE, xcomp);
    mem_write64(cpu, i->seg, ea + AREA_XSTATE_BV, save);
    mem_write64(cpu, i->seg, ea + AREA_XCOMP_BV, xcomp);
}
static void xsavec(Cpu *cpu, const Insn *i)
{
    xsave_check(cpu);
    xsave_compacted(cpu, i, requested_mask(cpu, cpu->xcr0));
}
SEM_1(xsavec)

/* XSAVES and XRSTORS: the compacted form only, with supervisor state. */
static uint64_t supervisor_mask(Cpu *cpu)
{
    xsave_check(cpu);
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
    return requested_mask(cpu, cpu->xcr0 | cpu->xss);
}
static void xsaves(Cpu *cpu, const Insn *i) { xsave_compacted(cpu, i, supervisor_mask(cpu)); }
SEM_1(xsaves)

/* What XRSTOR and XRSTORS found in memory, read before anything is loaded. */
typedef struct Image {
    uint64_t present, xcomp;
    const uint8_t *in_ram;          /* the area itself, where that is so; else NULL, and the components are in `extended` */
    uint8_t legacy[AREA_EXTENDED];
    uint8_t extended[EXTENDED_MAX]; /* each component where packed_offset of all of them puts it */
} Image;

static unsigned place_in_extended(const Component *c) { return packed_offset(~UINT64_C(0), c) - AREA_EXTENDED; }

static const uint8_t *image_component(const Cpu *cpu, const Image *image, const Component *c)
{
    if (image->in_ram)
        return image->in_ram + component_offset(cpu, c, image->xcomp);
    return image->extended + place_in_extended(c);
}

static bool header_is_zero(const Image *image, unsigned from, unsigned to)
{
    uint64_t any = 0;
    for (unsigned n = from; n < to; n += 8)
        any |= ld64le(image->legacy + n);
    return !any;
}

/* Header rules (SDM vol. 1 13.8.1, 13.8.2, 13.12): whether it may be loaded, with `enabled` components. */
static bool header_valid(const Cpu *cpu, const Image *image, uint64_t enabled)
{
    uint64_t layout = image->xcomp & ~XCOMP_COMPACT;
    if (!(image->xcomp & XCOMP_COMPACT))
        return !(image->present & ~enabled) && header_is_zero(image, AREA_XCOMP_BV, AREA_XCOMP_BV + 16);
    return cpu_has(cpu, FEAT_XSAVEC) && !(layout & ~enabled) && !(image->present & ~layout) &&
           header_is_zero(image, AREA_XCOMP_BV + 8, AREA_EXTENDED);
}

/* Supervisor state is copied before it is checked: other processors may write to the area meanwhile. */
static void image_read(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t rfbm, Image *image)
{
    uint64_t load = rfbm & image->present;
    image->in_ram = NULL;
    if (!(load & (XSS_CET_USER | XSS_CET_SUPERVISOR)))
        image->in_ram = area_in_ram(cpu, i, ea, area_end(cpu, load, image->xcomp), false);
    if (image->in_ram)
        return;
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (mask_has(load, c) && moved_size(cpu, c))
            mem_read_bytes(cpu, i->seg, ea + component_offset(cpu, c, image->xcomp),
                           image->extended + place_in_extended(c), moved_size(cpu, c));
    }
}

/* XRSTORS checks what it loads into MSRs as WRMSR does. */
static bool supervisor_state_valid(const Cpu *cpu, const Image *image, uint64_t rfbm)
{
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (c->bit < STATE_CET_USER || !mask_has(rfbm & image->present, c))
            continue;
        for (unsigned n = 0; n < c->size / 8u; n++) {
            uint64_t v = ld64le(image_component(cpu, image, c) + 8 * n);
            if (c->bit == STATE_CET_USER && n == 0 ? !cet_control_valid(cpu, v) : !cet_ssp_valid(cpu, v))
                return false;
        }
    }
    return true;
}

/* The compacted form has MXCSR as part of SSE, the standard one by itself, with SSE or AVX. */
static uint32_t image_mxcsr(const Cpu *cpu, const Image *image, uint64_t rfbm)
{
    if (image->xcomp & XCOMP_COMPACT ? rfbm & image->present & XCR0_SSE : rfbm & XCR0_AVX_STATE)
        return ld32le(image->legacy + AREA_MXCSR);
    return rfbm & XCR0_SSE ? MXCSR_DEFAULT : cpu->mxcsr;
}

/* Components that are asked for and not present become what they are after reset. */
static void image_load(Cpu *cpu, const Insn *i, Image *image, uint64_t rfbm)
{
    static const uint8_t no_xmm[AREA_LEGACY];
    if (rfbm & image->present & XCR0_X87)
        area_load_x87(cpu, i, image->legacy);
    else if (rfbm & XCR0_X87)
        cpu->fpu = (Fpu){ .control = FCW_INIT };
    if (rfbm & XCR0_SSE)
        area_load_xmm(cpu, image->present & XCR0_SSE ? image->legacy : no_xmm);
    for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
        const Component *c = &components[k];
        if (mask_has(rfbm, c))
            component_load(cpu, c, mask_has(image->present, c) ? image_component(cpu, image, c) : NULL);
    }
}

static void restore(Cpu *cpu, const Insn *i, uint64_t enabled, bool compact_only)
{
    Image image;
    uint64_t rfbm = requested_mask(cpu, enabled), ea = area_address(cpu, i, 64, false);
    mem_read_bytes(cpu, i->seg, ea, image.legacy, AREA_EXTENDED);
    image.present = ld64le(image.legacy + AREA_XSTATE_BV);
    image.xcomp = ld64le(image.legacy + AREA_XCOMP_BV);
    if ((compact_only && !(image.xcomp & XCOMP_COMPACT)) || !header_valid(cpu, &image, enabled))
        cpu_raise_gp(cpu);
    image_read(cpu, i, ea, rfbm, &image);
    uint32_t mxcsr = image_mxcsr(cpu, &image, rfbm);
    if (!supervisor_state_valid(cpu, &image, rfbm))
        cpu_raise_gp(cpu);
    if (mxcsr & ~mxcsr_valid(cpu))
        cpu_raise_gp(cpu);
    cpu->mxcsr = mxcsr;
    image_load(cpu, i, &image, rfbm);
}

static void xrstor(Cpu *cpu, const Insn *i)
{
    xsave_check(cpu);
    restore(cpu, i, cpu->xcr0, false);
}
SEM_1(xrstor)

static void xrstors(Cpu *cpu, const Insn *i)
{
    supervisor_mask(cpu);
    restore(cpu, i, cpu->xcr0 | cpu->xss, true);
    if (cpu->xss)
        cpu_update_mode(cpu);
}
SEM_1(xrstors)

/* XCR1 reads as what of XCR0 is in use (SDM vol. 1 13.2). */
static void xgetbv(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise_ud(cpu);
    uint32_t n = reg32(cpu, R_CX);
    if (n > 1 || (n == 1 && !cpu_has(cpu, FEAT_XGETBV1)))
        cpu_raise_gp(cpu);
    uint64_t v = n ? state_in_use_mxcsr(cpu, cpu->xcr0) : cpu->xcr0;
    set_reg32(cpu, R_AX, v);
    set_reg32(cpu, R_DX, v >> 32);
}
SEM_1(xgetbv)

/* AVX needs SSE; AVX-512 has three components, all or none, and needs AVX (SDM vol. 1 13.3). */
static bool xcr0_valid(const Cpu *cpu, uint64_t v)
{
    const uint64_t avx512 = XCR0_AVX512_STATE & ~XCR0_AVX_STATE;
    if ((v & ~xcr0_supported(cpu)) || !(v & XCR0_X87))
        return false;
    if ((v & XCR0_AVX) && !(v & XCR0_SSE))
        return false;
    return !(v & avx512) || (v & XCR0_AVX512_STATE) == XCR0_AVX512_STATE;
}

bool xcr0_set(Cpu *cpu, uint64_t v)
{
    if (!xcr0_valid(cpu, v))
        return false;
    cpu->xcr0 = v;
    cpu_update_mode(cpu);
    return true;
}

static void xsetbv(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_raise_ud(cpu);
    uint64_t v = reg32(cpu, R_AX) | (uint64_t)reg32(cpu, R_DX) << 32;
    if (cpu->cpl != 0 || reg32(cpu, R_CX) != 0 || !xcr0_set(cpu, v))
        cpu_raise_gp(cpu);
}
SEM_1(xsetbv)
