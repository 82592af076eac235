/* Nodes: the objects of which trees are made.
 *
 * Every node: type 1, level 1, items 2, zero 4. Items by type and level:
 *   'L' 0   score 24, length 4                  a piece of a file; score zero: a hole
 *   'L' n   score 24, bytes below 8             a child list
 *   'D' 0   an entry                            see entry_encode
 *   'D' n   score 24, last name below with its length 1
 *   'S' 0   root 24, mode 2, uid 4, gid 4, mtime 8, time 8, files 8, bytes 8, added 8, name and
 * host each with its length 1
 *
 * A child's level is its parent's less one, so trees end. Directories and lists are cut where the
 * contents say so (dir.c, file.c): a change makes anew one leaf and the nodes above it. */
#include "store__.h"

#include <string.h>

enum {
    FLAG_CTIME = 1, /* it differs from mtime */
    FLAG_XATTRS = 2,
    FLAG_RDEV = 4,
    FLAG_LINKS = 8,
    FLAGS_ALL = 15,
};

bool score_is_zero(const struct store_score *s)
{
    static const struct store_score zero;
    return store_score_is(s, &zero);
}

cg_err node_decode(struct cg_span bytes, struct node *n)
{
    struct cg_buf b = cg_buf_reader(bytes.data, bytes.len);
    *n = (struct node){0};
    n->type = cg_get_u8(&b);
    n->level = cg_get_u8(&b);
    n->count = cg_get_u16(&b);
    uint32_t zero = cg_get_u32(&b);
    bool typed = n->type == NODE_DIR || n->type == NODE_LIST ||
                 (n->type == NODE_SNAPSHOT && n->level == 0 && n->count == 1);
    n->body = b;
    return typed && !b.bad && zero == 0 && n->level < NODE_LEVELS_MAX ? CG_OK : CG_EBADFORMAT;
}

static bool begin_item(struct node *n)
{
    if (n->done == n->count || n->body.bad) {
        n->body.bad = n->body.bad || cg_buf_left(&n->body) > 0;
        return false;
    }
    n->done++;
    return true;
}

static void get_score(struct cg_buf *b, struct store_score *out)
{
    struct cg_span s = cg_get_span(b, STORE_SCORE_BYTES);
    if (!b->bad) {
        memcpy(out->b, s.data, STORE_SCORE_BYTES);
    }
}

bool node_next_piece(struct node *n, struct piece *p)
{
    if (n->type != NODE_LIST || !begin_item(n)) {
        return false;
    }
    get_score(&n->body, &p->score);
    p->len = n->level ? cg_get_u64(&n->body) : cg_get_u32(&n->body);
    n->body.bad = n->body.bad || p->len == 0 || p->len > INT64_MAX ||
                  (n->level == 0 && p->len > STORE_CHUNK_BYTES_MAX && !score_is_zero(&p->score)) ||
                  (n->level > 0 && score_is_zero(&p->score));
    return !n->body.bad;
}

bool node_next_child(struct node *n, struct store_score *score, struct cg_span *name)
{
    cg_assert(n->level > 0);
    if (!begin_item(n)) {
        return false;
    }
    get_score(&n->body, score);
    if (n->type == NODE_DIR) {
        *name = cg_get_span(&n->body, cg_get_u8(&n->body));
        n->body.bad = n->body.bad || !cg_name_ok(*name);
    } else {
        cg_get_u64(&n->body);
    }
    return !n->body.bad;
}

/* ---- entries ---- */

static bool kind_has_rdev(enum store_kind k)
{
    return k == STORE_CHAR || k == STORE_BLOCK;
}

/* kind 1, flags 1, content 1, mode 2, uid 4, gid 4, mtime 8, ino 8, name with its length 1; [ctime
 * 8] [nlink 4] [rdev 8] [xattrs with their length 4]; then by kind: a file size 8 and score or
 * inline data, a directory its score, a link its target with its length 2. */
cg_err entry_encode(struct cg_str *out, const struct store_entry *e)
{
    uint8_t head[64];
    struct cg_buf b = cg_buf_writer(head, sizeof head);
    uint8_t flags =
        (uint8_t)((e->ctime_ns != e->mtime_ns ? FLAG_CTIME : 0) |
                  (e->xattrs.len ? FLAG_XATTRS : 0) | (kind_has_rdev(e->kind) ? FLAG_RDEV : 0) |
                  (e->nlink > 1 ? FLAG_LINKS : 0));
    cg_put_u8(&b, (uint8_t)e->kind);
    cg_put_u8(&b, flags);
    cg_put_u8(&b, (uint8_t)e->content);
    cg_put_u16(&b, (uint16_t)e->mode);
    cg_put_u32(&b, e->uid);
    cg_put_u32(&b, e->gid);
    cg_put_u64(&b, (uint64_t)e->mtime_ns);
    cg_put_u64(&b, e->ino);
    cg_put_u8(&b, (uint8_t)e->name.len);
    cg_err err = cg_str_add(out, head, b.pos);
    if (!err) {
        err = cg_str_add(out, e->name.data, e->name.len);
    }
    b = cg_buf_writer(head, sizeof head);
    if (flags & FLAG_CTIME) {
        cg_put_u64(&b, (uint64_t)e->ctime_ns);
    }
    if (flags & FLAG_LINKS) {
        cg_put_u32(&b, e->nlink);
    }
    if (flags & FLAG_RDEV) {
        cg_put_u64(&b, e->rdev);
    }
    if (flags & FLAG_XATTRS) {
        cg_put_u32(&b, e->xattrs.len);
    }
    err = err ? err : cg_str_add(out, head, b.pos);
    err = err ? err : cg_str_add(out, e->xattrs.data, e->xattrs.len);
    b = cg_buf_writer(head, sizeof head);
    if (e->kind == STORE_FILE) {
        cg_put_u64(&b, e->size);
    } else if (e->kind == STORE_SYMLINK) {
        cg_put_u16(&b, (uint16_t)e->data.len);
    }
    if (e->kind == STORE_DIR || (e->kind == STORE_FILE && e->content >= STORE_CHUNK)) {
        cg_put_bytes(&b, e->score.b, STORE_SCORE_BYTES);
    }
    cg_assert(!b.bad);
    err = err ? err : cg_str_add(out, head, b.pos);
    return err || !e->data.len ? err : cg_str_add(out, e->data.data, e->data.len);
}

static void get_contents(struct cg_buf *b, uint8_t content, struct store_entry *e)
{
    e->content = content;
    if (e->kind == STORE_DIR) {
        get_score(b, &e->score);
    } else if (e->kind == STORE_SYMLINK) {
        uint16_t len = cg_get_u16(b);
        e->data = cg_get_span(b, len);
        e->size = len;
        b->bad = b->bad || len == 0 || len > STORE_TARGET_BYTES_MAX ||
                 memchr(e->data.data, 0, len) != NULL;
    } else if (e->kind == STORE_FILE) {
        e->size = cg_get_u64(b);
        bool fits = content == STORE_EMPTY    ? e->size == 0
                    : content == STORE_INLINE ? e->size >= 1 && e->size <= STORE_INLINE_BYTES_MAX
                    : content == STORE_CHUNK  ? e->size >= 1 && e->size <= STORE_CHUNK_BYTES_MAX
                                              : content == STORE_LIST && e->size <= INT64_MAX;
        b->bad = b->bad || !fits;
        if (!b->bad && content == STORE_INLINE) {
            e->data = cg_get_span(b, (size_t)e->size);
        } else if (!b->bad && content >= STORE_CHUNK) {
            get_score(b, &e->score);
        }
    }
    b->bad = b->bad || (e->kind != STORE_FILE && content != STORE_EMPTY);
}

bool node_next_entry(struct node *n, struct store_entry *e)
{
    struct cg_buf *b = &n->body;
    if (n->type != NODE_DIR || n->level != 0 || !begin_item(n)) {
        return false;
    }
    *e = (struct store_entry){.kind = cg_get_u8(b)};
    uint8_t flags = cg_get_u8(b), content = cg_get_u8(b);
    e->mode = cg_get_u16(b);
    e->uid = cg_get_u32(b);
    e->gid = cg_get_u32(b);
    e->mtime_ns = (int64_t)cg_get_u64(b);
    e->ino = cg_get_u64(b);
    e->name = cg_get_span(b, cg_get_u8(b));
    e->ctime_ns = flags & FLAG_CTIME ? (int64_t)cg_get_u64(b) : e->mtime_ns;
    e->nlink = flags & FLAG_LINKS ? cg_get_u32(b) : 1;
    e->rdev = flags & FLAG_RDEV ? cg_get_u64(b) : 0;
    if (flags & FLAG_XATTRS) {
        uint32_t len = cg_get_u32(b);
        e->xattrs = cg_get_span(b, len <= STORE_XATTR_BYTES_MAX ? len : SIZE_MAX);
    }
    b->bad = b->bad || e->kind < STORE_FILE || e->kind > STORE_BLOCK || (flags & ~FLAGS_ALL) ||
             e->mode > 07777 || !cg_name_ok(e->name) ||
             kind_has_rdev(e->kind) != ((flags & FLAG_RDEV) != 0);
    get_contents(b, content, e);
    return !b->bad;
}

bool store_xattr_next(struct cg_span *xattrs, struct cg_span *name, struct cg_span *value,
                      bool *bad)
{
    struct cg_buf b = cg_buf_reader(xattrs->data, xattrs->len);
    *bad = false;
    if (xattrs->len == 0) {
        return false;
    }
    *name = cg_get_span(&b, cg_get_u8(&b));
    *value = cg_get_span(&b, cg_get_u32(&b));
    *bad = b.bad || name->len == 0 || memchr(name->data, 0, name->len) != NULL;
    if (!*bad) {
        *xattrs = (struct cg_span){.data = xattrs->data + b.pos, .len = (uint32_t)cg_buf_left(&b)};
    }
    return !*bad;
}

cg_err store_xattr_add(struct cg_str *xattrs, struct cg_span name, struct cg_span value)
{
    uint8_t len[5];
    if (name.len > STORE_NAME_BYTES_MAX ||
        xattrs->len + name.len + value.len + sizeof len > STORE_XATTR_BYTES_MAX) {
        return CG_ETOOBIG;
    }
    struct cg_buf b = cg_buf_writer(len, sizeof len);
    cg_put_u8(&b, (uint8_t)name.len);
    cg_err e = cg_str_add(xattrs, len, 1);
    e = e ? e : cg_str_add(xattrs, name.data, name.len);
    cg_put_u32(&b, value.len);
    e = e ? e : cg_str_add(xattrs, len + 1, 4);
    return e ? e : cg_str_add(xattrs, value.data, value.len);
}

/* ---- edges ---- */

static cg_err dir_edges(struct node *n, edge_fn *fn, void *aux)
{
    struct store_entry e;
    cg_err err = CG_OK;
    while (!err && node_next_entry(n, &e)) {
        if (e.kind == STORE_DIR || (e.kind == STORE_FILE && e.content == STORE_LIST)) {
            err = fn(aux, STORE_NODE, &e.score);
        } else if (e.kind == STORE_FILE && e.content == STORE_CHUNK) {
            err = fn(aux, STORE_DATA, &e.score);
        }
    }
    return err;
}

cg_err node_edges(struct cg_span bytes, edge_fn *fn, void *aux)
{
    struct node n;
    struct store_score score;
    struct cg_span name;
    struct piece p;
    cg_err e = node_decode(bytes, &n);
    if (e) {
        return e;
    }
    if (n.type == NODE_SNAPSHOT) {
        get_score(&n.body, &score);
        return n.body.bad ? CG_EBADFORMAT : fn(aux, STORE_NODE, &score);
    }
    if (n.level > 0) {
        while (!e && node_next_child(&n, &score, &name)) {
            e = fn(aux, STORE_NODE, &score);
        }
    } else if (n.type == NODE_DIR) {
        e = dir_edges(&n, fn, aux);
    } else {
        while (!e && node_next_piece(&n, &p)) {
            e = score_is_zero(&p.score) ? CG_OK : fn(aux, STORE_DATA, &p.score);
        }
    }
    return e ? e : n.body.bad ? CG_EBADFORMAT : CG_OK;
}

cg_err node_fetch(struct store *s, const struct store_score *score, struct cg_str *keep,
                  struct cg_errbuf *eb)
{
    struct cg_span bytes;
    cg_err e = store_get(s, STORE_NODE, score, &bytes, eb);
    keep->len = 0;
    return e ? e : cg_str_add(keep, bytes.data, bytes.len);
}

static cg_err dump_entry(const struct store_entry *e, struct cg_str *out)
{
    static const char letters[] = "?-dlpscb";
    char score[2 * STORE_SCORE_BYTES + 1] = "";
    if (e->kind == STORE_DIR || e->content >= STORE_CHUNK) {
        store_score_text(&e->score, score);
    }
    return cg_str_addf(out, "%c%04o %u:%u size %llu mtime %lld ino %llu %.*s %s\n",
                       letters[e->kind], e->mode, e->uid, e->gid, (unsigned long long)e->size,
                       (long long)e->mtime_ns, (unsigned long long)e->ino, (int)e->name.len,
                       (const char *)e->name.data, score);
}

cg_err node_dump(struct cg_span bytes, struct cg_str *out)
{
    struct node n;
    struct store_entry entry;
    struct store_score score;
    struct cg_span name = {0};
    struct piece p;
    char text[2 * STORE_SCORE_BYTES + 1];
    cg_err e = node_decode(bytes, &n);
    e = e ? e : cg_str_addf(out, "node %c level %d items %u\n", n.type, n.level, n.count);
    while (!e && n.type == NODE_DIR && n.level == 0 && node_next_entry(&n, &entry)) {
        e = dump_entry(&entry, out);
    }
    while (!e && n.type == NODE_LIST && node_next_piece(&n, &p)) {
        store_score_text(&p.score, text);
        e = cg_str_addf(out, "%s %llu\n", text, (unsigned long long)p.len);
    }
    while (!e && n.type == NODE_DIR && n.level > 0 && node_next_child(&n, &score, &name)) {
        store_score_text(&score, text);
        e = cg_str_addf(out, "%s to %.*s\n", text, (int)name.len, (const char *)name.data);
    }
    return e ? e : n.body.bad ? CG_EBADFORMAT : CG_OK;
}
