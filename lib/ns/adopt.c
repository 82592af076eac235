/* adopt: a namespace out of its book, as a predecessor left it.
 *
 * In this order, because each refers to what was made before: trees, objects with their paths, the
 * mount table's mounts, nodes, the table's members, handles; then the sessions are taken up, and
 * the requests that were under way find the handles that they are of. What nothing refers to any
 * more is simply not found again and goes.
 *
 * Nothing of a cache is adopted: no lease is known, so everything is asked for anew.
 */
#include "internal.h"

#include <string.h>

struct adoption {
    struct ns *ns;
    struct cg_map trees;  /* number -> tree */
    struct cg_map objs;   /* serial -> obj; each counted until the end */
    struct cg_map mounts; /* number -> mount */
    struct cg_map nodes;  /* id -> record */
    struct ns__line **line;
    uint64_t lines;
    struct cg_errbuf *eb;
};

static cg_err damaged(struct adoption *a, const char *what, uint64_t number)
{
    return cg_fail(a->eb, CG_EBADFORMAT, "the kept namespace is damaged: %s %llu", what,
                   (unsigned long long)number);
}

static cg_err no_memory(struct adoption *a)
{
    return cg_fail(a->eb, CG_ENOMEM, "no memory to adopt a namespace");
}

typedef cg_err adopter(struct adoption *a, void *record, const struct book_head *h);

static cg_err each(struct adoption *a, uint16_t kind, size_t least, adopter *fn)
{
    const struct ns *ns = a->ns;
    uint64_t cursor = 0;
    void *record;
    cg_err e = CG_OK;
    while (!e && (record = book_next(ns->config.book, &cursor))) {
        const struct book_head *h = book_head(ns->config.book, record);
        if (h->a == ns->config.number && h->kind == kind) {
            e = h->len >= least ? fn(a, record, h) : damaged(a, "a record of kind", kind);
        }
    }
    return e;
}

/* ---- trees ---- */

static cg_err adopt_tree(struct adoption *a, void *record, const struct book_head *h)
{
    const struct ns__saved_tree *r = record;
    struct ns__tree *t;
    const char *text[4];
    uint32_t at = 0, left = h->len - (uint32_t)sizeof *r;
    for (int i = 0; i < 4; i++) {
        text[i] = r->bytes[i] ? r->text + at : NULL;
        if (r->bytes[i] > left - at || (r->bytes[i] && memchr(r->text + at, 0, r->bytes[i]) !=
                                                           r->text + at + r->bytes[i] - 1)) {
            return damaged(a, "tree", h->b);
        }
        at += r->bytes[i];
    }
    if (!text[0] || !text[1] || !text[2] || cg_map_get(&a->trees, &h->b)) {
        return damaged(a, "tree", h->b);
    }
    uint32_t last = a->ns->tree_last > h->b ? a->ns->tree_last : (uint32_t)h->b;
    cg_err e = ns__tree_get(a->ns, text[0], text[1], text[2], text[3], &t);
    if (e) {
        return no_memory(a);
    }
    a->ns->tree_last = last;
    t->saved = record;
    t->number = (uint32_t)h->b;
    t->session = 1;
    return cg_map_put(&a->trees, &h->b, t) == CG_OK ? CG_OK : no_memory(a);
}

/* ---- objects ---- */

static cg_err adopt_obj(struct adoption *a, void *record, const struct book_head *h)
{
    const struct ns__saved_obj *r = record;
    uint64_t tree = r->tree;
    struct ns__tree *t = cg_map_get(&a->trees, &tree);
    struct ninep_attr attr;
    struct cg_buf b = cg_buf_reader(r->attr, sizeof r->attr);
    ninep_get_attr(&b, &attr);
    if (!t || b.bad || h->b == 0 || cg_map_get(&a->objs, &h->b)) {
        return damaged(a, "object", h->b);
    }
    struct ns__obj *o = ns__obj_new(t);
    if (!o) {
        return no_memory(a);
    }
    o->serial = h->b;
    o->attr = attr;
    o->id = attr.id;
    o->own_ino = r->own_ino;
    o->was_root = r->was_root;
    o->dead = r->dead;
    if (r->settled) {
        (void)ns__obj_settle(o, &attr.id); /* another one may have the identity: see there */
    }
    o->saved = record;
    ns__obj_ref(o);
    return cg_map_put(&a->objs, &h->b, o) == CG_OK ? CG_OK : no_memory(a);
}

static cg_err adopt_path(struct adoption *a, void *record, const struct book_head *h)
{
    const struct ns__saved_obj *r = record;
    struct ns__obj *o = cg_map_get(&a->objs, &h->b), *up = cg_map_get(&a->objs, &r->up);
    size_t len = h->len - sizeof *r;
    if (r->up == 0) {
        return CG_OK;
    }
    if (!up || up->tree != o->tree ||
        !cg_name_ok((struct cg_span){(void *)r->up_name, (uint32_t)len})) {
        return CG_OK; /* its path is lost, so it will be stale */
    }
    for (struct ns__obj *at = up; at; at = at->up) {
        if (at == o) {
            return damaged(a, "the path of object", h->b);
        }
    }
    o->up_name = cg_strndup(r->up_name, len);
    if (!o->up_name) {
        return no_memory(a);
    }
    ns__obj_ref(up);
    o->up = up;
    return CG_OK;
}

/* ---- mounts and nodes ---- */

struct table {
    struct cg_buf b;
    uint64_t root, jail, lines, mounts;
};

static char *get_text(struct cg_buf *b, cg_err *e)
{
    uint64_t len = cg_get_u64(b);
    struct cg_span s = cg_get_span(b, len > 0 && len <= NS_LINE_BYTES_MAX ? len - 1 : 0);
    if (b->bad || len > NS_LINE_BYTES_MAX || (s.len && memchr(s.data, 0, s.len))) {
        b->bad = true;
        return NULL;
    }
    char *copy = len > 0 ? cg_strndup((const char *)s.data, s.len) : NULL;
    *e = len > 0 && !copy ? CG_ENOMEM : *e;
    return copy;
}

static cg_err get_lines(struct adoption *a, struct table *t)
{
    cg_err e = CG_OK;
    a->line = t->lines <= NS_MOUNTS_MAX * 2 ? cg_zalloc((t->lines + 1) * sizeof(void *)) : NULL;
    if (!a->line) {
        return no_memory(a);
    }
    for (uint64_t i = 0; i < t->lines && !t->b.bad && !e; i++) {
        bool sticks = cg_get_u64(&t->b);
        char *text = get_text(&t->b, &e);
        size_t len = text ? strlen(text) : 0;
        struct ns__line *l = text ? cg_zalloc(sizeof *l + len + 1) : NULL;
        if (l) {
            memcpy(l->text, text, len + 1);
            l->sticks = sticks;
            cg_list_push(&a->ns->lines, &l->link);
            a->line[a->lines++] = l;
        }
        e = e || l ? e : CG_ENOMEM;
        cg_free(text);
    }
    return t->b.bad ? damaged(a, "line", a->lines) : e ? no_memory(a) : CG_OK;
}

/* Of a mount: its point; of its members those that there are nodes for. The table is read twice:
 * the mounts before the nodes, which refer to them, and then all. */
struct saved_mount {
    char *old;
    uint64_t number, obj, synth, members;
};

static cg_err get_mount(struct adoption *a, struct table *t, struct saved_mount *m)
{
    cg_err e = CG_OK;
    m->old = get_text(&t->b, &e);
    m->number = cg_get_u64(&t->b);
    m->obj = cg_get_u64(&t->b);
    m->synth = cg_get_u64(&t->b);
    m->members = cg_get_u64(&t->b);
    if (e || t->b.bad || !m->old || m->number == 0 || m->members > NS_MEMBERS_MAX) {
        cg_free(m->old);
        return e ? no_memory(a) : damaged(a, "mount", m->number);
    }
    return CG_OK;
}

struct saved_member {
    uint64_t tree, synth, obj, line, create;
    char *what;
};

static cg_err get_member(struct adoption *a, struct table *t, struct saved_member *m)
{
    cg_err e = CG_OK;
    m->tree = cg_get_u64(&t->b);
    m->synth = cg_get_u64(&t->b);
    m->obj = cg_get_u64(&t->b);
    m->line = cg_get_u64(&t->b);
    m->create = cg_get_u64(&t->b);
    m->what = get_text(&t->b, &e);
    if (e || t->b.bad || m->line > a->lines) {
        cg_free(m->what);
        return e ? no_memory(a) : damaged(a, "member", m->tree);
    }
    return CG_OK;
}

static cg_err make_mount(struct adoption *a, const struct table *t, const struct saved_mount *s)
{
    struct ns__mount *m = s->number == t->root ? a->ns->root->mount : NULL;
    if (cg_map_get(&a->mounts, &s->number)) {
        return damaged(a, "mount", s->number);
    }
    if (!m) {
        m = ns__mount_new(a->ns, NULL, s->old);
    }
    if (!m) {
        return no_memory(a);
    }
    m->number = (uint32_t)s->number;
    a->ns->mount_last = m->number > a->ns->mount_last ? m->number : a->ns->mount_last;
    return cg_map_put(&a->mounts, &s->number, m) == CG_OK ? CG_OK : no_memory(a);
}

static cg_err make_mounts(struct adoption *a, struct table t)
{
    cg_err e = CG_OK;
    for (uint64_t i = 0; i < t.mounts && !e; i++) {
        struct saved_mount s;
        e = get_mount(a, &t, &s);
        if (!e) {
            e = make_mount(a, &t, &s);
            cg_free(s.old);
        }
        for (uint64_t j = 0; !e && j < s.members; j++) {
            struct saved_member m;
            e = get_member(a, &t, &m);
            if (!e) {
                cg_free(m.what);
            }
        }
    }
    return e;
}

/* Heads of mounts that were taken off while somebody still had them answer that they are gone. */
static struct ns_node *dead_head(struct adoption *a, struct ns_node *view, uint64_t number)
{
    struct ns__mount *m = ns__mount_new(a->ns, NULL, "/");
    if (!m || cg_map_put(&a->mounts, &number, m) != CG_OK) {
        return NULL;
    }
    m->dead = true;
    m->number = (uint32_t)number;
    struct ns_node *n = ns__head_get(a->ns, view, m);
    ns__mount_put(m); /* the reference of its point, which it has not */
    return n;
}

static struct ns_node *make_node(struct adoption *a, struct ns_node *view,
                                 const struct ns__saved_node *r)
{
    struct ns__obj *o = cg_map_get(&a->objs, &r->what);
    struct ns__mount *m = cg_map_get(&a->mounts, &r->what);
    if (r->kind == NS__IS_OBJ) {
        return o ? ns__node_get(a->ns, view, o) : NULL;
    }
    if (r->kind == NS__IS_HEAD) {
        return m ? ns__head_get(a->ns, view, m) : dead_head(a, view, r->what);
    }
    return NULL;
}

static void set_id(struct ns_node *n, uint64_t id)
{
    cg_map_del(&n->ns->by_id, &n->id);
    n->id = id;
    (void)cg_map_put(&n->ns->by_id, &n->id, n); /* a slot was just freed */
}

/* Makes the node with that number, and first what it stands on. Depth: no more than paths have. */
static struct ns_node *want_node(struct adoption *a, uint64_t id, int depth)
{
    struct ns *ns = a->ns;
    struct ns_node *n = ns_node_by_id(ns, id);
    struct ns__saved_node *r = cg_map_get(&a->nodes, &id);
    if (n || !r || depth > 2 * NS_DEPTH_MAX) {
        return n;
    }
    struct ns_node *view = r->view ? want_node(a, r->view, depth + 1) : NULL;
    struct ns_node *parent = r->parent ? want_node(a, r->parent, depth + 1) : NULL;
    if ((r->view && !view) || (r->kind == NS__IS_SYNTH && !parent)) {
        return NULL;
    }
    ns->next_id = UINT64_MAX / 2; /* not one of those that are to come */
    if (r->kind == NS__IS_SYNTH) {
        char name[NINEP_NAME_BYTES_MAX + 1];
        uint32_t len = book_head(ns->config.book, r)->len - (uint32_t)sizeof *r;
        struct cg_span text = {(const uint8_t *)r->name, len};
        bool ok = cg_name_ok(text) && cg_span_str(text, name, sizeof name);
        n = ok ? ns__synth_get(parent, name) : NULL;
    } else {
        n = make_node(a, view, r);
    }
    if (n && n->saved) { /* two records of one node: it has the number of the first */
        ns__node_put(n);
        return NULL;
    }
    if (n) {
        set_id(n, id);
        n->saved = r;
        n->fresh = true;
        n->refs += r->refs; /* the kernel side's */
    }
    return n;
}

static cg_err note_node(struct adoption *a, void *record, const struct book_head *h)
{
    return cg_map_put(&a->nodes, &h->b, record) == CG_OK ? CG_OK : no_memory(a);
}

static cg_err adopt_nodes(struct adoption *a)
{
    struct ns *ns = a->ns;
    uint32_t cursor = 0;
    uint64_t last = 1;
    struct ns__saved_node *r;
    cg_err e = each(a, NS__REC_NODE, sizeof *r, note_node);
    while (!e && (r = cg_map_next(&a->nodes, &cursor))) {
        uint64_t id = book_head(ns->config.book, r)->b;
        last = id > last ? id : last;
        if (id == ns->root->id) {
            ns->root->saved = r;
            ns->root->refs += r->refs;
        } else {
            (void)want_node(a, id, 0); /* without its file it is stale */
        }
    }
    ns->next_id = last;
    return e;
}

/* ---- the table's points and members ---- */

static void cover(struct adoption *a, struct ns__mount *m, const struct saved_mount *s)
{
    struct ns__obj *o = cg_map_get(&a->objs, &s->obj);
    struct ns_node *n = s->synth ? ns_node_by_id(a->ns, s->synth) : NULL;
    if (o && !o->mount) {
        ns__obj_ref(o);
        o->tree->refs++;
        m->obj = o;
        o->mount = m;
    } else if (n && n->parent && !n->covered) {
        ns_node_ref(n);
        m->synth = n;
        n->covered = m;
    }
}

static cg_err add_member(struct adoption *a, struct ns__mount *m, const struct saved_member *s)
{
    struct ns__tree *t = cg_map_get(&a->trees, &s->tree);
    struct ns__obj *o = s->obj ? cg_map_get(&a->objs, &s->obj) : NULL;
    struct ns_node *synth = s->synth ? ns_node_by_id(a->ns, s->synth) : NULL;
    if ((s->tree && !t) || (s->obj && !o) || (!s->tree && !synth)) {
        return CG_OK; /* what it was is gone */
    }
    if (t) {
        t->refs++;
    }
    struct ns__member *made = ns__member_add(m, false, t, o, synth);
    if (!made) {
        return no_memory(a);
    }
    made->create = s->create;
    made->what = s->what ? cg_strdup(s->what) : NULL;
    if (s->line > 0) {
        made->line = a->line[s->line - 1];
        made->line->refs++;
    }
    return CG_OK;
}

static cg_err fill_mounts(struct adoption *a, struct table t)
{
    cg_err e = CG_OK;
    for (uint64_t i = 0; i < t.mounts && !e; i++) {
        struct saved_mount s;
        e = get_mount(a, &t, &s);
        struct ns__mount *m = e ? NULL : cg_map_get(&a->mounts, &s.number);
        if (m && m != a->ns->root->mount) {
            cover(a, m, &s);
        }
        for (uint64_t j = 0; !e && j < s.members; j++) {
            struct saved_member member;
            e = get_member(a, &t, &member);
            if (!e) {
                e = add_member(a, m, &member);
                cg_free(member.what);
            }
        }
        if (m) {
            cg_free(s.old);
        }
    }
    return e;
}

/* ---- handles ---- */

static cg_err adopt_file(struct adoption *a, void *record, const struct book_head *h)
{
    const struct ns__saved_file *r = record;
    struct ns *ns = a->ns;
    struct ns_node *n = ns_node_by_id(ns, r->node);
    struct ns__obj *o = r->obj ? cg_map_get(&a->objs, &r->obj) : NULL;
    ns->file_last = h->b > ns->file_last ? h->b : ns->file_last;
    if (!n || (r->obj && !o) || h->len != sizeof *r || r->state > NS__OPEN) {
        book_drop(ns->config.book, record); /* its file is gone, and so is it */
        return CG_OK;
    }
    uint64_t last = ns->file_last;
    struct ns_file *f = ns__file_new(n, o, r->flags);
    if (!f) {
        return no_memory(a);
    }
    ns->file_last = last;
    f->number = h->b;
    f->origin = r->origin;
    f->saved = record;
    f->ownerless = true;
    f->chain = r->chain;
    f->iounit = r->iounit;
    f->error = r->error;
    f->was_open = r->was_open;
    f->broken_chain = r->broken_chain;
    memcpy(f->detail, r->detail, sizeof f->detail - 1);
    f->fid = NINEP_NOFID;
    if (o && r->live) {
        f->session = o->tree->session;
        f->fid = r->fid;
        f->state = r->state;
        f->creating = r->creating;
    }
    return CG_OK;
}

/* ---- the whole ---- */

static cg_err find_table(struct adoption *a, void *record, const struct book_head *h)
{
    if (a->ns->saved_table) {
        return damaged(a, "mount table", h->b);
    }
    a->ns->saved_table = record;
    return CG_OK;
}

static cg_err adopt_table(struct adoption *a)
{
    void *r = a->ns->saved_table;
    struct table t = {.b = cg_buf_reader(r, r ? book_head(a->ns->config.book, r)->len : 0)};
    t.root = cg_get_u64(&t.b);
    t.jail = cg_get_u64(&t.b);
    t.lines = cg_get_u64(&t.b);
    t.mounts = cg_get_u64(&t.b);
    if (!r) { /* no line was ever executed */
        t = (struct table){.root = a->ns->root->mount->number};
    }
    cg_err e = t.b.bad || t.mounts > NS_MOUNTS_MAX ? damaged(a, "mount table", 0) : CG_OK;
    e = e ? e : get_lines(a, &t);
    e = e ? e : make_mounts(a, t);
    e = e ? e : adopt_nodes(a);
    e = e ? e : fill_mounts(a, t);
    a->ns->jail = t.jail;
    return e;
}

/* What was made with a reference of the adoption's own gives it back, and goes when it was the
 * last; so do records that led to nothing. */
static void put_nodes(struct adoption *a)
{
    uint32_t cursor = 0;
    struct ns__saved_node *r;
    while ((r = cg_map_next(&a->nodes, &cursor))) {
        uint64_t id = book_head(a->ns->config.book, r)->b;
        struct ns_node *n = ns_node_by_id(a->ns, id);
        if (!n || n->saved != r) {
            book_drop(a->ns->config.book, r);
        }
    }
    for (bool more = true; more;) { /* one that goes may take others along: begin again */
        more = false;
        CG_LIST_EACH (it, &a->ns->nodes) {
            struct ns_node *n = CG_CONTAINER(it, struct ns_node, link);
            if (n->fresh && !more) {
                n->fresh = false;
                more = n->refs == 1;
                ns__node_put(n);
            }
            if (more) {
                break;
            }
        }
    }
}

static void put_objs(struct adoption *a)
{
    uint32_t cursor = 0;
    struct ns__obj *o;
    while ((o = cg_map_next(&a->objs, &cursor))) {
        a->ns->next_serial = o->serial > a->ns->next_serial ? o->serial : a->ns->next_serial;
    }
    cursor = 0;
    while ((o = cg_map_next(&a->objs, &cursor))) {
        ns__obj_put(o);
    }
}

static void take_up_session(struct ns__tree *t)
{
    struct cg_errbuf eb = {0};
    t->adopting = ninep_session_kept(t->ns->config.book, ns__client_number(t));
    if (!t->adopting) {
        ns__tree_adopted(t, false); /* it was never attached, or had been lost */
    } else if (ns__dial(t, &eb) != CG_OK) {
        cg_log(CG_WARN, "%s!%s: cannot be taken up: %s", t->node, t->service, eb.text);
        t->adopting = false;
        t->state = NS__TREE_IDLE;
        ns__tree_adopted(t, false);
    }
}

static void put_trees(struct adoption *a)
{
    uint32_t cursor = 0;
    struct ns__tree *t;
    while ((t = cg_map_next(&a->trees, &cursor))) {
        take_up_session(t);
        ns__tree_put(t); /* and the next tick ends it, if nobody needs it */
    }
}

/* Names that a predecessor gave a moment ago are held for as long as any. */
static void hold_names(struct ns *ns)
{
    uint64_t until = ns->config.env->now_ns(ns->config.env->ctx) + ns->config.names_ns;
    ns->names_until_ns = ns->moved_until_ns = until;
    CG_LIST_EACH (it, &ns->nodes) {
        CG_CONTAINER(it, struct ns_node, link)->held_until_ns = until;
    }
}

static cg_err adopt_all(struct adoption *a)
{
    cg_err e = each(a, NS__REC_TABLE, 0, find_table);
    e = e ? e : each(a, NS__REC_TREE, sizeof(struct ns__saved_tree), adopt_tree);
    e = e ? e : each(a, NS__REC_OBJ, sizeof(struct ns__saved_obj), adopt_obj);
    e = e ? e : each(a, NS__REC_OBJ, sizeof(struct ns__saved_obj), adopt_path);
    e = e ? e : adopt_table(a);
    return e ? e : each(a, NS__REC_FILE, sizeof(struct ns__saved_file), adopt_file);
}

cg_err ns_adopt(const struct ns_config *config, struct ns **out, struct cg_errbuf *eb)
{
    struct ns *ns;
    struct ns_config quiet = *config;
    quiet.book = NULL; /* what is made now is not recorded: it is there */
    cg_err e = ns_new(&quiet, &ns);
    if (e) {
        return cg_fail(eb, e, "no memory to adopt a namespace");
    }
    ns->config.book = config->book;
    ns->adopting = true;
    struct adoption a = {.ns = ns, .eb = eb};
    struct cg_map *const maps[] = {&a.trees, &a.objs, &a.mounts, &a.nodes};
    for (size_t i = 0; i < CG_COUNT(maps); i++) {
        cg_map_init(maps[i], sizeof(uint64_t));
    }
    e = adopt_all(&a);
    ns->adopting = false;
    if (e) {
        ns_free(ns);
    } else {
        put_nodes(&a);
        put_objs(&a);
        put_trees(&a);
        hold_names(ns);
        *out = ns;
    }
    for (size_t i = 0; i < CG_COUNT(maps); i++) {
        cg_map_fini(maps[i]);
    }
    cg_free(a.line);
    return e;
}

void ns_adopted_tell(struct ns *ns)
{
    CG_LIST_EACH (it, &ns->nodes) {
        struct ns_node *n = CG_CONTAINER(it, struct ns_node, link);
        if (n->saved && n->saved->refs > 0 && ns->config.invalidate) {
            ns->config.invalidate(ns->config.ctx, n, NS_INVAL_DATA);
        }
    }
}
