/* QMP's commands that write memory to files (qmp_command.h). */
#include "config.h"

#ifdef CONFIG_JSON_GLIB
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "debugger/qmp/qmp_command.h"
#include "util/bits.h"

/* A piece of memory to a file; false after an error. */
typedef struct Saving {
    QmpCall *call;
    Cpu *cpu;           /* NULL: physical */
    FILE *file;
    const char *name;
} Saving;

static bool save_bytes(const Saving *s, const void *bytes, size_t size)
{
    return fwrite(bytes, 1, size, s->file) == size ||
           qmp_fail(s->call, "Could not write '%s': %s", s->name, g_strerror(errno));
}

static bool save_linear(const Saving *s, uint64_t at, uint64_t size)
{
    uint8_t page[4096];
    while (size) {
        size_t n = MIN(size, sizeof page - (at & (sizeof page - 1)));
        if (!debugger_read(s->cpu, at, page, n))
            return qmp_fail(s->call, "Invalid addr 0x%016" PRIx64 ": it is not mapped", at);
        if (!save_bytes(s, page, n))
            return false;
        at += n;
        size -= n;
    }
    return true;
}

/* RAM and ROM; over devices' registers and nothing at all, which are not touched, the file has a hole of zeros. */
static bool save_physical(const Saving *s, uint64_t at, uint64_t size)
{
    off_t end = size;
    while (size) {
        AsTarget t = as_lookup(s->call->machine->memory, at);
        uint64_t n = MIN(size, MAX(t.room, 1));
        if (t.host ? !save_bytes(s, t.host, n) : fseeko(s->file, n, SEEK_CUR) != 0)
            return t.host ? false : qmp_fail(s->call, "Could not write '%s': %s", s->name, g_strerror(errno));
        at += n;
        size -= n;
    }
    if (!fflush(s->file) && !ftruncate(fileno(s->file), end))
        return true;
    return qmp_fail(s->call, "Could not write '%s': %s", s->name, g_strerror(errno));
}

static bool save(QmpCall *c, Cpu *cpu)
{
    uint64_t at = qmp_integer(c, "val", 0), size = qmp_integer(c, "size", 0);
    Saving s = { .call = c, .cpu = cpu, .name = qmp_string(c, "filename", "") };
    s.file = fopen(s.name, "wb");
    if (!s.file)
        return qmp_fail(c, "Could not open '%s': %s", s.name, g_strerror(errno));
    bool ok = cpu ? save_linear(&s, at, size) : save_physical(&s, at, size);
    if (fclose(s.file) && ok)
        ok = qmp_fail(c, "Could not write '%s': %s", s.name, g_strerror(errno));
    return ok;
}

/* No more than there can be: a slip must not fill the disk. */
static bool check_size(QmpCall *c, uint64_t most)
{
    int64_t size = qmp_integer(c, "size", 0);
    return (size >= 0 && (uint64_t)size <= most) ||
           qmp_fail(c, "Parameter 'size' is %" PRId64 ": it can be 0 to %" PRIu64, size, most);
}

static bool run_memsave(QmpCall *c)
{
    Cpu *cpu = qmp_cpu(c, "cpu-index");
    return cpu && check_size(c, c->machine->ram_size) && save(c, cpu);
}

static bool run_pmemsave(QmpCall *c)
{
    uint64_t end = 4 * GiB + c->machine->ram_size, at = qmp_integer(c, "val", 0);
    if (at >= end)
        return qmp_fail(c, "Parameter 'val' is 0x%" PRIx64 ": memory ends below 0x%" PRIx64, at, end);
    return check_size(c, end - at) && save(c, NULL);
}

static const QmpArgument memsave_arguments[] = {
    { "val", QMP_INTEGER, false, NULL, NULL },
    { "size", QMP_INTEGER, false, NULL, NULL },
    { "filename", QMP_STRING, false, NULL, NULL },
    { "cpu-index", QMP_INTEGER, true, NULL, NULL },
    { .name = NULL },
};

static const QmpArgument pmemsave_arguments[] = {
    { "val", QMP_INTEGER, false, NULL, NULL },
    { "size", QMP_INTEGER, false, NULL, NULL },
    { "filename", QMP_STRING, false, NULL, NULL },
    { .name = NULL },
};

const QmpCommand qmp_memory_commands[] = {
    { .name = "memsave", .run = run_memsave, .arguments = memsave_arguments, .paused = true },
    { .name = "pmemsave", .run = run_pmemsave, .arguments = pmemsave_arguments, .paused = true },
    { .name = NULL },
};
#endif
