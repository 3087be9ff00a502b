/* The conformance page, docs/conformance.md, from the table and the results of a run. */
#ifndef MYNA_TESTS_CPU_REPORT_H
#define MYNA_TESTS_CPU_REPORT_H

#include "cpu/insn.h"

/* Of a row, in both code sizes. */
typedef struct RowResult {
    unsigned cases, failures;
} RowResult;

/* Writes the page; `results` has one for each row of the table.  Ends the process when the file cannot be written. */
void report_write(const char *path, const InsnDecoder *d, const RowResult *results);

#endif
