/* The attempts of a hostile component, and the walls one at a time: see hostile_test.c. */
#include "hostile.h"
#include "sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct manifest *mine;
static int passed, failed;

static void tell(bool good, const char *what)
{
    passed += good;
    failed += !good;
    if (!good) {
        printf("FAILED %s: %s (%s)\n", mine->name, what, strerror(errno));
    }
}

/* An attempt is refused when it gives -1; a result is a descriptor or nothing of worth. */
static void refused(long result, const char *what)
{
    tell(result < 0, what);
}

static bool granted_call(const char *name)
{
    for (uint32_t i = 0; i < mine->syscalls; i++) {
        if (strcmp(mine->syscall[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Is path at, below or above a place of the manifest? */
static bool granted_path(const char *path)
{
    size_t len = strlen(path);
    if ((mine->use_all || mine->uses > 0) && strncmp("/run/cognu/srv", path, len) == 0) {
        return true; /* the way to the sockets that it uses */
    }
    for (uint32_t i = 0; i < mine->paths; i++) {
        const char *place = mine->path[i].place;
        size_t n = strlen(place);
        size_t shorter = n < len ? n : len;
        if (strncmp(place, path, shorter) == 0 && (place[shorter] == '/' || place[shorter] == 0) &&
            (path[shorter] == '/' || path[shorter] == 0)) {
            return true;
        }
    }
    return false;
}

static void attack_descriptors(void)
{
    for (int fd = SANDBOX_FD_FIRST; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            tell(false, "a descriptor that was not passed");
        }
    }
}

static void attack_files(void)
{
    static const char *const outside[] = {
        "/etc/passwd",
        "/etc/shadow",
        "/usr/bin/env",
        "/bin/sh",
        "/home",
        "/root",
        "/dev/mem",
        "/dev/vda",
        "/dev/fuse",
        "/sys/kernel",
        "/proc/sys",
        "/proc/kcore",
        "/proc/meminfo",
        "/var/lib/cognu",
        "/run/cognu/srv",
        "/run/cognu",
        "/var/lib/cognu/keys/secret",
        "/run/cognu/gate",
        "../../../etc/passwd",
    };
    for (size_t i = 0; i < CG_COUNT(outside); i++) {
        if (!granted_path(outside[i])) {
            refused(open(outside[i], O_RDONLY), outside[i]);
        }
    }
    refused(open("/made", O_WRONLY | O_CREAT, 0600), "making a file in the root");
    refused(mkdir("/made", 0700), "making a folder in the root");
    refused(open("/program", O_WRONLY), "writing to the program");
    refused(unlink("/program"), "removing the program");
    refused(open("/proc/self/mem", O_RDWR), "writing through /proc/self/mem");
    refused(open("/proc/self/oom_score_adj", O_WRONLY), "writing to /proc");
    refused(open("/proc/2/environ", O_RDONLY), "another process's environment");
    refused(symlink("/etc/passwd", "/link"), "a link in the root");
    refused(mknod("/dev_sda", S_IFBLK | 0600, 8 << 8), "making a device in the root");
}

static void attack_paths(void)
{
    struct statvfs root;
    tell(statvfs("/", &root) == 0 && (root.f_flag & ST_RDONLY) != 0, "its root is read-only");
    char name[MANIFEST_PATH_BYTES_MAX + 32];
    for (uint32_t i = 0; i < mine->paths; i++) {
        const struct manifest_path *p = &mine->path[i];
        struct stat st;
        tell(stat(p->place, &st) == 0, p->place);
        if (!S_ISDIR(st.st_mode) || strcmp(p->place, "/proc") == 0) {
            continue;
        }
        int fd = open(p->place, O_RDONLY | O_DIRECTORY);
        tell(fd >= 0, p->place);
        snprintf(name, sizeof name, "%s/.hostile", p->place);
        fd = open(name, O_RDWR | O_CREAT, 0700);
        if (!p->writable) {
            refused(fd, name);
            continue;
        }
        tell(fd >= 0, name);
        tell(write(fd, "#!/program\n", 11) == 11, "writing to its own path");
        tell(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED,
             "running code from its own path");
        close(fd);
        refused(execl(name, name, NULL), "executing a file that it wrote");
        refused(mknod(name, S_IFCHR | 0600, 1 << 8 | 1), "making a device");
        tell(unlink(name) == 0, "removing its own file");
    }
}

static int connect_unix(const char *path, bool abstract, int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    cg_assert(len + 1 < sizeof a.sun_path);
    memcpy(a.sun_path + abstract, path, len);
    int fd = socket(AF_UNIX, type, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + len);
    return connect(fd, (struct sockaddr *)&a, size);
}

static bool used(const char *service)
{
    for (uint32_t i = 0; i < mine->uses; i++) {
        if (strcmp(mine->use[i], service) == 0) {
            return true;
        }
    }
    return mine->use_all;
}

static void attack_services(void)
{
    static const char *const services[] = {"hostile-one", "hostile-two"};
    char path[256];
    for (size_t i = 0; i < CG_COUNT(services); i++) {
        snprintf(path, sizeof path, "/run/cognu/srv/%s", services[i]);
        if (!used(services[i]) && !granted_path(path)) {
            refused(connect_unix(path, false, SOCK_STREAM), path);
        }
    }
    for (uint32_t i = 0; i < mine->uses; i++) {
        snprintf(path, sizeof path, "/run/cognu/srv/%s", mine->use[i]);
        tell(connect_unix(path, false, SOCK_STREAM) == 0, path);
    }
    refused(connect_unix("cognu-hostile-abstract", true, SOCK_STREAM), "an abstract socket");
    refused(connect_unix("/run/dbus/system_bus_socket", false, SOCK_STREAM), "the host's bus");
}

static void attack_net(void)
{
    struct sockaddr_in home = {
        .sin_family = AF_INET, .sin_port = htons(5641), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *a = (struct sockaddr *)&home;
    refused(socket(AF_PACKET, SOCK_RAW, 0), "a packet socket");
    refused(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "a raw socket");
    refused(socket(AF_NETLINK, SOCK_RAW, 9), "an audit socket");
    refused(socket(AF_VSOCK, SOCK_STREAM, 0), "a vsock");
    refused(socket(AF_ALG, SOCK_SEQPACKET, 0), "a crypto socket");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    switch (mine->net) {
    case MANIFEST_NET_NONE:
        refused(fd, "an internet socket");
        refused(socket(AF_INET6, SOCK_DGRAM, 0), "an internet socket");
        refused(socket(AF_NETLINK, SOCK_RAW, 0), "a route socket");
        break;
    case MANIFEST_NET_LOOPBACK:
        tell(fd >= 0 && bind(fd, a, sizeof home) == 0, "its own loopback");
        refused(connect(socket(AF_INET, SOCK_STREAM, 0), a, sizeof home), "the node's loopback");
        break;
    case MANIFEST_NET_NODE:
        tell(fd >= 0 && connect(fd, a, sizeof home) == 0, "the node's loopback");
        break;
    }
}

static void *thread_main(void *arg)
{
    return arg;
}

/* A process that should not be does no more harm. */
static long end_child(long made)
{
    if (made == 0) {
        _exit(0);
    }
    return made;
}

static void attack_processes(void)
{
    pthread_t t;
    tell(pthread_create(&t, NULL, thread_main, NULL) == 0, "making a thread");
    pthread_join(t, NULL);
    if (!granted_call("clone") && !granted_call("fork")) {
        refused(end_child(syscall(SYS_fork)), "fork");
        refused(end_child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)), "clone");
    }
    long user = CLONE_NEWUSER | SIGCHLD;
    refused(end_child(syscall(SYS_clone, user, 0, 0, 0, 0)), "clone into a user namespace");
    refused(syscall(SYS_clone3, NULL, 0), "clone3");
    if (!granted_call("ptrace")) { /* it would stop us for good, or the starter */
        refused(ptrace(PTRACE_TRACEME, 0, 0, 0), "ptrace");
        refused(ptrace(PTRACE_ATTACH, getppid(), 0, 0), "ptrace of the starter");
    }
    if (!granted_call("kill")) {
        refused(kill(getppid(), 0), "signal to the starter");
        refused(kill(-1, 0), "signal to all");
        refused(kill(1, 0), "signal to pid 1");
    }
    refused(syscall(SYS_tgkill, 2, 2, 0), "signal to another's thread");
    if (!granted_call("pidfd_open")) {
        refused(syscall(SYS_pidfd_open, getpid(), 0), "pidfd");
    }
    refused(syscall(SYS_process_vm_readv, getppid(), 0, 0, 0, 0, 0), "another's memory");
    refused(execl("/bin/sh", "sh", "-c", "exit 1", NULL), "a shell");
    refused(execl("/host/usr/bin/false", "false", NULL), "a program of the host's tree");
}

static void attack_kernel(void)
{
    struct perf_event_attr perf = {.type = PERF_TYPE_SOFTWARE, .size = sizeof perf};
    struct rlimit more = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    refused(mount("x", "/", "tmpfs", 0, NULL), "mount");
    refused(umount2("/", MNT_DETACH), "umount");
    refused(syscall(SYS_open_tree, AT_FDCWD, "/", 1), "open_tree");
    refused(syscall(SYS_pivot_root, "/", "/"), "pivot_root");
    refused(chroot("/"), "chroot");
    refused(unshare(CLONE_NEWUSER), "a new user namespace");
    refused(unshare(CLONE_NEWNS), "a new mount namespace");
    refused(setns(3, 0), "setns");
    refused(syscall(SYS_bpf, 0, NULL, 0), "bpf");
    refused(syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0), "perf events");
    refused(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), "keyrings");
    refused(syscall(SYS_open_by_handle_at, 3, NULL, 0), "open by handle");
    refused(syscall(SYS_io_uring_setup, 1, NULL), "io_uring");
    refused(syscall(SYS_userfaultfd, 0), "userfaultfd");
    refused(syscall(SYS_init_module, NULL, 0, ""), "a kernel module");
    refused(syscall(SYS_kexec_load, 0, 0, NULL, 0), "kexec");
    refused(reboot(RB_DISABLE_CAD), "reboot");
    refused(sethostname("hostile", 7), "the host's name");
    refused(setrlimit(RLIMIT_NOFILE, &more), "raising a limit");
    refused(ioctl(0, TIOCSTI, "x"), "typing into a terminal");
    refused(personality(0xffffffff), "personality");
    refused(setpriority(PRIO_PROCESS, 0, -5), "a higher priority");
}

static void attack_identity(void)
{
    /* in a user namespace of one user, that user is 0 */
    if (getuid() != 0 && !granted_call("setresuid")) {
        refused(setuid(0), "becoming root");
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    refused(syscall(SYS_capset, NULL, NULL), "capset");
    tell(syscall(SYS_capget, &head, caps) == 0, "reading its privileges");
    uint64_t permitted = (uint64_t)caps[1].permitted << 32 | caps[0].permitted;
    tell(permitted == mine->privileges, "holds its privileges and no others");
}

static void attack_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__)
    size_t much = mine->memory_bytes + (64u << 20);
    void *p = mmap(NULL, much, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tell(p == MAP_FAILED, "more memory than its manifest says");
#endif
}

int hostile_inside(const char *name, const char *text)
{
    struct manifest m;
    struct cg_errbuf eb = {0};
    if (manifest_parse(name, name, text, strlen(text), &m, &eb) != CG_OK) {
        printf("FAILED %s\n", eb.text);
        return 1;
    }
    mine = &m;
    alarm(20); /* without a wall some attempt may wait for ever */
    attack_descriptors();
    attack_files();
    attack_paths();
    attack_services();
    attack_net();
    attack_processes();
    attack_kernel();
    attack_identity();
    attack_memory();
    printf("%s: %d passed, %d failed\n", name, passed, failed);
    return failed != 0;
}

/* The mounts alone must hold even against root, and Landlock alone where the mounts would let go.
 */
static int mounts_alone(void)
{
    const struct sandbox_bind bind[] = {
        {"/etc", "/host/etc", .writable = false},
        {"/usr/bin", "/host/bin", .writable = false},
        {"/var/lib/cognu", "/state", .writable = true},
    };
    struct cg_errbuf eb = {0};
    if (unshare(CLONE_NEWNS) != 0 ||
        sandbox_root(bind, CG_COUNT(bind), SANDBOX_PROC_PIDS, &eb) != CG_OK ||
        sandbox_root_seal(&eb) != CG_OK) {
        printf("FAILED mounts: %s\n", eb.text);
        return 1;
    }
    tell(access("/host/etc/passwd", R_OK) == 0, "reading a bind");
    refused(open("/host/etc/made", O_WRONLY | O_CREAT, 0600), "writing to a read-only bind");
    refused(mkdir("/made", 0700), "writing to the sealed root");
    refused(execl("/host/bin/false", "false", NULL),
            "executing from a bind that is not executable");
    refused(open("/proc/meminfo", O_RDONLY), "more of /proc than processes");
    refused(open("/proc/self/oom_score_adj", O_WRONLY), "writing to /proc");
    refused(open("/usr/bin/env", O_RDONLY), "the host's root");
    int fd = open("/state/made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd >= 0 && unlink("/state/made") == 0, "writing to a writable bind");
    return failed != 0;
}

static int landlock_alone(void)
{
    const struct sandbox_bind bind[] = {{"/etc", "/etc", .writable = false},
                                        {"/var/lib/cognu", "/var/lib/cognu", .writable = true}};
    struct manifest m = {.walled = true};
    struct cg_errbuf eb = {0};
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
        printf("landlock: this kernel has none\n");
        return 0;
    }
    if (sandbox__landlock(&m, bind, CG_COUNT(bind), &eb) != CG_OK) {
        printf("FAILED landlock: %s\n", eb.text);
        return 1;
    }
    tell(access("/etc/passwd", R_OK) == 0, "reading a bind");
    refused(open("/usr/bin/env", O_RDONLY), "reading elsewhere");
    refused(execl("/usr/bin/false", "false", NULL), "executing");
    refused(open("/run/cognu/made", O_WRONLY | O_CREAT, 0600), "writing elsewhere");
    int fd = open("/var/lib/cognu/made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tell(fd >= 0 && unlink("/var/lib/cognu/made") == 0, "writing to a writable bind");
    return failed != 0;
}

/* In a process of its own, for what it does cannot be undone. */
static bool run_alone(const char *name, int (*fn)(void))
{
    static struct manifest none;
    int status = 1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(none.name, sizeof none.name, "%s", name);
        mine = &none;
        int bad = fn();
        printf("%s: %d passed, %d failed\n", name, passed, failed);
        fflush(stdout);
        _exit(bad);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

int hostile_alone(void)
{
    int bad = !run_alone("mounts alone", mounts_alone);
    return bad + !run_alone("landlock alone", landlock_alone);
}
