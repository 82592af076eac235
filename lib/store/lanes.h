/* lanes: HMAC-SHA256 of several messages at once, where processor and library can. */
#ifndef COGNU_STORE_LANES_H
#define COGNU_STORE_LANES_H

#include "store__.h"

enum { LANES_KEYS = 2, LANES_MAC_BYTES = 32, LANES_MESSAGES_MAX = SCORES_MAX };
struct lanes;
/* NULL: not on this processor, or no memory; then one by one is the way. */
struct lanes *lanes_new(const uint8_t key[LANES_KEYS][KEY_BYTES]);
void lanes_free(struct lanes *l);
bool lanes_fit(size_t bytes); /* a message of such a length can be among them */
/* Of n messages, LANES_MESSAGES_MAX of them at most, under one of the keys. False: for so few, one
 * by one is faster, and nothing was done. */
bool lanes_hmac(struct lanes *l, int key, const struct cg_span *message, uint32_t n,
                uint8_t (*out)[LANES_MAC_BYTES]);

#endif
