/* export: the program cognu-export, in pieces: one process, one loop, several exports.
 *
 * An export is a part of somebody's namespace that other nodes attach as a tree: a namespace of its
 * own, made from the text of its owner's, and one directory in it. main.c serves the files by which
 * exports are made, export.c holds their lives, tree*.c answer what is asked of their trees, by
 * calls of the namespace.
 *
 * Rules. A fid is a node of the namespace; a request goes one element down, never up, and no link
 * is followed here: so nothing outside of the directory is reached by names. What is moved out of
 * it while a fid holds it stays reachable by that fid, as an open file does. Nothing is cached by
 * clients: an export has no leases to give. An export ends with the file that made it: from then on
 * its fids are stale, its requests are cancelled, and the namespace is gone when these have ended.
 */
#ifndef COGNU_EXPORT_H
#define COGNU_EXPORT_H

#include <cognu/ninep.h>
#include <cognu/ns.h>
#include <cognu/secure_uv.h>

enum {
    EXPORTS_MAX = 64,       /* each a namespace with sessions of its own */
    EXPORT_NAME_BYTES = 64, /* as a tree's name on the wire */
    EXPORT_USERS_MAX = 64,  /* who may attach one */
    EXPORT_CACHE_BYTES = 8 << 20,
};

struct export
{
    struct cg_list link;
    uint32_t refs; /* its owner's, fids', requests' */
    char name[EXPORT_NAME_BYTES];
    char *path;
    bool read_only, dead, anyone;
    uint64_t user[EXPORT_USERS_MAX]; /* principals that may attach, besides the owner's */
    uint32_t users;
    struct ns *ns;        /* NULL when dead and done */
    struct ns_node *root; /* of what is served; NULL before it is */
    uint64_t volume;
    struct cg_list fids; /* xfid.link */
    struct cg_list jobs; /* job.link: requests under way */
    struct ns_script *script;
    struct ns_op *op; /* on the way to root */
    char *at;         /* rest of that way */
    void (*made)(void *aux, cg_err e, const char *detail);
    void *aux;
};

/* What a fid of an export is. */
struct xfid {
    struct cg_list link;
    struct export *x;
    struct ns_node *node; /* NULL: the export has ended */
    struct ns_file *file; /* open, or a directory that is being listed */
};

/* A request under way. */
struct job {
    struct cg_list link;
    struct export *x;
    struct ninep_req *r;
    struct ns_op *op;     /* NULL: none, or its end is being told */
    struct xfid *f, *g;   /* the request's fids */
    struct ns_file *file; /* a create's */
    uint32_t at;          /* of what is asked for afterwards */
};

/* ---- export.c ---- */

struct exports_config {
    uv_loop_t *loop;
    const char *srv, *dial, *self, *user, *key, *roster;
};
cg_err exports_start(const struct exports_config *config);
void exports_stop(void);

/* name is free, or "": then one is made up. users are names of the roster, or "*". done is called
 * once, later or from within, unless this fails: the directory is then served, or the export was
 * ended. */
cg_err export_new(const char *name, bool read_only, const char *path, char *const *users, int count,
                  const char *text, void (*done)(void *aux, cg_err e, const char *detail),
                  void *aux, struct export **out, struct cg_errbuf *eb);
void export_end(struct export *x); /* gives the owner's reference back */
struct export *export_find(struct cg_span name);
cg_err export_may_attach(const struct export *x, const struct ninep_fid *fid, struct cg_errbuf *eb);
cg_err exports_text(struct cg_str *out);
void export_put(struct export *x);

/* ---- tree.c ---- */

extern const struct ninep_ops tree_ops; /* for fids of exports only */
void xfid_end(struct xfid *f);          /* its export ends */

struct job *job_begin(struct ninep_req *r, bool changes); /* NULL: r was answered */
struct xfid *xfid_of(const struct ninep_fid *fid);
struct xfid *xfid_new(struct export *x, struct ns_node *node); /* takes node, also when it fails */
void job_end(struct job *j, cg_err e, const char *detail);
/* done has been called when op is NULL, and j may be gone. */
void job_wait(struct job *j, struct ns_op *op);
void attr_of(const struct export *x, const struct ninep_fid *fid, const struct ns_stat *st,
             struct ninep_attr *out);

/* ---- tree_change.c: requests that change something ---- */

void tree_create(struct ninep_req *r);
void tree_write(struct ninep_req *r);
void tree_remove(struct ninep_req *r);
void tree_rename(struct ninep_req *r);
void tree_link(struct ninep_req *r);
void tree_setattr(struct ninep_req *r);
void tree_xattrset(struct ninep_req *r);
void tree_allocate(struct ninep_req *r);
void tree_fsync(struct ninep_req *r);

#endif
