/*
 * Registers by name: finding and reading them, and the way to writing (registers.h).
 *
 * A row's kind says where the register is kept (registers_internal.h), and each kind has a function that reads, here,
 * and one that writes (register_write.c).
 */
#include "cpu/registers.h"

#include <inttypes.h>

#include "core/error.h"
#include "cpu/flags.h"
#include "cpu/registers_internal.h"
#include "cpu/system.h"
#include "cpu/x87_internal.h"

/* ---- finding ---- */

static bool is_there(Cpu *cpu, const CpuRegister *r)
{
    uint64_t v;
    switch (register_kind(r)) {
    case KIND_MSR: return msr_read(cpu, r->index, &v);
    case KIND_EFER: return efer_allowed(cpu) != 0;
    case KIND_CR: return r->index == 4 ? cr4_allowed(cpu) != 0 : cpu_has(cpu, register_feature(r));
    default: return register_feature(r) == FEAT_BASE || cpu_has(cpu, register_feature(r));
    }
}

/* "msr_c0000081" */
static bool find_msr(const char *name, CpuRegister *out)
{
    char *end;
    if (g_ascii_strncasecmp(name, "msr_", 4) || !g_ascii_isxdigit(name[4]))
        return false;
    uint64_t number = g_ascii_strtoull(name + 4, &end, 16);
    if (*end || number >> 32)
        return false;
    *out = (CpuRegister){ "msr", REGISTER_MSR, 64, REGISTER_WHICH(KIND_MSR, FEAT_BASE), number };
    return true;
}

bool cpu_register_find(const Cpu *cpu, const char *name, CpuRegister *out)
{
    bool found = false;
    for (unsigned k = 0; k < cpu_register_count && !found; k++)
        if ((found = !g_ascii_strcasecmp(cpu_registers[k].name, name)))
            *out = cpu_registers[k];
    found = found || find_msr(name, out);
    return found && (!cpu || is_there((Cpu *)cpu, out)); /* reading an MSR leaves the CPU as it is */
}

/* ---- reading ---- */

typedef uint64_t ReadFn(Cpu *cpu, const CpuRegister *r);

static uint64_t read_gpr(Cpu *cpu, const CpuRegister *r)
{
    return r->bits == 8 ? reg8(cpu, r->index) : cpu->gpr[r->index];
}

static uint64_t read_flags(Cpu *cpu, const CpuRegister *r)
{
    (void)r;
    return cpu_eflags(cpu);
}

static uint64_t read_selector(Cpu *cpu, const CpuRegister *r) { return cpu->seg[r->index].sel; }
static uint64_t read_base(Cpu *cpu, const CpuRegister *r) { return cpu->seg[r->index].base; }
static uint64_t read_limit(Cpu *cpu, const CpuRegister *r) { return cpu->seg[r->index].limit; }
static uint64_t read_attr(Cpu *cpu, const CpuRegister *r) { return cpu->seg[r->index].attr; }

static uint64_t read_table_base(Cpu *cpu, const CpuRegister *r) { return register_table(cpu, r)->base; }
static uint64_t read_table_limit(Cpu *cpu, const CpuRegister *r) { return register_table(cpu, r)->limit; }

static uint64_t read_cr(Cpu *cpu, const CpuRegister *r)
{
    switch (r->index) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    default: return cr8_read(cpu);
    }
}

static uint64_t read_dr(Cpu *cpu, const CpuRegister *r) { return cpu->dr[r->index]; }

/* A register that is a field of Cpu. */
#define READ_FIELD(field)                                                                                              \
    static uint64_t read_##field(Cpu *cpu, const CpuRegister *r)                                                       \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        return cpu->field;                                                                                             \
    }
READ_FIELD(efer)
READ_FIELD(xcr0)
READ_FIELD(cpl)
READ_FIELD(ssp)
READ_FIELD(pkru)
READ_FIELD(mxcsr)

static uint64_t read_fpu(Cpu *cpu, const CpuRegister *r)
{
    const Fpu *f = &cpu->fpu;
    switch (r->index) {
    case FPU_CONTROL: return f->control;
    case FPU_STATUS: return fpu_status_word(f);
    case FPU_TAG: return fpu_tag_word(f);
    case FPU_IP_SELECTOR: return f->cs;
    case FPU_IP: return f->ip;
    case FPU_DP_SELECTOR: return f->ds;
    case FPU_DP: return f->dp;
    default: return f->opcode;
    }
}

static uint64_t read_st(Cpu *cpu, const CpuRegister *r) { return st(cpu, r->index)->mant; }
static uint64_t read_mm(Cpu *cpu, const CpuRegister *r) { return cpu->fpu.reg[r->index].mant; }
static uint64_t read_vector(Cpu *cpu, const CpuRegister *r) { return cpu->vec[r->index].q[0]; }
static uint64_t read_mask(Cpu *cpu, const CpuRegister *r) { return cpu->opmask[r->index]; }

static uint64_t read_msr(Cpu *cpu, const CpuRegister *r)
{
    uint64_t v;
    return msr_read(cpu, r->index, &v) ? v : 0;
}

static ReadFn *const readers[REGISTER_KINDS] = {
    [KIND_GPR] = read_gpr, [KIND_FLAGS] = read_flags, [KIND_SELECTOR] = read_selector, [KIND_BASE] = read_base,
    [KIND_LIMIT] = read_limit, [KIND_ATTR] = read_attr, [KIND_TABLE_BASE] = read_table_base,
    [KIND_TABLE_LIMIT] = read_table_limit, [KIND_CR] = read_cr, [KIND_DR] = read_dr, [KIND_EFER] = read_efer,
    [KIND_XCR0] = read_xcr0, [KIND_CPL] = read_cpl, [KIND_SSP] = read_ssp, [KIND_PKRU] = read_pkru,
    [KIND_MXCSR] = read_mxcsr, [KIND_FPU] = read_fpu, [KIND_ST] = read_st, [KIND_MM] = read_mm,
    [KIND_VECTOR] = read_vector, [KIND_MASK] = read_mask, [KIND_MSR] = read_msr,
};

uint64_t cpu_register_get(Cpu *cpu, const CpuRegister *r)
{
    return readers[register_kind(r)](cpu, r) & bit_mask(MIN(r->bits, 64));
}

void cpu_register_read(Cpu *cpu, const CpuRegister *r, uint8_t *bytes)
{
    RegisterKind kind = register_kind(r);
    if (kind == KIND_ST)
        f80_store(bytes, *st(cpu, r->index));
    else if (kind == KIND_VECTOR)
        for (unsigned k = 0; k < r->bits / 64u; k++)
            st64le(bytes + 8 * k, cpu->vec[r->index].q[k]);
    else
        stle(bytes, cpu_register_get(cpu, r), r->bits / 8);
}

/* ---- writing ---- */

static gboolean refuse(const CpuRegister *r, uint64_t v, const char *why, GError **err)
{
    if (register_kind(r) == KIND_MSR)
        return error_set(err, "%s (number 0x%x) cannot be 0x%" PRIx64 ": %s", r->name, r->index, v, why);
    return error_set(err, "%s cannot be 0x%" PRIx64 ": %s", r->name, v, why);
}

static gboolean set_narrow(Cpu *cpu, const CpuRegister *r, uint64_t v, GError **err)
{
    const char *why = register_write(cpu, r, v & bit_mask(r->bits));
    return !why || refuse(r, v, why, err);
}

/* Negative numbers are welcome where their bits are. */
gboolean cpu_register_set(Cpu *cpu, const CpuRegister *r, uint64_t v, GError **err)
{
    uint8_t bytes[CPU_REGISTER_MAX_BYTES] = { 0 };
    if (register_kind(r) == KIND_ST)
        return error_set(err, "%s cannot be set to a whole number: it holds a floating-point one", r->name);
    if (r->bits <= 64) {
        bool fits = !(v & ~bit_mask(r->bits)) || sign_extend(v, r->bits) == (int64_t)v;
        return fits ? set_narrow(cpu, r, v, err)
                    : error_set(err, "%s has %d bits: 0x%" PRIx64 " does not fit", r->name, r->bits, v);
    }
    st64le(bytes, v);
    return cpu_register_write(cpu, r, bytes, err);
}

gboolean cpu_register_write(Cpu *cpu, const CpuRegister *r, const uint8_t *bytes, GError **err)
{
    RegisterKind kind = register_kind(r);
    if (kind != KIND_ST && kind != KIND_VECTOR)
        return set_narrow(cpu, r, ldle(bytes, r->bits / 8), err);
    if (kind == KIND_ST)
        *st(cpu, r->index) = f80_load(bytes);
    for (unsigned k = 0; kind == KIND_VECTOR && k < r->bits / 64u; k++)
        cpu->vec[r->index].q[k] = ld64le(bytes + 8 * k);
    return TRUE;
}
