/* session_peer: both ends of a 9P-NG session for gate_test.py: a file server that other nodes'
 * users attach, and a client that changes its one file step by step, whatever happens to the gates
 * between them.
 *
 *   session_peer serve ROSTER SOCKET...           options as of every file server
 *   session_peer drive DIAL FACTOTUM NODE STEPS   writes STEPS times, prints what the file then
 * says
 *
 * The file counts the writes that were run: STEPS of them, or something ran twice or never.
 */
#include <cognu/secure_uv.h>
#include <cognu/synth.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIND_ROOT, KIND_COUNT, KINDS, STEP_MS = 2, DEADLINE_MS = 60000 };

/* ---- the server */

static uint64_t runs;

static cg_err count_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)eb;
    return cg_str_addf(out, "%" PRIu64 " %016" PRIx64 "\n", runs, h->fid->principal);
}

static cg_err count_line(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    (void)h;
    (void)data;
    (void)eb;
    runs++;
    return CG_OK;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_COUNT] = {.name = "count",
                    .mode = S_IFREG | 0644,
                    .text = count_text,
                    .line = count_line},
};

static int serve(int argc, char **argv)
{
    struct ninep_server_config config = {
        .name = "session_peer", .ops = &synth_ops, .env = &cg_env_real};
    struct synth *s = NULL;

    if (setenv("COGNU_ROSTER", argv[2], 1) != 0 ||
        synth_new(kinds, KINDS, &cg_env_real, NULL, &s) != CG_OK) {
        return 1;
    }
    config.aux = s;
    argv[2] = argv[0];
    int status = secure_serve_main(argc - 2, argv + 2, &config);
    synth_free(s);
    return status;
}

/* ---- the client */

struct driver {
    struct ninep_client *client;
    struct secure_signer *signer;
};

static void on_credential(void *ctx, const struct ninep_peer *peer)
{
    struct driver *d = ctx;
    struct cg_span none = {NULL, 0};

    secure_signer_credential(d->signer, d->client, peer, "owner", "tester", "", none);
}

static int fail(const char *what, cg_err e, const struct cg_errbuf *eb)
{
    printf("failed: %s: %s: %s\n", what, cg_err_name(e), eb->text);
    return 1;
}

static cg_err open_count(struct driver *d, uint32_t fid, struct cg_errbuf *eb)
{
    struct ninep_call walk = {.type = NINEP_TWALK,
                              .t.walk = {.fid = ninep_client_root(d->client), .newfid = fid}};
    struct ninep_call open = {.type = NINEP_TOPEN,
                              .t.open = {.fid = fid, .flags = NINEP_OPEN_RDWR}};

    walk.t.walk.names.count = 1;
    walk.t.walk.names.name[0] = cg_span_of("count");
    cg_err e = ninep_uv_call(uv_default_loop(), d->client, &walk, NULL, NULL, eb);
    return e != CG_OK ? e : ninep_uv_call(uv_default_loop(), d->client, &open, NULL, NULL, eb);
}

static int work(struct driver *d, int steps)
{
    struct cg_errbuf eb = {0};
    uint32_t fid = ninep_client_fid(d->client);
    struct ninep_call write = {.type = NINEP_TWRITE,
                               .t.write = {.fid = fid, .data = {(const uint8_t *)"+", 1}},
                               .deadline_ms = DEADLINE_MS};
    struct ninep_call read = {.type = NINEP_TREAD, .t.read = {.fid = fid, .count = 4096}};
    struct ninep_frame *frame = NULL;
    union ninep_rmsg r;

    cg_err e = open_count(d, fid, &eb);
    if (e != CG_OK) {
        return fail("open", e, &eb);
    }
    for (int i = 0; i < steps; i++) {
        e = ninep_uv_call(uv_default_loop(), d->client, &write, NULL, NULL, &eb);
        if (e != CG_OK) {
            return fail("write", e, &eb);
        }
        if (i == steps / 10) {
            printf("under way\n");
        }
        usleep(STEP_MS * 1000);
    }
    e = ninep_uv_call(uv_default_loop(), d->client, &read, &r, &frame, &eb);
    if (e != CG_OK) {
        return fail("read", e, &eb);
    }
    printf("%.*s", (int)r.read.data.len, (const char *)r.read.data.data);
    ninep_frame_free(frame);
    return 0;
}

static int drive(char **argv, uint64_t steps)
{
    struct driver d = {0};
    struct cg_errbuf eb = {0};
    const struct ninep_uv_target target = {.socket = argv[2], .node = argv[4], .service = "count"};
    const struct ninep_client_config config = {.env = &cg_env_real,
                                               .auth = &secure_auth_client,
                                               .user = "tester",
                                               .tree = "",
                                               .credential = on_credential,
                                               .ctx = &d};
    cg_err e = secure_signer_new(uv_default_loop(), argv[3], &d.signer);
    e = e != CG_OK ? e : ninep_uv_client_new(uv_default_loop(), &target, &config, &d.client);
    e = e != CG_OK ? e : ninep_uv_wait_up(uv_default_loop(), d.client, &eb);
    int status = e != CG_OK ? fail("attach", e, &eb) : work(&d, (int)steps);
    if (d.client != NULL) {
        secure_signer_forget(d.signer, d.client);
        ninep_uv_client_free(d.client);
    }
    secure_signer_free(d.signer);
    for (int i = 0; i < 16 && uv_run(uv_default_loop(), UV_RUN_NOWAIT) != 0; i++) {
    }
    return status;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    cg_log_init("session_peer");
    if (argc >= 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argc, argv);
    }
    uint64_t steps = 0;
    if (argc == 6 && strcmp(argv[1], "drive") == 0 && secure_number(argv[5], &steps)) {
        return drive(argv, steps);
    }
    fprintf(stderr, "usage: session_peer serve ROSTER OPTIONS | drive DIAL FACTOTUM NODE STEPS\n");
    return 2;
}
