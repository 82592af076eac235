/* face_name: requests that make, move and remove names. */
#include "adapter.h"

#include <sys/stat.h>

void face_symlink(struct space *s, struct freq *r)
{
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        face_began(r,
                   ns_make(s->ns, dir, r->m.name, S_IFLNK | 0777, 0, r->m.newname, face_entry, r));
    }
}

/* From the kernel's 32-bit form: 12 bits of major, 20 of minor. */
static uint64_t rdev_from(uint32_t dev)
{
    uint64_t major = (dev >> 8) & 0xfff, minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
    return major << 32 | minor;
}

void face_mknod(struct space *s, struct freq *r)
{
    const struct fuse_mknod_in *in = &r->m.in.mknod;
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        face_began(
            r, ns_make(s->ns, dir, r->m.name, in->mode, rdev_from(in->rdev), NULL, face_entry, r));
    }
}

void face_mkdir(struct space *s, struct freq *r)
{
    uint32_t mode = (r->m.in.mkdir.mode & 07777) | S_IFDIR;
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        face_began(r, ns_make(s->ns, dir, r->m.name, mode, 0, NULL, face_entry, r));
    }
}

void face_create(struct space *s, struct freq *r)
{
    const struct fuse_create_in *in = &r->m.in.create;
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        face_began(r, ns_create(s->ns, dir, r->m.name, in->mode & 07777,
                                in->flags & FACE_OPEN_FLAGS, face_opened, r));
    }
}

static void remove_name(struct space *s, struct freq *r, bool is_dir)
{
    bool always = false;
    if (own_child(s, r->m.h.nodeid, r->m.name, &always) && always) {
        face_fail(r, CG_EBUSY, "this directory belongs to the namespace");
        return;
    }
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        face_began(r, ns_remove(s->ns, dir, r->m.name, is_dir, face_done, r));
    }
}

void face_unlink(struct space *s, struct freq *r)
{
    remove_name(s, r, false);
}

void face_rmdir(struct space *s, struct freq *r)
{
    remove_name(s, r, true);
}

void face_rename(struct space *s, struct freq *r)
{
    const struct fuse_rename2_in *in = &r->m.in.rename2;
    const uint32_t known = NINEP_RENAMEFLAG_NOREPLACE | NINEP_RENAMEFLAG_EXCHANGE;
    if (in->flags & ~known) {
        face_fail(r, CG_EINVAL, "this way of renaming is not known");
        return;
    }
    if (own_is(in->newdir)) {
        face_fail(r, CG_EXDEV, "nothing can be moved into this directory");
        return;
    }
    struct ns_node *dir = face_node(s, r);
    struct ns_node *newdir = dir ? ns_node_by_id(s->ns, in->newdir) : NULL;
    if (dir && !newdir) {
        freq_error(r, cg_err_errno(CG_ESTALE));
    } else if (dir) {
        face_began(r,
                   ns_rename(s->ns, dir, r->m.name, newdir, r->m.newname, in->flags, face_done, r));
    }
}

void face_link(struct space *s, struct freq *r)
{
    struct ns_node *dir = face_node(s, r);
    struct ns_node *n = dir ? ns_node_by_id(s->ns, r->m.in.link.oldnodeid) : NULL;
    if (dir && !n) {
        face_fail(r, own_is(r->m.in.link.oldnodeid) ? CG_EXDEV : CG_ESTALE, "");
    } else if (dir) {
        face_began(r, ns_link(s->ns, n, dir, r->m.name, face_entry, r));
    }
}
