/* active: a tree of files that changes, on a store that does not.
 *
 * A change is one frame of the journal (store.h) and then a change in memory; what is in memory is
 * only what differs from the last committed root, and where in the journal its bytes lie. A commit
 * replays the journal onto that root in a tree of its own, which may be another thread's, puts what
 * changed into packs, and moves the reference "active" by compare-and-swap; the tree then forgets
 * what is in the new root. Recovery after a crash is the same replay. So a snapshot holds up
 * nobody: it ends a segment of the journal, and the commit of that segment names it.
 *
 * Threads: a tree and everything that it gives belong to one thread, but for active_job_run and
 * active_flush_run: each of them one other thread may do at a time.
 *
 * Errors: those of POSIX for names and files; CG_EEXPIRED: the tree is held by another now, or a
 * failure left memory and journal apart: nothing is changed any more, open it again.
 */
#ifndef COGNU_ACTIVE_H
#define COGNU_ACTIVE_H

#include <cognu/store.h>

#define ACTIVE_REF "active" /* the reference to the committed tree, never a name of a line */

enum {
    ACTIVE_LINKS_MAX = 65000,         /* names of one file */
    ACTIVE_WRITE_BYTES = 64 << 10,    /* of one frame of the journal; longer writes are several */
    ACTIVE_IDLE_MAX = 8192,           /* files kept in memory that nobody uses */
    ACTIVE_DIRTY_RECORDS = 100000,    /* changes not in packs, from which on a commit is due */
    ACTIVE_DIRTY_BYTES = 256 << 20,   /* the same in bytes of the journal */
    ACTIVE_SPACE_MARGIN = 8 << 20,    /* bytes of the disk that changes leave free */
    ACTIVE_SPACE_LOOK_BYTES = 1 << 20 /* how often it is looked */
};
#define ACTIVE_FILE_BYTES_MAX (UINT64_C(1) << 48)

struct active;
struct active_node; /* a file of any kind; given by lookups, held by active_get */

struct active_config {
    struct store *reads;  /* for the tree's thread; not read-only */
    struct store *writes; /* for active_job_run; no writer is open on it */
    const char *who;      /* this process, for who asks for the hold; at most 50 bytes */
    store_gone_fn *gone;  /* may be NULL; see store_hold_take */
    void *aux;
    uint32_t uid, gid, mode; /* of the root of a tree that is new; mode 0: 0755 */
};
/* Takes the tree of a store: an empty one the first time. What a crash left in the journal is
 * committed first. CG_EBUSY: another has it. */
cg_err active_open(const struct active_config *c, struct active **out, struct cg_errbuf *eb);
/* Without a commit: what was changed is in the journal. No node may be held. */
void active_close(struct active *t);

/* ---- files ---- */

struct active_attr {
    enum store_kind kind;
    uint32_t mode, uid, gid, nlink;
    uint64_t ino, rdev, size, bytes; /* bytes: that take space, about */
    int64_t atime_ns, mtime_ns, ctime_ns;
    uint64_t change; /* grows with every change of the file */
    bool xattrs;     /* it has some */
};
struct active_node *active_root(struct active *t);
struct active_node *active_get(struct active_node *n);
/* The last put of a file without a name frees it. */
void active_put(struct active *t, struct active_node *n);
void active_stat(const struct active_node *n, struct active_attr *out);
/* NULL for the root, and for what has no name. */
struct active_node *active_parent(const struct active_node *dir);

/* Gives a node that is held. */
cg_err active_lookup(struct active *t, struct active_node *dir, struct cg_span name,
                     struct active_node **out, struct cg_errbuf *eb);
struct active_make {
    enum store_kind kind;
    uint32_t mode, uid, gid;
    uint64_t rdev;
    struct cg_span target;
    struct cg_span data; /* of a file that comes with its contents */
};
/* Gives a node that is held. replace: what has the name gives way (CG_EISDIR), else CG_EEXIST. */
cg_err active_create(struct active *t, struct active_node *dir, struct cg_span name,
                     const struct active_make *make, bool replace, struct active_node **out,
                     struct cg_errbuf *eb);
cg_err active_remove(struct active *t, struct active_node *dir, struct cg_span name, bool is_dir,
                     struct cg_errbuf *eb);
cg_err active_link(struct active *t, struct active_node *n, struct active_node *dir,
                   struct cg_span name, struct cg_errbuf *eb);
enum { ACTIVE_NOREPLACE = 1, ACTIVE_EXCHANGE = 2 };
cg_err active_rename(struct active *t, struct active_node *from, struct cg_span name,
                     struct active_node *to, struct cg_span newname, uint32_t flags,
                     struct cg_errbuf *eb);

enum {
    ACTIVE_MODE = 1,
    ACTIVE_UID = 2,
    ACTIVE_GID = 4,
    ACTIVE_SIZE = 8,
    ACTIVE_ATIME = 16, /* kept in memory only */
    ACTIVE_MTIME = 32,
    ACTIVE_NOW = 64, /* mtime is that of the clock */
};
/* Sets the fields of a that valid names, all at once. */
cg_err active_set(struct active *t, struct active_node *n, uint32_t valid,
                  const struct active_attr *a, struct cg_errbuf *eb);
/* Up to len bytes; *got is less only at the end. */
cg_err active_read(struct active *t, struct active_node *n, uint64_t at, void *out, size_t len,
                   size_t *got, struct cg_errbuf *eb);
/* *done bytes were written; fewer than len with an error only. mode: as active_set, if not
 * UINT32_MAX. */
cg_err active_write(struct active *t, struct active_node *n, uint64_t at, struct cg_span data,
                    uint32_t mode, uint32_t *done, struct cg_errbuf *eb);
/* The range becomes a hole; the size stays. */
cg_err active_punch(struct active *t, struct active_node *n, uint64_t from, uint64_t to,
                    struct cg_errbuf *eb);
/* The first place from at on that is data, or in a hole. CG_ENXIO. */
cg_err active_seek(struct active *t, struct active_node *n, uint64_t at, bool data, uint64_t *out,
                   struct cg_errbuf *eb);
struct cg_span active_target(const struct active_node *n);
struct cg_span active_xattrs(const struct active_node *n); /* see store_xattr_next */
cg_err active_set_xattrs(struct active *t, struct active_node *n, struct cg_span xattrs,
                         struct cg_errbuf *eb);

/* Names of a directory from the first behind after on, in the order of bytes, until each says
 * false. */
typedef bool active_name_fn(void *aux, struct cg_span name, const struct active_attr *a,
                            const struct store_entry *clean, struct active_node *n);
/* Of a file that is not in memory clean is its entry and n NULL. *end: there are no more. */
cg_err active_list(struct active *t, struct active_node *dir, struct cg_span after,
                   active_name_fn *each, void *aux, bool *end, struct cg_errbuf *eb);

/* ---- durability ---- */

/* When it returns CG_OK, nothing that was changed before is lost, whatever happens. */
cg_err active_sync(struct active *t, struct cg_errbuf *eb);
/* The same in three steps: what was changed before the first is what is durable after the last. One
 * is under way at a time (CG_EBUSY), and none at active_close. */
struct active_flush;
cg_err active_flush_begin(struct active *t, struct active_flush **out, struct cg_errbuf *eb);
void active_flush_run(struct active_flush *f); /* waits for the disk */
/* Takes f. */
cg_err active_flush_done(struct active *t, struct active_flush *f, struct cg_errbuf *eb);
/* Makes the hold last; call it once a minute. */
cg_err active_renew(struct active *t, struct cg_errbuf *eb);

/* A commit of everything until now, with a snapshot of the tree under this name (NULL: none). Ends
 * the journal's segment, and nothing else: it takes as long for any tree. CG_EBUSY: one is under
 * way. */
struct active_job;
cg_err active_freeze(struct active *t, const char *snapshot, struct active_job **out,
                     struct cg_errbuf *eb);
void active_job_run(struct active_job *j);
/* Takes j; the result of the commit. When it failed what it was to commit is part of the next. With
 * slice only about so many files are looked at, and CG_EAGAIN says that there are more: call it
 * again, whatever was done with the tree in between. 0: all. */
cg_err active_job_done(struct active *t, struct active_job *j, uint32_t slice,
                       struct cg_errbuf *eb);
/* The three in one. */
cg_err active_commit(struct active *t, const char *snapshot, struct cg_errbuf *eb);

struct active_stats {
    uint64_t files, bytes;              /* of the whole tree */
    uint64_t nodes, idle;               /* in memory; of them unused */
    uint64_t records, journal_bytes;    /* not in packs */
    uint64_t commits, segment, changed; /* changed: records since the last freeze */
    uint64_t segments;                  /* of the journal; 1: nothing waits for a commit */
};
void active_stats(const struct active *t, struct active_stats *out);

#endif
