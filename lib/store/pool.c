/* Helpers that compress frames, and the pack that all of them append to.
 *
 * Compressing is nearly all of a writer's time, so it is done by several threads at once; sealing
 * and appending, a tenth of it, under the lock. When the queue is full the writer compresses a
 * frame itself, so two threads keep two cores busy. One lock protects everything here and the
 * writer's fields that say so. */
#include "store__.h"

#include <string.h>

enum { QUEUE_MAX = 3, THREADS_MAX = 16 };

struct pool {
    struct store_writer *w;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pthread_t thread[THREADS_MAX];
    struct packer *packer[THREADS_MAX + 1]; /* the last is the writer's own */
    uint32_t threads;
    struct frame *queue[QUEUE_MAX], *spare[QUEUE_MAX + THREADS_MAX + 4];
    uint32_t queued, spares, busy;
    bool stop;
    struct pack_out *pack;
    uint64_t pack_raw; /* of pack: what its record will say */
    struct placed *placed;
    size_t places, places_cap;
    uint32_t first; /* frame of placed[0] */
    cg_err failed;
    struct cg_errbuf eb;
};

void pool_lock(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
}

void pool_unlock(struct pool *p)
{
    pthread_mutex_unlock(&p->lock);
}

/* Ends the pack that is open. Called with the lock, which is free while the disk works. */
static cg_err end_pack(struct pool *p, struct cg_errbuf *eb)
{
    struct store_writer *w = p->w;
    struct pack_out *pack = p->pack;
    uint64_t raw = p->pack_raw;
    if (!pack) {
        return CG_OK;
    }
    p->pack = NULL;
    p->pack_raw = 0;
    pool_unlock(p);
    cg_err e = pack_end(pack, eb);
    pool_lock(p);
    if (!e && !array_room(&w->pack, &w->packs_cap, w->packs, sizeof *w->pack)) {
        e = CG_ENOMEM;
    }
    if (!e) {
        w->pack[w->packs++] =
            (struct pack_record){.id = pack->id, .bytes = pack->at, .raw = raw, .live = raw};
        w->counts.bytes_packed += pack->at;
    }
    pack_out_free(pack);
    return e;
}

static cg_err append(struct pool *p, struct frame *f, struct cg_errbuf *eb)
{
    struct placed place = {0};
    cg_err e = CG_OK;
    if (!p->pack) {
        cg_assert(p->w->pack_next < p->w->pack_end);
        e = pack_create(p->w->s, p->w->pack_next++, &p->pack, eb);
    }
    if (!e) {
        place.pack = p->pack->id;
        e = pack_append(p->pack, f, &place.at, eb);
    }
    if (!e) {
        p->placed[f->number - p->first] = place;
    }
    for (uint32_t i = 0; !e && i < f->count; i++) {
        p->pack_raw += object_units(f->len[i]) * (uint64_t)ENTRY_SIZE_UNIT;
    }
    bool full = !e && (p->pack->at > PACK_BYTES_MAX || p->pack->objects > PACK_OBJECTS_MAX);
    return full ? end_pack(p, eb) : e;
}

/* Compresses and appends; called without the lock. The frame is spare afterwards. */
static void work_on(struct pool *p, struct packer *packer, struct frame *f)
{
    struct cg_errbuf eb = {0};
    cg_err e = frame_pack(f, packer);
    pool_lock(p);
    if (!e && !p->failed) {
        e = append(p, f, &eb);
    }
    if (e && !p->failed) {
        p->failed = e;
        p->eb = eb;
    }
    if (p->spares < CG_COUNT(p->spare)) {
        p->spare[p->spares++] = f;
    } else {
        frame_free(f);
    }
    pool_unlock(p);
}

static void *help(void *arg)
{
    struct pool *p = arg;
    pool_lock(p);
    struct packer *packer =
        p->packer[p->busy++]; /* busy counts the starting ones until all are there */
    pthread_cond_signal(&p->idle);
    while (!p->stop) {
        if (p->queued == 0) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        struct frame *f = p->queue[0];
        memmove(p->queue, p->queue + 1, --p->queued * sizeof *p->queue);
        p->busy++;
        pool_unlock(p);
        work_on(p, packer, f);
        pool_lock(p);
        p->busy--;
        pthread_cond_signal(&p->idle);
    }
    pool_unlock(p);
    return NULL;
}

cg_err pool_new(struct store_writer *w, uint32_t threads, struct pool **out)
{
    struct pool *p = cg_zalloc(sizeof *p);
    if (!p) {
        return CG_ENOMEM;
    }
    p->w = w;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
    threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    for (uint32_t i = 0; i <= threads; i++) {
        p->packer[i == threads ? THREADS_MAX : i] = packer_new(w->level);
        if (!p->packer[i == threads ? THREADS_MAX : i]) {
            pool_free(p);
            return CG_ENOMEM;
        }
    }
    pool_lock(p);
    for (; p->threads < threads; p->threads++) {
        if (pthread_create(&p->thread[p->threads], NULL, help, p) != 0) {
            break; /* fewer helpers, or none, do as well */
        }
    }
    while (p->busy < p->threads) {
        pthread_cond_wait(&p->idle, &p->lock);
    }
    p->busy = 0;
    pool_unlock(p);
    *out = p;
    return CG_OK;
}

void pool_free(struct pool *p)
{
    if (!p) {
        return;
    }
    pool_lock(p);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pool_unlock(p);
    for (uint32_t i = 0; i < p->threads; i++) {
        pthread_join(p->thread[i], NULL);
    }
    for (uint32_t i = 0; i < p->queued; i++) {
        frame_free(p->queue[i]);
    }
    for (uint32_t i = 0; i < p->spares; i++) {
        frame_free(p->spare[i]);
    }
    for (size_t i = 0; i < CG_COUNT(p->packer); i++) {
        packer_free(p->packer[i]);
    }
    if (p->pack) { /* it was not ended, so no state names it */
        char path[PATH_BYTES];
        numbered_path(path, "packs", p->pack->id, 8);
        pack_out_free(p->pack);
        p->w->s->io->remove(p->w->s->io->ctx, path);
    }
    cg_free(p->placed);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    cg_free(p);
}

struct frame *pool_frame(struct pool *p)
{
    pool_lock(p);
    struct frame *f = p->spares ? p->spare[--p->spares] : NULL;
    pool_unlock(p);
    return f ? f : frame_new();
}

static cg_err room_for(struct pool *p, uint32_t number)
{
    while (p->places <= number - p->first) {
        if (!array_room(&p->placed, &p->places_cap, p->places, sizeof *p->placed)) {
            return CG_ENOMEM;
        }
        p->placed[p->places++] = (struct placed){0};
    }
    return CG_OK;
}

static cg_err failure(struct pool *p, struct cg_errbuf *eb)
{
    if (p->failed && eb) {
        *eb = p->eb;
    }
    return p->failed;
}

cg_err pool_submit(struct pool *p, struct frame *f, struct cg_errbuf *eb)
{
    pool_lock(p);
    cg_err e = failure(p, eb);
    e = e ? e : room_for(p, f->number);
    if (e) {
        pool_unlock(p);
        frame_free(f);
        return e;
    }
    bool mine = p->threads == 0 || p->queued == QUEUE_MAX;
    if (!mine) {
        p->queue[p->queued++] = f;
        pthread_cond_signal(&p->work);
    }
    pool_unlock(p);
    if (mine) {
        work_on(p, p->packer[THREADS_MAX], f);
    }
    pool_lock(p);
    e = failure(p, eb);
    pool_unlock(p);
    return e;
}

cg_err pool_drain(struct pool *p, struct cg_errbuf *eb)
{
    pool_lock(p);
    while (p->queued) {
        struct frame *f = p->queue[--p->queued];
        pool_unlock(p);
        work_on(p, p->packer[THREADS_MAX], f);
        pool_lock(p);
    }
    while (p->busy) {
        pthread_cond_wait(&p->idle, &p->lock);
    }
    cg_err e = failure(p, eb);
    if (!e) {
        e = end_pack(p, eb);
        p->failed = e;
        if (e && eb) {
            p->eb = *eb;
        }
    }
    bool made = p->w->packs > 0;
    pool_unlock(p);
    const struct store_io *io = p->w->s->io;
    return !e && made ? io->sync_dir(io->ctx, "packs") : e;
}

struct placed pool_placed(const struct pool *p, uint32_t frame)
{
    cg_assert(frame - p->first < p->places && p->placed[frame - p->first].pack);
    return p->placed[frame - p->first];
}

void pool_forget(struct pool *p)
{
    p->first = p->w->frames;
    p->places = 0;
}
