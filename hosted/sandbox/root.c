/* A root of its own: a tmpfs with the binds, entered by pivot_root. The trees are cloned first,
 * then the tmpfs is mounted, so that it may cover their sources. Each tree is given its attributes
 * before it is attached: at no moment is there a writable form of a read-only bind.
 */
#include "sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the new root stands until it is the root: a folder that every Linux has. */
static const char stage[] = "/run";

cg_err sandbox__failed(struct cg_errbuf *eb, const char *fmt, ...)
{
    int err = errno;
    char what[CG_DETAIL_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return cg_fail(eb, cg_err_from_errno(err), "%.180s: %s", what, strerror(err));
}

/* A detached copy of the tree at source, with the attributes that the bind grants. */
static cg_err clone_tree(const struct sandbox_bind *b, int *out, struct cg_errbuf *eb)
{
    int fd = open_tree(AT_FDCWD, b->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0) {
        return sandbox__failed(eb, "path %s", b->source);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        cg_err e = sandbox__failed(eb, "path %s", b->source);
        close(fd);
        return e;
    }
    uint64_t set = b->writable ? 0 : MOUNT_ATTR_RDONLY;
    if (!b->executable) {
        set |= MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID;
        set |= S_ISCHR(st.st_mode) ? 0 : MOUNT_ATTR_NODEV; /* a device is bound by its own name */
    }
    struct mount_attr attr = {.attr_set = set, .propagation = MS_PRIVATE};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) {
        cg_err e = sandbox__failed(eb, "attributes of %s", b->source);
        close(fd);
        return e;
    }
    *out = fd;
    return CG_OK;
}

/* Walks place below root, making what is missing; its last element is a folder or an empty file as
 * `dir` says. Never follows a link. */
static cg_err make_place(int root, const char *place, bool dir, int *out, struct cg_errbuf *eb)
{
    int at = dup(root);
    const char *name = place + 1;
    while (at >= 0 && *name != '\0') {
        const char *end = strchrnul(name, '/');
        char element[256];
        size_t len = (size_t)(end - name);
        if (len >= sizeof element) {
            close(at);
            return cg_fail(eb, CG_ENAMETOOLONG, "place %s", place);
        }
        memcpy(element, name, len);
        element[len] = '\0';
        bool last = *end == '\0';
        if (!last || dir) {
            mkdirat(at, element, 0755);
        } else {
            mknodat(at, element, S_IFREG | 0444, 0);
        }
        int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (!last || dir ? O_DIRECTORY : 0);
        int next = openat(at, element, flags);
        close(at);
        at = next;
        name = last ? end : end + 1;
    }
    if (at < 0) {
        return sandbox__failed(eb, "place %s", place);
    }
    *out = at;
    return CG_OK;
}

static cg_err attach(int root, int tree, const char *place, struct cg_errbuf *eb)
{
    struct stat st;
    if (fstat(tree, &st) != 0) {
        return sandbox__failed(eb, "place %s", place);
    }
    int at = -1;
    cg_err e = make_place(root, place, S_ISDIR(st.st_mode), &at, eb);
    if (e != CG_OK) {
        return e;
    }
    if (move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
        e = sandbox__failed(eb, "mount at %s", place);
    }
    close(at);
    return e;
}

static cg_err attach_proc(int root, enum sandbox_proc kind, struct cg_errbuf *eb)
{
    int fs = fsopen("proc", FSOPEN_CLOEXEC);
    if (fs < 0) {
        return sandbox__failed(eb, "/proc");
    }
    bool pids = kind == SANDBOX_PROC_PIDS;
    int tree = -1;
    if ((!pids || fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0) &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        unsigned attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        tree = fsmount(fs, FSMOUNT_CLOEXEC, attr | (pids ? MOUNT_ATTR_RDONLY : 0));
    }
    cg_err e = tree < 0 ? sandbox__failed(eb, "/proc") : attach(root, tree, "/proc", eb);
    if (tree >= 0) {
        close(tree);
    }
    close(fs);
    return e;
}

static cg_err attach_all(const int *tree, const struct sandbox_bind *bind, uint32_t binds,
                         enum sandbox_proc proc, struct cg_errbuf *eb)
{
    /* The root holds a few folders and empty files: one inode a path element. */
    if (mount("cognu", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m,nr_inodes=1024") !=
        0) {
        return sandbox__failed(eb, "tmpfs for the root");
    }
    int root = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return sandbox__failed(eb, "the new root");
    }
    cg_err e = CG_OK;
    for (uint32_t i = 0; e == CG_OK && i < binds; i++) {
        e = attach(root, tree[i], bind[i].place, eb);
    }
    if (e == CG_OK && proc != SANDBOX_PROC_NONE) {
        e = attach_proc(root, proc, eb);
    }
    if (e == CG_OK && (fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
                       umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)) {
        e = sandbox__failed(eb, "entering the new root");
    }
    close(root);
    return e;
}

cg_err sandbox_root(const struct sandbox_bind *bind, uint32_t binds, enum sandbox_proc proc,
                    struct cg_errbuf *eb)
{
    int tree[SANDBOX_BINDS_MAX];
    if (binds > SANDBOX_BINDS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "%u paths; at most %d", binds, (int)SANDBOX_BINDS_MAX);
    }
    /* Nothing that is mounted here may show up outside. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return sandbox__failed(eb, "making the mounts private");
    }
    mode_t mask = umask(0);
    uint32_t cloned = 0;
    cg_err e = CG_OK;
    while (e == CG_OK && cloned < binds) {
        e = clone_tree(&bind[cloned], &tree[cloned], eb);
        cloned += e == CG_OK;
    }
    if (e == CG_OK) {
        e = attach_all(tree, bind, binds, proc, eb);
    }
    while (cloned > 0) {
        close(tree[--cloned]);
    }
    umask(mask);
    return e;
}

cg_err sandbox_root_seal(struct cg_errbuf *eb)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC};
    if (mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof attr) != 0) {
        return sandbox__failed(eb, "sealing the root");
    }
    return CG_OK;
}
