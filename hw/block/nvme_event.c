/*
 * Asynchronous events (NVM Express 1.4, section 5.2): an event waits for a request, or a request for an event.  One
 * of each type is told; the next when the log page that the first one names has been read.
 */
#include <string.h>

#include "hw/block/nvme_internal.h"

/* Removes element n of an array. */
#define TAKE(array, count, n) memmove(&(array)[n], &(array)[(n) + 1], (--(count) - (n)) * sizeof *(array))

void nvme_events_send(Nvme *s)
{
    while (s->events && s->event_requests && nvme_ready(s) && !s->stopping && nvme_has_room(&s->cq[0])) {
        uint16_t id = s->event_request[0];
        uint32_t event = s->event[0];
        TAKE(s->event_request, s->event_requests, 0);
        TAKE(s->event, s->events, 0);
        nvme_post(s, 0, id, NVME_OK, event);
    }
}

uint16_t nvme_event_request(NvmeRequest *r)
{
    Nvme *s = r->controller;

    if (s->event_requests == NVME_EVENTS)
        return NVME_TOO_MANY_EVENTS;
    s->event_request[s->event_requests++] = nvme_id(r);
    return NVME_KEPT;
}

void nvme_event(Nvme *s, unsigned type, unsigned information, unsigned page)
{
    if (s->event_masked[type] || s->events == NVME_EVENTS || !nvme_ready(s))
        return;
    s->event_masked[type] = true;
    s->event[s->events++] = type | information << 8 | page << 16;
    nvme_events_send(s);
}

void nvme_event_seen(Nvme *s, unsigned type)
{
    s->event_masked[type] = false;
}

bool nvme_event_abort(Nvme *s, uint16_t id)
{
    for (unsigned n = 0; n < s->event_requests; n++) {
        if (s->event_request[n] != id || !nvme_has_room(&s->cq[0]))
            continue;
        TAKE(s->event_request, s->event_requests, n);
        nvme_post(s, 0, id, NVME_ABORTED, 0);
        return true;
    }
    return false;
}
