/* Which system calls a component may make: an allow-list, by what they are for. Everything else
 * answers EPERM, so that a library which probes for something new carries on without it.
 *
 * Calls that name another process, a kind of socket or a mode of memory are allowed only with the
 * arguments that the manifest implies. Processes are not made (threads are), and a program may
 * be executed only as far as the mounts and Landlock let it: again itself. The calls of `never`
 * lead out of the sandbox; no manifest gets them, but ptrace, with the privilege sys_ptrace: who
 * may look into the node's processes may be the node's debugger.
 */
#include "sandbox_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off */
static const char *const always[] = {
    /* bytes and descriptors */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
    "close", "close_range", "dup", "dup2", "dup3", "fcntl", "pipe", "pipe2", "splice", "tee", "vmsplice", "sendfile",
    "copy_file_range", "memfd_create", "fadvise64", "readahead", "ftruncate", "fallocate", "flock",
    "fsync", "fdatasync", "sync_file_range", "msync",
    /* files; which ones, the mounts and Landlock say */
    "open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat",
    "statx", "statfs", "fstatfs", "getdents64", "readlink", "readlinkat", "mkdir", "mkdirat", "unlink", "unlinkat",
    "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "chmod",
    "fchmod", "fchmodat", "chown", "fchown", "fchownat", "lchown", "utimensat", "umask", "getcwd", "chdir", "fchdir",
    "getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr", "listxattr", "llistxattr",
    "flistxattr", "removexattr", "lremovexattr", "fremovexattr",
    /* waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd",
    "signalfd4", "futex", "futex_waitv", "nanosleep", "clock_nanosleep", "pause", "restart_syscall", "sched_yield",
    /* sockets that it has; new ones: see below */
    "connect", "listen", "accept", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
    "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
    /* memory and threads */
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "mlock", "munlock", "membarrier", "set_robust_list",
    "get_robust_list", "rseq", "set_tid_address", "arch_prctl", "exit", "exit_group", "sched_getaffinity",
    "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    /* itself */
    "getpid", "gettid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid",
    "getresuid", "getresgid", "getgroups", "getrlimit", "setrlimit", "getrusage", "times", "uname", "sysinfo", "getcpu",
    "getpriority", "capget", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "alarm", "setitimer", "getitimer", "execve",
    /* time and chance */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom",
    NULL,
};
static const char *const never[] = {
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "setns", "unshare", "name_to_handle_at", "open_by_handle_at", "bpf",
    "perf_event_open", "seccomp", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
    "swapoff", "add_key", "request_key", "keyctl", "iopl", "ioperm", "acct", "quotactl", "syslog", "personality",
    "modify_ldt", "capset", "prctl", "sethostname", "setdomainname", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "vhangup", "lookup_dcookie", "nfsservctl", "landlock_restrict_self",
    NULL,
};
/* clang-format on */

static bool listed(const char *const *list, const char *name)
{
    while (*list != NULL && strcmp(*list, name) != 0) {
        list++;
    }
    return *list != NULL;
}

cg_err sandbox_check(const struct manifest *m, struct cg_errbuf *eb)
{
    for (uint32_t i = 0; i < m->syscalls; i++) {
        const char *name = m->syscall[i];
        if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR) {
            return cg_fail(eb, CG_EMANIFEST, "%s: there is no system call %s", m->name, name);
        }
        bool debugger = strcmp(name, "ptrace") == 0 && (m->privileges >> CAP_SYS_PTRACE & 1);
        if (listed(never, name) && !debugger) {
            return cg_fail(eb, CG_EMANIFEST,
                           "%s: %s leads out of the sandbox and is granted to nobody", m->name,
                           name);
        }
    }
    return CG_OK;
}

/* The first failure is kept, so that the rules read as a list. */
struct filter {
    scmp_filter_ctx ctx;
    int err; /* negative errno of libseccomp */
};

static void allow(struct filter *f, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (f->err == 0 && nr != __NR_SCMP_ERROR) {
        int err = seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, nr, 0);
        f->err = err == -EEXIST ? 0 : err;
    }
}

static void allow_if(struct filter *f, const char *name, struct scmp_arg_cmp a)
{
    if (f->err == 0) {
        f->err = seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name),
                                        1, &a);
    }
}

static void allow_if_both(struct filter *f, const char *name, struct scmp_arg_cmp a,
                          struct scmp_arg_cmp b)
{
    struct scmp_arg_cmp both[2] = {a, b};
    if (f->err == 0) {
        f->err = seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name),
                                        2, both);
    }
}

static struct scmp_arg_cmp is(unsigned arg, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp masked(unsigned arg, scmp_datum_t mask, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static void allow_sockets(struct filter *f, enum manifest_net net)
{
    enum { TYPE = 0xf }; /* the type without SOCK_CLOEXEC and SOCK_NONBLOCK */
    static const int inet[] = {AF_INET, AF_INET6};
    static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM};
    allow_if(f, "socket", is(0, AF_UNIX));
    allow_if(f, "socketpair", is(0, AF_UNIX));
    if (net == MANIFEST_NET_NONE) {
        return;
    }
    allow(f, "bind");
    for (size_t i = 0; i < CG_COUNT(inet); i++) {
        for (size_t k = 0; k < CG_COUNT(kinds); k++) {
            allow_if_both(f, "socket", is(0, (scmp_datum_t)inet[i]),
                          masked(1, TYPE, (scmp_datum_t)kinds[k]));
        }
    }
    if (net == MANIFEST_NET_NODE) { /* to read the list of interfaces and routes */
        allow_if_both(f, "socket", is(0, AF_NETLINK), is(2, NETLINK_ROUTE));
    }
}

static void allow_self(struct filter *f)
{
    static const unsigned long ioctls[] = {FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS};
    static const int prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_DUMPABLE, PR_GET_DUMPABLE};
    for (size_t i = 0; i < CG_COUNT(ioctls); i++) {
        allow_if(f, "ioctl", is(1, ioctls[i]));
    }
    for (size_t i = 0; i < CG_COUNT(prctls); i++) {
        allow_if(f, "prctl", is(0, (scmp_datum_t)prctls[i]));
    }
    allow_if(f, "clone", masked(0, CLONE_THREAD, CLONE_THREAD));
    allow_if(f, "unshare", is(0, CLONE_FILES)); /* a thread with descriptors of its own */
    allow_if(f, "tgkill", is(0, (scmp_datum_t)getpid()));
    allow_if(f, "prlimit64", is(0, 0)); /* its own limits, which it can only lower */
    /* Its flags are behind a pointer, out of a filter's sight; libc then falls back to clone. */
    if (f->err == 0) {
        f->err = seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
}

cg_err sandbox__seccomp(const struct manifest *m, struct cg_errbuf *eb)
{
    struct filter f = {.ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
    if (f.ctx == NULL) {
        return cg_fail(eb, CG_ENOMEM, "system-call filter");
    }
    /* A tree of comparisons in place of a list: a call costs the same wherever it stands. */
    seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; always[i] != NULL; i++) {
        allow(&f, always[i]);
    }
    for (uint32_t i = 0; i < m->syscalls; i++) {
        allow(&f, m->syscall[i]);
    }
    allow_sockets(&f, m->net);
    allow_self(&f);
    if (f.err == 0) {
        f.err = seccomp_load(f.ctx);
    }
    seccomp_release(f.ctx);
    if (f.err != 0) {
        return cg_fail(eb, cg_err_from_errno(-f.err), "system-call filter: %s", strerror(-f.err));
    }
    return CG_OK;
}
