/* Registers by name (cpu/registers.h). */
#include <glib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/registers.h"
#include "subject.h"
#include "util/endian.h"

static CpuRegister find(Cpu *cpu, const char *name)
{
    CpuRegister r = { 0 };
    g_assert_true(cpu_register_find(cpu, name, &r));
    return r;
}

static uint64_t get(Cpu *cpu, const char *name)
{
    CpuRegister r = find(cpu, name);
    return cpu_register_get(cpu, &r);
}

static void set(Cpu *cpu, const char *name, uint64_t v)
{
    g_autoptr(GError) err = NULL;
    CpuRegister r = find(cpu, name);
    cpu_register_set(cpu, &r, v, &err);
    g_assert_no_error(err);
}

/* Refused with one line that begins with the name, and without a change. */
static void refuses(Cpu *cpu, const char *name, uint64_t v)
{
    g_autoptr(GError) err = NULL;
    CpuRegister r = find(cpu, name);
    uint64_t old = cpu_register_get(cpu, &r);
    g_assert_false(cpu_register_set(cpu, &r, v, &err));
    g_assert_nonnull(err);
    g_assert_true(g_str_has_prefix(err->message, r.name));
    g_assert_null(strchr(err->message, '\n'));
    g_assert_cmphex(cpu_register_get(cpu, &r), ==, old);
}

static void lacks(const Cpu *cpu, const char *name)
{
    CpuRegister r;
    g_assert_false(cpu_register_find(cpu, name, &r));
}

/* ---- finding ---- */

static void test_names_unique(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned k = 0; k < cpu_register_count; k++) {
        CpuRegister r;
        g_assert_true(g_hash_table_add(seen, (gpointer)cpu_registers[k].name));
        g_assert_true(cpu_register_find(NULL, cpu_registers[k].name, &r));
        g_assert_cmpint(r.bits / 8, <=, CPU_REGISTER_MAX_BYTES);
    }
}

static void test_find(void)
{
    Subject s = subject_new("max");
    CpuRegister r = find(s.cpu, "XMM31");
    g_assert_cmpint(r.bits, ==, 128);
    g_assert_cmpint(r.group, ==, REGISTER_VECTOR);
    g_assert_cmpint(find(s.cpu, "msr_c0000081").bits, ==, 64);
    lacks(s.cpu, "xmm32");
    lacks(s.cpu, "msr_");
    lacks(s.cpu, "msr_c0000081x");
    lacks(s.cpu, "msr_100000000");
    lacks(s.cpu, "msr_12345678");
    lacks(s.cpu, "");
}

static void test_find_old(void)
{
    Subject s = subject_new("486");
    find(s.cpu, "rax");
    find(s.cpu, "cr3");
    find(s.cpu, "st0");
    static const char *const missing[] = { "r8",   "sil", "mm0",      "xmm0", "zmm0",
                                           "efer", "cr8", "msr_star", "ssp",  "k1" };
    for (unsigned k = 0; k < G_N_ELEMENTS(missing); k++)
        lacks(s.cpu, missing[k]);
    CpuRegister r;
    g_assert_true(cpu_register_find(NULL, "msr_lstar", &r));
    g_assert_cmphex(cpu_register_get(s.cpu, &r), ==, 0);
}

/* ---- values ---- */

/* Every register reads the same by number and by bytes, and takes its own value again. */
static void test_round_trip(void)
{
    static const char *const models[] = { "max", "486", "8086" };
    for (unsigned m = 0; m < G_N_ELEMENTS(models); m++) {
        Subject s = subject_new(models[m]);
        for (unsigned k = 0; k < cpu_register_count; k++) {
            const CpuRegister *r = &cpu_registers[k];
            g_autoptr(GError) err = NULL;
            CpuRegister found;
            uint8_t bytes[CPU_REGISTER_MAX_BYTES] = { 0 }, again[CPU_REGISTER_MAX_BYTES] = { 0 };
            if (r->group == REGISTER_MSR || !cpu_register_find(s.cpu, r->name, &found))
                continue;
            cpu_register_read(s.cpu, r, bytes);
            g_assert_cmphex(cpu_register_get(s.cpu, r), ==, ld64le(bytes));
            g_assert_true(cpu_register_write(s.cpu, r, bytes, &err) || !strcmp(r->name, "cpl"));
            cpu_register_read(s.cpu, r, again);
            g_test_message("%s of %s", r->name, models[m]);
            g_assert_cmpmem(bytes, sizeof bytes, again, sizeof again);
        }
    }
}

static void test_parts(void)
{
    Subject s = subject_new("max");
    set(s.cpu, "rax", UINT64_C(0x1122334455667788));
    g_assert_cmphex(get(s.cpu, "eax"), ==, 0x55667788);
    g_assert_cmphex(get(s.cpu, "ax"), ==, 0x7788);
    g_assert_cmphex(get(s.cpu, "al"), ==, 0x88);
    g_assert_cmphex(get(s.cpu, "ah"), ==, 0x77);
    set(s.cpu, "ah", 0xaa);
    set(s.cpu, "al", 0xbb);
    g_assert_cmphex(get(s.cpu, "rax"), ==, UINT64_C(0x112233445566aabb));
    set(s.cpu, "eax", -1);
    g_assert_cmphex(get(s.cpu, "rax"), ==, UINT64_C(0x11223344ffffffff));
    set(s.cpu, "r9w", 0x1234);
    g_assert_cmphex(get(s.cpu, "r9"), ==, 0x1234);
    set(s.cpu, "spl", 0x7c);
    g_assert_cmphex(get(s.cpu, "rsp"), ==, 0x7c);
    refuses(s.cpu, "al", 0x100);
    refuses(s.cpu, "eax", UINT64_C(0x100000000));
    g_assert_cmphex(get(s.cpu, "rip"), ==, 0xfff0);
    refuses(s.cpu, "rip", UINT64_C(0x100000000));
}

static void test_flags(void)
{
    Subject s = subject_new("max");
    set(s.cpu, "eflags", 0x246);
    g_assert_true(flag_zf(s.cpu) && flag_pf(s.cpu) && !flag_cf(s.cpu));
    g_assert_cmphex(get(s.cpu, "rflags"), ==, 0x246);
    g_assert_cmphex(s.cpu->step_mode, ==, 0);
    set(s.cpu, "flags", 0x346);
    g_assert_true(s.cpu->step_mode & STEP_TF);
    refuses(s.cpu, "eflags", EFLAGS_VM | 2);
    refuses(s.cpu, "rflags", BIT(32) | 2);
    refuses(s.cpu, "rflags", 0x8002);
}

static void test_halt_ends(void)
{
    Subject s = subject_new("max");
    s.cpu->run_state = CPU_HALTED;
    set(s.cpu, "rip", s.cpu->rip);
    g_assert_cmpint(s.cpu->run_state, ==, CPU_HALTED);
    set(s.cpu, "rip", 0x7c00);
    g_assert_cmpint(s.cpu->run_state, ==, CPU_RUNNING);
}

/* ---- segments ---- */

static void test_selector_real(void)
{
    Subject s = subject_new("max");
    set(s.cpu, "ds", 0xb800);
    g_assert_cmphex(get(s.cpu, "ds_base"), ==, 0xb8000);
    set(s.cpu, "cs", 0x7c0);
    g_assert_cmphex(get(s.cpu, "cs_base"), ==, 0x7c00);
    g_assert_cmphex(get(s.cpu, "cs_limit"), ==, 0xffff);
}

static void descriptor(Subject *s, uint16_t sel, uint64_t v) { st64le(s->ram + 0x1000 + (sel & ~7u), v); }

static void test_selector_protected(void)
{
    Subject s = subject_new("max");
    subject_enter_flat32(&s);
    set(s.cpu, "gdtr_base", 0x1000);
    set(s.cpu, "gdtr_limit", 0x2f);
    descriptor(&s, 0x08, UINT64_C(0x00009a123456ffff)); /* 16-bit code at 123456h */
    descriptor(&s, 0x10, UINT64_C(0x00cf92000000ffff)); /* flat data */
    descriptor(&s, 0x18, UINT64_C(0x0000892000000067)); /* an available 32-bit TSS */
    descriptor(&s, 0x20, UINT64_C(0x0000120000000000)); /* not present */
    set(s.cpu, "cs", 8);
    g_assert_cmphex(get(s.cpu, "cs_base"), ==, 0x123456);
    g_assert_cmphex(get(s.cpu, "cs_attr"), ==, 0x9b);
    g_assert_cmpint(s.cpu->code_size, ==, SZ16);
    set(s.cpu, "ds", 0x10);
    g_assert_cmphex(get(s.cpu, "ds_limit"), ==, 0xffffffff);
    set(s.cpu, "es", 0x20);
    g_assert_cmphex(get(s.cpu, "es"), ==, 0x20);
    g_assert_cmphex(get(s.cpu, "es_limit"), ==, 0xffffffff);
    set(s.cpu, "fs", 0);
    g_assert_cmphex(get(s.cpu, "fs_attr"), ==, 0);
    set(s.cpu, "tr", 0x18);
    g_assert_cmphex(get(s.cpu, "tr_attr"), ==, 0x8b);
    g_assert_cmphex(ld64le(s.ram + 0x1018), ==, UINT64_C(0x0000892000000067));
    set(s.cpu, "ldtr", 0x18);
    g_assert_cmphex(get(s.cpu, "ldtr"), ==, 0x18);
    set(s.cpu, "cs", 0x1000);
    g_assert_cmphex(get(s.cpu, "cs_base"), ==, 0x123456);
    g_assert_cmphex(get(s.cpu, "cpl"), ==, 0);
    refuses(s.cpu, "cpl", 3);
}

static void test_segment_parts(void)
{
    Subject s = subject_new("max");
    subject_enter_flat32(&s);
    g_assert_true(s.cpu->flat >> SEG_DS & 1);
    set(s.cpu, "ds_base", 0x1000);
    g_assert_false(s.cpu->flat >> SEG_DS & 1);
    refuses(s.cpu, "ds_base", BIT(32));
    set(s.cpu, "fs_base", UINT64_C(0xffff800000000000));
    refuses(s.cpu, "gs_base", BIT(60));
    set(s.cpu, "ds_limit", 0x1234);
    g_assert_cmphex(get(s.cpu, "ds_attr") & SA_G, ==, 0);
    set(s.cpu, "ds_limit", 0xffffffff);
    g_assert_cmphex(get(s.cpu, "ds_attr") & SA_G, ==, SA_G);
    refuses(s.cpu, "ds_limit", 0xfffffffe);
    refuses(s.cpu, "ds_attr", get(s.cpu, "ds_attr") & ~SA_G);
    refuses(s.cpu, "ds_attr", get(s.cpu, "ds_attr") | 0x100);
    set(s.cpu, "cs_attr", get(s.cpu, "cs_attr") & ~SA_DB);
    g_assert_cmpint(s.cpu->code_size, ==, SZ16);
}

/* ---- control ---- */

static void test_control(void)
{
    Subject s = subject_new("max");
    refuses(s.cpu, "cr0", CR0_PG);
    refuses(s.cpu, "cr0", BIT(32));
    set(s.cpu, "cr0", CR0_PE | CR0_ET);
    g_assert_true(s.cpu->protected_mode);
    refuses(s.cpu, "cr4", BIT(31));
    refuses(s.cpu, "cr3", BIT(63));
    set(s.cpu, "cr3", 0x5000);
    set(s.cpu, "cr4", CR4_PAE | CR4_OSFXSR);
    refuses(s.cpu, "efer", EFER_LMA | EFER_LME);
    set(s.cpu, "efer", EFER_LME);
    set(s.cpu, "cr0", CR0_PE | CR0_PG | CR0_ET);
    g_assert_true(s.cpu->long_mode);
    refuses(s.cpu, "efer", 0);
    refuses(s.cpu, "cr4", CR4_OSFXSR);
    set(s.cpu, "cs_attr", SA_P | SA_S | SA_CODE | SA_L);
    g_assert_cmpint(s.cpu->code_size, ==, SZ64);
    refuses(s.cpu, "cs_attr", SA_P | SA_S | SA_CODE | SA_L | SA_DB);
    refuses(s.cpu, "cr0", CR0_PE);
    g_assert_false(s.cpu->fault.raised);
    set(s.cpu, "rip", UINT64_C(0xffffffff81000000));
    set(s.cpu, "cs_attr", SA_P | SA_S | SA_CODE | SA_DB);
    g_assert_cmphex(get(s.cpu, "rip"), ==, 0x81000000);
    refuses(s.cpu, "cr8", 16);
    refuses(s.cpu, "xcr0", 0);
    set(s.cpu, "xcr0", 7);
    set(s.cpu, "ssp", 0x1000);
    refuses(s.cpu, "ssp", 0x1001);
}

static void test_debug(void)
{
    Subject s = subject_new("max");
    set(s.cpu, "dr0", 0x1234);
    set(s.cpu, "dr7", 0x401);
    g_assert_true(s.cpu->step_mode & STEP_CODE_BP);
    refuses(s.cpu, "dr7", BIT(32));
    refuses(s.cpu, "dr1", BIT(62));
    g_assert_cmphex(get(s.cpu, "dr6"), ==, 0xffff0ff0);
}

static void test_msr(void)
{
    Subject s = subject_new("max");
    set(s.cpu, "msr_star", UINT64_C(0x0023001000000000));
    g_assert_cmphex(get(s.cpu, "msr_c0000081"), ==, UINT64_C(0x0023001000000000));
    refuses(s.cpu, "msr_lstar", BIT(60));
    set(s.cpu, "msr_176", 0x1000);
    g_assert_cmphex(s.cpu->sysenter_eip, ==, 0x1000);
    refuses(s.cpu, "msr_277", 2);
    set(s.cpu, "msr_kernel_gs_base", UINT64_C(0xffff888000000000));
    g_assert_cmphex(s.cpu->kernel_gs_base, ==, UINT64_C(0xffff888000000000));
}

/* ---- x87 and vectors ---- */

static void test_x87(void)
{
    Subject s = subject_new("max");
    static const uint8_t one[10] = { [7] = 0x80, [8] = 0xff, [9] = 0x3f };
    uint8_t bytes[10];
    CpuRegister st2 = find(s.cpu, "st2");
    set(s.cpu, "fstat", 0x3800 - 0x800); /* TOP 6 */
    g_assert_true(cpu_register_write(s.cpu, &st2, one, NULL));
    g_assert_cmphex(s.cpu->fpu.reg[0].sexp, ==, 0x3fff);
    cpu_register_read(s.cpu, &st2, bytes);
    g_assert_cmpmem(bytes, 10, one, 10);
    refuses(s.cpu, "st0", 1);
    set(s.cpu, "ftag", 0xfffc);
    g_assert_cmphex(s.cpu->fpu.tags, ==, 1);
    g_assert_cmphex(get(s.cpu, "ftag"), ==, 0xfffc);
    set(s.cpu, "fctrl", 0x37f);
    set(s.cpu, "mm3", 0x1234);
    g_assert_cmphex(s.cpu->fpu.reg[3].mant, ==, 0x1234);
    g_assert_cmphex(s.cpu->fpu.reg[3].sexp, ==, 0xffff);
    refuses(s.cpu, "mxcsr", BIT(31));
}

static void test_vectors(void)
{
    Subject s = subject_new("max");
    uint8_t bytes[64], part[16];
    for (unsigned k = 0; k < sizeof bytes; k++)
        bytes[k] = k + 1;
    CpuRegister zmm = find(s.cpu, "zmm17"), xmm = find(s.cpu, "xmm17");
    g_assert_true(cpu_register_write(s.cpu, &zmm, bytes, NULL));
    cpu_register_read(s.cpu, &xmm, part);
    g_assert_cmpmem(part, 16, bytes, 16);
    memset(part, 0xaa, sizeof part);
    memset(bytes, 0xaa, sizeof part);
    g_assert_true(cpu_register_write(s.cpu, &xmm, part, NULL));
    uint8_t again[64];
    cpu_register_read(s.cpu, &zmm, again);
    g_assert_cmpmem(again, 64, bytes, 64);
    set(s.cpu, "ymm17", 5);
    cpu_register_read(s.cpu, &zmm, again);
    g_assert_cmphex(ld64le(again), ==, 5);
    g_assert_cmphex(ld64le(again + 8), ==, 0);
    g_assert_cmphex(again[32], ==, 33);
    set(s.cpu, "k1", 0xff);
    g_assert_cmphex(s.cpu->opmask[1], ==, 0xff);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registers/names-unique", test_names_unique);
    g_test_add_func("/registers/find", test_find);
    g_test_add_func("/registers/find-old", test_find_old);
    g_test_add_func("/registers/round-trip", test_round_trip);
    g_test_add_func("/registers/parts", test_parts);
    g_test_add_func("/registers/flags", test_flags);
    g_test_add_func("/registers/halt-ends", test_halt_ends);
    g_test_add_func("/registers/selector-real", test_selector_real);
    g_test_add_func("/registers/selector-protected", test_selector_protected);
    g_test_add_func("/registers/segment-parts", test_segment_parts);
    g_test_add_func("/registers/control", test_control);
    g_test_add_func("/registers/debug", test_debug);
    g_test_add_func("/registers/msr", test_msr);
    g_test_add_func("/registers/x87", test_x87);
    g_test_add_func("/registers/vectors", test_vectors);
    return g_test_run();
}
