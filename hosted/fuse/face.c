/* face: the kernel's requests, each to its handler, and the answers that several share. */
#include "kept.h"

#include <string.h>

static face_handler *const handlers[] = {
    [FUSE_LOOKUP] = face_lookup,
    [FUSE_GETATTR] = face_getattr,
    [FUSE_SETATTR] = face_setattr,
    [FUSE_READLINK] = face_readlink,
    [FUSE_SYMLINK] = face_symlink,
    [FUSE_MKNOD] = face_mknod,
    [FUSE_MKDIR] = face_mkdir,
    [FUSE_UNLINK] = face_unlink,
    [FUSE_RMDIR] = face_rmdir,
    [FUSE_RENAME] = face_rename,
    [FUSE_RENAME2] = face_rename,
    [FUSE_LINK] = face_link,
    [FUSE_OPEN] = face_open,
    [FUSE_READ] = face_read,
    [FUSE_WRITE] = face_write,
    [FUSE_STATFS] = face_statfs,
    [FUSE_RELEASE] = face_release,
    [FUSE_FSYNC] = face_fsync,
    [FUSE_SETXATTR] = face_setxattr,
    [FUSE_GETXATTR] = face_getxattr,
    [FUSE_LISTXATTR] = face_listxattr,
    [FUSE_REMOVEXATTR] = face_removexattr,
    [FUSE_FLUSH] = face_flush,
    [FUSE_OPENDIR] = face_opendir,
    [FUSE_READDIR] = face_readdir,
    [FUSE_READDIRPLUS] = face_readdir,
    [FUSE_RELEASEDIR] = face_releasedir,
    [FUSE_FSYNCDIR] = face_fsync,
    [FUSE_GETLK] = face_getlk,
    [FUSE_SETLK] = face_setlk,
    [FUSE_SETLKW] = face_setlk,
    [FUSE_CREATE] = face_create,
    [FUSE_FALLOCATE] = face_fallocate,
    [FUSE_LSEEK] = face_lseek,
};

/* What has no handler is not there, which the kernel remembers: it does not ask again for
 * COPY_FILE_RANGE, TMPFILE, POLL, ACCESS and BMAP, and has ways without them. IOCTL differs: a
 * program is to see that this is no terminal. */
void face_dispatch(struct space *s, struct freq *r)
{
    uint32_t op = r->m.h.opcode;
    trace_begin(s, r);
    ns_trace(s->ns, r->trace);
    if (own_is(r->m.h.nodeid)) {
        own_request(s, r);
    } else if (op < CG_COUNT(handlers) && handlers[op]) {
        handlers[op](s, r);
    } else {
        freq_error(r, cg_err_errno(CG_ENOSYS));
    }
    ns_trace(s->ns, 0);
}

void face_request(void *ctx, struct freq *r)
{
    struct space *s = ctx;
    if (!kept_begun(s, r)) {
        kept_origin(s, r);
        face_dispatch(s, r);
        kept_origin(s, NULL);
    }
}

/* The kernel tells of every signal that its caller catches, also of a shell's SIGCHLD, and a lookup
 * that answers EINTR makes the shell say that there is no such program. So what is nearly done is
 * let finish; only what still waits after GRACE_MS is cancelled. */
void face_interrupt(void *ctx, struct freq *r)
{
    struct space *s = ctx;
    if (r->grace_until_ns == 0) {
        r->grace_until_ns = cg_env_real.now_ns(cg_env_real.ctx) + GRACE_MS * UINT64_C(1000000);
        cg_list_push(&s->graced, &r->graced);
    }
}

static void cancel(struct space *s, struct freq *r)
{
    if (own_is(r->m.h.nodeid)) {
        own_interrupt(r);
    } else if (r->op) {
        ns_cancel(s->ns, r->op);
    } else {
        kept_cancel(s, r);
    }
}

uint64_t face_tick(struct space *s, uint64_t now_ns)
{
    while (!cg_list_empty(&s->graced)) {
        struct freq *r = CG_CONTAINER(s->graced.next, struct freq, graced);
        if (r->grace_until_ns > now_ns) {
            return r->grace_until_ns;
        }
        cg_list_del(&r->graced);
        cancel(s, r); /* which may answer it: r is gone then */
    }
    return 0;
}

/* Errors that programs run into all day long, and that need no explanation. */
static bool is_everyday(const struct freq *r, cg_err e)
{
    return (e == CG_ENOENT && r->m.h.opcode == FUSE_LOOKUP) || e == CG_ENODATA || e == CG_ENOSYS;
}

void face_fail(struct freq *r, cg_err e, const char *detail)
{
    struct space *s = space_of(r);
    if (!is_everyday(r, e)) {
        struct cg_errbuf eb = {0};
        cg_fail(&eb, e, "%s%s%s", r->name, r->name[0] ? ": " : "",
                detail && detail[0] ? detail : cg_err_meaning(e));
        lasterr_set(s->adapter->errors, lasterr_family(space_pid(s, r->m.h.pid)), eb.text);
    }
    freq_error(r, cg_err_errno(e));
}

void face_done(void *aux, cg_err e, const char *detail)
{
    struct freq *r = aux;
    if (e != CG_OK) {
        face_fail(r, e, detail);
    } else {
        freq_error(r, 0);
    }
}

struct ns_node *face_node(struct space *s, struct freq *r)
{
    struct ns_node *n = ns_node_by_id(s->ns, r->m.h.nodeid);
    if (!n) {
        freq_error(r, cg_err_errno(CG_ESTALE));
    }
    return n;
}

struct handle *face_handle(struct space *s, struct freq *r, uint64_t fh)
{
    struct handle *h = handle_of(s, fh);
    if (!h || (!h->file && !h->own)) {
        freq_error(r, cg_err_errno(CG_EBADF));
        return NULL;
    }
    return h;
}

void face_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct freq *r = aux;
    struct fuse_attr_out out = {0};
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    attr_valid(st, &out.attr_valid, &out.attr_valid_nsec);
    attr_fill(space_of(r), st, &out.attr);
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

void face_entry(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    struct fuse_entry_out out;
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    attr_entry(s, st, &out);
    ns_node_taken(st->node, 1);
    if (!freq_reply(r, &out, sizeof(out), NULL, 0)) {
        ns_node_given(st->node, 1);
        ns_node_forget(st->node, 1);
    }
}

static uint32_t open_flags(const struct ns_stat *st, bool keep_cache, bool direct_io)
{
    uint32_t flags = (keep_cache ? FOPEN_KEEP_CACHE : 0) | (direct_io ? FOPEN_DIRECT_IO : 0);
    if (st->attr.id.type & NINEP_QTYPE_STREAM) {
        flags |= FOPEN_STREAM | FOPEN_NONSEEKABLE;
    }
    return flags;
}

/* What is in a small file goes with the answer to its open: that saves the kernel a request. */
static bool give_contents(struct space *s, const struct freq *r, const struct ns_file *f)
{
    uint32_t len;
    const void *data = ns_file_contents(f, &len);
    return data && fdev_store(s->dev, r->m.h.nodeid, data, len);
}

/* For CREATE with the entry in front, for OPEN and OPENDIR without. */
void face_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st, bool keep_cache,
                 bool direct_io, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    struct fuse_entry_out entry;
    struct fuse_open_out open = {0};
    bool create = r->m.h.opcode == FUSE_CREATE;
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    struct handle *h = handle_new(s, &open.fh);
    if (!h) {
        ns_close(s->ns, f);
        if (create) {
            ns_node_forget(st->node, 1);
        }
        face_fail(r, CG_ENFILE, "this namespace has its most files open");
        return;
    }
    h->file = f;
    h->dir = r->m.h.opcode == FUSE_OPENDIR;
    kept_handle(s, open.fh);
    if (r->m.h.opcode == FUSE_OPEN && !keep_cache && !direct_io) {
        keep_cache = give_contents(s, r, f);
    }
    open.open_flags = h->dir ? 0 : open_flags(st, keep_cache, direct_io);
    bool taken;
    if (create) {
        attr_entry(s, st, &entry);
        ns_node_taken(st->node, 1);
        taken = freq_reply(r, &entry, sizeof(entry), &open, sizeof(open));
    } else {
        taken = freq_reply(r, &open, sizeof(open), NULL, 0);
    }
    if (!taken) {
        handle_free(s, open.fh);
        if (create) {
            ns_node_given(st->node, 1);
            ns_node_forget(st->node, 1);
        }
    }
}
