/* foreign: connections that speak 9P2000.L or 9P2000: versions, tags, flush, replies. See
 * foreign.h. */
#include "foreign.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { ERROR_BYTES_MAX = CG_DETAIL_BYTES + 64 }; /* a text and a detail */

static void foreign_free(struct ninep__foreign *f)
{
    if (f->conn || f->fop_count) {
        return;
    }
    uint32_t cursor = 0;
    for (struct ninep__ffid *ff; (ff = cg_map_next(&f->fids, &cursor));) {
        ninep__ffid_put(ff);
    }
    cg_map_fini(&f->fids);
    cg_free(f);
}

/* ---- the life of a request ---- */

static void op_free(struct ninep__fop *op)
{
    struct ninep__foreign *f = op->f;
    cg_list_del(&op->link);
    f->fop_count--;
    ninep__ffid_put(op->fid);
    ninep__ffid_put(op->newfid);
    f->server->held_bytes -= op->frame->len;
    ninep_frame_free(op->frame);
    cg_free(op->path);
    cg_free(op->from);
    cg_free(op->to);
    cg_free(op);
}

static void send_flush(struct ninep_conn *c, uint16_t tag);

static struct ninep__fop *flush_of(const struct ninep__fop *op)
{
    CG_LIST_EACH (it, &op->f->fops) {
        struct ninep__fop *other = CG_CONTAINER(it, struct ninep__fop, link);
        if (other->flushes == op) {
            return other;
        }
    }
    return NULL;
}

/* The Tflushes that wait for op are answered, in order, and forgotten with it. */
static void forget(struct ninep__fop *op)
{
    struct ninep__foreign *f = op->f;
    for (struct ninep__fop *other; (other = flush_of(op));) {
        uint16_t tag = other->tag;
        op_free(other);
        if (f->conn) {
            send_flush(f->conn, tag); /* may end the connection, and other requests with it */
        }
    }
    op_free(op);
    foreign_free(f);
}

static void on_told(void *aux, struct ninep__req *req, cg_err e, const union ninep_rmsg *r,
                    const char *detail)
{
    struct ninep__fop *op = aux;
    op->req = req;
    if (!op->f->conn || op->f->session->ended) {
        forget(op);
        return;
    }
    op->step(op, e, r, detail);
}

void ninep__fcall(struct ninep__fop *op, uint8_t type, const union ninep_tmsg *t, uint32_t data_at,
                  ninep__fstep *step)
{
    op->step = step;
    op->req = NULL;
    if (!op->f->conn) { /* lost on the way, for want of memory */
        forget(op);
    } else if (!ninep__request(op->f->session, type, t, data_at, on_told, op, &op->req)) {
        static const union ninep_rmsg nothing;
        step(op, CG_ENOMEM, &nothing, "");
    }
}

/* ---- replies ---- */

static void put_head(struct ninep_frame *f, uint8_t type, uint16_t tag)
{
    struct ninep_phead h = {.size = f->len, .type = type, .tag = tag};
    struct cg_buf b = cg_buf_writer(f->data, NINEP_P_HEADER_BYTES);
    ninep_put_phead(&b, &h);
    cg_assert(!b.bad);
}

static void send_flush(struct ninep_conn *c, uint16_t tag)
{
    struct ninep_frame *f = ninep_frame_new(NINEP_P_HEADER_BYTES);
    if (!f) {
        ninep__conn_close(c, "no memory for a reply");
        return;
    }
    f->len = NINEP_P_HEADER_BYTES;
    put_head(f, NINEP_P_RFLUSH, tag);
    ninep__conn_send(c, f);
}

/* Sends f (NULL: nothing) as op's answer. */
static void finish(struct ninep__fop *op, struct ninep_frame *f, uint8_t type)
{
    if (f && op->f->conn) {
        put_head(f, type, op->tag);
        ninep__conn_send(op->f->conn, f);
    } else {
        ninep_frame_free(f);
    }
    ninep__ffid_drop(op->f, op->tmp);
    forget(op);
}

struct ninep_frame *ninep__freply(struct ninep__fop *op, uint32_t body, struct cg_buf *b)
{
    struct ninep_frame *f = ninep_frame_new(NINEP_P_HEADER_BYTES + body);
    if (!f) {
        if (op->f->conn) {
            ninep__conn_close(op->f->conn, "no memory for a reply");
        }
        finish(op, NULL, 0);
        return NULL;
    }
    *b = cg_buf_writer(f->data + NINEP_P_HEADER_BYTES, body);
    return f;
}

static void send_as(struct ninep__fop *op, struct ninep_frame *f, const struct cg_buf *b,
                    uint8_t type)
{
    cg_assert(!b->bad);
    f->len = NINEP_P_HEADER_BYTES + (uint32_t)b->pos;
    finish(op, f, type);
}

void ninep__fsend(struct ninep__fop *op, struct ninep_frame *f, const struct cg_buf *b)
{
    send_as(op, f, b, op->type + 1);
}

void ninep__fempty(struct ninep__fop *op)
{
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, 0, &b);
    if (f) {
        ninep__fsend(op, f, &b);
    }
}

/* 9P2000 clients know errors by their texts, which therefore stand first. */
static struct cg_span error_text(cg_err e, const char *detail, char *out, size_t cap)
{
    bool more = detail && detail[0];
    snprintf(out, cap, "%s%s%s", cg_err_text(e), more ? ": " : "", more ? detail : "");
    return cg_span_of(out);
}

/* A request that was flushed and had no effect is not answered: its Tflush is. */
void ninep__ferror(struct ninep__fop *op, cg_err e, const char *detail)
{
    struct cg_buf b;
    char text[ERROR_BYTES_MAX];
    if (op->flushed && e == CG_ECANCELED) {
        finish(op, NULL, 0);
        return;
    }
    struct ninep_frame *f = ninep__freply(op, 2 + sizeof text, &b);
    if (!f) {
        return;
    }
    if (op->f->dotl) {
        struct ninep_l_rlerror r = {.ecode = (uint32_t)cg_err_errno(e)};
        ninep_put_l_rlerror(&b, &r);
        send_as(op, f, &b, NINEP_L_RLERROR);
    } else {
        struct ninep_p_rerror r = {.ename = error_text(e, detail, text, sizeof text)};
        ninep_put_p_rerror(&b, &r);
        send_as(op, f, &b, NINEP_P_RERROR);
    }
}

void ninep__fverdict(struct ninep__fop *op)
{
    if (op->verdict) {
        ninep__ferror(op, op->verdict, op->eb.text);
    } else {
        ninep__fempty(op);
    }
}

void ninep__fdone(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)r;
    if (e) {
        ninep__ferror(op, e, detail);
    } else {
        ninep__fempty(op);
    }
}

/* Unique while file numbers stay below 2^32, or there are no generations and no second volume; and
 * then the file number itself, which v9fs shows as the inode number. */
static uint64_t path_of(struct ninep__foreign *f, const struct ninep_xqid *id)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio: spreads */
    uint64_t volume = (id->volume - f->volume) * odd;
    return id->file ^ (uint64_t)id->generation << 32 ^ (volume & ~(uint64_t)UINT32_MAX);
}

struct ninep_qid ninep__fqid(struct ninep__foreign *f, const struct ninep_attr *a)
{
    enum { QT_DIR = 0x80, QT_APPEND = 0x40, QT_EXCL = 0x20, QT_SYMLINK = 0x02 };
    uint8_t kind = S_ISDIR(a->mode) ? QT_DIR : S_ISLNK(a->mode) ? QT_SYMLINK : 0;
    kind |= a->id.type & NINEP_QTYPE_APPEND ? QT_APPEND : 0;
    kind |= a->id.type & NINEP_QTYPE_EXCLUSIVE ? QT_EXCL : 0;
    uint64_t change = a->id.change;
    return (struct ninep_qid){
        .kind = kind, .version = (uint32_t)(change ^ change >> 32), .path = path_of(f, &a->id)};
}

struct ninep_attr ninep__fwalked(const union ninep_rmsg *r)
{
    struct ninep_attr a = {0};
    struct cg_buf it = ninep_list_iter(&r->walk.attrs);
    for (uint16_t i = 0; i < r->walk.attrs.count; i++) {
        ninep_get_attr(&it, &a);
    }
    return a;
}

/* ---- flush ---- */

static struct ninep__fop *by_tag(struct ninep__foreign *f, uint16_t tag)
{
    CG_LIST_EACH (it, &f->fops) {
        struct ninep__fop *op = CG_CONTAINER(it, struct ninep__fop, link);
        if (op->tag == tag) {
            return op;
        }
    }
    return NULL;
}

/* The old request is answered first, or not at all; then Rflush. To flush a Tflush is to wait for
 * what it waits for. */
static void flush(struct ninep__fop *op)
{
    struct ninep_p_tflush t;
    ninep_get_p_tflush(&op->body, &t);
    struct ninep__fop *old = op->body.bad || t.oldtag == op->tag ? NULL : by_tag(op->f, t.oldtag);
    old = old && old->flushes ? old->flushes : old;
    if (!old || !old->req) {
        ninep__fempty(op);
        return;
    }
    op->flushes = old;
    bool again = old->flushed;
    old->flushed = true;
    if (!again) {
        struct ninep_server *s = op->f->server;
        ninep__cancel_request(old->req, CG_ECANCELED); /* may forget op */
        ninep__pump(s);
    }
}

/* ---- connections ---- */

static cg_err start(struct ninep_conn *c, bool dotl, uint32_t msize)
{
    struct ninep__foreign *f = cg_zalloc(sizeof *f);
    cg_err e = f ? ninep__session_new(c, true, &c->session) : CG_ENOMEM;
    if (e) {
        cg_free(f);
        return e;
    }
    *f = (struct ninep__foreign){
        .conn = c, .server = c->server, .session = c->session, .dotl = dotl, .msize = msize};
    cg_map_init(&f->fids, sizeof(uint32_t));
    cg_list_init(&f->fops);
    c->msize = c->session->msize = msize;
    c->framer.frame_max = msize;
    c->foreign = f;
    return CG_OK;
}

bool ninep__foreign_version(struct ninep_conn *c, struct cg_span version, uint32_t msize)
{
    bool dotl = cg_span_is(version, "9P2000.L");
    struct cg_span base = {version.data, version.len < 6 ? version.len : 6};
    bool known = cg_span_is(base, "9P2000") && (version.len == 6 || version.data[6] == '.');
    if (!known || msize < FOREIGN_MSIZE_MIN) {
        return false;
    }
    msize = msize < FOREIGN_MSIZE ? msize : FOREIGN_MSIZE;
    struct ninep_rversion r = {.msize = msize, .version = cg_span_of(dotl ? "9P2000.L" : "9P2000")};
    uint32_t size = NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_rversion(&r);
    struct ninep_frame *f = ninep_frame_new(size);
    if (!f || start(c, dotl, msize)) {
        ninep_frame_free(f);
        return false;
    }
    f->len = size;
    struct cg_buf b = cg_buf_writer(f->data + NINEP_P_HEADER_BYTES, size - NINEP_P_HEADER_BYTES);
    ninep_put_rversion(&b, &r);
    put_head(f, NINEP_RVERSION, NINEP_VERSION_TAG);
    ninep__conn_send(c, f);
    return true;
}

static struct ninep__fop *new_op(struct ninep__foreign *f, struct ninep_frame *frame, uint8_t type,
                                 uint16_t tag)
{
    bool room = f->fop_count < FOREIGN_TAGS_MAX &&
                f->server->held_bytes + frame->len <= NINEP__HELD_BYTES_MAX;
    struct ninep__fop *op = room ? cg_zalloc(sizeof *op) : NULL;
    if (!op) {
        return NULL;
    }
    f->server->held_bytes += frame->len;
    *op = (struct ninep__fop){.f = f,
                              .tag = tag,
                              .type = type,
                              .frame = frame,
                              .tmp = NINEP_NOFID,
                              .number = NINEP_NOFID};
    op->body = cg_buf_reader(frame->data + NINEP_P_HEADER_BYTES, frame->len - NINEP_P_HEADER_BYTES);
    cg_list_push(&f->fops, &op->link);
    f->fop_count++;
    return op;
}

void ninep__foreign_frame(struct ninep_conn *c, struct ninep_frame *frame)
{
    struct ninep__foreign *f = c->foreign;
    struct cg_buf b = cg_buf_reader(frame->data, frame->len);
    struct ninep_phead h;
    ninep_get_phead(&b, &h);
    const char *fault = NULL;
    struct ninep__fop *op = NULL;
    if (b.bad || h.size != frame->len) {
        fault = "a message is shorter than its header";
    } else if (h.type == NINEP_TVERSION) {
        fault = "a second Tversion: connect again";
    } else if (by_tag(f, h.tag)) {
        fault = "a tag that is in use";
    } else if (!(op = new_op(f, frame, h.type, h.tag))) {
        fault = "too many requests at once, or no memory";
    }
    if (!op) {
        ninep_frame_free(frame);
    }
    if (fault) {
        ninep__conn_close(c, fault);
    } else if (h.type == NINEP_P_TFLUSH) {
        flush(op);
    } else {
        ninep__fboth(op);
    }
}

void ninep__foreign_closed(struct ninep_conn *c)
{
    struct ninep__foreign *f = c->foreign;
    c->foreign = NULL;
    if (f) {
        f->conn = NULL;
        foreign_free(f);
    }
}
