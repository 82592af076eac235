/* uv_client: a client whose link the loop keeps, straight to a service's socket or by the gate.
 *
 * Each attempt to connect is a link of its own; a link that was dropped closes in its own time and
 * can tell nobody of it.
 */
#include "client.h"
#include "glue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

struct link {
    struct glue__io io;
    uv_connect_t connect;
    struct uv_client *owner; /* NULL once dropped */
    bool connected;          /* the client knows of it */
};

struct uv_client {
    struct ninep_client *client;
    struct ninep_client_config user; /* the caller's callbacks and ctx */
    uv_loop_t *loop;
    char *socket, *node, *service;
    char name[CLIENT_NAME_BYTES];
    struct link *link;
    struct glue__ticker ticker;
    uv_timer_t patience; /* of wait_up */
    uint32_t handles;
    bool waiting; /* somebody runs the loop until something happens here */
    bool tired;   /* patience has ended */
};

/* ---- the link ---- */

static void drop(struct link *l)
{
    if (l) {
        l->owner->link = NULL;
        l->owner = NULL;
        glue__io_close(&l->io);
    }
}

static void link_failed(struct link *l, cg_err why, const char *detail)
{
    struct uv_client *u = l->owner;
    if (!u) {
        return;
    }
    bool connected = l->connected;
    drop(l);
    if (connected) {
        ninep_client_lost(u->client, why, detail);
    } else {
        ninep_client_unconnected(u->client, why, detail);
    }
}

static void link_up(struct link *l, const struct ninep_peer *peer)
{
    struct uv_client *u = l->owner;
    l->connected = true;
    ninep_client_connected(u->client, peer);
    if (l->owner) {
        glue__io_framer(&l->io, ninep_client_framer(u->client));
    }
}

static void io_end(struct glue__io *io, cg_err why, const char *detail)
{
    struct link *l = CG_CONTAINER(io, struct link, io);
    if (l->owner) {
        link_failed(l, why, detail);
    } else {
        glue__io_close(io);
    }
}

/* The gate's answer: ok NODE_KEY_HEX BINDING_HEX, or error CODE TEXT. */
static void io_line(struct glue__io *io, char *line)
{
    struct link *l = CG_CONTAINER(io, struct link, io);
    struct ninep_peer peer;
    if (strncmp(line, "ok ", 3) == 0 && glue__peer_parse(line + 3, &peer)) {
        link_up(l, &peer);
    } else if (strncmp(line, "error ", 6) == 0) {
        char *text;
        unsigned long code = strtoul(line + 6, &text, 10);
        bool number = text != line + 6 && code > 0 && code <= UINT32_MAX;
        link_failed(l, number ? (cg_err)code : CG_EIO, number && *text ? text + 1 : line + 6);
    } else {
        link_failed(l, CG_EPROTO, "the gate's answer is not understood");
    }
}

static void io_frame(struct glue__io *io, struct ninep_frame *f)
{
    struct link *l = CG_CONTAINER(io, struct link, io);
    if (l->owner) {
        ninep_client_frame(l->owner->client, f);
    } else {
        ninep_frame_free(f);
    }
}

static void io_closed(struct glue__io *io)
{
    cg_free(CG_CONTAINER(io, struct link, io));
}

static const struct glue__io_ops io_ops = {
    .line = io_line, .frame = io_frame, .end = io_end, .closed = io_closed};

static void dial(struct link *l)
{
    char line[NINEP_LINE_BYTES_MAX];
    int n = snprintf(line, sizeof line, "dial %s %s\n", l->owner->node, l->owner->service);
    struct ninep_frame *f = n < (int)sizeof line ? ninep_frame_new((uint32_t)n) : NULL;
    if (!f) {
        link_failed(l, CG_ENOMEM, "no memory for a line");
        return;
    }
    memcpy(f->data, line, (size_t)n);
    f->len = (uint32_t)n;
    glue__io_send(&l->io, f);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct link *l = CG_CONTAINER(req, struct link, connect);
    struct uv_client *u = l->owner;
    if (!u) {
        return;
    }
    struct ninep_peer peer = {.local = true};
    if (status == 0 && glue__io_start(&l->io) != CG_OK) {
        status = UV_EIO;
    }
    if (status != 0) {
        struct cg_errbuf eb;
        cg_err e =
            cg_fail(&eb, cg_err_from_errno(-status), "%s: %s", u->socket, uv_strerror(status));
        /* A socket that is not there is a server that is not there yet. */
        link_failed(l, e == CG_ENOENT ? CG_ECONNREFUSED : e, eb.text);
    } else if (u->node) {
        dial(l);
    } else if (glue__io_peer_uid(&l->io, &peer.uid)) {
        link_up(l, &peer);
    } else {
        link_failed(l, CG_EIO, "the kernel does not say who serves the socket");
    }
}

static void on_connect(void *ctx)
{
    struct uv_client *u = ctx;
    struct link *l = cg_zalloc(sizeof *l);
    if (!l || glue__io_init(&l->io, u->loop, &io_ops) != CG_OK) {
        cg_free(l);
        ninep_client_unconnected(u->client, CG_ENOMEM, "no memory for a connection");
        return;
    }
    l->owner = u;
    u->link = l;
    uv_pipe_connect(&l->connect, &l->io.pipe, u->socket, on_connected);
}

static void on_send(void *ctx, struct ninep_frame *f)
{
    struct uv_client *u = ctx;
    if (u->link) {
        glue__io_send(&u->link->io, f);
    } else {
        ninep_frame_free(f);
    }
}

static void on_hurry(void *ctx)
{
    struct uv_client *u = ctx;
    if (u->link) {
        glue__io_hurry(&u->link->io);
    }
}

static void on_disconnect(void *ctx)
{
    struct uv_client *u = ctx;
    struct link *l = u->link;
    if (l) { /* what was sent last shall still go out */
        l->owner = NULL;
        u->link = NULL;
        glue__io_finish(&l->io);
    }
}

/* ---- what passes through to the caller ---- */

static void stop_waiting(struct uv_client *u)
{
    if (u->waiting) {
        uv_stop(u->loop);
    }
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct uv_client *u = ctx;
    stop_waiting(u);
    if (u->user.state) {
        u->user.state(u->user.ctx, st, resumed, why, detail);
    }
}

static void on_event(void *ctx, const struct ninep_event *event)
{
    struct uv_client *u = ctx;
    if (u->user.event) {
        u->user.event(u->user.ctx, event);
    }
}

static bool on_forgotten(void *ctx)
{
    struct uv_client *u = ctx;
    return !u->user.forgotten || u->user.forgotten(u->user.ctx);
}

static void on_credential(void *ctx, const struct ninep_peer *peer)
{
    struct uv_client *u = ctx;
    u->user.credential(u->user.credential_ctx ? u->user.credential_ctx : u->user.ctx, peer);
}

static void on_wake(void *ctx)
{
    struct uv_client *u = ctx;
    glue__ticker_poke(&u->ticker);
}

static uint64_t tick(void *ctx)
{
    struct uv_client *u = ctx;
    return ninep_client_tick(u->client);
}

/* ---- birth and death ---- */

static void destroy(struct uv_client *u)
{
    cg_free(u->socket);
    cg_free(u->node);
    cg_free(u->service);
    cg_free(u);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct uv_client *u = h->data;
    if (--u->handles == 0) {
        destroy(u);
    }
}

static cg_err copy_target(struct uv_client *u, const struct ninep_uv_target *t)
{
    if (strlen(t->socket) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return CG_ENAMETOOLONG;
    }
    u->socket = cg_strdup(t->socket);
    u->node = t->node ? cg_strdup(t->node) : NULL;
    u->service = t->service ? cg_strdup(t->service) : NULL;
    if (t->node) {
        snprintf(u->name, sizeof u->name, "%s!%s", t->node, t->service ? t->service : "");
    } else {
        snprintf(u->name, sizeof u->name, "%s", t->service ? t->service : t->socket);
    }
    bool ok = u->socket && (u->node || !t->node) && (u->service || !t->service);
    return ok ? CG_OK : CG_ENOMEM;
}

static struct ninep_client_config wrap(struct uv_client *u)
{
    struct ninep_client_config c = u->user;
    c.name = c.name ? c.name : u->name;
    c.connect = on_connect;
    c.send = on_send;
    c.disconnect = on_disconnect;
    c.hurry = on_hurry;
    c.credential = c.credential ? on_credential : NULL;
    c.credential_ctx = NULL;
    c.state = on_state;
    c.event = on_event;
    c.forgotten = on_forgotten;
    c.wake = on_wake;
    c.ctx = u;
    return c;
}

cg_err ninep_uv_client_new(uv_loop_t *loop, const struct ninep_uv_target *target,
                           const struct ninep_client_config *config, struct ninep_client **out)
{
    cg_assert(target->socket && (!target->node || target->service));
    struct uv_client *u = cg_zalloc(sizeof *u);
    if (!u) {
        return CG_ENOMEM;
    }
    u->loop = loop;
    u->user = *config;
    cg_err e = copy_target(u, target);
    struct ninep_client_config wrapped = wrap(u);
    if (e == CG_OK) {
        e = ninep_client_new(&wrapped, &u->client);
    }
    if (e != CG_OK) {
        destroy(u);
        return e;
    }
    glue__ticker_init(&u->ticker, loop, tick, u);
    uv_timer_init(loop, &u->patience);
    u->ticker.timer.data = u->patience.data = u;
    u->handles = 2;
    *out = u->client;
    return CG_OK;
}

void ninep_uv_client_free(struct ninep_client *c)
{
    if (!c) {
        return;
    }
    struct uv_client *u = c->cfg.ctx;
    ninep_client_free(c);
    drop(u->link);
    uv_close((uv_handle_t *)&u->ticker.timer, on_handle_closed);
    uv_close((uv_handle_t *)&u->patience, on_handle_closed);
}

/* ---- for commands: run the loop until something is there ---- */

static void on_tired(uv_timer_t *h)
{
    struct uv_client *u = h->data;
    u->tired = true;
    uv_stop(u->loop);
}

cg_err ninep_uv_wait_up(uv_loop_t *loop, struct ninep_client *c, struct cg_errbuf *eb)
{
    struct uv_client *u = c->cfg.ctx;
    ninep_client_start(c);
    u->tired = false;
    u->waiting = true;
    uv_timer_start(&u->patience, on_tired, c->cfg.deadline_ms, 0);
    while (c->state != NINEP_UP && c->state != NINEP_DEAD && !u->tired &&
           !(c->state == NINEP_DOWN && client__final(c->why))) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&u->patience);
    u->waiting = false;
    if (c->state == NINEP_UP) {
        return CG_OK;
    }
    return cg_fail(eb, c->why ? c->why : CG_ELINKDOWN, "%s: %s", c->name,
                   c->why_text.text[0] ? c->why_text.text : "no connection yet");
}

struct waited {
    uv_loop_t *loop;
    struct ninep_client *client;
    struct ninep_frame **frame;
    union ninep_rmsg *r;
    struct cg_errbuf *eb;
    cg_err e;
    bool done;
};

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct waited *w = aux;
    w->done = true;
    w->e = e;
    if (e != CG_OK) {
        cg_fail(w->eb, e, "%s", detail);
    } else {
        if (w->r) {
            *w->r = *r;
        }
        if (w->frame) {
            *w->frame = ninep_client_keep_frame(w->client);
        }
    }
    uv_stop(w->loop);
}

cg_err ninep_uv_call(uv_loop_t *loop, struct ninep_client *c, const struct ninep_call *call,
                     union ninep_rmsg *r, struct ninep_frame **frame, struct cg_errbuf *eb)
{
    struct waited w = {.loop = loop, .client = c, .frame = frame, .r = r, .eb = eb};
    struct ninep_call mine = *call;
    mine.done = on_done;
    mine.aux = &w;
    if (frame) {
        *frame = NULL;
    }
    if (ninep_client_call(c, &mine) == 0) {
        return cg_fail(eb, CG_ENOMEM, "no memory for the call");
    }
    while (!w.done) {
        uv_run(loop, UV_RUN_ONCE);
    }
    return w.e;
}
