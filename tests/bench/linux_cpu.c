/* Workloads that stay in their process: arithmetic, branches, calls, memory, the C library. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/linux.h"

#define NO_INLINE __attribute__((noinline, noclone))

void work_int(long n)
{
    uint32_t random = 1;
    uint64_t a = 1, b = 2;
    for (long k = 0; k < 1000 * n; k++) {
        if (next_random(&random) >> 31)
            a += (b >> 7) ^ (uint64_t)k;
        else
            b = (b << 3) - a;
    }
    sink = a ^ b;
}

static NO_INLINE unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* fib(20) is 21891 calls. */
void work_fib(long n)
{
    while (n--)
        sink = fib(20);
}

static int number_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void work_sort(long n)
{
    static uint32_t numbers[4096];
    uint32_t random = 7;
    while (n--) {
        for (int k = 0; k < 4096; k++)
            numbers[k] = next_random(&random);
        qsort(numbers, 4096, sizeof *numbers, number_compare);
        sink = numbers[17];
    }
}

void work_sieve(long n)
{
    enum { SIZE = 65536 };
    static uint8_t composite[SIZE];
    while (n--) {
        unsigned primes = 0;
        memset(composite, 0, sizeof composite);
        for (unsigned p = 2; p < SIZE; p++) {
            if (composite[p])
                continue;
            primes++;
            for (unsigned k = 2 * p; k < SIZE; k += p)
                composite[k] = 1;
        }
        sink = primes;
    }
}

/* ---- SHA-256 (FIPS 180-4, 6.2); its constants are made from the roots of primes, as they are defined ---- */

static uint32_t rotate(uint32_t v, unsigned by) { return v >> by | v << (32 - by); }

static uint32_t fraction_bits(double v) { return (uint32_t)(int64_t)((v - floor(v)) * 4294967296.0); }

static void sha_constants(uint32_t *round, uint32_t *state)
{
    for (unsigned p = 2, found = 0; found < 64; p++) {
        unsigned divisor = 2;
        while (p % divisor)
            divisor++;
        if (divisor != p)
            continue;
        if (found < 8)
            state[found] = fraction_bits(sqrt(p));
        round[found++] = fraction_bits(cbrt(p));
    }
}

static void sha_block(uint32_t *state, const uint32_t *constants, const uint32_t *block)
{
    uint32_t w[64], v[8];
    memcpy(w, block, 64);
    memcpy(v, state, sizeof v);
    for (int k = 16; k < 64; k++)
        w[k] = w[k - 16] + w[k - 7] + (rotate(w[k - 15], 7) ^ rotate(w[k - 15], 18) ^ w[k - 15] >> 3) +
               (rotate(w[k - 2], 17) ^ rotate(w[k - 2], 19) ^ w[k - 2] >> 10);
    for (int k = 0; k < 64; k++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + constants[k] +
                     w[k];
        uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t;
        v[0] = t + u;
    }
    for (int k = 0; k < 8; k++)
        state[k] += v[k];
}

void work_hash(long n)
{
    static uint32_t constants[64], start[8], data[1024];
    uint32_t state[8];
    sha_constants(constants, start);
    memcpy(state, start, sizeof state);
    while (n--)
        for (int k = 0; k < 1024; k += 16)
            sha_block(state, constants, data + k);
    sink = state[0];
}

/* ---- a stack machine ---- */

enum Op { PUSH, ADD, MULTIPLY, XOR, COPY, SWAP, DECREMENT, JUMP_IF, END };

/* 2048 operations: 256 times the loop's eight. */
static NO_INLINE long bytecode_run(const uint8_t *code)
{
    static const void *const label[] = {
        &&push, &&add, &&multiply, &&xor, &&copy, &&swap, &&decrement, &&jump_if, &&end,
    };
    long stack[16] = { 1, 256 }, *top = stack + 1, t;
#define DISPATCH goto *label[*code++]
    DISPATCH;
push: *++top = *code++; DISPATCH;
add: top--, top[0] += top[1]; DISPATCH;
multiply: top[0] *= 5; DISPATCH;
xor: top[-1] ^= top[0]; DISPATCH;
copy: top[1] = top[0], top++; DISPATCH;
swap: t = top[0], top[0] = top[-1], top[-1] = t; DISPATCH;
decrement: --*top; DISPATCH;
jump_if: code = *top ? code - *code : code + 1; DISPATCH;
end:
    return stack[0];
#undef DISPATCH
}

void work_bytecode(long n)
{
    static const uint8_t loop[] = { SWAP, MULTIPLY, PUSH, 3, ADD, SWAP, XOR, DECREMENT, JUMP_IF, 9, END };
    while (n--)
        sink = (uint64_t)bytecode_run(loop);
}

/* ---- data structures and text ---- */

/* Finds matches in text that repeats itself, by a hash of three bytes. */
void work_pack(long n)
{
    enum { SIZE = 16384 };
    static uint8_t text[SIZE + 64];
    static uint16_t last[4096];
    uint32_t random = 3;
    for (int k = 0; k < SIZE; k++)
        text[k] = (uint8_t)(next_random(&random) >> 29 ? "the quick brown fox "[k % 20] : (char)('a' + k % 26));
    while (n--) {
        unsigned matched = 0;
        memset(last, 0, sizeof last);
        for (unsigned at = 1; at < SIZE;) {
            unsigned hash = ((unsigned)text[at] << 8 ^ (unsigned)text[at + 1] << 4 ^ text[at + 2]) * 40503u >> 4 & 4095;
            unsigned before = last[hash], length = 0;
            last[hash] = (uint16_t)at;
            while (before && length < 60 && text[before + length] == text[at + length])
                length++;
            matched += length;
            at += length > 2 ? length : 1;
        }
        sink = matched;
    }
}

/* 4096 bytes in lines of 64. */
void work_text(long n)
{
    static char lines[64][64], copy[64][64];
    for (int k = 0; k < 64; k++)
        for (int c = 0; c < 63; c++)
            lines[k][c] = copy[k][c] = (char)('a' + (k * c) % 26);
    size_t sum = 0;
    while (n--)
        for (int k = 0; k < 64; k++) {
            char *line = lines[k];
            __asm__("" : "+r"(line));
            sum += strlen(line) + (strchr(line, 'z' + 1) != NULL);
            sum += (size_t)(strcmp(line, copy[k]) + memcmp(line, copy[k], 64));
        }
    sink = sum;
}

void work_print(long n)
{
    char line[100];
    while (n--)
        for (int k = 0; k < 16; k++) {
            snprintf(line, sizeof line, "%.6f %d %s %x", k * 1.37, k * 1001, "text", (unsigned)n);
            sink = (uint64_t)strtod(line, NULL);
        }
}

void work_tree(long n)
{
    enum { NODES = 16384 };
    static struct { uint32_t key; uint16_t child[2]; } node[NODES];
    uint32_t random = 11;
    if (!node[0].key) {
        node[0].key = 1u << 31;
        for (uint16_t k = 1; k < NODES; k++) {
            node[k].key = next_random(&random) ^ random >> 16;
            uint16_t at = 0, *link;
            while (*(link = &node[at].child[node[k].key > node[at].key]))
                at = *link;
            *link = k;
        }
    }
    uint64_t depth = 0;
    for (long k = 0; k < 1024 * n; k++) {
        uint32_t key = next_random(&random) ^ random >> 16;
        uint16_t at = 0;
        while ((at = node[at].child[key > node[at].key]))
            depth++;
    }
    sink = depth;
}

void work_heap(long n)
{
    static void *block[256];
    uint32_t random = 5;
    for (long k = 0; k < 64 * n; k++) {
        unsigned which = next_random(&random) >> 24;
        free(block[which]);
        block[which] = malloc(16 + (random >> 8) % 2000);
        *(volatile char *)block[which] = 1;
    }
}

void work_copy(long n)
{
    enum { SIZE = 262144 };
    static char a[SIZE], b[SIZE];
    while (n--) {
        memcpy(a, b, SIZE);
        b[n & (SIZE - 1)] = 1;
        sink = (uint64_t)a[n & (SIZE - 1)];
    }
}

/* A path through 32 MiB that is one closed ring, since the generator's period is the table's length. */
void work_walk(long n)
{
    enum { SIZE = 8 << 20 };
    static uint32_t *next;
    if (!next) {
        next = malloc(SIZE * sizeof *next);
        for (uint32_t k = 0; k < SIZE; k++)
            next[k] = (k * 1664525 + 1013904223) % SIZE;
    }
    static uint32_t at;
    for (long k = 0; k < 4096 * n; k++)
        at = next[at];
    sink = at;
}

void work_div(long n)
{
    uint64_t a = 0x123456789abcdef, b = 3;
    for (long k = 0; k < 256 * n; k++) {
        b = a / (b | 1) + a % 1000003;
        a = a * 3 + b;
        __asm__("" : "+r"(a), "+r"(b));
    }
    sink = a;
}

/* ---- floating point ---- */

void work_nbody(long n)
{
    double x[4] = { 0, 1, -2, 3 }, v[4] = { 0, 0.3, -0.2, 0.1 };
    for (long k = 0; k < 64 * n; k++) {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                double d = x[j] - x[i], r = sqrt(d * d + 0.01);
                v[i] += d / (r * r * r) * 1e-5;
            }
        for (int i = 0; i < 4; i++)
            x[i] += v[i] * 1e-5;
    }
    sink = (uint64_t)(int64_t)x[2];
}

typedef float Vector __attribute__((vector_size(16)));

/* 512 products of 4 x 4 matrices, 128 operations each. */
void work_matrix(long n)
{
    Vector a[4], b[4];
    for (int k = 0; k < 4; k++) {
        a[k] = (Vector){ 0.5f, 0.25f, 0.125f * (float)k, 0.1f };
        b[k] = (Vector){ (float)k, 1.0f, 0.5f, 0.25f };
    }
    for (long k = 0; k < 512 * n; k++) {
        Vector c[4];
        for (int row = 0; row < 4; row++)
            c[row] = b[0] * a[row][0] + b[1] * a[row][1] + b[2] * a[row][2] + b[3] * a[row][3];
        for (int row = 0; row < 4; row++)
            b[row] = c[row] * 0.75f + 0.01f;
    }
    sink = (uint64_t)b[0][0];
}

void work_pixels(long n)
{
    static uint8_t a[16384], b[16384];
    while (n--) {
        for (int k = 0; k < 16384; k++)
            a[k] = (uint8_t)((a[k] * 3 + b[k] * 5 + 4) >> 3);
        b[n & 16383] += 7;
        __asm__("" ::: "memory");
    }
    sink = a[3];
}

void work_x87(long n)
{
    long double x = 0.3L, y = 1.7L;
    for (long k = 0; k < 256 * n; k++) {
        x = x * y + 0.125L;
        y = 1.0L + y / (x + 2.0L);
        x = x - (long double)(long)x;
    }
    sink = (uint64_t)(x * 1000);
}

void work_atomic(long n)
{
    static uint64_t counter;
    for (long k = 0; k < 512 * n; k++) {
        uint64_t seen = __atomic_add_fetch(&counter, 3, __ATOMIC_SEQ_CST);
        __atomic_compare_exchange_n(&counter, &seen, seen + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}
