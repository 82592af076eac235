/* client_peer.h: a scripted server for tests of the client: no sockets, and a clock that the test
 * moves. What the client sends is kept in order; the test takes and answers it frame by frame. */
#ifndef COGNU_CLIENT_PEER_H
#define COGNU_CLIENT_PEER_H

#include <cognu/ninep.h>

enum { PEER_FRAMES_MAX = 4096, PEER_DONES_MAX = 4096, PEER_STATES_MAX = 64 };

/* A request as it was sent. */
struct sent {
    struct ninep_thead h;
    union ninep_tmsg t;
    struct ninep_frame *frame;
    bool version; /* Tversion: plain header */
};

struct told {
    uint64_t aux;
    cg_err e;
    char detail[CG_DETAIL_BYTES];
    uint32_t states; /* changes of state before it */
};

struct peer {
    struct ninep_client *client;
    struct ninep_client_config config;
    uint64_t now_ns;
    uint64_t random;
    struct cg_env env;
    struct ninep_frame *frame[PEER_FRAMES_MAX];
    uint32_t frames, taken;
    struct told told[PEER_DONES_MAX];
    uint32_t tolds;
    struct {
        enum ninep_client_state st;
        bool resumed;
        cg_err why;
        char detail[CG_DETAIL_BYTES];
    } state[PEER_STATES_MAX];
    uint32_t states;
    struct ninep_event event[64];
    uint32_t events;
    uint32_t connects, disconnects, wakes, credentials;
    bool release_events; /* give leases back at once */
    uint64_t epoch;
    uint16_t slots;
    uint32_t lease_ms, msize;
    uint64_t features;
};

void peer_init(struct peer *p); /* defaults; config may be changed before peer_new */
cg_err peer_new(struct peer *p);
void peer_fini(struct peer *p);
void peer_connect(struct peer *p); /* the client asked for it: here it is */
void peer_up(struct peer *p);      /* start, connect, and answer the start flight */
void peer_lose(struct peer *p);
void peer_pass(struct peer *p, uint64_t ms); /* time goes by in steps of the ticks that are due */
/* The next frame that was sent; its type must be this. */
struct sent peer_take(struct peer *p, uint8_t type);
uint32_t peer_pending(const struct peer *p);
void peer_answer(struct peer *p, const struct sent *s, uint8_t type, const union ninep_rmsg *r);
void peer_ok(struct peer *p, const struct sent *s); /* the reply of its type, all zero */
void peer_refuse(struct peer *p, const struct sent *s, cg_err e);
void peer_version(struct peer *p, const char *version);
void peer_session(struct peer *p, const struct sent *s, bool resumed);
void peer_bytes(struct peer *p, const void *data, size_t len);
/* A call whose done is kept in told[] under aux. */
uint64_t peer_call(struct peer *p, const struct ninep_call *call, uint64_t aux);
uint64_t peer_getattr(struct peer *p, uint32_t fid, uint64_t aux);    /* an idem request */
uint64_t peer_remove(struct peer *p, const char *name, uint64_t aux); /* a once request */
const struct told *peer_told(const struct peer *p, uint64_t aux);     /* NULL: not yet */

#endif
