/*
 * Two 8237A DMA controllers and their page registers (Intel 8237A data sheet, order 231466; IBM AT Technical Reference,
 * "DMA Controller"): channels 0..3 move bytes, 5..7 words, 4 is the cascade.
 *
 * A request is served at once: the channel's user moves what it can in its transfer callback.  Single, block and demand
 * mode differ on the bus only and are treated alike; memory to memory transfers, which no PC uses, are refused.
 */
#include "hw/isa.h"
#include "hw/misc/i8237.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"
#include "util/bits.h"

enum { CHANNELS = 8, CASCADE = 4, PAGES = 16 };
enum { COMMAND_MEMORY_TO_MEMORY = 0x01, COMMAND_DISABLE = 0x04 };
enum { MODE_TYPE = 0x0c, MODE_WRITE = 0x04, MODE_READ = 0x08, MODE_AUTO = 0x10, MODE_DOWN = 0x20, MODE_CASCADE = 0xc0 };
enum {
    REG_COMMAND = 8, REG_REQUEST, REG_SINGLE_MASK, REG_MODE, REG_CLEAR_FLIPFLOP, REG_MASTER_CLEAR, REG_CLEAR_MASK,
    REG_ALL_MASK
};

typedef struct DmaChannel {
    uint16_t base_address, base_count; /* in units of the channel */
    uint16_t address, count;
    uint8_t mode;
    const IsaDmaOps *ops;
    void *opaque;
    bool running;                      /* in its user's callback */
} DmaChannel;

typedef struct DmaController {
    IsaDma *pair;
    uint8_t first;                     /* channel: 0 or 4 */
    uint8_t shift;                     /* of ports and of units: 0 or 1 */
    uint8_t command, status, mask, request, dreq;
    bool flipflop;                     /* the next byte is the high one */
} DmaController;

struct IsaDma {
    Device dev;
    IsaBus *bus;
    Region *regions[3];
    DmaController controller[2];
    DmaChannel channel[CHANNELS];
    uint8_t page[PAGES];
};

/* Page register of each channel: port 80h + this. */
static const uint8_t page_of_channel[CHANNELS] = { 7, 3, 1, 2, 15, 11, 9, 10 };

static unsigned channel_shift(unsigned n)
{
    return n >= CASCADE;
}

/* Bytes of the programmed transfer, and how many of them are done. */
static unsigned channel_total(const IsaDma *s, unsigned n)
{
    return (s->channel[n].base_count + 1u) << channel_shift(n);
}

static unsigned channel_position(const IsaDma *s, unsigned n)
{
    const DmaChannel *c = &s->channel[n];
    unsigned done = c->base_count - c->count; /* count is -1, seen as 16 bits FFFFh, at the end */
    if (c->count == 0xffff && !(c->base_count == 0xffff))
        done = c->base_count + 1u;
    return MIN(done << channel_shift(n), channel_total(s, n));
}

/* --- memory access for a channel's user ------------------------------------------------------------------------ */

/* Address of the byte at pos.  The page register does not count: addresses wrap within 64 Ki units. */
static uint64_t channel_byte_address(const IsaDma *s, unsigned n, unsigned pos)
{
    const DmaChannel *c = &s->channel[n];
    unsigned shift = channel_shift(n), unit = pos >> shift;
    uint16_t address = c->mode & MODE_DOWN ? c->base_address - unit : c->base_address + unit;
    uint64_t page = shift ? s->page[page_of_channel[n]] & 0xfe : s->page[page_of_channel[n]];

    return (page << 16) + ((uint64_t)address << shift) + (pos & shift);
}

/* How many bytes from pos on lie one after another in memory. */
static unsigned channel_run(const IsaDma *s, unsigned n, unsigned pos, unsigned size)
{
    unsigned shift = channel_shift(n);

    if (s->channel[n].mode & MODE_DOWN)
        return MIN(size, (1u << shift) - (pos & shift));
    unsigned window = 0x10000u << shift, at = channel_byte_address(s, n, pos) & (window - 1);
    return MIN(size, window - at);
}

static unsigned channel_access(IsaDma *s, unsigned n, void *buf, unsigned pos, unsigned size, bool write)
{
    unsigned total, done = 0;

    if (n >= CHANNELS)
        return 0;
    total = channel_total(s, n);
    size = pos < total ? MIN(size, total - pos) : 0;
    while (done < size) {
        unsigned run = channel_run(s, n, pos + done, size - done);
        uint64_t address = channel_byte_address(s, n, pos + done);
        if (write)
            as_write_bytes(s->bus->memory, address, (uint8_t *)buf + done, run);
        else
            as_read_bytes(s->bus->memory, address, (uint8_t *)buf + done, run);
        done += run;
    }
    return size;
}

static unsigned channel_type(const IsaDma *s, unsigned channel)
{
    return channel < CHANNELS ? s->channel[channel].mode & MODE_TYPE : 0;
}

/* A channel that is not set to read drives nothing onto the bus. */
unsigned isa_dma_read(IsaDma *s, unsigned channel, void *buf, unsigned pos, unsigned size)
{
    memset(buf, 0xff, size);
    return channel_type(s, channel) == MODE_READ ? channel_access(s, channel, buf, pos, size, false) : size;
}

/* In verify mode, or with the wrong direction, memory stays as it is. */
unsigned isa_dma_write(IsaDma *s, unsigned channel, const void *buf, unsigned pos, unsigned size)
{
    return channel_type(s, channel) == MODE_WRITE ? channel_access(s, channel, (void *)buf, pos, size, true) : size;
}

/* --- transfers ------------------------------------------------------------------------------------------------- */

static DmaController *controller_of(IsaDma *s, unsigned n)
{
    return &s->controller[n >= CASCADE];
}

static bool channel_is_ready(IsaDma *s, unsigned n)
{
    const DmaController *d = controller_of(s, n);
    uint8_t bit = 1 << (n & 3);

    return ((d->dreq | d->request) & bit) && !(d->mask & bit) && !(d->command & COMMAND_DISABLE) &&
           (s->channel[n].mode & MODE_CASCADE) != MODE_CASCADE;
}

/* Terminal count: the channel starts over or is masked (data sheet, "Autoinitialize"). */
static void channel_finish(IsaDma *s, unsigned n)
{
    DmaController *d = controller_of(s, n);
    DmaChannel *c = &s->channel[n];
    uint8_t bit = 1 << (n & 3);

    d->status |= bit;
    d->request &= ~bit;
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        d->mask |= bit;
    }
}

static void channel_set_position(IsaDma *s, unsigned n, unsigned pos)
{
    DmaChannel *c = &s->channel[n];
    unsigned units = pos >> channel_shift(n);

    c->address = c->mode & MODE_DOWN ? c->base_address - units : c->base_address + units;
    c->count = c->base_count - units;
}

/* Lets the user move bytes while it wants to and does move some, up to the end of the transfer. */
static void channel_run_user(IsaDma *s, unsigned n)
{
    DmaChannel *c = &s->channel[n];

    if (!c->ops || c->running)
        return;
    c->running = true;
    while (channel_is_ready(s, n)) {
        unsigned pos = channel_position(s, n), total = channel_total(s, n);
        unsigned now = c->ops->transfer(c->opaque, n, pos, total - pos);
        if (now <= pos)
            break;
        channel_set_position(s, n, MIN(now, total));
        if (now >= total) {
            channel_finish(s, n);
            break;
        }
    }
    c->running = false;
}

static void controller_run(DmaController *d)
{
    for (unsigned i = 0; i < 4; i++)
        if (channel_is_ready(d->pair, d->first + i))
            channel_run_user(d->pair, d->first + i);
}

void isa_dma_register(IsaDma *s, unsigned channel, const IsaDmaOps *ops, void *opaque)
{
    if (channel >= CHANNELS)
        return;
    s->channel[channel].ops = ops;
    s->channel[channel].opaque = opaque;
}

void isa_dma_request(IsaDma *s, unsigned channel, int level)
{
    if (channel >= CHANNELS)
        return;
    DmaController *d = controller_of(s, channel);
    uint8_t bit = 1 << (channel & 3);

    d->dreq = level ? d->dreq | bit : d->dreq & ~bit;
    if (level && channel_is_ready(s, channel))
        channel_run_user(s, channel);
}

/* --- registers ------------------------------------------------------------------------------------------------- */

/* A user that moves bytes in its own time does so up to now, before the guest sees or changes anything. */
static void channel_sync(DmaChannel *c)
{
    if (c->ops && c->ops->sync && !c->running)
        c->ops->sync(c->opaque);
}

static uint8_t controller_flip(DmaController *d, uint16_t v)
{
    d->flipflop = !d->flipflop;
    return d->flipflop ? v : v >> 8;
}

static void controller_flip_in(DmaController *d, uint16_t *base, uint16_t *current, uint8_t v)
{
    *base = d->flipflop ? (*base & 0x00ff) | v << 8 : (*base & 0xff00) | v;
    *current = *base;
    d->flipflop = !d->flipflop;
}

static uint64_t controller_read(void *opaque, uint64_t offset, unsigned size)
{
    DmaController *d = opaque;
    unsigned reg = offset >> d->shift;
    DmaChannel *c = &d->pair->channel[d->first + (reg >> 1 & 3)];
    (void)size;

    if (reg < REG_COMMAND) {
        if (!d->flipflop)
            channel_sync(c);
        return controller_flip(d, reg & 1 ? c->count : c->address);
    }
    switch (reg) {
    case REG_COMMAND: {
        uint8_t v = d->status | (d->dreq | d->request) << 4;
        d->status = 0; /* the terminal count bits are cleared by reading */
        return v;
    }
    case REG_MASTER_CLEAR: return 0; /* the temporary register, of memory to memory transfers */
    case REG_ALL_MASK: return d->mask | 0xf0;
    default: return 0xff;
    }
}

static void controller_clear(DmaController *d)
{
    d->command = d->status = d->request = 0;
    d->flipflop = false;
    d->mask = 0x0f;
}

static void controller_write_command(DmaController *d, uint8_t v)
{
    if (v & COMMAND_MEMORY_TO_MEMORY)
        log_guest_error("8237: memory to memory transfers are not there");
    d->command = v;
}

static uint8_t with_bit(uint8_t set, unsigned n, bool on)
{
    return on ? set | 1 << n : set & ~(1 << n);
}

static void controller_write_control(DmaController *d, unsigned reg, uint8_t v)
{
    switch (reg) {
    case REG_COMMAND: controller_write_command(d, v); break;
    case REG_REQUEST: d->request = with_bit(d->request, v & 3, v & 4); break;
    case REG_SINGLE_MASK: d->mask = with_bit(d->mask, v & 3, v & 4); break;
    case REG_MODE: d->pair->channel[d->first + (v & 3)].mode = v & ~3; break;
    case REG_CLEAR_FLIPFLOP: d->flipflop = false; break;
    case REG_MASTER_CLEAR: controller_clear(d); break;
    case REG_CLEAR_MASK: d->mask = 0; break;
    default: d->mask = v & 0x0f; break;
    }
    controller_run(d);
}

static void controller_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    DmaController *d = opaque;
    unsigned reg = offset >> d->shift;
    DmaChannel *c = &d->pair->channel[d->first + (reg >> 1 & 3)];
    (void)size;

    for (unsigned i = 0; i < 4; i++)
        channel_sync(&d->pair->channel[d->first + i]);
    if (reg >= REG_COMMAND)
        controller_write_control(d, reg, value);
    else if (reg & 1)
        controller_flip_in(d, &c->base_count, &c->count, value);
    else
        controller_flip_in(d, &c->base_address, &c->address, value);
}

/* Registers that belong to no channel are memory; firmware writes its progress to port 80h. */
static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return ((IsaDma *)opaque)->page[offset];
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    ((IsaDma *)opaque)->page[offset] = value;
}

static const RegionOps controller_ops = { controller_read, controller_write, 1, 1 };
static const RegionOps page_ops = { page_read, page_write, 1, 1 };

static gboolean i8237_create(Device *dev, GError **err)
{
    IsaDma *s = (IsaDma *)dev;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus)
        return FALSE;
    for (unsigned i = 0; i < 2; i++) {
        DmaController *d = &s->controller[i];
        d->pair = s;
        d->first = i * 4;
        d->shift = i;
        s->regions[i] = isa_ports_add(dev, s->bus, i ? 0xc0 : 0x00, 16u << i, &controller_ops, d);
    }
    s->regions[2] = isa_ports_add(dev, s->bus, 0x80, PAGES, &page_ops, s);
    if (!s->bus->dma)
        s->bus->dma = s;
    return TRUE;
}

static void i8237_destroy(Device *dev)
{
    IsaDma *s = (IsaDma *)dev;

    for (unsigned i = 0; i < 3; i++)
        isa_ports_remove(dev, s->regions[i]);
    if (s->bus && s->bus->dma == s)
        s->bus->dma = NULL;
}

static void i8237_reset(Device *dev)
{
    IsaDma *s = (IsaDma *)dev;

    for (unsigned n = 0; n < CHANNELS; n++) {
        DmaChannel *c = &s->channel[n];
        c->base_address = c->base_count = c->address = c->count = c->mode = 0;
    }
    memset(s->page, 0, sizeof s->page);
    for (unsigned i = 0; i < 2; i++) {
        controller_clear(&s->controller[i]);
        s->controller[i].dreq = 0;
    }
}

static const StateField dma_channel_state[] = {
    STATE_U16(DmaChannel, base_address), STATE_U16(DmaChannel, base_count), STATE_U16(DmaChannel, address),
    STATE_U16(DmaChannel, count), STATE_U8(DmaChannel, mode), STATE_END
};

static const StateField dma_controller_state[] = {
    STATE_U8(DmaController, command), STATE_U8(DmaController, status), STATE_U8(DmaController, mask),
    STATE_U8(DmaController, request), STATE_U8(DmaController, dreq), STATE_BOOL(DmaController, flipflop), STATE_END
};

static const StateField i8237_state[] = {
    STATE_STRUCT_ARRAY(IsaDma, controller, dma_controller_state),
    STATE_STRUCT_ARRAY(IsaDma, channel, dma_channel_state), STATE_ARRAY_U8(IsaDma, page), STATE_END
};

const DeviceType i8237_type = {
    .name = "i8257",
    .description = "two 8237A DMA controllers",
    .bus = "isa",
    .size = sizeof(IsaDma),
    .create = i8237_create,
    .reset = i8237_reset,
    .destroy = i8237_destroy,
    .state = i8237_state,
};
