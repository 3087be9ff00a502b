/*
 * Logging: messages to the user, and categories of `-d`.
 */
#ifndef MYNA_CORE_LOG_H
#define MYNA_CORE_LOG_H

#include <glib.h>
#include <stdbool.h>

/* Categories of -d, with QEMU's names (log.c lists name and help). */
enum LogMask {
    LOG_INT = 1 << 0,          /* interrupts and exceptions */
    LOG_CPU = 1 << 1,          /* registers at each block */
    LOG_CPU_RESET = 1 << 2,
    LOG_GUEST_ERRORS = 1 << 3, /* what the guest does wrong */
    LOG_IN_ASM = 1 << 4,       /* each block when first decoded */
    LOG_EXEC = 1 << 5,         /* each block when run */
    LOG_MMU = 1 << 6,
    LOG_PCALL = 1 << 7,        /* far control transfers */
    LOG_UNIMP = 1 << 8,        /* what Myna does not emulate */
    LOG_IO = 1 << 9,           /* each device access */
    LOG_OP = 1 << 10,          /* the recompiler's operations, as lowered */
    LOG_OP_OPT = 1 << 11,      /* the same after its passes */
    LOG_OUT_ASM = 1 << 12,     /* recompiled code */
};

extern unsigned log_mask; /* read often, set by log_configure only, before the machine starts */

#define log_enabled(category) G_UNLIKELY((log_mask & (category)) != 0)

/*
 * Sets categories from a comma-separated list ("int,cpu_reset") and the file (NULL: stderr, as `-D`).  FALSE with *err
 * for an unknown name.  log_list prints the categories (`-d help`).
 */
gboolean log_configure(const char *categories, const char *file, GError **err);
void log_list(void);

/*
 * Restricts what is logged by address to a list of ranges (`-dfilter`): START..END, START+SIZE, END-SIZE, separated by
 * commas; NULL: to none.  FALSE with *err, and nothing changed.
 */
gboolean log_set_filter(const char *ranges, GError **err);

/* Whether the filter lets an address pass; all do without one. */
bool log_in_range(guint64 address);

/* Writes to the log, with no newline added, if the category is on. */
void log_printf(enum LogMask category, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A guest's mistake: one line under -d guest_errors, at most 20 lines a second.  No newline in the format. */
void log_guest_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* One line to the user on stderr, "myna: " before it and a newline after. */
void log_user(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
