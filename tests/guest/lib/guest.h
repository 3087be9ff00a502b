/*
 * What every bare guest stands on: text on COM1, PASS and FAIL lines, descriptor tables, and faults that are caught and
 * compared.  The same source is built as a 32-bit guest (flat protected mode, no paging) and as a 64-bit one (4 GiB
 * mapped one to one, user accessible); `word` is as wide as a register.
 */
#ifndef MYNA_GUEST_H
#define MYNA_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uintptr_t word;

#ifdef __x86_64__
#define BITS 64
#define MODE "64"
#define MOV_WORD "movq"
#else
#define BITS 32
#define MODE "32"
#define MOV_WORD "movl"
#endif

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define BIT(n) (1u << (n))
#define BIT64(n) ((u64)1 << (n))

/* ---- text ---- */

void put_char(char c);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
int get_char(void); /* -1: nothing there */

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int strcmp(const char *a, const char *b);

/* ---- results ---- */

/* What follows is reported as "GROUP name". */
void group(const char *name);
bool check(const char *name, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool check_equal(const char *name, u64 got, u64 want);
void skip(const char *name, const char *why);

/* The next check, should it fail on QEMU's TCG, is skipped there for that reason. */
void qemu_is_wrong(const char *why);
bool on_qemu(void);
bool is_amd(void); /* the processor's vendor */
/* The same where QEMU could not go on after it. */
#define NOT_ON_QEMU(name, why, ...)                                                                                    \
    do {                                                                                                               \
        if (on_qemu())                                                                                                 \
            skip(name, "QEMU: " why);                                                                                  \
        else                                                                                                           \
            __VA_ARGS__;                                                                                               \
    } while (0)

/* Prints the summary and ends the emulator through isa-debug-exit: status 1 if nothing failed, else 3. */
void guest_end(void) __attribute__((noreturn));
void guest_exit(u32 value) __attribute__((noreturn));

/* The guest itself. */
void guest_main(void);

/* Set by the start code from the Multiboot information. */
extern u32 multiboot_magic, multiboot_info;

/* ---- descriptor tables ---- */

enum {
    KERNEL_CS = 0x08, KERNEL_DS = 0x10,
    USER_CS32 = 0x18 | 3, USER_DS = 0x20 | 3, USER_CS64 = 0x28 | 3, /* the order that SYSRET and SYSEXIT ask for */
    KERNEL_CS32 = 0x38, CS16 = 0x40, DS16 = 0x48, TSS_SEL = 0x50,
    FREE_SEL = 0x80, /* from here on for tests */
    GDT_COUNT = 128,
};
#define USER_CS (BITS == 64 ? USER_CS64 : USER_CS32)

/* Access bytes. */
enum {
    A_DATA = 0x92, A_CODE = 0x9a, A_RO = 0x90, A_XO = 0x98, A_DOWN = 0x96, A_CONFORMING = 0x9e,
    A_LDT = 0x82, A_TSS16 = 0x81, A_TSS32 = 0x89, A_CALL16 = 0x84, A_TASK_GATE = 0x85, A_INT16 = 0x86, A_TRAP16 = 0x87,
    A_CALL32 = 0x8c, A_INT32 = 0x8e, A_TRAP32 = 0x8f, A_DPL3 = 0x60, A_DPL1 = 0x20, A_DPL2 = 0x40,
};
/* The flags nibble. */
enum { D_G = 8, D_32 = 4, D_L = 2, D_FLAT = D_G | D_32 };

extern u64 gdt[GDT_COUNT];
struct TableRegister { u16 limit; word base; } __attribute__((packed));
extern struct TableRegister gdt_register, idt_register;

u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags);
u64 gate(unsigned sel, u32 offset, unsigned access, unsigned count);
void gdt_set(unsigned sel, u64 value);

/* An IDT entry; ist is the interrupt stack table's index, of 64-bit mode. */
void idt_set(unsigned vector, unsigned sel, word offset, unsigned access, unsigned ist);
void idt_reset(unsigned vector);   /* back to the library's stub, DPL 0 */
void idt_set_dpl(unsigned vector, unsigned dpl);
void idt_set_present(unsigned vector, bool present);
word idt_stub(unsigned vector);

#if BITS == 64
typedef struct Tss {
    u32 reserved0;
    u64 sp[3];
    u64 reserved1, ist[7];
    u64 reserved2;
    u16 reserved3, iomap;
    u8 bitmap[64];
} __attribute__((packed)) Tss;
#else
typedef struct Tss {
    u32 link, sp0, ss0, sp1, ss1, sp2, ss2, cr3, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, iomap;
    u8 redirection[32];
    u8 bitmap[64];
} __attribute__((packed)) Tss;
#endif
extern Tss tss;

/* ---- faults and interrupts ---- */

/* What the stubs save, and IRET takes again. */
#if BITS == 64
typedef struct Frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
    u64 vector, error, ip, cs, flags, sp, ss;
} Frame;
#else
typedef struct Frame {
    u32 gs, fs, es, ds, di, si, bp, inner_sp, bx, dx, cx, ax;
    u32 vector, error, ip, cs, flags, sp, ss; /* sp and ss: only when the privilege level changed */
    u32 v86_es, v86_ds, v86_fs, v86_gs;
} Frame;
#endif

enum {
    NO_FAULT = -1,
    DE = 0, DB, NMI, BP, OF, BR, UD, NM, DF, TS = 10, NP, SS, GP, PF, MF = 16, AC, MC, XM, CP = 21,
    LEAVE_USER = 0x81,
};

/* The last fault caught. */
typedef struct Fault {
    int vector;
    u32 error;
    word ip, flags, cr2, dr6;
    u16 cs;
    Frame frame;
} Fault;
extern Fault fault;

/* Where MARK stood when it was passed last. */
extern volatile word guest_mark;
#define MARK MOV_WORD " $771f, guest_mark\n771: "

typedef void Handler(Frame *f);
extern Handler *handlers[256]; /* return to where the frame says */

extern volatile int guest_armed;
int guest_setjmp(void) __attribute__((returns_twice));
void guest_unwind(void) __attribute__((noreturn));

/* Runs statements; the vector of the fault that ended them, or NO_FAULT.  Locals changed within must be volatile. */
#define FAULT_OF(...)                                                                                                  \
    ({                                                                                                                 \
        if (!guest_setjmp()) {                                                                                         \
            guest_armed = 1;                                                                                           \
            fault.vector = NO_FAULT;                                                                                   \
            __VA_ARGS__;                                                                                               \
            fault.vector = NO_FAULT;                                                                                   \
        }                                                                                                              \
        guest_armed = 0;                                                                                               \
        fault.vector;                                                                                                  \
    })
/* The same at privilege level 3, on the same stack. */
#define USER_FAULT_OF(...) USER_FAULT_WITH(2, __VA_ARGS__)
#define USER_FAULT_WITH(flags, ...) FAULT_OF(enter_user(flags); __VA_ARGS__; asm volatile("int $0x81" ::: "memory"))

enum { ANY_IP = -1000 };
/* The last fault must be that one, with that error code, saved IP at MARK + offset. */
bool check_fault(const char *name, int vector, u32 error, int offset);
#define EXPECT(name, vector, error, offset, ...) (FAULT_OF(__VA_ARGS__), check_fault(name, vector, error, offset))
#define EXPECT_USER(name, vector, error, offset, ...)                                                                  \
    (USER_FAULT_OF(__VA_ARGS__), check_fault(name, vector, error, offset))
#define EXPECT_ASM(name, vector, error, offset, text)                                                                  \
    EXPECT(name, vector, error, offset, asm volatile(MARK text ::: "memory", "cc", CLOBBERS))
/* With instructions before the marked one. */
#define EXPECT_PRE(name, vector, error, offset, pre, text)                                                             \
    EXPECT(name, vector, error, offset, asm volatile(pre "\n" MARK text ::: "memory", "cc", CLOBBERS))
#define EXPECT_USER_PRE(name, vector, error, offset, pre, text)                                                        \
    EXPECT_USER(name, vector, error, offset, asm volatile(pre "\n" MARK text ::: "memory", "cc", CLOBBERS))
#define EXPECT_USER_ASM(name, vector, error, offset, text)                                                             \
    EXPECT_USER(name, vector, error, offset, asm volatile(MARK text ::: "memory", "cc", CLOBBERS))
#define CLOBBERS "eax", "ecx", "edx", "esi", "edi"

void interrupts_init(void);

/* ---- instructions ---- */

static inline void out8(u16 port, u8 v) { asm volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static inline void out16(u16 port, u16 v) { asm volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static inline void out32(u16 port, u32 v) { asm volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static inline u8 in8(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }
static inline u16 in16(u16 port) { u16 v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }
static inline u32 in32(u16 port) { u32 v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory"); return v; }

#define REGISTER_ACCESS(name)                                                                                          \
    static inline word name##_read(void)                                                                               \
    {                                                                                                                  \
        word v;                                                                                                        \
        asm volatile("mov %%" #name ", %0" : "=r"(v) :: "memory");                                                     \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void name##_write(word v) { asm volatile("mov %0, %%" #name :: "r"(v) : "memory"); }
REGISTER_ACCESS(cr0) REGISTER_ACCESS(cr2) REGISTER_ACCESS(cr3) REGISTER_ACCESS(cr4)
REGISTER_ACCESS(dr0) REGISTER_ACCESS(dr1) REGISTER_ACCESS(dr2) REGISTER_ACCESS(dr3) REGISTER_ACCESS(dr6)
REGISTER_ACCESS(dr7)

enum {
    CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_NE = 32, CR0_WP = 1 << 16, CR0_AM = 1 << 18, CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
    CR4_VME = 1, CR4_PVI = 2, CR4_TSD = 4, CR4_DE = 8, CR4_PSE = 16, CR4_PAE = 32, CR4_PGE = 128, CR4_PCE = 256,
    CR4_OSFXSR = 512, CR4_OSXMMEXCPT = 1024, CR4_UMIP = 2048, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21,
    F_CF = 1, F_PF = 4, F_ZF = 64, F_TF = 256, F_IF = 512, F_OF = 2048, F_IOPL = 3 << 12, F_NT = 1 << 14,
    F_RF = 1 << 16, F_VM = 1 << 17, F_AC = 1 << 18, F_VIF = 1 << 19, F_VIP = 1 << 20,
};
#define CR0_PG 0x80000000u

static inline u64 msr_read(u32 n)
{
    u32 lo, hi;
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n) : "memory");
    return lo | (u64)hi << 32;
}
static inline void msr_write(u32 n, u64 v)
{
    asm volatile("wrmsr" :: "a"((u32)v), "d"((u32)(v >> 32)), "c"(n) : "memory");
}
enum { MSR_EFER = 0xc0000080, EFER_SCE = 1, EFER_LME = 256, EFER_LMA = 1024, EFER_NXE = 2048 };

typedef struct Cpuid { u32 a, b, c, d; } Cpuid;
static inline Cpuid cpuid(u32 leaf, u32 sub)
{
    Cpuid r;
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}
/* Features by CPUID: leaf 1, 7 or 80000001h, register a to d, bit. */
enum Feature {
    HAS_VME = 0x1d01, HAS_DE = 0x1d02, HAS_TSC = 0x1d04, HAS_MSR = 0x1d05, HAS_APIC = 0x1d09, HAS_SEP = 0x1d0b,
    HAS_MTRR = 0x1d0c, HAS_PGE = 0x1d0d, HAS_PAT = 0x1d10, HAS_MMX = 0x1d17, HAS_FXSR = 0x1d18, HAS_SSE = 0x1d19,
    HAS_SSE2 = 0x1d1a, HAS_SYSCALL = 0x8d0b, HAS_NX = 0x8d14, HAS_LM = 0x8d1d,
};
bool cpu_has(enum Feature f);
u64 tsc(void); /* without a TSC: something that grows */
static inline word flags_read(void) { word v; asm volatile("pushf; pop %0" : "=r"(v) :: "memory"); return v; }
static inline void flags_write(word v) { asm volatile("push %0; popf" :: "r"(v) : "memory", "cc"); }
static inline void invlpg(word la) { asm volatile("invlpg (%0)" :: "r"(la) : "memory"); }
static inline void interrupts_on(void) { asm volatile("sti" ::: "memory"); }
static inline void interrupts_off(void) { asm volatile("cli" ::: "memory"); }
static inline void barrier(void) { asm volatile("" ::: "memory"); }

/* Waits for a condition some seconds at most; whether it came. */
#define WAIT_FOR(condition)                                                                                            \
    ({                                                                                                                 \
        bool came_;                                                                                                    \
        for (u64 until_ = tsc() + 3000000000u; !(came_ = (condition)) && tsc() < until_;)                              \
            asm volatile("pause" ::: "memory");                                                                        \
        came_;                                                                                                         \
    })

/* To privilege level 3, on the same stack. */
static inline __attribute__((always_inline)) void enter_user(word flags)
{
#if BITS == 64
    asm volatile("mov %1, %%eax; mov %%eax, %%ds; mov %%eax, %%es; mov %%rsp, %%rax; push %1; push %%rax; push %0; "
                 "push %2; push $1f; iretq; 1:"
                 :: "r"(flags), "i"(USER_DS), "i"(USER_CS64) : "rax", "memory", "cc");
#else
    asm volatile("mov %1, %%eax; mov %%eax, %%ds; mov %%eax, %%es; mov %%esp, %%eax; pushl %1; push %%eax; push %0;"
                 "pushl %2; pushl $1f; iret; 1:"
                 :: "r"(flags), "i"(USER_DS), "i"(USER_CS32) : "eax", "memory", "cc");
#endif
}

/* ---- PIC ---- */

enum { IRQ_BASE = 0x20 };
void pic_init(void); /* IRQ n at vector IRQ_BASE + n, all masked */
void pic_mask(u16 masked);
void pic_eoi(unsigned irq);

#endif
