#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 10000,
    RECOVER_MS = 30 * 60 * 1000, /* an active tree first takes in what a crash left */
    LOOK_MS = 20,
    SERVED_MS_MIN = 10000, /* a part that is killed sooner is killed by what it is asked */
    SUCCESSORS_MAX = 5,    /* of such parts in a row */
    KEPT_FDS_MAX = 16,     /* one namespace: its device, its book */
    PATH_BYTES = 512
};
#define KEPT_BYTES_MAX (UINT64_C(4) << 30) /* books count in whole, used or not */

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
    interrupted = interrupted || signum != SIGCHLD;
}

bool shown_asked_to_end(void)
{
    return interrupted;
}

/* A child's end only cuts a wait short. */
static void watch_signals(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    struct sigaction act = {.sa_handler = on_signal};
    for (size_t i = 0; i < CG_COUNT(list); i++) {
        sigaction(list[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

static uint64_t now_ns(void)
{
    return cg_env_real.now_ns(cg_env_real.ctx);
}

/* ---- programs ---- */

/* The program beside this one, or where a build has it, or on the path. */
static void run(const char *name, char **argv)
{
    static const char *const places[] = {".", "../bin"};
    char self[PATH_MAX], path[PATH_MAX + PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    const char *folder = dirname(self);
    for (size_t i = 0; n > 0 && i < CG_COUNT(places); i++) {
        snprintf(path, sizeof path, "%s/%s/%s", folder, places[i], name);
        execv(path, argv);
    }
    execvp(name, argv);
    fprintf(stderr, "store: %s: %s; it belongs beside this program\n", name, strerror(errno));
    _exit(127);
}

/* When it cannot be started, that is told, and none runs. */
static void spawn(struct shown_part *p, const char *name, char **argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0); /* the terminal's interrupt is for us: we unmount */
        run(name, argv);
    }
    if (pid < 0) {
        fprintf(stderr, "store: fork: %s\n", strerror(errno));
    }
    p->pid = pid > 0 ? pid : 0;
    p->killed = false;
    p->status = pid > 0 ? 0 : 1;
    p->began_ns = now_ns();
}

/* Does it run no more? */
static bool ended(struct shown_part *p)
{
    int status;
    if (p->pid > 0 && waitpid(p->pid, &status, WNOHANG) == p->pid) {
        p->pid = 0;
        p->killed = WIFSIGNALED(status);
        p->status = p->killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return p->pid == 0;
}

static void end(struct shown_part *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        p->pid = 0;
    }
}

/* The passphrase goes through a pipe: not into arguments, which others may see. */
static void start_server(struct shown *m)
{
    int fds[2];
    char fd[16];
    unlink(m->socket); /* of a server that was killed */
    if (pipe(fds) != 0) {
        fprintf(stderr, "store: pipe: %s\n", strerror(errno));
        return;
    }
    snprintf(fd, sizeof fd, "%d", fds[0]);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    char *argv[] = {(char[]){"storefs"},
                    (char[]){"--store"},
                    cg_strdup(opt.store),
                    (char[]){"--passphrase-fd"},
                    fd,
                    (char[]){"--socket"},
                    m->socket,
                    opt.active ? (char[]){"--active"} : NULL,
                    (char[]){"yes"},
                    NULL};
    spawn(&m->server, "cognu-storefs", argv);
    cg_free(argv[2]);
    close(fds[0]);
    size_t len = strlen(m->secret.text);
    if (m->server.pid && write(fds[1], m->secret.text, len) != (ssize_t)len) {
        fprintf(stderr, "store: storefs did not take the passphrase\n");
        end(&m->server);
    }
    close(fds[1]);
}

/* What is mounted, as text. False: it cannot be written, and that is told. */
static bool write_namespace(const char *path)
{
    FILE *f = fopen(path, "we");
    bool fine = f && fputs("mount .!storefs /\n", f) >= 0;
    fine = f && fclose(f) == 0 && fine;
    if (!fine) {
        fprintf(stderr, "store: %s: %s\n", path, strerror(errno));
    }
    return fine;
}

static void start_adapter(struct shown *m)
{
    char ns[PATH_BYTES], fd[16];
    int pair[2];
    snprintf(ns, sizeof ns, "%s/ns", m->folder);
    if (!write_namespace(ns)) {
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        fprintf(stderr, "store: socketpair: %s\n", strerror(errno));
        return;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fcntl(pair[1], F_SETFD, 0);
    snprintf(fd, sizeof fd, "%d", pair[1]);
    char *argv[] = {(char[]){"cognu-fuse"}, (char[]){"--keep"},  fd,
                    (char[]){"--srv"},      m->folder,           (char[]){"--self"},
                    (char[]){"here"},       (char[]){"--ns"},    ns,
                    (char[]){"--mount"},    cg_strdup(m->place), NULL};
    spawn(&m->adapter, "cognu-fuse", argv);
    cg_free(argv[10]);
    close(pair[1]);
    m->line = pair[0];
}

/* ---- what is kept ---- */

/* All that the adapter asked for, which may have been just before its end. */
static void serve_line(struct shown *m)
{
    while (keep_shelf_serve(&m->shelf, m->line)) {
    }
}

static void close_line(struct shown *m)
{
    if (m->line >= 0) {
        serve_line(m);
        close(m->line);
        m->line = -1;
    }
}

/* Until there is something to do, at most LOOK_MS. */
static void look(struct shown *m)
{
    struct pollfd p = {.fd = m->line, .events = POLLIN};
    if (poll(&p, 1, LOOK_MS) > 0) { /* a line of -1 is passed over */
        if (p.revents & POLLIN) {
            serve_line(m);
        } else {
            close_line(m);
        }
    }
}

/* ---- life ---- */

/* False: it ended by itself, or is killed again and again. */
static bool deserves_successor(struct shown_part *p)
{
    bool soon = now_ns() - p->began_ns < SERVED_MS_MIN * UINT64_C(1000000);
    p->successors = soon ? p->successors + 1 : 1;
    return p->killed && p->successors <= SUCCESSORS_MAX;
}

/* False: it has ended, or nobody wants it any more. */
static bool wait_for_socket(struct shown *m)
{
    struct stat st;
    uint64_t last = now_ns() + (opt.active ? RECOVER_MS : START_MS) * UINT64_C(1000000);
    while (now_ns() < last && !interrupted && !ended(&m->server)) {
        if (stat(m->socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
            return true;
        }
        look(m);
    }
    return false;
}

void shown_init(struct shown *m, const char *place)
{
    *m = (struct shown){.folder = "/tmp/store-mount-XXXXXX", .place = place, .line = -1};
    verb_secret(&m->secret, "passphrase");
    if (m->secret.kind != STORE_PASSPHRASE) {
        cmd_fail(
            "--recovery-file: a mount wants the passphrase; `store passphrase` sets a new one");
    }
    if (!mkdtemp(m->folder)) {
        cmd_fail("%s: %s", m->folder, strerror(errno));
    }
    snprintf(m->socket, sizeof m->socket, "%s/storefs", m->folder);
    keep_shelf_init(&m->shelf, KEPT_FDS_MAX, KEPT_BYTES_MAX);
    watch_signals();
}

bool shown_start(struct shown *m)
{
    start_server(m);
    if (!wait_for_socket(m)) {
        return false;
    }
    start_adapter(m);
    return m->adapter.pid != 0;
}

bool shown_tend(struct shown *m)
{
    look(m);
    if (ended(&m->adapter)) {
        close_line(m);
        if (!deserves_successor(&m->adapter)) {
            return false;
        }
        fprintf(stderr, "store: the adapter was killed; another takes its place\n");
        start_adapter(m);
    }
    if (ended(&m->server)) {
        if (!deserves_successor(&m->server)) {
            return false;
        }
        fprintf(stderr, "store: the file server was killed; another takes its place\n");
        start_server(m);
    }
    return !interrupted;
}

/* The adapter's good end is somebody's unmounting. */
bool shown_failed(const struct shown *m)
{
    return !interrupted && (m->adapter.pid != 0 || m->adapter.status != 0);
}

static void clear(const char *folder)
{
    static const char *const names[] = {"ns", "storefs"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

void shown_fini(struct shown *m)
{
    if (m->adapter.pid > 0) {
        kill(m->adapter.pid, SIGTERM);
    }
    while (!ended(&m->adapter)) {
        look(m); /* it gives up what it kept, and waits for the answers */
    }
    close_line(m);
    keep_shelf_clear(&m->shelf);
    end(&m->server);
    clear(m->folder);
    cg_wipe((void *)(uintptr_t)m->secret.text, strlen(m->secret.text));
}
