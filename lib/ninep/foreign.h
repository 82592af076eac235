/* foreign.h: what the files of the foreign dialects share.
 *
 *   foreign.c       connections, tags, flush, replies
 *   foreign_fid.c   the client's fids, their paths, walking along them
 *   foreign_both.c  messages that both dialects have
 *   foreign_l.c     9P2000.L
 *   foreign_p.c     9P2000
 *
 * A foreign connection has a session of its own. Its requests are translated into 9P-NG requests,
 * one or several in a row, that run like any other: leases, locks and rights hold for all alike. A
 * client's fid is a ninep__ffid: it knows its path below the attached root, since 9P2000 removes,
 * renames and walks up by fid alone, and the number of the 9P-NG fid that stands for it. A path may
 * be out of date when others rename: the file that it leads to must then have the same identity, or
 * the request is refused as stale.
 *
 * A request of the client is a ninep__fop. It starts a 9P-NG request with a step that is called at
 * its end; the step answers the client, which forgets the fop, or starts the next. A fop holds the
 * fid that it works on, which may be clunked by another meanwhile. A Tflush is a fop too: it waits
 * for the one that it ends, and is answered right after it.
 */
#ifndef COGNU_NINEP_FOREIGN_H
#define COGNU_NINEP_FOREIGN_H

#include "server__.h"

enum {
    FOREIGN_PATH_BYTES_MAX = 4096,
    FOREIGN_FIDS_MAX = 16384,           /* of one connection: v9fs keeps one a cached file */
    FOREIGN_ROOTS_MAX = 256,            /* attaches that fids stem from */
    FOREIGN_XATTR_BYTES_MAX = 65536,    /* as much as Linux takes */
    FOREIGN_XATTRS_BYTES_MAX = 1 << 22, /* of one connection: a backup reads a few at a time */
    FOREIGN_MSIZE = 512 << 10,          /* most that v9fs asks for over TCP today */
    FOREIGN_MSIZE_MIN = 512,            /* one stat record and a header fit */
    FOREIGN_TAGS_MAX = 1024,            /* requests under way */
    FOREIGN_PATH_NAMES_MAX = 512,       /* elements of a path */
};

struct ninep__foreign {
    struct ninep_conn *conn; /* NULL: it is gone, the last fop frees this */
    struct ninep_server *server;
    struct ninep_session *session;
    bool dotl; /* 9P2000.L, else 9P2000 */
    uint32_t msize;
    struct cg_map fids;  /* the client's number -> ffid */
    struct cg_list fops; /* requests under way, in order of arrival */
    uint32_t fop_count, roots;
    uint32_t last_fid;    /* 9P-NG numbers */
    uint32_t xattr_bytes; /* held by fids */
    uint64_t volume;      /* of the first root, once there was one */
};

/* What an attach gave: kept while a fid stems from it. */
struct ninep__froot {
    uint32_t fid; /* ours */
    uint32_t refs;
};

struct ninep__ffid {
    struct ninep__foreign *foreign;
    uint32_t refs;     /* the client's number, and each fop that works on it */
    uint32_t num, fid; /* the client's, ours */
    struct ninep__froot *root;
    char *path;                      /* below the root: "a/b"; "" is the root */
    struct ninep_attr attr;          /* as last seen: kind and identity count */
    uint64_t dir_cookie, dir_offset; /* 9P2000: where a listing goes on */
    bool open;                       /* 9P2000: a directory is read only when it is */
    bool remove_on_clunk;
    bool sync;     /* 9P2000.L: each write is answered when it is durable */
    bool is_xattr; /* 9P2000.L: reads and writes move xattr */
    struct cg_str xattr;
    char *xattr_name; /* being written: it is set when the fid is clunked */
    uint32_t xattr_flags;
    uint64_t xattr_size;
};

struct ninep__fop;
/* r is valid during the call. */
typedef void ninep__fstep(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r,
                          const char *detail);

struct ninep__fop {
    struct cg_list link;
    struct ninep__foreign *f;
    uint16_t tag;
    uint8_t type;
    struct ninep_frame *frame; /* the message: spans point into it */
    struct cg_buf body;
    struct ninep__req *req;           /* the 9P-NG request under way */
    ninep__fstep *step;               /* at its end */
    ninep__fstep *after, *last;       /* at the end of a walk along a path; of one to a parent */
    bool flushed;                     /* if it had no effect, it is not answered */
    struct ninep__fop *flushes;       /* Tflush: waits for the end of this one */
    struct ninep__ffid *fid, *newfid; /* newfid: made by this request, not yet the client's */
    uint32_t number;                  /* of a 9P-NG fid that a step makes */
    uint32_t tmp;                     /* a 9P-NG fid of this request alone; NOFID: none */
    uint8_t clunk[4];                 /* a Tclunk's list */
    char *path;                       /* being walked */
    uint32_t path_at, path_end;       /* elements: next, count */
    uint8_t dir_rights;               /* on the folder that ninep__fwalk_parent found */
    char *from, *to;                  /* paths, for a rename */
    uint32_t perm;                    /* Tcreate, and its mode */
    uint8_t mode;
    struct ninep_names names;
    struct ninep_qid qid[NINEP_WALK_NAMES_MAX];
    uint32_t at; /* elements of names done */
    uint64_t offset;
    uint32_t count;
    struct ninep_stat stat; /* Twstat */
    cg_err verdict;         /* to be answered after cleaning up */
    struct cg_errbuf eb;
};

/* ---- foreign.c ---- */
void ninep__fcall(struct ninep__fop *op, uint8_t type, const union ninep_tmsg *t, uint32_t data_at,
                  ninep__fstep *step);
/* Each of these answers the client and forgets op. */
void ninep__ferror(struct ninep__fop *op, cg_err e, const char *detail);
void ninep__fempty(struct ninep__fop *op);
void ninep__fsend(struct ninep__fop *op, struct ninep_frame *f, const struct cg_buf *b);
void ninep__fverdict(struct ninep__fop *op); /* verdict and eb, or empty */
/* A step that answers with an error, or with a reply without a body. */
void ninep__fdone(struct ninep__fop *op, cg_err e, const union ninep_rmsg *r, const char *detail);
/* A reply frame with room for body bytes; a writer at its body. NULL: op was ended by an error. */
struct ninep_frame *ninep__freply(struct ninep__fop *op, uint32_t body, struct cg_buf *b);
struct ninep_qid ninep__fqid(struct ninep__foreign *f, const struct ninep_attr *a);
/* The last one of an Rwalk's; of no names it is that of the file itself. */
struct ninep_attr ninep__fwalked(const union ninep_rmsg *r);

/* ---- foreign_fid.c ---- */
/* op->fid becomes the client's fid num, held until op ends. False: there is none; answered. */
bool ninep__ffid_take(struct ninep__fop *op, uint32_t num);
/* Sets op->newfid: the client does not have it before ninep__ffid_commit. root may be NULL. False:
 * answered. */
bool ninep__ffid_new(struct ninep__fop *op, uint32_t num, struct ninep__froot *root);
cg_err ninep__ffid_commit(struct ninep__fop *op);            /* replaces a fid of that number */
void ninep__ffid_put(struct ninep__ffid *ff);                /* NULL is fine */
bool ninep__ffid_root(struct ninep__ffid *ff, uint32_t fid); /* a new root; false: no memory */
cg_err ninep__ffid_xattr(struct ninep__ffid *ff, const void *data, uint32_t len); /* appends */
cg_err ninep__ffid_path(struct ninep__ffid *ff, const char *dir, const struct ninep_names *names);
/* A rename from op->from to op->to below op->fid's root was done: fids of what was renamed follow.
 * Those whose path cannot be kept are refused as stale when it is needed. */
void ninep__ffids_moved(struct ninep__fop *op);
char *ninep__fjoin(const char *dir, struct cg_span name);   /* gives; NULL: no memory */
char *ninep__fparent(const struct ninep__ffid *ff);         /* gives its folder's path */
const char *ninep__ffid_name(const struct ninep__ffid *ff); /* last element; "/" for the root */
uint32_t ninep__ffid_number(struct ninep__foreign *f);
void ninep__ffid_drop(struct ninep__foreign *f, uint32_t fid); /* clunks one of ours; NOFID: none */
/* Walks from root along path under a new fid, op->tmp; then op->after with the last Rwalk's end. */
void ninep__fwalk_path(struct ninep__fop *op, uint32_t root, const char *path, ninep__fstep *after);
/* The same for the folder of op->fid, whose name there must still be this file. */
void ninep__fwalk_parent(struct ninep__fop *op, ninep__fstep *after);

/* ---- messages; each ends op ---- */
void ninep__fboth(struct ninep__fop *op); /* version, flush are foreign.c's own */
void ninep__fdialect_l(struct ninep__fop *op);
void ninep__fdialect_p(struct ninep__fop *op);
void ninep__fread_dir_p(struct ninep__fop *op);
/* The file that op->number names now stands for op->fid: one that a create made below it. */
void ninep__fbecome(struct ninep__fop *op, struct cg_span name, const struct ninep_attr *attr);

#endif
