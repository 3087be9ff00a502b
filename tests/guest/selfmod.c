/*
 * Code that writes code: what is written is executed, without any instruction in between that would serialize, when it
 * is written and executed through the same linear address (SDM vol. 3A 9.1.3, 12.6); through another one after a
 * serializing instruction.
 */
#include "lib/guest.h"

enum { PAGE = 4096 };
static u8 area[4 * PAGE] __attribute__((aligned(4096)));

static u32 call(const void *code)
{
    u32 v;
    asm volatile("call *%1" : "=a"(v) : "r"(code) : "ecx", "edx", "memory", "cc");
    return v;
}

/* mov $value, %eax; ret */
static u8 *emit_return(u8 *p, u32 value)
{
    *p++ = 0xb8;
    memcpy(p, &value, 4);
    p[4] = 0xc3;
    return p + 5;
}

static void test_own_block(void)
{
    u32 v;
    group("same block");
    asm volatile("movb $7, 1f + 1; 1: mov $3, %0" : "=a"(v) :: "memory");
    check_equal("the next instruction", v, 7);
    asm volatile("xor %%eax, %%eax; movb $0x40, 1f; jmp 1f; 1: nop; inc %%eax; movb $0x90, 1b" : "=a"(v) :: "memory",
                 "cc");
    check("the next one behind a jump", BITS == 64 || v == 2, "got %u", v); /* 40h: inc, or REX */
    asm volatile("xor %%eax, %%eax; mov $1f, %%edi; mov $0x90, %%al; stosb; stosb; mov $5, %%eax; 1: .byte 0x31, 0xc0"
                 : "=a"(v) :: "edi", "memory", "cc");
    check_equal("by stos", v, 5);
    asm volatile("mov $4, %%ecx; xor %%eax, %%eax; 1: add $1, %%eax; incb 1b + 2; loop 1b; movb $1, 1b + 2"
                 : "=a"(v) :: "ecx", "memory", "cc");
    check_equal("a loop's body in every round", v, 1 + 2 + 3 + 4);
}

static void test_rewrite(void)
{
    u32 wrong = 0;
    group("rewrite");
    for (u32 k = 0; k < 2000; k++) {
        emit_return(area + 64, k * 0x10001);
        wrong += call(area + 64) != k * 0x10001;
    }
    check_equal("2000 times the same place", wrong, 0);
    for (u32 k = 0; k < 200; k++)
        emit_return(area + 1024 + k * 6, k);
    for (u32 round = 0; round < 3; round++)
        for (u32 k = 0; k < 200; k++) {
            area[1024 + k * 6 + 2] = round;
            wrong += call(area + 1024 + k * 6) != (k | round << 8);
        }
    check_equal("200 functions of one page", wrong, 0);
    for (u32 k = 0; k < 2000; k++) {
        *(volatile u32 *)(area + 512) = k; /* data on a page of code */
        wrong += call(area + 64) != 1999 * 0x10001;
    }
    check_equal("data beside code", wrong, 0);
}

static void test_page_edge(void)
{
    u8 *edge = area + 2 * PAGE;
    group("page edge");
    for (u32 k = 1; k < 5; k++) {
        emit_return(edge - k, 0x11111111);
        check_equal("across", call(edge - k), 0x11111111);
        edge[-(int)k + 4] = 0x22; /* the last byte, on the second page or the first */
        check_equal("its second part changed", call(edge - k), 0x22111111);
        edge[-(int)k + 1] = 0x33;
        check_equal("its first part changed", call(edge - k), 0x22111133);
    }
    edge[-1] = 0x90;
    emit_return(edge, 0x44444444);
    check_equal("fall through to the next page", call(edge - 1), 0x44444444);
    emit_return(edge, 0x55555555);
    check_equal("the next page changed", call(edge - 1), 0x55555555);
    /* a jump from page 0 to page 2, whose target changes */
    area[0] = 0xe9;
    *(u32 *)(area + 1) = 2 * PAGE - 5;
    check_equal("jump to another page", call(area), 0x55555555);
    emit_return(edge, 0x66666666);
    check_equal("that page changed", call(area), 0x66666666);
    *(u32 *)(area + 1) = 2 * PAGE - 5 + 64;
    emit_return(edge + 64, 0x77777777);
    check_equal("the jump changed", call(area), 0x77777777);
}

static void test_moved(void)
{
    u8 source[64];
    group("copy");
    for (u32 k = 0; k < 50; k++) {
        emit_return(source, k);
        memcpy(area + 3 * PAGE, source, 6);
        if (call(area + 3 * PAGE) != k) {
            check_equal("rep movsb", call(area + 3 * PAGE), k);
            return;
        }
    }
    check("rep movsb", true, "%s", "");
    memset(area + 3 * PAGE, 0x90, PAGE / 2);
    emit_return(area + 3 * PAGE + PAGE / 2, 9);
    check_equal("rep stosb", call(area + 3 * PAGE), 9);
}

#if BITS == 64
extern u64 boot_pml4[512];
static u64 pdpt[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096))),
    leaves[512] __attribute__((aligned(4096)));

static void test_alias(void)
{
    u8 *alias = (u8 *)BIT64(39);
    u32 wrong = 0;
    group("alias");
    boot_pml4[1] = (word)pdpt | 7;
    pdpt[0] = (word)directory | 7;
    directory[0] = (word)leaves | 7;
    leaves[0] = (word)area | 7;
    leaves[1] = (word)(area + PAGE) | 7;
    for (u32 k = 0; k < 300; k++) {
        emit_return(alias + 128, k);
        cpuid(0, 0);
        wrong += call(area + 128) != k;
        emit_return(area + 128, ~k);
        cpuid(0, 0);
        wrong += call(alias + 128) != ~k;
    }
    check_equal("written through one, executed through another", wrong, 0);
    emit_return(area + 256, 1);
    emit_return(area + PAGE + 256, 2);
    for (u32 k = 0; k < 300; k++) {
        leaves[0] = (word)(area + (k & 1) * PAGE) | 7;
        invlpg((word)alias);
        wrong += call(alias + 256) != 1 + (k & 1);
    }
    check_equal("another page at the same address", wrong, 0);
    leaves[0] = (word)area | 7;
    invlpg((word)alias);
    emit_return(area + PAGE - 2, 0x12345678);
    check_equal("across pages through the alias", call(alias + PAGE - 2), 0x12345678);
    area[PAGE + 2] = 0x99;
    cpuid(0, 0);
    check_equal("second page changed below", call(alias + PAGE - 2), 0x99345678);
    leaves[1] = (word)(area + 2 * PAGE) | 7;
    memcpy(area + 2 * PAGE, area + PAGE, 8);
    area[2 * PAGE + 2] = 0xaa;
    invlpg((word)alias + PAGE);
    check_equal("second page mapped elsewhere", call(alias + PAGE - 2), 0xaa345678);
}
#endif

void guest_main(void)
{
    /* the guest's own code must be writable, which without CR0.WP it is */
    test_own_block();
    test_rewrite();
    test_page_edge();
    test_moved();
#if BITS == 64
    test_alias();
#endif
}
