/* attr: attributes of the namespace as the kernel wants them. An owner is a principal: with the
 * top bit set it is a user number; the principal of the space's user is shown as who mounted it;
 * all others are nobody. */
#include "adapter.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static const uint64_t HOST_USER = 1ULL << 63;
enum { NS_PER_S = 1000000000, VALID_S_MAX = 60 };

static uint32_t number_of(const struct space *s, uint64_t principal, uint32_t own)
{
    if (principal & HOST_USER) {
        return (uint32_t)principal;
    }
    uint64_t ours = s->adapter->opt.principal;
    return ours != 0 && principal == ours ? own : NOBODY;
}

uint64_t attr_principal(const struct space *s, uid_t id, bool group)
{
    uint64_t ours = s->adapter->opt.principal;
    uid_t own = group ? s->owner.gid : s->owner.uid;
    return ours != 0 && id == own ? ours : HOST_USER | id;
}

static void split(int64_t t, uint64_t *s, uint32_t *ns)
{
    int64_t rest = t % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
    }
    *s = (uint64_t)((t - rest) / NS_PER_S);
    *ns = (uint32_t)rest;
}

/* The kernel's 32-bit form of a device number: 12 bits of major, 20 of minor. */
static uint32_t rdev_of(uint64_t rdev)
{
    uint32_t major = (uint32_t)(rdev >> 32), minor = (uint32_t)rdev;
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

void attr_fill(const struct space *s, const struct ns_stat *st, struct fuse_attr *out)
{
    const struct ninep_attr *a = &st->attr;
    memset(out, 0, sizeof(*out));
    out->ino = st->ino;
    out->size = a->size;
    out->blocks = a->blocks;
    split(a->atime, &out->atime, &out->atimensec);
    split(a->mtime, &out->mtime, &out->mtimensec);
    split(a->ctime, &out->ctime, &out->ctimensec);
    out->mode = a->mode;
    out->nlink = a->nlink;
    out->uid = number_of(s, a->owner, s->owner.uid);
    out->gid = number_of(s, a->group, s->owner.gid);
    out->rdev = rdev_of(a->rdev);
    out->blksize = a->blksize;
}

void attr_valid(const struct ns_stat *st, uint64_t *s, uint32_t *ns)
{
    uint64_t now = cg_env_real.now_ns(cg_env_real.ctx);
    uint64_t left = st->until_ns > now ? st->until_ns - now : 0;
    *s = left / NS_PER_S < VALID_S_MAX ? left / NS_PER_S : VALID_S_MAX;
    *ns = (uint32_t)(left % NS_PER_S);
}

void attr_entry(const struct space *s, const struct ns_stat *st, struct fuse_entry_out *out)
{
    memset(out, 0, sizeof(*out));
    out->entry_valid_nsec = st->hold ? NAMES_MS * 1000000 : 0;
    if (st->node) {
        out->nodeid = ns_node_id(st->node);
        attr_valid(st, &out->attr_valid, &out->attr_valid_nsec);
        attr_fill(s, st, &out->attr);
    }
}
