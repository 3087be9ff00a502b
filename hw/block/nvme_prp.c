/*
 * The guest memory of a command: physical region pages (NVM Express 1.4, section 4.3).  The first may begin within a
 * page; the second is either a page, or a list of pages, whose last entry leads to a further list when there are more.
 */
#include "core/log.h"
#include "hw/block/nvme_internal.h"

enum { PRP1 = 6, PRP2 = 8, ENTRY = 8 };

/* A list that is being read, and memory that was found but not yet added: pages that follow each other become one. */
typedef struct Walk {
    NvmeRequest *r;
    uint64_t page;
    uint64_t list;            /* address of the next entry */
    uint64_t address, size;
} Walk;

static bool walk_flush(Walk *w)
{
    bool ok = !w->size || dma_add(&w->r->dma, w->address, w->size);

    w->size = 0;
    return ok;
}

static bool walk_add(Walk *w, uint64_t address, uint64_t size)
{
    if (w->size && w->address + w->size == address) {
        w->size += size;
        return true;
    }
    if (!walk_flush(w))
        return false;
    w->address = address;
    w->size = size;
    return true;
}

static uint64_t entry_fetch(Walk *w)
{
    uint8_t entry[ENTRY];

    pci_dma_read(&w->r->controller->pci, w->list, entry, ENTRY);
    w->list += ENTRY;
    return ld64le(entry);
}

/* The next page of a list for what is left; each list has at least one, so that a chain of lists ends. */
static bool entry_next(Walk *w, uint64_t left, uint64_t *address)
{
    *address = entry_fetch(w);
    if (w->list % w->page == 0 && left > w->page) {
        if (*address % w->page)
            return false;
        w->list = *address;
        *address = entry_fetch(w);
    }
    return *address % w->page == 0;
}

static bool walk_list(Walk *w, uint64_t list, uint64_t left)
{
    w->list = list;
    if (list % ENTRY)
        return false;
    while (left) {
        uint64_t address, n = MIN(left, w->page);
        if (!entry_next(w, left, &address) || !walk_add(w, address, n))
            return false;
        left -= n;
    }
    return true;
}

static bool walk(Walk *w, uint64_t first, uint64_t second, uint64_t size)
{
    uint64_t n = MIN(size, w->page - first % w->page), left = size - n;

    if (first & 3 || !walk_add(w, first, n))
        return false;
    if (left > w->page)
        return walk_list(w, second, left);
    return !left || (second % w->page == 0 && walk_add(w, second, left));
}

uint16_t nvme_map(NvmeRequest *r, uint64_t size, bool to_memory)
{
    Walk w = { .r = r, .page = nvme_page(r->controller) };

    dma_reset(&r->dma);
    r->dma.to_memory = to_memory;
    if (size > NVME_MAX_TRANSFER)
        return NVME_BAD_FIELD;
    if (walk(&w, nvme_qword(r, PRP1), nvme_qword(r, PRP2), size) && walk_flush(&w))
        return NVME_OK;
    log_guest_error("nvme: command %02x has a PRP entry that is not aligned", r->command[0]);
    return NVME_BAD_PRP;
}

uint16_t nvme_reply(NvmeRequest *r, const void *data, uint64_t size)
{
    uint16_t status = nvme_map(r, size, true);

    if (status)
        return status;
    dma_from_buffer(&r->dma, 0, data, size);
    dma_written(&r->dma, size);
    return NVME_OK;
}
