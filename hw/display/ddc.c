/* The monitor's end of DDC2B (ddc.h). */
#include "hw/display/ddc.h"

enum { PHASE_IDLE, PHASE_ADDRESS, PHASE_POINTER, PHASE_SEND };
enum { EEPROM = 0x50, BITS = 8 };

void ddc_reset(Ddc *d) { *d = (Ddc){ .clock = true, .data = true, .out = true }; }

bool ddc_data(const Ddc *d) { return d->data && d->out; }

/* The byte that the guest sent: whether it is acknowledged. */
static bool byte_take(Ddc *d)
{
    if (d->phase == PHASE_POINTER) {
        d->pointer = d->byte;
        return true;
    }
    bool ours = d->byte >> 1 == EEPROM;
    d->phase = !ours ? PHASE_IDLE : d->byte & 1 ? PHASE_SEND : PHASE_POINTER;
    return ours;
}

static void byte_begin(Ddc *d, const uint8_t *edid)
{
    d->bit = 0;
    d->byte = 0;
    d->out = true;
    if (d->nack)
        d->phase = PHASE_IDLE;
    d->sent = d->phase == PHASE_SEND;
    if (d->sent)
        d->byte = edid[d->pointer++];
}

/* Bits are valid while the clock is high; the ninth is the receiver's. */
static void clock_rises(Ddc *d, bool data)
{
    if (d->bit < BITS && !d->sent)
        d->byte = d->byte << 1 | data;
    if (d->bit == BITS)
        d->nack = d->sent && data;
    if (d->bit <= BITS)
        d->bit++;
}

static void clock_falls(Ddc *d, const uint8_t *edid)
{
    if (d->bit == BITS)
        d->out = d->sent || !byte_take(d);
    if (d->bit > BITS)
        byte_begin(d, edid);
    if (d->sent && d->bit < BITS)
        d->out = d->byte >> (BITS - 1 - d->bit) & 1;
}

/* Data that changes while the clock is high: down begins a transfer, up ends it. */
static void condition(Ddc *d, bool data)
{
    d->phase = data ? PHASE_IDLE : PHASE_ADDRESS;
    d->bit = d->byte = 0;
    d->out = true;
    d->sent = d->nack = false;
}

void ddc_drive(Ddc *d, const uint8_t *edid, bool clock, bool data)
{
    if (clock && d->clock && data != d->data)
        condition(d, data);
    else if (d->phase != PHASE_IDLE && clock && !d->clock)
        clock_rises(d, data);
    else if (d->phase != PHASE_IDLE && !clock && d->clock)
        clock_falls(d, edid);
    d->clock = clock;
    d->data = data;
}

const StateField ddc_state[] = {
    STATE_BOOL(Ddc, clock), STATE_BOOL(Ddc, data), STATE_BOOL(Ddc, out), STATE_U8(Ddc, phase), STATE_U8(Ddc, bit),
    STATE_U8(Ddc, byte), STATE_U8(Ddc, pointer), STATE_BOOL(Ddc, sent), STATE_BOOL(Ddc, nack), STATE_END
};

void ddc_restored(Ddc *d)
{
    if (d->phase > PHASE_SEND || d->bit > BITS + 1)
        ddc_reset(d);
}
