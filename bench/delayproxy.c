/* delayproxy: forwards TCP on loopback and delays every byte by half a round trip in each
 * direction.
 *
 *   delayproxy LISTEN_PORT TARGET_PORT RTT_MS [BYTES_PER_SECOND]
 *
 * For measuring a protocol's round trips where the host has no delay qdisc. Bytes keep their order
 * and none is lost; with BYTES_PER_SECOND each direction is also limited to that rate. LISTEN_PORT
 * 0 chooses a port. The port is printed when it listens. A side whose queue holds QUEUE_BYTES_MAX
 * is not read, so keep RTT times rate below that.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cognu/base.h>

enum { PAIRS_MAX = 256, CHUNK_BYTES = 65536, QUEUE_BYTES_MAX = 64 << 20, IDLE_US = 100000 };

struct chunk {
    struct chunk *next;
    int64_t due_us;
    size_t len, sent;
    char data[];
};

/* One direction of one connection. Ways 2i and 2i+1 are a pair. */
struct way {
    int from, to; /* -1: free */
    struct chunk *head, *tail;
    size_t queued;
    int64_t free_us; /* when the simulated link is idle again */
    bool eof, shut;
};

static struct way ways[2 * PAIRS_MAX];
static int64_t half_us, rate;

static int64_t now_us(void)
{
    return (int64_t)(cg_env_real.now_ns(NULL) / 1000);
}

static struct sockaddr_in loopback(long port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void tune(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void take(struct way *w)
{
    struct chunk *c = cg_alloc(sizeof *c + CHUNK_BYTES);
    cg_assert(c);
    ssize_t n = read(w->from, c->data, CHUNK_BYTES);
    if (n <= 0) {
        cg_free(c);
        w->eof = n == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    int64_t now = now_us(), start = now > w->free_us ? now : w->free_us;
    w->free_us = rate ? start + n * 1000000LL / rate : start;
    *c = (struct chunk){.due_us = w->free_us + half_us, .len = (size_t)n};
    w->queued += c->len;
    if (w->tail) {
        w->tail->next = c;
    } else {
        w->head = c;
    }
    w->tail = c;
}

static void give(struct way *w)
{
    while (w->head && w->head->due_us <= now_us()) {
        struct chunk *c = w->head;
        ssize_t n = send(w->to, c->data + c->sent, c->len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        c->sent = n < 0 ? c->len : c->sent + (size_t)n; /* nobody is there: thrown away */
        if (c->sent == c->len) {
            w->queued -= c->len;
            w->head = c->next;
            w->tail = w->head ? w->tail : NULL;
            cg_free(c);
        }
    }
    if (w->eof && !w->head && !w->shut) {
        shutdown(w->to, SHUT_WR);
        w->shut = true;
    }
}

static void accept_pair(int listener, struct sockaddr_in target)
{
    int a = accept(listener, NULL, NULL), b = socket(AF_INET, SOCK_STREAM, 0), i = 0;
    while (i < PAIRS_MAX && ways[2 * i].from >= 0) {
        i++;
    }
    if (a < 0 || b < 0 || i == PAIRS_MAX ||
        connect(b, (struct sockaddr *)&target, sizeof target) < 0) {
        close(a);
        close(b);
        return;
    }
    tune(a);
    tune(b);
    ways[2 * i] = (struct way){.from = a, .to = b};
    ways[2 * i + 1] = (struct way){.from = b, .to = a};
}

static void end_pair(int i)
{
    struct way *a = &ways[2 * i], *b = &ways[2 * i + 1];
    if (a->from >= 0 && a->shut && b->shut) {
        close(a->from);
        close(a->to);
        a->from = b->from = -1;
    }
}

/* Gives what is due; fills the poll set; returns how long to sleep. */
static int64_t gather(struct pollfd *p, struct way **who, nfds_t *n)
{
    int64_t wait_us = IDLE_US, now = now_us();
    for (int i = 0; i < 2 * PAIRS_MAX; i++) {
        struct way *w = &ways[i];
        if (w->from < 0) {
            continue;
        }
        give(w);
        if (!w->eof && w->queued < QUEUE_BYTES_MAX) {
            who[*n] = w;
            p[(*n)++] = (struct pollfd){.fd = w->from, .events = POLLIN};
        }
        if (w->head && w->head->due_us <= now) {
            who[*n] = NULL;
            p[(*n)++] = (struct pollfd){.fd = w->to, .events = POLLOUT};
        } else if (w->head && w->head->due_us - now < wait_us) {
            wait_us = w->head->due_us - now;
        }
    }
    return wait_us;
}

static void forward(int listener, struct sockaddr_in target)
{
    static struct pollfd p[1 + 4 * PAIRS_MAX];
    static struct way *who[1 + 4 * PAIRS_MAX];
    for (;;) {
        nfds_t n = 1;
        p[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        int64_t wait_us = gather(p, who, &n);
        for (int i = 0; i < PAIRS_MAX; i++) {
            end_pair(i);
        }
        struct timespec t = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
        if (ppoll(p, n, &t, NULL) <= 0) {
            continue;
        }
        if (p[0].revents) {
            accept_pair(listener, target);
        }
        for (nfds_t i = 1; i < n; i++) {
            if (p[i].revents && who[i] && who[i]->from == p[i].fd) {
                take(who[i]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: delayproxy LISTEN_PORT TARGET_PORT RTT_MS [BYTES_PER_SECOND]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in here = loopback(strtol(argv[1], NULL, 10));
    struct sockaddr_in target = loopback(strtol(argv[2], NULL, 10));
    half_us = (int64_t)(strtod(argv[3], NULL) * 500);
    rate = argc > 4 ? strtoll(argv[4], NULL, 10) : 0;
    socklen_t len = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&here, &len) < 0) {
        perror("delayproxy: listen");
        return 1;
    }
    for (int i = 0; i < 2 * PAIRS_MAX; i++) {
        ways[i].from = -1;
    }
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    forward(listener, target);
}
