/* keep: a component and init's shelf over a socket pair, the shelf served by a thread. */
#include <cognu/book.h>
#include <cognu/keep.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FDS = 4 };
#define MIB (UINT64_C(1) << 20)

struct world {
    struct keep_shelf shelf;
    struct keep *keep;
    int sock;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct world *w = arg;
    struct pollfd p = {.fd = w->sock, .events = POLLIN};
    while (poll(&p, 1, 10000) > 0 && keep_shelf_serve(&w->shelf, w->sock)) {
    }
    return NULL;
}

static void connect_to(struct world *w)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    w->sock = pair[0];
    w->keep = keep_new(pair[1]);
    assert_non_null(w->keep);
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
}

static void leave(struct world *w)
{
    keep_free(w->keep);
    pthread_join(w->thread, NULL);
    close(w->sock);
}

static int start(void **state)
{
    static struct world w;
    keep_shelf_init(&w.shelf, FDS, 4 * MIB);
    connect_to(&w);
    *state = &w;
    return 0;
}

static int stop(void **state)
{
    struct world *w = *state;
    leave(w);
    keep_shelf_clear(&w->shelf);
    assert_int_equal(w->shelf.count, 0);
    assert_true(w->shelf.bytes == 0);
    return 0;
}

static ino_t ino_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static void a_successor_finds_what_was_put(void **state)
{
    struct world *w = *state;
    int p[2], got = -1;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    ino_t ino = ino_of(p[0]);
    assert_int_equal(keep_get(w->keep, "pipe", &got, NULL), CG_ENOENT);
    assert_int_equal(keep_put(w->keep, "pipe", p[0], NULL), CG_OK);
    close(p[0]);
    leave(w);
    connect_to(w); /* another process, as far as init knows */
    assert_int_equal(keep_get(w->keep, "pipe", &got, NULL), CG_OK);
    assert_true(ino_of(got) == ino);
    assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(p[1], "x", 1), 1); /* its other end still has a reader */
    close(got);
    assert_int_equal(keep_drop(w->keep, "pipe", NULL), CG_OK);
    assert_int_equal(keep_drop(w->keep, "pipe", NULL), CG_OK);
    assert_int_equal(keep_get(w->keep, "pipe", &got, NULL), CG_ENOENT);
    assert_int_equal(write(p[1], "x", 1), -1); /* and now it has none */
    close(p[1]);
}

static void a_shelf_is_bounded(void **state)
{
    struct world *w = *state;
    struct cg_errbuf eb = {0};
    char name[80];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got;
    for (int i = 0; i < FDS; i++) {
        snprintf(name, sizeof name, "null.%d", i);
        assert_int_equal(keep_put(w->keep, name, fd, NULL), CG_OK);
    }
    assert_int_equal(keep_put(w->keep, "one-more", fd, &eb), CG_ELIMIT);
    assert_non_null(strstr(eb.text, "4 descriptors"));
    assert_int_equal(keep_put(w->keep, "null.0", fd, NULL), CG_OK); /* in the place of the old */
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(keep_put(w->keep, name, fd, NULL), CG_ENAMETOOLONG);
    assert_int_equal(keep_put(w->keep, "a/b", fd, NULL), CG_EINVAL);
    assert_int_equal(keep_put(w->keep, "nothing", -1, NULL), CG_EINVAL);
    assert_int_equal(keep_clear(w->keep, NULL), CG_OK);
    assert_int_equal(keep_get(w->keep, "null.0", &got, NULL), CG_ENOENT);
    close(fd);
}

static void memory_counts_and_is_sealed(void **state)
{
    struct world *w = *state;
    struct cg_errbuf eb = {0};
    int fd, other, plain = memfd_create("plain", MFD_CLOEXEC);
    assert_int_equal(keep_put(w->keep, "plain", plain, &eb), CG_EMANIFEST);
    close(plain);
    assert_int_equal(keep_memory(w->keep, "book", 3 * MIB, &fd, NULL), CG_OK);
    assert_int_equal(keep_memory(w->keep, "other", 2 * MIB, &other, &eb), CG_EMANIFEST);
    assert_int_equal(other, -1);
    assert_int_equal(pwrite(fd, "kept", 4, 0), 4);
    close(fd);
    assert_int_equal(keep_memory(w->keep, "book", 3 * MIB, &fd, NULL), CG_OK);
    char text[5] = {0};
    assert_int_equal(pread(fd, text, 4, 0), 4);
    assert_string_equal(text, "kept");
    close(fd);
    assert_int_equal(keep_drop(w->keep, "book", NULL), CG_OK);
    assert_int_equal(keep_memory(w->keep, "other", 2 * MIB, &other, NULL), CG_OK);
    close(other);
}

static void without_init_nothing_is_kept(void **state)
{
    (void)state;
    char *argv[] = {"prog", "--fd", "3", NULL};
    int argc = 3, fd;
    assert_null(keep_from_args(&argc, argv));
    assert_int_equal(argc, 3);
    assert_int_equal(keep_put(NULL, "x", 0, NULL), CG_OK);
    assert_int_equal(keep_get(NULL, "x", &fd, NULL), CG_ENOENT);
    assert_int_equal(keep_memory(NULL, "x", MIB, &fd, NULL), CG_OK);
    assert_int_equal(fd, -1);
}

static void the_option_is_taken_out(void **state)
{
    (void)state;
    char number[8];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    snprintf(number, sizeof number, "%d", pair[1]);
    char *argv[] = {"prog", "--fd", "3", "--keep", number, "--last", NULL};
    int argc = 6;
    struct keep *k = keep_from_args(&argc, argv);
    assert_non_null(k);
    assert_int_equal(argc, 4);
    assert_string_equal(argv[3], "--last");
    assert_null(argv[4]);
    keep_free(k);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_successor_finds_what_was_put, start, stop),
        cmocka_unit_test_setup_teardown(a_shelf_is_bounded, start, stop),
        cmocka_unit_test_setup_teardown(memory_counts_and_is_sealed, start, stop),
        cmocka_unit_test(without_init_nothing_is_kept),
        cmocka_unit_test(the_option_is_taken_out),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
