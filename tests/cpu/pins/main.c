/*
 * cpu-pins [--rewrite] FILE...: the host code that the recompiler makes of short instruction sequences.
 *
 * A file consists of sequences, each a line `= SIZE BYTES ; TEXT` (SIZE: 32 or 64) with the host code below.  Compares
 * the code with what is made now, or writes it anew; the last line is `N passed, N failed`.  Written so that only what
 * the back end chooses shows: no addresses, no offsets of Cpu but for the guest's registers.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core/machine.h"
#include "cpu/code.h"
#include "cpu/cpu.h"
#include "tcg/backend.h"
#include "tcg/tcg.h"
#include "util/endian.h"

enum { CODE_AT = 0x10000, RAM = 0x100000, SEQUENCE_MAX = 256 };

static Cpu *cpu;
static uint8_t *ram;

static void start(void)
{
    g_autoptr(GError) err = NULL;
    Machine *machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    ram = region_host(r);
    cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    if (!tcg_attach(cpu, &(TcgConfig){ .hot_after = 1, .code_bytes = 4u << 20 }, &err)) {
        fprintf(stderr, "cpu-pins: %s\n", err->message);
        exit(1);
    }
}

/* Kernel mode with the first two MiB mapped as they are. */
static void set_mode(unsigned size)
{
    uint16_t data = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_DB | SA_G;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (Segment){ .sel = 0x10, .limit = 0xffffffff, .attr = data };
    cpu->seg[SEG_CS] = (Segment){ .sel = 8, .limit = 0xffffffff, .attr = SA_P | SA_S | SA_CODE | SA_WRITABLE | SA_ACCESSED |
                                                                        SA_G | (size == SZ64 ? SA_L : SA_DB) };
    st64le(ram + 0x1000, 0x2003);
    st64le(ram + 0x2000, 0x3003);
    st64le(ram + 0x3000, 0x83);
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->cr3 = 0x1000;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->eflags = 0;
    cpu_update_mode(cpu);
}

/* ---- host code as text ---- */

/* Offsets of Cpu but for gpr[]; pointers; numbers of the instruction table. */
static char *without_addresses(const char *text)
{
    static const struct { const char *what, *by; } masks[] = {
        { "\\[rbp \\+ 0x[0-9a-f]{3,}\\]", "[cpu]" },
        { "\\[rbp \\+ (r[0-9a-z]+(?:\\*4)?) \\+ 0x[0-9a-f]+\\]", "[cpu + \\1]" },
        { "\\[rip [+-] 0x[0-9a-f]+\\]", "[code]" },
        { "(movabs r1[45]), 0x[0-9a-f]+", "\\1, POINTER" },
        { "(mov r15d), 0x[0-9a-f]{4,}", "\\1, OFFSET" },
        { "(mov dword ptr \\[cpu \\+ r14\\*4\\]), 0x[0-9a-f]+", "\\1, PLACE" },
    };
    char *s = g_strdup(text);
    for (unsigned k = 0; k < G_N_ELEMENTS(masks); k++) {
        g_autoptr(GRegex) r = g_regex_new(masks[k].what, 0, 0, NULL);
        char *next = g_regex_replace(r, s, -1, 0, masks[k].by, 0, NULL);
        g_free(s);
        s = next;
    }
    return s;
}

/* A branch's target by its distance in bytes: forward, back, or out of the unit. */
static void append_branch(GString *out, const char *text, const UnitCode *code, uint64_t at)
{
    const char *target = strstr(text, " 0x");
    uint64_t to = g_ascii_strtoull(target + 1, NULL, 16), from = (uintptr_t)code->entry;
    g_string_append_len(out, text, target - text);
    g_string_append(out, to - from >= code->size ? " OUT" : to > at ? " FORWARD" : " BACK");
}

static bool is_branch(const char *text)
{
    return (text[0] == 'j' || g_str_has_prefix(text, "call")) && strstr(text, " 0x") && !strchr(text, '[');
}

static void append_code(GString *out, const UnitCode *code)
{
    for (unsigned at = 0; at < code->size;) {
        g_autoptr(GString) text = g_string_new(NULL);
        uint64_t rip = (uintptr_t)code->entry + at;
        at += cpu_disassemble(SZ64, rip, code->entry + at, code->size - at, text);
        g_autofree char *masked = without_addresses(text->str);
        g_strchomp(masked);
        g_string_append(out, "  ");
        if (is_branch(masked))
            append_branch(out, masked, code, rip);
        else
            g_string_append(out, masked);
        g_string_append_c(out, '\n');
    }
}

/* ---- sequences ---- */

static unsigned parse_bytes(const char *text, uint8_t *bytes)
{
    unsigned n = 0;
    for (; *text && *text != ';' && n < SEQUENCE_MAX; text += strspn(text, " ")) {
        bytes[n++] = strtoul(text, NULL, 16);
        text += strcspn(text, " ");
    }
    return n;
}

/* The code of a sequence; what follows it is HLT, which ends the unit. */
static void translate(GString *out, unsigned size, const uint8_t *bytes, unsigned n)
{
    set_mode(size);
    memset(ram + CODE_AT, 0xf4, 4096);
    memcpy(ram + CODE_AT, bytes, n);
    code_flush(cpu->code);
    cpu->rip = CODE_AT;
    Block *b = code_lookup(cpu, CODE_AT);
    cpu->code->engine->hot(cpu, b);
    if (b->host)
        append_code(out, b->peer->recompiled);
    else
        g_string_append(out, "  (not recompiled)\n");
}

static void add_sequence(GString *out, const char *head)
{
    uint8_t bytes[SEQUENCE_MAX];
    bool is_64 = g_str_has_prefix(head, "= 64 ");
    g_string_append_printf(out, "%s\n", head);
    translate(out, is_64 ? SZ64 : SZ32, bytes, parse_bytes(head + 5, bytes));
}

/* Each sequence's text after its head in the file, by the head. */
static GHashTable *read_pins(char **lines)
{
    GHashTable *pins = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    for (unsigned k = 0; lines[k]; k++) {
        if (lines[k][0] != '=')
            continue;
        GString *text = g_string_new(NULL);
        g_string_append_printf(text, "%s\n", lines[k]);
        for (unsigned n = k + 1; lines[n] && lines[n][0] == ' '; n++)
            g_string_append_printf(text, "%s\n", lines[n]);
        g_hash_table_insert(pins, lines[k], g_string_free(text, FALSE));
    }
    return pins;
}

typedef struct Totals {
    unsigned passed, failed;
} Totals;

static void check_sequence(const char *name, const char *pinned, const char *now, Totals *t)
{
    if (!strcmp(pinned, now)) {
        t->passed++;
        return;
    }
    t->failed++;
    printf("%s: other code than pinned\n-- pinned %s-- now %s", name, pinned, now);
}

static bool handle_file(const char *name, bool rewrite, Totals *t)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) err = NULL;
    if (!g_file_get_contents(name, &text, NULL, &err)) {
        fprintf(stderr, "cpu-pins: %s\n", err->message);
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GHashTable) pins = read_pins(lines);
    g_autoptr(GString) all = g_string_new(NULL);
    for (char **l = lines; *l; l++) {
        g_autoptr(GString) now = g_string_new(NULL);
        if (**l == '=')
            add_sequence(now, *l);
        else if (**l == '#')
            g_string_append_printf(now, "%s\n", *l);
        g_string_append(all, now->str);
        if (**l == '=' && !rewrite)
            check_sequence(name, g_hash_table_lookup(pins, *l), now->str, t);
    }
    return !rewrite || g_file_set_contents(name, all->str, all->len, NULL);
}

int main(int argc, char **argv)
{
    bool rewrite = argc > 1 && !strcmp(argv[1], "--rewrite"), ok = true;
    Totals t = { 0, 0 };
#ifndef CONFIG_CAPSTONE
    printf("1..0 # SKIP the code is compared as text, which capstone writes\n");
    return 77;
#endif
    if (!tcg_available()) {
        printf("1..0 # SKIP there is no recompiler for this host\n");
        return 77;
    }
    start();
    for (int k = rewrite ? 2 : 1; k < argc; k++)
        ok &= handle_file(argv[k], rewrite, &t);
    if (!rewrite)
        printf("%u passed, %u failed\n", t.passed, t.failed);
    return !ok || t.failed;
}
