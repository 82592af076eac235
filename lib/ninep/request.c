/* request: the life of one request: ready, run, answered, gone.
 *
 * Whatever becomes runnable goes on the server's ready list, and the pump empties it; so a chain of
 * any length, or a release that wakes many, needs no recursion, and ninep_respond may be called
 * from within a handler. A request is answered exactly once, in ninep__finish, or dropped when
 * nobody is left to hear it.
 */
#include "server__.h"
#include <string.h>

struct ninep__req *ninep__req_new(struct ninep_session *ss, uint8_t type, uint32_t room)
{
    struct ninep_server *s = ss->server;
    struct ninep__req *req = cg_zalloc(sizeof *req);
    struct ninep_frame *out = req ? ninep_frame_new(room) : NULL;
    if (!out || ninep__timer_reserve(s, 1) != CG_OK) {
        ninep_frame_free(out);
        cg_free(req);
        return NULL;
    }
    req->pub.type = type;
    req->pub.server_aux = s->cfg.aux;
    req->pub.impl = req;
    req->session = ss;
    req->op = ninep__op_find(type);
    req->out = out;
    req->state = NINEP__QUEUED;
    req->begun_ns = ninep__now(s);
    req->deadline.fire = ninep__deadline_fire;
    cg_list_init(&req->queue_link);
    cg_list_init(&req->chain_link);
    cg_list_push(&ss->requests, &req->link);
    ss->inflight++;
    s->inflight++;
    return req;
}

/* The request is gone; an ended session goes with its last. */
void ninep__req_free(struct ninep__req *req)
{
    struct ninep_session *ss = req->session;
    struct ninep_server *s = ss->server;
    ninep__timer_stop(s, &req->deadline);
    ninep__timer_unreserve(s, 1);
    if (req->pub.fid) {
        ninep__fid_put(req->pub.fid->impl);
    }
    if (req->pub.newfid) {
        ninep__fid_put(req->pub.newfid->impl);
    }
    if (req->in) {
        s->held_bytes -= req->in->len;
        ninep_frame_free(req->in);
    }
    ninep_frame_free(req->out);
    ninep_frame_free(req->big);
    cg_free(req->grant);
    cg_free(req->way);
    cg_list_del(&req->link);
    ss->inflight--;
    s->inflight--;
    cg_free(req);
    ninep__session_put(ss);
}

void ninep__unready(struct ninep__req *req)
{
    cg_list_del(&req->queue_link);
    for (uint32_t i = 0; i < req->targets; i++) {
        cg_list_del(&req->target[i].link);
    }
}

void ninep__ready(struct ninep__req *req)
{
    if (req->state != NINEP__READY) {
        cg_assert(req->state != NINEP__RUNNING);
        ninep__unready(req);
        req->state = NINEP__READY;
        cg_list_push(&req->session->server->ready, &req->queue_link);
    }
}

void ninep__pump(struct ninep_server *s)
{
    if (s->pumping) {
        return;
    }
    s->pumping = true;
    while (!cg_list_empty(&s->ready)) {
        struct ninep__req *req = CG_CONTAINER(s->ready.next, struct ninep__req, queue_link);
        cg_list_del(&req->queue_link);
        req->state = NINEP__QUEUED;
        if (req->verdict != CG_OK) {
            ninep__finish(req, req->verdict);
        } else {
            ninep__op_run(req);
        }
    }
    s->pumping = false;
    ninep__server_gone(s);
}

void ninep_respond(struct ninep_req *r, cg_err e)
{
    struct ninep__req *req = r->impl;
    cg_assert(req && req->state == NINEP__RUNNING);
    struct ninep_server *s = req->session->server;
    void (*then)(struct ninep__req *, cg_err) = req->then;
    req->then = NULL;
    if (then) {
        then(req, e);
    } else {
        ninep__finish(req, e);
    }
    ninep__pump(s);
}

/* The fid that the request made is ready, or goes. */
static void settle_made(struct ninep__req *req, cg_err e)
{
    if (req->made && e == CG_OK) {
        req->made->ready = true;
    } else if (req->made) {
        ninep__fid_unbind(req->made);
    }
    req->made = NULL;
}

static void answer(struct ninep__req *req, cg_err *e)
{
    if (req->told) {
        if (*e == CG_OK) {
            ninep__reply_fill(req);
        }
        req->told(req->told_aux, req, *e, &req->pub.r, req->pub.eb.text);
    } else if (req->slot) {
        struct ninep_frame *f = ninep__reply_encode(req, e);
        ninep__slot_answered(req, f, *e);
    }
}

static void forget(struct ninep__req *req, cg_err e)
{
    struct ninep_session *ss = req->session;
    if (ss->watch == req) {
        ss->watch = NULL;
    }
    ninep__unready(req);
    req->state = NINEP__DONE;
    settle_made(req, e);
    if (req->opening) {
        req->pub.fid->impl->opening = req->opening = false;
    }
    ninep__write_end(req);
    ninep__read_end(req);
}

void ninep__finish(struct ninep__req *req, cg_err e)
{
    struct ninep_session *ss = req->session;
    if (e == CG_OK && req->op->finish) {
        e = req->op->finish(req);
    }
    if (e == CG_ECANCELED && req->timed_out) {
        e = CG_ETIME;
    }
    ninep__measure(req, e);
    forget(req, e);
    if (ss->ended) {
        ninep__drop(req);
        return;
    }
    answer(req, &e);
    if (req->has_cancel) {
        ninep__cancel_reply(req, e);
    }
    ninep__chain_done(req, e);
    ninep__req_free(req);
}

void ninep__drop(struct ninep__req *req)
{
    forget(req, CG_ECANCELED);
    if (req->slot) {
        req->slot->req = NULL;
    }
    if (req->told) {
        req->told(req->told_aux, req, CG_ECANCELED, &req->pub.r, "the connection is gone");
    }
    ninep__chain_done(req, CG_ECANCELED);
    ninep__req_free(req);
}

bool ninep__request(struct ninep_session *ss, uint8_t type, const union ninep_tmsg *t,
                    uint32_t data_at, ninep__told *told, void *aux, struct ninep__req **out)
{
    cg_assert(ninep__op_find(type) && !ss->ended);
    struct ninep__req *req = ninep__req_new(ss, type, NINEP__REPLY_BYTES);
    if (!req) {
        return false;
    }
    req->pub.t = *t;
    req->data_at = data_at;
    req->told = told;
    req->told_aux = aux;
    if (out) {
        *out = req;
    }
    ninep__ready(req);
    ninep__pump(ss->server);
    return true;
}

struct ninep_frame *ninep__req_take(struct ninep__req *req)
{
    struct ninep_frame *f = req->big;
    req->big = NULL;
    return f;
}
