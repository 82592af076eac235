/* session: what outlives a connection: fids, leases, locks, the ledger, requests under way.
 *
 * connected -> lingering (its connection is lost) -> connected (resumed) or ended (linger_ms
 * passed, or room was needed). Requests that were taken in go on while it lingers, and once
 * requests are recorded. An ended session lives on, unreachable, until the file server has answered
 * what it runs.
 *
 * A session may end only when its leases have: its client may trust them until the term is over.
 */
#include "server__.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ninep__complain(struct ninep_session *ss, const char *fmt, ...)
{
    char peer[80], text[CG_DETAIL_BYTES * 2];
    va_list ap;
    if (++ss->complaints > NINEP__COMPLAINTS_MAX) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ninep__peer_text(&ss->peer, peer, sizeof peer);
    cg_log(CG_WARN, "%s: %s: %s%s", ss->server->name, peer, text,
           ss->complaints == NINEP__COMPLAINTS_MAX ? "; more are not logged" : "");
}

uint64_t ninep__session_term_ns(const struct ninep_session *ss)
{
    return ss->heard_ns + ss->server->cfg.lease_ms * NINEP__MS;
}

static void fire(struct ninep_server *s, struct ninep__timer *t)
{
    struct ninep_session *ss = CG_CONTAINER(t, struct ninep_session, timer);
    if (ss->conn) {
        ninep__slots_expire(ss, ninep__now(s));
    } else if (ss->leaving && !cg_list_empty(&ss->requests) && !ss->lingered) {
        ss->lingered = true; /* what was asked for before is done first, as for others */
        ninep__timer_start(s, t, ninep__now(s) + s->cfg.linger_ms * NINEP__MS);
    } else {
        ninep__session_end(ss);
        ninep__pump(s);
    }
}

static bool same_peer(const struct ninep_peer *a, const struct ninep_peer *b)
{
    return a->local == b->local &&
           (a->local ? a->uid == b->uid
                     : memcmp(a->node_key, b->node_key, sizeof a->node_key) == 0);
}

/* Ends one lingering session whose leases are over, the one lost first; those of the same peer
 * before others. */
static bool make_room(struct ninep_server *s, const struct ninep_peer *peer)
{
    struct ninep_session *victim = NULL;
    uint64_t now = ninep__now(s);
    CG_LIST_EACH (it, &s->session_list) {
        struct ninep_session *ss = CG_CONTAINER(it, struct ninep_session, link);
        if (ss->conn) {
            break; /* connected ones stand behind */
        }
        if (ss->lease_count > 0 && ninep__session_term_ns(ss) > now) {
            continue;
        }
        if (same_peer(&ss->peer, peer)) {
            victim = ss;
            break;
        }
        victim = victim ? victim : ss;
    }
    if (victim) {
        cg_log(CG_WARN, "%s: too many sessions; a lingering one is ended", s->name);
        ninep__session_end(victim);
    }
    return victim != NULL;
}

static uint64_t features(const struct ninep_server *s)
{
    const struct ninep_ops *o = s->cfg.ops;
    return NINEP_FEATURE_CHAIN | NINEP_FEATURE_COMPOUND | NINEP_FEATURE_LOCK |
           NINEP_FEATURE_CANCEL | NINEP_FEATURE_TICKET | (o->ident ? NINEP_FEATURE_LEASE : 0) |
           (o->xattrget ? NINEP_FEATURE_XATTR : 0) |
           (o->allocate || o->seek || o->copy ? NINEP_FEATURE_SPARSE : 0);
}

cg_err ninep__session_new(struct ninep_conn *c, bool foreign, struct ninep_session **out)
{
    struct ninep_server *s = c->server;
    if (cg_map_count(&s->sessions) >= s->cfg.sessions_max && !make_room(s, &c->peer)) {
        return CG_ELIMIT;
    }
    struct ninep_session *ss = cg_zalloc(sizeof *ss);
    if (!ss || ninep__timer_reserve(s, 1) != CG_OK) {
        cg_free(ss);
        return CG_ENOMEM;
    }
    s->cfg.env->random(s->cfg.env->ctx, ss->id, sizeof ss->id);
    ss->id[0] |= 1; /* never zero: that asks for a new session */
    if (cg_map_put(&s->sessions, ss->id, ss) != CG_OK) {
        ninep__timer_unreserve(s, 1);
        cg_free(ss);
        return CG_ENOMEM;
    }
    ss->server = s;
    ss->conn = c;
    ss->peer = c->peer;
    memcpy(ss->first_binding, c->peer.binding, sizeof ss->first_binding);
    ss->foreign = foreign;
    ss->features = features(s);
    ss->msize = c->msize;
    ss->heard_ns = ninep__now(s);
    ss->timer.fire = fire;
    cg_list_init(&ss->unacked);
    cg_list_init(&ss->requests);
    cg_list_init(&ss->leases);
    cg_list_init(&ss->events);
    cg_list_init(&ss->locks);
    cg_map_init(&ss->chains, sizeof(uint32_t));
    cg_map_init(&ss->fids, sizeof(uint32_t));
    cg_list_push(&s->session_list, &ss->link);
    c->session = ss;
    *out = ss;
    return CG_OK;
}

struct ninep_session *ninep__session_find(struct ninep_server *s, const uint8_t id[16])
{
    struct ninep_session *ss = cg_map_get(&s->sessions, id);
    return ss && !ss->foreign && !ss->condemned ? ss : NULL;
}

static bool proof_ok(struct ninep_session *ss, struct ninep_conn *c, struct cg_span proof)
{
    const struct ninep_auth *auth = ss->server->cfg.auth;
    uint8_t expected[32], differs = 0;
    if (proof.len != sizeof expected || !same_peer(&ss->peer, &c->peer)) {
        return false;
    }
    auth->proof(auth->ctx, ss->first_binding, ss->id, c->peer.binding, expected);
    for (size_t i = 0; i < sizeof expected; i++) {
        differs |= expected[i] ^ proof.data[i];
    }
    cg_wipe(expected, sizeof expected);
    return differs == 0;
}

cg_err ninep__session_resume(struct ninep_session *ss, struct ninep_conn *c, struct cg_span proof)
{
    struct ninep_server *s = ss->server;
    if (!proof_ok(ss, c, proof)) {
        char peer[80];
        ninep__peer_text(&c->peer, peer, sizeof peer);
        cg_log(CG_WARN, "%s: refused to resume a session: wrong proof from %s", s->name, peer);
        return CG_ESESSION;
    }
    if (ss->conn) { /* the old link is dead, but that is not known here yet */
        struct ninep_conn *old = ss->conn;
        old->session = NULL;
        ninep__session_lost(ss);
        ninep__conn_close(old, "its session was resumed on another connection");
    }
    ninep__timer_stop(s, &ss->timer);
    cg_list_del(&ss->link);
    cg_list_push(&s->session_list, &ss->link);
    ss->conn = c;
    ss->peer = c->peer;
    ninep__heard(ss);
    c->session = ss;
    ninep__slots_resumed(ss, ss->heard_ns);
    return CG_OK;
}

void ninep__session_lost(struct ninep_session *ss)
{
    struct ninep_server *s = ss->server;
    ss->conn = NULL;
    CG_LIST_EACH (it, &ss->requests) {
        CG_CONTAINER(it, struct ninep__req, link)->has_cancel = false;
    }
    if (ss->watch) {
        ninep__drop(ss->watch); /* the client sends it again */
    }
    if (ss->foreign) {
        ninep__session_end(ss);
        return;
    }
    ninep__leases_lost_link(ss);
    cg_list_del(&ss->link);
    struct cg_list *at = &s->session_list; /* behind the lingering, before the connected */
    while (at->next != &s->session_list &&
           !CG_CONTAINER(at->next, struct ninep_session, link)->conn) {
        at = at->next;
    }
    cg_list_push_front(at, &ss->link);
    uint64_t linger = (ss->leaving     ? NINEP__LEAVE_MS
                       : ss->condemned ? s->cfg.lease_ms
                                       : s->cfg.linger_ms) *
                      NINEP__MS;
    ninep__timer_start(s, &ss->timer, ninep__now(s) + linger);
}

/* What becomes runnable by it is left to the caller's pump. */
void ninep__session_end(struct ninep_session *ss)
{
    struct ninep_server *s = ss->server;
    bool pumping = s->pumping;
    cg_assert(!ss->ended);
    ss->ended = true;
    ss->inflight++;    /* holds it while its requests go */
    s->pumping = true; /* and lets nothing run meanwhile */
    if (ss->conn) {
        ss->conn->session = NULL;
        ss->conn = NULL;
    }
    cg_map_del(&s->sessions, ss->id);
    cg_list_del(&ss->link);
    CG_LIST_EACH (it, &ss->requests) {
        struct ninep__req *req = CG_CONTAINER(it, struct ninep__req, link);
        if (req->state == NINEP__RUNNING) {
            req->slot = NULL; /* goes with the session */
            ninep__cancel_request(req, CG_ECANCELED);
        } else if (req->state != NINEP__DONE) {
            ninep__drop(req);
        }
    }
    ninep__leases_end(ss);
    ninep__locks_end(ss);
    ninep__slots_free(ss);
    ninep__fids_end(ss);
    s->pumping = pumping;
    ss->inflight--;
    ninep__session_put(ss);
}

void ninep__session_put(struct ninep_session *ss)
{
    struct ninep_server *s = ss->server;
    if (!ss->ended || ss->inflight > 0) {
        return;
    }
    ninep__fids_end(ss); /* a walk that ended late may have bound one */
    ninep__chains_free(ss);
    cg_map_fini(&ss->fids);
    ninep__timer_stop(s, &ss->timer);
    ninep__timer_unreserve(s, 1);
    cg_wipe(ss->first_binding, sizeof ss->first_binding);
    cg_free(ss);
}
