/* Answers: a caller gets its message and its time back. */
#ifndef KERNEL_ANSWER_H
#define KERNEL_ANSWER_H

#include "object/thread.h"

/* Ends the link between r and its thread; what the thread has lent through it returns, unless it
 * was lent on meanwhile: then it returns to nobody. */
void answer_return(uint32_t r);

/* The message in t's registers goes to the thread that waits in r, which then runs again; or the
 * error for t, and nothing has changed. */
uint32_t answer(uint32_t t, uint32_t r);

/* t waits no more: it is answered with error, and runs; a thread that waits because of a fault is
 * stopped instead. */
void answer_error(uint32_t t, uint32_t error);

#endif
