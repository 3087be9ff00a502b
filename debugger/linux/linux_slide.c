/*
 * Where a Linux kernel was put (linux.h): KASLR moves it by a multiple of 2 MiB (CONFIG_PHYSICAL_ALIGN, 16 MiB by some
 * configurations), and what the processor itself holds of it tells by how much: handlers in the IDT, and the entry of
 * SYSCALL.
 */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "debugger/linux/linux.h"
#include "util/endian.h"

#define SLIDE_ALIGN (UINT64_C(2) << 20)

/* Address of a handler in a long mode IDT; 0: none (SDM vol. 3A 6.14.1). */
static uint64_t idt_handler(Cpu *cpu, unsigned vector)
{
    uint8_t gate[16];
    if (!cpu->long_mode || cpu->idtr.limit < vector * 16 + 15 ||
        !linux_read(cpu, cpu->idtr.base + vector * 16, gate, sizeof gate))
        return 0;
    return ld16le(gate) | (uint64_t)ld16le(gate + 6) << 16 | (uint64_t)ld32le(gate + 8) << 32;
}

/* Whether the kernel says its name where it would then lie. */
static bool slide_holds(Cpu *cpu, const Symbols *s, int64_t slide)
{
    static const char begin[] = "Linux version ";
    char there[sizeof begin - 1];
    uint64_t banner;
    return !(slide & (SLIDE_ALIGN - 1)) && symbols_find(s, "linux_banner", &banner) &&
           linux_read(cpu, banner + slide, there, sizeof there) && !memcmp(there, begin, sizeof there);
}

/* Whether what the CPU holds is the symbol, moved. */
static bool try_slide(Cpu *cpu, const Symbols *s, const char *name, uint64_t is_at, int64_t *slide)
{
    uint64_t address;
    if (!is_at || !symbols_find(s, name, &address))
        return false;
    *slide = is_at - address;
    return slide_holds(cpu, s, *slide);
}

gboolean linux_find_slide(Cpu *cpu, const Symbols *s, const char *path, int64_t *slide, GError **err)
{
    static const struct { unsigned vector; const char *name; } handlers[] = {
        { 14, "asm_exc_page_fault" }, { 0, "asm_exc_divide_error" }, { 13, "asm_exc_general_protection" },
        { 14, "page_fault" }, { 0, "divide_error" },     /* before Linux 5.8 */
        { 0, "early_idt_handler_array" },                /* before trap_init() */
    };
    uint64_t banner;
    if (!symbols_find(s, "linux_banner", &banner))
        return error_set(err, "%s has no symbol 'linux_banner': it is not of a Linux kernel", path);
    for (unsigned k = 0; k < G_N_ELEMENTS(handlers); k++)
        if (try_slide(cpu, s, handlers[k].name, idt_handler(cpu, handlers[k].vector), slide))
            return TRUE;
    if (try_slide(cpu, s, "entry_SYSCALL_64", cpu->lstar, slide))
        return TRUE;
    if (slide_holds(cpu, s, 0)) {
        *slide = 0;
        return TRUE;
    }
    return error_set(err, "neither the IDT nor the SYSCALL entry of CPU %u leads into the kernel of %s: it is not up "
                     "yet, or not that kernel; if you know how far it was moved: symbols %s OFFSET",
                     cpu->index, path, path);
}
