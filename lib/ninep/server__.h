/* server__.h: what the files of the server framework share; include/cognu/ninep.h is its face.
 *
 * server.c    birth, death, status, the tick          timer.c    what is due when
 * conn.c      connections, Tversion, Tsession         session.c  sessions: new, resumed, lost,
 * ended slot.c      slots, sequence numbers, the ledger     chain.c    order within chains
 * request.c   the life of a request                   op.c       the table of operations, checks
 * walk.c      attach, walk                            reply.c    what a reply needs: room, inline,
 * rights fid.c       fids                                    lease.c    leases, breaks, watch
 * grace.c     who held leases before a restart
 * lock.c      byte locks and flock                    cancel.c   Tcancel, deadlines
 * foreign.c   9P2000.L and 9P2000
 *
 * The life of a request: ninep__slot_frame takes it in (slot, ledger), ninep__chain_add gives it
 * its turn, ninep__pump runs it (op.c checks, lease.c may park it, the file server does it), and
 * ninep__finish answers, records and forgets it. Nothing recurses: whatever becomes runnable goes
 * on the ready list, which the pump empties. INVARIANTS.md numbers what must hold.
 */
#ifndef COGNU_NINEP_SERVER__H
#define COGNU_NINEP_SERVER__H

#include <cognu/ninep.h>

#define NINEP__MS UINT64_C(1000000) /* in ns */

enum {
    NINEP__MSIZE = (1 << 20) + (1 << 16), /* 1 MiB of payload with room for headers */
    NINEP__SLOTS = 256,
    NINEP__SESSIONS = 4096,
    NINEP__FIDS = 65536,
    NINEP__LEASES = 65536,
    NINEP__LEASE_MS = 15000,
    NINEP__LINGER_MS = 300000,
    NINEP__LEAVE_MS = 100, /* of a session whose client has said goodbye */

    NINEP__HELLO_MS = 10000,           /* from connection to session: longer is a scan or a fault */
    NINEP__HELLO_BYTES_MAX = 8192,     /* Tversion and Tsession are small: nothing larger before */
    NINEP__FIDS_TOTAL_MAX = 1 << 20,   /* of all sessions: 200 MB in the framework */
    NINEP__LEASES_TOTAL_MAX = 1 << 20, /* of all sessions: 200 MB */
    NINEP__HELD_BYTES_MAX = 1 << 30,   /* of requests that wait or run, of all sessions */
    NINEP__CHAINS_MAX = 1024,          /* of a session: failed chains whose LAST never comes */
    NINEP__LOCKS_MAX = 4096,           /* of a session */
    NINEP__EVENTS_MAX = 1024,          /* of a session: beyond, LOST */
    NINEP__EVENTS_REPLY_MAX = 64,      /* in one Rwatch: fits the smallest frame */
    NINEP__LEDGER_BYTES_MAX = 2048,    /* of one recorded reply: a walk of 16 elements */
    NINEP__TARGETS_MAX = 4,            /* files that one mutation changes: both ends of a rename */
    NINEP__DEADLOCK_STEPS_MAX =
        4096,                    /* locks looked at: beyond, the wait is left to its deadline */
    NINEP__KEEP_MS = 30000,      /* fids of unacknowledged chain reads are kept so long */
    NINEP__PATH_NAMES_MAX = 512, /* elements of a granted path of 1024 bytes */
    NINEP__REPLY_BYTES =
        NINEP_R_HEADER_BYTES + 3 * NINEP_ATTR_BYTES + 48, /* all but lists, payloads */
    NINEP__COMPLAINTS_MAX = 16, /* of one session in the log: no flood by an enemy */
    NINEP__R_TYPE_AT = 4,       /* in a reply's header: after size */
    NINEP__R_FLAGS_AT = 7,      /* after type and tag */
};

/* What is due when: a binary heap. Room is reserved before anything is started, so that starting
 * cannot fail. */
struct ninep__timer {
    uint64_t at_ns;
    uint32_t place; /* in the heap, from 1; 0: not started */
    void (*fire)(struct ninep_server *s, struct ninep__timer *t);
};

struct ninep_server {
    struct ninep_server_config cfg; /* defaults filled in */
    char *name;
    uint64_t epoch;
    struct cg_map sessions;      /* id -> session */
    struct cg_list session_list; /* oldest loss of connection first; connected ones at the end */
    struct cg_list conns;
    uint32_t conn_count;
    struct cg_list ready; /* requests to be run, in order */
    bool pumping;
    bool freeing;
    uint32_t inflight, fids, leases;
    uint64_t held_bytes;
    struct ninep__timer **timer;
    uint32_t timers, timers_cap, timers_reserved;
    uint64_t told_ns; /* when the owner will call tick; 0: it is at it */
    void (*wake)(void *ctx);
    void *wake_ctx;
    struct cg_map files;     /* identity -> ninep__file: what is leased, or being changed */
    struct cg_list breaking; /* leases */
    struct ninep__timer break_timer, grace_timer;
    uint32_t absent;              /* holders of the predecessor that have not come back */
    struct cg_list grace_waiting; /* targets of changes that wait for them */
    bool stopping;                /* records of holders stay for a successor */
    uint64_t mutations;           /* begun */
    struct cg_map lock_files;
    struct cg_list lock_waiting; /* requests */
};

enum ninep__dialect { NINEP__NONE, NINEP__NG, NINEP__FOREIGN };

struct ninep_conn {
    struct cg_list link;
    struct ninep_server *server;
    struct ninep_peer peer;
    struct ninep_conn_ops ops;
    void *ctx;
    struct ninep_framer framer;
    enum ninep__dialect dialect;
    uint32_t msize;
    uint32_t busy; /* calls under way: freed when the last ends */
    bool closing;  /* ops.close was called */
    bool gone;     /* ninep_conn_closed was called */
    struct ninep__timer hello;
    struct ninep_session *session;
    void *foreign; /* the dialect's own */
};

struct ninep_session {
    struct cg_list link;
    struct ninep_server *server;
    struct ninep_conn *conn; /* NULL: lingering */
    struct ninep_peer peer;  /* of the latest connection */
    uint8_t id[16], first_binding[32];
    bool foreign;
    bool condemned;               /* does not give leases back: may not resume */
    bool leaving;                 /* the client has said goodbye: nobody will resume it */
    bool lingered;                /* and was given the time to finish, once */
    bool ended;                   /* lives only until its running requests are answered */
    bool watches;                 /* has sent Twatch: may be granted leases */
    uint8_t old_id[16];           /* of the session that the client had before, by its word */
    struct ninep__holder *holder; /* its record while it has leases; grace.c */
    uint64_t features;
    uint32_t msize;
    uint16_t slots_max, slots_cap;
    struct ninep__slot **slot;
    struct cg_list unacked; /* slots, in the order in which their replies were sent */
    uint64_t sent;
    struct cg_list requests;
    uint32_t inflight;
    struct cg_map chains, fids;
    struct cg_list leases;
    uint32_t lease_count;
    struct cg_list events; /* leases whose break the client has not acknowledged, by number */
    uint32_t event_count;
    uint64_t event_last, event_sent; /* numbers */
    uint64_t lost;                   /* number of a LOST event to be acknowledged; 0: none */
    struct ninep__req *watch;
    uint64_t heard_ns;
    uint64_t mutations;
    struct cg_list locks;
    uint32_t lock_count;
    uint32_t complaints;       /* logged */
    struct ninep__timer timer; /* the end of lingering; while connected: of kept fids */
    char user[64];
};

struct ninep__fid {
    struct ninep_fid pub;
    uint32_t refs;
    bool bound; /* its number finds it */
    bool ready; /* the file server knows it */
    bool opening;
    bool attached; /* made by Tattach */
    uint32_t mode;
    uint64_t expires_ns; /* wall clock; 0: never */
};

struct ninep__slot {
    uint32_t seq;
    uint16_t tag;
    struct ninep__req *req;     /* under way */
    bool heard;                 /* the last request came over the session's connection */
    struct ninep_frame *record; /* the reply, until it is acknowledged */
    bool once;                  /* class of the last request */
    uint64_t sent;              /* session.sent of its reply */
    uint64_t kept_ns;
    struct cg_list unacked_link;
    struct ninep__fid *fid, *newfid; /* kept for the replay of a chained idem request */
};

struct ninep__chain {
    struct ninep_session *session;
    uint32_t id;
    bool failed, closed; /* closed: LAST was taken in, its id finds it no more */
    struct cg_list queue;
};

/* A file that is leased, or that a request is about to read under lease or to change. */
struct ninep__file {
    struct ninep_xqid id;
    uint32_t readers, writers; /* requests */
    uint64_t breaks;           /* begun mutations: a reader grants only if none came between */
    bool told;                 /* ops.leased(on) */
    struct cg_list leases, waiting;
};

struct ninep__lease {
    struct cg_list by_file, by_session, breaking_link, event_link;
    struct ninep__file *file; /* NULL: ended; kept until its event is acknowledged */
    struct ninep_session *session;
    struct ninep_xqid id;
    uint64_t event; /* 0: not breaking */
    uint64_t broke_ns, sent_ns;
};

struct ninep__target {
    struct cg_list link; /* in file.waiting when parked */
    struct ninep__file *file;
    struct ninep__req *req;
};

enum ninep__state {
    NINEP__QUEUED,  /* waits for its turn in its chain */
    NINEP__READY,   /* on the ready list */
    NINEP__PARKED,  /* waits for leases */
    NINEP__LOCKING, /* waits for a lock */
    NINEP__WATCHING,
    NINEP__RUNNING, /* the file server has it */
    NINEP__DONE,    /* is being answered */
};

/* Told instead of sending: for foreign dialects. r's spans are valid during the call. */
typedef void ninep__told(void *aux, struct ninep__req *req, cg_err e, const union ninep_rmsg *r,
                         const char *detail);

struct ninep__req {
    struct ninep_req pub;
    struct cg_list link;       /* in session.requests */
    struct cg_list queue_link; /* in server.ready or lock_waiting */
    struct cg_list lock_link;  /* in a search for deadlock */
    bool lock_seen;
    struct cg_list chain_link;
    struct ninep_session *session;
    struct ninep__slot *slot; /* NULL: foreign */
    struct ninep__chain *chain;
    const struct ninep__op *op;
    enum ninep__state state;
    bool resolved, last, timing, cancelled, timed_out, has_cancel;
    bool opening;         /* holds fid.opening */
    uint32_t walk_newfid; /* Twalk without names, while the file server sees a Tgetattr */
    cg_err verdict;       /* decided before it runs */
    uint16_t index;       /* of the element that failed */
    struct ninep_frame *in, *out;
    struct ninep_frame *big; /* the reply with a payload; out is then the record or unused */
    uint32_t data_at;        /* where a payload begins in the reply frame */
    uint32_t dir_end;        /* Treaddir: end of the entries so far */
    uint64_t begun_ns;
    uint64_t mutations, mutations_own;
    struct ninep__timer deadline;
    struct ninep__file *reading;
    uint64_t reading_breaks;
    struct ninep__target target[NINEP__TARGETS_MAX];
    uint32_t targets;
    struct ninep__fid *made; /* the fid that it makes: ready when it succeeds, else gone */
    uint16_t cancel_tag;
    /* What follows the file server's answer, when that is not the end. */
    void (*then)(struct ninep__req *req, cg_err e);
    struct ninep_grant *grant; /* attach */
    struct ninep__way *way;    /* a walk by ops.walk: see walk.c */
    const char *path;          /* an attach by ops.walk: what is left of the granted path */
    ninep__told *told;
    void *told_aux;
};

/* One operation: see op.c. */
struct ninep__op {
    uint8_t type;
    uint16_t needs;
    uint64_t feature;
    int handler; /* offset in ninep_ops, or -1 */
    void (*run)(struct ninep__req *req);
    cg_err (*check)(struct ninep__req *req);
    void (*targets)(struct ninep__req *req);
    cg_err (*finish)(struct ninep__req *req);
};

/* ---- timer.c ---- */
cg_err ninep__timer_reserve(struct ninep_server *s, uint32_t n);
void ninep__timer_unreserve(struct ninep_server *s, uint32_t n);
void ninep__timer_start(struct ninep_server *s, struct ninep__timer *t, uint64_t at_ns);
void ninep__timer_stop(struct ninep_server *s, struct ninep__timer *t);
void ninep__timers_run(struct ninep_server *s, uint64_t now_ns);
uint64_t ninep__timer_next(const struct ninep_server *s);

/* ---- server.c ---- */
uint64_t ninep__now(const struct ninep_server *s);
void ninep__server_gone(struct ninep_server *s); /* frees it when nothing is left */

/* ---- conn.c ---- */
void ninep__conn_send(struct ninep_conn *c, struct ninep_frame *f); /* takes f */
void ninep__conn_close(struct ninep_conn *c, const char *why);
void ninep__control_reply(struct ninep_conn *c, uint16_t tag, uint8_t type,
                          const union ninep_rmsg *r);
void ninep__control_error(struct ninep_conn *c, uint16_t tag, cg_err e, const char *detail);
void ninep__peer_text(const struct ninep_peer *p, char *out, size_t cap);

/* ---- session.c ---- */
cg_err ninep__session_new(struct ninep_conn *c, bool foreign, struct ninep_session **out);
struct ninep_session *ninep__session_find(struct ninep_server *s, const uint8_t id[16]);
cg_err ninep__session_resume(struct ninep_session *ss, struct ninep_conn *c, struct cg_span proof);
void ninep__session_lost(struct ninep_session *ss); /* its connection is gone */
void ninep__session_end(struct ninep_session *ss);
void ninep__session_put(struct ninep_session *ss); /* frees an ended one without requests */
/* Logs a refusal, with who it was. */
void ninep__complain(struct ninep_session *ss, const char *fmt, ...) CG_PRINTF(2, 3);
uint64_t ninep__session_term_ns(const struct ninep_session *ss);

/* ---- slot.c ---- */
void ninep__slot_frame(struct ninep_session *ss, const struct ninep_thead *h,
                       struct ninep_frame *f);                                      /* takes f */
void ninep__slot_answered(struct ninep__req *req, struct ninep_frame *f, cg_err e); /* borrows f */
struct ninep__slot *ninep__slot_get(struct ninep_session *ss, uint16_t tag);
void ninep__slot_acked(struct ninep__slot *sl);
void ninep__slots_resumed(struct ninep_session *ss, uint64_t now_ns);
void ninep__slots_expire(struct ninep_session *ss, uint64_t now_ns);
void ninep__slots_free(struct ninep_session *ss);

/* ---- chain.c ---- */
cg_err ninep__chain_add(struct ninep__req *req, uint32_t id); /* the request then has its turn */
void ninep__chain_done(struct ninep__req *req, cg_err e);
void ninep__chains_free(struct ninep_session *ss);

/* ---- request.c ---- */
struct ninep__req *ninep__req_new(struct ninep_session *ss, uint8_t type, uint32_t room);
void ninep__req_free(struct ninep__req *req);
void ninep__ready(struct ninep__req *req);
void ninep__pump(struct ninep_server *s);
void ninep__unready(struct ninep__req *req); /* off whatever list it waits on */
void ninep__finish(struct ninep__req *req, cg_err e);
void ninep__drop(struct ninep__req *req); /* ends without a reply */
/* Runs an NG request that came in a foreign dialect: t is copied, its spans stay valid until told
 * is called, which may be at once. data_at: where a payload shall begin in the frame that
 * ninep__req_take gives. False: no memory, told is not called. */
bool ninep__request(struct ninep_session *ss, uint8_t type, const union ninep_tmsg *t,
                    uint32_t data_at, ninep__told *told, void *aux, struct ninep__req **out);
struct ninep_frame *ninep__req_take(struct ninep__req *req); /* within told: the payload's frame */

/* ---- op.c ---- */
const struct ninep__op *ninep__op_find(uint8_t type); /* NULL: not a request of a slot */
void ninep__op_run(struct ninep__req *req);
void ninep__op_call(
    struct ninep__req *req); /* checked and free of leases: the file server's turn */

/* ---- walk.c ---- */
void ninep__run_attach(struct ninep__req *req);
void ninep__run_walk(struct ninep__req *req);
cg_err ninep__name_check(struct ninep__req *req, struct cg_span name);

/* ---- reply.c ---- */
uint32_t ninep__reply_room(uint8_t type, const union ninep_tmsg *t); /* without payload */
/* Where a type's payload begins. */
uint32_t ninep__reply_data_at(uint8_t type, const union ninep_tmsg *t);
cg_err ninep__reply_data(struct ninep__req *req, uint32_t cap); /* room for a payload */
/* Inlines the whole contents of fid when they are wanted, small and allowed. */
void ninep__reply_inline(struct ninep__req *req, struct ninep__fid *fid,
                         const struct ninep_attr *attr, uint32_t want, uint32_t max);
void ninep__reply_fill(struct ninep__req *req); /* what the framework knows better: rights, spans */
/* The frame to send, borrowed from req; req->out is what the ledger keeps. *e may become worse. */
struct ninep_frame *ninep__reply_encode(struct ninep__req *req, cg_err *e);
/* A whole reply outside the slots. NULL: no memory. */
struct ninep_frame *ninep__reply_frame(uint8_t type, uint16_t tag, const union ninep_rmsg *r);

/* ---- fid.c ---- */
struct ninep__fid *ninep__fid_find(struct ninep_session *ss, uint32_t num);
/* A new fid; NOFID: never bound. Bound ones are found, but not ready. */
cg_err ninep__fid_new(struct ninep_session *ss, uint32_t num, struct ninep__fid **out,
                      struct cg_errbuf *eb);
/* A ready copy of from under num. */
cg_err ninep__fid_clone(struct ninep__fid *from, uint32_t num, struct ninep__fid **out,
                        struct cg_errbuf *eb);
cg_err ninep__fid_bind(struct ninep__fid *f, uint32_t num); /* replaces the number's fid */
void ninep__fid_unbind(struct ninep__fid *f);
struct ninep__fid *ninep__fid_ref(struct ninep__fid *f);
void ninep__fid_put(struct ninep__fid *f); /* NULL is fine */
void ninep__fids_end(struct ninep_session *ss);
void ninep__run_clunk(struct ninep__req *req);

/* The identity of a file, for maps: generations apart, changes not. */
struct ninep__key {
    uint8_t bytes[20];
};
struct ninep__key ninep__key_of(const struct ninep_xqid *id);

/* ---- lease.c ---- */
bool ninep__leasable(const struct ninep__req *req, uint32_t want, const struct ninep_xqid *id);
void ninep__read_begin(struct ninep__req *req, struct ninep__fid *fid);
uint8_t ninep__read_grant(struct ninep__req *req); /* the lease that the reply tells */
void ninep__read_end(struct ninep__req *req);
/* Grants without having begun: right only where nothing can have come between. */
uint8_t ninep__grant_now(struct ninep__req *req, struct ninep__fid *fid,
                         const struct ninep_xqid *id);
bool ninep__quiet(const struct ninep__req *req, bool own); /* no mutation came between */
void ninep__target_add(struct ninep__req *req, const struct ninep_xqid *id);
/* True: the request may run, and holds its targets. False: it is parked, or verdict is set. */
bool ninep__write_begin(struct ninep__req *req);
void ninep__write_end(struct ninep__req *req);
void ninep__leases_end(struct ninep_session *ss);
void ninep__leases_lost_link(struct ninep_session *ss);
void ninep__run_watch(struct ninep__req *req);
void ninep__run_release(struct ninep__req *req);
void ninep__breaks_due(struct ninep_server *s, struct ninep__timer *t);

/* ---- measure.c ---- */

void ninep__measure_init(void);
void ninep__measure(const struct ninep__req *req, cg_err e); /* it is done */
void ninep__measure_bytes(uint32_t received, uint32_t sent);
void ninep__measure_state(const struct ninep_server *s);

/* ---- grace.c ---- */

void ninep__grace_begin(struct ninep_server *s);
bool ninep__grace_waits(struct ninep__req *req); /* true: it is woken when it may go on */
void ninep__grace_returned(struct ninep_session *ss);
/* The session has leases, or none any more. False: it cannot be written down. */
bool ninep__holder_on(struct ninep_session *ss);
void ninep__holder_off(struct ninep_session *ss);
void ninep__heard(struct ninep_session *ss); /* a message came */

/* ---- lock.c ---- */
void ninep__run_lock(struct ninep__req *req);
void ninep__run_getlock(struct ninep__req *req);
void ninep__locks_end(struct ninep_session *ss);

/* ---- cancel.c ---- */
void ninep__cancel(struct ninep_conn *c, uint16_t tag, const struct ninep_tcancel *t);
void ninep__cancel_request(struct ninep__req *req, cg_err e); /* e: why; answers it if it can */
void ninep__cancel_reply(struct ninep__req *req, cg_err e);
void ninep__deadline_fire(struct ninep_server *s, struct ninep__timer *t);

/* ---- foreign.c: a connection whose dialect is not NG ---- */
/* True: the dialect of that name is spoken from now on, and Rversion was sent. */
bool ninep__foreign_version(struct ninep_conn *c, struct cg_span version, uint32_t msize);
void ninep__foreign_frame(struct ninep_conn *c, struct ninep_frame *f); /* takes f */
void ninep__foreign_closed(struct ninep_conn *c);

#endif
