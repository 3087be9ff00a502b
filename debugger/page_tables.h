/*
 * Page tables as a debugger reads them: every entry, whatever it holds, with no traces in the tables or the TLB.
 *
 * cpu/mmu.c translates one address as the processor does; here broken entries are as interesting as good ones, and all
 * of an address space is gone through.  Nothing but RAM and ROM is read: a table that lies elsewhere is said to be
 * unreadable.  CPUs are paused.
 */
#ifndef MYNA_DEBUGGER_PAGE_TABLES_H
#define MYNA_DEBUGGER_PAGE_TABLES_H

#include <glib.h>

#include "cpu/state.h"

enum { /* bits of entries: SDM vol. 3A tables 4-5 to 4-20 */
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PWT = 8, PTE_PCD = 0x10, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80,
    PTE_G = 0x100, PTE_LARGE_PAT = 0x1000,
};
#define PTE_NX BIT(63)

/* The tables of one address space. */
typedef struct PageTables {
    Cpu *cpu;
    const char *name;      /* "4-level" */
    unsigned levels;       /* 2 to 5; 0: paging is off, addresses are physical */
    unsigned entry_size;   /* 4 or 8 bytes */
    unsigned bits;         /* of the addresses that they translate */
    bool canonical;        /* whose upper bits repeat the highest of these */
    bool pae_pointers;     /* the first table is PAE's four pointers */
    bool use_loaded;       /* of these the processor's copies count (SDM vol. 3A 4.4.1) */
    bool nx, pse, huge;    /* no-execute bits count; pages of 4 MiB; of 1 GiB */
    bool nested;           /* they lie in memory that nested tables map (page_tables_nested) */
    uint64_t root;         /* GPA of the first table */
    uint64_t reserved;     /* bits reserved in all entries */
    uint64_t top_reserved; /* and in those of levels 4 and 5 */
    unsigned pse_high;     /* bits of an address above 4 GiB in a page of 4 MiB */
} PageTables;

/* Those of the CPU as it runs now; with another value of CR3 unless that is NULL. */
void page_tables_of(Cpu *cpu, const uint64_t *cr3, PageTables *t);

/* Those that map the physical memory of the guest that runs under SVM with nested paging; false: there is none. */
bool page_tables_nested(Cpu *cpu, PageTables *t);

typedef enum PageEntryKind {
    PAGE_ABSENT,
    PAGE_TABLE,      /* leads to a table at `target` */
    PAGE_LEAF,       /* maps 2^shift bytes to `target` */
    PAGE_RESERVED,   /* has bits set that must not be: accesses fault */
    PAGE_UNREADABLE, /* the table is not in RAM, or the nested tables do not map it */
} PageEntryKind;

typedef struct PageEntry {
    PageEntryKind kind;
    unsigned level;    /* 1 to 5 */
    unsigned shift;    /* it is for 2^shift bytes */
    uint64_t address;  /* GPA of the entry */
    uint64_t value;
    uint64_t reserved; /* bits set that must not be */
    uint64_t target;
} PageEntry;

typedef struct PageWalk {
    unsigned count;    /* of entries; the last one says how it ended */
    PageEntry entry[5];
    uint64_t all, any; /* bits that all, and that any, of the entries have that carry rights */
    bool mapped;
    uint64_t gpa;      /* of the byte asked for, if mapped */
    unsigned shift;    /* the page has 2^shift bytes; if not mapped: none of that many bytes around it are */
} PageWalk;

/* Whether the address is mapped.  An address that is not canonical has no entries. */
bool page_walk(const PageTables *t, uint64_t la, PageWalk *w);

/* Whether all the tables' upper address bits are as they must be. */
bool page_tables_reach(const PageTables *t, uint64_t la);

enum { PAGE_RIGHT_USER = 1, PAGE_RIGHT_WRITE = 2, PAGE_RIGHT_EXEC = 4 }; /* read: every mapping */
unsigned page_rights(const PageTables *t, uint64_t all, uint64_t any);

/* What an entry maps. */
typedef struct PageMapping {
    uint64_t la, gpa;
    unsigned shift;    /* 2^shift bytes */
    uint64_t entry;    /* the last one on the way */
    unsigned rights;   /* PAGE_RIGHT_* of all levels together */
    bool reserved;     /* it has reserved bits set: accesses fault */
} PageMapping;

/* Called in the order of linear addresses; false: enough. */
typedef bool PageMappingFn(void *opaque, const PageMapping *m);

/*
 * All mappings of addresses from `from` to `last`, both included.  False with the address to go on from in *stopped:
 * fn had enough, or so many entries were read that the tables must be in a loop.
 */
bool page_tables_scan(const PageTables *t, uint64_t from, uint64_t last, PageMappingFn *fn, void *opaque,
                      uint64_t *stopped);

/* The page's GPA as the machine's bus sees it: through nested tables and the A20 gate; false: not mapped. */
bool page_system_address(const PageTables *t, uint64_t gpa, uint64_t *spa);

#endif
