/* Nodes: files as the namespace shows them, their numbers, and directories that it makes itself.
 *
 * A node lives while somebody holds a reference: the kernel side, operations, handles, mounts, or
 * children. An object seen under a view is one node: by_view finds it. Its inode number is made
 * from the tree's name and the wide identity alone, so that it is the same after any restart.
 */
#include "internal.h"

#include <string.h>

struct view_key {
    const void *view, *what;
};

struct ns_node *ns__node_new(struct ns *ns, struct ns_node *view)
{
    struct ns_node *n = cg_zalloc(sizeof *n);
    if (!n) {
        return NULL;
    }
    n->ns = ns;
    n->id = ++ns->next_id;
    n->refs = 1;
    cg_list_init(&n->of);
    cg_list_init(&n->synths);
    cg_list_init(&n->synth_link);
    if (cg_map_put(&ns->by_id, &n->id, n) != CG_OK) {
        cg_free(n);
        return NULL;
    }
    if (view) {
        ns_node_ref(view);
        n->view = view;
    }
    cg_list_push(&ns->nodes, &n->link);
    return n;
}

static struct ns_node *seen(struct ns *ns, struct ns_node *view, const void *what)
{
    struct view_key key = {view, what};
    struct ns_node *n = cg_map_get(&ns->by_view, &key);
    if (n) {
        ns_node_ref(n);
        return n;
    }
    n = ns__node_new(ns, view);
    if (n && cg_map_put(&ns->by_view, &key, n) != CG_OK) {
        ns__node_put(n);
        return NULL;
    }
    return n;
}

struct ns_node *ns__node_get(struct ns *ns, struct ns_node *view, struct ns__obj *o)
{
    struct ns_node *n = seen(ns, view, o);
    if (n && !n->obj) {
        ns__obj_ref(o);
        o->tree->refs++;
        n->obj = o;
        cg_list_push(&o->nodes, &n->of);
    }
    return n;
}

struct ns_node *ns__head_get(struct ns *ns, struct ns_node *view, struct ns__mount *m)
{
    struct ns_node *n = seen(ns, view, m);
    if (n && !n->mount) {
        m->refs++;
        n->mount = m;
        cg_list_push(&m->heads, &n->of);
    }
    return n;
}

struct ns_node *ns__view(struct ns_node *n)
{
    return n->mount ? n : n->view;
}

struct ns_node *ns__node_cross(struct ns_node *dir, struct ns__obj *o)
{
    struct ns_node *view = ns__view(dir);
    return o->mount ? ns__head_get(dir->ns, view, o->mount) : ns__node_get(dir->ns, view, o);
}

struct ns_node *ns__synth_find(struct ns_node *dir, const char *name)
{
    CG_LIST_EACH (it, &dir->synths) {
        struct ns_node *n = CG_CONTAINER(it, struct ns_node, synth_link);
        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

struct ns_node *ns__synth_get(struct ns_node *dir, const char *name)
{
    struct ns_node *n = ns__synth_find(dir, name);
    if (n) {
        ns_node_ref(n);
        return n;
    }
    n = ns__node_new(dir->ns, ns__view(dir));
    if (!n) {
        return NULL;
    }
    n->name = cg_strdup(name);
    if (!n->name) {
        ns__node_put(n);
        return NULL;
    }
    ns_node_ref(dir);
    n->parent = dir;
    cg_list_push(&dir->synths, &n->synth_link);
    return n;
}

void ns_node_ref(struct ns_node *n)
{
    n->refs++;
}

static void unlink_view(struct ns_node *n, const void *what)
{
    struct view_key key = {n->view, what};
    if (cg_map_get(&n->ns->by_view, &key) == n) {
        cg_map_del(&n->ns->by_view, &key);
    }
}

static void node_free(struct ns_node *n)
{
    cg_map_del(&n->ns->by_id, &n->id);
    ns__unsave(n->ns, n->saved);
    cg_list_del(&n->of);
    cg_list_del(&n->synth_link);
    cg_list_del(&n->link);
    if (n->obj) {
        unlink_view(n, n->obj);
        n->obj->own_ino = n->obj->own_ino && !cg_list_empty(&n->obj->nodes);
        ns__tree_put(n->obj->tree);
        ns__obj_put(n->obj);
    } else if (n->mount) {
        unlink_view(n, n->mount);
        ns__mount_put(n->mount);
    }
    cg_free(n->name);
    cg_free(n);
}

/* A node that goes takes its view and its parent with it when it was their last: heads nest no
 * deeper than paths (NS_DEPTH_MAX), so the list below cannot grow beyond that. */
void ns_node_forget(struct ns_node *n, uint64_t refs)
{
    struct ns_node *left[2 * NS_DEPTH_MAX];
    uint32_t count = 0;
    cg_assert(n->refs >= refs);
    n->refs -= refs;
    if (n->refs == 0) {
        left[count++] = n;
    }
    while (count > 0) {
        n = left[--count];
        struct ns_node *above[] = {n->view, n->parent};
        node_free(n);
        for (int i = 0; i < 2; i++) {
            if (above[i] && --above[i]->refs == 0) {
                cg_assert(count < 2 * NS_DEPTH_MAX);
                left[count++] = above[i];
            }
        }
    }
}

void ns__node_put(struct ns_node *n)
{
    ns_node_forget(n, 1);
}

uint64_t ns_node_id(const struct ns_node *n)
{
    return n->id;
}

struct ns_node *ns_node_by_id(struct ns *ns, uint64_t id)
{
    return cg_map_get(&ns->by_id, &id);
}

struct ns_node *ns_root(struct ns *ns)
{
    return ns->root;
}

/* ---- inode numbers and attributes */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30; /* the finaliser of SplitMix64 (Steele, Lea, Flood, 2014) */
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

uint64_t ns__ino(const struct ns__tree *t, const struct ninep_xqid *id)
{
    uint64_t x = mix(t->seed ^ mix(id->volume ^ mix(id->file ^ mix(id->generation))));
    return x < 2 ? x + 2 : x;
}

/* Of a directory of the namespace's own: from its place; NULL is the root. */
static uint64_t place_ino(const struct ns_node *n)
{
    uint64_t x = 1;
    for (; n && n->parent; n = n->parent) {
        for (const char *p = n->name; *p; p++) {
            x = mix(x ^ (uint8_t)*p);
        }
        x = mix(x);
    }
    return x;
}

uint64_t ns__obj_ino(const struct ns__obj *o)
{
    struct ninep_xqid own = {.volume = UINT64_MAX, .file = o->serial};
    return ns__ino(o->tree, o->settled && !o->own_ino ? &o->id : &own);
}

uint64_t ns_node_ino(const struct ns_node *n)
{
    if (n->obj || (n->mount && n->mount->obj)) {
        return ns__obj_ino(n->obj ? n->obj : n->mount->obj);
    }
    return place_ino(n->mount ? n->mount->synth : n);
}

uint32_t ns_node_view(const struct ns_node *n)
{
    uint32_t h = 0x811c9dc5; /* FNV-1a, 32 bits */
    for (const struct ns_node *v = n->mount ? n : n->view; v; v = v->view) {
        for (const char *p = v->mount ? v->mount->old : "";; p++) {
            h = (h ^ (uint8_t)*p) * 0x01000193;
            if (*p == '\0') {
                break;
            }
        }
    }
    return h;
}

void ns__synth_attr(const struct ns_node *n, struct ninep_attr *a)
{
    *a = (struct ninep_attr){
        .id = {.file = ns_node_ino(n), .type = NINEP_QTYPE_SYNTHETIC},
        .mode = S_IFDIR | 0555,
        .nlink = 2,
        .blksize = 4096,
        .rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_EXEC,
        .flags = NINEP_ATTRFLAG_NO_XATTR | NINEP_ATTRFLAG_NO_ACL,
    };
}

/* Of n, whose object is o; NULL: the namespace's own. */
void ns__stat_of(struct ns_node *n, struct ns__obj *o, struct ns_stat *st)
{
    *st = (struct ns_stat){.node = n, .ino = ns_node_ino(n)};
    if (o) {
        st->attr = o->attr;
        st->until_ns = ns__attr_ok(o) ? ninep_client_lease_until_ns(o->tree->client) : 0;
    } else {
        ns__synth_attr(n, &st->attr);
        st->until_ns = n->mount ? 0 : UINT64_MAX; /* what changes it invalidates it */
    }
}

/* Of a head: the first member that can be attached. A head whose members cannot be is still a
 * directory when something stands below it. */
static bool head_obj(struct ns_op *op, struct ns_node *n, struct ns__obj **out)
{
    struct ns__tree *down = NULL;
    if (n->mount->dead) {
        ns__fail(op, CG_ESTALE, "the mount is gone");
        return false;
    }
    CG_LIST_EACH (it, &n->mount->members) {
        struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
        enum ns__up up = m->tree ? ns__member_touch(op, m, out) : NS__DOWN;
        if (up != NS__DOWN) {
            return up == NS__UP;
        }
        down = !down ? m->tree : down;
    }
    *out = NULL;
    if (down && cg_list_empty(&n->synths)) {
        ns__fail(op, down->why, down->detail);
        return false;
    }
    return true;
}

bool ns__node_obj(struct ns_op *op, struct ns_node *n, struct ns__obj **out)
{
    *out = n->obj;
    if (n->obj && n->obj->dead) {
        ns__fail(op, n->obj->dead, "the file's create failed");
        return false;
    }
    if (n->obj) {
        return ns__tree_up(op, n->obj->tree);
    }
    return !n->mount || head_obj(op, n, out);
}

bool ns__real_obj(struct ns_op *op, struct ns_node *n, struct ns__obj **out)
{
    if (!ns__node_obj(op, n, out)) {
        return false;
    }
    if (!*out) {
        ns__fail(op, CG_EPERM, "the namespace made this directory: nothing can be changed in it");
        return false;
    }
    return true;
}
