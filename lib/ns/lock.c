/* Requests on an open handle whose one reply ends the operation: locks, allocate, seek. */
#include "internal.h"

static void allocated(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->allocate.attr, false);
        ns__data_changed(c->op ? c->op->file : NULL, c->obj);
    }
    if (ns__decide(c, e) && c->op) {
        ns__finish(c->op);
    }
}

static void allocate_step(struct ns_op *op)
{
    struct ns__flight fl;
    struct ns__call *c;
    union ninep_tmsg *m = ns__on_handle(&fl, op, NINEP_TALLOCATE, allocated, &c);
    if (m) {
        c->change = op->changes = true;
        m->allocate.fid = op->file->fid;
        m->allocate.flags = op->flags;
        m->allocate.offset = op->offset;
        m->allocate.length = op->length;
        ns__flight_send(&fl);
    }
}

struct ns_op *ns_allocate(struct ns *ns, struct ns_file *f, uint32_t flags, uint64_t offset,
                          uint64_t length, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, allocate_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->flags = flags;
    op->offset = offset;
    op->length = length;
    ns__op_file(op, f);
    return ns__op_start(op);
}

static void sought(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (ns__decide(c, e) && c->op) {
        ns__finish_count(c->op, r->seek.offset);
    }
}

static void seek_step(struct ns_op *op)
{
    struct ns__flight fl;
    struct ns__call *c;
    union ninep_tmsg *m = ns__on_handle(&fl, op, NINEP_TSEEK, sought, &c);
    if (m) {
        m->seek.fid = op->file->fid;
        m->seek.whence = op->flags;
        m->seek.offset = op->offset;
        ns__flight_send(&fl);
    }
}

struct ns_op *ns_seek(struct ns *ns, struct ns_file *f, uint32_t whence, uint64_t offset,
                      ns_count_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__COUNT, seek_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, 0, "no memory for an operation");
        return NULL;
    }
    op->done.count = done;
    op->flags = whence;
    op->offset = offset;
    ns__op_file(op, f);
    return ns__op_start(op);
}

static void locked(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (!ns__decide(c, e) || !c->op) {
        return;
    }
    if (r->lock.granted) {
        ns__finish(c->op);
    } else {
        ns__fail(c->op, CG_EAGAIN, "another holds the lock");
    }
}

static void lock_step(struct ns_op *op)
{
    struct ns__flight fl;
    struct ns__call *c;
    union ninep_tmsg *m = ns__on_handle(&fl, op, NINEP_TLOCK, locked, &c);
    if (m) {
        op->changes = true;
        m->lock = op->t.lock;
        m->lock.fid = op->file->fid;
        ns__flight_send(&fl);
    }
}

struct ns_op *ns_lock(struct ns *ns, struct ns_file *f, const struct ninep_tlock *t, ns_done *done,
                      void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, lock_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->t.lock = *t;
    if (t->flags & NINEP_LOCKFLAG_WAIT) {
        op->deadline_ns = 0; /* until it is granted, or cancelled */
    }
    ns__op_file(op, f);
    return ns__op_start(op);
}

static void held_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    if (ns__decide(c, e) && c->op) {
        ns__finish_lock(c->op, &r->getlock);
    }
}

static void getlock_step(struct ns_op *op)
{
    struct ns__flight fl;
    struct ns__call *c;
    union ninep_tmsg *m = ns__on_handle(&fl, op, NINEP_TGETLOCK, held_came, &c);
    if (m) {
        m->getlock = op->t.getlock;
        m->getlock.fid = op->file->fid;
        ns__flight_send(&fl);
    }
}

struct ns_op *ns_getlock(struct ns *ns, struct ns_file *f, const struct ninep_tgetlock *t,
                         ns_lock_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__LOCK, getlock_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, "no memory for an operation");
        return NULL;
    }
    op->done.lock = done;
    op->t.getlock = *t;
    ns__op_file(op, f);
    return ns__op_start(op);
}
