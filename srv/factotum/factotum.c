/* factotum: the files, and who may open them.
 *
 *   ctl   write: newuser NAME | delkey NAME; read: the public keys
 *   keys  read: the public keys
 *   sign  write one request (request.c), then read the answer on the same open file
 *
 * Only local processes of factotum's own user, and root, get in: the gate's socket is never made
 * for this service, and the judge of attaches knows no remote peers. Secrets never leave.
 */
#include "factotum.h"

#include <cognu/ninep_uv.h>
#include <cognu/synth.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SIGNINGS_MAX = 64, /* open `sign` files: each may hold a roster */
    WORDS_MAX = 4,
    LINE_BYTES_MAX = 256,
};
enum { KIND_ROOT, KIND_CTL, KIND_KEYS, KIND_SIGN, KINDS };

static struct keyring ring;
static uint32_t signings;

/* An open `sign` file. Reads go by their distance from the first one, so that a shell's one offset
 * for reads and writes does not matter, and a repeated read gives the same bytes. */
struct signing {
    struct cg_str request, answer;
    uint64_t first_read;
    bool answered;
};

static uint64_t now_s(void)
{
    return cg_env_real.wall_ns(cg_env_real.ctx) / 1000000000u;
}

static bool allowed(const struct synth_handle *h)
{
    uint64_t local = 1ull << 63, who = h->fid->principal;

    return who == local || who == (local | geteuid());
}

static cg_err open_guarded(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    if (!allowed(h)) {
        cg_log(CG_WARN, "refused: user %u wants '%s'", (unsigned)(uint32_t)h->fid->principal,
               h->kind->name);
        return cg_fail(eb, CG_EPERM, "only the user who runs factotum, and root, may use its keys");
    }
    return CG_OK;
}

static cg_err public_keys(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    return keyring_text(&ring, out);
}

static cg_err ctl_line(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    char line[LINE_BYTES_MAX], *word[WORDS_MAX];

    (void)h;
    data.len -= data.len > 0 && data.data[data.len - 1] == '\n';
    int words = cg_span_str(data, line, sizeof(line)) ? cg_tokenize(line, word, WORDS_MAX) : -1;
    if (words == 2 && strcmp(word[0], "newuser") == 0) {
        return keyring_new_user(&ring, word[1], eb);
    }
    if (words == 2 && strcmp(word[0], "delkey") == 0) {
        return keyring_delete(&ring, word[1], eb);
    }
    return cg_fail(eb, CG_EINVAL, "factotum understands: newuser NAME, delkey NAME");
}

static cg_err sign_open(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    cg_err e = open_guarded(h, flags, eb);
    if (e != CG_OK) {
        return e;
    }
    if (signings >= SIGNINGS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "%d requests are open already", SIGNINGS_MAX);
    }
    h->aux = cg_zalloc(sizeof(struct signing));
    if (h->aux == NULL) {
        return cg_fail(eb, CG_ENOMEM, "no memory for a request");
    }
    signings++;
    return CG_OK;
}

static void sign_close(struct synth_handle *h)
{
    struct signing *g = h->aux;

    if (g != NULL) {
        cg_str_fini(&g->request);
        cg_str_fini(&g->answer);
        cg_free(g);
        h->aux = NULL;
        signings--;
    }
}

static cg_err sign_line(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    struct signing *g = h->aux;

    if (g->answered) { /* the next request */
        g->answered = false;
        g->request.len = g->answer.len = 0;
    }
    if (g->request.len + data.len > REQUEST_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "a request has at most %d bytes", REQUEST_BYTES_MAX);
    }
    return cg_str_add(&g->request, data.data, data.len);
}

static cg_err make_answer(struct signing *g, uint64_t offset, struct cg_errbuf *eb)
{
    if (g->answered) {
        return CG_OK;
    }
    if (g->request.len == 0) {
        return cg_fail(eb, CG_EINVAL, "write a request first");
    }
    g->answer.len = 0;
    cg_err e = request_sign(&ring, g->request.data, g->request.len, now_s(), &g->answer, eb);
    if (e != CG_OK) {
        cg_log(CG_WARN, "not signed: %s: %s", cg_err_name(e), eb->text);
        g->request.len = 0;
        return e;
    }
    g->answered = true;
    g->first_read = offset;
    return CG_OK;
}

static void sign_read(struct synth_handle *h, struct ninep_req *r)
{
    struct signing *g = h->aux;
    uint64_t offset = r->t.read.offset;
    cg_err e = make_answer(g, offset, &r->eb);

    if (e == CG_OK) {
        uint64_t at = offset >= g->first_read ? offset - g->first_read : offset;
        uint64_t left = at < g->answer.len ? g->answer.len - at : 0;
        uint32_t n = left < r->data_cap ? (uint32_t)left : r->data_cap;
        if (n > 0) {
            memcpy(r->data, g->answer.data + at, n);
        }
        r->r.read.data.len = n;
        r->r.read.eof = n == left;
    }
    ninep_respond(r, e);
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_CTL] = {.name = "ctl",
                  .mode = S_IFREG | 0600,
                  .open = open_guarded,
                  .text = public_keys,
                  .line = ctl_line},
    [KIND_KEYS] = {.name = "keys", .mode = S_IFREG | 0444, .text = public_keys},
    [KIND_SIGN] = {.name = "sign",
                   .mode = S_IFREG | 0600,
                   .qtype = NINEP_QTYPE_STREAM,
                   .open = sign_open,
                   .close = sign_close,
                   .line = sign_line,
                   .read = sign_read},
};

/* Not by secure_serve_main: whoever comes from another node has nothing to ask here. */
static int serve(int argc, char **argv)
{
    struct ninep_server_config config = {.name = "factotum",
                                         .ops = &synth_ops,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local,
                                         .foreign = true};
    struct synth *s = NULL;

    if (synth_new(kinds, KINDS, &cg_env_real, NULL, &s) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    config.aux = s;
    int status = ninep_serve_main(argc, argv, &config);
    synth_free(s);
    return status;
}

int main(int argc, char **argv)
{
    const char *folder = "/var/lib/cognu/keys", *user = "owner";
    const struct cg_option options[] = {{"--keys", &folder}, {"--user", &user}};
    struct cg_errbuf eb = {0};

    cg_log_init("factotum");
    if (!cg_options_take(&argc, argv, options, CG_COUNT(options))) {
        fprintf(stderr, "usage: cognu-factotum [--keys DIR] [--user NAME] --socket PATH ...\n");
        return 2;
    }
    secure_lockdown();
    cg_err e = keyring_open(&ring, folder, user, &eb);
    if (e != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "%s", eb.text);
        return 1;
    }
    int status = serve(argc, argv);
    keyring_fini(&ring);
    return status;
}
