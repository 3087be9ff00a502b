/*
 * Reads ELF executables of x86 (System V ABI, chapters 4 and 5; both classes), for the boot loaders.
 *
 * The file is untrusted: whatever it holds, each range that this gives out lies within it.
 */
#ifndef MYNA_MACHINES_BOOT_ELF_H
#define MYNA_MACHINES_BOOT_ELF_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ElfSegment {
    uint64_t vaddr, paddr;
    uint64_t file_offset, file_size; /* within the file */
    uint64_t mem_size;               /* at least file_size; paddr + mem_size does not wrap */
} ElfSegment;

typedef struct ElfImage {
    const uint8_t *data;
    size_t size;
    bool is64;
    uint64_t entry;
    GArray *segments;  /* of ElfSegment: PT_LOAD with a size, in the file's order */
    GArray *notes;     /* the same of PT_NOTE */
} ElfImage;

/* Whether the file begins as an ELF does. */
bool elf_probe(const uint8_t *data, size_t size);

/* Reads the headers; data must outlive the image.  FALSE and *err (opened by `name`) when it cannot be loaded. */
gboolean elf_open(ElfImage *elf, const char *name, const uint8_t *data, size_t size, GError **err);
void elf_close(ElfImage *elf);

/* Contents of the note of that owner and type; NULL without one. */
const uint8_t *elf_note(const ElfImage *elf, const char *owner, uint32_t type, size_t *size);

/* The physical address of the entry point: kernels linked high have a virtual one in the header. */
uint64_t elf_entry_physical(const ElfImage *elf);

/* The end of the highest segment, physical. */
uint64_t elf_memory_end(const ElfImage *elf);

#endif
