/* control: the socket on which a launcher hands over a mounted /dev/fuse.
 *
 * Unix, SEQPACKET, one message each way a connection:
 *   new NAME\n and the namespace text, with the descriptor by SCM_RIGHTS
 *   ok\n and a line for each line of the text that failed, or error TEXT\n
 * The peer is the same user, or root: what it gets is what this process may reach.
 */
#include "adapter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LAUNCHES_MAX = 64, /* connections at once: logins in one moment */
    BACKLOG = 16,
    REPLY_BYTES_MAX = 32 << 10, /* a SEQPACKET message fits the socket's buffer */
};

struct control {
    struct adapter *adapter;
    uv_poll_t poll;
    int fd;
    char *path;
    struct cg_list launches; /* launch.link */
    uint32_t count;
};

struct launch {
    struct cg_list link;
    struct control *control; /* NULL: it has been closed */
    uv_poll_t poll;
    int fd;
    bool closing;
};

static void on_launch_closed(uv_handle_t *h)
{
    struct launch *l = h->data;
    close(l->fd);
    cg_free(l);
}

static void launch_close(struct launch *l)
{
    if (!l->closing) {
        l->closing = true;
        cg_list_del(&l->link);
        if (l->control) {
            l->control->count--;
        }
        uv_close((uv_handle_t *)&l->poll, on_launch_closed);
    }
}

static void answer(struct launch *l, const char *word, const char *text)
{
    struct cg_str s = {0};
    cg_str_addf(&s, "%s%s", word, text);
    size_t len = s.len < REPLY_BYTES_MAX ? s.len : REPLY_BYTES_MAX;
    if (s.data && send(l->fd, s.data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        cg_log(CG_WARN, "a launcher did not wait for its answer: %s", strerror(errno));
    }
    cg_str_fini(&s);
    launch_close(l);
}

static void refuse(struct launch *l, const char *why)
{
    char text[CG_DETAIL_BYTES + 16];
    snprintf(text, sizeof(text), "%s\n", why);
    answer(l, "error ", text);
}

static void on_text_done(void *aux, cg_err first, const char *report)
{
    (void)first; /* a line that fails does not keep anybody out */
    answer(aux, "ok\n", report);
}

static void start(struct launch *l, char *message, int fd, const struct ucred *peer)
{
    struct adapter *a = l->control->adapter;
    struct cg_errbuf eb = {0};
    struct space *s;
    char *name = strncmp(message, "new ", 4) == 0 ? message + 4 : NULL;
    char *nl = name ? strchr(name, '\n') : NULL;
    size_t len = nl ? (size_t)(nl - name) : 0;
    if (!nl || len >= SPACE_NAME_BYTES ||
        !cg_name_ok((struct cg_span){(const uint8_t *)name, (uint32_t)len})) {
        close(fd);
        refuse(l, "say: new NAME, then the namespace text");
        return;
    }
    *nl = 0;
    struct owner owner = {peer->uid, peer->gid, space_pidns_of(peer->pid)};
    if (space_new(a, name, fd, owner, &s, &eb) != CG_OK) {
        refuse(l, eb.text);
        return;
    }
    cg_log(CG_INFO, "namespace %s for process %d", name, peer->pid);
    uv_poll_stop(&l->poll); /* the answer comes when the text has been run */
    ns_script_run(s->ns, nl + 1, true, on_text_done, l);
}

/* One message with at most one descriptor; -1: none came. */
static ssize_t receive(int sock, char *buf, size_t cap, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 4)];
        struct cmsghdr align;
    } ctl;
    struct iovec iov = {buf, cap};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = ctl.bytes,
                       .msg_controllen = sizeof(ctl.bytes)};
    *fd = -1;
    ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < count; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (*fd < 0) {
                *fd = got;
            } else {
                close(got);
            }
        }
    }
    return n >= 0 && m.msg_flags & MSG_TRUNC ? (ssize_t)cap : n;
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    struct launch *l = poll->data;
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    int fd;
    char *buf = cg_alloc(NS_TEXT_BYTES_MAX + 1);
    (void)status;
    (void)events;
    ssize_t n = buf ? receive(l->fd, buf, NS_TEXT_BYTES_MAX, &fd) : -1;
    if (n < 0 && buf && errno == EAGAIN) {
        cg_free(buf);
        return;
    }
    getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    if (n > 0) {
        buf[n] = 0;
    }
    if (n <= 0) {
        launch_close(l);
    } else if (peer.uid != 0 && peer.uid != geteuid()) {
        refuse(l, "this socket serves its own user and root");
    } else if (n == NS_TEXT_BYTES_MAX) {
        refuse(l, "the namespace text is too long: 64 KiB is the most");
    } else if (fd < 0 || !space_is_fuse(fd)) {
        refuse(l, "pass the descriptor of a mounted /dev/fuse with the message");
    } else {
        start(l, buf, fd, &peer);
        fd = -1;
    }
    if (n >= 0 && fd >= 0) {
        close(fd);
    }
    cg_free(buf);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct control *c = poll->data;
    (void)status;
    (void)events;
    int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct launch *l = fd >= 0 && c->count < LAUNCHES_MAX ? cg_zalloc(sizeof(*l)) : NULL;
    if (!l) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    *l = (struct launch){.control = c, .fd = fd};
    l->poll.data = l;
    cg_list_push(&c->launches, &l->link);
    c->count++;
    uv_poll_init(c->adapter->loop, &l->poll, fd);
    uv_poll_start(&l->poll, UV_READABLE, on_message);
}

static cg_err listen_at(const char *path, int *out, struct cg_errbuf *eb)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path)) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%s: too long for a socket's name", path);
    }
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path); /* of an adapter that was killed */
    mode_t mask = umask(0177);
    int bad =
        fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, BACKLOG) != 0;
    int why = errno;
    umask(mask);
    if (bad) {
        if (fd >= 0) {
            close(fd);
        }
        return cg_fail(eb, cg_err_from_errno(why), "%s: %s", path, strerror(why));
    }
    *out = fd;
    return CG_OK;
}

cg_err control_open(struct adapter *a, const char *path, struct control **out, struct cg_errbuf *eb)
{
    int fd = -1;
    cg_err e = listen_at(path, &fd, eb);
    if (e != CG_OK) {
        return e;
    }
    struct control *c = cg_zalloc(sizeof(*c));
    char *copy = c ? cg_strdup(path) : NULL;
    if (!copy) {
        cg_free(c);
        close(fd);
        return cg_fail(eb, CG_ENOMEM, "no memory for the control socket");
    }
    *c = (struct control){.adapter = a, .fd = fd, .path = copy};
    cg_list_init(&c->launches);
    uv_poll_init(a->loop, &c->poll, fd);
    c->poll.data = c;
    uv_poll_start(&c->poll, UV_READABLE, on_connection);
    *out = c;
    return CG_OK;
}

static void on_control_closed(uv_handle_t *h)
{
    struct control *c = h->data;
    close(c->fd);
    cg_free(c->path);
    cg_free(c);
}

/* After the spaces: their texts are no longer under way, so no launch waits for one. */
void control_close(struct control *c)
{
    CG_LIST_EACH (l, &c->launches) {
        launch_close(CG_CONTAINER(l, struct launch, link));
    }
    unlink(c->path);
    uv_close((uv_handle_t *)&c->poll, on_control_closed);
}
