/*
 * myna-io: reads and writes an image through its driver, for tests.
 *
 *   myna-io create FORMAT FILE SIZE [KEY=VALUE,...]
 *   myna-io protocols          prints those of this build
 *   myna-io [-f FORMAT] [-rudp] FILE COMMAND...
 *     -r: read-only; -u: discard=unmap; -d: to be repaired; -p: prints the number of each command that is done
 *
 * Commands, each an argument (or a line of the file X for @X), in their order:
 *   size                       prints the disk's size
 *   read OFFSET SIZE BYTE      fails unless all bytes are BYTE
 *   write OFFSET SIZE BYTE
 *   put OFFSET SIZE FILE FROM  writes bytes of a file
 *   get FILE                   the whole disk into a file
 *   compress FILE              writes a whole file, as compressed clusters
 *   pack OFFSET SIZE BYTE      writes compressed clusters
 *   zero OFFSET SIZE [unmap], discard OFFSET SIZE, flush, resize SIZE
 *   map                        prints OFFSET LENGTH STATE of all extents
 *   check [leaks|all]          prints problems, and their numbers; fails when there is one
 *   info                       prints what the driver tells
 *   kill                       ends at once, as kill -9 does
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/block/image.h"
#include "core/error.h"
#include "core/options.h"
#include "util/bits.h"

enum { CHUNK = MiB, WORDS = 6 };

typedef struct Command {
    const char *name;
    int (*run)(Image *i, char **words, int count); /* 0 or a negative errno */
    int words;                                     /* at least, with the name */
} Command;

static void die(const char *what)
{
    fprintf(stderr, "myna-io: %s\n", what);
    exit(1);
}

static uint64_t number(const char *text)
{
    g_autoptr(GError) err = NULL;
    guint64 value;

    if (g_str_has_prefix(text, "0x"))
        return strtoull(text, NULL, 16);
    if (!parse_size("number", text, 1, &value, &err))
        die(err->message);
    return value;
}

static int run_size(Image *i, char **words, int count)
{
    (void)words, (void)count;
    printf("%" PRIu64 "\n", i->size);
    return 0;
}

static int run_read(Image *i, char **words, int count)
{
    uint64_t offset = number(words[1]), size = number(words[2]);
    uint8_t byte = number(words[3]);
    g_autofree uint8_t *buf = g_malloc(size + 1);
    int status = image_read(i, offset, buf, size);
    (void)count;

    for (uint64_t k = 0; k < size && !status; k++) {
        if (buf[k] != byte) {
            fprintf(stderr, "myna-io: at %" PRIu64 " is 0x%02x instead of 0x%02x\n", offset + k, buf[k], byte);
            status = -EILSEQ;
        }
    }
    return status;
}

static int run_write(Image *i, char **words, int count)
{
    uint64_t size = number(words[2]);
    g_autofree uint8_t *buf = g_malloc(size + 1);
    (void)count;

    memset(buf, number(words[3]), size);
    return image_write(i, number(words[1]), buf, size);
}

static int run_put(Image *i, char **words, int count)
{
    uint64_t size = number(words[2]);
    g_autofree uint8_t *buf = g_malloc(size + 1);
    int fd = open(words[3], O_RDONLY), status;
    (void)count;

    if (fd < 0)
        return -errno;
    status = file_read(fd, number(words[4]), buf, size);
    close(fd);
    return status ? status : image_write(i, number(words[1]), buf, size);
}

static bool is_zero(const uint8_t *p, uint64_t size) { return !*p && !memcmp(p, p + 1, size - 1); }

static int run_get(Image *i, char **words, int count)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    int fd = open(words[1], O_WRONLY | O_CREAT | O_TRUNC, 0666), status = fd < 0 ? -errno : 0;
    (void)count;

    for (uint64_t at = 0, n; at < i->size && !status; at += n) {
        n = MIN(CHUNK, i->size - at);
        status = image_read(i, at, buf, n);
        if (!status && !is_zero(buf, n))
            status = file_write(fd, at, buf, n);
    }
    if (!status && ftruncate(fd, i->size))
        status = -errno;
    if (fd >= 0)
        close(fd);
    return status;
}

static int run_compress(Image *i, char **words, int count)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    int fd = open(words[1], O_RDONLY), status = fd < 0 ? -errno : 0;
    (void)count;

    if (!i->driver->write_compressed)
        status = -ENOTSUP;
    for (uint64_t at = 0, n; at < i->size && !status; at += n) {
        n = MIN(CHUNK, i->size - at);
        status = file_read(fd, at, buf, n);
        if (!status)
            status = i->driver->write_compressed(i, at, buf, n);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

static int run_pack(Image *i, char **words, int count)
{
    uint64_t size = number(words[2]);
    g_autofree uint8_t *buf = g_malloc(size + 1);
    (void)count;

    memset(buf, number(words[3]), size);
    return i->driver->write_compressed ? i->driver->write_compressed(i, number(words[1]), buf, size) : -ENOTSUP;
}

static int run_zero(Image *i, char **words, int count)
{
    return image_write_zeroes(i, number(words[1]), number(words[2]), count > 3);
}

static int run_discard(Image *i, char **words, int count)
{
    (void)count;
    return image_discard(i, number(words[1]), number(words[2]));
}

static int run_flush(Image *i, char **words, int count)
{
    (void)words, (void)count;
    return image_flush(i);
}

static int run_resize(Image *i, char **words, int count)
{
    (void)count;
    return image_resize(i, number(words[1]));
}

static int run_map(Image *i, char **words, int count)
{
    ImageExtent e;
    int status = 0;
    (void)words, (void)count;

    for (uint64_t at = 0; at < i->size && !status; at += e.length) {
        status = image_map(i, at, i->size - at, &e);
        if (!status && !e.length)
            return -EIO;
        if (!status)
            printf("%" PRIu64 " %" PRIu64 " %s%s%s\n", at, e.length, e.allocated ? "allocated" : "none",
                   e.zero ? " zero" : "", e.compressed ? " compressed" : "");
    }
    return status;
}

static void tell(void *opaque, const char *line)
{
    (void)opaque;
    printf("%s\n", line);
}

static int run_check(Image *i, char **words, int count)
{
    g_autoptr(GError) err = NULL;
    ImageCheck c = { .tell = tell, .repair_leaks = count > 1, .repair_all = count > 1 && !strcmp(words[1], "all") };

    if (!i->driver->check)
        return -ENOTSUP;
    if (!i->driver->check(i, &c, &err))
        die(err->message);
    printf("%" PRIu64 " corruptions (%" PRIu64 " fixed), %" PRIu64 " leaks (%" PRIu64 " fixed), %" PRIu64 "/%" PRIu64
           " allocated\n", c.corruptions, c.corruptions_fixed, c.leaks, c.leaks_fixed, c.allocated, c.total);
    return c.corruptions > c.corruptions_fixed || c.leaks > c.leaks_fixed ? -EUCLEAN : 0;
}

static int run_info(Image *i, char **words, int count)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse("", NULL);
    (void)words, (void)count;

    printf("format: %s\n", i->driver->name);
    if (i->driver->info)
        i->driver->info(i, pairs);
    for (unsigned k = 0; k < pairs->len; k++) {
        const OptionPair *pair = pairs->pdata[k];
        printf("%s: %s\n", pair->key, pair->value);
    }
    return 0;
}

static int run_kill(Image *i, char **words, int count)
{
    (void)i, (void)words, (void)count;
    return kill(getpid(), SIGKILL);
}

static const Command commands[] = {
    { "size", run_size, 1 },       { "read", run_read, 4 },   { "write", run_write, 4 },     { "put", run_put, 5 },
    { "get", run_get, 2 },         { "zero", run_zero, 3 },   { "discard", run_discard, 3 }, { "flush", run_flush, 1 },
    { "resize", run_resize, 2 },   { "map", run_map, 1 },     { "check", run_check, 1 },     { "info", run_info, 1 },
    { "compress", run_compress, 2 }, { "kill", run_kill, 1 },  { "pack", run_pack, 4 },
};

static int run_line(Image *i, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", WORDS);
    int count = g_strv_length(words);

    for (unsigned k = 0; k < ARRAY_SIZE(commands); k++)
        if (count && !strcmp(words[0], commands[k].name) && count >= commands[k].words)
            return commands[k].run(i, words, count);
    return -EINVAL;
}

/* With `progress` whoever kills this program knows what was done. */
static bool run_lines(Image *i, const char *argument, bool progress)
{
    g_autofree char *text = NULL;
    bool ok = true;

    if (*argument == '@' && !g_file_get_contents(argument + 1, &text, NULL, NULL))
        die("the file of commands cannot be read");
    g_auto(GStrv) lines = g_strsplit(text ? g_strchomp(text) : argument, "\n", -1);
    for (char **line = lines; *line && ok; line++) {
        int status = run_line(i, *line);
        ok = !status;
        if (!ok)
            fprintf(stderr, "myna-io: %s: %s\n", *line, g_strerror(-status));
        if (ok && progress) {
            printf("%d\n", (int)(line - lines) + 1);
            fflush(stdout);
        }
    }
    return ok;
}

static int create(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    const ImageDriver *driver = argc >= 5 ? image_driver_find(argv[2]) : NULL;

    if (!driver || !driver->create)
        die("create FORMAT FILE SIZE [KEY=VALUE,...]");
    g_autoptr(GPtrArray) options = option_pairs_parse(argc > 5 ? argv[5] : "", NULL);
    ImageCreate c = { .who = "myna-io", .file = argv[3], .size = number(argv[4]), .options = options };
    if (!driver->create(&c, &err))
        die(err->message);
    if (options->len)
        die("an option that the format does not know");
    return 0;
}

static int print_protocols(void)
{
    for (const ImageDriver *const *d = image_drivers; *d; d++)
        if ((*d)->protocol && (*d)->read)
            printf("%s\n", (*d)->name);
    return 0;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    ImageOptions o = { .who = "myna-io" };
    int option;
    bool ok = true, progress = false;

    if (argc > 1 && !strcmp(argv[1], "create"))
        return create(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "protocols"))
        return print_protocols();
    while ((option = getopt(argc, argv, "+f:rudp")) != -1) {
        switch (option) {
        case 'f': o.format = optarg; break;
        case 'r': o.readonly = true; break;
        case 'u': o.discard = true; break;
        case 'd': o.repair = true; break;
        case 'p': progress = true; break;
        default: return 2;
        }
    }
    if (optind == argc)
        die("usage: myna-io [-f FORMAT] [-rudp] FILE COMMAND...");
    o.file = argv[optind++];
    Image *i = image_open(&o, &err);
    if (!i) {
        fprintf(stderr, "%s\n", err->message);
        return 1;
    }
    for (; optind < argc && ok; optind++)
        ok = run_lines(i, argv[optind], progress);
    image_close(i);
    return !ok;
}
