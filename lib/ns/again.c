/* again: what a predecessor had begun: its requests that are under way find the handles that they
 * are of, its handles go on, and what was done for one origin is not done again.
 */
#include "internal.h"

#include <string.h>

/* ---- handles ---- */

/* A handle whose opening was cut short is opened again when it is used. */
static void settle_file(struct ns_file *f, bool session)
{
    if (session && f->state == NS__OPEN && ninep_client_claim(f->obj->tree->client, f->fid)) {
        return;
    }
    if (f->creating && f->pending > 0) {
        (void)ninep_client_claim(f->obj->tree->client, f->fid); /* the create will tell */
        return;
    }
    if (f->creating) {
        f->creating = false;
        f->obj->dead = f->obj->settled ? CG_OK : CG_ESTALE;
        if (f->obj->dead) {
            ns__file_error(f, CG_EUNKNOWN, "the file's create was lost with the adapter");
        }
    }
    f->state = NS__CLOSED;
    f->fid = NINEP_NOFID;
    f->session = 0;
    f->chain = 0;
}

/* A session that is taken up is one whose link is down for a moment. */
void ns__tree_adopted(struct ns__tree *t, bool session)
{
    if (session) {
        ns__came_up(t);
        t->lost_ns = t->ns->config.env->now_ns(t->ns->config.env->ctx);
    }
    CG_LIST_EACH (it, &t->ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f->obj && f->obj->tree == t) {
            settle_file(f, session);
            ns__file_save(f);
        }
    }
}

/* ---- requests that are under way ---- */

static struct ns_file *file_of_fid(struct ns__tree *t, uint32_t fid)
{
    CG_LIST_EACH (it, &t->ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f->obj && f->obj->tree == t && f->fid == fid && fid != NINEP_NOFID) {
            return f;
        }
    }
    return NULL;
}

static void adopted_reply(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    (void)c;
    (void)e;
    (void)r; /* its outcome has been told */
}

static struct ns__call *new_call(struct ns__tree *t, const struct ninep_kept *k)
{
    struct ns__call *c = cg_zalloc(sizeof *c);
    if (c) {
        c->tree = t;
        t->refs++;
        c->type = k->type;
        c->origin = k->origin;
        c->session = t->session;
        c->lease_gen = t->lease_gen;
        c->reply = adopted_reply;
    }
    return c;
}

static void take_obj(struct ns__call *c, struct ns__obj **slot, struct ns__obj *o)
{
    *slot = o;
    ns__obj_ref(o);
    o->calls++;
    (void)c;
}

/* A write that was answered before the server did. */
static void adopt_write(struct ns__call *c, struct ns_file *f, uint32_t len)
{
    take_obj(c, &c->obj, f->obj);
    c->file = f;
    f->refs++;
    c->reply = ns__written;
    c->len = len;
    c->change = true;
    f->pending++;
    f->pending_bytes += len;
    c->tree->ns->write_bytes += len;
    ns__change_begin(c, c->obj);
    c->moment = c->tree->moment;
}

/* A create that was. */
static bool adopt_create(struct ns__call *c, struct ns_file *f, const struct ninep_tcreate *t)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct ns__obj *dir = f->obj->up;
    if (!dir || !cg_span_str(t->name, name, sizeof name) || !(c->name = cg_strdup(name))) {
        return false;
    }
    take_obj(c, &c->obj, dir);
    take_obj(c, &c->other, f->obj);
    c->file = f;
    f->refs++;
    c->reply = ns__created_early;
    c->change = true;
    f->pending++;
    ns__change_begin(c, c->obj);
    ns__change_begin(c, c->other);
    c->moment = c->tree->moment;
    return true;
}

/* Adds it to what origin waits for; lost: it will not be answered. */
static void tell_pending(struct ns *ns, const struct ninep_kept *k)
{
    if (k->origin && ns->config.pending) {
        ns->config.pending(ns->config.ctx, k->origin, k->type);
        if (!k->t) {
            ns->config.outcome(ns->config.ctx, k->origin, k->type, CG_EUNKNOWN, 0);
        }
    }
}

void ns__adopt_call(void *tree, const struct ninep_kept *k, ninep_done **done, void **aux)
{
    struct ns__tree *t = tree;
    tell_pending(t->ns, k);
    struct ns__call *c = k->t ? new_call(t, k) : NULL;
    if (!c) {
        return;
    }
    struct ns_file *f = k->type == NINEP_TWRITE    ? file_of_fid(t, k->t->write.fid)
                        : k->type == NINEP_TCREATE ? file_of_fid(t, k->newfid)
                                                   : NULL;
    if (f && k->type == NINEP_TWRITE && ns__cacheable(f->obj)) {
        adopt_write(c, f, k->t->write.data.len);
    } else if (f && f->creating) {
        (void)adopt_create(c, f, &k->t->create);
    }
    *done = ns__call_done;
    *aux = c;
}

/* ---- origins ---- */

void ns_origin(struct ns *ns, uint64_t origin)
{
    ns->origin = origin;
}

void ns_cancel_origin(struct ns *ns, uint64_t origin)
{
    CG_LIST_EACH (it, &ns->trees) {
        struct ns__tree *t = CG_CONTAINER(it, struct ns__tree, link);
        if (t->client) {
            ninep_client_cancel_origin(t->client, origin);
        }
    }
}

struct ns_file *ns_file_of_origin(struct ns *ns, uint64_t origin)
{
    CG_LIST_EACH (it, &ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f->origin == origin && f->obj && origin != 0) {
            return f;
        }
    }
    return NULL;
}

void ns_adopted_close(struct ns *ns, bool (*in_use)(void *ctx, uint64_t number), void *ctx)
{
    CG_LIST_EACH (it, &ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f->ownerless && !in_use(ctx, f->number)) {
            f->ownerless = false;
            ns_close(ns, f);
        }
    }
}

struct ns_op *ns_create_again(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                              uint32_t open_flags, uint64_t origin, ns_open_done *done, void *aux)
{
    struct ns_file *f = ns_file_of_origin(ns, origin);
    if (f) {
        struct ns_stat st;
        ns__stat_of(f->node, f->obj, &st);
        st.until_ns = 0;
        f->ownerless = false;
        ns_node_ref(f->node); /* the caller's, as with ns_create */
        done(aux, CG_OK, f, &st, false, !ns__cacheable(f->obj), "");
        return NULL;
    }
    return ns_create(ns, dir, name, mode,
                     open_flags & ~(uint32_t)(NINEP_OPEN_EXCL | NINEP_OPEN_TRUNC), done, aux);
}
