/* newns: runs a command in a namespace of its own: a copy of the caller's, or an empty one. What
 * the command then binds and mounts is seen by it and its children only. The files of /env are
 * shared with the caller, or copied, or none, as in Plan 9's rfork.
 *
 * It mounts a /dev/fuse of its own and hands it to the adapter through the file /mnt/ns/clone of
 * the old namespace, which is opened before the new mount may hide it.
 */
#include "cmd.h"
#include "inside.h"
#include <mount.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { VALUE_BYTES_MAX = 65536 }; /* as env has it */

static const struct cmd cmd = {"newns", "[-c] [-e | -E] [-f FILE] [COMMAND [ARG...]]",
                               "runs a command (a shell) in a copy of this namespace, or in an "
                               "empty one (-c), after the lines of FILE; -e with a copy of /env, "
                               "-E with an empty one"};

static const char clone_file[] = "/mnt/ns/clone";
static const char env_dir[] = "/env";
static const char point[] = "/mnt"; /* any directory: only the new mount namespace sees it */

/* ---- the variables ---- */

struct var {
    char name[NAME_MAX + 1];
    char *value;
    size_t len;
};
static struct var *vars;
static size_t var_count;

static char *read_value(int dir, const char *name, size_t *len)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char *value = cg_alloc(VALUE_BYTES_MAX);
    ssize_t n = 0;
    if (fd < 0 || value == NULL) {
        cmd_fail("/env/%s: %s", name, value == NULL ? "no memory" : strerror(errno));
    }
    *len = 0;
    while (*len < VALUE_BYTES_MAX && (n = read(fd, value + *len, VALUE_BYTES_MAX - *len)) > 0) {
        *len += (size_t)n;
    }
    close(fd);
    if (n < 0) {
        cmd_fail("/env/%s: %s", name, strerror(errno));
    }
    return value;
}

static void take_env(void)
{
    DIR *d = opendir(env_dir);
    if (d == NULL) {
        cmd_fail("%s: %s; there is no environment to copy", env_dir, strerror(errno));
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') {
            continue;
        }
        struct var *more = cg_realloc(vars, (var_count + 1) * sizeof *vars);
        if (more == NULL) {
            cmd_fail("no memory");
        }
        vars = more;
        struct var *v = &vars[var_count++];
        snprintf(v->name, sizeof v->name, "%s", e->d_name);
        v->value = read_value(dirfd(d), v->name, &v->len);
    }
    closedir(d);
}

static void give_env(void)
{
    for (size_t i = 0; i < var_count; i++) {
        char path[NAME_MAX + 16];
        const struct var *v = &vars[i];
        snprintf(path, sizeof path, "%s/%s", env_dir, v->name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0 || write(fd, v->value, v->len) != (ssize_t)v->len || close(fd) != 0) {
            cmd_fail("%s: %s", path, strerror(errno));
        }
        cg_free(v->value);
    }
    cg_free(vars);
}

/* A group of its own, under a name that nobody has. */
static char *with_env(const char *lines)
{
    struct cg_str text = {0};
    uint64_t number[2];
    cg_env_real.random(cg_env_real.ctx, number, sizeof number);
    if (cg_str_addf(&text, "%s\nmount -c .!env!%016llx%016llx %s\n", lines,
                    (unsigned long long)number[0], (unsigned long long)number[1],
                    env_dir) != CG_OK) {
        cmd_fail("no memory");
    }
    return text.data;
}

/* ---- the namespace ---- */

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
    bool clean = false, copy_env = false, clean_env = false;
    int c;
    cmd_begin(&cmd, argc, argv);
    while ((c = getopt(argc, argv, "+ceEf:")) != -1) {
        if (c == 'c') {
            clean = true;
        } else if (c == 'e') {
            copy_env = true;
        } else if (c == 'E') {
            clean_env = true;
        } else if (c == 'f' && lines == NULL) {
            lines = cmd_read(optarg);
        } else {
            cmd_usage();
        }
    }
    if (copy_env && clean_env) {
        cmd_usage();
    }
    if (copy_env) {
        take_env();
    }
    if (copy_env || clean_env) {
        char *more = with_env(lines != NULL ? lines : "");
        cg_free(lines);
        lines = more;
    }
    bool somewhere = getcwd(cwd, sizeof cwd) != NULL;
    make_namespace(clean, lines != NULL ? lines : "");
    cg_free(lines);
    give_env();
    if ((!somewhere || chdir(cwd) != 0) && chdir("/") != 0) {
        cmd_fail("/: %s", strerror(errno));
    }
    char **run = optind < argc ? argv + optind : shell;
    execvp(run[0], run);
    int err = errno;
    fprintf(stderr, "newns: %s: %s\n", run[0], strerror(err));
    return err == ENOENT ? 127 : 126;
}
