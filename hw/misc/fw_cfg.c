/*
 * The firmware configuration device: items by number, files by name, read byte by byte or by DMA (QEMU's
 * docs/specs/fw_cfg is the specification that firmware follows).
 */
#include "hw/misc/fw_cfg.h"

#include <string.h>

#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

#define KEY_MASK 0x3fff      /* the selector without its architecture (8000h) and write (4000h) bits */
#define KEY_COUNT 0x100
#define ARCH_LOCAL 0x8000
#define NAME_SIZE 56

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

/* An entry of the file directory. */
typedef struct FileEntry {
    char name[NAME_SIZE];
    uint32_t size;
    uint16_t key;
} FileEntry;

struct FwCfg {
    Device dev;
    GBytes *items[2][KEY_COUNT];  /* generic, architecture-local */
    GArray *files;                /* of FileEntry */
    uint16_t key;
    uint32_t position;
    uint64_t dma_address;
    Region *ports, *dma;
};

static GBytes **item_slot(FwCfg *f, uint16_t key)
{
    unsigned n = key & KEY_MASK;
    return n < KEY_COUNT ? &f->items[key & ARCH_LOCAL ? 1 : 0][n] : NULL;
}

void fw_cfg_add(FwCfg *f, uint16_t key, const void *data, size_t size)
{
    GBytes **slot = item_slot(f, key);
    g_return_if_fail(slot != NULL);
    if (*slot)
        g_bytes_unref(*slot);
    *slot = g_bytes_new(data, size);
}

void fw_cfg_add_u16(FwCfg *f, uint16_t key, uint16_t v)
{
    uint8_t b[2];
    st16le(b, v);
    fw_cfg_add(f, key, b, sizeof b);
}

void fw_cfg_add_u32(FwCfg *f, uint16_t key, uint32_t v)
{
    uint8_t b[4];
    st32le(b, v);
    fw_cfg_add(f, key, b, sizeof b);
}

void fw_cfg_add_u64(FwCfg *f, uint16_t key, uint64_t v)
{
    uint8_t b[8];
    st64le(b, v);
    fw_cfg_add(f, key, b, sizeof b);
}

/* The directory item: a big-endian count, then entries of 64 bytes. */
static void update_directory(FwCfg *f)
{
    size_t size = 4 + f->files->len * 64;
    g_autofree uint8_t *dir = g_malloc0(size);
    st32be(dir, f->files->len);
    for (unsigned k = 0; k < f->files->len; k++) {
        const FileEntry *e = &g_array_index(f->files, FileEntry, k);
        uint8_t *p = dir + 4 + k * 64;
        st32be(p, e->size);
        st16be(p + 4, e->key);
        memcpy(p + 8, e->name, NAME_SIZE);
    }
    fw_cfg_add(f, FW_CFG_FILE_DIR, dir, size);
}

static FileEntry *find_file(FwCfg *f, const char *name)
{
    for (unsigned k = 0; k < f->files->len; k++) {
        FileEntry *e = &g_array_index(f->files, FileEntry, k);
        if (!strcmp(e->name, name))
            return e;
    }
    return NULL;
}

void fw_cfg_add_file(FwCfg *f, const char *name, const void *data, size_t size)
{
    FileEntry *e = find_file(f, name);
    if (!e) {
        FileEntry fresh = { .key = FW_CFG_FILE_FIRST + f->files->len };
        g_return_if_fail(fresh.key < KEY_COUNT);
        g_strlcpy(fresh.name, name, sizeof fresh.name);
        g_array_append_val(f->files, fresh);
        e = &g_array_index(f->files, FileEntry, f->files->len - 1);
    }
    e->size = size;
    fw_cfg_add(f, e->key, data, size);
    update_directory(f);
}

static void select_item(FwCfg *f, uint16_t key)
{
    f->key = key;
    f->position = 0;
}

/* The bytes left in the selected item. */
static const uint8_t *selected_data(FwCfg *f, size_t *left)
{
    GBytes **slot = item_slot(f, f->key);
    gsize size = 0;
    const uint8_t *data = slot && *slot ? g_bytes_get_data(*slot, &size) : NULL;
    *left = f->position < size ? size - f->position : 0;
    return data ? data + MIN(f->position, size) : NULL;
}

static uint8_t read_byte(FwCfg *f)
{
    size_t left;
    const uint8_t *data = selected_data(f, &left);
    if (!left)
        return 0;
    f->position++;
    return *data;
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    FwCfg *f = opaque;
    (void)size;
    return offset == 1 ? read_byte(f) : f->key & 0xff;
}

static void ports_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    if (offset == 0 && size == 2)
        select_item(opaque, v);
}

static const RegionOps ports_ops = { .read = ports_read, .write = ports_write, .min_size = 1, .max_size = 2 };

/* A read by DMA: what is past the item reads as zeros. */
static void dma_read(FwCfg *f, uint64_t address, uint32_t length)
{
    AddressSpace *memory = f->dev.machine->memory;
    static const uint8_t zeros[4096];
    size_t left;
    const uint8_t *data = selected_data(f, &left);
    uint32_t n = MIN(length, left);
    as_write_bytes(memory, address, data, n);
    f->position += n;
    for (address += n, length -= n; length; address += n, length -= n) {
        n = MIN(length, sizeof zeros);
        as_write_bytes(memory, address, zeros, n);
    }
}

/* The largest transfer that is carried out: no item is larger, so a larger request is a guest's mistake. */
#define DMA_MAX (256 * MiB)

static void dma_run(FwCfg *f, uint64_t descriptor)
{
    AddressSpace *memory = f->dev.machine->memory;
    uint8_t d[16], done[4];
    as_read_bytes(memory, descriptor, d, sizeof d);
    uint32_t control = ld32be(d), length = ld32be(d + 4), result = 0;
    uint64_t address = ld64be(d + 8);
    if (control & DMA_SELECT)
        select_item(f, control >> 16);
    if (control & DMA_READ && length <= DMA_MAX)
        dma_read(f, address, length);
    else if (control & DMA_SKIP)
        f->position += MIN(length, UINT32_MAX - f->position);
    else if (control & (DMA_READ | DMA_WRITE))
        result = DMA_ERROR; /* no item is writable */
    st32be(done, result);
    as_write_bytes(memory, descriptor, done, sizeof done);
}

/* The address register is big-endian; a write of its low half starts the transfer. */
static uint64_t dma_port_read(void *opaque, uint64_t offset, unsigned size)
{
    static const uint8_t signature[8] = { 'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G' };
    (void)opaque;
    return ldle(signature + offset, size);
}

static void dma_port_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    FwCfg *f = opaque;
    if (size != 4)
        return;
    uint32_t half = __builtin_bswap32(v);
    if (offset == 0) {
        f->dma_address = (uint64_t)half << 32;
    } else if (offset == 4) {
        uint64_t address = f->dma_address | half;
        f->dma_address = 0;
        dma_run(f, address);
    }
}

static const RegionOps dma_ops = { .read = dma_port_read, .write = dma_port_write, .min_size = 4, .max_size = 4 };

static gboolean fw_cfg_create(Device *dev, GError **err)
{
    FwCfg *f = (FwCfg *)dev;
    Machine *m = dev->machine;
    (void)err;
    f->files = g_array_new(FALSE, TRUE, sizeof(FileEntry));
    fw_cfg_add(f, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(f, FW_CFG_ID, 3); /* the traditional interface, and DMA */
    update_directory(f);
    f->ports = region_new_io("fw_cfg", 2, &ports_ops, f);
    f->dma = region_new_io("fw_cfg-dma", 8, &dma_ops, f);
    region_add(as_root(m->ports), 0x510, f->ports, 0);
    region_add(as_root(m->ports), 0x514, f->dma, 0);
    machine_provide(m, "fw_cfg", f);
    return TRUE;
}

static void fw_cfg_reset(Device *dev)
{
    FwCfg *f = (FwCfg *)dev;
    select_item(f, 0);
    f->dma_address = 0;
}

static void fw_cfg_destroy(Device *dev)
{
    FwCfg *f = (FwCfg *)dev;
    region_remove(f->ports);
    region_remove(f->dma);
    region_free(f->ports);
    region_free(f->dma);
    for (unsigned k = 0; k < 2 * KEY_COUNT; k++)
        if (f->items[k / KEY_COUNT][k % KEY_COUNT])
            g_bytes_unref(f->items[k / KEY_COUNT][k % KEY_COUNT]);
    g_array_free(f->files, TRUE);
}

static const StateField fw_cfg_state[] = {
    STATE_U16(FwCfg, key), STATE_U32(FwCfg, position), STATE_U64(FwCfg, dma_address), STATE_END
};

const DeviceType fw_cfg_type = {
    .name = "fw_cfg_io", .description = "firmware configuration device", .bus = "system", .size = sizeof(FwCfg),
    .create = fw_cfg_create, .reset = fw_cfg_reset, .destroy = fw_cfg_destroy, .state = fw_cfg_state,
};
