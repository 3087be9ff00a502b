/* Registers by name (registers.h). */
#include "cpu/registers.h"

#include "core/error.h"
#include "cpu/flags.h"

#define GENERAL(n, r) { n, REGISTER_GENERAL, 64, 0, r }
static const CpuRegister rows[] = {
    GENERAL("rax", R_AX), GENERAL("rcx", R_CX), GENERAL("rdx", R_DX), GENERAL("rbx", R_BX), GENERAL("rsp", R_SP),
    GENERAL("rbp", R_BP), GENERAL("rsi", R_SI), GENERAL("rdi", R_DI), GENERAL("r8", R_8), GENERAL("r9", R_9),
    GENERAL("r10", R_10), GENERAL("r11", R_11), GENERAL("r12", R_12), GENERAL("r13", R_13), GENERAL("r14", R_14),
    GENERAL("r15", R_15), GENERAL("rip", R_IP),
};
const CpuRegister *const cpu_registers = rows;
const unsigned cpu_register_count = ARRAY_SIZE(rows);

bool cpu_register_find(const Cpu *cpu, const char *name, CpuRegister *out)
{
    (void)cpu;
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
        if (!g_ascii_strcasecmp(rows[k].name, name)) {
            *out = rows[k];
            return true;
        }
    return false;
}

uint64_t cpu_register_get(Cpu *cpu, const CpuRegister *r) { return cpu->gpr[r->index]; }

gboolean cpu_register_set(Cpu *cpu, const CpuRegister *r, uint64_t v, GError **err)
{
    (void)err;
    cpu->gpr[r->index] = v;
    return TRUE;
}
