/* Names that the kernel side holds: who gets some, and what waits until they have run out. */
#include "internal.h"
#include "nstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RTT_NS = 2000000 };
static const uint64_t names_ns = 200000000, short_ns = 50000000;

static struct t_world world;
static struct t_user user, other;

static int setup(void **state)
{
    (void)state;
    t_world_init(&world, 1, RTT_NS);
    t_serve(&world, "alpha!hostfs");
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    assert_int_equal(t_user_mount(&other, &world), CG_OK);
    user.ns->config.names_ns = other.ns->config.names_ns = names_ns;
    assert_int_equal(t_mkdir(&user, "/d"), CG_OK);
    assert_int_equal(t_put(&user, "/d/a", "hello"), CG_OK);
    t_run(&world, 10 * names_ns);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

/* The node must live for the kernel to hold names in it. */
static struct ns_node *dir_of(struct t_user *u, const char *path)
{
    cg_err e;
    struct ns_node *n = t_walk(u, path, &e);
    assert_non_null(n);
    return n;
}

static uint64_t took(uint64_t since)
{
    return sim_now(world.sim) - since;
}

static void a_change_by_others_waits(void **state)
{
    (void)state;
    struct ns_node *d = dir_of(&user, "/d");
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    assert_true(st.hold);
    uint64_t given = sim_now(world.sim);
    t_run(&world, short_ns);
    assert_int_equal(t_remove(&other, "/d/a", false), CG_OK);
    assert_true(took(given) >= names_ns && took(given) < names_ns + 20 * (uint64_t)RTT_NS);

    /* Then the directory has a rest: nothing is held and nobody waits. */
    uint64_t now = sim_now(world.sim);
    assert_int_equal(t_stat(&user, "/d/b", &st), CG_ENOENT);
    assert_int_equal(t_put(&other, "/d/b", "new"), CG_OK);
    assert_int_equal(t_stat(&user, "/d/b", &st), CG_OK);
    assert_false(st.hold);
    assert_true(took(now) < short_ns);
    t_run(&world, user.ns->rest_ns);
    assert_int_equal(t_stat(&user, "/d/b", &st), CG_OK);
    assert_true(st.hold);
    ns_node_forget(d, 1);
}

static void an_absent_name_is_held(void **state)
{
    (void)state;
    struct ns_node *d = dir_of(&user, "/d");
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/d/new", &st), CG_ENOENT);
    assert_true(st.hold);
    uint64_t given = sim_now(world.sim);
    assert_int_equal(t_mkdir(&other, "/d/new"), CG_OK);
    assert_true(took(given) >= names_ns);
    ns_node_forget(d, 1);
}

static void a_listing_is_held(void **state)
{
    (void)state;
    struct ns_node *d = dir_of(&other, "/d");
    char names[64];
    t_run(&world, names_ns); /* that of /d itself has run out */
    assert_int_equal(t_ls(&other, "/d", true, names, sizeof names), CG_OK);
    uint64_t given = sim_now(world.sim);
    assert_int_equal(t_remove(&user, "/d/a", false), CG_OK);
    assert_true(took(given) >= names_ns);
    ns_node_forget(d, 1);
}

static void other_directories_do_not_wait(void **state)
{
    (void)state;
    struct ns_node *d = dir_of(&user, "/d");
    struct ns_stat st;
    assert_int_equal(t_mkdir(&user, "/e"), CG_OK);
    struct ns_node *e = dir_of(&user, "/e");
    char names[64];
    assert_int_equal(t_ls(&user, "/e", false, names, sizeof names), CG_OK);
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    uint64_t given = sim_now(world.sim);
    assert_int_equal(t_put(&other, "/e/new", ""), CG_OK);
    assert_int_equal(t_chmod(&other, "/d/a", 0600), CG_OK); /* a file's own change */
    assert_true(took(given) < short_ns);
    ns_node_forget(d, 1);
    ns_node_forget(e, 1);
}

/* Who changes a directory knows of it under the node that it changed it by, not under others. */
static void own_changes_wait_for_other_views(void **state)
{
    (void)state;
    struct ns_stat st;
    assert_int_equal(t_mkdir(&user, "/view"), CG_OK);
    assert_int_equal(t_ctl(&user, "bind -c /d /view"), CG_OK);
    struct ns_node *d = dir_of(&user, "/d"), *view = dir_of(&user, "/view");
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    uint64_t given = sim_now(world.sim);
    assert_int_equal(t_remove(&user, "/d/a", false), CG_OK);
    assert_true(took(given) < short_ns);

    assert_int_equal(t_stat(&user, "/view/a", &st), CG_ENOENT);
    assert_true(st.hold);
    given = sim_now(world.sim);
    assert_int_equal(t_put(&user, "/d/a", "again"), CG_OK);
    assert_true(took(given) >= names_ns);
    assert_int_equal(t_stat(&user, "/view/a", &st), CG_OK);
    ns_node_forget(d, 1);
    ns_node_forget(view, 1);
}

static void done(void *aux, cg_err e, const char *detail)
{
    (void)detail;
    assert_int_equal(e, CG_OK);
    *(bool *)aux = true;
}

static uint64_t settled_after(void)
{
    bool there = false;
    uint64_t now = sim_now(world.sim);
    ns_settle(user.ns, done, &there);
    while (!there) {
        assert_true(t_step(&world));
    }
    return took(now);
}

static void the_mount_table_settles(void **state)
{
    (void)state;
    struct ns_stat st;
    assert_int_equal(t_mkdir(&user, "/d/point"), CG_OK);
    assert_int_equal(t_stat(&user, "/d/point", &st), CG_OK);
    struct ns_node *d = dir_of(&user, "/d");
    assert_int_equal(settled_after(), 0);
    assert_int_equal(t_stat(&user, "/d/point", &st), CG_OK);
    assert_int_equal(t_ctl(&user, "bind / /d/point"), CG_OK);
    assert_true(settled_after() > names_ns - short_ns);
    assert_int_equal(settled_after(), 0);
    ns_node_forget(d, 1);
}

static void nothing_is_held_beyond_the_lease(void **state)
{
    (void)state;
    struct ns_node *d = dir_of(&user, "/d");
    struct ns_stat st;
    user.ns->config.names_ns = 3600 * UINT64_C(1000000000);
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    assert_true(st.until_ns > 0);
    assert_false(st.hold);
    ns_node_forget(d, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_by_others_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absent_name_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listing_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(other_directories_do_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(own_changes_wait_for_other_views, setup, teardown),
        cmocka_unit_test_setup_teardown(the_mount_table_settles, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_held_beyond_the_lease, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
