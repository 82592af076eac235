/* inside: see inside.h.
 *
 * /dev is a small tmpfs with the host's nodes bound into it: device files on a FUSE mount open
 * nothing. Cognu's own device tree is at /n/NODE/dev.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

static void complain(bool verbose, const char *what, const char *path)
{
    if (verbose) {
        fprintf(stderr, "cognu-enter: %s %s: %s\n", what, path, strerror(errno));
    }
}

static void join(char out[PATH_BYTES], const char *root, const char *path)
{
    snprintf(out, PATH_BYTES, "%s/%s", root, path);
}

/* A procfs of our PID namespace; where a user namespace may not mount one, the host's. */
static void add_proc(const char *root, bool verbose)
{
    char at[PATH_BYTES];
    join(at, root, "proc");
    if (mount("proc", at, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 &&
        mount("/proc", at, NULL, MS_BIND | MS_REC, NULL) != 0) {
        complain(verbose, "mounting procfs on", at);
    }
}

static void bind_node(const char *dev, const char *name, bool is_dir, bool verbose)
{
    char at[PATH_BYTES], from[64];
    struct stat st;
    snprintf(from, sizeof(from), "/dev/%s", name);
    join(at, dev, name);
    if (stat(from, &st) != 0) {
        complain(verbose, "no", from);
        return;
    }
    if (is_dir) {
        mkdir(at, 0755);
    } else {
        int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0) {
            close(fd);
        }
    }
    if (mount(from, at, NULL, MS_BIND | (is_dir ? MS_REC : 0), NULL) != 0) {
        complain(verbose, "binding", from);
    }
}

static void add_dev(const char *root, bool verbose)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty", "fuse"};
    static const char *const links[][2] = {
        {"pts/ptmx", "ptmx"},          {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"},
        {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
    };
    char dev[PATH_BYTES], at[PATH_BYTES];
    join(dev, root, "dev");
    if (mount("dev", dev, "tmpfs", MS_NOSUID, "mode=755,size=64m") != 0) {
        complain(verbose, "mounting on", dev);
        return;
    }
    for (size_t i = 0; i < CG_COUNT(nodes); i++) {
        bind_node(dev, nodes[i], false, verbose);
    }
    bind_node(dev, "pts", true, verbose);
    for (size_t i = 0; i < CG_COUNT(links); i++) {
        join(at, dev, links[i][1]);
        if (symlink(links[i][0], at) != 0) {
            complain(verbose, "linking", at);
        }
    }
    join(at, dev, "shm");
    if (mkdir(at, 01777) != 0 || chmod(at, 01777) != 0) {
        complain(verbose, "making", at);
    }
}

void inside_furnish(const char *root, bool proc, bool dev, bool verbose)
{
    if (dev) {
        add_dev(root, verbose);
    }
    if (proc) {
        add_proc(root, verbose);
    }
}

/* The old root is put on top of the new one and taken off again: no directory is needed for it. */
cg_err inside_enter(const char *root, struct cg_errbuf *eb)
{
    const char *step = "chdir";
    bool ok = chdir(root) == 0;
    if (ok) {
        step = "pivot_root";
        ok = syscall(SYS_pivot_root, ".", ".") == 0;
    }
    if (ok) {
        step = "unmounting the old root";
        ok = umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
    }
    return ok ? CG_OK
              : cg_fail(eb, cg_err_from_errno(errno), "%s: %s: %s", root, step, strerror(errno));
}
