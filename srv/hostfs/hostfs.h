/* hostfs: directories of the host as trees, as a table of callbacks for the 9P-NG server framework.
 *
 * Every path is resolved one element at a time beneath a directory's descriptor, by openat2 with
 * RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS: clients follow symbolic links, the server never does.
 * A fid stands for a file, not for a name: the descriptor behind it cannot come to mean another
 * one.
 */
#ifndef COGNU_HOSTFS_H
#define COGNU_HOSTFS_H

#include <cognu/ninep.h>
#include <uv.h>

enum { HOSTFS_TREES_MAX = 64 }; /* named on one command line */

struct hostfs;

struct hostfs_tree {
    const char *name; /* what clients attach to; borrowed during _new */
    const char *path; /* a directory of the host; borrowed during _new */
    bool read_only;   /* every change is refused with CG_EROFS */
    bool one_device;  /* mount points below are not entered */
};

struct hostfs_config {
    uv_loop_t *loop;                /* for fsync and for changes that the host makes */
    const struct hostfs_tree *tree; /* the first is the default */
    uint32_t trees;
};

extern const struct ninep_ops hostfs_ops; /* its server's aux is the struct hostfs */

/* Gives *out. Sets the process's umask to 0 and raises its limit of open files to the hard one.
 * Acts for other local users only when it runs as root without supplementary groups. */
cg_err hostfs_new(const struct hostfs_config *config, struct hostfs **out, struct cg_errbuf *eb);
/* After the server. Waits for fsyncs under way; the memory goes when the loop has run once more. */
void hostfs_free(struct hostfs *fs);

#endif
