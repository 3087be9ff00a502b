/*
 * The e1000's interrupts: causes and mask (317453, 13.4.17 and on), moderation (13.4.18; Interrupt Moderation Using
 * Intel GbE Controllers, AP-450), and the 82574's MSI-X (317694, 7.4 and 10.2.4).
 */
#include "core/machine.h"
#include "hw/net/e1000_internal.h"
#include "util/bits.h"

enum { ITR_UNIT_NS = 256, DELAY_UNIT_NS = 1024, CAUSE_QUEUES = 20 };
enum { IVAR_VALID = 8 };

static int64_t now(const E1000 *s) { return clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

/* An interrupt was sent: the next of this throttle comes no earlier than the interval. */
static void throttle_start(E1000 *s, unsigned n, uint32_t interval)
{
    if (interval & 0xffff)
        timer_arm(s->throttle[n].timer, now(s) + (interval & 0xffff) * ITR_UNIT_NS);
}

/* A message may be addressed to this device's registers, which then take nothing. */
static void message_send(E1000 *s, unsigned vector)
{
    bool was_busy = s->busy;

    s->busy = true;
    if (msix_enabled(&s->msix))
        msix_notify(&s->msix, vector);
    else if (msi_enabled(&s->pci))
        msi_notify(&s->pci, 0);
    s->busy = was_busy;
}

/* ---- INTx and MSI ---- */

static void line_update(E1000 *s)
{
    bool pending = REG(s, ICR) & REG(s, IMS);

    if (pending && !s->irq_asserted && timer_armed(s->throttle[0].timer))
        return;
    if (pending && !s->irq_asserted) {
        throttle_start(s, 0, REG(s, ITR));
        message_send(s, 0);
    }
    s->irq_asserted = pending;
    pci_set_irq(&s->pci, pending && !msi_enabled(&s->pci));
}

/* ---- MSI-X: five causes with an entry of IVAR each ---- */

static void auto_clear(E1000 *s, uint32_t cause)
{
    uint32_t cleared = cause & REG(s, EIAC);

    if (REG(s, CTRL_EXT) & CTRL_EXT_EIAME)
        REG(s, IAM) &= ~cause;
    REG(s, ICR) &= ~cleared;
    if (!(REG(s, CTRL_EXT) & CTRL_EXT_IAME))
        REG(s, IMS) &= ~cleared;
    s->sent_causes &= ~cleared;
}

static void cause_send(E1000 *s, unsigned n)
{
    uint32_t cause = BIT(CAUSE_QUEUES + n);
    unsigned entry = REG(s, IVAR) >> 4 * n & 15, vector = entry & 7;

    if (entry & IVAR_VALID && vector < E1000_VECTORS) {
        if (timer_armed(s->throttle[vector].timer))
            return;
        throttle_start(s, vector, REG(s, EITR + 4 * vector));
        message_send(s, vector);
    }
    s->sent_causes |= cause;
    auto_clear(s, cause);
}

static void vectors_update(E1000 *s)
{
    uint32_t pending = REG(s, ICR) & REG(s, IMS) & INT_QUEUES;

    pci_set_irq(&s->pci, 0);
    s->sent_causes &= pending;
    for (unsigned n = 0; n < E1000_VECTORS; n++)
        if (pending & ~s->sent_causes & BIT(CAUSE_QUEUES + n))
            cause_send(s, n);
}

/* ---- both ---- */

void e1000_irq_update(E1000 *s)
{
    REG(s, ICR) &= ~INT_ASSERTED;
    if (s->model->is_82574 && REG(s, ICR) & REG(s, IMS))
        REG(s, ICR) |= INT_ASSERTED;
    if (msix_enabled(&s->msix))
        vectors_update(s);
    else
        line_update(s);
}

/* The 82574 gathers what belongs to no queue under a cause of its own. */
void e1000_raise(E1000 *s, uint32_t causes)
{
    const uint32_t queues = INT_TXDW | INT_TXQE | INT_RXDMT0 | INT_RXT0 | INT_QUEUES | INT_ASSERTED;

    if (s->model->is_82574 && causes & ~queues & REG(s, IMS))
        causes |= INT_OTHER;
    REG(s, ICR) |= causes;
    e1000_irq_update(s);
}

/* The 82574 keeps causes that did not interrupt, unless all are masked, and may mask IAM's (317694, 10.2.4.1). */
uint32_t e1000_read_icr(E1000 *s)
{
    uint32_t v = REG(s, ICR);

    if (s->model->is_82574 && REG(s, CTRL_EXT) & CTRL_EXT_IAME && v & INT_ASSERTED)
        REG(s, IMS) &= ~REG(s, IAM);
    if (!s->model->is_82574 || v & INT_ASSERTED || !REG(s, IMS))
        REG(s, ICR) = 0;
    e1000_irq_update(s);
    return v;
}

void e1000_write_icr(E1000 *s, uint32_t v)
{
    if (s->model->is_82574 && REG(s, CTRL_EXT) & CTRL_EXT_IAME && REG(s, ICR) & INT_ASSERTED)
        REG(s, IMS) &= ~REG(s, IAM);
    REG(s, ICR) &= ~v;
    e1000_irq_update(s);
}

/* ---- delays: a short one from the last frame, a longer one from the first ---- */

static void delays_cancel(Timer *delay, Timer *absolute)
{
    timer_cancel(delay);
    timer_cancel(absolute);
}

static void delay_start(E1000 *s, Timer *delay, uint32_t units, Timer *absolute, uint32_t absolute_units)
{
    timer_arm(delay, now(s) + (units & 0xffff) * DELAY_UNIT_NS);
    if (absolute_units & 0xffff && !timer_armed(absolute))
        timer_arm(absolute, now(s) + (absolute_units & 0xffff) * DELAY_UNIT_NS);
}

static void rx_expired(void *opaque)
{
    E1000 *s = opaque;
    delays_cancel(s->rx_delay, s->rx_absolute);
    e1000_raise(s, INT_RXT0 | (s->model->is_82574 ? INT_RXQ0 : 0));
}

static void tx_expired(void *opaque)
{
    E1000 *s = opaque;
    delays_cancel(s->tx_delay, s->tx_absolute);
    e1000_raise(s, INT_TXDW | (s->model->is_82574 ? INT_TXQ0 : 0));
}

void e1000_rx_done(E1000 *s)
{
    if (REG(s, RDTR) & 0xffff)
        delay_start(s, s->rx_delay, REG(s, RDTR), s->rx_absolute, REG(s, RADV));
    else
        rx_expired(s);
}

void e1000_tx_done(E1000 *s, unsigned queue, bool delay)
{
    if (delay && !queue && REG(s, TIDV) & 0xffff) {
        delay_start(s, s->tx_delay, REG(s, TIDV), s->tx_absolute, REG(s, TADV));
        return;
    }
    delays_cancel(s->tx_delay, s->tx_absolute);
    e1000_raise(s, INT_TXDW | (s->model->is_82574 ? INT_TXQ0 << queue : 0));
}

static void throttle_expired(void *opaque) { e1000_irq_update(opaque); }

void e1000_irq_reset(E1000 *s)
{
    delays_cancel(s->rx_delay, s->rx_absolute);
    delays_cancel(s->tx_delay, s->tx_absolute);
    for (unsigned n = 0; n < E1000_VECTORS; n++)
        timer_cancel(s->throttle[n].timer);
    s->irq_asserted = false;
    s->sent_causes = 0;
    pci_set_irq(&s->pci, 0);
}

static Timer *timer_make(E1000 *s, TimerFn *fn)
{
    return timer_new(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL, fn, s);
}

void e1000_timers_new(E1000 *s)
{
    s->autonegotiation = timer_make(s, e1000_phy_negotiated);
    s->rx_delay = timer_make(s, rx_expired);
    s->rx_absolute = timer_make(s, rx_expired);
    s->tx_delay = timer_make(s, tx_expired);
    s->tx_absolute = timer_make(s, tx_expired);
    for (unsigned n = 0; n < E1000_VECTORS; n++)
        s->throttle[n].timer = timer_make(s, throttle_expired);
}

void e1000_timers_free(E1000 *s)
{
    timer_free(s->autonegotiation);
    timer_free(s->rx_delay);
    timer_free(s->rx_absolute);
    timer_free(s->tx_delay);
    timer_free(s->tx_absolute);
    for (unsigned n = 0; n < E1000_VECTORS; n++)
        timer_free(s->throttle[n].timer);
}
