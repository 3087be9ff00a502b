/* Disassembly for logs and the monitor: capstone's when built with it, else mnemonics of our own table. */
#include <inttypes.h>
#include <string.h>

#include "config.h"
#include "cpu/cpu.h"

#ifdef CONFIG_CAPSTONE

#include <capstone/capstone.h>

unsigned cpu_disassemble(unsigned code_size, uint64_t rip, const uint8_t *bytes, size_t size, GString *out)
{
    static const cs_mode modes[3] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
    csh handle;
    cs_insn *insn;
    unsigned length = 1;
    if (cs_open(CS_ARCH_X86, modes[code_size], &handle) != CS_ERR_OK) {
        g_string_append(out, "(bad)");
        return 1;
    }
    if (cs_disasm(handle, bytes, size, rip, 1, &insn) == 1) {
        g_string_append_printf(out, "%s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "", insn->op_str);
        length = insn->size;
        cs_free(insn, 1);
    } else {
        g_string_append(out, "(bad)");
    }
    cs_close(&handle);
    return length;
}

#else

/* Every feature: what is not there on a model is still worth a name; but not what only old processors have. */
static InsnDecoder *full_decoder(void)
{
    uint64_t features[FEAT_WORDS];
    memset(features, 0xff, sizeof features);
    for (unsigned f = FEAT_ONLY_8086; f <= FEAT_NO_FPU; f++)
        features[f / 64] &= ~(UINT64_C(1) << f % 64);
    return insn_decoder_new(features);
}

unsigned cpu_disassemble(unsigned code_size, uint64_t rip, const uint8_t *bytes, size_t size, GString *out)
{
    static gsize once;
    static InsnDecoder *decoder; /* immutable after its making */
    Insn i;
    (void)rip;
    if (g_once_init_enter(&once)) {
        decoder = full_decoder();
        g_once_init_leave(&once, 1);
    }
    int length = insn_decode(decoder, code_size, bytes, size, &i);
    if (length <= 0 || i.row == INSN_ROW_BAD) {
        g_string_append(out, "(bad)");
        return 1;
    }
    g_string_append_printf(out, "%s %s", insn_rows[i.row].mnemonic, insn_rows[i.row].operands);
    return length;
}

#endif
