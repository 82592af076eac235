/* The fast path: a call to a server that waits and has no time of its own, and the server's answer.
 *
 * It does what the slow path does for the same call, by the same steps; what it saves is reading
 * the clock, the general decoding, and the ready queues. The context goes on with the call, so
 * nothing needs to be charged: its use is counted on from where it was. The conditions, all of
 * them:
 *
 * both           at most ten words, no capabilities, a label below LABEL_FAULT, and nobody ready
 *                with a higher priority than the one to run next
 * call           an endpoint with the right to write; somebody receives there, offers a reply
 *                object, and has no context
 * reply_receive  a reply object in which a caller waits that lent the context on which the server
 *                runs, and that is not about a fault; an endpoint with the right to read, on which
 *                nobody waits to send; no signal is there for the server
 */
#ifndef KERNEL_FAST_H
#define KERNEL_FAST_H

#include <stdbool.h>
#include <stdint.h>

/* Each does the running thread's system call, or leaves everything as it is: then false. */
bool fast_call(uint32_t t);
bool fast_reply_receive(uint32_t t);

#endif
