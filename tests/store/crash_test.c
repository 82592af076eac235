/* Crashes. A workload (puts, changes, drops, collection, repeated) runs on a disk in memory until
 * it stops at the n-th call that changes something, for every n; then the machine starts again with
 * what could be left: writes that were not synced are dropped, torn and reordered, names likewise,
 * by a seed. What was acknowledged must be there byte for byte, nothing half made may be seen, the
 * check must be clean, and the store must take and collect new work.
 *
 * The quick form takes a sample of the points; COGNU_FULL=1 takes each point several times, at
 * least 5,000 in all. */
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 10, REFS_MAX = 8, QUICK_POINTS = 150, FULL_POINTS = 5400 };

/* What has been acknowledged, and what the step under way would make of it. */
struct ledger {
    struct shadow tree[STEPS];
    bool there[STEPS], maybe[STEPS]; /* maybe: put or dropped by the step that was cut */
};

static cg_err put(struct store *s, struct ledger *l, int step)
{
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    char name[8];
    snprintf(name, sizeof name, "s%d", step);
    cg_err e = store_writer_open(s, "crash", STORE_FAST, &w, &eb);
    if (e) {
        return e;
    }
    l->maybe[step] = true;
    e = kit_put(w, &l->tree[step], name, STORE_FINAL);
    store_writer_close(w);
    if (!e) {
        l->there[step] = true;
        l->maybe[step] = false;
    }
    return e;
}

static cg_err drop(struct store *s, struct ledger *l, int step)
{
    struct store_refinfo ref;
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    char name[8];
    snprintf(name, sizeof name, "s%d", step);
    cg_err e = store_ref_get(s, name, &ref);
    e = e ? e : store_writer_open(s, "crash", STORE_FAST, &w, &eb);
    if (e) {
        return e;
    }
    struct store_ref_change change = {.name = name, .epoch = ref.epoch};
    l->maybe[step] = true;
    e = store_commit(w, &change, 1, STORE_FINAL, &eb);
    store_writer_close(w);
    if (!e) {
        l->there[step] = l->maybe[step] = false;
    }
    return e;
}

static cg_err collect(struct store *s)
{
    struct store_collected c;
    struct cg_errbuf eb = {0};
    return store_collect(s, false, NULL, &c, &eb);
}

static void prepare(struct ledger *l, uint64_t seed)
{
    struct shadow t;
    memset(l, 0, sizeof *l);
    shadow_random(&t, &seed);
    for (int i = 0; i < STEPS; i++) {
        shadow_change(&t, &seed);
        l->tree[i] = t;
    }
}

/* Until the disk stops. */
static cg_err workload(const struct store_io *io, struct ledger *l)
{
    cg_err e;
    struct store *s = kit_open(io, &e);
    for (int i = 0; i < STEPS && !e; i++) {
        e = put(s, l, i);
        e = e || i % 3 != 2 ? e : drop(s, l, i - 1);
        e = e || i % 4 != 3 ? e : collect(s);
    }
    store_close(s);
    return e;
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

static void verify(struct store *s, const struct ledger *l)
{
    struct store_checked c;
    struct cg_errbuf eb = {0};
    struct store_refinfo ref;
    for (int i = 0; i < STEPS; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        bool there = store_ref_get(s, name, &ref) == CG_OK;
        if (!l->maybe[i]) {
            assert_int_equal(there, l->there[i]);
        }
        if (there) {
            assert_int_equal(kit_compare(s, name, &l->tree[i]), CG_OK);
        }
    }
    assert_int_equal(store_check(s, true, NULL, show, NULL, &c, &eb), CG_OK);
}

/* The store goes on working: one more tree, and everything else collected. */
static void go_on(struct store *s, const struct ledger *l)
{
    struct store_writer *w;
    struct store_checked c;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_writer_open(s, "after", STORE_FAST, &w, &eb), CG_OK);
    assert_int_equal(kit_put(w, &l->tree[0], "after", STORE_FINAL), CG_OK);
    store_writer_close(w);
    cg_err e = collect(s);
    assert_true(e == CG_OK ||
                e == CG_EBUSY); /* busy: the lease of a collector that died is not over yet */
    assert_int_equal(kit_compare(s, "after", &l->tree[0]), CG_OK);
    verify(s, l);
    assert_int_equal(store_check(s, true, NULL, show, NULL, &c, &eb), CG_OK);
}

static void one_point(const struct disk *fresh, uint64_t work_seed, uint64_t at,
                      uint64_t crash_seed)
{
    struct ledger l;
    struct disk *d = disk_copy(fresh);
    struct store_io io = disk_io(d);
    cg_err e;
    prepare(&l, work_seed);
    disk_stop_at(d, at);
    workload(&io, &l);
    struct disk *after = disk_crash(d, crash_seed);
    disk_free(d);
    io = disk_io(after);
    struct store *s = kit_open(&io, &e);
    assert_int_equal(e, CG_OK);
    verify(s, &l);
    if (crash_seed % 4 == 0) {
        go_on(s, &l);
    }
    store_close(s);
    disk_free(after);
}

/* The point at work, for the line that replays a failure. */
static uint64_t now_at, now_seed;
static bool passed;

static int say_where(void **state)
{
    (void)state;
    if (!passed) {
        printf("store_crash: failed at point %llu, crash seed %llu\n", (unsigned long long)now_at,
               (unsigned long long)now_seed);
    }
    return 0;
}

static void every_point(void **state)
{
    (void)state;
    struct disk *fresh = disk_new();
    struct store_io io = disk_io(fresh);
    struct ledger l;
    uint64_t seed = kit_seed("store_crash", 4242), work_seed = seed;
    assert_int_equal(kit_init(&io), CG_OK);
    prepare(&l, work_seed);
    struct disk *dry = disk_copy(fresh);
    io = disk_io(dry);
    disk_stop_at(dry, UINT64_MAX);
    assert_int_equal(workload(&io, &l), CG_OK);
    uint64_t calls = disk_calls(dry), points = kit_full() ? FULL_POINTS : QUICK_POINTS, done = 0;
    disk_free(dry);
    for (uint64_t i = 0; i < points; i++) {
        uint64_t at = points >= calls ? 1 + i % calls : 1 + i * calls / points;
        uint64_t crash_seed = disk_random(&seed);
        now_at = at;
        now_seed = crash_seed;
        one_point(fresh, work_seed, at, crash_seed);
        done++;
    }
    disk_free(fresh);
    passed = true;
    printf("store_crash: %llu crashes at %llu points of the workload\n", (unsigned long long)done,
           (unsigned long long)(points < calls ? points : calls));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(every_point, say_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
