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
    struct cg_span bytes;
    if (!store_score_parse(text, &score)) {
        return cg_fail(eb, CG_EINVAL, "%s: a score has 48 hexadecimal digits", text);
    }
    cg_err e = store_get(s, STORE_NODE, &score, &bytes, eb);
    return e ? e : node_dump(bytes, out);
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
    return cg_fail(eb, CG_EINVAL, "dump config, state, pack HEX, run HEX, or node SCORE");
}
