/* Images described by parts: -blockdev, json:{...}, and what is said of mistakes. */
#include "backends/block/image_node.h"

#include <string.h>

#include "config.h"
#include "core/options.h"
#include "util/bits.h"

static GPtrArray *parse(const char *text)
{
    GError *err = NULL;
    GPtrArray *pairs = image_node_parse("-blockdev", text, &err);
    g_assert_no_error(err);
    return pairs;
}

static void settle(const char *text, ImageNode *n)
{
    g_autoptr(GPtrArray) pairs = parse(text);
    GError *err = NULL;
    image_node_settle("here", pairs, n, &err);
    g_assert_no_error(err);
}

static void test_layers(void)
{
    ImageNode n;

    settle("qcow2,node-name=d,read-only=on,discard=unmap,file.driver=file,file.filename=a,,b.img,file.cache.direct=on,"
           "file.aio=threads,file.locking=off", &n);
    g_assert_cmpstr(n.name, ==, "d");
    g_assert_cmpstr(n.format, ==, "qcow2");
    g_assert_cmpstr(n.file, ==, "a,b.img");
    g_assert_cmpstr(n.aio, ==, "threads");
    g_assert_null(n.backing);
    g_assert_true(n.readonly && n.discard && n.direct && n.no_lock && !n.no_flush);
    image_node_clear(&n);
    settle("file,node-name=x,filename=x.img", &n);
    g_assert_cmpstr(n.format, ==, "raw");
    image_node_clear(&n);
    settle("driver=throttle,throttle-group=g,node-name=x,file.driver=raw,file.file.driver=host_device,"
           "file.file.filename=/dev/x", &n);
    g_assert_cmpstr(n.throttle_group, ==, "g");
    g_assert_cmpstr(n.file, ==, "/dev/x");
    image_node_clear(&n);
    settle("driver=qcow2,file.driver=nbd,file.server.type=inet,file.server.host=::1,file.server.port=1,file.export=a b", &n);
    g_assert_cmpstr(n.file, ==, "nbd://[::1]:1/a%20b");
    image_node_clear(&n);
    settle("driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=/s,file.export=x", &n);
    g_assert_cmpstr(n.file, ==, "nbd+unix:///x?socket=/s");
    image_node_clear(&n);
}

/* A backing image's description is a file name that means the same. */
static void test_backing(void)
{
    ImageNode n, below;
    GError *err = NULL;

    settle("qcow2,file.filename=a,backing=", &n);
    g_assert_cmpstr(n.backing, ==, "");
    image_node_clear(&n);
    settle("qcow2,file.filename=a,backing.driver=raw,backing.read-only=on,backing.file.filename=b,,c", &n);
    g_assert_true(image_node_is_name(n.backing));
    g_assert_true(image_node_from_name("here", n.backing, &below, &err));
    g_assert_cmpstr(below.format, ==, "raw");
    g_assert_cmpstr(below.file, ==, "b,c");
    g_assert_true(below.readonly);
    image_node_clear(&below);
    image_node_clear(&n);
    g_assert_false(image_node_is_name("disk.img"));
}

static void test_references(void)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) used = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) top = parse("qcow2,node-name=top,file=f,backing=base");
    GError *err = NULL;
    ImageNode n;

    g_ptr_array_add(all, parse("file,node-name=f,filename=top.qcow2"));
    g_ptr_array_add(all, parse("file,node-name=g,filename=base.img"));
    g_ptr_array_add(all, parse("raw,node-name=base,file=g"));
    g_assert_true(image_node_expand("here", top, all, used, &err));
    g_assert_cmpuint(used->len, ==, 3);
    g_assert_true(image_node_settle("here", top, &n, &err));
    g_assert_cmpstr(n.name, ==, "top");
    g_assert_cmpstr(n.file, ==, "top.qcow2");
    g_assert_nonnull(strstr(n.backing, "base.img"));
    image_node_clear(&n);
}

static void test_json(void)
{
#ifdef CONFIG_JSON_GLIB
    ImageNode n;
    GError *err = NULL;

    settle("{\"driver\": \"qcow2\", \"node-name\": \"n\", \"backing\": null, \"read-only\": true,"
           "\"cache\": {\"no-flush\": true}, \"file\": {\"driver\": \"file\", \"filename\": \"x=1,y\"}}", &n);
    g_assert_cmpstr(n.file, ==, "x=1,y");
    g_assert_cmpstr(n.backing, ==, "");
    g_assert_true(n.readonly && n.no_flush);
    image_node_clear(&n);
    g_assert_false(image_node_from_name("here", "json:{", &n, &err));
    g_assert_nonnull(strstr(err->message, "not a JSON object"));
    g_clear_error(&err);
    g_assert_false(image_node_from_name("here", "json:[1]", &n, &err));
    g_clear_error(&err);
#else
    g_test_skip("built without json-glib");
#endif
}

static void test_mistakes(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        { "raw,node-name=a,file=b", "file.filename= is missing" }, /* of which nobody put the node in */
        { "raw,file.driver=file", "file.filename= is missing" },
        { "raw,file.filename=a,fiel=3", "'fiel' is unknown" },
        { "qcow2,file.driver=raw,file.file.filename=a", "not on another format" },
        { "raw,file.filename=a,read-only=maybe", "read-only=" },
        { "raw,file.filename=a,discard=maybe", "discard" },
        { "raw,file.filename=a,file.locking=maybe", "locking=" },
        { "raw,file.driver=nbd", "server.host" },
        { "raw", "filename= is missing" },
    };

    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        g_autoptr(GPtrArray) pairs = parse(cases[k].text);
        g_autoptr(GError) err = NULL;
        ImageNode n;
        g_assert_false(image_node_settle("here", pairs, &n, &err));
        if (!strstr(err->message, cases[k].part))
            g_error("'%s' does not mention '%s'", err->message, cases[k].part);
        g_assert_null(n.file);
    }
}

/* Nodes that stand on each other, or upon themselves. */
static void test_circles(void)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) top = parse("raw,node-name=c,file=a"), lost = parse("raw,node-name=c,file=zz");
    GError *err = NULL;

    g_ptr_array_add(all, parse("raw,node-name=a,file=b"));
    g_ptr_array_add(all, parse("raw,node-name=b,file=a,backing=b"));
    g_assert_false(image_node_expand("here", top, all, NULL, &err));
    g_assert_nonnull(strstr(err->message, "stands upon itself"));
    g_clear_error(&err);
    g_assert_false(image_node_expand("here", lost, all, NULL, &err));
    g_assert_nonnull(strstr(err->message, "no node of that name"));
    g_clear_error(&err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image-node/layers", test_layers);
    g_test_add_func("/image-node/backing", test_backing);
    g_test_add_func("/image-node/references", test_references);
    g_test_add_func("/image-node/json", test_json);
    g_test_add_func("/image-node/mistakes", test_mistakes);
    g_test_add_func("/image-node/circles", test_circles);
    return g_test_run();
}
