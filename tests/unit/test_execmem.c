/*
 * Executable memory of each kind that this host has: both views, protection as the kernel tells it, machine code of the
 * host executed from the first and the last bytes, code written while other code of the same memory runs.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/bits.h"
#include "util/execmem.h"

/*
 * Machine code that returns a number from 0 to 127, as `int f(void)`; ppc64's first ABI is left out, since its function
 * pointers point to descriptors.
 */
#if defined __x86_64__ && !defined _WIN32
static const uint8_t code_template[] = { 0xb8, 0, 0, 0, 0, 0xc3 };                            /* mov eax, n; ret */
static void set_number(uint8_t *code, uint8_t n) { code[1] = n; }
#elif defined __aarch64__
static const uint8_t code_template[] = { 0, 0, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6 };          /* mov w0, #n; ret */
static void set_number(uint8_t *code, uint8_t n) { code[0] = n << 5, code[1] = n >> 3; }
#elif defined __s390x__
static const uint8_t code_template[] = { 0xa7, 0x29, 0, 0, 0x07, 0xfe };                      /* lghi r2, n; br r14 */
static void set_number(uint8_t *code, uint8_t n) { code[3] = n; }
#elif defined __powerpc64__ && defined _CALL_ELF && _CALL_ELF == 2 && defined __LITTLE_ENDIAN__
static const uint8_t code_template[] = { 0, 0, 0x60, 0x38, 0x20, 0, 0x80, 0x4e };             /* li r3, n; blr */
static void set_number(uint8_t *code, uint8_t n) { code[0] = n; }
#else
#define CANNOT_EXECUTE 1
#endif

static ExecMem *memory_of(gconstpointer kind, size_t size)
{
    GError *err = NULL;
    ExecMem *m = execmem_new_kind(GPOINTER_TO_UINT(kind), size, &err);

    if (!m) {
        g_assert_nonnull(err);
        g_test_skip(err->message);
        g_error_free(err);
    }
    return m;
}

static void test_views(gconstpointer kind)
{
    ExecMem *m = memory_of(kind, 128 * MiB + 1);
    const uint8_t bytes[4] = { 1, 2, 3, 4 };

    if (!m)
        return;
    g_assert_cmpuint(m->size, >, 128 * MiB);
    g_assert_cmpuint(m->size % sysconf(_SC_PAGESIZE), ==, 0);
    g_assert_true((m->write == m->exec) == (m->kind != EXECMEM_DUAL));
    for (size_t at = 0; at < m->size; at += m->size - sizeof bytes) {
        uint8_t *w = m->write + at;
        const uint8_t *x = execmem_to_exec(m, w);
        execmem_begin_write(m);
        memcpy(w, bytes, sizeof bytes);
        execmem_flush(m, w, sizeof bytes);
        execmem_end_write(m);
        g_assert_true(x == m->exec + at && execmem_to_write(m, x) == w);
        g_assert_cmpmem(x, sizeof bytes, bytes, sizeof bytes);
    }
    execmem_free(m);
}

static void test_refusal(void)
{
    GError *err = NULL;

    g_assert_null(execmem_new(0, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_assert_null(execmem_new(SIZE_MAX, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    g_assert_null(execmem_new(SIZE_MAX / 4, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    execmem_free(NULL);
}

static void test_best(void)
{
    GError *err = NULL;
    ExecMem *m = execmem_new(MiB, &err);

    g_assert_no_error(err);
    g_assert_nonnull(m);
#if defined __linux__ && defined __x86_64__
    g_assert_cmpint(m->kind, ==, EXECMEM_DUAL);
    /* Calls from generated code into the program are short. */
    g_assert_cmpint(ABS((intptr_t)m->exec - (intptr_t)&test_best), <, INT32_MAX / 2);
#endif
    execmem_free(m);
}

#ifdef __linux__

/* The protection of the mapping that holds p: "r-xs" and the like. */
static void protection_of(const void *p, char protection[5])
{
    g_autofree char *maps = NULL;
    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    for (char *line = maps; line; line = strchr(line, '\n')) {
        uint64_t from, to;
        line += *line == '\n';
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, protection) == 3 &&
            from <= (uintptr_t)p && (uintptr_t)p < to)
            return;
    }
    g_assert_not_reached();
}

static void check_protection(const void *p, bool writable, bool executable)
{
    char protection[5];
    protection_of(p, protection);
    g_assert_cmpint(protection[1] == 'w', ==, writable);
    g_assert_cmpint(protection[2] == 'x', ==, executable);
}

static void test_protection(gconstpointer kind)
{
    ExecMem *m = memory_of(kind, MiB);

    if (!m)
        return;
    bool dual = m->kind == EXECMEM_DUAL;
    check_protection(m->write, dual, !dual);
    check_protection(m->exec, false, true);
    execmem_begin_write(m);
    m->write[0] = 1;
    check_protection(m->write, true, false);
    check_protection(m->exec, !dual, dual);
    execmem_end_write(m);
    check_protection(m->exec, false, true);
    execmem_free(m);
}

#endif

#ifndef CANNOT_EXECUTE

/* Puts a function that returns n at an offset. */
static void put_function(ExecMem *m, size_t at, uint8_t n)
{
    execmem_begin_write(m);
    memcpy(m->write + at, code_template, sizeof code_template);
    set_number(m->write + at, n);
    execmem_flush(m, m->write + at, sizeof code_template);
    execmem_end_write(m);
}

static int call(const ExecMem *m, size_t at)
{
    int (*f)(void) = (int (*)(void))(uintptr_t)(m->exec + at);
    return f();
}

static void test_execute(gconstpointer kind)
{
    ExecMem *m = memory_of(kind, MiB);

    if (!m)
        return;
    size_t last = m->size - align_up(sizeof code_template, 8);
    put_function(m, 0, 42);
    put_function(m, last, 43);
    g_assert_cmpint(call(m, 0), ==, 42);
    g_assert_cmpint(call(m, last), ==, 43);
#ifdef __x86_64__
    /* Not elsewhere: qemu-user before 8.1 does not see that code changed through another view. */
    for (unsigned n = 0; n < 128; n++) {
        put_function(m, 0, n);
        g_assert_cmpint(call(m, 0), ==, n);
    }
#endif
    execmem_free(m);
}

typedef struct Shared {
    ExecMem *m;
    size_t written; /* functions published; atomic */
} Shared;

#define FUNCTIONS 20000

static gpointer writer(gpointer opaque)
{
    Shared *s = opaque;

    for (size_t i = 0; i < FUNCTIONS; i++) {
        put_function(s->m, i * 16, i & 127);
        __atomic_store_n(&s->written, i + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* New code while other code executes: needs two views. */
static void test_threads(void)
{
    Shared s = { .m = memory_of(GUINT_TO_POINTER(EXECMEM_DUAL), FUNCTIONS * 16) };

    if (!s.m)
        return;
    GThread *thread = g_thread_new("writer", writer, &s);
    for (size_t next = 0, end; next < FUNCTIONS; next = end) {
        end = __atomic_load_n(&s.written, __ATOMIC_ACQUIRE);
        for (size_t i = next; i < end; i++)
            g_assert_cmpint(call(s.m, i * 16), ==, i & 127);
    }
    g_thread_join(thread);
    execmem_free(s.m);
}

#endif

int main(int argc, char **argv)
{
    static const char *names[EXECMEM_KINDS] = { "dual", "jit", "toggle" };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/execmem/best", test_best);
    g_test_add_func("/execmem/refusal", test_refusal);
    for (unsigned kind = 0; kind < EXECMEM_KINDS; kind++) {
        g_autofree char *views = g_strdup_printf("/execmem/%s/views", names[kind]);
        g_test_add_data_func(views, GUINT_TO_POINTER(kind), test_views);
#ifdef __linux__
        g_autofree char *protection = g_strdup_printf("/execmem/%s/protection", names[kind]);
        g_test_add_data_func(protection, GUINT_TO_POINTER(kind), test_protection);
#endif
#ifndef CANNOT_EXECUTE
        g_autofree char *execute = g_strdup_printf("/execmem/%s/execute", names[kind]);
        g_test_add_data_func(execute, GUINT_TO_POINTER(kind), test_execute);
#endif
    }
#ifndef CANNOT_EXECUTE
    g_test_add_func("/execmem/threads", test_threads);
#endif
    return g_test_run();
}
