/* The inside of the Cirrus card, shared by its files (cirrus.h lists them). */
#ifndef MYNA_HW_DISPLAY_CIRRUS_STATE_H
#define MYNA_HW_DISPLAY_CIRRUS_STATE_H

#include "hw/display/cirrus.h"
#include "hw/display/vga_state.h"

enum { CIRRUS_MEMORY = 4 << 20, CIRRUS_SR = 32, CIRRUS_GR = 64, CIRRUS_CR = 64 };
enum { CIRRUS_LINE_MAX = 8192 }; /* bytes of a blit's line: the width has 13 bits */

enum { /* registers that more than one file names */
    SR_UNLOCK = 6, SR_EXTENDED = 7, SR_DDC = 8, SR_POINTER_X = 0x10, SR_POINTER_Y = 0x11, SR_POINTER = 0x12,
    SR_POINTER_PATTERN = 0x13, SR_CONFIGURATION = 0x17,
    GR_OFFSET_0 = 9, GR_OFFSET_1 = 0x0a, GR_EXTENSIONS = 0x0b,
    GR_BACKGROUND_1 = 0x10, GR_FOREGROUND_1 = 0x11, GR_BACKGROUND_2 = 0x12, GR_FOREGROUND_2 = 0x13,
    GR_BACKGROUND_3 = 0x14, GR_FOREGROUND_3 = 0x15,
    GR_BLIT_WIDTH = 0x20, GR_BLIT_HEIGHT = 0x22, GR_BLIT_TO_PITCH = 0x24, GR_BLIT_FROM_PITCH = 0x26, GR_BLIT_TO = 0x28,
    GR_BLIT_FROM = 0x2c, GR_BLIT_CLIP = 0x2f, GR_BLIT_MODE = 0x30, GR_BLIT_STATUS = 0x31, GR_BLIT_ROP = 0x32,
    GR_BLIT_MODE_2 = 0x33, GR_BLIT_KEY = 0x34, GR_BLIT_KEY_MASK = 0x38,
    CR_EXTENDED_DISPLAY = 0x1b, CR_OVERLAY = 0x1d, CR_ID = 0x27,
};
enum { SR_EXTENDED_ON = 1, GR_EXTENSIONS_DUAL = 1, GR_EXTENSIONS_BY_8 = 2, GR_EXTENSIONS_MODES = 4,
       GR_EXTENSIONS_16_BIT = 0x10, GR_EXTENSIONS_16K = 0x20 };

/* A blit that waits for the processor's bytes. */
typedef struct CirrusFeed {
    uint32_t need, have;       /* bytes of a line; 0: no blit waits */
    uint32_t lines;            /* that are still to come, this one included */
    uint32_t line;             /* number of this one */
    uint32_t total;            /* bytes that have come */
    uint8_t drop;              /* bytes to come that only fill the last double word */
    uint8_t bytes[CIRRUS_LINE_MAX + 4];
} CirrusFeed;

/* The pointer as it is drawn. */
typedef struct CirrusPointer {
    uint16_t x, y;
    uint8_t size;              /* dots wide and high; 0: off */
    uint32_t color[2];
    uint8_t plane[2][64 * 8];  /* eight bytes a line */
} CirrusPointer;

typedef struct Cirrus {
    Vga vga;
    uint8_t sr[CIRRUS_SR], gr[CIRRUS_GR], cr[CIRRUS_CR]; /* beyond the VGA's, or wider than there */
    uint8_t dac_reads, dac_hidden;
    uint8_t pointer_palette[3 * 16];
    uint16_t pointer_x, pointer_y;
    CirrusFeed feed;

    Region *bar, *linear, *feed_window, *mmio;
    bool linear_plain;         /* the frame buffer is shown as RAM */
    bool fed;                  /* there was a blit from system memory lately: windows stay registers */
    bool fed_again;            /* since the timer was armed */
    Timer *fed_timer;
    CirrusPointer pointer, pointer_before;
    bool pointer_redraw;       /* they differ, or all is drawn */
} Cirrus;

static inline uint32_t cirrus_mask(void) { return CIRRUS_MEMORY - 1; }
static inline bool cirrus_extended(const Cirrus *c) { return c->sr[SR_EXTENDED] & SR_EXTENDED_ON; }

/* Foreground and background colour: four bytes from registers of their own. */
static inline uint32_t cirrus_foreground(const Cirrus *c)
{
    return c->gr[1] | c->gr[GR_FOREGROUND_1] << 8 | c->gr[GR_FOREGROUND_2] << 16 |
           (uint32_t)c->gr[GR_FOREGROUND_3] << 24;
}

static inline uint32_t cirrus_background(const Cirrus *c)
{
    return c->gr[0] | c->gr[GR_BACKGROUND_1] << 8 | c->gr[GR_BACKGROUND_2] << 16 |
           (uint32_t)c->gr[GR_BACKGROUND_3] << 24;
}

/* cirrus.c */
void cirrus_window_update(Cirrus *c); /* after changes that the frame buffer's windows hang on */
void cirrus_window_fed(Cirrus *c);    /* a blit from system memory begins */

/* cirrus_regs.c */
extern const VgaExtension cirrus_extension;
void cirrus_regs_reset(Cirrus *c);
void cirrus_graphics_write(Cirrus *c, unsigned n, uint8_t value);
uint64_t cirrus_mmio_read(void *opaque, uint64_t offset, unsigned size);
void cirrus_mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size);

/* cirrus_memory.c */
bool cirrus_window_read(Vga *v, uint32_t offset, uint8_t *value);
bool cirrus_window_write(Vga *v, uint32_t offset, uint8_t value);
bool cirrus_window_own(const Vga *v);
bool cirrus_window_direct(const Vga *v, uint64_t *offset);
bool cirrus_memory_plain(const Cirrus *c); /* bytes written are stored as they are, and at their place */
bool cirrus_linear_plain(const Cirrus *c); /* all of the linear frame buffer is memory, and plain */
uint8_t cirrus_linear_read_byte(Cirrus *c, uint32_t offset);
void cirrus_linear_write_byte(Cirrus *c, uint32_t offset, uint8_t value);

/* cirrus_blit.c */
void cirrus_blit_start(Cirrus *c);
void cirrus_blit_reset(Cirrus *c);
static inline bool cirrus_blit_takes(const Cirrus *c) { return c->feed.need || c->feed.drop; }
void cirrus_blit_feed(Cirrus *c, uint8_t byte);
bool cirrus_blit_restored(Cirrus *c); /* false: what was loaded is no state of a blit */

/* cirrus_pointer.c */
bool cirrus_pointer_look(Vga *v, bool all);
bool cirrus_pointer_changed(const Vga *v, unsigned y);
void cirrus_pointer_draw(const Vga *v, unsigned y, uint32_t *dots, unsigned width);

#endif
