/* The kit and its main function: see kit.h. On the command line: tests=PREFIX runs those only whose
 * names begin so. */
#include "kit.h"

#define KIT_PAGES   0x10000000ULL /* kit_page */
#define KIT_STACKS  0x18000000ULL /* of threads in the tests' own space */
#define STACK_PAGES 4u
#define SUM_ENTRIES 1024u /* of each table; tests use the first entries */

struct holdings kit;
struct space kit_space;

static uint64_t pages, stacks;

static void must(unsigned error, const char *what)
{
    if (error) {
        give_up(what, error);
    }
}

void *kit_page(uint64_t frame, uint64_t rights)
{
    uint64_t at = KIT_PAGES + pages * 4096;
    pages++;
    must(space_map(&kit, &kit_space, at, frame, rights), "map a page of the kit");
    return (void *)at;
}

/* What each child runs: its body, then it tells the result and waits for ever. */
static _Noreturn void child_start(uint64_t (*body)(uint64_t), uint64_t argument)
{
    struct message m = {.word = {body(argument)}};
    for (;;) {
        message_pass(&m, SYS_SEND, CHILD_DONE, 1, 1, 0);
        message_pass(&m, SYS_RECEIVE, receive_handle(CHILD_PARK, 0), 0, 0, 0);
    }
}

/* The tests' segments in another space: what is only read is shared, what is written is copied. */
static void copy_segments(struct child *c)
{
    const struct image_header *image = (const struct image_header *)BOOT_IMAGE;
    uint64_t slot = BOOT_FRAMES + 1 + BOOT_STACK_PAGES;
    for (uint64_t i = 0; i < image->segments; i++) {
        const struct image_segment *s = &image->segment[i];
        for (uint64_t p = 0; p < s->pages; p++, slot++) {
            uint64_t frame, at = s->address + p * 4096;
            if (s->rights & RIGHT_WRITE) {
                frame = frame_new(&kit);
                memcpy(kit_page(copy_new(&kit, frame, RIGHTS_ALL), RIGHT_READ | RIGHT_WRITE),
                       (const void *)at, 4096);
            } else {
                frame = copy_new(&kit, slot, RIGHTS_ALL);
            }
            must(space_map(&kit, &c->space, at, frame, s->rights), "map a child's page");
        }
    }
    uint64_t info = copy_new(&kit, BOOT_FRAMES, RIGHTS_ALL);
    must(space_map(&kit, &c->space, BOOT_INFO, info, RIGHT_READ), "map a child's information");
}

/* Its stack; the address of the end. */
static uint64_t make_stack(struct child *c)
{
    struct space *s = c->foreign ? &c->space : &kit_space;
    uint64_t at = c->foreign ? BOOT_STACK : KIT_STACKS + stacks * (STACK_PAGES + 1) * 4096ULL;
    stacks++;
    for (unsigned i = 0; i < STACK_PAGES; i++) {
        must(space_map(&kit, s, at + i * 4096, frame_new(&kit), RIGHT_READ | RIGHT_WRITE),
             "map a child's stack");
    }
    return at + STACK_PAGES * 4096ULL;
}

void child_new(struct child *c, uint64_t (*body)(uint64_t), uint64_t argument, unsigned flags)
{
    *c = (struct child){.foreign = (flags & CHILD_SPACE) != 0};
    c->cnode = cnode_new(&kit, CHILD_SLOTS);
    c->thread = object_new(&kit, OBJ_THREAD);
    c->context = object_new(&kit, OBJ_CONTEXT);
    c->done = object_new(&kit, OBJ_ENDPOINT);
    c->fault = object_new(&kit, OBJ_ENDPOINT);
    c->reply = object_new(&kit, OBJ_REPLY);
    if (c->foreign) {
        space_new(&kit, &c->space);
        copy_segments(c);
    }
    child_give(c, CHILD_CNODE, c->cnode, RIGHTS_ALL);
    child_give(c, CHILD_DONE, c->done, RIGHT_WRITE);
    child_give(c, CHILD_PARK, object_new(&kit, OBJ_NOTIFICATION), RIGHT_READ);
    child_give(c, CHILD_MONITOR, BOOT_MONITOR, RIGHTS_ALL);
    uint64_t budget = 10000 * boot_info()->ticks_per_us;
    must(context_configure(c->context, budget, budget), "configure a child's time");
    must(thread_bind(c->thread, ROLE_CNODE, c->cnode), "bind a child's cnode");
    must(thread_bind(c->thread, ROLE_SPACE, c->foreign ? c->space.handle : BOOT_SPACE),
         "bind a child's space");
    must(thread_bind(c->thread, ROLE_CONTEXT, c->context), "bind a child's time");
    must(thread_bind(c->thread, ROLE_FAULT, c->fault), "bind a child's fault endpoint");
    must(thread_priority(c->thread, KIT_PRIORITY), "set a child's priority");
    uint64_t arguments[2] = {(uint64_t)body, argument};
    must(thread_write(c->thread, R_W0, arguments[0], 1, &arguments[1]), "set a child's arguments");
    uint64_t stack = make_stack(c) - 8; /* as after a call */
    must(thread_write(c->thread, R_RIP, (uint64_t)child_start, 1, &stack),
         "set a child's registers");
}

void child_give(struct child *c, uint64_t slot, uint64_t handle, uint64_t rights)
{
    must(cnode_copy(c->cnode, slot, kit.cnode, handle, rights), "give a child a capability");
}

void child_run(struct child *c)
{
    must(thread_resume(c->thread), "let a child run");
}

uint64_t child_result(struct child *c)
{
    struct message m = {.extra = 0};
    must(message_pass(&m, SYS_RECEIVE, receive_handle(c->done, 0), 0, 0, 0), "receive a result");
    return m.word[0];
}

void child_fault(struct child *c, struct message *m)
{
    must(message_pass(m, SYS_RECEIVE, receive_handle(c->fault, c->reply), 0, 0, 0),
         "receive a fault");
}

void child_answer(struct child *c, struct message *m, unsigned words)
{
    must(message_pass(m, SYS_SEND, c->reply, 0, words, 0), "answer a fault");
}

uint64_t kit_entry(uint64_t field, uint64_t index)
{
    uint64_t answer[MSG_WORDS_REGS];
    must(monitor_read(BOOT_MONITOR, field, index, 1, answer), "read a kernel table");
    return answer[0];
}

uint64_t kit_sum(void)
{
    uint64_t sum = 0;
    for (uint64_t field = 0; field < FIELDS; field++) {
        uint64_t length = SUM_ENTRIES;
        for (uint64_t at = 0; at < length; at += DUMP_SLICE) {
            uint64_t answer[MSG_WORDS_REGS];
            uint64_t count = length - at < DUMP_SLICE ? length - at : DUMP_SLICE;
            unsigned error = monitor_sum(BOOT_MONITOR, field, at, count, answer);
            if (error) { /* a shorter table */
                break;
            }
            sum = sum * 0x9e3779b97f4a7c15ULL + answer[0] + 1;
        }
    }
    return sum;
}

/* The tables of pages and stacks stay from test to test, so that a test pays for its own pages
 * only. */
void kit_prepare(void)
{
    boot_holdings(&kit);
    boot_space(&kit_space);
    for (uint64_t i = 0; i < 4; i++) {
        space_table(&kit, &kit_space, 1, KIT_PAGES + (i << 21));
    }
    space_table(&kit, &kit_space, 1, KIT_STACKS);
}

void kit_begin(struct kit_state *s)
{
    s->mark = holdings_mark(&kit);
    s->space = kit_space;
}

void kit_end(const struct kit_state *s)
{
    must(thread_priority(BOOT_THREAD, TEST_PRIORITY), "set the tests' own priority");
    holdings_reset(&kit, &s->mark);
    kit_space = s->space;
    pages = stacks = 0;
}
