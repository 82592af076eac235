/* Nodes: their life, their attributes, and who may do what with them. */
#include "ram.h"
#include <string.h>

/* A node is counted with this, whatever the allocator takes. */
enum { NODE_BYTES = RAM_NODE_BYTES, BLOCK_BYTES = 512, BLKSIZE = 65536 };

bool ram_charge(struct ramfs *fs, uint64_t bytes)
{
    fs->starved = false;
    if (bytes > fs->bytes_max - fs->bytes) {
        return false;
    }
    fs->bytes += bytes;
    return true;
}

void ram_uncharge(struct ramfs *fs, uint64_t bytes)
{
    cg_assert(bytes <= fs->bytes);
    fs->bytes -= bytes;
}

cg_err ram_no_space(struct ramfs *fs, struct cg_errbuf *eb)
{
    if (fs->starved) {
        return cg_fail(eb, CG_ENOMEM, "no memory for more contents");
    }
    return cg_fail(eb, CG_ENOSPC,
                   "ramfs is full: %llu of %llu bytes in use; remove files or raise --bytes-max",
                   (unsigned long long)fs->bytes, (unsigned long long)fs->bytes_max);
}

struct ram_node *ram_node(const struct ninep_fid *fid)
{
    cg_assert(fid->aux != NULL);
    return fid->aux;
}

uint32_t ram_type(const struct ram_node *n)
{
    return n->mode & S_IFMT;
}

cg_err ram_node_new(struct ramfs *fs, uint32_t mode, uint64_t owner, uint64_t group,
                    struct ram_node **out, struct cg_errbuf *eb)
{
    if (!ram_charge(fs, NODE_BYTES)) {
        return ram_no_space(fs, eb);
    }
    struct ram_node *n = cg_zalloc(sizeof *n);
    if (n == NULL) {
        ram_uncharge(fs, NODE_BYTES);
        return cg_fail(eb, CG_ENOMEM, "no memory for a new file");
    }
    n->fs = fs;
    cg_list_init(&n->dirty);
    n->file = n->pages.file = ++fs->file_last;
    n->mode = mode;
    n->owner = owner;
    n->group = group;
    if (!ram_save_node(n)) {
        cg_free(n);
        ram_uncharge(fs, NODE_BYTES);
        return ram_no_space(fs, eb);
    }
    fs->files++;
    ram_touch(n, RAM_MTIME | RAM_CTIME);
    n->atime = n->btime = n->mtime;
    *out = n;
    return CG_OK;
}

void ram_node_drop(struct ram_node *n)
{
    if (n->nlink > 0 || n->fids > 0) {
        return;
    }
    struct ramfs *fs = n->fs;
    cg_list_del(&n->dirty);
    ram_unsave(fs, n->saved);
    ram_unsave(fs, n->saved_target);
    if (n->target != NULL) {
        ram_uncharge(fs, n->size);
        cg_free(n->target);
    }
    ram_pages_drop(fs, &n->pages, 0, UINT64_MAX);
    ram_xattrs_free(n);
    ram_dir_fini(n);
    fs->files--;
    ram_uncharge(fs, NODE_BYTES);
    cg_free(n);
}

void ram_fid_set(struct ninep_fid *fid, struct ram_node *n)
{
    struct ram_node *old = fid->aux;
    n->fids++;
    fid->aux = n;
    ram_id(n, &fid->id);
    if (old != NULL) {
        old->fids--;
        ram_node_drop(old);
    }
}

void ram_touch(struct ram_node *n, int times)
{
    uint64_t now = n->fs->env->wall_ns(n->fs->env->ctx);
    if (times & RAM_MTIME) {
        n->mtime = now;
    }
    if (times & RAM_CTIME) {
        n->ctime = now;
    }
    n->change = ++n->fs->change_last;
    ram_dirty(n);
}

void ram_id(const struct ram_node *n, struct ninep_xqid *id)
{
    *id = (struct ninep_xqid){
        .volume = n->fs->volume, .file = n->file, .generation = 1, .change = n->change};
}

bool ram_admin(const struct ninep_fid *fid, const struct ram_node *n)
{
    return fid->principal == n->fs->owner;
}

bool ram_owns(const struct ninep_fid *fid, const struct ram_node *n)
{
    return fid->principal == n->owner || ram_admin(fid, n);
}

static uint8_t rights_of(const struct ninep_fid *fid, const struct ram_node *n)
{
    uint32_t bits = n->mode;
    if (ram_admin(fid, n)) {
        bits = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE;
        if (S_ISDIR(n->mode) || (n->mode & 0111) != 0) {
            bits |= NINEP_RIGHTS_EXEC;
        }
    } else if (fid->principal == n->owner) {
        bits >>= 6;
    } else if (fid->principal == n->group) {
        bits >>= 3;
    }
    return (uint8_t)(bits & 7); /* those of the attach are the framework's matter */
}

cg_err ram_may(const struct ninep_fid *fid, const struct ram_node *n, uint8_t rights,
               struct cg_errbuf *eb)
{
    uint8_t has = rights_of(fid, n);
    if ((has & rights) == rights) {
        return CG_OK;
    }
    return cg_fail(eb, CG_EACCES, "mode %04o grants this user %c%c%c, needed is %c%c%c",
                   n->mode & 07777, has & 4 ? 'r' : '-', has & 2 ? 'w' : '-', has & 1 ? 'x' : '-',
                   rights & 4 ? 'r' : '-', rights & 2 ? 'w' : '-', rights & 1 ? 'x' : '-');
}

void ram_attr(const struct ninep_fid *fid, const struct ram_node *n, struct ninep_attr *a)
{
    *a = (struct ninep_attr){.mode = n->mode,
                             .nlink = n->nlink,
                             .owner = n->owner,
                             .group = n->group,
                             .size = n->size,
                             .blocks = n->pages.count * (RAM_PAGE_BYTES / BLOCK_BYTES),
                             .rdev = n->rdev,
                             .atime = (int64_t)n->atime,
                             .mtime = (int64_t)n->mtime,
                             .ctime = (int64_t)n->ctime,
                             .btime = (int64_t)n->btime,
                             .blksize = BLKSIZE,
                             .rights = rights_of(fid, n),
                             .flags = NINEP_ATTRFLAG_NO_ACL};
    ram_id(n, &a->id);
    if (n->xattrs == NULL) {
        a->flags |= NINEP_ATTRFLAG_NO_XATTR;
    }
}
