/* proc: the processes of this node, as files (README.md). What a process is, the host's procfs
 * tells; what is done to one goes through a process descriptor, so that a number that was used
 * again is never hit. */
#include "debug.h"

#include <cognu/ninep_uv.h>
#include <cognu/secure_allow.h>
#include <cognu/synth.h>
#include <cognu/synth_host.h>
#include <cognu/synth_stream.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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
    KIND_MEM,
    KIND_REGS,
    KIND_TEXT,
    KIND_SEGMENT,
    KIND_DEBUG,
    KINDS
};
enum { WORDS_MAX = 4 };

/* The host lists numbers in growing order: the next one after *cursor. One pass is kept open, since
 * listings ask for one number after the other. */
static bool each_proc(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                      uint64_t *id)
{
    (void)s;
    (void)dir;
    static DIR *procs;
    static uint64_t last; /* where the pass is */
    procs = procs ? procs : opendir("/proc");
    if (procs && (*cursor == 0 || *cursor != last)) {
        rewinddir(procs);
    }
    for (struct dirent *d = procs ? readdir(procs) : NULL; d; d = readdir(procs)) {
        if (synth_host_is_pid(d->d_name, id) && *id > *cursor) {
            last = *cursor = *id;
            return cg_span_str(cg_span_of(d->d_name), name, SYNTH_NAME_BYTES);
        }
    }
    last = 0;
    return false;
}

static cg_err find_proc(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    int fd = synth_host_is_pid(name, id) ? synth_host_open(*id, "stat", O_PATH) : -1;
    if (fd < 0) {
        return CG_ENOENT;
    }
    close(fd);
    return CG_OK;
}

/* ---- texts ---- */

static bool uid_of(uint64_t pid, uint32_t *uid)
{
    struct stat st;
    int fd = synth_host_open(pid, "", O_PATH);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (fd >= 0) {
        close(fd);
    }
    *uid = ok ? st.st_uid : 0;
    return ok;
}

/* Users of this host own their processes. Users of the cell own none: to let them open a file is
 * left to the rule (may). */
static uint64_t owner_of(struct synth_handle *h)
{
    const uint64_t host_user = UINT64_C(1) << 63;
    uint32_t uid;
    if (!(h->fid->principal & host_user) || !uid_of(h->id, &uid)) {
        return h->fid->principal;
    }
    return host_user | uid;
}

/* May who opened h do this to its process: to his own, and those who may run commands here, which
 * is as much, to all. */
static cg_err may(struct synth_handle *h, const char *what, struct cg_errbuf *eb)
{
    const uint64_t host_user = UINT64_C(1) << 63;
    char user[64];
    uint32_t uid;
    bool own = uid_of(h->id, &uid) && h->fid->principal == (host_user | uid);
    return own ? CG_OK : allow_check(h->fid, what, user, eb);
}

static cg_err text_of_status(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    struct synth_host_process p;
    uint32_t uid = 0;
    cg_err e = synth_host_process(h->id, &p, eb);
    if (!e && !uid_of(h->id, &uid)) {
        e = synth_host_why(h->id, eb);
    }
    e = e ? e : cg_str_add_quoted(out, p.name);
    return e ? e
             : cg_str_addf(out, " %c %llu %u %llu %llu %llu %llu\n", p.state,
                           (unsigned long long)p.ppid, uid, (unsigned long long)p.user_ms,
                           (unsigned long long)p.system_ms, (unsigned long long)p.rss_bytes,
                           (unsigned long long)p.start_ticks);
}

/* Its words; nothing of a kernel thread or of a process that has ended but is not reaped. */
static cg_err text_of_args(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    cg_err e = synth_host_read(h->id, "cmdline", out, eb);
    for (size_t i = 0; i < out->len; i++) {
        if (!out->data[i]) {
            out->data[i] = '\n';
        }
    }
    return e;
}

static cg_err text_of_fd(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    cg_err e = may(h, "look into processes", eb);
    if (e) {
        return e;
    }
    int fd = synth_host_open(h->id, "fd", O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return synth_host_why(h->id, eb);
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return CG_ENOMEM;
    }
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

static cg_err gone(uint64_t pid, struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_ESTALE, "process %llu is gone", (unsigned long long)pid);
}

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
        return gone(h->id, eb);
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
        synth_answer_text(r, text.data, text.len);
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
    cg_err e = may(h, "signal processes", eb);
    if (e) {
        return e;
    }
    if (syscall(SYS_pidfd_send_signal, t->pidfd, signo, NULL, 0) < 0) {
        return errno == ESRCH ? gone(t->pid, eb)
                              : cg_fail(eb, cg_err_from_errno(errno), "process %llu: %s",
                                        (unsigned long long)t->pid, strerror(errno));
    }
    return CG_OK;
}

static cg_err write_signal(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    char text[64], *words[WORDS_MAX];
    bool note = h->kind == synth_kind_of(h->synth, KIND_NOTE);
    if (!cg_span_str(data, text, sizeof text) || cg_tokenize(text, words, WORDS_MAX) != 1) {
        return cg_fail(eb, CG_EBADFORMAT, "write one word");
    }
    int signo = synth_note_number(words[0]);
    if (!note && signo != SIGSTOP && signo != SIGCONT && signo != SIGKILL) {
        return cg_fail(eb, CG_EINVAL,
                       "ctl takes stop, start, kill, attach, detach, step, startstop or waitstop, "
                       "not '%s'",
                       words[0]);
    }
    if (!signo) {
        return cg_fail(eb, CG_EINVAL, "no signal '%s'", words[0]);
    }
    return send_signal(h, signo, eb);
}

/* A process that forbids debuggers (it is not dumpable): its files here are root's, whoever it runs
 * as. */
static bool forbids(uint64_t pid)
{
    char text[4096], *line;
    struct stat st;
    uint32_t uid;
    int fd = synth_host_open(pid, "status", O_RDONLY);
    ssize_t n = fd < 0 || fstat(fd, &st) != 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    line = strstr(text, "\nUid:");
    return !line || sscanf(line, "\nUid: %*u %u", &uid) != 1 || st.st_uid != uid;
}

/* May who opened h look into its process's memory, and change it? Nobody is let into what holds
 * keys, nor into init and this server. */
static cg_err may_debug(struct synth_handle *h, struct cg_errbuf *eb)
{
    if (h->id == 1 || (pid_t)h->id == getpid()) {
        return cg_fail(eb, CG_EPERM, "init and proc itself are not debugged");
    }
    if (forbids(h->id)) {
        return cg_fail(eb, CG_EPERM, "process %d forbids debuggers", (int)h->id);
    }
    return may(h, "debug processes", eb);
}

/* ctl's words for a process that a debugger holds mean more, and may wait. */
static void write_ctl(struct synth_handle *h, struct ninep_req *r)
{
    struct target *t = h->aux;
    struct cg_span data = r->t.write.data;
    char word[32];
    data.len -= data.len > 0 && data.data[data.len - 1] == '\n';
    bool known = cg_span_str(data, word, sizeof word);
    cg_err e = known && strcmp(word, "attach") == 0 ? may_debug(h, &r->eb) : CG_OK;
    if (!e && known && debug_ctl(t, t->pid, word, r)) {
        return;
    }
    e = e ? e : write_signal(h, r->t.write.data, &r->eb);
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static void cancel_ctl(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    debug_cancel(r);
}

static void close_ctl(struct synth_handle *h)
{
    debug_close(h->aux);
    close_target(h);
}

/* ---- memory, registers, the program ---- */

static cg_err open_host(struct synth_handle *h, const char *file, struct cg_errbuf *eb)
{
    int *fd = cg_zalloc(sizeof *fd);
    if (!fd) {
        return CG_ENOMEM;
    }
    *fd = synth_host_open(h->id, file, O_RDONLY);
    if (*fd < 0) {
        cg_err e = synth_host_why(h->id, eb);
        cg_free(fd);
        return e;
    }
    h->aux = fd;
    return CG_OK;
}

static cg_err open_mem(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    cg_err e = may_debug(h, eb);
    return e ? e : open_host(h, "mem", eb);
}

static cg_err open_text(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    cg_err e = may(h, "look into processes", eb);
    return e ? e : open_host(h, "exe", eb);
}

static void close_host(struct synth_handle *h)
{
    close(*(int *)h->aux);
    cg_free(h->aux);
}

static void read_host(struct synth_handle *h, struct ninep_req *r)
{
    uint32_t want = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
    ssize_t n = pread(*(int *)h->aux, r->data, want, (off_t)r->t.read.offset);
    if (n < 0) {
        ninep_respond(r, cg_fail(&r->eb, cg_err_from_errno(errno), "nothing at address 0x%llx: %s",
                                 (unsigned long long)r->t.read.offset, strerror(errno)));
        return;
    }
    r->r.read.data.len = (uint32_t)n;
    r->r.read.eof = n == 0;
    ninep_respond(r, CG_OK);
}

static void write_mem(struct synth_handle *h, struct ninep_req *r)
{
    cg_err e = debug_poke(h->id, r->t.write.offset, r->t.write.data, &r->eb);
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static cg_err open_regs(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    return may_debug(h, eb);
}

static cg_err text_of_regs(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    return debug_regs(h->id, out, eb);
}

static cg_err line_of_regs(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    char text[4096];
    return cg_span_str(data, text, sizeof text)
               ? debug_set_regs(h->id, text, eb)
               : cg_fail(eb, CG_EBADFORMAT, "write lines NAME VALUE");
}

static cg_err text_of_segment(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    cg_err e = may(h, "look into processes", eb);
    return e ? e : synth_host_read(h->id, "maps", out, eb);
}

static cg_err text_of_debug(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return debug_state(h->id, out);
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
    n->e = synth_host_read(n->pid, "root/mnt/ns/ns", &n->text, &eb);
}

static void ns_after(uv_work_t *work, int status)
{
    struct ns_read *n = CG_CONTAINER(work, struct ns_read, work);
    struct ninep_req *r = n->req;
    if (!r) { /* it was cancelled */
        cg_str_fini(&n->text);
        cg_free(n);
        return;
    }
    cg_err e = status ? CG_ECANCELED : n->e;
    if (e) {
        cg_fail(&r->eb, e, "the process has no namespace that can be read");
    } else {
        synth_answer_text(r, n->text.data, n->text.len);
    }
    cg_str_fini(&n->text);
    cg_free(n);
    ninep_respond(r, e);
}

/* The thread may hang on a namespace whose server does: it is left to itself. */
static void cancel_ns(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    struct ns_read *n = r->aux;
    uv_cancel((uv_req_t *)&n->work);
    n->req = NULL;
    ninep_respond(r, CG_ECANCELED);
}

static void read_ns(struct synth_handle *h, struct ninep_req *r)
{
    struct ns_read *n = cg_zalloc(sizeof *n);
    if (!n) {
        ninep_respond(r, CG_ENOMEM);
        return;
    }
    *n = (struct ns_read){.req = r, .pid = h->id};
    r->aux = n;
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
        .parent = KIND_PROC, .name = file, .mode = S_IFREG | 0600, .owner = owner_of,              \
        .open = open_target, .close = close_target, .text = text_of_number, .line = write_signal   \
    }

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_PROC] = {.mode = S_IFDIR | 0555, .each = each_proc, .find = find_proc},
    [KIND_STATUS] = TEXT_FILE("status", text_of_status),
    [KIND_ARGS] = TEXT_FILE("args", text_of_args),
    [KIND_CTL] = {.parent = KIND_PROC,
                  .name = "ctl",
                  .mode = S_IFREG | 0600,
                  .owner = owner_of,
                  .open = open_target,
                  .close = close_ctl,
                  .text = text_of_number,
                  .write = write_ctl,
                  .cancel = cancel_ctl},
    [KIND_MEM] = {.parent = KIND_PROC,
                  .name = "mem",
                  .mode = S_IFREG | 0600,
                  .owner = owner_of,
                  .open = open_mem,
                  .close = close_host,
                  .read = read_host,
                  .write = write_mem},
    [KIND_REGS] = {.parent = KIND_PROC,
                   .name = "regs",
                   .open = open_regs,
                   .mode = S_IFREG | 0600,
                   .owner = owner_of,
                   .text = text_of_regs,
                   .line = line_of_regs},
    [KIND_TEXT] = {.parent = KIND_PROC,
                   .name = "text",
                   .mode = S_IFREG | 0400,
                   .owner = owner_of,
                   .open = open_text,
                   .close = close_host,
                   .read = read_host},
    [KIND_SEGMENT] = {.parent = KIND_PROC,
                      .name = "segment",
                      .mode = S_IFREG | 0400,
                      .owner = owner_of,
                      .text = text_of_segment},
    [KIND_DEBUG] = {.parent = KIND_PROC,
                    .name = "debug",
                    .mode = S_IFREG | 0400,
                    .owner = owner_of,
                    .text = text_of_debug},
    [KIND_NOTE] = CONTROL_FILE("note"),
    [KIND_WAIT] = {.parent = KIND_PROC,
                   .name = "wait",
                   .mode = S_IFREG | 0444,
                   .qtype = NINEP_QTYPE_STREAM,
                   .open = open_target,
                   .close = close_target,
                   .read = read_wait,
                   .cancel = cancel_wait},
    [KIND_FD] = {.parent = KIND_PROC,
                 .name = "fd",
                 .mode = S_IFREG | 0400,
                 .owner = owner_of,
                 .text = text_of_fd},
    [KIND_NS] = {.parent = KIND_PROC,
                 .name = "ns",
                 .mode = S_IFREG | 0444,
                 .read = read_ns,
                 .cancel = cancel_ns},
};

int main(int argc, char **argv)
{
    struct allow_config allow;
    cg_log_init("proc");
    if (!allow_take_options(&argc, argv, &allow)) {
        cg_log(CG_ERROR_LEVEL, "an option has no value");
        return 2;
    }
    debug_init(uv_default_loop());
    if (allow_start(uv_default_loop(), &allow) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    int status = synth_serve_main(argc, argv, "proc", kinds, KINDS);
    allow_stop();
    uv_run(uv_default_loop(), UV_RUN_NOWAIT);
    return status;
}
