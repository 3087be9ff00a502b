/*
 * A CPU as boards and faces use it: make, run, stop, look at.
 */
#ifndef MYNA_CPU_CPU_H
#define MYNA_CPU_CPU_H

#include <glib.h>

#include "core/cpuport.h"
#include "core/state.h"
#include "cpu/state.h"

/*
 * Parses "-cpu NAME[,+flag|,-flag|,flag=on|off]..." and returns a model, owned by the caller (cpu_model_free), or NULL
 * with *err naming the part that is wrong, what is allowed, and the nearest known name.
 */
CpuModel *cpu_model_parse(const char *spec, GError **err);
void cpu_model_free(CpuModel *model);

/*
 * Appends the list of models (`-cpu help`), or what a model has and lacks (`-cpu NAME,+flag,help`; false with *err when
 * there is no such model or flag).
 */
void cpu_model_list(GString *out);
bool cpu_model_list_flags(const char *spec, GString *out, GError **err);

/* The x86-64 psABI level that a model reaches, 1 to 4; 0: none. */
unsigned cpu_model_level(const CpuModel *model);

/* The default model's name. */
extern const char cpu_model_default[];

/*
 * A CPU of the machine, in its power-on state, not running.  The model must outlive it.  index is 0 for the boot
 * processor; apic_id what CPUID and the local APIC report.
 */
Cpu *cpu_new(Machine *machine, const CpuModel *model, unsigned index, uint32_t apic_id);
void cpu_free(Cpu *cpu);

/* The lines into this CPU, for interrupt controllers and boards; callable from any thread (core/cpuport.h). */
const CpuPort *cpu_port(Cpu *cpu);

/* Connects the local interrupt controller, before the CPU first runs. */
void cpu_set_intc(Cpu *cpu, const IntcOps *ops, void *opaque);

/*
 * Runs in the calling thread until EVENT_STOP; halted time is spent waiting.  Guest faults never leave this function;
 * a shutdown (triple fault) is reported and becomes a machine reset request.
 */
void cpu_run(Cpu *cpu);

/*
 * For several CPUs in one thread: runs in the calling thread for about that many instructions at most, or until the CPU
 * halts, waits for another (cpu_yield) or sees EVENT_STOP.  Whether it has more to do; a CPU that has not does nothing.
 */
bool cpu_run_slice(Cpu *cpu, unsigned instructions);

/* Prepares CPUs for that, before they first run; waits until something wants the attention of one of them. */
void cpus_share_thread(Cpu *const *cpus, unsigned count);
void cpus_wait(Cpu *const *cpus, unsigned count);

/* Power-on reset; the CPU must not be running. */
void cpu_reset(Cpu *cpu);

/* Writes registers in the format of QEMU's `info registers` to out. */
void cpu_dump(Cpu *cpu, GString *out);

/* Copies guest memory at a linear address as the CPU maps it now, without side effects; false if any is not mapped. */
bool cpu_read_linear(Cpu *cpu, uint64_t la, void *buf, size_t size);

/* The linear address of the instruction at RIP. */
static inline uint64_t cpu_linear_rip(const Cpu *cpu)
{
    return cpu->code_size == SZ64 ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

/*
 * As cpu_read_linear() to guest memory, ROM too, whatever the pages allow; false, with nothing written, if any is not mapped.  Code
 * that was decoded from there is dropped.
 */
bool cpu_write_linear(Cpu *cpu, uint64_t la, const void *buf, size_t size);

/* Saves and restores all architectural state (core/state.h). */
extern const StateField cpu_state_fields[];
void cpu_pre_save(Cpu *cpu);
void cpu_post_load(Cpu *cpu);

/*
 * Disassembles the instruction at bytes[0..size) for address rip with code size SZ16/SZ32/SZ64, appending e.g.
 * "mov eax, 1" to out; returns its length, or 1 with "(bad)".  By capstone when built with it, else by mnemonic only.
 */
unsigned cpu_disassemble(unsigned code_size, uint64_t rip, const uint8_t *bytes, size_t size, GString *out);

#endif
