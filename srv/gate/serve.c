/* serve: the side that is dialled: who comes in, and what he gets. */
#include "gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char ok[] = "ok\n";

void serve_accept(struct gate *g, int fd)
{
    int one = 1, idle_s = 10, interval_s = 5, count = 3, timeout_ms = 20000;
    struct link *l = g->guests >= GUESTS_MAX ? NULL : link_new(g);

    if (l == NULL) {
        cg_log(CG_WARN, "refused a connection: %u links, %u of them not yet known", g->link_count,
               g->guests);
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    l->guest = true;
    g->guests++;
    l->state = LINK_CONNECT;
    link_set_deadline(l, ANSWER_MS);
    if (link_half(l, &l->net, fd) != CG_OK) {
        link_close(l);
        return;
    }
    link_begin_tls(l);
    link_arm(l);
}

cg_err serve_judge(void *link, const uint8_t key[32])
{
    struct gate *g = ((struct link *)link)->gate;
    const struct peer *p;

    if (secure_roster_gone(&g->roster, key)) {
        return CG_EREVOKED;
    }
    if (secure_roster_node_by_key(&g->roster, key) == NULL) {
        return invite_any(g) ? CG_OK : CG_EUNPAIRED; /* a stranger may only join (serve_line) */
    }
    p = peer_get(g, key);
    return p != NULL && p->links < PEER_LINKS_MAX ? CG_OK : CG_ELIMIT;
}

/* ---- a service */

static bool offered(const struct gate *g, const char *name)
{
    for (uint32_t i = 0; i < g->offers; i++) {
        if (strcmp(g->offer[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static cg_err connect_service(struct link *l, struct cg_errbuf *eb)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int bytes = SOCKET_BYTES;
    int n = snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s", l->gate->gate_dir, l->service);

    if (n >= (int)sizeof(to.sun_path)) {
        return cg_fail(eb, CG_ENAMETOOLONG, "the service's socket has too long a path");
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int err = errno;
        return cg_fail(eb, cg_err_from_errno(err), "socket: %s", strerror(err));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        int err = errno;
        close(fd);
        /* A server that is being restarted has no socket, or nobody behind it, for a moment. */
        return cg_fail(eb, err == EAGAIN ? CG_EAGAIN : CG_ECONNREFUSED, "service '%s': %s",
                       l->service, strerror(err));
    }
    return link_half(l, &l->plain, fd);
}

static void serve_service(struct link *l)
{
    char line[LINE_BYTES_MAX], key[65], binding[65];
    struct cg_errbuf eb = {0};

    if (!offered(l->gate, l->service)) {
        link_fail(l, CG_ENOSERVICE, "node '%s' offers no service '%s'", l->gate->self, l->service);
        return;
    }
    cg_err e = connect_service(l, &eb);
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    secure_hex(l->key, 32, key);
    secure_hex(l->binding, 32, binding);
    int n = snprintf(line, sizeof(line), "peer %s %s\n", key, binding);
    if (send(l->plain.fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
        link_fail(l, CG_ECONNREFUSED, "service '%s' does not listen", l->service);
        return;
    }
    if (link_send(l, ok, sizeof(ok) - 1)) {
        relay_start(l);
    }
}

/* ---- a joiner */

static void serve_join(struct link *l, const struct line_ask *ask)
{
    struct cg_errbuf eb = {0};
    cg_err e = invite_admit(l, ask, &eb);

    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    link_known(l);
    l->state = LINK_WAIT;
    l->wait_serial = l->gate->roster.serial;
    link_set_deadline(l, ANSWER_MS);
    serve_roster_saved(l->gate); /* a member already: there is nothing to wait for */
}

void serve_roster_saved(struct gate *g)
{
    CG_LIST_EACH (it, &g->links) {
        struct link *l = CG_CONTAINER(it, struct link, list);
        if (l->state == LINK_WAIT && g->sealed_serial >= l->wait_serial) {
            if (link_send(l, ok, sizeof(ok) - 1)) {
                talk_start(l, true, false);
            }
            link_arm(l);
        }
    }
}

/* ---- the first line */

void serve_line(struct link *l, char *line)
{
    struct line_ask ask;
    struct cg_errbuf eb = {0};
    cg_err e = line_parse_ask(line, &ask, &eb);

    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
    } else if (ask.join) {
        serve_join(l, &ask);
    } else if (secure_roster_node_by_key(&l->gate->roster, l->key) == NULL) {
        link_fail(l, CG_EUNPAIRED, "the node is not in the roster of this cell");
    } else {
        memcpy(l->service, ask.service, sizeof(l->service));
        link_known(l);
        if (strcmp(ask.service, ".roster") != 0) {
            serve_service(l);
        } else if (l->gate->talks >= TALKS_MAX) {
            link_fail(l, CG_ELIMIT, "too many roster talks at once");
        } else if (link_send(l, ok, sizeof(ok) - 1)) {
            talk_start(l, true, true);
        }
    }
}
