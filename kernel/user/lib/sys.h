/* System calls as functions, and what any native program needs: text on the debug line, a way to
 * give up. The invocations of kernel objects are in the generated stubs.h.
 */
#ifndef USER_SYS_H
#define USER_SYS_H

#include "abi/abi.h"
#include "abi/message.h"
#include "abi/stubs.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What travels: see abi/message.h. The order is that of the registers. */
struct message {
    uint64_t tag;
    uint64_t word[MSG_WORDS_REGS];
    uint64_t handle;
    uint64_t extra;
};

void kernel_syscall(struct message *m);

static inline unsigned message_error(const struct message *m)
{
    return TAG_CODE(m->tag);
}

/* The system call SYS_... with label, words and handles to hand over; m->word and m->extra are the
 * message, and the answer after. */
static inline unsigned message_pass(struct message *m, unsigned call, uint64_t handle,
                                    unsigned label, unsigned words, unsigned handles)
{
    m->tag = TAG_NATIVE | TAG(call, label, words, handles);
    m->handle = handle;
    kernel_syscall(m);
    return message_error(m);
}

/* The handle of receive and reply_receive: an endpoint or notification, and the reply object for
 * the caller. */
static inline uint64_t receive_handle(uint64_t from, uint64_t reply)
{
    return from | reply << 32;
}

/* Retype, delete, revoke and cancel proceed in slices: until they are done. */
unsigned retype_whole(uint64_t untyped, uint64_t type, uint64_t size, uint64_t first,
                      uint64_t count, uint64_t cnode, uint64_t index);
unsigned delete_whole(uint64_t cnode, uint64_t index);
unsigned revoke_whole(uint64_t cnode, uint64_t index);

/* Text goes to the debug line through this handle; 0 when the program has none. */
extern uint64_t console;
void print(const char *text);
void print_bytes(const char *bytes, size_t count);
void print_number(uint64_t value);
void print_hex(uint64_t value);

/* Says what could not be done, with the error's number, and ends the program. */
_Noreturn void give_up(const char *what, uint64_t error);
/* Each program has its own: what its end means. */
_Noreturn void program_end(int status);

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
bool text_equal(const char *a, const char *b);

#endif
