/* The listening sockets of components. Init makes them before any component starts and keeps them
 * for as long as the node lives: whoever connects while a component is away waits in the queue of
 * its socket and sees a delay. The program's arguments end with the numbers that the sockets will
 * have.
 */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 }; /* clients that wait while a component restarts */

cg_err init_listen(const char *path, int type, int *out, struct cg_errbuf *eb)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof a.sun_path) {
        return cg_fail(eb, CG_ENAMETOOLONG, "socket %s", path);
    }
    memcpy(a.sun_path, path, len);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0 ||
        chmod(path, 0666) != 0) { /* who may do what is decided behind it, by the peer's uid */
        cg_err e = cg_fail(eb, cg_err_from_errno(errno), "socket %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return e;
    }
    *out = fd;
    return CG_OK;
}

static void add_fd(struct component *c, const char *option, int fd, uint32_t *args)
{
    cg_assert(c->fds < SANDBOX_FDS_MAX && *args + 2 < INIT_ARGV_MAX);
    c->fd[c->fds] = fd;
    snprintf(c->number[c->fds], sizeof c->number[0], "%u", (unsigned)SANDBOX_FD_FIRST + c->fds);
    c->argv[(*args)++] = (char *)option;
    c->argv[(*args)++] = c->number[c->fds];
    c->fds++;
}

static cg_err add_socket(struct component *c, const char *option, const char *path, int type,
                         uint32_t *args, struct cg_errbuf *eb)
{
    int fd;
    cg_err e = init_listen(path, type, &fd, eb);
    if (e == CG_OK) {
        add_fd(c, option, fd, args);
    }
    return e;
}

static const char *argument(const struct init *in, const char *arg)
{
    if (strcmp(arg, "$NODE") == 0) {
        return in->node;
    }
    if (strcmp(arg, "$ADDRESS") == 0) {
        return in->address;
    }
    return strcmp(arg, "$LISTEN") == 0 ? in->listen : arg;
}

cg_err component_sockets(struct component *c, struct cg_errbuf *eb)
{
    const struct manifest *m = &c->manifest;
    char path[256];
    uint32_t n = 0;
    cg_err e = CG_OK;
    c->argv[n++] = (char *)m->program;
    for (uint32_t i = 0; i < m->args; i++) {
        c->argv[n++] = (char *)argument(c->init, m->arg[i]);
    }
    for (uint32_t i = 0; e == CG_OK && i < m->offers; i++) {
        snprintf(path, sizeof path, "/run/cognu/srv/%s", m->offer[i].name);
        e = add_socket(c, "--fd", path, SOCK_STREAM, &n, eb);
        if (e == CG_OK && m->offer[i].gate) {
            snprintf(path, sizeof path, "/run/cognu/gate/%s", m->offer[i].name);
            e = add_socket(c, "--gate-fd", path, SOCK_STREAM, &n, eb);
        }
    }
    for (uint32_t i = 0; e == CG_OK && i < m->sockets; i++) {
        const struct manifest_socket *s = &m->socket[i];
        e = add_socket(c, s->option, s->path, s->seqpacket ? SOCK_SEQPACKET : SOCK_STREAM, &n, eb);
    }
    if (e == CG_OK && m->keep > 0) {
        c->keep_at = c->fds;
        add_fd(c, "--keep", -1, &n); /* each start has its own */
        keep_shelf_init(&c->shelf, m->keep, m->memory_bytes);
    }
    c->argv[n] = NULL;
    return e == CG_OK ? e : cg_context(eb, e, "%s", m->name);
}
