/*
 * Boards: what -machine chooses from.  A board makes processors, memory and devices of a machine out of the options.
 */
#ifndef MYNA_MACHINES_BOARD_H
#define MYNA_MACHINES_BOARD_H

#include "core/machine.h"
#include "machines/options.h"

typedef struct Board {
    const char *name, *alias, *description; /* alias may be NULL */
    unsigned max_cpus;
    uint64_t max_ram;
    /* Everything up to the first machine_reset(), which this calls.  NULL with *err. */
    void *(*create)(Machine *m, const Options *o, GError **err);
    /* Stops the processors and takes everything apart that create made. */
    void (*destroy)(void *board);
} Board;

extern const Board *const boards[]; /* ended by NULL; the first is the default */

const Board *board_find(const char *name, GError **err);
void board_list(void);

/* Room for all RAM, ROM and video memory of the machine (machine_new). */
uint64_t board_pool_size(const Options *o);

/*
 * Makes a device as device_add does; properties that -global gives its type are set first.
 */
Device *board_add_device(Machine *m, const Options *o, const DeviceType *type, const char *id, GError **err, ...)
    G_GNUC_NULL_TERMINATED;

/* Makes the device that -device text describes. */
gboolean board_add_user_device(Machine *m, const Options *o, const char *text, GError **err);

/* A type that the user may add, by name; NULL with *err, opened by `what`, naming the nearest. */
const DeviceType *board_find_type(const DeviceType *const *types, const char *what, const char *name, GError **err);

/* Checks each -global; an unknown type only warns, since another emulator may have it. */
gboolean board_check_globals(const Options *o, GError **err);

#endif
