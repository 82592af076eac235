/* server_hand: see server_hand.h. */
#include "server_hand.h"
#include <string.h>

#define MS UINT64_C(1000000)

/* ---- the world ---- */

static bool later(void *ctx, struct ninep_req *r)
{
    struct world *w = ctx;
    if (!w->defer) {
        return false;
    }
    cg_assert(w->waitings < HAND_REPLIES_MAX);
    w->waiting[w->waitings++] = r;
    return true;
}

bool hand_walks_wait;
static struct world *the_world; /* of ops.cancel, which is given a request only */

static void cancel(struct ninep_req *r)
{
    struct world *w = the_world;
    w->cancels++;
    for (uint32_t i = 0; i < w->waitings; i++) {
        if (w->waiting[i] == r) {
            w->waiting[i] = NULL;
            ninep_respond(r, CG_ECANCELED);
            return;
        }
    }
}

static cg_err attach(void *ctx, const struct ninep_peer *peer, struct cg_span user,
                     struct cg_span tree, struct cg_span credential, struct ninep_grant *grant,
                     struct cg_errbuf *eb)
{
    struct world *w = ctx;
    (void)peer, (void)user, (void)tree, (void)credential;
    *grant = w->grant;
    return w->refuse ? cg_fail(eb, w->refuse, "the test refuses") : CG_OK;
}

void world_init(struct world *w)
{
    *w = (struct world){.grant = {.principal = 1, .rights = 7}};
    the_world = w;
    w->sim = sim_new(1);
    w->fs = memfs_new(sim_env(w->sim));
    memfs_defer(w->fs, later, w);
    w->ops = memfs_ops;
    w->ops.cancel = cancel;
    w->ops.walk = hand_walks_wait ? memfs_walk : NULL;
    w->auth = (struct ninep_auth){.attach = attach, .proof = ninep_auth_local.proof, .ctx = w};
    w->config = (struct ninep_server_config){.name = "test",
                                             .ops = &w->ops,
                                             .aux = w->fs,
                                             .env = sim_env(w->sim),
                                             .auth = &w->auth,
                                             .msize_max = HAND_MSIZE,
                                             .slots_max = HAND_SLOTS,
                                             .lease_ms = 1000,
                                             .linger_ms = 60000};
}

void world_start(struct world *w)
{
    cg_err e = ninep_server_new(&w->config, &w->server);
    cg_assert(e == CG_OK);
}

void world_fini(struct world *w)
{
    ninep_server_free(w->server);
    for (uint32_t i = 0; i < w->waitings; i++) {
        cg_assert(!w->waiting[i]);
    }
    memfs_free(w->fs);
    sim_free(w->sim);
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t until = sim_now(w->sim) + ms * MS;
    for (uint64_t due; (due = ninep_server_tick(w->server)) != 0 && due <= until;) {
        sim_run_until(w->sim, due);
    }
    sim_run_until(w->sim, until);
    ninep_server_tick(w->server);
}

void world_run(struct world *w, uint32_t index)
{
    struct ninep_req *r = w->waiting[index];
    cg_assert(index < w->waitings && r);
    w->waiting[index] = NULL;
    memfs_run(r);
}

/* ---- frames ---- */

static void decode(struct reply *rep, struct ninep_frame *f)
{
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    *rep = (struct reply){.frame = f};
    ninep_get_rhead(&b, &rep->h);
    cg_assert(rep->h.size == f->len);
    cg_get_span(&b, rep->h.tail);
    bool ok = ninep_get_rmsg(rep->h.type, &b, &rep->r);
    cg_assert(ok);
}

static void on_send(void *ctx, struct ninep_frame *f)
{
    struct hand *h = ctx;
    cg_assert(h->replies < HAND_REPLIES_MAX);
    h->sent++;
    if (f->data[4] == NINEP_RVERSION || h->sent > h->mute_after) {
        ninep_frame_free(f);
        return;
    }
    decode(&h->reply[h->replies++], f);
}

static void on_close(void *ctx)
{
    struct hand *h = ctx;
    h->closed = true;
    hand_cut(h);
}

void hand_init(struct hand *h, struct world *w)
{
    memset(h, 0, sizeof *h);
    h->w = w;
    h->peer = (struct ninep_peer){.local = true, .uid = 1000};
    h->mute_after = UINT32_MAX;
}

static void forget_replies(struct hand *h)
{
    for (uint32_t i = 0; i < h->replies; i++) {
        ninep_frame_free(h->reply[i].frame);
    }
    h->replies = 0;
}

void hand_fini(struct hand *h)
{
    hand_cut(h);
    forget_replies(h);
    for (uint32_t i = 0; i < HAND_SLOTS; i++) {
        ninep_frame_free(h->last[i]);
    }
}

void hand_cut(struct hand *h)
{
    struct ninep_conn *c = h->conn;
    h->conn = NULL;
    if (c) {
        ninep_conn_closed(c);
    }
}

void hand_bytes(struct hand *h, const void *data, uint32_t len)
{
    struct ninep_frame *f = h->conn ? ninep_frame_new(len) : NULL;
    if (!f) {
        h->failed = true;
        return;
    }
    memcpy(f->data, data, len);
    f->len = len;
    ninep_conn_frame(h->conn, f);
}

bool hand_link(struct hand *h)
{
    static const struct ninep_conn_ops ops = {.send = on_send, .close = on_close};
    uint8_t bytes[64];
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    struct ninep_tversion v = {.msize = HAND_MSIZE, .version = cg_span_of(NINEP_VERSION_NG)};
    uint32_t size = NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_tversion(&v);
    struct ninep_phead p = {.size = size, .type = NINEP_TVERSION, .tag = NINEP_VERSION_TAG};
    h->closed = false;
    h->sent = 0;
    if (ninep_conn_new(h->w->server, &h->peer, &ops, h, &h->conn) != CG_OK) {
        h->conn = NULL;
        return false;
    }
    ninep_put_phead(&b, &p);
    ninep_put_tversion(&b, &v);
    hand_bytes(h, bytes, size);
    return h->conn != NULL;
}

static struct ninep_frame *encode(const struct ninep_thead *head, const union ninep_tmsg *t)
{
    uint32_t size = NINEP_T_HEADER_BYTES + ninep_tmsg_size(head->type, t);
    struct ninep_frame *f = ninep_frame_new(size);
    if (f) {
        struct ninep_thead hd = *head;
        struct cg_buf b = cg_buf_writer(f->data, f->cap);
        hd.size = size;
        ninep_put_thead(&b, &hd);
        bool ok = ninep_put_tmsg(head->type, &b, t);
        cg_assert(ok && b.pos == size);
        f->len = size;
    }
    return f;
}

void hand_send_with(struct hand *h, const struct ninep_thead *head, const union ninep_tmsg *t)
{
    struct ninep_frame *f = encode(head, t);
    if (!f) {
        h->failed = true;
        return;
    }
    if (h->conn) {
        hand_bytes(h, f->data, f->len);
    }
    if (head->tag < HAND_SLOTS) {
        ninep_frame_free(h->last[head->tag]);
        h->last[head->tag] = f;
    } else {
        ninep_frame_free(f);
    }
}

void hand_send(struct hand *h, uint16_t tag, uint32_t chain, bool last, uint8_t type,
               const union ninep_tmsg *t)
{
    struct ninep_thead head = {.type = type,
                               .tag = tag,
                               .seq = ++h->seq[tag],
                               .chain = chain,
                               .flags = last ? NINEP_REQUEST_LAST : 0};
    hand_send_with(h, &head, t);
}

void hand_replay(struct hand *h, uint16_t tag)
{
    if (h->last[tag]) {
        hand_bytes(h, h->last[tag]->data, h->last[tag]->len);
    }
}

struct reply *hand_take(struct hand *h, uint16_t tag)
{
    for (uint32_t i = 0; i < h->replies; i++) {
        struct reply *rep = &h->reply[i];
        if (!rep->taken && rep->h.tag == tag) {
            rep->taken = true;
            return rep;
        }
    }
    return NULL;
}

uint32_t hand_pending(const struct hand *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->replies; i++) {
        n += !h->reply[i].taken;
    }
    return n;
}

/* ---- sessions ---- */

static bool session(struct hand *h)
{
    struct ninep_thead head = {.type = NINEP_TSESSION, .tag = NINEP_VERSION_TAG};
    union ninep_tmsg t = {
        .session = {
            .epoch = h->session.epoch, .features = 0xff, .msize = HAND_MSIZE, .slots = HAND_SLOTS}};
    uint8_t proof[32];
    memcpy(t.session.id, h->session.id, 16);
    if (h->session.epoch) {
        ninep_auth_local.proof(NULL, h->peer.binding, h->session.id, h->peer.binding, proof);
        t.session.proof = (struct cg_span){.data = proof, .len = sizeof proof};
    }
    hand_send_with(h, &head, &t);
    struct reply *rep = hand_take(h, NINEP_VERSION_TAG);
    if (!rep || rep->h.type != NINEP_RSESSION) {
        return false;
    }
    h->session = rep->r.session;
    return true;
}

bool hand_start(struct hand *h)
{
    if (!hand_link(h) || !session(h)) {
        return false;
    }
    union ninep_tmsg t = {.attach = {.fid = 0, .user = cg_span_of("glenda")}};
    return hand_call(h, NINEP_TATTACH, &t, NULL) == CG_OK;
}

bool hand_resume(struct hand *h)
{
    return hand_link(h) && session(h) && h->session.resumed;
}

/* ---- calls ---- */

cg_err hand_call(struct hand *h, uint8_t type, const union ninep_tmsg *t, union ninep_rmsg *r)
{
    hand_send(h, 0, 0, false, type, t);
    struct reply *rep = hand_take(h, 0);
    if (!rep) {
        return CG_ELINKDOWN;
    }
    if (r) {
        *r = rep->r;
    }
    return rep->h.type == NINEP_RERROR ? rep->r.error.code : CG_OK;
}

union ninep_tmsg hand_walk_msg(uint32_t fid, uint32_t newfid, const char *path)
{
    union ninep_tmsg t = {.walk = {.fid = fid, .newfid = newfid}};
    while (*path) {
        size_t len = strcspn(path, "/");
        t.walk.names.name[t.walk.names.count++] =
            (struct cg_span){.data = (const uint8_t *)path, .len = (uint32_t)len};
        path += len + (path[len] == '/');
    }
    return t;
}

union ninep_tmsg hand_clunk_msg(const uint32_t *fid)
{
    return (union ninep_tmsg){
        .clunk = {.fids = {.count = 1, .body = {.data = (const uint8_t *)fid, .len = 4}}}};
}

cg_err hand_walk(struct hand *h, uint32_t fid, uint32_t newfid, const char *path,
                 union ninep_rmsg *r)
{
    union ninep_tmsg t = hand_walk_msg(fid, newfid, path);
    return hand_call(h, NINEP_TWALK, &t, r);
}

cg_err hand_open(struct hand *h, uint32_t fid, uint32_t flags)
{
    union ninep_tmsg t = {.open = {.fid = fid, .flags = flags}};
    return hand_call(h, NINEP_TOPEN, &t, NULL);
}

cg_err hand_create(struct hand *h, uint32_t dir, uint32_t newfid, const char *name, uint32_t mode,
                   uint32_t flags)
{
    union ninep_tmsg t = {
        .create = {
            .fid = dir, .newfid = newfid, .flags = flags, .mode = mode, .name = cg_span_of(name)}};
    return hand_call(h, NINEP_TCREATE, &t, NULL);
}

cg_err hand_write(struct hand *h, uint32_t fid, uint64_t offset, const char *text)
{
    union ninep_tmsg t = {.write = {.fid = fid, .offset = offset, .data = cg_span_of(text)}};
    return hand_call(h, NINEP_TWRITE, &t, NULL);
}

cg_err hand_read(struct hand *h, uint32_t fid, char *out, size_t cap)
{
    union ninep_tmsg t = {.read = {.fid = fid, .count = (uint32_t)cap - 1}};
    union ninep_rmsg r;
    cg_err e = hand_call(h, NINEP_TREAD, &t, &r);
    if (e == CG_OK) {
        cg_span_str(r.read.data, out, cap);
    }
    return e;
}

cg_err hand_remove(struct hand *h, uint32_t dir, const char *name)
{
    union ninep_tmsg t = {.remove = {.fid = dir, .name = cg_span_of(name)}};
    return hand_call(h, NINEP_TREMOVE, &t, NULL);
}

cg_err hand_clunk(struct hand *h, uint32_t fid)
{
    union ninep_tmsg t = hand_clunk_msg(&fid);
    return hand_call(h, NINEP_TCLUNK, &t, NULL);
}
