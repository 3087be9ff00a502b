/*
 * Instructions on segments, descriptor tables and far transfers: the semantic functions of table/segment.def (SDM
 * vol. 2).  PUSH of a segment register with a 32- or 64-bit operand is zero-extended, as AMD processors do.
 */
#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/descriptor.h"
#include "cpu/flags.h"
#include "cpu/stack.h"
#include "cpu/system.h"

/* Writes a value of at most 32 bits to the register, by operand size. */
static void set_reg_sized(Cpu *cpu, const Insn *i, unsigned n, uint64_t v)
{
    if (i->osz == SZ16)
        set_reg16(cpu, n, v);
    else
        set_reg64(cpu, n, v);
}

/* The 16-bit operand of ModRM.rm. */
static uint16_t read_ew(Cpu *cpu, const Insn *i)
{
    return i->mem ? mem_read16(cpu, i->seg, insn_ea(cpu, i)) : reg16(cpu, i->rm);
}

/* A selector goes to memory as a word, to a register zero-extended. */
static void write_selector(Cpu *cpu, const Insn *i, uint16_t sel)
{
    if (i->mem)
        mem_write16(cpu, i->seg, insn_ea(cpu, i), sel);
    else
        set_reg_sized(cpu, i, i->rm, sel);
}

static void require_cpl0(Cpu *cpu)
{
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

/* CR4.UMIP keeps SGDT, SIDT, SLDT and STR from programs. */
static void require_umip(Cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

/* REX.R does not count for segment registers. */
static void mov_EvSw(Cpu *cpu, const Insn *i)
{
    unsigned seg = i->reg & 7;
    if (seg > SEG_GS)
        cpu_raise_ud(cpu);
    write_selector(cpu, i, cpu->seg[seg].sel);
}
SEM_1(mov_EvSw)

static void mov_SwEw(Cpu *cpu, const Insn *i)
{
    unsigned seg = i->reg & 7;
    if (seg == SEG_CS || seg > SEG_GS)
        cpu_raise_ud(cpu);
    segment_load(cpu, seg, read_ew(cpu, i));
    if (seg == SEG_SS)
        cpu->shadow |= SHADOW_SS;
}
SEM_1(mov_SwEw)

/* SP moves after the load, by the width that the stack had before it. */
static void pop_segment(Cpu *cpu, const Insn *i, unsigned seg)
{
    uint64_t mask = cpu->sp_mask, sp = cpu->gpr[R_SP], high = mask == 0xffff ? ~mask : 0;
    segment_load(cpu, seg, mem_read16(cpu, SEG_SS, sp & mask));
    cpu->gpr[R_SP] = (sp & high) | ((sp + (2u << i->osz)) & mask);
    if (seg == SEG_SS)
        cpu->shadow |= SHADOW_SS;
}

/* A far pointer in memory: offset by operand size, then the selector. */
static uint16_t read_far_pointer(Cpu *cpu, const Insn *i, uint64_t *offset)
{
    uint64_t ea = insn_ea(cpu, i);
    switch (i->osz) {
    case SZ16: *offset = mem_read16(cpu, i->seg, ea); break;
    case SZ32: *offset = mem_read32(cpu, i->seg, ea); break;
    default: *offset = mem_read64(cpu, i->seg, ea); break;
    }
    return mem_read16(cpu, i->seg, insn_ea_at(cpu, i, 2u << i->osz));
}

static void load_far_pointer(Cpu *cpu, const Insn *i, unsigned seg)
{
    uint64_t offset;
    segment_load(cpu, seg, read_far_pointer(cpu, i, &offset));
    set_reg_sized(cpu, i, i->reg, offset);
}

#define SEGMENT_PUSH(name, seg_index)                                                                                 \
    static void push_##name(Cpu *cpu, const Insn *i) { push_sized(cpu, i->osz, cpu->seg[seg_index].sel); }             \
    SEM_1(push_##name)
#define SEGMENT_LOADS(name, seg_index)                                                                                 \
    static void pop_##name(Cpu *cpu, const Insn *i) { pop_segment(cpu, i, seg_index); }                                \
    SEM_1(pop_##name)                                                                                                  \
    static void l##name(Cpu *cpu, const Insn *i) { load_far_pointer(cpu, i, seg_index); }                              \
    SEM_1(l##name)

SEGMENT_PUSH(es, SEG_ES)
SEGMENT_PUSH(cs, SEG_CS)
SEGMENT_PUSH(ss, SEG_SS)
SEGMENT_PUSH(ds, SEG_DS)
SEGMENT_PUSH(fs, SEG_FS)
SEGMENT_PUSH(gs, SEG_GS)
SEGMENT_LOADS(es, SEG_ES)
SEGMENT_LOADS(ss, SEG_SS)
SEGMENT_LOADS(ds, SEG_DS)
SEGMENT_LOADS(fs, SEG_FS)
SEGMENT_LOADS(gs, SEG_GS)

/* System descriptor types that LAR and LSL know, outside and in long mode (SDM vol. 2 LAR, LSL). */
enum {
    LSL_TYPES = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY,
    LSL_TYPES_LONG = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY,
    LAR_TYPES = LSL_TYPES | 1 << SYS_CALL16 | 1 << SYS_TASK_GATE | 1 << SYS_CALL32,
    LAR_TYPES_LONG = LSL_TYPES_LONG | 1 << SYS_CALL32,
};

/* Reads the descriptor of a selector that is to be looked at only; false when it is null or beyond the table. */
static bool peek_descriptor(Cpu *cpu, uint16_t sel, Descriptor *d)
{
    return !selector_null(sel) && descriptor_read(cpu, sel, false, d);
}

/* Whether code at CPL may see a segment: conforming code always, others when DPL is not below CPL and RPL. */
static bool visible(const Cpu *cpu, uint16_t sel, uint16_t attr)
{
    return attr_is_conforming(attr) || (attr_dpl(attr) >= cpu->cpl && attr_dpl(attr) >= (sel & 3u));
}

static bool inspect(Cpu *cpu, uint16_t sel, unsigned types, Descriptor *d)
{
    if (!peek_descriptor(cpu, sel, d))
        return false;
    uint16_t attr = descriptor_attr(d);
    if (!(attr & SA_S) && !(types >> attr_system_type(attr) & 1))
        return false;
    return visible(cpu, sel, attr);
}

static void lar(Cpu *cpu, const Insn *i)
{
    Descriptor d;
    bool ok = inspect(cpu, read_ew(cpu, i), cpu->long_mode ? LAR_TYPES_LONG : LAR_TYPES, &d);
    if (ok)
        set_reg_sized(cpu, i, i->reg, d.w1 & 0x00ffff00);
    set_zf(cpu, ok);
}
SEM_1(lar)

static void lsl(Cpu *cpu, const Insn *i)
{
    Descriptor d;
    bool ok = inspect(cpu, read_ew(cpu, i), cpu->long_mode ? LSL_TYPES_LONG : LSL_TYPES, &d);
    if (ok)
        set_reg_sized(cpu, i, i->reg, descriptor_limit(&d));
    set_zf(cpu, ok);
}
SEM_1(lsl)

static void verr(Cpu *cpu, const Insn *i)
{
    Descriptor d;
    uint16_t sel = read_ew(cpu, i);
    bool ok = peek_descriptor(cpu, sel, &d) && attr_is_readable(descriptor_attr(&d));
    set_zf(cpu, ok && visible(cpu, sel, descriptor_attr(&d)));
}
SEM_1(verr)

static void verw(Cpu *cpu, const Insn *i)
{
    Descriptor d;
    uint16_t sel = read_ew(cpu, i);
    bool ok = peek_descriptor(cpu, sel, &d) && attr_is_writable_data(descriptor_attr(&d));
    set_zf(cpu, ok && visible(cpu, sel, descriptor_attr(&d)));
}
SEM_1(verw)

/* The destination's RPL, raised to the source's if lower. */
static bool adjust_rpl(uint16_t *dest, uint16_t src)
{
    if ((*dest & 3) >= (src & 3))
        return false;
    *dest = (*dest & ~3) | (src & 3);
    return true;
}

static void arpl_r(Cpu *cpu, const Insn *i)
{
    uint16_t v = reg16(cpu, i->rm);
    bool adjusted = adjust_rpl(&v, reg16(cpu, i->reg));
    set_reg16(cpu, i->rm, v);
    set_zf(cpu, adjusted);
}
static void arpl_m(Cpu *cpu, const Insn *i)
{
    uint64_t ea = insn_ea(cpu, i);
    uint16_t v = mem_read16(cpu, i->seg, ea);
    bool adjusted = adjust_rpl(&v, reg16(cpu, i->reg));
    if (adjusted) /* else memory is only read, and may be read-only */
        mem_write16(cpu, i->seg, ea, v);
    set_zf(cpu, adjusted);
}
SEM_RM(arpl)

static void lldt(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    segment_load_ldt(cpu, read_ew(cpu, i));
}
SEM_1(lldt)

static void ltr(Cpu *cpu, const Insn *i)
{
    require_cpl0(cpu);
    segment_load_tr(cpu, read_ew(cpu, i));
}
SEM_1(ltr)

static void sldt(Cpu *cpu, const Insn *i)
{
    require_umip(cpu);
    write_selector(cpu, i, cpu->seg[SEG_LDTR].sel);
}
SEM_1(sldt)

static void str(Cpu *cpu, const Insn *i)
{
    require_umip(cpu);
    write_selector(cpu, i, cpu->seg[SEG_TR].sel);
}
SEM_1(str)

/* LGDT and LIDT: a 16-bit limit, then a base of 24, 32 or 64 bits. */
static void load_table(Cpu *cpu, const Insn *i, TablePtr *table)
{
    require_cpl0(cpu);
    TablePtr t = { .limit = mem_read16(cpu, i->seg, insn_ea(cpu, i)) };
    uint64_t ea = insn_ea_at(cpu, i, 2);
    if (cpu_code64(cpu)) {
        t.base = mem_read64(cpu, i->seg, ea);
        if (!cpu_canonical_register(cpu, t.base))
            cpu_raise_gp(cpu);
    } else {
        t.base = mem_read32(cpu, i->seg, ea) & (i->osz == SZ16 ? 0xffffff : 0xffffffff);
    }
    *table = t;
}

/* SGDT and SIDT: all 32 bits of the base are stored whatever the operand size, as processors since the 386 do. */
static void store_table(Cpu *cpu, const Insn *i, const TablePtr *table)
{
    uint8_t bytes[10];
    require_umip(cpu);
    st16le(bytes, table->limit);
    st64le(bytes + 2, table->base);
    mem_write_bytes(cpu, i->seg, insn_ea(cpu, i), bytes, cpu_code64(cpu) ? 10 : 6);
}

static void lgdt(Cpu *cpu, const Insn *i) { load_table(cpu, i, &cpu->gdtr); }
static void lidt(Cpu *cpu, const Insn *i) { load_table(cpu, i, &cpu->idtr); }
static void sgdt(Cpu *cpu, const Insn *i) { store_table(cpu, i, &cpu->gdtr); }
static void sidt(Cpu *cpu, const Insn *i) { store_table(cpu, i, &cpu->idtr); }
SEM_1(lgdt)
SEM_1(lidt)
SEM_1(sgdt)
SEM_1(sidt)

static void jmp_Ap(Cpu *cpu, const Insn *i) { far_jump(cpu, i->imm2, i->imm, i->osz, next_rip(cpu, i)); }
static void call_Ap(Cpu *cpu, const Insn *i) { far_call(cpu, i->imm2, i->imm, i->osz, next_rip(cpu, i)); }
SEM_1(jmp_Ap)
SEM_1(call_Ap)

static void jmp_Mp(Cpu *cpu, const Insn *i)
{
    uint64_t offset;
    uint16_t sel = read_far_pointer(cpu, i, &offset);
    far_jump(cpu, sel, offset, i->osz, next_rip(cpu, i));
}
SEM_1(jmp_Mp)

static void call_Mp(Cpu *cpu, const Insn *i)
{
    uint64_t offset;
    uint16_t sel = read_far_pointer(cpu, i, &offset);
    far_call(cpu, sel, offset, i->osz, next_rip(cpu, i));
}
SEM_1(call_Mp)

static void retf(Cpu *cpu, const Insn *i) { far_return(cpu, i->osz, 0); }
static void retf_Iw(Cpu *cpu, const Insn *i) { far_return(cpu, i->osz, i->imm); }
static void iret(Cpu *cpu, const Insn *i) { interrupt_return(cpu, i->osz, next_rip(cpu, i)); }
SEM_1(retf)
SEM_1(retf_Iw)
SEM_1(iret)

static void int_Ib(Cpu *cpu, const Insn *i)
{
    interrupt_software(cpu, i->imm & 0xff, INTERRUPT_SOFTWARE, next_rip(cpu, i));
}
/* Its #DB also reports the data breakpoints that a load of SS before it held back: there is no second one. */
static void int1(Cpu *cpu, const Insn *i)
{
    interrupt_software(cpu, EXC_DB, INTERRUPT_ICEBP, next_rip(cpu, i));
    if (cpu->dr6_pending)
        debug_take_pending(cpu);
}
static void int3(Cpu *cpu, const Insn *i) { interrupt_software(cpu, EXC_BP, INTERRUPT_INT3, next_rip(cpu, i)); }
static void into(Cpu *cpu, const Insn *i)
{
    if (flag_of(cpu))
        interrupt_software(cpu, EXC_OF, INTERRUPT_INT3, next_rip(cpu, i));
    else
        cpu->rip = next_rip(cpu, i);
}
SEM_1(int_Ib)
SEM_1(int1)
SEM_1(int3)
SEM_1(into)

/* The two bounds stand in memory one after the other, signed. */
static void bound(Cpu *cpu, const Insn *i)
{
    uint64_t ea = insn_ea(cpu, i), next = insn_ea_at(cpu, i, 2u << i->osz);
    int32_t index, lower, upper;
    if (i->osz == SZ16) {
        index = (int16_t)reg16(cpu, i->reg);
        lower = (int16_t)mem_read16(cpu, i->seg, ea);
        upper = (int16_t)mem_read16(cpu, i->seg, next);
    } else {
        index = reg32(cpu, i->reg);
        lower = mem_read32(cpu, i->seg, ea);
        upper = mem_read32(cpu, i->seg, next);
    }
    if (index < lower || index > upper)
        cpu_raise(cpu, EXC_BR);
}
SEM_1(bound)
