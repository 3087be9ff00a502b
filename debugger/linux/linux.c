/* Reading a Linux guest's memory (linux.h). */
#include "debugger/linux/linux.h"

#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- memory ---- */

/*
 * Page table isolation: in user mode CR3 has bit 12 set, and bit 11 in its PCID; the tables of the kernel lie one page
 * lower (arch/x86/mm/pti.c, asm/processor-flags.h).
 */
#define PTI_USER_BITS UINT64_C(0x1800)
#define PTI_USER_PAGE UINT64_C(0x1000)

bool linux_read(Cpu *cpu, uint64_t la, void *buf, size_t size)
{
    if (debugger_read(cpu, la, buf, size))
        return true;
    uint64_t cr3 = cpu->cr3;
    if (!(cr3 & PTI_USER_PAGE) || !cpu->long_mode)
        return false;
    cpu->cr3 = cr3 & ~PTI_USER_BITS; /* it is paused, and a debugger's walk keeps nothing */
    bool ok = debugger_read(cpu, la, buf, size);
    cpu->cr3 = cr3;
    return ok;
}

static gboolean cannot_read(uint64_t la, GError **err)
{
    return error_set(err, "cannot read the kernel's memory at 0x%016" PRIx64, la);
}

/* ---- symbols and types ---- */

gboolean linux_symbol(const Linux *l, const char *name, uint64_t *address, GError **err)
{
    return symbols_find(l->symbols, name, address) ||
           error_set(err, "no symbol '%s': load the kernel's symbols first (linux symbols FILE)", name);
}

static Btf *read_btf(const Linux *l, GError **err)
{
    uint64_t start, stop;
    if (!linux_symbol(l, "__start_BTF", &start, err) || !linux_symbol(l, "__stop_BTF", &stop, err))
        return NULL;
    if (stop <= start || stop - start > BTF_MAX_SIZE) {
        error_set(err, "the symbols __start_BTF and __stop_BTF are not those of a kernel");
        return NULL;
    }
    uint8_t *data = g_malloc(stop - start);
    if (!linux_read(l->cpu, start, data, stop - start)) {
        g_free(data);
        error_set(err, "the kernel is not in memory at 0x%016" PRIx64 ", where its symbols say: is it up, and are "
                  "they those of this kernel? (linux symbols FILE)", start);
        return NULL;
    }
    return btf_new(g_bytes_new_take(data, stop - start), err);
}

Linux *linux_open(Debugger *d, GError **err)
{
    Linux *l = g_new0(Linux, 1);
    *l = (Linux){ .debugger = d, .cpu = debugger_cpu(d), .symbols = debugger_symbols(d) };
    uint64_t any;
    if (!linux_symbol(l, "init_task", &any, err) || !(l->btf = read_btf(l, err))) {
        linux_close(l);
        return NULL;
    }
    return l;
}

void linux_close(Linux *l)
{
    btf_free(l->btf);
    g_free(l);
}

gboolean linux_field(const Linux *l, const char *structure, const char *path, BtfField *f, GError **err)
{
    uint32_t type = btf_find(l->btf, structure);
    return (type && btf_field(l->btf, type, path, f)) ||
           error_set(err, "this kernel's struct %s has no member '%s'", structure, path);
}

gboolean linux_size(const Linux *l, const char *structure, uint64_t *size, GError **err)
{
    uint32_t type = btf_find(l->btf, structure);
    return (type && btf_size(l->btf, type, size)) || error_set(err, "this kernel has no struct %s", structure);
}

/* ---- members ---- */

gboolean linux_get(const Linux *l, uint64_t object, const BtfField *f, uint64_t *v, GError **err)
{
    uint8_t bytes[8] = { 0 };
    if (f->size > sizeof bytes)
        return error_set(err, "a member of %" PRIu64 " bytes is not a number", f->size);
    if (!linux_read(l->cpu, object + f->offset, bytes, f->size))
        return cannot_read(object + f->offset, err);
    *v = ld64le(bytes);
    if (f->bits)
        *v = bits_extract(*v, f->shift, f->bits);
    return TRUE;
}

gboolean linux_get_named(const Linux *l, uint64_t object, const char *structure, const char *path, uint64_t *v,
                         GError **err)
{
    BtfField f;
    return linux_field(l, structure, path, &f, err) && linux_get(l, object, &f, v, err);
}

#define TEXT_MAX 256

gboolean linux_get_text(const Linux *l, uint64_t object, const BtfField *f, GString *out, GError **err)
{
    char text[TEXT_MAX];
    size_t n = MIN(f->size, sizeof text);
    if (!linux_read(l->cpu, object + f->offset, text, n))
        return cannot_read(object + f->offset, err);
    for (size_t k = 0; k < n && text[k]; k++)
        g_string_append_c(out, g_ascii_isprint(text[k]) ? text[k] : '?');
    return TRUE;
}

static gboolean read_pointer(const Linux *l, uint64_t la, uint64_t *v, GError **err)
{
    uint8_t bytes[8];
    if (!linux_read(l->cpu, la, bytes, sizeof bytes))
        return cannot_read(la, err);
    *v = ld64le(bytes);
    return TRUE;
}

gboolean linux_list(Linux *l, uint64_t head, uint64_t offset, LinuxListFn *fn, void *opaque, GError **err)
{
    uint64_t link = head;
    if (!read_pointer(l, head, &link, err))
        return FALSE;
    for (unsigned k = 0; link != head; k++) {
        if (k == LINUX_LIST_MAX)
            return error_set(err, "the list at 0x%016" PRIx64 " has no end: it is damaged, or being changed", head);
        if (!fn(l, link - offset, opaque, err))
            return FALSE;
        if (!read_pointer(l, link, &link, err))
            return FALSE;
    }
    return TRUE;
}

#define BANNER_MAX 512

gboolean linux_banner(const Linux *l, GString *out, GError **err)
{
    uint64_t la;
    if (!linux_symbol(l, "linux_banner", &la, err))
        return FALSE;
    for (unsigned k = 0; k < BANNER_MAX; k++) {
        char c;
        if (!linux_read(l->cpu, la + k, &c, 1))
            return cannot_read(la + k, err);
        if (!c || c == '\n')
            break;
        g_string_append_c(out, g_ascii_isprint(c) ? c : '?');
    }
    return TRUE;
}
