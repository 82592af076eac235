/* The state: one small sealed file that names all packs, runs, references and leases. State N + 1
 * is made from N and published under its number, which fails when another was first: then it is
 * made again from that one. So the store changes at one instant, and everything that states name is
 * immutable.
 *
 * Body: number 8, wall 8, epoch 8, fence_next 8, condemned_epoch 8, pack_next 4, run_next 4, counts
 * of packs, runs, refs, leases 4 each; packs: id 4, bytes 8, raw 8, live 8; runs: id 4, kind 4,
 * entries 8; refs: score 24, epoch 8, time 8, name with its length 1; leases: fence 8, epoch 8,
 * expires 8, pack_next 4, pack_end 4, run_next 4, run_end 4, role 1, holder with its length 1.
 */
#include "store__.h"

#include <string.h>

enum {
    BODY_HEAD_BYTES = 5 * 8 + 6 * 4,
    PACK_RECORD_BYTES = 28,
    RUN_RECORD_BYTES = 16,
    REF_RECORD_BYTES = STORE_SCORE_BYTES + 16 + 1,
    LEASE_RECORD_BYTES = 3 * 8 + 6 * 4 + 1 + 1,
};

void state_fini(struct state *st)
{
    for (size_t i = 0; i < st->refs; i++) {
        cg_free(st->ref[i].name);
    }
    cg_free(st->pack);
    cg_free(st->run);
    cg_free(st->ref);
    cg_free(st->lease);
    *st = (struct state){0};
}

static size_t body_bytes(const struct state *st)
{
    size_t n = BODY_HEAD_BYTES + st->packs * PACK_RECORD_BYTES + st->runs * RUN_RECORD_BYTES;
    for (size_t i = 0; i < st->refs; i++) {
        n += REF_RECORD_BYTES + strlen(st->ref[i].name);
    }
    for (size_t i = 0; i < st->leases; i++) {
        n += LEASE_RECORD_BYTES + strlen(st->lease[i].holder);
    }
    return n;
}

static void put_text(struct cg_buf *b, const char *text)
{
    cg_put_u8(b, (uint8_t)strlen(text));
    cg_put_bytes(b, text, strlen(text));
}

static void put_lease(struct cg_buf *b, const struct lease_record *l)
{
    cg_put_u64(b, l->fence);
    cg_put_u64(b, l->epoch);
    cg_put_u64(b, l->expires_ns);
    cg_put_u32(b, l->pack_next);
    cg_put_u32(b, l->pack_end);
    cg_put_u32(b, l->run_next);
    cg_put_u32(b, l->run_end);
    cg_put_u32(b, l->pack_low);
    cg_put_u32(b, l->run_low);
    cg_put_u8(b, l->role);
    put_text(b, l->holder);
}

cg_err state_encode(const struct state *st, struct cg_str *out)
{
    size_t bytes = body_bytes(st);
    char *data = cg_alloc(bytes + 1);
    if (!data) {
        return CG_ENOMEM;
    }
    struct cg_buf b = cg_buf_writer(data, bytes);
    cg_put_u64(&b, st->number);
    cg_put_u64(&b, st->wall_ns);
    cg_put_u64(&b, st->epoch);
    cg_put_u64(&b, st->fence_next);
    cg_put_u64(&b, st->condemned_epoch);
    cg_put_u32(&b, st->pack_next);
    cg_put_u32(&b, st->run_next);
    cg_put_u32(&b, (uint32_t)st->packs);
    cg_put_u32(&b, (uint32_t)st->runs);
    cg_put_u32(&b, (uint32_t)st->refs);
    cg_put_u32(&b, (uint32_t)st->leases);
    for (size_t i = 0; i < st->packs; i++) {
        cg_put_u32(&b, st->pack[i].id);
        cg_put_u64(&b, st->pack[i].bytes);
        cg_put_u64(&b, st->pack[i].raw);
        cg_put_u64(&b, st->pack[i].live);
    }
    for (size_t i = 0; i < st->runs; i++) {
        cg_put_u32(&b, st->run[i].id);
        cg_put_u32(&b, st->run[i].kind);
        cg_put_u64(&b, st->run[i].entries);
    }
    for (size_t i = 0; i < st->refs; i++) {
        cg_put_bytes(&b, st->ref[i].score.b, STORE_SCORE_BYTES);
        cg_put_u64(&b, st->ref[i].epoch);
        cg_put_u64(&b, st->ref[i].time_ns);
        put_text(&b, st->ref[i].name);
    }
    for (size_t i = 0; i < st->leases; i++) {
        put_lease(&b, &st->lease[i]);
    }
    cg_assert(!b.bad && b.pos == bytes);
    cg_str_fini(out);
    data[bytes] = 0;
    *out = (struct cg_str){.data = data, .len = bytes, .cap = bytes + 1};
    return CG_OK;
}

/* ---- decoding ---- */

/* An array for count records, each of at least so many bytes in what is left. */
static bool room(struct cg_buf *b, void *array, size_t *cap, size_t count, size_t record_bytes,
                 size_t item_bytes)
{
    void **p = array;
    if (b->bad || count > cg_buf_left(b) / record_bytes) {
        b->bad = true;
        return false;
    }
    *p = cg_zalloc(count * item_bytes);
    *cap = *p ? count : 0;
    return *p != NULL;
}

static bool get_text(struct cg_buf *b, char *out, size_t cap)
{
    struct cg_span s = cg_get_span(b, cg_get_u8(b));
    if (b->bad || !cg_span_str(s, out, cap)) {
        b->bad = true;
    }
    return !b->bad;
}

static void get_packs(struct cg_buf *b, struct state *st)
{
    for (size_t i = 0; i < st->packs; i++) {
        struct pack_record *p = &st->pack[i];
        p->id = cg_get_u32(b);
        p->bytes = cg_get_u64(b);
        p->raw = cg_get_u64(b);
        p->live = cg_get_u64(b);
    }
}

static void get_runs(struct cg_buf *b, struct state *st)
{
    for (size_t i = 0; i < st->runs; i++) {
        struct run_record *r = &st->run[i];
        r->id = cg_get_u32(b);
        uint32_t kind = cg_get_u32(b);
        r->kind = (uint16_t)kind;
        r->entries = cg_get_u64(b);
        b->bad = b->bad || kind > RUN_CONDEMNED || r->entries == 0 ||
                 r->entries / PAGE_ENTRIES >= UINT32_MAX / 2;
    }
}

/* Gives how many have a name of their own. */
static cg_err get_refs(struct cg_buf *b, struct state *st, size_t count)
{
    char name[STORE_NAME_BYTES_MAX + 1];
    for (; st->refs < count; st->refs++) {
        struct ref_record *r = &st->ref[st->refs];
        struct cg_span score = cg_get_span(b, STORE_SCORE_BYTES);
        r->epoch = cg_get_u64(b);
        r->time_ns = cg_get_u64(b);
        if (!get_text(b, name, sizeof name)) {
            return CG_EBADFORMAT;
        }
        memcpy(r->score.b, score.data, STORE_SCORE_BYTES);
        r->name = cg_strdup(name);
        if (!r->name) {
            return CG_ENOMEM;
        }
        if (st->refs > 0 && strcmp(st->ref[st->refs - 1].name, name) >= 0) {
            st->refs++; /* its name is freed with the others */
            return CG_EBADFORMAT;
        }
    }
    return CG_OK;
}

static void get_leases(struct cg_buf *b, struct state *st)
{
    for (size_t i = 0; i < st->leases; i++) {
        struct lease_record *l = &st->lease[i];
        l->fence = cg_get_u64(b);
        l->epoch = cg_get_u64(b);
        l->expires_ns = cg_get_u64(b);
        l->pack_next = cg_get_u32(b);
        l->pack_end = cg_get_u32(b);
        l->run_next = cg_get_u32(b);
        l->run_end = cg_get_u32(b);
        l->pack_low = cg_get_u32(b);
        l->run_low = cg_get_u32(b);
        l->role = cg_get_u8(b);
        b->bad = b->bad || l->role >= LEASE_ROLES;
        get_text(b, l->holder, sizeof l->holder);
    }
}

static cg_err decode_arrays(struct cg_buf *b, struct state *st)
{
    size_t packs = cg_get_u32(b), runs = cg_get_u32(b), refs = cg_get_u32(b),
           leases = cg_get_u32(b);
    if (!room(b, &st->pack, &st->packs_cap, packs, PACK_RECORD_BYTES, sizeof *st->pack)) {
        return b->bad ? CG_EBADFORMAT : CG_ENOMEM;
    }
    st->packs = packs;
    get_packs(b, st);
    if (!room(b, &st->run, &st->runs_cap, runs, RUN_RECORD_BYTES, sizeof *st->run)) {
        return b->bad ? CG_EBADFORMAT : CG_ENOMEM;
    }
    st->runs = runs;
    get_runs(b, st);
    if (!room(b, &st->ref, &st->refs_cap, refs, REF_RECORD_BYTES, sizeof *st->ref)) {
        return b->bad ? CG_EBADFORMAT : CG_ENOMEM;
    }
    cg_err e = get_refs(b, st, refs);
    if (e) {
        return e;
    }
    if (!room(b, &st->lease, &st->leases_cap, leases, LEASE_RECORD_BYTES, sizeof *st->lease)) {
        return b->bad ? CG_EBADFORMAT : CG_ENOMEM;
    }
    st->leases = leases;
    get_leases(b, st);
    return b->bad || cg_buf_left(b) ? CG_EBADFORMAT : CG_OK;
}

cg_err state_decode(const void *data, size_t len, struct state *st)
{
    struct cg_buf b = cg_buf_reader(data, len);
    *st = (struct state){0};
    st->number = cg_get_u64(&b);
    st->wall_ns = cg_get_u64(&b);
    st->epoch = cg_get_u64(&b);
    st->fence_next = cg_get_u64(&b);
    st->condemned_epoch = cg_get_u64(&b);
    st->pack_next = cg_get_u32(&b);
    st->run_next = cg_get_u32(&b);
    cg_err e = decode_arrays(&b, st);
    if (e) {
        state_fini(st);
    }
    return e;
}

/* ---- files ---- */

static struct aead *state_key(const struct store *s, const uint8_t *salt, bool encrypt)
{
    uint8_t key[KEY_BYTES];
    key_derive(s->keys.store, "cognu store state", salt, SALT_BYTES, key, sizeof key);
    struct aead *a = aead_new(key, encrypt);
    cg_wipe(key, sizeof key);
    return a;
}

cg_err state_write(struct store *s, const struct state *st, bool *taken, struct cg_errbuf *eb)
{
    struct cg_str body = {0};
    uint8_t salt[SALT_BYTES];
    char path[PATH_BYTES];
    *taken = false;
    s->env.random(s->env.ctx, salt, sizeof salt);
    cg_err e = state_encode(st, &body);
    struct aead *a = e ? NULL : state_key(s, salt, true);
    size_t bytes = STATE_HEAD_BYTES + body.len + TAG_BYTES;
    uint8_t *file = a ? cg_alloc(bytes) : NULL;
    if (file) {
        struct cg_buf b = cg_buf_writer(file, STATE_HEAD_BYTES);
        cg_put_bytes(&b, STATE_MAGIC, 8);
        cg_put_u16(&b, FORMAT_VERSION);
        cg_put_u16(&b, STATE_IN_UNITS);
        cg_put_u32(&b, 0);
        cg_put_u64(&b, st->number);
        cg_put_bytes(&b, s->id, ID_BYTES);
        cg_put_bytes(&b, salt, SALT_BYTES);
        aead_seal(a, 0, file, STATE_HEAD_BYTES, body.data, body.len, file + STATE_HEAD_BYTES);
        numbered_path(path, "state", st->number, 16);
        e = file_publish(s->io, "state", path, file, bytes, false, eb);
        *taken = e == CG_EEXIST;
    } else {
        e = e ? e : CG_ENOMEM;
    }
    aead_free(a);
    cg_free(file);
    cg_str_fini(&body);
    return e;
}

/* below: only those before it; 0: any. */
static cg_err newest_number(struct store *s, uint64_t below, uint64_t *number, struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    cg_err e = s->io->list(s->io->ctx, "state", &names);
    *number = 0;
    for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
        uint64_t n;
        if (numbered_name(names.data + at, 16, &n) && n > *number && (!below || n < below)) {
            *number = n;
        }
    }
    cg_str_fini(&names);
    if (!e && *number == 0) {
        return cg_fail(eb, CG_EIO, "state: there is none; `store repair` makes one from the packs");
    }
    return e ? cg_fail(eb, e, "state: %s", cg_err_meaning(e)) : CG_OK;
}

/* A state that was made when packs' bytes were counted one by one: its numbers become odd, so that
 * what lives, which is whole units, never equals them. */
static cg_err into_units(struct state *st, struct cg_str *body)
{
    for (size_t i = 0; i < st->packs; i++) {
        st->pack[i].raw |= 1;
    }
    cg_err e = state_encode(st, body);
    if (e) {
        state_fini(st);
    }
    return e;
}

static cg_err open_body(struct store *s, const struct cg_str *file, uint64_t number,
                        struct cg_str *body, struct state *st)
{
    if (file->len < STATE_HEAD_BYTES + TAG_BYTES) {
        return CG_EIO;
    }
    struct cg_buf b = cg_buf_reader(file->data, STATE_HEAD_BYTES);
    struct cg_span magic = cg_get_span(&b, 8);
    uint32_t version = cg_get_u16(&b), features = cg_get_u16(&b), zero = cg_get_u32(&b);
    uint64_t said = cg_get_u64(&b);
    struct cg_span id = cg_get_span(&b, ID_BYTES), salt = cg_get_span(&b, SALT_BYTES);
    if (memcmp(magic.data, STATE_MAGIC, 8) != 0 || version != FORMAT_VERSION ||
        features > STATE_IN_UNITS || zero != 0 || said != number ||
        memcmp(id.data, s->id, ID_BYTES) != 0) {
        return CG_EIO;
    }
    size_t len = file->len - STATE_HEAD_BYTES - TAG_BYTES;
    struct aead *a = state_key(s, salt.data, false);
    char *data = a ? cg_alloc(len + 1) : NULL;
    cg_err e = data ? CG_OK : CG_ENOMEM;
    if (!e && !aead_open(a, 0, file->data, STATE_HEAD_BYTES,
                         (const uint8_t *)file->data + STATE_HEAD_BYTES, len, data)) {
        e = CG_EIO;
    }
    aead_free(a);
    if (!e) {
        e = state_decode(data, len, st);
    }
    if (e) {
        cg_free(data);
        return e;
    }
    cg_str_fini(body);
    *body = (struct cg_str){.data = data, .len = len, .cap = len + 1};
    return features == STATE_IN_UNITS ? CG_OK : into_units(st, body);
}

cg_err state_load(struct store *s, bool *changed, struct cg_errbuf *eb)
{
    enum { TRIES = 16 }; /* the newest may be replaced and removed while it is being read */
    cg_err e = CG_OK;
    uint64_t number = 0;
    *changed = false;
    for (int i = 0; i < TRIES; i++) {
        char path[PATH_BYTES];
        struct cg_str file = {0};
        struct state st;
        e = newest_number(s, 0, &number, eb);
        if (s->o.repair && e == CG_EIO && s->state.number == 0) {
            return CG_OK; /* there is none, and repair is about to make one */
        }
        if (e || number == s->state.number) {
            return e;
        }
        numbered_path(path, "state", number, 16);
        e = file_read_all(s->io, path, STATE_BYTES_MAX, &file, eb);
        if (e == CG_ENOENT) {
            continue;
        }
        if (!e) {
            e = open_body(s, &file, number, &s->state_text, &st);
        }
        cg_str_fini(&file);
        if (!e) {
            state_fini(&s->state);
            s->state = st;
            *changed = true;
            return CG_OK;
        }
        break;
    }
    return e == CG_ENOMEM
               ? e
               : cg_fail(eb, e,
                         "state/%016llx is damaged; `store repair` goes back to one that is whole",
                         (unsigned long long)number);
}

cg_err state_load_whole(struct store *s, bool *older, struct cg_errbuf *eb)
{
    uint64_t newest = 0, number = 0;
    const struct state none = {.epoch = 1, .pack_next = 1, .run_next = 1};
    struct state st = none;
    cg_err e = newest_number(s, 0, &newest, NULL);
    *older = e == CG_EIO;
    for (number = newest; !e;) {
        char path[PATH_BYTES];
        struct cg_str file = {0};
        numbered_path(path, "state", number, 16);
        e = file_read_all(s->io, path, STATE_BYTES_MAX, &file, eb);
        e = e ? e : open_body(s, &file, number, &s->state_text, &st);
        cg_str_fini(&file);
        if (!e || e == CG_ENOMEM) {
            break;
        }
        *older = true;
        e = newest_number(s, number, &number, NULL);
    }
    if (e && e != CG_EIO) {
        return e;
    }
    st = e ? none : st;
    state_fini(&s->state);
    s->state = st;
    s->state.number = newest;
    return state_encode(&s->state, &s->state_text);
}

static void remove_old(struct store *s)
{
    char path[PATH_BYTES];
    if (s->state.number > STATES_KEPT) {
        numbered_path(path, "state", s->state.number - STATES_KEPT, 16);
        s->io->remove(s->io->ctx, path); /* a store that only grows refuses; nothing is lost */
    }
}

cg_err state_commit(struct store *s, state_edit *edit, void *arg, struct cg_errbuf *eb)
{
    enum { TRIES = 10000 }; /* each time another writer got its change in */
    if (s->o.read_only) {
        return cg_fail(eb, CG_EROFS, "the store was opened for reading");
    }
    for (int i = 0; i < TRIES; i++) {
        struct state next;
        bool taken = false;
        cg_err e = store_refresh(s, eb); /* what edit refuses may be tried again: by these runs */
        if (!e) {
            e = state_decode(s->state_text.data, s->state_text.len, &next);
        }
        if (e) {
            return e;
        }
        e = edit(s, &next, arg, eb);
        if (!e) {
            next.number++;
            next.wall_ns = s->env.wall_ns(s->env.ctx);
            e = state_write(s, &next, &taken, eb);
        }
        state_fini(&next);
        if (!e) {
            e = store_refresh(s, eb);
            remove_old(s);
            return e;
        }
        if (!taken && e != CG_ENOENT) { /* ENOENT: a collector removed our temporary file */
            return e;
        }
    }
    return cg_fail(eb, CG_EBUSY, "the state changes faster than this writer can follow");
}

struct lease_record *state_lease(struct state *st, uint64_t fence)
{
    for (size_t i = 0; i < st->leases; i++) {
        if (st->lease[i].fence == fence) {
            return &st->lease[i];
        }
    }
    return NULL;
}

struct ref_record *state_ref(struct state *st, const char *name)
{
    for (size_t i = 0; i < st->refs; i++) {
        if (strcmp(st->ref[i].name, name) == 0) {
            return &st->ref[i];
        }
    }
    return NULL;
}

struct pack_record *state_pack(struct state *st, uint32_t id)
{
    for (size_t i = 0; i < st->packs; i++) {
        if (st->pack[i].id == id) {
            return &st->pack[i];
        }
    }
    return NULL;
}

bool state_drop_run(struct state *st, uint32_t id)
{
    for (size_t i = 0; i < st->runs; i++) {
        if (st->run[i].id == id) {
            memmove(&st->run[i], &st->run[i + 1], (st->runs - i - 1) * sizeof *st->run);
            st->runs--;
            return true;
        }
    }
    return false;
}

cg_err state_dump(struct store *s, struct cg_str *out)
{
    static const char *const role[LEASE_ROLES] = {"", " collector", " hold"};
    const struct state *st = &s->state;
    char score[2 * STORE_SCORE_BYTES + 1];
    cg_err e =
        cg_str_addf(out, "state %llu epoch %llu condemned %llu\n", (unsigned long long)st->number,
                    (unsigned long long)st->epoch, (unsigned long long)st->condemned_epoch);
    for (size_t i = 0; i < st->packs && !e; i++) {
        const struct pack_record *p = &st->pack[i];
        e = cg_str_addf(out, "pack %08x bytes %llu raw %llu live %llu\n", p->id,
                        (unsigned long long)p->bytes, (unsigned long long)p->raw,
                        (unsigned long long)p->live);
    }
    for (size_t i = 0; i < st->runs && !e; i++) {
        e = cg_str_addf(out, "run %08x %s entries %llu\n", st->run[i].id,
                        st->run[i].kind == RUN_CONDEMNED ? "condemned" : "entries",
                        (unsigned long long)st->run[i].entries);
    }
    for (size_t i = 0; i < st->refs && !e; i++) {
        store_score_text(&st->ref[i].score, score);
        e = cg_str_addf(out, "ref %s %s epoch %llu\n", score, st->ref[i].name,
                        (unsigned long long)st->ref[i].epoch);
    }
    for (size_t i = 0; i < st->leases && !e; i++) {
        const struct lease_record *l = &st->lease[i];
        e = cg_str_addf(out, "lease %llu%s epoch %llu packs %08x-%08x runs %08x-%08x holder %s\n",
                        (unsigned long long)l->fence, role[l->role], (unsigned long long)l->epoch,
                        l->pack_next, l->pack_end, l->run_next, l->run_end, l->holder);
    }
    return e;
}
