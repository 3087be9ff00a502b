/* Indirect branch tracking, and the instructions of both halves of CET (cet.h; SDM vol. 1 17.3, vol. 2). */
#include "cpu/cet.h"

#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"

#define ENDBR64 0xfa1e0ff3u
#define ENDBR32 0xfb1e0ff3u

/* ---- indirect branch tracking ---- */

static uint64_t *tracker(Cpu *cpu) { return cpu->cpl == 3 ? &cpu->u_cet : &cpu->s_cet; }

static void become_idle(Cpu *cpu)
{
    *tracker(cpu) &= ~(uint64_t)(CET_TRACKER | CET_SUPPRESS);
    cpu->step_mode &= ~STEP_IBT;
}

/* Whether the TLB shows ENDBRANCH at RIP. */
static bool at_endbranch(const Cpu *cpu)
{
    unsigned mode = cpu->cpl == 3 ? TLB_USER : TLB_KERNEL;
    const TlbEntry *e = &cpu->tlb[tlb_number(cpu, mode)].entry[tlb_index(cpu->rip)];
    if (!cpu->code_flat || !tlb_hits(e->exec, cpu->rip, 4))
        return false;
    return ld32le((const uint8_t *)(e->host + (uintptr_t)(cpu->rip - e->exec))) == (cpu_code64(cpu) ? ENDBR64 : ENDBR32);
}

static void wait_for_endbranch(Cpu *cpu)
{
    if (likely(!cpu->step_mode && at_endbranch(cpu)))
        return;
    *tracker(cpu) |= CET_TRACKER;
    cpu->step_mode |= STEP_IBT;
}

void cet_expect_endbranch(Cpu *cpu)
{
    *tracker(cpu) &= ~(uint64_t)CET_SUPPRESS;
    wait_for_endbranch(cpu);
}

void cet_track_branch(Cpu *cpu, const Insn *i)
{
    uint64_t cet = *tracker(cpu);
    if (!(cet & CET_SUPPRESS) && !(i->imm2 && (cet & CET_NO_TRACK_EN)))
        wait_for_endbranch(cpu);
}

/* A page that the program has marked as old code (SDM vol. 1 17.3.6). */
static bool legacy_page(Cpu *cpu)
{
    uint64_t lip = cpu_code64(cpu) ? cpu->rip & bit_mask(cpu->linear_bits)
                                   : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
    uint64_t base = *tracker(cpu) & GUEST_PAGE_MASK;
    return linear_read_cpl(cpu, base + (lip >> 15), 1, cpu->cpl) >> (lip >> 12 & 7) & 1;
}

static void endbr64(Cpu *cpu, const Insn *i)
{
    (void)i;
    if ((cpu->key & KEY_IBT) && cpu_code64(cpu))
        become_idle(cpu);
}

static void endbr32(Cpu *cpu, const Insn *i)
{
    (void)i;
    if ((cpu->key & KEY_IBT) && !cpu_code64(cpu))
        become_idle(cpu);
}

SEM_1(endbr64)
SEM_1(endbr32)
extern const Sem sem_int3, sem_int1;

/* INT3 and INT1 stand in for an instruction that a debugger has replaced: the tracker goes on waiting behind them. */
static bool may_stand_there(const Cpu *cpu, const Insn *i)
{
    if (i->row >= insn_row_count)
        return false;
    const Sem *sem = insn_rows[i->row].sem;
    return sem == (cpu_code64(cpu) ? &sem_endbr64 : &sem_endbr32) || sem == &sem_int3 || sem == &sem_int1;
}

void cet_check_target(Cpu *cpu, const Insn *i)
{
    if (may_stand_there(cpu, i))
        return;
    if (!(*tracker(cpu) & CET_LEG_IW_EN) || !legacy_page(cpu))
        cpu_raise_error(cpu, EXC_CP, CP_ENDBRANCH);
    become_idle(cpu);
    if (!(*tracker(cpu) & CET_SUPPRESS_DIS))
        *tracker(cpu) |= CET_SUPPRESS;
}

/* ---- registers ---- */

/* 32 bits, or canonical for the processor's width. */
static bool address_valid(const Cpu *cpu, uint64_t v)
{
    return cpu_has(cpu, FEAT_LM) ? cpu_canonical_register(cpu, v) : !(v >> 32);
}

bool cet_ssp_valid(const Cpu *cpu, uint64_t v) { return !(v & 3) && address_valid(cpu, v); }

static uint64_t allowed_bits(const Cpu *cpu)
{
    uint64_t ibt = CET_ENDBR_EN | CET_LEG_IW_EN | CET_NO_TRACK_EN | CET_SUPPRESS_DIS | CET_SUPPRESS | CET_TRACKER |
                   GUEST_PAGE_MASK;
    return (cpu_has(cpu, FEAT_SHSTK) ? CET_SH_STK_EN | CET_WR_SHSTK_EN : 0) | (cpu_has(cpu, FEAT_IBT) ? ibt : 0);
}

/* A tracker that is suppressed waits for nothing. */
bool cet_control_valid(const Cpu *cpu, uint64_t v)
{
    const uint64_t both = CET_SUPPRESS | CET_TRACKER;
    return !(v & ~allowed_bits(cpu)) && (v & both) != both && address_valid(cpu, v);
}

/* ---- instructions of shadow stacks ---- */

static void require_shadow(Cpu *cpu)
{
    if (!shadow_in_use(cpu))
        cpu_raise_ud(cpu);
}

/* Supervisor instructions: #UD unless level 0 has shadow stacks, #GP(0) elsewhere than there. */
static void require_supervisor_shadow(Cpu *cpu)
{
    if (!cpu->protected_mode || !shadow_enabled(cpu, 0))
        cpu_raise_ud(cpu);
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

/* Linear address of the memory operand, a multiple of its size. */
static uint64_t aligned_operand(Cpu *cpu, const Insn *i, unsigned size, bool write)
{
    uint64_t la = segment_linear(cpu, i->seg, insn_ea(cpu, i), size, write);
    if (la & (size - 1))
        cpu_raise_gp(cpu);
    return la;
}

/* The first and the last item to be dropped are read, which shows that they are of a shadow stack. */
static void incssp(Cpu *cpu, const Insn *i)
{
    require_shadow(cpu);
    unsigned size = i->osz == SZ64 ? 8 : 4, count = cpu->gpr[i->rm] & 0xff;
    uint64_t ssp = shadow_address(cpu, cpu->ssp);
    shadow_load(cpu, ssp, size, cpu->cpl);
    if (count > 1)
        shadow_load(cpu, shadow_address(cpu, ssp + (count - 1) * size), size, cpu->cpl);
    cpu->ssp = shadow_address(cpu, ssp + count * size);
}

static void rdssp(Cpu *cpu, const Insn *i)
{
    if (shadow_in_use(cpu))
        cpu->gpr[i->rm] = i->osz == SZ64 ? cpu->ssp : (uint32_t)cpu->ssp;
}

/* Tokens that RSTORSSP and SAVEPREVSSP exchange (SDM vol. 1 17.2.5): bit 0 tells 64-bit mode, bit 1 a previous SSP. */
enum { TOKEN_64 = 1, TOKEN_PREVIOUS = 2 };

static void saveprevssp(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_shadow(cpu);
    unsigned cpl = cpu->cpl;
    bool code64 = cpu_code64(cpu), hole = flag_cf(cpu);
    uint64_t ssp = shadow_address(cpu, cpu->ssp);
    if (ssp & 7)
        cpu_raise_gp(cpu);
    uint64_t token = shadow_load(cpu, ssp, 8, cpl);
    ssp = shadow_address(cpu, ssp + 8);
    if (hole && (code64 || shadow_load(cpu, ssp, 4, cpl)))
        cpu_raise_gp(cpu);
    if (!(token & TOKEN_PREVIOUS) || (!code64 && token >> 32))
        cpu_raise_gp(cpu);
    uint64_t old = token & ~UINT64_C(3);
    shadow_check_store(cpu, shadow_address(cpu, (old & ~UINT64_C(7)) - 8), 8, cpl);
    shadow_store(cpu, shadow_address(cpu, old - 4), 0, 4, cpl);
    shadow_store(cpu, shadow_address(cpu, (old & ~UINT64_C(7)) - 8), old | (code64 ? TOKEN_64 : 0), 8, cpl);
    cpu->ssp = hole ? shadow_address(cpu, ssp + 4) : ssp;
}

static bool restore_token_valid(const Cpu *cpu, uint64_t token, uint64_t la)
{
    bool code64 = cpu_code64(cpu);
    if ((token & 3) != (code64 ? TOKEN_64 : 0) || (!code64 && token >> 32))
        return false;
    return (((token & ~UINT64_C(1)) - 8) & ~UINT64_C(7)) == la;
}

/* CF: there is a hole of 4 bytes above the token. */
static void rstorssp(Cpu *cpu, const Insn *i)
{
    require_shadow(cpu);
    uint64_t la = aligned_operand(cpu, i, 8, true), token;
    uint64_t previous = cpu->ssp | (cpu_code64(cpu) ? TOKEN_64 : 0) | TOKEN_PREVIOUS;
    do {
        token = shadow_load(cpu, la, 8, cpu->cpl);
        if (!restore_token_valid(cpu, token, la))
            cpu_raise_error(cpu, EXC_CP, CP_RSTORSSP);
    } while (!shadow_exchange(cpu, la, token, previous, cpu->cpl));
    cpu->ssp = la;
    set_flags_arith(cpu, token & 4 ? F_CF : 0);
}

static void require_write_enable(Cpu *cpu)
{
    require_shadow(cpu);
    if (!((cpu->cpl == 3 ? cpu->u_cet : cpu->s_cet) & CET_WR_SHSTK_EN))
        cpu_raise_ud(cpu);
}

static void write_shadow(Cpu *cpu, const Insn *i, unsigned cpl)
{
    unsigned size = i->osz == SZ64 ? 8 : 4;
    shadow_store(cpu, aligned_operand(cpu, i, size, true), cpu->gpr[i->reg] & bit_mask(size * 8), size, cpl);
}

static void wrss(Cpu *cpu, const Insn *i)
{
    require_write_enable(cpu);
    write_shadow(cpu, i, cpu->cpl);
}

static void wruss(Cpu *cpu, const Insn *i)
{
    if (!(cpu->cr4 & CR4_CET) || !cpu->protected_mode)
        cpu_raise_ud(cpu);
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
    write_shadow(cpu, i, 3);
}

static void setssbsy(Cpu *cpu, const Insn *i)
{
    (void)i;
    require_supervisor_shadow(cpu);
    uint64_t la = cpu->pl_ssp[0];
    if (la & 7)
        cpu_raise_gp(cpu);
    if (!shadow_exchange(cpu, la, la, la | 1, 0))
        cpu_raise_error(cpu, EXC_CP, CP_SETSSBSY);
    cpu->ssp = la;
}

/* CF: there was no busy token. */
static void clrssbsy(Cpu *cpu, const Insn *i)
{
    require_supervisor_shadow(cpu);
    uint64_t la = aligned_operand(cpu, i, 8, true);
    bool valid = shadow_exchange(cpu, la, la | 1, la, 0);
    set_flags_arith(cpu, valid ? 0 : F_CF);
    cpu->ssp = 0;
}

SEM_1(incssp)
SEM_1(rdssp)
SEM_1(saveprevssp)
SEM_1(rstorssp)
SEM_1(wrss)
SEM_1(wruss)
SEM_1(setssbsy)
SEM_1(clrssbsy)
