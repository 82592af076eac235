/* store get: restores a tree, or one file of it, into a folder of the host.
 *
 * Every name is made below a descriptor of its directory, never through a link, and nothing that is
 * there is replaced: so no snapshot, however made, writes outside of the destination. */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct restore {
    struct store *s;
    struct meter meter;
    struct cg_str path;  /* below the destination */
    struct cg_map links; /* inode to the path that was made first */
    int top;
    int depth;
    uint64_t files, bytes, problems;
    bool root; /* may give files away */
};

static void problem(struct restore *r, const char *what)
{
    int err = errno;
    meter_end(&r->meter);
    fprintf(stderr, "store: %s: %s: %s\n", r->path.data, what, strerror(err));
    r->problems++;
}

/* ---- contents ---- */

struct sink {
    struct restore *r;
    int fd;
};

static cg_err write_piece(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    struct sink *k = aux;
    meter_add(&k->r->meter, len, 0);
    while (data && len) {
        ssize_t n = pwrite(k->fd, data, len, (off_t)at);
        if (n < 0 && errno != EINTR) {
            return cg_err_from_errno(errno);
        }
        n = n < 0 ? 0 : n;
        data += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return CG_OK;
}

static void set_xattrs(struct restore *r, int fd, const struct store_entry *e)
{
    struct cg_span rest = e->xattrs, name, value;
    char text[STORE_NAME_BYTES_MAX + 1];
    bool bad;
    while (store_xattr_next(&rest, &name, &value, &bad)) {
        if (cg_span_str(name, text, sizeof text) &&
            fsetxattr(fd, text, value.data, value.len, 0) != 0) {
            problem(r, text);
        }
    }
    if (bad) {
        errno = EINVAL;
        problem(r, "attributes");
    }
}

static struct timespec time_of(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    return (struct timespec){.tv_sec = rest < 0 ? s - 1 : s,
                             .tv_nsec = rest < 0 ? rest + 1000000000 : rest};
}

/* Owner before mode: a change of owner takes setuid away. */
static void set_attributes(struct restore *r, int fd, const struct store_entry *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(e->mtime_ns)};
    if (r->root && fchown(fd, e->uid, e->gid) != 0) {
        problem(r, "owner");
    }
    if (e->xattrs.len) {
        set_xattrs(r, fd, e);
    }
    if (fchmod(fd, e->mode) != 0) {
        problem(r, "mode");
    }
    if (futimens(fd, times) != 0) {
        problem(r, "times");
    }
}

static cg_err get_file(struct restore *r, int dirfd, const char *name, const struct store_entry *e,
                       struct cg_errbuf *eb)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        problem(r, "create");
        return CG_OK;
    }
    struct sink k = {.r = r, .fd = fd};
    cg_err err = store_read_each(r->s, e, write_piece, &k, eb);
    if (!err && e->content == STORE_LIST && ftruncate(fd, (off_t)e->size) != 0) {
        problem(r, "size");
    }
    if (err) { /* a file that is not whole does not stay */
        unlinkat(dirfd, name, 0);
        cg_context(eb, err, "%s", r->path.data);
    } else {
        set_attributes(r, fd, e);
        r->files++;
        r->bytes += e->size;
    }
    close(fd);
    return err;
}

/* ---- links and special files ---- */

static bool get_link(struct restore *r, int dirfd, const char *name, const struct store_entry *e)
{
    const char *first = e->nlink > 1 ? cg_map_get(&r->links, &e->ino) : NULL;
    return first && linkat(r->top, first, dirfd, name, 0) == 0;
}

static cg_err keep_link(struct restore *r, const struct store_entry *e)
{
    if (e->nlink < 2 || cg_map_get(&r->links, &e->ino)) {
        return CG_OK;
    }
    char *copy = cg_strdup(r->path.data);
    return copy ? cg_map_put(&r->links, &e->ino, copy) : CG_ENOMEM;
}

static cg_err get_other(struct restore *r, int dirfd, const char *name, const struct store_entry *e)
{
    static const mode_t kinds[] = {[STORE_FIFO] = S_IFIFO,
                                   [STORE_SOCKET] = S_IFSOCK,
                                   [STORE_CHAR] = S_IFCHR,
                                   [STORE_BLOCK] = S_IFBLK};
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(e->mtime_ns)};
    char target[STORE_TARGET_BYTES_MAX + 1];
    int made = -1;
    if (e->kind == STORE_SYMLINK) {
        made = cg_span_str(e->data, target, sizeof target) ? symlinkat(target, dirfd, name) : -1;
    } else {
        bool device = e->kind == STORE_CHAR || e->kind == STORE_BLOCK;
        if (device && !opt.devices) {
            return CG_OK;
        }
        made = mknodat(dirfd, name, kinds[e->kind] | e->mode,
                       makedev((unsigned)(e->rdev >> 32), (unsigned)e->rdev));
    }
    if (made != 0) {
        problem(r, "create");
        return CG_OK;
    }
    r->files++;
    if (r->root && fchownat(dirfd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) != 0) {
        problem(r, "owner");
    }
    if (e->kind != STORE_SYMLINK && fchmodat(dirfd, name, e->mode, 0) != 0) {
        problem(r, "mode");
    }
    utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW);
    return CG_OK;
}

/* ---- directories ---- */

static cg_err get_dir(struct restore *r, int fd, const struct store_score *score,
                      struct cg_errbuf *eb);

static cg_err get_subdir(struct restore *r, int dirfd, const char *name,
                         const struct store_entry *e, struct cg_errbuf *eb)
{
    int fd = mkdirat(dirfd, name, 0700) != 0
                 ? -1
                 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        problem(r, "create");
        return CG_OK;
    }
    cg_err err = get_dir(r, fd, &e->score, eb);
    if (!err) {
        set_attributes(r, fd, e);
    }
    close(fd);
    return err;
}

static cg_err get_entry(struct restore *r, int dirfd, const char *name, const struct store_entry *e,
                        struct cg_errbuf *eb)
{
    if (opt.dry_run && e->kind != STORE_DIR) {
        r->files++;
        r->bytes += e->size;
        return CG_OK;
    }
    if (e->kind == STORE_DIR) {
        return opt.dry_run ? get_dir(r, -1, &e->score, eb) : get_subdir(r, dirfd, name, e, eb);
    }
    if (get_link(r, dirfd, name, e)) {
        r->files++;
        return CG_OK;
    }
    cg_err err =
        e->kind == STORE_FILE ? get_file(r, dirfd, name, e, eb) : get_other(r, dirfd, name, e);
    meter_add(&r->meter, 0, 1);
    return err ? err : keep_link(r, e);
}

static cg_err get_dir(struct restore *r, int fd, const struct store_score *score,
                      struct cg_errbuf *eb)
{
    struct store_dir *d;
    struct store_entry e;
    size_t base = r->path.len;
    char name[STORE_NAME_BYTES_MAX + 1];
    if (r->depth == STORE_DEPTH_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "more than %d directories deep", STORE_DEPTH_MAX);
    }
    cg_err err = store_dir_open(r->s, score, &d, eb);
    if (err) {
        return cg_context(eb, err, "%s", base ? r->path.data : "/");
    }
    r->depth++;
    while (!err && (err = store_dir_next(d, &e, eb)) == CG_OK) {
        r->path.len = base;
        err = cg_str_addf(&r->path, "%s%.*s", base ? "/" : "", (int)e.name.len,
                          (const char *)e.name.data);
        cg_assert(cg_span_str(e.name, name, sizeof name)); /* names were checked when decoded */
        err = err ? err : get_entry(r, fd, name, &e, eb);
    }
    r->depth--;
    r->path.len = base;
    if (base) {
        r->path.data[base] = 0;
    }
    store_dir_close(d);
    return err == CG_ENOENT && !eb->text[0] ? CG_OK : err;
}

/* ---- the verb ---- */

static int open_top(const char *path)
{
    if (opt.dry_run) {
        return -1;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        cmd_fail("%s: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        cmd_fail("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void say(const struct restore *r, double seconds)
{
    char bytes[16];
    size_text(r->bytes, bytes);
    if (opt.json) {
        printf("{\"files\":%llu,\"bytes\":%llu,\"problems\":%llu,\"seconds\":%.3f}\n",
               (unsigned long long)r->files, (unsigned long long)r->bytes,
               (unsigned long long)r->problems, seconds);
    } else if (!opt.quiet) {
        printf("%s: %llu files, %s; %.1f s\n", opt.dry_run ? "would be restored" : "restored",
               (unsigned long long)r->files, bytes, seconds);
    }
}

int verb_get(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct restore r = {.s = s, .root = geteuid() == 0};
    struct selected sel;
    struct store_entry e;
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    uint64_t began = cg_env_real.now_ns(NULL);
    (void)argc;
    select_snapshot(s, argv[0], &sel);
    select_entry(s, &sel, &e, &keep);
    umask(0);
    cg_map_init(&r.links, sizeof e.ino);
    r.top = open_top(argv[1]);
    meter_begin(&r.meter, "get", e.name.len ? 0 : sel.snap.bytes);
    cg_err err;
    if (e.kind == STORE_DIR) {
        err = get_dir(&r, r.top, &e.score, &eb);
        if (!err && !opt.dry_run) {
            set_attributes(&r, r.top, &e);
        }
    } else {
        char name[STORE_NAME_BYTES_MAX + 1];
        cg_assert(cg_span_str(e.name, name, sizeof name));
        err = cg_str_addf(&r.path, "%s", name);
        err = err ? err : get_entry(&r, r.top, name, &e, &eb);
    }
    meter_end(&r.meter);
    if (err) {
        verb_fail(err, &eb, NULL);
    }
    say(&r, (double)(cg_env_real.now_ns(NULL) - began) / 1e9);
    cg_str_fini(&keep);
    cg_str_fini(&r.path);
    uint32_t cursor = 0;
    for (char *l; (l = cg_map_next(&r.links, &cursor));) {
        cg_free(l);
    }
    cg_map_fini(&r.links);
    return r.problems ? 1 : 0;
}
