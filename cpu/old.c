/*
 * What old processors do and newer ones do not: the semantic functions of table/old.def.  Most change a little in what
 * the instruction's own function does.
 */
#include "cpu/control.h"
#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/integer.h"
#include "cpu/stack.h"
#include "cpu/system.h"

/* The function of another row, of the same form and size. */
static void run_as(const Sem *sem, Cpu *cpu, const Insn *i) { (i->mem ? sem->mem : sem->reg)[i->osz](cpu, i); }

#define OTHER(name) extern const Sem sem_##name;
OTHER(mov_EvSw)
OTHER(popf)
OTHER(iret)
OTHER(aam)
OTHER(div_Eb)
OTHER(div_Ev)
OTHER(idiv_Eb)
OTHER(idiv_Ev)
#define OTHER_SHIFTS(op) OTHER(op##_EbIb) OTHER(op##_EvIb)
OTHER_SHIFTS(rol)
OTHER_SHIFTS(ror)
OTHER_SHIFTS(rcl)
OTHER_SHIFTS(rcr)
OTHER_SHIFTS(shl)
OTHER_SHIFTS(shr)
OTHER_SHIFTS(sar)

/* ---- the 8086: segment registers by two bits, CS among them ---- */

static void old_mov_EvSw(Cpu *cpu, const Insn *i)
{
    Insn alias = *i;
    alias.reg &= 3;
    run_as(&sem_mov_EvSw, cpu, &alias);
}
SEM_1(old_mov_EvSw)

static void load_segment_then_next(Cpu *cpu, const Insn *i, unsigned seg, uint16_t sel)
{
    cpu->rip = next_rip(cpu, i);
    segment_load_real(cpu, seg, sel);
    if (seg == SEG_SS)
        cpu->shadow |= SHADOW_SS;
    cpu_update_mode(cpu);
}

static void old_mov_SwEw(Cpu *cpu, const Insn *i)
{
    uint16_t sel = i->mem ? mem_read16(cpu, i->seg, insn_ea(cpu, i)) : reg16(cpu, i->rm);
    load_segment_then_next(cpu, i, i->reg & 3, sel);
}
SEM_1(old_mov_SwEw)

static void old_pop_cs(Cpu *cpu, const Insn *i) { load_segment_then_next(cpu, i, SEG_CS, pop16(cpu)); }
SEM_1(old_pop_cs)

/* ---- the 8086: shifts ---- */

/* A count of at most 31 that does the same as this one, above 0, to `bits` bits: rotations come round. */
static unsigned equal_count(unsigned op, unsigned count, unsigned bits)
{
    enum { ROL, ROR, RCL, RCR };
    unsigned period = op <= ROR ? bits : op <= RCR ? bits + 1 : 0;
    return period ? (count - 1) % period + 1 : MIN(count, 31);
}

static void shift_by_cl(Cpu *cpu, const Insn *i, const Sem *const by_op[8], unsigned bits)
{
    unsigned count = reg8(cpu, R_CX);
    Insn alias = *i;
    alias.imm = count ? equal_count(i->reg, count, bits) : 0;
    run_as(by_op[i->reg], cpu, &alias);
}

static void old_shift_EbCL(Cpu *cpu, const Insn *i)
{
    static const Sem *const by_op[8] = { &sem_rol_EbIb, &sem_ror_EbIb, &sem_rcl_EbIb, &sem_rcr_EbIb,
                                         &sem_shl_EbIb, &sem_shr_EbIb, &sem_shl_EbIb, &sem_sar_EbIb };
    shift_by_cl(cpu, i, by_op, 8);
}
SEM_1(old_shift_EbCL)

static void old_shift_EvCL(Cpu *cpu, const Insn *i)
{
    static const Sem *const by_op[8] = { &sem_rol_EvIb, &sem_ror_EvIb, &sem_rcl_EvIb, &sem_rcr_EvIb,
                                         &sem_shl_EvIb, &sem_shr_EvIb, &sem_shl_EvIb, &sem_sar_EvIb };
    shift_by_cl(cpu, i, by_op, 16);
}
SEM_1(old_shift_EvCL)

static void old_setmo_Eb(Cpu *cpu, const Insn *i)
{
    if (i->mem)
        mem_write8(cpu, i->seg, insn_ea(cpu, i), 0xff);
    else
        set_reg8(cpu, i->rm, 0xff);
    set_flags_logic(cpu, 0xff, 8);
}
SEM_1(old_setmo_Eb)

static void old_setmo_Ev(Cpu *cpu, const Insn *i)
{
    if (i->mem)
        mem_write16(cpu, i->seg, insn_ea(cpu, i), 0xffff);
    else
        set_reg16(cpu, i->rm, 0xffff);
    set_flags_logic(cpu, 0xffff, 16);
}
SEM_1(old_setmo_Ev)

static void old_setmoc_EbCL(Cpu *cpu, const Insn *i)
{
    if (reg8(cpu, R_CX))
        old_setmo_Eb(cpu, i);
}
SEM_1(old_setmoc_EbCL)

static void old_setmoc_EvCL(Cpu *cpu, const Insn *i)
{
    if (reg8(cpu, R_CX))
        old_setmo_Ev(cpu, i);
}
SEM_1(old_setmoc_EvCL)

/* ---- until the 186: PUSH SP, division ---- */

static void old_push_sp(Cpu *cpu, const Insn *i)
{
    (void)i;
    push16(cpu, reg16(cpu, R_SP) - 2);
}
SEM_1(old_push_sp)

/* An exception saves cpu->rip. */
static void divide(const Sem *sem, Cpu *cpu, const Insn *i)
{
    cpu->rip = next_rip(cpu, i);
    run_as(sem, cpu, i);
}

static void old_div_Eb(Cpu *cpu, const Insn *i) { divide(&sem_div_Eb, cpu, i); }
static void old_div_Ev(Cpu *cpu, const Insn *i) { divide(&sem_div_Ev, cpu, i); }
static void old_aam(Cpu *cpu, const Insn *i) { divide(&sem_aam, cpu, i); }
SEM_1(old_div_Eb)
SEM_1(old_div_Ev)
SEM_1(old_aam)

static void old_idiv_Eb(Cpu *cpu, const Insn *i)
{
    uint16_t ax = reg16(cpu, R_AX);
    divide(&sem_idiv_Eb, cpu, i);
    if (reg8(cpu, R_AX) != 0x80)
        return;
    set_reg16(cpu, R_AX, ax);
    cpu_raise(cpu, EXC_DE);
}
SEM_1(old_idiv_Eb)

static void old_idiv_Ev(Cpu *cpu, const Insn *i)
{
    uint16_t ax = reg16(cpu, R_AX), dx = reg16(cpu, R_DX);
    divide(&sem_idiv_Ev, cpu, i);
    if (reg16(cpu, R_AX) != 0x8000)
        return;
    set_reg16(cpu, R_AX, ax);
    set_reg16(cpu, R_DX, dx);
    cpu_raise(cpu, EXC_DE);
}
SEM_1(old_idiv_Ev)

/* ---- the 286 ---- */

static void old_smsw(Cpu *cpu, const Insn *i)
{
    uint16_t msw = (cpu->cr0 & 15) | 0xfff0;
    if (i->mem)
        mem_write16(cpu, i->seg, insn_ea(cpu, i), msw);
    else
        set_reg16(cpu, i->rm, msw);
}
SEM_1(old_smsw)

static void store_table(Cpu *cpu, const Insn *i, const TablePtr *table)
{
    uint8_t bytes[6];
    st16le(bytes, table->limit);
    st32le(bytes + 2, table->base | 0xff000000);
    mem_write_bytes(cpu, i->seg, insn_ea(cpu, i), bytes, sizeof bytes);
}

static void old_sgdt(Cpu *cpu, const Insn *i) { store_table(cpu, i, &cpu->gdtr); }
static void old_sidt(Cpu *cpu, const Insn *i) { store_table(cpu, i, &cpu->idtr); }
SEM_1(old_sgdt)
SEM_1(old_sidt)

/* LOADALL: everything from 102 bytes at address 800h, descriptor caches as they stand there. */
enum { LOADALL_AT = 0x800, LOADALL_SIZE = 0x66 };

/* A cache: base of 24 bits, access rights, limit. */
static void load_cache(Segment *s, uint16_t sel, const uint8_t *p)
{
    *s = (Segment){ .base = ld32le(p) & 0xffffff, .attr = p[3], .limit = ld16le(p + 4), .sel = sel };
}

static void load_caches(Cpu *cpu, const uint8_t *p)
{
    static const struct { uint8_t seg, sel, cache; } places[] = {
        { SEG_ES, 0x24, 0x36 }, { SEG_CS, 0x22, 0x3c },   { SEG_SS, 0x20, 0x42 },
        { SEG_DS, 0x1e, 0x48 }, { SEG_LDTR, 0x1c, 0x54 }, { SEG_TR, 0x16, 0x60 },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(places); k++)
        load_cache(&cpu->seg[places[k].seg], ld16le(p + places[k].sel), p + places[k].cache);
    cpu->gdtr = (TablePtr){ .base = ld32le(p + 0x4e) & 0xffffff, .limit = ld16le(p + 0x52) };
    cpu->idtr = (TablePtr){ .base = ld32le(p + 0x5a) & 0xffffff, .limit = ld16le(p + 0x5e) };
}

static void old_loadall(Cpu *cpu, const Insn *i)
{
    static const uint8_t registers[] = { R_DI, R_SI, R_BP, R_SP, R_BX, R_DX, R_CX, R_AX };
    uint8_t bytes[LOADALL_SIZE];
    (void)i;
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
    for (unsigned k = 0; k < LOADALL_SIZE; k++)
        bytes[k] = linear_read_system(cpu, LOADALL_AT + k, 1);
    for (unsigned k = 0; k < ARRAY_SIZE(registers); k++)
        set_reg16(cpu, registers[k], ld16le(bytes + 0x26 + 2 * k));
    load_caches(cpu, bytes);
    cpu->cr0 = (cpu->cr0 & ~UINT64_C(14)) | (ld16le(bytes + 4) & 15);
    cpu_set_eflags(cpu, ld16le(bytes + 0x18), F_ARITH | F_SYSTEM | EFLAGS_IOPL | EFLAGS_NT);
    cpu->rip = ld16le(bytes + 0x1a);
    cpu_update_mode(cpu);
}
SEM_1(old_loadall)

/* ---- flags ---- */

/*
 * What POPF and IRET cannot change: bits 15:12 are ones until the 186, and zeros in the 286's real mode; AC comes with
 * the 486, ID with CPUID (SDM vol. 1 21.1; SDM vol. 3B 23.5).
 */
static void settle_flags(Cpu *cpu)
{
    uint32_t ones = 0, zeros = EFLAGS_ID;
    if (cpu_has(cpu, FEAT_UNTIL_186))
        ones = 0x8000 | EFLAGS_NT | EFLAGS_IOPL;
    else if (cpu_has(cpu, FEAT_UNTIL_286) && cpu_real_mode(cpu))
        zeros |= EFLAGS_NT | EFLAGS_IOPL;
    if (!cpu_has(cpu, FEAT_I486))
        zeros |= EFLAGS_AC;
    cpu_set_eflags(cpu, ones, ones | zeros);
}

static void old_popf(Cpu *cpu, const Insn *i)
{
    run_as(&sem_popf, cpu, i);
    settle_flags(cpu);
}
SEM_1(old_popf)

static void old_iret(Cpu *cpu, const Insn *i)
{
    run_as(&sem_iret, cpu, i);
    settle_flags(cpu);
}
SEM_1(old_iret)

/* ---- no FPU ---- */

static void old_fpu_store(Cpu *cpu, const Insn *i)
{
    if (cpu_has(cpu, FEAT_I286))
        mem_write16(cpu, i->seg, insn_ea(cpu, i), 0xffff);
}
SEM_1(old_fpu_store)

static void old_fpu_status(Cpu *cpu, const Insn *i)
{
    (void)i;
    if (cpu_has(cpu, FEAT_I286))
        set_reg16(cpu, R_AX, 0xffff);
}
SEM_1(old_fpu_status)
