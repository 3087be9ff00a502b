/*
 * x87 control: control and status words, environment and whole state, initialisation, WAIT (SDM vol. 1 8.1, vol. 2:
 * FLDCW, FSTSW, FSTENV, FLDENV, FSAVE, FRSTOR, FINIT, FCLEX, WAIT).
 */
#include "cpu/x87_internal.h"

/* --- the words --- */

static void update_pending(Fpu *f)
{
    f->status &= ~(FSW_ES | FSW_B);
    if (f->status & ~f->control & FSW_EXCEPTIONS)
        f->status |= FSW_ES | FSW_B;
}

void fpu_set_status_word(Fpu *f, uint16_t v)
{
    f->top = v >> 11 & 7;
    f->status = v & ~FSW_TOP;
    update_pending(f);
}

void fpu_set_control_word(Fpu *f, uint16_t v)
{
    f->control = (v & FCW_WRITABLE) | FCW_FIXED;
    update_pending(f);
}

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned register_tag(Float80 v)
{
    unsigned exp = v.sexp & 0x7fff;
    if (exp == 0)
        return v.mant ? TAG_SPECIAL : TAG_ZERO;
    return exp == 0x7fff || !(v.mant >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t fpu_tag_word(const Fpu *f)
{
    unsigned word = 0;
    for (unsigned n = 0; n < 8; n++)
        word |= (f->tags >> n & 1 ? register_tag(f->reg[n]) : TAG_EMPTY) << 2 * n;
    return word;
}

/* Only whether a register is empty is kept; the rest follows from its contents. */
void fpu_set_tag_word(Fpu *f, uint16_t v)
{
    f->tags = 0;
    for (unsigned n = 0; n < 8; n++)
        f->tags |= ((v >> 2 * n & 3) != TAG_EMPTY) << n;
}

void fpu_init(Cpu *cpu)
{
    Fpu *f = &cpu->fpu;
    f->control = FCW_INIT;
    f->status = f->top = f->tags = f->opcode = 0;
    f->ip = f->dp = f->cs = f->ds = 0;
}

/* --- instructions on them; those named FN* do not wait for pending exceptions --- */

static void fwait(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_check(cpu);
}
SEM_1(fwait)

static void fnop(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_enter(cpu);
}
SEM_1(fnop)

/* FENI, FDISI and FSETPM of the 8087 and 80287: nothing since. */
static void fpu_ignored(Cpu *cpu, const Insn *i)
{
    (void)cpu;
    (void)i;
}
SEM_1(fpu_ignored)

static void fninit(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_init(cpu);
}
SEM_1(fninit)

static void fnclex(Cpu *cpu, const Insn *i)
{
    (void)i;
    cpu->fpu.status &= ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
}
SEM_1(fnclex)

static void fldcw(Cpu *cpu, const Insn *i)
{
    fpu_check(cpu);
    fpu_set_control_word(&cpu->fpu, mem_read16(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_1(fldcw)

static void fnstcw(Cpu *cpu, const Insn *i) { mem_write16(cpu, i->seg, insn_ea(cpu, i), cpu->fpu.control); }
SEM_1(fnstcw)

static void fnstsw_m16(Cpu *cpu, const Insn *i)
{
    mem_write16(cpu, i->seg, insn_ea(cpu, i), fpu_status_word(&cpu->fpu));
}
SEM_1(fnstsw_m16)

static void fnstsw_ax(Cpu *cpu, const Insn *i)
{
    (void)i;
    set_reg16(cpu, R_AX, fpu_status_word(&cpu->fpu));
}
SEM_1(fnstsw_ax)

/* --- environment: 14 or 28 bytes, pointers with selectors or linear addresses (SDM vol. 1 figures 8-9 to 8-12) --- */

enum { ENV16_SIZE = 14, ENV32_SIZE = 28, STATE_REGISTERS = 80 };

static unsigned env_size(const Insn *i) { return i->osz == SZ16 ? ENV16_SIZE : ENV32_SIZE; }

/* A pointer as real-address and virtual-8086 mode show it: 20 bits with 16-bit operands, 32 with 32-bit ones. */
static uint32_t linear_pointer(uint16_t sel, uint64_t offset) { return ((uint32_t)sel << 4) + (uint32_t)offset; }

static void env_save16(const Cpu *cpu, uint8_t *p)
{
    const Fpu *f = &cpu->fpu;
    st16le(p, f->control);
    st16le(p + 2, fpu_status_word(f));
    st16le(p + 4, fpu_tag_word(f));
    if (cpu->protected_mode) {
        st16le(p + 6, f->ip);
        st16le(p + 8, f->cs);
        st16le(p + 10, f->dp);
        st16le(p + 12, f->ds);
        return;
    }
    uint32_t ip = linear_pointer(f->cs, f->ip), dp = linear_pointer(f->ds, f->dp);
    st16le(p + 6, ip);
    st16le(p + 8, (ip >> 4 & 0xf000) | f->opcode);
    st16le(p + 10, dp);
    st16le(p + 12, dp >> 4 & 0xf000);
}

static void env_save32(const Cpu *cpu, uint8_t *p)
{
    const Fpu *f = &cpu->fpu;
    st32le(p, 0xffff0000 | f->control);
    st32le(p + 4, 0xffff0000 | fpu_status_word(f));
    st32le(p + 8, 0xffff0000 | fpu_tag_word(f));
    if (cpu->protected_mode) {
        st32le(p + 12, f->ip);
        st32le(p + 16, (uint32_t)f->opcode << 16 | f->cs);
        st32le(p + 20, f->dp);
        st32le(p + 24, 0xffff0000 | f->ds);
        return;
    }
    uint32_t ip = linear_pointer(f->cs, f->ip), dp = linear_pointer(f->ds, f->dp);
    st32le(p + 12, 0xffff0000 | (ip & 0xffff));
    st32le(p + 16, (ip >> 4 & 0x0ffff000) | f->opcode);
    st32le(p + 20, 0xffff0000 | (dp & 0xffff));
    st32le(p + 24, dp >> 4 & 0x0ffff000);
}

static void env_save(const Cpu *cpu, const Insn *i, uint8_t *p)
{
    if (i->osz == SZ16)
        env_save16(cpu, p);
    else
        env_save32(cpu, p);
}

static void env_load16(Cpu *cpu, const uint8_t *p)
{
    Fpu *f = &cpu->fpu;
    f->ip = ld16le(p + 6);
    f->dp = ld16le(p + 10);
    f->cs = f->ds = f->opcode = 0;
    if (cpu->protected_mode) {
        f->cs = ld16le(p + 8);
        f->ds = ld16le(p + 12);
    } else {
        f->ip |= (ld16le(p + 8) & 0xf000) << 4;
        f->dp |= (ld16le(p + 12) & 0xf000) << 4;
        f->opcode = ld16le(p + 8) & 0x7ff;
    }
}

static void env_load32(Cpu *cpu, const uint8_t *p)
{
    Fpu *f = &cpu->fpu;
    if (cpu->protected_mode) {
        f->ip = ld32le(p + 12);
        f->cs = ld16le(p + 16);
        f->opcode = ld16le(p + 18) & 0x7ff;
        f->dp = ld32le(p + 20);
        f->ds = ld16le(p + 24);
    } else {
        f->ip = ld16le(p + 12) | (ld32le(p + 16) & 0x0ffff000) << 4;
        f->opcode = ld16le(p + 16) & 0x7ff;
        f->dp = ld16le(p + 20) | (ld32le(p + 24) & 0x0ffff000) << 4;
        f->cs = f->ds = 0;
    }
}

static void env_load(Cpu *cpu, const Insn *i, const uint8_t *p)
{
    unsigned word = env_size(i) == ENV16_SIZE ? 2 : 4;
    if (word == 2)
        env_load16(cpu, p);
    else
        env_load32(cpu, p);
    fpu_set_tag_word(&cpu->fpu, ld16le(p + 2 * word));
    fpu_set_status_word(&cpu->fpu, ld16le(p + word));
    fpu_set_control_word(&cpu->fpu, ld16le(p));
}

/* The environment as it was, then all exceptions masked. */
static void fnstenv(Cpu *cpu, const Insn *i)
{
    uint8_t image[ENV32_SIZE];
    env_save(cpu, i, image);
    mem_write_bytes(cpu, i->seg, insn_ea(cpu, i), image, env_size(i));
    fpu_set_control_word(&cpu->fpu, cpu->fpu.control | FCW_MASKS);
}
SEM_1(fnstenv)

static void fldenv(Cpu *cpu, const Insn *i)
{
    uint8_t image[ENV32_SIZE];
    fpu_check(cpu);
    mem_read_bytes(cpu, i->seg, insn_ea(cpu, i), image, env_size(i));
    env_load(cpu, i, image);
}
SEM_1(fldenv)

/* The registers follow in stack order. */
static void fnsave(Cpu *cpu, const Insn *i)
{
    uint8_t image[ENV32_SIZE + STATE_REGISTERS];
    unsigned size = env_size(i);
    env_save(cpu, i, image);
    for (unsigned n = 0; n < 8; n++)
        f80_store(image + size + 10 * n, *st(cpu, n));
    mem_write_bytes(cpu, i->seg, insn_ea(cpu, i), image, size + STATE_REGISTERS);
    fpu_init(cpu);
}
SEM_1(fnsave)

static void frstor(Cpu *cpu, const Insn *i)
{
    uint8_t image[ENV32_SIZE + STATE_REGISTERS];
    unsigned size = env_size(i);
    fpu_check(cpu);
    mem_read_bytes(cpu, i->seg, insn_ea(cpu, i), image, size + STATE_REGISTERS);
    env_load(cpu, i, image);
    for (unsigned n = 0; n < 8; n++)
        *st(cpu, n) = f80_load(image + size + 10 * n);
}
SEM_1(frstor)
