/* env: the environment as files, one a variable. Reading gives the value, writing sets it, removing
 * unsets it. Each tree name is a group of its own, shared by all who attach it; that without a name
 * is the node's. A group that nobody attaches any more is forgotten, the node's is not. Values are
 * bytes; a shell's list is its elements, each ended by NUL, as in Plan 9.
 *
 * Each variable is a record of a book that init keeps, so the environment outlives this process: a
 * change is in the book before it is answered. */
#include <cognu/book.h>
#include <cognu/keep.h>
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <string.h>
#include <sys/stat.h>

enum {
    VARS_MAX = 4096,         /* an environment is small; more is a mistake or an attack */
    VALUE_BYTES_MAX = 65536, /* half of what Linux takes for one string of execve */
    GROUPS_MAX = 1024,
    GROUP_BYTES_MAX = 63,
    UNCLAIMED_MS = 600000, /* after a start: clients are back by then, or gone */
    BOOK_VERSION = 2,
    /* a: id; b: bytes of the name, and of the group's name from bit 32 on; the group's name, the
     * name, the value */
    RECORD_VAR = 1,
};
#define BOOK_BYTES (UINT64_C(64) << 20)

enum { KIND_ROOT, KIND_VAR, KINDS };

struct group {
    struct cg_list link;
    uint64_t id;
    uint32_t refs; /* handles of its root */
    char name[GROUP_BYTES_MAX + 1];
};

struct var {
    struct cg_list link;
    uint64_t id;
    struct group *group;
    char *name;
    struct cg_str value;
    void *saved; /* its record */
};

struct environment {
    struct cg_list vars; /* in the order of their making */
    uint64_t last_id;
    uint32_t count;
    struct cg_list groups;
    struct group node; /* the one without a name, number 0 */
    uint64_t last_group;
    uint32_t group_count;
    struct book *book;
};

static struct environment the_env;

static struct var *by_id(uint64_t id)
{
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->id == id) {
            return v;
        }
    }
    return NULL;
}

static struct var *by_name(uint64_t group, const char *name)
{
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->group->id == group && strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}

/* *cursor is the id of the last variable given; ids grow along the list. */
static bool each_var(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->id > *cursor && v->group->id == dir) {
            *cursor = *id = v->id;
            return cg_span_str(cg_span_of(v->name), name, SYNTH_NAME_BYTES);
        }
    }
    return false;
}

static cg_err find_var(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    struct var *v = by_name(dir, name);
    *id = v ? v->id : 0;
    return v ? CG_OK : CG_ENOENT;
}

/* v's record with that value; false: there is no room, and the old one stays. */
static bool save(struct var *v, const struct cg_str *value)
{
    size_t name = strlen(v->name), group = strlen(v->group->name);
    uint8_t *new = book_add(the_env.book, RECORD_VAR, v->id, (uint64_t)group << 32 | name,
                            (uint32_t)(group + name + value->len));
    if (!new) {
        return false;
    }
    memcpy(new, v->group->name, group);
    memcpy(new + group, v->name, name);
    if (value->len) {
        memcpy(new + group + name, value->data, value->len);
    }
    if (v->saved) {
        book_drop(the_env.book, v->saved);
    }
    v->saved = new;
    book_commit(the_env.book);
    return true;
}

/* value, which is taken, becomes v's. */
static cg_err set_value(struct var *v, struct cg_str *value, struct cg_errbuf *eb)
{
    if (!save(v, value)) {
        cg_str_fini(value);
        return cg_fail(eb, CG_ENOSPC, "the environment is full: %llu bytes are kept",
                       (unsigned long long)book_bytes(the_env.book));
    }
    cg_str_fini(&v->value);
    v->value = *value;
    return CG_OK;
}

static void free_var(struct var *v)
{
    if (v->saved) {
        book_drop(the_env.book, v->saved);
        book_commit(the_env.book);
    }
    cg_str_fini(&v->value);
    cg_free(v->name);
    cg_free(v);
}

static struct var *add_var(struct group *group, struct cg_span name, uint64_t id)
{
    struct var *v = cg_zalloc(sizeof *v);
    char *copy = v ? cg_strndup((const char *)name.data, name.len) : NULL;
    if (!copy) {
        cg_free(v);
        return NULL;
    }
    *v = (struct var){.id = id, .group = group, .name = copy};
    cg_list_push(&the_env.vars, &v->link);
    the_env.count++;
    return v;
}

static void drop_var(struct var *v)
{
    cg_list_del(&v->link);
    the_env.count--;
    free_var(v);
}

/* ---- groups ---- */

static struct group *group_by_id(uint64_t id)
{
    CG_LIST_EACH (it, &the_env.groups) {
        struct group *g = CG_CONTAINER(it, struct group, link);
        if (g->id == id) {
            return g;
        }
    }
    cg_assert(id == 0);
    return &the_env.node;
}

/* Made when it is named first. */
static cg_err group_by_name(struct cg_span name, struct group **out)
{
    if (name.len == 0) {
        *out = &the_env.node;
        return CG_OK;
    }
    CG_LIST_EACH (it, &the_env.groups) {
        *out = CG_CONTAINER(it, struct group, link);
        if (cg_span_is(name, (*out)->name)) {
            return CG_OK;
        }
    }
    if (name.len > GROUP_BYTES_MAX || the_env.group_count == GROUPS_MAX) {
        return CG_ELIMIT;
    }
    struct group *g = cg_zalloc(sizeof *g);
    if (!g) {
        return CG_ENOMEM;
    }
    g->id = ++the_env.last_group;
    memcpy(g->name, name.data, name.len);
    cg_list_push(&the_env.groups, &g->link);
    the_env.group_count++;
    *out = g;
    return CG_OK;
}

static void forget_group(struct group *g)
{
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->group == g) {
            drop_var(v);
        }
    }
    cg_list_del(&g->link);
    the_env.group_count--;
    cg_free(g);
}

static cg_err find_group(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    struct group *g;
    (void)s;
    (void)dir;
    cg_err e = group_by_name(cg_span_of(name), &g);
    *id = e ? 0 : g->id;
    return e;
}

static void hold_group(struct synth *s, uint64_t id, bool more)
{
    struct group *g = group_by_id(id);
    (void)s;
    g->refs += more ? 1 : UINT32_MAX;
    if (g->refs == 0 && g != &the_env.node) {
        forget_group(g);
    }
}

static void on_unclaimed(uv_timer_t *t)
{
    (void)t;
    CG_LIST_EACH (it, &the_env.groups) {
        struct group *g = CG_CONTAINER(it, struct group, link);
        if (g->refs == 0) {
            forget_group(g);
        }
    }
}

/* ---- changes ---- */

static cg_err create_var(struct synth_handle *dir, const char *name, uint32_t mode, uint16_t *kind,
                         uint64_t *id, struct cg_errbuf *eb)
{
    if (!S_ISREG(mode)) {
        return cg_fail(eb, CG_EPERM, "only plain files live in env: one a variable");
    }
    if (the_env.count == VARS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "the environment already has %d variables", VARS_MAX);
    }
    struct var *v = add_var(group_by_id(dir->id), cg_span_of(name), ++the_env.last_id);
    if (!v) {
        return CG_ENOMEM;
    }
    struct cg_str empty = {0};
    cg_err e = set_value(v, &empty, eb);
    if (e) {
        drop_var(v);
        return e;
    }
    *kind = KIND_VAR;
    *id = v->id;
    return CG_OK;
}

static cg_err remove_var(struct synth_handle *dir, const char *name, struct cg_errbuf *eb)
{
    struct var *v = by_name(dir->id, name);
    if (!v) {
        return cg_fail(eb, CG_ENOENT, "no variable '%s'", name);
    }
    drop_var(v);
    return CG_OK;
}

static cg_err open_var(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    struct cg_str empty = {0};
    bool cut = flags & NINEP_OPEN_TRUNC && v->value.len > 0;
    return cut ? set_value(v, &empty, eb) : CG_OK;
}

static cg_err read_var(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    return cg_str_add(out, v->value.data, v->value.len);
}

/* A copy of the first keep bytes of v's value, lengthened with zeroes to size. */
static cg_err copy_value(const struct var *v, size_t keep, uint64_t size, struct cg_str *out,
                         struct cg_errbuf *eb)
{
    static const char zero[256];
    if (size > VALUE_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "a variable holds at most %d bytes", VALUE_BYTES_MAX);
    }
    *out = (struct cg_str){0};
    keep = keep < v->value.len ? keep : v->value.len;
    cg_err e = keep > 0 ? cg_str_add(out, v->value.data, keep) : CG_OK;
    while (!e && out->len < size) {
        size_t more = size - out->len < sizeof zero ? size - out->len : sizeof zero;
        e = cg_str_add(out, zero, more);
    }
    if (e) {
        cg_str_fini(out);
    }
    return e;
}

static cg_err resize_var(struct synth_handle *h, uint64_t size, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    struct cg_str value;
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    cg_err e =
        copy_value(v, size < VALUE_BYTES_MAX ? (size_t)size : VALUE_BYTES_MAX, size, &value, eb);
    return e ? e : set_value(v, &value, eb);
}

static cg_err put_value(struct var *v, uint64_t offset, struct cg_span data, struct cg_errbuf *eb)
{
    struct cg_str value;
    uint64_t end = offset < VALUE_BYTES_MAX ? offset + data.len : UINT64_MAX;
    uint64_t size = end > v->value.len ? end : v->value.len;
    cg_err e = copy_value(v, v->value.len, size, &value, eb);
    if (e) {
        return e;
    }
    if (data.len > 0) {
        memcpy(value.data + offset, data.data, data.len);
    }
    return set_value(v, &value, eb);
}

static void write_var(struct synth_handle *h, struct ninep_req *r)
{
    struct var *v = by_id(h->id);
    uint64_t offset = r->t.write.offset;
    if (v && h->fid->open_flags & NINEP_OPEN_APPEND) {
        offset = v->value.len;
    }
    cg_err e = v ? put_value(v, offset, r->t.write.data, &r->eb)
                 : cg_fail(&r->eb, CG_ESTALE, "the variable was removed");
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static uint64_t size_of_var(struct synth_handle *h)
{
    struct var *v = by_id(h->id);
    return v ? v->value.len : 0;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0777,
                   .find = find_group,
                   .held = hold_group,
                   .create = create_var,
                   .remove = remove_var},
    [KIND_VAR] = {.mode = S_IFREG | 0666,
                  .each = each_var,
                  .find = find_var,
                  .open = open_var,
                  .text = read_var,
                  .write = write_var,
                  .resize = resize_var,
                  .size = size_of_var},
};

static cg_err adopt_var(void *record, struct cg_errbuf *eb)
{
    const struct book_head *h = book_head(the_env.book, record);
    uint32_t name_len = (uint32_t)h->b;
    uint64_t group_len = h->b >> 32, text = group_len + name_len;
    bool good = h->kind == RECORD_VAR && text <= h->len && h->len - text <= VALUE_BYTES_MAX && h->a;
    struct cg_span group_name = {record, good ? (uint32_t)group_len : 0};
    struct cg_span name = {(const uint8_t *)record + group_name.len, name_len};
    struct group *group = NULL;
    if (!good || !cg_name_ok(name) || group_len > GROUP_BYTES_MAX ||
        (group_len > 0 && !cg_name_ok(group_name))) {
        return cg_fail(eb, CG_EBADFORMAT, "variable %llu is damaged", (unsigned long long)h->a);
    }
    cg_err e = group_by_name(group_name, &group);
    struct var *v = e ? NULL : add_var(group, name, h->a);
    if (!v) {
        return e ? e : CG_ENOMEM;
    }
    v->saved = record;
    the_env.last_id = h->a > the_env.last_id ? h->a : the_env.last_id;
    return h->len > text
               ? cg_str_add(&v->value, (const uint8_t *)record + text, h->len - (size_t)text)
               : CG_OK;
}

/* The list is in the order of the ids, the book in none. Most come in order: the place of one is
 * looked for from the end. */
static void sort_vars(void)
{
    struct cg_list all = the_env.vars;
    if (cg_list_empty(&the_env.vars)) {
        return;
    }
    all.next->prev = all.prev->next = &all;
    cg_list_init(&the_env.vars);
    while (!cg_list_empty(&all)) {
        struct var *v = CG_CONTAINER(all.next, struct var, link);
        struct cg_list *at = the_env.vars.prev;
        cg_list_del(&v->link);
        while (at != &the_env.vars && CG_CONTAINER(at, struct var, link)->id > v->id) {
            at = at->prev;
        }
        cg_list_push_front(at, &v->link);
    }
}

static cg_err adopt(struct keep *k, struct cg_errbuf *eb)
{
    const struct book_config c = {.kind = "env", .version = BOOK_VERSION, .bytes = BOOK_BYTES};
    uint64_t cursor = 0;
    void *record;
    cg_err e = keep_book(k, "vars", &c, false, &the_env.book, eb);
    while (!e && (record = book_next(the_env.book, &cursor))) {
        e = adopt_var(record, eb);
    }
    if (e == CG_EBADFORMAT) {
        while (!cg_list_empty(&the_env.vars)) { /* without a commit: nothing is taken away */
            struct var *v = CG_CONTAINER(the_env.vars.next, struct var, link);
            v->saved = NULL;
            drop_var(v);
        }
        book_free(the_env.book);
        e = keep_book(k, "vars", &c, true, &the_env.book, eb);
    }
    sort_vars();
    return e;
}

int main(int argc, char **argv)
{
    struct cg_errbuf eb = {0};
    uv_timer_t unclaimed;
    cg_log_init("env");
    cg_list_init(&the_env.vars);
    cg_list_init(&the_env.groups);
    struct keep *k = keep_from_args(&argc, argv);
    cg_err e = adopt(k, &eb);
    if (e) {
        cg_log(CG_ERROR_LEVEL, "cannot start: %s", eb.text[0] ? eb.text : cg_err_meaning(e));
        return 1;
    }
    uv_timer_init(uv_default_loop(), &unclaimed);
    uv_timer_start(&unclaimed, on_unclaimed, UNCLAIMED_MS, 0);
    uv_unref((uv_handle_t *)&unclaimed);
    int status = synth_serve_main(argc, argv, "env", kinds, KINDS);
    keep_free(k);
    return status;
}
