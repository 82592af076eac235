/* cognu-nullfs DIR: a file system that keeps names and sizes and forgets contents: what is read is
 * zeros, what is written is dropped. It is the ceiling for any file system on this machine's
 * /dev/fuse: the benchmarks divide by it. It uses the adapter's codec and loop, in the same
 * process layout, and lets the kernel believe everything for a long time.
 *
 * Nodes are numbered from 1 and never reused. Names are found by (directory, name).
 */
#include <dev.h>
#include <mount.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NODES_MAX = 1 << 20, /* a benchmark's tree; 80 bytes each and the name */
    VALID_S = 3600,
};

struct node {
    uint64_t id, dir;
    uint64_t size;
    uint32_t mode;
    struct cg_list siblings; /* in dir's children */
    struct cg_list children;
    char *name;
};

struct nullfs {
    struct cg_map names; /* of struct key */
    struct node **nodes; /* by id */
    uint64_t count;
    uint8_t *zeros;
    uv_loop_t *loop;
    struct fdev *dev;
};

/* The hash of the name stands for the name: this is no real file system. */
struct key {
    uint64_t dir, hash;
};

static struct key key_of(uint64_t dir, const char *name)
{
    uint64_t h = 1469598103934665603ULL; /* FNV-1a */
    for (const char *p = name; *p; p++) {
        h = (h ^ (uint8_t)*p) * 1099511628211ULL;
    }
    return (struct key){dir, h};
}

static struct node *by_id(struct nullfs *fs, uint64_t id)
{
    return id > 0 && id < fs->count ? fs->nodes[id] : NULL;
}

static struct node *by_name(struct nullfs *fs, uint64_t dir, const char *name)
{
    struct key k = key_of(dir, name);
    return cg_map_get(&fs->names, &k);
}

static void link_node(struct nullfs *fs, struct node *n, uint64_t dir, const char *name)
{
    struct key k = key_of(dir, name);
    cg_free(n->name);
    n->name = cg_strdup(name);
    n->dir = dir;
    cg_assert(n->name && cg_map_put(&fs->names, &k, n) == CG_OK);
    if (dir != 0) {
        cg_list_push(&fs->nodes[dir]->children, &n->siblings);
    }
}

static void unlink_node(struct nullfs *fs, struct node *n)
{
    struct key k = key_of(n->dir, n->name);
    cg_map_del(&fs->names, &k);
    cg_list_del(&n->siblings);
}

static struct node *make(struct nullfs *fs, uint64_t dir, const char *name, uint32_t mode)
{
    struct node *n = fs->count < NODES_MAX ? cg_zalloc(sizeof(*n)) : NULL;
    if (n) {
        n->id = fs->count++;
        n->mode = mode;
        cg_list_init(&n->siblings);
        cg_list_init(&n->children);
        fs->nodes[n->id] = n;
        link_node(fs, n, dir, name);
    }
    return n;
}

static struct fuse_attr attr_of(const struct node *n)
{
    return (struct fuse_attr){
        .ino = n->id,
        .size = n->size,
        .blocks = (n->size + 511) / 512,
        .mode = n->mode,
        .nlink = S_ISDIR(n->mode) ? 2 : 1,
        .uid = getuid(),
        .gid = getgid(),
        .blksize = 4096,
    };
}

static struct fuse_entry_out entry_of(const struct node *n)
{
    return (struct fuse_entry_out){
        .nodeid = n->id, .entry_valid = VALID_S, .attr_valid = VALID_S, .attr = attr_of(n)};
}

static void reply_entry(struct freq *r, const struct node *n)
{
    struct fuse_entry_out e = {.entry_valid = VALID_S};
    if (n) {
        e = entry_of(n);
    }
    freq_reply(r, &e, sizeof(e), NULL, 0);
}

static void do_setattr(struct freq *r, struct node *n)
{
    const struct fuse_setattr_in *in = &r->m.in.setattr;
    if (in->valid & FATTR_SIZE) {
        n->size = in->size;
    }
    if (in->valid & FATTR_MODE) {
        n->mode = (n->mode & S_IFMT) | (in->mode & 07777);
    }
    struct fuse_attr_out out = {.attr_valid = VALID_S, .attr = attr_of(n)};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void do_create(struct nullfs *fs, struct freq *r)
{
    struct node *n = by_name(fs, r->m.h.nodeid, r->m.name);
    if (!n) {
        n = make(fs, r->m.h.nodeid, r->m.name, (r->m.in.create.mode & 07777) | S_IFREG);
    }
    if (!n) {
        freq_error(r, ENOSPC);
        return;
    }
    struct fuse_entry_out e = entry_of(n);
    struct fuse_open_out o = {.fh = n->id, .open_flags = FOPEN_KEEP_CACHE};
    freq_reply(r, &e, sizeof(e), &o, sizeof(o));
}

static void do_remove(struct nullfs *fs, struct freq *r)
{
    struct node *n = by_name(fs, r->m.h.nodeid, r->m.name);
    if (n && !cg_list_empty(&n->children)) {
        freq_error(r, ENOTEMPTY);
        return;
    }
    if (n) {
        unlink_node(fs, n);
    }
    freq_error(r, n ? 0 : ENOENT);
}

static void do_rename(struct nullfs *fs, struct freq *r)
{
    struct node *n = by_name(fs, r->m.h.nodeid, r->m.name);
    uint64_t newdir = r->m.in.rename2.newdir;
    if (!n || !by_id(fs, newdir) || r->m.in.rename2.flags) {
        freq_error(r, n ? EINVAL : ENOENT);
        return;
    }
    struct node *old = by_name(fs, newdir, r->m.newname);
    if (old) {
        unlink_node(fs, old);
    }
    unlink_node(fs, n);
    link_node(fs, n, newdir, r->m.newname);
    freq_error(r, 0);
}

static void do_read(struct nullfs *fs, struct freq *r, const struct node *n)
{
    const struct fuse_read_in *in = &r->m.in.read;
    uint64_t left = in->offset < n->size ? n->size - in->offset : 0;
    uint64_t size = in->size < FMSG_WRITE_BYTES_MAX ? in->size : FMSG_WRITE_BYTES_MAX;
    freq_reply(r, fs->zeros, size < left ? size : left, NULL, 0);
}

static void do_write(struct freq *r, struct node *n)
{
    const struct fuse_write_in *in = &r->m.in.write;
    if (in->offset + in->size > n->size) {
        n->size = in->offset + in->size;
    }
    struct fuse_write_out out = {.size = in->size};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

/* The cookie is the place in the list. */
static void do_readdir(struct nullfs *fs, struct freq *r, const struct node *dir)
{
    bool plus = r->m.h.opcode == FUSE_READDIRPLUS;
    struct fmsg_dir d = {.data = fs->zeros, .cap = r->m.in.read.size};
    uint64_t at = 0;
    CG_LIST_EACH (l, &dir->children) {
        const struct node *n = CG_CONTAINER(l, struct node, siblings);
        struct fuse_entry_out e = entry_of(n);
        if (at++ < r->m.in.read.offset) {
            continue;
        }
        if (!(plus ? fmsg_direntplus(&d, &e, n->id, at, n->mode, n->name)
                   : fmsg_dirent(&d, n->id, at, n->mode, n->name))) {
            break;
        }
    }
    freq_reply(r, d.data, d.len, NULL, 0);
    memset(fs->zeros, 0, d.len);
}

static void do_statfs(struct freq *r)
{
    struct fuse_statfs_out out = {.st = {.bsize = 4096,
                                         .frsize = 4096,
                                         .namelen = 255,
                                         .blocks = 1 << 30,
                                         .bfree = 1 << 30,
                                         .bavail = 1 << 30}};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void do_names(struct nullfs *fs, struct freq *r)
{
    uint64_t dir = r->m.h.nodeid;
    switch (r->m.h.opcode) {
    case FUSE_LOOKUP:
        reply_entry(r, by_name(fs, dir, r->m.name));
        break;
    case FUSE_MKDIR:
        reply_entry(r, make(fs, dir, r->m.name, (r->m.in.mkdir.mode & 07777) | S_IFDIR));
        break;
    case FUSE_CREATE:
        do_create(fs, r);
        break;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        do_remove(fs, r);
        break;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        do_rename(fs, r);
        break;
    default:
        freq_error(r, ENOSYS);
        break;
    }
}

static void on_request(void *ctx, struct freq *r)
{
    struct nullfs *fs = ctx;
    struct node *n = by_id(fs, r->m.h.nodeid);
    struct fuse_attr_out attr = {.attr_valid = VALID_S};
    struct fuse_open_out open = {.open_flags = FOPEN_KEEP_CACHE};
    if (!n) {
        freq_error(r, r->m.h.opcode == FUSE_STATFS ? ENOSYS : ESTALE);
        return;
    }
    switch (r->m.h.opcode) {
    case FUSE_GETATTR:
        attr.attr = attr_of(n);
        freq_reply(r, &attr, sizeof(attr), NULL, 0);
        break;
    case FUSE_SETATTR:
        do_setattr(r, n);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        if (r->m.in.open.flags & 01000) { /* O_TRUNC */
            n->size = 0;
        }
        freq_reply(r, &open, sizeof(open), NULL, 0);
        break;
    case FUSE_READ:
        do_read(fs, r, n);
        break;
    case FUSE_WRITE:
        do_write(r, n);
        break;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        do_readdir(fs, r, n);
        break;
    case FUSE_STATFS:
        do_statfs(r);
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        freq_error(r, 0);
        break;
    default:
        do_names(fs, r);
        break;
    }
}

static void on_interrupt(void *ctx, struct freq *r)
{
    (void)ctx;
    (void)r; /* every request is answered at once */
}

static void on_forget(void *ctx, uint64_t nodeid, uint64_t refs)
{
    (void)ctx;
    (void)nodeid;
    (void)refs; /* nodes stay */
}

static void on_settled(void *ctx, void *token)
{
    (void)ctx;
    (void)token;
}

static void on_gone(void *ctx)
{
    struct nullfs *fs = ctx;
    uv_stop(fs->loop);
}

static const struct fdev_ops ops = {on_request, on_interrupt, on_forget, on_settled, on_gone, NULL};

static void on_signal(uv_signal_t *s, int signum)
{
    (void)signum;
    uv_stop(s->loop);
}

static void tree_init(struct nullfs *fs)
{
    cg_map_init(&fs->names, sizeof(struct key));
    fs->nodes = cg_zalloc(NODES_MAX * sizeof(struct node *));
    fs->zeros = cg_zalloc(FMSG_WRITE_BYTES_MAX);
    cg_assert(fs->nodes && fs->zeros);
    fs->count = FUSE_ROOT_ID;
    make(fs, 0, "/", S_IFDIR | 0755);
}

static void tree_fini(struct nullfs *fs)
{
    for (uint64_t i = FUSE_ROOT_ID; i < fs->count; i++) {
        cg_free(fs->nodes[i]->name);
        cg_free(fs->nodes[i]);
    }
    cg_free(fs->nodes);
    cg_free(fs->zeros);
    cg_map_fini(&fs->names);
}

int main(int argc, char **argv)
{
    struct nullfs fs = {.loop = uv_default_loop()};
    struct cg_errbuf eb = {0};
    uv_signal_t term, interrupt;
    int fd;
    cg_log_init("nullfs");
    if (argc != 2) {
        fprintf(stderr, "usage: cognu-nullfs DIR\n");
        return 2;
    }
    tree_init(&fs);
    if (fmount(argv[1], "nullfs", getuid(), getgid(), &fd, &eb) != CG_OK ||
        fdev_new(fs.loop, fd, &ops, &fs, &fs.dev, &eb) != CG_OK) {
        fprintf(stderr, "cognu-nullfs: %s\n", eb.text);
        return 1;
    }
    fmount_readahead(argv[1], 1024);
    uv_signal_init(fs.loop, &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_signal_init(fs.loop, &interrupt);
    uv_signal_start(&interrupt, on_signal, SIGINT);
    uv_run(fs.loop, UV_RUN_DEFAULT);
    funmount(argv[1], NULL);
    fdev_free(fs.dev);
    uv_close((uv_handle_t *)&term, NULL);
    uv_close((uv_handle_t *)&interrupt, NULL);
    uv_run(fs.loop, UV_RUN_DEFAULT);
    tree_fini(&fs);
    return 0;
}
