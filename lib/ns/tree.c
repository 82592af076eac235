/* Trees: one attached client each; its life, its lease clock, and the fids walked on it.
 *
 * A tree is dialled when it is first touched, and again when it is touched after a failure, not
 * more than once in NS_RETRY_MS. A lost link is the client's matter. A lost session (the server
 * forgot us) ends all fids and leases: both carry the number of the session or generation they
 * belong to, so nothing is searched for. Fids are then walked again by the path that led to the
 * object, and the identity at its end is compared.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static uint64_t now_ns(const struct ns *ns)
{
    return ns->config.env->now_ns(ns->config.env->ctx);
}

static uint64_t name_seed(const char *node, const char *service, const char *name)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a, 64 bits */
    const char *parts[] = {node, service, name};
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i];; p++) {
            h = (h ^ (uint8_t)*p) * 0x100000001b3;
            if (*p == '\0') {
                break;
            }
        }
    }
    return h;
}

static struct ns__tree *tree_new(struct ns *ns, const char *node, const char *service,
                                 const char *name, const char *ticket)
{
    struct ns__tree *t = cg_zalloc(sizeof *t);
    if (!t) {
        return NULL;
    }
    t->ns = ns;
    t->node = cg_strdup(node);
    t->service = cg_strdup(service);
    t->name = cg_strdup(name);
    t->ticket = ticket ? cg_strdup(ticket) : NULL;
    t->seed = name_seed(node, service, name);
    t->number = ++ns->tree_last;
    cg_map_init(&t->objs, sizeof(struct ns__xkey));
    cg_map_init(&t->names, 2 * sizeof(uint64_t));
    cg_list_init(&t->fids);
    cg_list_init(&t->waiters);
    cg_list_push(&ns->trees, &t->link);
    ns->tree_count++;
    if (!t->node || !t->service || !t->name || (ticket && !t->ticket)) {
        ns__tree_free(t);
        return NULL;
    }
    ns__save_tree(t);
    return t;
}

static bool same_ticket(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

cg_err ns__tree_get(struct ns *ns, const char *node, const char *service, const char *name,
                    const char *ticket, struct ns__tree **out)
{
    CG_LIST_EACH (it, &ns->trees) {
        struct ns__tree *t = CG_CONTAINER(it, struct ns__tree, link);
        if (strcmp(t->node, node) == 0 && strcmp(t->service, service) == 0 &&
            strcmp(t->name, name) == 0 && same_ticket(t->ticket, ticket)) {
            t->refs++;
            *out = t;
            return CG_OK;
        }
    }
    if (ns->tree_count >= NS_TREES_MAX) {
        return CG_ELIMIT;
    }
    *out = tree_new(ns, node, service, name, ticket);
    if (!*out) {
        return CG_ENOMEM;
    }
    (*out)->refs = 1;
    return CG_OK;
}

void ns__tree_put(struct ns__tree *t)
{
    cg_assert(t->refs > 0);
    t->refs--; /* ns__tree_tick ends the session of a tree that nobody needs */
}

static void end_session(struct ns__tree *t)
{
    t->session++;
    t->fid_count = 0;
    while (!cg_list_empty(&t->fids)) {
        struct ns__obj *o = CG_CONTAINER(t->fids.next, struct ns__obj, fid_link);
        cg_list_del(&o->fid_link);
        o->fid_state = NS__FID_NONE;
    }
    ns__tree_drop(t);
}

void ns__tree_end(struct ns__tree *t)
{
    struct ninep_client *c = t->client;
    if (c) {
        end_session(t);
        t->ns->config.undial(t->ns->config.ctx, c);
        t->client = NULL;
    }
}

void ns__tree_free(struct ns__tree *t)
{
    ns__tree_end(t);
    ns__held_drop(t->ns, t);
    if (t->root) {
        ns__obj_put(t->root);
    }
    uint32_t cursor = 0;
    struct ns__obj *o;
    while ((o = cg_map_next(&t->objs, &cursor)) != NULL) {
        ns__names_drop(o);
    }
    cursor = 0;
    while ((o = cg_map_next(&t->objs, &cursor)) != NULL) {
        ns__obj_free(o);
    }
    cg_map_fini(&t->objs);
    cg_map_fini(&t->names);
    ns__unsave(t->ns, t->saved);
    cg_list_del(&t->link);
    t->ns->tree_count--;
    cg_free(t->node);
    cg_free(t->ticket);
    cg_free(t->service);
    cg_free(t->name);
    cg_free(t);
}

/* ---- the client's callbacks */

static void failed(struct ns__tree *t, cg_err why, const char *detail)
{
    t->state = NS__TREE_FAILED;
    t->failed_ns = now_ns(t->ns);
    t->why = why ? why : CG_ELINKDOWN;
    snprintf(t->detail, sizeof t->detail, "%s!%s!%s: %s", t->node, t->service, t->name,
             detail && *detail ? detail : cg_err_meaning(t->why));
    ns__wake(&t->waiters);
}

void ns__came_up(struct ns__tree *t)
{
    const struct ninep_attr *a = ninep_client_root_attr(t->client);
    struct ns__obj *old = t->root;
    struct ns__obj *root = ns__obj_find(t, &a->id);
    if (!root) {
        root = ns__obj_new(t);
        if (!root || ns__obj_settle(root, &a->id) != CG_OK) {
            failed(t, CG_ENOMEM, "no memory for the tree's root");
            return;
        }
    }
    root->attr = *a;
    root->was_root = true;
    if (root != old) {
        ns__obj_ref(root);
        t->root = root;
        ns__reroot(t, old);
        if (old) {
            ns__obj_put(old);
        }
    }
    t->state = NS__TREE_UP;
    ns__wake(&t->waiters);
}

/* A gate that died a moment ago is back in a moment, so the first look at a node is worth another
 * try. A service of this node has its socket whether it runs or not: none is a refusal. */
static bool worth_waiting(const struct ns__tree *t, cg_err why)
{
    bool passing =
        why == CG_ECONNREFUSED || why == CG_ECONNRESET || why == CG_ELINKDOWN || why == CG_EAGAIN;
    return passing && strcmp(t->node, t->ns->self) != 0 &&
           now_ns(t->ns) - t->dialled_ns < (uint64_t)NS_FIRST_MS * 1000000;
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct ns__tree *t = ctx;
    if (t->ns->closing) {
        return;
    }
    if (st == NINEP_UP) {
        t->lost_ns = 0;
    } else if (st == NINEP_DOWN && t->state == NS__TREE_UP && t->lost_ns == 0) {
        t->lost_ns = now_ns(t->ns);
    }
    if (st == NINEP_UP && !resumed) {
        end_session(t);
        ns__came_up(t);
    } else if (st == NINEP_UP && t->state != NS__TREE_UP) {
        ns__came_up(t);
    } else if (st == NINEP_DEAD) {
        end_session(t);
        failed(t, why, detail);
    } else if (st == NINEP_DOWN && why != CG_OK && t->state == NS__TREE_STARTING &&
               !worth_waiting(t, why)) {
        failed(t, why, detail);
    }
}

static void on_event(void *ctx, const struct ninep_event *event)
{
    struct ns__tree *t = ctx;
    if (t->ns->closing) {
        return;
    }
    if (event->kind == NINEP_EVENT_LOST) {
        ns__tree_drop(t);
        return;
    }
    struct ns__obj *o = ns__obj_find(t, &event->id);
    t->moment++;
    if (o) {
        o->broken_at = t->moment;
        ns__obj_break(o);
        ns__release(o, event);
        ns__wake(&o->waiters);
    } else {
        t->forgot_at = t->moment;
        ninep_client_release(t->client, event);
    }
}

static bool on_forgotten(void *ctx)
{
    return ns__forgotten(ctx);
}

cg_err ns__dial(struct ns__tree *t, struct cg_errbuf *eb)
{
    const struct ninep_client_config config = {
        .env = t->ns->config.env,
        .auth = &ninep_auth_local, /* whoever dials may know a better one */
        .user = t->ns->user,
        .tree = t->name,
        .state = on_state,
        .event = on_event,
        .forgotten = on_forgotten,
        .ctx = t,
    };
    ns__tree_end(t);
    t->state = NS__TREE_STARTING;
    t->dialled_ns = now_ns(t->ns);
    if (!ns__passes(t->ns, t->node, t->service)) {
        return cg_fail(eb, CG_EPERM, "chdev keeps this namespace from that service");
    }
    cg_err e = t->ns->config.dial(t->ns->config.ctx, t->node, t->service, t->ticket, &config,
                                  &t->client, eb);
    if (e) {
        t->client = NULL;
        return e;
    }
    if (t->ns->config.book) {
        struct book *b = t->ns->config.book;
        bool adopting = t->adopting;
        t->adopting = false;
        if (adopting) {
            ns__tree_adopted(
                t, ninep_client_adopt(t->client, b, ns__client_number(t), ns__adopt_call, t));
        } else {
            ninep_client_keep(t->client, b, ns__client_number(t));
        }
    }
    ninep_client_start(t->client);
    return CG_OK;
}

/* A tree that failed a moment ago is not dialled again: its cause is in t->why. */
enum ns__up ns__tree_touch(struct ns_op *op, struct ns__tree *t)
{
    if (t->state == NS__TREE_UP) {
        return NS__UP;
    }
    if (t->state == NS__TREE_FAILED &&
        now_ns(t->ns) - t->failed_ns < (uint64_t)NS_RETRY_MS * 1000000) {
        return NS__DOWN;
    }
    if (t->state != NS__TREE_STARTING) {
        struct cg_errbuf eb = {0};
        cg_err e = ns__dial(t, &eb);
        if (e) {
            failed(t, e, eb.text);
        }
        if (t->state != NS__TREE_STARTING) {
            return t->state == NS__TREE_UP ? NS__UP : NS__DOWN;
        }
    }
    if (op->tree != t) {
        if (op->tree) {
            ns__tree_put(op->tree);
        }
        op->tree = t;
        t->refs++;
    }
    ns__op_park(op, &t->waiters);
    return NS__WAIT;
}

bool ns__tree_up(struct ns_op *op, struct ns__tree *t)
{
    enum ns__up up = ns__tree_touch(op, t);
    if (up == NS__DOWN) {
        ns__fail(op, t->why, t->detail);
    }
    return up == NS__UP;
}

/* ---- the lease clock */

void ns__tree_drop(struct ns__tree *t)
{
    t->lease_gen++;
    t->moment++;
    t->forgot_at = t->moment;
    t->leases = false;
    uint32_t cursor = 0;
    struct ns__obj *o;
    while ((o = cg_map_next(&t->objs, &cursor)) != NULL) {
        o->broken_at = t->moment;
        if (o->leased || !cg_list_empty(&o->names)) {
            ns__obj_break(o);
        }
    }
}

/* When the clock has run out, the kernel side must hear of it although nobody asks. */
uint64_t ns__tree_tick(struct ns__tree *t)
{
    if (t->refs == 0) {
        ns__tree_free(t);
        return 0;
    }
    if (!t->client || !t->leases) {
        return 0;
    }
    uint64_t until = ninep_client_lease_until_ns(t->client);
    if (now_ns(t->ns) < until) {
        return until;
    }
    ns__tree_drop(t);
    return 0;
}

bool ns__wide(const struct ns__tree *t)
{
    return ninep_client_rtt_us(t->client) > NS_WIDE_US;
}

/* ---- fids */

bool ns__fid_live(const struct ns__obj *o)
{
    const struct ns__tree *t = o->tree;
    return o == t->root || (o->fid_state == NS__FID_LIVE && o->fid_session == t->session);
}

/* The root may be another file since the server was restarted; it is the root nevertheless. */
static uint32_t fid_of(const struct ns__obj *o)
{
    bool own = o != o->tree->root && ns__fid_live(o);
    return own ? o->fid : ninep_client_root(o->tree->client);
}

void ns__fid_drop(struct ns__obj *o)
{
    struct ns__tree *t = o->tree;
    if (o->fid_state == NS__FID_LIVE && o->fid_session == t->session) {
        ninep_client_clunk(t->client, o->fid);
        cg_list_del(&o->fid_link);
        t->fid_count--;
    }
    o->fid_state = NS__FID_NONE;
}

static void fids_trim(struct ns__tree *t)
{
    CG_LIST_EACH (it, &t->fids) {
        if (t->fid_count <= t->ns->fids_max) {
            return;
        }
        struct ns__obj *o = CG_CONTAINER(it, struct ns__obj, fid_link);
        if (o->calls == 0 && cg_list_empty(&o->members) && cg_list_empty(&o->files)) {
            ns__fid_drop(o);
        }
    }
}

void ns__fid_adopt(struct ns__obj *o, uint32_t fid, uint32_t session)
{
    struct ns__tree *t = o->tree;
    if (session != t->session || fid == NINEP_NOFID) {
        return;
    }
    if (o == t->root || (ns__fid_live(o) && o->calls > 0)) {
        ninep_client_clunk(t->client, fid);
        return;
    }
    ns__fid_drop(o);
    o->fid = fid;
    o->fid_session = session;
    o->fid_state = NS__FID_LIVE;
    cg_list_push(&t->fids, &o->fid_link);
    t->fid_count++;
    fids_trim(t);
}

static bool same_file(const struct ninep_xqid *a, const struct ninep_xqid *b)
{
    return a->volume == b->volume && a->file == b->file && a->generation == b->generation;
}

/* Is the file at the end of the walk the one that was meant? */
static bool arrived(const struct ns__call *c, const union ninep_rmsg *r)
{
    struct ninep_attr a = {0};
    struct cg_buf it = ninep_list_iter(&r->walk.attrs);
    for (uint32_t i = 0; i < r->walk.attrs.count; i++) {
        ninep_get_attr(&it, &a);
    }
    return r->walk.attrs.count > 0 && same_file(&a.id, &c->obj->id);
}

static void walked(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    bool right = e == CG_OK && arrived(c, r);
    struct ns__obj *o = c->obj;
    if (!right && c->walks && c->session == c->tree->session) {
        ninep_client_clunk(c->tree->client, c->fid);
    }
    if (c->op && !right && e != CG_ESKIPPED) {
        if (c->op->err == CG_ENOENT || c->op->err == CG_ENOTDIR) {
            c->op->err = CG_OK;
        }
        ns__note(c->op, CG_ESTALE, "the path to the file leads elsewhere now");
    }
    if (c->walks) {
        if (o->fid_state == NS__FID_WALKING) {
            o->fid_state = NS__FID_NONE;
        }
        if (right) {
            ns__fid_adopt(o, c->fid, c->session);
        }
        ns__wake(&o->waiters);
        ns__held_walked(o);
    }
}

static void passed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    (void)c;
    (void)e;
    (void)r;
}

/* Is the path's last step held by a lease? */
static bool step_sure(struct ns__obj *o)
{
    if (!ns__leased(o->up)) {
        return false;
    }
    struct ns__name *n = ns__name_get(o->up, o->up_name);
    return n && n->obj == o;
}

/* The objects from the nearest one with a fid down to o; 0: there is no path. */
static uint32_t route(struct ns__obj *o, struct ns__obj **at, bool *sure)
{
    uint32_t n = 0;
    for (*sure = true; !ns__fid_live(o) && !o->was_root; o = o->up) {
        if (!o->up || n + 1 >= NS_DEPTH_MAX) {
            return 0;
        }
        *sure = *sure && step_sure(o);
        at[n++] = o;
    }
    at[n++] = o;
    return n;
}

bool ns__walk_to(struct ns__flight *f, struct ns__obj *o, bool changes, uint32_t newfid)
{
    struct ns__obj *at[NS_DEPTH_MAX];
    bool sure;
    uint32_t n = route(o, at, &sure);
    if (n == 0 || newfid == NINEP_NOFID) {
        if (!f->op) {
            return false;
        }
        ns__note(f->op, n ? CG_ELIMIT : CG_ESTALE,
                 n ? "all fids of the session are in use" : "no path leads to the file any more");
        return false;
    }
    cg_assert(sure || !changes);
    uint32_t from = fid_of(at[n - 1]);
    uint32_t left = n - 1;
    do {
        struct ns__call *c;
        bool last = left <= NINEP_WALK_NAMES_MAX;
        union ninep_tmsg *m =
            ns__flight_add(f, NINEP_TWALK, o, at[n - 1], last ? walked : passed, &c);
        if (!m) {
            return false;
        }
        if (f->op) {
            ns__await(c, f->op);
        }
        m->walk.fid = from;
        m->walk.newfid = newfid;
        c->fid = newfid;
        for (int i = 0; left > 0 && i < NINEP_WALK_NAMES_MAX; i++) {
            m->walk.names.name[m->walk.names.count++] = cg_span_of(at[--left]->up_name);
        }
        from = newfid;
    } while (left > 0);
    return true;
}

/* A file that is open needs no walk, and after its last name has gone there is no other way. */
static bool open_fid(const struct ns__obj *o, uint32_t *fid)
{
    CG_LIST_EACH (it, &o->files) {
        const struct ns_file *f = CG_CONTAINER(it, struct ns_file, of);
        if (f->state == NS__OPEN && f->session == o->tree->session) {
            *fid = f->fid;
            return true;
        }
    }
    return false;
}

static bool walking(const struct ns__obj *o)
{
    return o->fid_state == NS__FID_WALKING && o->fid_session == o->tree->session;
}

/* When a change needs a fid and the path to it is not sure, the walk goes ahead alone. */
bool ns__fid(struct ns__flight *f, struct ns__obj *o, bool changes, uint32_t *fid)
{
    if (ns__fid_live(o)) {
        *fid = fid_of(o);
        if (o != o->tree->root) {
            cg_list_del(&o->fid_link);
            cg_list_push(&o->tree->fids, &o->fid_link);
        }
        return true;
    }
    if (open_fid(o, fid)) {
        return true;
    }
    if (walking(o)) {
        ns__flight_drop(f);
        ns__op_park(f->op, &o->waiters);
        return false;
    }
    struct ns__obj *at[NS_DEPTH_MAX];
    bool sure;
    uint32_t newfid = ninep_client_fid(o->tree->client);
    route(o, at, &sure);
    if (!ns__walk_to(f, o, false, newfid)) {
        ns__flight_drop(f);
        ns__fail(f->op, f->op->err, f->op->detail);
        return false;
    }
    struct ns__call *c = f->calls[f->n - 1];
    c->walks = true;
    o->fid_state = NS__FID_WALKING;
    o->fid_session = o->tree->session;
    if (changes && !sure) {
        ns__op_park(f->op, &o->waiters);
        ns__flight_send(f);
        return false;
    }
    *fid = newfid;
    return true;
}

bool ns__pin(struct ns__obj *o)
{
    struct ns__tree *t = o->tree;
    bool needed = false;
    CG_LIST_EACH (it, &o->files) {
        const struct ns_file *f = CG_CONTAINER(it, struct ns_file, of);
        needed = needed || f->state != NS__OPEN || f->session != t->session;
    }
    if (!needed || ns__fid_live(o) || walking(o)) {
        return needed && walking(o);
    }
    struct ns__flight f;
    uint32_t newfid = ninep_client_fid(t->client);
    ns__flight_init(&f, NULL, t);
    if (!ns__walk_to(&f, o, false, newfid)) {
        if (newfid != NINEP_NOFID) {
            ninep_client_clunk(t->client, newfid);
        }
        ns__flight_drop(&f);
        return false;
    }
    f.calls[f.n - 1]->walks = true;
    o->fid_state = NS__FID_WALKING;
    o->fid_session = t->session;
    ns__flight_send(&f);
    return walking(o);
}

bool ns__pinned(struct ns_op *op, struct ns__obj *o)
{
    if (!o || op->pinned || !ns__pin(o)) {
        return true;
    }
    op->pinned = true; /* once: the walk may find that the path was wrong already */
    ns__op_park(op, &o->waiters);
    return false;
}
