/* Jobs: starting a command, moving its bytes, telling its end.
 *
 * Bytes move only when a request wants them: a descriptor is polled while a request waits on it, so
 * a slow reader slows the command, and nothing is buffered here. A request that waits is remembered
 * by a waiter, its r->aux.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static uv_loop_t *the_loop;
static struct cg_list jobs;
static uint64_t last_id;
static uint32_t job_count;
static char **launcher_argv;
static int launcher_argc;
static uv_signal_t child_signal;

extern char **environ;

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

static void on_killer_closed(uv_handle_t *h)
{
    cg_free(h);
}

static void job_free(struct job *j)
{
    synth_stream_close(&j->in);
    synth_stream_close(&j->out);
    synth_stream_close(&j->err);
    for (struct ninep_req *r; (r = synth_wake(&j->exit_waiters));) {
        ninep_respond(r, CG_ESTALE);
    }
    if (j->killer) {
        uv_close((uv_handle_t *)j->killer, on_killer_closed);
    }
    for (uint32_t i = 0; i < j->env_count; i++) {
        cg_free(j->env[i]);
    }
    cg_free(j->dir);
    cg_str_fini(&j->words);
    cg_list_del(&j->link);
    cg_free(j);
    job_count--;
}

static void job_ended(struct job *j, int wait_status)
{
    j->state = JOB_ENDED;
    j->wait_status = wait_status;
    synth_stream_close(&j->in);
    for (struct ninep_req *r; (r = synth_wake(&j->exit_waiters));) {
        tell_end(j, r);
    }
    if (!j->owned) {
        job_free(j);
    }
}

static void on_child(uv_signal_t *h, int signo)
{
    (void)h;
    (void)signo;
    CG_LIST_EACH (it, &jobs) {
        struct job *j = CG_CONTAINER(it, struct job, link);
        int status;
        if (j->state == JOB_RUNNING && waitpid(j->pid, &status, WNOHANG) == j->pid) {
            job_ended(j, status);
        }
    }
}

/* ---- starting ---- */

/* The child's side; does not return. */
static _Noreturn void become(struct job *j, char **argv, int in, int out, int err)
{
    setsid();
    if (j->tty) {
        ioctl(in, TIOCSCTTY, 0);
    }
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
        _exit(126);
    }
    closefrom(3);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (uint32_t i = 0; i < j->env_count; i++) {
        putenv(j->env[i]);
    }
    if (j->dir) {
        setenv("COGNU_DIR", j->dir, 1); /* the launcher goes there once it is in the namespace */
    }
    execvp(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
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
    j->pid = fork();
    if (j->pid == 0) {
        become(j, argv, e.child_in, e.child_out, e.child_err);
    }
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
    if (j->env_count == WORDS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "at most %d variables", WORDS_MAX);
    }
    char *copy = cg_strdup(assignment);
    if (copy) {
        j->env[j->env_count++] = copy;
    }
    return copy ? CG_OK : CG_ENOMEM;
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

/* A signal goes to the command's process group: for a terminal, to the group in its foreground. */
static cg_err ctl_note(struct job *j, const char *name, struct cg_errbuf *eb)
{
    static const struct {
        const char *name;
        int signo;
    } notes[] = {{"interrupt", SIGINT}, {"hangup", SIGHUP}, {"kill", SIGKILL},  {"term", SIGTERM},
                 {"quit", SIGQUIT},     {"stop", SIGSTOP},  {"start", SIGCONT}, {"usr1", SIGUSR1},
                 {"usr2", SIGUSR2},     {"alarm", SIGALRM}};
    long signo = 0;
    for (size_t i = 0; i < CG_COUNT(notes); i++) {
        signo = strcmp(name, notes[i].name) == 0 ? notes[i].signo : signo;
    }
    if (!signo && (!number_of(name, SIGRTMAX, &signo) || signo == 0)) {
        return cg_fail(eb, CG_EINVAL, "no signal '%s'", name);
    }
    pid_t group = j->pid;
    if (j->tty && j->out.fd >= 0 && ioctl(j->out.fd, TIOCGPGRP, &group) < 0) {
        group = j->pid;
    }
    return kill(-group, (int)signo) < 0 ? cg_err_from_errno(errno) : CG_OK;
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
        synth_stream_close(&j->in);
        return CG_OK;
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

cg_err job_new(struct job **out)
{
    if (job_count == JOBS_MAX) {
        return CG_ELIMIT;
    }
    struct job *j = cg_zalloc(sizeof *j);
    if (!j) {
        return CG_ENOMEM;
    }
    j->id = ++last_id;
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
    if (j->state != JOB_RUNNING) {
        job_free(j);
        return;
    }
    kill(-j->pid, SIGHUP);
    kill(-j->pid, SIGCONT);
    j->killer = cg_zalloc(sizeof *j->killer);
    if (!j->killer) {
        kill(-j->pid, SIGKILL);
        return;
    }
    uv_timer_init(the_loop, j->killer);
    j->killer->data = j;
    uv_timer_start(j->killer, on_kill_time, KILL_AFTER_MS, 0);
}
