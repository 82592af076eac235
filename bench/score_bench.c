/* score_bench: scores of several chunks at once (lib/store/lanes.c), in GB a second of one core.
 *
 *     score_bench [MILLISECONDS]       of each measurement, 200 if not said
 *
 * Prints name, ours, peer, ratio, unit, separated by tabs; the peer is OpenSSL, one by one.
 */
#include "../lib/store/store__.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHUNK_BYTES = 12 << 10 };
static uint8_t data[SCORES_MAX * CHUNK_BYTES];

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void together(struct scorer *c, const struct cg_span *chunk, uint32_t n,
                     struct store_score *out)
{
    scorer_scores(c, STORE_DATA, chunk, n, out);
}

static void one_by_one(struct scorer *c, const struct cg_span *chunk, uint32_t n,
                       struct store_score *out)
{
    for (uint32_t i = 0; i < n; i++) {
        scorer_score(c, STORE_DATA, chunk[i].data, chunk[i].len, &out[i]);
    }
}

static double speed(struct scorer *c, uint32_t n, double seconds,
                    void (*way)(struct scorer *, const struct cg_span *, uint32_t,
                                struct store_score *))
{
    struct cg_span chunk[SCORES_MAX];
    struct store_score out[SCORES_MAX];
    double bytes = 0, start = cpu_s(), now;
    for (uint32_t i = 0; i < n; i++) {
        chunk[i] = (struct cg_span){.data = data + (size_t)i * CHUNK_BYTES, .len = CHUNK_BYTES};
    }
    do {
        way(c, chunk, n, out);
        bytes += (double)n * CHUNK_BYTES;
        now = cpu_s();
    } while (now - start < seconds);
    return bytes / (now - start) / 1e9;
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = {1, 2, 4, 8, 16, 40, SCORES_MAX};
    static const uint8_t domain[KEY_BYTES] = {1};
    double seconds = (argc > 1 ? atof(argv[1]) : 200) / 1e3;
    struct scorer *c = scorer_new(domain);
    cg_assert(c);
    for (size_t i = 0; i < CG_COUNT(counts); i++) {
        double ours = speed(c, counts[i], seconds, together);
        double peer = speed(c, counts[i], seconds, one_by_one);
        printf("scores_%u\t%.2f\t%.2f\t%.2f\tGB/s\n", counts[i], ours, peer, ours / peer);
    }
    scorer_free(c);
    return 0;
}
