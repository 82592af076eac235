/* nstest: simulated machines for the tests of lib/ns: file servers in memory, namespaces that dial
 * them over links with a delay, and calls that run the simulation until they are done. */
#ifndef COGNU_NSTEST_H
#define COGNU_NSTEST_H

#include <cognu/ns.h>
#include <cognu/sim.h>

enum {
    T_SERVERS_MAX = 8,
    T_USERS_MAX = 4,
    T_CONNS_MAX = 64,
    T_RESTARTS_MAX = 4,
    T_BYTES_MAX = 8 << 20
};

struct t_world;

struct t_server {
    struct t_world *world;
    char name[64]; /* node!service */
    const struct ninep_ops *ops;
    struct memfs *fs; /* its aux; NULL unless ops are memfs_ops */
    struct ninep_server *server;
    struct book *holders;                       /* outlives it */
    struct sim_server sims[T_RESTARTS_MAX + 1]; /* one for each life: timers refer to them */
    uint32_t life;
};

struct t_world {
    struct sim *sim;
    uint64_t delay_ns;
    uint32_t lease_ms; /* of servers that are made from now on; 0: their default */
    struct t_server servers[T_SERVERS_MAX];
    uint32_t server_count;
    struct t_user *users[T_USERS_MAX];
    uint32_t user_count;
    uint64_t tick_ns; /* when the users are ticked at the latest */
};

struct t_conn {
    bool used;
    struct t_user *user;
    struct sim_server *at;
    struct sim_client sim;
    struct ninep_client_config config; /* the namespace's */
};

struct t_user {
    struct t_world *world;
    struct ns *ns;
    struct t_conn conns[T_CONNS_MAX];
    uint32_t dials;
    uint32_t invalidated;
    void (*invalidate)(struct t_user *u, struct ns_node *n, enum ns_inval what);
    void (*around)(struct t_user *u, uint64_t offset, const uint8_t *data, size_t len);
    bool slow_kernel; /* says that it has not forgotten yet: token is for ns_invalidated */
    void *token;
    void *aux;
};

void t_world_init(struct t_world *w, uint64_t seed, uint64_t rtt_ns);
void t_world_fini(struct t_world *w); /* and its users */
struct t_server *t_serve(struct t_world *w, const char *name);
struct t_server *t_serve_ops(struct t_world *w, const char *name, const struct ninep_ops *ops);
/* Its sessions are gone, its files are not. Takes three round trips. */
void t_server_restart(struct t_server *s);
struct sim_server *t_sim(struct t_server *s);
void t_server_end(struct t_server *s);
void t_user_init(struct t_user *u, struct t_world *w);
cg_err t_user_mount(struct t_user *u, struct t_world *w); /* one with alpha!hostfs at its root */
void t_user_fini(struct t_user *u);
bool t_step(struct t_world *w);
void t_run(struct t_world *w, uint64_t ns);     /* lets so much time pass */
uint64_t t_round_trips(const struct t_user *u); /* of all its clients */
struct sim_client *t_client(struct t_user *u, uint32_t i);

cg_err t_ctl(struct t_user *u, const char *line);
char *t_text(struct t_user *u); /* cg_free it */
/* A counted node; NULL with *e set. */
struct ns_node *t_walk(struct t_user *u, const char *path, cg_err *e);
cg_err t_stat(struct t_user *u, const char *path, struct ns_stat *st);
cg_err t_open(struct t_user *u, const char *path, uint32_t flags, struct ns_file **f, bool *keep);
cg_err t_create(struct t_user *u, const char *path, uint32_t flags, struct ns_file **f);
cg_err t_pread(struct t_user *u, struct ns_file *f, uint64_t at, uint32_t n, void *out,
               size_t *got);
cg_err t_pwrite(struct t_user *u, struct ns_file *f, uint64_t at, const void *data, uint32_t n);
cg_err t_flush(struct t_user *u, struct ns_file *f);
cg_err t_cat(struct t_user *u, const char *path, char *out, size_t cap); /* NUL-terminated */
cg_err t_put(struct t_user *u, const char *path, const char *text);      /* create or truncate */
cg_err t_mkdir(struct t_user *u, const char *path);
cg_err t_remove(struct t_user *u, const char *path, bool dir);
cg_err t_rename(struct t_user *u, const char *from, const char *to);
cg_err t_setsize(struct t_user *u, const char *path, uint64_t size);
cg_err t_chmod(struct t_user *u, const char *path, uint32_t mode);
/* Names, each ended by a space, in the order given. */
cg_err t_ls(struct t_user *u, const char *path, bool plus, char *out, size_t cap);

#endif
