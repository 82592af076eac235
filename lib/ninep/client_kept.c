/* client_kept: the session in a book, and out of it again (ninep.h tells what for).
 *
 * One record holds the session; one each call that is under way: its place and, when it must
 * happen, the request itself. A request that need not happen (it is of class idem and in no chain)
 * is sent again as a ghost: all that is left of it is its number. What is committed before a frame
 * is sent: the call with its slot and number, and all that earlier answers have changed; so a
 * server's acknowledged ledger never has to answer twice.
 *
 * The secret is the first connection's binding. It is in the book's memory, which init hands to the
 * component's successor alone.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum { KIND_SESSION = NINEP_BOOK_KIND, KIND_CALL };

/* Words that stand for themselves and are stored in place. */
struct kept_counters {
    uint64_t event_seen;
    uint32_t fid_next, chain_last;
};

struct kept_session { /* a: number */
    uint8_t id[16], first_binding[32];
    uint64_t epoch, features;
    uint32_t msize, slots, lease_ms, fid_base;
    uint8_t root_attr[NINEP_ATTR_BYTES];
    struct kept_counters counters;
    uint32_t seq[]; /* of each slot: the last that was sent, or one that a call record tells */
};

struct kept_call {  /* a: number, b: order of the calls; the request's body follows */
    uint64_t place; /* one word, in place: slot << 32 | seq; 0: it waits for a slot */
    uint64_t trace, origin;
    uint32_t chain;
    uint8_t type, last;
    uint8_t ghost; /* in place */
    uint8_t internal;
};

/* ---- into the book ---- */

void client__keep_counters(struct ninep_client *c)
{
    if (c->kept) {
        c->kept->counters.event_seen = c->event_seen;
        c->kept->counters.fid_next = c->fid_next;
        c->kept->counters.chain_last = c->chain_last;
    }
}

void client__forget_session(struct ninep_client *c)
{
    if (c->kept) {
        book_drop(c->book, c->kept);
        c->kept = NULL;
        book_commit(c->book);
    }
}

/* Without room the session is not kept: that is all. */
void client__keep_session(struct ninep_client *c)
{
    if (!c->book) {
        return;
    }
    client__forget_session(c);
    uint32_t slots = c->slots_in_force;
    struct kept_session *s = book_add(c->book, KIND_SESSION, c->book_number, 0,
                                      (uint32_t)(sizeof *s + slots * sizeof s->seq[0]));
    if (!s) {
        cg_log(CG_WARN, "no room to keep the session with %s", c->name);
        return;
    }
    memcpy(s->id, c->id, sizeof s->id);
    memcpy(s->first_binding, c->first_binding, sizeof s->first_binding);
    s->epoch = c->epoch;
    s->features = c->features;
    s->msize = c->msize;
    s->slots = slots;
    s->lease_ms = c->lease_ms;
    s->fid_base = c->fid_base;
    struct cg_buf b = cg_buf_writer(s->root_attr, sizeof s->root_attr);
    ninep_put_attr(&b, &c->root_attr);
    cg_assert(!b.bad);
    for (uint32_t i = 0; i < slots; i++) {
        s->seq[i] = c->slot[i].seq;
    }
    c->kept = s;
    client__keep_counters(c);
    book_commit(c->book);
}

static bool must_happen(const struct call *k)
{
    return k->once || k->chain || k->type == NINEP_TWATCH;
}

static bool add_record(struct ninep_client *c, struct call *k)
{
    bool body = must_happen(k) && !k->ghost;
    uint32_t len = body ? k->frame->len - NINEP_T_HEADER_BYTES : 0;
    struct kept_call *r = book_add_raw(c->book, KIND_CALL, c->book_number, ++c->call_order,
                                       (uint32_t)sizeof *r + len);
    if (!r) {
        return false;
    }
    r->place = 0;
    r->trace = k->trace;
    r->origin = k->origin;
    r->chain = k->chain;
    r->type = k->type;
    r->last = k->last;
    r->ghost = !body;
    r->internal = k->internal;
    if (len) {
        memcpy(r + 1, k->frame->data + NINEP_T_HEADER_BYTES, len);
    }
    k->kept = r;
    return true;
}

/* A call that only waits need not be kept when it need not happen. */
void client__keep_waiting(struct ninep_client *c, struct call *k)
{
    if (c->kept && must_happen(k) && !k->kept && add_record(c, k)) {
        book_commit(c->book);
    }
}

void client__keep_sent(struct ninep_client *c, struct call *k)
{
    if (!c->kept || k->type == NINEP_TATTACH) {
        return;
    }
    if (!k->kept && !add_record(c, k)) {
        cg_log(CG_WARN, "no room to keep requests: the session with %s is not kept any more",
               c->name);
        client__forget_session(c);
        return;
    }
    uint32_t seq = c->slot[k->slot].seq;
    if (book_head(c->book, k->kept)->born <= book_committed(c->book)) {
        book_commit(c->book); /* the slot's last call is gone before another is in it */
        k->kept->place = (uint64_t)k->slot << 32 | seq;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else {
        k->kept->place = (uint64_t)k->slot << 32 | seq;
        book_commit(c->book);
    }
    c->kept->seq[k->slot] = seq; /* the call's record tells it until here */
}

void client__keep_ghost(struct ninep_client *c, struct call *k)
{
    (void)c;
    if (k->kept) {
        k->kept->ghost = 1;
    }
}

void client__forget_call(struct ninep_client *c, struct call *k)
{
    if (k->kept) {
        book_drop(c->book, k->kept); /* committed before the next frame is sent */
        k->kept = NULL;
    }
}

/* ---- out of the book ---- */

static bool get_attr(const uint8_t *bytes, struct ninep_attr *a)
{
    struct cg_buf b = cg_buf_reader(bytes, NINEP_ATTR_BYTES);
    ninep_get_attr(&b, a);
    return !b.bad;
}

static bool adopt_session(struct ninep_client *c, struct kept_session *s)
{
    uint32_t len = book_head(c->book, s)->len;
    if (len < sizeof *s || s->slots == 0 || s->slots > c->cfg.slots ||
        len != sizeof *s + s->slots * sizeof s->seq[0] || s->msize < NINEP_FRAME_BYTES_MIN ||
        s->msize > c->cfg.msize || s->counters.fid_next < s->fid_base ||
        s->counters.fid_next - s->fid_base > CLIENT_FIDS_MAX ||
        !get_attr(s->root_attr, &c->root_attr)) {
        return false;
    }
    uint32_t given = s->counters.fid_next - s->fid_base;
    if (given > c->fid_cap && !client__fids_grow(c, given)) {
        return false;
    }
    memcpy(c->id, s->id, sizeof c->id);
    memcpy(c->first_binding, s->first_binding, sizeof c->first_binding);
    c->epoch = s->epoch;
    c->features = s->features;
    c->msize = s->msize;
    c->lease_ms = s->lease_ms;
    c->fid_base = s->fid_base;
    c->fid_next = s->counters.fid_next;
    c->chain_last = s->counters.chain_last;
    c->event_seen = s->counters.event_seen;
    memset(c->fid_state, FID_UNCLAIMED, given);
    for (uint32_t i = 0; i < s->slots; i++) {
        c->slot[i].seq = s->seq[i];
    }
    c->slots_in_force = s->slots;
    c->has_session = c->attached = c->was_up = true;
    c->kept = s;
    return true;
}

static struct book *sorting;

static int by_order(const void *x, const void *y)
{
    uint64_t a = book_head(sorting, *(void *const *)x)->b;
    uint64_t b = book_head(sorting, *(void *const *)y)->b;
    return a < b ? -1 : a > b;
}

/* All call records of this client, in order; NULL: there are none, or no memory. */
static struct kept_call **find_calls(struct ninep_client *c, uint32_t *count,
                                     struct kept_session **session)
{
    uint64_t cursor = 0;
    uint32_t cap = 0;
    struct kept_call **calls = NULL;
    void *record;
    *count = 0;
    *session = NULL;
    while ((record = book_next(c->book, &cursor))) {
        const struct book_head *h = book_head(c->book, record);
        if (h->a != c->book_number || (h->kind != KIND_SESSION && h->kind != KIND_CALL)) {
            continue;
        }
        if (h->kind == KIND_SESSION) {
            *session = record;
            continue;
        }
        if (*count == cap) {
            cap = cap ? cap * 2 : 64;
            struct kept_call **more = cg_realloc(calls, cap * sizeof *calls);
            if (!more) {
                break; /* the rest is lost: its slots will not fit, and the session ends */
            }
            calls = more;
        }
        calls[(*count)++] = record;
    }
    sorting = c->book;
    if (*count) {
        qsort(calls, *count, sizeof *calls, by_order);
    }
    return calls;
}

static struct ninep_frame *frame_of(const struct kept_call *r, uint32_t len)
{
    uint32_t body = len - (uint32_t)sizeof *r;
    uint32_t bytes = NINEP_T_HEADER_BYTES + body;
    struct ninep_frame *f =
        ninep_frame_new(bytes < CLIENT_GHOST_BYTES ? CLIENT_GHOST_BYTES : bytes);
    if (f) {
        f->len = bytes;
        memcpy(f->data + NINEP_T_HEADER_BYTES, r + 1, body);
    }
    return f;
}

static bool get_request(const struct ninep_frame *f, uint8_t type, union ninep_tmsg *t)
{
    struct cg_buf b = cg_buf_reader(f->data + NINEP_T_HEADER_BYTES, f->len - NINEP_T_HEADER_BYTES);
    return ninep_get_tmsg(type, &b, t);
}

/* Fids that the request lets go: their numbers are free when it is answered. */
static void mark_clunks(struct ninep_client *c, const union ninep_tmsg *t)
{
    struct cg_buf it = ninep_list_iter(&t->clunk.fids);
    for (uint16_t i = 0; i < t->clunk.fids.count; i++) {
        struct ninep_fidref ref;
        ninep_get_fidref(&it, &ref);
        if (ref.fid >= c->fid_base && ref.fid < c->fid_next) {
            c->fid_state[ref.fid - c->fid_base] = FID_CLUNKING;
        }
    }
}

static bool fits(const struct ninep_client *c, const struct kept_call *r)
{
    uint64_t slot = r->place >> 32;
    return book_head(c->book, r)->len >= sizeof *r && ninep_type_class(r->type) != 0 &&
           (r->place == 0 || (slot < c->slots_in_force && !c->slot[slot].call));
}

static void set_place(struct ninep_client *c, struct call *k)
{
    uint64_t place = k->kept->place;
    if (place == 0) {
        client__queue(c, k, false);
        return;
    }
    k->slot = (uint16_t)(place >> 32);
    k->place = CALL_SENT;
    c->slot[k->slot].call = k;
    c->slot[k->slot].seq = (uint32_t)place;
    cg_list_push(&c->sent, &k->link);
    c->flying += !k->internal && !k->ghost;
}

static bool adopt_call(struct ninep_client *c, struct kept_call *r, ninep_adopt *adopt, void *ctx)
{
    union ninep_tmsg t = {0};
    struct ninep_frame *f = fits(c, r) ? frame_of(r, book_head(c->book, r)->len) : NULL;
    bool read = f && (r->ghost || get_request(f, r->type, &t));
    struct call *k = read ? client__call_new(c, r->type, f) : NULL;
    if (!k) {
        if (f && !read) {
            ninep_frame_free(f);
        }
        return false;
    }
    k->kept = r;
    k->chain = r->chain;
    k->last = r->last;
    k->trace = r->trace;
    k->origin = r->origin;
    k->internal = r->internal;
    k->ghost = r->ghost;
    k->adopted = true;
    k->id = ++c->call_last;
    k->newfid = r->ghost ? NINEP_NOFID : client__new_fid(r->type, &t);
    c->ghosts += k->ghost;
    c->adopted++;
    if (k->ghost) {
        (void)client__ghost_frame(k); /* in its own frame: it cannot fail */
    }
    set_place(c, k);
    if (r->internal && r->type == NINEP_TCLUNK && !r->ghost) {
        mark_clunks(c, &t);
    } else if (!r->internal && !r->ghost) {
        struct ninep_kept kept = {r->type, r->chain, k->newfid, r->origin, &t};
        adopt(ctx, &kept, &k->done, &k->aux);
        bool waits = r->type == NINEP_TLOCK && t.lock.flags & NINEP_LOCKFLAG_WAIT;
        client__set_deadline(c, k, waits ? UINT32_MAX : 0);
    }
    return true;
}

static void adopt_watch(struct ninep_client *c)
{
    CG_LIST_EACH (it, &c->sent) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        if (k->internal && k->type == NINEP_TWATCH) {
            client__watch_adopted(c, k);
        }
    }
}

/* What cannot be taken up is lost, as if the server had lost it: its owner learns of each. */
static void lose(struct ninep_client *c, struct kept_call **calls, uint32_t count,
                 ninep_adopt *adopt, void *ctx)
{
    for (uint32_t i = 0; i < count; i++) {
        struct kept_call *r = calls[i];
        if (adopt && book_head(c->book, r)->len >= sizeof *r && !r->internal) {
            ninep_done *done = NULL;
            void *aux = NULL;
            struct ninep_kept kept = {r->type, r->chain, NINEP_NOFID, r->origin, NULL};
            adopt(ctx, &kept, &done, &aux);
        }
        book_drop(c->book, r);
    }
}

bool ninep_session_kept(struct book *b, uint64_t number)
{
    uint64_t cursor = 0;
    void *record;
    while ((record = book_next(b, &cursor))) {
        const struct book_head *h = book_head(b, record);
        if (h->kind == KIND_SESSION && h->a == number) {
            return true;
        }
    }
    return false;
}

void ninep_client_keep(struct ninep_client *c, struct book *b, uint64_t number)
{
    struct kept_session *s;
    uint32_t count;
    c->book = b;
    c->book_number = number;
    struct kept_call **calls = find_calls(c, &count, &s);
    lose(c, calls, count, NULL, NULL);
    if (s) {
        book_drop(b, s);
    }
    book_commit(b);
    cg_free(calls);
}

bool ninep_client_adopt(struct ninep_client *c, struct book *b, uint64_t number, ninep_adopt *adopt,
                        void *ctx)
{
    struct kept_session *s;
    uint32_t count, taken = 0;
    c->book = b;
    c->book_number = number;
    struct kept_call **calls = find_calls(c, &count, &s);
    if (!s || !adopt_session(c, s)) {
        c->kept = NULL;
        lose(c, calls, count, adopt, ctx);
        if (s) {
            book_drop(b, s);
        }
        book_commit(b);
        cg_free(calls);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t order = book_head(b, calls[i])->b;
        c->call_order = order > c->call_order ? order : c->call_order;
        taken += adopt_call(c, calls[i], adopt, ctx);
    }
    if (taken < count) {
        cg_log(CG_ERROR_LEVEL, "%u of %u kept requests to %s cannot be read", count - taken, count,
               c->name);
    }
    client__slots_limit(c, c->slots_in_force);
    adopt_watch(c);
    c->clunk_rest = true;
    cg_free(calls);
    return true;
}

bool ninep_client_claim(struct ninep_client *c, uint32_t fid)
{
    if (!c->has_session || fid < c->fid_base || fid >= c->fid_next) {
        return false;
    }
    c->fid_state[fid - c->fid_base] = FID_USED;
    return true;
}

/* Those that a request under way makes are known only when it is answered. */
void client__adopted_done(struct ninep_client *c, struct call *k)
{
    c->adopted -= k->adopted;
    k->adopted = false;
    client__clunk_rest(c);
}

void client__clunk_rest(struct ninep_client *c)
{
    bool watching = c->watch && c->watch->adopted; /* it is answered when something happens */
    if (!c->clunk_rest || c->adopted > watching) {
        return;
    }
    c->clunk_rest = false;
    for (uint32_t fid = c->fid_base; fid < c->fid_next; fid++) {
        if (c->fid_state[fid - c->fid_base] == FID_UNCLAIMED) {
            c->fid_state[fid - c->fid_base] = FID_CLUNKING;
            client__clunk(c, fid);
        }
    }
}
