/* The link between client and server is cut at every frame in turn, and the outcome must be that of
 * an uncut run: everything done, nothing done twice. */
#include "test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t done, failed;

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)aux;
    (void)r;
    done++;
    if (e != CG_OK) {
        print_message("%s: %s\n", cg_err_name(e), detail);
        failed++;
    }
}

static void begin(struct world *w)
{
    world_init(w);
    world_client(w);
    ninep_client_start(w->client);
    done = failed = 0;
}

static void scenario(struct world *w)
{
    w->chain = ninep_client_chain(w->client);
    w->fid = ninep_client_fid(w->client);
    struct ninep_call read = {.type = NINEP_TREAD};
    read.t.read = (struct ninep_tread){.fid = w->fid, .count = 10};
    for (uint32_t i = 0; i < WORLD_CALLS; i++) {
        struct ninep_call k = world_call(w, i, &read);
        if (i == 11) {
            ninep_client_clunk(w->client, ninep_client_fid(w->client));
        }
        k.done = on_done;
        assert_int_not_equal(ninep_client_call(w->client, &k), 0);
    }
}

static void run(struct world *w)
{
    scenario(w);
    for (int i = 0; done < WORLD_CALLS; i++) {
        assert_true(i < WORLD_STEPS_MAX);
        world_step(w);
    }
    for (int i = 0; i < 20; i++) { /* clunks */
        world_step(w);
    }
}

static void check(const struct world *w)
{
    assert_int_equal(failed, 0);
    assert_int_equal(w->lost_sessions, 1); /* the first */
    assert_true(strstr(w->fs.log.data, "b") > strstr(w->fs.log.data, "a"));
}

static void everything_once_with_a_cut_at_every_frame(void **state)
{
    static struct world w;
    (void)state;
    begin(&w);
    run(&w);
    uint32_t frames = w.frames;
    check(&w);
    char *want = cg_strdup(world_log(&w));
    world_fini(&w);
    assert_true(frames > 50);
    for (uint32_t at = 1; at <= frames; at++) {
        begin(&w);
        w.cut_at = at;
        run(&w);
        if (failed || strlen(want) != w.fs.log.len) {
            print_message("cut at frame %u of %u\n", at, frames);
        }
        assert_int_equal(w.cuts, 1);
        check(&w);
        assert_string_equal(world_log(&w), want);
        world_fini(&w);
    }
    print_message("%u cuts, one a run\n", frames);
    cg_free(want);
}

/* Many cuts in one run, a few frames apart. */
static void everything_once_with_many_cuts(void **state)
{
    static struct world w;
    (void)state;
    const char *given = getenv("COGNU_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    print_message("COGNU_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 100; round++) {
        begin(&w);
        w.random = seed + round;
        scenario(&w);
        for (int i = 0; done < WORLD_CALLS; i++) {
            assert_true(i < WORLD_STEPS_MAX);
            if (w.frames >= w.cut_at && w.cuts < 30) {
                w.cut_at = w.frames + 1 + world_random(&w) % 12;
            }
            world_step(&w);
        }
        assert_int_equal(failed, 0);
        assert_int_equal(w.fs.log.len, 2 + 2 * 14);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_once_with_a_cut_at_every_frame),
        cmocka_unit_test(everything_once_with_many_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
