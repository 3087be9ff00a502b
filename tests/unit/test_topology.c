/* APIC ids, and what CPUID tells of threads, cores, dies and packages (cpu/topology.c). */
#include <glib.h>

#include "cpu/features.h"
#include "cpu/topology.h"
#include "util/bits.h"

static Machine machine_of(unsigned cpus, unsigned dies, unsigned cores, unsigned threads)
{
    return (Machine){ .cpu_count = cpus, .topology = { .dies = dies, .cores = cores, .threads = threads } };
}

/* Numbers that are not powers of two leave gaps between the ids. */
static void test_apic_ids(void)
{
    static const struct { unsigned dies, cores, threads; uint32_t ids[8]; } cases[] = {
        { 0, 0, 0, { 0, 1, 2, 3, 4, 5, 6, 7 } }, { 1, 2, 2, { 0, 1, 2, 3, 4, 5, 6, 7 } },
        { 1, 3, 1, { 0, 1, 2, 4, 5, 6, 8, 9 } }, { 2, 1, 3, { 0, 1, 2, 4, 5, 6, 8, 9 } },
        { 1, 1, 1, { 0, 1, 2, 3, 4, 5, 6, 7 } }, { 3, 1, 1, { 0, 1, 2, 4, 5, 6, 8, 9 } },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        Machine m = machine_of(8, cases[k].dies, cases[k].cores, cases[k].threads);
        for (unsigned n = 0; n < 8; n++)
            g_assert_cmpuint(topology_apic_id(&m, n), ==, cases[k].ids[n]);
    }
}

/* The levels that the leaf gives: type, shift and processors of each; then an invalid one. */
static void assert_levels(const Machine *m, bool dies, const unsigned levels[][3], unsigned count)
{
    for (unsigned k = 0; k <= count; k++) {
        uint32_t out[4] = { 0 };
        topology_leaf(m, 0x15, k, dies, out);
        g_assert_cmpuint(out[CPUID_EDX], ==, 0x15);
        g_assert_cmpuint(out[CPUID_ECX], ==, k | (k < count ? levels[k][0] << 8 : 0));
        g_assert_cmpuint(out[CPUID_EAX], ==, k < count ? levels[k][1] : 0);
        g_assert_cmpuint(out[CPUID_EBX], ==, k < count ? levels[k][2] : 0);
    }
}

static void test_leaves(void)
{
    static const unsigned plain[][3] = { { 1, 0, 1 }, { 2, 3, 6 } };
    static const unsigned flat[][3] = { { 1, 1, 2 }, { 2, 4, 12 } };
    static const unsigned with_dies[][3] = { { 1, 1, 2 }, { 2, 3, 6 }, { 5, 4, 12 } };
    Machine m = machine_of(6, 0, 0, 0);
    assert_levels(&m, false, plain, 2);
    assert_levels(&m, true, plain, 2);
    m = machine_of(24, 2, 3, 2);
    g_assert_cmpuint(topology_logical(&m), ==, 12);
    assert_levels(&m, false, flat, 2);
    assert_levels(&m, true, with_dies, 3);
}

static void test_amd(void)
{
    Machine m = machine_of(24, 2, 3, 2);
    uint32_t out[4] = { 0 };
    topology_leaf_amd(&m, topology_apic_id(&m, 23), out);
    g_assert_cmphex(out[CPUID_EAX], ==, 0x1d);          /* package 1, die 1, core 2, thread 1 */
    g_assert_cmphex(out[CPUID_EBX], ==, 1 << 8 | 6);    /* two threads; core 6 of the package's ids */
    g_assert_cmphex(out[CPUID_ECX], ==, 1 << 8 | 3);    /* two nodes a package; node 3 */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/topology/apic-ids", test_apic_ids);
    g_test_add_func("/topology/leaves", test_leaves);
    g_test_add_func("/topology/amd", test_amd);
    return g_test_run();
}
