/*
 * The C library's string functions, which it chooses by CPUID, against plain loops: every alignment and length up to
 * some hundred bytes, at the end of a page with nothing behind it.  Prints `N checks, M wrong`; to be run in a guest.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <wchar.h>

enum { PAGE = 4096, LONGEST = 300 };

static unsigned long checks, wrong;

static void check(int right, const char *what, size_t length, size_t at)
{
    checks++;
    if (right)
        return;
    if (wrong++ < 20)
        printf("%s of %zu bytes at %zu is wrong\n", what, length, at);
}

/* Two pages before one that cannot be accessed. */
static char *guarded(void)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + 2 * PAGE, PAGE, PROT_NONE))
        exit(2);
    return p;
}

static void fill(char *p, size_t n, unsigned seed)
{
    for (size_t k = 0; k < n; k++)
        p[k] = (char)((k * 131 + seed * 7919 + (k >> 3)) % 255 + 1);
}

static int same(const char *a, const char *b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (a[k] != b[k])
            return 0;
    return 1;
}

static int sign(int v) { return (v > 0) - (v < 0); }

static void check_copies(char *from, char *to, size_t n, size_t at)
{
    fill(from, n, n);
    memset(to, 0, n);
    memcpy(to, from, n);
    check(same(to, from, n), "memcpy", n, at);
    memset(to, 0x5a, n);
    size_t right = 0;
    while (right < n && to[right] == 0x5a)
        right++;
    check(right == n, "memset", n, at);
    fill(to, n, n);
    if (n > 8) {
        memmove(to + 3, to, n - 3);
        check(same(to + 3, from, n - 3), "memmove up", n, at);
        fill(to, n, n);
        memmove(to, to + 5, n - 5);
        check(same(to, from + 5, n - 5), "memmove down", n, at);
    }
}

static void check_searches(char *p, size_t n, size_t at)
{
    fill(p, n, 3);
    for (size_t k = 0; k < n; k++)
        if (p[k] == 1)
            p[k] = 2;
    size_t hit = n * 5 / 7;
    p[hit] = 1;
    check(memchr(p, 1, n) == p + hit, "memchr", n, at);
    check(memrchr(p, 1, n) == p + hit, "memrchr", n, at);
    check(memchr(p, 0, n) == NULL, "memchr of nothing", n, at);
    p[n - 1] = 0;
    check(strlen(p) == n - 1, "strlen", n, at);
    check(strnlen(p, n / 2) == (n / 2 < n - 1 ? n / 2 : n - 1), "strnlen", n, at);
    check(rawmemchr(p, 0) == p + n - 1, "rawmemchr", n, at);
    char *want = hit < n - 1 ? p + hit : NULL;
    check(strchr(p, 1) == want, "strchr", n, at);
    check(strrchr(p, 1) == want, "strrchr", n, at);
    check(strchrnul(p, 1) == (want ? want : p + n - 1), "strchrnul", n, at);
}

static void check_comparisons(char *a, char *b, size_t n, size_t at)
{
    fill(a, n, 9);
    memcpy(b, a, n);
    a[n - 1] = b[n - 1] = 0;
    check(memcmp(a, b, n) == 0 && strcmp(a, b) == 0 && strncmp(a, b, n) == 0, "equal", n, at);
    if (n < 2)
        return;
    size_t k = n * 3 / 5;
    b[k < n - 1 ? k : n - 2] ^= 0x80;
    k = k < n - 1 ? k : n - 2;
    int want = (uint8_t)a[k] < (uint8_t)b[k] ? -1 : 1;
    check(sign(memcmp(a, b, n)) == want, "memcmp", n, at);
    if (!b[k])
        want = 1;
    check(sign(strcmp(a, b)) == want, "strcmp", n, at);
    check(sign(strncmp(a, b, n)) == want && strncmp(a, b, k) == 0, "strncmp", n, at);
}

static void check_wide(char *page_end, size_t n)
{
    wchar_t *w = (wchar_t *)page_end - n;
    for (size_t k = 0; k < n; k++)
        w[k] = (wchar_t)(k + 1);
    w[n - 1] = 0;
    check(wcslen(w) == n - 1, "wcslen", n, 0);
    check(wmemchr(w, (wchar_t)n, n) == NULL, "wmemchr", n, 0);
}

int main(void)
{
    char *a = guarded() + 2 * PAGE, *b = guarded() + 2 * PAGE;
    for (size_t n = 1; n <= LONGEST; n++) {
        check_wide(a, n);
        for (size_t at = 0; at < 64; at++) { /* bytes between the operand's end and the page's */
            check_copies(a - n - at, b - n - (at * 5 & 63), n, at);
            check_searches(a - n - at, n, at);
            check_comparisons(a - n - at, b - n - (at * 3 & 63), n, at);
        }
    }
    printf("%lu checks, %lu wrong\n", checks, wrong);
    return wrong != 0;
}
