/* Figures and texts about a store. */
#include "store__.h"

#include <string.h>

cg_err store_stats(struct store *s, struct store_stats *out, struct cg_errbuf *eb)
{
    *out = (struct store_stats){0};
    cg_err e = store_refresh(s, eb);
    const struct state *st = &s->state;
    for (size_t i = 0; i < st->packs; i++) {
        out->pack_bytes += st->pack[i].bytes;
        out->raw_bytes += st->pack[i].raw;
        out->live_bytes += st->pack[i].live;
    }
    for (size_t i = 0; i < st->runs; i++) {
        uint64_t pages = (st->run[i].entries + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
        pages +=
            (pages + PAGE_FENCES - 1) / PAGE_FENCES + (pages + PAGE_FILTERS - 1) / PAGE_FILTERS;
        out->entries += st->run[i].entries;
        out->index_bytes += RUN_HEAD_BYTES + pages * PAGE_BYTES;
    }
    out->packs = st->packs;
    out->runs = st->runs;
    out->refs = st->refs;
    out->leases = st->leases;
    out->state_number = st->number;
    out->index_reads = s->pages.reads;
    return e ? e : s->io->space(s->io->ctx, &out->space_free, &out->space_total);
}

static cg_err dump_pack(struct store *s, uint32_t id, struct cg_str *out, struct cg_errbuf *eb)
{
    struct survey v;
    char text[2 * STORE_SCORE_BYTES + 1];
    cg_err e = survey_pack(s, id, false, false, &v, NULL, eb);
    e = e ? e : survey_living(s, id, &v, eb);
    for (size_t i = 0; i < v.count && !e; i++) {
        const struct seen *o = &v.seen[i];
        store_score_text(&o->score, text);
        e = cg_str_addf(out, "%s %s frame %u slot %u about %u bytes%s\n", text,
                        o->kind == STORE_NODE ? "node" : "data", o->at, o->slot,
                        o->size * ENTRY_SIZE_UNIT, o->lives ? "" : " dead");
    }
    e = e ? e
          : cg_str_addf(out, "frames %llu, %s\n", (unsigned long long)v.frames,
                        v.whole ? "ended" : "without its end");
    survey_fini(&v);
    return e;
}

static cg_err dump_run(struct store *s, uint32_t id, struct cg_str *out, struct cg_errbuf *eb)
{
    struct run *r = NULL;
    struct run_cursor c;
    char text[2 * STORE_SCORE_BYTES + 1];
    for (size_t i = 0; i < s->runs; i++) {
        r = s->run[i]->rec.id == id ? s->run[i] : r;
    }
    if (!r) {
        return cg_fail(eb, CG_ENOENT, "the state names no run %08x", id);
    }
    cg_err e = cursor_open(s, r, &c, eb);
    while (!e && !c.end) {
        store_score_text(&c.now.score, text);
        e = cg_str_addf(out, "%s count %d", text, c.now.count);
        if (!e && c.now.kind) {
            e = cg_str_addf(out, " %s pack %08x frame %u slot %u",
                            c.now.kind == STORE_NODE ? "node" : "data", c.now.pack, c.now.at,
                            c.now.slot);
        }
        e = e ? e : cg_str_add(out, "\n", 1);
        e = e ? e : cursor_next(s, &c, eb);
    }
    cursor_close(&c);
    return e;
}

static cg_err dump_node(struct store *s, const char *text, struct cg_str *out, struct cg_errbuf *eb)
{
    struct store_score score;
    struct store_snapshot snap;
    struct cg_span bytes;
    struct cg_errbuf none = {0};
    char root[2 * STORE_SCORE_BYTES + 1];
    if (!store_score_parse(text, &score)) {
        return cg_fail(eb, CG_EINVAL, "%s: a score has 48 hexadecimal digits", text);
    }
    cg_err e = store_get(s, STORE_NODE, &score, &bytes, eb);
    e = e ? e : node_dump(bytes, out);
    if (e || store_snapshot_get(s, &score, &snap, &none) != CG_OK) {
        return e;
    }
    store_score_text(&snap.root, root);
    return cg_str_addf(
        out, "root %s mode %o uid %u gid %u files %llu bytes %llu new %llu %s on %s\n", root,
        snap.mode, snap.uid, snap.gid, (unsigned long long)snap.files,
        (unsigned long long)snap.bytes, (unsigned long long)snap.added, snap.name, snap.host);
}

/* Its records are the active tree's matter; here are the frames that hold them. */
static cg_err dump_journal(struct store *s, uint64_t number, struct cg_str *out,
                           struct cg_errbuf *eb)
{
    struct store_journal *j = NULL;
    struct cg_span text;
    uint64_t at = STORE_JOURNAL_FIRST, next, frames = 0;
    cg_err e = store_journal_open(s, number, &j, eb);
    if (e) {
        return e == CG_ENOENT ? cg_fail(eb, e, "the journal has no such segment") : e;
    }
    while (!e && (e = store_journal_read(j, at, &text, &next, eb)) == CG_OK) {
        e = cg_str_addf(out, "frame at %llu, %u bytes\n", (unsigned long long)at, text.len);
        at = next;
        frames++;
    }
    store_journal_close(j);
    return e == CG_ENOENT ? cg_str_addf(out, "frames %llu, up to %llu\n",
                                        (unsigned long long)frames, (unsigned long long)at)
                          : e;
}

cg_err store_dump(struct store *s, const char *what, struct cg_str *out, struct cg_errbuf *eb)
{
    uint64_t id;
    if (strcmp(what, "config") == 0) {
        return config_dump(&s->config, out);
    }
    if (strcmp(what, "state") == 0) {
        return state_dump(s, out);
    }
    if (strncmp(what, "pack ", 5) == 0 && numbered_name(what + 5, 8, &id)) {
        return dump_pack(s, (uint32_t)id, out, eb);
    }
    if (strncmp(what, "run ", 4) == 0 && numbered_name(what + 4, 8, &id)) {
        return dump_run(s, (uint32_t)id, out, eb);
    }
    if (strncmp(what, "node ", 5) == 0) {
        return dump_node(s, what + 5, out, eb);
    }
    if (strncmp(what, "parity ", 7) == 0 && numbered_name(what + 7, 8, &id)) {
        return parity_dump(s, (uint32_t)id, out, eb);
    }
    if (strncmp(what, "journal ", 8) == 0 && numbered_name(what + 8, 16, &id)) {
        return dump_journal(s, id, out, eb);
    }
    return cg_fail(eb, CG_EINVAL,
                   "dump config, state, pack HEX, run HEX, node SCORE, parity HEX, or journal HEX; "
                   "HEX is the name of a file of packs, index, parity or journal");
}
