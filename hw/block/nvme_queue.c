/*
 * Queues of an NVMe controller (NVM Express 1.4, sections 4.1, 4.6 and 4.13; arbitration: round robin, 4.13.1), and
 * interrupts (7.5).
 */
#include <stdatomic.h>
#include <string.h>

#include "hw/block/nvme_internal.h"

static bool is_empty(const NvmeCq *q)
{
    return q->head == q->tail;
}

/* ---- interrupts ---- */

/* The pin is for all queues that have a vector below 32 which is not masked; with MSI-X it rests. */
void nvme_update_irq(Nvme *s)
{
    bool level = false;

    for (unsigned n = 0; n <= s->queue_pairs && nvme_ready(s); n++) {
        const NvmeCq *q = &s->cq[n];
        level |= q->entries && q->interrupts && !is_empty(q) && q->vector < 32 && !(s->mask >> q->vector & 1);
    }
    pci_set_irq(&s->pci, level && !msix_enabled(&s->msix));
}

static void notify(Nvme *s, const NvmeCq *q)
{
    if (!q->interrupts)
        return;
    if (msix_enabled(&s->msix))
        msix_notify(&s->msix, q->vector);
    else
        nvme_update_irq(s);
}

/* ---- completions ---- */

static unsigned entries_free(const NvmeCq *q)
{
    return (q->head + q->entries - q->tail - 1) % q->entries;
}

bool nvme_has_room(const NvmeCq *q)
{
    return q->entries && q->in_flight < entries_free(q);
}

static void advance(NvmeCq *q)
{
    if (++q->tail >= q->entries) {
        q->tail = 0;
        q->phase = !q->phase;
    }
}

/* The doubleword with the phase is what the guest waits for: it must be the last that another thread sees. */
void nvme_post(Nvme *s, unsigned sq, uint16_t id, uint16_t status, uint32_t result)
{
    NvmeCq *q = &s->cq[s->sq[sq].cq];
    uint64_t at = q->base + q->tail * NVME_COMPLETION;
    uint8_t entry[NVME_COMPLETION] = { 0 };
    bool busy = s->busy;

    s->busy = true;
    st32le(entry, result);
    st32le(entry + 8, s->sq[sq].head | sq << 16);
    st32le(entry + 12, id | (uint32_t)status << 17 | (uint32_t)q->phase << 16);
    pci_dma_write(&s->pci, at, entry, 12);
    atomic_thread_fence(memory_order_release);
    pci_dma_write(&s->pci, at + 12, entry + 12, 4);
    s->busy = busy;
    advance(q);
    notify(s, q);
}

/* ---- commands ---- */

static NvmeRequest *request_take(Nvme *s, unsigned sq)
{
    NvmeRequest *r = s->free_request;

    s->free_request = r->next;
    r->sq = sq;
    s->in_flight++;
    s->sq[sq].in_flight++;
    s->cq[s->sq[sq].cq].in_flight++;
    return r;
}

static void request_give(NvmeRequest *r)
{
    Nvme *s = r->controller;

    dma_reset(&r->dma);
    g_clear_pointer(&r->ranges, g_free);
    r->next = s->free_request;
    s->free_request = r;
    s->in_flight--;
    s->sq[r->sq].in_flight--;
    s->cq[s->sq[r->sq].cq].in_flight--;
}

/* A controller that is being reset completes nothing.  A queue's deletion may wait for its last command. */
static void complete(NvmeRequest *r, uint16_t status, uint32_t result)
{
    Nvme *s = r->controller;
    NvmeSq *q = &s->sq[r->sq];
    NvmeRequest *deleting = q->deleting;
    unsigned sq = r->sq;

    request_give(r);
    if (!s->stopping)
        nvme_post(s, sq, nvme_id(r), status, result);
    if (deleting && !q->in_flight) {
        nvme_sq_delete(s, sq);
        complete(deleting, NVME_OK, 0);
    }
}

static void execute(NvmeRequest *r)
{
    Nvme *s = r->controller;
    uint32_t result = 0;
    uint16_t status;

    if (r->command[1]) /* fused commands, scatter lists of the other kind */
        status = NVME_BAD_FIELD;
    else
        status = r->sq ? nvme_io(r) : nvme_admin(r, &result);
    if (status == NVME_KEPT) {
        request_give(r);
        nvme_events_send(s);
    } else if (status != NVME_PENDING) {
        complete(r, status, result);
    }
}

static bool may_fetch(const Nvme *s, const NvmeSq *q)
{
    return q->entries && !q->deleting && q->head != q->tail && s->free_request && nvme_has_room(&s->cq[q->cq]);
}

static void fetch(Nvme *s, unsigned n)
{
    NvmeSq *q = &s->sq[n];
    NvmeRequest *r = request_take(s, n);

    pci_dma_read(&s->pci, q->base + q->head * NVME_COMMAND, r->command, NVME_COMMAND);
    q->head = (q->head + 1u) % q->entries;
    execute(r);
}

/* A command of each queue in turn, until there is none.  Commands do not come to be meanwhile: tails stand still. */
void nvme_run(Nvme *s)
{
    unsigned queues = s->queue_pairs + 1, idle = 0;

    if (s->busy || !nvme_ready(s) || s->stopping || !pci_may_master(&s->pci))
        return;
    s->busy = true;
    while (idle < queues && nvme_ready(s)) {
        unsigned n = s->next_queue;
        s->next_queue = (n + 1) % queues;
        idle = may_fetch(s, &s->sq[n]) ? 0 : idle + 1;
        if (!idle)
            fetch(s, n);
    }
    s->busy = false;
}

void nvme_finish(NvmeRequest *r, uint16_t status, uint32_t result)
{
    Nvme *s = r->controller;

    s->busy = true;
    if (!status && r->dma.to_memory)
        dma_written(&r->dma, r->dma.size);
    complete(r, status, result);
    s->busy = false;
    if (s->stopping && !s->in_flight)
        nvme_stopped(s);
    else
        nvme_run(s);
}
