/* foreign_fid: the client's fids, and walking along their paths. */
#include "foreign.h"

#include <string.h>
#include <sys/stat.h>

bool ninep__ffid_take(struct ninep__fop *op, uint32_t num)
{
    struct ninep__ffid *ff = cg_map_get(&op->f->fids, &num);
    if (!ff) {
        ninep__ferror(op, CG_EBADF, "");
        return false;
    }
    ff->refs++;
    ninep__ffid_put(op->fid);
    op->fid = ff;
    return true;
}

uint32_t ninep__ffid_number(struct ninep__foreign *f)
{
    do {
        f->last_fid = f->last_fid + 1 == NINEP_NOFID ? 0 : f->last_fid + 1;
    } while (ninep__fid_find(f->session, f->last_fid));
    return f->last_fid;
}

bool ninep__ffid_new(struct ninep__fop *op, uint32_t num, struct ninep__froot *root)
{
    if (cg_map_count(&op->f->fids) >= FOREIGN_FIDS_MAX) {
        ninep__ferror(op, CG_ELIMIT, "too many fids on this connection");
        return false;
    }
    struct ninep__ffid *ff = cg_zalloc(sizeof *ff);
    char *path = ff ? cg_strdup("") : NULL;
    if (!path) {
        cg_free(ff);
        ninep__ferror(op, CG_ENOMEM, "");
        return false;
    }
    *ff = (struct ninep__ffid){
        .foreign = op->f, .refs = 1, .num = num, .fid = NINEP_NOFID, .root = root, .path = path};
    if (root) {
        root->refs++;
    }
    op->newfid = ff;
    return true;
}

cg_err ninep__ffid_commit(struct ninep__fop *op)
{
    struct ninep__ffid *ff = op->newfid, *old = cg_map_get(&op->f->fids, &ff->num);
    cg_err e = cg_map_put(&op->f->fids, &ff->num, ff);
    if (e) {
        ninep__ffid_drop(op->f, ff->fid);
        return e;
    }
    op->newfid = NULL;
    if (old) {
        ninep__ffid_drop(op->f, old->fid);
        ninep__ffid_put(old);
    }
    return CG_OK;
}

bool ninep__ffid_root(struct ninep__ffid *ff, uint32_t fid)
{
    ff->root = cg_alloc(sizeof *ff->root);
    if (ff->root) {
        *ff->root = (struct ninep__froot){.fid = fid, .refs = 1};
        ff->foreign->roots++;
    }
    return ff->root != NULL;
}

static void root_put(struct ninep__foreign *f, struct ninep__froot *root)
{
    if (root && --root->refs == 0) {
        ninep__ffid_drop(f, root->fid);
        f->roots--;
        cg_free(root);
    }
}

void ninep__ffid_put(struct ninep__ffid *ff)
{
    if (!ff || --ff->refs > 0) {
        return;
    }
    root_put(ff->foreign, ff->root);
    ff->foreign->xattr_bytes -= (uint32_t)ff->xattr.len;
    cg_str_fini(&ff->xattr);
    cg_free(ff->xattr_name);
    cg_free(ff->path);
    cg_free(ff);
}

cg_err ninep__ffid_xattr(struct ninep__ffid *ff, const void *data, uint32_t len)
{
    struct ninep__foreign *f = ff->foreign;
    if (len > FOREIGN_XATTRS_BYTES_MAX - f->xattr_bytes) {
        return CG_ELIMIT;
    }
    cg_err e = cg_str_add(&ff->xattr, data, len);
    f->xattr_bytes += e ? 0 : len;
    return e;
}

/* ---- paths ---- */

/* dir followed by names, "." and ".." taken lexically. */
cg_err ninep__ffid_path(struct ninep__ffid *ff, const char *dir, const struct ninep_names *names)
{
    struct cg_str s = {0};
    cg_err e = cg_str_add(&s, dir, strlen(dir));
    for (uint16_t i = 0; !e && i < names->count; i++) {
        struct cg_span name = names->name[i];
        if (cg_span_is(name, ".")) {
            continue;
        }
        if (cg_span_is(name, "..")) {
            char *slash = memrchr(s.data, '/', s.len);
            s.len = slash ? (size_t)(slash - s.data) : 0;
            s.data[s.len] = 0;
            continue;
        }
        e = s.len ? cg_str_add(&s, "/", 1) : CG_OK;
        e = e ? e : cg_str_add(&s, name.data, name.len);
    }
    if (!e && s.len > FOREIGN_PATH_BYTES_MAX) {
        e = CG_ENAMETOOLONG;
    }
    if (e) {
        cg_str_fini(&s);
        return e;
    }
    cg_free(ff->path);
    ff->path = s.data;
    return CG_OK;
}

const char *ninep__ffid_name(const struct ninep__ffid *ff)
{
    const char *slash = strrchr(ff->path, '/');
    return !ff->path[0] ? "/" : slash ? slash + 1 : ff->path;
}

char *ninep__fjoin(const char *dir, struct cg_span name)
{
    struct cg_str s = {0};
    cg_err e = cg_str_add(&s, dir, strlen(dir));
    e = e || !s.len ? e : cg_str_add(&s, "/", 1);
    e = e ? e : cg_str_add(&s, name.data, name.len);
    if (e) {
        cg_str_fini(&s);
    }
    return s.data;
}

char *ninep__fparent(const struct ninep__ffid *ff)
{
    const char *slash = strrchr(ff->path, '/');
    return cg_strndup(ff->path, slash ? (size_t)(slash - ff->path) : 0);
}

void ninep__ffids_moved(struct ninep__fop *op)
{
    struct ninep__foreign *f = op->f;
    uint32_t cursor = 0;
    size_t len = op->from ? strlen(op->from) : 0;
    if (!len || !op->to) {
        return;
    }
    for (struct ninep__ffid *ff; (ff = cg_map_next(&f->fids, &cursor));) {
        bool below = ff->root == op->fid->root && strncmp(ff->path, op->from, len) == 0 &&
                     (ff->path[len] == '/' || !ff->path[len]);
        const char *rest = below && ff->path[len] ? ff->path + len + 1 : NULL;
        char *path = !below ? NULL
                     : rest ? ninep__fjoin(op->to, cg_span_of(rest))
                            : cg_strdup(op->to);
        if (path && strlen(path) <= FOREIGN_PATH_BYTES_MAX) {
            cg_free(ff->path);
            ff->path = path;
        } else {
            cg_free(path);
        }
    }
}

/* ---- clunks that nobody waits for ---- */

struct drop {
    uint8_t list[4];
};

static void on_dropped(void *aux, struct ninep__req *req, cg_err e, const union ninep_rmsg *r,
                       const char *detail)
{
    (void)req;
    (void)e;
    (void)r;
    (void)detail;
    cg_free(aux);
}

void ninep__ffid_drop(struct ninep__foreign *f, uint32_t fid)
{
    if (fid == NINEP_NOFID || !f->conn || f->session->ended) {
        return; /* the session's end clunks what is left */
    }
    struct drop *d = cg_alloc(sizeof *d);
    if (!d) {
        ninep__conn_close(f->conn, "no memory to clunk a fid");
        return;
    }
    struct cg_buf b = cg_buf_writer(d->list, sizeof d->list);
    cg_put_u32(&b, fid);
    union ninep_tmsg t = {.clunk.fids = {.count = 1, .body = {d->list, sizeof d->list}}};
    if (!ninep__request(f->session, NINEP_TCLUNK, &t, 0, on_dropped, d, NULL)) {
        cg_free(d);
        ninep__conn_close(f->conn, "no memory to clunk a fid");
    }
}

/* ---- walking along a path, at most WALK_NAMES_MAX elements at a time ---- */

static void walk_on(struct ninep__fop *op, uint32_t from);

static void walked_on(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    if (!e && op->number != NINEP_NOFID) {
        op->tmp = op->number;
        op->number = NINEP_NOFID;
    }
    if (e || op->path_at == op->path_end) {
        op->after(op, e, r, detail);
        return;
    }
    walk_on(op, op->tmp);
}

static void walk_on(struct ninep__fop *op, uint32_t from)
{
    union ninep_tmsg t = {.walk = {.fid = from, .newfid = op->tmp}};
    if (op->tmp == NINEP_NOFID) {
        t.walk.newfid = op->number = ninep__ffid_number(op->f);
    }
    const char *at = op->path;
    for (uint32_t i = 0; i < op->path_at; i++) {
        at = strchr(at, '/') + 1;
    }
    while (op->path_at < op->path_end && t.walk.names.count < NINEP_WALK_NAMES_MAX) {
        const char *end = strchrnul(at, '/');
        t.walk.names.name[t.walk.names.count++] =
            (struct cg_span){(const uint8_t *)at, (uint32_t)(end - at)};
        at = *end ? end + 1 : end;
        op->path_at++;
    }
    ninep__fcall(op, NINEP_TWALK, &t, 0, walked_on);
}

void ninep__fwalk_path(struct ninep__fop *op, uint32_t root, const char *path, ninep__fstep *after)
{
    static const union ninep_rmsg nothing;
    ninep__ffid_drop(op->f, op->tmp);
    op->tmp = NINEP_NOFID;
    cg_free(op->path);
    op->path = cg_strdup(path);
    op->path_at = 0;
    op->path_end = path[0] != 0;
    for (const char *p = path; *p; p++) {
        op->path_end += *p == '/';
    }
    op->after = after;
    if (!op->path || op->path_end > FOREIGN_PATH_NAMES_MAX) {
        after(op, op->path ? CG_ENAMETOOLONG : CG_ENOMEM, &nothing, "");
        return;
    }
    walk_on(op, root);
}

static void name_seen(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                      const char *detail)
{
    if (!e) {
        struct ninep_xqid is = ninep__fwalked(r).id, was = op->fid->attr.id;
        if (is.file != was.file || is.volume != was.volume || is.generation != was.generation) {
            e = CG_ESTALE;
            detail = "the name stands for another file now";
        }
    }
    op->after(op, e, r, detail);
}

static void parent_walked(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                          const char *detail)
{
    op->after = op->last;
    if (e) {
        op->after(op, e, r, detail);
        return;
    }
    op->dir_rights = ninep__fwalked(r).rights;
    union ninep_tmsg t = {.walk = {.fid = op->tmp, .newfid = NINEP_NOFID, .names = {.count = 1}}};
    t.walk.names.name[0] = cg_span_of(ninep__ffid_name(op->fid));
    ninep__fcall(op, NINEP_TWALK, &t, 0, name_seen);
}

void ninep__fwalk_parent(struct ninep__fop *op, ninep__fstep *after)
{
    static const union ninep_rmsg nothing;
    char *parent = ninep__fparent(op->fid);
    op->last = after;
    if (!op->fid->path[0]) {
        after(op, CG_EPERM, &nothing, "the root has no name");
    } else if (!parent) {
        after(op, CG_ENOMEM, &nothing, "");
    } else {
        ninep__fwalk_path(op, op->fid->root->fid, parent, parent_walked);
    }
    cg_free(parent);
}
