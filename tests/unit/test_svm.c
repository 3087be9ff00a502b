/*
 * cpu/svm.c: a guest is saved in the middle of its run and goes on in another processor, which comes back to the host's
 * state; the host's and the guest's translations are kept apart.
 */
#include "cpu/svm.h"

#include <string.h>

#include "cpu/code.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { TABLES = 0x1000, GUEST_TABLES = 0x4000, VMCB = 0x8000, HOST_CODE = 0xa000, GUEST_CODE = 0xb000,
       OTHER_PAGE = 0xc000 };

/* 2 MiB mapped as they are by small pages, but for one page of the guest's. */
static void put_tables(uint8_t *ram, uint64_t at, uint64_t code_page)
{
    for (unsigned level = 0; level < 3; level++)
        st64le(ram + at + level * 0x1000, (at + (level + 1) * 0x1000) | 7);
    for (unsigned k = 0; k < 256; k++)
        st64le(ram + at + 0x3000 + k * 8, (k == GUEST_CODE >> 12 ? code_page : k * 0x1000) | 7);
}

static Subject subject_with_svm(void) { return subject_new("max,+svm,+monitorx"); }

static void enter_long_mode(Cpu *cpu)
{
    uint16_t attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_G;
    for (unsigned k = SEG_ES; k <= SEG_GS; k++)
        cpu->seg[k] = (Segment){ .limit = 0xffffffff, .attr = attr | SA_DB };
    cpu->seg[SEG_CS].attr = attr | SA_CODE | SA_L;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_PG;
    cpu->cr4 = CR4_PAE;
    cpu->cr3 = TABLES;
    cpu->efer = EFER_LME | EFER_LMA | EFER_SVME;
    tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

/* A guest in the same mode, with tables of its own. */
static void put_vmcb(uint8_t *ram)
{
    uint8_t *v = ram + VMCB;
    st32le(v + 0x0c, 1u << (VMEXIT_CPUID & 31));
    st32le(v + 0x10, 1u << (VMEXIT_VMRUN & 31));
    st32le(v + VMCB_ASID, 1);
    st16le(v + VMCB_ES + 0x10 + VMCB_SEG_ATTR, 0xa9b);
    st16le(v + VMCB_ES + 0x20 + VMCB_SEG_ATTR, 0xc93);
    st64le(v + VMCB_CR0, CR0_PE | CR0_ET | CR0_PG);
    st64le(v + VMCB_CR4, CR4_PAE);
    st64le(v + VMCB_CR3, GUEST_TABLES);
    st64le(v + VMCB_EFER, EFER_LME | EFER_LMA | EFER_SVME);
    st64le(v + VMCB_DR6, 0xffff0ff0);
    st64le(v + VMCB_DR7, 0x400);
    st64le(v + VMCB_RFLAGS, 2);
    st64le(v + VMCB_RIP, GUEST_CODE);
    st64le(v + VMCB_RAX, 41);
}

/* One instruction, with the change of worlds that it may bring. */
static void step(Cpu *cpu)
{
    if (_setjmp(cpu->unwind)) {
        g_assert_false(cpu->fault.raised);
        svm_switch(cpu);
        return;
    }
    const Insn *i = code_lookup(cpu, cpu->rip)->insn;
    i->fn(cpu, i);
    if (!i->jump)
        cpu->rip += i->len;
}

static const uint8_t host_code[] = { 0x0f, 0x01, 0xd8, 0x90 };             /* vmrun; nop */
static const uint8_t guest_code[] = { 0x48, 0xff, 0xc0, 0x0f, 0xa2, 0x90 }; /* inc rax; cpuid; nop */

static Subject guest_started(void)
{
    Subject s = subject_with_svm();
    put_tables(s.ram, TABLES, GUEST_CODE);
    put_tables(s.ram, GUEST_TABLES, OTHER_PAGE);
    put_vmcb(s.ram);
    memcpy(s.ram + HOST_CODE, host_code, sizeof host_code);
    memcpy(s.ram + OTHER_PAGE, guest_code, sizeof guest_code);
    memset(s.ram + GUEST_CODE, 0x90, sizeof guest_code);
    enter_long_mode(s.cpu);
    s.cpu->rip = HOST_CODE;
    s.cpu->gpr[R_AX] = VMCB;
    s.cpu->gpr[R_SP] = 0x7000;
    step(s.cpu);
    g_assert_true(s.cpu->svm.guest);
    g_assert_cmphex(s.cpu->rip, ==, GUEST_CODE);
    g_assert_cmpuint(s.cpu->gpr[R_AX], ==, 41);
    return s;
}

/* The guest's CPUID leaves it for the host. */
static void finish(Subject *s)
{
    Cpu *cpu = s->cpu;
    step(cpu);
    g_assert_false(cpu->svm.guest);
    g_assert_false(cpu->svm.gif);
    g_assert_cmphex(cpu->rip, ==, HOST_CODE + 3);
    g_assert_cmphex(cpu->cr3, ==, TABLES);
    g_assert_cmphex(cpu->gpr[R_AX], ==, VMCB);
    g_assert_cmphex(cpu->gpr[R_SP], ==, 0x7000);
    g_assert_cmphex(ld64le(s->ram + VMCB + VMCB_EXITCODE), ==, VMEXIT_CPUID);
    g_assert_cmphex(ld64le(s->ram + VMCB + VMCB_RIP), ==, GUEST_CODE + 3);
    g_assert_cmphex(ld64le(s->ram + VMCB + VMCB_NEXT_RIP), ==, GUEST_CODE + 5);
    g_assert_cmpuint(ld64le(s->ram + VMCB + VMCB_RAX), ==, 42);
}

static void test_run(void)
{
    Subject s = guest_started();
    step(s.cpu);
    g_assert_cmpuint(s.cpu->gpr[R_AX], ==, 42);
    finish(&s);
}

static void test_saved(void)
{
    Subject a = guest_started(), b = subject_with_svm();
    g_autoptr(GByteArray) saved = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    size_t pos = 0;
    step(a.cpu);
    cpu_pre_save(a.cpu);
    state_save(cpu_state_fields, a.cpu, saved);
    memcpy(b.ram, a.ram, RAM);
    g_assert_true(state_load(cpu_state_fields, b.cpu, "cpu", saved->data, saved->len, &pos, &err));
    g_assert_no_error(err);
    cpu_post_load(b.cpu);
    g_assert_true(b.cpu->svm.guest);
    finish(&b);
}

/* The host's page at the guest's RIP is another one; both stay known over a change of worlds. */
static void test_worlds(void)
{
    Subject s = guest_started();
    step(s.cpu);
    finish(&s);
    s.cpu->rip = GUEST_CODE;
    step(s.cpu);
    g_assert_cmphex(s.cpu->rip, ==, GUEST_CODE + 1); /* a NOP */
    s.cpu->rip = HOST_CODE;
    s.cpu->gpr[R_AX] = VMCB;
    st64le(s.ram + VMCB + VMCB_RIP, GUEST_CODE);
    st64le(s.ram + GUEST_TABLES + 0x3000 + (GUEST_CODE >> 12) * 8, 0); /* unnoticed as long as nothing is flushed */
    step(s.cpu);
    step(s.cpu);
    g_assert_cmphex(s.cpu->rip, ==, GUEST_CODE + 3);
    g_assert_cmpuint(s.cpu->gpr[R_AX], ==, 43);
    step(s.cpu);
    s.cpu->rip = HOST_CODE;
    s.cpu->gpr[R_AX] = VMCB;
    st64le(s.ram + VMCB + VMCB_RIP, GUEST_CODE);
    s.ram[VMCB + VMCB_TLB_CONTROL] = 1;
    st32le(s.ram + VMCB + 8, 1u << EXC_PF);
    step(s.cpu);
    g_assert_true(s.cpu->svm.guest);
    if (!_setjmp(s.cpu->unwind)) {
        code_lookup(s.cpu, s.cpu->rip);
        g_assert_not_reached();
    }
    g_assert_true(s.cpu->fault.raised);
    g_assert_cmpuint(s.cpu->fault.vector, ==, EXC_PF);
    s.cpu->fault.raised = false;
}

/* Instructions of other makers and younger ones leave by the code of those they are like. */
static void test_alike(void)
{
    static const struct { uint8_t code[3]; uint16_t exit; } insns[] = {
        { { 0x0f, 0x01, 0xfa }, VMEXIT_MONITOR }, /* MONITORX */
        { { 0x0f, 0x01, 0xfb }, VMEXIT_MWAIT },   /* MWAITX */
        { { 0x0f, 0x01, 0xc6 }, VMEXIT_MSR },     /* WRMSRNS */
    };
    for (unsigned k = 0; k < ARRAY_SIZE(insns); k++) {
        Subject s = guest_started();
        memcpy(s.ram + OTHER_PAGE, insns[k].code, 3);
        s.cpu->svm.intercept[insns[k].exit / 32] |= 1u << insns[k].exit % 32;
        s.cpu->gpr[R_CX] = 0xffffffff; /* an MSR that the map does not have */
        code_flush(s.cpu->code);
        step(s.cpu);
        g_assert_false(s.cpu->svm.guest);
        g_assert_cmphex(ld64le(s.ram + VMCB + VMCB_EXITCODE), ==, insns[k].exit);
        g_assert_cmphex(ld64le(s.ram + VMCB + VMCB_NEXT_RIP), ==, GUEST_CODE + 3);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/svm/run", test_run);
    g_test_add_func("/svm/saved", test_saved);
    g_test_add_func("/svm/worlds", test_worlds);
    g_test_add_func("/svm/alike", test_alike);
    return g_test_run();
}
