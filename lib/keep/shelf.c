/* shelf: init's side. What comes from a component is foreign: sizes, names and kinds are checked.
 */
#include "pass.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct item {
    struct cg_list link;
    int fd;
    uint64_t bytes; /* of memory; 0: it is none */
    char name[KEEP_NAME_BYTES_MAX + 1];
};

void keep_shelf_init(struct keep_shelf *s, uint32_t fds_max, uint64_t bytes_max)
{
    *s = (struct keep_shelf){.fds_max = fds_max, .bytes_max = bytes_max};
    cg_list_init(&s->items);
}

static struct item *find(struct keep_shelf *s, const char *name)
{
    CG_LIST_EACH (it, &s->items) {
        struct item *i = CG_CONTAINER(it, struct item, link);
        if (strcmp(i->name, name) == 0) {
            return i;
        }
    }
    return NULL;
}

static void drop(struct keep_shelf *s, struct item *i)
{
    if (i) {
        cg_list_del(&i->link);
        close(i->fd);
        s->count--;
        s->bytes -= i->bytes;
        cg_free(i);
    }
}

void keep_shelf_clear(struct keep_shelf *s)
{
    CG_LIST_EACH (it, &s->items) {
        drop(s, CG_CONTAINER(it, struct item, link));
    }
}

/* Memory must not grow in our hands, so it is sealed, and counts in whole. A regular file that is
 * not sealed is a file of a file system: that, a component can open again itself. */
static cg_err weigh(struct keep_shelf *s, const struct item *old, int fd, uint64_t *bytes,
                    struct cg_errbuf *eb)
{
    struct stat st;
    *bytes = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return cg_fail(eb, CG_EINVAL, "put brings one descriptor");
    }
    if (!S_ISREG(st.st_mode)) {
        return CG_OK;
    }
    int seals = fcntl(fd, F_GET_SEALS);
    uint64_t left = s->bytes_max - s->bytes + (old ? old->bytes : 0);
    if (seals < 0 || (seals & F_SEAL_GROW) == 0) {
        return cg_fail(eb, CG_EMANIFEST, "memory is kept as a memfd that is sealed at its size");
    }
    if ((uint64_t)st.st_size > left) {
        return cg_fail(eb, CG_EMANIFEST,
                       "memory of %llu bytes is more than the %llu that the manifest leaves",
                       (unsigned long long)st.st_size, (unsigned long long)left);
    }
    *bytes = (uint64_t)st.st_size;
    return CG_OK;
}

static cg_err put(struct keep_shelf *s, const char *name, int *fd, struct cg_errbuf *eb)
{
    struct item *old = find(s, name);
    uint64_t bytes = 0;
    cg_err e = weigh(s, old, *fd, &bytes, eb);
    if (e != CG_OK) {
        return e;
    }
    if (!old && s->count >= s->fds_max) {
        return cg_fail(eb, CG_ELIMIT, "the manifest lets %u descriptors be kept", s->fds_max);
    }
    struct item *i = cg_zalloc(sizeof *i);
    if (!i) {
        return cg_fail(eb, CG_ENOMEM, "no memory to keep '%s'", name);
    }
    drop(s, old);
    memcpy(i->name, name, strlen(name));
    i->fd = *fd;
    i->bytes = bytes;
    *fd = -1;
    s->count++;
    s->bytes += bytes;
    cg_list_push(&s->items, &i->link);
    return CG_OK;
}

/* What is sent back is in *give; what came and is not kept stays in *fd. */
static cg_err request(struct keep_shelf *s, struct cg_span r, int *fd, int *give,
                      struct cg_errbuf *eb)
{
    char name[KEEP_NAME_BYTES_MAX + 1];
    char verb = r.len > 0 ? (char)r.data[0] : 0;
    struct cg_span rest = {r.data + 1, r.len - (r.len > 0)};
    bool clear = verb == 'c';
    if (!clear && (!cg_name_ok(rest) || !cg_span_str(rest, name, sizeof name))) {
        return cg_fail(eb, CG_EINVAL, "say p, g, d and a name, or c");
    }
    struct item *i = clear ? NULL : find(s, name);
    switch (verb) {
    case 'p':
        return put(s, name, fd, eb);
    case 'g':
        *give = i ? i->fd : -1;
        return i ? CG_OK : cg_fail(eb, CG_ENOENT, "nothing is kept under '%s'", name);
    case 'd':
        drop(s, i);
        return CG_OK;
    case 'c':
        keep_shelf_clear(s);
        return CG_OK;
    default:
        return cg_fail(eb, CG_EINVAL, "say p, g, d and a name, or c");
    }
}

bool keep_shelf_serve(struct keep_shelf *s, int sock)
{
    uint8_t in[PASS_BYTES_MAX], out[PASS_BYTES_MAX];
    struct cg_errbuf eb = {0};
    int fd, give = -1;
    ssize_t n = pass_receive(sock, in, sizeof in, &fd);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    cg_err e = request(s, (struct cg_span){in, (uint32_t)n}, &fd, &give, &eb);
    struct cg_buf b = cg_buf_writer(out, sizeof out);
    cg_put_u32(&b, e);
    if (e != CG_OK) {
        cg_put_bytes(&b, eb.text, strnlen(eb.text, CG_DETAIL_BYTES));
    }
    /* A component that sends and does not read loses its answers: its socket is its own. */
    if (!pass_send(sock, out, b.pos, e == CG_OK ? give : -1) && errno != EAGAIN && errno != EPIPE) {
        cg_log(CG_WARN, "an answer about kept things could not be sent: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}
