/* dev: see dev.h. */
#include "dev.h"
#include "notify.h"
#include <cognu/stats.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READS_MAX = 32,         /* requests a wakeup: then the other handles of the loop have a turn */
    REQUESTS_MAX = 1 << 15, /* under way: as many as a machine has tasks; 300 bytes each */
    KEPT_MAX = 128,         /* buffers of writes under way; each 1 MiB at most */
    POOL_MAX = 8,           /* idle buffers that are not given back */
    IDLE_MAX = 256,         /* idle freqs likewise */
};

struct fdev {
    uv_loop_t *loop;
    uv_poll_t poll;
    int fd;
    const struct fdev_ops *ops;
    void *ctx;
    struct fdev_terms terms;
    struct notifier *notifier;
    struct cg_list requests; /* freq.link */
    struct cg_list idle;     /* freq.link */
    uint32_t under_way, idle_count, kept, pooled;
    uint8_t *pool[POOL_MAX];
    uint8_t *buffer; /* the one that is read into */
    bool closed;
    bool initialised;
};

static struct cg_counter requests_total = {.name = "cognu_fuse_requests_total",
                                           .help = "Requests read from the kernel"};

/* ---- buffers and requests ---- */

static uint8_t *buffer_get(struct fdev *d)
{
    return d->pooled > 0 ? d->pool[--d->pooled] : cg_alloc(FMSG_REQUEST_BYTES_MAX);
}

static void buffer_put(struct fdev *d, uint8_t *buffer)
{
    if (buffer && d->pooled < POOL_MAX) {
        d->pool[d->pooled++] = buffer;
    } else {
        cg_free(buffer);
    }
}

static struct freq *freq_new(struct fdev *d)
{
    struct freq *r;
    if (d->idle_count > 0) {
        r = CG_CONTAINER(d->idle.next, struct freq, link);
        cg_list_del(&r->link);
        d->idle_count--;
    } else {
        r = cg_alloc(sizeof(*r));
    }
    if (r) {
        *r = (struct freq){.dev = d};
        cg_list_init(&r->graced);
        cg_list_push(&d->requests, &r->link);
        d->under_way++;
    }
    return r;
}

static void tell_answer(struct freq *r, bool after)
{
    if (r->dev->ops->answer && !r->dev->closed) {
        r->dev->ops->answer(r->dev->ctx, r, after);
    }
}

static void freq_end(struct freq *r)
{
    struct fdev *d = r->dev;
    tell_answer(r, true);
    cg_list_del(&r->link);
    cg_list_del(&r->graced);
    d->under_way--;
    if (r->buffer) {
        d->kept--;
        buffer_put(d, r->buffer);
    }
    if (d->idle_count < IDLE_MAX) {
        cg_list_push(&d->idle, &r->link);
        d->idle_count++;
    } else {
        cg_free(r);
    }
}

cg_err freq_keep(struct freq *r)
{
    struct fdev *d = r->dev;
    if (r->buffer) {
        return CG_OK;
    }
    cg_assert(d->buffer);
    if (d->kept >= KEPT_MAX) {
        return CG_ENOMEM;
    }
    r->buffer = d->buffer;
    d->buffer = NULL; /* the next read gets another one */
    d->kept++;
    return CG_OK;
}

/* ---- answers ---- */

static int send_reply(struct fdev *d, uint64_t unique, int error, struct iovec *iov, int parts)
{
    struct fuse_out_header h = {.error = -error, .unique = unique};
    iov[0] = (struct iovec){&h, sizeof(h)};
    for (int i = 0; i < parts; i++) {
        h.len += (uint32_t)iov[i].iov_len;
    }
    return writev(d->fd, iov, parts) < 0 ? errno : 0;
}

static void step(const struct freq *r, int error)
{
    if (r->trace) {
        cg_stats_step(r->trace, CG_LAYER_PROGRAM, cg_env_real.now_ns(cg_env_real.ctx) - r->begun_ns,
                      error ? cg_err_from_errno(error) : CG_OK, fmsg_op_name(r->m.h.opcode),
                      r->name);
    }
}

bool freq_reply(struct freq *r, const void *a, size_t alen, const void *b, size_t blen)
{
    step(r, 0);
    struct iovec iov[3] = {{0}, {(void *)(uintptr_t)a, alen}, {(void *)(uintptr_t)b, blen}};
    tell_answer(r, false);
    int why = send_reply(r->dev, r->m.h.unique, 0, iov, 3);
    if (why != 0 && why != ENOENT && why != ENODEV) {
        cg_log(CG_ERROR_LEVEL, "the kernel refuses an answer to %s: %s",
               fmsg_op_name(r->m.h.opcode), strerror(why));
        send_reply(r->dev, r->m.h.unique, EIO, iov, 1); /* the caller must not wait for ever */
    }
    freq_end(r);
    return why == 0;
}

void freq_error(struct freq *r, int error)
{
    struct iovec iov[1];
    cg_assert(error >= 0 && error < 512);
    step(r, error);
    tell_answer(r, false);
    send_reply(r->dev, r->m.h.unique, error, iov, 1);
    freq_end(r);
}

/* ---- requests that stay here ---- */

static void answer_init(struct fdev *d, struct freq *r)
{
    struct fuse_init_in *in = &r->m.in.init;
    struct fuse_init_out out;
    if (in->major != FUSE_KERNEL_VERSION) {
        /* A newer kernel asks again with our version when it sees it; an older one has no hope. */
        out = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION};
        freq_reply(r, &out, FUSE_COMPAT_INIT_OUT_SIZE, NULL, 0);
        return;
    }
    fmsg_init_reply(in, &out);
    d->terms.kernel_minor = in->minor;
    d->terms.flags = out.flags | (uint64_t)out.flags2 << 32;
    d->terms.resend = in->flags & FUSE_INIT_EXT && in->flags2 & FMSG_HAS_RESEND_2;
    d->initialised = true;
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void forget(struct fdev *d, const struct fmsg *m)
{
    if (m->h.opcode == FUSE_FORGET) {
        d->ops->forget(d->ctx, m->h.nodeid, m->in.forget.nlookup);
        return;
    }
    for (uint32_t i = 0; i < m->in.batch.count; i++) {
        struct fuse_forget_one one = fmsg_forget(m, i);
        d->ops->forget(d->ctx, one.nodeid, one.nlookup);
    }
}

static void interrupt(struct fdev *d, uint64_t unique)
{
    CG_LIST_EACH (l, &d->requests) {
        struct freq *r = CG_CONTAINER(l, struct freq, link);
        if (r->m.h.unique == unique) {
            d->ops->interrupt(d->ctx, r);
            return;
        }
    }
}

/* Messages without an answer. */
static bool take_oneway(struct fdev *d, const struct fmsg *m, cg_err e)
{
    switch (m->h.opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        if (e == CG_OK) {
            forget(d, m);
        }
        return true;
    case FUSE_INTERRUPT:
        if (e == CG_OK) {
            interrupt(d, m->in.interrupt.unique);
        }
        return true;
    default:
        return false;
    }
}

static void take(struct fdev *d, size_t len)
{
    struct fmsg m;
    cg_err e = fmsg_decode(&m, d->buffer, len);
    cg_count(&requests_total, 1);
    if (m.h.unique == 0 && m.h.opcode == 0) {
        cg_log(CG_ERROR_LEVEL, "the kernel sent %zu bytes that are no request", len);
        return;
    }
    if (take_oneway(d, &m, e)) {
        return;
    }
    struct freq *r = d->under_way < REQUESTS_MAX ? freq_new(d) : NULL;
    if (!r) {
        struct iovec iov[1];
        send_reply(d, m.h.unique, ENOMEM, iov, 1);
        return;
    }
    r->m = m;
    if (m.name && strlen(m.name) < sizeof(r->name)) {
        memcpy(r->name, m.name, strlen(m.name) + 1);
        r->m.name = r->name;
    }
    if (e == CG_EPROTO) {
        cg_log(CG_ERROR_LEVEL, "malformed %s request of %zu bytes", fmsg_op_name(m.h.opcode), len);
    }
    if (e != CG_OK) {
        freq_error(r, cg_err_errno(e));
    } else if (m.h.opcode == FUSE_INIT) {
        answer_init(d, r);
    } else if (m.h.opcode == FUSE_DESTROY) {
        freq_error(r, 0);
    } else {
        d->ops->request(d->ctx, r);
    }
}

/* False: nothing more to read now. */
static bool read_one(struct fdev *d)
{
    if (!d->buffer && !(d->buffer = buffer_get(d))) {
        cg_log(CG_ERROR_LEVEL, "no memory for a request");
        return false;
    }
    ssize_t n = read(d->fd, d->buffer, FMSG_REQUEST_BYTES_MAX);
    if (n > 0) {
        take(d, (size_t)n);
        return true;
    }
    switch (n == 0 ? ENODEV : errno) {
    case EINTR:
    case ENOENT: /* the request was interrupted before it was read */
        return true;
    case EAGAIN:
        return false;
    case ENODEV: /* unmounted */
    case ECONNABORTED:
        break;
    default:
        cg_log(CG_ERROR_LEVEL, "reading /dev/fuse: %s", strerror(errno));
        break;
    }
    uv_poll_stop(&d->poll);
    d->ops->gone(d->ctx);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct fdev *d = poll->data;
    (void)events;
    (void)status; /* an error shows in the read */
    for (int i = 0; i < READS_MAX && !d->closed; i++) {
        if (!read_one(d)) {
            return;
        }
    }
}

/* ---- life ---- */

static void on_settled(void *ctx, void *token)
{
    struct fdev *d = ctx;
    if (!d->closed) {
        d->ops->settled(d->ctx, token);
    }
}

cg_err fdev_new(uv_loop_t *loop, int fd, const struct fdev_ops *ops, void *ctx, struct fdev **out,
                struct cg_errbuf *eb)
{
    struct fdev *d = cg_zalloc(sizeof(*d));
    if (!d) {
        close(fd);
        return cg_fail(eb, CG_ENOMEM, "no memory for a FUSE device");
    }
    *d = (struct fdev){.loop = loop, .fd = fd, .ops = ops, .ctx = ctx};
    cg_list_init(&d->requests);
    cg_list_init(&d->idle);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    int e = uv_poll_init(loop, &d->poll, fd);
    if (e != 0) {
        close(fd);
        cg_free(d);
        return cg_fail(eb, CG_EINVAL,
                       "the descriptor cannot be polled: %s; pass an open and mounted /dev/fuse",
                       uv_strerror(e));
    }
    d->poll.data = d;
    uv_poll_start(&d->poll, UV_READABLE, on_readable);
    cg_err err = notifier_new(loop, fd, on_settled, d, &d->notifier);
    if (err != CG_OK) {
        fdev_free(d);
        return cg_fail(eb, err, "no thread for notifications");
    }
    *out = d;
    return CG_OK;
}

void fdev_resume(struct fdev *d, const struct fdev_terms *terms)
{
    struct fuse_out_header h = {.len = sizeof(h), .error = FMSG_NOTIFY_RESEND};
    d->terms = *terms;
    d->initialised = terms->kernel_minor != 0;
    if (write(d->fd, &h, sizeof(h)) < 0 && terms->resend) {
        cg_log(CG_ERROR_LEVEL, "the kernel does not give requests again: %s", strerror(errno));
    }
}

void fdev_lost(struct fdev *d, uint64_t unique)
{
    struct iovec iov[1];
    send_reply(d, unique, EIO, iov, 1);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct fdev *d = h->data;
    close(d->fd);
    d->fd = -1;
    CG_LIST_EACH (l, &d->idle) {
        cg_free(CG_CONTAINER(l, struct freq, link));
    }
    while (d->pooled > 0) {
        cg_free(d->pool[--d->pooled]);
    }
    cg_free(d->buffer);
    cg_free(d);
}

void fdev_free(struct fdev *d)
{
    d->closed = true;
    uv_poll_stop(&d->poll);
    /* The notifier may wait for these answers. */
    while (!cg_list_empty(&d->requests)) {
        freq_error(CG_CONTAINER(d->requests.next, struct freq, link), EIO);
    }
    if (d->notifier) {
        notifier_free(d->notifier);
    }
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
}

void *fdev_ctx(const struct fdev *d)
{
    return d->ctx;
}

const struct fdev_terms *fdev_terms(const struct fdev *d)
{
    return &d->terms;
}

struct cg_list *fdev_requests(struct fdev *d)
{
    return &d->requests;
}

/* ---- notes ---- */

void fdev_note_inode(struct fdev *d, uint64_t nodeid, int64_t off, int64_t len)
{
    if (d->initialised) {
        notifier_inode(d->notifier, nodeid, off, len);
    }
}

bool fdev_store(struct fdev *d, uint64_t nodeid, const void *data, uint32_t len)
{
    struct fuse_notify_store_out out = {.nodeid = nodeid, .size = len};
    struct fuse_out_header h = {.len = (uint32_t)(sizeof(h) + sizeof(out)) + len,
                                .error = FUSE_NOTIFY_STORE};
    struct iovec iov[3] = {{&h, sizeof(h)}, {&out, sizeof(out)}, {(void *)(uintptr_t)data, len}};
    return writev(d->fd, iov, CG_COUNT(iov)) == (ssize_t)h.len;
}

void fdev_note_store(struct fdev *d, uint64_t nodeid, uint64_t off, const void *data, uint32_t len,
                     struct ninep_frame *frame)
{
    if (d->initialised) {
        notifier_store(d->notifier, nodeid, off, data, len, frame);
    }
}

bool fdev_settled(struct fdev *d, void *token)
{
    return !d->initialised || notifier_settled(d->notifier, token);
}
