/* dial: the side that dials: for local clients, for roster talks, to join a cell. */
#include "gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the TCP connection */

static void tune(int fd)
{
    static const struct {
        int level, name, value;
    } option[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1}, /* whole records are written: nothing to wait for */
        {SOL_SOCKET, SO_KEEPALIVE, 1},          {IPPROTO_TCP, TCP_KEEPIDLE, 10},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 20000}, /* ms: a dead peer is known before calls expire */
    };
    for (size_t i = 0; i < CG_COUNT(option); i++) {
        (void)setsockopt(fd, option[i].level, option[i].name, &option[i].value, sizeof(int));
    }
}

static cg_err start_connect(struct link *l, const char *address, struct cg_errbuf *eb)
{
    struct sockaddr_storage to;
    socklen_t len = 0;

    snprintf(l->to, sizeof(l->to), "%s", address);
    if (strcmp(address, "-") == 0) {
        return cg_fail(eb, CG_EHOSTUNREACH, "the node has no address: it only dials");
    }
    cg_err e = line_address(address, &to, &len, eb);
    if (e != CG_OK) {
        return e;
    }
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int err = errno;
        return cg_fail(eb, cg_err_from_errno(err), "socket: %s", strerror(err));
    }
    tune(fd);
    int rc = connect(fd, (struct sockaddr *)&to, len);
    int err = errno;
    e = link_half(l, &l->net, fd);
    if (e != CG_OK) {
        return cg_fail(eb, e, "watching a socket");
    }
    if (rc != 0 && err != EINPROGRESS) {
        return cg_fail(eb, cg_err_from_errno(err), "connecting to %s: %s", address, strerror(err));
    }
    l->state = LINK_CONNECT;
    return CG_OK;
}

/* ---- on behalf of a local client */

void dial_accept(struct gate *g, int fd)
{
    struct link *l = link_new(g);
    int bytes = SOCKET_BYTES;

    if (l == NULL) {
        static const char full[] = "error 262 the gate has no room for more connections\n";
        (void)send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    l->dialed = true;
    l->state = LINK_DIAL;
    link_set_deadline(l, ANSWER_MS);
    if (link_half(l, &l->plain, fd) != CG_OK) {
        link_close(l);
        return;
    }
    link_arm(l);
}

void dial_line(struct link *l, char *line)
{
    struct gate *g = l->gate;
    struct line_dial dial;
    struct cg_errbuf eb = {0};
    cg_err e = line_parse_dial(line, &dial, &eb);

    if (e == CG_OK && l->in.len > 0) {
        e = cg_fail(&eb, CG_EPROTO, "bytes before the gate's answer");
    }
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    if (!g->in_cell) {
        link_fail(l, CG_EUNPAIRED, "this node is in no cell yet");
        return;
    }
    const struct secure_member *m = secure_roster_node(&g->roster, dial.node);
    if (m == NULL) {
        link_fail(l, CG_ENOENT, "no node '%s' in the roster", dial.node);
        return;
    }
    memcpy(l->want, m->key, 32);
    memcpy(l->service, dial.service, sizeof(l->service));
    link_set_deadline(l, ANSWER_MS);
    e = start_connect(l, m->address, &eb);
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
    }
}

/* ---- on the gate's own behalf */

void dial_node(struct gate *g, const char *address, const uint8_t key[32],
               const struct secure_invite *invite,
               void (*done)(void *aux, cg_err e, const char *detail), void *aux)
{
    struct cg_errbuf eb = {0};
    struct link *l = link_new(g);
    cg_err e = CG_OK;

    if (l == NULL) {
        done(aux, CG_ELIMIT, "the gate has no room for more connections");
        return;
    }
    l->dialed = true;
    l->purpose = invite != NULL ? FOR_JOIN : FOR_TALK;
    l->state = LINK_CONNECT;
    l->done = done;
    l->aux = aux;
    memcpy(l->want, key, 32);
    memcpy(l->service, ".roster", 8);
    link_set_deadline(l, ANSWER_MS);
    if (invite != NULL) {
        l->invite = cg_alloc(sizeof(*invite));
        e = l->invite != NULL ? CG_OK : cg_fail(&eb, CG_ENOMEM, "no memory for the invitation");
    }
    if (e == CG_OK && invite != NULL) {
        *l->invite = *invite;
    }
    e = e != CG_OK ? e : start_connect(l, address, &eb);
    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
    } else {
        link_arm(l);
    }
}

/* ---- both */

static void ask_service(struct link *l)
{
    char line[LINE_BYTES_MAX];
    int n = snprintf(line, sizeof(line), "service %s\n", l->service);

    l->state = LINK_ASKED;
    (void)link_send(l, line, (size_t)n);
}

/* An invitation's proof covers the connection: it can be made only now. */
static void ask_join(struct link *l)
{
    const struct gate *g = l->gate;
    char line[LINE_BYTES_MAX], hex[65], key[65] = "";
    uint8_t proof[32];

    secure_invite_proof(l->invite->secret, l->binding, g->key, l->key, proof);
    secure_hex(proof, 32, hex);
    int n = snprintf(line, sizeof(line), "join %s %s %s", hex, g->self, g->address);
    if (g->users > 0) {
        secure_hex(g->user[0].key, 32, key);
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s %s", g->user[0].name, key);
    }
    line[n++] = '\n';
    l->state = LINK_ASKED;
    (void)link_send(l, line, (size_t)n);
}

void dial_up(struct link *l)
{
    if (l->purpose == FOR_JOIN) {
        ask_join(l);
    } else {
        ask_service(l);
    }
}

static void answer_client(struct link *l)
{
    char line[LINE_BYTES_MAX], key[65], binding[65];

    secure_hex(l->key, 32, key);
    secure_hex(l->binding, 32, binding);
    int n = snprintf(line, sizeof(line), "ok %s %s\n", key, binding);
    if (send(l->plain.fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
        link_fail(l, CG_ECONNRESET, "the local client went away");
        return;
    }
    relay_start(l);
}

void dial_answer(struct link *l, char *line)
{
    struct cg_errbuf eb = {0};
    cg_err e = line_parse_answer(line, &eb);

    if (e != CG_OK) {
        link_fail(l, e, "%s", eb.text);
        return;
    }
    if (l->purpose != FOR_JOIN) {
        link_known(l);
    }
    if (l->purpose == FOR_SERVICE) {
        answer_client(l);
    } else {
        talk_start(l, l->purpose == FOR_TALK, true);
    }
}
