/* op: the table of operations: what each needs of its fids and of the session, what it changes, who
 * does it. First everything is checked and nothing changed; then leases in the way are broken; then
 * the file server has its turn.
 *
 * Rights only shrink: a file may get a name under another attach only where that attach may do no
 * more with it, so that no link or rename widens what a ticket gave.
 */
#include "server__.h"
#include <string.h>
#include <sys/stat.h>

enum need {
    NEED_FID = 0x001,
    NEED_DIR = 0x002,
    NEED_FILE = 0x004, /* no directory */
    NEED_R = 0x008,    /* rights on the fid */
    NEED_W = 0x010,
    NEED_OPEN_R = 0x020,
    NEED_OPEN_W = 0x040,
    NEED_SECOND = 0x080,     /* a second fid */
    NEED_SECOND_DIR = 0x100, /* that is a directory and may be written */
};

#define HANDLER(name) (int)offsetof(struct ninep_ops, name)
enum { NO_HANDLER = -1 };

typedef void handler(struct ninep_req *r);

static handler *handler_of(const struct ninep__req *req)
{
    handler *h;
    const char *ops = (const char *)req->session->server->cfg.ops;
    memcpy(&h, ops + req->op->handler, sizeof h);
    return h;
}

static bool may_open(struct ninep__req *req, const struct ninep_fid *f, uint32_t flags)
{
    uint32_t mode = flags & 3;
    uint8_t need = 0;
    if (mode == NINEP_OPEN_READ || mode == NINEP_OPEN_RDWR) {
        need |= NINEP_RIGHTS_READ;
    }
    if (mode != NINEP_OPEN_READ || (flags & NINEP_OPEN_TRUNC)) {
        need |= NINEP_RIGHTS_WRITE;
    }
    if (need & ~f->rights) {
        cg_fail(&req->pub.eb, CG_EPERM, "the attach does not grant this way of opening");
        return false;
    }
    return true;
}

/* ---- checks ---- */

static cg_err check_open(struct ninep__req *req)
{
    struct ninep_fid *f = req->pub.fid;
    uint32_t flags = req->pub.t.open.flags;
    if (f->open || f->impl->opening) {
        return cg_fail(&req->pub.eb, CG_EBUSY, "fid %u is open; walk to a new one", f->num);
    }
    if ((flags & 3) == 3) {
        return cg_fail(&req->pub.eb, CG_EINVAL, "the access mode is none of read, write, both");
    }
    if (!may_open(req, f, flags)) {
        return CG_EPERM;
    }
    bool dir = S_ISDIR(f->impl->mode);
    if (dir && ((flags & 3) != NINEP_OPEN_READ || (flags & NINEP_OPEN_TRUNC))) {
        return CG_EISDIR;
    }
    if (!dir && (flags & NINEP_OPEN_DIRECTORY)) {
        return CG_ENOTDIR;
    }
    f->impl->opening = req->opening = true;
    return CG_OK;
}

static cg_err check_create(struct ninep__req *req)
{
    struct ninep_tcreate *t = &req->pub.t.create;
    cg_err e = ninep__name_check(req, t->name);
    if (e != CG_OK) {
        return e;
    }
    if ((t->mode & S_IFMT) == 0) {
        t->mode |= S_IFREG;
    }
    bool regular = S_ISREG(t->mode);
    if ((t->flags & 3) == 3 || (!S_ISLNK(t->mode) && t->target.len > 0) ||
        (S_ISLNK(t->mode) && t->target.len == 0)) {
        return CG_EINVAL;
    }
    if (regular && t->newfid != NINEP_NOFID && !may_open(req, req->pub.fid, t->flags)) {
        return CG_EPERM;
    }
    if (!regular) {
        t->flags |= NINEP_OPEN_EXCL;
    }
    if (t->newfid == NINEP_NOFID) {
        return CG_OK;
    }
    struct ninep__fid *dir = req->pub.fid->impl;
    e = ninep__fid_new(req->session, t->newfid, &req->made, &req->pub.eb);
    if (e != CG_OK) {
        return e;
    }
    req->made->pub.rights = dir->pub.rights;
    req->made->pub.principal = dir->pub.principal;
    req->made->expires_ns = dir->expires_ns;
    req->pub.newfid = &req->made->pub;
    return CG_OK;
}

static cg_err check_read(struct ninep__req *req)
{
    uint32_t count = req->pub.t.read.count;
    if (count > req->session->msize - ninep__reply_data_at(NINEP_TREAD, NULL)) {
        return cg_fail(&req->pub.eb, CG_EMSGSIZE, "a reply of %u bytes exceeds the negotiated %u",
                       count, req->session->msize);
    }
    return ninep__reply_data(req, count);
}

static cg_err check_data(struct ninep__req *req, uint32_t wanted)
{
    uint32_t room = req->session->msize - ninep__reply_data_at(req->pub.type, &req->pub.t);
    return ninep__reply_data(req, wanted < room ? wanted : room);
}

static cg_err check_readdir(struct ninep__req *req)
{
    return check_data(req, req->pub.t.readdir.count);
}

static cg_err check_xattrget(struct ninep__req *req)
{
    return check_data(req, req->pub.t.xattrget.max);
}

static cg_err check_readlink(struct ninep__req *req)
{
    enum { TARGET_BYTES_MAX = 4096 }; /* Linux: PATH_MAX */
    return check_data(req, TARGET_BYTES_MAX);
}

static cg_err check_remove(struct ninep__req *req)
{
    return ninep__name_check(req, req->pub.t.remove.name);
}

static cg_err check_put(struct ninep__req *req)
{
    return ninep__name_check(req, req->pub.t.put.name);
}

static cg_err widens(struct ninep__req *req, const struct ninep_fid *from,
                     const struct ninep_fid *to)
{
    if (from->principal != to->principal || (to->rights & ~from->rights)) {
        return cg_fail(&req->pub.eb, CG_EPERM, "the file would gain rights under the other attach");
    }
    return CG_OK;
}

static cg_err check_rename(struct ninep__req *req)
{
    struct ninep_trename *t = &req->pub.t.rename;
    const uint32_t both = NINEP_RENAMEFLAG_NOREPLACE | NINEP_RENAMEFLAG_EXCHANGE;
    cg_err e = ninep__name_check(req, t->name);
    e = e != CG_OK ? e : ninep__name_check(req, t->newname);
    if (e != CG_OK) {
        return e;
    }
    if ((t->flags & both) == both || (t->flags & ~both)) {
        return CG_EINVAL;
    }
    e = widens(req, req->pub.fid, req->pub.newfid);
    if (e == CG_OK && (t->flags & NINEP_RENAMEFLAG_EXCHANGE)) {
        e = widens(req, req->pub.newfid, req->pub.fid);
    }
    return e;
}

static cg_err check_link(struct ninep__req *req)
{
    cg_err e = ninep__name_check(req, req->pub.t.link.name);
    return e != CG_OK ? e : widens(req, req->pub.fid, req->pub.newfid);
}

static cg_err check_copy(struct ninep__req *req)
{
    struct ninep_fid *to = req->pub.newfid;
    uint32_t mode = to->open_flags & 3;
    if (!to->open || mode == NINEP_OPEN_READ || !(to->rights & NINEP_RIGHTS_WRITE)) {
        return cg_fail(&req->pub.eb, CG_EBADF, "fid %u is not open for writing", to->num);
    }
    return CG_OK;
}

/* ---- what a mutation changes ---- */

static void target_fid(struct ninep__req *req)
{
    ninep__target_add(req, &req->pub.fid->id);
}

static bool target_name(struct ninep__req *req, struct ninep_fid *dir, struct cg_span name)
{
    const struct ninep_ops *ops = req->session->server->cfg.ops;
    struct ninep_xqid id = {0};
    if (ops->ident && ops->ident(dir, name, &id) == CG_OK) {
        ninep__target_add(req, &id);
        return true;
    }
    return false;
}

static void targets_open(struct ninep__req *req)
{
    if (req->pub.t.open.flags & NINEP_OPEN_TRUNC) {
        target_fid(req);
    }
}

/* A name that exists is opened, and changed only if it is truncated; a new name changes the
 * directory. */
static void targets_create(struct ninep__req *req)
{
    const struct ninep_tcreate *t = &req->pub.t.create;
    const struct ninep_ops *ops = req->session->server->cfg.ops;
    struct ninep_xqid id = {0};
    if (!ops->ident || ops->ident(req->pub.fid, t->name, &id) != CG_OK) {
        target_fid(req);
    } else if ((t->flags & NINEP_OPEN_TRUNC) && !(t->flags & NINEP_OPEN_EXCL)) {
        ninep__target_add(req, &id);
    }
}

static void targets_remove(struct ninep__req *req)
{
    target_fid(req);
    target_name(req, req->pub.fid, req->pub.t.remove.name);
}

static void targets_put(struct ninep__req *req)
{
    target_fid(req);
    target_name(req, req->pub.fid, req->pub.t.put.name);
}

static void targets_rename(struct ninep__req *req)
{
    target_fid(req);
    ninep__target_add(req, &req->pub.newfid->id);
    target_name(req, req->pub.fid, req->pub.t.rename.name);
    target_name(req, req->pub.newfid, req->pub.t.rename.newname);
}

static void targets_link(struct ninep__req *req)
{
    target_fid(req);
    ninep__target_add(req, &req->pub.newfid->id);
}

static void targets_copy(struct ninep__req *req)
{
    ninep__target_add(req, &req->pub.newfid->id);
}

/* ---- after success ---- */

static uint32_t iounit(const struct ninep__req *req)
{
    enum { PAGE = 4096, HEADERS = 64 }; /* Twrite has 48 bytes before its data */
    uint32_t room = req->session->msize - HEADERS;
    return room < PAGE ? room : room - room % PAGE;
}

static cg_err finish_open(struct ninep__req *req)
{
    const struct ninep_topen *t = &req->pub.t.open;
    struct ninep_ropen *r = &req->pub.r.open;
    struct ninep_fid *f = req->pub.fid;
    f->open = true;
    f->open_flags = t->flags;
    r->iounit = r->iounit ? r->iounit : iounit(req);
    if (t->flags & NINEP_OPEN_TRUNC) {
        ninep__write_end(req);
        if (ninep__leasable(req, t->want, &f->id) && ninep__quiet(req, false)) {
            r->lease = ninep__grant_now(req, f->impl, &f->id);
        }
    } else {
        r->lease = ninep__read_grant(req);
    }
    ninep__reply_inline(req, f->impl, &r->attr, t->want, t->inline_max);
    return CG_OK;
}

static cg_err finish_create(struct ninep__req *req)
{
    const struct ninep_tcreate *t = &req->pub.t.create;
    struct ninep_rcreate *r = &req->pub.r.create;
    struct ninep_fid *f = req->pub.newfid;
    if (f) {
        f->impl->mode = r->attr.mode;
        f->open = S_ISREG(r->attr.mode);
        f->open_flags = t->flags;
    }
    r->iounit = r->iounit ? r->iounit : iounit(req);
    ninep__write_end(req);
    if (ninep__leasable(req, t->want, &r->attr.id) && ninep__quiet(req, false)) {
        r->lease = ninep__grant_now(req, f ? f->impl : req->pub.fid->impl, &r->attr.id);
    }
    return CG_OK;
}

static cg_err finish_getattr(struct ninep__req *req)
{
    req->pub.r.getattr.lease = ninep__read_grant(req);
    return CG_OK;
}

static cg_err finish_readdir(struct ninep__req *req)
{
    struct ninep_rreaddir *r = &req->pub.r.readdir;
    if (r->entries.count == 0 && !r->eof) {
        return cg_fail(&req->pub.eb, CG_EMSGSIZE, "count has no room for the next entry");
    }
    r->lease = ninep__read_grant(req);
    return CG_OK;
}

/* ---- the table ---- */

#define DIR_W (NEED_FID | NEED_DIR | NEED_W)

/* clang-format off */
static const struct ninep__op ops[] = { /* by type */
    [NINEP_TATTACH] = {.type = NINEP_TATTACH, .handler = HANDLER(attach), .run = ninep__run_attach},
    [NINEP_TWALK] = {.type = NINEP_TWALK, .needs = NEED_FID, .handler = NO_HANDLER, .run = ninep__run_walk},
    [NINEP_TOPEN] = {.type = NINEP_TOPEN, .needs = NEED_FID, .handler = HANDLER(open), .check = check_open,
     .targets = targets_open, .finish = finish_open},
    [NINEP_TCREATE] = {.type = NINEP_TCREATE, .needs = DIR_W, .handler = HANDLER(create), .check = check_create,
     .targets = targets_create, .finish = finish_create},
    [NINEP_TREAD] = {.type = NINEP_TREAD, .needs = NEED_FID | NEED_FILE | NEED_OPEN_R, .handler = HANDLER(read),
     .check = check_read},
    [NINEP_TWRITE] = {.type = NINEP_TWRITE, .needs = NEED_FID | NEED_OPEN_W, .handler = HANDLER(write),
     .targets = target_fid},
    [NINEP_TREADDIR] = {.type = NINEP_TREADDIR, .needs = NEED_FID | NEED_DIR | NEED_R, .handler = HANDLER(readdir),
     .check = check_readdir, .finish = finish_readdir},
    [NINEP_TCLUNK] = {.type = NINEP_TCLUNK, .handler = NO_HANDLER, .run = ninep__run_clunk},
    [NINEP_TREMOVE] = {.type = NINEP_TREMOVE, .needs = DIR_W, .handler = HANDLER(remove), .check = check_remove,
     .targets = targets_remove},
    [NINEP_TRENAME] = {.type = NINEP_TRENAME, .needs = DIR_W | NEED_SECOND | NEED_SECOND_DIR,
     .handler = HANDLER(rename), .check = check_rename, .targets = targets_rename},
    [NINEP_TLINK] = {.type = NINEP_TLINK, .needs = NEED_FID | NEED_FILE | NEED_SECOND | NEED_SECOND_DIR,
     .handler = HANDLER(link), .check = check_link, .targets = targets_link},
    [NINEP_TGETATTR] = {.type = NINEP_TGETATTR, .needs = NEED_FID, .handler = HANDLER(getattr),
     .finish = finish_getattr},
    [NINEP_TSETATTR] = {.type = NINEP_TSETATTR, .needs = NEED_FID | NEED_W, .handler = HANDLER(setattr),
     .targets = target_fid},
    [NINEP_TREADLINK] = {.type = NINEP_TREADLINK, .needs = NEED_FID, .handler = HANDLER(readlink),
     .check = check_readlink},
    [NINEP_TFSYNC] = {.type = NINEP_TFSYNC, .needs = NEED_FID, .handler = HANDLER(fsync)},
    [NINEP_TSTATFS] = {.type = NINEP_TSTATFS, .needs = NEED_FID, .handler = HANDLER(statfs)},
    [NINEP_TXATTRGET] = {.type = NINEP_TXATTRGET, .needs = NEED_FID | NEED_R, .feature = NINEP_FEATURE_XATTR,
     .handler = HANDLER(xattrget), .check = check_xattrget},
    [NINEP_TXATTRSET] = {.type = NINEP_TXATTRSET, .needs = NEED_FID | NEED_W, .feature = NINEP_FEATURE_XATTR,
     .handler = HANDLER(xattrset), .targets = target_fid},
    [NINEP_TLOCK] = {.type = NINEP_TLOCK, .needs = NEED_FID, .feature = NINEP_FEATURE_LOCK, .handler = NO_HANDLER,
     .run = ninep__run_lock},
    [NINEP_TGETLOCK] = {.type = NINEP_TGETLOCK, .needs = NEED_FID, .feature = NINEP_FEATURE_LOCK,
     .handler = NO_HANDLER, .run = ninep__run_getlock},
    [NINEP_TWATCH] = {.type = NINEP_TWATCH, .feature = NINEP_FEATURE_LEASE, .handler = NO_HANDLER,
     .run = ninep__run_watch},
    [NINEP_TRELEASE] = {.type = NINEP_TRELEASE, .feature = NINEP_FEATURE_LEASE, .handler = NO_HANDLER,
     .run = ninep__run_release},
    [NINEP_TPUT] = {.type = NINEP_TPUT, .needs = DIR_W, .feature = NINEP_FEATURE_COMPOUND,
     .handler = HANDLER(put), .check = check_put, .targets = targets_put},
    [NINEP_TALLOCATE] = {.type = NINEP_TALLOCATE, .needs = NEED_FID | NEED_FILE | NEED_OPEN_W,
     .feature = NINEP_FEATURE_SPARSE, .handler = HANDLER(allocate), .targets = target_fid},
    [NINEP_TSEEK] = {.type = NINEP_TSEEK, .needs = NEED_FID | NEED_FILE | NEED_OPEN_R,
     .feature = NINEP_FEATURE_SPARSE, .handler = HANDLER(seek)},
    [NINEP_TCOPY] = {.type = NINEP_TCOPY, .needs = NEED_FID | NEED_FILE | NEED_OPEN_R | NEED_SECOND,
     .feature = NINEP_FEATURE_SPARSE, .handler = HANDLER(copy), .check = check_copy,
     .targets = targets_copy},
};
/* clang-format on */

const struct ninep__op *ninep__op_find(uint8_t type)
{
    return type < CG_COUNT(ops) && ops[type].type == type && type != 0 ? &ops[type] : NULL;
}

/* ---- decode ---- */

static uint32_t second_num(const struct ninep_req *r)
{
    switch (r->type) {
    case NINEP_TRENAME:
        return r->t.rename.newfid;
    case NINEP_TLINK:
        return r->t.link.dirfid;
    default:
        cg_assert(r->type == NINEP_TCOPY);
        return r->t.copy.newfid;
    }
}

/* Fills *slot, unless a replay has brought the fid along. */
static cg_err resolve(struct ninep__req *req, struct ninep_fid **slot, uint32_t num)
{
    if (!*slot) {
        struct ninep__fid *f = ninep__fid_find(req->session, num);
        if (!f) {
            return cg_fail(&req->pub.eb, CG_EBADF, "fid %u is unknown", num);
        }
        *slot = &ninep__fid_ref(f)->pub;
    }
    struct ninep__fid *f = (*slot)->impl;
    const struct cg_env *env = req->session->server->cfg.env;
    if (f->pub.dead) {
        return CG_ESTALE;
    }
    if (f->expires_ns != 0 && env->wall_ns(env->ctx) >= f->expires_ns) {
        return cg_fail(&req->pub.eb, CG_EEXPIRED, "the grant behind this attach is past its time");
    }
    return CG_OK;
}

static cg_err check_needs(struct ninep__req *req)
{
    uint16_t needs = req->op->needs;
    struct ninep__fid *f = req->pub.fid->impl;
    uint32_t mode = f->pub.open_flags & 3;
    uint8_t rights = (uint8_t)((needs & NEED_R ? NINEP_RIGHTS_READ : 0) |
                               (needs & NEED_W ? NINEP_RIGHTS_WRITE : 0));
    if ((needs & NEED_DIR) && !S_ISDIR(f->mode)) {
        return CG_ENOTDIR;
    }
    if ((needs & NEED_FILE) && S_ISDIR(f->mode)) {
        return CG_EISDIR;
    }
    if (rights & ~f->pub.rights) {
        return cg_fail(&req->pub.eb, CG_EPERM, "the attach does not grant it");
    }
    if ((needs & NEED_OPEN_R) && (!f->pub.open || mode == NINEP_OPEN_WRITE)) {
        return cg_fail(&req->pub.eb, CG_EBADF, "fid %u is not open for reading", f->pub.num);
    }
    if ((needs & NEED_OPEN_W) && (!f->pub.open || mode == NINEP_OPEN_READ)) {
        return cg_fail(&req->pub.eb, CG_EBADF, "fid %u is not open for writing", f->pub.num);
    }
    if (!(needs & NEED_SECOND)) {
        return CG_OK;
    }
    cg_err e = resolve(req, &req->pub.newfid, second_num(&req->pub));
    if (e == CG_OK && (needs & NEED_SECOND_DIR)) {
        f = req->pub.newfid->impl;
        e = !S_ISDIR(f->mode) ? CG_ENOTDIR : !(f->pub.rights & NINEP_RIGHTS_WRITE) ? CG_EPERM : e;
    }
    return e;
}

static cg_err check(struct ninep__req *req)
{
    const struct ninep__op *op = req->op;
    if (op->feature & ~req->session->features) {
        return cg_fail(&req->pub.eb, CG_EOPNOTSUPP, "the session did not agree on this feature");
    }
    if (op->handler != NO_HANDLER && !handler_of(req)) {
        return CG_ENOSYS;
    }
    if (op->needs & NEED_FID) {
        cg_err e = resolve(req, &req->pub.fid, req->pub.t.read.fid); /* fid is always first */
        e = e != CG_OK ? e : check_needs(req);
        if (e != CG_OK) {
            return e;
        }
    }
    return op->check ? op->check(req) : CG_OK;
}

/* ---- invoke ---- */

static uint32_t want_of(const struct ninep_req *r)
{
    switch (r->type) {
    case NINEP_TOPEN:
        return r->t.open.flags & NINEP_OPEN_TRUNC ? 0 : r->t.open.want;
    case NINEP_TREADDIR:
        return r->t.readdir.want;
    case NINEP_TGETATTR:
        return r->t.getattr.want;
    default:
        return 0;
    }
}

void ninep__op_call(struct ninep__req *req)
{
    if (want_of(&req->pub) & NINEP_WANT_LEASE) {
        ninep__read_begin(req, req->pub.fid->impl);
    }
    req->mutations = req->session->server->mutations;
    req->mutations_own = req->session->mutations;
    req->state = NINEP__RUNNING;
    handler_of(req)(&req->pub);
}

void ninep__op_run(struct ninep__req *req)
{
    if (!req->resolved) {
        cg_err e = check(req);
        if (e != CG_OK) {
            ninep__finish(req, e);
            return;
        }
        req->resolved = true;
    }
    if (req->op->run) {
        req->op->run(req);
    } else if (!req->op->targets || ninep__write_begin(req)) {
        ninep__op_call(req);
    } else if (req->verdict != CG_OK) {
        ninep__finish(req, req->verdict);
    }
}
