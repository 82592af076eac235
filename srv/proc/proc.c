/* proc: the processes of this node, as files (README.md). What a process is, the host's procfs
 * tells; what is done to one goes through a process descriptor, so that a number that was used
 * again is never hit. */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    KIND_ROOT,
    KIND_PROC,
    KIND_STATUS,
    KIND_ARGS,
    KIND_CTL,
    KIND_NOTE,
    KIND_WAIT,
    KIND_FD,
    KIND_NS,
    KINDS
};
enum { FILE_BYTES_MAX = 1 << 20, WORDS_MAX = 4 };

/* ---- reading the host's procfs ---- */

static int open_in(uint64_t pid, const char *file, int flags)
{
    struct cg_str path = {0};
    int fd = -1;
    if (cg_str_addf(&path, "/proc/%llu/%s", (unsigned long long)pid, file) == CG_OK) {
        fd = open(path.data, flags | O_CLOEXEC);
    }
    cg_str_fini(&path);
    return fd;
}

static cg_err read_all(int fd, struct cg_str *out)
{
    char piece[4096];
    cg_err e = CG_OK;
    ssize_t n = 0;
    while (!e && out->len < FILE_BYTES_MAX && (n = read(fd, piece, sizeof piece)) > 0) {
        e = cg_str_add(out, piece, (size_t)n);
    }
    return n < 0 ? cg_err_from_errno(errno) : e;
}

static cg_err read_file(uint64_t pid, const char *file, struct cg_str *out, struct cg_errbuf *eb)
{
    int fd = open_in(pid, file, O_RDONLY);
    if (fd < 0) {
        return cg_fail(eb, errno == EACCES ? CG_EACCES : CG_ESTALE, "process %llu: %s",
                       (unsigned long long)pid, strerror(errno));
    }
    cg_err e = read_all(fd, out);
    close(fd);
    return e;
}

static bool is_number(const char *name, uint64_t *out)
{
    char *end;
    *out = strtoull(name, &end, 10);
    return name[0] >= '1' && name[0] <= '9' && !*end && *out <= INT32_MAX;
}

/* Numbers in growing order, so that a listing goes on where it was when processes come and go: the
 * next one after *cursor. */
static bool each_proc(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                      uint64_t *id)
{
    (void)s;
    (void)dir;
    static DIR *procs; /* kept over a listing: one pass of a growing sequence */
    if (*cursor == 0 && procs) {
        rewinddir(procs);
    } else if (!procs) {
        procs = opendir("/proc");
    }
    for (struct dirent *d = procs ? readdir(procs) : NULL; d; d = readdir(procs)) {
        if (is_number(d->d_name, id)) {
            *cursor = *id;
            return cg_span_str(cg_span_of(d->d_name), name, SYNTH_NAME_BYTES);
        }
    }
    return false;
}

static cg_err find_proc(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    int fd = is_number(name, id) ? open_in(*id, "stat", O_PATH) : -1;
    if (fd < 0) {
        return CG_ENOENT;
    }
    close(fd);
    return CG_OK;
}

/* ---- texts ---- */

struct stat_line {
    char name[64];
    char state;
    unsigned long long ppid, utime, stime, start, rss;
};

/* proc(5): the name stands in brackets and may hold anything, so fields are counted from the last
 * bracket. */
static bool parse_stat(char *text, struct stat_line *out)
{
    char *open = strchr(text, '('), *end = strrchr(text, ')');
    if (!open || !end || end < open || end[1] != ' ') {
        return false;
    }
    *end = 0;
    struct cg_span name = cg_span_of(open + 1);
    if (!cg_span_str(name, out->name, sizeof out->name)) {
        return false;
    }
    char *word = end + 2;
    out->state = *word;
    unsigned long long *const wanted[] = {[4] = &out->ppid,
                                          [14] = &out->utime,
                                          [15] = &out->stime,
                                          [22] = &out->start,
                                          [24] = &out->rss};
    for (size_t field = 4; field < CG_COUNT(wanted); field++) {
        word = strchr(word, ' ');
        if (!word) {
            return false;
        }
        word++;
        if (wanted[field]) {
            *wanted[field] = strtoull(word, NULL, 10);
        }
    }
    return true;
}

static cg_err text_of_status(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    struct cg_str raw = {0};
    cg_err e = read_file(h->id, "stat", &raw, eb);
    struct stat_line line = {0};
    struct stat owner = {0};
    if (!e && !parse_stat(raw.data, &line)) {
        e = cg_fail(eb, CG_EBADFORMAT, "the host's /proc/%llu/stat is not as expected",
                    (unsigned long long)h->id);
    }
    int fd = e ? -1 : open_in(h->id, "", O_PATH);
    if (fd >= 0) {
        fstat(fd, &owner);
        close(fd);
    }
    cg_str_fini(&raw);
    unsigned long long tick_ms = 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
    e = e ? e : cg_str_add_quoted(out, line.name);
    return e ? e
             : cg_str_addf(out, " %c %llu %u %llu %llu %llu %llu\n", line.state, line.ppid,
                           owner.st_uid, line.utime * tick_ms, line.stime * tick_ms,
                           line.rss * (unsigned long long)sysconf(_SC_PAGESIZE), line.start);
}

static cg_err text_of_args(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    cg_err e = read_file(h->id, "cmdline", out, eb);
    for (size_t i = 0; i < out->len; i++) {
        if (!out->data[i]) {
            out->data[i] = '\n';
        }
    }
    return e;
}

static cg_err text_of_fd(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    int fd = open_in(h->id, "fd", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return cg_fail(eb, errno == EACCES ? CG_EACCES : CG_ESTALE, "process %llu: %s",
                       (unsigned long long)h->id, strerror(errno));
    }
    cg_err e = CG_OK;
    for (struct dirent *d = readdir(dir); !e && d; d = readdir(dir)) {
        char target[4096];
        ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof target - 1);
        if (n > 0) {
            target[n] = 0;
            e = cg_str_addf(out, "%s %s\n", d->d_name, target);
        }
    }
    closedir(dir);
    return e;
}

static cg_err text_of_number(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return cg_str_addf(out, "%llu\n", (unsigned long long)h->id);
}

/* ---- doing something to a process: the handle holds a process descriptor ---- */

struct target {
    int pidfd;
    uv_poll_t *poll;
    struct ninep_req *waiting;
    uint64_t pid;
};

static cg_err open_target(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    struct target *t = cg_zalloc(sizeof *t);
    if (!t) {
        return CG_ENOMEM;
    }
    t->pid = h->id;
    t->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)h->id, 0);
    if (t->pidfd < 0) {
        cg_free(t);
        return cg_fail(eb, CG_ESTALE, "process %llu is gone", (unsigned long long)h->id);
    }
    h->aux = t;
    return CG_OK;
}

static void on_closed(uv_handle_t *handle)
{
    cg_free(handle);
}

static void end_wait(struct target *t, cg_err e)
{
    struct ninep_req *r = t->waiting;
    t->waiting = NULL;
    if (t->poll) {
        uv_close((uv_handle_t *)t->poll, on_closed);
        t->poll = NULL;
    }
    if (!r) {
        return;
    }
    struct cg_str text = {0};
    e = e ? e : cg_str_addf(&text, "gone %llu\n", (unsigned long long)t->pid);
    if (!e) {
        r->r.read.data.len = (uint32_t)text.len < r->data_cap ? (uint32_t)text.len : r->data_cap;
        memcpy(r->data, text.data, r->r.read.data.len);
        r->r.read.eof = 1;
    }
    cg_str_fini(&text);
    ninep_respond(r, e);
}

static void close_target(struct synth_handle *h)
{
    struct target *t = h->aux;
    end_wait(t, CG_ECANCELED);
    close(t->pidfd);
    cg_free(t);
}

static void on_exit_seen(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    end_wait(p->data, CG_OK);
}

static void read_wait(struct synth_handle *h, struct ninep_req *r)
{
    struct target *t = h->aux;
    if (r->t.read.offset > 0) { /* told already */
        r->r.read.eof = 1;
        ninep_respond(r, CG_OK);
        return;
    }
    if (t->waiting) {
        ninep_respond(r, cg_fail(&r->eb, CG_EBUSY, "this handle already waits"));
        return;
    }
    t->poll = cg_zalloc(sizeof *t->poll);
    if (!t->poll || uv_poll_init(uv_default_loop(), t->poll, t->pidfd) < 0) {
        cg_free(t->poll);
        t->poll = NULL;
        ninep_respond(r, CG_ENOMEM);
        return;
    }
    t->poll->data = t;
    t->waiting = r;
    uv_poll_start(t->poll, UV_READABLE, on_exit_seen);
}

static void cancel_wait(struct synth_handle *h, struct ninep_req *r)
{
    struct target *t = h->aux;
    if (t && t->waiting == r) {
        end_wait(t, CG_ECANCELED);
    }
}

static cg_err send_signal(struct synth_handle *h, int signo, struct cg_errbuf *eb)
{
    struct target *t = h->aux;
    if (t->pid == 1 || (pid_t)t->pid == getpid()) {
        return cg_fail(eb, CG_EPERM, "init and proc itself are not controlled through proc");
    }
    if (syscall(SYS_pidfd_send_signal, t->pidfd, signo, NULL, 0) < 0) {
        return cg_fail(eb, errno == ESRCH ? CG_ESTALE : cg_err_from_errno(errno),
                       "process %llu: %s", (unsigned long long)t->pid, strerror(errno));
    }
    return CG_OK;
}

static const struct {
    const char *name;
    int signo;
} notes[] = {{"interrupt", SIGINT}, {"hangup", SIGHUP}, {"kill", SIGKILL}, {"term", SIGTERM},
             {"quit", SIGQUIT},     {"usr1", SIGUSR1},  {"usr2", SIGUSR2}, {"alarm", SIGALRM},
             {"stop", SIGSTOP},     {"start", SIGCONT}};

static int note_number(const char *word)
{
    for (size_t i = 0; i < CG_COUNT(notes); i++) {
        if (strcmp(word, notes[i].name) == 0) {
            return notes[i].signo;
        }
    }
    char *end;
    long n = strtol(word, &end, 10);
    return *word && !*end && n > 0 && n <= SIGRTMAX ? (int)n : 0;
}

static cg_err write_signal(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    char text[64], *words[WORDS_MAX];
    bool note = h->kind == synth_kind_of(h->synth, KIND_NOTE);
    if (!cg_span_str(data, text, sizeof text) || cg_tokenize(text, words, WORDS_MAX) != 1) {
        return cg_fail(eb, CG_EBADFORMAT, "write one word");
    }
    int signo = note_number(words[0]);
    if (!note && signo != SIGSTOP && signo != SIGCONT && signo != SIGKILL) {
        return cg_fail(eb, CG_EINVAL, "ctl takes stop, start or kill, not '%s'", words[0]);
    }
    if (!signo) {
        return cg_fail(eb, CG_EINVAL, "no signal '%s'", words[0]);
    }
    return send_signal(h, signo, eb);
}

/* ---- ns: read in a thread, for the namespace is served by another process ---- */

struct ns_read {
    uv_work_t work;
    struct ninep_req *req;
    uint64_t pid;
    struct cg_str text;
    cg_err e;
};

static void ns_work(uv_work_t *work)
{
    struct ns_read *n = CG_CONTAINER(work, struct ns_read, work);
    struct cg_errbuf eb = {0};
    n->e = read_file(n->pid, "root/mnt/ns/ns", &n->text, &eb);
}

static void ns_after(uv_work_t *work, int status)
{
    struct ns_read *n = CG_CONTAINER(work, struct ns_read, work);
    struct ninep_req *r = n->req;
    uint64_t offset = r->t.read.offset;
    size_t left = offset < n->text.len ? n->text.len - (size_t)offset : 0;
    uint32_t len = left < r->data_cap ? (uint32_t)left : r->data_cap;
    cg_err e = status ? CG_ECANCELED : n->e;
    if (!e && len) {
        memcpy(r->data, n->text.data + offset, len);
    }
    r->r.read.data.len = e ? 0 : len;
    r->r.read.eof = len == left;
    cg_str_fini(&n->text);
    cg_free(n);
    if (e) {
        cg_fail(&r->eb, e, "the process has no namespace that can be read");
    }
    ninep_respond(r, e);
}

static void read_ns(struct synth_handle *h, struct ninep_req *r)
{
    struct ns_read *n = cg_zalloc(sizeof *n);
    if (!n) {
        ninep_respond(r, CG_ENOMEM);
        return;
    }
    *n = (struct ns_read){.req = r, .pid = h->id};
    if (uv_queue_work(uv_default_loop(), &n->work, ns_work, ns_after) < 0) {
        cg_free(n);
        ninep_respond(r, CG_ENOMEM);
    }
}

#define TEXT_FILE(file, fn)                                                                        \
    {                                                                                              \
        .parent = KIND_PROC, .name = file, .mode = S_IFREG | 0444, .text = fn                      \
    }
#define CONTROL_FILE(file)                                                                         \
    {                                                                                              \
        .parent = KIND_PROC, .name = file, .mode = S_IFREG | 0600, .open = open_target,            \
        .close = close_target, .text = text_of_number, .line = write_signal                        \
    }

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_PROC] = {.mode = S_IFDIR | 0555, .each = each_proc, .find = find_proc},
    [KIND_STATUS] = TEXT_FILE("status", text_of_status),
    [KIND_ARGS] = TEXT_FILE("args", text_of_args),
    [KIND_CTL] = CONTROL_FILE("ctl"),
    [KIND_NOTE] = CONTROL_FILE("note"),
    [KIND_WAIT] = {.parent = KIND_PROC,
                   .name = "wait",
                   .mode = S_IFREG | 0444,
                   .qtype = NINEP_QTYPE_STREAM,
                   .open = open_target,
                   .close = close_target,
                   .read = read_wait,
                   .cancel = cancel_wait},
    [KIND_FD] = TEXT_FILE("fd", text_of_fd),
    [KIND_NS] = {.parent = KIND_PROC, .name = "ns", .mode = S_IFREG | 0444, .read = read_ns},
};

int main(int argc, char **argv)
{
    cg_log_init("proc");
    return synth_serve_main(argc, argv, "proc", kinds, KINDS);
}
