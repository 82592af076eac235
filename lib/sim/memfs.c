/* memfs: a file server in memory for tests: small, obvious, and able to answer late.
 *
 * A directory is a list of entries that name nodes; a node lives while an entry or a fid refers to
 * it. Each request is one function that does it whole; deferred requests run the same function
 * later. Limits: a file has at most FILE_BYTES_MAX bytes.
 */
#include <cognu/sim.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20, RIGHTS_ALL = 7, COOKIE_FIRST = 1 };

struct node {
    uint64_t number, change;
    uint32_t refs, mode, nlink;
    struct cg_list entries; /* a directory's, oldest first */
    struct cg_str data;     /* a file's contents, a symbolic link's target */
    struct memfs *fs;
};

struct entry {
    struct cg_list link;
    uint64_t cookie; /* grows, so that a listing goes on where it was */
    struct node *node;
    char name[NINEP_NAME_BYTES_MAX + 1];
};

struct memfs {
    const struct cg_env *env;
    struct node *root;
    uint64_t last_number, last_cookie, mutations;
    uint32_t fids, nodes;
    bool (*later)(void *ctx, struct ninep_req *r);
    void *later_ctx;
};

/* ---- nodes ---- */

static struct node *node_new(struct memfs *fs, uint32_t mode)
{
    struct node *n = cg_zalloc(sizeof *n);
    if (n) {
        n->number = ++fs->last_number;
        n->refs = 1;
        n->mode = mode;
        n->nlink = S_ISDIR(mode) ? 2 : 0;
        n->fs = fs;
        cg_list_init(&n->entries);
        fs->nodes++;
    }
    return n;
}

static void node_put(struct node *n)
{
    if (--n->refs == 0) {
        cg_assert(cg_list_empty(&n->entries));
        n->fs->nodes--;
        cg_str_fini(&n->data);
        cg_free(n);
    }
}

static void touch(struct node *n)
{
    n->change++;
}

static struct ninep_xqid id_of(const struct node *n)
{
    return (struct ninep_xqid){.volume = 1, .file = n->number, .change = n->change};
}

static void attr_of(const struct node *n, struct ninep_attr *a)
{
    *a = (struct ninep_attr){.id = id_of(n),
                             .mode = n->mode,
                             .nlink = n->nlink,
                             .size = n->data.len,
                             .blksize = 4096,
                             .rights = RIGHTS_ALL,
                             .flags = NINEP_ATTRFLAG_NO_XATTR | NINEP_ATTRFLAG_NO_ACL};
}

static struct entry *lookup(const struct node *dir, struct cg_span name)
{
    CG_LIST_EACH (it, &dir->entries) {
        struct entry *en = CG_CONTAINER(it, struct entry, link);
        if (cg_span_is(name, en->name)) {
            return en;
        }
    }
    return NULL;
}

static struct entry *entry_add(struct node *dir, struct cg_span name, struct node *n)
{
    struct entry *en = cg_zalloc(sizeof *en);
    if (en) {
        bool fits = cg_span_str(name, en->name, sizeof en->name);
        cg_assert(fits);
        en->node = n;
        en->cookie = ++dir->fs->last_cookie;
        n->refs++;
        n->nlink++;
        touch(n);
        cg_list_push(&dir->entries, &en->link);
        touch(dir);
    }
    return en;
}

static void entry_del(struct node *dir, struct entry *en)
{
    struct node *n = en->node;
    cg_list_del(&en->link);
    cg_free(en);
    n->nlink -= S_ISDIR(n->mode) ? n->nlink : 1;
    touch(n);
    touch(dir);
    node_put(n);
}

static struct node *node_of(const struct ninep_fid *f)
{
    return f->aux;
}

static cg_err set_size(struct node *n, uint64_t size)
{
    if (size > FILE_BYTES_MAX) {
        return CG_EFBIG;
    }
    static const char zeros[4096];
    while (n->data.len < size) {
        uint64_t more = size - n->data.len;
        cg_err e = cg_str_add(&n->data, zeros, more < sizeof zeros ? more : sizeof zeros);
        if (e != CG_OK) {
            return e;
        }
    }
    n->data.len = size;
    return CG_OK;
}

static cg_err write_at(struct node *n, uint64_t offset, struct cg_span data)
{
    uint64_t end = offset + data.len;
    if (offset > FILE_BYTES_MAX || end > FILE_BYTES_MAX) {
        return CG_EFBIG;
    }
    if (end > n->data.len) {
        uint64_t was = n->data.len;
        cg_err e = set_size(n, end);
        if (e != CG_OK) {
            n->data.len = was;
            return e;
        }
    }
    if (data.len > 0) {
        memcpy(n->data.data + offset, data.data, data.len);
    }
    touch(n);
    return CG_OK;
}

/* ---- fids ---- */

static void fid_set(struct ninep_fid *f, struct node *n)
{
    f->aux = n;
    f->id = id_of(n);
    n->refs++;
}

static cg_err fs_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    fid_set(to, node_of(from));
    node_of(to)->fs->fids++;
    return CG_OK;
}

static void fs_clunk(struct ninep_fid *f)
{
    struct node *n = node_of(f);
    cg_assert(n && n->fs->fids > 0);
    n->fs->fids--;
    f->aux = NULL;
    node_put(n);
}

static cg_err fs_walk1(struct ninep_fid *f, struct cg_span name, struct ninep_attr *attr,
                       struct cg_errbuf *eb)
{
    struct node *dir = node_of(f);
    struct entry *en = lookup(dir, name);
    if (!en) {
        return cg_fail(eb, CG_ENOENT, "\"%.*s\" is not there", (int)name.len, name.data);
    }
    fid_set(f, en->node);
    node_put(dir);
    attr_of(en->node, attr);
    return CG_OK;
}

static cg_err fs_ident(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id)
{
    struct entry *en = lookup(node_of(dir), name);
    if (en) {
        *id = id_of(en->node);
    }
    return en ? CG_OK : CG_ENOENT;
}

static cg_err fs_slurp(struct ninep_fid *f, uint8_t *data, uint32_t cap, uint32_t *len)
{
    struct node *n = node_of(f);
    *len = n->data.len > cap ? UINT32_MAX : (uint32_t)n->data.len;
    if (n->data.len > 0 && n->data.len <= cap) {
        memcpy(data, n->data.data, n->data.len);
    }
    return CG_OK;
}

/* ---- requests ---- */

static cg_err do_attach(struct ninep_req *r)
{
    struct memfs *fs = r->server_aux;
    fid_set(r->fid, fs->root);
    fs->fids++;
    attr_of(fs->root, &r->r.attach.attr);
    return CG_OK;
}

static cg_err do_open(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    if (r->t.open.flags & NINEP_OPEN_TRUNC) {
        n->data.len = 0;
        touch(n);
        n->fs->mutations++;
    }
    attr_of(n, &r->r.open.attr);
    return CG_OK;
}

static cg_err create_existing(struct ninep_req *r, struct node *n)
{
    const struct ninep_tcreate *t = &r->t.create;
    if (t->flags & NINEP_OPEN_EXCL) {
        return CG_EEXIST;
    }
    if (!S_ISREG(n->mode)) {
        return S_ISDIR(n->mode) ? CG_EISDIR : CG_ELOOP;
    }
    if (t->flags & NINEP_OPEN_TRUNC) {
        n->data.len = 0;
        touch(n);
        n->fs->mutations++;
    }
    return CG_OK;
}

static cg_err do_create(struct ninep_req *r)
{
    const struct ninep_tcreate *t = &r->t.create;
    struct node *dir = node_of(r->fid), *n;
    struct entry *en = lookup(dir, t->name);
    if (en) {
        cg_err e = create_existing(r, en->node);
        if (e != CG_OK) {
            return e;
        }
        n = en->node;
        n->refs++;
    } else {
        n = node_new(dir->fs, t->mode);
        if (!n) {
            return CG_ENOMEM;
        }
        if ((S_ISLNK(t->mode) && cg_str_add(&n->data, t->target.data, t->target.len) != CG_OK) ||
            !entry_add(dir, t->name, n)) {
            node_put(n);
            return CG_ENOMEM;
        }
        n->nlink -= S_ISDIR(n->mode) ? 1 : 0; /* made with two */
        dir->fs->mutations++;
        r->r.create.created = 1;
    }
    if (r->newfid) {
        fid_set(r->newfid, n);
        dir->fs->fids++;
    }
    attr_of(n, &r->r.create.attr);
    attr_of(dir, &r->r.create.dir);
    node_put(n);
    return CG_OK;
}

static cg_err do_read(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    uint64_t at = r->t.read.offset, left = at < n->data.len ? n->data.len - at : 0;
    uint32_t len = left < r->data_cap ? (uint32_t)left : r->data_cap;
    if (len > 0) {
        memcpy(r->data, n->data.data + at, len);
    }
    r->r.read.data.len = len;
    r->r.read.eof = at + len >= n->data.len;
    return CG_OK;
}

static cg_err do_write(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    bool append = r->fid->open_flags & NINEP_OPEN_APPEND;
    cg_err e = write_at(n, append ? n->data.len : r->t.write.offset, r->t.write.data);
    if (e == CG_OK) {
        n->fs->mutations++;
        r->r.write.count = r->t.write.data.len;
        attr_of(n, &r->r.write.attr);
    }
    return e;
}

static cg_err do_readdir(struct ninep_req *r)
{
    struct node *dir = node_of(r->fid);
    attr_of(dir, &r->r.readdir.dir);
    r->r.readdir.eof = 1;
    CG_LIST_EACH (it, &dir->entries) {
        struct entry *en = CG_CONTAINER(it, struct entry, link);
        if (en->cookie <= r->t.readdir.cookie) {
            continue;
        }
        struct ninep_attr a;
        attr_of(en->node, &a);
        uint32_t room = ninep_dir_inline_room(r);
        bool whole = room > 0 && S_ISREG(a.mode) && a.size <= room;
        const char *data = a.size > 0 ? en->node->data.data : "";
        if (!ninep_dir_add(r, en->cookie, cg_span_of(en->name), &a, whole ? data : NULL,
                           whole ? (uint32_t)a.size : 0)) {
            r->r.readdir.eof = 0;
            break;
        }
    }
    return CG_OK;
}

static cg_err do_remove(struct ninep_req *r)
{
    struct node *dir = node_of(r->fid);
    struct entry *en = lookup(dir, r->t.remove.name);
    if (!en) {
        return CG_ENOENT;
    }
    bool wants_dir = r->t.remove.flags & NINEP_REMOVEFLAG_DIR;
    if (S_ISDIR(en->node->mode) != wants_dir) {
        return wants_dir ? CG_ENOTDIR : CG_EISDIR;
    }
    if (!cg_list_empty(&en->node->entries)) {
        return CG_ENOTEMPTY;
    }
    entry_del(dir, en);
    dir->fs->mutations++;
    attr_of(dir, &r->r.remove.dir);
    return CG_OK;
}

/* Is n below, or the same as, what top holds? The tree is as deep as tests make it. */
static bool holds(const struct node *top, const struct node *n)
{
    if (top == n) {
        return true;
    }
    CG_LIST_EACH (it, &top->entries) {
        if (holds(CG_CONTAINER(it, struct entry, link)->node, n)) {
            return true;
        }
    }
    return false;
}

static cg_err rename_check(const struct ninep_req *r, const struct entry *from,
                           const struct entry *to)
{
    uint32_t flags = r->t.rename.flags;
    if (!from || ((flags & NINEP_RENAMEFLAG_EXCHANGE) && !to)) {
        return CG_ENOENT;
    }
    if ((flags & NINEP_RENAMEFLAG_NOREPLACE) && to) {
        return CG_EEXIST;
    }
    if (holds(from->node, node_of(r->newfid)) ||
        ((flags & NINEP_RENAMEFLAG_EXCHANGE) && holds(to->node, node_of(r->fid)))) {
        return CG_EINVAL;
    }
    if (to && !(flags & NINEP_RENAMEFLAG_EXCHANGE)) {
        bool a = S_ISDIR(from->node->mode), b = S_ISDIR(to->node->mode);
        if (a != b) {
            return b ? CG_EISDIR : CG_ENOTDIR;
        }
        return cg_list_empty(&to->node->entries) ? CG_OK : CG_ENOTEMPTY;
    }
    return CG_OK;
}

static cg_err do_rename(struct ninep_req *r)
{
    const struct ninep_trename *t = &r->t.rename;
    struct node *dir = node_of(r->fid), *newdir = node_of(r->newfid);
    struct entry *from = lookup(dir, t->name), *to = lookup(newdir, t->newname);
    cg_err e = rename_check(r, from, to);
    if (e != CG_OK) {
        return e;
    }
    struct node *n = from->node;
    if (t->flags & NINEP_RENAMEFLAG_EXCHANGE) {
        from->node = to->node;
        to->node = n;
        touch(from->node);
    } else if (!to || to->node != n) {
        if (to) {
            entry_del(newdir, to);
        }
        bool fits = cg_span_str(t->newname, from->name, sizeof from->name);
        cg_assert(fits);
        cg_list_del(&from->link);
        cg_list_push(&newdir->entries, &from->link);
        from->cookie = ++dir->fs->last_cookie;
    }
    touch(n);
    touch(dir);
    touch(newdir);
    dir->fs->mutations++;
    attr_of(dir, &r->r.rename.dir);
    attr_of(newdir, &r->r.rename.newdir);
    attr_of(n, &r->r.rename.attr);
    return CG_OK;
}

static cg_err do_link(struct ninep_req *r)
{
    struct node *n = node_of(r->fid), *dir = node_of(r->newfid);
    if (lookup(dir, r->t.link.name)) {
        return CG_EEXIST;
    }
    if (!entry_add(dir, r->t.link.name, n)) {
        return CG_ENOMEM;
    }
    dir->fs->mutations++;
    attr_of(n, &r->r.link.attr);
    attr_of(dir, &r->r.link.dir);
    return CG_OK;
}

static cg_err do_getattr(struct ninep_req *r)
{
    attr_of(node_of(r->fid), &r->r.getattr.attr);
    return CG_OK;
}

static cg_err do_setattr(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    const struct ninep_tsetattr *t = &r->t.setattr;
    if (t->valid & NINEP_SETATTR_SIZE) {
        cg_err e = S_ISREG(n->mode) ? set_size(n, t->size) : CG_EINVAL;
        if (e != CG_OK) {
            return e;
        }
    }
    if (t->valid & NINEP_SETATTR_MODE) {
        n->mode = (n->mode & S_IFMT) | (t->mode & 07777);
    }
    touch(n);
    n->fs->mutations++;
    attr_of(n, &r->r.setattr.attr);
    return CG_OK;
}

static cg_err do_readlink(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    if (!S_ISLNK(n->mode)) {
        return CG_EINVAL;
    }
    r->r.readlink.target =
        (struct cg_span){.data = (const uint8_t *)n->data.data, .len = (uint32_t)n->data.len};
    return CG_OK;
}

static cg_err do_fsync(struct ninep_req *r)
{
    (void)r;
    return CG_OK;
}

static cg_err do_put(struct ninep_req *r)
{
    const struct ninep_tput *t = &r->t.put;
    struct node *dir = node_of(r->fid);
    struct entry *en = lookup(dir, t->name);
    if (en && ((t->flags & NINEP_OPEN_EXCL) || S_ISDIR(en->node->mode))) {
        return S_ISDIR(en->node->mode) ? CG_EISDIR : CG_EEXIST;
    }
    struct node *n = node_new(dir->fs, S_IFREG | (t->mode & 07777));
    if (!n) {
        return CG_ENOMEM;
    }
    cg_err e = write_at(n, 0, t->data);
    if (e == CG_OK && !entry_add(dir, t->name, n)) {
        e = CG_ENOMEM;
    }
    if (e == CG_OK) {
        if (en) {
            entry_del(dir, en);
        }
        dir->fs->mutations++;
        attr_of(n, &r->r.put.attr);
        attr_of(dir, &r->r.put.dir);
    }
    node_put(n);
    return e;
}

/* ---- at once or later ---- */

static cg_err run(struct ninep_req *r)
{
    switch (r->type) {
    case NINEP_TATTACH:
        return do_attach(r);
    case NINEP_TWALK:
        return fs_walk1(r->newfid, r->name, &r->r.getattr.attr, &r->eb);
    case NINEP_TOPEN:
        return do_open(r);
    case NINEP_TCREATE:
        return do_create(r);
    case NINEP_TREAD:
        return do_read(r);
    case NINEP_TWRITE:
        return do_write(r);
    case NINEP_TREADDIR:
        return do_readdir(r);
    case NINEP_TREMOVE:
        return do_remove(r);
    case NINEP_TRENAME:
        return do_rename(r);
    case NINEP_TLINK:
        return do_link(r);
    case NINEP_TGETATTR:
        return do_getattr(r);
    case NINEP_TSETATTR:
        return do_setattr(r);
    case NINEP_TREADLINK:
        return do_readlink(r);
    case NINEP_TFSYNC:
        return do_fsync(r);
    default:
        cg_assert(r->type == NINEP_TPUT);
        return do_put(r);
    }
}

void memfs_run(struct ninep_req *r)
{
    ninep_respond(r, run(r));
}

static void handle(struct ninep_req *r)
{
    struct memfs *fs = r->server_aux;
    if (!fs->later || !fs->later(fs->later_ctx, r)) {
        memfs_run(r);
    }
}

void memfs_walk(struct ninep_req *r)
{
    handle(r);
}

void memfs_defer(struct memfs *fs, bool (*later)(void *ctx, struct ninep_req *r), void *ctx)
{
    fs->later = later;
    fs->later_ctx = ctx;
}

const struct ninep_ops memfs_ops = {
    .attach = handle,
    .clone = fs_clone,
    .walk1 = fs_walk1,
    .ident = fs_ident,
    .clunk = fs_clunk,
    .open = handle,
    .slurp = fs_slurp,
    .create = handle,
    .read = handle,
    .write = handle,
    .readdir = handle,
    .remove = handle,
    .rename = handle,
    .link = handle,
    .getattr = handle,
    .setattr = handle,
    .readlink = handle,
    .fsync = handle,
    .put = handle,
};

/* ---- birth, death, text ---- */

struct memfs *memfs_new(const struct cg_env *env)
{
    struct memfs *fs = cg_zalloc(sizeof *fs);
    cg_assert(fs);
    fs->env = env;
    fs->root = node_new(fs, S_IFDIR | 0755);
    cg_assert(fs->root);
    return fs;
}

static void empty(struct node *dir)
{
    CG_LIST_EACH (it, &dir->entries) {
        struct entry *en = CG_CONTAINER(it, struct entry, link);
        empty(en->node);
        entry_del(dir, en);
    }
}

void memfs_free(struct memfs *fs)
{
    cg_assert(fs->fids == 0);
    empty(fs->root);
    node_put(fs->root);
    cg_assert(fs->nodes == 0);
    cg_free(fs);
}

void memfs_other_root(struct memfs *fs)
{
    fs->root->number = ++fs->last_number;
}

uint64_t memfs_mutations(const struct memfs *fs)
{
    return fs->mutations;
}

uint32_t memfs_fids(const struct memfs *fs)
{
    return fs->fids;
}

/* The entry whose name follows after's. */
static struct entry *next_by_name(const struct node *dir, const char *after)
{
    struct entry *best = NULL;
    CG_LIST_EACH (it, &dir->entries) {
        struct entry *en = CG_CONTAINER(it, struct entry, link);
        if ((!after || strcmp(en->name, after) > 0) &&
            (!best || strcmp(en->name, best->name) < 0)) {
            best = en;
        }
    }
    return best;
}

static cg_err text(const struct node *dir, const char *path, struct cg_str *out)
{
    const char *after = NULL;
    for (struct entry *en; (en = next_by_name(dir, after)) != NULL; after = en->name) {
        char below[1024];
        const struct node *n = en->node;
        snprintf(below, sizeof below, "%s/%s", path, en->name);
        cg_err e = cg_str_addf(out, "%s %o %u %zu ", below, n->mode, n->nlink, n->data.len);
        e = e == CG_OK && n->data.len ? cg_str_add(out, n->data.data, n->data.len) : e;
        e = e == CG_OK ? cg_str_add(out, "\n", 1) : e;
        e = e == CG_OK ? text(n, below, out) : e;
        if (e != CG_OK) {
            return e;
        }
    }
    return CG_OK;
}

cg_err memfs_text(struct memfs *fs, struct cg_str *out)
{
    return text(fs->root, "", out);
}
