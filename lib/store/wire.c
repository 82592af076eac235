/* The table of I/O calls over a pair of pipes: what a store asks, another process answers. The
 * other end can be on another machine (`ssh HOST store serve`), and can refuse whatever would
 * change or remove what is there: a store that only grows, which a broken-in writer cannot destroy.
 *
 * Request: length 4, operation 1, arguments. Reply: length 4, error 4, results. One at a time,
 * under a lock. Open files are numbers that the server gives. */
#include "store__.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum operation {
    OP_OPEN = 1,
    OP_READ,
    OP_WRITE,
    OP_SIZE,
    OP_SYNC,
    OP_CLOSE,
    OP_MKDIR,
    OP_LIST,
    OP_RENAME,
    OP_REMOVE,
    OP_SYNC_DIR,
    OP_SPACE,
};
enum {
    MESSAGE_BYTES_MAX = 8 << 20, /* a listing of a folder of many packs */
    PIECE_BYTES_MAX = 1 << 20,
    SERVED_FILES_MAX = 256,
    ANSWER_MAX = 0xffff, /* no error has a larger number: what says so is no store's server */
};

static cg_err read_all(int fd, void *out, size_t len)
{
    uint8_t *p = out;
    while (len) {
        ssize_t n = read(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return CG_ECONNRESET;
        }
        p += n;
        len -= (size_t)n;
    }
    return CG_OK;
}

static cg_err write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return CG_ECONNRESET;
        }
        p += n;
        len -= (size_t)n;
    }
    return CG_OK;
}

/* A message: its length first, then its bytes into buf. */
static cg_err receive(int fd, uint8_t *buf, size_t *len)
{
    uint8_t head[4];
    cg_err e = read_all(fd, head, sizeof head);
    struct cg_buf b = cg_buf_reader(head, sizeof head);
    *len = cg_get_u32(&b);
    if (!e && *len > MESSAGE_BYTES_MAX) {
        e = CG_EPROTO;
    }
    return e ? e : read_all(fd, buf, *len);
}

static cg_err send_message(int fd, uint8_t *buf, size_t len)
{
    struct cg_buf b = cg_buf_writer(buf, 4);
    cg_put_u32(&b, (uint32_t)(len - 4));
    return write_all(fd, buf, len);
}

/* ---- the asking end ---- */

struct remote {
    int in, out;
    pthread_mutex_t lock;
    uint8_t *buf; /* 4 + MESSAGE_BYTES_MAX */
};

static struct cg_buf begin(struct remote *r, enum operation op)
{
    pthread_mutex_lock(&r->lock);
    struct cg_buf b = cg_buf_writer(r->buf, 4 + MESSAGE_BYTES_MAX);
    cg_put_u32(&b, 0);
    cg_put_u8(&b, op);
    return b;
}

/* Sends what b holds; on success reply is at the results. The lock is held until end. */
static cg_err ask(struct remote *r, struct cg_buf *b, struct cg_buf *reply)
{
    size_t len = 0;
    cg_err e = b->bad ? CG_EMSGSIZE : send_message(r->out, r->buf, b->pos);
    e = e ? e : receive(r->in, r->buf, &len);
    *reply = cg_buf_reader(r->buf, e ? 0 : len);
    uint32_t answer = cg_get_u32(reply);
    return e ? e : reply->bad || answer > ANSWER_MAX ? CG_EPROTO : answer;
}

static cg_err end(struct remote *r, cg_err e)
{
    pthread_mutex_unlock(&r->lock);
    return e;
}

static void put_path(struct cg_buf *b, const char *path)
{
    cg_put_u8(b, (uint8_t)strlen(path));
    cg_put_bytes(b, path, strlen(path));
}

static cg_err path_call(void *ctx, enum operation op, const char *path)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, op);
    put_path(&b, path);
    return end(r, ask(r, &b, &reply));
}

static cg_err file_call(void *ctx, enum operation op, void *file)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, op);
    cg_put_u32(&b, (uint32_t)(uintptr_t)file);
    return end(r, ask(r, &b, &reply));
}

static cg_err r_open(void *ctx, const char *path, int how, void **file)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, OP_OPEN);
    cg_put_u8(&b, (uint8_t)how);
    put_path(&b, path);
    cg_err e = ask(r, &b, &reply);
    *file = (void *)(uintptr_t)cg_get_u32(&reply); /* a number, never 0 */
    return end(r, e ? e : reply.bad || !*file ? CG_EPROTO : CG_OK);
}

static cg_err r_read(void *ctx, void *file, uint64_t at, void *out, size_t len, size_t *got)
{
    struct remote *r = ctx;
    cg_err e = CG_OK;
    *got = 0;
    while (!e && *got < len) {
        size_t want = len - *got < PIECE_BYTES_MAX ? len - *got : PIECE_BYTES_MAX;
        struct cg_buf reply, b = begin(r, OP_READ);
        cg_put_u32(&b, (uint32_t)(uintptr_t)file);
        cg_put_u64(&b, at + *got);
        cg_put_u32(&b, (uint32_t)want);
        e = ask(r, &b, &reply);
        size_t n = e ? 0 : cg_buf_left(&reply);
        e = n > want ? CG_EPROTO : e;
        if (!e && n) {
            memcpy((uint8_t *)out + *got, cg_get_span(&reply, n).data, n);
            *got += n;
        }
        end(r, e);
        if (n < want) {
            break;
        }
    }
    return e;
}

static cg_err r_write(void *ctx, void *file, uint64_t at, const void *data, size_t len)
{
    struct remote *r = ctx;
    cg_err e = CG_OK;
    for (size_t done = 0; !e && done < len;) {
        size_t n = len - done < PIECE_BYTES_MAX ? len - done : PIECE_BYTES_MAX;
        struct cg_buf reply, b = begin(r, OP_WRITE);
        cg_put_u32(&b, (uint32_t)(uintptr_t)file);
        cg_put_u64(&b, at + done);
        cg_put_bytes(&b, (const uint8_t *)data + done, n);
        e = end(r, ask(r, &b, &reply));
        done += n;
    }
    return e;
}

static cg_err r_size(void *ctx, void *file, uint64_t *bytes)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, OP_SIZE);
    cg_put_u32(&b, (uint32_t)(uintptr_t)file);
    cg_err e = ask(r, &b, &reply);
    *bytes = cg_get_u64(&reply);
    return end(r, e ? e : reply.bad ? CG_EPROTO : CG_OK);
}

static cg_err r_sync(void *ctx, void *file)
{
    return file_call(ctx, OP_SYNC, file);
}

static void r_close(void *ctx, void *file)
{
    file_call(ctx, OP_CLOSE, file);
}

static cg_err r_mkdir(void *ctx, const char *path)
{
    return path_call(ctx, OP_MKDIR, path);
}

static cg_err r_list(void *ctx, const char *path, struct cg_str *names)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, OP_LIST);
    put_path(&b, path);
    cg_err e = ask(r, &b, &reply);
    size_t n = e ? 0 : cg_buf_left(&reply);
    const uint8_t *data = n ? cg_get_span(&reply, n).data : NULL;
    if (n && data[n - 1] != 0) {
        e = CG_EPROTO;
    }
    return end(r, e || !n ? e : cg_str_add(names, data, n));
}

static cg_err r_rename(void *ctx, const char *from, const char *to, bool replace)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, OP_RENAME);
    cg_put_u8(&b, replace);
    put_path(&b, from);
    put_path(&b, to);
    return end(r, ask(r, &b, &reply));
}

static cg_err r_remove(void *ctx, const char *path)
{
    return path_call(ctx, OP_REMOVE, path);
}

static cg_err r_sync_dir(void *ctx, const char *path)
{
    return path_call(ctx, OP_SYNC_DIR, path);
}

static cg_err r_space(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct remote *r = ctx;
    struct cg_buf reply, b = begin(r, OP_SPACE);
    cg_err e = ask(r, &b, &reply);
    *free_bytes = cg_get_u64(&reply);
    *total_bytes = cg_get_u64(&reply);
    return end(r, e ? e : reply.bad ? CG_EPROTO : CG_OK);
}

static void r_fini(void *ctx)
{
    struct remote *r = ctx;
    close(r->in);
    close(r->out);
    pthread_mutex_destroy(&r->lock);
    cg_free(r->buf);
    cg_free(r);
}

cg_err store_io_pipe(int in, int out_fd, struct store_io *out, struct cg_errbuf *eb)
{
    struct remote *r = cg_zalloc(sizeof *r);
    uint8_t *buf = r ? cg_alloc(4 + MESSAGE_BYTES_MAX) : NULL;
    if (!buf) {
        cg_free(r);
        close(in);
        close(out_fd);
        return cg_fail(eb, CG_ENOMEM, "no memory");
    }
    *r = (struct remote){.in = in, .out = out_fd, .buf = buf};
    pthread_mutex_init(&r->lock, NULL);
    *out = (struct store_io){
        .open = r_open,
        .read = r_read,
        .write = r_write,
        .size = r_size,
        .sync = r_sync,
        .close = r_close,
        .mkdir = r_mkdir,
        .list = r_list,
        .rename = r_rename,
        .remove = r_remove,
        .sync_dir = r_sync_dir,
        .space = r_space,
        .fini = r_fini,
        .ctx = r,
    };
    return CG_OK;
}

/* ---- the answering end ---- */

struct served {
    void *file;
    bool made;    /* by this session: it may be written */
    uint64_t end; /* of what was written: an append-only server takes bytes only there */
};
struct server {
    const struct store_io *io;
    bool append_only;
    struct served file[SERVED_FILES_MAX];
    struct cg_str names;
    uint8_t *buf, *piece;
};

/* "config", "packs/0000002a": up to two elements of letters, digits, dots and dashes, none of them
 * "..". */
static bool get_path(struct cg_buf *b, char out[PATH_BYTES])
{
    struct cg_span s = cg_get_span(b, cg_get_u8(b));
    if (b->bad || s.len == 0 || !cg_span_str(s, out, PATH_BYTES)) {
        return false;
    }
    int slashes = 0;
    for (const char *c = out; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '.';
        slashes += *c == '/';
        if (!plain && *c != '/') {
            return false;
        }
    }
    return slashes <= 1 && out[0] != '/' && !strstr(out, "..");
}

static struct served *served_file(struct server *v, uint32_t number)
{
    struct served *f = number >= 1 && number <= SERVED_FILES_MAX ? &v->file[number - 1] : NULL;
    return f && f->file ? f : NULL;
}

static cg_err serve_open(struct server *v, struct cg_buf *in, struct cg_buf *out)
{
    char path[PATH_BYTES];
    int how = cg_get_u8(in);
    uint32_t i = 0;
    if (!get_path(in, path) || how < STORE_IO_READ || how > STORE_IO_APPEND) {
        return CG_EPROTO;
    }
    if (v->append_only && how == STORE_IO_APPEND) {
        return CG_EROFS;
    }
    while (i < SERVED_FILES_MAX && v->file[i].file) {
        i++;
    }
    if (i == SERVED_FILES_MAX) {
        return CG_EMFILE;
    }
    cg_err e = v->io->open(v->io->ctx, path, how, &v->file[i].file);
    if (e) {
        v->file[i].file = NULL;
        return e;
    }
    v->file[i].made = how != STORE_IO_READ;
    v->file[i].end = 0;
    cg_put_u32(out, i + 1);
    return CG_OK;
}

static cg_err serve_file(struct server *v, uint8_t op, struct cg_buf *in, struct cg_buf *out)
{
    struct served *f = served_file(v, cg_get_u32(in));
    uint64_t bytes = 0, at;
    size_t got = 0, len;
    cg_err e = CG_OK;
    if (in->bad || !f) {
        return CG_EBADF;
    }
    switch (op) {
    case OP_READ:
        at = cg_get_u64(in);
        len = cg_get_u32(in);
        if (in->bad || len > PIECE_BYTES_MAX) {
            return CG_EPROTO;
        }
        e = v->io->read(v->io->ctx, f->file, at, v->piece, len, &got);
        cg_put_bytes(out, v->piece, got);
        return e;
    case OP_WRITE:
        at = cg_get_u64(in);
        len = cg_buf_left(in);
        if (in->bad || !f->made || (v->append_only && at != f->end)) {
            return CG_EROFS;
        }
        f->end = at + len;
        return v->io->write(v->io->ctx, f->file, at, cg_get_span(in, len).data, len);
    case OP_SIZE:
        e = v->io->size(v->io->ctx, f->file, &bytes);
        cg_put_u64(out, bytes);
        return e;
    case OP_SYNC:
        return v->io->sync(v->io->ctx, f->file);
    default:
        v->io->close(v->io->ctx, f->file);
        f->file = NULL;
        return CG_OK;
    }
}

static cg_err serve_rename(struct server *v, struct cg_buf *in)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    bool replace = cg_get_u8(in) != 0;
    if (!get_path(in, from) || !get_path(in, to)) {
        return CG_EPROTO;
    }
    /* A new state is published by a rename; nothing that has its final name is moved away. */
    const char *base = strchr(from, '/') ? strchr(from, '/') + 1 : from;
    if (v->append_only && (replace || strncmp(base, "tmp-", 4) != 0)) {
        return CG_EROFS;
    }
    return v->io->rename(v->io->ctx, from, to, replace);
}

static cg_err serve_name(struct server *v, uint8_t op, struct cg_buf *in, struct cg_buf *out)
{
    char path[PATH_BYTES];
    uint64_t left = 0, total = 0;
    cg_err e;
    if (op == OP_SPACE) {
        e = v->io->space(v->io->ctx, &left, &total);
        cg_put_u64(out, left);
        cg_put_u64(out, total);
        return e;
    }
    if (!get_path(in, path)) {
        return CG_EPROTO;
    }
    switch (op) {
    case OP_MKDIR:
        return v->io->mkdir(v->io->ctx, path);
    case OP_REMOVE:
        return v->append_only ? CG_EROFS : v->io->remove(v->io->ctx, path);
    case OP_SYNC_DIR:
        return v->io->sync_dir(v->io->ctx, path);
    default:
        v->names.len = 0;
        e = v->io->list(v->io->ctx, path, &v->names);
        cg_put_bytes(out, v->names.data, v->names.len);
        return e;
    }
}

static cg_err serve_one(struct server *v, size_t len, struct cg_buf *out)
{
    struct cg_buf in = cg_buf_reader(v->buf, len);
    uint8_t op = cg_get_u8(&in);
    switch (op) {
    case OP_OPEN:
        return serve_open(v, &in, out);
    case OP_READ:
    case OP_WRITE:
    case OP_SIZE:
    case OP_SYNC:
    case OP_CLOSE:
        return serve_file(v, op, &in, out);
    case OP_RENAME:
        return serve_rename(v, &in);
    case OP_MKDIR:
    case OP_LIST:
    case OP_REMOVE:
    case OP_SYNC_DIR:
    case OP_SPACE:
        return serve_name(v, op, &in, out);
    default:
        return CG_EPROTO;
    }
}

cg_err store_io_serve(const struct store_io *io, int in, int out_fd, bool append_only)
{
    struct server v = {.io = io, .append_only = append_only};
    uint8_t *reply = cg_alloc(4 + MESSAGE_BYTES_MAX);
    v.buf = cg_alloc(MESSAGE_BYTES_MAX);
    v.piece = cg_alloc(PIECE_BYTES_MAX);
    cg_err e = reply && v.buf && v.piece ? CG_OK : CG_ENOMEM;
    size_t len;
    while (!e && (e = receive(in, v.buf, &len)) == CG_OK) {
        struct cg_buf out = cg_buf_writer(reply, 4 + MESSAGE_BYTES_MAX);
        out.pos = 8; /* the length and the answer come last */
        cg_err answer = serve_one(&v, len, &out);
        answer = out.bad ? CG_EMSGSIZE : answer;
        size_t bytes = answer ? 8 : out.pos;
        struct cg_buf b = cg_buf_writer(reply + 4, 4);
        cg_put_u32(&b, answer);
        e = send_message(out_fd, reply, bytes);
    }
    for (int i = 0; i < SERVED_FILES_MAX; i++) {
        if (v.file[i].file) {
            io->close(io->ctx, v.file[i].file);
        }
    }
    cg_str_fini(&v.names);
    cg_free(v.buf);
    cg_free(v.piece);
    cg_free(reply);
    return e == CG_ECONNRESET ? CG_OK : e; /* the other end is gone: that is how it ends */
}
