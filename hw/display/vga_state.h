/*
 * The inside of the standard VGA, shared by its files (vga.h lists them).
 *
 * Video memory.  Legacy modes see 64 Ki places of four planes, a byte each (IBM PS/2 Hardware Interface Technical
 * Reference, video subsystem).  Where place and plane lie in the first 256 KiB of the card's memory is our choice, the
 * "layout"; it is chosen such that a mode's window at A0000h or B8000h can be plain RAM:
 *
 *   planar   place * 4 + plane
 *   chained  what chain-4 shows at address A (place A & ~3, plane A & 3) is byte A: mode 13h
 *   paired   what odd/even shows at address A (place A & ~1, plane A & 1) is byte A: text and CGA modes
 *
 * When a mode gets a direct window, memory is rearranged once; all else goes through vga_index().  The frame buffer
 * modes of VBE use the memory as it is.
 */
#ifndef MYNA_HW_DISPLAY_VGA_STATE_H
#define MYNA_HW_DISPLAY_VGA_STATE_H

#include "core/machine.h"
#include "core/memory.h"
#include "hw/display/console.h"
#include "hw/display/ddc.h"
#include "hw/display/edid.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "util/endian.h"

enum { VGA_PLANES_SIZE = 256 << 10, VGA_PLACES = 64 << 10, VGA_WINDOW = 0xa0000 };

typedef enum VgaLayout { LAYOUT_PLANAR, LAYOUT_CHAINED, LAYOUT_PAIRED, LAYOUT_COUNT } VgaLayout;

/* Direct windows: none, A0000h (64 KiB), B0000h and B8000h (32 KiB). */
typedef enum VgaDirect { DIRECT_NONE, DIRECT_A0, DIRECT_B0, DIRECT_B8, DIRECT_COUNT } VgaDirect;

enum { /* registers that more than one file names */
    SR_CLOCKING = 1, SR_MAP_MASK = 2, SR_FONT = 3, SR_MEMORY = 4,
    GR_SET_RESET = 0, GR_ENABLE_SET_RESET = 1, GR_COMPARE = 2, GR_ROTATE = 3, GR_READ_MAP = 4, GR_MODE = 5, GR_MISC = 6,
    GR_DONT_CARE = 7, GR_BIT_MASK = 8,
    CR_H_TOTAL = 0, CR_H_DISPLAY_END = 1, CR_V_TOTAL = 6, CR_OVERFLOW = 7, CR_PRESET_ROW = 8, CR_MAX_SCAN = 9,
    CR_CURSOR_START = 0x0a, CR_CURSOR_END = 0x0b, CR_START_HIGH = 0x0c, CR_START_LOW = 0x0d, CR_CURSOR_HIGH = 0x0e,
    CR_CURSOR_LOW = 0x0f, CR_V_RETRACE_START = 0x10, CR_V_RETRACE_END = 0x11, CR_V_DISPLAY_END = 0x12, CR_OFFSET = 0x13,
    CR_UNDERLINE = 0x14, CR_MODE = 0x17, CR_LINE_COMPARE = 0x18,
    AR_MODE = 0x10, AR_OVERSCAN = 0x11, AR_PLANE_ENABLE = 0x12, AR_PANNING = 0x13, AR_COLOR_SELECT = 0x14,
};
enum { CR_MODE_ROW_13 = 1, CR_MODE_ROW_14 = 2, CR_MODE_LINES_TIMES_2 = 4, CR_MODE_COUNT_2 = 8, CR_MODE_WRAP = 0x20,
       CR_MODE_BYTE = 0x40, CR_UNDERLINE_COUNT_4 = 0x20, CR_UNDERLINE_DWORD = 0x40 };
enum { AR_MODE_LINE_GRAPHICS = 4, AR_MODE_BLINK = 8, AR_MODE_SPLIT_UNPANNED = 0x20, AR_MODE_COLOR_SELECT = 0x80 };
enum { SR_COUNT = 5, GR_COUNT = 9, CR_COUNT = 25, AR_COUNT = 21 };
enum { AR_INDEX_SCREEN_ON = 0x20, SR_CLOCKING_OFF = 0x20 };

enum { /* Bochs VBE registers */
    VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
    VBE_Y_OFFSET, VBE_MEMORY_64K, VBE_COUNT, VBE_DDC = VBE_COUNT
};
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NOCLEARMEM = 0x80 };

/* All registers that a picture as a whole hangs on: it is drawn anew when they change.  Bytes only: it is compared. */
typedef struct VgaKey {
    uint8_t sr[SR_COUNT], gr_mode, gr_misc, cr[CR_COUNT], ar[AR_COUNT], on, pel_mask, dac_8bit, palette[768];
    uint8_t frame[6 * 4];
} VgaKey;

/* A frame buffer: pixels one after the other, or four planes in groups of four bytes. */
typedef struct VgaFrame {
    uint32_t width, height, bpp; /* 4 (planes), 8, 15, 16, 24, 32; 0: none */
    uint32_t start, stride;      /* bytes in memory; it goes on at 0 behind its end */
    uint32_t repeat;             /* each line is shown so often */
} VgaFrame;

/* What a picture of text hangs on beside registers (VgaKey) and memory. */
typedef struct VgaTextPhase {
    uint16_t start, cursor; /* addresses */
    bool cursor_on, hidden; /* hidden: characters that blink are not seen now */
} VgaTextPhase;

typedef struct Vga Vga;

/*
 * What a card does beyond the VGA.  Functions that answer a bool take part only when they return true; port is
 * 3C0h..3DFh also for the monochrome addresses, offset within A0000h..BFFFFh.
 */
typedef struct VgaExtension {
    bool (*port_read)(Vga *v, unsigned port, uint8_t *value);
    bool (*port_write)(Vga *v, unsigned port, uint8_t value);
    bool (*window_read)(Vga *v, uint32_t offset, uint8_t *value);
    bool (*window_write)(Vga *v, uint32_t offset, uint8_t value);
    bool (*window_own)(const Vga *v);                      /* the window is not the planes' */
    bool (*window_direct)(const Vga *v, uint64_t *offset); /* A0000h shows 64 KiB of memory as they are */
    bool (*frame)(const Vga *v, VgaFrame *f);
    /* The pointer: whether it changed; whether a line must be drawn for its sake; draws it into a line of dots. */
    bool (*pointer_look)(Vga *v, bool all);
    bool (*pointer_changed)(const Vga *v, unsigned y);
    void (*pointer_draw)(const Vga *v, unsigned y, uint32_t *dots, unsigned width);
} VgaExtension;

struct Vga {
    PciDevice pci;
    Console console;
    const VgaExtension *extension; /* or NULL */
    bool legacy_free;              /* bochs-display: a frame buffer and no VGA */

    uint32_t vgamem_mb, xres, yres; /* properties */
    char *romfile;

    uint8_t misc, feature, enabled; /* enabled: port 3C3h */
    uint8_t sr_index, sr[SR_COUNT], gr_index, gr[GR_COUNT], cr_index, cr[CR_COUNT], ar_index, ar[AR_COUNT];
    bool ar_data;               /* the next write to 3C0h is data */
    uint8_t palette[768], dac_read_index, dac_write_index, dac_sub, dac_state, dac_latch[2], pel_mask;
    uint32_t latch;             /* plane n in bits 8n..8n+7 */
    uint16_t vbe_index, vbe[VBE_COUNT];
    uint8_t layout;             /* VgaLayout */
    Ddc ddc;
    bool ddc_on;                /* VBE's register of the monitor's wires answers */
    uint32_t prefer_x, prefer_y; /* what the monitor prefers */

    Region *vram, *window, *direct[DIRECT_COUNT], *ports[3], *mmio, *rom;
    VgaDirect direct_now;
    uint64_t size;              /* of vram */
    uint8_t *memory;            /* its host address */
    uint8_t edid[EDID_SIZE];

    /* What is drawn; nothing of it is the guest's state. */
    VgaKey key;
    bool drawn;                 /* key and the surface are valid */
    uint32_t rgb[256];          /* colours: of 256, or the 16 of the attribute controller's */
    uint8_t *page_changed, *page_again; /* by page of vram, see vga_pages_collect */
    uint8_t font[2][256 * 32];
    uint32_t *cells;            /* text cells as drawn */
    VgaTextPhase text_phase;    /* at that time */
    unsigned cell_count;
    uint32_t *line;             /* one line of dots while it is drawn */
};

/* Where planes 0 and 1 of a place lie (64 Ki places in legacy modes, up to size / 4 in VBE's 16-colour modes). */
static inline uint32_t vga_index(VgaLayout layout, uint32_t place)
{
    if (layout == LAYOUT_PLANAR || place >= VGA_PLACES)
        return place * 4;
    if (layout == LAYOUT_CHAINED)
        return (place & 3) << 16 | (place & 0xfffc);
    return (place & 1) << 16 | (place & 0xfffe);
}

/* How far behind them planes 2 and 3 lie. */
static inline uint32_t vga_upper(VgaLayout layout, uint32_t place)
{
    return layout == LAYOUT_PAIRED && place < VGA_PLACES ? VGA_PLANES_SIZE / 2 : 2;
}

/* The four planes of a place, plane n in bits 8n..8n+7. */
static inline uint32_t vga_fetch(const Vga *v, uint32_t place)
{
    const uint8_t *p = v->memory + vga_index(v->layout, place);
    return ld16le(p) | (uint32_t)ld16le(p + vga_upper(v->layout, place)) << 16;
}

/* Marks bytes of memory as written. */
static inline void vga_written(Vga *v, uint64_t offset, uint64_t size)
{
    ram_mark_written(v->pci.dev.machine->pool, region_pool_offset(v->vram) + offset, size);
}

/* Six bits of a colour become eight by repeating the lowest one, as on QEMU, so that pictures compare. */
static inline uint32_t vga_widen(uint8_t c) { return (c & 63) << 2 | (c & 1 ? 3 : 0); }

static inline bool vga_vbe_on(const Vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }
static inline bool vga_graphics(const Vga *v) { return v->gr[GR_MISC] & 1; }

/* vga_ports.c */
uint8_t vga_port_read(Vga *v, unsigned port);             /* 3B0h..3DFh */
void vga_port_write(Vga *v, unsigned port, uint8_t value);
int64_t vga_frame(const Vga *v);                          /* number of the present frame, by the CRTC's timing */
unsigned vga_lines_displayed(const Vga *v);
unsigned vga_line_compare(const Vga *v);

/* vga_memory.c */
void vga_memory_create(Vga *v);
void vga_memory_destroy(Vga *v);
void vga_window_update(Vga *v); /* after changes of registers that the window hangs on */

/* vbe.c */
uint16_t vbe_read(const Vga *v, unsigned index); /* index: to VBE_DDC */
void vbe_write(Vga *v, unsigned index, uint16_t value);
void vbe_restored(Vga *v); /* brings registers from a saved state into their limits */
VgaFrame vbe_frame(const Vga *v);      /* of a VBE mode */

/* vga_draw.c */
extern const ConsoleOps vga_console_ops;
void vga_draw_forget(Vga *v); /* draw all next time */

/*
 * A line of dots on its way to the screen: CRTC address of its first character clock, row of the character, and whether
 * it is below the split.
 */
typedef struct VgaScan {
    uint16_t address;
    uint8_t row;
    bool split, doubled; /* doubled: the second of two equal lines */
    unsigned y, text_row; /* lines, and rows of characters from the top */
} VgaScan;

VgaScan vga_scan_first(const Vga *v);
void vga_scan_next(const Vga *v, VgaScan *s);
uint32_t vga_place(const Vga *v, uint16_t address, unsigned row); /* what the CRTC puts on the memory's address lines */
bool vga_pages_collect(Vga *v, uint64_t offset, uint64_t size);   /* which pages to draw; whether any */
unsigned vga_dot_repeat(const Vga *v);                            /* 2 when the dot clock is halved */
unsigned vga_count_shift(const Vga *v);                           /* addresses count on each 1 << so many characters */

/* vga_text.c */
unsigned vga_text_width(const Vga *v);
void vga_text_draw(Vga *v, bool all);
int vga_text_cursor(const Vga *v);
bool vga_text_read(const Vga *v, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);

/*
 * vga_card.c: what cards are made of.  The property vgamem_mb says how much memory there is; 0: v->size does.
 * A card may have a Vga inside and be another PCI function: the inner pci.dev has type, machine and id of the whole
 * then, pci is nothing else, and the card announces its console itself; it uses vga_parts_ and vga_registers_.
 */
enum { VGA_LEGACY = 1, VGA_VBE_PORTS = 2 }; /* ports and window of the VGA; ports of VBE */
gboolean vga_card_create(Vga *v, const PciId *id, unsigned parts, GError **err); /* function, parts, console */
void vga_card_destroy(Vga *v);
void vga_card_reset(Vga *v);
gboolean vga_card_post_load(Vga *v, GError **err);
extern const StateField vga_card_state[];
gboolean vga_parts_create(Vga *v, unsigned parts, GError **err); /* memory, ROM, and the parts named */
void vga_parts_free(Vga *v);
void vga_bars_add(Vga *v, PciDevice *pci); /* vga.c; 0: memory, 2: registers, 6: ROM */
void vga_registers_reset(Vga *v);
gboolean vga_registers_loaded(Vga *v, GError **err);
extern const StateField vga_registers_state[];
void vga_prefer(Vga *v, unsigned width, unsigned height); /* the monitor prefers that mode from now on */

/*
 * The same for a card that is a standard VGA among other things.  Such a one has a Vga inside, whose pci.dev has type,
 * machine and id of the whole, and announces its console itself; pci is nothing else then.
 */
gboolean vga_parts_create(Vga *v, unsigned parts, GError **err);
void vga_parts_free(Vga *v);
void vga_bars_add(Vga *v, PciDevice *pci); /* vga.c; 0: memory, 2: registers */
void vga_registers_reset(Vga *v);
gboolean vga_registers_loaded(Vga *v, GError **err);
extern const StateField vga_registers_state[];

/* Of a card T whose Vga is T.part, or T itself when part is empty. */
#define VGA_PROPERTIES(T, part)                                                                                        \
    { .name = "xres", .type = PROP_U32, .offset = offsetof(T, part xres), .initial = 1280, .min = EDID_WIDTH_MIN,     \
      .max = EDID_MAX, .help = "width that the monitor prefers" },                                                     \
    { .name = "yres", .type = PROP_U32, .offset = offsetof(T, part yres), .initial = 800, .min = EDID_HEIGHT_MIN,     \
      .max = EDID_MAX, .help = "height that the monitor prefers" },                                                    \
    PROPERTY(T, part romfile, "romfile", PROP_STRING, 0, "file of the video BIOS; none: the card has no ROM")

#endif
