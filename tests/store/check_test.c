/* What a check finds: an index that counts wrongly, leads elsewhere, or has lost an object; and of
 * a whole store nothing. */
#include "../../lib/store/store__.h"
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct disk *d;
static struct store_io io;
static struct store *s;
static struct entry data, node; /* two of the index, each with one edge */

static void find_entries(void)
{
    struct merge m;
    struct sum sum;
    assert_int_equal(merge_open(s, s->run, (uint32_t)s->runs, &m, NULL), CG_OK);
    while (merge_next(&m, &sum, NULL, NULL, NULL) == CG_OK) {
        assert_true(sum.places == 1);
        if (sum.count == 1) {
            *(sum.place.kind == STORE_NODE ? &node : &data) = sum.place;
        }
    }
    merge_close(&m);
    assert_true(node.kind == STORE_NODE && data.kind == STORE_DATA);
}

static int set_up(void **state)
{
    (void)state;
    uint64_t seed = kit_seed("store_check", 3);
    struct shadow tree;
    struct store_writer *w;
    cg_err e;
    d = disk_new();
    io = disk_io(d);
    assert_int_equal(kit_init(&io), CG_OK);
    s = kit_open(&io, &e);
    shadow_random(&tree, &seed);
    assert_int_equal(store_writer_open(s, "check", STORE_FAST, &w, NULL), CG_OK);
    assert_int_equal(kit_put(w, &tree, "tree", STORE_FINAL), CG_OK);
    store_writer_close(w);
    assert_int_equal(store_refresh(s, NULL), CG_OK);
    find_entries();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(s);
    disk_free(d);
    return 0;
}

static struct store_checked check(cg_err want)
{
    struct store_checked c;
    assert_int_equal(store_check(s, false, NULL, NULL, NULL, &c, NULL), want);
    assert_int_equal(c.damaged, 0);
    return c;
}

static cg_err add_run(struct store *st, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)st;
    (void)eb;
    return state_add_run(next, arg);
}

/* The index with one more entry. */
static void plant(const struct entry *e)
{
    struct memtable m = {0};
    struct run_record rec = {0};
    struct store_writer *w;
    assert_int_equal(store_writer_open(s, "plant", STORE_FAST, &w, NULL), CG_OK);
    *memtable_at(&m, &e->score) = *e;
    assert_int_equal(writer_run(w, &m, RUN_ENTRIES, &rec, NULL), CG_OK);
    assert_int_equal(state_commit(s, add_run, &rec, NULL), CG_OK);
    store_writer_close(w);
    memtable_fini(&m);
}

static void whole(void **state)
{
    (void)state;
    struct store_checked c = check(CG_OK);
    assert_true(c.objects > 0 && c.nodes > 0 && c.garbage == 0);
}

static void counts(void **state)
{
    (void)state;
    struct entry more = {.score = data.score, .count = 1},
                 less = {.score = node.score, .count = -1};
    plant(&more);
    struct store_checked c = check(CG_EIO);
    assert_true(c.miscounted == 1 && c.missing == 0);
    plant(&less);
    c = check(CG_EIO);
    assert_true(c.miscounted == 2 && c.missing == 0);
}

static void a_place_of_another(void **state)
{
    (void)state;
    struct entry wrong = data;
    wrong.score.b[0] ^= 1;
    wrong.count = 0;
    plant(&wrong);
    struct store_checked c = check(CG_EIO);
    assert_true(c.missing == 1 && c.miscounted == 0 && c.garbage == 1);
}

/* ---- an entry that is not there ---- */

static bool all_but_data(void *aux, struct sum *sum)
{
    (void)aux;
    return !store_score_is(&sum->score, &data.score);
}

static cg_err all_lives(struct store *st, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)st;
    (void)arg;
    (void)eb;
    for (size_t i = 0; i < next->packs; i++) {
        next->pack[i].live = next->pack[i].raw;
    }
    return CG_OK;
}

static void an_object_lost(void **state)
{
    (void)state;
    struct remake r = {.map = all_but_data};
    assert_int_equal(store_writer_open(s, "lose", STORE_FAST, &r.w, NULL), CG_OK);
    assert_int_equal(writer_run_id(r.w, &r.id, NULL), CG_OK);
    assert_int_equal(remake_index(&r, NULL, NULL), CG_OK);
    store_writer_close(r.w);
    struct store_checked c = check(CG_EIO);
    assert_true(c.missing == 1 && c.miscounted == 0);
    /* Worse: writers believe that the index has all of the pack. */
    assert_int_equal(state_commit(s, all_lives, NULL, NULL), CG_OK);
    c = check(CG_EIO);
    assert_true(c.missing == 1 && c.miscounted == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_of_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_object_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
