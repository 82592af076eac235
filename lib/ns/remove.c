/* Taking names away and moving them: remove, rename, link. Each waits until what is under way in
 * its directories is answered, is one request, and brings the cached listings up to date from its
 * reply, because own changes do not break own leases. */
#include "internal.h"

#include <string.h>

void ns__name_now(struct ns__call *c, struct ns__obj *dir, const char *name, struct ns__obj *o,
                  const struct ns_node *node)
{
    if (ns__leased(dir) && c->moment >= dir->broken_at) {
        ns__name_put(dir, name, o);
    } else {
        struct ns__name *n = ns__name_get(dir, name);
        if (n) {
            ns__name_del(n);
        }
    }
    if (c->op) {
        ns__own_moved(c->op, dir, node);
    }
}

/* The object that name leads to, as far as is known. */
static struct ns__obj *known(struct ns__obj *dir, const char *name)
{
    struct ns__name *n = ns__name_get(dir, name);
    return n ? n->obj : NULL;
}

/* One of its names is gone: its attributes differ, and its path may. */
static void unnamed(struct ns__obj *o, struct ns__obj *dir, const char *name)
{
    if (!o) {
        return;
    }
    o->attr_ok = false;
    ns__tell(o, NS_INVAL_ATTR, NULL);
    if (o->up == dir && strcmp(o->up_name, name) == 0) {
        cg_free(o->up_name);
        o->up = NULL;
        o->up_name = NULL;
        ns__obj_changed(o);
        ns__obj_put(dir);
    }
}

/* The directory of op->node that holds name, quiet, neither it nor name being a mount point. */
static bool holder(struct ns_op *op, struct ns__obj **dir)
{
    if (ns__own_find(op->node, op->name)) {
        ns__fail(op, CG_EBUSY, "the name is a mount point");
        return false;
    }
    struct ns__obj *second;
    enum ns__up up = ns__nth_dir(op, op->node, 0, dir);
    if (up == NS__UP && *dir) {
        up = ns__nth_dir(op, op->node, 1, &second);
        if (up == NS__UP && second && ns__find_in(op, op->node, dir) == NS__LATER) {
            return false;
        }
    }
    if (up == NS__WAIT) {
        return false;
    }
    if (up == NS__DOWN || !*dir) {
        ns__nothing(op, op->node);
        return false;
    }
    if (ns__is_point(*dir, op->name)) {
        ns__fail(op, CG_EBUSY, "the name is a mount point");
        return false;
    }
    struct ns__obj *o = known(*dir, op->name);
    return ns__quiet(op, *dir) && (!o || ns__quiet(op, o)) && ns__pinned(op, o);
}

static bool add_change(struct ns__flight *f, struct ns_op *op, uint8_t type, struct ns__obj *dir,
                       struct ns__obj *other, ns__reply *reply, union ninep_tmsg **m)
{
    struct ns__call *c;
    *m = ns__flight_add(f, type, dir, other, reply, &c);
    if (*m) {
        c->name = cg_strdup(op->name);
        c->newname = op->newname ? cg_strdup(op->newname) : NULL;
    }
    if (!*m || !c->name || (op->newname && !c->newname)) {
        ns__flight_drop(f);
        ns__fail(op, CG_ENOMEM, "no memory for a request");
        return false;
    }
    ns__await(c, op);
    c->change = op->changes = true;
    return true;
}

/* ---- remove */

static void removed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__obj *dir = c->obj;
    if (e == CG_OK) {
        unnamed(known(dir, c->name), dir, c->name);
        ns__learn_obj(c, dir, &r->remove.dir, false);
        ns__name_now(c, dir, c->name, NULL, c->op ? c->op->node : NULL);
    }
    if (ns__decide(c, e) && c->op) {
        ns__finish(c->op);
    }
}

static void remove_step(struct ns_op *op)
{
    struct ns__obj *dir;
    struct ns__flight f;
    union ninep_tmsg *m;
    uint32_t fid;
    if (!holder(op, &dir)) {
        return;
    }
    ns__flight_init(&f, op, dir->tree);
    if (ns__fid(&f, dir, true, &fid) && add_change(&f, op, NINEP_TREMOVE, dir, NULL, removed, &m)) {
        m->remove.fid = fid;
        m->remove.flags = op->flags;
        m->remove.name = cg_span_of(op->name);
        ns__flight_send(&f);
    }
}

struct ns_op *ns_remove(struct ns *ns, struct ns_node *dir, const char *name, bool is_dir,
                        ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, remove_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->flags = is_dir ? NINEP_REMOVEFLAG_DIR : 0;
    ns__op_node(op, dir);
    ns__op_name(op, &op->name, name);
    return ns__op_start(op);
}

/* ---- rename */

static void renamed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__obj *from = c->obj, *to = c->other ? c->other : c->obj;
    bool exchange = c->len & NINEP_RENAMEFLAG_EXCHANGE;
    if (e == CG_OK) {
        struct ns__obj *o = ns__learn(c, &r->rename.attr, false);
        struct ns__obj *old = known(to, c->newname);
        if (old != o) {
            unnamed(old, to, c->newname);
        }
        ns__learn_obj(c, from, &r->rename.dir, false);
        if (to != from) {
            ns__learn_obj(c, to, &r->rename.newdir, false);
        }
        struct ns_op *op = c->op;
        ns__name_now(c, from, c->name, exchange ? old : NULL, op ? op->node : NULL);
        ns__name_now(c, to, c->newname, o, op ? op->newnode : NULL);
        if (exchange && !old) {
            ns__names_drop(from); /* what the old name is now, is not known */
        }
        if (exchange && old) {
            ns__obj_path(old, from, c->name);
        }
        if (o) {
            ns__obj_path(o, to, c->newname);
        } else {
            ns__names_drop(to);
        }
    }
    if (ns__decide(c, e) && c->op) {
        ns__finish(c->op);
    }
}

static void rename_step(struct ns_op *op)
{
    struct ns__obj *from, *to;
    struct ns__flight f;
    union ninep_tmsg *m;
    uint32_t fid, newfid;
    if (!holder(op, &from)) {
        return;
    }
    to = from; /* within one union: where the file is */
    if (op->newnode != op->node && !ns__create_dir(op, op->newnode, &to)) {
        return;
    }
    if (to->tree != from->tree) {
        ns__fail(op, CG_EXDEV, "the two directories are in different trees");
        return;
    }
    if (ns__own_find(op->newnode, op->newname) || ns__is_point(to, op->newname)) {
        ns__fail(op, CG_EBUSY, "the new name is a mount point");
        return;
    }
    struct ns__obj *old = known(to, op->newname);
    if (!ns__quiet(op, to) || (old && !ns__quiet(op, old)) || !ns__pinned(op, old)) {
        return;
    }
    ns__flight_init(&f, op, from->tree);
    if (!ns__fid(&f, from, true, &fid) || (to != from && !ns__fid(&f, to, true, &newfid)) ||
        !add_change(&f, op, NINEP_TRENAME, from, to != from ? to : NULL, renamed, &m)) {
        return;
    }
    f.calls[f.n - 1]->len = op->flags;
    m->rename.fid = fid;
    m->rename.newfid = to != from ? newfid : fid;
    m->rename.flags = op->flags;
    m->rename.name = cg_span_of(op->name);
    m->rename.newname = cg_span_of(op->newname);
    ns__flight_send(&f);
}

struct ns_op *ns_rename(struct ns *ns, struct ns_node *dir, const char *name,
                        struct ns_node *newdir, const char *newname, uint32_t flags, ns_done *done,
                        void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, rename_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->flags = flags;
    ns__op_node(op, dir);
    ns_node_ref(newdir);
    op->newnode = newdir;
    if (ns__op_name(op, &op->name, name)) {
        ns__op_name(op, &op->newname, newname);
    }
    return ns__op_start(op);
}

/* ---- link */

static void linked(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e == CG_OK) {
        ns__learn_obj(c, c->other, &r->link.attr, false);
        ns__learn_obj(c, c->obj, &r->link.dir, false);
        ns__name_now(c, c->obj, c->name, c->other, op ? op->node : NULL);
        ns__tell(c->other, NS_INVAL_ATTR, op ? op->newnode : NULL);
    }
    if (!ns__decide(c, e) || !op) {
        return;
    }
    struct ns_node *n = ns__node_cross(op->node, c->other);
    if (n) {
        op->until_ns = ns__believed(c->obj, c->name, c->other);
        ns__give(op, n, c->other);
    } else {
        ns__fail(op, CG_ENOMEM, "no memory for a node");
    }
}

static void link_step(struct ns_op *op)
{
    struct ns__obj *o, *dir;
    struct ns__flight f;
    union ninep_tmsg *m;
    uint32_t fid, dirfid;
    if (!ns__real_obj(op, op->newnode, &o)) {
        return;
    }
    if (ns__own_find(op->node, op->name)) {
        ns__fail(op, CG_EEXIST, "a mount point has this name");
        return;
    }
    if (!ns__create_dir(op, op->node, &dir)) {
        return;
    }
    if (dir->tree != o->tree || op->newnode->mount) {
        ns__fail(op, CG_EXDEV, "the file and the directory are in different trees");
        return;
    }
    if (!ns__quiet(op, o) || !ns__quiet(op, dir)) {
        return;
    }
    ns__flight_init(&f, op, dir->tree);
    if (ns__fid(&f, o, true, &fid) && ns__fid(&f, dir, true, &dirfid) &&
        add_change(&f, op, NINEP_TLINK, dir, o, linked, &m)) {
        m->link.fid = fid;
        m->link.dirfid = dirfid;
        m->link.name = cg_span_of(op->name);
        ns__flight_send(&f);
    }
}

struct ns_op *ns_link(struct ns *ns, struct ns_node *n, struct ns_node *dir, const char *name,
                      ns_stat_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STAT, link_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.stat = done;
    op->gives = true;
    ns__op_node(op, dir);
    ns_node_ref(n);
    op->newnode = n;
    ns__op_name(op, &op->name, name);
    return ns__op_start(op);
}
