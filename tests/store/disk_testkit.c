/* See disk_testkit.h. A file is shared by its names; it keeps what is durable beside what is seen,
 * and the writes between. */
#include "disk_testkit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 4096, SECTOR = 512 };

struct pending {
    uint64_t at;
    size_t len;
    uint8_t *data;
};
struct inode {
    int refs;
    uint8_t *data, *safe; /* as seen; as it is on the platter */
    size_t len, safe_len;
    struct pending *write;
    size_t writes, writes_cap;
};
/* A change of names that is not durable yet. */
struct name_change {
    char folder[16];
    char gone[64], made[64]; /* either may be empty; both: a rename */
    struct inode *inode;     /* of made */
};
struct named {
    char path[64];
    struct inode *inode;
};
struct disk {
    struct named name[FILES_MAX], safe[FILES_MAX];
    uint32_t names, safes;
    struct name_change *change;
    size_t changes, changes_cap;
    uint64_t calls, stop_at, any, fail_at, limit;
    bool stopped, failed;
};

uint64_t disk_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

struct disk *disk_new(void)
{
    struct disk *d = calloc(1, sizeof *d);
    assert(d);
    return d;
}

static struct inode *inode_new(void)
{
    struct inode *n = calloc(1, sizeof *n);
    assert(n);
    return n;
}

static void drop_writes(struct inode *n)
{
    for (size_t i = 0; i < n->writes; i++) {
        free(n->write[i].data);
    }
    n->writes = 0;
}

static void inode_put(struct inode *n)
{
    if (--n->refs == 0) {
        drop_writes(n);
        free(n->write);
        free(n->data);
        free(n->safe);
        free(n);
    }
}

void disk_free(struct disk *d)
{
    if (!d) {
        return;
    }
    for (uint32_t i = 0; i < d->names; i++) {
        inode_put(d->name[i].inode);
    }
    for (uint32_t i = 0; i < d->safes; i++) {
        inode_put(d->safe[i].inode);
    }
    for (size_t i = 0; i < d->changes; i++) {
        if (d->change[i].inode) {
            inode_put(d->change[i].inode);
        }
    }
    free(d->change);
    free(d);
}

static struct named *find(struct named *list, uint32_t count, const char *path)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i].path, path) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

static void set_name(struct named *list, uint32_t *count, const char *path, struct inode *n)
{
    struct named *at = find(list, *count, path);
    if (at) {
        inode_put(at->inode);
    } else {
        assert(*count < FILES_MAX);
        at = &list[(*count)++];
        snprintf(at->path, sizeof at->path, "%s", path);
    }
    at->inode = n;
    n->refs++;
}

static void drop_name(struct named *list, uint32_t *count, const char *path)
{
    struct named *at = find(list, *count, path);
    if (at) {
        inode_put(at->inode);
        *at = list[--*count];
    }
}

static void folder_of(const char *path, char out[16])
{
    const char *slash = strchr(path, '/');
    snprintf(out, 16, "%.*s", slash ? (int)(slash - path) : 0, path);
}

static void note_change(struct disk *d, const char *gone, const char *made, struct inode *n)
{
    if (d->changes == d->changes_cap) {
        d->changes_cap = d->changes_cap ? d->changes_cap * 2 : 64;
        d->change = realloc(d->change, d->changes_cap * sizeof *d->change);
        assert(d->change);
    }
    struct name_change *c = &d->change[d->changes++];
    memset(c, 0, sizeof *c);
    folder_of(made[0] ? made : gone, c->folder);
    snprintf(c->gone, sizeof c->gone, "%s", gone);
    snprintf(c->made, sizeof c->made, "%s", made);
    c->inode = n;
    if (n) {
        n->refs++;
    }
}

static void apply_change(const struct name_change *c, struct named *list, uint32_t *count)
{
    if (c->gone[0]) {
        drop_name(list, count, c->gone);
    }
    if (c->made[0]) {
        set_name(list, count, c->made, c->inode);
    }
}

/* ---- faults ---- */

static cg_err any_call(struct disk *d)
{
    if (d->stopped) {
        return CG_EIO;
    }
    d->any++;
    if (d->fail_at && d->any == d->fail_at) {
        d->failed = true;
        return CG_EIO;
    }
    return CG_OK;
}

static cg_err changing_call(struct disk *d)
{
    cg_err e = any_call(d);
    if (!e && d->stop_at && ++d->calls == d->stop_at) {
        d->stopped = true;
    } else if (!d->stop_at) {
        d->calls++;
    }
    return e;
}

void disk_stop_at(struct disk *d, uint64_t n)
{
    d->calls = 0;
    d->stop_at = n;
    d->stopped = false;
}

void disk_fail_at(struct disk *d, uint64_t n)
{
    d->any = 0;
    d->fail_at = n;
    d->failed = false;
}

bool disk_failed(const struct disk *d)
{
    return d->failed;
}

void disk_limit(struct disk *d, uint64_t bytes)
{
    d->limit = bytes;
}

uint64_t disk_calls(const struct disk *d)
{
    return d->calls;
}

uint64_t disk_bytes(const struct disk *d)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < d->names; i++) {
        n += d->name[i].inode->len;
    }
    return n;
}

/* ---- the table ---- */

static cg_err d_open(void *ctx, const char *path, int how, void **file)
{
    struct disk *d = ctx;
    cg_err e = how == STORE_IO_CREATE ? changing_call(d) : any_call(d);
    if (e || d->stopped) {
        return CG_EIO;
    }
    struct named *at = find(d->name, d->names, path);
    if (how == STORE_IO_CREATE) {
        if (at) {
            return CG_EEXIST;
        }
        struct inode *n = inode_new();
        set_name(d->name, &d->names, path, n);
        note_change(d, "", path, n);
        at = find(d->name, d->names, path);
    }
    if (!at) {
        return CG_ENOENT;
    }
    at->inode->refs++;
    *file = at->inode;
    return CG_OK;
}

static cg_err d_read(void *ctx, void *file, uint64_t at, void *out, size_t len, size_t *got)
{
    const struct inode *n = file;
    cg_err e = any_call(ctx);
    *got = 0;
    if (!e && at < n->len) {
        *got = len < n->len - at ? len : (size_t)(n->len - at);
        memcpy(out, n->data + at, *got);
    }
    return e;
}

static void put_bytes(uint8_t **data, size_t *len, uint64_t at, const void *in, size_t n)
{
    if (n == 0) {
        return;
    }
    if (at + n > *len) {
        *data = realloc(*data, at + n);
        assert(*data);
        memset(*data + *len, 0, at + n - *len);
        *len = at + n;
    }
    memcpy(*data + at, in, n);
}

static cg_err d_write(void *ctx, void *file, uint64_t at, const void *data, size_t len)
{
    struct disk *d = ctx;
    struct inode *n = file;
    cg_err e = changing_call(d);
    if (e) {
        return e;
    }
    if (d->limit && at + len > n->len && disk_bytes(d) + (at + len - n->len) > d->limit) {
        return CG_ENOSPC;
    }
    if (len == 0) {
        return CG_OK;
    }
    if (n->writes == n->writes_cap) {
        n->writes_cap = n->writes_cap ? n->writes_cap * 2 : 8;
        n->write = realloc(n->write, n->writes_cap * sizeof *n->write);
        assert(n->write);
    }
    struct pending *w = &n->write[n->writes++];
    *w = (struct pending){.at = at, .len = len, .data = malloc(len)};
    assert(w->data);
    memcpy(w->data, data, len);
    put_bytes(&n->data, &n->len, at, data, len);
    return d->stopped ? CG_EIO : CG_OK;
}

static cg_err d_size(void *ctx, void *file, uint64_t *bytes)
{
    *bytes = ((const struct inode *)file)->len;
    return any_call(ctx);
}

/* One that fails forgets what it was to make durable, as Linux does: the bytes are seen as before,
 * and the next sync, which succeeds, does not know of them. */
static cg_err d_sync(void *ctx, void *file)
{
    struct disk *d = ctx;
    struct inode *n = file;
    cg_err e = changing_call(d);
    if (d->stopped) {
        return CG_EIO;
    }
    for (size_t i = 0; !e && i < n->writes; i++) {
        put_bytes(&n->safe, &n->safe_len, n->write[i].at, n->write[i].data, n->write[i].len);
    }
    drop_writes(n);
    return e;
}

static void d_close(void *ctx, void *file)
{
    (void)ctx;
    inode_put(file);
}

static cg_err d_mkdir(void *ctx, const char *path)
{
    (void)path; /* the folders are always there: a crash while a store is made is no store */
    return any_call(ctx);
}

static cg_err d_list(void *ctx, const char *path, struct cg_str *names)
{
    struct disk *d = ctx;
    cg_err e = any_call(d);
    for (uint32_t i = 0; i < d->names && !e; i++) {
        char folder[16];
        const char *p = d->name[i].path;
        folder_of(p, folder);
        if (strcmp(folder, strcmp(path, ".") == 0 ? "" : path) == 0) {
            const char *name = folder[0] ? p + strlen(folder) + 1 : p;
            e = cg_str_add(names, name, strlen(name) + 1);
        }
    }
    return e;
}

static cg_err d_rename(void *ctx, const char *from, const char *to, bool replace)
{
    struct disk *d = ctx;
    cg_err e = changing_call(d);
    if (e || d->stopped) {
        return CG_EIO;
    }
    struct named *at = find(d->name, d->names, from);
    if (!at) {
        return CG_ENOENT;
    }
    if (!replace && find(d->name, d->names, to)) {
        return CG_EEXIST;
    }
    note_change(d, from, to, at->inode);
    apply_change(&d->change[d->changes - 1], d->name, &d->names);
    return CG_OK;
}

static cg_err d_remove(void *ctx, const char *path)
{
    struct disk *d = ctx;
    cg_err e = changing_call(d);
    if (e || d->stopped) {
        return CG_EIO;
    }
    if (!find(d->name, d->names, path)) {
        return CG_ENOENT;
    }
    note_change(d, path, "", NULL);
    drop_name(d->name, &d->names, path);
    return CG_OK;
}

static cg_err d_sync_dir(void *ctx, const char *path)
{
    struct disk *d = ctx;
    size_t kept = 0;
    cg_err e = changing_call(d);
    if (e || d->stopped) {
        return CG_EIO;
    }
    for (size_t i = 0; i < d->changes; i++) {
        struct name_change *c = &d->change[i];
        if (strcmp(c->folder, strcmp(path, ".") == 0 ? "" : path) != 0) {
            d->change[kept++] = *c;
            continue;
        }
        apply_change(c, d->safe, &d->safes);
        if (c->inode) {
            inode_put(c->inode);
        }
    }
    d->changes = kept;
    return CG_OK;
}

static cg_err d_space(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes)
{
    const struct disk *d = ctx;
    *total_bytes = d->limit ? d->limit : 1ull << 40;
    *free_bytes = *total_bytes - disk_bytes(d);
    return CG_OK;
}

struct store_io disk_io(struct disk *d)
{
    return (struct store_io){
        .open = d_open,
        .read = d_read,
        .write = d_write,
        .size = d_size,
        .sync = d_sync,
        .close = d_close,
        .mkdir = d_mkdir,
        .list = d_list,
        .rename = d_rename,
        .remove = d_remove,
        .sync_dir = d_sync_dir,
        .space = d_space,
        .ctx = d,
    };
}

/* ---- crashes ---- */

/* A write reaches the platter in whole, not at all, or sector by sector by chance. */
static void crash_write(struct inode *to, const struct pending *w, uint64_t *seed)
{
    uint64_t how = disk_random(seed) % 4;
    if (how == 0) {
        return;
    }
    for (size_t at = 0; at < w->len; at += SECTOR) {
        size_t n = w->len - at < SECTOR ? w->len - at : SECTOR;
        if (how == 1 && disk_random(seed) % 2) {
            continue;
        }
        put_bytes(&to->data, &to->len, w->at + at, w->data + at, n);
    }
}

static struct inode *crash_inode(const struct inode *n, uint64_t *seed)
{
    struct inode *to = inode_new();
    size_t order[4096], count = n->writes < 4096 ? n->writes : 4096;
    put_bytes(&to->data, &to->len, 0, n->safe ? n->safe : (const uint8_t *)"", n->safe_len);
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t j = disk_random(seed) % i, t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
    for (size_t i = 0; i < count; i++) {
        crash_write(to, &n->write[order[i]], seed);
    }
    put_bytes(&to->safe, &to->safe_len, 0, to->data ? to->data : (const uint8_t *)"", to->len);
    return to;
}

struct disk *disk_crash(const struct disk *d, uint64_t seed)
{
    struct disk *to = disk_new(), *names = disk_new();
    for (uint32_t i = 0; i < d->safes; i++) {
        set_name(names->safe, &names->safes, d->safe[i].path, d->safe[i].inode);
    }
    for (size_t i = 0; i < d->changes; i++) {
        if (disk_random(&seed) % 2) {
            apply_change(&d->change[i], names->safe, &names->safes);
        }
    }
    for (uint32_t i = 0; i < names->safes; i++) {
        struct inode *n = crash_inode(names->safe[i].inode, &seed);
        set_name(to->name, &to->names, names->safe[i].path, n);
        set_name(to->safe, &to->safes, names->safe[i].path, n);
    }
    disk_free(names);
    return to;
}

struct disk *disk_copy(const struct disk *d)
{
    struct disk *to = disk_new();
    for (uint32_t i = 0; i < d->names; i++) {
        struct inode *n = inode_new();
        const struct inode *from = d->name[i].inode;
        put_bytes(&n->data, &n->len, 0, from->data ? from->data : (const uint8_t *)"", from->len);
        put_bytes(&n->safe, &n->safe_len, 0, from->data ? from->data : (const uint8_t *)"",
                  from->len);
        set_name(to->name, &to->names, d->name[i].path, n);
        set_name(to->safe, &to->safes, d->name[i].path, n);
    }
    return to;
}

uint32_t disk_files(const struct disk *d)
{
    return d->names;
}

const char *disk_name(const struct disk *d, uint32_t i)
{
    return d->name[i].path;
}

uint8_t *disk_data(struct disk *d, uint32_t i, size_t *len)
{
    *len = d->name[i].inode->len;
    return d->name[i].inode->data;
}

void disk_truncate(struct disk *d, uint32_t i, size_t len)
{
    d->name[i].inode->len = len;
}
