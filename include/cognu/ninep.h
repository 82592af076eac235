/* ninep: 9P-NG, and 9P2000.L and 9P2000 for foreign peers: codec, server framework, client.
 *
 * The normative text is docs/9p-ng.md; structures, numbers and codec are made from
 * lib/ninep/wire.table. Client and server are state machines: they do no I/O, take time and
 * randomness from struct cg_env, and are driven by whoever owns the connection (the libuv glue at
 * the end of this file, or lib/sim). One loop thread owns a server or a client.
 */
#ifndef COGNU_NINEP_H
#define COGNU_NINEP_H

#include <cognu/base.h>
#include <cognu/ninep_wire.h> /* generated */

/* What Tversion names. A server that does not speak what was named answers "unknown". */
#define NINEP_VERSION_NG "9P-NG"

/* ---- frames ---- */

/* One whole message, heap-owned, counted. A second holder (a client keeps a request until it is
 * answered) uses neither link nor sent: those belong to the transport. */
struct ninep_frame {
    struct cg_list link; /* for the owner's queues */
    uint32_t refs;
    uint32_t len; /* bytes of the message */
    uint32_t cap;
    uint32_t sent; /* for the transport: bytes already written */
    bool lazy;     /* for the transport: it may be held back for a moment, to go with others */
    uint8_t data[];
};
struct ninep_frame *ninep_frame_new(uint32_t cap);          /* NULL: no memory */
struct ninep_frame *ninep_frame_ref(struct ninep_frame *f); /* one more holder; returns f */
void ninep_frame_free(struct ninep_frame *f); /* the last holder's frees it; NULL is fine */

/* Cuts a byte stream into frames. A frame that has begun is received in place: ask for space, read
 * into it, commit. */
struct ninep_framer {
    uint32_t frame_max; /* larger sizes are CG_EMSGSIZE */
    uint8_t head[4];    /* of a frame whose size is not yet known */
    uint32_t head_len;
    struct ninep_frame *frame; /* the one being filled, or NULL */
};
void ninep_framer_init(struct ninep_framer *fr, uint32_t frame_max);
void ninep_framer_fini(struct ninep_framer *fr);
/* Takes bytes from data; gives at most one whole frame in *out (else NULL). *used says how many
 * bytes were taken. */
cg_err ninep_framer_feed(struct ninep_framer *fr, const uint8_t *data, size_t len, size_t *used,
                         struct ninep_frame **out);
/* Where to read directly when a frame is under way: NULL when none is. */
uint8_t *ninep_framer_space(struct ninep_framer *fr, size_t *cap);
struct ninep_frame *ninep_framer_commit(struct ninep_framer *fr,
                                        size_t len); /* the frame when it is whole */

/* ---- identities of the two ends ---- */

/* What the transport knows of the other end. */
struct ninep_peer {
    bool local;           /* a Unix socket of this machine: uid is true */
    uint32_t uid;         /* local: the peer process's user */
    uint8_t node_key[32]; /* remote: the Ed25519 key that the gate verified */
    uint8_t binding[32];  /* remote: the TLS exporter value of this connection; local: zero */
};

/* What an attach is given. */
struct ninep_grant {
    uint64_t principal;
    uint8_t rights;      /* flags rights: the most that this attach may do */
    uint64_t expires_ns; /* wall clock; 0: never */
    char path[1024];     /* below the tree's root: it becomes the root; "" is the root itself */
};

/* Proofs, from lib/secure or from a test. All return CG_OK or the reason of refusal with detail. */
struct ninep_auth {
    /* Server: who attaches, and what may they do? */
    cg_err (*attach)(void *ctx, const struct ninep_peer *peer, struct cg_span user,
                     struct cg_span tree, struct cg_span credential, struct ninep_grant *grant,
                     struct cg_errbuf *eb);
    /* Both: 32 bytes that prove possession of the session's secret on a new connection. */
    void (*proof)(void *ctx, const uint8_t first_binding[32], const uint8_t id[16],
                  const uint8_t new_binding[32], uint8_t out[32]);
    void *ctx;
};
extern const struct ninep_auth
    ninep_auth_local; /* local peers only, by uid; proof is the id twice: the socket vouches */

struct book; /* cognu/book.h */

/* ---- server framework ---- */

/* The framework owns sessions, chains, the ledger, fids, leases, locks, cancellation, deadlines and
 * the foreign dialects. A file server is a table of callbacks, all seeing 9P-NG requests only. Each
 * callback gets one request and must see to it that ninep_respond() is called exactly once for it,
 * at once or later. */

struct ninep_server;
struct ninep_session;

struct ninep_fid {
    uint32_t num;
    bool open;
    bool dead;            /* its identity no longer exists: kept until clunk */
    uint8_t rights;       /* greatest rights, from the attach; they only shrink */
    uint32_t open_flags;  /* flags open, when open */
    uint64_t principal;   /* who attached */
    struct ninep_xqid id; /* set by attach, walk1 and create */
    void *aux;            /* the file server's own */
    struct ninep_session *session;
    struct ninep__fid *impl;
};

struct ninep_req {
    uint8_t type;             /* NINEP_TATTACH ... */
    union ninep_tmsg t;       /* the request; its spans live until ninep_respond */
    union ninep_rmsg r;       /* the reply, zeroed; the callback fills it */
    struct ninep_fid *fid;    /* the request's fid; for attach the new one */
    struct ninep_fid *newfid; /* Tcreate with a newfid, Trename, Tlink (dirfid), Tcopy, ops.walk;
                                 else NULL */
    struct cg_span name;      /* ops.walk: the element */
    /* Room for a payload inside the reply frame: Tread, Txattrget. Fill it and set r.read.data.len
     * only: the framework points it. */
    uint8_t *data;
    uint32_t data_cap;
    uint64_t trace;
    struct cg_errbuf eb; /* detail for a refusal */
    void *server_aux;
    void *aux; /* the file server's own, for an asynchronous request */
    struct ninep__req *impl;
};

/* NULL entries answer CG_ENOSYS. A path walk calls walk1 once an element on a fid that clone made.
 */
struct ninep_ops {
    void (*attach)(struct ninep_req *r); /* fid is new: set fid->id, fid->aux, r.attach.attr */
    /* Make to->aux another reference to from's file. Sync. */
    cg_err (*clone)(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb);
    /* Move fid one element down (never "..", the name is checked): set fid->id and *attr. Sync. */
    cg_err (*walk1)(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                    struct cg_errbuf *eb);
    /* The same for servers that must wait: r->newfid goes down to r->name; sets its id and
     * r.getattr.attr, and responds. r->type is NINEP_TWALK, and r->t not to be looked at. Where it
     * stands, walk1 is not called. */
    void (*walk)(struct ninep_req *r);
    /* The identity behind a name of a directory, without a fid, for leases. Sync; servers without
     * it grant no leases. */
    cg_err (*ident)(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id);
    /* A fid goes: free aux. Also called for fids whose session ended. Never fails. */
    void (*clunk)(struct ninep_fid *fid);
    void (*open)(struct ninep_req *r);
    /* Whole small contents for COMPOUND, after walk or open of a regular file: at most cap bytes;
     * *len = UINT32_MAX when it is larger. Sync. NULL: nothing is inlined. */
    cg_err (*slurp)(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len);
    void (*create)(struct ninep_req *r); /* all kinds; newfid is NULL for NOFID; sets r.create.attr,
                                            .dir, .created */
    void (*read)(struct ninep_req *r);
    void (*write)(struct ninep_req *r);
    void (*readdir)(struct ninep_req *r); /* calls ninep_dir_add, sets r.readdir.dir and .eof */
    void (*remove)(struct ninep_req *r);
    void (*rename)(struct ninep_req *r);
    void (*link)(struct ninep_req *r);
    void (*getattr)(struct ninep_req *r);
    void (*setattr)(struct ninep_req *r);
    void (*readlink)(struct ninep_req *r); /* target may point into data */
    void (*fsync)(struct ninep_req *r);
    void (*statfs)(struct ninep_req *r);
    void (*xattrget)(struct ninep_req *r);
    void (*xattrset)(struct ninep_req *r);
    void (*put)(struct ninep_req *r);
    void (*allocate)(struct ninep_req *r);
    void (*seek)(struct ninep_req *r);
    void (*copy)(struct ninep_req *r);
    /* An asynchronous request should end: the file server still responds, with CG_ECANCELED if
     * nothing was done. May be NULL: the request then simply goes on. */
    void (*cancel)(struct ninep_req *r);
    /* Leases on id begin to matter, or no longer do (fid is NULL). For servers that must watch a
     * host. fid is of that file; for an entry of a listing and for a new file without a fid it is
     * the directory's. Where it can, it is called before the attributes are asked for: the change
     * number of id is then 0. */
    void (*leased)(struct ninep_server *s, struct ninep_fid *fid, const struct ninep_xqid *id,
                   bool on);
};

/* The book of ninep_server_config.holders, but for its memory. */
#define NINEP_HOLDERS_BOOK                                                                         \
    {                                                                                              \
        .kind = "lease holders", .version = 1, .bytes = 1 << 20, .fd = -1                          \
    }

struct ninep_server_config {
    const char *name; /* for log and metrics */
    const struct ninep_ops *ops;
    void *aux;
    const struct cg_env *env;
    const struct ninep_auth *auth;
    uint32_t msize_max;    /* 0: 1 MiB + 64 KiB */
    uint32_t slots_max;    /* 0: 256 */
    uint32_t sessions_max; /* 0: 4096 */
    uint32_t fids_max;     /* a session, 0: 65536 */
    uint32_t leases_max;   /* a session, 0: 65536 */
    uint32_t lease_ms;     /* 0: 15000 */
    uint32_t linger_ms;    /* 0: 300000 */
    bool foreign;          /* also speak 9P2000.L and 9P2000 */
    /* Sessions with leases, for a successor, which lets them forget before anything changes:
     * NINEP_HOLDERS_BOOK, shared, which outlives the server. NULL: a successor knows of none. */
    struct book *holders;
};
cg_err ninep_server_new(const struct ninep_server_config *config, struct ninep_server **out);
/* Ends all sessions, clunks all fids, closes all connections. Requests that the file server still
 * runs are cancelled; the last of them to be answered, and the last connection to be closed, free
 * what is left. */
void ninep_server_free(struct ninep_server *s);
void *ninep_server_aux(struct ninep_server *s);

void ninep_respond(struct ninep_req *r, cg_err e);
/* Adds one entry to a Treaddir reply; false when it does not fit: stop, eof stays 0. inline_data
 * may be NULL. */
bool ninep_dir_add(struct ninep_req *r, uint64_t cookie, struct cg_span name,
                   const struct ninep_attr *attr, const void *inline_data, uint32_t inline_len);
/* Most inline bytes that still fit and were asked for; 0: none wanted. */
uint32_t ninep_dir_inline_room(const struct ninep_req *r);
/* The file changed behind the framework's back (the host changed it): leases on it are broken,
 * nobody waits. */
void ninep_server_changed(struct ninep_server *s, const struct ninep_xqid *id);
/* What a user may see: one line a session: id, peer, user, fids, leases, locks, requests in flight.
 */
cg_err ninep_server_status(struct ninep_server *s, struct cg_str *out);

/* The transport's side. send takes the frame; it may be called from within any ninep_ call on the
 * connection. */
struct ninep_conn;
struct ninep_conn_ops {
    void (*send)(void *ctx, struct ninep_frame *f); /* takes f */
    void (*close)(
        void *ctx); /* the peer broke the protocol: flush, close, then ninep_conn_closed */
};
cg_err ninep_conn_new(struct ninep_server *s, const struct ninep_peer *peer,
                      const struct ninep_conn_ops *ops, void *ctx, struct ninep_conn **out);
struct ninep_framer *ninep_conn_framer(struct ninep_conn *c);
void ninep_conn_frame(struct ninep_conn *c,
                      struct ninep_frame *f); /* takes f: one whole message arrived */
void ninep_conn_closed(struct ninep_conn *c); /* the link is gone; frees c, sessions linger */
/* Does what is due (leases, deadlines, lingering sessions); returns when it next wants to be
 * called, 0: nothing due. */
uint64_t ninep_server_tick(struct ninep_server *s);
/* wake is called when something became due sooner than tick last said: call tick soon, not from
 * within. Needed where the file server answers later than from its handlers. NULL: no more. */
void ninep_server_on_wake(struct ninep_server *s, void (*wake)(void *ctx), void *ctx);

/* ---- client ---- */

/* A client is one session with one tree attached on it. It survives its connections: while the link
 * is down, calls wait until their deadlines; when it is back, the session resumes and what was in
 * flight is sent again. */
struct ninep_client;

enum ninep_client_state { NINEP_DOWN, NINEP_STARTING, NINEP_UP, NINEP_DEAD };

struct ninep_client_config {
    const struct cg_env *env;
    const struct ninep_auth *auth; /* proof only */
    uint32_t msize;                /* 0: 1 MiB + 64 KiB */
    uint32_t slots;                /* 0: 128 */
    uint32_t deadline_ms;          /* of calls that name none; 0: 30000 */
    const char *user;              /* borrowed during _new */
    const char *tree;
    const char *name; /* what details call the other end; NULL: "the server". Borrowed likewise */
    /* The link is wanted: connect, then ninep_client_connected; on failure
     * ninep_client_unconnected. Called again after a loss, with growing pauses (tick). */
    void (*connect)(void *ctx);
    void (*send)(void *ctx, struct ninep_frame *f); /* takes f */
    void (*disconnect)(void *ctx);                  /* drop the link: it is broken or silent */
    void (*hurry)(void *ctx); /* send what is held back. May be NULL where nothing is */
    /* Makes the credential for Tattach over this connection: answer later by
     * ninep_client_credential. NULL: empty credential. */
    void (*credential)(void *ctx, const struct ninep_peer *peer);
    void *credential_ctx; /* for credential alone, which is another's matter; NULL: ctx */
    /* State changed. UP with resumed=false after an earlier UP: the server lost the session, all
     * fids and leases are gone. */
    void (*state)(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                  const char *detail);
    /* A lease is to be given up: stop using the cached state of id, then ninep_client_release(c,
     * event). LOST: all of them. */
    void (*event)(void *ctx, const struct ninep_event *event);
    /* The server lost the session, and state has been told: is all forgotten that its leases
     * allowed to remember? Until then the server lets nothing change. False: ninep_client_forgotten
     * comes later. NULL: it is. */
    bool (*forgotten)(void *ctx);
    /* Something became due sooner than tick last said: call tick soon, not from within. May be NULL
     * where tick is called after every step anyway. */
    void (*wake)(void *ctx);
    void *ctx;
};
cg_err ninep_client_new(const struct ninep_client_config *config, struct ninep_client **out);
void ninep_client_free(struct ninep_client *c); /* fails all calls with CG_ECANCELED first */
void ninep_client_start(struct ninep_client *c);

/* The link's side. peer describes the server's end (node key, binding). */
void ninep_client_connected(struct ninep_client *c, const struct ninep_peer *peer);
void ninep_client_unconnected(struct ninep_client *c, cg_err why, const char *detail);
void ninep_client_lost(struct ninep_client *c, cg_err why, const char *detail);
void ninep_client_credential(struct ninep_client *c, cg_err e, const void *data, uint32_t len);
void ninep_client_forgotten(struct ninep_client *c);
struct ninep_framer *ninep_client_framer(struct ninep_client *c);
void ninep_client_frame(struct ninep_client *c, struct ninep_frame *f); /* takes f */
uint64_t ninep_client_tick(struct ninep_client *c);                     /* like ninep_server_tick */

/* The reply of a call: e is CG_OK and r is set, or e says why not and detail holds text (never
 * NULL). r's spans borrow from the frame: a callback that keeps bytes takes the frame with
 * ninep_client_keep_frame. */
typedef void ninep_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail);

struct ninep_call {
    uint8_t type;         /* NINEP_TWALK ... */
    union ninep_tmsg t;   /* spans are copied by ninep_client_call */
    uint32_t chain;       /* 0, or from ninep_client_chain */
    bool last;            /* last of its chain */
    bool lazy;            /* nobody waits for the answer yet (ninep_client_hurry) */
    uint32_t deadline_ms; /* 0: the client's default; UINT32_MAX: none */
    uint64_t trace;
    uint64_t origin;  /* the owner's: what it is for, as its successor will know it */
    ninep_done *done; /* may be NULL */
    void *aux;
};
/* Queues the call; done is called later, never from within. Returns a handle for cancel, 0 when
 * memory is short (done is then not called). When all slots are taken the call waits its turn;
 * chains keep their order. */
uint64_t ninep_client_call(struct ninep_client *c, const struct ninep_call *call);
/* Somebody waits now for what was called lazily. */
void ninep_client_hurry(struct ninep_client *c);
void ninep_client_cancel(
    struct ninep_client *c,
    uint64_t call); /* done still comes, with CG_ECANCELED or the true outcome */
uint32_t ninep_client_chain(struct ninep_client *c); /* a new chain id */
uint32_t
ninep_client_fid(struct ninep_client *c); /* a free fid number, NINEP_NOFID when none is left */
void ninep_client_clunk(
    struct ninep_client *c,
    uint32_t fid); /* clunks are gathered and sent together; the number is reused */
uint32_t ninep_client_root(struct ninep_client *c); /* the attached fid, valid when UP */
const struct ninep_attr *ninep_client_root_attr(struct ninep_client *c);
struct ninep_frame *
ninep_client_keep_frame(struct ninep_client *c); /* within done only: gives the frame */
void ninep_client_release(struct ninep_client *c, const struct ninep_event *event);
uint64_t
ninep_client_lease_until_ns(const struct ninep_client *c);  /* leases hold until then (monotonic) */
uint32_t ninep_client_rtt_us(const struct ninep_client *c); /* smoothed */
uint32_t ninep_client_msize(const struct ninep_client *c);
enum ninep_client_state ninep_client_state(const struct ninep_client *c);
/* What a user may see: one line: state, session, epoch, slots, round trips, bytes. */
cg_err ninep_client_status(struct ninep_client *c, struct cg_str *out);
uint64_t ninep_client_round_trips(
    const struct ninep_client *c); /* flights: sends into an idle pipe; for benchmarks */

/* ---- a session that outlives its process ---- */

/* A client that is kept writes its session into a book (book.h): its secret, the state of every
 * slot, and every request that must happen, until it is answered. A successor's client takes the
 * session up: it proves the same secret, sends the same requests again in the same slots, and the
 * server's ledger sees to it that each happens once.
 *
 * Everything is in the book before the server can know of it. What the owner writes into the book
 * before a done returns, or before he makes a call, is committed with the client's own. */

enum { NINEP_BOOK_KIND = 16, NINEP_BOOK_KINDS = 2 }; /* of its records; a is the owner's number */

/* A request that a predecessor had made and that was not answered. */
struct ninep_kept {
    uint8_t type;
    uint32_t chain, newfid;
    uint64_t origin;
    const union ninep_tmsg *t; /* during the call; its spans borrow from the book */
};
/* Says who is told of its end; *done NULL: nobody. */
typedef void ninep_adopt(void *ctx, const struct ninep_kept *k, ninep_done **done, void **aux);

/* Both before ninep_client_start, once. keep: a new client; what a predecessor left under that
 * number is forgotten. adopt: false when nothing usable is there; the client is then as new, and
 * what was under way is lost: each is given to adopt with c's state DEAD and done is not called. */
bool ninep_session_kept(struct book *b, uint64_t number); /* is there one to be adopted? */
void ninep_client_keep(struct ninep_client *c, struct book *b, uint64_t number);
bool ninep_client_adopt(struct ninep_client *c, struct book *b, uint64_t number, ninep_adopt *adopt,
                        void *ctx);
void ninep_client_cancel_origin(struct ninep_client *c, uint64_t origin); /* as cancel */
/* Of an adopted client, before start: this fid is still in use. All others are clunked. */
bool ninep_client_claim(struct ninep_client *c, uint32_t fid); /* false: it was not given out */

#endif
