/* msg: the messages of /dev/fuse, decoded and encoded.
 *
 * The kernel writes one request at a time: a header, a fixed structure, names that end in NUL, and
 * for some a payload. fmsg_decode checks all of it against one table of shapes; what it gives
 * borrows from the bytes. Structures come from <linux/fuse.h> of protocol 7.38; what is newer and
 * used is declared here. Numbers are in the host's byte order.
 */
#ifndef COGNU_FUSE_MSG_H
#define COGNU_FUSE_MSG_H

#include <cognu/base.h>
#include <linux/fuse.h>

/* Newer than 7.38, from the kernel's protocol log. */
enum {
    FMSG_INIT_IN_BYTES_MIN = 16 /* before 7.36 */
};
enum {
    FMSG_NOTIFY_RESEND = 7,    /* 7.41: give again what was given and not answered */
    FMSG_HAS_RESEND_2 = 1 << 7 /* of flags2: it can */
};
#define FMSG_DIRECT_IO_ALLOW_MMAP (1ULL << 36) /* 7.39: shared maps of direct_io files */

enum {
    FMSG_WRITE_BYTES_MAX = 1 << 20, /* the kernel's own limit: 256 pages */
    FMSG_PAGES_MAX = 256,
    FMSG_REQUEST_BYTES_MAX = FMSG_WRITE_BYTES_MAX + 4096, /* with header and structure */
};

struct fmsg {
    struct fuse_in_header h;
    union {
        struct fuse_forget_in forget;
        struct fuse_getattr_in getattr;
        struct fuse_setattr_in setattr;
        struct fuse_mknod_in mknod;
        struct fuse_mkdir_in mkdir;
        struct fuse_rename_in rename;
        struct fuse_rename2_in rename2; /* RENAME is given in this form too */
        struct fuse_link_in link;
        struct fuse_open_in open;
        struct fuse_create_in create;
        struct fuse_read_in read;
        struct fuse_write_in write;
        struct fuse_release_in release;
        struct fuse_fsync_in fsync;
        struct fuse_setxattr_in setxattr;
        struct fuse_getxattr_in getxattr;
        struct fuse_flush_in flush;
        struct fuse_lk_in lk;
        struct fuse_init_in init;
        struct fuse_interrupt_in interrupt;
        struct fuse_batch_forget_in batch;
        struct fuse_fallocate_in fallocate;
        struct fuse_lseek_in lseek;
    } in;
    const char *name;    /* file name, attribute name, or NULL */
    const char *newname; /* second name, or the target of a symbolic link */
    struct cg_span data; /* payload of WRITE and SETXATTR; members of BATCH_FORGET */
};

/* CG_EPROTO: the bytes break the protocol; h is set when at least a header was there (else zero).
 * CG_ENOSYS: an operation that is not in the table. CG_EINVAL: a name that no file may have. */
cg_err fmsg_decode(struct fmsg *m, const void *bytes, size_t len);
const char *fmsg_op_name(uint32_t opcode); /* "LOOKUP"; "?" */
/* The i-th member of a BATCH_FORGET. */
struct fuse_forget_one fmsg_forget(const struct fmsg *m, uint32_t i);

/* What to answer to INIT. minor is the kernel's. */
void fmsg_init_reply(const struct fuse_init_in *in, struct fuse_init_out *out);

/* Directory entries, appended to a buffer. False: it does not fit, nothing was added. */
struct fmsg_dir {
    uint8_t *data;
    uint32_t len, cap;
};
bool fmsg_dirent(struct fmsg_dir *d, uint64_t ino, uint64_t next, uint32_t mode, const char *name);
bool fmsg_direntplus(struct fmsg_dir *d, const struct fuse_entry_out *entry, uint64_t ino,
                     uint64_t next, uint32_t mode, const char *name);

#endif
