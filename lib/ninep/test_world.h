/* test_world.h: client and server framework together, in memory, with a clock that moves when
 * nothing else does. The link may be cut at any frame, and the client may be dead: then what it
 * sends reaches nobody. */
#ifndef COGNU_TEST_WORLD_H
#define COGNU_TEST_WORLD_H

#include "test_fs.h"

enum { WORLD_CALLS = 24, WORLD_STEPS_MAX = 200000 };

struct world {
    uint64_t now_ns, random;
    struct cg_env env;
    struct test_fs fs;
    struct ninep_server *server;
    struct ninep_conn *conn;
    struct ninep_client *client;
    struct cg_list up, down; /* frames to the server, to the client */
    bool connect_wanted, dead;
    uint32_t frames; /* carried so far */
    uint32_t cut_at; /* the frame that is lost with all behind it; 0: none */
    uint32_t cuts, lost_sessions;
    uint32_t chain, fid; /* of the calls */
};

void world_init(struct world *w);   /* the server, and no client */
void world_client(struct world *w); /* a new one, not started */
void world_step(struct world *w);   /* a frame each way, or a millisecond goes by */
void world_unlink(
    struct world *w); /* the link is gone with what it carried; the client is not told */
void world_fini(struct world *w);
uint8_t world_random(struct world *w);

/* The calls of the tests: a chain of walk, open and two appends to the log, then lone removals, and
 * lone calls that change nothing; more than there are slots. */
struct ninep_call world_call(const struct world *w, uint32_t i, const struct ninep_call *harmless);
/* What the server did, sorted: slots run side by side, so only chains have an order. */
const char *world_log(struct world *w);

#endif
