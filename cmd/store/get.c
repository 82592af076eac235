/* store get: restores a tree, or one file of it, into a folder of the host.
 *
 * Every name is made below a descriptor of its directory, never through a link, and nothing that is
 * there is replaced: so no snapshot, however made, writes outside of the destination. */
#include "maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct restore {
    struct store *s;
    struct maker maker;
    struct cg_str path;  /* below the destination */
    struct cg_map links; /* inode to the path that was made first */
    int top;
    int depth;
    uint64_t files, bytes; /* of a dry run, and hard links */
};

/* ---- contents ---- */

static cg_err take_piece(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    struct restore *r = aux;
    maker_progress(&r->maker, len, 0);
    return data ? maker_data(&r->maker, at, data, (size_t)len, NULL) : CG_OK;
}

static cg_err get_file(struct restore *r, int dirfd, const struct store_entry *e,
                       struct cg_errbuf *eb)
{
    cg_err err = maker_begin(&r->maker, dirfd, r->path.data, e, eb);
    if (err) {
        return err;
    }
    err = store_read_each(r->s, e, take_piece, r, eb);
    cg_err ended = maker_end(&r->maker, dirfd, r->path.data, e, err == CG_OK, eb);
    return err ? cg_context(eb, err, "%s", r->path.data) : ended;
}

/* ---- links and special files ---- */

/* The first name may not have come to be: then this one gets the contents. */
static bool get_link(struct restore *r, int dirfd, const char *name, const struct store_entry *e)
{
    const char *first = e->nlink > 1 ? cg_map_get(&r->links, &e->ino) : NULL;
    return first && maker_wait(&r->maker, NULL) == CG_OK &&
           linkat(r->top, first, dirfd, name, 0) == 0;
}

static cg_err keep_link(struct restore *r, const struct store_entry *e)
{
    if (e->nlink < 2 || cg_map_get(&r->links, &e->ino)) {
        return CG_OK;
    }
    char *copy = cg_strdup(r->path.data);
    return copy ? cg_map_put(&r->links, &e->ino, copy) : CG_ENOMEM;
}

/* ---- directories ---- */

static cg_err get_dir(struct restore *r, int fd, const struct store_score *score,
                      struct cg_errbuf *eb);

static cg_err get_subdir(struct restore *r, int dirfd, const char *name,
                         const struct store_entry *e, struct cg_errbuf *eb)
{
    struct store_entry entry = *e; /* what it borrows is gone when the directory was read */
    struct cg_str attributes = {0};
    int fd = mkdirat(dirfd, name, 0700) != 0
                 ? -1
                 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        maker_problem(&r->maker, r->path.data, "create");
        return CG_OK;
    }
    cg_err err = cg_str_add(&attributes, e->xattrs.data, e->xattrs.len);
    entry.xattrs.data = (uint8_t *)attributes.data;
    err = err ? err : get_dir(r, fd, &e->score, eb);
    err = err ? err : maker_leave(&r->maker, fd, r->path.data, &entry, eb);
    cg_str_fini(&attributes);
    return err;
}

static cg_err get_entry(struct restore *r, int dirfd, const char *name, const struct store_entry *e,
                        struct cg_errbuf *eb)
{
    bool device = e->kind == STORE_CHAR || e->kind == STORE_BLOCK;
    if (opt.dry_run && e->kind != STORE_DIR) {
        r->files++;
        r->bytes += e->size;
        return CG_OK;
    }
    if (e->kind == STORE_DIR) {
        return opt.dry_run ? get_dir(r, -1, &e->score, eb) : get_subdir(r, dirfd, name, e, eb);
    }
    if (get_link(r, dirfd, name, e)) {
        r->files++;
        return CG_OK;
    }
    cg_err err = e->kind == STORE_FILE    ? get_file(r, dirfd, e, eb)
                 : !device || opt.devices ? maker_begin(&r->maker, dirfd, r->path.data, e, eb)
                                          : CG_OK;
    maker_progress(&r->maker, 0, 1);
    return err ? err : keep_link(r, e);
}

static cg_err get_dir(struct restore *r, int fd, const struct store_score *score,
                      struct cg_errbuf *eb)
{
    struct store_dir *d;
    struct store_entry e;
    size_t base = r->path.len;
    char name[STORE_NAME_BYTES_MAX + 1];
    if (r->depth == STORE_DEPTH_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "more than %d directories deep", STORE_DEPTH_MAX);
    }
    cg_err err = store_dir_open(r->s, score, &d, eb);
    if (err) {
        return cg_context(eb, err, "%s", base ? r->path.data : "/");
    }
    r->depth++;
    while (!err && (err = store_dir_next(d, &e, eb)) == CG_OK) {
        r->path.len = base;
        err = cg_str_addf(&r->path, "%s%.*s", base ? "/" : "", (int)e.name.len,
                          (const char *)e.name.data);
        cg_assert(cg_span_str(e.name, name, sizeof name)); /* names were checked when decoded */
        err = err ? err : get_entry(r, fd, name, &e, eb);
    }
    r->depth--;
    r->path.len = base;
    if (base) {
        r->path.data[base] = 0;
    }
    store_dir_close(d);
    return err == CG_ENOENT && !eb->text[0] ? CG_OK : err;
}

/* ---- the verb ---- */

static int open_top(const char *path)
{
    if (opt.dry_run) {
        return -1;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        cmd_fail("%s: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        cmd_fail("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void say(const struct restore *r, double seconds)
{
    char bytes[16];
    size_text(r->bytes, bytes);
    if (opt.json) {
        printf("{\"files\":%llu,\"bytes\":%llu,\"problems\":%llu,\"seconds\":%.3f}\n",
               (unsigned long long)r->files, (unsigned long long)r->bytes,
               (unsigned long long)r->maker.problems, seconds);
    } else if (!opt.quiet) {
        printf("%s: %llu files, %s; %.1f s\n", opt.dry_run ? "would be restored" : "restored",
               (unsigned long long)r->files, bytes, seconds);
    }
}

int verb_get(int argc, char **argv)
{
    struct store *s = verb_store(true);
    struct restore r = {.s = s};
    struct selected sel;
    struct store_entry e;
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0}, making = {0};
    uint64_t began = cg_env_real.now_ns(NULL);
    (void)argc;
    select_snapshot(s, argv[0], &sel);
    select_entry(s, &sel, &e, &keep);
    umask(0);
    cg_map_init(&r.links, sizeof e.ino);
    r.top = open_top(argv[1]);
    cg_err err = maker_start(&r.maker, opt.threads != 0 && !opt.dry_run);
    meter_begin(&r.maker.meter, "get", e.name.len ? 0 : sel.snap.bytes);
    if (!err && e.kind == STORE_DIR) {
        err = get_dir(&r, r.top, &e.score, &eb);
    } else if (!err) {
        char name[STORE_NAME_BYTES_MAX + 1];
        cg_assert(cg_span_str(e.name, name, sizeof name));
        err = cg_str_addf(&r.path, "%s", name);
        err = err ? err : get_entry(&r, r.top, name, &e, &eb);
    }
    cg_err made = maker_wait(&r.maker, &making);
    if (!err && !made && e.kind == STORE_DIR && !opt.dry_run) {
        maker_attributes(&r.maker, r.top, argv[1], &e);
    }
    meter_end(&r.maker.meter);
    maker_stop(&r.maker);
    if (err || made) {
        verb_fail(made ? made : err, made ? &making : &eb, NULL);
    }
    r.files += r.maker.files;
    r.bytes += r.maker.bytes;
    say(&r, (double)(cg_env_real.now_ns(NULL) - began) / 1e9);
    cg_str_fini(&keep);
    cg_str_fini(&r.path);
    uint32_t cursor = 0;
    for (char *l; (l = cg_map_next(&r.links, &cursor));) {
        cg_free(l);
    }
    cg_map_fini(&r.links);
    return r.maker.problems ? 1 : 0;
}
