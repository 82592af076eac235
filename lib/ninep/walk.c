/* walk: the two ways to a new fid of the tree: attach and walk.
 *
 * A walk is made on a fid of its own, so that it takes effect whole or not at all, and so that
 * newfid may be fid. Names are single elements: nothing in them can lead up. A granted path is
 * walked when the tree is attached; from then on the file it led to is the root, whatever its name
 * becomes.
 */
#include "server__.h"
#include <string.h>
#include <sys/stat.h>

cg_err ninep__name_check(struct ninep__req *req, struct cg_span name)
{
    if (cg_name_ok(name)) {
        return CG_OK;
    }
    if (name.len > NINEP_NAME_BYTES_MAX) {
        return cg_fail(&req->pub.eb, CG_ENAMETOOLONG, "a name has at most %d bytes",
                       NINEP_NAME_BYTES_MAX);
    }
    ninep__complain(req->session, "%s with a name that is no single element",
                    ninep_type_name(req->pub.type, NINEP_DIALECT_NG));
    return cg_fail(&req->pub.eb, CG_EINVAL, "a name is one element of a path, not empty, . or ..");
}

/* ---- attach ---- */

/* The next element of a granted path. */
static bool path_element(const char **p, struct cg_span *name)
{
    *p += strspn(*p, "/");
    size_t len = strcspn(*p, "/");
    *name = (struct cg_span){.data = (const uint8_t *)*p, .len = (uint32_t)len};
    *p += len;
    return len > 0;
}

static cg_err path_failed(struct ninep__req *req, cg_err e)
{
    ninep__complain(req->session, "the granted path \"%s\" leads nowhere: %s", req->grant->path,
                    cg_err_name(e));
    return cg_context(&req->pub.eb, e, "the granted path leads nowhere");
}

static cg_err attach_path(struct ninep__req *req, struct ninep__fid *f)
{
    const struct ninep_ops *ops = req->session->server->cfg.ops;
    const char *p = req->grant->path;
    struct cg_span name;
    for (uint32_t i = 0; i < NINEP__PATH_NAMES_MAX && path_element(&p, &name); i++) {
        struct ninep_attr attr = {0};
        cg_err e = cg_name_ok(name) && ops->walk1 ? ops->walk1(&f->pub, name, &attr, &req->pub.eb)
                                                  : CG_EINVAL;
        if (e != CG_OK) {
            return path_failed(req, e);
        }
        req->pub.r.attach.attr = attr;
    }
    return CG_OK;
}

/* The file server no longer sees it: the ledger must not keep it. */
static void newfid_put(struct ninep__req *req)
{
    struct ninep__fid *f = req->pub.newfid ? req->pub.newfid->impl : NULL;
    req->pub.newfid = NULL;
    ninep__fid_put(f);
}

static void attach_end(struct ninep__req *req, cg_err e)
{
    newfid_put(req);
    req->pub.type = NINEP_TATTACH;
    req->made->mode = req->pub.r.attach.attr.mode;
    ninep__finish(req, e);
}

/* Asks the file server to take newfid one element down. */
static void ask(struct ninep__req *req, struct cg_span name,
                void (*then)(struct ninep__req *req, cg_err e))
{
    memset(&req->pub.r, 0, sizeof req->pub.r);
    req->pub.name = name;
    req->pub.type = NINEP_TWALK; /* also for the granted path of an attach */
    req->then = then;
    req->state = NINEP__RUNNING;
    req->session->server->cfg.ops->walk(&req->pub);
}

static void attach_walked(struct ninep__req *req, cg_err e);

static void attach_walk(struct ninep__req *req)
{
    struct cg_span name;
    struct ninep_attr attr = req->pub.r.attach.attr;
    if (!path_element(&req->path, &name)) {
        attach_end(req, CG_OK);
    } else if (!cg_name_ok(name) || !S_ISDIR(attr.mode)) {
        attach_end(req, path_failed(req, cg_name_ok(name) ? CG_ENOTDIR : CG_EINVAL));
    } else {
        ask(req, name, attach_walked);
    }
}

static void attach_walked(struct ninep__req *req, cg_err e)
{
    struct ninep_attr attr = req->pub.r.getattr.attr;
    memset(&req->pub.r, 0, sizeof req->pub.r);
    req->pub.r.attach.attr = attr;
    if (e != CG_OK) {
        attach_end(req, path_failed(req, e));
    } else {
        attach_walk(req);
    }
}

static void attached(struct ninep__req *req, cg_err e)
{
    struct ninep__fid *f = req->made;
    if (e != CG_OK) {
        ninep__finish(req, e);
        return;
    }
    f->ready = true; /* the file server knows it: it is clunked even if the path fails */
    f->attached = true;
    if (req->session->server->cfg.ops->walk) {
        req->path = req->grant->path;
        req->pub.newfid = &ninep__fid_ref(f)->pub;
        attach_walk(req);
    } else {
        attach_end(req, attach_path(req, f));
    }
}

static cg_err authorize(struct ninep__req *req)
{
    struct ninep_session *ss = req->session;
    const struct ninep_auth *auth = ss->server->cfg.auth;
    struct ninep_tattach *t = &req->pub.t.attach;
    struct ninep_peer first = ss->peer;
    cg_err e = auth->attach(auth->ctx, &ss->peer, t->user, t->tree, t->credential, req->grant,
                            &req->pub.eb);
    /* A replayed attach carries a proof made for the connection on which it was first sent; that
     * the session was resumed proves that the peer is the same. */
    memcpy(first.binding, ss->first_binding, sizeof first.binding);
    if (e != CG_OK && memcmp(&first.binding, ss->peer.binding, sizeof first.binding) != 0) {
        struct cg_errbuf ignored;
        if (auth->attach(auth->ctx, &first, t->user, t->tree, t->credential, req->grant,
                         &ignored) == CG_OK) {
            return CG_OK;
        }
    }
    if (e != CG_OK) {
        ninep__complain(ss, "refused attach of \"%.*s\": %s (%s)",
                        (int)(t->user.len < 64 ? t->user.len : 64), (const char *)t->user.data,
                        cg_err_name(e), req->pub.eb.text);
    }
    return e;
}

void ninep__run_attach(struct ninep__req *req)
{
    struct ninep_session *ss = req->session;
    struct ninep_tattach *t = &req->pub.t.attach;
    req->grant = cg_zalloc(sizeof *req->grant);
    cg_err e = t->fid == NINEP_NOFID ? CG_EINVAL : req->grant ? authorize(req) : CG_ENOMEM;
    if (e == CG_OK) {
        e = ninep__fid_new(ss, t->fid, &req->made, &req->pub.eb);
    }
    if (e != CG_OK) {
        ninep__finish(req, e);
        return;
    }
    struct ninep__fid *f = req->made;
    f->pub.principal = req->grant->principal;
    f->pub.rights = req->grant->rights;
    f->expires_ns = req->grant->expires_ns;
    req->pub.fid = &f->pub;
    if (!cg_span_str(t->user, ss->user, sizeof ss->user)) {
        ss->user[0] = '\0';
    }
    req->then = attached;
    ninep__op_call(req);
}

/* ---- walk ---- */

static bool number_taken(struct ninep__req *req)
{
    const struct ninep_twalk *t = &req->pub.t.walk;
    if (t->newfid == NINEP_NOFID || t->newfid == t->fid ||
        !cg_map_get(&req->session->fids, &t->newfid)) {
        return false;
    }
    cg_fail(&req->pub.eb, CG_EFIDINUSE, "fid %u is in use", t->newfid);
    return true;
}

static cg_err take_number(struct ninep__req *req, struct ninep__fid *f)
{
    uint32_t num = req->pub.t.walk.newfid;
    if (number_taken(req)) {
        return CG_EFIDINUSE;
    }
    return num == NINEP_NOFID ? CG_OK : ninep__fid_bind(f, num);
}

/* Takes f: the place that the walk has reached. */
static void arrived(struct ninep__req *req, struct ninep__fid *f, uint8_t *attrs, uint16_t count,
                    const struct ninep_attr *last)
{
    const struct ninep_twalk *t = &req->pub.t.walk;
    struct ninep_rwalk *r = &req->pub.r.walk;
    f->mode = last->mode;
    cg_err e = req->session->ended ? CG_ECANCELED : take_number(req, f);
    if (e != CG_OK) {
        ninep__fid_put(f);
        ninep__finish(req, e);
        return;
    }
    r->attrs = (struct ninep_list){
        .count = count, .body = {.data = attrs, .len = (uint32_t)count * NINEP_ATTR_BYTES}};
    if (t->names.count == 0) {
        r->lease = ninep__read_grant(req);
    } else if (ninep__leasable(req, t->want, &f->pub.id)) {
        r->lease = ninep__grant_now(req, f, &f->pub.id);
    }
    ninep__reply_inline(req, f, last, t->want, t->inline_max);
    ninep__fid_put(f); /* first: an ended session goes with its last request */
    ninep__finish(req, CG_OK);
}

/* Answers a walk of no names: the attributes of the file itself were asked of the file server. */
static void looked(struct ninep__req *req, cg_err e)
{
    struct ninep_attr attr = req->pub.r.getattr.attr;
    struct ninep__fid *f = NULL;
    uint8_t attrs[NINEP_ATTR_BYTES];
    req->pub.type = NINEP_TWALK;
    req->pub.t.walk.newfid = req->walk_newfid;
    memset(&req->pub.r, 0, sizeof req->pub.r);
    if (e == CG_OK) {
        e = ninep__fid_clone(req->pub.fid->impl, NINEP_NOFID, &f, &req->pub.eb);
    }
    if (e != CG_OK) {
        ninep__finish(req, e);
        return;
    }
    attr.rights &= f->pub.rights;
    struct cg_buf b = cg_buf_writer(attrs, sizeof attrs);
    ninep_put_attr(&b, &attr);
    arrived(req, f, attrs, 1, &attr);
}

static cg_err may_step(struct ninep__req *req, const struct ninep__fid *f, struct cg_span name)
{
    cg_err e = ninep__name_check(req, name);
    if (e != CG_OK) {
        return e;
    }
    if (!S_ISDIR(f->mode)) {
        return CG_ENOTDIR;
    }
    if (!(f->pub.rights & NINEP_RIGHTS_EXEC)) {
        return cg_fail(&req->pub.eb, CG_EPERM, "the attach does not grant search");
    }
    return CG_OK;
}

static cg_err step(struct ninep__req *req, struct ninep__fid *f, struct cg_span name,
                   struct ninep_attr *attr, struct cg_buf *out)
{
    const struct ninep_ops *ops = req->session->server->cfg.ops;
    cg_err e = may_step(req, f, name);
    if (e != CG_OK) {
        return e;
    }
    if (!ops->walk1) {
        return CG_ENOENT;
    }
    e = ops->walk1(&f->pub, name, attr, &req->pub.eb);
    f->mode = attr->mode;
    attr->rights &= f->pub.rights;
    ninep_put_attr(out, attr);
    return e;
}

static void walk_names(struct ninep__req *req)
{
    const struct ninep_twalk *t = &req->pub.t.walk;
    uint8_t attrs[NINEP_WALK_NAMES_MAX * NINEP_ATTR_BYTES];
    struct cg_buf out = cg_buf_writer(attrs, sizeof attrs);
    struct ninep_attr attr = {0};
    struct ninep__fid *f;
    cg_err e = ninep__fid_clone(req->pub.fid->impl, NINEP_NOFID, &f, &req->pub.eb);
    for (uint16_t i = 0; e == CG_OK && i < t->names.count; i++) {
        memset(&attr, 0, sizeof attr);
        e = step(req, f, t->names.name[i], &attr, &out);
        if (e != CG_OK) {
            req->index = i;
            ninep__fid_put(f);
        }
    }
    if (e != CG_OK) {
        ninep__finish(req, e);
        return;
    }
    arrived(req, f, attrs, t->names.count, &attr);
}

/* ---- a walk that waits ---- */

/* What it has passed. */
struct ninep__way {
    struct ninep_attr last;
    uint8_t attrs[NINEP_WALK_NAMES_MAX * NINEP_ATTR_BYTES];
};

static void way_walked(struct ninep__req *req, cg_err e);

static void way_end(struct ninep__req *req)
{
    struct ninep__way *w = req->way;
    struct ninep__fid *f = req->pub.newfid->impl;
    req->pub.newfid = NULL;
    memset(&req->pub.r, 0, sizeof req->pub.r);
    arrived(req, f, w->attrs, req->pub.t.walk.names.count, &w->last);
}

static void way_next(struct ninep__req *req)
{
    const struct ninep_twalk *t = &req->pub.t.walk;
    if (req->index == t->names.count) {
        req->index = 0;
        way_end(req);
        return;
    }
    struct cg_span name = t->names.name[req->index];
    cg_err e = req->cancelled ? CG_ECANCELED : may_step(req, req->pub.newfid->impl, name);
    if (e != CG_OK) {
        newfid_put(req);
        ninep__finish(req, e);
    } else {
        ask(req, name, way_walked);
    }
}

static void way_walked(struct ninep__req *req, cg_err e)
{
    struct ninep__way *w = req->way;
    struct ninep__fid *f = req->pub.newfid->impl;
    if (e != CG_OK) {
        newfid_put(req);
        ninep__finish(req, e);
        return;
    }
    w->last = req->pub.r.getattr.attr;
    f->mode = w->last.mode;
    w->last.rights &= f->pub.rights;
    struct cg_buf b =
        cg_buf_writer(w->attrs + (size_t)req->index * NINEP_ATTR_BYTES, NINEP_ATTR_BYTES);
    ninep_put_attr(&b, &w->last);
    req->index++;
    way_next(req);
}

static void way_begin(struct ninep__req *req)
{
    struct ninep__fid *f = NULL;
    req->way = cg_zalloc(sizeof *req->way);
    cg_err e =
        req->way ? ninep__fid_clone(req->pub.fid->impl, NINEP_NOFID, &f, &req->pub.eb) : CG_ENOMEM;
    if (e != CG_OK) {
        ninep__finish(req, e);
        return;
    }
    req->pub.newfid = &f->pub;
    way_next(req);
}

void ninep__run_walk(struct ninep__req *req)
{
    const struct ninep_twalk *t = &req->pub.t.walk;
    const struct ninep_ops *ops = req->session->server->cfg.ops;
    if (number_taken(req)) {
        ninep__finish(req, CG_EFIDINUSE);
    } else if (t->newfid == t->fid && req->pub.fid->open) {
        ninep__finish(req,
                      cg_fail(&req->pub.eb, CG_EBUSY, "fid %u is open; walk to a new one", t->fid));
    } else if (t->names.count > 0 && ops->walk) {
        way_begin(req);
    } else if (t->names.count > 0) {
        walk_names(req);
    } else if (!ops->getattr) {
        ninep__finish(req, CG_ENOSYS);
    } else {
        if (t->want & NINEP_WANT_LEASE) {
            ninep__read_begin(req, req->pub.fid->impl);
        }
        req->walk_newfid = t->newfid;
        req->pub.type = NINEP_TGETATTR;
        req->pub.t.getattr.want = 0;
        req->then = looked;
        req->state = NINEP__RUNNING;
        ops->getattr(&req->pub);
    }
}
