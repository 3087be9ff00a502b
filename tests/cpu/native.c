/*
 * Cases on the host's own processor: registers are loaded and read back through signal frames.
 *
 * native_run() raises a signal; its handler puts the case's registers into the frame and returns into the instruction.
 * Behind the instruction stand INT3s, so a second signal (or the one of its fault) brings all registers back.
 */
#include "tests/cpu/case.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/features.h"
#include "cpu/state.h"

static const Case *current;
static Outcome *outcome;
static ucontext_t home;           /* where native_run was */
static uint8_t home_fp[8192];     /* its XSAVE area, and that area's size */
static size_t area_size;
static unsigned ymm_at, opmask_at, zmm_high_at, high_zmm_at; /* components in the standard form; 0: not there */
static volatile sig_atomic_t inside;

static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

#define CS_32 0x23
#define CS_64 0x33
#define FLAGS_LOADED (F_ARITH | F_DF)

/* The frame's x87 registers are in stack order; the parts of vectors lie where CPUID says (SDM vol. 1 13.4.3). */
static void load_fp(struct _libc_fpstate *fp, const Registers *in)
{
    unsigned top = in->fsw >> 11 & 7;
    fp->cwd = in->fcw;
    fp->swd = in->fsw;
    fp->ftw = in->tags;
    fp->mxcsr = in->mxcsr;
    for (unsigned k = 0; k < 8; k++) {
        memcpy(fp->_st[k].significand, &in->st_mant[(top + k) & 7], 8);
        fp->_st[k].exponent = in->st_sexp[(top + k) & 7];
    }
    uint8_t *area = (uint8_t *)fp;
    for (unsigned k = 0; k < 16; k++) {
        memcpy(fp->_xmm[k].element, in->vec[k], 16);
        if (ymm_at)
            memcpy(area + ymm_at + 16 * k, in->vec[k] + 2, 16);
        if (opmask_at) {
            memcpy(area + zmm_high_at + 32 * k, in->vec[k] + 4, 32);
            memcpy(area + high_zmm_at + 64 * k, in->vec[16 + k], 64);
        }
    }
    if (opmask_at)
        memcpy(area + opmask_at, in->opmask, 64);
    if (ymm_at)
        *(uint64_t *)(area + 512) |= opmask_at ? 0xe7 : 7;
}

/* Components in their initial state are not in the frame. */
static void save_fp(const struct _libc_fpstate *fp, Registers *out)
{
    const uint8_t *area = (const uint8_t *)fp;
    uint64_t present = ymm_at ? *(const uint64_t *)(area + 512) : 3;
    unsigned top = fp->swd >> 11 & 7;
    out->fcw = fp->cwd;
    out->fsw = fp->swd;
    out->tags = fp->ftw;
    out->mxcsr = fp->mxcsr;
    for (unsigned k = 0; k < 8; k++) {
        memcpy(&out->st_mant[(top + k) & 7], fp->_st[k].significand, 8);
        out->st_sexp[(top + k) & 7] = fp->_st[k].exponent;
    }
    memset(out->vec, 0, sizeof out->vec);
    memset(out->opmask, 0, sizeof out->opmask);
    for (unsigned k = 0; k < 16; k++) {
        if (present & 2)
            memcpy(out->vec[k], fp->_xmm[k].element, 16);
        if (ymm_at && present & 4)
            memcpy(out->vec[k] + 2, area + ymm_at + 16 * k, 16);
        if (opmask_at && present & 0x40)
            memcpy(out->vec[k] + 4, area + zmm_high_at + 32 * k, 32);
        if (opmask_at && present & 0x80)
            memcpy(out->vec[16 + k], area + high_zmm_at + 64 * k, 64);
    }
    if (opmask_at && present & 0x20)
        memcpy(out->opmask, area + opmask_at, 64);
}

static void set_cs(ucontext_t *uc, uint16_t cs)
{
    uint64_t v = uc->uc_mcontext.gregs[REG_CSGSFS];
    uc->uc_mcontext.gregs[REG_CSGSFS] = (v & ~UINT64_C(0xffff)) | cs;
}

static void enter_case(ucontext_t *uc)
{
    const Registers *in = &current->in;
    home = *uc;
    memcpy(home_fp, uc->uc_mcontext.fpregs, area_size);
    for (unsigned k = 0; k < 16; k++)
        uc->uc_mcontext.gregs[greg_of[k]] = in->gpr[k];
    uc->uc_mcontext.gregs[REG_RIP] = in->rip;
    uc->uc_mcontext.gregs[REG_EFL] = in->eflags;
    set_cs(uc, current->size == SZ32 ? CS_32 : CS_64);
    load_fp(uc->uc_mcontext.fpregs, in);
    inside = 1;
}

static void leave_case(ucontext_t *uc, int sig)
{
    Registers *out = &outcome->out;
    greg_t *g = uc->uc_mcontext.gregs;
    for (unsigned k = 0; k < 16; k++)
        out->gpr[k] = g[greg_of[k]];
    out->rip = g[REG_RIP];
    out->eflags = g[REG_EFL];
    save_fp(uc->uc_mcontext.fpregs, out);
    outcome->vector = sig == SIGTRAP && g[REG_TRAPNO] == 3 ? NO_FAULT : g[REG_TRAPNO];
    outcome->error = outcome->vector == NO_FAULT ? 0 : g[REG_ERR];
    outcome->address = outcome->vector == 14 ? g[REG_CR2] : 0;
    if (outcome->vector == NO_FAULT)
        out->rip--; /* past the INT3 */
    memcpy(g, home.uc_mcontext.gregs, sizeof home.uc_mcontext.gregs);
    memcpy(uc->uc_mcontext.fpregs, home_fp, area_size);
    inside = 0;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)info;
    if (!inside)
        enter_case(context);
    else
        leave_case(context, sig);
}

static bool map_at(uint64_t address, size_t size, int prot)
{
    void *want = (void *)(uintptr_t)address;
    return mmap(want, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == want;
}

/* 32-bit code needs data segments, which a 64-bit program does without. */
static void load_data_segments(void)
{
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(0x2b));
}

static unsigned component_at(unsigned component)
{
    unsigned size, offset, c, d;
    __cpuid_count(0xd, component, size, offset, c, d);
    return offset;
}

/* What the operating system has enabled. */
static void find_components(void)
{
    unsigned a, b, c, d, low, high;
    area_size = sizeof(struct _libc_fpstate);
    __cpuid(1, a, b, c, d);
    if (!(c >> 27 & 1))
        return;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    __cpuid_count(0xd, 0, a, b, c, d);
    area_size = MIN(b, sizeof home_fp);
    if ((low & XCR0_AVX_STATE) == XCR0_AVX_STATE)
        ymm_at = component_at(2);
    if ((low & XCR0_AVX512_STATE) == XCR0_AVX512_STATE) {
        opmask_at = component_at(5);
        zmm_high_at = component_at(6);
        high_zmm_at = component_at(7);
    }
}

bool native_start(void)
{
    static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS };
    if (!map_at(CODE_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) || !map_at(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE))
        return false;
    find_components();
    stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
    sigaltstack(&stack, NULL);
    struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&sa.sa_mask);
    for (unsigned k = 0; k < ARRAY_SIZE(signals); k++)
        sigaction(signals[k], &sa, NULL);
    load_data_segments();
    return true;
}

bool native_has(unsigned feature)
{
#define FEATURE_CASE(name, option, leaf_, subleaf_, reg_, bit_)                                                        \
    case FEAT_##name: leaf = leaf_, subleaf = subleaf_, reg = reg_, bit = bit_; break;
    unsigned leaf = 0, subleaf = 0, reg = 0, bit = 0, r[4];
    switch (feature) {
        FEATURES(FEATURE_CASE)
    default: return true;
    }
    return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && (r[reg] >> bit & 1);
}

void native_run(const Case *c, Outcome *o)
{
    uint8_t *code = (uint8_t *)(uintptr_t)CODE_BASE, *data = (uint8_t *)(uintptr_t)DATA_BASE;
    memset(code, 0xcc, 4096);
    memcpy(code + (INSN_AT - CODE_BASE), c->code, c->length);
    case_fill_data(c, data);
    current = c;
    outcome = o;
    raise(SIGUSR1);
    memcpy(o->data, data, DATA_SIZE);
}

#else

bool native_start(void) { return false; }
bool native_has(unsigned feature) { return feature == 0; }
void native_run(const Case *c, Outcome *o)
{
    (void)c;
    (void)o;
}

#endif
