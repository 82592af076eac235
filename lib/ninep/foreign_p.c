/* foreign_p: what only 9P2000 has: open, create, stat, wstat, and directories that are read as
 * files. */
#include "foreign.h"

#include <string.h>
#include <sys/stat.h>

enum {
    OREAD = 0,
    OWRITE = 1,
    ORDWR = 2,
    OEXEC = 3,
    OTRUNC = 0x10,
    ORCLOSE = 0x40,
};
#define DMDIR    0x80000000u
#define DMAPPEND 0x40000000u
#define DMEXCL   0x20000000u
#define DMTMP    0x04000000u /* a hint: not to be in backups */

#define NS INT64_C(1000000000)

static uint32_t open_flags(uint8_t mode)
{
    static const uint32_t access[] = {
        [OREAD] = NINEP_OPEN_READ, NINEP_OPEN_WRITE, NINEP_OPEN_RDWR, NINEP_OPEN_READ};
    return access[mode & 3] | (mode & OTRUNC ? NINEP_OPEN_TRUNC : 0);
}

/* ---- open, create ---- */

static void send_open(struct ninep__fop *op, const struct ninep_attr *a)
{
    struct ninep_p_ropen reply = {.qid = ninep__fqid(op->f, a)};
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, (uint32_t)ninep_size_p_ropen(&reply), &b);
    if (f) {
        ninep_put_p_ropen(&b, &reply);
        ninep__fsend(op, f, &b);
    }
}

static void opened(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->fid->attr = r->open.attr;
    op->fid->open = true;
    op->fid->remove_on_clunk = op->mode & ORCLOSE;
    send_open(op, &r->open.attr);
}

static void do_open(struct ninep__fop *op)
{
    union ninep_tmsg t = {.open = {.fid = op->fid->fid, .flags = open_flags(op->mode)}};
    ninep__fcall(op, NINEP_TOPEN, &t, 0, opened);
}

/* To remove on close one must be allowed to remove. */
static void open_if_removable(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                              const char *detail)
{
    (void)r;
    if (e) {
        ninep__ferror(op, e, detail);
    } else if (!(op->dir_rights & NINEP_RIGHTS_WRITE)) {
        ninep__ferror(op, CG_EPERM, "the file may not be removed");
    } else {
        do_open(op);
    }
}

static void open_file(struct ninep__fop *op)
{
    struct ninep_p_topen p;
    ninep_get_p_topen(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    op->mode = p.mode;
    if (!(p.mode & ORCLOSE)) {
        do_open(op);
    } else if (S_ISDIR(op->fid->attr.mode)) {
        ninep__ferror(op, CG_EISDIR, "");
    } else {
        ninep__fwalk_parent(op, open_if_removable);
    }
}

static void created(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    struct ninep_attr a = r->create.attr;
    ninep__fbecome(op, op->names.name[0], &a);
    op->fid->remove_on_clunk = op->mode & ORCLOSE;
    send_open(op, &a);
}

/* A new file has no permissions that its folder has not: of a file's, execution is not masked. */
static void create_in(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    bool dir = op->perm & DMDIR;
    uint32_t mask = dir ? 0777 : 0666, folder = r->getattr.attr.mode;
    op->number = ninep__ffid_number(op->f);
    union ninep_tmsg t = {
        .create = {.fid = op->fid->fid,
                   .newfid = op->number,
                   .flags = open_flags(op->mode) | NINEP_OPEN_EXCL,
                   .mode = (op->perm & 0777 & (~mask | folder)) | (dir ? S_IFDIR : S_IFREG),
                   .name = op->names.name[0]}};
    ninep__fcall(op, NINEP_TCREATE, &t, 0, created);
}

static void create(struct ninep__fop *op)
{
    struct ninep_p_tcreate p;
    ninep_get_p_tcreate(&op->body, &p);
    bool plain = (p.perm & ~(DMDIR | DMTMP | 0777)) == 0;
    bool dir_written = p.perm & DMDIR && (p.mode & (3 | OTRUNC | ORCLOSE)) != OREAD;
    if (op->body.bad || !plain || dir_written) {
        ninep__ferror(op,
                      op->body.bad  ? CG_EPROTO
                      : dir_written ? CG_EISDIR
                                    : CG_EOPNOTSUPP,
                      plain ? "" : "append-only, exclusive and other kinds are not made");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    op->names = (struct ninep_names){.count = 1, .name = {p.name}};
    op->perm = p.perm;
    op->mode = p.mode;
    union ninep_tmsg t = {.getattr = {.fid = op->fid->fid}};
    ninep__fcall(op, NINEP_TGETATTR, &t, 0, create_in);
}

/* ---- stat records ---- */

struct owner {
    char text[24];
};

/* Users of the host are their numbers; keys of users are their short ids. */
static struct cg_span owner_name(uint64_t principal, struct owner *out)
{
    static const char digits[] = "0123456789abcdef";
    bool host = principal >> 63;
    uint64_t base = host ? 10 : 16, v = host ? principal & UINT32_MAX : principal;
    size_t at = sizeof out->text;
    do {
        out->text[--at] = digits[v % base];
        v /= base;
    } while (v);
    return (struct cg_span){(const uint8_t *)out->text + at, (uint32_t)(sizeof out->text - at)};
}

static void put_stat(struct ninep__foreign *f, struct cg_buf *b, const struct ninep_attr *a,
                     struct cg_span name)
{
    struct owner uid, gid;
    struct ninep_stat s = {.qid = ninep__fqid(f, a),
                           .mode = (a->mode & 0777) | (S_ISDIR(a->mode) ? DMDIR : 0),
                           .atime = (uint32_t)(a->atime / NS),
                           .mtime = (uint32_t)(a->mtime / NS),
                           .length = S_ISDIR(a->mode) ? 0 : a->size,
                           .name = name,
                           .uid = owner_name(a->owner, &uid),
                           .gid = owner_name(a->group, &gid)};
    s.mode |= a->id.type & NINEP_QTYPE_APPEND ? DMAPPEND : 0;
    s.mode |= a->id.type & NINEP_QTYPE_EXCLUSIVE ? DMEXCL : 0;
    cg_put_u16(b, (uint16_t)ninep_size_stat(&s));
    ninep_put_stat(b, &s);
}

enum { STAT_BYTES_MAX = 2 + 49 + 255 + 2 * 24 };

static void stat_known(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                       const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    op->fid->attr = r->getattr.attr;
    struct cg_buf b;
    struct ninep_frame *f = ninep__freply(op, 2 + STAT_BYTES_MAX, &b);
    if (!f) {
        return;
    }
    cg_put_u16(&b, 0);
    put_stat(op->f, &b, &r->getattr.attr, cg_span_of(ninep__ffid_name(op->fid)));
    struct cg_buf size = cg_buf_writer(b.base, 2);
    cg_put_u16(&size, (uint16_t)(b.pos - 2));
    ninep__fsend(op, f, &b);
}

static void stat_file(struct ninep__fop *op)
{
    struct ninep_p_tstat p;
    ninep_get_p_tstat(&op->body, &p);
    if (op->body.bad) {
        ninep__ferror(op, CG_EPROTO, "malformed");
    } else if (ninep__ffid_take(op, p.fid)) {
        union ninep_tmsg t = {.getattr = {.fid = op->fid->fid}};
        ninep__fcall(op, NINEP_TGETATTR, &t, 0, stat_known);
    }
}

/* ---- directories: whole records, from the start or where the last read ended ---- */

static void dir_read(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (e) {
        ninep__ferror(op, e, detail);
        return;
    }
    struct cg_buf it = ninep_list_iter(&r->readdir.entries), b;
    struct ninep_frame *f = ninep__freply(op, 4 + op->count, &b);
    if (!f) {
        return;
    }
    cg_put_u32(&b, 0);
    bool none = true;
    for (uint16_t i = 0; i < r->readdir.entries.count; i++) {
        struct ninep_entry entry;
        ninep_get_entry(&it, &entry);
        struct cg_buf before = b;
        put_stat(op->f, &b, &entry.attr, entry.name);
        if (b.bad) {
            b = before;
            break;
        }
        op->fid->dir_cookie = entry.cookie;
        none = false;
    }
    if (none && r->readdir.entries.count) {
        ninep_frame_free(f);
        ninep__ferror(op, CG_ERANGE, "the read is too small for one record");
        return;
    }
    op->fid->dir_offset = op->offset + b.pos - 4;
    struct cg_buf size = cg_buf_writer(b.base, 4);
    cg_put_u32(&size, (uint32_t)b.pos - 4);
    ninep__fsend(op, f, &b);
}

void ninep__fread_dir_p(struct ninep__fop *op)
{
    enum { ENTRIES_BYTES_MAX = 65536, ENTRIES_BYTES_MIN = 1024 };
    struct ninep__ffid *ff = op->fid;
    if (!ff->open) {
        ninep__ferror(op, CG_EBADF, "the directory is not open");
        return;
    }
    if (op->offset == 0) {
        ff->dir_cookie = ff->dir_offset = 0;
    }
    if (op->offset != ff->dir_offset) {
        ninep__ferror(op, CG_EINVAL,
                      "a directory is read from its start, or on from the last read");
        return;
    }
    uint32_t count = op->count < ENTRIES_BYTES_MIN   ? ENTRIES_BYTES_MIN
                     : op->count > ENTRIES_BYTES_MAX ? ENTRIES_BYTES_MAX
                                                     : op->count;
    union ninep_tmsg t = {.readdir = {.fid = ff->fid, .cookie = ff->dir_cookie, .count = count}};
    ninep__fcall(op, NINEP_TREADDIR, &t, 0, dir_read);
}

/* ---- wstat: attributes first, then the name ---- */

static void renamed(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    if (!e) {
        ninep__ffids_moved(op);
    }
    ninep__fdone(op, e, r, detail);
}

static void rename_in_parent(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                             const char *detail)
{
    char *parent = e ? NULL : ninep__fparent(op->fid);
    if (!parent) {
        ninep__fdone(op, e ? e : CG_ENOMEM, r, detail);
        return;
    }
    op->from = cg_strdup(op->fid->path);
    op->to = ninep__fjoin(parent, op->stat.name);
    cg_free(parent);
    union ninep_tmsg t = {.rename = {.fid = op->tmp,
                                     .newfid = op->tmp,
                                     .flags = NINEP_RENAMEFLAG_NOREPLACE,
                                     .name = cg_span_of(ninep__ffid_name(op->fid)),
                                     .newname = op->stat.name}};
    ninep__fcall(op, NINEP_TRENAME, &t, 0, renamed);
}

static void attrs_set(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    bool rename = op->stat.name.len && !cg_span_is(op->stat.name, ninep__ffid_name(op->fid));
    if (e || !rename) {
        ninep__fdone(op, e, r, detail);
    } else {
        ninep__fwalk_parent(op, rename_in_parent);
    }
}

static struct ninep_tsetattr changes(const struct ninep__fop *op)
{
    const struct ninep_stat *s = &op->stat;
    struct ninep_tsetattr t = {.fid = op->fid->fid,
                               .mode = s->mode & 0777,
                               .size = s->length,
                               .atime = (int64_t)s->atime * NS,
                               .mtime = (int64_t)s->mtime * NS};
    t.valid = (s->mode != UINT32_MAX ? NINEP_SETATTR_MODE : 0) |
              (s->length != UINT64_MAX ? NINEP_SETATTR_SIZE : 0) |
              (s->atime != UINT32_MAX ? NINEP_SETATTR_ATIME : 0) |
              (s->mtime != UINT32_MAX ? NINEP_SETATTR_MTIME : 0);
    return t;
}

/* What a Twstat must not say; the kind of a file is told by the high bits of its mode. */
static const char *refusal(const struct ninep__fop *op)
{
    const struct ninep_stat *s = &op->stat;
    uint32_t kind = S_ISDIR(op->fid->attr.mode) ? DMDIR : 0;
    kind |= op->fid->attr.id.type & NINEP_QTYPE_APPEND ? DMAPPEND : 0;
    kind |= op->fid->attr.id.type & NINEP_QTYPE_EXCLUSIVE ? DMEXCL : 0;
    return s->uid.len || s->gid.len || s->muid.len ? "owners are not changed through 9P2000"
           : s->mode != UINT32_MAX && (s->mode & ~(DMTMP | 0777)) != kind
               ? "a file's kind is not changed"
               : NULL;
}

static void wstat(struct ninep__fop *op)
{
    struct ninep_p_twstat p;
    ninep_get_p_twstat(&op->body, &p);
    struct cg_buf b = cg_buf_reader(p.stat.data, p.stat.len);
    uint16_t size = cg_get_u16(&b);
    ninep_get_stat(&b, &op->stat);
    if (op->body.bad || b.bad || size != p.stat.len - 2) {
        ninep__ferror(op, CG_EPROTO, "malformed");
        return;
    }
    if (!ninep__ffid_take(op, p.fid)) {
        return;
    }
    const char *why = refusal(op);
    if (why) {
        ninep__ferror(op, CG_EPERM, why);
        return;
    }
    union ninep_tmsg t = {.setattr = changes(op)};
    if (t.setattr.valid) {
        ninep__fcall(op, NINEP_TSETATTR, &t, 0, attrs_set);
    } else if (op->stat.name.len) {
        attrs_set(op, CG_OK, NULL, "");
    } else { /* nothing to change: the manual's way to ask for durability */
        t = (union ninep_tmsg){.fsync = {.fid = op->fid->fid}};
        ninep__fcall(op, NINEP_TFSYNC, &t, 0, ninep__fdone);
    }
}

void ninep__fdialect_p(struct ninep__fop *op)
{
    switch (op->type) {
    case NINEP_P_TOPEN:
        open_file(op);
        break;
    case NINEP_P_TCREATE:
        create(op);
        break;
    case NINEP_P_TSTAT:
        stat_file(op);
        break;
    case NINEP_P_TWSTAT:
        wstat(op);
        break;
    default:
        ninep__ferror(op, CG_EUNKNOWNMSG, "");
    }
}
