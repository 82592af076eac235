/* A kept client dies at every store into its book in turn, and its successor goes on: every request
 * happens once, whoever made it. Death is a copy of the book at that store; what the old client
 * does afterwards reaches nobody. */
#include "test_fs.h"

#include <cognu/book.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { CALLS = 24, STEPS_MAX = 200000, NUMBER = 77 };
#define BOOK_BYTES (UINT64_C(1) << 20)

struct pipe {
    struct cg_list frames;
};

struct world {
    uint64_t now_ns, random;
    struct cg_env env;
    struct test_fs fs;
    struct ninep_server *server;
    struct ninep_conn *conn;
    struct ninep_client *client;
    struct pipe up, down; /* to the server, to the client */
    bool connect_wanted;
    struct book *book;
    int book_fd;
    uint64_t steps_left; /* before it dies; 0: it does not */
    int grave;           /* the book as it was then */
    bool dead;
    uint32_t lives, lost_sessions, orphans;
    bool done[CALLS], adopted[CALLS];
    uint32_t failed;
    uint32_t chain, fid;
};

static struct world the_world; /* book_on_step knows no other */

static uint64_t now_ns(void *ctx)
{
    return ((struct world *)ctx)->now_ns;
}

static void random_bytes(void *ctx, void *out, size_t bytes)
{
    struct world *w = ctx;
    for (size_t i = 0; i < bytes; i++) {
        w->random = w->random * UINT64_C(6364136223846793005) + 1;
        ((uint8_t *)out)[i] = (uint8_t)(w->random >> 56);
    }
}

static void spill(struct pipe *p)
{
    while (!cg_list_empty(&p->frames)) {
        struct ninep_frame *f = CG_CONTAINER(p->frames.next, struct ninep_frame, link);
        cg_list_del(&f->link);
        ninep_frame_free(f);
    }
}

static void on_connect(void *ctx)
{
    ((struct world *)ctx)->connect_wanted = true;
}

static void on_client_send(void *ctx, struct ninep_frame *f)
{
    if (((struct world *)ctx)->dead) {
        ninep_frame_free(f);
        return;
    }
    cg_list_push(&((struct world *)ctx)->up.frames, &f->link);
}

static void on_server_send(void *ctx, struct ninep_frame *f)
{
    cg_list_push(&((struct world *)ctx)->down.frames, &f->link);
}

static void server_side_closed(struct world *w)
{
    struct ninep_conn *conn = w->conn;
    w->conn = NULL;
    if (conn) {
        ninep_conn_closed(conn);
    }
}

static void on_disconnect(void *ctx)
{
    struct world *w = ctx;
    spill(&w->up);
    server_side_closed(w);
    spill(&w->down);
}

static void on_server_close(void *ctx)
{
    (void)ctx;
    fail_msg("the server says that the client broke the protocol");
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct world *w = ctx;
    assert_true(w->dead || st != NINEP_DEAD);
    (void)why;
    (void)detail;
    w->lost_sessions += !w->dead && st == NINEP_UP && !resumed;
}

static const struct ninep_conn_ops conn_ops = {.send = on_server_send, .close = on_server_close};

static struct ninep_frame *carry(struct pipe *p)
{
    if (cg_list_empty(&p->frames)) {
        return NULL;
    }
    struct ninep_frame *f = CG_CONTAINER(p->frames.next, struct ninep_frame, link);
    cg_list_del(&f->link);
    struct ninep_frame *copy = ninep_frame_new(f->len); /* the other end gets bytes */
    memcpy(copy->data, f->data, f->len);
    copy->len = f->len;
    ninep_frame_free(f);
    return copy;
}

/* A frame each way, or time goes by. */
static void step(struct world *w)
{
    struct ninep_frame *f = carry(&w->up);
    if (f && w->conn) {
        ninep_conn_frame(w->conn, f);
    } else {
        ninep_frame_free(f);
    }
    struct ninep_frame *g = carry(&w->down);
    if (g) {
        ninep_client_frame(w->client, g);
    }
    if (!f && !g) {
        w->now_ns += 1000000;
    }
    if (!w->dead) {
        ninep_client_tick(w->client);
    }
    ninep_server_tick(w->server);
    if (w->connect_wanted && !w->dead) {
        w->connect_wanted = false;
        struct ninep_peer peer = {.local = true, .uid = 5};
        assert_int_equal(ninep_conn_new(w->server, &peer, &conn_ops, w, &w->conn), CG_OK);
        ninep_client_connected(w->client, &peer);
    }
}

/* ---- death ---- */

static void on_book_step(void)
{
    struct world *w = &the_world;
    static uint8_t copy[BOOK_BYTES];
    if (w->dead || w->steps_left == 0 || --w->steps_left > 0) {
        return;
    }
    assert_int_equal(book_memory("grave", BOOK_BYTES, &w->grave, NULL), CG_OK);
    assert_int_equal(pread(w->book_fd, copy, sizeof copy, 0), sizeof copy);
    assert_int_equal(pwrite(w->grave, copy, sizeof copy, 0), sizeof copy);
    w->dead = true;
}

static struct book *open_book(struct world *w, int fd)
{
    struct book *b = NULL;
    struct book_config c = {.kind = "kept", .version = 1, .bytes = BOOK_BYTES, .fd = dup(fd)};
    w->book_fd = fd;
    assert_int_equal(book_new(&c, &b, NULL), CG_OK);
    return b;
}

static void new_client(struct world *w)
{
    struct ninep_client_config cc = {.env = &w->env,
                                     .auth = &ninep_auth_local,
                                     .slots = 8,
                                     .user = "u",
                                     .connect = on_connect,
                                     .send = on_client_send,
                                     .disconnect = on_disconnect,
                                     .state = on_state,
                                     .ctx = w};
    w->lives++;
    assert_int_equal(ninep_client_new(&cc, &w->client), CG_OK);
}

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct world *w = &the_world;
    uint64_t origin = (uint64_t)(uintptr_t)aux;
    (void)r;
    if (w->dead) {
        return;
    }
    w->done[origin - 1] = true;
    if (e != CG_OK) {
        print_message("call %u: %s: %s\n", (unsigned)origin, cg_err_name(e), detail);
        w->failed++;
    }
}

static void on_adopt(void *ctx, const struct ninep_kept *k, ninep_done **done, void **aux)
{
    struct world *w = ctx;
    assert_true(k->origin >= 1 && k->origin <= CALLS);
    w->adopted[k->origin - 1] = true;
    *done = on_done;
    *aux = (void *)(uintptr_t)k->origin;
}

static void scenario(struct world *w);

/* The old one is let go, the next takes up its book, and what nobody remembers is asked again. */
static void next_life(struct world *w)
{
    ninep_client_free(w->client);
    book_free(w->book);
    close(w->book_fd);
    spill(&w->up);
    server_side_closed(w);
    spill(&w->down);
    w->dead = w->connect_wanted = false;
    memset(w->adopted, 0, sizeof w->adopted);
    w->book = open_book(w, w->grave);
    new_client(w);
    if (ninep_client_adopt(w->client, w->book, NUMBER, on_adopt, w)) {
        if (w->fid && !ninep_client_claim(w->client, w->fid)) {
            w->fid = 0;
        }
    } else {
        w->fid = 0; /* it died before its session was there, which the server may have */
        w->orphans++;
    }
    ninep_client_start(w->client);
    scenario(w);
}

static void world_init(struct world *w, uint64_t steps)
{
    int fd;
    memset(w, 0, sizeof *w);
    w->now_ns = UINT64_C(5000000000);
    w->steps_left = steps;
    w->env = (struct cg_env){.now_ns = now_ns, .wall_ns = now_ns, .random = random_bytes, .ctx = w};
    cg_list_init(&w->up.frames);
    cg_list_init(&w->down.frames);
    struct ninep_server_config sc = {.name = "test",
                                     .ops = &test_fs_ops,
                                     .aux = &w->fs,
                                     .env = &w->env,
                                     .auth = &ninep_auth_local};
    assert_int_equal(ninep_server_new(&sc, &w->server), CG_OK);
    assert_int_equal(book_memory("kept", BOOK_BYTES, &fd, NULL), CG_OK);
    w->book = open_book(w, fd);
    book_on_step = on_book_step;
    new_client(w);
    ninep_client_keep(w->client, w->book, NUMBER);
    ninep_client_start(w->client);
}

static void world_fini(struct world *w)
{
    book_on_step = NULL;
    ninep_client_free(w->client);
    server_side_closed(w);
    ninep_server_free(w->server);
    spill(&w->up);
    spill(&w->down);
    assert_int_equal(w->fs.refs, 0);
    cg_str_fini(&w->fs.log);
    book_free(w->book);
    close(w->book_fd);
}

/* ---- what is asked ---- */

static void call(struct world *w, int i, struct ninep_call k)
{
    if (w->done[i] || w->adopted[i]) {
        return;
    }
    k.done = on_done;
    k.origin = (uint64_t)i + 1;
    k.aux = (void *)(uintptr_t)k.origin;
    assert_int_not_equal(ninep_client_call(w->client, &k), 0);
}

/* A chain of walk, open and two appends, then lone requests of both classes; more than the slots.
 */
static void scenario(struct world *w)
{
    bool begun = w->done[0] || w->adopted[0];
    if (!begun || !w->fid) {
        w->chain = ninep_client_chain(w->client);
        w->fid = ninep_client_fid(w->client);
    }
    struct ninep_call k = {.type = NINEP_TWALK, .chain = w->chain};
    k.t.walk = (struct ninep_twalk){.newfid = w->fid, .names = {1, {cg_span_of("log")}}};
    call(w, 0, k);
    k = (struct ninep_call){.type = NINEP_TOPEN, .chain = w->chain};
    k.t.open = (struct ninep_topen){.fid = w->fid, .flags = NINEP_OPEN_RDWR};
    call(w, 1, k);
    k = (struct ninep_call){.type = NINEP_TWRITE, .chain = w->chain};
    k.t.write = (struct ninep_twrite){.fid = w->fid, .data = cg_span_of("a")};
    call(w, 2, k);
    k.last = true;
    k.t.write.data = cg_span_of("b");
    call(w, 3, k);
    for (int i = 4; i < CALLS; i++) {
        char name[2] = {(char)('a' + i), 0};
        k = (struct ninep_call){.type = NINEP_TREMOVE};
        k.t.remove = (struct ninep_tremove){.name = cg_span_of(name)};
        if (i % 3 == 0) { /* it need not happen, so it is not kept: asked again */
            k = (struct ninep_call){.type = NINEP_TGETATTR};
            k.t.getattr = (struct ninep_tgetattr){.fid = 0};
        }
        if (i == 11) {
            ninep_client_clunk(w->client, ninep_client_fid(w->client));
        }
        call(w, i, k);
    }
}

static bool all_done(const struct world *w)
{
    for (int i = 0; i < CALLS; i++) {
        if (!w->done[i]) {
            return false;
        }
    }
    return true;
}

static void run(struct world *w)
{
    for (int i = 0; i < 30; i++) { /* the session comes up */
        assert_true(i < STEPS_MAX);
        if (w->dead) {
            next_life(w);
        }
        step(w);
    }
    if (w->lives == 1) {
        scenario(w);
    }
    for (int i = 0; !all_done(w) || w->dead; i++) {
        assert_true(i < STEPS_MAX);
        if (w->dead) {
            next_life(w);
        }
        step(w);
    }
    for (int i = 0; i < 40; i++) { /* clunks */
        if (w->dead) {
            next_life(w);
        }
        step(w);
    }
}

static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void check(struct world *w, const char *want, uint64_t at)
{
    qsort(w->fs.log.data, w->fs.log.len, 1, compare);
    if (w->failed || w->lost_sessions > 2 || strcmp(w->fs.log.data, want) != 0 ||
        w->fs.refs > 2 + w->orphans) {
        print_message("died at store %llu: %u failed, %u sessions, %u fids, log %s\n",
                      (unsigned long long)at, w->failed, w->lost_sessions, w->fs.refs,
                      w->fs.log.data);
    }
    assert_int_equal(w->failed, 0);
    assert_string_equal(w->fs.log.data, want);
    assert_true(w->fs.refs <= 2 + w->orphans); /* the root and the log */
}

static void everything_once_with_a_death_at_every_store(void **state)
{
    struct world *w = &the_world;
    (void)state;
    world_init(w, 0);
    run(w);
    qsort(w->fs.log.data, w->fs.log.len, 1, compare);
    char *want = cg_strdup(w->fs.log.data);
    world_fini(w);
    uint64_t at = 1;
    for (uint32_t lives = 2; lives == 2; at++) {
        world_init(w, at);
        run(w);
        lives = w->lives;
        check(w, want, at);
        world_fini(w);
    }
    print_message("%llu deaths, one a run\n", (unsigned long long)at - 2);
    assert_true(at > 100);
    cg_free(want);
}

/* Many deaths in one run. */
static void everything_once_with_many_deaths(void **state)
{
    struct world *w = &the_world;
    (void)state;
    const char *given = getenv("COGNU_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    uint32_t lives = 0;
    print_message("COGNU_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 60; round++) {
        world_init(w, 0);
        w->random = seed + round;
        for (int i = 0; i < 30; i++) {
            step(w);
        }
        scenario(w);
        for (int i = 0; !all_done(w) || w->dead; i++) {
            assert_true(i < STEPS_MAX);
            if (w->dead) {
                next_life(w);
            }
            if (w->steps_left == 0 && w->lives < 12) {
                uint8_t r;
                random_bytes(w, &r, 1);
                w->steps_left = 1 + r % 90;
            }
            step(w);
        }
        lives += w->lives;
        w->steps_left = 0;
        assert_int_equal(w->failed, 0);
        assert_int_equal(w->fs.log.len, 2 + 2 * 14);
        world_fini(w);
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
