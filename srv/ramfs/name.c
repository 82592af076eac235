/* Names: create, remove, rename, link, put. Each checks and allocates first, then changes. */
#include "ram.h"
#include <string.h>

static cg_err need_dir(const struct ram_node *d, struct cg_errbuf *eb)
{
    return S_ISDIR(d->mode) ? CG_OK : cg_fail(eb, CG_ENOTDIR, "not a directory");
}

/* May fid change the names of d? */
static cg_err may_change(const struct ninep_fid *fid, const struct ram_node *d,
                         struct cg_errbuf *eb)
{
    cg_err e = need_dir(d, eb);
    if (e == CG_OK) {
        e = ram_may(fid, d, NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC, eb);
    }
    return e;
}

/* May fid take n's name out of d? In a sticky directory only the owner of either may. */
static cg_err may_unname(const struct ninep_fid *fid, const struct ram_node *d,
                         const struct ram_node *n, struct cg_errbuf *eb)
{
    if ((d->mode & S_ISVTX) != 0 && !ram_owns(fid, n) && !ram_owns(fid, d)) {
        return cg_fail(eb, CG_EPERM, "the directory is sticky and the file is another user's");
    }
    return CG_OK;
}

static cg_err no_name(struct cg_span name, struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_ENOENT, "no file '%.*s'", (int)name.len, (const char *)name.data);
}

/* ---- create -------------------------------------------------------------------------------- */

static cg_err check_kind(const struct ninep_req *r, struct ram_node *d, struct cg_errbuf *eb)
{
    const struct ninep_tcreate *t = &r->t.create;
    switch (t->mode & S_IFMT) {
    case 0:
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        return CG_OK;
    case S_IFDIR:
        return d->nlink < RAM_LINKS_MAX
                   ? CG_OK
                   : cg_fail(eb, CG_EMLINK, "a directory holds at most %d directories",
                             RAM_LINKS_MAX);
    case S_IFLNK:
        if (t->target.len == 0) {
            return cg_fail(eb, CG_ENOENT, "a symbolic link needs a target");
        }
        return t->target.len <= RAM_TARGET_BYTES_MAX
                   ? CG_OK
                   : cg_fail(eb, CG_ENAMETOOLONG, "targets end at %d bytes", RAM_TARGET_BYTES_MAX);
    case S_IFCHR:
    case S_IFBLK:
        return ram_admin(r->fid, d)
                   ? CG_OK
                   : cg_fail(eb, CG_EPERM, "only the server's owner makes devices");
    default:
        return cg_fail(eb, CG_EINVAL, "no kind of file has type %o", t->mode & S_IFMT);
    }
}

static cg_err set_target(struct ram_node *n, struct cg_span target, struct cg_errbuf *eb)
{
    if (!ram_charge(n->fs, target.len)) {
        return ram_no_space(n->fs, eb);
    }
    n->target = cg_strndup((const char *)target.data, target.len);
    if (n->target == NULL) {
        ram_uncharge(n->fs, target.len);
        return cg_fail(eb, CG_ENOMEM, "no memory for a link's target");
    }
    n->saved_target = book_add(n->fs->book, RAM_KIND_TARGET, n->file, 0, target.len);
    if (n->saved_target == NULL) {
        ram_uncharge(n->fs, target.len);
        cg_free(n->target);
        n->target = NULL;
        n->fs->starved = true;
        return ram_no_space(n->fs, eb);
    }
    memcpy(n->saved_target, target.data, target.len);
    n->size = target.len;
    return CG_OK;
}

/* A file without a name, as the request wants it. */
static cg_err make(struct ninep_req *r, struct ram_node *d, uint32_t mode, struct ram_node **out)
{
    uint64_t group = (d->mode & S_ISGID) != 0 ? d->group : r->fid->principal;
    uint32_t type = (mode & S_IFMT) != 0 ? mode & S_IFMT : S_IFREG;
    mode = type | (mode & 07777);
    mode = type == S_IFLNK ? S_IFLNK | 0777 : mode;
    mode |= type == S_IFDIR ? d->mode & S_ISGID : 0;
    cg_err e = ram_node_new(d->fs, mode, r->fid->principal, group, out, &r->eb);
    if (e == CG_OK && type == S_IFLNK) {
        e = set_target(*out, r->t.create.target, &r->eb);
        if (e != CG_OK) {
            ram_node_drop(*out);
        }
    }
    return e;
}

static cg_err create_new(struct ninep_req *r, struct ram_node *d, struct ram_node **out)
{
    const struct ninep_tcreate *t = &r->t.create;
    struct ram_entry *entry;
    cg_err e = may_change(r->fid, d, &r->eb);
    if (e == CG_OK) {
        e = check_kind(r, d, &r->eb);
    }
    if (e == CG_OK && (t->flags & 3) == 3) {
        e = cg_fail(&r->eb, CG_EINVAL, "access mode 3 means nothing");
    }
    if (e == CG_OK) {
        e = ram_dir_prepare(d, t->name, &entry, &r->eb);
    }
    if (e != CG_OK) {
        return e;
    }
    e = make(r, d, t->mode, out);
    if (e != CG_OK) {
        ram_dir_cancel(d, entry);
        return e;
    }
    if (S_ISDIR((*out)->mode)) {
        (*out)->nlink = 1; /* its own "." */
    }
    if (S_ISCHR((*out)->mode) || S_ISBLK((*out)->mode)) {
        (*out)->rdev = t->rdev;
    }
    ram_dir_insert(d, entry, *out);
    ram_touch(d, RAM_MTIME | RAM_CTIME);
    return CG_OK;
}

static cg_err open_existing(struct ninep_req *r, struct ram_node *n)
{
    const struct ninep_tcreate *t = &r->t.create;
    uint32_t type = t->mode & S_IFMT;
    if ((t->flags & NINEP_OPEN_EXCL) != 0 || (type != S_IFREG && type != 0)) {
        return cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists", (int)t->name.len,
                       (const char *)t->name.data);
    }
    if (S_ISDIR(n->mode)) {
        return cg_fail(&r->eb, CG_EISDIR, "'%.*s' is a directory", (int)t->name.len,
                       (const char *)t->name.data);
    }
    return ram_open_node(r->fid, n, t->flags, &r->eb);
}

void ram_create(struct ninep_req *r)
{
    struct ram_node *d = ram_node(r->fid), *n = NULL;
    cg_err e = need_dir(d, &r->eb);
    if (e == CG_OK) {
        e = ram_may(r->fid, d, NINEP_RIGHTS_EXEC, &r->eb);
    }
    if (e == CG_OK) {
        struct ram_entry *found = ram_dir_find(d, r->t.create.name);
        n = found != NULL ? found->node : NULL;
        e = n != NULL ? open_existing(r, n) : create_new(r, d, &n);
        r->r.create.created = found == NULL;
    }
    if (e == CG_OK) {
        ram_attr(r->fid, n, &r->r.create.attr);
        ram_attr(r->fid, d, &r->r.create.dir);
        if (r->newfid != NULL) {
            ram_fid_set(r->newfid, n);
        }
    }
    ram_respond(r, e);
}

/* ---- put ----------------------------------------------------------------------------------- */

static cg_err check_put(struct ninep_req *r, struct ram_node *d, const struct ram_entry *old)
{
    cg_err e = may_change(r->fid, d, &r->eb);
    if (e != CG_OK || old == NULL) {
        return e;
    }
    if ((r->t.put.flags & NINEP_OPEN_EXCL) != 0) {
        return cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists", (int)old->len, old->name);
    }
    if (S_ISDIR(old->node->mode)) {
        return cg_fail(&r->eb, CG_EISDIR, "'%.*s' is a directory", (int)old->len, old->name);
    }
    return may_unname(r->fid, d, old->node, &r->eb);
}

/* Puts n in the place of the entry's file. */
static void replace(struct ram_entry *entry, struct ram_node *n)
{
    struct ram_node *old = entry->node;
    ram_dir_point(entry, n);
    n->nlink++;
    old->nlink--;
    ram_touch(old, RAM_CTIME);
    ram_node_drop(old);
}

void ram_put(struct ninep_req *r)
{
    const struct ninep_tput *t = &r->t.put;
    struct ram_node *d = ram_node(r->fid), *n = NULL;
    struct ram_entry *old = S_ISDIR(d->mode) ? ram_dir_find(d, t->name) : NULL, *entry = NULL;
    uint32_t done = 0;
    cg_err e = check_put(r, d, old);
    if (e == CG_OK && old == NULL) {
        e = ram_dir_prepare(d, t->name, &entry, &r->eb);
    }
    if (e == CG_OK) {
        e = make(r, d, S_IFREG | (t->mode & 07777), &n);
    }
    if (e == CG_OK) {
        e = ram_write_at(n, 0, t->data, &done, &r->eb);
        e = e == CG_OK && done < t->data.len ? ram_no_space(d->fs, &r->eb) : e;
    }
    if (e != CG_OK) {
        if (entry != NULL) {
            ram_dir_cancel(d, entry);
        }
        if (n != NULL) {
            ram_node_drop(n);
        }
        ram_respond(r, e);
        return;
    }
    if (old != NULL) {
        replace(old, n);
    } else {
        ram_dir_insert(d, entry, n);
    }
    ram_touch(d, RAM_MTIME | RAM_CTIME);
    ram_attr(r->fid, n, &r->r.put.attr);
    ram_attr(r->fid, d, &r->r.put.dir);
    ram_respond(r, CG_OK);
}

/* ---- remove -------------------------------------------------------------------------------- */

static cg_err check_remove(struct ninep_req *r, const struct ram_node *d,
                           const struct ram_entry *entry)
{
    if (entry == NULL) {
        return no_name(r->t.remove.name, &r->eb);
    }
    const struct ram_node *n = entry->node;
    bool want_dir = (r->t.remove.flags & NINEP_REMOVEFLAG_DIR) != 0;
    cg_err e = may_unname(r->fid, d, n, &r->eb);
    if (e != CG_OK) {
        return e;
    }
    if (want_dir && !S_ISDIR(n->mode)) {
        return cg_fail(&r->eb, CG_ENOTDIR, "'%.*s' is not a directory", (int)entry->len,
                       entry->name);
    }
    if (!want_dir && S_ISDIR(n->mode)) {
        return cg_fail(&r->eb, CG_EISDIR, "'%.*s' is a directory", (int)entry->len, entry->name);
    }
    if (S_ISDIR(n->mode) && n->dir.live > 0) {
        return cg_fail(&r->eb, CG_ENOTEMPTY, "'%.*s' still holds %u names", (int)entry->len,
                       entry->name, n->dir.live);
    }
    return CG_OK;
}

/* Takes the name away, and the file with it when it was the last. */
static void unname(struct ram_node *d, struct ram_entry *entry)
{
    struct ram_node *n = entry->node;
    ram_dir_remove(d, entry);
    if (S_ISDIR(n->mode)) {
        n->nlink = 0; /* "." goes too */
    }
    ram_touch(n, RAM_CTIME);
    ram_node_drop(n);
}

void ram_remove(struct ninep_req *r)
{
    struct ram_node *d = ram_node(r->fid);
    struct ram_entry *entry = NULL;
    cg_err e = may_change(r->fid, d, &r->eb);
    if (e == CG_OK) {
        entry = ram_dir_find(d, r->t.remove.name);
        e = check_remove(r, d, entry);
    }
    if (e == CG_OK) {
        unname(d, entry);
        ram_touch(d, RAM_MTIME | RAM_CTIME);
        ram_attr(r->fid, d, &r->r.remove.dir);
    }
    ram_respond(r, e);
}

/* ---- link ---------------------------------------------------------------------------------- */

void ram_link(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid), *d = ram_node(r->newfid);
    struct cg_span name = r->t.link.name;
    struct ram_entry *entry;
    cg_err e = may_change(r->newfid, d, &r->eb);
    if (e == CG_OK && S_ISDIR(n->mode)) {
        e = cg_fail(&r->eb, CG_EPERM, "directories have one name only");
    } else if (e == CG_OK && n->nlink == 0) {
        e = cg_fail(&r->eb, CG_ENOENT, "the file was removed");
    } else if (e == CG_OK && n->nlink >= RAM_LINKS_MAX) {
        e = cg_fail(&r->eb, CG_EMLINK, "a file has at most %d names", RAM_LINKS_MAX);
    } else if (e == CG_OK && ram_dir_find(d, name) != NULL) {
        e = cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists", (int)name.len, (const char *)name.data);
    }
    if (e == CG_OK) {
        e = ram_dir_prepare(d, name, &entry, &r->eb);
    }
    if (e == CG_OK) {
        ram_dir_insert(d, entry, n);
        ram_touch(n, RAM_CTIME);
        ram_touch(d, RAM_MTIME | RAM_CTIME);
        ram_attr(r->fid, n, &r->r.link.attr);
        ram_attr(r->newfid, d, &r->r.link.dir);
    }
    ram_respond(r, e);
}

/* ---- rename -------------------------------------------------------------------------------- */

/* Is n the directory d, or above it? As deep as the tree, whose nodes are bounded by bytes_max. */
static bool is_above(const struct ram_node *n, const struct ram_node *d)
{
    while (d != n && d->dir.parent != NULL && d->dir.parent != d) {
        d = d->dir.parent;
    }
    return d == n;
}

/* May the entry's file move from directory d into to? */
static cg_err check_move(struct ninep_req *r, const struct ram_node *d,
                         const struct ram_entry *entry, const struct ram_node *to)
{
    const struct ram_node *n = entry->node;
    cg_err e = may_unname(r->fid, d, n, &r->eb);
    if (e != CG_OK || !S_ISDIR(n->mode) || d == to) {
        return e;
    }
    if (is_above(n, to)) {
        return cg_fail(&r->eb, CG_EINVAL, "a directory cannot move into itself");
    }
    if (to->nlink >= RAM_LINKS_MAX) {
        return cg_fail(&r->eb, CG_EMLINK, "a directory holds at most %d directories",
                       RAM_LINKS_MAX);
    }
    return ram_may(r->fid, n, NINEP_RIGHTS_WRITE, &r->eb); /* its ".." changes */
}

/* May the entry's file give way to n? */
static cg_err check_replaced(struct ninep_req *r, const struct ram_node *n,
                             const struct ram_node *d, const struct ram_entry *entry)
{
    const struct ram_node *old = entry->node;
    cg_err e = may_unname(r->newfid, d, old, &r->eb);
    if (e != CG_OK) {
        return e;
    }
    if (S_ISDIR(n->mode) && !S_ISDIR(old->mode)) {
        return cg_fail(&r->eb, CG_ENOTDIR, "'%.*s' is not a directory", (int)entry->len,
                       entry->name);
    }
    if (!S_ISDIR(n->mode) && S_ISDIR(old->mode)) {
        return cg_fail(&r->eb, CG_EISDIR, "'%.*s' is a directory", (int)entry->len, entry->name);
    }
    if (S_ISDIR(old->mode) && old->dir.live > 0) {
        return cg_fail(&r->eb, CG_ENOTEMPTY, "'%.*s' still holds %u names", (int)entry->len,
                       entry->name, old->dir.live);
    }
    return CG_OK;
}

static void set_parent(struct ram_node *n, struct ram_node *from, struct ram_node *to)
{
    if (S_ISDIR(n->mode)) {
        from->nlink--;
        to->nlink++;
        n->dir.parent = to;
    }
}

static cg_err exchange(struct ninep_req *r, struct ram_node *d, struct ram_entry *a,
                       struct ram_node *to, struct ram_entry *b)
{
    cg_err e = b != NULL ? CG_OK : no_name(r->t.rename.newname, &r->eb);
    if (e == CG_OK) {
        e = check_move(r, d, a, to);
    }
    if (e == CG_OK) {
        e = check_move(r, to, b, d);
    }
    if (e != CG_OK) {
        return e;
    }
    struct ram_node *n = a->node;
    ram_dir_point(a, b->node);
    ram_dir_point(b, n);
    set_parent(b->node, d, to);
    set_parent(a->node, to, d);
    ram_touch(a->node, RAM_CTIME);
    return CG_OK;
}

/* Moves the entry's file to a new name, whose present file, if any, gives way. */
static cg_err move(struct ninep_req *r, struct ram_node *d, struct ram_entry *a,
                   struct ram_node *to, struct ram_entry *b)
{
    struct ram_node *n = a->node;
    struct ram_entry *entry = NULL;
    cg_err e = check_move(r, d, a, to);
    if (e == CG_OK && b != NULL && is_above(b->node, d)) {
        e = cg_fail(&r->eb, CG_ENOTEMPTY, "the new name is above the old one");
    }
    if (e == CG_OK && b != NULL) {
        e = check_replaced(r, n, to, b);
    }
    if (e == CG_OK && b == NULL) {
        e = ram_dir_prepare(to, r->t.rename.newname, &entry, &r->eb);
    }
    if (e != CG_OK) {
        return e;
    }
    if (b == NULL) {
        ram_dir_insert(to, entry, n);
    } else {
        struct ram_node *old = b->node;
        ram_dir_point(b, n);
        n->nlink++;
        old->nlink--;
        if (S_ISDIR(n->mode)) {
            n->dir.parent = to; /* to loses one directory and gains one */
            old->dir.parent = NULL;
            old->nlink = 0;
        }
        ram_touch(old, RAM_CTIME);
        ram_node_drop(old);
    }
    ram_dir_remove(d, a);
    if (S_ISDIR(n->mode)) {
        n->dir.parent = to;
    }
    return CG_OK;
}

static cg_err rename_checked(struct ninep_req *r, struct ram_node *d, struct ram_node *to,
                             struct ram_node **moved)
{
    const struct ninep_trename *t = &r->t.rename;
    struct ram_entry *a = ram_dir_find(d, t->name), *b = ram_dir_find(to, t->newname);
    if (a == NULL) {
        return no_name(t->name, &r->eb);
    }
    *moved = a->node;
    if (to->nlink == 0) {
        return cg_fail(&r->eb, CG_ENOENT, "the new directory was removed");
    }
    if ((t->flags & NINEP_RENAMEFLAG_NOREPLACE) != 0 && b != NULL) {
        return cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists", (int)b->len, b->name);
    }
    if (b != NULL && a->node == b->node) {
        return CG_OK; /* two names of one file: POSIX does nothing */
    }
    bool swap = (t->flags & NINEP_RENAMEFLAG_EXCHANGE) != 0;
    cg_err e = swap ? exchange(r, d, a, to, b) : move(r, d, a, to, b);
    if (e == CG_OK) {
        ram_touch(*moved, RAM_CTIME);
        ram_touch(d, RAM_MTIME | RAM_CTIME);
        ram_touch(to, RAM_MTIME | RAM_CTIME);
    }
    return e;
}

void ram_rename(struct ninep_req *r)
{
    const uint32_t known = NINEP_RENAMEFLAG_NOREPLACE | NINEP_RENAMEFLAG_EXCHANGE;
    struct ram_node *d = ram_node(r->fid), *to = ram_node(r->newfid), *n = NULL;
    cg_err e = may_change(r->fid, d, &r->eb);
    if (e == CG_OK) {
        e = may_change(r->newfid, to, &r->eb);
    }
    if (e == CG_OK && ((r->t.rename.flags & ~known) != 0 || r->t.rename.flags == known)) {
        e = cg_fail(&r->eb, CG_EINVAL, "rename flags %#x mean nothing", r->t.rename.flags);
    }
    if (e == CG_OK) {
        e = rename_checked(r, d, to, &n);
    }
    if (e == CG_OK) {
        ram_attr(r->fid, d, &r->r.rename.dir);
        ram_attr(r->newfid, to, &r->r.rename.newdir);
        ram_attr(r->fid, n, &r->r.rename.attr);
    }
    ram_respond(r, e);
}
