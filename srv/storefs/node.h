/* What the files of storefs share. A node is what one or more fids stand on; it owns the bytes that
 * its entry borrows. Below a snapshot nothing ever changes, so identities are made from what is
 * there: the same file has the same number in every life of the server. What changes (the list of
 * snapshots, the statistics) is never leased. */
#ifndef STOREFS_NODE_H
#define STOREFS_NODE_H

#include "storefs.h"

enum node_kind {
    NODE_ROOT = 1,
    NODE_SNAPS,
    NODE_SCORES,
    NODE_STATS,
    NODE_CTL,
    NODE_ENTRY, /* of a snapshot */
    NODE_LIVE,  /* of the active tree */
};

struct waiter;

struct storefs {
    struct store *store;
    uint64_t owner, volume, nodes;
    uint8_t *scratch;      /* NINEP_INLINE_BYTES_MAX: contents on their way into a listing */
    struct active *active; /* NULL: snapshots alone are served */
    struct storefs_live live;
    struct active_job *job;                  /* under way */
    struct waiter *served, *waiting;         /* whose job that is; who comes next */
    bool flushing;                           /* a sync is under way */
    struct ninep_req *synced, *unsynced;     /* whose it is; who waits for the next: by aux */
    uint64_t now_s, renew_s, due_s, retry_s; /* of the monotonic clock */
};

struct node {
    struct storefs *fs;
    enum node_kind kind;
    uint32_t refs;
    uint64_t file;
    uint64_t top; /* the snapshot's own number: names of one file are found by it */
    struct store_entry entry;
    struct cg_str keep;       /* what entry borrows; of stats the text, once it was read */
    struct store_dir *dir;    /* a listing that will go on: */
    uint64_t at;              /* entries that it has given */
    struct active_node *live; /* held */
    struct cg_str seen[2];    /* names that the last replies of a listing gave (live.c) */
};

struct node *node_of(const struct ninep_fid *fid);
cg_err node_new(struct storefs *fs, enum node_kind kind, struct node **out);
void node_put(struct node *n);
void node_set(struct ninep_fid *fid, struct node *n); /* takes n; the fid's former node is let go */
bool node_is_dir(const struct node *n);

uint64_t node_digest(const void *data, size_t len);
/* The identity and attributes of an entry below the directory number parent. */
void node_id(const struct storefs *fs, uint64_t top, uint64_t parent, const struct store_entry *e,
             struct ninep_xqid *id);
void node_attr(const struct ninep_fid *fid, const struct storefs *fs, const struct ninep_xqid *id,
               const struct store_entry *e, struct ninep_attr *out);
/* The same of a node. */
void node_own_id(const struct node *n, struct ninep_xqid *id);
void node_own_attr(const struct ninep_fid *fid, const struct node *n, struct ninep_attr *out);
cg_err node_may(const struct ninep_fid *fid, const struct node *n, uint8_t rights,
                struct cg_errbuf *eb);
/* The node behind a name. CG_ENOENT. */
cg_err node_child(struct node *dir, struct cg_span name, struct node **out, struct cg_errbuf *eb);
/* The snapshot, or the directory, of a score. */
cg_err node_of_score(struct storefs *fs, const struct store_score *score, struct node **out,
                     struct cg_errbuf *eb);

/* ---- list.c ---- */

void storefs_readdir(struct ninep_req *r);

#endif
