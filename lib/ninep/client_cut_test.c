/* Client and server framework together, in memory: the link is cut at every frame in turn, and the
 * outcome must be that of an uncut run: everything done, nothing done twice. */
#include "test_fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CALLS = 24, STEPS_MAX = 200000 };

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
    uint32_t frames; /* carried so far */
    uint32_t cut_at; /* the frame that is lost with all behind it; 0: none */
    uint32_t cuts, lost_sessions;
    uint32_t done, failed;
    uint32_t fid;
};

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
    assert_int_not_equal(st, NINEP_DEAD);
    (void)why;
    (void)detail;
    w->lost_sessions += st == NINEP_UP && !resumed;
}

static const struct ninep_conn_ops conn_ops = {.send = on_server_send, .close = on_server_close};

static void cut(struct world *w)
{
    w->cuts++;
    spill(&w->up);
    spill(&w->down);
    server_side_closed(w);
    spill(&w->down);
    ninep_client_lost(w->client, CG_ECONNRESET, "cut");
}

static struct ninep_frame *carry(struct world *w, struct pipe *p)
{
    if (cg_list_empty(&p->frames)) {
        return NULL;
    }
    if (++w->frames == w->cut_at) {
        cut(w);
        return NULL;
    }
    struct ninep_frame *f = CG_CONTAINER(p->frames.next, struct ninep_frame, link);
    cg_list_del(&f->link);
    /* The other end gets bytes, not our frame. */
    struct ninep_frame *copy = ninep_frame_new(f->len);
    memcpy(copy->data, f->data, f->len);
    copy->len = f->len;
    ninep_frame_free(f);
    return copy;
}

/* One step of the world: a frame each way, or time goes by. False when nothing is left to do. */
static void step(struct world *w)
{
    struct ninep_frame *f = carry(w, &w->up);
    if (f && w->conn) {
        ninep_conn_frame(w->conn, f);
    } else {
        ninep_frame_free(f);
    }
    struct ninep_frame *g = carry(w, &w->down);
    if (g) {
        ninep_client_frame(w->client, g);
    }
    if (!f && !g) {
        w->now_ns += 1000000;
    }
    ninep_client_tick(w->client);
    ninep_server_tick(w->server);
    if (w->connect_wanted) {
        w->connect_wanted = false;
        struct ninep_peer peer = {.local = true, .uid = 5};
        assert_int_equal(ninep_conn_new(w->server, &peer, &conn_ops, w, &w->conn), CG_OK);
        ninep_client_connected(w->client, &peer);
    }
}

static void world_init(struct world *w, uint32_t cut_at)
{
    memset(w, 0, sizeof *w);
    w->now_ns = UINT64_C(5000000000);
    w->cut_at = cut_at;
    w->env = (struct cg_env){.now_ns = now_ns, .wall_ns = now_ns, .random = random_bytes, .ctx = w};
    cg_list_init(&w->up.frames);
    cg_list_init(&w->down.frames);
    struct ninep_server_config sc = {.name = "test",
                                     .ops = &test_fs_ops,
                                     .aux = &w->fs,
                                     .env = &w->env,
                                     .auth = &ninep_auth_local};
    assert_int_equal(ninep_server_new(&sc, &w->server), CG_OK);
    struct ninep_client_config cc = {.env = &w->env,
                                     .auth = &ninep_auth_local,
                                     .slots = 8,
                                     .user = "u",
                                     .connect = on_connect,
                                     .send = on_client_send,
                                     .disconnect = on_disconnect,
                                     .state = on_state,
                                     .ctx = w};
    assert_int_equal(ninep_client_new(&cc, &w->client), CG_OK);
    ninep_client_start(w->client);
}

static void world_fini(struct world *w)
{
    ninep_client_free(w->client);
    server_side_closed(w);
    ninep_server_free(w->server);
    spill(&w->up);
    spill(&w->down);
    assert_int_equal(w->fs.refs, 0);
    cg_str_fini(&w->fs.log);
}

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct world *w = aux;
    (void)r;
    w->done++;
    if (e != CG_OK) {
        print_message("%s: %s\n", cg_err_name(e), detail);
        w->failed++;
    }
}

static void call(struct world *w, struct ninep_call k)
{
    k.done = on_done;
    k.aux = w;
    assert_int_not_equal(ninep_client_call(w->client, &k), 0);
}

/* A chain of walk, open and two appends, then lone requests of both classes; more than the slots.
 */
static void scenario(struct world *w)
{
    uint32_t chain = ninep_client_chain(w->client);
    w->fid = ninep_client_fid(w->client);
    struct ninep_call k = {.type = NINEP_TWALK, .chain = chain};
    k.t.walk = (struct ninep_twalk){.newfid = w->fid, .names = {1, {cg_span_of("log")}}};
    call(w, k);
    k = (struct ninep_call){.type = NINEP_TOPEN, .chain = chain};
    k.t.open = (struct ninep_topen){.fid = w->fid, .flags = NINEP_OPEN_RDWR};
    call(w, k);
    k = (struct ninep_call){.type = NINEP_TWRITE, .chain = chain};
    k.t.write = (struct ninep_twrite){.fid = w->fid, .data = cg_span_of("a")};
    call(w, k);
    k.last = true;
    k.t.write.data = cg_span_of("b");
    call(w, k);
    for (int i = 4; i < CALLS; i++) {
        char name[2] = {(char)('a' + i), 0};
        k = (struct ninep_call){.type = NINEP_TREMOVE};
        k.t.remove = (struct ninep_tremove){.name = cg_span_of(name)};
        if (i % 3 == 0) {
            k = (struct ninep_call){.type = NINEP_TREAD};
            k.t.read = (struct ninep_tread){.fid = w->fid, .count = 10};
        }
        if (i == 11) {
            ninep_client_clunk(w->client, ninep_client_fid(w->client));
        }
        call(w, k);
    }
}

static void run(struct world *w)
{
    scenario(w);
    for (int i = 0; w->done < CALLS; i++) {
        assert_true(i < STEPS_MAX);
        step(w);
    }
    for (int i = 0; i < 20; i++) { /* clunks */
        step(w);
    }
}

/* The letters of the log, sorted: slots run side by side, so only chains have an order. */
static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void check(struct world *w, const char *want)
{
    assert_int_equal(w->failed, 0);
    assert_int_equal(w->lost_sessions, 1); /* the first */
    assert_true(strstr(w->fs.log.data, "b") > strstr(w->fs.log.data, "a"));
    qsort(w->fs.log.data, w->fs.log.len, 1, compare);
    assert_string_equal(w->fs.log.data, want);
}

static void everything_once_with_a_cut_at_every_frame(void **state)
{
    static struct world w;
    (void)state;
    world_init(&w, 0);
    run(&w);
    uint32_t frames = w.frames;
    qsort(w.fs.log.data, w.fs.log.len, 1, compare);
    char *want = cg_strdup(w.fs.log.data);
    check(&w, want);
    world_fini(&w);
    assert_true(frames > 50);
    for (uint32_t at = 1; at <= frames; at++) {
        world_init(&w, at);
        run(&w);
        if (w.failed || strlen(want) != w.fs.log.len) {
            print_message("cut at frame %u of %u\n", at, frames);
        }
        assert_int_equal(w.cuts, 1);
        check(&w, want);
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
        world_init(&w, 0);
        w.random = seed + round;
        scenario(&w);
        for (int i = 0; w.done < CALLS; i++) {
            assert_true(i < STEPS_MAX);
            if (w.frames >= w.cut_at && w.cuts < 30) {
                uint8_t r;
                random_bytes(&w, &r, 1);
                w.cut_at = w.frames + 1 + r % 12;
            }
            step(&w);
        }
        assert_int_equal(w.failed, 0);
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
