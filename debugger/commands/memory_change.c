/* Commands that change registers, memory and ports, and move memory to and from files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/machine.h"
#include "debugger/commands/command.h"
#include "debugger/commands/disassemble.h"
#include "debugger/expression/expression.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- set ---- */

/* The "=" of an assignment: not one of == != <= >=, nor inside brackets. */
static const char *find_assignment(const char *p)
{
    int depth = 0;
    for (const char *start = p; *p; p++) {
        depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
        if (*p != '=' || depth > 0)
            continue;
        if (p[1] == '=')
            p++;
        else if (p == start || !strchr("!<>", p[-1]))
            return p;
    }
    return NULL;
}

/* gdb: set var X = V, set variable X = V. */
static const char *skip_var(const char *p)
{
    static const char *const words[] = { "variable ", "var " };
    for (unsigned k = 0; k < G_N_ELEMENTS(words); k++)
        if (g_str_has_prefix(p, words[k]))
            return p + strlen(words[k]);
    return p;
}

static void command_set(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *to = skip_var(c->arguments), *equals = find_assignment(to);
    uint64_t v;
    if (!equals || equals == to) {
        g_string_append(c->out, "usage: set REGISTER|MEMORY = VALUE, e.g. set rax = 5 or set u32[0x1000] = 0x10\n");
        return;
    }
    Cpu *cpu = debugger_cpu(c->debugger);
    g_autofree char *name = g_strndup(to, equals - to);
    if (!command_value(c, equals + 1, &v))
        return;
    Expression *e = expression_parse(c->debugger, cpu, name, &err);
    if (!e || !expression_assign(e, cpu, v, &err))
        g_string_append_printf(c->out, "set: %s\n", err->message);
    expression_free(e);
}

/* Bochs: setpmem ADDRESS SIZE VALUE */
static void command_setpmem(MonitorCommand *c)
{
    const char *p = c->arguments;
    uint64_t address, size, v;
    uint8_t b[8];
    if (!*p)
        g_string_append(c->out, "usage: setpmem ADDRESS SIZE VALUE\n");
    if (!*p || !command_next_value(c, &p, &address) || !command_next_value(c, &p, &size) || !command_value(c, p, &v))
        return;
    if (!is_power_of_2(size) || size > 8) {
        g_string_append_printf(c->out, "setpmem: a size of %" PRIu64 " bytes: it is 1, 2, 4 or 8\n", size);
        return;
    }
    stle(b, v, size);
    as_load_bytes(c->machine->memory, address, b, size);
}

/* ---- files ---- */

enum { CHUNK = 4096 };

/* Up to the next page's begin, which may not be mapped. */
static unsigned chunk_at(uint64_t address, uint64_t left) { return MIN(left, CHUNK - (address & (CHUNK - 1))); }

static bool save_to(const MemoryView *v, FILE *f, uint64_t address, uint64_t size, GString *out)
{
    uint8_t b[CHUNK];
    while (size) {
        unsigned n = chunk_at(address, size);
        if (!memory_view_read(v, address, b, n)) {
            g_string_append_printf(out, "cannot access memory at 0x%" PRIx64 ": what comes before is saved\n",
                                   address);
            return false;
        }
        if (fwrite(b, 1, n, f) != n)
            return false;
        address += n;
        size -= n;
    }
    return true;
}

/* More than a machine with so much memory can have is a mistake, which would fill the disk. */
static uint64_t save_max(const Machine *m) { return 8 * GiB + m->ram_size; }

static void save(MonitorCommand *c, const MemoryView *v, const char *file, uint64_t address, uint64_t size)
{
    if (size > save_max(c->machine)) {
        g_string_append_printf(c->out, "%" PRIu64 " bytes are more than this machine's memory\n", size);
        return;
    }
    FILE *f = fopen(file, "wb");
    if (!f) {
        g_string_append_printf(c->out, "'%s' cannot be written: %s\n", file, g_strerror(errno));
        return;
    }
    save_to(v, f, address, size, c->out);
    bool failed = ferror(f);
    if (fclose(f) || failed)
        g_string_append_printf(c->out, "'%s' cannot be written: %s\n", file, g_strerror(errno));
}

/*
 * Splits the last word off, which may be quoted; NULL when it is the only one.  A file's name after an expression would
 * else be more of it: 16 /tmp/file is a division.
 */
static char *split_last(const char *text, char **before)
{
    const char *p = text + strlen(text);
    bool quoted = p > text && p[-1] == '"';
    if (quoted)
        for (p--; p > text && p[-1] != '"'; p--)
            ;
    else
        while (p > text && !g_ascii_isspace(p[-1]))
            p--;
    const char *begin = p - (quoted && p > text);
    if (begin <= text)
        return NULL;
    *before = g_strchomp(g_strndup(text, begin - text));
    return g_strndup(p, strlen(p) - quoted);
}

/* QEMU: memsave ADDRESS SIZE FILE */
static void save_memory(MonitorCommand *c, bool physical)
{
    g_autofree char *numbers = NULL, *file = split_last(c->arguments, &numbers);
    const char *p = numbers;
    uint64_t address, size;
    if (!file) {
        g_string_append(c->out, "usage: memsave ADDRESS SIZE FILE\n");
        return;
    }
    MemoryView v = memory_view(c, physical);
    if (!command_next_value(c, &p, &address) || !command_next_value(c, &p, &size))
        return;
    if (*p)
        g_string_append_printf(c->out, "'%s': unexpected\n", p);
    else
        save(c, &v, file, address, size);
}

static void command_memsave(MonitorCommand *c) { save_memory(c, false); }
static void command_pmemsave(MonitorCommand *c) { save_memory(c, true); }

/* Bochs: writemem "FILE" ADDRESS LENGTH */
static void command_writemem(MonitorCommand *c)
{
    const char *p = c->arguments;
    g_autofree char *file = command_word(&p);
    uint64_t address, size;
    if (!file)
        g_string_append(c->out, "usage: writemem \"FILE\" ADDRESS LENGTH\n");
    if (!file || !command_next_value(c, &p, &address) || !command_value(c, p, &size))
        return;
    MemoryView v = memory_view(c, false);
    save(c, &v, file, address, size);
}

/* Bochs: loadmem "FILE" ADDRESS */
static void command_loadmem(MonitorCommand *c)
{
    const char *p = c->arguments;
    g_autofree char *file = command_word(&p), *data = NULL;
    g_autoptr(GError) err = NULL;
    uint64_t address;
    gsize size;
    if (!file)
        g_string_append(c->out, "usage: loadmem \"FILE\" ADDRESS\n");
    if (!file || !command_value(c, p, &address))
        return;
    if (!g_file_get_contents(file, &data, &size, &err))
        g_string_append_printf(c->out, "%s\n", err->message);
    else if (!debugger_write(debugger_cpu(c->debugger), address, data, size))
        g_string_append_printf(c->out,
                               "loadmem: not all of the %zu bytes at 0x%" PRIx64 " are mapped: nothing was written\n",
                               size, address);
    else
        g_string_append_printf(c->out, "%zu bytes at 0x%" PRIx64 "\n", size, address);
}

/* ---- ports ---- */

/* "/b", "/xh": the size; moves *p behind it and blanks. */
static bool parse_size_letter(MonitorCommand *c, const char **p, unsigned *size)
{
    static const char letters[] = "bhw";
    *size = 1;
    if (**p != '/')
        return true;
    for (++*p; **p && !g_ascii_isspace(**p); ++*p) {
        const char *s = strchr(letters, **p);
        if (s) {
            *size = 1u << (s - letters);
        } else if (**p != 'x' && !g_ascii_isdigit(**p)) {
            g_string_append_printf(c->out, "'%c' is no size of a port: b h w\n", **p);
            return false;
        }
    }
    *p += strspn(*p, " \t");
    return true;
}

static bool parse_port(MonitorCommand *c, const char **p, unsigned *size, uint64_t *port)
{
    if (!parse_size_letter(c, p, size) || !command_next_value(c, p, port))
        return false;
    if (*port + *size - 1 <= 0xffff)
        return true;
    g_string_append_printf(c->out, "0x%" PRIx64 " is no port: they end at 0xffff\n", *port);
    return false;
}

static void read_port(MonitorCommand *c)
{
    const char *p = c->arguments;
    unsigned size;
    uint64_t port;
    if (!*p)
        g_string_append(c->out, "usage: in [/b|h|w] PORT\n");
    if (!*p || !parse_port(c, &p, &size, &port))
        return;
    if (*p)
        g_string_append_printf(c->out, "'%s': unexpected\n", p);
    else
        g_string_append_printf(c->out, "port 0x%04x = 0x%0*" PRIx64 "\n", (unsigned)port, (int)size * 2,
                               as_read(c->machine->ports, port, size));
}

/* QEMU's i reads a port; gdb's i is info. */
static void command_i(MonitorCommand *c)
{
    g_autofree char *info = g_strdup_printf("info %s", c->arguments);
    if (*c->arguments == '/' || g_ascii_isdigit(*c->arguments))
        read_port(c);
    else
        command_execute(c->machine, c->monitor, info, c->out);
}

static void command_out(MonitorCommand *c)
{
    const char *p = c->arguments;
    unsigned size;
    uint64_t port, v;
    if (!*p)
        g_string_append(c->out, "usage: out [/b|h|w] PORT VALUE\n");
    if (!*p || !parse_port(c, &p, &size, &port))
        return;
    if (!*p)
        g_string_append(c->out, "usage: out [/b|h|w] PORT VALUE\n");
    else if (command_value(c, p, &v))
        as_write(c->machine->ports, port, v & bit_mask(size * 8), size);
}

const CommandRow memory_change_commands[] = {
    { .name = "i", .arguments = "/FMT PORT", .help = "read a port: b, h or w is its size; without a number: info",
      .run = command_i, .completes = COMPLETE_INFO },
    { .name = "in", .arguments = "[/b|h|w] PORT", .help = "read a port", .run = read_port },
    { .name = "loadmem", .arguments = "\"FILE\" ADDRESS", .help = "read a file into linear memory",
      .run = command_loadmem, .completes = COMPLETE_FILE COMPLETE_SYMBOL, .paused = true },
    { .name = "memsave", .arguments = "ADDRESS SIZE FILE", .help = "write linear memory to a file",
      .run = command_memsave, .completes = COMPLETE_SYMBOL COMPLETE_SYMBOL COMPLETE_FILE, .paused = true },
    { .name = "out", .aliases = "o", .arguments = "[/b|h|w] PORT VALUE", .help = "write to a port",
      .run = command_out },
    { .name = "pmemsave", .arguments = "ADDRESS SIZE FILE", .help = "write physical memory to a file",
      .run = command_pmemsave, .completes = COMPLETE_SYMBOL COMPLETE_SYMBOL COMPLETE_FILE, .paused = true },
    { .name = "set", .arguments = "PLACE = VALUE", .help = "assign to a register, memory or variable",
      .run = command_set, .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  set rax = rax + 8   set u8[0x1000] = 0x90   set *(u32 *)rsp = 1   set phys16[0xb8000] = 0x0741\n" },
    { .name = "setpmem", .arguments = "ADDRESS SIZE VALUE", .help = "write 1, 2, 4 or 8 bytes of physical memory",
      .run = command_setpmem, .paused = true },
    { .name = "writemem", .arguments = "\"FILE\" ADDRESS LENGTH", .help = "write linear memory to a file (memsave)",
      .run = command_writemem, .completes = COMPLETE_FILE COMPLETE_SYMBOL, .paused = true },
    { .name = NULL },
};
