/* client.h: what the files of the client share; include/cognu/ninep.h is its face.
 *
 * client.c        birth, death, accessors, the tick
 * client_link.c   connecting, the start flight, resuming, losing
 * client_call.c   calls: queue, slots, sending, cancelling, deadlines, reporting
 * client_reply.c  frames from the server
 * client_lease.c  the lease clock, the standing watch, pings, releases
 * client_fid.c    fid numbers and gathered clunks
 * client_kept.c   the session in a book, and out of it
 *
 * A call has a position (waiting for a slot, sent, or stranded by a lost session) and, apart from
 * it, may wait to be reported. Reports that no reply brings are gathered on a list and delivered
 * when the outermost entry into the client ends or at the next tick, so that done is never called
 * from within ninep_client_call. A call that was reported before its reply came (its deadline
 * passed, or it was cancelled while the link was down) keeps its slot as a ghost, because the
 * server counts the requests of a slot. A ghost that must be sent (again) is sent as a request that
 * has no effect and fails: the rest of its chain is then skipped, as after any failure.
 */
#ifndef COGNU_NINEP_CLIENT_H
#define COGNU_NINEP_CLIENT_H

#include <cognu/book.h>
#include <cognu/ninep.h>

enum {
    CLIENT_CALLS_MAX = 65536,     /* waiting for slots: far more is a caller that never waits */
    CLIENT_BYTES_MAX = 256 << 20, /* of frames of unanswered calls */
    CLIENT_FIDS_MAX = 65536,      /* what servers allow a session by default */
    CLIENT_RELEASES_MAX = 32,     /* leases given back in one request */
    CLIENT_SLOTS_RESERVED = 1,    /* for Trelease: others may wait for it to answer our calls */
    CLIENT_SLOTS_MIN = 4,         /* below, nothing is reserved and nothing is watched */
    CLIENT_GHOST_BYTES = NINEP_T_HEADER_BYTES + 8, /* any call's frame can become a ghost's */
    CLIENT_CREDENTIAL_BYTES_MAX = 16384,           /* a ticket of eight blocks with room */
    CLIENT_START_MS = 10000,    /* for connecting and for the start flight, each */
    CLIENT_PAUSE_MS_MIN = 50,   /* before the first reconnect */
    CLIENT_PAUSE_MS_MAX = 5000, /* before any */
    CLIENT_CANCEL_MS = 500,     /* beyond two round trips, for the outcome of a cancelled call */
    CLIENT_CLUNK_MS = 1,        /* clunks are gathered for so long, then go with the next call */
    CLIENT_CLUNK_MS_MAX = 5,    /* or alone */
    CLIENT_LEASE_MARGIN = 128,  /* this part of a term is left unused: clocks run apart */
    CLIENT_NAME_BYTES = 128,
};

#define CLIENT_MS UINT64_C(1000000) /* in ns */

enum call_place { CALL_NOWHERE, CALL_WAITING, CALL_SENT, CALL_STRANDED };

struct call {
    struct cg_list link;        /* in the list of its place */
    struct cg_list report_link; /* in reports */
    enum call_place place;
    bool reporting;
    bool internal;  /* the client's own: not counted, no deadline */
    bool last;      /* of its chain */
    bool cancelled; /* Tcancel was sent or is to be sent with it */
    bool ghost;     /* already reported */
    bool once;      /* class of the request */
    bool adopted;   /* made by a predecessor */
    bool clunk;     /* the ghost's newfid was clunked before the ghost was answered */
    uint8_t type;   /* of the request as it stands in the frame */
    uint8_t asked;  /* what the caller asked for */
    uint16_t slot;
    uint32_t chain;
    uint32_t newfid; /* the fid that it makes, or NOFID */
    uint32_t deadline_ms;
    cg_err result; /* when reporting, or stranded */
    uint64_t id, trace, origin;
    struct kept_call *kept; /* its record, NULL: none */
    uint64_t sent_ns;
    uint64_t deadline_ns; /* 0: none */
    struct ninep_frame *frame;
    ninep_done *done;
    void *aux;
};

struct slot {
    uint32_t seq;
    struct call *call;
};

struct ninep_client {
    struct ninep_client_config cfg; /* its strings are not used: see below */
    char *user, *tree;
    char name[CLIENT_NAME_BYTES];
    uint32_t depth; /* entries under way: callbacks may call back in */
    bool dying;     /* freed from within a callback */

    enum ninep_client_state state;
    bool linked;      /* between connected and lost */
    bool got_version; /* on this connection */
    bool got_session;
    bool credential_wanted;
    uint32_t credentials_stale; /* asked for on connections that are gone: answers to ignore */
    uint32_t attempts;          /* since the link was last up */
    cg_err why;                 /* the link is down, or the client dead */
    struct cg_errbuf why_text;
    struct ninep_peer peer;
    struct ninep_framer framer;

    bool has_session;
    bool attached; /* on this session */
    bool was_up;
    bool fresh;      /* this session has not been up yet */
    bool forgetting; /* what leases of an earlier one allowed: no watch until that is done */
    uint8_t id[16];
    uint8_t first_binding[32];
    uint64_t epoch, features;
    uint32_t msize, slots_in_force, lease_ms;
    uint64_t session_sent_ns;
    struct ninep_attr root_attr;

    struct slot *slot;
    uint16_t *slot_free; /* a stack */
    uint32_t slot_frees;
    struct cg_list waiting, sent, stranded, reports;
    uint32_t calls;      /* on the lists */
    uint64_t call_bytes; /* of their frames */
    uint32_t flying;     /* sent ones of callers */
    uint32_t ghosts;
    uint32_t chain_last;
    uint64_t call_last;

    uint32_t fid_base; /* lower numbers belonged to lost sessions: never used again */
    uint32_t fid_next;
    uint32_t *fid_free, *fid_clunk; /* stack of numbers to reuse; numbers to be clunked */
    uint8_t *fid_state;             /* of each number from fid_base on */
    uint32_t fid_frees, fid_clunks, fid_cap;
    uint64_t clunk_due_ns;

    struct call *watch;
    uint64_t event_seen;
    struct ninep_release release[CLIENT_RELEASES_MAX];
    uint32_t releases;
    uint64_t release_due_ns; /* of unasked ones */
    uint64_t renewed_ns;     /* send time of the last answered request */
    uint64_t ping_ns;        /* when the ping under way was sent; 0: none */
    size_t ping_left;        /* of the frame that was being received then */

    struct book *book; /* NULL: it is not kept */
    uint64_t book_number, call_order;
    struct kept_session *kept;
    bool clunk_rest;  /* fids that nobody claimed, once the adopted calls are answered */
    uint32_t adopted; /* calls that are not */

    uint64_t retry_ns, start_ns, deadlines_ns; /* 0: none */
    uint64_t tick_ns;                          /* what the owner was told last; 0: nothing due */

    struct ninep_frame *frame; /* whose reply is being delivered */
    uint32_t rtt_us;
    uint64_t round_trips, bytes_out, bytes_in, reconnects;
};

/* client.c */
uint64_t client__now(const struct ninep_client *c);
void client__enter(struct ninep_client *c);
bool client__leave(struct ninep_client *c);  /* false: c was freed */
void client__unwind(struct ninep_client *c); /* leave without delivering: done is called later */
void client__wake_at(struct ninep_client *c, uint64_t ns);

/* client_link.c */
void client__connect(struct ninep_client *c);
void client__drop(struct ninep_client *c, cg_err why, const char *fmt, ...) CG_PRINTF(3, 4);
void client__die(struct ninep_client *c, cg_err why, const char *detail);
void client__version(struct ninep_client *c, struct ninep_frame *f);
void client__session(struct ninep_client *c, const struct ninep_rsession *r);
void client__session_refused(struct ninep_client *c, cg_err e, const char *detail);
void client__up(struct ninep_client *c);
bool client__final(cg_err e); /* asking again will not heal it */

/* client_call.c */
/* A call of the client's own; NULL: no memory. */
struct call *client__call_own(struct ninep_client *c, uint8_t type, const union ninep_tmsg *t,
                              ninep_done *done);
struct call *client__call_new(struct ninep_client *c, uint8_t type,
                              struct ninep_frame *f); /* takes f */
bool client__ghost_frame(struct call *k);             /* false: no memory, the old one stays */
uint32_t client__new_fid(uint8_t type, const union ninep_tmsg *t); /* that it makes, or NOFID */
void client__queue(struct ninep_client *c, struct call *k, bool first);
void client__send_now(struct ninep_client *c, struct call *k); /* into a free slot */
void client__pump(struct ninep_client *c);
void client__resend(struct ninep_client *c);
void client__strand(
    struct ninep_client *c); /* the session is lost: takes sent calls off their slots */
void client__slots_init(struct ninep_client *c, uint32_t n);
void client__slots_limit(struct ninep_client *c, uint32_t n);
void client__answered(struct ninep_client *c, struct call *k); /* frees the slot, not the call */
void client__call_free(struct ninep_client *c, struct call *k);
void client__cancelled_lost(struct ninep_client *c); /* the link went: reports cancelled calls */
void client__report_all(struct ninep_client *c, cg_err e); /* those not yet sent */
void client__report_stranded(struct ninep_client *c);
void client__deliver(struct ninep_client *c);
/* ms 0: the client's own; UINT32_MAX: none. */
void client__set_deadline(struct ninep_client *c, struct call *k, uint32_t ms);
void client__deadlines(struct ninep_client *c, uint64_t now); /* reports what has passed */
void client__control(struct ninep_client *c, uint8_t type, const union ninep_tmsg *t);
/* Writes a request into a new frame; NULL: no memory, or it does not fit its fields. */
struct ninep_frame *client__encode(uint8_t type, const union ninep_tmsg *t);

/* client_kept.c: each does nothing when the client is not kept */
void client__keep_session(struct ninep_client *c); /* it is established and attached */
void client__forget_session(struct ninep_client *c);
void client__keep_counters(struct ninep_client *c); /* fids, chains, events that were seen */
void client__keep_waiting(struct ninep_client *c, struct call *k);
void client__keep_sent(struct ninep_client *c, struct call *k);
void client__keep_ghost(struct ninep_client *c, struct call *k);
void client__forget_call(struct ninep_client *c, struct call *k);
void client__adopted_done(struct ninep_client *c, struct call *k);
void client__clunk_rest(struct ninep_client *c);

/* client_lease.c */
void client__renew(struct ninep_client *c, uint64_t sent_ns);
void client__watch_start(struct ninep_client *c);
void client__watch_adopted(struct ninep_client *c, struct call *k);
void client__ponged(struct ninep_client *c);
void client__releases_send(struct ninep_client *c);
void client__ping(struct ninep_client *c, uint64_t now);
uint64_t client__ping_due(const struct ninep_client *c);
void client__rtt(struct ninep_client *c, uint64_t sent_ns);

/* client_fid.c */
enum fid_state { FID_FREE, FID_USED, FID_CLUNKING, FID_UNCLAIMED /* a predecessor's */ };
bool client__fids_grow(struct ninep_client *c, uint32_t cap);
bool client__fids_init(struct ninep_client *c);
void client__fids_lost(struct ninep_client *c);
void client__clunk(struct ninep_client *c, uint32_t fid); /* nothing can still make it */
void client__clunks_send(struct ninep_client *c);
uint64_t client__clunks_alone(const struct ninep_client *c);
void client__clunked(struct ninep_client *c, const struct call *k); /* a Tclunk was answered */

#endif
