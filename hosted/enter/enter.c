/* cognu-enter: runs a command in a namespace of its own.
 *
 *   cognu-enter [--control PATH] [--ns FILE | --clean] [--name NAME] [--at DIR] [--path PATH]
 *               [--no-dev] [--no-proc] [--verbose] [--] COMMAND [ARG...]
 *
 * It makes a mount namespace, mounts /dev/fuse on a private point, hands the descriptor and the
 * namespace text to the adapter, mounts what only this kernel can give (procfs, a small /dev),
 * makes the mount its root, and becomes the command: no process stays between, so signals and exit
 * status are the command's own. Its own failures end with status 125, a command that cannot be run
 * with 126, one that is not found with 127.
 *
 * Without --ns and --clean the text is NS_FILE with what profile.h adds. Who starts it for others
 * adds lines by the variable COGNU_NS_MORE, or gives all of them by COGNU_NS_CLEAN. Without root it
 * makes a user namespace.
 */
#include "inside.h"
#include "launch.h"
#include "profile.h"
#include <mount.h>

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NS_FILE     "/var/lib/cognu/namespace" /* a node's template for its users */
#define NODE_TREE   "/var/lib/cognu/root"      /* whose files hold those of users and services */
#define NS_PATH     "/cognu/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
#define CONTROL     "/run/cognu/fuse"
#define FAILED      125
#define NOT_STARTED 126
#define NOT_FOUND   127

enum { READAHEAD_KIB = 1024 };

struct options {
    const char *control, *ns_file, *name, *at, *path;
    bool clean, no_dev, no_proc, verbose;
};

static _Noreturn void die(const struct cg_errbuf *eb)
{
    fprintf(stderr, "cognu-enter: %s\n", eb->text);
    exit(FAILED);
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"control", 1, 0, 'c'}, {"ns", 1, 0, 'n'},
        {"clean", 0, 0, 'C'},   {"name", 1, 0, 'N'},
        {"at", 1, 0, 'a'},      {"path", 1, 0, 'p'},
        {"no-dev", 0, 0, 'd'},  {"no-proc", 0, 0, 'r'},
        {"verbose", 0, 0, 'v'}, {0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        const char **text = c == 'c'   ? &o->control
                            : c == 'n' ? &o->ns_file
                            : c == 'N' ? &o->name
                            : c == 'a' ? &o->at
                            : c == 'p' ? &o->path
                                       : NULL;
        bool *flag = c == 'C'   ? &o->clean
                     : c == 'd' ? &o->no_dev
                     : c == 'r' ? &o->no_proc
                     : c == 'v' ? &o->verbose
                                : NULL;
        if (text) {
            *text = optarg;
        } else if (flag) {
            *flag = true;
        } else {
            return false;
        }
    }
    return optind < argc;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

/* A mount namespace of our own; without root, inside a user namespace that maps us to ourselves. */
static cg_err unshare_mounts(struct cg_errbuf *eb)
{
    char map[48];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWNS) != 0) {
        if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
            return cg_fail(eb, cg_err_from_errno(errno),
                           "a mount namespace: %s; run as root, or allow user namespaces",
                           strerror(errno));
        }
        write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof(map), "%u %u 1", uid, uid);
        write_text("/proc/self/uid_map", map);
        snprintf(map, sizeof(map), "%u %u 1", gid, gid);
        write_text("/proc/self/gid_map", map);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "making mounts private: %s", strerror(errno));
    }
    return CG_OK;
}

/* Any directory will do: what is below it is hidden from this namespace only. */
static const char *find_point(const struct options *o, struct cg_errbuf *eb)
{
    static const char *const points[] = {"/mnt", "/media", "/tmp"};
    struct stat st;
    if (o->at) {
        return o->at;
    }
    for (size_t i = 0; i < CG_COUNT(points); i++) {
        if (stat(points[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            return points[i];
        }
    }
    cg_fail(eb, CG_ENOENT, "no directory to mount on: give one with --at");
    return NULL;
}

static void set_path(const struct options *o)
{
    const char *now = getenv("PATH");
    if (o->path || !now || !strstr(now, "/bin")) {
        setenv("PATH", o->path ? o->path : NS_PATH, 1);
        return;
    }
    if (!strstr(now, "/cognu/bin")) {
        char joined[4096];
        snprintf(joined, sizeof(joined), "/cognu/bin:%s%s", now,
                 strstr(now, ":/bin") ? "" : ":/usr/bin:/bin");
        setenv("PATH", joined, 1);
    }
}

/* To the folder of who starts it for others, where there is such a one, else home. */
static void go_home(void)
{
    const char *home = getenv("HOME"), *dir = getenv("COGNU_DIR");
    bool there = dir && chdir(dir) == 0;
    unsetenv("COGNU_DIR");
    if (there) {
        return;
    }
    if ((!home || chdir(home) != 0) && chdir("/") != 0) {
        fprintf(stderr, "cognu-enter: /: %s\n", strerror(errno));
    }
}

static _Noreturn void become(char **argv)
{
    execvp(argv[0], argv);
    fprintf(stderr, "cognu-enter: %s: %s\n", argv[0], strerror(errno));
    exit(errno == ENOENT ? NOT_FOUND : NOT_STARTED);
}

/* The node's template, with the namespace file of the user or service. A file that cannot be
 * understood is told and left out: who is kept out by it could not mend it. */
static char *login_text(struct cg_errbuf *eb)
{
    const char *home = getenv("HOME"), *user = getenv("COGNU_USER"),
               *service = getenv("COGNU_SERVICE");
    struct utsname host;
    uname(&host); /* a node's host name is its own */
    const struct profile p = {.root = NODE_TREE,
                              .home = home ? home : "/root",
                              .user = user ? user : "owner",
                              .service = service ? service : "shell",
                              .node = host.nodename};
    struct cg_str text = {.data = launch_text(NS_FILE, eb)};
    if (text.data) {
        text.len = strlen(text.data);
        text.cap = text.len + 1;
        if (profile_add(&p, &text, eb) != CG_OK) {
            fprintf(stderr, "cognu-enter: %s; it is left out\n", eb->text);
        }
    }
    return text.data;
}

/* The whole text, for the adapter. NULL: eb says why. */
static char *make_text(const struct options *o, struct cg_errbuf *eb)
{
    const char *lines = getenv("COGNU_NS_CLEAN"), *more = getenv("COGNU_NS_MORE");
    char *text = lines        ? cg_strdup(lines)
                 : o->clean   ? cg_strdup("")
                 : o->ns_file ? launch_text(o->ns_file, eb)
                              : login_text(eb);
    struct cg_str all = {0};
    if (text && more && cg_str_addf(&all, "%s\n%s", text, more) == CG_OK) {
        cg_free(text);
        text = all.data;
    }
    static const char *const ours[] = {"COGNU_NS_CLEAN", "COGNU_NS_MORE", "COGNU_USER",
                                       "COGNU_SERVICE"};
    for (size_t i = 0; i < CG_COUNT(ours); i++) {
        unsetenv(ours[i]); /* a ticket may be among them: not the command's to read */
    }
    return text;
}

int main(int argc, char **argv)
{
    struct options o = {.control = CONTROL, .ns_file = NULL, .name = "shell"};
    struct cg_errbuf eb = {0};
    int sock, fd;
    cg_log_init("enter");
    if (!parse(argc, argv, &o) || (o.ns_file && o.clean)) {
        fprintf(stderr, "usage: cognu-enter [--control PATH] [--ns FILE | --clean] [--name NAME] "
                        "[--at DIR]\n"
                        "                   [--path PATH] [--no-dev] [--no-proc] [--verbose] "
                        "[--] COMMAND [ARG...]\n");
        return FAILED;
    }
    char *text = make_text(&o, &eb);
    const char *point = text ? find_point(&o, &eb) : NULL;
    cg_err e = point ? launch_connect(o.control, &sock, &eb) : CG_ENOENT;
    e = e ? e : unshare_mounts(&eb);
    e = e ? e : fmount(point, o.name, geteuid(), getegid(), &fd, &eb);
    e = e ? e : launch_hand_over(sock, fd, o.name, text, o.verbose, &eb);
    if (e != CG_OK) {
        die(&eb);
    }
    close(fd); /* the adapter holds it now */
    cg_free(text);
    fmount_readahead(point, READAHEAD_KIB);
    inside_furnish(point, !o.no_proc, !o.no_dev, o.verbose);
    if (inside_enter(point, &eb) != CG_OK) {
        die(&eb);
    }
    set_path(&o);
    go_home();
    become(argv + optind);
}
