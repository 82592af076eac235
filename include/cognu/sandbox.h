/* sandbox: starts a component so that it can reach what its manifest names, and nothing else.
 *
 * Four walls, each whole without the others where it can be:
 *   mounts     a root of its own, on a read-only tmpfs, that holds its program and its paths
 *   Landlock   the same paths again as file rights; no others, no execution, no foreign signals
 *   seccomp    a list of allowed system calls; the rest answer EPERM
 *   identity   own pid, ipc, uts and net namespaces, its uid, no privileges but the named ones,
 *              no descriptors but the passed ones, limits on memory and files
 * A component with `pids node` has no Landlock, which would forbid it to look at other processes.
 * Where the kernel lacks Landlock, or the host a uid, a line in the component's log says so and the
 * other walls stand.
 *
 * The caller must hold CAP_SYS_ADMIN in its user namespace (init, root, or `unshare -Ur`).
 */
#ifndef COGNU_SANDBOX_H
#define COGNU_SANDBOX_H

#include <cognu/manifest.h>
#include <sys/types.h>

enum {
    SANDBOX_FD_FIRST = 3, /* passed descriptors begin after the standard three */
    SANDBOX_FDS_MAX = 32, /* 2 * MANIFEST_OFFERS_MAX + MANIFEST_SOCKETS_MAX, and room */
    SANDBOX_BINDS_MAX = MANIFEST_PATHS_MAX + MANIFEST_USES_MAX + 8,
};

/* A file or folder of the caller's mount namespace, and where it shall appear. */
struct sandbox_bind {
    const char *source, *place; /* absolute; place in simplest form */
    bool writable;
    bool executable; /* also honours device files and set-uid bits: programs, and whole nodes */
};

struct sandbox_start {
    const struct manifest *manifest;
    const char *program;             /* path of its file; it appears as /program */
    char *const *argv;               /* NULL-terminated */
    const struct sandbox_bind *bind; /* besides the manifest's paths: sockets */
    uint32_t binds;
    const int *fd; /* fd[i] becomes SANDBOX_FD_FIRST + i */
    uint32_t fds;
    int log_fd; /* becomes its standard output and error */
};

/* Starts it; returns when its program runs, or why it does not. Borrows everything. */
cg_err sandbox_start(const struct sandbox_start *s, pid_t *pid, struct cg_errbuf *eb);

/* Do the manifest's system calls exist, and may they be granted? CG_EMANIFEST names the first that
 * may not: those that lead out of the sandbox are never granted. */
cg_err sandbox_check(const struct manifest *m, struct cg_errbuf *eb);

/* Makes what the paths of a node's manifests need before any component is started: folders below
 * /var/lib/cognu and /run/cognu that are missing. One that a manifest may write becomes its uid's,
 * and is closed to others unless another manifest may read it. */
cg_err sandbox_prepare(const struct manifest *const *m, uint32_t count, struct cg_errbuf *eb);

/* Gives the calling process, which must have a mount namespace of its own, a new root: a tmpfs that
 * holds the binds, and /proc of its pid namespace (only_pids: nothing but processes, read-only). */
enum sandbox_proc { SANDBOX_PROC_NONE, SANDBOX_PROC_PIDS, SANDBOX_PROC_WHOLE };
cg_err sandbox_root(const struct sandbox_bind *bind, uint32_t binds, enum sandbox_proc proc,
                    struct cg_errbuf *eb);
/* Makes the root that sandbox_root made read-only; what is bound into it stays as it is. */
cg_err sandbox_root_seal(struct cg_errbuf *eb);

/* Brings up the loopback interface of the caller's net namespace. */
cg_err sandbox_loopback_up(struct cg_errbuf *eb);

#endif
