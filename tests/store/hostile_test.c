/* Hostile trees: nodes that somebody with the keys, or a broken writer, could have put. Reading
 * them is an error, never a crash and never a name that leaves the tree. */
#include "../../lib/store/store__.h"
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct disk *d;
static struct store_io io;
static struct store *s;
static struct store_writer *w;

static int set_up(void **state)
{
    (void)state;
    struct cg_errbuf eb = {0};
    cg_err e;
    d = disk_new();
    io = disk_io(d);
    if (kit_init(&io) != CG_OK) {
        return -1;
    }
    s = kit_open(&io, &e);
    return e ? -1 : store_writer_open(s, "hostile", STORE_FAST, &w, &eb) == CG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_writer_close(w);
    store_close(s);
    disk_free(d);
    return 0;
}

/* A node of any bytes, under its true score. */
static struct store_score plant(const void *bytes, size_t len)
{
    struct store_score score;
    struct cg_errbuf eb = {0};
    scorer_score(s->scorer, STORE_NODE, bytes, len, &score);
    assert_int_equal(writer_append(w, STORE_NODE, bytes, len, &score, &eb), CG_OK);
    return score;
}

static size_t head(uint8_t *out, char type, uint8_t level, uint16_t items)
{
    struct cg_buf b = cg_buf_writer(out, NODE_HEAD_BYTES);
    cg_put_u8(&b, (uint8_t)type);
    cg_put_u8(&b, level);
    cg_put_u16(&b, items);
    cg_put_u32(&b, 0);
    return b.pos;
}

/* A directory with one entry of that name, encoded without asking whether it may be. */
static struct store_score dir_with(const char *name, size_t len)
{
    struct cg_str node = {0};
    uint8_t h[NODE_HEAD_BYTES];
    struct store_entry e = {.kind = STORE_FILE,
                            .mode = 0644,
                            .nlink = 1,
                            .name = {.data = (const uint8_t *)name, .len = (uint32_t)len}};
    head(h, NODE_DIR, 0, 1);
    assert_int_equal(cg_str_add(&node, h, sizeof h), CG_OK);
    assert_int_equal(entry_encode(&node, &e), CG_OK);
    struct store_score score = plant(node.data, node.len);
    cg_str_fini(&node);
    return score;
}

static cg_err read_dir(const struct store_score *score, int *count)
{
    struct store_dir *dir;
    struct store_entry e;
    struct cg_errbuf eb = {0};
    cg_err err = store_dir_open(s, score, &dir, &eb);
    *count = 0;
    if (err) {
        return err;
    }
    while ((err = store_dir_next(dir, &e, &eb)) == CG_OK) {
        *count += 1;
    }
    store_dir_close(dir);
    return err == CG_ENOENT ? CG_OK : err;
}

static void names(void **state)
{
    (void)state;
    int count;
    static const struct {
        const char *name;
        size_t len;
    } bad[] = {{"..", 2}, {".", 1}, {"a/b", 3}, {"/etc", 4}, {"", 0}, {"a\0b", 3}};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        struct store_score score = dir_with(bad[i].name, bad[i].len);
        assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
        assert_int_equal(count, 0);
    }
    struct store_score good = dir_with("fine", 4);
    assert_int_equal(read_dir(&good, &count), CG_OK);
    assert_int_equal(count, 1);
}

static void long_names(void **state)
{
    (void)state;
    static char name[4096];
    struct store_builder *b;
    struct store_entry e = {.kind = STORE_FILE, .nlink = 1};
    struct cg_errbuf eb = {0};
    memset(name, 'n', sizeof name);
    assert_int_equal(store_builder_new(w, &b), CG_OK);
    e.name = (struct cg_span){.data = (uint8_t *)name, .len = sizeof name};
    assert_int_equal(store_builder_add(b, &e, &eb), CG_EINVAL);
    e.name.len = 256;
    assert_int_equal(store_builder_add(b, &e, &eb), CG_EINVAL);
    e.name.len = 255;
    assert_int_equal(store_builder_add(b, &e, &eb), CG_OK);
    store_builder_free(b);
}

/* The same name twice, and names that go back. */
static void order(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"a", "a"}, {"b", "a"}, {"ab", "a"}};
    int count;
    for (size_t i = 0; i < CG_COUNT(pairs); i++) {
        struct cg_str node = {0};
        uint8_t h[NODE_HEAD_BYTES];
        head(h, NODE_DIR, 0, 2);
        assert_int_equal(cg_str_add(&node, h, sizeof h), CG_OK);
        for (int k = 0; k < 2; k++) {
            struct store_entry e = {
                .kind = STORE_FIFO, .nlink = 1, .name = cg_span_of(pairs[i][k])};
            assert_int_equal(entry_encode(&node, &e), CG_OK);
        }
        struct store_score score = plant(node.data, node.len);
        assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
        cg_str_fini(&node);
    }
}

/* Levels that do not fall, a file where a directory should be, counts that lie, bytes behind the
 * end. */
static void shapes(void **state)
{
    (void)state;
    uint8_t node[256];
    int count;
    struct store_score leaf = dir_with("x", 1);
    for (int level = 1; level < 32; level++) {
        size_t n = head(node, NODE_DIR, (uint8_t)level, 1);
        memcpy(node + n, leaf.b, sizeof leaf.b);
        node[n + sizeof leaf.b] = 1;
        node[n + sizeof leaf.b + 1] = 'x';
        struct store_score score = plant(node, n + sizeof leaf.b + 2);
        assert_int_equal(read_dir(&score, &count), level == 1 ? CG_OK : CG_EBADFORMAT);
    }
    static const uint16_t counts[] = {1, 7, 65535};
    for (size_t i = 0; i < CG_COUNT(counts); i++) {
        struct store_score score = plant(node, head(node, NODE_DIR, 0, counts[i]));
        assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
    }
    size_t n = head(node, NODE_DIR, 0, 0);
    node[n] = 1;
    struct store_score score = plant(node, n + 1);
    assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
    score = plant(node, head(node, NODE_LIST, 0, 0));
    assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
    score = plant(node, 3);
    assert_int_equal(read_dir(&score, &count), CG_EBADFORMAT);
}

static cg_err read_list_of(const struct store_score *list, uint64_t size)
{
    struct store_entry e = {
        .kind = STORE_FILE, .content = STORE_LIST, .score = *list, .size = size};
    struct cg_errbuf eb = {0};
    uint8_t out[64];
    size_t got;
    return store_read(s, &e, 0, out, sizeof out, &got, &eb);
}

/* Lengths that do not add up, or would overflow; pieces that are not there. */
static void lengths(void **state)
{
    (void)state;
    uint8_t node[256];
    static const uint32_t pieces[] = {0, 1, 100, UINT32_MAX};
    for (size_t i = 0; i < CG_COUNT(pieces); i++) {
        size_t n = head(node, NODE_LIST, 0, 1);
        memset(node + n, 0, STORE_SCORE_BYTES); /* a hole */
        struct cg_buf b = cg_buf_writer(node + n + STORE_SCORE_BYTES, 4);
        cg_put_u32(&b, pieces[i]);
        struct store_score score = plant(node, n + STORE_SCORE_BYTES + 4);
        assert_int_equal(read_list_of(&score, 101), CG_EBADFORMAT);
        cg_err whole = read_list_of(&score, pieces[i] ? pieces[i] : 1);
        assert_int_equal(whole, pieces[i] ? CG_OK : CG_EBADFORMAT);
    }
    size_t n = head(node, NODE_LIST, 0, 1);
    memset(node + n, 7, STORE_SCORE_BYTES); /* no such chunk */
    struct cg_buf b = cg_buf_writer(node + n + STORE_SCORE_BYTES, 4);
    cg_put_u32(&b, 50);
    struct store_score score = plant(node, n + STORE_SCORE_BYTES + 4);
    assert_int_equal(read_list_of(&score, 50), CG_ENOENT);
}

/* Directories in directories without end are refused by what follows them; here they are made and
 * found by path. */
static void depth(void **state)
{
    (void)state;
    struct store_score score = dir_with("x", 1);
    struct store_entry found;
    struct cg_str path = {0}, keep = {0};
    struct cg_errbuf eb = {0};
    for (int i = 0; i < 3000; i++) {
        struct store_builder *b;
        struct store_entry e = {
            .kind = STORE_DIR, .nlink = 1, .name = cg_span_of("d"), .score = score};
        assert_int_equal(store_builder_new(w, &b), CG_OK);
        assert_int_equal(store_builder_add(b, &e, &eb), CG_OK);
        assert_int_equal(store_builder_end(b, &score, &eb), CG_OK);
        store_builder_free(b);
        assert_int_equal(cg_str_add(&path, "d/", 2), CG_OK);
    }
    assert_int_equal(store_lookup(s, &score, path.data, &found, &keep, &eb), CG_OK);
    assert_int_equal(found.kind, STORE_DIR);
    assert_int_equal(store_lookup(s, &score, "d/../d", &found, &keep, &eb), CG_EINVAL);
    cg_str_fini(&path);
    cg_str_fini(&keep);
}

/* A directory of very many names is read in order, and any of them found without reading it all. */
static void many_names(void **state)
{
    (void)state;
    uint32_t names_count = kit_full() ? 1000000 : 20000;
    struct store_builder *b;
    struct store_score score;
    struct store_entry e = {.kind = STORE_FIFO, .mode = 0600, .nlink = 1};
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    char name[16];
    int count;
    assert_int_equal(store_builder_new(w, &b), CG_OK);
    for (uint32_t i = 0; i < names_count; i++) {
        snprintf(name, sizeof name, "n%08u", i);
        e.name = cg_span_of(name);
        assert_int_equal(store_builder_add(b, &e, &eb), CG_OK);
    }
    assert_int_equal(store_builder_end(b, &score, &eb), CG_OK);
    store_builder_free(b);
    assert_int_equal(read_dir(&score, &count), CG_OK);
    assert_int_equal(count, names_count);
    for (uint32_t i = 0; i < names_count; i += names_count / 50) {
        snprintf(name, sizeof name, "n%08u", i);
        assert_int_equal(store_lookup(s, &score, name, &e, &keep, &eb), CG_OK);
        name[0] = 'm';
        assert_int_equal(store_lookup(s, &score, name, &e, &keep, &eb), CG_ENOENT);
    }
    cg_str_fini(&keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),      cmocka_unit_test(long_names), cmocka_unit_test(order),
        cmocka_unit_test(shapes),     cmocka_unit_test(lengths),    cmocka_unit_test(depth),
        cmocka_unit_test(many_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
