/*
 * Two front ends on one character back end, with QEMU's Ctrl-A keys (char_mux in char.h).
 *
 * Input is kept in a ring for each half until its front end takes it.  Ctrl-A commands act at once, also when the guest
 * takes no input: that is how one leaves a machine that hangs.
 */
#include <string.h>

#include "backends/char/backend.h"

enum { RING_SIZE = 1024, CTRL_A = 1 };

typedef struct Ring {
    uint8_t data[RING_SIZE];
    unsigned head, count;
} Ring;

struct CharMux {
    CharBackend *half[2];
    unsigned focus;
    bool escape; /* the last byte was Ctrl-A */
    Ring ring[2];
};

static void ring_put(Ring *r, uint8_t byte)
{
    if (r->count < RING_SIZE)
        r->data[(r->head + r->count++) % RING_SIZE] = byte;
}

static void ring_flush(Ring *r, CharBackend *to)
{
    while (r->count) {
        unsigned size = MIN(MIN(r->count, RING_SIZE - r->head), char_frontend_room(to));
        if (!size)
            return;
        uint8_t bytes[RING_SIZE];
        memcpy(bytes, r->data + r->head, size);
        r->head = (r->head + size) % RING_SIZE;
        r->count -= size;
        char_frontend_receive(to, bytes, size);
    }
}

void char_mux_flush(CharMux *mux)
{
    for (unsigned i = 0; i < 2; i++)
        ring_flush(&mux->ring[i], mux->half[i]);
}

unsigned char_mux_room(const CharMux *mux)
{
    unsigned room = RING_SIZE - mux->ring[mux->focus].count;
    return room || !mux->half[0]->interactive ? room : RING_SIZE;
}

static void mux_print(CharMux *mux, const char *text)
{
    char_write(mux->half[0], text, strlen(text));
}

static void mux_help(CharMux *mux)
{
    mux_print(mux, "\r\n"
                   "C-a h    this help\r\n"
                   "C-a x    end the emulator\r\n"
                   "C-a c    switch between console and monitor\r\n"
                   "C-a b    send a break\r\n"
                   "C-a C-a  send C-a\r\n");
}

static void mux_switch(CharMux *mux)
{
    mux->focus = !mux->focus;
    char_frontend_event(mux->half[1], mux->focus ? CHAR_OPENED : CHAR_HIDDEN);
}

/* The key after Ctrl-A. */
static void mux_command(CharMux *mux, uint8_t key)
{
    switch (g_ascii_tolower(key)) {
    case 'h':
    case '?':
        mux_help(mux);
        break;
    case 'x':
        mux_print(mux, "\r\nmyna: ended by Ctrl-A X\r\n");
        machine_quit(mux->half[0]->machine, 0);
        break;
    case 'c':
        mux_switch(mux);
        break;
    case 'b':
        char_frontend_event(mux->half[mux->focus], CHAR_BREAK);
        break;
    case CTRL_A:
        ring_put(&mux->ring[mux->focus], CTRL_A);
        break;
    }
}

void char_mux_receive(CharMux *mux, const uint8_t *data, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (mux->escape) {
            mux->escape = false;
            mux_command(mux, data[i]);
        } else if (data[i] == CTRL_A) {
            mux->escape = true;
        } else {
            ring_put(&mux->ring[mux->focus], data[i]);
        }
    }
    char_mux_flush(mux);
}

void char_mux_free(CharMux *mux)
{
    g_free(mux);
}

CharBackend *char_mux(CharBackend *c)
{
    if (c->mux)
        return c->mux->half[1];
    char *id = g_strdup_printf("%s-mux", c->id);
    CharMux *mux = g_new0(CharMux, 1);
    mux->half[0] = c;
    mux->half[1] = char_register(c->machine, id);
    mux->half[1]->kind = "mux";
    mux->half[1]->first = c;
    g_free(id);
    c->mux = mux;
    if (c->share_keys)
        c->share_keys(c);
    char_accept_input(c);
    return mux->half[1];
}
