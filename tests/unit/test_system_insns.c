/* System instructions that other tests do not reach: MONITORX, MWAITX (AMD APM vol. 3), WRMSRNS, MSR lists (SDM vol. 2). */
#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/model.h"
#include "cpu/system.h"
#include "util/endian.h"

enum { RAM = 1 << 20, DATA = 0x8000 };

static Cpu *cpu;
static uint8_t *ram;

/* In 64-bit code; the processor itself would need paging for that. */
static void start(void)
{
    Machine *machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    ram = region_host(r);
    cpu = cpu_new(machine, cpu_model_parse("max,+monitorx", NULL), 0, 0);
    uint16_t attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_G;
    for (unsigned k = SEG_ES; k <= SEG_GS; k++)
        cpu->seg[k] = (Segment){ .limit = 0xffffffff, .attr = attr | (k == SEG_CS ? SA_CODE | SA_L : 0) };
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu_update_mode(cpu);
}

static void set_cpl(unsigned cpl)
{
    cpu->seg[SEG_CS].sel = 8 | cpl;
    cpu_update_mode(cpu);
    g_assert_cmpuint(cpu->cpl, ==, cpl);
}

/* Executes one instruction; its exception, or -1. */
static int execute(const void *code, unsigned length)
{
    Insn insn;
    g_assert_cmpint(insn_decode(cpu->decoder, SZ64, code, length, &insn), ==, length);
    if (_setjmp(cpu->unwind)) {
        cpu->fault.raised = false;
        return cpu->fault.vector;
    }
    insn.fn(cpu, &insn);
    return -1;
}
static int monitorx(void) { return execute("\x0f\x01\xfa", 3); }
static int mwaitx(void) { return execute("\x0f\x01\xfb", 3); }

/* At any privilege, which MONITOR is not. */
static void test_monitorx(void)
{
    set_cpl(3);
    cpu->gpr[R_AX] = DATA;
    cpu->gpr[R_CX] = 0;
    g_assert_cmpint(monitorx(), ==, -1);
    g_assert_cmphex(cpu->monitor_gpa, ==, DATA);
    cpu->gpr[R_CX] = 1;
    g_assert_cmpint(monitorx(), ==, EXC_GP);
    cpu->gpr[R_CX] = 0;
    cpu->gpr[R_AX] = UINT64_C(0x8000000000000000);
    g_assert_cmpint(monitorx(), ==, EXC_GP);
    set_cpl(0);
}

/* Armed by a MONITORX, and with these extensions in ECX: whether it waits. */
static bool waits(bool armed, uint64_t extensions, uint32_t eflags)
{
    cpu->gpr[R_AX] = DATA;
    cpu->gpr[R_CX] = 0;
    cpu->monitor_gpa = 0;
    if (armed)
        g_assert_cmpint(monitorx(), ==, -1);
    cpu->run_state = CPU_RUNNING;
    cpu->eflags = eflags;
    cpu->gpr[R_CX] = extensions;
    g_assert_cmpint(mwaitx(), ==, -1);
    g_assert_cmphex(cpu->monitor_gpa, ==, 0);
    bool halted = cpu->run_state == CPU_HALTED;
    cpu->run_state = CPU_RUNNING;
    return halted;
}

static void test_mwaitx(void)
{
    set_cpl(3);
    g_assert_true(waits(true, 0, F_IF));
    g_assert_false(waits(false, 0, F_IF));
    g_assert_false(waits(true, 0, 0));
    g_assert_false(waits(true, 2, F_IF)); /* timed */
    cpu->gpr[R_CX] = 4;
    g_assert_cmpint(mwaitx(), ==, EXC_GP);
    set_cpl(0);
}

static void test_wrmsrns(void)
{
    cpu->gpr[R_CX] = 0x174; /* IA32_SYSENTER_CS */
    cpu->gpr[R_AX] = 0x1234;
    cpu->gpr[R_DX] = 0;
    g_assert_cmpint(execute("\x0f\x01\xc6", 3), ==, -1);
    uint64_t v;
    g_assert_true(msr_read(cpu, 0x174, &v));
    g_assert_cmphex(v, ==, 0x1234);
    set_cpl(3);
    g_assert_cmpint(execute("\x0f\x01\xc6", 3), ==, EXC_GP);
    set_cpl(0);
    cpu->gpr[R_CX] = 0x176; /* IA32_SYSENTER_EIP, which wants a canonical address */
    cpu->gpr[R_DX] = 0x80000000;
    g_assert_cmpint(execute("\x0f\x01\xc6", 3), ==, EXC_GP);
}

/* ---- RDMSRLIST, WRMSRLIST ---- */

enum { VALUES = DATA + 0x200 };
static int rdmsrlist(void) { return execute("\xf2\x0f\x01\xc6", 4); }
static int wrmsrlist(void) { return execute("\xf3\x0f\x01\xc6", 4); }

/* SYSENTER's registers at places 1, 5 and 63, and an MSR that is not there at 7. */
static void put_list(uint64_t bits)
{
    memset(ram + DATA, 0xff, 0x400);
    st64le(ram + DATA + 1 * 8, 0x174);
    st64le(ram + DATA + 5 * 8, 0x175);
    st64le(ram + DATA + 7 * 8, 0x12345678);
    st64le(ram + DATA + 63 * 8, 0x176);
    cpu->gpr[R_SI] = DATA;
    cpu->gpr[R_DI] = VALUES;
    cpu->gpr[R_CX] = bits;
}

static void assert_msr(uint32_t index, uint64_t expected)
{
    uint64_t v;
    g_assert_true(msr_read(cpu, index, &v));
    g_assert_cmphex(v, ==, expected);
}

static void test_msr_lists(void)
{
    put_list(BIT(1) | BIT(5) | BIT(63));
    st64le(ram + VALUES + 1 * 8, 11);
    st64le(ram + VALUES + 5 * 8, 12);
    st64le(ram + VALUES + 63 * 8, 13);
    g_assert_cmpint(wrmsrlist(), ==, -1);
    g_assert_cmphex(cpu->gpr[R_CX], ==, 0);
    assert_msr(0x174, 11);
    assert_msr(0x175, 12);
    assert_msr(0x176, 13);
    put_list(BIT(5) | BIT(63));
    g_assert_cmpint(rdmsrlist(), ==, -1);
    g_assert_cmphex(cpu->gpr[R_CX], ==, 0);
    g_assert_cmphex(ld64le(ram + VALUES + 1 * 8), ==, UINT64_MAX);
    g_assert_cmphex(ld64le(ram + VALUES + 5 * 8), ==, 12);
    g_assert_cmphex(ld64le(ram + VALUES + 63 * 8), ==, 13);
}

/* A fault leaves in RCX what is still to be done. */
static void test_msr_list_faults(void)
{
    put_list(BIT(5) | BIT(7) | BIT(63));
    g_assert_cmpint(rdmsrlist(), ==, EXC_GP);
    g_assert_cmphex(cpu->gpr[R_CX], ==, BIT(7) | BIT(63));
    put_list(BIT(2)); /* an index of more than 32 bits */
    g_assert_cmpint(rdmsrlist(), ==, EXC_GP);
    put_list(BIT(1));
    cpu->gpr[R_DI] += 4;
    g_assert_cmpint(wrmsrlist(), ==, EXC_GP);
    put_list(BIT(1));
    set_cpl(3);
    g_assert_cmpint(rdmsrlist(), ==, EXC_GP);
    set_cpl(0);
    g_assert_cmphex(cpu->gpr[R_CX], ==, BIT(1));
}

static void test_barrier(void)
{
    uint64_t v;
    g_assert_true(msr_read(cpu, 0x2f, &v));
    g_assert_cmphex(v, ==, 0);
    g_assert_false(msr_write(cpu, 0x2f, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start();
    g_test_add_func("/system-insns/monitorx", test_monitorx);
    g_test_add_func("/system-insns/mwaitx", test_mwaitx);
    g_test_add_func("/system-insns/wrmsrns", test_wrmsrns);
    g_test_add_func("/system-insns/msr-lists", test_msr_lists);
    g_test_add_func("/system-insns/msr-lists/faults", test_msr_list_faults);
    g_test_add_func("/system-insns/msr-lists/barrier", test_barrier);
    return g_test_run();
}
