/* Neighbours: objects of one frame were put one after another, and are put again so. Their scores
 * are spread over the whole index; so when one is found there, those beside it are remembered from
 * the directory of its frame, and cost no read of the index.
 *
 * A frame says what was put, not what lives. So only packs count of which everything lives by the
 * state, and all is forgotten when that may have changed: whatever leaves the index was condemned
 * before, and what is condemned the caller asks for itself. */
#include "store__.h"

#include <string.h>

enum {
    WAYS = 2,
    SETS = 16 << 10, /* with WAYS scores each: several frames of the smallest objects */
};

cg_err near_init(struct near *n)
{
    n->score = cg_zalloc(sizeof *n->score * SETS * WAYS);
    return n->score ? CG_OK : CG_ENOMEM;
}

void near_fini(struct near *n)
{
    frame_in_fini(&n->frame);
    cg_free(n->score);
    *n = (struct near){0};
}

static struct store_score *set_of(const struct near *n, const struct store_score *score)
{
    struct cg_buf b = cg_buf_reader(score->b + 16, 4);
    return &n->score[cg_get_u32(&b) % SETS * WAYS];
}

void near_sync(struct store *s)
{
    struct near *n = &s->near;
    if (n->score && (n->epoch != s->state.epoch || n->condemned != s->state.condemned_epoch)) {
        memset(n->score, 0, sizeof *n->score * SETS * WAYS);
        memset(n->learned, 0, sizeof n->learned);
        n->epoch = s->state.epoch;
        n->condemned = s->state.condemned_epoch;
    }
}

bool near_has(const struct store *s, const struct store_score *score)
{
    const struct store_score *set = s->near.score ? set_of(&s->near, score) : NULL;
    return set && (store_score_is(&set[0], score) || store_score_is(&set[1], score));
}

static void add(struct near *n, const struct store_score *score)
{
    struct store_score *set = set_of(n, score);
    if (!store_score_is(&set[0], score)) {
        set[1] = set[0];
        set[0] = *score;
    }
}

void near_learn(struct store *s, const struct entry *place)
{
    struct near *n = &s->near;
    struct cg_errbuf unused = {0};
    struct pack_in *p;
    for (size_t i = 0; i < CG_COUNT(n->learned); i++) {
        if (n->learned[i].pack == place->pack && n->learned[i].at == place->at) {
            return;
        }
    }
    const struct pack_record *rec = n->score ? state_pack(&s->state, place->pack) : NULL;
    if (!rec || rec->live != rec->raw) {
        return;
    }
    n->learned[n->next++ % CG_COUNT(n->learned)] = (struct placed){place->pack, place->at};
    /* A frame that cannot be read is no loss: each of its objects is looked up then. */
    if (store_pack(s, place->pack, &p, &unused) != CG_OK ||
        pack_load(s->io, p, &s->load, place->at, false, &n->frame, &unused) != CG_OK) {
        return;
    }
    for (uint32_t i = 0; i < n->frame.count; i++) {
        add(n, &n->frame.score[i]);
    }
}
