/* A hostile component: under the sandbox of each manifest it tries whatever the manifest does not
 * name. Every attempt must be refused, and what the manifest does name must work.
 *
 *   hostile_test [FOLDER...]       every *.manifest of the folders, and two of its own
 *   hostile_test --inside TEXT     what runs as the component: prints a line an attempt
 *
 * The driver makes itself a small node: own namespaces, a root with the host's programs, and
 * /var/lib/cognu and /run/cognu in a temporary folder.
 */
#include "hostile.h"
#include "sandbox_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- outside: a small node ------------------------------------------------------------------- */

enum { MANIFESTS_MAX = 64 };

struct sample {
    char name[MANIFEST_NAME_BYTES_MAX + 1];
    char text[MANIFEST_BYTES_MAX + 1];
};
static struct sample sample[MANIFESTS_MAX];
static int samples;

static void die(const char *what)
{
    fprintf(stderr, "hostile_test: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add_sample(const char *name, const char *text)
{
    struct sample *s = &sample[samples++];
    cg_assert(samples <= MANIFESTS_MAX);
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->text, sizeof s->text, "%s", text);
}

static void read_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    if (d == NULL) {
        die(folder);
    }
    while ((entry = readdir(d)) != NULL && samples < MANIFESTS_MAX) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".manifest") != 0) {
            continue;
        }
        char text[MANIFEST_BYTES_MAX + 1];
        int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC);
        ssize_t len = read(fd, text, sizeof text - 1);
        if (len < 0) {
            die(entry->d_name);
        }
        close(fd);
        text[len] = '\0';
        *dot = '\0';
        add_sample(entry->d_name, text);
    }
    closedir(d);
}

static int listen_at(const char *path, bool abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cg_assert(strlen(path) + 1 < sizeof a.sun_path);
    memcpy(a.sun_path + abstract, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(path));
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 64) != 0) {
        die(path);
    }
    chmod(path, 0666);
    return fd;
}

/* What a hostile component would like to reach. */
static void furnish(void)
{
    struct sockaddr_in home = {
        .sin_family = AF_INET, .sin_port = htons(5641), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    mkdir("/run/cognu/srv", 0755);
    mkdir("/var/lib/cognu/keys", 0755);
    close(open("/var/lib/cognu/keys/secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    listen_at("/run/cognu/srv/hostile-one", false);
    listen_at("/run/cognu/srv/hostile-two", false);
    listen_at("cognu-hostile-abstract", true);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&home, sizeof home) != 0 || listen(fd, 64) != 0) {
        die("port 5641");
    }
}

/* The services that m uses exist, and are given to it. */
static uint32_t furnish_services(const struct manifest *m, struct sandbox_bind *bind,
                                 char (*path)[128])
{
    if (m->use_all) {
        bind[0] = (struct sandbox_bind){.source = "/run/cognu/srv", .place = "/run/cognu/srv"};
        return 1;
    }
    for (uint32_t i = 0; i < m->uses; i++) {
        snprintf(path[i], sizeof path[i], "/run/cognu/srv/%s", m->use[i]);
        if (access(path[i], F_OK) != 0) {
            listen_at(path[i], false);
        }
        bind[i] = (struct sandbox_bind){.source = path[i], .place = path[i]};
    }
    return m->uses;
}

static bool run_sample(const struct sample *s)
{
    struct manifest m;
    struct cg_errbuf eb = {0};
    struct sandbox_bind bind[MANIFEST_USES_MAX];
    char path[MANIFEST_USES_MAX][128];
    char *argv[] = {"program", "--inside", (char *)s->name, (char *)s->text, NULL};
    int log[2];
    pid_t pid = 0;
    int status = 1;
    if (manifest_parse(s->name, s->name, s->text, strlen(s->text), &m, &eb) != CG_OK ||
        pipe2(log, O_CLOEXEC) != 0) {
        printf("FAILED %s: %s\n", s->name, eb.text);
        return false;
    }
    struct sandbox_start start = {.manifest = &m,
                                  .program = "/cognu/hostile",
                                  .argv = argv,
                                  .bind = bind,
                                  .binds = furnish_services(&m, bind, path),
                                  .log_fd = log[1]};
    cg_err e = sandbox_start(&start, &pid, &eb);
    close(log[1]);
    if (e != CG_OK) {
        printf("FAILED %s: %s\n", s->name, eb.text);
    } else {
        char text[4096];
        for (ssize_t n; (n = read(log[0], text, sizeof text)) > 0;) {
            fwrite(text, 1, (size_t)n, stdout);
        }
        waitpid(pid, &status, 0);
    }
    close(log[0]);
    manifest_fini(&m);
    fflush(stdout);
    return e == CG_OK && status == 0;
}

/* As init does, from all manifests together. */
static bool prepare(void)
{
    static struct manifest m[MANIFESTS_MAX];
    const struct manifest *list[MANIFESTS_MAX];
    struct cg_errbuf eb = {0};
    cg_err e = CG_OK;
    for (int i = 0; e == CG_OK && i < samples; i++) {
        const char *text = sample[i].text;
        list[i] = &m[i];
        e = manifest_parse(sample[i].name, sample[i].name, text, strlen(text), &m[i], &eb);
    }
    e = e != CG_OK ? e : sandbox_prepare(list, (uint32_t)samples, &eb);
    if (e != CG_OK) {
        printf("FAILED preparing folders: %s\n", eb.text);
    }
    for (int i = 0; i < samples; i++) {
        manifest_fini(&m[i]);
    }
    return e == CG_OK;
}

static bool walled(const struct sample *s)
{
    struct manifest m;
    bool yes = true;
    if (manifest_parse(s->name, s->name, s->text, strlen(s->text), &m, NULL) == CG_OK) {
        yes = m.walled;
        manifest_fini(&m);
    }
    return yes;
}

/* Process 1 of the small node. */
_Noreturn static void node(const char *temp)
{
    char state[64], run[64], self[1024];
    struct cg_errbuf eb = {0};
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    cg_assert(len > 0);
    self[len] = '\0';
    snprintf(state, sizeof state, "%s/state", temp);
    snprintf(run, sizeof run, "%s/run", temp);
    mkdir(state, 0755);
    mkdir(run, 0755);
    const struct sandbox_bind bind[] = {
        {"/usr", "/usr", .executable = true},
        {"/lib", "/lib", .executable = true},
        {"/lib64", "/lib64", .executable = true},
        {"/bin", "/bin", .executable = true},
        {"/sbin", "/sbin", .executable = true},
        {"/etc", "/etc", .executable = true},
        {"/dev", "/dev", .writable = true, .executable = true},
        {state, "/var/lib/cognu", .writable = true},
        {run, "/run/cognu", .writable = true},
        {self, "/cognu/hostile", .executable = true},
    };
    if (sandbox_root(bind, CG_COUNT(bind), SANDBOX_PROC_WHOLE, &eb) != CG_OK ||
        sandbox_loopback_up(&eb) != CG_OK) {
        fprintf(stderr, "hostile_test: %s\n", eb.text);
        exit(1);
    }
    furnish();
    int bad = !prepare();
    bad += hostile_alone();
    for (int i = 0; i < samples; i++) {
        if (walled(&sample[i])) {
            bad += !run_sample(&sample[i]);
        } else {
            printf("%s: has no walls, as its manifest says\n", sample[i].name);
        }
    }
    printf("%d passed, %d failed\n", samples + 1 + HOSTILE_ALONE_TESTS - bad, bad);
    fflush(stdout);
    _exit(bad != 0);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        die(path);
    }
    close(fd);
}

/* Without root: a user namespace in which we are. */
static bool become_able(void)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (uid == 0) {
        return true;
    }
    if (unshare(CLONE_NEWUSER) != 0) {
        return false;
    }
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    write_file("/proc/self/gid_map", map);
    return true;
}

static int run_node(const char *temp)
{
    if (!become_able() ||
        unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
        printf("skipped: this host allows no namespaces (%s)\n", strerror(errno));
        fflush(stdout);
        return 77;
    }
    pid_t pid = fork();
    if (pid == 0) {
        node(temp);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--inside") == 0) {
        return hostile_inside(argv[2], argv[3]);
    }
    add_sample("nothing", "program a\n");
    add_sample("everything", "program a\nuse hostile-one\npath rw /var/lib/cognu/everything\n"
                             "path r /etc /host/etc\nnet loopback\nuid 1\nprivilege chown\n"
                             "syscalls default +mknodat\nmemory 32M\nfiles 64\n");
    add_sample("neighbour", "program a\nnet node\nuid 1\n");
    for (int i = 1; i < argc; i++) {
        read_folder(argv[i]);
    }
    char temp[] = "/tmp/hostile_test.XXXXXX";
    if (mkdtemp(temp) == NULL) {
        die(temp);
    }
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(run_node(temp));
    }
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", temp, NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
