/* Landlock: the paths of the manifest once more, as rights on files, enforced where the path is
 * resolved. It holds even if a mount were to appear in the component's root.
 *
 * The numbers are the kernel's (Documentation/userspace-api/landlock.rst); Debian's header of 6.1
 * names only the first two versions, so they are written out with the version that brought them.
 */
#include "sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_MAKE = 0x1ff << 4, /* remove_dir, remove_file, make_* */
    FS_REFER = 1 << 13,          /* version 2 */
    FS_TRUNCATE = 1 << 14,       /* version 3 */
    FS_IOCTL_DEV = 1 << 15,      /* version 5 */
    NET_TCP = 3,                 /* version 4: bind, connect */
    SCOPE_ABSTRACT = 1,          /* version 6: abstract sockets of others */
    SCOPE_SIGNAL = 2,            /* version 6: signals to others */
    CREATE_VERSION = 1,
    RULE_PATH_BENEATH = 1,
};

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static uint64_t known_rights(long version)
{
    uint64_t fs = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_MAKE;
    fs |= version >= 2 ? FS_REFER : 0;
    fs |= version >= 3 ? FS_TRUNCATE : 0;
    return fs | (version >= 5 ? FS_IOCTL_DEV : 0);
}

static uint64_t granted_rights(const struct sandbox_bind *b, bool dir)
{
    uint64_t fs = FS_READ_FILE | (b->executable ? FS_EXECUTE : 0);
    fs |= dir ? FS_READ_DIR : 0;
    if (b->writable) {
        fs |= FS_WRITE_FILE | FS_TRUNCATE;
        fs |= dir ? FS_REMOVE_MAKE | FS_REFER : 0;
    }
    return fs;
}

static cg_err add_rule(int ruleset, const struct sandbox_bind *b, uint64_t known,
                       struct cg_errbuf *eb)
{
    struct stat st;
    int fd = open(b->place, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return sandbox__failed(eb, "Landlock rule for %s", b->place);
    }
    struct path_rule rule = {.allowed = granted_rights(b, S_ISDIR(st.st_mode)) & known, .fd = fd};
    cg_err e = CG_OK;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) {
        e = sandbox__failed(eb, "Landlock rule for %s", b->place);
    }
    close(fd);
    return e;
}

/* Its root holds nothing but the ways to its places: it may list them. */
static cg_err add_root_rule(int ruleset, struct cg_errbuf *eb)
{
    int fd = open("/", O_PATH | O_CLOEXEC);
    struct path_rule rule = {.allowed = FS_READ_DIR, .fd = fd};
    cg_err e = CG_OK;
    if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) {
        e = sandbox__failed(eb, "Landlock rule for the root");
    }
    if (fd >= 0) {
        close(fd);
    }
    return e;
}

cg_err sandbox__landlock(const struct manifest *m, const struct sandbox_bind *bind, uint32_t binds,
                         struct cg_errbuf *eb)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    if (m->node_pids) {
        return CG_OK; /* Landlock forbids to look at other processes; the mounts guard the paths */
    }
    if (version < 1) {
        cg_log(CG_WARN, "this kernel has no Landlock: paths are guarded by mounts alone");
        return CG_OK;
    }
    struct ruleset rs = {.fs = known_rights(version),
                         .net = version >= 4 && m->net == MANIFEST_NET_NONE ? NET_TCP : 0};
    if (version >= 6) {
        rs.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    }
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rs, sizeof rs, 0);
    if (fd < 0) {
        return sandbox__failed(eb, "Landlock rules");
    }
    cg_err e = add_root_rule(fd, eb);
    for (uint32_t i = 0; e == CG_OK && i < binds; i++) {
        e = add_rule(fd, &bind[i], rs.fs, eb);
    }
    if (e == CG_OK && syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        e = sandbox__failed(eb, "Landlock");
    }
    close(fd);
    return e;
}
