/*
 * Reads ELF executables of x86 (machines/boot_elf.h).
 */
#include "machines/boot_elf.h"

#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CLASS32 = 1, CLASS64 = 2, LITTLE_ENDIAN_DATA = 1, TYPE_EXEC = 2, TYPE_DYN = 3, EM_386 = 3, EM_X86_64 = 62 };
enum { SEGMENT_LOAD = 1, SEGMENT_NOTE = 4 };

bool elf_probe(const uint8_t *data, size_t size)
{
    return size >= 4 && !memcmp(data, "\177ELF", 4);
}

/* Whether [offset, offset + length) lies within the file. */
static bool within(const ElfImage *elf, uint64_t offset, uint64_t length)
{
    return offset <= elf->size && length <= elf->size - offset;
}

/* A field of the class's address size. */
static uint64_t word_at(const ElfImage *elf, uint64_t offset)
{
    return elf->is64 ? ld64le(elf->data + offset) : ld32le(elf->data + offset);
}

static gboolean header_check(ElfImage *elf, const char *name, GError **err)
{
    if (!elf_probe(elf->data, elf->size) || elf->size < 52)
        return error_set(err, "%s: not an ELF file, or cut off in its header", name);
    elf->is64 = elf->data[4] == CLASS64;
    if (elf->is64 ? elf->size < 64 : elf->data[4] != CLASS32)
        return error_set(err, "%s: ELF class %u is neither 32-bit nor 64-bit", name, elf->data[4]);
    unsigned type = ld16le(elf->data + 16), machine = ld16le(elf->data + 18);
    if (elf->data[5] != LITTLE_ENDIAN_DATA || (machine != EM_386 && machine != EM_X86_64))
        return error_set(err, "%s: an ELF file for another machine (number %u), not for x86", name, machine);
    if (type != TYPE_EXEC && type != TYPE_DYN)
        return error_set(err, "%s: ELF type %u is not an executable", name, type);
    return TRUE;
}

/* One program header of either class (their fields are in different order). */
static ElfSegment segment_read(const ElfImage *elf, uint64_t at)
{
    ElfSegment s;
    const uint8_t *h = elf->data + at;
    if (elf->is64) {
        s = (ElfSegment){.file_offset = ld64le(h + 8), .vaddr = ld64le(h + 16), .paddr = ld64le(h + 24),
                         .file_size = ld64le(h + 32), .mem_size = ld64le(h + 40)};
    } else {
        s = (ElfSegment){.file_offset = ld32le(h + 4), .vaddr = ld32le(h + 8), .paddr = ld32le(h + 12),
                         .file_size = ld32le(h + 16), .mem_size = ld32le(h + 20)};
    }
    return s;
}

static gboolean segment_add(ElfImage *elf, const char *name, uint64_t at, GError **err)
{
    uint32_t type = ld32le(elf->data + at);
    if (type != SEGMENT_LOAD && type != SEGMENT_NOTE)
        return TRUE;
    ElfSegment s = segment_read(elf, at);
    if (!within(elf, s.file_offset, s.file_size))
        return error_set(err, "%s: a segment lies beyond the end of the file, which is cut off or damaged", name);
    if (type == SEGMENT_NOTE) {
        g_array_append_val(elf->notes, s);
        return TRUE;
    }
    if (s.mem_size < s.file_size || s.paddr + s.mem_size < s.paddr)
        return error_set(err, "%s: the segment at 0x%" PRIx64 " has impossible sizes", name, s.paddr);
    if (s.mem_size)
        g_array_append_val(elf->segments, s);
    return TRUE;
}

static gboolean segments_read(ElfImage *elf, const char *name, GError **err)
{
    uint64_t table = word_at(elf, elf->is64 ? 32 : 28);
    unsigned stride = ld16le(elf->data + (elf->is64 ? 54 : 42));
    unsigned count = ld16le(elf->data + (elf->is64 ? 56 : 44));
    if (stride < (elf->is64 ? 56 : 32) || !within(elf, table, (uint64_t)stride * count))
        return error_set(err, "%s: the ELF program headers lie beyond the end of the file", name);
    for (unsigned i = 0; i < count; i++) {
        if (!segment_add(elf, name, table + (uint64_t)stride * i, err))
            return FALSE;
    }
    if (!elf->segments->len)
        return error_set(err, "%s: the ELF file has nothing to load", name);
    return TRUE;
}

gboolean elf_open(ElfImage *elf, const char *name, const uint8_t *data, size_t size, GError **err)
{
    *elf = (ElfImage){.data = data, .size = size, .segments = g_array_new(FALSE, FALSE, sizeof(ElfSegment)),
                      .notes = g_array_new(FALSE, FALSE, sizeof(ElfSegment))};
    if (header_check(elf, name, err) && segments_read(elf, name, err)) {
        elf->entry = word_at(elf, 24);
        return TRUE;
    }
    elf_close(elf);
    return FALSE;
}

void elf_close(ElfImage *elf)
{
    g_array_unref(elf->segments);
    g_array_unref(elf->notes);
}

/* Looks through one PT_NOTE: entries are name size, contents size, type, then both padded to 4 bytes. */
static const uint8_t *note_find(const uint8_t *p, uint64_t left, const char *owner, uint32_t type, size_t *size)
{
    uint64_t owner_size = strlen(owner) + 1;
    while (left >= 12) {
        uint64_t name_room = align_up(ld32le(p), 4), contents = ld32le(p + 4);
        if (12 + name_room + contents > left)
            return NULL;
        if (ld32le(p + 8) == type && ld32le(p) == owner_size && !memcmp(p + 12, owner, owner_size)) {
            *size = contents;
            return p + 12 + name_room;
        }
        uint64_t step = MIN(left, 12 + name_room + align_up(contents, 4));
        p += step;
        left -= step;
    }
    return NULL;
}

const uint8_t *elf_note(const ElfImage *elf, const char *owner, uint32_t type, size_t *size)
{
    for (guint i = 0; i < elf->notes->len; i++) {
        const ElfSegment *s = &g_array_index(elf->notes, ElfSegment, i);
        const uint8_t *found = note_find(elf->data + s->file_offset, s->file_size, owner, type, size);
        if (found)
            return found;
    }
    return NULL;
}

uint64_t elf_entry_physical(const ElfImage *elf)
{
    uint64_t translated = elf->entry;
    for (guint i = 0; i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);
        if (elf->entry - s->paddr < s->mem_size)
            return elf->entry;
        if (elf->entry - s->vaddr < s->mem_size)
            translated = elf->entry - s->vaddr + s->paddr;
    }
    return translated;
}

uint64_t elf_memory_end(const ElfImage *elf)
{
    uint64_t end = 0;
    for (guint i = 0; i < elf->segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf->segments, ElfSegment, i);
        end = MAX(end, s->paddr + s->mem_size);
    }
    return end;
}
