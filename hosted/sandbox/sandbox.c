/* Starts a component: makes its process in new namespaces, and walks it through the walls in the
 * one order that works: mounts and network while it still holds privileges, then limits, Landlock,
 * identity, descriptors, and the system-call filter last. A pipe that closes at exec tells the
 * starter how it went; a failure carries its text through it.
 */
#include "sandbox_impl.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FD_ASIDE = 512,         /* descriptors wait from here on while 3 and up are filled */
    PROGRAM_PHDRS_MAX = 64, /* linkers make about a dozen */
};

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 }; /* maps its shadow, some terabytes: memory is then not limited */
#else
enum { SANITIZED = 0 };
#endif

/* What the new process tells before it ends without exec. */
struct report {
    cg_err e;
    struct cg_errbuf eb;
};

/* Does the program need the loader, and so the host's libraries? */
static bool needs_loader(const char *program)
{
    Elf64_Ehdr head;
    bool found = false;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false; /* the bind will say why */
    }
    if (pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head &&
        head.e_phentsize == sizeof(Elf64_Phdr)) {
        for (unsigned i = 0; i < head.e_phnum && i < PROGRAM_PHDRS_MAX; i++) {
            Elf64_Phdr p;
            off_t at = (off_t)(head.e_phoff + i * sizeof p);
            found = found ||
                    (pread(fd, &p, sizeof p, at) == (ssize_t)sizeof p && p.p_type == PT_INTERP);
        }
    }
    close(fd);
    return found;
}

/* The program, its libraries, the manifest's paths, the given binds. */
static cg_err gather_binds(const struct sandbox_start *s, struct sandbox_bind *bind,
                           uint32_t *count, struct cg_errbuf *eb)
{
    const struct manifest *m = s->manifest;
    uint32_t n = 0;
    if (m->paths + s->binds + 4 > SANDBOX_BINDS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "%s: too many paths and services", m->name);
    }
    bind[n++] = (struct sandbox_bind){s->program, "/program", .executable = true};
    if (needs_loader(s->program)) {
        bind[n++] = (struct sandbox_bind){"/lib", "/lib", .executable = true};
        bind[n++] = (struct sandbox_bind){"/lib64", "/lib64", .executable = true};
    }
    for (uint32_t i = 0; i < m->paths; i++) {
        const struct manifest_path *p = &m->path[i];
        bind[n++] = (struct sandbox_bind){p->source, p->place, .writable = p->writable};
    }
    for (uint32_t i = 0; i < s->binds; i++) {
        bind[n++] = s->bind[i];
    }
    *count = n;
    return CG_OK;
}

cg_err sandbox_loopback_up(struct cg_errbuf *eb)
{
    struct ifreq req = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cg_err e = CG_OK;
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) != 0) {
        e = sandbox__failed(eb, "looking at the loopback interface");
    } else if ((req.ifr_flags & IFF_UP) == 0) { /* the host's own is up, and not ours to change */
        req.ifr_flags |= IFF_UP | IFF_RUNNING;
        e = ioctl(fd, SIOCSIFFLAGS, &req) == 0
                ? CG_OK
                : sandbox__failed(eb, "bringing up the loopback interface");
    }
    if (fd >= 0) {
        close(fd);
    }
    return e;
}

static cg_err limit(int what, const char *name, uint64_t value, struct cg_errbuf *eb)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) != 0) {
        return sandbox__failed(eb, "limit %s", name);
    }
    if (value > now.rlim_max) {
        cg_log(CG_WARN, "limit %s: the host allows only %llu", name,
               (unsigned long long)now.rlim_max);
        value = now.rlim_max;
    }
    struct rlimit set = {.rlim_cur = value, .rlim_max = value};
    if (setrlimit((__rlimit_resource_t)what, &set) != 0) {
        return sandbox__failed(eb, "limit %s", name);
    }
    return CG_OK;
}

static cg_err set_limits(const struct manifest *m, struct cg_errbuf *eb)
{
    cg_err e = limit(RLIMIT_CORE, "core", 0, eb);
    if (e == CG_OK && !SANITIZED) {
        e = limit(RLIMIT_DATA, "memory", m->memory_bytes, eb);
    }
    if (e == CG_OK) {
        e = limit(RLIMIT_NOFILE, "files", m->files, eb);
    }
    return e;
}

/* The passed descriptors become 3 and up, the log 1 and 2, nothing 0; the report pipe stands after
 * them and closes at exec; all others close now. */
static cg_err place_fds(const struct sandbox_start *s, int *report_fd, struct cg_errbuf *eb)
{
    int aside[SANDBOX_FDS_MAX];
    int last = SANDBOX_FD_FIRST + (int)s->fds;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log = fcntl(s->log_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
    int report = fcntl(*report_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
    bool good = log >= 0 && report >= 0;
    for (uint32_t i = 0; i < s->fds; i++) {
        aside[i] = fcntl(s->fd[i], F_DUPFD_CLOEXEC, FD_ASIDE);
        good = good && aside[i] >= 0;
    }
    good = good && dup2(log, 1) == 1 && dup2(log, 2) == 2;
    good = good && (null < 0 || dup2(null, 0) == 0);
    for (uint32_t i = 0; good && i < s->fds; i++) {
        good = dup2(aside[i], SANDBOX_FD_FIRST + (int)i) >= 0;
    }
    good = good && dup3(report, last, O_CLOEXEC) == last;
    if (!good) {
        return sandbox__failed(eb, "placing descriptors");
    }
    if (null < 0) {
        close(0);
    }
    *report_fd = last;
    return close_range((unsigned)last + 1, ~0u, 0) == 0
               ? CG_OK
               : sandbox__failed(eb, "closing other descriptors");
}

static cg_err make_room(const struct sandbox_start *s, struct sandbox_bind *bind, uint32_t *binds,
                        struct cg_errbuf *eb)
{
    const struct manifest *m = s->manifest;
    cg_err e = gather_binds(s, bind, binds, eb);
    enum sandbox_proc proc = m->node_pids ? SANDBOX_PROC_NONE : SANDBOX_PROC_PIDS;
    if (e == CG_OK) {
        e = sandbox_root(bind, *binds, proc, eb);
    }
    if (e == CG_OK) {
        e = sandbox_root_seal(eb);
    }
    if (e == CG_OK && m->net == MANIFEST_NET_LOOPBACK) {
        e = sandbox_loopback_up(eb);
    }
    if (e == CG_OK && proc == SANDBOX_PROC_PIDS) {
        bind[(*binds)++] = (struct sandbox_bind){.source = "/proc", .place = "/proc"};
    }
    return e;
}

static cg_err confine(const struct sandbox_start *s, int *report_fd, struct cg_errbuf *eb)
{
    struct sandbox_bind bind[SANDBOX_BINDS_MAX + 1];
    uint32_t binds = 0;
    const struct manifest *m = s->manifest;
    cg_err e = place_fds(s, report_fd, eb);
    if (e == CG_OK) {
        cg_log_init(m->name); /* from here on warnings go to the component's log */
        e = make_room(s, bind, &binds, eb);
    }
    if (e == CG_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        e = sandbox__failed(eb, "no_new_privs");
    }
    if (e == CG_OK) {
        e = sandbox__landlock(m, bind, binds, eb);
    }
    if (e == CG_OK) {
        e = set_limits(m, eb);
    }
    if (e == CG_OK) {
        e = sandbox__identity(m, eb);
    }
    if (e == CG_OK) {
        e = sandbox__seccomp(m, eb);
    }
    return e;
}

/* What the component inherits of the environment: how much to log, and what the sanitizer is told.
 */
static void keep_environment(char **envp, size_t max)
{
    static const char *const kept[] = {
        "COGNU_LOG=", "COGNU_NODE=", "COGNU_ROSTER=", "UBSAN_OPTIONS=", "TZ="};
    size_t n = 0;
    for (char **e = environ; *e != NULL; e++) {
        for (size_t i = 0; i < CG_COUNT(kept) && n + 1 < max; i++) {
            if (strncmp(*e, kept[i], strlen(kept[i])) == 0) {
                envp[n++] = *e;
            }
        }
    }
    if (SANITIZED && n + 1 < max) {
        envp[n++] = "ASAN_OPTIONS=detect_leaks=0"; /* its leak checker would trace the component */
    }
    envp[n] = NULL;
}

/* A component without walls lives as its starter does; its descriptors and limits are its own. */
static cg_err join_starter(const struct sandbox_start *s, int *report_fd, struct cg_errbuf *eb)
{
    cg_err e = place_fds(s, report_fd, eb);
    return e == CG_OK ? set_limits(s->manifest, eb) : e;
}

_Noreturn static void child(const struct sandbox_start *s, int report_fd)
{
    struct report r = {.e = CG_OK};
    char *envp[16];
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < SIGRTMIN; sig++) {
        signal(sig, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    keep_environment(envp, CG_COUNT(envp));
    bool walled = s->manifest->walled;
    r.e = walled ? confine(s, &report_fd, &r.eb) : join_starter(s, &report_fd, &r.eb);
    if (r.e == CG_OK) {
        execve(walled ? "/program" : s->program, s->argv, envp);
        r.e = sandbox__failed(&r.eb, "executing %s", s->program);
    }
    ssize_t sent = write(report_fd, &r, sizeof r); /* if nobody reads it, nobody waits */
    (void)sent;
    _exit(127);
}

/* Waits until the program runs (the pipe closes) or its failure arrives. */
static cg_err await_exec(int fd, pid_t pid, struct cg_errbuf *eb)
{
    struct report r = {.e = CG_OK};
    ssize_t got = 0;
    do {
        got = read(fd, &r, sizeof r);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        return CG_OK;
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (got != (ssize_t)sizeof r) {
        return cg_fail(eb, CG_EIO, "the new process ended before it could say why");
    }
    r.eb.text[sizeof r.eb.text - 1] = '\0';
    return cg_fail(eb, r.e, "%s", r.eb.text);
}

cg_err sandbox_start(const struct sandbox_start *s, pid_t *pid, struct cg_errbuf *eb)
{
    const struct manifest *m = s->manifest;
    cg_assert(s->fds <= SANDBOX_FDS_MAX);
    cg_err e = sandbox_check(m, eb);
    if (e != CG_OK) {
        return e;
    }
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return sandbox__failed(eb, "%s", m->name);
    }
    long flags = SIGCHLD;
    if (m->walled) {
        flags |= CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
        flags |= m->node_pids ? 0 : CLONE_NEWPID;
        flags |= m->net == MANIFEST_NET_NODE ? 0 : CLONE_NEWNET;
    }
    long made = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL); /* as fork, in new namespaces */
    if (made == 0) {
        close(report[0]);
        child(s, report[1]);
    }
    e = made < 0 ? sandbox__failed(eb, "new namespaces for %s", m->name) : CG_OK;
    close(report[1]);
    if (e == CG_OK) {
        e = await_exec(report[0], (pid_t)made, eb);
        *pid = (pid_t)made;
    }
    close(report[0]);
    return e == CG_OK ? e : cg_context(eb, e, "%s", m->name);
}
