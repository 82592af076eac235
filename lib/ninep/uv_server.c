/* uv_server: listening sockets, their connections, and the tick of a server on a loop. */
#include "glue.h"

#include <stdio.h>

struct ninep_listener {
    uv_pipe_t pipe;
    uv_loop_t *loop;
    struct ninep_server *server;
    struct cg_list conns;
    uint32_t count;
    uint32_t handles; /* not yet closed: the listener's own and its connections' */
    bool from_gate;
    bool closing;
    bool anyone; /* the transport does not tell who is there: all are peer */
    struct ninep_peer peer;
};

struct conn {
    struct glue__io io;
    struct cg_list link;
    struct ninep_listener *listener;
    struct ninep_conn *conn; /* NULL before the gate's line, and after the end */
};

/* A server's tick: found by its server, for there are few in a process. */
struct server {
    struct cg_list link;
    struct glue__ticker ticker;
    struct ninep_server *server;
};
static _Thread_local struct cg_list servers;

static struct server *server_find(struct ninep_server *s)
{
    if (!servers.next) {
        cg_list_init(&servers);
    }
    CG_LIST_EACH (it, &servers) {
        struct server *u = CG_CONTAINER(it, struct server, link);
        if (u->server == s) {
            return u;
        }
    }
    return NULL;
}

static uint64_t tick(void *ctx)
{
    return ninep_server_tick(ctx);
}

static void on_wake(void *ctx)
{
    struct server *u = ctx;
    glue__ticker_poke(&u->ticker);
}

cg_err ninep_uv_server_start(uv_loop_t *loop, struct ninep_server *s)
{
    cg_assert(!server_find(s));
    struct server *u = cg_zalloc(sizeof *u);
    if (!u) {
        return CG_ENOMEM;
    }
    u->server = s;
    glue__ticker_init(&u->ticker, loop, tick, s);
    cg_list_push(&servers, &u->link);
    ninep_server_on_wake(s, on_wake, u);
    glue__ticker_poke(&u->ticker);
    return CG_OK;
}

static void on_server_closed(uv_handle_t *h)
{
    cg_free(CG_CONTAINER(h, struct server, ticker.timer));
}

void ninep_uv_server_stop(struct ninep_server *s)
{
    struct server *u = server_find(s);
    if (u) {
        cg_list_del(&u->link);
        ninep_server_on_wake(s, NULL, NULL);
        uv_close((uv_handle_t *)&u->ticker.timer, on_server_closed);
    }
}

static void poke(struct ninep_server *s)
{
    struct server *u = server_find(s);
    if (u) {
        glue__ticker_poke(&u->ticker);
    }
}

/* ---- connections ---- */

static void on_send(void *ctx, struct ninep_frame *f)
{
    struct conn *k = ctx;
    glue__io_send(&k->io, f);
}

static void on_botch(void *ctx)
{
    struct conn *k = ctx;
    glue__io_finish(&k->io);
}

static const struct ninep_conn_ops conn_ops = {.send = on_send, .close = on_botch};

static void conn_end(struct conn *k)
{
    struct ninep_conn *conn = k->conn;
    k->conn = NULL;
    glue__io_close(&k->io);
    if (conn) {
        ninep_conn_closed(conn);
        poke(k->listener->server);
    }
}

static void io_frame(struct glue__io *io, struct ninep_frame *f)
{
    ninep_conn_frame(CG_CONTAINER(io, struct conn, io)->conn, f);
}

static void io_turn(struct glue__io *io)
{
    poke(CG_CONTAINER(io, struct conn, io)->listener->server);
}

static void io_end(struct glue__io *io, cg_err why, const char *detail)
{
    struct conn *k = CG_CONTAINER(io, struct conn, io);
    if (why != CG_ECONNRESET) {
        cg_log(CG_WARN, "a connection ended: %s: %s", cg_err_name(why), detail);
    }
    conn_end(k);
}

/* From here on the server knows the connection. */
static void conn_begin(struct conn *k, const struct ninep_peer *peer)
{
    cg_err e = ninep_conn_new(k->listener->server, peer, &conn_ops, k, &k->conn);
    if (e != CG_OK) {
        io_end(&k->io, e, "the server takes no more connections");
        return;
    }
    glue__io_framer(&k->io, ninep_conn_framer(k->conn));
}

static void io_line(struct glue__io *io, char *line)
{
    struct ninep_peer peer;
    struct conn *k = CG_CONTAINER(io, struct conn, io);
    static const char word[] = "peer ";
    struct cg_span s = cg_span_of(line);
    s.len = s.len < sizeof word - 1 ? s.len : sizeof word - 1;
    if (cg_span_is(s, word) && glue__peer_parse(line + s.len, &peer)) {
        conn_begin(k, &peer);
    } else {
        io_end(io, CG_EPROTO, "the gate did not say which peer it brings");
    }
}

static void release(struct ninep_listener *l)
{
    if (--l->handles == 0) {
        cg_free(l);
    }
}

static void io_closed(struct glue__io *io)
{
    struct conn *k = CG_CONTAINER(io, struct conn, io);
    struct ninep_listener *l = k->listener;
    cg_list_del(&k->link);
    l->count--;
    cg_free(k);
    release(l);
}

static const struct glue__io_ops io_ops = {
    .line = io_line, .frame = io_frame, .turn = io_turn, .end = io_end, .closed = io_closed};

static struct conn *conn_new(struct ninep_listener *l)
{
    struct conn *k = cg_zalloc(sizeof *k);
    if (!k || glue__io_init(&k->io, l->loop, &io_ops) != CG_OK) {
        cg_free(k);
        return NULL;
    }
    k->io.bounded = true;
    k->listener = l;
    l->count++;
    l->handles++;
    cg_list_push(&l->conns, &k->link);
    return k;
}

/* Who has connected? False: that cannot be told. */
static bool peer_of(struct conn *k, struct ninep_peer *peer)
{
    *peer = k->listener->anyone ? k->listener->peer : (struct ninep_peer){.local = true};
    return k->listener->anyone || glue__io_peer_uid(&k->io, &peer->uid);
}

static void on_connection(uv_stream_t *h, int status)
{
    struct ninep_listener *l = CG_CONTAINER(h, struct ninep_listener, pipe);
    if (status < 0) {
        cg_log(CG_WARN, "accept: %s", uv_strerror(status));
        return;
    }
    struct conn *k = conn_new(l);
    if (!k) {
        cg_log(CG_WARN, "accept: no memory for a connection"); /* it stays in the backlog */
        return;
    }
    struct ninep_peer peer;
    if (uv_accept(h, (uv_stream_t *)&k->io.pipe) != 0 || l->count > GLUE__CONNS_MAX ||
        (!l->from_gate && !peer_of(k, &peer)) || glue__io_start(&k->io) != CG_OK) {
        glue__io_close(&k->io);
    } else if (!l->from_gate) {
        conn_begin(k, &peer);
    }
}

/* ---- the listener ---- */

static void on_listener_closed(uv_handle_t *h)
{
    release(CG_CONTAINER(h, struct ninep_listener, pipe));
}

void ninep_uv_listener_close(struct ninep_listener *l)
{
    if (!l || l->closing) {
        return;
    }
    l->closing = true;
    CG_LIST_EACH (it, &l->conns) {
        conn_end(CG_CONTAINER(it, struct conn, link));
    }
    uv_close((uv_handle_t *)&l->pipe, on_listener_closed);
}

cg_err ninep_uv_listen(uv_loop_t *loop, struct ninep_server *s, int fd, bool from_gate,
                       struct ninep_listener **out, struct cg_errbuf *eb)
{
    struct ninep_listener *l = cg_zalloc(sizeof *l);
    if (!l) {
        return cg_fail(eb, CG_ENOMEM, "no memory for a listener");
    }
    l->loop = loop;
    l->server = s;
    l->from_gate = from_gate;
    l->handles = 1;
    cg_list_init(&l->conns);
    uv_pipe_init(loop, &l->pipe, 0);
    int rc = uv_pipe_open(&l->pipe, fd);
    rc = rc == 0 ? uv_listen((uv_stream_t *)&l->pipe, GLUE__BACKLOG, on_connection) : rc;
    if (rc != 0) {
        ninep_uv_listener_close(l);
        return cg_fail(eb, cg_err_from_errno(-rc), "listen on descriptor %d: %s", fd,
                       uv_strerror(rc));
    }
    *out = l;
    return CG_OK;
}

cg_err ninep_uv_listen_as(uv_loop_t *loop, struct ninep_server *s, int fd,
                          const struct ninep_peer *peer, struct ninep_listener **out,
                          struct cg_errbuf *eb)
{
    cg_err e =
        ninep_uv_listen(loop, s, fd, false, out, eb); /* nobody is accepted before the loop runs */
    if (e == CG_OK) {
        (*out)->anyone = true;
        (*out)->peer = *peer;
    }
    return e;
}
