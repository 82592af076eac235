/* The file system as a whole: its life, attach and walks, reading, and the table of callbacks.
 * Requests are answered at once, but for those that wait for a commit or for the disk to be
 * written: one that reads from the disk holds up the others for so long. */
#include "live.h"

#include <string.h>
#include <sys/stat.h>

enum { MAGIC_NUMBER = 0x73746f72 /* "stor", for statfs */ };

cg_err storefs_new(struct store *s, uint64_t owner, struct storefs **out, struct cg_errbuf *eb)
{
    uint8_t id[16];
    struct storefs *fs = cg_zalloc(sizeof *fs);
    uint8_t *scratch = cg_alloc(NINEP_INLINE_BYTES_MAX);
    if (!fs || !scratch) {
        cg_free(fs);
        cg_free(scratch);
        return cg_fail(eb, CG_ENOMEM, "no memory for a file server");
    }
    *fs = (struct storefs){.store = s, .owner = owner, .scratch = scratch, .due_s = UINT64_MAX};
    store_id(s, id);
    memcpy(&fs->volume, id, sizeof fs->volume);
    *out = fs;
    return CG_OK;
}

void storefs_free(struct storefs *fs)
{
    cg_assert(fs->nodes == 0);
    cg_free(fs->scratch);
    cg_free(fs);
}

void storefs_serve_active(struct storefs *fs, struct active *t, const struct storefs_live *live)
{
    fs->active = t;
    fs->live = live ? *live : (struct storefs_live){0};
}

/* ---- coming in, and going down ---- */

static void attach(struct ninep_req *r)
{
    struct storefs *fs = r->server_aux;
    struct node *root;
    bool live = fs->active && cg_span_is(r->t.attach.tree, "active");
    if (r->t.attach.tree.len > 0 && !cg_span_is(r->t.attach.tree, "storefs") && !live) {
        ninep_respond(r, cg_fail(&r->eb, CG_ENOENT,
                                 "the trees of storefs: '' or 'storefs', and "
                                 "'active' where it is served"));
        return;
    }
    cg_err e = live ? live_node(fs, active_get(active_root(fs->active)), &root)
                    : node_new(fs, NODE_ROOT, &root);
    if (e == CG_OK) {
        node_set(r->fid, root);
        node_own_attr(r->fid, root, &r->r.attach.attr);
    }
    ninep_respond(r, e);
}

static cg_err clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    to->aux = NULL;
    node_of(from)->refs++;
    node_set(to, node_of(from));
    return CG_OK;
}

static cg_err walk1(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                    struct cg_errbuf *eb)
{
    struct node *n;
    cg_err e = node_may(fid, node_of(fid), NINEP_RIGHTS_EXEC, eb);
    e = e ? e : node_child(node_of(fid), name, &n, eb);
    if (e == CG_OK) {
        node_set(fid, n);
        node_own_attr(fid, n, attr);
    }
    return e;
}

static cg_err ident(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id)
{
    struct node *n;
    cg_err e = node_child(node_of(dir), name, &n, NULL);
    if (e == CG_OK) {
        node_own_id(n, id);
        node_put(n);
    }
    return e;
}

static void clunk(struct ninep_fid *fid)
{
    node_put(fid->aux);
    fid->aux = NULL;
}

/* ---- reading ---- */

static cg_err make_stats(struct node *n, struct cg_errbuf *eb)
{
    struct store_stats st;
    cg_err e = store_stats(n->fs->store, &st, eb);
    const struct {
        const char *name;
        uint64_t value;
    } line[] = {{"snapshots", st.refs},        {"objects", st.entries},
                {"data bytes", st.raw_bytes},  {"packs", st.packs},
                {"pack bytes", st.pack_bytes}, {"index bytes", st.index_bytes},
                {"writers", st.leases},        {"state", st.state_number},
                {"free bytes", st.space_free}, {"disk bytes", st.space_total}};
    n->keep.len = 0;
    for (size_t i = 0; !e && i < CG_COUNT(line); i++) {
        e = cg_str_addf(&n->keep, "%-12s %llu\n", line[i].name, (unsigned long long)line[i].value);
    }
    return e;
}

static cg_err may_open(const struct ninep_req *r, const struct node *n, struct cg_errbuf *eb)
{
    uint32_t flags = r->t.open.flags;
    if (n->entry.kind == STORE_SYMLINK) {
        return cg_fail(eb, CG_ELOOP, "symbolic links are followed by the client");
    }
    if ((flags & NINEP_OPEN_DIRECTORY) && !node_is_dir(n)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    if (!node_is_dir(n) && n->entry.kind != STORE_FILE) {
        return cg_fail(eb, CG_ENXIO, "devices, pipes and sockets of a snapshot are not opened");
    }
    bool writes = (flags & 3) != NINEP_OPEN_READ || (flags & NINEP_OPEN_TRUNC);
    return node_may(r->fid, n, writes ? NINEP_RIGHTS_WRITE : NINEP_RIGHTS_READ, eb);
}

static void open_file(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    cg_err e = n->kind == NODE_LIVE ? live_open(r, n, r->t.open.flags) : may_open(r, n, &r->eb);
    if (e == CG_OK && n->kind == NODE_STATS) {
        e = make_stats(n, &r->eb);
    } else if (e == CG_OK && n->kind == NODE_CTL) {
        e = ctl_text(n->fs, &n->keep);
    }
    node_own_attr(r->fid, n, &r->r.open.attr);
    ninep_respond(r, e);
}

static cg_err read_at(struct node *n, uint64_t at, void *out, size_t len, size_t *got,
                      struct cg_errbuf *eb)
{
    if (n->kind == NODE_LIVE) {
        return active_read(n->fs->active, n->live, at, out, len, got, eb);
    }
    if (n->kind == NODE_ENTRY) {
        return store_read(n->fs->store, &n->entry, at, out, len, got, eb);
    }
    *got = at < n->keep.len ? n->keep.len - at : 0;
    *got = *got < len ? *got : len;
    memcpy(out, n->keep.data + (*got ? at : 0), *got);
    return CG_OK;
}

static uint64_t size_of(const struct node *n)
{
    struct active_attr a;
    if (n->kind == NODE_LIVE) {
        active_stat(n->live, &a);
        return a.size;
    }
    return n->kind == NODE_ENTRY ? n->entry.size : n->keep.len;
}

static bool is_file(const struct node *n)
{
    struct active_attr a = {.kind = n->entry.kind};
    if (n->kind == NODE_LIVE) {
        active_stat(n->live, &a);
    }
    return (n->kind == NODE_LIVE || n->kind == NODE_ENTRY) && a.kind == STORE_FILE;
}

static void read_file(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    uint64_t size = size_of(n);
    size_t got = 0, len = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
    cg_err e = node_is_dir(n) ? cg_fail(&r->eb, CG_EISDIR, "a directory is listed, not read")
                              : read_at(n, r->t.read.offset, r->data, len, &got, &r->eb);
    r->r.read.data.len = (uint32_t)got;
    r->r.read.eof = r->t.read.offset >= size || r->t.read.offset + got >= size;
    ninep_respond(r, e);
}

static cg_err slurp(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len)
{
    struct node *n = node_of(fid);
    size_t got = 0;
    *len = UINT32_MAX;
    if (!is_file(n) || size_of(n) > cap || node_may(fid, n, NINEP_RIGHTS_READ, NULL) != CG_OK) {
        return CG_OK;
    }
    cg_err e = read_at(n, 0, data, size_of(n), &got, NULL);
    *len = e == CG_OK ? (uint32_t)got : UINT32_MAX;
    return CG_OK; /* a read will tell what is wrong */
}

static void getattr(struct ninep_req *r)
{
    node_own_attr(r->fid, node_of(r->fid), &r->r.getattr.attr);
    ninep_respond(r, CG_OK);
}

static void readlink_file(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    struct active_attr a = {.kind = n->entry.kind};
    r->r.readlink.target = n->entry.data;
    if (n->kind == NODE_LIVE) {
        active_stat(n->live, &a);
        r->r.readlink.target = active_target(n->live);
    }
    bool link = a.kind == STORE_SYMLINK;
    ninep_respond(r, link ? CG_OK : cg_fail(&r->eb, CG_EINVAL, "not a symbolic link"));
}

static void statfs(struct ninep_req *r)
{
    enum { UNIT = 4096 };
    struct storefs *fs = r->server_aux;
    struct store_stats st;
    cg_err e = store_stats(fs->store, &st, &r->eb);
    r->r.statfs = (struct ninep_rstatfs){.type = MAGIC_NUMBER,
                                         .bsize = UNIT,
                                         .blocks = st.space_total / UNIT,
                                         .bfree = st.space_free / UNIT,
                                         .bavail = fs->active ? st.space_free / UNIT : 0,
                                         .ffree = fs->active ? st.space_free / UNIT : 0,
                                         .files = st.entries,
                                         .fsid = fs->volume,
                                         .namelen = STORE_NAME_BYTES_MAX};
    ninep_respond(r, e);
}

/* ---- extended attributes ---- */

/* The names, each ended by NUL, or one value. *size is the whole size, of which max are written. */
static cg_err find_xattr(const struct node *n, struct cg_span wanted, uint8_t *out, uint32_t max,
                         uint32_t *size)
{
    struct cg_span rest = n->kind == NODE_LIVE ? active_xattrs(n->live) : n->entry.xattrs;
    struct cg_span name, value;
    bool bad = false;
    *size = 0;
    while (store_xattr_next(&rest, &name, &value, &bad)) {
        bool list = wanted.len == 0;
        if (!list && (name.len != wanted.len || memcmp(name.data, wanted.data, name.len) != 0)) {
            continue;
        }
        struct cg_span take = list ? name : value;
        uint32_t end = *size + take.len + list;
        if (end <= max) {
            memcpy(out + *size, take.data, take.len);
            memset(out + *size + take.len, 0, list);
        }
        *size = end;
        if (!list) {
            return CG_OK;
        }
    }
    return bad ? CG_EBADFORMAT : wanted.len ? CG_ENODATA : CG_OK;
}

static void xattrget(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    uint32_t max = r->t.xattrget.max < r->data_cap ? r->t.xattrget.max : r->data_cap, size = 0;
    cg_err e = CG_OK;
    if (r->t.xattrget.name.len > 0) {
        e = node_may(r->fid, n, NINEP_RIGHTS_READ, &r->eb);
    }
    e = e ? e : find_xattr(n, r->t.xattrget.name, r->data, max, &size);
    if (e == CG_OK && r->t.xattrget.max > 0 && size > max) {
        e = cg_fail(&r->eb, CG_ERANGE, "%u bytes do not fit into %u", size, max);
    }
    r->r.xattrget.size = size;
    r->r.xattrget.value.len = r->t.xattrget.max > 0 && e == CG_OK ? size : 0;
    ninep_respond(r, e);
}

/* ---- what changes something: the active tree, and its commands ---- */

static void refuse(struct ninep_req *r)
{
    ninep_respond(r, cg_fail(&r->eb, CG_EROFS, "what is in a store does not change"));
}

static void write_file(struct ninep_req *r)
{
    switch (node_of(r->fid)->kind) {
    case NODE_LIVE:
        live_write(r);
        break;
    case NODE_CTL:
        ctl_write(r);
        break;
    default:
        refuse(r);
    }
}

static void setattr(struct ninep_req *r)
{
    struct node *n = node_of(r->fid);
    if (n->kind == NODE_CTL && r->t.setattr.valid == NINEP_SETATTR_SIZE) {
        node_own_attr(r->fid, n, &r->r.setattr.attr); /* a shell truncates before it writes */
        ninep_respond(r, CG_OK);
    } else if (n->kind == NODE_LIVE) {
        live_setattr(r);
    } else {
        refuse(r);
    }
}

static void xattrset(struct ninep_req *r)
{
    (node_of(r->fid)->kind == NODE_LIVE ? live_xattrset : refuse)(r);
}

static void allocate(struct ninep_req *r)
{
    (node_of(r->fid)->kind == NODE_LIVE ? live_allocate : refuse)(r);
}

static void seek(struct ninep_req *r)
{
    if (node_of(r->fid)->kind == NODE_LIVE) {
        live_seek(r);
    } else {
        ninep_respond(r, CG_ENOSYS);
    }
}

static void fsync_file(struct ninep_req *r)
{
    if (node_of(r->fid)->kind == NODE_LIVE) {
        live_fsync(r);
    } else {
        ninep_respond(r, CG_OK); /* nothing of it was ever only in memory */
    }
}

/* Of those that wait: for a commit, or for the disk. */
static void cancel(struct ninep_req *r)
{
    (r->type == NINEP_TFSYNC ? live_fsync_cancel : ctl_cancel)(r);
}

const struct ninep_ops storefs_ops = {
    .attach = attach,
    .clone = clone,
    .walk1 = walk1,
    .ident = ident,
    .clunk = clunk,
    .open = open_file,
    .slurp = slurp,
    .create = live_create,
    .read = read_file,
    .write = write_file,
    .readdir = storefs_readdir,
    .remove = live_remove,
    .rename = live_rename,
    .link = live_link,
    .getattr = getattr,
    .setattr = setattr,
    .readlink = readlink_file,
    .fsync = fsync_file,
    .statfs = statfs,
    .xattrget = xattrget,
    .xattrset = xattrset,
    .put = live_put,
    .allocate = allocate,
    .seek = seek,
    .copy = live_copy,
    .cancel = cancel,
};
