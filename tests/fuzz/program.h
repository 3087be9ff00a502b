/*
 * Random programs, run in the interpreter and in the recompiler, and compared (docs/testing.md, "Fuzzing").
 *
 * Overview.  generate.c makes a program out of the instruction table and of templates; program.c lays it out in memory.
 * vm.c is a small machine with one CPU: a program runs in it a number of passes, each with other registers.  Every fault
 * is delivered by way of the machine's IDT to a handler that tells the harness, which writes down the state and lets
 * the program go on behind the instruction.  main.c runs each program in several such machines, compares what was
 * written down, and makes a smaller program of one that differs.
 *
 * A program's view of memory: code pages at `code`, DATA_PAGES pages from `data` on, of different kinds (vm.c).
 */
#ifndef MYNA_TESTS_FUZZ_PROGRAM_H
#define MYNA_TESTS_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/insn.h"
#include "tests/cpu/random.h"

#define CODE_PAGES 3
#define CODE_BYTES (CODE_PAGES * 4096u)
#define DATA_PAGES 12
/* Pages of the data area that are not plain memory. */
enum { PAGE_READ_ONLY = 4, PAGE_ABSENT = 5, PAGE_DEVICE = 6, PAGE_OTHERS = 8 /* the other privilege's */, PAGE_CODE_ALIAS = 10 };
#define DEVICE_BYTES 4096u

#define MAX_ITEMS 400

/* What the layout puts into an item's bytes. */
typedef enum Fix {
    FIX_NONE,
    FIX_BRANCH,    /* a relative jump or call to item `target` */
    FIX_BRANCH_8,  /* the same, which has a short form only */
    FIX_DATA,      /* an absolute or RIP-relative displacement to `place` in the data area, at fix_at */
    FIX_PATCH,     /* the same to the last byte of item `target`; by way of the data area's alias where `alias` */
    FIX_ADDRESS,   /* 4 bytes at fix_at: the address of item `target`, relative in 64-bit code */
} Fix;

typedef struct Item {
    uint8_t code[16], length;
    uint8_t fix, fix_at;
    bool alias;
    bool dropped;          /* by the minimiser */
    bool wide;             /* a branch in its long form (layout) */
    uint16_t target;
    uint16_t row;          /* of the instruction table, for the flags */
    bool weak;             /* may leave the flags as they are, though the row writes them */
    bool joins;            /* control comes here from elsewhere, or goes elsewhere */
    uint32_t place;
    /* Found by the layout: */
    uint32_t offset;       /* in the code area */
    uint32_t undefined;    /* flags that are undefined before it */
} Item;

typedef struct Program {
    uint64_t seed;
    uint8_t size;          /* SZ32, SZ64 */
    bool user;             /* CPL 3 */
    bool smap, align, watch; /* CR4.SMAP; alignment checks; a data breakpoint */
    bool x87;              /* much x87, and registers to begin with that suit it */
    bool strict;           /* undefined flags count too */
    uint64_t code, data;   /* linear addresses */
    uint64_t fs, gs;
    uint32_t start;        /* offset of the first item */
    uint16_t bases, indexes; /* registers that point and index */
    unsigned passes, count;
    Item item[MAX_ITEMS];
    uint8_t image[CODE_BYTES];
} Program;

/* Makes the program of a seed. */
void program_generate(Program *p, const InsnDecoder *d, uint64_t seed, bool strict);

/*
 * Makes a program of given bytes: two choose registers and surroundings, the rest are instructions, of which those are
 * left out that leave the program or belong to the harness.  False when there is nothing to run.
 */
bool program_from_bytes(Program *p, const InsnDecoder *d, const uint8_t *bytes, size_t size);

/*
 * Lays the items out in image[]; false when they cannot be: too far apart, or a flag would be read while undefined.
 */
bool program_lay_out(Program *p);

/* The item that begins at an offset, or NULL; the one that comes after. */
const Item *program_item_at(const Program *p, uint32_t offset);
const Item *program_next(const Program *p, const Item *i);

/* Registers at the start of a pass. */
struct Registers;
void program_registers(const Program *p, unsigned pass, struct Registers *out);

void program_print(const Program *p);

#endif
