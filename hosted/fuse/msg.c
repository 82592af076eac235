/* msg: see msg.h. One table says how every request looks. */
#include "msg.h"

#include <string.h>

struct shape {
    const char *op;
    uint16_t fixed;   /* bytes of the structure after the header */
    uint8_t names;    /* NUL-terminated strings after it */
    bool elements;    /* they are names of files: elements of a path */
    bool payload;     /* bytes follow */
    bool stretchable; /* newer kernels send more than fixed, which is then the least */
};

#define FIXED(s) ((uint16_t)sizeof(struct s))

static const struct shape shapes[] = {
    [FUSE_LOOKUP] = {"LOOKUP", 0, 1, true, false, false},
    [FUSE_FORGET] = {"FORGET", FIXED(fuse_forget_in), 0, false, false, false},
    [FUSE_GETATTR] = {"GETATTR", FIXED(fuse_getattr_in), 0, false, false, false},
    [FUSE_SETATTR] = {"SETATTR", FIXED(fuse_setattr_in), 0, false, false, false},
    [FUSE_READLINK] = {"READLINK", 0, 0, false, false, false},
    [FUSE_SYMLINK] = {"SYMLINK", 0, 2, true, false, false},
    [FUSE_MKNOD] = {"MKNOD", FIXED(fuse_mknod_in), 1, true, false, false},
    [FUSE_MKDIR] = {"MKDIR", FIXED(fuse_mkdir_in), 1, true, false, false},
    [FUSE_UNLINK] = {"UNLINK", 0, 1, true, false, false},
    [FUSE_RMDIR] = {"RMDIR", 0, 1, true, false, false},
    [FUSE_RENAME] = {"RENAME", FIXED(fuse_rename_in), 2, true, false, false},
    [FUSE_LINK] = {"LINK", FIXED(fuse_link_in), 1, true, false, false},
    [FUSE_OPEN] = {"OPEN", FIXED(fuse_open_in), 0, false, false, false},
    [FUSE_READ] = {"READ", FIXED(fuse_read_in), 0, false, false, false},
    [FUSE_WRITE] = {"WRITE", FIXED(fuse_write_in), 0, false, true, false},
    [FUSE_STATFS] = {"STATFS", 0, 0, false, false, false},
    [FUSE_RELEASE] = {"RELEASE", FIXED(fuse_release_in), 0, false, false, false},
    [FUSE_FSYNC] = {"FSYNC", FIXED(fuse_fsync_in), 0, false, false, false},
    [FUSE_SETXATTR] = {"SETXATTR", FUSE_COMPAT_SETXATTR_IN_SIZE, 1, false, true, false},
    [FUSE_GETXATTR] = {"GETXATTR", FIXED(fuse_getxattr_in), 1, false, false, false},
    [FUSE_LISTXATTR] = {"LISTXATTR", FIXED(fuse_getxattr_in), 0, false, false, false},
    [FUSE_REMOVEXATTR] = {"REMOVEXATTR", 0, 1, false, false, false},
    [FUSE_FLUSH] = {"FLUSH", FIXED(fuse_flush_in), 0, false, false, false},
    [FUSE_INIT] = {"INIT", FMSG_INIT_IN_BYTES_MIN, 0, false, false, true},
    [FUSE_OPENDIR] = {"OPENDIR", FIXED(fuse_open_in), 0, false, false, false},
    [FUSE_READDIR] = {"READDIR", FIXED(fuse_read_in), 0, false, false, false},
    [FUSE_RELEASEDIR] = {"RELEASEDIR", FIXED(fuse_release_in), 0, false, false, false},
    [FUSE_FSYNCDIR] = {"FSYNCDIR", FIXED(fuse_fsync_in), 0, false, false, false},
    [FUSE_GETLK] = {"GETLK", FIXED(fuse_lk_in), 0, false, false, false},
    [FUSE_SETLK] = {"SETLK", FIXED(fuse_lk_in), 0, false, false, false},
    [FUSE_SETLKW] = {"SETLKW", FIXED(fuse_lk_in), 0, false, false, false},
    [FUSE_CREATE] = {"CREATE", FIXED(fuse_create_in), 1, true, false, false},
    [FUSE_INTERRUPT] = {"INTERRUPT", FIXED(fuse_interrupt_in), 0, false, false, false},
    [FUSE_DESTROY] = {"DESTROY", 0, 0, false, false, false},
    [FUSE_IOCTL] = {"IOCTL", 0, 0, false, false, true},
    [FUSE_BATCH_FORGET] = {"BATCH_FORGET", FIXED(fuse_batch_forget_in), 0, false, true, false},
    [FUSE_FALLOCATE] = {"FALLOCATE", FIXED(fuse_fallocate_in), 0, false, false, false},
    [FUSE_READDIRPLUS] = {"READDIRPLUS", FIXED(fuse_read_in), 0, false, false, false},
    [FUSE_RENAME2] = {"RENAME2", FIXED(fuse_rename2_in), 2, true, false, false},
    [FUSE_LSEEK] = {"LSEEK", FIXED(fuse_lseek_in), 0, false, false, false},
};

const char *fmsg_op_name(uint32_t opcode)
{
    return opcode < CG_COUNT(shapes) && shapes[opcode].op ? shapes[opcode].op : "?";
}

static const char *get_string(struct cg_buf *b)
{
    const uint8_t *from = b->base + b->pos;
    const uint8_t *nul = b->bad ? NULL : memchr(from, 0, cg_buf_left(b));
    if (!nul) {
        b->bad = true;
        return NULL;
    }
    cg_get_span(b, (size_t)(nul - from) + 1);
    return (const char *)from;
}

/* The counts inside a message agree with its length. */
static bool payload_ok(const struct fmsg *m)
{
    switch (m->h.opcode) {
    case FUSE_WRITE:
        return m->in.write.size == m->data.len;
    case FUSE_SETXATTR:
        return m->in.setxattr.size == m->data.len;
    case FUSE_BATCH_FORGET:
        return (uint64_t)m->in.batch.count * sizeof(struct fuse_forget_one) == m->data.len;
    default:
        return true;
    }
}

static void normalize_rename(struct fmsg *m)
{
    if (m->h.opcode == FUSE_RENAME) {
        uint64_t newdir = m->in.rename.newdir;
        m->in.rename2 = (struct fuse_rename2_in){.newdir = newdir};
    }
}

cg_err fmsg_decode(struct fmsg *m, const void *bytes, size_t len)
{
    struct cg_buf b = cg_buf_reader(bytes, len);
    struct cg_span head = cg_get_span(&b, sizeof(m->h));
    memset(m, 0, sizeof(*m));
    if (b.bad) {
        return CG_EPROTO;
    }
    memcpy(&m->h, head.data, sizeof(m->h));
    if (m->h.len != len) {
        return CG_EPROTO;
    }
    if (fmsg_op_name(m->h.opcode)[0] == '?') {
        return CG_ENOSYS;
    }
    const struct shape *s = &shapes[m->h.opcode];
    size_t fixed = s->fixed;
    if (s->stretchable && cg_buf_left(&b) > fixed) {
        size_t left = cg_buf_left(&b);
        fixed = left < sizeof(m->in) ? left : sizeof(m->in);
    }
    struct cg_span in = cg_get_span(&b, fixed);
    if (b.bad) {
        return CG_EPROTO;
    }
    memcpy(&m->in, in.data, fixed);
    m->name = s->names > 0 ? get_string(&b) : NULL;
    m->newname = s->names > 1 ? get_string(&b) : NULL;
    if (s->payload && !b.bad) {
        m->data = cg_get_span(&b, cg_buf_left(&b));
    }
    if (b.bad || (!s->stretchable && cg_buf_left(&b) > 0) || !payload_ok(m)) {
        return CG_EPROTO;
    }
    normalize_rename(m);
    bool second = m->newname && m->h.opcode != FUSE_SYMLINK;
    if (s->elements &&
        (!cg_name_ok(cg_span_of(m->name)) || (second && !cg_name_ok(cg_span_of(m->newname))))) {
        return strlen(m->name) > 255 || (second && strlen(m->newname) > 255) ? CG_ENAMETOOLONG
                                                                             : CG_EINVAL;
    }
    return CG_OK;
}

struct fuse_forget_one fmsg_forget(const struct fmsg *m, uint32_t i)
{
    struct fuse_forget_one one;
    cg_assert(i < m->in.batch.count);
    memcpy(&one, m->data.data + (size_t)i * sizeof(one), sizeof(one));
    return one;
}

/* ---- INIT ---- */

/* Wanted where offered. Not AUTO_INVAL_DATA: leases say when pages go. KILLPRIV_V2 lets the kernel
 * skip asking for security.capability at each write; face_file.c keeps the promise. Not
 * READDIRPLUS_AUTO, which gives attributes with the first page alone: only a listing gives names to
 * hold (names.c), and `ls -l` wants them all. */
static const uint64_t init_wanted =
    FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
    FUSE_DO_READDIRPLUS | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 |
    FUSE_MAX_PAGES | FUSE_EXPLICIT_INVAL_DATA | FUSE_CACHE_SYMLINKS | FUSE_INIT_EXT |
    FMSG_DIRECT_IO_ALLOW_MMAP;

enum {
    READAHEAD_BYTES_MAX = 8 << 20, /* the kernel takes the lower of this and its read_ahead_kb */
    BACKGROUND_MAX = 128, /* read-ahead and direct requests in flight: a fast link's worth */
    CONGESTION = 96,
};

void fmsg_init_reply(const struct fuse_init_in *in, struct fuse_init_out *out)
{
    uint64_t offered = in->flags;
    if (in->flags & FUSE_INIT_EXT) {
        offered |= (uint64_t)in->flags2 << 32;
    }
    uint64_t flags = offered & init_wanted;
    memset(out, 0, sizeof(*out));
    out->major = FUSE_KERNEL_VERSION;
    out->minor = FUSE_KERNEL_MINOR_VERSION;
    out->max_readahead = READAHEAD_BYTES_MAX;
    out->flags = (uint32_t)flags;
    out->flags2 = (uint32_t)(flags >> 32);
    out->max_background = BACKGROUND_MAX;
    out->congestion_threshold = CONGESTION;
    out->max_write = FMSG_WRITE_BYTES_MAX;
    out->max_pages = FMSG_PAGES_MAX;
    out->time_gran = 1;
}

/* ---- directory entries ---- */

static void *dir_room(struct fmsg_dir *d, size_t bytes)
{
    if (bytes > d->cap - d->len) {
        return NULL;
    }
    uint8_t *at = d->data + d->len;
    memset(at, 0, bytes);
    d->len += (uint32_t)bytes;
    return at;
}

static void fill_dirent(uint8_t *at, uint64_t ino, uint64_t next, uint32_t mode, const char *name)
{
    size_t n = strlen(name);
    struct fuse_dirent e = {
        .ino = ino, .off = next, .namelen = (uint32_t)n, .type = (mode & 0170000) >> 12};
    memcpy(at, &e, FUSE_NAME_OFFSET);
    memcpy(at + FUSE_NAME_OFFSET, name, n);
}

bool fmsg_dirent(struct fmsg_dir *d, uint64_t ino, uint64_t next, uint32_t mode, const char *name)
{
    uint8_t *at = dir_room(d, FUSE_REC_ALIGN(FUSE_NAME_OFFSET + strlen(name)));
    if (at) {
        fill_dirent(at, ino, next, mode, name);
    }
    return at != NULL;
}

bool fmsg_direntplus(struct fmsg_dir *d, const struct fuse_entry_out *entry, uint64_t ino,
                     uint64_t next, uint32_t mode, const char *name)
{
    uint8_t *at = dir_room(d, FUSE_REC_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + strlen(name)));
    if (at) {
        memcpy(at, entry, sizeof(*entry));
        fill_dirent(at + sizeof(*entry), ino, next, mode, name);
    }
    return at != NULL;
}
