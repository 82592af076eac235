/* A kept client dies at every store into its book in turn, and its successor goes on: every request
 * happens once, whoever made it. Death is a copy of the book at that store; what the old client
 * does afterwards reaches nobody. */
#include "test_world.h"

#include <cognu/book.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { NUMBER = 77 };
#define BOOK_BYTES (UINT64_C(1) << 20)

static struct world world;

/* Of its client; there is one, for book_on_step knows no other. */
static struct {
    struct book *book;
    int book_fd;
    uint64_t steps_left; /* before it dies; 0: it does not */
    int grave;           /* the book as it was then */
    uint32_t lives, orphans;
    bool done[WORLD_CALLS], adopted[WORLD_CALLS];
    uint32_t failed;
} life;

/* ---- death ---- */

static void on_book_step(void)
{
    static uint8_t copy[BOOK_BYTES];
    if (world.dead || life.steps_left == 0 || --life.steps_left > 0) {
        return;
    }
    assert_int_equal(book_memory("grave", BOOK_BYTES, &life.grave, NULL), CG_OK);
    assert_int_equal(pread(life.book_fd, copy, sizeof copy, 0), sizeof copy);
    assert_int_equal(pwrite(life.grave, copy, sizeof copy, 0), sizeof copy);
    world.dead = true;
}

static void open_book(int fd)
{
    struct book_config c = {.kind = "kept", .version = 1, .bytes = BOOK_BYTES, .fd = dup(fd)};
    life.book_fd = fd;
    assert_int_equal(book_new(&c, &life.book, NULL), CG_OK);
}

static void close_book(void)
{
    book_free(life.book);
    close(life.book_fd);
}

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    uint64_t origin = (uint64_t)(uintptr_t)aux;
    (void)r;
    if (world.dead) {
        return;
    }
    life.done[origin - 1] = true;
    if (e != CG_OK) {
        print_message("call %u: %s: %s\n", (unsigned)origin, cg_err_name(e), detail);
        life.failed++;
    }
}

static void on_adopt(void *ctx, const struct ninep_kept *k, ninep_done **done, void **aux)
{
    (void)ctx;
    assert_true(k->origin >= 1 && k->origin <= WORLD_CALLS);
    life.adopted[k->origin - 1] = true;
    *done = on_done;
    *aux = (void *)(uintptr_t)k->origin;
}

/* What is neither done nor remembered is asked. */
static void scenario(void)
{
    struct world *w = &world;
    struct ninep_call getattr = {.type = NINEP_TGETATTR}; /* of the root; it is not kept */
    if (!(life.done[0] || life.adopted[0]) || !w->fid) {
        w->chain = ninep_client_chain(w->client);
        w->fid = ninep_client_fid(w->client);
    }
    for (uint32_t i = 0; i < WORLD_CALLS; i++) {
        struct ninep_call k = world_call(w, i, &getattr);
        if (i == 11) {
            ninep_client_clunk(w->client, ninep_client_fid(w->client));
        }
        if (!life.done[i] && !life.adopted[i]) {
            k.done = on_done;
            k.origin = (uint64_t)i + 1;
            k.aux = (void *)(uintptr_t)k.origin;
            assert_int_not_equal(ninep_client_call(w->client, &k), 0);
        }
    }
}

/* The old one is let go, the next takes up its book, and what nobody remembers is asked again. */
static void next_life(void)
{
    struct world *w = &world;
    ninep_client_free(w->client);
    close_book();
    world_unlink(w);
    w->dead = w->connect_wanted = false;
    memset(life.adopted, 0, sizeof life.adopted);
    open_book(life.grave);
    world_client(w);
    life.lives++;
    if (ninep_client_adopt(w->client, life.book, NUMBER, on_adopt, NULL)) {
        if (w->fid && !ninep_client_claim(w->client, w->fid)) {
            w->fid = 0;
        }
    } else {
        w->fid = 0; /* it died before its session was there, which the server may have */
        life.orphans++;
    }
    ninep_client_start(w->client);
    scenario();
}

static void step(void)
{
    if (world.dead) {
        next_life();
    }
    world_step(&world);
}

static void begin(uint64_t steps)
{
    int fd;
    memset(&life, 0, sizeof life);
    life.steps_left = steps;
    life.lives = 1;
    world_init(&world);
    assert_int_equal(book_memory("kept", BOOK_BYTES, &fd, NULL), CG_OK);
    open_book(fd);
    book_on_step = on_book_step;
    world_client(&world);
    ninep_client_keep(world.client, life.book, NUMBER);
    ninep_client_start(world.client);
}

static void end(void)
{
    book_on_step = NULL;
    world_fini(&world);
    close_book();
}

static bool all_done(void)
{
    for (int i = 0; i < WORLD_CALLS; i++) {
        if (!life.done[i]) {
            return false;
        }
    }
    return !world.dead;
}

static void run(void)
{
    for (int i = 0; i < 30; i++) { /* the session comes up */
        step();
    }
    if (life.lives == 1) {
        scenario();
    }
    for (int i = 0; !all_done(); i++) {
        assert_true(i < WORLD_STEPS_MAX);
        step();
    }
    for (int i = 0; i < 40; i++) { /* clunks */
        step();
    }
}

static void check(const char *want, uint64_t at)
{
    struct world *w = &world;
    const char *log = world_log(w);
    if (life.failed || w->lost_sessions > 2 || strcmp(log, want) != 0 ||
        w->fs.refs > 2 + life.orphans) {
        print_message("died at store %llu: %u failed, %u sessions, %u fids, log %s\n",
                      (unsigned long long)at, life.failed, w->lost_sessions, w->fs.refs, log);
    }
    assert_int_equal(life.failed, 0);
    assert_string_equal(log, want);
    assert_true(w->fs.refs <= 2 + life.orphans); /* the root and the log */
}

static void everything_once_with_a_death_at_every_store(void **state)
{
    (void)state;
    begin(0);
    run();
    char *want = cg_strdup(world_log(&world));
    end();
    uint64_t at = 1;
    for (uint32_t lives = 2; lives == 2; at++) {
        begin(at);
        run();
        lives = life.lives;
        check(want, at);
        end();
    }
    print_message("%llu deaths, one a run\n", (unsigned long long)at - 2);
    assert_true(at > 100);
    cg_free(want);
}

/* Many deaths in one run. */
static void everything_once_with_many_deaths(void **state)
{
    (void)state;
    const char *given = getenv("COGNU_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    uint32_t lives = 0;
    print_message("COGNU_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 60; round++) {
        begin(0);
        world.random = seed + round;
        for (int i = 0; i < 30; i++) {
            step();
        }
        scenario();
        for (int i = 0; !all_done(); i++) {
            assert_true(i < WORLD_STEPS_MAX);
            if (!world.dead && life.steps_left == 0 && life.lives < 12) {
                life.steps_left = 1 + world_random(&world) % 90;
            }
            step();
        }
        lives += life.lives;
        life.steps_left = 0;
        assert_int_equal(life.failed, 0);
        assert_int_equal(world.fs.log.len, 2 + 2 * 14);
        end();
    }
    print_message("%u lives\n", lives);
    assert_true(lives > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_once_with_a_death_at_every_store),
        cmocka_unit_test(everything_once_with_many_deaths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
