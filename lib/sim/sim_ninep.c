/* sim_ninep: servers and clients of 9P over simulated links, with ticks when they are due. */
#include "sim__.h"

/* ---- server ---- */

struct accepted {
    struct cg_list link;
    struct sim_server *ss;
    struct ninep_conn *conn;
    struct sim_link *wire;
    int end;
    bool gone;
};

static void server_tick(void *aux);

/* Asks for a tick when one is due before the one that is asked for. */
static void server_again(struct sim_server *ss)
{
    uint64_t due = ss->stopped ? 0 : ninep_server_tick(ss->server);
    if (due != 0 && (ss->tick_ns == 0 || due < ss->tick_ns)) {
        ss->tick_ns = due;
        ss->ticks++;
        sim_after(ss->sim, due > ss->sim->now_ns ? due - ss->sim->now_ns : 0, server_tick, ss);
    }
}

static void server_tick(void *aux)
{
    struct sim_server *ss = aux;
    ss->ticks--;
    if (!ss->stopped) {
        ss->tick_ns = 0;
        server_again(ss);
    }
}

static void server_wake(void *ctx)
{
    struct sim_server *ss = ctx;
    ss->ticks++;
    ss->tick_ns = ss->sim->now_ns;
    sim_after(ss->sim, 0, server_tick, ss);
}

static void accepted_gone(struct accepted *a)
{
    if (!a->gone) {
        a->gone = true;
        cg_list_del(&a->link);
        sim_link_leave(a->wire, a->end);
        ninep_conn_closed(a->conn);
    }
}

static void accepted_free(void *aux)
{
    cg_free(aux);
}

static void server_send(void *ctx, struct ninep_frame *f)
{
    struct accepted *a = ctx;
    sim_link_send(a->wire, a->end, f->data, f->len);
    ninep_frame_free(f);
}

static void server_close(void *ctx)
{
    struct accepted *a = ctx;
    if (!a->gone) {
        sim_after(a->ss->sim, 0, accepted_free, a);
        accepted_gone(a);
    }
}

static void server_closed(void *ctx)
{
    struct accepted *a = ctx;
    struct sim_server *ss = a->ss;
    server_close(a);
    server_again(ss);
}

static void server_data(void *ctx, const uint8_t *data, size_t len)
{
    struct accepted *a = ctx;
    struct sim_server *ss = a->ss;
    for (size_t at = 0; at < len && !a->gone;) {
        struct ninep_frame *f;
        size_t used;
        if (ninep_framer_feed(ninep_conn_framer(a->conn), data + at, len - at, &used, &f) !=
            CG_OK) {
            server_close(a);
            break;
        }
        at += used;
        if (f) {
            ninep_conn_frame(a->conn, f);
        }
    }
    server_again(ss);
}

void sim_server_init(struct sim_server *ss, struct sim *s, struct ninep_server *server)
{
    *ss = (struct sim_server){.sim = s, .server = server, .peer = {.local = true, .uid = 1000}};
    cg_list_init(&ss->conns);
    ninep_server_on_wake(server, server_wake, ss);
}

void sim_server_accept(struct sim_server *ss, struct sim_link *l, int end)
{
    static const struct ninep_conn_ops conn_ops = {.send = server_send, .close = server_close};
    static const struct sim_end_ops end_ops = {.data = server_data, .closed = server_closed};
    struct accepted *a = cg_zalloc(sizeof *a);
    if (!a || ninep_conn_new(ss->server, &ss->peer, &conn_ops, a, &a->conn) != CG_OK) {
        cg_free(a);
        sim_link_leave(l, end);
        return;
    }
    a->ss = ss;
    a->wire = l;
    a->end = end;
    cg_list_push(&ss->conns, &a->link);
    sim_link_end(l, end, &end_ops, a);
    server_again(ss);
}

void sim_server_fini(struct sim_server *ss)
{
    CG_LIST_EACH (it, &ss->conns) {
        server_close(CG_CONTAINER(it, struct accepted, link));
    }
    ss->stopped = true;
    ninep_server_on_wake(ss->server, NULL, NULL);
    while (ss->ticks > 0 && sim_step(ss->sim)) {
    }
}

/* ---- client ---- */

static void client_tick(void *aux);

static void client_again(struct sim_client *c)
{
    uint64_t due = c->stopped ? 0 : ninep_client_tick(c->client);
    if (due != 0 && (c->tick_ns == 0 || due < c->tick_ns)) {
        c->tick_ns = due;
        c->ticks++;
        sim_after(c->sim, due > c->sim->now_ns ? due - c->sim->now_ns : 0, client_tick, c);
    }
}

static void client_tick(void *aux)
{
    struct sim_client *c = aux;
    c->ticks--;
    if (!c->stopped) {
        c->tick_ns = 0;
        client_again(c);
    }
}

static void client_leave(struct sim_client *c)
{
    struct sim_link *l = c->link;
    c->link = NULL;
    if (l) {
        sim_link_leave(l, 0);
    }
}

static void client_closed(void *ctx)
{
    struct sim_client *c = ctx;
    client_leave(c);
    ninep_client_lost(c->client, CG_ECONNRESET, "the simulated link was cut");
    client_again(c);
}

static void client_data(void *ctx, const uint8_t *data, size_t len)
{
    struct sim_client *c = ctx;
    struct sim_link *l = c->link;
    for (size_t at = 0; at < len && c->link == l;) {
        struct ninep_frame *f;
        size_t used;
        cg_err e =
            ninep_framer_feed(ninep_client_framer(c->client), data + at, len - at, &used, &f);
        if (e != CG_OK) {
            client_leave(c);
            ninep_client_lost(c->client, e, "the stream is broken");
            break;
        }
        at += used;
        if (f) {
            ninep_client_frame(c->client, f);
        }
    }
    client_again(c);
}

static void client_up(void *aux)
{
    static const struct sim_end_ops end_ops = {.data = client_data, .closed = client_closed};
    static const struct ninep_peer peer = {.local = true};
    struct sim_client *c = aux;
    c->ticks--;
    if (c->stopped) {
        return;
    }
    if (!c->server || c->server->stopped) {
        ninep_client_unconnected(c->client, CG_ECONNREFUSED, "nothing listens");
        client_again(c);
        return;
    }
    cg_assert(!c->link);
    c->link = sim_link_new(c->sim, c->delay_ns);
    sim_link_end(c->link, 0, &end_ops, c);
    sim_server_accept(c->server, c->link, 1);
    c->dialled++;
    if (c->linked) {
        c->linked(c);
    }
    ninep_client_connected(c->client, &peer);
    client_again(c);
}

static void client_connect(void *ctx)
{
    struct sim_client *c = ctx;
    c->ticks++;
    sim_after(c->sim, 2 * c->delay_ns, client_up, c);
}

static void client_send(void *ctx, struct ninep_frame *f)
{
    struct sim_client *c = ctx;
    if (c->link) {
        sim_link_send(c->link, 0, f->data, f->len);
    }
    ninep_frame_free(f);
}

static void client_disconnect(void *ctx)
{
    client_leave(ctx);
}

static void client_wake(void *ctx)
{
    struct sim_client *c = ctx;
    c->ticks++;
    c->tick_ns = c->sim->now_ns;
    sim_after(c->sim, 0, client_tick, c);
}

cg_err sim_client_init(struct sim_client *c, struct sim *s, struct sim_server *server,
                       uint64_t delay_ns, const struct ninep_client_config *config)
{
    struct ninep_client_config cfg = *config;
    cg_assert(cfg.ctx == c);
    c->sim = s;
    c->server = server;
    c->delay_ns = delay_ns;
    cfg.env = sim_env(s);
    cfg.connect = client_connect;
    cfg.send = client_send;
    cfg.disconnect = client_disconnect;
    cfg.wake = client_wake;
    return ninep_client_new(&cfg, &c->client);
}

void sim_client_fini(struct sim_client *c)
{
    if (c->client) {
        ninep_client_free(c->client);
    }
    c->client = NULL;
    c->stopped = true;
    client_leave(c);
    while (c->ticks > 0 && sim_step(c->sim)) {
    }
}
