/* Traces in files (trace_file.h). */
#include "cpu/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/endian.h"

#define VERSION 1
#define HEADER_BYTES 32
#define CHUNK_HEADER 8
#define BUFFER_BYTES 65536
#define RECORD_MAX 80 /* with the context before it */

/* The first byte of a record; the lower four bits are a kind. */
enum { RECORD_BRANCH = 0x10, RECORD_INSN = 0x20, RECORD_EVENT = 0x30, RECORD_CONTEXT = 0x40 };

struct TraceFile {
    int fd;
    unsigned what;
    TraceFilter filter;
    GMutex lock;      /* for the rest */
    uint64_t size;
    char *error;
};

struct TraceBuffer {
    TraceFile *file;
    unsigned cpu;
    size_t used;
    uint64_t last;    /* address that the next one is told from */
    uint64_t cr3;     /* as last told */
    int mode;         /* likewise, CPL and code size; -1: not yet in this chunk */
    uint8_t data[BUFFER_BYTES];
};

/* ---- the file ---- */

static void write_all(TraceFile *f, const uint8_t *data, size_t size)
{
    while (size && !f->error) {
        ssize_t n = write(f->fd, data, size);
        if (n < 0 && errno != EINTR)
            f->error = g_strdup(g_strerror(errno));
        if (n <= 0)
            continue;
        data += n;
        size -= n;
        f->size += n;
    }
}

static void write_header(TraceFile *f, unsigned cpus, int64_t time)
{
    uint8_t header[HEADER_BYTES] = "MYNATRC\n";
    st16le(header + 8, VERSION);
    st16le(header + 10, cpus);
    st32le(header + 12, f->what);
    st64le(header + 16, time);
    write_all(f, header, sizeof header);
}

TraceFile *trace_file_open(const char *path, unsigned what, const TraceFilter *filter, unsigned cpus, int64_t time,
                           GError **err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd < 0) {
        g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: cannot write it: %s", path,
                    g_strerror(errno));
        return NULL;
    }
    TraceFile *f = g_new0(TraceFile, 1);
    f->fd = fd;
    f->what = what;
    f->filter = *filter;
    g_mutex_init(&f->lock);
    write_header(f, cpus, time);
    return f;
}

char *trace_file_close(TraceFile *f)
{
    char *error = f->error;
    if (close(f->fd) < 0 && !error)
        error = g_strdup(g_strerror(errno));
    g_mutex_clear(&f->lock);
    g_free(f);
    return error;
}

uint64_t trace_file_size(TraceFile *f, char **error)
{
    g_mutex_lock(&f->lock);
    uint64_t size = f->size;
    *error = g_strdup(f->error);
    g_mutex_unlock(&f->lock);
    return size;
}

/* ---- chunks ---- */

static void begin_chunk(TraceBuffer *b)
{
    b->used = CHUNK_HEADER;
    b->last = 0;
    b->mode = -1;
}

TraceBuffer *trace_buffer_new(TraceFile *f, unsigned cpu)
{
    TraceBuffer *b = g_new(TraceBuffer, 1);
    b->file = f;
    b->cpu = cpu;
    begin_chunk(b);
    return b;
}

static void flush(TraceBuffer *b)
{
    st32le(b->data, b->used - CHUNK_HEADER);
    st16le(b->data + 4, b->cpu);
    st16le(b->data + 6, 0);
    if (b->used > CHUNK_HEADER) {
        g_mutex_lock(&b->file->lock);
        write_all(b->file, b->data, b->used);
        g_mutex_unlock(&b->file->lock);
    }
    begin_chunk(b);
}

void trace_buffer_free(TraceBuffer *b)
{
    if (b)
        flush(b);
    g_free(b);
}

static void put_byte(TraceBuffer *b, uint8_t v) { b->data[b->used++] = v; }

/* LEB128: seven bits a byte, the lowest first; the top bit says that more follow. */
static void put_number(TraceBuffer *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_byte(b, v | 0x80);
    put_byte(b, v);
}

/* Distances either way: the sign is the lowest bit. */
static void put_address(TraceBuffer *b, uint64_t la)
{
    uint64_t d = la - b->last;
    put_number(b, d << 1 ^ (d >> 63 ? ~UINT64_C(0) : 0));
    b->last = la;
}

static bool in_range(const TraceFilter *f, uint64_t la) { return la >= f->first && la <= f->last; }

static bool context_passes(const TraceFilter *f, const Cpu *cpu, unsigned cpl)
{
    return (!f->has_cr3 || !((cpu->cr3 ^ f->cr3) & GUEST_PAGE_MASK)) && (f->cpl < 0 || (unsigned)f->cpl == cpl);
}

/* Makes room for a record, and tells where the CPU is if that is another place than before. */
static void begin_record(TraceBuffer *b, const Cpu *cpu, unsigned cpl, unsigned what)
{
    int mode = cpl | cpu->code_size << 2;
    if (b->used > BUFFER_BYTES - RECORD_MAX)
        flush(b);
    if (b->mode != mode || b->cr3 != cpu->cr3) {
        put_byte(b, RECORD_CONTEXT);
        put_byte(b, mode);
        put_number(b, cpu->cr3);
        b->mode = mode;
        b->cr3 = cpu->cr3;
    }
    put_byte(b, what);
}

void trace_buffer_branch(TraceBuffer *b, Cpu *cpu, const TraceBranch *branch)
{
    const TraceFilter *f = &b->file->filter;
    if (!(b->file->what & TRACE_FILE_BRANCHES) || !context_passes(f, cpu, cpu->cpl) ||
        !(in_range(f, branch->from) || in_range(f, branch->to)))
        return;
    begin_record(b, cpu, cpu->cpl, RECORD_BRANCH | trace_branch_kind(branch));
    put_address(b, branch->from);
    put_address(b, branch->to);
}

void trace_buffer_insn(TraceBuffer *b, Cpu *cpu, uint64_t la)
{
    const TraceFilter *f = &b->file->filter;
    if (!(b->file->what & TRACE_FILE_INSNS) || !in_range(f, la) || !context_passes(f, cpu, cpu->cpl))
        return;
    begin_record(b, cpu, cpu->cpl, RECORD_INSN);
    put_address(b, la);
}

void trace_buffer_event(TraceBuffer *b, Cpu *cpu, const TraceEvent *e)
{
    const TraceFilter *f = &b->file->filter;
    if (!(b->file->what & TRACE_FILE_EVENTS) || !in_range(f, e->la) || !context_passes(f, cpu, e->cpl))
        return;
    begin_record(b, cpu, e->cpl, RECORD_EVENT | e->kind);
    put_byte(b, e->vector);
    put_byte(b, e->has_error);
    if (e->has_error)
        put_number(b, e->error);
    put_number(b, e->value);
    put_address(b, e->la);
    put_number(b, e->sp);
    put_number(b, e->time);
}
