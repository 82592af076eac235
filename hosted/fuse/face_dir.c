/* face_dir: listings. "." and ".." come first, then what the namespace gives, then those of our
 * own names that it has not given. Cookies: the namespace's own are small; ours have bit 62. */
#include "adapter.h"

#include <string.h>
#include <sys/stat.h>

static const uint64_t COOKIE_DOT = 1ULL << 62;          /* after "." */
static const uint64_t COOKIE_DOTDOT = (1ULL << 62) + 1; /* after ".." */
static const uint64_t COOKIE_OWN = (1ULL << 62) + 2;    /* before our i-th name: + i */

struct listing {
    struct space *space;
    uint64_t fh, dir;
    bool plus, full;
    struct fmsg_dir out;
    uint8_t bytes[];
};

void face_opendir(struct space *s, struct freq *r)
{
    struct ns_node *n = face_node(s, r);
    if (n) {
        face_began(r, ns_open(s->ns, n, NINEP_OPEN_DIRECTORY, face_opened, r));
    }
}

void face_releasedir(struct space *s, struct freq *r)
{
    if (face_handle(s, r, r->m.in.release.fh)) {
        handle_free(s, r->m.in.release.fh);
        freq_error(r, 0);
    }
}

static bool add_own(struct listing *l, uint64_t id, uint64_t next, const char *name)
{
    struct fuse_entry_out entry;
    own_entry(l->space, id, &entry);
    const struct fuse_attr *a = &entry.attr;
    return l->plus ? fmsg_direntplus(&l->out, &entry, a->ino, next, a->mode, name)
                   : fmsg_dirent(&l->out, a->ino, next, a->mode, name);
}

static bool add_dot(struct listing *l, uint64_t next, const char *name)
{
    struct fuse_entry_out none = {0}; /* node 0: the kernel makes nothing of it */
    return l->plus ? fmsg_direntplus(&l->out, &none, l->dir, next, S_IFDIR, name)
                   : fmsg_dirent(&l->out, l->dir, next, S_IFDIR, name);
}

static void mark_shown(struct listing *l, const char *name)
{
    uint64_t id;
    const char *own;
    for (uint32_t i = 0; (own = own_name(l->space, l->dir, i, &id)); i++) {
        if (strcmp(own, name) == 0) {
            handle_of(l->space, l->fh)->shown |= 1u << i;
        }
    }
}

static bool on_emit(void *aux, uint64_t next, const char *name, const struct ns_stat *st)
{
    struct freq *r = aux;
    struct listing *l = r->aux;
    struct fuse_entry_out entry;
    uint64_t id;
    bool always = false;
    if (own_child(l->space, l->dir, name, &always) && always) {
        if (l->plus && st->node) {
            ns_node_forget(st->node, 1);
        }
        return true; /* ours hides it, and comes at the end */
    }
    if (l->plus) {
        attr_entry(l->space, st, &entry);
        l->full = !fmsg_direntplus(&l->out, &entry, st->ino, next, st->attr.mode, name);
        if (!l->full && st->node) {
            ns_node_taken(st->node, 1);
        }
    } else {
        l->full = !fmsg_dirent(&l->out, st->ino, next, st->attr.mode, name);
    }
    if (!l->full && own_name(l->space, l->dir, 0, &id)) {
        mark_shown(l, name);
    }
    return !l->full;
}

static void add_owns(struct listing *l, uint32_t from)
{
    uint64_t id;
    const char *name;
    for (uint32_t i = from; !l->full && (name = own_name(l->space, l->dir, i, &id)); i++) {
        if (!(handle_of(l->space, l->fh)->shown & 1u << i)) {
            l->full = !add_own(l, id, COOKIE_OWN + i + 1, name);
        }
    }
}

/* References that the kernel did not take. */
static void take_back(struct space *s, const uint8_t *data, uint32_t len)
{
    for (uint32_t at = 0; at < len;) {
        struct fuse_direntplus e;
        memcpy(&e, data + at, FUSE_NAME_OFFSET_DIRENTPLUS);
        struct ns_node *n = own_is(e.entry_out.nodeid) || !e.entry_out.nodeid
                                ? NULL
                                : ns_node_by_id(s->ns, e.entry_out.nodeid);
        if (n) {
            ns_node_given(n, 1);
            ns_node_forget(n, 1);
        }
        at += (uint32_t)FUSE_DIRENTPLUS_SIZE(&e);
    }
}

static void reply(struct freq *r, struct listing *l)
{
    if (!freq_reply(r, l->out.data, l->out.len, NULL, 0) && l->plus) {
        take_back(l->space, l->out.data, l->out.len);
    }
    cg_free(l);
}

static void on_listed(void *aux, cg_err e, const char *detail)
{
    struct freq *r = aux;
    struct listing *l = r->aux;
    if (e != CG_OK && l->out.len == 0) {
        cg_free(l);
        face_fail(r, e, detail);
        return;
    }
    if (e == CG_OK && !l->full) {
        add_owns(l, 0);
    }
    reply(r, l);
}

static struct listing *listing_new(struct space *s, struct freq *r)
{
    uint32_t size = r->m.in.read.size;
    size = size < FMSG_WRITE_BYTES_MAX ? size : FMSG_WRITE_BYTES_MAX;
    struct listing *l = cg_alloc(sizeof(*l) + size);
    if (l) {
        *l = (struct listing){.space = s, .fh = r->m.in.read.fh, .dir = r->m.h.nodeid};
        l->plus = r->m.h.opcode == FUSE_READDIRPLUS;
        l->out = (struct fmsg_dir){.data = l->bytes, .cap = size};
        r->aux = l;
    }
    return l;
}

/* Does the beginning; gives the namespace's cookie to go on from. */
static uint64_t begin(struct listing *l, uint64_t cookie)
{
    if (cookie == 0) {
        handle_of(l->space, l->fh)->shown = 0;
        l->full = !add_dot(l, COOKIE_DOT, ".");
    }
    if ((cookie == 0 || cookie == COOKIE_DOT) && !l->full) {
        l->full = !add_dot(l, COOKIE_DOTDOT, "..");
    }
    return cookie >= COOKIE_DOT ? 0 : cookie;
}

void face_readdir(struct space *s, struct freq *r)
{
    uint64_t cookie = r->m.in.read.offset;
    struct handle *h = face_handle(s, r, r->m.in.read.fh);
    struct listing *l = h ? listing_new(s, r) : NULL;
    if (!l) {
        if (h) {
            face_fail(r, CG_ENOMEM, "no memory for a listing");
        }
        return;
    }
    uint64_t from = begin(l, cookie);
    if (cookie >= COOKIE_OWN || h->own) {
        add_owns(l, cookie >= COOKIE_OWN ? (uint32_t)(cookie - COOKIE_OWN) : 0);
        reply(r, l);
    } else if (l->full) {
        reply(r, l);
    } else {
        face_began(r, ns_readdir(s->ns, h->file, from, l->plus, on_emit, on_listed, r));
    }
}
