/* Writing: sent at once, answered to the writer at once, told at flush when it went wrong.
 *
 * All that a handle changes goes into its chain, so that it happens in order and nothing happens
 * after the first error. At most NS_WRITE_BYTES_MAX of a handle are unanswered before its writer
 * waits. A chain that failed is closed with a last request when all of it is answered, and the next
 * write begins another. Files that must not be cached are written synchronously: there each write
 * is a message with an answer of its own.
 */
#include "internal.h"

#include <string.h>

static void ignored(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    (void)c;
    (void)e;
    (void)r;
}

/* The server keeps a failed chain until its last request: this is it. */
static void end_chain(struct ns_file *f)
{
    struct ns__tree *t = f->obj->tree;
    if (f->session == t->session && t->client) {
        struct ns__flight fl;
        ns__flight_init(&fl, NULL, t);
        fl.chain = f->chain;
        union ninep_tmsg *m = ns__flight_add(&fl, NINEP_TGETATTR, f->obj, NULL, ignored, NULL);
        if (m) {
            m->getattr.fid = ninep_client_root(t->client);
            fl.msgs[0].last = true;
            ns__flight_send(&fl);
        }
    }
    f->broken_chain = false;
    f->chain = 0;
}

bool ns__chain(struct ns_op *op, struct ns_file *f)
{
    if (f->broken_chain && f->pending > 0) {
        ns__op_park(op, &f->waiters);
        return false;
    }
    if (f->broken_chain) {
        end_chain(f);
    }
    if (f->chain == 0) {
        f->chain = ninep_client_chain(f->obj->tree->client);
    }
    return true;
}

static uint32_t room_of(const struct ns_file *f)
{
    return ninep_client_msize(f->obj->tree->client) - 128; /* header and fixed fields */
}

void ns__written(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_file *f = c->file;
    f->pending--;
    f->pending_bytes -= c->len;
    f->node->ns->write_bytes -= c->len;
    if (e == CG_OK && r->write.count == c->len) {
        ns__learn_obj(c, c->obj, &r->write.attr, false);
    } else {
        f->broken_chain = true;
        if (e != CG_ESKIPPED) {
            ns__file_error(f, e ? e : CG_ENOSPC, e ? c->detail : "only a part was written");
        }
    }
    ns__file_save(f); /* before anything is sent: that ends what is known of this request */
    if (f->broken_chain && f->pending == 0) {
        end_chain(f);
    }
    ns__wake(&f->waiters);
}

static bool send_piece(struct ns__flight *fl, struct ns_file *f, uint64_t offset,
                       struct cg_span data, ns__reply *reply)
{
    struct ns__call *c;
    union ninep_tmsg *m = ns__flight_add(fl, NINEP_TWRITE, f->obj, NULL, reply, &c);
    if (!m) {
        return false;
    }
    c->change = true;
    c->len = data.len;
    c->file = f;
    f->refs++;
    m->write.fid = f->fid;
    m->write.offset = offset;
    m->write.data = data;
    if (reply != ns__written) {
        ns__await(c, fl->op);
        return true;
    }
    f->pending++;
    f->pending_bytes += data.len;
    f->node->ns->write_bytes += data.len;
    ns__flight_send(fl);
    return true;
}

/* Sends it all in the handle's chain. */
static bool send_behind(struct ns_op *op, struct ns_file *f)
{
    uint32_t room = room_of(f);
    for (uint32_t at = 0; at < op->count;) {
        struct ns__flight fl;
        uint32_t n = op->count - at < room ? op->count - at : room;
        ns__flight_init(&fl, op, f->obj->tree);
        fl.chain = f->chain;
        fl.lazy = true;
        if (!send_piece(&fl, f, op->offset + at, (struct cg_span){(uint8_t *)op->data + at, n},
                        ns__written)) {
            ns__file_error(f, CG_ENOMEM, "no memory for a write");
            f->broken_chain = true;
            return false;
        }
        at += n;
    }
    return true;
}

static void answered(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->write.attr, false);
    }
    if (ns__decide(c, e) && op) {
        ns__finish_count(op, r->write.count);
    }
}

static void write_sync(struct ns_op *op, struct ns_file *f)
{
    struct ns__flight fl;
    uint32_t room = room_of(f);
    struct cg_span data = {op->data, op->count < room ? op->count : room};
    ns__flight_init(&fl, op, f->obj->tree);
    if (!ns__file_ready(&fl, f)) {
        return;
    }
    op->changes = true;
    if (!send_piece(&fl, f, op->offset, data, answered)) {
        ns__flight_drop(&fl);
        ns__fail(op, op->err, op->detail);
        return;
    }
    ns__flight_send(&fl);
}

static bool told_error(struct ns_op *op, struct ns_file *f)
{
    if (f->error == CG_OK) {
        return false;
    }
    cg_err e = f->error;
    ns__note(op, e, f->detail);
    if (!f->obj || f->obj->dead == CG_OK) {
        f->error = CG_OK; /* told once; a file that was never made stays so */
    }
    ns__fail(op, e, NULL);
    return true;
}

static void write_step(struct ns_op *op)
{
    struct ns_file *f = op->file;
    struct ns__obj *o = f->obj;
    if (op->index > 0) { /* sent; it waits until few enough bytes are unanswered */
        if (f->pending_bytes > NS_WRITE_BYTES_MAX) {
            ns__op_park(op, &f->waiters);
        } else if (!told_error(op, f)) {
            ns__finish_count(op, op->count);
        }
        return;
    }
    if (!o) {
        ns__fail(op, CG_EISDIR, "a directory cannot be written");
        return;
    }
    if (told_error(op, f) || !ns__tree_up(op, o->tree)) {
        return;
    }
    bool mine = f->pending == o->pending; /* what is under way is in this chain */
    if (!ns__cacheable(o)) {
        write_sync(op, f);
        return;
    }
    if (o->barriers > 0 && op->barrier != o) { /* others waited first */
        ns__op_park(op, &o->waiters);
        return;
    }
    if (op->ns->write_bytes > NS_WRITE_ALL_MAX && f->pending > 0) {
        ns__op_park(op, &f->waiters);
        return;
    }
    if ((!mine && !ns__quiet(op, o)) || !ns__chain(op, f)) {
        return;
    }
    if (f->session != o->tree->session || (f->state != NS__OPEN && !f->creating)) {
        struct ns__flight fl;
        ns__flight_init(&fl, op, o->tree);
        if (ns__file_ready(&fl, f)) { /* open it again, then come back */
            ns__op_park(op, &f->waiters);
            ns__flight_send(&fl);
        }
        return;
    }
    op->index = 1;
    ns__data_changed(f, o);
    if (send_behind(op, f) && f->pending_bytes <= NS_WRITE_BYTES_MAX) {
        ns__finish_count(op, op->count);
    } else {
        write_step(op);
    }
}

static void own_data(struct ns_op *op)
{
    void *copy = cg_alloc(op->count ? op->count : 1);
    if (!copy) {
        ns__note(op, CG_ENOMEM, "no memory for a write");
        return;
    }
    if (op->count) {
        memcpy(copy, op->data, op->count);
    }
    op->data = copy;
    op->borrowed = false;
}

struct ns_op *ns_write(struct ns *ns, struct ns_file *f, uint64_t offset, const void *data,
                       uint32_t len, ns_count_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__COUNT, write_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, 0, "no memory for an operation");
        return NULL;
    }
    op->done.count = done;
    op->offset = offset;
    op->count = len;
    op->data = (void *)(uintptr_t)data; /* the caller's, until this returns */
    op->borrowed = true;
    ns__op_file(op, f);
    op = ns__op_start(op);
    if (op && op->index == 0) { /* not sent yet */
        own_data(op);
    }
    return op;
}

/* ---- flush, fsync */

static bool all_answered(struct ns_op *op, struct ns_file *f)
{
    if (f->pending > 0) {
        ns__op_park(op, &f->waiters);
        return false;
    }
    return !told_error(op, f);
}

static void flush_step(struct ns_op *op)
{
    if (all_answered(op, op->file)) {
        ns__finish(op);
    }
}

struct ns_op *ns_flush(struct ns *ns, struct ns_file *f, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, flush_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    ns__op_file(op, f);
    return ns__op_start(op);
}

static void decided(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    (void)r;
    if (ns__decide(c, e) && c->op) {
        ns__finish(c->op);
    }
}

union ninep_tmsg *ns__on_handle(struct ns__flight *fl, struct ns_op *op, uint8_t type,
                                ns__reply *reply, struct ns__call **call)
{
    struct ns_file *f = op->file;
    if (!f->obj) {
        ns__fail(op, CG_EISDIR, "a directory does not support this");
        return NULL;
    }
    if (!ns__tree_up(op, f->obj->tree) || !ns__quiet(op, f->obj)) {
        return NULL;
    }
    ns__flight_init(fl, op, f->obj->tree);
    if (!ns__file_ready(fl, f)) {
        return NULL;
    }
    union ninep_tmsg *m = ns__flight_add(fl, type, f->obj, NULL, reply, call);
    if (!m) {
        ns__flight_drop(fl);
        ns__fail(op, op->err, op->detail);
        return NULL;
    }
    ns__await(*call, op);
    return m;
}

static void fsync_step(struct ns_op *op)
{
    struct ns_file *f = op->file;
    struct ns__flight fl;
    struct ns__call *c;
    if (!all_answered(op, f)) {
        return;
    }
    if (!f->obj) {
        struct ns__obj *dir;
        uint32_t fid;
        if (!ns__node_obj(op, f->node, &dir)) {
            return;
        }
        if (!dir) {
            ns__finish(op);
            return;
        }
        ns__flight_init(&fl, op, dir->tree);
        if (!ns__quiet(op, dir) || !ns__fid(&fl, dir, false, &fid)) {
            return;
        }
        union ninep_tmsg *m = ns__flight_add(&fl, NINEP_TFSYNC, dir, NULL, decided, &c);
        if (!m) {
            ns__flight_drop(&fl);
            ns__fail(op, op->err, op->detail);
            return;
        }
        ns__await(c, op);
        m->fsync.fid = fid;
        ns__flight_send(&fl);
        return;
    }
    union ninep_tmsg *m = ns__on_handle(&fl, op, NINEP_TFSYNC, decided, &c);
    if (m) {
        m->fsync.fid = f->fid;
        m->fsync.dataonly = op->flags;
        ns__flight_send(&fl);
    }
}

struct ns_op *ns_fsync(struct ns *ns, struct ns_file *f, bool dataonly, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, fsync_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->flags = dataonly;
    ns__op_file(op, f);
    return ns__op_start(op);
}
