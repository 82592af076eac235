/* Making names: create, and what is made without being opened.
 *
 * A create is answered before the server answers when it can only succeed or fail for reasons that
 * a close may tell: all names of the directory are known under its lease, the name is not among
 * them, and the right to write is held. The new object has no identity until Rcreate comes; all
 * that asks for it waits, except the handle's own writes, which follow in its chain, and who only
 * wants the attributes of what is still empty. The kernel side believes those that we made up for
 * the moment of the open, which looks at them: so it needs not be told when the true ones come.
 */
#include "internal.h"

#include <string.h>

static void file_now(struct ns__call *c, struct ns__obj *o, const struct ninep_rcreate *r)
{
    ns__learn_obj(c, c->obj, &r->dir, false);
    ns__obj_path(o, c->obj, c->name);
    ns__name_now(c, c->obj, c->name, o, c->op ? c->op->node : NULL);
}

static struct ns__obj *made(struct ns__call *c, const struct ninep_rcreate *r)
{
    struct ns__obj *o = ns__learn(c, &r->attr, r->lease == NINEP_LEASE_READ);
    if (o) {
        file_now(c, o, r);
    }
    return o;
}

static bool is_union(const struct ns_node *n)
{
    return n->mount && n->mount->member_count > 1;
}

/* The directory that the new name goes to. In a union a name that exists anywhere is not made: a
 * create opens it where it is. */
static bool place(struct ns_op *op, bool opens, struct ns__obj **dir)
{
    enum ns__found found = NS__ABSENT;
    if (ns__own_find(op->node, op->name)) {
        ns__fail(op, CG_EEXIST, "a mount point has this name");
        return false;
    }
    if (is_union(op->node)) {
        found = ns__find_in(op, op->node, dir);
    }
    if (found == NS__LATER || (found == NS__FOUND && opens)) {
        return found == NS__FOUND;
    }
    if (found == NS__FOUND) {
        ns__fail(op, CG_EEXIST, "the union has a file of that name");
        return false;
    }
    return ns__create_dir(op, op->node, dir);
}

static union ninep_tmsg *create_call(struct ns__flight *f, struct ns_op *op, struct ns__obj *dir,
                                     struct ns__obj *other, ns__reply *reply,
                                     struct ns__call **call)
{
    uint32_t fid;
    ns__flight_init(f, op, dir->tree);
    if (!ns__fid(f, dir, true, &fid)) {
        return NULL;
    }
    union ninep_tmsg *m = ns__flight_add(f, NINEP_TCREATE, dir, other, reply, call);
    if (m) {
        (*call)->name = cg_strdup(op->name);
    }
    if (!m || !(*call)->name) {
        ns__flight_drop(f);
        ns__fail(op, CG_ENOMEM, "no memory for a create");
        return NULL;
    }
    (*call)->change = op->changes = true;
    m->create.fid = fid;
    m->create.mode = op->mode;
    m->create.want = NINEP_WANT_LEASE;
    m->create.name = cg_span_of(op->name);
    return m;
}

/* ---- create and open */

static void created(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    struct ns__tree *t = c->tree;
    struct ns__obj *o = e == CG_OK ? made(c, &r->create) : NULL;
    struct ns_node *n = o && op ? ns__node_cross(op->node, o) : NULL;
    struct ns_file *f = n && !n->mount ? ns__file_new(n, o, op->flags) : NULL;
    if (f) {
        f->origin = op->origin;
    }
    if (!f) {
        if (n) {
            ns__node_put(n);
        }
        if (c->session == t->session) {
            ninep_client_clunk(t->client, c->fid);
        }
        if (ns__decide(c, e) && op) {
            ns__fail(op, CG_ENOMEM, "no memory for a handle");
        }
        return;
    }
    f->fid = c->fid;
    f->session = c->session;
    f->state = NS__OPEN;
    f->was_open = true;
    f->iounit = r->create.iounit;
    ns__file_save(f);
    if (!r->create.created && op->flags & NINEP_OPEN_TRUNC) {
        ns__data_changed(f, o);
    }
    struct ns_stat st;
    ns__stat_of(n, o, &st);
    uint64_t until = ns__believed(c->obj, c->name, o);
    st.until_ns = until < st.until_ns ? until : st.until_ns;
    st.hold = ns__hold(op->node, st.until_ns);
    ns__finish_open(op, f, &st, ns__keep(n, o) && r->create.created, !ns__cacheable(o));
}

static void create_sync(struct ns_op *op, struct ns__obj *dir)
{
    struct ns__flight f;
    struct ns__call *c;
    if (!ns__quiet(op, dir)) {
        return;
    }
    union ninep_tmsg *m = create_call(&f, op, dir, NULL, created, &c);
    if (!m) {
        return;
    }
    ns__await(c, op);
    m->create.newfid = c->fid = ninep_client_fid(dir->tree->client);
    m->create.flags = op->flags;
    ns__flight_send(&f);
}

/* ---- create, answered early */

static void failed_early(struct ns__call *c, cg_err e)
{
    struct ns__obj *o = c->other;
    struct ns_file *f = c->file;
    if (e == CG_ESKIPPED) {
        e = CG_ESTALE; /* the walk to the directory before it failed */
    }
    o->dead = e;
    ns__obj_changed(o);
    ns__file_error(f, e, c->detail);
    f->state = NS__CLOSED;
    f->broken_chain = true;
    if (c->session == c->tree->session) {
        ninep_client_clunk(c->tree->client, f->fid);
    }
    f->fid = NINEP_NOFID;
    struct ns__name *n = ns__name_get(c->obj, c->name);
    if (n && n->obj == o) {
        ns__name_put(c->obj, c->name, NULL);
    }
}

void ns__created_early(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__obj *o = c->other;
    struct ns_file *f = c->file;
    f->creating = false;
    f->pending--;
    if (e) {
        failed_early(c, e);
    } else {
        f->state = NS__OPEN;
        f->was_open = true;
        f->iounit = r->create.iounit;
        bool own = ns__obj_settle(o, &r->create.attr.id) == CG_OK;
        ns__learn_obj(c, o, &r->create.attr, own && r->create.lease == NINEP_LEASE_READ);
        file_now(c, o, &r->create);
        f->node->data_serial = o->lease_serial; /* what the kernel side has, it wrote */
    }
    ns__file_save(f);
    ns__wake(&f->waiters);
}

static bool may_answer_early(struct ns_op *op, struct ns__obj *dir)
{
    struct ns__name *n = ns__name_get(dir, op->name);
    uint8_t rights = NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC;
    return !(op->flags & (NINEP_OPEN_EXCL | NINEP_OPEN_DIRECT)) && ns__leased(dir) &&
           dir->barriers == 0 && dir->complete && (!n || !n->obj) &&
           (dir->attr.rights & rights) == rights;
}

static struct ns__obj *provisional(struct ns_op *op, struct ns__obj *dir)
{
    struct ns__obj *o = ns__obj_new(dir->tree);
    if (!o) {
        return NULL;
    }
    const struct cg_env *env = op->ns->config.env;
    int64_t now = (int64_t)env->wall_ns(env->ctx);
    o->attr = (struct ninep_attr){.mode = S_IFREG | (op->mode & 07777),
                                  .nlink = 1,
                                  .owner = dir->attr.owner,
                                  .group = dir->attr.group,
                                  .atime = now,
                                  .mtime = now,
                                  .ctime = now,
                                  .blksize = 4096,
                                  .rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE,
                                  .flags = NINEP_ATTRFLAG_NO_XATTR |
                                           (dir->attr.flags & NINEP_ATTRFLAG_NO_ACL)};
    return o;
}

static void create_early(struct ns_op *op, struct ns__obj *dir)
{
    struct ns__flight fl;
    struct ns__call *c;
    struct ns__obj *o = provisional(op, dir);
    struct ns_node *n = o ? ns__node_get(op->ns, ns__view(op->node), o) : NULL;
    struct ns_file *f = n ? ns__file_new(n, o, op->flags) : NULL;
    union ninep_tmsg *m = f ? create_call(&fl, op, dir, o, ns__created_early, &c) : NULL;
    if (!m) {
        if (f) {
            ns__file_put(f);
        } else {
            ns__fail(op, CG_ENOMEM, "no memory for a create");
        }
        if (n) {
            ns__node_put(n);
        } else if (o) {
            ns__obj_free(o);
        }
        return;
    }
    fl.chain = f->chain = ninep_client_chain(dir->tree->client);
    fl.lazy = true;
    f->fid = m->create.newfid = ninep_client_fid(dir->tree->client);
    f->session = dir->tree->session;
    f->state = NS__OPENING;
    f->creating = true;
    f->pending = 1;
    f->refs++;
    c->file = f;
    m->create.flags = op->flags;
    o->own_ino = true;
    ns__obj_path(o, dir, op->name);
    ns__name_put(dir, op->name, o);
    ns__flight_send(&fl);
    struct ns_stat st;
    ns__stat_of(n, o, &st);
    const struct cg_env *env = op->ns->config.env;
    st.until_ns = env->now_ns(env->ctx) + NS_UNBORN_MS * UINT64_C(1000000);
    ns__own_moved(op, dir, op->node);
    ns__finish_open(op, f, &st, false, false);
}

static void create_step(struct ns_op *op)
{
    struct ns__obj *dir;
    if (!place(op, !(op->flags & NINEP_OPEN_EXCL), &dir)) {
        return;
    }
    if (dir->pending == 0 || may_answer_early(op, dir)) {
        struct ns__name *n = ns__leased(dir) ? ns__name_get(dir, op->name) : NULL;
        if (n && n->obj && !ns__quiet(op, n->obj)) {
            return;
        }
    }
    if (may_answer_early(op, dir) && (dir->pending == 0 || ns__fid_live(dir))) {
        create_early(op, dir);
    } else {
        create_sync(op, dir);
    }
}

struct ns_op *ns_create(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                        uint32_t open_flags, ns_open_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__OPENED, create_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, NULL, false, false, "no memory for an operation");
        return NULL;
    }
    op->done.open = done;
    op->mode = S_IFREG | (mode & 07777);
    op->flags = open_flags | NINEP_OPEN_CREAT;
    ns__op_node(op, dir);
    ns__op_name(op, &op->name, name);
    return ns__op_start(op);
}

bool ns_file_unborn(const struct ns_file *f)
{
    return f->creating && f->pending_bytes == 0 && f->error == CG_OK;
}

/* ---- make: directories, links, devices, files that are not opened */

static void make_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    struct ns__obj *o = e == CG_OK ? made(c, &r->create) : NULL;
    if (c->fid != NINEP_NOFID) {
        if (o) {
            ns__fid_adopt(o, c->fid, c->session);
        } else if (c->session == c->tree->session) {
            ninep_client_clunk(c->tree->client, c->fid);
        }
    }
    if (!ns__decide(c, e) || !op) {
        return;
    }
    struct ns_node *n = o ? ns__node_cross(op->node, o) : NULL;
    if (!n) {
        ns__fail(op, CG_ENOMEM, "no memory for a node");
        return;
    }
    op->until_ns = ns__believed(c->obj, c->name, o);
    ns__give(op, n, o);
}

static void make_step(struct ns_op *op)
{
    struct ns__obj *dir;
    struct ns__flight f;
    struct ns__call *c;
    if (!place(op, false, &dir) || !ns__quiet(op, dir)) {
        return;
    }
    union ninep_tmsg *m = create_call(&f, op, dir, NULL, make_came, &c);
    if (!m) {
        return;
    }
    ns__await(c, op);
    bool is_dir = (op->mode & S_IFMT) == S_IFDIR;
    c->fid = is_dir ? ninep_client_fid(dir->tree->client) : NINEP_NOFID;
    m->create.newfid = c->fid;
    m->create.flags = NINEP_OPEN_CREAT | NINEP_OPEN_EXCL;
    m->create.rdev = op->offset;
    m->create.target = cg_span_of(op->newname ? op->newname : "");
    ns__flight_send(&f);
}

struct ns_op *ns_make(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                      uint64_t rdev, const char *target, ns_stat_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STAT, make_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.stat = done;
    op->gives = true;
    op->mode = (mode & S_IFMT) == 0 ? mode | S_IFREG : mode;
    op->offset = rdev;
    ns__op_node(op, dir);
    ns__op_name(op, &op->name, name);
    if (target) {
        op->newname = cg_strdup(target);
        if (!op->newname) {
            ns__note(op, CG_ENOMEM, "no memory for the target");
        }
    }
    return ns__op_start(op);
}
