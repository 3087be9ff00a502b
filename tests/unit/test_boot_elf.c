/* The ELF reader against damaged files: it never leaves the file, and says what is wrong. */
#include <stdlib.h>
#include <string.h>

#include "machines/boot_elf.h"
#include "util/bits.h"
#include "util/endian.h"

enum { IMAGE_SIZE = 512, PH64 = 64, PH32 = 52, NOTE_AT = 300 };

/* An ELF64 with a PT_LOAD of 16 bytes at 256 (64 in memory, at 1 MiB, linked at -2 GiB) and a PT_NOTE. */
static void make64(uint8_t *f)
{
    memset(f, 0, IMAGE_SIZE);
    memcpy(f, "\177ELF\2\1\1", 7);
    st16le(f + 16, 2);
    st16le(f + 18, 62);
    st64le(f + 24, UINT64_C(0xffffffff80100010));
    st64le(f + 32, PH64);
    st16le(f + 54, 56);
    st16le(f + 56, 2);
    uint8_t *p = f + PH64;
    st32le(p, 1);
    st64le(p + 8, 256);
    st64le(p + 16, UINT64_C(0xffffffff80100000));
    st64le(p + 24, 0x100000);
    st64le(p + 32, 16);
    st64le(p + 40, 64);
    p += 56;
    st32le(p, 4);
    st64le(p + 8, NOTE_AT);
    st64le(p + 32, 40);
    uint8_t *n = f + NOTE_AT;
    st32le(n, 4), st32le(n + 4, 1), st32le(n + 8, 7), memcpy(n + 12, "GNU", 4), n[16] = 1; /* padded to 20 bytes */
    st32le(n + 20, 4), st32le(n + 24, 4), st32le(n + 28, 18), memcpy(n + 32, "Xen", 4), st32le(n + 36, 0x100020);
}

static void make32(uint8_t *f)
{
    memset(f, 0, IMAGE_SIZE);
    memcpy(f, "\177ELF\1\1\1", 7);
    st16le(f + 16, 2);
    st16le(f + 18, 3);
    st32le(f + 24, 0x100000);
    st32le(f + 28, PH32);
    st16le(f + 42, 32);
    st16le(f + 44, 1);
    uint8_t *p = f + PH32;
    st32le(p, 1);
    st32le(p + 4, 128);
    st32le(p + 8, 0x100000);
    st32le(p + 12, 0x100000);
    st32le(p + 16, 8);
    st32le(p + 20, 8);
}

static void test_right(void)
{
    uint8_t f[IMAGE_SIZE];
    ElfImage elf;
    GError *err = NULL;
    size_t size;
    make64(f);
    g_assert_true(elf_open(&elf, "k", f, sizeof f, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(elf.segments->len, ==, 1);
    g_assert_cmphex(elf_entry_physical(&elf), ==, 0x100010);
    g_assert_cmphex(elf_memory_end(&elf), ==, 0x100040);
    const uint8_t *note = elf_note(&elf, "Xen", 18, &size);
    g_assert_true(note && size == 4);
    g_assert_cmphex(ld32le(note), ==, 0x100020);
    g_assert_null(elf_note(&elf, "Xen", 19, &size));
    elf_close(&elf);
    make32(f);
    g_assert_true(elf_open(&elf, "k", f, sizeof f, &err));
    g_assert_cmphex(elf_entry_physical(&elf), ==, 0x100000);
    elf_close(&elf);
}

/* One changed field of the right file each: where, how wide, what. */
static const struct { unsigned at, size; uint64_t value; const char *error; } damages[] = {
    {0, 1, 0, "k: not an ELF file, or cut off in its header"},
    {4, 1, 3, "k: ELF class 3 is neither 32-bit nor 64-bit"},
    {5, 1, 2, "k: an ELF file for another machine (number 62), not for x86"},
    {18, 2, 183, "k: an ELF file for another machine (number 183), not for x86"},
    {16, 2, 1, "k: ELF type 1 is not an executable"},
    {32, 8, UINT64_MAX, "k: the ELF program headers lie beyond the end of the file"},
    {32, 8, 460, "k: the ELF program headers lie beyond the end of the file"},
    {54, 2, 8, "k: the ELF program headers lie beyond the end of the file"},
    {56, 2, 0xffff, "k: the ELF program headers lie beyond the end of the file"},
    {56, 2, 0, "k: the ELF file has nothing to load"},
    {PH64 + 8, 8, UINT64_MAX, "k: a segment lies beyond the end of the file, which is cut off or damaged"},
    {PH64 + 32, 8, UINT64_MAX, "k: a segment lies beyond the end of the file, which is cut off or damaged"},
    {PH64 + 32, 8, 257, "k: a segment lies beyond the end of the file, which is cut off or damaged"},
    {PH64 + 40, 8, 15, "k: the segment at 0x100000 has impossible sizes"},
    {PH64 + 40, 8, UINT64_MAX, "k: the segment at 0x100000 has impossible sizes"},
    {PH64 + 56 + 8, 8, 500, "k: a segment lies beyond the end of the file, which is cut off or damaged"},
};

static void test_damaged(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(damages); i++) {
        uint8_t f[IMAGE_SIZE];
        ElfImage elf;
        GError *err = NULL;
        make64(f);
        stle(f + damages[i].at, damages[i].value, damages[i].size);
        g_assert_false(elf_open(&elf, "k", f, sizeof f, &err));
        g_assert_cmpstr(err->message, ==, damages[i].error);
        g_error_free(err);
    }
}

/* Notes whose sizes lead out of their segment end the search. */
static void test_notes(void)
{
    static const uint32_t sizes[] = {5, 29, 4096, 0x7fffffff, 0xfffffffd, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (unsigned field = 0; field < 2; field++) {
            uint8_t f[IMAGE_SIZE];
            ElfImage elf;
            size_t size;
            make64(f);
            st32le(f + NOTE_AT + 20 + 4 * field, sizes[i]);
            g_assert_true(elf_open(&elf, "k", f, sizeof f, NULL));
            g_assert_null(elf_note(&elf, "Xen", 18, &size));
            elf_close(&elf);
        }
    }
}

/* Everything that the reader gives out must lie in the file, whatever the file holds. */
static void check_ranges(const ElfImage *elf)
{
    const GArray *lists[] = {elf->segments, elf->notes};
    for (unsigned k = 0; k < 2; k++) {
        for (guint i = 0; i < lists[k]->len; i++) {
            const ElfSegment *s = &g_array_index(lists[k], ElfSegment, i);
            g_assert_true(s->file_offset <= elf->size && s->file_size <= elf->size - s->file_offset);
        }
    }
    size_t size;
    const uint8_t *note = elf_note(elf, "Xen", 18, &size);
    g_assert_true(!note || (note >= elf->data && note + size <= elf->data + elf->size));
}

/* Random bytes over the right files, at every length; each file ends where its memory does, for the sanitizers. */
static void test_random(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t f[IMAGE_SIZE];
        if (i & 1)
            make64(f);
        else
            make32(f);
        for (int n = g_rand_int_range(rand, 0, 4); n >= 0; n--)
            f[g_rand_int_range(rand, 0, 180)] = g_rand_boolean(rand) ? 0xff : g_rand_int(rand);
        size_t size = i % 8 ? IMAGE_SIZE : (size_t)g_rand_int_range(rand, 1, IMAGE_SIZE);
        uint8_t *copy = g_memdup2(f, size);
        ElfImage elf;
        if (elf_open(&elf, "k", copy, size, NULL)) {
            check_ranges(&elf);
            elf_close(&elf);
        }
        g_free(copy);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/boot-elf/right", test_right);
    g_test_add_func("/boot-elf/damaged", test_damaged);
    g_test_add_func("/boot-elf/notes", test_notes);
    g_test_add_func("/boot-elf/random", test_random);
    return g_test_run();
}
