/* The lease-coherent cache of a tree: objects with attributes and contents.
 *
 * What is known of an object may be used while ns__leased says so, and no longer. A reply may enter
 * the cache only if nothing that it could have missed happened since its request was sent: each
 * tree has a clock of moments that counts breaks and own changes, each call remembers the moment of
 * its sending, each object the moments of its last break and its last own change (ns__fresh). While
 * own changes are under way the cache neither answers nor learns, except from the change sent last.
 *
 * Memory: contents are dropped from the oldest when they exceed cache_bytes_max; objects that no
 * one refers to are kept on the idle list, up to NS_OBJS_IDLE_MAX, and their leases given back.
 */
#include "internal.h"

#include <string.h>

struct ns__bytes *ns__bytes_new(const void *data, uint32_t len)
{
    struct ns__bytes *b = cg_alloc(sizeof *b + len);
    if (b) {
        b->refs = 1;
        b->len = len;
        if (len) {
            memcpy(b->data, data, len);
        }
    }
    return b;
}

void ns__bytes_put(struct ns__bytes *b)
{
    if (b && --b->refs == 0) {
        cg_free(b);
    }
}

/* ---- objects */

struct ns__obj *ns__obj_new(struct ns__tree *t)
{
    struct ns__obj *o = cg_zalloc(sizeof *o);
    if (!o) {
        return NULL;
    }
    o->tree = t;
    o->serial = ++t->ns->next_serial;
    o->fid = NINEP_NOFID;
    o->broken_at = o->changed_at = o->settled_at = t->forgot_at;
    cg_list_init(&o->fid_link);
    cg_list_init(&o->contents_link);
    cg_list_init(&o->names);
    cg_list_init(&o->aliases);
    cg_list_init(&o->waiters);
    cg_list_init(&o->nodes);
    cg_list_init(&o->files);
    cg_list_init(&o->members);
    cg_list_push(&t->ns->idle, &o->idle_link);
    t->ns->idle_count++;
    return o;
}

static struct ns__xkey key_of(const struct ninep_xqid *id)
{
    return (struct ns__xkey){id->volume, id->file, id->generation};
}

struct ns__obj *ns__obj_find(struct ns__tree *t, const struct ninep_xqid *id)
{
    struct ns__xkey key = key_of(id);
    return cg_map_get(&t->objs, &key);
}

/* The identity of o is known now. CG_EEXIST: another object has it, o stays without. */
cg_err ns__obj_settle(struct ns__obj *o, const struct ninep_xqid *id)
{
    struct ns__xkey key = key_of(id);
    o->id = *id;
    if (cg_map_get(&o->tree->objs, &key)) {
        return CG_EEXIST;
    }
    cg_err e = cg_map_put(&o->tree->objs, &key, o);
    o->settled = e == CG_OK;
    ns__obj_changed(o);
    return e;
}

void ns__obj_ref(struct ns__obj *o)
{
    if (o->refs++ == 0) {
        cg_list_del(&o->idle_link);
        o->tree->ns->idle_count--;
    }
}

/* An object without an identity cannot be found again: it goes with its last reference. */
void ns__obj_put(struct ns__obj *o)
{
    while (o) {
        cg_assert(o->refs > 0);
        if (--o->refs > 0) {
            return;
        }
        cg_list_push(&o->tree->ns->idle, &o->idle_link);
        o->tree->ns->idle_count++;
        if (o->settled) {
            return;
        }
        struct ns__obj *up = o->up;
        ns__obj_free(o);
        o = up;
    }
}

/* Only for an object that nobody refers to, or with its whole tree. */
void ns__obj_free(struct ns__obj *o)
{
    struct ns__tree *t = o->tree;
    if (o->refs == 0) {
        t->ns->idle_count--;
    }
    cg_list_del(&o->idle_link);
    ns__contents_drop(o);
    while (!cg_list_empty(&o->aliases)) {
        ns__name_del(CG_CONTAINER(o->aliases.next, struct ns__name, alias));
    }
    if (o->settled) {
        struct ns__xkey key = key_of(&o->id);
        cg_map_del(&t->objs, &key);
    }
    cg_list_del(&o->fid_link);
    ns__unsave(t->ns, o->saved);
    cg_free(o->up_name);
    cg_free(o);
}

static void evict(struct ns__obj *o)
{
    struct ns__tree *t = o->tree;
    if (t->forgot_at < o->broken_at) {
        t->forgot_at = o->broken_at;
    }
    if (t->forgot_at < o->settled_at) {
        t->forgot_at = o->settled_at;
    }
    ns__names_drop(o);
    if (t->client && ns__leased(o)) {
        t->forgot_at = ++t->moment; /* the server may grant it anew before it reads this */
        struct ninep_event unasked = {.number = 0, .kind = NINEP_EVENT_BREAK, .id = o->id};
        ninep_client_release(t->client, &unasked);
    }
    if (t->client) {
        ns__fid_drop(o);
    }
    struct ns__obj *up = o->up;
    ns__obj_free(o);
    if (up) {
        ns__obj_put(up);
    }
}

void ns__trim(struct ns *ns)
{
    while (ns->idle_count > ns->idle_max) {
        evict(CG_CONTAINER(ns->idle.next, struct ns__obj, idle_link));
    }
    while (ns->contents_bytes > ns->config.cache_bytes_max) {
        ns__contents_drop(CG_CONTAINER(ns->contents.next, struct ns__obj, contents_link));
    }
}

/* A path that leads to o: how to find it again when its fid is gone. */
void ns__obj_path(struct ns__obj *o, struct ns__obj *up, const char *name)
{
    if (o == o->tree->root || (o->up == up && strcmp(o->up_name, name) == 0)) {
        return;
    }
    for (struct ns__obj *a = up; a; a = a->up) {
        if (a == o) {
            return; /* a server that moves directories below themselves */
        }
    }
    char *copy = cg_strdup(name);
    if (!copy) {
        return;
    }
    ns__obj_ref(up);
    if (o->up) {
        ns__obj_put(o->up);
    }
    cg_free(o->up_name);
    o->up = up;
    o->up_name = copy;
    ns__obj_changed(o);
}

/* ---- what may be believed */

/* While the link is down the server may have been restarted, and a new one knows no leases. */
bool ns__leased(struct ns__obj *o)
{
    const struct ns__tree *t = o->tree;
    const struct cg_env *env = t->ns->config.env;
    return o->leased && o->lease_gen == t->lease_gen && t->client &&
           ninep_client_state(t->client) == NINEP_UP &&
           env->now_ns(env->ctx) < ninep_client_lease_until_ns(t->client);
}

bool ns__attr_ok(struct ns__obj *o)
{
    return o->attr_ok && o->pending == 0 && ns__leased(o);
}

bool ns__contents_ok(struct ns__obj *o)
{
    return o->contents && ns__attr_ok(o);
}

bool ns__cacheable(const struct ns__obj *o)
{
    return (o->attr.id.type & NS_NO_CACHE) == 0;
}

bool ns__may(struct ns__obj *o, uint8_t rights)
{
    return ns__attr_ok(o) && (o->attr.rights & rights) == rights;
}

bool ns__fresh(const struct ns__call *c, const struct ns__obj *o)
{
    if (c->session != o->tree->session || c->lease_gen != o->tree->lease_gen ||
        c->moment < o->broken_at) {
        return false;
    }
    if (c->change && (c->obj == o || c->other == o)) {
        return c->moment >= o->changed_at;
    }
    return o->pending == 0 && c->moment >= o->settled_at;
}

/* ---- learning */

void ns__learn_obj(struct ns__call *c, struct ns__obj *o, const struct ninep_attr *a, bool lease)
{
    bool fresh = ns__fresh(c, o);
    bool own = c->change && (c->obj == o || c->other == o);
    if (!fresh && !own && ns__leased(o) && o->attr_ok) {
        return;
    }
    if (o->contents && a->id.change != o->id.change && !own) {
        ns__contents_drop(o);
    }
    o->attr = *a;
    o->id = a->id;
    o->attr_ok = fresh;
    if (fresh && lease && ns__cacheable(o)) {
        if (!ns__leased(o)) {
            o->lease_serial = ++o->tree->ns->next_serial;
        }
        o->leased = o->tree->leases = true;
        o->lease_gen = o->tree->lease_gen;
    }
}

struct ns__obj *ns__learn(struct ns__call *c, const struct ninep_attr *a, bool lease)
{
    struct ns__obj *o = ns__obj_find(c->tree, &a->id);
    if (!o) {
        o = ns__obj_new(c->tree);
        if (!o) {
            return NULL;
        }
        if (ns__obj_settle(o, &a->id) != CG_OK) {
            ns__obj_free(o);
            return NULL;
        }
    }
    ns__learn_obj(c, o, a, lease);
    return o;
}

void ns__learn_contents(struct ns__call *c, struct ns__obj *o, struct cg_span data)
{
    if (!ns__fresh(c, o) || !ns__attr_ok(o)) {
        return;
    }
    ns__contents_drop(o);
    o->contents = ns__bytes_new(data.data, data.len);
    if (o->contents) {
        cg_list_push(&o->tree->ns->contents, &o->contents_link);
        o->tree->ns->contents_bytes += sizeof *o->contents + data.len;
    }
}

void ns__contents_drop(struct ns__obj *o)
{
    if (o->contents) {
        cg_list_del(&o->contents_link);
        o->tree->ns->contents_bytes -= sizeof *o->contents + o->contents->len;
        ns__bytes_put(o->contents);
        o->contents = NULL;
    }
}

/* ---- breaks and own changes */

void ns__obj_break(struct ns__obj *o)
{
    o->leased = false;
    o->attr_ok = false;
    o->breaks++;
    ns__contents_drop(o);
    ns__names_drop(o);
    CG_LIST_EACH (it, &o->files) {
        ns__ahead_drop(CG_CONTAINER(it, struct ns_file, of));
    }
    ns__tell(o, NS_INVAL_DATA, NULL);
}

void ns__change_begin(struct ns__call *c, struct ns__obj *o)
{
    (void)c;
    o->changed_at = ++o->tree->moment;
    o->pending++;
}

void ns__change_end(struct ns__call *c, struct ns__obj *o)
{
    cg_assert(o->pending > 0);
    if (o->answered_at < c->moment) {
        o->answered_at = c->moment;
    }
    if (--o->pending == 0) {
        o->settled_at = ++o->tree->moment;
    }
    ns__wake(&o->waiters);
}

void ns__barrier_drop(struct ns_op *op)
{
    struct ns__obj *o = op->barrier;
    op->barrier = NULL;
    if (o) {
        if (--o->barriers == 0) {
            ns__wake(&o->waiters);
        }
        ns__obj_put(o);
    }
}

bool ns__quiet(struct ns_op *op, struct ns__obj *o)
{
    if (o->pending == 0) {
        return true;
    }
    if (op->barrier != o) {
        ns__barrier_drop(op);
        ns__obj_ref(o);
        op->barrier = o;
        o->barriers++;
    }
    ns__op_park(op, &o->waiters);
    return false;
}

/* All changes of an object that are under way at one time are in one chain (a change that is not
 * waits for quiet), so they are answered in order. */
bool ns__caught_up(struct ns_op *op, struct ns__obj *o)
{
    if (o->pending == 0) {
        return true;
    }
    if (op->behind != o) {
        op->behind = o;
        op->behind_at = o->changed_at;
    }
    if (o->answered_at >= op->behind_at) {
        return true;
    }
    ns__op_park(op, &o->waiters);
    return false;
}
