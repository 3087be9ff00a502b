/*
 * What far transfers, interrupts and task switches share: stacks that are written before they become current, and
 * code segments that are checked before they are entered.  All checks come first; nothing of the CPU changes until
 * the commit and enter functions.
 */
#ifndef MYNA_CPU_CONTROL_STACK_H
#define MYNA_CPU_CONTROL_STACK_H

#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/descriptor.h"

/* Raises an exception with an error code and notes the reason for the triple-fault report (cpu_note_fault). */
#define control_fail(cpu, vector, error, ...)                                                                          \
    (cpu_note_fault((cpu), __VA_ARGS__), cpu_raise_error((cpu), (vector), (error)))

/*
 * Before an access that may page-fault while an exception is delivered: notes what it is ("reading IDT entry 14"),
 * unless the TLB shows that it cannot fail.
 */
void control_note_access(Cpu *cpu, uint64_t la, bool write, const char *what, unsigned number);

/* A stack that may not be the current one. */
typedef struct ControlStack {
    Segment ss;
    uint64_t sp;     /* the whole register */
    uint64_t mask;   /* of what pushes change */
    uint32_t error;  /* error code of its #SS */
    uint8_t cpl;     /* pushes are checked as at this level */
    bool flat;       /* 64-bit: no segmentation, canonical addresses */
} ControlStack;

/* The stack in use. */
ControlStack control_stack_current(const Cpu *cpu, uint32_t error);

/* The stack of level cpl in the 16- or 32-bit TSS, with all checks (#TS, #SS with ext). */
ControlStack control_stack_from_tss(Cpu *cpu, unsigned cpl, unsigned ext);

/* The stack whose pointer is at `offset` of the 64-bit TSS, for level cpl; SS becomes null. */
ControlStack control_stack_from_tss64(Cpu *cpu, unsigned offset, unsigned cpl, unsigned ext);

/* Raises #SS unless `count` pushes of `size` bytes are within the segment. */
void control_stack_reserve(Cpu *cpu, const ControlStack *s, unsigned count, unsigned size);

void control_stack_push(Cpu *cpu, ControlStack *s, uint64_t v, unsigned size);

/* Makes the stack current; cpu_update_mode() is left to code_enter(). */
void control_stack_commit(Cpu *cpu, const ControlStack *s);

/* Mask of the stack pointer under a code segment's and a stack segment's attributes. */
uint64_t stack_mask(const Cpu *cpu, uint16_t code_attr, uint16_t stack_attr);

/*
 * Reads and checks the stack segment that a transfer to level cpl loads: `vector` (#GP or #TS) or #SS with the
 * selector.  Sets it accessed.
 */
void stack_segment_read(Cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector, unsigned ext, Segment *s);

/* Reads the descriptor that a transfer names: #GP(ext) for a null selector, #GP(sel) beyond the table. */
void transfer_descriptor_read(Cpu *cpu, uint16_t sel, unsigned ext, Descriptor *d);

/* #GP(ext) unless rip is within the limit of the code segment, or canonical for a 64-bit one. */
void code_check_target(Cpu *cpu, const Descriptor *code, uint64_t rip, unsigned ext);

/* Loads CS with RPL = cpl, and RIP, and updates the derived state.  The caller has set the accessed bit. */
void code_enter(Cpu *cpu, uint16_t sel, unsigned cpl, const Descriptor *code, uint64_t rip);

/* A task switch in all its details; task_switch() is the short form. */
typedef struct TaskSwitch {
    enum TaskSwitchKind kind;
    uint16_t sel;       /* of the new TSS (or, with TASK_IRET, found in the back link by the caller) */
    bool has_error;     /* push error onto the new task's stack */
    uint32_t error;
    uint64_t rip;       /* saved in the outgoing TSS */
    uint32_t flags;     /* saved likewise */
    unsigned ext;       /* EXT bit of error codes */
} TaskSwitch;
void task_switch_run(Cpu *cpu, const TaskSwitch *t);

#endif
