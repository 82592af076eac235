/* Messages: a client (this program) calls a server that runs on the client's time, in another space
 * (inter) or in the same (intra). All words of message and answer change every time and are checked
 * by their receiver. One way is measured from the client's reading of the clock to the server's;
 * the round trip is the sum of both ways.
 */
#include "bench.h"

#define WORDS_MAX 64u
#define BUFFER                                                                                     \
    0x1b100000ULL /* of the client; of the server too in its own space, else the page behind */

static uint32_t there[ROUNDS], back[ROUNDS], both[ROUNDS];

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
static void answer(void)
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
    bench_answer = answer;
    bench_message.tag = TAG_NATIVE | TAG(SYS_RECEIVE, 0, 0, 0);
    bench_message.handle = receive_handle(EP, REPLY);
    bench_serve();
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

static bool measure_words(uint64_t endpoint, uint64_t words, const char *number, const char *suffix)
{
    shared->wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        one_call(endpoint, words, i + 1);
        there[i] = (uint32_t)(shared->came - shared->sent - bench_overhead);
        back[i] = (uint32_t)(shared->back - shared->left - bench_overhead);
        both[i] = there[i] + back[i];
    }
    if (shared->wrong) {
        print("# wrong words: ");
        print_number(shared->wrong);
        print("\n");
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
    return shared->wrong == 0;
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

bool measure_messages(unsigned flags, const char *suffix)
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
    must(thread_priority(c.thread, HIGHER), "set the server's priority");
    child_run(&c); /* it is of higher priority: it runs until it waits */
    must(thread_bind(c.thread, ROLE_CONTEXT, 0), "make the server passive");
    print_space("client", BOOT_SPACE);
    print_space("server", flags ? c.space.handle : BOOT_SPACE);
    static const struct {
        uint64_t words;
        const char *number;
    } size[] = {{0, "0w"}, {4, "4w"}, {10, "10w"}, {64, "64w"}};
    bool right = true;
    for (unsigned i = 0; i < 4; i++) {
        right = measure_words(endpoint, size[i].words, size[i].number, suffix) && right;
    }
    must(thread_bind(BOOT_THREAD, ROLE_BUFFER, 0), "unbind the client's buffer");
    kit_end(&state);
    return right;
}
