/* store mount, with: the store as files in a directory of this host, until it is interrupted or
 * unmounted. Two programs do it, each with its own job: storefs serves the files, cognu-fuse shows
 * them. A server that is killed gets a successor: the adapter, its only client, makes its session
 * and open files anew. */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 10000,
    RECOVER_MS = 30 * 60 * 1000, /* an active tree first takes in what a crash left */
    LOOK_MS = 20,
    SERVED_MS_MIN = 10000, /* a server that is killed sooner is killed by what it is asked */
    SUCCESSORS_MAX = 5,    /* of such servers in a row */
    PATH_BYTES = 512
};

/* What runs while a store is shown: its folder for sockets, and the two programs. */
struct shown {
    char folder[sizeof "/tmp/store-mount-XXXXXX"];
    char socket[sizeof "/tmp/store-mount-XXXXXX/storefs"];
    struct store_secret secret;
    pid_t server, adapter;
    bool killed; /* the server ended by a signal, not by itself */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

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

/* 0: that failed, and is told. */
static pid_t spawn(const char *name, char **argv)
{
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "store: fork: %s\n", strerror(errno));
        return 0;
    }
    if (pid == 0) {
        setpgid(0, 0); /* the terminal's interrupt is for us: we unmount */
        run(name, argv);
    }
    return pid;
}

static bool ended(pid_t *pid, bool *killed)
{
    int status;
    bool gone = *pid > 0 && waitpid(*pid, &status, WNOHANG) == *pid;
    if (gone) {
        *pid = 0;
        *killed = WIFSIGNALED(status);
    }
    return gone;
}

static bool server_ended(struct shown *m)
{
    return ended(&m->server, &m->killed);
}

static bool adapter_ended(struct shown *m)
{
    bool killed;
    return ended(&m->adapter, &killed);
}

static void end(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGTERM);
        waitpid(*pid, NULL, 0);
        *pid = 0;
    }
}

/* The passphrase goes through a pipe: not into arguments, which others may see. When it cannot be
 * started, that is told and there is none. */
static void start_server(struct shown *m)
{
    int fds[2];
    char fd[16];
    m->killed = false;
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
    m->server = spawn("cognu-storefs", argv);
    cg_free(argv[2]);
    close(fds[0]);
    size_t len = strlen(m->secret.text);
    if (m->server && write(fds[1], m->secret.text, len) != (ssize_t)len) {
        fprintf(stderr, "store: storefs did not take the passphrase\n");
        end(&m->server);
    }
    close(fds[1]);
}

/* False: it has ended, or there is nobody to serve any more. */
static bool wait_for_socket(struct shown *m)
{
    struct stat st;
    int max = opt.active ? RECOVER_MS : START_MS;
    for (int ms = 0; ms < max && !interrupted && !server_ended(m) && !adapter_ended(m);
         ms += LOOK_MS) {
        if (stat(m->socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
            return true;
        }
        usleep(LOOK_MS * 1000);
    }
    return false;
}

static pid_t start_adapter(const char *folder, const char *place)
{
    char ns[PATH_BYTES];
    snprintf(ns, sizeof ns, "%s/ns", folder);
    FILE *f = fopen(ns, "we");
    if (!f || fputs("mount .!storefs /\n", f) < 0 || fclose(f) != 0) {
        cmd_fail("%s: %s", ns, strerror(errno));
    }
    char *argv[] = {(char[]){"cognu-fuse"},
                    (char[]){"--srv"},
                    cg_strdup(folder),
                    (char[]){"--self"},
                    (char[]){"here"},
                    (char[]){"--ns"},
                    ns,
                    (char[]){"--mount"},
                    cg_strdup(place),
                    NULL};
    pid_t pid = spawn("cognu-fuse", argv);
    cg_free(argv[2]);
    cg_free(argv[8]);
    return pid;
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

static void watch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_signal};
    for (size_t i = 0; i < CG_COUNT(ending); i++) {
        sigaction(ending[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* False: the server ended by itself, or again and again. */
static bool succeed(struct shown *m, int served_ms, int *successors)
{
    *successors = served_ms < SERVED_MS_MIN ? *successors + 1 : 1;
    if (!m->killed || *successors > SUCCESSORS_MAX) {
        return false;
    }
    fprintf(stderr, "store: the file server was killed; another takes its place\n");
    start_server(m);
    return wait_for_socket(m) || m->server || m->killed;
}

/* Serves until something ends; true when that was asked for. */
static bool serve(const char *place, struct shown *m)
{
    int served_ms = 0, successors = 0;
    while (!interrupted) {
        if (!m->adapter || adapter_ended(m)) {
            return true; /* it was unmounted */
        }
        if (!m->server || server_ended(m)) {
            if (!succeed(m, served_ms, &successors)) {
                break;
            }
            served_ms = 0;
        }
        usleep(LOOK_MS * 1000);
        served_ms += LOOK_MS;
    }
    bool asked = interrupted;
    umount2(place, MNT_DETACH);
    return asked;
}

static void check_operands(const char *place)
{
    struct stat st;
    if (opt.store && opt.store[0] == '|') {
        cmd_fail("a mount wants the store's folder: `store copy` makes one of a store elsewhere");
    }
    if (stat(place, &st) != 0) {
        cmd_fail("%s: %s", place, strerror(errno));
    }
}

static void begin(struct shown *m)
{
    *m = (struct shown){.folder = "/tmp/store-mount-XXXXXX"};
    verb_secret(&m->secret, "passphrase");
    if (m->secret.kind != STORE_PASSPHRASE) {
        cmd_fail(
            "--recovery-file: a mount wants the passphrase; `store passphrase` sets a new one");
    }
    if (!mkdtemp(m->folder)) {
        cmd_fail("%s: %s", m->folder, strerror(errno));
    }
    snprintf(m->socket, sizeof m->socket, "%s/storefs", m->folder);
    watch_signals();
}

/* False: the file server ended; it has said why. */
static bool show(struct shown *m, const char *place)
{
    start_server(m);
    bool fine = wait_for_socket(m);
    m->adapter = fine ? start_adapter(m->folder, place) : 0;
    return fine;
}

static void finish(struct shown *m, bool fine, const char *place)
{
    end(&m->adapter);
    end(&m->server);
    clear(m->folder);
    cg_wipe((void *)(uintptr_t)m->secret.text, strlen(m->secret.text));
    if (!fine) {
        cmd_fail("%s: the file server ended; its message stands above", place);
    }
}

int verb_mount(int argc, char **argv)
{
    struct shown m;
    struct stat st;
    (void)argc;
    check_operands(argv[0]);
    if (stat(argv[0], &st) != 0 || !S_ISDIR(st.st_mode)) {
        cmd_fail("%s: a directory to mount on is needed", argv[0]);
    }
    verb_store(true); /* says what is wrong with it, or with the passphrase, on one line */
    verb_close();
    begin(&m);
    bool fine = show(&m, argv[0]);
    if (fine) {
        if (!opt.quiet) {
            fprintf(stderr, "store: %s shows %s until it is unmounted, or ^C\n", argv[0],
                    opt.store);
        }
        fine = serve(argv[0], &m);
    }
    finish(&m, fine, argv[0]);
    return 0;
}

/* ---- one tree of the past in the place of today's ---- */

static bool wait_for_path(const char *path, struct shown *m)
{
    struct stat st;
    for (int ms = 0; ms < START_MS && !interrupted && !server_ended(m) && !adapter_ended(m);
         ms += LOOK_MS) {
        if (stat(path, &st) == 0) {
            return true;
        }
        usleep(LOOK_MS * 1000);
    }
    return false;
}

/* The command's status as a shell tells it. */
static int run_command(char **argv)
{
    char here[PATH_MAX];
    int status = 0;
    if (getcwd(here, sizeof here) && chdir(here) != 0) { /* the place may be ours */
        cmd_fail("%s: %s", here, strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        execvp(argv[0], argv);
        fprintf(stderr, "store: %s: %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid < 0 ? 1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* with SNAPSHOT:PATH PLACE COMMAND...: the command, and nobody else, sees at PLACE what the
 * snapshot has at PATH. */
int verb_with(int argc, char **argv)
{
    struct selected sel;
    struct store_entry e;
    struct cg_str keep = {0};
    struct shown m;
    char mnt[PATH_BYTES], source[PATH_MAX];
    (void)argc;
    check_operands(argv[1]);
    struct store *s = verb_store(true);
    select_snapshot(s, argv[0], &sel);
    select_entry(s, &sel, &e, &keep); /* says when it is not there */
    if (!sel.ref.name[0]) {
        cmd_fail("%s: a snapshot is needed here, not a score", argv[0]);
    }
    begin(&m);
    snprintf(mnt, sizeof mnt, "%s/m", m.folder);
    snprintf(source, sizeof source, "%s/snap/%s/%s", mnt, sel.ref.name, sel.path);
    cg_str_fini(&keep);
    verb_close();
    if (mkdir(mnt, 0700) != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        int err = errno;
        rmdir(mnt);
        rmdir(m.folder);
        cmd_fail("a namespace of its own for the command: %s", strerror(err));
    }
    int status = 1;
    bool fine = show(&m, mnt) && wait_for_path(source, &m);
    if (fine && mount(source, argv[1], NULL, MS_BIND, NULL) == 0) {
        status = run_command(argv + 2);
        umount2(argv[1], MNT_DETACH);
    } else if (fine) {
        fprintf(stderr, "store: %s in the place of %s: %s\n", argv[0], argv[1], strerror(errno));
    }
    umount2(mnt, MNT_DETACH);
    end(&m.adapter);
    rmdir(mnt);
    finish(&m, fine, argv[1]);
    return status;
}
