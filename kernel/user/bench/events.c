/* Faults, signals, interrupts, the timer, mapping: see bench.h. */
#include "bench.h"

#define MAPPED    0x1b200000ULL
#define PIT_COUNT 60u /* about 50 us */
#define PIT_LINE  3u  /* object of the 8254's line, which is 2 */

static uint32_t there[ROUNDS], back[ROUNDS];

void measure_map(void)
{
    uint64_t frame = frame_new(&kit), table = space_table(&kit, &kit_space, 1, MAPPED);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t word[3] = {table, 7, RIGHT_READ};
        there[i] = timed(frame, INV_FRAME_MAP, 3, word);
        back[i] = timed(frame, INV_FRAME_UNMAP, 0, word);
    }
    row("map_page", "", there);
    row("unmap_page", "", back);
}

/* Faults: this program traps, the child is its handler and runs on its time. */
static uint64_t fault_words;

static void answer_fault(void)
{
    bench_message.word[7] += 2; /* behind the instruction; a system call has gone on by itself */
    bench_message.tag = TAG_NATIVE | TAG(SYS_REPLY_RECEIVE, 0, fault_words, 0);
    bench_message.handle = receive_handle(EP, REPLY);
}

static uint64_t handle(uint64_t words)
{
    fault_words = words;
    bench_answer = answer_fault;
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(EP, REPLY);
    bench_serve();
}

void measure_fault(uint64_t getppid, const char *name)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    uint64_t endpoint = object_new(&kit, OBJ_ENDPOINT);
    child_new(&c, handle, getppid ? 1 : 8, CHILD_SPACE);
    share(&c);
    child_give(&c, EP, endpoint, RIGHTS_ALL);
    child_give(&c, REPLY, object_new(&kit, OBJ_REPLY), RIGHTS_ALL);
    must(thread_priority(c.thread, HIGHER), "set the handler's priority");
    child_run(&c);
    must(thread_bind(c.thread, ROLE_CONTEXT, 0), "make the handler passive");
    must(thread_bind(BOOT_THREAD, ROLE_FAULT, endpoint), "bind the fault endpoint");
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (getppid) {
            bench_linux();
        } else {
            bench_trap();
        }
        there[i] = (uint32_t)(shared->came - shared->sent - bench_overhead);
        back[i] = (uint32_t)(shared->back - shared->left - bench_overhead);
        there[i] += back[i];
    }
    row(name, "", there);
    must(thread_bind(BOOT_THREAD, ROLE_FAULT, 0), "unbind the fault endpoint");
    kit_end(&state);
}

/* Signals: the child waits at a notification and is of higher priority. */
static void wait_again(void)
{
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(EP, 0);
}

static uint64_t wait_often(uint64_t x)
{
    (void)x;
    bench_woken = wait_again;
    bench_wait();
}

void measure_signal(void)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    uint64_t notification = object_new(&kit, OBJ_NOTIFICATION);
    uint64_t badged = badged_new(&kit, notification, RIGHT_WRITE, 1);
    child_new(&c, wait_often, 0, CHILD_SPACE);
    share(&c);
    child_give(&c, EP, notification, RIGHTS_ALL);
    must(thread_priority(c.thread, HIGHER), "set the waiter's priority");
    child_run(&c);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bench_message.tag = TAG_NATIVE | TAG(SYS_SEND, 0, 0, 0);
        bench_message.handle = badged;
        bench_call();
        there[i] = (uint32_t)(shared->came - shared->sent - bench_overhead);
    }
    row("signal", "", there);
    kit_end(&state);
}

/* The driver: before its first wait, and after each interrupt. */
static void next_interrupt(void)
{
    if (shared->words) {
        there[shared->woken] = (uint32_t)(shared->came - shared->sent);
        shared->woken++;
    }
    if (shared->woken == ROUNDS) {
        row("interrupt_to_driver", "", there);
        struct message m = {.word = {0}};
        message_pass(&m, SYS_SEND, CHILD_DONE, 1, 1, 0);
        message_pass(&m, SYS_RECEIVE, receive_handle(CHILD_PARK, 0), 0, 0, 0);
    }
    shared->words = 1;
    irq_ack(EP + 1);
    wait_again();
}

static uint64_t drive(uint64_t x)
{
    (void)x;
    bench_woken = next_interrupt;
    bench_wait();
}

/* The 8254's interrupts reach a driver in another space while this program runs; its last reading
 * of the clock is when they came. */
void measure_interrupt(void)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    uint64_t irq = slot_new(&kit), ports = slot_new(&kit);
    uint64_t line = object_new(&kit, OBJ_NOTIFICATION);
    must(retype_whole(kit.range[KIND_IRQ].untyped, OBJ_IRQ, 0, PIT_LINE - 1, 1, kit.cnode, irq),
         "get the line");
    must(retype_whole(kit.range[KIND_PORT].untyped, OBJ_PORT, 0, 0x40, 4, kit.cnode, ports),
         "get the ports");
    must(irq_bind(irq, badged_new(&kit, line, RIGHT_WRITE, 1)), "bind the line");
    child_new(&c, drive, 0, CHILD_SPACE);
    share(&c);
    child_give(&c, EP, line, RIGHTS_ALL);
    child_give(&c, EP + 1, irq, RIGHTS_ALL);
    must(thread_priority(c.thread, HIGHER), "set the driver's priority");
    shared->woken = shared->words = 0;
    child_run(&c);
    port_out(ports, 3, 1, 0x34);
    port_out(ports, 0, 1, PIT_COUNT);
    port_out(ports, 0, 1, 0);
    bench_spin(ROUNDS);
    port_out(ports, 3, 1, 0x30); /* one count, never started again */
    child_result(&c);
    kit_end(&state);
}

/* The timer: a thread of the highest priority spins until its budget is used up, and runs again
 * when its refill is due, whatever the others do meanwhile. How late it comes is counted from its
 * first start on, in periods. */
#define PERIOD 200000u
#define BUDGET 90000u /* more than twice the least that the kernel gives */
#define GAP    20000u /* between two readings of the clock only when the budget was used up */

static uint64_t tick(uint64_t x)
{
    uint64_t last = kit_now(), due = 0;
    for (unsigned i = 0; i <= ROUNDS;) {
        uint64_t now = kit_now();
        if (now - last > GAP) {
            if (i > 0) {
                there[i - 1] = now > due ? (uint32_t)(now - due) : 0;
            }
            due = now + PERIOD; /* a period begins when the budget is first used */
            i++;
        }
        last = now;
    }
    row("timer_latency", "", there);
    shared->woken = ROUNDS;
    return x;
}

void measure_timer(void)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    child_new(&c, tick, 0, CHILD_SPACE);
    share(&c);
    must(context_configure(c.context, BUDGET, PERIOD), "configure the timed thread");
    must(thread_priority(c.thread, HIGHER), "set the timed thread's priority");
    shared->woken = 0;
    child_run(&c);
    while (shared->woken < ROUNDS) {
        longest_work(NULL);
    }
    child_result(&c);
    kit_end(&state);
}
