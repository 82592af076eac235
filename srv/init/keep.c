/* What a component's death must not take away: its shelf (lib/keep). Each start of a component gets
 * a socket of its own, so that nothing which its predecessor left unread can be taken for an answer
 * to it. The shelf is init's, and the component's for as long as init knows its manifest.
 *
 * The socket also tells that a component is gone when its process is not: a thread of it may wait
 * in the kernel for what only its successor can do (hosted/fuse/notify.h). A process that has
 * closed its socket, and is not reaped within INIT_LEAVE_MS, is not waited for.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS_MAX = 64 }; /* of one component, then others have their turn */

struct init_line {
    uv_poll_t poll;
    struct component *component;
    uv_timer_t leave; /* runs from the end of the line on */
    uint32_t handles;
    int fd;
};

static void on_closed(uv_handle_t *h)
{
    struct init_line *l = h->data;
    if (--l->handles == 0) {
        close(l->fd);
        cg_free(l);
    }
}

static void on_leave(uv_timer_t *t)
{
    struct init_line *l = t->data;
    component_left(l->component);
}

/* False: the other end is closed. */
static bool serve(struct init_line *l)
{
    for (int i = 0; i < REQUESTS_MAX && keep_shelf_serve(&l->component->shelf, l->fd); i++) {
    }
    char byte;
    return recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct init_line *l = poll->data;
    (void)events;
    (void)status;
    if (!serve(l)) {
        uv_poll_stop(poll);
        uv_timer_start(&l->leave, on_leave, INIT_LEAVE_MS, 0); /* the rule: it ends meanwhile */
    }
}

cg_err component_line_open(struct component *c, struct cg_errbuf *eb)
{
    int pair[2];
    if (c->manifest.keep == 0) {
        return CG_OK;
    }
    struct init_line *l = cg_zalloc(sizeof *l);
    if (l == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        cg_err e = l == NULL ? CG_ENOMEM : cg_err_from_errno(errno);
        cg_free(l);
        return cg_fail(eb, e, "a socket to keep things for %s: %s", c->manifest.name,
                       cg_err_meaning(e));
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    l->component = c;
    l->fd = pair[0];
    l->poll.data = l;
    l->leave.data = l;
    l->handles = 2;
    uv_timer_init(&c->init->loop, &l->leave);
    uv_poll_init(&c->init->loop, &l->poll, l->fd);
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    c->line = l;
    c->fd[c->keep_at] = pair[1];
    return CG_OK;
}

void component_line_passed(struct component *c)
{
    if (c->manifest.keep > 0 && c->fd[c->keep_at] >= 0) {
        close(c->fd[c->keep_at]);
        c->fd[c->keep_at] = -1;
    }
}

void component_line_close(struct component *c)
{
    if (c->line != NULL) {
        (void)serve(c->line); /* what it put just before its end */
        uv_close((uv_handle_t *)&c->line->poll, on_closed);
        uv_close((uv_handle_t *)&c->line->leave, on_closed);
        c->line = NULL;
    }
}
