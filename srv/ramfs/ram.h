/* ram: what the files of ramfs share. A node is a file of any kind; it lives while it has a name or
 * a fid. A directory's entries stand in a hash table by name and in an array by cookie: cookies
 * only grow, so a listing that goes on after a cookie is right whatever changed meanwhile. A
 * regular file's pages stand in a tree of tables as high as the file needs.
 *
 * Rule of every operation: check everything, allocate everything, then change; what changes cannot
 * fail. Every change of a node raises its change number through ram_touch.
 *
 * All of this stands in the process's own memory but the pages, and is made anew by a successor
 * from the records of a book (kept.c): one a node, a name, a page, a link's target and an extended
 * attribute. What a request changes is committed before it is answered, whole: so a killed ramfs
 * loses what it had not acknowledged, and nothing else. Records that change in place (a node, what
 * a name leads to) have two versions; contents are never written over: a page that is committed is
 * copied first.
 */
#ifndef RAM_H
#define RAM_H

#include "ramfs.h"
#include <cognu/book.h>
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

/* ---- the records: RAMFS_BOOK_VERSION counts their changes ---- */

enum ram_kind {
    RAM_KIND_TREE = 1, /* one, struct ram_saved_tree */
    RAM_KIND_NODE,     /* a: file; struct ram_saved_node */
    RAM_KIND_NAME,     /* a: the directory's file, b: cookie; struct ram_saved_name */
    RAM_KIND_PAGE,     /* a: file, b: index */
    RAM_KIND_TARGET,   /* a: file; the bytes */
    RAM_KIND_XATTR,    /* a: file, b: bytes of the name; name, then value */
};

/* Of two versions that of the latest committed transaction holds; now 0: there is none. */
struct ram_node_version {
    uint64_t now;
    uint64_t change, owner, group, size, rdev;
    uint64_t atime, mtime, ctime, btime;
    uint32_t mode, nlink;
};
struct ram_saved_node {
    struct ram_node_version v[2];
};
struct ram_name_version {
    uint64_t now, file;
};
struct ram_saved_name {
    struct ram_name_version v[2];
    char name[];
};
struct ram_tree_version {
    uint64_t now, file_last, change_last, cookie_last;
};
struct ram_saved_tree {
    struct ram_tree_version v[2];
    uint64_t volume;
};

struct ram_table {
    uint32_t used;
    void *slot[RAM_FAN]; /* tables, or pages at height 1 */
};

struct ram_pages {
    void *root;      /* height 0: the page itself */
    uint32_t height; /* covers RAM_FAN^height pages */
    uint64_t count;  /* pages, without tables */
    uint64_t file;   /* whose they are */
};

struct ram_entry {
    struct ram_entry *chain; /* of its bucket */
    struct ram_node *node;
    struct ram_saved_name *saved;
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
    void *saved;
    uint32_t name_len, value_len;
    char bytes[]; /* name, then value */
};

struct ram_node {
    struct ramfs *fs;
    struct cg_list dirty; /* of fs: to be saved with the next commit */
    struct ram_saved_node *saved;
    uint64_t file, change;
    uint32_t mode, nlink, fids;
    uint64_t owner, group, size, rdev;
    uint64_t atime, mtime, ctime, btime;
    struct ram_xattr *xattrs;
    uint32_t xattr_bytes;
    struct ram_dir dir;     /* directory */
    struct ram_pages pages; /* regular file */
    char *target;           /* symbolic link */
    void *saved_target;
};

struct ramfs {
    const struct cg_env *env;
    uint64_t bytes, bytes_max, volume, files;
    uint64_t file_last, change_last, cookie_last;
    uint64_t owner;
    uint32_t seed; /* of the name hash */
    bool starved;  /* the page last refused was refused by the host, not by bytes_max */
    struct ram_node *root;
    struct book *book;
    struct ram_saved_tree *saved;
    struct cg_list dirty; /* ram_node.dirty */
    bool changed;         /* the book has what is not committed */
    uint8_t *scratch;     /* NINEP_INLINE_BYTES_MAX: contents on their way into a listing */
};

/* node.c */
enum { RAM_NODE_BYTES = sizeof(struct ram_node) + sizeof(struct ram_saved_node) }; /* as charged */
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

/* kept.c */
void ram_dirty(struct ram_node *n);
/* Commits what the request has changed, then answers it. */
void ram_respond(struct ninep_req *r, cg_err e);
void ram_commit(struct ramfs *fs);
cg_err ram_adopt(struct ramfs *fs, struct cg_errbuf *eb);    /* CG_EBADFORMAT: it is damaged */
bool ram_save_node(struct ram_node *n);                      /* its record; false: no space */
void ram_save_file(struct ram_entry *e, struct ram_node *n); /* e leads to n now */
void ram_unsave(struct ramfs *fs, void *record);             /* NULL is fine */

/* pages.c: these are the only places where pages come from and go to. */
uint8_t *ram_page_get(struct ramfs *fs, uint64_t file, uint64_t index); /* zeroed; NULL: no space */
void ram_page_put(struct ramfs *fs, uint8_t *page);
uint8_t *ram_pages_find(const struct ram_pages *p, uint64_t index); /* NULL: hole */
/* To be written; whole: all of it, so what is there need not be copied. NULL: no space. */
uint8_t *ram_pages_make(struct ramfs *fs, struct ram_pages *p, uint64_t index, bool whole);
/* To be written, if it is there; NULL: hole. */
uint8_t *ram_pages_own(struct ramfs *fs, struct ram_pages *p, uint64_t index);
/* Puts a page that was adopted in its place, which must be a hole; false: no memory. */
bool ram_pages_put(struct ramfs *fs, struct ram_pages *p, uint64_t index, uint8_t *page);
void ram_pages_drop(struct ramfs *fs, struct ram_pages *p, uint64_t first, uint64_t end);
uint64_t ram_pages_data(const struct ram_pages *p, uint64_t index); /* next page; UINT64_MAX */
uint64_t ram_pages_hole(const struct ram_pages *p, uint64_t index); /* next hole */

/* dir.c */
struct ram_entry *ram_dir_find(const struct ram_node *d, struct cg_span name);
/* An entry that is not yet in the directory, with room made for it there: insert cannot fail. */
cg_err ram_dir_prepare(struct ram_node *d, struct cg_span name, struct ram_entry **out,
                       struct cg_errbuf *eb);
/* The same from a saved name. */
cg_err ram_dir_adopt(struct ram_node *d, struct ram_saved_name *saved, struct ram_entry **out);
void ram_dir_cancel(struct ram_node *d, struct ram_entry *e); /* frees a prepared entry */
void ram_dir_insert(struct ram_node *d, struct ram_entry *e, struct ram_node *n);
/* e leads to n from now on; link counts are the caller's. */
void ram_dir_point(struct ram_entry *e, struct ram_node *n);
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
cg_err ram_xattr_adopt(struct ram_node *n, void *saved);

#endif
