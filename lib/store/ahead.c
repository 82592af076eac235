/* Frames that are loaded before they are asked for, by one thread.
 *
 * What was put in one go lies in packs as it was put, so a reader that goes on in order (a large
 * file, or many small ones) asks for frame after frame of a pack. Once it has asked for AHEAD_RUN
 * in a row, the thread follows that pack in front of it: reads, opens and unpacks the next frames,
 * and compares all their objects with their scores. Who asks at once for more than is in a frame
 * gets those behind it loaded likewise, as far as that goes. Nothing of it can be old, for packs
 * never change; who removes or rewrites one says so (ahead_forget).
 *
 * One pack is followed at a time. Another reader gets it when the present one has not taken a frame
 * for AHEAD_PATIENCE turns of the other: two that take turns do not throw away each other's frames.
 *
 * ahead->lock protects what is not said to be the thread's own. A slot that is LOADING belongs to
 * the thread; no lock is held while it works. */
#include "ahead.h"

#include <string.h>

enum slot_state { SLOT_FREE, SLOT_LOADING, SLOT_READY };
struct slot {
    enum slot_state state;
    bool stale;         /* dropped while it was loading */
    uint32_t at;        /* of its frame */
    struct frame_in in; /* its buffers stay when it is free */
};
struct ahead {
    struct store *s; /* of it only what does not change: io, keys, id */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    bool running, stop;

    uint32_t pack, next; /* what is followed, and the place of the frame to load next; 0: nothing */
    uint8_t kind;        /* of its frames; others are passed over */
    uint64_t want;       /* bytes of objects from next on; AHEAD_ALL: he reads on */
    uint32_t own;        /* the place of a frame that the reader loads himself; 0: of none */
    uint32_t others;     /* turns of others since a frame was taken */
    struct slot slot[AHEAD_FRAMES];
    uint64_t taken; /* frames that were there, or under way, when they were asked for */

    struct load load; /* these three are the thread's own while a slot is loading */
    struct scorer *scorer;
    struct pack_in in;
};

static struct slot *slot_of(struct ahead *a, enum slot_state state)
{
    for (int i = 0; i < AHEAD_FRAMES; i++) {
        if (a->slot[i].state == state) {
            return &a->slot[i];
        }
    }
    return NULL;
}

static struct slot *slot_at(struct ahead *a, uint32_t pack, uint32_t at)
{
    for (int i = 0; pack == a->pack && i < AHEAD_FRAMES; i++) {
        struct slot *s = &a->slot[i];
        if (s->state != SLOT_FREE && !s->stale && s->at == at) {
            return s;
        }
    }
    return NULL;
}

/* Those in front of a place: the reader has passed them. */
static void drop_before(struct ahead *a, uint32_t at)
{
    for (int i = 0; i < AHEAD_FRAMES; i++) {
        struct slot *s = &a->slot[i];
        if (s->at < at && s->state == SLOT_READY) {
            s->state = SLOT_FREE;
        } else if (s->at < at && s->state == SLOT_LOADING) {
            s->stale = true;
        }
    }
}

/* The first place that is loaded or will be. */
static uint32_t front(const struct ahead *a)
{
    uint32_t at = a->next ? a->next : UINT32_MAX;
    for (int i = 0; i < AHEAD_FRAMES; i++) {
        const struct slot *s = &a->slot[i];
        if (s->state != SLOT_FREE && !s->stale && s->at < at) {
            at = s->at;
        }
    }
    return at;
}

/* The thread has work. */
static bool follows(const struct ahead *a)
{
    return a->next && a->want;
}

static void take_off(uint64_t *want, uint64_t bytes)
{
    if (*want != AHEAD_ALL) {
        *want -= bytes < *want ? bytes : *want;
    }
}

/* ---- the thread ---- */

/* The first frame of that kind from *at on, but for the reader's own. */
static cg_err find_frame(struct ahead *a, uint8_t kind, uint32_t own, uint32_t *at)
{
    const struct store_io *io = a->s->io;
    uint8_t bytes[FRAME_HEAD_BYTES];
    struct frame_head h;
    size_t got = 0;
    for (;;) {
        cg_err e = io->read(io->ctx, a->in.file, *at, bytes, sizeof bytes, &got);
        if (e || got < sizeof bytes || frame_head_decode(bytes, &h)) {
            return e ? e : CG_ENOENT; /* the end, or damage: the reader will find it */
        }
        if (h.kind == kind && *at != own) {
            return CG_OK;
        }
        *at += frame_head_total(&h); /* at least the head: this ends with the pack */
    }
}

struct job { /* what it was when it began */
    uint32_t pack, own;
    uint8_t kind;
    uint64_t want;
};

static cg_err load_frame(struct ahead *a, const struct job *j, uint32_t *at, struct frame_in *f)
{
    cg_err e = CG_OK;
    if (!a->in.file || a->in.id != j->pack) {
        pack_close(a->s->io, &a->in);
        e = pack_open(a->s, j->pack, &a->in, NULL);
    }
    e = e ? e : find_frame(a, j->kind, j->own, at);
    e = e ? e : pack_load(a->s->io, &a->in, &a->load, *at, true, f, NULL);
    return e || frame_check_first(f, frame_objects_in(f, j->want), a->scorer) ? e : CG_EIO;
}

static void work_on(struct ahead *a, struct slot *s)
{
    const struct job j = {.pack = a->pack, .own = a->own, .kind = a->kind, .want = a->want};
    uint32_t at = a->next;
    s->state = SLOT_LOADING;
    s->stale = false;
    s->at = at;
    pthread_mutex_unlock(&a->lock);
    cg_err e = load_frame(a, &j, &at, &s->in);
    pthread_mutex_lock(&a->lock);
    if (!s->stale) {
        a->next = e ? 0 : s->in.next;
        take_off(&a->want, s->in.raw_len);
    }
    s->state = e || s->stale ? SLOT_FREE : SLOT_READY;
    s->at = at;
    pthread_cond_signal(&a->done);
}

static void *help(void *arg)
{
    struct ahead *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct slot *s = follows(a) ? slot_of(a, SLOT_FREE) : NULL;
        if (s) {
            work_on(a, s);
        } else {
            pthread_cond_wait(&a->work, &a->lock);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the reader's side ---- */

cg_err ahead_new(struct store *s, struct ahead **out)
{
    struct ahead *a = cg_zalloc(sizeof *a);
    if (!a) {
        return CG_ENOMEM;
    }
    a->s = s;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->done, NULL);
    a->scorer = scorer_new(s->keys.domain);
    if (!a->scorer || load_init(&a->load)) {
        ahead_free(a);
        return CG_ENOMEM;
    }
    a->running = pthread_create(&a->thread, NULL, help, a) == 0; /* without it all is as before */
    *out = a;
    return CG_OK;
}

void ahead_free(struct ahead *a)
{
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
    if (a->running) {
        pthread_join(a->thread, NULL);
    }
    for (int i = 0; i < AHEAD_FRAMES; i++) {
        frame_in_fini(&a->slot[i].in);
    }
    pack_close(a->s->io, &a->in);
    load_fini(&a->load);
    scorer_free(a->scorer);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->done);
    cg_free(a);
}

bool ahead_take(struct ahead *a, uint32_t pack, uint32_t at, struct frame_in *out)
{
    if (!a) {
        return false;
    }
    pthread_mutex_lock(&a->lock);
    struct slot *s;
    while ((s = slot_at(a, pack, at)) != NULL && s->state == SLOT_LOADING) {
        pthread_cond_wait(&a->done, &a->lock);
    }
    if (s) {
        struct frame_in mine = *out;
        *out = s->in;
        s->in = mine;
        s->state = SLOT_FREE;
        a->taken++;
        pthread_cond_signal(&a->work);
    } else if (pack == a->pack) {
        a->own = at;
    }
    pthread_mutex_unlock(&a->lock);
    return s != NULL;
}

void ahead_follow(struct ahead *a, const struct frame_in *f, uint64_t want)
{
    want = f->run >= AHEAD_RUN ? AHEAD_ALL : want;
    if (!a || want == 0) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    uint32_t at = front(a);
    bool here = f->pack == a->pack && at >= f->at && at - f->at <= 2 * FRAME_BYTES_MAX;
    if (!here && follows(a) && a->others++ < AHEAD_PATIENCE) {
        pthread_mutex_unlock(&a->lock);
        return;
    }
    if (!here) {
        drop_before(a, UINT32_MAX);
        a->pack = f->pack;
        a->kind = f->kind;
        a->next = f->next;
    } else {
        drop_before(a, f->next);
        a->next = a->next && a->next < f->next ? f->next : a->next;
    }
    for (int i = 0; i < AHEAD_FRAMES; i++) { /* what is there, or nearly */
        const struct slot *s = &a->slot[i];
        take_off(&want, s->state == SLOT_FREE || s->stale ? 0 : FRAME_RAW_BYTES);
    }
    a->want = want;
    a->others = 0;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void ahead_forget(struct ahead *a, uint32_t pack)
{
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    if (a->pack == pack) {
        drop_before(a, UINT32_MAX);
        a->pack = a->next = 0;
    }
    while (slot_of(a, SLOT_LOADING)) {
        pthread_cond_wait(&a->done, &a->lock);
    }
    if (a->in.id == pack) {
        pack_close(a->s->io, &a->in);
    }
    pthread_mutex_unlock(&a->lock);
}

uint64_t ahead_taken(struct ahead *a)
{
    pthread_mutex_lock(&a->lock);
    uint64_t taken = a->taken;
    pthread_mutex_unlock(&a->lock);
    return taken;
}
