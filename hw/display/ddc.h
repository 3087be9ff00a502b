/*
 * DDC2B: the monitor's EDID, read bit by bit on two wires (VESA E-DDC standard 1.1; the bus: NXP UM10204, chapter 3).
 * A card embeds a Ddc and says what the guest does to the wires; the monitor is the EEPROM at address 50h.
 */
#ifndef MYNA_HW_DISPLAY_DDC_H
#define MYNA_HW_DISPLAY_DDC_H

#include "core/state.h"

typedef struct Ddc {
    bool clock, data; /* as the guest drives the wires */
    bool out;         /* the monitor's side of the data wire; low wins */
    uint8_t phase;    /* private from here on */
    uint8_t bit, byte, pointer;
    bool sent, nack;
} Ddc;

void ddc_reset(Ddc *d);

/* The guest drives the wires like this now.  edid: 256 bytes. */
void ddc_drive(Ddc *d, const uint8_t *edid, bool clock, bool data);

/* What is on the data wire. */
bool ddc_data(const Ddc *d);

extern const StateField ddc_state[];
/* Brings what was loaded within its limits. */
void ddc_restored(Ddc *d);

#endif
