/* Listings: getdents64 on a descriptor that is kept while a listing goes on, its d_off as cookie.
 *
 * A small regular file whose contents are wanted is opened first and asked by its descriptor, so
 * that attributes and contents are of one file; the others are asked by name. Whether a file has
 * extended attributes is asked by descriptor too when there is one (a third of the cost), else by
 * name below /proc/self/fd, and not at all on file systems that have none.
 */
#include "host.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

struct dirent64_head { /* struct linux_dirent64 of getdents(2) */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

/* An entry about to be added. */
struct found {
    struct statx sx;
    struct ninep_attr attr;
    uint32_t len; /* of the contents in scratch; UINT32_MAX: not inlined */
    bool waits;   /* its contents fit into an empty reply, but no more into this one */
};

/* A name that cannot be looked at, for the directory may be read but not searched. */
static void attr_of_type(const struct host_node *d, const struct dirent64_head *h,
                         struct ninep_attr *a)
{
    *a = (struct ninep_attr){
        .mode = (uint32_t)DTTOIF(h->type),
        .id = {.volume = d->key.volume, .file = h->ino, .type = NINEP_QTYPE_NOCACHE}};
}

static bool open_and_look(const struct ninep_req *r, struct hostfs *fs, int dir, const char *name,
                          uint32_t first_room, struct found *f)
{
    uint32_t room = ninep_dir_inline_room(r);
    char list[HOST_XATTR_LIST_BYTES];
    int fd = host_peek(dir, name, O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || host_statx(fd, "", &f->sx) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    const struct host_volume *v = host_volume(fs, &f->sx, dir, name);
    host_attr_of(r->fid, v, &f->sx, &f->attr);
    if (v->xattrs) {
        ssize_t len = flistxattr(fd, list, sizeof list);
        host_attr_flags(&f->attr, host_fid(r->fid), host_attrflags(len, list), fd, "");
    }
    bool may = S_ISREG(f->sx.stx_mode) && !v->synthetic && (f->attr.rights & NINEP_RIGHTS_READ);
    f->waits = may && f->sx.stx_size > room && f->sx.stx_size <= first_room;
    if (may && f->sx.stx_size <= room) {
        /* One byte more than its size shows a file that grows. */
        ssize_t n = f->sx.stx_size > 0 ? pread(fd, fs->scratch, f->sx.stx_size + 1, 0) : 0;
        f->len = n == (ssize_t)f->sx.stx_size ? (uint32_t)n : UINT32_MAX;
    }
    close(fd);
    return true;
}

/* Within the directory: see list. */
static int look(const struct ninep_req *r, struct hostfs *fs, int dir, const char *name,
                struct found *f)
{
    char list[HOST_XATTR_LIST_BYTES];
    int err = host_statx(dir, name, &f->sx);
    if (err != 0) {
        return err;
    }
    const struct host_volume *v = host_volume(fs, &f->sx, dir, name);
    host_attr_of(r->fid, v, &f->sx, &f->attr);
    if (v->xattrs) {
        ssize_t len = llistxattr(name, list, sizeof list);
        host_attr_flags(&f->attr, host_fid(r->fid), host_attrflags(len, list), dir, name);
    }
    return 0;
}

/* A directory changes without its parent being told, a file with several names through another
 * directory: these need watches of their own, or get no lease. */
static void watch_apart(const struct ninep_req *r, struct hostfs *fs, const char *name,
                        struct found *f)
{
    struct host_node *n;
    struct statx sx;
    bool apart = S_ISDIR(f->sx.stx_mode) || f->sx.stx_nlink > 1;
    if ((r->t.readdir.want & NINEP_WANT_LEASE) == 0 || !apart || f->attr.id.type != 0) {
        return;
    }
    bool watched = false;
    if (host_lookup(host_fid(r->fid), name, &n, &sx) == CG_OK) {
        watched = host_watch_hold(fs, n);
        host_node_put(n);
    }
    if (!watched) {
        f->attr.id.type |= NINEP_QTYPE_NOCACHE;
    }
}

/* False: the reply is full. */
static bool add(struct ninep_req *r, struct hostfs *fs, int dir, const struct dirent64_head *h,
                uint32_t first_room)
{
    struct found f = {.len = UINT32_MAX};
    const struct host_node *d = host_fid(r->fid)->node;
    if (strcmp(h->name, ".") == 0 || strcmp(h->name, "..") == 0) {
        return true;
    }
    bool try_open = first_room > 0 && h->type == DT_REG && !d->volume->synthetic;
    if (!try_open || !open_and_look(r, fs, dir, h->name, first_room, &f)) {
        int err = look(r, fs, dir, h->name, &f);
        if (err == ENOENT) {
            return true; /* it went meanwhile */
        }
        if (err != 0) {
            attr_of_type(d, h, &f.attr);
        }
    }
    if (f.waits) {
        return false;
    }
    watch_apart(r, fs, h->name, &f);
    const uint8_t *contents = f.len != UINT32_MAX ? fs->scratch : NULL;
    return ninep_dir_add(r, (uint64_t)h->off, cg_span_of(h->name), &f.attr, contents,
                         contents != NULL ? f.len : 0);
}

static cg_err list_inside(struct ninep_req *r, struct hostfs *fs, int dir)
{
    uint32_t first_room = ninep_dir_inline_room(r);
    if (lseek(dir, (off_t)r->t.readdir.cookie, SEEK_SET) < 0) {
        return host_fail(&r->eb, errno, "go on with the listing", (struct cg_span){0});
    }
    for (;;) {
        long n = syscall(SYS_getdents64, dir, fs->listing, HOST_LISTING_BYTES);
        if (n < 0) {
            return host_fail(&r->eb, errno, "list", (struct cg_span){0});
        }
        if (n == 0) {
            r->r.readdir.eof = 1;
            return CG_OK;
        }
        for (long at = 0; at < n;) {
            const struct dirent64_head *h = (const void *)(fs->listing + at);
            if (!add(r, fs, dir, h, first_room)) {
                return CG_OK;
            }
            at += h->reclen;
        }
    }
}

/* A directory that may be read but not searched cannot be entered; nor is there any looking then.
 */
static cg_err list(struct ninep_req *r, struct hostfs *fs, int dir)
{
    bool entered = fchdir(dir) == 0;
    cg_err e = list_inside(r, fs, dir);
    if (entered) {
        host_enter_self(fs); /* the user may not be allowed home */
        int rc = fchdir(fs->home);
        cg_assert(rc == 0);
    }
    return e;
}

void host_readdir(struct ninep_req *r)
{
    struct host_fid *hf = host_fid(r->fid);
    struct hostfs *fs = host_enter(r->fid);
    cg_err e = CG_OK;
    if ((r->t.readdir.want & NINEP_WANT_LEASE) != 0) {
        host_watch_hold(fs, hf->node);
    }
    if (hf->io < 0) {
        hf->io = host_reopen(hf->node, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
        e = hf->io >= 0 ? CG_OK : host_fail(&r->eb, errno, "list", (struct cg_span){0});
    }
    if (e == CG_OK) {
        e = host_attr(r->fid, hf->node, &r->r.readdir.dir, &r->eb);
    }
    if (e == CG_OK) {
        e = list(r, fs, hf->io);
    }
    if (hf->io >= 0 && !r->fid->open && (e != CG_OK || r->r.readdir.eof)) {
        close(hf->io);
        hf->io = -1;
    }
    ninep_respond(r, e);
    host_watch_release(fs);
}
