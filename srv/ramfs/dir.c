/* Directories: entries by name (hash buckets) and by cookie (an array that only grows at its end,
 * with gaps where names went; it is packed when gaps outnumber names).
 */
#include "ram.h"
#include <string.h>

enum {
    BUCKETS_MIN = 8,
    PLACES_MIN = 8,
    SHARE_BYTES = sizeof(struct ram_place) * 2 + sizeof(void *), /* of the tables, per entry */
};

static uint64_t entry_bytes(uint32_t len)
{
    return sizeof(struct ram_entry) + sizeof(struct ram_saved_name) + 2 * (uint64_t)len +
           SHARE_BYTES;
}

/* FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo) from a random start. */
static uint32_t hash_of(const struct ramfs *fs, struct cg_span name)
{
    uint32_t h = 2166136261u ^ fs->seed;
    for (uint32_t i = 0; i < name.len; i++) {
        h = (h ^ name.data[i]) * 16777619u;
    }
    return h;
}

struct ram_entry *ram_dir_find(const struct ram_node *d, struct cg_span name)
{
    if (d->dir.buckets == 0) {
        return NULL;
    }
    uint32_t h = hash_of(d->fs, name);
    struct ram_entry *e = d->dir.bucket[h & (d->dir.buckets - 1)];
    while (e != NULL &&
           (e->hash != h || e->len != name.len || memcmp(e->name, name.data, name.len) != 0)) {
        e = e->chain;
    }
    return e;
}

/* More buckets; when memory is short the old ones go on, only slower. */
static cg_err grow_buckets(struct ram_dir *dir)
{
    if (dir->live < dir->buckets) {
        return CG_OK;
    }
    uint32_t buckets = dir->buckets > 0 ? dir->buckets * 2 : BUCKETS_MIN;
    struct ram_entry **bucket = cg_zalloc(buckets * sizeof(struct ram_entry *));
    if (bucket == NULL) {
        return dir->buckets > 0 ? CG_OK : CG_ENOMEM;
    }
    for (uint32_t i = 0; i < dir->places; i++) {
        struct ram_entry *e = dir->place[i].entry;
        if (e != NULL) {
            e->chain = bucket[e->hash & (buckets - 1)];
            bucket[e->hash & (buckets - 1)] = e;
        }
    }
    cg_free(dir->bucket);
    dir->bucket = bucket;
    dir->buckets = buckets;
    return CG_OK;
}

static void pack_places(struct ram_dir *dir)
{
    uint32_t to = 0;
    for (uint32_t i = 0; i < dir->places; i++) {
        if (dir->place[i].entry != NULL) {
            dir->place[to++] = dir->place[i];
        }
    }
    dir->places = to;
}

static cg_err grow_places(struct ram_dir *dir)
{
    if (dir->places < dir->place_cap) {
        return CG_OK;
    }
    uint32_t cap = dir->place_cap > 0 ? dir->place_cap * 2 : PLACES_MIN;
    struct ram_place *place = cg_realloc(dir->place, cap * sizeof *place);
    if (place == NULL) {
        return CG_ENOMEM;
    }
    dir->place = place;
    dir->place_cap = cap;
    return CG_OK;
}

/* A new entry, with room for it in d and its bytes charged. */
static cg_err new_entry(struct ram_node *d, struct cg_span name, struct ram_entry **out,
                        struct cg_errbuf *eb)
{
    if (!ram_charge(d->fs, entry_bytes(name.len))) {
        return ram_no_space(d->fs, eb);
    }
    struct ram_entry *e = cg_zalloc(sizeof *e + name.len);
    if (e == NULL || grow_buckets(&d->dir) != CG_OK || grow_places(&d->dir) != CG_OK) {
        cg_free(e);
        ram_uncharge(d->fs, entry_bytes(name.len));
        return cg_fail(eb, CG_ENOMEM, "no memory for a new name");
    }
    e->hash = hash_of(d->fs, name);
    e->len = name.len;
    memcpy(e->name, name.data, name.len);
    *out = e;
    return CG_OK;
}

cg_err ram_dir_prepare(struct ram_node *d, struct cg_span name, struct ram_entry **out,
                       struct cg_errbuf *eb)
{
    struct ram_entry *e = NULL;
    if (d->nlink == 0) {
        return cg_fail(eb, CG_ENOENT, "the directory was removed");
    }
    cg_err err = new_entry(d, name, &e, eb);
    if (err != CG_OK) {
        return err;
    }
    e->saved =
        book_add(d->fs->book, RAM_KIND_NAME, d->file, 0, (uint32_t)sizeof *e->saved + name.len);
    if (e->saved == NULL) {
        ram_dir_cancel(d, e);
        d->fs->starved = true;
        return ram_no_space(d->fs, eb);
    }
    memcpy(e->saved->name, name.data, name.len);
    *out = e;
    return CG_OK;
}

cg_err ram_dir_adopt(struct ram_node *d, struct ram_saved_name *saved, struct ram_entry **out)
{
    uint32_t len = book_head(d->fs->book, saved)->len - (uint32_t)sizeof *saved;
    struct cg_span name = {(const uint8_t *)saved->name, len};
    cg_err e = new_entry(d, name, out, NULL);
    if (e == CG_OK) {
        (*out)->saved = saved;
    }
    return e;
}

void ram_dir_cancel(struct ram_node *d, struct ram_entry *e)
{
    ram_uncharge(d->fs, entry_bytes(e->len));
    ram_unsave(d->fs, e->saved);
    cg_free(e);
}

void ram_dir_point(struct ram_entry *e, struct ram_node *n)
{
    e->node = n;
    ram_save_file(e, n);
}

/* A name that was adopted keeps its cookie: what its record says. */
void ram_dir_insert(struct ram_node *d, struct ram_entry *e, struct ram_node *n)
{
    struct ram_dir *dir = &d->dir;
    struct book_head *h = book_head(d->fs->book, e->saved);
    cg_assert(dir->places < dir->place_cap);
    bool adopted = h->b != 0;
    e->node = n;
    if (!adopted) {
        h->b = ++d->fs->cookie_last;
        ram_save_file(e, n);
    }
    e->cookie = h->b;
    e->chain = dir->bucket[e->hash & (dir->buckets - 1)];
    dir->bucket[e->hash & (dir->buckets - 1)] = e;
    dir->place[dir->places++] = (struct ram_place){e->cookie, e};
    dir->live++;
    n->nlink++;
    if (S_ISDIR(n->mode)) {
        n->dir.parent = d;
        d->nlink++;
    }
    if (!adopted) {
        ram_dirty(n);
        ram_dirty(d);
    }
}

/* The first place whose cookie is above this one. */
static uint32_t place_after(const struct ram_dir *dir, uint64_t cookie)
{
    uint32_t low = 0, high = dir->places;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (dir->place[mid].cookie <= cookie) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void ram_dir_remove(struct ram_node *d, struct ram_entry *e)
{
    struct ram_dir *dir = &d->dir;
    struct ram_entry **at = &dir->bucket[e->hash & (dir->buckets - 1)];
    while (*at != e) {
        at = &(*at)->chain;
    }
    *at = e->chain;
    uint32_t place = place_after(dir, e->cookie - 1);
    cg_assert(place < dir->places && dir->place[place].entry == e);
    dir->place[place].entry = NULL;
    dir->live--;
    if (dir->places > 2 * dir->live + PLACES_MIN) {
        pack_places(dir);
    }
    e->node->nlink--;
    if (S_ISDIR(e->node->mode)) {
        e->node->dir.parent = NULL;
        d->nlink--;
    }
    ram_dirty(e->node);
    ram_dirty(d);
    ram_dir_cancel(d, e);
}

void ram_dir_fini(struct ram_node *d)
{
    cg_assert(d->dir.live == 0);
    cg_free(d->dir.bucket);
    cg_free(d->dir.place);
}

/* False: the reply is full. A file whose contents fit into an empty reply (first_room) but no more
 * into this one waits for the next. */
static bool add_entry(struct ninep_req *r, const struct ram_entry *e, uint32_t first_room)
{
    struct ninep_attr attr;
    const struct ram_node *n = e->node;
    struct ramfs *fs = n->fs;
    ram_attr(r->fid, n, &attr);
    struct cg_span name = {(const uint8_t *)e->name, e->len};
    uint32_t room = ninep_dir_inline_room(r);
    bool may = S_ISREG(n->mode) && (attr.rights & NINEP_RIGHTS_READ) != 0;
    if (may && n->size > room && n->size <= first_room) {
        return false;
    }
    if (!may || n->size > room || room == 0) {
        return ninep_dir_add(r, e->cookie, name, &attr, NULL, 0);
    }
    ram_copy_out(n, 0, fs->scratch, n->size);
    return ninep_dir_add(r, e->cookie, name, &attr, fs->scratch, (uint32_t)n->size);
}

/* A directory that may be read but not searched shows names and kinds. */
static bool add_name(struct ninep_req *r, const struct ram_entry *e)
{
    struct ninep_attr attr = {.mode = ram_type(e->node)};
    struct cg_span name = {(const uint8_t *)e->name, e->len};
    ram_id(e->node, &attr.id);
    attr.id.type = NINEP_QTYPE_NOCACHE;
    return ninep_dir_add(r, e->cookie, name, &attr, NULL, 0);
}

void ram_readdir(struct ninep_req *r)
{
    struct ram_node *d = ram_node(r->fid);
    cg_err e = ram_may(r->fid, d, NINEP_RIGHTS_READ, &r->eb);
    if (e != CG_OK) {
        ninep_respond(r, e);
        return;
    }
    bool search = ram_may(r->fid, d, NINEP_RIGHTS_EXEC, NULL) == CG_OK;
    uint32_t i = place_after(&d->dir, r->t.readdir.cookie), first_room = ninep_dir_inline_room(r);
    for (; i < d->dir.places; i++) {
        const struct ram_entry *entry = d->dir.place[i].entry;
        if (entry != NULL && !(search ? add_entry(r, entry, first_room) : add_name(r, entry))) {
            break;
        }
    }
    r->r.readdir.eof = i == d->dir.places;
    ram_attr(r->fid, d, &r->r.readdir.dir);
    ninep_respond(r, CG_OK);
}
