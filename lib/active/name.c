/* Names of a directory: the base's, and over it what memory has, in a treap by the bytes of the
 * name. A name in memory hides the one of the base. */
#include "active__.h"

#include <string.h>

int act_span_cmp(struct cg_span a, struct cg_span b)
{
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

struct cg_span act_name_span(const struct name *n)
{
    return (struct cg_span){.data = n->bytes, .len = n->len};
}

struct name *act_name_find(const struct active_node *dir, struct cg_span name)
{
    struct name *n = dir->child;
    int c = 0;
    while (n && (c = act_span_cmp(name, act_name_span(n))) != 0) {
        n = c < 0 ? n->left : n->right;
    }
    return n;
}

struct name *act_name_after(const struct active_node *dir, struct cg_span name)
{
    struct name *n = dir->child, *best = NULL;
    while (n) {
        if (act_span_cmp(act_name_span(n), name) > 0) {
            best = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

/* Those before name to *a, those behind it to *b. As deep as the treap. */
static void split(struct name *n, struct cg_span name, struct name **a, struct name **b)
{
    if (!n) {
        *a = *b = NULL;
    } else if (act_span_cmp(act_name_span(n), name) < 0) {
        *a = n;
        split(n->right, name, &n->right, b);
    } else {
        *b = n;
        split(n->left, name, a, &n->left);
    }
}

static struct name *merge(struct name *a, struct name *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (a->prio > b->prio) {
        a->right = merge(a->right, b);
        return a;
    }
    b->left = merge(a, b->left);
    return b;
}

static uint32_t next_prio(struct active *t)
{
    t->prio ^= t->prio << 13; /* xorshift, G. Marsaglia */
    t->prio ^= t->prio >> 17;
    t->prio ^= t->prio << 5;
    return t->prio;
}

cg_err act_name_add(struct active *t, struct active_node *dir, struct cg_span name,
                    struct name **out)
{
    struct name *a, *b, *n = cg_zalloc(sizeof *n + name.len);
    if (!n) {
        return CG_ENOMEM;
    }
    n->dir = dir;
    n->prio = next_prio(t);
    n->len = (uint8_t)name.len;
    n->state = NAME_GONE;
    memcpy(n->bytes, name.data, name.len);
    split(dir->child, act_name_span(n), &a, &b);
    dir->child = merge(merge(a, n), b);
    *out = n;
    return CG_OK;
}

void act_name_drop(struct name *n)
{
    struct name **at = &n->dir->child;
    while (*at != n) {
        at = act_span_cmp(act_name_span(n), act_name_span(*at)) < 0 ? &(*at)->left : &(*at)->right;
    }
    *at = merge(n->left, n->right);
    cg_free(n);
}

/* As deep as the treap. */
bool act_name_holds(const struct name *n)
{
    return n && (n->node || act_name_holds(n->left) || act_name_holds(n->right));
}

void act_name_attach(struct name *n, struct active_node *node)
{
    n->node = node;
    n->next = node->names;
    node->names = n;
}

void act_name_detach(struct name *n)
{
    struct name **at = &n->node->names;
    while (*at != n) {
        at = &(*at)->next;
    }
    *at = n->next;
    n->node = NULL;
}

cg_err act_name_lookup(struct active *t, struct active_node *dir, struct cg_span name,
                       struct active_node **out, struct cg_errbuf *eb)
{
    struct name *n = act_name_find(dir, name);
    struct store_entry entry;
    struct cg_str keep = {0};
    if (n) {
        *out = n->node;
        return n->node ? CG_OK : CG_ENOENT;
    }
    if (!dir->based) {
        return CG_ENOENT;
    }
    cg_err e = store_lookup_name(t->s, &dir->score, name, &entry, &keep, eb);
    if (!e) {
        e = act_node_load(t, dir, &entry, out);
        e = e ? cg_fail(eb, e, "the tree's entry: %s", cg_err_meaning(e)) : CG_OK;
    }
    cg_str_fini(&keep);
    return e;
}

bool act_name_is_in(const struct active_node *dir, const struct active_node *above)
{
    while (dir != above && dir->names) {
        dir = dir->names->dir;
    }
    return dir == above;
}

struct active_node *active_parent(const struct active_node *dir)
{
    return dir->names ? dir->names->dir : NULL;
}

/* ---- listing: the base and memory, merged ---- */

struct merging {
    struct active *t;
    struct active_node *dir;
    struct store_dir *base; /* NULL: none */
    struct store_entry entry;
    bool has; /* entry is the base's next name */
    uint8_t last[STORE_NAME_BYTES_MAX];
    struct cg_span after; /* in last */
};

static void stands_at(struct merging *m, struct cg_span name)
{
    memcpy(m->last, name.data, name.len);
    m->after = (struct cg_span){.data = m->last, .len = name.len};
}

static cg_err next_of_base(struct merging *m, struct cg_errbuf *eb)
{
    cg_err e = m->base ? store_dir_next(m->base, &m->entry, eb) : CG_ENOENT;
    m->has = e == CG_OK;
    return e == CG_ENOENT ? CG_OK : e;
}

static cg_err merging_begin(struct merging *m, struct cg_span after, struct cg_errbuf *eb)
{
    m->base = NULL;
    stands_at(m, after);
    cg_err e = m->dir->based ? store_dir_open(m->t->s, &m->dir->score, &m->base, eb) : CG_OK;
    if (!e && m->base && after.len) {
        e = store_dir_seek(m->base, after, eb);
    }
    e = e ? e : next_of_base(m, eb);
    if (!e && m->has && after.len && act_span_cmp(m->entry.name, after) == 0) {
        e = next_of_base(m, eb);
    }
    return e;
}

/* The next name: *n when memory has it, else the entry. CG_ENOENT at the end. */
static cg_err merging_next(struct merging *m, struct name **n, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    while (!e) {
        *n = act_name_after(m->dir, m->after);
        if (!*n && !m->has) {
            return CG_ENOENT;
        }
        int c = !*n ? 1 : !m->has ? -1 : act_span_cmp(act_name_span(*n), m->entry.name);
        if (c > 0) {
            *n = NULL;
            stands_at(m, m->entry.name);
            return CG_OK; /* the caller takes the entry, then asks for the next of the base */
        }
        stands_at(m, act_name_span(*n));
        e = c == 0 ? next_of_base(m, eb) : CG_OK;
        if (!e && (*n)->node) {
            return CG_OK;
        }
    }
    return e;
}

cg_err act_dir_empty(struct active *t, struct active_node *dir, bool *empty, struct cg_errbuf *eb)
{
    struct merging m = {.t = t, .dir = dir};
    struct name *n;
    cg_err e = merging_begin(&m, (struct cg_span){.data = m.last}, eb);
    e = e ? e : merging_next(&m, &n, eb);
    store_dir_close(m.base);
    *empty = e == CG_ENOENT;
    return *empty ? CG_OK : e;
}

static void attr_of_entry(const struct store_entry *e, struct active_attr *out)
{
    *out = (struct active_attr){.kind = e->kind,
                                .mode = e->mode,
                                .uid = e->uid,
                                .gid = e->gid,
                                .nlink = e->nlink,
                                .ino = e->ino,
                                .rdev = e->rdev,
                                .size = e->kind == STORE_DIR ? 0 : e->size,
                                .bytes = e->kind == STORE_FILE ? e->size : 0,
                                .atime_ns = e->mtime_ns,
                                .mtime_ns = e->mtime_ns,
                                .ctime_ns = e->ctime_ns,
                                .change = (uint64_t)e->ctime_ns,
                                .xattrs = e->xattrs.len > 0};
}

cg_err active_list(struct active *t, struct active_node *dir, struct cg_span after,
                   active_name_fn *each, void *aux, bool *end, struct cg_errbuf *eb)
{
    struct merging m = {.t = t, .dir = dir};
    struct active_attr a;
    struct name *n;
    bool more = true;
    cg_err e = merging_begin(&m, after, eb);
    while (!e && more) {
        e = merging_next(&m, &n, eb);
        struct active_node *node = e ? NULL : n ? n->node : act_node_find(t, m.entry.ino);
        if (e) {
            break;
        }
        if (node) {
            active_stat(node, &a);
        } else {
            attr_of_entry(&m.entry, &a);
        }
        more = each(aux, m.after, &a, node ? NULL : &m.entry, node);
        e = !n && more ? next_of_base(&m, eb) : CG_OK;
    }
    store_dir_close(m.base);
    *end = e == CG_ENOENT;
    return *end ? CG_OK : e;
}
