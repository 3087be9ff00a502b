/* Text on COM1, PASS, FAIL and SUMMARY lines, and the guest's end. */
#include "guest.h"

enum { COM1 = 0x3f8, EXIT_PORT = 0xf4 };

void put_char(char c)
{
    for (unsigned k = 0; k < 1000000 && !(in8(COM1 + 5) & 0x20); k++)
        ;
    out8(COM1, c);
}

int get_char(void) { return in8(COM1 + 5) & 1 ? in8(COM1) : -1; }

void *memcpy(void *to, const void *from, size_t n)
{
    void *start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :: "memory");
    return start;
}

void *memset(void *to, int c, size_t n)
{
    void *start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (u8)*a - (u8)*b;
}

static void put_string(const char *s)
{
    while (*s)
        put_char(*s++);
}

static void put_hex(u64 v)
{
    unsigned shift = 60;
    while (shift && !(v >> shift & 15))
        shift -= 4;
    for (;; shift -= 4) {
        put_char("0123456789abcdef"[v >> shift & 15]);
        if (!shift)
            return;
    }
}

static void put_decimal(u32 v)
{
    char text[12];
    unsigned n = 0;
    do
        text[n++] = '0' + v % 10;
    while (v /= 10);
    while (n)
        put_char(text[--n]);
}

static void put_signed(int v)
{
    if (v < 0)
        put_char('-');
    put_decimal(v < 0 ? -(u32)v : (u32)v);
}

/* %c %s %d %u %x, and %lx, %llx; no widths. */
static void print_list(const char *f, va_list args)
{
    for (; *f; f++) {
        if (*f != '%') {
            put_char(*f);
            continue;
        }
        unsigned longs = 0;
        while (*++f == 'l')
            longs++;
        switch (*f) {
        case 'c': put_char(va_arg(args, int)); break;
        case 's': put_string(va_arg(args, const char *)); break;
        case 'd': put_signed(va_arg(args, int)); break;
        case 'u': put_decimal(va_arg(args, u32)); break;
        case 'x':
            put_hex(longs == 0 ? va_arg(args, u32)
                    : longs == 1 ? va_arg(args, unsigned long) : va_arg(args, unsigned long long));
            break;
        default: put_char(*f);
        }
    }
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_list(format, args);
    va_end(args);
}

static const char *current_group = "";
static const char *known_wrong;
static unsigned passed, failed;

void group(const char *name) { current_group = name; }

bool on_qemu(void)
{
    Cpuid c = cpuid(0x40000000, 0);
    return c.b == 0x54474354 && c.c == 0x43544743; /* TCGTCGTCGTCG */
}

bool cpu_has(enum Feature f)
{
    u32 leaf = f >> 12 == 8 ? 0x80000001 : f >> 12, reg = f >> 8 & 15;
    if (cpuid(leaf & 0x80000000, 0).a < leaf)
        return false;
    Cpuid c = cpuid(leaf, 0);
    return (reg == 0xd ? c.d : reg == 0xc ? c.c : reg == 0xb ? c.b : c.a) >> (f & 31) & 1;
}

u64 tsc(void)
{
    static u64 counted;
    static int have = -1;
    u32 lo, hi;
    if (have < 0)
        have = cpu_has(HAS_TSC);
    if (!have)
        return counted += 1000;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
    return lo | (u64)hi << 32;
}

bool is_amd(void) { return cpuid(0, 0).c == 0x444d4163; } /* AuthenticAMD */

void qemu_is_wrong(const char *why) { known_wrong = on_qemu() ? why : NULL; }

void skip(const char *name, const char *why)
{
    print("SKIP %s%s%s: %s\n", current_group, *current_group ? " " : "", name, why);
    known_wrong = NULL;
}

bool check(const char *name, bool ok, const char *format, ...)
{
    const char *why = known_wrong;
    known_wrong = NULL;
    if (!ok && why) {
        print("SKIP %s%s%s: QEMU: %s (", current_group, *current_group ? " " : "", name, why);
    } else {
        print("%s %s%s%s", ok ? "PASS" : "FAIL", current_group, *current_group ? " " : "", name);
        *(ok ? &passed : &failed) += 1;
    }
    if (!ok) {
        va_list args;
        va_start(args, format);
        print(why ? "" : ": ");
        print_list(format, args);
        print(why ? ")" : "");
        va_end(args);
    }
    put_char('\n');
    if (ok && why)
        print("NOTE QEMU passes this check, which is marked as one that it fails\n");
    return ok;
}

bool check_equal(const char *name, u64 got, u64 want)
{
    return check(name, got == want, "got 0x%llx, expected 0x%llx", (unsigned long long)got, (unsigned long long)want);
}

void guest_exit(u32 value)
{
    out32(EXIT_PORT, value);
    for (;;)
        asm volatile("cli; hlt");
}

void guest_end(void)
{
    print("SUMMARY: %u passed, %u failed\n", passed, failed);
    guest_exit(failed ? 1 : 0);
}
