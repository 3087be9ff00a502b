/*
 * A Linux guest seen from outside: structures in its memory, found by its symbols and read by its own BTF.
 *
 * Nothing is taken for granted: memory may hold anything, lists may be circles, and lengths lie.
 *
 * Threads.  As debugger.h; the machine is paused.
 */
#ifndef MYNA_DEBUGGER_LINUX_H
#define MYNA_DEBUGGER_LINUX_H

#include "debugger/debugger.h"
#include "debugger/linux/linux_btf.h"
#include "debugger/symbols/symbols.h"

typedef struct Linux {
    Debugger *debugger;
    Cpu *cpu;          /* whose page tables are used */
    Symbols *symbols;
    Btf *btf;
} Linux;

/* Looks at the guest's kernel; NULL with *err.  To be freed. */
Linux *linux_open(Debugger *d, GError **err);
void linux_close(Linux *l);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Linux, linux_close)

/* Kernel memory as the CPU maps it; in user mode too, where the kernel has page tables of its own (KPTI). */
bool linux_read(Cpu *cpu, uint64_t la, void *buf, size_t size);

/* FALSE with *err when symbols lack the name, or the structure the member ("a.b": of a member). */
gboolean linux_symbol(const Linux *l, const char *name, uint64_t *address, GError **err);
gboolean linux_field(const Linux *l, const char *structure, const char *path, BtfField *f, GError **err);
gboolean linux_size(const Linux *l, const char *structure, uint64_t *size, GError **err);

/* A member of at most 8 bytes, of the structure at `object`; FALSE with *err when it cannot be read. */
gboolean linux_get(const Linux *l, uint64_t object, const BtfField *f, uint64_t *v, GError **err);

/* Both in one: "struct", "path". */
gboolean linux_get_named(const Linux *l, uint64_t object, const char *structure, const char *path, uint64_t *v,
                         GError **err);

/* Appends a member that is an array of characters, up to its 0; what cannot be shown becomes '?'. */
gboolean linux_get_text(const Linux *l, uint64_t object, const BtfField *f, GString *out, GError **err);

/*
 * Goes along a list (struct list_head at `head`) whose links lie at `offset` in its objects, until fn returns FALSE.
 * FALSE with *err when it cannot be read, or is longer than any list is.
 */
typedef gboolean LinuxListFn(Linux *l, uint64_t object, void *opaque, GError **err);
gboolean linux_list(Linux *l, uint64_t head, uint64_t offset, LinuxListFn *fn, void *opaque, GError **err);
#define LINUX_LIST_MAX 100000

/* "Linux version 6.1.0 ..." */
gboolean linux_banner(const Linux *l, GString *out, GError **err);

/* ---- CPUs (linux_tasks.c) ---- */

/* The base of a CPU's own data, and the task that it runs. */
gboolean linux_per_cpu(const Linux *l, const Cpu *cpu, uint64_t *base, GError **err);
gboolean linux_current(const Linux *l, const Cpu *cpu, uint64_t *task, GError **err);

/* ---- what commands print; FALSE with *err ---- */

gboolean linux_print_tasks(Linux *l, bool threads, GString *out, GError **err);
gboolean linux_print_current(Linux *l, GString *out, GError **err);
gboolean linux_print_log(Linux *l, GString *out, GError **err);
gboolean linux_print_modules(Linux *l, GString *out, GError **err);

/* ---- where the kernel lies (linux_slide.c) ---- */

/*
 * How far the kernel whose symbols these are was moved (KASLR), by where the CPU's IDT and SYSCALL entry lead.  FALSE
 * with *err when they lead elsewhere.
 */
gboolean linux_find_slide(Cpu *cpu, const Symbols *s, const char *path, int64_t *slide, GError **err);

/* ---- unwinding data (linux_orc.c) ---- */

/* The list of modules: base and size of each one's code. */
typedef struct LinuxModule {
    uint64_t object, base, size, state;
    char name[64];
} LinuxModule;
GArray *linux_modules(Linux *l, GError **err);

#endif
