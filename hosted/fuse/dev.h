/* dev: one /dev/fuse descriptor, that is one superblock, on a libuv loop.
 *
 * Requests are read as they come, several a wakeup, and given to request(), which must see to it
 * that each is answered exactly once, by freq_reply or freq_error, at once or later. INIT, FORGET,
 * INTERRUPT and DESTROY never reach request().
 *
 * Notifications about inodes wait for page locks that requests under way hold: they are written by
 * a thread of their own (see INVARIANTS), and fdev_settled tells when all that were asked for have
 * been done.
 */
#ifndef COGNU_FUSE_DEV_H
#define COGNU_FUSE_DEV_H

#include "msg.h"
#include <cognu/ninep.h>
#include <uv.h>

struct fdev;

/* A request under way. */
struct freq {
    struct cg_list link;     /* of its device, in order of arrival */
    struct cg_list graced;   /* the handler's: it was interrupted, and ends by itself or is ended */
    uint64_t grace_until_ns; /* when it is in that list */
    struct fdev *dev;
    struct fmsg m;   /* newname and data: during request(), data longer after freq_keep */
    char name[256];  /* m.name, unless it is longer: then during request() too */
    uint8_t *buffer; /* what freq_keep keeps */
    void *kept;      /* the handler's own, from here on */
    void *op;
    void *aux;
    uint64_t num[2];
    uint64_t trace, begun_ns; /* the handler's: its answer is a step of that trace; 0: of none */
    bool stale;
};

struct fdev_ops {
    void (*request)(void *ctx, struct freq *r);
    void (*interrupt)(void *ctx, struct freq *r); /* its caller got a signal */
    void (*forget)(void *ctx, uint64_t nodeid, uint64_t refs);
    void (*settled)(void *ctx, void *token); /* a fence has been passed */
    void (*gone)(void *ctx); /* unmounted: no further calls; the owner calls fdev_free */
    /* An answer is about to be written, or has been: INIT's too. May be NULL. */
    void (*answer)(void *ctx, struct freq *r, bool after);
};

/* What INIT agreed on; a successor of this process needs it, for INIT comes once. */
struct fdev_terms {
    uint32_t kernel_minor;
    uint64_t flags;
    bool resend; /* the kernel can give requests again that it gave to a process which died */
};

/* Takes fd. Serves it until it is unmounted or fdev_free. */
cg_err fdev_new(uv_loop_t *loop, int fd, const struct fdev_ops *ops, void *ctx, struct fdev **out,
                struct cg_errbuf *eb);
/* Goes on where a process that is dead was: INIT has been answered then, on these terms. Requests
 * that it had read come again, marked, where the kernel can do that. */
void fdev_resume(struct fdev *d, const struct fdev_terms *terms);
/* Answers EIO to a request that such a process had read, and that does not come again. */
void fdev_lost(struct fdev *d, uint64_t unique);
/* Requests under way are answered EIO; their freqs are gone afterwards. Waits for the notifier. */
void fdev_free(struct fdev *d);
void *fdev_ctx(const struct fdev *d);
const struct fdev_terms *fdev_terms(const struct fdev *d);
/* The requests under way, as a list of freq.link. */
struct cg_list *fdev_requests(struct fdev *d);

/* Both end r. Reply: true when the kernel took it, false when the caller is gone, and with it what
 * the reply gave. b may be NULL. */
bool freq_reply(struct freq *r, const void *a, size_t alen, const void *b, size_t blen);
void freq_error(struct freq *r, int error);
/* Keeps what r->m points to until the answer. CG_ENOMEM when too many are kept. */
cg_err freq_keep(struct freq *r);

/* What the kernel is to forget. Never blocks. off and len as in fuse_notify_inval_inode_out. */
void fdev_note_inode(struct fdev *d, uint64_t nodeid, int64_t off, int64_t len);
/* Bytes from the beginning of a file that nobody has open: nothing under way can hold its pages, so
 * this does not wait. False: the kernel did not take them. */
bool fdev_store(struct fdev *d, uint64_t nodeid, const void *data, uint32_t len);
/* Bytes of frame that the kernel may keep with the file. They never change: when this is done, and
 * whether, does not matter. Holds frame until then; never blocks. */
void fdev_note_store(struct fdev *d, uint64_t nodeid, uint64_t off, const void *data, uint32_t len,
                     struct ninep_frame *frame);
/* A fence: true when all notes have been done; false: ops->settled(token) comes later. */
bool fdev_settled(struct fdev *d, void *token);

#endif
