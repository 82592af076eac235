/* ns: a component's namespace: a mount table over trees, with unions, and the coherent cache of
 * each tree.
 *
 * A tree is one attached session with one file server (node!service!tree) and what its leases let
 * us remember: attributes, names, listings and small contents. A node is one file as the namespace
 * sees it; its number is what the FUSE face uses. The mount table is keyed by the identity of the
 * mount point and keeps names for the text form. A mount is attached when it is first touched.
 * Everything is asynchronous on one loop thread: each operation calls its done exactly once,
 * possibly before it returns, and can be cancelled until then.
 *
 * Rules. A lookup tries the elements of a union in order. Create goes to the first element bound
 * with -c; if that refuses, the create fails. A union's listing drops names that it has already
 * given. A mount point need not exist in the tree below: it is then shown as an empty directory
 * made by the namespace.
 */
#ifndef COGNU_NS_H
#define COGNU_NS_H

#include <cognu/ninep.h>

struct book;
struct ns;
struct ns_node; /* counted: ns_lookup and friends give one reference */
struct ns_file; /* an open handle */
struct ns_op;   /* an operation under way; valid until its done is called */

/* What the kernel side must forget. */
enum ns_inval {
    NS_INVAL_ATTR, /* attributes of node */
    NS_INVAL_DATA, /* contents and attributes of node (a directory: its listing) */
};

struct ns_config {
    const struct cg_env *env;
    /* Makes a client for a tree, attached by ticket (as mount -k has it; NULL: by the user's own
     * right); the namespace frees it by undial. The callbacks in config are the
     * namespace's own. */
    cg_err (*dial)(void *ctx, const char *node, const char *service, const char *ticket,
                   const struct ninep_client_config *config, struct ninep_client **out,
                   struct cg_errbuf *eb);
    void (*undial)(void *ctx, struct ninep_client *c);
    /* Called before a lease is given back; must not call into the namespace. */
    void (*invalidate)(void *ctx, struct ns_node *node, enum ns_inval what);
    /* A fence, called after the last invalidate of one broken lease: true when the kernel has done
     * all that was asked so far; false: ns_invalidated(ns, token) follows, once, later, and only
     * then may the lease be given back. token is the namespace's own. NULL: always done at once. */
    bool (*settled)(void *ctx, void *token);
    /* More of a file than was read of it, the bytes at offset; what they are will never change
     * (NINEP_ATTRFLAG_FIXED), so the kernel may keep them. They lie in frame, of which who needs
     * them for longer is one more holder. May be NULL; must not call into the namespace. */
    void (*around)(void *ctx, struct ns_node *node, uint64_t offset, const void *data, size_t len,
                   struct ninep_frame *frame);
    void *ctx;
    /* Kept: what a successor needs is in this book under this number (see below). NULL: nothing. */
    struct book *book;
    uint64_t number;
    /* A change that was made for origin (ns_origin) has been answered: by a request of that type,
     * so many bytes when it was a write. What is written into the book here is committed together
     * with the answer's being taken. May be NULL. */
    void (*outcome)(void *ctx, uint64_t origin, uint8_t type, cg_err e, uint64_t count);
    /* In ns_adopt: such a change is under way; its outcome follows. May be NULL. */
    void (*pending)(void *ctx, uint64_t origin, uint8_t type);
    const char *self;         /* this node's name: what "." means as a node in mount lines */
    const char *user;         /* who attaches */
    uint64_t cache_bytes_max; /* contents kept, 0: 64 MiB */
    /* For how long after an answer with hold set the kernel side may hold its name: it cannot be
     * told to forget one, so what relies on that waits. 0: it holds none. */
    uint64_t names_ns;
};

cg_err ns_new(const struct ns_config *config, struct ns **out);
void ns_free(struct ns *ns);
/* The answer to a settled that returned false. Not called after ns_free. */
void ns_invalidated(struct ns *ns, void *token);
uint64_t ns_tick(struct ns *ns); /* when it next wants to be called, 0: nothing due; the clients
                                    tick by themselves */

struct ns_node *ns_root(struct ns *ns);
uint64_t ns_node_id(const struct ns_node *n); /* unique while it lives; the root's is 1 */
struct ns_node *ns_node_by_id(struct ns *ns,
                              uint64_t id); /* NULL when unknown; no reference given */
void ns_node_ref(struct ns_node *n);
void ns_node_forget(struct ns_node *n, uint64_t refs);
uint64_t
ns_node_ino(const struct ns_node *n); /* stable 64-bit inode number from the wide identity */

/* Tells one file seen below different mounts apart: with its inode number it names a node for
 * longer than the node lives. */
uint32_t ns_node_view(const struct ns_node *n);

/* Attributes as given, and until when (monotonic ns) they may be believed; 0: not at all. */
struct ns_stat {
    struct ns_node *node;
    struct ninep_attr attr;
    uint64_t ino;
    uint64_t until_ns;
    bool hold; /* lookups, listings, makes: the name may be held for names_ns, or its absence */
};

typedef void ns_done(void *aux, cg_err e, const char *detail);
typedef void ns_stat_done(void *aux, cg_err e, const struct ns_stat *st, const char *detail);
typedef void ns_data_done(void *aux, cg_err e, const void *data, size_t len,
                          const char *detail); /* data: during the call */
typedef void ns_count_done(void *aux, cg_err e, uint64_t count, const char *detail);
typedef void ns_open_done(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st,
                          bool keep_cache, bool direct_io, const char *detail);
typedef void ns_statfs_done(void *aux, cg_err e, const struct ninep_rstatfs *st,
                            const char *detail);
typedef void ns_lock_done(void *aux, cg_err e, const struct ninep_rgetlock *held,
                          const char *detail);

/* Operations that begin from now on, and what they ask of servers, carry this trace; 0: none. */
void ns_trace(struct ns *ns, uint64_t trace);
/* Cancels; done is still called, soon, with CG_ECANCELED or the true outcome. */
void ns_cancel(struct ns *ns, struct ns_op *op);

/* Each returns the operation, or NULL when done was already called. Names are borrowed during the
 * call. st->node carries one reference in lookup, make and create. ENOENT may be believed until
 * st->until_ns too (st is then set, its node NULL). */
struct ns_op *ns_lookup(struct ns *ns, struct ns_node *dir, const char *name, ns_stat_done *done,
                        void *aux);
struct ns_op *ns_getattr(struct ns *ns, struct ns_node *n, ns_stat_done *done, void *aux);
/* valid and fields as in Tsetattr. f may be NULL. */
struct ns_op *ns_setattr(struct ns *ns, struct ns_node *n, struct ns_file *f,
                         const struct ninep_tsetattr *t, ns_stat_done *done, void *aux);
struct ns_op *ns_readlink(struct ns *ns, struct ns_node *n, ns_data_done *done, void *aux);
/* mode's type says what is made: directory, symbolic link (target), device, fifo, socket, or
 * regular file (not opened). */
struct ns_op *ns_make(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                      uint64_t rdev, const char *target, ns_stat_done *done, void *aux);
struct ns_op *ns_create(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                        uint32_t open_flags, ns_open_done *done, void *aux);
struct ns_op *ns_open(struct ns *ns, struct ns_node *n, uint32_t open_flags, ns_open_done *done,
                      void *aux); /* also dirs */
struct ns_op *ns_read(struct ns *ns, struct ns_file *f, uint64_t offset, uint32_t count,
                      ns_data_done *done, void *aux);
/* done means that the server or this namespace has the bytes; an error that comes later is told by
 * flush, fsync or the next write. */
struct ns_op *ns_write(struct ns *ns, struct ns_file *f, uint64_t offset, const void *data,
                       uint32_t len, ns_count_done *done, void *aux);
struct ns_op *ns_flush(struct ns *ns, struct ns_file *f, ns_done *done,
                       void *aux); /* all writes answered; their first error */
struct ns_op *ns_fsync(struct ns *ns, struct ns_file *f, bool dataonly, ns_done *done, void *aux);
void ns_close(struct ns *ns, struct ns_file *f);
struct ns_node *ns_file_node(const struct ns_file *f);
/* Its create was answered early and is not confirmed yet, and nothing was written. */
bool ns_file_unborn(const struct ns_file *f);
/* All contents of a file that was just opened for reading, for the kernel side to have with the
 * open: when they are known and nobody else has the file open. NULL: not so. Borrows. */
const void *ns_file_contents(const struct ns_file *f, uint32_t *len);
/* Gives entries from cookie on to emit until it returns false or the end. plus: each entry comes
 * with a node reference. */
typedef bool ns_emit(void *aux, uint64_t next_cookie, const char *name, const struct ns_stat *st);
struct ns_op *ns_readdir(struct ns *ns, struct ns_file *dir, uint64_t cookie, bool plus,
                         ns_emit *emit, ns_done *done, void *aux);
struct ns_op *ns_remove(struct ns *ns, struct ns_node *dir, const char *name, bool is_dir,
                        ns_done *done, void *aux);
struct ns_op *ns_rename(struct ns *ns, struct ns_node *dir, const char *name,
                        struct ns_node *newdir, const char *newname, uint32_t flags, ns_done *done,
                        void *aux);
struct ns_op *ns_link(struct ns *ns, struct ns_node *n, struct ns_node *dir, const char *name,
                      ns_stat_done *done, void *aux);
struct ns_op *ns_statfs(struct ns *ns, struct ns_node *n, ns_statfs_done *done, void *aux);
struct ns_op *ns_xattrget(struct ns *ns, struct ns_node *n, const char *name, uint32_t max,
                          ns_data_done *done, void *aux);
struct ns_op *ns_xattrset(struct ns *ns, struct ns_node *n, const char *name, const void *value,
                          uint32_t len, uint32_t flags, ns_done *done, void *aux);
struct ns_op *ns_lock(struct ns *ns, struct ns_file *f, const struct ninep_tlock *t, ns_done *done,
                      void *aux);
struct ns_op *ns_getlock(struct ns *ns, struct ns_file *f, const struct ninep_tgetlock *t,
                         ns_lock_done *done, void *aux);
struct ns_op *ns_allocate(struct ns *ns, struct ns_file *f, uint32_t flags, uint64_t offset,
                          uint64_t length, ns_done *done, void *aux);
struct ns_op *ns_seek(struct ns *ns, struct ns_file *f, uint32_t whence, uint64_t offset,
                      ns_count_done *done, void *aux);

/* ---- the mount table ---- */

/* One line of the text form, executed:
 *   bind [-a|-b] [-c] NEW OLD          NEW's directory on, after or before OLD
 *   mount [-a|-b] [-c] [-k TICKET] NODE!SERVICE[!TREE] OLD    TICKET is one word
 *   unmount [NEW] OLD
 *   chdev [-r] SERVICE...                        from now on only these services, or (-r) all but
 * these, are attached; a service is named SERVICE or NODE!SERVICE
 *   node NODE                          /n/NODE: that node's trees, each attached when touched (its
 * file tree, proc, net ...) jail                               no more bind, mount or unmount Paths
 * are absolute. done is called when it has taken effect. */
struct ns_op *ns_ctl(struct ns *ns, const char *line, ns_done *done, void *aux);
/* done is called when the kernel side holds no name that a change of the table made wrong. */
struct ns_op *ns_settle(struct ns *ns, ns_done *done, void *aux);
cg_err ns_text(struct ns *ns, struct cg_str *out); /* replayable: executed in order in a clean
                                                      namespace it gives the same text */
bool ns_jailed(const struct ns *ns);
/* The chdev lines: what a namespace made by this one's processes must begin with. */
cg_err ns_limits(struct ns *ns, struct cg_str *out);
cg_err ns_status(struct ns *ns, struct cg_str *out); /* trees, sessions, leases, cache */

struct ns_script;
typedef void ns_script_done(void *aux, cg_err first, const char *report);
/* Runs the lines of text, one after the other; empty ones and those that begin with # are skipped.
 * keep_going: a line that fails is only reported. report: a line for each failure. NULL: done was
 * already called. */
struct ns_script *ns_script_run(struct ns *ns, const char *text, bool keep_going,
                                ns_script_done *done, void *aux);
void ns_script_cancel(struct ns_script *s);

/* ---- a namespace that outlives its process ----
 *
 * In a kept namespace everything that the kernel side holds is a record: the mount table, nodes
 * that it refers to with the paths to their files, open handles, and the sessions (ninep.h).
 * Records are made without a commit; whoever tells the kernel side of something commits the book
 * before. */

/* A namespace as a predecessor left it under config's number: with its nodes, their numbers and the
 * kernel side's references, its handles and sessions, which come up by themselves. The kernel side
 * must forget what it believed: ns_adopted_tell calls invalidate for each node.
 * CG_EBADFORMAT: the records are damaged. */
cg_err ns_adopt(const struct ns_config *config, struct ns **out, struct cg_errbuf *eb);
void ns_adopted_tell(struct ns *ns);
/* What the operations that begin from now on are for: a number of the caller's; 0: nothing. */
void ns_origin(struct ns *ns, uint64_t origin);
/* Cancels what a predecessor had begun for origin. */
void ns_cancel_origin(struct ns *ns, uint64_t origin);
/* The kernel side got, or gave back, references of n: before it is told, after it has told. */
void ns_node_taken(struct ns_node *n, uint64_t refs);
void ns_node_given(struct ns_node *n, uint64_t refs);
/* Of a handle; numbers are not used again while the namespace lives. */
uint64_t ns_file_number(const struct ns_file *f);
struct ns_file *ns_file_by_number(struct ns *ns, uint64_t number);
/* The handle that was made for origin and that nobody was given; NULL. */
struct ns_file *ns_file_of_origin(struct ns *ns, uint64_t origin);
/* Goes on with a create of a regular file that a predecessor began and that succeeded: answers with
 * the handle that was made, else opens the file as it is. */
struct ns_op *ns_create_again(struct ns *ns, struct ns_node *dir, const char *name, uint32_t mode,
                              uint32_t open_flags, uint64_t origin, ns_open_done *done, void *aux);
/* After a while: handles that nobody asked for are closed. in_use says whether one has an owner. */
void ns_adopted_close(struct ns *ns, bool (*in_use)(void *ctx, uint64_t number), void *ctx);

enum { NS_BOOK_KIND = 32, NS_BOOK_KINDS = 5 }; /* of its records; a is the namespace's number */

#endif
