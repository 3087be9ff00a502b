/* Cases in Myna's interpreter: a CPU in long mode at CPL 3, with page tables that show the case's address space. */
#include "tests/cpu/case.h"

#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "util/bits.h"
#include "util/endian.h"

static Machine *machine;
static Cpu *cpu;
static uint8_t *ram;

enum { TABLES = 0x1000, CODE_GPA = 0x10000, DATA_GPA = 0x20000, RAM = 0x100000 };

static void map_page(uint64_t la, uint64_t gpa, uint64_t nx)
{
    static uint64_t used = TABLES + 0x1000;
    uint64_t table = TABLES;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint8_t *entry = ram + table + (la >> shift & 511) * 8;
        if (!ld64le(entry)) {
            st64le(entry, used | 7);
            used += 0x1000;
        }
        table = ld64le(entry) & ~UINT64_C(0xfff);
    }
    st64le(ram + table + (la >> 12 & 511) * 8, gpa | 7 | nx);
}

void emulated_start(void)
{
    machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    ram = region_host(r);
    cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    map_page(CODE_BASE, CODE_GPA, 0);
    for (unsigned at = 0; at < DATA_SIZE; at += 4096)
        map_page(DATA_BASE + at, DATA_GPA + at, BIT(63));
}

const InsnDecoder *emulated_decoder(void) { return cpu->decoder; }

static void set_user_mode(unsigned size)
{
    uint16_t data = SA_P | SA_S | SA_DPL | SA_WRITABLE | SA_ACCESSED | SA_DB | SA_G;
    uint16_t code = SA_P | SA_S | SA_DPL | SA_CODE | SA_WRITABLE | SA_ACCESSED | SA_G | (size == SZ64 ? SA_L : SA_DB);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (Segment){ .sel = 0x2b, .limit = 0xffffffff, .attr = data };
    cpu->seg[SEG_CS] = (Segment){ .sel = size == SZ64 ? 0x33 : 0x23, .limit = 0xffffffff, .attr = code };
    cpu->seg[SEG_TR] = (Segment){ .sel = 0x40, .limit = 0x67, .attr = SA_P | 11 };
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE;
    cpu->cr3 = TABLES;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->eflags = F_IF;
    cpu_update_mode(cpu);
}

static void load(const Registers *in)
{
    memcpy(cpu->gpr, in->gpr, sizeof in->gpr);
    cpu->rip = in->rip;
    for (unsigned k = 0; k < 16; k++)
        memcpy(cpu->vec[k].q, in->xmm[k], 16);
    for (unsigned k = 0; k < 8; k++)
        cpu->fpu.reg[k] = (Float80){ in->st_mant[k], in->st_sexp[k] };
    cpu->fpu.control = in->fcw;
    cpu->fpu.status = in->fsw & ~0x3800;
    cpu->fpu.top = in->fsw >> 11 & 7;
    cpu->fpu.tags = in->tags;
    cpu->mxcsr = in->mxcsr;
    cpu_set_eflags(cpu, in->eflags, F_ARITH | F_DF | F_IF);
}

static void save(Registers *out)
{
    memcpy(out->gpr, cpu->gpr, sizeof out->gpr);
    out->rip = cpu->rip;
    for (unsigned k = 0; k < 16; k++)
        memcpy(out->xmm[k], cpu->vec[k].q, 16);
    for (unsigned k = 0; k < 8; k++) {
        out->st_mant[k] = cpu->fpu.reg[k].mant;
        out->st_sexp[k] = cpu->fpu.reg[k].sexp;
    }
    out->fcw = cpu->fpu.control;
    out->fsw = cpu->fpu.status | cpu->fpu.top << 11;
    out->tags = cpu->fpu.tags;
    out->mxcsr = cpu->mxcsr;
    out->eflags = cpu_eflags(cpu);
}

/* The instruction to its end: a repeated one may take several goes. */
static void execute(void)
{
    uint64_t start = cpu->rip;
    for (unsigned goes = 0; cpu->rip == start && goes < 1000; goes++) {
        atomic_store(&cpu->attention, 0);
        Block *b = code_lookup(cpu, cpu->rip);
        const Insn *i = b->insn;
        cpu->insn_end = i + 1;
        i->fn(cpu, i);
        if (!i->jump)
            cpu->rip = next_rip(cpu, i);
    }
    code_lookup(cpu, cpu->rip); /* a jump may lead where nothing can be fetched */
}

void emulated_run(const Case *c, Outcome *o)
{
    set_user_mode(c->size);
    load(&c->in);
    memset(ram + CODE_GPA, 0xcc, 4096);
    memcpy(ram + CODE_GPA + (INSN_AT - CODE_BASE), c->code, c->length);
    case_fill_data(c, ram + DATA_GPA);
    code_flush(cpu->code);
    tlb_flush_all(cpu);
    o->vector = NO_FAULT;
    o->error = 0;
    o->address = 0;
    if (!_setjmp(cpu->unwind)) {
        execute();
    } else {
        o->vector = cpu->fault.vector;
        o->error = cpu->fault.has_error ? cpu->fault.error : 0;
        o->address = o->vector == EXC_PF ? cpu->cr2 : 0;
        cpu->fault.raised = false;
    }
    cpu->run_state = CPU_RUNNING;
    cpu->shadow = 0;
    save(&o->out);
    memcpy(o->data, ram + DATA_GPA, DATA_SIZE);
}
