/*
 * picture: compares pictures of the display cases with the model.  Each line of the standard input is the number of a
 * case and the name of a PPM file that an emulator wrote while the guest showed it; the answer is "ok", or what differs
 * first.  Text that blinks may be in any phase.  `picture --names` prints all cases, `picture --write N FILE` a picture
 * as it ought to be.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "model.h"

enum { MEMORY = 64 << 20 };

struct Bus {
    Model *model;
};

void bus_out(Bus *b, unsigned port, unsigned value, unsigned size) { model_out(b->model, port, value, size); }
unsigned bus_in(Bus *b, unsigned port, unsigned size) { return model_in(b->model, port, size); }
uint32_t bus_read(Bus *b, uint32_t address, unsigned size) { return model_read(b->model, address, size); }

void bus_write(Bus *b, uint32_t address, uint32_t value, unsigned size)
{
    model_write(b->model, address, value, size);
}

void bus_write_frame(Bus *b, uint32_t offset, const uint8_t *bytes, unsigned size)
{
    model_write_frame(b->model, offset, bytes, size);
}

typedef struct Picture {
    unsigned width, height;
    gchar *file;
    const uint8_t *dots;    /* in file; three bytes each */
} Picture;

static bool picture_read(Picture *p, const char *path)
{
    gsize size;
    int at = 0;
    if (!g_file_get_contents(path, &p->file, &size, NULL) ||
        sscanf(p->file, "P6 %u %u 255%n", &p->width, &p->height, &at) != 2 || !at ||
        size != at + 1 + (gsize)3 * p->width * p->height)
        return false;
    p->dots = (const uint8_t *)p->file + at + 1;
    return true;
}

/* What differs, or NULL. */
static char *compare(const Model *m, const Picture *p, unsigned phase)
{
    unsigned width, height;
    g_autofree uint32_t *want = model_picture(m, phase, &width, &height);
    if (width != p->width || height != p->height)
        return g_strdup_printf("%u x %u instead of %u x %u", p->width, p->height, width, height);
    const uint8_t *c = p->dots;
    for (gsize n = 0; n < (gsize)width * height; n++, c += 3)
        if (want[n] != (uint32_t)(c[0] << 16 | c[1] << 8 | c[2]))
            return g_strdup_printf("dot %u,%u is %02x%02x%02x instead of %06x", (unsigned)(n % width),
                                   (unsigned)(n / width), c[0], c[1], c[2], want[n]);
    return NULL;
}

static void answer(unsigned n, const char *path)
{
    Bus b = { model_new(MEMORY) };
    Picture p = { 0 };
    g_autofree char *differs = NULL;
    case_show(&b, n);
    if (!picture_read(&p, path))
        differs = g_strdup_printf("%s is no picture", path);
    for (unsigned phase = PHASE_COUNT; p.dots && phase--;) {
        g_free(differs);
        differs = compare(b.model, &p, phase);
        if (!differs || !model_blinks(b.model))
            break;
    }
    puts(differs ? differs : "ok");
    fflush(stdout);
    g_free(p.file);
    model_free(b.model);
}

static int picture_write(unsigned n, const char *path)
{
    Bus b = { model_new(MEMORY) };
    unsigned width, height;
    case_show(&b, n);
    g_autofree uint32_t *dots = model_picture(b.model, PHASE_CURSOR | PHASE_TEXT, &width, &height);
    FILE *f = fopen(path, "wb");
    if (!f)
        return EXIT_FAILURE;
    fprintf(f, "P6\n%u %u\n255\n", width, height);
    for (gsize k = 0; k < (gsize)width * height; k++)
        for (unsigned shift = 24; shift;)
            fputc(dots[k] >> (shift -= 8) & 0xff, f);
    model_free(b.model);
    return fclose(f) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    char path[4096];
    unsigned n;
    if (argc == 4 && !strcmp(argv[1], "--write") && atoi(argv[2]) >= 0 && (unsigned)atoi(argv[2]) < case_count())
        return picture_write(atoi(argv[2]), argv[3]);
    for (n = 0; argc == 2 && !strcmp(argv[1], "--names") && n < case_count(); n++)
        printf("%s/%u\n", case_family(n), case_number(n));
    while (argc == 1 && scanf("%u %4095s", &n, path) == 2)
        if (n < case_count())
            answer(n, path);
    return EXIT_SUCCESS;
}
