/*
 * Shadow stacks in 32-bit mode: near and far calls, interrupts, call gates, and task switches (SDM vol. 1 17.2.4; vol. 2
 * CALL, RET, IRET; vol. 3A 7.3).
 */
#include "lib/guest.h"

enum {
    MSR_U_CET = 0x6a0, MSR_S_CET = 0x6a2, MSR_PL0_SSP = 0x6a4, MSR_PL3_SSP = 0x6a7, SH_STK_EN = 1, CR4_CET = 1 << 23,
    OTHER_TSS = FREE_SEL, GATE = FREE_SEL + 8, TASK_GATE_VECTOR = 0x84,
};

extern u8 other_task[], behind_gate[], leave_entry[];
extern volatile u32 inner_ssp;
static Tss other;
static u8 other_stack[1024] __attribute__((aligned(16)));
static volatile u64 mine[64] __attribute__((aligned(512))), others[64] __attribute__((aligned(512))),
    users[64] __attribute__((aligned(512)));
static volatile u32 seen[4];

#define TOP(stack) ((word)&(stack)[63])

static void token_set(volatile u64 *stack) { stack[63] = TOP(stack); }

/* With shadow stacks in the supervisor, on `mine`. */
#define SHADOWED(name, text)                                                                                           \
    (token_set(mine), msr_write(MSR_PL0_SSP, TOP(mine)),                                                               \
     EXPECT(name, NO_FAULT, 0, ANY_IP,                                                                                 \
            asm volatile("wrmsr; setssbsy; " text "; mov $0x6a2, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr"      \
                         :: "c"(MSR_S_CET), "a"(SH_STK_EN), "d"(0) : "ebx", "esi", "edi", "memory", "cc")))

static void test_calls(void)
{
    group("calls");
    SHADOWED("near", "call 1f; jmp 2f; 1: rdsspd %%ebx; mov (%%ebx), %%esi; mov (%%esp), %%edi; ret; "
                     "2: mov %%ebx, seen; mov %%esi, seen + 4; mov %%edi, seen + 8; rdsspd %%ebx; mov %%ebx, seen + 12");
    check_equal("SSP within", seen[0], TOP(mine) - 4);
    check_equal("the return address", seen[1], seen[2]);
    check_equal("SSP after", seen[3], TOP(mine));
    SHADOWED("far", "lcall $8, $1f; jmp 2f; 1: rdsspd %%ebx; lret; 2: mov %%ebx, seen; rdsspd %%ebx; mov %%ebx, seen + 12");
    check_equal("SSP within", seen[0], TOP(mine) - 24);
    check_equal("CS", mine[62], KERNEL_CS);
    check_equal("SSP saved", mine[60], TOP(mine));
    check_equal("SSP after", seen[3], TOP(mine));
    SHADOWED("far from an address of 4 bytes", "call 1f; jmp 3f; 1: lcall $8, $2f; ret; 2: rdsspd %%ebx; lret; "
                                               "3: mov %%ebx, seen; rdsspd %%ebx; mov %%ebx, seen + 12");
    check_equal("SSP within", seen[0], TOP(mine) - 32);
    check_equal("a hole of zeros", mine[62] & 0xffffffff, 0);
    check_equal("SSP saved", mine[59], TOP(mine) - 4);
    check_equal("SSP after", seen[3], TOP(mine));
}

static void other_init(u8 *entry)
{
    memset(&other, 0, sizeof other);
    other.ip = (word)entry;
    other.flags = 2;
    other.sp = (word)(other_stack + sizeof other_stack);
    other.cs = KERNEL_CS;
    other.es = other.ss = other.ds = KERNEL_DS;
    other.iomap = sizeof other;
    *(volatile u32 *)other.redirection = TOP(others); /* offset 68h: SSP */
    gdt_set(OTHER_TSS, descriptor((word)&other, sizeof other - 1, A_TSS32, 0));
    token_set(others);
}

static void test_tasks(void)
{
    group("tasks");
    other_init(other_task);
    SHADOWED("CALL and IRET", "lcall $0x80, $0; 1: rdsspd %%ebx; mov %%ebx, seen; movl $1b, seen + 4");
    check_equal("SSP within", inner_ssp, TOP(others) - 24);
    check_equal("frame: CS", others[62], KERNEL_CS);
    check_equal("frame: LIP", others[61], seen[1]);
    check_equal("frame: SSP", others[60], TOP(mine));
    check_equal("SSP after", seen[0], TOP(mine));
    check_equal("the token is free again", others[63], TOP(others));
    check_equal("the own is busy", mine[63], TOP(mine) | 1);

    other_init(other_task);
    idt_set(TASK_GATE_VECTOR, OTHER_TSS, 0, A_TASK_GATE, 0);
    SHADOWED("INT and IRET", "int $0x84; rdsspd %%ebx; mov %%ebx, seen");
    check_equal("SSP within", inner_ssp, TOP(others) - 24);
    check_equal("SSP after", seen[0], TOP(mine));
    check_equal("the token is free again", others[63], TOP(others));
    idt_reset(TASK_GATE_VECTOR);
}

/* From level 3 through a gate to level 0, and back. */
static void test_gate(void)
{
    group("call gate");
    token_set(mine);
    msr_write(MSR_PL0_SSP, TOP(mine));
    msr_write(MSR_PL3_SSP, TOP(users));
    msr_write(MSR_U_CET, SH_STK_EN);
    gdt_set(GATE, gate(KERNEL_CS, (word)behind_gate, A_CALL32 | A_DPL3, 0));
    idt_set(LEAVE_USER, KERNEL_CS, (word)leave_entry, A_INT32, 0);
    idt_set_dpl(LEAVE_USER, 3);
    EXPECT("CALL and RET", NO_FAULT, 0, ANY_IP,
           asm volatile("wrmsr; setssbsy; mov %%esp, %%eax; pushl $0x23; push %%eax; pushl $2; pushl $0x1b; pushl $1f; "
                        "iret; 1: mov $0x23, %%eax; mov %%eax, %%ds; rdsspd %%esi; lcall $0x88, $0; rdsspd %%edi; int $0x81"
                        :: "c"(MSR_S_CET), "a"(SH_STK_EN), "d"(0) : "esi", "edi", "memory"));
    check_equal("the user's SSP", fault.frame.si, TOP(users));
    check_equal("SSP within", inner_ssp, TOP(mine));
    check_equal("the user's SSP after", fault.frame.di, TOP(users));
    check_equal("PL3_SSP", msr_read(MSR_PL3_SSP), TOP(users));
    check_equal("the token is busy in the last handler", mine[63], TOP(mine) | 1);
    msr_write(MSR_U_CET, 0);
    idt_reset(LEAVE_USER);
    idt_set_dpl(LEAVE_USER, 3);
}

void guest_main(void)
{
    if (!cpu_has(HAS_MSR) || cpuid(0, 0).a < 7 || !(cpuid(7, 0).c & BIT(7))) {
        skip("all", "the processor lacks shadow stacks");
        return;
    }
    cr0_write(cr0_read() | CR0_WP);
    cr4_write(cr4_read() | CR4_CET);
    test_calls();
    test_tasks();
    test_gate();
}
