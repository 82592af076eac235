/* foreign_l: what only 9P2000.L has. Its messages have Linux's grain, as ours, so most are one
 * request each. */
#include "foreign.h"

#include <string.h>
#include <sys/stat.h>

#define SECOND    INT64_C(1000000000)
#define HOST_USER (UINT64_C(1) << 63)

enum {
    VALID_BASIC = 0x7ff, /* of Tgetattr: mode to blocks */
    VALID_BTIME = 0x800,
    SET_CTIME = 0x40,
    SET_ATIME_GIVEN = 0x80,
    SET_MTIME_GIVEN = 0x100,
    LOCK_BLOCK = 1,
    LOCK_SUCCESS = 0,
    LOCK_BLOCKED = 1,
    UNLINK_DIR = 0x200,
    OPEN_SYNC = 0x1000 | 0x100000, /* O_DSYNC and O_SYNC */
    NOBODY = 65534,
};

static uint32_t user_number(uint64_t principal)
{
    return principal & HOST_USER ? (uint32_t)principal : NOBODY;
}

/* Decodes the body into v and finds the fid of its first field; NULL: answered. */
#define TAKE(op, name, v)                                                                          \
    struct ninep_l_##name v;                                                                       \
    ninep_get_l_##name(&(op)->body, &v);                                                           \
    if (!take((op), v.fid)) {                                                                      \
        return;                                                                                    \
    }

static bool take(struct ninep__fop *op, uint32_t fid)
{
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return false;
    }
    return ninep__ffid_take(op, fid);
}

/* Sends a structure as the reply's body. */
#define SEND(op, name, ...)                                                                        \
    do {                                                                                           \
        struct ninep_l_##name send_v = {__VA_ARGS__};                                              \
        struct cg_buf send_b;                                                                      \
        struct ninep_frame *send_f =                                                               \
            ninep__freply((op), (uint32_t)ninep_size_l_##name(&send_v), &send_b);                  \
        if (send_f) {                                                                              \
            ninep_put_l_##name(&send_b, &send_v);                                                  \
            ninep__fsend((op), send_f, &send_b);                                                   \
        }                                                                                          \
    } while (0)

/* ---- open, create, make ---- */

static uint32_t known_flags(uint32_t flags)
{
    return flags &
           (3 | NINEP_OPEN_EXCL | NINEP_OPEN_TRUNC | NINEP_OPEN_APPEND | NINEP_OPEN_DIRECTORY);
}

static void opened(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->fid->attr = r->open.attr;
    op->fid->sync = op->perm & OPEN_SYNC;
    SEND(op, rlopen, .qid = ninep__fqid(op->f, &op->fid->attr));
}

static void lopen(struct ninep__fop *op)
{
    TAKE(op, tlopen, t);
    op->perm = t.flags;
    union ninep_tmsg m = {
        .open = {.fid = op->fid->fid, .flags = known_flags(t.flags) & ~(uint32_t)NINEP_OPEN_EXCL}};
    ninep__fcall(op, NINEP_TOPEN, &m, 0, opened);
}

static void lcreated(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    struct ninep_attr a = r->create.attr;
    ninep__fbecome(op, op->names.name[0], &a);
    op->fid->sync = op->perm & OPEN_SYNC;
    SEND(op, rlcreate, .qid = ninep__fqid(op->f, &a));
}

static void lcreate(struct ninep__fop *op)
{
    TAKE(op, tlcreate, t);
    op->perm = t.flags;
    op->names = (struct ninep_names){.count = 1, .name = {t.name}};
    op->number = ninep__ffid_number(op->f);
    union ninep_tmsg m = {.create = {.fid = op->fid->fid,
                                     .newfid = op->number,
                                     .flags = known_flags(t.flags),
                                     .mode = (t.mode & 07777) | S_IFREG,
                                     .name = t.name}};
    ninep__fcall(op, NINEP_TCREATE, &m, 0, lcreated);
}

/* Rsymlink, Rmknod and Rmkdir are alike. */
static void made(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    SEND(op, rmkdir, .qid = ninep__fqid(op->f, &r->create.attr));
}

static void make(struct ninep__fop *op, struct cg_span name, uint32_t mode, uint64_t rdev,
                 struct cg_span target)
{
    union ninep_tmsg m = {.create = {.fid = op->fid->fid,
                                     .newfid = NINEP_NOFID,
                                     .flags = NINEP_OPEN_EXCL,
                                     .mode = mode,
                                     .rdev = rdev,
                                     .name = name,
                                     .target = target}};
    ninep__fcall(op, NINEP_TCREATE, &m, 0, made);
}

static void make_symlink(struct ninep__fop *op)
{
    TAKE(op, tsymlink, t);
    make(op, t.name, S_IFLNK | 0777, 0, t.target);
}

static void make_node(struct ninep__fop *op)
{
    TAKE(op, tmknod, t);
    make(op, t.name, t.mode & (S_IFMT | 07777), (uint64_t)t.major << 32 | t.minor,
         (struct cg_span){0});
}

static void make_dir(struct ninep__fop *op)
{
    struct ninep_l_tmkdir t;
    ninep_get_l_tmkdir(&op->body, &t);
    if (take(op, t.dirfid)) {
        make(op, t.name, S_IFDIR | (t.mode & 07777), 0, (struct cg_span){0});
    }
}

static void linked(struct ninep__fop *op)
{
    TAKE(op, tlink, t);
    uint32_t file = op->fid->fid;
    if (!take(op, t.dirfid)) {
        return;
    }
    union ninep_tmsg m = {.link = {.fid = file, .dirfid = op->fid->fid, .name = t.name}};
    ninep__fcall(op, NINEP_TLINK, &m, 0, ninep__fdone);
}

/* ---- names ---- */

static void renamed(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (!e) {
        ninep__ffids_moved(op);
    }
    ninep__fdone(op, e, r, detail);
}

/* What is renamed by name: where fids of it stood, and shall stand. Under another attach they do
 * not follow. */
static void rename_at(struct ninep__fop *op)
{
    struct ninep_l_trenameat t;
    ninep_get_l_trenameat(&op->body, &t);
    if (!take(op, t.newdirfid)) {
        return;
    }
    uint32_t to = op->fid->fid;
    const struct ninep__froot *root = op->fid->root;
    op->to = ninep__fjoin(op->fid->path, t.newname);
    if (!take(op, t.dirfid)) {
        return;
    }
    op->from = root == op->fid->root ? ninep__fjoin(op->fid->path, t.name) : NULL;
    union ninep_tmsg m = {
        .rename = {.fid = op->fid->fid, .newfid = to, .name = t.name, .newname = t.newname}};
    ninep__fcall(op, NINEP_TRENAME, &m, 0, renamed);
}

/* Trename: the fid is the file; op->count is the new folder's fid, names[0] the new name. */
static void rename_from_parent(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                               const char *detail)
{
    struct ninep__ffid *dir = cg_map_get(&op->f->fids, &op->count);
    if (e || !dir) {
        ninep__fdone(op, e ? e : CG_EBADF, r, detail);
        return;
    }
    op->from = dir->root == op->fid->root ? cg_strdup(op->fid->path) : NULL;
    op->to = ninep__fjoin(dir->path, op->names.name[0]);
    union ninep_tmsg m = {.rename = {.fid = op->tmp,
                                     .newfid = dir->fid,
                                     .name = cg_span_of(ninep__ffid_name(op->fid)),
                                     .newname = op->names.name[0]}};
    ninep__fcall(op, NINEP_TRENAME, &m, 0, renamed);
}

static void rename_file(struct ninep__fop *op)
{
    TAKE(op, trename, t);
    op->count = t.dirfid;
    op->names = (struct ninep_names){.count = 1, .name = {t.name}};
    ninep__fwalk_parent(op, rename_from_parent);
}

static void unlink_at(struct ninep__fop *op)
{
    struct ninep_l_tunlinkat t;
    ninep_get_l_tunlinkat(&op->body, &t);
    if (!take(op, t.dirfid)) {
        return;
    }
    union ninep_tmsg m = {.remove = {.fid = op->fid->fid,
                                     .flags = t.flags & UNLINK_DIR ? NINEP_REMOVEFLAG_DIR : 0,
                                     .name = t.name}};
    ninep__fcall(op, NINEP_TREMOVE, &m, 0, ninep__fdone);
}

static void link_read(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    SEND(op, rreadlink, .target = r->readlink.target);
}

static void read_link(struct ninep__fop *op)
{
    TAKE(op, treadlink, t);
    union ninep_tmsg m = {.readlink = {.fid = op->fid->fid}};
    ninep__fcall(op, NINEP_TREADLINK, &m, 0, link_read);
}

/* ---- attributes ---- */

static uint64_t linux_dev(uint64_t rdev)
{
    uint64_t major = rdev >> 32, minor = rdev & UINT32_MAX; /* as Linux's new_encode_dev */
    return (minor & 0xff) | major << 8 | (minor & ~UINT64_C(0xff)) << 12;
}

/* Seconds and the rest, also of times before 1970. */
static uint64_t whole_seconds(int64_t ns)
{
    return (uint64_t)(ns / SECOND - (ns % SECOND < 0));
}

static uint64_t rest_of_second(int64_t ns)
{
    return (uint64_t)(ns % SECOND + (ns % SECOND < 0 ? SECOND : 0));
}

static void attr_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                       const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    const struct ninep_attr *a = &r->getattr.attr;
    op->fid->attr = *a;
    SEND(op, rgetattr, .valid = VALID_BASIC | (a->btime ? VALID_BTIME : 0),
         .qid = ninep__fqid(op->f, a), .mode = a->mode, .uid = user_number(a->owner),
         .gid = user_number(a->group), .nlink = a->nlink, .rdev = linux_dev(a->rdev),
         .size = a->size, .blksize = a->blksize, .blocks = a->blocks,
         .atime_sec = whole_seconds(a->atime), .atime_nsec = rest_of_second(a->atime),
         .mtime_sec = whole_seconds(a->mtime), .mtime_nsec = rest_of_second(a->mtime),
         .ctime_sec = whole_seconds(a->ctime), .ctime_nsec = rest_of_second(a->ctime),
         .btime_sec = whole_seconds(a->btime), .btime_nsec = rest_of_second(a->btime),
         .gen = a->id.generation, .data_version = a->id.change);
}

static void get_attr(struct ninep__fop *op)
{
    TAKE(op, tgetattr, t);
    union ninep_tmsg m = {.getattr = {.fid = op->fid->fid}};
    ninep__fcall(op, NINEP_TGETATTR, &m, 0, attr_known);
}

static void set_attr(struct ninep__fop *op)
{
    TAKE(op, tsetattr, t);
    uint32_t same =
        NINEP_SETATTR_MODE | NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP | NINEP_SETATTR_SIZE;
    uint32_t valid = t.valid & same;
    if (t.valid & NINEP_SETATTR_ATIME) {
        valid |= t.valid & SET_ATIME_GIVEN ? NINEP_SETATTR_ATIME : NINEP_SETATTR_ATIME_NOW;
    }
    if (t.valid & NINEP_SETATTR_MTIME) {
        valid |= t.valid & SET_MTIME_GIVEN ? NINEP_SETATTR_MTIME : NINEP_SETATTR_MTIME_NOW;
    }
    union ninep_tmsg m = {.setattr = {.fid = op->fid->fid,
                                      .valid = valid,
                                      .mode = t.mode & 07777,
                                      .owner = HOST_USER | t.uid,
                                      .group = HOST_USER | t.gid,
                                      .size = t.size,
                                      .atime = (int64_t)(t.atime_sec * SECOND + t.atime_nsec),
                                      .mtime = (int64_t)(t.mtime_sec * SECOND + t.mtime_nsec)}};
    if (!valid) { /* only ctime, which every change sets */
        ninep__fempty(op);
        return;
    }
    ninep__fcall(op, NINEP_TSETATTR, &m, 0, ninep__fdone);
}

static void statfs_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                         const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    const struct ninep_rstatfs *s = &r->statfs;
    SEND(op, rstatfs, .type = s->type, .bsize = s->bsize, .blocks = s->blocks, .bfree = s->bfree,
         .bavail = s->bavail, .files = s->files, .ffree = s->ffree, .fsid = s->fsid,
         .namelen = s->namelen);
}

static void stat_fs(struct ninep__fop *op)
{
    TAKE(op, tstatfs, t);
    union ninep_tmsg m = {.statfs = {.fid = op->fid->fid}};
    ninep__fcall(op, NINEP_TSTATFS, &m, 0, statfs_known);
}

/* Newer Linux adds a word, datasync, to Tfsync: both forms are taken. */
static void fsync_file(struct ninep__fop *op)
{
    TAKE(op, tfsync, t);
    uint32_t dataonly = cg_buf_left(&op->body) >= 4 ? cg_get_u32(&op->body) : 0;
    union ninep_tmsg m = {.fsync = {.fid = op->fid->fid, .dataonly = dataonly != 0}};
    ninep__fcall(op, NINEP_TFSYNC, &m, 0, ninep__fdone);
}

/* ---- extended attributes: a fid that is read or written, as 9P2000.L wants ---- */

static void xattr_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                        const char *detail)
{
    struct ninep__ffid *ff = op->newfid;
    e = e ? e : ninep__ffid_xattr(ff, r->xattrget.value.data, r->xattrget.value.len);
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    uint64_t size = ff->xattr.len;
    ff->is_xattr = true;
    ff->fid = op->tmp;
    op->tmp = NINEP_NOFID;
    e = ninep__ffid_commit(op);
    if (e) {
        ninep__ferror(op, e, "");
    } else {
        SEND(op, rxattrwalk, .size = size);
    }
}

static void xattr_fid_walked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                             const char *detail)
{
    (void)r;
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->tmp = op->number; /* clunked at the end if it does not become the client's */
    union ninep_tmsg m = {
        .xattrget = {.fid = op->number, .max = FOREIGN_XATTR_BYTES_MAX, .name = op->names.name[0]}};
    ninep__fcall(op, NINEP_TXATTRGET, &m, 0, xattr_known);
}

static void xattr_walk(struct ninep__fop *op)
{
    TAKE(op, txattrwalk, t);
    if (cg_map_get(&op->f->fids, &t.newfid)) {
        ninep__ferror(op, CG_EFIDINUSE, "");
        return;
    }
    if (!ninep__ffid_new(op, t.newfid, op->fid->root)) {
        return;
    }
    op->names = (struct ninep_names){.count = 1, .name = {t.name}};
    op->number = ninep__ffid_number(op->f);
    union ninep_tmsg m = {.walk = {.fid = op->fid->fid, .newfid = op->number}};
    ninep__fcall(op, NINEP_TWALK, &m, 0, xattr_fid_walked);
}

static void xattr_create(struct ninep__fop *op)
{
    TAKE(op, txattrcreate, t);
    bool named = t.name.len && !memchr(t.name.data, 0, t.name.len);
    cg_err e = op->fid->is_xattr                  ? CG_EBUSY /* it is an attribute's already */
               : !named                           ? CG_EINVAL
               : t.size > FOREIGN_XATTR_BYTES_MAX ? CG_ERANGE
                                                  : CG_OK;
    char *name = e ? NULL : cg_strndup((const char *)t.name.data, t.name.len);
    if (!name) {
        ninep__ferror(op, e ? e : CG_ENOMEM, "");
        return;
    }
    op->fid->xattr_name = name;
    op->fid->xattr_flags = t.flags & (NINEP_XATTRFLAG_CREATE | NINEP_XATTRFLAG_REPLACE);
    op->fid->xattr_size = t.size;
    op->fid->is_xattr = true;
    ninep__fempty(op);
}

/* ---- directories: Linux expects "." and ".." from the server ---- */

/* Offsets no file server uses as cookies: after "." and after "..". */
static const uint64_t AFTER_DOT = UINT64_C(1) << 62, AFTER_DOTDOT = (UINT64_C(1) << 62) + 1;

static bool put_entry(struct cg_buf *b, const struct ninep_dirent *d)
{
    struct cg_buf before = *b;
    ninep_put_dirent(b, d);
    if (b->bad) {
        *b = before;
        return false;
    }
    return true;
}

static bool put_dots(struct ninep__fop *op, struct cg_buf *b)
{
    struct ninep_dirent dot = {
        .qid = op->qid[0], .offset = AFTER_DOT, .type = S_IFDIR >> 12, .name = cg_span_of(".")};
    struct ninep_dirent up = {
        .qid = op->qid[1], .offset = AFTER_DOTDOT, .type = S_IFDIR >> 12, .name = cg_span_of("..")};
    return (op->offset != 0 || put_entry(b, &dot)) &&
           ((op->offset != 0 && op->offset != AFTER_DOT) || put_entry(b, &up));
}

static void put_entries(struct ninep__fop *op, struct cg_buf *b, const union ninep_rmsg *r)
{
    struct cg_buf it = ninep_list_iter(&r->readdir.entries);
    bool room = put_dots(op, b);
    for (uint16_t i = 0; room && i < r->readdir.entries.count; i++) {
        struct ninep_entry entry;
        ninep_get_entry(&it, &entry);
        struct ninep_dirent d = {.qid = ninep__fqid(op->f, &entry.attr),
                                 .offset = entry.cookie,
                                 .type = (uint8_t)((entry.attr.mode & S_IFMT) >> 12),
                                 .name = entry.name};
        room = put_entry(b, &d);
    }
}

static void dir_read(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, 4 + op->count, &b);
    if (!f) {
        return;
    }
    cg_put_u32(&b, 0);
    put_entries(op, &b, r);
    if (b.pos == 4 && r->readdir.entries.count) { /* nothing would mean the end */
        ninep_frame_free(f);
        ninep__ferror(op, CG_EINVAL, "count has no room for one entry");
        return;
    }
    struct cg_buf size = cg_buf_writer(b.base, 4);
    cg_put_u32(&size, (uint32_t)b.pos - 4);
    ninep__fsend(op, f, &b);
}

static void list_dir(struct ninep__fop *op)
{
    enum { ENTRIES_BYTES_MIN = 1024 };
    bool dots = op->offset == AFTER_DOT || op->offset == AFTER_DOTDOT;
    union ninep_tmsg m = {
        .readdir = {.fid = op->fid->fid,
                    .cookie = dots ? 0 : op->offset,
                    .count = op->count < ENTRIES_BYTES_MIN ? ENTRIES_BYTES_MIN : op->count}};
    ninep__fcall(op, NINEP_TREADDIR, &m, 0, dir_read);
}

/* A folder that cannot be found is shown as its own parent. */
static void parent_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                         const char *detail)
{
    (void)detail;
    struct ninep_attr up = e ? op->fid->attr : ninep__fwalked(r);
    op->qid[1] = ninep__fqid(op->f, &up);
    list_dir(op);
}

static void read_dir(struct ninep__fop *op)
{
    TAKE(op, treaddir, t);
    uint32_t most = op->f->msize - NINEP_P_HEADER_BYTES - 4;
    op->count = t.count < most ? t.count : most;
    op->offset = t.offset;
    if (t.offset != 0 && t.offset != AFTER_DOT) {
        list_dir(op);
        return;
    }
    op->qid[0] = ninep__fqid(op->f, &op->fid->attr);
    char *parent = ninep__fparent(op->fid);
    if (parent) {
        ninep__fwalk_path(op, op->fid->root->fid, parent, parent_known);
    } else {
        ninep__ferror(op, CG_ENOMEM, "");
    }
    cg_free(parent);
}

/* ---- locks: an owner is a process of a client ---- */

/* The process in the low half, where Rgetlock finds it again; the client's name spread over the
 * other. */
static uint64_t lock_owner(uint32_t process, struct cg_span client)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a, 64 bits; only equality counts */
    for (uint32_t i = 0; i < client.len; i++) {
        h = (h ^ client.data[i]) * 1099511628211u;
    }
    return (h & ~(uint64_t)UINT32_MAX) | process;
}

static void locked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    SEND(op, rlock, .status = r->lock.granted ? LOCK_SUCCESS : LOCK_BLOCKED);
}

static void lock_file(struct ninep__fop *op)
{
    TAKE(op, tlock, t);
    union ninep_tmsg m = {.lock = {.fid = op->fid->fid,
                                   .kind = NINEP_LOCKKIND_POSIX,
                                   .type = t.type,
                                   .flags = t.flags & LOCK_BLOCK ? NINEP_LOCKFLAG_WAIT : 0,
                                   .owner = lock_owner(t.proc_id, t.client_id),
                                   .start = t.start,
                                   .length = t.length}};
    ninep__fcall(op, NINEP_TLOCK, &m, 0, locked);
}

/* Who holds it is known by number when it is a process of this connection, whose processes share
 * one client name as a rule. When nothing is in the way the question is sent back. */
static void lock_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                       const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    const struct ninep_rgetlock *l = &r->getlock;
    const struct ninep_tgetlock *asked = &op->req->pub.t.getlock;
    bool none = l->type == NINEP_LOCKTYPE_UNLOCK;
    SEND(op, rgetlock, .type = l->type, .start = none ? asked->start : l->start,
         .length = none ? asked->length : l->length,
         .proc_id = none       ? (uint32_t)asked->owner
                    : l->local ? (uint32_t)l->owner
                               : 0,
         .client_id = none || l->local ? op->names.name[0] : (struct cg_span){0});
}

static void get_lock(struct ninep__fop *op)
{
    TAKE(op, tgetlock, t);
    op->names.name[0] = t.client_id;
    union ninep_tmsg m = {.getlock = {.fid = op->fid->fid,
                                      .kind = NINEP_LOCKKIND_POSIX,
                                      .type = t.type,
                                      .owner = lock_owner(t.proc_id, t.client_id),
                                      .start = t.start,
                                      .length = t.length}};
    ninep__fcall(op, NINEP_TGETLOCK, &m, 0, lock_known);
}

void ninep__fdialect_l(struct ninep__fop *op)
{
    static const struct {
        uint8_t type;
        void (*run)(struct ninep__fop *op);
    } messages[] = {
        {NINEP_L_TLOPEN, lopen},          {NINEP_L_TLCREATE, lcreate},
        {NINEP_L_TSYMLINK, make_symlink}, {NINEP_L_TMKNOD, make_node},
        {NINEP_L_TMKDIR, make_dir},       {NINEP_L_TLINK, linked},
        {NINEP_L_TRENAME, rename_file},   {NINEP_L_TRENAMEAT, rename_at},
        {NINEP_L_TUNLINKAT, unlink_at},   {NINEP_L_TREADLINK, read_link},
        {NINEP_L_TGETATTR, get_attr},     {NINEP_L_TSETATTR, set_attr},
        {NINEP_L_TSTATFS, stat_fs},       {NINEP_L_TFSYNC, fsync_file},
        {NINEP_L_TXATTRWALK, xattr_walk}, {NINEP_L_TXATTRCREATE, xattr_create},
        {NINEP_L_TREADDIR, read_dir},     {NINEP_L_TLOCK, lock_file},
        {NINEP_L_TGETLOCK, get_lock},
    };
    for (size_t i = 0; i < CG_COUNT(messages); i++) {
        if (messages[i].type == op->type) {
            messages[i].run(op);
            return;
        }
    }
    ninep__ferror(op, CG_EOPNOTSUPP, ""); /* by which Linux knows that it must do without */
}
