/* timer: what is due when, as a binary heap; the earliest stands first.
 *
 * Whoever may start a timer has reserved room for it, so that starting cannot fail. A timer that
 * fires is stopped before fire is called, and may then be started again or freed.
 */
#include "server__.h"

cg_err ninep__timer_reserve(struct ninep_server *s, uint32_t n)
{
    uint32_t want = s->timers_reserved + n;
    if (want > s->timers_cap) {
        uint32_t cap = want < 32 ? 32 : want + want / 2;
        struct ninep__timer **grown = cg_realloc(s->timer, cap * sizeof(struct ninep__timer *));
        if (!grown) {
            return CG_ENOMEM;
        }
        s->timer = grown;
        s->timers_cap = cap;
    }
    s->timers_reserved = want;
    return CG_OK;
}

void ninep__timer_unreserve(struct ninep_server *s, uint32_t n)
{
    cg_assert(n <= s->timers_reserved);
    s->timers_reserved -= n;
}

static void place(struct ninep_server *s, uint32_t at, struct ninep__timer *t)
{
    s->timer[at - 1] = t;
    t->place = at;
}

static void sift_up(struct ninep_server *s, uint32_t at)
{
    struct ninep__timer *t = s->timer[at - 1];
    while (at > 1 && s->timer[at / 2 - 1]->at_ns > t->at_ns) {
        place(s, at, s->timer[at / 2 - 1]);
        at /= 2;
    }
    place(s, at, t);
}

static void sift_down(struct ninep_server *s, uint32_t at)
{
    struct ninep__timer *t = s->timer[at - 1];
    for (uint32_t child = at * 2; child <= s->timers; child = at * 2) {
        if (child < s->timers && s->timer[child]->at_ns < s->timer[child - 1]->at_ns) {
            child++;
        }
        if (s->timer[child - 1]->at_ns >= t->at_ns) {
            break;
        }
        place(s, at, s->timer[child - 1]);
        at = child;
    }
    place(s, at, t);
}

void ninep__timer_start(struct ninep_server *s, struct ninep__timer *t, uint64_t at_ns)
{
    ninep__timer_stop(s, t);
    cg_assert(s->timers < s->timers_reserved);
    t->at_ns = at_ns;
    place(s, ++s->timers, t);
    sift_up(s, s->timers);
    if (at_ns < s->told_ns && s->wake) {
        s->told_ns = at_ns;
        s->wake(s->wake_ctx);
    }
}

void ninep__timer_stop(struct ninep_server *s, struct ninep__timer *t)
{
    uint32_t at = t->place;
    if (at == 0) {
        return;
    }
    t->place = 0;
    struct ninep__timer *last = s->timer[--s->timers];
    if (last != t) {
        place(s, at, last);
        sift_up(s, at);
        sift_down(s, last->place);
    }
}

void ninep__timers_run(struct ninep_server *s, uint64_t now_ns)
{
    while (s->timers > 0 && s->timer[0]->at_ns <= now_ns) {
        struct ninep__timer *t = s->timer[0];
        ninep__timer_stop(s, t);
        t->fire(s, t);
    }
}

uint64_t ninep__timer_next(const struct ninep_server *s)
{
    return s->timers > 0 ? s->timer[0]->at_ns : 0;
}
