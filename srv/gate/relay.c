/* relay: bytes between the two halves of a link.
 *
 * One burst is read, encrypted or decrypted, and written in one go; nothing is copied in between
 * but by OpenSSL. Each direction holds at most two bursts: it reads no more while more than one
 * waits to be written. A direction that ended is passed on as such; the link ends with the second.
 */
#include "gate.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct cg_counter bytes_in = {.name = "cognu_gate_received_bytes_total",
                                     .help = "relayed bytes that came from other nodes"};
static struct cg_counter bytes_out = {.name = "cognu_gate_sent_bytes_total",
                                      .help = "relayed bytes that went to other nodes"};
static struct cg_counter started = {.name = "cognu_gate_links_total",
                                    .help = "connections that were relayed"};

static void end_if_done(struct link *l)
{
    if (l->state == LINK_RELAY && l->net_shut && l->plain_shut) {
        link_close(l);
    }
}

/* The plain half is gone in both directions: so is the link, once the peer knows. What it sent
 * before it went goes first, for a client's last request gives its leases back. */
void relay_plain_gone(struct link *l)
{
    ssize_t n = l->plain_eof ? 0 : 1;

    l->plain_shut = true;
    while (n > 0 && l->state == LINK_RELAY) {
        n = recv(l->plain.fd, l->gate->scratch, BURST_BYTES, MSG_DONTWAIT);
        if (n > 0) {
            tap(l, true, l->gate->scratch, (size_t)n);
            (void)link_send(l, l->gate->scratch, (size_t)n);
        }
    }
    l->plain_eof = true;
    if (l->state == LINK_RELAY) {
        link_drain(l);
    }
}

/* Writes what waits for the plain half; true: nothing waits any more. */
static bool flush_plain(struct link *l)
{
    while (l->in.len > l->in_sent) {
        ssize_t n = send(l->plain.fd, l->in.data + l->in_sent, l->in.len - l->in_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        if (n < 0) {
            relay_plain_gone(l);
            return false;
        }
        l->in_sent += (size_t)n;
    }
    cg_str_fini(&l->in);
    memset(&l->in, 0, sizeof(l->in));
    l->in_sent = 0;
    return true;
}

static void write_plain(struct link *l, const uint8_t *data, size_t len)
{
    ssize_t n = send(l->plain.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        relay_plain_gone(l);
        return;
    }
    size_t done = n < 0 ? 0 : (size_t)n;
    if (done < len && cg_str_add(&l->in, data + done, len - done) != CG_OK) {
        link_fail(l, CG_ENOMEM, "no memory for bytes that wait");
    }
}

/* Decrypts what has arrived, as long as the plain half takes it. */
static void decrypt(struct link *l)
{
    struct peer *p = peer_get(l->gate, l->key);
    struct cg_errbuf eb = {0};

    while (l->state == LINK_RELAY && l->in.len == 0) {
        size_t n = 0;
        cg_err e = secure_tls_read(l->tls, l->gate->scratch, BURST_BYTES, &n, &eb);
        if (e == CG_ECONNRESET) { /* the peer said that it has no more */
            l->net_eof = l->plain_shut = true;
            (void)shutdown(l->plain.fd, SHUT_WR);
            break;
        }
        if (e != CG_OK) {
            link_fail(l, e, "%s", eb.text);
            return;
        }
        if (n == 0) {
            break;
        }
        cg_count(&bytes_in, n);
        if (p != NULL) {
            p->bytes_in += n;
        }
        tap(l, false, l->gate->scratch, n);
        write_plain(l, l->gate->scratch, n);
    }
    if (l->state == LINK_RELAY && link_flush(l)) { /* an answer of TLS itself */
        end_if_done(l);
    }
}

static void from_net(struct link *l)
{
    struct cg_errbuf eb = {0};
    uint8_t *space = secure_tls_space(l->tls, BURST_BYTES);

    if (space == NULL) {
        link_fail(l, CG_ENOMEM, "no memory to receive");
        return;
    }
    ssize_t n = recv(l->net.fd, space, BURST_BYTES, MSG_DONTWAIT);
    int err = errno;
    cg_err e = secure_tls_commit(l->tls, n > 0 ? (size_t)n : 0, &eb);
    if (n < 0 && (err == EAGAIN || err == EINTR)) {
        return;
    }
    if (n <= 0) { /* an end without TLS's own is a cut, not an end */
        link_fail(l, CG_ECONNRESET, "%s", n == 0 ? "the connection was cut" : strerror(err));
        return;
    }
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    decrypt(l);
}

static void from_plain(struct link *l)
{
    struct peer *p = peer_get(l->gate, l->key);
    ssize_t n = recv(l->plain.fd, l->gate->scratch, BURST_BYTES, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        l->plain_eof = true;
        secure_tls_close(l->tls);
        if (link_flush(l)) {
            end_if_done(l);
        }
        return;
    }
    cg_count(&bytes_out, (uint64_t)n);
    if (p != NULL) {
        p->bytes_out += (uint64_t)n;
    }
    tap(l, true, l->gate->scratch, (size_t)n);
    (void)link_send(l, l->gate->scratch, (size_t)n);
}

void relay_start(struct link *l)
{
    l->state = LINK_RELAY;
    link_set_deadline(l, 0);
    cg_count(&started, 1);
    l->in_sent = 0;
    tap(l, false, (const uint8_t *)l->in.data, l->in.len);
    if (flush_plain(l)) { /* bytes that came with the first line */
        decrypt(l);
    }
}

void relay_net(struct link *l, int events)
{
    end_if_done(l); /* the last bytes were just flushed */
    if (l->state == LINK_RELAY && (events & UV_READABLE) != 0 && l->in.len == 0 && !l->net_eof) {
        from_net(l);
    }
}

void relay_plain(struct link *l, int events)
{
    if ((events & UV_WRITABLE) != 0 && l->in.len > 0 && flush_plain(l)) {
        decrypt(l);
    }
    if (l->state == LINK_RELAY && (events & UV_READABLE) != 0 && !l->plain_eof) {
        from_plain(l);
    }
}
