/* myna-img: what its commands share.  A command is a function in a file of its own, and a row of main.c. */
#ifndef MYNA_IMG_IMG_H
#define MYNA_IMG_IMG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/block/image.h"
#include "backends/block/image_copy.h"
#include "config.h"

#define U64 "%" G_GUINT64_FORMAT

/* Exit statuses; `check` and `compare` have their own. */
enum { IMG_OK = 0, IMG_FAILED = 1 };

/* Each takes its own name and arguments, and gives an exit status. */
typedef int ImgCommand(int argc, char **argv);
ImgCommand img_create, img_info, img_check, img_convert, img_map, img_compare, img_commit, img_rebase, img_resize,
    img_snapshot;

/*
 * Parses options (strings as G_OPTION_ARG_FILENAME: bytes as they are) and wants from `least` to `most` operands, which
 * are argv[1...] afterwards; usage is "FILE [SIZE]".  FALSE: said why.
 */
gboolean img_parse(int *argc, char ***argv, const GOptionEntry *options, const char *usage, int least, int most);
/* "myna-img: ..." on stderr; frees err. */
int img_fail(GError *err);
int img_fail_text(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* What image_copy.h's functions say of a failure. */
int img_fail_work(const ImageWork *w, const Image *i, int status);

typedef struct ImgOpen {
    const char *format, *cache;
    bool readonly, no_lock, no_backing, repair;
} ImgOpen;

/* Opens an image, or says why not. */
Image *img_open(const char *file, const ImgOpen *how);
gboolean img_cache_known(const char *cache);
/* Says it when a file exists that must not be overwritten, or is in use. */
gboolean img_may_create(const char *file, bool force);
/* Creates an image from all that the -o options say; `pairs` is used up. */
gboolean img_create_file(const char *file, const char *format, uint64_t size, const char *backing,
                         const char *backing_format, GPtrArray *pairs);
/* All -o options together; NULL: one of them is "help", and was printed. */
GPtrArray *img_pairs(char **options, const char *format);
/* The format of a backing file: what is given, or what it is recognised as, when that is not raw; NULL: said why not. */
char *img_backing_format(const char *file, const char *backing, const char *given);

/* "1.5 GiB"; to be freed. */
char *img_size_text(uint64_t size);
gboolean img_parse_size(const char *what, const char *text, uint64_t *out);
gboolean img_json_wanted(const char *output, bool *json);

/* A bar on a terminal; NULL-safe with `shown` false. */
typedef struct ImgProgress {
    bool shown;
    int last;
} ImgProgress;
void img_progress_start(ImgProgress *p, bool wanted, ImageWork *w);
void img_progress_end(ImgProgress *p);

#ifdef CONFIG_JSON_GLIB
#include <json-glib/json-glib.h>
void img_json_print(JsonBuilder *b);
void img_json_string(JsonBuilder *b, const char *key, const char *value);
void img_json_number(JsonBuilder *b, const char *key, uint64_t value);
void img_json_bool(JsonBuilder *b, const char *key, bool value);
#endif

#endif
