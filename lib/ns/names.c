/* The cached names of directories, present and absent, and how the kernel side is told of files.
 *
 * A name is valid while its directory is leased. All of a tree's names are in one map, keyed by the
 * directory's serial number and a hash of the name; names with the same hash are chained. When all
 * names of a directory are known (complete), any other name is absent.
 */
#include "internal.h"

#include <string.h>

struct name_key {
    uint64_t dir, hash;
};

static struct name_key key_of(const struct ns__obj *dir, const char *name)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a, 64 bits; the map hashes again under a secret */
    for (const char *p = name; *p; p++) {
        h = (h ^ (uint8_t)*p) * 0x100000001b3;
    }
    return (struct name_key){dir->serial, h};
}

struct ns__name *ns__name_get(struct ns__obj *dir, const char *name)
{
    struct name_key key = key_of(dir, name);
    struct ns__name *n = cg_map_get(&dir->tree->names, &key);
    while (n && strcmp(n->text, name) != 0) {
        n = n->same;
    }
    return n;
}

static void drop_negatives(struct ns__obj *dir)
{
    CG_LIST_EACH (it, &dir->names) {
        struct ns__name *n = CG_CONTAINER(it, struct ns__name, link);
        if (!n->obj) {
            ns__name_del(n);
        }
    }
}

static void point(struct ns__name *n, struct ns__obj *obj)
{
    cg_list_del(&n->alias);
    n->dir->negative_count -= n->obj == NULL;
    n->obj = obj;
    n->dir->negative_count += obj == NULL;
    if (obj) {
        cg_list_push(&obj->aliases, &n->alias);
    }
}

static struct ns__name *name_new(struct ns__obj *dir, const char *name)
{
    size_t len = strlen(name);
    struct ns__name *n = cg_zalloc(sizeof *n + len + 1);
    if (!n) {
        return NULL;
    }
    memcpy(n->text, name, len + 1);
    n->dir = dir;
    cg_list_init(&n->alias);
    struct name_key key = key_of(dir, name);
    n->same = cg_map_get(&dir->tree->names, &key);
    if (cg_map_put(&dir->tree->names, &key, n) != CG_OK) {
        cg_free(n);
        return NULL;
    }
    cg_list_push(&dir->names, &n->link);
    dir->name_count++;
    dir->negative_count++; /* until it points somewhere */
    return n;
}

/* false: there is no room; the directory's listing is then no longer complete. */
bool ns__name_put(struct ns__obj *dir, const char *name, struct ns__obj *obj)
{
    struct ns__name *n = ns__name_get(dir, name);
    if (n && n->obj && !obj) {
        cg_list_del(&n->link); /* keeps the order of what is there */
        cg_list_push(&dir->names, &n->link);
    }
    if (!n) {
        if (!obj && dir->negative_count >= NS_NEGATIVES_MAX) {
            drop_negatives(dir);
        }
        if (dir->name_count < NS_NAMES_MAX + NS_NEGATIVES_MAX) {
            n = name_new(dir, name);
        }
        if (!n) {
            dir->complete = dir->complete && !obj;
            return false;
        }
    }
    point(n, obj);
    return true;
}

/* Without obj's name the listing has a gap; a removed file's name is put as absent first. */
void ns__name_del(struct ns__name *n)
{
    struct ns__obj *dir = n->dir;
    struct name_key key = key_of(dir, n->text);
    struct ns__name *first = cg_map_get(&dir->tree->names, &key);
    if (first == n && n->same) {
        cg_err e = cg_map_put(&dir->tree->names, &key, n->same);
        cg_assert(e == CG_OK); /* it replaces */
    } else if (first == n) {
        cg_map_del(&dir->tree->names, &key);
    } else {
        while (first->same != n) {
            first = first->same;
        }
        first->same = n->same;
    }
    if (n->obj) {
        dir->complete = false;
        dir->cookie = 0; /* the pages so far say nothing any more */
    } else {
        dir->negative_count--;
    }
    dir->name_count--;
    cg_list_del(&n->link);
    cg_list_del(&n->alias);
    cg_free(n);
}

void ns__names_drop(struct ns__obj *dir)
{
    while (!cg_list_empty(&dir->names)) {
        ns__name_del(CG_CONTAINER(dir->names.next, struct ns__name, link));
    }
    dir->complete = false;
    if (dir->answers >= NS_PAYS) {
        dir->wasted = 0;
    } else if ((dir->tried || dir->guessed) && dir->wasted < NS_WASTED_MAX) {
        dir->wasted++;
    }
    dir->tried = dir->guessed = false;
    dir->answers = 0;
    dir->misses = dir->wasted > 0 ? dir->misses : 0;
    dir->cookie = 0;
    dir->ahead_cookie = dir->ahead_bytes = 0;
    dir->ahead_done = false;
}

void ns__tell_node(struct ns_node *n, enum ns_inval what)
{
    const struct ns_config *config = &n->ns->config;
    if (config->invalidate && !n->ns->closing) {
        config->invalidate(config->ctx, n, what);
    }
}

void ns__tell(struct ns__obj *o, enum ns_inval what, const struct ns_node *but)
{
    CG_LIST_EACH (it, &o->nodes) {
        struct ns_node *n = CG_CONTAINER(it, struct ns_node, of);
        if (n != but) {
            ns__tell_node(n, what);
        }
    }
    CG_LIST_EACH (m, &o->members) {
        struct ns__mount *mount = CG_CONTAINER(m, struct ns__member, of)->mount;
        CG_LIST_EACH (h, &mount->heads) {
            struct ns_node *n = CG_CONTAINER(h, struct ns_node, of);
            if (n != but) {
                ns__tell_node(n, what);
            }
        }
    }
}

bool ns__shows(const struct ns_node *n, const struct ns__obj *o)
{
    bool shows = n->obj == o;
    CG_LIST_EACH (m, &o->members) {
        shows = shows || CG_CONTAINER(m, struct ns__member, of)->mount == n->mount;
    }
    return shows;
}
