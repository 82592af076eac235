/* The rig's calls on paths. */
#include "rig.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Splits a path into elements; the last is given apart when last is not NULL. */
static void split(const char *path, struct ninep_names *names, struct cg_span *last)
{
    names->count = 0;
    while (*path != '\0') {
        size_t len = strcspn(path, "/");
        struct cg_span name = {(const uint8_t *)path, (uint32_t)len};
        path += len + (path[len] == '/');
        if (last != NULL && *path == '\0') {
            *last = name;
            return;
        }
        cg_assert(names->count < NINEP_WALK_NAMES_MAX);
        names->name[names->count++] = name;
    }
}

static cg_err walk_names(struct rig_client *c, const union ninep_tmsg *names, uint32_t *fid)
{
    union ninep_tmsg t = *names;
    t.walk.fid = ninep_client_root(c->client);
    t.walk.newfid = *fid = ninep_client_fid(c->client);
    cg_err e = rig_call(c, NINEP_TWALK, &t);
    if (e != CG_OK) {
        ninep_client_clunk(c->client, *fid);
    }
    return e;
}

cg_err rig_walk(struct rig_client *c, const char *path, uint32_t *fid)
{
    union ninep_tmsg t = {0};
    split(path, &t.walk.names, NULL);
    return walk_names(c, &t, fid);
}

/* The directory of a path, and its last name. */
static cg_err walk_dir(struct rig_client *c, const char *path, uint32_t *fid, struct cg_span *last)
{
    union ninep_tmsg t = {0};
    split(path, &t.walk.names, last);
    return walk_names(c, &t, fid);
}

void rig_clunk(struct rig_client *c, uint32_t fid)
{
    ninep_client_clunk(c->client, fid);
    rig_turn(c->rig);
}

cg_err rig_fstat(struct rig_client *c, uint32_t fid, struct ninep_attr *a)
{
    union ninep_tmsg t = {.getattr = {.fid = fid}};
    cg_err e = rig_call(c, NINEP_TGETATTR, &t);
    if (e == CG_OK) {
        *a = c->r.getattr.attr;
    }
    return e;
}

cg_err rig_stat(struct rig_client *c, const char *path, struct ninep_attr *a)
{
    uint32_t fid;
    cg_err e = rig_walk(c, path, &fid);
    if (e == CG_OK) {
        e = rig_fstat(c, fid, a);
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_open(struct rig_client *c, const char *path, uint32_t flags, uint32_t *fid)
{
    cg_err e = rig_walk(c, path, fid);
    if (e == CG_OK) {
        union ninep_tmsg t = {.open = {.fid = *fid, .flags = flags}};
        e = rig_call(c, NINEP_TOPEN, &t);
        if (e != CG_OK) {
            rig_clunk(c, *fid);
        }
    }
    return e;
}

static cg_err create(struct rig_client *c, const char *path, union ninep_tmsg *t, uint32_t *fid)
{
    uint32_t dir;
    cg_err e = walk_dir(c, path, &dir, &t->create.name);
    if (e != CG_OK) {
        return e;
    }
    t->create.fid = dir;
    t->create.newfid = fid != NULL ? ninep_client_fid(c->client) : NINEP_NOFID;
    e = rig_call(c, NINEP_TCREATE, t);
    if (fid != NULL) {
        *fid = t->create.newfid;
        if (e != CG_OK) {
            rig_clunk(c, *fid);
        }
    }
    rig_clunk(c, dir);
    return e;
}

cg_err rig_create(struct rig_client *c, const char *path, uint32_t flags, uint32_t mode,
                  uint32_t *fid)
{
    union ninep_tmsg t = {.create = {.flags = flags, .mode = S_IFREG | mode}};
    return create(c, path, &t, fid);
}

cg_err rig_mknod(struct rig_client *c, const char *path, uint32_t mode, uint64_t rdev,
                 const char *target)
{
    union ninep_tmsg t = {.create = {.mode = mode, .rdev = rdev}};
    t.create.target = target != NULL ? cg_span_of(target) : (struct cg_span){0};
    return create(c, path, &t, NULL);
}

cg_err rig_mkdir(struct rig_client *c, const char *path, uint32_t mode)
{
    return rig_mknod(c, path, S_IFDIR | mode, 0, NULL);
}

cg_err rig_symlink(struct rig_client *c, const char *target, const char *path)
{
    return rig_mknod(c, path, S_IFLNK | 0777, 0, target);
}

cg_err rig_readlink(struct rig_client *c, const char *path, char out[4096])
{
    uint32_t fid;
    cg_err e = rig_walk(c, path, &fid);
    if (e == CG_OK) {
        union ninep_tmsg t = {.readlink = {.fid = fid}};
        e = rig_call(c, NINEP_TREADLINK, &t);
        if (e == CG_OK) {
            bool fits = cg_span_str(c->r.readlink.target, out, 4096);
            cg_assert(fits);
        }
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_write(struct rig_client *c, uint32_t fid, uint64_t offset, const void *data,
                 uint32_t len, uint32_t *count)
{
    union ninep_tmsg t = {.write = {.fid = fid, .offset = offset, .data = {data, len}}};
    cg_err e = rig_call(c, NINEP_TWRITE, &t);
    *count = e == CG_OK ? c->r.write.count : 0;
    return e;
}

cg_err rig_read(struct rig_client *c, uint32_t fid, uint64_t offset, void *data, uint32_t len,
                uint32_t *count)
{
    union ninep_tmsg t = {.read = {.fid = fid, .offset = offset, .count = len}};
    cg_err e = rig_call(c, NINEP_TREAD, &t);
    *count = e == CG_OK ? c->r.read.data.len : 0;
    if (*count > 0) {
        memcpy(data, c->r.read.data.data, *count);
    }
    return e;
}

cg_err rig_remove(struct rig_client *c, const char *path, bool dir)
{
    union ninep_tmsg t = {.remove = {.flags = dir ? NINEP_REMOVEFLAG_DIR : 0}};
    uint32_t fid;
    cg_err e = walk_dir(c, path, &fid, &t.remove.name);
    if (e == CG_OK) {
        t.remove.fid = fid;
        e = rig_call(c, NINEP_TREMOVE, &t);
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_rename(struct rig_client *c, const char *from, const char *to, uint32_t flags)
{
    union ninep_tmsg t = {.rename = {.flags = flags}};
    uint32_t a, b;
    cg_err e = walk_dir(c, from, &a, &t.rename.name);
    if (e != CG_OK) {
        return e;
    }
    e = walk_dir(c, to, &b, &t.rename.newname);
    if (e == CG_OK) {
        t.rename.fid = a;
        t.rename.newfid = b;
        e = rig_call(c, NINEP_TRENAME, &t);
        rig_clunk(c, b);
    }
    rig_clunk(c, a);
    return e;
}

cg_err rig_link(struct rig_client *c, const char *from, const char *to)
{
    union ninep_tmsg t = {0};
    uint32_t file, dir;
    cg_err e = rig_walk(c, from, &file);
    if (e != CG_OK) {
        return e;
    }
    e = walk_dir(c, to, &dir, &t.link.name);
    if (e == CG_OK) {
        t.link.fid = file;
        t.link.dirfid = dir;
        e = rig_call(c, NINEP_TLINK, &t);
        rig_clunk(c, dir);
    }
    rig_clunk(c, file);
    return e;
}

cg_err rig_setattr(struct rig_client *c, const char *path, const struct ninep_tsetattr *s)
{
    union ninep_tmsg t = {.setattr = *s};
    uint32_t fid;
    cg_err e = rig_walk(c, path, &fid);
    if (e == CG_OK) {
        t.setattr.fid = fid;
        e = rig_call(c, NINEP_TSETATTR, &t);
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_chmod(struct rig_client *c, const char *path, uint32_t mode)
{
    return rig_setattr(c, path,
                       &(struct ninep_tsetattr){.valid = NINEP_SETATTR_MODE, .mode = mode});
}

cg_err rig_truncate(struct rig_client *c, const char *path, uint64_t size)
{
    return rig_setattr(c, path,
                       &(struct ninep_tsetattr){.valid = NINEP_SETATTR_SIZE, .size = size});
}

cg_err rig_put(struct rig_client *c, const char *path, uint32_t flags, uint32_t mode,
               const void *data, uint32_t len)
{
    union ninep_tmsg t = {.put = {.flags = flags, .mode = mode, .data = {data, len}}};
    uint32_t fid;
    cg_err e = walk_dir(c, path, &fid, &t.put.name);
    if (e == CG_OK) {
        t.put.fid = fid;
        e = rig_call(c, NINEP_TPUT, &t);
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_setxattr(struct rig_client *c, const char *path, const char *name, const void *value,
                    uint32_t len, uint32_t flags)
{
    union ninep_tmsg t = {
        .xattrset = {.flags = flags, .name = cg_span_of(name), .value = {value, len}}};
    uint32_t fid;
    cg_err e = rig_walk(c, path, &fid);
    if (e == CG_OK) {
        t.xattrset.fid = fid;
        e = rig_call(c, NINEP_TXATTRSET, &t);
        rig_clunk(c, fid);
    }
    return e;
}

cg_err rig_getxattr(struct rig_client *c, const char *path, const char *name, void *value,
                    uint32_t cap, uint32_t *len)
{
    union ninep_tmsg t = {.xattrget = {.max = cap, .name = cg_span_of(name)}};
    uint32_t fid;
    cg_err e = rig_walk(c, path, &fid);
    if (e != CG_OK) {
        return e;
    }
    t.xattrget.fid = fid;
    e = rig_call(c, NINEP_TXATTRGET, &t);
    if (e == CG_OK) {
        *len = c->r.xattrget.size;
        cg_assert(c->r.xattrget.value.len <= cap);
        memcpy(value, c->r.xattrget.value.data, c->r.xattrget.value.len);
    }
    rig_clunk(c, fid);
    return e;
}

cg_err rig_readdir(struct rig_client *c, uint32_t fid, uint64_t cookie, uint32_t count,
                   uint32_t want, uint32_t inline_max, struct rig_names *out)
{
    union ninep_tmsg t = {
        .readdir = {
            .fid = fid, .cookie = cookie, .count = count, .want = want, .inline_max = inline_max}};
    cg_err e = rig_call(c, NINEP_TREADDIR, &t);
    out->count = 0;
    if (e == CG_OK) {
        const struct ninep_list *l = &c->r.readdir.entries;
        struct cg_buf b = cg_buf_reader(l->body.data, l->body.len);
        cg_assert(l->count <= CG_COUNT(out->entry));
        while (out->count < l->count) {
            ninep_get_entry(&b, &out->entry[out->count++]);
        }
        cg_assert(!b.bad);
        out->eof = c->r.readdir.eof != 0;
    }
    return e;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

cg_err rig_names(struct rig_client *c, const char *path, struct cg_str *out)
{
    enum { NAMES_MAX = 4096 };
    static struct rig_names page;
    static char *name[NAMES_MAX];
    uint32_t fid, count = 0;
    uint64_t cookie = 0;
    cg_err e = rig_walk(c, path, &fid);
    if (e != CG_OK) {
        return e;
    }
    do {
        e = rig_readdir(c, fid, cookie, 16384, 0, 0, &page);
        for (uint32_t i = 0; e == CG_OK && i < page.count; i++) {
            cg_assert(count < NAMES_MAX);
            const struct cg_span *s = &page.entry[i].name;
            name[count++] = cg_strndup((const char *)s->data, s->len);
            cookie = page.entry[i].cookie;
        }
    } while (e == CG_OK && !page.eof);
    qsort(name, count, sizeof name[0], by_text);
    out->len = 0;
    for (uint32_t i = 0; i < count; i++) {
        cg_err added = cg_str_addf(out, "%s%s", i > 0 ? " " : "", name[i]);
        cg_assert(added == CG_OK);
        cg_free(name[i]);
    }
    if (count == 0) {
        cg_err added = cg_str_add(out, "", 0);
        cg_assert(added == CG_OK);
    }
    rig_clunk(c, fid);
    return e;
}
