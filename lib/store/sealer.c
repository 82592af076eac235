/* Frames of the journal, sealed by two at a time: who appends them, and a thread.
 *
 * Who appends writes each frame as soon as it is sealed, in order; meanwhile the thread seals those
 * behind. Nobody waits for a thread that has no processor: a frame that it has not begun is sealed
 * by who wants it. So the order of what reaches the file, and what an answer means, are those of
 * one that does all of it himself.
 *
 * sealer->lock protects job, and of the job next and the states; it is not held while a frame is
 * sealed. */
#include "sealer.h"

struct sealer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    bool running, stop;
    struct sealing *job; /* NULL: nothing is to be sealed */
};

static void seal(struct aead *a, struct sealing_frame *f)
{
    aead_seal_parts(a, f->nonce, f->aad, sizeof f->aad, f->head, f->body, f->out);
}

static bool has_work(const struct sealer *s)
{
    return s->job && s->job->next < s->job->count;
}

static void *help(void *arg)
{
    struct sealer *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (!has_work(s)) {
            pthread_cond_wait(&s->work, &s->lock);
            continue;
        }
        struct sealing *g = s->job;
        struct sealing_frame *f = &g->frame[g->next++];
        pthread_mutex_unlock(&s->lock);
        seal(g->helper, f);
        pthread_mutex_lock(&s->lock);
        f->sealed = true;
        pthread_cond_signal(&s->done);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

cg_err sealer_new(struct sealer **out)
{
    struct sealer *s = cg_zalloc(sizeof *s);
    if (!s) {
        return CG_ENOMEM;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->done, NULL);
    s->running = pthread_create(&s->thread, NULL, help, s) == 0; /* without it all is as before */
    *out = s;
    return CG_OK;
}

void sealer_free(struct sealer *s)
{
    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    if (s->running) {
        pthread_join(s->thread, NULL);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    cg_free(s);
}

void sealer_begin(struct sealer *s, struct sealing *g)
{
    g->next = 0;
    if (s && g->count > 1) {
        pthread_mutex_lock(&s->lock);
        s->job = g;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
    }
}

void sealer_need(struct sealer *s, struct sealing *g, size_t i)
{
    struct sealing_frame *f = &g->frame[i];
    if (!s || g->count == 1) {
        seal(g->own, f);
        return;
    }
    pthread_mutex_lock(&s->lock);
    bool mine = g->next == i;
    g->next += mine;
    while (!mine && !f->sealed) {
        pthread_cond_wait(&s->done, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    if (mine) {
        seal(g->own, f);
    }
}

void sealer_end(struct sealer *s, struct sealing *g, size_t needed)
{
    if (!s || g->count == 1) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    for (size_t i = needed; i < g->next; i++) { /* those that were not waited for */
        while (!g->frame[i].sealed) {
            pthread_cond_wait(&s->done, &s->lock);
        }
    }
    s->job = NULL;
    pthread_mutex_unlock(&s->lock);
}
