/* host: what the files of hostfs share.
 *
 * A node is a file that some fid, tree root or watch holds, by one O_PATH descriptor; nodes are
 * found by identity and mount, so that many fids of one file share a descriptor, and a read-only
 * mount's node is never taken for a writable one's. Identity is device, inode number and birth time
 * (folded into the generation): FS_IOC_GETVERSION would need the file to be opened and says no
 * more.
 *
 * Rule of every callback: host_enter first, so that the host's kernel checks the right user; then
 * system calls on descriptors and single names; a failure is told by host_fail.
 */
#ifndef HOST_H
#define HOST_H

#include "hostfs.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
    HOST_NAME_BYTES = NINEP_NAME_BYTES_MAX + 1,
    HOST_PATH_BYTES = 64,           /* "/proc/self/fd/N" */
    HOST_TARGET_BYTES = 4096,       /* PATH_MAX: no symbolic link is longer */
    HOST_VOLUMES_MAX = 4096,        /* file systems whose nature is remembered */
    HOST_SYNCS_MAX = 4096,          /* fsyncs under way: each holds a descriptor */
    HOST_COPY_BYTES_MAX = 16 << 20, /* of one Tcopy, so that one request cannot hold the loop */
    HOST_RETRIES_MAX = 8,           /* of a name that changes under our hands */
    HOST_LISTING_BYTES = 32768,     /* of one getdents64: what glibc uses */
    HOST_SETTLED_MS =
        50, /* a change time this old names one state: clocks of kernels tick in 10 ms */
    HOST_XATTR_LIST_BYTES = 1024, /* more names than this are not looked through for an ACL */
    HOST_GROUPS_MAX = 256,        /* of our own that count for rights: the kernel checks them all */
};

/* With this bit a principal is a user number of this host. */
#define HOST_USER (UINT64_C(1) << 63)

struct host_volume { /* a file system: what must be asked only once */
    uint64_t id;
    bool synthetic; /* its files are made when read */
    bool xattrs;
};

struct host_key { /* a node's */
    uint64_t volume, file, mount;
    uint32_t generation, zero;
};

struct host_node {
    struct hostfs *fs;
    struct host_key key;
    const struct host_volume *volume;
    uint32_t mode; /* the type; permissions as they were when it was found */
    uint32_t refs;
    int fd;            /* O_PATH */
    uint64_t listed;   /* the change number for which attrflags holds; 0: none */
    uint8_t attrflags; /* what listxattr said */
};

struct host_tree {
    char *name, *path;
    bool read_only, one_device;
    struct host_node *root;
};

/* Whom a fid acts for. */
struct host_user {
    uint64_t principal;
    uid_t uid;
    gid_t gid;
};

struct host_fid {
    struct host_node *node;
    const struct host_tree *tree;
    struct host_user user;
    int io; /* opened for contents or for listing; -1 */
};

struct host_watch;

struct hostfs {
    uv_loop_t *loop;
    struct ninep_server *server; /* known from the first lease on */
    struct host_tree tree[HOSTFS_TREES_MAX];
    uint32_t trees;
    struct host_user self;        /* principal unused */
    gid_t group[HOST_GROUPS_MAX]; /* supplementary ones of our own */
    int groups;
    bool impersonates;        /* may act for other local users */
    uid_t acting_uid;         /* this thread's file system user now */
    struct cg_map nodes;      /* by host_key */
    struct cg_map volumes;    /* by device */
    struct host_volume other; /* beyond HOST_VOLUMES_MAX: asked again each time */
    uint32_t syncs;
    int home; /* where the process was when it began; a listing works inside its directory */
    uint64_t temporaries; /* names given by put */
    uint8_t *scratch;     /* NINEP_INLINE_BYTES_MAX + 1: contents on their way into a listing */
    uint8_t *listing;     /* HOST_LISTING_BYTES */
    /* watch.c */
    int notify; /* inotify; -1: not to be had */
    uint32_t watches_max;
    uv_poll_t poll;
    uv_async_t wake;
    int handles;              /* of the loop, still open */
    struct cg_map watches;    /* by watch number */
    struct cg_map watched;    /* the same, by identity */
    struct cg_map leases;     /* by identity */
    struct cg_list unwatched; /* leases that could not be watched, or changed while being granted */
    struct cg_list held;      /* watches of the listing being made */
    struct cg_list lost;      /* watches whose entries lost names in this batch of events */
};

/* hostfs.c */
struct host_fid *host_fid(const struct ninep_fid *fid);
/* A fid's aux for a share of node; NULL: no memory. */
struct host_fid *host_fid_new(struct host_node *node, const struct host_tree *tree,
                              const struct host_user *user);
struct hostfs *host_enter(const struct ninep_fid *fid); /* acts as the fid's user from here on */
void host_enter_self(struct hostfs *fs);                /* acts as the server's own user */
/* The fid may change things: enters, refuses on read-only trees, and looks whether the host changed
 * the file before we do. */
cg_err host_enter_to_change(const struct ninep_fid *fid, struct cg_errbuf *eb);
/* The code of errno err, with a detail of the form "WHAT 'NAME': reason"; name may be empty. */
cg_err host_fail(struct cg_errbuf *eb, int err, const char *what, struct cg_span name);
bool host_name(struct cg_span name, char out[HOST_NAME_BYTES]);

/* node.c */
cg_err host_node_take(struct hostfs *fs, int fd, struct host_node **out,
                      struct statx *sx); /* takes fd in any case; *out is a reference */
struct host_node *host_node_share(struct host_node *n);
void host_node_put(struct host_node *n);
int host_statx(int dir, const char *name, struct statx *sx); /* "": dir itself; 0 or errno */
/* One element beneath dir, never through a link. An O_PATH descriptor, or -1 with errno. */
int host_resolve(const struct host_tree *tree, int dir, const char *name);
cg_err host_lookup(const struct host_fid *hf, const char *name, struct host_node **out,
                   struct statx *sx);                  /* resolve and take */
int host_reopen(const struct host_node *n, int flags); /* a descriptor, or -1 with errno */
/* Opens to read contents that nobody has asked for: that is no access, where the host lets us say
 * so. A descriptor, or -1 with errno. */
int host_peek(int dir, const char *name, int flags);
void host_path(int fd, char out[HOST_PATH_BYTES]);
const struct host_volume *host_volume(struct hostfs *fs, const struct statx *sx, int dir,
                                      const char *name);
void host_id(const struct host_volume *v, const struct statx *sx, struct ninep_xqid *id);

/* attr.c */
void host_attr_of(const struct ninep_fid *fid, const struct host_volume *v, const struct statx *sx,
                  struct ninep_attr *a); /* without attrflags */
/* The attrflags that follow from what listxattr gave, with errno. */
uint8_t host_attrflags(ssize_t len, const char *list);
/* Adds flags; a file with an access control list has its rights asked, by descriptor and name. */
void host_attr_flags(struct ninep_attr *a, const struct host_fid *hf, uint8_t flags, int dir,
                     const char *name);
/* Of n, as fid's user sees it. */
cg_err host_attr(const struct ninep_fid *fid, struct host_node *n, struct ninep_attr *a,
                 struct cg_errbuf *eb);
/* The same after a change of our own, which is remembered as such. */
cg_err host_attr_changed(const struct ninep_fid *fid, struct host_node *n, struct ninep_attr *a,
                         struct cg_errbuf *eb);
void host_getattr(struct ninep_req *r);
void host_setattr(struct ninep_req *r);
void host_xattrget(struct ninep_req *r);
void host_xattrset(struct ninep_req *r);
void host_statfs(struct ninep_req *r);

/* file.c */
cg_err host_open_node(const struct host_fid *hf, const struct host_node *n, uint32_t flags,
                      int *out, struct cg_errbuf *eb);
bool host_write_all(int fd, struct cg_span data); /* or errno */
cg_err host_slurp(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len);
void host_open(struct ninep_req *r);
void host_read(struct ninep_req *r);
void host_write(struct ninep_req *r);
void host_fsync(struct ninep_req *r);
void host_cancel(struct ninep_req *r);
void host_allocate(struct ninep_req *r);
void host_seek(struct ninep_req *r);
void host_copy(struct ninep_req *r);

/* dir.c */
void host_readdir(struct ninep_req *r);

/* name.c */
void host_create(struct ninep_req *r);
void host_remove(struct ninep_req *r);
void host_rename(struct ninep_req *r);
void host_link(struct ninep_req *r);
void host_put(struct ninep_req *r);
void host_readlink(struct ninep_req *r);

/* watch.c: changes that the host makes to what a client caches. */
cg_err host_watch_start(struct hostfs *fs);
void host_watch_stop(struct hostfs *fs);
void host_leased(struct ninep_server *s, struct ninep_fid *fid, const struct ninep_xqid *id,
                 bool on);
/* Watches n from now until the listing's end, so that no change between stat and lease is lost.
 * False: it cannot be watched. */
bool host_watch_hold(struct hostfs *fs, struct host_node *n);
void host_watch_release(struct hostfs *fs);
/* We are about to change id, which has this change number now: what the host did before counts. */
void host_watch_before(struct hostfs *fs, const struct ninep_xqid *id);
/* We changed id: events up to this change number are our own. */
void host_watch_after(struct hostfs *fs, const struct ninep_xqid *id);
/* We took a name from id, which we cannot look at through that name any more. */
void host_watch_unnamed(struct hostfs *fs, const struct ninep_xqid *id);
/* n moved, or has more than one name: its directory's watch will not do for its lease any more. */
void host_watch_itself(struct hostfs *fs, struct host_node *n, const struct ninep_xqid *id);

#endif
