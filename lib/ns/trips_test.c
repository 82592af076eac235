/* Round trips, counted exactly, at 50 ms: what the cache and the chains are for. Each test prints
 * what it counted and how long it took by the simulated clock. */
#include "nstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RTT_MS = 50, FILES = 50, FILE_BYTES = 4000 };

static struct t_world world;
static struct t_user user;

static struct {
    uint64_t trips, ns;
} begun;

static void begin(void)
{
    t_run(&world, 200000000); /* what is still under way in the background */
    begun.trips = t_round_trips(&user);
    begun.ns = sim_now(world.sim);
}

/* Time over the longest round trip: a flight sent while another is under way is no new round trip
 * for the client's counter, but it is waited for. The simulated link takes up to a quarter more. */
static uint64_t trips(const char *what)
{
    uint64_t ms = (sim_now(world.sim) - begun.ns) / 1000000;
    uint64_t n = t_round_trips(&user) - begun.trips;
    printf("%s: %llu flights, %llu ms\n", what, (unsigned long long)n, (unsigned long long)ms);
    assert_true(ms <= n * RTT_MS * 5 / 4);
    return n;
}

static void fill(struct t_user *u, const char *dir, int files, int bytes)
{
    char path[64], text[FILE_BYTES + 1];
    assert_int_equal(t_mkdir(u, dir), CG_OK);
    for (int i = 0; i < files; i++) {
        memset(text, 'a' + i % 26, (size_t)bytes);
        text[bytes] = '\0';
        snprintf(path, sizeof path, "%s/f%02d", dir, i);
        assert_int_equal(t_put(u, path, text), CG_OK);
    }
}

static int setup(void **state)
{
    (void)state;
    t_world_init(&world, 1, RTT_MS * 1000000);
    t_serve(&world, "alpha!hostfs");
    struct t_user writer; /* another namespace: ours starts cold */
    assert_int_equal(t_user_mount(&writer, &world), CG_OK);
    fill(&writer, "/d", FILES, FILE_BYTES);
    t_user_fini(&writer);
    t_run(&world, 20 * UINT64_C(1000000000)); /* until its leases have ended */
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/", &st), CG_OK); /* attach, and the root's lease */
    begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

static void cat_all(void)
{
    char path[64], got[FILE_BYTES + 2];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/d/f%02d", i);
        assert_int_equal(t_cat(&user, path, got, sizeof got), CG_OK);
        assert_int_equal(strlen(got), FILE_BYTES);
        assert_int_equal(got[0], 'a' + i % 26);
    }
}

static void cat50(void **state)
{
    (void)state;
    cat_all();
    assert_int_equal(trips("cold cat of 50 files"), 1);
    begin();
    cat_all();
    assert_int_equal(trips("warm cat of 50 files"), 0);
}

static void ls_l(void **state)
{
    (void)state;
    char names[1024], path[64];
    struct ns_stat st;
    assert_int_equal(t_ls(&user, "/d", true, names, sizeof names), CG_OK);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/d/f%02d", i);
        assert_int_equal(t_stat(&user, path, &st), CG_OK);
        assert_int_equal(st.attr.size, FILE_BYTES);
    }
    assert_int_equal(trips("cold ls -l of 50 files"), 1);
}

static void create20(void **state)
{
    (void)state;
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/d/none", &st), CG_ENOENT);
    begin();
    for (int i = 0; i < 20; i++) {
        char path[64];
        snprintf(path, sizeof path, "/d/new%02d", i);
        assert_int_equal(t_put(&user, path, "some text\n"), CG_OK);
    }
    assert_int_equal(trips("create, write, close 20 files, one after the other"), 20);
}

static void sweep(void **state)
{
    (void)state;
    char path[64];
    struct ns_stat st;
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/d/f%02d", i);
        assert_int_equal(t_stat(&user, path, &st), CG_OK);
    }
    snprintf(path, sizeof path, "/d/.gitignore");
    assert_int_equal(t_stat(&user, path, &st), CG_ENOENT);
    assert_int_equal(trips("cold lstat sweep of 50 files"), 1);
}

/* As git does to see what has changed: every path of an index, one directory after the other. */
static void sweep_tree(void **state)
{
    (void)state;
    enum { DIRS = 8, EACH = 10 };
    char path[64];
    struct t_user writer;
    struct ns_stat st;
    assert_int_equal(t_user_mount(&writer, &world), CG_OK);
    for (int d = 0; d < DIRS; d++) {
        snprintf(path, sizeof path, "/g%d", d);
        fill(&writer, path, EACH, 10);
    }
    t_user_fini(&writer);
    begin();
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < DIRS * EACH; i++) {
            snprintf(path, sizeof path, "/g%d/f%02d", i / EACH, i % EACH);
            assert_int_equal(t_stat(&user, path, &st), CG_OK);
        }
        if (pass == 0) {
            /* the guesses overlap, so that the flights cannot be counted: by the clock */
            uint64_t ms = (sim_now(world.sim) - begun.ns) / 1000000;
            printf("cold lstat sweep of 8 directories of 10 files: %llu ms\n",
                   (unsigned long long)ms);
            assert_in_range(ms, DIRS * RTT_MS, DIRS * RTT_MS * 5 / 4);
            begin();
        }
    }
    assert_int_equal(trips("warm lstat sweep of them"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cat50, setup, teardown),
        cmocka_unit_test_setup_teardown(ls_l, setup, teardown),
        cmocka_unit_test_setup_teardown(create20, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep_tree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
