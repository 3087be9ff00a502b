/*
 * Cases in Myna: CPUs in long mode at CPL 3, with page tables that show the case's address space; one interprets, the
 * other has everything recompiled before it runs.
 */
#include "tests/cpu/case.h"

#include <glib.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "tcg/tcg.h"
#include "util/bits.h"
#include "util/endian.h"

typedef struct Emulated {
    Cpu *cpu;
    uint8_t *ram;
    uint64_t tables_used;
} Emulated;

static Emulated interpreter, recompiler;
static RecompiledCounts counts;

enum { TABLES = 0x1000, CODE_GPA = 0x10000, DATA_GPA = 0x20000, RAM = 0x100000 };

static void map_page(Emulated *m, uint64_t la, uint64_t gpa, uint64_t nx)
{
    uint64_t table = TABLES;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint8_t *entry = m->ram + table + (la >> shift & 511) * 8;
        if (!ld64le(entry)) {
            m->tables_used += 0x1000;
            st64le(entry, (TABLES + m->tables_used) | 7);
        }
        table = ld64le(entry) & ~UINT64_C(0xfff);
    }
    st64le(m->ram + table + (la >> 12 & 511) * 8, gpa | 7 | nx);
}

static void start(Emulated *m)
{
    Machine *machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    m->ram = region_host(r);
    m->cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    map_page(m, CODE_BASE, CODE_GPA, 0);
    for (unsigned at = 0; at < DATA_SIZE; at += 4096)
        map_page(m, DATA_BASE + at, DATA_GPA + at, BIT(63));
}

void emulated_start(bool narrow)
{
    start(&interpreter);
    start(&recompiler);
    if (tcg_available())
        tcg_attach(recompiler.cpu, &(TcgConfig){ .hot_after = 1, .code_bytes = 4u << 20, .narrow = narrow }, NULL);
}

const InsnDecoder *emulated_decoder(void) { return interpreter.cpu->decoder; }
RecompiledCounts recompiled_counts(void) { return counts; }

static void set_user_mode(Cpu *cpu, unsigned size)
{
    uint16_t data = SA_P | SA_S | SA_DPL | SA_WRITABLE | SA_ACCESSED | SA_DB | SA_G;
    uint16_t code = SA_P | SA_S | SA_DPL | SA_CODE | SA_WRITABLE | SA_ACCESSED | SA_G | (size == SZ64 ? SA_L : SA_DB);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (Segment){ .sel = 0x2b, .limit = 0xffffffff, .attr = data };
    cpu->seg[SEG_CS] = (Segment){ .sel = size == SZ64 ? 0x33 : 0x23, .limit = 0xffffffff, .attr = code };
    cpu->seg[SEG_TR] = (Segment){ .sel = 0x40, .limit = 0x67, .attr = SA_P | 11 };
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE;
    cpu->xcr0 = XCR0_X87 | XCR0_AVX512_STATE;
    cpu->cr3 = TABLES;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->eflags = F_IF;
    cpu_update_mode(cpu);
}

static void load(Cpu *cpu, const Registers *in)
{
    registers_load(cpu, in);
    cpu_set_eflags(cpu, in->eflags, F_ARITH | F_DF | F_IF);
}

static bool is_inside(const Cpu *cpu, const Case *c) { return cpu->rip - INSN_AT < c->length; }

static void interpret_one(Cpu *cpu)
{
    const Insn *i = code_lookup(cpu, cpu->rip)->insn;
    cpu->insn_end = i + 1;
    i->fn(cpu, i);
    if (!i->jump)
        cpu->rip = next_rip(cpu, i);
}

/* What begins here, recompiled where it can be. */
static void run_recompiled(Cpu *cpu)
{
    const CodeEngine *engine = cpu->code->engine;
    Block *b = code_lookup(cpu, cpu->rip);
    if (!b->host)
        engine->hot(cpu, b);
    if (b->host) {
        counts.ran++;
        engine->run(cpu, b);
    } else {
        interpret_one(cpu);
        counts.interpreted++;
    }
}

/* To the end: a repeated instruction may take several goes. */
static void execute(Cpu *cpu, const Case *c)
{
    for (unsigned goes = 0; is_inside(cpu, c) && goes < 1000; goes++) {
        atomic_store(&cpu->attention, 0);
        if (cpu->code->engine)
            run_recompiled(cpu);
        else
            interpret_one(cpu);
    }
    code_lookup(cpu, cpu->rip); /* a jump may lead where nothing can be fetched */
}

/* Recompiled code runs on into what stands behind the case, which is HLT: #GP there is the end. */
static bool is_end(const Cpu *cpu, const Case *c)
{
    return cpu->code->engine && cpu->fault.vector == EXC_GP && !is_inside(cpu, c);
}

static void run(Emulated *m, const Case *c, Outcome *o)
{
    Cpu *cpu = m->cpu;
    o->vector = NO_FAULT;
    o->error = 0;
    o->address = 0;
    if (!_setjmp(cpu->unwind)) {
        execute(cpu, c);
    } else {
        if (cpu->rec.here)
            cpu->code->engine->unwound(cpu);
        if (!is_end(cpu, c)) {
            o->vector = cpu->fault.vector;
            o->error = cpu->fault.has_error ? cpu->fault.error : 0;
            o->address = o->vector == EXC_PF ? cpu->cr2 : 0;
        }
        cpu->fault.raised = false;
    }
}

static void run_case(Emulated *m, const Case *c, Outcome *o, bool flush_tlb)
{
    Cpu *cpu = m->cpu;
    set_user_mode(cpu, c->size);
    load(cpu, &c->in);
    memset(m->ram + CODE_GPA, cpu->code->engine ? 0xf4 : 0xcc, 4096);
    memcpy(m->ram + CODE_GPA + (INSN_AT - CODE_BASE), c->code, c->length);
    case_fill_data(c, m->ram + DATA_GPA);
    code_flush(cpu->code);
    if (flush_tlb)
        tlb_flush_all(cpu);
    run(m, c, o);
    cpu->run_state = CPU_RUNNING;
    cpu->shadow = 0;
    registers_save(cpu, &o->out);
    memcpy(o->data, m->ram + DATA_GPA, DATA_SIZE);
}

void emulated_run(const Case *c, Outcome *o) { run_case(&interpreter, c, o, true); }

/* With a full TLB as a rule, so that slow paths are the exception. */
void recompiled_run(const Case *c, Outcome *o) { run_case(&recompiler, c, o, c->seed >> 2 & 1); }
