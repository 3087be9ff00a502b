/* myna-img: makes, shows, checks and changes disk images, with qemu-img's commands and options. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/version.h"
#include "img/img.h"
#include "util/bits.h"

typedef struct Command {
    const char *name;
    ImgCommand *run;
    const char *help;
} Command;

static const Command commands[] = {
    { "check", img_check, "finds faults of an image, and repairs them" },
    { "commit", img_commit, "writes what an image has to its backing file" },
    { "compare", img_compare, "says whether two images have the same content" },
    { "convert", img_convert, "copies images into a new one, of any format" },
    { "create", img_create, "makes a new image" },
    { "info", img_info, "says what an image is" },
    { "map", img_map, "says which parts of an image are where" },
    { "rebase", img_rebase, "gives an image another backing file" },
    { "resize", img_resize, "makes an image's disk larger or smaller" },
    { "snapshot", img_snapshot, "lists, makes, applies and deletes snapshots within an image" },
};

static void print_help(void)
{
    printf("usage: myna-img COMMAND [OPTION...] FILE...\n\n");
    for (unsigned n = 0; n < ARRAY_SIZE(commands); n++)
        printf("  %-10s %s\n", commands[n].name, commands[n].help);
    printf("\nmyna-img COMMAND --help tells a command's options.  Formats:");
    for (const ImageDriver *const *d = image_drivers; *d; d++)
        if (!(*d)->protocol)
            printf(" %s", (*d)->name);
    printf("\n");
}

static int unknown_command(const char *given)
{
    const char *names[ARRAY_SIZE(commands)];

    for (unsigned n = 0; n < ARRAY_SIZE(commands); n++)
        names[n] = commands[n].name;
    const char *nearest = nearest_name(given, names, ARRAY_SIZE(commands));
    if (nearest)
        return img_fail_text("unknown command '%s' (did you mean '%s'?); --help lists them", given, nearest);
    return img_fail_text("unknown command '%s'; --help lists them", given);
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help();
        return argc < 2;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("myna-img %s\n", MYNA_VERSION);
        return IMG_OK;
    }
    for (unsigned n = 0; n < ARRAY_SIZE(commands); n++)
        if (!strcmp(argv[1], commands[n].name))
            return commands[n].run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}
