/* store snap, drop, keep: the list of snapshots and what goes from it. */
#include "verbs.h"

#include <cognu/active.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int snap_list(struct store *s, const char *line)
{
    struct store_snapshot snap;
    struct cg_errbuf eb = {0};
    for (uint32_t i = 0; i < store_ref_count(s); i++) {
        struct store_refinfo r;
        char bytes[16], added[16], score[2 * STORE_SCORE_BYTES + 1];
        store_ref_at(s, i, &r);
        if (line &&
            (store_line_len(r.name) != strlen(line) || strncmp(r.name, line, strlen(line)) != 0)) {
            continue;
        }
        cg_err e = store_snapshot_get(s, &r.score, &snap, &eb);
        if (e) {
            verb_fail(e, &eb, r.name);
        }
        store_score_text(&r.score, score);
        if (opt.json) {
            printf("{\"snapshot\":");
            json_string(r.name, strlen(r.name));
            printf(",\"score\":\"%s\",\"time_ns\":%llu,\"files\":%llu,\"bytes\":%llu,\"added\":%"
                   "llu,\"host\":",
                   score, (unsigned long long)r.time_ns, (unsigned long long)snap.files,
                   (unsigned long long)snap.bytes, (unsigned long long)snap.added);
            json_string(snap.host, strlen(snap.host));
            printf("}\n");
            continue;
        }
        size_text(snap.bytes, bytes);
        size_text(snap.added, added);
        printf("%-40s %10llu files %8s %8s new  %.16s\n", r.name, (unsigned long long)snap.files,
               bytes, added, score);
    }
    return 0;
}

/* A snapshot of the active tree that is mounted at a place: its server takes it. */
static int snap_mounted(const char *line, const char *place)
{
    char path[PATH_MAX], text[STORE_NAME_BYTES_MAX + 8];
    int n = snprintf(text, sizeof text, "snap %s\n", line);
    snprintf(path, sizeof path, "%s/ctl", place);
    if (n >= (int)sizeof text || strpbrk(line, " \t\n'")) {
        cmd_fail("%s: no name of a snapshot", line);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        cmd_fail("%s: %s; is the store mounted there, with --active?", path, strerror(errno));
    }
    bool failed = write(fd, text, (size_t)n) != n;
    failed = failed || fsync(fd) != 0; /* a write is answered before it is done */
    int err = errno;
    failed = close(fd) != 0 || failed;
    if (failed) {
        cmd_fail("%s: %s", path, strerror(err));
    }
    return 0;
}

int verb_snap(int argc, char **argv)
{
    if (argc == 2) {
        return snap_mounted(argv[0], argv[1]);
    }
    return snap_list(verb_store(true), argc ? argv[0] : NULL);
}

/* Lets references go, all at one instant. */
static void drop_refs(struct store *s, const struct store_refinfo *refs, size_t count)
{
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    struct store_ref_change *change = cg_zalloc((count + 1) * sizeof *change);
    if (!change) {
        cmd_fail("no memory");
    }
    for (size_t i = 0; i < count; i++) {
        change[i] = (struct store_ref_change){.name = refs[i].name, .epoch = refs[i].epoch};
        if (!opt.quiet && !opt.json) {
            printf("%s %s\n", opt.dry_run ? "would be dropped:" : "dropped", refs[i].name);
        }
    }
    if (count && !opt.dry_run) {
        cg_err e = store_writer_open(s, "drop", STORE_DEFAULT, &w, &eb);
        e = e ? e : store_commit(w, change, count, STORE_FINAL, &eb);
        if (e) {
            verb_fail(e, &eb, NULL);
        }
        store_writer_close(w);
    }
    if (opt.json) {
        printf("{\"dropped\":%zu,\"dry_run\":%s}\n", count, opt.dry_run ? "true" : "false");
    }
    cg_free(change);
}

int verb_drop(int argc, char **argv)
{
    struct store *s = verb_store(false);
    struct store_refinfo *refs = cg_zalloc((size_t)argc * sizeof *refs);
    if (!refs) {
        cmd_fail("no memory");
    }
    for (int i = 0; i < argc; i++) {
        if (store_ref_get(s, argv[i], &refs[i]) != CG_OK) {
            cmd_fail(
                "%s: no such snapshot; a full name NAME@DATE is needed, `store snap` lists them",
                argv[i]);
        }
        if (strcmp(argv[i], ACTIVE_REF) == 0 && !opt.force) {
            cmd_fail("%s is no snapshot but the tree that is mounted with --active; --force drops "
                     "it with all that is in it",
                     argv[i]);
        }
    }
    drop_refs(s, refs, (size_t)argc);
    cg_free(refs);
    return 0;
}

/* ---- retention ---- */

/* A rule keeps the newest snapshot of each of the last `count` periods in which there is one. */
struct rule {
    uint32_t count;
    const char *format; /* of strftime: two times in one period give the same text */
    char last[32];
};

static bool rule_keeps(struct rule *r, time_t t)
{
    char period[32];
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(period, sizeof period, r->format, &tm);
    if (r->count == 0 || strcmp(period, r->last) == 0) {
        return false;
    }
    snprintf(r->last, sizeof r->last, "%s", period);
    r->count--;
    return true;
}

/* refs: one line, in the order of time. Moves those that go to out; gives their number. */
static size_t pick_line(const struct store_refinfo *refs, size_t count, struct store_refinfo *out)
{
    struct rule rules[] = {
        {opt.hourly, "%Y%m%d%H", ""}, {opt.daily, "%Y%m%d", ""}, {opt.weekly, "%G-%V", ""},
        {opt.monthly, "%Y%m", ""},    {opt.yearly, "%Y", ""},
    };
    size_t gone = 0;
    for (size_t i = count; i-- > 0;) {
        bool keep = count - i <= opt.last;
        for (size_t k = 0; k < CG_COUNT(rules); k++) {
            keep |= rule_keeps(&rules[k], (time_t)(refs[i].time_ns / 1000000000u));
        }
        if (!keep) {
            out[gone++] = refs[i];
        } else if (!opt.quiet && !opt.json) {
            printf("kept %s\n", refs[i].name);
        }
    }
    return gone;
}

static int by_line_and_time(const void *a, const void *b)
{
    const struct store_refinfo *x = a, *y = b;
    size_t lx = store_line_len(x->name), ly = store_line_len(y->name);
    int c = strncmp(x->name, y->name, lx < ly ? lx : ly);
    if (c || lx != ly) {
        return c ? c : lx < ly ? -1 : 1;
    }
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

int verb_keep(int argc, char **argv)
{
    struct store *s = verb_store(false);
    uint32_t all = store_ref_count(s), n = 0;
    struct store_refinfo *refs = cg_zalloc((all + 1) * sizeof *refs);
    struct store_refinfo *gone = cg_zalloc((all + 1) * sizeof *gone);
    size_t count = 0;
    if (!refs || !gone) {
        cmd_fail("no memory");
    }
    if (!(opt.last + opt.hourly + opt.daily + opt.weekly + opt.monthly + opt.yearly)) {
        cmd_fail("keep what? Give --last, --hourly, --daily, --weekly, --monthly or --yearly N; "
                 "try -n first");
    }
    for (uint32_t i = 0; i < all; i++) {
        store_ref_at(s, i, &refs[n]);
        const char *name = refs[n].name;
        bool snapshot = name[store_line_len(name)] == '@';
        bool of_line = !argc || (store_line_len(name) == strlen(argv[0]) &&
                                 strncmp(name, argv[0], strlen(argv[0])) == 0);
        n += snapshot && of_line;
    }
    qsort(refs, n, sizeof *refs, by_line_and_time);
    for (uint32_t i = 0, j; i < n; i = j) {
        size_t len = store_line_len(refs[i].name);
        for (j = i + 1; j < n && store_line_len(refs[j].name) == len &&
                        strncmp(refs[j].name, refs[i].name, len) == 0;) {
            j++;
        }
        count += pick_line(refs + i, j - i, gone + count);
    }
    drop_refs(s, gone, count);
    cg_free(refs);
    cg_free(gone);
    return 0;
}
