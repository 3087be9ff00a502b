/*
 * The bare rows of the benchmark: short loops (micro.S), each of one thing that an emulator can be slow at.  Built on
 * the library of the guest tests (tests/guest/lib).
 *
 * The command line is "rows=NAME,... msecs=N"; "rows=all", and 300, where it says nothing.  Each row is sized to about
 * N milliseconds by the time-stamp counter, which is measured against the PIT first.  The host times what stands between
 *
 *   BENCH up MICROSECONDS                        the guest's clock, here and at the end
 *   BENCH start NAME.MODE
 *   BENCH end NAME.MODE ROUNDS OPERATIONS-A-ROUND
 *   BENCH done MICROSECONDS
 */
#include "tests/bench/micro.h"
#include "tests/guest/lib/guest.h"

enum {
    PAGE = 4096, ENTRIES = PAGE / sizeof(word),
    P_PS = 128, P_ALL = 7, /* present, writable, user */
    WINDOW_PAGES = 8192,
    WINDOW_RAM = 64 << 20, /* where the window is mapped to */
    ROUNDS_MAX = 4 << 20,  /* so that no row's loop counter overflows */
    MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_FMASK = 0xc0000084,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
};

/* For micro.S. */
word spaces[2][ENTRIES] __attribute__((aligned(4096))); /* two equal top tables */
u8 from[65536] __attribute__((aligned(4096))), to[65536] __attribute__((aligned(4096)));
word walk_at;
double scratch[32] __attribute__((aligned(4096))) = { 0.5, 1.25, 3.0 };
extern const u8 page_fault[], fastcall_entry[], int_entry[];

static word tables[WINDOW_PAGES / ENTRIES + 1][ENTRIES] __attribute__((aligned(4096))); /* the last one is empty */

/* ---- paging ---- */

#if BITS == 64
extern u64 boot_pml4[512], boot_pd[2048];
#endif

/* One to one in large pages as before, with the window among them. */
static void paging_init(void)
{
    for (u32 k = 0; k < WINDOW_PAGES; k++)
        tables[k / ENTRIES][k % ENTRIES] = (WINDOW_RAM + k * PAGE) | P_ALL;
#if BITS == 64
    for (u32 k = 0; k < COUNT(tables); k++)
        boot_pd[WINDOW / (2 << 20) + k] = (word)tables[k] | P_ALL;
    for (u32 s = 0; s < 2; s++)
        memcpy(spaces[s], boot_pml4, PAGE);
#else
    for (u32 s = 0; s < 2; s++) {
        for (u32 k = 0; k < ENTRIES; k++)
            spaces[s][k] = k << 22 | P_PS | P_ALL;
        for (u32 k = 0; k < COUNT(tables); k++)
            spaces[s][WINDOW / (4 << 20) + k] = (word)tables[k] | P_ALL;
    }
    cr4_write(cr4_read() | CR4_PSE);
#endif
    cr3_write((word)spaces[0]);
    cr0_write(cr0_read() | CR0_PG);
}

/* Page k's word, at an offset of its own. */
static word *stop(u32 k) { return (word *)(word)(WINDOW + k * PAGE + k * 64 % PAGE); }

/* A closed path of pointers through all pages in random order (Sattolo's shuffle). */
static void walk_init(void)
{
    static u16 order[WINDOW_PAGES];
    u32 random = 12345;
    for (u32 k = 0; k < WINDOW_PAGES; k++)
        order[k] = k;
    for (u32 k = WINDOW_PAGES - 1; k; k--) {
        random = random * 1664525 + 1013904223;
        u32 other = (random >> 8) % k;
        u16 t = order[k];
        order[k] = order[other];
        order[other] = t;
    }
    for (u32 k = 0; k < WINDOW_PAGES; k++)
        *stop(order[k]) = (word)stop(order[(k + 1) % WINDOW_PAGES]);
    walk_at = (word)stop(0);
}

/* ---- rows that need something set up ---- */

#define MICRO_ROW(name, operations, text) void work_##name(u32 n);
#include "tests/bench/rows.def"
void work_fault_loop(u32 n);
void work_softint_loop(u32 n);
void work_fastcall_loop(u32 n);

void work_fault(u32 n)
{
    idt_set(PF, KERNEL_CS, (word)page_fault, A_INT32, 0);
    work_fault_loop(n);
    idt_reset(PF);
}

void work_softint(u32 n)
{
    idt_set(VECTOR, KERNEL_CS, (word)int_entry, A_INT32, 0);
    work_softint_loop(n);
    idt_reset(VECTOR);
}

/* SDM vol. 3A 5.8.7, 5.8.8. */
void work_fastcall(u32 n)
{
#if BITS == 64
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    msr_write(MSR_STAR, (u64)USER_CS32 << 48 | (u64)KERNEL_CS << 32);
    msr_write(MSR_LSTAR, (word)fastcall_entry);
    msr_write(MSR_FMASK, 0);
#else
    msr_write(MSR_SYSENTER_CS, KERNEL_CS);
    msr_write(MSR_SYSENTER_ESP, (word)(from + sizeof from));
    msr_write(MSR_SYSENTER_EIP, (word)fastcall_entry);
#endif
    USER_FAULT_OF(work_fastcall_loop(n));
}

/* ---- sizes and times ---- */

static const struct {
    const char *name;
    void (*work)(u32 n);
    u32 operations;
} rows[] = {
#define MICRO_ROW(name, operations, text) { #name, work_##name, operations },
#include "tests/bench/rows.def"
};

/* a * b / c; the quotient must fit. */
static u32 scaled(u32 a, u32 b, u32 c)
{
    u32 quotient, rest;
    asm("mull %3; divl %4" : "=&a"(quotient), "=&d"(rest) : "0"(a), "r"(b), "r"(c) : "cc");
    return quotient;
}

static u32 ticks_per_ms; /* of the time-stamp counter */

/* 50 ms of the PIT's third counter, whose output shows in port 61h. */
static void clock_init(void)
{
    enum { MS = 50, COUNTS = 1193182 / (1000 / MS) };
    out8(0x61, (in8(0x61) & ~2) | 1);
    out8(0x43, 0xb0);
    out8(0x42, COUNTS & 255);
    out8(0x42, COUNTS >> 8);
    u64 began = tsc();
    while (!(in8(0x61) & 0x20))
        ;
    ticks_per_ms = (u32)(tsc() - began) / MS;
}

/* An hour at most, and 1 at least. */
static u32 microseconds(u64 ticks)
{
    u32 shift = 0;
    while (ticks >> shift >> 32)
        shift++;
    u32 us = scaled((u32)(ticks >> shift), 1000, ticks_per_ms >> shift);
    return us ? us : 1;
}

static u32 time_of(void (*work)(u32 n), u32 n)
{
    u64 began = tsc();
    work(n);
    return microseconds(tsc() - began);
}

/* How many rounds take about that many microseconds. */
static u32 size_of_row(void (*work)(u32 n), u32 us)
{
    for (u32 n = 1;;) {
        u32 took = time_of(work, n);
        u32 wanted = took < us / 64 ? n * 16 : scaled(n, us, took < us / 4 ? 2 * took : took) + 1;
        if (took >= us / 4 || wanted >= ROUNDS_MAX)
            return wanted < ROUNDS_MAX ? wanted : ROUNDS_MAX;
        n = wanted;
    }
}

/* What stands behind "KEY=" on the command line, or nothing. */
static const char *argument(const char *key)
{
    enum { HAS_COMMAND_LINE = 4 };
    const u32 *info = (const u32 *)(word)multiboot_info;
    const char *p = info[0] & HAS_COMMAND_LINE ? (const char *)(word)info[4] : "";
    u32 length = 0;
    while (key[length])
        length++;
    for (; *p; p++)
        if (!memcmp(p, key, length))
            return p + length;
    return "";
}

static bool ends_word(char c) { return !c || c == ' ' || c == ','; }

static bool row_wanted(const char *list, const char *name)
{
    if (ends_word(*list) || (!memcmp(list, "all", 3) && ends_word(list[3])))
        return true;
    while (!ends_word(*list) || *list == ',') {
        const char *n = name;
        while (*n && *list == *n)
            list++, n++;
        if (!*n && ends_word(*list))
            return true;
        while (!ends_word(*list))
            list++;
        list += *list == ',';
    }
    return false;
}

void guest_main(void)
{
    u32 msecs = 0;
    for (const char *p = argument("msecs="); *p >= '0' && *p <= '9'; p++)
        msecs = msecs * 10 + *p - '0';
    cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    asm volatile("fninit");
    paging_init();
    walk_init();
    clock_init();
    u64 began = tsc();
    print("BENCH up 0\n");
    for (u32 k = 0; k < COUNT(rows); k++) {
        if (!row_wanted(argument("rows="), rows[k].name))
            continue;
        u32 n = size_of_row(rows[k].work, 1000 * (msecs ? msecs : 300));
        print("BENCH start %s." MODE "\n", rows[k].name);
        rows[k].work(n);
        print("BENCH end %s." MODE " %u %u\n", rows[k].name, n, rows[k].operations);
    }
    print("BENCH done %u\n", microseconds(tsc() - began));
    guest_exit(0);
}
