/* stats: see stats.h. Values are added to by whoever owns them; names are only appended. */
#include <cognu/stats.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char magic[8] = "cgstats1";
static struct cg_stats own; /* until it is opened, and where it cannot be */
static struct cg_stats *all = &own;
static uint64_t unseen;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* protects names */

void cg_stats_open(const char *component)
{
    char path[128];
    snprintf(path, sizeof path, CG_STATS_DIR "/%s/" CG_STATS_FILE, component);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool sized = fd >= 0 && ftruncate(fd, 0) == 0 && ftruncate(fd, sizeof *all) == 0;
    void *at =
        sized ? mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0) {
        close(fd);
    }
    if (at != MAP_FAILED) {
        all = at;
        memcpy(all->magic, magic, sizeof magic);
        all->bytes = sizeof *all;
    }
}

const struct cg_stats *cg_stats_own(void)
{
    return all;
}

static uint64_t *find_or_add(const char *name)
{
    for (uint32_t i = 0; i < all->values; i++) {
        if (strcmp(all->value[i].name, name) == 0) {
            return &all->value[i].value;
        }
    }
    if (all->values == CG_STATS_VALUES_MAX || strlen(name) >= CG_STATS_NAME_BYTES) {
        return &unseen;
    }
    struct cg_stats_value *v = &all->value[all->values];
    memcpy(v->name, name, strlen(name) + 1);
    __atomic_store_n(&all->values, all->values + 1, __ATOMIC_RELEASE);
    return &v->value;
}

uint64_t *cg_stats_value(const char *name)
{
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
    }
    uint64_t *v = find_or_add(name);
    atomic_flag_clear_explicit(&busy, memory_order_release);
    return v;
}

static void copy(char *to, size_t cap, const char *from)
{
    size_t n = strnlen(from, cap - 1);
    memcpy(to, from, n);
    memset(to + n, 0, cap - n);
}

void cg_stats_step(uint64_t trace, enum cg_layer layer, uint64_t took_ns, cg_err error,
                   const char *what, const char *name)
{
    if (trace == 0) {
        return;
    }
    uint64_t n = __atomic_fetch_add(&all->steps, 1, __ATOMIC_RELAXED);
    struct cg_step *s = &all->step[n % CG_STATS_STEPS_MAX];
    __atomic_store_n(&s->number, 0, __ATOMIC_RELEASE);
    s->trace = trace;
    s->start_ns = (int64_t)(cg_env_real.wall_ns(cg_env_real.ctx) - took_ns);
    s->took_ns = took_ns;
    s->error = error;
    s->layer = layer;
    copy(s->what, sizeof s->what, what);
    copy(s->name, sizeof s->name, name ? name : "");
    __atomic_store_n(&s->number, n + 1, __ATOMIC_RELEASE);
}

bool cg_stats_check(struct cg_stats *s, size_t bytes)
{
    if (bytes < sizeof *s || memcmp(s->magic, magic, sizeof magic) != 0 || s->bytes != sizeof *s) {
        return false;
    }
    s->values = s->values < CG_STATS_VALUES_MAX ? s->values : CG_STATS_VALUES_MAX;
    for (uint32_t i = 0; i < s->values; i++) {
        s->value[i].name[CG_STATS_NAME_BYTES - 1] = '\0';
    }
    for (uint32_t i = 0; i < CG_STATS_STEPS_MAX; i++) {
        struct cg_step *t = &s->step[i];
        t->what[sizeof t->what - 1] = t->name[sizeof t->name - 1] = '\0';
        t->layer = t->layer < CG_LAYERS ? t->layer : CG_LAYER_SERVER;
    }
    return true;
}
