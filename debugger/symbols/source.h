/*
 * Text of source files: where it is looked for, and what of it was shown last.
 *
 * A path of DWARF is tried as it is (relative ones in the folder that the compiler ran in), with its beginning replaced
 * (substitute-path), and under each folder of `directory`, from its whole length down to the file's name.
 */
#ifndef MYNA_DEBUGGER_SOURCE_H
#define MYNA_DEBUGGER_SOURCE_H

#include <glib.h>
#include <stdbool.h>

typedef struct Source {
    GPtrArray *folders;         /* char * */
    GPtrArray *substitutions;   /* char *: from, to, from, to */
    char *file, *folder;        /* listed last; NULL: nothing */
    unsigned first, last;       /* its lines, from 1 */
} Source;

Source *source_new(void);
void source_free(Source *s);

/* A folder more to look in, first; NULL: none any more. */
void source_add_folder(Source *s, const char *folder);

/* Paths that begin with `from` begin with `to` instead; NULL: no such replacement any more. */
void source_substitute(Source *s, const char *from, const char *to);

/* Where the text of a file is; newly allocated; NULL: nowhere.  folder may be NULL. */
char *source_find(const Source *s, const char *file, const char *folder);

/*
 * Appends lines first..last as "LINE\tTEXT", with what is there of them, and notes them as listed; without the text,
 * one line that names the file and says what to do.  False when the file is shorter.
 */
bool source_list(Source *s, const char *file, const char *folder, unsigned first, unsigned last, GString *out);

#endif
