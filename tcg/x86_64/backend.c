/* Code memory, links and kills of the x86-64 back end (backend.h, emit.h). */
#include "tcg/backend.h"
#include "tcg/x86_64/unit.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* Whether the host has a feature that CPUID tells; those without a bit have no meaning here. */
static bool host_has(unsigned leaf, unsigned subleaf, unsigned reg, unsigned bit)
{
    unsigned r[4];
    return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && (r[reg] >> bit & 1);
}

static bool has(const X86Backend *be, unsigned feature) { return be->features[feature / 64] >> feature % 64 & 1; }

/* Vector state that the host's operating system saves (SDM vol. 1 14.3). */
static uint64_t enabled_state(void)
{
    unsigned low, high;
    if (!host_has(1, 0, CPUID_ECX, 27))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void find_host_features(X86Backend *be)
{
#define HOST_FEATURE(name, option, leaf, subleaf, reg, bit)                                                            \
    be->features[FEAT_##name / 64] |= (uint64_t)host_has(leaf, subleaf, reg, bit) << FEAT_##name % 64;
    FEATURES(HOST_FEATURE)
#undef HOST_FEATURE
    be->has_rorx = has(be, FEAT_BMI2);
    uint64_t enabled = enabled_state();
    be->has_avx = (enabled & XCR0_AVX_STATE) == XCR0_AVX_STATE && has(be, FEAT_AVX);
    be->has_avx512 = (enabled & XCR0_AVX512_STATE) == XCR0_AVX512_STATE && has(be, FEAT_AVX512F) &&
                     has(be, FEAT_AVX512BW) && has(be, FEAT_AVX512DQ) && has(be, FEAT_AVX512VL);
}

static void x86_destroy(void *opaque)
{
    X86Backend *be = opaque;
    execmem_free(be->mem);
    g_free(be);
}

static void *x86_create(size_t code_bytes, const EngineCalls *calls, unsigned options, GError **err)
{
    ExecMem *mem = execmem_new(code_bytes, err);
    if (!mem)
        return NULL;
    X86Backend *be = g_new0(X86Backend, 1);
    *be = (X86Backend){ .mem = mem, .calls = *calls, .counted = options & BACKEND_COUNTED };
    find_host_features(be);
    be->has_avx512 &= !(options & BACKEND_NARROW);
    Asm a;
    asm_init(&a, mem->write, MIN(mem->size, 65536), (uintptr_t)mem->exec);
    execmem_begin_write(mem);
    if (!thunks_write(be, &a))
        g_error("the recompiler's thunks were not assembled");
    execmem_flush(mem, mem->write, asm_size(&a));
    execmem_end_write(mem);
    be->used = be->fixed = (asm_size(&a) + 63) & ~(size_t)63;
    return be;
}

static UnitCode *x86_compile(void *opaque, IrUnit *u)
{
    X86Backend *be = opaque;
    uint8_t *at = be->mem->write + be->used;
    if (be->mem->size - be->used < UNIT_ROOM)
        return NULL;
    execmem_begin_write(be->mem);
    UnitCode *code = unit_emit(be, u, at, UNIT_ROOM);
    if (code) {
        execmem_flush(be->mem, at, code->size);
        be->used += (code->size + 15) & ~15u;
    }
    execmem_end_write(be->mem);
    return code;
}

static void x86_enter(void *opaque, Cpu *cpu, const uint8_t *code)
{
    X86Backend *be = opaque;
    void (*enter)(Cpu *, const uint8_t *) = (void (*)(Cpu *, const uint8_t *))(uintptr_t)be->thunks.enter;
    enter(cpu, code);
}

static void patch(X86Backend *be, uint8_t *field, const uint8_t *target)
{
    execmem_begin_write(be->mem);
    if (!asm_patch(field, (uintptr_t)execmem_to_exec(be->mem, field), (uintptr_t)target))
        g_error("a link is out of reach");
    execmem_end_write(be->mem);
}

static void x86_link(void *opaque, UnitExit *e, const UnitCode *to)
{
    patch(opaque, e->field, to ? to->entry : e->stub);
}

/* The first instruction becomes a jump; no other thread executes this code. */
static void x86_kill(void *opaque, UnitCode *u)
{
    X86Backend *be = opaque;
    Asm a;
    execmem_begin_write(be->mem);
    asm_init(&a, execmem_to_write(be->mem, u->entry), ASM_ROOM, (uintptr_t)u->entry);
    asm_jmp_abs(&a, (uintptr_t)u->entry_stub, A_NONE);
    execmem_end_write(be->mem);
}

static void x86_reset(void *opaque)
{
    X86Backend *be = opaque;
    be->used = be->fixed;
}

static const uint8_t *x86_leave(void *opaque) { return (const uint8_t *)(uintptr_t)((X86Backend *)opaque)->thunks.leave; }
static const uint8_t *x86_unknown(void *opaque)
{
    return (const uint8_t *)(uintptr_t)((X86Backend *)opaque)->thunks.unknown;
}
static size_t x86_used(void *opaque) { return ((X86Backend *)opaque)->used; }

static const Backend x86_backend = {
    x86_create, x86_destroy, x86_compile, x86_enter, x86_link, x86_kill, x86_reset, x86_leave, x86_unknown, x86_used,
};

const Backend *backend_find(void) { return &x86_backend; }

#else

const Backend *backend_find(void) { return NULL; }

#endif
