/*
 * Loads Linux kernels in bzImage form (Linux Documentation/arch/x86/boot.rst and zero-page.rst).
 *
 * The real-mode part of the file is not run: its header is copied into a zero page (struct boot_params), and the
 * protected-mode part is entered by the 64-bit protocol when kernel and processor can, else by the 32-bit one.
 */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "machines/boot.h"
#include "util/bits.h"
#include "util/endian.h"

/* Offsets of the setup header, the same in the file's first sector and in the zero page. */
enum {
    HDR_START = 0x1f1, HDR_SETUP_SECTS = 0x1f1, HDR_VID_MODE = 0x1fa, HDR_JUMP_SIZE = 0x201, HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206, HDR_LOADER = 0x210, HDR_LOADFLAGS = 0x211, HDR_CODE32 = 0x214, HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c, HDR_CMDLINE = 0x228, HDR_INITRD_MAX = 0x22c,
    HDR_RELOCATABLE = 0x234, HDR_XLOADFLAGS = 0x236, HDR_CMDLINE_SIZE = 0x238, HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260, HDR_END = 0x268,
};
/* Offsets of the zero page alone. */
enum { ZP_RSDP = 0x70, ZP_ALT_MEM = 0x1e0, ZP_E820_COUNT = 0x1e8, ZP_E820 = 0x2d0, ZP_E820_MAX = 128, ZP_SIZE = 4096 };

enum { LOADED_HIGH = 0x01, CAN_USE_HEAP = 0x80, KERNEL_64 = 0x01, LOADER_UNDEFINED = 0xff, VIDEO_NORMAL = 0xffff };
enum { LOAD_ADDRESS = 0x100000, ENTRY_64 = 0x200, PAGE = 4096 };

typedef struct LinuxImage {
    const BootSource *source;
    const uint8_t *file;
    size_t size;
    unsigned version;        /* of the boot protocol, 0x20f = 2.15 */
    uint64_t setup_size;     /* bytes of the real-mode part, first sector included */
    uint64_t load;           /* where the protected-mode part goes */
    uint64_t memory_end;     /* what the kernel needs until it reads the memory map ends here */
    bool enter_64;
    uint64_t initrd, initrd_size, cmdline;
} LinuxImage;

static bool linux_probe(const uint8_t *image, size_t size)
{
    return size >= HDR_END && !memcmp(image + HDR_MAGIC, "HdrS", 4) && ld16le(image + 0x1fe) == 0xaa55;
}

/* A header field that exists since a version of the protocol, or the value that held before. */
static uint64_t header_field(const LinuxImage *k, unsigned since, unsigned offset, unsigned size, uint64_t before)
{
    return k->version >= since ? ldle(k->file + offset, size) : before;
}

/* Reads what the header says of placement. */
static gboolean header_read(LinuxImage *k, GError **err)
{
    k->version = ld16le(k->file + HDR_VERSION);
    unsigned sectors = k->file[HDR_SETUP_SECTS];
    k->setup_size = ((sectors ? sectors : 4) + 1) * 512;
    if (k->version < 0x200 || !(k->file[HDR_LOADFLAGS] & LOADED_HIGH))
        return error_set(err, "-kernel %s: a zImage, which only a boot sector under a BIOS can start; a bzImage works",
                         k->source->kernel);
    if (k->size <= k->setup_size)
        return error_set(err, "-kernel %s: cut off: %zu bytes, and the kernel starts at %" PRIu64, k->source->kernel,
                         k->size, k->setup_size);
    k->enter_64 = k->source->long_mode && header_field(k, 0x20c, HDR_XLOADFLAGS, 2, 0) & KERNEL_64;
    if (!k->source->long_mode && header_field(k, 0x20c, HDR_XLOADFLAGS, 2, 0) & KERNEL_64)
        return error_set(err, "-kernel %s: a 64-bit kernel, and this -cpu has no long mode (lm)", k->source->kernel);
    bool relocatable = header_field(k, 0x205, HDR_RELOCATABLE, 1, 0);
    uint64_t preferred = header_field(k, 0x20a, HDR_PREF_ADDRESS, 8, LOAD_ADDRESS);
    k->load = k->version >= 0x20a && !relocatable ? preferred : LOAD_ADDRESS;
    uint64_t need = header_field(k, 0x20a, HDR_INIT_SIZE, 4, 3 * (k->size - k->setup_size));
    k->memory_end = MAX(k->load, MIN(preferred, GiB)) + MAX(need, k->size - k->setup_size);
    return TRUE;
}

static gboolean kernel_place(LinuxImage *k, BootPlan *plan, GError **err)
{
    uint64_t size = k->size - k->setup_size;
    if (k->memory_end > k->source->ram_below_4g)
        return error_set(err, "-kernel %s: it needs %" PRIu64 " MiB of memory; see -m", k->source->kernel,
                         (k->memory_end + MiB - 1) / MiB);
    return boot_add(plan, k->source, "-kernel", k->load, k->file + k->setup_size, size, size, err);
}

/* As high as the kernel and the memory below 4 GiB allow, where it is out of the way of decompression. */
static gboolean initrd_place(LinuxImage *k, BootPlan *plan, GError **err)
{
    if (!k->source->initrd)
        return TRUE;
    size_t size;
    const uint8_t *data = boot_read_file(plan, "-initrd", k->source->initrd, &size, err);
    if (!data)
        return FALSE;
    uint64_t end = MIN(header_field(k, 0x203, HDR_INITRD_MAX, 4, 0x37ffffff) + 1, k->source->ram_below_4g);
    if (size > end || align_down(end - size, PAGE) < k->memory_end)
        return error_set(err, "-initrd %s: its %zu MiB do not fit behind the kernel, which needs memory up to %" PRIu64
                         " MiB; see -m", k->source->initrd, size >> 20, (k->memory_end + MiB - 1) / MiB);
    k->initrd = align_down(end - size, PAGE);
    k->initrd_size = size;
    return boot_add(plan, k->source, "-initrd", k->initrd, data, size, size, err);
}

static gboolean cmdline_place(LinuxImage *k, BootPlan *plan, GError **err)
{
    const char *text = k->source->append ? k->source->append : "";
    size_t most = header_field(k, 0x206, HDR_CMDLINE_SIZE, 4, 255);
    if (strlen(text) > most)
        return error_set(err, "-append: %zu characters, this kernel takes at most %zu", strlen(text), most);
    return boot_add_somewhere_low(plan, "-append", text, strlen(text) + 1, &k->cmdline, err);
}

static void zero_page_header(const LinuxImage *k, uint8_t *zp)
{
    size_t end = MIN((size_t)HDR_MAGIC + k->file[HDR_JUMP_SIZE], ZP_E820);
    memcpy(zp + HDR_START, k->file + HDR_START, MIN(end, k->size) - HDR_START);
    zp[HDR_LOADER] = LOADER_UNDEFINED;
    zp[HDR_LOADFLAGS] &= ~CAN_USE_HEAP;
    st16le(zp + HDR_VID_MODE, VIDEO_NORMAL);
    st32le(zp + HDR_CODE32, k->load);
    st32le(zp + HDR_RAMDISK_IMAGE, k->initrd);
    st32le(zp + HDR_RAMDISK_SIZE, k->initrd_size);
    st32le(zp + HDR_CMDLINE, k->cmdline);
}

/* struct screen_info (Documentation/x86/zero-page.rst): what a video BIOS would have told the setup code. */
static void zero_page_screen(const LinuxImage *k, uint8_t *zp)
{
    enum { MODE = 0x06, COLUMNS = 0x07, EGA_BX = 0x0a, LINES = 0x0e, IS_VGA = 0x0f, POINTS = 0x10 };
    if (!k->source->text_screen)
        return;
    zp[MODE] = 3;
    zp[COLUMNS] = 80;
    zp[EGA_BX] = 3;
    zp[LINES] = 25;
    zp[IS_VGA] = 1;
    zp[POINTS] = 16;
}

static void zero_page_memory(const LinuxImage *k, uint8_t *zp)
{
    const GArray *map = k->source->memory_map;
    unsigned count = MIN(map->len, ZP_E820_MAX);
    for (unsigned i = 0; i < count; i++) {
        const E820Entry *e = &g_array_index(map, E820Entry, i);
        uint8_t *to = zp + ZP_E820 + 20 * i;
        st64le(to, e->base);
        st64le(to + 8, e->size);
        st32le(to + 16, e->type);
    }
    zp[ZP_E820_COUNT] = count;
    st32le(zp + ZP_ALT_MEM, MIN(k->source->ram_below_4g / KiB - 1024, UINT32_MAX));
    st64le(zp + ZP_RSDP, k->source->rsdp);
}

static gboolean zero_page_place(const LinuxImage *k, BootPlan *plan, GError **err)
{
    uint8_t zp[ZP_SIZE] = {0};
    uint64_t address;
    zero_page_header(k, zp);
    zero_page_memory(k, zp);
    zero_page_screen(k, zp);
    if (!boot_add_somewhere_low(plan, "-kernel", zp, sizeof zp, &address, err))
        return FALSE;
    plan->cpu.gpr[R_SI] = address;
    return TRUE;
}

/* Identity map of the first 4 GiB by 2 MiB pages: one PML4, one PDPT, four page directories. */
static gboolean page_table_place(BootPlan *plan, GError **err)
{
    enum { TABLE = PAGE, PRESENT_WRITABLE = 3, LARGE = 0x80 };
    uint64_t base = boot_low_place(plan, 6 * TABLE);
    uint8_t *t = g_malloc0(6 * TABLE);
    st64le(t, (base + TABLE) | PRESENT_WRITABLE);
    for (unsigned i = 0; i < 4; i++)
        st64le(t + TABLE + 8 * i, (base + (2 + i) * TABLE) | PRESENT_WRITABLE);
    for (unsigned i = 0; i < 4 * 512; i++)
        st64le(t + 2 * TABLE + 8 * i, i * 2 * MiB | PRESENT_WRITABLE | LARGE);
    gboolean ok = boot_add_somewhere_low(plan, "-kernel", t, 6 * TABLE, &plan->cpu.page_table, err);
    g_free(t);
    return ok;
}

static gboolean linux_load(const BootSource *source, const uint8_t *image, size_t size, BootPlan *plan, GError **err)
{
    LinuxImage k = {.source = source, .file = image, .size = size};
    if (!header_read(&k, err) || !kernel_place(&k, plan, err) || !initrd_place(&k, plan, err))
        return FALSE;
    if ((k.enter_64 && !page_table_place(plan, err)) || !cmdline_place(&k, plan, err) || !zero_page_place(&k, plan, err))
        return FALSE;
    plan->cpu.entry = k.load + (k.enter_64 ? ENTRY_64 : 0);
    return boot_add_gdt(plan, k.enter_64, err);
}

const BootLoader boot_linux = {"Linux bzImage", linux_probe, linux_load};
