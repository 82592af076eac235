/* kept: the tree in the book, and out of it. A request's changes are committed together before it
 * is answered. Adoption makes the nodes, then gives each its names, pages, target and attributes,
 * and believes only a whole tree: every link count must be what the names say, and every directory
 * below the root. Files that had lost their last name go: whoever had them open had it from the
 * process that is gone.
 */
#include "ram.h"

#include <stdlib.h>
#include <string.h>

/* ---- into the book ---- */

void ram_dirty(struct ram_node *n)
{
    if (cg_list_empty(&n->dirty)) {
        cg_list_push(&n->fs->dirty, &n->dirty);
    }
}

void ram_unsave(struct ramfs *fs, void *record)
{
    if (record != NULL) {
        book_drop(fs->book, record);
        fs->changed = true;
    }
}

bool ram_save_node(struct ram_node *n)
{
    n->saved = book_add(n->fs->book, RAM_KIND_NODE, n->file, 0, sizeof *n->saved);
    n->fs->starved = n->saved == NULL;
    return n->saved != NULL;
}

/* Which of two versions is written: that of the open transaction, else the older. */
static int version_to_write(const struct ramfs *fs, uint64_t first, uint64_t second)
{
    uint64_t now = book_now(fs->book);
    return second == now || (first != now && second < first);
}

void ram_save_file(struct ram_entry *e, struct ram_node *n)
{
    struct ram_name_version *v = e->saved->v;
    v = &v[version_to_write(n->fs, v[0].now, v[1].now)];
    v->now = book_now(n->fs->book);
    v->file = n->file;
    n->fs->changed = true;
}

static void save(struct ram_node *n)
{
    struct ram_node_version *v = n->saved->v;
    v = &v[version_to_write(n->fs, v[0].now, v[1].now)];
    v->now = book_now(n->fs->book);
    *v = (struct ram_node_version){.now = v->now,
                                   .change = n->change,
                                   .owner = n->owner,
                                   .group = n->group,
                                   .size = n->size,
                                   .rdev = n->rdev,
                                   .atime = n->atime,
                                   .mtime = n->mtime,
                                   .ctime = n->ctime,
                                   .btime = n->btime,
                                   .mode = n->mode,
                                   .nlink = n->nlink};
}

void ram_commit(struct ramfs *fs)
{
    if (cg_list_empty(&fs->dirty) && !fs->changed) {
        return;
    }
    CG_LIST_EACH (it, &fs->dirty) {
        struct ram_node *n = CG_CONTAINER(it, struct ram_node, dirty);
        save(n);
        cg_list_del(&n->dirty);
    }
    struct ram_tree_version *v = fs->saved->v;
    v = &v[version_to_write(fs, v[0].now, v[1].now)];
    v->now = book_now(fs->book);
    v->file_last = fs->file_last;
    v->change_last = fs->change_last;
    v->cookie_last = fs->cookie_last;
    book_commit(fs->book);
    fs->changed = false;
}

void ram_respond(struct ninep_req *r, cg_err e)
{
    ram_commit(r->server_aux);
    ninep_respond(r, e);
}

/* ---- out of it ---- */

struct adoption {
    struct ramfs *fs;
    struct cg_map by_file; /* u64 -> node */
    struct ram_saved_name **name;
    uint32_t names, name_cap;
    struct cg_errbuf *eb;
};

static cg_err damaged(struct adoption *a, const char *what, uint64_t file)
{
    return cg_fail(a->eb, CG_EBADFORMAT, "the kept tree is damaged: %s of file %llu", what,
                   (unsigned long long)file);
}

static cg_err no_memory(struct adoption *a)
{
    return cg_fail(a->eb, CG_ENOMEM, "no memory to adopt the tree");
}

/* The version that holds, -1: none. One of a transaction that was never committed is wiped, for its
 * number will come again. */
static int version_that_holds(const struct ramfs *fs, uint64_t *first, uint64_t *second)
{
    uint64_t committed = book_committed(fs->book);
    *first = *first <= committed ? *first : 0;
    *second = *second <= committed ? *second : 0;
    if (*first == 0 && *second == 0) {
        return -1;
    }
    return *second > *first;
}

static cg_err adopt_node(struct adoption *a, struct ram_saved_node *s)
{
    struct ramfs *fs = a->fs;
    uint64_t file = book_head(fs->book, s)->a;
    int i = version_that_holds(fs, &s->v[0].now, &s->v[1].now);
    if (i < 0 || book_head(fs->book, s)->len != sizeof *s || file == 0 ||
        cg_map_get(&a->by_file, &file) != NULL) {
        return damaged(a, "the record", file);
    }
    struct ram_node *n = ram_charge(fs, RAM_NODE_BYTES) ? cg_zalloc(sizeof *n) : NULL;
    if (n == NULL || cg_map_put(&a->by_file, &file, n) != CG_OK) {
        return no_memory(a);
    }
    const struct ram_node_version *v = &s->v[i];
    *n = (struct ram_node){.fs = fs,
                           .saved = s,
                           .file = file,
                           .change = v->change,
                           .owner = v->owner,
                           .group = v->group,
                           .size = v->size,
                           .rdev = v->rdev,
                           .atime = v->atime,
                           .mtime = v->mtime,
                           .ctime = v->ctime,
                           .btime = v->btime,
                           .mode = v->mode,
                           .nlink = S_ISDIR(v->mode) ? 1 : 0}; /* its own "."; names come later */
    n->pages.file = file;
    cg_list_init(&n->dirty);
    fs->files++;
    if (file == 1) {
        fs->root = n;
        n->dir.parent = n;
        n->nlink = 2;
    }
    return CG_OK;
}

static cg_err adopt_tree(struct adoption *a, struct ram_saved_tree *s)
{
    int i = version_that_holds(a->fs, &s->v[0].now, &s->v[1].now);
    if (a->fs->saved != NULL || i < 0 || book_head(a->fs->book, s)->len != sizeof *s) {
        return damaged(a, "the tree's record", 0);
    }
    a->fs->saved = s;
    a->fs->volume = s->volume;
    a->fs->file_last = s->v[i].file_last;
    a->fs->change_last = s->v[i].change_last;
    a->fs->cookie_last = s->v[i].cookie_last;
    return CG_OK;
}

static cg_err note_name(struct adoption *a, struct ram_saved_name *s)
{
    const struct book_head *h = book_head(a->fs->book, s);
    struct cg_span name = {(const uint8_t *)s->name, h->len - (uint32_t)sizeof *s};
    if (h->len <= sizeof *s || !cg_name_ok(name) || h->b == 0) {
        return damaged(a, "a name", h->a);
    }
    if (a->names == a->name_cap) {
        uint32_t cap = a->name_cap > 0 ? a->name_cap * 2 : 256;
        void *more = cg_realloc(a->name, cap * sizeof(struct ram_saved_name *));
        if (more == NULL) {
            return no_memory(a);
        }
        a->name = more;
        a->name_cap = cap;
    }
    a->name[a->names++] = s;
    return CG_OK;
}

/* First the nodes, then what belongs to them. */
static cg_err adopt_first(struct adoption *a, void *record)
{
    switch (book_head(a->fs->book, record)->kind) {
    case RAM_KIND_TREE:
        return adopt_tree(a, record);
    case RAM_KIND_NODE:
        return adopt_node(a, record);
    case RAM_KIND_NAME:
        return note_name(a, record);
    case RAM_KIND_PAGE:
    case RAM_KIND_TARGET:
    case RAM_KIND_XATTR:
        return CG_OK;
    default:
        return damaged(a, "a record of no kind", 0);
    }
}

static cg_err adopt_target(struct adoption *a, struct ram_node *n, void *record)
{
    uint32_t len = book_head(a->fs->book, record)->len;
    if (!S_ISLNK(n->mode) || n->target != NULL || len != n->size) {
        return damaged(a, "the target", n->file);
    }
    n->target = ram_charge(a->fs, len) ? cg_strndup(record, len) : NULL;
    n->saved_target = record;
    return n->target != NULL ? CG_OK : no_memory(a);
}

static cg_err adopt_page(struct adoption *a, struct ram_node *n, void *record)
{
    const struct book_head *h = book_head(a->fs->book, record);
    if (!S_ISREG(n->mode) || h->len != RAM_PAGE_BYTES ||
        h->b >= RAM_FILE_BYTES_MAX / RAM_PAGE_BYTES || ram_pages_find(&n->pages, h->b) != NULL) {
        return damaged(a, "a page", n->file);
    }
    return ram_charge(a->fs, RAM_PAGE_BYTES) && ram_pages_put(a->fs, &n->pages, h->b, record)
               ? CG_OK
               : no_memory(a);
}

static cg_err adopt_second(struct adoption *a, void *record)
{
    const struct book_head *h = book_head(a->fs->book, record);
    if (h->kind != RAM_KIND_PAGE && h->kind != RAM_KIND_TARGET && h->kind != RAM_KIND_XATTR) {
        return CG_OK;
    }
    struct ram_node *n = cg_map_get(&a->by_file, &h->a);
    if (n == NULL) {
        return damaged(a, "contents", h->a);
    }
    if (h->kind == RAM_KIND_PAGE) {
        return adopt_page(a, n, record);
    }
    if (h->kind == RAM_KIND_TARGET) {
        return adopt_target(a, n, record);
    }
    if (h->b == 0 || h->b > h->len) {
        return damaged(a, "an attribute", h->a);
    }
    return ram_xattr_adopt(n, record) == CG_OK ? CG_OK : no_memory(a);
}

static cg_err each_record(struct adoption *a, cg_err (*fn)(struct adoption *a, void *record))
{
    uint64_t cursor = 0;
    void *record;
    cg_err e = CG_OK;
    while (e == CG_OK && (record = book_next(a->fs->book, &cursor)) != NULL) {
        e = fn(a, record);
    }
    return e;
}

static struct book *sorting; /* for by_cookie, which qsort gives no more than two names */

static int by_cookie(const void *x, const void *y)
{
    uint64_t a = book_head(sorting, *(void *const *)x)->b;
    uint64_t b = book_head(sorting, *(void *const *)y)->b;
    return a < b ? -1 : a > b;
}

static cg_err adopt_names(struct adoption *a)
{
    sorting = a->fs->book;
    if (a->names > 0) {
        qsort(a->name, a->names, sizeof *a->name, by_cookie);
    }
    for (uint32_t i = 0; i < a->names; i++) {
        struct ram_saved_name *s = a->name[i];
        uint64_t dir = book_head(a->fs->book, s)->a;
        struct ram_node *d = cg_map_get(&a->by_file, &dir), *n = NULL;
        struct ram_entry *e = NULL;
        int v = version_that_holds(a->fs, &s->v[0].now, &s->v[1].now);
        if (v >= 0) {
            n = cg_map_get(&a->by_file, &s->v[v].file);
        }
        if (d == NULL || n == NULL || !S_ISDIR(d->mode) || n == a->fs->root ||
            (S_ISDIR(n->mode) && n->dir.parent != NULL)) {
            return damaged(a, "a name in directory", dir);
        }
        if (ram_dir_adopt(d, s, &e) != CG_OK) {
            return no_memory(a);
        }
        ram_dir_insert(d, e, n);
    }
    return CG_OK;
}

/* Is there a way up to the root? As deep as there are nodes, at most. */
static bool below_root(const struct ramfs *fs, const struct ram_node *d)
{
    uint64_t steps = 0;
    while (d != NULL && d != fs->root && steps++ <= fs->files) {
        d = d->dir.parent;
    }
    return d == fs->root;
}

static cg_err check_nodes(struct adoption *a)
{
    uint32_t cursor = 0;
    struct ram_node *n;
    if (a->fs->root == NULL || !S_ISDIR(a->fs->root->mode) || a->fs->saved == NULL) {
        return damaged(a, "the root", 1);
    }
    while ((n = cg_map_next(&a->by_file, &cursor)) != NULL) {
        int i = version_that_holds(a->fs, &n->saved->v[0].now, &n->saved->v[1].now);
        const struct ram_node_version *v = &n->saved->v[i];
        bool nameless = v->nlink == 0 && n->dir.live == 0 && n->nlink == S_ISDIR(n->mode);
        if (nameless) {
            n->nlink = 0;
        } else if (n->nlink != v->nlink || (S_ISLNK(n->mode) && n->target == NULL) ||
                   (S_ISDIR(n->mode) && !below_root(a->fs, n))) {
            return damaged(a, "the names", n->file);
        }
    }
    cursor = 0;
    while ((n = cg_map_next(&a->by_file, &cursor)) != NULL) {
        ram_node_drop(n); /* only those without a name */
    }
    return CG_OK;
}

/* What was adopted so far, out of memory; the book, which is not committed, stays as it is. */
static void let_go(struct adoption *a)
{
    uint32_t cursor = 0;
    struct ram_node *n;
    while ((n = cg_map_next(&a->by_file, &cursor)) != NULL) {
        for (uint32_t i = 0; i < n->dir.places; i++) {
            if (n->dir.place[i].entry != NULL) {
                ram_dir_cancel(n, n->dir.place[i].entry);
            }
        }
        n->dir.live = 0;
    }
    cursor = 0;
    while ((n = cg_map_next(&a->by_file, &cursor)) != NULL) {
        n->nlink = 0;
        ram_node_drop(n);
    }
}

cg_err ram_adopt(struct ramfs *fs, struct cg_errbuf *eb)
{
    struct adoption a = {.fs = fs, .eb = eb};
    cg_map_init(&a.by_file, sizeof(uint64_t));
    cg_err e = each_record(&a, adopt_first);
    e = e != CG_OK ? e : each_record(&a, adopt_second);
    e = e != CG_OK ? e : adopt_names(&a);
    e = e != CG_OK ? e : check_nodes(&a);
    if (e == CG_OK) {
        ram_commit(fs);
    } else {
        let_go(&a);
    }
    cg_map_fini(&a.by_file);
    cg_free(a.name);
    return e;
}
