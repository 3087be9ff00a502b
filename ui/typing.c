/* Typing into the guest's keyboard (typing.h): the machine's slot "typing". */
#include "ui/typing.h"

#include <string.h>

#include "core/error.h"
#include "ui/keymap.h"

/* Characters that are typed faster than a firmware's loop asks for keys are lost in its buffer of 16. */
enum { WAITING_MAX = 256, TEXT_HOLD_MS = 10 };

typedef struct Typing {
    Machine *machine;
    Timer *timer;
    GQueue *waiting; /* Chord *; the first is held down while the timer is armed and `down` */
    bool down;
    GString *text;   /* that waits behind those; typed up to `at` */
    gsize at;
} Typing;

/* ---- chords ---- */

static void press(Typing *t, const Chord *c, bool down)
{
    for (unsigned i = 0; i < c->count; i++)
        input_key(t->machine, c->keys[down ? i : c->count - 1 - i], down);
    t->down = down;
    timer_arm(t->timer, clock_now(t->machine->clocks, MYNA_CLOCK_VIRTUAL) + c->hold_ms * INT64_C(1000000));
}

/* ---- text ---- */

/* Caps lock turns shift around, for letters whose key has both. */
static bool turned_by_caps_lock(const Typing *t, uint32_t character, const KeyStroke *s)
{
    return input_leds(t->machine) & INPUT_CAPS_LOCK && !(s->modifiers & ~STROKE_SHIFT) &&
           g_unichar_isalpha(character) && g_unichar_toupper(character) != g_unichar_tolower(character) &&
           !!(s->modifiers & STROKE_SHIFT) == g_unichar_isupper(character);
}

static void add_stroke(Typing *t, KeyStroke s)
{
    static const uint8_t keys[] = { KEY_LEFT_SHIFT, KEY_RIGHT_ALT, KEY_LEFT_CTRL };
    Chord *c = g_new0(Chord, 1);
    c->hold_ms = TEXT_HOLD_MS;
    for (unsigned n = 0; n < G_N_ELEMENTS(keys); n++)
        if (s.modifiers >> n & 1)
            c->keys[c->count++] = keys[n];
    c->keys[c->count++] = s.key;
    g_queue_push_tail(t->waiting, c);
}

/* The next character that the layout has becomes chords. */
static void take_character(Typing *t)
{
    while (t->at < t->text->len && g_queue_is_empty(t->waiting)) {
        const char *from = t->text->str + t->at;
        uint32_t character = g_utf8_get_char(from);
        KeyStroke strokes[STROKES_MAX];
        unsigned count = layout_strokes(layout_of(t->machine), character, strokes);
        t->at = g_utf8_next_char(from) - t->text->str;
        for (unsigned n = 0; n < count; n++) {
            if (count == 1 && turned_by_caps_lock(t, character, &strokes[n]))
                strokes[n].modifiers ^= STROKE_SHIFT;
            add_stroke(t, strokes[n]);
        }
    }
    if (t->at == t->text->len) {
        g_string_truncate(t->text, 0);
        t->at = 0;
    }
}

/* Lets go of the first, or presses the next. */
static void go_on(void *opaque)
{
    Typing *t = opaque;
    if (!t->down)
        take_character(t);
    Chord *c = g_queue_peek_head(t->waiting);
    if (!c)
        return;
    press(t, c, !t->down);
    if (!t->down)
        g_free(g_queue_pop_head(t->waiting));
}

/* ---- for faces ---- */

static Typing *typing_of(Machine *m)
{
    Typing *t = machine_find(m, "typing");
    if (t)
        return t;
    t = g_new0(Typing, 1);
    t->machine = m;
    t->waiting = g_queue_new();
    t->text = g_string_new(NULL);
    t->timer = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, go_on, t);
    machine_provide(m, "typing", t);
    return t;
}

static void start(Typing *t)
{
    if (!timer_armed(t->timer))
        go_on(t);
}

gboolean typing_add(Machine *m, const Chord *chord, GError **err)
{
    Typing *t = typing_of(m);
    if (!input_has_keyboard(m))
        return error_set(err, "this machine has no keyboard");
    if (g_queue_get_length(t->waiting) >= WAITING_MAX)
        return error_set(err, "%d key presses wait already: let the machine run", WAITING_MAX);
    g_queue_push_tail(t->waiting, g_memdup2(chord, sizeof *chord));
    start(t);
    return TRUE;
}

static unsigned count_left_out(const KeyLayout *l, const char *text)
{
    unsigned left_out = 0;
    KeyStroke strokes[STROKES_MAX];
    for (const char *c = text; *c; c = g_utf8_next_char(c))
        left_out += !layout_strokes(l, g_utf8_get_char(c), strokes);
    return left_out;
}

/* One Enter for each end of line, however it is written. */
static void append_lines(GString *to, const char *text)
{
    g_autofree char *composed = g_utf8_normalize(text, -1, G_NORMALIZE_NFC);
    for (const char *c = composed; *c; c++)
        if (c[0] != '\r' || c[1] != '\n')
            g_string_append_c(to, *c);
}

gboolean typing_text(Machine *m, const char *text, unsigned *left_out, GError **err)
{
    Typing *t = typing_of(m);
    gsize size = strlen(text);
    if (!input_has_keyboard(m))
        return error_set(err, "this machine has no keyboard");
    if (!g_utf8_validate(text, size, NULL))
        return error_set(err, "this is no text (UTF-8)");
    if (size > TYPING_TEXT_MAX - MIN(t->text->len, TYPING_TEXT_MAX))
        return error_set(err, "%" G_GSIZE_FORMAT " bytes of text, beside %" G_GSIZE_FORMAT " that wait: at most %d",
                         size, t->text->len, TYPING_TEXT_MAX);
    if (left_out)
        *left_out = count_left_out(layout_of(m), text);
    append_lines(t->text, text);
    start(t);
    return TRUE;
}

void typing_stop(Machine *m)
{
    Typing *t = machine_find(m, "typing");
    if (!t)
        return;
    if (t->down)
        press(t, g_queue_peek_head(t->waiting), false);
    g_queue_clear_full(t->waiting, g_free);
    g_string_truncate(t->text, 0);
    t->at = 0;
}

void typing_free(Machine *m)
{
    Typing *t = machine_find(m, "typing");
    if (!t)
        return;
    timer_free(t->timer);
    g_queue_free_full(t->waiting, g_free);
    g_string_free(t->text, TRUE);
    g_free(t);
    machine_provide(m, "typing", NULL);
}
