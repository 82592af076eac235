/* uv_io: one connection on the loop. Small frames are cut out of one staging buffer that the whole
 * loop shares; of a large frame, all but the beginning is read where it belongs. */
#include "glue.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what a loop shares ---- */

static _Thread_local struct cg_list loops; /* a thread owns its loops */

static void flush(struct glue__io *io);

static void flush_all(struct cg_list *list)
{
    while (!cg_list_empty(list)) {
        struct glue__io *io = CG_CONTAINER(list->next, struct glue__io, flush_link);
        cg_list_del(&io->flush_link);
        flush(io);
    }
}

static void on_prepare(uv_prepare_t *h)
{
    flush_all(&CG_CONTAINER(h, struct glue__shared, flush)->flushing);
}

static void on_held(uv_timer_t *h)
{
    flush_all(&CG_CONTAINER(h, struct glue__shared, hold)->holding);
}

static void on_shared_closed(uv_handle_t *h)
{
    struct glue__shared *s = h->data;
    if (--s->handles == 0) {
        cg_free(s->staging);
        cg_free(s);
    }
}

static void move(struct glue__io *io, struct cg_list *list)
{
    cg_list_del(&io->flush_link);
    cg_list_push(list, &io->flush_link);
}

/* A lost connection is an error of its write, not the end of the process; but a program that has
 * asked for the signal gets it. */
static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
}

static struct glue__shared *shared_new(uv_loop_t *loop)
{
    struct glue__shared *s = cg_zalloc(sizeof *s);
    uint8_t *staging = cg_alloc(GLUE__STAGING_BYTES);
    if (!s || !staging) {
        cg_free(s);
        cg_free(staging);
        return NULL;
    }
    uv_prepare_init(loop, &s->flush); /* neither can fail */
    uv_timer_init(loop, &s->hold);
    s->flush.data = s->hold.data = s;
    s->handles = 2;
    s->loop = loop;
    s->staging = staging;
    cg_list_init(&s->flushing);
    cg_list_init(&s->holding);
    uv_prepare_start(&s->flush, on_prepare);
    uv_unref((uv_handle_t *)&s->flush);
    cg_list_push(&loops, &s->link);
    ignore_broken_pipes();
    return s;
}

struct glue__shared *glue__shared_get(uv_loop_t *loop)
{
    if (!loops.next) {
        cg_list_init(&loops);
    }
    CG_LIST_EACH (it, &loops) {
        struct glue__shared *s = CG_CONTAINER(it, struct glue__shared, link);
        if (s->loop == loop) {
            s->refs++;
            return s;
        }
    }
    struct glue__shared *s = shared_new(loop);
    if (s) {
        s->refs = 1;
    }
    return s;
}

void glue__shared_put(struct glue__shared *s)
{
    if (--s->refs == 0) {
        cg_list_del(&s->link);
        uv_close((uv_handle_t *)&s->flush, on_shared_closed);
        uv_close((uv_handle_t *)&s->hold, on_shared_closed);
    }
}

/* ---- ticks ---- */

static void on_timer(uv_timer_t *h)
{
    struct glue__ticker *t = CG_CONTAINER(h, struct glue__ticker, timer);
    t->poked = false;
    uint64_t next = t->tick(t->ctx);
    if (next == 0 || t->poked || uv_is_closing((uv_handle_t *)h)) {
        return;
    }
    uint64_t now = cg_env_real.now_ns(cg_env_real.ctx);
    uv_timer_start(h, on_timer, next > now ? (next - now + 999999) / 1000000 : 0, 0);
}

void glue__ticker_init(struct glue__ticker *t, uv_loop_t *loop, uint64_t (*tick)(void *), void *ctx)
{
    uv_timer_init(loop, &t->timer);
    t->tick = tick;
    t->ctx = ctx;
    t->poked = false;
}

void glue__ticker_poke(struct glue__ticker *t)
{
    if (!t->poked && !uv_is_closing((uv_handle_t *)&t->timer)) {
        t->poked = true;
        uv_timer_start(&t->timer, on_timer, 0, 0);
    }
}

/* ---- birth and death ---- */

/* A broken pipe is how a write sees what a read sees as a reset. */
static cg_err error_of(int rc)
{
    return rc == UV_EOF || rc == UV_EPIPE ? CG_ECONNRESET : cg_err_from_errno(-rc);
}

cg_err glue__io_init(struct glue__io *io, uv_loop_t *loop, const struct glue__io_ops *ops)
{
    memset(io, 0, sizeof *io);
    io->shared = glue__shared_get(loop);
    if (!io->shared) {
        return CG_ENOMEM;
    }
    io->ops = ops;
    cg_list_init(&io->out);
    cg_list_init(&io->writing);
    cg_list_init(&io->flush_link);
    uv_pipe_init(loop, &io->pipe, 0);
    return CG_OK;
}

static void free_frames(struct glue__io *io, struct cg_list *frames)
{
    while (!cg_list_empty(frames)) {
        struct ninep_frame *f = CG_CONTAINER(frames->next, struct ninep_frame, link);
        cg_list_del(&f->link);
        io->out_bytes -= f->len;
        ninep_frame_free(f);
    }
}

static void on_closed(uv_handle_t *h)
{
    struct glue__io *io = CG_CONTAINER(h, struct glue__io, pipe);
    free_frames(io, &io->writing);
    cg_str_fini(&io->line);
    cg_str_fini(&io->held);
    glue__shared_put(io->shared);
    io->ops->closed(io);
}

void glue__io_close(struct glue__io *io)
{
    if (!io->closing) {
        io->closing = true;
        io->framer = NULL;
        cg_list_del(&io->flush_link);
        free_frames(io, &io->out);
        uv_close((uv_handle_t *)&io->pipe, on_closed);
    }
}

static void set_buffer(int fd, int force, int plain)
{
    int bytes = GLUE__SOCKET_BYTES;
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0) {
        /* Without privilege the kernel grants what its limit allows. */
        (void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
    }
}

bool glue__io_peer_uid(struct glue__io *io, uint32_t *uid)
{
    uv_os_fd_t fd;
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (uv_fileno((uv_handle_t *)&io->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return false;
    }
    *uid = cred.uid;
    return true;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct glue__io *io = CG_CONTAINER(h, struct glue__io, pipe);
    size_t left = 0;
    uint8_t *space = io->framer ? ninep_framer_space(io->framer, &left) : NULL;
    io->direct = space && left >= GLUE__DIRECT_BYTES_MIN;
    if (io->direct) {
        *buf = uv_buf_init((char *)space, (unsigned)left);
    } else {
        *buf = uv_buf_init((char *)io->shared->staging,
                           io->bulk && !space ? GLUE__PEEK_BYTES : GLUE__STAGING_BYTES);
    }
}

static void give(struct glue__io *io, struct ninep_frame *f)
{
    io->bulk = f->len >= GLUE__DIRECT_BYTES_MIN;
    io->ops->frame(io, f);
}

static void read_stop(struct glue__io *io)
{
    if (io->reading) {
        io->reading = false;
        uv_read_stop((uv_stream_t *)&io->pipe);
    }
}

static bool choked(const struct glue__io *io)
{
    return io->bounded && io->out_bytes > GLUE__OUT_BYTES_MAX;
}

static void feed(struct glue__io *io, const uint8_t *data, size_t len)
{
    while (len > 0 && io->framer && !io->closing && !io->finishing) {
        if (choked(io)) {
            read_stop(io);
            if (cg_str_add(&io->held, data, len) != CG_OK) {
                io->ops->end(io, CG_ENOMEM, "no memory to hold what was read");
            }
            return;
        }
        size_t used;
        struct ninep_frame *f;
        cg_err e = ninep_framer_feed(io->framer, data, len, &used, &f);
        if (e != CG_OK) {
            io->ops->end(io, e, "the peer sent what is no frame");
            return;
        }
        data += used;
        len -= used;
        if (f) {
            give(io, f);
        }
    }
}

/* Takes bytes up to the newline. */
static void feed_line(struct glue__io *io, const uint8_t *data, size_t len)
{
    const uint8_t *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;
    if (io->line.len + n > NINEP_LINE_BYTES_MAX || memchr(data, 0, n)) {
        io->ops->end(io, CG_EPROTO, "the peer began with what is no line of text");
        return;
    }
    if (cg_str_add(&io->line, data, n) != CG_OK) {
        io->ops->end(io, CG_ENOMEM, "no memory for a line");
        return;
    }
    if (end) {
        io->ops->line(io, io->line.data);
        cg_str_fini(&io->line);
        io->line = (struct cg_str){0};
        feed(io, end + 1, len - n - 1);
    }
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct glue__io *io = CG_CONTAINER(h, struct glue__io, pipe);
    if (n == 0 || io->closing) {
        return;
    }
    if (n < 0) {
        io->ops->end(io, error_of((int)n),
                     n == UV_EOF ? "the other side closed the connection" : uv_strerror((int)n));
        return;
    }
    if (!io->framer) {
        feed_line(io, (uint8_t *)buf->base, (size_t)n);
    } else if (io->direct) {
        struct ninep_frame *f = ninep_framer_commit(io->framer, (size_t)n);
        if (f) {
            give(io, f);
        }
    } else {
        feed(io, (uint8_t *)buf->base, (size_t)n);
    }
    if (io->ops->turn && !io->closing) {
        io->ops->turn(io);
    }
}

void glue__io_framer(struct glue__io *io, struct ninep_framer *framer)
{
    io->framer = framer;
}

cg_err glue__io_start(struct glue__io *io)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&io->pipe, &fd) == 0) {
        set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
        set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    }
    int rc = uv_read_start((uv_stream_t *)&io->pipe, on_alloc, on_read);
    io->reading = rc == 0;
    return rc == 0 ? CG_OK : error_of(rc);
}

/* The slow reader has caught up: first what is held, then the socket. */
static void unchoke(struct glue__io *io)
{
    if (io->reading || io->closing || io->finishing || !io->bounded ||
        io->out_bytes > GLUE__OUT_BYTES_MAX / 2) {
        return;
    }
    struct cg_str held = io->held;
    io->held = (struct cg_str){0};
    feed(io, (uint8_t *)held.data, held.len);
    cg_str_fini(&held);
    if (io->ops->turn && !io->closing) {
        io->ops->turn(io);
    }
    if (!io->closing && !io->finishing && !io->held.len) {
        int rc = uv_read_start((uv_stream_t *)&io->pipe, on_alloc, on_read);
        io->reading = rc == 0;
    }
}

/* ---- writing ---- */

void glue__io_send(struct glue__io *io, struct ninep_frame *f)
{
    if (io->closing) {
        ninep_frame_free(f);
        return;
    }
    f->sent = 0;
    cg_list_push(&io->out, &f->link);
    io->out_bytes += f->len;
    struct glue__shared *s = io->shared;
    if (!f->lazy || io->out_bytes > GLUE__HOLD_BYTES_MAX) {
        move(io, &s->flushing);
    } else if (cg_list_empty(&io->flush_link)) {
        if (cg_list_empty(&s->holding)) {
            uv_timer_start(&s->hold, on_held, GLUE__HOLD_MS, 0);
        }
        move(io, &s->holding);
    }
}

void glue__io_hurry(struct glue__io *io)
{
    if (!cg_list_empty(&io->flush_link)) {
        move(io, &io->shared->flushing);
    }
}

void glue__io_finish(struct glue__io *io)
{
    if (!io->closing && !io->finishing) {
        io->finishing = true;
        read_stop(io);
        move(io, &io->shared->flushing);
    }
}

static unsigned gather(struct glue__io *io, uv_buf_t *bufs)
{
    unsigned n = 0;
    CG_LIST_EACH (it, &io->out) {
        struct ninep_frame *f = CG_CONTAINER(it, struct ninep_frame, link);
        bufs[n++] = uv_buf_init((char *)f->data + f->sent, f->len - f->sent);
        if (n == GLUE__WRITE_FRAMES_MAX) {
            break;
        }
    }
    return n;
}

/* So many bytes of out are written: true when all of the first frames were. */
static void advance(struct glue__io *io, size_t bytes)
{
    while (bytes > 0) {
        struct ninep_frame *f = CG_CONTAINER(io->out.next, struct ninep_frame, link);
        size_t n = f->len - f->sent;
        if (n > bytes) {
            f->sent += (uint32_t)bytes;
            return;
        }
        bytes -= n;
        cg_list_del(&f->link);
        io->out_bytes -= f->len;
        ninep_frame_free(f);
    }
}

static void on_written(uv_write_t *w, int status)
{
    struct glue__io *io = CG_CONTAINER(w, struct glue__io, write);
    free_frames(io, &io->writing);
    if (io->closing) {
        return;
    }
    if (status < 0) {
        io->ops->end(io, error_of(status), uv_strerror(status));
        return;
    }
    flush(io);
}

/* The socket is full: the loop writes the rest when it can. */
static int write_later(struct glue__io *io)
{
    uv_buf_t bufs[GLUE__WRITE_FRAMES_MAX];
    unsigned n = gather(io, bufs);
    for (unsigned i = 0; i < n; i++) {
        struct ninep_frame *f = CG_CONTAINER(io->out.next, struct ninep_frame, link);
        cg_list_del(&f->link);
        cg_list_push(&io->writing, &f->link);
    }
    return uv_write(&io->write, (uv_stream_t *)&io->pipe, bufs, n, on_written);
}

static void flush(struct glue__io *io)
{
    int rc = 0;
    while (rc >= 0 && !io->closing && cg_list_empty(&io->writing) && !cg_list_empty(&io->out)) {
        uv_buf_t bufs[GLUE__WRITE_FRAMES_MAX];
        unsigned n = gather(io, bufs);
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++) {
            bytes += bufs[i].len;
        }
        rc = uv_try_write((uv_stream_t *)&io->pipe, bufs, n);
        rc = rc == UV_EAGAIN ? 0 : rc;
        if (rc > 0) {
            advance(io, (size_t)rc);
        }
        if (rc >= 0 && (size_t)rc < bytes) {
            rc = io->finishing ? UV_EAGAIN : write_later(io);
        }
    }
    if (io->closing) {
        return;
    }
    if (io->finishing) {
        io->ops->end(io, CG_ECONNRESET, "closed");
    } else if (rc < 0) {
        io->ops->end(io, error_of(rc), uv_strerror(rc));
    } else {
        unchoke(io);
    }
}

/* ---- a line of the handshake ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const char *hex, uint8_t out[32])
{
    for (size_t i = 0; i < 32; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return hex[64] == 0;
}

bool glue__peer_parse(char *text, struct ninep_peer *peer)
{
    char *argv[3];
    *peer = (struct ninep_peer){0};
    return cg_tokenize(text, argv, CG_COUNT(argv)) == 2 && unhex(argv[0], peer->node_key) &&
           unhex(argv[1], peer->binding);
}
