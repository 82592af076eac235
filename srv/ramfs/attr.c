/* Attributes, symbolic links' targets, extended attributes. */
#include "ram.h"
#include <string.h>

void ram_getattr(struct ninep_req *r)
{
    ram_attr(r->fid, ram_node(r->fid), &r->r.getattr.attr);
    ninep_respond(r, CG_OK);
}

static cg_err check_owner(const struct ninep_fid *fid, const struct ram_node *n,
                          const struct ninep_tsetattr *t, struct cg_errbuf *eb)
{
    if ((t->valid & NINEP_SETATTR_OWNER) != 0 && t->owner != n->owner && !ram_admin(fid, n)) {
        return cg_fail(eb, CG_EPERM, "only the server's owner gives files away");
    }
    if ((t->valid & NINEP_SETATTR_GROUP) != 0 && t->group != n->group && !ram_admin(fid, n) &&
        t->group != fid->principal) {
        return cg_fail(eb, CG_EPERM, "a file's owner may give it to a group of his own only");
    }
    return CG_OK;
}

/* Everything that may refuse, before anything changes. */
static cg_err check_setattr(const struct ninep_fid *fid, const struct ram_node *n,
                            const struct ninep_tsetattr *t, struct cg_errbuf *eb)
{
    const uint32_t owner_only = NINEP_SETATTR_MODE | NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP |
                                NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME;
    const uint32_t now = NINEP_SETATTR_ATIME_NOW | NINEP_SETATTR_MTIME_NOW;
    if ((t->valid & owner_only) != 0 && !ram_owns(fid, n)) {
        return cg_fail(eb, CG_EPERM, "only the file's owner may change this");
    }
    cg_err e = check_owner(fid, n, t, eb);
    if (e == CG_OK && (t->valid & now) != 0 && !ram_owns(fid, n)) {
        e = ram_may(fid, n, NINEP_RIGHTS_WRITE, eb);
    }
    bool writing = fid->open && (fid->open_flags & 3) != NINEP_OPEN_READ;
    if (e == CG_OK && (t->valid & NINEP_SETATTR_SIZE) != 0 && !writing) {
        e = ram_may(fid, n, NINEP_RIGHTS_WRITE, eb);
    }
    return e;
}

static void drop_setid(struct ram_node *n)
{
    if (!S_ISDIR(n->mode)) {
        n->mode &= ~(uint32_t)S_ISUID;
        n->mode &= (n->mode & S_IXGRP) != 0 ? ~(uint32_t)S_ISGID : UINT32_MAX;
    }
}

static void set_mode(const struct ninep_fid *fid, struct ram_node *n, uint32_t mode)
{
    mode &= 07777;
    if (!ram_admin(fid, n) && n->group != fid->principal) {
        mode &= ~(uint32_t)S_ISGID;
    }
    n->mode = ram_type(n) | mode;
}

void ram_setattr(struct ninep_req *r)
{
    const struct ninep_tsetattr *t = &r->t.setattr;
    struct ram_node *n = ram_node(r->fid);
    cg_err e = check_setattr(r->fid, n, t, &r->eb);
    if (e == CG_OK && (t->valid & NINEP_SETATTR_SIZE) != 0) {
        e = ram_set_size(n, t->size, &r->eb);
    }
    if (e != CG_OK) {
        ram_respond(r, e);
        return;
    }
    if ((t->valid & (NINEP_SETATTR_OWNER | NINEP_SETATTR_GROUP)) != 0) {
        n->owner = (t->valid & NINEP_SETATTR_OWNER) != 0 ? t->owner : n->owner;
        n->group = (t->valid & NINEP_SETATTR_GROUP) != 0 ? t->group : n->group;
        drop_setid(n);
    }
    if ((t->valid & NINEP_SETATTR_SIZE) != 0 && !ram_admin(r->fid, n)) {
        drop_setid(n);
    }
    if ((t->valid & NINEP_SETATTR_MODE) != 0) {
        set_mode(r->fid, n, t->mode);
    }
    ram_touch(n, (t->valid & NINEP_SETATTR_SIZE) != 0 ? RAM_MTIME | RAM_CTIME : RAM_CTIME);
    if ((t->valid & (NINEP_SETATTR_ATIME | NINEP_SETATTR_ATIME_NOW)) != 0) {
        n->atime = (t->valid & NINEP_SETATTR_ATIME) != 0 ? (uint64_t)t->atime : n->ctime;
    }
    if ((t->valid & (NINEP_SETATTR_MTIME | NINEP_SETATTR_MTIME_NOW)) != 0) {
        n->mtime = (t->valid & NINEP_SETATTR_MTIME) != 0 ? (uint64_t)t->mtime : n->ctime;
    }
    ram_attr(r->fid, n, &r->r.setattr.attr);
    ram_respond(r, CG_OK);
}

void ram_readlink(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    if (n->target == NULL) {
        ninep_respond(r, cg_fail(&r->eb, CG_EINVAL, "not a symbolic link"));
        return;
    }
    r->r.readlink.target = (struct cg_span){(const uint8_t *)n->target, (uint32_t)n->size};
    ninep_respond(r, CG_OK);
}

/* ---- extended attributes: a short list, for few files have many ---------------------------- */

static struct ram_xattr **find_xattr(struct ram_node *n, struct cg_span name)
{
    struct ram_xattr **at = &n->xattrs;
    while (*at != NULL &&
           ((*at)->name_len != name.len || memcmp((*at)->bytes, name.data, name.len) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static uint32_t xattr_bytes(const struct ram_xattr *x)
{
    return (uint32_t)sizeof *x + x->name_len + x->value_len;
}

static void remove_xattr(struct ram_node *n, struct ram_xattr **at)
{
    struct ram_xattr *x = *at;
    *at = x->next;
    n->xattr_bytes -= xattr_bytes(x);
    ram_unsave(n->fs, x->saved);
    ram_uncharge(n->fs, xattr_bytes(x));
    cg_free(x);
}

void ram_xattrs_free(struct ram_node *n)
{
    while (n->xattrs != NULL) {
        remove_xattr(n, &n->xattrs);
    }
}

static bool has_prefix(struct cg_span name, const char *prefix)
{
    size_t len = strlen(prefix);
    return name.len > len && memcmp(name.data, prefix, len) == 0;
}

/* Who may touch an attribute of this name; the rules are those of Linux. */
static cg_err check_xattr(const struct ninep_fid *fid, const struct ram_node *n,
                          struct cg_span name, uint8_t rights, struct cg_errbuf *eb)
{
    if (has_prefix(name, "trusted.") || has_prefix(name, "security.")) {
        return ram_admin(fid, n) ? CG_OK
                                 : cg_fail(eb, CG_EPERM, "only the server's owner sets these");
    }
    if (!has_prefix(name, "user.")) {
        return cg_fail(eb, CG_EOPNOTSUPP, "only user., trusted. and security. are offered");
    }
    if (!S_ISREG(n->mode) && !S_ISDIR(n->mode)) {
        return cg_fail(eb, rights == NINEP_RIGHTS_READ ? CG_ENODATA : CG_EPERM,
                       "user attributes are for files and directories");
    }
    return ram_may(fid, n, rights, eb);
}

/* The names, each ended by NUL; gives their length, and copies when they fit. */
static uint32_t list_xattrs(const struct ram_node *n, uint8_t *out, uint32_t cap)
{
    uint32_t len = 0;
    for (const struct ram_xattr *x = n->xattrs; x != NULL; x = x->next) {
        if (len + x->name_len + 1 <= cap) {
            memcpy(out + len, x->bytes, x->name_len);
            out[len + x->name_len] = 0;
        }
        len += x->name_len + 1;
    }
    return len;
}

void ram_xattrget(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    struct cg_span name = r->t.xattrget.name;
    uint32_t max = r->t.xattrget.max < r->data_cap ? r->t.xattrget.max : r->data_cap;
    uint32_t size = 0;
    cg_err e = CG_OK;
    if (name.len == 0) {
        size = list_xattrs(n, r->data, max);
    } else {
        struct ram_xattr *x = NULL;
        e = check_xattr(r->fid, n, name, NINEP_RIGHTS_READ, &r->eb);
        x = e == CG_OK ? *find_xattr(n, name) : NULL;
        if (e == CG_OK && x == NULL) {
            e = cg_fail(&r->eb, CG_ENODATA, "no attribute of that name");
        } else if (x != NULL) {
            size = x->value_len;
            memcpy(r->data, x->bytes + x->name_len, size <= max ? size : 0);
        }
    }
    if (e == CG_OK && r->t.xattrget.max > 0 && size > max) {
        e = cg_fail(&r->eb, CG_ERANGE, "%u bytes do not fit into %u", size, max);
    }
    r->r.xattrget.size = size;
    r->r.xattrget.value.len = r->t.xattrget.max > 0 && e == CG_OK ? size : 0;
    ninep_respond(r, e);
}

/* Not yet in a list, nor counted. */
static struct ram_xattr *new_xattr(uint32_t name_len, uint32_t value_len)
{
    uint64_t bytes = sizeof(struct ram_xattr) + name_len + (uint64_t)value_len;
    struct ram_xattr *x = cg_alloc(bytes);
    if (x != NULL) {
        x->name_len = name_len;
        x->value_len = value_len;
        x->saved = NULL;
    }
    return x;
}

static void push_xattr(struct ram_node *n, struct ram_xattr *x)
{
    x->next = n->xattrs;
    n->xattrs = x;
    n->xattr_bytes += xattr_bytes(x);
}

cg_err ram_xattr_adopt(struct ram_node *n, void *saved)
{
    const struct book_head *h = book_head(n->fs->book, saved);
    struct ram_xattr *x = new_xattr((uint32_t)h->b, h->len - (uint32_t)h->b);
    if (x == NULL || !ram_charge(n->fs, xattr_bytes(x))) {
        cg_free(x);
        return CG_ENOMEM;
    }
    memcpy(x->bytes, saved, h->len);
    x->saved = saved;
    push_xattr(n, x);
    return CG_OK;
}

static cg_err set_xattr(struct ram_node *n, const struct ninep_txattrset *t, struct cg_errbuf *eb)
{
    struct ram_xattr **at = find_xattr(n, t->name);
    if (*at != NULL && (t->flags & NINEP_XATTRFLAG_CREATE) != 0) {
        return cg_fail(eb, CG_EEXIST, "the attribute exists");
    }
    if (*at == NULL && (t->flags & (NINEP_XATTRFLAG_REPLACE | NINEP_XATTRFLAG_REMOVE)) != 0) {
        return cg_fail(eb, CG_ENODATA, "no attribute of that name");
    }
    if ((t->flags & NINEP_XATTRFLAG_REMOVE) != 0) {
        remove_xattr(n, at);
        return CG_OK;
    }
    if (t->name.len > NINEP_NAME_BYTES_MAX) {
        return cg_fail(eb, CG_ERANGE, "attribute names end at 255 bytes");
    }
    uint64_t bytes = sizeof(struct ram_xattr) + t->name.len + (uint64_t)t->value.len;
    if (bytes > RAM_XATTR_BYTES_MAX || n->xattr_bytes + bytes > RAM_XATTR_BYTES_MAX) {
        return cg_fail(eb, CG_ENOSPC, "one file's attributes end at 64 KiB");
    }
    if (!ram_charge(n->fs, bytes)) {
        return ram_no_space(n->fs, eb);
    }
    struct ram_xattr *x = new_xattr(t->name.len, t->value.len);
    if (x != NULL) {
        x->saved =
            book_add(n->fs->book, RAM_KIND_XATTR, n->file, t->name.len, t->name.len + t->value.len);
    }
    if (x == NULL || x->saved == NULL) {
        cg_free(x);
        ram_uncharge(n->fs, bytes);
        return cg_fail(eb, CG_ENOMEM, "no memory for an attribute");
    }
    if (*at != NULL) {
        remove_xattr(n, at);
    }
    memcpy(x->bytes, t->name.data, t->name.len);
    if (t->value.len > 0) {
        memcpy(x->bytes + t->name.len, t->value.data, t->value.len);
    }
    memcpy(x->saved, x->bytes, t->name.len + t->value.len);
    push_xattr(n, x);
    return CG_OK;
}

void ram_xattrset(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    cg_err e = check_xattr(r->fid, n, r->t.xattrset.name, NINEP_RIGHTS_WRITE, &r->eb);
    if (e == CG_OK) {
        e = set_xattr(n, &r->t.xattrset, &r->eb);
    }
    if (e == CG_OK) {
        ram_touch(n, RAM_CTIME);
        ram_attr(r->fid, n, &r->r.xattrset.attr);
    }
    ram_respond(r, e);
}
