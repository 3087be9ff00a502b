/*
 * Logging.  The mask, the file and the rate limit are the process's, not a machine's: so are stderr and `-d`.
 */
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "util/bits.h"

#define GUEST_ERRORS_PER_SECOND 20

typedef struct LogRange {
    guint64 first, last;
} LogRange;

unsigned log_mask;

static FILE *log_file; /* NULL: stderr */
static GArray *log_ranges; /* of LogRange; NULL: all addresses */

/* Lines of log_guest_error in the current second; under `lock`. */
static struct {
    GMutex lock;
    gint64 second_began; /* microseconds */
    unsigned lines;      /* asked for since then */
} guest_rate;

static const struct {
    const char *name;
    unsigned mask;
    const char *help;
} log_items[] = {
    { "int", LOG_INT, "show interrupts and exceptions" },
    { "cpu", LOG_CPU, "show CPU registers before entering each block" },
    { "cpu_reset", LOG_CPU_RESET, "show CPU state before CPU resets" },
    { "guest_errors", LOG_GUEST_ERRORS, "show what the guest does wrong (at most 20 lines a second)" },
    { "in_asm", LOG_IN_ASM, "show guest code of each block when it is first decoded" },
    { "op", LOG_OP, "show the recompiler's operations for each unit" },
    { "op_opt", LOG_OP_OPT, "show them after the recompiler's passes" },
    { "out_asm", LOG_OUT_ASM, "show recompiled code of each unit" },
    { "exec", LOG_EXEC, "show the address of each block when it runs" },
    { "mmu", LOG_MMU, "show page walks and TLB flushes" },
    { "pcall", LOG_PCALL, "show far calls, returns and other protected mode transfers" },
    { "unimp", LOG_UNIMP, "show accesses to what Myna does not emulate" },
    { "io", LOG_IO, "show each device access" },
    { "all", ~0u, "show all of the above" },
};

/* The mask of a category; 0 and *err when there is none of that name. */
static unsigned log_item_mask(const char *name, GError **err)
{
    const char *names[ARRAY_SIZE(log_items)];
    const char *nearest;

    for (unsigned i = 0; i < ARRAY_SIZE(log_items); i++) {
        if (!strcmp(name, log_items[i].name))
            return log_items[i].mask;
        names[i] = log_items[i].name;
    }
    nearest = nearest_name(name, names, ARRAY_SIZE(names));
    if (nearest)
        error_set(err, "-d: no log category '%s'; did you mean '%s'?", name, nearest);
    else
        error_set(err, "-d: no log category '%s'; '-d help' lists them", name);
    return 0;
}

static gboolean log_parse(const char *categories, unsigned *mask, GError **err)
{
    g_auto(GStrv) names = g_strsplit(categories, ",", -1);

    *mask = 0;
    for (char **name = names; *name; name++) {
        unsigned one = log_item_mask(*name, err);
        if (!one)
            return FALSE;
        *mask |= one;
    }
    return TRUE;
}

gboolean log_configure(const char *categories, const char *file, GError **err)
{
    unsigned mask = 0;

    if (categories && !log_parse(categories, &mask, err))
        return FALSE;
    if (file) {
        FILE *f = fopen(file, "w");
        if (!f)
            return error_set(err, "-D: cannot write log file '%s': %s", file, g_strerror(errno));
        setvbuf(f, NULL, _IOLBF, BUFSIZ);
        if (log_file)
            fclose(log_file);
        log_file = f;
    }
    log_mask = mask;
    return TRUE;
}

/* START..END, START+SIZE or END-SIZE. */
static gboolean log_parse_range(const char *text, LogRange *r, GError **err)
{
    char *end;
    guint64 a = g_ascii_strtoull(text, &end, 0), b;
    char kind = *end;
    const char *second = end + (kind == '.' ? 2 : 1);

    if (end == text || (kind != '+' && kind != '-' && !g_str_has_prefix(end, "..")))
        return error_set(err, "-dfilter: '%s' is no range: START..END, START+SIZE or END-SIZE", text);
    b = g_ascii_strtoull(second, &end, 0);
    if (end == second || *end || (kind == '.' ? b < a : b == 0))
        return error_set(err, "-dfilter: '%s' is no range: START..END, START+SIZE or END-SIZE", text);
    r->first = kind == '-' ? a - b + 1 : a;
    r->last = kind == '.' ? b : kind == '+' ? a + b - 1 : a;
    return TRUE;
}

static GArray *log_parse_ranges(const char *ranges, GError **err)
{
    g_auto(GStrv) words = g_strsplit(*ranges ? ranges : ",", ",", -1);
    g_autoptr(GArray) parsed = g_array_new(FALSE, FALSE, sizeof(LogRange));

    for (char **word = words; *word; word++) {
        LogRange r;
        if (!log_parse_range(*word, &r, err))
            return NULL;
        g_array_append_val(parsed, r);
    }
    return g_steal_pointer(&parsed);
}

gboolean log_set_filter(const char *ranges, GError **err)
{
    GArray *parsed = ranges ? log_parse_ranges(ranges, err) : NULL;

    if (ranges && !parsed)
        return FALSE;
    g_clear_pointer(&log_ranges, g_array_unref);
    log_ranges = parsed;
    return TRUE;
}

bool log_in_range(guint64 address)
{
    for (unsigned i = 0; log_ranges && i < log_ranges->len; i++) {
        const LogRange *r = &g_array_index(log_ranges, LogRange, i);
        if (r->first <= address && address <= r->last)
            return true;
    }
    return !log_ranges;
}

void log_list(void)
{
    printf("Log items (comma separated):\n");
    for (unsigned i = 0; i < ARRAY_SIZE(log_items); i++)
        printf("%-15s %s\n", log_items[i].name, log_items[i].help);
}

void log_printf(enum LogMask category, const char *format, ...)
{
    va_list args;

    if (!log_enabled(category))
        return;
    va_start(args, format);
    vfprintf(log_file ? log_file : stderr, format, args);
    va_end(args);
}

/* Counts a line; false when this second has had its share.  *suppressed: lines dropped in the second that ended. */
static bool guest_rate_take(unsigned *suppressed)
{
    gint64 now = g_get_monotonic_time();
    bool allowed;

    *suppressed = 0;
    g_mutex_lock(&guest_rate.lock);
    if (!guest_rate.lines || now - guest_rate.second_began >= G_USEC_PER_SEC) {
        if (guest_rate.lines > GUEST_ERRORS_PER_SECOND)
            *suppressed = guest_rate.lines - GUEST_ERRORS_PER_SECOND;
        guest_rate.second_began = now;
        guest_rate.lines = 0;
    }
    allowed = guest_rate.lines++ < GUEST_ERRORS_PER_SECOND;
    g_mutex_unlock(&guest_rate.lock);
    return allowed;
}

void log_guest_error(const char *format, ...)
{
    g_autofree char *line = NULL;
    unsigned suppressed;
    va_list args;

    if (!log_enabled(LOG_GUEST_ERRORS) || !guest_rate_take(&suppressed))
        return;
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    if (suppressed)
        log_printf(LOG_GUEST_ERRORS, "(%u more guest errors were not shown)\n", suppressed);
    log_printf(LOG_GUEST_ERRORS, "%s\n", line);
}

void log_user(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "myna: %s\n", line);
}
