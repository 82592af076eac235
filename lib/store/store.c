/* A store that is open: keys, the state it knows, and the caches through which everything is read.
 */
#include "ahead.h"
#include "sealer.h"

#include <stdio.h>
#include <string.h>

enum { CACHE_PAGES = 2048, CACHE_FRAMES = 12 };

bool store_score_is(const struct store_score *a, const struct store_score *b)
{
    return memcmp(a->b, b->b, STORE_SCORE_BYTES) == 0;
}

void store_score_text(const struct store_score *s, char out[2 * STORE_SCORE_BYTES + 1])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < STORE_SCORE_BYTES; i++) {
        out[2 * i] = hex[s->b[i] >> 4];
        out[2 * i + 1] = hex[s->b[i] & 15];
    }
    out[2 * STORE_SCORE_BYTES] = 0;
}

bool store_score_parse(const char *text, struct store_score *out)
{
    for (int i = 0; i < STORE_SCORE_BYTES; i++) {
        char two[3] = {text[2 * i], text[2 * i] ? text[2 * i + 1] : 0, 0};
        uint64_t v;
        if (!numbered_name(two, 2, &v)) {
            return false;
        }
        out->b[i] = (uint8_t)v;
    }
    return text[2 * STORE_SCORE_BYTES] == 0;
}

void tell(const struct store_progress *p, const char *phase, uint64_t done, uint64_t total)
{
    if (p && p->tell) {
        p->tell(p->aux, phase, done, total);
    }
}

void reportf(store_report_fn *report, void *aux, const char *fmt, ...)
{
    char line[CG_DETAIL_BYTES];
    if (report) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        report(aux, line);
    }
}

/* ---- making ---- */

static cg_err refuse_full_folder(const struct store_io *io, struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    cg_err e = io->list(io->ctx, ".", &names);
    if (e) {
        cg_fail(eb, e, "the folder: %s", cg_err_meaning(e));
    }
    for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
        if (strcmp(names.data + at, "lost+found") != 0) {
            e = cg_fail(eb, CG_EEXIST, "a store is made in an empty folder; this one holds %s",
                        names.data + at);
        }
    }
    cg_str_fini(&names);
    return e;
}

static cg_err first_state(struct store *s, struct cg_errbuf *eb)
{
    struct state st = {.number = 1,
                       .epoch = 1,
                       .pack_next = 1,
                       .run_next = 1,
                       .wall_ns = s->env.wall_ns(s->env.ctx)};
    bool taken;
    return state_write(s, &st, &taken, eb);
}

cg_err store_init(const struct store_io *io, const struct store_options *o,
                  const struct store_secret *secret, const struct store *domain,
                  char recovery[STORE_RECOVERY_CHARS], struct cg_errbuf *eb)
{
    static const char *const folders[] = {"packs", "index", "state"};
    struct store s = {.io = io, .env = o->env ? *o->env : cg_env_real};
    struct store_secret spare = {.kind = STORE_RECOVERY, .text = recovery};
    cg_err e = refuse_full_folder(io, eb);
    if (e) {
        return e;
    }
    s.env.random(s.env.ctx, s.id, sizeof s.id);
    cg_env_real.random(NULL, s.keys.store, KEY_BYTES);
    cg_env_real.random(NULL, s.keys.domain, KEY_BYTES);
    if (domain) {
        memcpy(s.keys.domain, domain->keys.domain, KEY_BYTES);
    }
    e = config_make(&s.config, s.id);
    if (!e) {
        e = recovery_make(&cg_env_real, recovery);
    }
    if (!e) {
        e = config_wrap(&s.config, o, secret, &s.keys, eb);
    }
    if (!e) {
        e = config_wrap(&s.config, o, &spare, &s.keys, eb);
    }
    for (size_t i = 0; i < CG_COUNT(folders) && !e; i++) {
        e = io->mkdir(io->ctx, folders[i]);
    }
    if (!e) {
        e = first_state(&s, eb);
    }
    /* The config comes last: with it the folder is a store. */
    if (!e) {
        e = config_save(io, &s.config, false, eb);
    }
    cg_wipe(&s.keys, sizeof s.keys);
    return e;
}

/* ---- opening ---- */

static cg_err open_caches(struct store *s)
{
    uint32_t pages = s->o.cache_pages ? s->o.cache_pages : CACHE_PAGES;
    if (!s->o.cache_frames) {
        s->o.cache_frames = CACHE_FRAMES;
    }
    s->pages.count = pages < 2 ? 2 : pages & ~1u;
    s->pages.slot = cg_zalloc(s->pages.count * sizeof *s->pages.slot);
    s->pages.bytes = cg_alloc((size_t)s->pages.count * PAGE_BYTES);
    s->frame = cg_zalloc(s->o.cache_frames * sizeof *s->frame);
    s->pack = cg_zalloc(PACKS_OPEN_MAX * sizeof *s->pack);
    cg_err e =
        s->pages.slot && s->pages.bytes && s->frame && s->pack ? load_init(&s->load) : CG_ENOMEM;
    e = e || !s->o.ahead ? e : ahead_new(s, &s->ahead);
    return e || !s->o.seals ? e : sealer_new(&s->sealer);
}

cg_err store_open(const struct store_io *io, const struct store_options *o,
                  const struct store_secret *secret, struct store **out, struct cg_errbuf *eb)
{
    struct store *s = cg_zalloc(sizeof *s);
    if (!s) {
        return CG_ENOMEM;
    }
    s->io = io;
    s->o = *o;
    s->env = o->env ? *o->env : cg_env_real;
    cg_err e = config_load(io, &s->config, eb);
    if (!e) {
        memcpy(s->id, s->config.bytes + 12, ID_BYTES);
        e = config_unwrap(&s->config, secret, &s->keys, eb);
    }
    if (!e) {
        chunker_init(&s->chunker, s->keys.domain);
        s->scorer = scorer_new(s->keys.domain);
        e = s->scorer ? open_caches(s) : CG_ENOMEM;
    }
    if (!e) {
        e = o->repair ? state_load_whole(s, &s->older_state, eb) : store_refresh(s, eb);
    }
    if (e) {
        store_close(s);
        return e;
    }
    *out = s;
    return CG_OK;
}

void store_close(struct store *s)
{
    if (!s) {
        return;
    }
    ahead_free(s->ahead);
    sealer_free(s->sealer);
    index_fini(s);
    for (uint32_t i = 0; s->frame && i < s->o.cache_frames; i++) {
        frame_in_fini(&s->frame[i]);
    }
    for (int i = 0; s->pack && i < PACKS_OPEN_MAX; i++) {
        pack_close(s->io, &s->pack[i]);
    }
    load_fini(&s->load);
    scorer_free(s->scorer);
    state_fini(&s->state);
    cg_str_fini(&s->state_text);
    cg_free(s->pages.slot);
    cg_free(s->pages.bytes);
    cg_free(s->frame);
    cg_free(s->pack);
    cg_wipe(s, sizeof *s);
    cg_free(s);
}

cg_err store_refresh(struct store *s, struct cg_errbuf *eb)
{
    enum { TRIES = 16 }; /* runs of a state are removed once a newer one names others */
    cg_err e = CG_OK;
    for (int i = 0; i < TRIES; i++) {
        bool changed;
        e = state_load(s, &changed, eb);
        s->behind = s->behind || changed;
        if (e || !s->behind) {
            return e;
        }
        e = index_sync(s, eb);
        s->behind = e != CG_OK;
        if (e != CG_ENOENT) {
            return e;
        }
    }
    return e;
}

cg_err store_secret_change(struct store *s, const struct store_secret *secret,
                           char recovery[STORE_RECOVERY_CHARS], struct cg_errbuf *eb)
{
    struct config next = s->config;
    struct store_secret use = *secret;
    cg_err e = CG_OK;
    if (secret->kind == STORE_RECOVERY) {
        e = recovery_make(&cg_env_real, recovery);
        use.text = recovery;
    }
    if (!e) {
        e = config_wrap(&next, &s->o, &use, &s->keys, eb);
    }
    if (!e) {
        e = config_save(s->io, &next, true, eb);
    }
    if (!e) {
        s->config = next;
    }
    return e;
}

void store_id(const struct store *s, uint8_t id[16])
{
    memcpy(id, s->id, ID_BYTES);
}

bool store_same_domain(const struct store *a, const struct store *b)
{
    return memcmp(a->keys.domain, b->keys.domain, KEY_BYTES) == 0;
}

/* ---- references ---- */

uint32_t store_ref_count(const struct store *s)
{
    return (uint32_t)s->state.refs;
}

void store_ref_at(const struct store *s, uint32_t i, struct store_refinfo *out)
{
    cg_assert(i < s->state.refs);
    const struct ref_record *r = &s->state.ref[i];
    *out = (struct store_refinfo){.score = r->score, .epoch = r->epoch, .time_ns = r->time_ns};
    snprintf(out->name, sizeof out->name, "%s", r->name);
}

cg_err store_ref_get(const struct store *s, const char *name, struct store_refinfo *out)
{
    for (uint32_t i = 0; i < s->state.refs; i++) {
        if (strcmp(s->state.ref[i].name, name) == 0) {
            store_ref_at(s, i, out);
            return CG_OK;
        }
    }
    return CG_ENOENT;
}

/* ---- fetching ---- */

cg_err store_pack(struct store *s, uint32_t id, struct pack_in **out, struct cg_errbuf *eb)
{
    struct pack_in *oldest = &s->pack[0];
    for (int i = 0; i < PACKS_OPEN_MAX; i++) {
        struct pack_in *p = &s->pack[i];
        if (p->file && p->id == id) {
            p->used = ++s->clock;
            *out = p;
            return CG_OK;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    pack_close(s->io, oldest);
    cg_err e = pack_open(s, id, oldest, eb);
    if (!e) {
        oldest->used = ++s->clock;
        *out = oldest;
    }
    return e;
}

void store_forget_pack(struct store *s, uint32_t id)
{
    ahead_forget(s->ahead, id);
    for (int i = 0; i < PACKS_OPEN_MAX; i++) {
        if (s->pack[i].file && s->pack[i].id == id) {
            pack_close(s->io, &s->pack[i]);
        }
    }
    for (uint32_t i = 0; i < s->o.cache_frames; i++) {
        if (s->frame[i].pack == id) {
            s->frame[i].pack = 0;
        }
    }
}

static struct frame_in *frame_there(const struct store *s, uint32_t pack, uint32_t at)
{
    for (uint32_t i = 0; i < s->o.cache_frames; i++) {
        struct frame_in *f = &s->frame[i];
        if (f->pack == pack && f->at == at && pack) {
            return f;
        }
    }
    return NULL;
}

/* How many frames right before f were loaded one after another. */
static uint32_t run_of(const struct store *s, const struct frame_in *f)
{
    for (uint32_t i = 0; i < s->o.cache_frames; i++) {
        const struct frame_in *g = &s->frame[i];
        if (g->pack == f->pack && g->next == f->at && g->kind == f->kind) {
            return g->run + 1;
        }
    }
    return 0;
}

cg_err store_frame(struct store *s, uint32_t pack, uint32_t at, struct frame_in **out,
                   struct cg_errbuf *eb)
{
    struct frame_in *oldest = &s->frame[0], *there = frame_there(s, pack, at);
    struct pack_in *p;
    if (there) {
        there->used = ++s->clock;
        *out = there;
        return CG_OK;
    }
    for (uint32_t i = 1; i < s->o.cache_frames; i++) {
        oldest = s->frame[i].used < oldest->used ? &s->frame[i] : oldest;
    }
    if (!ahead_take(s->ahead, pack, at, oldest)) {
        cg_err e = store_pack(s, pack, &p, eb);
        e = e ? e : pack_load(s->io, p, &s->load, at, true, oldest, eb);
        if (e) {
            return e;
        }
    }
    oldest->used = ++s->clock;
    oldest->run = run_of(s, oldest);
    ahead_follow(s->ahead, oldest, 0);
    *out = oldest;
    return CG_OK;
}

/* Of what is wanted a part lies behind this frame: the first object out of it says so. */
static void go_on(struct store *s, const struct frame_in *f, uint32_t slot)
{
    const struct entry *last = &s->last[f->kind];
    uint32_t here = f->raw_len - f->start[slot];
    bool first = last->pack != f->pack || last->at != f->at;
    if (first && s->wanted > here && !frame_there(s, f->pack, f->next)) {
        ahead_follow(s->ahead, f, s->wanted - here);
    }
}

cg_err store_get_at(struct store *s, const struct entry *place, const struct store_score *score,
                    struct cg_span *out, struct cg_errbuf *eb)
{
    struct frame_in *f;
    cg_err e = store_frame(s, place->pack, place->at, &f, eb);
    if (e) {
        return e;
    }
    if (place->slot >= f->count || !store_score_is(&f->score[place->slot], score)) {
        return cg_fail(eb, CG_EIO,
                       "packs/%08x at %u: the index is wrong; `store repair` makes it anew",
                       place->pack, place->at);
    }
    uint32_t start = f->start[place->slot], len = f->start[place->slot + 1] - start;
    go_on(s, f, place->slot);
    if (!frame_check(f, place->slot, s->wanted, s->scorer)) {
        return cg_fail(eb, CG_EIO, "packs/%08x at %u: contents are not of their score", place->pack,
                       place->at);
    }
    *out = (struct cg_span){.data = f->raw + start, .len = len};
    return CG_OK;
}

/* Behind the object that was got last lies the one that is wanted now: the index need not be asked,
 * for what a score says is checked anyway. */
static bool is_next(const struct store *s, enum store_object kind, const struct store_score *score,
                    struct entry *place)
{
    *place = s->last[kind];
    const struct frame_in *f = frame_there(s, place->pack, place->at);
    place->slot++;
    return f && f->kind == kind && place->slot < f->count &&
           store_score_is(&f->score[place->slot], score);
}

static cg_err find_place(struct store *s, enum store_object kind, const struct store_score *score,
                         struct entry *place, struct cg_errbuf *eb)
{
    struct sum sum;
    if (s->writer) {
        const struct entry *own = memtable_find(&s->writer->mem, score);
        if (own && own->kind && own->pack == PENDING_PACK) {
            cg_err e = writer_flush(s->writer, eb);
            if (e) {
                return e;
            }
        }
        if (own && own->kind == kind) {
            *place = *own;
            return CG_OK;
        }
    }
    cg_err e = index_find(s, score, &sum, eb);
    if (e) {
        return e;
    }
    if (sum.place.kind != kind) {
        char text[2 * STORE_SCORE_BYTES + 1];
        store_score_text(score, text);
        return cg_fail(eb, CG_ENOENT, "%.16s...: the store holds no %s of that score", text,
                       kind == STORE_NODE ? "node" : "data");
    }
    *place = sum.place;
    return CG_OK;
}

cg_err store_get(struct store *s, enum store_object kind, const struct store_score *score,
                 struct cg_span *out, struct cg_errbuf *eb)
{
    struct entry place;
    cg_err e = is_next(s, kind, score, &place) ? CG_OK : find_place(s, kind, score, &place, eb);
    if (e) {
        return e;
    }
    e = store_get_at(s, &place, score, out, eb);
    if (e != CG_ENOENT) {
        s->last[kind] = place;
        return e;
    }
    /* The pack is gone: a collector moved what lives in it since this state was read. */
    e = store_refresh(s, eb);
    if (!e) {
        e = find_place(s, kind, score, &place, eb);
    }
    return e ? e : store_get_at(s, &place, score, out, eb);
}

cg_err store_get_on(struct store *s, enum store_object kind, const struct store_score *score,
                    uint64_t bytes, struct cg_span *out, struct cg_errbuf *eb)
{
    s->wanted = bytes;
    cg_err e = store_get(s, kind, score, out, eb);
    s->wanted = 0;
    return e;
}

bool store_has(struct store *s, const struct store_score *score)
{
    struct cg_errbuf eb = {0};
    bool has = false;
    if (s->writer) {
        const struct entry *own = memtable_find(&s->writer->mem, score);
        if (own && own->kind) {
            return true;
        }
    }
    return index_has(s, score, &has, &eb) == CG_OK && has;
}
