/* Commands about expressions: values and types. */
#include <string.h>

#include "debugger/command.h"
#include "debugger/expression.h"

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

static Expression *parse(MonitorCommand *c, const char *text)
{
    g_autoptr(GError) err = NULL;
    Expression *e = expression_parse(c->debugger, debugger_cpu(c->debugger), text, &err);
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

const CommandRow data_commands[] = {
    { .name = "print", .aliases = "pr inspect", .arguments = "[/FORMAT] EXPRESSION", .help = "the value of an expression",
      .run = command_print, .completes = COMPLETE_SYMBOL, .paused = true,
      .more = "  FORMAT: x hexadecimal, d decimal, u unsigned, o octal, t binary, c character, a address, s string.\n"
              "  EXPRESSION: C's operators over numbers (10, 0x10, 10h, 0b11), registers (rax, $rax; $pc and $sp are linear),\n"
              "  flags ($zf), symbols ('name' where a register is called so), memory (u8[rsp], u32[], phys16[], *(u32 *)rsp),\n"
              "  SELECTOR:OFFSET (ss:sp, 0x7c0:0), and with DWARF variables and types (task->comm, (struct page *)rdi,\n"
              "  sizeof(struct page), per_cpu(VARIABLE, CPU), this_cpu(VARIABLE)).\n" },
    { .name = "ptype", .arguments = "EXPRESSION|TYPE", .help = "the definition of a type", .run = command_ptype,
      .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = "whatis", .arguments = "EXPRESSION|TYPE", .help = "the type of an expression", .run = command_whatis,
      .completes = COMPLETE_SYMBOL, .paused = true },
    { .name = NULL },
};
