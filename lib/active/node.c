/* Files in memory. One is there while somebody holds it, something of it differs from the base, it
 * has several names, or a file below it is there; others stay until ACTIVE_IDLE_MAX newer ones are
 * as idle. So from every file that is there its directories are, up to the root. */
#include "active__.h"

#include <string.h>

bool act_node_is_dir(const struct active_node *n)
{
    return n->kind == STORE_DIR;
}

struct active_node *act_node_find(struct active *t, uint64_t ino)
{
    return cg_map_get(&t->nodes, &ino);
}

cg_err act_node_new(struct active *t, uint64_t ino, struct active_node **out)
{
    struct active_node *n = cg_zalloc(sizeof *n);
    if (!n) {
        return CG_ENOMEM;
    }
    n->ino = ino;
    n->limit = n->limit_old = UINT64_MAX;
    cg_list_init(&n->idle);
    cg_list_init(&n->dirty);
    cg_err e = cg_map_put(&t->nodes, &ino, n);
    if (e) {
        cg_free(n);
        return e;
    }
    *out = n;
    return CG_OK;
}

static cg_err set_str(struct cg_str *s, struct cg_span text)
{
    s->len = 0;
    return text.len ? cg_str_add(s, text.data, text.len) : CG_OK;
}

cg_err act_node_base(struct active_node *n, const struct store_entry *e)
{
    n->kind = e->kind;
    n->mode = e->mode;
    n->uid = e->uid;
    n->gid = e->gid;
    n->nlink = e->nlink;
    n->rdev = e->rdev;
    n->mtime_ns = n->atime_ns = e->mtime_ns;
    n->ctime_ns = e->ctime_ns;
    n->size = e->kind == STORE_FILE || e->kind == STORE_SYMLINK ? e->size : 0;
    n->based = true;
    n->content = e->content;
    n->score = e->score;
    n->base_size = e->kind == STORE_FILE ? e->size : 0;
    if (e->content == STORE_INLINE) {
        memcpy(n->small, e->data.data, e->data.len);
    }
    cg_err err = set_str(&n->xattrs, e->xattrs);
    return err || e->kind != STORE_SYMLINK ? err : set_str(&n->target, e->data);
}

void act_node_entry(const struct active_node *n, struct cg_span name, struct store_entry *e)
{
    *e = (struct store_entry){.name = name,
                              .kind = n->kind,
                              .mode = n->mode,
                              .uid = n->uid,
                              .gid = n->gid,
                              .nlink = n->nlink,
                              .ino = n->ino,
                              .rdev = n->rdev,
                              .mtime_ns = n->mtime_ns,
                              .ctime_ns = n->ctime_ns,
                              .size = n->base_size,
                              .content = n->content,
                              .score = n->score,
                              .xattrs = active_xattrs(n)};
    if (n->kind == STORE_SYMLINK) {
        e->data = active_target(n);
        e->size = e->data.len;
    } else if (n->content == STORE_INLINE) {
        e->data = (struct cg_span){.data = n->small, .len = (uint32_t)n->base_size};
    }
}

cg_err act_node_load(struct active *t, struct active_node *dir, const struct store_entry *e,
                     struct active_node **out)
{
    struct active_node *n = act_node_find(t, e->ino);
    struct name *name;
    cg_err err = CG_OK;
    if (e->ino < FIRST_INO || (n && (act_node_is_dir(n) || e->kind != n->kind))) {
        return CG_EBADFORMAT; /* no tree of ours has one directory twice */
    }
    if (!n) {
        err = act_node_new(t, e->ino, &n);
        err = err ? err : act_node_base(n, e);
    }
    err = err ? err : act_name_add(t, dir, e->name, &name);
    if (err) {
        if (n && !n->names) {
            act_node_free(t, n);
        }
        return err;
    }
    name->state = NAME_CLEAN;
    name->below = true;
    act_name_attach(name, n);
    if (dir == t->orphans) {
        n->nlink = 0;
    }
    *out = n;
    return CG_OK;
}

void act_node_dirty(struct active *t, struct active_node *n)
{
    if (!n->gen) {
        cg_list_push(&t->dirty, &n->dirty);
    }
    n->gen = t->gen;
}

void act_node_clean(struct active *t, struct active_node *n)
{
    cg_list_del(&n->dirty);
    n->gen = 0;
    act_node_rest(t, n);
}

static void leave_idle(struct active *t, struct active_node *n)
{
    if (!cg_list_empty(&n->idle)) {
        cg_list_del(&n->idle);
        t->idles--;
    }
}

/* Out of memory, with its names; what is not in the base is lost. */
void act_node_free(struct active *t, struct active_node *n)
{
    cg_assert(!n->child && !n->fids);
    leave_idle(t, n);
    cg_list_del(&n->dirty);
    while (n->names) {
        struct name *name = n->names;
        struct active_node *dir = name->dir;
        act_name_detach(name);
        act_name_drop(name);
        act_node_rest(t, dir);
    }
    cg_map_del(&t->nodes, &n->ino);
    cg_str_fini(&n->xattrs);
    cg_str_fini(&n->target);
    cg_free(n->ext);
    cg_free(n);
}

static bool is_idle(const struct active *t, const struct active_node *n)
{
    if (t->replay || n->fids || n->gen || n->child || n == t->root || n == t->orphans ||
        (n->nlink > 1 && !act_node_is_dir(n))) {
        return false;
    }
    for (const struct name *name = n->names; name; name = name->next) {
        if (name->state != NAME_CLEAN) {
            return false;
        }
    }
    return true;
}

void act_node_rest(struct active *t, struct active_node *n)
{
    if (!n->names && !n->fids && n != t->root && n != t->orphans) {
        if (act_name_holds(n->child)) {
            return; /* of a tree that is lost: act_apply refused a frame in its midst */
        }
        while (n->child) { /* names that are gone, of a directory that is */
            act_name_drop(n->child);
        }
        act_node_free(t, n);
    } else if (is_idle(t, n) && cg_list_empty(&n->idle)) {
        cg_list_push(&t->idle, &n->idle);
        t->idles++;
    }
}

/* Lets go of those that have been idle for longest. */
static void shrink(struct active *t)
{
    while (t->idles > ACTIVE_IDLE_MAX) {
        struct active_node *n = CG_CONTAINER(t->idle.next, struct active_node, idle);
        leave_idle(t, n);
        if (is_idle(t, n)) {
            act_node_free(t, n);
        }
    }
}

struct active_node *active_get(struct active_node *n)
{
    n->fids++;
    return n;
}

/* Its last holder is gone, and it has a name only beside the root. */
static void forget_orphan(struct active *t, struct active_node *n)
{
    struct name *name = n->names;
    act_tx_begin(t);
    if (act_tx_unname(t, ORPHANS_INO, act_name_span(name)) == CG_OK) {
        act_tx_end(t, true, NULL); /* when it fails, the next opening of the tree does it */
    }
}

void active_put(struct active *t, struct active_node *n)
{
    cg_assert(n->fids > 0);
    if (--n->fids > 0) {
        return;
    }
    if (n->names && n->names->dir == t->orphans && !t->failed) {
        forget_orphan(t, n); /* and with it n */
        return;
    }
    act_node_rest(t, n);
    shrink(t);
}

void active_stat(const struct active_node *n, struct active_attr *out)
{
    uint64_t base = act_base_limit(n), bytes = n->ext_bytes + base;
    *out = (struct active_attr){.kind = n->kind,
                                .mode = n->mode,
                                .uid = n->uid,
                                .gid = n->gid,
                                .nlink = n->names || n->ino == ROOT_INO ? n->nlink : 0,
                                .ino = n->ino,
                                .rdev = n->rdev,
                                .size = n->size,
                                .bytes = bytes < n->size ? bytes : n->size,
                                .atime_ns = n->atime_ns,
                                .mtime_ns = n->mtime_ns,
                                .ctime_ns = n->ctime_ns,
                                .change = (uint64_t)n->ctime_ns,
                                .xattrs = n->xattrs.len > 0};
}

struct cg_span active_target(const struct active_node *n)
{
    return (struct cg_span){.data = (const uint8_t *)n->target.data,
                            .len = (uint32_t)n->target.len};
}

struct cg_span active_xattrs(const struct active_node *n)
{
    return (struct cg_span){.data = (const uint8_t *)n->xattrs.data,
                            .len = (uint32_t)n->xattrs.len};
}

/* ---- all of them ---- */

void act_tree_init(struct active *t)
{
    cg_map_init(&t->nodes, sizeof(uint64_t));
    cg_list_init(&t->idle);
    cg_list_init(&t->dirty);
    cg_list_init(&t->settled);
    t->freed = 0;
    t->ino_next = FIRST_INO;
    t->prio = 2463534242u;
}

bool act_tree_free_some(struct active *t, uint32_t *left)
{
    struct active_node *n;
    while (*left && (n = cg_map_next(&t->nodes, &t->freed)) != NULL) {
        for (; n->child && *left; --*left) {
            act_name_drop(n->child);
        }
        if (n->child) { /* it has more names: it is next again */
            t->freed--;
            return false;
        }
        cg_map_del(&t->nodes, &n->ino);
        cg_str_fini(&n->xattrs);
        cg_str_fini(&n->target);
        cg_free(n->ext);
        cg_free(n);
        *left -= *left > 0;
    }
    return cg_map_count(&t->nodes) == 0;
}

void act_tree_fini(struct active *t)
{
    uint32_t all = UINT32_MAX;
    while (!act_tree_free_some(t, &all)) {
        all = UINT32_MAX;
    }
    cg_map_fini(&t->nodes);
    for (size_t i = 0; i < t->segs; i++) {
        store_journal_close(t->seg[i].j);
    }
    cg_free(t->seg);
    cg_str_fini(&t->tx);
    cg_str_fini(&t->nameless);
}
