/* What changes the trees of exports; see export.h. A namespace may answer a change before the
 * server behind it did; an export answers when that has, for its clients think so. */
#include "export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t HOST_USER = UINT64_C(1) << 63;

/* ---- afterwards: the attributes that the reply has room for, one after the other ---- */

static struct ninep_attr *place(struct job *j, struct ns_node **node)
{
    union ninep_rmsg *r = &j->r->r;
    bool first = j->at == 0;
    *node = first ? j->f->node : j->g ? j->g->node : NULL;
    switch (j->r->type) {
    case NINEP_TWRITE:
        return first ? &r->write.attr : NULL;
    case NINEP_TREMOVE:
        return first ? &r->remove.dir : NULL;
    case NINEP_TRENAME:
        return first ? &r->rename.dir : j->at == 1 ? &r->rename.newdir : NULL;
    case NINEP_TLINK:
        return first ? &r->link.attr : j->at == 1 ? &r->link.dir : NULL;
    case NINEP_TCREATE:
        return first ? &r->create.dir : NULL;
    case NINEP_TXATTRSET:
        return first ? &r->xattrset.attr : NULL;
    default:
        cg_assert(j->r->type == NINEP_TALLOCATE);
        return first ? &r->allocate.attr : NULL;
    }
}

static void tell_attrs(struct job *j);

static void on_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    struct ns_node *node;
    struct ninep_attr *a = place(j, &node);
    j->op = NULL;
    if (e) { /* the change is done all the same, but not what it led to known */
        job_end(j, e, detail);
        return;
    }
    attr_of(j->x, j->r->fid, st, a);
    j->at++;
    tell_attrs(j);
}

static void tell_attrs(struct job *j)
{
    struct ns_node *node;
    struct ninep_attr *a = j->x->dead ? NULL : place(j, &node);
    if (!a || !node) {
        job_end(j, j->x->dead ? CG_ESTALE : CG_OK, "");
        return;
    }
    job_wait(j, ns_getattr(j->x->ns, node, on_attr, j));
}

static void on_done(void *aux, cg_err e, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (e) {
        job_end(j, e, detail);
    } else {
        tell_attrs(j);
    }
}

static bool take_name(struct job *j, struct cg_span from, char out[NINEP_NAME_BYTES_MAX + 1])
{
    if (cg_name_ok(from) && cg_span_str(from, out, NINEP_NAME_BYTES_MAX + 1)) {
        return true;
    }
    job_end(j, CG_EINVAL, "not a name of one element");
    return false;
}

/* ---- create ---- */

static void on_created(void *aux, cg_err e, const char *detail)
{
    struct job *j = aux;
    struct ns_file *f = j->file;
    j->op = NULL;
    j->file = NULL;
    if (f && (e || j->x->dead || !j->r->newfid)) {
        ns_close(j->x->ns, f);
    } else if (f) {
        struct xfid *made = xfid_of(j->r->newfid);
        made->file = f;
    }
    on_done(j, e, detail);
}

/* The new file becomes newfid, where one is wanted. */
static cg_err keep_created(struct job *j, const struct ns_stat *st)
{
    struct ninep_req *r = j->r;
    attr_of(j->x, r->fid, st, &r->r.create.attr);
    r->r.create.created = 1;
    if (!r->newfid) {
        return CG_OK;
    }
    ns_node_ref(st->node);
    r->newfid->aux = xfid_new(j->x, st->node);
    r->newfid->id = r->r.create.attr.id;
    return r->newfid->aux ? CG_OK : CG_ENOMEM;
}

static void on_create_open(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st,
                           bool keep_cache, bool direct_io, const char *detail)
{
    struct job *j = aux;
    (void)keep_cache;
    (void)direct_io;
    j->op = NULL;
    if (!e) {
        e = j->x->dead ? CG_ESTALE : keep_created(j, st);
        ns_node_forget(st->node, 1);
        j->file = f;
    }
    if (e) {
        job_end(j, e, detail);
        return;
    }
    job_wait(j, ns_flush(j->x->ns, f, on_created, j)); /* until the server has made it */
}

static void on_made(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e) {
        e = j->x->dead ? CG_ESTALE : keep_created(j, st);
        ns_node_forget(st->node, 1);
    }
    on_done(j, e, detail);
}

void tree_create(struct ninep_req *r)
{
    const struct ninep_tcreate *t = &r->t.create;
    char name[NINEP_NAME_BYTES_MAX + 1], target[4096];
    struct job *j = job_begin(r, true);
    if (!j || !take_name(j, t->name, name)) {
        return;
    }
    if (S_ISREG(t->mode)) {
        job_wait(j, ns_create(j->x->ns, j->f->node, name, t->mode, t->flags, on_create_open, j));
    } else if (!cg_span_str(t->target, target, sizeof target)) {
        job_end(j, CG_ENAMETOOLONG, "the link's target is too long");
    } else {
        job_wait(j, ns_make(j->x->ns, j->f->node, name, t->mode, t->rdev,
                            S_ISLNK(t->mode) ? target : NULL, on_made, j));
    }
}

/* ---- the rest ---- */

static void on_written(void *aux, cg_err e, uint64_t count, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (e || j->x->dead) {
        job_end(j, e ? e : CG_ESTALE, detail);
        return;
    }
    j->r->r.write.count = (uint32_t)count;
    job_wait(j, ns_flush(j->x->ns, j->f->file, on_done, j));
}

void tree_write(struct ninep_req *r)
{
    struct job *j = job_begin(r, true);
    if (j && !j->f->file) {
        job_end(j, CG_EBADF, "the file is not open");
    } else if (j) {
        job_wait(j, ns_write(j->x->ns, j->f->file, r->t.write.offset, r->t.write.data.data,
                             r->t.write.data.len, on_written, j));
    }
}

void tree_remove(struct ninep_req *r)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, true);
    if (j && take_name(j, r->t.remove.name, name)) {
        job_wait(j, ns_remove(j->x->ns, j->f->node, name,
                              (r->t.remove.flags & NINEP_REMOVEFLAG_DIR) != 0, on_done, j));
    }
}

static void on_renamed_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    (void)detail;
    j->op = NULL;
    if (!e) { /* else another took it away at once */
        attr_of(j->x, j->r->fid, st, &j->r->r.rename.attr);
        ns_node_forget(st->node, 1);
    }
    tell_attrs(j);
}

static void on_renamed(void *aux, cg_err e, const char *detail)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = aux;
    j->op = NULL;
    if (e || j->x->dead) {
        job_end(j, e ? e : CG_ESTALE, detail);
    } else if (take_name(j, j->r->t.rename.newname, name)) {
        job_wait(j, ns_lookup(j->x->ns, j->g->node, name, on_renamed_attr, j));
    }
}

void tree_rename(struct ninep_req *r)
{
    const struct ninep_trename *t = &r->t.rename;
    char name[NINEP_NAME_BYTES_MAX + 1], newname[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, true);
    if (j && take_name(j, t->name, name) && take_name(j, t->newname, newname)) {
        job_wait(
            j, ns_rename(j->x->ns, j->f->node, name, j->g->node, newname, t->flags, on_renamed, j));
    }
}

static void on_linked(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    if (!e) {
        ns_node_forget(st->node, 1);
    }
    on_done(aux, e, detail);
}

void tree_link(struct ninep_req *r)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, true);
    if (j && take_name(j, r->t.link.name, name)) {
        job_wait(j, ns_link(j->x->ns, j->f->node, j->g->node, name, on_linked, j));
    }
}

static void on_set(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    if (!e) {
        attr_of(j->x, j->r->fid, st, &j->r->r.setattr.attr);
    }
    job_end(j, e, detail);
}

/* The attached user is this node's, as attr_of has it. */
static uint64_t local(const struct ninep_fid *fid, uint64_t principal, uint32_t id)
{
    return principal == fid->principal ? HOST_USER | id : principal;
}

void tree_setattr(struct ninep_req *r)
{
    struct job *j = job_begin(r, true);
    if (j) {
        struct ninep_tsetattr t = r->t.setattr;
        t.owner = local(r->fid, t.owner, geteuid());
        t.group = local(r->fid, t.group, getegid());
        job_wait(j, ns_setattr(j->x->ns, j->f->node, j->f->file, &t, on_set, j));
    }
}

void tree_xattrset(struct ninep_req *r)
{
    const struct ninep_txattrset *t = &r->t.xattrset;
    char name[NINEP_NAME_BYTES_MAX + 1];
    struct job *j = job_begin(r, true);
    if (j && !cg_span_str(t->name, name, sizeof name)) {
        job_end(j, CG_EINVAL, "the name of an attribute has at most 255 bytes");
    } else if (j) {
        job_wait(j, ns_xattrset(j->x->ns, j->f->node, name, t->value.data, t->value.len, t->flags,
                                on_done, j));
    }
}

void tree_allocate(struct ninep_req *r)
{
    const struct ninep_tallocate *t = &r->t.allocate;
    struct job *j = job_begin(r, true);
    if (j && !j->f->file) {
        job_end(j, CG_EBADF, "the file is not open");
    } else if (j) {
        job_wait(j, ns_allocate(j->x->ns, j->f->file, t->flags, t->offset, t->length, on_done, j));
    }
}

static void on_synced(void *aux, cg_err e, const char *detail)
{
    struct job *j = aux;
    j->op = NULL;
    job_end(j, e, detail);
}

void tree_fsync(struct ninep_req *r)
{
    struct job *j = job_begin(r, false);
    if (j && j->f->file) {
        job_wait(j, ns_fsync(j->x->ns, j->f->file, r->t.fsync.dataonly != 0, on_synced, j));
    } else if (j) {
        job_end(j, CG_OK, "");
    }
}
