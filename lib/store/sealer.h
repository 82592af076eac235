/* Frames of the journal, sealed by who appends them and a thread beside. */
#ifndef COGNU_STORE_SEALER_H
#define COGNU_STORE_SEALER_H

#include "store__.h"

enum { JOURNAL_AAD_BYTES = 20 };
struct sealing_frame {
    uint8_t aad[JOURNAL_AAD_BYTES];
    uint64_t nonce;
    struct cg_span head, body;
    uint8_t *out;
    bool sealed; /* by the thread */
};
struct sealing {
    struct aead *own, *helper; /* of one key, for each of the two */
    struct sealing_frame frame[STORE_JOURNAL_GROUP_MAX];
    size_t count, next; /* next: the first that neither has begun */
};
struct sealer;
cg_err sealer_new(struct sealer **out);
void sealer_free(struct sealer *s);
/* Without a thread (s is NULL) frames are sealed when they are needed. */
void sealer_begin(struct sealer *s, struct sealing *g);
void sealer_need(struct sealer *s, struct sealing *g, size_t i); /* in order, each once */
/* So many were needed. g belongs to the caller again. */
void sealer_end(struct sealer *s, struct sealing *g, size_t needed);

#endif
