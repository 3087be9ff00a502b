/* Jumps and calls: to labels, to addresses, and those that are patched later (Intel SDM vol. 2). */
#include "tcg/x86_64/encode.h"
#include "util/guest_atomic.h"

/* Branches by their rel32 opcode: JMP and CALL of one byte, Jcc of two, 0F 80+cond. */
enum { BRANCH_CALL = 0xe8, BRANCH_JMP = 0xe9, BRANCH_JCC = OP_0F | 0x80 };

/* Its rel8 opcode, which a call does not have. */
static uint8_t short_opcode(uint32_t branch)
{
    return branch == BRANCH_JMP ? 0xeb : 0x70 | (branch & 15);
}

static void put_branch(Asm *a, uint32_t branch)
{
    if (branch & OP_0F)
        put8(a, 0x0f);
    put8(a, branch);
}

/* ---- labels ---- */

static void put_bound8(Asm *a, uint32_t branch, int64_t distance)
{
    a->bad |= !fits8(distance);
    put8(a, short_opcode(branch));
    put8(a, distance);
}

/* An open field holds the distance back to the one before (see asm_bind). */
static void put_open8(Asm *a, uint32_t branch, AsmLabel *label)
{
    put8(a, short_opcode(branch));
    uint32_t field = asm_size(a), back = label->link8 ? field - label->link8 : 0;
    a->bad |= back > UINT8_MAX;
    put8(a, back);
    label->link8 = field;
    a->open++;
}

/* From the end of a rel8 branch here to a bound label. */
static int64_t short_distance(const Asm *a, const AsmLabel *label)
{
    return (int64_t)label->at - (int64_t)(asm_size(a) + 2);
}

static void branch8(Asm *a, uint32_t branch, AsmLabel *label)
{
    if (!asm_room(a))
        return;
    if (label->bound)
        put_bound8(a, branch, short_distance(a, label));
    else
        put_open8(a, branch, label);
}

static void branch_to_label(Asm *a, uint32_t branch, AsmLabel *label)
{
    if (!asm_room(a))
        return;
    if (label->bound && branch != BRANCH_CALL && fits8(short_distance(a, label))) {
        put_bound8(a, branch, short_distance(a, label));
        return;
    }
    put_branch(a, branch);
    put_label32(a, label, 0);
}

void asm_jmp(Asm *a, AsmLabel *label) { branch_to_label(a, BRANCH_JMP, label); }
void asm_jcc(Asm *a, AsmCond cond, AsmLabel *label) { branch_to_label(a, BRANCH_JCC | cond, label); }
void asm_call(Asm *a, AsmLabel *label) { branch_to_label(a, BRANCH_CALL, label); }
void asm_jmp8(Asm *a, AsmLabel *label) { branch8(a, BRANCH_JMP, label); }
void asm_jcc8(Asm *a, AsmCond cond, AsmLabel *label) { branch8(a, BRANCH_JCC | cond, label); }

/* ---- addresses ---- */

void asm_jmp_m(Asm *a, AsmMem rm)
{
    put_group(a, 0xff, 4, &rm, 0);
}

void asm_call_m(Asm *a, AsmMem rm)
{
    put_group(a, 0xff, 2, &rm, 0);
}

static void branch_near(Asm *a, uint32_t branch, uint64_t address)
{
    if (!asm_room(a))
        return;
    put_branch(a, branch);
    put_rel32(a, address, 0);
}

void asm_jmp_abs(Asm *a, uint64_t address, AsmReg scratch)
{
    if (asm_reaches(a, address)) {
        branch_near(a, BRANCH_JMP, address);
        return;
    }
    asm_mov_ri(a, 64, scratch, address);
    asm_jmp_r(a, scratch);
}

void asm_call_abs(Asm *a, uint64_t address, AsmReg scratch)
{
    if (asm_reaches(a, address)) {
        branch_near(a, BRANCH_CALL, address);
        return;
    }
    asm_mov_ri(a, 64, scratch, address);
    asm_call_r(a, scratch);
}

void asm_jcc_abs(Asm *a, AsmCond cond, uint64_t address, AsmReg scratch)
{
    AsmLabel over = { 0 };

    if (asm_reaches(a, address)) {
        branch_near(a, BRANCH_JCC | cond, address);
        return;
    }
    asm_jcc8(a, asm_cond_not(cond), &over);
    asm_jmp_abs(a, address, scratch);
    asm_bind(a, &over);
}

/* ---- branches that change ---- */

static uint8_t *branch_patchable(Asm *a, uint32_t branch, uint64_t target)
{
    unsigned opcode_bytes = branch & OP_0F ? 2 : 1;

    asm_nop(a, -(asm_here(a) + opcode_bytes) & 3);
    if (!asm_room(a))
        return NULL;
    put_branch(a, branch);
    uint8_t *field = a->p;
    put_rel32(a, target == ASM_NEXT ? asm_here(a) + 4 : target, 0);
    return field;
}

uint8_t *asm_jmp_patchable(Asm *a, uint64_t target)
{
    return branch_patchable(a, BRANCH_JMP, target);
}

uint8_t *asm_jcc_patchable(Asm *a, AsmCond cond, uint64_t target)
{
    return branch_patchable(a, BRANCH_JCC | cond, target);
}

uint8_t *asm_call_patchable(Asm *a, uint64_t target)
{
    return branch_patchable(a, BRANCH_CALL, target);
}

/* Aligned stores are atomic (Intel SDM vol. 3, 9.1.1): a fetch sees all of the old displacement or all of the new. */
bool asm_patch(uint8_t *field, uint64_t exec, uint64_t target)
{
    int64_t distance = target == ASM_NEXT ? 0 : target - (exec + 4);

    if (!fits32(distance))
        return false;
    atomic_st32le(field, distance);
    return true;
}
