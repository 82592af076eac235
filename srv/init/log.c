/* Logs: what a component writes to its standard error comes through a pipe into
 * /var/lib/cognu/log/NAME.log. When the file has INIT_LOG_BYTES_MAX bytes it becomes NAME.log.1.
 * With
 * --console each piece is copied to where init's own errors went at first.
 *
 * The writers' end is kept open, so that the pipe outlives restarts. It does not block for a
 * component (it would wait for us), but for init itself it must not: own lines may then be lost,
 * never stuck.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 16 * 1024, PIECES_MAX = 16 /* then other components have their turn */ };

static void log_path(char *out, size_t cap, const char *name, const char *suffix)
{
    snprintf(out, cap, "/var/lib/cognu/log/%s.log%s", name, suffix);
}

static void open_file(struct init_log *log)
{
    char path[256];
    log_path(path, sizeof path, log->name, "");
    log->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    off_t end = log->file < 0 ? 0 : lseek(log->file, 0, SEEK_END);
    log->bytes = end > 0 ? (uint64_t)end : 0;
}

static void rotate(struct init_log *log)
{
    char path[256], old[256];
    log_path(path, sizeof path, log->name, "");
    log_path(old, sizeof old, log->name, ".1");
    close(log->file);
    rename(path, old); /* if it fails, the file just goes on */
    open_file(log);
}

/* A full disk must not stop the node: what cannot be written is dropped. */
static void write_piece(const struct init *in, struct init_log *log, const char *data, size_t len)
{
    ssize_t n = log->file < 0 ? -1 : write(log->file, data, len);
    if (n > 0) {
        log->bytes += (uint64_t)n;
    }
    if (log->bytes >= INIT_LOG_BYTES_MAX) {
        rotate(log);
    }
    if (in->console) {
        ssize_t shown = write(in->console_fd, data, len);
        (void)shown;
    }
}

void init_log_drain(struct init *in, struct init_log *log)
{
    char piece[PIECE_BYTES];
    for (int i = 0; i < PIECES_MAX; i++) {
        ssize_t n = read(log->read_fd, piece, sizeof piece);
        if (n <= 0) {
            return;
        }
        write_piece(in, log, piece, (size_t)n);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    init_log_drain(poll->data, CG_CONTAINER(poll, struct init_log, poll));
}

cg_err init_log_open(struct init *in, struct init_log *log, const char *name, struct cg_errbuf *eb)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "log of %s: %s", name, strerror(errno));
    }
    *log = (struct init_log){.read_fd = fd[0], .write_fd = fd[1], .name = name};
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    open_file(log);
    uv_poll_init(&in->loop, &log->poll, log->read_fd);
    log->poll.data = in;
    uv_poll_start(&log->poll, UV_READABLE, on_readable);
    return CG_OK;
}
