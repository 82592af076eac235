/* slot: a request's tag names its slot, and its seq counts the requests of the slot. So a replay is
 * known for what it is, and a once request takes effect once however often its connection breaks.
 *
 * seq of the slot again: a replay. Under way: it is simply answered when it is done. Recorded: the
 *     record is sent with REPLAYED. Idem: it is run again, outside its chain, whose turn has
 * passed. What is done before its replay has come over a new connection is not sent: the replay
 * would be answered too, and the client take that for the answer to the slot's next request.
 * the next seq: new, and it tells that the client has the slot's last reply; and, because
 * replies arrive in the order in which they were sent, all replies that were sent before that one.
 * Their records go. So an idle session keeps next to nothing.
 *
 * An idem member of a chain may be replayed after a later member has clunked its fid; the slot
 * therefore holds the fid until the reply is acknowledged, or for NINEP__KEEP_MS while connected.
 */
#include "server__.h"
#include <string.h>

struct ninep__slot *ninep__slot_get(struct ninep_session *ss, uint16_t tag)
{
    cg_assert(tag < ss->slots_max);
    if (tag >= ss->slots_cap) {
        uint32_t cap = tag + 1U < 8 ? 8 : (tag + 1U) * 2;
        cap = cap < ss->slots_max ? cap : ss->slots_max;
        struct ninep__slot **grown = cg_realloc(ss->slot, cap * sizeof(struct ninep__slot *));
        if (!grown) {
            return NULL;
        }
        memset(grown + ss->slots_cap, 0, (cap - ss->slots_cap) * sizeof(struct ninep__slot *));
        ss->slot = grown;
        ss->slots_cap = (uint16_t)cap;
    }
    if (!ss->slot[tag]) {
        struct ninep__slot *sl = cg_zalloc(sizeof *sl);
        if (!sl) {
            return NULL;
        }
        sl->tag = tag;
        cg_list_init(&sl->unacked_link);
        ss->slot[tag] = sl;
    }
    return ss->slot[tag];
}

static void let_go(struct ninep__slot *sl)
{
    ninep__fid_put(sl->fid);
    ninep__fid_put(sl->newfid);
    sl->fid = sl->newfid = NULL;
}

void ninep__slot_acked(struct ninep__slot *sl)
{
    ninep_frame_free(sl->record);
    sl->record = NULL;
    let_go(sl);
    cg_list_del(&sl->unacked_link);
}

/* The client has the slot's reply, and all that were sent before it. */
static void acknowledge(struct ninep_session *ss, struct ninep__slot *sl)
{
    CG_LIST_EACH (it, &ss->unacked) {
        struct ninep__slot *u = CG_CONTAINER(it, struct ninep__slot, unacked_link);
        if (u->sent > sl->sent) {
            break;
        }
        ninep__slot_acked(u);
    }
    ninep__slot_acked(sl);
}

void ninep__slots_expire(struct ninep_session *ss, uint64_t now_ns)
{
    uint64_t next = 0;
    CG_LIST_EACH (it, &ss->unacked) {
        struct ninep__slot *u = CG_CONTAINER(it, struct ninep__slot, unacked_link);
        uint64_t due = u->kept_ns + NINEP__KEEP_MS * NINEP__MS;
        if (u->fid && due <= now_ns) {
            let_go(u);
        } else if (u->fid && (next == 0 || due < next)) {
            next = due;
        }
    }
    if (next != 0) {
        ninep__timer_start(ss->server, &ss->timer, next);
    }
}

/* The client is back: what it may replay is kept for as long again. */
void ninep__slots_resumed(struct ninep_session *ss, uint64_t now_ns)
{
    CG_LIST_EACH (it, &ss->unacked) {
        CG_CONTAINER(it, struct ninep__slot, unacked_link)->kept_ns = now_ns;
    }
    for (uint32_t i = 0; i < ss->slots_cap; i++) {
        if (ss->slot[i]) {
            ss->slot[i]->heard = false;
        }
    }
    ninep__slots_expire(ss, now_ns);
}

void ninep__slots_free(struct ninep_session *ss)
{
    for (uint32_t i = 0; i < ss->slots_cap; i++) {
        if (ss->slot[i]) {
            ninep__slot_acked(ss->slot[i]);
            cg_free(ss->slot[i]);
        }
    }
    cg_free(ss->slot);
    ss->slot = NULL;
    ss->slots_cap = 0;
}

/* ---- taking a request in ---- */

/* A tail item with the top bit set must be understood; none is known yet. */
static cg_err check_tail(struct cg_buf *b, uint16_t bytes)
{
    struct cg_span tail = cg_get_span(b, bytes);
    struct cg_buf it = cg_buf_reader(tail.data, tail.len);
    while (!b->bad && cg_buf_left(&it) > 0) {
        struct ninep_tailitem item;
        ninep_get_tailitem(&it, &item);
        if (it.bad) {
            return CG_EPROTO;
        }
        if (item.type & 0x8000) {
            return CG_EUNKNOWNMSG;
        }
    }
    return b->bad ? CG_EPROTO : CG_OK;
}

static cg_err decode(const struct ninep_thead *h, struct ninep_frame *f, union ninep_tmsg *t)
{
    struct cg_buf b = cg_buf_reader(f->data + NINEP_T_HEADER_BYTES, f->len - NINEP_T_HEADER_BYTES);
    cg_err e = check_tail(&b, h->tail);
    if (e != CG_OK) {
        return e;
    }
    if (!ninep__op_find(h->type)) {
        return CG_EUNKNOWNMSG;
    }
    return ninep_get_tmsg(h->type, &b, t) ? CG_OK : CG_EPROTO;
}

/* A request whose slot has accepted it. False: no memory; nothing has changed. */
static struct ninep__req *accept(struct ninep_session *ss, struct ninep__slot *sl,
                                 const struct ninep_thead *h, struct ninep_frame *f)
{
    struct ninep_server *s = ss->server;
    union ninep_tmsg t;
    memset(&t, 0, sizeof t);
    cg_err e = decode(h, f, &t);
    struct ninep__req *req = ninep__req_new(
        ss, h->type, e == CG_OK ? ninep__reply_room(h->type, &t) : NINEP__REPLY_BYTES);
    if (!req) {
        return NULL;
    }
    if (e == CG_OK && s->held_bytes + f->len > NINEP__HELD_BYTES_MAX) {
        e = cg_fail(&req->pub.eb, CG_ELIMIT, "the server holds too many requests; try later");
    }
    req->pub.t = t;
    req->pub.trace = h->trace;
    req->verdict = e;
    req->timing = h->flags & NINEP_REQUEST_TIMING;
    req->last = h->flags & NINEP_REQUEST_LAST;
    req->in = f;
    s->held_bytes += f->len;
    req->slot = sl;
    sl->req = req;
    if (h->deadline_ms > 0) {
        ninep__timer_start(s, &req->deadline, req->begun_ns + h->deadline_ms * NINEP__MS);
    }
    return req;
}

static void no_memory(struct ninep_session *ss, struct ninep_frame *f)
{
    ninep_frame_free(f);
    ninep__conn_close(ss->conn, "no memory for a request; the client may replay it");
}

/* A lease that the lost reply told of may have been broken since, and the client has heard of that
 * before it hears of the grant: a replay grants nothing. */
static void ungrant(struct ninep_frame *f)
{
    uint32_t at = NINEP_R_HEADER_BYTES;
    switch (f->data[NINEP__R_TYPE_AT]) {
    case NINEP_RWALK:
        at += 2 + (f->data[at] | (uint32_t)f->data[at + 1] << 8) * NINEP_ATTR_BYTES;
        break;
    case NINEP_ROPEN:
        at += NINEP_ATTR_BYTES + 4;
        break;
    case NINEP_RCREATE:
        at += 2 * NINEP_ATTR_BYTES + 4;
        break;
    default:
        return;
    }
    cg_assert(at < f->len);
    f->data[at] = NINEP_LEASE_NONE;
}

static void send_record(struct ninep_session *ss, struct ninep__slot *sl)
{
    struct ninep_frame *f = ninep_frame_new(sl->record->len);
    if (!f) {
        ninep__conn_close(ss->conn, "no memory for a reply; the client may ask for it again");
        return;
    }
    memcpy(f->data, sl->record->data, sl->record->len);
    f->len = sl->record->len;
    f->data[NINEP__R_FLAGS_AT] |= NINEP_REPLY_REPLAYED;
    ungrant(f);
    cg_list_del(&sl->unacked_link);
    cg_list_push(&ss->unacked, &sl->unacked_link);
    sl->sent = ++ss->sent;
    ninep__conn_send(ss->conn, f);
}

static void replay(struct ninep_session *ss, struct ninep__slot *sl, const struct ninep_thead *h,
                   struct ninep_frame *f)
{
    sl->heard = true;
    if (sl->req) {
        ninep_frame_free(f);
    } else if (sl->record) {
        ninep_frame_free(f);
        send_record(ss, sl);
    } else if (sl->once) {
        ninep_frame_free(f);
        ninep__control_error(ss->conn, sl->tag, CG_EUNKNOWN,
                             "its reply was acknowledged, so it is no longer recorded");
    } else {
        struct ninep__req *req = accept(ss, sl, h, f);
        if (!req) {
            no_memory(ss, f);
            return;
        }
        cg_list_del(&sl->unacked_link);
        if (sl->fid) {
            req->pub.fid = &ninep__fid_ref(sl->fid)->pub;
        }
        if (sl->newfid) {
            req->pub.newfid = &ninep__fid_ref(sl->newfid)->pub;
        }
        ninep__ready(req);
    }
}

static void begin(struct ninep_session *ss, struct ninep__slot *sl, const struct ninep_thead *h,
                  struct ninep_frame *f)
{
    struct ninep__req *req = accept(ss, sl, h, f);
    if (!req) {
        no_memory(ss, f);
        return;
    }
    acknowledge(ss, sl);
    sl->heard = true;
    sl->seq = h->seq;
    sl->sent = 0;
    sl->once = ninep_type_class(h->type) != NINEP_CLASS_IDEM;
    cg_err e = ninep__chain_add(req, h->chain);
    if (e != CG_OK) {
        req->verdict = e;
        ninep__ready(req);
    }
}

void ninep__slot_frame(struct ninep_session *ss, const struct ninep_thead *h, struct ninep_frame *f)
{
    if (h->tag >= ss->slots_max) {
        ninep_frame_free(f);
        ninep__control_error(ss->conn, h->tag, CG_EPROTO, "the tag is beyond the negotiated slots");
        return;
    }
    struct ninep__slot *sl = ninep__slot_get(ss, h->tag);
    if (!sl) {
        no_memory(ss, f);
        return;
    }
    uint32_t next = sl->seq == UINT32_MAX ? 1 : sl->seq + 1;
    if (h->seq != 0 && h->seq == sl->seq) {
        replay(ss, sl, h, f);
    } else if (h->seq == next && !sl->req) {
        begin(ss, sl, h, f);
    } else {
        ninep_frame_free(f);
        ninep__control_error(ss->conn, h->tag, CG_ESEQUENCE,
                             "the seq is neither the slot's last nor its next");
    }
}

/* ---- answers ---- */

/* Keeps what a replay would need. */
static void keep(struct ninep__req *req, struct ninep__slot *sl, cg_err e)
{
    bool chained = req->chain && !req->last;
    if (sl->once || (chained && e != CG_OK)) {
        ninep_frame_free(sl->record);
        sl->record = ninep_frame_ref(req->out);
    } else if (chained && !sl->fid && req->pub.fid) {
        struct ninep_session *ss = req->session;
        sl->fid = ninep__fid_ref(req->pub.fid->impl);
        sl->newfid = req->pub.newfid ? ninep__fid_ref(req->pub.newfid->impl) : NULL;
        sl->kept_ns = ninep__now(ss->server);
        if (ss->timer.place == 0 && ss->conn) {
            ninep__timer_start(ss->server, &ss->timer, sl->kept_ns + NINEP__KEEP_MS * NINEP__MS);
        }
    }
}

void ninep__slot_answered(struct ninep__req *req, struct ninep_frame *f, cg_err e)
{
    struct ninep_session *ss = req->session;
    struct ninep__slot *sl = req->slot;
    sl->req = NULL;
    keep(req, sl, e);
    if (ss->conn && sl->heard) {
        sl->sent = ++ss->sent;
        cg_list_push(&ss->unacked, &sl->unacked_link);
        ninep__conn_send(ss->conn, ninep_frame_ref(f));
    }
}
