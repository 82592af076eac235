/* store history, diff: what changed from snapshot to snapshot. Equal scores are equal trees, so
 * only what differs is looked into. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

/* ---- one file through time ---- */

static bool same_contents(const struct store_entry *a, const struct store_entry *b)
{
    if (a->kind != b->kind || a->size != b->size || a->content != b->content) {
        return false;
    }
    if (a->kind == STORE_DIR || a->content == STORE_CHUNK || a->content == STORE_LIST) {
        return memcmp(a->score.b, b->score.b, sizeof a->score.b) == 0;
    }
    return a->data.len == b->data.len &&
           (a->data.len == 0 || memcmp(a->data.data, b->data.data, a->data.len) == 0);
}

static bool same_attributes(const struct store_entry *a, const struct store_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->rdev == b->rdev &&
           a->mtime_ns == b->mtime_ns && a->xattrs.len == b->xattrs.len &&
           (a->xattrs.len == 0 || memcmp(a->xattrs.data, b->xattrs.data, a->xattrs.len) == 0);
}

static void tell_version(const struct store_refinfo *ref, const struct store_entry *e)
{
    char date[32];
    date_text((uint64_t)(e->mtime_ns > 0 ? e->mtime_ns : 0), date);
    if (opt.json) {
        printf("{\"snapshot\":");
        json_string(ref->name, strlen(ref->name));
        printf(",\"size\":%llu,\"mtime_ns\":%lld}\n", (unsigned long long)e->size,
               (long long)e->mtime_ns);
    } else {
        printf("%-40s %12llu %s\n", ref->name, (unsigned long long)e->size, date);
    }
}

static void tell_absence(const struct store_refinfo *ref)
{
    if (opt.json) {
        printf("{\"snapshot\":");
        json_string(ref->name, strlen(ref->name));
        printf(",\"gone\":true}\n");
    } else {
        printf("%-40s %12s\n", ref->name, "gone");
    }
}

/* A file of a line of snapshots, as far as was looked. */
struct past {
    struct store_entry entry;
    struct cg_str keep;
    bool there;
};

/* One snapshot; a line is printed where the file is another than in the snapshot before. */
static void look(struct store *s, const struct store_refinfo *ref, const char *path,
                 struct past *past)
{
    struct store_snapshot snap;
    struct store_entry now;
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    cg_err e = store_snapshot_get(s, &ref->score, &snap, &eb);
    e = e ? e : store_lookup(s, &snap.root, path, &now, &keep, &eb);
    if (e && e != CG_ENOENT && e != CG_ENOTDIR) {
        verb_fail(e, &eb, ref->name);
    }
    bool there = e == CG_OK;
    if (there && !(past->there && same_contents(&past->entry, &now))) {
        tell_version(ref, &now);
    } else if (!there && past->there) {
        tell_absence(ref);
    }
    cg_str_fini(&past->keep);
    *past = (struct past){.entry = now, .keep = keep, .there = there};
}

int verb_history(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct past past = {0};
    char line[STORE_NAME_BYTES_MAX + 1] = "";
    bool seen = false;
    for (uint32_t i = 0; i < store_ref_count(s); i++) {
        struct store_refinfo ref;
        store_ref_at(s, i, &ref);
        size_t len = store_line_len(ref.name);
        if (argc > 1 && (strlen(argv[1]) != len || strncmp(ref.name, argv[1], len) != 0)) {
            continue;
        }
        if (strlen(line) != len || strncmp(line, ref.name, len) != 0) {
            snprintf(line, sizeof line, "%.*s", (int)len, ref.name);
            past.there = false; /* another line is another history */
        }
        look(s, &ref, argv[0], &past);
        seen |= past.there;
    }
    cg_str_fini(&past.keep);
    if (!seen) {
        cmd_fail("%s: in no snapshot%s%s", argv[0], argc > 1 ? " of " : "",
                 argc > 1 ? argv[1] : "");
    }
    return 0;
}

/* ---- two trees ---- */

enum { DEPTH_MAX = STORE_DEPTH_MAX };

struct side {
    struct store_dir *dir; /* NULL: there is nothing on this side */
    struct store_entry entry;
    bool have;
};

struct compare {
    struct store *s;
    struct cg_str path;
};

static void tell(struct compare *c, char how, struct cg_span name)
{
    size_t len = c->path.len;
    cg_err e = cg_str_addf(&c->path, "%.*s", (int)name.len, (const char *)name.data);
    if (e) {
        verb_fail(e, NULL, "memory");
    }
    if (opt.json) {
        printf("{\"change\":\"%c\",\"path\":", how);
        json_string(c->path.data, c->path.len);
        printf("}\n");
    } else {
        printf("%c ", how);
        print_name(c->path.data, c->path.len);
        putchar('\n');
    }
    c->path.len = len;
}

static void step(struct side *x)
{
    struct cg_errbuf eb = {0};
    cg_err e = x->dir ? store_dir_next(x->dir, &x->entry, &eb) : CG_ENOENT;
    if (e && e != CG_ENOENT) {
        verb_fail(e, &eb, NULL);
    }
    x->have = e == CG_OK;
}

static int order(const struct side *a, const struct side *b)
{
    if (!a->have || !b->have) {
        return a->have ? -1 : 1;
    }
    struct cg_span x = a->entry.name, y = b->entry.name;
    int d = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return d ? d : x.len < y.len ? -1 : x.len > y.len;
}

static void open_side(struct compare *c, struct side *x, const struct store_score *score)
{
    struct cg_errbuf eb = {0};
    cg_err e = score ? store_dir_open(c->s, score, &x->dir, &eb) : CG_OK;
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    step(x);
}

/* A directory still to be looked into. */
struct todo {
    struct store_score a, b;
    bool has_a, has_b;
    size_t name_at, name_len; /* in names */
};
struct todos {
    struct todo *item;
    uint32_t count, cap;
    struct cg_str names;
};

static void later(struct todos *t, const struct store_entry *a, const struct store_entry *b)
{
    struct cg_span name = a ? a->name : b->name;
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        struct todo *more = cg_realloc(t->item, t->cap * sizeof *more);
        if (!more) {
            verb_fail(CG_ENOMEM, NULL, "directories");
        }
        t->item = more;
    }
    struct todo *x = &t->item[t->count++];
    *x = (struct todo){
        .has_a = a != NULL, .has_b = b != NULL, .name_at = t->names.len, .name_len = name.len};
    if (a) {
        x->a = a->score;
    }
    if (b) {
        x->b = b->score;
    }
    if (cg_str_add(&t->names, name.data, name.len)) {
        verb_fail(CG_ENOMEM, NULL, "directories");
    }
}

/* One name that stands on one side or on both. */
static void compare_names(struct compare *c, const struct store_entry *a,
                          const struct store_entry *b, struct todos *t)
{
    bool dir_a = a && a->kind == STORE_DIR, dir_b = b && b->kind == STORE_DIR;
    if (!a || !b) {
        tell(c, a ? '-' : '+', a ? a->name : b->name);
    } else if (a->kind != b->kind || (!dir_a && !same_contents(a, b))) {
        tell(c, 'M', a->name);
    } else if (!same_attributes(a, b)) {
        tell(c, 'a', a->name);
    }
    if ((dir_a || dir_b) && !(dir_a && dir_b && same_contents(a, b))) {
        later(t, dir_a ? a : NULL, dir_b ? b : NULL);
    }
}

static void compare_dirs(struct compare *c, const struct store_score *a,
                         const struct store_score *b, uint32_t depth);

static void compare_below(struct compare *c, const struct todos *t, uint32_t depth)
{
    if (depth == DEPTH_MAX) {
        cmd_fail("%s: deeper than %d directories", c->path.data, DEPTH_MAX);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        const struct todo *x = &t->item[i];
        size_t len = c->path.len;
        if (cg_str_addf(&c->path, "%.*s/", (int)x->name_len, t->names.data + x->name_at)) {
            verb_fail(CG_ENOMEM, NULL, "paths");
        }
        compare_dirs(c, x->has_a ? &x->a : NULL, x->has_b ? &x->b : NULL, depth + 1);
        c->path.len = len;
    }
}

static void compare_dirs(struct compare *c, const struct store_score *a,
                         const struct store_score *b, uint32_t depth)
{
    struct side x = {0}, y = {0};
    struct todos t = {0};
    open_side(c, &x, a);
    open_side(c, &y, b);
    while (x.have || y.have) {
        int d = order(&x, &y);
        compare_names(c, d <= 0 ? &x.entry : NULL, d >= 0 ? &y.entry : NULL, &t);
        if (d <= 0) {
            step(&x);
        }
        if (d >= 0) {
            step(&y);
        }
    }
    store_dir_close(x.dir);
    store_dir_close(y.dir);
    compare_below(c, &t, depth);
    cg_free(t.item);
    cg_str_fini(&t.names);
}

int verb_diff(int argc, char **argv)
{
    (void)argc;
    struct compare c = {.s = verb_store(true)};
    struct selected sel[2];
    struct store_entry e[2];
    struct cg_str keep[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        select_snapshot(c.s, argv[i], &sel[i]);
        select_entry(c.s, &sel[i], &e[i], &keep[i]);
    }
    if (e[0].kind != STORE_DIR || e[1].kind != STORE_DIR) {
        if (!same_contents(&e[0], &e[1])) {
            tell(&c, 'M', cg_span_of(sel[1].path));
        }
    } else if (!same_contents(&e[0], &e[1])) {
        compare_dirs(&c, &e[0].score, &e[1].score, 0);
    }
    for (int i = 0; i < 2; i++) {
        cg_str_fini(&keep[i]);
    }
    cg_str_fini(&c.path);
    return 0;
}
