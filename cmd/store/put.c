/* store put: walks trees of the host and puts a snapshot of them.
 *
 * A file whose inode, size, mtime and ctime are those of the line's last snapshot is not read
 * again. A file that cannot be read is named, left out, and makes the status 1; the snapshot of the
 * others is made. */
#include "verbs.h"
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static bool excluded(const struct walk *w, const char *name)
{
    for (uint32_t i = 0; i < opt.excludes; i++) {
        const char *pattern = opt.exclude[i];
        /* A pattern with a slash is of the path below the operand, another of the name. */
        const char *subject = strchr(pattern, '/') ? w->path.data + w->prefix : name;
        pattern += *pattern == '/';
        if (fnmatch(pattern, subject, FNM_PERIOD) == 0) {
            return true;
        }
    }
    return false;
}

void walk_problem(struct walk *w, int err)
{
    verb_progress_end();
    meter_end(&w->meter);
    fprintf(stderr, "store: %s: %s\n", w->path.data, strerror(err));
    w->problems++;
}

static void entry_of(const struct stat *st, struct store_entry *e)
{
    e->mode = st->st_mode & 07777;
    e->uid = st->st_uid;
    e->gid = st->st_gid;
    e->ino = st->st_ino;
    e->nlink = S_ISDIR(st->st_mode) ? 1 : (uint32_t)st->st_nlink;
    e->mtime_ns = st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
    e->ctime_ns = st->st_ctim.tv_sec * 1000000000ll + st->st_ctim.tv_nsec;
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        e->rdev = (uint64_t)major(st->st_rdev) << 32 | minor(st->st_rdev);
    }
}

static bool unchanged(const struct store_entry *e, const struct store_entry *old, uint64_t size)
{
    return old->kind == STORE_FILE && old->ino == e->ino && old->size == size &&
           old->mtime_ns == e->mtime_ns && old->ctime_ns == e->ctime_ns;
}

/* A name of a file whose other name was put before has its contents. */
static bool linked_before(struct walk *w, const struct stat *st, struct store_entry *e)
{
    uint64_t key[2] = {st->st_dev, st->st_ino};
    const struct link *l = e->nlink > 1 ? cg_map_get(&w->links, key) : NULL;
    if (!l) {
        return false;
    }
    e->content = l->content;
    e->score = l->score;
    e->size = l->size;
    if (l->content == STORE_INLINE) {
        e->data = (struct cg_span){.data = l->data, .len = (uint32_t)l->size};
    }
    return true;
}

static cg_err remember_link(struct walk *w, const struct stat *st, const struct store_entry *e)
{
    uint64_t key[2] = {st->st_dev, st->st_ino};
    if (e->nlink < 2) {
        return CG_OK;
    }
    struct link *l = cg_zalloc(sizeof *l);
    if (!l || cg_map_put(&w->links, key, l) != CG_OK) {
        cg_free(l);
        return CG_ENOMEM;
    }
    *l = (struct link){.content = e->content, .score = e->score, .size = e->size};
    if (e->content == STORE_INLINE) {
        memcpy(l->data, e->data.data, e->data.len);
    }
    return CG_OK;
}

/* One name: its entry, or nothing when it is left out. The entry borrows from the walk until the
 * next. */
static cg_err put_name(struct walk *w, int dirfd, const char *name, const struct store_entry *old,
                       struct store_entry *e, bool *out, struct cg_errbuf *eb)
{
    struct stat st;
    *out = false;
    *e = (struct store_entry){.name = cg_span_of(name)};
    if (excluded(w, name)) {
        return CG_OK;
    }
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        walk_problem(w, errno);
        return CG_OK;
    }
    entry_of(&st, e);
    w->xattrs.len = 0;
    if (S_ISREG(st.st_mode)) {
        e->kind = STORE_FILE;
        if (old && unchanged(e, old, (uint64_t)st.st_size)) {
            *e = *old;
            *out = true;
            w->files++;
            w->bytes += e->size;
            meter_add(&w->meter, e->size, 1);
            return CG_OK;
        }
        if (!linked_before(w, &st, e)) {
            cg_err err = walk_file(w, dirfd, name, &st, e, out, eb);
            err = err || !*out ? err : remember_link(w, &st, e);
            if (err || !*out) {
                return err;
            }
        }
        w->files++;
        w->bytes += e->size;
        *out = true;
        return CG_OK;
    }
    if (S_ISDIR(st.st_mode)) {
        e->kind = STORE_DIR;
        return walk_dir(w, dirfd, name, &st, old && old->kind == STORE_DIR ? &old->score : NULL, e,
                        out, eb);
    }
    return walk_other(w, dirfd, name, &st, e, out);
}

/* ---- directories ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of a directory, sorted as bytes. The caller frees names and text. */
static cg_err read_names(int fd, struct cg_str *text, char ***names, size_t *count, int *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    cg_err e = CG_OK;
    *count = 0;
    *err = d ? 0 : errno;
    if (!d) {
        return CG_OK;
    }
    errno = 0;
    for (const struct dirent *de; !e && (de = readdir(d));) {
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0) {
            e = cg_str_add(text, de->d_name, strlen(de->d_name) + 1);
            *count += 1;
        }
        errno = 0;
    }
    *err = errno;
    closedir(d);
    *names = cg_alloc((*count + 1) * sizeof **names);
    if (e || !*names) {
        return CG_ENOMEM;
    }
    char *at = text->data;
    for (size_t i = 0; i < *count; i++) {
        (*names)[i] = at;
        at += strlen(at) + 1;
    }
    qsort(*names, *count, sizeof **names, by_name);
    return CG_OK;
}

struct old_dir {
    struct store_dir *dir; /* NULL: none */
    struct store_entry now;
    bool have;
};

/* The last snapshot's entry of that name; both sides go forward together. */
static const struct store_entry *old_entry(struct old_dir *o, const char *name)
{
    struct cg_errbuf eb = {0};
    while (o->dir) {
        if (!o->have && store_dir_next(o->dir, &o->now, &eb) != CG_OK) {
            return NULL;
        }
        o->have = true;
        size_t len = strlen(name);
        int c = memcmp(o->now.name.data, name, o->now.name.len < len ? o->now.name.len : len);
        c = c ? c : o->now.name.len < len ? -1 : o->now.name.len > len;
        if (c >= 0) {
            o->have = c > 0;
            return c == 0 ? &o->now : NULL;
        }
        o->have = false;
    }
    return NULL;
}

static cg_err put_names(struct walk *w, int fd, char *const *names, size_t count,
                        struct old_dir *old, struct store_builder *b, struct cg_errbuf *eb)
{
    size_t base = w->path.len;
    cg_err e = CG_OK;
    for (size_t i = 0; i < count && !e; i++) {
        struct store_entry entry;
        bool have;
        if (w->stop && *w->stop) {
            return cg_fail(eb, CG_EINTR,
                           "interrupted; nothing was changed but what is there already");
        }
        w->path.len = base;
        e = cg_str_addf(&w->path, "/%s", names[i]);
        e = e ? e : put_name(w, fd, names[i], old_entry(old, names[i]), &entry, &have, eb);
        e = e || !have ? e : store_builder_add(b, &entry, eb);
    }
    w->path.len = base;
    w->path.data[base] = 0;
    return e;
}

cg_err walk_open_dir(struct walk *w, int fd, const struct store_score *old_score,
                     struct store_score *out, struct cg_errbuf *eb)
{
    struct cg_str text = {0};
    struct old_dir old = {0};
    struct store_builder *b = NULL;
    struct cg_errbuf ignored = {0};
    char **names = NULL;
    size_t count;
    int err;
    if (w->depth == STORE_DEPTH_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%.100s...: more than %d directories deep",
                       w->path.data, STORE_DEPTH_MAX);
    }
    w->depth++;
    cg_err e = read_names(fd, &text, &names, &count, &err);
    if (!e && err) {
        walk_problem(w, err);
    }
    e = e ? e : store_builder_new(w->writer, &b);
    if (!e && old_score && store_dir_open(w->s, old_score, &old.dir, &ignored) != CG_OK) {
        old.dir = NULL; /* then everything is read */
    }
    e = e ? e : put_names(w, fd, names, count, &old, b, eb);
    e = e ? e : store_builder_end(b, out, eb);
    store_dir_close(old.dir);
    store_builder_free(b);
    cg_free(names);
    cg_str_fini(&text);
    w->depth--;
    return e;
}

cg_err walk_dir(struct walk *w, int dirfd, const char *name, const struct stat *st,
                const struct store_score *old, struct store_entry *e, bool *out,
                struct cg_errbuf *eb)
{
    if (opt.one_fs && st->st_dev != w->dev) {
        struct store_builder *b = NULL; /* the mount point stays, empty */
        cg_err err = store_builder_new(w->writer, &b);
        err = err ? err : store_builder_end(b, &e->score, eb);
        store_builder_free(b);
        *out = !err;
        return err;
    }
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        walk_problem(w, errno);
        return CG_OK;
    }
    struct store_score prev;
    if (old) {
        prev = *old; /* its entry is of a cursor that others move */
    }
    cg_err err = walk_open_dir(w, fd, old ? &prev : NULL, &e->score, eb);
    err = err ? err : walk_xattrs(w, fd, e);
    close(fd);
    *out = !err;
    return err;
}

/* ---- operands ---- */

static void keep_root(struct walk *w, const struct stat *st)
{
    w->snap.mode = st->st_mode & 07777;
    w->snap.uid = st->st_uid;
    w->snap.gid = st->st_gid;
    w->snap.mtime_ns = st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

/* One directory is the root itself; other operands become names of a root. */
static cg_err put_operands(struct walk *w, int count, char **paths, struct cg_errbuf *eb)
{
    struct stat st;
    int fd = open(paths[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cg_err e;
    if (count == 1 && fd >= 0) {
        fstat(fd, &st);
        w->dev = st.st_dev;
        keep_root(w, &st);
        e = cg_str_addf(&w->path, "%s", paths[0]);
        w->prefix = w->path.len + 1;
        e = e ? e : walk_open_dir(w, fd, w->have_old ? &w->old.root : NULL, &w->snap.root, eb);
        close(fd);
        return e;
    }
    if (fd >= 0) {
        close(fd);
    }
    return walk_several(w, count, paths, eb);
}

static int by_base(const void *a, const void *b)
{
    return strcmp(walk_base(*(char *const *)a), walk_base(*(char *const *)b));
}

const char *walk_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

cg_err walk_several(struct walk *w, int count, char **paths, struct cg_errbuf *eb)
{
    struct store_builder *b = NULL;
    cg_err e = store_builder_new(w->writer, &b);
    qsort(paths, (size_t)count, sizeof *paths, by_base);
    w->snap.mode = 0755;
    for (int i = 0; i < count && !e; i++) {
        struct store_entry entry, old;
        struct cg_str keep = {0};
        struct stat st;
        bool have;
        const char *base = walk_base(paths[i]);
        if (i && strcmp(base, walk_base(paths[i - 1])) == 0) {
            e = cg_fail(eb, CG_EEXIST, "two operands are called %s", base);
            break;
        }
        if (stat(paths[i], &st) != 0) {
            e = cg_fail(eb, cg_err_from_errno(errno), "%s: %s", paths[i], strerror(errno));
            break;
        }
        w->dev = st.st_dev;
        w->path.len = 0;
        e = cg_str_addf(&w->path, "%s", paths[i]);
        w->prefix = (size_t)(base - paths[i]);
        bool known =
            !e && w->have_old && store_lookup(w->s, &w->old.root, base, &old, &keep, eb) == CG_OK;
        e = e ? e : put_name(w, AT_FDCWD, paths[i], known ? &old : NULL, &entry, &have, eb);
        entry.name = cg_span_of(base);
        e = e || !have ? e : store_builder_add(b, &entry, eb);
        cg_str_fini(&keep);
    }
    e = e ? e : store_builder_end(b, &w->snap.root, eb);
    store_builder_free(b);
    return e;
}

/* ---- the snapshot ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void walk_fini(struct walk *w)
{
    uint32_t cursor = 0;
    for (struct link *l; (l = cg_map_next(&w->links, &cursor));) {
        cg_free(l);
    }
    cg_map_fini(&w->links);
    store_stream_free(w->stream);
    cg_str_fini(&w->path);
    cg_str_fini(&w->xattrs);
    cg_str_fini(&w->target);
    store_writer_close(w->writer);
}

static cg_err commit(struct walk *w, struct cg_errbuf *eb)
{
    struct store_counts counts;
    struct store_score score;
    struct store_refinfo there;
    char date[32], name[STORE_NAME_BYTES_MAX + 1];
    store_writer_counts(w->writer, &counts);
    w->snap.time_ns = cg_env_real.wall_ns(NULL);
    w->snap.files = w->files;
    w->snap.bytes = w->bytes;
    w->snap.added = counts.bytes_new;
    cg_err e;
    do { /* a second snapshot within one second gets a number */
        date_text(w->snap.time_ns, date);
        snprintf(name, sizeof name, w->tries ? "%s@%s.%u" : "%s@%s", w->line, date, w->tries);
        w->tries++;
        snprintf(w->snap.name, sizeof w->snap.name, "%s", name);
        e = store_ref_get(w->s, name, &there) == CG_OK
                ? CG_EAGAIN
                : store_snapshot_put(w->writer, &w->snap, &score, eb);
        if (!e) {
            struct store_ref_change change = {
                .name = name, .score = &score, .time_ns = w->snap.time_ns};
            e = store_commit(w->writer, &change, 1, STORE_FINAL, eb);
        }
    } while (e == CG_EAGAIN && w->tries < 1000);
    return e;
}

static void say(const struct walk *w, const struct store_counts *c, uint64_t began_ns)
{
    char bytes[16], fresh[16], packed[16];
    double seconds = (double)(cg_env_real.now_ns(NULL) - began_ns) / 1e9;
    if (opt.json) {
        printf("{\"snapshot\":");
        json_string(w->snap.name, strlen(w->snap.name));
        printf(",\"files\":%llu,\"bytes\":%llu,\"new_bytes\":%llu,\"stored_bytes\":%llu,"
               "\"problems\":%llu,\"seconds\":%.3f,\"dry_run\":%s}\n",
               (unsigned long long)w->files, (unsigned long long)w->bytes,
               (unsigned long long)c->bytes_new, (unsigned long long)c->bytes_packed,
               (unsigned long long)w->problems, seconds, opt.dry_run ? "true" : "false");
        return;
    }
    size_text(w->bytes, bytes);
    size_text(c->bytes_new, fresh);
    size_text(c->bytes_packed, packed);
    if (!opt.quiet) {
        printf("%s%s: %llu files, %s; %s new, stored in %s; %.1f s\n",
               opt.dry_run ? "would be made: " : "", w->snap.name, (unsigned long long)w->files,
               bytes, fresh, packed, seconds);
    }
}

static void put_once(struct store *s, int argc, char **argv, uint64_t *problems)
{
    struct walk w = {.s = s, .line = argv[0]};
    struct selected last;
    struct cg_errbuf eb = {0};
    struct store_counts counts;
    char holder[65];
    struct utsname host;
    uint64_t began = cg_env_real.now_ns(NULL);
    uname(&host);
    snprintf(w.snap.host, sizeof w.snap.host, "%.64s", host.nodename);
    snprintf(holder, sizeof holder, "put on %.40s, process %d", host.nodename, (int)getpid());
    w.stop = &interrupted;
    w.have_old = select_exists(s, argv[0], &last);
    w.old = last.snap;
    cg_map_init(&w.links, 16);
    meter_begin(&w.meter, "put", w.have_old ? last.snap.bytes : 0);
    cg_err e = store_writer_open(s, holder, opt.level, &w.writer, &eb);
    e = e ? e : store_stream_new(w.writer, &w.stream);
    e = e ? e : put_operands(&w, argc - 1, argv + 1, &eb);
    if (!e && opt.dry_run) {
        snprintf(w.snap.name, sizeof w.snap.name, "%s", w.line);
    }
    e = e || opt.dry_run ? e : commit(&w, &eb);
    meter_end(&w.meter);
    if (w.writer) {
        store_writer_counts(w.writer, &counts);
    }
    *problems = w.problems;
    if (!e) {
        say(&w, &counts, began);
    }
    walk_fini(&w);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
}

static uint64_t seconds_of(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    const char *units = "smhdw";
    static const uint64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
    const char *unit = *end && !end[1] ? strchr(units, *end) : NULL;
    if (end == text || !unit || n == 0 || n > 10000) {
        cmd_fail("--every %s: a number and s, m, h, d or w was needed, such as 6h", text);
    }
    return n * seconds[unit - units];
}

int verb_put(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct store *s = verb_store(false);
    uint64_t problems, every = opt.every ? seconds_of(opt.every) : 0;
    struct cg_errbuf eb = {0};
    if (strpbrk(argv[0], "@:/ ") || !argv[0][0]) {
        cmd_fail("%s: the name of a line of snapshots has no @, no colon, no slash, no blank",
                 argv[0]);
    }
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    put_once(s, argc, argv, &problems);
    while (every && !interrupted) {
        uint64_t now = cg_env_real.wall_ns(NULL) / 1000000000u;
        struct timespec wait = {.tv_sec = (time_t)(every - now % every)};
        if (nanosleep(&wait, NULL) != 0 || interrupted) {
            break;
        }
        cg_err e = store_refresh(s, &eb);
        if (e) {
            verb_fail(e, &eb, NULL);
        }
        put_once(s, argc, argv, &problems);
    }
    return problems ? 1 : 0;
}
