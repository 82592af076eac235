/* file2chan: serves a file by two shell commands, through the files of chan: one makes what readers
 * get, the other takes what writers give. One request is answered after the other. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cmd cmd = {
    "file2chan", "[-p] NAME READ [WRITE]",
    "serves the file /chan/NAME: READ's output is read, WRITE's input is what is written"};

enum {
    MESSAGE_BYTES_MAX = 66 << 10,
    REPLY_BYTES_MAX = 64 << 10,
    TEXT_BYTES_MAX = 16 << 20, /* of READ's output */
    ERROR_BYTES_MAX = 256,     /* of what a command says when it fails */
    READERS_MAX = 256,
    WORDS_MAX = 5,
};

static const char clone_file[] = "/chan/clone";
static const char *read_command, *write_command;
static int channel;

/* READ's output, for one who has the file open. */
static struct reader {
    char fid[24]; /* "": free */
    struct cg_str text;
} readers[READERS_MAX];

static void answer(const char *head, const void *data, size_t len)
{
    struct cg_str m = {0};
    if (cg_str_addf(&m, "%s\n", head) != CG_OK || cg_str_add(&m, data, len) != CG_OK) {
        cmd_fail("no memory");
    }
    ssize_t n = write(channel, m.data, m.len);
    if (n < 0 && errno != ENOENT) { /* who asked may have gone */
        cmd_fail_at(clone_file, head);
    }
    cg_str_fini(&m);
}

static void refuse(const char *id, const char *why)
{
    char head[64 + ERROR_BYTES_MAX];
    snprintf(head, sizeof head, "error %.20s %.*s", id, (int)strcspn(why, "\n"), why);
    answer(head, NULL, 0);
}

struct child {
    pid_t pid;
    int in, out, err; /* our ends */
};

static void start(struct child *c, const char *command)
{
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        cmd_fail("a pipe: %s", strerror(errno));
    }
    c->pid = fork();
    if (c->pid < 0) {
        cmd_fail("a process: %s", strerror(errno));
    }
    if (c->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    c->in = in[1];
    c->out = out[0];
    c->err = err[0];
}

/* Takes what is there; false at the end, or when text would be longer than max. */
static bool take(int *fd, struct cg_str *text, size_t max)
{
    char piece[16384];
    ssize_t n = read(*fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n <= 0) {
        close(*fd);
        *fd = -1;
        return n == 0;
    }
    size_t keep = text->len + (size_t)n <= max ? (size_t)n : max - text->len;
    return cg_str_add(text, piece, keep) == CG_OK;
}

static void give(int *fd, const char **data, size_t *len)
{
    ssize_t n = write(*fd, *data, *len < 4096 ? *len : 4096); /* what a pipe takes at once */
    *data += n > 0 ? n : 0;
    *len -= n > 0 ? (size_t)n : 0;
    if (*len == 0 || (n < 0 && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
}

/* Runs command with that input; true when it ends well. said is its output, wrong its errors. */
static bool run(const char *command, const char *data, size_t len, struct cg_str *said,
                struct cg_str *wrong)
{
    struct child c;
    int status = 0;
    start(&c, command);
    if (len == 0) {
        close(c.in);
        c.in = -1;
    }
    while (c.out >= 0 || c.err >= 0) {
        struct pollfd p[] = {{c.out, POLLIN, 0}, {c.err, POLLIN, 0}, {c.in, POLLOUT, 0}};
        if (poll(p, CG_COUNT(p), -1) < 0) {
            continue;
        }
        if ((p[0].revents && !take(&c.out, said, TEXT_BYTES_MAX)) ||
            (p[1].revents && !take(&c.err, wrong, ERROR_BYTES_MAX - 1))) {
            cmd_fail("no memory");
        }
        if (p[2].revents) {
            give(&c.in, &data, &len);
        }
    }
    if (c.in >= 0) {
        close(c.in);
    }
    while (waitpid(c.pid, &status, 0) < 0) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct reader *reader_of(const char *fid, bool make)
{
    struct reader *unused = NULL;
    for (size_t i = 0; i < READERS_MAX; i++) {
        struct reader *r = &readers[i];
        if (strcmp(r->fid, fid) == 0) {
            return r;
        }
        unused = r->fid[0] == '\0' ? r : unused;
    }
    if (make && unused != NULL) {
        snprintf(unused->fid, sizeof unused->fid, "%s", fid);
    }
    return make ? unused : NULL;
}

static void forget(const char *fid)
{
    struct reader *r = reader_of(fid, false);
    if (r != NULL) {
        r->fid[0] = '\0';
        cg_str_fini(&r->text);
    }
}

/* read ID FID OFFSET COUNT */
static void answer_read(char **word)
{
    char head[64];
    struct cg_str wrong = {0};
    uint64_t offset = strtoull(word[3], NULL, 10);
    size_t count = strtoull(word[4], NULL, 10);
    struct reader *r = reader_of(word[2], true);
    if (r == NULL) {
        refuse(word[1], "too many have the file open");
        return;
    }
    if (offset == 0) {
        cg_str_fini(&r->text);
        if (!run(read_command, NULL, 0, &r->text, &wrong)) {
            refuse(word[1], wrong.len > 0 ? wrong.data : "the command failed");
            cg_str_fini(&wrong);
            return;
        }
    }
    size_t left = offset < r->text.len ? r->text.len - (size_t)offset : 0;
    size_t n = left < count ? left : count;
    n = n < REPLY_BYTES_MAX ? n : REPLY_BYTES_MAX;
    snprintf(head, sizeof head, "data %.20s", word[1]);
    answer(head, n > 0 ? r->text.data + offset : NULL, n);
    cg_str_fini(&wrong);
}

/* write ID FID OFFSET COUNT, and the bytes */
static void answer_write(char **word, const char *data, size_t len)
{
    char head[64];
    struct cg_str said = {0}, wrong = {0};
    if (write_command == NULL) {
        refuse(word[1], "this file is only read");
    } else if (!run(write_command, data, len, &said, &wrong)) {
        refuse(word[1], wrong.len > 0 ? wrong.data : "the command failed");
    } else {
        snprintf(head, sizeof head, "ok %.20s", word[1]);
        answer(head, NULL, 0);
        fwrite(said.data, 1, said.len, stdout);
        fflush(stdout);
    }
    cg_str_fini(&said);
    cg_str_fini(&wrong);
}

static void serve(void)
{
    static char message[MESSAGE_BYTES_MAX + 1];
    char *word[WORDS_MAX];
    for (;;) {
        ssize_t n = read(channel, message, MESSAGE_BYTES_MAX);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            cmd_fail_at(clone_file, "the next message");
        }
        message[n] = '\0';
        char *end = message + strcspn(message, "\n");
        *end = '\0';
        const char *data = end + 1;
        int words = cg_tokenize(message, word, WORDS_MAX);
        if (words == 5 && strcmp(word[0], "read") == 0) {
            answer_read(word);
        } else if (words == 5 && strcmp(word[0], "write") == 0) {
            answer_write(word, data, (size_t)(message + n - data));
        } else if (words == 2 && strcmp(word[0], "close") == 0) {
            forget(word[1]);
        }
    }
}

int main(int argc, char **argv)
{
    struct cmd_line line = {0};
    cmd_begin(&cmd, argc, argv);
    bool public = argc > 1 && strcmp(argv[1], "-p") == 0;
    argc -= public;
    argv += public;
    if (argc < 3 || argc > 4 || argv[1][0] == '-') {
        cmd_usage();
    }
    read_command = argv[2];
    write_command = argv[3];
    channel = open(clone_file, O_RDWR | O_CLOEXEC);
    if (channel < 0) {
        cmd_fail_at(clone_file, argv[1]);
    }
    signal(SIGPIPE, SIG_IGN);
    cmd_word(&line, "serve");
    cmd_word(&line, argv[1]);
    if (public) {
        cmd_word(&line, "public");
    }
    if (write(channel, line.text.data, line.text.len) < 0) {
        cmd_fail_at(clone_file, argv[1]);
    }
    cg_str_fini(&line.text);
    serve();
}
