/* pages: see pages.h. Read, not mapped: whoever made a page may cut it at any time. */
#include "pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cg_stats *read_page(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct cg_stats *s = fd >= 0 ? cg_zalloc(sizeof *s) : NULL;
    ssize_t n = s ? pread(fd, s, sizeof *s, 0) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0 || !cg_stats_check(s, (size_t)n)) {
        cg_free(s);
        return NULL;
    }
    return s;
}

static bool component_name(const char *name)
{
    return name[0] && strlen(name) < PAGE_NAME_BYTES &&
           !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

void pages_read(struct pages *p)
{
    DIR *dir = opendir(CG_STATS_DIR);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        char path[sizeof CG_STATS_DIR + PAGE_NAME_BYTES + sizeof CG_STATS_FILE + 2];
        if (!component_name(d->d_name) || p->count == PAGES_MAX) {
            continue;
        }
        snprintf(path, sizeof path, CG_STATS_DIR "/%.63s/" CG_STATS_FILE, d->d_name);
        struct cg_stats *s = read_page(path);
        if (s) {
            struct page *new = &p->page[p->count++];
            snprintf(new->component, sizeof new->component, "%.63s", d->d_name);
            new->stats = s;
        }
    }
    if (dir) {
        closedir(dir);
    }
}

void pages_free(struct pages *p)
{
    while (p->count > 0) {
        cg_free(p->page[--p->count].stats);
    }
}

/* ---- metrics ---- */

struct line {
    const char *component;
    const struct cg_stats_value *v;
    uint32_t family; /* length of the name before its labels */
};

static bool well_formed(const char *name)
{
    const char *labels = strchr(name, '{');
    size_t len = strlen(name);
    return name[0] &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "{}=\",.+-") == len &&
           (!labels || (len > 2 && name[len - 1] == '}'));
}

static bool ends(const struct line *l, const char *end)
{
    size_t n = strlen(end);
    return l->family > n && strncmp(l->v->name + l->family - n, end, n) == 0;
}

/* Buckets, sum and count are one family, a histogram's. */
static uint32_t stem(const struct line *l)
{
    static const char *const ends_of[] = {"_bucket", "_sum", "_count"};
    for (size_t i = 0; i < CG_COUNT(ends_of); i++) {
        if (ends(l, ends_of[i])) {
            return l->family - (uint32_t)strlen(ends_of[i]);
        }
    }
    return l->family;
}

static int by_family(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    uint32_t n = stem(x) < stem(y) ? stem(x) : stem(y);
    int d = strncmp(x->v->name, y->v->name, n);
    d = d ? d : (stem(x) > stem(y)) - (stem(x) < stem(y));
    d = d ? d : strcmp(x->component, y->component);
    return d ? d : (x->v > y->v) - (x->v < y->v); /* in the order of the page */
}

static cg_err put_line(struct cg_str *out, const struct line *l, const struct line *before)
{
    const char *type = ends(l, "_total") ? "counter" : stem(l) != l->family ? "histogram" : "gauge";
    bool new =
        !before || stem(before) != stem(l) || strncmp(before->v->name, l->v->name, stem(l)) != 0;
    cg_err e = new ? cg_str_addf(out, "# TYPE %.*s %s\n", (int)stem(l), l->v->name, type) : CG_OK;
    const char *labels = l->v->name[l->family] ? l->v->name + l->family + 1 : "}";
    return e ? e
             : cg_str_addf(out, "%.*s{component=\"%s\"%s%s %" PRIu64 "\n", (int)l->family,
                           l->v->name, l->component, labels[0] == '}' ? "" : ",", labels,
                           l->v->value);
}

cg_err pages_metrics(const struct pages *p, struct cg_str *out)
{
    uint32_t n = 0, room = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        room += p->page[i].stats->values;
    }
    struct line *lines = cg_alloc((room + 1) * sizeof *lines);
    if (!lines) {
        return CG_ENOMEM;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        const struct cg_stats *s = p->page[i].stats;
        for (uint32_t k = 0; k < s->values; k++) {
            const struct cg_stats_value *v = &s->value[k];
            if (well_formed(v->name)) {
                uint32_t family = (uint32_t)strcspn(v->name, "{");
                lines[n++] = (struct line){p->page[i].component, v, family};
            }
        }
    }
    qsort(lines, n, sizeof *lines, by_family);
    cg_err e = CG_OK;
    for (uint32_t i = 0; i < n && !e; i++) {
        e = put_line(out, &lines[i], i ? &lines[i - 1] : NULL);
    }
    cg_free(lines);
    return e;
}

/* ---- steps ---- */

static const char *const layers[CG_LAYERS] = {"program", "call", "near", "far", "server"};

static cg_err put_step(struct cg_str *out, const char *component, const struct cg_step *t)
{
    cg_err e = cg_str_addf(out, "%016" PRIx64 " %s %s %" PRId64 " %" PRIu64 " %u ", t->trace,
                           layers[t->layer], component, t->start_ns, t->took_ns, t->error);
    e = e ? e : cg_str_add_quoted(out, t->what[0] ? t->what : "-");
    e = e ? e : cg_str_add(out, " ", 1);
    e = e ? e : cg_str_add_quoted(out, t->name);
    return e ? e : cg_str_add(out, "\n", 1);
}

cg_err pages_steps(const struct pages *p, struct cg_str *out)
{
    cg_err e = cg_str_add(out, "", 0);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct cg_stats *s = p->page[i].stats;
        for (uint64_t k = 0; k < CG_STATS_STEPS_MAX && !e; k++) { /* the oldest first */
            const struct cg_step *t = &s->step[(s->steps + k) % CG_STATS_STEPS_MAX];
            if (t->number != 0 && !memchr(t->name, '\n', strlen(t->name))) {
                e = put_step(out, p->page[i].component, t);
            }
        }
    }
    return e;
}
