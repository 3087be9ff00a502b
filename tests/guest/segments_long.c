/*
 * Segmentation in long mode: what 64-bit mode ignores, call gates and system descriptors of 16 bytes, the interrupt
 * stack table, and compatibility mode's checks (SDM vol. 3A 3.4.4, 5.8.3.1, 6.14; AMD APM vol. 2 4.8).
 */
#include "lib/guest.h"

#define SLOT(n) (FREE_SEL + 8 * (n))
#define NO_LIMITS "does not check limits and types"

static u8 buffer[0x3000] __attribute__((aligned(4096)));
static u64 ldt[4] __attribute__((aligned(16)));
u64 seen[8], seen_cs, seen_ss, seen_sp;

static void test_ignored(void)
{
    u32 v;
    group("64-bit mode");
    buffer[0x1000] = 0x5a;
    gdt_set(SLOT(0), descriptor((word)buffer, 15, A_RO, D_32));
    asm volatile("mov %2, %%ds; movzbl %1, %0; mov %3, %%ds" : "=r"(v) : "m"(buffer[0x1000]), "r"(SLOT(0)),
                 "r"(KERNEL_DS));
    check_equal("base and limit of DS do not count", v, 0x5a);
    EXPECT("nor its type", NO_FAULT, 0, 0,
           asm volatile("mov %0, %%es; movb $1, %%es:buffer; mov %1, %%es" :: "r"(SLOT(0)), "r"(KERNEL_DS) : "memory"));
    asm volatile("mov %1, %%fs; movzbl %%fs:0x1000, %0" : "=r"(v) : "r"(SLOT(0)) : "memory");
    check_equal("the base of FS does, its limit does not", v, 0x5a);
    check_equal("FS base MSR", msr_read(0xc0000100), (word)buffer);
    EXPECT("null FS", NO_FAULT, 0, 0,
           asm volatile("mov %1, %%fs; movzbl %%fs:buffer, %0" : "=r"(v) : "r"(0) : "memory"));
    u8 store[16] = { 0 };
    asm volatile("sgdt %0" : "+m"(store));
    check("sgdt stores ten bytes", *(u16 *)store == sizeof gdt - 1 && *(u64 *)(store + 2) == (word)gdt && !store[10],
          "limit 0x%x", *(u16 *)store);
    const struct { u64 offset; u16 sel; } __attribute__((packed)) pointer = { 0x123456789abcdef0, KERNEL_DS };
    word offset;
    if (!is_amd() && !on_qemu()) { /* AMD's processors read 48 bits, as does QEMU */
        asm volatile(".byte 0x48, 0x0f, 0xb5, 0x00" : "=a"(offset) : "0"(&pointer), "m"(pointer));
        /* that is lgs (%rax), %rax */
        check_equal("lgs of 64 bits", offset, pointer.offset);
    }
}

/* Far transfers through memory: the 64-bit forms, and 32-bit ones. */
#define FAR(name, vector, error, sel, place)                                                                           \
    do {                                                                                                               \
        static struct { u32 offset; u16 sel_; } __attribute__((packed)) to_;                                           \
        to_.offset = (u32)(word)(place), to_.sel_ = (sel);                                                             \
        EXPECT(name, vector, error, vector == NO_FAULT ? ANY_IP : 0,                                                   \
               asm volatile(MARK "ljmpl *%0" :: "m"(to_) : "memory"));                                                 \
    } while (0)
#define FAR_CALL_USER(name, vector, error, sel)                                                                        \
    do {                                                                                                               \
        static struct { u32 offset; u16 sel_; } __attribute__((packed)) to_ = { 0, sel };                              \
        EXPECT_USER(name, vector, error, 0,                                                                            \
                    asm volatile("mov %%rsp, %%rbx; " MARK "lcalll *%0; sub %%rsp, %%rbx;"                             \
                    "mov %%rbx, call_left" :: "m"(to_) : "rax", "rbx", "rcx", "rsi", "rdi", "memory", "cc"));          \
    } while (0)
u64 call_left;

asm(".text\n"
    "end_here: int $0x81\n"
    "gate_entry: mov %cs, seen_cs; mov %ss, seen_ss; mov %rsp, seen_sp; mov %rsp, %rsi; mov $seen, %edi; mov $8, %ecx\n"
    "  cld; rep movsq; lretq\n");
extern u8 end_here[], gate_entry[];

static void gate64(unsigned sel, unsigned code, word offset, unsigned access, u32 upper)
{
    gdt_set(sel, gate(code, offset, access, 0));
    gdt_set(sel + 8, (offset >> 32) | (u64)upper << 32);
}

static void test_code(void)
{
    group("code");
    FAR("64-bit code", NO_FAULT, 0, KERNEL_CS, end_here);
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CODE, D_G | D_L | D_32));
    qemu_is_wrong("takes it");
    FAR("L and D", GP, SLOT(0), SLOT(0), end_here);
    gdt_set(SLOT(0), descriptor(0, 0, A_CODE, D_L));
    FAR("its limit does not count", NO_FAULT, 0, SLOT(0), end_here);
    gdt_set(SLOT(0), descriptor(0, 0xfffff, A_CODE & ~0x80, D_G | D_L));
    FAR("not present", NP, SLOT(0), SLOT(0), end_here);
    FAR("null", GP, 0, 0, end_here);
    FAR("data", GP, KERNEL_DS, KERNEL_DS, end_here);
    gdt_set(SLOT(0), gate(TSS_SEL, 0, A_TASK_GATE, 0));
    FAR("task gate", GP, SLOT(0), SLOT(0), end_here);
    FAR("TSS", GP, TSS_SEL, TSS_SEL, end_here);
}

static void test_gates(void)
{
    group("call gate");
    gate64(SLOT(2), KERNEL_CS, (word)gate_entry, A_CALL32 | A_DPL3, 0);
    FAR_CALL_USER("to level 0 and back", NO_FAULT, 0, SLOT(2));
    check_equal("the stack pointer is back", call_left, 0);
    check_equal("CS within", seen_cs & 0xffff, KERNEL_CS);
    check_equal("SS within is null", seen_ss & 0xffff, 0);
    check_equal("stack of the TSS", seen_sp, tss.sp[0] - 32);
    check_equal("frame, CS", seen[1] & 0xffff, USER_CS64);
    check_equal("frame, SS", seen[3] & 0xffff, USER_DS);
    gate64(SLOT(2), KERNEL_CS, (word)gate_entry, A_CALL32, 0);
    FAR_CALL_USER("gate of level 0", GP, SLOT(2), SLOT(2));
    gate64(SLOT(2), KERNEL_CS, (word)gate_entry, (A_CALL32 | A_DPL3) & ~0x80, 0);
    FAR_CALL_USER("not present", NP, SLOT(2), SLOT(2));
    gate64(SLOT(2), KERNEL_CS, (word)gate_entry, A_CALL32 | A_DPL3, 1 << 8);
    FAR_CALL_USER("a type in the upper half", GP, SLOT(2), SLOT(2));
    gate64(SLOT(2), KERNEL_CS, (word)gate_entry, A_CALL16 | A_DPL3, 0);
    FAR_CALL_USER("16 bits", GP, SLOT(2), SLOT(2));
    gate64(SLOT(2), KERNEL_CS32, (word)gate_entry, A_CALL32 | A_DPL3, 0);
    FAR_CALL_USER("to 32-bit code", GP, KERNEL_CS32, SLOT(2));
    gate64(SLOT(2), 0, (word)gate_entry, A_CALL32 | A_DPL3, 0);
    FAR_CALL_USER("to null", GP, 0, SLOT(2));
    gate64(SLOT(2), KERNEL_CS, BIT64(47), A_CALL32 | A_DPL3, 0);
    NOT_ON_QEMU("to an address that is not canonical", "faults at the target",
                FAR_CALL_USER("to an address that is not canonical", GP, 0, SLOT(2)));
}

static void stack_note(Frame *f)
{
    asm volatile("mov %%ss, %0; mov %%cs, %1" : "=m"(seen_ss), "=m"(seen_cs));
    seen_sp = (word)&f->ss + 8;
    seen[0] = f->sp;
    seen[1] = f->ss;
}

static void test_interrupt_stacks(void)
{
    word sp;
    group("interrupt stack");
    handlers[0x90] = stack_note;
    asm volatile("mov %%rsp, %%rbx; and $-16, %%rsp; sub $8, %%rsp; mov %%rsp, %0; int $0x90; "
                 "mov %%rbx, %%rsp" : "=&r"(sp) :: "rbx", "memory");
    check_equal("level 0, aligned to 16", seen_sp, sp & ~(word)15);
    check_equal("SP is always pushed", seen[0], sp);
    check_equal("and SS", seen[1] & 0xffff, KERNEL_DS);
    check_equal("SS stays", seen_ss & 0xffff, KERNEL_DS);
    tss.ist[2] = (word)buffer + 0x2ff8;
    idt_set(0x90, KERNEL_CS, idt_stub(0x90), A_INT32 | A_DPL3, 3);
    asm volatile("int $0x90" ::: "memory");
    check_equal("from the table, aligned", seen_sp, (word)buffer + 0x2ff0);
    idt_set(0x90, KERNEL_CS, idt_stub(0x90), A_INT32 | A_DPL3, 0);
    USER_FAULT_OF(asm volatile("int $0x90" ::: "memory"));
    check_equal("level 3", seen_sp, tss.sp[0]);
    check_equal("SS is null within", seen_ss & 0xffff, 0);
    handlers[0x90] = NULL;

    idt_set(0x90, KERNEL_CS32, idt_stub(0x90), A_INT32, 0);
    EXPECT_ASM("handler in 32-bit code", GP, KERNEL_CS32, 0, "int $0x90");
    idt_set(0x90, KERNEL_CS, idt_stub(0x90), A_INT16, 0);
    qemu_is_wrong("counts 16 bytes a vector in 64-bit mode");
    EXPECT_ASM("16-bit gate", GP, 0x90 * 8 + 2, 0, "int $0x90");
    idt_set(0x90, KERNEL_CS, BIT64(47), A_INT32, 0);
    NOT_ON_QEMU("handler at an address that is not canonical", "faults at the target",
                EXPECT_ASM("handler at an address that is not canonical", GP, 0, 0, "int $0x90"));
    word sp0 = tss.sp[0];
    tss.ist[1] = (word)buffer + 0x1000;
    tss.sp[0] = BIT64(63);
    idt_set(SS, KERNEL_CS, idt_stub(SS), A_INT32, 2);
    idt_set(0x90, KERNEL_CS, idt_stub(0x90), A_INT32 | A_DPL3, 0);
    NOT_ON_QEMU("RSP0 not canonical", "#GP for the stack too",
                EXPECT_USER_ASM("RSP0 not canonical", SS, 0, 0, "int $0x90"));
    tss.sp[0] = sp0;
    idt_reset(SS);
    idt_reset(0x90);
}

static u32 lar(u32 sel)
{
    u32 v;
    asm volatile("lar %1, %0; jz 1f; mov $-1, %0; 1:" : "=&r"(v) : "r"(sel) : "cc");
    return v;
}
static u32 lsl(u32 sel)
{
    u32 v;
    asm volatile("lsl %1, %0; jz 1f; mov $-1, %0; 1:" : "=&r"(v) : "r"(sel) : "cc");
    return v;
}

static void test_descriptors(void)
{
    static const u16 lar_types = BIT(2) | BIT(9) | BIT(11) | BIT(12), lsl_types = BIT(2) | BIT(9) | BIT(11);
    u32 wrong_lar = 0, wrong_lsl = 0;
    group("lar, lsl");
    gdt_set(SLOT(1), 0);
    for (u32 type = 0; type < 16; type++) {
        gdt_set(SLOT(0), descriptor(0, 0x12345, 0x80 | type, 0));
        wrong_lar |= (u32)((lar(SLOT(0)) != (u32)-1) != (lar_types >> type & 1)) << type;
        wrong_lsl |= (u32)((lsl(SLOT(0)) != (u32)-1) != (lsl_types >> type & 1)) << type;
    }
    qemu_is_wrong("knows those of 32-bit mode");
    check_equal("system types that lar judges wrongly", wrong_lar, 0);
    qemu_is_wrong("knows those of 32-bit mode");
    check_equal("system types that lsl judges wrongly", wrong_lsl, 0);

    group("LDT");
    gdt_set(SLOT(0), descriptor((word)ldt, sizeof ldt - 1, A_LDT, 0));
    gdt_set(SLOT(1), 0);
    ldt[1] = descriptor((word)buffer, 0xfff, A_DATA, D_32);
    EXPECT("lldt", NO_FAULT, 0, 0, asm volatile("lldt %w0" :: "r"(SLOT(0))));
    EXPECT("a segment of it", NO_FAULT, 0, 0, asm volatile("mov %0, %%fs" :: "r"(8 | 4)));
    check_equal("its base", msr_read(0xc0000100), (word)buffer);
    gdt_set(SLOT(1), 0x80000000);
    qemu_is_wrong("does not check it");
    EXPECT_PRE("a base that is not canonical", GP, SLOT(0), 0, "mov $0x80, %%eax", "lldt %%ax");
    gdt_set(SLOT(1), 0);
    asm volatile("lldt %w0" :: "r"(0));
    gdt_set(SLOT(0), descriptor((word)&tss, sizeof tss - 1, A_TSS16, 0));
    qemu_is_wrong("takes it");
    EXPECT_PRE("ltr of a 16-bit TSS", GP, SLOT(0), 0, "mov $0x80, %%eax", "ltr %%ax");
    gdt_set(TSS_SEL, descriptor((word)&tss, sizeof tss - 1, A_TSS32, 0));
    asm volatile("ltr %w0" :: "r"(TSS_SEL));
}

/* Compatibility mode: code at the place that COMPAT names, which ends with INT 81h or a fault. */
#define COMPAT(name, vector, error, place, offset)                                                                     \
    do {                                                                                                               \
        extern u8 place[];                                                                                             \
        FAULT_OF(asm volatile("push %0; push %1; lretq" :: "r"((word)KERNEL_CS32), "r"((word)place) : "memory"));      \
        guest_mark = (word)place;                                                                                      \
        check_fault(name, vector, error, offset);                                                                      \
    } while (0)
asm(".text\n.code32\n"
    "c_plain: .byte 0x40; pushl %es; popl %es; mov %eax, seen; mov %esp, seen + 8; int $0x81\n"
    "c_into: mov $0x7fffffff, %eax; inc %eax; into; int $0x81\n"
    "c_aam: .byte 0xd4, 0\n"
    "c_limit: mov $0x90, %eax; mov %eax, %fs; mov %fs:15, %al; mov %fs:16, %al; int $0x81\n"
    "c_null: xor %eax, %eax; mov %eax, %fs; mov %fs:0, %al; int $0x81\n"
    "c_rex: .byte 0x48, 0x90; int $0x81\n" /* dec, nop */
    "c_user: mov $0x23, %eax; mov %eax, %ds; mov %cs, seen_cs; int $0x81\n"
    ".code64\n");

static void test_compatibility(void)
{
    group("compatibility mode");
    gdt_set(SLOT(2), descriptor((word)buffer, 15, A_DATA, D_32));
    COMPAT("32-bit code runs", NO_FAULT, 0, c_plain, 0);
    COMPAT("into", OF, 0, c_into, 7);
    check_equal("saved CS", fault.cs, KERNEL_CS32);
    COMPAT("aam 0", DE, 0, c_aam, 0);
    qemu_is_wrong(NO_LIMITS);
    COMPAT("limits are checked", GP, 0, c_limit, 13);
    qemu_is_wrong(NO_LIMITS);
    COMPAT("null segments are, too", GP, 0, c_null, 4);
    COMPAT("48h is no prefix", NO_FAULT, 0, c_rex, 0);
    FAULT_OF(asm volatile("mov %%rsp, %%rax; push %0; push %%rax; push $2; push %1; push $c_user; iretq"
                          :: "i"(USER_DS), "i"(USER_CS32) : "rax", "memory"));
    check_fault("at level 3 by iretq", NO_FAULT, 0, 0);
    check_equal("its CS", seen_cs & 0xffff, USER_CS32);
}

/* Overrides of segments that 64-bit mode does not have neither count nor undo others. */
static void test_overrides(void)
{
    static u64 place = 0x1122334455667788;
    u64 before, after;
    group("overrides");
    msr_write(0xc0000100, (word)&place);
    asm volatile(".byte 0x64, 0x3e, 0x48, 0x8b, 0x04, 0x25; .long 0" : "=a"(before) :: "memory");
    asm volatile(".byte 0x26, 0x64, 0x48, 0x8b, 0x04, 0x25; .long 0" : "=a"(after) :: "memory");
    msr_write(0xc0000100, 0);
    qemu_is_wrong("the last one counts");
    check_equal("FS and then DS", before, place);
    check_equal("ES and then FS", after, place);
}

void guest_main(void)
{
    test_ignored();
    test_code();
    test_gates();
    test_interrupt_stacks();
    test_descriptors();
    test_compatibility();
    test_overrides();
}
