/* Random changes of an active tree beside a shadow of it: with commits between them and while they
 * go on, snapshots, openings anew and collections. Trees, snapshots and shadow must be equal. */
#include "../store/tree_testkit.h"
#include "shadow_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { QUICK_STEPS = 1500, FULL_STEPS = 100000, SNAPSHOTS_MAX = 24 };

struct kept {
    char name[16];
    struct cg_str text;
};
static struct kept kept[SNAPSHOTS_MAX];
static int snapshots;

static void same(const struct cg_str *want, const struct cg_str *got, const char *what)
{
    if (want->len != got->len || memcmp(want->data, got->data, want->len) != 0) {
        fprintf(stderr, "%s: ", what);
        shadow_differ(want->data, got->data);
        fail();
    }
}

static void compare(struct world *w, const struct shadow_tree *s, const char *what)
{
    struct cg_str want = {0}, got = {0};
    shadow_text(s, &want);
    active_text(w->t, &got);
    same(&want, &got, what);
    cg_str_fini(&want);
    cg_str_fini(&got);
}

static void compare_snapshots(struct world *w)
{
    struct cg_str got = {0};
    for (int i = 0; i < snapshots; i++) {
        snapshot_text(w->writes, kept[i].name, &got);
        same(&kept[i].text, &got, kept[i].name);
    }
    cg_str_fini(&got);
}

/* A commit, with changes between its freeze and its end. */
static void commit(struct world *w, struct shadow_tree *s, uint64_t *seed, bool snapshot)
{
    struct active_job *j;
    struct cg_errbuf eb = {0};
    struct kept *k = &kept[snapshots];
    snapshot = snapshot && snapshots < SNAPSHOTS_MAX;
    if (snapshot) {
        snprintf(k->name, sizeof k->name, "line@%d", snapshots);
        shadow_text(s, &k->text);
        snapshots++;
    }
    assert_int_equal(active_freeze(w->t, snapshot ? k->name : NULL, &j, &eb), CG_OK);
    uint64_t before = disk_random(seed) % 30, after = disk_random(seed) % 30;
    for (uint64_t i = 0; i < before; i++) {
        assert_int_equal(shadow_step(s, w->t, seed), CG_OK);
    }
    active_job_run(j);
    for (uint64_t i = 0; i < after; i++) {
        assert_int_equal(shadow_step(s, w->t, seed), CG_OK);
    }
    cg_err e;
    while ((e = active_job_done(w->t, j, 5 + (uint32_t)(disk_random(seed) % 100), &eb)) ==
           CG_EAGAIN) {
        assert_int_equal(shadow_step(s, w->t, seed), CG_OK);
        if (disk_random(seed) % 16 == 0) {
            compare(w, s, "while a commit is taken in");
        }
    }
    if (e) {
        fprintf(stderr, "commit: %s: %s\n", cg_err_name(e), eb.text);
    }
    assert_int_equal(e, CG_OK);
    compare(w, s, "after a commit");
    if (snapshot) {
        compare_snapshots(w);
    }
}

static void collect(struct world *w)
{
    struct store_collected c;
    struct cg_errbuf eb = {0};
    assert_int_equal(active_renew(w->t, NULL), CG_OK);
    assert_int_equal(store_collect(w->writes, false, NULL, &c, &eb), CG_OK);
    store_refresh(w->reads, NULL);
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

static void random_steps(void **state)
{
    (void)state;
    uint64_t seed = kit_seed("active_model", 77);
    struct disk *d = disk_new();
    struct shadow_tree *s = shadow_new();
    struct world w;
    struct active_stats st;
    world_init(d);
    assert_int_equal(world_open(&w, d), CG_OK);
    for (int i = 0, steps = kit_full() ? FULL_STEPS : QUICK_STEPS; i < steps; i++) {
        assert_int_equal(shadow_step(s, w.t, &seed), CG_OK);
        switch (disk_random(&seed) % 150) {
        case 0:
            commit(&w, s, &seed, disk_random(&seed) % 3 == 0);
            break;
        case 1:
            compare(&w, s, "in between");
            break;
        case 2:
            shadow_let_go(s, w.t);
            compare(&w, s, "before it is closed");
            world_close(&w);
            assert_int_equal(world_open(&w, d), CG_OK);
            compare(&w, s, "opened again");
            break;
        case 3:
            if (disk_random(&seed) % 4 == 0) {
                collect(&w);
                compare(&w, s, "collected");
            }
            break;
        default:
            break;
        }
    }
    compare_snapshots(&w);
    shadow_let_go(s, w.t);
    active_stats(w.t, &st);
    world_close(&w);
    struct store_checked c;
    cg_err e;
    struct store *store = kit_open(&w.io, &e);
    assert_int_equal(store_check(store, true, NULL, show, NULL, &c, NULL), CG_OK);
    store_close(store);
    printf("active_model: %llu files, %d snapshots\n", (unsigned long long)st.files, snapshots);
    for (int i = 0; i < snapshots; i++) {
        cg_str_fini(&kept[i].text);
    }
    shadow_free(s);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
