/* Endpoints: where senders and receivers meet, first come first served.
 *
 * One of an endpoint's two queues is empty. A call to a receiver without context lends the caller's
 * through the reply object that the receiver offers; a receiver that offers none takes messages,
 * but no calls.
 */
#ifndef KERNEL_ENDPOINT_H
#define KERNEL_ENDPOINT_H

#include "object/thread.h"

/*@ predicate is_endpoint(integer e) = 1 <= e < E_MAX; */

/* The message in t's registers, sent with t_badge[t] and t_rights[t]; state is THREAD_SENDING or
 * THREAD_CALLING. With wait, t queues up when nobody receives. 0, or the error for t. */
uint32_t endpoint_send(uint32_t t, uint32_t e, uint32_t state, bool wait);

/* t takes the first message; or waits for one, if it may. r: reply object that it offers, linked
 * with nobody, or NIL. */
uint32_t endpoint_receive(uint32_t t, uint32_t e, uint32_t r, bool wait);

/* One slice of ending the waiting of senders with a badge. True when all are gone. */
bool endpoint_cancel(uint32_t e, uint64_t badge);

#endif
