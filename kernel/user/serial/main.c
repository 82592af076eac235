/* The driver of the serial line's input: a component that holds eight ports and interrupt line 4,
 * and nothing else. See serial.h. */
#include "boot.h"
#include "serial.h"

/* What it was started with. */
#define SERIAL_ENDPOINT     BOOT_FRAMES
#define SERIAL_NOTIFICATION (BOOT_FRAMES + 1)
#define SERIAL_SIGNAL       (BOOT_FRAMES + 2) /* the same with a badge, to be bound to the line */
#define SERIAL_IRQ          (BOOT_FRAMES + 3)
#define SERIAL_PORTS        (BOOT_FRAMES + 4)
#define SERIAL_REPLY        (BOOT_FRAMES + 5)

enum { UART_DATA = 0, UART_ENABLE = 1, UART_STATUS = 5 };
#define BUFFER    1024u
#define BACKSPACE 8
#define DELETE    127
#define END       4 /* control-D */

static struct {
    char byte[BUFFER];
    unsigned count; /* bytes that came */
    unsigned ready; /* of them, in whole lines */
    bool ended;     /* the end was typed at the start of a line */
    bool wanted;    /* a client waits, */
    unsigned bytes; /* for at most so many */
} input;

_Noreturn void program_end(int status)
{
    struct message m = {.word = {(uint64_t)status}};
    for (;;) {
        message_pass(&m, SYS_RECEIVE, receive_handle(SERIAL_NOTIFICATION, 0), 0, 0, 0);
    }
}

static void take(char c)
{
    if (c == '\r' || c == '\n') {
        input.byte[input.count++] = '\n';
        input.ready = input.count;
        print("\n");
    } else if (c == END) {
        input.ended = input.count == input.ready;
        input.ready = input.count;
    } else if (c == BACKSPACE || c == DELETE) {
        if (input.count > input.ready) {
            input.count--;
            print("\b \b");
        }
    } else if (input.count < BUFFER - 1 && (unsigned char)c >= ' ') {
        input.byte[input.count++] = c;
        print_bytes(&c, 1);
    }
}

static void drain(void)
{
    uint64_t answer[MSG_WORDS_REGS] = {0};
    while (port_in(SERIAL_PORTS, UART_STATUS, 1, answer) == 0 && (answer[0] & 1) != 0 &&
           input.count < BUFFER - 1) {
        if (port_in(SERIAL_PORTS, UART_DATA, 1, answer) == 0) {
            take((char)answer[0]);
        }
    }
}

/* Makes of the message the answer to the client that waits: one line at most. */
static void deliver(struct message *m)
{
    unsigned n = 0;
    while (n < input.ready && n < input.bytes && (n == 0 || input.byte[n - 1] != '\n')) {
        n++;
    }
    memset(m->word, 0, sizeof(m->word));
    memcpy(&m->word[1], input.byte, n);
    memmove(input.byte, input.byte + n, input.count - n);
    m->word[0] = n;
    input.count -= n;
    input.ready -= n;
    input.ended = false;
    input.wanted = false;
}

int main(void)
{
    static struct holdings holdings;
    struct message m = {.extra = 0};
    boot_holdings(&holdings);
    if (irq_bind(SERIAL_IRQ, SERIAL_SIGNAL) ||
        thread_bind(BOOT_THREAD, ROLE_NOTIFICATION, SERIAL_NOTIFICATION)) {
        give_up("bind the serial line's interrupt", 0);
    }
    port_out(SERIAL_PORTS, UART_ENABLE, 1, 1);
    drain();
    for (;;) {
        unsigned error;
        if (input.wanted && (input.ready > 0 || input.ended)) {
            deliver(&m);
            error =
                message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(SERIAL_ENDPOINT, SERIAL_REPLY),
                             0, MSG_WORDS_REGS, 0);
        } else { /* without a reply object nobody can call while one waits */
            error =
                message_pass(&m, SYS_RECEIVE,
                             receive_handle(input.wanted ? SERIAL_NOTIFICATION : SERIAL_ENDPOINT,
                                            input.wanted ? 0 : SERIAL_REPLY),
                             0, 0, 0);
        }
        if (error) {
            give_up("receive", error);
        }
        if (TAG_LABEL(m.tag) == LABEL_SIGNAL) {
            drain();
            irq_ack(SERIAL_IRQ);
        } else {
            input.wanted = true;
            input.bytes = m.word[0] < SERIAL_BYTES ? (unsigned)m.word[0] : SERIAL_BYTES;
        }
    }
}
