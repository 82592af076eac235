/* Inside lib/ns: the two layers and the engine that runs operations.
 *
 * Below, the cache: a tree is one attached client; an object is one file of it, found by its wide
 * identity, with what leases let us remember. Above, the namespace: a node is an object seen under
 * a view, a head (a mount point with something on it), or a directory made by the namespace. The
 * view of a node is the head below which it is seen, so one file seen through two mounts is two
 * nodes, as the kernel side needs it.
 *
 * An operation is a step function that is run from its start again whenever what it waited for has
 * happened; it sends flights of calls, and the last reply that matters finishes it.
 * INVARIANTS.md says what holds between the calls.
 */
#ifndef COGNU_NS_INTERNAL_H
#define COGNU_NS_INTERNAL_H

#include <cognu/book.h>
#include <cognu/ns.h>

#include <sys/stat.h>

enum {
    NS_DEADLINE_MS = 30000, /* an operation, as a client's call */
    NS_FIRST_MS = 2000, /* for the first look at a tree of another node: its gate may just start */
    NS_RETRY_MS = 1000, /* a tree that failed is tried again no sooner */
    NS_WIDE_US = 300,   /* above this round trip, guessing costs less than asking twice */
    NS_MISSES_MAX = 4,  /* lookups in a near directory before its listing is fetched */
    NS_PAYS = 16,       /* lookups that a listing must answer to have been worth it */
    NS_WASTED_MAX = 10, /* each doubles the misses before the next listing; no more than this */
    NS_PAGE_BYTES = 256 << 10,    /* first page of a listing: 50 files of 4 KiB */
    NS_PAGES_INLINE = 4,          /* pages of one listing that carry contents */
    NS_INLINE_BYTES = 16 << 10,   /* most contents of a file that come unasked */
    NS_CONTENTS_AHEAD = 32 << 20, /* of one directory: half of the cache */
    NS_OBJS_IDLE_MAX = 32768,     /* half of a session's leases on a common server */
    NS_NAMES_MAX = 65536,         /* cached names of one directory; larger listings pass through */
    NS_NEGATIVES_MAX = 1024,      /* cached absent names of one directory */
    NS_SNAPSHOT_MAX = 1 << 20,    /* names of one listing that is being read */
    NS_FIDS_MAX = 4096,           /* walked fids kept for one tree */
    NS_WRITE_BYTES_MAX = 8 << 20, /* unanswered writes of a handle before its writer waits */
    NS_WRITE_ALL_MAX = 128 << 20, /* of all handles: half of what a client queues */
    NS_UNBORN_MS = 1,             /* the kernel side believes what an early create made up */
    NS_NAMES_REST_MS = 5000,      /* after a change waited for held names: one in 17 of its time */
    NS_OPS_MAX = 65536            /* operations under way: a kernel asks far less at once */
};
enum {
    NS_AHEAD_BLOCK = 1 << 20, /* one read-ahead request; the kernel side reads as much at a time */
    NS_AHEAD_MIN = 2 << 20,   /* window at its start */
    NS_AHEAD_MAX = 8 << 20,   /* and at its widest: 1 Gbit/s times 60 ms */
    NS_AHEAD_ALL = 64 << 20,  /* of all handles together */
    NS_AROUND = 4 << 20,      /* read around by who has read so */
    NS_AROUND_SHARE = 32,     /* one part in so many of the file */
    NS_RETRIES_MAX = 3,       /* of one operation, for lost sessions and broken leases */
    NS_DEPTH_MAX = 256,       /* elements of a path */
    NS_PATH_BYTES_MAX = 4096,
    NS_TREES_MAX = 1024,
    NS_MOUNTS_MAX = 4096,
    NS_MEMBERS_MAX = 256,        /* directories of one union */
    NS_TICKET_BYTES_MAX = 24576, /* of its text: 8 full blocks in hex */
    NS_LINE_BYTES_MAX = 2 * NS_PATH_BYTES_MAX + NS_TICKET_BYTES_MAX + 64,
    NS_FLIGHT_MAX = NS_DEPTH_MAX / NINEP_WALK_NAMES_MAX + 8,
    NS_NO_CACHE = NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_STREAM | NINEP_QTYPE_NOCACHE
};

struct ns {
    struct ns_config config;
    char *self, *user;
    struct cg_map by_id;   /* u64 -> node */
    struct cg_map by_view; /* {view, what} -> node */
    uint64_t next_id;
    uint64_t next_serial;
    struct ns_node *root;
    struct cg_list nodes;
    struct cg_list trees;
    struct cg_list ops;
    struct cg_list files;
    struct cg_list mounts;
    struct cg_list lines;  /* the text form */
    struct cg_list limits; /* struct ns__limit: all of them must let a service pass */
    struct cg_list held;   /* held.c: leases to be given back */
    uintptr_t held_numbers;
    uint32_t tree_count, mount_count;
    uint64_t trace;          /* of operations that begin now */
    struct cg_list idle;     /* objects that nobody refers to, oldest first */
    struct cg_list contents; /* objects with contents, oldest first */
    uint32_t idle_count;
    uint64_t contents_bytes;
    uint64_t ahead_bytes, write_bytes;
    uint32_t op_count;
    uint64_t names_until_ns;     /* all names that were given have run out then */
    uint64_t moved_until_ns;     /* names that the mount table made wrong have run out then */
    uint32_t idle_max, fids_max; /* NS_OBJS_IDLE_MAX and NS_FIDS_MAX; tests lower them */
    uint64_t rest_ns;            /* NS_NAMES_REST_MS likewise */
    uint64_t hits, misses;       /* lookups answered here, or by the server */
    bool jail;
    bool lazy; /* calls were made that nobody waited for then: ns__op_park */
    bool closing;
    bool adopting;      /* records are read, not written */
    uint64_t origin;    /* of operations that begin now */
    uint64_t file_last; /* numbers of records: handles, trees, mounts */
    uint32_t tree_last, mount_last;
    void *saved_table;
};

enum ns__tree_state { NS__TREE_IDLE, NS__TREE_STARTING, NS__TREE_UP, NS__TREE_FAILED };

struct ns__tree {
    struct cg_list link;
    struct ns *ns;
    uint32_t number;
    void *saved;   /* its record; likewise below */
    bool adopting; /* its session is a predecessor's, to be taken up with the first dial */
    char *node, *service, *name;
    char *ticket;                /* NULL: attached by the user's own right */
    struct ninep_client *client; /* NULL when idle */
    enum ns__tree_state state;
    uint32_t refs; /* members, nodes, handles, calls, waiting operations */
    cg_err why;
    char detail[CG_DETAIL_BYTES];
    uint64_t failed_ns;
    uint64_t dialled_ns;
    uint64_t lost_ns;   /* its link is down since then; 0: it is up */
    bool leases;        /* some were granted since all were dropped */
    uint32_t session;   /* fids of earlier sessions are gone */
    uint32_t lease_gen; /* leases of earlier generations are gone */
    uint64_t moment;    /* counts breaks and own changes; see fresh() in cache.c */
    uint64_t forgot_at; /* latest moment of an object that was forgotten */
    uint64_t seed;      /* of inode numbers, from the tree's name */
    struct ns__obj *root;
    struct cg_map objs;  /* identity -> obj */
    struct cg_map names; /* {dir serial, hash} -> name */
    struct cg_list fids; /* objs with a fid, oldest use first */
    uint32_t fid_count;
    struct cg_list waiters;
};

struct ns__xkey { /* of tree->objs */
    uint64_t volume, file, generation;
};

struct ns__bytes {
    uint32_t refs, len;
    uint8_t data[];
};

enum { NS__FID_NONE, NS__FID_WALKING, NS__FID_LIVE };

struct ns__obj {
    struct ns__tree *tree;
    void *saved; /* NULL: no node of it is saved, and it is on nobody's path */
    struct ninep_xqid id;
    uint64_t serial; /* names this object in keys; never reused */
    uint32_t refs;
    bool settled;  /* the identity is known: it is in tree->objs */
    bool own_ino;  /* shown with a number of our own before it was: it keeps that while it has nodes
                    */
    cg_err dead;   /* its create failed: every operation answers this */
    bool was_root; /* of the tree, in this or an earlier session: paths begin here */
    struct cg_list idle_link;
    /* a path that led here */
    struct ns__obj *up; /* counted */
    char *up_name;
    /* the fid for walking */
    uint8_t fid_state;
    uint32_t fid, fid_session;
    uint32_t calls; /* under way with the fid */
    struct cg_list fid_link;
    /* what is known of it, under its lease */
    bool leased, attr_ok;
    uint32_t lease_gen;
    uint64_t lease_serial; /* of this unbroken holding, from ns->next_serial */
    struct ninep_attr attr;
    struct ns__bytes *contents; /* of a file, or a link's target */
    struct cg_list contents_link;
    /* a directory's names */
    struct cg_list names; /* in the server's order */
    uint32_t name_count, negative_count;
    bool complete, loading, tried, guessed;
    uint64_t cookie; /* where the next page begins */
    /* contents that are fetched ahead of a reader of many small files; see list.c */
    uint64_t ahead_cookie; /* where the next page of them begins */
    uint32_t ahead_bytes;
    bool ahead_busy, ahead_done;
    uint32_t misses, answers; /* lookups since the listing that asked the server, and did not */
    uint8_t wasted;           /* listings one after the other that were lost before they paid */
    struct cg_list aliases;   /* names that lead here */
    /* moments of the tree's clock */
    uint64_t broken_at, changed_at, answered_at, settled_at;
    uint32_t pending;  /* own changes under way */
    uint32_t barriers; /* operations that wait for none to be; writers wait for them */
    uint32_t breaks;
    struct cg_list waiters; /* operations that wait for any of this to move */
    struct cg_list nodes, files, members;
    struct ns__mount *mount; /* what covers it */
};

struct ns__name {
    struct cg_list link;   /* obj->names of the directory */
    struct cg_list alias;  /* obj->aliases, when obj is set */
    struct ns__name *same; /* another name with this hash */
    struct ns__obj *dir;
    struct ns__obj *obj; /* NULL: no such name */
    char text[];
};

struct ns_node {
    struct cg_list link;
    struct ns *ns;
    struct ns__saved_node *saved; /* NULL: the kernel side does not have it */
    uint64_t id;
    uint64_t refs;
    struct ns_node *view;    /* counted; NULL below no head */
    struct ns__obj *obj;     /* a file of a tree, counted; or */
    struct ns__mount *mount; /* a head, counted; or a directory of the namespace's own: */
    struct ns_node *parent;  /* counted */
    char *name;
    struct ns__mount *covered; /* of such a directory: what covers it */
    struct cg_list of;         /* obj->nodes or mount->heads */
    struct cg_list synths;     /* children made by the namespace */
    struct cg_list synth_link;
    bool fresh;           /* just adopted, and held by its adoption */
    uint64_t data_serial; /* lease_serial when the kernel side last took data */
    /* hold.c: names in it that the kernel side was given have run out then; none are given before
     */
    uint64_t held_until_ns, rest_until_ns;
};

struct ns__limit { /* a chdev line */
    struct cg_list link;
    bool remove;  /* these services do not pass; else only these do */
    char names[]; /* each with a blank before and behind it */
};

struct ns__line {
    struct cg_list link;
    uint32_t refs; /* members that came from it */
    bool sticks;   /* stays without members */
    char text[];
};

struct ns__member {
    struct cg_list link; /* mount->members */
    struct cg_list of;   /* obj->members */
    struct ns__mount *mount;
    struct ns__line *line; /* NULL: the mount point itself */
    char *what;            /* as it was named */
    bool create;
    struct ns__tree *tree; /* counted; or */
    struct ns_node *synth; /* counted: only the namespace's own children of it */
    struct ns__obj *obj;   /* counted; NULL: the root of a tree not yet attached */
};

struct ns__mount {
    struct cg_list link;
    struct ns *ns;
    uint32_t number;
    uint32_t refs;         /* the mount point's, and one for each head */
    char *old;             /* path of the mount point */
    struct ns__obj *obj;   /* counted; or */
    struct ns_node *synth; /* counted */
    struct cg_list members;
    uint32_t member_count;
    struct cg_list heads;
    bool dead;
};

struct ns__block { /* of a file, read ahead */
    struct cg_list link;
    uint64_t offset;
    uint32_t want, got;
    bool stale; /* the handle has dropped it: it goes when its answer comes */
    const uint8_t *data;
    struct ninep_frame *frame; /* holds data; NULL: under way */
};

struct ns__entry {          /* of a listing that is being read */
    struct ns__obj *obj;    /* counted; or */
    struct ns_node *synth;  /* counted */
    struct ninep_attr attr; /* as it came */
    char *name;
};

enum { NS__CLOSED, NS__OPENING, NS__OPEN };

struct ns_file {
    struct cg_list link; /* ns->files */
    struct cg_list of;   /* obj->files */
    uint32_t refs;       /* the owner's, operations', calls' */
    uint64_t number, origin;
    void *saved;
    bool ownerless; /* adopted, and the kernel side's only if it names it */
    struct ns_node *node;
    struct ns__obj *obj; /* NULL: a directory */
    uint32_t flags;
    uint8_t state;
    uint32_t fid, session;
    uint32_t iounit;
    uint32_t chain;
    bool creating;     /* OPENING by a create that was answered before the server did */
    bool was_open;     /* a second opening must not truncate */
    bool broken_chain; /* something in it failed: the rest is skipped */
    cg_err error;      /* of a write that was already answered */
    char detail[CG_DETAIL_BYTES];
    uint64_t pending_bytes;
    uint32_t pending;
    struct cg_list waiters;
    /* read ahead */
    struct cg_list blocks;
    uint64_t seq_next, ahead_next;
    uint32_t window;
    struct cg_list beside; /* blocks under way around what somebody asked for */
    uint64_t around_bytes; /* asked for so */
    /* a directory: its listing, taken at cookie 0 */
    struct ns__entry *entries;
    uint32_t entry_count, entry_cap;
    struct cg_map seen; /* hashes of the names */
    bool seen_on, listed;
};

enum ns__kind { NS__DONE, NS__STAT, NS__DATA, NS__COUNT, NS__OPENED, NS__STATFS, NS__LOCK };

struct ns_op {
    struct cg_list link;
    struct cg_list wait;
    struct ns *ns;
    enum ns__kind kind;
    void (*step)(struct ns_op *op);
    union {
        ns_done *done;
        ns_stat_done *stat;
        ns_data_done *data;
        ns_count_done *count;
        ns_open_done *open;
        ns_statfs_done *statfs;
        ns_lock_done *lock;
    } done;
    void *aux;
    uint64_t origin;
    bool starting, finished, canceled, expired;
    bool endless; /* a read of a stream: it waits as long as the link is up, or is about to be */
    bool changes; /* it is not safe to begin again when the outcome is unknown */
    uint8_t retries;
    uint64_t trace;
    uint64_t deadline_ns; /* 0: none */
    struct cg_list calls;
    struct ns__tree *tree; /* waited for, counted */
    cg_err err;
    char detail[CG_DETAIL_BYTES];
    /* operands, counted */
    struct ns_node *node, *newnode;
    struct ns_file *file;
    char *name, *newname;
    void *data;
    bool borrowed; /* data is its caller's, who still has it */
    union {
        struct ninep_tsetattr setattr;
        struct ninep_tlock lock;
        struct ninep_tgetlock getlock;
    } t;
    uint64_t offset, length;
    uint32_t count, flags, mode;
    struct ninep_rstatfs statfs;
    /* progress */
    struct ns__obj *found; /* counted */
    struct ns__member *member;
    uint64_t until_ns;
    uint32_t index, breaks;
    uint64_t cookie;
    bool bare;
    bool waited;      /* for a listing that was under way */
    bool pinned;      /* has asked for the fid of what it takes a name from */
    bool plus, gives; /* gives: the stat's node carries a reference */
    ns_emit *emit;
    struct ns__path *path;        /* of ns_ctl */
    struct ns__obj *barrier;      /* counted */
    const struct ns__obj *behind; /* caught up with its changes up to behind_at */
    uint64_t behind_at;
    /* hold.c: done, but told only then; what is told */
    uint64_t late_ns;
    bool late;
    struct ns__outcome {
        struct ns_stat st;
        struct ns_file *file;
        bool keep, direct;
    } outcome;
};

struct ns__call;
typedef void ns__reply(struct ns__call *c, cg_err e, const union ninep_rmsg *r);

struct ns__call {
    struct cg_list link; /* op->calls */
    struct ns_op *op;    /* NULL: nobody waits for it */
    struct ns__tree *tree;
    struct ns__obj *obj, *other; /* counted */
    struct ns_file *file;        /* counted */
    ns__reply *reply;
    uint64_t origin; /* of a change */
    uint8_t type;
    uint64_t handle;
    uint64_t moment;
    uint32_t session, lease_gen;
    uint32_t fid;
    struct ns__call *guess; /* of a walk: the listing asked for with it; of that: the walk */
    bool change;            /* an own change of obj (and other) */
    bool walks;             /* makes obj's fid */
    uint64_t offset;
    uint32_t len;
    struct ns__block *block;
    char *name, *newname;
    const char *detail; /* during reply */
};

/* Calls that are sent together, as one chain when they are several. */
struct ns__flight {
    struct ns_op *op;
    struct ns__tree *tree;
    uint32_t n;
    uint32_t chain; /* 0: its own */
    bool lazy;      /* nobody waits for its answers, until an operation parks */
    struct ns__call *calls[NS_FLIGHT_MAX];
    struct ninep_call msgs[NS_FLIGHT_MAX];
};

/* op.c */
struct ns_op *ns__op_new(struct ns *ns, enum ns__kind kind, void (*step)(struct ns_op *),
                         void *aux);
void ns__op_run(struct ns_op *op);
struct ns_op *ns__op_start(struct ns_op *op); /* NULL when it is finished already */
void ns__op_leave(struct ns_op *op); /* out of everything that it waits for, or that waits for it */
void ns__op_park(struct ns_op *op, struct cg_list *waiters);
void ns__wake(struct cg_list *waiters);
void ns__note(struct ns_op *op, cg_err e, const char *detail); /* the first error stays */
void ns__fail(struct ns_op *op, cg_err e, const char *detail);
void ns__finish(struct ns_op *op);
void ns__finish_stat(struct ns_op *op, const struct ns_stat *st);
void ns__finish_data(struct ns_op *op, const void *data, size_t len);
void ns__finish_count(struct ns_op *op, uint64_t count);
void ns__finish_open(struct ns_op *op, struct ns_file *f, const struct ns_stat *st, bool keep,
                     bool direct);
void ns__finish_statfs(struct ns_op *op);
void ns__finish_lock(struct ns_op *op, const struct ninep_rgetlock *held);
bool ns__op_name(struct ns_op *op, char **slot, const char *name); /* copies; false: op failed */
void ns__op_node(struct ns_op *op, struct ns_node *n);
void ns__op_file(struct ns_op *op, struct ns_file *f);

/* In the reply of the call that ends an operation: true, go on; false: it failed, or it was begun
 * again because the session was lost meanwhile. */
bool ns__decide(struct ns__call *c, cg_err e);
void ns__again(struct ns__call *c); /* runs the step of c's operation again, if there is one */

void ns__flight_init(struct ns__flight *f, struct ns_op *op, struct ns__tree *tree);
/* The next message of the flight; its call borrows nothing. NULL: out of memory, op failed. */
union ninep_tmsg *ns__flight_add(struct ns__flight *f, uint8_t type, struct ns__obj *obj,
                                 struct ns__obj *other, ns__reply *reply, struct ns__call **call);
void ns__await(struct ns__call *c, struct ns_op *op); /* else the call is for the cache */
void ns__flight_send(struct ns__flight *f);
void ns__flight_drop(struct ns__flight *f);

/* tree.c */
cg_err ns__tree_get(struct ns *ns, const char *node, const char *service, const char *name,
                    const char *ticket, struct ns__tree **out);
void ns__tree_put(struct ns__tree *t);
enum ns__up { NS__UP, NS__WAIT, NS__DOWN };
enum ns__up ns__tree_touch(struct ns_op *op, struct ns__tree *t); /* WAIT: op waits */
bool ns__tree_up(struct ns_op *op, struct ns__tree *t); /* false: op waits or has failed */
void ns__tree_drop(struct ns__tree *t);                 /* all leases are gone */
uint64_t ns__tree_tick(struct ns__tree *t);
void ns__tree_end(struct ns__tree *t); /* its session; nobody is told */
void ns__tree_free(struct ns__tree *t);
/* held.c: gives a lease back when the kernel side has forgotten */
void ns__release(struct ns__obj *o, const struct ninep_event *event);
void ns__held_walked(struct ns__obj *o); /* the walk of o's fid has been answered */
void ns__held_drop(struct ns *ns, const struct ns__tree *t);
uint64_t ns__held_tick(struct ns *ns, uint64_t now);
bool ns__forgotten(struct ns__tree *t); /* what its lost session allowed to remember */
bool ns__wide(const struct ns__tree *t);
/* Adds what gives a fid for o within the flight; false: op waits or has failed. changes: the flight
 * changes something, so the path must be sure. */
bool ns__fid(struct ns__flight *f, struct ns__obj *o, bool changes, uint32_t *fid);
/* Walks newfid to o within the flight. */
bool ns__walk_to(struct ns__flight *f, struct ns__obj *o, bool changes, uint32_t newfid);
bool ns__fid_live(const struct ns__obj *o);
/* Sees to a fid for o when handles of o are not open on the server: the path to it is about to
 * change, by somebody else or by op (NULL). True: a walk is under way. */
bool ns__pin(struct ns__obj *o);
/* The same before op takes a name from o (which may be NULL). False: op waits. */
bool ns__pinned(struct ns_op *op, struct ns__obj *o);
void ns__fid_adopt(struct ns__obj *o, uint32_t fid, uint32_t session);
void ns__fid_drop(struct ns__obj *o);

/* cache.c */
struct ns__obj *ns__obj_new(struct ns__tree *t);
struct ns__obj *ns__obj_find(struct ns__tree *t, const struct ninep_xqid *id);
void ns__obj_ref(struct ns__obj *o);
void ns__obj_put(struct ns__obj *o);
void ns__obj_free(struct ns__obj *o);
cg_err ns__obj_settle(struct ns__obj *o, const struct ninep_xqid *id);
void ns__obj_path(struct ns__obj *o, struct ns__obj *up, const char *name);
bool ns__leased(struct ns__obj *o);
bool ns__attr_ok(struct ns__obj *o);
bool ns__contents_ok(struct ns__obj *o);
bool ns__cacheable(const struct ns__obj *o);
bool ns__may(struct ns__obj *o, uint8_t rights); /* known to be allowed */
bool ns__fresh(const struct ns__call *c, const struct ns__obj *o);
/* What a reply said of a file: borrowed until the next trim; NULL: out of memory. */
struct ns__obj *ns__learn(struct ns__call *c, const struct ninep_attr *a, bool lease);
void ns__learn_obj(struct ns__call *c, struct ns__obj *o, const struct ninep_attr *a, bool lease);
void ns__learn_contents(struct ns__call *c, struct ns__obj *o, struct cg_span data);
void ns__contents_drop(struct ns__obj *o);
void ns__obj_break(struct ns__obj *o); /* forget all that a lease covered, tell the kernel side */
void ns__change_begin(struct ns__call *c, struct ns__obj *o);
void ns__change_end(struct ns__call *c, struct ns__obj *o);
/* No own change of o is under way; those that come now wait for op. false: op waits. */
bool ns__quiet(struct ns_op *op, struct ns__obj *o);
/* The own changes of o that were under way when op first asked are answered. false: op waits. */
bool ns__caught_up(struct ns_op *op, struct ns__obj *o);
void ns__barrier_drop(struct ns_op *op);
void ns__trim(struct ns *ns);
struct ns__bytes *ns__bytes_new(const void *data, uint32_t len);
void ns__bytes_put(struct ns__bytes *b);

/* names.c */
struct ns__name *ns__name_get(struct ns__obj *dir, const char *name);
bool ns__name_put(struct ns__obj *dir, const char *name, struct ns__obj *obj);
void ns__name_del(struct ns__name *n);
void ns__names_drop(struct ns__obj *dir);
/* To the kernel side, of o under every node that shows it, except but. */
void ns__tell(struct ns__obj *o, enum ns_inval what, const struct ns_node *but);
void ns__tell_node(struct ns_node *n, enum ns_inval what);
bool ns__shows(const struct ns_node *n, const struct ns__obj *o); /* is o a directory of n? */

/* hold.c */
/* May the kernel side hold a name in dir that is believed until then? If so it is counted. */
bool ns__hold(struct ns_node *dir, uint64_t until_ns);
/* When the names in o that were given under any node, except but, have run out; 0: now. */
uint64_t ns__held_until(struct ns__obj *o, const struct ns_node *but);
void ns__held_rest(struct ns__obj *o); /* somebody waits for them: no more for a while */
/* The mount table changed a name in n, or every name under which o is known. */
void ns__moved_in(struct ns_node *n);
void ns__moved(struct ns__obj *o);
/* op changed a name in dir, as but shows it: under other nodes it may be held. */
void ns__own_moved(struct ns_op *op, struct ns__obj *dir, const struct ns_node *but);
/* True: op is done but is told later, with this outcome. */
bool ns__late(struct ns_op *op, const struct ns__outcome *outcome);
uint64_t ns__late_tick(struct ns *ns, uint64_t now);

/* list.c */
bool ns__list_wanted(struct ns__obj *dir);
/* Is a lookup in dir worth a guess that the child is a directory? Called when it will be made. */
bool ns__guess_wanted(struct ns__obj *dir);
bool ns__list_add(struct ns__flight *f, struct ns__obj *dir, uint32_t fid);
void ns__list_guess(struct ns__flight *f, struct ns__obj *parent, uint32_t fid);
void ns__list_guessed(struct ns__call *walk, struct ns__obj *o);
void ns__learn_page(struct ns__call *c, struct ns__obj *dir, const struct ninep_rreaddir *r);
uint32_t ns__page_bytes(const struct ns__tree *t, uint32_t most);
void ns__contents_ahead(struct ns_op *op, struct ns__obj *o);

/* node.c */
struct ns_node *ns__node_get(struct ns *ns, struct ns_node *view, struct ns__obj *o); /* +1 */
struct ns_node *ns__head_get(struct ns *ns, struct ns_node *view, struct ns__mount *m);
struct ns_node *ns__synth_find(struct ns_node *dir, const char *name);
struct ns_node *ns__synth_get(struct ns_node *dir, const char *name); /* makes it; +1 */
struct ns_node *ns__node_new(struct ns *ns, struct ns_node *view);
struct ns_node *ns__node_cross(struct ns_node *dir, struct ns__obj *o); /* +1: head if covered */
struct ns_node *ns__view(struct ns_node *n);                            /* of its children */
void ns__node_put(struct ns_node *n);
uint64_t ns__ino(const struct ns__tree *t, const struct ninep_xqid *id);
uint64_t ns__obj_ino(const struct ns__obj *o);
void ns__synth_attr(const struct ns_node *n, struct ninep_attr *a);
void ns__stat_of(struct ns_node *n, struct ns__obj *o, struct ns_stat *st);
/* The object behind a node: of a head its first member's. *out is NULL for a directory of the
 * namespace's own. false: op waits or has failed. */
bool ns__node_obj(struct ns_op *op, struct ns_node *n, struct ns__obj **out);
/* The same, for what the namespace's own directories refuse. */
bool ns__real_obj(struct ns_op *op, struct ns_node *n, struct ns__obj **out);

/* mount.c */
void ns__reroot(struct ns__tree *t, struct ns__obj *old);
void ns__mount_put(struct ns__mount *m);
/* The index-th directory of n: UP sets *out, NULL at the end. DOWN: it cannot be attached. */
enum ns__up ns__nth_dir(struct ns_op *op, struct ns_node *n, uint32_t index, struct ns__obj **out);
struct ns_node *ns__own_child(struct ns_node *n, const char *name); /* made by the namespace */
void ns__nothing(struct ns_op *op, struct ns_node *n); /* no directory of n holds the name */
bool ns__is_point(struct ns__obj *dir, const char *name);
enum ns__up ns__member_touch(struct ns_op *op, struct ns__member *m, struct ns__obj **out);
bool ns__member_obj(struct ns_op *op, struct ns__member *m, struct ns__obj **out);
/* Where a create in directory n goes. */
bool ns__create_dir(struct ns_op *op, struct ns_node *n, struct ns__obj **out);
struct ns_node *ns__own_find(struct ns_node *n, const char *name); /* the bare mount point */
struct ns__mount *ns__mount_new(struct ns *ns, struct ns_node *point, const char *old);
void ns__mount_drop(struct ns__mount *m);
void ns__mount_changed(struct ns__mount *m);
void ns__point_changed(struct ns__mount *m);
void ns__line_put(struct ns__line *l);
struct ns__member *ns__member_add(struct ns__mount *mount, bool front, struct ns__tree *tree,
                                  struct ns__obj *obj, struct ns_node *synth);
void ns__member_set(struct ns__member *m, struct ns__obj *o);
void ns__member_free(struct ns__member *m);
uint32_t ns__members_remove(struct ns__mount *m, const char *what);

/* ctl.c */
bool ns__passes(const struct ns *ns, const char *node, const char *service);
struct ns__path;
void ns__path_free(struct ns__path *p);

/* walk.c */
enum ns__found { NS__FOUND, NS__ABSENT, NS__LATER };
/* One name in one directory: op->found is set (counted), or it is absent, or op waits. Narrows
 * op->until_ns. */
enum ns__found ns__find(struct ns_op *op, struct ns__obj *dir, const char *name);
/* The directory of n that holds op->name: NS__FOUND sets *dir, and op->found. Begin with op->index
 * 0. */
enum ns__found ns__find_in(struct ns_op *op, struct ns_node *n, struct ns__obj **dir);

/* Until when the kernel side may believe that name leads to o (NULL: nowhere): it will be told when
 * that changes. */
uint64_t ns__believed(struct ns__obj *dir, const char *name, const struct ns__obj *o);
/* A lookup that does not attach what it leads to: its stat holds the node alone. */
struct ns_op *ns__lookup_bare(struct ns *ns, struct ns_node *dir, const char *name,
                              ns_stat_done *done, void *aux);

/* attr.c */
void ns__stat_node(struct ns_op *op, struct ns_node *n); /* finishes op with n's attributes */
void ns__refresh(struct ns_op *op, struct ns__obj *o);   /* asks the server, runs the step again */
void ns__give(struct ns_op *op, struct ns_node *n, struct ns__obj *o); /* takes n's reference */

/* file.c */
struct ns_file *ns__file_new(struct ns_node *n, struct ns__obj *o, uint32_t flags);
void ns__file_put(struct ns_file *f);
/* What makes f's fid usable within the flight; false: op waits or has failed, the flight is gone.
 */
bool ns__file_ready(struct ns__flight *fl, struct ns_file *f);
void ns__file_error(struct ns_file *f, cg_err e, const char *detail);
void ns__data_changed(struct ns_file *f, struct ns__obj *o); /* by us, through f (may be NULL) */
bool ns__keep(struct ns_node *n, struct ns__obj *o); /* may the kernel side keep its data? */

/* read.c */
void ns__ahead_drop(struct ns_file *f);
void ns__block_free(struct ns *ns, struct ns__block *b);
/* write.c: the handle's chain; false: op waits */
bool ns__chain(struct ns_op *op, struct ns_file *f);
/* A request on the handle's fid, opened when it must be, whose reply decides. */
union ninep_tmsg *ns__on_handle(struct ns__flight *fl, struct ns_op *op, uint8_t type,
                                ns__reply *reply, struct ns__call **call);
/* dir.c */
void ns__entries_drop(struct ns_file *f);
/* After an own change through node: name of dir leads to o, or nowhere. */
void ns__name_now(struct ns__call *c, struct ns__obj *dir, const char *name, struct ns__obj *o,
                  const struct ns_node *node);

/* record.c: each does nothing in a namespace that is not kept */
void ns__save_tree(struct ns__tree *t);
void ns__save_table(struct ns *ns);      /* the mount table has changed */
void ns__save_obj(struct ns__obj *o);    /* it and its path; also what has changed of it */
void ns__obj_changed(struct ns__obj *o); /* if it is saved: what it is, or its path */
void ns__save_node(struct ns_node *n);
void ns__file_save(struct ns_file *f);        /* whatever has changed of it */
void ns__unsave(struct ns *ns, void *record); /* NULL is fine */
uint64_t ns__client_number(const struct ns__tree *t);

/* again.c */
void ns__adopt_call(void *tree, const struct ninep_kept *k, ninep_done **done, void **aux);
void ns__tree_adopted(struct ns__tree *t, bool session); /* before its client starts */

/* op.c */
ninep_done ns__call_done;
/* write.c, make.c: replies that an adopted call may bring */
ns__reply ns__written, ns__created_early;
void ns__came_up(struct ns__tree *t);
cg_err ns__dial(struct ns__tree *t, struct cg_errbuf *eb);

/* ---- the records ---- */

enum { NS__REC_TREE = NS_BOOK_KIND, NS__REC_TABLE, NS__REC_OBJ, NS__REC_NODE, NS__REC_FILE };
enum { NS__IS_OBJ, NS__IS_HEAD, NS__IS_SYNTH };

/* b: number of the tree; node, service, name and ticket as strings ended by NUL follow. */
struct ns__saved_tree {
    uint16_t bytes[4]; /* of each with its NUL; 0: there is none */
    char text[];
};

/* b: serial of the object; the name in the directory above follows. */
struct ns__saved_obj {
    uint64_t up; /* serial; 0: none */
    uint32_t tree, dead;
    uint8_t settled, own_ino, was_root, spare[5];
    uint8_t attr[NINEP_ATTR_BYTES];
    char up_name[];
};

/* b: number of the node; of the namespace's own its name follows. */
struct ns__saved_node {
    uint64_t refs;               /* the kernel side's; in place */
    uint64_t view, what, parent; /* what: serial of the object, or number of the mount */
    uint64_t kind;
    char name[];
};

/* b: number of the handle. */
struct ns__saved_file {
    uint64_t node, obj, origin;
    uint32_t flags, fid, chain, iounit;
    uint32_t error;
    uint8_t state, creating, was_open, broken_chain;
    uint8_t live, spare[3]; /* live: its fid belongs to the session that stands */
    char detail[CG_DETAIL_BYTES];
};

#endif
