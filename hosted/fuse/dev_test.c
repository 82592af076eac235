/* Tests of the device loop. A packet socket stands for /dev/fuse; the test plays the kernel on the
 * other end. */
#include "dev.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    uv_loop_t loop;
    struct fdev *dev;
    int kernel;
    struct freq *last; /* the request that was given out last */
    bool reply_at_once, gone;
    uint64_t forgot, forgot_refs;
    struct freq *interrupted;
    void *token;
};

static void on_request(void *ctx, struct freq *r)
{
    struct world *w = ctx;
    w->last = r;
    if (w->reply_at_once) {
        freq_error(r, ENOENT);
    }
}

static void on_interrupt(void *ctx, struct freq *r)
{
    ((struct world *)ctx)->interrupted = r;
}

static void on_forget(void *ctx, uint64_t nodeid, uint64_t refs)
{
    struct world *w = ctx;
    w->forgot = nodeid;
    w->forgot_refs = refs;
}

static void on_settled(void *ctx, void *token)
{
    ((struct world *)ctx)->token = token;
}

static void on_gone(void *ctx)
{
    ((struct world *)ctx)->gone = true;
}

static const struct fdev_ops ops = {on_request, on_interrupt, on_forget, on_settled, on_gone, NULL};

static void say(struct world *w, uint32_t opcode, uint64_t unique, uint64_t nodeid,
                const void *body, size_t len)
{
    uint8_t bytes[512];
    struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + len),
                               .opcode = opcode,
                               .unique = unique,
                               .nodeid = nodeid,
                               .pid = 1};
    memcpy(bytes, &h, sizeof(h));
    memcpy(bytes + sizeof(h), body, len);
    assert_int_equal(send(w->kernel, bytes, sizeof(h) + len, 0), sizeof(h) + len);
}

static void turn(struct world *w)
{
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* The next message to the kernel; waits a second for the notifier. */
static struct fuse_out_header hear(struct world *w, uint8_t *body, size_t cap)
{
    uint8_t bytes[512];
    struct fuse_out_header h = {0};
    struct pollfd p = {.fd = w->kernel, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 1000), 1);
    ssize_t n = recv(w->kernel, bytes, sizeof(bytes), 0);
    assert_true(n >= (ssize_t)sizeof(h));
    memcpy(&h, bytes, sizeof(h));
    assert_int_equal(h.len, n);
    if (body) {
        size_t len = (size_t)n - sizeof(h);
        memcpy(body, bytes + sizeof(h), len < cap ? len : cap);
    }
    return h;
}

static bool silent(struct world *w)
{
    struct pollfd p = {.fd = w->kernel, .events = POLLIN};
    return poll(&p, 1, 50) == 0;
}

static void init(struct world *w, uint32_t minor, uint32_t flags)
{
    struct fuse_init_in in = {.major = 7, .minor = minor, .flags = flags, .flags2 = UINT32_MAX};
    struct fuse_init_out out;
    say(w, FUSE_INIT, 2, 0, &in, sizeof(in));
    turn(w);
    struct fuse_out_header h = hear(w, (uint8_t *)&out, sizeof(out));
    assert_int_equal(h.unique, 2);
    assert_int_equal(h.error, 0);
    assert_int_equal(out.major, 7);
    assert_int_equal(fdev_terms(w->dev)->kernel_minor, minor);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    int pair[2];
    *state = w;
    assert_non_null(w);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    w->kernel = pair[0];
    uv_loop_init(&w->loop);
    assert_int_equal(fdev_new(&w->loop, pair[1], &ops, w, &w->dev, NULL), CG_OK);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    fdev_free(w->dev);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    close(w->kernel);
    free(w);
    return 0;
}

static void a_request_is_answered(void **state)
{
    struct world *w = *state;
    uint8_t body[8];
    init(w, 45, UINT32_MAX);
    say(w, FUSE_LOOKUP, 10, 1, "name", 5);
    turn(w);
    assert_non_null(w->last);
    assert_string_equal(w->last->m.name, "name");
    assert_true(freq_reply(w->last, "abcd", 4, "efgh", 4));
    struct fuse_out_header h = hear(w, body, sizeof(body));
    assert_int_equal(h.unique, 10);
    assert_memory_equal(body, "abcdefgh", 8);
    w->reply_at_once = true;
    say(w, FUSE_LOOKUP, 12, 1, "other", 6);
    turn(w);
    h = hear(w, NULL, 0);
    assert_int_equal(h.unique, 12);
    assert_int_equal(h.error, -ENOENT);
}

static void unknown_and_malformed_are_answered(void **state)
{
    struct world *w = *state;
    say(w, FUSE_TMPFILE, 3, 1, "x", 2);
    say(w, FUSE_LOOKUP, 4, 1, "no end", 6);
    say(w, FUSE_LOOKUP, 5, 1, "a/b", 4);
    turn(w);
    assert_int_equal(hear(w, NULL, 0).error, -ENOSYS);
    assert_int_equal(hear(w, NULL, 0).error, -EPROTO);
    assert_int_equal(hear(w, NULL, 0).error, -EINVAL);
    assert_null(w->last);
    say(w, FUSE_FORGET, 0, 1, "bad", 3); /* never answered */
    turn(w);
    assert_true(silent(w));
}

static void forget_and_interrupt(void **state)
{
    struct world *w = *state;
    struct fuse_forget_in one = {.nlookup = 3};
    struct fuse_interrupt_in in = {.unique = 20};
    say(w, FUSE_FORGET, 6, 77, &one, sizeof(one));
    say(w, FUSE_INTERRUPT, 8, 0, &in, sizeof(in)); /* of nothing that is known */
    say(w, FUSE_LOOKUP, 20, 1, "slow", 5);
    turn(w);
    assert_int_equal(w->forgot, 77);
    assert_int_equal(w->forgot_refs, 3);
    assert_null(w->interrupted);
    say(w, FUSE_INTERRUPT, 9, 0, &in, sizeof(in));
    turn(w);
    assert_ptr_equal(w->interrupted, w->last);
    freq_error(w->last, EINTR);
    assert_int_equal(hear(w, NULL, 0).error, -EINTR);
    assert_true(silent(w));
}

static void kept_data_outlive_the_next_read(void **state)
{
    struct world *w = *state;
    struct {
        struct fuse_write_in in;
        char data[4];
    } body = {.in = {.size = 4}, .data = {'o', 'n', 'e', '!'}};
    say(w, FUSE_WRITE, 30, 1, &body, sizeof(body.in) + 4);
    turn(w);
    struct freq *first = w->last;
    assert_int_equal(freq_keep(first), CG_OK);
    memcpy(body.data, "two!", 4);
    say(w, FUSE_WRITE, 32, 1, &body, sizeof(body.in) + 4);
    turn(w);
    assert_ptr_not_equal(first, w->last);
    assert_memory_equal(first->m.data.data, "one!", 4);
    assert_memory_equal(w->last->m.data.data, "two!", 4);
    freq_error(first, 0);
    freq_error(w->last, 0);
}

static void fence_comes_after_the_notes(void **state)
{
    struct world *w = *state;
    struct fuse_notify_inval_inode_out out;
    init(w, 45, UINT32_MAX);
    assert_true(fdev_settled(w->dev, w));
    for (int i = 0; i < 100; i++) {
        fdev_note_inode(w->dev, 7, i * 4096, 4096);
    }
    bool at_once = fdev_settled(w->dev, w);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(hear(w, (uint8_t *)&out, sizeof(out)).error, FUSE_NOTIFY_INVAL_INODE);
        assert_int_equal(out.ino, 7);
        assert_int_equal(out.off, i * 4096);
    }
    for (int i = 0; !at_once && !w->token && i < 100; i++) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_true(at_once || w->token == w);
}

static void contents_go_at_once(void **state)
{
    struct world *w = *state;
    struct {
        struct fuse_notify_store_out out;
        char data[5];
    } body;
    assert_true(fdev_store(w->dev, 7, "hello", 5));
    assert_int_equal(hear(w, (uint8_t *)&body, sizeof(body)).error, FUSE_NOTIFY_STORE);
    assert_int_equal(body.out.nodeid, 7);
    assert_int_equal(body.out.offset, 0);
    assert_int_equal(body.out.size, 5);
    assert_memory_equal(body.data, "hello", 5);
    shutdown(w->kernel, SHUT_RDWR);
    signal(SIGPIPE, SIG_IGN);
    assert_false(fdev_store(w->dev, 7, "hello", 5));
}

/* Bytes that the kernel may keep come in order with what it is to forget; their frame is held until
 * then, and let go on the loop. */
static void bytes_to_keep(void **state)
{
    struct world *w = *state;
    struct {
        struct fuse_notify_store_out out;
        char data[5];
    } body;
    struct fuse_notify_inval_inode_out forget;
    struct ninep_frame *frame = ninep_frame_new(5);
    memcpy(frame->data, "hello", 5);
    init(w, 45, UINT32_MAX);
    fdev_note_store(w->dev, 7, 4096, frame->data, 5, frame);
    assert_int_equal(frame->refs, 2);
    fdev_note_inode(w->dev, 7, 0, 4096);
    assert_int_equal(hear(w, (uint8_t *)&body, sizeof(body)).error, FUSE_NOTIFY_STORE);
    assert_int_equal(body.out.nodeid, 7);
    assert_int_equal(body.out.offset, 4096);
    assert_int_equal(body.out.size, 5);
    assert_memory_equal(body.data, "hello", 5);
    assert_int_equal(hear(w, (uint8_t *)&forget, sizeof(forget)).error, FUSE_NOTIFY_INVAL_INODE);
    for (int i = 0; i < 100 && frame->refs > 1; i++) {
        turn(w);
        usleep(1000);
    }
    assert_int_equal(frame->refs, 1);
    ninep_frame_free(frame);
}

static void end_answers_what_is_under_way(void **state)
{
    struct world *w = *state;
    say(w, FUSE_LOOKUP, 50, 1, "waits", 6);
    turn(w);
    int kernel = dup(w->kernel);
    teardown(state);
    struct fuse_out_header h;
    assert_int_equal(recv(kernel, &h, sizeof(h), 0), sizeof(h));
    assert_int_equal(h.unique, 50);
    assert_int_equal(h.error, -EIO);
    close(kernel);
    setup(state);
}

static void unmounted(void **state)
{
    struct world *w = *state;
    shutdown(w->kernel, SHUT_RDWR);
    turn(w);
    assert_true(w->gone);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered),
        TEST(unknown_and_malformed_are_answered),
        TEST(forget_and_interrupt),
        TEST(kept_data_outlive_the_next_read),
        TEST(fence_comes_after_the_notes),
        TEST(contents_go_at_once),
        TEST(bytes_to_keep),
        TEST(end_answers_what_is_under_way),
        TEST(unmounted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
