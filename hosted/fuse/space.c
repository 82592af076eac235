/* space: one namespace with its superblock, from the device's arrival to its unmounting. */
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Newer than the headers: Linux 6.11, <linux/nsfs.h>. */
#define NS_PID_FROM_PIDNS _IOR(0xb7, 0x6, int)

struct space *space_of(struct freq *r)
{
    return fdev_ctx(r->dev);
}

/* ---- what the kernel is to forget ---- */

/* Pages of a write that is under way are locked by the writer, and its answer may wait for this
 * very invalidation on the other side: such a range is left out, and done after the answer. */
static void note_data(struct space *s, uint64_t nodeid)
{
    uint64_t at = 0;
    while (at < INT64_MAX) {
        uint64_t next = INT64_MAX, end = 0;
        CG_LIST_EACH (l, fdev_requests(s->dev)) {
            struct freq *r = CG_CONTAINER(l, struct freq, link);
            const struct fuse_write_in *w = &r->m.in.write;
            if (r->m.h.opcode != FUSE_WRITE || r->m.h.nodeid != nodeid) {
                continue;
            }
            uint64_t from = w->offset & ~4095ULL, to = (w->offset + w->size + 4095) & ~4095ULL;
            r->stale = true;
            if (to > at && from < next) {
                next = from;
                end = to;
            }
        }
        if (next > at) {
            fdev_note_inode(s->dev, nodeid, (int64_t)at,
                            next == INT64_MAX ? 0 : (int64_t)(next - at));
        }
        at = next == INT64_MAX ? next : end;
    }
}

static void on_invalidate(void *ctx, struct ns_node *node, enum ns_inval what)
{
    struct space *s = ctx;
    uint64_t nodeid = ns_node_id(node);
    if (!s->dev) {
        return;
    }
    switch (what) {
    case NS_INVAL_ATTR:
        fdev_note_inode(s->dev, nodeid, -1, 0);
        break;
    case NS_INVAL_DATA:
        note_data(s, nodeid);
        break;
    }
}

static void on_around(void *ctx, struct ns_node *node, uint64_t offset, const void *data,
                      size_t len, struct ninep_frame *frame)
{
    struct space *s = ctx;
    if (s->dev) {
        fdev_note_store(s->dev, ns_node_id(node), offset, data, (uint32_t)len, frame);
    }
}

static bool on_fence(void *ctx, void *token)
{
    struct space *s = ctx;
    return !s->dev || fdev_settled(s->dev, token);
}

/* ---- the device's side ---- */

static void on_forget(void *ctx, uint64_t nodeid, uint64_t refs)
{
    struct space *s = ctx;
    struct ns_node *n = own_is(nodeid) ? NULL : ns_node_by_id(s->ns, nodeid);
    if (n) {
        ns_node_given(n, refs);
        ns_node_forget(n, refs);
    }
}

static void on_settled(void *ctx, void *token)
{
    struct space *s = ctx;
    ns_invalidated(s->ns, token);
}

static void on_gone(void *ctx)
{
    struct space *s = ctx;
    cg_log(CG_INFO, "namespace %s has ended", s->name);
    s->ending = true; /* freed at the loop's next turn: the device is still on the stack */
}

static void on_answer(void *ctx, struct freq *r, bool after)
{
    kept_answer(ctx, r, after);
}

static const struct fdev_ops device_ops = {face_request, face_interrupt, on_forget,
                                           on_settled,   on_gone,        on_answer};

/* ---- life ---- */

static cg_err make_ns(struct space *s, bool adopt, struct cg_errbuf *eb)
{
    const struct adapter *a = s->adapter;
    struct ns_config config = {
        .env = &cg_env_real,
        .dial = adapter_dial,
        .undial = adapter_undial,
        .invalidate = on_invalidate,
        .settled = on_fence,
        .around = on_around,
        .ctx = s,
        .book = a->keep ? a->book : NULL,
        .number = s->number,
        .outcome = kept_outcome,
        .pending = kept_pending,
        .self = a->opt.self,
        .user = a->opt.user,
        .names_ns = (NAMES_MS + NAMES_SLACK_MS) * UINT64_C(1000000),
    };
    if (adopt) {
        return ns_adopt(&config, &s->ns, eb);
    }
    cg_err e = ns_new(&config, &s->ns);
    return e == CG_OK ? e : cg_fail(eb, e, "no memory for a namespace");
}

static struct space *make(struct adapter *a, uint64_t number, const char *name, struct owner owner)
{
    struct space *s = a->space_count < SPACES_MAX ? cg_zalloc(sizeof(*s)) : NULL;
    if (!s) {
        return NULL;
    }
    *s = (struct space){.adapter = a, .number = number, .owner = owner, .handle_free = UINT32_MAX};
    snprintf(s->name, sizeof(s->name), "%s", name);
    cg_map_init(&s->locks, 2 * sizeof(uint64_t));
    cg_map_init(&s->origins, sizeof(uint64_t));
    cg_list_init(&s->jobs);
    cg_list_init(&s->graced);
    cg_list_push(&a->spaces, &s->link);
    a->space_count++;
    return s;
}

static cg_err no_space(int fd, struct cg_errbuf *eb)
{
    close(fd);
    return cg_fail(eb, CG_ELIMIT, "this adapter serves its most namespaces");
}

cg_err space_new(struct adapter *a, const char *name, int fd, struct owner owner,
                 struct space **out, struct cg_errbuf *eb)
{
    struct space *s = make(a, a->space_last + 1, name, owner);
    if (!s) {
        return no_space(fd, eb);
    }
    a->space_last++;
    cg_err e = make_ns(s, false, eb);
    e = e ? e : kept_space(s, fd, eb);
    if (e != CG_OK) {
        close(fd);
    } else {
        e = fdev_new(a->loop, fd, &device_ops, s, &s->dev, eb);
    }
    if (e != CG_OK) {
        space_free(s);
        return e;
    }
    *out = s;
    return CG_OK;
}

cg_err space_adopt(struct adapter *a, uint64_t number, const char *name, int fd, struct owner owner,
                   void (*first)(struct space *s), struct space **out, struct cg_errbuf *eb)
{
    struct space *s = make(a, number, name, owner);
    if (!s) {
        return no_space(fd, eb);
    }
    first(s);
    cg_err e = make_ns(s, true, eb);
    if (e != CG_OK) {
        close(fd);
    } else {
        e = fdev_new(a->loop, fd, &device_ops, s, &s->dev, eb);
    }
    if (e != CG_OK) {
        space_free(s);
        return e;
    }
    *out = s;
    return CG_OK;
}

/* First the handles, then the namespace, which ends all operations and so answers what is under
 * way; then the device. */
void space_free(struct space *s)
{
    clone_abandon(s);
    if (s->ns) {
        handles_fini(s);
        own_fini(s);
        ns_free(s->ns);
    }
    if (s->dev) {
        fdev_free(s->dev);
    }
    kept_space_end(s);
    if (s->owner.pidns >= 0) {
        close(s->owner.pidns);
    }
    cg_map_fini(&s->locks);
    cg_list_del(&s->link);
    s->adapter->space_count--;
    cg_free(s);
}

/* ---- processes of the mounter ---- */

bool space_is_fuse(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 229);
}

int space_pidns_of(pid_t pid)
{
    char path[40];
    struct stat ours, theirs;
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && stat("/proc/self/ns/pid", &ours) == 0 && fstat(fd, &theirs) == 0 &&
        (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

uint32_t space_pid(struct space *s, uint32_t pid)
{
    if (s->owner.pidns < 0 || pid == 0) {
        return pid;
    }
    int ours = ioctl(s->owner.pidns, NS_PID_FROM_PIDNS, (int)pid);
    return ours > 0 ? (uint32_t)ours : 0;
}
