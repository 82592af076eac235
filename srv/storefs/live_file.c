/* Contents and attributes of files of the active tree. That a fid is open, and open for this, the
 * framework has checked. */
#include "live.h"

#include <string.h>
#include <sys/stat.h>

#define HOST_USER (UINT64_C(1) << 63)

enum { COPY_BYTES = 64 << 10, COPY_BYTES_MAX = 16 << 20 };

static void respond(struct ninep_req *r, cg_err e)
{
    struct storefs *fs = r->server_aux;
    ninep_respond(r, e);
    ctl_changed(fs);
}

static uint32_t without_setid(uint32_t mode)
{
    mode &= ~(uint32_t)S_ISUID;
    return mode & S_IXGRP ? mode & ~(uint32_t)S_ISGID : mode;
}

/* The mode after a change of contents: only the admin's leave the set-id bits. */
static uint32_t mode_after(const struct ninep_fid *fid, const struct node *n)
{
    struct active_attr a;
    active_stat(n->live, &a);
    return live_admin(fid, n->fs) ? a.mode : without_setid(a.mode);
}

static cg_err truncate_file(const struct ninep_fid *fid, struct node *n, uint64_t size,
                            struct cg_errbuf *eb)
{
    struct active_attr a = {.size = size, .mode = mode_after(fid, n)};
    return active_set(n->fs->active, n->live, ACTIVE_SIZE | ACTIVE_MODE, &a, eb);
}

cg_err live_open(struct ninep_req *r, struct node *n, uint32_t flags)
{
    static const uint8_t need_of[4] = {NINEP_RIGHTS_READ, NINEP_RIGHTS_WRITE,
                                       NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE, 0};
    struct cg_errbuf *eb = &r->eb;
    struct active_attr a;
    uint8_t need = need_of[flags & 3];
    active_stat(n->live, &a);
    if (need == 0) {
        return cg_fail(eb, CG_EINVAL, "access mode 3 means nothing");
    }
    need |= flags & NINEP_OPEN_TRUNC ? NINEP_RIGHTS_WRITE : 0;
    if (a.kind == STORE_SYMLINK) {
        return cg_fail(eb, CG_ELOOP, "symbolic links are followed by the client");
    }
    if ((flags & NINEP_OPEN_DIRECTORY) && a.kind != STORE_DIR) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    if (a.kind == STORE_DIR && (need & NINEP_RIGHTS_WRITE)) {
        return cg_fail(eb, CG_EISDIR, "a directory cannot be opened for writing");
    }
    if (a.kind != STORE_DIR && a.kind != STORE_FILE) {
        return cg_fail(eb, CG_ENXIO, "devices, pipes and sockets are opened where they are used");
    }
    cg_err e = live_may(r->fid, n, need, eb);
    return e || !(flags & NINEP_OPEN_TRUNC) ? e : truncate_file(r->fid, n, 0, eb);
}

void live_write(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    struct active_attr a;
    active_stat(n->live, &a);
    bool append = r->fid->open_flags & NINEP_OPEN_APPEND;
    uint64_t at = append ? a.size : r->t.write.offset;
    cg_err e = active_write(n->fs->active, n->live, at, r->t.write.data, mode_after(r->fid, n),
                            &r->r.write.count, &r->eb);
    live_attr(r->fid, n, &r->r.write.attr);
    respond(r, r->r.write.count ? CG_OK : e);
}

/* ---- attributes ---- */

static cg_err check_owner(const struct ninep_fid *fid, const struct active_attr *a,
                          const struct storefs *fs, const struct ninep_tsetattr *t,
                          struct cg_errbuf *eb)
{
    uint64_t owner = HOST_USER | a->uid, group = HOST_USER | a->gid;
    bool owner_set = t->valid & NINEP_SETATTR_OWNER, group_set = t->valid & NINEP_SETATTR_GROUP;
    if ((owner_set && t->owner >> 32 != HOST_USER >> 32) ||
        (group_set && t->group >> 32 != HOST_USER >> 32)) {
        return cg_fail(eb, CG_EINVAL, "files of a store belong to users of a host");
    }
    if (owner_set && t->owner != owner && !live_admin(fid, fs)) {
        return cg_fail(eb, CG_EPERM, "only the server's owner gives files away");
    }
    if (group_set && t->group != group && !live_admin(fid, fs) && t->group != fid->principal) {
        return cg_fail(eb, CG_EPERM, "a file's owner may give it to a group of his own only");
    }
    return CG_OK;
}

static cg_err check_setattr(const struct ninep_fid *fid, const struct node *n,
                            const struct active_attr *a, const struct ninep_tsetattr *t,
                            struct cg_errbuf *eb)
{
    const uint32_t owner_only = NINEP_SETATTR_MODE | NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP |
                                NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME;
    const uint32_t now = NINEP_SETATTR_ATIME_NOW | NINEP_SETATTR_MTIME_NOW;
    if ((t->valid & owner_only) && !live_owns(fid, n)) {
        return cg_fail(eb, CG_EPERM, "only the file's owner may change this");
    }
    cg_err e = check_owner(fid, a, n->fs, t, eb);
    if (!e && (t->valid & now) && !live_owns(fid, n)) {
        e = live_may(fid, n, NINEP_RIGHTS_WRITE, eb);
    }
    bool writing = fid->open && (fid->open_flags & 3) != NINEP_OPEN_READ;
    if (!e && (t->valid & NINEP_SETATTR_SIZE) && !writing) {
        e = live_may(fid, n, NINEP_RIGHTS_WRITE, eb);
    }
    return e;
}

static uint32_t mode_wanted(const struct ninep_fid *fid, const struct node *n,
                            const struct active_attr *a, const struct ninep_tsetattr *t)
{
    bool given = t->valid & (NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP);
    bool cut = (t->valid & NINEP_SETATTR_SIZE) && !live_admin(fid, n->fs);
    uint32_t mode = (given || cut) && a->kind != STORE_DIR ? without_setid(a->mode) : a->mode;
    uint64_t group = t->valid & NINEP_SETATTR_GROUP ? t->group : HOST_USER | a->gid;
    if (t->valid & NINEP_SETATTR_MODE) {
        mode = t->mode & 07777;
        if (!live_admin(fid, n->fs) && group != fid->principal) {
            mode &= ~(uint32_t)S_ISGID;
        }
    }
    return mode;
}

void live_setattr(struct ninep_req *r)
{
    const struct ninep_tsetattr *t = &r->t.setattr;
    struct node *n = node_of(r->fid);
    struct active_attr a, to;
    uint32_t valid = ACTIVE_MODE;
    active_stat(n->live, &a);
    cg_err e = check_setattr(r->fid, n, &a, t, &r->eb);
    to = (struct active_attr){.mode = mode_wanted(r->fid, n, &a, t),
                              .uid = (uint32_t)t->owner,
                              .gid = (uint32_t)t->group,
                              .size = t->size,
                              .atime_ns = t->atime,
                              .mtime_ns = t->mtime};
    valid |= t->valid & NINEP_SETATTR_OWNER ? ACTIVE_UID : 0;
    valid |= t->valid & NINEP_SETATTR_GROUP ? ACTIVE_GID : 0;
    valid |= t->valid & NINEP_SETATTR_SIZE ? ACTIVE_SIZE : 0;
    valid |= t->valid & NINEP_SETATTR_MTIME ? ACTIVE_MTIME : 0;
    valid |= t->valid & NINEP_SETATTR_MTIME_NOW ? ACTIVE_NOW : 0;
    if (t->valid & (NINEP_SETATTR_ATIME | NINEP_SETATTR_ATIME_NOW)) {
        valid |= ACTIVE_ATIME;
        to.atime_ns =
            t->valid & NINEP_SETATTR_ATIME ? t->atime : (int64_t)cg_env_real.wall_ns(NULL);
    }
    e = e ? e : active_set(n->fs->active, n->live, valid, &to, &r->eb);
    live_attr(r->fid, n, &r->r.setattr.attr);
    respond(r, e);
}

/* ---- extended attributes: the encoding of a directory's entry, made anew ---- */

static bool has_prefix(struct cg_span name, const char *prefix)
{
    size_t len = strlen(prefix);
    return name.len > len && memcmp(name.data, prefix, len) == 0;
}

/* Who may set an attribute of this name; the rules are those of Linux. */
static cg_err check_xattr(const struct ninep_fid *fid, const struct node *n, struct cg_span name,
                          struct cg_errbuf *eb)
{
    struct active_attr a;
    active_stat(n->live, &a);
    if (has_prefix(name, "trusted.") || has_prefix(name, "security.")) {
        return live_admin(fid, n->fs) ? CG_OK
                                      : cg_fail(eb, CG_EPERM, "only the server's owner sets these");
    }
    if (!has_prefix(name, "user.")) {
        return cg_fail(eb, CG_EOPNOTSUPP, "only user., trusted. and security. are offered");
    }
    if (a.kind != STORE_FILE && a.kind != STORE_DIR) {
        return cg_fail(eb, CG_EPERM, "user attributes are for files and directories");
    }
    return live_may(fid, n, NINEP_RIGHTS_WRITE, eb);
}

static cg_err edit_xattrs(struct cg_span all, const struct ninep_txattrset *t, struct cg_str *out,
                          struct cg_errbuf *eb)
{
    struct cg_span name, value;
    bool bad = false, found = false, removes = t->flags & NINEP_XATTRFLAG_REMOVE;
    cg_err e = CG_OK;
    while (!e && store_xattr_next(&all, &name, &value, &bad)) {
        bool same = name.len == t->name.len && memcmp(name.data, t->name.data, name.len) == 0;
        found = found || same;
        e = same ? CG_OK : store_xattr_add(out, name, value);
    }
    if (!e && found && (t->flags & NINEP_XATTRFLAG_CREATE)) {
        return cg_fail(eb, CG_EEXIST, "the attribute exists");
    }
    if (!e && !found && (t->flags & (NINEP_XATTRFLAG_REPLACE | NINEP_XATTRFLAG_REMOVE))) {
        return cg_fail(eb, CG_ENODATA, "no attribute of that name");
    }
    if (!e && !removes && t->name.len > STORE_NAME_BYTES_MAX) {
        return cg_fail(eb, CG_ERANGE, "attribute names end at 255 bytes");
    }
    e = e || removes ? e : store_xattr_add(out, t->name, t->value);
    return e == CG_ETOOBIG ? cg_fail(eb, CG_ENOSPC, "one file's attributes end at 64 KiB") : e;
}

void live_xattrset(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    struct cg_str all = {0};
    cg_err e = check_xattr(r->fid, n, r->t.xattrset.name, &r->eb);
    e = e ? e : edit_xattrs(active_xattrs(n->live), &r->t.xattrset, &all, &r->eb);
    struct cg_span span = {.data = (const uint8_t *)all.data, .len = (uint32_t)all.len};
    e = e ? e : active_set_xattrs(n->fs->active, n->live, span, &r->eb);
    live_attr(r->fid, n, &r->r.xattrset.attr);
    cg_str_fini(&all);
    respond(r, e);
}

/* ---- holes, copies ---- */

static cg_err allocate(struct ninep_req *r, struct node *n)
{
    const struct ninep_tallocate *t = &r->t.allocate;
    const uint32_t keep = NINEP_ALLOCFLAG_KEEP_SIZE, hole = NINEP_ALLOCFLAG_PUNCH_HOLE;
    uint32_t what = t->flags & ~keep;
    struct active_attr a;
    cg_err e = CG_OK;
    if ((what != 0 && what != hole && what != NINEP_ALLOCFLAG_ZERO_RANGE) || t->flags == hole) {
        return cg_fail(&r->eb, CG_EOPNOTSUPP, "allocate flags %#x are not offered", t->flags);
    }
    if (t->length == 0) {
        return cg_fail(&r->eb, CG_EINVAL, "an empty range");
    }
    if (t->offset > ACTIVE_FILE_BYTES_MAX || t->length > ACTIVE_FILE_BYTES_MAX - t->offset) {
        return cg_fail(&r->eb, CG_EFBIG, "files end at 2^48 bytes");
    }
    uint64_t end = t->offset + t->length;
    if (what) {
        e = active_punch(n->fs->active, n->live, t->offset, end, &r->eb);
    }
    active_stat(n->live, &a);
    if (!e && !(t->flags & keep) && end > a.size) {
        e = truncate_file(r->fid, n, end, &r->eb);
    }
    return e;
}

void live_allocate(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    cg_err e = allocate(r, n);
    live_attr(r->fid, n, &r->r.allocate.attr);
    respond(r, e);
}

void live_seek(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    cg_err e = CG_OK;
    if (r->t.seek.whence != NINEP_WHENCE_DATA && r->t.seek.whence != NINEP_WHENCE_HOLE) {
        e = cg_fail(&r->eb, CG_EINVAL, "seek finds data (3) or a hole (4)");
    }
    e = e ? e
          : active_seek(n->fs->active, n->live, r->t.seek.offset,
                        r->t.seek.whence == NINEP_WHENCE_DATA, &r->r.seek.offset, &r->eb);
    ninep_respond(r, e);
}

/* Bytes, not holes: a copy of a hole is zeroes, which take no space in packs. */
static cg_err copy_bytes(struct ninep_req *r, struct node *from, struct node *to, uint64_t count)
{
    const struct ninep_tcopy *t = &r->t.copy;
    uint8_t *buf = cg_alloc(COPY_BYTES);
    cg_err e = buf ? CG_OK : CG_ENOMEM;
    for (uint64_t done = 0; !e && done < count;) {
        size_t part = count - done < COPY_BYTES ? (size_t)(count - done) : COPY_BYTES, got;
        uint32_t wrote = 0;
        e = active_read(from->fs->active, from->live, t->offset + done, buf, part, &got, &r->eb);
        struct cg_span data = {.data = buf, .len = (uint32_t)part};
        e = e ? e
              : active_write(to->fs->active, to->live, t->newoffset + done, data,
                             mode_after(r->newfid, to), &wrote, &r->eb);
        done += wrote;
        r->r.copy.count = done;
    }
    cg_free(buf);
    return r->r.copy.count ? CG_OK : e;
}

void live_copy(struct ninep_req *r)
{
    const struct ninep_tcopy *t = &r->t.copy;
    struct node *from = node_of(r->fid), *to = node_of(r->newfid);
    struct active_attr a;
    cg_err e = live_need(from, &r->eb);
    e = e ? e : live_need(to, &r->eb);
    if (e) {
        ninep_respond(r, e);
        return;
    }
    active_stat(from->live, &a);
    uint64_t left = t->offset < a.size ? a.size - t->offset : 0;
    uint64_t count = t->length < left ? t->length : left;
    count = count < COPY_BYTES_MAX ? count : COPY_BYTES_MAX;
    if (from->live == to->live && t->offset < t->newoffset + count &&
        t->newoffset < t->offset + count) {
        e = cg_fail(&r->eb, CG_EINVAL, "the ranges overlap in one file");
    } else if (t->newoffset > ACTIVE_FILE_BYTES_MAX - count) {
        e = cg_fail(&r->eb, CG_EFBIG, "files end at 2^48 bytes");
    } else {
        e = copy_bytes(r, from, to, count);
    }
    live_attr(r->newfid, to, &r->r.copy.attr);
    respond(r, e);
}
