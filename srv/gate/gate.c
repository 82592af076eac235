/* gate: options, listening sockets, and the clock of the node's border. */
#include "gate.h"
#include <cognu/stats.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLOCK_MS = 1000,
    ACCEPTS_MAX = 16, /* in one go: others want their turn */
    BACKLOG = 512,
};

uint64_t gate_now_s(void)
{
    return cg_env_real.wall_ns(cg_env_real.ctx) / 1000000000u;
}

uint64_t gate_now_ms(void)
{
    return cg_now_ms(&cg_env_real);
}

/* ---- listening */

/* Out of descriptors: the socket stays readable, so it is not watched until the clock ticks. */
static void pause_listen(struct listen *s)
{
    cg_log(CG_WARN, "accept: %s", strerror(errno));
    uv_poll_stop(&s->poll);
    s->paused = true;
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
    struct listen *s = CG_CONTAINER(handle, struct listen, poll);

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                pause_listen(s);
            }
            return;
        }
        if (s->local) {
            dial_accept(s->gate, fd);
        } else {
            serve_accept(s->gate, fd);
        }
    }
}

static cg_err watch(struct gate *g, int fd, bool local, struct cg_errbuf *eb)
{
    if (g->listens >= CG_COUNT(g->listen)) {
        close(fd);
        return cg_fail(eb, CG_ELIMIT, "at most %d addresses to listen on", LISTENS_MAX);
    }
    struct listen *s = &g->listen[g->listens];
    *s = (struct listen){.gate = g, .fd = fd, .local = local};
    if (uv_poll_init(g->loop, &s->poll, fd) != 0) {
        close(fd);
        return cg_fail(eb, CG_EIO, "watching a listening socket");
    }
    g->listens++;
    uv_poll_start(&s->poll, UV_READABLE, on_accept);
    return CG_OK;
}

static cg_err listen_on(int fd, const struct sockaddr *to, socklen_t len, const char *name,
                        struct cg_errbuf *eb)
{
    if (fd >= 0 && bind(fd, to, len) == 0 && listen(fd, BACKLOG) == 0) {
        return CG_OK;
    }
    int err = errno;
    if (fd >= 0) {
        close(fd);
    }
    return cg_fail(eb, cg_err_from_errno(err), "cannot listen on %s: %s", name, strerror(err));
}

/* The address that was bound, with the port that the system chose for port 0. */
static void name_of(int fd, char out[SECURE_ADDRESS_BYTES])
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);

    out[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        line_address_text(&a, out);
    }
}

static cg_err listen_tcp(struct gate *g, const char *text, struct cg_errbuf *eb)
{
    static char
        bound[SECURE_ADDRESS_BYTES]; /* of the first one: this node's address, if none is given */
    struct sockaddr_storage to;
    socklen_t len = 0;
    int one = 1;
    cg_err e = line_address(text, &to, &len, eb);

    if (e != CG_OK) {
        return e;
    }
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (to.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    e = listen_on(fd, (struct sockaddr *)&to, len, text, eb);
    if (e != CG_OK) {
        return e;
    }
    bool any4 = strncmp(text, "0.0.0.0:", 8) == 0, any6 = strncmp(text, "[::]:", 5) == 0;
    g->listens_any4 = g->listens_any4 || any4;
    g->listens_any6 = g->listens_any6 || any6;
    if (bound[0] == '\0' && !any4 && !any6) {
        name_of(fd, bound);
        g->address = g->address != NULL ? g->address : bound;
    }
    return watch(g, fd, false, eb);
}

static cg_err listen_unix(struct gate *g, const char *path, struct cg_errbuf *eb)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct stat st;

    if (snprintf(to.sun_path, sizeof(to.sun_path), "%s", path) >= (int)sizeof(to.sun_path)) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%s: too long for a socket", path);
    }
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        (void)unlink(path); /* left by a gate that died */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0177);
    cg_err e = listen_on(fd, (struct sockaddr *)&to, sizeof(to), path, eb);
    umask(mask);
    return e != CG_OK ? e : watch(g, fd, true, eb);
}

/* ---- the clock */

/* What the command line says of this node's address counts, once, over what the roster says; but
 * not when that is here and the command line's is not: the node moved before this gate began. */
static void check_address(struct gate *g)
{
    const struct secure_member *self = secure_roster_node_by_key(&g->roster, g->key);
    struct secure_member moved;
    struct cg_errbuf eb = {0};

    if (g->address_checked || self == NULL) {
        return;
    }
    g->address_checked = true;
    if (strcmp(g->address, "-") == 0 || strcmp(g->address, self->address) == 0) {
        return;
    }
    if (moved_is_here(self->address) && !moved_is_here(g->address)) {
        memcpy(g->here, self->address, sizeof(g->here));
        g->address = g->here;
        return;
    }
    moved = *self;
    memset(moved.address, 0, sizeof(moved.address));
    if (cg_span_str(cg_span_of(g->address), moved.address, sizeof(moved.address)) &&
        secure_roster_add_node(&g->roster, &moved, &eb) == CG_OK) {
        cg_log(CG_INFO, "this node is now at %s", g->address);
        cell_changed(g);
    }
}

static void check_cell(struct gate *g)
{
    struct cg_errbuf eb = {0};
    struct stat st;

    cell_load(g);
    if (!g->in_cell && g->key_known && stat(g->roster_path, &st) != 0 && errno == ENOENT &&
        cell_new(g, g->self, &eb) != CG_OK) {
        cg_log(CG_WARN, "no cell: %s", eb.text);
    }
    if (g->in_cell && g->key_known) {
        check_address(g);
        moved_look(g);
    }
    cell_tick(g);
}

static void on_clock(uv_timer_t *t)
{
    struct gate *g = t->data;

    for (uint32_t i = 0; i < g->listens; i++) {
        if (g->listen[i].paused) {
            g->listen[i].paused = false;
            uv_poll_start(&g->listen[i].poll, UV_READABLE, on_accept);
        }
    }
    identity_tick(g);
    check_cell(g);
    link_check_all(g);
    peers_tick(g);
    events_look(g);
}

/* ---- options */

static const char usage[] =
    "usage: cognu-gate --self NAME --factotum SOCKET --roster FILE [options] --socket PATH\n"
    "  --listen HOST:PORT   accept other gates here (numeric; up to 4 times)\n"
    "  --address HOST:PORT  where others reach this node, if not the first --listen\n"
    "  --dial PATH          make the socket through which local clients dial\n"
    "  --gate-dir DIR       sockets of the services\n"
    "  --offer NAME         a service of DIR that other nodes may use (up to 64 times)\n";

struct option {
    const char *name;
    const char **to;
};

struct options {
    const char *listen[LISTENS_MAX], *dial;
    int listens;
};

static bool take_option(struct gate *g, struct options *o, const char *name, const char *value)
{
    const struct option simple[] = {
        {"--self", &g->self},       {"--factotum", &g->factotum}, {"--roster", &g->roster_path},
        {"--address", &g->address}, {"--gate-dir", &g->gate_dir}, {"--dial", &o->dial},
    };
    for (size_t i = 0; i < CG_COUNT(simple); i++) {
        if (strcmp(name, simple[i].name) == 0) {
            *simple[i].to = value;
            return true;
        }
    }
    if (strcmp(name, "--listen") == 0 && o->listens < LISTENS_MAX) {
        o->listen[o->listens++] = value;
        return true;
    }
    if (strcmp(name, "--offer") == 0 && g->offers < OFFERS_MAX) {
        g->offer[g->offers++] = value;
        return true;
    }
    return false;
}

/* Takes the gate's own options out; the rest is for the common main. */
static bool take_options(struct gate *g, struct options *o, int *argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        if (i + 1 < *argc && take_option(g, o, argv[i], argv[i + 1])) {
            i++;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return g->self != NULL && secure_name_ok(g->self) && g->factotum != NULL &&
           g->roster_path != NULL && (g->offers == 0 || g->gate_dir != NULL);
}

static cg_err start(struct gate *g, const struct options *o, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;

    g->loop = uv_default_loop();
    g->scratch = cg_alloc(BURST_BYTES);
    cg_list_init(&g->links);
    cg_map_init(&g->peers, 32);
    if (g->scratch == NULL) {
        return cg_fail(eb, CG_ENOMEM, "no memory to start");
    }
    for (int i = 0; i < o->listens && e == CG_OK; i++) {
        e = listen_tcp(g, o->listen[i], eb);
    }
    g->address = g->address != NULL ? g->address : "-";
    if (e == CG_OK && o->dial != NULL) {
        e = listen_unix(g, o->dial, eb);
    }
    cell_load(g);
    e = e != CG_OK ? e : identity_start(g);
    uv_timer_init(g->loop, &g->clock);
    g->clock.data = g;
    uv_timer_start(&g->clock, on_clock, 100, CLOCK_MS);
    return e;
}

static void stop(struct gate *g)
{
    CG_LIST_EACH (it, &g->links) {
        link_close(CG_CONTAINER(it, struct link, list));
    }
    for (uint32_t i = 0; i < g->listens; i++) {
        uv_close((uv_handle_t *)&g->listen[i].poll, NULL);
    }
    uv_close((uv_handle_t *)&g->clock, NULL);
    identity_stop(g);
    for (int i = 0; i < 16 && uv_run(g->loop, UV_RUN_NOWAIT) != 0; i++) {
    }
    invite_fini(g);
    peers_free(g);
    secure_roster_fini(&g->roster);
    cg_str_fini(&g->signing);
    cg_str_fini(&g->sealed);
    cg_free(g->scratch);
}

int main(int argc, char **argv)
{
    static struct gate gate;
    struct options options = {0};
    struct cg_errbuf eb = {0};

    cg_log_init("gate");
    cg_stats_open("gate");
    secure_lockdown();
    if (!take_options(&gate, &options, &argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (start(&gate, &options, &eb) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "%s", eb.text);
        return 1;
    }
    int status = tree_serve(&gate, argc, argv);
    stop(&gate);
    return status;
}
