/*
 * The registers that the gdb port shows (gdb manual G.5.15, E.2: g, G, p, P).
 *
 * One layout serves real, protected and long mode.  gdb decides by itself, by `set architecture` and the program's
 * file, whether x86 registers are rax to rip or eax to eip, and looks for those names in the feature of the core; a
 * layout with both is accepted by either, and the packet of all registers has the same size whatever gdb takes the CPU
 * for.  All types have a size of their own for the same reason: a pointer (code_ptr) would have the architecture's.
 *
 * gdb knows no segments.  What it takes for addresses are linear ones: RIP is shown with the base of CS added, RSP
 * with that of SS, outside 64-bit code; what is written there is taken apart again.  ip_offset and sp_offset are the
 * plain ones.  Where the bases are 0, as in nearly all protected-mode systems, there is no difference.
 *
 * CR0, CR4 and EFER use their low halves only, and gdb assigns numbers to flags of 32 bits without a cast.
 *
 * fs_base and gs_base, which gdb has a feature for, are with the other bases: gdb 13 fails an assertion when it sees
 * that feature with a 32-bit architecture.
 */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "cpu/system.h"
#include "debugger/gdb/gdb_internal.h"
#include "util/endian.h"

#define CORE "org.gnu.gdb.i386.core"
#define SSE "org.gnu.gdb.i386.sse"
#define AVX "org.gnu.gdb.i386.avx"
#define AVX512 "org.gnu.gdb.i386.avx512"
#define PKEYS "org.gnu.gdb.i386.pkeys"
#define SYSTEM "org.myna.system"

/* ---- the layout ---- */

/* One register, or those numbered first to last, whose names are formats.  reg: the CPU's name, where it differs. */
typedef struct LayoutRow {
    const char *feature, *name, *reg;
    GdbKind kind;
    uint16_t bits;
    const char *type, *group;
    uint8_t first, last;
    bool insisted;    /* by gdb, when the CPU lacks it */
    bool long_mode;   /* only for CPUs that have that */
} LayoutRow;

#define LONG(n) { CORE, n, NULL, GDB_WHOLE, 64, "uint64", NULL, 0, 0, false, true }
#define PART(n) { CORE, n, NULL, GDB_WHOLE, 32, "uint32", NULL, 0, 0, false, false }
#define CORE32(n, type) { CORE, n, NULL, GDB_WHOLE, 32, type, NULL, 0, 0, true, false }
#define FPU(n) { CORE, n, NULL, GDB_WHOLE, 32, "int", "float", 0, 0, true, false }
#define RANGE(feature, name, reg, kind, bits, type, group, first, last)                                                \
    { feature, name, reg, kind, bits, type, group, first, last, false, false }
#define STATE(n, reg, kind, bits, type) { SYSTEM, n, reg, kind, bits, type, "system", 0, 0, false, false }
#define MSR(n) STATE("msr_" n, NULL, GDB_WHOLE, 64, "uint64")

static const LayoutRow rows[] = {
    LONG("rax"), LONG("rbx"), LONG("rcx"), LONG("rdx"), LONG("rsi"), LONG("rdi"), LONG("rbp"),
    { CORE, "rsp", NULL, GDB_SP, 64, "uint64", NULL, 0, 0, false, true },
    RANGE(CORE, "r%u", NULL, GDB_WHOLE, 64, "uint64", NULL, 8, 15),
    { CORE, "rip", NULL, GDB_PC, 64, "uint64", NULL, 0, 0, false, true },
    CORE32("eflags", "i386_eflags"), CORE32("cs", "uint32"), CORE32("ss", "uint32"), CORE32("ds", "uint32"),
    CORE32("es", "uint32"), CORE32("fs", "uint32"), CORE32("gs", "uint32"),
    { CORE, "st%u", NULL, GDB_WHOLE, 80, "i387_ext", "float", 0, 7, true, false },
    FPU("fctrl"), FPU("fstat"), FPU("ftag"), FPU("fiseg"), FPU("fioff"), FPU("foseg"), FPU("fooff"), FPU("fop"),
    PART("eax"), PART("ecx"), PART("edx"), PART("ebx"),
    { CORE, "esp", "rsp", GDB_SP, 32, "uint32", NULL, 0, 0, false, false },
    PART("ebp"), PART("esi"), PART("edi"),
    { CORE, "eip", "rip", GDB_PC, 32, "uint32", NULL, 0, 0, false, false },

    RANGE(SSE, "xmm%u", NULL, GDB_WHOLE, 128, "vec128", "vector", 0, 15),
    { SSE, "mxcsr", NULL, GDB_WHOLE, 32, "i386_mxcsr", "vector", 0, 0, false, false },
    RANGE(AVX, "ymm%uh", "ymm%u", GDB_UPPER, 128, "uint128", NULL, 0, 15),
    RANGE(AVX512, "k%u", NULL, GDB_WHOLE, 64, "uint64", NULL, 0, 7),
    RANGE(AVX512, "zmm%uh", "zmm%u", GDB_UPPER, 256, "v2ui128", NULL, 0, 31),
    RANGE(AVX512, "xmm%u", NULL, GDB_WHOLE, 128, "vec128", NULL, 16, 31),
    RANGE(AVX512, "ymm%uh", "ymm%u", GDB_UPPER, 128, "uint128", NULL, 16, 31),
    { PKEYS, "pkru", NULL, GDB_WHOLE, 32, "uint32", NULL, 0, 0, false, false },

    STATE("mode", "rip", GDB_MODE, 32, "uint32"), STATE("cpl", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("ip_offset", "rip", GDB_WHOLE, 64, "uint64"), STATE("sp_offset", "rsp", GDB_OFFSET, 64, "uint64"),
    STATE("cr0", NULL, GDB_WHOLE, 32, "myna_cr0"), STATE("cr2", NULL, GDB_WHOLE, 64, "uint64"),
    STATE("cr3", NULL, GDB_WHOLE, 64, "uint64"), STATE("cr4", NULL, GDB_WHOLE, 32, "myna_cr4"),
    STATE("cr8", NULL, GDB_WHOLE, 64, "uint64"), STATE("efer", NULL, GDB_WHOLE, 32, "myna_efer"),
    STATE("xcr0", NULL, GDB_WHOLE, 64, "uint64"), STATE("ssp", NULL, GDB_WHOLE, 64, "uint64"),
    RANGE(SYSTEM, "dr%u", NULL, GDB_WHOLE, 64, "uint64", "system", 0, 3),
    RANGE(SYSTEM, "dr%u", NULL, GDB_WHOLE, 64, "uint64", "system", 6, 7),
    STATE("fs_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("gs_base", NULL, GDB_WHOLE, 64, "uint64"),
    STATE("k_gs_base", "msr_kernel_gs_base", GDB_WHOLE, 64, "uint64"),
    STATE("cs_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("ss_base", NULL, GDB_WHOLE, 64, "uint64"),
    STATE("ds_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("es_base", NULL, GDB_WHOLE, 64, "uint64"),
    STATE("cs_limit", NULL, GDB_WHOLE, 32, "uint32"), STATE("ss_limit", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("ds_limit", NULL, GDB_WHOLE, 32, "uint32"), STATE("es_limit", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("fs_limit", NULL, GDB_WHOLE, 32, "uint32"), STATE("gs_limit", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("cs_attr", NULL, GDB_WHOLE, 32, "uint32"), STATE("ss_attr", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("ldtr", NULL, GDB_WHOLE, 32, "uint32"), STATE("ldtr_base", NULL, GDB_WHOLE, 64, "uint64"),
    STATE("ldtr_limit", NULL, GDB_WHOLE, 32, "uint32"), STATE("tr", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("tr_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("tr_limit", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("gdtr_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("gdtr_limit", NULL, GDB_WHOLE, 32, "uint32"),
    STATE("idtr_base", NULL, GDB_WHOLE, 64, "uint64"), STATE("idtr_limit", NULL, GDB_WHOLE, 32, "uint32"),
    MSR("tsc"), MSR("apic_base"), MSR("tsc_deadline"), MSR("tsc_aux"), MSR("misc_enable"), MSR("debugctl"),
    MSR("pat"), MSR("spec_ctrl"), MSR("sysenter_cs"), MSR("sysenter_esp"), MSR("sysenter_eip"), MSR("star"),
    MSR("lstar"), MSR("cstar"), MSR("sfmask"), MSR("xss"), MSR("u_cet"), MSR("s_cet"), MSR("pl0_ssp"), MSR("pl3_ssp"),
    MSR("pkrs"),
};

/* A format of a row, with a number in place of its %u. */
static const char *numbered(const char *format, unsigned n)
{
    const char *at = strstr(format, "%u");
    if (!at)
        return format;
    g_autofree char *name = g_strdup_printf("%.*s%u%s", (int)(at - format), format, n, at + 2);
    return g_intern_string(name);
}

static void layout_add(GArray *layout, Cpu *cpu, const LayoutRow *row, unsigned n)
{
    GdbRegister r = { .feature = row->feature, .name = numbered(row->name, n), .type = row->type, .group = row->group,
                      .kind = row->kind, .bits = row->bits };
    if (row->long_mode && !cpu_has(cpu, FEAT_LM))
        return;
    if (!cpu_register_find(cpu, numbered(row->reg ? row->reg : row->name, n), &r.reg)) {
        if (!row->insisted)
            return;
        r.kind = GDB_ZERO;
    }
    g_array_append_val(layout, r);
}

GArray *gdb_layout_new(Cpu *cpu)
{
    GArray *layout = g_array_new(FALSE, FALSE, sizeof(GdbRegister));
    for (unsigned k = 0; cpu && k < G_N_ELEMENTS(rows); k++)
        for (unsigned n = rows[k].first; n <= rows[k].last; n++)
            layout_add(layout, cpu, &rows[k], n);
    return layout;
}

/* ---- values ---- */

static uint64_t linear_sp(const Cpu *cpu)
{
    uint64_t offset = cpu->gpr[R_SP] & cpu->sp_mask;
    return cpu->code_size == SZ64 ? offset : (uint32_t)(cpu->seg[SEG_SS].base + offset);
}

static uint64_t special_value(Cpu *cpu, GdbKind kind)
{
    switch (kind) {
    case GDB_PC: return cpu_linear_rip(cpu);
    case GDB_SP: return linear_sp(cpu);
    case GDB_OFFSET: return cpu->gpr[R_SP] & cpu->sp_mask;
    case GDB_MODE: return 16u << cpu->code_size;
    default: return 0;
    }
}

/* bits / 8 bytes, at most CPU_REGISTER_MAX_BYTES. */
void gdb_register_read(Cpu *cpu, const GdbRegister *r, uint8_t *bytes)
{
    uint8_t whole[CPU_REGISTER_MAX_BYTES] = { 0 };
    if (r->kind == GDB_WHOLE || r->kind == GDB_UPPER)
        cpu_register_read(cpu, &r->reg, whole);
    else
        st64le(whole, special_value(cpu, r->kind));
    memcpy(bytes, whole + (r->kind == GDB_UPPER ? r->bits / 8 : 0), r->bits / 8);
}

static gboolean set_by_name(Cpu *cpu, const char *name, uint64_t v, GError **err)
{
    CpuRegister r;
    return cpu_register_find(NULL, name, &r) && cpu_register_set(cpu, &r, v, err);
}

/* Where the code segment does not reach in real mode, CS moves: to 64 KiB units, so that 7c00h is 0000:7C00. */
gboolean gdb_set_pc(Cpu *cpu, uint64_t la, GError **err)
{
    const Segment *cs = &cpu->seg[SEG_CS];
    if (cpu->code_size == SZ64)
        return set_by_name(cpu, "rip", la, err);
    uint32_t offset = la - cs->base;
    if (!cpu->protected_mode && offset > 0xffff) {
        if (la > 0x10ffef)
            return error_set(err, "rip cannot be 0x%" PRIx64 ": no segment of real mode reaches so far", la);
        uint64_t base = MIN(la & ~UINT64_C(0xffff), 0xffff0);
        if (!set_by_name(cpu, "cs", base >> 4, err))
            return FALSE;
        offset = la - base;
    }
    return set_by_name(cpu, "rip", offset, err);
}

/* As wide as the stack is; the rest of RSP stays. */
static gboolean set_stack_offset(Cpu *cpu, uint64_t offset)
{
    cpu->gpr[R_SP] = (cpu->gpr[R_SP] & ~cpu->sp_mask) | (offset & cpu->sp_mask);
    return TRUE;
}

static gboolean set_linear_sp(Cpu *cpu, uint64_t la)
{
    return set_stack_offset(cpu, cpu->code_size == SZ64 ? la : la - cpu->seg[SEG_SS].base);
}

/* What is wider than on the wire keeps the rest. */
static gboolean set_plain(Cpu *cpu, const GdbRegister *r, const uint8_t *bytes, GError **err)
{
    uint8_t whole[CPU_REGISTER_MAX_BYTES] = { 0 };
    unsigned size = r->bits / 8, at = r->kind == GDB_UPPER ? size : 0;
    cpu_register_read(cpu, &r->reg, whole);
    memcpy(whole + at, bytes, MIN(size, r->reg.bits / 8u - at));
    return cpu_register_write(cpu, &r->reg, whole, err);
}

gboolean gdb_register_write(Cpu *cpu, const GdbRegister *r, const uint8_t *bytes, GError **err)
{
    switch (r->kind) {
    case GDB_PC: return gdb_set_pc(cpu, ldle(bytes, r->bits / 8), err);
    case GDB_SP: return set_linear_sp(cpu, ldle(bytes, r->bits / 8));
    case GDB_OFFSET: return set_stack_offset(cpu, ld64le(bytes));
    case GDB_MODE: return error_set(err, "mode cannot be written: it follows from other registers");
    case GDB_ZERO: return TRUE;
    default: return set_plain(cpu, r, bytes, err);
    }
}

/* ---- packets ---- */

static const GdbRegister *register_at(const GdbPort *g, uint64_t n)
{
    return n < g->layout->len ? &g_array_index(g->layout, GdbRegister, n) : NULL;
}

static void put_register(GdbPort *g, const GdbRegister *r)
{
    uint8_t bytes[CPU_REGISTER_MAX_BYTES];
    gdb_register_read(g->cpu, r, bytes);
    gdb_put_bytes(g->reply, bytes, r->bits / 8);
}

/* Nothing, when it has this value: some cannot be written, or only one after the other. */
static gboolean change_register(Cpu *cpu, const GdbRegister *r, const uint8_t *bytes, GError **err)
{
    uint8_t now[CPU_REGISTER_MAX_BYTES];
    gdb_register_read(cpu, r, now);
    return !memcmp(now, bytes, r->bits / 8) || gdb_register_write(cpu, r, bytes, err);
}

static void run_g(GdbPort *g, const char *rest, size_t size)
{
    (void)rest, (void)size;
    for (guint k = 0; k < g->layout->len; k++)
        put_register(g, register_at(g, k));
}

/* As far as the packet goes; all that can be written are, whatever becomes of the others. */
static void run_G(GdbPort *g, const char *rest, size_t size)
{
    g_autoptr(GError) first = NULL;
    const char *end = rest + size;
    for (guint k = 0; k < g->layout->len && rest < end; k++) {
        const GdbRegister *r = register_at(g, k);
        uint8_t bytes[CPU_REGISTER_MAX_BYTES];
        if (!gdb_parse_bytes(&rest, bytes, r->bits / 8)) {
            gdb_reply_error(g, GDB_EINVAL);
            return;
        }
        change_register(g->cpu, r, bytes, first ? NULL : &first);
    }
    if (first)
        gdb_reply_failure(g, first->message);
    else
        gdb_reply_ok(g);
}

static void run_p(GdbPort *g, const char *rest, size_t size)
{
    uint64_t n;
    (void)size;
    const GdbRegister *r = gdb_parse_hex_then(&rest, &n, 0) ? register_at(g, n) : NULL;
    if (r)
        put_register(g, r);
    else
        gdb_reply_error(g, GDB_EINVAL);
}

static void run_P(GdbPort *g, const char *rest, size_t size)
{
    g_autoptr(GError) err = NULL;
    uint8_t bytes[CPU_REGISTER_MAX_BYTES];
    uint64_t n;
    (void)size;
    const GdbRegister *r = gdb_parse_hex_then(&rest, &n, '=') ? register_at(g, n) : NULL;
    if (!r || strlen(rest) != r->bits / 4 || !gdb_parse_bytes(&rest, bytes, r->bits / 8))
        gdb_reply_error(g, GDB_EINVAL);
    else if (change_register(g->cpu, r, bytes, &err))
        gdb_reply_ok(g);
    else
        gdb_reply_failure(g, err->message);
}

const GdbCommand gdb_register_commands[] = {
    { "g", true, run_g },  { "G", false, run_G }, { "p", false, run_p },
    { "P", false, run_P }, { NULL, false, NULL },
};
