/*
 * State tables: a list of an object's fields, from which save, restore and the monitor's dump are made.
 *
 *   static const StateField pit_state[] = {
 *       STATE_U16(Pit, reload), STATE_ARRAY_U8(Pit, latch), STATE_TIMER(Pit, timer), STATE_END
 *   };
 *
 * The saved form is independent of the host: each field is written with its name, type and count, little-endian; on
 * restore a field that the stream lacks, or that has another size, is an error naming device and field.
 */
#ifndef MYNA_CORE_STATE_H
#define MYNA_CORE_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum StateType {
    STATE_TYPE_END, STATE_TYPE_BOOL, STATE_TYPE_U8, STATE_TYPE_U16, STATE_TYPE_U32, STATE_TYPE_U64,
    STATE_TYPE_BYTES,  /* count bytes, opaque */
    STATE_TYPE_TIMER,  /* a Timer *: its deadline, or -1 */
    STATE_TYPE_STRUCT, /* count objects with a table of their own */
    STATE_TYPE_BUFFER, /* a uint8_t * of count bytes, or of as many as the uint32_t at size_offset says (at most count) */
    STATE_TYPE_ARRAY,  /* a GByteArray *, not NULL, as long as it is, at most count bytes */
} StateType;

typedef struct StateField {
    const char *name;
    StateType type;
    size_t offset;
    size_t size;         /* of one element in memory */
    unsigned count;      /* elements */
    size_t size_offset;  /* BUFFER with a variable length: where it stands; else 0 */
    const struct StateField *fields; /* STRUCT */
} StateField;

#define STATE_FIELD_(T, f, t, sz, n) { .name = #f, .type = t, .offset = offsetof(T, f), .size = sz, .count = n }
#define STATE_SIZED_(T, f, t, bytes)                                                                                   \
    { .name = #f, .type = t, .offset = offsetof(T, f),                                                                 \
      .size = sizeof(((T *)0)->f) / (sizeof(((T *)0)->f) == (bytes) ? 1 : 0), .count = 1 }
/* Scalars: signed or unsigned, enum too; a size that does not fit the macro does not compile. */
#define STATE_BOOL(T, f) STATE_SIZED_(T, f, STATE_TYPE_BOOL, 1)
#define STATE_U8(T, f) STATE_SIZED_(T, f, STATE_TYPE_U8, 1)
#define STATE_U16(T, f) STATE_SIZED_(T, f, STATE_TYPE_U16, 2)
#define STATE_U32(T, f) STATE_SIZED_(T, f, STATE_TYPE_U32, 4)
#define STATE_U64(T, f) STATE_SIZED_(T, f, STATE_TYPE_U64, 8)
/* Arrays of any rank, by total size. */
#define STATE_ARRAY_BOOL(T, f) STATE_FIELD_(T, f, STATE_TYPE_BOOL, 1, sizeof(((T *)0)->f))
#define STATE_ARRAY_U8(T, f) STATE_FIELD_(T, f, STATE_TYPE_U8, 1, sizeof(((T *)0)->f))
#define STATE_ARRAY_U16(T, f) STATE_FIELD_(T, f, STATE_TYPE_U16, 2, sizeof(((T *)0)->f) / 2)
#define STATE_ARRAY_U32(T, f) STATE_FIELD_(T, f, STATE_TYPE_U32, 4, sizeof(((T *)0)->f) / 4)
#define STATE_ARRAY_U64(T, f) STATE_FIELD_(T, f, STATE_TYPE_U64, 8, sizeof(((T *)0)->f) / 8)
#define STATE_BYTES(T, f) STATE_FIELD_(T, f, STATE_TYPE_BYTES, 1, sizeof(((T *)0)->f))
#define STATE_TIMER(T, f) STATE_FIELD_(T, f, STATE_TYPE_TIMER, sizeof(void *), 1)
#define STATE_STRUCT(T, f, table)                                                                                      \
    { .name = #f, .type = STATE_TYPE_STRUCT, .offset = offsetof(T, f), .size = sizeof(((T *)0)->f), .count = 1,        \
      .fields = table }
#define STATE_STRUCT_ARRAY(T, f, table)                                                                                \
    { .name = #f, .type = STATE_TYPE_STRUCT, .offset = offsetof(T, f), .size = sizeof(((T *)0)->f[0]),                 \
      .count = sizeof(((T *)0)->f) / sizeof(((T *)0)->f[0]), .fields = table }
#define STATE_BUFFER(T, f, n) STATE_FIELD_(T, f, STATE_TYPE_BUFFER, 1, n)
#define STATE_VBUFFER(T, f, length_field, max)                                                                         \
    { .name = #f, .type = STATE_TYPE_BUFFER, .offset = offsetof(T, f), .size = 1, .count = max,                        \
      .size_offset = offsetof(T, length_field) }
#define STATE_BYTE_ARRAY(T, f, max) STATE_FIELD_(T, f, STATE_TYPE_ARRAY, 1, max)
#define STATE_END { .type = STATE_TYPE_END }

/* Appends the fields of object to out. */
void state_save(const StateField *fields, const void *object, GByteArray *out);

/*
 * Reads them back from data[*pos..size), advancing *pos.  `owner` names the object in errors.  On failure FALSE and
 * *err; the object is then partly restored and must not run.
 */
gboolean state_load(const StateField *fields, void *object, const char *owner, const uint8_t *data, size_t size,
                    size_t *pos, GError **err);

/* "name = value" lines, for the monitor and for comparing two objects in tests. */
void state_dump(const StateField *fields, const void *object, unsigned indent, GString *out);

#endif
