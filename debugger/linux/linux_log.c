/*
 * A Linux guest's messages (linux.h): the ring buffer of printk (kernel/printk/printk_ringbuffer.h, Linux 5.10 and on).
 *
 * A ring of descriptors says where in a ring of text each message lies.  Both go round: places are logical, and rise
 * for ever; what is not as the counters say has been overwritten.
 */
#include <inttypes.h>

#include "core/error.h"
#include "debugger/linux/linux.h"
#include "util/bits.h"
#include "util/endian.h"

/* The two highest bits of a descriptor's state_var; its number is in the others. */
enum { DESC_COMMITTED = 1, DESC_FINALIZED = 2 };
#define DESC_ID(v) ((v) & bit_mask(62))
#define DESC_STATE(v) ((v) >> 62)

/* The largest that a kernel can have: CONFIG_LOG_BUF_SHIFT is at most 25, log_buf_len= at most 2 GiB. */
enum { MAX_DESC_BITS = 26, MAX_TEXT_BITS = 31, MAX_RECORD = 1 << 16 };

typedef struct Log {
    uint64_t descs, infos, data, count_bits, size_bits, head, tail, desc_size, info_size;
    BtfField state, begin, next, time, length;
} Log;

static gboolean find_log(const Linux *l, Log *g, GError **err)
{
    uint64_t rb, prb;
    BtfField pointer = { .size = 8 };
    if (!linux_symbol(l, "prb", &prb, err) || !linux_get(l, prb, &pointer, &rb, err))
        return FALSE;
    const struct { const char *path; uint64_t *to; } of_ring[] = {
        { "desc_ring.count_bits", &g->count_bits },
        { "desc_ring.descs", &g->descs },
        { "desc_ring.infos", &g->infos },
        { "desc_ring.head_id", &g->head },
        { "desc_ring.tail_id", &g->tail },
        { "text_data_ring.size_bits", &g->size_bits },
        { "text_data_ring.data", &g->data },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(of_ring); k++)
        if (!linux_get_named(l, rb, "printk_ringbuffer", of_ring[k].path, of_ring[k].to, err))
            return FALSE;
    if (g->count_bits > MAX_DESC_BITS || g->size_bits > MAX_TEXT_BITS)
        return error_set(err, "the kernel's log is damaged, or not set up yet");
    return linux_size(l, "prb_desc", &g->desc_size, err) && linux_size(l, "printk_info", &g->info_size, err) &&
           linux_field(l, "prb_desc", "state_var", &g->state, err) &&
           linux_field(l, "prb_desc", "text_blk_lpos.begin", &g->begin, err) &&
           linux_field(l, "prb_desc", "text_blk_lpos.next", &g->next, err) &&
           linux_field(l, "printk_info", "ts_nsec", &g->time, err) &&
           linux_field(l, "printk_info", "text_len", &g->length, err);
}

/* Where a block of text is, and how long; false when there is none. */
static bool find_text(const Log *g, uint64_t begin, uint64_t next, uint64_t *at, uint64_t *size)
{
    enum { ID_SIZE = 8 }; /* before the text: the number of its descriptor */
    if (begin & 1) /* no text at all */
        return false;
    uint64_t mask = bit_mask(g->size_bits), from = begin & mask;
    *size = next - begin;
    if (begin >> g->size_bits != next >> g->size_bits) { /* it did not fit before the end: it is at the start */
        from = 0;
        *size = next & mask;
    }
    if (next <= begin || *size < ID_SIZE)
        return false;
    *at = g->data + from + ID_SIZE;
    *size -= ID_SIZE;
    return true;
}

/* Each line of a message with the time before it, as the kernel has it on its console. */
static void print_text(const char *text, size_t size, uint64_t nanoseconds, GString *out)
{
    bool starts = true;
    for (size_t k = 0; k <= size; k++) {
        if (starts)
            g_string_append_printf(out, "[%5" PRIu64 ".%06" PRIu64 "] ", nanoseconds / 1000000000,
                                   nanoseconds / 1000 % 1000000);
        starts = k == size || text[k] == '\n';
        if (starts)
            g_string_append_c(out, '\n');
        else if (g_ascii_isprint(text[k]) || text[k] == '\t' || (text[k] & 0x80))
            g_string_append_c(out, text[k]);
        else
            g_string_append_printf(out, "\\x%02x", (uint8_t)text[k]);
    }
}

/* The message of descriptor `id`, if it still has one. */
static gboolean print_message(const Linux *l, const Log *g, uint64_t id, GString *out, GError **err)
{
    uint64_t n = id & bit_mask(g->count_bits), desc = g->descs + n * g->desc_size, info = g->infos + n * g->info_size;
    uint64_t state, begin, next, time, length, at, size;
    char text[MAX_RECORD];
    if (!linux_get(l, desc, &g->state, &state, err) || !linux_get(l, desc, &g->begin, &begin, err) ||
        !linux_get(l, desc, &g->next, &next, err) || !linux_get(l, info, &g->time, &time, err) ||
        !linux_get(l, info, &g->length, &length, err))
        return FALSE;
    if (DESC_ID(state) != id || (DESC_STATE(state) != DESC_COMMITTED && DESC_STATE(state) != DESC_FINALIZED) ||
        !find_text(g, begin, next, &at, &size))
        return TRUE;
    size = MIN(MIN(size, length), sizeof text);
    if (!linux_read(l->cpu, at, text, size))
        return error_set(err, "cannot read the kernel's memory at 0x%016" PRIx64, at);
    print_text(text, size, time, out);
    return TRUE;
}

gboolean linux_print_log(Linux *l, GString *out, GError **err)
{
    Log g;
    if (!find_log(l, &g, err))
        return FALSE;
    uint64_t tail = DESC_ID(g.tail), count = MIN(DESC_ID(g.head - tail) + 1, BIT(g.count_bits));
    for (uint64_t k = 0; k < count; k++)
        if (!print_message(l, &g, DESC_ID(tail + k), out, err))
            return FALSE;
    return TRUE;
}
