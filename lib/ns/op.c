/* Operations and flights: how everything in lib/ns waits and ends.
 *
 * An operation's step runs from its start each time: what is already there passes, what is missing
 * is sent for or waited for. It is finished exactly once, by one of the finish functions; its done
 * may run before the public function returns, which then returns NULL. Calls that are still under
 * way when an operation ends lose their op and go on in the background, for the cache.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

struct ns_op *ns__op_new(struct ns *ns, enum ns__kind kind, void (*step)(struct ns_op *), void *aux)
{
    struct ns_op *op = ns->op_count < NS_OPS_MAX ? cg_zalloc(sizeof *op) : NULL;
    if (!op) {
        return NULL;
    }
    ns->op_count++;
    op->ns = ns;
    op->kind = kind;
    op->step = step;
    op->aux = aux;
    op->origin = ns->origin;
    op->trace = ns->trace;
    op->until_ns = UINT64_MAX;
    op->deadline_ns =
        ns->config.env->now_ns(ns->config.env->ctx) + (uint64_t)NS_DEADLINE_MS * 1000000;
    cg_list_init(&op->wait);
    cg_list_init(&op->calls);
    cg_list_push(&ns->ops, &op->link);
    return op;
}

static void op_free(struct ns_op *op)
{
    cg_list_del(&op->link);
    op->ns->op_count--;
    if (op->node) {
        ns__node_put(op->node);
    }
    if (op->newnode) {
        ns__node_put(op->newnode);
    }
    if (op->file) {
        ns__file_put(op->file);
    }
    if (op->found) {
        ns__obj_put(op->found);
    }
    if (op->tree) {
        ns__tree_put(op->tree);
    }
    ns__path_free(op->path);
    cg_free(op->name);
    cg_free(op->newname);
    if (!op->borrowed) {
        cg_free(op->data);
    }
    cg_free(op);
}

void ns__op_run(struct ns_op *op)
{
    if (op->canceled && !op->late) {
        ns__fail(op, CG_ECANCELED, "cancelled by its caller");
    } else if (op->err) {
        ns__fail(op, op->err, op->detail);
    } else {
        op->step(op);
    }
}

struct ns_op *ns__op_start(struct ns_op *op)
{
    op->starting = true;
    ns__op_run(op);
    op->starting = false;
    if (op->finished) {
        op_free(op);
        return NULL;
    }
    return op;
}

static void hurry(struct ns *ns)
{
    ns->lazy = false;
    CG_LIST_EACH (it, &ns->trees) {
        struct ns__tree *t = CG_CONTAINER(it, struct ns__tree, link);
        if (t->client) {
            ninep_client_hurry(t->client);
        }
    }
}

void ns__op_park(struct ns_op *op, struct cg_list *waiters)
{
    cg_list_del(&op->wait);
    cg_list_push(waiters, &op->wait);
    if (op->ns->lazy) {
        hurry(op->ns);
    }
}

void ns__wake(struct cg_list *waiters)
{
    if (cg_list_empty(waiters)) {
        return;
    }
    struct cg_list now; /* a step may park its operation on waiters again */
    cg_list_init(&now);
    now.next = waiters->next;
    now.prev = waiters->prev;
    now.next->prev = now.prev->next = &now;
    cg_list_init(waiters);
    while (!cg_list_empty(&now)) {
        struct ns_op *op = CG_CONTAINER(now.next, struct ns_op, wait);
        cg_list_del(&op->wait);
        ns__op_run(op);
    }
}

void ns__note(struct ns_op *op, cg_err e, const char *detail)
{
    if (op->err == CG_OK && e != CG_OK) {
        op->err = e;
        snprintf(op->detail, sizeof op->detail, "%s", detail ? detail : "");
    }
}

void ns__op_leave(struct ns_op *op)
{
    if (op->file) {
        ns__file_save(op->file);
    }
    cg_list_del(&op->wait);
    CG_LIST_EACH (it, &op->calls) {
        struct ns__call *c = CG_CONTAINER(it, struct ns__call, link);
        cg_list_del(&c->link);
        c->op = NULL;
    }
    ns__barrier_drop(op);
}

static void detach(struct ns_op *op)
{
    cg_assert(!op->finished);
    op->finished = true;
    ns__op_leave(op);
}

static void leave(struct ns_op *op)
{
    if (!op->starting) {
        op_free(op);
    }
}

void ns__fail(struct ns_op *op, cg_err e, const char *detail)
{
    ns__note(op, e, detail);
    detach(op);
    struct ns_stat absent = {.until_ns = op->until_ns == UINT64_MAX ? 0 : op->until_ns};
    absent.hold = op->gives && op->err == CG_ENOENT && ns__hold(op->node, absent.until_ns);
    switch (op->kind) {
    case NS__DONE:
        op->done.done(op->aux, op->err, op->detail);
        break;
    case NS__STAT:
        op->done.stat(op->aux, op->err, op->err == CG_ENOENT ? &absent : NULL, op->detail);
        break;
    case NS__DATA:
        op->done.data(op->aux, op->err, NULL, 0, op->detail);
        break;
    case NS__COUNT:
        op->done.count(op->aux, op->err, 0, op->detail);
        break;
    case NS__OPENED:
        op->done.open(op->aux, op->err, NULL, NULL, false, false, op->detail);
        break;
    case NS__STATFS:
        op->done.statfs(op->aux, op->err, NULL, op->detail);
        break;
    case NS__LOCK:
        op->done.lock(op->aux, op->err, NULL, op->detail);
        break;
    }
    leave(op);
}

void ns__finish(struct ns_op *op)
{
    if (ns__late(op, &(struct ns__outcome){0})) {
        return;
    }
    detach(op);
    op->done.done(op->aux, CG_OK, "");
    leave(op);
}

void ns__finish_stat(struct ns_op *op, const struct ns_stat *st)
{
    if (ns__late(op, &(struct ns__outcome){.st = *st})) {
        return;
    }
    detach(op);
    op->done.stat(op->aux, CG_OK, st, "");
    leave(op);
}

void ns__finish_data(struct ns_op *op, const void *data, size_t len)
{
    detach(op);
    op->done.data(op->aux, CG_OK, data, len, "");
    leave(op);
}

void ns__finish_count(struct ns_op *op, uint64_t count)
{
    detach(op);
    op->done.count(op->aux, CG_OK, count, "");
    leave(op);
}

void ns__finish_open(struct ns_op *op, struct ns_file *f, const struct ns_stat *st, bool keep,
                     bool direct)
{
    ns__file_save(f);
    if (ns__late(op, &(struct ns__outcome){*st, f, keep, direct})) {
        return;
    }
    detach(op);
    op->done.open(op->aux, CG_OK, f, st, keep, direct, "");
    leave(op);
}

void ns__finish_statfs(struct ns_op *op)
{
    detach(op);
    op->done.statfs(op->aux, CG_OK, &op->statfs, "");
    leave(op);
}

void ns__finish_lock(struct ns_op *op, const struct ninep_rgetlock *held)
{
    detach(op);
    op->done.lock(op->aux, CG_OK, held, "");
    leave(op);
}

bool ns__op_name(struct ns_op *op, char **slot, const char *name)
{
    if (!cg_name_ok(cg_span_of(name))) {
        size_t len = strlen(name);
        ns__note(op, len > NINEP_NAME_BYTES_MAX ? CG_ENAMETOOLONG : CG_EINVAL,
                 "not a name: it must be one element of a path, of at most 255 bytes");
        return false;
    }
    *slot = cg_strdup(name);
    if (!*slot) {
        ns__note(op, CG_ENOMEM, "no memory for the name");
    }
    return *slot;
}

void ns__op_node(struct ns_op *op, struct ns_node *n)
{
    ns_node_ref(n);
    op->node = n;
}

void ns__op_file(struct ns_op *op, struct ns_file *f)
{
    f->refs++;
    op->file = f;
}

void ns_trace(struct ns *ns, uint64_t trace)
{
    ns->trace = trace;
}

void ns_cancel(struct ns *ns, struct ns_op *op)
{
    cg_assert(!op->finished);
    op->canceled = true;
    if (op->late) { /* it is done: its caller does not wait for what others hold */
        op->late_ns = 0;
        ns__op_run(op);
        return;
    }
    if (cg_list_empty(&op->calls)) {
        ns__fail(op, CG_ECANCELED, "cancelled by its caller");
        return;
    }
    (void)ns;
    CG_LIST_EACH (it, &op->calls) {
        struct ns__call *c = CG_CONTAINER(it, struct ns__call, link);
        ninep_client_cancel(c->tree->client, c->handle);
    }
}

/* ---- calls */

static void call_free(struct ns__call *c)
{
    if (c->op) {
        cg_list_del(&c->link);
    }
    if (c->obj) {
        c->obj->calls--;
        ns__obj_put(c->obj);
    }
    if (c->other) {
        c->other->calls--;
        ns__obj_put(c->other);
    }
    if (c->file) {
        ns__file_put(c->file);
    }
    if (c->guess) {
        c->guess->guess = NULL;
    }
    if (c->block) { /* unanswered, because the namespace ends */
        ns__block_free(c->tree->ns, c->block);
    }
    cg_free(c->name);
    cg_free(c->newname);
    ns__tree_put(c->tree);
    cg_free(c);
}

static void call_end(struct ns__call *c, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (!c->tree->ns->closing) {
        if (c->op && e != CG_ESKIPPED) {
            ns__note(c->op, e, detail);
        }
        c->detail = detail;
        c->reply(c, e, r);
        if (c->file) {
            ns__file_save(c->file);
        }
        if (c->change) {
            ns__change_end(c, c->obj);
            if (c->other) {
                ns__change_end(c, c->other);
            }
        }
    }
    call_free(c);
}

void ns__call_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ns__call *c = aux;
    struct ns *ns = c->tree->ns;
    if (c->origin && ns->config.outcome && !ns->closing) {
        uint64_t count = c->type == NINEP_TWRITE && !e ? r->write.count : 0;
        ns->config.outcome(ns->config.ctx, c->origin, c->type, e, count);
    }
    call_end(c, e, r, detail);
    if (!ns->closing) {
        ns__trim(ns);
    }
}

bool ns__decide(struct ns__call *c, cg_err e)
{
    struct ns_op *op = c->op;
    if (!op) {
        return e == CG_OK;
    }
    if (e == CG_OK && op->err == CG_OK) {
        return true;
    }
    bool lost = op->err == CG_ESESSION || (op->err == CG_EUNKNOWN && !op->changes);
    if (lost && c->session != c->tree->session && !op->canceled && op->retries++ < NS_RETRIES_MAX) {
        op->err = CG_OK;
        cg_list_del(&c->link);
        c->op = NULL;
        ns__op_run(op);
        return false;
    }
    ns__fail(op, e, c->detail);
    return false;
}

void ns__again(struct ns__call *c)
{
    struct ns_op *op = c->op;
    if (op) {
        cg_list_del(&c->link);
        c->op = NULL;
        ns__op_run(op);
    }
}

void ns__flight_init(struct ns__flight *f, struct ns_op *op, struct ns__tree *tree)
{
    f->op = op;
    f->tree = tree;
    f->n = 0;
    f->chain = 0;
    f->lazy = false;
}

union ninep_tmsg *ns__flight_add(struct ns__flight *f, uint8_t type, struct ns__obj *obj,
                                 struct ns__obj *other, ns__reply *reply, struct ns__call **call)
{
    cg_assert(f->n < NS_FLIGHT_MAX);
    struct ns__call *c = cg_zalloc(sizeof *c);
    if (!c) {
        if (f->op) {
            ns__note(f->op, CG_ENOMEM, "no memory for a request");
        }
        return NULL;
    }
    c->tree = f->tree;
    c->tree->refs++;
    c->obj = obj;
    c->other = other;
    c->reply = reply;
    c->type = type;
    if (obj) {
        ns__obj_ref(obj);
        obj->calls++;
    }
    if (other) {
        ns__obj_ref(other);
        other->calls++;
    }
    struct ninep_call *m = &f->msgs[f->n];
    memset(m, 0, sizeof *m);
    m->type = type;
    m->done = ns__call_done;
    m->aux = c;
    f->calls[f->n++] = c;
    if (call) {
        *call = c;
    }
    return &m->t;
}

void ns__await(struct ns__call *c, struct ns_op *op)
{
    c->op = op;
    cg_list_push(&op->calls, &c->link);
}

void ns__flight_drop(struct ns__flight *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->calls[i]->walks) {
            f->calls[i]->obj->fid_state = NS__FID_NONE;
        }
        call_free(f->calls[i]);
    }
    f->n = 0;
}

/* Does the request change something, so that it must not be made again for one origin? A request
 * that only opens is made again. */
static bool is_change(const struct ns__call *c)
{
    return c->type == NINEP_TOPEN
               ? c->change
               : c->type != NINEP_TWALK && ninep_type_class(c->type) == NINEP_CLASS_ONCE;
}

/* Once a link has been down for as long as an operation may take, nobody waits for it any more: the
 * kernel asks twice for one open, and a program opens many files. */
static uint32_t time_left_ms(const struct ns_op *op, const struct ns__tree *t)
{
    const struct cg_env *env = op->ns->config.env;
    uint64_t now = env->now_ns(env->ctx), end = op->deadline_ns;
    uint64_t patience = t->lost_ns + (uint64_t)NS_DEADLINE_MS * 1000000;
    if (end == 0) {
        return UINT32_MAX;
    }
    uint64_t least = now + (uint64_t)NS_RETRY_MS * 1000000; /* it may be back at this very moment */
    patience = patience < least ? least : patience;
    end = t->lost_ns && patience < end ? patience : end;
    return end <= now ? 1 : (uint32_t)((end - now) / 1000000) + 1;
}

void ns__flight_send(struct ns__flight *f)
{
    struct ns__tree *t = f->tree;
    bool own = f->n > 1 && f->chain == 0;
    uint32_t chain = own ? ninep_client_chain(t->client) : f->chain;
    struct ns__call *failed[NS_FLIGHT_MAX];
    uint32_t fails = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        struct ns__call *c = f->calls[i];
        struct ninep_call *m = &f->msgs[i];
        m->chain = chain;
        m->trace = f->op ? f->op->trace : 0;
        m->last = own && i + 1 == f->n;
        c->session = t->session;
        c->lease_gen = t->lease_gen;
        if (c->change) {
            ns__change_begin(c, c->obj);
            if (c->other) {
                ns__change_begin(c, c->other);
            }
        }
        c->moment = t->moment;
        m->lazy = f->lazy;
        m->origin = c->origin = f->op && is_change(c) ? f->op->origin : 0;
        if (c->file) {
            ns__file_save(c->file);
        }
        if (c->op) {
            m->deadline_ms = time_left_ms(c->op, t);
        }
        c->handle = ninep_client_call(t->client, m);
        if (c->handle == 0) {
            failed[fails++] = c;
        }
    }
    f->n = 0;
    t->ns->lazy = t->ns->lazy || f->lazy;
    for (uint32_t i = 0; i < fails; i++) {
        call_end(failed[i], CG_ENOMEM, NULL, "no memory for a request");
    }
}
