/* server_hand.h: a client made by hand, for tests of the server: frames are encoded by the test and
 * replies wait until the test takes them; the clock moves when the test says so. */
#ifndef COGNU_SERVER_HAND_H
#define COGNU_SERVER_HAND_H

#include <cognu/sim.h>

enum { HAND_SLOTS = 64, HAND_REPLIES_MAX = 1024, HAND_MSIZE = 65536 };

extern bool hand_walks_wait; /* the server has ops.walk */

/* A server with a memfs behind it, and a clock. */
struct world {
    struct sim *sim;
    struct memfs *fs;
    struct ninep_server *server;
    struct ninep_server_config config;
    /* Deferred requests, in order of arrival. */
    struct ninep_req *waiting[HAND_REPLIES_MAX];
    uint32_t waitings;
    bool defer;           /* the next requests wait */
    uint32_t cancels;     /* ops.cancel was called so often */
    struct ninep_ops ops; /* memfs_ops, and a cancel */
    struct ninep_grant grant;
    cg_err refuse; /* what attach answers */
    struct ninep_auth auth;
};

void world_init(struct world *w); /* config may then be changed */
void world_start(struct world *w);
void world_fini(struct world *w);
void world_pass(struct world *w, uint64_t ms);   /* time goes by, in steps of what is due */
void world_run(struct world *w, uint32_t index); /* does a deferred request */

struct reply {
    struct ninep_frame *frame;
    struct ninep_rhead h;
    union ninep_rmsg r;
    bool taken;
};

struct hand {
    struct world *w;
    struct ninep_conn *conn; /* NULL: cut */
    struct ninep_peer peer;
    struct ninep_rsession session;
    uint32_t seq[HAND_SLOTS];
    struct ninep_frame *last[HAND_SLOTS]; /* for replays */
    struct reply reply[HAND_REPLIES_MAX];
    uint32_t replies;
    uint32_t sent;       /* frames that the server sent on this connection */
    uint32_t mute_after; /* frames of the server beyond so many are lost */
    bool closed;
    bool failed; /* no memory while the server was at work */
};

void hand_init(struct hand *h, struct world *w);
void hand_fini(struct hand *h);
bool hand_link(struct hand *h);   /* a connection without a session */
bool hand_start(struct hand *h);  /* a connection, a new session, an attach: fid 0 */
bool hand_resume(struct hand *h); /* a connection, the same session */
void hand_cut(struct hand *h);
void hand_bytes(struct hand *h, const void *data, uint32_t len); /* one frame */
/* Sends a request in a slot with the next seq. */
void hand_send(struct hand *h, uint16_t tag, uint32_t chain, bool last, uint8_t type,
               const union ninep_tmsg *t);
void hand_send_with(struct hand *h, const struct ninep_thead *head, const union ninep_tmsg *t);
void hand_replay(struct hand *h, uint16_t tag); /* the slot's last request once more */
/* The oldest reply for the tag that was not taken; NULL: none. */
struct reply *hand_take(struct hand *h, uint16_t tag);
uint32_t hand_pending(const struct hand *h);
/* One request in slot 0; its reply must be there at once. The error code, and the reply in *r. */
cg_err hand_call(struct hand *h, uint8_t type, const union ninep_tmsg *t, union ninep_rmsg *r);

/* Common requests in slot 0. */
cg_err hand_walk(struct hand *h, uint32_t fid, uint32_t newfid, const char *path,
                 union ninep_rmsg *r);
cg_err hand_open(struct hand *h, uint32_t fid, uint32_t flags);
cg_err hand_create(struct hand *h, uint32_t dir, uint32_t newfid, const char *name, uint32_t mode,
                   uint32_t flags);
cg_err hand_write(struct hand *h, uint32_t fid, uint64_t offset, const char *text);
cg_err hand_read(struct hand *h, uint32_t fid, char *out, size_t cap);
cg_err hand_remove(struct hand *h, uint32_t dir, const char *name);
cg_err hand_clunk(struct hand *h, uint32_t fid);
union ninep_tmsg hand_clunk_msg(const uint32_t *fid); /* borrows fid: one, little-endian host */
union ninep_tmsg hand_walk_msg(uint32_t fid, uint32_t newfid, const char *path);

#endif
