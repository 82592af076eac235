/* conn: a connection: Tversion, then Tsession, then the requests of a session. What stands in no
 * slot (Tsession, Tcancel, Tping) is answered here.
 *
 * The transport may close a connection at any time, even from within send; the structure then lives
 * until the calls that are under way on it have returned. A peer that breaks the framing is cut
 * off; a peer that sends a bad request is told.
 */
#include "server__.h"
#include <stdio.h>
#include <string.h>

enum { CONNS_SPARE = 64 }; /* connections that have no session yet, beyond one for each session */

static void free_if_gone(struct ninep_conn *c)
{
    if (c->gone && c->busy == 0) {
        struct ninep_server *s = c->server;
        ninep_framer_fini(&c->framer);
        cg_free(c);
        s->conn_count--;
        ninep__server_gone(s);
    }
}

static void hello_late(struct ninep_server *s, struct ninep__timer *t)
{
    (void)s;
    ninep__conn_close(CG_CONTAINER(t, struct ninep_conn, hello), "it began no session");
}

cg_err ninep_conn_new(struct ninep_server *s, const struct ninep_peer *peer,
                      const struct ninep_conn_ops *ops, void *ctx, struct ninep_conn **out)
{
    if (s->conn_count >= s->cfg.sessions_max + CONNS_SPARE) {
        return CG_ELIMIT;
    }
    struct ninep_conn *c = cg_zalloc(sizeof *c);
    if (!c || ninep__timer_reserve(s, 1) != CG_OK) {
        cg_free(c);
        return CG_ENOMEM;
    }
    c->server = s;
    c->peer = *peer;
    c->ops = *ops;
    c->ctx = ctx;
    c->msize = NINEP__HELLO_BYTES_MAX;
    c->hello.fire = hello_late;
    ninep_framer_init(&c->framer, NINEP__HELLO_BYTES_MAX);
    ninep__timer_start(s, &c->hello, ninep__now(s) + NINEP__HELLO_MS * NINEP__MS);
    cg_list_push(&s->conns, &c->link);
    s->conn_count++;
    *out = c;
    return CG_OK;
}

struct ninep_framer *ninep_conn_framer(struct ninep_conn *c)
{
    return &c->framer;
}

void ninep_conn_closed(struct ninep_conn *c)
{
    struct ninep_server *s = c->server;
    cg_assert(!c->gone);
    c->gone = true;
    c->busy++;
    cg_list_del(&c->link);
    ninep__timer_stop(s, &c->hello);
    ninep__timer_unreserve(s, 1);
    if (c->dialect == NINEP__FOREIGN) {
        ninep__foreign_closed(c);
    }
    if (c->session) {
        struct ninep_session *ss = c->session;
        c->session = NULL;
        ninep__session_lost(ss);
        ninep__pump(s);
    }
    c->busy--;
    free_if_gone(c);
}

void ninep__conn_close(struct ninep_conn *c, const char *why)
{
    if (c->closing || c->gone) {
        return;
    }
    char peer[80];
    ninep__peer_text(&c->peer, peer, sizeof peer);
    cg_log(CG_INFO, "%s: closing the connection from %s: %s", c->server->name, peer, why);
    c->closing = true;
    c->busy++;
    c->ops.close(c->ctx);
    c->busy--;
    free_if_gone(c);
}

void ninep__conn_send(struct ninep_conn *c, struct ninep_frame *f)
{
    if (c->closing || c->gone) {
        ninep_frame_free(f);
        return;
    }
    ninep__measure_bytes(0, f->len);
    c->busy++;
    c->ops.send(c->ctx, f);
    c->busy--;
    free_if_gone(c);
}

void ninep__peer_text(const struct ninep_peer *p, char *out, size_t cap)
{
    if (p->local) {
        snprintf(out, cap, "user %u of this machine", p->uid);
    } else {
        snprintf(out, cap, "node %02x%02x%02x%02x%02x%02x%02x%02x", p->node_key[0], p->node_key[1],
                 p->node_key[2], p->node_key[3], p->node_key[4], p->node_key[5], p->node_key[6],
                 p->node_key[7]);
    }
}

void ninep__control_reply(struct ninep_conn *c, uint16_t tag, uint8_t type,
                          const union ninep_rmsg *r)
{
    struct ninep_frame *f = ninep__reply_frame(type, tag, r);
    if (f) {
        ninep__conn_send(c, f);
    } else {
        ninep__conn_close(c, "no memory for a reply");
    }
}

void ninep__control_error(struct ninep_conn *c, uint16_t tag, cg_err e, const char *detail)
{
    union ninep_rmsg r = {.error = {.code = e, .detail = cg_span_of(detail)}};
    ninep__control_reply(c, tag, NINEP_RERROR, &r);
}

/* ---- Tversion: the one message whose form all dialects share ---- */

static void send_version(struct ninep_conn *c, uint32_t msize, const char *version)
{
    struct ninep_rversion r = {.msize = msize, .version = cg_span_of(version)};
    uint32_t size = NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_rversion(&r);
    struct ninep_frame *f = ninep_frame_new(size);
    if (!f) {
        ninep__conn_close(c, "no memory for a reply");
        return;
    }
    struct ninep_phead h = {.size = size, .type = NINEP_RVERSION, .tag = NINEP_VERSION_TAG};
    struct cg_buf b = cg_buf_writer(f->data, f->cap);
    ninep_put_phead(&b, &h);
    ninep_put_rversion(&b, &r);
    cg_assert(!b.bad);
    f->len = size;
    ninep__conn_send(c, f);
}

static void version(struct ninep_conn *c, struct ninep_frame *f)
{
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    struct ninep_phead h;
    struct ninep_tversion t;
    ninep_get_phead(&b, &h);
    ninep_get_tversion(&b, &t);
    if (b.bad || h.size != f->len || h.type != NINEP_TVERSION) {
        ninep__conn_close(c, "its first message is no Tversion");
        return;
    }
    uint32_t max = c->server->cfg.msize_max;
    uint32_t msize = t.msize < max ? t.msize : max;
    if (cg_span_is(t.version, NINEP_VERSION_NG) && msize >= NINEP_FRAME_BYTES_MIN) {
        c->dialect = NINEP__NG;
        c->msize = msize;
        send_version(c, msize, NINEP_VERSION_NG);
    } else if (c->server->cfg.foreign && ninep__foreign_version(c, t.version, msize)) {
        c->dialect = NINEP__FOREIGN;
        ninep__timer_stop(c->server, &c->hello);
    } else {
        send_version(c, msize, "unknown");
    }
}

/* ---- Tsession ---- */

static void session_reply(struct ninep_conn *c, uint16_t tag, const struct ninep_tsession *t,
                          bool resumed)
{
    struct ninep_session *ss = c->session;
    struct ninep_server *s = c->server;
    uint32_t msize = t->msize < c->msize ? t->msize : c->msize;
    uint32_t slots = s->cfg.slots_max < t->slots ? s->cfg.slots_max : t->slots;
    ss->msize = msize;
    if (!resumed) {
        ss->slots_max = (uint16_t)slots;
        ss->features &= t->features;
        memcpy(ss->old_id, t->id, sizeof ss->old_id);
    }
    c->framer.frame_max = msize;
    ninep__timer_stop(s, &c->hello);
    union ninep_rmsg r = {.session = {.epoch = s->epoch,
                                      .features = ss->features,
                                      .msize = msize,
                                      .slots = ss->slots_max,
                                      .lease_ms = s->cfg.lease_ms,
                                      .linger_ms = s->cfg.linger_ms,
                                      .resumed = resumed}};
    memcpy(r.session.id, ss->id, sizeof ss->id);
    ninep__control_reply(c, tag, NINEP_RSESSION, &r);
}

static void session(struct ninep_conn *c, uint16_t tag, const struct ninep_tsession *t)
{
    struct ninep_server *s = c->server;
    if (c->session) {
        ninep__control_error(c, tag, CG_EPROTO, "the connection has a session");
        return;
    }
    if (t->msize < NINEP_FRAME_BYTES_MIN || t->slots == 0) {
        ninep__control_error(c, tag, CG_EINVAL, "msize or slots is too small");
        return;
    }
    struct ninep_session *ss = t->epoch == s->epoch ? ninep__session_find(s, t->id) : NULL;
    bool resumed = ss != NULL;
    cg_err e = resumed ? ninep__session_resume(ss, c, t->proof) : ninep__session_new(c, false, &ss);
    if (e != CG_OK) {
        ninep__control_error(c, tag, e, e == CG_ELIMIT ? "the server has too many sessions" : "");
        return;
    }
    session_reply(c, tag, t, resumed);
}

/* ---- frames ---- */

static void control(struct ninep_conn *c, const struct ninep_thead *h, struct ninep_frame *f)
{
    union ninep_tmsg t;
    union ninep_rmsg r = {0};
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    cg_get_span(&b, NINEP_T_HEADER_BYTES + (size_t)h->tail);
    if (!ninep_get_tmsg(h->type, &b, &t)) {
        ninep__control_error(c, h->tag, CG_EPROTO, "the message is malformed");
    } else if (h->type == NINEP_TSESSION) {
        session(c, h->tag, &t.session);
    } else if (!c->session) {
        ninep__conn_close(c, "it sent requests before Tsession");
    } else if (h->type == NINEP_TCANCEL) {
        ninep__cancel(c, h->tag, &t.cancel);
    } else {
        ninep__control_reply(c, h->tag, NINEP_RPING, &r);
    }
    ninep_frame_free(f);
}

/* Takes f. */
static void request(struct ninep_conn *c, struct ninep_frame *f)
{
    ninep__measure_bytes(f->len, 0);
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    struct ninep_thead h;
    ninep_get_thead(&b, &h);
    if (b.bad || h.size != f->len) {
        ninep_frame_free(f);
        ninep__conn_close(c, "a message is shorter than its header");
        return;
    }
    if (c->session) {
        ninep__heard(c->session);
    }
    if (h.type == NINEP_TSESSION || h.type == NINEP_TCANCEL || h.type == NINEP_TPING) {
        control(c, &h, f);
    } else if (c->session) {
        ninep__slot_frame(c->session, &h, f);
    } else {
        ninep_frame_free(f);
        ninep__conn_close(c, "it sent requests before Tsession");
    }
}

void ninep_conn_frame(struct ninep_conn *c, struct ninep_frame *f)
{
    c->busy++;
    if (c->closing || c->gone) {
        ninep_frame_free(f);
    } else if (c->dialect == NINEP__NG) {
        request(c, f);
    } else if (c->dialect == NINEP__FOREIGN) {
        ninep__foreign_frame(c, f);
    } else {
        version(c, f);
        ninep_frame_free(f);
    }
    ninep__pump(c->server);
    c->busy--;
    free_if_gone(c);
}
