/* foreign_both: the messages that 9P2000 and 9P2000.L share: attach, walk, read, write, clunk,
 * remove. */
#include "foreign.h"

#include <string.h>
#include <sys/stat.h>

/* ---- attach: the attached fid is kept as the root of paths, the client gets a copy ---- */

static void attach_copied(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                          const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->newfid->fid = op->number;
    op->newfid->attr = ninep__fwalked(r);
    struct ninep_p_rattach reply = {.qid = ninep__fqid(op->f, &op->newfid->attr)};
    e = ninep__ffid_commit(op);
    if (e) {
        ninep__ferror(op, e, "");
        return;
    }
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, (uint32_t)ninep_size_p_rattach(&reply), &b);
    if (f) {
        ninep_put_p_rattach(&b, &reply);
        ninep__fsend(op, f, &b);
    }
}

static void attached(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->f->volume = op->f->roots ? op->f->volume : r->attach.attr.id.volume;
    if (!ninep__ffid_root(op->newfid, op->number)) {
        ninep__ffid_drop(op->f, op->number);
        ninep__ferror(op, CG_ENOMEM, "");
        return;
    }
    union ninep_tmsg t = {.walk = {.fid = op->number}};
    t.walk.newfid = op->number = ninep__ffid_number(op->f);
    ninep__fcall(op, NINEP_TWALK, &t, 0, attach_copied);
}

static void attach(struct ninep__fop *op)
{
    struct ninep_p_tattach p = {0};
    if (op->f->dotl) {
        struct ninep_l_tattach l;
        ninep_get_l_tattach(&op->body, &l);
        p = (struct ninep_p_tattach){l.fid, l.afid, l.uname, l.aname};
    } else {
        ninep_get_p_tattach(&op->body, &p);
    }
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (p.afid != NINEP_NOFID || cg_map_get(&op->f->fids, &p.fid)) {
        ninep__ferror(op, p.afid != NINEP_NOFID ? CG_EAUTH : CG_EFIDINUSE, "");
        return;
    }
    if (op->f->roots >= FOREIGN_ROOTS_MAX) {
        ninep__ferror(op, CG_ELIMIT, "too many attaches on this connection");
        return;
    }
    if (!ninep__ffid_new(op, p.fid, NULL)) {
        return;
    }
    while (p.aname.len && p.aname.data[0] == '/') { /* "/" is the default tree */
        p.aname.data++;
        p.aname.len--;
    }
    op->number = ninep__ffid_number(op->f);
    union ninep_tmsg t = {.attach = {.fid = op->number, .user = p.uname, .tree = p.aname}};
    ninep__fcall(op, NINEP_TATTACH, &t, 0, attached);
}

/* ---- walk ---- */

static void send_walk(struct ninep__fop *op)
{
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, 2 + op->at * NINEP_QID_REF_BYTES, &b);
    if (!f) {
        return;
    }
    cg_put_u16(&b, (uint16_t)op->at);
    for (uint32_t i = 0; i < op->at; i++) {
        ninep_put_qid(&b, &op->qid[i]);
    }
    ninep__fsend(op, f, &b);
}

static void take_qids(struct ninep__fop *op, const union ninep_rmsg *r)
{
    struct cg_buf it = ninep_list_iter(&r->walk.attrs);
    struct ninep_attr a = op->fid->attr;
    for (op->at = 0; op->at < op->names.count && op->at < r->walk.attrs.count; op->at++) {
        ninep_get_attr(&it, &a);
        op->qid[op->at] = ninep__fqid(op->f, &a);
    }
    if (op->newfid) {
        op->newfid->attr = op->names.count ? a : ninep__fwalked(r);
    }
}

static void walk_done(struct ninep__fop *op)
{
    op->newfid->fid = op->number;
    cg_err e = ninep__ffid_path(op->newfid, op->fid->path, &op->names);
    if (e) {
        ninep__ffid_drop(op->f, op->number);
    }
    e = e ? e : ninep__ffid_commit(op);
    if (e) {
        ninep__ferror(op, e, "");
    } else {
        send_walk(op);
    }
}

static void partly_walked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                          const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    ninep__ffid_put(op->newfid);
    op->newfid = NULL;
    take_qids(op, r);
    send_walk(op);
}

static void walked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    uint16_t failed = e && op->req ? op->req->index : 0;
    if (!e) {
        take_qids(op, r);
        walk_done(op);
    } else if (failed == 0 || failed >= op->names.count) {
        ninep__ferror(op, e, detail);
    } else { /* it came this far, which the client must be told */
        op->names.count = failed;
        union ninep_tmsg t = {
            .walk = {.fid = op->fid->fid, .newfid = NINEP_NOFID, .names = op->names}};
        ninep__fcall(op, NINEP_TWALK, &t, 0, partly_walked);
    }
}

/* A walk with "." or ".." goes element by element along the paths that result, from the root. */
static void climb(struct ninep__fop *op);

static bool dots(struct cg_span name)
{
    return cg_span_is(name, ".") || cg_span_is(name, "..");
}

static void climbed(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e && op->at == 0) {
        ninep__ferror(op, e, detail);
        return;
    }
    if (e) {
        ninep__ffid_put(op->newfid);
        op->newfid = NULL;
        send_walk(op);
        return;
    }
    op->newfid->attr = ninep__fwalked(r);
    op->qid[op->at++] = ninep__fqid(op->f, &op->newfid->attr);
    if (op->at < op->names.count) {
        climb(op);
        return;
    }
    op->number = op->tmp;
    op->tmp = NINEP_NOFID;
    walk_done(op);
}

static void climb(struct ninep__fop *op)
{
    static const union ninep_rmsg nothing;
    struct ninep_names first = op->names;
    struct cg_span next = first.name[op->at];
    first.count = (uint16_t)(op->at + 1);
    bool good = dots(next) || cg_name_ok(next);
    cg_err e = good ? ninep__ffid_path(op->newfid, op->fid->path, &first) : CG_EINVAL;
    if (e) {
        climbed(op, e, &nothing, "");
        return;
    }
    ninep__fwalk_path(op, op->fid->root->fid, op->newfid->path, climbed);
}

static void walk(struct ninep__fop *op)
{
    struct ninep_p_twalk p;
    ninep_get_p_twalk(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    if (p.newfid != p.fid && cg_map_get(&op->f->fids, &p.newfid)) {
        ninep__ferror(op, CG_EFIDINUSE, "");
        return;
    }
    if (!ninep__ffid_new(op, p.newfid, op->fid->root)) {
        return;
    }
    op->names = p.names;
    for (uint16_t i = 0; i < p.names.count; i++) {
        if (dots(p.names.name[i])) {
            climb(op);
            return;
        }
    }
    op->number = ninep__ffid_number(op->f);
    union ninep_tmsg t = {.walk = {.fid = op->fid->fid, .newfid = op->number, .names = p.names}};
    ninep__fcall(op, NINEP_TWALK, &t, 0, walked);
}

/* ---- read, write ---- */

enum { READ_HEAD = NINEP_P_HEADER_BYTES + 4 };

static void read_done(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    struct cg_span data = r->read.data;
    struct ninep_frame *f = ninep__req_take(op->req);
    struct cg_buf b;
    if (f) { /* the payload already stands in its place */
        b = cg_buf_writer(f->data + NINEP_P_HEADER_BYTES, 4 + data.len);
        cg_put_u32(&b, data.len);
        b.pos += data.len;
    } else {
        f = ninep__freply(op, 4 + data.len, &b);
        if (!f) {
            return;
        }
        cg_put_u32(&b, data.len);
        cg_put_bytes(&b, data.data, data.len);
    }
    ninep__fsend(op, f, &b);
}

static void read_xattr(struct ninep__fop *op)
{
    const struct cg_str *x = &op->fid->xattr;
    uint64_t left = op->offset < x->len ? x->len - op->offset : 0;
    uint32_t n = left < op->count ? (uint32_t)left : op->count;
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, 4 + n, &b);
    if (f) {
        cg_put_u32(&b, n);
        cg_put_bytes(&b, n ? x->data + op->offset : NULL, n);
        ninep__fsend(op, f, &b);
    }
}

static void read_file(struct ninep__fop *op)
{
    struct ninep_p_tread p;
    ninep_get_p_tread(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    uint32_t most = op->f->msize - READ_HEAD;
    op->offset = p.offset;
    op->count = p.count < most ? p.count : most;
    if (op->fid->is_xattr) {
        read_xattr(op);
    } else if (S_ISDIR(op->fid->attr.mode)) {
        if (op->f->dotl) {
            ninep__ferror(op, CG_EISDIR, "");
        } else {
            ninep__fread_dir_p(op);
        }
    } else {
        union ninep_tmsg t = {
            .read = {.fid = op->fid->fid, .offset = op->offset, .count = op->count}};
        ninep__fcall(op, NINEP_TREAD, &t, READ_HEAD, read_done);
    }
}

static void send_written(struct ninep__fop *op)
{
    struct ninep_p_rwrite reply = {.count = op->count};
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, (uint32_t)ninep_size_p_rwrite(&reply), &b);
    if (f) {
        ninep_put_p_rwrite(&b, &reply);
        ninep__fsend(op, f, &b);
    }
}

static void write_synced(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                         const char *detail)
{
    (void)r;
    if (e) {
        ninep__ferror(op, e, detail);
    } else {
        send_written(op);
    }
}

static void write_done(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                       const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->count = r->write.count;
    if (op->fid->sync) {
        union ninep_tmsg t = {.fsync = {.fid = op->fid->fid}};
        ninep__fcall(op, NINEP_TFSYNC, &t, 0, write_synced);
    } else {
        send_written(op);
    }
}

/* Written in order, since the size was said before. */
static void write_xattr(struct ninep__fop *op, const struct ninep_p_twrite *p)
{
    struct ninep__ffid *ff = op->fid;
    if (!ff->xattr_name || p->offset != ff->xattr.len ||
        p->data.len > ff->xattr_size - ff->xattr.len) {
        ninep__ferror(op, CG_EINVAL, "an attribute is written in order, in the size that was said");
        return;
    }
    cg_err e = ninep__ffid_xattr(ff, p->data.data, p->data.len);
    if (e) {
        ninep__ferror(op, e, "");
        return;
    }
    op->count = p->data.len;
    send_written(op);
}

static void write_file(struct ninep__fop *op)
{
    struct ninep_p_twrite p;
    ninep_get_p_twrite(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    if (op->fid->is_xattr) {
        write_xattr(op, &p);
        return;
    }
    union ninep_tmsg t = {.write = {.fid = op->fid->fid, .offset = p.offset, .data = p.data}};
    ninep__fcall(op, NINEP_TWRITE, &t, 0, write_done);
}

/* ---- clunk, remove ---- */

/* The client's number is free from the moment that the request came, whatever comes of it; requests
 * that still work on the fid go on with what they hold. */

static void clunked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)r;
    if (e && !op->verdict) {
        op->verdict = cg_fail(&op->eb, e, "%s", detail);
    }
    ninep__fverdict(op);
}

static void finish_clunk(struct ninep__fop *op)
{
    struct cg_buf b = cg_buf_writer(op->clunk, sizeof op->clunk);
    cg_put_u32(&b, op->fid->fid);
    union ninep_tmsg t = {.clunk.fids = {.count = 1, .body = {op->clunk, sizeof op->clunk}}};
    ninep__fcall(op, NINEP_TCLUNK, &t, 0, clunked);
}

static void removed(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)r;
    if (e) {
        op->verdict = cg_fail(&op->eb, e, "%s", detail);
    }
    finish_clunk(op);
}

static void remove_in_parent(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                             const char *detail)
{
    if (e) {
        removed(op, e, r, detail);
        return;
    }
    union ninep_tmsg t = {
        .remove = {.fid = op->tmp,
                   .flags = S_ISDIR(op->fid->attr.mode) ? NINEP_REMOVEFLAG_DIR : 0,
                   .name = cg_span_of(ninep__ffid_name(op->fid))}};
    ninep__fcall(op, NINEP_TREMOVE, &t, 0, removed);
}

/* Size 0 with REPLACE is how Linux removes one; with any other flags it sets an empty one. */
static void set_xattr(struct ninep__fop *op)
{
    struct ninep__ffid *ff = op->fid;
    bool removes = ff->xattr_size == 0 && ff->xattr_flags == NINEP_XATTRFLAG_REPLACE;
    union ninep_tmsg t = {
        .xattrset = {.fid = ff->fid,
                     .flags = removes ? NINEP_XATTRFLAG_REMOVE : ff->xattr_flags,
                     .name = cg_span_of(ff->xattr_name),
                     .value = {(const uint8_t *)ff->xattr.data, (uint32_t)ff->xattr.len}}};
    if (ff->xattr.len != ff->xattr_size) {
        op->verdict = cg_fail(&op->eb, CG_EINVAL, "the attribute was not written whole");
        finish_clunk(op);
        return;
    }
    ninep__fcall(op, NINEP_TXATTRSET, &t, 0, removed);
}

static void clunk(struct ninep__fop *op, bool remove)
{
    struct ninep_p_tclunk p;
    ninep_get_p_tclunk(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    ninep__ffid_put(cg_map_del(&op->f->fids, &p.fid));
    if (remove || op->fid->remove_on_clunk) {
        ninep__fwalk_parent(op, remove_in_parent);
    } else if (op->fid->xattr_name) {
        set_xattr(op);
    } else {
        finish_clunk(op);
    }
}

void ninep__fbecome(struct ninep__fop *op, struct cg_span name, const struct ninep_attr *attr)
{
    struct ninep_names names = {.count = 1, .name = {name}};
    ninep__ffid_drop(op->f, op->fid->fid);
    op->fid->fid = op->number;
    op->fid->attr = *attr;
    op->fid->dir_cookie = op->fid->dir_offset = 0;
    op->fid->open = true;
    cg_err e = ninep__ffid_path(op->fid, op->fid->path, &names);
    if (e) { /* then it can be used, but not removed or renamed */
        cg_log(CG_WARN, "a fid's path was not kept: %s", cg_err_text(e));
    }
}

void ninep__fboth(struct ninep__fop *op)
{
    switch (op->type) {
    case NINEP_P_TAUTH: /* in 9P2000.L, diod's way of saying so is the error number 0 */
        ninep__ferror(op, op->f->dotl ? CG_OK : CG_EOPNOTSUPP, "authentication is not required");
        break;
    case NINEP_P_TATTACH:
        attach(op);
        break;
    case NINEP_P_TWALK:
        walk(op);
        break;
    case NINEP_P_TREAD:
        read_file(op);
        break;
    case NINEP_P_TWRITE:
        write_file(op);
        break;
    case NINEP_P_TCLUNK:
        clunk(op, false);
        break;
    case NINEP_P_TREMOVE:
        clunk(op, true);
        break;
    default:
        if (op->f->dotl) {
            ninep__fdialect_l(op);
        } else {
            ninep__fdialect_p(op);
        }
    }
}
