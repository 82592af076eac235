/* Contents: open, read, write, and what keeps them. Contents are read and written on the loop, for
 * the host's page cache answers at once; fsync waits for disks and runs on libuv's threads. That a
 * fid is open, and open for this, the framework has checked.
 */
#include "host.h"
#include <errno.h>
#include <unistd.h>

static const struct cg_span no_name;

cg_err host_open_node(const struct host_fid *hf, const struct host_node *n, uint32_t flags,
                      int *out, struct cg_errbuf *eb)
{
    static const int access_of[4] = {O_RDONLY, O_WRONLY, O_RDWR, -1};
    int access = access_of[flags & 3];
    if (access < 0) {
        return cg_fail(eb, CG_EINVAL, "access mode 3 means nothing");
    }
    if (S_ISLNK(n->mode)) {
        return cg_fail(eb, CG_ELOOP, "symbolic links are followed by the client");
    }
    if (!S_ISREG(n->mode) && !S_ISDIR(n->mode)) {
        return cg_fail(eb, CG_ENXIO, "devices, pipes and sockets are opened where they are used");
    }
    bool changes = access != O_RDONLY || (flags & NINEP_OPEN_TRUNC) != 0;
    if (changes && S_ISDIR(n->mode)) {
        return cg_fail(eb, CG_EISDIR, "a directory cannot be opened for writing");
    }
    if (changes && hf->tree->read_only) {
        return cg_fail(eb, CG_EROFS, "tree '%s' is exported read-only", hf->tree->name);
    }
    int host = access | O_NONBLOCK | ((flags & NINEP_OPEN_TRUNC) != 0 ? O_TRUNC : 0) |
               ((flags & NINEP_OPEN_APPEND) != 0 ? O_APPEND : 0) |
               ((flags & NINEP_OPEN_DIRECTORY) != 0 ? O_DIRECTORY : 0);
    *out = host_reopen(n, host);
    return *out >= 0 ? CG_OK : host_fail(eb, errno, "open", no_name);
}

void host_open(struct ninep_req *r)
{
    struct host_fid *hf = host_fid(r->fid);
    uint32_t flags = r->t.open.flags;
    bool truncates = (flags & NINEP_OPEN_TRUNC) != 0;
    int io = -1;
    host_enter(r->fid);
    cg_err e = truncates ? host_enter_to_change(r->fid, &r->eb) : CG_OK;
    if (e == CG_OK) {
        e = host_open_node(hf, hf->node, flags, &io, &r->eb);
    }
    if (e == CG_OK) {
        e = truncates ? host_attr_changed(r->fid, hf->node, &r->r.open.attr, &r->eb)
                      : host_attr(r->fid, hf->node, &r->r.open.attr, &r->eb);
    }
    if (e == CG_OK && hf->io >= 0) {
        close(hf->io); /* of a listing without open */
    }
    if (e == CG_OK) {
        hf->io = io;
        r->fid->id = r->r.open.attr.id;
    } else if (io >= 0) {
        close(io);
    }
    ninep_respond(r, e);
}

/* Reads until count, the end or an error: files made when read may give less at a time. */
static ssize_t read_full(int fd, uint8_t *out, uint32_t count, uint64_t offset, bool synthetic)
{
    uint32_t done = 0;
    while (done < count) {
        ssize_t n = pread(fd, out + done, count - done, (off_t)(offset + done));
        if (n < 0 && done == 0) {
            return -1;
        }
        if (n <= 0) {
            break;
        }
        done += (uint32_t)n;
        if (!synthetic && done < count) {
            break; /* the end: saves the call that would say so */
        }
    }
    return done;
}

cg_err host_slurp(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len)
{
    const struct host_fid *hf = host_fid(fid);
    struct stat st;
    *len = UINT32_MAX;
    host_enter(fid);
    bool readable = (fid->open_flags & 3) != NINEP_OPEN_WRITE;
    if (!S_ISREG(hf->node->mode) || hf->node->volume->synthetic) {
        return CG_OK; /* these have no size before they are read, and reading may have effects */
    }
    char path[HOST_PATH_BYTES];
    host_path(hf->node->fd, path);
    bool own = fid->open && readable && hf->io >= 0;
    int fd = own ? hf->io : host_peek(AT_FDCWD, path, 0);
    if (fd < 0) {
        return CG_OK; /* not readable is no reason to refuse the walk */
    }
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size <= cap) {
        ssize_t n = pread(fd, data, (size_t)st.st_size, 0);
        *len = n == st.st_size ? (uint32_t)n : UINT32_MAX;
    }
    if (fd != hf->io) {
        close(fd);
    }
    return CG_OK;
}

void host_read(struct ninep_req *r)
{
    const struct host_fid *hf = host_fid(r->fid);
    uint32_t count = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
    uint64_t offset = r->t.read.offset;
    bool synthetic = hf->node->volume->synthetic;
    struct stat st;
    host_enter(r->fid);
    cg_assert(hf->io >= 0);
    ssize_t n = offset > (uint64_t)INT64_MAX - count
                    ? 0
                    : read_full(hf->io, r->data, count, offset, synthetic);
    if (n < 0) {
        ninep_respond(r, host_fail(&r->eb, errno, "read", no_name));
        return;
    }
    r->r.read.data.len = (uint32_t)n;
    r->r.read.eof = (uint32_t)n < count;
    if (!r->r.read.eof && !synthetic && fstat(hf->io, &st) == 0) {
        r->r.read.eof = offset + (uint64_t)n >= (uint64_t)st.st_size;
    }
    ninep_respond(r, CG_OK);
}

/* Gives the bytes written, or -1 with errno when there were none. */
static ssize_t write_full(int fd, struct cg_span data, uint64_t offset)
{
    uint32_t done = 0;
    while (done < data.len) {
        ssize_t n = pwrite(fd, data.data + done, data.len - done, (off_t)(offset + done));
        if (n <= 0) {
            return done > 0 ? (ssize_t)done : -1;
        }
        done += (uint32_t)n;
    }
    return done;
}

bool host_write_all(int fd, struct cg_span data)
{
    ssize_t n = write_full(fd, data, 0);
    if (n >= 0 && n < data.len) {
        errno = ENOSPC; /* what a short write of a file means */
    }
    return n == data.len;
}

void host_write(struct ninep_req *r)
{
    const struct host_fid *hf = host_fid(r->fid);
    cg_err e = host_enter_to_change(r->fid, &r->eb);
    cg_assert(hf->io >= 0);
    bool append = (r->fid->open_flags & NINEP_OPEN_APPEND) != 0;
    uint64_t offset = append ? 0 : r->t.write.offset; /* the host's O_APPEND decides */
    if (e == CG_OK && offset > (uint64_t)INT64_MAX - r->t.write.data.len) {
        e = host_fail(&r->eb, EFBIG, "write", no_name);
    }
    ssize_t n = e == CG_OK ? write_full(hf->io, r->t.write.data, offset) : 0;
    if (n < 0) {
        e = host_fail(&r->eb, errno, "write", no_name);
    }
    if (e == CG_OK) {
        r->r.write.count = (uint32_t)n;
        e = host_attr_changed(r->fid, hf->node, &r->r.write.attr, &r->eb);
    }
    ninep_respond(r, e);
}

/* ---- fsync ------------------------------------------------------------------------------------
 */

struct host_sync {
    uv_work_t work;
    struct hostfs *fs;
    struct ninep_req *req;
    int fd, err;
    bool data_only;
};

static void sync_run(uv_work_t *work)
{
    struct host_sync *s = CG_CONTAINER(work, struct host_sync, work);
    int n = s->data_only ? fdatasync(s->fd) : fsync(s->fd);
    s->err = n == 0 ? 0 : errno;
}

static void sync_done(uv_work_t *work, int status)
{
    struct host_sync *s = CG_CONTAINER(work, struct host_sync, work);
    struct ninep_req *r = s->req;
    cg_err e = CG_OK;
    if (status == UV_ECANCELED) {
        e = cg_fail(&r->eb, CG_ECANCELED, "fsync had not begun");
    } else if (s->err != 0) {
        e = host_fail(&r->eb, s->err, "fsync", no_name);
    }
    s->fs->syncs--;
    close(s->fd);
    cg_free(s);
    r->aux = NULL;
    ninep_respond(r, e);
}

/* A descriptor of its own, for the fid may go before the work is done. */
static int sync_fd(const struct host_fid *hf)
{
    return hf->io >= 0 ? fcntl(hf->io, F_DUPFD_CLOEXEC, 0)
                       : host_reopen(hf->node, O_RDONLY | O_NONBLOCK);
}

void host_fsync(struct ninep_req *r)
{
    const struct host_fid *hf = host_fid(r->fid);
    struct hostfs *fs = host_enter(r->fid);
    cg_err e = CG_OK;
    if (!S_ISREG(hf->node->mode) && !S_ISDIR(hf->node->mode)) {
        e = host_fail(&r->eb, EINVAL, "fsync of a special file", no_name);
    } else if (fs->syncs >= HOST_SYNCS_MAX) {
        e = cg_fail(&r->eb, CG_ELIMIT, "%u fsyncs are under way", fs->syncs);
    }
    struct host_sync *s = e == CG_OK ? cg_zalloc(sizeof *s) : NULL;
    if (e == CG_OK && s == NULL) {
        e = cg_fail(&r->eb, CG_ENOMEM, "no memory for fsync");
    }
    if (e == CG_OK) {
        s->fs = fs;
        s->req = r;
        s->data_only = r->t.fsync.dataonly != 0;
        s->fd = sync_fd(hf);
        e = s->fd >= 0 ? CG_OK : host_fail(&r->eb, errno, "fsync", no_name);
    }
    if (e != CG_OK) {
        cg_free(s);
        ninep_respond(r, e);
        return;
    }
    r->aux = s;
    fs->syncs++;
    int queued = uv_queue_work(fs->loop, &s->work, sync_run, sync_done);
    cg_assert(queued == 0); /* it fails for a missing function only */
}

void host_cancel(struct ninep_req *r)
{
    struct host_sync *s = r->aux;
    if (s != NULL) {
        uv_cancel((uv_req_t *)&s->work); /* one that has begun goes on, and answers truly */
    }
}

/* ---- holes and copies --------------------------------------------------------------------------
 */

void host_allocate(struct ninep_req *r)
{
    const struct ninep_tallocate *t = &r->t.allocate;
    const struct host_fid *hf = host_fid(r->fid);
    cg_err e = host_enter_to_change(r->fid, &r->eb);
    cg_assert(hf->io >= 0);
    if (e == CG_OK && (t->offset > INT64_MAX || t->length > INT64_MAX - t->offset)) {
        e = host_fail(&r->eb, EFBIG, "allocate", no_name);
    }
    /* The flags have the host's numbers. */
    if (e == CG_OK && fallocate(hf->io, (int)t->flags, (off_t)t->offset, (off_t)t->length) != 0) {
        e = host_fail(&r->eb, errno, "allocate", no_name);
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->fid, hf->node, &r->r.allocate.attr, &r->eb);
    }
    ninep_respond(r, e);
}

void host_seek(struct ninep_req *r)
{
    const struct host_fid *hf = host_fid(r->fid);
    bool data = r->t.seek.whence == NINEP_WHENCE_DATA;
    cg_err e = CG_OK;
    host_enter(r->fid);
    cg_assert(hf->io >= 0);
    if (!data && r->t.seek.whence != NINEP_WHENCE_HOLE) {
        e = cg_fail(&r->eb, CG_EINVAL, "seek finds data (3) or a hole (4)");
    } else {
        off_t from = r->t.seek.offset > INT64_MAX ? INT64_MAX : (off_t)r->t.seek.offset;
        off_t to = lseek(hf->io, from, data ? SEEK_DATA : SEEK_HOLE);
        e = to >= 0 ? CG_OK : host_fail(&r->eb, errno, "seek", no_name);
        r->r.seek.offset = (uint64_t)to;
    }
    ninep_respond(r, e);
}

void host_copy(struct ninep_req *r)
{
    const struct ninep_tcopy *t = &r->t.copy;
    const struct host_fid *from = host_fid(r->fid), *to = host_fid(r->newfid);
    cg_err e = host_enter_to_change(r->newfid, &r->eb);
    cg_assert(from->io >= 0 && to->io >= 0);
    uint64_t length = t->length < HOST_COPY_BYTES_MAX ? t->length : HOST_COPY_BYTES_MAX;
    if (e == CG_OK && (t->offset > INT64_MAX - length || t->newoffset > INT64_MAX - length)) {
        e = host_fail(&r->eb, EFBIG, "copy", no_name);
    }
    if (e == CG_OK) {
        off_t a = (off_t)t->offset, b = (off_t)t->newoffset;
        ssize_t n = copy_file_range(from->io, &a, to->io, &b, length, 0);
        e = n >= 0 ? CG_OK : host_fail(&r->eb, errno, "copy", no_name);
        r->r.copy.count = n > 0 ? (uint64_t)n : 0;
    }
    if (e == CG_OK) {
        e = host_attr_changed(r->newfid, to->node, &r->r.copy.attr, &r->eb);
    }
    ninep_respond(r, e);
}
