/* Random system calls and thread operations against a plain shadow: no queues and no links, but
 * stamps that say who came when, and searching. Threads, contexts, replies and endpoints are named
 * by their objects' numbers. The clock stands still; budget_test.c is about time.
 */
#include "test/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS     200000u
#define ENDPOINTS 3u
#define FIRST     W_OBJECT(0)
#define NO_TAG    0x7fULL /* nothing was said yet */
#define END       W_OBJECT(W_THREADS)

struct shadow {
    uint32_t state;
    uint32_t priority;
    uint32_t context;
    uint32_t reply; /* linked with */
    bool lent;      /* through it */
    uint32_t endpoint;
    int64_t stamp; /* in its queue */
    uint64_t badge;
    uint64_t tag;
    uint64_t handle;
    uint32_t words;
    uint64_t word[MSG_WORDS_REGS];
};

static struct shadow m[END];
static uint32_t stack[END][END]; /* replies by context */
static uint32_t depth[END];
static int64_t last_stamp;
static int64_t first_stamp;
static uint32_t m_current;
static uint32_t m_running;
static bool m_yield;
static uint32_t step;
static uint64_t reached[8];
static bool bound[END]; /* its own context to it */

static void stop_at(uint32_t t, const char *what)
{
    fprintf(stderr, "step %u, thread %u: %s differs\n", step, t, what);
    abort();
}

/* The thread in a state on an endpoint that came first; NIL for none. */
static uint32_t first_of(uint32_t endpoint, bool receiving)
{
    uint32_t best = NIL;
    for (uint32_t t = FIRST; t < END; t++) {
        bool in = receiving ? m[t].state == THREAD_RECEIVING
                            : m[t].state == THREAD_SENDING || m[t].state == THREAD_CALLING;
        if (in && m[t].endpoint == endpoint && (best == NIL || m[t].stamp < m[best].stamp)) {
            best = t;
        }
    }
    return best;
}

static uint32_t linked(uint32_t reply)
{
    for (uint32_t t = FIRST; t < END; t++) {
        if (m[t].reply == reply) {
            return t;
        }
    }
    return NIL;
}

static void m_ready(uint32_t t)
{
    m[t].state = THREAD_READY;
    m[t].stamp =
        m[t].context != NIL && m[t].context == m_running && !m_yield ? --first_stamp : ++last_stamp;
}

static void m_refused(uint32_t t, uint32_t error)
{
    m[t].tag = TAG(error, 0, 2, 0);
    m[t].words = 2;
    m[t].word[0] = 0;
    m[t].word[1] = 0;
}

/* Takes a reply out of the stack that it is in. */
static void m_pull(uint32_t t)
{
    for (uint32_t c = FIRST; c < END; c++) {
        for (uint32_t k = 0; k < depth[c]; k++) {
            if (stack[c][k] == m[t].reply) {
                memmove(&stack[c][k], &stack[c][k + 1], (depth[c] - k - 1) * sizeof(uint32_t));
                depth[c]--;
            }
        }
    }
    m[t].lent = false;
}

static void m_message(uint32_t from, uint32_t to, uint64_t badge)
{
    m[to].tag = TAG(0, TAG_LABEL(m[from].tag), m[from].words, 0);
    m[to].handle = badge;
    m[to].words = m[from].words;
    memcpy(m[to].word, m[from].word, m[from].words * sizeof(uint64_t));
}

/* from, whose message is in m[from], meets to. */
static void m_meet(uint32_t from, uint32_t to, bool calls)
{
    uint32_t r = m[to].reply;
    m_message(from, to, m[from].badge);
    m[to].reply = NIL;
    if (!calls) {
        m[from].tag = 0;
        m[from].words = 0;
        if (from != m_current) {
            m_ready(from);
        }
        return;
    }
    m[from].reply = r;
    m[from].state = THREAD_ANSWER;
    if (m[to].context == NIL && m[from].context != NIL) {
        uint32_t c = m[from].context;
        stack[c][depth[c]++] = r;
        m[from].lent = true;
        m[from].context = NIL;
        m[to].context = c;
    }
}

static void m_send(uint32_t t, uint32_t e, bool calls, bool wait)
{
    uint32_t to = first_of(e, true);
    m[t].endpoint = e;
    if (to == NIL && wait) {
        m[t].state = calls ? THREAD_CALLING : THREAD_SENDING;
        m[t].stamp = ++last_stamp;
    } else if (to == NIL) {
        m_refused(t, ERR_WAIT);
    } else if (calls && m[to].reply == NIL) {
        m_refused(t, ERR_FIT);
    } else {
        m_meet(t, to, calls);
        m_ready(to);
        reached[calls ? 0 : 1]++;
    }
}

static void m_receive(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    m[t].reply = r;
    m[t].endpoint = e;
    for (uint32_t k = 0; k < 8; k++) {
        uint32_t from = first_of(e, false);
        if (from == NIL) {
            if (wait) {
                m[t].state = THREAD_RECEIVING;
                m[t].stamp = ++last_stamp;
            } else {
                m[t].reply = NIL;
                m_refused(t, ERR_WAIT);
            }
            return;
        }
        if (m[from].state == THREAD_SENDING || r != NIL) {
            m_meet(from, t, m[from].state == THREAD_CALLING);
            reached[2]++;
            return;
        }
        m_refused(from, ERR_FIT);
        m_ready(from);
    }
    m[t].reply = NIL;
    m_refused(t, ERR_AGAIN);
}

/* t answers through r, in which a is linked. */
static void m_answer(uint32_t t, uint32_t r)
{
    uint32_t a = linked(r);
    bool waits = m[a].state == THREAD_ANSWER;
    if (waits) {
        m_message(t, a, 0);
    }
    if (m[a].lent) {
        for (uint32_t c = FIRST; c < END; c++) {
            if (depth[c] > 0 && stack[c][depth[c] - 1] == r) {
                for (uint32_t b = FIRST; b < END; b++) {
                    m[b].context = m[b].context == c ? NIL : m[b].context;
                }
                m[a].context = c;
            }
        }
        m_pull(a);
    }
    m[a].reply = NIL;
    if (waits || m[a].state == THREAD_READY) {
        m_ready(a);
    }
    reached[waits ? 3 : 4]++;
}

static void m_schedule(void)
{
    uint32_t best = NIL;
    if (m_current != NIL && (m[m_current].state != THREAD_READY || m[m_current].context == NIL)) {
        m_current = NIL;
    }
    if (m_current != NIL && m_yield && m[m_current].context == m_running) {
        m[m_current].stamp = ++last_stamp;
        m_current = NIL;
    }
    for (uint32_t t = FIRST; t < END; t++) {
        if (m[t].state == THREAD_READY && m[t].context != NIL && t != m_current &&
            (best == NIL || m[t].priority > m[best].priority ||
             (m[t].priority == m[best].priority && m[t].stamp < m[best].stamp))) {
            best = t;
        }
    }
    if (best != NIL && (m_current == NIL || m[best].priority > m[m_current].priority)) {
        if (m_current != NIL) {
            m[m_current].stamp = --first_stamp;
            reached[5]++;
        }
        m_current = best;
    }
    m_running = m_current == NIL ? NIL : m[m_current].context;
    m_yield = false;
}

/* The running thread does something. */
static void random_syscall(void)
{
    static const uint32_t calls[] = {
        SYS_CALL, SYS_CALL,          SYS_CALL,     SYS_REPLY_RECEIVE, SYS_RECEIVE,
        SYS_SEND, SYS_REPLY_RECEIVE, SYS_SEND_TRY, SYS_YIELD,         SYS_RECEIVE_TRY};
    uint32_t t = m_current;
    uint32_t number = calls[kit_random(sizeof(calls) / sizeof(calls[0]))];
    uint32_t e = kit_random(ENDPOINTS);
    uint32_t i = t - FIRST;
    if (linked(W_OBJECT(i)) != NIL && kit_random(2) == 0) {
        number = SYS_REPLY_RECEIVE;
    }
    uint32_t r = kit_random(10) == 0 ? kit_random(W_THREADS) : i;
    bool receives =
        number == SYS_RECEIVE || number == SYS_RECEIVE_TRY || number == SYS_REPLY_RECEIVE;
    bool badged = e == 0 && !receives && number != SYS_YIELD && kit_random(2) == 0;
    bool offers = number == SYS_REPLY_RECEIVE || (receives && kit_random(4) != 0);
    uint32_t handle = badged ? W_BADGED(i) : W_ENDPOINT(e);
    uint64_t word[MSG_WORDS_REGS];
    m[t].words = kit_random(MSG_WORDS_REGS + 1);
    for (uint32_t k = 0; k < m[t].words; k++) {
        word[k] = m[t].word[k] = ((uint64_t)step << 8) + k;
    }
    m[t].tag = TAG_NATIVE | TAG(number, kit_random(100), m[t].words, 0);
    m[t].badge = badged ? i + 1 : 0;
    uint64_t tag = m[t].tag;
    uint32_t words = m[t].words;
    uint32_t holder = linked(W_OBJECT(r));
    if (number == SYS_YIELD) {
        m[t].tag = 0;
        m[t].words = 0;
        m_yield = true;
    } else if (!receives) {
        m_send(t, W_OBJECT(e), number == SYS_CALL, number != SYS_SEND_TRY);
    } else if (number == SYS_REPLY_RECEIVE && holder != NIL &&
               m[holder].state == THREAD_RECEIVING) {
        m_refused(t, ERR_ABSENT);
    } else if (number != SYS_REPLY_RECEIVE && offers && holder != NIL) {
        m_refused(t, ERR_BUSY);
        m[t].word[0] = 1;
    } else {
        if (number == SYS_REPLY_RECEIVE && holder != NIL) {
            m_answer(t, W_OBJECT(r));
        }
        m_receive(t, W_OBJECT(e), offers ? W_OBJECT(r) : NIL, number != SYS_RECEIVE_TRY);
    }
    m_schedule();
    t_reg[t * T_REGS + R_EXTRA] = 0;
    world_syscall(number, handle, offers ? W_REPLY(r) : 0, TAG_LABEL(tag), words, word);
}

/* Nobody holds context c, which is lent to nobody. */
static void m_take(uint32_t c)
{
    for (uint32_t b = FIRST; b < END; b++) {
        m[b].context = m[b].context == c ? NIL : m[b].context;
    }
}

/* What t has lent does not come back to it. */
static void m_forget(uint32_t t)
{
    m_pull(t);
    m[t].reply = m[t].state == THREAD_ANSWER ? m[t].reply : NIL;
}

/* A thread's own context, unless it is lent, is bound to it again. */
static void rebind(uint32_t i)
{
    uint32_t t = W_OBJECT(i);
    if (depth[t] > 0) {
        return;
    }
    m_take(t);
    if (m[t].lent) {
        m_forget(t);
    }
    m[t].context = t;
    bound[t] = true;
    if (m[t].state == THREAD_READY && t != m_current) {
        m_ready(t);
    }
    (void)KIT_CALL(W_THREAD(i), INV_THREAD_BIND, ROLE_CONTEXT, W_CONTEXT(i));
    reached[6]++;
}

/* A server gives its own context away, wherever that is. */
static void unbind(uint32_t i)
{
    uint32_t t = W_OBJECT(i);
    if (i < W_THREADS / 2 || !bound[t] || (m[t].state != THREAD_RECEIVING && kit_random(8) != 0)) {
        return;
    }
    if (m[t].context == t) {
        m[t].context = NIL;
    } else if (m[t].lent) {
        for (uint32_t k = 0; k < depth[t]; k++) {
            if (stack[t][k] == m[t].reply) {
                m_forget(t);
                break;
            }
        }
    }
    bound[t] = false;
    (void)KIT_CALL(W_THREAD(i), INV_THREAD_BIND, ROLE_CONTEXT, 0);
    reached[7]++;
}

/* Somebody outside does something to a thread. */
static void random_control(void)
{
    uint32_t i = kit_random(W_THREADS);
    uint32_t t = W_OBJECT(i);
    switch (m_current == NIL && kit_random(2) == 0 ? 0 : kit_random(8)) {
    case 0: {
        uint32_t state = m[t].state;
        if (state == THREAD_RECEIVING || (state == THREAD_ANSWER && !m[t].lent)) {
            m[t].reply = NIL;
        }
        if (state != THREAD_STOPPED && state != THREAD_READY) {
            m_refused(t, ERR_CANCELLED);
        }
        m[t].state = THREAD_STOPPED;
        (void)KIT_CALL(W_THREAD(i), INV_THREAD_SUSPEND);
        break;
    }
    case 1:
        m[t].priority = 5 + kit_random(4);
        if (m[t].state == THREAD_READY && t != m_current) {
            m[t].stamp = ++last_stamp;
        }
        (void)KIT_CALL(W_THREAD(i), INV_THREAD_PRIORITY, m[t].priority);
        break;
    case 2:
        rebind(i);
        break;
    case 3:
    case 4:
        unbind(i);
        break;
    default:
        if (m[t].state == THREAD_STOPPED) {
            m_ready(t);
        }
        (void)KIT_CALL(W_THREAD(i), INV_THREAD_RESUME);
        break;
    }
    m_schedule();
    schedule_enter();
    schedule();
}

static void compare(void)
{
    if (current != m_current) {
        stop_at(m_current, "current");
    }
    for (uint32_t t = FIRST; t < END; t++) {
        uint64_t *reg = t_reg + t * T_REGS;
        if (t_state[t] != m[t].state) {
            stop_at(t, "state");
        }
        if (t_context[t] != m[t].context || t_reply[t] != m[t].reply) {
            stop_at(t, "context or reply object");
        }
        if (m[t].state == THREAD_READY && m[t].context != NIL) {
            if (m[t].tag != NO_TAG && reg[R_TAG] != m[t].tag) {
                stop_at(t, "tag");
            }
            if (memcmp(reg + R_W0, m[t].word, m[t].words * sizeof(uint64_t)) != 0) {
                stop_at(t, "message");
            }
        }
        for (uint32_t u = t_next[t]; t_queue[t] != NIL && u != NIL; u = t_next[u]) {
            if (m[u].stamp < m[t].stamp) {
                stop_at(t, "place in the queue");
            }
        }
    }
    for (uint32_t c = FIRST; c < END; c++) {
        uint32_t r = c_top[c];
        for (uint32_t k = depth[c]; k > 0; k--, r = r_below[r]) {
            if (r != stack[c][k - 1]) {
                stop_at(c, "stack");
            }
        }
        if (r != NIL) {
            stop_at(c, "stack");
        }
    }
}

static void model(void)
{
    (void)kit_seed();
    world();
    for (uint32_t t = FIRST; t < END; t++) {
        bool passive = t >= FIRST + W_THREADS / 2;
        m[t].priority = 10;
        m[t].context = passive ? NIL : t;
        m[t].tag = NO_TAG;
        bound[t] = !passive;
        if (!passive) {
            continue;
        }
        /* A server begins as every server does: with time of its own, until it waits. */
        world_resume(t - FIRST);
        world_syscall(SYS_RECEIVE, W_ENDPOINT(t % ENDPOINTS), W_REPLY(t - FIRST), 0, 0, NULL);
        world_passive(t - FIRST);
        m[t].state = THREAD_RECEIVING;
        m[t].endpoint = W_OBJECT(t % ENDPOINTS);
        m[t].reply = t;
        m[t].stamp = ++last_stamp;
    }
    for (step = 0; step < STEPS; step++) {
        if (m_current == NIL || kit_random(12) == 0) {
            random_control();
        } else {
            random_syscall();
        }
        compare();
        if (step % 64 == 0) {
            kit_check("model");
        }
    }
    printf("%u steps: %llu calls and %llu sends to a receiver, %llu taken from senders, "
           "%llu answers, %llu to suspended callers, %llu preemptions, %llu times bound, %llu "
           "unbound\n",
           STEPS, (unsigned long long)reached[0], (unsigned long long)reached[1],
           (unsigned long long)reached[2], (unsigned long long)reached[3],
           (unsigned long long)reached[4], (unsigned long long)reached[5],
           (unsigned long long)reached[6], (unsigned long long)reached[7]);
    for (uint32_t k = 0; k < 8; k++) {
        if (reached[k] < 10) {
            fprintf(stderr, "kind %u was reached %llu times only\n", k,
                    (unsigned long long)reached[k]);
            exit(1);
        }
    }
}

static void kernel_agrees_with_shadow(void **state)
{
    (void)state;
    assert_true(kit_fork(model));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernel_agrees_with_shadow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
