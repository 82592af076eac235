/* Commits of the active tree: when one is due, who waits for one, and the file of commands.
 *
 *   snap NAME   a snapshot of the tree as it is now; answered when it is in packs
 *   sync        everything until now into packs; answered likewise
 *
 * NAME without a date gets the date and time. One commit runs at a time, where the owner of the
 * server lets it run; a command that comes meanwhile waits for the next. */
#include "live.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    RENEW_S = 60,
    COMMIT_S = 10, /* a change is in packs so long after it, if nothing hurries */
    RECORDS_MAX = 4 * ACTIVE_DIRTY_RECORDS,
    BYTES_MAX_FACTOR = 4,
    SLICE = 512, /* files of a commit that are taken in before others have their turn */
    RETRY_S = 5, /* after a commit that failed */
};

struct waiter {
    struct waiter *next;
    struct ninep_req *r;
    char name[STORE_NAME_BYTES_MAX + 1]; /* of a snapshot; "": none */
};

static void answer(struct waiter *w, cg_err e, const struct cg_errbuf *eb)
{
    if (e) {
        cg_fail(&w->r->eb, e, "%s", eb->text);
    } else {
        w->r->r.write.count = w->r->t.write.data.len;
    }
    node_own_attr(w->r->fid, node_of(w->r->fid), &w->r->r.write.attr);
    ninep_respond(w->r, e);
    cg_free(w);
}

static void begin(struct storefs *fs);

bool storefs_job_done(struct storefs *fs, struct active_job *j, bool all)
{
    struct cg_errbuf eb = {0};
    struct waiter *w = fs->served;
    cg_err e = active_job_done(fs->active, j, all ? 0 : SLICE, &eb);
    if (e == CG_EAGAIN) {
        return false;
    }
    fs->job = NULL;
    fs->served = NULL;
    fs->due_s = UINT64_MAX;
    if (e) {
        fs->due_s = fs->retry_s = fs->now_s + RETRY_S;
        cg_log(CG_WARN, "a commit failed: %s", eb.text);
    }
    if (w) {
        answer(w, e, &eb);
    }
    if (fs->waiting && !fs->job) { /* an answer may have begun one */
        begin(fs);
    }
    return true;
}

/* The first that waits is served; without one, what has changed is committed. */
static void begin(struct storefs *fs)
{
    struct waiter *w = fs->waiting;
    struct cg_errbuf eb = {0};
    if (w) {
        fs->waiting = w->next;
    }
    cg_err e = active_freeze(fs->active, w && w->name[0] ? w->name : NULL, &fs->job, &eb);
    if (e) {
        fs->job = NULL;
        fs->due_s = fs->retry_s = fs->now_s + RETRY_S;
        cg_log(CG_WARN, "no commit: %s", eb.text);
        if (w) {
            answer(w, e, &eb);
        }
        return;
    }
    fs->served = w;
    if (fs->live.start) {
        fs->live.start(fs->live.aux, fs->job);
    } else {
        active_job_run(fs->job);
        storefs_job_done(fs, fs->job, true);
    }
}

void ctl_changed(struct storefs *fs)
{
    struct active_stats st;
    if (!fs->active) {
        return;
    }
    active_stats(fs->active, &st);
    if (st.changed && fs->due_s == UINT64_MAX) {
        fs->due_s = fs->now_s + COMMIT_S;
    }
    bool much = st.changed >= ACTIVE_DIRTY_RECORDS || st.journal_bytes >= ACTIVE_DIRTY_BYTES;
    if (much && !fs->job && fs->now_s >= fs->retry_s) {
        begin(fs);
    }
    bool too_much =
        st.records >= RECORDS_MAX || st.journal_bytes / BYTES_MAX_FACTOR >= ACTIVE_DIRTY_BYTES;
    if (too_much && fs->job && fs->live.wait) {
        fs->live.wait(fs->live.aux); /* calls storefs_job_done */
    }
}

void storefs_tick(struct storefs *fs, uint64_t now_s)
{
    struct cg_errbuf eb = {0};
    fs->now_s = now_s;
    if (!fs->active) {
        return;
    }
    if (now_s >= fs->renew_s) {
        fs->renew_s = now_s + RENEW_S;
        if (active_renew(fs->active, &eb)) {
            cg_log(CG_WARN, "%s", eb.text);
        }
    }
    if (now_s >= fs->due_s && !fs->job) {
        begin(fs);
    }
}

/* ---- the file ---- */

/* The name of a reference: a date is added where none stands. */
static cg_err full_name(struct storefs *fs, const char *word, char out[STORE_NAME_BYTES_MAX + 1],
                        struct cg_errbuf *eb)
{
    enum { DATE_ROOM = 32 };
    struct store_refinfo ref;
    char date[DATE_ROOM];
    time_t now = (time_t)(cg_env_real.wall_ns(NULL) / 1000000000u);
    struct tm tm;
    if (strlen(word) > STORE_NAME_BYTES_MAX - DATE_ROOM) {
        return cg_fail(eb, CG_ENAMETOOLONG, "a snapshot's name is shorter");
    }
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(out, STORE_NAME_BYTES_MAX + 1, strchr(word, '@') ? "%s" : "%s@%s", word, date);
    for (int i = 1; store_ref_get(fs->store, out, &ref) == CG_OK; i++) {
        if (strchr(word, '@')) {
            return cg_fail(eb, CG_EEXIST, "%s: that snapshot exists", out);
        }
        snprintf(out, STORE_NAME_BYTES_MAX + 1, "%s@%s.%d", word, date, i);
    }
    return CG_OK;
}

static cg_err parse(struct storefs *fs, struct cg_span text, char name[STORE_NAME_BYTES_MAX + 1],
                    struct cg_errbuf *eb)
{
    enum { WORDS_MAX = 3, LINE_BYTES = 512 };
    char line[LINE_BYTES], *word[WORDS_MAX];
    name[0] = '\0';
    if (!cg_span_str(text, line, sizeof line)) {
        return cg_fail(eb, CG_EINVAL, "a command is one short line");
    }
    line[strcspn(line, "\n")] = '\0';
    int n = cg_tokenize(line, word, WORDS_MAX);
    if (n == 1 && strcmp(word[0], "sync") == 0) {
        return CG_OK;
    }
    if (n == 2 && strcmp(word[0], "snap") == 0) {
        if (!word[1][0] || word[1][0] == '.' || strpbrk(word[1], "/ \t")) {
            return cg_fail(eb, CG_EINVAL, "%s: no name of a snapshot", word[1]);
        }
        return full_name(fs, word[1], name, eb);
    }
    return cg_fail(eb, CG_EINVAL, "commands are: snap NAME, sync");
}

void ctl_write(struct ninep_req *r)
{
    struct storefs *fs = r->server_aux;
    struct waiter *w = cg_zalloc(sizeof *w), **at = &fs->waiting;
    cg_err e = w ? parse(fs, r->t.write.data, w->name, &r->eb) : CG_ENOMEM;
    if (e) {
        cg_free(w);
        ninep_respond(r, e);
        return;
    }
    w->r = r;
    while (*at) {
        at = &(*at)->next;
    }
    *at = w;
    if (!fs->job) {
        begin(fs);
    }
}

/* Who asked waits no more. What is under way goes on, and so does its snapshot. */
void ctl_cancel(struct ninep_req *r)
{
    struct storefs *fs = r->server_aux;
    struct waiter *w = fs->served, **at = &fs->waiting;
    if (w && w->r == r) {
        fs->served = NULL;
    } else {
        while (*at && (*at)->r != r) {
            at = &(*at)->next;
        }
        w = *at;
        if (!w) {
            return;
        }
        *at = w->next;
    }
    cg_free(w);
    ninep_respond(r, CG_ECANCELED);
}

cg_err ctl_text(struct storefs *fs, struct cg_str *out)
{
    struct active_stats st;
    active_stats(fs->active, &st);
    const struct {
        const char *name;
        uint64_t value;
    } line[] = {{"files", st.files},         {"bytes", st.bytes},
                {"uncommitted", st.records}, {"journal bytes", st.journal_bytes},
                {"in memory", st.nodes},     {"commits", st.commits},
                {"segment", st.segment}};
    cg_err e = CG_OK;
    out->len = 0;
    for (size_t i = 0; !e && i < CG_COUNT(line); i++) {
        e = cg_str_addf(out, "%-14s %llu\n", line[i].name, (unsigned long long)line[i].value);
    }
    return e;
}
