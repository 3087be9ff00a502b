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

#include "core/memory.h"
#include "hw/display/console.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "util/endian.h"

enum { VGA_PLANES_SIZE = 256 << 10, VGA_PLACES = 64 << 10, VGA_WINDOW = 0xa0000, VGA_EDID_SIZE = 128 };

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
enum { SR_COUNT = 5, GR_COUNT = 9, CR_COUNT = 25, AR_COUNT = 21 };
enum { AR_INDEX_SCREEN_ON = 0x20 };

enum { /* Bochs VBE registers */
    VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
    VBE_Y_OFFSET, VBE_MEMORY_64K, VBE_COUNT
};
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NOCLEARMEM = 0x80 };

/* All registers that a picture as a whole hangs on: it is drawn anew when they change.  Bytes only: it is compared. */
typedef struct VgaKey {
    uint8_t sr[SR_COUNT], gr_mode, gr_misc, cr[CR_COUNT], ar[AR_COUNT], on, pel_mask, palette[768];
    uint8_t vbe[2 * VBE_COUNT];
} VgaKey;

typedef struct Vga {
    PciDevice pci;
    Console console;

    uint32_t vgamem_mb, xres, yres; /* properties */
    char *romfile;

    uint8_t misc, feature, enabled; /* enabled: port 3C3h */
    uint8_t sr_index, sr[SR_COUNT], gr_index, gr[GR_COUNT], cr_index, cr[CR_COUNT], ar_index, ar[AR_COUNT];
    bool ar_data;               /* the next write to 3C0h is data */
    uint8_t palette[768], dac_read_index, dac_write_index, dac_sub, dac_state, dac_latch[2], pel_mask;
    uint32_t latch;             /* plane n in bits 8n..8n+7 */
    uint16_t vbe_index, vbe[VBE_COUNT];
    uint8_t layout;             /* VgaLayout */

    Region *vram, *window, *direct[DIRECT_COUNT], *ports[3], *mmio, *rom;
    VgaDirect direct_now;
    uint64_t size;              /* of vram */
    uint8_t *memory;            /* its host address */
    uint8_t edid[VGA_EDID_SIZE];

    /* What is drawn; nothing of it is the guest's state. */
    VgaKey key;
    bool drawn;                 /* key and the surface are valid */
    uint32_t rgb[256];          /* colours: of 256, or the 16 of the attribute controller's */
    uint8_t *page_changed, *page_again; /* by page of vram, see vga_pages_collect */
    uint8_t font[2][256 * 32];
    uint32_t *cells;            /* text cells as drawn */
    unsigned cell_count;
    uint32_t *line;             /* one line of dots while it is drawn */
} Vga;

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

static inline bool vga_vbe_on(const Vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }
static inline bool vga_graphics(const Vga *v) { return v->gr[GR_MISC] & 1; }

/*
 * vga.c: for cards that are a standard VGA among other things.  Such a one has a Vga inside, whose pci.dev has type,
 * machine and id of the whole, and announces its console itself; pci is nothing else then.
 */
gboolean vga_parts_create(Vga *v, GError **err); /* by the properties: memory, ROM, ports, windows */
void vga_parts_free(Vga *v);
void vga_bars_add(Vga *v, PciDevice *pci);       /* 0: memory, 2: registers, 6: ROM */
void vga_registers_reset(Vga *v);
gboolean vga_registers_loaded(Vga *v, GError **err);
extern const StateField vga_registers_state[];

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
uint16_t vbe_read(const Vga *v, unsigned index);
void vbe_write(Vga *v, unsigned index, uint16_t value);
void vbe_restored(Vga *v); /* brings registers from a saved state into their limits */
unsigned vbe_line_bytes(const Vga *v); /* from a line to the next; in 16-colour modes: of one plane */

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

/* vga_text.c */
unsigned vga_text_width(const Vga *v);
void vga_text_draw(Vga *v, bool all);
bool vga_text_read(const Vga *v, unsigned *columns, unsigned *rows, uint16_t *cells, unsigned max_cells);

/* vga_edid.c */
void vga_edid_make(uint8_t edid[VGA_EDID_SIZE], unsigned xres, unsigned yres);

#endif
