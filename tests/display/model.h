/*
 * A second VGA that is only there to be right: what a program wrote to registers and memory, and from that the dots of
 * a picture, each worked out by itself.  It shares nothing with the device.
 */
#ifndef MYNA_TESTS_DISPLAY_MODEL_H
#define MYNA_TESTS_DISPLAY_MODEL_H

#include "bus.h"

typedef struct Model Model;

/* A card with so many bytes of memory; power-on state. */
Model *model_new(uint32_t memory);
void model_free(Model *m);

/* What the processor does. */
void model_out(Model *m, unsigned port, unsigned value, unsigned size);
unsigned model_in(Model *m, unsigned port, unsigned size);
void model_write(Model *m, uint32_t address, uint32_t value, unsigned size);
uint32_t model_read(Model *m, uint32_t address, unsigned size);
void model_write_frame(Model *m, uint32_t offset, const uint8_t *bytes, unsigned size);

/* Of a blinking cursor and blinking characters: whether they are seen. */
enum { PHASE_CURSOR = 1, PHASE_TEXT = 2, PHASE_COUNT = 4 };

/* The picture, 0x00RRGGBB a dot, to be freed by g_free(). */
uint32_t *model_picture(const Model *m, unsigned phase, unsigned *width, unsigned *height);

/* Whether it is a mode of text, whose picture hangs on the phase. */
bool model_blinks(const Model *m);

/* Nanoseconds that a frame takes. */
double model_frame_ns(const Model *m);

#endif
