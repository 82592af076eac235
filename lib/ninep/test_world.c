/* test_world: see test_world.h. */
#include "test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

uint8_t world_random(struct world *w)
{
    uint8_t r;
    random_bytes(w, &r, 1);
    return r;
}

/* ---- the link ---- */

static void spill(struct cg_list *frames)
{
    while (!cg_list_empty(frames)) {
        struct ninep_frame *f = CG_CONTAINER(frames->next, struct ninep_frame, link);
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
    struct world *w = ctx;
    if (w->dead) {
        ninep_frame_free(f);
    } else {
        cg_list_push(&w->up, &f->link);
    }
}

static void on_server_send(void *ctx, struct ninep_frame *f)
{
    cg_list_push(&((struct world *)ctx)->down, &f->link);
}

static void on_server_close(void *ctx)
{
    (void)ctx;
    fail_msg("the server says that the client broke the protocol");
}

void world_unlink(struct world *w)
{
    struct ninep_conn *conn = w->conn;
    w->conn = NULL;
    spill(&w->up);
    spill(&w->down);
    if (conn) {
        ninep_conn_closed(conn);
    }
    spill(&w->down); /* last words */
}

static void on_disconnect(void *ctx)
{
    world_unlink(ctx);
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

static void cut(struct world *w)
{
    w->cuts++;
    world_unlink(w);
    ninep_client_lost(w->client, CG_ECONNRESET, "cut");
}

static struct ninep_frame *carry(struct world *w, struct cg_list *frames)
{
    if (cg_list_empty(frames)) {
        return NULL;
    }
    if (++w->frames == w->cut_at) {
        cut(w);
        return NULL;
    }
    struct ninep_frame *f = CG_CONTAINER(frames->next, struct ninep_frame, link);
    cg_list_del(&f->link);
    struct ninep_frame *copy = ninep_frame_new(f->len); /* the other end gets bytes */
    memcpy(copy->data, f->data, f->len);
    copy->len = f->len;
    ninep_frame_free(f);
    return copy;
}

void world_step(struct world *w)
{
    static const struct ninep_conn_ops conn_ops = {.send = on_server_send,
                                                   .close = on_server_close};
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

/* ---- both ends ---- */

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->now_ns = UINT64_C(5000000000);
    w->env = (struct cg_env){.now_ns = now_ns, .wall_ns = now_ns, .random = random_bytes, .ctx = w};
    cg_list_init(&w->up);
    cg_list_init(&w->down);
    struct ninep_server_config config = {.name = "test",
                                         .ops = &test_fs_ops,
                                         .aux = &w->fs,
                                         .env = &w->env,
                                         .auth = &ninep_auth_local};
    assert_int_equal(ninep_server_new(&config, &w->server), CG_OK);
}

void world_client(struct world *w)
{
    struct ninep_client_config config = {.env = &w->env,
                                         .auth = &ninep_auth_local,
                                         .slots = 8,
                                         .user = "u",
                                         .connect = on_connect,
                                         .send = on_client_send,
                                         .disconnect = on_disconnect,
                                         .state = on_state,
                                         .ctx = w};
    assert_int_equal(ninep_client_new(&config, &w->client), CG_OK);
}

void world_fini(struct world *w)
{
    ninep_client_free(w->client);
    world_unlink(w);
    ninep_server_free(w->server);
    spill(&w->down);
    assert_int_equal(w->fs.refs, 0);
    cg_str_fini(&w->fs.log);
}

/* ---- what is asked ---- */

struct ninep_call world_call(const struct world *w, uint32_t i, const struct ninep_call *harmless)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    struct ninep_call k = {.type = NINEP_TWRITE, .chain = w->chain, .last = i == 3};

    if (i == 0) {
        k.type = NINEP_TWALK;
        k.t.walk = (struct ninep_twalk){.newfid = w->fid, .names = {1, {cg_span_of("log")}}};
    } else if (i == 1) {
        k.type = NINEP_TOPEN;
        k.t.open = (struct ninep_topen){.fid = w->fid, .flags = NINEP_OPEN_RDWR};
    } else if (i < 4) {
        k.t.write = (struct ninep_twrite){.fid = w->fid, .data = cg_span_of(i == 2 ? "a" : "b")};
    } else if (i % 3 == 0) {
        k = *harmless;
    } else {
        k = (struct ninep_call){.type = NINEP_TREMOVE};
        k.t.remove = (struct ninep_tremove){.name = {(const uint8_t *)&letters[i], 1}};
    }
    return k;
}

static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

const char *world_log(struct world *w)
{
    qsort(w->fs.log.data, w->fs.log.len, 1, compare);
    return w->fs.log.data;
}
