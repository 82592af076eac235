/* Directories: reading them in order, finding a name, building one, and changing one. Snapshots
 * too. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

struct store_dir {
    struct store *s;
    int depth; /* nodes on the way to the leaf */
    struct {
        struct cg_str bytes;
        struct node n;
    } level[NODE_LEVELS_MAX];
    bool held; /* the next entry was decoded already, by a seek */
    struct store_entry next;
    bool any; /* last is set */
    uint8_t last_len, last[STORE_NAME_BYTES_MAX];
};

static int name_cmp(struct cg_span a, struct cg_span b)
{
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

static cg_err bad_dir(struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_EBADFORMAT, "a directory's node is malformed");
}

static cg_err push(struct store_dir *d, const struct store_score *score, int level,
                   struct cg_errbuf *eb)
{
    if (d->depth == NODE_LEVELS_MAX) {
        return bad_dir(eb);
    }
    struct cg_str *keep = &d->level[d->depth].bytes;
    struct node *n = &d->level[d->depth].n;
    cg_err e = node_fetch(d->s, score, keep, eb);
    if (e) {
        return e;
    }
    if (node_decode((struct cg_span){.data = (uint8_t *)keep->data, .len = (uint32_t)keep->len},
                    n) ||
        n->type != NODE_DIR || (level >= 0 && n->level != level)) {
        return bad_dir(eb);
    }
    d->depth++;
    return CG_OK;
}

cg_err store_dir_open(struct store *s, const struct store_score *root, struct store_dir **out,
                      struct cg_errbuf *eb)
{
    struct store_dir *d = cg_zalloc(sizeof *d);
    if (!d) {
        return CG_ENOMEM;
    }
    d->s = s;
    cg_err e = push(d, root, -1, eb);
    if (e) {
        store_dir_close(d);
        return e;
    }
    *out = d;
    return CG_OK;
}

void store_dir_close(struct store_dir *d)
{
    if (d) {
        for (int i = 0; i < NODE_LEVELS_MAX; i++) {
            cg_str_fini(&d->level[i].bytes);
        }
        cg_free(d);
    }
}

/* The next entry as it comes; the order is checked, so that no name stands twice. */
static cg_err decode_next(struct store_dir *d, struct store_entry *out, struct cg_errbuf *eb)
{
    while (d->depth > 0) {
        struct node *n = &d->level[d->depth - 1].n;
        struct store_score child;
        struct cg_span name, last = {.data = d->last, .len = d->last_len};
        if (n->level == 0 && node_next_entry(n, out)) {
            if (d->any && name_cmp(last, out->name) >= 0) {
                return bad_dir(eb);
            }
            d->any = true;
            d->last_len = (uint8_t)out->name.len;
            memcpy(d->last, out->name.data, out->name.len);
            return CG_OK;
        }
        if (n->level > 0 && node_next_child(n, &child, &name)) {
            cg_err e = push(d, &child, n->level - 1, eb);
            if (e) {
                return e;
            }
            continue;
        }
        if (n->body.bad) {
            return bad_dir(eb);
        }
        /* The root stays, so that a seek can begin again. */
        if (d->depth == 1) {
            return CG_ENOENT;
        }
        d->depth--;
    }
    return CG_ENOENT;
}

cg_err store_dir_next(struct store_dir *d, struct store_entry *out, struct cg_errbuf *eb)
{
    if (d->held) {
        d->held = false;
        *out = d->next;
        return CG_OK;
    }
    return decode_next(d, out, eb);
}

static cg_err rewind_node(struct store_dir *d, int i)
{
    struct cg_str *keep = &d->level[i].bytes;
    return node_decode((struct cg_span){.data = (uint8_t *)keep->data, .len = (uint32_t)keep->len},
                       &d->level[i].n);
}

cg_err store_dir_seek(struct store_dir *d, struct cg_span name, struct cg_errbuf *eb)
{
    d->depth = 1;
    d->held = d->any = false;
    cg_err e = rewind_node(d, 0);
    while (!e && d->level[d->depth - 1].n.level > 0) {
        struct node *n = &d->level[d->depth - 1].n;
        struct store_score child;
        struct cg_span last;
        bool found = false;
        while (!found && node_next_child(n, &child, &last)) {
            found = name_cmp(last, name) >= 0;
        }
        if (!found) {
            return n->body.bad ? bad_dir(eb) : CG_OK; /* at the end */
        }
        e = push(d, &child, n->level - 1, eb);
    }
    while (!e) {
        e = decode_next(d, &d->next, eb);
        if (!e && name_cmp(d->next.name, name) >= 0) {
            d->held = true;
            return CG_OK;
        }
    }
    return e == CG_ENOENT ? CG_OK : e;
}

/* ---- by path ---- */

cg_err store_lookup_name(struct store *s, const struct store_score *dir, struct cg_span name,
                         struct store_entry *out, struct cg_str *keep, struct cg_errbuf *eb)
{
    struct store_dir *d;
    cg_err e = store_dir_open(s, dir, &d, eb);
    if (e) {
        return e;
    }
    e = store_dir_seek(d, name, eb);
    e = e ? e : store_dir_next(d, out, eb);
    if (!e && name_cmp(out->name, name) != 0) {
        e = CG_ENOENT;
    }
    if (!e) {
        size_t at[3] = {0, out->name.len, out->name.len + out->data.len};
        keep->len = 0;
        e = cg_str_add(keep, out->name.data, out->name.len);
        e = e ? e : cg_str_add(keep, out->data.data, out->data.len);
        e = e ? e : cg_str_add(keep, out->xattrs.data, out->xattrs.len);
        const uint8_t *base = (const uint8_t *)keep->data;
        out->name.data = base + at[0];
        out->data.data = base + at[1];
        out->xattrs.data = base + at[2];
    }
    store_dir_close(d);
    return e;
}

cg_err store_lookup(struct store *s, const struct store_score *root, const char *path,
                    struct store_entry *out, struct cg_str *keep, struct cg_errbuf *eb)
{
    *out = (struct store_entry){.kind = STORE_DIR, .score = *root, .mode = 0755, .nlink = 1};
    for (const char *at = path; *(at += strspn(at, "/"));) {
        struct cg_span name = {.data = (const uint8_t *)at, .len = (uint32_t)strcspn(at, "/")};
        at += name.len;
        if (cg_span_is(name, ".")) {
            continue;
        }
        if (!cg_name_ok(name)) {
            return cg_fail(eb, CG_EINVAL, "%s: no name in a tree is like that", path);
        }
        if (out->kind != STORE_DIR) {
            return cg_fail(eb, CG_ENOTDIR, "%s: a part of this is not a directory", path);
        }
        struct store_score dir = out->score;
        cg_err e = store_lookup_name(s, &dir, name, out, keep, eb);
        if (e) {
            return e == CG_ENOENT ? cg_fail(eb, e, "%s: not in this snapshot", path) : e;
        }
    }
    return CG_OK;
}

/* ---- building ---- */

struct store_builder {
    struct tree tree;
    struct cg_str item;
    bool any;
    uint8_t last_len, last[STORE_NAME_BYTES_MAX];
};

cg_err store_builder_new(struct store_writer *w, struct store_builder **out)
{
    struct store_builder *b = cg_zalloc(sizeof *b);
    if (!b) {
        return CG_ENOMEM;
    }
    tree_init(&b->tree, w, NODE_DIR);
    *out = b;
    return CG_OK;
}

void store_builder_free(struct store_builder *b)
{
    if (b) {
        tree_fini(&b->tree);
        cg_str_fini(&b->item);
        cg_free(b);
    }
}

static bool entry_ok(const struct store_entry *e)
{
    return cg_name_ok(e->name) && e->kind >= STORE_FILE && e->kind <= STORE_BLOCK &&
           e->mode <= 07777 && e->xattrs.len <= STORE_XATTR_BYTES_MAX &&
           (e->kind != STORE_SYMLINK ||
            (e->data.len >= 1 && e->data.len <= STORE_TARGET_BYTES_MAX)) &&
           (e->kind != STORE_FILE || e->data.len <= STORE_INLINE_BYTES_MAX);
}

/* A leaf may end after a name whose keyed hash says so, whatever its attributes are. */
static bool name_cuts(const struct chunker *c, struct cg_span name)
{
    enum { CUT_BITS = 4 };
    uint64_t h = 0;
    for (uint32_t i = 0; i < name.len; i++) {
        h = (h << 1) + c->gear[name.data[i]];
    }
    return h >> (64 - CUT_BITS) == 0;
}

cg_err store_builder_add(struct store_builder *b, const struct store_entry *e, struct cg_errbuf *eb)
{
    struct cg_span last = {.data = b->last, .len = b->last_len};
    if (!entry_ok(e)) {
        return cg_fail(eb, CG_EINVAL, "%.*s: no tree holds such an entry", (int)e->name.len,
                       (const char *)e->name.data);
    }
    cg_assert(!b->any || name_cmp(last, e->name) < 0);
    b->any = true;
    b->last_len = (uint8_t)e->name.len;
    memcpy(b->last, e->name.data, e->name.len);
    b->item.len = 0;
    cg_err err = entry_encode(&b->item, e);
    return err ? err
               : tree_add(&b->tree, b->item.data, b->item.len, 0, e->name,
                          name_cuts(&b->tree.w->s->chunker, e->name), eb);
}

cg_err store_builder_end(struct store_builder *b, struct store_score *root, struct cg_errbuf *eb)
{
    b->any = false;
    return tree_end(&b->tree, root, eb);
}

/* ---- changing ---- */

static cg_err merge_edits(struct store_builder *b, struct store_dir *d,
                          const struct store_edit *edits, size_t count, struct cg_errbuf *eb)
{
    struct store_entry old;
    cg_err have = d ? store_dir_next(d, &old, eb) : CG_ENOENT, e = CG_OK;
    for (size_t i = 0; !e && (i < count || have == CG_OK);) {
        int c = i == count ? 1 : have ? -1 : name_cmp(edits[i].name, old.name);
        if (have && have != CG_ENOENT) {
            return have;
        }
        if (c <= 0 && edits[i].entry) {
            e = store_builder_add(b, edits[i].entry, eb);
        } else if (c > 0) {
            e = store_builder_add(b, &old, eb);
        }
        i += c <= 0;
        if (c >= 0 && !e) {
            have = store_dir_next(d, &old, eb);
        }
    }
    return e ? e : have == CG_ENOENT ? CG_OK : have;
}

cg_err store_dir_edit(struct store_writer *w, const struct store_score *root,
                      const struct store_edit *edits, size_t count, struct store_score *out,
                      struct cg_errbuf *eb)
{
    struct store_builder *b;
    struct store_dir *d = NULL;
    cg_err e = store_builder_new(w, &b);
    if (e) {
        return e;
    }
    e = root ? store_dir_open(w->s, root, &d, eb) : CG_OK;
    e = e ? e : merge_edits(b, d, edits, count, eb);
    e = e ? e : store_builder_end(b, out, eb);
    store_dir_close(d);
    store_builder_free(b);
    return e;
}

/* ---- snapshots ---- */

cg_err store_snapshot_put(struct store_writer *w, const struct store_snapshot *snap,
                          struct store_score *out, struct cg_errbuf *eb)
{
    uint8_t node[NODE_HEAD_BYTES + STORE_SCORE_BYTES + 10 + 5 * 8 + 2 * 256];
    struct cg_buf b = cg_buf_writer(node, sizeof node);
    cg_put_u8(&b, NODE_SNAPSHOT);
    cg_put_u8(&b, 0);
    cg_put_u16(&b, 1);
    cg_put_u32(&b, 0);
    cg_put_bytes(&b, snap->root.b, STORE_SCORE_BYTES);
    cg_put_u16(&b, (uint16_t)snap->mode);
    cg_put_u32(&b, snap->uid);
    cg_put_u32(&b, snap->gid);
    cg_put_u64(&b, (uint64_t)snap->mtime_ns);
    cg_put_u64(&b, snap->time_ns);
    cg_put_u64(&b, snap->files);
    cg_put_u64(&b, snap->bytes);
    cg_put_u64(&b, snap->added);
    cg_put_u8(&b, (uint8_t)strlen(snap->name));
    cg_put_bytes(&b, snap->name, strlen(snap->name));
    cg_put_u8(&b, (uint8_t)strlen(snap->host));
    cg_put_bytes(&b, snap->host, strlen(snap->host));
    cg_assert(!b.bad);
    return writer_put(w, STORE_NODE, node, b.pos, out, eb);
}

cg_err store_snapshot_get(struct store *s, const struct store_score *score,
                          struct store_snapshot *out, struct cg_errbuf *eb)
{
    struct cg_span bytes;
    struct node n;
    memset(out, 0, sizeof *out);
    cg_err e = store_get(s, STORE_NODE, score, &bytes, eb);
    if (e) {
        return e;
    }
    if (node_decode(bytes, &n) || n.type != NODE_SNAPSHOT) {
        return cg_fail(eb, CG_EBADFORMAT, "this is no snapshot");
    }
    struct cg_span root = cg_get_span(&n.body, STORE_SCORE_BYTES);
    out->mode = cg_get_u16(&n.body) & 07777;
    out->uid = cg_get_u32(&n.body);
    out->gid = cg_get_u32(&n.body);
    out->mtime_ns = (int64_t)cg_get_u64(&n.body);
    out->time_ns = cg_get_u64(&n.body);
    out->files = cg_get_u64(&n.body);
    out->bytes = cg_get_u64(&n.body);
    out->added = cg_get_u64(&n.body);
    struct cg_span name = cg_get_span(&n.body, cg_get_u8(&n.body));
    struct cg_span host = cg_get_span(&n.body, cg_get_u8(&n.body));
    if (n.body.bad || cg_buf_left(&n.body) || !cg_span_str(name, out->name, sizeof out->name) ||
        !cg_span_str(host, out->host, sizeof out->host)) {
        return cg_fail(eb, CG_EBADFORMAT, "the snapshot's node is malformed");
    }
    memcpy(out->root.b, root.data, STORE_SCORE_BYTES);
    return CG_OK;
}
