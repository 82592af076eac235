/* store mount, with: the store as files in a directory of this host (shown.h), until it is
 * interrupted or unmounted; one tree of it in the place of today's, for one command. */
#include "shown.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOURCE_MS = 10000, PATH_BYTES = 512 };

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

static void finish(struct shown *m, bool fine, const char *place)
{
    shown_fini(m);
    if (!fine) {
        cmd_fail("%s: the file server or its adapter ended; its message stands above", place);
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
    shown_init(&m, argv[0]);
    bool fine = shown_start(&m);
    if (fine) {
        if (!opt.quiet) {
            fprintf(stderr, "store: %s shows %s until it is unmounted, or ^C\n", argv[0],
                    opt.store);
        }
        while (shown_tend(&m)) {
        }
        fine = !shown_failed(&m);
        umount2(argv[0], MNT_DETACH);
    }
    finish(&m, fine || shown_asked_to_end(), argv[0]);
    return 0;
}

/* ---- one tree of the past in the place of today's ---- */

static bool wait_for_path(struct shown *m, const char *path)
{
    struct stat st;
    uint64_t last = cg_env_real.now_ns(cg_env_real.ctx) + SOURCE_MS * UINT64_C(1000000);
    while (stat(path, &st) != 0) {
        if (!shown_tend(m) || cg_env_real.now_ns(cg_env_real.ctx) > last) {
            return false;
        }
    }
    return true;
}

static void begin_command(char **argv)
{
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) && chdir(here) != 0) { /* the place may be ours */
        fprintf(stderr, "store: %s: %s\n", here, strerror(errno));
        _exit(126);
    }
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    fprintf(stderr, "store: %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* The command's status as a shell tells it. What is shown is tended as long as it can be; the
 * command's end is its own. */
static int run_command(struct shown *m, char **argv)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        begin_command(argv);
    }
    bool shows = true;
    while (pid > 0 && waitpid(pid, &status, shows ? WNOHANG : 0) != pid) {
        shows = shows && (shown_tend(m) || shown_asked_to_end());
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
    shown_init(&m, mnt);
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
    bool fine = shown_start(&m) && wait_for_path(&m, source);
    if (fine && mount(source, argv[1], NULL, MS_BIND, NULL) == 0) {
        status = run_command(&m, argv + 2);
        umount2(argv[1], MNT_DETACH);
    } else if (fine) {
        fprintf(stderr, "store: %s in the place of %s: %s\n", argv[0], argv[1], strerror(errno));
    }
    umount2(mnt, MNT_DETACH);
    rmdir(mnt);
    finish(&m, fine, argv[1]);
    return status;
}
