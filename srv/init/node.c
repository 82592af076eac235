/* The node's own root: the host's programs and libraries, read-only; its state; fresh /run, /tmp
 * and /proc; its devices. Nothing else of the host is in it, and nothing that happens in it stays
 * after init but the state.
 *
 *   /usr /bin /sbin /lib* /etc /dev   the host's
 *   /cognu/{lib,bin,etc,man}            programs of components, commands of users, settings
 *   /var/lib/cognu                    the state: keys roster root log
 *   /run/cognu/{srv,gate}             sockets of services
 */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The pid by which the host knows us is what its procfs, still in view, calls us. The one who
 * started us waits for this file: the node's namespaces exist then. */
static cg_err write_pid(const struct init *in, struct cg_errbuf *eb)
{
    char pid[32], path[1024];
    ssize_t len = readlink("/proc/self", pid, sizeof pid - 2);
    if (len <= 0) {
        return cg_fail(eb, CG_EIO, "/proc/self: %s; is /proc mounted?", strerror(errno));
    }
    pid[len] = '\n';
    pid[len + 1] = '\0';
    snprintf(path, sizeof path, "%s/pid", in->state_dir);
    FILE *f = fopen(path, "we");
    if (f == NULL || fputs(pid, f) < 0 || fclose(f) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    return CG_OK;
}

static cg_err mount_tmpfs(const char *at, const char *options, struct cg_errbuf *eb)
{
    mkdir(at, 0755);
    if (mount("cognu", at, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "tmpfs at %s: %s", at, strerror(errno));
    }
    return CG_OK;
}

static uint32_t node_binds(const struct init *in, struct sandbox_bind *bind)
{
    static const char *const host[] = {"/usr",   "/bin",   "/sbin",   "/lib",
                                       "/lib32", "/lib64", "/libx32", "/etc"};
    uint32_t n = 0;
    for (size_t i = 0; i < CG_COUNT(host); i++) {
        if (access(host[i], F_OK) == 0) {
            bind[n++] = (struct sandbox_bind){host[i], host[i], .executable = true};
        }
    }
    bind[n++] = (struct sandbox_bind){"/dev", "/dev", .writable = true, .executable = true};
    bind[n++] = (struct sandbox_bind){in->state_dir, "/var/lib/cognu", .writable = true};
    bind[n++] = (struct sandbox_bind){in->bin_dir, "/cognu/lib", .executable = true};
    if (in->cmd_dir != NULL) {
        bind[n++] = (struct sandbox_bind){in->cmd_dir, "/cognu/bin", .executable = true};
    }
    if (in->etc_dir != NULL) {
        bind[n++] = (struct sandbox_bind){.source = in->etc_dir, .place = "/cognu/etc"};
    }
    if (in->man_dir != NULL) { /* man looks beside the bin of a PATH */
        bind[n++] = (struct sandbox_bind){.source = in->man_dir, .place = "/cognu/man"};
    }
    return n;
}

static void use_node_paths(struct init *in)
{
    in->state_dir = "/var/lib/cognu";
    in->bin_dir = "/cognu/lib";
    for (uint32_t i = 0; i < in->components; i++) {
        struct component *c = &in->component[i];
        snprintf(c->program, sizeof c->program, "/cognu/lib/%s", c->manifest.program);
    }
}

cg_err init_enter_node(struct init *in, struct cg_errbuf *eb)
{
    struct sandbox_bind bind[SANDBOX_BINDS_MAX];
    uint32_t binds = node_binds(in, bind);
    cg_err e = write_pid(in, eb);
    if (e == CG_OK) {
        e = sandbox_root(bind, binds, SANDBOX_PROC_WHOLE, eb);
    }
    if (e == CG_OK) {
        e = mount_tmpfs("/run", "mode=755,size=16m", eb);
    }
    if (e == CG_OK) {
        e = mount_tmpfs("/tmp", "mode=1777,size=25%", eb);
    }
    if (e == CG_OK) {
        e = sandbox_loopback_up(eb);
    }
    if (e != CG_OK) {
        return e;
    }
    static const char *const folders[] = {
        "/var/lib/cognu/root", "/var/lib/cognu/root/home", "/var/lib/cognu/root/root",
        "/run/cognu",          "/run/cognu/srv",           "/run/cognu/gate",
        "/run/cognu/mnt",      "/var/lib/cognu/log",       "/root"};
    for (size_t i = 0; i < CG_COUNT(folders); i++) {
        mkdir(folders[i], 0755);
    }
    if (sethostname(in->node, strlen(in->node)) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "naming the node: %s", strerror(errno));
    }
    use_node_paths(in);
    return CG_OK;
}
