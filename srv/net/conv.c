/* Conversations: sockets behind requests. A connected socket is given to the two streams, each with
 * its own descriptor, so that each direction is polled only while somebody waits for it. */
#include "conv.h"

#include <cognu/synth.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uv_loop_t *the_loop;
static conv_accepted *on_accepted;
static struct cg_list convs;
static uint64_t last_id;
static uint32_t conv_count;

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* ---- addresses: ADDRESS!PORT, numbers only; names are for cs ---- */

static bool parse_address(const char *text, union address *out, socklen_t *len)
{
    char host[ADDR_BYTES], *end;
    const char *bang = strchr(text, '!');
    if (!bang || !cg_span_str((struct cg_span){(const uint8_t *)text, (uint32_t)(bang - text)},
                              host, sizeof host)) {
        return false;
    }
    unsigned long port = strtoul(bang + 1, &end, 10);
    if (!bang[1] || *end || port > UINT16_MAX) {
        return false;
    }
    *out = (union address){0};
    if (strcmp(host, "*") == 0 || inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)port);
        *len = sizeof out->v4;
        return true;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons((uint16_t)port);
    *len = sizeof out->v6;
    return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1;
}

static cg_err print_address(const union address *a, struct cg_str *out)
{
    char host[INET6_ADDRSTRLEN] = "::";
    bool v4 = a->any.sa_family == AF_INET;
    const void *from = v4 ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr;
    inet_ntop(a->any.sa_family, from, host, sizeof host);
    return cg_str_addf(out, "%s!%u\n", host, ntohs(v4 ? a->v4.sin_port : a->v6.sin6_port));
}

static cg_err bad_address(const char *address, struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_EINVAL, "'%s' is no ADDRESS!PORT; names are translated by cs", address);
}

/* ---- life ---- */

void convs_init(uv_loop_t *loop, conv_accepted *accepted)
{
    the_loop = loop;
    on_accepted = accepted;
    cg_list_init(&convs);
}

cg_err conv_new(enum proto proto, uint64_t principal, struct conv **out)
{
    if (conv_count == CONVS_MAX) {
        return CG_ELIMIT;
    }
    struct conv *c = cg_zalloc(sizeof *c);
    if (!c) {
        return CG_ENOMEM;
    }
    *c = (struct conv){
        .id = ++last_id, .principal = principal, .proto = proto, .fd = -1, .opens = 1};
    synth_stream_init(&c->in, the_loop, false);
    synth_stream_init(&c->out, the_loop, true);
    c->in.packets = proto == PROTO_UDP;
    cg_list_init(&c->listeners);
    cg_list_push(&convs, &c->link);
    conv_count++;
    *out = c;
    return CG_OK;
}

struct conv *conv_by_id(uint64_t id)
{
    CG_LIST_EACH (it, &convs) {
        struct conv *c = CG_CONTAINER(it, struct conv, link);
        if (c->id == id) {
            return c;
        }
    }
    return NULL;
}

struct conv *conv_after(enum proto proto, uint64_t id)
{
    CG_LIST_EACH (it, &convs) {
        struct conv *c = CG_CONTAINER(it, struct conv, link);
        if (c->id > id && c->proto == proto) {
            return c;
        }
    }
    return NULL;
}

static void on_poll_closed(uv_handle_t *h)
{
    cg_free(h);
}

static void stop_poll(struct conv *c)
{
    if (c->poll) {
        uv_close((uv_handle_t *)c->poll, on_poll_closed);
        c->poll = NULL;
    }
}

static bool start_poll(struct conv *c, int events, uv_poll_cb cb)
{
    c->poll = cg_zalloc(sizeof *c->poll);
    if (!c->poll || uv_poll_init(the_loop, c->poll, c->fd) < 0) {
        cg_free(c->poll);
        c->poll = NULL;
        return false;
    }
    c->poll->data = c;
    return uv_poll_start(c->poll, events, cb) == 0;
}

static void answer_connect(struct conv *c, cg_err e)
{
    struct ninep_req *r = c->connecting;
    c->connecting = NULL;
    if (r && e) {
        ninep_respond(r, cg_fail(&r->eb, e, "connect: %s", cg_err_meaning(e)));
    } else if (r) {
        synth_wrote(r);
    }
}

/* The caller holds c: answers may close handles. */
void conv_hangup(struct conv *c)
{
    stop_poll(c);
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    synth_stream_close(&c->in);
    synth_stream_close(&c->out);
    c->state = CONV_CLOSED;
    for (struct ninep_req *r; (r = synth_wake(&c->listeners));) {
        ninep_respond(r, cg_fail(&r->eb, CG_ECONNRESET, "the conversation was hung up"));
    }
    answer_connect(c, CG_ECANCELED); /* last: what connects holds the conversation */
}

void conv_ref(struct conv *c)
{
    c->opens++;
}

void conv_unref(struct conv *c)
{
    cg_assert(c->opens > 0);
    if (--c->opens == 0) {
        cg_list_del(&c->link); /* first: nobody finds it while its requests are answered */
        conv_count--;
        conv_hangup(c);
        cg_free(c);
    }
}

/* ---- connect ---- */

static void end_connect(struct conv *c, cg_err e)
{
    struct ninep_req *r = c->connecting;
    if (e) {
        c->connecting = NULL; /* the hangup would answer it with another error */
        conv_hangup(c);
        c->connecting = r;
    }
    answer_connect(c, e);
}

static cg_err establish(struct conv *c)
{
    int other = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
    if (other < 0) {
        return cg_err_from_errno(errno);
    }
    stop_poll(c);
    int one = 1;
    if (c->proto == PROTO_TCP) {
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    c->state = CONV_ESTABLISHED;
    synth_stream_open(&c->in, c->fd);
    synth_stream_open(&c->out, other);
    c->fd = -1;
    return CG_OK;
}

static void on_connected(uv_poll_t *p, int status, int events)
{
    (void)events;
    struct conv *c = p->data;
    int err = 0;
    socklen_t len = sizeof err;
    (void)status; /* says only that there is an error, not which */
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        err = EIO;
    }
    cg_err e = err ? cg_err_from_errno(err) : establish(c);
    end_connect(c, e);
}

static cg_err open_socket(struct conv *c, int family, struct cg_errbuf *eb)
{
    if (c->state != CONV_CLOSED) {
        return cg_fail(eb, CG_EBUSY, "the conversation is in use: hang it up first");
    }
    int type = c->proto == PROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    c->fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return c->fd < 0 ? cg_fail(eb, cg_err_from_errno(errno), "no socket: %s", strerror(errno))
                     : CG_OK;
}

void conv_connect(struct conv *c, const char *address, struct ninep_req *r)
{
    union address to;
    socklen_t len;
    cg_err e = parse_address(address, &to, &len) ? open_socket(c, to.any.sa_family, &r->eb)
                                                 : bad_address(address, &r->eb);
    if (e) {
        ninep_respond(r, e);
        return;
    }
    c->connecting = r;
    if (connect(c->fd, &to.any, len) == 0) {
        end_connect(c, establish(c));
    } else if (errno != EINPROGRESS) {
        end_connect(c, cg_err_from_errno(errno));
    } else if (!start_poll(c, UV_WRITABLE, on_connected)) {
        end_connect(c, CG_ENOMEM);
    } else {
        c->state = CONV_CONNECTING;
    }
}

/* ---- announce, listen ---- */

cg_err conv_announce(struct conv *c, const char *address, struct cg_errbuf *eb)
{
    union address at;
    socklen_t len;
    if (c->proto != PROTO_TCP) {
        return cg_fail(eb, CG_EOPNOTSUPP, "udp conversations are connected ones: use connect");
    }
    if (!parse_address(address, &at, &len)) {
        return bad_address(address, eb);
    }
    cg_err e = open_socket(c, at.any.sa_family, eb);
    if (e) {
        return e;
    }
    int one = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(c->fd, &at.any, len) < 0 || listen(c->fd, BACKLOG) < 0) {
        e = cg_err_from_errno(errno);
        conv_hangup(c);
        return cg_fail(eb, e, "announce %s: %s", address, cg_err_meaning(e));
    }
    c->state = CONV_ANNOUNCED;
    return CG_OK;
}

static void take_calls(struct conv *c)
{
    while (!cg_list_empty(&c->listeners)) {
        int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) {
            return;
        }
        struct ninep_req *r = synth_wake(&c->listeners);
        struct conv *call = NULL;
        cg_err e = fd < 0 ? cg_err_from_errno(errno) : conv_new(c->proto, c->principal, &call);
        if (!e) {
            call->fd = fd;
            fd = -1;
            e = establish(call);
        }
        if (fd >= 0) {
            close(fd);
        }
        if (e) {
            if (call) {
                conv_unref(call);
            }
            ninep_respond(r, e);
        } else {
            on_accepted(r, call);
        }
    }
}

static void on_call(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    struct conv *c = p->data;
    conv_ref(c); /* an answer may close the last handle */
    take_calls(c);
    if (cg_list_empty(&c->listeners)) {
        stop_poll(c);
    }
    conv_unref(c);
}

void conv_listen(struct conv *c, struct ninep_req *r)
{
    if (c->state != CONV_ANNOUNCED) {
        ninep_respond(r, cg_fail(&r->eb, CG_EINVAL, "announce an address first"));
        return;
    }
    cg_err e = synth_wait(&c->listeners, r);
    if (!e && !c->poll && !start_poll(c, UV_READABLE, on_call)) {
        synth_cancel_waiting(r);
    } else if (e) {
        ninep_respond(r, e);
    }
}

void conv_cancel(struct conv *c, struct ninep_req *r)
{
    if (c && c->connecting == r) {
        conv_hangup(c);
        return;
    }
    synth_cancel_waiting(r);
}

/* ---- what it tells ---- */

const char *conv_state_name(const struct conv *c)
{
    static const char *const names[] = {"Closed", "Connecting", "Established", "Announced"};
    return names[c->state];
}

cg_err conv_address(struct conv *c, bool local, struct cg_str *out)
{
    union address a = {0};
    socklen_t len = sizeof a;
    int fd = c->fd >= 0 ? c->fd : c->in.fd;
    int r = fd < 0 ? -1 : local ? getsockname(fd, &a.any, &len) : getpeername(fd, &a.any, &len);
    return r < 0 ? cg_str_addf(out, "::!0\n") : print_address(&a, out);
}
