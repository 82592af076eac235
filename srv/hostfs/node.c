/* Nodes, and the file systems they are of. */
#include "host.h"
#include <errno.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int host_statx(int dir, const char *name, struct statx *sx)
{
    const unsigned mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    return statx(dir, name, flags, mask, sx) == 0 ? 0 : errno;
}

void host_path(int fd, char out[HOST_PATH_BYTES])
{
    snprintf(out, HOST_PATH_BYTES, "/proc/self/fd/%d", fd);
}

int host_reopen(const struct host_node *n, int flags)
{
    char path[HOST_PATH_BYTES];
    host_path(n->fd, path);
    return open(path, flags | O_CLOEXEC | O_NOCTTY);
}

int host_peek(int dir, const char *name, int flags)
{
    flags |= O_RDONLY | O_CLOEXEC | O_NOCTTY;
    int fd = openat(dir, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(dir, name, flags) : fd; /* not our file */
}

int host_resolve(const struct host_tree *tree, int dir, const char *name)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS |
                                      (tree->one_device ? RESOLVE_NO_XDEV : 0)};
    int fd = -1;
    for (int i = 0; i < HOST_RETRIES_MAX; i++) {
        fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN) {
            break;
        }
    }
    return fd;
}

/* ---- volumes ----------------------------------------------------------------------------------
 */

static bool is_synthetic(const struct statfs *sf)
{
    static const uint32_t magics[] = {
        PROC_SUPER_MAGIC,
        SYSFS_MAGIC,
        CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,
        TRACEFS_MAGIC,
        SECURITYFS_MAGIC,
        BPF_FS_MAGIC,
        PSTOREFS_MAGIC,
        EFIVARFS_MAGIC,
        DEVPTS_SUPER_MAGIC,
        BINFMTFS_MAGIC,
        SELINUX_MAGIC,
        NSFS_MAGIC,
        SMACK_MAGIC,
        0x62656570 /* configfs */,
        0x65735543 /* fusectl */,
    };
    for (size_t i = 0; i < CG_COUNT(magics); i++) {
        if ((uint32_t)sf->f_type == magics[i]) {
            return true;
        }
    }
    return false;
}

static void ask_volume(int dir, const char *name, struct host_volume *v)
{
    struct statfs sf;
    char path[HOST_PATH_BYTES];
    v->xattrs = true; /* until it says no */
    int fd = openat(dir, name[0] != '\0' ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int use = name[0] != '\0' ? fd : dir;
    if (use >= 0 && fstatfs(use, &sf) == 0) {
        v->synthetic = is_synthetic(&sf);
        host_path(use, path);
        v->xattrs = !v->synthetic && (listxattr(path, NULL, 0) >= 0 || errno != EOPNOTSUPP);
    }
    if (fd >= 0) {
        close(fd);
    }
}

const struct host_volume *host_volume(struct hostfs *fs, const struct statx *sx, int dir,
                                      const char *name)
{
    uint64_t id = makedev(sx->stx_dev_major, sx->stx_dev_minor);
    struct host_volume *v = cg_map_get(&fs->volumes, &id);
    if (v != NULL) {
        return v;
    }
    v = cg_map_count(&fs->volumes) < HOST_VOLUMES_MAX ? cg_zalloc(sizeof *v) : NULL;
    if (v != NULL && cg_map_put(&fs->volumes, &id, v) != CG_OK) {
        cg_free(v);
        v = NULL;
    }
    v = v != NULL ? v : &fs->other;
    *v = (struct host_volume){.id = id};
    ask_volume(dir, name, v);
    return v;
}

/* ---- identity ---------------------------------------------------------------------------------
 */

static uint64_t ns_of(const struct statx_timestamp *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + t->tv_nsec;
}

static uint32_t generation_of(const struct statx *sx)
{
    uint64_t birth = (sx->stx_mask & STATX_BTIME) != 0 ? ns_of(&sx->stx_btime) : 0;
    return (uint32_t)(birth ^ birth >> 32);
}

void host_id(const struct host_volume *v, const struct statx *sx, struct ninep_xqid *id)
{
    bool device = S_ISCHR(sx->stx_mode) || S_ISBLK(sx->stx_mode);
    *id = (struct ninep_xqid){.volume = makedev(sx->stx_dev_major, sx->stx_dev_minor),
                              .file = sx->stx_ino,
                              .generation = generation_of(sx),
                              .change = ns_of(&sx->stx_ctime)};
    if (v->synthetic || device) {
        id->type = NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_NOCACHE;
    }
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

cg_err host_node_take(struct hostfs *fs, int fd, struct host_node **out, struct statx *sx)
{
    int err = host_statx(fd, "", sx);
    if (err != 0) {
        close(fd);
        return cg_err_from_errno(err);
    }
    struct host_key key = {.volume = makedev(sx->stx_dev_major, sx->stx_dev_minor),
                           .file = sx->stx_ino,
                           .mount = sx->stx_mnt_id,
                           .generation = generation_of(sx)};
    struct host_node *n = cg_map_get(&fs->nodes, &key);
    if (n != NULL) {
        close(fd);
        *out = host_node_share(n);
        return CG_OK;
    }
    n = cg_zalloc(sizeof *n);
    if (n == NULL || cg_map_put(&fs->nodes, &key, n) != CG_OK) {
        cg_free(n);
        close(fd);
        return CG_ENOMEM;
    }
    *n = (struct host_node){.fs = fs, .key = key, .mode = sx->stx_mode, .refs = 1, .fd = fd};
    n->volume = host_volume(fs, sx, fd, "");
    *out = n;
    return CG_OK;
}

struct host_node *host_node_share(struct host_node *n)
{
    n->refs++;
    return n;
}

void host_node_put(struct host_node *n)
{
    if (--n->refs > 0) {
        return;
    }
    cg_map_del(&n->fs->nodes, &n->key);
    close(n->fd);
    cg_free(n);
}

cg_err host_lookup(const struct host_fid *hf, const char *name, struct host_node **out,
                   struct statx *sx)
{
    int fd = host_resolve(hf->tree, hf->node->fd, name);
    return fd >= 0 ? host_node_take(hf->node->fs, fd, out, sx) : cg_err_from_errno(errno);
}
