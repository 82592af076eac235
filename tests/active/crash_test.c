/* Crashes of an active tree. A workload (changes, syncs, commits with changes while they go on,
 * snapshots) runs on a disk in memory until it stops at the n-th call that changes something, for
 * every n; then the machine starts again with what could be left, by a seed: un-synced writes
 * dropped, torn and reordered, un-synced names lost. Every fourth time only the process was killed:
 * then nothing is lost that was answered.
 *
 * The tree that is recovered must be one that was there between the last sync that was
 * acknowledged and the step that was cut, whole; snapshots that were acknowledged must be there;
 * the store's check must be clean; and the tree must go on.
 *
 * The quick form takes a sample of the points; COGNU_FULL=1 takes each point several times, at
 * least 5,000 in all. */
#include "../store/tree_testkit.h"
#include "shadow_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 150, SNAPSHOTS_MAX = 8, QUICK_POINTS = 150, FULL_POINTS = 5400 };

/* Of a run that nothing stopped: the tree after each step. */
static struct cg_str text[STEPS + 1];

struct run {
    int done, synced; /* steps */
    int snapshot[SNAPSHOTS_MAX];
    int snapshots; /* acknowledged, and after which step each was taken */
};

static cg_err steps(struct run *r, struct shadow_tree *s, struct active *t, uint64_t *seed, int n,
                    bool record)
{
    cg_err e = CG_OK;
    for (int i = 0; !e && i < n && r->done < STEPS; i++) {
        e = shadow_step(s, t, seed);
        if (!e) {
            r->done++;
            if (record) {
                shadow_text(s, &text[r->done]);
            }
        }
    }
    return e;
}

static cg_err commit(struct run *r, struct shadow_tree *s, struct active *t, uint64_t *seed,
                     bool record)
{
    struct active_job *j;
    char name[16];
    int at = r->done;
    bool snapshot = disk_random(seed) % 2 && r->snapshots < SNAPSHOTS_MAX;
    snprintf(name, sizeof name, "line@%d", r->snapshots);
    cg_err e = active_freeze(t, snapshot ? name : NULL, &j, NULL);
    if (e) {
        return e;
    }
    e = steps(r, s, t, seed, (int)(disk_random(seed) % 5), record);
    active_job_run(j);
    cg_err done = active_job_done(t, j, NULL);
    if (!done) {
        r->synced = at > r->synced ? at : r->synced;
        if (snapshot) {
            r->snapshot[r->snapshots++] = at;
        }
    }
    return e ? e : done;
}

/* Until the disk stops. */
static void workload(struct disk *d, struct run *r, uint64_t seed, bool record)
{
    struct world w;
    struct shadow_tree *s = shadow_new();
    *r = (struct run){0};
    cg_err e = world_open(&w, d);
    if (record) {
        shadow_text(s, &text[0]);
    }
    while (!e && r->done < STEPS) {
        e = steps(r, s, w.t, &seed, 1 + (int)(disk_random(&seed) % 12), record);
        if (!e && disk_random(&seed) % 3 == 0) {
            e = commit(r, s, w.t, &seed, record);
        } else if (!e) {
            e = active_sync(w.t, NULL);
            r->synced = e ? r->synced : r->done;
        }
    }
    if (w.t) {
        shadow_let_go(s, w.t);
        world_close(&w);
    }
    shadow_free(s);
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

static bool equal(const struct cg_str *a, const struct cg_str *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void verify(struct disk *d, const struct run *r, int first)
{
    struct world w;
    struct cg_str got = {0}, again = {0};
    struct store_checked c;
    int last = r->done < STEPS ? r->done + 1 : STEPS, k = last;
    assert_int_equal(world_open(&w, d), CG_OK);
    active_text(w.t, &got);
    while (k >= first && !equal(&got, &text[k])) {
        k--;
    }
    if (k < first) {
        fprintf(stderr, "no tree of steps %d to %d; after the last of them ", first, last);
        shadow_differ(text[last].data, got.data);
        fail();
    }
    for (int i = 0; i < r->snapshots; i++) {
        char name[16];
        snprintf(name, sizeof name, "line@%d", i);
        snapshot_text(w.writes, name, &again);
        assert_true(equal(&again, &text[r->snapshot[i]]));
    }
    assert_int_equal(active_commit(w.t, "after@1", NULL), CG_OK);
    snapshot_text(w.writes, "after@1", &again);
    assert_true(equal(&again, &got));
    active_text(w.t, &again);
    assert_true(equal(&again, &got));
    world_close(&w);
    cg_err e;
    struct store *s = kit_open(&w.io, &e);
    assert_int_equal(e, CG_OK);
    assert_int_equal(store_check(s, true, NULL, show, NULL, &c, NULL), CG_OK);
    store_close(s);
    cg_str_fini(&got);
    cg_str_fini(&again);
}

/* The point at work, for the line that replays a failure. */
static uint64_t now_at, now_seed;
static bool passed;

static int say_where(void **state)
{
    (void)state;
    if (!passed) {
        printf("active_crash: failed at point %llu, crash seed %llu\n", (unsigned long long)now_at,
               (unsigned long long)now_seed);
    }
    return 0;
}

static void one_point(const struct disk *fresh, uint64_t work_seed)
{
    struct run r;
    struct disk *d = disk_copy(fresh);
    disk_stop_at(d, now_at);
    workload(d, &r, work_seed, false);
    bool killed = now_seed % 4 == 0;
    struct disk *after = killed ? disk_copy(d) : disk_crash(d, now_seed);
    disk_free(d);
    verify(after, &r, killed ? r.done : r.synced);
    disk_free(after);
}

static void every_point(void **state)
{
    (void)state;
    struct run r;
    uint64_t seed = kit_seed("active_crash", 4242), work_seed = seed;
    struct disk *fresh = disk_new();
    shadow_write_max = ACTIVE_WRITE_BYTES - 1;
    world_init(fresh);
    struct disk *dry = disk_copy(fresh);
    disk_stop_at(dry, UINT64_MAX);
    workload(dry, &r, work_seed, true);
    assert_int_equal(r.done, STEPS);
    uint64_t calls = disk_calls(dry), points = kit_full() ? FULL_POINTS : QUICK_POINTS;
    disk_free(dry);
    for (uint64_t i = 0; i < points; i++) {
        now_at = points >= calls ? 1 + i % calls : 1 + i * calls / points;
        now_seed = disk_random(&seed);
        one_point(fresh, work_seed);
    }
    disk_free(fresh);
    passed = true;
    printf("active_crash: %llu crashes at %llu points of the workload, %d snapshots\n",
           (unsigned long long)points, (unsigned long long)(points < calls ? points : calls),
           r.snapshots);
    for (int i = 0; i <= STEPS; i++) {
        cg_str_fini(&text[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(every_point, say_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
