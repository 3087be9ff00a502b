/*
 * Guest-physical memory and I/O ports.
 *
 * Overview.  A machine has two address spaces, memory (GPAs) and ports.  Each is a tree of regions: containers that
 * hold others at offsets with priorities, RAM, ROM, device registers (MMIO or port handlers), and aliases that show a
 * window of another region.  The tree is flattened into a sorted list of ranges (a FlatView), where a higher priority
 * covers a lower one, and among equals the one added later covers the earlier.  All accesses go through the view;
 * a change of the tree makes a new one.
 *
 * All RAM, ROM and video memory of a machine lies in one reservation of host memory (RamPool), so that a byte of it has
 * a pool offset, and a host address is pool->host + offset.  For each 4 KiB page of the pool there is a byte of flags:
 * who has seen its present content (dirty bits), and whether decoded instructions came from it.
 *
 * Locking.  Device callbacks run under the machine lock (machine.h), which as_read() and as_write() take themselves
 * when the target is a device.  Changing the tree needs the lock.  RAM is accessed without it.
 */
#ifndef MYNA_CORE_MEMORY_H
#define MYNA_CORE_MEMORY_H

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RAM_PAGE_BITS 12
#define RAM_PAGE_SIZE (UINT64_C(1) << RAM_PAGE_BITS)

/* Page flags.  A DIRTY bit is set by every write and cleared by whoever watches it. */
enum { PAGE_DIRTY_DISPLAY = 1, PAGE_DIRTY_SAVE = 2, PAGE_DIRTY_ALL = 3, PAGE_CODE = 0x80 };

typedef struct RamPool {
    uint8_t *host;              /* host address of pool offset 0; page-aligned */
    uint64_t size;              /* bytes in use */
    uint64_t reserved;          /* bytes of address space reserved */
    _Atomic uint8_t *page_flags; /* PAGE_*, one for each 4 KiB page */
    GArray *code_listeners, *dirty_listeners; /* private to memory.c */
} RamPool;

/* Reserves room for `reserve` bytes of RAM altogether; memory is committed by the host as it is touched. */
RamPool *ram_pool_new(uint64_t reserve, GError **err);
void ram_pool_free(RamPool *pool);

/*
 * Listeners, added and removed while nothing runs.  A code listener is called after a write to pool bytes
 * [offset, offset+size) of a page with PAGE_CODE, by the writing thread; a dirty listener after dirty bits were cleared,
 * from any thread: whoever caches "dirty already" must look again.
 */
typedef void RamWrittenFn(void *opaque, uint64_t offset, uint64_t size);
typedef void RamClearedFn(void *opaque);
void ram_add_code_listener(RamPool *pool, RamWrittenFn *fn, void *opaque);
void ram_remove_code_listener(RamPool *pool, RamWrittenFn *fn, void *opaque);
void ram_add_dirty_listener(RamPool *pool, RamClearedFn *fn, void *opaque);
void ram_remove_dirty_listener(RamPool *pool, RamClearedFn *fn, void *opaque);

/* Clears `mask` dirty bits of the pages of [offset, offset+size); true when any was set (that is, was written since). */
bool ram_test_and_clear_dirty(RamPool *pool, uint64_t offset, uint64_t size, uint8_t mask);

/* The same, and taken[n] is whether the nth of these pages had one.  Listeners are told once for all. */
bool ram_take_dirty(RamPool *pool, uint64_t offset, uint64_t size, uint8_t mask, uint8_t *taken);

/* Notes a finished write of size bytes at a pool offset that went past the functions below: dirty bits, listeners. */
void ram_mark_written(RamPool *pool, uint64_t offset, uint64_t size);

/*
 * Gives whole host pages within [offset, offset+size) back to the host: they read as zeros from then on, and take memory
 * again when they are written.  Counts as a write of them.
 */
void ram_release(RamPool *pool, uint64_t offset, uint64_t size);

/*
 * A device's registers.  `offset` is relative to the region; size is between min_size and max_size (both powers of 2;
 * 0 means 1 and 4): smaller accesses are widened by a read (and, for writes, rejected unless min_size is 1), larger ones are split, little
 * end first.  Reads of nothing give all ones, as do those that a region's functions make of the region itself.
 */
typedef struct RegionOps {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    uint8_t min_size, max_size;
} RegionOps;

typedef struct Region Region;

/* Makers: name is copied; a region is freed by region_free, after removal; containers do not free their children. */
Region *region_new_container(const char *name, uint64_t size);
Region *region_new_ram(RamPool *pool, const char *name, uint64_t size, GError **err);
Region *region_new_rom(RamPool *pool, const char *name, uint64_t size, GError **err); /* guest writes are dropped */
Region *region_new_io(const char *name, uint64_t size, const RegionOps *ops, void *opaque);
Region *region_new_alias(const char *name, Region *target, uint64_t offset, uint64_t size);
void region_free(Region *r);

/* Host address and pool offset of a RAM or ROM region. */
uint8_t *region_host(const Region *r);
uint64_t region_pool_offset(const Region *r);
uint64_t region_size(const Region *r);
const char *region_name(const Region *r);

/* Tree changes; each makes a new view unless between region_batch_begin and _end of the address space. */
void region_add(Region *container, uint64_t offset, Region *sub, int priority);
void region_remove(Region *sub);
void region_set_enabled(Region *r, bool enabled);
void region_set_readonly(Region *r, bool readonly);      /* RAM (or an alias to it) behaves as ROM */
void region_set_alias_offset(Region *r, uint64_t offset); /* moves an alias's window */
void region_move(Region *sub, uint64_t offset);           /* to another place in the same container */

typedef struct AddressSpace AddressSpace;

/* An address space of `bits` address bits on a new root container; lock is the machine lock. */
AddressSpace *as_new(const char *name, unsigned bits, RamPool *pool, GRecMutex *lock);
void as_free(AddressSpace *as);
Region *as_root(AddressSpace *as);
RamPool *as_pool(AddressSpace *as);
void as_batch_begin(AddressSpace *as);
void as_batch_end(AddressSpace *as);

/* Called (with the lock held) after every change of the view. */
typedef void AsChangedFn(void *opaque);
void as_add_listener(AddressSpace *as, AsChangedFn *fn, void *opaque);
void as_remove_listener(AddressSpace *as, AsChangedFn *fn, void *opaque);

/* What an address leads to. */
typedef struct AsTarget {
    Region *region;       /* NULL: nothing there */
    uint64_t offset;      /* in the region (after aliases) */
    uint64_t room;        /* bytes from here to the end of the range */
    uint8_t *host;        /* RAM and ROM: host address, else NULL */
    uint64_t pool_offset; /* RAM and ROM */
    bool readonly;        /* ROM, or RAM set read-only: writes are dropped */
} AsTarget;

/* Looks an address up; callable from any thread without the lock. */
AsTarget as_lookup(AddressSpace *as, uint64_t addr);

/*
 * One access of 1, 2, 4 or 8 bytes (may cross ranges), little-endian.  Callable with or without the machine lock.
 */
uint64_t as_read(AddressSpace *as, uint64_t addr, unsigned size);
void as_write(AddressSpace *as, uint64_t addr, uint64_t value, unsigned size);

/* Bytes, for DMA, loaders and debuggers: device registers are accessed by the widest aligned sizes. */
void as_read_bytes(AddressSpace *as, uint64_t addr, void *buf, uint64_t size);
void as_write_bytes(AddressSpace *as, uint64_t addr, const void *buf, uint64_t size);

/* Writes as a loader does: ROM too. */
void as_load_bytes(AddressSpace *as, uint64_t addr, const void *buf, uint64_t size);

/* The tree and the flat view as text, in the form of QEMU's `info mtree`. */
void as_dump(AddressSpace *as, GString *out);

/* The flat view alone. */
void as_dump_flat(AddressSpace *as, GString *out);

#endif
