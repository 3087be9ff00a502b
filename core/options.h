/*
 * Options of the form "value,key=value,flag,noflag": split into pairs, or stored into a struct by a table of fields.
 *
 * A comma within a value is written twice.  The first part may lack a key when the option has an implied one; another
 * part without "=" switches a boolean on, or off with "no" before its name.
 */
#ifndef MYNA_CORE_OPTIONS_H
#define MYNA_CORE_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct OptionPair {
    char *key;
    char *value; /* NULL: a word without "=" */
} OptionPair;

/* Splits text; the result is a GPtrArray of OptionPair *, which g_ptr_array_unref() frees altogether. */
GPtrArray *option_pairs_parse(const char *text, const char *implied_key);

/* Value of the last pair with that key: NULL without one, "on" for a word without "=". */
const char *option_pairs_get(const GPtrArray *pairs, const char *key);

/* Removes and returns that value (to be freed), with all other pairs of the key. */
char *option_pairs_take(GPtrArray *pairs, const char *key);

/* Adds one at the end; value NULL: a word. */
void option_pairs_add(GPtrArray *pairs, const char *key, const char *value);

/* The text that option_pairs_parse() would make them of; to be freed. */
char *option_pairs_format(const GPtrArray *pairs);

/* Splits at single commas and joins double ones: a NULL-ended vector for g_strfreev(). */
char **option_split(const char *text);

typedef enum OptionType {
    OPTION_BOOL,    /* bool: on, off, yes, no, true, false */
    OPTION_UNSIGNED, /* unsigned, decimal or 0x hexadecimal */
    OPTION_SIZE,    /* uint64_t bytes, with suffix */
    OPTION_SIZE_MIB, /* the same, in MiB when there is no suffix */
    OPTION_STRING,  /* char *, owned by the struct */
    OPTION_LIST,    /* GPtrArray * of char *, owned by the struct: one for each time the key is given; NULL: none */
    OPTION_IGNORED, /* accepted for QEMU's sake, without an effect here */
} OptionType;

typedef struct OptionField {
    const char *key;
    OptionType type;
    size_t offset;
    const char *const *allowed; /* words that a string may be, ended by NULL; NULL: any */
} OptionField;

#define OPTION_FIELD(T, field, name, type_) { .key = name, .type = type_, .offset = offsetof(T, field) }
#define OPTION_CHOICE(T, field, name, words)                                                                           \
    { .key = name, .type = OPTION_STRING, .offset = offsetof(T, field), .allowed = words }
#define OPTION_FIELD_IGNORED(name) { .key = name, .type = OPTION_IGNORED }
#define OPTION_FIELD_END { .key = NULL }

/* Stores text into object; `what` ("-drive") opens the error line.  Fields that text does not name keep their value. */
gboolean option_fields_parse(const char *what, const char *text, const char *implied_key, const OptionField *fields,
                             void *object, GError **err);

/* Frees the strings and lists of an object. */
void option_fields_clear(const OptionField *fields, void *object);

/* on, yes, true, off, no, false. */
gboolean parse_bool(const char *what, const char *text, bool *out, GError **err);
gboolean parse_unsigned(const char *what, const char *text, unsigned max, unsigned *out, GError **err);

/*
 * Sets "WHAT: unknown KIND 'GIVEN' (did you mean 'NEAREST'?); known: NAMES" and returns FALSE.  names ends with NULL.
 */
gboolean error_unknown(GError **err, const char *what, const char *kind, const char *given, const char *const *names);

#endif
