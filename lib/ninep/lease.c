/* lease: who may remember which file, and who must be told before it changes.
 *
 * struct ninep__file exists for an identity while it is leased, being read under a wish for a
 * lease, or being changed. A mutation first becomes a writer of all files that it will change, then
 * has the leases of other sessions on them broken, and waits (parked) until none is left. A lease
 * is granted only when the file has no writer and none has begun since the attributes in the reply
 * were asked for. So a session that holds a lease knows what the server knows, or has been told, or
 * is past its term.
 *
 * A broken lease ends when the client releases it; at the end of the session's term, which counts
 * from the last message heard; or a term after its event was sent, because all later answers to
 * that client came behind the event. A session that is heard but does not listen to its events for
 * two terms is condemned: it is cut off, and its leases end with its term.
 *
 * An event stays queued until Twatch says that it was seen, so that a lost connection cannot
 * swallow it: a lease that ended by time is kept without a file for as long.
 */
#include "server__.h"
#include <string.h>

static uint64_t term_ns(const struct ninep_server *s)
{
    return s->cfg.lease_ms * NINEP__MS;
}

/* ---- files ---- */

static struct ninep__file *file_find(struct ninep_server *s, const struct ninep_xqid *id)
{
    struct ninep__key k = ninep__key_of(id);
    return cg_map_get(&s->files, &k);
}

static struct ninep__file *file_get(struct ninep_server *s, const struct ninep_xqid *id)
{
    struct ninep__file *fl = file_find(s, id);
    if (fl) {
        return fl;
    }
    struct ninep__key k = ninep__key_of(id);
    fl = cg_zalloc(sizeof *fl);
    if (!fl || cg_map_put(&s->files, &k, fl) != CG_OK) {
        cg_free(fl);
        return NULL;
    }
    fl->id = *id;
    cg_list_init(&fl->leases);
    cg_list_init(&fl->waiting);
    return fl;
}

/* Forgets the file when nothing is left to know of it. */
static void file_put(struct ninep_server *s, struct ninep__file *fl)
{
    if (fl->told && fl->readers == 0 && cg_list_empty(&fl->leases)) {
        fl->told = false;
        s->cfg.ops->leased(s, NULL, &fl->id, false);
    }
    if (fl->readers == 0 && fl->writers == 0 && cg_list_empty(&fl->leases)) {
        struct ninep__key k = ninep__key_of(&fl->id);
        cg_map_del(&s->files, &k);
        cg_free(fl);
    }
}

/* The file server hears of the first interest in a lease before it is asked for attributes. */
static void tell(struct ninep_server *s, struct ninep__file *fl, struct ninep__fid *fid,
                 uint64_t change)
{
    if (!fl->told && s->cfg.ops->leased) {
        struct ninep_xqid id = fl->id;
        id.change = change;
        fl->told = true;
        s->cfg.ops->leased(s, &fid->pub, &id, true);
    }
}

static void wake(struct ninep__file *fl)
{
    CG_LIST_EACH (it, &fl->waiting) {
        ninep__ready(CG_CONTAINER(it, struct ninep__target, link)->req);
    }
}

/* ---- the end of a lease ---- */

static void lease_free(struct ninep__lease *l)
{
    cg_list_del(&l->event_link);
    cg_free(l);
}

/* Takes the lease off its file; with an event still to be seen it stays without one. */
static void lease_end(struct ninep__lease *l, bool keep_event)
{
    struct ninep_session *ss = l->session;
    struct ninep_server *s = ss->server;
    struct ninep__file *fl = l->file;
    if (fl) {
        l->file = NULL;
        cg_list_del(&l->by_file);
        cg_list_del(&l->by_session);
        cg_list_del(&l->breaking_link);
        if (--ss->lease_count == 0) {
            ninep__holder_off(ss);
        }
        s->leases--;
        wake(fl);
        file_put(s, fl);
    }
    if (!keep_event || cg_list_empty(&l->event_link)) {
        if (!cg_list_empty(&l->event_link)) {
            ss->event_count--;
        }
        lease_free(l);
    }
}

static void event_drop(struct ninep_session *ss, struct ninep__lease *l)
{
    cg_list_del(&l->event_link);
    ss->event_count--;
    if (!l->file) {
        lease_free(l);
    }
}

void ninep__leases_end(struct ninep_session *ss)
{
    CG_LIST_EACH (it, &ss->leases) {
        lease_end(CG_CONTAINER(it, struct ninep__lease, by_session), false);
    }
    CG_LIST_EACH (it, &ss->events) {
        event_drop(ss, CG_CONTAINER(it, struct ninep__lease, event_link));
    }
}

/* ---- breaking ---- */

/* Too many events: one LOST stands for all; the leases end when it is acknowledged. */
static void lose_all(struct ninep_session *ss, uint64_t now_ns)
{
    CG_LIST_EACH (it, &ss->events) {
        event_drop(ss, CG_CONTAINER(it, struct ninep__lease, event_link));
    }
    ss->lost = ++ss->event_last;
    CG_LIST_EACH (it, &ss->leases) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, by_session);
        l->broke_ns = l->event ? l->broke_ns : now_ns;
        l->event = ss->lost;
        l->sent_ns = 0;
        cg_list_del(&l->breaking_link);
        cg_list_push(&ss->server->breaking, &l->breaking_link);
    }
}

static uint64_t due_ns(const struct ninep__lease *l)
{
    const struct ninep_session *ss = l->session;
    uint64_t term = term_ns(ss->server);
    uint64_t due = ninep__session_term_ns(ss);
    if (l->sent_ns != 0 && l->sent_ns + term < due) {
        due = l->sent_ns + term;
    } else if (l->sent_ns == 0 && !ss->condemned && ss->conn && l->broke_ns + 2 * term < due) {
        due = l->broke_ns + 2 * term;
    }
    return due;
}

static void arm(struct ninep_server *s, uint64_t due)
{
    if (s->break_timer.place == 0 || s->break_timer.at_ns > due) {
        ninep__timer_start(s, &s->break_timer, due);
    }
}

/* Sends what the client has not been sent, when it listens. */
static void watch_answer(struct ninep_session *ss)
{
    struct ninep__req *req = ss->watch;
    if (!req || ss->event_sent == ss->event_last) {
        return;
    }
    uint8_t body[NINEP__EVENTS_REPLY_MAX * NINEP_EVENT_BYTES];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    uint64_t now = ninep__now(ss->server);
    uint16_t count = 0;
    if (ss->lost > ss->event_sent) {
        struct ninep_event ev = {.number = ss->lost, .kind = NINEP_EVENT_LOST};
        ninep_put_event(&b, &ev);
        count++;
        ss->event_sent = ss->lost;
        CG_LIST_EACH (it, &ss->leases) {
            struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, by_session);
            l->sent_ns = l->event == ss->lost ? now : l->sent_ns;
        }
    }
    CG_LIST_EACH (it, &ss->events) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, event_link);
        if (l->event > ss->event_sent && count < NINEP__EVENTS_REPLY_MAX) {
            struct ninep_event ev = {.number = l->event, .kind = NINEP_EVENT_BREAK, .id = l->id};
            ninep_put_event(&b, &ev);
            count++;
            l->sent_ns = now;
            ss->event_sent = l->event;
        }
    }
    if (count == 0) {
        ss->event_sent = ss->event_last; /* what was left to send has been released meanwhile */
        return;
    }
    req->pub.r.watch.events =
        (struct ninep_list){.count = count, .body = {.data = body, .len = (uint32_t)b.pos}};
    ninep__finish(req, CG_OK);
}

/* True: it is being broken. False: its term was over, so it has ended at once. */
static bool break_lease(struct ninep__lease *l)
{
    struct ninep_session *ss = l->session;
    struct ninep_server *s = ss->server;
    if (l->event) {
        return true;
    }
    uint64_t now = ninep__now(s);
    if (ss->event_count >= NINEP__EVENTS_MAX) {
        lose_all(ss, now);
    } else {
        l->event = ++ss->event_last;
        l->broke_ns = now;
        cg_list_push(&ss->events, &l->event_link);
        ss->event_count++;
        cg_list_push(&s->breaking, &l->breaking_link);
    }
    watch_answer(ss);
    if (ninep__session_term_ns(ss) <= now) {
        lease_end(l, true);
        return false;
    }
    arm(s, due_ns(l));
    return true;
}

static void condemn(struct ninep_session *ss)
{
    ninep__complain(ss, "the session does not listen to its lease events and is cut off");
    ss->condemned = true;
    ninep__conn_close(ss->conn, "the session does not listen to its events");
}

/* Ends the broken leases whose time has come. */
void ninep__breaks_due(struct ninep_server *s, struct ninep__timer *t)
{
    (void)t;
    uint64_t now = ninep__now(s), next = UINT64_MAX;
    CG_LIST_EACH (it, &s->breaking) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, breaking_link);
        struct ninep_session *ss = l->session;
        uint64_t due = due_ns(l);
        bool silent = ninep__session_term_ns(ss) <= now;
        bool told = l->sent_ns != 0 && l->sent_ns + term_ns(s) <= now;
        if (silent || told) {
            lease_end(l, true);
            continue;
        }
        if (due <= now) {
            condemn(ss);
            due = ninep__session_term_ns(ss);
        }
        next = next < due ? next : due;
    }
    if (next != UINT64_MAX) {
        arm(s, next);
    }
    ninep__pump(s);
}

/* What was sent may not have arrived; the next Twatch says what has. */
void ninep__leases_lost_link(struct ninep_session *ss)
{
    CG_LIST_EACH (it, &ss->leases) {
        CG_CONTAINER(it, struct ninep__lease, by_session)->sent_ns = 0;
    }
}

void ninep_server_changed(struct ninep_server *s, const struct ninep_xqid *id)
{
    struct ninep__file *fl = file_find(s, id);
    s->mutations++;
    if (fl) {
        fl->breaks++;
        fl->readers++; /* holds it */
        CG_LIST_EACH (it, &fl->leases) {
            break_lease(CG_CONTAINER(it, struct ninep__lease, by_file));
        }
        fl->readers--;
        file_put(s, fl);
        ninep__pump(s);
    }
}

/* ---- granting ---- */

bool ninep__leasable(const struct ninep__req *req, uint32_t want, const struct ninep_xqid *id)
{
    const uint32_t never = NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_STREAM | NINEP_QTYPE_NOCACHE;
    const struct ninep_session *ss = req->session;
    return (want & NINEP_WANT_LEASE) && (ss->features & NINEP_FEATURE_LEASE) && ss->watches &&
           !ss->condemned && !ss->ended && !(id->type & never);
}

bool ninep__quiet(const struct ninep__req *req, bool own)
{
    uint64_t since = req->session->server->mutations - req->mutations;
    uint64_t mine = req->session->mutations - req->mutations_own;
    return own ? since == 0 : since == mine;
}

static struct ninep__lease *lease_of(struct ninep__file *fl, const struct ninep_session *ss)
{
    CG_LIST_EACH (it, &fl->leases) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, by_file);
        if (l->session == ss) {
            return l;
        }
    }
    return NULL;
}

static bool breaking(const struct ninep__file *fl)
{
    CG_LIST_EACH (it, &fl->leases) {
        if (CG_CONTAINER(it, struct ninep__lease, by_file)->event) {
            return true;
        }
    }
    return false;
}

static uint8_t grant(struct ninep_session *ss, struct ninep__file *fl)
{
    struct ninep_server *s = ss->server;
    struct ninep__lease *l = lease_of(fl, ss);
    if (l) {
        return l->event ? NINEP_LEASE_NONE : NINEP_LEASE_READ;
    }
    if (fl->writers > 0 || breaking(fl) || ss->lease_count >= s->cfg.leases_max ||
        s->leases >= NINEP__LEASES_TOTAL_MAX) {
        return NINEP_LEASE_NONE;
    }
    l = cg_zalloc(sizeof *l);
    if (!l || !ninep__holder_on(ss)) {
        cg_free(l);
        return NINEP_LEASE_NONE;
    }
    l->file = fl;
    l->session = ss;
    l->id = fl->id;
    cg_list_init(&l->breaking_link);
    cg_list_init(&l->event_link);
    cg_list_push(&fl->leases, &l->by_file);
    cg_list_push(&ss->leases, &l->by_session);
    ss->lease_count++;
    s->leases++;
    return NINEP_LEASE_READ;
}

void ninep__read_begin(struct ninep__req *req, struct ninep__fid *fid)
{
    struct ninep_server *s = req->session->server;
    if (req->reading || !ninep__leasable(req, NINEP_WANT_LEASE, &fid->pub.id)) {
        return;
    }
    struct ninep__file *fl = file_get(s, &fid->pub.id);
    if (fl) {
        fl->readers++;
        req->reading = fl;
        req->reading_breaks = fl->breaks;
        tell(s, fl, fid, 0);
    }
}

uint8_t ninep__read_grant(struct ninep__req *req)
{
    struct ninep__file *fl = req->reading;
    if (!fl || fl->breaks != req->reading_breaks || fl->writers > 0 || req->session->ended) {
        return NINEP_LEASE_NONE;
    }
    return grant(req->session, fl);
}

void ninep__read_end(struct ninep__req *req)
{
    struct ninep__file *fl = req->reading;
    req->reading = NULL;
    if (fl) {
        fl->readers--;
        file_put(req->session->server, fl);
    }
}

uint8_t ninep__grant_now(struct ninep__req *req, struct ninep__fid *fid,
                         const struct ninep_xqid *id)
{
    struct ninep_server *s = req->session->server;
    struct ninep__file *fl = file_get(s, id);
    uint8_t lease = NINEP_LEASE_NONE;
    if (fl) {
        if (fl->writers == 0) {
            tell(s, fl, fid, id->change);
            lease = grant(req->session, fl);
        }
        file_put(s, fl);
    }
    return lease;
}

/* ---- mutations ---- */

static bool same_id(const struct ninep_xqid *a, const struct ninep_xqid *b)
{
    return a->volume == b->volume && a->file == b->file && a->generation == b->generation;
}

void ninep__target_add(struct ninep__req *req, const struct ninep_xqid *id)
{
    if (req->verdict != CG_OK) {
        return;
    }
    for (uint32_t i = 0; i < req->targets; i++) {
        if (same_id(&req->target[i].file->id, id)) {
            return;
        }
    }
    cg_assert(req->targets < NINEP__TARGETS_MAX);
    struct ninep__file *fl = file_get(req->session->server, id);
    if (!fl) {
        req->verdict = CG_ENOMEM;
        return;
    }
    fl->writers++;
    fl->breaks++;
    struct ninep__target *t = &req->target[req->targets++];
    t->file = fl;
    t->req = req;
    cg_list_init(&t->link);
}

/* Breaks what others hold on the file; true when they hold something. */
static bool in_the_way(struct ninep__req *req, struct ninep__file *fl)
{
    bool found = false;
    CG_LIST_EACH (it, &fl->leases) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, by_file);
        if (l->session != req->session && break_lease(l)) {
            found = true;
        }
    }
    return found;
}

static void targets_put(struct ninep__req *req, struct ninep__target *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        t[i].file->writers--;
        file_put(req->session->server, t[i].file);
    }
}

bool ninep__write_begin(struct ninep__req *req)
{
    struct ninep_server *s = req->session->server;
    if (!s->cfg.ops->ident) {
        return true;
    }
    /* Names may lead elsewhere than when it was parked: the files are found anew, before the old
     * ones are let go. */
    struct ninep__target old[NINEP__TARGETS_MAX];
    uint32_t olds = req->targets;
    memcpy(old, req->target, sizeof old);
    req->targets = 0;
    req->op->targets(req);
    targets_put(req, old, olds);
    if (req->verdict != CG_OK) {
        return false;
    }
    if (ninep__grace_waits(req)) {
        req->state = NINEP__PARKED;
        return false;
    }
    bool wait = false;
    for (uint32_t i = 0; i < req->targets; i++) {
        wait = in_the_way(req, req->target[i].file) || wait;
    }
    if (wait) {
        for (uint32_t i = 0; i < req->targets; i++) {
            cg_list_push(&req->target[i].file->waiting, &req->target[i].link);
        }
        req->state = NINEP__PARKED;
        return false;
    }
    s->mutations++;
    req->session->mutations++;
    return true;
}

void ninep__write_end(struct ninep__req *req)
{
    for (uint32_t i = 0; i < req->targets; i++) {
        cg_list_del(&req->target[i].link);
    }
    uint32_t count = req->targets;
    req->targets = 0;
    targets_put(req, req->target, count);
}

/* ---- Twatch and Trelease ---- */

void ninep__run_watch(struct ninep__req *req)
{
    struct ninep_session *ss = req->session;
    uint64_t seen = req->pub.t.watch.seen;
    if (ss->watch) {
        ninep__finish(req, cg_fail(&req->pub.eb, CG_EBUSY, "a Twatch is standing already"));
        return;
    }
    if (!ss->watches) {
        ss->watches = true;
        ninep__grace_returned(ss);
    }
    CG_LIST_EACH (it, &ss->events) {
        struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, event_link);
        if (l->event <= seen) {
            event_drop(ss, l);
        }
    }
    if (ss->lost != 0 && ss->lost <= seen) {
        CG_LIST_EACH (it, &ss->leases) {
            struct ninep__lease *l = CG_CONTAINER(it, struct ninep__lease, by_session);
            if (l->event == ss->lost) {
                lease_end(l, false);
            }
        }
        ss->lost = 0;
    }
    ss->event_sent = seen < ss->event_last ? seen : ss->event_last;
    ss->watch = req;
    req->state = NINEP__WATCHING;
    watch_answer(ss);
}

void ninep__run_release(struct ninep__req *req)
{
    struct ninep_session *ss = req->session;
    struct ninep_list *list = &req->pub.t.release.leases;
    struct cg_buf it = ninep_list_iter(list);
    for (uint16_t i = 0; i < list->count; i++) {
        struct ninep_release rel;
        ninep_get_release(&it, &rel);
        struct ninep__file *fl = file_find(ss->server, &rel.id);
        struct ninep__lease *l = fl ? lease_of(fl, ss) : NULL;
        if (l && (rel.number == 0 || rel.number == l->event)) {
            lease_end(l, false);
        }
    }
    ninep__finish(req, CG_OK);
}
