/*
 * What PS/2 keyboard and mouse share: the queue of bytes to the controller.
 */
#include "hw/input/ps2.h"

#include <string.h>

#include "core/log.h"

bool ps2_has_data(const Ps2Port *p)
{
    return p->reply_count || p->count;
}

unsigned ps2_room(const Ps2Port *p)
{
    return PS2_QUEUE_SIZE - p->count;
}

static uint8_t take_reply(Ps2Port *p)
{
    uint8_t v = p->reply[0];
    memmove(p->reply, p->reply + 1, PS2_REPLY_SIZE - 1);
    p->reply_count--;
    return v;
}

static uint8_t take_queued(Ps2Port *p)
{
    uint8_t v = p->queue[p->head % PS2_QUEUE_SIZE];
    p->head = (p->head + 1) % PS2_QUEUE_SIZE;
    p->count--;
    return v;
}

uint8_t ps2_take(Ps2Port *p)
{
    if (ps2_has_data(p))
        p->last = p->reply_count ? take_reply(p) : take_queued(p);
    if (!ps2_has_data(p) && p->drained)
        p->drained(p);
    return p->last;
}

void ps2_queue(Ps2Port *p, const uint8_t *bytes, unsigned n)
{
    if (n > ps2_room(p))
        return;
    for (unsigned i = 0; i < n; i++)
        p->queue[(p->head + p->count++) % PS2_QUEUE_SIZE] = bytes[i];
    p->ready(p->opaque);
}

void ps2_reply(Ps2Port *p, uint8_t byte)
{
    if (p->reply_count == PS2_REPLY_SIZE) {
        log_guest_error("PS/2: commands without reading their replies");
        return;
    }
    p->reply[p->reply_count++] = byte;
    p->ready(p->opaque);
}

void ps2_clear_queue(Ps2Port *p)
{
    p->head = p->count = 0;
}

void ps2_clear(Ps2Port *p)
{
    ps2_clear_queue(p);
    p->reply_count = 0;
}

const StateField ps2_port_state[] = {
    STATE_ARRAY_U8(Ps2Port, queue), STATE_U8(Ps2Port, head), STATE_U8(Ps2Port, count), STATE_ARRAY_U8(Ps2Port, reply),
    STATE_U8(Ps2Port, reply_count), STATE_U8(Ps2Port, last), STATE_END
};
