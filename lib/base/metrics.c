/* Counters: registered in a lock-free stack at their first use, printed as Prometheus text. */
#include <cognu/base.h>

#include <stdatomic.h>

static struct cg_counter *_Atomic all;

static void register_once(struct cg_counter *c)
{
    if (__atomic_exchange_n(&c->registered, true, __ATOMIC_ACQ_REL)) {
        return;
    }
    struct cg_counter *head = atomic_load(&all);
    do {
        c->next = head;
    } while (!atomic_compare_exchange_weak(&all, &head, c));
}

void cg_count(struct cg_counter *c, uint64_t n)
{
    if (!__atomic_load_n(&c->registered, __ATOMIC_ACQUIRE)) {
        register_once(c);
    }
    __atomic_fetch_add(&c->value, n, __ATOMIC_RELAXED);
}

cg_err cg_metrics_text(struct cg_str *out)
{
    cg_err e = CG_OK;
    for (struct cg_counter *c = atomic_load(&all); c && !e; c = c->next) {
        e = cg_str_addf(out, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", c->name, c->help,
                        c->name, c->name,
                        (unsigned long long)__atomic_load_n(&c->value, __ATOMIC_RELAXED));
    }
    return e;
}
