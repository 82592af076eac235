/* The file system as a whole: its life, attach and walks, and the table of callbacks. */
#include "ram.h"

/* The number by which Linux knows tmpfs: what programs that ask expect of files in memory. */
enum { TMPFS_MAGIC_NUMBER = 0x01021994, BOOK_SLACK_BYTES = 64 << 20 };

uint64_t ramfs_book_bytes(uint64_t bytes_max)
{
    uint64_t bytes = 2 * (bytes_max != 0 ? bytes_max : RAMFS_BYTES_DEFAULT) + BOOK_SLACK_BYTES;
    bytes = (bytes + BOOK_BYTES_MIN - 1) / BOOK_BYTES_MIN * BOOK_BYTES_MIN;
    return bytes < BOOK_BYTES_MAX ? bytes : BOOK_BYTES_MAX;
}

/* An empty tree in an empty book. */
static cg_err make_tree(struct ramfs *fs, const struct ramfs_config *config, struct cg_errbuf *eb)
{
    uint32_t mode = config->root_mode != 0 ? config->root_mode & 07777 : 01777;
    /* File numbers start anew with each tree, so the volume must differ. */
    fs->env->random(fs->env->ctx, &fs->volume, sizeof fs->volume);
    fs->saved = book_add(fs->book, RAM_KIND_TREE, 0, 0, sizeof *fs->saved);
    if (fs->saved == NULL) {
        return cg_fail(eb, CG_ENOMEM, "no memory for the tree");
    }
    fs->saved->volume = fs->volume;
    cg_err e = ram_node_new(fs, S_IFDIR | mode, config->owner, config->group, &fs->root, eb);
    if (e == CG_OK) {
        fs->root->dir.parent = fs->root;
        fs->root->nlink = 2;
        ram_commit(fs);
    }
    return e;
}

static cg_err open_book(struct ramfs *fs, const struct ramfs_config *config, struct cg_errbuf *eb)
{
    struct book_config own = {.kind = RAMFS_BOOK,
                              .version = RAMFS_BOOK_VERSION,
                              .bytes = ramfs_book_bytes(fs->bytes_max),
                              .fd = -1};
    fs->book = config->book;
    return fs->book != NULL ? CG_OK : book_new(&own, &fs->book, eb);
}

cg_err ramfs_new(const struct ramfs_config *config, struct ramfs **out, struct cg_errbuf *eb)
{
    struct ramfs *fs = cg_zalloc(sizeof *fs);
    if (fs == NULL) {
        if (config->book != NULL) {
            book_free(config->book);
        }
        return cg_fail(eb, CG_ENOMEM, "no memory for the tree");
    }
    fs->env = config->env;
    fs->bytes_max = config->bytes_max != 0 ? config->bytes_max : RAMFS_BYTES_DEFAULT;
    fs->owner = config->owner;
    cg_list_init(&fs->dirty);
    fs->env->random(fs->env->ctx, &fs->seed, sizeof fs->seed);
    fs->scratch = cg_alloc(NINEP_INLINE_BYTES_MAX);
    cg_err e = open_book(fs, config, eb);
    if (e == CG_OK && fs->scratch == NULL) {
        e = cg_fail(eb, CG_ENOMEM, "no memory for the tree");
    }
    if (e == CG_OK) {
        e = book_committed(fs->book) > 0 ? ram_adopt(fs, eb) : make_tree(fs, config, eb);
    }
    if (e != CG_OK) {
        if (fs->book != NULL) {
            book_free(fs->book);
        }
        cg_free(fs->scratch);
        cg_free(fs);
        return e;
    }
    *out = fs;
    return CG_OK;
}

/* Empties the tree without recursion: down to a leaf directory, up again when it is empty. */
void ramfs_free(struct ramfs *fs)
{
    struct ram_node *d = fs->root;
    for (;;) {
        if (d->dir.live > 0) {
            uint32_t i = d->dir.places;
            while (d->dir.place[i - 1].entry == NULL) {
                i--;
            }
            struct ram_entry *entry = d->dir.place[i - 1].entry;
            struct ram_node *n = entry->node;
            if (S_ISDIR(n->mode) && n->dir.live > 0) {
                d = n;
                continue;
            }
            ram_dir_remove(d, entry);
            n->nlink = S_ISDIR(n->mode) ? 0 : n->nlink;
            ram_node_drop(n);
        } else if (d != fs->root) {
            d = d->dir.parent;
        } else {
            break;
        }
    }
    fs->root->nlink = 0;
    ram_node_drop(fs->root);
    cg_assert(fs->files == 0 && fs->bytes == 0);
    book_free(fs->book); /* without a commit: who adopts it finds the tree as it was */
    cg_free(fs->scratch);
    cg_free(fs);
}

uint64_t ramfs_bytes(const struct ramfs *fs)
{
    return fs->bytes;
}

static void ram_attach(struct ninep_req *r)
{
    struct ramfs *fs = r->server_aux;
    if (r->t.attach.tree.len > 0 && !cg_span_is(r->t.attach.tree, "ramfs")) {
        ninep_respond(r, cg_fail(&r->eb, CG_ENOENT, "ramfs has one tree: '' or 'ramfs'"));
        return;
    }
    ram_fid_set(r->fid, fs->root);
    ram_attr(r->fid, fs->root, &r->r.attach.attr);
    ninep_respond(r, CG_OK);
}

static cg_err ram_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    to->aux = NULL;
    ram_fid_set(to, ram_node(from));
    return CG_OK;
}

static cg_err ram_walk1(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                        struct cg_errbuf *eb)
{
    struct ram_node *d = ram_node(fid);
    if (!S_ISDIR(d->mode)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    cg_err e = ram_may(fid, d, NINEP_RIGHTS_EXEC, eb);
    if (e != CG_OK) {
        return e;
    }
    struct ram_entry *entry = ram_dir_find(d, name);
    if (entry == NULL) {
        return cg_fail(eb, CG_ENOENT, "no file '%.*s'", (int)name.len, (const char *)name.data);
    }
    ram_fid_set(fid, entry->node);
    ram_attr(fid, ram_node(fid), attr);
    return CG_OK;
}

static cg_err ram_ident(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id)
{
    struct ram_node *d = ram_node(dir);
    struct ram_entry *entry = S_ISDIR(d->mode) ? ram_dir_find(d, name) : NULL;
    if (entry == NULL) {
        return CG_ENOENT;
    }
    ram_id(entry->node, id);
    return CG_OK;
}

static void ram_clunk(struct ninep_fid *fid)
{
    struct ram_node *n = fid->aux;
    if (n != NULL) {
        fid->aux = NULL;
        struct ramfs *fs = n->fs;
        n->fids--;
        ram_node_drop(n);
        ram_commit(fs);
    }
}

static void ram_fsync(struct ninep_req *r)
{
    ninep_respond(r, CG_OK); /* memory is as safe as it will be */
}

static void ram_statfs(struct ninep_req *r)
{
    const struct ramfs *fs = r->server_aux;
    uint64_t left = fs->bytes_max - fs->bytes;
    r->r.statfs = (struct ninep_rstatfs){.type = TMPFS_MAGIC_NUMBER,
                                         .bsize = RAM_PAGE_BYTES,
                                         .blocks = fs->bytes_max / RAM_PAGE_BYTES,
                                         .bfree = left / RAM_PAGE_BYTES,
                                         .bavail = left / RAM_PAGE_BYTES,
                                         .files = fs->files + left / sizeof(struct ram_node),
                                         .ffree = left / sizeof(struct ram_node),
                                         .fsid = fs->volume,
                                         .namelen = NINEP_NAME_BYTES_MAX};
    ninep_respond(r, CG_OK);
}

const struct ninep_ops ramfs_ops = {
    .attach = ram_attach,
    .clone = ram_clone,
    .walk1 = ram_walk1,
    .ident = ram_ident,
    .clunk = ram_clunk,
    .open = ram_open,
    .slurp = ram_slurp,
    .create = ram_create,
    .read = ram_read,
    .write = ram_write,
    .readdir = ram_readdir,
    .remove = ram_remove,
    .rename = ram_rename,
    .link = ram_link,
    .getattr = ram_getattr,
    .setattr = ram_setattr,
    .readlink = ram_readlink,
    .fsync = ram_fsync,
    .statfs = ram_statfs,
    .xattrget = ram_xattrget,
    .xattrset = ram_xattrset,
    .put = ram_put,
    .allocate = ram_allocate,
    .seek = ram_seek,
    .copy = ram_copy,
};
