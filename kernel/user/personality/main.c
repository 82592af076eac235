/* The personality's loop: a message is a system call or a fault of the program, the answer lets it
 * go on. */
#include "arch/regs.h"
#include "personality.h"

#define STATUS_KILLED 139 /* what a shell calls a program that ended by SIGSEGV */

static struct holdings holdings;
static struct space own;
static struct program program;

_Noreturn void program_end(int status)
{
    struct message m = {.word = {(uint64_t)status}};
    message_pass(&m, SYS_SEND, LINUX_PARENT, 1, 1, 0);
    for (;;) {
        message_pass(&m, SYS_RECEIVE, receive_handle(LINUX_ENDPOINT, 0), 0, 0, 0);
    }
}

static void check(unsigned error, const char *what)
{
    if (error) {
        give_up(what, error);
    }
}

static void killed(const struct message *m)
{
    print("linux: killed: fault ");
    print_number(TAG_LABEL(m->tag) - LABEL_FAULT);
    for (unsigned i = 0; i < TAG_WORDS(m->tag) && i < MSG_WORDS_REGS; i++) {
        print(i == 0 ? ", words " : " ");
        print_hex(m->word[i]);
    }
    print("\n");
    program.ended = true;
    program.status = STATUS_KILLED;
}

/* Makes of the message the answer to it; false when the program does not go on. */
static bool answer(struct message *m)
{
    switch (TAG_LABEL(m->tag)) {
    case LABEL_FAULT + FAULT_SYSCALL: {
        m->word[0] = (uint64_t)linux_call(&program, m->word[0], &m->word[1]);
        break;
    }
    case LABEL_FAULT + FAULT_PAGE: {
        uint32_t prot = m->word[2] & 2 ? PROT_WRITE : m->word[2] & 16 ? PROT_EXEC : PROT_READ;
        if (!memory_touch(&program, m->word[1], prot)) {
            killed(m);
        }
        break;
    }
    default:
        killed(m);
    }
    return !program.ended;
}

static void prepare(void)
{
    program.holdings = &holdings;
    program.own = &own;
    space_new(&holdings, &program.space);
    program.thread = object_new(&holdings, OBJ_THREAD);
    uint64_t context = object_new(&holdings, OBJ_CONTEXT);
    uint64_t endpoint =
        badged_new(&holdings, LINUX_ENDPOINT, RIGHT_WRITE | RIGHT_GRANT, LINUX_BADGE);
    uint64_t tick = boot_info()->ticks_per_us;
    check(context_configure(context, 10000 * tick, 10000 * tick), "configure the program's time");
    check(thread_bind(program.thread, ROLE_SPACE, program.space.handle),
          "bind the program's space");
    check(thread_bind(program.thread, ROLE_CONTEXT, context), "bind the program's time");
    check(thread_bind(program.thread, ROLE_FAULT, endpoint), "bind the program's endpoint");
    check(thread_priority(program.thread, 10), "set the program's priority");
}

int main(void)
{
    char name[64];
    const char *why = "it is not in the boot image";
    uint64_t bytes = 0;
    boot_holdings(&holdings);
    boot_space(&own);
    prepare();
    if (!boot_option("run", name, sizeof(name))) {
        give_up("run a program: none is named", 0);
    }
    const uint8_t *file = boot_file(name, &bytes);
    if (!file || !load_program(&program, file, bytes, name, &why)) {
        print(name);
        print(": ");
        print(why);
        print("\n");
        return 126;
    }
    check(thread_resume(program.thread), "let the program run");
    uint64_t reply = object_new(&holdings, OBJ_REPLY);
    struct message m = {.extra = 0};
    check(message_pass(&m, SYS_RECEIVE, receive_handle(LINUX_ENDPOINT, reply), 0, 0, 0), "receive");
    while (answer(&m)) {
        unsigned error =
            message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(LINUX_ENDPOINT, reply), 0, 1, 0);
        check(error, "answer and receive");
    }
    return program.status;
}
