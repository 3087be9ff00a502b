/*
 * State tables: writing, reading and showing an object's fields.
 *
 * The saved form, all little-endian: for each field
 *
 *   u8 length of the name, the name, u8 type (StateType), u32 count, then the data:
 *   numbers        count values of the type's width
 *   bytes, buffer, array  count bytes (a buffer's or array's count is its length now)
 *   timer          u64, the deadline, or -1
 *   struct         count tables of this form
 *
 * and a zero byte after the last field.
 */
#include "core/state.h"

#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

static const char *const type_names[] = {
    [STATE_TYPE_BOOL] = "bool", [STATE_TYPE_U8] = "u8", [STATE_TYPE_U16] = "u16", [STATE_TYPE_U32] = "u32",
    [STATE_TYPE_U64] = "u64", [STATE_TYPE_BYTES] = "bytes", [STATE_TYPE_TIMER] = "timer",
    [STATE_TYPE_STRUCT] = "struct", [STATE_TYPE_BUFFER] = "buffer",
    [STATE_TYPE_ARRAY] = "array",
};

/* Bytes of one saved element of a number; 0 for the other types. */
static const uint8_t number_width[] = {
    [STATE_TYPE_BOOL] = 1, [STATE_TYPE_U8] = 1, [STATE_TYPE_U16] = 2, [STATE_TYPE_U32] = 4, [STATE_TYPE_U64] = 8,
    [STATE_TYPE_BYTES] = 0, [STATE_TYPE_TIMER] = 0, [STATE_TYPE_STRUCT] = 0, [STATE_TYPE_BUFFER] = 0,
    [STATE_TYPE_ARRAY] = 0,
};

/* --- fields in memory -------------------------------------------------------------------------------------------- */

static uint64_t number_get(StateType type, const uint8_t *p)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (type) {
    case STATE_TYPE_U16: memcpy(&v16, p, sizeof v16); return v16;
    case STATE_TYPE_U32: memcpy(&v32, p, sizeof v32); return v32;
    case STATE_TYPE_U64: memcpy(&v64, p, sizeof v64); return v64;
    default: return *p;
    }
}

static void number_set(StateType type, uint8_t *p, uint64_t v)
{
    uint16_t v16 = v;
    uint32_t v32 = v;

    switch (type) {
    case STATE_TYPE_BOOL: *p = v != 0; break;
    case STATE_TYPE_U8: *p = v; break;
    case STATE_TYPE_U16: memcpy(p, &v16, sizeof v16); break;
    case STATE_TYPE_U32: memcpy(p, &v32, sizeof v32); break;
    default: memcpy(p, &v, sizeof v); break;
    }
}

static void *pointer_get(const StateField *f, const void *object)
{
    void *p;
    memcpy(&p, (const uint8_t *)object + f->offset, sizeof p);
    return p;
}

/* Bytes that a buffer holds now. */
static uint32_t buffer_length(const StateField *f, const void *object)
{
    if (!pointer_get(f, object))
        return 0;
    if (!f->size_offset)
        return f->count;
    return MIN(f->count, number_get(STATE_TYPE_U32, (const uint8_t *)object + f->size_offset));
}

static uint32_t field_count(const StateField *f, const void *object)
{
    switch (f->type) {
    case STATE_TYPE_BUFFER: return buffer_length(f, object);
    case STATE_TYPE_ARRAY: return ((GByteArray *)pointer_get(f, object))->len;
    default: return f->count;
    }
}

static int64_t timer_value(const StateField *f, const void *object)
{
    const Timer *t = pointer_get(f, object);
    return t ? timer_deadline(t) : -1;
}

/* --- saving ------------------------------------------------------------------------------------------------------ */

static void put(GByteArray *out, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    stle(bytes, v, size);
    g_byte_array_append(out, bytes, size);
}

static void save_numbers(const StateField *f, const uint8_t *p, GByteArray *out)
{
    unsigned width = number_width[f->type];

    for (unsigned i = 0; i < f->count; i++)
        put(out, number_get(f->type, p + i * f->size), width);
}

static void save_data(const StateField *f, const void *object, uint32_t count, GByteArray *out)
{
    const uint8_t *p = (const uint8_t *)object + f->offset;

    switch (f->type) {
    case STATE_TYPE_BYTES:
        g_byte_array_append(out, p, count);
        break;
    case STATE_TYPE_BUFFER:
        if (count)
            g_byte_array_append(out, pointer_get(f, object), count);
        break;
    case STATE_TYPE_ARRAY:
        g_byte_array_append(out, ((GByteArray *)pointer_get(f, object))->data, count);
        break;
    case STATE_TYPE_TIMER:
        put(out, timer_value(f, object), 8);
        break;
    case STATE_TYPE_STRUCT:
        for (unsigned i = 0; i < count; i++)
            state_save(f->fields, p + i * f->size, out);
        break;
    default:
        save_numbers(f, p, out);
        break;
    }
}

void state_save(const StateField *fields, const void *object, GByteArray *out)
{
    for (const StateField *f = fields; f && f->type != STATE_TYPE_END; f++) {
        uint32_t count = field_count(f, object);
        size_t length = strlen(f->name);
        put(out, length, 1);
        g_byte_array_append(out, (const uint8_t *)f->name, length);
        put(out, f->type, 1);
        put(out, count, 4);
        save_data(f, object, count, out);
    }
    put(out, 0, 1);
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

/* The stream, and whose fields are being read: "owner" and the path of structs, for errors. */
typedef struct Loader {
    const uint8_t *data;
    size_t size, pos;
    const char *owner;
    const char *path;    /* "" or "channel[1]." */
    GError **err;
} Loader;

static gboolean load_table(Loader *l, const StateField *fields, void *object);

/* The next n bytes, or NULL at a truncated stream. */
static const uint8_t *take(Loader *l, size_t n)
{
    if (n > l->size - l->pos)
        return NULL;
    l->pos += n;
    return l->data + l->pos - n;
}

static gboolean fail_truncated(const Loader *l, const char *field)
{
    return error_set(l->err, "%s: the saved state ends within field '%s%s'", l->owner, l->path, field);
}

static gboolean load_numbers(Loader *l, const StateField *f, uint8_t *p)
{
    unsigned width = number_width[f->type];
    const uint8_t *data = take(l, (size_t)width * f->count);

    if (!data)
        return fail_truncated(l, f->name);
    for (unsigned i = 0; i < f->count; i++)
        number_set(f->type, p + i * f->size, ldle(data + i * width, width));
    return TRUE;
}

static gboolean load_bytes(Loader *l, const StateField *f, uint8_t *to, uint32_t count)
{
    const uint8_t *data = take(l, count);

    if (!data)
        return fail_truncated(l, f->name);
    if (count)
        memcpy(to, data, count);
    return TRUE;
}

static gboolean load_timer(Loader *l, const StateField *f, void *object)
{
    const uint8_t *data = take(l, 8);
    Timer *t = pointer_get(f, object);

    if (!data)
        return fail_truncated(l, f->name);
    int64_t deadline = ld64le(data);
    if (!t)
        return TRUE;
    if (deadline < 0)
        timer_cancel(t);
    else
        timer_arm(t, deadline);
    return TRUE;
}

static gboolean load_structs(Loader *l, const StateField *f, uint8_t *p)
{
    const char *outer = l->path;
    gboolean ok = TRUE;

    for (unsigned i = 0; ok && i < f->count; i++) {
        g_autofree char *path = f->count == 1 ? g_strdup_printf("%s%s.", outer, f->name)
                                              : g_strdup_printf("%s%s[%u].", outer, f->name, i);
        l->path = path;
        ok = load_table(l, f->fields, p + i * f->size);
        l->path = outer;
    }
    return ok;
}

static gboolean load_buffer(Loader *l, const StateField *f, void *object, uint32_t count)
{
    if (!load_bytes(l, f, pointer_get(f, object), count))
        return FALSE;
    if (f->size_offset)
        number_set(STATE_TYPE_U32, (uint8_t *)object + f->size_offset, count);
    return TRUE;
}

/* It is as long as the stream has it: room is made only for what is there. */
static gboolean load_array(Loader *l, const StateField *f, void *object, uint32_t count)
{
    GByteArray *array = pointer_get(f, object);
    const uint8_t *data = take(l, count);

    if (!data)
        return fail_truncated(l, f->name);
    g_byte_array_set_size(array, 0);
    g_byte_array_append(array, data, count);
    return TRUE;
}

static gboolean load_data(Loader *l, const StateField *f, void *object, uint32_t count)
{
    uint8_t *p = (uint8_t *)object + f->offset;

    switch (f->type) {
    case STATE_TYPE_BYTES: return load_bytes(l, f, p, count);
    case STATE_TYPE_BUFFER: return load_buffer(l, f, object, count);
    case STATE_TYPE_ARRAY: return load_array(l, f, object, count);
    case STATE_TYPE_TIMER: return load_timer(l, f, object);
    case STATE_TYPE_STRUCT: return load_structs(l, f, p);
    default: return load_numbers(l, f, p);
    }
}

/* Elements that the object has room for: exactly so many, or at most for a buffer of variable length. */
static bool count_fits(const StateField *f, const void *object, uint32_t count)
{
    if (f->type == STATE_TYPE_ARRAY)
        return count <= f->count;
    if (f->type != STATE_TYPE_BUFFER)
        return count == f->count;
    if (!pointer_get(f, object))
        return count == 0;
    return f->size_offset ? count <= f->count : count == f->count;
}

/* Reads a field's name as far as it can be read: "" at the end of the table, NULL at the end of the stream. */
static char *load_name(Loader *l)
{
    const uint8_t *length = take(l, 1);
    const uint8_t *name = length ? take(l, *length) : NULL;
    return name ? g_strndup((const char *)name, *length) : NULL;
}

static gboolean load_header(Loader *l, const StateField *f, uint32_t *count)
{
    g_autofree char *name = load_name(l);
    const uint8_t *head;

    if (!name)
        return fail_truncated(l, f->name);
    if (!*name)
        return error_set(l->err, "%s: the saved state lacks field '%s%s'", l->owner, l->path, f->name);
    if (strcmp(name, f->name))
        return error_set(l->err, "%s: the saved state lacks field '%s%s' (it has '%s' there)", l->owner, l->path,
                         f->name, name);
    head = take(l, 5);
    if (!head)
        return fail_truncated(l, f->name);
    StateType type = head[0];
    *count = ld32le(head + 1);
    if (type != f->type)
        return error_set(l->err, "%s: field '%s%s' is of type %s in the saved state, not %s", l->owner, l->path,
                         f->name, type && type < ARRAY_SIZE(type_names) ? type_names[type] : "unknown",
                         type_names[f->type]);
    return TRUE;
}

static gboolean load_field(Loader *l, const StateField *f, void *object)
{
    uint32_t count = 0;

    if (!load_header(l, f, &count))
        return FALSE;
    if (!count_fits(f, object, count))
        return error_set(l->err, "%s: field '%s%s' has %u elements in the saved state, not %s%u", l->owner, l->path,
                         f->name, count, f->size_offset || f->type == STATE_TYPE_ARRAY ? "at most " : "", f->count);
    return load_data(l, f, object, count);
}

static gboolean load_table(Loader *l, const StateField *fields, void *object)
{
    for (const StateField *f = fields; f && f->type != STATE_TYPE_END; f++) {
        if (!load_field(l, f, object))
            return FALSE;
    }
    g_autofree char *name = load_name(l);
    if (!name)
        return error_set(l->err, "%s: the saved state ends after the last field of '%s'", l->owner,
                         *l->path ? l->path : l->owner);
    if (*name)
        return error_set(l->err, "%s: the saved state has a field '%s%s' that is not known here", l->owner, l->path,
                         name);
    return TRUE;
}

gboolean state_load(const StateField *fields, void *object, const char *owner, const uint8_t *data, size_t size,
                    size_t *pos, GError **err)
{
    Loader l = { .data = data, .size = size, .pos = MIN(*pos, size), .owner = owner, .path = "", .err = err };
    gboolean ok = load_table(&l, fields, object);

    *pos = l.pos;
    return ok;
}

/* --- showing ----------------------------------------------------------------------------------------------------- */

#define DUMP_BYTES_MAX 64 /* longer byte fields are shown by their checksum */

static void dump_bytes(const uint8_t *p, uint32_t n, GString *out)
{
    if (n > DUMP_BYTES_MAX) {
        g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA1, p, n);
        g_string_append_printf(out, " %u bytes, sha1 %s", n, sum);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        g_string_append_printf(out, " %02x", p[i]);
}

static void dump_numbers(const StateField *f, const uint8_t *p, GString *out)
{
    for (unsigned i = 0; i < f->count; i++) {
        uint64_t v = number_get(f->type, p + i * f->size);
        if (f->type == STATE_TYPE_BOOL)
            g_string_append(out, v ? " true" : " false");
        else
            g_string_append_printf(out, " 0x%" PRIx64, v);
    }
}

static void dump_structs(const StateField *f, const uint8_t *p, unsigned indent, GString *out)
{
    for (unsigned i = 0; i < f->count; i++) {
        g_string_append_printf(out, "%*s%s", indent, "", f->name);
        if (f->count > 1)
            g_string_append_printf(out, "[%u]", i);
        g_string_append(out, ":\n");
        state_dump(f->fields, p + i * f->size, indent + 4, out);
    }
}

static void dump_value(const StateField *f, const void *object, GString *out)
{
    const uint8_t *p = (const uint8_t *)object + f->offset;

    switch (f->type) {
    case STATE_TYPE_BYTES:
        dump_bytes(p, f->count, out);
        break;
    case STATE_TYPE_BUFFER:
        dump_bytes(pointer_get(f, object), buffer_length(f, object), out);
        break;
    case STATE_TYPE_ARRAY:
        dump_bytes(((GByteArray *)pointer_get(f, object))->data, field_count(f, object), out);
        break;
    case STATE_TYPE_TIMER:
        if (timer_value(f, object) < 0)
            g_string_append(out, " off");
        else
            g_string_append_printf(out, " %" PRId64 " ns", timer_value(f, object));
        break;
    default:
        dump_numbers(f, p, out);
        break;
    }
}

void state_dump(const StateField *fields, const void *object, unsigned indent, GString *out)
{
    for (const StateField *f = fields; f && f->type != STATE_TYPE_END; f++) {
        if (f->type == STATE_TYPE_STRUCT) {
            dump_structs(f, (const uint8_t *)object + f->offset, indent, out);
            continue;
        }
        g_string_append_printf(out, "%*s%s =", indent, "", f->name);
        dump_value(f, object, out);
        g_string_append_c(out, '\n');
    }
}
