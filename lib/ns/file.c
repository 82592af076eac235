/* Handles: opening, and opening again after a lost session.
 *
 * A handle for reading whose file's rights are known needs no server: it is opened there when the
 * first bytes are asked for that the cache does not have, in the same flight. A handle holds its
 * node; every call for it holds the handle, so that it ends after its last answer.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

struct ns_file *ns__file_new(struct ns_node *n, struct ns__obj *o, uint32_t flags)
{
    struct ns_file *f = cg_zalloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    f->refs = 1;
    f->number = ++n->ns->file_last;
    f->origin = n->ns->origin;
    f->flags = flags;
    f->fid = NINEP_NOFID;
    cg_list_init(&f->of);
    cg_list_init(&f->waiters);
    cg_list_init(&f->blocks);
    cg_list_init(&f->beside);
    cg_map_init(&f->seen, 2 * sizeof(uint64_t));
    ns_node_ref(n);
    f->node = n;
    if (o) {
        ns__obj_ref(o);
        o->tree->refs++;
        f->obj = o;
        cg_list_push(&o->files, &f->of);
    }
    cg_list_push(&n->ns->files, &f->link);
    return f;
}

static void file_free(struct ns_file *f)
{
    struct ns__obj *o = f->obj;
    ns__unsave(f->node->ns, f->saved);
    ns__ahead_drop(f);
    ns__entries_drop(f);
    cg_map_fini(&f->seen);
    cg_list_del(&f->link);
    cg_list_del(&f->of);
    if (o) {
        struct ns__tree *t = o->tree;
        if (f->fid != NINEP_NOFID && f->session == t->session && t->client) {
            ninep_client_clunk(t->client, f->fid);
        }
        ns__obj_put(o);
        ns__tree_put(t);
    }
    ns__node_put(f->node);
    cg_free(f);
}

void ns__file_put(struct ns_file *f)
{
    cg_assert(f->refs > 0);
    if (--f->refs == 0) {
        file_free(f);
    }
}

void ns_close(struct ns *ns, struct ns_file *f)
{
    (void)ns;
    ns__file_put(f);
}

struct ns_node *ns_file_node(const struct ns_file *f)
{
    return f->node;
}

void ns__file_error(struct ns_file *f, cg_err e, const char *detail)
{
    if (f->error == CG_OK) {
        f->error = e;
        snprintf(f->detail, sizeof f->detail, "%s", detail ? detail : "");
    }
}

void ns__data_changed(struct ns_file *f, struct ns__obj *o)
{
    ns__contents_drop(o);
    CG_LIST_EACH (it, &o->files) {
        ns__ahead_drop(CG_CONTAINER(it, struct ns_file, of));
    }
    ns__tell(o, NS_INVAL_DATA, f ? f->node : NULL);
}

bool ns__keep(struct ns_node *n, struct ns__obj *o)
{
    bool leased = ns__attr_ok(o);
    bool keep = leased && n->data_serial == o->lease_serial;
    n->data_serial = leased ? o->lease_serial : 0;
    return keep;
}

const void *ns_file_contents(const struct ns_file *f, uint32_t *len)
{
    struct ns__obj *o = f->obj;
    bool alone = o && o->files.next == &f->of && o->files.prev == &f->of;
    if (!alone || (f->flags & 3) != NINEP_OPEN_READ || !ns__contents_ok(o) ||
        o->contents->len == 0 || o->contents->len != o->attr.size) {
        return NULL;
    }
    *len = o->contents->len;
    return o->contents->data;
}

/* ---- opening on the server */

static void opened(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_file *f = c->file;
    bool right = e == CG_OK && c->session == c->obj->tree->session && !(c->op && c->op->err);
    if (right) {
        f->state = NS__OPEN;
        f->was_open = true;
        f->iounit = r->open.iounit;
        ns__learn_obj(c, c->obj, &r->open.attr, r->open.lease == NINEP_LEASE_READ);
        if (r->open.whole) {
            ns__learn_contents(c, c->obj, r->open.inline_);
        }
    } else {
        f->state = NS__CLOSED;
        if (c->session == c->obj->tree->session) {
            ninep_client_clunk(c->obj->tree->client, f->fid);
        }
        f->fid = NINEP_NOFID;
    }
    ns__file_save(f);
    ns__wake(&f->waiters);
}

/* Walk and Topen into the flight. */
static bool add_open(struct ns__flight *fl, struct ns_file *f, uint32_t want)
{
    struct ns__obj *o = f->obj;
    bool trunc = f->flags & NINEP_OPEN_TRUNC && !f->was_open;
    uint32_t fid;
    if (trunc && !ns__fid(fl, o, true, &fid)) {
        return false;
    }
    fid = ninep_client_fid(o->tree->client);
    struct ns__call *c = NULL;
    union ninep_tmsg *m = NULL;
    if (ns__walk_to(fl, o, trunc, fid)) {
        m = ns__flight_add(fl, NINEP_TOPEN, o, NULL, opened, &c);
    }
    if (!m) {
        if (fid != NINEP_NOFID) {
            ninep_client_clunk(o->tree->client, fid);
        }
        ns__flight_drop(fl);
        ns__fail(fl->op, fl->op->err, fl->op->detail);
        return false;
    }
    ns__await(c, fl->op);
    f->refs++;
    c->file = f;
    c->change = trunc;
    fl->op->changes = fl->op->changes || trunc;
    f->fid = m->open.fid = fid;
    f->session = o->tree->session;
    f->state = NS__OPENING;
    m->open.flags = f->was_open ? f->flags & ~(uint32_t)NINEP_OPEN_TRUNC : f->flags;
    m->open.want = want;
    m->open.inline_max = NS_INLINE_BYTES;
    return true;
}

bool ns__file_ready(struct ns__flight *fl, struct ns_file *f)
{
    if (f->state == NS__OPENING) {
        ns__flight_drop(fl);
        ns__op_park(fl->op, &f->waiters);
        return false;
    }
    if (f->state == NS__OPEN && f->session == f->obj->tree->session) {
        return true;
    }
    f->fid = NINEP_NOFID;
    return add_open(fl, f, NINEP_WANT_LEASE);
}

/* ---- the operation */

static void give_open(struct ns_op *op, struct ns_file *f)
{
    struct ns__obj *o = f->obj;
    struct ns_stat st;
    bool direct = o && (!ns__cacheable(o) || f->flags & NINEP_OPEN_DIRECT);
    bool keep = o && !direct && ns__keep(f->node, o);
    ns__stat_of(f->node, o, &st);
    f->refs++; /* the caller's */
    ns__finish_open(op, f, &st, keep, direct);
}

/* The Topen's own reply has set the handle; this one ends the operation. */
static void open_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    opened(c, e, r);
    if (e == CG_OK && c->change) {
        ns__data_changed(c->file, c->obj);
    }
    if (ns__decide(c, e) && op) {
        give_open(op, c->file);
    }
}

static void open_dir(struct ns_op *op, struct ns__obj *o)
{
    bool known = !o || ns__attr_ok(o) || op->index > 0;
    if (!known) { /* ask for its rights first, once */
        op->index = 1;
        ns__refresh(op, o);
        return;
    }
    if ((op->flags & 3) != NINEP_OPEN_READ) {
        ns__fail(op, CG_EISDIR, "a directory cannot be opened for writing");
        return;
    }
    if (o && !(o->attr.rights & NINEP_RIGHTS_READ)) {
        ns__fail(op, CG_EACCES, "the directory may not be listed");
        return;
    }
    struct ns_file *f = ns__file_new(op->node, NULL, op->flags);
    if (!f) {
        ns__fail(op, CG_ENOMEM, "no memory for a handle");
        return;
    }
    struct ns_stat st;
    ns__stat_of(op->node, o, &st);
    ns__finish_open(op, f, &st, false, false);
}

static void open_step(struct ns_op *op)
{
    struct ns__obj *o;
    if (!ns__node_obj(op, op->node, &o)) {
        return;
    }
    if (!o || (o->attr.mode & S_IFMT) == S_IFDIR) {
        open_dir(op, o);
        return;
    }
    if (op->flags & NINEP_OPEN_DIRECTORY) {
        ns__fail(op, CG_ENOTDIR, "not a directory");
        return;
    }
    if (!ns__quiet(op, o)) {
        return;
    }
    struct ns_file *f = ns__file_new(op->node, o, op->flags);
    if (!f) {
        ns__fail(op, CG_ENOMEM, "no memory for a handle");
        return;
    }
    bool plain = (op->flags & (3 | NINEP_OPEN_TRUNC | NINEP_OPEN_DIRECT)) == NINEP_OPEN_READ;
    if (plain && ns__cacheable(o) && ns__may(o, NINEP_RIGHTS_READ)) {
        give_open(op, f);
    } else {
        struct ns__flight fl;
        ns__flight_init(&fl, op, o->tree);
        if (add_open(&fl, f, NINEP_WANT_LEASE | (plain ? NINEP_WANT_INLINE : 0))) {
            fl.calls[fl.n - 1]->reply = open_came;
            ns__flight_send(&fl);
        }
    }
    ns__file_put(f);
}

struct ns_op *ns_open(struct ns *ns, struct ns_node *n, uint32_t open_flags, ns_open_done *done,
                      void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__OPENED, open_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, NULL, false, false, "no memory for an operation");
        return NULL;
    }
    op->done.open = done;
    op->flags = open_flags;
    ns__op_node(op, n);
    return ns__op_start(op);
}
