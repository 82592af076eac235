/* note: a client of notefs: note SOCKET [TEXT] adds TEXT to the note, if any is given, and prints
 * the whole. However far the server is, that takes one round trip: the requests form a chain. */
#include <cognu/ninep_uv.h>
#include <stdio.h>
#include <unistd.h>

static void failed(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)aux;
    (void)r;
    if (e != CG_OK && e != CG_ESKIPPED) { /* skipped: an earlier one has said why */
        fprintf(stderr, "note: %s: %s\n", cg_err_text(e), detail);
    }
}

static cg_err talk(uv_loop_t *loop, struct ninep_client *c, const char *text, struct cg_errbuf *eb)
{
    cg_err e = ninep_uv_wait_up(loop, c, eb);
    if (e != CG_OK) {
        return e;
    }
    uint32_t fid = ninep_client_fid(c), chain = ninep_client_chain(c);
    struct ninep_twalk walk = {.newfid = fid, .names = {1, {cg_span_of("note")}}};
    struct ninep_topen open = {.fid = fid, .flags = text ? NINEP_OPEN_RDWR : NINEP_OPEN_READ};
    struct ninep_twrite write_ = {.fid = fid, .data = cg_span_of(text ? text : "")};
    struct ninep_tread read_ = {.fid = fid, .count = 65536};
    struct ninep_call call = {.type = NINEP_TWALK, .t.walk = walk, .chain = chain, .done = failed};
    ninep_client_call(c, &call);
    call.type = NINEP_TOPEN, call.t.open = open;
    ninep_client_call(c, &call);
    if (text) {
        call.type = NINEP_TWRITE, call.t.write = write_;
        ninep_client_call(c, &call);
    }
    call.type = NINEP_TREAD, call.t.read = read_, call.last = true;
    union ninep_rmsg r;
    struct ninep_frame *frame; /* holds the bytes that r points to */
    e = ninep_uv_call(loop, c, &call, &r, &frame, eb);
    if (e == CG_OK) {
        fwrite(r.read.data.data, 1, r.read.data.len, stdout);
        ninep_frame_free(frame);
    }
    ninep_client_clunk(c, fid);
    return e;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: note SOCKET [TEXT]\n");
        return 2;
    }
    struct ninep_uv_target target = {.socket = argv[1], .service = "notefs"};
    struct ninep_client_config config = {.env = &cg_env_real, .auth = &ninep_auth_local};
    struct ninep_client *c;
    struct cg_errbuf eb = {0};
    uv_loop_t *loop = uv_default_loop();
    cg_err e = ninep_uv_client_new(loop, &target, &config, &c);
    if (e == CG_OK) {
        e = talk(loop, c, argc == 3 ? argv[2] : NULL, &eb);
        ninep_uv_client_free(c);
        uv_run(loop, UV_RUN_DEFAULT); /* what is left to close */
    }
    if (e != CG_OK && e != CG_ESKIPPED) {
        fprintf(stderr, "note: %s: %s\n", cg_err_text(e), eb.text);
    }
    return e == CG_OK ? 0 : 1;
}
