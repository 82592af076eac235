/* A commit: the tree as the journal makes it from the last root, put into packs.
 *
 * The committed tree is a directory of four: "tree" is the root that users see, "orphans" holds
 * open files without a name, "links" is a file of the paths of all files that have several names
 * (each ended by NUL), "meta" the numbers: version 4, next ino 8, first segment that is not in it
 * 8, files 8, bytes 8. Its snapshot node is what the reference "active" names. */
#include "active__.h"

#include <stdio.h>
#include <string.h>

enum { META_BYTES = 36, COPY_BYTES = 64 << 10, HOLE_MIN = 64 << 10, RESYNC_CHUNKS = 2 };

/* ---- the committed root ---- */

static struct cg_span text(const char *s)
{
    return cg_span_of(s);
}

static cg_err load_meta(struct active *t, const struct store_entry *e, uint64_t *first,
                        struct cg_errbuf *eb)
{
    struct cg_buf b = cg_buf_reader(e->data.data, e->content == STORE_INLINE ? e->data.len : 0);
    uint32_t version = cg_get_u32(&b);
    t->ino_next = cg_get_u64(&b);
    *first = cg_get_u64(&b);
    t->files = cg_get_u64(&b);
    t->bytes = cg_get_u64(&b);
    return b.bad || version != META_VERSION
               ? cg_fail(eb, CG_EBADFORMAT, "no active tree of this version")
               : CG_OK;
}

/* One of the two directories of the root, which have fixed numbers. */
static cg_err load_top(struct active *t, const struct store_score *super, const char *name,
                       uint64_t ino, struct active_node **out, struct cg_errbuf *eb)
{
    struct store_entry e;
    struct cg_str keep = {0};
    cg_err err = store_lookup_name(t->s, super, text(name), &e, &keep, eb);
    err = err ? err : act_node_new(t, ino, out);
    err = err ? err : act_node_base(*out, &e);
    if (!err && !act_node_is_dir(*out)) {
        err = CG_EBADFORMAT;
    }
    cg_str_fini(&keep);
    return err ? cg_context(eb, err, "the active tree's %s", name) : CG_OK;
}

/* Every name of a file with several is in memory, so that each is found from the file. */
static cg_err load_path(struct active *t, const char *path, struct cg_errbuf *eb)
{
    struct active_node *n = t->root;
    cg_err e = CG_OK;
    while (!e && *path) {
        size_t len = strcspn(path, "/");
        struct cg_span name = {.data = (const uint8_t *)path, .len = (uint32_t)len};
        e = act_node_is_dir(n) && cg_name_ok(name) ? act_name_lookup(t, n, name, &n, eb)
                                                   : CG_EBADFORMAT;
        path += len + (path[len] == '/');
    }
    return e == CG_ENOENT ? CG_EBADFORMAT : e;
}

static cg_err load_links(struct active *t, const struct store_score *super, struct cg_errbuf *eb)
{
    struct store_entry e;
    struct cg_str keep = {0};
    size_t got = 0;
    cg_err err = store_lookup_name(t->s, super, text("links"), &e, &keep, eb);
    char *all = err ? NULL : cg_alloc(e.size + 1);
    if (!err && !all) {
        err = CG_ENOMEM;
    }
    err = err ? err : store_read(t->s, &e, 0, all, e.size, &got, eb);
    for (size_t i = 0; !err && i < got; i += strlen(all + i) + 1) {
        all[got] = '\0';
        err = load_path(t, all + i, eb);
    }
    cg_free(all);
    cg_str_fini(&keep);
    return err ? cg_context(eb, err, "the active tree's links") : CG_OK;
}

static cg_err new_top(struct active *t, uint64_t ino, struct active_node **out)
{
    cg_err e = act_node_new(t, ino, out);
    if (!e) {
        (*out)->kind = STORE_DIR;
        (*out)->nlink = 2;
        (*out)->mode = ino == ORPHANS_INO ? 0700 : t->config.mode ? t->config.mode : 0755;
        (*out)->uid = t->config.uid;
        (*out)->gid = t->config.gid;
        (*out)->mtime_ns = (*out)->ctime_ns = (int64_t)cg_env_real.wall_ns(NULL);
        (*out)->atime_ns = (*out)->mtime_ns;
    }
    return e;
}

cg_err act_base_load(struct active *t, uint64_t *first, struct cg_errbuf *eb)
{
    struct store_refinfo ref;
    struct store_snapshot snap;
    struct store_entry e;
    struct cg_str keep = {0};
    *first = 1;
    t->ref_epoch = 0;
    if (store_ref_get(t->s, ACTIVE_REF, &ref) != CG_OK) {
        cg_err err = new_top(t, ROOT_INO, &t->root);
        return err ? err : new_top(t, ORPHANS_INO, &t->orphans);
    }
    t->ref_epoch = ref.epoch;
    cg_err err = store_snapshot_get(t->s, &ref.score, &snap, eb);
    err = err ? err : store_lookup_name(t->s, &snap.root, text("meta"), &e, &keep, eb);
    err = err ? err : load_meta(t, &e, first, eb);
    cg_str_fini(&keep);
    err = err ? err : load_top(t, &snap.root, "tree", ROOT_INO, &t->root, eb);
    err = err ? err : load_top(t, &snap.root, "orphans", ORPHANS_INO, &t->orphans, eb);
    return err ? err : load_links(t, &snap.root, eb);
}

/* ---- contents ---- */

struct putting {
    struct active *t;
    struct store_writer *w;
    struct store_stream *stream;
    struct active_node *n; /* whose contents are put */
    uint64_t from, to;     /* of the base, being taken over */
    uint32_t clean;        /* chunks of the base since the last change */
    uint8_t *buf;          /* COPY_BYTES */
    struct cg_errbuf *eb;
};

/* A short hole is not worth a cut. */
static cg_err put_hole(struct putting *p, uint64_t len)
{
    if (len >= HOLE_MIN) {
        return store_stream_hole(p->stream, len, p->eb);
    }
    memset(p->buf, 0, (size_t)len);
    return store_stream_write(p->stream, p->buf, (size_t)len, p->eb);
}

static cg_err put_read(struct putting *p, uint64_t at, uint64_t len)
{
    cg_err e = CG_OK;
    while (!e && len) {
        size_t part = len < COPY_BYTES ? (size_t)len : COPY_BYTES;
        e = act_data_read(p->t, p->n, at, p->buf, part, p->eb);
        e = e ? e : store_stream_write(p->stream, p->buf, part, p->eb);
        at += part;
        len -= part;
    }
    return e;
}

/* A chunk that did not change is linked again, once the cuts behind a change have had the time to
 * fall where they fell before. */
static cg_err put_piece(void *aux, uint64_t at, uint64_t len, const struct store_score *score)
{
    struct putting *p = aux;
    uint64_t from = at > p->from ? at : p->from, to = at + len < p->to ? at + len : p->to;
    bool whole = from == at && to == at + len;
    if (from >= to) {
        return CG_OK;
    }
    if (!score) {
        return put_hole(p, to - from);
    }
    if (whole && p->clean >= RESYNC_CHUNKS) {
        return store_stream_chunk(p->stream, score, len, p->eb);
    }
    p->clean += whole;
    return put_read(p, from, to - from);
}

static cg_err put_base(struct putting *p, uint64_t from, uint64_t to)
{
    struct store_entry base;
    uint64_t limit = act_base_limit(p->n), seen = to < limit ? to : limit;
    cg_err e = CG_OK;
    if (from < seen && p->n->content == STORE_LIST) {
        act_node_entry(p->n, (struct cg_span){0}, &base);
        p->from = from;
        p->to = seen;
        e = store_extents(p->t->s, &base, from, seen, put_piece, p, p->eb);
    } else if (from < seen) {
        e = put_read(p, from, seen - from);
    }
    from = from > seen ? from : seen;
    return e || from >= to ? e : put_hole(p, to - from);
}

static cg_err put_contents(struct putting *p)
{
    const struct active_node *n = p->n;
    uint64_t at = 0;
    cg_err e = CG_OK;
    store_stream_begin(p->stream);
    p->clean = RESYNC_CHUNKS;
    while (!e && at < n->size) {
        const struct extent *x = act_ext_at(n, at);
        bool over = x && x->at <= at;
        uint64_t to = over ? x->at + x->len : x ? x->at : n->size;
        to = to < n->size ? to : n->size;
        if (!over) {
            e = put_base(p, at, to);
        } else {
            p->clean = 0;
            e = x->frame ? put_read(p, at, to - at) : put_hole(p, to - at);
        }
        at = to;
    }
    return e;
}

static cg_err put_file(struct putting *p, struct active_node *n)
{
    struct store_entry e;
    bool same = n->based && !n->exts && n->size == n->base_size && act_base_limit(n) == n->size;
    if (n->kind != STORE_FILE || same) {
        return CG_OK;
    }
    p->n = n;
    cg_err err = put_contents(p);
    err = err ? err : store_stream_end(p->stream, &e, p->eb);
    if (err) {
        return err;
    }
    cg_assert(e.size == n->size);
    n->content = e.content;
    n->score = e.score;
    n->base_size = e.size;
    if (e.content == STORE_INLINE) {
        memcpy(n->small, e.data.data, e.data.len);
    }
    return CG_OK;
}

/* ---- directories ---- */

/* What stands above a change is made anew. */
static void mark_above(struct active *t)
{
    CG_LIST_EACH (it, &t->dirty) {
        const struct active_node *n = CG_CONTAINER(it, struct active_node, dirty);
        for (const struct name *name = n->names; name; name = name->next) {
            struct active_node *dir = name->dir;
            while (dir && dir->below != t->gen) {
                dir->below = t->gen;
                dir = dir->names ? dir->names->dir : NULL;
            }
        }
    }
}

static bool is_changed(const struct active *t, const struct active_node *n)
{
    return n->gen || n->below == t->gen;
}

static struct name *first_name(struct active_node *dir)
{
    struct name *n = dir->child;
    while (n && n->left) {
        n = n->left;
    }
    return n;
}

static size_t count_names(const struct name *n)
{
    return n ? 1 + count_names(n->left) + count_names(n->right) : 0;
}

/* What of dir changed, when all below it is put. */
static cg_err put_names(struct putting *p, struct active_node *dir)
{
    size_t cap = count_names(dir->child), count = 0;
    struct store_edit *edit = cg_alloc((cap + 1) * sizeof *edit);
    struct store_entry *entry = cg_alloc((cap + 1) * sizeof *entry);
    cg_err e = edit && entry ? CG_OK : CG_ENOMEM;
    for (struct name *n = first_name(dir); !e && n; n = act_name_after(dir, act_name_span(n))) {
        bool moved = n->state != NAME_CLEAN;
        if (!moved && !is_changed(p->t, n->node)) {
            continue;
        }
        edit[count] = (struct store_edit){.name = act_name_span(n)};
        if (n->node) {
            act_node_entry(n->node, act_name_span(n), &entry[count]);
            edit[count].entry = &entry[count];
        }
        count++;
    }
    if (!e && (count || !dir->based)) {
        e = store_dir_edit(p->w, dir->based ? &dir->score : NULL, edit, count, &dir->score, p->eb);
    }
    dir->based = dir->based || e == CG_OK;
    cg_free(edit);
    cg_free(entry);
    return e;
}

/* A directory on the way from the root, and which of its names comes next. */
struct step {
    struct active_node *dir;
    struct name *next;
};

static cg_err step_down(struct cg_str *way, struct active_node *dir)
{
    struct step s = {.dir = dir, .next = first_name(dir)};
    dir->built = true;
    return cg_str_add(way, &s, sizeof s);
}

/* Puts the file that comes next, goes down into the directory that does, or puts the directory. */
static cg_err step(struct putting *p, struct cg_str *way)
{
    struct step *s = (struct step *)(void *)(way->data + way->len) - 1;
    struct name *name = s->next;
    if (!name) {
        way->len -= sizeof *s;
        return put_names(p, s->dir);
    }
    s->next = act_name_after(s->dir, act_name_span(name));
    struct active_node *n = name->node;
    if (!n || n->built || !is_changed(p->t, n)) {
        return CG_OK;
    }
    if (act_node_is_dir(n)) {
        return step_down(way, n);
    }
    n->built = true;
    return put_file(p, n);
}

/* The way is as long as the tree is deep, which nothing bounds: it is not on the stack. */
static cg_err put_tree(struct putting *p, struct active_node *top)
{
    struct cg_str way = {0};
    cg_err e = step_down(&way, top);
    while (!e && way.len) {
        e = step(p, &way);
    }
    cg_str_fini(&way);
    return e;
}

/* ---- the root above the tree ---- */

/* The names from the file up take their room, then their places from the end. */
static cg_err add_path(struct cg_str *out, const struct name *name)
{
    cg_err e = CG_OK;
    for (const struct name *n = name; !e && n; n = n->dir->names) {
        e = cg_str_add(out, n->bytes, n->len);
        e = e ? e : cg_str_add(out, "", 1);
    }
    size_t at = out->len;
    for (const struct name *n = name; !e && n; n = n->dir->names) {
        out->data[--at] = n == name ? '\0' : '/';
        at -= n->len;
        memcpy(out->data + at, n->bytes, n->len);
    }
    return e;
}

static cg_err all_links(struct active *t, struct cg_str *out)
{
    struct active_node *n;
    uint32_t cursor = 0;
    cg_err e = CG_OK;
    while (!e && (n = cg_map_next(&t->nodes, &cursor)) != NULL) {
        bool several = n->nlink > 1 && !act_node_is_dir(n);
        for (const struct name *name = several ? n->names : NULL; !e && name; name = name->next) {
            e = name->dir == t->orphans ? CG_OK : add_path(out, name);
        }
    }
    return e;
}

static cg_err put_links(struct putting *p, struct store_builder *b)
{
    struct store_entry e = {.name = text("links"), .kind = STORE_FILE, .mode = 0600, .nlink = 1};
    struct cg_str all = {0};
    cg_err err = all_links(p->t, &all);
    store_stream_begin(p->stream);
    err = err || !all.len ? err : store_stream_write(p->stream, all.data, all.len, p->eb);
    err = err ? err : store_stream_end(p->stream, &e, p->eb);
    cg_str_fini(&all);
    return err ? err : store_builder_add(b, &e, p->eb);
}

static cg_err put_meta(struct putting *p, struct store_builder *b, uint64_t next)
{
    uint8_t bytes[META_BYTES];
    struct cg_buf m = cg_buf_writer(bytes, sizeof bytes);
    struct store_entry e = {.name = text("meta"),
                            .kind = STORE_FILE,
                            .mode = 0600,
                            .nlink = 1,
                            .size = META_BYTES,
                            .content = STORE_INLINE,
                            .data = {.data = bytes, .len = META_BYTES}};
    cg_put_u32(&m, META_VERSION);
    cg_put_u64(&m, p->t->ino_next);
    cg_put_u64(&m, next);
    cg_put_u64(&m, p->t->files);
    cg_put_u64(&m, p->t->bytes);
    cg_assert(!m.bad && m.pos == META_BYTES);
    return store_builder_add(b, &e, p->eb);
}

static cg_err put_super(struct putting *p, uint64_t next, struct store_score *out)
{
    struct active *t = p->t;
    struct store_builder *b;
    struct store_entry orphans, tree;
    cg_err e = store_builder_new(p->w, &b);
    if (e) {
        return e;
    }
    act_node_entry(t->orphans, text("orphans"), &orphans);
    act_node_entry(t->root, text("tree"), &tree);
    e = put_links(p, b);
    e = e ? e : put_meta(p, b, next);
    e = e ? e : store_builder_add(b, &orphans, p->eb);
    e = e ? e : store_builder_add(b, &tree, p->eb);
    e = e ? e : store_builder_end(b, out, p->eb);
    store_builder_free(b);
    return e;
}

/* ---- the job ---- */

/* In recovery nobody has a file open: what was is gone. */
static void drop_orphans(struct active *t)
{
    struct active_node *d = t->orphans;
    while (d->child) {
        struct name *name = d->child;
        struct active_node *n = name->node;
        if (n) {
            act_name_detach(name);
        }
        act_name_drop(name);
        if (n && !n->names) {
            act_node_free(t, n);
        }
    }
    d->based = false;
    act_node_dirty(t, d);
}

static cg_err replay_segment(struct active_job *j, uint64_t number, bool *whole)
{
    struct active *t = &j->tree;
    struct store_journal_frame f = {.at = STORE_JOURNAL_FIRST};
    struct store_journal *journal;
    uint64_t next = 0;
    *whole = false;
    cg_err e = store_journal_open(t->s, number, &journal, &j->eb);
    if (e) {
        return (e == CG_EBADFORMAT || e == CG_ENOENT) && j->recover ? CG_OK : e;
    }
    e = act_segment_add(t, number, journal);
    t->gen = number;
    while (!e && !*whole) {
        e = store_journal_read(journal, f.at, &f.head, &next, &j->eb);
        e = e ? e : act_apply(t, &f, whole);
        f.at = next;
    }
    if (e == CG_ENOENT) {
        e = j->recover ? CG_OK : cg_fail(&j->eb, CG_EIO, "the journal has lost its end");
    }
    return e ? cg_context(&j->eb, e, "segment %llu", (unsigned long long)number) : CG_OK;
}

static cg_err replay(struct active_job *j)
{
    struct active *t = &j->tree;
    uint64_t first;
    t->s = j->config.writes;
    t->config = j->config;
    t->replay = true;
    cg_err e = store_refresh(t->s, &j->eb);
    e = e ? e : act_base_load(t, &first, &j->eb);
    if (!e && t->ref_epoch != j->ref_epoch) {
        return cg_fail(&j->eb, CG_EAGAIN, "the active tree was changed by another");
    }
    bool whole = true;
    for (uint64_t i = j->first; !e && whole && i <= j->last; i++) {
        e = replay_segment(j, i, &whole);
    }
    t->gen = t->gen ? t->gen : 1;
    if (!e && j->recover) {
        drop_orphans(t);
    }
    return e;
}

static void describe(const struct active_job *j, struct store_snapshot *s, uint64_t added)
{
    const struct active *t = &j->tree;
    *s = (struct store_snapshot){.root = t->root->score,
                                 .mode = t->root->mode,
                                 .uid = t->root->uid,
                                 .gid = t->root->gid,
                                 .mtime_ns = t->root->mtime_ns,
                                 .time_ns = cg_env_real.wall_ns(NULL),
                                 .files = t->files,
                                 .bytes = t->bytes,
                                 .added = added};
}

static cg_err publish(struct active_job *j, struct store_writer *w, const struct store_score *super)
{
    struct store_snapshot s;
    struct store_counts counts;
    struct store_score top, named;
    store_writer_counts(w, &counts);
    describe(j, &s, counts.bytes_new);
    struct store_ref_change change[2] = {
        {.name = ACTIVE_REF, .epoch = j->ref_epoch, .score = &top, .time_ns = s.time_ns},
        {.name = j->snapshot, .score = &named, .time_ns = s.time_ns}};
    snprintf(s.name, sizeof s.name, "%s", j->snapshot);
    cg_err e = j->snapshot[0] ? store_snapshot_put(w, &s, &named, &j->eb) : CG_OK;
    snprintf(s.name, sizeof s.name, "%s", ACTIVE_REF);
    s.root = *super;
    e = e ? e : store_snapshot_put(w, &s, &top, &j->eb);
    return e ? e : store_commit(w, change, j->snapshot[0] ? 2 : 1, STORE_FINAL, &j->eb);
}

static cg_err put_all(struct active_job *j, struct putting *p)
{
    struct active *t = &j->tree;
    struct store_score super;
    mark_above(t);
    t->root->below = t->orphans->below = t->gen; /* they may be new */
    cg_err e = put_tree(p, t->root);
    e = e ? e : put_tree(p, t->orphans);
    e = e ? e : put_super(p, j->next, &super);
    return e ? e : publish(j, p->w, &super);
}

static cg_err run(struct active_job *j)
{
    struct putting p = {.t = &j->tree, .eb = &j->eb};
    struct store_refinfo ref;
    for (uint64_t i = j->dead; i < j->first; i++) {
        store_journal_remove(j->config.writes, i);
    }
    cg_err e = replay(j);
    e = e ? e : store_writer_open(j->config.writes, "active commit", STORE_DEFAULT, &p.w, &j->eb);
    if (e) {
        return e;
    }
    p.buf = cg_alloc(COPY_BYTES);
    e = p.buf ? store_stream_new(p.w, &p.stream) : CG_ENOMEM;
    e = e ? e : put_all(j, &p);
    store_stream_free(p.stream);
    cg_free(p.buf);
    store_writer_close(p.w);
    e = e ? e : store_ref_get(j->config.writes, ACTIVE_REF, &ref);
    j->ref_epoch = e ? j->ref_epoch : ref.epoch;
    return e;
}

void active_job_run(struct active_job *j)
{
    j->e = run(j);
}
