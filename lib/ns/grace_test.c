/* Grace: what a server that was restarted lets wait, for whom, and for how long. Two namespaces
 * look at one file server; one of them remembers what it was told under leases when the server is
 * restarted, the other one changes it. */
#include "internal.h"
#include "nstest.h"
#include <cognu/book.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RTT_NS = 2000000, LEASE_MS = 3000 };
static const uint64_t ms = 1000000;

static struct t_world world;
static struct t_server *server;
static struct t_user user, other;

static int setup(void **state)
{
    (void)state;
    char text[16];
    t_world_init(&world, 1, RTT_NS);
    world.lease_ms = LEASE_MS;
    server = t_serve(&world, "alpha!hostfs");
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    assert_int_equal(t_user_mount(&other, &world), CG_OK);
    assert_int_equal(t_put(&other, "/f", "old"), CG_OK);
    assert_int_equal(t_cat(&user, "/f", text, sizeof text), CG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

/* The server is another process; the user's client does not find it. */
static void restart_without_user(void)
{
    t_server_restart(server);
    t_client(&user, 0)->server = NULL;
}

static void find_again(void)
{
    t_client(&user, 0)->server = t_sim(server);
}

static uint64_t change(void)
{
    uint64_t now = sim_now(world.sim);
    assert_int_equal(t_setsize(&other, "/f", 1), CG_OK);
    return sim_now(world.sim) - now;
}

static void who_comes_back_at_once_is_hardly_waited_for(void **state)
{
    (void)state;
    t_server_restart(server);
    t_run(&world, 100 * ms);
    assert_true(change() < 100 * ms);
}

static void a_holder_who_stays_away_has_its_term(void **state)
{
    (void)state;
    uint64_t lost = sim_now(world.sim);
    restart_without_user();
    change();
    uint64_t took = sim_now(world.sim) - lost;
    assert_true(took > (LEASE_MS - 100) * ms && took < (LEASE_MS + 1000) * ms);
    assert_true(change() < 100 * ms); /* and then no more */
}

static void nothing_else_waits(void **state)
{
    (void)state;
    char text[16];
    restart_without_user();
    t_run(&world, 200 * ms);
    uint64_t now = sim_now(world.sim);
    assert_int_equal(t_cat(&other, "/f", text, sizeof text), CG_OK);
    assert_string_equal(text, "old");
    assert_true(sim_now(world.sim) - now < 100 * ms);
}

static void a_holder_who_comes_back_ends_it(void **state)
{
    (void)state;
    restart_without_user();
    t_run(&world, 300 * ms);
    find_again();
    uint64_t now = sim_now(world.sim);
    change();
    assert_true(sim_now(world.sim) - now < 1000 * ms);
    struct ns_stat st;
    assert_int_equal(t_stat(&user, "/f", &st), CG_OK);
    assert_int_equal(st.attr.size, 1);
}

/* Coming back is not enough: the kernel side must have forgotten too. */
static void a_slow_kernel_is_waited_for(void **state)
{
    (void)state;
    user.slow_kernel = true;
    t_server_restart(server);
    t_run(&world, 1000 * ms);
    assert_non_null(user.token);
    ns_invalidated(user.ns, user.token);
    assert_true(change() < 200 * ms);

    char text[16];
    user.slow_kernel = false;
    assert_int_equal(t_cat(&user, "/f", text, sizeof text), CG_OK);
    user.slow_kernel = true;
    user.token = NULL;
    t_server_restart(server);
    uint64_t now = sim_now(world.sim);
    change();
    assert_non_null(user.token);
    assert_true(sim_now(world.sim) - now > (LEASE_MS - 1000) * ms);
}

static void names_that_are_held_are_waited_for(void **state)
{
    (void)state;
    struct ns_stat st;
    user.ns->config.names_ns = 1500 * ms;
    assert_int_equal(t_stat(&user, "/f", &st), CG_OK);
    assert_true(st.hold);
    uint64_t given = sim_now(world.sim);
    t_server_restart(server);
    change();
    uint64_t took = sim_now(world.sim) - given;
    assert_true(took >= 1500 * ms && took < (LEASE_MS - 500) * ms);
}

static void a_server_that_stops_in_peace_leaves_its_records(void **state)
{
    (void)state;
    uint64_t cursor = 0, records = 0;
    restart_without_user();
    while (book_next(server->holders, &cursor)) {
        records++;
    }
    assert_true(records >= 1);
    t_run(&world, 2 * LEASE_MS * ms); /* nobody has leases but the other, who came back */
    records = cursor = 0;
    while (book_next(server->holders, &cursor)) {
        records++;
    }
    assert_true(records <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_comes_back_at_once_is_hardly_waited_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_holder_who_stays_away_has_its_term, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_else_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_holder_who_comes_back_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_kernel_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_are_held_are_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_stops_in_peace_leaves_its_records, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
