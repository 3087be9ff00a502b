/*
 * libFuzzer's target for the decoder (make fuzz-decode): the first byte chooses code size, mode and processor, the
 * others are code.  Whatever they are: no crash, a length of 1 to 15, the same instruction each time, whatever stands
 * behind it, and with exactly its bytes given; and two-byte VEX means what three-byte VEX does.
 */
#include <glib.h>
#include <string.h>

#include "cpu/features.h"
#include "cpu/insn.h"
#include "util/bits.h"

enum { LENGTH_MAX = 15 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every feature; none of the newer ones; and what only old processors have. */
static InsnDecoder *make_decoder(unsigned which)
{
    uint64_t features[FEAT_WORDS];
    memset(features, which == 0 ? 0xff : 0, sizeof features);
    for (unsigned f = FEAT_BASE; f < FEAT_ONLY_8086; f++)
        if (which == 1)
            features[f / 64] |= BIT(f % 64);
    for (unsigned f = FEAT_ONLY_8086; f <= FEAT_NO_FPU; f++)
        features[f / 64] = which == 2 ? features[f / 64] | BIT(f % 64) : features[f / 64] & ~BIT(f % 64);
    return insn_decoder_new(features);
}

static bool insn_equal(const Insn *a, const Insn *b)
{
    return a->fn == b->fn && a->imm == b->imm && a->disp == b->disp && a->row == b->row && a->jump == b->jump &&
           a->len == b->len && a->reg == b->reg && a->rm == b->rm && a->base == b->base && a->index == b->index &&
           a->scale == b->scale && a->seg == b->seg && a->osz == b->osz && a->asz == b->asz && a->rep == b->rep &&
           a->lock == b->lock && a->mem == b->mem && a->imm2 == b->imm2;
}

static void check_registers(const Insn *i)
{
    g_assert_cmpuint(i->base, <=, R_IP);
    g_assert_cmpuint(i->index, <=, 31);
    g_assert_cmpuint(i->scale, <=, 3);
    g_assert_cmpuint(i->seg, <, 8);
    g_assert_cmpuint(i->reg, <, 32);
    g_assert_cmpuint(i->rm, <, 32);
}

/* Other bytes behind the instruction change nothing; fewer bytes than it has are too few. */
static void check_extent(const InsnDecoder *d, unsigned key, const uint8_t *bytes, const Insn *i)
{
    uint8_t copy[LENGTH_MAX];
    Insn again;
    memcpy(copy, bytes, i->len);
    memset(copy + i->len, 0x66, sizeof copy - i->len);
    g_assert_cmpint(insn_decode(d, key, copy, sizeof copy, &again), ==, i->len);
    g_assert_true(insn_equal(i, &again));
    g_assert_cmpint(insn_decode(d, key, bytes, i->len, &again), ==, i->len);
    g_assert_true(insn_equal(i, &again));
    for (unsigned n = 0; n < i->len; n++)
        g_assert_cmpint(insn_decode(d, key, bytes, n, &again), ==, DECODE_MORE);
}

/* C5 RvvvvLpp is C4 R11 00001 0vvvvLpp (SDM vol. 2A 2.3.5). */
static void check_long_vex(const InsnDecoder *d, unsigned key, const uint8_t *bytes, const Insn *i)
{
    uint8_t copy[LENGTH_MAX] = { 0xc4, (bytes[1] & 0x80) | 0x61, bytes[1] & 0x7f };
    Insn again;
    if (i->len >= LENGTH_MAX || i->base == R_IP)
        return;
    memcpy(copy + 3, bytes + 2, i->len - 2);
    g_assert_cmpint(insn_decode(d, key, copy, sizeof copy, &again), ==, i->len + 1);
    again.len--;
    g_assert_true(insn_equal(i, &again));
}

static bool is_vex2(unsigned key, const uint8_t *bytes)
{
    return bytes[0] == 0xc5 && !(key & KEY_REAL) && ((key & KEY_SIZE) == SZ64 || bytes[1] >= 0xc0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static InsnDecoder *decoders[3];
    static const unsigned keys[] = { SZ16, SZ32, SZ64, SZ16 | KEY_REAL };
    Insn i, again;
    if (!size)
        return 0;
    unsigned which = (data[0] >> 2) % 3, key = keys[data[0] & 3];
    if (!decoders[which])
        decoders[which] = make_decoder(which);
    const InsnDecoder *d = decoders[which];
    int length = insn_decode(d, key, data + 1, size - 1, &i);
    if (length <= 0) {
        g_assert_true(length == (size > LENGTH_MAX ? DECODE_TOO_LONG : DECODE_MORE));
        return 0;
    }
    g_assert_cmpint(length, <=, LENGTH_MAX);
    g_assert_cmpint(length, ==, i.len);
    g_assert_cmpint(insn_decode(d, key, data + 1, size - 1, &again), ==, length);
    g_assert_true(insn_equal(&i, &again));
    if (i.row == INSN_ROW_BAD)
        return 0;
    check_registers(&i);
    check_extent(d, key, data + 1, &i);
    if (which == 0 && is_vex2(key, data + 1))
        check_long_vex(d, key, data + 1, &i);
    return 0;
}
