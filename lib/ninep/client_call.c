/* client_call: the life of a call: encoded, queued, sent in a slot, answered or given up.
 *
 * The waiting queue is strictly first in, first out, so that nothing overtakes within a chain. A
 * frame is encoded once; only its header is written anew when it is sent, because slot, number and
 * remaining time are known only then. The frame is kept until the answer comes; the transport has
 * a reference of its own.
 */
#include "client.h"

#include <stdio.h>
#include <string.h>

/* ---- frames ---- */

static cg_err encode(uint8_t type, const union ninep_tmsg *t, uint32_t bytes_max,
                     struct ninep_frame **out)
{
    uint32_t size = ninep_tmsg_size(type, t);
    if (size > bytes_max - NINEP_T_HEADER_BYTES) {
        return CG_EMSGSIZE;
    }
    uint32_t len = NINEP_T_HEADER_BYTES + size;
    struct ninep_frame *f = ninep_frame_new(len < CLIENT_GHOST_BYTES ? CLIENT_GHOST_BYTES : len);
    if (!f) {
        return CG_ENOMEM;
    }
    struct cg_buf b = cg_buf_writer(f->data + NINEP_T_HEADER_BYTES, size);
    if (!ninep_put_tmsg(type, &b, t)) {
        ninep_frame_free(f);
        return CG_EINVAL;
    }
    cg_assert(b.pos == size);
    f->len = len;
    *out = f;
    return CG_OK;
}

static void put_header(struct ninep_frame *f, struct ninep_thead *h)
{
    struct cg_buf b = cg_buf_writer(f->data, NINEP_T_HEADER_BYTES);
    h->size = f->len;
    ninep_put_thead(&b, h);
    cg_assert(!b.bad);
}

void client__control(struct ninep_client *c, uint8_t type, const union ninep_tmsg *t)
{
    struct ninep_frame *f;
    cg_err e = encode(type, t, NINEP_FRAME_BYTES_MIN, &f);
    if (e != CG_OK) {
        client__drop(c, e, "no memory for a request");
        return;
    }
    put_header(f, &(struct ninep_thead){.type = type, .tag = NINEP_VERSION_TAG});
    c->bytes_out += f->len;
    c->cfg.send(c->cfg.ctx, f);
}

/* Makes the call's frame one that has no effect and fails. False: no memory; the old one stays. */
bool client__ghost_frame(struct call *k)
{
    if (k->frame->refs > 1) {
        struct ninep_frame *f = ninep_frame_new(k->frame->cap);
        if (!f) {
            return false;
        }
        ninep_frame_free(k->frame);
        k->frame = f;
    }
    union ninep_tmsg t = {.getattr = {.fid = NINEP_NOFID}};
    struct cg_buf b = cg_buf_writer(k->frame->data + NINEP_T_HEADER_BYTES,
                                    CLIENT_GHOST_BYTES - NINEP_T_HEADER_BYTES);
    bool ok = ninep_put_tmsg(NINEP_TGETATTR, &b, &t);
    cg_assert(ok && cg_buf_left(&b) == 0);
    k->type = NINEP_TGETATTR;
    k->frame->len = CLIENT_GHOST_BYTES;
    k->frame->sent = 0;
    return true;
}

/* Before a frame is sent again: the transport may still hold it. */
static bool own_frame(struct call *k)
{
    if (k->frame->refs > 1) {
        struct ninep_frame *f = ninep_frame_new(k->frame->cap);
        if (!f) {
            return false;
        }
        memcpy(f->data, k->frame->data, k->frame->len);
        f->len = k->frame->len;
        ninep_frame_free(k->frame);
        k->frame = f;
    }
    k->frame->sent = 0;
    k->frame->lazy = false;
    return true;
}

/* ---- reports ---- */

static void report(struct ninep_client *c, struct call *k, cg_err e)
{
    cg_assert(!k->reporting);
    k->reporting = true;
    k->result = e;
    cg_list_push(&c->reports, &k->report_link);
    client__wake_at(c, client__now(c));
}

/* Off its list; freed unless a report of it is still to come. */
static void take_out(struct ninep_client *c, struct call *k)
{
    cg_list_del(&k->link);
    k->place = CALL_NOWHERE;
    if (!k->reporting) {
        client__call_free(c, k);
    }
}

void client__call_free(struct ninep_client *c, struct call *k)
{
    cg_assert(k->place == CALL_NOWHERE && !k->reporting);
    client__forget_call(c, k);
    c->calls--;
    c->call_bytes -= k->frame->cap;
    c->ghosts -= k->ghost;
    ninep_frame_free(k->frame);
    cg_free(k);
}

static void detail_of(const struct ninep_client *c, const struct call *k, char *out, size_t cap)
{
    const char *type = ninep_type_name(k->asked, NINEP_DIALECT_NG);
    const char *doubt =
        k->once && k->place == CALL_SENT ? "; the change may or may not have happened" : "";
    switch (k->result) {
    case CG_ETIME:
        snprintf(out, cap, "%s did not answer %s within %u ms%s", c->name, type, k->deadline_ms,
                 doubt);
        break;
    case CG_ELINKDOWN:
        snprintf(out, cap, "the link to %s is down (%.150s)%s", c->name,
                 c->why_text.text[0] ? c->why_text.text : "not connected yet", doubt);
        break;
    case CG_EUNKNOWN:
        snprintf(out, cap,
                 "%s did not answer %s before it was lost; the change may or may not "
                 "have happened",
                 c->name, type);
        break;
    case CG_ESESSION:
        snprintf(out, cap, "%s lost the session of this %s, perhaps by a restart", c->name, type);
        break;
    case CG_ECANCELED:
        snprintf(out, cap, "%s was cancelled", type);
        break;
    case CG_EMSGSIZE:
        snprintf(out, cap, "%s does not fit the %u bytes that %s takes", type, c->msize, c->name);
        break;
    default:
        snprintf(out, cap, "%s",
                 k->result == c->why ? c->why_text.text : cg_err_meaning(k->result));
    }
}

void client__deliver(struct ninep_client *c)
{
    static const union ninep_rmsg nothing;
    uint32_t n = 0; /* reports that come up meanwhile are for the next time */
    CG_LIST_EACH (it, &c->reports) {
        n++;
    }
    while (n-- > 0 && !cg_list_empty(&c->reports)) {
        struct call *k = CG_CONTAINER(c->reports.next, struct call, report_link);
        struct cg_errbuf eb;
        detail_of(c, k, eb.text, sizeof eb.text);
        cg_list_del(&k->report_link);
        k->reporting = false;
        ninep_done *done = k->internal ? NULL : k->done;
        void *aux = k->aux;
        cg_err e = k->result;
        k->done = NULL;
        if (k->place == CALL_NOWHERE) {
            client__call_free(c, k);
        }
        if (done) {
            done(aux, e, &nothing, eb.text);
        }
    }
}

/* Tells the caller now; what the server must still see of the call lives on as a ghost. */
static void give_up(struct ninep_client *c, struct call *k, cg_err e)
{
    cg_assert(!k->ghost && !k->internal);
    report(c, k, e);
    bool stays = k->place == CALL_SENT || (k->place == CALL_WAITING && k->chain);
    if (!stays) {
        take_out(c, k);
        return;
    }
    k->ghost = true;
    client__keep_ghost(c, k);
    c->ghosts++;
    c->flying -= k->place == CALL_SENT;
    bool ok = client__ghost_frame(k);
    cg_assert(ok || k->place == CALL_SENT); /* a waiting call's frame is its own */
}

/* A waiting call that will not be sent, nor a ghost of it. */
static void refuse(struct ninep_client *c, struct call *k, cg_err e)
{
    k->chain = 0;
    if (k->ghost || k->internal) {
        take_out(c, k);
    } else {
        give_up(c, k, e);
    }
}

void client__report_all(struct ninep_client *c, cg_err e)
{
    CG_LIST_EACH (it, &c->waiting) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        refuse(c, k, e);
    }
}

void client__report_stranded(struct ninep_client *c)
{
    CG_LIST_EACH (it, &c->stranded) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        give_up(c, k, k->result);
    }
}

/* ---- slots ---- */

void client__slots_init(struct ninep_client *c, uint32_t n)
{
    memset(c->slot, 0, c->cfg.slots * sizeof *c->slot);
    client__slots_limit(c, n);
}

void client__slots_limit(struct ninep_client *c, uint32_t n)
{
    c->slots_in_force = n < c->cfg.slots ? n : c->cfg.slots;
    c->slot_frees = 0;
    for (uint32_t i = c->slots_in_force; i-- > 0;) {
        if (!c->slot[i].call) {
            c->slot_free[c->slot_frees++] = (uint16_t)i;
        }
    }
}

static bool has_slot(const struct ninep_client *c, const struct call *k)
{
    bool reserve = c->slots_in_force >= CLIENT_SLOTS_MIN && k->type != NINEP_TRELEASE;
    return c->slot_frees > (reserve ? CLIENT_SLOTS_RESERVED : 0);
}

static uint32_t wire_deadline(const struct ninep_client *c, const struct call *k, uint64_t now)
{
    if (!k->deadline_ns || k->ghost) {
        return 0;
    }
    /* Shorter by the way there and back, so that the server's own word arrives in time. */
    uint64_t end = now + c->rtt_us * UINT64_C(1000) + CLIENT_MS;
    uint64_t ms = k->deadline_ns > end ? (k->deadline_ns - end) / CLIENT_MS : 0;
    return ms == 0 ? 1 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void transmit(struct ninep_client *c, struct call *k, uint64_t now)
{
    put_header(k->frame, &(struct ninep_thead){.type = k->type,
                                               .tag = k->slot,
                                               .flags = k->last ? NINEP_REQUEST_LAST : 0,
                                               .seq = c->slot[k->slot].seq,
                                               .chain = k->chain,
                                               .deadline_ms = wire_deadline(c, k, now),
                                               .trace = k->trace});
    c->bytes_out += k->frame->len;
    c->cfg.send(c->cfg.ctx, ninep_frame_ref(k->frame));
}

void client__send_now(struct ninep_client *c, struct call *k)
{
    cg_assert(k->place == CALL_NOWHERE && c->slot_frees > 0);
    k->slot = c->slot_free[--c->slot_frees];
    struct slot *s = &c->slot[k->slot];
    s->seq = s->seq == UINT32_MAX ? 1 : s->seq + 1;
    s->call = k;
    k->place = CALL_SENT;
    cg_list_push(&c->sent, &k->link);
    if (!k->internal && !k->ghost) {
        c->round_trips += c->flying++ == 0;
    }
    k->sent_ns = client__now(c);
    client__keep_sent(c, k);
    transmit(c, k, k->sent_ns);
}

void client__answered(struct ninep_client *c, struct call *k)
{
    client__forget_call(c, k);
    client__adopted_done(c, k);
    c->slot[k->slot].call = NULL;
    if (k->slot < c->slots_in_force) {
        c->slot_free[c->slot_frees++] = k->slot;
    }
    c->flying -= !k->internal && !k->ghost;
    cg_list_del(&k->link);
    k->place = CALL_NOWHERE;
}

/* In the order of their first sending; the standing watch goes first, so that what it has to tell
 * is heard before any answer renews the lease clock. */
void client__resend(struct ninep_client *c)
{
    if (c->watch && c->watch->place == CALL_SENT) {
        cg_list_del(&c->watch->link);
        cg_list_push_front(&c->sent, &c->watch->link);
    }
    c->round_trips += c->flying > 0;
    CG_LIST_EACH (it, &c->sent) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        if (!(k->ghost ? client__ghost_frame(k) : own_frame(k))) {
            client__drop(c, CG_ENOMEM, "no memory to send requests again");
            return;
        }
        /* It may be under way since its first sending, but the server has read our Tsession. */
        k->sent_ns = c->session_sent_ns;
        transmit(c, k, client__now(c));
        if (!c->linked) {
            return;
        }
    }
}

void client__strand(struct ninep_client *c)
{
    CG_LIST_EACH (it, &c->sent) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        c->slot[k->slot].call = NULL;
        if (k->internal || k->ghost) {
            take_out(c, k);
        } else {
            c->flying--;
            k->place = CALL_STRANDED;
            k->result = k->once ? CG_EUNKNOWN : CG_ESESSION;
            cg_list_del(&k->link);
            cg_list_push(&c->stranded, &k->link);
        }
    }
    CG_LIST_EACH (it, &c->waiting) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        if (k->internal || k->ghost) {
            take_out(c, k);
        }
    }
    c->watch = NULL;
}

/* ---- the queue ---- */

void client__queue(struct ninep_client *c, struct call *k, bool first)
{
    cg_assert(k->place == CALL_NOWHERE);
    k->place = CALL_WAITING;
    if (first) {
        cg_list_push_front(&c->waiting, &k->link);
    } else {
        cg_list_push(&c->waiting, &k->link);
    }
}

void client__pump(struct ninep_client *c)
{
    while (c->state == NINEP_UP && !cg_list_empty(&c->waiting)) {
        struct call *k = CG_CONTAINER(c->waiting.next, struct call, link);
        if (!has_slot(c, k)) {
            return;
        }
        if (k->chain && !(c->features & NINEP_FEATURE_CHAIN)) {
            refuse(c, k, CG_ENOSYS);
        } else if (k->frame->len > c->msize) {
            give_up(c, k, CG_EMSGSIZE); /* in a chain, its ghost is looked at next */
        } else {
            cg_list_del(&k->link);
            k->place = CALL_NOWHERE;
            client__send_now(c, k);
        }
    }
}

struct call *client__call_new(struct ninep_client *c, uint8_t type, struct ninep_frame *f)
{
    struct call *k = cg_zalloc(sizeof *k);
    if (!k) {
        ninep_frame_free(f);
        return NULL;
    }
    cg_list_init(&k->link);
    cg_list_init(&k->report_link);
    k->type = k->asked = type;
    k->once = ninep_type_class(type) == NINEP_CLASS_ONCE;
    k->newfid = NINEP_NOFID;
    k->frame = f;
    c->calls++;
    c->call_bytes += f->cap;
    return k;
}

struct call *client__call_own(struct ninep_client *c, uint8_t type, const union ninep_tmsg *t,
                              ninep_done *done)
{
    struct ninep_frame *f;
    if (encode(type, t, c->cfg.msize, &f) != CG_OK) {
        return NULL;
    }
    struct call *k = client__call_new(c, type, f);
    if (k) {
        k->internal = true;
        k->done = done;
        k->aux = c;
    }
    return k;
}

uint32_t client__new_fid(uint8_t type, const union ninep_tmsg *t)
{
    switch (type) {
    case NINEP_TATTACH:
        return t->attach.fid;
    case NINEP_TWALK:
        return t->walk.newfid == t->walk.fid ? NINEP_NOFID : t->walk.newfid;
    case NINEP_TCREATE:
        return t->create.newfid;
    default:
        return NINEP_NOFID;
    }
}

void client__set_deadline(struct ninep_client *c, struct call *k, uint32_t ms)
{
    k->deadline_ms = ms ? ms : c->cfg.deadline_ms;
    if (k->deadline_ms == UINT32_MAX) {
        return;
    }
    k->deadline_ns = client__now(c) + k->deadline_ms * CLIENT_MS;
    if (c->deadlines_ns == 0 || k->deadline_ns < c->deadlines_ns) {
        c->deadlines_ns = k->deadline_ns;
        client__wake_at(c, k->deadline_ns);
    }
}

uint64_t ninep_client_call(struct ninep_client *c, const struct ninep_call *call)
{
    enum ninep_class class = ninep_type_class(call->type);
    cg_assert(class == NINEP_CLASS_ONCE || class == NINEP_CLASS_IDEM);
    if (c->dying || c->calls >= CLIENT_CALLS_MAX || c->call_bytes > CLIENT_BYTES_MAX) {
        return 0;
    }
    struct ninep_frame *f;
    cg_err e = encode(call->type, &call->t, c->msize, &f);
    if (e == CG_EMSGSIZE || e == CG_EINVAL) {
        f = ninep_frame_new(CLIENT_GHOST_BYTES); /* reported, and in a chain a ghost at once */
    } else if (e == CG_ENOMEM) {
        return 0;
    }
    struct call *k = f ? client__call_new(c, call->type, f) : NULL;
    if (!k) {
        return 0;
    }
    k->id = ++c->call_last;
    k->chain = call->chain;
    k->last = call->last;
    k->trace = call->trace;
    k->origin = call->origin;
    k->done = call->done;
    k->aux = call->aux;
    k->newfid = client__new_fid(call->type, &call->t);
    k->frame->lazy = call->lazy;
    uint64_t id = k->id;
    client__enter(c);
    client__releases_send(c);
    client__queue(c, k, false);
    if (c->state == NINEP_DEAD) {
        refuse(c, k, c->why);
    } else if (e != CG_OK) {
        give_up(c, k, e);
    } else {
        client__set_deadline(c, k, call->deadline_ms);
        client__keep_waiting(c, k);
    }
    if (c->fid_clunks && c->state == NINEP_UP && client__now(c) >= c->clunk_due_ns) {
        client__clunks_send(c);
    }
    client__pump(c);
    client__unwind(c);
    return id;
}

void ninep_client_hurry(struct ninep_client *c)
{
    if (c->linked && c->cfg.hurry) {
        c->cfg.hurry(c->cfg.ctx);
    }
}

/* ---- giving up ---- */

static bool told(const struct call *k)
{
    return k->internal || k->ghost || k->reporting;
}

static cg_err cancelled_result(const struct call *k)
{
    return k->place == CALL_STRANDED          ? k->result
           : k->place == CALL_SENT && k->once ? CG_EUNKNOWN
                                              : CG_ECANCELED;
}

/* Somebody waits for the end of a cancelled call: a server that stands still is not waited for. */
static void hurry(struct ninep_client *c, struct call *k)
{
    uint64_t wait_us = CLIENT_CANCEL_MS * 1000 + 2 * (uint64_t)c->rtt_us;
    uint64_t end = client__now(c) + wait_us * 1000;
    if (k->deadline_ns == 0 || end < k->deadline_ns) {
        k->deadline_ns = end;
        c->deadlines_ns = c->deadlines_ns && c->deadlines_ns < end ? c->deadlines_ns : end;
        client__wake_at(c, end);
    }
}

static void cancel(struct ninep_client *c, struct call *k)
{
    bool ask = k->place == CALL_SENT && c->state == NINEP_UP && c->features & NINEP_FEATURE_CANCEL;
    if (!ask) {
        give_up(c, k, cancelled_result(k));
    } else if (!k->cancelled) {
        k->cancelled = true;
        union ninep_tmsg t = {.cancel = {.oldtag = k->slot, .oldseq = c->slot[k->slot].seq}};
        hurry(c, k);
        client__control(c, NINEP_TCANCEL, &t);
    }
}

void ninep_client_cancel(struct ninep_client *c, uint64_t call)
{
    struct cg_list *const places[] = {&c->sent, &c->waiting, &c->stranded};
    client__enter(c);
    for (size_t i = 0; i < CG_COUNT(places); i++) {
        CG_LIST_EACH (it, places[i]) {
            struct call *k = CG_CONTAINER(it, struct call, link);
            if (k->id == call && !told(k)) {
                cancel(c, k);
                goto out;
            }
        }
    }
out:
    client__unwind(c);
}

void ninep_client_cancel_origin(struct ninep_client *c, uint64_t origin)
{
    uint64_t id = 0;
    CG_LIST_EACH (it, &c->sent) {
        const struct call *k = CG_CONTAINER(it, struct call, link);
        id = k->origin == origin && !told(k) ? k->id : id;
    }
    if (id != 0) {
        ninep_client_cancel(c, id);
    }
}

void client__cancelled_lost(struct ninep_client *c)
{
    CG_LIST_EACH (it, &c->sent) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        if (k->cancelled && !told(k)) {
            give_up(c, k, cancelled_result(k));
        }
    }
}

static void expire(struct ninep_client *c, struct call *k)
{
    bool up = c->state == NINEP_UP;
    bool sent = k->place == CALL_SENT;
    union ninep_tmsg t = {.cancel = {.oldtag = k->slot, .oldseq = c->slot[k->slot].seq}};
    give_up(c, k,
            k->cancelled                ? cancelled_result(k)
            : k->place == CALL_STRANDED ? k->result
            : up                        ? CG_ETIME
                                        : CG_ELINKDOWN);
    if (sent && up && !k->cancelled && c->features & NINEP_FEATURE_CANCEL) {
        k->cancelled = true;
        client__control(c, NINEP_TCANCEL, &t);
    }
}

void client__deadlines(struct ninep_client *c, uint64_t now)
{
    if (c->deadlines_ns == 0 || now < c->deadlines_ns) {
        return;
    }
    c->deadlines_ns = 0;
    struct cg_list *const places[] = {&c->sent, &c->waiting, &c->stranded};
    for (size_t i = 0; i < CG_COUNT(places); i++) {
        CG_LIST_EACH (it, places[i]) {
            struct call *k = CG_CONTAINER(it, struct call, link);
            if (told(k) || !k->deadline_ns) {
                continue;
            }
            if (now >= k->deadline_ns) {
                expire(c, k);
            } else if (c->deadlines_ns == 0 || k->deadline_ns < c->deadlines_ns) {
                c->deadlines_ns = k->deadline_ns;
            }
        }
    }
}
