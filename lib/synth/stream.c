/* Streams between descriptors and requests, and lists of requests that wait.
 *
 * An answer may run other requests before it returns, and these may end the stream that the answer
 * came from. So a stream first moves bytes for all that can be answered, gathers those waiters on a
 * list of its own, and answers them last, touching itself no more.
 */
#include <cognu/synth.h>
#include <cognu/synth_stream.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct waiter {
    struct cg_list link;
    struct ninep_req *req;
    struct synth_stream *stream; /* NULL: waits for an event, or is about to be answered */
    bool settled;                /* about to be answered, with outcome */
    cg_err outcome;
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

/* w is done waiting: it is answered with the others of done. */
static void settle(struct waiter *w, cg_err outcome, struct cg_list *done)
{
    w->stream->waiting--;
    w->stream = NULL;
    w->settled = true;
    w->outcome = outcome;
    cg_list_del(&w->link);
    cg_list_push(done, &w->link);
}

static void answer_all(struct cg_list *done)
{
    while (!cg_list_empty(done)) {
        struct waiter *w = CG_CONTAINER(done->next, struct waiter, link);
        cg_err e = w->outcome;
        ninep_respond(unwait(w), e);
    }
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
static void poll_while_waiting(struct synth_stream *s);

void synth_cancel_waiting(struct ninep_req *r)
{
    struct waiter *w = r->aux;
    if (!w || w->settled) {
        return;
    }
    struct synth_stream *s = w->stream;
    unwait(w);
    if (s) {
        poll_while_waiting(s);
    }
    ninep_respond(r, CG_ECANCELED);
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

/* True when w can be answered, false when it must wait. */
static bool try_read(struct synth_stream *s, struct waiter *w, struct cg_list *done)
{
    struct ninep_req *r = w->req;
    ssize_t n = s->fd < 0 ? 0 : read(s->fd, r->data, r->data_cap);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !s->last) {
        return false;
    }
    cg_err e = CG_OK;
    /* A terminal whose other side is gone says EIO: the end. */
    if (n < 0 && errno != EIO && errno != EAGAIN) {
        e = cg_fail(&r->eb, cg_err_from_errno(errno), "read: %s", strerror(errno));
    }
    r->r.read.data.len = n > 0 ? (uint32_t)n : 0;
    r->r.read.eof = n <= 0 && r->data_cap && !(s->packets && n == 0 && s->fd >= 0);
    settle(w, e, done);
    return true;
}

static bool try_write(struct synth_stream *s, struct waiter *w, struct cg_list *done)
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
    synth_attr(synth_handle_of(r->fid), &r->r.write.attr);
    settle(w, e, done);
    return true;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct synth_stream *s = p->data;
    (void)events;
    if (status < 0) { /* an error waits to be read, and the loop has stopped polling for it */
        s->polled = false;
    }
    pump(s);
}

static void on_poll_closed(uv_handle_t *h)
{
    cg_free(h);
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
    if (want && !s->polled) {
        uv_poll_start(s->poll, s->writing ? UV_WRITABLE : UV_READABLE, on_poll);
    } else if (!want && s->polled && s->poll) {
        uv_poll_stop(s->poll);
    }
    s->polled = want;
}

static void pump(struct synth_stream *s)
{
    struct cg_list done;
    cg_list_init(&done);
    while (!cg_list_empty(&s->waiters)) {
        struct waiter *w = CG_CONTAINER(s->waiters.next, struct waiter, link);
        if (!(s->writing ? try_write(s, w, &done) : try_read(s, w, &done))) {
            break;
        }
    }
    if (!cg_list_empty(&s->waiters) && !s->poll && !make_poll(s)) {
        while (!cg_list_empty(&s->waiters)) {
            settle(CG_CONTAINER(s->waiters.next, struct waiter, link), CG_ENOMEM, &done);
        }
    }
    poll_while_waiting(s);
    answer_all(&done);
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

void synth_stream_finish(struct synth_stream *s)
{
    s->last = true;
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
