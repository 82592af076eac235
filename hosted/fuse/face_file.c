/* face_file: requests on open files: contents, space, and giving up privileges on a change. */
#include "kept.h"

#include <string.h>
#include <sys/stat.h>

/* ---- set-uid bits and file capabilities go when somebody changes the file ---- */

/* With KILLPRIV_V2 the kernel leaves it to us, and asks for no security.capability before every
 * write. First the mode, then the capability, then what was asked for. */

static void go_on(struct freq *r)
{
    struct space *s = space_of(r);
    r->op = NULL;
    kept_origin(s, r);
    switch (r->m.h.opcode) {
    case FUSE_WRITE:
        face_write_go(s, r);
        break;
    case FUSE_OPEN:
        face_open_go(s, r);
        break;
    default:
        face_setattr_go(s, r);
        break;
    }
    kept_origin(s, NULL);
}

static void on_capability(void *aux, cg_err e, const char *detail)
{
    (void)detail; /* there was none, or there can be none */
    struct freq *r = aux;
    if (e == CG_ECANCELED) {
        face_fail(r, e, NULL);
        return;
    }
    go_on(r);
}

static void drop_capability(struct freq *r)
{
    struct space *s = space_of(r);
    bool has = (r->num[0] & 0111) && !(r->num[1] & NINEP_ATTRFLAG_NO_XATTR);
    struct handle *h = r->m.h.opcode == FUSE_WRITE ? handle_of(s, r->m.in.write.fh) : NULL;
    if (h && h->plain) {
        has = false;
    } else if (h) {
        h->plain = true; /* later writes through it need not ask */
    }
    struct ns_node *n = has ? ns_node_by_id(s->ns, r->m.h.nodeid) : NULL;
    if (!n) {
        go_on(r);
        return;
    }
    face_began(r, ns_xattrset(s->ns, n, "security.capability", NULL, 0, NINEP_XATTRFLAG_REMOVE,
                              on_capability, r));
}

static void on_mode_dropped(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct freq *r = aux;
    (void)st;
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    drop_capability(r);
}

static void on_mode(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    uint32_t mode = st->attr.mode;
    uint32_t kill = S_ISDIR(mode) ? 0 : (mode & S_ISUID) | (mode & S_IXGRP ? mode & S_ISGID : 0);
    struct ns_node *n = ns_node_by_id(s->ns, r->m.h.nodeid);
    r->num[0] = S_ISREG(mode) ? mode : 0;
    r->num[1] = st->attr.flags;
    if (!kill || !n) {
        drop_capability(r);
        return;
    }
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_MODE, .mode = mode & 07777 & ~kill};
    face_began(r, ns_setattr(s->ns, n, NULL, &t, on_mode_dropped, r));
}

void face_killpriv(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_getattr(s->ns, n, on_mode, r));
    }
}

/* ---- open, read, write ---- */

void face_open_go(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        uint32_t flags = r->m.in.open.flags & FACE_OPEN_FLAGS;
        face_began(r, ns_open(s->ns, n, flags, face_opened, r));
    }
}

void face_open(struct space *s, struct freq *r)
{
    if (r->m.in.open.open_flags & FUSE_OPEN_KILL_SUIDGID) {
        face_killpriv(s, r);
    } else {
        face_open_go(s, r);
    }
}

static void on_read(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct freq *r = aux;
    if (e != CG_OK) {
        face_fail(r, e, detail);
    } else {
        freq_reply(r, data, len, NULL, 0);
    }
}

void face_read(struct space *s, struct freq *r)
{
    const struct fuse_read_in *in = &r->m.in.read;
    struct handle *h = face_handle(s, r, in->fh);
    if (h) {
        face_began(r, ns_read(s->ns, h->file, in->offset, in->size, on_read, r));
    }
}

static void on_written(void *aux, cg_err e, uint64_t count, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    const struct fuse_write_in in = r->m.in.write;
    uint64_t nodeid = r->m.h.nodeid;
    bool stale = r->stale;
    struct fuse_write_out out = {.size = (uint32_t)count};
    if (e != CG_OK) {
        face_fail(r, e, detail);
    } else {
        freq_reply(r, &out, sizeof(out), NULL, 0);
    }
    if (stale) { /* its pages were spared by an invalidation while they were locked */
        fdev_note_inode(s->dev, nodeid, (int64_t)in.offset, (int64_t)in.size);
    }
}

void face_write_go(struct space *s, struct freq *r)
{
    const struct fuse_write_in *in = &r->m.in.write;
    struct handle *h = face_handle(s, r, in->fh);
    if (h) {
        face_began(
            r, ns_write(s->ns, h->file, in->offset, r->m.data.data, r->m.data.len, on_written, r));
    }
}

void face_write(struct space *s, struct freq *r)
{
    if (!(r->m.in.write.write_flags & FUSE_WRITE_KILL_SUIDGID)) {
        face_write_go(s, r);
    } else if (freq_keep(r) == CG_OK) {
        face_killpriv(s, r);
    } else {
        face_fail(r, CG_ENOMEM, "too many writes are under way");
    }
}

void face_fsync(struct space *s, struct freq *r)
{
    const struct fuse_fsync_in *in = &r->m.in.fsync;
    struct handle *h = face_handle(s, r, in->fh);
    if (h) {
        bool dataonly = in->fsync_flags & FUSE_FSYNC_FDATASYNC;
        face_began(r, ns_fsync(s->ns, h->file, dataonly, face_done, r));
    }
}

void face_fallocate(struct space *s, struct freq *r)
{
    const struct fuse_fallocate_in *in = &r->m.in.fallocate;
    const uint32_t known =
        NINEP_ALLOCFLAG_KEEP_SIZE | NINEP_ALLOCFLAG_PUNCH_HOLE | NINEP_ALLOCFLAG_ZERO_RANGE;
    struct handle *h = face_handle(s, r, in->fh);
    if (h && in->mode & ~known) {
        face_fail(r, CG_EOPNOTSUPP, "this way of allocating is not known");
    } else if (h) {
        face_began(r, ns_allocate(s->ns, h->file, in->mode, in->offset, in->length, face_done, r));
    }
}

static void on_seek(void *aux, cg_err e, uint64_t offset, const char *detail)
{
    struct freq *r = aux;
    struct fuse_lseek_out out = {.offset = offset};
    if (e != CG_OK) {
        face_fail(r, e, detail);
    } else {
        freq_reply(r, &out, sizeof(out), NULL, 0);
    }
}

void face_lseek(struct space *s, struct freq *r)
{
    const struct fuse_lseek_in *in = &r->m.in.lseek;
    struct handle *h = face_handle(s, r, in->fh);
    if (h && in->whence != NINEP_WHENCE_DATA && in->whence != NINEP_WHENCE_HOLE) {
        face_fail(r, CG_EINVAL, "only data and holes are sought here");
    } else if (h) {
        face_began(r, ns_seek(s->ns, h->file, in->whence, in->offset, on_seek, r));
    }
}
