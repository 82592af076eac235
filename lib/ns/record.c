/* record: a kept namespace into its book (ns.h tells what for, adopt.c is the way out).
 *
 * A record is written anew whenever what it tells has changed; the book frees the old one. Nothing
 * is committed here: the client commits before it sends, and whoever answers the kernel side before
 * he answers. Without room in the book a thing is not kept, and its successor will not have it.
 */
#include "internal.h"

#include <string.h>

uint64_t ns__client_number(const struct ns__tree *t)
{
    return t->ns->config.number << 32 | t->number;
}

static bool kept(const struct ns *ns)
{
    return ns->config.book && !ns->closing && !ns->adopting;
}

static void *add(struct ns *ns, uint16_t kind, uint64_t number, size_t len)
{
    return len <= BOOK_RECORD_BYTES_MAX
               ? book_add(ns->config.book, kind, ns->config.number, number, (uint32_t)len)
               : NULL;
}

void ns__unsave(struct ns *ns, void *record)
{
    if (record) {
        book_drop(ns->config.book, record);
    }
}

/* ---- trees ---- */

void ns__save_tree(struct ns__tree *t)
{
    const char *const text[4] = {t->node, t->service, t->name, t->ticket};
    size_t len = 0;
    if (!kept(t->ns)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        len += text[i] ? strlen(text[i]) + 1 : 0;
    }
    struct ns__saved_tree *r = add(t->ns, NS__REC_TREE, t->number, sizeof *r + len);
    char *at = r ? r->text : NULL;
    for (int i = 0; r && i < 4; i++) {
        r->bytes[i] = (uint16_t)(text[i] ? strlen(text[i]) + 1 : 0);
        memcpy(at, text[i] ? text[i] : "", r->bytes[i]);
        at += r->bytes[i];
    }
    ns__unsave(t->ns, t->saved);
    t->saved = r;
}

/* ---- objects ---- */

static void save_one(struct ns__obj *o)
{
    struct ns *ns = o->tree->ns;
    size_t name = o->up ? strlen(o->up_name) : 0;
    struct ns__saved_obj *r = add(ns, NS__REC_OBJ, o->serial, sizeof *r + name);
    if (r) {
        struct cg_buf b = cg_buf_writer(r->attr, sizeof r->attr);
        struct ninep_attr a = o->attr;
        if (o->settled) {
            a.id = o->id;
        }
        ninep_put_attr(&b, &a);
        r->up = o->up ? o->up->serial : 0;
        r->tree = o->tree->number;
        r->dead = o->dead;
        r->settled = o->settled;
        r->own_ino = o->own_ino;
        r->was_root = o->was_root;
        memcpy(r->up_name, name ? o->up_name : "", name);
    }
    ns__unsave(ns, o->saved);
    o->saved = r;
}

/* From the top: a path's record is there before what refers to it. */
void ns__save_obj(struct ns__obj *o)
{
    struct ns__obj *chain[NS_DEPTH_MAX];
    uint32_t n = 0;
    if (!kept(o->tree->ns)) {
        return;
    }
    for (struct ns__obj *at = o; at && !at->saved && n < NS_DEPTH_MAX; at = at->up) {
        chain[n++] = at;
    }
    while (n > 0) {
        save_one(chain[--n]);
    }
}

void ns__obj_changed(struct ns__obj *o)
{
    if (o->saved && kept(o->tree->ns)) {
        if (o->up) {
            ns__save_obj(o->up);
        }
        save_one(o);
    }
}

/* ---- nodes ---- */

static void save_node(struct ns_node *n)
{
    struct ns *ns = n->ns;
    size_t name = n->name ? strlen(n->name) : 0;
    if (n->obj) {
        ns__save_obj(n->obj);
    }
    struct ns__saved_node *r = add(ns, NS__REC_NODE, n->id, sizeof *r + name);
    if (r) {
        r->view = n->view ? n->view->id : 0;
        r->what = n->obj ? n->obj->serial : n->mount ? n->mount->number : 0;
        r->parent = n->parent ? n->parent->id : 0;
        r->kind = n->obj ? NS__IS_OBJ : n->mount ? NS__IS_HEAD : NS__IS_SYNTH;
        memcpy(r->name, name ? n->name : "", name);
    }
    n->saved = r;
}

/* With what it stands on: views and parents, no deeper than paths. */
void ns__save_node(struct ns_node *n)
{
    struct ns_node *left[2 * NS_DEPTH_MAX];
    uint32_t count = 0;
    if (!kept(n->ns) || n->saved) {
        return;
    }
    left[count++] = n;
    while (count > 0) {
        n = left[count - 1];
        struct ns_node *below[] = {n->view, n->parent};
        bool waits = false;
        for (int i = 0; i < 2; i++) {
            if (below[i] && !below[i]->saved && count < CG_COUNT(left)) {
                left[count++] = below[i];
                waits = true;
                break;
            }
        }
        if (!waits) {
            count--;
            if (!n->saved) {
                save_node(n);
            }
            if (!n->saved) {
                return; /* no room: nor for those that stand on it */
            }
        }
    }
}

void ns_node_taken(struct ns_node *n, uint64_t refs)
{
    ns__save_node(n);
    if (n->saved) {
        n->saved->refs += refs;
    }
}

void ns_node_given(struct ns_node *n, uint64_t refs)
{
    if (n->saved) {
        n->saved->refs -= refs < n->saved->refs ? refs : n->saved->refs;
    }
}

/* ---- handles ---- */

static bool same(const struct ns__saved_file *a, const struct ns__saved_file *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Called often, and mostly nothing has changed. */
void ns__file_save(struct ns_file *f)
{
    struct ns *ns = f->node->ns;
    struct ns__saved_file now;
    if (!kept(ns)) {
        return;
    }
    memset(&now, 0, sizeof now);
    now.node = f->node->id;
    now.obj = f->obj ? f->obj->serial : 0;
    now.origin = f->origin;
    now.flags = f->flags;
    now.fid = f->fid;
    now.chain = f->chain;
    now.iounit = f->iounit;
    now.error = f->error;
    now.state = f->state;
    now.creating = f->creating;
    now.was_open = f->was_open;
    now.broken_chain = f->broken_chain;
    now.live = f->obj && f->session == f->obj->tree->session;
    memcpy(now.detail, f->detail, sizeof now.detail);
    if (f->saved && same(f->saved, &now)) {
        return;
    }
    ns__save_node(f->node);
    if (f->obj) {
        ns__save_obj(f->obj);
    }
    void *r = add(ns, NS__REC_FILE, f->number, sizeof now);
    if (r) {
        memcpy(r, &now, sizeof now);
    }
    ns__unsave(ns, f->saved);
    f->saved = r;
}

uint64_t ns_file_number(const struct ns_file *f)
{
    return f->number;
}

struct ns_file *ns_file_by_number(struct ns *ns, uint64_t number)
{
    CG_LIST_EACH (it, &ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f->number == number) {
            return f;
        }
    }
    return NULL;
}

/* ---- the mount table: one record, written whole ---- */

static cg_err put_u64(struct cg_str *s, uint64_t v)
{
    uint8_t bytes[8];
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    cg_put_u64(&b, v);
    return cg_str_add(s, bytes, sizeof bytes);
}

/* NULL is told from the empty text. */
static cg_err put_text(struct cg_str *s, const char *text)
{
    cg_err e = put_u64(s, text ? strlen(text) + 1 : 0);
    return e || !text ? e : cg_str_add(s, text, strlen(text));
}

static uint32_t line_number(const struct ns *ns, const struct ns__line *line)
{
    uint32_t n = 0;
    CG_LIST_EACH (it, &ns->lines) {
        n++;
        if (CG_CONTAINER(it, struct ns__line, link) == line) {
            return n;
        }
    }
    return 0;
}

/* The root of a tree is whatever its root is. */
static uint64_t member_obj(const struct ns__member *m)
{
    return m->obj && m->obj != m->obj->tree->root ? m->obj->serial : 0;
}

static cg_err put_member(struct cg_str *s, const struct ns *ns, const struct ns__member *m)
{
    const uint64_t numbers[] = {m->tree ? m->tree->number : 0, m->synth ? m->synth->id : 0,
                                member_obj(m), line_number(ns, m->line), m->create};
    cg_err e = CG_OK;
    if (m->obj && member_obj(m)) {
        ns__save_obj(m->obj);
    }
    if (m->synth) {
        ns__save_node(m->synth);
    }
    for (size_t i = 0; i < CG_COUNT(numbers) && !e; i++) {
        e = put_u64(s, numbers[i]);
    }
    return e ? e : put_text(s, m->what);
}

static cg_err put_mount(struct cg_str *s, const struct ns *ns, struct ns__mount *m)
{
    const uint64_t numbers[] = {m->number, m->obj ? m->obj->serial : 0, m->synth ? m->synth->id : 0,
                                m->member_count};
    cg_err e = put_text(s, m->old);
    if (m->obj) {
        ns__save_obj(m->obj);
    }
    if (m->synth) {
        ns__save_node(m->synth);
    }
    for (size_t i = 0; i < CG_COUNT(numbers) && !e; i++) {
        e = put_u64(s, numbers[i]);
    }
    CG_LIST_EACH (it, &m->members) {
        e = e ? e : put_member(s, ns, CG_CONTAINER(it, struct ns__member, link));
    }
    return e;
}

static cg_err put_table(struct cg_str *s, struct ns *ns)
{
    uint32_t lines = 0, mounts = 0;
    CG_LIST_EACH (it, &ns->lines) {
        lines++;
    }
    CG_LIST_EACH (it, &ns->mounts) {
        mounts += !CG_CONTAINER(it, struct ns__mount, link)->dead;
    }
    const uint64_t head[] = {ns->root->mount->number, ns->jail, lines, mounts};
    cg_err e = CG_OK;
    for (size_t i = 0; i < CG_COUNT(head) && !e; i++) {
        e = put_u64(s, head[i]);
    }
    CG_LIST_EACH (it, &ns->lines) {
        const struct ns__line *l = CG_CONTAINER(it, struct ns__line, link);
        e = e ? e : put_u64(s, l->sticks);
        e = e ? e : put_text(s, l->text);
    }
    CG_LIST_EACH (it, &ns->mounts) {
        struct ns__mount *m = CG_CONTAINER(it, struct ns__mount, link);
        e = e || m->dead ? e : put_mount(s, ns, m);
    }
    return e;
}

void ns__save_table(struct ns *ns)
{
    struct cg_str s = {0};
    if (!kept(ns)) {
        return;
    }
    CG_LIST_EACH (it, &ns->nodes) { /* what the namespace shows is in no tree */
        struct ns_node *n = CG_CONTAINER(it, struct ns_node, link);
        if (n->parent) {
            ns__save_node(n);
        }
    }
    void *r = put_table(&s, ns) == CG_OK ? add(ns, NS__REC_TABLE, 0, s.len) : NULL;
    if (r) {
        memcpy(r, s.data, s.len);
        ns__unsave(ns, ns->saved_table);
        ns->saved_table = r;
    } else {
        cg_log(CG_WARN, "no room to keep the mount table: its former state is kept");
    }
    cg_str_fini(&s);
}
