/* Streams whose handles go while they answer: server and client on one loop, 9P-NG with chains. */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>
#include <cognu/synth_stream.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { KIND_ROOT, KIND_PIPE, KINDS };

/* ---- a server of one file: the reading end of a pipe that its open makes ---- */

struct source {
    struct synth_stream stream;
    int writer;
};
static struct source *source; /* of the last open; NULL when its handle is gone */
static uv_loop_t loop;

static cg_err open_pipe(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    (void)eb;
    int p[2];
    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    source = cg_zalloc(sizeof *source);
    assert_non_null(source);
    synth_stream_init(&source->stream, &loop, false);
    synth_stream_open(&source->stream, p[0]);
    source->writer = p[1];
    h->aux = source;
    return CG_OK;
}

static void close_pipe(struct synth_handle *h)
{
    struct source *s = h->aux;
    synth_stream_close(&s->stream);
    if (s->writer >= 0) {
        close(s->writer);
    }
    memset(s, 0xdd, sizeof *s); /* whoever touches it now fails */
    cg_free(s);
    source = NULL;
}

static void read_pipe(struct synth_handle *h, struct ninep_req *r)
{
    struct source *s = h->aux;
    synth_stream_request(&s->stream, r);
}

static void cancel_pipe(struct synth_handle *h, struct ninep_req *r)
{
    (void)h;
    synth_cancel_waiting(r);
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_PIPE] = {.name = "pipe",
                   .mode = S_IFREG | 0400,
                   .qtype = NINEP_QTYPE_STREAM,
                   .open = open_pipe,
                   .close = close_pipe,
                   .read = read_pipe,
                   .cancel = cancel_pipe},
};

/* ---- both ends ---- */

struct rig {
    char dir[32], path[64];
    struct synth *synth;
    struct ninep_server *server;
    struct ninep_listener *listener;
    struct ninep_client *client;
    uint32_t fid;
};

struct answer {
    bool told, eof;
    cg_err e;
    char data[32];
};

static void on_answer(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct answer *a = aux;
    (void)detail;
    a->told = true;
    a->e = e;
    if (e == CG_OK && r->read.data.len < sizeof a->data) {
        memcpy(a->data, r->read.data.data, r->read.data.len);
        a->eof = r->read.eof;
    }
}

static void on_clunked(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct answer *a = aux;
    (void)r;
    (void)detail;
    a->told = true;
    a->e = e;
}

static void await(const bool *flag)
{
    for (int turns = 0; !*flag && turns < 10000; turns++) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(*flag);
}

static void turn(void) /* what can happen now does */
{
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void call(struct rig *g, const struct ninep_call *k)
{
    union ninep_rmsg r;
    struct cg_errbuf eb = {0};
    cg_err e = ninep_uv_call(&loop, g->client, k, &r, NULL, &eb);
    if (e) {
        fail_msg("%s: %s", cg_err_name(e), eb.text);
    }
}

static void open_file(struct rig *g)
{
    g->fid = ninep_client_fid(g->client);
    struct ninep_call k = {.type = NINEP_TWALK};
    k.t.walk = (struct ninep_twalk){.newfid = g->fid, .names = {1, {cg_span_of("pipe")}}};
    call(g, &k);
    k = (struct ninep_call){.type = NINEP_TOPEN};
    k.t.open = (struct ninep_topen){.fid = g->fid, .flags = NINEP_OPEN_READ};
    call(g, &k);
    assert_non_null(source);
}

static void send_read(struct rig *g, uint32_t chain, struct answer *a)
{
    struct ninep_call k = {.type = NINEP_TREAD, .chain = chain, .done = on_answer, .aux = a};
    k.t.read = (struct ninep_tread){.fid = g->fid, .count = 16};
    assert_int_not_equal(ninep_client_call(g->client, &k), 0);
}

static void send_clunk(struct rig *g, uint32_t chain, struct answer *a)
{
    uint8_t list[4];
    struct cg_buf b = cg_buf_writer(list, sizeof list);
    cg_put_u32(&b, g->fid);
    struct ninep_call k = {
        .type = NINEP_TCLUNK, .chain = chain, .last = chain != 0, .done = on_clunked, .aux = a};
    k.t.clunk.fids = (struct ninep_list){.count = 1, .body = {list, sizeof list}};
    assert_int_not_equal(ninep_client_call(g->client, &k), 0);
}

static int setup(void **state)
{
    struct rig *g = cg_zalloc(sizeof *g);
    struct cg_errbuf eb = {0};
    snprintf(g->dir, sizeof g->dir, "/tmp/cognu-synth.XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->path, sizeof g->path, "%s/s", g->dir);
    uv_loop_init(&loop);
    assert_int_equal(synth_new(kinds, KINDS, &cg_env_real, NULL, &g->synth), CG_OK);
    struct ninep_server_config sc = {.name = "pipes",
                                     .ops = &synth_ops,
                                     .aux = g->synth,
                                     .env = &cg_env_real,
                                     .auth = &ninep_auth_local};
    assert_int_equal(ninep_server_new(&sc, &g->server), CG_OK);
    assert_int_equal(ninep_uv_server_start(&loop, g->server), CG_OK);
    cg_err e = ninep_uv_listen(&loop, g->server, listen_at(g->path), false, &g->listener, &eb);
    assert_int_equal(e, CG_OK);
    struct ninep_uv_target target = {.socket = g->path};
    struct ninep_client_config cc = {
        .env = &cg_env_real, .auth = &ninep_auth_local, .user = "glenda", .deadline_ms = 5000};
    assert_int_equal(ninep_uv_client_new(&loop, &target, &cc, &g->client), CG_OK);
    assert_int_equal(ninep_uv_wait_up(&loop, g->client, &eb), CG_OK);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct rig *g = *state;
    ninep_uv_client_free(g->client);
    ninep_uv_listener_close(g->listener);
    ninep_uv_server_stop(g->server);
    turn();
    ninep_server_free(g->server);
    turn();
    synth_free(g->synth);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0); /* no handle is left */
    assert_null(source);
    unlink(g->path);
    rmdir(g->dir);
    cg_free(g);
    return 0;
}

/* ---- tests ---- */

static void an_answer_may_close_its_stream(void **state)
{
    struct rig *g = *state;
    struct answer reading = {0}, clunk = {0};
    open_file(g);
    uint32_t chain = ninep_client_chain(g->client);
    send_read(g, chain, &reading);
    send_clunk(g, chain, &clunk);
    turn();
    assert_false(reading.told);
    assert_int_equal(write(source->writer, "hello", 5), 5);
    await(&clunk.told);
    assert_int_equal(reading.e, CG_OK);
    assert_string_equal(reading.data, "hello");
    assert_int_equal(clunk.e, CG_OK);
    struct ninep_call k = {.type = NINEP_TGETATTR}; /* tells that the replies have arrived */
    k.t.getattr.fid = ninep_client_root(g->client);
    call(g, &k);
    turn();
    assert_null(source);
}

static void a_clunked_stream_lives_while_it_is_read(void **state)
{
    struct rig *g = *state;
    struct answer first = {0}, second = {0}, clunk = {0};
    open_file(g);
    send_read(g, 0, &first);
    send_read(g, 0, &second);
    turn();
    send_clunk(g, 0, &clunk);
    await(&clunk.told);
    assert_non_null(source);
    assert_int_equal(write(source->writer, "x", 1), 1);
    await(&first.told);
    assert_string_equal(first.data, "x");
    turn();
    assert_false(second.told);
    close(source->writer);
    source->writer = -1;
    await(&second.told);
    assert_true(second.e == CG_OK && second.eof);
    turn();
    assert_null(source);
}

static void all_that_wait_are_told_the_end(void **state)
{
    struct rig *g = *state;
    struct answer a[SYNTH_WAITERS_MAX] = {0}, more = {0};
    open_file(g);
    for (size_t i = 0; i < CG_COUNT(a); i++) {
        send_read(g, 0, &a[i]);
    }
    turn();
    send_read(g, 0, &more);
    await(&more.told);
    assert_int_equal(more.e, CG_ELIMIT);
    synth_stream_finish(&source->stream);
    for (size_t i = 0; i < CG_COUNT(a); i++) {
        await(&a[i].told);
        assert_true(a[i].e == CG_OK && a[i].eof);
    }
}

static void a_lost_session_closes_its_streams(void **state)
{
    struct rig *g = *state;
    struct answer reading = {0};
    open_file(g);
    send_read(g, 0, &reading);
    turn();
    assert_false(reading.told); /* teardown ends the session with the read under way */
}

static void signals_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int signo;
    } known[] = {{"interrupt", 2}, {"hangup", 1}, {"term", 15}, {"TERM", 15}, {"usr2", 12},
                 {"stop", 19},     {"start", 18}, {"9", 9},     {"64", 64},   {"0", 0},
                 {"65", 0},        {"-1", 0},     {"+1", 0},    {"", 0},      {"sing", 0}};
    for (size_t i = 0; i < CG_COUNT(known); i++) {
        assert_int_equal(synth_note_number(known[i].name), known[i].signo);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_may_close_its_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clunked_stream_lives_while_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(all_that_wait_are_told_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_session_closes_its_streams, setup, teardown),
        cmocka_unit_test(signals_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
