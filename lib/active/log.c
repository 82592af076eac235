/* Records of the journal. A transaction is one frame: all of its records happen or none. They are
 * applied to memory after they are logged, by the code that replays them: what memory is after a
 * change is what a replay makes of it.
 *
 * Records, each a byte and then:
 *   KNOW   ino 8, directory 8, name      the file of this name is called ino from here on
 *   MAKE   ino 8, kind 1, mode 4, uid 4, gid 4, rdev 8, time 8, target with its length 2
 *   NAME   directory 8, name, ino 8      the name leads to the file, whatever it led to before
 *   GONE   directory 8, name
 *   ATTR   ino 8, mode 4, uid 4, gid 4, mtime 8, ctime 8
 *   WRITE  ino 8, at 8, bytes with their length 4
 *   SIZE   ino 8, size 8
 *   PUNCH  ino 8, from 8, to 8
 *   XATTR  ino 8, attributes (as in a directory's entry) with their length 4
 *   END    the segment is whole, another follows
 * A name stands with its length 1. A record of a file that is not known is of one that had no name
 * any more: it is left out. */
#include "active__.h"

#include <string.h>

enum record { KNOW = 1, MAKE, NAME, GONE, ATTR, WRITE, SIZE, PUNCH, XATTR, END };
enum { RECORD_BYTES_MAX = 320 }; /* without what has a length of four bytes */

void act_tx_begin(struct active *t)
{
    t->tx.len = 0;
}

static cg_err add(struct active *t, const struct cg_buf *b)
{
    cg_assert(!b->bad);
    return cg_str_add(&t->tx, b->base, b->pos);
}

#define RECORD(b, kind)                                                                            \
    uint8_t b##_bytes[RECORD_BYTES_MAX];                                                           \
    struct cg_buf b = cg_buf_writer(b##_bytes, sizeof b##_bytes);                                  \
    cg_put_u8(&b, kind)

static void put_name(struct cg_buf *b, struct cg_span name)
{
    cg_put_u8(b, (uint8_t)name.len);
    cg_put_bytes(b, name.data, name.len);
}

static bool is_known(const struct active *t, const struct active_node *n)
{
    return n == t->root || n == t->orphans || n->known == t->gen || !n->names;
}

static cg_err know(struct active *t, const struct active_node *n)
{
    RECORD(b, KNOW);
    cg_put_u64(&b, n->ino);
    cg_put_u64(&b, n->names->dir->ino);
    put_name(&b, act_name_span(n->names));
    return add(t, &b);
}

/* From the top down; the way is as long as the tree is deep, so it is not on the stack. */
cg_err act_tx_know(struct active *t, const struct active_node *n)
{
    struct cg_str way = {0};
    cg_err e = CG_OK;
    for (; !e && !is_known(t, n); n = n->names->dir) {
        e = cg_str_add(&way, &n, sizeof n);
    }
    while (!e && way.len) {
        way.len -= sizeof n;
        memcpy(&n, way.data + way.len, sizeof n);
        e = know(t, n);
    }
    cg_str_fini(&way);
    return e;
}

cg_err act_tx_make(struct active *t, uint64_t ino, const struct active_make *m, int64_t now)
{
    RECORD(b, MAKE);
    cg_put_u64(&b, ino);
    cg_put_u8(&b, (uint8_t)m->kind);
    cg_put_u32(&b, m->mode);
    cg_put_u32(&b, m->uid);
    cg_put_u32(&b, m->gid);
    cg_put_u64(&b, m->rdev);
    cg_put_u64(&b, (uint64_t)now);
    cg_put_u16(&b, (uint16_t)m->target.len);
    cg_err e = add(t, &b);
    return e || !m->target.len ? e : cg_str_add(&t->tx, m->target.data, m->target.len);
}

cg_err act_tx_name(struct active *t, uint64_t dir, struct cg_span name, uint64_t ino)
{
    RECORD(b, NAME);
    cg_put_u64(&b, dir);
    put_name(&b, name);
    cg_put_u64(&b, ino);
    return add(t, &b);
}

cg_err act_tx_unname(struct active *t, uint64_t dir, struct cg_span name)
{
    RECORD(b, GONE);
    cg_put_u64(&b, dir);
    put_name(&b, name);
    return add(t, &b);
}

cg_err act_tx_attr(struct active *t, uint64_t ino, const struct meta_record *m)
{
    RECORD(b, ATTR);
    cg_put_u64(&b, ino);
    cg_put_u32(&b, m->mode);
    cg_put_u32(&b, m->uid);
    cg_put_u32(&b, m->gid);
    cg_put_u64(&b, (uint64_t)m->mtime_ns);
    cg_put_u64(&b, (uint64_t)m->ctime_ns);
    return add(t, &b);
}

cg_err act_tx_write(struct active *t, uint64_t ino, uint64_t at, struct cg_span data)
{
    RECORD(b, WRITE);
    cg_put_u64(&b, ino);
    cg_put_u64(&b, at);
    cg_put_u32(&b, data.len);
    cg_err e = add(t, &b);
    return e ? e : cg_str_add(&t->tx, data.data, data.len);
}

cg_err act_tx_size(struct active *t, uint64_t ino, uint64_t size)
{
    RECORD(b, SIZE);
    cg_put_u64(&b, ino);
    cg_put_u64(&b, size);
    return add(t, &b);
}

cg_err act_tx_punch(struct active *t, uint64_t ino, uint64_t from, uint64_t to)
{
    RECORD(b, PUNCH);
    cg_put_u64(&b, ino);
    cg_put_u64(&b, from);
    cg_put_u64(&b, to);
    return add(t, &b);
}

cg_err act_tx_xattrs(struct active *t, uint64_t ino, struct cg_span xattrs)
{
    RECORD(b, XATTR);
    cg_put_u64(&b, ino);
    cg_put_u32(&b, xattrs.len);
    cg_err e = add(t, &b);
    return e || !xattrs.len ? e : cg_str_add(&t->tx, xattrs.data, xattrs.len);
}

/* ---- applying ---- */

static cg_err apply_know(struct active *t, struct cg_buf *b)
{
    uint64_t ino = cg_get_u64(b);
    struct active_node *dir = act_node_find(t, cg_get_u64(b)), *n = NULL;
    struct cg_span name = cg_get_span(b, cg_get_u8(b));
    if (b->bad || !dir || !act_node_is_dir(dir)) {
        return CG_EBADFORMAT;
    }
    cg_err e = act_name_lookup(t, dir, name, &n, NULL);
    if (e || n->ino != ino) {
        return e && e != CG_ENOENT ? e : CG_EBADFORMAT;
    }
    n->known = t->gen;
    return CG_OK;
}

static cg_err apply_make(struct active *t, struct cg_buf *b)
{
    struct active_node *n;
    uint64_t ino = cg_get_u64(b);
    uint8_t kind = cg_get_u8(b);
    uint32_t mode = cg_get_u32(b), uid = cg_get_u32(b), gid = cg_get_u32(b);
    uint64_t rdev = cg_get_u64(b);
    int64_t now = (int64_t)cg_get_u64(b);
    struct cg_span target = cg_get_span(b, cg_get_u16(b));
    bool link = kind == STORE_SYMLINK;
    if (b->bad || ino < t->ino_next || ino == UINT64_MAX || kind < STORE_FILE ||
        kind > STORE_BLOCK || mode > 07777 || link != (target.len > 0) ||
        target.len >= STORE_TARGET_BYTES_MAX) {
        return CG_EBADFORMAT;
    }
    cg_err e = act_node_new(t, ino, &n);
    if (e) {
        return e;
    }
    n->kind = kind;
    n->mode = mode;
    n->uid = uid;
    n->gid = gid;
    n->rdev = rdev;
    n->atime_ns = n->mtime_ns = n->ctime_ns = now;
    n->nlink = kind == STORE_DIR; /* its own "." */
    n->size = target.len;
    n->known = t->gen;
    t->ino_next = ino + 1;
    act_node_dirty(t, n);
    return target.len ? cg_str_add(&n->target, target.data, target.len) : CG_OK;
}

/* The name will differ from the base. */
static void change_name(struct active *t, struct name *name, enum name_state to)
{
    name->below = name->below || name->state == NAME_CLEAN || (name->gen && name->gen < t->gen);
    name->state = to;
    name->gen = t->gen;
    act_node_dirty(t, name->dir);
}

static void count_file(struct active *t, const struct active_node *n, bool more)
{
    t->files += more ? 1 : (uint64_t)-1;
    t->bytes += more ? n->size : 0 - n->size;
}

static void lead(struct active *t, struct name *name, struct active_node *n)
{
    act_name_attach(name, n);
    if (name->dir == t->orphans) {
        return;
    }
    if (n->nlink++ == (uint32_t)act_node_is_dir(n)) {
        count_file(t, n, true);
    }
    name->dir->nlink += act_node_is_dir(n);
}

static cg_err unlead(struct active *t, struct name *name)
{
    struct active_node *n = name->node;
    act_name_detach(name);
    if (name->dir != t->orphans) {
        name->dir->nlink -= act_node_is_dir(n);
        if (--n->nlink == (uint32_t)act_node_is_dir(n)) {
            count_file(t, n, false);
        }
    }
    act_node_dirty(t, n);
    return n->names ? CG_OK : cg_str_add(&t->nameless, &n->ino, sizeof n->ino);
}

/* n may have a name in dir: a directory has one, and never below itself; open files alone are
 * beside the root. */
static bool may_lead(const struct active *t, const struct active_node *dir,
                     const struct active_node *n)
{
    if (dir == t->orphans) {
        return n->kind == STORE_FILE;
    }
    if (!act_node_is_dir(n)) {
        return true;
    }
    bool holds = n->child || n->based; /* a new one does not: no need to go up from dir */
    return n != t->root && n != t->orphans && !n->names && n != dir &&
           !(holds && act_name_is_in(dir, n));
}

static cg_err apply_name(struct active *t, struct cg_buf *b)
{
    struct active_node *dir = act_node_find(t, cg_get_u64(b));
    struct cg_span bytes = cg_get_span(b, cg_get_u8(b));
    struct active_node *n = act_node_find(t, cg_get_u64(b)), *old = NULL;
    if (b->bad || !dir || !n || !act_node_is_dir(dir) || !cg_name_ok(bytes) ||
        !may_lead(t, dir, n)) {
        return CG_EBADFORMAT;
    }
    cg_err e = act_name_lookup(t, dir, bytes, &old, NULL);
    if (e && e != CG_ENOENT) {
        return e;
    }
    struct name *name = act_name_find(dir, bytes);
    e = CG_OK;
    if (!name) {
        e = act_name_add(t, dir, bytes, &name);
    } else if (old) {
        e = unlead(t, name);
    }
    if (e) {
        return e;
    }
    change_name(t, name, NAME_SET);
    lead(t, name, n);
    act_node_dirty(t, n);
    return CG_OK;
}

static cg_err apply_gone(struct active *t, struct cg_buf *b)
{
    struct active_node *dir = act_node_find(t, cg_get_u64(b)), *old = NULL;
    struct cg_span bytes = cg_get_span(b, cg_get_u8(b));
    if (b->bad || !dir || !act_node_is_dir(dir)) {
        return CG_EBADFORMAT;
    }
    cg_err e = act_name_lookup(t, dir, bytes, &old, NULL);
    if (e) {
        return e == CG_ENOENT ? CG_EBADFORMAT : e;
    }
    struct name *name = act_name_find(dir, bytes);
    e = unlead(t, name);
    change_name(t, name, NAME_GONE);
    if (!name->below) {
        act_name_drop(name);
    }
    return e;
}

static cg_err apply_attr(struct active *t, struct cg_buf *b)
{
    struct active_node *n = act_node_find(t, cg_get_u64(b));
    struct meta_record m = {
        .mode = cg_get_u32(b),
        .uid = cg_get_u32(b),
        .gid = cg_get_u32(b),
        .mtime_ns = (int64_t)cg_get_u64(b),
        .ctime_ns = (int64_t)cg_get_u64(b),
    };
    if (b->bad || m.mode > 07777) {
        return CG_EBADFORMAT;
    }
    if (n) {
        n->mode = m.mode;
        n->uid = m.uid;
        n->gid = m.gid;
        n->atime_ns = n->atime_ns == n->mtime_ns ? m.mtime_ns : n->atime_ns;
        n->mtime_ns = m.mtime_ns;
        n->ctime_ns = m.ctime_ns;
        act_node_dirty(t, n);
    }
    return CG_OK;
}

static void resize(struct active *t, struct active_node *n, uint64_t size)
{
    t->bytes += n->nlink ? size - n->size : 0;
    n->size = size;
    act_node_dirty(t, n);
}

/* From size on nothing of what the file has now is seen again. */
static void limit_base(struct active *t, struct active_node *n, uint64_t size)
{
    if (n->limit_gen < t->gen) {
        n->limit_old = n->limit < n->limit_old ? n->limit : n->limit_old;
        n->limit = UINT64_MAX;
        n->limit_gen = t->gen;
    }
    n->limit = size < n->limit ? size : n->limit;
}

static cg_err apply_write(struct active *t, const struct store_journal_frame *f, struct cg_buf *b)
{
    struct active_node *n = act_node_find(t, cg_get_u64(b));
    uint64_t at = cg_get_u64(b);
    uint32_t len = cg_get_u32(b);
    uint32_t off = (uint32_t)b->pos;
    if (cg_buf_left(b) > 0 || len != f->body.len) { /* else it is what lies apart */
        cg_get_span(b, len);
    }
    if (b->bad || !len || at > ACTIVE_FILE_BYTES_MAX || len > ACTIVE_FILE_BYTES_MAX - at ||
        (n && n->kind != STORE_FILE)) {
        return CG_EBADFORMAT;
    }
    if (!n) {
        return CG_OK;
    }
    struct extent e = {.at = at, .len = len, .gen = t->gen, .frame = f->at, .off = off};
    resize(t, n, at + len > n->size ? at + len : n->size);
    return act_ext_put(n, &e);
}

static cg_err apply_size(struct active *t, struct cg_buf *b)
{
    struct active_node *n = act_node_find(t, cg_get_u64(b));
    uint64_t size = cg_get_u64(b);
    if (b->bad || size > ACTIVE_FILE_BYTES_MAX || (n && n->kind != STORE_FILE)) {
        return CG_EBADFORMAT;
    }
    if (n) {
        if (size < n->size) {
            act_ext_cut(n, size);
            limit_base(t, n, size);
        }
        resize(t, n, size);
    }
    return CG_OK;
}

static cg_err apply_punch(struct active *t, struct cg_buf *b)
{
    struct active_node *n = act_node_find(t, cg_get_u64(b));
    uint64_t from = cg_get_u64(b), to = cg_get_u64(b);
    if (b->bad || (n && n->kind != STORE_FILE)) {
        return CG_EBADFORMAT;
    }
    to = n && to > n->size ? n->size : to;
    if (!n || from >= to) {
        return CG_OK;
    }
    struct extent e = {.at = from, .len = to - from, .gen = t->gen};
    act_node_dirty(t, n);
    return act_ext_put(n, &e);
}

static bool xattrs_ok(struct cg_span rest)
{
    struct cg_span name, value;
    bool bad = false;
    while (store_xattr_next(&rest, &name, &value, &bad)) {
    }
    return !bad;
}

static cg_err apply_xattr(struct active *t, struct cg_buf *b)
{
    struct active_node *n = act_node_find(t, cg_get_u64(b));
    struct cg_span xattrs = cg_get_span(b, cg_get_u32(b));
    if (b->bad || xattrs.len > STORE_XATTR_BYTES_MAX || !xattrs_ok(xattrs)) {
        return CG_EBADFORMAT;
    }
    if (!n) {
        return CG_OK;
    }
    n->xattrs.len = 0;
    act_node_dirty(t, n);
    return xattrs.len ? cg_str_add(&n->xattrs, xattrs.data, xattrs.len) : CG_OK;
}

static cg_err apply_one(struct active *t, const struct store_journal_frame *f, struct cg_buf *b,
                        bool *end)
{
    switch (cg_get_u8(b)) {
    case KNOW:
        return apply_know(t, b);
    case MAKE:
        return apply_make(t, b);
    case NAME:
        return apply_name(t, b);
    case GONE:
        return apply_gone(t, b);
    case ATTR:
        return apply_attr(t, b);
    case WRITE:
        return apply_write(t, f, b);
    case SIZE:
        return apply_size(t, b);
    case PUNCH:
        return apply_punch(t, b);
    case XATTR:
        return apply_xattr(t, b);
    case END:
        *end = true;
        return CG_OK;
    default:
        return CG_EBADFORMAT;
    }
}

/* Files that have no name now may leave memory. A directory that went with files in it is none of
 * ours. */
static cg_err rest_nameless(struct active *t)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < t->nameless.len; i += sizeof(uint64_t)) {
        uint64_t ino;
        memcpy(&ino, t->nameless.data + i, sizeof ino);
        struct active_node *n = act_node_find(t, ino);
        if (n && !n->names && act_name_holds(n->child)) {
            e = CG_EBADFORMAT;
        } else if (n) {
            act_node_rest(t, n);
        }
    }
    return e;
}

cg_err act_apply(struct active *t, const struct store_journal_frame *f, bool *end)
{
    struct cg_buf b = cg_buf_reader(f->head.data, f->head.len);
    cg_err e = CG_OK;
    t->nameless.len = 0;
    while (!e && cg_buf_left(&b) > 0) {
        e = *end ? CG_EBADFORMAT : apply_one(t, f, &b, end);
    }
    cg_err rested = rest_nameless(t);
    return e ? e : rested;
}

/* ---- logging ---- */

/* Changes leave room for their own commit. */
static cg_err check_space(struct active *t, struct store_journal *j, struct cg_errbuf *eb)
{
    struct store_stats st;
    uint64_t bytes = store_journal_bytes(j), all = 0;
    if (bytes >= t->looked_at && bytes - t->looked_at < ACTIVE_SPACE_LOOK_BYTES) {
        return CG_OK;
    }
    for (size_t i = 0; i < t->segs; i++) {
        all += store_journal_bytes(t->seg[i].j);
    }
    cg_err e = store_stats(t->s, &st, eb);
    if (!e && st.space_free < all + ACTIVE_SPACE_MARGIN) {
        return cg_fail(eb, CG_ENOSPC, "%llu bytes are free, and %llu are not in packs yet",
                       (unsigned long long)st.space_free, (unsigned long long)all);
    }
    t->looked_at = e ? t->looked_at : bytes;
    return e;
}

static cg_err lost(struct active *t, struct cg_errbuf *eb)
{
    return cg_fail(eb, t->failed,
                   "the active tree was lost to another or to a failure: open it "
                   "again");
}

static cg_err append(struct active *t, struct store_journal_frame *f, size_t count, size_t *done,
                     struct cg_errbuf *eb)
{
    struct store_journal *j = t->seg[t->segs - 1].j;
    *done = 0;
    if (t->failed) {
        return lost(t, eb);
    }
    /* The first names every directory on the way. */
    if (f->head.len > STORE_JOURNAL_FRAME_BYTES_MAX - f->body.len) {
        return cg_fail(eb, CG_ENAMETOOLONG, "the way to the file is too long to be logged");
    }
    if (!store_hold_lasts(t->hold, 0)) {
        cg_err e = active_renew(t, eb);
        if (e) {
            return e;
        }
    }
    return store_journal_append(j, f, count, done, eb);
}

static struct cg_span tx_span(const struct active *t)
{
    return (struct cg_span){.data = (const uint8_t *)t->tx.data, .len = (uint32_t)t->tx.len};
}

static cg_err apply_logged(struct active *t, const struct store_journal_frame *f,
                           struct cg_errbuf *eb)
{
    bool end = false;
    cg_err e = act_apply(t, f, &end);
    if (e) { /* memory and journal differ from here on */
        t->failed = CG_EEXPIRED;
        return cg_fail(eb, e, "a change was logged and not done: %s", cg_err_meaning(e));
    }
    t->records++;
    return CG_OK;
}

cg_err act_tx_end(struct active *t, bool frees, struct cg_errbuf *eb)
{
    struct store_journal_frame f = {.head = tx_span(t)};
    size_t done;
    cg_err e = frees ? CG_OK : check_space(t, t->seg[t->segs - 1].j, eb);
    e = e ? e : append(t, &f, 1, &done, eb);
    return e ? e : apply_logged(t, &f, eb);
}

cg_err act_log_end_segment(struct active *t, struct cg_errbuf *eb)
{
    size_t done;
    RECORD(b, END);
    act_tx_begin(t);
    cg_err e = add(t, &b);
    struct store_journal_frame f = {.head = tx_span(t)};
    return e ? e : append(t, &f, 1, &done, eb);
}

/* ---- writes ---- */

/* All but the bytes, which lie where they came in. */
static cg_err add_write(struct active *t, const struct active_node *n, uint64_t at, uint32_t len,
                        const struct meta_record *m)
{
    cg_err e = act_tx_attr(t, n->ino, m);
    RECORD(b, WRITE);
    cg_put_u64(&b, n->ino);
    cg_put_u64(&b, at);
    cg_put_u32(&b, len);
    return e ? e : add(t, &b);
}

cg_err act_log_write(struct active *t, const struct active_node *n, uint64_t at,
                     struct cg_span data, const struct meta_record *m, uint32_t *done,
                     struct cg_errbuf *eb)
{
    struct store_journal_frame f[STORE_JOURNAL_GROUP_MAX] = {0};
    size_t count = 0, logged = 0;
    *done = 0;
    act_tx_begin(t);
    cg_err e = act_tx_know(t, n);
    for (uint32_t from = 0; !e && from < data.len && count < CG_COUNT(f); count++) {
        uint32_t left = data.len - from;
        size_t head = count ? t->tx.len : 0;
        f[count].body = (struct cg_span){
            .data = data.data + from, .len = left < ACTIVE_WRITE_BYTES ? left : ACTIVE_WRITE_BYTES};
        e = add_write(t, n, at + from, f[count].body.len, m);
        f[count].head.len = (uint32_t)(t->tx.len - head);
        from += f[count].body.len;
    }
    for (size_t i = 0, from = 0; !e && i < count; from += f[i++].head.len) { /* tx moves no more */
        f[i].head.data = (const uint8_t *)t->tx.data + from;
    }
    e = e ? e : check_space(t, t->seg[t->segs - 1].j, eb);
    e = e ? e : append(t, f, count, &logged, eb);
    for (size_t i = 0; i < logged; i++) {
        cg_err failed = apply_logged(t, &f[i], eb);
        if (failed) {
            return failed;
        }
        *done += f[i].body.len;
    }
    return e;
}
