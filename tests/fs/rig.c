/* The rig's machinery: queues of frames, the loop, one call at a time. */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t rig_seed(void)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20250131;
    printf("replay with COGNU_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

uint64_t rig_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s * 0x2545f4914f6cdd1d;
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static void push(struct cg_list *q, struct ninep_frame *f)
{
    cg_list_push(q, &f->link);
}

static struct ninep_frame *pop(struct cg_list *q)
{
    if (cg_list_empty(q)) {
        return NULL;
    }
    struct ninep_frame *f = CG_CONTAINER(q->next, struct ninep_frame, link);
    cg_list_del(&f->link);
    return f;
}

static void server_send(void *ctx, struct ninep_frame *f)
{
    struct rig_client *c = ctx;
    push(&c->to_client, f);
}

static void server_close(void *ctx)
{
    (void)ctx;
    fprintf(stderr, "the server ended the connection: the peer broke the protocol\n");
    abort();
}

static void client_connect(void *ctx)
{
    struct rig_client *c = ctx;
    c->wanted = true;
}

static void client_send(void *ctx, struct ninep_frame *f)
{
    struct rig_client *c = ctx;
    push(&c->to_server, f);
}

static void client_disconnect(void *ctx)
{
    (void)ctx;
}

static void client_event(void *ctx, const struct ninep_event *event)
{
    struct rig_client *c = ctx;
    cg_assert(c->events < RIG_EVENTS_MAX);
    c->event[c->events++] = *event;
    ninep_client_release(c->client, event);
}

static bool turn_client(struct rig_client *c)
{
    static const struct ninep_conn_ops ops = {.send = server_send, .close = server_close};
    struct ninep_frame *f;
    bool moved = c->wanted;
    if (c->wanted) {
        c->wanted = false;
        cg_err e = ninep_conn_new(c->rig->server, &c->peer, &ops, c, &c->conn);
        cg_assert(e == CG_OK);
        ninep_client_connected(c->client, &c->peer);
    }
    while ((f = pop(&c->to_server)) != NULL) {
        ninep_conn_frame(c->conn, f);
        moved = true;
    }
    while ((f = pop(&c->to_client)) != NULL) {
        ninep_client_frame(c->client, f);
        moved = true;
    }
    ninep_client_tick(c->client);
    return moved;
}

static bool turn(struct rig *rig)
{
    bool moved = false;
    for (uint32_t i = 0; i < rig->clients; i++) {
        moved |= turn_client(rig->client[i]);
    }
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    ninep_server_tick(rig->server);
    return moved;
}

void rig_turn(struct rig *rig)
{
    while (turn(rig)) {
    }
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

void rig_settle(struct rig *rig, uint32_t ms)
{
    uint64_t end = cg_now_ms(&cg_env_real) + ms;
    do {
        if (!turn(rig)) {
            nap();
        }
    } while (cg_now_ms(&cg_env_real) < end);
}

static void wait_for(struct rig *rig, const bool *done)
{
    uint64_t end = cg_now_ms(&cg_env_real) + RIG_WAIT_MS;
    while (!*done) {
        if (!turn(rig) && !*done) {
            nap();
        }
        if (cg_now_ms(&cg_env_real) > end) {
            fprintf(stderr, "no answer within %d ms\n", RIG_WAIT_MS);
            abort();
        }
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct rig *rig_bare(void)
{
    struct rig *rig = cg_zalloc(sizeof *rig);
    cg_assert(rig != NULL && uv_loop_init(&rig->loop) == 0);
    return rig;
}

struct rig *rig_around(const struct ninep_ops *ops, void *aux, struct rig *rig)
{
    struct ninep_server_config config = {
        .name = "test", .ops = ops, .aux = aux, .env = &cg_env_real, .auth = &ninep_auth_local};
    cg_err e = ninep_server_new(&config, &rig->server);
    cg_assert(e == CG_OK);
    rig->aux = aux;
    return rig;
}

struct rig *rig_new(uint64_t bytes)
{
    struct rig *rig = rig_bare();
    const struct ninep_ops *ops;
    void *aux;
    rig_kind.start(&rig->loop, bytes, &ops, &aux, rig->where);
    return rig_around(ops, aux, rig);
}

static void state_changed(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                          const char *detail)
{
    struct rig_client *c = ctx;
    (void)resumed;
    if (st == NINEP_UP || st == NINEP_DEAD) {
        c->done = true;
        c->err = st == NINEP_UP ? CG_OK : why;
        snprintf(c->detail, sizeof c->detail, "%s", detail != NULL ? detail : "");
    }
}

struct rig_client *rig_attach(struct rig *rig, uint32_t uid, const char *tree)
{
    struct rig_client *c = cg_zalloc(sizeof *c);
    cg_assert(c != NULL && rig->clients < RIG_CLIENTS_MAX);
    c->rig = rig;
    c->peer = (struct ninep_peer){.local = true, .uid = uid};
    cg_list_init(&c->to_server);
    cg_list_init(&c->to_client);
    struct ninep_client_config config = {.env = &cg_env_real,
                                         .auth = &ninep_auth_local,
                                         .user = "test",
                                         .tree = tree,
                                         .connect = client_connect,
                                         .send = client_send,
                                         .disconnect = client_disconnect,
                                         .state = state_changed,
                                         .event = client_event,
                                         .ctx = c};
    cg_err e = ninep_client_new(&config, &c->client);
    cg_assert(e == CG_OK);
    rig->client[rig->clients++] = c;
    ninep_client_start(c->client);
    wait_for(rig, &c->done);
    rig_turn(rig); /* the standing watch */
    return c;
}

static void client_free(struct rig_client *c)
{
    struct ninep_frame *f;
    ninep_client_free(c->client);
    if (c->conn != NULL) {
        ninep_conn_closed(c->conn);
    }
    while ((f = pop(&c->to_server)) != NULL || (f = pop(&c->to_client)) != NULL) {
        ninep_frame_free(f);
    }
    ninep_frame_free(c->frame);
    cg_free(c);
}

void rig_free_bare(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->clients; i++) {
        client_free(rig->client[i]);
    }
    ninep_server_free(rig->server);
}

void rig_close_loop(struct rig *rig)
{
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&rig->loop);
    cg_assert(rc == 0);
    cg_free(rig);
}

void rig_free(struct rig *rig)
{
    rig_free_bare(rig);
    rig_kind.stop(rig->aux);
    rig_close_loop(rig);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct rig_client *c = aux;
    ninep_frame_free(c->frame);
    c->frame = NULL;
    c->err = e;
    snprintf(c->detail, sizeof c->detail, "%s", detail);
    if (e == CG_OK) {
        c->r = *r;
        c->frame = ninep_client_keep_frame(c->client);
    }
    c->done = true;
}

cg_err rig_call(struct rig_client *c, uint8_t type, const union ninep_tmsg *t)
{
    struct ninep_call call = {.type = type, .t = *t, .done = on_done, .aux = c};
    c->done = false;
    uint64_t handle = ninep_client_call(c->client, &call);
    if (handle == 0) {
        return CG_ENOMEM;
    }
    wait_for(c->rig, &c->done);
    return c->err;
}

uint32_t rig_events_of(const struct rig_client *c, const struct ninep_xqid *id)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->events; i++) {
        const struct ninep_xqid *got = &c->event[i].id;
        n +=
            got->volume == id->volume && got->file == id->file && got->generation == id->generation;
    }
    return n;
}
