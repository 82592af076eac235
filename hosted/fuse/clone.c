/* clone: a process that has opened and mounted /dev/fuse itself writes to /mnt/ns/clone
 *   FDNUM copy|clean\n
 *   more lines of a namespace text
 * and gets a namespace of its own on that superblock: a copy of the one in which it writes, or an
 * empty one, and then the lines. The write is answered when all lines have been executed; one that
 * fails makes the write fail, but the namespace stays.
 */
#include "adapter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct job {
    struct cg_list link; /* of the space in which it was asked for */
    struct freq *r;      /* NULL: nobody waits any more */
    struct ns_script *script;
};

static void on_cloned(void *aux, cg_err first, const char *report)
{
    struct job *j = aux;
    struct freq *r = j->r;
    cg_list_del(&j->link);
    cg_free(j);
    if (!r) {
        return;
    }
    r->aux = NULL;
    if (first != CG_OK) {
        char line[CG_DETAIL_BYTES];
        snprintf(line, sizeof(line), "%.*s", (int)strcspn(report, "\n"), report);
        face_fail(r, first, line);
        return;
    }
    struct fuse_write_out out = {.size = r->m.in.write.size};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

/* The caller's descriptor, in this process. The kernel checks that we may debug the caller. */
static cg_err fetch_fd(struct space *s, const struct freq *r, int theirs, int *fd,
                       struct cg_errbuf *eb)
{
    uint32_t process = lasterr_family(space_pid(s, r->m.h.pid)).process;
    int pidfd = process ? (int)syscall(SYS_pidfd_open, process, 0) : -1;
    if (pidfd < 0) {
        return cg_fail(eb, CG_EPERM, "the calling process is not to be seen from here");
    }
    *fd = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
    int why = errno;
    close(pidfd);
    if (*fd < 0) {
        return cg_fail(eb, cg_err_from_errno(why), "descriptor %d of process %u: %s", theirs,
                       process, strerror(why));
    }
    if (!space_is_fuse(*fd)) {
        close(*fd);
        return cg_fail(eb, CG_EINVAL, "descriptor %d is not an open /dev/fuse", theirs);
    }
    return CG_OK;
}

/* text: "FDNUM copy|clean\n..."; gives the rest and the two words. */
static const char *parse(const char *text, int *fd, bool *copy)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || n < 0 || n > INT32_MAX || *end != ' ') {
        return NULL;
    }
    *fd = (int)n;
    end++;
    *copy = strncmp(end, "copy", 4) == 0;
    if (!*copy && strncmp(end, "clean", 5) != 0) {
        return NULL;
    }
    end += *copy ? 4 : 5;
    return *end == 0 || *end == '\n' || *end == ' ' ? end : NULL;
}

static cg_err start(struct space *s, struct freq *r, const char *asked, struct cg_errbuf *eb)
{
    int theirs, fd = -1;
    bool copy;
    struct cg_str text = {0};
    struct space *made;
    char name[SPACE_NAME_BYTES];
    const char *lines = parse(asked, &theirs, &copy);
    if (!lines) {
        return cg_fail(eb, CG_EINVAL, "write: FDNUM copy|clean, then lines");
    }
    struct job *j = cg_zalloc(sizeof(*j));
    cg_err e = j ? CG_OK : CG_ENOMEM;
    if (!e && !copy && ns_jailed(s->ns)) {
        e = cg_fail(eb, CG_ENOMOUNT, "this namespace is a jail: only copies of it are made");
    }
    e = e ? e : copy ? ns_text(s->ns, &text) : ns_limits(s->ns, &text);
    e = e ? e : cg_str_add(&text, lines, strlen(lines));
    e = e ? e : fetch_fd(s, r, theirs, &fd, eb);
    if (e == CG_OK) {
        uint32_t pid = space_pid(s, r->m.h.pid);
        struct owner owner = {r->m.h.uid, r->m.h.gid, space_pidns_of((pid_t)pid)};
        snprintf(name, sizeof(name), "%.40s.%u", s->name, pid);
        e = space_new(s->adapter, name, fd, owner, &made, eb);
    }
    if (e != CG_OK) {
        cg_free(j);
        cg_str_fini(&text);
        return e;
    }
    j->r = r;
    r->aux = j;
    cg_list_push(&s->jobs, &j->link);
    struct ns_script *script =
        ns_script_run(made->ns, text.data ? text.data : "", true, on_cloned, j);
    if (script) { /* else j is gone and r answered */
        j->script = script;
    }
    cg_str_fini(&text);
    return CG_OK;
}

void clone_request(struct space *s, struct freq *r)
{
    struct cg_errbuf eb = {0};
    bool fits = r->m.data.len <= NS_TEXT_BYTES_MAX;
    char *text = fits ? cg_strndup((const char *)r->m.data.data, r->m.data.len) : NULL;
    cg_err e = text ? start(s, r, text, &eb) : cg_fail(&eb, CG_EINVAL, "the text is too long");
    cg_free(text);
    if (e != CG_OK) {
        face_fail(r, e, eb.text);
    }
}

void clone_interrupt(struct freq *r)
{
    struct job *j = r->aux;
    if (j->script) {
        ns_script_cancel(j->script);
    }
}

void clone_abandon(struct space *s)
{
    CG_LIST_EACH (l, &s->jobs) {
        struct job *j = CG_CONTAINER(l, struct job, link);
        freq_error(j->r, EIO);
        j->r = NULL;
        cg_list_del(&j->link);
    }
}
