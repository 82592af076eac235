/* Names of the active tree: who may change them, and what is answered. */
#include "live.h"

#include <string.h>
#include <sys/stat.h>

#define HOST_USER (UINT64_C(1) << 63)

static cg_err need_dir(const struct node *d, struct cg_errbuf *eb)
{
    cg_err e = live_need(d, eb);
    return e || node_is_dir(d) ? e : cg_fail(eb, CG_ENOTDIR, "not a directory");
}

static cg_err may_change(const struct ninep_fid *fid, const struct node *d, struct cg_errbuf *eb)
{
    cg_err e = need_dir(d, eb);
    return e ? e : live_may(fid, d, NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC, eb);
}

/* In a sticky directory only the owner of the file or of the directory takes its name away. move:
 * it goes to another directory, so a directory's ".." changes. */
static cg_err may_unname(const struct ninep_fid *fid, struct node *d, struct cg_span name,
                         bool move, struct cg_errbuf *eb)
{
    struct active_attr a, own;
    struct node *n;
    active_stat(d->live, &a);
    cg_err e = live_child(d, name, &n, eb);
    if (e) {
        return e;
    }
    active_stat(n->live, &own);
    if ((a.mode & S_ISVTX) && !live_owns(fid, n) && !live_owns(fid, d)) {
        e = cg_fail(eb, CG_EPERM, "the directory is sticky and the file is another user's");
    } else if (move && own.kind == STORE_DIR) {
        e = live_may(fid, n, NINEP_RIGHTS_WRITE, eb);
    }
    node_put(n);
    return e;
}

static void respond(struct ninep_req *r, cg_err e)
{
    struct storefs *fs = r->server_aux;
    ninep_respond(r, e);
    ctl_changed(fs);
}

/* ---- create ---- */

static cg_err kind_of(const struct ninep_req *r, uint32_t mode, struct active_make *m,
                      struct cg_errbuf *eb)
{
    const struct storefs *fs = r->server_aux;
    switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
        m->kind = STORE_FILE;
        return CG_OK;
    case S_IFDIR:
        m->kind = STORE_DIR;
        return CG_OK;
    case S_IFLNK:
        m->kind = STORE_SYMLINK;
        m->target = r->t.create.target;
        return CG_OK;
    case S_IFIFO:
        m->kind = STORE_FIFO;
        return CG_OK;
    case S_IFSOCK:
        m->kind = STORE_SOCKET;
        return CG_OK;
    case S_IFCHR:
    case S_IFBLK:
        m->kind = S_ISCHR(mode) ? STORE_CHAR : STORE_BLOCK;
        m->rdev = r->t.create.rdev;
        return live_admin(r->fid, fs)
                   ? CG_OK
                   : cg_fail(eb, CG_EPERM, "only the server's owner makes devices");
    default:
        return cg_fail(eb, CG_EINVAL, "no kind of file has type %o", mode & S_IFMT);
    }
}

static cg_err describe(struct ninep_req *r, const struct node *d, uint32_t mode,
                       struct active_make *m)
{
    struct active_attr a;
    active_stat(d->live, &a);
    cg_err e = kind_of(r, mode, m, &r->eb);
    m->uid = (uint32_t)r->fid->principal;
    m->gid = a.mode & S_ISGID ? a.gid : (uint32_t)r->fid->principal;
    m->mode = m->kind == STORE_SYMLINK ? 0777 : mode & 07777;
    m->mode |= m->kind == STORE_DIR ? a.mode & S_ISGID : 0;
    if (!e && !(r->fid->principal & HOST_USER)) {
        e = cg_fail(&r->eb, CG_EPERM, "files of a store belong to users of a host");
    }
    return e;
}

static cg_err create_new(struct ninep_req *r, struct node *d, struct node **out)
{
    struct active_make m = {0};
    struct active_node *n;
    cg_err e = may_change(r->fid, d, &r->eb);
    e = e ? e : describe(r, d, r->t.create.mode, &m);
    if (!e && (r->t.create.flags & 3) == 3) {
        e = cg_fail(&r->eb, CG_EINVAL, "access mode 3 means nothing");
    }
    e = e ? e : active_create(d->fs->active, d->live, r->t.create.name, &m, false, &n, &r->eb);
    return e ? e : live_node(d->fs, n, out);
}

static cg_err open_existing(struct ninep_req *r, struct node *n)
{
    const struct ninep_tcreate *t = &r->t.create;
    uint32_t type = t->mode & S_IFMT;
    struct active_attr a;
    active_stat(n->live, &a);
    if ((t->flags & NINEP_OPEN_EXCL) || (type != S_IFREG && type != 0)) {
        return cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists", (int)t->name.len,
                       (const char *)t->name.data);
    }
    return a.kind == STORE_DIR ? cg_fail(&r->eb, CG_EISDIR, "a directory")
                               : live_open(r, n, t->flags);
}

void live_create(struct ninep_req *r)
{
    struct node *d = node_of(r->fid), *n = NULL;
    cg_err e = need_dir(d, &r->eb);
    e = e ? e : live_may(r->fid, d, NINEP_RIGHTS_EXEC, &r->eb);
    if (!e) {
        e = live_child(d, r->t.create.name, &n, &r->eb);
        r->r.create.created = e == CG_ENOENT;
        e = e == CG_OK ? open_existing(r, n) : e == CG_ENOENT ? create_new(r, d, &n) : e;
    }
    if (!e) {
        live_attr(r->fid, n, &r->r.create.attr);
        live_attr(r->fid, d, &r->r.create.dir);
    }
    if (!e && r->newfid) {
        r->newfid->aux = NULL;
        node_set(r->newfid, n);
    } else {
        node_put(n);
    }
    respond(r, e);
}

/* ---- put: a small file at once ---- */

static cg_err check_put(struct ninep_req *r, struct node *d)
{
    const struct ninep_tput *t = &r->t.put;
    struct node *old;
    cg_err e = may_change(r->fid, d, &r->eb);
    if (e) {
        return e;
    }
    e = live_child(d, t->name, &old, NULL);
    if (e) {
        return e == CG_ENOENT ? CG_OK : e;
    }
    node_put(old);
    return t->flags & NINEP_OPEN_EXCL ? cg_fail(&r->eb, CG_EEXIST, "'%.*s' exists",
                                                (int)t->name.len, (const char *)t->name.data)
                                      : may_unname(r->fid, d, t->name, false, &r->eb);
}

void live_put(struct ninep_req *r)
{
    const struct ninep_tput *t = &r->t.put;
    struct node *d = node_of(r->fid), *n = NULL;
    struct active_make m = {.data = t->data};
    struct active_node *made;
    cg_err e = check_put(r, d);
    e = e ? e : describe(r, d, S_IFREG | (t->mode & 07777), &m);
    e = e ? e : active_create(d->fs->active, d->live, t->name, &m, true, &made, &r->eb);
    e = e ? e : live_node(d->fs, made, &n);
    if (!e) {
        live_attr(r->fid, n, &r->r.put.attr);
        live_attr(r->fid, d, &r->r.put.dir);
        node_put(n);
    }
    respond(r, e);
}

/* ---- remove, rename, link ---- */

void live_remove(struct ninep_req *r)
{
    struct node *d = node_of(r->fid);
    bool dir = r->t.remove.flags & NINEP_REMOVEFLAG_DIR;
    cg_err e = may_change(r->fid, d, &r->eb);
    e = e ? e : may_unname(r->fid, d, r->t.remove.name, false, &r->eb);
    e = e ? e : active_remove(d->fs->active, d->live, r->t.remove.name, dir, &r->eb);
    if (!e) {
        live_attr(r->fid, d, &r->r.remove.dir);
    }
    respond(r, e);
}

static cg_err may_rename(struct ninep_req *r, struct node *d, struct node *to)
{
    const struct ninep_trename *t = &r->t.rename;
    bool move = d->live != to->live, swap = t->flags & NINEP_RENAMEFLAG_EXCHANGE;
    cg_err e = may_unname(r->fid, d, t->name, move, &r->eb);
    if (!e) {
        e = may_unname(r->newfid, to, t->newname, move && swap, &r->eb);
        e = e == CG_ENOENT && !swap ? CG_OK : e;
    }
    return e;
}

void live_rename(struct ninep_req *r)
{
    const uint32_t known = NINEP_RENAMEFLAG_NOREPLACE | NINEP_RENAMEFLAG_EXCHANGE;
    const struct ninep_trename *t = &r->t.rename;
    struct node *d = node_of(r->fid), *to = node_of(r->newfid), *n;
    uint32_t flags = (t->flags & NINEP_RENAMEFLAG_NOREPLACE ? ACTIVE_NOREPLACE : 0) |
                     (t->flags & NINEP_RENAMEFLAG_EXCHANGE ? ACTIVE_EXCHANGE : 0);
    cg_err e = may_change(r->fid, d, &r->eb);
    e = e ? e : may_change(r->newfid, to, &r->eb);
    if (!e && ((t->flags & ~known) || t->flags == known)) {
        e = cg_fail(&r->eb, CG_EINVAL, "rename flags %#x mean nothing", t->flags);
    }
    e = e ? e : may_rename(r, d, to);
    e = e ? e : active_rename(d->fs->active, d->live, t->name, to->live, t->newname, flags, &r->eb);
    e = e ? e : live_child(to, t->newname, &n, &r->eb);
    if (!e) {
        live_attr(r->fid, d, &r->r.rename.dir);
        live_attr(r->newfid, to, &r->r.rename.newdir);
        live_attr(r->fid, n, &r->r.rename.attr);
        node_put(n);
    }
    respond(r, e);
}

void live_link(struct ninep_req *r)
{
    struct node *n = node_of(r->fid), *d = node_of(r->newfid);
    cg_err e = live_need(n, &r->eb);
    e = e ? e : may_change(r->newfid, d, &r->eb);
    e = e ? e : active_link(d->fs->active, n->live, d->live, r->t.link.name, &r->eb);
    if (!e) {
        live_attr(r->fid, n, &r->r.link.attr);
        live_attr(r->newfid, d, &r->r.link.dir);
    }
    respond(r, e);
}
