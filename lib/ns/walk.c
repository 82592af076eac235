/* Lookup: one name in one directory, from the cache or in one flight.
 *
 * The flight of a name that is not cached: what gives the directory a fid, what gives it a lease
 * (a page of its listing when that is worth it), the walk, and, where a round trip is long, a guess
 * that the child is a directory whose listing will be wanted. The lease comes before the walk,
 * because only then the name is covered by it.
 */
#include "internal.h"

#include <string.h>

static void narrow(struct ns_op *op, uint64_t until)
{
    if (until < op->until_ns) {
        op->until_ns = until;
    }
}

uint64_t ns__believed(struct ns__obj *dir, const char *name, const struct ns__obj *o)
{
    struct ns__name *n = ns__leased(dir) ? ns__name_get(dir, name) : NULL;
    if (!n || n->obj != o) {
        return 0;
    }
    return ninep_client_lease_until_ns(dir->tree->client);
}

static void set_found(struct ns_op *op, struct ns__obj *o)
{
    ns__obj_ref(o);
    if (op->found) {
        ns__obj_put(op->found);
    }
    op->found = o;
}

static struct ns__obj *learn_child(struct ns__call *c, const struct ninep_rwalk *r)
{
    struct ninep_attr a;
    struct cg_buf it = ninep_list_iter(&r->attrs);
    if (r->attrs.count != 1) {
        return NULL;
    }
    ninep_get_attr(&it, &a);
    struct ns__obj *o = ns__learn(c, &a, r->lease == NINEP_LEASE_READ);
    if (!o) {
        return NULL;
    }
    if (r->whole) {
        ns__learn_contents(c, o, r->inline_);
    }
    ns__obj_path(o, c->obj, c->name);
    if (ns__leased(c->obj) && ns__fresh(c, c->obj)) {
        ns__name_put(c->obj, c->name, o);
    }
    ns__fid_adopt(o, c->fid, c->session);
    ns__list_guessed(c, o);
    return o;
}

static void absent(struct ns__call *c)
{
    struct ns_op *op = c->op;
    bool sure = ns__leased(c->obj) && ns__fresh(c, c->obj) && ns__name_put(c->obj, c->name, NULL);
    if (op) {
        op->err = CG_OK;
        op->index++;
        narrow(op, sure ? ns__believed(c->obj, c->name, NULL) : 0);
        ns__again(c);
    }
}

static void walked(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e && c->session == c->tree->session) {
        ninep_client_clunk(c->tree->client, c->fid);
    }
    if (e == CG_ESKIPPED && op && op->err == CG_OK && op->retries++ < NS_RETRIES_MAX) {
        ns__again(c); /* the listing before it failed: now without */
        return;
    }
    if (e == CG_ENOENT && (!op || op->err == CG_ENOENT)) {
        absent(c);
        return;
    }
    if (!ns__decide(c, e)) {
        return;
    }
    struct ns__obj *o = learn_child(c, &r->walk);
    if (!op) {
        return;
    }
    if (!o) {
        ns__fail(op, CG_EPROTO, "the server's answer to a walk makes no sense");
        return;
    }
    narrow(op, ns__believed(c->obj, c->name, o));
    set_found(op, o);
    ns__again(c);
}

static void renewed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (e == CG_OK) {
        ns__learn(c, &r->getattr.attr, r->getattr.lease == NINEP_LEASE_READ);
    }
}

static bool add_lease(struct ns__flight *f, struct ns__obj *dir, uint32_t fid)
{
    union ninep_tmsg *m = ns__flight_add(f, NINEP_TGETATTR, dir, NULL, renewed, NULL);
    if (m) {
        m->getattr.fid = fid;
        m->getattr.want = NINEP_WANT_LEASE;
    }
    return m;
}

static bool add_walk(struct ns__flight *f, struct ns__obj *dir, uint32_t fid, const char *name,
                     uint32_t newfid)
{
    struct ns__call *c;
    union ninep_tmsg *m = ns__flight_add(f, NINEP_TWALK, dir, NULL, walked, &c);
    if (!m) {
        return false;
    }
    ns__await(c, f->op);
    c->name = cg_strdup(name);
    c->fid = newfid;
    m->walk.fid = fid;
    m->walk.newfid = newfid;
    m->walk.want = NINEP_WANT_LEASE | NINEP_WANT_INLINE;
    m->walk.inline_max = NS_INLINE_BYTES;
    m->walk.names.count = 1;
    m->walk.names.name[0] = cg_span_of(name);
    return c->name;
}

static void ask(struct ns_op *op, struct ns__obj *dir, const char *name)
{
    struct ns__flight f;
    uint32_t fid;
    ns__flight_init(&f, op, dir->tree);
    op->ns->misses++;
    if (!ns__fid(&f, dir, false, &fid)) {
        return;
    }
    uint32_t newfid = ninep_client_fid(dir->tree->client);
    bool ok = true;
    if (ns__list_wanted(dir)) {
        ok = ns__list_add(&f, dir, fid);
    } else if (ns__cacheable(dir) && !ns__leased(dir)) {
        ok = add_lease(&f, dir, fid);
    }
    ok = ok && add_walk(&f, dir, fid, name, newfid);
    if (ok && newfid != NINEP_NOFID && ns__guess_wanted(dir)) {
        ns__list_guess(&f, dir, newfid);
    }
    if (ok) {
        ns__flight_send(&f);
    } else {
        ns__flight_drop(&f);
        ns__fail(op, CG_ENOMEM, "no memory for a lookup");
    }
}

enum ns__found ns__find(struct ns_op *op, struct ns__obj *dir, const char *name)
{
    if (dir->dead || (dir->attr.mode & S_IFMT) != S_IFDIR) {
        ns__fail(op, dir->dead ? dir->dead : CG_ENOTDIR, "not a directory");
        return NS__LATER;
    }
    struct ns__name *n = ns__leased(dir) ? ns__name_get(dir, name) : NULL;
    if (n && n->obj && !ns__caught_up(op, n->obj)) {
        return NS__LATER;
    }
    if (n && n->obj && ns__attr_ok(n->obj)) {
        op->ns->hits++;
        dir->answers++;
        narrow(op, ns__believed(dir, name, n->obj));
        set_found(op, n->obj);
        return NS__FOUND;
    }
    if (ns__leased(dir) && ((n && !n->obj) || (!n && dir->complete))) {
        op->ns->hits++;
        dir->answers++;
        if (!n) {
            ns__name_put(dir, name, NULL);
        }
        narrow(op, ns__believed(dir, name, NULL));
        return NS__ABSENT;
    }
    if (dir->loading && !op->waited) {
        op->waited = true; /* once: it may be one page of many */
        ns__op_park(op, &dir->waiters);
    } else {
        ask(op, dir, name);
    }
    return NS__LATER;
}

/* A member of a union that cannot be attached is passed over, unless nothing else answers. */
enum ns__found ns__find_in(struct ns_op *op, struct ns_node *n, struct ns__obj **dir)
{
    for (;; op->index++) {
        enum ns__up up = ns__nth_dir(op, n, op->index, dir);
        if (up == NS__WAIT) {
            return NS__LATER;
        }
        if (up == NS__DOWN) {
            op->until_ns = 0;
            continue;
        }
        if (!*dir) {
            break;
        }
        if (op->found) {
            return NS__FOUND; /* the server said so a moment ago */
        }
        enum ns__found f = ns__find(op, *dir, op->name);
        if (f != NS__ABSENT) {
            return f;
        }
    }
    return NS__ABSENT;
}

/* ---- the operation */

/* What stands on a mount point is not touched for a bare lookup: only its node is wanted. */
static void stat_node(struct ns_op *op)
{
    if (op->bare) {
        struct ns_stat st = {.node = op->newnode};
        ns_node_ref(op->newnode);
        ns__finish_stat(op, &st);
    } else {
        ns__stat_node(op, op->newnode);
    }
}

static void lookup_step(struct ns_op *op)
{
    struct ns_node *dir = op->node;
    if (!op->newnode) {
        op->newnode = ns__own_child(dir, op->name);
    }
    if (op->newnode) {
        stat_node(op);
        return;
    }
    struct ns__obj *in;
    enum ns__found f = ns__find_in(op, dir, &in);
    if (f == NS__LATER) {
        return;
    }
    if (f == NS__ABSENT) {
        ns__nothing(op, dir);
        return;
    }
    struct ns_node *n = ns__node_cross(dir, op->found);
    if (!n) {
        ns__fail(op, CG_ENOMEM, "no memory for a node");
    } else if (n->mount) {
        op->newnode = n;
        stat_node(op);
    } else {
        ns__give(op, n, op->found);
    }
}

static struct ns_op *lookup(struct ns *ns, struct ns_node *dir, const char *name, bool bare,
                            ns_stat_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__STAT, lookup_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.stat = done;
    op->gives = true;
    op->bare = bare;
    ns__op_node(op, dir);
    ns__op_name(op, &op->name, name);
    return ns__op_start(op);
}

struct ns_op *ns__lookup_bare(struct ns *ns, struct ns_node *dir, const char *name,
                              ns_stat_done *done, void *aux)
{
    return lookup(ns, dir, name, true, done, aux);
}

struct ns_op *ns_lookup(struct ns *ns, struct ns_node *dir, const char *name, ns_stat_done *done,
                        void *aux)
{
    return lookup(ns, dir, name, false, done, aux);
}
