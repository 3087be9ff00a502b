/*
 * Registers by name: what a new value brings about (registers.h).
 *
 * A function for each kind returns NULL, or why the machine cannot have that value.
 */
#include "cpu/registers_internal.h"

#include "cpu/cet.h"
#include "cpu/cpu.h"
#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/simd_fp.h"
#include "cpu/system.h"
#include "cpu/x87.h"

typedef const char *WriteFn(Cpu *cpu, const CpuRegister *r, uint64_t v);

/* The part that r names of a register that holds `old`, replaced: the rest of it stays. */
static uint64_t merge(const CpuRegister *r, uint64_t old, uint64_t v)
{
    return (old & ~bit_mask(r->bits)) | (v & bit_mask(r->bits));
}

/* Where a CPU waits in HLT, it goes on from its new place. */
static const char *write_rip(Cpu *cpu, uint64_t v)
{
    if (v & ~cpu->rip_mask)
        return "it has 32 bits outside 64-bit code";
    if (v != cpu->rip && cpu->run_state == CPU_HALTED)
        cpu->run_state = CPU_RUNNING;
    cpu->rip = v;
    return NULL;
}

static const char *write_gpr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    if (r->bits == 8)
        set_reg8(cpu, r->index, v);
    else if (r->index == R_IP)
        return write_rip(cpu, merge(r, cpu->rip, v));
    else
        cpu->gpr[r->index] = merge(r, cpu->gpr[r->index], v);
    return NULL;
}

static const char *write_flags(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    const uint32_t flags = F_ARITH | F_SYSTEM | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_VIF |
                           EFLAGS_VIP | EFLAGS_ID;
    uint32_t old = cpu_eflags(cpu);
    uint64_t changed = old ^ merge(r, old, v);
    if (changed & EFLAGS_VM)
        return "virtual-8086 mode begins and ends with a load of all segments (IRET)";
    if (changed & ~(uint64_t)flags)
        return "such a flag does not exist";
    cpu_set_eflags(cpu, old ^ changed, flags);
    return NULL;
}

/* The descriptor of a selector, without a trace; false when there is none. */
static bool peek_descriptor(Cpu *cpu, uint16_t sel, bool wide, Descriptor *d)
{
    uint8_t bytes[16] = { 0 };
    const Segment *ldt = &cpu->seg[SEG_LDTR];
    uint32_t offset = sel & ~7u, size = wide ? 16 : 8, limit = sel & 4 ? ldt->limit : cpu->gdtr.limit;
    if (selector_null(sel) || offset + size - 1 > limit || ((sel & 4) && !(ldt->attr & SA_P)))
        return false;
    uint64_t la = (sel & 4 ? ldt->base : cpu->gdtr.base) + offset;
    if (!cpu_read_linear(cpu, cpu->long_mode ? la : (uint32_t)la, bytes, size))
        return false;
    *d = (Descriptor){ .w0 = ld32le(bytes), .w1 = ld32le(bytes + 4), .high = ld32le(bytes + 8), .la = la };
    return true;
}

static bool is_tss(const Cpu *cpu, uint16_t attr)
{
    unsigned type = attr_system_type(attr) | SYS_BUSY;
    return type == SYS_TSS32_BUSY || (type == SYS_TSS16_BUSY && !cpu->long_mode);
}

/* Whether a segment register can hold what a descriptor says; privilege is the instructions' affair. */
static bool is_loadable(const Cpu *cpu, unsigned seg, uint16_t sel, uint16_t attr)
{
    if (!(attr & SA_P))
        return false;
    switch (seg) {
    case SEG_CS: return attr_is_code(attr) && !attr_bad_long(cpu, attr);
    case SEG_SS: return attr_is_writable_data(attr);
    case SEG_LDTR: return !(sel & 4) && attr_system_type(attr) == SYS_LDT;
    case SEG_TR: return !(sel & 4) && is_tss(cpu, attr);
    default: return attr_is_readable(attr);
    }
}

/* Loads the descriptor as it is loaded (accessed, a TSS busy), but leaves the table alone. */
static void load_selector(Cpu *cpu, unsigned seg, uint16_t sel)
{
    bool system = seg >= SEG_LDTR;
    Segment *s = &cpu->seg[seg];
    Descriptor d;
    if (selector_null(sel) && seg != SEG_CS && seg != SEG_SS && seg != SEG_TR) {
        *s = (Segment){ .sel = sel };
    } else if (peek_descriptor(cpu, sel, system && cpu->long_mode, &d) &&
               is_loadable(cpu, seg, sel, descriptor_attr(&d))) {
        segment_from_descriptor(s, sel, &d);
        s->attr |= seg == SEG_TR ? SYS_BUSY : system ? 0 : SA_ACCESSED;
    } else {
        s->sel = sel;
    }
}

static const char *write_selector(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    unsigned seg = r->index;
    if (!cpu->protected_mode && seg >= SEG_LDTR)
        cpu->seg[seg].sel = v;
    else if (cpu_v86(cpu))
        segment_load_v86(cpu, seg, v);
    else if (!cpu->protected_mode)
        segment_load_real(cpu, seg, v);
    else
        load_selector(cpu, seg, v);
    cpu_update_mode(cpu);
    return NULL;
}

/* Linear addresses that registers hold: canonical, or of 32 bits. */
static bool is_linear(const Cpu *cpu, uint64_t v)
{
    return cpu_has(cpu, FEAT_LM) ? cpu_canonical_register(cpu, v) : !(v >> 32);
}
static const char not_linear[] = "no linear address";

/* Puts a changed segment in place, if there can be one like that (SDM vol. 3A 3.4.5; vol. 3C 27.3.1.2). */
static const char *replace_segment(Cpu *cpu, unsigned seg, const Segment *new)
{
    if (cpu_v86(cpu) && seg <= SEG_GS)
        return "it follows from the selector in virtual-8086 mode";
    if (seg == SEG_CS && attr_bad_long(cpu, new->attr))
        return "L and D exclude each other";
    if (new->attr & SA_G ? (new->limit & 0xfff) != 0xfff : new->limit > 0xfffff)
        return "no granularity (G in the attributes) gives such a limit";
    cpu->seg[seg] = *new;
    cpu_update_mode(cpu);
    cpu->rip &= cpu->rip_mask;
    return NULL;
}

/* Only FS, GS and the system segments have a base of 64 bits. */
static const char *write_base(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    Segment s = cpu->seg[r->index];
    if (r->index < SEG_FS && v >> 32)
        return "it has 32 bits";
    if (!is_linear(cpu, v))
        return not_linear;
    s.base = v;
    return replace_segment(cpu, r->index, &s);
}

/* The granularity follows, as far as it must. */
static const char *write_limit(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    Segment s = cpu->seg[r->index];
    s.limit = v;
    if ((v & 0xfff) != 0xfff)
        s.attr &= ~SA_G;
    else if (v > 0xfffff)
        s.attr |= SA_G;
    return replace_segment(cpu, r->index, &s);
}

static const char *write_attr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    Segment s = cpu->seg[r->index];
    if (v & 0xf00)
        return "bits 8 to 11 are not there";
    s.attr = v;
    return replace_segment(cpu, r->index, &s);
}

static const char *write_table_base(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    if (!is_linear(cpu, v))
        return not_linear;
    register_table(cpu, r)->base = v;
    return NULL;
}

static const char *write_table_limit(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    register_table(cpu, r)->limit = v;
    return NULL;
}

/* As the instruction does it; false when that raises an exception.  Nothing that runs needs `unwind`. */
static bool attempt(Cpu *cpu, void (*write)(Cpu *cpu, uint64_t v), uint64_t v)
{
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return false;
    }
    write(cpu, v);
    return true;
}

static void cr2_write(Cpu *cpu, uint64_t v) { cpu->cr2 = v; }

static const char *write_cr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    static void (*const write[])(Cpu *, uint64_t) = { [0] = cr0_write, [2] = cr2_write, [3] = cr3_write,
                                                      [4] = cr4_write, [8] = cr8_write };
    return attempt(cpu, write[r->index], v) ? NULL : "MOV would raise #GP";
}

static const char *write_dr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    if (r->index >= 6 ? v >> 32 != 0 : !is_linear(cpu, v))
        return "MOV would raise #GP, or it would never match";
    dr_set(cpu, r->index, v);
    return NULL;
}

#define MSR_EFER 0xc0000080
static const char *write_efer(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    (void)r;
    if ((v ^ cpu->efer) & EFER_LMA)
        return "LMA follows from LME and CR0.PG";
    return msr_write(cpu, MSR_EFER, v) ? NULL : "WRMSR would raise #GP";
}

static const char *write_xcr0(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    (void)r;
    return xcr0_set(cpu, v) ? NULL : "XSETBV would raise #GP";
}

static const char *write_ssp(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    (void)r;
    if (!cet_ssp_valid(cpu, v))
        return "no linear address that is a multiple of 4";
    cpu->ssp = v;
    return NULL;
}

static const char *write_pkru(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    (void)r;
    pkru_set(cpu, v);
    return NULL;
}

static const char *write_mxcsr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    (void)r;
    if (v & ~mxcsr_valid(cpu))
        return "LDMXCSR would raise #GP";
    cpu->mxcsr = v;
    return NULL;
}

static const char *write_fpu(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    Fpu *f = &cpu->fpu;
    switch (r->index) {
    case FPU_CONTROL: fpu_set_control_word(f, v); break;
    case FPU_STATUS: fpu_set_status_word(f, v); break;
    case FPU_TAG: fpu_set_tag_word(f, v); break;
    case FPU_IP_SELECTOR: f->cs = v; break;
    case FPU_IP: f->ip = v; break;
    case FPU_DP_SELECTOR: f->ds = v; break;
    case FPU_DP: f->dp = v; break;
    default: f->opcode = v & 0x7ff; break;
    }
    return NULL;
}

/* Its exponent becomes all ones, as with every MMX instruction (SDM vol. 1 9.2.1). */
static const char *write_mm(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    cpu->fpu.reg[r->index] = (Float80){ v, 0xffff };
    return NULL;
}

static const char *write_mask(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    cpu->opmask[r->index] = v;
    return NULL;
}

static const char *write_msr(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    return msr_write(cpu, r->index, v) ? NULL : "WRMSR would raise #GP";
}

static WriteFn *const writers[REGISTER_KINDS] = {
    [KIND_GPR] = write_gpr, [KIND_FLAGS] = write_flags, [KIND_SELECTOR] = write_selector, [KIND_BASE] = write_base,
    [KIND_LIMIT] = write_limit, [KIND_ATTR] = write_attr, [KIND_TABLE_BASE] = write_table_base,
    [KIND_TABLE_LIMIT] = write_table_limit, [KIND_CR] = write_cr, [KIND_DR] = write_dr, [KIND_EFER] = write_efer,
    [KIND_XCR0] = write_xcr0, [KIND_SSP] = write_ssp, [KIND_PKRU] = write_pkru, [KIND_MXCSR] = write_mxcsr,
    [KIND_FPU] = write_fpu, [KIND_MM] = write_mm, [KIND_MASK] = write_mask, [KIND_MSR] = write_msr,
};

const char *register_write(Cpu *cpu, const CpuRegister *r, uint64_t v)
{
    WriteFn *write = writers[register_kind(r)];
    return write ? write(cpu, r, v) : "it follows from other registers";
}
