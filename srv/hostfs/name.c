/* Names: create, remove, rename, link, put, readlink. Each works on a directory's descriptor and
 * one name; nothing here is ever given a path from the wire.
 */
#include "host.h"
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Enters to change names of fid's directory, and gives the name as text. */
static cg_err enter(const struct ninep_fid *dir, struct cg_span name, char out[HOST_NAME_BYTES],
                    struct cg_errbuf *eb)
{
    cg_err e = host_enter_to_change(dir, eb);
    if (e == CG_OK && !S_ISDIR(host_fid(dir)->node->mode)) {
        e = cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    if (e == CG_OK && !host_name(name, out)) {
        e = cg_fail(eb, CG_EINVAL, "not a name of one element");
    }
    return e;
}

/* The identity that is about to lose this name, if anybody may have cached it. */
static bool losing(const struct ninep_fid *dir, const char *name, struct ninep_xqid *id)
{
    const struct host_node *d = host_fid(dir)->node;
    struct statx sx;
    if (cg_map_count(&d->fs->leases) == 0 || host_statx(d->fd, name, &sx) != 0) {
        return false;
    }
    host_id(d->volume, &sx, id);
    return true;
}

/* ---- create -----------------------------------------------------------------------------------
 */

static int open_flags(uint32_t flags)
{
    static const int access_of[4] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
    return access_of[flags & 3] | ((flags & NINEP_OPEN_APPEND) != 0 ? O_APPEND : 0);
}

/* Makes or opens a regular file; *io is its descriptor. */
static cg_err create_file(struct ninep_req *r, const char *name, struct host_node **node, int *io)
{
    const struct ninep_tcreate *t = &r->t.create;
    const struct host_fid *hf = host_fid(r->fid);
    const int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct statx sx;
    char path[HOST_PATH_BYTES];
    for (int i = 0; i < HOST_RETRIES_MAX; i++) {
        *io = openat(hf->node->fd, name, open_flags(t->flags) | flags, t->mode & 07777);
        if (*io >= 0) {
            r->r.create.created = 1;
            host_path(*io, path);
            int fd = open(path, O_PATH | O_CLOEXEC);
            cg_err e =
                fd >= 0 ? host_node_take(hf->node->fs, fd, node, &sx) : cg_err_from_errno(errno);
            return e == CG_OK ? e : host_fail(&r->eb, cg_err_errno(e), "create", t->name);
        }
        if (errno != EEXIST || (t->flags & NINEP_OPEN_EXCL) != 0) {
            return host_fail(&r->eb, errno, "create", t->name);
        }
        cg_err e = host_lookup(hf, name, node, &sx);
        if (e == CG_OK) {
            return host_open_node(hf, *node, t->flags, io, &r->eb);
        }
        if (e != CG_ENOENT) {
            return host_fail(&r->eb, cg_err_errno(e), "create", t->name);
        }
    }
    return host_fail(&r->eb, EAGAIN, "create", t->name); /* it came and went each time */
}

static int make_special(int dir, const char *name, const struct ninep_tcreate *t)
{
    char target[HOST_TARGET_BYTES];
    switch (t->mode & S_IFMT) {
    case S_IFDIR:
        return mkdirat(dir, name, t->mode & 07777);
    case S_IFLNK:
        if (!cg_span_str(t->target, target, sizeof target)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        return symlinkat(target, dir, name);
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return mknodat(dir, name, t->mode & (S_IFMT | 07777),
                       makedev((unsigned)(t->rdev >> 32), (unsigned)t->rdev));
    default:
        errno = EINVAL;
        return -1;
    }
}

static cg_err create_special(struct ninep_req *r, const char *name, struct host_node **node)
{
    const struct ninep_tcreate *t = &r->t.create;
    const struct host_fid *hf = host_fid(r->fid);
    struct statx sx;
    char path[HOST_PATH_BYTES];
    if (make_special(hf->node->fd, name, t) != 0) {
        return host_fail(&r->eb, errno, "create", t->name);
    }
    r->r.create.created = 1;
    cg_err e = host_lookup(hf, name, node, &sx);
    if (e != CG_OK) {
        return host_fail(&r->eb, cg_err_errno(e), "look at", t->name);
    }
    if ((sx.stx_mode & S_IFMT) != (t->mode & S_IFMT)) {
        return host_fail(&r->eb, ESTALE, "look at", t->name); /* the host put another there */
    }
    if (S_ISDIR(t->mode) && (t->mode & (S_ISUID | S_ISGID)) != 0) {
        host_path((*node)->fd, path); /* mkdir ignores these bits; the directory's stay */
        if (chmod(path, (t->mode | sx.stx_mode) & 07777) != 0) {
            return host_fail(&r->eb, errno, "set mode of", t->name);
        }
    }
    return CG_OK;
}

/* Makes newfid the new file's; takes *io. */
static cg_err keep(struct ninep_req *r, struct host_node *node, int *io)
{
    const struct host_fid *hf = host_fid(r->fid);
    if (r->newfid == NULL) {
        return CG_OK;
    }
    struct host_fid *made = host_fid_new(node, hf->tree, &hf->user);
    if (made == NULL) {
        return cg_fail(&r->eb, CG_ENOMEM, "no memory for a fid");
    }
    made->io = *io;
    *io = -1;
    r->newfid->aux = made;
    r->newfid->id = r->r.create.attr.id;
    return CG_OK;
}

void host_create(struct ninep_req *r)
{
    const struct ninep_tcreate *t = &r->t.create;
    char name[HOST_NAME_BYTES];
    struct host_node *node = NULL;
    int io = -1;
    cg_err e = enter(r->fid, t->name, name, &r->eb);
    if (e == CG_OK) {
        bool regular = (t->mode & S_IFMT) == S_IFREG || (t->mode & S_IFMT) == 0;
        e = regular ? create_file(r, name, &node, &io) : create_special(r, name, &node);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, node, &r->r.create.attr, &r->eb);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, host_fid(r->fid)->node, &r->r.create.dir, &r->eb);
    }
    struct hostfs *fs = host_enter(r->fid);
    if (e == CG_OK) {
        if (!S_ISDIR(r->r.create.attr.mode) && r->r.create.attr.nlink == 1) {
            host_watch_hold(fs, host_fid(r->fid)->node); /* it serves the new file too */
        }
        e = keep(r, node, &io);
    }
    if (io >= 0) {
        close(io);
    }
    if (node != NULL) {
        host_node_put(node);
    }
    ninep_respond(r, e);
    host_watch_release(fs);
}

/* ---- put --------------------------------------------------------------------------------------
 */

/* A file beside its place, whole, then renamed into it. Not synced: what put promises is that
 * nobody sees a part, not that a power cut spares it. */
static int put_file(struct hostfs *fs, int dir, const char *name, const struct ninep_tput *t)
{
    char temporary[HOST_NAME_BYTES];
    snprintf(temporary, sizeof temporary, ".cognu-put.%d.%llu", getpid(),
             (unsigned long long)++fs->temporaries);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    t->mode & 07777);
    if (fd < 0) {
        return errno;
    }
    unsigned flags = (t->flags & NINEP_OPEN_EXCL) != 0 ? RENAME_NOREPLACE : 0;
    int err = host_write_all(fd, t->data) ? 0 : errno;
    if (err == 0 && renameat2(dir, temporary, dir, name, flags) != 0) {
        err = errno;
    }
    if (err != 0) {
        unlinkat(dir, temporary, 0);
    }
    close(fd);
    return err;
}

void host_put(struct ninep_req *r)
{
    const struct host_fid *hf = host_fid(r->fid);
    char name[HOST_NAME_BYTES];
    struct host_node *node;
    struct ninep_xqid old;
    struct statx sx;
    bool lost = false;
    cg_err e = enter(r->fid, r->t.put.name, name, &r->eb);
    if (e == CG_OK) {
        lost = losing(r->fid, name, &old);
        int err = put_file(hf->node->fs, hf->node->fd, name, &r->t.put);
        e = err == 0 ? CG_OK : host_fail(&r->eb, err, "put", r->t.put.name);
    }
    if (e == CG_OK && lost) {
        host_watch_unnamed(hf->node->fs, &old);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, hf->node, &r->r.put.dir, &r->eb);
    }
    if (e == CG_OK) {
        e = host_lookup(hf, name, &node, &sx);
        if (e == CG_OK) {
            e = host_attr_changed(r->fid, node, &r->r.put.attr, &r->eb);
            host_node_put(node);
        }
    }
    ninep_respond(r, e);
}

/* ---- remove, rename, link ---------------------------------------------------------------------
 */

void host_remove(struct ninep_req *r)
{
    struct host_node *d = host_fid(r->fid)->node;
    char name[HOST_NAME_BYTES];
    struct ninep_xqid old;
    bool lost = false;
    cg_err e = enter(r->fid, r->t.remove.name, name, &r->eb);
    if (e == CG_OK) {
        lost = losing(r->fid, name, &old);
        int flags = (r->t.remove.flags & NINEP_REMOVEFLAG_DIR) != 0 ? AT_REMOVEDIR : 0;
        if (unlinkat(d->fd, name, flags) != 0) {
            e = host_fail(&r->eb, errno, "remove", r->t.remove.name);
        }
    }
    if (e == CG_OK && lost) {
        host_watch_unnamed(d->fs, &old);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, d, &r->r.remove.dir, &r->eb);
    }
    ninep_respond(r, e);
}

/* Names move within one tree: another may be read-only, or of another user. */
static cg_err same_tree(const struct ninep_req *r, struct cg_errbuf *eb)
{
    return host_fid(r->fid)->tree == host_fid(r->newfid)->tree
               ? CG_OK
               : cg_fail(eb, CG_EXDEV, "the two directories are of different trees");
}

/* The attributes of a file that has got this name. */
static cg_err moved(const struct ninep_fid *dir, const char *name, struct ninep_attr *a,
                    struct cg_errbuf *eb)
{
    struct host_node *n;
    struct statx sx;
    cg_err e = host_lookup(host_fid(dir), name, &n, &sx);
    if (e == CG_OK) {
        e = host_attr_changed(dir, n, a, eb);
        host_watch_itself(n->fs, n, &a->id);
        host_node_put(n);
    }
    return e;
}

static cg_err rename_attrs(struct ninep_req *r, const char *name, const char *newname)
{
    struct ninep_rrename *a = &r->r.rename;
    struct ninep_attr other;
    cg_err e = host_attr_changed(r->fid, host_fid(r->fid)->node, &a->dir, &r->eb);
    if (e == CG_OK) {
        e = host_attr_changed(r->newfid, host_fid(r->newfid)->node, &a->newdir, &r->eb);
    }
    if (e == CG_OK && (r->t.rename.flags & NINEP_RENAMEFLAG_EXCHANGE) != 0) {
        e = moved(r->fid, name, &other, &r->eb);
    }
    return e == CG_OK ? moved(r->newfid, newname, &a->attr, &r->eb) : e;
}

void host_rename(struct ninep_req *r)
{
    const struct ninep_trename *t = &r->t.rename;
    const struct host_node *d = host_fid(r->fid)->node, *to = host_fid(r->newfid)->node;
    char name[HOST_NAME_BYTES], newname[HOST_NAME_BYTES];
    struct ninep_xqid old;
    bool lost = false;
    cg_err e = enter(r->newfid, t->newname, newname, &r->eb);
    if (e == CG_OK) {
        e = enter(r->fid, t->name, name, &r->eb);
    }
    if (e == CG_OK) {
        e = same_tree(r, &r->eb);
    }
    if (e == CG_OK) {
        bool swaps = (t->flags & NINEP_RENAMEFLAG_EXCHANGE) != 0;
        lost = !swaps && losing(r->newfid, newname, &old);
        /* The flags have the host's numbers. */
        if (renameat2(d->fd, name, to->fd, newname, t->flags) != 0) {
            e = host_fail(&r->eb, errno, "rename", t->name);
        }
    }
    if (e == CG_OK && lost) {
        host_watch_unnamed(d->fs, &old);
    }
    if (e == CG_OK) {
        e = rename_attrs(r, name, newname);
    }
    ninep_respond(r, e);
}

void host_link(struct ninep_req *r)
{
    struct host_node *n = host_fid(r->fid)->node, *d = host_fid(r->newfid)->node;
    char name[HOST_NAME_BYTES], path[HOST_PATH_BYTES];
    cg_err e = host_enter_to_change(r->fid, &r->eb);
    if (e == CG_OK) {
        e = enter(r->newfid, r->t.link.name, name, &r->eb);
    }
    if (e == CG_OK) {
        e = same_tree(r, &r->eb);
    }
    host_path(n->fd, path); /* AT_EMPTY_PATH instead would need a capability */
    if (e == CG_OK && linkat(AT_FDCWD, path, d->fd, name, AT_SYMLINK_FOLLOW) != 0) {
        e = host_fail(&r->eb, errno, "link", r->t.link.name);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, n, &r->r.link.attr, &r->eb);
        host_watch_itself(n->fs, n, &r->r.link.attr.id);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->newfid, d, &r->r.link.dir, &r->eb);
    }
    ninep_respond(r, e);
}

void host_readlink(struct ninep_req *r)
{
    const struct host_node *n = host_fid(r->fid)->node;
    struct hostfs *fs = host_enter(r->fid);
    if (!S_ISLNK(n->mode)) {
        ninep_respond(r, cg_fail(&r->eb, CG_EINVAL, "not a symbolic link"));
        return;
    }
    ssize_t len = readlinkat(n->fd, "", (char *)fs->scratch, HOST_TARGET_BYTES);
    if (len < 0) {
        ninep_respond(r, host_fail(&r->eb, errno, "readlink", (struct cg_span){0}));
        return;
    }
    r->r.readlink.target = (struct cg_span){fs->scratch, (uint32_t)len};
    ninep_respond(r, CG_OK);
}
