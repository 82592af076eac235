/* Streams between descriptors and requests, and lists of requests that wait. */
#include <cognu/synth_stream.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct waiter {
    struct cg_list link;
    struct ninep_req *req;
    struct synth_stream *stream; /* NULL: waits for an event */
};

static struct waiter *wait_in(struct cg_list *list, struct synth_stream *s, struct ninep_req *r)
{
    struct waiter *w = cg_zalloc(sizeof *w);
    if (w) {
        *w = (struct waiter){.req = r, .stream = s};
        cg_list_push(list, &w->link);
        r->aux = w;
    }
    return w;
}

static struct ninep_req *unwait(struct waiter *w)
{
    struct ninep_req *r = w->req;
    if (w->stream) {
        w->stream->waiting--;
    }
    cg_list_del(&w->link);
    r->aux = NULL;
    cg_free(w);
    return r;
}

cg_err synth_wait(struct cg_list *waiters, struct ninep_req *r)
{
    return wait_in(waiters, NULL, r) ? CG_OK : CG_ENOMEM;
}

struct ninep_req *synth_wake(struct cg_list *waiters)
{
    return cg_list_empty(waiters) ? NULL : unwait(CG_CONTAINER(waiters->next, struct waiter, link));
}

static void pump(struct synth_stream *s);

void synth_cancel_waiting(struct ninep_req *r)
{
    struct waiter *w = r->aux;
    if (!w) {
        return;
    }
    struct synth_stream *s = w->stream;
    ninep_respond(unwait(w), CG_ECANCELED);
    if (s) {
        pump(s);
    }
}

void synth_answer_text(struct ninep_req *r, const char *text, size_t len)
{
    uint64_t offset = r->t.read.offset;
    size_t left = offset < len ? len - (size_t)offset : 0;
    uint32_t n = left < r->data_cap ? (uint32_t)left : r->data_cap;
    if (n) {
        memcpy(r->data, text + offset, n);
    }
    r->r.read.data.len = n;
    r->r.read.eof = n == left;
}

/* True when w was answered, false when it must wait. */
static bool try_read(struct synth_stream *s, struct waiter *w)
{
    struct ninep_req *r = w->req;
    ssize_t n = s->fd < 0 ? 0 : read(s->fd, r->data, r->data_cap);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    cg_err e = CG_OK;
    if (n < 0 && errno != EIO) { /* a terminal whose other side is gone says EIO: the end */
        e = cg_fail(&r->eb, cg_err_from_errno(errno), "read: %s", strerror(errno));
    }
    r->r.read.data.len = n > 0 ? (uint32_t)n : 0;
    r->r.read.eof = n <= 0 && !(s->packets && n == 0 && s->fd >= 0);
    ninep_respond(unwait(w), e);
    return true;
}

static bool try_write(struct synth_stream *s, struct waiter *w)
{
    struct ninep_req *r = w->req;
    struct cg_span data = r->t.write.data;
    ssize_t n = -1;
    errno = EPIPE;
    if (s->fd >= 0) {
        n = write(s->fd, data.data, data.len);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    cg_err e = CG_OK;
    if (n < 0) {
        e = cg_fail(&r->eb, cg_err_from_errno(errno), "the other side takes no more");
    }
    r->r.write.count = n > 0 ? (uint32_t)n : 0;
    ninep_respond(unwait(w), e);
    return true;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    pump(p->data);
}

static void on_poll_closed(uv_handle_t *h)
{
    cg_free(h);
}

static void refuse_all(struct synth_stream *s, cg_err e)
{
    while (!cg_list_empty(&s->waiters)) {
        ninep_respond(unwait(CG_CONTAINER(s->waiters.next, struct waiter, link)), e);
    }
}

static bool make_poll(struct synth_stream *s)
{
    s->poll = cg_zalloc(sizeof *s->poll);
    if (!s->poll || uv_poll_init(s->loop, s->poll, s->fd) < 0) {
        cg_free(s->poll);
        s->poll = NULL;
        return false;
    }
    s->poll->data = s;
    return true;
}

static void poll_while_waiting(struct synth_stream *s)
{
    bool want = !cg_list_empty(&s->waiters) && s->fd >= 0;
    if (want && !s->poll && !make_poll(s)) {
        refuse_all(s, CG_ENOMEM);
        return;
    }
    if (want && !s->polled) {
        uv_poll_start(s->poll, s->writing ? UV_WRITABLE : UV_READABLE, on_poll);
    } else if (!want && s->polled && s->poll) {
        uv_poll_stop(s->poll);
    }
    s->polled = want;
}

static void pump(struct synth_stream *s)
{
    while (!cg_list_empty(&s->waiters)) {
        struct waiter *w = CG_CONTAINER(s->waiters.next, struct waiter, link);
        if (!(s->writing ? try_write(s, w) : try_read(s, w))) {
            break;
        }
    }
    poll_while_waiting(s);
}

void synth_stream_init(struct synth_stream *s, uv_loop_t *loop, bool writing)
{
    *s = (struct synth_stream){.loop = loop, .fd = -1, .writing = writing};
    cg_list_init(&s->waiters);
}

void synth_stream_open(struct synth_stream *s, int fd)
{
    cg_assert(s->fd < 0 && fd >= 0);
    s->fd = fd;
    pump(s);
}

void synth_stream_close(struct synth_stream *s)
{
    if (s->poll) {
        uv_close((uv_handle_t *)s->poll, on_poll_closed);
        s->poll = NULL;
        s->polled = false;
    }
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    pump(s);
}

void synth_stream_request(struct synth_stream *s, struct ninep_req *r)
{
    if (s->waiting == SYNTH_WAITERS_MAX) {
        ninep_respond(r, cg_fail(&r->eb, CG_ELIMIT, "too many requests wait on this stream"));
        return;
    }
    if (!wait_in(&s->waiters, s, r)) {
        ninep_respond(r, CG_ENOMEM);
        return;
    }
    s->waiting++;
    pump(s);
}
