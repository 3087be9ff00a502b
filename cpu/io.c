/*
 * IN, OUT, INS, OUTS (SDM vol. 1 chapter 19; vol. 2).
 *
 * Privilege is checked first (io_check), then for INS that the memory can be written, since reading a port cannot be
 * undone.  REP forms go on until done, and stop between two elements when the run loop is wanted.
 */
#include "core/machine.h"
#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/fault.h"
#include "cpu/system.h"

static uint32_t port_read(Cpu *cpu, uint16_t port, unsigned size)
{
    debug_check_io(cpu, port, size);
    uint32_t v = as_read(cpu->machine->ports, port, size);
    stops_note(cpu, STOP_IO, port, size, STOP_READ, v, v);
    return v;
}

static void port_write(Cpu *cpu, uint16_t port, uint32_t v, unsigned size)
{
    debug_check_io(cpu, port, size);
    as_write(cpu->machine->ports, port, v, size);
    stops_note(cpu, STOP_IO, port, size, STOP_WRITE, v, v);
}

static inline void in_register(Cpu *cpu, uint16_t port, unsigned size)
{
    io_check(cpu, port, size);
    uint32_t v = port_read(cpu, port, size);
    switch (size) {
    case 1: set_reg8(cpu, R_AX, v); break;
    case 2: set_reg16(cpu, R_AX, v); break;
    default: set_reg32(cpu, R_AX, v); break;
    }
}

static inline void out_register(Cpu *cpu, uint16_t port, unsigned size)
{
    io_check(cpu, port, size);
    port_write(cpu, port, cpu->gpr[R_AX] & bit_mask(size * 8), size);
}

/* The size of an element: 64-bit operands do not exist here. */
static inline unsigned io_size(const Insn *i) { return i->osz == SZ16 ? 2 : 4; }

static void io_in_al_imm(Cpu *cpu, const Insn *i) { in_register(cpu, i->imm & 0xff, 1); }
static void io_in_eax_imm(Cpu *cpu, const Insn *i) { in_register(cpu, i->imm & 0xff, io_size(i)); }
static void io_in_al_dx(Cpu *cpu, const Insn *i) { (void)i; in_register(cpu, reg16(cpu, R_DX), 1); }
static void io_in_eax_dx(Cpu *cpu, const Insn *i) { in_register(cpu, reg16(cpu, R_DX), io_size(i)); }
static void io_out_imm_al(Cpu *cpu, const Insn *i) { out_register(cpu, i->imm & 0xff, 1); }
static void io_out_imm_eax(Cpu *cpu, const Insn *i) { out_register(cpu, i->imm & 0xff, io_size(i)); }
static void io_out_dx_al(Cpu *cpu, const Insn *i) { (void)i; out_register(cpu, reg16(cpu, R_DX), 1); }
static void io_out_dx_eax(Cpu *cpu, const Insn *i) { out_register(cpu, reg16(cpu, R_DX), io_size(i)); }

static inline uint64_t address_mask(const Insn *i)
{
    return i->asz == SZ16 ? 0xffff : i->asz == SZ32 ? 0xffffffff : ~UINT64_C(0);
}

/* Sets an index or count register by address size. */
static inline void set_address_reg(Cpu *cpu, const Insn *i, unsigned n, uint64_t v)
{
    if (i->asz == SZ16)
        set_reg16(cpu, n, v);
    else
        cpu->gpr[n] = v & address_mask(i);
}

static inline void advance(Cpu *cpu, const Insn *i, unsigned n, unsigned size)
{
    uint64_t step = cpu->eflags & F_DF ? -(uint64_t)size : size;
    set_address_reg(cpu, i, n, cpu->gpr[n] + step);
}

static inline void ins_element(Cpu *cpu, const Insn *i, unsigned size)
{
    uint64_t ea = cpu->gpr[R_DI] & address_mask(i);
    uint16_t port = reg16(cpu, R_DX);
    io_check(cpu, port, size);
    mem_probe_write(cpu, SEG_ES, ea, size);
    uint32_t v = port_read(cpu, port, size);
    switch (size) {
    case 1: mem_write8(cpu, SEG_ES, ea, v); break;
    case 2: mem_write16(cpu, SEG_ES, ea, v); break;
    default: mem_write32(cpu, SEG_ES, ea, v); break;
    }
    advance(cpu, i, R_DI, size);
}

static inline void outs_element(Cpu *cpu, const Insn *i, unsigned size)
{
    uint64_t ea = cpu->gpr[R_SI] & address_mask(i);
    uint16_t port = reg16(cpu, R_DX);
    uint32_t v;
    io_check(cpu, port, size);
    switch (size) {
    case 1: v = mem_read8(cpu, i->seg, ea); break;
    case 2: v = mem_read16(cpu, i->seg, ea); break;
    default: v = mem_read32(cpu, i->seg, ea); break;
    }
    port_write(cpu, port, v, size);
    advance(cpu, i, R_SI, size);
}

static bool must_stop(const Cpu *cpu)
{
    return atomic_load_explicit(&cpu->attention, memory_order_relaxed) || cpu->dr6_pending ||
           (cpu->step_mode & STEP_TF);
}

/* Repeats `element` by rCX.  An interrupted one leaves cpu->rip at itself, to go on later. */
static inline void repeat(Cpu *cpu, const Insn *i, unsigned size, void (*element)(Cpu *, const Insn *, unsigned))
{
    uint64_t count = cpu->gpr[R_CX] & address_mask(i);
    while (count) {
        element(cpu, i, size);
        set_address_reg(cpu, i, R_CX, --count);
        if (count && must_stop(cpu))
            return;
    }
    cpu->rip = next_rip(cpu, i);
}

static void io_insb(Cpu *cpu, const Insn *i) { ins_element(cpu, i, 1); }
static void io_insz(Cpu *cpu, const Insn *i) { ins_element(cpu, i, io_size(i)); }
static void io_outsb(Cpu *cpu, const Insn *i) { outs_element(cpu, i, 1); }
static void io_outsz(Cpu *cpu, const Insn *i) { outs_element(cpu, i, io_size(i)); }
static void io_rep_insb(Cpu *cpu, const Insn *i) { repeat(cpu, i, 1, ins_element); }
static void io_rep_insz(Cpu *cpu, const Insn *i) { repeat(cpu, i, io_size(i), ins_element); }
static void io_rep_outsb(Cpu *cpu, const Insn *i) { repeat(cpu, i, 1, outs_element); }
static void io_rep_outsz(Cpu *cpu, const Insn *i) { repeat(cpu, i, io_size(i), outs_element); }

SEM_1(io_in_al_imm)
SEM_1(io_in_eax_imm)
SEM_1(io_in_al_dx)
SEM_1(io_in_eax_dx)
SEM_1(io_out_imm_al)
SEM_1(io_out_imm_eax)
SEM_1(io_out_dx_al)
SEM_1(io_out_dx_eax)
SEM_1(io_insb)
SEM_1(io_insz)
SEM_1(io_outsb)
SEM_1(io_outsz)
SEM_1(io_rep_insb)
SEM_1(io_rep_insz)
SEM_1(io_rep_outsb)
SEM_1(io_rep_outsz)
