/* GDT, IDT, TSS and PIC, and what becomes of exceptions. */
#include "guest.h"

u64 gdt[GDT_COUNT] __attribute__((aligned(16)));
struct TableRegister gdt_register = { sizeof gdt - 1, (word)gdt };

static struct IdtEntry {
    u32 word[BITS / 16];
} idt[256] __attribute__((aligned(16)));
struct TableRegister idt_register = { sizeof idt - 1, (word)idt };

Tss tss __attribute__((aligned(128)));
static u8 trap_stack[8192] __attribute__((aligned(16))), double_fault_stack[4096] __attribute__((aligned(16)));

Fault fault;
Handler *handlers[256];
volatile word guest_mark;
volatile int guest_armed;

extern u8 trap_stubs[];

u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)flags << 52 | (u64)(base >> 24) << 56;
}

u64 gate(unsigned sel, u32 offset, unsigned access, unsigned count)
{
    return (offset & 0xffff) | (u64)sel << 16 | (u64)count << 32 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

void gdt_set(unsigned sel, u64 value) { *(volatile u64 *)&gdt[sel >> 3] = value; }

void idt_set(unsigned vector, unsigned sel, word offset, unsigned access, unsigned ist)
{
    u64 low = gate(sel, offset, access, ist);
    idt[vector].word[0] = low;
    idt[vector].word[1] = low >> 32;
#if BITS == 64
    idt[vector].word[2] = offset >> 32;
    idt[vector].word[3] = 0;
#endif
    barrier();
}

word idt_stub(unsigned vector) { return (word)trap_stubs + 16 * vector; }

void idt_reset(unsigned vector) { idt_set(vector, KERNEL_CS, idt_stub(vector), A_INT32, BITS == 64 && vector == DF); }

void idt_set_dpl(unsigned vector, unsigned dpl)
{
    idt[vector].word[1] = (idt[vector].word[1] & ~(3u << 13)) | dpl << 13;
    barrier();
}

void idt_set_present(unsigned vector, bool present)
{
    idt[vector].word[1] = (idt[vector].word[1] & ~(1u << 15)) | (u32)present << 15;
    barrier();
}

static void gdt_init(void)
{
    gdt_set(KERNEL_CS, descriptor(0, 0xfffff, A_CODE, BITS == 64 ? D_G | D_L : D_FLAT));
    gdt_set(KERNEL_DS, descriptor(0, 0xfffff, A_DATA, D_FLAT));
    gdt_set(USER_CS32, descriptor(0, 0xfffff, A_CODE | A_DPL3, D_FLAT));
    gdt_set(USER_DS, descriptor(0, 0xfffff, A_DATA | A_DPL3, D_FLAT));
    gdt_set(USER_CS64, descriptor(0, 0xfffff, A_CODE | A_DPL3, D_G | D_L));
    gdt_set(0x30, descriptor(0, 0xfffff, A_DATA | A_DPL3, D_FLAT));
    gdt_set(KERNEL_CS32, descriptor(0, 0xfffff, A_CODE, D_FLAT));
    gdt_set(CS16, descriptor(0, 0xffff, A_CODE, 0));
    gdt_set(DS16, descriptor(0, 0xffff, A_DATA, 0));
    gdt_set(TSS_SEL, descriptor((word)&tss, sizeof tss - 1, A_TSS32, 0));
    gdt_set(TSS_SEL + 8, 0);
    asm volatile("lgdt %0" :: "m"(gdt_register) : "memory");
#if BITS == 64
    asm volatile("push %0; push $1f; lretq; 1:" :: "i"(KERNEL_CS) : "memory");
#else
    asm volatile("ljmp %0, $1f; 1:" :: "i"(KERNEL_CS) : "memory");
#endif
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; mov %0, %%ss" :: "r"(KERNEL_DS) : "memory");
}

static void tss_init(void)
{
    tss.iomap = sizeof tss; /* no I/O map: no port for privilege level 3 */
#if BITS == 64
    tss.sp[0] = (word)(trap_stack + sizeof trap_stack);
    tss.ist[0] = (word)(double_fault_stack + sizeof double_fault_stack);
#else
    tss.sp0 = (word)(trap_stack + sizeof trap_stack);
    tss.ss0 = KERNEL_DS;
    (void)double_fault_stack;
#endif
    asm volatile("lldt %w1; ltr %w0" :: "r"(TSS_SEL), "r"(0) : "memory");
}

void interrupts_init(void)
{
    gdt_init();
    tss_init();
    for (unsigned v = 0; v < 256; v++)
        idt_reset(v);
    idt_set_dpl(LEAVE_USER, 3);
    asm volatile("lidt %0" :: "m"(idt_register) : "memory");
}

void guest_start(void)
{
    interrupts_init();
    out8(0x21, 0xff); /* IRQs wait until a guest asks for them */
    out8(0xa1, 0xff);
    guest_main();
    guest_end();
}

static void trap_unexpected(const Frame *f)
{
    static bool here;
    if (here)
        guest_exit(2);
    here = true;
    print("FAIL unexpected exception %u, error 0x%x, at %x:0x%lx, flags 0x%lx, CR2 0x%lx\n", (u32)f->vector,
          (u32)f->error, (u32)f->cs, (unsigned long)f->ip, (unsigned long)f->flags, (unsigned long)cr2_read());
    guest_exit(2);
}

/* Called by the stubs. */
void trap_handle(Frame *f)
{
    if (handlers[f->vector]) {
        handlers[f->vector](f);
        return;
    }
    if (!guest_armed)
        trap_unexpected(f);
    fault.vector = f->vector == LEAVE_USER ? NO_FAULT : (int)f->vector;
    fault.error = f->error;
    fault.ip = f->ip;
    fault.flags = f->flags;
    fault.cs = f->cs;
    fault.cr2 = cr2_read();
    fault.dr6 = dr6_read();
    bool whole = BITS == 64 || (f->cs & 3) || (f->flags & F_VM);
    memcpy(&fault.frame, f, whole ? (f->flags & F_VM ? sizeof *f : offsetof(Frame, ss) + sizeof f->ss)
                                  : offsetof(Frame, sp));
    guest_unwind();
}

bool check_fault(const char *name, int vector, u32 error, int offset)
{
    word ip = guest_mark + offset;
    bool ok = fault.vector == vector &&
              (vector == NO_FAULT || (fault.error == error && (offset == ANY_IP || fault.ip == ip)));
    return check(name, ok, "got vector %d error 0x%x at 0x%lx (MARK%s%d), expected %d error 0x%x at MARK+%d",
                 fault.vector, fault.error, (unsigned long)fault.ip, fault.ip >= guest_mark ? "+" : "",
                 (int)(fault.ip - guest_mark), vector, error, offset);
}

enum { PIC1 = 0x20, PIC2 = 0xa0 };

void pic_mask(u16 masked)
{
    out8(PIC1 + 1, masked);
    out8(PIC2 + 1, masked >> 8);
}

void pic_init(void)
{
    static const struct { u8 port, value; } words[] = {
        { PIC1, 0x11 }, { PIC1 + 1, IRQ_BASE }, { PIC1 + 1, 4 }, { PIC1 + 1, 1 },
        { PIC2, 0x11 }, { PIC2 + 1, IRQ_BASE + 8 }, { PIC2 + 1, 2 }, { PIC2 + 1, 1 },
    };
    for (unsigned k = 0; k < COUNT(words); k++)
        out8(words[k].port, words[k].value);
    pic_mask(0xffff);
}

void pic_eoi(unsigned irq)
{
    if (irq >= 8)
        out8(PIC2, 0x20);
    out8(PIC1, 0x20);
}
