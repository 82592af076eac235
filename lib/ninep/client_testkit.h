/* client_testkit.h: what the tests of the client against a scripted server share: one such server,
 * made anew for each test. */
#ifndef COGNU_CLIENT_TESTKIT_H
#define COGNU_CLIENT_TESTKIT_H

#include "client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct peer peer; /* large: not on the stack */

static inline int setup(void **state)
{
    peer_init(&peer);
    *state = &peer;
    return 0;
}

static inline void begin(struct peer *p)
{
    assert_int_equal(peer_new(p), CG_OK);
    peer_up(p);
}

static inline void end(struct peer *p)
{
    peer_fini(p);
}

static inline enum ninep_client_state last_state(const struct peer *p)
{
    return p->state[p->states - 1].st;
}

#endif
