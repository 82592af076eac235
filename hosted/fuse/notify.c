/* notify: see notify.h. Shared fields are protected by struct notifier's lock. */
#include "notify.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* Notes that may wait: two for every file of a large source tree; 100 bytes each. */
enum { NOTES_MAX = 1 << 19 };

enum note_kind { NOTE_INODE, NOTE_STORE, NOTE_FENCE };
struct note {
    struct cg_list link;
    enum note_kind kind;
    void *token; /* of a fence */
    struct fuse_notify_inval_inode_out inode;
    struct fuse_notify_store_out store;
    const void *data;          /* store.size bytes, */
    struct ninep_frame *frame; /* in this */
};

struct notifier {
    int fd;
    void (*settled)(void *ctx, void *token);
    void *ctx;
    uv_thread_t thread;
    uv_poll_t poll; /* of event */
    int event;      /* there are notes in passed */
    uv_mutex_t lock;
    uv_cond_t wake;
    struct cg_list todo;   /* lock */
    struct cg_list passed; /* lock: fences and frames for the loop */
    uint32_t waiting;      /* lock: notes in todo or being written */
    uint32_t stores;       /* lock: of them with bytes to keep */
    uint32_t lost;         /* lock: notes dropped because NOTES_MAX waited */
    bool stop;             /* lock */
};

static struct cg_counter notes_total = {.name = "cognu_fuse_notes_total",
                                        .help = "Notifications written to the kernel"};

static void write_note(struct notifier *n, const struct note *t)
{
    bool store = t->kind == NOTE_STORE;
    struct fuse_out_header h = {.error = store ? FUSE_NOTIFY_STORE : FUSE_NOTIFY_INVAL_INODE};
    struct iovec iov[3] = {{&h, sizeof(h)}, {(void *)(uintptr_t)&t->inode, sizeof(t->inode)}};
    if (store) {
        iov[1] = (struct iovec){(void *)(uintptr_t)&t->store, sizeof(t->store)};
        iov[2] = (struct iovec){(void *)(uintptr_t)t->data, t->store.size};
    }
    h.len = (uint32_t)(iov[0].iov_len + iov[1].iov_len + iov[2].iov_len);
    cg_count(&notes_total, 1);
    ssize_t wrote = writev(n->fd, iov, CG_COUNT(iov));
    if (wrote < 0 && errno != ENOENT && errno != ENODEV) {
        cg_log(CG_WARN, "cannot tell the kernel %s: %s",
               store ? "what is in a file" : "to forget a file", strerror(errno));
    }
}

/* See notify.h. The standard three stay. */
static void own_descriptors(const struct notifier *n)
{
    unsigned low = (unsigned)(n->fd < n->event ? n->fd : n->event);
    unsigned high = (unsigned)(n->fd < n->event ? n->event : n->fd);
    if (unshare(CLONE_FILES) != 0) {
        cg_log(CG_WARN, "the notifier shares descriptors: %s; its end may delay a successor",
               strerror(errno));
        return;
    }
    if (low > STDERR_FILENO + 1) {
        close_range(STDERR_FILENO + 1, low - 1, 0);
    }
    if (high > low + 1) {
        close_range(low + 1, high - 1, 0);
    }
    close_range(high + 1, ~0U, 0);
}

static void pass(struct notifier *n, struct note *t)
{
    uint64_t one = 1;
    cg_list_push(&n->passed, &t->link);
    ssize_t told = write(n->event, &one, sizeof one);
    cg_assert(told == sizeof one);
}

static void notifier_main(void *arg)
{
    struct notifier *n = arg;
    own_descriptors(n);
    uv_mutex_lock(&n->lock);
    while (!n->stop) {
        if (cg_list_empty(&n->todo)) {
            uv_cond_wait(&n->wake, &n->lock);
            continue;
        }
        struct note *t = CG_CONTAINER(n->todo.next, struct note, link);
        cg_list_del(&t->link);
        if (t->kind != NOTE_FENCE) {
            uv_mutex_unlock(&n->lock);
            write_note(n, t);
            uv_mutex_lock(&n->lock);
        }
        n->waiting--;
        n->stores -= t->kind == NOTE_STORE;
        if (t->kind == NOTE_INODE) {
            cg_free(t);
        } else {
            pass(n, t);
        }
    }
    uv_mutex_unlock(&n->lock);
}

static void note_free(struct note *t)
{
    ninep_frame_free(t->frame);
    cg_free(t);
}

static void on_passed(uv_poll_t *poll, int status, int events)
{
    struct notifier *n = poll->data;
    struct cg_list passed;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(n->event, &count, sizeof count) != sizeof count) {
        return;
    }
    cg_list_init(&passed);
    uv_mutex_lock(&n->lock);
    while (!cg_list_empty(&n->passed)) {
        struct cg_list *l = n->passed.next;
        cg_list_del(l);
        cg_list_push(&passed, l);
    }
    uv_mutex_unlock(&n->lock);
    while (!cg_list_empty(&passed)) {
        struct note *t = CG_CONTAINER(passed.next, struct note, link);
        bool fence = t->kind == NOTE_FENCE;
        void *token = t->token;
        cg_list_del(&t->link);
        note_free(t);
        if (fence) {
            n->settled(n->ctx, token);
        }
    }
}

cg_err notifier_new(uv_loop_t *loop, int fd, void (*settled)(void *ctx, void *token), void *ctx,
                    struct notifier **out)
{
    struct notifier *n = cg_zalloc(sizeof(*n));
    if (!n) {
        return CG_ENOMEM;
    }
    *n = (struct notifier){.fd = fd, .settled = settled, .ctx = ctx};
    cg_list_init(&n->todo);
    cg_list_init(&n->passed);
    n->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->event < 0) {
        cg_free(n);
        return cg_err_from_errno(errno);
    }
    uv_mutex_init(&n->lock);
    uv_cond_init(&n->wake);
    uv_poll_init(loop, &n->poll, n->event);
    n->poll.data = n;
    uv_poll_start(&n->poll, UV_READABLE, on_passed);
    int e = uv_thread_create(&n->thread, notifier_main, n);
    cg_assert(e == 0 || e == UV_EAGAIN);
    if (e != 0) {
        n->stop = true; /* no thread to join */
        notifier_free(n);
        return CG_EAGAIN;
    }
    *out = n;
    return CG_OK;
}

static void free_notes(struct cg_list *list)
{
    CG_LIST_EACH (l, list) {
        note_free(CG_CONTAINER(l, struct note, link));
    }
    cg_list_init(list);
}

static void on_closed(uv_handle_t *h)
{
    struct notifier *n = h->data;
    close(n->event);
    free_notes(&n->todo);
    free_notes(&n->passed);
    uv_mutex_destroy(&n->lock);
    uv_cond_destroy(&n->wake);
    cg_free(n);
}

void notifier_free(struct notifier *n)
{
    uv_mutex_lock(&n->lock);
    bool running = !n->stop;
    n->stop = true;
    uv_cond_signal(&n->wake);
    uv_mutex_unlock(&n->lock);
    if (running) {
        uv_thread_join(&n->thread);
    }
    uv_close((uv_handle_t *)&n->poll, on_closed);
}

static void push(struct notifier *n, struct note *t)
{
    uv_mutex_lock(&n->lock);
    n->waiting++;
    n->stores += t->kind == NOTE_STORE;
    cg_list_push(&n->todo, &t->link);
    uv_cond_signal(&n->wake);
    uv_mutex_unlock(&n->lock);
}

/* NULL when too many wait: the note is lost, and what the kernel holds is believed too long. */
static struct note *note_new(struct notifier *n, enum note_kind kind)
{
    uv_mutex_lock(&n->lock);
    bool full = n->waiting >= NOTES_MAX;
    uint32_t lost = n->lost += full;
    uv_mutex_unlock(&n->lock);
    struct note *t = full ? NULL : cg_zalloc(sizeof(*t));
    if (!t) {
        if (lost <= 1) {
            cg_log(CG_ERROR_LEVEL, "a notification to the kernel is lost: %u wait", NOTES_MAX);
        }
    } else {
        t->kind = kind;
    }
    return t;
}

void notifier_inode(struct notifier *n, uint64_t nodeid, int64_t off, int64_t len)
{
    struct note *t = note_new(n, NOTE_INODE);
    if (t) {
        t->inode = (struct fuse_notify_inval_inode_out){.ino = nodeid, .off = off, .len = len};
        push(n, t);
    }
}

void notifier_store(struct notifier *n, uint64_t nodeid, uint64_t off, const void *data,
                    uint32_t len, struct ninep_frame *frame)
{
    uv_mutex_lock(&n->lock);
    bool room = n->stores < NOTIFY_STORES_MAX;
    uv_mutex_unlock(&n->lock);
    struct note *t = room ? note_new(n, NOTE_STORE) : NULL;
    if (t) {
        t->store = (struct fuse_notify_store_out){.nodeid = nodeid, .offset = off, .size = len};
        t->data = data;
        t->frame = ninep_frame_ref(frame);
        push(n, t);
    }
}

bool notifier_settled(struct notifier *n, void *token)
{
    uv_mutex_lock(&n->lock);
    bool idle = n->waiting == 0;
    uv_mutex_unlock(&n->lock);
    if (idle) {
        return true;
    }
    struct note *t = note_new(n, NOTE_FENCE);
    if (!t) {
        return true; /* no memory: said in the log */
    }
    t->token = token;
    push(n, t);
    return false;
}
