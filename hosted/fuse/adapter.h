/* adapter: the program cognu-fuse, in pieces: one process, one loop, several spaces.
 *
 * A space is one namespace seen through one FUSE superblock: a struct ns and a struct fdev, with
 * the open handles and the locks that the kernel knows of. face*.c turn the kernel's requests into
 * calls of the namespace, own.c serves /mnt/ns, control.c takes new superblocks, dial.c finds
 * file servers.
 *
 * Lifetimes: a request (struct freq) lives until it is answered, and an operation of the namespace
 * refers to it as aux; space_free therefore ends the namespace first, then the device.
 */
#ifndef COGNU_FUSE_ADAPTER_H
#define COGNU_FUSE_ADAPTER_H

#include "dev.h"
#include "lasterr.h"
#include <cognu/book.h>
#include <cognu/keep.h>
#include <cognu/ninep_uv.h>
#include <cognu/ns.h>
#include <cognu/secure_uv.h>

enum {
    SPACES_MAX = 1024,           /* one a login or component of a node */
    SPACE_NAME_BYTES = 64,       /* as in a manifest */
    HANDLES_MAX = 1 << 16,       /* open files of one space, as a session's fids */
    LOCKS_MAX = 1 << 16,         /* lock owners of one space that hold POSIX locks */
    NS_TEXT_BYTES_MAX = 1 << 16, /* a namespace text: 1,000 lines */
    FACE_OPEN_FLAGS = 3 | NINEP_OPEN_EXCL | NINEP_OPEN_TRUNC | NINEP_OPEN_APPEND |
                      NINEP_OPEN_DIRECT, /* of those of open(2), which have the same values */
    GRACE_MS = 200, /* for an interrupted request to end by itself: a person does not notice it */
    NAMES_MS = 200, /* the kernel holds a name; one of its tree is looked at often for less */
    NAMES_SLACK_MS = 100, /* it counts from when the asker runs again, in ticks, rounding up */
    NOBODY = 65534,       /* owner of what belongs to a principal without a number here */
};

struct adapter_options {
    const char *control; /* path of the control socket */
    const char *dial;    /* the gate's socket; NULL: no way to other nodes */
    const char *srv;     /* directory of local services */
    const char *key;     /* the user's key in factotum, a service of srv; NULL: no proofs */
    const char *self, *user;
    const char *ns_file, *mount; /* one namespace in the foreground */
    uid_t uid;
    gid_t gid;
    uint64_t principal; /* that is shown as uid; 0: none */
};

struct adapter {
    uv_loop_t *loop;
    struct adapter_options opt;
    struct keep *keep;     /* NULL: what this process has ends with it */
    struct book *book;     /* kept.c */
    uint64_t space_last;   /* number of the last space */
    struct cg_list spaces; /* space.link */
    uint32_t space_count;
    struct lasterr *errors;
    struct secure_dialer *dialer;
    uv_prepare_t prepare;
    uv_timer_t timer;
};

/* Who a space's mounter is. */
struct owner {
    uid_t uid;
    gid_t gid;
    int pidns; /* descriptor of the mounter's PID namespace; -1: it is ours */
};

/* held.c: has process pid another descriptor of the file with this inode number? */
bool held_elsewhere(uint32_t pid, uint64_t ino);

/* Files that the adapter serves itself. */
enum own {
    OWN_NONE,
    OWN_PROC, /* /proc and /dev, when the tree has none: places for the kernel's own mounts */
    OWN_DEV,
    OWN_MNT, /* /mnt likewise */
    OWN_DIR, /* /mnt/ns, and in it: */
    OWN_CTL,
    OWN_NS,
    OWN_STATUS,
    OWN_ERR,
    OWN_CLONE,
    OWN_TRACE,
    OWN_COUNT
};

/* An open file or directory. */
struct handle {
    struct ns_file *file; /* NULL: one of our own */
    uint8_t own;          /* OWN_... */
    bool dir;
    bool used;
    bool plain;         /* known to have no file capability */
    uint32_t shown;     /* directories: our own names that the tree below has given: bits */
    struct cg_str text; /* our own files: what is read */
    void *saved;        /* kept.c: its record */
    uint32_t generation, next_free;
};

/* A Linux session whose requests are followed: trace.c. */
enum { TRACED_MAX = 8 };
struct traced {
    int session; /* 0: none */
    uint64_t id, number;
    uint32_t steps;
};

struct space {
    struct cg_list link;
    struct adapter *adapter;
    uint64_t number;       /* of its records */
    void *saved;           /* its own */
    struct cg_map origins; /* kept.c: number of a request -> what is known of it */
    uint64_t settle_ns;    /* when an adopted space has settled; 0: it has */
    char name[SPACE_NAME_BYTES];
    struct ns *ns;
    struct fdev *dev;
    struct owner owner;
    struct handle *handles;
    uint32_t handle_count, handle_free; /* allocated; head of the free chain, UINT32_MAX: none */
    struct cg_map locks;                /* kept.c: who holds locks on what */
    struct cg_list jobs;                /* clones that its processes wait for */
    struct traced traced[TRACED_MAX];
    uint64_t traces;       /* begun */
    struct cg_list graced; /* freq.graced: interrupted requests, the oldest first */
    /* What the tree below has at /proc, /dev and /mnt, as last seen; one reference each. */
    struct {
        struct ns_node *node;
        struct fuse_entry_out entry;
    } below[OWN_COUNT];
    bool ending;
};

/* ---- space.c ---- */

/* Takes fd and owner.pidns. */
cg_err space_new(struct adapter *a, const char *name, int fd, struct owner owner,
                 struct space **out, struct cg_errbuf *eb);
/* The same from what a predecessor left under number. first is called before its namespace. */
cg_err space_adopt(struct adapter *a, uint64_t number, const char *name, int fd, struct owner owner,
                   void (*first)(struct space *s), struct space **out, struct cg_errbuf *eb);
void space_free(struct space *s);
struct space *space_of(struct freq *r);
uint32_t space_pid(struct space *s, uint32_t pid); /* in our PID namespace; 0: unknown */
bool space_is_fuse(int fd);                        /* an open /dev/fuse? */
int space_pidns_of(pid_t pid); /* descriptor of its PID namespace; -1: ours, or not known */

/* ---- handle.c ---- */

struct handle *handle_new(struct space *s, uint64_t *fh); /* NULL: HANDLES_MAX are open */
struct handle *handle_of(struct space *s, uint64_t fh);   /* NULL: no such handle */
struct handle *handle_at(struct space *s, uint64_t fh); /* a new one of that name; NULL: no room */
void handle_free(struct space *s, uint64_t fh);
void handles_fini(struct space *s);

/* ---- face.c and its parts: each answers r ---- */

void face_request(void *ctx, struct freq *r);
void face_dispatch(struct space *s, struct freq *r); /* to its handler */
void face_interrupt(void *ctx, struct freq *r);
/* Cancels what was interrupted GRACE_MS ago; when it next has something to do, 0: nothing. */
uint64_t face_tick(struct space *s, uint64_t now_ns);
/* Answers r with e, and keeps the text for who asks why. */
void face_fail(struct freq *r, cg_err e, const char *detail);
void face_done(void *aux, cg_err e, const char *detail); /* an ns_done: aux is the request */
static inline void face_began(struct freq *r, struct ns_op *op)
{
    if (op) { /* else r has been answered already */
        r->op = op;
    }
}
/* The request's node, or NULL and r answered. */
struct ns_node *face_node(struct space *s, struct freq *r);
struct handle *face_handle(struct space *s, struct freq *r, uint64_t fh);
void face_entry(void *aux, cg_err e, const struct ns_stat *st, const char *detail);
void face_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st, bool keep_cache,
                 bool direct_io, const char *detail);
void face_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail);

/* What face_killpriv goes on with, by the request's operation. */
void face_killpriv(struct space *s, struct freq *r);
void face_setattr_go(struct space *s, struct freq *r);
void face_open_go(struct space *s, struct freq *r);
void face_write_go(struct space *s, struct freq *r);

typedef void face_handler(struct space *s, struct freq *r);
face_handler face_lookup, face_getattr, face_setattr, face_readlink, face_statfs;        /* node */
face_handler face_setxattr, face_getxattr, face_listxattr, face_removexattr;             /* node */
face_handler face_symlink, face_mknod, face_mkdir, face_unlink, face_rmdir, face_rename; /* name */
face_handler face_link, face_create;                                                     /* name */
face_handler face_open, face_read, face_write, face_flush, face_release, face_fsync;     /* file */
face_handler face_fallocate, face_lseek, face_getlk, face_setlk;                         /* file */
face_handler face_opendir, face_readdir, face_releasedir;                                /* dir */

/* ---- attr.c ---- */

void attr_fill(const struct space *s, const struct ns_stat *st, struct fuse_attr *out);
void attr_valid(const struct ns_stat *st, uint64_t *s, uint32_t *ns);
void attr_entry(const struct space *s, const struct ns_stat *st, struct fuse_entry_out *out);
uint64_t attr_principal(const struct space *s, uid_t id, bool group);

/* ---- own.c: /mnt/ns, and directories for the kernel's own mounts ---- */

bool own_is(uint64_t nodeid);
void own_request(struct space *s, struct freq *r);
void own_interrupt(struct freq *r);
/* A name that we show in that directory, else 0. always: even over what the tree below has. */
uint64_t own_child(const struct space *s, uint64_t dir, const char *name, bool *always);
/* The answer to a lookup of our name in the root. Kernel mounts stand on /proc and /dev, and would
 * be lost when a lookup of them fails: a tree that does not answer is believed to have what it had.
 * True: the request has been answered. */
bool own_looked_up(struct space *s, struct freq *r, uint64_t own, cg_err e,
                   const struct ns_stat *st);
void own_fini(struct space *s);
void own_entry(const struct space *s, uint64_t nodeid, struct fuse_entry_out *out);
/* Our i-th name in that directory; NULL at the end. */
const char *own_name(const struct space *s, uint64_t dir, uint32_t i, uint64_t *nodeid);

/* ---- trace.c ---- */

void trace_write(struct space *s, struct freq *r);
void trace_begin(struct space *s, struct freq *r); /* gives r a trace, if its program has one */

/* ---- clone.c: a new namespace for a process that has mounted its own /dev/fuse ---- */

void clone_request(struct space *s, struct freq *r);
void clone_interrupt(struct freq *r);
void clone_abandon(struct space *s); /* s goes: nobody waits for its clones any more */

/* ---- control.c ---- */

struct control;
cg_err control_open(struct adapter *a, const char *path, struct control **out,
                    struct cg_errbuf *eb);
void control_close(struct control *c);

/* ---- dial.c: the namespace's way to file servers ---- */

cg_err adapter_dial(void *ctx, const char *node, const char *service, const char *ticket,
                    const struct ninep_client_config *config, struct ninep_client **out,
                    struct cg_errbuf *eb);
void adapter_undial(void *ctx, struct ninep_client *c);

#endif
