/* newns: runs a command in a namespace of its own: a copy of the caller's, or an empty one. What
 * the command then binds and mounts is seen by it and its children only.
 *
 * It mounts a /dev/fuse of its own and hands it to the adapter through the file /mnt/ns/clone of
 * the old namespace, which is opened before the new mount may hide it.
 */
#include "cmd.h"
#include "inside.h"
#include <mount.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static const struct cmd cmd = {"newns", "[-c] [-f FILE] [COMMAND [ARG...]]",
                               "runs a command (a shell) in a copy of this namespace, or in an "
                               "empty one (-c), after the lines of FILE"};

static const char clone_file[] = "/mnt/ns/clone";
static const char point[] = "/mnt"; /* any directory: only the new mount namespace sees it */

static void ask_adapter(int clone_fd, int fuse_fd, bool clean, const char *lines)
{
    struct cg_str text = {0};
    if (cg_str_addf(&text, "%d %s\n%s", fuse_fd, clean ? "clean" : "copy", lines) != CG_OK) {
        cmd_fail("no memory");
    }
    ssize_t n = write(clone_fd, text.data, text.len);
    if (n != (ssize_t)text.len) {
        cmd_fail("%s: %s; for the reason: why", clone_file, strerror(errno));
    }
    cg_str_fini(&text);
}

static void make_namespace(bool clean, const char *lines)
{
    struct cg_errbuf eb = {0};
    int fuse_fd = -1;
    int clone_fd = open(clone_file, O_WRONLY | O_CLOEXEC);
    if (clone_fd < 0) {
        cmd_fail_at(clone_file, clone_file);
    }
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        cmd_fail("a mount namespace: %s; only the node's root may make one", strerror(errno));
    }
    if (fmount(point, "newns", geteuid(), getegid(), &fuse_fd, &eb) != CG_OK) {
        cmd_fail("%s", eb.text);
    }
    ask_adapter(clone_fd, fuse_fd, clean, lines);
    close(fuse_fd); /* the adapter holds it now */
    close(clone_fd);
    inside_furnish(point, true, true, false);
    if (inside_enter(point, &eb) != CG_OK) {
        cmd_fail("%s", eb.text);
    }
}

int main(int argc, char **argv)
{
    char cwd[CMD_PATH_BYTES];
    char *shell[] = {"bash", NULL};
    char *lines = NULL;
    bool clean = false;
    int c;
    cmd_begin(&cmd, argc, argv);
    while ((c = getopt(argc, argv, "+cf:")) != -1) {
        if (c == 'c') {
            clean = true;
        } else if (c == 'f' && lines == NULL) {
            lines = cmd_read(optarg);
        } else {
            cmd_usage();
        }
    }
    bool somewhere = getcwd(cwd, sizeof cwd) != NULL;
    make_namespace(clean, lines != NULL ? lines : "");
    cg_free(lines);
    if ((!somewhere || chdir(cwd) != 0) && chdir("/") != 0) {
        cmd_fail("/: %s", strerror(errno));
    }
    char **run = optind < argc ? argv + optind : shell;
    execvp(run[0], run);
    int err = errno;
    fprintf(stderr, "newns: %s: %s\n", run[0], strerror(err));
    return err == ENOENT ? 127 : 126;
}
