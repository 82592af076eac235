/* trace: which requests are followed from node to node (stats.h).
 *
 * A program that writes a number in hexadecimal into /mnt/ns/trace has all requests of its Linux
 * session followed in this namespace, its own and those of what it starts: each request gets the
 * number plus 1, 2 and so on, in the lowest TRACE_STEP_BITS bits, which are zero in what was
 * written. The number travels in the header of every message that the request causes. A few
 * sessions are followed at a time; the oldest gives way.
 */
#include "adapter.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRACE_STEP_BITS = 24 };
#define STEPS ((UINT64_C(1) << TRACE_STEP_BITS) - 1)

static int session_of(struct space *s, const struct freq *r)
{
    uint32_t pid = space_pid(s, r->m.h.pid);
    return pid == 0 ? -1 : getsid((pid_t)pid);
}

void trace_write(struct space *s, struct freq *r)
{
    char text[32] = {0}, *end = text;
    uint32_t len = r->m.data.len < sizeof text ? r->m.data.len : 0;
    memcpy(text, r->m.data.data, len);
    uint64_t id = strtoull(text, &end, 16);
    int session = session_of(s, r);
    if (end == text || strcspn(end, "\n") != 0 || id == 0 || (id & STEPS) || session < 0) {
        face_fail(r, CG_EINVAL, "trace takes a number in hexadecimal that ends in 000000");
        return;
    }
    struct traced *oldest = &s->traced[0];
    for (int i = 0; i < TRACED_MAX; i++) {
        struct traced *t = &s->traced[i];
        if (t->session == session) {
            oldest = t;
            break;
        }
        oldest = t->number < oldest->number ? t : oldest;
    }
    *oldest = (struct traced){.session = session, .id = id, .number = ++s->traces};
    struct fuse_write_out out = {.size = r->m.in.write.size};
    freq_reply(r, &out, sizeof out, NULL, 0);
}

void trace_begin(struct space *s, struct freq *r)
{
    if (s->traces == 0) {
        return;
    }
    int session = session_of(s, r);
    for (int i = 0; i < TRACED_MAX && session > 0; i++) {
        struct traced *t = &s->traced[i];
        if (t->session == session && t->steps < STEPS) {
            r->trace = t->id + ++t->steps;
            r->begun_ns = cg_env_real.now_ns(cg_env_real.ctx);
        }
    }
}
