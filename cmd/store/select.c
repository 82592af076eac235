/* Names of snapshots, as operands of the verbs. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void date_text(uint64_t time_ns, char out[32])
{
    time_t t = (time_t)(time_ns / 1000000000u);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool select_exists(struct store *s, const char *text, struct selected *out)
{
    char word[STORE_NAME_BYTES_MAX + 1];
    /* A date has colons of its own: the path begins after the first colon that no two digits
     * follow, or a slash does. */
    const char *colon = strchr(text, ':');
    const char *at = strchr(text, '@');
    while (colon && at && colon > at && colon[1] >= '0' && colon[1] <= '9' && colon[2] >= '0' &&
           colon[2] <= '9' && (colon[3] == ':' || colon[3] == 'Z' || colon[3] == '\0')) {
        colon = strchr(colon + 1, ':');
    }
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    struct cg_errbuf eb = {0};
    *out = (struct selected){.path = colon ? colon + 1 : ""};
    if (len == 0 || len >= sizeof word) {
        cmd_fail("%s: no snapshot has such a name", text);
    }
    memcpy(word, text, len);
    word[len] = 0;
    if (store_ref_find(s, word, &out->ref) != CG_OK) {
        out->ref = (struct store_refinfo){0};
        if (!store_score_parse(word, &out->ref.score)) {
            return false;
        }
    }
    cg_err e = store_snapshot_get(s, &out->ref.score, &out->snap, &eb);
    if (e == CG_EBADFORMAT && !out->ref.name[0]) { /* the score of a directory */
        out->snap = (struct store_snapshot){.root = out->ref.score, .mode = 0755};
        e = CG_OK;
    }
    if (e) {
        verb_fail(e, &eb, word);
    }
    return true;
}

void select_snapshot(struct store *s, const char *text, struct selected *out)
{
    if (!select_exists(s, text, out)) {
        cmd_fail("%s: no such snapshot; `store snap` lists them", text);
    }
}

void select_entry(struct store *s, const struct selected *sel, struct store_entry *out,
                  struct cg_str *keep)
{
    struct cg_errbuf eb = {0};
    cg_err e = store_lookup(s, &sel->snap.root, sel->path, out, keep, &eb);
    if (e) {
        verb_fail(e, &eb, sel->ref.name[0] ? sel->ref.name : NULL);
    }
    if (out->name.len == 0) {
        out->mode = sel->snap.mode;
        out->uid = sel->snap.uid;
        out->gid = sel->snap.gid;
        out->mtime_ns = sel->snap.mtime_ns;
    }
}
