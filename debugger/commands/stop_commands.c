/* Commands for breakpoints, watchpoints and other stops. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "cpu/fault.h"
#include "debugger/commands/command.h"
#include "debugger/expression/expression.h"
#include "debugger/symbols/symbols.h"

/* ---- making ---- */

static void announce(MonitorCommand *c, const Stop *s)
{
    static const char *const names[STOP_KINDS] = {
        [STOP_CODE] = "Breakpoint", [STOP_DATA] = "Watchpoint", [STOP_IO] = "I/O watchpoint",
        [STOP_MSR] = "MSR watchpoint",
    };
    const char *name = names[s->point.kind] ? names[s->point.kind] : "Catchpoint";
    g_string_append_printf(c->out, "%s %u%s%s\n", name, s->point.id, s->text ? ": " : "", s->text ? s->text : "");
}

static void stop_clear(Stop *s)
{
    g_free(s->text);
    g_free(s->condition_text);
    expression_free(s->condition);
}

static void stop_enter(MonitorCommand *c, Stop *s)
{
    s->enabled = true;
    announce(c, debugger_stop_add(c->debugger, s));
}

static bool set_condition(MonitorCommand *c, Stop *s, const char *text)
{
    g_autoptr(GError) err = NULL;
    Expression *e = expression_parse(c->debugger, debugger_cpu(c->debugger), text, &err);
    if (!e) {
        g_string_append_printf(c->out, "%s\n", err->message);
        return false;
    }
    expression_free(s->condition);
    g_free(s->condition_text);
    s->condition = e;
    s->condition_text = g_strdup(text);
    return true;
}

static bool take_cpu(MonitorCommand *c, const char **rest, Stop *s)
{
    uint64_t n;
    if (!command_next_value(c, rest, &n))
        return false;
    if (n >= c->machine->cpu_count) {
        g_string_append_printf(c->out, "there is no CPU %" PRIu64 ": there are 0 to %u\n", n, c->machine->cpu_count - 1);
        return false;
    }
    s->cpu = n;
    return true;
}

/* What may follow a place: cpu N, cr3 VALUE, if CONDITION (to the end of the line). */
static bool take_qualifiers(MonitorCommand *c, const char *rest, Stop *s)
{
    g_autofree char *word = command_word(&rest);
    rest += strspn(rest, " \t");
    if (!word)
        return true;
    if (!strcmp(word, "if"))
        return set_condition(c, s, rest);
    if (!strcmp(word, "cpu") || !strcmp(word, "thread"))
        return take_cpu(c, &rest, s) && take_qualifiers(c, rest, s);
    if (!strcmp(word, "cr3")) {
        s->has_cr3 = true;
        return command_next_value(c, &rest, &s->cr3) && take_qualifiers(c, rest, s);
    }
    g_string_append_printf(c->out, "'%s': expected 'if CONDITION', 'cpu N' or 'cr3 VALUE'\n", word);
    return false;
}

/* ---- breakpoints ---- */

/* "FILE:LINE" to an address, if there is such a line. */
static bool line_address(MonitorCommand *c, const char **rest, uint64_t *la)
{
    const char *start = *rest + strspn(*rest, " \t");
    size_t n = strcspn(start, " \t"), colon = strcspn(start, ":");
    char *end;
    if (colon >= n || !memchr(start, '.', colon))
        return false;
    g_autofree char *file = g_strndup(start, colon);
    unsigned line = strtoul(start + colon + 1, &end, 10);
    g_autoptr(GArray) all = end == start + n ? symbols_line_addresses(debugger_symbols(c->debugger), file, line) : NULL;
    if (!all || !all->len)
        return false;
    *la = g_array_index(all, uint64_t, 0);
    *rest = start + n;
    return true;
}

static char *place_text(const char *from, const char *to)
{
    char *text = g_strndup(from, to - from);
    return g_strstrip(text);
}

/* A place and its qualifiers; none: where the current CPU is. */
static bool take_place(MonitorCommand *c, Stop *s)
{
    const char *rest = c->arguments;
    rest += *rest == '*'; /* gdb's notation of an address */
    const char *start = rest;
    if (!*rest) {
        const Cpu *cpu = debugger_cpu(c->debugger);
        s->point.first = cpu_linear_rip(cpu);
    } else if (!line_address(c, &rest, &s->point.first) && !command_next_value(c, &rest, &s->point.first)) {
        return false;
    }
    s->point.last = s->point.first;
    s->text = *start ? place_text(start, rest) : g_strdup_printf("0x%" PRIx64, s->point.first);
    return take_qualifiers(c, rest, s);
}

static void add_breakpoint(MonitorCommand *c, Stop *s)
{
    s->point.kind = STOP_CODE;
    if (take_place(c, s))
        stop_enter(c, s);
    else
        stop_clear(s);
}

static void command_break(MonitorCommand *c) { add_breakpoint(c, &(Stop){ .cpu = -1 }); }
static void command_tbreak(MonitorCommand *c) { add_breakpoint(c, &(Stop){ .cpu = -1, .temporary = true }); }
static void command_pbreak(MonitorCommand *c) { add_breakpoint(c, &(Stop){ .cpu = -1, .point.physical = true }); }

/* SELECTOR:OFFSET, only with that selector in CS. */
static void command_vbreak(MonitorCommand *c)
{
    g_autofree char *selector = g_strndup(c->arguments, strcspn(c->arguments, ":"));
    uint64_t cs;
    if (!strchr(c->arguments, ':'))
        g_string_append(c->out, "usage: vbreak SELECTOR:OFFSET [cpu N] [cr3 VALUE] [if CONDITION]\n");
    else if (command_value(c, selector, &cs))
        add_breakpoint(c, &(Stop){ .cpu = -1, .has_cs = true, .cs = cs });
}

/* ---- watchpoints ---- */

/* r, w or a at the beginning of the line; `access` stays when there is none. */
static const char *take_access(const char *p, uint8_t *access)
{
    static const struct { const char *name; uint8_t access; } names[] = {
        { "r", STOP_READ }, { "w", STOP_WRITE }, { "a", STOP_READ | STOP_WRITE }, { "rw", STOP_READ | STOP_WRITE },
        { "read", STOP_READ }, { "write", STOP_WRITE },
    };
    size_t n = strcspn(p, " \t");
    for (unsigned k = 0; k < G_N_ELEMENTS(names) && p[n]; k++)
        if (strlen(names[k].name) == n && !memcmp(names[k].name, p, n)) {
            *access = names[k].access;
            return p + n + strspn(p + n, " \t");
        }
    return p;
}

/* The place that an expression names: an object's own, with its size; else the address that it gives, a byte of it. */
static bool take_object(MonitorCommand *c, const char **rest, uint64_t *address, uint64_t *size)
{
    g_autoptr(GError) err = NULL;
    Cpu *cpu = debugger_cpu(c->debugger);
    Expression *e = expression_parse_prefix(c->debugger, cpu, *rest, rest, &err);
    *size = 0;
    bool ok = e && (expression_place(e, cpu, address, size, NULL) || expression_value(e, cpu, address, &err));
    expression_free(e);
    if (!ok)
        g_string_append_printf(c->out, "%s\n", err->message);
    return ok;
}

/* A number, which is a length, unless a qualifier comes. */
static bool take_length(MonitorCommand *c, const char **rest, uint64_t *size)
{
    const char *p = *rest + strspn(*rest, " \t,");
    *rest = p;
    if (g_ascii_isdigit(*p) && !command_next_value(c, rest, size))
        return false;
    *size = *size ? *size : 1;
    return true;
}

static void watch(MonitorCommand *c, uint8_t access, bool physical)
{
    Stop s = { .cpu = -1, .point = { .kind = STOP_DATA, .physical = physical } };
    const char *rest = take_access(c->arguments, &access), *start = rest;
    uint64_t size;
    if (!*rest) {
        g_string_append(c->out, "usage: watch [r|w|a] ADDRESS [LENGTH] [cpu N] [cr3 VALUE] [if CONDITION]\n");
        return;
    }
    if (!take_object(c, &rest, &s.point.first, &size) || !take_length(c, &rest, &size))
        return;
    s.point.access = access;
    s.point.last = s.point.first + size - 1;
    s.text = place_text(start, rest);
    if (take_qualifiers(c, rest, &s))
        stop_enter(c, &s);
    else
        stop_clear(&s);
}

static void command_watch(MonitorCommand *c) { watch(c, STOP_WRITE, false); }
static void command_rwatch(MonitorCommand *c) { watch(c, STOP_READ, false); }
static void command_awatch(MonitorCommand *c) { watch(c, STOP_READ | STOP_WRITE, false); }
static void command_pwatch(MonitorCommand *c) { watch(c, STOP_WRITE, true); }

/* [r|w|a] FIRST[-LAST] of ports or MSRs. */
static void watch_numbers(MonitorCommand *c, StopKind kind, uint64_t max)
{
    Stop s = { .cpu = -1, .point = { .kind = kind, .access = STOP_READ | STOP_WRITE } };
    const char *rest = take_access(c->arguments, &s.point.access), *start = rest;
    char *end;
    s.point.first = s.point.last = g_ascii_strtoull(rest, &end, 0);
    if (end != rest && *end == '-')
        s.point.last = g_ascii_strtoull(end + 1, &end, 0);
    if (end == rest || s.point.last > max || s.point.first > s.point.last) {
        g_string_append_printf(c->out, "'%s': expected a number, or FIRST-LAST, up to 0x%" PRIx64 "\n", rest, max);
        return;
    }
    s.text = place_text(start, end);
    if (take_qualifiers(c, end, &s))
        stop_enter(c, &s);
    else
        stop_clear(&s);
}

static void command_iowatch(MonitorCommand *c) { watch_numbers(c, STOP_IO, 0xffff); }
static void command_msrwatch(MonitorCommand *c) { watch_numbers(c, STOP_MSR, 0xffffffff); }

/* ---- catchpoints ---- */

/* "13", "#GP" or "GP" */
static bool take_vector(MonitorCommand *c, const char **rest, StopPoint *p)
{
    const char *before = *rest;
    g_autofree char *word = command_word(rest);
    for (unsigned k = 0; word && k < 32; k++) {
        const char *name = cpu_exception_name(k);
        if (!g_ascii_strcasecmp(word, name) || !g_ascii_strcasecmp(word, name + 1)) {
            p->first = p->last = k;
            return true;
        }
    }
    *rest = before;
    if (!command_next_value(c, rest, &p->first))
        return false;
    p->last = p->first;
    if (p->first > 255)
        g_string_append_printf(c->out, "there is no vector %" PRIu64 ": there are 0 to 255\n", p->first);
    return p->first <= 255;
}

typedef struct CatchName {
    const char *name;
    StopKind kind;
} CatchName;

static const CatchName catch_names[] = {
    { "exception", STOP_EXCEPTION }, { "interrupt", STOP_INTERRUPT }, { "mode", STOP_MODE }, { "cr3", STOP_CR3 },
    { "task", STOP_TASK }, { "smi", STOP_SMI }, { "vmexit", STOP_VMEXIT },
};

static const CatchName *find_catch(const char *name)
{
    for (unsigned k = 0; name && k < G_N_ELEMENTS(catch_names); k++)
        if (!strcmp(name, catch_names[k].name))
            return &catch_names[k];
    return NULL;
}

/* Whether the next word is a qualifier, and not a vector. */
static bool qualifier_follows(const char *rest)
{
    g_autofree char *word = command_word(&rest);
    return !word || !strcmp(word, "if") || !strcmp(word, "cpu") || !strcmp(word, "thread");
}

static void catch(MonitorCommand *c, const CatchName *name, const char *rest)
{
    Stop s = { .cpu = -1, .point = { .kind = name->kind } };
    bool vectors = name->kind == STOP_EXCEPTION || name->kind == STOP_INTERRUPT;
    const char *start = rest;
    if (vectors && qualifier_follows(rest))
        s.point.last = 255;
    else if (vectors && !take_vector(c, &rest, &s.point))
        return;
    g_autofree char *what = place_text(start, rest);
    s.text = g_strjoin(*what ? " " : "", name->name, what, NULL);
    if (take_qualifiers(c, rest, &s))
        stop_enter(c, &s);
    else
        stop_clear(&s);
}

static void catch_triple_fault(MonitorCommand *c, const char *rest)
{
    g_autofree char *word = command_word(&rest);
    if (!word || !strcmp(word, "on"))
        debugger_set_triple_fault(c->debugger, TRIPLE_FAULT_STOP);
    else if (!strcmp(word, "off"))
        debugger_set_triple_fault(c->debugger, TRIPLE_FAULT_RESET);
    else if (!strcmp(word, "auto"))
        debugger_set_triple_fault(c->debugger, TRIPLE_FAULT_AUTO);
    else
        g_string_append_printf(c->out, "catch triple-fault: '%s' is none of on, off, auto\n", word);
}

static void command_catch(MonitorCommand *c)
{
    const char *rest = c->arguments;
    g_autofree char *word = command_word(&rest);
    const CatchName *name = find_catch(word);
    if (word && !strcmp(word, "triple-fault"))
        catch_triple_fault(c, rest);
    else if (name)
        catch(c, name, rest);
    else
        g_string_append(c->out, "usage: catch exception [VECTOR] | interrupt [VECTOR] | mode | cr3 | task | smi | vmexit | "
                                "triple-fault on|off|auto\n");
}

static void command_modebp(MonitorCommand *c) { catch(c, find_catch("mode"), ""); }
static void command_vmexitbp(MonitorCommand *c) { catch(c, find_catch("vmexit"), ""); }

/* ---- changing ---- */

/* One of the monitor's own, by its number; a message if there is none. */
static Stop *take_stop(MonitorCommand *c, const char **rest)
{
    uint64_t id;
    if (!command_next_value(c, rest, &id))
        return NULL;
    Stop *s = debugger_stop_find(c->debugger, id);
    if (!s || s->owner) {
        g_string_append_printf(c->out, "there is no stop %" PRIu64 ": 'info break' lists them\n", id);
        return NULL;
    }
    return s;
}

static void stop_delete(MonitorCommand *c, Stop *s) { debugger_stop_remove(c->debugger, s); }
static void stop_enable(MonitorCommand *c, Stop *s) { (void)c, s->enabled = true; }
static void stop_disable(MonitorCommand *c, Stop *s) { (void)c, s->enabled = false; }

/* For the stops that are named, or all. */
static void for_stops(MonitorCommand *c, void (*fn)(MonitorCommand *c, Stop *s))
{
    const char *rest = c->arguments;
    Stop *s;
    debugger_freeze(c->debugger);
    if (!*rest) {
        g_autoptr(GPtrArray) all = g_ptr_array_copy(debugger_stops(c->debugger), NULL, NULL);
        g_ptr_array_set_free_func(all, NULL); /* the copy owns nothing */
        for (guint k = 0; k < all->len; k++)
            if (!((Stop *)all->pdata[k])->owner)
                fn(c, all->pdata[k]);
    }
    while (*rest && (s = take_stop(c, &rest)))
        fn(c, s);
    debugger_stops_changed(c->debugger);
    debugger_thaw(c->debugger);
}

static void command_delete(MonitorCommand *c) { for_stops(c, stop_delete); }
static void command_enable(MonitorCommand *c) { for_stops(c, stop_enable); }
static void command_disable(MonitorCommand *c) { for_stops(c, stop_disable); }

static void command_condition(MonitorCommand *c)
{
    const char *rest = c->arguments;
    Stop *s = take_stop(c, &rest);
    if (!s)
        return;
    if (*rest) {
        set_condition(c, s, rest);
        return;
    }
    expression_free(s->condition);
    s->condition = NULL;
    g_clear_pointer(&s->condition_text, g_free);
}

static void command_ignore(MonitorCommand *c)
{
    const char *rest = c->arguments;
    Stop *s = take_stop(c, &rest);
    if (s)
        command_next_value(c, &rest, &s->ignore);
}

/* commands N LINE; LINE... */
static void command_commands(MonitorCommand *c)
{
    const char *rest = c->arguments;
    Stop *s = take_stop(c, &rest);
    if (!s)
        return;
    g_clear_pointer(&s->commands, g_ptr_array_unref);
    if (!*rest)
        return;
    g_auto(GStrv) lines = g_strsplit(rest, ";", -1);
    s->commands = g_ptr_array_new_with_free_func(g_free);
    for (char **l = lines; *l; l++)
        g_ptr_array_add(s->commands, g_strdup(g_strstrip(*l)));
}

/* ---- listing ---- */

static const char *kind_text(const Stop *s)
{
    static const char *const data[] = { "", "read watch", "watch", "access watch" };
    static const char *const names[STOP_KINDS] = {
        [STOP_IO] = "I/O", [STOP_MSR] = "MSR", [STOP_EXCEPTION] = "catch", [STOP_INTERRUPT] = "catch",
        [STOP_MODE] = "catch", [STOP_CR3] = "catch", [STOP_TASK] = "catch", [STOP_SMI] = "catch",
        [STOP_VMEXIT] = "catch",
    };
    if (s->point.kind == STOP_CODE)
        return s->temporary ? "temporary" : s->point.physical ? "physical" : "breakpoint";
    return s->point.kind == STOP_DATA ? data[s->point.access] : names[s->point.kind];
}

static void print_conditions(const Stop *s, GString *out)
{
    if (s->condition_text)
        g_string_append_printf(out, "\tonly if %s\n", s->condition_text);
    if (s->cpu >= 0)
        g_string_append_printf(out, "\tonly on CPU %d\n", s->cpu);
    if (s->has_cr3)
        g_string_append_printf(out, "\tonly with CR3 0x%" PRIx64 "\n", s->cr3);
    if (s->hits)
        g_string_append_printf(out, "\thit %" PRIu64 " time%s\n", s->hits, s->hits == 1 ? "" : "s");
    if (s->ignore)
        g_string_append_printf(out, "\twill be passed over %" PRIu64 " times more\n", s->ignore);
    for (guint k = 0; s->commands && k < s->commands->len; k++)
        g_string_append_printf(out, "\t\t%s\n", (const char *)s->commands->pdata[k]);
}

static void print_stop(MonitorCommand *c, const Stop *s)
{
    g_string_append_printf(c->out, "%-4u %-13s %-3s ", s->point.id, kind_text(s), s->enabled ? "y" : "n");
    if (s->point.kind == STOP_CODE || s->point.kind == STOP_DATA)
        g_string_append_printf(c->out, "0x%016" PRIx64, s->point.first);
    if (s->point.kind == STOP_DATA)
        g_string_append_printf(c->out, "+%" PRIu64, s->point.last - s->point.first + 1);
    if (s->point.kind == STOP_CODE && !s->point.physical)
        symbols_print(debugger_symbols(c->debugger), s->point.first, c->out);
    g_string_append_printf(c->out, " %s\n", s->text ? s->text : "");
    print_conditions(s, c->out);
}

static void info_break(MonitorCommand *c)
{
    const GPtrArray *all = debugger_stops(c->debugger);
    gsize before = c->out->len;
    for (guint k = 0; k < all->len; k++)
        if (!((const Stop *)all->pdata[k])->owner)
            print_stop(c, all->pdata[k]);
    if (c->out->len == before)
        g_string_append(c->out, "no breakpoints, watchpoints or catchpoints\n");
}

#define QUALIFIERS " [cpu N] [cr3 VALUE] [if CONDITION]"

const CommandRow stop_commands[] = {
    { .name = "awatch", .arguments = "ADDRESS [LENGTH]" QUALIFIERS, .help = "stop after reads and writes of memory",
      .run = command_awatch, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "blist", .arguments = "", .help = "list breakpoints, watchpoints and catchpoints", .run = info_break },
    { .name = "break", .aliases = "b lb lbreak", .arguments = "[ADDRESS|SYMBOL|FILE:LINE]" QUALIFIERS,
      .help = "stop before the instruction at a linear address", .run = command_break, .completes = COMPLETE_SYMBOL,
      .paused = true },
    { .name = "catch", .arguments = "WHAT [VECTOR]" QUALIFIERS, .help = "stop at an event", .run = command_catch,
      .paused = true,
      .more = "  exception [N|#GP]   before an exception is delivered, at the instruction that raised it\n"
              "  interrupt [N]       at the first instruction of a handler: INT n, NMI, interrupts from outside\n"
              "  mode                real, protected, long, virtual-8086 mode, and the size of code\n"
              "  cr3, task, smi, vmexit\n"
              "  triple-fault on|off|auto   before the reset; auto: when a debugger is in use\n" },
    { .name = "commands", .arguments = "N [LINE; LINE...]", .help = "have lines run at a stop", .run = command_commands,
      .completes = COMPLETE_STOP },
    { .name = "condition", .arguments = "N [CONDITION]", .help = "stop only if an expression is not 0",
      .run = command_condition, .completes = COMPLETE_STOP, .paused = true },
    { .name = "delete", .aliases = "d del unwatch", .arguments = "[N...]", .help = "remove stops, or all",
      .run = command_delete, .completes = COMPLETE_STOP },
    { .name = "disable", .aliases = "bpd", .arguments = "[N...]", .help = "keep stops, but do not stop there",
      .run = command_disable, .completes = COMPLETE_STOP },
    { .name = "enable", .aliases = "bpe", .arguments = "[N...]", .help = "stop there again", .run = command_enable,
      .completes = COMPLETE_STOP },
    { .name = "ignore", .arguments = "N COUNT", .help = "pass over the next COUNT hits", .run = command_ignore,
      .completes = COMPLETE_STOP, .paused = true },
    { .name = "iowatch", .arguments = "[r|w|a] PORT[-PORT]" QUALIFIERS, .help = "stop after IN and OUT",
      .run = command_iowatch, .paused = true },
    { .name = "modebp", .arguments = "", .help = "catch mode", .run = command_modebp, .paused = true },
    { .name = "msrwatch", .arguments = "[r|w|a] MSR[-MSR]" QUALIFIERS, .help = "stop after RDMSR and WRMSR",
      .run = command_msrwatch, .paused = true },
    { .name = "pbreak", .aliases = "pb", .arguments = "ADDRESS" QUALIFIERS,
      .help = "stop before the instruction at a physical address", .run = command_pbreak, .paused = true },
    { .name = "pwatch", .arguments = "[r|w|a] ADDRESS [LENGTH]" QUALIFIERS,
      .help = "stop after accesses of physical memory, writes unless told otherwise", .run = command_pwatch,
      .paused = true },
    { .name = "rwatch", .arguments = "ADDRESS [LENGTH]" QUALIFIERS, .help = "stop after reads of memory",
      .run = command_rwatch, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "tbreak", .aliases = "tb", .arguments = "[ADDRESS|SYMBOL|FILE:LINE]" QUALIFIERS,
      .help = "break, once", .run = command_tbreak, .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "vbreak", .aliases = "vb", .arguments = "SELECTOR:OFFSET" QUALIFIERS,
      .help = "break with that selector in CS", .run = command_vbreak, .paused = true },
    { .name = "vmexitbp", .arguments = "", .help = "catch vmexit", .run = command_vmexitbp, .paused = true },
    { .name = "watch", .arguments = "[r|w|a] ADDRESS [LENGTH]" QUALIFIERS,
      .help = "stop after accesses of memory, writes unless told otherwise", .run = command_watch,
      .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  Of a variable with a type, its own length is watched. The stop reports the instruction that did it.\n" },
    { .name = NULL },
};

const CommandRow stop_info[] = {
    { .name = "break", .aliases = "b breakpoints watchpoints", .arguments = "",
      .help = "breakpoints, watchpoints and catchpoints, with hits", .run = info_break },
    { .name = NULL },
};
