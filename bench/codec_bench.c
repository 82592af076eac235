/* codec_bench: how many messages the codec encodes and decodes in a second, header included.
 *
 *     codec_bench [MILLISECONDS]       of each measurement, 200 if not said
 *
 * Prints name, ours, peer, ratio, unit, separated by tabs; there is no peer to compare with here.
 */
#include <cognu/ninep.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAME_BYTES = 8192, BATCH = 1000, WALK_NAMES = 4, READ_BYTES = 4096 };

static uint8_t frame[FRAME_BYTES], members[FRAME_BYTES];
static union ninep_tmsg t;
static union ninep_rmsg r;

static void request(uint8_t type)
{
    struct ninep_thead h = {.size = NINEP_T_HEADER_BYTES + ninep_tmsg_size(type, &t), .type = type};
    struct cg_buf b = cg_buf_writer(frame, sizeof frame);
    ninep_put_thead(&b, &h);
    bool ok = ninep_put_tmsg(type, &b, &t);
    b = cg_buf_reader(frame, b.pos);
    ninep_get_thead(&b, &h);
    cg_assert(ok && ninep_get_tmsg(type, &b, &t) && h.type == type);
}

static void reply(uint8_t type)
{
    struct ninep_rhead h = {.size = NINEP_R_HEADER_BYTES + ninep_rmsg_size(type, &r), .type = type};
    struct cg_buf b = cg_buf_writer(frame, sizeof frame);
    ninep_put_rhead(&b, &h);
    bool ok = ninep_put_rmsg(type, &b, &r);
    b = cg_buf_reader(frame, b.pos);
    ninep_get_rhead(&b, &h);
    cg_assert(ok && ninep_get_rmsg(type, &b, &r) && h.type == type);
}

static void twalk(void)
{
    t.walk = (struct ninep_twalk){.fid = 1, .newfid = 2, .names = {.count = WALK_NAMES}};
    for (uint16_t i = 0; i < WALK_NAMES; i++) {
        t.walk.names.name[i] = (struct cg_span){(const uint8_t *)"element", 7};
    }
    request(NINEP_TWALK);
}

static void rwalk(void)
{
    r.walk = (struct ninep_rwalk){.attrs = {WALK_NAMES, {members, WALK_NAMES * NINEP_ATTR_BYTES}}};
    reply(NINEP_RWALK);
}

/* The payload stands in its place, as it does in a server. */
static void rread(void)
{
    uint8_t *data = frame + NINEP_R_HEADER_BYTES + NINEP_RREAD_PAYLOAD_AT;
    r.read = (struct ninep_rread){.eof = 1, .data = {data, READ_BYTES}};
    reply(NINEP_RREAD);
}

static void measure(const char *name, void (*run)(void), uint64_t ns)
{
    const struct cg_env *env = &cg_env_real;
    uint64_t begin = env->now_ns(env->ctx), end = begin, count = 0;
    while (end - begin < ns) {
        for (int i = 0; i < BATCH; i++) {
            run();
        }
        count += BATCH;
        end = env->now_ns(env->ctx);
    }
    double per_second = (double)count * 1e9 / (double)(end - begin);
    printf("%s\t%.0f\t-\t-\tmessages/s\n", name, per_second);
}

int main(int argc, char **argv)
{
    uint64_t ns = (argc > 1 ? strtoull(argv[1], NULL, 10) : 200) * UINT64_C(1000000);
    measure("codec_twalk", twalk, ns);
    measure("codec_rwalk", rwalk, ns);
    measure("codec_rread", rread, ns);
    return 0;
}
