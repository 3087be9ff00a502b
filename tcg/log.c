/* What the recompiler shows of its work (log.h). */
#include "tcg/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"

/* ---- host code ---- */

static void print_bytes(const UnitCode *code, unsigned from, GString *out)
{
    for (unsigned k = from; k < code->size; k++) {
        if (k % 16 == 0 || k == from)
            g_string_append_printf(out, "%s0x%08" PRIxPTR ": ", k == from ? "" : "\n", (uintptr_t)code->entry + k);
        g_string_append_printf(out, " %02x", code->entry[k]);
    }
    g_string_append_c(out, '\n');
}

#ifdef CONFIG_CAPSTONE

#include <capstone/capstone.h>

#if defined(__x86_64__)
#define HOST_ARCH CS_ARCH_X86, CS_MODE_64
#elif defined(__aarch64__)
#define HOST_ARCH CS_ARCH_ARM64, CS_MODE_ARM
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ARCH CS_ARCH_PPC, CS_MODE_64 | CS_MODE_LITTLE_ENDIAN
#elif defined(__s390x__)
#define HOST_ARCH CS_ARCH_SYSZ, CS_MODE_BIG_ENDIAN
#endif

#endif

#ifdef HOST_ARCH

/* Calls fn for each instruction of the first `size` bytes; those from the returned offset on are none. */
static unsigned walk_code(const UnitCode *code, size_t size, void (*fn)(const cs_insn *, unsigned offset, void *),
                          void *opaque)
{
    csh handle;
    const uint8_t *at = code->entry;
    size_t left = size;
    uint64_t address = (uintptr_t)at;
    if (cs_open(HOST_ARCH, &handle) != CS_ERR_OK)
        return 0;
    cs_insn *insn = cs_malloc(handle);
    while (left && cs_disasm_iter(handle, &at, &left, &address, insn))
        fn(insn, size - left - insn->size, opaque);
    cs_free(insn, 1);
    cs_close(&handle);
    return size - left;
}

/* A line before the host instruction at `offset`, when a guest instruction's code begins there. */
static void print_marks(const IrUnit *u, unsigned offset, GString *out)
{
    for (unsigned k = 0; u && k < u->insns; k++) {
        if (u->host_offset[k] == offset)
            g_string_append_printf(out, "  -- guest +%#x %s\n", u->insn_offset[k], insn_rows[u->block->insn[k].row].id);
        if (u->slow_offset[k] == offset && offset)
            g_string_append_printf(out, "  -- slow path of guest +%#x\n", u->insn_offset[k]);
    }
}

typedef struct Listing {
    const IrUnit *u;
    GString *out;
} Listing;

static void list_insn(const cs_insn *insn, unsigned offset, void *opaque)
{
    Listing *l = opaque;
    print_marks(l->u, offset, l->out);
    g_string_append_printf(l->out, "0x%08" PRIx64 ":  %s %s\n", insn->address, insn->mnemonic, insn->op_str);
}

void host_code_print(const IrUnit *u, const UnitCode *code, GString *out)
{
    Listing l = { u, out };
    unsigned done = walk_code(code, code->size, list_insn, &l);
    if (done < code->size)
        print_bytes(code, done, out);
}

static void count_insn(const cs_insn *insn, unsigned offset, void *opaque)
{
    (void)insn, (void)offset;
    ++*(unsigned *)opaque;
}

unsigned host_code_count(const UnitCode *code, size_t size)
{
    unsigned n = 0;
    return walk_code(code, size, count_insn, &n) == size ? n : 0;
}

#else

void host_code_print(const IrUnit *u, const UnitCode *code, GString *out)
{
    (void)u;
    print_bytes(code, 0, out);
}

unsigned host_code_count(const UnitCode *code, size_t size)
{
    (void)code, (void)size;
    return 0;
}

#endif

/* ---- the log ---- */

void tcg_log_operations(enum LogMask category, const char *title, const IrUnit *u, uint64_t la)
{
    if (!log_enabled(category) || !log_in_range(la))
        return;
    g_autoptr(GString) out = g_string_new(NULL);
    ir_print(u, out);
    log_printf(category, "%s:\n ---- %016" PRIx64 "\n%s\n", title, la, out->str);
}

void tcg_log_code(const IrUnit *u, const UnitCode *code, uint64_t la)
{
    if (!log_enabled(LOG_OUT_ASM) || !log_in_range(la))
        return;
    g_autoptr(GString) out = g_string_new(NULL);
    host_code_print(u, code, out);
    log_printf(LOG_OUT_ASM, "OUT: [size=%u] of %016" PRIx64 "\n%s\n", code->size, la, out->str);
}

/* ---- perf ---- */

/* The file is the process's, as perf wants it, and shared by all CPUs. */
void perf_map_add(const void *code, size_t size, const char *name)
{
    static GMutex lock;
    static FILE *file;
    g_mutex_lock(&lock);
    if (!file) {
        g_autofree char *path = g_strdup_printf("/tmp/perf-%d.map", (int)getpid());
        file = fopen(path, "w");
    }
    if (file) {
        fprintf(file, "%" PRIxPTR " %zx %s\n", (uintptr_t)code, size, name);
        fflush(file);
    }
    g_mutex_unlock(&lock);
}
