/* dev: the small devices of a node as files.
 *
 *   null     swallows what is written, reads as empty
 *   zero     reads as zeroes without end, swallows what is written
 *   random   reads as bytes of the host's generator without end
 *   time     four numbers: seconds since 1970, the same in ns, ns of a clock that is never set, and
 *            its ticks a second (10^9)
 *   sysstat  one line: uptime in s, three load averages, processes, total and free memory in bytes
 *   cons     what is written goes to the node's log, a line at a time; it reads as empty
 */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

enum { KIND_ROOT, KIND_NULL, KIND_ZERO, KIND_RANDOM, KIND_TIME, KIND_SYSSTAT, KIND_CONS, KINDS };

static void read_null(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    r->r.read.eof = 1;
    ninep_respond(r, CG_OK);
}

static cg_err swallow(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    (void)h;
    (void)data;
    (void)eb;
    return CG_OK;
}

static void read_zero(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    memset(r->data, 0, r->data_cap);
    r->r.read.data.len = r->data_cap;
    ninep_respond(r, CG_OK);
}

static void read_random(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    cg_env_real.random(cg_env_real.ctx, r->data, r->data_cap);
    r->r.read.data.len = r->data_cap;
    ninep_respond(r, CG_OK);
}

static cg_err text_of_time(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    uint64_t wall = cg_env_real.wall_ns(NULL), up = cg_env_real.now_ns(NULL);
    return cg_str_addf(out, "%llu %llu %llu 1000000000\n", (unsigned long long)(wall / 1000000000),
                       (unsigned long long)wall, (unsigned long long)up);
}

static cg_err text_of_sysstat(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    struct sysinfo si;
    if (sysinfo(&si) < 0) {
        return cg_fail(eb, CG_EIO, "the host does not tell its state");
    }
    double unit = 1 << SI_LOAD_SHIFT;
    return cg_str_addf(out, "%ld %.2f %.2f %.2f %u %llu %llu\n", si.uptime,
                       (double)si.loads[0] / unit, (double)si.loads[1] / unit,
                       (double)si.loads[2] / unit, (unsigned)si.procs,
                       (unsigned long long)si.totalram * si.mem_unit,
                       (unsigned long long)si.freeram * si.mem_unit);
}

static cg_err write_cons(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    while (data.len) {
        const uint8_t *end = memchr(data.data, '\n', data.len);
        uint32_t n = end ? (uint32_t)(end - data.data) : data.len;
        cg_log(CG_INFO, "cons: %.*s", (int)n, (const char *)data.data);
        n += end != NULL;
        data.data += n;
        data.len -= n;
    }
    return CG_OK;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_NULL] = {.name = "null",
                   .mode = S_IFREG | 0666,
                   .qtype = NINEP_QTYPE_STREAM,
                   .read = read_null,
                   .line = swallow},
    [KIND_ZERO] = {.name = "zero",
                   .mode = S_IFREG | 0666,
                   .qtype = NINEP_QTYPE_STREAM,
                   .read = read_zero,
                   .line = swallow},
    [KIND_RANDOM] = {.name = "random",
                     .mode = S_IFREG | 0444,
                     .qtype = NINEP_QTYPE_STREAM,
                     .read = read_random},
    [KIND_TIME] = {.name = "time", .mode = S_IFREG | 0444, .text = text_of_time},
    [KIND_SYSSTAT] = {.name = "sysstat", .mode = S_IFREG | 0444, .text = text_of_sysstat},
    [KIND_CONS] = {.name = "cons",
                   .mode = S_IFREG | 0666,
                   .qtype = NINEP_QTYPE_STREAM,
                   .read = read_null,
                   .line = write_cons},
};

int main(int argc, char **argv)
{
    cg_log_init("dev");
    return synth_serve_main(argc, argv, "dev", kinds, KINDS);
}
