/* The trees of exports: attach, walk and what only looks; see export.h. A request becomes an
 * operation of the namespace, and its end the answer. */
#include "export.h"

#include <string.h>
#include <sys/stat.h>

static const uint64_t HOST_USER = UINT64_C(1) << 63;

struct xfid *xfid_of(const struct ninep_fid *fid)
{
    return fid->aux;
}

struct xfid *xfid_new(struct export *x, struct ns_node *node)
{
    struct xfid *f = cg_zalloc(sizeof *f);
    if (!f) {
        ns_node_forget(node, 1);
        return NULL;
    }
    *f = (struct xfid){.x = x, .node = node};
    x->refs++;
    cg_list_push(&x->fids, &f->link);
    return f;
}

void xfid_end(struct xfid *f)
{
    if (f->file) {
        ns_close(f->x->ns, f->file);
        f->file = NULL;
    }
    if (f->node) {
        ns_node_forget(f->node, 1);
        f->node = NULL;
    }
}

/* What the user of this node owns is shown as the attached user's, as hostfs does. */
void attr_of(const struct export *x, const struct ninep_fid *fid, const struct ns_stat *st,
             struct ninep_attr *out)
{
    *out = st->attr;
    out->id.volume = x->volume;
    out->id.file = st->node ? ns_node_ino(st->node) : st->ino;
    out->id.generation = st->node ? ns_node_view(st->node) : 0;
    out->id.type = (st->attr.id.type & ~(uint32_t)NINEP_QTYPE_SYNTHETIC) | NINEP_QTYPE_NOCACHE;
    out->rights &= x->read_only ? (uint8_t)~NINEP_RIGHTS_WRITE : UINT8_MAX;
    if (out->owner == (HOST_USER | geteuid())) {
        out->owner = fid->principal;
    }
    if (out->group == (HOST_USER | getegid())) {
        out->group = fid->principal;
    }
}

/* ---- requests ---- */

/* A fid that a failed request was to make is never clunked by the framework. */
static void drop_made(struct ninep_req *r)
{
    struct ninep_fid *made = r->type == NINEP_TATTACH   ? r->fid
                             : r->type == NINEP_TCREATE ? r->newfid
                                                        : NULL;
    if (made) {
        tree_ops.clunk(made);
    }
}

struct job *job_begin(struct ninep_req *r, bool changes)
{
    struct xfid *f = xfid_of(r->fid), *g = r->newfid ? xfid_of(r->newfid) : NULL;
    struct export *x = f->x;
    if (x->dead) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the export has ended"));
        return NULL;
    }
    if (changes && x->read_only) {
        ninep_respond(r, cg_fail(&r->eb, CG_EROFS, "%s is exported read-only", x->path));
        return NULL;
    }
    if (g && g->x != x) {
        ninep_respond(r, cg_fail(&r->eb, CG_EXDEV, "these are two exports"));
        return NULL;
    }
    struct job *j = cg_zalloc(sizeof *j);
    if (!j) {
        drop_made(r);
        ninep_respond(r, CG_ENOMEM);
        return NULL;
    }
    *j = (struct job){.x = x, .r = r, .f = f, .g = g};
    x->refs++;
    cg_list_push(&x->jobs, &j->link);
    r->aux = j;
    return j;
}

void job_end(struct job *j, cg_err e, const char *detail)
{
    struct ninep_req *r = j->r;
    struct export *x = j->x;
    cg_list_del(&j->link);
    if (j->file) {
        ns_close(x->ns, j->file);
    }
    cg_free(j);
    if (e && x->dead) {
        e = cg_fail(&r->eb, CG_ESTALE, "the export has ended");
    } else if (e && detail && detail[0]) {
        cg_fail(&r->eb, e, "%s", detail);
    }
    if (e) {
        drop_made(r);
    }
    export_put(x);
    ninep_respond(r, e);
}

void job_wait(struct job *j, struct ns_op *op)
{
    if (op) {
        j->op = op;
    }
}

static void do_cancel(struct ninep_req *r)
{
    struct job *j = r->aux;
    if (j && j->op) {
        ns_cancel(j->x->ns, j->op);
    }
}

/* ---- to a fid, and away ---- */

static void on_attached(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e && !j->x->dead) {
        attr_of(j->x, j->r->fid, st, &j->r->r.attach.attr);
        j->r->fid->id = j->r->r.attach.attr.id;
    }
    job_end(j, j->x->dead ? CG_ESTALE : e, detail);
}

static void do_attach(struct ninep_req *r)
{
    struct export *x = export_find(r->t.attach.tree);
    cg_err e = x && x->root ? export_may_attach(x, r->fid, &r->eb) : CG_ENOSERVICE;
    if (e == CG_ENOSERVICE) {
        cg_fail(&r->eb, e, "nothing is exported here under the name '%.*s', or no longer",
                (int)r->t.attach.tree.len, (const char *)r->t.attach.tree.data);
    }
    if (!e) {
        ns_node_ref(x->root);
        r->fid->aux = xfid_new(x, x->root);
        e = r->fid->aux ? CG_OK : CG_ENOMEM;
    }
    struct job *j;
    if (e) {
        ninep_respond(r, e);
    } else if ((j = job_begin(r, false)) != NULL) {
        job_wait(j, ns_getattr(x->ns, j->f->node, on_attached, j));
    }
}

static cg_err clone_fid(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    struct xfid *f = xfid_of(from);
    if (!f->node) {
        return cg_fail(eb, CG_ESTALE, "the export has ended");
    }
    ns_node_ref(f->node);
    to->aux = xfid_new(f->x, f->node);
    to->id = from->id;
    return to->aux ? CG_OK : cg_fail(eb, CG_ENOMEM, "no memory for a fid");
}

static void do_clunk(struct ninep_fid *fid)
{
    struct xfid *f = xfid_of(fid);
    if (f) {
        struct export *x = f->x;
        fid->aux = NULL;
        xfid_end(f);
        cg_list_del(&f->link);
        cg_free(f);
        export_put(x);
    }
}

static bool name_of(struct ninep_req *r, struct cg_span span, char out[NINEP_NAME_BYTES_MAX + 1])
{
    return cg_name_ok(span) && cg_span_str(span, out, NINEP_NAME_BYTES_MAX + 1) &&
           xfid_of(r->fid) != NULL;
}

static void on_walked(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e && (j->x->dead || !j->g->node)) {
        ns_node_forget(st->node, 1);
        e = CG_ESTALE;
    }
    if (!e) {
        ns_node_forget(j->g->node, 1);
        j->g->node = st->node;
        attr_of(j->x, j->r->newfid, st, &j->r->r.getattr.attr);
        j->r->newfid->id = j->r->r.getattr.attr.id;
    }
    job_end(j, e, detail);
}

static void do_walk(struct ninep_req *r)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, false);
    if (!j) {
        return;
    }
    if (!name_of(r, r->name, name)) {
        job_end(j, CG_EINVAL, "not a name of one element");
        return;
    }
    job_wait(j, ns_lookup(j->x->ns, j->g->node, name, on_walked, j));
}

/* ---- looking ---- */

static void on_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st,
                      bool keep_cache, bool direct_io, const char *detail)
{
    struct job *j = aux;
    (void)keep_cache;
    (void)direct_io;
    j->op = NULL;
    if (!e && j->x->dead) {
        ns_close(j->x->ns, f);
        e = CG_ESTALE;
    }
    if (!e) {
        j->f->file = f;
        attr_of(j->x, j->r->fid, st, &j->r->r.open.attr);
    }
    job_end(j, e, detail);
}

static void do_open(struct ninep_req *r)
{
    const uint32_t flags = r->t.open.flags;
    struct job *j = job_begin(r, (flags & 3) != NINEP_OPEN_READ || (flags & NINEP_OPEN_TRUNC));
    if (j && j->f->file) {
        ns_close(j->x->ns, j->f->file); /* that it was listed by */
        j->f->file = NULL;
    }
    if (j) {
        job_wait(j, ns_open(j->x->ns, j->f->node, flags & ~(uint32_t)NINEP_OPEN_DIRECTORY,
                            on_opened, j));
    }
}

static void on_read(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct job *j = aux;
    struct ninep_req *r = j->r;
    j->op = NULL;
    if (!e) {
        len = len < r->data_cap ? len : r->data_cap;
        if (len > 0) {
            memcpy(r->data, data, len);
        }
        r->r.read.data.len = (uint32_t)len;
        r->r.read.eof =
            len == 0 || (len < r->t.read.count && !(r->fid->id.type & NINEP_QTYPE_STREAM));
    }
    job_end(j, e, detail);
}

static void do_read(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j && !j->f->file) {
        job_end(j, CG_EBADF, "the file is not open");
    } else if (j) {
        uint32_t n = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
        job_wait(j, ns_read(j->x->ns, j->f->file, r->t.read.offset, n, on_read, j));
    }
}

static bool on_entry(void *aux, uint64_t next_cookie, const char *name, const struct ns_stat *st)
{
    struct job *j = aux;
    struct ninep_attr attr;
    attr_of(j->x, j->r->fid, st, &attr);
    bool more = ninep_dir_add(j->r, next_cookie, cg_span_of(name), &attr, NULL, 0);
    if (more && st->node) {
        ns_node_forget(st->node, 1);
    }
    j->at += !more; /* the reply is full */
    return more;
}

static void on_listed(void *aux, cg_err e, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    j->r->r.readdir.eof = !e && j->at == 0;
    job_end(j, e, detail);
}

static void on_dir_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (e || j->x->dead) {
        job_end(j, e ? e : CG_ESTALE, detail);
        return;
    }
    attr_of(j->x, j->r->fid, st, &j->r->r.readdir.dir);
    job_wait(
        j, ns_readdir(j->x->ns, j->f->file, j->r->t.readdir.cookie, true, on_entry, on_listed, j));
}

static void on_dir_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st,
                          bool keep_cache, bool direct_io, const char *detail)
{
    struct job *j = aux;
    (void)keep_cache;
    (void)direct_io;
    (void)st;
    j->op = NULL;
    if (!e && j->x->dead) {
        ns_close(j->x->ns, f);
        e = CG_ESTALE;
    }
    if (e) {
        job_end(j, e, detail);
        return;
    }
    if (j->f->file) { /* another listing was quicker */
        ns_close(j->x->ns, f);
    } else {
        j->f->file = f;
    }
    job_wait(j, ns_getattr(j->x->ns, j->f->node, on_dir_attr, j));
}

static void do_readdir(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j && j->f->file) {
        job_wait(j, ns_getattr(j->x->ns, j->f->node, on_dir_attr, j));
    } else if (j) {
        job_wait(j, ns_open(j->x->ns, j->f->node, NINEP_OPEN_READ, on_dir_opened, j));
    }
}

static void on_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e) {
        attr_of(j->x, j->r->fid, st, &j->r->r.getattr.attr);
    }
    job_end(j, e, detail);
}

static void do_getattr(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j) {
        job_wait(j, ns_getattr(j->x->ns, j->f->node, on_attr, j));
    }
}

static void on_target(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct job *j = aux;
    struct ninep_req *r = j->r;
    j->op = NULL;
    if (!e) {
        len = len < r->data_cap ? len : r->data_cap;
        memcpy(r->data, data, len);
        r->r.readlink.target = (struct cg_span){r->data, (uint32_t)len};
    }
    job_end(j, e, detail);
}

static void do_readlink(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j) {
        job_wait(j, ns_readlink(j->x->ns, j->f->node, on_target, j));
    }
}

static void on_statfs(void *aux, cg_err e, const struct ninep_rstatfs *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e) {
        j->r->r.statfs = *st;
    }
    job_end(j, e, detail);
}

static void do_statfs(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j) {
        job_wait(j, ns_statfs(j->x->ns, j->f->node, on_statfs, j));
    }
}

static void on_xattr(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct job *j = aux;
    struct ninep_req *r = j->r;
    j->op = NULL;
    r->r.xattrget.size = (uint32_t)len;
    if (!e && data && len <= r->data_cap) {
        memcpy(r->data, data, len);
        r->r.xattrget.value = (struct cg_span){r->data, (uint32_t)len};
    }
    job_end(j, e, detail);
}

static void do_xattrget(struct ninep_req *r)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, false);
    if (j && !cg_span_str(r->t.xattrget.name, name, sizeof name)) {
        job_end(j, CG_EINVAL, "the name of an attribute has at most 255 bytes");
    } else if (j) {
        job_wait(j, ns_xattrget(j->x->ns, j->f->node, name, r->t.xattrget.max, on_xattr, j));
    }
}

static void on_sought(void *aux, cg_err e, uint64_t offset, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    j->r->r.seek.offset = offset;
    job_end(j, e, detail);
}

static void do_seek(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j && !j->f->file) {
        job_end(j, CG_EBADF, "the file is not open");
    } else if (j) {
        job_wait(j,
                 ns_seek(j->x->ns, j->f->file, r->t.seek.whence, r->t.seek.offset, on_sought, j));
    }
}

const struct ninep_ops tree_ops = {
    .attach = do_attach,
    .clone = clone_fid,
    .walk = do_walk,
    .clunk = do_clunk,
    .open = do_open,
    .create = tree_create,
    .read = do_read,
    .write = tree_write,
    .readdir = do_readdir,
    .remove = tree_remove,
    .rename = tree_rename,
    .link = tree_link,
    .getattr = do_getattr,
    .setattr = tree_setattr,
    .readlink = do_readlink,
    .fsync = tree_fsync,
    .statfs = do_statfs,
    .xattrget = do_xattrget,
    .xattrset = tree_xattrset,
    .allocate = tree_allocate,
    .seek = do_seek,
    .cancel = do_cancel,
};
