/* sim: a world in one process, made from one seed: a clock that moves only when nothing is left to
 * do now, events, links that are cut, and a small file server in memory.
 *
 * Everything that happens follows from the seed and the program, so that a failure replays. Time is
 * in ns and starts at one second; the wall clock is the same plus an epoch. A link delivers bytes
 * in order, in pieces of random size, each way with its own delay; when it is cut, what was still
 * under way is lost, and each end hears of it later.
 */
#ifndef COGNU_SIM_H
#define COGNU_SIM_H

#include <cognu/ninep.h>

struct sim;
/* Asserts that there is memory: a test cannot go on without. */
struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *s); /* events that are left are forgotten */
const struct cg_env *sim_env(struct sim *s);
uint64_t sim_now(const struct sim *s);
uint64_t sim_random(struct sim *s, uint64_t below); /* 0 <= result < below */
bool sim_chance(struct sim *s, uint32_t percent);
/* The seed for a test: COGNU_SEED, or the one given; says on standard output how to replay it. */
uint64_t sim_seed(const char *test, uint64_t otherwise);

typedef void sim_fn(void *aux);
void sim_after(struct sim *s, uint64_t delay_ns, sim_fn *fn, void *aux);
bool sim_step(struct sim *s);                         /* the next event; false: there is none */
void sim_run_until(struct sim *s, uint64_t until_ns); /* all events up to then */

/* ---- links ---- */

struct sim_link;
struct sim_end_ops {
    void (*data)(void *ctx, const uint8_t *data, size_t len);
    void (*closed)(void *ctx); /* once; nothing follows */
};
/* Two ends, 0 and 1. */
struct sim_link *sim_link_new(struct sim *s, uint64_t delay_ns);
void sim_link_end(struct sim_link *l, int end, const struct sim_end_ops *ops, void *ctx);
void sim_link_send(struct sim_link *l, int end, const uint8_t *data, size_t len);
/* Both ways at once, or when so many more bytes have been sent from that end. Both ends hear of it
 * within a delay or two. */
void sim_link_cut(struct sim_link *l);
void sim_link_cut_after(struct sim_link *l, int end, uint64_t bytes);
/* This end is no longer interested: it hears nothing more, the other hears that the link is closed.
 * The link is freed when neither end is. */
void sim_link_leave(struct sim_link *l, int end);

/* ---- 9P over links ---- */

/* A server that accepts links, and ticks. */
struct sim_server {
    struct sim *sim;
    struct ninep_server *server;
    struct ninep_peer peer; /* what it is told of whoever connects */
    uint64_t tick_ns;       /* asked for; 0: none */
    uint32_t ticks;         /* events that refer to this */
    struct cg_list conns;
    bool stopped;
};
void sim_server_init(struct sim_server *ss, struct sim *s, struct ninep_server *server);
void sim_server_accept(struct sim_server *ss, struct sim_link *l, int end);
void sim_server_fini(struct sim_server *ss); /* closes its links; the server is the caller's */

/* A client that dials such a server, and ticks. Fill in config's callbacks but those of the link.
 */
struct sim_client {
    struct sim *sim;
    struct sim_server *server; /* NULL: nothing answers */
    struct ninep_client *client;
    struct sim_link *link; /* NULL: down */
    uint64_t delay_ns;
    uint64_t tick_ns; /* asked for; 0: none */
    uint32_t ticks;   /* events that refer to this */
    uint64_t dialled; /* links made so far */
    /* Called for each new link, so that a test may plan its end. May be NULL. */
    void (*linked)(struct sim_client *c);
    void *aux;
    bool stopped;
};
/* config.ctx must be c. */
cg_err sim_client_init(struct sim_client *c, struct sim *s, struct sim_server *server,
                       uint64_t delay_ns, const struct ninep_client_config *config);
void sim_client_fini(struct sim_client *c);

/* ---- a file server in memory, for tests ---- */

struct memfs;
struct memfs *memfs_new(const struct cg_env *env); /* asserts that there is memory */
void memfs_free(struct memfs *fs);                 /* all its fids are clunked */
extern const struct ninep_ops memfs_ops;           /* server_aux is the memfs */
/* Each request is given to later first; when that returns true it must see to it that memfs_run is
 * called for it once, or ninep_respond. NULL: all at once. */
void memfs_defer(struct memfs *fs, bool (*later)(void *ctx, struct ninep_req *r), void *ctx);
void memfs_run(struct ninep_req *r);
void memfs_walk(struct ninep_req *r); /* for ops.walk, of a copy of memfs_ops: walks may wait too */
/* The tree as text, one line a file, sorted: path, kind, size, contents as they are. For comparing.
 */
cg_err memfs_text(struct memfs *fs, struct cg_str *out);
void memfs_other_root(struct memfs *fs);          /* the same names in another directory */
uint64_t memfs_mutations(const struct memfs *fs); /* that took effect */
uint32_t memfs_fids(const struct memfs *fs);      /* references held by fids */

#endif
