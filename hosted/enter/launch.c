/* launch: see launch.h; the form of the messages is in hosted/fuse/control.c. */
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TEXT_BYTES_MAX = (1 << 16) - 256, /* with its head it fits the adapter's 64 KiB */
    REPLY_BYTES_MAX = 32 << 10,
    WAIT_S = 120, /* a text may name nodes that are slow to answer */
};

char *launch_text(const char *path, struct cg_errbuf *eb)
{
    FILE *f = fopen(path, "re");
    char *text = f ? cg_zalloc(TEXT_BYTES_MAX + 1) : NULL;
    if (!text) {
        cg_fail(eb, CG_ENOENT, "%s: %s; give a namespace with --ns FILE or --clean", path,
                strerror(errno));
        if (f) {
            fclose(f);
        }
        return NULL;
    }
    size_t n = fread(text, 1, TEXT_BYTES_MAX + 1, f);
    fclose(f);
    if (n > TEXT_BYTES_MAX) {
        cg_fail(eb, CG_ETOOBIG, "%s: a namespace text has at most %d bytes", path, TEXT_BYTES_MAX);
        cg_free(text);
        return NULL;
    }
    return text;
}

cg_err launch_connect(const char *control, int *sock, struct cg_errbuf *eb)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = WAIT_S};
    if (strlen(control) >= sizeof(at.sun_path)) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%s: too long for a socket's name", control);
    }
    memcpy(at.sun_path, control, strlen(control));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        int why = errno;
        if (fd >= 0) {
            close(fd);
        }
        return cg_fail(eb, cg_err_from_errno(why), "%s: %s; is cognu-fuse running?", control,
                       strerror(why));
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    *sock = fd;
    return CG_OK;
}

static ssize_t send_with_fd(int sock, int fd, const char *head, const char *text)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } ctl = {0};
    struct iovec iov[2] = {{(void *)(uintptr_t)head, strlen(head)},
                           {(void *)(uintptr_t)text, strlen(text)}};
    struct msghdr m = {.msg_iov = iov,
                       .msg_iovlen = 2,
                       .msg_control = ctl.bytes,
                       .msg_controllen = sizeof(ctl.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    return sendmsg(sock, &m, MSG_NOSIGNAL);
}

cg_err launch_hand_over(int sock, int fd, const char *name, const char *text, bool verbose,
                        struct cg_errbuf *eb)
{
    static char reply[REPLY_BYTES_MAX + 1];
    char head[96];
    snprintf(head, sizeof(head), "new %.63s\n", name);
    ssize_t n = send_with_fd(sock, fd, head, text);
    n = n < 0 ? n : recv(sock, reply, REPLY_BYTES_MAX, 0);
    int why = errno;
    close(sock);
    if (n <= 0) {
        return cg_fail(eb, CG_EIO, "the adapter: %s",
                       n == 0 ? "it closed the connection" : strerror(why));
    }
    reply[n] = 0;
    if (strncmp(reply, "ok\n", 3) != 0) {
        reply[strcspn(reply, "\n")] = 0;
        return cg_fail(eb, CG_EIO, "the adapter: %s", reply);
    }
    if (verbose) {
        fputs(reply + 3, stderr);
    }
    return CG_OK;
}
