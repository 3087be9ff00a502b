/*
 * VHDX's log ([MS-VHDX] 2.3): a ring of entries, each some sectors of 4 KiB and where in the file they go.  What an entry
 * says is written to its place only after the entry is on stable storage; who finds a log after a crash does it again.
 *
 * Here an entry has one sector, and names itself as the oldest one needed, since a flush comes between what the last one
 * said and the next: the log that is found has exactly one entry to replay.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backends/block/format.h"
#include "backends/block/vhdx.h"
#include "core/error.h"
#include "util/endian.h"

enum { SECTOR = VHDX_LOG_SECTOR, HEAD = 64, DESCRIPTOR = 32, LEADING = 8, TRAILING = 4 };

/* Offsets in an entry's header, and in a descriptor, and a data sector (2.3.1). */
enum {
    ENTRY_LENGTH = 8,
    ENTRY_TAIL = 12,
    ENTRY_SEQUENCE = 16,
    ENTRY_COUNT = 24,
    ENTRY_GUID = 32,
    ENTRY_FLUSHED = 48,
    ENTRY_LAST = 56,
    DESCRIPTOR_TRAILING = 4,
    DESCRIPTOR_LEADING = 8, /* of a sector of zeros: how many bytes */
    DESCRIPTOR_OFFSET = 16,
    DESCRIPTOR_SEQUENCE = 24,
    DATA_HIGH = 4,
    DATA_LOW = 4092,
};

#define ENTRY_MAGIC "loge"
#define DATA_DESCRIPTOR "desc"
#define ZERO_DESCRIPTOR "zero"
#define DATA_MAGIC "data"

static const uint8_t no_guid[VHDX_GUID];

/* Whether the header names a log: then it is not empty. */
static bool is_named(const Vhdx *v) { return memcmp(v->header + VHDX_LOG_GUID, no_guid, VHDX_GUID); }

/* ---- finding what is to be done (2.3.2) ---- */

typedef struct Log {
    Image *image;
    const uint8_t *guid;
    const uint8_t *ring;  /* twice, one behind the other: an entry that wraps stands in one piece */
    uint64_t length, budget; /* `budget`: bytes whose checksum is still computed, so that no log takes for ever */
} Log;

static const uint8_t *entry_at(const Log *log, uint64_t at) { return log->ring + at; }
static uint64_t entry_length(const uint8_t *e) { return ld32le(e + ENTRY_LENGTH); }
static uint64_t entry_sequence(const uint8_t *e) { return ld64le(e + ENTRY_SEQUENCE); }

/* Sectors with header and descriptors. */
static uint64_t head_sectors(const uint8_t *e)
{
    return (HEAD + (uint64_t)ld32le(e + ENTRY_COUNT) * DESCRIPTOR + SECTOR - 1) / SECTOR;
}

static bool descriptors_ok(const uint8_t *e)
{
    uint64_t data = head_sectors(e);

    for (uint32_t k = 0; k < ld32le(e + ENTRY_COUNT); k++) {
        const uint8_t *d = e + HEAD + k * DESCRIPTOR, *sector = e + data * SECTOR;
        if (ld64le(d + DESCRIPTOR_SEQUENCE) != entry_sequence(e) || ld64le(d + DESCRIPTOR_OFFSET) % SECTOR)
            return false;
        if (!memcmp(d, ZERO_DESCRIPTOR, 4)) {
            if (ld64le(d + DESCRIPTOR_LEADING) % SECTOR)
                return false;
            continue;
        }
        if (memcmp(d, DATA_DESCRIPTOR, 4) || ++data > entry_length(e) / SECTOR || memcmp(sector, DATA_MAGIC, 4) ||
            ((uint64_t)ld32le(sector + DATA_HIGH) << 32 | ld32le(sector + DATA_LOW)) != entry_sequence(e))
            return false;
    }
    return true;
}

static bool entry_ok(Log *log, uint64_t at)
{
    const uint8_t *e = entry_at(log, at);
    uint64_t length = entry_length(e);

    if (memcmp(e, ENTRY_MAGIC, 4) || !length || length % SECTOR || length > log->length || !entry_sequence(e) ||
        memcmp(e + ENTRY_GUID, log->guid, VHDX_GUID) || head_sectors(e) * SECTOR > length || length > log->budget)
        return false;
    log->budget -= length;
    return vhdx_checksum(e, length) == ld32le(e + VHDX_CHECKSUM) && descriptors_ok(e);
}

typedef struct Sequence {
    uint64_t tail, head;  /* offsets of its first and last entry */
    uint64_t number;      /* of the last; 0: empty */
    uint64_t length;      /* of all its entries */
    bool tail_within;     /* the last one's oldest needed entry is one of these */
} Sequence;

/* Whether `at` is where an entry of the sequence begins. */
static bool has_entry_at(const Log *log, const Sequence *s, uint64_t at)
{
    uint64_t position = s->tail;

    for (uint64_t done = 0; done < s->length;) {
        uint64_t length = entry_length(entry_at(log, position));
        if (position == at)
            return true;
        done += length;
        position = (position + length) % log->length;
    }
    return false;
}

static Sequence sequence_from(Log *log, uint64_t tail)
{
    Sequence s = { .tail = tail, .head = tail };
    uint64_t at = tail;

    while (s.length < log->length && entry_ok(log, at)) {
        const uint8_t *e = entry_at(log, at);
        if ((s.number && entry_sequence(e) != s.number + 1) || s.length + entry_length(e) > log->length)
            break;
        s.head = at;
        s.number = entry_sequence(e);
        s.length += entry_length(e);
        at = (at + entry_length(e)) % log->length;
    }
    s.tail_within = s.number && has_entry_at(log, &s, ld32le(entry_at(log, s.head) + ENTRY_TAIL));
    return s;
}

/* The sequence that counts: of those that are whole, the one with the greatest number. */
static Sequence find_active(Log *log)
{
    Sequence best = { 0 };

    for (uint64_t at = 0; at < log->length;) {
        Sequence s = sequence_from(log, at);
        if (s.tail_within && s.number > best.number)
            best = s;
        at += s.number && s.tail_within ? s.length : SECTOR;
    }
    return best;
}

/* ---- doing it ---- */

static int replay_descriptor(Image *file, const uint8_t *d, const uint8_t **data)
{
    uint64_t at = ld64le(d + DESCRIPTOR_OFFSET), zeros = ld64le(d + DESCRIPTOR_LEADING);
    uint8_t sector[SECTOR];

    if (!memcmp(d, ZERO_DESCRIPTOR, 4))
        return at < file->size && zeros <= file->size - at ? image_write_zeroes(file, at, zeros, false) : -EINVAL;
    if (at + SECTOR > file->size || at + SECTOR < at)
        return -EINVAL;
    memcpy(sector, d + DESCRIPTOR_LEADING, LEADING);
    memcpy(sector + LEADING, *data + LEADING, SECTOR - LEADING - TRAILING);
    memcpy(sector + SECTOR - TRAILING, d + DESCRIPTOR_TRAILING, TRAILING);
    *data += SECTOR;
    return image_write(file, at, sector, SECTOR);
}

/* The file is at least as long as it was then, and not shorter than what was on stable storage. */
static int replay_entry(Image *file, const uint8_t *e)
{
    uint64_t last = ld64le(e + ENTRY_LAST);
    const uint8_t *data = e + head_sectors(e) * SECTOR;
    int status = 0;

    if (file->size < ld64le(e + ENTRY_FLUSHED) || last > INT64_MAX - SECTOR)
        return -EINVAL;
    if (file->size < last)
        status = image_resize(file, last);
    for (uint32_t k = 0; k < ld32le(e + ENTRY_COUNT) && !status; k++)
        status = replay_descriptor(file, e + HEAD + k * DESCRIPTOR, &data);
    return status;
}

static int replay(const Log *log, const Sequence *s)
{
    uint64_t at = ld32le(entry_at(log, s->head) + ENTRY_TAIL);
    int status;

    do {
        status = replay_entry(log->image->lower, entry_at(log, at));
        if (at == s->head)
            break;
        at = (at + entry_length(entry_at(log, at))) % log->length;
    } while (!status);
    return status ? status : image_flush(log->image->lower);
}

static gboolean replay_log(Image *i, Vhdx *v, GError **err)
{
    g_autofree uint8_t *ring = g_try_malloc(2 * v->log.length);
    int status = ring ? image_read(i->lower, v->log.at, ring, v->log.length) : -ENOMEM;

    if (status)
        return image_error(i, "VHDX log cannot be read", status, err);
    memcpy(ring + v->log.length, ring, v->log.length);
    Log log = { i, v->header + VHDX_LOG_GUID, ring, v->log.length, 64 * v->log.length };
    Sequence s = find_active(&log);
    if (!s.number)
        return error_set(err, "'%s': the VHDX log, at offset 0x%" PRIx64 ", is needed and holds no valid entry", i->file,
                         v->log.at);
    status = replay(&log, &s);
    if (status)
        return error_set(err, "'%s': the VHDX log's entry at offset 0x%" PRIx64 " cannot be replayed: %s", i->file,
                         v->log.at + s.head, g_strerror(-status));
    memset(v->header + VHDX_LOG_GUID, 0, VHDX_GUID);
    status = vhdx_write_header(v);
    return !status || image_error(i, "VHDX header cannot be written", status, err);
}

gboolean vhdx_log_replay(Image *i, Vhdx *v, GError **err)
{
    if (!is_named(v))
        return TRUE;
    if (i->readonly)
        return error_set(err, "'%s' was not closed by who wrote it, and its VHDX log must be replayed: open it once for "
                         "writing", i->file);
    return replay_log(i, v, err);
}

/* ---- writing ---- */

int vhdx_begin(Vhdx *v)
{
    if (v->begun)
        return 0;
    make_uuid(v->header + VHDX_FILE_GUID);
    make_uuid(v->header + VHDX_DATA_GUID);
    int status = vhdx_write_header(v);
    v->begun = !status;
    return status;
}

static void make_entry(const Vhdx *v, uint64_t at, const uint8_t *data, uint8_t *e)
{
    uint8_t *d = e + HEAD, *sector = e + SECTOR;

    memcpy(e, ENTRY_MAGIC, 4);
    st32le(e + ENTRY_LENGTH, 2 * SECTOR);
    st32le(e + ENTRY_TAIL, v->log_at);
    st64le(e + ENTRY_SEQUENCE, v->log_sequence);
    st32le(e + ENTRY_COUNT, 1);
    memcpy(e + ENTRY_GUID, v->header + VHDX_LOG_GUID, VHDX_GUID);
    st64le(e + ENTRY_FLUSHED, v->s.image.lower->size);
    st64le(e + ENTRY_LAST, v->s.image.lower->size);
    memcpy(d, DATA_DESCRIPTOR, 4);
    memcpy(d + DESCRIPTOR_TRAILING, data + SECTOR - TRAILING, TRAILING);
    memcpy(d + DESCRIPTOR_LEADING, data, LEADING);
    st64le(d + DESCRIPTOR_OFFSET, at);
    st64le(d + DESCRIPTOR_SEQUENCE, v->log_sequence);
    memcpy(sector, data, SECTOR);
    memcpy(sector, DATA_MAGIC, 4);
    st32le(sector + DATA_HIGH, v->log_sequence >> 32);
    st32le(sector + DATA_LOW, v->log_sequence);
    st32le(e + VHDX_CHECKSUM, vhdx_checksum(e, 2 * SECTOR));
}

/* The header names the log once its first entry is there: a log that is named and empty would be damage. */
int vhdx_log_write(Vhdx *v, uint64_t at, const uint8_t *data)
{
    Image *file = v->s.image.lower;
    g_autofree uint8_t *entry = g_malloc0(2 * SECTOR);
    bool fresh = !is_named(v);
    int status = image_flush(file);

    if (fresh)
        make_uuid(v->header + VHDX_LOG_GUID);
    make_entry(v, at, data, entry);
    if (!status)
        status = image_write(file, v->log.at + v->log_at, entry, 2 * SECTOR);
    if (!status)
        status = image_flush(file);
    if (!status && fresh)
        status = vhdx_write_header(v);
    if (status) {
        if (fresh)
            memset(v->header + VHDX_LOG_GUID, 0, VHDX_GUID);
        return status;
    }
    v->log_at = (v->log_at + 2 * SECTOR) % v->log.length;
    v->log_sequence++;
    return image_write(file, at, data, SECTOR);
}

int vhdx_end(Vhdx *v)
{
    if (!v->begun || !is_named(v))
        return 0;
    int status = image_flush(v->s.image.lower);
    if (status)
        return status;
    memset(v->header + VHDX_LOG_GUID, 0, VHDX_GUID);
    return vhdx_write_header(v);
}
