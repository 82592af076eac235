/* ramfs: a tree in memory, as a table of callbacks for the 9P-NG server framework.
 *
 * Complete POSIX semantics; contents live as long as the book that they are in. Everything that a
 * client can make (pages, names, attributes) is counted against bytes_max, beyond which requests
 * answer CG_ENOSPC. Reading changes nothing: access times move only when they are set.
 *
 * The library part does no I/O of its own, so tests, fuzzers and simulation run it in process.
 */
#ifndef COGNU_RAMFS_H
#define COGNU_RAMFS_H

#include <cognu/ninep.h>

struct ramfs;

struct book;

struct ramfs_config {
    const struct cg_env *env;
    struct book *book;  /* takes, also on failure; with a tree in it: that is adopted. NULL: a
                           private one */
    uint64_t bytes_max; /* 0: RAMFS_BYTES_DEFAULT */
    uint64_t owner;     /* principal that owns the root directory, and whom no mode binds */
    uint64_t group;
    uint32_t root_mode; /* permissions of the root directory; 0: 01777 */
};

/* A quarter of the memory of a small node. */
#define RAMFS_BYTES_DEFAULT (UINT64_C(256) << 20)

extern const struct ninep_ops ramfs_ops; /* its server's aux is the struct ramfs */

#define RAMFS_BOOK "ramfs" /* kind of its book */
enum { RAMFS_BOOK_VERSION = 1 };
/* Of a book for so many bytes: with room for what a request replaces, and for blocks that are
 * partly used. */
uint64_t ramfs_book_bytes(uint64_t bytes_max);

/* Gives *out. CG_EBADFORMAT: the book's tree is damaged, eb says where. */
cg_err ramfs_new(const struct ramfs_config *config, struct ramfs **out, struct cg_errbuf *eb);
void ramfs_free(struct ramfs *fs);            /* after the server: no fid may be left */
uint64_t ramfs_bytes(const struct ramfs *fs); /* counted against bytes_max now */

#endif
