/* Where values lie: reading and writing memory, registers and bit-fields (expression.h). */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "debugger/expression/expression_tree.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- where ---- */

static gboolean memory_place(const Work *w, const Node *n, Place *place)
{
    place->kind = n->kind == NODE_MEMORY ? PLACE_MEMORY : PLACE_PHYSICAL;
    return node_value(w, n->a, &place->address);
}

/* A register of the frame that is looked at, which may be known, or not any more. */
static gboolean frame_register_place(const Work *w, unsigned reg, unsigned bits, Place *place)
{
    if (!(w->frame->known >> reg & 1))
        return error_set(w->err, "not known in this frame");
    place->kind = PLACE_BYTES;
    stle(place->bytes, w->frame->reg[reg], 8);
    memset(place->bytes + bits / 8, 0, 8 - bits / 8);
    return TRUE;
}

static gboolean register_place(const Work *w, const Node *n, Place *place)
{
    static const char names[DWARF_REGISTERS][4] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9",
                                                    "r10", "r11", "r12", "r13", "r14", "r15", "rip" };
    for (unsigned k = 0; w->frame && k < DWARF_REGISTERS; k++)
        if (!strcmp(names[k], n->reg.name) || (names[k][0] == 'r' && n->reg.bits == 32 && n->reg.name[0] == 'e' &&
                                               !strcmp(names[k] + 1, n->reg.name + 1)))
            return frame_register_place(w, k, n->reg.bits, place);
    place->kind = PLACE_REGISTER;
    place->reg = n->reg;
    return TRUE;
}

/* A register by DWARF's number: of the CPU, so that it can be written. */
static gboolean dwarf_register_place(const Work *w, unsigned reg, Place *place)
{
    static const char names[DWARF_RA][4] = { "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10",
                                             "r11", "r12", "r13", "r14", "r15" };
    if (reg >= DWARF_RA)
        return error_set(w->err, "in register %u of DWARF's numbering, which is not supported", reg);
    if (w->frame)
        return frame_register_place(w, reg, 64, place);
    place->kind = PLACE_REGISTER;
    return cpu_register_find(w->cpu, names[reg], &place->reg) || error_set(w->err, "no register '%s'", names[reg]);
}

static gboolean variable_place(const Work *w, const Node *n, Place *place)
{
    DwarfPlace at;
    Frame now;
    if (!w->frame)
        now = frame_innermost(w->cpu);
    if (!dwarf_variable_place(n->variable, w->cpu, w->frame ? w->frame : &now, &at, w->err))
        return FALSE;
    switch (at.kind) {
    case DWARF_PLACE_MEMORY:
        place->kind = PLACE_MEMORY;
        place->address = at.value;
        return TRUE;
    case DWARF_PLACE_REGISTER:
        return dwarf_register_place(w, at.value, place);
    default:
        place->kind = PLACE_BYTES;
        memcpy(place->bytes, at.bytes, sizeof at.bytes);
        return TRUE;
    }
}

static gboolean member_place(const Work *w, const Node *n, Place *place)
{
    if (!node_place(w, n->a, place))
        return FALSE;
    place->address += n->number;
    place->skip += MIN(n->number, CPU_REGISTER_MAX_BYTES);
    place->bit_offset = n->bit_offset;
    place->bits = n->bits;
    return TRUE;
}

gboolean node_place(const Work *w, const Node *n, Place *place)
{
    memset(place, 0, sizeof *place);
    switch (n->kind) {
    case NODE_MEMORY: case NODE_PHYSICAL: return memory_place(w, n, place);
    case NODE_REGISTER: return register_place(w, n, place);
    case NODE_VARIABLE: return variable_place(w, n, place);
    case NODE_MEMBER: return member_place(w, n, place);
    default: return error_set(w->err, "a number, which lies nowhere");
    }
}

/* ---- reading ---- */

static gboolean read_bytes(const Work *w, const Place *place, const uint8_t *bytes, size_t have, void *buf, size_t size)
{
    if (place->skip + size > have)
        return error_set(w->err, "only a part of it is in a register");
    memcpy(buf, bytes + place->skip, size);
    return TRUE;
}

static gboolean read_register(const Work *w, const Place *place, void *buf, size_t size)
{
    uint8_t bytes[CPU_REGISTER_MAX_BYTES] = { 0 };
    if (place->reg.bits <= 64)
        st64le(bytes, cpu_register_get(w->cpu, &place->reg));
    else
        cpu_register_read(w->cpu, &place->reg, bytes);
    return read_bytes(w, place, bytes, sizeof bytes, buf, size);
}

/* Linear addresses have 32 bits outside long mode. */
static uint64_t reachable(const Work *w, uint64_t address) { return w->cpu->long_mode ? address : (uint32_t)address; }

gboolean place_read(const Work *w, const Place *place, void *buf, size_t size)
{
    switch (place->kind) {
    case PLACE_MEMORY:
        return debugger_read(w->cpu, reachable(w, place->address), buf, size) ||
               error_set(w->err, "cannot read memory at 0x%" PRIx64, place->address);
    case PLACE_PHYSICAL:
        as_read_bytes(w->cpu->machine->memory, place->address, buf, size);
        return TRUE;
    case PLACE_REGISTER:
        return read_register(w, place, buf, size);
    default:
        return read_bytes(w, place, place->bytes, sizeof place->bytes, buf, size);
    }
}

/* The bytes that a bit-field touches. */
static unsigned field_bytes(const Place *place) { return (place->bit_offset + place->bits + 7) / 8; }

static uint64_t field_value(const Place *place, const Type *t, const uint8_t bytes[9])
{
    unsigned lost = 64 - place->bits;
    uint64_t v = ld64le(bytes) >> place->bit_offset;
    if (place->bit_offset)
        v |= (uint64_t)bytes[8] << (64 - place->bit_offset);
    v <<= lost;
    return type_strip(t)->is_signed ? (uint64_t)sign_extend(v >> lost, place->bits) : v >> lost;
}

gboolean place_value(const Work *w, const Place *place, const Type *type, uint64_t *v)
{
    uint8_t bytes[16] = { 0 };
    unsigned size = place->bits ? field_bytes(place) : type_size(type);
    if (size > 9 || !place_read(w, place, bytes, size))
        return size > 9 ? error_set(w->err, "too large for a number") : FALSE;
    *v = place->bits ? field_value(place, type, bytes) : type_fit(type, ld64le(bytes));
    return TRUE;
}

/* ---- writing ---- */

static gboolean write_register(const Work *w, const Place *place, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    if (place->reg.bits > 64 || place->skip + size > 8)
        return error_set(w->err, "%s cannot be assigned a number", place->reg.name);
    st64le(bytes, cpu_register_get(w->cpu, &place->reg));
    for (unsigned k = 0; k < size; k++)
        bytes[place->skip + k] = v >> (8 * k);
    return cpu_register_set(w->cpu, &place->reg, ld64le(bytes), w->err);
}

static gboolean write_bytes(const Work *w, const Place *place, const void *bytes, unsigned size)
{
    switch (place->kind) {
    case PLACE_MEMORY:
        return debugger_write(w->cpu, reachable(w, place->address), bytes, size) ||
               error_set(w->err, "cannot write memory at 0x%" PRIx64, place->address);
    case PLACE_PHYSICAL:
        as_write_bytes(w->cpu->machine->memory, place->address, bytes, size);
        return TRUE;
    default:
        return error_set(w->err, "it cannot be changed: it is not in memory or a register");
    }
}

gboolean place_write(const Work *w, const Place *place, const Type *type, uint64_t v)
{
    uint8_t bytes[16] = { 0 };
    unsigned size = place->bits ? field_bytes(place) : type_size(type);
    if (place->bits) {
        if (size > 8)
            return error_set(w->err, "a bit-field that spans nine bytes cannot be assigned to");
        if (!place_read(w, place, bytes, size))
            return FALSE;
        v = bits_deposit(ld64le(bytes), place->bit_offset, place->bits, v);
    }
    if (place->kind == PLACE_REGISTER)
        return write_register(w, place, v, size);
    stle(bytes, v, 8);
    return write_bytes(w, place, bytes, size);
}
