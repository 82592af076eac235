/* What a file of the host holds: contents with holes, links, attributes. */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Reads from at until to, or until the file ends. */
static cg_err put_data(struct walk *w, int fd, off_t at, off_t to, int *err, struct cg_errbuf *eb)
{
    while (at < to) {
        size_t room;
        uint8_t *buf = store_stream_room(w->stream, &room);
        size_t want = (off_t)room < to - at ? room : (size_t)(to - at);
        ssize_t n = pread(fd, buf, want, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            *err = n < 0 ? errno : 0;
            return CG_OK;
        }
        cg_err e = store_stream_wrote(w->stream, (size_t)n, eb);
        if (e) {
            return e;
        }
        meter_add(&w->meter, (uint64_t)n, 0);
        at += n;
    }
    return CG_OK;
}

static cg_err put_sparse(struct walk *w, int fd, off_t size, int *err, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (off_t at = 0; at < size && !e && !*err;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO) {
            return put_data(w, fd, at, size, err, eb); /* a file system that knows no holes */
        }
        data = data < 0 || data > size ? size : data;
        off_t hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;
        hole = hole < 0 || hole > size ? size : hole;
        e = data > at ? store_stream_hole(w->stream, (uint64_t)(data - at), eb) : CG_OK;
        e = e ? e : put_data(w, fd, data, hole, err, eb);
        at = hole;
    }
    return e;
}

static int open_quietly(int dirfd, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    int fd = openat(dirfd, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(dirfd, name, flags) : fd;
}

cg_err walk_file(struct walk *w, int dirfd, const char *name, const struct stat *st,
                 struct store_entry *e, bool *out, struct cg_errbuf *eb)
{
    /* Times of files move in ticks of the kernel, 10 ms at most. A ctime that is off by one makes
     * the next snapshot read the file again. */
    enum { BLOCK = 512, TICK_NS = 20 * 1000 * 1000 };
    struct stat after;
    int err = 0, fd = open_quietly(dirfd, name);
    if (fd < 0) {
        walk_problem(w, errno);
        return CG_OK;
    }
    store_stream_begin(w->stream);
    bool sparse = (off_t)st->st_blocks * BLOCK < st->st_size;
    cg_err failed = sparse ? put_sparse(w, fd, st->st_size, &err, eb)
                           : put_data(w, fd, 0, st->st_size, &err, eb);
    failed = failed ? failed : store_stream_end(w->stream, e, eb);
    failed = failed ? failed : walk_xattrs(w, fd, e);
    if (!failed && !err && fstat(fd, &after) == 0 &&
        (after.st_size != st->st_size || after.st_mtim.tv_nsec != st->st_mtim.tv_nsec ||
         after.st_mtim.tv_sec != st->st_mtim.tv_sec || after.st_ino != st->st_ino)) {
        meter_end(&w->meter);
        fprintf(stderr, "store: %s: changed while it was read\n", w->path.data);
        e->ctime_ns -= 1;
    } else if (e->ctime_ns + TICK_NS > (int64_t)cg_env_real.wall_ns(NULL)) {
        e->ctime_ns -= 1; /* a change within the same tick of the clock would not show */
    }
    close(fd);
    if (!failed && err) {
        walk_problem(w, err);
    }
    *out = !failed && !err;
    meter_add(&w->meter, 0, *out);
    return failed;
}

cg_err walk_other(struct walk *w, int dirfd, const char *name, const struct stat *st,
                  struct store_entry *e, bool *out)
{
    char target[STORE_TARGET_BYTES_MAX + 1];
    *out = true;
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dirfd, name, target, sizeof target);
        if (n <= 0 || n > STORE_TARGET_BYTES_MAX) {
            walk_problem(w, n < 0 ? errno : ENAMETOOLONG);
            *out = false;
            return CG_OK;
        }
        w->target.len = 0;
        cg_err err = cg_str_add(&w->target, target, (size_t)n);
        e->kind = STORE_SYMLINK;
        e->data = (struct cg_span){.data = (uint8_t *)w->target.data, .len = (uint32_t)n};
        return err;
    }
    e->kind = S_ISFIFO(st->st_mode)   ? STORE_FIFO
              : S_ISSOCK(st->st_mode) ? STORE_SOCKET
              : S_ISCHR(st->st_mode)  ? STORE_CHAR
                                      : STORE_BLOCK;
    *out = opt.devices || e->kind == STORE_FIFO;
    return CG_OK;
}

static cg_err add_xattr(struct walk *w, int fd, const char *name)
{
    char value[STORE_XATTR_BYTES_MAX];
    ssize_t n = fgetxattr(fd, name, value, sizeof value);
    if (n < 0) {
        return CG_OK; /* gone meanwhile, or not for us */
    }
    struct cg_span v = {.data = (uint8_t *)value, .len = (uint32_t)n};
    cg_err e = store_xattr_add(&w->xattrs, cg_span_of(name), v);
    if (e == CG_ETOOBIG) {
        walk_problem(w, E2BIG);
        return CG_OK;
    }
    return e;
}

cg_err walk_xattrs(struct walk *w, int fd, struct store_entry *e)
{
    char names[STORE_XATTR_BYTES_MAX];
    ssize_t n = flistxattr(fd, names, sizeof names);
    w->xattrs.len = 0;
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        cg_err err = add_xattr(w, fd, names + at);
        if (err) {
            return err;
        }
    }
    e->xattrs = (struct cg_span){.data = (uint8_t *)w->xattrs.data, .len = (uint32_t)w->xattrs.len};
    return CG_OK;
}
