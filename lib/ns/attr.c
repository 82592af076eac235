/* Attributes, link targets, extended attributes, file system numbers. */
#include "internal.h"

#include <string.h>

void ns__give(struct ns_op *op, struct ns_node *n, struct ns__obj *o)
{
    struct ns_stat st;
    ns__stat_of(n, o, &st);
    if (op->until_ns < st.until_ns) {
        st.until_ns = op->until_ns;
    }
    st.hold = op->gives && ns__hold(op->node, st.until_ns);
    ns__finish_stat(op, &st);
}

static void give_copy(struct ns_op *op, struct ns_node *n, struct ns__obj *o)
{
    if (op->gives) {
        ns_node_ref(n);
    }
    ns__give(op, n, o);
}

static struct ns_node *meant(struct ns_op *op)
{
    return op->newnode ? op->newnode : op->node;
}

/* One request about op->node that needs its walking fid; the reply decides. */
static union ninep_tmsg *request(struct ns__flight *f, struct ns_op *op, uint8_t type,
                                 struct ns__obj *o, bool changes, ns__reply *reply, uint32_t *fid)
{
    ns__flight_init(f, op, o->tree);
    if (!ns__fid(f, o, changes, fid)) {
        return NULL;
    }
    struct ns__call *c;
    union ninep_tmsg *m = ns__flight_add(f, type, o, NULL, reply, &c);
    if (!m) {
        ns__flight_drop(f);
        ns__fail(op, CG_ENOMEM, "no memory for a request");
        return NULL;
    }
    c->change = changes;
    op->changes = op->changes || changes;
    ns__await(c, op);
    return m;
}

static void stat_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->getattr.attr, r->getattr.lease == NINEP_LEASE_READ);
    }
    if (ns__decide(c, e) && op) {
        give_copy(op, meant(op), c->obj);
    }
}

void ns__stat_node(struct ns_op *op, struct ns_node *n)
{
    struct ns__obj *o;
    if (!ns__node_obj(op, n, &o)) {
        return;
    }
    if (!o) {
        give_copy(op, n, NULL);
        return;
    }
    bool empty = !o->settled && o->dead == CG_OK && o->pending == 1; /* its create alone */
    if (!empty && !ns__caught_up(op, o)) {
        return;
    }
    if (empty || ns__attr_ok(o)) {
        give_copy(op, n, o);
        return;
    }
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m = request(&f, op, NINEP_TGETATTR, o, false, stat_came, &fid);
    if (m) {
        m->getattr.fid = fid;
        m->getattr.want = NINEP_WANT_LEASE;
        ns__flight_send(&f);
    }
}

static void refreshed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->getattr.attr, r->getattr.lease == NINEP_LEASE_READ);
    }
    if (ns__decide(c, e)) {
        ns__again(c);
    }
}

void ns__refresh(struct ns_op *op, struct ns__obj *o)
{
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m = request(&f, op, NINEP_TGETATTR, o, false, refreshed, &fid);
    if (m) {
        m->getattr.fid = fid;
        m->getattr.want = NINEP_WANT_LEASE;
        ns__flight_send(&f);
    }
}

static void getattr_step(struct ns_op *op)
{
    ns__stat_node(op, op->node);
}

struct ns_op *ns_getattr(struct ns *ns, struct ns_node *n, ns_stat_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STAT, getattr_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.stat = done;
    ns__op_node(op, n);
    return ns__op_start(op);
}

/* ---- setattr */

static void set_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->setattr.attr, false);
        ns__tell(c->obj, NS_INVAL_ATTR, op ? op->node : NULL);
        if (op && op->t.setattr.valid & NINEP_SETATTR_SIZE) {
            ns__data_changed(op->file, c->obj);
        }
    }
    struct ns_file *f = c->file;
    if (f) { /* it was in the handle's chain */
        f->broken_chain = f->broken_chain || e;
        if (e == CG_ESKIPPED && op) {
            ns__note(op, f->error, f->detail);
        }
        f->pending--;
    }
    if (ns__decide(c, e) && op) {
        ns__give(op, op->node, c->obj);
    }
    if (f) {
        ns__wake(&f->waiters);
    }
}

/* Behind a handle's unanswered writes the change goes into their chain: one round trip for both. */
static void setattr_step(struct ns_op *op)
{
    struct ns__obj *o;
    struct ns_file *file = op->file;
    if (!ns__real_obj(op, op->node, &o)) {
        return;
    }
    bool chained = file && file->pending > 0 && file->pending == o->pending &&
                   !file->broken_chain && file->session == o->tree->session;
    if (!chained && !ns__quiet(op, o)) {
        return;
    }
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m;
    if (chained) {
        struct ns__call *c;
        ns__flight_init(&f, op, o->tree);
        f.chain = file->chain;
        m = ns__flight_add(&f, NINEP_TSETATTR, o, NULL, set_came, &c);
        if (!m) {
            ns__fail(op, op->err, op->detail);
            return;
        }
        fid = file->fid;
        c->change = op->changes = true;
        ns__await(c, op);
        file->refs++;
        c->file = file;
        file->pending++;
    } else {
        m = request(&f, op, NINEP_TSETATTR, o, true, set_came, &fid);
        if (!m) {
            return;
        }
        bool open = file && file->state == NS__OPEN && file->session == o->tree->session;
        fid = open ? file->fid : fid;
    }
    m->setattr = op->t.setattr;
    m->setattr.fid = fid;
    if (op->t.setattr.valid & NINEP_SETATTR_SIZE) {
        ns__contents_drop(o);
    }
    ns__flight_send(&f);
}

struct ns_op *ns_setattr(struct ns *ns, struct ns_node *n, struct ns_file *f,
                         const struct ninep_tsetattr *t, ns_stat_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STAT, setattr_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.stat = done;
    op->t.setattr = *t;
    ns__op_node(op, n);
    if (f) {
        ns__op_file(op, f);
    }
    return ns__op_start(op);
}

/* ---- readlink: the target is kept as the link's contents */

static void target_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e == CG_OK) {
        ns__learn_contents(c, c->obj, r->readlink.target);
    }
    if (ns__decide(c, e) && op) {
        ns__finish_data(op, r->readlink.target.data, r->readlink.target.len);
    }
}

static void finish_bytes(struct ns_op *op, struct ns__bytes *b)
{
    b->refs++; /* done may drop it from the cache */
    ns__finish_data(op, b->data, b->len);
    ns__bytes_put(b);
}

static void readlink_step(struct ns_op *op)
{
    struct ns__obj *o;
    if (!ns__node_obj(op, op->node, &o)) {
        return;
    }
    if (!o || (o->attr.mode & S_IFMT) != S_IFLNK) {
        ns__fail(op, CG_EINVAL, "not a symbolic link");
        return;
    }
    if (ns__contents_ok(o)) {
        finish_bytes(op, o->contents);
        return;
    }
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m = request(&f, op, NINEP_TREADLINK, o, false, target_came, &fid);
    if (m) {
        m->readlink.fid = fid;
        ns__flight_send(&f);
    }
}

struct ns_op *ns_readlink(struct ns *ns, struct ns_node *n, ns_data_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DATA, readlink_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, 0, "no memory for an operation");
        return NULL;
    }
    op->done.data = done;
    ns__op_node(op, n);
    return ns__op_start(op);
}

/* ---- statfs */

static void statfs_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (ns__decide(c, e) && op) {
        op->statfs = r->statfs;
        ns__finish_statfs(op);
    }
}

static void statfs_step(struct ns_op *op)
{
    struct ns__obj *o;
    if (!ns__node_obj(op, op->node, &o)) {
        return;
    }
    if (!o) {
        op->statfs = (struct ninep_rstatfs){.bsize = 4096, .namelen = NINEP_NAME_BYTES_MAX};
        ns__finish_statfs(op);
        return;
    }
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m = request(&f, op, NINEP_TSTATFS, o, false, statfs_came, &fid);
    if (m) {
        m->statfs.fid = fid;
        ns__flight_send(&f);
    }
}

struct ns_op *ns_statfs(struct ns *ns, struct ns_node *n, ns_statfs_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STATFS, statfs_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.statfs = done;
    ns__op_node(op, n);
    return ns__op_start(op);
}

/* ---- extended attributes */

static bool is_acl(const char *name)
{
    return strncmp(name, "system.posix_acl_", 17) == 0;
}

static void xattr_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (!ns__decide(c, e) || !op) {
        return;
    }
    if (op->count == 0) { /* only the size was wanted: the length says it, there are no bytes */
        ns__finish_data(op, NULL, r->xattrget.size);
    } else {
        ns__finish_data(op, r->xattrget.value.data, r->xattrget.value.len);
    }
}

static void xattrget_step(struct ns_op *op)
{
    struct ns__obj *o;
    if (!ns__node_obj(op, op->node, &o)) {
        return;
    }
    const char *name = op->data;
    bool none = !o;
    if (o && (ns__attr_ok(o) || !o->settled)) { /* unsettled: made by us, and brand new */
        none = (o->attr.flags & NINEP_ATTRFLAG_NO_XATTR && !is_acl(name)) ||
               (o->attr.flags & NINEP_ATTRFLAG_NO_ACL && is_acl(name));
    }
    if (none && *name) {
        ns__fail(op, CG_ENODATA, "the file has no such attribute");
    } else if (none) {
        ns__finish_data(op, NULL, 0);
    } else {
        struct ns__flight f;
        uint32_t fid;
        union ninep_tmsg *m = request(&f, op, NINEP_TXATTRGET, o, false, xattr_came, &fid);
        if (m) {
            m->xattrget.fid = fid;
            m->xattrget.max = op->count;
            m->xattrget.name = cg_span_of(name);
            ns__flight_send(&f);
        }
    }
}

struct ns_op *ns_xattrget(struct ns *ns, struct ns_node *n, const char *name, uint32_t max,
                          ns_data_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DATA, xattrget_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, 0, "no memory for an operation");
        return NULL;
    }
    op->done.data = done;
    op->count = max;
    op->data = cg_strdup(name);
    if (!op->data) {
        ns__note(op, CG_ENOMEM, "no memory for the name");
    }
    ns__op_node(op, n);
    return ns__op_start(op);
}

static void xattr_set(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->xattrset.attr, false);
    }
    if (ns__decide(c, e) && c->op) {
        ns__finish(c->op);
    }
}

static void xattrset_step(struct ns_op *op)
{
    struct ns__obj *o;
    if (!ns__real_obj(op, op->node, &o) || !ns__quiet(op, o)) {
        return;
    }
    struct ns__flight f;
    uint32_t fid;
    union ninep_tmsg *m = request(&f, op, NINEP_TXATTRSET, o, true, xattr_set, &fid);
    if (m) {
        m->xattrset.fid = fid;
        m->xattrset.flags = op->flags;
        m->xattrset.name = cg_span_of(op->newname);
        m->xattrset.value = (struct cg_span){op->data, op->count};
        ns__flight_send(&f);
    }
}

struct ns_op *ns_xattrset(struct ns *ns, struct ns_node *n, const char *name, const void *value,
                          uint32_t len, uint32_t flags, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, xattrset_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->flags = flags;
    op->count = len;
    op->newname = cg_strdup(name);
    op->data = cg_alloc(len ? len : 1);
    if (op->data && len) {
        memcpy(op->data, value, len);
    }
    if (!op->newname || !op->data) {
        ns__note(op, CG_ENOMEM, "no memory for the attribute");
    }
    ns__op_node(op, n);
    return ns__op_start(op);
}
