/* serve_main: a whole file server as a program: options, sockets, loop, a clean end.
 *
 * Sockets are inherited by number from init, or made at a path: a stale one is removed, the new one
 * is for its owner alone until init says otherwise. SIGTERM and SIGINT end the listeners, then the
 * server; a second one ends the process at once.
 *
 * Plaintext TCP is for foreign clients on this machine, or in a network that the operator answers
 * for: nobody proves who he is, so all who come that way are one user, by default nobody.
 */
#include "glue.h"
#include <cognu/stats.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 128,
    LISTENERS_MAX = 8,       /* two are usual: local and gate */
    DESCRIPTORS_MAX = 65536, /* one a connection and what the file server itself opens */
    NOBODY = 65534,
};

struct socket {
    const char *path;    /* NULL: inherited, or TCP */
    const char *address; /* of plaintext TCP */
    int fd;
    bool from_gate;
    struct ninep_listener *listener;
};

struct program {
    struct socket socket[LISTENERS_MAX];
    int sockets;
    int plaintext_uid; /* who comes by plaintext TCP */
    struct ninep_server *server;
    uv_signal_t term, interrupt;
    bool stopping;
};

static void usage(FILE *to, const char *name)
{
    fprintf(to,
            "usage: %s [options]\n"
            "  --socket PATH        serve local clients on a new Unix socket\n"
            "  --gate-socket PATH   the same for the node's gate, which names each peer\n"
            "  --fd N               serve local clients on an inherited listening socket\n"
            "  --gate-fd N          the same for the gate\n"
            "  --foreign            also speak 9P2000.L and 9P2000\n"
            "  --plaintext-tcp HOST:PORT\n"
            "                       serve at a numeric address WITHOUT ENCRYPTION AND WITHOUT\n"
            "                       AUTHENTICATION: for foreign clients on loopback; implies\n"
            "                       --foreign\n"
            "  --plaintext-uid N    the user that all of them are (%d, nobody)\n"
            "  --help               this text\n"
            "Each of the sockets may be given several times, %d in all.\n",
            name, NOBODY, LISTENERS_MAX);
}

/* A listening Unix socket at path, for its owner alone. */
static cg_err make_socket(const char *path, int *out, struct cg_errbuf *eb)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof a.sun_path) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%s: longer than the %zu bytes of a socket's name",
                       path, sizeof a.sun_path - 1);
    }
    memcpy(a.sun_path, path, strlen(path));
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            return cg_fail(eb, CG_EEXIST, "%s: is there, and is no socket: remove it", path);
        }
        (void)unlink(path); /* what a dead server left; bind tells if it could not go */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "socket: %m");
    }
    mode_t mask = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&a, sizeof a);
    rc = rc != 0 ? rc : listen(fd, BACKLOG); /* who sees the name may connect, served soon */
    int saved = errno;
    umask(mask);
    if (rc != 0) {
        close(fd);
        return cg_fail(eb, cg_err_from_errno(saved), "%s: %s", path, strerror(saved));
    }
    *out = fd;
    return CG_OK;
}

static bool number(const char *text, int *out)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    *out = (int)n;
    return errno == 0 && end != text && *end == 0 && n >= 0 && n <= INT32_MAX;
}

/* HOST:PORT, numeric; an IPv6 host stands in brackets. */
static bool parse_address(const char *text, struct sockaddr_storage *out)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2] = "";
    int port;
    if (!colon || (size_t)(colon - text) >= sizeof host || !number(colon + 1, &port) ||
        port > UINT16_MAX) {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    size_t len = strlen(host);
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        return uv_ip6_addr(host + 1, port, (struct sockaddr_in6 *)out) == 0;
    }
    return uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
    }
    return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* A bound TCP socket at a numeric address. */
static cg_err make_tcp(const char *text, int *out, struct cg_errbuf *eb)
{
    struct sockaddr_storage a = {0};
    int on = 1;
    if (!parse_address(text, &a)) {
        return cg_fail(eb, CG_EINVAL, "%s: is no numeric HOST:PORT", text);
    }
    if (!is_loopback(&a)) {
        cg_log(CG_WARN,
               "plaintext TCP at %s, which is not loopback: whoever reaches it may read and change "
               "what is served, and whoever is on the way may too",
               text);
    }
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "socket: %m");
    }
    /* Accepted sockets inherit these; neither can fail on a TCP socket. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    socklen_t len =
        a.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (bind(fd, (struct sockaddr *)&a, len) != 0) {
        cg_err e = cg_fail(eb, cg_err_from_errno(errno), "%s: %m", text);
        close(fd);
        return e;
    }
    *out = fd;
    return CG_OK;
}

/* Adds the socket that arg and value name; false: they do not, or there are too many. */
static bool add_socket(struct program *p, const char *arg, const char *value)
{
    bool path = strcmp(arg, "--socket") == 0 || strcmp(arg, "--gate-socket") == 0;
    bool fd = strcmp(arg, "--fd") == 0 || strcmp(arg, "--gate-fd") == 0;
    bool tcp = strcmp(arg, "--plaintext-tcp") == 0;
    if (!(path || fd || tcp) || p->sockets == LISTENERS_MAX) {
        return false;
    }
    struct socket *s = &p->socket[p->sockets++];
    *s = (struct socket){.fd = -1, .from_gate = strncmp(arg, "--gate", 6) == 0};
    s->path = path ? value : NULL;
    s->address = tcp ? value : NULL;
    return !fd || number(value, &s->fd);
}

/* 0: go on; else the exit status plus one. */
static int parse(struct program *p, int argc, char **argv, struct ninep_server_config *config)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(arg, "--help") == 0) {
            usage(stdout, config->name);
            return 1;
        } else if (strcmp(arg, "--foreign") == 0) {
            config->foreign = true;
        } else if (value && strcmp(arg, "--plaintext-uid") == 0 &&
                   number(value, &p->plaintext_uid)) {
            i++;
        } else if (value && add_socket(p, arg, value)) {
            config->foreign |= p->socket[p->sockets - 1].address != NULL;
            i++;
        } else {
            fprintf(stderr, "%s: %s%s%s: unknown, incomplete, malformed, or too many\n",
                    config->name, arg, value ? " " : "", value ? value : "");
            usage(stderr, config->name);
            return 3;
        }
    }
    if (p->sockets == 0) {
        fprintf(stderr, "%s: no socket to serve: give --socket PATH or --fd N\n", config->name);
        return 3;
    }
    return 0;
}

static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < DESCRIPTORS_MAX) {
        r.rlim_cur = r.rlim_max < DESCRIPTORS_MAX ? r.rlim_max : DESCRIPTORS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* fewer connections, then */
    }
}

static cg_err open_socket(struct program *p, uv_loop_t *loop, struct socket *s,
                          struct cg_errbuf *eb)
{
    cg_err e = s->path      ? make_socket(s->path, &s->fd, eb)
               : s->address ? make_tcp(s->address, &s->fd, eb)
                            : CG_OK;
    if (e != CG_OK) {
        return e;
    }
    (void)fcntl(s->fd, F_SETFD, FD_CLOEXEC); /* a bad inherited number is told by the next line */
    if (!s->address) {
        return ninep_uv_listen(loop, p->server, s->fd, s->from_gate, &s->listener, eb);
    }
    struct ninep_peer peer = {.local = true, .uid = (uint32_t)p->plaintext_uid};
    return ninep_uv_listen_as(loop, p->server, s->fd, &peer, &s->listener, eb);
}

static cg_err open_sockets(struct program *p, uv_loop_t *loop, struct cg_errbuf *eb)
{
    for (int i = 0; i < p->sockets; i++) {
        cg_err e = open_socket(p, loop, &p->socket[i], eb);
        if (e != CG_OK) {
            return e;
        }
    }
    return CG_OK;
}

static void close_sockets(struct program *p)
{
    for (int i = 0; i < p->sockets; i++) {
        struct socket *s = &p->socket[i];
        if (s->listener) {
            ninep_uv_listener_close(s->listener);
            s->listener = NULL;
            if (s->path) {
                (void)unlink(s->path);
            }
        }
    }
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct program *p = h->data;
    if (p->stopping) {
        _exit(128 + signum);
    }
    p->stopping = true;
    cg_log(CG_INFO, "ends: signal %d", signum);
    close_sockets(p);
    ninep_uv_server_stop(p->server);
    uv_stop(h->loop);
}

static void drain(uv_loop_t *loop)
{
    /* Handles of the glue close within a few turns; the file server's own may stay open. */
    for (int i = 0; i < 16 && uv_run(loop, UV_RUN_NOWAIT); i++) {
    }
}

int ninep_serve_main(int argc, char **argv, struct ninep_server_config *config)
{
    struct program p = {.plaintext_uid = NOBODY};
    struct cg_errbuf eb = {0};
    cg_log_init(config->name);
    cg_stats_open(config->name);
    cg_alloc_keep_freed();
    int status = parse(&p, argc, argv, config);
    if (status != 0) {
        return status - 1;
    }
    uv_loop_t *loop = uv_default_loop();
    raise_descriptors();
    cg_err e = ninep_server_new(config, &p.server);
    if (e != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "cannot start: %s", cg_err_meaning(e));
        return 1;
    }
    uv_signal_init(loop, &p.term);
    uv_signal_init(loop, &p.interrupt);
    p.term.data = p.interrupt.data = &p;
    uv_signal_start(&p.term, on_signal, SIGTERM);
    uv_signal_start(&p.interrupt, on_signal, SIGINT);
    e = ninep_uv_server_start(loop, p.server);
    e = e == CG_OK ? open_sockets(&p, loop, &eb) : e;
    if (e == CG_OK) {
        cg_log(CG_INFO, "serves");
        uv_run(loop, UV_RUN_DEFAULT);
    } else {
        cg_log(CG_ERROR_LEVEL, "cannot start: %s", eb.text[0] ? eb.text : cg_err_meaning(e));
        close_sockets(&p);
        ninep_uv_server_stop(p.server);
    }
    uv_close((uv_handle_t *)&p.term, NULL);
    uv_close((uv_handle_t *)&p.interrupt, NULL);
    drain(loop);
    ninep_server_free(p.server);
    return e == CG_OK ? 0 : 1;
}
