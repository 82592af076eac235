/* What `make kernel-bench` measures, in ticks of the time-stamp counter, which are instructions
 * under QEMU's -icount shift=0. Each row is printed as `row NAME MEDIAN MAXIMUM`, of ROUNDS;
 * tools/kernel-bench makes the table of it.
 *
 * Messages: a client (this program) calls a server that runs on the client's time, in another space
 * (inter) or in the same (intra). All words of message and answer change every time and are checked
 * by their receiver. One way is measured from the client's reading of the clock to the server's,
 * less what bench_empty measures; the round trip is the sum of both ways.
 */
#include "bench.h"
#include "kit.h"

#define ROUNDS    10000u
#define WORDS_MAX 64u
#define BUFFER                                                                                     \
    0x1b100000ULL /* of the client; the server's is BUFFER too, or the page behind it in the same  \
                     space */
#define EP        CHILD_FREE
#define REPLY     (CHILD_FREE + 1)
#define PIT_COUNT 60u /* about 50 us */
#define PIT_LINE  3u  /* object of the 8254's line, which is 2 */

struct shared {
    uint64_t sent, back, came, left;
    uint64_t words, seed, wrong, buffer, woken;
};
static volatile struct shared *const shared = (volatile struct shared *)BENCH_PAGE;

struct message bench_message;
void bench_call(void);
void bench_empty(void);
_Noreturn void bench_serve(void);
_Noreturn void bench_wait(void);
void bench_spin(uint64_t rounds);
void bench_trap(void);
void bench_linux(void);
void bench_answer(void);
void bench_woken(void);

static uint64_t empty; /* what bench_empty measures */
static uint32_t there[ROUNDS], back[ROUNDS], both[ROUNDS];
static unsigned failures;
static uint64_t page; /* the frame of BENCH_PAGE */

_Noreturn void program_end(int status)
{
    for (;;) {
        monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    }
}

static void must(unsigned error, const char *what)
{
    if (error) {
        give_up(what, error);
    }
}

/* The numbers in order: radix sort, three rounds of eleven bits; also leaves the array sorted. */
static void sort(uint32_t *n)
{
    static uint32_t other[ROUNDS], place[2048];
    for (unsigned shift = 0; shift < 33; shift += 11) {
        memset(place, 0, sizeof(place));
        for (unsigned i = 0; i < ROUNDS; i++) {
            place[n[i] >> shift & 2047]++;
        }
        for (unsigned k = 0, sum = 0; k < 2048; k++) {
            unsigned here = place[k];
            place[k] = sum;
            sum += here;
        }
        for (unsigned i = 0; i < ROUNDS; i++) {
            other[place[n[i] >> shift & 2047]++] = n[i];
        }
        memcpy(n, other, sizeof(other));
    }
}

static void row(const char *name, const char *suffix, uint32_t *n)
{
    sort(n);
    print("row ");
    print(name);
    print(suffix);
    print(" ");
    print_number(n[ROUNDS / 2]);
    print(" ");
    print_number(n[ROUNDS - 1]);
    print("\n");
}

static uint64_t word_of(uint64_t seed, uint64_t k)
{
    return (seed + k) * 0x9e3779b97f4a7c15ULL + k;
}

/* Checks the words of a message, and puts others in their place. */
static void turn_words(uint64_t words, uint64_t seed, uint64_t flip)
{
    uint64_t *buffer = (uint64_t *)shared->buffer;
    for (uint64_t k = 0; k < words && k < MSG_WORDS_REGS; k++) {
        shared->wrong += bench_message.word[k] != (word_of(seed, k) ^ flip);
        bench_message.word[k] = ~word_of(seed, k);
    }
    for (uint64_t k = MSG_WORDS_REGS; k < words; k++) {
        shared->wrong += buffer[k] != (word_of(seed, k) ^ flip);
        buffer[k] = ~word_of(seed, k);
    }
}

/* The server: the answer is the message with every bit turned. */
void bench_answer(void)
{
    uint64_t words = shared->words;
    shared->wrong += TAG_WORDS(bench_message.tag) != words;
    turn_words(words, shared->seed, 0);
    bench_message.tag = TAG_NATIVE | TAG(SYS_REPLY_RECEIVE, 0, words, 0);
    bench_message.handle = receive_handle(EP, REPLY);
}

static uint64_t serve(uint64_t buffer)
{
    shared->buffer = buffer;
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(EP, REPLY);
    bench_serve();
}

static uint64_t page_at(struct space *s, uint64_t at, uint64_t frame)
{
    must(space_map(&kit, s, at, frame, RIGHT_READ | RIGHT_WRITE), "map a page");
    return at;
}

static void share(struct child *c)
{
    if (c->foreign) {
        page_at(&c->space, BENCH_PAGE, copy_new(&kit, page, RIGHTS_ALL));
    }
}

static void one_call(uint64_t endpoint, uint64_t words, uint64_t seed)
{
    uint64_t *buffer = (uint64_t *)BUFFER;
    shared->words = words;
    shared->seed = seed;
    for (uint64_t k = 0; k < words; k++) {
        if (k < MSG_WORDS_REGS) {
            bench_message.word[k] = word_of(seed, k);
        } else {
            buffer[k] = word_of(seed, k);
        }
    }
    bench_message.tag = TAG_NATIVE | TAG(SYS_CALL, 0, words, 0);
    bench_message.handle = endpoint;
    bench_message.extra = 0;
    bench_call();
    shared->wrong += bench_message.tag != TAG(0, 0, words, 0);
    for (uint64_t k = 0; k < words; k++) {
        uint64_t got = k < MSG_WORDS_REGS ? bench_message.word[k] : buffer[k];
        shared->wrong += got != ~word_of(seed, k);
    }
}

static void measure_words(uint64_t endpoint, uint64_t words, const char *number, const char *suffix)
{
    shared->wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        one_call(endpoint, words, i + 1);
        there[i] = (uint32_t)(shared->came - shared->sent - empty);
        back[i] = (uint32_t)(shared->back - shared->left - empty);
        both[i] = there[i] + back[i];
    }
    if (shared->wrong) {
        print("# wrong words: ");
        print_number(shared->wrong);
        print("\n");
        failures++;
    }
    char name[40];
    const char *const part[3] = {"call_", "reply_receive_", "roundtrip_"};
    uint32_t *const figures[3] = {there, back, both};
    for (unsigned p = 0; p < 3; p++) {
        size_t n = strlen(part[p]);
        memcpy(name, part[p], n);
        memcpy(name + n, number, strlen(number) + 1);
        row(name, suffix, figures[p]);
    }
}

static void print_space(const char *what, uint64_t handle)
{
    uint64_t answer[MSG_WORDS_REGS];
    must(cnode_look(BOOT_CNODE, handle, answer), "look at a space");
    print("# CR3 of the ");
    print(what);
    print(": 0x");
    print_hex(answer[4] * 4096);
    print("\n");
}

static void measure_messages(unsigned flags, const char *suffix)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    uint64_t endpoint = object_new(&kit, OBJ_ENDPOINT);
    uint64_t mine = frame_new(&kit), theirs = frame_new(&kit);
    page_at(&kit_space, BUFFER, mine);
    must(thread_bind(BOOT_THREAD, ROLE_BUFFER, mine), "bind the client's buffer");
    child_new(&c, serve, flags ? BUFFER : BUFFER + 4096, flags);
    share(&c);
    page_at(flags ? &c.space : &kit_space, flags ? BUFFER : BUFFER + 4096, theirs);
    must(thread_bind(c.thread, ROLE_BUFFER, theirs), "bind the server's buffer");
    child_give(&c, EP, endpoint, RIGHTS_ALL);
    child_give(&c, REPLY, object_new(&kit, OBJ_REPLY), RIGHTS_ALL);
    must(thread_priority(c.thread, PRIORITIES / 2 + 1), "set the server's priority");
    child_run(&c); /* it is of higher priority: it runs until it waits */
    must(thread_bind(c.thread, ROLE_CONTEXT, 0), "make the server passive");
    print_space("client", BOOT_SPACE);
    print_space("server", flags ? c.space.handle : BOOT_SPACE);
    bench_empty();
    empty = shared->back - shared->sent;
    static const struct {
        uint64_t words;
        const char *number;
    } size[] = {{0, "0w"}, {4, "4w"}, {10, "10w"}, {64, "64w"}};
    for (unsigned i = 0; i < 4; i++) {
        measure_words(endpoint, size[i].words, size[i].number, suffix);
    }
    must(thread_bind(BOOT_THREAD, ROLE_BUFFER, 0), "unbind the client's buffer");
    kit_end(&state);
}

/* Invocations of kernel objects: one invocation as a timed call. */
static uint32_t timed(uint64_t handle, unsigned label, unsigned words, const uint64_t *word)
{
    for (unsigned k = 0; k < words; k++) {
        bench_message.word[k] = word[k];
    }
    bench_message.tag = TAG_NATIVE | TAG(SYS_CALL, label, words, 0);
    bench_message.handle = handle;
    bench_message.extra = 0;
    bench_call();
    return (uint32_t)(shared->back - shared->sent - empty);
}

static void measure_map(void)
{
    uint64_t frame = frame_new(&kit), table = space_table(&kit, &kit_space, 1, BUFFER);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t word[3] = {table, 7, RIGHT_READ};
        there[i] = timed(frame, INV_FRAME_MAP, 3, word);
        back[i] = timed(frame, INV_FRAME_UNMAP, 0, word);
    }
    row("map_page", "", there);
    row("unmap_page", "", back);
}

/* Faults: the child traps, this program is its handler. */
static uint64_t trap_often(uint64_t getppid)
{
    uint64_t done = 0;
    do {
        if (getppid) {
            bench_linux();
        } else {
            bench_trap();
        }
    } while (++done);
    return done;
}

static void measure_fault(uint64_t getppid, const char *name)
{
    static struct child c;
    static struct kit_state state;
    kit_begin(&state);
    child_new(&c, trap_often, getppid, CHILD_SPACE);
    share(&c);
    must(thread_priority(c.thread, PRIORITIES / 2 - 1), "set the faulting thread's priority");
    child_run(&c);
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(c.fault, c.reply);
    bench_message.extra = 0;
    struct message m = bench_message;
    kernel_syscall(&m);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t sent = shared->sent;
        unsigned words = 1;
        if (!getppid) {
            words = 8;
            m.word[7] += 2; /* behind the instruction */
        }
        message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(c.fault, c.reply), 0, words, 0);
        both[i] = (uint32_t)(shared->back - sent - empty);
    }
    row(name, "", both);
    kit_end(&state);
}

/* The driver: before its first wait, and after each interrupt. */
void bench_woken(void)
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
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(EP, 0);
}

static uint64_t drive(uint64_t unused)
{
    (void)unused;
    bench_wait();
}

/* The 8254's interrupts reach a driver in another space while this program runs; its last reading
 * of the clock is when they came. */
static void measure_interrupt(void)
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
    must(thread_priority(c.thread, PRIORITIES / 2 + 1), "set the driver's priority");
    child_run(&c);
    port_out(ports, 3, 1, 0x34);
    port_out(ports, 0, 1, PIT_COUNT);
    port_out(ports, 0, 1, 0);
    bench_spin(ROUNDS);
    port_out(ports, 3, 1, 0x30); /* one count, never started again */
    child_result(&c);
    kit_end(&state);
}

int main(void)
{
    kit_prepare();
    page = frame_new(&kit);
    page_at(&kit_space, BENCH_PAGE, page);
    measure_messages(CHILD_SPACE, "_inter");
    measure_messages(CHILD_THREAD, "_intra");
    measure_map();
    measure_fault(0, "fault_reflect");
    measure_fault(1, "linux_getppid");
    measure_interrupt();
    print("end ");
    print_number(failures);
    print("\n");
    return failures > 0;
}
