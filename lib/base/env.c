/* The real environment: the host's clocks and random numbers. */
#include <cognu/base.h>

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t real_now(void *ctx)
{
    (void)ctx;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t real_wall(void *ctx)
{
    (void)ctx;
    return clock_ns(CLOCK_REALTIME);
}

static void real_random(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    uint8_t *p = out;
    while (bytes) {
        ssize_t n = getrandom(p, bytes, 0);
        cg_assert(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        }
    }
}

const struct cg_env cg_env_real = {.now_ns = real_now, .wall_ns = real_wall, .random = real_random};

uint64_t cg_now_ms(const struct cg_env *env)
{
    return env->now_ns(env->ctx) / 1000000u;
}
