/*
 * CPUID (SDM vol. 2A, CPUID; AMD APM vol. 3 appendix E).
 *
 * The feature bits come from FEATURES (features.h); this file adds what is not a feature: identity, caches, topology,
 * and the bits that follow the processor's state.
 */
#include <string.h>

#include "core/machine.h"
#include "cpu/model.h"
#include "cpu/svm.h"
#include "cpu/system.h"
#include "cpu/topology.h"
#include "cpu/xsave.h"
#include "util/endian.h"

enum { HYPERVISOR_BASE = 0x40000000, HYPERVISOR_TIMING = 0x40000010 };
enum { APIC_BASE_ENABLE = 1 << 11, MISC_ENABLE_MONITOR = 1 << 18, MISC_ENABLE_LIMIT = 1 << 22 };

typedef struct Place {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
    uint16_t feature;
} Place;

#define FEATURE_PLACE(name, option, leaf, subleaf, reg, bit) { leaf, subleaf, reg, bit, FEAT_##name },
static const Place places[] = { FEATURES(FEATURE_PLACE) };

static void add_features(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned k = 0; k < ARRAY_SIZE(places); k++)
        if (places[k].leaf == leaf && places[k].subleaf == subleaf && cpu_has(cpu, places[k].feature))
            out[places[k].reg] |= 1u << places[k].bit;
}

static uint32_t last_subleaf(const Cpu *cpu, uint32_t leaf)
{
    uint32_t last = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(places); k++)
        if (places[k].leaf == leaf && cpu_has(cpu, places[k].feature))
            last = MAX(last, places[k].subleaf);
    return last;
}

static bool is_intel(const Cpu *cpu) { return cpu->model->vendor == VENDOR_INTEL; }
static bool is_amd(const Cpu *cpu) { return cpu->model->vendor == VENDOR_AMD; }

static void put_vendor(const CpuModel *m, uint32_t out[4])
{
    out[CPUID_EBX] = ld32le(m->vendor_id);
    out[CPUID_EDX] = ld32le(m->vendor_id + 4);
    out[CPUID_ECX] = ld32le(m->vendor_id + 8);
}

/* Family and model with their extensions (SDM vol. 2A figure 3-6). */
uint32_t cpuid_signature(const CpuModel *m)
{
    unsigned family = MIN(m->family, 15), high_model = family == 6 || family == 15 ? m->model >> 4 : 0;
    return (m->stepping & 15) | (m->model & 15) << 4 | family << 8 | high_model << 16 | (m->family - family) << 20;
}

/* CPUID shows the APIC only while IA32_APIC_BASE enables it (SDM vol. 3A 11.4.3). */
static bool apic_enabled(const Cpu *cpu)
{
    if (!cpu->intc)
        return false;
    machine_lock(cpu->machine);
    uint64_t base = cpu->intc->base_read(cpu->intc_opaque);
    machine_unlock(cpu->machine);
    return base & APIC_BASE_ENABLE;
}

/* Logical processors of the package: Intel tells how many ids are kept for them, AMD their number. */
static unsigned logical_count(const Cpu *cpu)
{
    return is_amd(cpu) ? topology_logical(cpu->machine) : 1u << topology_shifts(cpu->machine).package;
}

static void leaf_signature(const Cpu *cpu, uint32_t out[4])
{
    unsigned ids = logical_count(cpu);
    out[CPUID_EAX] = cpuid_signature(cpu->model);
    out[CPUID_EBX] = cpu->apic_id << 24 | MIN(ids, 255) << 16 | (cpu_has(cpu, FEAT_CLFLUSH) ? 8 << 8 : 0);
    if (ids > 1)
        out[CPUID_EDX] |= 1 << 28;
    if (cpu->cr4 & CR4_OSXSAVE)
        out[CPUID_ECX] |= 1 << 27;
    if (!apic_enabled(cpu))
        out[CPUID_EDX] &= ~(1u << 9);
    if (is_intel(cpu) && !(cpu->misc_enable & MISC_ENABLE_MONITOR))
        out[CPUID_ECX] &= ~(1u << 3);
}

/* Who shares a cache. */
enum { SHARED_BY_CORE, SHARED_BY_DIE };

/* The caches that leaves 2, 4 and 80000005h.. tell of: what a plain desktop processor has. */
typedef struct Cache {
    uint8_t type; /* 1 data, 2 instructions, 3 both */
    uint8_t level, ways;
    uint32_t sets;
    uint8_t shared; /* SHARED_* */
} Cache;
enum { CACHE_LINE = 64 };
static const Cache caches[] = {
    { 1, 1, 8, 64, SHARED_BY_CORE }, { 2, 1, 8, 64, SHARED_BY_CORE }, { 3, 2, 8, 4096, SHARED_BY_CORE },
    { 3, 3, 16, 16384, SHARED_BY_DIE },
};

/* Descriptors of the same four: 2Ch, 30h, 7Dh, 4Dh (SDM vol. 2A table 3-12). */
static void leaf_descriptors(uint32_t out[4])
{
    out[CPUID_EAX] = 1;
    out[CPUID_ECX] = 0x4d;
    out[CPUID_EDX] = 0x2c307d;
}

static void put_cache(const Cpu *cpu, uint32_t subleaf, bool intel_cores, uint32_t out[4])
{
    if (subleaf >= ARRAY_SIZE(caches))
        return;
    const Cache *c = &caches[subleaf];
    IdShifts s = topology_shifts(cpu->machine);
    unsigned sharing = 1u << (c->shared == SHARED_BY_DIE ? s.die : s.core);
    out[CPUID_EAX] = c->type | c->level << 5 | 1 << 8 | (sharing - 1) << 14;
    if (intel_cores)
        out[CPUID_EAX] |= MIN((1u << (s.package - s.core)) - 1, 63) << 26;
    out[CPUID_EBX] = (CACHE_LINE - 1) | (uint32_t)(c->ways - 1) << 22;
    out[CPUID_ECX] = c->sets - 1;
}

/* Sizes of the standard form, enabled now and at most; of the compacted form; then a subleaf a component. */
static void leaf_xsave(const Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint64_t user = xcr0_supported(cpu), supervisor = xss_supported(cpu);
    if (!cpu_has(cpu, FEAT_XSAVE))
        return;
    if (subleaf == 0) {
        out[CPUID_EAX] = user;
        out[CPUID_EBX] = xsave_area_size(cpu, cpu->xcr0, false);
        out[CPUID_ECX] = xsave_area_size(cpu, user, false);
        out[CPUID_EDX] = user >> 32;
    } else if (subleaf == 1 && cpu_has(cpu, FEAT_XSAVEC)) {
        out[CPUID_EBX] = xsave_area_size(cpu, cpu->xcr0 | cpu->xss, true);
        out[CPUID_ECX] = supervisor;
        out[CPUID_EDX] = supervisor >> 32;
    } else {
        xsave_describe(cpu, subleaf, out);
    }
}

/* MWAIT: lines of 64 bytes; interrupts may be break events though masked. */
static void leaf_monitor(const Cpu *cpu, uint32_t out[4])
{
    if (!cpu_has(cpu, FEAT_MONITOR) && !cpu_has(cpu, FEAT_MONITORX))
        return;
    out[CPUID_EAX] = out[CPUID_EBX] = CACHE_LINE;
    out[CPUID_ECX] = 3;
}

/*
 * The TSC is the crystal times 1/1, and the local APIC's timer counts the crystal too, as SDM vol. 3A 11.5.4 says; so
 * a guest need not calibrate either.
 */
static void leaf_tsc(uint32_t out[4])
{
    out[CPUID_EAX] = out[CPUID_EBX] = 1;
    out[CPUID_ECX] = CPU_TSC_HZ;
}

static void leaf_frequency(uint32_t out[4])
{
    out[CPUID_EAX] = out[CPUID_EBX] = CPU_TSC_HZ / 1000000;
    out[CPUID_ECX] = 100;
}

/* Only leaf 1Fh tells of dies. */
enum { LEAF_DIES = 0x1f };
static uint32_t highest_leaf(const Cpu *cpu)
{
    return is_intel(cpu) && topology_dies(cpu->machine) > 1 ? MAX(cpu->model->level, LEAF_DIES) : cpu->model->level;
}

static void basic_leaf(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        out[CPUID_EAX] = highest_leaf(cpu);
        if (is_intel(cpu) && (cpu->misc_enable & MISC_ENABLE_LIMIT))
            out[CPUID_EAX] = MIN(out[CPUID_EAX], 3);
        put_vendor(cpu->model, out);
        break;
    case 1: leaf_signature(cpu, out); break;
    case 2:
        if (is_intel(cpu))
            leaf_descriptors(out);
        break;
    case 4:
        if (is_intel(cpu))
            put_cache(cpu, subleaf, true, out);
        break;
    case 5: leaf_monitor(cpu, out); break;
    case 7:
        if (subleaf == 0)
            out[CPUID_EAX] = last_subleaf(cpu, leaf);
        if (subleaf == 0 && (cpu->cr4 & CR4_PKE))
            out[CPUID_ECX] |= 1 << 4;
        break;
    case 0xb: topology_leaf(cpu->machine, cpu->apic_id, subleaf, false, out); break;
    case 0xd: leaf_xsave(cpu, subleaf, out); break;
    case 0x15: leaf_tsc(out); break;
    case 0x16: leaf_frequency(out); break;
    case LEAF_DIES: topology_leaf(cpu->machine, cpu->apic_id, subleaf, true, out); break;
    }
}

/* "MynaMynaMyna"; at 40000010h the frequencies of the TSC and the APIC timer in kHz, where VMware put them first. */
static void hypervisor_leaf(uint32_t leaf, uint32_t out[4])
{
    if (leaf == HYPERVISOR_BASE) {
        out[CPUID_EAX] = HYPERVISOR_TIMING;
        out[CPUID_EBX] = out[CPUID_ECX] = out[CPUID_EDX] = ld32le("Myna");
    } else if (leaf == HYPERVISOR_TIMING) {
        out[CPUID_EAX] = out[CPUID_EBX] = CPU_TSC_HZ / 1000;
    }
}

/* AMD repeats most of leaf 1's EDX; Intel shows SYSCALL in 64-bit mode only. */
static void leaf_extended_features(const Cpu *cpu, uint32_t out[4])
{
    if (is_amd(cpu)) {
        uint32_t basic[4];
        cpuid_read(cpu, 1, 0, basic);
        out[CPUID_EAX] = basic[CPUID_EAX];
        out[CPUID_EDX] |= basic[CPUID_EDX] & 0x0183f3ff;
        if (logical_count(cpu) > 1)
            out[CPUID_ECX] |= 1 << 1;
    } else if (!cpu_code64(cpu)) {
        out[CPUID_EDX] &= ~(1u << 11);
    }
}

static void leaf_model_id(const CpuModel *m, unsigned part, uint32_t out[4])
{
    char id[48];
    memset(id, 0, sizeof id);
    memcpy(id, m->model_id, strlen(m->model_id));
    for (unsigned k = 0; k < 4; k++)
        out[k] = ld32le(id + part * 16 + k * 4);
}

/* AMD's L1 caches and TLBs. */
static void leaf_amd_l1(uint32_t out[4])
{
    out[CPUID_EAX] = out[CPUID_EBX] = 0x01ff01ff;
    out[CPUID_ECX] = out[CPUID_EDX] = 32u << 24 | 8 << 16 | 1 << 8 | CACHE_LINE;
}

/* L2 of 2 MiB, 8 ways (code 6); AMD: L3 of 16 MiB in units of 512 KiB, 16 ways (code 8). */
static void leaf_l2(const Cpu *cpu, uint32_t out[4])
{
    out[CPUID_ECX] = 2048u << 16 | 6 << 12 | CACHE_LINE;
    if (!is_amd(cpu))
        return;
    out[CPUID_EAX] = 0x42004200;
    out[CPUID_EBX] = 0x42004200;
    out[CPUID_ECX] |= 1 << 8;
    out[CPUID_EDX] = 32u << 18 | 8 << 12 | 1 << 8 | CACHE_LINE;
}

static void leaf_sizes(const Cpu *cpu, uint32_t out[4])
{
    out[CPUID_EAX] = cpu->physical_bits | cpu->max_linear_bits << 8;
    if (is_amd(cpu))
        out[CPUID_ECX] = (logical_count(cpu) - 1) | topology_shifts(cpu->machine).package << 12;
    if (cpu_has(cpu, FEAT_RDPRU))
        out[CPUID_EDX] = 1 << 16;
}

static void extended_leaf(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000:
        out[CPUID_EAX] = cpu->model->xlevel;
        if (is_amd(cpu))
            put_vendor(cpu->model, out);
        break;
    case 0x80000001: leaf_extended_features(cpu, out); break;
    case 0x80000002 ... 0x80000004: leaf_model_id(cpu->model, leaf - 0x80000002, out); break;
    case 0x80000005:
        if (is_amd(cpu))
            leaf_amd_l1(out);
        break;
    case 0x80000006: leaf_l2(cpu, out); break;
    case 0x80000008: leaf_sizes(cpu, out); break;
    case 0x8000000a:
        if (cpu_has(cpu, FEAT_SVM)) {
            out[CPUID_EAX] = 1; /* revision */
            out[CPUID_EBX] = SVM_ASIDS;
        }
        break;
    case 0x8000001d:
        if (cpu_has(cpu, FEAT_TOPOEXT))
            put_cache(cpu, subleaf, false, out);
        break;
    case 0x8000001e:
        if (cpu_has(cpu, FEAT_TOPOEXT))
            topology_leaf_amd(cpu->machine, cpu->apic_id, out);
        break;
    }
}

/*
 * A leaf beyond the highest one gives zeros on AMD, and on Intel what the highest basic leaf gives.  False: zeros.
 */
static bool clamp_leaf(const Cpu *cpu, uint32_t *leaf)
{
    const CpuModel *m = cpu->model;
    uint32_t highest = highest_leaf(cpu);
    bool beyond = *leaf >> 31 ? *leaf > m->xlevel : *leaf > highest;
    if (!beyond)
        return true;
    *leaf = highest;
    return is_intel(cpu);
}

void cpuid_read(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    if (cpu_has(cpu, FEAT_HYPERVISOR) && leaf - HYPERVISOR_BASE < 0x100) {
        hypervisor_leaf(leaf, out);
        return;
    }
    if (!clamp_leaf(cpu, &leaf))
        return;
    /* Only these leaves have subleaves: the others ignore ECX. */
    bool indexed = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == LEAF_DIES ||
                   leaf == 0x8000001d;
    add_features(cpu, leaf, indexed ? subleaf : 0, out);
    if (leaf >> 31)
        extended_leaf(cpu, leaf, subleaf, out);
    else
        basic_leaf(cpu, leaf, subleaf, out);
}
