/* See shadow_testkit.h. */
#include "shadow_testkit.h"
#include "../store/tree_testkit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_MAX = 70000 };
uint32_t shadow_write_max = WRITE_MAX;

struct shadow_tree *shadow_new(void)
{
    struct shadow_tree *s = calloc(1, sizeof *s);
    assert(s);
    s->file[0] = (struct sh_file){.used = true, .kind = STORE_DIR, .mode = 0755, .nlink = 2};
    return s;
}

void shadow_free(struct shadow_tree *s)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(s->file[i].data);
    }
    free(s);
}

static int find(const struct shadow_tree *s, int dir, const char *name)
{
    for (int i = 0; i < s->names; i++) {
        if (s->name[i].dir == dir && strcmp(s->name[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void drop_if_dead(struct shadow_tree *s, int file)
{
    struct sh_file *f = &s->file[file];
    if (f->used && f->nlink == 0 && f->holds == 0) {
        free(f->data);
        *f = (struct sh_file){0};
    }
}

static void unname(struct shadow_tree *s, int at)
{
    struct sh_name n = s->name[at];
    bool dir = s->file[n.file].kind == STORE_DIR;
    s->name[at] = s->name[--s->names];
    s->file[n.file].nlink = dir ? 0 : s->file[n.file].nlink - 1;
    s->file[n.dir].nlink -= dir;
    drop_if_dead(s, n.file);
}

static bool dir_has(const struct shadow_tree *s, int dir)
{
    for (int i = 0; i < s->names; i++) {
        if (s->name[i].dir == dir) {
            return true;
        }
    }
    return false;
}

static bool is_in(const struct shadow_tree *s, int dir, int above)
{
    while (dir != above && dir != 0) {
        int i = 0;
        while (s->name[i].file != dir) {
            i++;
        }
        dir = s->name[i].dir;
    }
    return dir == above;
}

/* ---- choosing ---- */

static uint32_t below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(disk_random(seed) % n);
}

static int some_dir(const struct shadow_tree *s, uint64_t *seed)
{
    for (;;) {
        int i = (int)below(seed, FILES_MAX);
        if (s->file[i].used && s->file[i].kind == STORE_DIR && (i == 0 || s->file[i].nlink)) {
            return i;
        }
        if (below(seed, 8) == 0) {
            return 0;
        }
    }
}

static int free_file(const struct shadow_tree *s)
{
    for (int i = 1; i < FILES_MAX; i++) {
        if (!s->file[i].used) {
            return i;
        }
    }
    return -1;
}

static void some_name(uint64_t *seed, char out[8])
{
    snprintf(out, 8, "n%u", below(seed, 14));
}

/* The tree's node of a directory of the shadow, held. */
static cg_err node_of(const struct shadow_tree *s, struct active *t, int file,
                      struct active_node **out)
{
    if (file == 0) {
        *out = active_get(active_root(t));
        return CG_OK;
    }
    int i = 0;
    while (s->name[i].file != file) {
        i++;
        assert(i < s->names);
    }
    struct active_node *dir;
    cg_err e = node_of(s, t, s->name[i].dir, &dir);
    if (e) {
        return e;
    }
    e = active_lookup(t, dir, cg_span_of(s->name[i].name), out, NULL);
    active_put(t, dir);
    return e;
}

static bool is_disk_error(cg_err e)
{
    return e == CG_EIO || e == CG_ENOSPC || e == CG_EEXPIRED || e == CG_ENOMEM ||
           e == CG_EBADFORMAT;
}

/* Both said the same; the shadow's change is made when the tree's was. */
static bool agree(cg_err want, cg_err got, const char *what)
{
    if (want != got && !is_disk_error(got)) {
        fprintf(stderr, "%s: the tree says %s, the shadow %s\n", what, cg_err_name(got),
                cg_err_name(want));
        abort();
    }
    return got == CG_OK;
}

/* ---- steps ---- */

static cg_err make(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    static const enum store_kind kinds[] = {STORE_FILE, STORE_FILE, STORE_FILE,   STORE_DIR,
                                            STORE_DIR,  STORE_FIFO, STORE_SYMLINK};
    char name[8], target[16];
    uint8_t data[200];
    int d = some_dir(s, seed), file = free_file(s), at;
    struct active_node *dir, *n;
    struct active_make m = {.kind = kinds[below(seed, CG_COUNT(kinds))], .mode = below(seed, 0777)};
    bool replace = m.kind == STORE_FILE && below(seed, 3) == 0;
    some_name(seed, name);
    at = find(s, d, name);
    if (file < 0 || s->names == NAMES_MAX) {
        return CG_OK;
    }
    if (m.kind == STORE_SYMLINK) {
        snprintf(target, sizeof target, "to/%u", below(seed, 1000));
        m.target = cg_span_of(target);
    } else if (replace) {
        memset(data, (int)below(seed, 256), sizeof data);
        m.data = (struct cg_span){.data = data, .len = below(seed, sizeof data)};
    }
    cg_err want = at < 0                                        ? CG_OK
                  : !replace                                    ? CG_EEXIST
                  : s->file[s->name[at].file].kind == STORE_DIR ? CG_EISDIR
                                                                : CG_OK;
    cg_err e = node_of(s, t, d, &dir);
    if (e) {
        return e;
    }
    e = active_create(t, dir, cg_span_of(name), &m, replace, &n, NULL);
    active_put(t, dir);
    if (!agree(want, e, "create")) {
        return want ? CG_OK : e;
    }
    active_put(t, n);
    if (at >= 0) {
        unname(s, at);
    }
    struct sh_file *f = &s->file[file];
    *f = (struct sh_file){.used = true,
                          .kind = m.kind,
                          .mode = m.mode,
                          .nlink = m.kind == STORE_DIR ? 2 : 1,
                          .size = m.kind == STORE_DIR ? 0 : m.data.len};
    if (m.kind == STORE_FILE) {
        f->data = calloc(1, BYTES_MAX);
        assert(f->data);
        memcpy(f->data, data, m.data.len);
    } else if (m.kind == STORE_SYMLINK) {
        snprintf(f->target, sizeof f->target, "%s", target);
    }
    struct sh_name *to = &s->name[s->names++];
    *to = (struct sh_name){.dir = d, .file = file};
    snprintf(to->name, sizeof to->name, "%s", name);
    s->file[d].nlink += m.kind == STORE_DIR;
    return CG_OK;
}

static cg_err take_away(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    char name[8];
    int d = some_dir(s, seed), at;
    struct active_node *dir;
    some_name(seed, name);
    at = find(s, d, name);
    bool is_dir = at >= 0 && s->file[s->name[at].file].kind == STORE_DIR, ask = is_dir;
    if (below(seed, 10) == 0) {
        ask = !ask;
    }
    cg_err want = at < 0                                   ? CG_ENOENT
                  : ask != is_dir                          ? (ask ? CG_ENOTDIR : CG_EISDIR)
                  : is_dir && dir_has(s, s->name[at].file) ? CG_ENOTEMPTY
                                                           : CG_OK;
    cg_err e = node_of(s, t, d, &dir);
    if (e) {
        return e;
    }
    e = active_remove(t, dir, cg_span_of(name), ask, NULL);
    active_put(t, dir);
    if (agree(want, e, "remove")) {
        unname(s, at);
        return CG_OK;
    }
    return want ? CG_OK : e;
}

static cg_err want_move(const struct shadow_tree *s, int a, int b, int d, int to, uint32_t flags)
{
    if (a < 0) {
        return CG_ENOENT;
    }
    int n = s->name[a].file, old = b < 0 ? -1 : s->name[b].file;
    bool n_dir = s->file[n].kind == STORE_DIR, old_dir = old >= 0 && s->file[old].kind == STORE_DIR;
    if (old >= 0 && (flags & ACTIVE_NOREPLACE)) {
        return CG_EEXIST;
    }
    if (old < 0 && (flags & ACTIVE_EXCHANGE)) {
        return CG_ENOENT;
    }
    if (old == n) {
        return CG_OK;
    }
    if (n_dir && d != to && is_in(s, to, n)) {
        return CG_EINVAL;
    }
    if (flags & ACTIVE_EXCHANGE) {
        return old_dir && d != to && is_in(s, d, old) ? CG_EINVAL : CG_OK;
    }
    if (old >= 0 && is_in(s, d, old)) {
        return CG_ENOTEMPTY;
    }
    if (old >= 0 && n_dir != old_dir) {
        return n_dir ? CG_ENOTDIR : CG_EISDIR;
    }
    return old_dir && dir_has(s, old) ? CG_ENOTEMPTY : CG_OK;
}

static void shadow_move(struct shadow_tree *s, int d, const char *name, int to, const char *newname,
                        uint32_t flags)
{
    int a = find(s, d, name), b = find(s, to, newname), n = s->name[a].file;
    if (b >= 0 && s->name[b].file == n) {
        return;
    }
    if (flags & ACTIVE_EXCHANGE) {
        int old = s->name[b].file;
        s->name[a].file = old;
        s->name[b].file = n;
        s->file[d].nlink += (s->file[old].kind == STORE_DIR) - (s->file[n].kind == STORE_DIR);
        s->file[to].nlink += (s->file[n].kind == STORE_DIR) - (s->file[old].kind == STORE_DIR);
        return;
    }
    if (b >= 0) {
        unname(s, b);
        a = find(s, d, name);
    }
    s->name[a].dir = to;
    snprintf(s->name[a].name, sizeof s->name[a].name, "%s", newname);
    if (s->file[n].kind == STORE_DIR) {
        s->file[d].nlink--;
        s->file[to].nlink++;
    }
}

static cg_err move(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    static const uint32_t all[] = {0, 0, 0, ACTIVE_NOREPLACE, ACTIVE_EXCHANGE};
    char name[8], newname[8];
    int d = some_dir(s, seed), to = below(seed, 2) ? d : some_dir(s, seed);
    uint32_t flags = all[below(seed, CG_COUNT(all))];
    struct active_node *from, *target;
    some_name(seed, name);
    some_name(seed, newname);
    cg_err want = want_move(s, find(s, d, name), find(s, to, newname), d, to, flags);
    cg_err e = node_of(s, t, d, &from);
    if (e) {
        return e;
    }
    e = node_of(s, t, to, &target);
    if (!e) {
        e = active_rename(t, from, cg_span_of(name), target, cg_span_of(newname), flags, NULL);
        active_put(t, target);
        if (agree(want, e, "rename")) {
            shadow_move(s, d, name, to, newname, flags);
        }
    }
    active_put(t, from);
    return want ? CG_OK : e;
}

/* A file that is named or held: *n is held once more. */
static int some_file(const struct shadow_tree *s, struct active *t, uint64_t *seed, bool regular,
                     struct active_node **n, cg_err *e)
{
    *e = CG_OK;
    if (below(seed, 3) == 0) {
        uint32_t i = below(seed, HELD_MAX);
        if (s->held[i] && (!regular || s->file[s->held[i]].kind == STORE_FILE)) {
            *n = active_get(s->node[i]);
            return s->held[i];
        }
    }
    for (int tries = 0; tries < 20 && s->names; tries++) {
        const struct sh_name *name = &s->name[below(seed, (uint32_t)s->names)];
        if (!regular || s->file[name->file].kind == STORE_FILE) {
            *e = node_of(s, t, name->file, n);
            return *e ? -1 : name->file;
        }
    }
    return -1;
}

static cg_err link_one(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    char name[8];
    cg_err e;
    struct active_node *n, *dir;
    int file = some_file(s, t, seed, false, &n, &e), d = some_dir(s, seed);
    if (file < 0 || s->names == NAMES_MAX) {
        if (file >= 0) {
            active_put(t, n);
        }
        return e;
    }
    some_name(seed, name);
    cg_err want = s->file[file].kind == STORE_DIR ? CG_EPERM
                  : s->file[file].nlink == 0      ? CG_ENOENT
                  : find(s, d, name) >= 0         ? CG_EEXIST
                                                  : CG_OK;
    e = node_of(s, t, d, &dir);
    if (!e) {
        e = active_link(t, n, dir, cg_span_of(name), NULL);
        active_put(t, dir);
        if (agree(want, e, "link")) {
            struct sh_name *to = &s->name[s->names++];
            *to = (struct sh_name){.dir = d, .file = file};
            snprintf(to->name, sizeof to->name, "%s", name);
            s->file[file].nlink++;
        }
    }
    active_put(t, n);
    return want ? CG_OK : e;
}

static cg_err write_some(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    static uint8_t data[WRITE_MAX];
    cg_err e;
    struct active_node *n;
    int file = some_file(s, t, seed, true, &n, &e);
    if (file < 0) {
        return e;
    }
    struct sh_file *f = &s->file[file];
    uint32_t len = 1 + below(seed, below(seed, 4) ? 300 : shadow_write_max), done;
    uint32_t at = below(seed, 3) ? below(seed, f->size + 100) : below(seed, BYTES_MAX);
    at = at > BYTES_MAX - len ? BYTES_MAX - len : at;
    uint64_t pattern = disk_random(seed);
    for (uint32_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(pattern >> (i % 7)) ^ (uint8_t)(i / 5);
    }
    struct cg_span span = {.data = data, .len = len};
    e = active_write(t, n, at, span, UINT32_MAX, &done, NULL);
    active_put(t, n);
    memcpy(f->data + at, data, done);
    if (done) {
        f->size = at + done > f->size ? at + done : f->size;
    }
    return e;
}

static cg_err cut_some(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    cg_err e;
    struct active_node *n;
    int file = some_file(s, t, seed, true, &n, &e);
    if (file < 0) {
        return e;
    }
    struct sh_file *f = &s->file[file];
    struct active_attr a = {.size =
                                below(seed, 4) ? below(seed, f->size + 1) : below(seed, BYTES_MAX)};
    if (below(seed, 3) == 0) {
        uint64_t from = below(seed, f->size + 1), to = from + 1 + below(seed, f->size + 1);
        e = active_punch(t, n, from, to, NULL);
        to = to < f->size ? to : f->size;
        if (!e && from < to) {
            memset(f->data + from, 0, to - from);
        }
    } else {
        e = active_set(t, n, ACTIVE_SIZE, &a, NULL);
        if (!e && a.size < f->size) {
            memset(f->data + a.size, 0, f->size - a.size);
        }
        f->size = e ? f->size : (uint32_t)a.size;
    }
    active_put(t, n);
    return e;
}

static cg_err attr_some(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    cg_err e;
    struct active_node *n;
    int file = some_file(s, t, seed, false, &n, &e);
    if (file < 0) {
        return e;
    }
    struct sh_file *f = &s->file[file];
    if (below(seed, 2)) {
        struct active_attr a = {.mode = below(seed, 07777)};
        e = active_set(t, n, ACTIVE_MODE, &a, NULL);
        f->mode = e ? f->mode : a.mode;
    } else {
        char value[16];
        struct cg_str x = {0};
        snprintf(value, sizeof value, "%u", below(seed, 100000));
        e = store_xattr_add(&x, cg_span_of("user.x"), cg_span_of(value));
        assert(e == CG_OK);
        struct cg_span span = {.data = (uint8_t *)x.data, .len = (uint32_t)x.len};
        e = active_set_xattrs(t, n, span, NULL);
        if (!e) {
            snprintf(f->xattr, sizeof f->xattr, "%s", value);
        }
        cg_str_fini(&x);
    }
    active_put(t, n);
    return e;
}

static cg_err hold_some(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    uint32_t i = below(seed, HELD_MAX);
    cg_err e = CG_OK;
    if (s->held[i]) {
        int file = s->held[i];
        active_put(t, s->node[i]);
        s->held[i] = 0;
        s->file[file].holds--;
        drop_if_dead(s, file);
    } else {
        int file = some_file(s, t, seed, true, &s->node[i], &e);
        if (file > 0) {
            s->held[i] = file;
            s->file[file].holds++;
        }
    }
    return e;
}

void shadow_let_go(struct shadow_tree *s, struct active *t)
{
    for (int i = 0; i < HELD_MAX; i++) {
        int file = s->held[i];
        if (file) {
            if (t) {
                active_put(t, s->node[i]);
            }
            s->held[i] = 0;
            s->file[file].holds--;
            drop_if_dead(s, file);
        }
    }
}

cg_err shadow_step(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    static cg_err (*const step[])(struct shadow_tree *, struct active *, uint64_t *) = {
        make,       make,       make,       take_away,  move,     move,      link_one,
        write_some, write_some, write_some, write_some, cut_some, attr_some, hold_some,
    };
    return step[below(seed, CG_COUNT(step))](s, t, seed);
}

/* ---- texts ---- */

static uint64_t sum_of(const uint8_t *data, size_t len)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ data[i]) * 1099511628211u;
    }
    return h;
}

struct line {
    const char *path, *xattr, *target;
    enum store_kind kind;
    uint32_t mode, nlink, size;
    uint64_t sum;
};

static void add_line(struct cg_str *out, const struct line *l)
{
    cg_str_addf(out, "%s %d %o %u %u %016llx %s %s\n", l->path, (int)l->kind, l->mode, l->nlink,
                l->size, (unsigned long long)l->sum, l->xattr, l->target);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void text_of(const struct shadow_tree *s, int file, const char *path, struct cg_str *out)
{
    const struct sh_file *f = &s->file[file];
    const char *names[NAMES_MAX];
    int count = 0;
    struct line l = {.path = path,
                     .xattr = f->xattr,
                     .target = f->target,
                     .kind = f->kind,
                     .mode = f->mode,
                     .nlink = f->nlink,
                     .size = f->kind == STORE_FILE ? f->size : 0,
                     .sum = f->kind == STORE_FILE ? sum_of(f->data, f->size) : 0};
    add_line(out, &l);
    for (int i = 0; i < s->names; i++) {
        if (s->name[i].dir == file) {
            names[count++] = s->name[i].name;
        }
    }
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        char sub[512];
        snprintf(sub, sizeof sub, "%s/%s", path, names[i]);
        text_of(s, s->name[find(s, file, names[i])].file, sub, out);
    }
}

void shadow_text(const struct shadow_tree *s, struct cg_str *out)
{
    out->len = 0;
    text_of(s, 0, "", out);
}

static void xattr_text(struct cg_span all, char out[16])
{
    struct cg_span name, value;
    bool bad = false;
    out[0] = '\0';
    if (store_xattr_next(&all, &name, &value, &bad)) {
        cg_span_str(value, out, 16);
    }
    assert(!bad);
}

struct listed {
    struct cg_str names;
};

static bool take_name(void *aux, struct cg_span name, const struct active_attr *a,
                      const struct store_entry *clean, struct active_node *n)
{
    struct listed *l = aux;
    (void)a;
    (void)clean;
    (void)n;
    cg_str_add(&l->names, name.data, name.len);
    cg_str_add(&l->names, "", 1);
    return true;
}

static void text_of_node(struct active *t, struct active_node *n, const char *path,
                         struct cg_str *out)
{
    static uint8_t data[BYTES_MAX];
    struct active_attr a;
    struct listed l = {0};
    char xattr[16], target[16] = "";
    size_t got = 0;
    bool end = false;
    active_stat(n, &a);
    if (a.kind == STORE_FILE) {
        cg_err e = active_read(t, n, 0, data, sizeof data, &got, NULL);
        assert(e == CG_OK && got == a.size);
    } else if (a.kind == STORE_SYMLINK) {
        cg_span_str(active_target(n), target, sizeof target);
    }
    xattr_text(active_xattrs(n), xattr);
    struct line line = {.path = path,
                        .xattr = xattr,
                        .target = target,
                        .kind = a.kind,
                        .mode = a.mode,
                        .nlink = a.nlink,
                        .size = (uint32_t)got,
                        .sum = a.kind == STORE_FILE ? sum_of(data, got) : 0};
    add_line(out, &line);
    if (a.kind != STORE_DIR) {
        return;
    }
    cg_err e = active_list(t, n, (struct cg_span){.data = data}, take_name, &l, &end, NULL);
    assert(e == CG_OK && end);
    for (size_t i = 0; i < l.names.len; i += strlen(l.names.data + i) + 1) {
        char sub[512];
        struct active_node *child;
        snprintf(sub, sizeof sub, "%s/%s", path, l.names.data + i);
        e = active_lookup(t, n, cg_span_of(l.names.data + i), &child, NULL);
        assert(e == CG_OK);
        text_of_node(t, child, sub, out);
        active_put(t, child);
    }
    cg_str_fini(&l.names);
}

void active_text(struct active *t, struct cg_str *out)
{
    out->len = 0;
    text_of_node(t, active_root(t), "", out);
}

static void text_of_entry(struct store *s, const struct store_entry *e, const char *path,
                          struct cg_str *out)
{
    static uint8_t data[BYTES_MAX];
    char xattr[16], target[16] = "";
    size_t got = 0;
    if (e->kind == STORE_FILE) {
        cg_err err = store_read(s, e, 0, data, sizeof data, &got, NULL);
        assert(err == CG_OK && got == e->size);
    } else if (e->kind == STORE_SYMLINK) {
        cg_span_str(e->data, target, sizeof target);
    }
    xattr_text(e->xattrs, xattr);
    struct line line = {.path = path,
                        .xattr = xattr,
                        .target = target,
                        .kind = e->kind,
                        .mode = e->mode,
                        .nlink = e->nlink,
                        .size = (uint32_t)got,
                        .sum = e->kind == STORE_FILE ? sum_of(data, got) : 0};
    add_line(out, &line);
    if (e->kind != STORE_DIR) {
        return;
    }
    struct store_dir *d;
    struct store_entry child;
    cg_err err = store_dir_open(s, &e->score, &d, NULL);
    assert(err == CG_OK);
    while ((err = store_dir_next(d, &child, NULL)) == CG_OK) {
        char sub[512];
        snprintf(sub, sizeof sub, "%s/%.*s", path, (int)child.name.len,
                 (const char *)child.name.data);
        text_of_entry(s, &child, sub, out);
    }
    assert(err == CG_ENOENT);
    store_dir_close(d);
}

/* The root's nlink is not kept by a snapshot's node: it is what the text of the tree says. */
void snapshot_text(struct store *s, const char *ref, struct cg_str *out)
{
    struct store_refinfo r;
    struct store_snapshot snap;
    cg_err e = store_refresh(s, NULL);
    e = e ? e : store_ref_get(s, ref, &r);
    e = e ? e : store_snapshot_get(s, &r.score, &snap, NULL);
    assert(e == CG_OK);
    struct store_entry root = {.kind = STORE_DIR, .mode = snap.mode, .score = snap.root};
    struct store_entry child;
    struct store_dir *d;
    e = store_dir_open(s, &root.score, &d, NULL);
    root.nlink = 2;
    while (!e && store_dir_next(d, &child, NULL) == CG_OK) {
        root.nlink += child.kind == STORE_DIR;
    }
    store_dir_close(d);
    out->len = 0;
    text_of_entry(s, &root, "", out);
}

void shadow_differ(const char *want, const char *got)
{
    size_t line = 0;
    for (size_t i = 0; want[i] && want[i] == got[i]; i++) {
        line = want[i] == '\n' ? i + 1 : line;
    }
    fprintf(stderr, "wanted: %.*s, got: %.*s\n", (int)strcspn(want + line, "\n"), want + line,
            (int)strcspn(got + line, "\n"), got + line);
}

/* ---- worlds ---- */

void world_init(struct disk *d)
{
    struct store_io io = disk_io(d);
    cg_err e = kit_init(&io);
    assert(e == CG_OK);
}

static bool everyone_is_gone(void *aux, const char *who)
{
    (void)aux;
    (void)who;
    return true;
}

cg_err world_open(struct world *w, struct disk *d)
{
    cg_err e;
    struct store_options o = kit_options();
    o.seals = true;
    *w = (struct world){.io = disk_io(d)};
    w->reads = kit_open_as(&w->io, &o, &e);
    w->writes = e ? NULL : kit_open(&w->io, &e);
    if (!e) {
        struct active_config c = {
            .reads = w->reads, .writes = w->writes, .who = "test", .gone = everyone_is_gone};
        e = active_open(&c, &w->t, NULL);
    }
    if (e) {
        w->t = NULL;
        world_close(w);
    }
    return e;
}

void world_close(struct world *w)
{
    if (w->t) {
        active_close(w->t);
    }
    store_close(w->writes);
    store_close(w->reads);
}
