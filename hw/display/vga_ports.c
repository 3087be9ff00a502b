/*
 * The registers of the IBM VGA and its timing (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem";
 * names and bits as there).
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { MISC_COLOR = 1, STATUS_DISABLED = 1, STATUS_RETRACE = 8, DAC_READING = 3 };

/* Bits that exist in the registers of each group. */
static const uint8_t sr_mask[SR_COUNT] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gr_mask[GR_COUNT] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t ar_mask[AR_COUNT] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

/* ---- timing ---- */

typedef struct Timing {
    uint32_t hz;                    /* dots a second */
    unsigned h_total, h_display;    /* dots */
    unsigned v_total, v_display, retrace_start, retrace_lines;
} Timing;

unsigned vga_lines_displayed(const Vga *v)
{
    unsigned over = v->cr[CR_OVERFLOW];
    return (v->cr[CR_V_DISPLAY_END] | (over & 2) << 7 | (over & 0x40) << 3) + 1;
}

unsigned vga_line_compare(const Vga *v)
{
    return v->cr[CR_LINE_COMPARE] | (v->cr[CR_OVERFLOW] & 0x10) << 4 | (v->cr[CR_MAX_SCAN] & 0x40) << 3;
}

static Timing timing_of_registers(const Vga *v)
{
    unsigned over = v->cr[CR_OVERFLOW], dots = v->sr[SR_CLOCKING] & 1 ? 8 : 9;
    Timing t = {
        .hz = (v->misc >> 2 & 3) == 1 ? 28322000 : 25175000,
        .h_total = (v->cr[CR_H_TOTAL] + 5) * dots, .h_display = (v->cr[CR_H_DISPLAY_END] + 1) * dots,
        .v_total = (v->cr[CR_V_TOTAL] | (over & 1) << 8 | (over & 0x20) << 4) + 2,
        .v_display = vga_lines_displayed(v),
        .retrace_start = v->cr[CR_V_RETRACE_START] | (over & 4) << 6 | (over & 0x80) << 2,
    };
    t.retrace_lines = ((v->cr[CR_V_RETRACE_END] - t.retrace_start - 1) & 15) + 1;
    if (v->sr[SR_CLOCKING] & 8)
        t.hz /= 2;
    if (v->cr[CR_MODE] & CR_MODE_LINES_TIMES_2) {
        t.v_total *= 2;
        t.v_display *= 2;
        t.retrace_start *= 2;
        t.retrace_lines *= 2;
    }
    return t;
}

/* VBE modes have no timing registers: a monitor of 640 x 480 at 60 Hz stands for any. */
static Timing timing_now(const Vga *v)
{
    static const Timing vbe = { 25175000, 800, 640, 525, 480, 490, 2 };
    return vga_vbe_on(v) ? vbe : timing_of_registers(v);
}

static int64_t dots_passed(const Vga *v, const Timing *t)
{
    return muldiv64(clock_now(v->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL), t->hz, NS_PER_SECOND);
}

int64_t vga_frame(const Vga *v)
{
    Timing t = timing_now(v);
    return dots_passed(v, &t) / ((int64_t)t.h_total * t.v_total);
}

static uint8_t input_status_1(Vga *v)
{
    Timing t = timing_now(v);
    unsigned dot = dots_passed(v, &t) % ((int64_t)t.h_total * t.v_total);
    unsigned line = dot / t.h_total, column = dot % t.h_total;
    bool retrace = line >= t.retrace_start && line < t.retrace_start + t.retrace_lines;
    bool disabled = line >= t.v_display || column >= t.h_display;
    v->ar_data = false;
    return (retrace ? STATUS_RETRACE : 0) | (disabled ? STATUS_DISABLED : 0);
}

/* ---- the register groups ---- */

static void sequencer_write(Vga *v, uint8_t value)
{
    if (v->sr_index >= SR_COUNT)
        return;
    v->sr[v->sr_index] = value & sr_mask[v->sr_index];
    vga_window_update(v);
}

static void graphics_write(Vga *v, uint8_t value)
{
    if (v->gr_index >= GR_COUNT)
        return;
    v->gr[v->gr_index] = value & gr_mask[v->gr_index];
    vga_window_update(v);
}

/* Bit 7 of register 11h protects registers 0 to 7, but for the line compare bit in 7. */
static void crtc_write(Vga *v, uint8_t value)
{
    unsigned n = v->cr_index;
    bool protect = n <= CR_OVERFLOW && v->cr[CR_V_RETRACE_END] & 0x80;
    if (n >= CR_COUNT || (protect && n < CR_OVERFLOW))
        return;
    v->cr[n] = protect ? (v->cr[n] & ~0x10) | (value & 0x10) : value;
}

/* Writes go to index and data in turn; a read of input status 1 makes the next one an index. */
static void attribute_write(Vga *v, uint8_t value)
{
    unsigned n = v->ar_index & 0x1f;
    if (!v->ar_data)
        v->ar_index = value & 0x3f;
    else if (n < AR_COUNT)
        v->ar[n] = value & ar_mask[n];
    v->ar_data = !v->ar_data;
}

static uint8_t attribute_read(const Vga *v)
{
    unsigned n = v->ar_index & 0x1f;
    return n < AR_COUNT ? v->ar[n] : 0;
}

/* A colour is taken over with its third byte. */
static void dac_write(Vga *v, uint8_t value)
{
    value &= v->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? 0xff : 0x3f;
    if (v->dac_sub < 2) {
        v->dac_latch[v->dac_sub++] = value;
        return;
    }
    uint8_t *color = v->palette + 3 * v->dac_write_index++;
    color[0] = v->dac_latch[0];
    color[1] = v->dac_latch[1];
    color[2] = value;
    v->dac_sub = 0;
}

static uint8_t dac_read(Vga *v)
{
    uint8_t value = v->palette[3 * v->dac_read_index + v->dac_sub];
    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_read_index++;
    }
    return value;
}

static void dac_select(Vga *v, bool reading, uint8_t index)
{
    *(reading ? &v->dac_read_index : &v->dac_write_index) = index;
    v->dac_state = reading ? DAC_READING : 0;
    v->dac_sub = 0;
}

static void misc_write(Vga *v, uint8_t value)
{
    v->misc = value & 0xef;
    vga_window_update(v);
}

static void enable_write(Vga *v, uint8_t value)
{
    v->enabled = value & 1;
    vga_window_update(v);
}

/* ---- ports ---- */

/* The CRTC, input status 1 and feature control are at 3Bxh or 3Dxh; the other ones lead nowhere. */
static bool port_hidden(const Vga *v, unsigned port)
{
    bool color = v->misc & MISC_COLOR;
    return !v->enabled || (port < 0x3c0 && color) || (port >= 0x3d0 && !color);
}

static unsigned port_fold(unsigned port)
{
    return port < 0x3c0 ? port + 0x20 : port;
}

uint8_t vga_port_read(Vga *v, unsigned port)
{
    uint8_t value;
    if (port == 0x3c3)
        return v->enabled;
    if (port_hidden(v, port))
        return 0xff;
    port = port_fold(port);
    if (v->extension && v->extension->port_read(v, port, &value))
        return value;
    switch (port) {
    case 0x3c0: return v->ar_data ? attribute_read(v) : v->ar_index;
    case 0x3c1: return attribute_read(v);
    case 0x3c2: return 0; /* input status 0: no interrupt is pending, no switch is set */
    case 0x3c4: return v->sr_index;
    case 0x3c5: return v->sr_index < SR_COUNT ? v->sr[v->sr_index] : 0;
    case 0x3c6: return v->pel_mask;
    case 0x3c7: return v->dac_state;
    case 0x3c8: return v->dac_write_index;
    case 0x3c9: return dac_read(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->gr_index;
    case 0x3cf: return v->gr_index < GR_COUNT ? v->gr[v->gr_index] : 0;
    case 0x3d4: return v->cr_index;
    case 0x3d5: return v->cr_index < CR_COUNT ? v->cr[v->cr_index] : 0;
    case 0x3da: return input_status_1(v);
    default: return 0xff;
    }
}

void vga_port_write(Vga *v, unsigned port, uint8_t value)
{
    if (port != 0x3c3 && port_hidden(v, port))
        return;
    port = port_fold(port);
    if (v->extension && v->extension->port_write(v, port, value))
        return;
    switch (port) {
    case 0x3c0: attribute_write(v, value); break;
    case 0x3c2: misc_write(v, value); break;
    case 0x3c3: enable_write(v, value); break;
    case 0x3c4: v->sr_index = value & 7; break;
    case 0x3c5: sequencer_write(v, value); break;
    case 0x3c6: v->pel_mask = value; break;
    case 0x3c7: dac_select(v, true, value); break;
    case 0x3c8: dac_select(v, false, value); break;
    case 0x3c9: dac_write(v, value); break;
    case 0x3ce: v->gr_index = value & 0x0f; break;
    case 0x3cf: graphics_write(v, value); break;
    case 0x3d4: v->cr_index = value; break;
    case 0x3d5: crtc_write(v, value); break;
    case 0x3da: v->feature = value & 0x13; break;
    default: break;
    }
}
