/* keep: a component's side. */
#include "pass.h"

#include <cognu/book.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct keep {
    int fd;
};

struct keep *keep_new(int fd)
{
    struct keep *k = cg_zalloc(sizeof *k);
    if (!k) {
        close(fd);
        return NULL;
    }
    struct timeval patience = {.tv_sec = KEEP_WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    k->fd = fd;
    return k;
}

struct keep *keep_from_args(int *argc, char **argv)
{
    for (int i = 1; i + 1 < *argc; i++) {
        char *end;
        if (strcmp(argv[i], "--keep") != 0) {
            continue;
        }
        long fd = strtol(argv[i + 1], &end, 10);
        if (*end != '\0' || end == argv[i + 1] || fd < 0 || fd > INT32_MAX) {
            return NULL; /* the program's own parser refuses it */
        }
        memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 1) * sizeof *argv);
        *argc -= 2;
        return keep_new((int)fd);
    }
    return NULL;
}

void keep_free(struct keep *k)
{
    if (k) {
        close(k->fd);
        cg_free(k);
    }
}

static cg_err ask(struct keep *k, char verb, const char *name, int fd, int *got,
                  struct cg_errbuf *eb)
{
    uint8_t request[1 + KEEP_NAME_BYTES_MAX], reply[PASS_BYTES_MAX];
    size_t len = strlen(name);
    int came = -1;
    if (len > KEEP_NAME_BYTES_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "'%.20s...' is too long to keep something under", name);
    }
    request[0] = (uint8_t)verb;
    memcpy(request + 1, name, len);
    ssize_t n = -1;
    if (pass_send(k->fd, request, len + 1, fd)) {
        do {
            n = pass_receive(k->fd, reply, sizeof reply, &came);
        } while (n < 0 && errno == EINTR);
    }
    struct cg_buf b = cg_buf_reader(reply, n > 0 ? (size_t)n : 0);
    cg_err e = cg_get_u32(&b);
    if (b.bad) {
        return cg_fail(eb, CG_EIO, "init does not answer about '%s': %s", name,
                       n < 0 ? strerror(errno) : "its end is closed");
    }
    if (e != CG_OK) {
        cg_fail(eb, e, "%.*s", (int)cg_buf_left(&b), (const char *)reply + b.pos);
    } else if (got && came < 0) {
        e = cg_fail(eb, CG_EIO, "init gave nothing for '%s'; no descriptors left?", name);
    }
    if (e == CG_OK && got) {
        *got = came;
    } else if (came >= 0) {
        close(came);
    }
    return e;
}

cg_err keep_get(struct keep *k, const char *name, int *fd, struct cg_errbuf *eb)
{
    return k ? ask(k, 'g', name, -1, fd, eb) : CG_ENOENT;
}

cg_err keep_put(struct keep *k, const char *name, int fd, struct cg_errbuf *eb)
{
    return k ? ask(k, 'p', name, fd, NULL, eb) : CG_OK;
}

cg_err keep_drop(struct keep *k, const char *name, struct cg_errbuf *eb)
{
    return k ? ask(k, 'd', name, -1, NULL, eb) : CG_OK;
}

cg_err keep_clear(struct keep *k, struct cg_errbuf *eb)
{
    return k ? ask(k, 'c', "", -1, NULL, eb) : CG_OK;
}

cg_err keep_memory(struct keep *k, const char *name, uint64_t bytes, int *fd, struct cg_errbuf *eb)
{
    *fd = -1;
    if (!k) {
        return CG_OK;
    }
    cg_err e = keep_get(k, name, fd, eb);
    if (e != CG_ENOENT) {
        return e;
    }
    e = book_memory(name, bytes, fd, eb);
    if (e == CG_OK) {
        e = keep_put(k, name, *fd, eb);
        if (e != CG_OK) {
            close(*fd);
            *fd = -1;
        }
    }
    return e;
}
