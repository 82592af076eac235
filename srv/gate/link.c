/* link: one connection through the gate, from its first byte to its end.
 *
 * The net half is the TCP connection with its TLS; the plain half the Unix connection to a local
 * client or service (roster talks have none). uv_poll tells when a half can go on; what is asked of
 * it follows from the state alone (link_arm).
 */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct cg_counter refused = {.name = "cognu_gate_refused_total",
                                    .help = "links that ended with an error before they relayed"};

struct link *link_new(struct gate *g)
{
    struct link *l = g->link_count >= LINKS_MAX ? NULL : cg_zalloc(sizeof(*l));

    if (l == NULL) {
        return NULL;
    }
    l->gate = g;
    l->net.fd = l->plain.fd = -1;
    l->net.link = l->plain.link = l;
    g->link_count++;
    cg_list_push(&g->links, &l->list);
    return l;
}

void link_set_deadline(struct link *l, uint64_t ms)
{
    l->deadline_ms = ms == 0 ? 0 : gate_now_ms() + ms;
}

cg_err link_half(struct link *l, struct half *h, int fd)
{
    int rc = uv_poll_init(l->gate->loop, &h->poll, fd);

    if (rc != 0) {
        close(fd);
        return cg_err_from_errno(-rc);
    }
    h->fd = fd;
    l->handles++;
    return CG_OK;
}

/* ---- the end */

static void link_free(struct link *l)
{
    cg_str_fini(&l->in);
    secure_tls_free(l->tls);
    if (l->invite != NULL) {
        cg_wipe(l->invite, sizeof(*l->invite));
        cg_free(l->invite);
    }
    cg_free(l);
}

static void on_half_closed(uv_handle_t *handle)
{
    struct half *h = CG_CONTAINER(handle, struct half, poll);
    struct link *l = h->link;

    close(h->fd);
    if (--l->handles == 0) {
        link_free(l);
    }
}

void link_finish(struct link *l, cg_err e, const char *detail)
{
    void (*done)(void *, cg_err, const char *) = l->done;

    l->done = NULL;
    if (done != NULL) {
        done(l->aux, e, detail);
    }
}

static void uncount(struct link *l)
{
    struct gate *g = l->gate;
    struct peer *p = l->counted ? peer_get(g, l->key) : NULL;

    if (p != NULL) {
        p->links--;
    }
    if (l->guest) {
        g->guests--;
    }
    if (l->state == LINK_TALK) {
        g->talks--;
    }
    g->link_count--;
    l->counted = l->guest = false;
}

void link_close(struct link *l)
{
    struct half *const half[] = {&l->net, &l->plain};

    if (l->state == LINK_CLOSED) {
        return;
    }
    uncount(l);
    l->state = LINK_CLOSED;
    cg_list_del(&l->list);
    link_finish(l, CG_ELINKDOWN, "the connection ended before it was done");
    for (size_t i = 0; i < CG_COUNT(half); i++) {
        if (half[i]->fd >= 0) {
            uv_close((uv_handle_t *)&half[i]->poll, on_half_closed);
        }
    }
    if (l->handles == 0) {
        link_free(l);
    }
}

void link_drain(struct link *l)
{
    if (l->state == LINK_CLOSED) {
        return;
    }
    if (l->state == LINK_TALK) {
        l->gate->talks--;
    }
    l->state = LINK_DRAIN;
    link_set_deadline(l, DRAIN_MS);
    if (l->tls != NULL) {
        secure_tls_close(l->tls);
        (void)link_flush(l);
    }
}

/* Whoever waits for an answer is told the error. */
static void tell(struct link *l, cg_err e, const char *text)
{
    char line[LINE_BYTES_MAX];
    size_t len = line_error(line, e, text);

    if (l->plain.fd >= 0 && l->dialed && l->state < LINK_RELAY) {
        (void)send(l->plain.fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (!l->dialed && (l->state == LINK_SERVE || l->state == LINK_WAIT)) {
        (void)secure_tls_write(l->tls, line, len, NULL);
    }
}

static void log_failure(const struct link *l, cg_err e, const char *text)
{
    uint8_t key[32];
    char hex[65] = "unknown";
    bool shown = l->dialed || (l->tls != NULL && secure_tls_shown(l->tls, key));

    if (shown) {
        secure_hex(l->dialed ? l->want : key, 32, hex);
    }
    enum cg_level level = l->state == LINK_RELAY ? CG_INFO : CG_WARN;
    cg_log(level, "%s node %s%s%s: %s: %s",
           l->state == LINK_RELAY ? "lost"
           : l->dialed            ? "could not reach"
                                  : "refused",
           hex, l->service[0] ? " service " : "", l->service, cg_err_name(e), text);
}

void link_fail(struct link *l, cg_err e, const char *fmt, ...)
{
    char text[CG_DETAIL_BYTES];
    va_list args;

    if (l->state == LINK_CLOSED || l->state == LINK_DRAIN) {
        link_close(l);
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log_failure(l, e, text);
    if (l->state < LINK_RELAY) {
        cg_count(&refused, 1);
        if (l->dialed && l->state > LINK_DIAL) {
            peer_failed(l->gate, l->want, text);
        }
    }
    if (l->state == LINK_RELAY) {
        peer_doubted(l->gate, l->key);
    }
    link_finish(l, e, text);
    tell(l, e, text);
    if (l->state == LINK_RELAY || l->net.fd < 0 || l->tls == NULL) {
        link_close(l);
        return;
    }
    if (l->plain.fd >= 0) { /* it has its answer */
        (void)shutdown(l->plain.fd, SHUT_RDWR);
    }
    link_drain(l); /* an alert or an error line still has to arrive */
    link_arm(l);
}

/* ---- bytes of TLS */

bool link_flush(struct link *l)
{
    for (;;) {
        size_t len;
        const uint8_t *data = secure_tls_output(l->tls, &len);
        if (len == 0) {
            break;
        }
        ssize_t n = send(l->net.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (n < 0) {
            int err = errno;
            link_fail(l, cg_err_from_errno(err), "sending: %s", strerror(err));
            return false;
        }
        secure_tls_sent(l->tls, (size_t)n);
    }
    bool done = l->state == LINK_DRAIN || (l->state == LINK_RELAY && l->plain_eof);
    if (done && !l->net_shut) {
        l->net_shut = true;
        (void)shutdown(l->net.fd, SHUT_WR);
    }
    return true;
}

bool link_send(struct link *l, const void *data, size_t len)
{
    struct cg_errbuf eb = {0};
    cg_err e = secure_tls_write(l->tls, data, len, &eb);

    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return false;
    }
    return link_flush(l);
}

/* Receives once into TLS: 1: there was something, 0: nothing now or the end, -1: the link failed.
 */
static int receive(struct link *l, size_t most)
{
    struct cg_errbuf eb = {0};
    uint8_t *space = secure_tls_space(l->tls, most);

    if (space == NULL) {
        link_fail(l, CG_ENOMEM, "no memory to receive");
        return -1;
    }
    ssize_t n = recv(l->net.fd, space, most, MSG_DONTWAIT);
    if (n <= 0) {
        int err = n == 0 ? ECONNRESET : errno;
        (void)secure_tls_commit(l->tls, 0, NULL);
        if (n < 0 && (err == EAGAIN || err == EINTR)) {
            return 0;
        }
        link_fail(l, n == 0 ? CG_ECONNRESET : cg_err_from_errno(err), "%s",
                  n == 0 ? "the other side ended the connection" : strerror(err));
        return -1;
    }
    cg_err e = secure_tls_commit(l->tls, (size_t)n, &eb);
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return -1;
    }
    return link_flush(l) ? 1 : -1;
}

/* ---- states before the relay */

void link_begin_tls(struct link *l)
{
    const struct secure_tls_config config = {.id = l->gate->tls_id,
                                             .server = !l->dialed,
                                             .expect = l->dialed ? l->want : NULL,
                                             .accept = l->dialed ? NULL : serve_judge,
                                             .ctx = l};
    if (config.id == NULL) {
        link_fail(l, CG_EAGAIN, "the gate has no TLS key yet: is factotum running?");
        return;
    }
    if (secure_tls_new(&config, &l->tls) != CG_OK) {
        link_fail(l, CG_ENOMEM, "no memory for TLS");
        return;
    }
    l->state = LINK_TLS;
    (void)link_flush(l);
}

void link_known(struct link *l)
{
    struct peer *p = peer_get(l->gate, l->key);

    if (l->guest) {
        l->guest = false;
        l->gate->guests--;
    }
    if (p != NULL && !l->counted) {
        l->counted = true;
        p->links++;
    }
    if (l->dialed) {
        peer_reached(l->gate, l->key);
    }
}

static void connected(struct link *l)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(l->net.fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        link_fail(l, cg_err_from_errno(err != 0 ? err : EIO), "connecting: %s",
                  strerror(err != 0 ? err : EIO));
        return;
    }
    link_begin_tls(l);
}

/* Cuts the first line off l->in and gives it to the state's handler; what follows stays. */
static void take_line(struct link *l)
{
    char line[LINE_BYTES_MAX];
    char *end = l->in.len == 0 ? NULL : memchr(l->in.data, '\n', l->in.len);

    if (end == NULL) {
        if (l->in.len >= LINE_BYTES_MAX) {
            link_fail(l, CG_EPROTO, "a line of more than %d bytes", LINE_BYTES_MAX);
        }
        return;
    }
    size_t len = (size_t)(end - l->in.data);
    struct cg_span span = {(const uint8_t *)l->in.data, (uint32_t)len};
    if (!cg_span_str(span, line, sizeof(line))) {
        link_fail(l, CG_EPROTO, "a line too long, or with a NUL");
        return;
    }
    l->in.len -= len + 1;
    memmove(l->in.data, end + 1, l->in.len);
    if (l->state == LINK_DIAL) {
        dial_line(l, line);
    } else if (l->state == LINK_ASKED) {
        dial_answer(l, line);
    } else if (l->state == LINK_SERVE) {
        serve_line(l, line);
    }
}

/* Moves at most a line's worth of decrypted bytes into l->in. */
static bool fill_line(struct link *l)
{
    char part[LINE_BYTES_MAX];
    size_t n = 0;
    struct cg_errbuf eb = {0};
    cg_err e = secure_tls_read(l->tls, part, sizeof(part) - l->in.len % sizeof(part), &n, &eb);

    if (e == CG_OK && n > 0) {
        e = cg_str_add(&l->in, part, n);
    }
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
    }
    return e == CG_OK && n > 0;
}

static void handshake_net(struct link *l)
{
    if (receive(l, HANDSHAKE_BYTES) < 0) {
        return;
    }
    if (l->state == LINK_TLS && secure_tls_up(l->tls)) {
        secure_tls_peer(l->tls, l->key, l->binding);
        if (l->dialed) {
            dial_up(l);
        } else {
            l->state = LINK_SERVE;
        }
    }
    if ((l->state == LINK_ASKED || l->state == LINK_SERVE) && fill_line(l)) {
        take_line(l);
    }
}

static void drain_net(struct link *l)
{
    ssize_t n = recv(l->net.fd, l->gate->scratch, BURST_BYTES, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        link_close(l);
    }
}

static void dial_plain(struct link *l, int events)
{
    char part[LINE_BYTES_MAX];
    ssize_t n = recv(l->plain.fd, part, sizeof(part) - l->in.len % sizeof(part), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR) && (events & UV_DISCONNECT) == 0) {
        return;
    }
    if (n <= 0 || l->state != LINK_DIAL) {
        cg_log(CG_DEBUG, "a local client went away before it was connected");
        link_close(l);
        return;
    }
    if (cg_str_add(&l->in, part, (size_t)n) != CG_OK) {
        link_close(l);
        return;
    }
    take_line(l);
}

/* ---- events */

static void on_net(uv_poll_t *handle, int status, int events)
{
    struct link *l = CG_CONTAINER(handle, struct half, poll)->link;

    if (l->state == LINK_CONNECT) {
        connected(l);
    } else if (status < 0) {
        link_fail(l, CG_ECONNRESET, "the other side reset the connection");
    } else {
        bool ok = (events & UV_WRITABLE) == 0 || link_flush(l);
        if (ok && l->state == LINK_RELAY) {
            relay_net(l, events);
        } else if (ok && (events & UV_READABLE) != 0) {
            if (l->state == LINK_DRAIN) {
                drain_net(l);
            } else if (l->state == LINK_TALK) {
                if (receive(l, HANDSHAKE_BYTES) >= 0) {
                    talk_input(l);
                }
            } else if (l->state < LINK_RELAY) {
                handshake_net(l);
            }
        }
    }
    link_arm(l);
}

static void on_plain(uv_poll_t *handle, int status, int events)
{
    struct link *l = CG_CONTAINER(handle, struct half, poll)->link;

    if (status < 0 && l->state == LINK_RELAY) {
        relay_plain_gone(l);
    } else if (status < 0) {
        link_close(l);
    } else if (l->state == LINK_RELAY) {
        relay_plain(l, events);
    } else {
        dial_plain(l, events);
    }
    link_arm(l);
}

static int net_events(const struct link *l)
{
    size_t pending = 0;

    if (l->tls != NULL) {
        (void)secure_tls_output(l->tls, &pending);
    }
    int events = pending > 0 ? UV_WRITABLE : 0;
    switch (l->state) {
    case LINK_CONNECT:
        return UV_WRITABLE;
    case LINK_TLS:
    case LINK_ASKED:
    case LINK_SERVE:
    case LINK_TALK:
    case LINK_DRAIN:
        return events | UV_READABLE;
    case LINK_RELAY:
        return events | (l->net_eof || l->in.len > 0 ? 0 : UV_READABLE);
    default:
        return events;
    }
}

static int plain_events(const struct link *l)
{
    size_t pending = 0;

    switch (l->state) {
    case LINK_DIAL:
        return UV_READABLE;
    case LINK_CONNECT:
    case LINK_TLS:
    case LINK_ASKED:
        return UV_DISCONNECT;
    case LINK_RELAY:
        (void)secure_tls_output(l->tls, &pending);
        return (l->in.len > 0 ? UV_WRITABLE : 0) |
               (l->plain_eof || pending >= BURST_BYTES ? 0 : UV_READABLE);
    default:
        return 0;
    }
}

static void arm(struct half *h, int events, uv_poll_cb cb)
{
    if (h->fd < 0 || h->armed == events) {
        return;
    }
    h->armed = events;
    if (events == 0) {
        uv_poll_stop(&h->poll);
    } else {
        uv_poll_start(&h->poll, events, cb);
    }
}

void link_arm(struct link *l)
{
    if (l->state != LINK_CLOSED) {
        arm(&l->net, net_events(l), on_net);
        arm(&l->plain, plain_events(l), on_plain);
    }
}

/* ---- all links */

static bool still_member(const struct link *l)
{
    bool remote = l->state == LINK_RELAY || l->state == LINK_TALK || l->state == LINK_WAIT;

    return !remote || l->purpose == FOR_JOIN ||
           secure_roster_node_by_key(&l->gate->roster, l->key) != NULL;
}

/* Does the roster say another address than the one that was dialled? */
static bool peer_moved(const struct link *l)
{
    const struct secure_member *m = l->dialed && l->purpose != FOR_JOIN && l->to[0] != '\0'
                                        ? secure_roster_node_by_key(&l->gate->roster, l->want)
                                        : NULL;

    return m != NULL && strcmp(m->address, l->to) != 0;
}

void link_check_all(struct gate *g)
{
    uint64_t now_ms = gate_now_ms();

    CG_LIST_EACH (it, &g->links) {
        struct link *l = CG_CONTAINER(it, struct link, list);
        if (!still_member(l)) {
            link_fail(l, CG_EUNPAIRED, "the node was removed from the cell");
        } else if (peer_moved(l)) {
            link_fail(l, CG_ELINKDOWN, "the node has moved");
        } else if (l->deadline_ms != 0 && now_ms >= l->deadline_ms) {
            link_fail(l, CG_ETIMEDOUT, "no answer within %d s", ANSWER_MS / 1000);
        }
    }
}
