/* ram: what the files of ramfs share. A node is a file of any kind; it lives while it has a name or
 * a fid. A directory's entries stand in a hash table by name and in an array by cookie: cookies
 * only grow, so a listing that goes on after a cookie is right whatever changed meanwhile. A
 * regular file's pages stand in a tree of tables as high as the file needs.
 *
 * Rule of every operation: check everything, allocate everything, then change; what changes cannot
 * fail. Every change of a node raises its change number through ram_touch.
 */
#ifndef RAM_H
#define RAM_H

#include "ramfs.h"
#include <sys/stat.h>

enum {
    RAM_PAGE_BYTES = 4096,
    RAM_FAN_BITS = 9, /* a table of pointers fills a page, as in the hardware's own tables */
    RAM_FAN = 1 << RAM_FAN_BITS,
    RAM_HEIGHT_MAX = 4,    /* 48 bits: more than any memory */
    RAM_LINKS_MAX = 65000, /* names of one file; ext4's number */
    RAM_XATTR_BYTES_MAX =
        65536, /* names and values of one file; what the host's system calls take */
    RAM_TARGET_BYTES_MAX = 4095,   /* of a symbolic link: PATH_MAX without its NUL */
    RAM_COPY_BYTES_MAX = 16 << 20, /* of one Tcopy, so that one request cannot hold the loop */
};
#define RAM_FILE_BYTES_MAX (UINT64_C(1) << 48)

struct ram_table {
    uint32_t used;
    void *slot[RAM_FAN]; /* tables, or pages at height 1 */
};

struct ram_pages {
    void *root;      /* height 0: the page itself */
    uint32_t height; /* covers RAM_FAN^height pages */
    uint64_t count;  /* pages, without tables */
};

struct ram_entry {
    struct ram_entry *chain; /* of its bucket */
    struct ram_node *node;
    uint64_t cookie;
    uint32_t hash;
    uint32_t len;
    char name[];
};

struct ram_place {
    uint64_t cookie;
    struct ram_entry *entry; /* NULL: removed */
};

struct ram_dir {
    struct ram_node *parent; /* itself for the root, NULL once removed */
    struct ram_entry **bucket;
    struct ram_place *place; /* by cookie */
    uint32_t buckets, places, place_cap, live;
};

struct ram_xattr {
    struct ram_xattr *next;
    uint32_t name_len, value_len;
    char bytes[]; /* name, then value */
};

struct ram_node {
    struct ramfs *fs;
    uint64_t file, change;
    uint32_t mode, nlink, fids;
    uint64_t owner, group, size, rdev;
    uint64_t atime, mtime, ctime, btime;
    struct ram_xattr *xattrs;
    uint32_t xattr_bytes;
    struct ram_dir dir;     /* directory */
    struct ram_pages pages; /* regular file */
    char *target;           /* symbolic link */
};

struct ramfs {
    const struct cg_env *env;
    uint64_t bytes, bytes_max, volume, files;
    uint64_t file_last, change_last, cookie_last;
    uint64_t owner;
    uint32_t seed; /* of the name hash */
    bool starved;  /* the page last refused was refused by the host, not by bytes_max */
    struct ram_node *root;
    uint8_t *scratch; /* NINEP_INLINE_BYTES_MAX: contents on their way into a listing */
};

/* node.c */
enum { RAM_MTIME = 1, RAM_CTIME = 2 };
bool ram_charge(struct ramfs *fs, uint64_t bytes); /* false: CG_ENOSPC */
void ram_uncharge(struct ramfs *fs, uint64_t bytes);
struct ram_node *ram_node(const struct ninep_fid *fid);
cg_err ram_node_new(struct ramfs *fs, uint32_t mode, uint64_t owner, uint64_t group,
                    struct ram_node **out, struct cg_errbuf *eb);
void ram_node_drop(struct ram_node *n); /* frees it when it has neither name nor fid */
void ram_fid_set(struct ninep_fid *fid, struct ram_node *n); /* the fid's former file is let go */
void ram_touch(struct ram_node *n, int times);
void ram_id(const struct ram_node *n, struct ninep_xqid *id);
void ram_attr(const struct ninep_fid *fid, const struct ram_node *n, struct ninep_attr *a);
bool ram_admin(const struct ninep_fid *fid, const struct ram_node *n); /* no mode binds it */
bool ram_owns(const struct ninep_fid *fid, const struct ram_node *n);  /* owner or admin */
cg_err ram_may(const struct ninep_fid *fid, const struct ram_node *n, uint8_t rights,
               struct cg_errbuf *eb);
/* CG_ENOSPC, or CG_ENOMEM when it was a page that the host refused; sets the detail. */
cg_err ram_no_space(struct ramfs *fs, struct cg_errbuf *eb);
uint32_t ram_type(const struct ram_node *n); /* S_IF* */

/* pages.c: these two are the only places where pages come from and go to. */
uint8_t *ram_page_get(struct ramfs *fs); /* zeroed; NULL: no space */
void ram_page_put(struct ramfs *fs, uint8_t *page);
uint8_t *ram_pages_find(const struct ram_pages *p, uint64_t index);             /* NULL: hole */
uint8_t *ram_pages_make(struct ramfs *fs, struct ram_pages *p, uint64_t index); /* NULL: no space */
void ram_pages_drop(struct ramfs *fs, struct ram_pages *p, uint64_t first, uint64_t end);
uint64_t ram_pages_data(const struct ram_pages *p, uint64_t index); /* next page; UINT64_MAX */
uint64_t ram_pages_hole(const struct ram_pages *p, uint64_t index); /* next hole */

/* dir.c */
struct ram_entry *ram_dir_find(const struct ram_node *d, struct cg_span name);
/* An entry that is not yet in the directory, with room made for it there: insert cannot fail. */
cg_err ram_dir_prepare(struct ram_node *d, struct cg_span name, struct ram_entry **out,
                       struct cg_errbuf *eb);
void ram_dir_cancel(struct ram_node *d, struct ram_entry *e); /* frees a prepared entry */
void ram_dir_insert(struct ram_node *d, struct ram_entry *e, struct ram_node *n);
void ram_dir_remove(struct ram_node *d, struct ram_entry *e); /* frees e; not the node */
void ram_dir_fini(struct ram_node *d);
void ram_readdir(struct ninep_req *r);

/* file.c */
cg_err ram_set_size(struct ram_node *n, uint64_t size, struct cg_errbuf *eb);
cg_err ram_write_at(struct ram_node *n, uint64_t offset, struct cg_span data, uint32_t *done,
                    struct cg_errbuf *eb);
cg_err ram_slurp(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len);
void ram_copy_out(const struct ram_node *n, uint64_t offset, uint8_t *out, uint64_t count);
cg_err ram_open_node(const struct ninep_fid *fid, struct ram_node *n, uint32_t flags,
                     struct cg_errbuf *eb);
void ram_open(struct ninep_req *r);
void ram_read(struct ninep_req *r);
void ram_write(struct ninep_req *r);
void ram_allocate(struct ninep_req *r);
void ram_seek(struct ninep_req *r);
void ram_copy(struct ninep_req *r);

/* name.c */
void ram_create(struct ninep_req *r);
void ram_remove(struct ninep_req *r);
void ram_rename(struct ninep_req *r);
void ram_link(struct ninep_req *r);
void ram_put(struct ninep_req *r);

/* attr.c */
void ram_getattr(struct ninep_req *r);
void ram_setattr(struct ninep_req *r);
void ram_readlink(struct ninep_req *r);
void ram_xattrget(struct ninep_req *r);
void ram_xattrset(struct ninep_req *r);
void ram_xattrs_free(struct ram_node *n);

#endif
