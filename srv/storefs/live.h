/* The active tree as files: nodes of kind NODE_LIVE stand on a file of lib/active, NODE_CTL is the
 * file of commands. Modes bind everybody but root and the server's owner. */
#ifndef STOREFS_LIVE_H
#define STOREFS_LIVE_H

#include "node.h"

/* live.c: identities, rights, the way down, listings */
cg_err live_node(struct storefs *fs, struct active_node *n, struct node **out); /* takes n */
cg_err live_child(struct node *dir, struct cg_span name, struct node **out, struct cg_errbuf *eb);
void live_id(const struct node *n, struct ninep_xqid *id);
void live_attr(const struct ninep_fid *fid, const struct node *n, struct ninep_attr *out);
cg_err live_may(const struct ninep_fid *fid, const struct node *n, uint8_t rights,
                struct cg_errbuf *eb);
bool live_admin(const struct ninep_fid *fid, const struct storefs *fs);
bool live_owns(const struct ninep_fid *fid, const struct node *n);
/* CG_EROFS for what is in no active tree. */
cg_err live_need(const struct node *n, struct cg_errbuf *eb);
cg_err live_readdir(struct ninep_req *r, struct node *d);

/* live_name.c */
void live_create(struct ninep_req *r);
void live_put(struct ninep_req *r);
void live_remove(struct ninep_req *r);
void live_rename(struct ninep_req *r);
void live_link(struct ninep_req *r);

/* live_file.c */
cg_err live_open(struct ninep_req *r, struct node *n, uint32_t flags);
void live_write(struct ninep_req *r);
void live_setattr(struct ninep_req *r);
void live_xattrset(struct ninep_req *r);
void live_allocate(struct ninep_req *r);
void live_seek(struct ninep_req *r);
void live_copy(struct ninep_req *r);

/* sync.c */
void live_fsync(struct ninep_req *r);
void live_fsync_cancel(struct ninep_req *r);

/* ctl.c: commits, and who waits for one */
void ctl_write(struct ninep_req *r);
void ctl_cancel(struct ninep_req *r);
cg_err ctl_text(struct storefs *fs, struct cg_str *out);
void ctl_changed(struct storefs *fs); /* after every change: a commit may be due */

#endif
