#include "cpu/topology.h"

#include "cpu/features.h"
#include "util/bits.h"

/* Numbers that the board did not give: all processors are cores of one package. */
static CpuTopology topology_of(const Machine *m)
{
    CpuTopology t = m->topology;
    t.threads = MAX(t.threads, 1);
    t.dies = MAX(t.dies, 1);
    t.cores = t.cores ? t.cores : MAX(m->cpu_count, 1);
    return t;
}

static unsigned id_bits(unsigned count) { return count > 1 ? bit_highest(count - 1) + 1 : 0; }

IdShifts topology_shifts(const Machine *m)
{
    CpuTopology t = topology_of(m);
    IdShifts s = { .core = id_bits(t.threads) };
    s.die = s.core + id_bits(t.cores);
    s.package = s.die + id_bits(t.dies);
    return s;
}

uint32_t topology_apic_id(const Machine *m, unsigned index)
{
    CpuTopology t = topology_of(m);
    IdShifts s = topology_shifts(m);
    unsigned core = index / t.threads, die = core / t.cores, package = die / t.dies;
    return package << s.package | die % t.dies << s.die | core % t.cores << s.core | index % t.threads;
}

unsigned topology_threads(const Machine *m) { return topology_of(m).threads; }
unsigned topology_dies(const Machine *m) { return topology_of(m).dies; }

unsigned topology_logical(const Machine *m)
{
    CpuTopology t = topology_of(m);
    return t.threads * t.cores * t.dies;
}

/* A level: its type, how far an APIC id is shifted to reach the next, and how many processors it holds. */
static void put_level(uint32_t out[4], unsigned type, unsigned shift, unsigned processors)
{
    out[CPUID_EAX] = shift;
    out[CPUID_EBX] = processors;
    out[CPUID_ECX] |= type << 8;
}

void topology_leaf(const Machine *m, uint32_t apic_id, uint32_t subleaf, bool dies, uint32_t out[4])
{
    enum { THREADS = 1, CORES = 2, DIES = 5 };
    CpuTopology t = topology_of(m);
    IdShifts s = topology_shifts(m);
    unsigned package = t.threads * t.cores * t.dies;
    dies &= t.dies > 1;
    out[CPUID_ECX] = subleaf & 0xff;
    out[CPUID_EDX] = apic_id;
    if (subleaf == 0)
        put_level(out, THREADS, s.core, t.threads);
    else if (subleaf == 1)
        put_level(out, CORES, dies ? s.die : s.package, dies ? t.threads * t.cores : package);
    else if (subleaf == 2 && dies)
        put_level(out, DIES, s.package, package);
}

/* A die is a node. */
void topology_leaf_amd(const Machine *m, uint32_t apic_id, uint32_t out[4])
{
    CpuTopology t = topology_of(m);
    IdShifts s = topology_shifts(m);
    unsigned core = (apic_id & bit_mask(s.package)) >> s.core;
    out[CPUID_EAX] = apic_id;
    out[CPUID_EBX] = (core & 0xff) | (t.threads - 1) << 8;
    out[CPUID_ECX] = (apic_id >> s.die & 0xff) | (t.dies - 1) << 8;
}
