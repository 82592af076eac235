/* Client, glue and server framework over real Unix sockets. The server is a process of its own,
 * started by fork and ended by its number. */
#include "client.h"
#include "glue.h"
#include "test_fs.h"

#include <cognu/ninep_uv.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 1000, BULK_FRAMES = 256 };

static char dir[] = "/tmp/cognu-uv-test.XXXXXX";
static char path[64], gate_path[64];
static pid_t server_pid;

/* ---- the server's process ---- */

static void serve(void)
{
    static struct test_fs fs;
    struct ninep_server_config config = {.name = "test_fs",
                                         .ops = &test_fs_ops,
                                         .aux = &fs,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local};
    char *argv[] = {"test_fs", "--socket", path, "--gate-socket", gate_path, NULL};
    setenv("COGNU_LOG", "warn", 1);
    _exit(ninep_serve_main(5, argv, &config));
}

static void start_server(void)
{
    fflush(NULL);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0) {
        serve();
    }
}

static int end_server(int signum)
{
    int status = -1;
    kill(server_pid, signum);
    assert_int_equal(waitpid(server_pid, &status, 0), server_pid);
    server_pid = 0;
    return status;
}

static uint64_t memory_of(pid_t pid)
{
    char name[64];
    unsigned long total = 0, resident = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &total, &resident), 2);
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- a client ---- */

struct user {
    struct ninep_client *client;
    uint32_t ups, unresumed;
    cg_err why;
    uint32_t tolds;
    cg_err told[8];
};

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct user *u = ctx;
    (void)detail;
    u->ups += st == NINEP_UP;
    u->unresumed += st == NINEP_UP && !resumed;
    u->why = why;
}

static void open_user(struct user *u, uv_loop_t *loop, const char *socket)
{
    memset(u, 0, sizeof *u);
    struct ninep_uv_target target = {.socket = socket};
    struct ninep_client_config config = {.env = &cg_env_real,
                                         .auth = &ninep_auth_local,
                                         .user = "glenda",
                                         .deadline_ms = 10000,
                                         .state = on_state,
                                         .ctx = u};
    assert_int_equal(ninep_uv_client_new(loop, &target, &config, &u->client), CG_OK);
}

static void up_user(struct user *u, uv_loop_t *loop)
{
    struct cg_errbuf eb = {0};
    cg_err e = ninep_uv_wait_up(loop, u->client, &eb);
    if (e != CG_OK) {
        fail_msg("%s: %s", cg_err_name(e), eb.text);
    }
}

static void call(uv_loop_t *loop, struct ninep_client *c, const struct ninep_call *k,
                 union ninep_rmsg *r, struct ninep_frame **frame)
{
    struct cg_errbuf eb = {0};
    cg_err e = ninep_uv_call(loop, c, k, r, frame, &eb);
    if (e != CG_OK) {
        fail_msg("%s: %s: %s", ninep_type_name(k->type, NINEP_DIALECT_NG), cg_err_name(e), eb.text);
    }
}

static uint32_t open_file(uv_loop_t *loop, struct ninep_client *c, const char *name)
{
    uint32_t fid = ninep_client_fid(c);
    union ninep_rmsg r;
    struct ninep_call k = {.type = NINEP_TWALK};
    k.t.walk = (struct ninep_twalk){.newfid = fid, .names = {1, {cg_span_of(name)}}};
    call(loop, c, &k, &r, NULL);
    k = (struct ninep_call){.type = NINEP_TOPEN};
    k.t.open = (struct ninep_topen){.fid = fid, .flags = NINEP_OPEN_RDWR};
    call(loop, c, &k, &r, NULL);
    return fid;
}

static void end_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0); /* nothing of the glue is left on it */
}

static void send_write(struct ninep_client *c, uint32_t fid, const char *text, ninep_done *done,
                       void *aux)
{
    struct ninep_call k = {.type = NINEP_TWRITE, .done = done, .aux = aux};
    k.t.write = (struct ninep_twrite){.fid = fid, .data = cg_span_of(text)};
    assert_int_not_equal(ninep_client_call(c, &k), 0);
}

static void expect_log(uv_loop_t *loop, struct ninep_client *c, uint32_t fid, const char *want)
{
    union ninep_rmsg r;
    struct ninep_frame *frame;
    struct ninep_call k = {.type = NINEP_TREAD};
    k.t.read = (struct ninep_tread){.fid = fid, .count = 4096};
    call(loop, c, &k, &r, &frame);
    assert_int_equal(r.read.data.len, strlen(want));
    assert_memory_equal(r.read.data.data, want, strlen(want));
    ninep_frame_free(frame);
}

/* ---- tests ---- */

static void a_client_finds_its_server(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    open_user(&u, &loop, path);
    ninep_client_start(u.client); /* the server may not be there yet: the client goes on trying */
    start_server();
    up_user(&u, &loop);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    uint32_t fid = open_file(&loop, u.client, "log");
    send_write(u.client, fid, "hello ", NULL, NULL);
    send_write(u.client, fid, "world", NULL, NULL);
    expect_log(&loop, u.client, fid, "hello world");
    uint64_t flights = ninep_client_round_trips(u.client);
    assert_in_range(flights, 3, 5);
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static void a_missing_server_is_told_of(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    struct cg_errbuf eb = {0};
    uv_loop_init(&loop);
    open_user(&u, &loop, "/tmp/cognu-there-is-no-such-socket");
    u.client->cfg.deadline_ms = 200;
    assert_int_equal(ninep_uv_wait_up(&loop, u.client, &eb), CG_ECONNREFUSED);
    assert_non_null(strstr(eb.text, "/tmp/cognu-there-is-no-such-socket: no such file"));
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static void on_write_told(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct user *u = aux;
    (void)r;
    (void)detail;
    u->told[u->tolds++ % 8] = e;
}

static void run_until(uv_loop_t *loop, const uint32_t *value, uint32_t least)
{
    for (int i = 0; *value < least; i++) {
        assert_true(i < 1000000);
        uv_run(loop, UV_RUN_ONCE);
    }
}

static void a_cut_link_is_only_a_delay(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    start_server();
    open_user(&u, &loop, path);
    up_user(&u, &loop);
    uint32_t fid = open_file(&loop, u.client, "log");
    char want[64] = "";
    for (uint32_t i = 0; i < 26; i++) {
        char letter[2] = {(char)('a' + i), 0};
        send_write(u.client, fid, letter, on_write_told, &u);
        want[i] = letter[0];
        for (uint32_t turns = 0; turns < i % 5; turns++) {
            uv_run(&loop, UV_RUN_NOWAIT);
        }
        client__drop(u.client, CG_ECONNRESET, "cut by the test");
        run_until(&loop, &u.tolds, i + 1);
        assert_int_equal(u.told[i % 8], CG_OK);
    }
    assert_int_equal(u.unresumed, 1);
    expect_log(&loop, u.client, fid, want); /* nothing twice, nothing missing */
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static void a_killed_server_leaves_outcomes_unknown(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    start_server();
    open_user(&u, &loop, path);
    up_user(&u, &loop);
    uint32_t fid = open_file(&loop, u.client, "hang");
    send_write(u.client, fid, "x", on_write_told, &u);
    struct ninep_call k = {.type = NINEP_TREAD, .done = on_write_told, .aux = &u};
    k.t.read = (struct ninep_tread){.fid = fid, .count = 1};
    assert_int_not_equal(ninep_client_call(u.client, &k), 0);
    expect_log(&loop, u.client, open_file(&loop, u.client, "log"), "");
    end_server(SIGKILL);
    start_server();
    run_until(&loop, &u.tolds, 2);
    assert_int_equal(u.told[0], CG_EUNKNOWN);
    assert_int_equal(u.told[1], CG_ESESSION);
    assert_int_equal(u.ups, 2);
    assert_int_equal(u.unresumed, 2);
    fid = open_file(&loop, u.client, "log"); /* and life goes on */
    ninep_client_clunk(u.client, fid);
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static void cancel_and_deadline_reach_the_server(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    start_server();
    open_user(&u, &loop, path);
    up_user(&u, &loop);
    struct ninep_call k = {.type = NINEP_TREAD, .done = on_write_told, .aux = &u};
    k.t.read = (struct ninep_tread){.fid = open_file(&loop, u.client, "hang"), .count = 1};
    uint64_t id = ninep_client_call(u.client, &k);
    ninep_client_cancel(u.client, id);
    run_until(&loop, &u.tolds, 1);
    assert_int_equal(u.told[0], CG_ECANCELED);
    k.deadline_ms = 50;
    ninep_client_call(u.client, &k);
    run_until(&loop, &u.tolds, 2);
    assert_int_equal(u.told[1], CG_ETIME);
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static void a_thousand_clients_at_once(void **state)
{
    (void)state;
    static struct user users[CLIENTS];
    uv_loop_t loop;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    uv_loop_init(&loop);
    start_server();
    open_user(&users[0], &loop, path);
    up_user(&users[0], &loop);
    uint64_t before = memory_of(server_pid), mine = memory_of(getpid());
    for (int i = 1; i < CLIENTS; i++) {
        open_user(&users[i], &loop, path);
        ninep_client_start(users[i].client);
    }
    for (int i = 1; i < CLIENTS; i++) {
        up_user(&users[i], &loop);
    }
    uint64_t after = memory_of(server_pid), mine_after = memory_of(getpid());
    print_message("idle memory of a connection: server %llu bytes, client %llu bytes\n",
                  (unsigned long long)((after - before) / (CLIENTS - 1)),
                  (unsigned long long)((mine_after - mine) / (CLIENTS - 1)));
    for (int i = 0; i < CLIENTS; i++) {
        struct ninep_call k = {.type = NINEP_TGETATTR, .done = on_write_told, .aux = &users[i]};
        assert_int_not_equal(ninep_client_call(users[i].client, &k), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        run_until(&loop, &users[i].tolds, 1);
        assert_int_equal(users[i].told[0], CG_OK);
        ninep_uv_client_free(users[i].client);
    }
    end_loop(&loop);
}

/* ---- bulk ---- */

struct bulk {
    struct ninep_client *client;
    struct ninep_call call;
    uint64_t next, done;
    bool right;
};

static void bulk_next(struct bulk *b);

static void on_bulk(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct bulk *b = aux;
    if (e != CG_OK) {
        print_message("%s: %s\n", cg_err_name(e), detail);
        b->right = false;
    } else if (b->call.type == NINEP_TREAD) {
        b->right &= r->read.data.len == 1 << 20;
    } else {
        b->right &= r->write.count == 1 << 20;
    }
    b->done++;
    bulk_next(b);
}

static void bulk_next(struct bulk *b)
{
    if (b->next < BULK_FRAMES) {
        uint64_t offset = b->next++ << 20;
        if (b->call.type == NINEP_TREAD) {
            b->call.t.read.offset = offset;
        } else {
            b->call.t.write.offset = offset;
        }
        assert_int_not_equal(ninep_client_call(b->client, &b->call), 0);
    }
}

static double bulk(uv_loop_t *loop, struct ninep_client *c, struct ninep_call k)
{
    struct bulk b = {.client = c, .call = k, .right = true};
    b.call.done = on_bulk;
    b.call.aux = &b;
    uint64_t start = uv_hrtime();
    for (int i = 0; i < 8; i++) {
        bulk_next(&b);
    }
    while (b.done < BULK_FRAMES) {
        uv_run(loop, UV_RUN_ONCE);
    }
    assert_true(b.right);
    return (double)(BULK_FRAMES << 20) / (double)(uv_hrtime() - start);
}

static void bulk_goes_both_ways(void **state)
{
    (void)state;
    static uint8_t data[1 << 20];
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    start_server();
    open_user(&u, &loop, path);
    up_user(&u, &loop);
    uint32_t fid = open_file(&loop, u.client, "bulk");
    struct ninep_call read = {.type = NINEP_TREAD}, write = {.type = NINEP_TWRITE};
    read.t.read = (struct ninep_tread){.fid = fid, .count = sizeof data};
    write.t.write = (struct ninep_twrite){.fid = fid, .data = {data, sizeof data}};
    double r = bulk(&loop, u.client, read), w = bulk(&loop, u.client, write);
    print_message("1 MiB frames, 8 in flight: read %.2f GB/s, write %.2f GB/s\n", r, w);
    uint8_t want[16];
    union ninep_rmsg reply;
    struct ninep_frame *frame;
    read.t.read.offset = 77 << 20;
    call(&loop, u.client, &read, &reply, &frame);
    test_fs_pattern(want, 77 << 20, sizeof want);
    assert_memory_equal(reply.read.data.data, want, sizeof want);
    assert_memory_equal(reply.read.data.data + sizeof data - sizeof want, want, sizeof want);
    ninep_frame_free(frame);
    uint64_t start = uv_hrtime();
    struct ninep_call k = {.type = NINEP_TGETATTR};
    for (int i = 0; i < 5000; i++) {
        call(&loop, u.client, &k, &reply, NULL);
    }
    print_message("one small request at a time: %.1f us each\n",
                  (double)(uv_hrtime() - start) / 5000e3);
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

/* ---- raw peers ---- */

static int raw_connect(const char *socket_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, socket_path, strlen(socket_path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    for (int i = 0; connect(fd, (struct sockaddr *)&a, sizeof a) != 0; i++) {
        assert_true(i < 500);
        usleep(10000);
    }
    return fd;
}

/* A peer that asks for much and reads nothing must not fill the server's memory. */
static void a_slow_reader_is_not_read_from(void **state)
{
    (void)state;
    start_server();
    int fd = raw_connect(path);
    uint8_t bytes[4096];
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    struct ninep_tversion v = {.msize = (1 << 20) + 4096, .version = cg_span_of("9P-NG")};
    cg_put_u32(&b, NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_tversion(&v));
    cg_put_u8(&b, NINEP_TVERSION);
    cg_put_u16(&b, NINEP_VERSION_TAG);
    ninep_put_tversion(&b, &v);
    union ninep_tmsg t[4] = {
        {.session = {.msize = (1 << 20) + 4096, .slots = 256}},
        {.attach = {.fid = 0}},
        {.walk = {.newfid = 1, .names = {1, {cg_span_of("bulk")}}}},
        {.open = {.fid = 1}},
    };
    const uint8_t type[4] = {NINEP_TSESSION, NINEP_TATTACH, NINEP_TWALK, NINEP_TOPEN};
    for (uint32_t i = 0; i < 4; i++) {
        struct ninep_thead h = {.size = NINEP_T_HEADER_BYTES + ninep_tmsg_size(type[i], &t[i]),
                                .type = type[i],
                                .tag = i ? 0 : NINEP_VERSION_TAG,
                                .seq = i};
        ninep_put_thead(&b, &h);
        ninep_put_tmsg(type[i], &b, &t[i]);
    }
    assert_false(b.bad);
    assert_int_equal(write(fd, bytes, b.pos), b.pos);
    usleep(50000);
    uint64_t before = memory_of(server_pid);
    for (uint32_t i = 0; i < 200; i++) {
        union ninep_tmsg r = {.read = {.fid = 1, .count = 1 << 20}};
        b = cg_buf_writer(bytes, sizeof bytes);
        struct ninep_thead h = {.size = NINEP_T_HEADER_BYTES + ninep_tmsg_size(NINEP_TREAD, &r),
                                .type = NINEP_TREAD,
                                .tag = (uint16_t)(1 + i),
                                .seq = 1};
        ninep_put_thead(&b, &h);
        ninep_put_tmsg(NINEP_TREAD, &b, &r);
        assert_int_equal(write(fd, bytes, b.pos), b.pos);
    }
    usleep(200000);
    uint64_t grown = memory_of(server_pid) - before;
    print_message("200 MiB asked for, none read: the server grew by %llu KiB\n",
                  (unsigned long long)grown >> 10);
    assert_true(grown < 32 << 20);
    /* And when it does read, all of it comes. */
    uint64_t got = 0;
    static uint8_t sink[1 << 16];
    while (got < UINT64_C(200) << 20) {
        ssize_t n = read(fd, sink, sizeof sink);
        assert_true(n > 0);
        got += (uint64_t)n;
    }
    close(fd);
}

/* ---- lazy frames ---- */

static void no_frame(struct glue__io *io, struct ninep_frame *f)
{
    (void)io;
    ninep_frame_free(f);
}

static void no_end(struct glue__io *io, cg_err why, const char *detail)
{
    (void)io;
    fail_msg("%s: %s", cg_err_name(why), detail);
}

static void no_more(struct glue__io *io)
{
    (void)io;
}

static void put_byte(struct glue__io *io, char byte, uint32_t len, bool lazy)
{
    struct ninep_frame *f = ninep_frame_new(len);
    assert_non_null(f);
    memset(f->data, byte, len);
    f->len = len;
    f->lazy = lazy;
    glue__io_send(io, f);
}

static void expect_bytes(int fd, const char *want)
{
    char got[8] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    got[n > 0 ? n : 0] = 0;
    assert_string_equal(got, want);
}

/* Puts a lazy byte until one is held when a turn has ended: on a slow machine its time may. */
static void hold_byte(uv_loop_t *loop, struct glue__io *io, int fd)
{
    char got;
    for (;;) {
        uv_update_time(loop);
        uint64_t began = uv_now(loop);
        put_byte(io, 'a', 1, true);
        uv_run(loop, UV_RUN_NOWAIT);
        if (recv(fd, &got, 1, MSG_DONTWAIT) < 0) {
            return;
        }
        assert_true(uv_now(loop) - began >= GLUE__HOLD_MS);
    }
}

static void what_nobody_waits_for_goes_with_the_next(void **state)
{
    static const struct glue__io_ops ops = {.frame = no_frame, .end = no_end, .closed = no_more};
    uv_loop_t loop;
    struct glue__io io;
    int fd[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(glue__io_init(&io, &loop, &ops), CG_OK);
    assert_int_equal(uv_pipe_open(&io.pipe, fd[0]), 0);
    assert_int_equal(glue__io_start(&io), CG_OK);
    hold_byte(&loop, &io, fd[1]);
    put_byte(&io, 'b', 1, false);
    uv_run(&loop, UV_RUN_NOWAIT);
    expect_bytes(fd[1], "ab");

    put_byte(&io, 'c', 1, true);
    glue__io_hurry(&io);
    uv_run(&loop, UV_RUN_NOWAIT);
    expect_bytes(fd[1], "c");

    put_byte(&io, 'd', 1, true);
    while (io.out_bytes > 0) { /* until its time ends */
        uv_run(&loop, UV_RUN_ONCE);
    }
    expect_bytes(fd[1], "d");

    put_byte(&io, 'e', GLUE__HOLD_BYTES_MAX + 1, true);
    uv_run(&loop, UV_RUN_NOWAIT);
    expect_bytes(fd[1], "eeeeeee");
    glue__io_close(&io);
    end_loop(&loop);
    close(fd[1]);
}

static void the_gate_must_name_its_peer(void **state)
{
    (void)state;
    char byte;
    start_server();
    int fd = raw_connect(gate_path);
    assert_int_equal(write(fd, "hello\n", 6), 6);
    assert_int_equal(read(fd, &byte, 1), 0); /* refused */
    close(fd);
    fd = raw_connect(gate_path);
    char line[256] = "peer ";
    memset(line + 5, 'a', 64);
    line[69] = ' ';
    memset(line + 70, '0', 64);
    line[134] = '\n';
    struct ninep_tversion v = {.msize = 8192, .version = cg_span_of("9P-NG")};
    struct cg_buf b = cg_buf_writer(line + 135, sizeof line - 135);
    cg_put_u32(&b, NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_tversion(&v));
    cg_put_u8(&b, NINEP_TVERSION);
    cg_put_u16(&b, NINEP_VERSION_TAG);
    ninep_put_tversion(&b, &v);
    assert_int_equal(write(fd, line, 60), 60); /* in pieces, and the frame right behind */
    usleep(20000);
    assert_int_equal(write(fd, line + 60, 75 + b.pos), 75 + b.pos);
    assert_int_equal(read(fd, line, sizeof line), b.pos);
    assert_int_equal(line[4], NINEP_RVERSION);
    close(fd);
}

/* A gate that gives every caller the same answer, as a process in the place of the server's. */
static void start_gate(const char *socket_path, const char *answer)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, socket_path, strlen(socket_path));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 5), 0);
    fflush(NULL);
    server_pid = fork();
    if (server_pid != 0) {
        close(listener);
        return;
    }
    for (;;) {
        char line[256] = "";
        int fd = accept(listener, NULL, NULL);
        bool right = read(fd, line, sizeof line - 1) > 0 && strcmp(line, "dial castor fs\n") == 0;
        if (!right || write(fd, answer, strlen(answer)) < 0) {
            _exit(1);
        }
        close(fd);
    }
}

static void a_refusal_of_the_gate_is_told(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    struct cg_errbuf eb = {0};
    char dial[64];
    snprintf(dial, sizeof dial, "%s/dial", dir);
    start_gate(dial, "error 265 castor is not in the roster; pair it first\n");
    uv_loop_init(&loop);
    memset(&u, 0, sizeof u);
    struct ninep_uv_target target = {.socket = dial, .node = "castor", .service = "fs"};
    struct ninep_client_config config = {
        .env = &cg_env_real, .auth = &ninep_auth_local, .state = on_state, .ctx = &u};
    assert_int_equal(ninep_uv_client_new(&loop, &target, &config, &u.client), CG_OK);
    assert_int_equal(ninep_uv_wait_up(&loop, u.client, &eb), CG_EUNPAIRED);
    assert_string_equal(eb.text, "castor!fs: castor is not in the roster; pair it first");
    ninep_uv_client_free(u.client);
    end_loop(&loop);
    unlink(dial);
}

static void a_server_ends_cleanly(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct user u;
    uv_loop_init(&loop);
    start_server();
    open_user(&u, &loop, path);
    up_user(&u, &loop);
    int status = end_server(SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(access(path, F_OK), -1); /* it took its socket with it */
    ninep_uv_client_free(u.client);
    end_loop(&loop);
}

static int group_setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/fs", dir);
    snprintf(gate_path, sizeof gate_path, "%s/gate", dir);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(gate_path);
    return rmdir(dir);
}

static int teardown(void **state)
{
    (void)state;
    if (server_pid) {
        end_server(SIGKILL);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_client_finds_its_server, teardown),
        cmocka_unit_test_teardown(a_missing_server_is_told_of, teardown),
        cmocka_unit_test_teardown(a_cut_link_is_only_a_delay, teardown),
        cmocka_unit_test_teardown(a_killed_server_leaves_outcomes_unknown, teardown),
        cmocka_unit_test_teardown(cancel_and_deadline_reach_the_server, teardown),
        cmocka_unit_test_teardown(a_slow_reader_is_not_read_from, teardown),
        cmocka_unit_test_teardown(a_thousand_clients_at_once, teardown),
        cmocka_unit_test(what_nobody_waits_for_goes_with_the_next),
        cmocka_unit_test_teardown(the_gate_must_name_its_peer, teardown),
        cmocka_unit_test_teardown(a_refusal_of_the_gate_is_told, teardown),
        cmocka_unit_test_teardown(a_server_ends_cleanly, teardown),
        cmocka_unit_test_teardown(bulk_goes_both_ways, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
