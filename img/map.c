/* myna-img map: what lies where, through the backing chain. */
#include <stdio.h>
#include <string.h>

#include "img/img.h"

typedef struct Part {
    uint64_t start;
    ImageExtent e;
    const Image *in;
    int depth;
    bool present;
} Part;

static int depth_of(const Image *top, const Image *in)
{
    int depth = 0;
    for (; top && top != in; top = top->backing)
        depth++;
    return depth;
}

static bool same(const Part *a, const Part *b)
{
    return a->depth == b->depth && a->present == b->present && a->e.zero == b->e.zero && a->e.in_file == b->e.in_file &&
           a->e.compressed == b->e.compressed && (!a->e.in_file || a->e.at + a->e.length == b->e.at);
}

/* ---- for people: data that lies in a file as it is ---- */

static bool print_human(const Part *p)
{
    if (!p->present || p->e.zero)
        return true;
    if (!p->e.in_file) {
        img_fail_text("the part at offset " U64 " is compressed or encoded; --output=json shows it", p->start);
        return false;
    }
    printf("%-#16" G_GINT64_MODIFIER "x%-#16" G_GINT64_MODIFIER "x%-#16" G_GINT64_MODIFIER "x%s\n", p->start, p->e.length,
           p->e.at, p->in->lower ? p->in->lower->file : p->in->file);
    return true;
}

/* ---- for programs: as qemu-img, a line each ---- */

static const char *truth(bool b) { return b ? "true" : "false"; }

static void print_json(const Part *p, bool first)
{
    printf("%s{ \"start\": " U64 ", \"length\": " U64 ", \"depth\": %d, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", p->start, p->e.length, p->depth, truth(p->present), truth(p->e.zero),
           truth(p->present && !p->e.zero));
    if (p->e.in_file && p->present)
        printf(", \"offset\": " U64, p->e.at);
    printf("}");
}

/* ---- the walk ---- */

typedef struct Map {
    Image *top;
    bool json, first, ok;
    Part last;
    bool pending;
} Map;

static void flush(Map *m)
{
    if (!m->pending)
        return;
    if (m->json)
        print_json(&m->last, m->first);
    else
        m->ok = print_human(&m->last) && m->ok;
    m->first = false;
    m->pending = false;
}

static void add(Map *m, const Part *p)
{
    if (m->pending && same(&m->last, p)) {
        m->last.e.length += p->e.length;
        return;
    }
    flush(m);
    m->last = *p;
    m->pending = true;
}

static int walk(Map *m, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end;) {
        Part p = { .start = at };
        Image *in;
        int status = image_map_chain(m->top, at, end - at, &p.e, &in);
        if (status || !p.e.length)
            return img_fail_text("'%s': reading at offset " U64 ": %s", in->file, at, g_strerror(-status));
        p.in = in;
        p.depth = depth_of(m->top, in);
        p.present = p.e.allocated;
        add(m, &p);
        at += p.e.length;
    }
    flush(m);
    return m->ok ? IMG_OK : IMG_FAILED;
}

int img_map(int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL, *start_text = NULL, *length_text = NULL;
    gboolean shared = FALSE;
    const GOptionEntry options[] = {
        { "format", 'f', 0, G_OPTION_ARG_FILENAME, &format, "format of the image [by content]", "FORMAT" },
        { "output", 0, 0, G_OPTION_ARG_FILENAME, &output, "human or json [human]", "FORM" },
        { "start-offset", 's', 0, G_OPTION_ARG_FILENAME, &start_text, "from there on [0]", "OFFSET" },
        { "max-length", 'l', 0, G_OPTION_ARG_FILENAME, &length_text, "no more than that", "SIZE" },
        { "force-share", 'U', 0, G_OPTION_ARG_NONE, &shared, "even when another writes it", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    Map m = { .first = true, .ok = true };
    uint64_t start = 0, length = UINT64_MAX;

    if (!img_parse(&argc, &argv, options, "FILE", 1, 1) || (output && strcmp(output, "json") && strcmp(output, "human")))
        return output ? img_fail_text("--output=%s is unknown; it can be human or json", output) : IMG_FAILED;
    m.json = output && !strcmp(output, "json");
    if ((start_text && !img_parse_size("--start-offset", start_text, &start)) ||
        (length_text && !img_parse_size("--max-length", length_text, &length)))
        return IMG_FAILED;
    m.top = img_open(argv[1], &(ImgOpen) { .format = format, .readonly = true, .no_lock = shared });
    if (!m.top)
        return IMG_FAILED;
    start = MIN(start, m.top->size);
    if (!m.json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    int status = walk(&m, start, start + MIN(length, m.top->size - start));
    if (m.json)
        printf("%s]\n", m.first ? "[" : "");
    image_close(m.top);
    return status;
}
