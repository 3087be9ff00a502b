/*
 * Shadow stacks and indirect branch tracking (SDM vol. 1 chapter 17; vol. 2 under each instruction; vol. 3A 4.6.1,
 * 4.7, 6.15).
 */
#include "paging.h"

#define WINDOW BIT64(39) /* entry 1 of the top level */
enum {
    MSR_U_CET = 0x6a0, MSR_S_CET = 0x6a2, MSR_PL0_SSP = 0x6a4, MSR_PL3_SSP = 0x6a7, MSR_SSP_TABLE = 0x6a8,
    MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_FMASK = 0xc0000084,
    SH_STK_EN = 1, WR_SHSTK_EN = 2, ENDBR_EN = 4, LEG_IW_EN = 8, NO_TRACK_EN = 16, SUPPRESS_DIS = 32,
    SUPPRESS = 1 << 10, TRACKER = 1 << 11, CR4_CET = 1 << 23, E_SS = 64,
    NEAR_RET = 1, FAR_RET = 2, ENDBRANCH = 3, BAD_RSTORSSP = 4, BAD_SETSSBSY = 5,
    PLAIN_VECTOR = 0x82,
};

extern u64 boot_pml4[512];
extern u8 cet_entries[], plain_handler[], syscall_handler[], marked[], unmarked[], with_int3[], compat_code[];
extern volatile u64 entry_ssp, entry_s_cet, syscall_ssp;
static u64 pdpt[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096))),
    leaves[512] __attribute__((aligned(4096)));
/* Shadow stacks: written here, and used through the window. */
static u64 user_pages[2][512] __attribute__((aligned(4096))), kernel_page[512] __attribute__((aligned(4096)));
static u8 bitmap[1 << 12] __attribute__((aligned(4096)));

/* Pages of the window. */
enum { USER_STACK = 0, USER_STACK_2 = 1, KERNEL_STACK = 2, USER_DATA = 3 };
static word page(unsigned n) { return WINDOW + n * PAGE; }
#define USER_TOP (page(USER_STACK) + 0x800) /* where PL3_SSP is set to */
#define USER_SLOT(n) user_pages[0][0x800 / 8 + (n)]
#define KERNEL_TOKEN (page(KERNEL_STACK) + 0x7f8)
#define KERNEL_SLOT(n) kernel_page[0x7f8 / 8 + (n)]

static void user_cet(u64 v)
{
    msr_write(MSR_U_CET, v);
    msr_write(MSR_PL3_SSP, USER_TOP);
}

static void test_control(u32 n)
{
    EXPECT("reserved bit", GP, 0, ANY_IP, msr_write(n, 1 << 6));
    EXPECT("SUPPRESS and TRACKER", GP, 0, ANY_IP, msr_write(n, ENDBR_EN | SUPPRESS | TRACKER));
    EXPECT("bitmap not canonical", GP, 0, ANY_IP, msr_write(n, BIT64(62)));
    EXPECT("what is there", NO_FAULT, 0, 0, msr_write(n, WR_SHSTK_EN | NO_TRACK_EN | 0x12345000));
    check_equal("reads back", msr_read(n), WR_SHSTK_EN | NO_TRACK_EN | 0x12345000);
    msr_write(n, 0);
}

static void test_ssp(u32 n)
{
    EXPECT("SSP not aligned", GP, 0, ANY_IP, msr_write(n, 0x1002));
    EXPECT("SSP not canonical", GP, 0, ANY_IP, msr_write(n, BIT64(62)));
    EXPECT("SSP", NO_FAULT, 0, 0, msr_write(n, 0x1004));
    check_equal("reads back", msr_read(n), 0x1004);
    msr_write(n, 0);
}

static void test_registers(void)
{
    group("registers");
    cr0_write(cr0_read() & ~(word)CR0_WP);
    EXPECT("CR4.CET without CR0.WP", GP, 0, ANY_IP, cr4_write(cr4_read() | CR4_CET));
    cr0_write(cr0_read() | CR0_WP);
    EXPECT("CR4.CET", NO_FAULT, 0, 0, cr4_write(cr4_read() | CR4_CET));
    EXPECT("CR0.WP must stay", GP, 0, ANY_IP, cr0_write(cr0_read() & ~(word)CR0_WP));
    test_control(MSR_U_CET);
    test_control(MSR_S_CET);
    for (volatile unsigned n = MSR_PL0_SSP; n <= MSR_PL3_SSP; n++)
        test_ssp(n);
    EXPECT("table not canonical", GP, 0, ANY_IP, msr_write(MSR_SSP_TABLE, BIT64(62)));
}

static void test_off(void)
{
    group("off");
    u64 v = 0x123456789abcdef0;
    asm volatile("rdsspq %0" : "+r"(v));
    check_equal("RDSSP does nothing", v, 0x123456789abcdef0);
    EXPECT_ASM("ENDBR64 does nothing", NO_FAULT, 0, 0, "endbr64; endbr32");
    EXPECT_ASM("INCSSP", UD, 0, 0, "incsspd %%eax");
    EXPECT_ASM("SAVEPREVSSP", UD, 0, 0, "saveprevssp");
    EXPECT_ASM("RSTORSSP", UD, 0, 0, "rstorssp (%%rsp)");
    EXPECT_ASM("WRSS", UD, 0, 0, "wrssq %%rax, (%%rsp)");
    EXPECT_ASM("SETSSBSY", UD, 0, 0, "setssbsy");
    EXPECT_ASM("CLRSSBSY", UD, 0, 0, "clrssbsy (%%rsp)");
    EXPECT_USER_ASM("WRUSS at level 3", GP, 0, 0, "wrussq %%rax, (%%rsp)");
    EXPECT_USER_ASM("SETSSBSY at level 3", UD, 0, 0, "setssbsy");
}

/* What paging allows of a shadow stack's page, and on what other pages shadow stacks are not. */
static void test_pages(const Window *w)
{
    group("pages");
    static word at;
    const u64 shadow = P_P | P_U | P_D;
    at = page(USER_STACK);
#define WRUSS(address) asm volatile("wrussq %0, (%1)" :: "r"(0x5555ul), "r"(address) : "memory")
    leaf_set(w, USER_STACK, (word)user_pages[0] | shadow);
    EXPECT("WRUSS", NO_FAULT, 0, 0, WRUSS(at + 8));
    check_equal("has written", user_pages[0][1], 0x5555);
    check_equal("and set A", leaves[USER_STACK] & P_A, P_A);
    EXPECT("WRUSS, not aligned", GP, 0, ANY_IP, WRUSS(at + 4));
    NO_PAGE_FAULT_USER("user read", window_read(w));
    PAGE_FAULT_USER("user write", E_P | E_W | E_U, at, window_write(w));
    PAGE_FAULT("write", E_P | E_W, at, window_write(w));
    leaf_set(w, USER_STACK, (word)user_pages[0] | P_P | P_U);
    PAGE_FAULT("WRUSS, not dirty", E_P | E_W | E_U | E_SS, at, WRUSS(at));
    leaf_set(w, USER_STACK, (word)user_pages[0] | P_ALL | P_D);
    PAGE_FAULT("WRUSS, writable", E_P | E_W | E_U | E_SS, at, WRUSS(at));
    leaf_set(w, USER_STACK, (word)user_pages[0] | P_P | P_D);
    PAGE_FAULT("WRUSS, the supervisor's", E_P | E_W | E_U | E_SS, at, WRUSS(at));
    leaf_set(w, USER_STACK, 0);
    PAGE_FAULT("WRUSS, not present", E_W | E_U | E_SS, at, WRUSS(at));
    leaf_set(w, USER_STACK, (word)user_pages[0] | shadow);
    upper_flags(w, P_W, 0);
    PAGE_FAULT("WRUSS, the upper level read-only", E_P | E_W | E_U | E_SS, at, WRUSS(at));
    upper_flags(w, 0, P_W);
    NO_PAGE_FAULT("WRUSS again", WRUSS(at));
}

#define USER_ASM(name, vector, error, text) EXPECT_USER_ASM(name, vector, error, ANY_IP, text)

static void test_near(void)
{
    group("near");
    user_cet(SH_STK_EN);
    USER_ASM("CALL and RET", NO_FAULT, 0, "rdsspq %%rcx; call 1f; jmp 2f; 1: rdsspq %%rdx; ret; 2: rdsspq %%rax");
    check_equal("SSP at first", fault.frame.cx, USER_TOP);
    check_equal("within", fault.frame.dx, USER_TOP - 8);
    check_equal("after", fault.frame.ax, USER_TOP);
    USER_ASM("what CALL pushes", NO_FAULT, 0, "call 1f; 3: jmp 2f; 1: rdsspq %%rdx; mov (%%rdx), %%rcx; lea 3b(%%rip), "
                                              "%%rax; ret; 2:");
    check_equal("is the return address", fault.frame.cx, fault.frame.ax);
    USER_ASM("CALL to the next instruction", NO_FAULT, 0, "call 1f; 1: rdsspq %%rax; pop %%rcx");
    check_equal("pushes nothing", fault.frame.ax, USER_TOP);
    USER_ASM("CALL through a register", NO_FAULT, 0, "lea 1f(%%rip), %%rax; call *%%rax; jmp 2f; 1: rdsspq %%rdx; ret; 2:");
    check_equal("pushes", fault.frame.dx, USER_TOP - 8);
    USER_ASM("RET to elsewhere", CP, NEAR_RET, "call 1f; 1: call 2f; 2: call 3f; nop; 3: incq (%%rsp); ret");
    check_equal("SSP stays", msr_read(MSR_PL3_SSP), USER_TOP - 8);
    user_cet(SH_STK_EN);
    USER_ASM("RET n", NO_FAULT, 0, "push %%rax; call 1f; jmp 2f; 1: ret $8; 2: rdsspq %%rax");
    check_equal("pops one", fault.frame.ax, USER_TOP);
    msr_write(MSR_PL3_SSP, page(USER_DATA) + 0x800);
    USER_ASM("CALL, no shadow stack there", PF, E_P | E_U | E_W | E_SS, "mov %%rsp, %%rsi; call 1f; nop; 1: nop");
    check_equal("CR2", fault.cr2, page(USER_DATA) + 0x7f8);
    check_equal("RSP stays", fault.frame.sp, fault.frame.si);
    USER_ASM("RET, no shadow stack there", PF, E_P | E_U | E_SS, "lea 1f(%%rip), %%rax; push %%rax; ret; 1: nop");
}

static void test_user_instructions(void)
{
    group("instructions");
    user_cet(SH_STK_EN);
    USER_ASM("INCSSPQ", NO_FAULT, 0, "mov $0x103, %%eax; incsspq %%rax; rdsspq %%rcx; mov $5, %%eax; incsspd %%eax; "
                                     "rdsspq %%rdx");
    check_equal("by 3 quadwords", fault.frame.cx, USER_TOP + 24);
    check_equal("by 5 doublewords", fault.frame.dx, USER_TOP + 24 + 20);
    user_cet(SH_STK_EN);
    USER_ASM("INCSSPQ beyond the page", PF, E_U | E_SS, "mov $255, %%eax; incsspq %%rax; incsspq %%rax");
    check_equal("CR2", fault.cr2, USER_TOP + 2 * 255 * 8 - 8);
    user_cet(SH_STK_EN);
    USER_ASM("WRSSQ not enabled", UD, 0, "rdsspq %%rcx; wrssq %%rax, -8(%%rcx)");
    user_cet(SH_STK_EN | WR_SHSTK_EN);
    USER_ASM("WRSSQ", NO_FAULT, 0, "rdsspq %%rcx; mov $0x1234567, %%eax; wrssq %%rax, -8(%%rcx); wrssd %%eax, -16(%%rcx)");
    check_equal("has written", USER_SLOT(-1), 0x1234567);
    USER_ASM("WRSSQ, not aligned", GP, 0, "rdsspq %%rcx; wrssq %%rax, -4(%%rcx)");
    USER_ASM("WRSSQ elsewhere", PF, E_P | E_U | E_W | E_SS, "wrssq %%rax, gdt");
    user_cet(SH_STK_EN);
    USER_ASM("RDSSPD", NO_FAULT, 0, "mov $-1, %%rax; rdsspd %%eax");
    check_equal("clears the upper half", fault.frame.ax, (u32)USER_TOP);
}

/* To another stack, whose token the first quadword of its page's middle is, and back. */
static void test_switch(const Window *w)
{
    group("switch");
    leaf_set(w, USER_STACK_2, (word)user_pages[1] | P_P | P_U | P_D);
    static word token;
    token = page(USER_STACK_2) + 0x400;
    user_cet(SH_STK_EN);
#define RSTORSSP "mov token_address, %%rax; rstorssp (%%rax)"
    asm volatile(".pushsection .data; .align 8; token_address: .quad 0; .popsection; mov %0, token_address" :: "r"(token));
    user_pages[1][0x80] = (token + 8) | 1;
    USER_ASM("RSTORSSP and SAVEPREVSSP", NO_FAULT, 0, RSTORSSP "; rdsspq %%rcx; saveprevssp; rdsspq %%rdx; pushf; pop %%rsi");
    check_equal("SSP at the token", fault.frame.cx, token);
    check_equal("SSP above it", fault.frame.dx, token + 8);
    check_equal("the token tells the old SSP", user_pages[1][0x80], USER_TOP | 3);
    check_equal("there is one on the old stack", USER_SLOT(-1), USER_TOP | 1);
    check_equal("flags", fault.frame.si & (F_CF | F_ZF | F_PF | F_OF), 0);
    user_cet(SH_STK_EN);
    USER_ASM("RSTORSSP of a token used up", CP, BAD_RSTORSSP, RSTORSSP);
    user_pages[1][0x80] = token + 8;
    USER_ASM("of a token for 32-bit code", CP, BAD_RSTORSSP, RSTORSSP);
    user_pages[1][0x80] = (token + 16) | 1;
    USER_ASM("of a token of elsewhere", CP, BAD_RSTORSSP, RSTORSSP);
    check_equal("which stays", user_pages[1][0x80], (token + 16) | 1);
    user_pages[1][0x80] = (token + 12) | 1;
    USER_ASM("of a token with a hole", NO_FAULT, 0, RSTORSSP "; pushf; pop %%rsi");
    check_equal("CF", fault.frame.si & F_CF, F_CF);
    user_cet(SH_STK_EN);
    USER_ASM("SAVEPREVSSP without a token", GP, 0, "xor %%eax, %%eax; saveprevssp");
}

/* RET and RETF between segments of one level. */
static void test_far(void)
{
    group("far");
    user_cet(SH_STK_EN);
    USER_ASM("CALL far and RET", NO_FAULT, 0,
             "lea 1f(%%rip), %%rax; push $0x2b; push %%rax; rex.w lcall *(%%rsp); 3: jmp 2f; 1: rdsspq %%rdx; mov (%%rdx), "
             "%%rsi; mov 8(%%rdx), %%rdi; mov 16(%%rdx), %%rcx; lea 3b(%%rip), %%rax; lretq; 2: rdsspq %%rbx; pop %%rax; "
             "pop %%rax; lea 3b(%%rip), %%rax");
    check_equal("SSP within", fault.frame.dx, USER_TOP - 24);
    check_equal("saved SSP", fault.frame.si, USER_TOP);
    check_equal("saved LIP", fault.frame.di, fault.frame.ax);
    check_equal("saved CS", fault.frame.cx, USER_CS64);
    check_equal("SSP after", fault.frame.bx, USER_TOP);
    user_cet(SH_STK_EN);
    USER_ASM("RET far to elsewhere", CP, FAR_RET,
             "lea 1f(%%rip), %%rax; push $0x2b; push %%rax; rex.w lcall *(%%rsp); nop; 1: incq (%%rsp); lretq");
    user_cet(SH_STK_EN);
    USER_ASM("IRET without a frame", CP, FAR_RET,
             "mov %%rsp, %%rax; push $0x23; push %%rax; push $2; push $0x2b; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:");
    msr_write(MSR_PL3_SSP, USER_TOP + 4);
    USER_ASM("RET far, SSP not aligned", CP, FAR_RET, "push $0x2b; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:");
}

static void enter_compat(void)
{
    asm volatile("mov %0, %%eax; mov %%eax, %%ds; mov %%rsp, %%rax; push %0; push %%rax; push $2; push %1; push %2; iretq"
                 :: "i"(USER_DS), "i"(USER_CS32), "r"((word)compat_code) : "rax", "memory");
}

/* 32-bit code pushes doublewords; SSP must lie below 4 GiB. */
static void test_compatibility(void)
{
    group("compatibility mode");
    static u64 *low;
    low = (u64 *)user_pages[0];
    user_cet(SH_STK_EN);
    check_equal("SSP above 4 GiB", FAULT_OF(enter_compat()), GP);
    msr_write(MSR_PL3_SSP, (word)(low + 256));
    /* the page itself, by its address in the low 4 GiB */
    extern u64 boot_pd[];
    static u64 tables[512] __attribute__((aligned(4096)));
    static unsigned at, big;
    big = (word)low >> 21;
    at = (word)low >> 12 & 511;
    for (unsigned k = 0; k < 512; k++)
        tables[k] = ((u64)big << 21 | (u64)k << 12) | P_ALL;
    tables[at] = (word)low | P_P | P_U | P_D;
    boot_pd[big] = (word)tables | P_ALL;
    cr3_write(cr3_read());
    check_equal("CALL and RET", FAULT_OF(enter_compat()), (u64)NO_FAULT);
    check_equal("SSP within", fault.frame.si, (word)(low + 256) - 4);
    check_equal("SSP after", fault.frame.di, (word)(low + 256));
    check_equal("the return address", fault.frame.bx, (u32)fault.frame.bp);
    boot_pd[big] = (u64)big << 21 | P_ALL | P_PS;
    cr3_write(cr3_read());
}

/* Where a branch went: 1, 2 as the targets say. */
#define BRANCH(name, vector, error, op, target)                                                                        \
    EXPECT_USER(name, vector, error, ANY_IP,                                                                           \
                asm volatile("mov %0, %%rcx; " op :: "r"((word)(target)) : "rax", "rcx", "memory"))
#define CALL "call *%%rcx"
#define NOTRACK_CALL "notrack call *%%rcx"
#define JMP "lea 1f(%%rip), %%rax; push %%rax; jmp *%%rcx; 1:"

/* To level 3, with nothing before what follows. */
#define TO_USER "mov %%rsp, %%rbx; push $0x23; push %%rbx; push $2; push $0x2b; push $7f; iretq; 7: "

static void test_tracking(void)
{
    group("tracking");
    user_cet(ENDBR_EN);
    BRANCH("CALL to ENDBR64", NO_FAULT, 0, CALL, marked);
    BRANCH("JMP to ENDBR64", NO_FAULT, 0, JMP, marked);
    check_equal("the tracker is idle", msr_read(MSR_U_CET), ENDBR_EN);
    BRANCH("CALL to elsewhere", CP, ENDBRANCH, CALL, unmarked);
    check_equal("saved ip is the target", fault.ip, (word)unmarked);
    check_equal("the tracker waits", msr_read(MSR_U_CET), ENDBR_EN | TRACKER);
    EXPECT_USER_ASM("and still does at the next entry", CP, ENDBRANCH, ANY_IP, "nop");
    user_cet(ENDBR_EN | TRACKER);
    EXPECT("until ENDBR64", NO_FAULT, 0, ANY_IP, asm volatile(TO_USER "endbr64; int $0x81" ::: "rbx", "memory"));
    check_equal("the tracker is idle", msr_read(MSR_U_CET), ENDBR_EN);
    user_cet(ENDBR_EN);
    BRANCH("JMP to elsewhere", CP, ENDBRANCH, JMP, unmarked);
    user_cet(ENDBR_EN);
    BRANCH("NOTRACK without its enable", CP, ENDBRANCH, NOTRACK_CALL, unmarked);
    user_cet(ENDBR_EN | NO_TRACK_EN);
    BRANCH("NOTRACK", NO_FAULT, 0, NOTRACK_CALL, unmarked);
    BRANCH("through memory", CP, ENDBRANCH, "push %%rcx; call *(%%rsp)", unmarked);
    user_cet(ENDBR_EN | NO_TRACK_EN);
    BRANCH("NOTRACK through memory", NO_FAULT, 0, "push %%rcx; notrack call *(%%rsp); pop %%rcx", unmarked);
    BRANCH("RET is not tracked", NO_FAULT, 0, "lea 1f(%%rip), %%rax; push %%rax; push %%rcx; ret; 1:", unmarked);
    idt_set_dpl(BP, 3);
    BRANCH("INT3 instead of ENDBR64", BP, 0, CALL, with_int3);
    idt_set_dpl(BP, 0);
    check_equal("the tracker waits on", msr_read(MSR_U_CET), ENDBR_EN | NO_TRACK_EN | TRACKER);
    user_cet(ENDBR_EN);
    BRANCH("JMP far", CP, ENDBRANCH, "push $0x2b; push %%rcx; rex.w ljmp *(%%rsp)", unmarked);
    check_equal("where to", fault.ip, (word)unmarked);
    user_cet(ENDBR_EN);
    BRANCH("to no code at all", PF, E_U, CALL, BIT64(40));
    check_equal("comes first; the tracker waits", msr_read(MSR_U_CET), ENDBR_EN | TRACKER);
    user_cet(0);
    BRANCH("off", NO_FAULT, 0, CALL, unmarked);
}

/* Single step sees the tracker between branch and target. */
static void test_trap(void)
{
    group("trap");
    user_cet(ENDBR_EN);
    USER_FAULT_WITH(2, asm volatile("pushf; orl $0x100, (%%rsp); popf; call *%0" :: "r"((word)marked) : "rax", "memory"));
    check_equal("#DB after CALL", fault.vector, DB);
    check_equal("at the target", fault.ip, (word)marked);
    check_equal("the tracker waits", msr_read(MSR_U_CET), ENDBR_EN | TRACKER);
    user_cet(0);
}

static void test_hot(void)
{
    group("hot");
    user_cet(ENDBR_EN | SH_STK_EN);
    EXPECT_USER("branches", NO_FAULT, 0, 0,
                asm volatile("mov $1000, %%edx; 1: mov %0, %%rcx; call *%%rcx; call marked; dec %%edx; jnz 1b; rdsspq %%rdx"
                             :: "r"((word)marked) : "rax", "rcx", "rdx", "memory"));
    check_equal("SSP", fault.frame.dx, USER_TOP);
    EXPECT_USER("and then one to elsewhere", CP, ENDBRANCH, ANY_IP,
                asm volatile("mov $100, %%edx; 1: mov %0, %%rcx; cmp $1, %%edx; cmove %1, %%rcx; call *%%rcx; dec %%edx; "
                             "jnz 1b" :: "r"((word)marked), "r"((word)unmarked) : "rax", "rcx", "rdx", "memory"));
    check_equal("where to", fault.ip, (word)unmarked);
    user_cet(0);
}

/* Pages that the bitmap marks may be branched to. */
static void test_legacy(void)
{
    group("legacy");
    const u64 base = (word)bitmap - ((word)unmarked >> 15 & ~(word)0xfff);
    memset(bitmap, 0, sizeof bitmap);
    user_cet(base | ENDBR_EN | LEG_IW_EN);
    BRANCH("page not marked", CP, ENDBRANCH, CALL, unmarked);
    bitmap[(word)unmarked >> 15 & 0xfff] = 1 << ((word)unmarked >> 12 & 7);
    user_cet(base | ENDBR_EN | LEG_IW_EN);
    BRANCH("page marked", NO_FAULT, 0, CALL, unmarked);
    check_equal("suppresses", msr_read(MSR_U_CET) & (TRACKER | SUPPRESS), SUPPRESS);
    memset(bitmap, 0, sizeof bitmap);
    BRANCH("anything goes now", NO_FAULT, 0, CALL, unmarked);
    BRANCH("until ENDBR64", NO_FAULT, 0, CALL, marked);
    check_equal("ends it", msr_read(MSR_U_CET) & (TRACKER | SUPPRESS), 0);
    BRANCH("as before", CP, ENDBRANCH, CALL, unmarked);
    bitmap[(word)unmarked >> 15 & 0xfff] = 1 << ((word)unmarked >> 12 & 7);
    user_cet(base | ENDBR_EN | LEG_IW_EN | SUPPRESS_DIS);
    BRANCH("page marked, SUPPRESS_DIS", NO_FAULT, 0, CALL, unmarked);
    check_equal("does not suppress", msr_read(MSR_U_CET) & (TRACKER | SUPPRESS), 0);
    user_cet(0);
}

/* ---- the supervisor's ---- */

static void entries_set(bool cet)
{
    static const u8 vectors[] = { DB, BP, UD, GP, PF, CP, LEAVE_USER };
    for (unsigned k = 0; k < COUNT(vectors); k++) {
        unsigned v = vectors[k];
        idt_reset(v);
        if (cet)
            idt_set(v, KERNEL_CS, (word)cet_entries + 64 * v, A_INT32, 0);
    }
    idt_set_dpl(LEAVE_USER, 3);
    if (cet)
        entry_ssp = entry_s_cet = 0;
}

/* With S_CET set, and turned off by whatever leads out. */
#define SUPERVISOR(name, vector, error, cet, text)                                                                     \
    (entries_set(true),                                                                                                \
     EXPECT(name, vector, error, ANY_IP,                                                                               \
            asm volatile("wrmsr; " text "; mov $0x6a2, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr"                \
                         :: "c"(MSR_S_CET), "a"(cet), "d"(0) : "rbx", "rsi", "rdi", "r8", "r9", "memory", "cc")),      \
     entries_set(false))

static void kernel_token(u64 token)
{
    KERNEL_SLOT(0) = token;
    msr_write(MSR_PL0_SSP, KERNEL_TOKEN);
}

static volatile u64 seen[4];

static void test_supervisor_stack(const Window *w)
{
    group("supervisor");
    leaf_set(w, KERNEL_STACK, (word)kernel_page | P_P | P_D);
    kernel_token(KERNEL_TOKEN);
    SUPERVISOR("SETSSBSY, CALL and RET", NO_FAULT, 0, SH_STK_EN,
               "setssbsy; rdsspq %%rbx; call 1f; jmp 2f; 1: rdsspq %%rsi; ret; 2: mov %%rbx, seen; mov %%rsi, seen + 8");
    check_equal("SSP", seen[0], KERNEL_TOKEN);
    check_equal("within", seen[1], KERNEL_TOKEN - 8);
    check_equal("the token is busy", KERNEL_SLOT(0), KERNEL_TOKEN | 1);
    SUPERVISOR("SETSSBSY of a busy one", CP, BAD_SETSSBSY, SH_STK_EN, "setssbsy");
    SUPERVISOR("CLRSSBSY", NO_FAULT, 0, SH_STK_EN,
               "mov token_of_kernel, %%rbx; clrssbsy (%%rbx); pushf; pop %%rsi; mov %%rsi, seen; rdsspq %%rsi; mov %%rsi, "
               "seen + 8");
    check_equal("the token is free", KERNEL_SLOT(0), KERNEL_TOKEN);
    check_equal("CF", seen[0] & F_CF, 0);
    check_equal("SSP", seen[1], 0);
    SUPERVISOR("CLRSSBSY of a free one", NO_FAULT, 0, SH_STK_EN,
               "mov token_of_kernel, %%rbx; clrssbsy (%%rbx); pushf; pop %%rsi; mov %%rsi, seen");
    check_equal("CF tells", seen[0] & F_CF, F_CF);
    kernel_token(KERNEL_TOKEN);
    SUPERVISOR("RET to elsewhere", CP, NEAR_RET, SH_STK_EN, "setssbsy; call 1f; nop; 1: incq (%%rsp); ret");
    check_equal("the exception's frame, SSP", KERNEL_SLOT(-4), KERNEL_TOKEN - 8);
    check_equal("LIP", KERNEL_SLOT(-3), fault.ip);
    check_equal("CS", KERNEL_SLOT(-2), KERNEL_CS);
    check_equal("SSP in the handler", entry_ssp, KERNEL_TOKEN - 32);
    kernel_token(KERNEL_TOKEN);
    msr_write(MSR_PL3_SSP, 0);
    SUPERVISOR("a user's page", PF, E_P | E_SS, SH_STK_EN, "setssbsy; mov shadow_of_user, %%rbx; rstorssp (%%rbx)");
}

/* An event of the same level and back, and one that the interrupt stack table sends elsewhere. */
static void test_events(void)
{
    group("events");
    static u64 table[8];
    kernel_token(KERNEL_TOKEN);
    idt_set(PLAIN_VECTOR, KERNEL_CS, (word)plain_handler, A_INT32, 0);
    SUPERVISOR("INT and IRET", NO_FAULT, 0, SH_STK_EN, "setssbsy; int $0x82; rdsspq %%rbx; mov %%rbx, seen");
    check_equal("SSP in the handler", entry_ssp, KERNEL_TOKEN - 24);
    check_equal("SSP after", seen[0], KERNEL_TOKEN);
    check_equal("frame: SSP", KERNEL_SLOT(-3), KERNEL_TOKEN);
    check_equal("frame: CS", KERNEL_SLOT(-1), KERNEL_CS);

    static u8 other_stack[1024] __attribute__((aligned(16)));
    tss.ist[1] = (word)(other_stack + sizeof other_stack);
    table[2] = page(KERNEL_STACK) + 0x3f8;
    msr_write(MSR_SSP_TABLE, (word)table);
    idt_set(PLAIN_VECTOR, KERNEL_CS, (word)plain_handler, A_INT32, 2);
    kernel_page[0x3f8 / 8] = table[2];
    kernel_token(KERNEL_TOKEN);
    SUPERVISOR("INT through the stack table", NO_FAULT, 0, SH_STK_EN, "setssbsy; int $0x82; rdsspq %%rbx; mov %%rbx, seen");
    check_equal("SSP after", seen[0], KERNEL_TOKEN);
    check_equal("frame: SSP", kernel_page[0x3f8 / 8 - 3], KERNEL_TOKEN);
    check_equal("its token is free again", kernel_page[0x3f8 / 8], table[2]);
    kernel_page[0x3f8 / 8] = table[2] | 1;
    kernel_token(KERNEL_TOKEN);
    SUPERVISOR("INT to a busy stack", GP, 0, SH_STK_EN, "setssbsy; int $0x82");
    table[2] = page(KERNEL_STACK) + 0x3f0;
    kernel_page[0x3f0 / 8] = table[2];
    kernel_token(KERNEL_TOKEN);
    SUPERVISOR("a frame over 32 bytes' edge", GP, 0, SH_STK_EN, "setssbsy; int $0x82");
}

/* From level 3 to level 0 and back, with shadow stacks at both. */
static void test_levels(void)
{
    group("levels");
    kernel_token(KERNEL_TOKEN);
    user_cet(SH_STK_EN);
    idt_set(PLAIN_VECTOR, KERNEL_CS, (word)plain_handler, A_INT32, 0);
    idt_set_dpl(PLAIN_VECTOR, 3);
    entries_set(true);
    msr_write(MSR_S_CET, SH_STK_EN);
    asm volatile("setssbsy" ::: "memory");
    msr_write(MSR_S_CET, 0);
    check_equal("the token is busy", KERNEL_SLOT(0), KERNEL_TOKEN | 1);
    EXPECT("to level 3 and back", NO_FAULT, 0, ANY_IP,
           asm volatile("wrmsr; " TO_USER "rdsspq %%rsi; int $0x82; rdsspq %%rdi; int $0x81"
                        :: "c"(MSR_S_CET), "a"(SH_STK_EN), "d"(0) : "rbx", "rsi", "rdi", "memory"));
    check_equal("the user's SSP", fault.frame.si, USER_TOP);
    check_equal("and after an interrupt", fault.frame.di, USER_TOP);
    check_equal("the supervisor's in the last handler", entry_ssp, KERNEL_TOKEN);
    check_equal("its token is busy", KERNEL_SLOT(0), KERNEL_TOKEN | 1);
    check_equal("PL3_SSP", msr_read(MSR_PL3_SSP), USER_TOP);
    entries_set(false);
    idt_reset(PLAIN_VECTOR);
    user_cet(0);
}

static void test_syscall(void)
{
    group("SYSCALL");
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    msr_write(MSR_STAR, (u64)0x18 << 48 | (u64)KERNEL_CS << 32);
    msr_write(MSR_LSTAR, (word)syscall_handler);
    msr_write(MSR_FMASK, F_IF);
    user_cet(SH_STK_EN);
    entries_set(true);
    kernel_token(KERNEL_TOKEN | 1);
    msr_write(MSR_S_CET, 0);
    EXPECT("and SYSRET", NO_FAULT, 0, ANY_IP,
           asm volatile("wrmsr; " TO_USER "syscall; rdsspq %%rdi; int $0x81"
                        :: "c"(MSR_S_CET), "a"(ENDBR_EN), "d"(0) : "rbx", "rsi", "rdi", "r11", "memory"));
    check_equal("SSP after", fault.frame.di, USER_TOP);
    check_equal("no shadow stack in the supervisor", syscall_ssp, (u64)-1);
    msr_write(MSR_LSTAR, (word)syscall_handler + 4);
    entries_set(true);
    EXPECT("to code without ENDBR64", CP, ENDBRANCH, ANY_IP,
           asm volatile("wrmsr; " TO_USER "syscall; int $0x81"
                        :: "c"(MSR_S_CET), "a"(ENDBR_EN), "d"(0) : "rbx", "rsi", "rdi", "r11", "memory"));
    check_equal("where to", fault.ip, (word)syscall_handler + 4);
    entries_set(false);
    user_cet(0);
}

static void test_supervisor_tracking(void)
{
    group("supervisor's tracking");
    SUPERVISOR("CALL to ENDBR64", NO_FAULT, 0, ENDBR_EN, "lea marked, %%rbx; call *%%rbx");
    SUPERVISOR("CALL to elsewhere", CP, ENDBRANCH, ENDBR_EN, "lea unmarked, %%rbx; call *%%rbx");
    check_equal("idle again in the handler", entry_s_cet, ENDBR_EN);
    idt_set(PLAIN_VECTOR, KERNEL_CS, (word)plain_handler, A_INT32, 0);
    SUPERVISOR("INT to ENDBR64", NO_FAULT, 0, ENDBR_EN, "int $0x82");
    idt_set(PLAIN_VECTOR, KERNEL_CS, (word)plain_handler + 4, A_INT32, 0);
    SUPERVISOR("INT to elsewhere", CP, ENDBRANCH, ENDBR_EN, "int $0x82");
    check_equal("where to", fault.ip, (word)plain_handler + 4);
    idt_reset(PLAIN_VECTOR);
}

static void test_xsaves(void)
{
    static u8 area[1024] __attribute__((aligned(64)));
    group("XSAVES");
    if (!(cpuid(0xd, 1).a & BIT(3)) || !(cpuid(0xd, 1).c & BIT(11))) {
        skip("XSAVES", "the processor lacks it");
        return;
    }
    cr4_write(cr4_read() | CR4_OSXSAVE | CR4_OSFXSR);
    msr_write(0xda0, 0x1800);
    user_cet(SH_STK_EN | NO_TRACK_EN);
    memset(area, 0, sizeof area);
    asm volatile("xsaves %0" : "+m"(area) : "a"(0x1800), "d"(0) : "memory");
    check_equal("IA32_U_CET", *(u64 *)(area + 576), SH_STK_EN | NO_TRACK_EN);
    check_equal("IA32_PL3_SSP", *(u64 *)(area + 584), USER_TOP);
    *(u64 *)(area + 576) = 1 << 6;
    check_equal("XRSTORS of a reserved bit", FAULT_OF(asm volatile("xrstors %0" :: "m"(area), "a"(0x1800), "d"(0))), GP);
    *(u64 *)(area + 576) = ENDBR_EN;
    *(u64 *)(area + 584) = USER_TOP + 2;
    check_equal("of an SSP not aligned", FAULT_OF(asm volatile("xrstors %0" :: "m"(area), "a"(0x1800), "d"(0))), GP);
    *(u64 *)(area + 584) = USER_TOP - 64;
    check_equal("XRSTORS", FAULT_OF(asm volatile("xrstors %0" :: "m"(area), "a"(0x1800), "d"(0))), (u64)NO_FAULT);
    check_equal("IA32_U_CET", msr_read(MSR_U_CET), ENDBR_EN);
    check_equal("IA32_PL3_SSP", msr_read(MSR_PL3_SSP), USER_TOP - 64);
    user_cet(0);
}

asm(".pushsection .data; .align 8; token_of_kernel: .quad (1 << 39) + 0x2000 + 0x7f8; "
    "shadow_of_user: .quad (1 << 39) + 0x400; .popsection");

void guest_main(void)
{
    const Window w = { WINDOW, leaves, directory, true };
    const u32 both[2] = { cpuid(7, 0).c & BIT(7), cpuid(7, 0).d & BIT(20) };
    if (cpuid(0, 0).a < 7 || !both[0] || !both[1]) {
        skip("all", "the processor lacks shadow stacks or indirect branch tracking");
        return;
    }
    memset(data_a, 0xc3, PAGE);
    memset(data_b, 0xc3, PAGE);
    boot_pml4[1] = (word)pdpt | P_ALL;
    pdpt[0] = (word)directory | P_ALL;
    directory[0] = (word)leaves | P_ALL;
    leaf_set(&w, USER_DATA, (word)data_a | P_ALL | P_D);
    test_registers();
    test_off();
    test_pages(&w);
    test_near();
    test_user_instructions();
    test_switch(&w);
    test_far();
    test_compatibility();
    test_tracking();
    test_trap();
    test_hot();
    test_legacy();
    test_supervisor_stack(&w);
    test_events();
    test_levels();
    test_syscall();
    test_supervisor_tracking();
    test_xsaves();
}
