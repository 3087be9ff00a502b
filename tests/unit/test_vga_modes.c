/*
 * The display cases (tests/display) on the standard VGA: the picture is, dot by dot, what the model makes of the same
 * accesses.  Text is looked at in two phases of its blinking; of VBE's many sizes and depths each seventh is enough
 * here (tests/display/run-modes shows all).
 */
#include "hw/display/console.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"
#include "tests/display/cases.h"
#include "tests/display/model.h"
#include "tests/unit/bench.h"

enum { FRAME_BUFFER = 0xe0000000, MEMORY_MB = 64, DEVFN = 2 << 3 };

struct Bus {
    Bench bench;
    CpuPort port;
    PciBus *pci;
    Device *dev;
    Console *con;
    Model *model;
};

void bus_out(Bus *b, unsigned port, unsigned value, unsigned size)
{
    as_write(b->bench.m->ports, port, value, size);
    model_out(b->model, port, value, size);
}

unsigned bus_in(Bus *b, unsigned port, unsigned size)
{
    model_in(b->model, port, size);
    return as_read(b->bench.m->ports, port, size);
}

void bus_write(Bus *b, uint32_t address, uint32_t value, unsigned size)
{
    as_write(b->bench.m->memory, address, value, size);
    model_write(b->model, address, value, size);
}

uint32_t bus_read(Bus *b, uint32_t address, unsigned size)
{
    uint32_t value = as_read(b->bench.m->memory, address, size);
    g_assert_cmphex(model_read(b->model, address, size), ==, value);
    return value;
}

void bus_write_frame(Bus *b, uint32_t offset, const uint8_t *bytes, unsigned size)
{
    as_write_bytes(b->bench.m->memory, FRAME_BUFFER + offset, bytes, size);
    model_write_frame(b->model, offset, bytes, size);
}

static void bus_init(Bus *b)
{
    GError *err = NULL;
    bench_init_sized(&b->bench, &b->port, 16 * MiB + MEMORY_MB * MiB);
    b->pci = pci_bus_new(b->bench.m, b->bench.m->memory, b->bench.m->ports);
    b->dev = device_add(b->bench.m, &vga_type, NULL, &err, "vgamem_mb", "64", NULL);
    g_assert_no_error(err);
    b->dev->type->reset(b->dev);
    b->con = console_nth(b->bench.m, 0);
    pci_bus_config_write(b->pci, DEVFN << 8 | PCI_BAR0, FRAME_BUFFER, 4);
    pci_bus_config_write(b->pci, DEVFN << 8 | PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
    b->model = model_new(MEMORY_MB * MiB);
}

static void bus_exit(Bus *b)
{
    model_free(b->model);
    device_remove(b->dev);
    pci_bus_free(b->pci);
    bench_exit(&b->bench);
}

/* The middle of the first frame in which cursor and characters are as the phase says: they change by 8 and 16. */
static void phase_enter(Bus *b, unsigned phase)
{
    unsigned frame = (phase & PHASE_CURSOR ? 0 : 8) + (phase & PHASE_TEXT ? 0 : 16);
    at(&b->bench, (frame + 0.5) * model_frame_ns(b->model));
}

static void picture_compare(Bus *b, unsigned n, unsigned phase)
{
    const Surface *s = &b->con->surface;
    unsigned width, height;
    console_update(b->con, false);
    g_autofree uint32_t *want = model_picture(b->model, phase, &width, &height);
    if (s->width != width || s->height != height)
        g_error("%s/%u: %u x %u instead of %u x %u", case_family(n), case_number(n), s->width, s->height, width,
                height);
    for (gsize k = 0; k < (gsize)width * height; k++)
        if (s->pixels[k] != want[k])
            g_error("%s/%u phase %u: the dot at %u,%u of %u x %u is %06x instead of %06x", case_family(n),
                    case_number(n), phase, (unsigned)(k % width), (unsigned)(k / width), width, height, s->pixels[k],
                    want[k]);
}

static void case_check(Bus *b, unsigned n)
{
    case_show(b, n);
    if (model_blinks(b->model)) {
        phase_enter(b, n % (PHASE_COUNT - 1));
        picture_compare(b, n, n % (PHASE_COUNT - 1));
    }
    phase_enter(b, PHASE_COUNT - 1);
    picture_compare(b, n, PHASE_COUNT - 1);
}

static void test_modes(void)
{
    Bus b;
    unsigned shown = 0;
    bus_init(&b);
    for (unsigned n = 0; n < case_count(); n++) {
        if (!strcmp(case_family(n), "vbe") && case_number(n) % 7)
            continue;
        case_check(&b, n);
        shown++;
    }
    g_test_message("%u pictures are right", shown);
    bus_exit(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vga-modes/pictures", test_modes);
    return g_test_run();
}
