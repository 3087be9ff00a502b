/*
 * cpu/xsave.c and fxsave.c: where components lie, what each form writes and loads, and byte by byte what the host's
 * processor does with the same state.
 */
#include "cpu/xsave.h"

#include <string.h>

#include "cpu/code.h"
#include "cpu/mmu.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { TABLES = 0x1000, CODE = 0x4000, AREA_A = 0x10000, AREA_B = 0x14000, AREA_C = 0x18000 };
enum { IMAGE = 2752, XINUSE_ALL = -1 };
#define COMPACT BIT(63)

/* Instructions with (RDI) or (EDI) as their area; those of 64-bit mode have REX.W. */
typedef enum Form { XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, FXSAVE, FXRSTOR, FORMS } Form;
static const uint8_t form_code[FORMS][3] = {
    { 0x0f, 0xae, 0x27 }, { 0x0f, 0xae, 0x37 }, { 0x0f, 0xc7, 0x27 }, { 0x0f, 0xc7, 0x2f },
    { 0x0f, 0xae, 0x2f }, { 0x0f, 0xc7, 0x1f }, { 0x0f, 0xae, 0x07 }, { 0x0f, 0xae, 0x0f },
};

/* Long mode at level 0, the first GiB mapped as it is; every component is enabled. */
static void enter_long_mode(Subject *s, unsigned size)
{
    Cpu *cpu = s->cpu;
    uint16_t attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_G;
    st64le(s->ram + TABLES, (TABLES + 0x1000) | 7);
    st64le(s->ram + TABLES + 0x1000, 0x87);
    for (unsigned k = SEG_ES; k <= SEG_GS; k++)
        cpu->seg[k] = (Segment){ .limit = 0xffffffff, .attr = attr | SA_DB };
    cpu->seg[SEG_CS].attr = attr | SA_CODE | (size == SZ64 ? SA_L : SA_DB);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->cr3 = TABLES;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->xcr0 = xcr0_supported(cpu);
    cpu->xss = xss_supported(cpu);
    tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

static Subject subject_with_state(const char *spec, uint64_t xcr0)
{
    static const struct { uint64_t state; uint16_t feature; } states[] = {
        { XCR0_AVX, FEAT_AVX }, { XCR0_ZMM_HIGH, FEAT_AVX512F }, { XCR0_PKRU, FEAT_PKU },
    };
    CpuModel *model = cpu_model_parse(spec, NULL);
    for (unsigned k = 0; k < ARRAY_SIZE(states); k++) {
        uint64_t *word = &model->features[states[k].feature / 64], bit = BIT(states[k].feature % 64);
        *word = xcr0 & states[k].state ? *word | bit : *word & ~bit;
    }
    Subject s = subject_of_model(model);
    enter_long_mode(&s, SZ64);
    return s;
}

/* Whether it came to its end. */
static bool run(Subject *s, Form form, uint64_t area, uint64_t mask)
{
    Cpu *cpu = s->cpu;
    bool wide = cpu_code64(cpu);
    s->ram[CODE] = 0x48;
    memcpy(s->ram + CODE + wide, form_code[form], 3);
    cpu->gpr[R_DI] = area;
    cpu->gpr[R_AX] = mask & 0xffffffff;
    cpu->gpr[R_DX] = mask >> 32;
    cpu->rip = CODE;
    code_flush(cpu->code);
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return false;
    }
    const Insn *i = code_lookup(cpu, CODE)->insn;
    i->fn(cpu, i);
    return true;
}

#define ALL_STATE (XCR0_X87 | XCR0_AVX512_STATE | XCR0_PKRU)

/* SDM vol. 1 13.5: what Intel's processors report. */
static void test_layout_intel(void)
{
    static const struct { unsigned bit, size, offset; } want[] = {
        { 2, 256, 576 }, { 5, 64, 1088 }, { 6, 512, 1152 }, { 7, 1024, 1664 }, { 9, 8, 2688 },
        { 3, 0, 0 }, { 8, 0, 0 }, { 11, 16, 0 }, { 12, 24, 0 },
    };
    Subject s = subject_with_state("max", ALL_STATE);
    uint32_t out[4];
    for (unsigned k = 0; k < ARRAY_SIZE(want); k++) {
        cpuid_read(s.cpu, 0xd, want[k].bit, out);
        g_assert_cmpuint(out[CPUID_EAX], ==, want[k].size);
        g_assert_cmpuint(out[CPUID_EBX], ==, want[k].offset);
        g_assert_cmpuint(out[CPUID_ECX], ==, want[k].bit >= 11);
    }
    cpuid_read(s.cpu, 0xd, 0, out);
    g_assert_cmphex(out[CPUID_EAX], ==, 0x2e7);
    g_assert_cmpuint(out[CPUID_EBX], ==, 2696);
    g_assert_cmpuint(out[CPUID_ECX], ==, 2696);
    cpuid_read(s.cpu, 0xd, 1, out);
    g_assert_cmpuint(out[CPUID_EBX], ==, 576 + 256 + 64 + 512 + 1024 + 8 + 16 + 24);
    g_assert_cmphex(out[CPUID_ECX], ==, 0x1800);
    s.cpu->xss = 0;
    s.cpu->xcr0 = XCR0_X87 | XCR0_AVX_STATE | XCR0_PKRU;
    cpuid_read(s.cpu, 0xd, 1, out);
    g_assert_cmpuint(out[CPUID_EBX], ==, 576 + 256 + 8);
    s.cpu->xcr0 = XCR0_X87;
    cpuid_read(s.cpu, 0xd, 0, out);
    g_assert_cmpuint(out[CPUID_EBX], ==, 576);
}

/* AMD's leave no gaps: Zen 4 and, without AVX-512, Zen 3. */
static void test_layout_amd(void)
{
    static const uint16_t zen4[][2] = { { 2, 576 }, { 5, 832 }, { 6, 896 }, { 7, 1408 }, { 9, 2432 } };
    Subject s = subject_with_state("max,vendor=AuthenticAMD", ALL_STATE);
    uint32_t out[4];
    for (unsigned k = 0; k < ARRAY_SIZE(zen4); k++) {
        cpuid_read(s.cpu, 0xd, zen4[k][0], out);
        g_assert_cmpuint(out[CPUID_EBX], ==, zen4[k][1]);
    }
    s = subject_with_state("max,vendor=AuthenticAMD", XCR0_X87 | XCR0_AVX_STATE | XCR0_PKRU);
    cpuid_read(s.cpu, 0xd, 9, out);
    g_assert_cmpuint(out[CPUID_EBX], ==, 832);
}

/* Every register gets a value that tells it from the others. */
static void fill_registers(Cpu *cpu)
{
    for (unsigned n = 0; n < 32; n++)
        for (unsigned q = 0; q < 8; q++)
            cpu->vec[n].q[q] = 0x1000 + n * 16 + q;
    for (unsigned n = 0; n < 8; n++)
        cpu->opmask[n] = 0x2000 + n;
    cpu->pkru = 0x3000;
    cpu->mxcsr = 0x3f80;
    cpu->fpu = (Fpu){ .control = 0x37f, .tags = 0xff };
}

static void test_standard(void)
{
    Subject s = subject_with_state("max", ALL_STATE);
    uint8_t *area = s.ram + AREA_A;
    fill_registers(s.cpu);
    memset(area, 0xcc, 4096);
    st64le(area + 512, 0);
    g_assert_true(run(&s, XSAVE, AREA_A, XINUSE_ALL));
    g_assert_cmphex(ld64le(area + 512), ==, 0x2e7);
    g_assert_cmphex(ld64le(area + 520), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld32le(area + 24), ==, 0x3f80);
    g_assert_cmphex(ld64le(area + 160 + 15 * 16 + 8), ==, 0x10f1);
    g_assert_cmphex(ld64le(area + 576 + 15 * 16), ==, 0x10f2);
    g_assert_cmphex(ld64le(area + 1088 + 7 * 8), ==, 0x2007);
    g_assert_cmphex(ld64le(area + 1152 + 3 * 32 + 24), ==, 0x1037);
    g_assert_cmphex(ld64le(area + 1664 + 15 * 64 + 56), ==, 0x11f7);
    g_assert_cmphex(ld64le(area + 2688), ==, 0x3000);
    g_assert_cmphex(ld64le(area + 832), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld64le(area + 2696), ==, 0xcccccccccccccccc);
}

/* XSAVEC: no place for AVX, which was not asked for; a place for opmasks, which are zero and not written. */
static void test_compacted(void)
{
    const uint64_t mask = XCR0_OPMASK | XCR0_ZMM_HIGH | XCR0_PKRU;
    Subject s = subject_with_state("max", ALL_STATE);
    uint8_t *area = s.ram + AREA_A;
    fill_registers(s.cpu);
    memset(s.cpu->opmask, 0, sizeof s.cpu->opmask);
    memset(area, 0xcc, 4096);
    g_assert_true(run(&s, XSAVEC, AREA_A, mask));
    g_assert_cmphex(ld64le(area + 512), ==, XCR0_ZMM_HIGH | XCR0_PKRU);
    g_assert_cmphex(ld64le(area + 520), ==, COMPACT | mask);
    g_assert_cmphex(ld64le(area + 528), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld32le(area + 24), ==, 0xcccccccc);
    g_assert_cmphex(ld64le(area + 576), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld64le(area + 640), ==, 0x1004);
    g_assert_cmphex(ld64le(area + 640 + 512), ==, 0x3000);
    memset(area + 528, 0, 48);
    s.cpu->opmask[3] = 1;
    s.cpu->pkru = 0;
    g_assert_true(run(&s, XRSTORS, AREA_A, XINUSE_ALL));
    g_assert_cmphex(s.cpu->opmask[3], ==, 0);
    g_assert_cmphex(s.cpu->pkru, ==, 0x3000);
}

/* Outside 64-bit mode there are eight registers, and nothing of the upper sixteen is in use. */
static void test_narrow(void)
{
    Subject s = subject_with_state("max", ALL_STATE);
    uint8_t *area = s.ram + AREA_A;
    fill_registers(s.cpu);
    enter_long_mode(&s, SZ32);
    memset(area, 0xcc, 4096);
    st64le(area + 512, XCR0_HIGH_ZMM);
    g_assert_true(run(&s, XSAVE, AREA_A, XINUSE_ALL));
    g_assert_cmphex(ld64le(area + 512), ==, 0x267);
    g_assert_cmphex(ld64le(area + 160 + 7 * 16), ==, 0x1070);
    g_assert_cmphex(ld64le(area + 160 + 8 * 16), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld64le(area + 576 + 8 * 16), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld64le(area + 1152 + 7 * 32), ==, 0x1074);
    g_assert_cmphex(ld64le(area + 1152 + 8 * 32), ==, 0xcccccccccccccccc);
    g_assert_cmphex(ld64le(area + 1664), ==, 0xcccccccccccccccc);
    memset(area + 520, 0, 56);
    st64le(area + 512, 0);
    g_assert_true(run(&s, XRSTOR, AREA_A, XINUSE_ALL));
    g_assert_cmphex(s.cpu->vec[7].q[7], ==, 0);
    g_assert_cmphex(s.cpu->vec[8].q[0], ==, 0x1080);
    g_assert_cmphex(s.cpu->vec[8].q[4], ==, 0x1084);
    g_assert_cmphex(s.cpu->vec[16].q[0], ==, 0x1100);
}

/* Each of these is #GP, and nothing has changed. */
static void test_header(void)
{
    static const struct { Form form; uint16_t at; uint64_t value; } bad[] = {
        { XRSTOR, 512, BIT(3) }, { XRSTOR, 512, BIT(11) }, { XRSTOR, 520, 1 }, { XRSTOR, 528, 1 },
        { XRSTOR, 520, COMPACT }, { XRSTOR, 520, COMPACT | 3 | BIT(8) }, { XRSTOR, 24, 0x10001f80 },
        { XRSTORS, 520, 0 }, { XRSTORS, 520, COMPACT | 3 | BIT(13) },
    };
    Subject s = subject_with_state("max", ALL_STATE);
    uint8_t *area = s.ram + AREA_A;
    for (unsigned k = 0; k < ARRAY_SIZE(bad); k++) {
        fill_registers(s.cpu);
        memset(area, 0, IMAGE);
        st32le(area + 24, 0x1f80);
        st64le(area + 512, 3);
        st64le(area + bad[k].at, bad[k].value);
        g_assert_false(run(&s, bad[k].form, AREA_A, XINUSE_ALL));
        g_assert_cmphex(s.cpu->vec[0].q[0], ==, 0x1000);
        g_assert_cmphex(s.cpu->mxcsr, ==, 0x3f80);
    }
    st64le(area + 512, 3);
    st64le(area + 520, COMPACT | 3);
    g_assert_true(run(&s, XRSTORS, AREA_A, XINUSE_ALL));
    st64le(area + 528 + 40, 1);
    g_assert_false(run(&s, XRSTOR, AREA_A, XINUSE_ALL));
    g_assert_false(run(&s, XSAVE, AREA_A + 32, XINUSE_ALL));
    s.cpu->xcr0 = XCR0_X87;
    st64le(area + 512, 0);
    st64le(area + 520, 0);
    st64le(area + 528 + 40, 1);
    g_assert_true(run(&s, XRSTOR, AREA_A, XINUSE_ALL)); /* the standard form leaves bytes 63:24 to software */
}

/* MXCSR: SSE's or AVX's in the standard form, whatever XSTATE_BV says; SSE's alone in the compacted one. */
static void test_mxcsr(void)
{
    Subject s = subject_with_state("max", ALL_STATE);
    uint8_t *area = s.ram + AREA_A;
    memset(area, 0, IMAGE);
    st32le(area + 24, 0x5f80);
    fill_registers(s.cpu);
    g_assert_true(run(&s, XRSTOR, AREA_A, XCR0_AVX));
    g_assert_cmphex(s.cpu->mxcsr, ==, 0x5f80);
    s.cpu->mxcsr = 0x3f80;
    g_assert_true(run(&s, XRSTOR, AREA_A, XCR0_PKRU));
    g_assert_cmphex(s.cpu->mxcsr, ==, 0x3f80);
    st64le(area + 520, COMPACT | 7);
    g_assert_true(run(&s, XRSTOR, AREA_A, XCR0_AVX));
    g_assert_cmphex(s.cpu->mxcsr, ==, 0x3f80);
    g_assert_true(run(&s, XRSTOR, AREA_A, XCR0_SSE));
    g_assert_cmphex(s.cpu->mxcsr, ==, 0x1f80);
    memset(s.cpu->vec, 0, sizeof s.cpu->vec);
    s.cpu->mxcsr = 0x3f80;
    g_assert_true(run(&s, XSAVEC, AREA_A, XCR0_SSE));
    g_assert_cmphex(ld64le(area + 512), ==, XCR0_SSE);
    g_assert_true(run(&s, XSAVE, AREA_B, XCR0_SSE));
    g_assert_cmphex(ld64le(s.ram + AREA_B + 512), ==, 0);
}

/* While no exception is pending, K7 and K8 leave the pointers alone, and Zen has zeros. */
static void test_pointers_amd(void)
{
    Subject s = subject_with_state("max,vendor=AuthenticAMD", 3);
    uint8_t *area = s.ram + AREA_A;
    memset(area, 0xcc, 512);
    s.cpu->fpu = (Fpu){ .control = 0x37f, .ip = 0x1234, .dp = 0x5678, .opcode = 0x123 };
    g_assert_true(run(&s, FXSAVE, AREA_A, 0));
    g_assert_cmphex(ld16le(area + 6), ==, 0xcccc);
    g_assert_cmphex(ld64le(area + 8), ==, 0xcccccccccccccccc);
    g_assert_true(run(&s, FXRSTOR, AREA_A, 0));
    g_assert_cmphex(s.cpu->fpu.ip, ==, 0x1234);
    s.cpu->fpu.control = 0x37e;
    s.cpu->fpu.status = 0x8081;
    g_assert_true(run(&s, FXSAVE, AREA_A, 0));
    g_assert_cmphex(ld16le(area + 6), ==, 0x123);
    g_assert_cmphex(ld64le(area + 16), ==, 0x5678);
    st64le(area + 8, 0x4321);
    g_assert_true(run(&s, FXRSTOR, AREA_A, 0));
    g_assert_cmphex(s.cpu->fpu.ip, ==, 0x4321);
    s = subject_with_state("max,vendor=AuthenticAMD,+xsaveerptr", 3);
    s.cpu->fpu = (Fpu){ .control = 0x37f, .ip = 0x1234 };
    g_assert_true(run(&s, FXSAVE, AREA_A, 0));
    g_assert_cmphex(ld64le(s.ram + AREA_A + 8), ==, 0);
    s.cpu->fpu.status = 0x8081;
    g_assert_true(run(&s, FXSAVE, AREA_A, 0));
    g_assert_cmphex(ld64le(s.ram + AREA_A + 8), ==, 0x1234);
}

#if defined __x86_64__
#include <cpuid.h>

typedef uint8_t Area[4096] __attribute__((aligned(64)));

/* One experiment: load `first`; save `save` components to `b`; load `second`; load `load` of b; save all to `c`. */
typedef struct Experiment {
    Area first, second, b, c;
    uint64_t save, load;
    Form form;
    uint32_t xinuse;
} Experiment;

static Area host_own;

static uint64_t host_xcr0(void)
{
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !__get_cpuid_count(0xd, 1, &a, &b, &c, &d) ||
        (a & 7) != 7)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low & ALL_STATE;
}

/* Everything between is one statement, so that nothing else sees or touches the registers. */
#define ON_HOST(save_name, e)                                                                                          \
    __asm__ volatile("mov $-1, %%eax; mov %%eax, %%edx; xsave64 %[own]; xrstor64 %[first];"                            \
                     "mov $1, %%ecx; xgetbv; mov %%eax, %[xinuse];"                                                    \
                     "mov %[save], %%eax; xor %%edx, %%edx;" save_name " %[b];"                                        \
                     "mov $-1, %%eax; mov %%eax, %%edx; xrstor64 %[second];"                                           \
                     "mov %[load], %%eax; xor %%edx, %%edx; xrstor64 %[b];"                                            \
                     "mov $-1, %%eax; mov %%eax, %%edx; xsave64 %[c]; xrstor64 %[own]"                                 \
                     : [own] "+m"(host_own), [b] "+m"((e)->b), [c] "+m"((e)->c), [xinuse] "=m"((e)->xinuse)            \
                     : [first] "m"((e)->first), [second] "m"((e)->second), [save] "m"((e)->save), [load] "m"((e)->load) \
                     : "rax", "rcx", "rdx", "memory")

static void experiment_on_host(Experiment *e)
{
    switch (e->form) {
    case XSAVE: ON_HOST("xsave64", e); break;
    case XSAVEOPT: ON_HOST("xsaveopt64", e); break;
    default: ON_HOST("xsavec64", e); break;
    }
}

static uint32_t xinuse(Subject *s)
{
    static const uint8_t code[3] = { 0x0f, 0x01, 0xd0 };
    memcpy(s->ram + CODE, code, sizeof code);
    s->cpu->gpr[R_CX] = 1;
    code_flush(s->cpu->code);
    const Insn *i = code_lookup(s->cpu, CODE)->insn;
    i->fn(s->cpu, i);
    return s->cpu->gpr[R_AX];
}

static void experiment_here(Subject *s, Experiment *e)
{
    memcpy(s->ram + AREA_A, e->first, IMAGE);
    memcpy(s->ram + AREA_B, e->b, IMAGE);
    memcpy(s->ram + AREA_C, e->c, IMAGE);
    g_assert_true(run(s, XRSTOR, AREA_A, XINUSE_ALL));
    e->xinuse = xinuse(s);
    g_assert_true(run(s, e->form, AREA_B, e->save));
    memcpy(s->ram + AREA_A, e->second, IMAGE);
    g_assert_true(run(s, XRSTOR, AREA_A, XINUSE_ALL));
    g_assert_true(run(s, XRSTOR, AREA_B, e->load));
    g_assert_true(run(s, XSAVE, AREA_C, XINUSE_ALL));
    memcpy(e->b, s->ram + AREA_B, IMAGE);
    memcpy(e->c, s->ram + AREA_C, IMAGE);
}

/*
 * Any state, as the standard form has it: some components may be absent, none is present with its initial value.  With
 * ZMM_Hi256 there is AVX, and with AVX there is SSE: Zen 4 would say in any case that they are in use.
 */
static void random_area(GRand *r, uint8_t *area, uint64_t xcr0)
{
    for (unsigned k = 0; k < IMAGE; k += 4)
        st32le(area + k, g_rand_int(r));
    st16le(area, (g_rand_int(r) & 0xf3f) | 0x40);
    st16le(area + 2, g_rand_int(r) & 0x7f7f & ~0x80);
    area[5] = 0;
    st16le(area + 6, g_rand_int(r) & 0x7ff);
    st64le(area + 8, ld64le(area + 8) & 0x7fffffffffff);
    st64le(area + 16, ld64le(area + 16) & 0x7fffffffffff);
    for (unsigned n = 0; n < 8; n++)
        st64le(area + 32 + 16 * n + 8, ld16le(area + 32 + 16 * n + 8));
    st32le(area + 24, g_rand_int_range(r, 0, 4) ? g_rand_int(r) & 0xffff : 0x1f80);
    memset(area + 512, 0, 64);
    uint32_t present = g_rand_int(r) & xcr0;
    st64le(area + 512, present | (present & XCR0_ZMM_HIGH ? XCR0_AVX_STATE : present & XCR0_AVX ? XCR0_SSE : 0));
}

/* The first byte that differs, or IMAGE. */
static unsigned first_difference(const uint8_t *a, const uint8_t *b)
{
    for (unsigned k = 0; k < IMAGE; k++)
        if (a[k] != b[k])
            return k;
    return IMAGE;
}

static bool same_outcome(const Experiment *a, const Experiment *b)
{
    return first_difference(a->b, b->b) == IMAGE && first_difference(a->c, b->c) == IMAGE;
}

/*
 * What is in use a processor may say of any component (SDM vol. 1 13.6): such experiments tell nothing.  So may it
 * after a task switch, which is why they are done again.  Whether this one could be compared.
 */
static bool compare_with_host(Subject *s, const Experiment *start)
{
    Experiment native = *start, mine = *start;
    experiment_here(s, &mine);
    experiment_on_host(&native);
    for (unsigned n = 0; n < 5 && (native.xinuse != mine.xinuse || !same_outcome(&native, &mine)); n++) {
        native = *start;
        experiment_on_host(&native);
    }
    g_assert_cmphex(mine.xinuse & ~native.xinuse, ==, 0);
    if (native.xinuse != mine.xinuse)
        return false;
    if (!same_outcome(&native, &mine))
        g_error("form %d, save %" G_GINT64_MODIFIER "x, load %" G_GINT64_MODIFIER "x: saved byte %u, loaded byte %u",
                start->form, start->save, start->load, first_difference(native.b, mine.b),
                first_difference(native.c, mine.c));
    return true;
}

static void test_host(void)
{
    uint64_t xcr0 = host_xcr0();
    uint32_t a, b = 0, c, d;
    if (!xcr0) {
        g_test_skip("the host has no XSAVEC");
        return;
    }
    bool amd = __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx;
    Subject s = subject_with_state(amd ? "max,vendor=AuthenticAMD,+xsaveerptr" : "max,-misalignsse", xcr0);
    GRand *r = g_rand_new_with_seed(13);
    unsigned compared = 0;
    for (unsigned n = 0; n < 20000; n++) {
        Experiment start;
        memset(&start, 0xcc, sizeof start);
        random_area(r, start.first, xcr0);
        random_area(r, start.second, xcr0);
        random_area(r, start.b, xcr0);
        memset(start.c + 512, 0, 64);
        start.save = g_rand_int(r);
        start.load = g_rand_int(r);
        start.form = n % 3;
        compared += compare_with_host(&s, &start);
    }
    g_assert_cmpuint(compared, >, 1000);
    g_rand_free(r);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xsave/layout-intel", test_layout_intel);
    g_test_add_func("/xsave/layout-amd", test_layout_amd);
    g_test_add_func("/xsave/standard", test_standard);
    g_test_add_func("/xsave/compacted", test_compacted);
    g_test_add_func("/xsave/narrow", test_narrow);
    g_test_add_func("/xsave/header", test_header);
    g_test_add_func("/xsave/mxcsr", test_mxcsr);
    g_test_add_func("/xsave/pointers-amd", test_pointers_amd);
#if defined __x86_64__
    g_test_add_func("/xsave/host", test_host);
#endif
    return g_test_run();
}
