/* cancel: Tcancel and deadlines. Both end a request early in the same way: one that has not been
 * given to the file server is answered at once and had no effect; one that has is left to the file
 * server, whose answer says what happened. The original is always answered before Rcancel.
 */
#include "server__.h"

void ninep__cancel_request(struct ninep__req *req, cg_err why)
{
    struct ninep_server *s = req->session->server;
    if (req->state != NINEP__RUNNING) {
        ninep__finish(req, why);
        return;
    }
    req->timed_out = req->timed_out || why == CG_ETIME;
    if (!req->cancelled) {
        req->cancelled = true;
        if (s->cfg.ops->cancel) {
            s->cfg.ops->cancel(&req->pub);
        }
    }
}

void ninep__deadline_fire(struct ninep_server *s, struct ninep__timer *t)
{
    struct ninep__req *req = CG_CONTAINER(t, struct ninep__req, deadline);
    if (req->state != NINEP__RUNNING) {
        cg_fail(&req->pub.eb, CG_ETIME, "the request waited in %s until its deadline", s->name);
    }
    ninep__cancel_request(req, CG_ETIME);
    ninep__pump(s);
}

static void reply(struct ninep_conn *c, uint16_t tag, uint8_t outcome, uint64_t count)
{
    union ninep_rmsg r = {.cancel = {.outcome = outcome, .count = count}};
    ninep__control_reply(c, tag, NINEP_RCANCEL, &r);
}

/* The original was answered with e. */
void ninep__cancel_reply(struct ninep__req *req, cg_err e)
{
    struct ninep_conn *c = req->session->conn;
    const struct ninep_req *r = &req->pub;
    if (!c) {
        return; /* the client asks again, together with the original */
    }
    if (e == CG_ECANCELED || e == CG_ETIME || e == CG_ESKIPPED) {
        reply(c, req->cancel_tag, NINEP_OUTCOME_NOT_STARTED, 0);
    } else if (e == CG_EUNKNOWN) {
        reply(c, req->cancel_tag, NINEP_OUTCOME_UNKNOWN, 0);
    } else if (e == CG_OK && r->type == NINEP_TWRITE && r->r.write.count < r->t.write.data.len) {
        reply(c, req->cancel_tag, NINEP_OUTCOME_PARTIAL, r->r.write.count);
    } else if (e == CG_OK && r->type == NINEP_TCOPY && r->r.copy.count < r->t.copy.length) {
        reply(c, req->cancel_tag, NINEP_OUTCOME_PARTIAL, r->r.copy.count);
    } else {
        reply(c, req->cancel_tag, NINEP_OUTCOME_DONE, 0);
    }
}

void ninep__cancel(struct ninep_conn *c, uint16_t tag, const struct ninep_tcancel *t)
{
    struct ninep_session *ss = c->session;
    struct ninep__slot *sl = t->oldtag < ss->slots_cap ? ss->slot[t->oldtag] : NULL;
    if (t->oldtag >= ss->slots_max || t->oldseq == 0) {
        ninep__control_error(c, tag, CG_EPROTO, "Tcancel names a slot or seq that cannot be");
    } else if (!sl || (int32_t)(t->oldseq - sl->seq) > 0) {
        reply(c, tag, NINEP_OUTCOME_NOT_STARTED, 0); /* it never arrived */
    } else if (sl->seq != t->oldseq || !sl->req) {
        reply(c, tag, NINEP_OUTCOME_DONE, 0);
    } else if (sl->req->has_cancel) {
        ninep__control_error(c, tag, CG_EBUSY, "the request is being cancelled already");
    } else {
        sl->req->has_cancel = true;
        sl->req->cancel_tag = tag;
        ninep__cancel_request(sl->req, CG_ECANCELED);
    }
}
