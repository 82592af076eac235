/* See maker.h. A batch holds jobs: a head, the entry and its path for those that have one, and the
 * bytes that the entry borrows, or the data. */
#include "maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 1 << 20, /* an entry with the longest path and attributes fits */
    VECTORS = 64,          /* pieces that are written at once */
};

enum op { OP_BEGIN, OP_DATA, OP_END, OP_BREAK, OP_LEAVE };
struct job {
    enum op op;
    int fd;
    size_t bytes; /* of the whole job, head included */
    uint64_t at;
    uint32_t len, path, attributes,
        target; /* bytes that follow: data; path with its NUL; of the entry */
    struct store_entry e;
};

/* ---- messages ---- */

void maker_problem(struct maker *m, const char *path, const char *what)
{
    int err = errno;
    pthread_mutex_lock(&m->lock);
    meter_end(&m->meter);
    fprintf(stderr, "store: %s: %s: %s\n", path, what, strerror(err));
    m->problems++;
    pthread_mutex_unlock(&m->lock);
}

void maker_progress(struct maker *m, uint64_t bytes, uint64_t files)
{
    pthread_mutex_lock(&m->lock);
    meter_add(&m->meter, bytes, files);
    pthread_mutex_unlock(&m->lock);
}

static void fail(struct maker *m, cg_err e, const char *path)
{
    pthread_mutex_lock(&m->lock);
    if (!m->failed) {
        m->failed = cg_fail(&m->eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    pthread_mutex_unlock(&m->lock);
}

static void count(struct maker *m, uint64_t bytes)
{
    pthread_mutex_lock(&m->lock);
    m->files++;
    m->bytes += bytes;
    pthread_mutex_unlock(&m->lock);
}

/* ---- attributes ---- */

static void set_xattrs(struct maker *m, int fd, const char *path, const struct store_entry *e)
{
    struct cg_span rest = e->xattrs, name, value;
    char text[STORE_NAME_BYTES_MAX + 1];
    bool bad;
    while (store_xattr_next(&rest, &name, &value, &bad)) {
        if (cg_span_str(name, text, sizeof text) &&
            fsetxattr(fd, text, value.data, value.len, 0) != 0) {
            maker_problem(m, path, text);
        }
    }
    if (bad) {
        errno = EINVAL;
        maker_problem(m, path, "attributes");
    }
}

static struct timespec time_of(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    return (struct timespec){.tv_sec = rest < 0 ? s - 1 : s,
                             .tv_nsec = rest < 0 ? rest + 1000000000 : rest};
}

/* Owner before mode: a change of owner takes setuid away. */
void maker_attributes(struct maker *m, int fd, const char *path, const struct store_entry *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(e->mtime_ns)};
    if (m->root && fchown(fd, e->uid, e->gid) != 0) {
        maker_problem(m, path, "owner");
    }
    if (e->xattrs.len) {
        set_xattrs(m, fd, path, e);
    }
    if (fchmod(fd, e->mode) != 0) {
        maker_problem(m, path, "mode");
    }
    if (futimens(fd, times) != 0) {
        maker_problem(m, path, "times");
    }
}

/* ---- the jobs ---- */

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void make_special(struct maker *m, int dirfd, const char *path, const struct store_entry *e)
{
    static const mode_t kinds[] = {[STORE_FIFO] = S_IFIFO,
                                   [STORE_SOCKET] = S_IFSOCK,
                                   [STORE_CHAR] = S_IFCHR,
                                   [STORE_BLOCK] = S_IFBLK};
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(e->mtime_ns)};
    char target[STORE_TARGET_BYTES_MAX + 1];
    const char *name = base(path);
    int made = -1;
    if (e->kind == STORE_SYMLINK) {
        made = cg_span_str(e->data, target, sizeof target) ? symlinkat(target, dirfd, name) : -1;
    } else {
        made = mknodat(dirfd, name, kinds[e->kind] | e->mode,
                       makedev((unsigned)(e->rdev >> 32), (unsigned)e->rdev));
    }
    if (made != 0) {
        maker_problem(m, path, "create");
        return;
    }
    count(m, 0);
    if (m->root && fchownat(dirfd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) != 0) {
        maker_problem(m, path, "owner");
    }
    if (e->kind != STORE_SYMLINK && fchmodat(dirfd, name, e->mode, 0) != 0) {
        maker_problem(m, path, "mode");
    }
    utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW);
}

static void begin(struct maker *m, const struct job *j, const char *path)
{
    if (j->e.kind != STORE_FILE) {
        make_special(m, j->fd, path, &j->e);
        return;
    }
    m->fd = openat(j->fd, base(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (m->fd < 0) {
        maker_problem(m, path, "create");
    }
}

static cg_err write_pieces(int fd, struct iovec *v, int count, uint64_t at)
{
    while (count) {
        ssize_t n = pwritev(fd, v, count, (off_t)at);
        if (n < 0 && errno != EINTR) {
            return cg_err_from_errno(errno);
        }
        n = n < 0 ? 0 : n;
        at += (uint64_t)n;
        while (count && (size_t)n >= v->iov_len) {
            n -= (ssize_t)v->iov_len;
            v++;
            count--;
        }
        if (count) {
            v->iov_base = (uint8_t *)v->iov_base + n;
            v->iov_len -= (size_t)n;
        }
    }
    return CG_OK;
}

static void end(struct maker *m, const struct job *j, const char *path)
{
    if (m->fd < 0) {
        return;
    }
    if (!m->written && j->op == OP_END && j->e.content == STORE_LIST &&
        ftruncate(m->fd, (off_t)j->e.size) != 0) {
        maker_problem(m, path, "size");
    }
    if (m->written || j->op == OP_BREAK) {
        unlinkat(j->fd, base(path), 0);
    } else {
        maker_attributes(m, m->fd, path, &j->e);
        count(m, j->e.size);
    }
    close(m->fd);
    m->fd = -1;
}

static void do_job(struct maker *m, struct job *j)
{
    uint8_t *path = (uint8_t *)(j + 1), *attributes = path + j->path;
    bool over = m->failed != CG_OK; /* it is set by this side alone */
    j->e.xattrs.data = attributes;
    j->e.data.data = attributes + j->attributes;
    switch (j->op) {
    case OP_BEGIN:
        m->written = CG_OK;
        if (!over) {
            begin(m, j, (const char *)path);
        }
        break;
    case OP_END:
    case OP_BREAK:
        if (m->written) {
            fail(m, m->written, (const char *)path);
        }
        end(m, j, (const char *)path);
        break;
    case OP_LEAVE:
        if (!over) {
            maker_attributes(m, j->fd, (const char *)path, &j->e);
        }
        close(j->fd);
        break;
    case OP_DATA:
        break;
    }
}

/* Pieces that follow one another are written by one call. A failed write is told when its file
 * ends: it may end in the next batch. */
static void do_batch(struct maker *m, struct batch *b)
{
    size_t at = 0;
    while (at < b->len) {
        struct job *j = (struct job *)(void *)(b->data + at);
        struct iovec v[VECTORS];
        uint64_t from = j->at, to = from;
        int n = 0;
        if (j->op != OP_DATA) {
            do_job(m, j);
            at += j->bytes;
            continue;
        }
        while (at < b->len && n < VECTORS) {
            j = (struct job *)(void *)(b->data + at);
            if (j->op != OP_DATA || j->at != to) {
                break;
            }
            v[n++] = (struct iovec){.iov_base = j + 1, .iov_len = j->len};
            to += j->len;
            at += j->bytes;
        }
        if (m->fd >= 0 && !m->written) {
            m->written = write_pieces(m->fd, v, n, from);
        }
    }
    b->len = 0;
}

static void *make(void *arg)
{
    struct maker *m = arg;
    pthread_mutex_lock(&m->lock);
    for (;;) {
        while (m->taken == m->put && !m->stop) {
            pthread_cond_wait(&m->more, &m->lock);
        }
        if (m->taken == m->put) {
            break;
        }
        struct batch *b = &m->batch[m->taken % MAKER_BATCHES];
        pthread_mutex_unlock(&m->lock);
        do_batch(m, b);
        pthread_mutex_lock(&m->lock);
        m->taken++;
        pthread_cond_signal(&m->less);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- the asking side ---- */

cg_err maker_start(struct maker *m, bool threaded)
{
    *m = (struct maker){.fd = -1, .root = geteuid() == 0, .open = &m->batch[0]};
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->more, NULL);
    pthread_cond_init(&m->less, NULL);
    for (int i = 0; i < MAKER_BATCHES; i++) {
        m->batch[i].data = cg_alloc(BATCH_BYTES);
        if (!m->batch[i].data) {
            return CG_ENOMEM;
        }
    }
    m->threaded = threaded && pthread_create(&m->thread, NULL, make, m) == 0;
    return CG_OK;
}

/* Hands over what was filled, and waits until so many batches at most are not done. */
static cg_err hand_over(struct maker *m, uint32_t left, struct cg_errbuf *eb)
{
    pthread_mutex_lock(&m->lock);
    m->put += m->open->len > 0;
    pthread_cond_signal(&m->more);
    while (m->threaded && m->put - m->taken > left) {
        pthread_cond_wait(&m->less, &m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    if (!m->threaded && m->put != m->taken) {
        do_batch(m, m->open);
        m->taken = m->put;
    }
    pthread_mutex_lock(&m->lock);
    m->open = &m->batch[m->put % MAKER_BATCHES];
    cg_err e = m->failed;
    if (e && eb) {
        *eb = m->eb;
    }
    pthread_mutex_unlock(&m->lock);
    return e;
}

cg_err maker_wait(struct maker *m, struct cg_errbuf *eb)
{
    return hand_over(m, 0, eb);
}

void maker_stop(struct maker *m)
{
    maker_wait(m, NULL);
    if (m->threaded) {
        pthread_mutex_lock(&m->lock);
        m->stop = true;
        pthread_cond_signal(&m->more);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
    }
    for (int i = 0; i < MAKER_BATCHES; i++) {
        cg_free(m->batch[i].data);
    }
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->more);
    pthread_cond_destroy(&m->less);
}

static cg_err room_for(struct maker *m, size_t bytes, struct cg_errbuf *eb)
{
    cg_assert(bytes <= BATCH_BYTES);
    return m->open->len + bytes > BATCH_BYTES ? hand_over(m, MAKER_BATCHES - 1, eb) : CG_OK;
}

static cg_err ask(struct maker *m, enum op op, int fd, const char *path,
                  const struct store_entry *e, struct cg_errbuf *eb)
{
    struct job j = {.op = op,
                    .fd = fd,
                    .path = (uint32_t)strlen(path) + 1,
                    .attributes = e->xattrs.len,
                    .target = e->kind == STORE_SYMLINK ? e->data.len : 0,
                    .e = *e};
    j.bytes = (sizeof j + j.path + j.attributes + j.target + 7) & ~(size_t)7;
    cg_err err = room_for(m, j.bytes, eb);
    if (err) {
        return err;
    }
    uint8_t *to = m->open->data + m->open->len;
    memcpy(to, &j, sizeof j);
    to += sizeof j;
    memcpy(to, path, j.path);
    if (j.attributes) {
        memcpy(to + j.path, e->xattrs.data, j.attributes);
    }
    if (j.target) {
        memcpy(to + j.path + j.attributes, e->data.data, j.target);
    }
    m->open->len += j.bytes;
    return CG_OK;
}

cg_err maker_begin(struct maker *m, int dirfd, const char *path, const struct store_entry *e,
                   struct cg_errbuf *eb)
{
    return ask(m, OP_BEGIN, dirfd, path, e, eb);
}

cg_err maker_data(struct maker *m, uint64_t at, const uint8_t *data, size_t len,
                  struct cg_errbuf *eb)
{
    struct job j = {.op = OP_DATA, .at = at, .len = (uint32_t)len};
    j.bytes = (sizeof j + len + 7) & ~(size_t)7;
    cg_err e = room_for(m, j.bytes, eb);
    if (!e) {
        uint8_t *to = m->open->data + m->open->len;
        memcpy(to, &j, sizeof j);
        memcpy(to + sizeof j, data, len);
        m->open->len += j.bytes;
    }
    return e;
}

cg_err maker_end(struct maker *m, int dirfd, const char *path, const struct store_entry *e,
                 bool whole, struct cg_errbuf *eb)
{
    return ask(m, whole ? OP_END : OP_BREAK, dirfd, path, e, eb);
}

cg_err maker_leave(struct maker *m, int fd, const char *path, const struct store_entry *e,
                   struct cg_errbuf *eb)
{
    cg_err err = ask(m, OP_LEAVE, fd, path, e, eb);
    if (err) {
        close(fd);
    }
    return err;
}
