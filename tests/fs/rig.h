/* rig: a file server and its clients in one process, joined by queues of frames, driven until a
 * call is answered. The file server is ramfs or hostfs: which, says the kind that a test is linked
 * with.
 *
 * Calls wait; a call that is not answered within RIG_WAIT_MS fails the test. Paths are walked from
 * the client's root, element by element, and never through symbolic links.
 */
#ifndef RIG_H
#define RIG_H

#include <cognu/ninep.h>
#include <uv.h>

enum { RIG_WAIT_MS = 20000, RIG_CLIENTS_MAX = 4, RIG_EVENTS_MAX = 8192, RIG_NAMES_MAX = 16 };

/* How to have a file server with one writable tree. */
struct rig_kind {
    const char *name;
    bool host;       /* a real file system stands behind it */
    bool unreserved; /* allocating a range gives it no space of its own */
    /* bytes: the least that fits; 0: plenty. Gives ops and aux; where is hostfs's directory. */
    void (*start)(uv_loop_t *loop, uint64_t bytes, const struct ninep_ops **ops, void **aux,
                  char where[256]);
    void (*stop)(void *aux); /* the server is gone */
    uint64_t bytes_small;    /* what to give start for a small file system; 0: it cannot */
};
extern const struct rig_kind rig_kind;

struct rig;

struct rig_client {
    struct rig *rig;
    struct ninep_client *client;
    struct ninep_conn *conn;
    struct ninep_peer peer;
    struct cg_list to_server, to_client; /* frames */
    bool wanted;
    /* the last call */
    bool done;
    cg_err err;
    union ninep_rmsg r;
    struct ninep_frame *frame;
    char detail[256];
    /* what was broken */
    struct ninep_event event[RIG_EVENTS_MAX];
    uint32_t events;
};

struct rig {
    uv_loop_t loop;
    struct ninep_server *server;
    void *aux;
    char where[256];
    struct rig_client *client[RIG_CLIENTS_MAX];
    uint32_t clients;
};

/* A seed for random tests: COGNU_SEED or a fixed one; printed. */
uint64_t rig_seed(void);
uint64_t rig_random(uint64_t *state);

struct rig *rig_new(uint64_t bytes);
/* The same around a file server that the test made itself. */
struct rig *rig_around(const struct ninep_ops *ops, void *aux, struct rig *rig);
struct rig *rig_bare(void); /* only a loop, for rig_around */
struct rig_client *rig_attach(struct rig *rig, uint32_t uid, const char *tree);
void rig_free(struct rig *rig);      /* stops rig_kind's server */
void rig_free_bare(struct rig *rig); /* the test stops its own; the loop is closed last */
void rig_close_loop(struct rig *rig);
void rig_turn(struct rig *rig);                /* moves what can move, without waiting */
void rig_settle(struct rig *rig, uint32_t ms); /* lets time pass */

/* One request. The reply is in c->r until the next call. */
cg_err rig_call(struct rig_client *c, uint8_t type, const union ninep_tmsg *t);
uint32_t rig_events_of(const struct rig_client *c, const struct ninep_xqid *id); /* breaks heard */

/* ---- on paths. "" is the root. Fids that are given must be clunked. ---- */
cg_err rig_walk(struct rig_client *c, const char *path, uint32_t *fid);
void rig_clunk(struct rig_client *c, uint32_t fid);
cg_err rig_stat(struct rig_client *c, const char *path, struct ninep_attr *a);
cg_err rig_fstat(struct rig_client *c, uint32_t fid, struct ninep_attr *a);
cg_err rig_open(struct rig_client *c, const char *path, uint32_t flags, uint32_t *fid);
/* A regular file, opened with flags; fid may be NULL. */
cg_err rig_create(struct rig_client *c, const char *path, uint32_t flags, uint32_t mode,
                  uint32_t *fid);
cg_err rig_mknod(struct rig_client *c, const char *path, uint32_t mode, uint64_t rdev,
                 const char *target);
cg_err rig_mkdir(struct rig_client *c, const char *path, uint32_t mode);
cg_err rig_symlink(struct rig_client *c, const char *target, const char *path);
cg_err rig_readlink(struct rig_client *c, const char *path, char out[4096]);
cg_err rig_write(struct rig_client *c, uint32_t fid, uint64_t offset, const void *data,
                 uint32_t len, uint32_t *count);
cg_err rig_read(struct rig_client *c, uint32_t fid, uint64_t offset, void *data, uint32_t len,
                uint32_t *count);
cg_err rig_remove(struct rig_client *c, const char *path, bool dir);
cg_err rig_rename(struct rig_client *c, const char *from, const char *to, uint32_t flags);
cg_err rig_link(struct rig_client *c, const char *from, const char *to);
cg_err rig_setattr(struct rig_client *c, const char *path, const struct ninep_tsetattr *t);
cg_err rig_chmod(struct rig_client *c, const char *path, uint32_t mode);
cg_err rig_truncate(struct rig_client *c, const char *path, uint64_t size);
cg_err rig_put(struct rig_client *c, const char *path, uint32_t flags, uint32_t mode,
               const void *data, uint32_t len);
cg_err rig_setxattr(struct rig_client *c, const char *path, const char *name, const void *value,
                    uint32_t len, uint32_t flags);
/* Up to cap bytes; *len is the whole size. */
cg_err rig_getxattr(struct rig_client *c, const char *path, const char *name, void *value,
                    uint32_t cap, uint32_t *len);

/* One page of a listing; entries borrow from c's frame. Gives the number, *eof. */
struct rig_names {
    uint32_t count;
    struct ninep_entry entry[1024];
    bool eof;
};
cg_err rig_readdir(struct rig_client *c, uint32_t fid, uint64_t cookie, uint32_t count,
                   uint32_t want, uint32_t inline_max, struct rig_names *out);
/* All names of a directory, each once, sorted and joined by blanks. */
cg_err rig_names(struct rig_client *c, const char *path, struct cg_str *out);

#endif
