/* sim: the clock, the events and the random numbers of a simulated world. */
#include "sim__.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND_NS = 1000000000 };
#define WALL_OFFSET_NS (UINT64_C(1700000000) * SECOND_NS)

struct event {
    struct cg_list link; /* by time, then by order of making */
    uint64_t at_ns;
    sim_fn *fn;
    void *aux;
};

/* splitmix64: S. Vigna, public domain; any start value gives a good sequence. */
static uint64_t next_random(struct sim *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t env_now(void *ctx)
{
    return ((struct sim *)ctx)->now_ns;
}

static uint64_t env_wall(void *ctx)
{
    return env_now(ctx) + WALL_OFFSET_NS;
}

static void env_random(void *ctx, void *out, size_t bytes)
{
    uint8_t *p = out;
    for (size_t i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(next_random(ctx) >> 24);
    }
}

struct sim *sim_new(uint64_t seed)
{
    struct sim *s = cg_zalloc(sizeof *s);
    cg_assert(s);
    s->random = seed;
    s->now_ns = SECOND_NS;
    s->env =
        (struct cg_env){.now_ns = env_now, .wall_ns = env_wall, .random = env_random, .ctx = s};
    cg_list_init(&s->events);
    return s;
}

void sim_free(struct sim *s)
{
    CG_LIST_EACH (it, &s->events) {
        cg_list_del(it);
        cg_free(CG_CONTAINER(it, struct event, link));
    }
    cg_free(s);
}

const struct cg_env *sim_env(struct sim *s)
{
    return &s->env;
}

uint64_t sim_now(const struct sim *s)
{
    return s->now_ns;
}

uint64_t sim_random(struct sim *s, uint64_t below)
{
    cg_assert(below > 0);
    return next_random(s) % below;
}

bool sim_chance(struct sim *s, uint32_t percent)
{
    return sim_random(s, 100) < percent;
}

uint64_t sim_seed(const char *test, uint64_t otherwise)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;
    printf("%s: replay with COGNU_SEED=%" PRIu64 "\n", test, seed);
    return seed;
}

void sim_after(struct sim *s, uint64_t delay_ns, sim_fn *fn, void *aux)
{
    struct event *e = cg_alloc(sizeof *e);
    cg_assert(e);
    e->at_ns = s->now_ns + delay_ns;
    e->fn = fn;
    e->aux = aux;
    struct cg_list *at = s->events.prev;
    while (at != &s->events && CG_CONTAINER(at, struct event, link)->at_ns > e->at_ns) {
        at = at->prev;
    }
    cg_list_push_front(at, &e->link);
}

bool sim_step(struct sim *s)
{
    if (cg_list_empty(&s->events)) {
        return false;
    }
    struct event *e = CG_CONTAINER(s->events.next, struct event, link);
    cg_list_del(&e->link);
    cg_assert(e->at_ns >= s->now_ns);
    s->now_ns = e->at_ns;
    e->fn(e->aux);
    cg_free(e);
    return true;
}

void sim_run_until(struct sim *s, uint64_t until_ns)
{
    while (!cg_list_empty(&s->events) &&
           CG_CONTAINER(s->events.next, struct event, link)->at_ns <= until_ns) {
        sim_step(s);
    }
    s->now_ns = s->now_ns > until_ns ? s->now_ns : until_ns;
}
