/* Attributes: from statx to the wire and back; extended attributes; statfs. */
#include "host.h"
#include <errno.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NS = 1000000000 };

/* ---- owners -----------------------------------------------------------------------------------
 */

static uint64_t principal_of(const struct host_user *user, uint32_t mine, uint32_t id)
{
    return id == mine ? user->principal : HOST_USER | id;
}

static bool number_of(const struct host_user *user, uint32_t mine, uint64_t principal,
                      uint32_t *out)
{
    *out = principal == user->principal ? mine : (uint32_t)principal;
    return principal == user->principal ||
           ((principal & HOST_USER) != 0 && (principal & ~HOST_USER) < UINT32_MAX);
}

/* ---- out --------------------------------------------------------------------------------------
 */

static bool in_group(const struct host_fid *hf, gid_t gid)
{
    const struct hostfs *fs = hf->node->fs;
    bool in = gid == hf->user.gid;
    for (int i = 0; i < fs->groups && hf->user.uid == fs->self.uid && !in; i++) {
        in = gid == fs->group[i];
    }
    return in;
}

/* By mode alone; host_attr_list looks at access control lists. */
static uint8_t mode_rights(const struct host_fid *hf, const struct statx *sx)
{
    uint32_t mode = sx->stx_mode;
    if (hf->user.uid == 0) {
        bool runs = S_ISDIR(mode) || (mode & 0111) != 0;
        return NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE | (runs ? NINEP_RIGHTS_EXEC : 0);
    }
    if (hf->user.uid == sx->stx_uid) {
        return mode >> 6 & 7;
    }
    return in_group(hf, sx->stx_gid) ? mode >> 3 & 7 : mode & 7;
}

static uint8_t rights_of(const struct host_fid *hf, const struct statx *sx)
{
    uint8_t rights = mode_rights(hf, sx);
    return hf->tree->read_only ? rights & (uint8_t)~NINEP_RIGHTS_WRITE : rights;
}

static int64_t ns_of(const struct statx_timestamp *t)
{
    return t->tv_sec * NS + t->tv_nsec;
}

void host_attr_of(const struct ninep_fid *fid, const struct host_volume *v, const struct statx *sx,
                  struct ninep_attr *a)
{
    const struct host_fid *hf = host_fid(fid);
    *a = (struct ninep_attr){
        .mode = sx->stx_mode,
        .nlink = sx->stx_nlink,
        .owner = principal_of(&hf->user, hf->user.uid, sx->stx_uid),
        .group = principal_of(&hf->user, hf->user.gid, sx->stx_gid),
        .size = sx->stx_size,
        .blocks = sx->stx_blocks,
        .rdev = (uint64_t)sx->stx_rdev_major << 32 | sx->stx_rdev_minor,
        .atime = ns_of(&sx->stx_atime),
        .mtime = ns_of(&sx->stx_mtime),
        .ctime = ns_of(&sx->stx_ctime),
        .btime = (sx->stx_mask & STATX_BTIME) != 0 ? ns_of(&sx->stx_btime) : 0,
        .blksize = sx->stx_blksize,
        .rights = rights_of(hf, sx),
        .flags = v->xattrs ? 0 : NINEP_ATTRFLAG_NO_XATTR | NINEP_ATTRFLAG_NO_ACL,
    };
    host_id(v, sx, &a->id);
}

static bool lists_acl(const char *list, ssize_t len)
{
    static const char prefix[] = "system.posix_acl_";
    for (ssize_t i = 0; i < len; i += (ssize_t)strlen(list + i) + 1) {
        if (strncmp(list + i, prefix, sizeof prefix - 1) == 0) {
            return true;
        }
    }
    return false;
}

uint8_t host_attrflags(ssize_t len, const char *list)
{
    if (len == 0 || (len < 0 && errno == EOPNOTSUPP)) {
        return NINEP_ATTRFLAG_NO_XATTR | NINEP_ATTRFLAG_NO_ACL;
    }
    return len > 0 && !lists_acl(list, len) ? NINEP_ATTRFLAG_NO_ACL : 0;
}

void host_attr_flags(struct ninep_attr *a, const struct host_fid *hf, uint8_t flags, int dir,
                     const char *name)
{
    static const uint8_t rights[3] = {NINEP_RIGHTS_READ, NINEP_RIGHTS_WRITE, NINEP_RIGHTS_EXEC};
    static const int mode[3] = {R_OK, W_OK, X_OK};
    a->flags |= flags;
    bool listed = (a->flags & NINEP_ATTRFLAG_NO_ACL) == 0;
    for (int i = 0; i < 3 && listed && hf->user.uid != 0 && !S_ISLNK(a->mode); i++) {
        bool may = faccessat(dir, name, mode[i], AT_EACCESS | AT_EMPTY_PATH) == 0;
        a->rights = may ? a->rights : a->rights & (uint8_t)~rights[i];
    }
}

/* Listing by way of /proc/self/fd costs as much as all else, so its outcome is kept until the
 * change number moves; not when the change is so young that another could have the same number. */
static uint8_t node_flags(struct host_node *n, const struct ninep_xqid *id)
{
    char path[HOST_PATH_BYTES], list[HOST_XATTR_LIST_BYTES];
    if (n->listed == id->change) {
        return n->attrflags;
    }
    uint64_t now = cg_env_real.wall_ns(NULL);
    host_path(n->fd, path);
    n->attrflags = host_attrflags(listxattr(path, list, sizeof list), list);
    n->listed = now > id->change + HOST_SETTLED_MS * UINT64_C(1000000) ? id->change : 0;
    return n->attrflags;
}

cg_err host_attr(const struct ninep_fid *fid, struct host_node *n, struct ninep_attr *a,
                 struct cg_errbuf *eb)
{
    struct statx sx;
    int err = host_statx(n->fd, "", &sx);
    if (err != 0) {
        return host_fail(eb, err, "attributes", (struct cg_span){0});
    }
    host_attr_of(fid, n->volume, &sx, a);
    if (n->volume->xattrs) {
        host_attr_flags(a, host_fid(fid), node_flags(n, &a->id), n->fd, "");
    }
    return CG_OK;
}

cg_err host_attr_changed(const struct ninep_fid *fid, struct host_node *n, struct ninep_attr *a,
                         struct cg_errbuf *eb)
{
    cg_err e = host_attr(fid, n, a, eb);
    if (e == CG_OK) {
        host_watch_after(n->fs, &a->id);
    }
    return e;
}

void host_getattr(struct ninep_req *r)
{
    host_enter(r->fid);
    cg_err e = host_attr(r->fid, host_fid(r->fid)->node, &r->r.getattr.attr, &r->eb);
    if (e == CG_OK) {
        r->fid->id = r->r.getattr.attr.id;
    }
    ninep_respond(r, e);
}

/* ---- in ---------------------------------------------------------------------------------------
 */

static int set_size(const struct ninep_fid *fid, uint64_t size)
{
    const struct host_fid *hf = host_fid(fid);
    char path[HOST_PATH_BYTES];
    if (size > INT64_MAX) {
        errno = EFBIG;
        return -1;
    }
    if (fid->open && hf->io >= 0 && (fid->open_flags & 3) != NINEP_OPEN_READ) {
        return ftruncate(hf->io, (off_t)size);
    }
    host_path(hf->node->fd, path);
    return truncate(path, (off_t)size);
}

static int set_owner(const struct host_fid *hf, const struct ninep_tsetattr *t)
{
    uint32_t uid = UINT32_MAX, gid = UINT32_MAX; /* unchanged */
    bool known =
        (t->valid & NINEP_SETATTR_OWNER) == 0 || number_of(&hf->user, hf->user.uid, t->owner, &uid);
    known &=
        (t->valid & NINEP_SETATTR_GROUP) == 0 || number_of(&hf->user, hf->user.gid, t->group, &gid);
    if (!known) {
        errno = EINVAL; /* a user of another machine: this host has no number for it */
        return -1;
    }
    return fchownat(hf->node->fd, "", uid, gid, AT_EMPTY_PATH);
}

static int set_mode(const struct host_fid *hf, uint32_t mode)
{
    char path[HOST_PATH_BYTES];
    if (S_ISLNK(hf->node->mode)) {
        errno = EOPNOTSUPP; /* chmod would go to what it names */
        return -1;
    }
    host_path(hf->node->fd, path);
    return chmod(path, mode & 07777);
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS, .tv_nsec = ns % NS};
    if (t.tv_nsec < 0) {
        t.tv_sec--;
        t.tv_nsec += NS;
    }
    if ((valid & (set | now)) == 0) {
        t.tv_nsec = UTIME_OMIT;
    } else if ((valid & set) == 0) {
        t.tv_nsec = UTIME_NOW;
    }
    return t;
}

static int set_times(const struct host_fid *hf, const struct ninep_tsetattr *t)
{
    struct timespec ts[2] = {
        time_of(t->valid, NINEP_SETATTR_ATIME, NINEP_SETATTR_ATIME_NOW, t->atime),
        time_of(t->valid, NINEP_SETATTR_MTIME, NINEP_SETATTR_MTIME_NOW, t->mtime)};
    return utimensat(hf->node->fd, "", ts, AT_EMPTY_PATH);
}

/* The host has no call that changes all at once: a refusal leaves what came before it done. Owner
 * before mode, for a change of owner clears the set-id bits; times last, for a size sets them. */
static cg_err set_all(const struct ninep_fid *fid, const struct ninep_tsetattr *t,
                      struct cg_errbuf *eb)
{
    const uint32_t owner = NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP;
    const uint32_t times = NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME | NINEP_SETATTR_ATIME_NOW |
                           NINEP_SETATTR_MTIME_NOW;
    const struct host_fid *hf = host_fid(fid);
    const char *what = NULL;
    if ((t->valid & NINEP_SETATTR_SIZE) != 0 && set_size(fid, t->size) != 0) {
        what = "set size";
    } else if ((t->valid & owner) != 0 && set_owner(hf, t) != 0) {
        what = "set owner";
    } else if ((t->valid & NINEP_SETATTR_MODE) != 0 && set_mode(hf, t->mode) != 0) {
        what = "set mode";
    } else if ((t->valid & times) != 0 && set_times(hf, t) != 0) {
        what = "set times";
    }
    return what == NULL ? CG_OK : host_fail(eb, errno, what, (struct cg_span){0});
}

void host_setattr(struct ninep_req *r)
{
    struct host_node *n = host_fid(r->fid)->node;
    cg_err e = host_enter_to_change(r->fid, &r->eb);
    if (e == CG_OK) {
        e = set_all(r->fid, &r->t.setattr, &r->eb);
        cg_err seen = host_attr_changed(r->fid, n, &r->r.setattr.attr, NULL);
        e = e != CG_OK ? e : seen;
    }
    ninep_respond(r, e);
}

/* ---- extended attributes ----------------------------------------------------------------------
 */

void host_xattrget(struct ninep_req *r)
{
    struct cg_span span = r->t.xattrget.name;
    char path[HOST_PATH_BYTES], name[HOST_NAME_BYTES];
    uint32_t max = r->t.xattrget.max < r->data_cap ? r->t.xattrget.max : r->data_cap;
    host_enter(r->fid);
    host_path(host_fid(r->fid)->node->fd, path);
    ssize_t len = -1;
    errno = ERANGE;
    if (span.len == 0) {
        len = listxattr(path, (char *)r->data, max);
    } else if (cg_span_str(span, name, sizeof name)) {
        len = getxattr(path, name, r->data, max);
    }
    if (len < 0) {
        ninep_respond(r, host_fail(&r->eb, errno, "attribute", span));
        return;
    }
    r->r.xattrget.size = (uint32_t)len;
    r->r.xattrget.value.len = max > 0 ? (uint32_t)len : 0;
    ninep_respond(r, CG_OK);
}

static int change_xattr(const struct host_node *n, const struct ninep_txattrset *t)
{
    char path[HOST_PATH_BYTES], name[HOST_NAME_BYTES];
    host_path(n->fd, path);
    if (t->name.len == 0 || !cg_span_str(t->name, name, sizeof name)) {
        errno = ERANGE;
        return -1;
    }
    if ((t->flags & NINEP_XATTRFLAG_REMOVE) != 0) {
        return removexattr(path, name);
    }
    int flags = ((t->flags & NINEP_XATTRFLAG_CREATE) != 0 ? XATTR_CREATE : 0) |
                ((t->flags & NINEP_XATTRFLAG_REPLACE) != 0 ? XATTR_REPLACE : 0);
    return setxattr(path, name, t->value.data, t->value.len, flags);
}

void host_xattrset(struct ninep_req *r)
{
    struct host_node *n = host_fid(r->fid)->node;
    cg_err e = host_enter_to_change(r->fid, &r->eb);
    if (e == CG_OK && change_xattr(n, &r->t.xattrset) != 0) {
        e = host_fail(&r->eb, errno, "attribute", r->t.xattrset.name);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, n, &r->r.xattrset.attr, &r->eb);
    }
    ninep_respond(r, e);
}

void host_statfs(struct ninep_req *r)
{
    const struct host_node *n = host_fid(r->fid)->node;
    struct statfs sf;
    host_enter(r->fid);
    if (fstatfs(n->fd, &sf) != 0) {
        ninep_respond(r, host_fail(&r->eb, errno, "statfs", (struct cg_span){0}));
        return;
    }
    uint64_t bsize = sf.f_frsize != 0 ? (uint64_t)sf.f_frsize : (uint64_t)sf.f_bsize;
    r->r.statfs = (struct ninep_rstatfs){.type = (uint32_t)sf.f_type,
                                         .bsize = (uint32_t)bsize,
                                         .blocks = sf.f_blocks,
                                         .bfree = sf.f_bfree,
                                         .bavail = sf.f_bavail,
                                         .files = sf.f_files,
                                         .ffree = sf.f_ffree,
                                         .fsid = n->key.volume,
                                         .namelen = (uint32_t)sf.f_namelen};
    ninep_respond(r, CG_OK);
}
