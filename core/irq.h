/*
 * Interrupt lines: a wire from a device's output to another's input.  Under the machine lock.
 */
#ifndef MYNA_CORE_IRQ_H
#define MYNA_CORE_IRQ_H

/* The input side: called with the input's number and its new level, each time the level is set (also unchanged). */
typedef void IrqFn(void *opaque, int n, int level);

typedef struct IrqLine {
    IrqFn *fn;     /* NULL: not connected */
    void *opaque;
    int n;
} IrqLine;

static inline void irq_set(const IrqLine *line, int level)
{
    if (line->fn)
        line->fn(line->opaque, line->n, level);
}
static inline void irq_raise(const IrqLine *line) { irq_set(line, 1); }
static inline void irq_lower(const IrqLine *line) { irq_set(line, 0); }
static inline void irq_pulse(const IrqLine *line)
{
    irq_set(line, 1);
    irq_set(line, 0);
}

#endif
