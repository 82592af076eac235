/* foreign_hand.h: a foreign client made by hand, for tests of the dialects 9P2000 and 9P2000.L:
 * messages are packed from a format, answers wait until the test takes them. The world is
 * server_hand's, and its files have one extended attribute between them. */
#ifndef COGNU_FOREIGN_HAND_H
#define COGNU_FOREIGN_HAND_H

#include "server_hand.h"

enum { ABROAD_ANSWERS_MAX = 2048, ABROAD_MSIZE = 8192, ABROAD_ATTR_MAX = 65536 };

struct answer {
    struct ninep_frame *frame;
    uint8_t type;
    uint16_t tag;
    struct cg_buf body; /* a reader */
    bool taken;
};

struct abroad {
    struct world *w;
    struct ninep_conn *conn; /* NULL: cut */
    struct answer answer[ABROAD_ANSWERS_MAX];
    uint32_t answers;
    struct cg_buf r; /* the body of what abroad_call was answered */
    bool closed, failed;
};

/* Before world_start: the world then speaks both dialects, and has the attribute. */
void abroad_world(struct world *w);
void abroad_world_fini(struct world *w); /* and world_fini */
const struct cg_str *abroad_attr(void);  /* "NAME=VALUE", or empty */

void abroad_init(struct abroad *a, struct world *w);
void abroad_fini(struct abroad *a);
bool abroad_start(struct abroad *a, const char *version); /* a connection that agreed on it */
void abroad_cut(struct abroad *a);
void abroad_forget(struct abroad *a); /* what was answered so far */
/* fmt: b w d q are numbers of 1, 2, 4 and 8 bytes, all given as uint64_t; s a C string. */
void abroad_send(struct abroad *a, uint16_t tag, uint8_t type, const char *fmt, ...);
void abroad_bytes(struct abroad *a, const void *data, uint32_t len); /* one frame */
struct answer *abroad_take(struct abroad *a); /* the oldest one not taken; NULL: none */
/* One request with tag 1, whose answer must be there at once: its type, 0 when there is none. */
uint8_t abroad_call(struct abroad *a, uint8_t type, const char *fmt, ...);

#endif
