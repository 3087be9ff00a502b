/*
 * Guest layouts (keymap.h): a row for each, with a character for each key and level.
 *
 * Keys stand in the order of layout_keys: the four rows of the keyboard from the key left of 1, each from left to
 * right.  A combining mark (U+0300...) is a dead key.  Levels: plain, shift, AltGr; of AltGr what the layout's
 * keyboards are labelled with, not all that X has beyond.
 */
#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "ui/keymap.h"

enum { LEVELS = 3, ENTER = 0x28, ESCAPE = 0x29, BACKSPACE = 0x2a, TAB = 0x2b, SPACE = 0x2c };

struct KeyLayout {
    const char *name, *others; /* the latter separated by blanks, or NULL */
    const char *level[LEVELS];
};

static const uint8_t layout_keys[] = {
    0x35, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, /* ` 1 to 0 - = */
    0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30,       /* Q to P [ ] */
    0x04, 0x16, 0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x31,       /* A to L ; ' \ */
    0x64, 0x1d, 0x1b, 0x06, 0x19, 0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0x87,       /* 102nd, Z to M , . / and Ro */
};

static const KeyLayout layouts[] = {
    { "us", "en-us",
      { "`1234567890-=qwertyuiop[]asdfghjkl;'\\ zxcvbnm,./",
        "~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"| ZXCVBNM<>?",
        "" } },
    { "uk", "en-gb gb",
      { "`1234567890-=qwertyuiop[]asdfghjkl;'#\\zxcvbnm,./",
        "¬!\"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~|ZXCVBNM<>?",
        " ¹²³€½¾                           \u0301   «»¢   µ" } },
    { "de", NULL,
      { "\u03021234567890ß\u0301qwertzuiopü+asdfghjklöä#<yxcvbnm,.-",
        "°!\"§$%&/()=?\u0300QWERTZUIOPÜ*ASDFGHJKLÖÄ'>YXCVBNM;:_",
        " ¹²³¼½¬{[]}\\ @ €        ~            |»«¢   µ" } },
    { "de-ch", "ch",
      { "§1234567890'\u0302qwertzuiopü\u0308asdfghjklöä$<yxcvbnm,.-",
        "°+\"*ç%&/()=?\u0300QWERTZUIOPè!ASDFGHJKLéà£>YXCVBNM;:_",
        "¬ @#¼½¬|¢  \u0301\u0303@ €       []         \u0301{}\\«»¢   µ" } },
    { "fr", NULL,
      { "²&é\"'(-è_çà)=azertyuiop\u0302$qsdfghjklmù*<wxcvbn,;:!",
        "³1234567890°+AZERTYUIOP\u0308£QSDFGHJKLM%µ>WXCVBN?./§",
        "¹ ~#{[|`\\^@]}  €                   \u0301  «»   ¬" } },
    { "fr-be", "be",
      { "²&é\"'(§è!çà)-azertyuiop\u0302$qsdfghjklmùµ<wxcvbn,;:=",
        "³1234567890°_AZERTYUIOP\u0308*QSDFGHJKLM%£>WXCVBN?./+",
        "¬|@#¼½^  {}   @ €       []         \u0301\u0301\u0300\\«»¢      \u0303" } },
    { "fr-ca", NULL,
      { "#1234567890-=qwertyuiop\u0302\u0327asdfghjkl;\u0300<«zxcvbnm,.é",
        "|!\"/$%?&*()_+QWERTYUIOP\u0302\u0308ASDFGHJKL:\u0300>»ZXCVBNM'.É",
        "\\ @£¢ ¬¦²³¼½¾        § []         ~{}°      µ  \u0301" } },
    { "fr-ch", NULL,
      { "§1234567890'\u0302qwertzuiopè\u0308asdfghjkléà$<yxcvbnm,.-",
        "°+\"*ç%&/()=?\u0300QWERTZUIOPü!ASDFGHJKLöä£>YXCVBNM;:_",
        "¬ @#¼½¬|¢  \u0301\u0303@ €       []         \u0301{}\\«»¢   µ" } },
    { "es", NULL,
      { "º1234567890'¡qwertyuiop\u0300+asdfghjklñ\u0301ç<zxcvbnm,.-",
        "ª!\"·$%&/()=?¿QWERTYUIOP\u0302*ASDFGHJKLÑ\u0308Ç>ZXCVBNM;:_",
        "\\|@#~½¬      @ €       []          {}|«»¢   µ" } },
    { "it", NULL,
      { "\\1234567890'ìqwertyuiopè+asdfghjklòàù<zxcvbnm,.-",
        "|!\"£$%&/()=?^QWERTYUIOPé*ASDFGHJKLç°§>ZXCVBNM;:_",
        "¬¹²³¼½¬{  }`~@ €       []         @# ««»¢   µ\u0301" } },
    { "pt", NULL,
      { "\\1234567890'«qwertyuiop+\u0301asdfghjklçº\u0303<zxcvbnm,.-",
        "|!\"#$%&/()=?»QWERTYUIOP*\u0300ASDFGHJKLÇª\u0302>ZXCVBNM;:_",
        "¬¹@£§½¬{[]}  @ €                        ¢   µ" } },
    { "pt-br", "br",
      { "'1234567890-=qwertyuiop\u0301[asdfghjklç\u0303]\\zxcvbnm,.;/",
        "\"!@#$%\u0308&*()_+QWERTYUIOP\u0300{ASDFGHJKLÇ\u0302}|ZXCVBNM<>:?",
        "¬¹²³£¢¬     §  °                   ~  «»    µ   °" } },
    { "sv", "se",
      { "§1234567890+\u0301qwertyuiopå\u0308asdfghjklöä'<zxcvbnm,.-",
        "½!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLÖÄ*>ZXCVBNM;:_",
        "  @£$€ {[]}\\ @ €        \u0303            |«»    µ" } },
    { "da", "dk",
      { "½1234567890+\u0301qwertyuiopå\u0308asdfghjklæø'<zxcvbnm,.-",
        "§!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLÆØ*>ZXCVBNM;:_",
        "¾ @£$  {[]} |@ €        \u0303            \\«»    µ" } },
    { "no", NULL,
      { "|1234567890+\\qwertyuiopå\u0308asdfghjkløæ'<zxcvbnm,.-",
        "§!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLØÆ*>ZXCVBNM;:_",
        "¦ @£$½ {[]} \u0301@ €        \u0303         \u0301  ½«»    µ" } },
    { "fi", NULL,
      { "§1234567890+\u0301qwertyuiopå\u0308asdfghjklöä'<zxcvbnm,.-",
        "½!\"#¤%&/()=?\u0300QWERTYUIOPÅ\u0302ASDFGHJKLÖÄ*>ZXCVBNM;:_",
        "  @£$  {[]}\\   €        \u0303            |      µ" } },
    { "pl", NULL,
      { "`1234567890-=qwertyuiop[]asdfghjkl;'\\ zxcvbnm,./",
        "~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"| ZXCVBNM<>?",
        "¬ ²³¢€½§ «»    ę     ó   ąś      ł\u0301   żźć  ńµ" } },
    { "cz", NULL,
      { ";+ěščřžýáíé=\u0301qwertzuiopú)asdfghjklů§\u0308\\yxcvbnm,.-",
        "\u030a1234567890%\u030cQWERTZUIOP/(ASDFGHJKL\"!'|YXCVBNM?:_",
        "` @#$ ^&*{}    €       []~đĐ[]` łŁ$   °#&@{}^<>*" } },
    { "hu", NULL,
      { "0123456789öüóqwertzuiopőúasdfghjkléáűíyxcvbnm,.-",
        "§'\"+!%/=()ÖÜÓQWERTZUIOPŐÚASDFGHJKLÉÁŰÍYXCVBNM?:_",
        "¬~ ^   ` \u0301   \\|Ä   €   ÷×äđĐ[]  łŁ$ß¤<>#&@{}<;>*" } },
    { "tr", NULL,
      { "\"1234567890*-qwertyuıopğüasdfghjklşi,<zxcvbnmöç.",
        "é!'^+%&/()=?_QWERTYUIOPĞÜASDFGHJKLŞİ;>ZXCVBNMÖÇ:",
        "  £#$½¾{[]}\\|@ €        ~           `|«»¢   µ" } },
};

/* ---- names ---- */

const KeyLayout *layout_nth(unsigned n) { return n < G_N_ELEMENTS(layouts) ? &layouts[n] : NULL; }
const char *layout_name(const KeyLayout *l) { return l->name; }

static bool is_called(const KeyLayout *l, const char *name)
{
    g_auto(GStrv) others = g_strsplit(l->others ? l->others : "", " ", -1);
    return !strcmp(l->name, name) || g_strv_contains((const char *const *)others, name);
}

const KeyLayout *layout_find(const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(layouts) + 1] = { NULL };
    for (unsigned n = 0; n < G_N_ELEMENTS(layouts); n++) {
        if (is_called(&layouts[n], name))
            return &layouts[n];
        names[n] = layouts[n].name;
    }
    error_unknown(err, "-k", "layout", name, names);
    return NULL;
}

void layout_set(Machine *m, const KeyLayout *l) { machine_provide(m, "keyboard-layout", (void *)l); }

const KeyLayout *layout_of(Machine *m)
{
    const KeyLayout *l = machine_find(m, "keyboard-layout");
    return l ? l : &layouts[0];
}

/* ---- characters to strokes ---- */

static bool level_find(const KeyLayout *l, unsigned level, uint32_t character, KeyStroke *stroke)
{
    static const uint8_t modifiers[LEVELS] = { 0, STROKE_SHIFT, STROKE_ALTGR };
    const char *at = l->level[level];
    for (unsigned n = 0; *at && n < G_N_ELEMENTS(layout_keys); n++, at = g_utf8_next_char(at))
        if (g_utf8_get_char(at) == character) {
            *stroke = (KeyStroke){ layout_keys[n], modifiers[level] };
            return true;
        }
    return false;
}

static bool direct_find(const KeyLayout *l, uint32_t character, KeyStroke *stroke)
{
    for (unsigned level = 0; character > ' ' && level < LEVELS; level++)
        if (level_find(l, level, character, stroke))
            return true;
    return false;
}

/* The accents by themselves: a dead key and space. */
static uint32_t accent_mark(uint32_t character)
{
    static const struct { uint16_t accent, mark; } accents[] = {
        { '`', 0x300 }, { 0xb4, 0x301 }, { '^', 0x302 }, { '~', 0x303 }, { 0xaf, 0x304 }, { 0x2d8, 0x306 },
        { 0x2d9, 0x307 }, { 0xa8, 0x308 }, { 0xb0, 0x30a }, { 0x2dd, 0x30b }, { 0x2c7, 0x30c },
        { 0xb8, 0x327 }, { 0x2db, 0x328 },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(accents); n++)
        if (accents[n].accent == character)
            return accents[n].mark;
    return 0;
}

static unsigned dead_find(const KeyLayout *l, uint32_t character, KeyStroke strokes[STROKES_MAX])
{
    gunichar base = ' ', mark = accent_mark(character);
    strokes[1] = (KeyStroke){ SPACE, 0 };
    if (!mark && !g_unichar_decompose(character, &base, &mark))
        return 0;
    return direct_find(l, mark, &strokes[0]) && (base == ' ' || direct_find(l, base, &strokes[1])) ? 2 : 0;
}

static bool control_find(const KeyLayout *l, uint32_t character, KeyStroke *stroke)
{
    static const uint8_t keys[] = {
        [8] = BACKSPACE, [9] = TAB, [10] = ENTER, [13] = ENTER, [27] = ESCAPE, [' '] = SPACE,
    };
    *stroke = (KeyStroke){ character < sizeof keys ? keys[character] : 0, 0 };
    if (stroke->key)
        return true;
    if (!character || character > 26 || !direct_find(l, character + 'a' - 1, stroke))
        return false;
    stroke->modifiers |= STROKE_CTRL;
    return true;
}

unsigned layout_strokes(const KeyLayout *l, uint32_t character, KeyStroke strokes[STROKES_MAX])
{
    if (character == 0xa0) /* no-break space */
        character = ' ';
    if (character <= ' ')
        return control_find(l, character, &strokes[0]);
    return direct_find(l, character, &strokes[0]) ? 1 : dead_find(l, character, strokes);
}
