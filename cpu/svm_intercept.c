/*
 * Instructions that a guest's hypervisor may intercept (AMD APM vol. 2 15.7 to 15.11).
 *
 * insn_in_guest() stands for every row with A_INTERCEPT while a guest runs: it asks the intercepts, then calls the
 * row's own function.  Table 15-7 says which exceptions come first; where it is only privilege, the row here says so,
 * and the rest are small functions.  Exceptions that are found later in an instruction lose to the intercept.
 */
#include "cpu/access.h"
#include "cpu/rows.h"
#include "cpu/svm_internal.h"
#include "cpu/system.h"

typedef void InterceptFn(Cpu *cpu, const Insn *i, unsigned code);

typedef struct Intercept {
    uint8_t code;     /* VMEXIT_* */
    bool privileged;  /* #GP with CPL > 0 comes first */
    InterceptFn *ask; /* what is more than that, or NULL */
} Intercept;

/* An intercept of the whole instruction, with what decode assists tell of it. */
static void ask_plain(Cpu *cpu, const Insn *i, unsigned code, uint64_t info)
{
    if (svm_intercepts(cpu, code))
        svm_exit_insn(cpu, code, cpu_has(cpu, FEAT_DECODEASSISTS) ? info : 0, 0, next_rip(cpu, i));
}

/* ---- control and debug registers ---- */

/* EXITINFO1 of MOV CR: which register, and that it was a MOV (15.8.1). */
#define INFO_MOV BIT(63)

static bool control_register_exists(unsigned n) { return n == 0 || (n >= 2 && n <= 4) || n == 8; }

static void ask_mov_from_cr(Cpu *cpu, const Insn *i, unsigned code)
{
    if (cpu->cpl == 0 && control_register_exists(i->reg))
        ask_plain(cpu, i, code + i->reg, INFO_MOV | i->rm);
}

/* The selective intercept looks for a change of anything but TS and MP. */
static bool changes_cr0(const Cpu *cpu, const Insn *i)
{
    uint64_t v = cpu_code64(cpu) ? cpu->gpr[i->rm] : reg32(cpu, i->rm);
    return (v ^ cpu->cr0) & ~(uint64_t)(CR0_TS | CR0_MP);
}

static void ask_mov_to_cr(Cpu *cpu, const Insn *i, unsigned code)
{
    ask_mov_from_cr(cpu, i, code);
    if (cpu->cpl == 0 && i->reg == 0 && changes_cr0(cpu, i))
        ask_plain(cpu, i, VMEXIT_CR0_SEL_WRITE, INFO_MOV | i->rm);
}

/* LMSW is always a change for the selective intercept. */
static void ask_lmsw(Cpu *cpu, const Insn *i, unsigned code)
{
    ask_plain(cpu, i, code, 0);
    ask_plain(cpu, i, VMEXIT_CR0_SEL_WRITE, 0);
}

/* #UD by CR4.DE and #GP come first, general detect does not (15.8.2). */
static void ask_mov_dr(Cpu *cpu, const Insn *i, unsigned code)
{
    if (i->reg <= 7 && !((i->reg == 4 || i->reg == 5) && (cpu->cr4 & CR4_DE)) && cpu->cpl == 0)
        ask_plain(cpu, i, code + i->reg, i->rm);
}

/* ---- MSRs and ports ---- */

/* The bit of the map for reading an MSR, the next one being for writing; false: in none of its three ranges. */
static bool msr_map_bit(uint32_t index, uint32_t *bit)
{
    static const uint32_t first[] = { 0, 0xc0000000, 0xc0010000 };
    for (unsigned k = 0; k < ARRAY_SIZE(first); k++)
        if (index - first[k] < 0x2000) {
            *bit = k * 0x4000 + (index - first[k]) * 2;
            return true;
        }
    return false;
}

static void ask_msr(Cpu *cpu, const Insn *i, bool write)
{
    uint32_t bit;
    if (cpu->cpl != 0 || !svm_intercepts(cpu, VMEXIT_MSR))
        return;
    bool mapped = msr_map_bit(reg32(cpu, R_CX), &bit);
    if (mapped && !(as_read(cpu->machine->memory, cpu->svm.msrpm + bit / 8, 1) >> (bit % 8 + write) & 1))
        return;
    svm_exit_insn(cpu, VMEXIT_MSR, write, 0, next_rip(cpu, i));
}

static void ask_rdmsr(Cpu *cpu, const Insn *i, unsigned code) { (void)code; ask_msr(cpu, i, false); }
static void ask_wrmsr(Cpu *cpu, const Insn *i, unsigned code) { (void)code; ask_msr(cpu, i, true); }

/* Intel's, of which an exit could not tell the MSR: where MSRs are intercepted there are no lists. */
static void ask_msr_list(Cpu *cpu, const Insn *i, unsigned code)
{
    (void)i;
    if (svm_intercepts(cpu, code))
        cpu_raise_ud(cpu);
}

/* Any bit of the ports accessed; those after FFFFh are in the map too. */
static bool port_intercepted(Cpu *cpu, uint16_t port, unsigned size)
{
    unsigned bits = as_read(cpu->machine->memory, cpu->svm.iopm + port / 8, 1) |
                    as_read(cpu->machine->memory, cpu->svm.iopm + port / 8 + 1, 1) << 8;
    return bits >> (port & 7) & bit_mask(size);
}

/* Protection comes first (15.10.1); memory faults of string instructions do not. */
static void ask_port(Cpu *cpu, const Insn *i, uint16_t port, unsigned size, unsigned info)
{
    if (!svm_intercepts(cpu, VMEXIT_IOIO))
        return;
    io_check(cpu, port, size);
    if (!port_intercepted(cpu, port, size))
        return;
    info |= size << IOIO_SIZE_SHIFT | 1u << (IOIO_ADDRESS_SHIFT + i->asz) | (uint32_t)port << IOIO_PORT_SHIFT;
    svm_exit_insn(cpu, VMEXIT_IOIO, info, next_rip(cpu, i), next_rip(cpu, i));
}

/* The code of a port's row says the direction (IOIO_IN), the size (else by operand size), and whether it repeats. */
enum { ASK_BYTE = 2, ASK_REP = IOIO_REP };

static unsigned port_size(const Insn *i, unsigned code) { return code & ASK_BYTE ? 1 : i->osz == SZ16 ? 2 : 4; }

static void ask_port_imm(Cpu *cpu, const Insn *i, unsigned code)
{
    ask_port(cpu, i, i->imm & 0xff, port_size(i, code), code & IOIO_IN);
}

static void ask_port_dx(Cpu *cpu, const Insn *i, unsigned code)
{
    ask_port(cpu, i, reg16(cpu, R_DX), port_size(i, code), code & IOIO_IN);
}

static void ask_port_string(Cpu *cpu, const Insn *i, unsigned code)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    unsigned seg = code & IOIO_IN ? SEG_ES : i->seg;
    if ((code & ASK_REP) && !(cpu->gpr[R_CX] & mask[i->asz]))
        return;
    unsigned info = (code & (IOIO_IN | IOIO_REP)) | IOIO_STRING;
    if (cpu_has(cpu, FEAT_DECODEASSISTS))
        info |= seg << IOIO_SEGMENT_SHIFT;
    ask_port(cpu, i, reg16(cpu, R_DX), port_size(i, code), info);
}

/* ---- others ---- */

static void ask_tsc(Cpu *cpu, const Insn *i, unsigned code)
{
    if (cpu->cpl == 0 || !(cpu->cr4 & CR4_TSD))
        ask_plain(cpu, i, code, 0);
}

static void ask_pmc(Cpu *cpu, const Insn *i, unsigned code)
{
    if (cpu->cpl == 0 || (cpu->cr4 & CR4_PCE))
        ask_plain(cpu, i, code, 0);
}

static void ask_store_table(Cpu *cpu, const Insn *i, unsigned code)
{
    if (cpu->cpl == 0 || !(cpu->cr4 & CR4_UMIP))
        ask_plain(cpu, i, code, 0);
}

static void ask_xsetbv(Cpu *cpu, const Insn *i, unsigned code)
{
    if ((cpu->cr4 & CR4_OSXSAVE) && cpu->cpl == 0)
        ask_plain(cpu, i, code, 0);
}

static void ask_int(Cpu *cpu, const Insn *i, unsigned code) { ask_plain(cpu, i, code, i->imm & 0xff); }
static void ask_invlpg(Cpu *cpu, const Insn *i, unsigned code) { ask_plain(cpu, i, code, invlpg_address(cpu, i)); }

/* EXITINFO has both operands: the linear address of the descriptor, and the register. */
static void ask_invpcid(Cpu *cpu, const Insn *i, unsigned code)
{
    uint64_t type = cpu_code64(cpu) ? cpu->gpr[i->reg] : reg32(cpu, i->reg);
    if (svm_intercepts(cpu, code))
        svm_exit_insn(cpu, code, invlpg_address(cpu, i), type, next_rip(cpu, i));
}

/* MWAIT with a monitor armed has an intercept of its own besides. */
static void ask_mwait(Cpu *cpu, const Insn *i, unsigned code)
{
    ask_plain(cpu, i, code, 0);
    if (cpu->monitor_gpa)
        ask_plain(cpu, i, VMEXIT_MWAIT_ARMED, 0);
}

void svm_reset_pause_filter(Cpu *cpu)
{
    cpu->svm.pauses_left = cpu->svm.pause_count;
    cpu->svm.last_pause = tsc_read(cpu);
}

/* The filter lets some PAUSEs pass; with a threshold, a long time between two of them begins anew (15.14.4). */
static void ask_pause(Cpu *cpu, const Insn *i, unsigned code)
{
    SvmState *s = &cpu->svm;
    if (!svm_intercepts(cpu, code))
        return;
    if (s->pause_threshold) {
        uint64_t now = tsc_read(cpu);
        if (now - s->last_pause > s->pause_threshold)
            s->pauses_left = s->pause_count;
        s->last_pause = now;
    }
    if (s->pauses_left)
        s->pauses_left--;
    else
        ask_plain(cpu, i, code, 0);
}

static const Intercept intercepts[ROW_COUNT] = {
    [ROW_MOV_RdCd] = { VMEXIT_CR_READ, false, ask_mov_from_cr },
    [ROW_MOV_CdRd] = { VMEXIT_CR_WRITE, false, ask_mov_to_cr },
    [ROW_MOV_RdDd] = { VMEXIT_DR_READ, false, ask_mov_dr },
    [ROW_MOV_DdRd] = { VMEXIT_DR_WRITE, false, ask_mov_dr },
    [ROW_CLTS] = { VMEXIT_CR_WRITE, true, NULL },
    [ROW_LMSW] = { VMEXIT_CR_WRITE, true, ask_lmsw },
    [ROW_SMSW] = { VMEXIT_CR_READ, false, ask_store_table },
    [ROW_RDMSR] = { VMEXIT_MSR, false, ask_rdmsr },
    [ROW_WRMSR] = { VMEXIT_MSR, false, ask_wrmsr },
    [ROW_WRMSRNS] = { VMEXIT_MSR, false, ask_wrmsr },
    [ROW_RDMSRLIST] = { VMEXIT_MSR, false, ask_msr_list },
    [ROW_WRMSRLIST] = { VMEXIT_MSR, false, ask_msr_list },
    [ROW_RDTSC] = { VMEXIT_RDTSC, false, ask_tsc },
    [ROW_RDTSCP] = { VMEXIT_RDTSCP, false, ask_tsc },
    [ROW_RDPRU] = { VMEXIT_RDPRU, false, ask_tsc },
    [ROW_RDPMC] = { VMEXIT_RDPMC, false, ask_pmc },
    [ROW_CPUID] = { VMEXIT_CPUID, false, NULL },
    [ROW_HLT] = { VMEXIT_HLT, true, NULL },
    [ROW_MONITOR] = { VMEXIT_MONITOR, true, NULL },
    [ROW_MWAIT] = { VMEXIT_MWAIT, true, ask_mwait },
    [ROW_MONITORX] = { VMEXIT_MONITOR, false, NULL },
    [ROW_MWAITX] = { VMEXIT_MWAIT, false, ask_mwait },
    [ROW_PAUSE] = { VMEXIT_PAUSE, false, ask_pause },
    [ROW_INVD] = { VMEXIT_INVD, true, NULL },
    [ROW_WBINVD] = { VMEXIT_WBINVD, true, NULL },
    [ROW_WBNOINVD] = { VMEXIT_WBINVD, true, NULL },
    [ROW_INVLPG] = { VMEXIT_INVLPG, true, ask_invlpg },
    [ROW_INVPCID] = { VMEXIT_INVPCID, true, ask_invpcid },
    [ROW_XSETBV] = { VMEXIT_XSETBV, false, ask_xsetbv },
    [ROW_RSM] = { VMEXIT_RSM, false, NULL },
    [ROW_PUSHF] = { VMEXIT_PUSHF, false, NULL },
    [ROW_POPF] = { VMEXIT_POPF, false, NULL },
    [ROW_IRET] = { VMEXIT_IRET, false, NULL },
    [ROW_INT_Ib] = { VMEXIT_SWINT, false, ask_int },
    [ROW_INT1] = { VMEXIT_ICEBP, false, NULL },
    [ROW_SIDT] = { VMEXIT_IDTR_READ, false, ask_store_table },
    [ROW_SGDT] = { VMEXIT_GDTR_READ, false, ask_store_table },
    [ROW_SLDT] = { VMEXIT_LDTR_READ, false, ask_store_table },
    [ROW_STR] = { VMEXIT_TR_READ, false, ask_store_table },
    [ROW_LIDT] = { VMEXIT_IDTR_WRITE, true, NULL },
    [ROW_LGDT] = { VMEXIT_GDTR_WRITE, true, NULL },
    [ROW_LLDT] = { VMEXIT_LDTR_WRITE, true, NULL },
    [ROW_LTR] = { VMEXIT_TR_WRITE, true, NULL },
    [ROW_VMRUN] = { VMEXIT_VMRUN, true, NULL },
    [ROW_VMMCALL] = { VMEXIT_VMMCALL, false, NULL },
    [ROW_VMLOAD] = { VMEXIT_VMLOAD, true, NULL },
    [ROW_VMSAVE] = { VMEXIT_VMSAVE, true, NULL },
    [ROW_STGI] = { VMEXIT_STGI, true, NULL },
    [ROW_CLGI] = { VMEXIT_CLGI, true, NULL },
    [ROW_INVLPGA] = { VMEXIT_INVLPGA, true, NULL },
    [ROW_IN_ALIb] = { ASK_BYTE | IOIO_IN, false, ask_port_imm },
    [ROW_IN_eAXIb] = { IOIO_IN, false, ask_port_imm },
    [ROW_OUT_IbAL] = { ASK_BYTE, false, ask_port_imm },
    [ROW_OUT_IbeAX] = { 0, false, ask_port_imm },
    [ROW_IN_ALDX] = { ASK_BYTE | IOIO_IN, false, ask_port_dx },
    [ROW_IN_eAXDX] = { IOIO_IN, false, ask_port_dx },
    [ROW_OUT_DXAL] = { ASK_BYTE, false, ask_port_dx },
    [ROW_OUT_DXeAX] = { 0, false, ask_port_dx },
    [ROW_INSB] = { ASK_BYTE | IOIO_IN, false, ask_port_string },
    [ROW_INSZ] = { IOIO_IN, false, ask_port_string },
    [ROW_OUTSB] = { ASK_BYTE, false, ask_port_string },
    [ROW_OUTSZ] = { 0, false, ask_port_string },
    [ROW_REP_INSB] = { ASK_BYTE | IOIO_IN | ASK_REP, false, ask_port_string },
    [ROW_REP_INSZ] = { IOIO_IN | ASK_REP, false, ask_port_string },
    [ROW_REP_OUTSB] = { ASK_BYTE | ASK_REP, false, ask_port_string },
    [ROW_REP_OUTSZ] = { ASK_REP, false, ask_port_string },
    [ROW_REPNE_INSB] = { ASK_BYTE | IOIO_IN | ASK_REP, false, ask_port_string },
    [ROW_REPNE_INSZ] = { IOIO_IN | ASK_REP, false, ask_port_string },
    [ROW_REPNE_OUTSB] = { ASK_BYTE | ASK_REP, false, ask_port_string },
    [ROW_REPNE_OUTSZ] = { ASK_REP, false, ask_port_string },
};

void insn_in_guest(Cpu *cpu, const Insn *i)
{
    const Intercept *c = &intercepts[i->row];
    const Sem *sem = insn_rows[i->row].sem;
    if (!c->privileged || cpu->cpl == 0) {
        if (c->ask)
            c->ask(cpu, i, c->code);
        else
            ask_plain(cpu, i, c->code, 0);
    }
    (i->mem ? sem->mem : sem->reg)[i->osz](cpu, i);
}
