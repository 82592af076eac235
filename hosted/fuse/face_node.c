/* face_node: requests about one file: names to nodes, attributes, extended attributes. */
#include "adapter.h"

#include <string.h>

enum { NS_PER_S = 1000000000 };

/* ---- lookup ---- */

static void on_lookup(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    struct fuse_entry_out out;
    uint64_t own = r->num[0];
    if (own && own_looked_up(s, r, own, e, st)) {
        return;
    }
    if (e == CG_ENOENT && st && st->hold) {
        attr_entry(s, st, &out);
        freq_reply(r, &out, sizeof(out), NULL, 0);
        return;
    }
    face_entry(aux, e, st, detail);
}

void face_lookup(struct space *s, struct freq *r)
{
    struct fuse_entry_out out;
    bool always = false;
    uint64_t own = own_child(s, r->m.h.nodeid, r->m.name, &always);
    if (own && always) {
        own_entry(s, own, &out);
        freq_reply(r, &out, sizeof(out), NULL, 0);
        return;
    }
    struct ns_node *dir = face_node(s, r);
    if (dir) {
        r->num[0] = own;
        face_began(r, ns_lookup(s->ns, dir, r->m.name, on_lookup, r));
    }
}

/* ---- attributes ---- */

void face_getattr(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_getattr(s->ns, n, face_attr, r));
    }
}

static int64_t time_of(uint64_t s, uint32_t ns)
{
    return (int64_t)s * NS_PER_S + ns;
}

static struct ninep_tsetattr setattr_of(const struct space *s, const struct fuse_setattr_in *in)
{
    static const struct {
        uint32_t fuse, ninep;
    } bits[] = {
        {FATTR_MODE, NINEP_SETATTR_MODE},           {FATTR_UID, NINEP_SETATTR_OWNER},
        {FATTR_GID, NINEP_SETATTR_GROUP},           {FATTR_SIZE, NINEP_SETATTR_SIZE},
        {FATTR_ATIME, NINEP_SETATTR_ATIME},         {FATTR_MTIME, NINEP_SETATTR_MTIME},
        {FATTR_ATIME_NOW, NINEP_SETATTR_ATIME_NOW}, {FATTR_MTIME_NOW, NINEP_SETATTR_MTIME_NOW},
    };
    struct ninep_tsetattr t = {
        .mode = in->mode & 07777,
        .owner = attr_principal(s, in->uid, false),
        .group = attr_principal(s, in->gid, true),
        .size = in->size,
        .atime = time_of(in->atime, in->atimensec),
        .mtime = time_of(in->mtime, in->mtimensec),
    };
    for (size_t i = 0; i < CG_COUNT(bits); i++) {
        t.valid |= in->valid & bits[i].fuse ? bits[i].ninep : 0;
    }
    /* The kernel sets both bits for "now"; the wire wants one. */
    if (t.valid & NINEP_SETATTR_ATIME_NOW) {
        t.valid &= ~(uint32_t)NINEP_SETATTR_ATIME;
    }
    if (t.valid & NINEP_SETATTR_MTIME_NOW) {
        t.valid &= ~(uint32_t)NINEP_SETATTR_MTIME;
    }
    return t;
}

void face_setattr_go(struct space *s, struct freq *r)
{
    const struct fuse_setattr_in *in = &r->m.in.setattr;
    struct ns_node *n = face_node(s, r);
    if (!n) {
        return;
    }
    struct handle *h = in->valid & FATTR_FH ? handle_of(s, in->fh) : NULL;
    struct ninep_tsetattr t = setattr_of(s, in);
    face_began(r, ns_setattr(s->ns, n, h ? h->file : NULL, &t, face_attr, r));
}

void face_setattr(struct space *s, struct freq *r)
{
    const struct fuse_setattr_in *in = &r->m.in.setattr;
    bool chown = in->valid & (FATTR_UID | FATTR_GID) && !(in->valid & FATTR_MODE);
    if (chown || in->valid & FATTR_KILL_SUIDGID) {
        face_killpriv(s, r);
    } else {
        face_setattr_go(s, r);
    }
}

static void on_link_target(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct freq *r = aux;
    if (e != CG_OK) {
        face_fail(r, e, detail);
    } else {
        freq_reply(r, data, len, NULL, 0);
    }
}

void face_readlink(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_readlink(s->ns, n, on_link_target, r));
    }
}

static void on_statfs(void *aux, cg_err e, const struct ninep_rstatfs *st, const char *detail)
{
    struct freq *r = aux;
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    struct fuse_statfs_out out = {.st = {
                                      .blocks = st->blocks,
                                      .bfree = st->bfree,
                                      .bavail = st->bavail,
                                      .files = st->files,
                                      .ffree = st->ffree,
                                      .bsize = st->bsize,
                                      .frsize = st->bsize,
                                      .namelen = st->namelen,
                                  }};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

void face_statfs(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_statfs(s->ns, n, on_statfs, r));
    }
}

/* ---- extended attributes ---- */

/* ls and every program that is started ask for some: where a file has none, its attributes say so,
 * and under a lease that costs no round trip. For two kinds ls stops asking when it hears that
 * there are none at all: labels and lists that a file does not have are said to be unsupported. */

static bool asked_of_all(const char *name)
{
    static const char acl[] = "system.posix_acl_";
    return strncmp(name, acl, sizeof(acl) - 1) == 0 || strcmp(name, "security.selinux") == 0;
}

void face_setxattr(struct space *s, struct freq *r)
{
    const struct fuse_setxattr_in *in = &r->m.in.setxattr;
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_xattrset(s->ns, n, r->m.name, r->m.data.data, r->m.data.len, in->flags,
                                  face_done, r));
    }
}

void face_removexattr(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r,
                   ns_xattrset(s->ns, n, r->m.name, NULL, 0, NINEP_XATTRFLAG_REMOVE, face_done, r));
    }
}

/* Size zero asks how large the value is: the namespace then gives no data but the length. */
static void on_xattr(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct freq *r = aux;
    uint32_t max = r->m.in.getxattr.size;
    struct fuse_getxattr_out out = {.size = (uint32_t)len};
    if (e == CG_ENODATA && asked_of_all(r->name)) {
        freq_error(r, cg_err_errno(CG_EOPNOTSUPP));
    } else if (e != CG_OK) {
        face_fail(r, e, detail);
    } else if (max == 0) {
        freq_reply(r, &out, sizeof(out), NULL, 0);
    } else if (len > max) {
        freq_error(r, cg_err_errno(CG_ERANGE));
    } else {
        freq_reply(r, data, len, NULL, 0);
    }
}

void face_getxattr(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_xattrget(s->ns, n, r->m.name, r->m.in.getxattr.size, on_xattr, r));
    }
}

void face_listxattr(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_xattrget(s->ns, n, "", r->m.in.getxattr.size, on_xattr, r));
    }
}
