/* What the parts of the active tree share.
 *
 * Parts: node.c (files in memory), name.c (names of a directory), data.c (contents), log.c (records
 * of the journal, and the only code that changes nodes), op.c (what callers ask for, as
 * transactions of records), commit.c (a tree made anew from the journal and put), active.c (life).
 *
 * A generation is a segment of the journal. Everything that differs from the base, the committed
 * root, carries the generation of its last change; when generation k is committed, what is of k or
 * before is dropped, for the base has it.
 */
#ifndef ACTIVE__H
#define ACTIVE__H

#include <cognu/active.h>

enum {
    ROOT_INO = 1,
    ORPHANS_INO = 2, /* the directory of open files without a name, beside the root */
    FIRST_INO = 16,
    META_VERSION = 1,
};

/* ---- names of a directory: what is in memory of them, as a treap ---- */

enum name_state {
    NAME_CLEAN, /* as the base has it; kept because its file is in memory */
    NAME_SET,
    NAME_GONE,
};
struct name {
    struct name *left, *right;
    struct active_node *dir, *node; /* node NULL: gone */
    struct name *next;              /* of node's names */
    uint64_t gen;
    uint32_t prio;
    uint8_t state, len;
    bool below; /* the base, or a generation before gen, may have it too */
    uint8_t bytes[];
};

/* ---- contents: ranges that differ from the base, in order, apart ---- */

struct extent {
    uint64_t at, len, gen;
    uint64_t frame; /* of the segment gen; 0: zeroes */
    uint32_t off;   /* in the frame's plaintext */
};

struct active_node {
    struct cg_list idle;  /* of the tree, when nobody uses it */
    struct cg_list dirty; /* of the tree, when gen is set */
    uint64_t ino, gen;    /* gen: of the last change; 0: clean */
    uint64_t known;       /* generation whose journal says how to find it */
    uint64_t below;       /* generation in which something below has changed (commit.c) */
    uint32_t fids;        /* held so often */
    uint32_t mode, uid, gid, nlink;
    enum store_kind kind;
    uint64_t rdev, size;
    int64_t atime_ns, mtime_ns, ctime_ns;
    struct cg_str xattrs, target;
    struct name *names; /* that lead here */
    struct name *child; /* of a directory: the treap's root */

    bool based; /* the base has it: */
    bool built; /* (commit.c) its contents are put */
    enum store_content content;
    struct store_score score;
    uint8_t small[STORE_INLINE_BYTES_MAX];
    uint64_t base_size;
    uint64_t limit_old, limit, limit_gen; /* of the base only bytes below both are seen */
    struct extent *ext;
    uint32_t exts, ext_cap;
    uint64_t ext_bytes; /* of them with data */
};

struct segment {
    uint64_t number;
    struct store_journal *j;
    bool synced; /* all of it, and it is not written any more */
    bool unsafe; /* a sync of it failed: a later one that succeeds would mean nothing */
};

struct active {
    struct store *s; /* reads */
    struct active_config config;
    struct store_hold *hold;
    bool replay; /* a commit's own tree: nothing is logged, nothing leaves memory */
    cg_err failed;
    uint64_t gen;                        /* the segment that is written, or replayed */
    struct cg_map nodes;                 /* by ino */
    struct cg_list idle, dirty, settled; /* settled: while a commit is taken in */
    uint32_t idles;
    struct active_node *root, *orphans;
    uint64_t ino_next, files, bytes;
    uint64_t ref_epoch;  /* of the base */
    struct segment *seg; /* those not committed, in order; the last is written */
    size_t segs, segs_cap;
    uint64_t dead; /* segments from here to the first that is not committed may be there still */
    uint64_t records, frozen_records; /* logged since the freeze; in segments before that */
    uint64_t looked_at;               /* bytes of the journal when space was looked at last */
    uint64_t commits;
    uint32_t prio;          /* of the treap, a running number */
    struct cg_str tx;       /* the transaction being made */
    bool job;               /* a commit is under way */
    bool flush;             /* a sync is under way */
    uint32_t freed;         /* cursor of act_tree_free_some */
    struct cg_str nameless; /* nodes that may have lost their last name in this transaction */
};

/* ---- node.c ---- */

struct active_node *act_node_find(struct active *t, uint64_t ino);
cg_err act_node_new(struct active *t, uint64_t ino, struct active_node **out);
/* The file behind an entry of the base, under a name that it gets. */
cg_err act_node_load(struct active *t, struct active_node *dir, const struct store_entry *e,
                     struct active_node **out);
cg_err act_node_base(struct active_node *n, const struct store_entry *e); /* takes what it says */
/* Borrows from n. The contents are those of the base, or what a commit has put. */
void act_node_entry(const struct active_node *n, struct cg_span name, struct store_entry *e);
void act_node_dirty(struct active *t, struct active_node *n);
void act_node_clean(struct active *t, struct active_node *n); /* nothing differs any more */
/* After anything that may have been its last use. */
void act_node_rest(struct active *t, struct active_node *n);
void act_node_free(struct active *t, struct active_node *n);
void act_tree_init(struct active *t);
void act_tree_fini(struct active *t);
/* Frees so many nodes; false: some are left. Nothing else may be done with the tree then. */
bool act_tree_free_some(struct active *t, uint32_t *left);
bool act_node_is_dir(const struct active_node *n);

/* ---- name.c ---- */

struct name *act_name_find(const struct active_node *dir, struct cg_span name);
struct name *act_name_after(const struct active_node *dir,
                            struct cg_span name); /* the first behind */
cg_err act_name_add(struct active *t, struct active_node *dir, struct cg_span name,
                    struct name **out);
void act_name_drop(struct name *n);        /* out of its directory; frees it; it leads nowhere */
bool act_name_holds(const struct name *n); /* one of these leads to a file */
void act_name_attach(struct name *n, struct active_node *node);
void act_name_detach(struct name *n);
int act_span_cmp(struct cg_span a, struct cg_span b);
struct cg_span act_name_span(const struct name *n);
/* The node of a name, loaded; not held. CG_ENOENT without a detail. */
cg_err act_name_lookup(struct active *t, struct active_node *dir, struct cg_span name,
                       struct active_node **out, struct cg_errbuf *eb);
bool act_name_is_in(const struct active_node *dir, const struct active_node *above);
cg_err act_dir_empty(struct active *t, struct active_node *dir, bool *empty, struct cg_errbuf *eb);

/* ---- data.c ---- */

/* Puts an extent in the place of whatever is there; frame 0: zeroes. */
cg_err act_ext_put(struct active_node *n, const struct extent *e);
void act_ext_cut(struct active_node *n, uint64_t size); /* nothing from size on */
void act_ext_drop(struct active_node *n, uint64_t gen); /* those of gen and before */
uint64_t act_base_limit(const struct active_node *n);
/* The extent at or behind a place; NULL: none. */
const struct extent *act_ext_at(const struct active_node *n, uint64_t at);
struct store_journal *act_segment_of(const struct active *t, uint64_t gen);
cg_err act_segment_add(struct active *t, uint64_t number, struct store_journal *j); /* takes j */
cg_err act_data_read(struct active *t, const struct active_node *n, uint64_t at, uint8_t *out,
                     size_t len, struct cg_errbuf *eb);

/* ---- log.c ---- */

/* A transaction: records, then the end, which logs them as one frame and applies them. */
void act_tx_begin(struct active *t);
cg_err act_tx_know(struct active *t,
                   const struct active_node *n); /* before it is named in a record */
cg_err act_tx_make(struct active *t, uint64_t ino, const struct active_make *m, int64_t now);
cg_err act_tx_name(struct active *t, uint64_t dir, struct cg_span name, uint64_t ino);
cg_err act_tx_unname(struct active *t, uint64_t dir, struct cg_span name);
struct meta_record {
    uint32_t mode, uid, gid;
    int64_t mtime_ns, ctime_ns;
};
cg_err act_tx_attr(struct active *t, uint64_t ino, const struct meta_record *m);
cg_err act_tx_write(struct active *t, uint64_t ino, uint64_t at, struct cg_span data);
cg_err act_tx_size(struct active *t, uint64_t ino, uint64_t size);
cg_err act_tx_punch(struct active *t, uint64_t ino, uint64_t from, uint64_t to);
cg_err act_tx_xattrs(struct active *t, uint64_t ino, struct cg_span xattrs);
/* frees: it makes room, so it may use what others must leave. */
cg_err act_tx_end(struct active *t, bool frees, struct cg_errbuf *eb);
/* Bytes of a file and its attributes, as frames of at most ACTIVE_WRITE_BYTES; a group of them at
 * most. *done bytes are written. */
cg_err act_log_write(struct active *t, const struct active_node *n, uint64_t at,
                     struct cg_span data, const struct meta_record *m, uint32_t *done,
                     struct cg_errbuf *eb);
/* A whole frame: one that is logged, whose body is the bytes of its last record, a WRITE; or one
 * that is read back, without a body. */
cg_err act_apply(struct active *t, const struct store_journal_frame *f, bool *end);
cg_err act_log_end_segment(struct active *t, struct cg_errbuf *eb);

/* ---- commit.c ---- */

struct active_job {
    struct active tree; /* a commit's own */
    struct active_config config;
    uint64_t dead;        /* segments from here to first are to be removed */
    uint64_t first, last; /* segments; none when first > last */
    uint64_t next;        /* the first that is not in the new root */
    bool recover;         /* nobody has files open, and the last segment may end anywhere */
    char snapshot[STORE_NAME_BYTES_MAX + 1];
    uint64_t ref_epoch;   /* what it follows on; then what it made */
    bool taking, settled; /* active_job_done has begun; has only to free the tree */
    uint32_t cursor;      /* of tree.nodes */
    uint64_t dir;         /* whose names are being settled, up to this one: */
    uint8_t name_len, name[STORE_NAME_BYTES_MAX];
    cg_err e;
    struct cg_errbuf eb;
};

/* Nodes of the committed root; *first: the first segment that is not in it. An empty tree when
 * there is no such reference. */
cg_err act_base_load(struct active *t, uint64_t *first, struct cg_errbuf *eb);

#endif
