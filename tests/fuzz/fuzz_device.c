/*
 * libFuzzer's target for devices: the environment's FUZZ_DEVICE names a type of machines/devices.c ("help" lists them),
 * and the input is what a guest, a user and the host do with it: accesses of its registers in any order and size, writes
 * to memory and PCI configuration, time that passes, frames, characters, keys, other media, resets, saved states.
 * Whatever they are: no crash, no hang, memory within bounds; what is saved and loaded is the same when saved again,
 * and a saved state that was changed is refused or works.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/char/backend.h"
#include "hw/display/console.h"
#include "tests/fuzz/device_bench.h"
#include "util/endian.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Places in memory that registers and descriptors point to, and how they lie. */
enum { STEPS_MAX = 200, PLACES = 16, PLACES_AT = 0x10000, PLACE_SIZE = 0x1000, UNIT = 64, REPEAT_MAX = 512 };

typedef struct Input {
    const uint8_t *at;
    size_t left;
    DeviceBench bench;
    bool over;            /* a saved state was refused: the machine may not go on */
} Input;

/* ---- the input ---- */

static uint64_t take(Input *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned n = 0; n < bytes && in->left; n++, in->left--)
        v |= (uint64_t)*in->at++ << 8 * n;
    return v;
}

static const uint8_t *take_bytes(Input *in, unsigned most, unsigned *count)
{
    unsigned wanted = take(in, 1) % (most + 1);
    const uint8_t *bytes = in->at;
    *count = MIN(wanted, in->left);
    in->at += *count;
    in->left -= *count;
    return bytes;
}

/* A byte: 16 places, 16 units of it from its beginning. */
static uint64_t take_place(Input *in)
{
    unsigned v = take(in, 1);
    return PLACES_AT + (v & 15) * PLACE_SIZE + (v >> 4) * UNIT;
}

/* A register, of the device's three times out of four, and the size of the access. */
static AddressSpace *take_register(Input *in, uint64_t *at, unsigned *size)
{
    DeviceBench *b = &in->bench;
    unsigned choice = take(in, 1);

    device_bench_find_ranges(b);
    GArray *list = b->own->len && choice >> 6 ? b->own : b->all;
    const DeviceRange *r = &g_array_index(list, DeviceRange, (choice & 15) % list->len);
    uint64_t offset = take(in, r->size > 0x10000 ? 3 : r->size > 0x100 ? 2 : 1);
    *at = r->at + offset % r->size;
    *size = 1 << (choice >> 4 & 3);
    return r->as;
}

/* Of memory, or of the device's own registers, which it would then access itself. */
static uint64_t take_address(Input *in, bool own)
{
    uint64_t at;
    unsigned size;

    if (!own)
        return take_place(in);
    take_register(in, &at, &size);
    return at;
}

/* ---- the guest ---- */

static void read_register(Input *in)
{
    uint64_t at;
    unsigned size;
    AddressSpace *as = take_register(in, &at, &size);
    as_read(as, at, size);
}

static void write_register(Input *in)
{
    uint64_t at;
    unsigned size;
    AddressSpace *as = take_register(in, &at, &size);
    as_write(as, at, take(in, size), size);
}

static void read_many(Input *in)
{
    uint64_t at;
    unsigned size;
    AddressSpace *as = take_register(in, &at, &size);
    for (unsigned n = take(in, 2) % REPEAT_MAX; n; n--)
        as_read(as, at, size);
}

/* To one register, or to it and those behind it. */
static void write_many(Input *in)
{
    uint64_t at;
    unsigned size, count, ahead = take(in, 1) & 1;
    AddressSpace *as = take_register(in, &at, &size);
    const uint8_t *bytes = take_bytes(in, 64, &count);

    for (unsigned n = 0; n + size <= count; n += size)
        as_write(as, at + ahead * n, ldle(bytes + n, size), size);
}

/* An address, or the number of its page, with flags in its lowest bits. */
static void write_address(Input *in)
{
    uint64_t at;
    unsigned size, how = take(in, 1);
    AddressSpace *as = take_register(in, &at, &size);
    uint64_t address = take_address(in, how & 2);
    as_write(as, at, how & 1 ? address >> 12 : address | how >> 4, size);
}

static void write_memory(Input *in)
{
    unsigned count;
    uint64_t at = take_place(in);
    const uint8_t *bytes = take_bytes(in, 255, &count);
    as_write_bytes(in->bench.m->memory, at, bytes, count);
}

static void write_memory_address(Input *in)
{
    uint64_t at = take_place(in);
    unsigned how = take(in, 1);
    as_write(in->bench.m->memory, at + how % UNIT, take_address(in, how & UNIT), 8);
}

/* Of any function of the bus: the devices are few, and stand at its beginning. */
static void access_config(Input *in)
{
    unsigned how = take(in, 1), at = take(in, 1), size = 1 << how % 3;
    uint32_t address = 1u << 31 | (how >> 2 & 7) << 11 | (how >> 5 & 1) << 8 | at;

    if (how & 0x80)
        pci_bus_config_read(in->bench.pci, address, size);
    else
        pci_bus_config_write(in->bench.pci, address, take(in, size), size);
}

static void map(Input *in)
{
    device_bench_map(&in->bench);
}

/* ---- the host ---- */

/* The main loop, with what waits for it. */
static void run_loop(Input *in)
{
    for (unsigned n = 0; n < 20 && g_main_context_iteration(in->bench.m->context, FALSE); n++)
        ;
}

static void settle(Input *in)
{
    block_drain_all(in->bench.m);
    run_loop(in);
}

/* From nanoseconds to seconds. */
static void pass_time(Input *in)
{
    unsigned v = take(in, 1);
    Clocks *clocks = in->bench.m->clocks;
    clock_set(clocks, clock_now(clocks, MYNA_CLOCK_VIRTUAL) + (((int64_t)(v >> 5) + 8) << v % 32) / 8);
    clock_fire_due(clocks);
}

static void reset(Input *in)
{
    machine_reset(in->bench.m);
    if (take(in, 1) & 1)
        device_bench_map(&in->bench);
}

static void send_frame(Input *in)
{
    uint8_t frame[2048] = { 0 };
    unsigned how = take(in, 1), count;
    const uint8_t *bytes = take_bytes(in, 255, &count);

    if (how & 1) /* to the card's address, or to all */
        memset(frame, 0xff, 6);
    memcpy(frame + (how & 1 ? 6 : 0), bytes, count);
    net_send(in->bench.peer, &(struct iovec){ frame, MAX((how >> 1) * 16, count + 6) }, 1, NULL);
}

static void send_chars(Input *in)
{
    CharBackend *c = in->bench.chars;
    unsigned how = take(in, 1), count;
    const uint8_t *bytes = take_bytes(in, 64, &count);

    if (!c || !char_is_connected(c))
        return;
    if (how & 3)
        char_frontend_receive(c, bytes, MIN(count, char_frontend_room(c)));
    else
        char_frontend_event(c, how >> 2 & 3);
}

static void press_key(Input *in)
{
    unsigned usage = take(in, 1);
    input_key(in->bench.m, usage, take(in, 1) & 1);
}

static void move_pointer(Input *in)
{
    Machine *m = in->bench.m;
    int x = (int16_t)take(in, 2), y = (int16_t)take(in, 2);

    switch (take(in, 1) % 4) {
    case 0: input_move(m, x, y); break;
    case 1: input_position(m, x, y, 800, 600); break;
    case 2: input_buttons(m, x & 0x1f); break;
    default: input_wheel(m, y); break;
    }
}

static void change_medium(Input *in)
{
    unsigned how = take(in, 1);
    if (!in->bench.drive_count)
        return;
    if (how & 4)
        device_bench_resize(&in->bench, how >> 4, 512 * (take(in, 2) + 1));
    else
        device_bench_change_medium(&in->bench, how >> 4, how & 1, how & 2);
}

static void set_link(Input *in)
{
    unsigned up = take(in, 1) & 1;
    if (in->bench.peer)
        net_set_link(net_find(in->bench.m, "card"), up);
}

static void look(Input *in)
{
    unsigned columns, rows;
    uint16_t cells[400];
    Console *c = console_nth(in->bench.m, 0);

    if (!c)
        return;
    console_update(c, take(in, 1) & 1);
    console_text(c, &columns, &rows, cells, G_N_ELEMENTS(cells));
    console_fit(c, take(in, 2), take(in, 2));
}

static void press_button(Input *in)
{
    if (take(in, 1) & 1)
        machine_request_powerdown(in->bench.m);
    else
        machine_press_reset(in->bench.m, "button");
    run_loop(in);
}

/* ---- saved states ---- */

static void load(Input *in, const GByteArray *saved)
{
    g_autoptr(GError) err = NULL;
    if (!machine_load(in->bench.m, saved->data, saved->len, &err))
        in->over = true;
}

static void save(Input *in)
{
    g_autoptr(GByteArray) saved = machine_save(in->bench.m), again = NULL;

    g_assert_nonnull(saved);
    load(in, saved);
    g_assert_false(in->over);
    again = machine_save(in->bench.m);
    g_assert_nonnull(again);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
}

/* Where the data of fields stand in a saved table (core/state.c). */
typedef struct Place {
    size_t at, size;
} Place;

static size_t list_fields(const StateField *fields, const uint8_t *data, size_t at, GArray *places);

static size_t field_size(const StateField *f, const uint8_t *data, size_t at, uint32_t count, GArray *places)
{
    size_t end = at;

    switch (f->type) {
    case STATE_TYPE_STRUCT:
        for (uint32_t n = 0; n < count; n++)
            end = list_fields(f->fields, data, end, places);
        return end - at;
    case STATE_TYPE_BOOL:
    case STATE_TYPE_U8: return count;
    case STATE_TYPE_U16: return 2 * (size_t)count;
    case STATE_TYPE_U32: return 4 * (size_t)count;
    case STATE_TYPE_U64: return 8 * (size_t)count;
    case STATE_TYPE_TIMER: return 8;
    default: return count;
    }
}

static size_t list_fields(const StateField *fields, const uint8_t *data, size_t at, GArray *places)
{
    for (const StateField *f = fields; f && f->type != STATE_TYPE_END; f++) {
        at += 1 + data[at] + 1;
        size_t size = field_size(f, data, at + 4, ld32le(data + at), places);
        Place p = { at + 4, size };
        if (f->type != STATE_TYPE_STRUCT && size)
            g_array_append_val(places, p);
        at += 4 + size;
    }
    return at + 1;
}

/* The data of a device's section of a saved machine (core/machine.c). */
static size_t find_section(const GByteArray *saved, const Device *dev)
{
    g_autofree char *wanted = g_strdup_printf("device/%s", dev->id);

    for (size_t at = strlen("MYNASAVE") + 4, end; ; at = end) {
        size_t name = ld16le(saved->data + at), type = ld16le(saved->data + at + 2 + name);
        size_t data = at + 2 + name + 2 + type + 8;
        g_assert_cmpuint(name, !=, 0);
        if (name == strlen(wanted) && !memcmp(saved->data + at + 2, wanted, name))
            return data;
        end = data + ld64le(saved->data + data - 8);
    }
}

/* Changes some fields of one of the devices. */
static void change_saved(Input *in, GByteArray *saved)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(Place));
    GPtrArray *devices = in->bench.m->devices;
    unsigned which = take(in, 1), changes = take(in, 1) % 4 + 1;
    const Device *dev = which & 0x80 ? devices->pdata[which % devices->len] : in->bench.dev;

    list_fields(dev->type->state, saved->data, find_section(saved, dev), places);
    for (unsigned n = 0; n < changes && places->len; n++) {
        const Place *p = &g_array_index(places, Place, take(in, 2) % places->len);
        unsigned count;
        size_t offset = p->size > 8 ? take(in, 2) % p->size : 0;
        const uint8_t *bytes = take_bytes(in, 8, &count);
        memcpy(saved->data + p->at + offset, bytes, MIN(count, p->size - offset));
    }
}

static void load_changed(Input *in)
{
    g_autoptr(GByteArray) saved = machine_save(in->bench.m);

    g_assert_nonnull(saved);
    change_saved(in, saved);
    load(in, saved);
}

/* ---- all of it ---- */

typedef void Step(Input *in);

/* Chosen by a byte; what is likely to lead somewhere stands more than once. */
static Step *const steps[32] = {
    read_register, read_register, read_many, write_register, write_register, write_register, write_register,
    write_register, write_register, write_many, write_many, write_many, write_address, write_address, write_address,
    write_memory, write_memory, write_memory, write_memory_address, access_config, map, run_loop, settle, pass_time,
    pass_time, reset, send_frame, save, load_changed, NULL, NULL, NULL,
};

/* What comes from outside, by another byte. */
static Step *const outside[8] = {
    send_chars, press_key, move_pointer, change_medium, look, press_button, set_link, send_chars,
};

static void step(Input *in)
{
    Step *fn = steps[take(in, 1) % G_N_ELEMENTS(steps)];
    (fn ? fn : outside[take(in, 1) % G_N_ELEMENTS(outside)])(in);
}

static const DeviceType *chosen_type(void)
{
    const char *name = getenv("FUZZ_DEVICE");
    const DeviceType *type = name ? device_bench_type(name) : NULL;

    if (!type)
        g_error("FUZZ_DEVICE: '%s' is no device; FUZZ_DEVICE=help lists them", name ? name : "");
    return type;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (g_strcmp0(getenv("FUZZ_DEVICE"), "help"))
        return 0;
    device_bench_list();
    exit(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { .at = data, .left = size };

    device_bench_up(&in.bench, chosen_type());
    for (unsigned n = 0; n < STEPS_MAX && in.left && !in.over; n++)
        step(&in);
    settle(&in);
    device_bench_down(&in.bench);
    return 0;
}
