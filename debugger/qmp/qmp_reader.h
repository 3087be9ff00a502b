/*
 * Where the JSON objects of a QMP session begin and end.  An object may take several lines, a line have several objects.
 *
 * What no object can contain is found here, byte by byte, so that a session is never stuck: after a mistake the rest of
 * its line is passed over.
 */
#ifndef MYNA_DEBUGGER_QMP_READER_H
#define MYNA_DEBUGGER_QMP_READER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { QMP_DEPTH_MAX = 64, QMP_SIZE_MAX = 1 << 20 };

typedef struct QmpReader {
    GString *text;                 /* from the first bracket on */
    char open[QMP_DEPTH_MAX];      /* brackets */
    unsigned depth;
    char quote;                    /* of the string that it is in; 0: none */
    bool escaped;                  /* after a backslash */
    bool skipping;                 /* the rest of a line with a mistake */
    size_t word;                   /* where the number or name under way begins in text */
    bool in_word;
} QmpReader;

typedef enum QmpRead { QMP_MORE, QMP_WHOLE, QMP_MISTAKE } QmpRead;

void qmp_reader_init(QmpReader *r);
void qmp_reader_clear(QmpReader *r);

/* Forgets what has begun. */
void qmp_reader_reset(QmpReader *r);

/* One byte more: QMP_WHOLE: r->text is an object or array, to be used before the next byte; QMP_MISTAKE: with *mistake. */
QmpRead qmp_reader_take(QmpReader *r, uint8_t byte, const char **mistake);

#endif
