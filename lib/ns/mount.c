/* The mount table: what stands on a mount point, and how a union answers.
 *
 * A mount belongs to an object (so it is seen wherever the object is seen, and renames do not
 * matter) or to a directory of the namespace's own. Its members are searched in order. A member is
 * an object of a tree, held by reference from the time of the bind, or the root of a tree that is
 * attached when it is first touched, or a directory of the namespace's own.
 */
#include "internal.h"

#include <string.h>

struct ns__mount *ns__mount_new(struct ns *ns, struct ns_node *point, const char *old)
{
    if (ns->mount_count >= NS_MOUNTS_MAX) {
        return NULL;
    }
    struct ns__mount *m = cg_zalloc(sizeof *m);
    char *copy = m ? cg_strdup(old) : NULL;
    if (!copy) {
        cg_free(m);
        return NULL;
    }
    m->ns = ns;
    m->number = ++ns->mount_last;
    m->refs = 1;
    m->old = copy;
    cg_list_init(&m->members);
    cg_list_init(&m->heads);
    cg_list_push(&ns->mounts, &m->link);
    ns->mount_count++;
    if (point && point->obj) {
        ns__obj_ref(point->obj);
        point->obj->tree->refs++;
        m->obj = point->obj;
        m->obj->mount = m;
    } else if (point) {
        ns_node_ref(point);
        m->synth = point;
        point->covered = m;
    }
    return m;
}

void ns__line_put(struct ns__line *l)
{
    if (l && --l->refs == 0 && !l->sticks) {
        cg_list_del(&l->link);
        cg_free(l);
    }
}

void ns__member_free(struct ns__member *m)
{
    cg_list_del(&m->link);
    cg_list_del(&m->of);
    m->mount->member_count--;
    if (m->obj) {
        ns__obj_put(m->obj);
    }
    if (m->tree) {
        ns__tree_put(m->tree);
    }
    if (m->synth) {
        ns__node_put(m->synth);
    }
    ns__line_put(m->line);
    cg_free(m->what);
    cg_free(m);
}

void ns__member_set(struct ns__member *m, struct ns__obj *o)
{
    ns__obj_ref(o);
    if (m->obj) {
        ns__obj_put(m->obj);
    }
    m->obj = o;
    cg_list_del(&m->of);
    cg_list_push(&o->members, &m->of);
}

/* tree's reference is taken, also on failure; synth and obj are shared. */
struct ns__member *ns__member_add(struct ns__mount *mount, bool front, struct ns__tree *tree,
                                  struct ns__obj *obj, struct ns_node *synth)
{
    struct ns__member *m = mount->member_count < NS_MEMBERS_MAX ? cg_zalloc(sizeof *m) : NULL;
    if (!m) {
        if (tree) {
            ns__tree_put(tree);
        }
        return NULL;
    }
    cg_list_init(&m->of);
    m->mount = mount;
    m->tree = tree;
    if (obj) {
        ns__member_set(m, obj);
    }
    if (synth) {
        ns_node_ref(synth);
        m->synth = synth;
    }
    if (front) {
        cg_list_push_front(&mount->members, &m->link);
    } else {
        cg_list_push(&mount->members, &m->link);
    }
    mount->member_count++;
    return m;
}

/* The kernel side must ask again for all that it knows of the mount's heads. */
void ns__mount_changed(struct ns__mount *m)
{
    CG_LIST_EACH (h, &m->heads) {
        struct ns_node *head = CG_CONTAINER(h, struct ns_node, of);
        ns__tell_node(head, NS_INVAL_DATA);
        ns__moved_in(head);
    }
}

/* A mount came to its point, or went from it: the point's name leads elsewhere. */
void ns__point_changed(struct ns__mount *m)
{
    if (m->obj) {
        ns__moved(m->obj);
    } else if (m->synth && m->synth->parent) {
        ns__moved_in(m->synth->parent);
        ns__tell_node(m->synth->parent, NS_INVAL_DATA);
    }
}

/* A directory of the namespace's own is shown while something stands on it or below it. */
static void hide(struct ns_node *n)
{
    while (n->parent && !n->covered && cg_list_empty(&n->synths)) {
        struct ns_node *parent = n->parent;
        ns__moved_in(parent);
        ns__tell_node(parent, NS_INVAL_DATA);
        cg_list_del(&n->synth_link);
        n = parent;
    }
}

/* Takes the mount off its point; heads that are still referred to answer CG_ESTALE. */
void ns__mount_drop(struct ns__mount *m)
{
    if (m->dead) {
        return;
    }
    m->dead = true;
    if (m->obj) {
        m->obj->mount = NULL;
    } else if (m->synth) {
        m->synth->covered = NULL;
    }
    ns__point_changed(m);
    if (m->synth) {
        hide(m->synth);
    }
    ns__mount_put(m);
}

void ns__mount_put(struct ns__mount *m)
{
    if (--m->refs > 0) {
        return;
    }
    while (!cg_list_empty(&m->members)) {
        ns__member_free(CG_CONTAINER(m->members.next, struct ns__member, link));
    }
    if (m->obj) {
        ns__tree_put(m->obj->tree);
        ns__obj_put(m->obj);
    }
    struct ns_node *synth = m->synth;
    cg_list_del(&m->link);
    m->ns->mount_count--;
    cg_free(m->old);
    cg_free(m);
    if (synth) {
        ns__node_put(synth);
    }
}

/* Removes the members that were named what, all of them when it is NULL. */
uint32_t ns__members_remove(struct ns__mount *m, const char *what)
{
    uint32_t n = 0;
    ns__mount_changed(m);
    CG_LIST_EACH (it, &m->members) {
        struct ns__member *member = CG_CONTAINER(it, struct ns__member, link);
        if (!what || (member->what && strcmp(member->what, what) == 0)) {
            ns__member_free(member);
            n++;
        }
    }
    return n;
}

/* A new root of t stands where the old one stood. */
void ns__reroot(struct ns__tree *t, struct ns__obj *old)
{
    CG_LIST_EACH (it, &t->ns->mounts) {
        struct ns__mount *mount = CG_CONTAINER(it, struct ns__mount, link);
        CG_LIST_EACH (at, &mount->members) {
            struct ns__member *m = CG_CONTAINER(at, struct ns__member, link);
            if (m->tree == t && (!m->obj || m->obj == old)) {
                ns__member_set(m, t->root);
            }
        }
    }
}

/* ---- how a union answers */

enum ns__up ns__member_touch(struct ns_op *op, struct ns__member *m, struct ns__obj **out)
{
    enum ns__up up = ns__tree_touch(op, m->tree);
    if (up == NS__UP && !m->obj) {
        ns__member_set(m, m->tree->root);
    }
    *out = m->obj;
    return up;
}

bool ns__member_obj(struct ns_op *op, struct ns__member *m, struct ns__obj **out)
{
    enum ns__up up = ns__member_touch(op, m, out);
    if (up == NS__DOWN) {
        ns__fail(op, m->tree->why, m->tree->detail);
    }
    return up == NS__UP;
}

enum ns__up ns__nth_dir(struct ns_op *op, struct ns_node *n, uint32_t index, struct ns__obj **out)
{
    *out = NULL;
    if (n->obj && index == 0) {
        *out = n->obj;
        return ns__tree_touch(op, n->obj->tree);
    }
    if (!n->mount) {
        return NS__UP;
    }
    CG_LIST_EACH (it, &n->mount->members) {
        struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
        if (m->tree && index-- == 0) {
            return ns__member_touch(op, m, out);
        }
    }
    return NS__UP;
}

void ns__nothing(struct ns_op *op, struct ns_node *n)
{
    if (n->mount && n->mount->dead) {
        ns__fail(op, CG_ESTALE, "the mount is gone");
        return;
    }
    struct ns__tree *down = n->obj && n->obj->tree->state != NS__TREE_UP ? n->obj->tree : NULL;
    if (n->mount) {
        CG_LIST_EACH (it, &n->mount->members) {
            struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
            down = !down && m->tree && m->tree->state == NS__TREE_FAILED ? m->tree : down;
        }
    }
    if (down) {
        ns__fail(op, down->why, down->detail);
    } else {
        ns__fail(op, CG_ENOENT, "no file of that name");
    }
}

struct ns_node *ns__own_find(struct ns_node *n, const char *name)
{
    struct ns_node *found = ns__synth_find(n, name);
    if (!found && n->mount) {
        CG_LIST_EACH (it, &n->mount->members) {
            struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
            found = !found && m->synth ? ns__synth_find(m->synth, name) : found;
        }
    }
    return found;
}

struct ns_node *ns__own_child(struct ns_node *n, const char *name)
{
    struct ns_node *found = ns__own_find(n, name);
    if (found && found->covered) {
        return ns__head_get(n->ns, ns__view(n), found->covered);
    }
    if (found) {
        ns_node_ref(found);
    }
    return found;
}

bool ns__is_point(struct ns__obj *dir, const char *name)
{
    CG_LIST_EACH (it, &dir->tree->ns->mounts) {
        struct ns__obj *o = CG_CONTAINER(it, struct ns__mount, link)->obj;
        if (o && o->mount && o->up == dir && strcmp(o->up_name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool ns__create_dir(struct ns_op *op, struct ns_node *n, struct ns__obj **out)
{
    if (!n->mount) {
        return ns__real_obj(op, n, out);
    }
    if (n->mount->dead) {
        ns__fail(op, CG_ESTALE, "the mount is gone");
        return false;
    }
    CG_LIST_EACH (it, &n->mount->members) {
        struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
        if (m->create && m->tree) {
            return ns__member_obj(op, m, out);
        }
    }
    ns__fail(op, CG_ENOCREATE, "nothing was bound or mounted here with -c");
    return false;
}
