/* Reading the host's procfs (synth_host.h). */
#include <cognu/synth_host.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int synth_host_open(uint64_t pid, const char *file, int flags)
{
    struct cg_str path = {0};
    int fd = -1;
    cg_err e = pid ? cg_str_addf(&path, "/proc/%llu/%s", (unsigned long long)pid, file)
                   : cg_str_addf(&path, "/proc/%s", file);
    if (e == CG_OK) {
        fd = open(path.data, flags | O_CLOEXEC);
    }
    int why = errno;
    cg_str_fini(&path);
    errno = why;
    return fd;
}

static cg_err gone(uint64_t pid, struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_ESTALE, "process %llu is gone", (unsigned long long)pid);
}

cg_err synth_host_why(uint64_t pid, struct cg_errbuf *eb)
{
    return errno == EACCES ? cg_fail(eb, CG_EACCES, "process %llu hides this from its node's proc",
                                     (unsigned long long)pid)
                           : gone(pid, eb);
}

static cg_err read_all(int fd, struct cg_str *out)
{
    char piece[4096];
    cg_err e = CG_OK;
    ssize_t n = 0;
    while (!e && out->len < SYNTH_HOST_FILE_BYTES_MAX && (n = read(fd, piece, sizeof piece)) > 0) {
        e = cg_str_add(out, piece, (size_t)n);
    }
    return n < 0 ? cg_err_from_errno(errno) : e;
}

cg_err synth_host_read(uint64_t pid, const char *file, struct cg_str *out, struct cg_errbuf *eb)
{
    int fd = synth_host_open(pid, file, O_RDONLY);
    if (fd < 0) {
        return synth_host_why(pid, eb);
    }
    cg_err e = read_all(fd, out);
    close(fd);
    return e == CG_OK || e == CG_ENOMEM ? e : gone(pid, eb);
}

/* proc(5): the name stands in brackets and may hold anything, so fields are counted from the last
 * bracket. */
bool synth_host_parse(char *stat, struct synth_host_process *out)
{
    char *open = strchr(stat, '('), *end = strrchr(stat, ')');
    if (!open || !end || end < open || end[1] != ' ' || !end[2]) {
        return false;
    }
    *end = 0;
    if (!cg_span_str(cg_span_of(open + 1), out->name, sizeof out->name)) {
        return false;
    }
    char *word = end + 2;
    uint64_t rss_pages = 0, user_ticks = 0, system_ticks = 0;
    uint64_t *const wanted[] = {[4] = &out->ppid,
                                [14] = &user_ticks,
                                [15] = &system_ticks,
                                [22] = &out->start_ticks,
                                [24] = &rss_pages};
    out->state = *word;
    for (size_t field = 4; field < CG_COUNT(wanted); field++) {
        word = strchr(word, ' ');
        if (!word) {
            return false;
        }
        word++;
        if (wanted[field]) {
            *wanted[field] = strtoull(word, NULL, 10);
        }
    }
    uint64_t tick_ms = 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    out->user_ms = user_ticks * tick_ms;
    out->system_ms = system_ticks * tick_ms;
    out->rss_bytes = rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

cg_err synth_host_process(uint64_t pid, struct synth_host_process *out, struct cg_errbuf *eb)
{
    struct cg_str stat = {0};
    cg_err e = synth_host_read(pid, "stat", &stat, eb);
    if (!e && !stat.data) {
        e = gone(pid, eb);
    } else if (!e && !synth_host_parse(stat.data, out)) {
        e = cg_fail(eb, CG_EBADFORMAT, "the host's /proc/%llu/stat is not as expected",
                    (unsigned long long)pid);
    }
    cg_str_fini(&stat);
    return e;
}

bool synth_host_is_pid(const char *name, uint64_t *pid)
{
    char *end;
    *pid = strtoull(name, &end, 10);
    return name[0] >= '1' && name[0] <= '9' && !*end && *pid <= INT32_MAX;
}
