/* The serial EEPROM of network cards (eeprom93c46.h). */
#include "hw/net/eeprom93c46.h"

enum { PHASE_COMMAND, PHASE_READ, PHASE_WRITE, PHASE_WRITE_ALL, PHASE_DONE };
enum { COMMAND_BITS = 9, OP_SPECIAL = 0, OP_WRITE = 1, OP_READ = 2, OP_ERASE = 3 }; /* start bit, 2 of opcode, 6 */

static void program(Eeprom93c46 *e, bool all, uint16_t v)
{
    for (unsigned n = 0; e->writable && n < EEPROM93C46_WORDS; n++)
        if (all || n == e->address)
            e->word[n] = v;
}

/* Opcode 00: the address's upper two bits say what (table 2-1). */
static void special(Eeprom93c46 *e)
{
    switch (e->address >> 4) {
    case 0: e->writable = false; break;             /* EWDS */
    case 1: e->phase = PHASE_WRITE_ALL; break;      /* WRAL */
    case 2: program(e, true, 0xffff); break;        /* ERAL */
    default: e->writable = true; break;             /* EWEN */
    }
}

static void command(Eeprom93c46 *e)
{
    e->address = e->shift & (EEPROM93C46_WORDS - 1);
    e->phase = PHASE_DONE;
    e->bits = 0;
    switch (e->shift >> 6 & 3) {
    case OP_SPECIAL: special(e); break;
    case OP_WRITE: e->phase = PHASE_WRITE; break;
    case OP_READ:
        e->phase = PHASE_READ;
        e->out = false; /* a zero goes before the first word (3.4) */
        break;
    case OP_ERASE: program(e, false, 0xffff); break;
    }
    e->shift = 0;
}

/* The words follow one another until the chip is deselected. */
static void send_bit(Eeprom93c46 *e)
{
    e->out = e->word[e->address] >> (15 - e->bits) & 1;
    e->bits = (e->bits + 1) & 15;
    if (!e->bits)
        e->address = (e->address + 1) % EEPROM93C46_WORDS;
}

static void take_data(Eeprom93c46 *e, bool di)
{
    e->shift = (e->shift << 1 | di) & 0xffff;
    if (++e->bits < 16)
        return;
    program(e, e->phase == PHASE_WRITE_ALL, e->shift);
    e->phase = PHASE_DONE;
    e->out = true; /* ready */
}

static void clock_rises(Eeprom93c46 *e, bool di)
{
    switch (e->phase) {
    case PHASE_COMMAND:
        if (!e->shift && !di)
            return; /* no start bit yet */
        e->shift = e->shift << 1 | di;
        if (e->shift >> (COMMAND_BITS - 1))
            command(e);
        return;
    case PHASE_READ: send_bit(e); return;
    case PHASE_WRITE:
    case PHASE_WRITE_ALL: take_data(e, di); return;
    }
}

void eeprom93c46_drive(Eeprom93c46 *e, bool cs, bool sk, bool di)
{
    if (cs != e->selected) {
        e->phase = PHASE_COMMAND;
        e->shift = 0;
        e->bits = 0;
        e->out = true; /* not busy: programming takes no time */
    }
    if (cs && e->selected && sk && !e->clock)
        clock_rises(e, di);
    e->selected = cs;
    e->clock = sk;
}

void eeprom93c46_reset(Eeprom93c46 *e)
{
    e->selected = e->clock = e->writable = false;
    e->phase = PHASE_COMMAND;
    e->shift = 0;
    e->bits = e->address = 0;
    e->out = true;
}

bool eeprom93c46_valid(const Eeprom93c46 *e)
{
    return e->phase <= PHASE_DONE && e->bits <= 16 && e->address < EEPROM93C46_WORDS && e->shift <= 0xffff;
}

const StateField eeprom93c46_state[] = {
    STATE_ARRAY_U16(Eeprom93c46, word), STATE_BOOL(Eeprom93c46, selected), STATE_BOOL(Eeprom93c46, clock),
    STATE_BOOL(Eeprom93c46, out), STATE_BOOL(Eeprom93c46, writable), STATE_U32(Eeprom93c46, shift),
    STATE_U8(Eeprom93c46, phase), STATE_U8(Eeprom93c46, bits), STATE_U8(Eeprom93c46, address), STATE_END
};
