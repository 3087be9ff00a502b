/* Where a debugger wants a CPU to stop (stops.h). */
#include "cpu/stops.h"

void stops_set(Cpu *cpu, const StopPoint *points, unsigned count, StopsFn *fn, void *opaque)
{
    (void)cpu, (void)points, (void)count, (void)fn, (void)opaque;
}
void stops_step(Cpu *cpu, uint64_t count, bool interrupts) { (void)cpu, (void)count, (void)interrupts; }
void stops_pass(Cpu *cpu) { (void)cpu; }
void stops_hold(Cpu *cpu, bool held) { (void)cpu, (void)held; }
