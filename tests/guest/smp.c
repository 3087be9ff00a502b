/*
 * Several processors: their start (SDM vol. 3A 9.4.4), LOCK (9.1), code that one writes and another executes (9.1.3),
 * and the order in which one sees another's loads and stores (9.2), by litmus tests.
 *
 * -append runs=N repeats the litmus tests N times each.
 */
#include "lib/guest.h"

enum {
    AP_PLACE = 0x8000, CPUS_MAX = 4, STACK = 8192, PAGE = 4096, LINE = 64,
    LAPIC_ID = 0x20, LAPIC_EOI = 0xb0, LAPIC_SVR = 0xf0, LAPIC_ICR = 0x300, LAPIC_ICR_HIGH = 0x310,
    ICR_INIT = 5 << 8, ICR_START = 6 << 8, ICR_ASSERT = 1 << 14,
    WAKE = 0x60, SPURIOUS = 0xff,
};

static volatile u32 *const lapic = (volatile u32 *)(word)0xfee00000;

extern const u8 ap_trampoline[], ap_trampoline_end[];
word ap_stack;
void ap_main(void);

static u8 stacks[CPUS_MAX][STACK] __attribute__((aligned(16)));
static volatile u32 cpus = 1; /* that run */

/* Work for all: run(n) on processor n when `round` changes; a processor that is done says so. */
static void (*volatile run)(unsigned n);
static volatile u32 round, finished[CPUS_MAX];
static volatile u32 wakes[CPUS_MAX];

static void relax(void) { asm volatile("pause" ::: "memory"); }

static unsigned self(void) { return lapic[LAPIC_ID / 4] >> 24; }

static void send_ipi(unsigned to, u32 what)
{
    lapic[LAPIC_ICR_HIGH / 4] = to << 24;
    lapic[LAPIC_ICR / 4] = what;
}

static void on_wake(Frame *f)
{
    (void)f;
    wakes[self()] = wakes[self()] + 1;
    lapic[LAPIC_EOI / 4] = 0;
}

static void load_tables(void)
{
    asm volatile("lgdt %0; lidt %1" :: "m"(gdt_register), "m"(idt_register) : "memory");
#if BITS == 64
    asm volatile("push %0; push $1f; lretq; 1:" :: "i"(KERNEL_CS) : "memory");
#else
    asm volatile("ljmp %0, $1f; 1:" :: "i"(KERNEL_CS) : "memory");
#endif
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; mov %0, %%ss" :: "r"(KERNEL_DS) : "memory");
}

void ap_main(void)
{
    u32 seen = round;
    load_tables();
    lapic[LAPIC_SVR / 4] = 0x100 | SPURIOUS;
    interrupts_on();
    cpus = cpus + 1;
    for (;;) {
        while (round == seen)
            relax();
        seen = round;
        run(self());
        finished[self()] = seen;
    }
}

static void on_all(void (*fn)(unsigned n))
{
    run = fn;
    round = round + 1;
    fn(0);
    for (unsigned n = 1; n < cpus; n++)
        while (finished[n] != round)
            relax();
}

static void start_all(void)
{
    memcpy((void *)(word)AP_PLACE, ap_trampoline, ap_trampoline_end - ap_trampoline);
    for (unsigned n = 1; n < CPUS_MAX; n++) {
        ap_stack = (word)(stacks[n] + STACK);
        send_ipi(n, ICR_INIT | ICR_ASSERT);
        send_ipi(n, ICR_START | ICR_ASSERT | AP_PLACE / PAGE);
        if (!WAIT_FOR(cpus == n + 1))
            return;
    }
}

/* ---- LOCK ---- */

enum { ADDS = 20000 };

/* What is counted in: aligned, within a quadword, across quadwords, across pages; and the same on a page of code. */
static u8 counters[2][2 * PAGE] __attribute__((aligned(PAGE)));
static const struct { const char *name; unsigned at, size; } places[] = {
    { "dword", 0, 4 },           { "byte", 67, 1 },          { "word within a quadword", 131, 2 },
    { "across quadwords", 198, 4 }, { "across lines", 318, 4 }, { "across pages", PAGE - 2, 4 },
};
static volatile u32 guarded;
static volatile u8 guard;
static volatile u32 pair[4] __attribute__((aligned(16)));

static void add_one(u8 *p, unsigned size, u32 k)
{
    u32 one = 1;
    if (size == 1)
        asm volatile("lock incb %0" : "+m"(*p) :: "memory", "cc");
    else if (size == 2)
        asm volatile("lock addw $1, %0" : "+m"(*(u16 *)p) :: "memory", "cc");
    else if (k & 1)
        asm volatile("lock xaddl %1, %0" : "+m"(*(u32 *)p), "+r"(one) :: "memory", "cc");
    else
        asm volatile("1: mov %0, %%eax; lea 1(%%eax), %%ecx; lock cmpxchg %%ecx, %0; jne 1b" : "+m"(*(u32 *)p) ::
                     "eax", "ecx", "memory", "cc");
}

static void add_all(unsigned n)
{
    (void)n;
    for (unsigned page = 0; page < 2; page++)
        for (unsigned k = 0; k < COUNT(places); k++)
            for (u32 i = 0; i < ADDS / 4; i++)
                add_one(counters[page] + places[k].at, places[k].size, i);
}

/* XCHG is locked without a prefix; an ordinary store ends the critical section. */
static void add_guarded(unsigned n)
{
    (void)n;
    for (u32 i = 0; i < ADDS; i++) {
        u8 taken = 1;
        do {
            asm volatile("xchg %0, %1" : "+q"(taken), "+m"(guard) :: "memory");
        } while (taken && (relax(), true));
        guarded = guarded + 1;
        guard = 0;
    }
}

/* Both halves change together, so that they always are equal. */
static void add_pair(unsigned n)
{
    (void)n;
    for (u32 i = 0; i < ADDS; i++) {
        bool done;
        do {
            u32 a = pair[0], d = pair[1];
            asm volatile("lock cmpxchg8b %0; sete %1" : "+m"(*(u64 *)pair), "=q"(done), "+a"(a), "+d"(d) :
                         "b"(a + 1), "c"(a + 1) : "memory", "cc");
        } while (!done);
    }
}

#if BITS == 64
static void add_pair16(unsigned n)
{
    (void)n;
    for (u32 i = 0; i < ADDS; i++) {
        bool done;
        do {
            u64 a = *(volatile u64 *)pair, d = *(volatile u64 *)(pair + 2);
            asm volatile("lock cmpxchg16b %0; sete %1" : "+m"(*(unsigned __int128 *)pair), "=q"(done), "+a"(a), "+d"(d) :
                         "b"(a + 1), "c"(a + 1) : "memory", "cc");
        } while (!done);
    }
}
#endif

static void test_lock(void)
{
    group("LOCK");
    counters[1][1024] = counters[1][PAGE + 1024] = 0xc3;
    asm volatile("call *%0; call *%1" :: "r"(counters[1] + 1024), "r"(counters[1] + PAGE + 1024) : "memory");
    on_all(add_all);
    for (unsigned page = 0; page < 2; page++)
        for (unsigned k = 0; k < COUNT(places); k++) {
            u32 v = 0;
            memcpy(&v, counters[page] + places[k].at, places[k].size);
            u32 mask = places[k].size == 4 ? ~0u : BIT(places[k].size * 8) - 1;
            check(places[k].name, v == (cpus * (ADDS / 4) & mask), "%s: %u of %u", page ? "page of code" : "data", v,
                  cpus * (ADDS / 4) & mask);
        }
    on_all(add_guarded);
    check_equal("spin lock", guarded, cpus * ADDS);
    on_all(add_pair);
    check("cmpxchg8b", pair[0] == cpus * ADDS && pair[1] == pair[0], "%u and %u", pair[0], pair[1]);
#if BITS == 64
    memset((void *)pair, 0, sizeof pair);
    if (cpuid(1, 0).c & BIT(13)) {
        on_all(add_pair16);
        check("cmpxchg16b", pair[0] == cpus * ADDS && pair[2] == pair[0], "%u and %u", pair[0], pair[2]);
    }
#endif
}

/* ---- cross-modifying code ---- */

enum { CODE_PAGES = 64, CODE_ROUNDS = 8 };
static u8 code[CODE_PAGES * PAGE] __attribute__((aligned(PAGE)));
static volatile u32 wanted, answered, wrong;
static volatile bool by_ipi;

/* mov $value, %eax; ret */
static void emit_return(u8 *p, u32 value)
{
    p[0] = 0xb8;
    memcpy(p + 1, &value, 4);
    p[5] = 0xc3;
}

static u32 call(const void *p)
{
    u32 v;
    asm volatile("call *%1" : "=a"(v) : "r"(p) : "ecx", "edx", "memory", "cc");
    return v;
}

/*
 * Processor 0 changes a function and tells; 1 calls it.  A page is fresh first, then data of both, then code of 1, and
 * code of 0 too in the end.
 */
static void write_code(void)
{
    for (u32 k = 1; k <= CODE_PAGES * CODE_ROUNDS; k++) {
        u8 *p = code + k / CODE_ROUNDS % CODE_PAGES * PAGE;
        emit_return(p, k);
        if (k % CODE_ROUNDS == CODE_ROUNDS - 1)
            call(p);
        wanted = k;
        if (by_ipi) {
            send_ipi(1, ICR_ASSERT | WAKE);
            while (wakes[1] != k)
                relax();
        }
        while (answered != k)
            relax();
    }
}

static void call_code(void)
{
    for (u32 k = 1; k <= CODE_PAGES * CODE_ROUNDS; k++) {
        while (by_ipi ? wakes[1] != k : wanted != k)
            relax();
        cpuid(0, 0); /* serialises */
        wrong = wrong + (call(code + k / CODE_ROUNDS % CODE_PAGES * PAGE) != k);
        answered = k;
    }
}

static void modify(unsigned n)
{
    if (n == 0)
        write_code();
    else if (n == 1)
        call_code();
}

static void test_code(void)
{
    group("cross-modifying code");
    handlers[WAKE] = on_wake;
    on_all(modify);
    check_equal("told by memory", wrong, 0);
    wrong = wanted = answered = 0;
    by_ipi = true;
    on_all(modify);
    check_equal("told by interrupt", wrong, 0);
    emit_return(code, 1);
    u32 value = call(code);
    emit_return(code, 2);
    check_equal("and at once by the writer", value * 10 + call(code), 12);
}

/* ---- litmus tests ---- */

enum { BATCH = 256 };
typedef struct Cell { volatile u32 v; u32 pad[LINE / 4 - 1]; } Cell;
static Cell x[BATCH], y[BATCH], ready[CPUS_MAX];
static volatile u32 seen[CPUS_MAX][2][BATCH];
static u32 runs = 2000;

/* The processors that take part wait for each other before each run, and then a little, not always the same. */
static void meet(unsigned n, unsigned count, u32 stamp)
{
    ready[n].v = stamp;
    for (unsigned k = 0; k < count; k++)
        while ((int)(ready[k].v - stamp) < 0)
            relax();
    for (u32 k = (stamp * 2654435761u + n * 40503u) >> 28; k; k--)
        asm volatile("" ::: "memory");
}

/*
 * x86 allows store buffering alone (SDM vol. 3A 9.2.3): of two processors that each store and then load what the other
 * stores both may see the old value, unless something fences.
 */
#define LITMUS(name, processors, ...)                                                                                  \
    static u32 name##_stamp;                                                                                           \
    static void name##_run(unsigned n)                                                                                 \
    {                                                                                                                  \
        u32 stamp = name##_stamp;                                                                                      \
        for (u32 i = 0; n < (processors) && i < BATCH; i++) {                                                          \
            u32 a = 0, b = 0;                                                                                          \
            meet(n, processors, ++stamp);                                                                              \
            __VA_ARGS__                                                                                                \
            seen[n][0][i] = a;                                                                                         \
            seen[n][1][i] = b;                                                                                         \
        }                                                                                                              \
    }
LITMUS(buffer, 2, if (n == 0) { x[i].v = 1; a = y[i].v; } else { y[i].v = 1; a = x[i].v; })
LITMUS(fenced, 2, if (n == 0) { x[i].v = 1; asm volatile("lock orl $0, %0" : "+m"(b) :: "memory"); a = y[i].v; }
                  else { y[i].v = 1; asm volatile("xchg %0, %1" : "+r"(a), "+m"(b) :: "memory"); a = x[i].v; })
LITMUS(serialized, 2, if (n == 0) { x[i].v = 1; cpuid(0, 0); a = y[i].v; }
                      else { y[i].v = 1; cpuid(0, 0); a = x[i].v; })
LITMUS(message, 2, if (n == 0) { x[i].v = 1; y[i].v = 1; } else { a = y[i].v; b = x[i].v; })
LITMUS(load, 2, if (n == 0) { a = x[i].v; y[i].v = 1; } else { a = y[i].v; x[i].v = 1; })
LITMUS(coherence, 2, if (n == 0) { x[i].v = 1; x[i].v = 2; } else { a = x[i].v; b = x[i].v; })
LITMUS(independent, 4, if (n == 0) x[i].v = 1; else if (n == 1) y[i].v = 1;
                       else if (n == 2) { a = x[i].v; b = y[i].v; } else { a = y[i].v; b = x[i].v; })
#if BITS == 64
LITMUS(mfence, 2, if (n == 0) { x[i].v = 1; asm volatile("mfence" ::: "memory"); a = y[i].v; }
                  else { y[i].v = 1; asm volatile("mfence" ::: "memory"); a = x[i].v; })
#endif

static bool both_old(unsigned i) { return !seen[0][0][i] && !seen[1][0][i]; }
static bool overtaken(unsigned i) { return seen[1][0][i] && !seen[1][1][i]; }
static bool both_new(unsigned i) { return seen[0][0][i] && seen[1][0][i]; }
static bool backwards(unsigned i) { return seen[1][0][i] > seen[1][1][i]; }
static bool disagree(unsigned i)
{
    return seen[2][0][i] && !seen[2][1][i] && seen[3][0][i] && !seen[3][1][i];
}

/* How many of the runs end so. */
static u32 litmus(void (*fn)(unsigned), u32 *stamp, bool (*is)(unsigned))
{
    u32 count = 0;
    memset(ready, 0, sizeof ready);
    for (u32 done = 0; done < runs; done += BATCH, *stamp += BATCH) {
        memset(x, 0, sizeof x);
        memset(y, 0, sizeof y);
        on_all(fn);
        for (unsigned i = 0; i < BATCH; i++)
            count += is(i);
    }
    return count;
}

static void test_order(void)
{
    group("order");
    print("store buffering: %u of %u\n", litmus(buffer_run, &buffer_stamp, both_old), runs);
    check_equal("LOCK is a fence", litmus(fenced_run, &fenced_stamp, both_old), 0);
    check_equal("CPUID is a fence", litmus(serialized_run, &serialized_stamp, both_old), 0);
#if BITS == 64
    check_equal("MFENCE is a fence", litmus(mfence_run, &mfence_stamp, both_old), 0);
#endif
    check_equal("message passing", litmus(message_run, &message_stamp, overtaken), 0);
    check_equal("load buffering", litmus(load_run, &load_stamp, both_new), 0);
    check_equal("coherence", litmus(coherence_run, &coherence_stamp, backwards), 0);
    if (cpus >= 4)
        check_equal("independent reads", litmus(independent_run, &independent_stamp, disagree), 0);
    else
        skip("independent reads", "fewer than four processors");
}

/* "runs=N" in the command line (Multiboot Specification 0.6.96, 3.3: flag 2, cmdline). */
static void runs_parse(void)
{
    const u32 *info = (const u32 *)(word)multiboot_info;
    const char *p = info[0] & 4 ? (const char *)(word)info[4] : "";
    for (; *p; p++)
        if (!memcmp(p, "runs=", 5))
            for (runs = 0, p += 5; p[0] >= '0' && p[0] <= '9'; p++)
                runs = runs * 10 + *p - '0';
}

void guest_main(void)
{
    if (!(cpuid(1, 0).d & BIT(9))) {
        skip("all", "the processor has no local APIC");
        return;
    }
    runs_parse();
    lapic[LAPIC_SVR / 4] = 0x100 | SPURIOUS;
    start_all();
    group("start");
    if (cpus == 1) {
        skip("other processors", "there are none (-smp)");
        return;
    }
    print("%u processors\n", cpus);
    test_lock();
    test_code();
    test_order();
}
