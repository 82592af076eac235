/* Random operations on a store against a plain shadow: puts on several lines, changes, drops,
 * collection, compaction by many commits, opening again; with two writers at once, and leases that
 * run out. After each step what is there is compared, and the store checked. A failure replays with
 * COGNU_SEED. */
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINES = 3, KEPT_MAX = 12 };

struct kept {
    char name[32];
    struct shadow tree;
};
struct model {
    struct disk *disk;
    struct store_io io;
    struct store *s;
    uint64_t seed;
    struct shadow line[LINES];
    struct kept kept[KEPT_MAX];
    uint32_t count, made;
};

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

static void check(struct store *s, bool data)
{
    struct store_checked c;
    struct cg_errbuf eb = {0};
    cg_err e = store_check(s, data, NULL, show, NULL, &c, &eb);
    if (e) {
        fprintf(stderr, "%s\n", eb.text);
    }
    assert_int_equal(e, CG_OK);
}

static void compare_all(struct model *m)
{
    assert_int_equal(store_ref_count(m->s), m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_int_equal(kit_compare(m->s, m->kept[i].name, &m->kept[i].tree), CG_OK);
    }
}

static struct store_writer *begin(struct model *m)
{
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    enum store_level level = (enum store_level)(disk_random(&m->seed) % 4);
    assert_int_equal(store_writer_open(m->s, "model", level, &w, &eb), CG_OK);
    return w;
}

static void step_put(struct model *m)
{
    if (m->count == KEPT_MAX) {
        return;
    }
    struct store_writer *w = begin(m);
    struct shadow *t = &m->line[disk_random(&m->seed) % LINES];
    struct kept *k = &m->kept[m->count++];
    shadow_change(t, &m->seed);
    snprintf(k->name, sizeof k->name, "s%u", m->made++);
    k->tree = *t;
    assert_int_equal(kit_put(w, t, k->name, STORE_FINAL), CG_OK);
    store_writer_close(w);
}

static void step_abandon(struct model *m)
{
    struct store_writer *w = begin(m);
    struct store_score score;
    struct shadow t;
    shadow_random(&t, &m->seed);
    assert_int_equal(kit_tree(w, &t, &score, "gone"), CG_OK);
    if (disk_random(&m->seed) % 2) { /* what it put is there, and nothing leads to it */
        struct cg_errbuf eb = {0};
        assert_int_equal(store_commit(w, NULL, 0, STORE_GOES_ON, &eb), CG_OK);
    }
    store_writer_close(w);
}

static void step_drop(struct model *m)
{
    struct store_refinfo ref;
    struct cg_errbuf eb = {0};
    if (m->count == 0) {
        return;
    }
    struct kept *k = &m->kept[disk_random(&m->seed) % m->count];
    assert_int_equal(store_ref_get(m->s, k->name, &ref), CG_OK);
    struct store_ref_change change = {.name = k->name, .epoch = ref.epoch};
    struct store_writer *w = begin(m);
    assert_int_equal(store_commit(w, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_writer_close(w);
    *k = m->kept[--m->count];
}

static void step_collect(struct model *m)
{
    struct store_collected c;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_collect(m->s, false, NULL, &c, &eb), CG_OK);
    assert_int_equal(c.waiting, 0);
    struct store_collected again;
    assert_int_equal(store_collect(m->s, true, NULL, &again, &eb), CG_OK);
    assert_int_equal(again.objects, 0);
}

static void step_reopen(struct model *m)
{
    cg_err e;
    store_close(m->s);
    m->s = kit_open(&m->io, &e);
    assert_int_equal(e, CG_OK);
}

static void model(void **state)
{
    (void)state;
    struct model m = {.disk = disk_new(), .seed = kit_seed("store_model", 20261130)};
    int steps = kit_full() ? 2000 : 150;
    cg_err e;
    m.io = disk_io(m.disk);
    assert_int_equal(kit_init(&m.io), CG_OK);
    m.s = kit_open(&m.io, &e);
    assert_int_equal(e, CG_OK);
    for (int i = 0; i < LINES; i++) {
        shadow_random(&m.line[i], &m.seed);
    }
    for (int i = 0; i < steps; i++) {
        static void (*const what[])(struct model * m) = {step_put,  step_put,    step_put,
                                                         step_put,  step_drop,   step_abandon,
                                                         step_drop, step_collect};
        what[disk_random(&m.seed) % 8](&m);
        if (i % 4 == 0) {
            step_reopen(&m);
        }
        compare_all(&m);
        check(m.s, i % 8 == 0);
    }
    while (m.count) {
        step_drop(&m);
    }
    step_collect(&m);
    struct store_stats st;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_stats(m.s, &st, &eb), CG_OK);
    assert_int_equal(st.packs, 0); /* nothing is left of an empty store */
    assert_int_equal(st.entries, 0);
    store_close(m.s);
    disk_free(m.disk);
    printf("store_model: %d steps\n", steps);
}

/* ---- writers beside each other and beside a collector ---- */

/* The clock is the test's: leases run out when it says so. */
static uint64_t clock_ns = 1000000000;

static uint64_t test_clock(void *ctx)
{
    (void)ctx;
    return clock_ns;
}

static void test_bytes(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    cg_env_real.random(NULL, out, bytes);
}

static const struct cg_env test_env = {
    .now_ns = test_clock, .wall_ns = test_clock, .random = test_bytes};

static struct store *open_with_clock(const struct store_io *io)
{
    struct store_options o = kit_options();
    struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};
    struct cg_errbuf eb = {0};
    struct store *s;
    o.env = &test_env;
    assert_int_equal(store_open(io, &o, &secret, &s, &eb), CG_OK);
    return s;
}

static void drop(struct store *s, const char *name)
{
    struct store_refinfo ref;
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_refresh(s, &eb), CG_OK);
    assert_int_equal(store_ref_get(s, name, &ref), CG_OK);
    struct store_ref_change change = {.name = name, .epoch = ref.epoch};
    assert_int_equal(store_writer_open(s, "drop", STORE_FAST, &w, &eb), CG_OK);
    assert_int_equal(store_commit(w, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_writer_close(w);
}

/* A writer finds chunks of a tree that then dies, and links them before the collector may free
 * them; another that begins after they were condemned puts them again. */
static void dying_chunks(void **state)
{
    (void)state;
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    struct store_writer *w1, *w2, *w3;
    struct store_collected c;
    struct cg_errbuf eb = {0};
    struct store_score score;
    struct shadow t;
    uint64_t seed = kit_seed("dying_chunks", 7);
    shadow_random(&t, &seed);
    assert_int_equal(kit_init(&io), CG_OK);
    struct store *a = open_with_clock(&io), *b = open_with_clock(&io), *k = open_with_clock(&io),
                 *o = open_with_clock(&io);
    assert_int_equal(store_writer_open(a, "w1", STORE_FAST, &w1, &eb), CG_OK);
    assert_int_equal(kit_put(w1, &t, "old", STORE_FINAL), CG_OK);
    store_writer_close(w1);

    assert_int_equal(store_refresh(b, &eb), CG_OK);
    assert_int_equal(store_writer_open(b, "w2", STORE_FAST, &w2, &eb), CG_OK);
    assert_int_equal(kit_tree(w2, &t, &score, "again"), CG_OK); /* all found, nothing linked */
    drop(a, "old");
    assert_int_equal(store_collect(k, false, NULL, &c, &eb), CG_OK);
    assert_true(c.waiting > 0);
    assert_int_equal(c.objects, 0);

    assert_int_equal(store_refresh(o, &eb), CG_OK);
    assert_int_equal(store_writer_open(o, "w3", STORE_FAST, &w3, &eb), CG_OK);
    assert_int_equal(kit_put(w3, &t, "third", STORE_FINAL), CG_OK); /* condemned: put again */
    store_writer_close(w3);

    struct store_ref_change change = {.name = "again", .score = &score};
    assert_int_equal(store_commit(w2, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_writer_close(w2);
    assert_int_equal(store_collect(k, false, NULL, &c, &eb), CG_OK);
    assert_int_equal(c.waiting, 0);
    assert_int_equal(store_refresh(a, &eb), CG_OK);
    assert_int_equal(kit_compare(a, "again", &t), CG_OK);
    assert_int_equal(kit_compare(a, "third", &t), CG_OK);
    check(a, true);
    drop(a, "again");
    drop(a, "third");
    assert_int_equal(store_collect(k, false, NULL, &c, &eb), CG_OK);
    assert_int_equal(store_collect(k, true, NULL, &c, &eb), CG_OK);
    assert_int_equal(c.objects, 0);
    check(k, true);
    struct store_stats st;
    assert_int_equal(store_stats(k, &st, &eb), CG_OK);
    assert_int_equal(st.packs, 0);
    store_close(a);
    store_close(b);
    store_close(k);
    store_close(o);
    disk_free(d);
}

/* A writer that stayed away past its lease is refused, and leaves nothing behind. */
static void lost_lease(void **state)
{
    (void)state;
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    struct store_writer *w;
    struct store_collected c;
    struct cg_errbuf eb = {0};
    struct store_score score;
    struct shadow t;
    uint64_t seed = kit_seed("lost_lease", 9);
    shadow_random(&t, &seed);
    assert_int_equal(kit_init(&io), CG_OK);
    struct store *a = open_with_clock(&io), *k = open_with_clock(&io);
    assert_int_equal(store_writer_open(a, "slow", STORE_FAST, &w, &eb), CG_OK);
    assert_int_equal(kit_tree(w, &t, &score, "late"), CG_OK);
    assert_int_equal(store_commit(w, NULL, 0, STORE_GOES_ON, &eb), CG_OK);
    clock_ns += 3600ull * 1000000000u;
    assert_int_equal(store_collect(k, false, NULL, &c, &eb), CG_OK);
    assert_int_equal(c.waiting, 0);
    assert_true(c.objects > 0);
    struct store_ref_change change = {.name = "late", .score = &score};
    cg_err e = store_commit(w, &change, 1, STORE_FINAL, &eb);
    assert_true(e == CG_EEXPIRED || e == CG_ENOENT);
    store_writer_close(w);
    check(k, true);
    assert_int_equal(store_refresh(k, &eb), CG_OK);
    assert_int_equal(store_ref_count(k), 0);
    store_close(a);
    store_close(k);
    disk_free(d);
}

/* A writer that finds everything there, for longer than a lease lasts, keeps its lease. */
static void nothing_new(void **state)
{
    (void)state;
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    struct store_score score;
    struct shadow t;
    uint64_t seed = kit_seed("nothing_new", 13);
    shadow_random(&t, &seed);
    assert_int_equal(kit_init(&io), CG_OK);
    struct store *a = open_with_clock(&io), *b = open_with_clock(&io);
    assert_int_equal(store_writer_open(a, "first", STORE_FAST, &w, &eb), CG_OK);
    assert_int_equal(kit_put(w, &t, "x", STORE_FINAL), CG_OK);
    store_writer_close(w);
    assert_int_equal(store_refresh(b, &eb), CG_OK);
    assert_int_equal(store_writer_open(b, "again", STORE_FAST, &w, &eb), CG_OK);
    for (int minute = 0; minute < 20; minute++) {
        clock_ns += 60ull * 1000000000u;
        for (int i = 0; i < 16; i++) {
            assert_int_equal(kit_tree(w, &t, &score, "y"), CG_OK);
        }
        struct store_collected c;
        assert_int_equal(store_collect(a, false, NULL, &c, &eb),
                         CG_OK); /* forgets leases that are over */
    }
    struct store_ref_change change = {.name = "y", .score = &score};
    assert_int_equal(store_commit(w, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_writer_close(w);
    store_close(a);
    store_close(b);
    disk_free(d);
}

/* Of two that change one reference from the same epoch one is told, and keeps what it put. */
static void compare_and_swap(void **state)
{
    (void)state;
    struct disk *d = disk_new();
    struct store_io io = disk_io(d);
    struct store_writer *w1, *w2;
    struct cg_errbuf eb = {0};
    struct store_score s1, s2;
    struct shadow t1, t2;
    uint64_t seed = kit_seed("compare_and_swap", 11);
    shadow_random(&t1, &seed);
    shadow_random(&t2, &seed);
    assert_int_equal(kit_init(&io), CG_OK);
    struct store *a = open_with_clock(&io), *b = open_with_clock(&io);
    assert_int_equal(store_writer_open(a, "w1", STORE_FAST, &w1, &eb), CG_OK);
    assert_int_equal(store_writer_open(b, "w2", STORE_FAST, &w2, &eb), CG_OK);
    assert_int_equal(kit_tree(w1, &t1, &s1, "x"), CG_OK);
    assert_int_equal(kit_tree(w2, &t2, &s2, "x"), CG_OK);
    struct store_ref_change c1 = {.name = "x", .score = &s1}, c2 = {.name = "x", .score = &s2};
    assert_int_equal(store_commit(w1, &c1, 1, STORE_SETTLED, &eb), CG_OK);
    assert_int_equal(store_commit(w2, &c2, 1, STORE_SETTLED, &eb), CG_EAGAIN);
    struct store_refinfo ref;
    assert_int_equal(store_refresh(b, &eb), CG_OK);
    assert_int_equal(store_ref_get(b, "x", &ref), CG_OK);
    c2.epoch = ref.epoch;
    assert_int_equal(store_commit(w2, &c2, 1, STORE_FINAL, &eb), CG_OK);
    assert_int_equal(kit_compare(b, "x", &t2), CG_OK);
    c1.epoch = ref.epoch;
    assert_int_equal(store_commit(w1, &c1, 1, STORE_SETTLED, &eb), CG_EAGAIN);
    store_writer_close(w1);
    store_writer_close(w2);
    check(a, true);
    store_close(a);
    store_close(b);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dying_chunks), cmocka_unit_test(lost_lease),
        cmocka_unit_test(nothing_new),  cmocka_unit_test(compare_and_swap),
        cmocka_unit_test(model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
