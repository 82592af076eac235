/* Synthetic trees: the callbacks of the server framework over a table of kinds.
 *
 * A fid's aux is its handle. The identity of a file is {volume of this server, kind * 2^48 +
 * number}. A listing's cookie is kind * 2^48 + the cursor of that kind (1 for a fixed name), so
 * that it says where to go on.
 */
#include <cognu/synth.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ID_BITS = 48 };
/* With this bit a principal is a user number of this host. */
#define HOST_USER (UINT64_C(1) << 63)

struct synth {
    const struct synth_kind *kinds;
    uint16_t count;
    const struct cg_env *env;
    void *aux;
    uint64_t volume;
    uint64_t changes; /* every look is another moment */
    int64_t started_ns;
};

static uint16_t kind_number(const struct synth *s, const struct synth_kind *k)
{
    return (uint16_t)(k - s->kinds);
}

static bool is_dir(const struct synth_kind *k)
{
    return S_ISDIR(k->mode);
}

static struct ninep_xqid identity(struct synth *s, const struct synth_kind *k, uint64_t id)
{
    return (struct ninep_xqid){.volume = s->volume,
                               .file = (uint64_t)kind_number(s, k) << ID_BITS | id,
                               .type = NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_NOCACHE | k->qtype,
                               .change = ++s->changes};
}

bool synth_is_host(const struct ninep_fid *fid)
{
    return fid->principal == HOST_USER || fid->principal == (HOST_USER | geteuid());
}

static uint8_t rights_of(struct synth_handle *h, uint64_t owner)
{
    uint32_t mode = h->kind->mode;
    bool own = h->fid->principal == owner || synth_is_host(h->fid);
    return (uint8_t)((own ? mode >> 6 : mode) & 7);
}

void synth_attr(struct synth_handle *h, struct ninep_attr *a)
{
    struct synth *s = h->synth;
    int64_t now = (int64_t)s->env->wall_ns(s->env->ctx);
    uint64_t owner = h->kind->owner ? h->kind->owner(h) : h->fid->principal;
    *a = (struct ninep_attr){.id = identity(s, h->kind, h->id),
                             .mode = h->kind->mode,
                             .nlink = 1,
                             .owner = owner,
                             .group = owner,
                             .size = h->kind->size ? h->kind->size(h) : 0,
                             .atime = now,
                             .mtime = now,
                             .ctime = now,
                             .btime = s->started_ns,
                             .blksize = 4096,
                             .rights = rights_of(h, owner) & h->fid->rights,
                             .flags = NINEP_ATTRFLAG_NO_XATTR | NINEP_ATTRFLAG_NO_ACL};
}

struct synth_handle *synth_handle_of(const struct ninep_fid *fid)
{
    return fid->aux;
}

static void held(struct synth_handle *h, bool more)
{
    const struct synth_kind *root = &h->synth->kinds[0];
    if (h->kind == root && root->held) {
        root->held(h->synth, h->id, more);
    }
}

static cg_err new_handle(struct synth *s, struct ninep_fid *fid, const struct synth_kind *k,
                         uint64_t id)
{
    struct synth_handle *h = cg_zalloc(sizeof *h);
    if (!h) {
        return CG_ENOMEM;
    }
    *h = (struct synth_handle){.synth = s, .kind = k, .id = id, .fid = fid};
    fid->aux = h;
    fid->id = identity(s, k, id);
    held(h, true);
    return CG_OK;
}

static void attach(struct ninep_req *r)
{
    struct synth *s = r->server_aux;
    char tree[SYNTH_NAME_BYTES];
    uint64_t id = 0;
    cg_err e = CG_OK;
    if (s->kinds[0].find && r->t.attach.tree.len > 0) {
        e = cg_span_str(r->t.attach.tree, tree, sizeof tree) ? s->kinds[0].find(s, 0, tree, &id)
                                                             : CG_ENAMETOOLONG;
    }
    e = e ? e : new_handle(s, r->fid, &s->kinds[0], id);
    if (!e) {
        synth_attr(r->fid->aux, &r->r.attach.attr);
    }
    ninep_respond(r, e);
}

static cg_err clone_fid(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    struct synth_handle *h = from->aux;
    return new_handle(h->synth, to, h->kind, h->id);
}

static cg_err find_in(struct synth_handle *dir, const char *name, const struct synth_kind **kind,
                      uint64_t *id)
{
    struct synth *s = dir->synth;
    uint16_t parent = kind_number(s, dir->kind);
    for (uint16_t i = 1; i < s->count; i++) {
        const struct synth_kind *k = &s->kinds[i];
        if (k->parent != parent) {
            continue;
        }
        *kind = k;
        if (k->name && strcmp(k->name, name) == 0) {
            *id = dir->id;
            return CG_OK;
        }
        if (!k->name && k->find && k->find(s, dir->id, name, id) == CG_OK) {
            return CG_OK;
        }
    }
    return CG_ENOENT;
}

static cg_err walk1(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                    struct cg_errbuf *eb)
{
    struct synth_handle *h = fid->aux;
    char text[SYNTH_NAME_BYTES];
    if (!is_dir(h->kind)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    const struct synth_kind *kind = NULL;
    uint64_t id = 0;
    if (!cg_span_str(name, text, sizeof text) || find_in(h, text, &kind, &id)) {
        return cg_fail(eb, CG_ENOENT, "no '%.*s' here", (int)name.len, (const char *)name.data);
    }
    held(h, false);
    h->kind = kind;
    h->id = id;
    fid->id = identity(h->synth, kind, id);
    synth_attr(h, attr);
    return CG_OK;
}

static void clunk(struct ninep_fid *fid)
{
    struct synth_handle *h = fid->aux;
    if (!h) {
        return;
    }
    if (fid->open && h->kind->close) {
        h->kind->close(h);
    }
    held(h, false);
    cg_str_fini(&h->text);
    cg_free(h);
    fid->aux = NULL;
}

void synth_opened(struct synth_handle *h, struct ninep_req *r)
{
    r->fid->id = identity(h->synth, h->kind, h->id);
    synth_attr(h, &r->r.open.attr);
    ninep_respond(r, CG_OK);
}

static cg_err may_open(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    static const uint8_t access[] = {[NINEP_OPEN_READ] = NINEP_RIGHTS_READ,
                                     [NINEP_OPEN_WRITE] = NINEP_RIGHTS_WRITE,
                                     [NINEP_OPEN_RDWR] = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE,
                                     [3] = NINEP_RIGHTS_READ};
    uint64_t owner = h->kind->owner ? h->kind->owner(h) : h->fid->principal;
    uint8_t missing = access[flags & 3] & ~rights_of(h, owner);
    if (!missing) {
        return CG_OK;
    }
    if (~h->kind->mode >> 6 & missing) {
        return cg_fail(eb, CG_EACCES, "this file is only %s",
                       missing & NINEP_RIGHTS_READ ? "written" : "read");
    }
    return cg_fail(eb, CG_EACCES, "this file belongs to another user");
}

static void open_file(struct ninep_req *r)
{
    struct synth_handle *h = r->fid->aux;
    cg_err e = may_open(h, r->t.open.flags, &r->eb);
    if (e) {
        ninep_respond(r, e);
        return;
    }
    if (h->kind->open_later) {
        h->kind->open_later(h, r);
        return;
    }
    e = h->kind->open ? h->kind->open(h, r->t.open.flags, &r->eb) : CG_OK;
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_opened(h, r);
    }
}

static void create(struct ninep_req *r)
{
    struct synth_handle *dir = r->fid->aux;
    char name[SYNTH_NAME_BYTES];
    uint16_t kind = 0;
    uint64_t id = 0;
    if (!dir->kind->create || !r->newfid) {
        ninep_respond(r, cg_fail(&r->eb, CG_EPERM, "files cannot be made here"));
        return;
    }
    if (!cg_span_str(r->t.create.name, name, sizeof name)) {
        ninep_respond(r, CG_ENAMETOOLONG);
        return;
    }
    const struct synth_kind *there;
    bool exists = find_in(dir, name, &there, &id) == CG_OK;
    cg_err e = CG_OK;
    if (exists && r->t.create.flags & NINEP_OPEN_EXCL) {
        e = CG_EEXIST;
    } else if (exists) {
        kind = kind_number(dir->synth, there);
    } else {
        e = dir->kind->create(dir, name, r->t.create.mode, &kind, &id, &r->eb);
    }
    e = e ? e : new_handle(dir->synth, r->newfid, &dir->synth->kinds[kind], id);
    struct synth_handle *h = r->newfid->aux;
    e = e || !exists ? e : may_open(h, r->t.create.flags, &r->eb);
    if (!e && h->kind->open) {
        e = h->kind->open(h, r->t.create.flags | NINEP_OPEN_TRUNC, &r->eb);
    }
    if (!e) {
        synth_attr(h, &r->r.create.attr);
        synth_attr(dir, &r->r.create.dir);
        r->r.create.created = !exists;
    }
    ninep_respond(r, e);
}

static cg_err make_text(struct synth_handle *h, struct cg_errbuf *eb)
{
    h->text.len = 0;
    cg_err e = h->kind->text(h, &h->text, eb);
    if (!e && h->text.len > SYNTH_TEXT_BYTES_MAX) {
        e = cg_fail(eb, CG_EFBIG, "the text would have more than %d bytes", SYNTH_TEXT_BYTES_MAX);
    }
    h->text_made = !e;
    return e;
}

static void read_file(struct ninep_req *r)
{
    struct synth_handle *h = r->fid->aux;
    if (h->kind->read) {
        h->kind->read(h, r);
        return;
    }
    if (!h->kind->text) {
        ninep_respond(r, cg_fail(&r->eb, CG_EPERM, "this file is only written"));
        return;
    }
    uint64_t offset = r->t.read.offset;
    if (!h->text_made || offset == 0) {
        cg_err e = make_text(h, &r->eb);
        if (e) {
            ninep_respond(r, e);
            return;
        }
    }
    uint64_t left = offset < h->text.len ? h->text.len - offset : 0;
    uint32_t n = left < r->data_cap ? (uint32_t)left : r->data_cap;
    if (n) {
        memcpy(r->data, h->text.data + offset, n);
    }
    r->r.read.data.len = n;
    r->r.read.eof = n == left;
    ninep_respond(r, CG_OK);
}

void synth_wrote(struct ninep_req *r)
{
    struct synth_handle *h = r->fid->aux;
    h->text_made = false;
    r->r.write.count = r->t.write.data.len;
    synth_attr(h, &r->r.write.attr);
    ninep_respond(r, CG_OK);
}

static void write_file(struct ninep_req *r)
{
    struct synth_handle *h = r->fid->aux;
    if (h->kind->write) {
        h->kind->write(h, r);
        return;
    }
    if (!h->kind->line) {
        ninep_respond(r, cg_fail(&r->eb, CG_EPERM, "this file is only read"));
        return;
    }
    cg_err e = h->kind->line(h, r->t.write.data, &r->eb);
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

/* Adds one child; false when the reply is full. */
static bool add_child(struct ninep_req *r, struct synth_handle *dir, const struct synth_kind *k,
                      uint64_t id, const char *name, uint64_t cursor)
{
    struct synth_handle child = {.synth = dir->synth, .kind = k, .id = id, .fid = r->fid};
    struct ninep_attr attr;
    synth_attr(&child, &attr);
    uint64_t cookie = (uint64_t)kind_number(dir->synth, k) << ID_BITS | cursor;
    return ninep_dir_add(r, cookie, cg_span_of(name), &attr, NULL, 0);
}

static bool list_named_by_server(struct ninep_req *r, struct synth_handle *dir,
                                 const struct synth_kind *k, uint64_t after)
{
    char name[SYNTH_NAME_BYTES];
    uint64_t id = 0;
    while (k->each(dir->synth, dir->id, &after, name, &id)) {
        if (!add_child(r, dir, k, id, name, after)) {
            return false;
        }
    }
    return true;
}

static void readdir(struct ninep_req *r)
{
    struct synth_handle *dir = r->fid->aux;
    struct synth *s = dir->synth;
    if (!is_dir(dir->kind)) {
        ninep_respond(r, CG_ENOTDIR);
        return;
    }
    uint16_t parent = kind_number(s, dir->kind);
    uint64_t first = r->t.readdir.cookie >> ID_BITS;
    uint64_t after = r->t.readdir.cookie & (((uint64_t)1 << ID_BITS) - 1);
    bool fits = true;
    for (uint64_t i = first ? first : 1; fits && i < s->count; i++) {
        const struct synth_kind *k = &s->kinds[i];
        uint64_t skip = i == first ? after : 0;
        if (k->parent != parent) {
            continue;
        }
        if (!k->name) {
            fits = !k->each || list_named_by_server(r, dir, k, skip);
        } else if (!skip) {
            fits = add_child(r, dir, k, dir->id, k->name, 1);
        }
    }
    r->r.readdir.eof = fits;
    synth_attr(dir, &r->r.readdir.dir);
    ninep_respond(r, CG_OK);
}

static void remove_name(struct ninep_req *r)
{
    struct synth_handle *dir = r->fid->aux;
    char name[SYNTH_NAME_BYTES];
    if (!dir->kind->remove || !cg_span_str(r->t.remove.name, name, sizeof name)) {
        ninep_respond(r, cg_fail(&r->eb, CG_EPERM, "files cannot be removed here"));
        return;
    }
    cg_err e = dir->kind->remove(dir, name, &r->eb);
    if (!e) {
        synth_attr(dir, &r->r.remove.dir);
    }
    ninep_respond(r, e);
}

static void getattr(struct ninep_req *r)
{
    synth_attr(r->fid->aux, &r->r.getattr.attr);
    ninep_respond(r, CG_OK);
}

/* Times mean nothing here and are granted, so that `touch file` works; owner and mode are the
 * kind's. */
static void setattr(struct ninep_req *r)
{
    uint32_t harmless = NINEP_SETATTR_SIZE | NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME |
                        NINEP_SETATTR_ATIME_NOW | NINEP_SETATTR_MTIME_NOW;
    if (r->t.setattr.valid & ~harmless) {
        ninep_respond(r, cg_fail(&r->eb, CG_EPERM, "a synthetic file keeps its mode and owner"));
        return;
    }
    struct synth_handle *h = r->fid->aux;
    cg_err e = CG_OK;
    if (r->t.setattr.valid & NINEP_SETATTR_SIZE && h->kind->resize) {
        e = may_open(h, NINEP_OPEN_WRITE, &r->eb);
        e = e ? e : h->kind->resize(h, r->t.setattr.size, &r->eb);
        h->text_made = false;
    }
    if (!e) {
        synth_attr(h, &r->r.setattr.attr);
    }
    ninep_respond(r, e);
}

static void fsync_file(struct ninep_req *r)
{
    ninep_respond(r, CG_OK);
}

static void statfs_tree(struct ninep_req *r)
{
    enum { STATFS_TYPE = 0x01021997 }; /* V9FS_MAGIC of Linux: what 9P trees say they are */
    r->r.statfs = (struct ninep_rstatfs){.type = STATFS_TYPE, .bsize = 4096, .namelen = 255};
    ninep_respond(r, CG_OK);
}

static void cancel(struct ninep_req *r)
{
    struct synth_handle *h = r->fid ? r->fid->aux : NULL;
    if (h && h->kind->cancel) {
        h->kind->cancel(h, r);
    }
}

const struct ninep_ops synth_ops = {
    .attach = attach,
    .clone = clone_fid,
    .walk1 = walk1,
    .clunk = clunk,
    .open = open_file,
    .create = create,
    .read = read_file,
    .write = write_file,
    .readdir = readdir,
    .remove = remove_name,
    .getattr = getattr,
    .setattr = setattr,
    .fsync = fsync_file,
    .statfs = statfs_tree,
    .cancel = cancel,
};

cg_err synth_new(const struct synth_kind *kinds, uint16_t count, const struct cg_env *env,
                 void *aux, struct synth **out)
{
    cg_assert(count > 0 && count <= SYNTH_KINDS_MAX && is_dir(&kinds[0]));
    struct synth *s = cg_zalloc(sizeof *s);
    if (!s) {
        return CG_ENOMEM;
    }
    *s = (struct synth){.kinds = kinds, .count = count, .env = env, .aux = aux};
    env->random(env->ctx, &s->volume, sizeof s->volume);
    s->started_ns = (int64_t)env->wall_ns(env->ctx);
    *out = s;
    return CG_OK;
}

void synth_free(struct synth *s)
{
    cg_free(s);
}

void *synth_aux(struct synth *s)
{
    return s->aux;
}

const struct synth_kind *synth_kind_of(struct synth *s, uint16_t kind)
{
    cg_assert(kind < s->count);
    return &s->kinds[kind];
}
