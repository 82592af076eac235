/* exec: the files of the exec server (README.md); the jobs themselves are in job.c. */
#include "job.h"

#include <cognu/ninep_uv.h>
#include <cognu/secure_allow.h>
#include <cognu/synth.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    KIND_ROOT,
    KIND_CLONE,
    KIND_ALLOW,
    KIND_JOB,
    KIND_CTL,
    KIND_IN,
    KIND_OUT,
    KIND_ERR,
    KIND_WAIT,
    KIND_STATUS,
    KINDS
};

static bool each_job(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    struct job *j = job_after(*cursor);
    if (!j) {
        return false;
    }
    *cursor = *id = j->id;
    struct cg_str text = {0};
    bool ok = cg_str_addf(&text, "%llu", (unsigned long long)j->id) == CG_OK &&
              cg_span_str(cg_span_of(text.data), name, SYNTH_NAME_BYTES);
    cg_str_fini(&text);
    return ok;
}

static cg_err find_job(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    char *end;
    *id = strtoull(name, &end, 10);
    return name[0] >= '1' && name[0] <= '9' && !*end && job_by_id(*id) ? CG_OK : CG_ENOENT;
}

static cg_err open_clone(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    struct job *j;
    char user[64];
    cg_err e = allow_check(h->fid, "run commands", user, eb);
    if (e) {
        return e;
    }
    e = job_new(h->fid->principal, &j);
    if (e) {
        return cg_fail(eb, e, "this node runs no more than %d commands at once", JOBS_MAX);
    }
    h->kind = synth_kind_of(h->synth, KIND_CTL);
    memcpy(j->user, user, sizeof j->user);
    h->id = j->id;
    h->aux = j; /* this handle owns the job */
    return CG_OK;
}

static void close_ctl(struct synth_handle *h)
{
    if (h->aux) {
        job_disown(h->aux);
    }
}

static cg_err text_of_ctl(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    const char *key = allow_key();
    (void)eb;
    return cg_str_addf(out, "%llu%s%s\n", (unsigned long long)h->id, key ? " " : "",
                       key ? key : "");
}

static cg_err text_of_allow(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    return allow_text(out, eb);
}

/* The rule is emptied by truncation and grows by writes: a shell writes line by line. */
static cg_err change_allow(struct synth_handle *h, struct cg_span data, bool append,
                           struct cg_errbuf *eb)
{
    if (!synth_is_host(h->fid)) {
        return cg_fail(eb, CG_EPERM, "only the node's own user says who may run commands");
    }
    return allow_set(data, append, eb);
}

static cg_err line_of_allow(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    return change_allow(h, data, true, eb);
}

static cg_err open_allow(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    return flags & NINEP_OPEN_TRUNC ? change_allow(h, (struct cg_span){0}, false, eb) : CG_OK;
}

static cg_err resize_allow(struct synth_handle *h, uint64_t size, struct cg_errbuf *eb)
{
    return size == 0 ? change_allow(h, (struct cg_span){0}, false, eb)
                     : cg_fail(eb, CG_EINVAL, "the rule is only cut to nothing");
}

/* Cuts off the line that text begins with; gives what follows it, or NULL. A quoted word may hold
 * newlines. */
static char *cut_line(char *text)
{
    bool quoted = false;
    for (char *at = text; *at; at++) {
        quoted ^= *at == '\'';
        if (*at == '\n' && !quoted) {
            *at = 0;
            return at + 1;
        }
    }
    return NULL;
}

static cg_err line_of_ctl(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    struct job *j = job_by_id(h->id);
    if (!j) {
        return cg_fail(eb, CG_ESTALE, "the job is gone");
    }
    if (memchr(data.data, 0, data.len)) {
        return cg_fail(eb, CG_EBADFORMAT, "a word cannot hold a NUL byte");
    }
    char *text = cg_strndup((const char *)data.data, data.len);
    cg_err e = text ? CG_OK : CG_ENOMEM;
    for (char *line = text, *next; !e && line; line = next) {
        next = cut_line(line);
        e = job_ctl(j, line, eb);
    }
    cg_free(text);
    return e;
}

static struct synth_stream *stream_of(struct synth_handle *h)
{
    struct job *j = job_by_id(h->id);
    if (!j || j->state == JOB_NEW) {
        return NULL;
    }
    return h->kind == synth_kind_of(h->synth, KIND_IN)    ? &j->in
           : h->kind == synth_kind_of(h->synth, KIND_OUT) ? &j->out
                                                          : &j->err;
}

static void stream_request(struct synth_handle *h, struct ninep_req *r)
{
    struct synth_stream *s = stream_of(h);
    if (!s) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the command is not started, or is over"));
        return;
    }
    synth_stream_request(s, r);
}

static void read_wait(struct synth_handle *h, struct ninep_req *r)
{
    struct job *j = job_by_id(h->id);
    if (!j) {
        ninep_respond(r, cg_fail(&r->eb, CG_ESTALE, "the job is gone"));
        return;
    }
    job_wait_request(j, r);
}

static void cancel_request(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    synth_cancel_waiting(r);
}

static uint64_t owner_of_job(struct synth_handle *h)
{
    struct job *j = job_by_id(h->id);
    return j ? j->principal : h->fid->principal;
}

static cg_err text_of_status(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    static const char *const states[] = {"new", "running", "ended"};
    struct job *j = job_by_id(h->id);
    if (!j) {
        return cg_fail(eb, CG_ESTALE, "the job is gone");
    }
    return cg_str_addf(out, "%s %d %s\n", states[j->state], j->pid,
                       j->words.data ? j->words.data : "");
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_CLONE] = {.name = "clone", .mode = S_IFREG | 0600, .open = open_clone},
    [KIND_ALLOW] = {.name = "allow",
                    .mode = S_IFREG | 0644,
                    .open = open_allow,
                    .resize = resize_allow,
                    .text = text_of_allow,
                    .line = line_of_allow},
    [KIND_JOB] = {.mode = S_IFDIR | 0555,
                  .owner = owner_of_job,
                  .each = each_job,
                  .find = find_job},
    [KIND_CTL] = {.parent = KIND_JOB,
                  .name = "ctl",
                  .owner = owner_of_job,
                  .mode = S_IFREG | 0600,
                  .close = close_ctl,
                  .text = text_of_ctl,
                  .line = line_of_ctl},
    [KIND_IN] = {.parent = KIND_JOB,
                 .name = "stdin",
                 .owner = owner_of_job,
                 .mode = S_IFREG | 0200,
                 .qtype = NINEP_QTYPE_STREAM,
                 .write = stream_request,
                 .cancel = cancel_request},
    [KIND_OUT] = {.parent = KIND_JOB,
                  .name = "stdout",
                  .owner = owner_of_job,
                  .mode = S_IFREG | 0400,
                  .qtype = NINEP_QTYPE_STREAM,
                  .read = stream_request,
                  .cancel = cancel_request},
    [KIND_ERR] = {.parent = KIND_JOB,
                  .name = "stderr",
                  .owner = owner_of_job,
                  .mode = S_IFREG | 0400,
                  .qtype = NINEP_QTYPE_STREAM,
                  .read = stream_request,
                  .cancel = cancel_request},
    [KIND_WAIT] = {.parent = KIND_JOB,
                   .name = "wait",
                   .owner = owner_of_job,
                   .mode = S_IFREG | 0400,
                   .qtype = NINEP_QTYPE_STREAM,
                   .read = read_wait,
                   .cancel = cancel_request},
    [KIND_STATUS] = {.parent = KIND_JOB,
                     .name = "status",
                     .owner = owner_of_job,
                     .mode = S_IFREG | 0400,
                     .text = text_of_status},
};

int main(int argc, char **argv)
{
    static char *launcher[WORDS_MAX];
    const char *launch = "";
    const struct cg_option own = {"--launcher", &launch};
    struct allow_config allow;
    cg_log_init("exec");
    bool good = allow_take_options(&argc, argv, &allow) && cg_options_take(&argc, argv, &own, 1);
    char *words_of = cg_strdup(launch);
    int words = good && words_of ? cg_tokenize(words_of, launcher, WORDS_MAX) : -1;
    if (words < 0) {
        cg_log(CG_ERROR_LEVEL, "an option has no value, or --launcher an open quote or too many "
                               "words");
        return 2;
    }
    jobs_init(uv_default_loop(), launcher, words);
    if (allow_start(uv_default_loop(), &allow) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    int status = synth_serve_main(argc, argv, "exec", kinds, KINDS);
    allow_stop();
    uv_run(uv_default_loop(), UV_RUN_NOWAIT);
    cg_free(words_of);
    return status;
}
