/* What is done to a store whose active tree is in use: it is repaired, in the midst of a commit too
 * and with damage, and copied. The tree goes on, nobody else gets it, and nothing is lost. */
#include "../store/tree_testkit.h"
#include "shadow_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 60 };

static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};

/* A tree with something in packs, something in a segment that has its end, and something after. */
struct scene {
    struct disk *d;
    struct world w;
    struct shadow_tree *s;
    uint64_t seed;
};
static struct scene scene;

static void steps(int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(shadow_step(scene.s, scene.w.t, &scene.seed), CG_OK);
    }
}

static void assert_same(void)
{
    struct cg_str want = {0}, got = {0};
    shadow_text(scene.s, &want);
    active_text(scene.w.t, &got);
    if (want.len != got.len || memcmp(want.data, got.data, want.len) != 0) {
        shadow_differ(want.data, got.data);
        fail();
    }
    cg_str_fini(&want);
    cg_str_fini(&got);
}

static int set_up(void **state)
{
    (void)state;
    scene = (struct scene){.d = disk_new(), .s = shadow_new(), .seed = kit_seed("active_care", 5)};
    world_init(scene.d);
    assert_int_equal(world_open(&scene.w, scene.d), CG_OK);
    steps(STEPS);
    assert_int_equal(active_commit(scene.w.t, "one@1", NULL), CG_OK);
    steps(STEPS);
    assert_int_equal(active_sync(scene.w.t, NULL), CG_OK);
    return 0;
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

/* It can be renewed, changed, committed and opened again, and the store is whole. */
static int tear_down(void **state)
{
    (void)state;
    struct store_checked c;
    cg_err e;
    assert_int_equal(active_renew(scene.w.t, NULL), CG_OK);
    assert_same();
    steps(STEPS);
    assert_int_equal(active_commit(scene.w.t, "two@2", NULL), CG_OK);
    assert_same();
    steps(STEPS);
    assert_int_equal(active_sync(scene.w.t, NULL), CG_OK);
    shadow_let_go(scene.s, scene.w.t);
    world_close(&scene.w);
    assert_int_equal(world_open(&scene.w, scene.d), CG_OK);
    assert_same();
    world_close(&scene.w);
    struct store *s = kit_open(&scene.w.io, &e);
    assert_int_equal(store_check(s, true, NULL, show, NULL, &c, NULL), CG_OK);
    store_close(s);
    shadow_free(scene.s);
    disk_free(scene.d);
    return 0;
}

static void repair(struct store *copy)
{
    struct store_options o = kit_options();
    struct store_io io = disk_io(scene.d);
    struct store_repaired r;
    struct cg_errbuf eb = {0};
    struct store *s;
    o.repair = true;
    assert_int_equal(store_open(&io, &o, &secret, &s, &eb), CG_OK);
    assert_int_equal(store_repair(s, copy, NULL, NULL, NULL, &r, &eb), CG_OK);
    assert_int_equal(r.refs_lost, 0);
    assert_int_equal(r.objects_missing, 0);
    store_close(s);
}

/* Another process, which does not know whether ours is no more. */
static void assert_held(void)
{
    struct store_io io = disk_io(scene.d);
    struct store_hold *h;
    cg_err e;
    struct store *s = kit_open(&io, &e);
    assert_int_equal(store_hold_take(s, "active", "another", NULL, NULL, &h, NULL), CG_EBUSY);
    store_close(s);
}

static void repaired(void **state)
{
    (void)state;
    repair(NULL);
    assert_held();
    assert_same();
    assert_int_equal(active_sync(scene.w.t, NULL), CG_OK);
}

/* ---- in the midst of a commit ---- */

static struct store_io plain;
static int syncs_left;

static cg_err sync_and_repair(void *ctx, void *file)
{
    if (--syncs_left == 0) {
        repair(NULL);
    }
    return plain.sync(ctx, file);
}

static void repaired_in_a_commit(void **state)
{
    (void)state;
    int cut_off = 0;
    syncs_left = 0;
    for (int at = 1; syncs_left <= 0; at++) {
        struct active_job *j;
        char name[16];
        snprintf(name, sizeof name, "mid@%d", at);
        plain = scene.w.io;
        syncs_left = at;
        assert_int_equal(active_freeze(scene.w.t, name, &j, NULL), CG_OK);
        scene.w.io.sync = sync_and_repair;
        active_job_run(j);
        scene.w.io = plain;
        steps(3);
        /* Its writer may be one of those that have to begin again; the tree is not lost. */
        cg_err e = active_job_done(scene.w.t, j, 0, NULL);
        assert_true(e == CG_OK || e == CG_EEXPIRED);
        cut_off += e != CG_OK;
        assert_held();
        assert_same();
        assert_int_equal(e ? active_commit(scene.w.t, name, NULL) : CG_OK, CG_OK);
    }
    assert_true(cut_off > 0);
}

/* ---- with damage ---- */

static void flip(const char *folder, size_t at)
{
    size_t len, last = 0;
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < disk_files(scene.d); i++) {
        const char *name = disk_name(scene.d, i);
        bool in = strncmp(name, folder, strlen(folder)) == 0;
        disk_data(scene.d, i, &len);
        bool better = in && (found == UINT32_MAX || strcmp(name, disk_name(scene.d, found)) > 0);
        found = better && len > at ? i : found;
        last += in;
    }
    assert_true(last > 0 && found != UINT32_MAX);
    disk_data(scene.d, found, &len)[at] ^= 0x55;
}

static void a_state_damaged(void **state)
{
    (void)state;
    assert_int_equal(active_renew(scene.w.t, NULL), CG_OK); /* now a state before it has the hold */
    flip("state/", 100);
    repair(NULL);
    assert_held();
    assert_same();
}

/* Without any state nobody knows who had the tree: it is not mounted then. Its last commit is found
 * among all that packs hold, and the journal goes on from there. */
static void all_states_gone(void **state)
{
    (void)state;
    char names[64][64];
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(active_commit(scene.w.t, NULL, NULL), CG_OK);
        steps(STEPS);
    }
    assert_int_equal(active_sync(scene.w.t, NULL), CG_OK);
    shadow_let_go(scene.s, scene.w.t);
    world_close(&scene.w);
    for (uint32_t i = 0; i < disk_files(scene.d); i++) {
        if (strncmp(disk_name(scene.d, i), "state/", 6) == 0) {
            assert_true(count < CG_COUNT(names));
            snprintf(names[count++], sizeof names[0], "%s", disk_name(scene.d, i));
        }
    }
    struct store_io io = disk_io(scene.d);
    while (count > 0) {
        assert_int_equal(io.remove(io.ctx, names[--count]), CG_OK);
    }
    repair(NULL);
    assert_int_equal(world_open(&scene.w, scene.d), CG_OK);
    assert_same();
}

static void a_pack_damaged(void **state)
{
    (void)state;
    struct disk *twin = disk_copy(scene.d);
    struct store_io io = disk_io(twin);
    cg_err e;
    struct store *copy = kit_open(&io, &e);
    assert_int_equal(e, CG_OK);
    flip("packs/", 200);
    repair(copy);
    assert_held();
    assert_int_equal(active_commit(scene.w.t, NULL, NULL), CG_OK);
    assert_same();
    store_close(copy);
    disk_free(twin);
}

/* ---- copied ---- */

static void copied(void **state)
{
    (void)state;
    struct store_options o = kit_options();
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    struct store_writer *w;
    struct store_copied c;
    struct store_checked checked;
    struct cg_str want = {0}, got = {0};
    struct disk *d = disk_new();
    struct world there = {.io = disk_io(d)};
    cg_err e;
    struct store *src = kit_open(&scene.w.io, &e);
    assert_int_equal(store_init(&there.io, &o, &secret, src, recovery, &eb), CG_OK);
    struct store *dst = kit_open(&there.io, &e);
    assert_int_equal(store_writer_open(dst, "copy", STORE_FAST, &w, &eb), CG_OK);
    for (uint32_t i = 0; i < store_ref_count(src); i++) {
        struct store_refinfo ref;
        store_ref_at(src, i, &ref);
        assert_int_equal(store_copy(src, w, &ref, NULL, &c, &eb), CG_OK);
    }
    store_writer_close(w);
    assert_int_equal(store_check(dst, true, NULL, show, NULL, &checked, &eb), CG_OK);
    store_close(dst);
    store_close(src);
    /* The copy's tree is the one that was committed last: what is in the journal is not there. */
    assert_int_equal(world_open(&there, d), CG_OK);
    active_text(there.t, &got);
    snapshot_text(scene.w.writes, "one@1", &want);
    assert_true(want.len == got.len && memcmp(want.data, got.data, want.len) == 0);
    assert_int_equal(active_commit(there.t, "other@1", NULL), CG_OK);
    world_close(&there);
    cg_str_fini(&want);
    cg_str_fini(&got);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(repaired, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repaired_in_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_state_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_states_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pack_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copied, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
