/* reply: what a reply needs: its frame, room for a payload in its place, inline contents, rights.
 *
 * Each request has a small frame (out) from the start, so that an answer never fails for want of
 * memory. A payload gets a frame of its own (big) in which the file server puts the bytes where the
 * encoder will find them in place. When a once request has both, out is the same reply without the
 * contents, for the ledger.
 */
#include "server__.h"
#include <string.h>
#include <sys/stat.h>

enum {
    SHRINK_SMALL = 192,   /* slack that is not worth a realloc in a recorded reply */
    SHRINK_LARGE = 16384, /* nor in a payload that is about to be sent */
    ENTRY_BYTES_MAX = 8 + 2 + NINEP_NAME_BYTES_MAX + NINEP_ATTR_BYTES + 1 + 4 + 1,
};

uint32_t ninep__reply_room(uint8_t type, const union ninep_tmsg *t)
{
    uint32_t walk = ninep__reply_data_at(NINEP_TWALK, t);
    uint32_t watch = NINEP_R_HEADER_BYTES + 2 + NINEP__EVENTS_REPLY_MAX * NINEP_EVENT_BYTES;
    if (type == NINEP_TWALK && walk > NINEP__REPLY_BYTES) {
        return walk;
    }
    return type == NINEP_TWATCH ? watch : (uint32_t)NINEP__REPLY_BYTES;
}

uint32_t ninep__reply_data_at(uint8_t type, const union ninep_tmsg *t)
{
    switch (type) {
    case NINEP_TREAD:
    case NINEP_TXATTRGET:
        return NINEP_R_HEADER_BYTES + 4 + 4;
    case NINEP_TREADLINK:
        return NINEP_R_HEADER_BYTES + 2;
    case NINEP_TREADDIR:
        return NINEP_R_HEADER_BYTES + 1 + 1 + NINEP_ATTR_BYTES + 2;
    case NINEP_TOPEN:
        return NINEP_R_HEADER_BYTES + NINEP_ATTR_BYTES + 4 + 1 + 1 + 4;
    case NINEP_TWALK:
        return NINEP_R_HEADER_BYTES + 2 +
               (t->walk.names.count ? t->walk.names.count : 1U) * NINEP_ATTR_BYTES + 1 + 1 + 4;
    default:
        return NINEP_R_HEADER_BYTES;
    }
}

cg_err ninep__reply_data(struct ninep__req *req, uint32_t cap)
{
    if (!req->data_at) {
        req->data_at = ninep__reply_data_at(req->pub.type, &req->pub.t);
    }
    req->big = ninep_frame_new(req->data_at + cap);
    if (!req->big) {
        return CG_ENOMEM;
    }
    req->pub.data = req->big->data + req->data_at;
    req->pub.data_cap = cap;
    return CG_OK;
}

/* ---- inline contents ---- */

static uint32_t inline_cap(const struct ninep__req *req, const struct ninep_attr *attr,
                           uint32_t max)
{
    uint32_t at = ninep__reply_data_at(req->pub.type, &req->pub.t);
    uint32_t room = req->session->msize > at ? req->session->msize - at : 0;
    max = max < room ? max : room;
    max = max < NINEP_INLINE_BYTES_MAX ? max : NINEP_INLINE_BYTES_MAX;
    if (attr->id.type & NINEP_QTYPE_SYNTHETIC) {
        return max;
    }
    return attr->size <= max ? (uint32_t)attr->size : 0;
}

void ninep__reply_inline(struct ninep__req *req, struct ninep__fid *fid,
                         const struct ninep_attr *attr, uint32_t want, uint32_t max)
{
    struct ninep_session *ss = req->session;
    const struct ninep_ops *ops = ss->server->cfg.ops;
    if (!(want & NINEP_WANT_INLINE) || !(ss->features & NINEP_FEATURE_COMPOUND) || !ops->slurp ||
        !S_ISREG(attr->mode) || (attr->id.type & NINEP_QTYPE_STREAM) ||
        !(fid->pub.rights & NINEP_RIGHTS_READ)) {
        return;
    }
    uint32_t cap = inline_cap(req, attr, max);
    bool empty = attr->size == 0 && !(attr->id.type & NINEP_QTYPE_SYNTHETIC);
    uint32_t len = 0;
    if (!empty && (cap == 0 || ninep__reply_data(req, cap) != CG_OK ||
                   ops->slurp(&fid->pub, req->pub.data, cap, &len) != CG_OK || len > cap)) {
        ninep_frame_free(req->big);
        req->big = NULL;
        return;
    }
    struct cg_span s = {.data = empty ? NULL : req->pub.data, .len = len};
    if (req->pub.type == NINEP_TWALK) {
        req->pub.r.walk.inline_ = s;
        req->pub.r.walk.whole = 1;
    } else {
        req->pub.r.open.inline_ = s;
        req->pub.r.open.whole = 1;
    }
}

/* ---- what the framework knows better ---- */

static void mask_attr(struct ninep__req *req, struct ninep_attr *a)
{
    struct ninep_fid *f =
        req->pub.newfid && req->pub.type == NINEP_TCOPY ? req->pub.newfid : req->pub.fid;
    a->rights &= f ? f->rights : 0;
}

static void mask(struct ninep__req *req)
{
    union ninep_rmsg *r = &req->pub.r;
    struct ninep_attr *a[3] = {NULL, NULL, NULL};
    switch (req->pub.type) {
    case NINEP_TATTACH:
        a[0] = &r->attach.attr;
        break;
    case NINEP_TOPEN:
        a[0] = &r->open.attr;
        break;
    case NINEP_TCREATE:
        a[0] = &r->create.attr, a[1] = &r->create.dir;
        break;
    case NINEP_TWRITE:
        a[0] = &r->write.attr;
        break;
    case NINEP_TREADDIR:
        a[0] = &r->readdir.dir;
        break;
    case NINEP_TREMOVE:
        a[0] = &r->remove.dir;
        break;
    case NINEP_TRENAME:
        a[0] = &r->rename.dir, a[1] = &r->rename.newdir, a[2] = &r->rename.attr;
        a[1]->rights &= req->pub.newfid->rights;
        break;
    case NINEP_TLINK:
        a[0] = &r->link.attr, a[1] = &r->link.dir;
        a[1]->rights &= req->pub.newfid->rights;
        break;
    case NINEP_TGETATTR:
        a[0] = &r->getattr.attr;
        break;
    case NINEP_TSETATTR:
        a[0] = &r->setattr.attr;
        break;
    case NINEP_TXATTRSET:
        a[0] = &r->xattrset.attr;
        break;
    case NINEP_TPUT:
        a[0] = &r->put.attr, a[1] = &r->put.dir;
        break;
    case NINEP_TALLOCATE:
        a[0] = &r->allocate.attr;
        break;
    case NINEP_TCOPY:
        a[0] = &r->copy.attr;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < CG_COUNT(a) && a[i]; i++) {
        mask_attr(req, a[i]);
    }
}

void ninep__reply_fill(struct ninep__req *req)
{
    union ninep_rmsg *r = &req->pub.r;
    mask(req);
    switch (req->pub.type) {
    case NINEP_TREAD:
        cg_assert(r->read.data.len <= req->pub.data_cap);
        r->read.data.data = req->pub.data;
        break;
    case NINEP_TXATTRGET:
        cg_assert(r->xattrget.value.len <= req->pub.data_cap);
        r->xattrget.value.data = req->pub.data;
        r->xattrget.size = r->xattrget.size ? r->xattrget.size : r->xattrget.value.len;
        break;
    case NINEP_TREADDIR:
        r->readdir.entries.body.data = req->pub.data;
        r->readdir.entries.body.len = req->dir_end;
        break;
    case NINEP_TFSYNC:
        r->fsync.epoch = r->fsync.epoch ? r->fsync.epoch : req->session->server->epoch;
        break;
    default:
        break;
    }
}

/* ---- frames ---- */

static void put_head(struct ninep_frame *f, uint32_t len, uint8_t type, uint16_t tag, uint8_t flags,
                     const struct ninep__req *timed)
{
    struct ninep_rhead h = {.size = len, .type = type, .tag = tag, .flags = flags};
    if (timed) {
        struct ninep_server *s = timed->session->server;
        uint64_t us = (ninep__now(s) - timed->begun_ns) / 1000;
        h.queue = (uint16_t)(s->inflight - 1 < UINT16_MAX ? s->inflight - 1 : UINT16_MAX);
        h.server_us = (uint32_t)(us < UINT32_MAX ? us : UINT32_MAX);
    }
    struct cg_buf b = cg_buf_writer(f->data, f->cap);
    ninep_put_rhead(&b, &h);
    cg_assert(!b.bad);
    f->len = len;
}

static bool put_body(struct ninep_frame *f, uint8_t type, const union ninep_rmsg *r, uint32_t *len)
{
    struct cg_buf b = cg_buf_writer(f->data, f->cap);
    b.pos = NINEP_R_HEADER_BYTES;
    bool ok = ninep_put_rmsg(type, &b, r);
    *len = (uint32_t)b.pos;
    return ok;
}

static struct ninep_frame *shrink(struct ninep_frame *f, uint32_t slack_max)
{
    if (f->cap - f->len <= slack_max) {
        return f;
    }
    struct ninep_frame *small = cg_realloc(f, sizeof *f + f->len);
    if (!small) {
        return f;
    }
    small->cap = small->len;
    cg_list_init(&small->link);
    return small;
}

static struct ninep_frame *encode_error(struct ninep__req *req, cg_err e)
{
    struct ninep_frame *f = req->out;
    union ninep_rmsg r = {
        .error = {.code = e, .index = req->index, .detail = cg_span_of(req->pub.eb.text)}};
    uint32_t len;
    bool ok = put_body(f, NINEP_RERROR, &r, &len);
    cg_assert(ok); /* out has room for any detail */
    put_head(f, len, NINEP_RERROR, req->slot->tag, NINEP_REPLY_ERROR, req->timing ? req : NULL);
    return f;
}

/* The same reply without its inline contents, for the ledger. */
static bool encode_record(struct ninep__req *req)
{
    union ninep_rmsg r = req->pub.r;
    if (req->pub.type == NINEP_TWALK) {
        r.walk.whole = 0;
        r.walk.inline_.len = 0;
    } else if (req->pub.type == NINEP_TOPEN) {
        r.open.whole = 0;
        r.open.inline_.len = 0;
    }
    uint32_t len;
    bool ok = put_body(req->out, req->pub.type + 1, &r, &len);
    cg_assert(!ok || len <= NINEP__LEDGER_BYTES_MAX);
    if (ok) {
        put_head(req->out, len, req->pub.type + 1, req->slot->tag, 0, NULL);
    }
    return ok;
}

struct ninep_frame *ninep__reply_encode(struct ninep__req *req, cg_err *e)
{
    struct ninep_frame **f = req->big ? &req->big : &req->out;
    uint32_t len = 0;
    if (*e == CG_OK) {
        ninep__reply_fill(req);
        bool both = req->big && ninep_type_class(req->pub.type) == NINEP_CLASS_ONCE;
        if (!put_body(*f, req->pub.type + 1, &req->pub.r, &len) || len > req->session->msize ||
            (both && !encode_record(req))) {
            *e = cg_fail(&req->pub.eb, CG_EOVERFLOW, "the reply does not fit its frame");
        }
    }
    if (*e != CG_OK) {
        f = &req->out;
        encode_error(req, *e);
    } else {
        put_head(*f, len, req->pub.type + 1, req->slot->tag, 0, req->timing ? req : NULL);
    }
    *f = shrink(*f, f == &req->big ? SHRINK_LARGE : SHRINK_SMALL);
    return *f;
}

struct ninep_frame *ninep__reply_frame(uint8_t type, uint16_t tag, const union ninep_rmsg *r)
{
    struct ninep_frame *f = ninep_frame_new(NINEP_R_HEADER_BYTES + ninep_rmsg_size(type, r));
    uint32_t len;
    if (f) {
        bool ok = put_body(f, type, r, &len);
        cg_assert(ok);
        put_head(f, len, type, tag, type == NINEP_RERROR ? NINEP_REPLY_ERROR : 0, NULL);
    }
    return f;
}

/* ---- directories ---- */

uint32_t ninep_dir_inline_room(const struct ninep_req *r)
{
    const struct ninep__req *req = r->impl;
    const struct ninep_treaddir *t = &r->t.readdir;
    uint32_t left = r->data_cap - req->dir_end;
    if (!(t->want & NINEP_WANT_INLINE) || !(req->session->features & NINEP_FEATURE_COMPOUND) ||
        !(r->fid->rights & NINEP_RIGHTS_READ) || left <= ENTRY_BYTES_MAX) {
        return 0;
    }
    left -= ENTRY_BYTES_MAX;
    left = left < t->inline_max ? left : t->inline_max;
    return left < NINEP_INLINE_BYTES_MAX ? left : NINEP_INLINE_BYTES_MAX;
}

bool ninep_dir_add(struct ninep_req *r, uint64_t cookie, struct cg_span name,
                   const struct ninep_attr *attr, const void *inline_data, uint32_t inline_len)
{
    struct ninep__req *req = r->impl;
    struct ninep_list *l = &r->r.readdir.entries;
    cg_assert(r->type == NINEP_TREADDIR && req->state == NINEP__RUNNING);
    struct ninep_entry en = {.cookie = cookie, .name = name, .attr = *attr};
    en.attr.rights &= r->fid->rights;
    if (inline_data) {
        en.inline_ = (struct cg_span){.data = inline_data, .len = inline_len};
        en.whole = 1;
    }
    struct cg_buf b = cg_buf_writer(r->data, r->data_cap);
    b.pos = req->dir_end;
    if (l->count == UINT16_MAX || ninep_size_entry(&en) > cg_buf_left(&b)) {
        return false;
    }
    if (ninep__leasable(req, r->t.readdir.want, &attr->id) && ninep__quiet(req, true)) {
        en.lease = ninep__grant_now(req, r->fid->impl, &attr->id);
    }
    ninep_put_entry(&b, &en);
    cg_assert(!b.bad);
    l->count++;
    req->dir_end = (uint32_t)b.pos;
    return true;
}
