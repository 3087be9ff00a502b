/* Commands about expressions: values and types. */
#include <string.h>

#include "debugger/commands/command.h"
#include "debugger/expression/expression.h"
#include "debugger/symbols/dwarf.h"
#include "debugger/symbols/symbols.h"

/* "/x" at the beginning of the arguments; 0: none.  False after a message. */
static bool take_format(MonitorCommand *c, const char **rest, char *format)
{
    *format = 0;
    if (**rest != '/')
        return true;
    size_t n = strcspn(*rest + 1, " \t");
    *format = n == 1 ? (*rest)[1] : 0;
    if (!*format || !strchr("xduotcas", *format)) {
        g_string_append_printf(c->out, "'%.*s': the format is one of /x /d /u /o /t /c /a /s\n", (int)n + 1, *rest);
        return false;
    }
    *rest += n + 1;
    *rest += strspn(*rest, " \t");
    return true;
}

/* In the frame that was chosen; the innermost one's registers are the CPU's, and can be assigned to. */
static Expression *parse(MonitorCommand *c, const char *text)
{
    g_autoptr(GError) err = NULL;
    unsigned number;
    Frame f = frame_chosen(c->debugger, &number);
    Expression *e = expression_parse_in(c->debugger, debugger_cpu(c->debugger), number ? &f : NULL, text, NULL, &err);
    if (!e)
        g_string_append_printf(c->out, "%s\n", err->message);
    return e;
}

static void command_print(MonitorCommand *c)
{
    g_autoptr(GError) err = NULL;
    const char *rest = c->arguments;
    char format;
    if (!take_format(c, &rest, &format))
        return;
    Expression *e = parse(c, rest);
    if (!e)
        return;
    if (expression_print(e, debugger_cpu(c->debugger), format, c->out, &err))
        g_string_append_c(c->out, '\n');
    else
        g_string_append_printf(c->out, "%s\n", err->message);
    expression_free(e);
}

static void print_type(MonitorCommand *c, bool whole)
{
    Expression *e = parse(c, c->arguments);
    if (!e)
        return;
    expression_print_type(e, whole, c->out, NULL);
    g_string_append_c(c->out, '\n');
    expression_free(e);
}

static void command_ptype(MonitorCommand *c) { print_type(c, true); }
static void command_whatis(MonitorCommand *c) { print_type(c, false); }

/* ---- variables of a function ---- */

static void print_variable(MonitorCommand *c, const Frame *f, const char *name)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *quoted = g_strdup_printf("'%s'", name);
    Cpu *cpu = debugger_cpu(c->debugger);
    Expression *e = expression_parse_in(c->debugger, cpu, f, quoted, NULL, &err);
    g_string_append_printf(c->out, "%s = ", name);
    if (!e || !expression_print(e, cpu, 0, c->out, &err))
        g_string_append(c->out, err->message);
    g_string_append_c(c->out, '\n');
    expression_free(e);
}

static void print_variables(MonitorCommand *c, bool parameters)
{
    Frame f = frame_chosen(c->debugger, NULL);
    size_t before = c->out->len;
    DwarfFile *file;
    for (unsigned k = 0; (file = symbols_dwarf(debugger_symbols(c->debugger), k)); k++) {
        g_autoptr(GPtrArray) names = dwarf_names(file, frame_lookup_pc(&f), parameters);
        for (guint n = 0; n < names->len; n++)
            print_variable(c, &f, names->pdata[n]);
    }
    if (before == c->out->len)
        g_string_append_printf(c->out, "no %s here%s\n", parameters ? "parameters" : "local variables",
                               symbols_dwarf(debugger_symbols(c->debugger), 0) ? "" : ": no DWARF data are loaded");
}

static void info_locals(MonitorCommand *c) { print_variables(c, false); }
static void info_args(MonitorCommand *c) { print_variables(c, true); }

const CommandRow data_info[] = {
    { .name = "args", .arguments = "", .help = "parameters of the function that the frame is in", .run = info_args,
      .paused = true },
    { .name = "locals", .arguments = "", .help = "local variables of the function that the frame is in",
      .run = info_locals, .paused = true },
    { .name = NULL },
};

const CommandRow data_commands[] = {
    { .name = "print", .aliases = "pr inspect", .arguments = "[/FORMAT] EXPRESSION",
      .help = "the value of an expression", .run = command_print, .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  FORMAT: x hexadecimal, d decimal, u unsigned, o octal, t binary, c character, a address, s string.\n"
              "  EXPRESSION: C's operators over numbers (10, 0x10, 10h, 0b11), registers (rax, $rax; $pc and $sp are\n"
              "  linear), flags ($zf), symbols ('name' where a register is called so), memory (u8[rsp], u32[],\n"
              "  phys16[], *(u32 *)rsp), SELECTOR:OFFSET (ss:sp, 0x7c0:0), and with DWARF variables and types\n"
              "  (task->comm, (struct page *)rdi, sizeof(struct page), per_cpu(VAR, CPU), this_cpu(VAR)).\n" },
    { .name = "ptype", .arguments = "EXPRESSION|TYPE", .help = "the definition of a type", .run = command_ptype,
      .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "whatis", .arguments = "EXPRESSION|TYPE", .help = "the type of an expression", .run = command_whatis,
      .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = NULL },
};
