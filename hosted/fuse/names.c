/* names: for how long the kernel may hold names, and what waits until it holds none.
 *
 * Only a listing gives the kernel names to hold, for NAMES_MS: long enough for `ls -l` to look at
 * each file without asking us for each. The kernel cannot be told to forget them (INVARIANTS 5), so
 * what relies on its having forgotten waits until they have run out: a broken lease is given back,
 * a change of the mount table is answered, only then.
 */
#include "adapter.h"

enum {
    NAMES_MS = 200,
    SLACK_MS = 60, /* the kernel counts from when it reads the answer, in ticks, rounding up */
};

#define NAMES_NS (NAMES_MS * UINT64_C(1000000))

struct wait {
    struct cg_list link;
    uint64_t due_ns; /* what was given before the wait began has run out */
    names_gone *then;
    void *aux;
};

static uint64_t now_ns(void)
{
    return cg_env_real.now_ns(cg_env_real.ctx);
}

void names_init(struct space *s)
{
    cg_list_init(&s->names_waits);
}

void names_given(struct space *s, const struct ns_stat *st, struct fuse_entry_out *e)
{
    uint64_t until = now_ns() + NAMES_NS + SLACK_MS * UINT64_C(1000000);
    if (st->node && st->until_ns >= until) {
        e->entry_valid = 0;
        e->entry_valid_nsec = (uint32_t)NAMES_NS;
        s->names_until_ns = until;
    }
}

static struct wait *first_wait(struct space *s)
{
    return cg_list_empty(&s->names_waits) ? NULL
                                          : CG_CONTAINER(s->names_waits.next, struct wait, link);
}

static void on_time(uv_timer_t *t)
{
    struct space *s = t->data;
    struct wait *w;
    while ((w = first_wait(s)) && w->due_ns <= now_ns()) { /* in the order of their times */
        names_gone *then = w->then;
        void *aux = w->aux;
        cg_list_del(&w->link);
        cg_free(w);
        then(s, aux);
    }
    if (w) {
        uv_timer_start(t, on_time, (w->due_ns - now_ns()) / 1000000 + 1, 0);
    }
}

bool names_wait(struct space *s, names_gone *then, void *aux)
{
    uint64_t now = now_ns();
    struct wait *w = now < s->names_until_ns ? cg_zalloc(sizeof *w) : NULL;
    if (!w) {
        return false;
    }
    if (!s->names_timer) {
        s->names_timer = cg_zalloc(sizeof *s->names_timer);
        if (!s->names_timer) {
            cg_free(w);
            return false;
        }
        uv_timer_init(s->adapter->loop, s->names_timer);
        s->names_timer->data = s;
    }
    *w = (struct wait){.due_ns = s->names_until_ns, .then = then, .aux = aux};
    if (cg_list_empty(&s->names_waits)) {
        uv_timer_start(s->names_timer, on_time, (w->due_ns - now) / 1000000 + 1, 0);
    }
    cg_list_push(&s->names_waits, &w->link);
    return true;
}

static void on_closed(uv_handle_t *h)
{
    cg_free(h);
}

void names_fini(struct space *s)
{
    while (!cg_list_empty(&s->names_waits)) {
        struct wait *w = CG_CONTAINER(s->names_waits.next, struct wait, link);
        cg_list_del(&w->link);
        cg_free(w);
    }
    if (s->names_timer) {
        uv_close((uv_handle_t *)s->names_timer, on_closed);
        s->names_timer = NULL;
    }
}
