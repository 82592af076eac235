/* Jobs: starting a command, telling its end, ending it.
 *
 * Answering a request may run others before it returns, which may disown the job that is at work: a
 * job that tells its end is freed only after that.
 */
#include "job.h"

#include <cognu/synth.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* What a shell says of a command that it could not run, or not find. */
enum { NOT_RUN = 126, NOT_FOUND = 127 };

static uv_loop_t *the_loop;
static struct cg_list jobs;
static uint64_t last_id;
static uint32_t job_count;
static char **launcher_argv;
static int launcher_argc;
static uv_signal_t child_signal;

/* ---- the end of a command ---- */

static void tell_end(struct job *j, struct ninep_req *r)
{
    struct cg_str text = {0};
    cg_err e = WIFSIGNALED(j->wait_status)
                   ? cg_str_addf(&text, "signal %d\n", WTERMSIG(j->wait_status))
                   : cg_str_addf(&text, "exit %d\n", WEXITSTATUS(j->wait_status));
    if (!e) {
        synth_answer_text(r, text.data, text.len);
    }
    cg_str_fini(&text);
    ninep_respond(r, e);
}

void job_wait_request(struct job *j, struct ninep_req *r)
{
    if (j->state == JOB_ENDED) {
        tell_end(j, r);
        return;
    }
    cg_err e = synth_wait(&j->exit_waiters, r);
    if (e) {
        ninep_respond(r, e);
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    cg_free(h);
}

static bool start_timer(struct job *j, uv_timer_cb cb, uint64_t ms)
{
    j->timer = cg_zalloc(sizeof *j->timer);
    if (j->timer) {
        uv_timer_init(the_loop, j->timer);
        j->timer->data = j;
        uv_timer_start(j->timer, cb, ms, 0);
    }
    return j->timer != NULL;
}

static void stop_timer(struct job *j)
{
    if (j->timer) {
        uv_close((uv_handle_t *)j->timer, on_timer_closed);
        j->timer = NULL;
    }
}

static void job_free(struct job *j)
{
    cg_list_del(&j->link); /* first: nobody finds it while its requests are answered */
    job_count--;
    synth_stream_close(&j->in);
    synth_stream_close(&j->out);
    synth_stream_close(&j->err);
    for (struct ninep_req *r; (r = synth_wake(&j->exit_waiters));) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the job is gone"));
    }
    stop_timer(j);
    cg_str_fini(&j->env);
    cg_str_fini(&j->ns);
    cg_free(j->dir);
    cg_str_fini(&j->words);
    cg_free(j);
}

/* A terminal ends with the command that it was made for, whoever still holds it. */
static void on_drained(uv_timer_t *t)
{
    struct job *j = t->data;
    stop_timer(j);
    synth_stream_finish(&j->out);
}

static void job_ended(struct job *j, int wait_status)
{
    j->state = JOB_ENDED;
    j->wait_status = wait_status;
    j->telling = true;
    stop_timer(j);
    if (j->tty && !start_timer(j, on_drained, DRAIN_MS)) {
        synth_stream_finish(&j->out);
    }
    synth_stream_close(&j->in);
    for (struct ninep_req *r; (r = synth_wake(&j->exit_waiters));) {
        tell_end(j, r);
    }
    j->telling = false;
    if (!j->owned) {
        job_free(j);
    }
}

/* The group of a job that nobody owns any more goes with its leader: its number is not used again
 * before the leader is reaped. */
static bool reap(struct job *j, int *status)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)j->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid) {
        return false;
    }
    if (!j->owned) {
        kill(-j->pid, SIGKILL);
    }
    return waitpid(j->pid, status, WNOHANG) == j->pid;
}

static void on_child(uv_signal_t *h, int signo)
{
    (void)h;
    (void)signo;
    int status;
    uint64_t at = 0;
    for (struct job *j; (j = job_after(at));) {
        at = j->id; /* not a list position: telling one end may free other jobs */
        if (j->state == JOB_RUNNING && reap(j, &status)) {
            job_ended(j, status);
        }
    }
}

/* ---- starting ---- */

/* The handlers of this process must not run in the child, and none of them outlives exec. */
static void reset_signals(void)
{
    sigset_t none;
    for (int signo = 1; signo < SIGRTMIN; signo++) {
        signal(signo, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_environment(struct job *j)
{
    for (size_t at = 0; at < j->env.len; at += strlen(j->env.data + at) + 1) {
        putenv(j->env.data + at);
    }
    if (j->dir && launcher_argc) {
        setenv("COGNU_DIR", j->dir, 1); /* the launcher goes there once it is in the namespace */
    }
    if (launcher_argc) {
        setenv("COGNU_SERVICE", "exec", 1);
        setenv("COGNU_USER", j->user, 1);
    }
    if (j->ns.len > 0) {
        setenv(j->clean ? "COGNU_NS_CLEAN" : "COGNU_NS_MORE", j->ns.data, 1);
    }
}

/* The child's side; does not return. Signals are blocked. */
static _Noreturn void become(struct job *j, char **argv, int in, int out, int err)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGHUP); /* should this server die */
    if (j->tty) {
        ioctl(in, TIOCSCTTY, 0);
    }
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
        _exit(NOT_RUN);
    }
    closefrom(3); /* the parent goes on */
    reset_signals();
    set_environment(j);
    if (j->dir && !launcher_argc && chdir(j->dir) < 0) {
        dprintf(2, "%s: %s\n", j->dir, strerror(errno));
        _exit(NOT_RUN);
    }
    execvp(argv[0], argv);
    int why = errno;
    dprintf(2, "%s: %s\n", argv[0], strerror(why));
    _exit(why == ENOENT ? NOT_FOUND : NOT_RUN);
}

/* Returns when the child has a group of its own, which can be signalled: until then it keeps a pipe
 * open. */
static pid_t fork_command(struct job *j, char **argv, int in, int out, int err)
{
    int told[2];
    sigset_t all, before;
    if (pipe2(told, O_CLOEXEC) < 0) {
        return -1;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        become(j, argv, in, out, err);
    }
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(told[1]);
    char end;
    while (pid > 0 && read(told[0], &end, 1) < 0 && errno == EINTR) {
    }
    close(told[0]);
    errno = why;
    return pid;
}

struct ends {
    int child_in, child_out, child_err;
    int in, out, err;
};

static void close_ends(struct ends *e, bool child_only)
{
    int fds[] = {e->child_in, e->child_out, e->child_err, e->in, e->out, e->err};
    for (size_t i = 0; i < (child_only ? 3 : CG_COUNT(fds)); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static bool open_tty(struct job *j, struct ends *e)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        if (master >= 0) {
            close(master);
        }
        return false;
    }
    struct winsize size = {.ws_row = j->rows, .ws_col = j->cols};
    ioctl(master, TIOCSWINSZ, &size);
    e->out = master;
    e->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
    e->child_in = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    e->child_out = fcntl(e->child_in, F_DUPFD_CLOEXEC, 3);
    e->child_err = fcntl(e->child_in, F_DUPFD_CLOEXEC, 3);
    return e->in >= 0 && e->child_err >= 0;
}

static bool open_pipe(int *reader, int *writer, bool ours_reads)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0) {
        return false;
    }
    *reader = p[0];
    *writer = p[1];
    return fcntl(p[ours_reads ? 0 : 1], F_SETFL, O_NONBLOCK) == 0;
}

static bool open_pipes(struct ends *e)
{
    return open_pipe(&e->child_in, &e->in, false) && open_pipe(&e->out, &e->child_out, true) &&
           open_pipe(&e->err, &e->child_err, true);
}

static cg_err start(struct job *j, char **argv, struct cg_errbuf *eb)
{
    struct ends e = {-1, -1, -1, -1, -1, -1};
    if (!(j->tty ? open_tty(j, &e) : open_pipes(&e))) {
        cg_err why = cg_err_from_errno(errno);
        close_ends(&e, false);
        return cg_fail(eb, why, "no descriptors for the command: %s", strerror((int)why));
    }
    j->pid = fork_command(j, argv, e.child_in, e.child_out, e.child_err);
    if (j->pid < 0) {
        cg_err why = cg_err_from_errno(errno);
        close_ends(&e, false);
        return cg_fail(eb, why, "no process for the command: %s", strerror((int)why));
    }
    close_ends(&e, true);
    j->state = JOB_RUNNING;
    synth_stream_open(&j->in, e.in);
    synth_stream_open(&j->out, e.out);
    if (!j->tty) {
        synth_stream_open(&j->err, e.err);
    }
    return CG_OK;
}

/* ---- ctl ---- */

static cg_err ctl_exec(struct job *j, char **words, int count, struct cg_errbuf *eb)
{
    static char *argv[2 * WORDS_MAX + 1];
    if (count < 1) {
        return cg_fail(eb, CG_EINVAL, "exec needs a command");
    }
    int n = 0;
    j->words.len = 0;
    for (int i = 0; i < launcher_argc; i++) {
        argv[n++] = launcher_argv[i];
    }
    for (int i = 0; i < count; i++) {
        argv[n++] = words[i];
        cg_err e = cg_str_add(&j->words, " ", i > 0);
        e = e ? e : cg_str_add_quoted(&j->words, words[i]);
        if (e) {
            return e;
        }
    }
    argv[n] = NULL;
    return start(j, argv, eb);
}

static cg_err ctl_env(struct job *j, const char *assignment, struct cg_errbuf *eb)
{
    if (!strchr(assignment, '=') || assignment[0] == '=') {
        return cg_fail(eb, CG_EINVAL, "env takes NAME=VALUE, not '%s'", assignment);
    }
    size_t len = strlen(assignment) + 1;
    if (len > ENV_BYTES_MAX - j->env.len) {
        return cg_fail(eb, CG_ELIMIT, "the variables have more than %d bytes", ENV_BYTES_MAX);
    }
    return cg_str_add(&j->env, assignment, len);
}

static cg_err ctl_ns(struct job *j, bool clean, const char *lines, struct cg_errbuf *eb)
{
    if (!launcher_argc) {
        return cg_fail(eb, CG_EOPNOTSUPP, "this exec starts commands without a namespace");
    }
    if (strlen(lines) + 2 > NS_BYTES_MAX - j->ns.len) {
        return cg_fail(eb, CG_ELIMIT, "a namespace has more than %d bytes", NS_BYTES_MAX);
    }
    j->clean = j->clean || clean;
    return cg_str_addf(&j->ns, "%s\n", lines);
}

static cg_err ctl_dir(struct job *j, const char *dir)
{
    char *copy = cg_strdup(dir);
    if (!copy) {
        return CG_ENOMEM;
    }
    cg_free(j->dir);
    j->dir = copy;
    return CG_OK;
}

static bool number_of(const char *text, long max, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return *text && !*end && !errno && *out >= 0 && *out <= max;
}

static cg_err ctl_size(struct job *j, char **words, bool make_tty, struct cg_errbuf *eb)
{
    long rows, cols;
    if (!number_of(words[0], UINT16_MAX, &rows) || !number_of(words[1], UINT16_MAX, &cols)) {
        return cg_fail(eb, CG_EINVAL, "rows and columns are numbers up to %d", UINT16_MAX);
    }
    j->rows = (uint16_t)rows;
    j->cols = (uint16_t)cols;
    j->tty = j->tty || make_tty;
    if (j->tty && j->out.fd >= 0) {
        struct winsize size = {.ws_row = j->rows, .ws_col = j->cols};
        ioctl(j->out.fd, TIOCSWINSZ, &size);
    }
    return CG_OK;
}

/* A signal goes to the command's process group: for a terminal, to the group in its foreground, of
 * which there may be none (0). */
static cg_err ctl_note(struct job *j, const char *name, struct cg_errbuf *eb)
{
    int signo = synth_note_number(name);
    if (!signo) {
        return cg_fail(eb, CG_EINVAL, "no signal '%s'", name);
    }
    pid_t group = 0;
    if (j->tty && j->out.fd >= 0 && ioctl(j->out.fd, TIOCGPGRP, &group) < 0) {
        group = 0;
    }
    group = group > 1 ? group : j->pid;
    return kill(-group, signo) < 0 ? cg_err_from_errno(errno) : CG_OK;
}

/* The end of input: of a terminal, what its user types for it. */
static cg_err ctl_eof(struct job *j, struct cg_errbuf *eb)
{
    struct termios t;
    if (!j->tty) {
        synth_stream_close(&j->in);
        return CG_OK;
    }
    if (j->in.fd < 0 || tcgetattr(j->in.fd, &t) < 0 || write(j->in.fd, &t.c_cc[VEOF], 1) != 1) {
        return cg_fail(eb, CG_EAGAIN, "the terminal takes no input now");
    }
    return CG_OK;
}

cg_err job_ctl(struct job *j, char *line, struct cg_errbuf *eb)
{
    static char *words[WORDS_MAX];
    int n = cg_tokenize(line, words, WORDS_MAX);
    if (n < 0) {
        return cg_fail(eb, CG_EBADFORMAT, "a quote is open, or there are over %d words", WORDS_MAX);
    }
    if (n == 0) {
        return CG_OK;
    }
    bool fresh = j->state == JOB_NEW, running = j->state == JOB_RUNNING;
    if (fresh && strcmp(words[0], "exec") == 0) {
        return ctl_exec(j, words + 1, n - 1, eb);
    }
    if (fresh && n == 2 && strcmp(words[0], "env") == 0) {
        return ctl_env(j, words[1], eb);
    }
    if (fresh && n == 2 && strcmp(words[0], "dir") == 0) {
        return ctl_dir(j, words[1]);
    }
    if (fresh && n == 2 && (strcmp(words[0], "ns") == 0 || strcmp(words[0], "cleanns") == 0)) {
        return ctl_ns(j, words[0][0] == 'c', words[1], eb);
    }
    if (fresh && n == 3 && strcmp(words[0], "tty") == 0) {
        return ctl_size(j, words + 1, true, eb);
    }
    if (running && n == 3 && strcmp(words[0], "size") == 0) {
        return ctl_size(j, words + 1, false, eb);
    }
    if (running && n == 2 && strcmp(words[0], "note") == 0) {
        return ctl_note(j, words[1], eb);
    }
    if (running && n == 1 && strcmp(words[0], "eof") == 0) {
        return ctl_eof(j, eb);
    }
    return cg_fail(eb, CG_EINVAL, "'%s' is no command for a job that is %s", words[0],
                   fresh     ? "not started"
                   : running ? "running"
                             : "over");
}

/* ---- the table ---- */

void jobs_init(uv_loop_t *loop, char **launcher, int launcher_words)
{
    cg_assert(launcher_words <= WORDS_MAX);
    the_loop = loop;
    launcher_argv = launcher;
    launcher_argc = launcher_words;
    cg_list_init(&jobs);
    uv_signal_init(loop, &child_signal);
    uv_signal_start(&child_signal, on_child, SIGCHLD);
    uv_unref((uv_handle_t *)&child_signal);
}

cg_err job_new(uint64_t principal, struct job **out)
{
    if (job_count == JOBS_MAX) {
        return CG_ELIMIT;
    }
    struct job *j = cg_zalloc(sizeof *j);
    if (!j) {
        return CG_ENOMEM;
    }
    j->id = ++last_id;
    j->principal = principal;
    j->owned = true;
    synth_stream_init(&j->in, the_loop, true);
    synth_stream_init(&j->out, the_loop, false);
    synth_stream_init(&j->err, the_loop, false);
    cg_list_init(&j->exit_waiters);
    cg_list_push(&jobs, &j->link);
    job_count++;
    *out = j;
    return CG_OK;
}

struct job *job_after(uint64_t id)
{
    CG_LIST_EACH (it, &jobs) {
        struct job *j = CG_CONTAINER(it, struct job, link);
        if (j->id > id) {
            return j;
        }
    }
    return NULL;
}

struct job *job_by_id(uint64_t id)
{
    struct job *j = id ? job_after(id - 1) : NULL;
    return j && j->id == id ? j : NULL;
}

static void on_kill_time(uv_timer_t *t)
{
    struct job *j = t->data;
    if (j->state == JOB_RUNNING) {
        kill(-j->pid, SIGKILL);
    }
}

void job_disown(struct job *j)
{
    j->owned = false;
    if (j->telling) {
        return;
    }
    if (j->state != JOB_RUNNING) {
        job_free(j);
        return;
    }
    kill(-j->pid, SIGHUP);
    kill(-j->pid, SIGCONT);
    if (!start_timer(j, on_kill_time, KILL_AFTER_MS)) {
        kill(-j->pid, SIGKILL);
    }
}
