/*
 * Networks and their cards as the command line has them (machines/networks.h): QEMU's three notations.
 *
 *   -netdev TYPE,id=ID,...      a network, for -device CARD,netdev=ID
 *   -nic TYPE,model=,mac=,...   a network and its card
 *   -net nic,... -net TYPE,...  cards and networks, all on one hub
 */
#include "machines/networks.h"

#include <string.h>

#include "backends/net/net.h"
#include "backends/net/user.h"
#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "machines/board.h"

#define DEFAULT_MODEL "e1000"

/* ---- models ---- */

static bool type_is_card(const DeviceType *type)
{
    for (const Property *p = type->properties; type->user && p && p->name; p++) {
        if (p->type == PROP_NET)
            return true;
    }
    return false;
}

/* The cards' names, ended by NULL. */
static GPtrArray *models(const DeviceType *const *types)
{
    GPtrArray *names = g_ptr_array_new();
    for (; *types; types++) {
        if (type_is_card(*types))
            g_ptr_array_add(names, (gpointer)(*types)->name);
    }
    g_ptr_array_add(names, NULL);
    return names;
}

static bool have_model(const DeviceType *const *types, const char *name)
{
    g_autoptr(GPtrArray) names = models(types);
    return g_strv_contains((const char *const *)names->pdata, name);
}

void networks_list_models(const DeviceType *const *types)
{
    g_autoptr(GPtrArray) names = models(types);
    g_print("Network cards:\n");
    for (guint i = 0; i + 1 < names->len; i++)
        g_print("%s\n", (const char *)names->pdata[i]);
}

/* ---- text for net_open() and -device ---- */

/* ",key=value", commas doubled as the notation has it. */
static void text_add(GString *text, const char *key, const char *value)
{
    g_string_append_printf(text, ",%s=", key);
    for (; *value; value++) {
        g_string_append_c(text, *value);
        if (*value == ',')
            g_string_append_c(text, ',');
    }
}

static void text_take(GString *text, GPtrArray *pairs, const char *key, const char *as)
{
    g_autofree char *value = option_pairs_take(pairs, key);
    if (value)
        text_add(text, as, value);
}

/* An id that no network has. */
static char *free_id(Machine *m, const char *prefix)
{
    for (unsigned i = 0;; i++) {
        char *id = g_strdup_printf("%s%u", prefix, i);
        if (!net_find(m, id))
            return id;
        g_free(id);
    }
}

/* ---- cards ---- */

/* What -nic and -net nic say of a card is taken off the pairs. */
typedef struct Card {
    const char *what;       /* "-nic", for errors */
    const char *mac_key, *id_key; /* the id's: NULL, there is none */
} Card;

static const Card card_of_nic = {"-nic", "mac", NULL}, card_of_net = {"-net nic", "macaddr", "name"};

static gboolean card_add(Machine *m, const Options *o, const Card *card, GPtrArray *pairs, const char *network,
                         GError **err)
{
    g_autofree char *model = option_pairs_take(pairs, "model");
    const char *name = !model ? DEFAULT_MODEL : !strcmp(model, "virtio") ? "virtio-net-pci" : model;
    if (!have_model(o->types, name)) {
        g_autoptr(GPtrArray) names = models(o->types);
        return error_unknown(err, card->what, "card", name, (const char *const *)names->pdata);
    }
    g_autoptr(GString) text = g_string_new(name);
    text_take(text, pairs, card->mac_key, "mac");
    text_take(text, pairs, "addr", "addr");
    text_take(text, pairs, "vectors", "vectors");
    if (card->id_key)
        text_take(text, pairs, card->id_key, "id");
    if (network)
        text_add(text, "netdev", network);
    return board_add_user_device(m, o, text->str, err);
}

/* ---- -nic ---- */

/* Opens the network that the pairs, less those of its card, say; *id is its id, to be freed. */
static gboolean network_open(Machine *m, GPtrArray *pairs, const char *prefix, char **id, GError **err)
{
    g_autofree char *type = option_pairs_take(pairs, "type");
    g_autoptr(GString) text = g_string_new(type);
    *id = option_pairs_take(pairs, "id");
    *id = *id ? *id : free_id(m, prefix);
    text_add(text, "id", *id);
    for (guint i = 0; i < pairs->len; i++) {
        const OptionPair *pair = pairs->pdata[i];
        if (pair->value)
            text_add(text, pair->key, pair->value);
        else
            g_string_append_printf(text, ",%s", pair->key);
    }
    return net_open(m, text->str, err);
}

/* The card's part of the pairs: moved, so that the network gets the rest. */
static GPtrArray *card_pairs(GPtrArray *pairs, const Card *card)
{
    const char *const keys[] = {"model", card->mac_key, "addr", "vectors"};
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        text_take(text, pairs, keys[i], keys[i]);
    return option_pairs_parse(text->str, NULL);
}

static gboolean nic_create(Machine *m, const Options *o, const char *argument, GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(argument, "type"), card = card_pairs(pairs, &card_of_nic);
    g_autofree char *id = NULL;
    if (!option_pairs_get(pairs, "type"))
        return error_set(err, "-nic: '%s' names no type of network; -nic user,... is the usual one", argument);
    return network_open(m, pairs, "nic", &id, err) && card_add(m, o, &card_of_nic, card, id, err);
}

/* ---- -net ---- */

static bool net_is_card(const char *argument)
{
    return !strcmp(argument, "nic") || g_str_has_prefix(argument, "nic,") || g_str_has_prefix(argument, "type=nic");
}

static unsigned net_cards(const Options *o)
{
    unsigned n = 0;
    for (guint i = 0; i < o->nets->len; i++)
        n += net_is_card(o->nets->pdata[i]);
    return n;
}

/* A new port of the hub that -net means, with another network on it or for a card; its id is to be freed. */
static char *hub_port(Machine *m, const char *joined, GError **err)
{
    char *id = free_id(m, "hub0port");
    g_autoptr(GString) text = g_string_new("hubport,hubid=0");
    text_add(text, "id", id);
    if (joined)
        text_add(text, "netdev", joined);
    if (net_open(m, text->str, err))
        return id;
    g_free(id);
    return NULL;
}

/* One card and one network need no hub; *only is then the network. */
static gboolean net_networks_create(Machine *m, const Options *o, bool hub, char **only, GError **err)
{
    for (guint i = 0; i < o->nets->len; i++) {
        g_autoptr(GPtrArray) pairs = option_pairs_parse(o->nets->pdata[i], "type");
        g_autofree char *id = NULL, *port = NULL;
        if (net_is_card(o->nets->pdata[i]))
            continue;
        if (!network_open(m, pairs, "net", &id, err) || (hub && !(port = hub_port(m, id, err))))
            return FALSE;
        if (!hub)
            *only = g_steal_pointer(&id);
    }
    return TRUE;
}

static gboolean net_card_create(Machine *m, const Options *o, const char *argument, bool hub, const char *only,
                                GError **err)
{
    g_autoptr(GPtrArray) pairs = option_pairs_parse(argument, "type");
    g_autofree char *network = option_pairs_take(pairs, "netdev");
    g_free(option_pairs_take(pairs, "type"));
    if (!network)
        network = hub ? hub_port(m, NULL, err) : g_strdup(only);
    if (!network && hub)
        return FALSE;
    if (!card_add(m, o, &card_of_net, pairs, network, err))
        return FALSE;
    static const char *const keys[] = {"model", "macaddr", "name", "addr", "vectors", "netdev", NULL};
    return !pairs->len || error_unknown(err, "-net nic", "property", ((const OptionPair *)pairs->pdata[0])->key, keys);
}

static gboolean nets_create(Machine *m, const Options *o, GError **err)
{
    unsigned cards = net_cards(o);
    bool hub = cards != 1 || o->nets->len != 2;
    g_autofree char *only = NULL;
    if (!net_networks_create(m, o, hub, &only, err))
        return FALSE;
    for (guint i = 0; i < o->nets->len; i++) {
        if (net_is_card(o->nets->pdata[i]) && !net_card_create(m, o, o->nets->pdata[i], hub, only, err))
            return FALSE;
    }
    return TRUE;
}

/* ---- -object filter-dump ---- */

typedef struct DumpOptions {
    char *type, *id, *netdev, *file;
    unsigned maxlen;
} DumpOptions;

static const OptionField dump_fields[] = {
    OPTION_FIELD(DumpOptions, type, "qom-type", OPTION_STRING), OPTION_FIELD(DumpOptions, id, "id", OPTION_STRING),
    OPTION_FIELD(DumpOptions, netdev, "netdev", OPTION_STRING), OPTION_FIELD(DumpOptions, file, "file", OPTION_STRING),
    OPTION_FIELD(DumpOptions, maxlen, "maxlen", OPTION_UNSIGNED), OPTION_FIELD_END,
};

static gboolean dump_start(Machine *m, const DumpOptions *d, GError **err)
{
    if (!d->netdev || !d->file)
        return error_set(err, "-object filter-dump: it needs %s",
                         d->netdev ? "file=FILE" : "netdev=ID, the network's");
    NetBackend *n = net_find(m, d->netdev);
    if (!n)
        return error_set(err, "-object filter-dump: there is no network '%s'; -netdev ...,id=%s makes one", d->netdev,
                         d->netdev);
    return net_capture_start(n, d->file, d->maxlen, err);
}

gboolean networks_create_object(Machine *m, const char *text, GError **err)
{
    DumpOptions d = {0};
    gboolean ok = option_fields_parse("-object filter-dump", text, "qom-type", dump_fields, &d, err) &&
                  dump_start(m, &d, err);
    option_fields_clear(dump_fields, &d);
    return ok;
}

/* ---- all ---- */

static bool nobody_asked(const Options *o)
{
    return !o->no_network && !o->netdevs->len && !o->nics->len && !o->nets->len;
}

/* What the board has by itself, as far as it is built in. */
static gboolean default_create(Machine *m, const Options *o, GError **err)
{
    if (o->nodefaults || !net_user_available() || !have_model(o->types, DEFAULT_MODEL))
        return TRUE;
    return nic_create(m, o, "user", err);
}

/* Where the user asked for a network by NAT, what will not work there is better known beforehand. */
static void warn_of_ping(Machine *m)
{
    NetBackend *n;
    for (unsigned i = 0; (n = net_nth(m, i)); i++) {
        if (!net_is_user(n) || net_user_is_restricted(n))
            continue;
        g_autofree char *problem = net_user_ping_problem();
        if (problem)
            log_user("network '%s': %s", net_id(n), problem);
        return;
    }
}

typedef gboolean CreateOne(Machine *m, const Options *o, const char *argument, GError **err);

static gboolean netdev_create(Machine *m, const Options *o, const char *argument, GError **err)
{
    (void)o;
    return net_open(m, argument, err);
}

static gboolean each(Machine *m, const Options *o, const GPtrArray *list, CreateOne *one, GError **err)
{
    for (guint i = 0; i < list->len; i++) {
        if (!one(m, o, list->pdata[i], err))
            return FALSE;
    }
    return TRUE;
}

gboolean networks_create(Machine *m, const Options *o, GError **err)
{
    if (nobody_asked(o))
        return default_create(m, o, err);
    if (!each(m, o, o->netdevs, netdev_create, err) || !each(m, o, o->nics, nic_create, err) ||
        !nets_create(m, o, err))
        return FALSE;
    warn_of_ping(m);
    return TRUE;
}
