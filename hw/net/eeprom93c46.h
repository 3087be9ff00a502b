/*
 * The serial EEPROM of network cards: 64 words of 16 bits, by three wires (Microwire; Microchip 93C46B data sheet,
 * DS20001749, section 3).
 */
#ifndef MYNA_HW_NET_EEPROM93C46_H
#define MYNA_HW_NET_EEPROM93C46_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

enum { EEPROM93C46_WORDS = 64 };

typedef struct Eeprom93c46 {
    uint16_t word[EEPROM93C46_WORDS];
    bool selected, clock, out; /* levels of CS, SK and DO */
    bool writable;             /* after EWEN */
    uint32_t shift;            /* start bit, opcode, address, then data; 0 before the start bit */
    uint8_t phase;             /* private */
    uint8_t bits;              /* of a word: sent, or received */
    uint8_t address;
} Eeprom93c46;

/* The wires that the card drives have these levels now; the answer is `out`. */
void eeprom93c46_drive(Eeprom93c46 *e, bool cs, bool sk, bool di);
/* As after power-on: no command; the words stay. */
void eeprom93c46_reset(Eeprom93c46 *e);
/* After a restore. */
bool eeprom93c46_valid(const Eeprom93c46 *e);
extern const StateField eeprom93c46_state[];

#endif
