/* store ls, cat, find: looking into snapshots. */
#include "verbs.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char letters[] = "?-dlpscb";

static void print_mode(const struct store_entry *e)
{
    char text[11] = "?rwxrwxrwx";
    text[0] = letters[e->kind];
    for (int i = 0; i < 9; i++) {
        if (!(e->mode >> (8 - i) & 1)) {
            text[i + 1] = '-';
        }
    }
    static const struct {
        unsigned bit;
        int at;
        char on, off;
    } special[] = {{04000, 3, 's', 'S'}, {02000, 6, 's', 'S'}, {01000, 9, 't', 'T'}};
    for (size_t i = 0; i < CG_COUNT(special); i++) {
        if (e->mode & special[i].bit) {
            text[special[i].at] = text[special[i].at] == 'x' ? special[i].on : special[i].off;
        }
    }
    fputs(text, stdout);
}

/* Names may hold anything: what a terminal would obey is shown as \xHH. */
void print_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < ' ' || c == 0x7f || c == '\\') {
            printf("\\x%02x", c);
        } else {
            putchar(c);
        }
    }
}

static void print_json(const struct store_entry *e, const char *path)
{
    printf("{\"name\":");
    json_string(path, strlen(path));
    printf(",\"kind\":\"%c\",\"mode\":%u,\"uid\":%u,\"gid\":%u,\"size\":%llu,\"mtime_ns\":%lld,"
           "\"ino\":%llu",
           letters[e->kind], e->mode, e->uid, e->gid, (unsigned long long)e->size,
           (long long)e->mtime_ns, (unsigned long long)e->ino);
    if (e->kind == STORE_SYMLINK) {
        printf(",\"target\":");
        json_string((const char *)e->data.data, e->data.len);
    }
    printf("}\n");
}

static void print_entry(const struct store_entry *e, const char *path)
{
    char date[32];
    if (opt.json) {
        print_json(e, path);
        return;
    }
    if (opt.listing) {
        date_text((uint64_t)(e->mtime_ns > 0 ? e->mtime_ns : 0), date);
        print_mode(e);
        printf(" %5u %5u %12llu %s ", e->uid, e->gid, (unsigned long long)e->size, date);
    }
    print_name(path, strlen(path));
    if (opt.listing && e->kind == STORE_SYMLINK) {
        printf(" -> ");
        print_name((const char *)e->data.data, e->data.len);
    }
    putchar('\n');
}

static void list_dir(struct store *s, const struct store_score *score)
{
    struct store_dir *d;
    struct store_entry e;
    struct cg_errbuf eb = {0};
    char name[STORE_NAME_BYTES_MAX + 1];
    cg_err err = store_dir_open(s, score, &d, &eb);
    if (err) {
        verb_fail(err, &eb, NULL);
    }
    while ((err = store_dir_next(d, &e, &eb)) == CG_OK) {
        if (cg_span_str(e.name, name, sizeof name)) {
            print_entry(&e, name);
        }
    }
    store_dir_close(d);
    if (err != CG_ENOENT || eb.text[0]) {
        verb_fail(err, &eb, NULL);
    }
}

int verb_ls(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct selected sel;
    struct store_entry e;
    struct cg_str keep = {0};
    if (argc == 0) {
        return snap_list(s, NULL);
    }
    select_snapshot(s, argv[0], &sel);
    select_entry(s, &sel, &e, &keep);
    if (e.kind == STORE_DIR) {
        list_dir(s, &e.score);
    } else {
        print_entry(&e, sel.path);
    }
    cg_str_fini(&keep);
    return 0;
}

static cg_err to_stdout(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    static const uint8_t zeros[4096];
    (void)aux;
    (void)at;
    while (len) {
        size_t n = data || len < sizeof zeros ? (size_t)len : sizeof zeros;
        if (fwrite(data ? data : zeros, 1, n, stdout) != n) {
            return cg_err_from_errno(errno);
        }
        data += data ? n : 0;
        len -= n;
    }
    return CG_OK;
}

int verb_cat(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct selected sel;
    struct store_entry e;
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    (void)argc;
    select_snapshot(s, argv[0], &sel);
    select_entry(s, &sel, &e, &keep);
    if (e.kind != STORE_FILE) {
        cmd_fail("%s: not a file", argv[0]);
    }
    cg_err err = store_read_each(s, &e, to_stdout, NULL, &eb);
    if (err) {
        verb_fail(err, &eb, argv[0]);
    }
    cg_str_fini(&keep);
    return 0;
}

/* ---- find ---- */

struct search {
    struct store *s;
    const char *pattern;
    struct cg_str path;
    int depth;
    uint64_t found;
};

static void find_in(struct search *f, const struct store_score *score)
{
    struct store_dir *d;
    struct store_entry e;
    struct cg_errbuf eb = {0};
    char name[STORE_NAME_BYTES_MAX + 1];
    size_t base = f->path.len;
    cg_err err = store_dir_open(f->s, score, &d, &eb);
    if (err || ++f->depth > STORE_DEPTH_MAX) {
        verb_fail(err ? err : CG_ENAMETOOLONG, &eb, f->path.data);
    }
    while ((err = store_dir_next(d, &e, &eb)) == CG_OK) {
        f->path.len = base;
        if (!cg_span_str(e.name, name, sizeof name) ||
            cg_str_addf(&f->path, "/%s", name) != CG_OK) {
            cmd_fail("no memory");
        }
        const char *subject = strchr(f->pattern, '/') ? f->path.data : name;
        if (fnmatch(f->pattern, subject, 0) == 0) {
            print_entry(&e, f->path.data);
            f->found++;
        }
        if (e.kind == STORE_DIR) {
            find_in(f, &e.score);
        }
    }
    store_dir_close(d);
    f->depth--;
    if (err != CG_ENOENT || eb.text[0]) {
        verb_fail(err, &eb, NULL);
    }
}

/* In one snapshot, or in the newest of every line. Status 1 when nothing was found. */
int verb_find(int argc, char **argv)
{
    struct search f = {.s = verb_store(true), .pattern = argv[0]};
    struct selected sel;
    struct store_refinfo r, next;
    if (argc == 2) {
        select_snapshot(f.s, argv[1], &sel);
        find_in(&f, &sel.snap.root);
    }
    for (uint32_t i = 0; argc == 1 && i < store_ref_count(f.s); i++) {
        store_ref_at(f.s, i, &r);
        size_t len = store_line_len(r.name);
        if (i + 1 < store_ref_count(f.s)) {
            store_ref_at(f.s, i + 1, &next);
            if (store_line_len(next.name) == len && strncmp(next.name, r.name, len) == 0) {
                continue;
            }
        }
        select_snapshot(f.s, r.name, &sel);
        f.path.len = 0;
        if (cg_str_addf(&f.path, "%s:", r.name) != CG_OK) {
            cmd_fail("no memory");
        }
        find_in(&f, &sel.snap.root);
    }
    cg_str_fini(&f.path);
    return f.found ? 0 : 1;
}
