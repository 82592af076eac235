/* Reading a directory: a listing is taken whole at cookie 0 and given from there.
 *
 * The listing of a union is its members' one after the other, then what the namespace itself shows
 * there; a name that was given is not given again. A member's listing comes from the cache when all
 * its names are known, else page by page from the server, into the cache on the way.
 */
#include "internal.h"

#include <string.h>

void ns__entries_drop(struct ns_file *f)
{
    for (uint32_t i = 0; i < f->entry_count; i++) {
        struct ns__entry *e = &f->entries[i];
        if (e->obj) {
            ns__obj_put(e->obj);
        }
        if (e->synth) {
            ns__node_put(e->synth);
        }
        cg_free(e->name);
    }
    cg_free(f->entries);
    f->entries = NULL;
    f->entry_count = f->entry_cap = 0;
    cg_map_fini(&f->seen);
    f->listed = false;
}

/* Two hashes of a name, under no secret: a forger only hides names of his own listing. */
static bool seen_before(struct ns_file *f, const char *name)
{
    uint64_t key[2] = {0xcbf29ce484222325, 5381};
    for (const char *p = name; *p; p++) {
        key[0] = (key[0] ^ (uint8_t)*p) * 0x100000001b3;
        key[1] = key[1] * 33 + (uint8_t)*p;
    }
    if (cg_map_get(&f->seen, key)) {
        return true;
    }
    (void)cg_map_put(&f->seen, key, f); /* without memory a name may come twice */
    return false;
}

static cg_err take(struct ns_file *f, const char *name, struct ns__obj *o, struct ns_node *synth,
                   const struct ninep_attr *attr)
{
    if (seen_before(f, name)) {
        return CG_OK;
    }
    if (f->entry_count >= NS_SNAPSHOT_MAX) {
        return CG_ELIMIT;
    }
    if (f->entry_count == f->entry_cap) {
        uint32_t cap = f->entry_cap ? f->entry_cap * 2 : 64;
        struct ns__entry *more = cg_realloc(f->entries, cap * sizeof *more);
        if (!more) {
            return CG_ENOMEM;
        }
        f->entries = more;
        f->entry_cap = cap;
    }
    char *copy = cg_strdup(name);
    if (!copy) {
        return CG_ENOMEM;
    }
    f->entries[f->entry_count++] =
        (struct ns__entry){.obj = o, .synth = synth, .attr = *attr, .name = copy};
    if (o) {
        ns__obj_ref(o);
    }
    if (synth) {
        ns_node_ref(synth);
    }
    return CG_OK;
}

static cg_err take_cached(struct ns_file *f, struct ns__obj *dir)
{
    cg_err e = CG_OK;
    CG_LIST_EACH (it, &dir->names) {
        struct ns__name *n = CG_CONTAINER(it, struct ns__name, link);
        if (n->obj && !e) {
            e = take(f, n->text, n->obj, NULL, &n->obj->attr);
        }
    }
    return e;
}

static cg_err take_page(struct ns_file *f, struct ns__call *c, const struct ninep_rreaddir *r,
                        uint64_t *cookie)
{
    cg_err e = CG_OK;
    struct cg_buf it = ninep_list_iter(&r->entries);
    for (uint32_t i = 0; i < r->entries.count && !e; i++) {
        struct ninep_entry entry;
        char name[NINEP_NAME_BYTES_MAX + 1];
        ninep_get_entry(&it, &entry);
        *cookie = entry.cookie;
        if (cg_name_ok(entry.name) && cg_span_str(entry.name, name, sizeof name)) {
            e = take(f, name, ns__obj_find(c->tree, &entry.attr.id), NULL, &entry.attr);
        }
    }
    return e;
}

static cg_err take_synths(struct ns_file *f, struct ns_node *n)
{
    cg_err e = CG_OK;
    struct ninep_attr a;
    CG_LIST_EACH (it, &n->synths) {
        struct ns_node *s = CG_CONTAINER(it, struct ns_node, synth_link);
        ns__synth_attr(s, &a);
        e = e ? e : take(f, s->name, NULL, s, &a);
    }
    return e;
}

/* The namespace's own children come first, as in lookup. */
static cg_err take_own(struct ns_file *f)
{
    struct ns_node *n = f->node;
    cg_err e = take_synths(f, n);
    if (n->mount) {
        CG_LIST_EACH (it, &n->mount->members) {
            struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
            e = !e && m->synth ? take_synths(f, m->synth) : e;
        }
    }
    return e;
}

static uint64_t last_cookie(const struct ninep_rreaddir *r)
{
    struct ninep_entry entry = {0};
    struct cg_buf it = ninep_list_iter(&r->entries);
    for (uint32_t i = 0; i < r->entries.count; i++) {
        ninep_get_entry(&it, &entry);
    }
    return entry.cookie;
}

static void page_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    uint64_t cookie = c->offset;
    cg_err bad = CG_OK;
    if (e == CG_OK) {
        ns__learn_obj(c, c->obj, &r->readdir.dir, r->readdir.lease == NINEP_LEASE_READ);
        ns__learn_page(c, c->obj, &r->readdir);
        if (c->len && r->readdir.entries.count) { /* it brought contents */
            c->obj->ahead_cookie = last_cookie(&r->readdir);
        }
        bad = op ? take_page(op->file, c, &r->readdir, &cookie) : CG_OK;
    }
    c->obj->loading = false;
    ns__wake(&c->obj->waiters);
    if (op) {
        ns__note(op, bad, "the listing is too large for this component");
    }
    if (!ns__decide(c, e) || !op) {
        return;
    }
    bool end = r->readdir.eof || cookie == c->offset;
    op->cookie = end ? 0 : cookie;
    op->count++;
    op->index += end;
    ns__again(c);
}

static void next_page(struct ns_op *op, struct ns__obj *dir)
{
    struct ns__flight f;
    struct ns__call *c;
    uint32_t fid;
    ns__flight_init(&f, op, dir->tree);
    if (!ns__fid(&f, dir, false, &fid)) {
        return;
    }
    union ninep_tmsg *m = ns__flight_add(&f, NINEP_TREADDIR, dir, NULL, page_came, &c);
    if (!m) {
        ns__flight_drop(&f);
        ns__fail(op, op->err, op->detail);
        return;
    }
    ns__await(c, op);
    bool with = ns__wide(dir->tree) && op->count < NS_PAGES_INLINE; /* else: contents_ahead */
    m->readdir.fid = fid;
    m->readdir.cookie = c->offset = op->cookie;
    c->len = with;
    m->readdir.count = ns__page_bytes(dir->tree, with ? NS_PAGE_BYTES : UINT32_MAX);
    m->readdir.want = NINEP_WANT_LEASE | (with ? NINEP_WANT_INLINE : 0);
    m->readdir.inline_max = with ? NS_INLINE_BYTES : 0;
    dir->tried = dir->loading = true;
    ns__flight_send(&f);
}

/* false: op waits or has failed. */
static bool take_all(struct ns_op *op, struct ns_file *f)
{
    for (;; op->index++) {
        struct ns__obj *dir;
        enum ns__up up = ns__nth_dir(op, f->node, op->index, &dir);
        if (up == NS__WAIT) {
            return false;
        }
        if (up == NS__DOWN) {
            continue; /* lookup in it says why */
        }
        if (!dir) {
            return true;
        }
        if (!ns__caught_up(op, dir)) {
            return false;
        }
        if (dir->loading && op->cookie == 0) {
            ns__op_park(op, &dir->waiters);
            return false;
        }
        if (op->cookie == 0 && dir->complete && ns__leased(dir)) {
            cg_err e = take_cached(f, dir);
            if (e) {
                ns__fail(op, e, "the listing is too large for this component");
                return false;
            }
            op->ns->hits++;
            continue;
        }
        next_page(op, dir);
        return false;
    }
}

/* A name that the cache holds no attributes for is given as it came. */
static bool give_entry(struct ns_op *op, struct ns_file *f, uint32_t i)
{
    struct ns__entry *e = &f->entries[i];
    struct ns_node *n = NULL;
    struct ns_stat st = {.attr = e->attr};
    if (e->synth) {
        n = e->synth->covered ? ns__head_get(op->ns, ns__view(f->node), e->synth->covered)
                              : e->synth;
        st.ino = n ? ns_node_ino(n) : 0;
        if (n == e->synth) {
            ns_node_ref(n);
        }
    } else if (e->obj) {
        st.attr = e->obj->settled ? e->obj->attr : e->attr;
        st.ino = ns__obj_ino(e->obj);
        n = op->plus || e->obj->mount ? ns__node_cross(f->node, e->obj) : NULL;
        bool here = e->obj->up && ns__shows(f->node, e->obj->up);
        uint64_t until = here ? ns__believed(e->obj->up, e->name, e->obj) : 0;
        uint64_t attrs =
            ns__attr_ok(e->obj) ? ninep_client_lease_until_ns(e->obj->tree->client) : 0;
        st.until_ns = !n || n->mount ? 0 : until < attrs ? until : attrs;
    }
    if (op->plus) {
        st.node = n;
        st.hold = n && ns__hold(f->node, st.until_ns);
        if (n) {
            ns_node_ref(n); /* the caller's */
        }
    }
    bool more = op->emit(op->aux, (uint64_t)i + 1, e->name, &st);
    if (n) {
        if (!more && op->plus) {
            ns__node_put(n);
        }
        ns__node_put(n);
    }
    return more;
}

static void readdir_step(struct ns_op *op)
{
    struct ns_file *f = op->file;
    if (f->obj) {
        ns__fail(op, CG_ENOTDIR, "not a directory");
        return;
    }
    if (!f->listed || (op->offset == 0 && op->mode == 0)) {
        if (op->mode == 0) {
            ns__entries_drop(f);
            op->mode = 1; /* taking */
            cg_err e = take_own(f);
            if (e) {
                ns__fail(op, e, "no memory for a listing");
                return;
            }
        }
        if (!take_all(op, f)) {
            return;
        }
        f->listed = true;
    }
    for (uint64_t i = op->offset; i < f->entry_count; i++) {
        if (!give_entry(op, f, (uint32_t)i)) {
            break;
        }
    }
    ns__finish(op);
}

struct ns_op *ns_readdir(struct ns *ns, struct ns_file *dir, uint64_t cookie, bool plus,
                         ns_emit *emit, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, readdir_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->offset = cookie;
    op->plus = plus;
    op->emit = emit;
    ns__op_file(op, dir);
    return ns__op_start(op);
}
