/* Executable memory: the host's ways to get it (execmem.h). */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __APPLE__
#include <pthread.h>
#endif

#include "util/bits.h"
#include "util/execmem.h"

/* The places tried on either side of the program: a GiB, so that 32-bit offsets of x86-64 reach from end to end. */
#define NEAR_STEP (16 * MiB)
#define NEAR_TRIES 64
#define NEAR_ALIGN (2 * MiB) /* where the host has large pages, it can use them */

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* mmap() at the first free place below or above this program's code, else anywhere; NULL with errno set. */
static uint8_t *map_near_program(size_t size, int protection, int flags, int fd)
{
    uint64_t here = (uintptr_t)&map_near_program;
    uint64_t reach = NEAR_TRIES * NEAR_STEP + size;

    for (unsigned i = 1; i <= 2 * NEAR_TRIES; i++) {
        uint64_t gap = (i + 1) / 2 * NEAR_STEP;
        uint64_t hint = i & 1 ? here - gap - size : here + gap;
        if (gap + size > here)
            hint = here + gap;
        void *p = mmap((void *)(uintptr_t)align_down(hint, NEAR_ALIGN), size, protection, flags, fd, 0);
        if (p == MAP_FAILED)
            break;
        if (distance((uintptr_t)p, here) <= reach)
            return p;
        munmap(p, size);
    }
    void *p = mmap(NULL, size, protection, flags, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* ---- two views of a memory file ---- */

#ifdef MFD_CLOEXEC

/* Where executable memory files must be asked for as such; a kernel before 6.3 does not know the flag. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

static int memory_file(size_t size)
{
    int fd = memfd_create("myna-code", MFD_CLOEXEC | MFD_EXEC);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("myna-code", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, size)) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static bool map_both(ExecMem *m, int fd)
{
    void *w = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (w == MAP_FAILED)
        return false;
    m->exec = map_near_program(m->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
    if (!m->exec) {
        int reason = errno;
        munmap(w, m->size);
        errno = reason;
        return false;
    }
    m->write = w;
    return true;
}

static bool map_dual(ExecMem *m)
{
    int fd = memory_file(m->size);

    if (fd < 0)
        return false;
    bool ok = map_both(m, fd);
    int reason = errno;
    close(fd);
    errno = reason;
    return ok;
}

#else

static bool map_dual(ExecMem *m)
{
    (void)m;
    errno = ENOSYS;
    return false;
}

#endif

/* ---- one view ---- */

#if defined __APPLE__ && defined __aarch64__

static bool map_jit(ExecMem *m)
{
    m->write = map_near_program(m->size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANON | MAP_JIT, -1);
    m->exec = m->write;
    return m->write != NULL;
}

static void jit_writable(bool writable)
{
    pthread_jit_write_protect_np(!writable);
}

#else

static bool map_jit(ExecMem *m)
{
    (void)m;
    errno = ENOSYS;
    return false;
}

static void jit_writable(bool writable)
{
    (void)writable;
}

#endif

/* Asks for execution at once, so that a host that refuses it does so here and not later. */
static bool map_toggle(ExecMem *m)
{
    m->write = map_near_program(m->size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    m->exec = m->write;
    return m->write != NULL;
}

/* A failure here would be the host's change of mind: going on means a fault at the next write or jump. */
static void protect(const ExecMem *m, int protection)
{
    if (mprotect(m->write, m->size, protection))
        g_error("cannot change the protection of generated code: %s", g_strerror(errno));
}

/* ---- interface ---- */

ExecMem *execmem_new_kind(ExecMemKind kind, size_t size, GError **err)
{
    static bool (*const map[EXECMEM_KINDS])(ExecMem *) = {
        [EXECMEM_DUAL] = map_dual,
        [EXECMEM_JIT] = map_jit,
        [EXECMEM_TOGGLE] = map_toggle,
    };
    size_t page = sysconf(_SC_PAGESIZE);
    ExecMem m = { .kind = kind, .size = align_up(size, page) };

    errno = EINVAL;
    if (m.size < size || m.size == 0 || !map[kind](&m)) {
        g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot get %zu KiB of executable memory: %s",
                    size / (size_t)KiB, g_strerror(errno));
        return NULL;
    }
    return g_memdup2(&m, sizeof m);
}

ExecMem *execmem_new(size_t size, GError **err)
{
    ExecMem *m = NULL;

    for (ExecMemKind kind = 0; !m && kind < EXECMEM_KINDS; kind++) {
        g_clear_error(err);
        m = execmem_new_kind(kind, size, err);
    }
    return m;
}

void execmem_free(ExecMem *m)
{
    if (!m)
        return;
    if (m->exec != m->write)
        munmap((void *)m->exec, m->size);
    munmap(m->write, m->size);
    g_free(m);
}

void execmem_begin_write(const ExecMem *m)
{
    if (m->kind == EXECMEM_JIT)
        jit_writable(true);
    else if (m->kind == EXECMEM_TOGGLE)
        protect(m, PROT_READ | PROT_WRITE);
}

void execmem_end_write(const ExecMem *m)
{
    if (m->kind == EXECMEM_JIT)
        jit_writable(false);
    else if (m->kind == EXECMEM_TOGGLE)
        protect(m, PROT_READ | PROT_EXEC);
}

/*
 * By the addresses of the executable view alone: data caches of the hosts that need this act as if indexed by physical
 * address (Arm ARM D7.5, Power ISA book II 4.3), so that cleaning a line by either address cleans it for both.
 */
void execmem_flush(const ExecMem *m, const uint8_t *in_write, size_t size)
{
    char *begin = (char *)execmem_to_exec(m, in_write);

    __builtin___clear_cache(begin, begin + size);
}
